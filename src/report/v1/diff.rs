//! The v1 form of what two audits differ in.

use schemars::JsonSchema;
use serde::Serialize;

use super::super::compare::{Change, ClusterChange, Known, clusters};
use super::super::export::{self, Results};
use super::audit::Tool;

/// What appeared, vanished and changed from one audit or snapshot to another.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiffReport {
    /// Always `meshaudit/v1`.
    pub api_version: &'static str,
    /// Always `Diff`.
    pub kind: &'static str,
    /// What wrote it.
    pub tool: Tool,
    /// The first.
    pub before: DiffSide,
    /// The second.
    pub after: DiffSide,
    /// Control planes whose value differs.
    pub mesh: Vec<MeshChange>,
    /// Clusters whose values, or where they come from, differ.
    pub clusters: Vec<ClusterDiff>,
    /// Findings that only one of them has.
    pub findings: FindingsDiff,
    /// How much of each there is.
    pub summary: DiffSummary,
}

/// One of the two.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiffSide {
    /// The file, as it was named.
    pub source: String,
    /// When it was read (RFC 3339); empty where it does not say.
    pub started_at: String,
    /// How many proxies were read.
    pub audited: usize,
    /// How many could not be read: what they hold may seem to have vanished.
    pub failed: usize,
}

/// A control plane whose value differs.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MeshChange {
    /// The kubeconfig context; empty for the only one.
    pub context: String,
    /// The control plane's revision.
    pub revision: String,
    /// The value before; `null` for a control plane that was not there.
    pub before: Option<String>,
    /// The value after; `null` for one that is no longer there.
    pub after: Option<String>,
}

/// `appeared`, `vanished` or `changed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    /// It was not there.
    Appeared,
    /// It is no longer there.
    Vanished,
    /// It has other values.
    Changed,
}

/// A cluster whose values differ.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterDiff {
    /// Envoy's whole name for it.
    pub name: String,
    /// What became of it.
    pub change: ChangeKind,
    /// Its values before.
    pub before: Vec<HeldValue>,
    /// Its values after.
    pub after: Vec<HeldValue>,
}

/// A value that some proxies hold.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HeldValue {
    /// As protobuf writes durations.
    pub connect_timeout: String,
    /// The same in milliseconds.
    pub connect_timeout_ms: u64,
    /// Where it came from, in words.
    pub origin: String,
    /// How many proxies hold it.
    pub proxy_count: usize,
}

/// Findings that only one of them has.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FindingsDiff {
    /// New ones.
    pub appeared: Vec<DiffFinding>,
    /// Gone ones.
    pub vanished: Vec<DiffFinding>,
}

/// A finding.
#[derive(Debug, Serialize, JsonSchema)]
pub struct DiffFinding {
    /// The rule's code.
    pub code: String,
    /// The rule's name.
    pub rule: String,
    /// `error`, `warning` or `info`.
    pub severity: &'static str,
    /// What is wrong, in a sentence.
    pub message: String,
    /// The cluster's name; empty where it is a proxy's matter.
    pub cluster: String,
    /// Where the value came from, in words.
    pub origin: String,
    /// The proxies concerned.
    pub proxies: Vec<String>,
    /// What to do.
    pub remedy: String,
}

/// How much there is.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DiffSummary {
    /// Clusters that appeared.
    pub clusters_appeared: usize,
    /// Clusters that vanished.
    pub clusters_vanished: usize,
    /// Clusters whose values changed.
    pub clusters_changed: usize,
    /// Findings that are new.
    pub findings_appeared: usize,
    /// Findings that are gone.
    pub findings_vanished: usize,
    /// Findings that both have.
    pub findings_kept: usize,
}

/// Compares two audits; each is named as it was given.
#[must_use]
pub fn diff(before: (&str, &Results), after: (&str, &Results)) -> DiffReport {
    let side = |(source, results): (&str, &Results)| DiffSide {
        source: source.to_owned(),
        started_at: results.started_at.clone(),
        audited: results.coverage.audited,
        failed: results.coverage.failed.len(),
    };
    let clusters: Vec<ClusterDiff> = clusters(before.1, after.1).iter().map(Into::into).collect();
    let only = |of: &Results, other: &Results| -> Vec<DiffFinding> {
        let known = Known::new(other);
        of.findings.iter().filter(|finding| !known.has(finding)).map(Into::into).collect()
    };
    let findings = FindingsDiff { appeared: only(after.1, before.1), vanished: only(before.1, after.1) };
    let count = |kind: ChangeKind| clusters.iter().filter(|cluster| cluster.change == kind).count();
    let summary = DiffSummary {
        clusters_appeared: count(ChangeKind::Appeared),
        clusters_vanished: count(ChangeKind::Vanished),
        clusters_changed: count(ChangeKind::Changed),
        findings_appeared: findings.appeared.len(),
        findings_vanished: findings.vanished.len(),
        findings_kept: after.1.findings.len() - findings.appeared.len(),
    };
    DiffReport {
        api_version: "meshaudit/v1",
        kind: "Diff",
        tool: Tool::default(),
        before: side(before),
        after: side(after),
        mesh: mesh(before.1, after.1),
        clusters,
        findings,
        summary,
    }
}

fn mesh(before: &Results, after: &Results) -> Vec<MeshChange> {
    let mut planes: Vec<(&str, &str)> =
        before.mesh.iter().chain(&after.mesh).map(|mesh| (mesh.context.as_str(), mesh.revision.as_str())).collect();
    planes.sort_unstable();
    planes.dedup();
    let value = |of: &Results, (context, revision): (&str, &str)| {
        let mut all = of.mesh.iter();
        all.find(|mesh| mesh.context == context && mesh.revision == revision).map(|mesh| mesh.connect_timeout.clone())
    };
    planes
        .into_iter()
        .map(|plane| MeshChange {
            context: plane.0.to_owned(),
            revision: plane.1.to_owned(),
            before: value(before, plane),
            after: value(after, plane),
        })
        .filter(|change| change.before != change.after)
        .collect()
}

impl From<&ClusterChange<'_>> for ClusterDiff {
    fn from(change: &ClusterChange<'_>) -> Self {
        let held = |clusters: &[&export::Cluster]| {
            let of = |cluster: &&export::Cluster| HeldValue {
                connect_timeout: cluster.connect_timeout.clone(),
                connect_timeout_ms: cluster.connect_timeout_ms,
                origin: cluster.origin.as_ref().map(export::Origin::text).unwrap_or_default(),
                proxy_count: cluster.proxy_count,
            };
            clusters.iter().map(of).collect()
        };
        Self {
            name: change.name.to_owned(),
            change: match change.change {
                Change::Appeared => ChangeKind::Appeared,
                Change::Vanished => ChangeKind::Vanished,
                Change::Changed => ChangeKind::Changed,
            },
            before: held(&change.before),
            after: held(&change.after),
        }
    }
}

impl From<&export::Finding> for DiffFinding {
    fn from(finding: &export::Finding) -> Self {
        Self {
            code: finding.code.clone(),
            rule: finding.name.clone(),
            severity: finding.level.as_str(),
            message: finding.message.clone(),
            cluster: finding.subject.clone(),
            origin: finding.origin.clone(),
            proxies: finding.proxies.clone(),
            remedy: finding.remedy.clone(),
        }
    }
}
