//! Control planes and their mesh configuration (`mesh/v1alpha1/config.proto`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{ConnectionPool, Evidence, LabelSelector, ObjectMeta, Version};
use crate::model::duration::optional_duration;
use crate::model::sync::Instance;
use crate::model::{MeshSource, Origin, OriginKind};

/// Istio's mesh configuration, as one source gives it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeshConfig {
    /// `connectTimeout`.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_duration")]
    #[schemars(with = "Option<String>")]
    pub connect_timeout: Option<Duration>,
    /// `defaultTrafficPolicy.connectionPool` (Istio 1.31 and later).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_connection_pool: Option<ConnectionPool>,
    /// `defaultTrafficPolicy` is there: it takes the place of a weaker source's, whatever is in it.
    #[serde(default)]
    pub default_traffic_policy: bool,
    /// `defaultConfig.connectTimeout`, which reaches no service cluster.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "optional_duration")]
    #[schemars(with = "Option<String>")]
    pub default_config_connect_timeout: Option<Duration>,
    /// `rootNamespace`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_namespace: Option<String>,
    /// `outboundTrafficPolicy.mode`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbound_traffic_policy: Option<String>,
    /// `defaultDestinationRuleExportTo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_destination_rule_export_to: Option<Vec<String>>,
    /// `defaultServiceExportTo`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_service_export_to: Option<Vec<String>>,
    /// `discoverySelectors`: which namespaces the control plane reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery_selectors: Option<Vec<LabelSelector>>,
}

/// What kind of thing a mesh configuration was read from, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum MeshConfigKind {
    /// The ConfigMap that istiod's `SHARED_MESH_CONFIG` names; it loses against the control plane's own.
    Shared,
    /// The control plane's own ConfigMap, `istio` or `istio-REVISION`, key `mesh`.
    Own,
    /// What istiod itself says it uses (`/debug/mesh`), defaults filled in.
    Effective,
}

/// One source of a control plane's mesh configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeshConfigSource {
    /// What it is.
    pub kind: MeshConfigKind,
    /// The ConfigMap, or the pod that was asked.
    pub meta: ObjectMeta,
    /// What it says.
    #[serde(default)]
    pub config: MeshConfig,
    /// A ConfigMap's text as it was read; what changes it must keep the rest. Empty for what istiod says.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub text: Arc<str>,
    /// The ConfigMap's `metadata.resourceVersion`, so that a change of it can be refused where it is no longer as it was
    /// read; empty where it is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub resource_version: String,
    /// Why it could not be understood. Istio ignores a source like that, or keeps its last state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Who wrote it.
    #[serde(default)]
    pub evidence: Evidence,
}

/// The Deployment of a control plane.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Istiod {
    /// Name, namespace, age.
    pub meta: ObjectMeta,
    /// The image of its `discovery` container.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// `SHARED_MESH_CONFIG` of its environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared_mesh_config: Option<String>,
    /// `--domain` of its arguments: the domain of Kubernetes services; empty where it does not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub domain: String,
    /// Those variables of its environment that change how configuration is read (`pilot/pkg/features`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Who wrote it.
    #[serde(default)]
    pub evidence: Evidence,
}

/// One control plane: what proxies of one revision are configured by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ControlPlane {
    /// Its revision, `default` for the unnamed one.
    pub revision: String,
    /// Its namespace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Istio's version, empty where unknown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Its Deployment, where it runs in this cluster and could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub istiod: Option<Istiod>,
    /// Its mesh configuration's sources.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mesh: Vec<MeshConfigSource>,
    /// Its pods, and what they said of the proxies that are connected to them; `None` where pods could not be listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<Vec<Instance>>,
}

