//! What an audit covered, how much it found, and what to do next.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::super::escape::escape;
use super::super::look::{Look, count, failure_hint, proxies};
use super::super::table;
use super::paint;
use crate::audit::{Action, Audit, Severity};
use crate::model::{FailureCause, MeshSnapshot, ProxyId, format_duration};

/// How many proxies a line names before it counts the rest.
const NAMED: usize = 3;

/// What was covered, how much was found, and the one thing to do next.
#[must_use]
pub fn summary(snapshot: &MeshSnapshot, audit: &Audit, look: Look) -> String {
    let palette = look.palette;
    let mut out = String::new();
    let (audited, failed) = (snapshot.proxies.len(), snapshot.failed.len());
    let _ = write!(out, "Audited {}", count(audited, "proxy", "proxies"));
    if failed > 0 {
        let _ = write!(out, ", {}", palette.error(&format!("{} not read", count(failed, "proxy", "proxies"))));
    }
    if !snapshot.skipped.is_empty() {
        let _ = write!(out, ", skipped {}", count(snapshot.skipped.len(), "pod", "pods"));
    }
    for mesh in &audit.mesh {
        let plane = [("context", &mesh.context), ("revision", &mesh.revision)];
        let plane: Vec<String> = plane
            .iter()
            .filter(|(_, value)| !value.is_empty())
            .map(|(name, value)| format!("{name} {}", escape(value)))
            .collect();
        let plane = if plane.is_empty() { String::new() } else { format!(" ({})", plane.join(", ")) };
        let _ = write!(
            out,
            "\nThe mesh's connect timeout is {}{plane}, by {}",
            palette.strong(&format_duration(mesh.connect_timeout)),
            escape(&mesh.source)
        );
    }
    out.push('\n');
    failures(&mut out, snapshot, look);
    skips(&mut out, snapshot, look);
    let counts = [(Severity::Error, "error"), (Severity::Warning, "warning"), (Severity::Info, "info")];
    let found: Vec<String> = counts
        .iter()
        .map(|(severity, word)| (audit.count(*severity), *severity, word))
        .filter(|(count, ..)| *count > 0)
        .map(|(number, severity, word)| {
            let plural = if severity == Severity::Info { (*word).to_owned() } else { format!("{word}s") };
            paint(palette, severity, &count(number, word, &plural))
        })
        .collect();
    if found.is_empty() {
        let verdict =
            if failed > 0 { palette.warning("Nothing wrong in what was read") } else { palette.good("Nothing wrong") };
        let _ = writeln!(out, "{verdict}: {}", count(audit.rows.len(), "value", "values"));
    } else {
        let _ = writeln!(out, "Found {}", found.join(", "));
    }
    rules_found(&mut out, audit, look);
    let next = next_step(snapshot, audit);
    if !next.is_empty() {
        let width = look.columns.unwrap_or(usize::MAX);
        let _ = writeln!(out, "{} {}", palette.strong("Next:"), table::wrap(&next, width, 6));
    }
    out
}

/// One line a rule that found something: what it says, and how often.
fn rules_found(out: &mut String, audit: &Audit, look: Look) {
    let mut rules: BTreeMap<&'static str, (&'static str, usize)> = BTreeMap::new();
    for finding in &audit.findings {
        rules.entry(finding.rule.code).or_insert((finding.rule.name, 0)).1 += 1;
    }
    for (code, (name, number)) in rules {
        let _ = writeln!(out, "  {code} {name} × {number}{}", look.palette.faint(&format!("  (explain {code})")));
    }
    if look.columns.is_some() && !audit.findings.is_empty() {
        let legend = "SYN: how many SYN retransmissions fit into the timeout; ?: likely, not proven";
        let _ = writeln!(out, "  {}", look.palette.faint(legend));
    }
}

/// The proxies that were not read, by cause, with what to do about each.
fn failures(out: &mut String, snapshot: &MeshSnapshot, look: Look) {
    let mut causes: BTreeMap<FailureCause, Vec<_>> = BTreeMap::new();
    for failed in &snapshot.failed {
        causes.entry(failed.cause).or_default().push(failed);
    }
    for (cause, all) in causes {
        let width = look.columns.unwrap_or(usize::MAX);
        let head = format!("not read ({cause}):");
        let line = table::wrap(&format!("{head} {}", failure_hint(cause)), width, 4);
        let _ = writeln!(out, "  {}", line.replacen(&head, &look.palette.error(&head), 1));
        let shown = if look.verbose { all.len() } else { NAMED };
        for failed in all.iter().take(shown) {
            let line = format!("{}: {}", escape(&failed.id.to_string()), escape(&failed.message));
            let _ = writeln!(out, "    {}", table::wrap(&line, width, 6));
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
        let width = look.columns.unwrap_or(usize::MAX);
        let line = format!("skipped, {}: {names}", escape(reason));
        let _ = writeln!(out, "  {}", table::wrap(&line, width, 4));
    }
}

/// The one thing to do next: what was seen to fail before what could.
fn next_step(snapshot: &MeshSnapshot, audit: &Audit) -> String {
    let worst = audit.findings.iter().max_by_key(|finding| {
        let mesh_wide = finding.origin().is_some_and(|origin| origin.kind.is_mesh_wide());
        (finding.severity, finding.is_observed(), mesh_wide)
    });
    let Some(finding) = worst else {
        return match snapshot.failed.first() {
            Some(failed) => format!("read what is missing; {}", failure_hint(failed.cause)),
            None => String::new(),
        };
    };
    match &finding.action {
        Action::SetTimeout { at, to, .. } if at.kind.is_mesh_wide() && finding.severity == Severity::Error => format!(
            "raise the mesh's connect timeout from {} to {}; `kubectl meshaudit fix` prints the change for this \
             installation",
            finding.subject.timeout().map(format_duration).unwrap_or_default(),
            format_duration(to.value)
        ),
        action => {
            let cluster = finding.cluster();
            let cluster = if cluster.is_empty() { String::new() } else { format!("{}: ", escape(cluster)) };
            format!("{cluster}{}", escape(&action.remedy()))
        }
    }
}
