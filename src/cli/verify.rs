//! `verify`: waits until every proxy has what it should.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use super::console::Console;
use super::convert::{OutputFileArgs, annotate, exported};
use super::exit::Exit;
use super::failure::Failure;
use super::fix::timeout;
use super::given;
use super::interrupt;
use super::kube_args::{SourceArgs, Wanted, duration};
use crate::attribute::describe;
use crate::audit::delivery::not_in_force;
use crate::fix::verify::{Expectation, Verification, verify};
use crate::input::Until;
use crate::model::{FailureCause, MeshSnapshot, format_duration};
use crate::report::look::Look;
use crate::report::v1::fix::SavedPlan;
use crate::report::{document, export, verify as report};

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
    pub(super) source: SourceArgs,
    #[command(flatten)]
    what: WhatArgs,
}

/// What is expected, and for how long.
#[derive(Debug, Args)]
#[command(next_help_heading = "Expectation")]
struct WhatArgs {
    #[command(flatten)]
    expect: ExpectArgs,
    /// Read again until every proxy has it, or this time is over, e.g. 5m
    #[arg(long, value_name = "DURATION", value_parser = duration, conflicts_with = "from")]
    wait: Option<Duration>,
    /// How long to wait between two readings
    #[arg(long, value_name = "DURATION", default_value = "5s", value_parser = duration)]
    interval: Duration,
    /// text, json, yaml, sarif, junit, markdown, html or csv
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t, hide_possible_values = true)]
    output: Format,
    #[command(flatten)]
    to: OutputFileArgs,
    /// Stragglers alone on stdout, a row for each reason, without headings; the rest goes to stderr
    #[arg(long)]
    no_headers: bool,
    /// Exit code 0 in place of 1 and 3
    #[arg(long)]
    exit_zero: bool,
}

/// What every proxy is to have.
#[derive(Debug, Args)]
#[command(next_help_heading = "Expectation")]
pub(super) struct ExpectArgs {
    /// The value that every cluster is to have which no object overrides; else what the objects give, e.g. 10s
    #[arg(long, value_name = "DURATION", value_parser = timeout, conflicts_with = "plan")]
    expect: Option<Duration>,
    /// A plan that `fix -o json` wrote
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
}

/// How a verification is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    #[default]
    Text,
    Json,
    Yaml,
    Sarif,
    Junit,
    Markdown,
    Html,
    Csv,
}

