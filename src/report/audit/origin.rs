//! Where a value comes from, with everything that could have given another and why it did not.

use std::fmt::Write;

use super::super::escape::escape;
use super::super::look::{Look, count, show_timeout};
use super::super::table::{self, number, text, wrap};
use crate::attribute::{Attributor, Candidate, Outcome};
use crate::audit::Audit;
use crate::model::{ClusterSet, MeshSnapshot, Origin, OriginKind, format_duration};

/// How many proxies are named before the rest is counted, unless `-v`.
const NAMED: usize = 3;

/// For each row of an audit and each class of proxies that holds it, the chain of candidates, weakest first.
#[must_use]
pub fn explain(snapshot: &MeshSnapshot, audit: &Audit, look: Look) -> String {
    let attributor = Attributor::new(snapshot);
    let mut out = String::new();
    for row in &audit.rows {
        let positions: Vec<u32> = (0u32..)
            .zip(&snapshot.clusters)
            .filter(|(_, cluster)| cluster.name == row.name && cluster.connect_timeout == row.connect_timeout)
            .map(|(position, _)| position)
            .collect();
        // Classes that have the same chain are shown as one.
        let mut chains: Vec<(Vec<Candidate>, ClusterSet)> = Vec::new();
        for class in attributor.classes() {
            let held = class.proxies.intersection(&row.proxies);
            let Some(&position) = positions.iter().find(|position| class.clusters.contains(**position)) else {
                continue;
            };
            if held.is_empty() {
                continue;
            }
            let (_, chain) = attributor.explain(class, position);
            match chains.iter_mut().find(|(known, _)| *known == chain) {
                Some((_, all)) => all.extend(&held),
                None => chains.push((chain, held)),
            }
        }
        let _ = writeln!(
            out,
            "{}  {}  {}",
            look.palette.strong(&escape(&row.name)),
            show_timeout(row.connect_timeout),
            show_origin(&row.origin)
        );
        if !row.origin.note.is_empty() {
            let width = look.columns.unwrap_or(usize::MAX);
            let _ = writeln!(out, "  {}", wrap(&escape(&row.origin.note), width, 4));
        }
        for (chain, proxies) in chains {
            let named = if look.verbose { usize::MAX } else { NAMED };
            let ids = proxies.iter().take(named).map(|at| snapshot.proxies[at as usize].proxy.id.to_string());
            let mut names: Vec<String> = ids.map(|id| escape(&id).into_owned()).collect();
            if proxies.len() > names.len() {
                names.push(format!("{} more", proxies.len() - names.len()));
            }
            let _ = writeln!(out, "  on {}: {}", count(proxies.len(), "proxy", "proxies"), names.join(", "));
            for line in candidates(chain, look).lines() {
                let _ = writeln!(out, "    {line}");
            }
        }
        out.push('\n');
    }
    out
}

fn candidates(chain: Vec<Candidate>, look: Look) -> String {
    let palette = look.palette;
    let cells = chain.into_iter().map(|candidate| {
        let outcome = match candidate.outcome {
            Outcome::Won => palette.good("won"),
            Outcome::Lost => palette.faint("lost"),
            Outcome::Silent => palette.faint("sets none"),
            Outcome::Perhaps => palette.warning("perhaps"),
        };
        vec![
            outcome,
            candidate.value.map_or_else(|| "-".to_owned(), format_duration),
            match &candidate.origin {
                Some(origin) => show_origin(origin),
                None => palette.faint(candidate.layer.as_str()),
            },
            escape(&candidate.reason).into_owned(),
            palette.faint(candidate.layer.file()),
        ]
    });
    let columns = [text("OUTCOME"), number("VALUE"), text("CANDIDATE"), text("WHY"), text("ISTIO")];
    table::render(&columns, cells.collect(), look.headings)
}

/// `DestinationRule shop/cc-api subset v1`, with a question mark where it is not certain.
#[must_use]
pub fn show_origin(origin: &Origin) -> String {
    let mut out = origin.kind.as_str().to_owned();
    if let Some(object) = origin.kind.object() {
        let _ = write!(out, " {}", escape(&object.to_string()));
    }
    let part = origin.kind.part();
    if !part.is_empty() {
        let _ = write!(out, " {}", escape(&part));
    }
    if !origin.certain && origin.kind != OriginKind::Unknown {
        out.push('?');
    }
    out
}
