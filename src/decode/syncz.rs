//! istiod's `/debug/syncz`, and Envoy's own words in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;

use super::parse_error;
use crate::model::ClusterName;
use crate::model::sync::{ClusterSync, ProxySync, Rejection};

const CLUSTER_TYPE: &str = "type.googleapis.com/envoy.config.cluster.v3.Cluster";

/// How many characters of Envoy's sentence are kept.
const REASON: usize = 600;

/// How many clusters that a rejection names are kept.
const NAMES: usize = 1000;

#[derive(Deserialize)]
struct RawSync {
    #[serde(default)]
    proxy: String,
    #[serde(default)]
    cluster_id: String,
    #[serde(default)]
    cluster_sent: String,
    #[serde(default)]
    cluster_acked: String,
    resources: Option<BTreeMap<String, RawResource>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawResource {
    #[serde(default)]
    sent: String,
    #[serde(default)]
    acked: String,
    sent_time: Option<Timestamp>,
    #[serde(default)]
    last_error: String,
}

/// Reads `/debug/syncz` (`pilot/pkg/xds/debug.go`, `SyncStatus`): the proxies that are connected to this istiod, and what
/// became of the last clusters sent to them. An answer that is no such list is an error, never an empty list.
pub fn parse_syncz(text: &str) -> Result<Vec<ProxySync>, String> {
    let raw: Vec<RawSync> = serde_json::from_str(text).map_err(|error| parse_error::json(&error))?;
    Ok(raw.into_iter().filter(|sync| !sync.proxy.is_empty()).map(RawSync::model).collect())
}

impl RawSync {
    fn model(mut self) -> ProxySync {
        let tells_errors = self.resources.is_some();
        let clusters = self.resources.as_mut().and_then(|resources| resources.remove(CLUSTER_TYPE));
        let (sent, acked, sent_at, error) = match clusters {
            Some(status) => (status.sent, status.acked, status.sent_time, status.last_error),
            None => (self.cluster_sent, self.cluster_acked, None, String::new()),
        };
        let clusters = if !error.is_empty() {
            ClusterSync::Rejected(rejection(&error))
        } else if sent.is_empty() {
            ClusterSync::NotSent
        } else if sent == acked {
            ClusterSync::Acknowledged
        } else {
            ClusterSync::Pending
        };
        // Go's zero time stands for never.
        let sent_at = sent_at.filter(|at| at.as_second() > 0);
        ProxySync { proxy: self.proxy, cluster_id: self.cluster_id, clusters, tells_errors, sent_at }
    }
}

/// Reads what Envoy said when it refused clusters. Single clusters that cannot be made are named with a reason each, and
/// all others were taken (`source/common/upstream/cds_api_helper.cc`); what breaks the API's own rules is quoted as text
/// proto, and the reason stands behind it (`source/common/protobuf/utility.h`, `ProtoExceptionUtil`).
#[must_use]
pub fn rejection(error: &str) -> Rejection {
    if let Some(list) = error.trim().strip_prefix("Error adding/updating cluster(s) ") {
        let refused = refused_clusters(list);
        let clusters: Vec<Arc<str>> = refused.iter().take(NAMES).map(|(name, _)| Arc::from(*name)).collect();
        let mut reasons: Vec<&str> = Vec::new();
        for (_, reason) in refused {
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        return Rejection { reason: cut(&reasons.join("; ")), clusters, whole: false };
    }
    // The text proto has a line a field; only what stands behind the last of them is a sentence.
    let (quoted, reason) = error.trim_end().rsplit_once('\n').unwrap_or(("", error));
    let reason = reason.trim().trim_start_matches([':', ' ']);
    let reason = if reason.is_empty() { quoted.trim() } else { reason };
    let name = quoted.lines().find_map(|line| line.strip_prefix("name: \"")?.strip_suffix('"'));
    Rejection { reason: cut(reason), clusters: name.map(Arc::from).into_iter().collect(), whole: true }
}

/// `NAME: reason, NAME: reason`. A reason may have commas and colons of its own, so a name is only what reads as one.
fn refused_clusters(list: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = list;
    while let Some((name, after)) = rest.split_once(": ") {
        let next = after.match_indices(", ").map(|(at, _)| at).find(|&at| {
            let candidate = after[at + 2..].split_once(": ").map_or("", |(name, _)| name);
            ClusterName::parse(candidate).is_some() || candidate.ends_with("Cluster") && !candidate.contains(' ')
        });
        let (reason, more) = next.map_or((after, ""), |at| (&after[..at], &after[at + 2..]));
        found.push((name, reason.trim()));
        rest = more;
    }
    if found.is_empty() {
        found.push((list, ""));
    }
    found
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(REASON) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tells_what_became_of_clusters() {
        let json = r#"[
            {"cluster_id":"Kubernetes","proxy":"old-1.shop","cluster_sent":"n2","cluster_acked":"n1"},
            {"proxy":"old-2.shop","cluster_sent":"n2","cluster_acked":"n2"},
            {"proxy":"new.shop","resources":{"type.googleapis.com/envoy.config.cluster.v3.Cluster":
                {"sentTime":"0001-01-01T00:00:00Z"}}},
            {"proxy":"no.shop","cluster_sent":"n2","resources":{"type.googleapis.com/envoy.config.cluster.v3.Cluster":
                {"sent":"n2","sentTime":"2026-11-29T00:00:00Z","lastError":"Error adding/updating cluster(s) a|b: no"}}}
        ]"#;
        let sync = parse_syncz(json).unwrap();
        assert_eq!(
            sync.iter().map(|proxy| &proxy.clusters).collect::<Vec<_>>(),
            [
                &ClusterSync::Pending,
                &ClusterSync::Acknowledged,
                &ClusterSync::NotSent,
                &ClusterSync::Rejected(Rejection { reason: "no".into(), clusters: vec!["a|b".into()], whole: false }),
            ]
        );
        assert_eq!(sync.iter().map(|proxy| proxy.tells_errors).collect::<Vec<_>>(), [false, false, true, true]);
        assert_eq!(sync.iter().filter_map(|proxy| proxy.sent_at).count(), 1);
    }

    #[test]
    fn an_answer_that_is_none_is_an_error() {
        for text in ["", "{}", "null", "[{\"proxy\":", "<html>", "[1]", "{\"error\":\"not authorized\"}"] {
            assert!(parse_syncz(text).is_err(), "{text}");
        }
        assert_eq!(parse_syncz("[]"), Ok(Vec::new()));
    }

    #[test]
    fn single_clusters_have_a_reason_each() {
        let text = "Error adding/updating cluster(s) outbound|80||orders.shop.svc.cluster.local: cluster: LB policy \
                    LEAST_REQUEST is not valid for Cluster type ORIGINAL_DST, or so: it says, outbound|80|v1|orders.shop.svc.cluster.local: \
                    gone, PassthroughCluster: gone";
        let rejection = rejection(text);
        assert_eq!(rejection.clusters.len(), 3);
        assert_eq!(&*rejection.clusters[1], "outbound|80|v1|orders.shop.svc.cluster.local");
        assert_eq!(
            rejection.reason,
            "cluster: LB policy LEAST_REQUEST is not valid for Cluster type ORIGINAL_DST, or so: it says; gone"
        );
        assert!(!rejection.whole);
    }

    #[test]
    fn a_whole_refusal_keeps_the_sentence_and_the_name() {
        let text = "goo.gle/debugonly  name: \"inner\"\ntype: EDS\nname: \"outbound|80||orders\"\ncommon_lb_config {\n  \
                    healthy_panic_threshold {\n    value: 200\n  }\n}\n: Proto constraint validation failed (ClusterValidationError.X: \
                    value must be inside range [0, 100])";
        let rejection = rejection(text);
        assert!(rejection.whole);
        assert_eq!(rejection.clusters.iter().map(|name| &**name).collect::<Vec<_>>(), ["outbound|80||orders"]);
        assert!(rejection.reason.starts_with("Proto constraint validation failed (Cluster"), "{}", rejection.reason);
    }

    proptest! {
        #[test]
        fn is_total(text in ".{0,80}") {
            let _ = parse_syncz(&text);
            let _ = rejection(&text);
            let _ = rejection(&format!("Error adding/updating cluster(s) {text}"));
        }
    }
}
