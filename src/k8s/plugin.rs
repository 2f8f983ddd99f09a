//! Credential plugins: programs that a kubeconfig names (`user.exec`), and that print an `ExecCredential` (client-go,
//! `plugin/pkg/client/auth/exec/exec.go`). They are run here, since kube reads whatever they print, for as long as they
//! print it.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{AUTHORIZATION, HeaderValue};
use jiff::{SignedDuration, Timestamp};
use kube::Client;
use kube::client::Body;
use kube::config::{AuthInfo, ExecConfig, ExecInteractiveMode};
use serde::Deserialize;
use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::Mutex;
use tower::BoxError;

use super::deadline::Deadline;
use super::error::ApiError;
use super::outside::never_repeat;
use super::secrets::PluginError;
use crate::decode::parse_error;
use crate::system::kill_tree;

/// The most that a plugin may print: a token and a chain of certificates have some kilobytes.
const MAX_OUTPUT: usize = 1 << 20;

/// The longest that a plugin may take, in which somebody may have to log in with a browser.
const MAX_TIME: Duration = Duration::from_secs(300);

/// How long is read from what a plugin has started and left behind, after its own end.
const AFTER_ITS_END: Duration = Duration::from_secs(1);

/// How long before its end a token is renewed.
const BEFORE_ITS_END: SignedDuration = SignedDuration::from_secs(60);

/// How long a token is used at least: one that has always ended (a clock that goes wrong) is not asked for with every
/// request.
const LEAST_USE: Duration = Duration::from_secs(10);

/// A credential plugin, and what it gave last.
#[derive(Debug)]
pub(super) struct Plugin {
    exec: ExecConfig,
    /// The program, as its user may be told of it.
    command: String,
    /// Whether it may ask its user something.
    interactive: bool,
    last: Mutex<Option<Credential>>,
}

/// What a plugin gives.
#[derive(Debug)]
struct Credential {
    /// The value of `Authorization`, which is marked as sensitive.
    token: Option<HeaderValue>,
    ends: Option<Timestamp>,
    taken: Instant,
}

/// A certificate and its key, as PEM.
type Identity = (String, String);

/// `ExecCredential` of client.authentication.k8s.io, v1beta1 and v1.
#[derive(Deserialize)]
struct Answer {
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    expiration_timestamp: Option<String>,
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
}

impl Plugin {
    /// Takes a user's plugin out, where it has no credential that comes before it. `may_ask` says whether there is anybody
    /// who could be asked.
    pub(super) fn take(user: &mut AuthInfo, may_ask: bool) -> Result<Option<Self>, PluginError> {
        let Some(exec) = user.exec.take() else { return Ok(None) };
        let basic = user.username.is_some() && user.password.is_some();
        if basic || user.auth_provider.is_some() || user.token.is_some() || user.token_file.is_some() {
            return Ok(None);
        }
        let command = exec.command.clone().unwrap_or_default();
        // A whole command line in the place of a program's name: what follows the name may be a key.
        let command = match command.split_once(char::is_whitespace) {
            Some((program, _)) if !Path::new(&command).exists() => format!("{program} …"),
            _ => command,
        };
        let interactive = may_ask && exec.interactive_mode != Some(ExecInteractiveMode::Never);
        let plugin = Self { command, interactive, last: Mutex::default(), exec };
        if plugin.exec.interactive_mode == Some(ExecInteractiveMode::Always) && !interactive {
            let why = "has to ask its user something (interactiveMode: Always), and nobody can be asked here";
            return Err(plugin.failed(why));
        }
        Ok(Some(plugin))
    }

    fn failed(&self, why: impl Into<String>) -> PluginError {
        PluginError { command: self.command.clone(), why: why.into() }
    }

    /// Runs it for the first time. What it gives for TLS is for the caller; its token is kept.
    pub(super) async fn begin(&self, deadline: Deadline) -> Result<Option<Identity>, ApiError> {
        let late = || {
            let total = deadline.total();
            ApiError::Credentials(
                self.failed(format!("did not end within the whole command's {total:?} (--timeout)")).to_string(),
            )
        };
        let (credential, identity) = deadline.run(self.run()).await.ok_or_else(late)?.map_err(ApiError::from)?;
        *self.last.lock().await = Some(credential);
        Ok(identity)
    }

