//! What an audit covered, how much it found, and what to do next.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::super::escape::escape;
use super::super::look::{Look, count, failure_hint, proxies};
use super::super::table::{command, wrap};
use super::{Detail, paint};
use crate::audit::{Action, Audit, Finding, Reach, Severity};
use crate::model::{FailureCause, MeshSnapshot, ProxyId, Scope, format_duration};

/// How many proxies a line names before it counts the rest.
const NAMED: usize = 3;

/// What was covered, how much was found, and the one thing to do next. `scope` is what the audit was asked for.
#[must_use]
pub fn summary(snapshot: &MeshSnapshot, audit: &Audit, look: Look, scope: &Scope, detail: Detail) -> String {
    let palette = look.palette;
    let mut out = String::new();
    let (audited, failed) = (snapshot.proxies.len(), snapshot.failed.len());
    let mut covered = format!("Audited {}", count(audited, "proxy", "proxies"));
    if failed > 0 {
        let _ = write!(covered, ", {}", palette.error(&format!("{} not read", count(failed, "proxy", "proxies"))));
    }
    if !snapshot.skipped.is_empty() {
        let _ = write!(covered, ", skipped {}", skipped(snapshot));
    }
    let found = found(audit, look, failed > 0);
    if detail == Detail::Observed {
        let line = format!("{found} on {}; -v says each in words", count(audited, "proxy", "proxies"));
        let _ = writeln!(out, "{}", wrap(&line, look.width(), 2));
    } else {
        let _ = writeln!(out, "{}", wrap(&covered, look.width(), 2));
    }
    for mesh in &audit.mesh {
        let plane = [("context", &mesh.context), ("revision", &mesh.revision)];
        let plane: Vec<String> = plane
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name} {}", escape(value)))
            .collect();
        let plane = if plane.is_empty() { String::new() } else { format!(" ({})", plane.join(", ")) };
        let what = if detail == Detail::Observed { "Mesh: connectTimeout" } else { "The mesh's connect timeout is" };
        let line = format!(
            "{what} {}{plane}, by {}",
            palette.strong(&format_duration(mesh.connect_timeout)),
            escape(&mesh.source)
        );
        let _ = writeln!(out, "{}", wrap(&line, look.width(), 2));
    }
    if detail == Detail::Observed {
        unread(&mut out, snapshot, look);
    } else {
        failures(&mut out, snapshot, look);
        skips(&mut out, snapshot, look);
        let _ = writeln!(out, "{found}");
        rules_found(&mut out, audit, look);
    }
    next_step(&mut out, snapshot, audit, look, scope);
    out
}

/// How many findings there are of each severity.
fn found(audit: &Audit, look: Look, incomplete: bool) -> String {
    let palette = look.palette;
    let words = [
        (Severity::Error, "error", "errors"),
        (Severity::Warning, "warning", "warnings"),
        (Severity::Info, "info", "info"),
    ];
    let found: Vec<String> = words
        .iter()
        .map(|(severity, one, many)| (audit.count(*severity), *severity, one, many))
        .filter(|(number, ..)| *number > 0)
        .map(|(number, severity, one, many)| paint(palette, severity, &count(number, one, many)))
        .collect();
    if !found.is_empty() {
        return format!("Found {}{}", found.join(", "), left_out(audit));
    }
    let verdict =
        if incomplete { palette.warning("Nothing wrong in what was read") } else { palette.good("Nothing wrong") };
    format!("{verdict}: {}{}", count(audit.rows.len(), "value", "values"), left_out(audit))
}

/// What was found and is not shown.
fn left_out(audit: &Audit) -> String {
    let parts = [(audit.ignored, "ignored by the policy"), (audit.known, "known from the baseline")];
    parts.iter().filter(|(number, _)| *number > 0).map(|(number, how)| format!("; {number} {how}")).collect()
}

/// One line a rule that found something: what it is called, and how often.
fn rules_found(out: &mut String, audit: &Audit, look: Look) {
    let mut rules: BTreeMap<&'static str, (&'static str, usize)> = BTreeMap::new();
    for finding in &audit.findings {
        rules.entry(finding.rule.code).or_insert((finding.rule.name, 0)).1 += 1;
    }
    for (code, (name, number)) in rules {
        let _ = writeln!(out, "  {code} {name} × {number}{}", look.palette.faint(&format!("  (explain {code})")));
    }
    if look.columns.is_some() && !audit.findings.is_empty() {
        let legend =
            wrap("SYN: how many SYN retransmissions fit into the timeout; ?: likely, not proven", look.width(), 4);
        let _ = writeln!(out, "  {}", look.palette.faint(&legend));
    }
}

