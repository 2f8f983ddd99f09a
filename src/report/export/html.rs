//! One page that needs nothing from anywhere: what was read, what was found, each value. Columns sort on a click; it
//! reads the same without scripts, in the dark, and on a telephone.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::super::look::count;
use super::results::{Alike, Finding, Level, Results};
use super::{breakable, markup, prose, shown};

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#222;--faint:#666;--line:#ddd;--ground:#fff;--error:#b3261e;--warning:#8a5a00;--info:#3b5b92}
@media (prefers-color-scheme:dark){:root{--ink:#ddd;--faint:#9a9a9a;--line:#3a3d45;--ground:#16181d;--error:#ff8a80;--warning:#ffca6b;--info:#9cc2ff}}
*{box-sizing:border-box}
body{margin:1.5rem auto;max-width:1180px;padding:0 1rem;font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--ground)}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}
.faint{color:var(--faint)}
.error{color:var(--error);font-weight:600}.warning{color:var(--warning);font-weight:600}.info{color:var(--info)}
.incomplete{border-left:4px solid var(--error);padding:.2rem .8rem}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.35rem .6rem;text-align:left;vertical-align:top;border-bottom:1px solid var(--line);overflow-wrap:anywhere}
th{cursor:pointer;position:sticky;top:0;background:var(--ground);white-space:nowrap}
td.n,th.n{text-align:right;white-space:nowrap}
td.rule{overflow-wrap:normal}
code,.name{font-family:ui-monospace,monospace;font-size:.93em}
details>summary{cursor:pointer}
@media (max-width:700px){
table,thead,tbody,tr,td{display:block}thead{display:none}
tr{border-bottom:1px solid var(--line);padding:.5rem 0}td{border:0;padding:.1rem 0}td.n{text-align:left}
td[data-h]::before{content:attr(data-h) \": \";color:var(--faint)}
}";

const SCRIPT: &str = "
for(const th of document.querySelectorAll('th'))th.onclick=()=>{
const table=th.closest('table'),body=table.tBodies[0],i=[...th.parentNode.children].indexOf(th),up=th.dataset.up!=='1';
for(const other of th.parentNode.children)delete other.dataset.up;th.dataset.up=up?'1':'0';
const key=row=>row.cells[i].dataset.k??row.cells[i].textContent;
const rows=[...body.rows].sort((a,b)=>key(a).localeCompare(key(b),undefined,{numeric:true}));
if(!up)rows.reverse();body.append(...rows)}";

/// The page.
pub(super) fn html(results: &Results) -> String {
    let mut page = page_head(&markup(results.title), "");
    summary(&mut page, results);
    if !results.findings.is_empty() {
        page.push_str("<h2>Findings</h2>\n");
        findings_table(&mut page, results);
    }
    clusters(&mut page, results);
    unread(&mut page, results);
    page.push_str(&page_foot(&results.started_at, &results.version));
    page
}

/// The beginning of a page, with its title as heading; `more` is added to its style.
pub(in crate::report) fn page_head(title: &str, more: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>{title}</title>\n<style>{STYLE}{more}</style>\n</head>\n<body>\n<h1>{title}</h1>\n"
    )
}

/// The end of a page: when what it says was read, and what wrote it.
pub(in crate::report) fn page_foot(when: &str, version: &str) -> String {
    let when = if when.is_empty() { String::new() } else { format!("Read {}. ", markup(when)) };
    let version = markup(version);
    format!("<p class=\"faint\">{when}kubectl-meshaudit {version}</p>\n<script>{SCRIPT}</script>\n</body>\n</html>\n")
}

fn summary(page: &mut String, results: &Results) {
    let found: Vec<String> = Level::ALL
        .into_iter()
        .filter(|level| results.count(*level) > 0)
        .map(|level| format!("<span class=\"{}\">{}</span>", level.as_str(), results.counted(level)))
        .collect();
    let found = if found.is_empty() { "Nothing found".to_owned() } else { found.join(", ") };
    let class = if results.coverage.failed.is_empty() { "" } else { " class=\"incomplete\"" };
    let _ = writeln!(page, "<p{class}>{found}. {}</p>", markup(&results.covered()));
    for mesh in &results.mesh {
        let of = if mesh.revision.is_empty() { String::new() } else { format!(" (revision {})", mesh.revision) };
        let _ = writeln!(
            page,
            "<p>The mesh's connect timeout is <strong>{}</strong>{}, by {}.</p>",
            markup(&mesh.connect_timeout),
            markup(&of),
            markup(&mesh.source)
        );
    }
}

