//! What proves that something is gone: the same cluster's own word, and nothing else.

use serde::Deserialize;

use super::client::Connection;
use super::encode::encode;
use super::error::ApiError;
use crate::decode::pod::Pod;
use crate::model::{ClusterIdentity, NamespaceUid};

/// The pod as it is now; `None` where the API server itself says that there is none. Any other 404 is an error: a load
/// balancer in between, or another cluster's gateway, says nothing of the pod.
pub async fn pod_now(connection: &Connection, namespace: &str, name: &str) -> Result<Option<Pod>, ApiError> {
    let path = format!("/api/v1/namespaces/{}/pods/{}", encode(namespace), encode(name));
    match connection.get(&path).await {
        Ok(pod) => Ok(Some(pod)),
        Err(ApiError::NotFound(missing)) if missing.is_pod(name) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The namespace that every cluster has, and that none deletes: its UID is as good as the cluster's own.
const WITNESS: &str = "kube-system";

#[derive(Deserialize)]
struct Namespace {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    uid: String,
}

/// The UID of a namespace; `None` where it may not be read or is not there.
async fn uid(connection: &Connection, namespace: &str) -> Result<Option<String>, ApiError> {
    let path = format!("/api/v1/namespaces/{}", encode(namespace));
    match connection.get::<Namespace>(&path).await {
        Ok(found) => Ok(Some(found.metadata.uid)),
        Err(ApiError::Forbidden(_) | ApiError::NotFound(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Which cluster this is: its server, and the UID of `kube-system` or, where that may not be read, of `namespace`.
pub async fn cluster_identity(connection: &Connection, namespace: &str) -> ClusterIdentity {
    let mut witness = None;
    for name in [WITNESS, namespace] {
        // Without a witness, the server alone has to do.
        if let Ok(Some(uid)) = uid(connection, name).await {
            witness = Some(NamespaceUid { namespace: name.to_owned(), uid });
            break;
        }
    }
    ClusterIdentity { server: connection.server.clone(), witness }
}

/// Whether this is that cluster. Where it was identified by a namespace, only that one's UID tells; an error, or a
/// namespace that cannot be read any more, tells nothing.
pub async fn is_cluster(connection: &Connection, known: &ClusterIdentity) -> Result<bool, ApiError> {
    match &known.witness {
        Some(witness) => Ok(uid(connection, &witness.namespace).await?.as_ref() == Some(&witness.uid)),
        None => Ok(!known.server.is_empty() && known.server == connection.server),
    }
}
