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

impl Connection {
    /// The API groups that the server has, each with the version it prefers, as `group/version`.
    pub async fn api_groups(&self) -> Result<BTreeMap<String, String>, ApiError> {
        let list: GroupList = self.get("/apis").await?;
        Ok(list.groups.into_iter().map(|group| (group.name, group.preferred_version.group_version)).collect())
    }
}
