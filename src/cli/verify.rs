//! `verify`: waits until every proxy has what it should.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;

use super::console::Console;
use super::exit::Exit;
use super::failure::Failure;
use super::fix::{Format, timeout};
use super::kube_args::{SourceArgs, Wanted, duration};
use crate::attribute::describe;
use crate::fix::verify::{Expectation, verify};
use crate::model::{MeshSnapshot, ProxyId, format_duration};
use crate::report::fix::SavedPlan;
use crate::report::look::Look;
use crate::report::{document, verify as report};

/// Wait until every proxy has the expected value, and name the stragglers
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kubectl meshaudit verify -A                        what the mesh configuration and the other objects give
  kubectl meshaudit verify -A --expect 10s --wait 5m
  kubectl meshaudit verify -A --plan plan.json       what `fix -o json` planned
  kubectl meshaudit verify --from snapshot.tar.gz --expect 10s

Exit codes: 0 every proxy has it, 1 stragglers, 2 usage, 3 some proxies could not be read, 4 could not run.")]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    what: WhatArgs,
}

/// What is expected, and for how long.
#[derive(Debug, Args)]
#[command(next_help_heading = "Expectation")]
struct WhatArgs {
    /// The value that every cluster is to have which no object overrides; else what the objects give, e.g. 10s
    #[arg(long, value_name = "DURATION", value_parser = timeout, conflicts_with = "plan")]
    expect: Option<Duration>,
    /// A plan that `fix -o json` wrote
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// Read again until every proxy has it, or this time is over, e.g. 5m
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "from")]
    wait: Option<Duration>,
    /// How long to wait between two readings
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    interval: Duration,
    /// text, json or yaml
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t, hide_possible_values = true)]
    output: Format,
    /// No headings in tables
    #[arg(long)]
    no_headers: bool,
    /// Exit code 0 in place of 1 and 3
    #[arg(long)]
    exit_zero: bool,
}

/// The most that is read of a plan: one with all clusters of a large mesh has a few megabytes.
const MAX_PLAN: u64 = 256 << 20;

pub(super) async fn run(args: &VerifyArgs, console: &Console) -> Result<Exit, Failure> {
    let expectation = expectation(&args.what)?;
    let started = Instant::now();
    let wanted = Wanted { objects: true, ..Wanted::default() };
    let mut told = None;
    let mut unread: Option<Vec<ProxyId>> = None;
    let (snapshot, verification) = loop {
        let snapshot = args.source.collect(console, wanted).await?;
        let verification = verify(&snapshot, &expectation);
        // A proxy that could not be read twice in a row will not be waited for.
        let failed: Vec<ProxyId> = snapshot.failed.iter().map(|failed| failed.id.clone()).collect();
        let settled = verification.stragglers.is_empty() && (failed.is_empty() || unread.as_ref() == Some(&failed));
        unread = Some(failed);
        let left = args.what.wait.unwrap_or_default().saturating_sub(started.elapsed());
        if settled || left.is_zero() || verification.unknown == verification.proxies {
            break (snapshot, verification);
        }
        let progress = report::progress(&verification);
        if told.as_ref() != Some(&progress) {
            console.note(&format!(
                "{progress}; waiting up to {} more",
                format_duration(Duration::from_secs(left.as_secs()))
            ));
            told = Some(progress);
        }
        tokio::time::sleep(args.what.interval.min(left)).await;
    };
    if verification.unknown == verification.proxies {
        let reason = snapshot.objects.values().flat_map(|objects| &objects.coverage).find_map(|(kind, coverage)| {
            use crate::model::objects::{Coverage, ObjectKind};
            match coverage {
                Coverage::Denied(reason) if *kind == ObjectKind::MeshConfig => Some(format!(": {reason}")),
                _ => None,
            }
        });
        return Err(Failure::cannot_run(format!(
            "what proxies should hold is not known, since no mesh configuration could be read{}",
            reason.unwrap_or_default()
        ))
        .hint("name the value with --expect 10s, or Istio's namespace with -i"));
    }
    let expected = describe_expectation(&args.what, &snapshot);
    let look = Look {
        palette: console.out,
        columns: console.columns,
        headings: !args.what.no_headers,
        verbose: console.verbose > 0,
    };
    let json = || report::verification_json(&snapshot, &verification, &expected, started.elapsed());
    console.print(&match args.what.output {
        Format::Text => report::text(&snapshot, &verification, &expected, look),
        Format::Json => document::json(&json())?,
        Format::Yaml => document::yaml(&json())?,
    })?;
    Ok(if args.what.exit_zero {
        Exit::Success
    } else if !verification.stragglers.is_empty() {
        Exit::Findings
    } else if !snapshot.failed.is_empty() || verification.unknown > 0 {
        Exit::Incomplete
    } else {
        Exit::Success
    })
}

fn expectation(what: &WhatArgs) -> Result<Expectation, Failure> {
    let Some(path) = &what.plan else {
        return Ok(what.expect.map_or(Expectation::Objects, Expectation::Value));
    };
    let unusable = |why: String| {
        Failure::usage(format!("{}: {why}", path.display())).hint("`kubectl meshaudit fix -o json` writes a plan")
    };
    let file = std::fs::File::open(path).map_err(|error| unusable(error.to_string()))?;
    if file.metadata().is_ok_and(|metadata| metadata.len() > MAX_PLAN) {
        return Err(unusable(format!("larger than {} MiB", MAX_PLAN >> 20)));
    }
    let plan: SavedPlan = serde_json::from_reader(std::io::BufReader::new(file))
        .map_err(|error| unusable(format!("it is no plan: {error}")))?;
    if plan.kind != "FixPlan" || plan.api_version != "meshaudit/v1" {
        return Err(unusable(format!("it is a {} of {}, not a FixPlan of meshaudit/v1", plan.kind, plan.api_version)));
    }
    let expected = plan.expected().map_err(unusable)?;
    Ok(Expectation::Plan(
        expected.into_iter().map(|(cluster, value, proxies)| (Arc::from(cluster), value, proxies.to_vec())).collect(),
    ))
}

/// What was expected, in words.
fn describe_expectation(what: &WhatArgs, snapshot: &MeshSnapshot) -> String {
    if let Some(value) = what.expect {
        return format!(
            "{} on every service cluster; a longer one that an object sets is fine",
            format_duration(value)
        );
    }
    if let Some(path) = &what.plan {
        return format!("what the plan {} leads to", path.display());
    }
    let planes: Vec<String> = snapshot
        .objects
        .iter()
        .flat_map(|(context, objects)| objects.control_planes.iter().map(move |plane| (context, plane)))
        .filter_map(|(context, plane)| {
            let effective = plane.effective()?;
            let context = if context.is_empty() { String::new() } else { format!("context {context}, ") };
            let value = format_duration(effective.connect_timeout);
            Some(format!("{value} by {} ({context}revision {})", describe(&effective.origin), plane.revision))
        })
        .collect();
    format!("{}, and what overrides it", planes.join("; "))
}
