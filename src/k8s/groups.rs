//! Which API groups the server has, and in which versions.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::client::Connection;
use super::error::ApiError;

#[derive(Deserialize)]
struct GroupList {
    #[serde(default)]
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Group {
    name: String,
    preferred_version: Version,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    group_version: String,
}

/// Whether a text is made as names of groups and of versions are.
fn is_name(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    text.bytes().all(inner) && text.bytes().any(|byte| byte.is_ascii_alphanumeric())
}

impl Connection {
    /// The API groups that the server has, each with the version it prefers, as `group/version`.
    pub async fn api_groups(&self) -> Result<BTreeMap<String, String>, ApiError> {
        let list: GroupList = self.get("/apis").await?;
        let groups = list.groups.into_iter().map(|group| (group.name, group.preferred_version.group_version));
        // It becomes a part of paths.
        Ok(groups.filter(|(_, version)| version.split('/').all(is_name)).collect())
    }
}
