//! The write-up as one page that needs nothing from anywhere.

use std::fmt::Write;

use super::{About, Concerned, IncidentReport, Part, WriteError, concerned, heading, origin, results, step_in_words};
use crate::report::export::{self, markup, prose};
use crate::report::look::{count, grouped};
use crate::report::resets;

/// What the export's style does not have: the facts, commands, the chart and its wide tables.
const STYLE: &str = "
a{color:var(--info)}
.facts dt{font-weight:600;margin-top:.6rem}.facts dd{margin:.15rem 0 .15rem 1.2rem;overflow-wrap:anywhere}
pre{overflow-x:auto;padding:.5rem .7rem;background:color-mix(in srgb,var(--faint) 14%,transparent)}
pre.command{white-space:pre-wrap;overflow-wrap:anywhere;border-left:4px solid var(--info)}
.mark{border-left:4px solid var(--info);padding:.2rem .8rem}
.none{color:var(--faint)}
.scroll{overflow:auto;max-height:80vh}
.scroll svg{width:100%;min-width:760px;height:auto;display:block}
.scroll table{width:auto;display:table}.scroll thead{display:table-header-group}.scroll tbody{display:table-row-group}
.scroll tfoot{display:table-footer-group}.scroll tr{display:table-row;padding:0}
.scroll th,.scroll td{display:table-cell;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line);padding:.2rem .7rem}
.scroll th:first-child,.scroll td:first-child{text-align:left;position:sticky;left:0;background:var(--ground)}
.scroll .name{display:inline-block;max-width:18ch;overflow:hidden;text-overflow:ellipsis;vertical-align:bottom}
.scroll i{display:inline-block;width:.8em;height:.8em;margin-right:.4em}";

/// The page.
///
/// # Errors
/// When the picture, or one of the documents, cannot be written.
pub fn html(report: &IncidentReport) -> Result<String, WriteError> {
    let title = markup(&report.title);
    let mut page = export::page_head(&title, STYLE);
    page.push_str("<dl class=\"facts\">\n");
    let all = [About::Resets, About::Cause, About::Timeout, About::Change, About::Holders, About::Effect];
    for about in all {
        let (name, link) = heading(about);
        let mut told = report.facts.iter().filter(|fact| fact.about == about).peekable();
        let command = told.peek().map(|fact| markup(&fact.command)).unwrap_or_default();
        let _ = writeln!(page, "<dt><a href=\"#{link}\" title=\"{command}\">{name}</a></dt>");
        told.for_each(|fact| {
            let _ = writeln!(page, "<dd>{}</dd>", prose(&fact.sentence));
        });
    }
    page.push_str("</dl>\n");
    section(&mut page, About::Resets, &report.resets);
    if let Some(found) = &report.resets.document {
        chart(&mut page, found)?;
    }
    section(&mut page, About::Cause, &report.diagnosis);
    if let Some(found) = &report.diagnosis.document {
        export::findings_table(&mut page, &results(found)?);
    }
    section(&mut page, About::Timeout, &report.audit);
    if let Some(audit) = &report.audit.document {
        clusters(&mut page, report, audit.clusters.len());
        let audit = results(audit)?;
        let _ = writeln!(page, "<p>{}</p>", markup(&audit.covered()));
        export::unread(&mut page, &audit);
    }
    section(&mut page, About::Change, &report.plan);
    change(&mut page, report);
    section(&mut page, About::Holders, &report.verification);
    if let Some(found) = &report.verification.document {
        let (have, all) = (found.good, count(found.coverage.audited, "proxy", "proxies"));
        let _ = writeln!(page, "<p>Expected: {}. {have} of {all} have it.</p>", markup(&found.expected));
        export::findings_table(&mut page, &results(found)?);
    }
    headed(&mut page, About::Effect, &report.resets.command);
    for fact in report.facts.iter().filter(|fact| fact.about == About::Effect) {
        let _ = writeln!(page, "<p class=\"mark\">{}</p>", prose(&fact.sentence));
    }
    if let Some(found) = &report.resets.document {
        found.marks.iter().for_each(|mark| resets::comparison(&mut page, found, mark));
    }
    page.push_str(&export::page_foot(&report.written_at, report.tool.version));
    Ok(page)
}

fn shell(command: &str) -> String {
    format!("<pre class=\"command\">{}</pre>\n", markup(command))
}

/// A section's heading, and the command that gives its figures.
fn headed(page: &mut String, about: About, command: &str) {
    let (name, link) = heading(about);
    let _ = write!(page, "<h2 id=\"{link}\">{name}</h2>\n{}", shell(command));
}

