//! `diff`: what two audits or snapshots differ in.

use std::io::Read;
use std::path::Path;

use clap::{Args, ValueEnum};

use super::console::Console;
use super::convert::{OutputFileArgs, annotate, exported};
use super::exit::{Exit, FailOn};
use super::failure::Failure;
use super::given;
use super::policy::PolicyArgs;
use crate::audit::{self, Filter, Policy, Severity};
use crate::collect;
use crate::input::{ArchiveLimits, Until};
use crate::report::export::{self, Results};
use crate::report::v1::diff::{DiffReport, diff};
use crate::report::{diff as report, document, v1};

/// Compare two audits or snapshots: what appeared, vanished, changed
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kubectl meshaudit diff monday.json tuesday.json          two -o json of timeouts
  kubectl meshaudit diff before.tar.gz after.tar.gz        two snapshots
  kubectl meshaudit diff audit.json after.tar.gz -o markdown

Exit codes: 0 nothing new at or above --fail-on, 1 new findings, 2 usage, 3 one of them is incomplete, 4 could not run.")]
pub(super) struct DiffArgs {
    /// The earlier one: a -o json of timeouts, or whatever --from reads
    #[arg(value_name = "A")]
    before: String,
    /// The later one
    #[arg(value_name = "B")]
    after: String,
    #[command(flatten)]
    policy: PolicyArgs,
    /// table, json, yaml, sarif, junit, markdown, html, csv or prometheus
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t, hide_possible_values = true)]
    output: Format,
    #[command(flatten)]
    to: OutputFileArgs,
    /// The severity of new findings from which on the exit code is 1: error, warning, info or never
    #[arg(long, value_name = "SEVERITY", value_enum, default_value_t, hide_possible_values = true)]
    fail_on: FailOn,
    /// Exit code 0 in place of 1 and 3
    #[arg(long)]
    exit_zero: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    #[default]
    Table,
    Json,
    Yaml,
    Sarif,
    Junit,
    Markdown,
    Html,
    Csv,
    Prometheus,
}

pub(super) async fn run(args: &DiffArgs, console: &Console) -> Result<Exit, Failure> {
    let policy = args.policy.load(console, Until::ITS_END)?;
    let (before, after) = (side(&args.before, &policy)?, side(&args.after, &policy)?);
    let found = diff((&args.before, &before), (&args.after, &after));
    let export = |format| exported(&found, format);
    let text = match args.output {
        Format::Table => report::text(&found, console.look(true)),
        Format::Json => document::json(&found)?,
        Format::Yaml => document::yaml(&found)?,
        Format::Sarif => export(export::Format::Sarif)?,
        Format::Junit => export(export::Format::Junit)?,
        Format::Markdown => export(export::Format::Markdown)?,
        Format::Html => export(export::Format::Html)?,
        Format::Csv => export(export::Format::Csv)?,
        Format::Prometheus => export(export::Format::Prometheus)?,
    };
    args.to.put(&text, console)?;
    annotate(|| &found, console)?;
    Ok(exit(args, &found))
}

fn exit(args: &DiffArgs, found: &DiffReport) -> Exit {
    let worst = found.findings.appeared.iter().filter_map(|finding| Severity::parse(finding.severity)).max();
    if args.exit_zero {
        Exit::Success
    } else if args.fail_on.severity().is_some_and(|threshold| worst >= Some(threshold)) {
        Exit::Findings
    } else if found.before.failed + found.after.failed > 0 {
        Exit::Incomplete
    } else {
        Exit::Success
    }
}

/// An audit as it was written, or one of what a file holds.
fn side(path: &str, policy: &Policy) -> Result<Results, Failure> {
    if let Some(results) = written(Path::new(path))? {
        return Ok(results);
    }
    let snapshot = collect::offline(&[path.to_owned()], &ArchiveLimits::default());
    if snapshot.proxies.is_empty() {
        let why = snapshot.failed.first().map(|failed| format!(": {}", failed.message)).unwrap_or_default();
        return Err(Failure::cannot_run(format!("{path}: nothing to compare{why}"))
            .hint("diff reads what `timeouts -o json` or `snapshot` wrote, and whatever --from reads"));
    }
    let audit = audit::audit(&snapshot, &Filter::default(), policy);
    let document = v1::audit::timeout_audit(&snapshot, &audit, std::time::Duration::ZERO);
    Ok(Results::of(serde_json::to_value(document)?)?)
}

/// The document that a file holds, if it begins like one of an audit.
fn written(path: &Path) -> Result<Option<Results>, Failure> {
    /// The kind stands among the first fields.
    const HEAD: u64 = 512;
    let unusable = |why: String| Failure::cannot_run(format!("{}: {why}", path.display()));
    if !path.is_file() {
        return Ok(None);
    }
    let file = std::fs::File::open(path).map_err(|error| unusable(error.to_string()))?;
    let mut reader = std::io::BufReader::new(file);
    let mut head = Vec::new();
    reader.by_ref().take(HEAD).read_to_end(&mut head).map_err(|error| unusable(error.to_string()))?;
    if !String::from_utf8_lossy(&head).contains("\"TimeoutAudit\"") {
        return Ok(None);
    }
    Results::read(given::bounded(head.chain(reader))).map(Some).map_err(|error| unusable(error.to_string()))
}