    /// The value of `Authorization`, which is asked for anew when it is about to end.
    async fn authorization(&self) -> Result<Option<HeaderValue>, PluginError> {
        let mut last = self.last.lock().await;
        if let Some(credential) = last.as_ref().filter(|credential| !credential.is_about_to_end()) {
            return Ok(credential.token.clone());
        }
        let (credential, _) = self.run().await?;
        Ok(last.insert(credential).token.clone())
    }

    /// Runs it to its end, within its bounds.
    async fn run(&self) -> Result<(Credential, Option<Identity>), PluginError> {
        let mut running = Running(self.command()?.spawn().map_err(|error| self.not_started(&error))?);
        let stdout = running.0.stdout.take();
        let work = tokio::time::timeout(MAX_TIME, running.output(stdout)).await;
        let output = work.map_err(|_| self.failed(format!("did not end within {MAX_TIME:?}")))?;
        let (status, printed) = output.map_err(|error| self.failed(format!("could not be read: {error}")))?;
        if printed.len() > MAX_OUTPUT {
            return Err(self.failed(format!("printed more than {} KiB", MAX_OUTPUT >> 10)));
        }
        if !status.success() {
            return Err(self.failed(format!("failed ({status})")));
        }
        self.read(&printed)
    }

    fn not_started(&self, error: &std::io::Error) -> PluginError {
        let hint = self.exec.install_hint.as_deref().map(str::trim).filter(|hint| !hint.is_empty());
        match hint.filter(|_| error.kind() == std::io::ErrorKind::NotFound) {
            Some(hint) => self.failed(format!("could not be started: {error}; the kubeconfig says: {hint}")),
            None => self.failed(format!("could not be started: {error}")),
        }
    }

    fn command(&self) -> Result<Command, PluginError> {
        let name = self.exec.command.as_deref().filter(|command| !command.is_empty());
        let mut command = Command::new(name.ok_or_else(|| self.failed("has no command"))?);
        command.args(self.exec.args.iter().flatten());
        let set = self.exec.env.iter().flatten();
        command.envs(set.filter_map(|pair| Some((pair.get("name")?, pair.get("value")?))));
        let mut spec = json!({"interactive": self.interactive});
        if self.exec.provide_cluster_info {
            let cluster =
                self.exec.cluster.as_ref().ok_or_else(|| self.failed("asks for a cluster that is not named"))?;
            let cluster = serde_json::to_value(cluster);
            spec["cluster"] = cluster.map_err(|_| self.failed("asks for a cluster that cannot be put into words"))?;
        }
        let info = json!({"apiVersion": self.exec.api_version, "kind": "ExecCredential", "spec": spec});
        command.env("KUBERNETES_EXEC_INFO", info.to_string());
        // What it says is for somebody who can answer; nobody else is shown it.
        let (stdin, stderr) =
            if self.interactive { (Stdio::inherit(), Stdio::inherit()) } else { (Stdio::null(), Stdio::null()) };
        command.stdin(stdin).stdout(Stdio::piped()).stderr(stderr).kill_on_drop(true);
        Ok(command)
    }

    fn read(&self, printed: &[u8]) -> Result<(Credential, Option<Identity>), PluginError> {
        let odd = |why: &str| self.failed(format!("gave no ExecCredential: {why}"));
        let answer: Answer = serde_saphyr::from_slice(printed).map_err(|error| odd(&parse_error::yaml(&error)))?;
        let status = answer.status.ok_or_else(|| odd("it has no status"))?;
        let ends = status.expiration_timestamp.map(|text| text.parse());
        let ends = ends.transpose().map_err(|_| odd("its expirationTimestamp is no time"))?;
        let token = status.token.filter(|token| !token.is_empty());
        token.iter().for_each(|token| never_repeat(token));
        let token = token.map(|token| HeaderValue::try_from(format!("Bearer {token}"))).transpose();
        let mut token = token.map_err(|_| odd("its token cannot be sent in a header"))?;
        token.iter_mut().for_each(|token| token.set_sensitive(true));
        let identity = status.client_certificate_data.zip(status.client_key_data);
        if token.is_none() && identity.is_none() {
            return Err(odd("it has neither a token nor a certificate with its key"));
        }
        Ok((Credential { token, ends, taken: Instant::now() }, identity))
    }
}