/// What a control plane's mesh configuration comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EffectiveMesh {
    /// The value for clusters that nothing else gives one.
    pub connect_timeout: Duration,
    /// `MeshConfig` or `MeshDefault`, with the source in its note.
    pub origin: Origin,
    /// `defaultTrafficPolicy.connectionPool`, where this version of Istio reads it.
    pub default_connection_pool: Option<ConnectionPool>,
    /// The namespace whose rules are for the whole mesh; empty for none.
    pub root_namespace: String,
    /// Whether DestinationRules without `exportTo` stay in their namespace.
    pub rules_are_private: bool,
    /// Who sees a service that does not say (`defaultServiceExportTo`); empty for everybody.
    pub services_export_to: Vec<String>,
    /// Which namespaces the control plane reads; empty for all.
    pub discovery_selectors: Vec<LabelSelector>,
    /// Why the value may be another: what stands in the ConfigMaps is refused, or it depends on what is not known.
    pub doubt: Option<String>,
    /// The built-in value that it may be instead, by a version that is not known.
    pub or_built_in: Option<Duration>,
}

impl MeshConfigSource {
    /// What stands in the place of a text that is not passed on: a comment of YAML.
    const WITHHELD: &str = "# left out: it holds credentials\n";

    /// Leaves out the text if it may hold credentials, such as the header that a provider of traces wants. Says whether.
    pub fn withhold_credentials(&mut self) -> bool {
        const WORDS: [&str; 10] = [
            "authorization",
            "token",
            "password",
            "passwd",
            "secret",
            "credential",
            "apikey",
            "api-key",
            "api_key",
            "privatekey",
        ];
        let text = self.text.to_ascii_lowercase();
        let found = WORDS.iter().any(|word| text.contains(word));
        if found {
            self.text = Arc::from(Self::WITHHELD);
        }
        found
    }

    /// Whether the text is not the one that was read.
    #[must_use]
    pub fn is_withheld(&self) -> bool {
        &*self.text == Self::WITHHELD
    }
}

impl ControlPlane {
    /// The revision's name where there is none.
    pub const DEFAULT_REVISION: &'static str = "default";

    /// Its version; `None` where unknown.
    #[must_use]
    pub fn parsed_version(&self) -> Option<Version> {
        Version::parse(&self.version)
    }

    /// Its version's first two numbers.
    #[must_use]
    pub fn minor_version(&self) -> Option<(u32, u32)> {
        self.parsed_version().map(|version| (version.major, version.minor))
    }

    /// The domain of Kubernetes services.
    #[must_use]
    pub fn domain(&self) -> &str {
        let said = self.istiod.as_ref().map_or("", |istiod| istiod.domain.as_str());
        if said.is_empty() { "cluster.local" } else { said }
    }

    /// A switch of istiod's environment.
    #[must_use]
    pub fn feature(&self, name: &str, default: bool) -> bool {
        let said = self.istiod.as_ref().and_then(|istiod| istiod.env.get(name));
        // As Go's strconv.ParseBool reads it.
        match said.map(String::as_str) {
            Some("1" | "t" | "T" | "TRUE" | "true" | "True") => true,
            Some("0" | "f" | "F" | "FALSE" | "false" | "False") => false,
            _ => default,
        }
    }

    /// The value that Istio has built in: 10 s, and 1 s up to 1.5 (`pkg/config/mesh/mesh.go`).
    #[must_use]
    pub fn built_in_connect_timeout(&self) -> Duration {
        match self.minor_version() {
            Some(version) if version < (1, 6) => Self::OLD_BUILT_IN,
            _ => Duration::from_secs(10),
        }
    }

    /// The value built in up to Istio 1.5.
    const OLD_BUILT_IN: Duration = Duration::from_secs(1);

    /// The longest `connectTimeout` that Istio takes (`pkg/config/validation/agent/validation.go`): 1 h, and 30 s up to
    /// 1.20.5 and 1.21.1; `None` where the version is not known.
    #[must_use]
    pub fn longest_connect_timeout(&self) -> Option<Duration> {
        let version = self.parsed_version()?;
        let short =
            version < Version::new(1, 20, 6) || (version >= Version::new(1, 21, 0) && version < Version::new(1, 21, 2));
        Some(if short { Duration::from_secs(30) } else { Duration::from_secs(3600) })
    }

