//! What rules say of values as such, for tables that show clusters and are no audits.

use std::collections::HashMap;
use std::time::Duration;

use crate::audit::{Filter, Finding, Policy, Severity, Subject, audit};
use crate::model::MeshSnapshot;

/// By a cluster's name and timeout: how bad, and the rules' codes.
pub type Marks = HashMap<(String, Option<Duration>), (Severity, Vec<&'static str>)>;

/// Judges the clusters of a snapshot, whatever gives them their values.
#[must_use]
pub fn marks(snapshot: &MeshSnapshot) -> Marks {
    let audit = audit(snapshot, &Filter { all_clusters: true, ..Filter::default() }, &Policy::default());
    let mut marks = Marks::new();
    let of_row = |finding: &&Finding| matches!(finding.subject, Subject::Row { .. });
    for finding in audit.findings.iter().filter(of_row) {
        let key = (finding.cluster().to_owned(), finding.subject.timeout());
        let (severity, codes) = marks.entry(key).or_insert((finding.severity, Vec::new()));
        *severity = finding.severity.max(*severity);
        if !codes.contains(&finding.rule.code) {
            codes.push(finding.rule.code);
        }
    }
    marks
}
