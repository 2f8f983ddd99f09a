//! The write-up for a pull request, an issue or a wiki.

use std::fmt::Write;

use super::{
    About, Concerned, IncidentReport, WriteError, concerned, failures, heading, origin, results, step_in_words,
    upstream,
};
use crate::report::export::{cell, code};
use crate::report::look::{grouped, some};
use crate::report::resets;

/// GitHub takes 65,536 characters; these bounds keep a write-up below them.
const CLUSTERS: usize = 50;
const FAILURES: usize = 20;
const LINES: usize = 12;
const DIFF: usize = 4_000;

/// The document.
///
/// # Errors
/// When one of its documents cannot be written.
pub fn markdown(report: &IncidentReport) -> Result<String, WriteError> {
    let mut out = format!("# {}\n\n", cell(&report.title));
    let mut last = None;
    for fact in &report.facts {
        if last != Some(fact.about) {
            let (name, link) = heading(fact.about);
            let _ = writeln!(out, "- [{name}](#{link})");
            last = Some(fact.about);
        }
        let _ = writeln!(out, "  - {}", cell(&fact.sentence));
    }
    section(&mut out, About::Resets, &report.resets.command, report.resets.missing.as_deref(), &report.resets.unread);
    if let Some(found) = &report.resets.document {
        // Its own heading is the section's.
        let text = resets::markdown(found);
        out.push_str(text.split_once("\n\n").map_or(text.as_str(), |(_, rest)| rest));
    }
    let diagnosis = &report.diagnosis;
    section(&mut out, About::Cause, &diagnosis.command, diagnosis.missing.as_deref(), &diagnosis.unread);
    connections(&mut out, report);
    section(&mut out, About::Timeout, &report.audit.command, report.audit.missing.as_deref(), &report.audit.unread);
    clusters(&mut out, report)?;
    section(&mut out, About::Change, &report.plan.command, report.plan.missing.as_deref(), &report.plan.unread);
    change(&mut out, report);
    let verification = &report.verification;
    section(&mut out, About::Holders, &verification.command, verification.missing.as_deref(), &verification.unread);
    if let Some(found) = &verification.document {
        let _ = writeln!(
            out,
            "Expected: {}. {} of {} have it.\n",
            cell(&found.expected),
            found.good,
            found.coverage.audited
        );
        for straggler in found.stragglers.iter().take(CLUSTERS) {
            let _ = writeln!(out, "- {}: {}", code(&straggler.proxy), cell(&straggler.message));
        }
    }
    section(&mut out, About::Effect, &report.resets.command, None, &[]);
    for fact in report.facts.iter().filter(|fact| fact.about == About::Effect) {
        let _ = writeln!(out, "{}\n", cell(&fact.sentence));
    }
    let _ = writeln!(out, "Written {} by kubectl-meshaudit {}.", report.written_at, report.tool.version);
    Ok(out)
}

fn section(out: &mut String, about: About, command: &str, missing: Option<&str>, unread: &[String]) {
    let _ = writeln!(out, "\n## {}\n\n```sh\n{}\n```\n", heading(about).0, crate::report::escape::escape(command));
    if let Some(why) = missing {
        let _ = writeln!(out, "Not known: {}\n", cell(why));
    }
    if !unread.is_empty() {
        let _ = writeln!(out, "**Incomplete.** Not read: {}\n", cell(&some(unread.iter().cloned(), LINES)));
    }
}

fn connections(out: &mut String, report: &IncidentReport) {
    let items = failures(report);
    if items.is_empty() {
        return;
    }
    out.push_str(
        "| cause | sure | count | to | waited | timeout | first | last |\n|---|---|---:|---|---:|---:|---|---|\n",
    );
    for item in items.iter().take(FAILURES) {
        let text = |value: &Option<String>| value.as_deref().map_or_else(|| "–".to_owned(), cell);
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            cell(item.cause),
            item.confidence,
            grouped(item.occurrences),
            code(upstream(item)),
            item.seconds.map_or_else(|| "–".to_owned(), |seconds| format!("{seconds:.2} s")),
            text(&item.connect_timeout),
            text(&item.first),
            text(&item.last),
        );
    }
    if items.len() > FAILURES {
        let _ = writeln!(out, "\nand {} more kinds of failures.", items.len() - FAILURES);
    }
    for item in items.iter().take(FAILURES) {
        let _ = writeln!(out, "\n**{}**, {}: {}", cell(item.cause), code(upstream(item)), cell(&item.explanation));
        if !item.remedy.is_empty() {
            let _ = writeln!(out, "\nRemedy: {}", cell(&item.remedy));
        }
        if !item.evidence.is_empty() {
            out.push_str("\n```text\n");
            for line in item.evidence.iter().take(LINES) {
                // A fence cannot be closed by what stands in it.
                let text = crate::report::escape::escape(&line.text).replace("```", "'''");
                let _ = writeln!(out, "{:>6}  {text}", line.line);
            }
            out.push_str("```\n");
        }
    }
}

fn clusters(out: &mut String, report: &IncidentReport) -> Result<(), WriteError> {
    let Some(audit) = &report.audit.document else { return Ok(()) };
    let found = concerned(report);
    if !found.is_empty() {
        out.push_str("| cluster | timeout | SYN retransmissions | origin | proxies | failed, logged | failed, counted |\n|---|---:|---:|---|---:|---:|---:|\n");
    }
    for Concerned { cluster, logged, .. } in found.iter().take(CLUSTERS) {
        let counted = cluster.evidence.as_ref().map_or_else(|| "–".to_owned(), |seen| grouped(seen.failures));
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {counted} |",
            code(&cluster.name),
            cluster.connect_timeout,
            cluster.syn_retransmissions,
            cell(&origin(cluster)),
            cluster.proxy_count,
            grouped(*logged),
        );
    }
    let others = audit.clusters.len() - found.len().min(CLUSTERS);
    let _ = writeln!(out, "\n{others} other values are in the command's own report. {}", results(audit)?.covered());
    for failed in audit.coverage.failed.iter().take(CLUSTERS) {
        let _ = writeln!(out, "- not read: {}: {}", code(&failed.proxy), cell(&failed.message));
    }
    Ok(())
}

fn change(out: &mut String, report: &IncidentReport) {
    for fact in report.facts.iter().filter(|fact| fact.about == About::Change) {
        let _ = writeln!(out, "- {}", cell(&fact.sentence));
    }
    for step in report.plan.document.iter().flat_map(|plan| &plan.steps) {
        let _ = writeln!(out, "\n**{}**", cell(&step_in_words(step)));
        let diff: String = step.changes.iter().map(|part| part.diff.as_str()).collect();
        for (language, text) in [("diff", diff), ("sh", step.commands.join("\n"))] {
            if !text.is_empty() && text.len() < DIFF {
                let lines: Vec<_> = text.lines().map(crate::report::escape::escape).collect();
                let _ = writeln!(out, "\n```{language}\n{}\n```", lines.join("\n").replace("```", "'''"));
            }
        }
        step.warnings.iter().for_each(|warning| {
            let _ = writeln!(out, "\nMind: {}", cell(warning));
        });
    }
}
