//! Exit codes, as docs/exit-codes.md has them, and from which severity on there is one.

use clap::ValueEnum;

use crate::audit::Severity;
use crate::diagnose::CauseSeverity;

/// `--fail-on`: from which severity on the exit code is 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum FailOn {
    #[default]
    Error,
    Warning,
    Info,
    Never,
}

impl FailOn {
    /// As the severity of a rule.
    pub(super) fn severity(self) -> Option<Severity> {
        match self {
            Self::Error => Some(Severity::Error),
            Self::Warning => Some(Severity::Warning),
            Self::Info => Some(Severity::Info),
            Self::Never => None,
        }
    }

    /// As the severity of a cause.
    pub(super) fn cause_severity(self) -> Option<CauseSeverity> {
        self.severity().map(|severity| match severity {
            Severity::Error => CauseSeverity::Error,
            Severity::Warning => CauseSeverity::Warning,
            Severity::Info => CauseSeverity::Info,
        })
    }
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// Done, and nothing at or above `--fail-on`.
    Success,
    /// Findings at or above `--fail-on`, or stragglers.
    Findings,
    /// Some proxies could not be read.
    Incomplete,
    /// Interrupted (SIGINT); log levels were put back first.
    Interrupted,
    /// Terminated (SIGTERM, SIGHUP); log levels were put back first.
    Terminated,
}

impl Exit {
    /// The process's exit code.
    #[must_use]
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Findings => 1,
            Self::Incomplete => 3,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }
}

/// Wrong usage or a wrong policy file; clap uses it too.
pub(super) const USAGE: u8 = 2;

/// The command could not run.
pub(super) const CANNOT_RUN: u8 = 4;
