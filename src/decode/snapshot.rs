//! Snapshots as documents.

use std::io::{Read, Write};

use serde::Deserialize;

use super::bounded::{TooHeavy, Weighed};
use super::parse_error;
use crate::model::{MeshSnapshot, SnapshotDocument};

/// The version of every document that this program writes.
const API_VERSION: &str = "meshaudit/v1";

const KIND: &str = SnapshotDocument::KIND;

/// The most that a snapshot may be in memory, in bytes: several times that of a mesh of 5,000 proxies.
const MAX_WEIGHT: usize = 160 << 20;

/// Why a document is no snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// Not the JSON that it should be.
    #[error("it is no sound snapshot: {}", parse_error::json(.0))]
    Json(#[from] serde_json::Error),
    /// More than is read of one.
    #[error(transparent)]
    TooLarge(TooHeavy),
    /// Its bytes could not be read.
    #[error("it could not be read: {0}")]
    Read(std::io::Error),
    /// A document of ours, but of another kind or version.
    #[error("it is a {kind} of {api_version}, and a {KIND} of {API_VERSION} is needed")]
    Kind {
        /// Its `apiVersion`.
        api_version: String,
        /// Its `kind`.
        kind: String,
    },
    /// A proxy refers to a cluster that is not there.
    #[error("it is no sound snapshot: proxy {0} holds a cluster that is not in it")]
    Dangling(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReadBack {
    api_version: String,
    kind: String,
    snapshot: Option<MeshSnapshot>,
}

/// Whether the beginning of a document says that this program wrote it.
#[must_use]
pub fn is_ours(beginning: &[u8]) -> bool {
    let beginning = &beginning[..beginning.len().min(256)];
    memchr::memmem::find(beginning, b"\"meshaudit/v1\"").is_some()
}

/// Writes a snapshot as one JSON document.
pub fn write(snapshot: &MeshSnapshot, out: impl Write) -> Result<(), SnapshotError> {
    let document = SnapshotDocument::of(snapshot);
    Ok(serde_json::to_writer(out, &document)?)
}

/// Reads a snapshot back.
pub fn read(reader: impl Read) -> Result<MeshSnapshot, SnapshotError> {
    let document: ReadBack = serde_json::from_reader(Weighed::new(reader, MAX_WEIGHT)).map_err(|error| {
        if !error.is_io() {
            return SnapshotError::Json(error);
        }
        let error = std::io::Error::from(error);
        match error.get_ref().and_then(|inner| inner.downcast_ref::<TooHeavy>()) {
            Some(heavy) => SnapshotError::TooLarge(*heavy),
            None => SnapshotError::Read(error),
        }
    })?;
    let (ReadBack { api_version, kind, snapshot }, wanted) = (document, KIND);
    let snapshot = match snapshot {
        Some(snapshot) if kind == wanted && api_version == API_VERSION => snapshot,
        _ => return Err(SnapshotError::Kind { api_version, kind }),
    };
    let dangling =
        |set: &crate::model::ClusterSet| set.last().is_some_and(|last| last as usize >= snapshot.clusters.len());
    if let Some(proxy) = snapshot.proxies.iter().find(|proxy| dangling(&proxy.clusters)) {
        return Err(SnapshotError::Dangling(proxy.proxy.id.to_string()));
    }
    Ok(snapshot)
}
