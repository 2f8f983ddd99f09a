//! What a proxy counts of the clusters it is sent: `/stats`, line by line.

use std::sync::Arc;

use crate::model::sync::XdsCounters;

/// The regular expression on names for what [`parse`] and [`warming`] read: six lines.
pub const FILTER: &str = r"^(cluster_manager\.(warming_clusters|cds\.(update_success|update_rejected|version_text))|control_plane\.connected_state|server\.state)$";

/// `server.state` of a proxy that has its first clusters (`envoy/admin/v3/server_info.proto`): LIVE, DRAINING. The
/// others are PRE_INITIALIZING and INITIALIZING.
const STARTED: [&str; 2] = ["0", "1"];

/// Reads an answer; `None` where there is no word of clusters from a control plane in it.
#[must_use]
pub fn parse(text: &str) -> Option<XdsCounters> {
    let mut counters = XdsCounters::default();
    for (name, value) in text.lines().filter_map(|line| line.split_once(": ")) {
        let value = value.trim();
        match name {
            "cluster_manager.cds.update_success" => counters.accepted = value.parse().ok(),
            "cluster_manager.cds.update_rejected" => counters.rejected = value.parse().ok(),
            "cluster_manager.cds.version_text" => {
                let version = value.trim_matches('"');
                counters.version = (!version.is_empty()).then(|| Arc::from(version));
            }
            "control_plane.connected_state" => counters.connected = value.parse().ok().map(|state: u64| state != 0),
            "server.state" => counters.initializing = !STARTED.contains(&value),
            _ => {}
        }
    }
    let tells = counters.accepted.is_some() || counters.rejected.is_some() || counters.connected.is_some();
    tells.then_some(counters)
}

/// How many clusters are warming (`source/common/upstream/cluster_manager_impl.h`, a gauge of the map that a dump lists);
/// `None` where the answer does not say.
#[must_use]
pub fn warming(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("cluster_manager.warming_clusters: "))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_envoy_prints() {
        let text = "cluster_manager.cds.update_rejected: 1\ncluster_manager.cds.update_success: 4\n\
                    cluster_manager.cds.version_text: \"2026-11-29T00:00:00Z/7\"\ncontrol_plane.connected_state: 1\nserver.state: 0\n";
        let read = parse(text);
        assert_eq!(
            read,
            Some(XdsCounters {
                accepted: Some(4),
                rejected: Some(1),
                version: Some("2026-11-29T00:00:00Z/7".into()),
                connected: Some(true),
                initializing: false,
            })
        );
        let started = parse(
            "cluster_manager.cds.update_rejected: 1\ncluster_manager.cds.update_success: 0\ncluster_manager.cds.version_text: \"\"\nserver.state: 2\n",
        );
        assert!(started.as_ref().is_some_and(XdsCounters::only_rejected));
        assert!(started.is_some_and(|read| read.initializing && read.connected.is_none() && read.version.is_none()));
        // A plain Envoy without a control plane has none of them but its state.
        assert_eq!(parse("server.state: 0\n"), None);
        assert_eq!(parse(""), None);
    }

    proptest! {
        #[test]
        fn is_total(text in ".{0,80}") {
            let _ = parse(&text);
        }
    }
}
