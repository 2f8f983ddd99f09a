//! Everything that this program ever asks of an admin endpoint.

use std::borrow::Cow;
use std::fmt::Write;

use super::IstiodPage;
use crate::k8s::encode;

/// A part of a config dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// Clusters from the control plane, in use.
    DynamicActive,
    /// Clusters from the control plane, waiting for their endpoints.
    DynamicWarming,
    /// Clusters of the bootstrap.
    Static,
}

/// A request to Envoy's admin endpoint. There is no free path: what is not here cannot be asked for, `quitquitquit`
/// least of all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminRequest {
    /// `GET /config_dump?resource=…`: one section's clusters. Masked down to what an audit reads, or with every field.
    Clusters {
        /// Which.
        section: Section,
        /// Whether only the fields of an audit are asked for.
        masked: bool,
    },
    /// `GET /config_dump?resource=dynamic_active_clusters&mask=…`: since when each cluster is as it is. Not asked for with
    /// what an audit reads: with it no two proxies' clusters would be alike to the byte.
    UpdateTimes,
    /// `GET /config_dump?mask=…`: all sections with clusters, for an Envoy that is too old for the parameter
    /// `resource`; one that is too old for `mask` as well answers with everything.
    AllClusters,
    /// `GET /clusters?format=json`: endpoints and their counters, of all clusters or of those with such a name. Envoys
    /// that are too old for the parameter `filter` (envoyproxy/envoy#43407) answer with all of them.
    Endpoints {
        /// A regular expression on the names of clusters.
        filter: Option<String>,
    },
    /// `GET /stats?filter=REGEX`, unused ones too: a counter at 0 says that nothing happened, an absent one nothing.
    Stats {
        /// A regular expression on the names.
        filter: Cow<'static, str>,
    },
    /// `GET /ready`: a word.
    Ready,
    /// `GET /server_info`.
    ServerInfo,
    /// One of istiod's debug pages, on istiod's own port.
    Istiod(IstiodPage),
    /// `POST /logging`: lists every logger's level, and changes none.
    GetLoggers,
    /// `POST /logging?paths=…`: sets loggers, all or none.
    SetLoggers(Vec<(String, String)>),
    /// `POST /logging?NAME=LEVEL`: sets one logger, for an Envoy that is too old for `paths`.
    SetLogger(String, String),
}

/// The fields that an audit reads. `mask` applies inside each element and through the `Any`
/// (`source/server/admin/config_dump_handler.cc`). The update that brought a cluster (`version_info`) is told once, by
/// `cluster_manager.cds.version_text`.
const AUDIT_MASK: &str = "cluster.name,cluster.type,cluster.cluster_type.name,cluster.connect_timeout,\
cluster.metadata.filter_metadata,error_state.details";

/// As istioctl asks since 1.25 (`istioctl/pkg/proxyconfig/proxyconfig.go`).
const SECTIONS_MASK: &str = "dynamic_active_clusters,dynamic_warming_clusters,static_clusters";

impl AdminRequest {
    /// The HTTP method. Envoy wants POST for everything under `/logging`, listing included.
    #[must_use]
    pub fn method(&self) -> http::Method {
        match self {
            Self::GetLoggers | Self::SetLoggers(_) | Self::SetLogger(..) => http::Method::POST,
            _ => http::Method::GET,
        }
    }

    /// The path and query.
    #[must_use]
    pub fn path(&self) -> String {
        match self {
            Self::Clusters { section, masked } => {
                let (resource, mask) = match section {
                    Section::DynamicActive => ("dynamic_active_clusters", AUDIT_MASK),
                    Section::DynamicWarming => ("dynamic_warming_clusters", AUDIT_MASK),
                    // A StaticCluster has no `error_state`; naming it is an error.
                    Section::Static => ("static_clusters", STATIC_MASK),
                };
                let mask = if *masked { format!("&mask={mask}") } else { String::new() };
                format!("/config_dump?resource={resource}{mask}")
            }
            Self::UpdateTimes => {
                "/config_dump?resource=dynamic_active_clusters&mask=cluster.name,last_updated".to_owned()
            }
            Self::AllClusters => format!("/config_dump?mask={SECTIONS_MASK}"),
            Self::Endpoints { filter: None } => "/clusters?format=json".to_owned(),
            Self::Endpoints { filter: Some(filter) } => format!("/clusters?format=json&filter={}", encode(filter)),
            Self::Stats { filter } => format!("/stats?filter={}", encode(filter)),
            Self::Ready => "/ready".to_owned(),
            Self::ServerInfo => "/server_info".to_owned(),
            Self::Istiod(page) => page.path().to_owned(),
            Self::GetLoggers => "/logging".to_owned(),
            Self::SetLoggers(levels) => {
                let mut path = "/logging?paths=".to_owned();
                for (index, (name, level)) in levels.iter().enumerate() {
                    let comma = if index == 0 { "" } else { "," };
                    let _ = write!(path, "{comma}{}:{}", encode(name), encode(level));
                }
                path
            }
            Self::SetLogger(name, level) => format!("/logging?{}={}", encode(name), encode(level)),
        }
    }
}

const STATIC_MASK: &str = "cluster.name,cluster.type,cluster.cluster_type.name,cluster.connect_timeout,\
cluster.metadata.filter_metadata";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_for_little_and_lets_nothing_in() {
        let masked = AdminRequest::Clusters { section: Section::DynamicActive, masked: true };
        assert!(masked.path().starts_with("/config_dump?resource=dynamic_active_clusters&mask=cluster.name,"));
        let filter = Some("^(a|b)$".to_owned());
        assert_eq!(AdminRequest::Endpoints { filter }.path(), "/clusters?format=json&filter=%5E%28a%7Cb%29%24");
        let levels = vec![("pool".to_owned(), "debug".to_owned()), ("x&level".to_owned(), "a:b".to_owned())];
        assert_eq!(AdminRequest::SetLoggers(levels).path(), "/logging?paths=pool:debug,x%26level:a%3Ab");
    }
}