    /// Why Istio refuses a value of `connectTimeout`, and with it the whole document.
    fn refusal(&self, value: Duration, at_least: Option<Version>) -> Option<Refusal> {
        let said = crate::model::format_duration(value);
        if value < Duration::from_millis(1) || !value.subsec_nanos().is_multiple_of(1_000_000) {
            return Some(Refusal::Certain(format!("Istio takes whole milliseconds from 1ms on, not {said}")));
        }
        let longest = Duration::from_secs(3600);
        match self.longest_connect_timeout() {
            _ if value > longest => Some(Refusal::Certain(format!("Istio takes 1h at most, not {said}"))),
            Some(longest) if value > longest => Some(Refusal::Certain(format!(
                "Istio {} takes {} at most, not {said}",
                self.version,
                crate::model::format_duration(longest)
            ))),
            None if value > Duration::from_secs(30)
                && at_least.is_none_or(|version| version < Version::new(1, 22, 0)) =>
            {
                Some(Refusal::Unknown(format!(
                    "Istio up to 1.20.5 and 1.21.1 takes 30s at most, not {said}, and the control plane's version is unknown"
                )))
            }
            _ => None,
        }
    }

    /// Why Istio takes nothing of a source, where that is certain. Of a source beside another one a refused value stays
    /// in force all the same (see `accepted`), and then this is `None`.
    #[must_use]
    pub fn refuses(&self, source: &MeshConfigSource) -> Option<String> {
        if source.error.is_some() || self.has_two_sources() {
            return source.error.clone();
        }
        match self.refusal(source.config.connect_timeout?, None)? {
            Refusal::Certain(reason) => Some(reason),
            Refusal::Unknown(_) => None,
        }
    }

    /// Whether there is a shared ConfigMap beside its own, or is to be one.
    fn has_two_sources(&self) -> bool {
        let written = self.mesh.iter().filter(|source| source.kind != MeshConfigKind::Effective);
        written.count() > 1 || self.istiod.as_ref().is_some_and(|istiod| istiod.shared_mesh_config.is_some())
    }

    /// Puts the sources together in Istio's order: built-in values, the shared ConfigMap, the control plane's own
    /// (`pilot/pkg/bootstrap/mesh.go`, `pkg/config/mesh/meshwatcher/collection.go`). What istiod itself says is complete
    /// and beats them. `None` where no source could be read.
    #[must_use]
    pub fn effective(&self) -> Option<EffectiveMesh> {
        self.effective_since(None)
    }

