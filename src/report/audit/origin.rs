//! Where a value comes from, with everything that could have given another and why it did not.

use std::collections::HashMap;
use std::fmt::Write;
use std::time::Duration;

use super::super::escape::escape;
use super::super::look::{Look, count, proxies, show_timeout};
use super::super::table::{self, number, text, wrap};
use crate::attribute::{Attributor, Candidate, Outcome};
use crate::audit::{Audit, Row};
use crate::model::{ClusterSet, MeshSnapshot, Origin, OriginKind, format_duration};

/// How many proxies are named before the rest is counted, unless `-v`.
const NAMED: usize = 3;

/// A row's candidates, weakest first, for the proxies that have the same.
pub struct Explained<'a> {
    /// The row.
    pub row: &'a Row,
    /// Chains, each with the proxies it is for: positions in the snapshot's list.
    pub chains: Vec<(Vec<Candidate>, ClusterSet)>,
}

/// For each row of an audit and each class of proxies that holds it, the chain of candidates.
#[must_use]
pub fn explained<'a>(snapshot: &MeshSnapshot, audit: &'a Audit) -> Vec<Explained<'a>> {
    let attributor = Attributor::new(snapshot);
    let mut positions: HashMap<(&str, Option<Duration>), Vec<u32>> = HashMap::new();
    for (position, cluster) in (0u32..).zip(&snapshot.clusters) {
        positions.entry((&*cluster.name, cluster.connect_timeout)).or_default().push(position);
    }
    let explain = |row: &'a Row| {
        // Classes that have the same chain are shown as one.
        let mut chains: Vec<(Vec<Candidate>, ClusterSet)> = Vec::new();
        let positions = positions.get(&(&*row.name, row.connect_timeout)).map_or(&[][..], Vec::as_slice);
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
        Explained { row, chains }
    };
    audit.rows.iter().map(|row| explain(row)).collect()
}

/// The same for people.
#[must_use]
pub fn explain(snapshot: &MeshSnapshot, audit: &Audit, look: Look) -> String {
    let mut out = String::new();
    for Explained { row, chains } in explained(snapshot, audit) {
        let line =
            format!("{}  {}  {}", escape(&row.name), show_timeout(row.connect_timeout), show_origin(&row.origin));
        let _ = writeln!(out, "{}", look.palette.strong(&wrap(&line, look.width(), 2)));
        if !row.origin.note.is_empty() {
            let _ = writeln!(out, "  {}", wrap(&escape(&row.origin.note), look.width(), 4));
        }
        for (chain, held) in chains {
            let named = if look.verbose { usize::MAX } else { NAMED };
            let names = proxies(held.iter().map(|at| &snapshot.proxies[at as usize].proxy.id), named);
            let line = format!("on {}: {names}", count(held.len(), "proxy", "proxies"));
            let _ = writeln!(out, "  {}", wrap(&line, look.width(), 4));
            out.push_str(&candidates(chain, look));
        }
        out.push('\n');
    }
    out
}

/// A table of candidates, four columns in.
fn candidates(chain: Vec<Candidate>, look: Look) -> String {
    let palette = look.palette;
    let cells: Vec<Vec<String>> = chain
        .into_iter()
        .map(|candidate| {
            let outcome = match candidate.outcome {
                Outcome::Won => palette.good("won"),
                Outcome::Lost => palette.faint("lost"),
                Outcome::Silent => palette.faint("sets none"),
                Outcome::Perhaps => palette.warning("perhaps"),
            };
            vec![
                outcome,
                candidate.value.map_or_else(|| "-".to_owned(), format_duration),
                format!(
                    "{}\n{}\n{}",
                    candidate.origin.as_ref().map_or_else(|| candidate.layer.as_str().to_owned(), show_origin),
                    escape(&candidate.reason),
                    palette.faint(candidate.layer.file()),
                ),
            ]
        })
        .collect();
    let columns = [text("OUTCOME"), number("VALUE"), text("CANDIDATE")];
    let inner = Look { columns: look.columns.map(|columns| columns.saturating_sub(4)), ..look };
    let table = table::fit(&columns, &cells, inner);
    table.lines().fold(String::new(), |out, line| out + "    " + line + "\n")
}

/// `DestinationRule shop/cc-api subset v1`, with a question mark where it is not certain.
#[must_use]
pub fn show_origin(origin: &Origin) -> String {
    show(&origin.kind, &origin.kind.part(), origin.certain)
}

/// The same, where nothing else but a timeout can be meant, and in a room of so many columns: which part of an object it
/// is goes before its name is shortened.
pub(super) fn show_cause(kind: &OriginKind, certain: bool, room: usize) -> String {
    match kind {
        OriginKind::MeshConfig { .. } => show(kind, "", certain),
        _ => Some(show(kind, &kind.part(), certain))
            .filter(|whole| table::width(whole) <= room)
            .unwrap_or_else(|| show(kind, "", certain)),
    }
}

fn show(kind: &OriginKind, part: &str, certain: bool) -> String {
    let mut out = kind.as_str().to_owned();
    if let Some(object) = kind.object() {
        let _ = write!(out, " {}", escape(&object.to_string()));
    }
    if !part.is_empty() {
        let _ = write!(out, " {}", escape(part));
    }
    if !certain && *kind != OriginKind::Unknown {
        out.push('?');
    }
    out
}