pub(super) async fn run(args: &VerifyArgs, console: &Console) -> Result<Exit, Failure> {
    let expectation = args.what.expect.expectation(args.source.kube.until())?;
    let started = Instant::now();
    let (snapshot, verification) = wait(args, &expectation, started, console).await?;
    if let Some(failure) = nothing_is_known(&snapshot, &verification) {
        return Err(failure);
    }
    let expected = args.what.expect.describe(&snapshot);
    let look = Look {
        palette: console.out,
        columns: console.columns,
        headings: !args.what.no_headers,
        verbose: console.verbose > 0,
    };
    let json = || report::verification_json(&snapshot, &verification, &expected, started.elapsed());
    let text = match args.what.output {
        Format::Text if args.what.no_headers => {
            console.note(report::text(&snapshot, &verification, &expected, look).trim_end());
            report::rows(&verification, look)
        }
        Format::Text => report::text(&snapshot, &verification, &expected, look),
        Format::Json => document::json(&json())?,
        Format::Yaml => document::yaml(&json())?,
        Format::Sarif => exported(&json(), export::Format::Sarif)?,
        Format::Junit => exported(&json(), export::Format::Junit)?,
        Format::Markdown => exported(&json(), export::Format::Markdown)?,
        Format::Html => exported(&json(), export::Format::Html)?,
        Format::Csv => exported(&json(), export::Format::Csv)?,
    };
    args.what.to.put(&text, console)?;
    annotate(json, console)?;
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

/// That it is not known of any proxy what it should hold.
pub(super) fn nothing_is_known(snapshot: &MeshSnapshot, verification: &Verification) -> Option<Failure> {
    if verification.unknown < verification.proxies {
        return None;
    }
    let reason = snapshot.objects.values().flat_map(|objects| &objects.coverage).find_map(|(kind, coverage)| {
        use crate::model::objects::{Coverage, ObjectKind};
        match coverage {
            Coverage::Denied(reason) if *kind == ObjectKind::MeshConfig => Some(format!(": {reason}")),
            _ => None,
        }
    });
    let why = format!(
        "what proxies should hold is not known, since no mesh configuration could be read{}",
        reason.unwrap_or_default()
    );
    Some(Failure::cannot_run(why).hint("name the value with --expect 10s, or Istio's namespace with -i"))
}

/// A snapshot, and what it comes to.
type Reading = (MeshSnapshot, Verification);

/// Reads until every proxy has it, or the time is over. Whatever goes away meanwhile, an API server, an istiod or a
/// proxy, may come back: only what is wrong from the beginning and will stay so ends it.
async fn wait(
    args: &VerifyArgs,
    expectation: &Expectation,
    started: Instant,
    console: &Console,
) -> Result<Reading, Failure> {
    let wait = args.what.wait.unwrap_or_default();
    let mut source = args.source.clone();
    let mut told = BTreeSet::new();
    let mut tell = |line: String, left: Duration| {
        if told.insert(line.clone()) {
            let left = format_duration(Duration::from_secs(left.as_secs()));
            console.note(&format!("{line}; waiting up to {left} more"));
        }
    };
    let mut last: Option<Reading> = None;
    loop {
        // Each reading has the time that a command has.
        source.kube.begin_again();
        let outcome = source.collect(console, wanted()).await;
        let left = wait.saturating_sub(started.elapsed());
        match outcome {
            Ok(snapshot) => {
                let verification = verify(&snapshot, expectation);
                let unknown = last.as_ref().map(|(_, last)| last.unknown);
                let settled = is_settled(&snapshot, &verification, unknown);
                if settled || left.is_zero() || interrupt::happened() {
                    return Ok((snapshot, verification));
                }
                verification.troubles.iter().for_each(|trouble| tell(trouble.to_string(), left));
                tell(report::progress(&verification), left);
                last = Some((snapshot, verification));
            }
            Err(failure) if left.is_zero() || interrupt::happened() => match last {
                Some(reading) => {
                    console.warn(&format!("the last reading failed, so this is the one before: {failure}"));
                    return Ok(reading);
                }
                None => return Err(failure),
            },
            Err(failure) if last.is_some() || failure.may_pass() => tell(failure.to_string(), left),
            Err(failure) => return Err(failure),
        }
        tokio::select! {
            () = tokio::time::sleep(args.what.interval.min(left)) => {}
            () = interrupt::ended() => {
                return last.ok_or_else(|| Failure::cannot_run("interrupted before anything was read"));
            }
        }
    }
}

fn wanted() -> Wanted {
    Wanted { objects: true, ..Wanted::default() }
}

/// Whether another reading would tell nothing else. `unknown` is of how many proxies the reading before could not tell.
fn is_settled(snapshot: &MeshSnapshot, verification: &Verification, unknown: Option<usize>) -> bool {
    let stays = |cause| matches!(cause, FailureCause::Forbidden | FailureCause::NotEnvoy | FailureCause::TooLarge);
    verification.stragglers.is_empty()
        && snapshot.failed.iter().all(|failed| stays(failed.cause))
        && (verification.unknown == 0 || unknown == Some(verification.unknown))
}

impl ExpectArgs {
    /// What is expected, as it is held against a snapshot.
    pub(super) fn expectation(&self, until: Until) -> Result<Expectation, Failure> {
        let Some(path) = &self.plan else {
            return Ok(self.expect.map_or(Expectation::Objects, Expectation::Value));
        };
        let unusable = |why: String| {
            Failure::usage(format!("{}: {why}", path.display())).hint("`kubectl meshaudit fix -o json` writes a plan")
        };
        let document = given::document(path, until).map_err(|error| unusable(error.to_string()))?;
        let plan: SavedPlan =
            serde_json::from_reader(document).map_err(|error| unusable(format!("it is no plan: {error}")))?;
        if plan.kind != "FixPlan" || plan.api_version != "meshaudit/v1" {
            return Err(unusable(format!(
                "it is a {} of {}, not a FixPlan of meshaudit/v1",
                plan.kind, plan.api_version
            )));
        }
        let expected = plan.expected().map_err(unusable)?;
        Ok(Expectation::Plan(
            expected
                .into_iter()
                .map(|(cluster, value, proxies)| (Arc::from(cluster), value, proxies.to_vec()))
                .collect(),
        ))
    }

    /// What was expected, in words.
    pub(super) fn describe(&self, snapshot: &MeshSnapshot) -> String {
        if let Some(value) = self.expect {
            return format!(
                "{} on every service cluster; an override that leaves enough is fine",
                format_duration(value)
            );
        }
        if let Some(path) = &self.plan {
            return format!("what the plan {} leads to", path.display());
        }
        let planes: Vec<String> = snapshot
            .objects
            .iter()
            .flat_map(|(context, objects)| objects.control_planes.iter().map(move |plane| (context, plane)))
            .filter_map(|(context, plane)| {
                // What is written is what proxies are to hold in the end, where istiod can take it.
                let written = not_in_force(plane).filter(|what| what.refused.is_none()).and_then(|_| plane.written());
                let effective = written.or_else(|| plane.effective())?;
                let context = if context.is_empty() { String::new() } else { format!("context {context}, ") };
                let value = format_duration(effective.connect_timeout);
                Some(format!("{value} by {} ({context}revision {})", describe(&effective.origin), plane.revision))
            })
            .collect();
        format!("{}, and what overrides it", planes.join("; "))
    }

    /// The flags as they were given.
    pub(super) fn flags(&self) -> Vec<String> {
        let expect = self.expect.map(|value| ["--expect".to_owned(), format_duration(value)]);
        let plan = self.plan.as_ref().map(|file| ["--plan".to_owned(), file.to_string_lossy().into_owned()]);
        expect.into_iter().chain(plan).flatten().collect()
    }
}
