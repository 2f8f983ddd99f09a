//! The state file of `debug-log`.

use serde::{Deserialize, Serialize};

use super::parse_error;
use crate::model::{DebugLease, LOG_LEVELS};

const KIND: &str = "DebugLogLease";
const API_VERSION: &str = "meshaudit/v1";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document<T> {
    api_version: String,
    kind: String,
    #[serde(flatten)]
    lease: T,
}

/// The file's text.
pub fn write(lease: &DebugLease) -> Result<Vec<u8>, serde_json::Error> {
    let document = Document { api_version: API_VERSION.to_owned(), kind: KIND.to_owned(), lease };
    let mut text = serde_json::to_vec_pretty(&document)?;
    text.push(b'\n');
    Ok(text)
}

/// Reads the file, or says what is wrong with it.
pub fn read(text: &[u8]) -> Result<DebugLease, String> {
    let document: Document<DebugLease> = serde_json::from_slice(text).map_err(|error| parse_error::json(&error))?;
    if (&*document.api_version, &*document.kind) != (API_VERSION, KIND) {
        return Err(format!("it is {} {}, not {API_VERSION} {KIND}", document.api_version, document.kind));
    }
    // Envoy refuses the whole of a request in which one level is none of its own.
    if let Some((logger, _)) = document.lease.levels.iter().find(|(_, level)| !LOG_LEVELS.contains(&level.as_str())) {
        return Err(format!("what it has for {logger:?} is no level"));
    }
    Ok(document.lease)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ClusterIdentity, NamespaceUid};

    #[test]
    fn round_trips() {
        let lease = DebugLease {
            kubeconfig: None,
            kubeconfig_list: Some("/a:/b".to_owned()),
            context: "prod".to_owned(),
            cluster: ClusterIdentity {
                server: "https://10.0.0.1".to_owned(),
                witness: Some(NamespaceUid { namespace: "kube-system".to_owned(), uid: "9f".to_owned() }),
            },
            namespace: "shop".to_owned(),
            pod: "web-1".to_owned(),
            uid: "0a1b".to_owned(),
            restart_count: 2,
            admin_port: 15000,
            taken_at: "2026-11-23T18:00:00Z".parse().expect("a time"),
            until: None,
            levels: [("pool".to_owned(), "warning".to_owned())].into(),
            set: ["pool".to_owned()].into(),
            assumed: ["pool".to_owned()].into(),
        };
        let text = write(&lease).expect("a document");
        assert_eq!(read(&text), Ok(lease));
        // What an earlier version wrote is read as well.
        let earlier = r#"{"apiVersion": "meshaudit/v1", "kind": "DebugLogLease", "context": "prod", "namespace": "shop",
            "pod": "web-1", "uid": "0a1b", "restartCount": 2, "adminPort": 15000, "takenAt": "2026-11-23T18:00:00Z",
            "levels": {"pool": "warning"}, "set": ["pool"]}"#;
        assert_eq!(read(earlier.as_bytes()).expect("a lease").cluster, ClusterIdentity::default());
        assert!(read(earlier.replace("warning", "warn").as_bytes()).is_err());
        for text in ["", "{}", "[]", r#"{"apiVersion":"meshaudit/v1","kind":"TimeoutAudit"}"#, "\u{0}"] {
            assert!(read(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