impl From<PluginError> for ApiError {
    fn from(error: PluginError) -> Self {
        Self::Credentials(error.to_string())
    }
}

impl Credential {
    fn is_about_to_end(&self) -> bool {
        self.ends.is_some_and(|ends| Timestamp::now() + BEFORE_ITS_END >= ends) && self.taken.elapsed() >= LEAST_USE
    }
}

/// A plugin that goes on; what it started ends with it where nobody waits for it any more.
struct Running(Child);

impl Running {
    /// Reads what it prints, and waits for its end. One that prints a byte more than it may is ended.
    async fn output(&mut self, stdout: Option<ChildStdout>) -> std::io::Result<(ExitStatus, Vec<u8>)> {
        let mut printed = Vec::new();
        let status = {
            let pid = self.0.id();
            let reading = async {
                let Some(stdout) = stdout else { return Ok(0) };
                let mut stdout = stdout.take(MAX_OUTPUT as u64 + 1);
                let read = stdout.read_to_end(&mut printed).await?;
                if read > MAX_OUTPUT {
                    // Once its pipe is closed it may end, and nothing tells any more what it has started.
                    pid.into_iter().for_each(kill_tree);
                }
                std::io::Result::Ok(read)
            };
            tokio::pin!(reading);
            tokio::select! {
                read = &mut reading => {
                    if read? > MAX_OUTPUT {
                        self.0.start_kill()?;
                    }
                    self.0.wait().await?
                }
                status = self.0.wait() => {
                    // A process that it left behind may keep the pipe open.
                    let _ = tokio::time::timeout(AFTER_ITS_END, reading).await;
                    status?
                }
            }
        };
        Ok((status, printed))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(pid) = self.0.id() {
            kill_tree(pid);
        }
    }
}

