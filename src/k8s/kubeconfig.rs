//! What flags change in a kubeconfig, as kubectl has it (`client-go/tools/clientcmd/client_config.go`).

use std::fmt;
use std::path::PathBuf;

use kube::config::{AuthInfo, Cluster, Context, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext};

use super::error::ApiError;

/// A bearer token, which nothing prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl From<String> for Token {
    fn from(token: String) -> Self {
        Self(token)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Flags that take the place of what the kubeconfig says of the server, the identity and its trust.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// `--server`.
    pub server: Option<String>,
    /// `--token`.
    pub token: Option<Token>,
    /// `--certificate-authority`.
    pub certificate_authority: Option<PathBuf>,
    /// `--client-certificate`.
    pub client_certificate: Option<PathBuf>,
    /// `--client-key`.
    pub client_key: Option<PathBuf>,
    /// `--tls-server-name`.
    pub tls_server_name: Option<String>,
    /// `--proxy-url`.
    pub proxy_url: Option<String>,
    /// `--insecure-skip-tls-verify`.
    pub insecure_skip_tls_verify: bool,
    /// `--disable-compression`.
    pub disable_compression: bool,
}

/// The context of a command line that names a server and has no kubeconfig.
const NAMELESS: &str = "command-line";

impl Overrides {
    /// A kubeconfig of flags alone, where they name a server.
    pub(super) fn kubeconfig(&self) -> Option<Kubeconfig> {
        self.server.as_ref()?;
        let name = || NAMELESS.to_owned();
        let context = Context { cluster: name(), user: Some(name()), ..Context::default() };
        Some(Kubeconfig {
            current_context: Some(name()),
            contexts: vec![NamedContext { name: name(), context: Some(context), ..NamedContext::default() }],
            clusters: vec![NamedCluster { name: name(), cluster: Some(Cluster::default()), ..NamedCluster::default() }],
            auth_infos: vec![NamedAuthInfo {
                name: name(),
                auth_info: Some(AuthInfo::default()),
                ..NamedAuthInfo::default()
            }],
            ..Kubeconfig::default()
        })
    }

    /// Changes the cluster and the user that a context uses. `cluster` and `user` are the flags that choose others.
    pub(super) fn apply(
        &self,
        kubeconfig: &mut Kubeconfig,
        context: &str,
        cluster: Option<&str>,
        user: Option<&str>,
    ) -> Result<(), ApiError> {
        let own = kubeconfig.contexts.iter().find(|named| named.name == context);
        let own = own.and_then(|named| named.context.clone()).unwrap_or_default();
        let cluster = cluster.unwrap_or(&own.cluster);
        let user = user.or(own.user.as_deref()).filter(|user| !user.is_empty());
        let Some(named) = kubeconfig.clusters.iter_mut().find(|named| named.name == cluster) else {
            let known = names(kubeconfig.clusters.iter().map(|named| &named.name));
            return Err(ApiError::Config(format!("the kubeconfig has no cluster {cluster:?} (it has: {known})")));
        };
        self.change_cluster(named.cluster.get_or_insert_default());
        let Some(user) = user else {
            // Nobody in particular; what the flags say of the user still counts.
            let mut info = AuthInfo::default();
            self.change_user(&mut info);
            kubeconfig.auth_infos.push(NamedAuthInfo {
                name: String::new(),
                auth_info: Some(info),
                ..NamedAuthInfo::default()
            });
            return Ok(());
        };
        let Some(named) = kubeconfig.auth_infos.iter_mut().find(|named| named.name == user) else {
            let known = names(kubeconfig.auth_infos.iter().map(|named| &named.name));
            return Err(ApiError::Config(format!("the kubeconfig has no user {user:?} (it has: {known})")));
        };
        self.change_user(named.auth_info.get_or_insert_default());
        Ok(())
    }

