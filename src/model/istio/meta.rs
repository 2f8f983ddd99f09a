//! What every object has.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::ObjectRef;

/// Labels, as selectors match them.
pub type Labels = BTreeMap<String, String>;

/// The label that says which control planes read an object (`pkg/config/model.go`, `LabelsInRevision`).
pub const REVISION_LABEL: &str = "istio.io/rev";

/// What every object has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectMeta {
    /// Its namespace.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// When it was created: among rules for one host the oldest wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Timestamp>,
}

impl ObjectMeta {
    /// What it goes by elsewhere.
    #[must_use]
    pub fn reference(&self) -> ObjectRef {
        ObjectRef::new(&self.namespace, &self.name)
    }

    /// Whether this is the object of that name.
    #[must_use]
    pub fn is(&self, object: &ObjectRef) -> bool {
        self.namespace == object.namespace && self.name == object.name
    }
}

impl fmt::Display for ObjectMeta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// An object as it was read, for patches and files that must not lose what is not modelled here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// `networking.istio.io/v1` and the like, as it was served.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// The whole `spec`, as JSON text; all but some of it where `partial` says so.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub spec: Arc<str>,
    /// Whether parts of it are left out, since they may hold credentials.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: Labels,
    /// Those of its annotations that name who owns it; others are nobody's business.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: Labels,
    /// Who owns it beside Kubernetes: an Argo CD or Flux application, a Helm release; empty where nobody does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub managed_by: String,
}
