//! What a user is told when a command cannot do what it was asked.

use std::fmt;

use crate::collect::CollectError;
use crate::k8s::{ApiError, TargetError};
use crate::report::document::DocumentError;

/// What kind of failure, which decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// Wrong usage or a wrong policy file: 2.
    Usage,
    /// No cluster, no permission, no proxies, unreadable input: 4.
    CannotRun,
    /// The reader of our output has closed it, which is no failure at all: 0.
    ClosedPipe,
}

/// A failure: what happened, to whom, and what to do next.
#[derive(Debug)]
pub(super) struct Failure {
    /// What kind.
    pub(super) kind: FailureKind,
    pub(super) message: String,
    /// What stands below it, one a line.
    details: Vec<String>,
    hint: Option<String>,
    may_pass: bool,
}

impl Failure {
    /// Wrong usage.
    pub(super) fn usage(message: impl Into<String>) -> Self {
        Self { kind: FailureKind::Usage, message: message.into(), details: Vec::new(), hint: None, may_pass: false }
    }

    /// The command cannot run.
    pub(super) fn cannot_run(message: impl Into<String>) -> Self {
        Self { kind: FailureKind::CannotRun, message: message.into(), details: Vec::new(), hint: None, may_pass: false }
    }

    /// The same failure with what to do next.
    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same failure with lines below it.
    #[must_use]
    pub(super) fn with_details(self, details: Vec<String>) -> Self {
        Self { details, ..self }
    }

    /// What stands below it.
    #[must_use]
    pub(super) fn details(&self) -> &[String] {
        &self.details
    }

    /// The same failure, of something that may come back by itself.
    #[must_use]
    pub(super) fn passing(self, may_pass: bool) -> Self {
        Self { may_pass, ..self }
    }

    /// Whether what failed may come back by itself, so that waiting for it makes sense.
    pub(super) fn may_pass(&self) -> bool {
        self.may_pass
    }

    /// What to do next.
    #[must_use]
    pub(super) fn next(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            return Self {
                kind: FailureKind::ClosedPipe,
                message: String::new(),
                details: Vec::new(),
                hint: None,
                may_pass: false,
            };
        }
        Self::cannot_run(format!("cannot write the output: {error}"))
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        if error.is_io() {
            return std::io::Error::from(error).into();
        }
        Self::cannot_run(format!("cannot write the output as JSON: {error}"))
    }
}

impl From<DocumentError> for Failure {
    fn from(error: DocumentError) -> Self {
        Self::cannot_run(format!("cannot write the output {error}"))
    }
}

impl From<TargetError> for Failure {
    fn from(error: TargetError) -> Self {
        Self::usage(error.to_string()).hint("a target is POD, POD.NAMESPACE, or KIND/NAME such as deploy/web")
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let hint = match &error {
            ApiError::Config(_) => "name a kubeconfig with --kubeconfig, or read files with --from".to_owned(),
            ApiError::UnknownContext { known, .. } if known.is_empty() => {
                "the kubeconfig has no contexts at all; is it the right one?".to_owned()
            }
            ApiError::UnknownContext { known, .. } => format!("it has: {}", known.join(", ")),
            ApiError::Credentials(_) | ApiError::Unauthorized(_) => {
                "log in again; `kubectl auth whoami` shows who the server takes you for".to_owned()
            }
            ApiError::Forbidden(_) => {
                "the least that is needed: get and list on pods, get and create on pods/portforward \
                 (docs/rbac-and-safety.md); without a right to all namespaces, name one with -n"
                    .to_owned()
            }
            ApiError::NotFound(missing) if matches!(&*missing.kind, "namespace" | "namespaces") => {
                "`kubectl get namespaces` lists the ones there are".to_owned()
            }
            ApiError::NotFound(missing) if matches!(&*missing.kind, "service" | "services") => {
                "`kubectl get services -A` lists the ones there are".to_owned()
            }
            ApiError::NotFound(_) => "`kubectl get pods -A` shows what there is; name the namespace with -n".to_owned(),
            ApiError::Unreachable(error) if error.contains("certificate") => {
                "is the server's authority the one that the kubeconfig names? --certificate-authority names another, \
                 --tls-server-name the name that its certificate is for"
                    .to_owned()
            }
            ApiError::Unreachable(_) => "does `kubectl version` reach it? Is the context the right one?".to_owned(),
            ApiError::Busy { .. } => "try again, with a lower --concurrency".to_owned(),
            ApiError::Timeout(_) => "try again, or with a longer --request-timeout".to_owned(),
            ApiError::OutOfTime(_) => "try again with a longer --timeout, or select less".to_owned(),
            ApiError::TooLarge(_) => "select less, with -n or -l".to_owned(),
            ApiError::Expired(_) => "the list changes faster than it is read; select less, with -n or -l".to_owned(),
            ApiError::Other { code: 200, .. } => {
                "what answers is no Kubernetes API server, or one behind a login page; is the context the right one?"
                    .to_owned()
            }
            ApiError::Other { code, .. } if *code >= 500 => {
                "this is the API server's own failure; try again".to_owned()
            }
            ApiError::Other { .. } => "if a selector was given, is it one that the API server accepts?".to_owned(),
        };
        let may_pass = match &error {
            ApiError::Unreachable(_) | ApiError::Busy { .. } | ApiError::Timeout(_) | ApiError::OutOfTime(_) => true,
            ApiError::Other { code, .. } => *code >= 500,
            _ => false,
        };
        Self::cannot_run(error.to_string()).hint(hint).passing(may_pass)
    }
}

impl From<CollectError> for Failure {
    fn from(error: CollectError) -> Self {
        match error {
            CollectError::Api { context, source } => {
                let mut failure = Self::from(source);
                if !context.is_empty() {
                    failure.message = format!("context {context:?}: {}", failure.message);
                }
                failure
            }
            CollectError::Direct(error) => Self::usage(error.to_string()),
        }
    }
}
