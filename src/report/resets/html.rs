//! The report as one page that needs nothing from anywhere: the picture, the sentences, and the numbers.

use std::fmt::Write as _;

use super::svg::{DrawError, colour_of, shown_name, svg, xml};
use super::{Comparison, ResetsReport, ServiceRow, grouped, significant};

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#222;--faint:#666;--line:#ddd;--ground:#fff;--accent:#b0005a}
@media (prefers-color-scheme:dark){:root{--ink:#ddd;--faint:#999;--line:#3a3d45;--ground:#16181d;--accent:#ff7ab8}}
body{margin:2rem auto;max-width:1140px;padding:0 1rem;font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--ground)}
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}
svg{width:100%;min-width:760px;height:auto;display:block}
.mark{border-left:4px solid var(--accent);padding:.2rem .8rem}
.faint,.none{color:var(--faint)}
.scroll{overflow:auto;max-height:75vh}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}
th,td{padding:.2rem .7rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:var(--ground)}
.name{display:inline-block;max-width:16ch;overflow:hidden;text-overflow:ellipsis;vertical-align:bottom}
.wrap td{white-space:normal;overflow-wrap:anywhere}
@media (max-width:600px){body{margin:.8rem auto;padding:0 .7rem;font-size:14px}h1{font-size:1.2rem}th,td{padding:.2rem .4rem}.name{max-width:10ch}}
thead th{position:sticky;top:0;background:var(--ground)}
tfoot td{font-weight:600}
i{display:inline-block;width:.8em;height:.8em;margin-right:.4em}
code{overflow-wrap:anywhere;background:color-mix(in srgb,var(--faint) 18%,transparent);padding:.1rem .3rem}";

/// The page.
///
/// # Errors
/// When the picture cannot be drawn.
pub fn html(report: &ResetsReport) -> Result<String, DrawError> {
    let picture = svg(report)?;
    let picture = picture.split_once("?>").map_or(picture.as_str(), |(_, rest)| rest).trim_start();
    let mut page = String::new();
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width\">\n<title>Connection resets</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>Connection resets</h1>\n<div class=\"scroll\">{picture}</div>\n"
    );
    for mark in &report.marks {
        let _ = writeln!(page, "<p class=\"mark\">{}</p>", xml(&mark.sentence));
    }
    let delay = report.delay.iter().map(|delay| &delay.sentence);
    for sentence in delay.chain(report.rhythm.iter().map(|rhythm| &rhythm.sentence)) {
        let _ = writeln!(page, "<p>{}</p>", xml(sentence));
    }
    for step in &report.next {
        let _ = writeln!(page, "<p>Next: <code>{}</code><br>{}</p>", xml(&step.command), xml(&step.why));
    }
    for failed in &report.input.failed {
        let _ = writeln!(page, "<p><strong>{}</strong></p>", xml(&failed.sentence()));
    }
    for note in &report.notes {
        let _ = writeln!(page, "<p class=\"faint\">{}</p>", xml(note));
    }
    if !report.buckets.is_empty() {
        numbers(&mut page, report);
    }
    for mark in &report.marks {
        comparison(&mut page, report, mark);
    }
    for (heading, named) in [("Called", &report.targets), ("Root causes", &report.exceptions)] {
        if named.is_empty() {
            continue;
        }
        let _ = writeln!(page, "<h2>{heading}</h2>\n<table class=\"wrap\"><tbody>");
        for one in named {
            let _ = writeln!(page, "<tr><td>{}</td><td>{}</td></tr>", xml(&one.name), grouped(one.count));
        }
        page.push_str("</tbody></table>\n");
    }
    let input = &report.input;
    let _ = write!(
        page,
        "<p class=\"faint\">{} records of {} sources, times in {}. kubectl-meshaudit {}.</p>\n</body>\n</html>\n",
        grouped(input.records),
        input.sources,
        xml(&report.time_zone),
        report.tool.version
    );
    Ok(page)
}

/// The matrix of services and times.
pub(in crate::report) fn numbers(page: &mut String, report: &ResetsReport) {
    let cell = |count: Option<u64>| match count {
        None => "<td class=\"none\">no logs</td>".to_owned(),
        Some(0) => "<td class=\"none\">0</td>".to_owned(),
        Some(count) => format!("<td>{}</td>", grouped(count)),
    };
    let rows: Vec<&ServiceRow> = report.services.iter().collect();
    let _ = write!(
        page,
        "<h2>The numbers</h2>\n<div class=\"scroll\"><table>\n<thead><tr><th>{}</th><th>total</th>",
        xml(&report.by)
    );
    for index in 0..rows.len() {
        let (r, g, b) = colour_of(report, index);
        let name = xml(&shown_name(report, index));
        let _ = write!(
            page,
            "<th><i style=\"background:rgb({r},{g},{b})\"></i><span class=\"name\" title=\"{name}\">{name}</span></th>"
        );
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for (index, bucket) in report.buckets.iter().enumerate() {
        let cells: String = rows.iter().map(|row| cell(row.per_bucket[index])).collect();
        let _ = writeln!(
            page,
            "<tr><td>{}{}</td>{}{cells}</tr>",
            xml(&bucket.label),
            super::chart::covered(bucket)
                .map(|part| format!(" <span class=\"faint\">({part})</span>"))
                .unwrap_or_default(),
            cell(report.total.per_bucket[index])
        );
    }
    let totals: String = rows.iter().map(|row| format!("<td>{}</td>", grouped(row.resets))).collect();
    let _ = writeln!(
        page,
        "</tbody>\n<tfoot><tr><td>total</td><td>{}</td>{totals}</tr></tfoot>\n</table></div>",
        grouped(report.total.resets)
    );
}

/// Before and after a mark, a row a service.
pub(in crate::report) fn comparison(page: &mut String, report: &ResetsReport, mark: &super::MarkReport) {
    let name = if mark.label.is_empty() { &mark.at } else { &mark.label };
    let _ = write!(
        page,
        "<h2>Before and after: {}</h2>\n<div class=\"scroll\"><table>\n<thead><tr><th>service</th><th>an hour before</th><th>an hour after</th><th>ratio</th><th>95 % interval</th><th>more than noise</th></tr></thead>\n<tbody>\n",
        xml(name)
    );
    let mut line = |name: &str, figures: &Comparison| {
        let figure = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), significant);
        let interval = figures.interval.map_or_else(
            || "–".to_owned(),
            |interval| {
                format!(
                    "{} to {}",
                    significant(interval.low),
                    interval.high.map_or_else(|| "∞".to_owned(), significant)
                )
            },
        );
        let verdict = match figures.more_than_noise {
            Some(true) => "yes",
            Some(false) => "no",
            None => "–",
        };
        let _ = writeln!(
            page,
            "<tr><td><span class=\"name\" title=\"{0}\">{0}</span></td><td>{1}</td><td>{2}</td><td>{3}</td><td>{interval}</td><td>{verdict}</td></tr>",
            xml(name),
            figure(figures.before.per_hour),
            figure(figures.after.per_hour),
            figure(figures.ratio)
        );
    };
    for service in &mark.services {
        line(&service.name, &service.comparison);
    }
    if report.services.len() > 1 {
        line("all", &mark.all);
    }
    page.push_str("</tbody></table></div>\n");
}
