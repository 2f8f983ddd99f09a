//! A client for one context.

use std::ffi::OsString;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use kube::config::{AuthInfo, Cluster, KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use super::audit_log::{AuditLog, Recorder, who};
use super::deadline::Deadline;
use super::encode::encode;
use super::error::{ApiError, innermost};
use super::kubeconfig::Overrides;
use super::outside::{never_repeat, never_repeat_basic};
use super::plugin::{Plugin, with_plugin};
use super::port::SpdyOnly;
use super::secrets;
use super::{no_proxy, own_authority};
use crate::input::{Until, open};
use crate::model::Who;

/// Which cluster to talk to, and as whom: kubectl's flags.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// `--kubeconfig`; else `$KUBECONFIG`, `~/.kube/config`, the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// What to take in place of `$KUBECONFIG`; empty for what stands where it is not set.
    pub kubeconfig_list: Option<OsString>,
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
    /// `--as-user-extra`: keys and values.
    pub impersonate_extra: Vec<(String, String)>,
    /// Flags that take the place of what the kubeconfig says.
    pub overrides: Overrides,
    /// How long one request may take (`--request-timeout`).
    pub request_timeout: Duration,
    /// The end of the command's time (`--timeout`).
    pub deadline: Deadline,
    /// Never let a credential plugin ask the user something.
    pub non_interactive: bool,
    /// The file to which each change is appended (`--audit-log`).
    pub audit_log: Option<PathBuf>,
}

/// A cluster that can be talked to.
#[derive(Clone)]
pub struct Connection {
    pub(super) client: Client,
    pub(super) request_timeout: Duration,
    pub(super) deadline: Deadline,
    pub(super) spdy_only: SpdyOnly,
    /// The API server's URL: scheme, host and port.
    pub server: String,
    /// Where changes are recorded.
    pub(super) audit_log: Option<AuditLog>,
    /// Who this is, for the audit log.
    pub(super) who: Who,
    /// The context's name; `in-cluster` for a pod's service account.
    pub context: String,
    /// The context's namespace.
    pub namespace: String,
}

impl Connection {
    /// What records changes of a pod's proxy.
    #[must_use]
    pub fn recorder(&self, namespace: &str, pod: &str) -> Recorder {
        self.audit_log.clone().map_or_else(Recorder::default, |log| {
            Recorder::new(log, self.who.clone(), (&self.context, &self.server), (namespace, pod))
        })
    }
}

/// Reads the kubeconfig and prepares a client; nothing is sent yet.
pub async fn connect(options: &ConnectOptions) -> Result<Connection, ApiError> {
    let (mut config, context, proxy_url, user) = load(options).await?;
    let (host, port) = (config.cluster_url.host().unwrap_or_default().to_owned(), config.cluster_url.port_u16());
    let https = config.cluster_url.scheme_str() != Some("http");
    let port = port.unwrap_or(if https { 443 } else { 80 });
    let proxy = proxy_url.or_else(|| no_proxy::proxy_for(&host, port, https, |name| std::env::var(name).ok()));
    if let Some((user, _)) = proxy.as_ref().and_then(|url| url.rsplit_once('@')) {
        let user = user.split_once("://").map_or(user, |(_, user)| user);
        if let Some((user, password)) = user.split_once(':') {
            never_repeat_basic(user, password);
        }
    }
    config.proxy_url = proxy
        .map(|proxy| {
            proxy.parse().map_err(|error| ApiError::Config(format!("the proxy's URL cannot be read: {error}")))
        })
        .transpose()?;
    // Its retries of 429 and 503 take over a minute, and say nothing meanwhile; ours are counted and bounded.
    config.default_retry = false;
    // Sooner than the answer's end, which counts the connecting, so that this is said of a server that takes no connection.
    config.connect_timeout = Some(options.request_timeout * 9 / 10);
    config.auth_info.impersonate = options.impersonate.clone().or(config.auth_info.impersonate);
    if !options.impersonate_groups.is_empty() {
        config.auth_info.impersonate_groups = Some(options.impersonate_groups.clone());
    }
    config.auth_info.impersonate_uid = options.impersonate_uid.clone().or(config.auth_info.impersonate_uid);
    for (key, value) in &options.impersonate_extra {
        let name = http::HeaderName::try_from(format!("impersonate-extra-{}", encode(&key.to_ascii_lowercase())));
        let (Ok(name), Ok(value)) = (name, http::HeaderValue::try_from(value)) else {
            return Err(ApiError::Config(format!("--as-user-extra {key}: its value cannot be sent in a header")));
        };
        config.headers.push((name, value));
    }
    let impersonated = config.auth_info.impersonate.clone();
    let agent = concat!("kubectl-meshaudit/", env!("CARGO_PKG_VERSION"));
    config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(agent)));
    let namespace = config.default_namespace.clone();
    let server = format!("{}://{host}:{port}", if https { "https" } else { "http" });
    let may_ask = !options.non_interactive && std::io::stdin().is_terminal();
    let client = client(config, options.deadline, &server, may_ask).await?;
    let audit_log = options.audit_log.as_ref().map(|path| {
        AuditLog::open(path)
            .map_err(|error| ApiError::Config(format!("the audit log {} cannot be written: {error}", path.display())))
    });
    let audit_log = audit_log.transpose()?;
    let who = who(user, impersonated);
    let (request_timeout, deadline) = (options.request_timeout, options.deadline);
    let spdy_only = SpdyOnly::default();
    Ok(Connection { client, request_timeout, deadline, spdy_only, server, audit_log, who, context, namespace })
}

