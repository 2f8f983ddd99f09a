//! Prometheus' text exposition format 0.0.4: how much was read, how old it is, and what was found.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::results::{Level, Results};

/// The metrics. Series grow with rules and clusters that have findings, never with proxies.
pub(super) fn prometheus(results: &Results) -> String {
    let mut out = String::new();
    let of = &results.coverage;
    metric(
        &mut out,
        "meshaudit_proxies",
        "Proxies by what became of them.",
        [
            (labels(&[("state", "audited")]), of.audited as f64),
            (labels(&[("state", "failed")]), of.failed.len() as f64),
            (labels(&[("state", "skipped")]), of.skipped.len() as f64),
        ],
    );
    let all = of.audited + of.failed.len();
    let share = if all == 0 { 0.0 } else { of.audited as f64 / all as f64 };
    metric(
        &mut out,
        "meshaudit_coverage_ratio",
        "Proxies that were read, of those that should have been.",
        [(String::new(), share)],
    );
    if let Ok(at) = results.started_at.parse::<jiff::Timestamp>() {
        let help = "When the audit began, in seconds since 1970; time() less this is its age.";
        metric(
            &mut out,
            "meshaudit_audit_timestamp_seconds",
            help,
            [(String::new(), at.as_millisecond() as f64 / 1000.0)],
        );
    }
    metric(
        &mut out,
        "meshaudit_audit_duration_seconds",
        "How long the audit took.",
        [(String::new(), results.duration_ms as f64 / 1000.0)],
    );
    metric(
        &mut out,
        "meshaudit_mesh_connect_timeout_seconds",
        "The mesh's own connect timeout.",
        results.mesh.iter().map(|mesh| {
            let named = labels(&[("context", &mesh.context), ("revision", &mesh.revision)]);
            (named, mesh.connect_timeout_ms as f64 / 1000.0)
        }),
    );
    metric(
        &mut out,
        "meshaudit_findings",
        "Findings by severity.",
        Level::ALL.map(|level| (labels(&[("severity", level.as_str())]), results.count(level) as f64)),
    );
    let mut proxies: BTreeMap<(&str, &str, &str, &str), usize> = BTreeMap::new();
    for finding in &results.findings {
        let key = (finding.code.as_str(), finding.name.as_str(), finding.level.as_str(), finding.subject.as_str());
        *proxies.entry(key).or_default() += finding.proxies.len();
    }
    metric(
        &mut out,
        "meshaudit_finding_proxies",
        "Proxies concerned by each finding.",
        proxies.into_iter().map(|((code, name, severity, cluster), count)| {
            let named = labels(&[("code", code), ("rule", name), ("severity", severity), ("cluster", cluster)]);
            (named, count as f64)
        }),
    );
    out
}

/// What `serve` says of itself.
#[must_use]
pub fn serving(done: u64, failed: u64, fresh: bool) -> String {
    let mut out = String::from(
        "# HELP meshaudit_audits_total Audits by what became of them.\n# TYPE meshaudit_audits_total counter\n",
    );
    for (outcome, number) in [("done", done), ("failed", failed)] {
        let _ = writeln!(out, "meshaudit_audits_total{} {number}", labels(&[("outcome", outcome)]));
    }
    let help = "Whether the last audit could be made; the other figures are of the last that could.";
    metric(&mut out, "meshaudit_last_audit_success", help, [(String::new(), f64::from(u8::from(fresh)))]);
    out
}

fn metric(out: &mut String, name: &str, help: &str, samples: impl IntoIterator<Item = (String, f64)>) {
    let mut samples = samples.into_iter().peekable();
    if samples.peek().is_none() {
        return;
    }
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
    for (labels, value) in samples {
        let _ = writeln!(out, "{name}{labels} {value}");
    }
}

fn labels(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = pairs
        .iter()
        .map(|(name, value)| {
            let value = super::super::escape::escape(value);
            format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
        })
        .collect();
    format!("{{{}}}", pairs.join(","))
}
