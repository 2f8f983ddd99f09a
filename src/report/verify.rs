//! A verification, for people and for machines.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Serialize;

use super::escape::escape;
use super::look::{Look, count, failure_hint, proxies, show_timeout};
use super::table::{self, number, wrap};
use super::v1::audit::{Coverage, Tool, coverage};
use crate::audit::delivery::PlaneTrouble;
use crate::fix::verify::{Straggler, Verification};
use crate::model::{MeshSnapshot, ProxyId, format_duration};

/// One line while waiting.
#[must_use]
pub fn progress(verification: &Verification) -> String {
    let have = if verification.proxies == 1 { "has" } else { "have" };
    format!("{} of {} {have} it", verification.good, count(verification.proxies, "proxy", "proxies"))
}

/// A verification for people. `expected` says what proxies were to hold.
#[must_use]
pub fn text(snapshot: &MeshSnapshot, verification: &Verification, expected: &str, look: Look) -> String {
    let palette = look.palette;
    let width = look.columns.unwrap_or(usize::MAX);
    let mut out = control_planes(&verification.troubles, look);
    let _ = writeln!(out, "Expected: {}", wrap(&escape(expected), width, 10));
    if !verification.stragglers.is_empty() {
        out.push('\n');
        out.push_str(&stragglers(&verification.stragglers, look));
        out.push('\n');
    }
    for (sentence, proxies) in &verification.cut_off {
        let have = if proxies.len() == 1 { "has it, but" } else { "have it, but" };
        let line = format!("{} {have} {sentence}", count(proxies.len(), "proxy", "proxies"));
        let _ = writeln!(out, "{}", palette.warning(&wrap(&escape(&line), width, 2)));
        let _ = writeln!(out, "  {}", wrap(&named(proxies, look), width, 4));
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

/// What is wrong with control planes, each said once, with what to do.
#[must_use]
pub fn control_planes(troubles: &[PlaneTrouble], look: Look) -> String {
    let width = look.width();
    let mut out = String::new();
    for trouble in troubles {
        let _ = writeln!(out, "{}", look.palette.error(&wrap(&escape(&trouble.to_string()), width, 2)));
        let _ = writeln!(out, "  {}", wrap(&escape(trouble.kind.remedy()), width, 4));
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

fn named(ids: &[ProxyId], look: Look) -> String {
    proxies(ids, if look.verbose { usize::MAX } else { PROXIES })
}

/// How many proxies of a group are named before the rest is counted, unless `-v`.
const PROXIES: usize = 10;

/// How many of its clusters.
const CLUSTERS: usize = 3;

/// What a straggler's clusters hold, and what they should.
fn values(straggler: &Straggler) -> (String, String) {
    let list = |values: BTreeSet<String>| values.into_iter().collect::<Vec<_>>().join(", ");
    let wanted = |expected: Option<Duration>| expected.map_or_else(|| "none".to_owned(), format_duration);
    (
        list(straggler.mismatches.iter().map(|mismatch| show_timeout(mismatch.held)).collect()),
        list(straggler.mismatches.iter().map(|mismatch| wanted(mismatch.expected)).collect()),
    )
}

/// The stragglers alone, a row for each and each reason: proxy, reason, what is held, what is expected, of how many
/// clusters.
#[must_use]
pub fn rows(verification: &Verification, look: Look) -> String {
    let shown = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let cells = verification.stragglers.iter().map(|straggler| {
        let (held, wanted) = values(straggler);
        vec![
            escape(&straggler.proxy.to_string()).into_owned(),
            straggler.reason.as_str().to_owned(),
            shown(held),
            shown(wanted),
            straggler.mismatches.len().to_string(),
        ]
    });
    let columns = [table::text("PROXY"), table::text("REASON"), number("HELD"), number("EXPECTED"), number("CLUSTERS")];
    table::fit(&columns, &cells.collect::<Vec<_>>(), look)
}

/// Stragglers by what is wrong with them, the most first.
fn stragglers(stragglers: &[Straggler], look: Look) -> String {
    /// Proxies and clusters.
    type Group<'a> = (BTreeSet<&'a ProxyId>, BTreeSet<&'a str>);
    let mut groups: BTreeMap<(String, String), Group<'_>> = BTreeMap::new();
    for straggler in stragglers {
        let (held, wanted) = values(straggler);
        let values = match straggler.mismatches.as_slice() {
            [] => String::new(),
            _ => format!("holds {held} in place of {wanted}"),
        };
        let (proxies, clusters) = groups.entry((straggler.reason.to_string(), values)).or_default();
        proxies.insert(&straggler.proxy);
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
        let proxies: Vec<ProxyId> = proxies.into_iter().cloned().collect();
        let line = format!("{}: {}", count(proxies.len(), "proxy", "proxies"), named(&proxies, look));
        let _ = writeln!(out, "  {}", wrap(&line, width, 4));
        if values.is_empty() {
            continue;
        }
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
    /// What is wrong with control planes.
    pub control_planes: Vec<ControlPlaneJson>,
    /// Those that do not.
    pub stragglers: Vec<StragglerJson>,
}

/// Something that is wrong with a control plane.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ControlPlaneJson {
    /// The kubeconfig context, when several are read; else empty.
    pub context: String,
    /// Its revision.
    pub revision: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: &'static str,
}

/// What is wrong with control planes, in v1's form.
#[must_use]
pub fn control_planes_json(troubles: &[PlaneTrouble]) -> Vec<ControlPlaneJson> {
    let json = |trouble: &PlaneTrouble| ControlPlaneJson {
        context: trouble.context.clone(),
        revision: trouble.revision.clone(),
        message: trouble.to_string(),
        remedy: trouble.kind.remedy(),
    };
    troubles.iter().map(json).collect()
}

/// A proxy that does not hold what it should, for one reason.
#[derive(Debug, Serialize, JsonSchema)]
pub struct StragglerJson {
    /// `namespace/pod`.
    pub proxy: String,
    /// `no-clusters`, `missing-clusters`, `rejected`, `not-connected`, `not-accepted`, `not-in-force`, `override`,
    /// `not-configured`, `not-yet-pushed` or `unexplained`.
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
        control_planes: control_planes_json(&verification.troubles),
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