/// Holds what a user is known by, so that nobody to whom it is sent can have it shown again. A plugin's token is held when
/// it comes.
fn keep_secret(user: &AuthInfo) {
    // kube hides them from everything but a document.
    let user_as_text = serde_json::to_value(user).unwrap_or_default();
    let text = |name: &str| user_as_text[name].as_str().unwrap_or_default();
    never_repeat(text("token"));
    never_repeat_basic(text("username"), text("password"));
    for (name, value) in user.auth_provider.iter().flat_map(|provider| &provider.config) {
        if name.contains("token") || name.contains("secret") {
            never_repeat(value);
        }
    }
    // Why it cannot be read is said when it is used.
    let file = user.token_file.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
    never_repeat(file.as_deref().unwrap_or_default().trim());
}

/// Makes a client, and runs the user's credential plugin. `may_ask` says whether there is anybody whom it could ask.
async fn client(mut config: Config, deadline: Deadline, server: &str, may_ask: bool) -> Result<Client, ApiError> {
    let user = &mut config.auth_info;
    keep_secret(user);
    // kube would run it and read whatever it prints; client-go has not had it since 1.26.
    if user
        .auth_provider
        .as_ref()
        .is_some_and(|provider| provider.name == "gcp" && provider.config.contains_key("cmd-path"))
    {
        let why = "the kubeconfig's auth-provider runs a command, which kubectl has not done since 1.26";
        return Err(ApiError::Credentials(format!("{why}: use a credential plugin (exec)")));
    }
    let plugin = Plugin::take(user, may_ask)?.map(Arc::new);
    if let Some(plugin) = &plugin
        && let Some((certificate, key)) = plugin.begin(deadline).await?
    {
        (user.client_certificate, user.client_key) = (None, None);
        user.client_certificate_data = Some(BASE64.encode(certificate));
        user.client_key_data = Some(BASE64.encode(key).into());
    }
    // Some providers read files meanwhile.
    let made = aside(deadline, move || own_authority::client(config)).await?;
    let made = made.map_err(|error| ApiError::from_transport(&error, server))?;
    Ok(match plugin {
        Some(plugin) => with_plugin(made, plugin),
        None => made,
    })
}

/// Work that may wait for a file, such as a pipe that nobody writes to: on a thread that is left to itself when the time is
/// over.
async fn aside<T: Send + 'static>(
    deadline: Deadline,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    match deadline.run(tokio::task::spawn_blocking(work)).await {
        Some(Ok(done)) => Ok(done),
        Some(Err(panicked)) => std::panic::resume_unwind(panicked.into_panic()),
        None => Err(ApiError::OutOfTime(deadline.total())),
    }
}

impl Connection {
    /// The same connection with another end of its time: for what has to be done whatever the command's is.
    #[must_use]
    pub fn with_deadline(&self, deadline: Deadline) -> Self {
        Self { deadline, ..self.clone() }
    }

    /// The end of the command's time.
    #[must_use]
    pub fn deadline(&self) -> Deadline {
        self.deadline
    }
}

/// The configuration, its context's name, the proxy that the kubeconfig itself names, and its name for the user.
async fn load(options: &ConnectOptions) -> Result<(Config, String, Option<String>, String), ApiError> {
    let own = options.clone();
    let read = aside(options.deadline, move || read_kubeconfig(&own)).await??;
    let Some(mut kubeconfig) = read.or_else(|| options.overrides.kubeconfig()) else {
        let config = Config::incluster().map_err(|error| {
            ApiError::Config(format!(
                "no kubeconfig was found (--kubeconfig, $KUBECONFIG, ~/.kube/config), and this is no pod: {}",
                innermost(&error)
            ))
        })?;
        return Ok((config, "in-cluster".to_owned(), None, String::new()));
    };
    let context = options.context.clone().or_else(|| kubeconfig.current_context.clone()).unwrap_or_default();
    let known: Vec<String> = kubeconfig.contexts.iter().map(|context| context.name.clone()).collect();
    if context.is_empty() {
        return Err(ApiError::Config(format!(
            "the kubeconfig has no current context; choose one with --context ({})",
            known.join(", ")
        )));
    }
    if !known.contains(&context) {
        return Err(ApiError::UnknownContext { name: context, known });
    }
    let (cluster, user) = (options.cluster.as_deref(), options.user.as_deref());
    options.overrides.apply(&mut kubeconfig, &context, cluster, user)?;
    let named = kubeconfig.contexts.iter().find(|named| named.name == context);
    let cluster = options.cluster.clone().or_else(|| Some(named?.context.as_ref()?.cluster.clone()));
    let user = options.user.clone().or_else(|| named?.context.as_ref()?.user.clone());
    let chosen_cluster = kubeconfig.clusters.iter().find(|named| Some(&named.name) == cluster.as_ref());
    let chosen_cluster = chosen_cluster.and_then(|named| named.cluster.as_ref());
    let chosen_user = kubeconfig.auth_infos.iter().find(|named| Some(&named.name) == user.as_ref());
    check_files(chosen_cluster, chosen_user.and_then(|named| named.auth_info.as_ref()))?;
    let proxy = chosen_cluster.and_then(|cluster| cluster.proxy_url.clone()).filter(|url| !url.is_empty());
    let chosen = KubeConfigOptions {
        context: Some(context.clone()),
        cluster: options.cluster.clone(),
        user: Some(user.clone().unwrap_or_default()),
    };
    let config = Config::from_custom_kubeconfig(kubeconfig, &chosen).await.map_err(|error| {
        ApiError::Config(format!(
            "context {context:?} of the kubeconfig cannot be used: {}",
            secrets::describe_config(&error)
        ))
    })?;
    Ok((config, context, proxy, user.unwrap_or_default()))
}

