//! Istio's mesh configuration, as a ConfigMap's YAML or `/debug/mesh`'s JSON (`istio.mesh.v1alpha1.MeshConfig`).
//!
//! Istio takes a document whole or not at all (`pkg/config/mesh/mesh.go`, `ApplyMeshConfig`), so all of it is looked
//! at, and not only what is of use here.

use serde::Deserialize;
use serde_json::{Map, Value};
use serde_saphyr::DuplicateKeyPolicy;

use super::destination_rule::RawPool;
use super::duration::go_duration;
use super::proto_json;
use crate::decode::parse_error;
use crate::model::istio::{LabelSelector, MeshConfig};

/// Reads a mesh configuration, YAML or JSON; an empty one sets nothing. The error says why Istio refuses it. What is
/// refused by some versions only, the value of `connectTimeout`, is for [`crate::model::istio::ControlPlane`] to judge.
pub fn parse(text: &str) -> Result<MeshConfig, String> {
    let document = match document(text)? {
        Value::Null => return Ok(MeshConfig::default()),
        Value::Object(document) => document,
        _ => return Err("it is no mapping of keys to values".to_owned()),
    };
    let document = Value::Object(document);
    proto_json::check(&document)?;
    let Value::Object(fields) = document else { return Ok(MeshConfig::default()) };
    let fields = &fields;
    check_trust_domains(fields)?;
    let text = |json, proto| Some(field(fields, json, proto)?.as_str()?.to_owned());
    let policy = field(fields, "defaultTrafficPolicy", "default_traffic_policy").and_then(Value::as_object);
    let pool = policy.and_then(|policy| field(policy, "connectionPool", "connection_pool"));
    let default_config = field(fields, "defaultConfig", "default_config").and_then(Value::as_object);
    let outbound = field(fields, "outboundTrafficPolicy", "outbound_traffic_policy").and_then(Value::as_object);
    Ok(MeshConfig {
        connect_timeout: field(fields, "connectTimeout", "connect_timeout")
            .and_then(Value::as_str)
            .map(go_duration)
            .transpose()
            .map_err(|error| format!("connectTimeout: {error}"))?,
        default_connection_pool: pool
            .map(RawPool::deserialize)
            .transpose()
            .map_err(|error| format!("defaultTrafficPolicy.connectionPool: {error}"))?
            .map(Into::into),
        default_traffic_policy: policy.is_some(),
        // Istio does not know the key there, so it may hold anything.
        default_config_connect_timeout: default_config
            .and_then(|config| go_duration(config.get("connectTimeout")?.as_str()?).ok()),
        root_namespace: text("rootNamespace", "root_namespace"),
        outbound_traffic_policy: outbound.and_then(|policy| Some(policy.get("mode")?.as_str()?.to_owned())),
        default_destination_rule_export_to: names(
            fields,
            "defaultDestinationRuleExportTo",
            "default_destination_rule_export_to",
        ),
        default_service_export_to: names(fields, "defaultServiceExportTo", "default_service_export_to"),
        discovery_selectors: field(fields, "discoverySelectors", "discovery_selectors")
            .map(Vec::<LabelSelector>::deserialize)
            .transpose()
            .map_err(|error| format!("discoverySelectors: {error}"))?,
    })
}

/// The first YAML document, as Go's decoder reads it (`sigs.k8s.io/yaml`): of a key that is there twice the last holds,
/// and what follows the first document is never looked at.
fn document(text: &str) -> Result<Value, String> {
    let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#'));
    if first.is_some_and(|line| line.starts_with('\t')) {
        return Err("a tab cannot indent".to_owned());
    }
    let options = serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::LastWins };
    serde_saphyr::from_str_with_options::<Option<Value>>(first_document(text), options)
        .map(Option::unwrap_or_default)
        .map_err(|error| parse_error::yaml(&error))
}

/// The text up to the second document's marker.
fn first_document(text: &str) -> &str {
    let (mut at, mut begun) = (0, false);
    for line in text.split_inclusive('\n') {
        let marker =
            line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\n', '\r']));
        let end = line.trim_end() == "...";
        if begun && (marker || end) {
            return &text[..at];
        }
        let content = line.trim();
        begun |= marker || !(content.is_empty() || content.starts_with('#') || content.starts_with('%'));
        at += line.len();
    }
    text
}

/// A field by either of its names, of which the JSON name counts where both are there; `null` is the same as nothing.
fn field<'v>(fields: &'v Map<String, Value>, json: &str, proto: &str) -> Option<&'v Value> {
    fields.get(json).or_else(|| fields.get(proto)).filter(|value| !value.is_null())
}

