//! A client for one context, and what can go wrong with it.

use std::error::Error as StdError;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use kube::client::AuthError;
use kube::config::{ExecInteractiveMode, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use serde::de::DeserializeOwned;

use super::no_proxy;

/// Which cluster to talk to, and as whom: kubectl's flags.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// `--kubeconfig`; else `$KUBECONFIG`, `~/.kube/config`, the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// `--context`.
    pub context: Option<String>,
    /// `--cluster`.
    pub cluster: Option<String>,
    /// `--user`.
    pub user: Option<String>,
    /// `--as`.
    pub impersonate: Option<String>,
    /// `--as-group`.
    pub impersonate_groups: Vec<String>,
    /// `--as-uid`.
    pub impersonate_uid: Option<String>,
    /// The deadline of each request.
    pub request_timeout: Duration,
    /// Never let a credential plugin ask the user something.
    pub non_interactive: bool,
}

/// A cluster that can be talked to.
#[derive(Clone)]
pub struct Connection {
    pub(super) client: Client,
    pub(super) request_timeout: Duration,
    /// The context's name; `in-cluster` for a pod's service account.
    pub context: String,
    /// The context's namespace.
    pub namespace: String,
}

/// Why the API server gave no answer, or not the one asked for.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// There is no usable configuration.
    #[error("{0}")]
    Config(String),
    /// A context that the kubeconfig does not have.
    #[error("the kubeconfig has no context {name:?}")]
    UnknownContext {
        /// The one asked for.
        name: String,
        /// The ones it has.
        known: Vec<String>,
    },
    /// Credentials could not be had.
    #[error("{0}")]
    Credentials(String),
    /// The server did not accept the credentials (401).
    #[error("the API server does not accept these credentials: {0}")]
    Unauthorized(String),
    /// The user may not do it (403).
    #[error("{0}")]
    Forbidden(String),
    /// There is no such object (404).
    #[error("{0}")]
    NotFound(String),
    /// The server cannot be reached.
    #[error("the API server cannot be reached: {0}")]
    Unreachable(String),
    /// The server is busy (429, 503, 504).
    #[error("the API server is busy: {0}")]
    Busy(String),
    /// No answer in time.
    #[error("the API server did not answer within {0:?}")]
    Timeout(Duration),
    /// A page of a list is no longer to be had (410).
    #[error("{0}")]
    Expired(String),
    /// Any other answer.
    #[error("the API server answered {code}: {message}")]
    Other {
        /// The HTTP status.
        code: u16,
        /// Its message.
        message: String,
    },
}

impl From<kube::Error> for ApiError {
    fn from(error: kube::Error) -> Self {
        if let kube::Error::Api(status) = &error {
            return Self::from_status(status.code, &status.message);
        }
        if let Some(auth) = find::<AuthError>(&error) {
            return Self::Credentials(describe_auth(auth));
        }
        match &error {
            kube::Error::SerdeError(source) => {
                Self::Other { code: 200, message: format!("its answer is not what was asked for: {source}") }
            }
            kube::Error::InferConfig(_) | kube::Error::InferKubeconfig(_) | kube::Error::RustlsTls(_) => {
                Self::Config(innermost(&error))
            }
            _ => Self::Unreachable(innermost(&error)),
        }
    }
}

impl ApiError {
    pub(super) fn from_status(code: u16, message: &str) -> Self {
        let message = message.to_owned();
        match code {
            401 => Self::Unauthorized(message),
            403 => Self::Forbidden(message),
            404 => Self::NotFound(message),
            410 => Self::Expired(message),
            429 | 503 | 504 => Self::Busy(message),
            _ => Self::Other { code, message },
        }
    }
}

/// What a credential failure may say: never what the plugin printed or was given, which are secrets.
fn describe_auth(error: &AuthError) -> String {
    match error {
        AuthError::AuthExecRun { cmd, out } => {
            let program = cmd.split_whitespace().next().unwrap_or_default().trim_matches('"');
            format!("the credential plugin {program:?} failed ({})", out.status)
        }
        AuthError::AuthExecParse(_) => "the credential plugin's answer is not an ExecCredential".to_owned(),
        AuthError::AuthExecStart(source) => format!("the credential plugin could not be started: {source}"),
        other => innermost(other),
    }
}

fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The last cause in the chain: the outer ones only repeat which layer it went through.
pub(crate) fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// Reads the kubeconfig and prepares a client; nothing is sent yet.
pub async fn connect(options: &ConnectOptions) -> Result<Connection, ApiError> {
    let (mut config, context, proxy_url) = load(options).await?;
    let (host, port) = (config.cluster_url.host().unwrap_or_default().to_owned(), config.cluster_url.port_u16());
    let https = config.cluster_url.scheme_str() != Some("http");
    let port = port.unwrap_or(if https { 443 } else { 80 });
    let proxy = proxy_url.or_else(|| no_proxy::proxy_for(&host, port, https, |name| std::env::var(name).ok()));
    config.proxy_url = proxy
        .map(|proxy| {
            proxy.parse().map_err(|error| ApiError::Config(format!("the proxy's URL cannot be read: {error}")))
        })
        .transpose()?;
    // Its retries of 429 and 503 take over a minute, and say nothing meanwhile; ours are counted and bounded.
    config.default_retry = false;
    config.connect_timeout = Some(options.request_timeout);
    config.auth_info.impersonate = options.impersonate.clone().or(config.auth_info.impersonate);
    if !options.impersonate_groups.is_empty() {
        config.auth_info.impersonate_groups = Some(options.impersonate_groups.clone());
    }
    config.auth_info.impersonate_uid = options.impersonate_uid.clone().or(config.auth_info.impersonate_uid);
    if let Some(exec) = &mut config.auth_info.exec
        && (options.non_interactive || !std::io::stdin().is_terminal())
    {
        exec.interactive_mode = Some(ExecInteractiveMode::Never);
    }
    let agent = concat!("kubectl-meshaudit/", env!("CARGO_PKG_VERSION"));
    config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(agent)));
    let namespace = config.default_namespace.clone();
    let client = Client::try_from(config)?;
    Ok(Connection { client, request_timeout: options.request_timeout, context, namespace })
}

/// The configuration, its context's name, and the proxy that the kubeconfig itself names.
async fn load(options: &ConnectOptions) -> Result<(Config, String, Option<String>), ApiError> {
    let Some(kubeconfig) = read_kubeconfig(options)? else {
        let config = Config::incluster().map_err(|error| {
            ApiError::Config(format!(
                "no kubeconfig was found (--kubeconfig, $KUBECONFIG, ~/.kube/config), and this is no pod: {}",
                innermost(&error)
            ))
        })?;
        return Ok((config, "in-cluster".to_owned(), None));
    };
    let context = options.context.clone().or_else(|| kubeconfig.current_context.clone()).unwrap_or_default();
    let known: Vec<String> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
    if context.is_empty() {
        return Err(ApiError::Config(format!(
            "the kubeconfig has no current context; choose one with --context ({})",
            known.join(", ")
        )));
    }
    let Some(named) = kubeconfig.contexts.iter().find(|named| named.name == context) else {
        return Err(ApiError::UnknownContext { name: context, known });
    };
    let cluster = options.cluster.clone().or_else(|| named.context.as_ref().map(|context| context.cluster.clone()));
    let proxy = kubeconfig
        .clusters
        .iter()
        .find(|named| Some(&named.name) == cluster.as_ref())
        .and_then(|named| named.cluster.as_ref()?.proxy_url.clone())
        .filter(|url| !url.is_empty());
    let chosen = KubeConfigOptions {
        context: Some(context.clone()),
        cluster: options.cluster.clone(),
        user: options.user.clone(),
    };
    let config = Config::from_custom_kubeconfig(kubeconfig, &chosen).await.map_err(|error| {
        ApiError::Config(format!("context {context:?} of the kubeconfig cannot be used: {}", describe_config(&error)))
    })?;
    Ok((config, context, proxy))
}

fn describe_config(error: &KubeconfigError) -> String {
    let (outer, inner) = (error.to_string(), innermost(error));
    if outer.contains(&inner) { outer } else { format!("{outer}: {inner}") }
}

/// `None` where no kubeconfig was named and there is none at the usual places.
fn read_kubeconfig(options: &ConnectOptions) -> Result<Option<Kubeconfig>, ApiError> {
    let named = |path: &str, error: &KubeconfigError| {
        ApiError::Config(format!("kubeconfig {path}: {}", describe_config(error)))
    };
    if let Some(path) = &options.kubeconfig {
        return Kubeconfig::read_from(path).map(Some).map_err(|error| named(&path.display().to_string(), &error));
    }
    if let Some(paths) = std::env::var_os("KUBECONFIG").filter(|paths| !paths.is_empty()) {
        let text = paths.to_string_lossy().into_owned();
        return Kubeconfig::from_env().map_err(|error| named(&format!("$KUBECONFIG ({text})"), &error));
    }
    match std::env::home_dir().map(|home| home.join(".kube").join("config")).filter(|path| path.exists()) {
        Some(path) => {
            Kubeconfig::read_from(&path).map(Some).map_err(|error| named(&path.display().to_string(), &error))
        }
        None => Ok(None),
    }
}

/// The contexts that a kubeconfig offers, for completion.
pub fn kubeconfig_contexts(options: &ConnectOptions) -> Result<Vec<String>, ApiError> {
    let contexts = read_kubeconfig(options)?.map(|kubeconfig| kubeconfig.contexts).unwrap_or_default();
    Ok(contexts.into_iter().map(|context| context.name).collect())
}

impl Connection {
    /// Gets one object or one page, within the deadline. `path` is the API's, with its query.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        self.request(http::Request::get(path), path).await
    }

    /// Gets a list with nothing but its objects' metadata.
    pub(super) async fn get_metadata<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        let accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";
        self.request(http::Request::get(path).header(http::header::ACCEPT, accept), path).await
    }

    async fn request<T: DeserializeOwned>(&self, request: http::request::Builder, path: &str) -> Result<T, ApiError> {
        let request =
            request.body(Vec::new()).map_err(|error| ApiError::Config(format!("{path:?} is no path: {error}")))?;
        match tokio::time::timeout(self.request_timeout, self.client.request(request)).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(ApiError::Timeout(self.request_timeout)),
        }
    }
}