    fn change_cluster(&self, cluster: &mut Cluster) {
        if self.insecure_skip_tls_verify || self.certificate_authority.is_some() {
            cluster.insecure_skip_tls_verify = Some(self.insecure_skip_tls_verify);
            cluster.certificate_authority = text(self.certificate_authority.as_ref());
            cluster.certificate_authority_data = None;
        }
        if self.tls_server_name.is_some() || self.server.is_some() {
            cluster.tls_server_name.clone_from(&self.tls_server_name);
        }
        if self.proxy_url.is_some() {
            cluster.proxy_url.clone_from(&self.proxy_url);
        }
        if self.disable_compression {
            cluster.disable_compression = Some(true);
        }
        if let Some(server) = &self.server {
            // Without a scheme it is https where anything is said of TLS (`rest.DefaultServerURL`).
            let tls = self.insecure_skip_tls_verify
                || self.client_certificate.is_some()
                || cluster.certificate_authority.is_some()
                || cluster.certificate_authority_data.is_some();
            let scheme = if tls { "https" } else { "http" };
            cluster.server = Some(if server.contains("://") { server.clone() } else { format!("{scheme}://{server}") });
        }
    }

    fn change_user(&self, user: &mut AuthInfo) {
        if let Some(Token(token)) = &self.token {
            // A token that is named comes before every other way to have one.
            (user.token, user.token_file) = (Some(token.clone().into()), None);
            (user.exec, user.auth_provider) = (None, None);
            (user.username, user.password) = (None, None);
        }
        if self.client_certificate.is_some() {
            (user.client_certificate, user.client_certificate_data) = (text(self.client_certificate.as_ref()), None);
        }
        if self.client_key.is_some() {
            (user.client_key, user.client_key_data) = (text(self.client_key.as_ref()), None);
        }
    }
}

fn text(path: Option<&PathBuf>) -> Option<String> {
    path.map(|path| path.to_string_lossy().into_owned())
}

fn names<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.take(20).map(String::as_str).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubeconfig() -> Kubeconfig {
        Kubeconfig::from_yaml(
            "current-context: c
contexts: [{name: c, context: {cluster: k, user: u}}]
clusters: [{name: k, cluster: {server: 'https://a:1', certificate-authority-data: AAAA, tls-server-name: a}}]
users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: plug}}}]
",
        )
        .expect("a kubeconfig")
    }

    fn applied(overrides: &Overrides) -> (Cluster, AuthInfo) {
        let mut kubeconfig = kubeconfig();
        overrides.apply(&mut kubeconfig, "c", None, None).expect("a cluster and a user");
        let cluster = kubeconfig.clusters.remove(0).cluster.expect("a cluster");
        (cluster, kubeconfig.auth_infos.remove(0).auth_info.expect("a user"))
    }

    #[test]
    fn flags_come_before_the_file_as_with_kubectl() {
        let server = Overrides { server: Some("b:2".to_owned()), ..Overrides::default() };
        let (cluster, user) = applied(&server);
        assert_eq!((cluster.server.as_deref(), cluster.tls_server_name), (Some("https://b:2"), None));
        assert!(user.exec.is_some() && cluster.certificate_authority_data.is_some());
        let insecure = Overrides { insecure_skip_tls_verify: true, ..Overrides::default() };
        let (cluster, _) = applied(&insecure);
        assert_eq!((cluster.insecure_skip_tls_verify, cluster.certificate_authority_data), (Some(true), None));
        let token = Overrides { token: Some(Token("t".to_owned())), ..Overrides::default() };
        let (_, user) = applied(&token);
        assert!(user.token.is_some() && user.exec.is_none());
        assert_eq!(format!("{token:?}").matches("\"t\"").count(), 0);
    }

    #[test]
    fn who_is_not_there_is_an_error_and_not_anonymous() {
        let apply = |cluster, user| Overrides::default().apply(&mut kubeconfig(), "c", cluster, user);
        let said = |outcome: Result<(), ApiError>| outcome.expect_err("refused").to_string();
        assert_eq!(said(apply(None, Some("nope"))), "the kubeconfig has no user \"nope\" (it has: u)");
        assert_eq!(said(apply(Some("x"), None)), "the kubeconfig has no cluster \"x\" (it has: k)");
        assert!(apply(None, None).is_ok());
    }
}
