//! The write-up of an incident, out of the documents of the commands that it stands for.

mod facts;
mod html;
mod markdown;
mod text;

pub use facts::facts;
pub use html::html;
pub use markdown::markdown;
pub use text::text;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::export::{ConvertError, Results};
use super::resets::DrawError;
use super::v1::audit::{Cluster, Name, TimeoutAudit};
use super::v1::diagnosis::DiagnosisItem;
use super::v1::fix::StepJson;
pub use super::v1::incident::{About, Fact, IncidentReport, Part};

/// Why a write-up cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Its picture.
    #[error(transparent)]
    Draw(#[from] DrawError),
    /// One of its documents.
    #[error(transparent)]
    Document(#[from] ConvertError),
    /// One of its documents, as JSON.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// A document as the exports take it.
fn results(document: &impl serde::Serialize) -> Result<Results, WriteError> {
    Ok(Results::of(serde_json::to_value(document)?)?)
}

/// What a section is called, and the name to link to it.
const fn heading(about: About) -> (&'static str, &'static str) {
    match about {
        About::Resets => ("Connection resets", "connection-resets"),
        About::Cause => ("Failed connections", "failed-connections"),
        About::Timeout => ("Connect timeouts", "connect-timeouts"),
        About::Change => ("The change", "the-change"),
        About::Holders => ("Who has it", "who-has-it"),
        About::Effect => ("Did it help", "did-it-help"),
    }
}

/// A cluster that the incident is about.
struct Concerned<'a> {
    cluster: &'a Cluster,
    /// Failed connections to it that the logs show.
    logged: u64,
    /// The proxies that hold this value.
    proxies: &'a [Arc<Name>],
}

/// Clusters to which connections failed, by the logs or by Envoy's counters; where there is none, those with an error.
/// Most failures first.
fn concerned(report: &IncidentReport) -> Vec<Concerned<'_>> {
    let Some(audit) = &report.audit.document else { return Vec::new() };
    let items = failures(report);
    // A failure is of the value that it was met with, as far as that is known and still held.
    let logged = |cluster: &Cluster| -> u64 {
        let of = items.iter().filter(|item| item.cluster.as_deref() == Some(&cluster.name)).filter(|item| {
            let held = |value: &str| {
                audit.clusters.iter().any(|other| other.name == cluster.name && other.connect_timeout == value)
            };
            item.connect_timeout.as_deref().is_none_or(|value| value == cluster.connect_timeout || !held(value))
        });
        of.map(|item| item.occurrences).sum()
    };
    let failed = |cluster: &Cluster| cluster.evidence.as_ref().map_or(0, |evidence| evidence.failures);
    let of = |cluster| Concerned {
        cluster,
        logged: logged(cluster),
        proxies: audit.proxy_sets.get(&cluster.proxy_set).map_or(&[], |names| &**names),
    };
    let mut found: Vec<_> =
        audit.clusters.iter().map(of).filter(|one| one.logged > 0 || failed(one.cluster) > 0).collect();
    if found.is_empty() {
        let wrong: BTreeSet<&str> = in_error(audit).collect();
        found = audit.clusters.iter().filter(|cluster| wrong.contains(cluster.name.as_str())).map(of).collect();
    }
    found.sort_by(|a, b| {
        let by = |one: &Concerned<'_>| (one.logged, failed(one.cluster), one.cluster.proxy_count);
        by(b).cmp(&by(a)).then_with(|| a.cluster.name.cmp(&b.cluster.name))
    });
    found
}

fn in_error(audit: &TimeoutAudit) -> impl Iterator<Item = &str> {
    audit.findings.iter().filter(|finding| finding.severity == "error").map(|finding| finding.cluster.as_str())
}

/// Failed connections, those with most occurrences first; what is only of interest comes last.
fn failures(report: &IncidentReport) -> Vec<&DiagnosisItem> {
    let rank = |item: &DiagnosisItem| ["error", "warning"].iter().position(|word| *word == item.severity).unwrap_or(2);
    let mut items: Vec<_> = report.diagnosis.document.iter().flat_map(|found| &found.diagnoses).collect();
    items.sort_by_key(|item| (rank(item), std::cmp::Reverse(item.occurrences)));
    items
}

/// Where a failed connection was to go.
fn upstream(item: &DiagnosisItem) -> &str {
    let named = [&item.cluster, &item.host, &item.upstream];
    named.into_iter().flatten().map(String::as_str).find(|name| !name.is_empty()).unwrap_or("an unknown upstream")
}

/// What a step changes, in a few words: `mesh configuration: connectTimeout 1s → 10s`.
fn step_in_words(step: &StepJson) -> String {
    let context = if step.context.is_empty() { String::new() } else { format!(" (context {})", step.context) };
    let what = match step.action {
        "mesh" if step.revision.is_empty() => "mesh configuration".to_owned(),
        "mesh" => format!("mesh configuration of revision {}", step.revision),
        "new-object" => format!("new {} {}/{}", step.kind, step.namespace, step.name),
        _ => format!("{} {}/{}", step.kind, step.namespace, step.name),
    };
    let changes = step.changes.iter().map(|part| {
        let before = part.before.as_deref().unwrap_or("unset");
        format!("{} {before} → {}", part.part, part.after)
    });
    format!("{what}{context}: {}", changes.collect::<Vec<_>>().join(", "))
}

/// Where a value came from, as the exports say it.
fn origin(cluster: &Cluster) -> String {
    let origin = serde_json::to_value(&cluster.origin).ok();
    let origin: Option<super::export::Origin> = origin.and_then(|value| serde_json::from_value(value).ok());
    // Of a mesh configuration nothing else can be meant.
    let briefly = |origin: super::export::Origin| {
        let part = if origin.kind == "MeshConfig" { String::new() } else { origin.part };
        super::export::Origin { part, ..origin }.text()
    };
    let text = origin.map(briefly).unwrap_or_default();
    if cluster.origin.certain { text } else { format!("{text}?") }
}