/// What was found, a row each; nothing where nothing was.
pub(in crate::report) fn findings_table(page: &mut String, results: &Results) {
    if results.findings.is_empty() {
        return;
    }
    let code = match results.kind.as_str() {
        "Diagnosis" => "Cause",
        "Verification" => "Reason",
        _ => "Rule",
    };
    let _ = writeln!(
        page,
        "<table>\n<thead><tr><th>Severity</th><th>{code}</th><th>About</th><th>What, and what to do</th><th class=\"n\">Proxies</th></tr></thead>\n<tbody>"
    );
    for Alike { finding, subjects, proxies } in results.alike() {
        let rank = finding.level as u8;
        let about = match (&*finding.subject, &*finding.origin) {
            ("", "") => proxies.iter().copied().collect(),
            ("", origin) => vec![origin],
            _ => subjects,
        };
        let _ = write!(
            page,
            "<tr><td class=\"{0}\" data-k=\"{rank}\">{0}</td><td class=\"rule\">{1}{2}</td>{3}<td>",
            finding.level.as_str(),
            breakable(&finding.code),
            // A cause's name says the same as its code.
            if finding.name == finding.code.replace('_', "-") {
                String::new()
            } else {
                format!(" <span class=\"faint\">{}</span>", markup(&finding.name))
            },
            cluster_cells(&about),
        );
        what(page, finding, &proxies);
        let _ = writeln!(page, "</td><td class=\"n\" data-h=\"Proxies\">{}</td></tr>", proxies.len());
    }
    page.push_str("</tbody>\n</table>\n");
}

/// A cell with a cluster's name.
pub(in crate::report) fn cluster_cell(name: &str) -> String {
    cluster_cells(&[name])
}

/// A cell with the names of clusters: three of them, and the others when they are asked for.
fn cluster_cells(names: &[&str]) -> String {
    let lines = |names: &[&str]| names.iter().map(|name| breakable(name)).collect::<Vec<_>>().join("<br>");
    let (first, more) = shown(names);
    let more = match more.len() {
        0 => String::new(),
        count => format!("<details><summary>{count} more</summary>{}</details>", lines(more)),
    };
    format!("<td class=\"name\">{}{more}</td>", lines(first))
}

fn what(page: &mut String, finding: &Finding, proxies: &BTreeSet<&str>) {
    let _ = write!(page, "{}", prose(&finding.message));
    if !finding.origin.is_empty() && !finding.subject.is_empty() {
        let _ = write!(page, "<br><span class=\"faint\">From {}</span>", markup(&finding.origin));
    }
    if !finding.remedy.is_empty() {
        let _ = write!(page, "<br><strong>Remedy:</strong> {}", prose(&finding.remedy));
    }
    for line in finding.evidence.iter().take(20) {
        let _ = write!(page, "<br><code>{}</code>", markup(line));
    }
    if !proxies.is_empty() {
        let _ = write!(page, "<details><summary>{}</summary>", count(proxies.len(), "proxy", "proxies"));
        let names: Vec<&str> = proxies.iter().copied().collect();
        let _ = write!(page, "<span class=\"name\">{}</span></details>", markup(&names.join(", ")));
    }
}

fn clusters(page: &mut String, results: &Results) {
    if results.clusters.is_empty() {
        return;
    }
    page.push_str("<h2>Values</h2>\n<table>\n<thead><tr><th>Cluster</th><th class=\"n\">Timeout</th><th class=\"n\">SYN</th><th>Origin</th><th class=\"n\">Proxies</th></tr></thead>\n<tbody>\n");
    for cluster in &results.clusters {
        let _ = writeln!(
            page,
            "<tr>{}<td class=\"n\" data-h=\"Timeout\" data-k=\"{}\">{}</td><td class=\"n\" data-h=\"SYN retransmissions\">{}</td><td data-h=\"Origin\">{}</td><td class=\"n\" data-h=\"Proxies\">{}</td></tr>",
            cluster_cell(&cluster.name),
            cluster.connect_timeout_ms,
            markup(&cluster.connect_timeout),
            cluster.syn_retransmissions,
            markup(&cluster.origin.as_ref().map(super::results::Origin::text).unwrap_or_default()),
            cluster.proxy_count,
        );
    }
    page.push_str("</tbody>\n</table>\n");
}

/// Proxies that were not read, and pods that are none.
pub(in crate::report) fn unread(page: &mut String, results: &Results) {
    let of = &results.coverage;
    if !of.failed.is_empty() {
        page.push_str("<h2>Not read</h2>\n<table>\n<thead><tr><th>Proxy</th><th>Cause</th><th>What happened</th></tr></thead>\n<tbody>\n");
        for one in &of.failed {
            let _ = writeln!(
                page,
                "<tr><td class=\"name\">{}</td><td>{}</td><td>{}</td></tr>",
                markup(&one.proxy),
                markup(&one.cause),
                markup(&one.message)
            );
        }
        page.push_str("</tbody>\n</table>\n");
    }
    if !of.skipped.is_empty() {
        let _ = writeln!(page, "<details><summary>Skipped: {}</summary><ul>", count(of.skipped.len(), "pod", "pods"));
        for one in &of.skipped {
            let _ =
                writeln!(page, "<li><span class=\"name\">{}</span>: {}</li>", markup(&one.proxy), markup(&one.reason));
        }
        page.push_str("</ul></details>\n");
    }
}
