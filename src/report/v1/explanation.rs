//! The v1 form of what could have given each cluster its timeout.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::Origin;
use super::audit::{Tool, connect_timeout_ms};
use crate::attribute::{Candidate, Outcome as Became};
use crate::audit::Audit;
use crate::model::{MeshSnapshot, format_duration};
use crate::report::audit::explained;
use crate::report::document;

/// What could have given each cluster its connect timeout, and why it did or did not.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OriginExplanation {
    /// Always `meshaudit/v1`.
    pub api_version: &'static str,
    /// Always `OriginExplanation`.
    pub kind: &'static str,
    /// What wrote it.
    pub tool: Tool,
    /// One for each distinct (cluster, value, origin).
    pub clusters: Vec<ExplainedCluster>,
}

/// One distinct (cluster, value, origin).
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExplainedCluster {
    /// Envoy's whole name for it.
    pub name: String,
    /// The timeout in force, as protobuf writes durations.
    pub connect_timeout: String,
    /// The same in milliseconds.
    pub connect_timeout_ms: u64,
    /// Whether the field is there; otherwise it is Envoy's default of 5 s.
    pub explicit: bool,
    /// Where the value came from.
    pub origin: Origin,
    /// What could have given it, for each group of proxies that nothing tells apart.
    pub chains: Vec<Chain>,
}

/// What could have given some proxies their value.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Chain {
    /// The proxies.
    pub proxies: Vec<String>,
    /// The candidates, weakest first.
    pub candidates: Vec<CandidateJson>,
}

/// Something that could have given a cluster its timeout.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CandidateJson {
    /// What became of it.
    pub outcome: Outcome,
    /// The value that it gives; `null` where it sets none.
    pub connect_timeout: Option<String>,
    /// Which layer it is of: `mesh configuration`, `defaultTrafficPolicy`, `DestinationRule`, `Sidecar`, `EnvoyFilter`.
    pub layer: &'static str,
    /// What and where; `null` where the layer was asked and has nothing for this cluster.
    pub origin: Option<Origin>,
    /// Why.
    pub reason: String,
    /// The file of Istio's source that says how the layer works.
    pub istio_file: &'static str,
}

/// What became of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It gives the value.
    Won,
    /// Something stronger gives another.
    Lost,
    /// It is there and sets nothing, or is not for this cluster or proxy.
    SetsNone,
    /// It may be what gives the value.
    Perhaps,
}

impl From<Became> for Outcome {
    fn from(outcome: Became) -> Self {
        match outcome {
            Became::Won => Self::Won,
            Became::Lost => Self::Lost,
            Became::Silent => Self::SetsNone,
            Became::Perhaps => Self::Perhaps,
        }
    }
}

impl From<Candidate> for CandidateJson {
    fn from(candidate: Candidate) -> Self {
        Self {
            outcome: candidate.outcome.into(),
            connect_timeout: candidate.value.map(format_duration),
            layer: candidate.layer.as_str(),
            origin: candidate.origin.as_ref().map(Into::into),
            reason: candidate.reason,
            istio_file: candidate.layer.file(),
        }
    }
}

/// The v1 form of an explanation.
#[must_use]
pub fn explanation(snapshot: &MeshSnapshot, audit: &Audit) -> OriginExplanation {
    let clusters = explained(snapshot, audit)
        .into_iter()
        .map(|explained| {
            let row = explained.row;
            let timeout: Duration = row.effective_timeout();
            ExplainedCluster {
                name: row.name.to_string(),
                connect_timeout: format_duration(timeout),
                connect_timeout_ms: connect_timeout_ms(timeout),
                explicit: row.connect_timeout.is_some(),
                origin: (&row.origin).into(),
                chains: explained
                    .chains
                    .into_iter()
                    .map(|(chain, proxies)| Chain {
                        proxies: proxies.iter().map(|at| snapshot.proxies[at as usize].proxy.id.to_string()).collect(),
                        candidates: chain.into_iter().map(Into::into).collect(),
                    })
                    .collect(),
            }
        })
        .collect();
    OriginExplanation { api_version: "meshaudit/v1", kind: "OriginExplanation", tool: Tool::default(), clusters }
}

/// A line of an explanation, told apart by its kind.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "kind")]
pub enum ExplanationLine<'a> {
    /// The first line.
    #[serde(rename_all = "camelCase")]
    OriginExplanation {
        /// Always `meshaudit/v1`.
        api_version: &'static str,
        /// What wrote it.
        tool: &'a Tool,
    },
    /// What could have given a cluster its timeout.
    #[serde(rename = "Cluster")]
    Explained(&'a ExplainedCluster),
}

/// An explanation as lines: the head, then a line a cluster.
pub fn lines(explanation: &OriginExplanation) -> Result<String, serde_json::Error> {
    let head = ExplanationLine::OriginExplanation { api_version: explanation.api_version, tool: &explanation.tool };
    let lines = std::iter::once(head).chain(explanation.clusters.iter().map(ExplanationLine::Explained));
    lines.map(|line| document::json_line(&line)).collect()
}
