//! What two audits differ in, for people.

use std::fmt::Write;

use super::escape::escape;
use super::look::{Look, count};
use super::table::wrap;
use super::v1::diff::{ChangeKind, ClusterDiff, DiffFinding, DiffReport, HeldValue};

/// What appeared (`+`), vanished (`-`) and changed (`~`): the meshes' values, clusters, findings.
#[must_use]
pub fn text(diff: &DiffReport, look: Look) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        let _ = writeln!(out, "{}", wrap(&text, look.width(), 4));
    };
    for mesh in &diff.mesh {
        let of =
            if mesh.revision.is_empty() { String::new() } else { format!(" of revision {}", escape(&mesh.revision)) };
        let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "none".to_owned());
        line(format!("~ the mesh's value{of}: {} → {}", value(&mesh.before), value(&mesh.after)));
    }
    for cluster in &diff.clusters {
        line(format!("{} {}: {}", sign(cluster.change), escape(&cluster.name), values(cluster)));
    }
    for (sign, findings) in [('+', &diff.findings.appeared), ('-', &diff.findings.vanished)] {
        for finding in findings {
            line(format!("{sign} {}", said(finding)));
        }
    }
    let of = &diff.summary;
    if diff.mesh.is_empty() && diff.clusters.is_empty() && of.findings_appeared + of.findings_vanished == 0 {
        line("No difference".to_owned());
    } else {
        line(format!(
            "{}: {} new, {} gone, {} changed; {}: {} new, {} gone, {} as before",
            look.palette.strong("Clusters"),
            of.clusters_appeared,
            of.clusters_vanished,
            of.clusters_changed,
            look.palette.strong("findings"),
            of.findings_appeared,
            of.findings_vanished,
            of.findings_kept,
        ));
    }
    for (side, which) in [(&diff.before, "before"), (&diff.after, "after")] {
        if side.failed > 0 {
            let failed = count(side.failed, "proxy", "proxies");
            line(format!(
                "{} {failed} could not be read {which}: what they hold is missing there",
                look.palette.warning("Incomplete:")
            ));
        }
    }
    out
}

fn sign(change: ChangeKind) -> char {
    match change {
        ChangeKind::Appeared => '+',
        ChangeKind::Vanished => '-',
        ChangeKind::Changed => '~',
    }
}

/// A cluster's values, before and after.
#[must_use]
pub fn values(cluster: &ClusterDiff) -> String {
    let held = |all: &[HeldValue]| {
        let one = |value: &HeldValue| {
            let on = count(value.proxy_count, "proxy", "proxies");
            format!("{} by {} on {on}", value.connect_timeout, escape(&value.origin))
        };
        all.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    match cluster.change {
        ChangeKind::Appeared => held(&cluster.after),
        ChangeKind::Vanished => held(&cluster.before),
        ChangeKind::Changed => format!("{} → {}", held(&cluster.before), held(&cluster.after)),
    }
}

fn said(finding: &DiffFinding) -> String {
    let about = if finding.cluster.is_empty() { finding.proxies.join(", ") } else { finding.cluster.clone() };
    format!("{} {} {}: {}", finding.severity, finding.code, escape(&about), escape(&finding.message))
}