/// What was not read, and what was skipped, in a line.
fn unread(out: &mut String, snapshot: &MeshSnapshot, look: Look) {
    let mut parts = Vec::new();
    if !snapshot.failed.is_empty() {
        let mut causes: BTreeMap<FailureCause, usize> = BTreeMap::new();
        snapshot.failed.iter().for_each(|failed| *causes.entry(failed.cause).or_default() += 1);
        let causes: Vec<String> = causes.iter().map(|(cause, number)| format!("{number} {cause}")).collect();
        let head = format!("{} not read", count(snapshot.failed.len(), "proxy", "proxies"));
        parts.push(format!("{}: {}", look.palette.error(&head), causes.join(", ")));
    }
    if !snapshot.skipped.is_empty() {
        parts.push(format!("{} skipped", skipped(snapshot)));
    }
    if !parts.is_empty() {
        let _ = writeln!(out, "{}", wrap(&parts.join("; "), look.width(), 2));
    }
}

/// How much was skipped: pods of a cluster, or files.
fn skipped(snapshot: &MeshSnapshot) -> String {
    let files = snapshot.skipped.iter().all(|skipped| skipped.id.namespace.is_empty());
    let (one, several) = if files { ("file", "files") } else { ("pod", "pods") };
    count(snapshot.skipped.len(), one, several)
}

/// The proxies that were not read, by cause, with what to do about each.
fn failures(out: &mut String, snapshot: &MeshSnapshot, look: Look) {
    let mut causes: BTreeMap<FailureCause, Vec<_>> = BTreeMap::new();
    for failed in &snapshot.failed {
        causes.entry(failed.cause).or_default().push(failed);
    }
    for (cause, all) in causes {
        let width = look.width();
        let head = format!("not read ({cause}):");
        let line = wrap(&format!("{head} {}", failure_hint(cause)), width, 4);
        let _ = writeln!(out, "  {}", line.replacen(&head, &look.palette.error(&head), 1));
        let shown = if look.verbose { all.len() } else { NAMED };
        for failed in all.iter().take(shown) {
            let line = format!("{}: {}", escape(&failed.id.to_string()), escape(&failed.message));
            let _ = writeln!(out, "    {}", wrap(&line, width, 6));
        }
        if all.len() > shown {
            let _ = writeln!(out, "    and {} more (-v names all)", all.len() - shown);
        }
    }
}

/// The pods that were skipped, by reason.
fn skips(out: &mut String, snapshot: &MeshSnapshot, look: Look) {
    let mut reasons: BTreeMap<&str, Vec<&ProxyId>> = BTreeMap::new();
    for skipped in &snapshot.skipped {
        reasons.entry(&skipped.reason).or_default().push(&skipped.id);
    }
    for (reason, pods) in reasons {
        let names = if look.verbose {
            pods.iter().map(|id| escape(&id.to_string()).into_owned()).collect::<Vec<_>>().join(", ")
        } else {
            proxies(pods.iter().copied(), NAMED)
        };
        let width = look.width();
        let line = format!("skipped, {}: {names}", escape(reason));
        let _ = writeln!(out, "  {}", wrap(&line, width, 4));
    }
}

/// The one thing to do next: first what mends most, then what was seen to fail.
fn next_step(out: &mut String, snapshot: &MeshSnapshot, audit: &Audit, look: Look, scope: &Scope) {
    let next = look.palette.strong("Next:");
    let worst = audit.findings.iter().max_by_key(|finding| {
        (finding.severity, mends_the_mesh(finding), finding.is_observed(), std::cmp::Reverse(finding.cluster()))
    });
    let Some(finding) = worst else {
        if let Some(failed) = snapshot.failed.first() {
            let text = format!("read what is missing; {}", failure_hint(failed.cause));
            let _ = writeln!(out, "{next} {}", wrap(&text, look.width(), 6));
        }
        return;
    };
    let mut text = match &finding.action {
        Action::SetTimeout { at, to, .. } if mends_the_mesh(finding) && at.kind.is_mesh_wide() => format!(
            "raise the mesh's connect timeout from {} to {}",
            finding.subject.timeout().map(format_duration).unwrap_or_default(),
            format_duration(to.value)
        ),
        action => {
            let cluster = finding.cluster();
            let cluster = if cluster.is_empty() { String::new() } else { format!("{}: ", escape(cluster)) };
            format!("{cluster}{}", escape(&action.remedy()))
        }
    };
    let proxy = finding.proxies().iter().next().map(|at| &snapshot.proxies[at as usize].proxy.id);
    let line = finding.command(scope, proxy);
    if line.is_some() {
        text.push_str("; run");
    }
    let _ = writeln!(out, "{next} {}", wrap(&text, look.width(), 6));
    if let Some(line) = line {
        let _ = writeln!(out, "  {}", look.palette.info(&command(&escape(&line), look.width(), 2)));
    }
}

/// Whether what is to be done is to change the mesh's own value, which mends all that is of it.
fn mends_the_mesh(finding: &Finding) -> bool {
    matches!(&finding.action, Action::SetTimeout { at, reach: Reach::Source, .. } if at.kind.is_mesh_wide())
}
