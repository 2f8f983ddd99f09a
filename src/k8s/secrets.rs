//! What may be said of errors that can hold a credential: the place and the cause, and never the words of a library,
//! which quote what they were given.

use std::path::Path;

use kube::client::AuthError;
use kube::config::{KubeconfigError, LoadDataError};

use crate::decode::parse_error;

/// What a plugin failed of: never what it printed, or was given as arguments or in its environment.
#[derive(Debug, thiserror::Error)]
#[error("the credential plugin {command:?} {why}")]
pub(super) struct PluginError {
    /// The program, as its user may be told of it.
    pub(super) command: String,
    /// What it did.
    pub(super) why: String,
}

/// What a credential failure may say. Of plugins, see `plugin.rs`.
pub(super) fn describe_auth(error: &AuthError) -> String {
    match error {
        AuthError::MalformedTokenExpirationDate(_) => "the credential's expiry is no time".to_owned(),
        AuthError::InvalidBasicAuth(_) => "the user name or the password cannot be sent in a header".to_owned(),
        AuthError::InvalidBearerToken(_) => "the token cannot be sent in a header".to_owned(),
        AuthError::ReadTokenFile(source, path) => format!("the token file {} cannot be read: {source}", shown(path)),
        AuthError::OAuth(_) => "the kubeconfig's auth-provider gave no token (OAuth)".to_owned(),
        AuthError::Oidc(_) => "the kubeconfig's auth-provider gave no token (OpenID Connect)".to_owned(),
        AuthError::NoValidNativeRootCA(source) => format!("this machine's root certificates cannot be read: {source}"),
        _ => "the kubeconfig's auth-provider gave no token".to_owned(),
    }
}

/// What is wrong with a kubeconfig.
pub(super) fn describe_config(error: &KubeconfigError) -> String {
    match error {
        KubeconfigError::Parse(error) => parse_error::yaml(error),
        KubeconfigError::ReadConfig(source, path) => format!("{} cannot be read: {source}", path.display()),
        KubeconfigError::ParseClusterUrl(source) => format!("the server's URL cannot be read: {source}"),
        KubeconfigError::ParseProxyUrl(source) => format!("the proxy's URL cannot be read: {source}"),
        KubeconfigError::LoadCertificateAuthority(source) => describe_data("certificate authority", source),
        KubeconfigError::LoadClientCertificate(source) => describe_data("client certificate", source),
        KubeconfigError::LoadClientKey(source) => describe_data("client key", source),
        KubeconfigError::ParseCertificates(_) => "the certificate authority is not PEM".to_owned(),
        KubeconfigError::CurrentContextNotSet
        | KubeconfigError::KindMismatch
        | KubeconfigError::ApiVersionMismatch
        | KubeconfigError::LoadContext(_)
        | KubeconfigError::LoadClusterOfContext(_)
        | KubeconfigError::FindPath
        | KubeconfigError::MissingClusterUrl => error.to_string(),
        _ => "it cannot be used".to_owned(),
    }
}

fn describe_data(what: &str, error: &LoadDataError) -> String {
    match error {
        LoadDataError::DecodeBase64(_) => format!("the data of the {what} is not base64"),
        LoadDataError::ReadFile(source, path) => {
            format!("the file of the {what}, {}, cannot be read: {source}", shown(path))
        }
        LoadDataError::NoBase64DataOrFile => format!("the {what} has neither data nor a file"),
    }
}

/// A path, but for a name that no file has: a token or a key that stands where a path should.
pub(super) fn shown(path: &Path) -> String {
    match path.file_name() {
        Some(name) if is_credential(&name.to_string_lossy()) => path.with_file_name("…").display().to_string(),
        _ => path.display().to_string(),
    }
}

/// Whether a file's name is rather a JWT, PEM in base64, or letters and digits as nobody would name a file.
fn is_credential(name: &str) -> bool {
    const LONGEST: usize = 100;
    const RANDOM: usize = 20;
    let (digits, letters) = (name.chars().any(|c| c.is_ascii_digit()), name.chars().any(|c| c.is_ascii_alphabetic()));
    let without_words = name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '='));
    name.len() > LONGEST
        || name.starts_with("eyJ")
        || name.starts_with("LS0t")
        || (name.len() >= RANDOM && digits && letters && without_words)
}

/// A URL, or what was meant to be one, without user names and passwords and without its query, which has tokens in it as
/// often. A password may hold what ends an authority (`/`, `?`, `#`) and what ends a password (`@`): where that leaves
/// several ways to read it, no more is shown than can be in none of its secrets.
pub(crate) fn without_password(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let (host, query) = (rest.rfind('@'), rest.find(['?', '#']));
    match (host, query) {
        // A query with an `@`, or a password with a `?`.
        (Some(host), Some(query)) if query < host => format!("{scheme}…"),
        (host, query) => {
            let shown = &rest[host.map_or(0, |at| at + 1)..query.map_or(rest.len(), |at| at + 1)];
            let left_out = if query.is_some() { "…" } else { "" };
            format!("{scheme}{shown}{left_out}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_passwords_out_of_urls() {
        for (url, shown) in [
            ("https://10.0.0.1:6443", "https://10.0.0.1:6443"),
            ("https://host:1/a/b", "https://host:1/a/b"),
            ("https://host:1/a?token=x", "https://host:1/a?…"),
            ("host?token=x#y", "host?…"),
            ("host#x", "host#…"),
            ("no url", "no url"),
            ("", ""),
            ("me:pw@host", "host"),
            ("http://me@host/a", "http://host/a"),
            ("https://me:p@ss@host:1/a", "https://host:1/a"),
            ("http://me:p/w@host:1", "http://host:1"),
            ("http://me:p/w@s@host:1/a?b=c", "http://host:1/a?…"),
            ("http://me:a@b/w@host", "http://host"),
            // Nobody can tell a password with these from a query with an `@`.
            ("http://me:p?w@host:1", "http://…"),
            ("http://me:p#w@host:1", "http://…"),
            ("http://host/?token=a@b", "http://…"),
            ("me:p?w@host", "…"),
        ] {
            assert_eq!(without_password(url), shown, "{url}");
        }
    }

    #[test]
    fn tells_paths_from_what_stands_in_their_place() {
        for path in ["/var/run/secrets/token", "/home/me/kind-prod-eu-1.pem", "client-certificate-2026.crt", "./ca"] {
            assert_eq!(shown(Path::new(path)), path);
        }
        for secret in ["eyJhbGciOiJSUzI1NiJ9.e30.x", "LS0tLS1CRUdJTg==", "k8Jd93mLq0Zx71RtYvB2", &"a".repeat(101)] {
            assert_eq!(shown(&Path::new("/home/me").join(secret)), "/home/me/…");
        }
    }
}