/// A client that sends with each request what a plugin gives.
pub(super) fn with_plugin(client: Client, plugin: Arc<Plugin>) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = tower::service_fn(move |mut request: http::Request<Body>| {
        let (client, plugin) = (client.clone(), Arc::clone(&plugin));
        async move {
            if let Some(token) = plugin.authorization().await? {
                request.headers_mut().insert(AUTHORIZATION, token);
            }
            client.send(request).await.map_err(BoxError::from)
        }
    });
    Client::new(service, namespace)
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn plugin(script: &str) -> Plugin {
        let exec = ExecConfig {
            command: Some("sh".to_owned()),
            args: Some(vec!["-c".to_owned(), script.to_owned()]),
            ..ExecConfig::default()
        };
        Plugin::take(&mut AuthInfo { exec: Some(exec), ..AuthInfo::default() }, false).expect("one").expect("one")
    }

    fn answer(status: &str) -> String {
        format!(
            r#"printf '%s\n' '{{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {status}}}'"#
        )
    }

    async fn fails(script: &str) -> String {
        plugin(script).begin(Deadline::after(Duration::from_secs(20))).await.expect_err("an error").to_string()
    }

    #[tokio::test]
    async fn a_plugin_is_bounded_and_its_words_are_not_passed_on() {
        let of = Duration::from_secs(1);
        let hangs = plugin("sleep 60").begin(Deadline::after(of)).await.expect_err("an error").to_string();
        assert!(hangs.contains("did not end within the whole command's 1s"), "{hangs}");
        for (script, why) in [
            ("yes SECRET", "printed more than 1024 KiB"),
            ("yes SECRET >&2 & yes SECRET", "printed more than 1024 KiB"),
            ("echo SECRET; echo SECRET >&2; exit 3", "failed (exit status: 3)"),
            ("kill -9 $$", "failed (signal: 9"),
            ("echo SECRET", "gave no ExecCredential"),
            ("exec >&-", "gave no ExecCredential"),
            ("echo '{\"kind\": \"ExecCredential\", \"x\": \"SECRET\"}'", "it has no status"),
            (&*answer(r#"{"token": ""}"#), "neither a token nor"),
            (&*answer(r#"{"clientKeyData": "SECRET"}"#), "neither a token nor"),
            (&*answer(r#"{"token": "SECRET\nSECRET"}"#), "cannot be sent"),
            (&*answer(r#"{"token": "SECRET", "expirationTimestamp": "SECRET"}"#), "is no time"),
            (&*answer(r#"{"token": {"SECRET": 1}}"#), "gave no ExecCredential"),
        ] {
            let said = fails(script).await;
            assert!(said.contains(why) && said.contains("\"sh\"") && !said.contains("SECRET"), "{script}: {said}");
        }
    }

    #[tokio::test]
    async fn what_a_plugin_leaves_behind_holds_nobody_up() {
        let begun = Instant::now();
        let plugin = plugin(&format!("sleep 60 & {}", answer(r#"{"token": "t"}"#)));
        plugin.begin(Deadline::never()).await.expect("a credential");
        assert!(begun.elapsed() < Duration::from_secs(30));
        assert_eq!(plugin.authorization().await.expect("one"), Some(HeaderValue::from_static("Bearer t")));
    }

    #[tokio::test]
    async fn a_token_is_renewed_before_it_ends() {
        let count = tempfile::NamedTempFile::new().expect("a file");
        let path = count.path().display();
        let status = r#"{"token": "t'$(wc -l <COUNT)'", "expirationTimestamp": "2020-01-01T00:00:00Z"}"#;
        let script = answer(status).replace("COUNT", &path.to_string());
        let plugin = plugin(&format!("echo >> {path}; {script}"));
        plugin.begin(Deadline::never()).await.expect("a credential");
        let token =
            async || plugin.authorization().await.expect("one").expect("a token").to_str().expect("text").to_owned();
        // Its clock may be another: it is not run for every request.
        assert_eq!((token().await, token().await), ("Bearer t1".to_owned(), "Bearer t1".to_owned()));
        plugin.last.lock().await.as_mut().expect("one").taken = Instant::now().checked_sub(LEAST_USE).expect("a time");
        assert_eq!((token().await, token().await), ("Bearer t2".to_owned(), "Bearer t2".to_owned()));
        let shown = format!("{:?}", plugin.last.lock().await);
        assert!(!shown.contains("t2"), "{shown}");
    }

    #[tokio::test]
    async fn a_plugin_is_given_what_the_contract_says() {
        let exec = ExecConfig {
            api_version: Some("client.authentication.k8s.io/v1".to_owned()),
            command: Some("sh".to_owned()),
            args: Some(vec![
                "-c".to_owned(),
                format!(
                    "[ \"$KEY\" = value ] && [ \"$KUBERNETES_EXEC_INFO\" = '{}' ] && ! read line && {}",
                    r#"{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","spec":{"interactive":false}}"#,
                    answer(r#"{"clientCertificateData": "c", "clientKeyData": "k", "token": "t"}"#)
                ),
            ]),
            env: Some(vec![
                [("name", "KEY"), ("value", "value")].map(|(key, value)| (key.to_owned(), value.to_owned())).into(),
            ]),
            ..ExecConfig::default()
        };
        let user = AuthInfo { exec: Some(exec), ..AuthInfo::default() };
        let plugin = Plugin::take(&mut user.clone(), false).expect("one").expect("one");
        let identity = plugin.begin(Deadline::never()).await.expect("a credential");
        assert_eq!(identity, Some(("c".to_owned(), "k".to_owned())));
        let mut token = AuthInfo { token: Some("t".to_owned().into()), ..user.clone() };
        assert!(Plugin::take(&mut token, false).expect("sound").is_none(), "a token comes before a plugin");
        let mut asks = user;
        asks.exec.as_mut().expect("one").interactive_mode = Some(ExecInteractiveMode::Always);
        let said = Plugin::take(&mut asks, false).expect_err("nobody is there").to_string();
        assert!(said.contains("interactiveMode: Always"), "{said}");
    }
}