fn section<T>(page: &mut String, about: About, part: &Part<T>) {
    headed(page, about, &part.command);
    if let Some(why) = &part.missing {
        let _ = writeln!(page, "<p class=\"incomplete\">Not known: {}</p>", prose(why));
    }
    if !part.unread.is_empty() {
        page.push_str("<div class=\"incomplete\">Incomplete. Not read:<ul>");
        part.unread.iter().for_each(|line| {
            let _ = write!(page, "<li>{}</li>", markup(line));
        });
        page.push_str("</ul></div>\n");
    }
}

fn chart(page: &mut String, found: &resets::ResetsReport) -> Result<(), WriteError> {
    if !found.buckets.is_empty() {
        let picture = resets::svg(found)?;
        let picture = picture.split_once("?>").map_or(picture.as_str(), |(_, rest)| rest).trim_start();
        let _ = writeln!(page, "<div class=\"scroll\">{picture}</div>");
    }
    let told = found.delay.iter().map(|delay| &delay.sentence);
    let told = told.chain(found.rhythm.iter().map(|rhythm| &rhythm.sentence));
    for sentence in told {
        let _ = writeln!(page, "<p>{}</p>", prose(sentence));
    }
    for note in &found.notes {
        let _ = writeln!(page, "<p class=\"faint\">{}</p>", prose(note));
    }
    if !found.buckets.is_empty() {
        resets::numbers(page, found);
    }
    Ok(())
}

/// The clusters that are concerned; `all` is how many values there are.
fn clusters(page: &mut String, report: &IncidentReport, all: usize) {
    let found = concerned(report);
    if !found.is_empty() {
        page.push_str("<table>\n<thead><tr><th>Cluster</th><th class=\"n\">Timeout</th><th class=\"n\">SYN retransmissions</th><th>Origin</th><th class=\"n\">Failed, logged</th><th class=\"n\">Failed, counted</th><th>Held by</th></tr></thead>\n<tbody>\n");
        for Concerned { cluster, logged, proxies } in &found {
            let counted = cluster.evidence.as_ref().map_or_else(|| "–".to_owned(), |seen| grouped(seen.failures));
            let _ = writeln!(
                page,
                "<tr>{}<td class=\"n\" data-h=\"Timeout\" data-k=\"{}\">{}</td><td class=\"n\" data-h=\"SYN retransmissions\">{}</td><td data-h=\"Origin\">{}</td><td class=\"n\" data-h=\"Failed, logged\">{}</td><td class=\"n\" data-h=\"Failed, counted\">{counted}</td><td data-h=\"Held by\"><details><summary>{}</summary><span class=\"name\">{}</span></details></td></tr>",
                export::cluster_cell(&cluster.name),
                cluster.connect_timeout_ms,
                markup(&cluster.connect_timeout),
                cluster.syn_retransmissions,
                markup(&origin(cluster)),
                grouped(*logged),
                count(cluster.proxy_count, "proxy", "proxies"),
                markup(&proxies.iter().map(|name| &***name).collect::<Vec<_>>().join(", ")),
            );
        }
        page.push_str("</tbody>\n</table>\n");
    }
    let _ = writeln!(
        page,
        "<p class=\"faint\">{} of {} are concerned; the command above lists all.</p>",
        found.len(),
        count(all, "value", "values")
    );
}

fn change(page: &mut String, report: &IncidentReport) {
    page.push_str("<ul>");
    for fact in report.facts.iter().filter(|fact| fact.about == About::Change) {
        let _ = write!(page, "<li>{}</li>", prose(&fact.sentence));
    }
    page.push_str("</ul>\n");
    for step in report.plan.document.iter().flat_map(|plan| &plan.steps) {
        let _ = writeln!(page, "<h3>{}</h3>", markup(&step_in_words(step)));
        let diff: String = step.changes.iter().map(|part| part.diff.as_str()).collect();
        if !diff.is_empty() {
            let _ = writeln!(page, "<details><summary>What it changes</summary><pre>{}</pre></details>", markup(&diff));
        }
        step.commands.iter().for_each(|command| page.push_str(&shell(command)));
        if let Some(interim) = &step.interim {
            let _ = write!(page, "<p>Until {}:</p>{}", markup(&interim.until), shell(&interim.command));
        }
        for file in &step.files {
            let (what, name) = (markup(&file.what), markup(&file.name));
            let _ = writeln!(
                page,
                "<details><summary>{what}: {name}</summary><pre>{}</pre></details>",
                markup(&file.content)
            );
        }
        for warning in &step.warnings {
            let _ = writeln!(page, "<p class=\"warning\">Mind: {}</p>", prose(warning));
        }
    }
}