    /// The same for a control plane of an unknown version that is at least as new as its proxies.
    #[must_use]
    pub fn effective_since(&self, at_least: Option<Version>) -> Option<EffectiveMesh> {
        if self.mesh.is_empty() {
            return None;
        }
        let mut written: Vec<&MeshConfigSource> =
            self.mesh.iter().filter(|source| source.kind != MeshConfigKind::Effective).collect();
        written.sort_by_key(|source| source.kind);
        let running =
            self.mesh.iter().find(|source| source.kind == MeshConfigKind::Effective && source.error.is_none());
        let (sources, mut doubt) = match running {
            Some(running) => (vec![running], None),
            None => self.accepted(&written, at_least)?,
        };
        let last = |key: fn(&MeshConfig) -> bool| sources.iter().rev().find(|source| key(&source.config)).copied();
        let built_in = self.built_in_connect_timeout();
        let source = last(|config| config.connect_timeout.is_some());
        let value = source.and_then(|source| source.config.connect_timeout);
        let origin = match (running, source, value) {
            (Some(running), Some(_), Some(value)) => origin_of_running(running, &written, value, built_in),
            (_, Some(source), Some(_)) => named(source),
            _ => Origin::new(OriginKind::MeshDefault, true).with_note("the key is absent; Istio's built-in value"),
        };
        let mut or_built_in = None;
        let old = at_least.is_none_or(|version| version < Version::new(1, 6, 0));
        if value.is_none() && doubt.is_none() && self.parsed_version().is_none() && old {
            doubt = Some("Istio's built-in value is 1s up to 1.5 and 10s since, and the version is unknown".to_owned());
            or_built_in = Some(Self::OLD_BUILT_IN);
        }
        let config = |key: fn(&MeshConfig) -> bool| last(key).map(|source| &source.config);
        Some(EffectiveMesh {
            connect_timeout: value.unwrap_or(built_in),
            origin,
            default_connection_pool: config(|config| {
                config.default_traffic_policy || config.default_connection_pool.is_some()
            })
            .and_then(|config| config.default_connection_pool)
            .filter(|_| self.minor_version().is_none_or(|version| version >= (1, 31))),
            root_namespace: config(|config| config.root_namespace.is_some())
                .and_then(|config| config.root_namespace.clone())
                .unwrap_or_else(|| "istio-system".to_owned()),
            rules_are_private: config(|config| config.default_destination_rule_export_to.is_some())
                .and_then(|config| config.default_destination_rule_export_to.as_ref())
                .is_some_and(|export_to| export_to.iter().any(|target| target == ".")),
            services_export_to: config(|config| config.default_service_export_to.is_some())
                .and_then(|config| config.default_service_export_to.clone())
                .unwrap_or_default(),
            discovery_selectors: config(|config| config.discovery_selectors.is_some())
                .and_then(|config| config.discovery_selectors.clone())
                .unwrap_or_default(),
            doubt,
            or_built_in,
        })
    }

    /// The ConfigMaps that Istio takes, weakest first, and why that is not certain. A source that is refused alone
    /// leaves what was in force before it, which is the built-in values when istiod starts; of two, what the refused
    /// one says stays, since Istio changes the values in place, unless it cannot be read at all.
    fn accepted<'s>(
        &self,
        written: &[&'s MeshConfigSource],
        at_least: Option<Version>,
    ) -> Option<(Vec<&'s MeshConfigSource>, Option<String>)> {
        let two = self.has_two_sources();
        let mut sources = Vec::new();
        let mut doubt = None;
        for source in written {
            let place = if source.meta.name.is_empty() { String::new() } else { format!("{}: ", source.meta) };
            if let Some(error) = &source.error {
                doubt = Some(format!("{place}Istio refuses it ({error}), and keeps what it had before"));
                continue;
            }
            match source.config.connect_timeout.and_then(|value| self.refusal(value, at_least)) {
                Some(_) if two => sources.push(*source),
                Some(Refusal::Certain(reason)) => {
                    doubt = Some(format!("{place}{reason}; it refuses all of it, and keeps what it had before"));
                }
                Some(Refusal::Unknown(reason)) => {
                    doubt = Some(format!("{place}{reason}"));
                    sources.push(*source);
                }
                None => sources.push(*source),
            }
        }
        (!written.is_empty()).then_some((sources, doubt))
    }
}

/// Why a value is not taken.
enum Refusal {
    /// By every version that this can be.
    Certain(String),
    /// By some of them.
    Unknown(String),
}

/// Where what istiod uses was written: in a ConfigMap that says the same, else nowhere that could be read.
fn origin_of_running(
    running: &MeshConfigSource,
    written: &[&MeshConfigSource],
    value: Duration,
    built_in: Duration,
) -> Origin {
    let source = written.iter().rev().find(|source| source.error.is_none() && source.config.connect_timeout.is_some());
    let maps_read = written.iter().any(|source| source.kind == MeshConfigKind::Own);
    match source {
        Some(written) if written.config.connect_timeout == Some(value) => named(written),
        None if maps_read && value == built_in => {
            Origin::new(OriginKind::MeshDefault, true).with_note("the key is absent; Istio's built-in value")
        }
        // istiod holds another value than the ConfigMaps give: a file, or a change under way.
        _ => named(running),
    }
}

