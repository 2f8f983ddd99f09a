//! A verification, for people and for machines.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::escape::escape;
use super::look::{Look, count, failure_hint, show_timeout};
use super::table::wrap;
use super::v1::audit::{Coverage, Tool, coverage};
use crate::fix::verify::{Straggler, Verification};
use crate::model::{MeshSnapshot, format_duration};

/// One line while waiting.
#[must_use]
pub fn progress(verification: &Verification) -> String {
    format!("{} of {} have it", verification.good, count(verification.proxies, "proxy", "proxies"))
}

/// A verification for people. `expected` says what proxies were to hold.
#[must_use]
pub fn text(snapshot: &MeshSnapshot, verification: &Verification, expected: &str, look: Look) -> String {
    let palette = look.palette;
    let width = look.columns.unwrap_or(usize::MAX);
    let mut out = String::new();
    let _ = writeln!(out, "Expected: {}", wrap(&escape(expected), width, 10));
    if !verification.stragglers.is_empty() {
        out.push('\n');
        out.push_str(&stragglers(&verification.stragglers, look));
        out.push('\n');
    }
    let line = progress(verification);
    let painted = if verification.good == verification.proxies { palette.good(&line) } else { palette.warning(&line) };
    let _ = writeln!(out, "{painted}");
    if verification.unknown > 0 {
        let _ = writeln!(
            out,
            "{}",
            palette.warning(&format!(
                "of {} it can't be told: their mesh configuration could not be read; name a value with --expect",
                count(verification.unknown, "proxy", "proxies")
            ))
        );
    }
    if !snapshot.failed.is_empty() {
        let _ = writeln!(
            out,
            "{}",
            palette.error(&format!("{} not read", count(snapshot.failed.len(), "proxy", "proxies")))
        );
        for failed in &snapshot.failed {
            let line = format!(
                "{}: {} ({})",
                escape(&failed.id.to_string()),
                escape(&failed.message),
                failure_hint(failed.cause)
            );
            let _ = writeln!(out, "  {}", wrap(&line, width, 4));
        }
    }
    out
}

/// How many proxies of a group are named before the rest is counted, unless `-v`.
const PROXIES: usize = 10;

/// How many of its clusters.
const CLUSTERS: usize = 3;

/// Stragglers by what is wrong with them, the most first.
fn stragglers(stragglers: &[Straggler], look: Look) -> String {
    /// Proxies and clusters.
    type Group<'a> = (Vec<String>, BTreeSet<&'a str>);
    let mut groups: BTreeMap<(String, String), Group<'_>> = BTreeMap::new();
    for straggler in stragglers {
        let list = |values: BTreeSet<String>| values.into_iter().collect::<Vec<_>>().join(", ");
        let held = list(straggler.mismatches.iter().map(|mismatch| show_timeout(mismatch.held)).collect());
        let wanted = list(
            straggler
                .mismatches
                .iter()
                .map(|mismatch| mismatch.expected.map_or_else(|| "none".to_owned(), format_duration))
                .collect(),
        );
        let key = (straggler.reason.to_string(), format!("holds {held} in place of {wanted}"));
        let (proxies, clusters) = groups.entry(key).or_default();
        proxies.push(straggler.proxy.to_string());
        clusters.extend(straggler.mismatches.iter().map(|mismatch| &*mismatch.cluster));
    }
    let mut ordered: Vec<_> = groups.into_iter().collect();
    ordered.sort_by_key(|(_, (proxies, _))| std::cmp::Reverse(proxies.len()));
    let width = look.columns.unwrap_or(usize::MAX);
    let some = |names: &[&str], named: usize| {
        let named = if look.verbose { usize::MAX } else { named };
        let mut shown: Vec<String> = names.iter().take(named).map(|name| escape(name).into_owned()).collect();
        if names.len() > named {
            shown.push(format!("and {} more", names.len() - named));
        }
        shown.join(", ")
    };
    let mut out = String::new();
    for ((reason, values), (proxies, clusters)) in ordered {
        let clusters: Vec<&str> = clusters.into_iter().collect();
        let _ = writeln!(out, "{}", look.palette.strong(&wrap(&escape(&reason), width, 2)));
        let proxies: Vec<&str> = proxies.iter().map(String::as_str).collect();
        let line = format!("{}: {}", count(proxies.len(), "proxy", "proxies"), some(&proxies, PROXIES));
        let _ = writeln!(out, "  {}", wrap(&line, width, 4));
        let line = format!("{values}, {}: {}", count(clusters.len(), "cluster", "clusters"), some(&clusters, CLUSTERS));
        let _ = writeln!(out, "  {}", wrap(&line, width, 4));
    }
    out
}

/// Whether every proxy holds what it should.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerificationJson {
    /// Always `meshaudit/v1`.
    pub api_version: &'static str,
    /// Always `Verification`.
    pub kind: &'static str,
    /// What wrote it.
    pub tool: Tool,
    /// What proxies were to hold.
    pub expected: String,
    /// How long it was waited for, in milliseconds.
    pub waited_ms: u64,
    /// What was read, and what could not be.
    pub coverage: Coverage,
    /// Proxies that hold everything they should.
    pub good: usize,
    /// Proxies for which it can't be told.
    pub unknown: usize,
    /// Those that do not.
    pub stragglers: Vec<StragglerJson>,
}

/// A proxy that does not hold what it should, for one reason.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StragglerJson {
    /// `namespace/pod`.
    pub proxy: String,
    /// `rejected`, `not-connected`, `not-accepted`, `override`, `not-configured`, `not-yet-pushed` or `unexplained`.
    pub reason: &'static str,
    /// The same in words.
    pub message: String,
    /// The clusters.
    pub clusters: Vec<MismatchJson>,
}

/// A cluster that does not hold what it should.
#[derive(Debug, Serialize, JsonSchema)]
pub struct MismatchJson {
    /// Its name.
    pub cluster: String,
    /// What it holds; `null` where the field is absent.
    pub held: Option<String>,
    /// What it should hold; `null` where nothing.
    pub expected: Option<String>,
}

/// The v1 form of a verification.
#[must_use]
pub fn verification_json(
    snapshot: &MeshSnapshot,
    verification: &Verification,
    expected: &str,
    waited: Duration,
) -> VerificationJson {
    VerificationJson {
        api_version: "meshaudit/v1",
        kind: "Verification",
        tool: Tool::default(),
        expected: expected.to_owned(),
        waited_ms: u64::try_from(waited.as_millis()).unwrap_or(u64::MAX),
        coverage: coverage(snapshot),
        good: verification.good,
        unknown: verification.unknown,
        stragglers: verification
            .stragglers
            .iter()
            .map(|straggler| StragglerJson {
                proxy: straggler.proxy.to_string(),
                reason: straggler.reason.as_str(),
                message: straggler.reason.to_string(),
                clusters: straggler
                    .mismatches
                    .iter()
                    .map(|mismatch| MismatchJson {
                        cluster: mismatch.cluster.to_string(),
                        held: mismatch.held.map(format_duration),
                        expected: mismatch.expected.map(format_duration),
                    })
                    .collect(),
            })
            .collect(),
    }
}
