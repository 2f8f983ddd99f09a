//! When a proxy got each of its clusters as it is: `last_updated` of a config dump's dynamic clusters
//! (`envoy/admin/v3/config_dump_shared.proto`, `ClustersConfigDump.DynamicCluster`).

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;

/// The section with all dynamic clusters, or one of them in its wrapper, in either spelling.
#[derive(Deserialize)]
struct Element<'a> {
    #[serde(alias = "dynamicActiveClusters", default = "Vec::new", borrow)]
    dynamic_active_clusters: Vec<Entry<'a>>,
    #[serde(flatten, borrow)]
    entry: Entry<'a>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    cluster: Option<Named<'a>>,
    #[serde(alias = "lastUpdated", borrow)]
    last_updated: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Named<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
}

/// Gives the clusters of one element of a dump with the times they were last updated; nothing of what is none.
pub fn last_updated(element: &[u8], mut each: impl FnMut(&str, Timestamp)) {
    let Ok(Element { dynamic_active_clusters, entry }) = serde_json::from_slice(element) else { return };
    for Entry { cluster, last_updated } in dynamic_active_clusters.into_iter().chain([entry]) {
        if let (Some(cluster), Some(Ok(time))) = (cluster, last_updated.map(|time| time.parse())) {
            each(&cluster.name, time);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_of_an_element() {
        for (element, expected) in [
            (
                r#"{"@type":"type.googleapis.com/envoy.admin.v3.ClustersConfigDump","dynamic_active_clusters":[{"cluster":{"@type":"x","name":"a","connect_timeout":"1s"},"last_updated":"2026-11-23T18:00:00.123Z"},{"cluster":{"name":"b"}}]}"#,
                vec!["a 2026-11-23T18:00:00.123Z"],
            ),
            (r#"{"cluster":{"name":"a"},"lastUpdated":"2026-11-23T18:00:00Z"}"#, vec!["a 2026-11-23T18:00:00Z"]),
            (r#"{"name":"a","connectTimeout":"1s"}"#, vec![]),
            ("[]", vec![]),
        ] {
            let mut found = Vec::new();
            last_updated(element.as_bytes(), |name, time| found.push(format!("{name} {time}")));
            assert_eq!(found, expected, "{element}");
        }
    }
}
