//! An object's metadata.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::decode::parse_error;
use crate::model::istio::{Evidence, Labels, ObjectMeta, REVISION_LABEL, Source};

/// One object, as the API server answers.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct Object(Box<RawValue>);

impl Object {
    /// The object as JSON.
    #[must_use]
    pub fn json(&self) -> &str {
        self.0.get()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RawObject<'a> {
    #[serde(default)]
    pub(super) api_version: String,
    #[serde(default)]
    pub(super) metadata: RawMeta,
    #[serde(borrow)]
    spec: Option<&'a RawValue>,
    pub(super) data: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawMeta {
    pub(super) name: String,
    pub(super) namespace: String,
    creation_timestamp: Option<Timestamp>,
    pub(super) labels: Option<Labels>,
    pub(super) annotations: Option<Labels>,
    managed_fields: Option<Vec<RawManager>>,
    owner_references: Option<Vec<RawOwner>>,
    pub(super) resource_version: String,
}

#[derive(Deserialize)]
struct RawManager {
    #[serde(default)]
    manager: String,
}

#[derive(Deserialize)]
struct RawOwner {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    name: String,
}

/// Those of an object's labels or annotations that tell who installed it.
fn telling(from: Option<&Labels>) -> Labels {
    let all = from.into_iter().flatten();
    let told = all.filter(|(key, _)| Evidence::tells(key));
    told.map(|(key, value)| (key.clone(), value.clone())).collect()
}

impl RawMeta {
    /// A label's value.
    pub(super) fn label(&self, key: &str) -> Option<&str> {
        self.labels.as_ref()?.get(key).map(String::as_str)
    }

    /// An annotation's value.
    pub(super) fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.as_ref()?.get(key).map(String::as_str)
    }

    /// Which control planes read it, where it says so.
    pub(super) fn revision(&self) -> Option<String> {
        self.label(REVISION_LABEL).map(str::to_owned)
    }

    pub(super) fn meta(&self) -> ObjectMeta {
        ObjectMeta { namespace: self.namespace.clone(), name: self.name.clone(), created: self.creation_timestamp }
    }

    pub(super) fn evidence(&self) -> Evidence {
        let mut managers: Vec<String> =
            self.managed_fields.iter().flatten().map(|field| field.manager.clone()).collect();
        managers.sort();
        managers.dedup();
        Evidence {
            labels: telling(self.labels.as_ref()),
            annotations: telling(self.annotations.as_ref()),
            managers,
            owners: self.owner_references.iter().flatten().map(|own| format!("{}/{}", own.kind, own.name)).collect(),
        }
    }
}

impl RawObject<'_> {
    pub(super) fn source(&self) -> Source {
        Source {
            api_version: self.api_version.clone(),
            spec: self.spec.map_or_else(|| Arc::from(""), |spec| Arc::from(spec.get())),
            partial: false,
            labels: self.metadata.labels.clone().unwrap_or_default(),
            annotations: telling(self.metadata.annotations.as_ref()),
            managed_by: self.metadata.evidence().owner(),
        }
    }

    /// The `spec`, borrowed from the object's text.
    pub(super) fn borrowed_spec<'s, T: Deserialize<'s>>(&'s self) -> Result<T, String> {
        let text = self.spec.map_or("{}", RawValue::get);
        serde_json::from_str(text).map_err(|error| format!("spec: {}", parse_error::json(&error)))
    }

    /// The `spec`.
    pub(super) fn spec<T: DeserializeOwned>(&self) -> Result<T, String> {
        let text = self.spec.map_or("{}", RawValue::get);
        serde_json::from_str(text).map_err(|error| format!("spec: {}", parse_error::json(&error)))
    }
}

/// A selector of workloads by labels alone.
#[derive(Deserialize)]
pub(super) struct RawLabels {
    pub(super) labels: Option<Labels>,
}
