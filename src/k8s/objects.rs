//! Lists of objects, page by page, in whatever version of an API group the server has.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::client::{ApiError, Connection};
use crate::decode::objects::Page;

/// How many objects one page has at most.
const PAGE: usize = 500;

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

    /// Lists objects and gives each page to `take`. `path` is the API's, without a query; a list that expires between
    /// two pages is begun anew once, so `take` may see an object twice, and is told so by `restarted`.
    pub async fn list_pages(
        &self,
        path: &str,
        labels: Option<&str>,
        take: &mut (dyn FnMut(Page, bool) + Send),
    ) -> Result<(), ApiError> {
        let selector = labels.map(|labels| format!("&labelSelector={}", escape(labels))).unwrap_or_default();
        let mut token: Option<String> = None;
        let mut restarted = false;
        loop {
            let next = token.as_ref().map(|token| format!("&continue={}", escape(token))).unwrap_or_default();
            let page: Page = match self.get(&format!("{path}?limit={PAGE}{selector}{next}")).await {
                Err(ApiError::Expired(_)) if token.is_some() && !restarted => {
                    token = None;
                    restarted = true;
                    continue;
                }
                other => other?,
            };
            let first = token.is_none() && restarted;
            token = page.token().map(ToOwned::to_owned);
            take(page, first);
            if token.is_none() {
                return Ok(());
            }
        }
    }
}

fn escape(text: &str) -> impl std::fmt::Display {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
}
