//! Istio's mesh configuration, as a ConfigMap's YAML or `/debug/mesh`'s JSON (`istio.mesh.v1alpha1.MeshConfig`).

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use super::parse_error;
use crate::model::objects::{ConnectionPool, MeshConfig};
use crate::model::parse_duration;

/// Reads a duration that may be absent.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    text.map(|text| parse_duration(&text).map_err(de::Error::custom)).transpose()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawTcp {
    #[serde(default, deserialize_with = "duration")]
    connect_timeout: Option<Duration>,
}

/// A `connectionPool`.
#[derive(Deserialize)]
pub(super) struct RawPool {
    tcp: Option<RawTcp>,
}

impl From<RawPool> for ConnectionPool {
    fn from(raw: RawPool) -> Self {
        Self { connect_timeout: raw.tcp.and_then(|tcp| tcp.connect_timeout) }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPolicy {
    connection_pool: Option<RawPool>,
}

#[derive(Deserialize)]
struct RawMode {
    mode: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawProxyConfig {
    #[serde(default, deserialize_with = "duration")]
    connect_timeout: Option<Duration>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawMesh {
    #[serde(default, deserialize_with = "duration")]
    connect_timeout: Option<Duration>,
    default_traffic_policy: Option<RawPolicy>,
    default_config: Option<RawProxyConfig>,
    root_namespace: Option<String>,
    outbound_traffic_policy: Option<RawMode>,
    default_destination_rule_export_to: Option<Vec<String>>,
}

/// Reads a mesh configuration, YAML or JSON; an empty one sets nothing. The error says where it stops making sense.
pub fn parse(text: &str) -> Result<MeshConfig, String> {
    let raw = serde_saphyr::from_str::<Option<RawMesh>>(text).map_err(|error| parse_error::yaml(&error))?;
    let Some(raw) = raw else { return Ok(MeshConfig::default()) };
    Ok(MeshConfig {
        connect_timeout: raw.connect_timeout,
        default_connection_pool: raw.default_traffic_policy.and_then(|policy| policy.connection_pool).map(Into::into),
        default_config_connect_timeout: raw.default_config.and_then(|config| config.connect_timeout),
        root_namespace: raw.root_namespace,
        outbound_traffic_policy: raw.outbound_traffic_policy.and_then(|policy| policy.mode),
        default_destination_rule_export_to: raw.default_destination_rule_export_to,
    })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_a_config_map() {
        let mesh = parse(
            "accessLogFile: /dev/stdout\nconnectTimeout: 1s\ndefaultConfig:\n  connectTimeout: 10.0s\n  \
             discoveryAddress: istiod.istio-system.svc:15012\nrootNamespace: istio-system\ntrustDomain: cluster.local\n\
             outboundTrafficPolicy:\n  mode: REGISTRY_ONLY\n",
        )
        .unwrap();
        assert_eq!(mesh.connect_timeout, Some(Duration::from_secs(1)));
        assert_eq!(mesh.default_config_connect_timeout, Some(Duration::from_secs(10)));
        assert_eq!(mesh.root_namespace.as_deref(), Some("istio-system"));
        assert_eq!(mesh.outbound_traffic_policy.as_deref(), Some("REGISTRY_ONLY"));
    }

    #[test]
    fn reads_debug_mesh() {
        let json = r#"{"proxyListenPort":15001,"connectTimeout":"10s","defaultTrafficPolicy":{"connectionPool":{"tcp":{"connectTimeout":"3s"}}},"rootNamespace":"istio-system"}"#;
        let mesh = parse(json).unwrap();
        assert_eq!(mesh.connect_timeout, Some(Duration::from_secs(10)));
        assert_eq!(mesh.default_connection_pool.unwrap().connect_timeout, Some(Duration::from_secs(3)));
    }

    #[test]
    fn nothing_sets_nothing() {
        for text in ["", "{}", "# only a comment\n", "null"] {
            assert_eq!(parse(text), Ok(MeshConfig::default()), "{text:?}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        assert!(parse("connectTimeout: 10").unwrap_err().contains("10"));
        assert!(parse("connectTimeout: soon").unwrap_err().contains("soon"));
        assert!(parse("a: [").is_err());
    }

    proptest! {
        #[test]
        fn is_total(text in ".{0,80}") {
            let _ = parse(&text);
        }
    }
}