fn names(fields: &Map<String, Value>, json: &str, proto: &str) -> Option<Vec<String>> {
    let list = field(fields, json, proto)?.as_array()?;
    Some(list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
}

/// `ValidateTrustDomain` of `pkg/config/validation/agent/validation.go`: DNS labels, and the last may be empty.
fn check_trust_domains(fields: &Map<String, Value>) -> Result<(), String> {
    let own = field(fields, "trustDomain", "trust_domain").and_then(Value::as_str).map(str::to_owned);
    let aliases = names(fields, "trustDomainAliases", "trust_domain_aliases").unwrap_or_default();
    for domain in own.iter().chain(&aliases) {
        let labels = domain.strip_suffix('.').filter(|rest| !rest.is_empty()).unwrap_or(domain);
        let is_label = |label: &str| {
            let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            (1..=63).contains(&label.len())
                && label.chars().all(inner)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if !labels.split('.').all(is_label) {
            return Err(format!("trustDomain: {domain:?} is no domain"));
        }
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]
mod tests {
    use std::time::Duration;

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
    fn reads_what_istio_reads_and_refuses_what_it_refuses() {
        for (text, seconds) in [
            ("connectTimeout: '4s'\n", Some(4)),
            ("connectTimeout: '4s '\n", None),
            ("connectTimeout: >-\n  4s\n", Some(4)),
            ("connectTimeout: 4.0\n", None),
            ("connectTimeout: 4S\n", None),
            ("connectTimeout: [4s]\n", None),
            ("connectTimeout: !!str 4s\n", Some(4)),
            ("connectTimeout: 4s\nconnectTimeout: 6s\n", Some(6)),
            ("connect_timeout: 4s\n", Some(4)),
            ("connectTimeout: 4s\nconnect_timeout: 6s\n", Some(4)),
            ("connectTimeout: 4s\n---\nconnectTimeout: 6s\n", Some(4)),
            ("---\nconnectTimeout: 4s\n---\nnot: [yaml\n", Some(4)),
            ("- connectTimeout: 4s\n", None),
            ("\tconnectTimeout: 4s\n", None),
            ("x: &t 4s\nconnectTimeout: *t\n", Some(4)),
            ("\u{feff}connectTimeout: 4s\n", Some(4)),
            ("connectTimeout: 4s\nnoSuchField: {a: 1}\n", Some(4)),
            ("connectTimeout: 4s\nenableTracing: maybe\n", None),
            ("connectTimeout: 4s\nenableTracing: 'true'\n", None),
            ("connectTimeout: 4s\nenableTracing: true\n", Some(4)),
            ("connectTimeout: 4s\nproxyListenPort: '15001'\n", Some(4)),
            ("connectTimeout: 4s\nproxyListenPort: 15001.5\n", None),
            ("connectTimeout: 4s\ntrustDomain: ''\n", None),
            ("connectTimeout: 4s\ntrustDomain: Not_One\n", None),
            ("connectTimeout: 4s\ntrustDomain: cluster.local\n", Some(4)),
            ("connectTimeout: 4s\noutboundTrafficPolicy: {mode: SOMETIMES}\n", None),
            ("connectTimeout: 4s\noutboundTrafficPolicy: {mode: REGISTRY_ONLY}\n", Some(4)),
            ("connectTimeout: 4s\nprotocolDetectionTimeout: 5\n", None),
            ("connectTimeout: 4s\nextensionProviders: [{name: x}]\n", Some(4)),
            ("connectTimeout: 4s\ndefaultConfig: {connectTimeout: 5}\n", Some(4)),
            ("connectTimeout: 4s\ndefaultConfig: {concurrency: two}\n", None),
            ("connectTimeout: 4s\ndefaultTrafficPolicy: {connectionPool: {tcp: {connectTimeout: soon}}}\n", None),
        ] {
            assert_eq!(
                parse(text).ok().and_then(|mesh| mesh.connect_timeout),
                seconds.map(Duration::from_secs),
                "{text}"
            );
        }
    }

    #[test]
    fn a_policy_without_a_pool_is_still_a_policy() {
        let policy = parse("defaultTrafficPolicy: {outlierDetection: {}}\n").unwrap();
        assert_eq!((policy.default_traffic_policy, policy.default_connection_pool), (true, None));
        assert!(!parse("defaultTrafficPolicy: null\n").unwrap().default_traffic_policy);
    }

    #[test]
    fn says_what_is_wrong() {
        assert!(parse("connectTimeout: 10").unwrap_err().contains("connectTimeout"));
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
