//! What may be said of errors that can hold a credential: the place and the cause, and never the words of a library,
//! which quote what they were given.

use std::path::Path;

use kube::client::AuthError;
use kube::config::{ExecConfig, KubeconfigError, LoadDataError};

use crate::decode::parse_error;

/// A credential plugin, by what its user may be told of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plugin {
    /// The program, as the kubeconfig has it.
    command: String,
    /// How it is installed, in the words of whoever wrote the kubeconfig.
    hint: Option<String>,
}

impl Plugin {
    pub(super) fn new(exec: &ExecConfig) -> Self {
        let command = exec.command.clone().unwrap_or_default();
        // A whole command line in the place of a program's name: what follows the name may be a key.
        let command = match command.split_once(char::is_whitespace) {
            Some((program, _)) if !Path::new(&command).exists() => format!("{program} …"),
            _ => command,
        };
        Self { command, hint: exec.install_hint.clone().filter(|hint| !hint.trim().is_empty()) }
    }
}

/// What a credential failure may say: never what a plugin printed, or was given as arguments or in its environment.
pub(super) fn describe_auth(error: &AuthError, plugin: Option<&Plugin>) -> String {
    let name = name(plugin);
    match error {
        AuthError::AuthExecRun { out, .. } => format!("the credential plugin{name} failed ({})", out.status),
        AuthError::AuthExecParse(_) | AuthError::ExecPluginFailed => {
            format!("the answer of the credential plugin{name} is not an ExecCredential")
        }
        AuthError::AuthExecStart(source) => {
            let hint = plugin.and_then(|plugin| plugin.hint.as_deref()).filter(|_| is_missing(source));
            let hint = hint.map_or_else(String::new, |hint| format!("; the kubeconfig says: {}", hint.trim()));
            format!("the credential plugin{name} could not be started: {source}{hint}")
        }
        AuthError::MissingCommand => "the kubeconfig's credential plugin has no command".to_owned(),
        AuthError::MalformedTokenExpirationDate(_) => "the credential's expiry is no time".to_owned(),
        AuthError::InvalidBasicAuth(_) => "the user name or the password cannot be sent in a header".to_owned(),
        AuthError::InvalidBearerToken(_) => "the token cannot be sent in a header".to_owned(),
        AuthError::ReadTokenFile(source, path) => format!("the token file {} cannot be read: {source}", shown(path)),
        AuthError::OAuth(_) => "the kubeconfig's auth-provider gave no token (OAuth)".to_owned(),
        AuthError::Oidc(_) => "the kubeconfig's auth-provider gave no token (OpenID Connect)".to_owned(),
        AuthError::ExecMissingClusterInfo => {
            format!("the credential plugin{name} asks for a cluster that is not named")
        }
        AuthError::NoValidNativeRootCA(source) => format!("this machine's root certificates cannot be read: {source}"),
        _ => "the kubeconfig's auth-provider gave no token".to_owned(),
    }
}

/// The plugin's name with a blank in front, if it is known.
pub(super) fn name(plugin: Option<&Plugin>) -> String {
    plugin.map_or_else(String::new, |plugin| format!(" {:?}", plugin.command))
}

fn is_missing(error: &std::io::Error) -> bool {
    error.kind() == std::io::ErrorKind::NotFound
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

/// A URL, or what was meant to be one, without what stands before an `@` in its authority (user names and passwords) and
/// without its query, which has tokens in it as often.
pub(crate) fn without_password(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    // A password may hold what ends an authority; only a URL that is sound is cut there.
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = match rest[..end].contains('@') || !rest.contains('@') {
        true => rest.split_at(end),
        false => (rest, ""),
    };
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let plain = format!("{scheme}{host}{path}");
    match plain.find(['?', '#']) {
        Some(at) => format!("{}…", &plain[..=at]),
        None => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_passwords_out_of_urls() {
        assert_eq!(without_password("https://10.0.0.1:6443"), "https://10.0.0.1:6443");
        assert_eq!(without_password("https://me:p@ss@host:1/a@b?c=d@e"), "https://host:1/a@b?…");
        assert_eq!(without_password("me:pw@host?token=x#y"), "host?…");
        assert_eq!(without_password("no url"), "no url");
        assert_eq!(without_password("me:pw@host"), "host");
        assert_eq!(without_password("http://me:p/w@host:1"), "http://host:1");
    }

    #[test]
    fn names_the_plugin_and_nothing_else() {
        let exec = ExecConfig {
            command: Some("plug".to_owned()),
            install_hint: Some("brew install plug".to_owned()),
            ..serde_json::from_str("{}").expect("a plugin")
        };
        let plugin = Plugin::new(&exec);
        let started = AuthError::AuthExecStart(std::io::ErrorKind::NotFound.into());
        let said = describe_auth(&started, Some(&plugin));
        assert!(said.contains("\"plug\"") && said.contains("brew install plug"), "{said}");
        let said = describe_auth(&AuthError::AuthExec("SECRET".to_owned()), Some(&plugin));
        assert!(!said.contains("SECRET"), "{said}");
        let line = ExecConfig { command: Some("plug --key SECRET".to_owned()), ..exec };
        let said = describe_auth(&started, Some(&Plugin::new(&line)));
        assert!(said.contains("plug …") && !said.contains("SECRET"), "{said}");
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
