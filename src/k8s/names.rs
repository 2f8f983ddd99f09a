//! Names of what there is, for completion: metadata only, one page.

use serde::Deserialize;

use super::client::Connection;
use super::encode::encode;
use super::error::ApiError;
use super::targets::WorkloadKind;

#[derive(Deserialize)]
struct Names {
    #[serde(default)]
    items: Vec<Named>,
}

#[derive(Deserialize)]
struct Named {
    metadata: NamedMetadata,
}

#[derive(Deserialize)]
struct NamedMetadata {
    name: String,
}

/// What names are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamesOf {
    /// All namespaces.
    Namespaces,
    /// The running pods of a namespace.
    Pods,
    /// A namespace's workloads of a kind.
    Workloads(WorkloadKind),
}

/// A list with nothing but its objects' metadata.
const METADATA_ONLY: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json";

impl Connection {
    /// The names of what there is, in the API server's order.
    pub async fn names(&self, of: NamesOf, namespace: &str) -> Result<Vec<String>, ApiError> {
        let namespace = encode(namespace);
        let path = match of {
            NamesOf::Namespaces => "/api/v1/namespaces?limit=500".to_owned(),
            NamesOf::Pods => {
                format!("/api/v1/namespaces/{namespace}/pods?limit=500&fieldSelector=status.phase%3DRunning")
            }
            NamesOf::Workloads(kind) => {
                let gateways = ("/apis/gateway.networking.k8s.io/v1", "gateways");
                let (group, resource) = kind.resource().unwrap_or(gateways);
                format!("{group}/namespaces/{namespace}/{resource}?limit=500")
            }
        };
        let list: Names = self.get_as(&path, METADATA_ONLY).await?;
        Ok(list.items.into_iter().map(|item| item.metadata.name).collect())
    }
}