fn named(source: &MeshConfigSource) -> Origin {
    let object = source.meta.reference();
    let (source, note) = match source.kind {
        MeshConfigKind::Shared => (MeshSource::Shared(object), "shared mesh configuration"),
        MeshConfigKind::Own => (MeshSource::ConfigMap(object), ""),
        MeshConfigKind::Effective => (MeshSource::Istiod(object), "as istiod itself says"),
    };
    Origin::new(OriginKind::MeshConfig { source }, true).with_note(note)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(kind: MeshConfigKind, timeout: Option<u64>) -> MeshConfigSource {
        MeshConfigSource {
            kind,
            meta: ObjectMeta { namespace: "istio-system".into(), name: format!("{kind:?}"), created: None },
            config: MeshConfig { connect_timeout: timeout.map(Duration::from_secs), ..MeshConfig::default() },
            text: Arc::from(""),
            resource_version: String::new(),
            error: None,
            evidence: Evidence::default(),
        }
    }

    fn plane(version: &str, mesh: Vec<MeshConfigSource>) -> ControlPlane {
        ControlPlane { revision: "default".into(), version: version.into(), mesh, ..ControlPlane::default() }
    }

    #[test]
    fn merges_in_istios_order() {
        use MeshConfigKind::{Effective, Own, Shared};
        for (version, sources, expected, kind, name) in [
            ("1.20.0", vec![], None, "Unknown", ""),
            ("1.20.0", vec![source(Own, None)], Some(10), "MeshDefault", ""),
            ("1.5.10", vec![source(Own, None)], Some(1), "MeshDefault", ""),
            ("1.6.0", vec![source(Own, None)], Some(10), "MeshDefault", ""),
            ("1.20.0", vec![source(Own, Some(1))], Some(1), "MeshConfig", "Own"),
            ("1.20.0", vec![source(Own, Some(1)), source(Shared, Some(7))], Some(1), "MeshConfig", "Own"),
            ("1.20.0", vec![source(Own, None), source(Shared, Some(7))], Some(7), "MeshConfig", "Shared"),
            ("1.20.0", vec![source(Own, Some(1)), source(Effective, Some(1))], Some(1), "MeshConfig", "Own"),
            ("1.20.0", vec![source(Own, Some(1)), source(Effective, Some(4))], Some(4), "MeshConfig", "Effective"),
            ("1.20.0", vec![source(Own, None), source(Effective, Some(10))], Some(10), "MeshDefault", ""),
            ("1.20.0", vec![source(Effective, Some(10))], Some(10), "MeshConfig", "Effective"),
        ] {
            let effective = plane(version, sources).effective();
            assert_eq!(effective.as_ref().map(|mesh| mesh.connect_timeout.as_secs()), expected);
            if let Some(effective) = effective {
                let origin = &effective.origin.kind;
                let object = origin.object().map_or("", |object| object.name.as_str());
                assert_eq!((origin.as_str(), object), (kind, name), "{version}");
            }
        }
    }

    #[test]
    fn a_source_that_is_broken_counts_for_nothing() {
        let mut broken = source(MeshConfigKind::Own, Some(1));
        broken.error = Some("line 3: not YAML".into());
        let mesh = plane("1.20.0", vec![broken, source(MeshConfigKind::Shared, Some(7))]).effective();
        assert_eq!(mesh.map(|mesh| mesh.connect_timeout.as_secs()), Some(7));
    }

    #[test]
    fn the_default_traffic_policy_counts_from_1_31() {
        for (version, counts) in [("1.30.2", false), ("1.31.0-rc.0", true), ("", true)] {
            let mut own = source(MeshConfigKind::Own, None);
            own.config.default_connection_pool = Some(ConnectionPool { connect_timeout: Some(Duration::from_secs(3)) });
            let mesh = plane(version, vec![own]).effective();
            assert_eq!(mesh.is_some_and(|mesh| mesh.default_connection_pool.is_some()), counts, "{version}");
        }
    }
}