/// `None` where no kubeconfig was named and there is none at the usual places.
fn read_kubeconfig(options: &ConnectOptions) -> Result<Option<Kubeconfig>, ApiError> {
    let named = |path: &str, why: String| ApiError::Config(format!("kubeconfig {path}: {why}"));
    let until = Until::new(Some(options.deadline.moment()), || false);
    if let Some(path) = &options.kubeconfig {
        return read_file(path, until).map(Some).map_err(|why| named(&path.display().to_string(), why));
    }
    let list = options.kubeconfig_list.clone().or_else(|| std::env::var_os("KUBECONFIG"));
    if let Some(list) = list.filter(|list| !list.is_empty()) {
        // Files of the list that are not there are left out (`ClientConfigLoadingRules.Load`).
        let paths = std::env::split_paths(&list).filter(|path| !path.as_os_str().is_empty() && path.exists());
        let mut merged: Option<Kubeconfig> = None;
        for path in paths {
            let read = read_file(&path, until).and_then(|next| match merged.take() {
                Some(first) => first.merge(next).map_err(|error| secrets::describe_config(&error)),
                None => Ok(next),
            });
            merged = Some(read.map_err(|why| named(&format!("{} ($KUBECONFIG)", path.display()), why))?);
        }
        return Ok(merged);
    }
    match std::env::home_dir().map(|home| home.join(".kube").join("config")).filter(|path| path.exists()) {
        Some(path) => read_file(&path, until).map(Some).map_err(|why| named(&path.display().to_string(), why)),
        None => Ok(None),
    }
}

/// The most bytes of a kubeconfig, and of each file that it names: a thousand clusters have a few megabytes.
const MAX_FILE: u64 = 16 << 20;

fn too_large() -> String {
    format!("it is larger than {} MiB", MAX_FILE >> 20)
}

/// One file; the error says why it cannot be used.
fn read_file(path: &Path, until: Until) -> Result<Kubeconfig, String> {
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() && metadata.len() > MAX_FILE => Err(too_large()),
        // A pipe, as a shell makes it of `<(…)`, does not say how much comes, and stands in no directory.
        Ok(metadata) if !metadata.is_file() && !metadata.is_dir() => {
            let mut text = String::new();
            let read = open(path, until).and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text));
            read.map_err(|error| format!("it cannot be read: {error}"))?;
            if text.len() as u64 > MAX_FILE {
                return Err(too_large());
            }
            Kubeconfig::from_yaml(&text).map_err(|error| secrets::describe_config(&error))
        }
        _ => Kubeconfig::read_from(path).map_err(|error| secrets::describe_config(&error)),
    }
}

/// Refuses files of a cluster and of a user that are no certificate, key or token: for their size, or since they are pipes
/// and devices, which may have no end.
fn check_files(cluster: Option<&Cluster>, user: Option<&AuthInfo>) -> Result<(), ApiError> {
    let authority = cluster.and_then(|cluster| cluster.certificate_authority.as_ref());
    let own = user.into_iter().flat_map(|user| {
        [user.client_certificate.as_ref(), user.client_key.as_ref(), user.token_file.as_ref()].into_iter().flatten()
    });
    for path in authority.into_iter().chain(own).filter(|path| !path.is_empty()) {
        let why = match std::fs::metadata(path) {
            Ok(metadata) if !metadata.is_file() => "it is no plain file".to_owned(),
            Ok(metadata) if metadata.len() > MAX_FILE => too_large(),
            // What is not there is said with what it is for.
            _ => continue,
        };
        return Err(ApiError::Config(format!("{}: {why}", secrets::shown(Path::new(path)))));
    }
    Ok(())
}

/// The contexts that a kubeconfig offers, for completion.
pub fn kubeconfig_contexts(options: &ConnectOptions) -> Result<Vec<String>, ApiError> {
    let contexts = read_kubeconfig(options)?.map(|kubeconfig| kubeconfig.contexts).unwrap_or_default();
    Ok(contexts.into_iter().map(|context| context.name).collect())
}
