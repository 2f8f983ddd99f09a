//! Pods, as far as this program looks at them, and which of them are proxies (facts from `pkg/kube/inject` and its
//! templates).

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};

use super::pod_config;
use crate::model::{Proxy, ProxyId, ProxyRole, StartupLogLevels};

/// Some servers write `null` for what is not there, in place of leaving it out.
fn null_as_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// The fields of a pod that are used; the rest is never kept.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Pod {
    #[serde(deserialize_with = "null_as_default")]
    metadata: Metadata,
    #[serde(deserialize_with = "null_as_default")]
    spec: PodSpec,
    #[serde(deserialize_with = "null_as_default")]
    status: PodStatus,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    #[serde(deserialize_with = "null_as_default")]
    name: String,
    #[serde(deserialize_with = "null_as_default")]
    namespace: String,
    #[serde(deserialize_with = "null_as_default")]
    uid: String,
    #[serde(deserialize_with = "null_as_default")]
    labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "null_as_default")]
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodSpec {
    #[serde(deserialize_with = "null_as_default")]
    containers: Vec<Container>,
    #[serde(deserialize_with = "null_as_default")]
    init_containers: Vec<Container>,
    #[serde(deserialize_with = "null_as_default")]
    node_name: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    #[serde(deserialize_with = "null_as_default")]
    name: String,
    #[serde(deserialize_with = "null_as_default")]
    image: String,
    #[serde(deserialize_with = "null_as_default")]
    command: Vec<String>,
    #[serde(deserialize_with = "null_as_default")]
    args: Vec<String>,
    #[serde(deserialize_with = "null_as_default")]
    env: Vec<EnvVar>,
    #[serde(deserialize_with = "null_as_default")]
    ports: Vec<ContainerPort>,
    #[serde(deserialize_with = "null_as_default")]
    restart_policy: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct EnvVar {
    #[serde(deserialize_with = "null_as_default")]
    name: String,
    #[serde(deserialize_with = "null_as_default")]
    value: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerPort {
    #[serde(deserialize_with = "null_as_default")]
    container_port: u16,
    #[serde(deserialize_with = "null_as_default")]
    name: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodStatus {
    #[serde(deserialize_with = "null_as_default")]
    phase: String,
    #[serde(deserialize_with = "null_as_default")]
    reason: String,
    #[serde(deserialize_with = "null_as_default")]
    container_statuses: Vec<ContainerStatus>,
    #[serde(deserialize_with = "null_as_default")]
    init_container_statuses: Vec<ContainerStatus>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerStatus {
    #[serde(deserialize_with = "null_as_default")]
    name: String,
    #[serde(deserialize_with = "null_as_default")]
    restart_count: u32,
    #[serde(deserialize_with = "null_as_default")]
    state: ContainerState,
    #[serde(deserialize_with = "null_as_default")]
    last_state: ContainerState,
}

/// At most one of them is there; none is the same as waiting.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct ContainerState {
    running: Option<Running>,
    waiting: Option<Waiting>,
    terminated: Option<Terminated>,
}

#[derive(Debug, Clone, Default, Deserialize)]
struct Running {}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Waiting {
    #[serde(deserialize_with = "null_as_default")]
    reason: String,
    #[serde(deserialize_with = "null_as_default")]
    message: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Terminated {
    #[serde(deserialize_with = "null_as_default")]
    reason: String,
    #[serde(deserialize_with = "null_as_default")]
    exit_code: i64,
}

impl Pod {
    /// Namespace and name.
    #[must_use]
    pub fn name(&self) -> (&str, &str) {
        (&self.metadata.namespace, &self.metadata.name)
    }

    /// Whether its phase is Running.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.status.phase == "Running"
    }

    /// Its UID: a pod of the same name that comes after it has another.
    #[must_use]
    pub fn uid(&self) -> &str {
        &self.metadata.uid
    }

    /// Its phase: Pending, Running, Succeeded, Failed or Unknown.
    #[must_use]
    pub fn phase(&self) -> &str {
        &self.status.phase
    }

    /// How often a container was restarted, where the kubelet says.
    #[must_use]
    pub fn restarts(&self, container: &str) -> Option<u32> {
        self.statuses().find(|status| status.name == container).map(|status| status.restart_count)
    }

    /// Whether a container may run: the kubelet does not say that it does not.
    #[must_use]
    pub fn may_run(&self, container: &str) -> bool {
        let status = self.statuses().find(|status| status.name == container);
        status.is_none_or(|status| status.state.waiting.is_none() && status.state.terminated.is_none())
    }

    /// The number of a port that a container names.
    #[must_use]
    pub fn named_port(&self, name: &str) -> Option<u16> {
        let mut ports = self.spec.containers.iter().flat_map(|container| &container.ports);
        ports.find(|port| port.name == name).map(|port| port.container_port)
    }

    /// How many bytes of text it keeps: what a list of pods costs.
    #[must_use]
    pub fn weight(&self) -> usize {
        let text =
            |map: &BTreeMap<String, String>| map.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        let containers = self.spec.containers.iter().chain(&self.spec.init_containers).map(|container| {
            let words = container.words().map(str::len).sum::<usize>();
            let env = container.env.iter().map(|env| 48 + env.name.len() + env.value.len()).sum::<usize>();
            200 + container.image.len() + words + env + 32 * container.ports.len()
        });
        let statuses = self.status.container_statuses.len() + self.status.init_container_statuses.len();
        400 + text(&self.metadata.labels)
            + text(&self.metadata.annotations)
            + containers.sum::<usize>()
            + 300 * statuses
    }

    /// The named containers, or all but Istio's own where none is named: those that have a log.
    pub fn containers_with_logs<'a>(&'a self, named: &'a [String]) -> impl Iterator<Item = &'a str> {
        let native = self.spec.init_containers.iter().filter(|container| container.restart_policy == "Always");
        self.spec.containers.iter().chain(native).map(|container| container.name.as_str()).filter(move |name| {
            let wanted =
                if named.is_empty() { *name != "istio-proxy" } else { named.iter().any(|wanted| wanted == name) };
            wanted && self.has_log(name)
        })
    }

    /// Whether a container runs or has run. In a pod that is pending some may have, in a running one some may not.
    fn has_log(&self, container: &str) -> bool {
        match self.statuses().find(|status| status.name == container) {
            Some(status) => {
                let (state, last) = (&status.state, &status.last_state);
                state.running.is_some() || state.terminated.is_some() || last.terminated.is_some()
            }
            None => !matches!(self.status.phase.as_str(), "" | "Pending"),
        }
    }

    fn statuses(&self) -> impl Iterator<Item = &ContainerStatus> {
        self.status.container_statuses.iter().chain(&self.status.init_container_statuses)
    }

    /// What is wrong with its containers, by what the kubelet says of them: the named one's state if it does not run,
    /// else that of an init container that all wait for.
    #[must_use]
    pub fn trouble(&self, container: &str) -> Option<String> {
        let native =
            |name: &str| self.spec.init_containers.iter().any(|own| own.name == name && own.restart_policy == "Always");
        let init = self.status.init_container_statuses.iter().filter(|status| !native(&status.name));
        let blocking = init
            .filter(|status| status.state.terminated.as_ref().is_none_or(|ended| ended.exit_code != 0))
            .find_map(|status| Some(format!("its init container {}", status.describe()?)));
        let own = self.statuses().find(|status| status.name == container);
        let own = own.filter(|status| status.state.running.is_none());
        // What waits for an init container says no more than that.
        blocking.or_else(|| Some(format!("its container {}", own?.describe()?)))
    }

    /// The containers' ports by name; of two of one name the first counts (`FindPort` of
    /// `pilot/pkg/serviceregistry/kube/controller/util.go`).
    fn named_ports(&self) -> BTreeMap<String, u16> {
        let mut named = BTreeMap::new();
        let native = self.spec.init_containers.iter().filter(|container| container.restart_policy == "Always");
        for port in self.spec.containers.iter().chain(native).flat_map(|container| &container.ports) {
            if !port.name.is_empty() {
                named.entry(port.name.clone()).or_insert(port.container_port);
            }
        }
        named
    }

    /// The proxy in this pod, or why there is none to be audited.
    pub fn proxy(&self, id: ProxyId) -> Result<Proxy, String> {
        let (labels, annotations) = (&self.metadata.labels, &self.metadata.annotations);
        let native = self.spec.init_containers.iter().filter(|container| container.restart_policy == "Always");
        let mut containers = self.spec.containers.iter().chain(native);
        let Some(container) = containers.clone().find(|container| container.name == "istio-proxy") else {
            return Err(if containers.any(|container| container.name == "agentgateway") {
                "agentgateway, which is not Envoy".to_owned()
            } else {
                "no istio-proxy container".to_owned()
            });
        };
        let role = match container.role() {
            _ if labels.get("app").is_some_and(|app| app == "ztunnel") => Err("ztunnel, which is not Envoy".to_owned()),
            Some("ztunnel") => Err("ztunnel, which is not Envoy".to_owned()),
            Some("router") => Ok(ProxyRole::Gateway),
            Some("waypoint") => Ok(ProxyRole::Waypoint),
            _ => Ok(ProxyRole::Sidecar),
        }?;
        let env = |name: &str| container.env.iter().find(|env| env.name == name).map(|env| env.value.as_str());
        if env("ISTIO_META_GENERATOR") == Some("grpc") || env("DISABLE_ENVOY") == Some("true") {
            return Err("proxyless gRPC: there is no Envoy".to_owned());
        }
        if !self.is_running() {
            let phase = if self.status.phase.is_empty() { "Unknown" } else { &self.status.phase };
            let evicted = Some(self.status.reason.clone()).filter(|reason| !reason.is_empty());
            let why = self.trouble(&container.name).or(evicted).map(|why| format!(": {why}")).unwrap_or_default();
            return Err(format!("not running (phase {phase}){why}"));
        }
        let annotated = annotations.get("proxy.istio.io/config").map(String::as_str);
        let admin_port = env("PROXY_CONFIG")
            .and_then(pod_config::admin_port)
            .or_else(|| annotated.and_then(pod_config::admin_port))
            .unwrap_or(Proxy::ADMIN_PORT);
        let statuses = self.statuses().filter(|status| status.name == container.name);
        let restart_count = statuses.map(|status| status.restart_count).sum();
        let revision = annotations.get("istio.io/rev").or_else(|| labels.get("istio.io/rev"));
        Ok(Proxy {
            id,
            role,
            revision: revision.cloned().unwrap_or_default(),
            istio_version: container.image_version().unwrap_or_default().to_owned(),
            labels: labels.clone(),
            ports: self.named_ports(),
            node: self.spec.node_name.clone(),
            cluster_id: env("ISTIO_META_CLUSTER_ID").unwrap_or_default().to_owned(),
            network: env("ISTIO_META_NETWORK").unwrap_or_default().to_owned(),
            admin_port,
            container: container.name.clone(),
            uid: self.metadata.uid.clone(),
            restart_count,
            startup_log_levels: StartupLogLevels {
                level: container
                    .argument("--proxyLogLevel")
                    .or_else(|| annotations.get("sidecar.istio.io/logLevel").map(String::as_str))
                    .map(str::to_owned),
                components: container
                    .argument("--proxyComponentLogLevel")
                    .or_else(|| annotations.get("sidecar.istio.io/componentLogLevel").map(String::as_str))
                    .map(str::to_owned),
            },
            debug_lease: None,
        })
    }
}

impl ContainerStatus {
    /// `istio-proxy is waiting (CrashLoopBackOff; ended with exit code 1, 4 restarts)`.
    fn describe(&self) -> Option<String> {
        let ended = |ended: &Terminated| {
            let reason = Some(ended.reason.as_str()).filter(|reason| !matches!(*reason, "" | "Error" | "Completed"));
            let reason = reason.map(|reason| format!(", {}", short(reason))).unwrap_or_default();
            format!("ended with exit code {}{reason}", ended.exit_code)
        };
        let mut said = Vec::new();
        let state = match (&self.state.waiting, &self.state.terminated) {
            (Some(waiting), _) => {
                said.extend(Some(short(&waiting.reason)).filter(|reason| !reason.is_empty()));
                said.extend(self.last_state.terminated.as_ref().map(ended));
                // The kubelet's words on a crash loop only repeat it.
                if self.last_state.terminated.is_none() && !waiting.message.is_empty() {
                    said.push(short(&waiting.message));
                }
                "is waiting"
            }
            (None, Some(terminated)) => {
                said.push(ended(terminated));
                "does not run"
            }
            (None, None) => return None,
        };
        if self.restart_count > 0 {
            let s = if self.restart_count == 1 { "" } else { "s" };
            said.push(format!("{} restart{s}", self.restart_count));
        }
        let said = if said.is_empty() { String::new() } else { format!(" ({})", said.join("; ")) };
        Some(format!("{} {state}{said}", self.name))
    }
}

/// The beginning of a text that the cluster gives.
fn short(text: &str) -> String {
    let line: Vec<&str> = text.split_whitespace().take(40).collect();
    let line = line.join(" ");
    match line.char_indices().nth(200) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line,
    }
}

impl Container {
    fn words(&self) -> impl Iterator<Item = &str> {
        self.command.iter().chain(&self.args).map(String::as_str)
    }

    /// The word after `proxy` in pilot-agent's arguments.
    fn role(&self) -> Option<&str> {
        self.words().skip_while(|word| *word != "proxy").nth(1)
    }

    /// A flag's value, as `--flag=value` or as the next word.
    fn argument(&self, flag: &str) -> Option<&str> {
        let mut words = self.words();
        while let Some(word) = words.next() {
            if let Some(rest) = word.strip_prefix(flag) {
                match rest.strip_prefix('=') {
                    Some(value) => return Some(value),
                    None if rest.is_empty() => return words.next(),
                    None => {}
                }
            }
        }
        None
    }

    /// The version in an image's tag: `docker.io/istio/proxyv2:1.29.2-distroless` gives `1.29.2`.
    fn image_version(&self) -> Option<&str> {
        let name = self.image.split('@').next()?;
        let (_, tag) = name.rsplit('/').next()?.split_once(':')?;
        let version = tag.split('-').next()?;
        version.starts_with(|c: char| c.is_ascii_digit()).then_some(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(status: &str) -> Pod {
        let spec = r#"{"containers":[{"name":"app"},{"name":"istio-proxy","args":["proxy","sidecar"]}],
            "initContainers":[{"name":"istio-init"},{"name":"log-agent","restartPolicy":"Always"}]}"#;
        serde_json::from_str(&format!(
            r#"{{"metadata":{{"name":"p","namespace":"n"}},"spec":{spec},"status":{status}}}"#
        ))
        .expect("a pod")
    }

    fn skipped(status: &str) -> String {
        pod(status).proxy(ProxyId::new("n", "p")).expect_err("not running")
    }

    #[test]
    fn names_the_states_of_containers() {
        let crash = r#"{"phase":"Running","containerStatuses":[{"name":"istio-proxy","restartCount":4,
            "state":{"waiting":{"reason":"CrashLoopBackOff","message":"back-off 40s restarting failed container"}},
            "lastState":{"terminated":{"reason":"Error","exitCode":1}}}]}"#;
        assert_eq!(
            pod(crash).trouble("istio-proxy").as_deref(),
            Some("its container istio-proxy is waiting (CrashLoopBackOff; ended with exit code 1; 4 restarts)")
        );
        let killed = crash.replace(r#""reason":"Error","exitCode":1"#, r#""reason":"OOMKilled","exitCode":137"#);
        assert!(pod(&killed).trouble("istio-proxy").is_some_and(|text| text.contains("exit code 137, OOMKilled")));
        let image = r#"{"phase":"Pending","containerStatuses":[{"name":"istio-proxy",
            "state":{"waiting":{"reason":"ImagePullBackOff","message":"Back-off pulling image \"x\""}}}]}"#;
        assert_eq!(
            skipped(image),
            "not running (phase Pending): its container istio-proxy is waiting (ImagePullBackOff; Back-off pulling image \"x\")"
        );
        let init = r#"{"phase":"Pending","initContainerStatuses":[{"name":"istio-init","restartCount":1,
            "state":{"terminated":{"exitCode":255,"reason":"Error"}}}],"containerStatuses":[{"name":"istio-proxy",
            "state":{"waiting":{"reason":"PodInitializing"}}}]}"#;
        assert_eq!(
            skipped(init),
            "not running (phase Pending): its init container istio-init does not run (ended with exit code 255; 1 restart)"
        );
        assert_eq!(skipped(r#"{"phase":"Failed","reason":"Evicted"}"#), "not running (phase Failed): Evicted");
        assert_eq!(skipped("{}"), "not running (phase Unknown)");
        let sound = r#"{"phase":"Running","containerStatuses":[{"name":"istio-proxy","state":{"running":{}}}]}"#;
        assert_eq!(pod(sound).trouble("istio-proxy"), None);
        assert!(pod(sound).proxy(ProxyId::new("n", "p")).is_ok());
    }

    #[test]
    fn a_container_that_has_run_has_a_log() {
        let logs = |status: &str| pod(status).containers_with_logs(&[]).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(logs(r#"{"phase":"Running"}"#), ["app", "log-agent"]);
        assert!(logs(r#"{"phase":"Pending"}"#).is_empty());
        let partly = r#"{"phase":"Pending","initContainerStatuses":[{"name":"log-agent","state":{"running":{}}}],
            "containerStatuses":[{"name":"app","state":{"waiting":{"reason":"PodInitializing"}}}]}"#;
        assert_eq!(logs(partly), ["log-agent"]);
        let again = r#"{"phase":"Running","containerStatuses":[{"name":"app","state":{"waiting":{}},
            "lastState":{"terminated":{"exitCode":1}}}]}"#;
        assert_eq!(logs(again), ["app", "log-agent"]);
    }
}
