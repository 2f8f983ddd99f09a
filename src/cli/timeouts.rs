//! `timeouts`: the audit.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use super::console::Console;
use super::exit::Exit;
use super::failure::Failure;
use super::kube_args::{EvidenceArgs, SourceArgs, duration};
use crate::audit::delivery::plane_troubles;
use crate::audit::{self, Audit, Filter, Policy, Severity};
use crate::model::objects::{Coverage, ObjectKind};
use crate::model::{Direction, MeshSnapshot};
use crate::report::look::Look;
use crate::report::{audit as report, document, v1, verify};

/// Audit connect timeouts: every proxy, every cluster, where each value comes from, which are wrong and why
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kubectl meshaudit timeouts -A                      the whole mesh
  kubectl meshaudit timeouts deploy/web -n shop      all pods of a workload
  kubectl meshaudit timeouts -A -o json > audit.json
  kubectl meshaudit timeouts --from bug-report.tar.gz
  istioctl proxy-config cluster POD -o json | kubectl meshaudit timeouts --from -

Exit codes: 0 nothing at or above --fail-on, 1 findings, 2 usage, 3 incomplete, 4 could not run.")]
pub(super) struct TimeoutsArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    evidence: EvidenceArgs,
    #[command(flatten)]
    report: ReportArgs,
    /// Show for each cluster what could have given it its timeout, and why it did or did not; best with --host
    #[arg(long, help_heading = "Report")]
    explain_origin: bool,
}

/// Which clusters.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filter")]
pub(super) struct FilterArgs {
    /// Only clusters whose host has this in it
    #[arg(long, value_name = "TEXT")]
    host: Option<String>,
    /// Only clusters of this port
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Only clusters of this direction: outbound, inbound or inbound-vip
    #[arg(long, value_name = "DIRECTION", value_enum, hide_possible_values = true)]
    direction: Option<DirectionArg>,
    /// Only clusters of this subset
    #[arg(long, value_name = "NAME")]
    subset: Option<String>,
    /// Only timeouts below this, e.g. 2s
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout_below: Option<Duration>,
    /// Only timeouts above this, e.g. 30s
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    timeout_above: Option<Duration>,
    /// Every cluster: those that are in order, and the bootstrap's and internal ones too
    #[arg(long)]
    all_clusters: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DirectionArg {
    Outbound,
    Inbound,
    InboundVip,
}

impl FilterArgs {
    fn filter(&self) -> Filter {
        Filter {
            host: self.host.clone(),
            port: self.port,
            direction: self.direction.map(|direction| match direction {
                DirectionArg::Outbound => Direction::Outbound,
                DirectionArg::Inbound => Direction::Inbound,
                DirectionArg::InboundVip => Direction::InboundVip,
            }),
            subset: self.subset.clone(),
            below: self.timeout_below,
            above: self.timeout_above,
            all_clusters: self.all_clusters,
        }
    }
}

/// What comes out, and what counts as bad.
#[derive(Debug, Args)]
#[command(next_help_heading = "Report")]
pub(super) struct ReportArgs {
    /// table, wide, json, yaml or ndjson
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t, hide_possible_values = true)]
    output: Format,
    /// No headings in tables
    #[arg(long)]
    no_headers: bool,
    /// The severity from which on the exit code is 1: error, warning, info or never
    #[arg(long, value_name = "SEVERITY", value_enum, default_value_t, hide_possible_values = true)]
    fail_on: FailOn,
    /// How many percent of the proxies must have been read for the exit code not to be 3
    #[arg(long, value_name = "PERCENT", default_value_t = 100, value_parser = clap::value_parser!(u8).range(0..=100))]
    min_coverage: u8,
    /// Exit code 0 in place of 1 and 3
    #[arg(long)]
    exit_zero: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    #[default]
    Table,
    Wide,
    Json,
    Yaml,
    Ndjson,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum FailOn {
    #[default]
    Error,
    Warning,
    Info,
    Never,
}

pub(super) async fn run(args: &TimeoutsArgs, console: &Console) -> Result<Exit, Failure> {
    let started = Instant::now();
    let snapshot = args.source.collect(console, args.evidence.wanted()).await?;
    let audit = audit::audit(&snapshot, &args.filter.filter(), &Policy::default());
    if args.explain_origin {
        console.print(&report::explain(&snapshot, &audit, look(args, console)))?;
        return Ok(exit(&args.report, &snapshot, &audit));
    }
    console.print(&render(args, &snapshot, &audit, started.elapsed(), console)?)?;
    if args.source.is_live() {
        unread_objects(&snapshot, console);
    }
    Ok(exit(&args.report, &snapshot, &audit))
}

fn render(
    args: &TimeoutsArgs,
    snapshot: &MeshSnapshot,
    audit: &Audit,
    took: Duration,
    console: &Console,
) -> Result<String, Failure> {
    let look = look(args, console);
    let everything = args.filter.all_clusters;
    let table = |rows: String| {
        let mut out = rows;
        if look.headings && !console.quiet {
            out.insert_str(0, &verify::control_planes(&plane_troubles(snapshot), look));
        }
        if !console.quiet {
            let gap = if out.is_empty() { "" } else { "\n" };
            let _ = write!(out, "{gap}{}", report::summary(snapshot, audit, look));
        }
        out
    };
    Ok(match args.report.output {
        Format::Table => table(report::rows(snapshot, audit, look, everything)),
        Format::Wide => table(report::wide(snapshot, audit, look, everything)),
        Format::Json => document::json(&v1::audit::timeout_audit(snapshot, audit, took))?,
        Format::Yaml => document::yaml(&v1::audit::timeout_audit(snapshot, audit, took))?,
        Format::Ndjson => v1::audit::lines(&v1::audit::timeout_audit(snapshot, audit, took))?,
    })
}

/// Says which objects could not be read, once for each reason.
fn unread_objects(snapshot: &MeshSnapshot, console: &Console) {
    let mut reasons: BTreeMap<(&str, &str, bool), Vec<&str>> = BTreeMap::new();
    for (context, objects) in &snapshot.objects {
        for (kind, coverage) in &objects.coverage {
            let (reason, partly) = match coverage {
                Coverage::Denied(reason) => (reason, false),
                Coverage::Partly(reason) => (reason, true),
                Coverage::Read | Coverage::NotRead => continue,
            };
            // What only `fix` needs is left for it to say.
            if matches!(kind, ObjectKind::Deployment | ObjectKind::Installer | ObjectKind::VirtualService) {
                continue;
            }
            reasons.entry((context, reason, partly)).or_default().push(kind.as_str());
        }
        objects.notes.iter().for_each(|note| console.warn(note));
    }
    for ((context, reason, partly), kinds) in reasons {
        let at = if context.is_empty() { String::new() } else { format!("context {context}: ") };
        let how = if partly { "only partly" } else { "not" };
        let kinds = kinds.join(", ");
        console.warn(&format!("{at}{kinds} {how} read, so some origins rest on dumps alone: {reason}"));
    }
}

fn look(args: &TimeoutsArgs, console: &Console) -> Look {
    Look {
        palette: console.out,
        columns: console.columns,
        headings: !args.report.no_headers,
        verbose: console.verbose > 0,
    }
}

fn exit(args: &ReportArgs, snapshot: &MeshSnapshot, audit: &Audit) -> Exit {
    let threshold = match args.fail_on {
        FailOn::Error => Some(Severity::Error),
        FailOn::Warning => Some(Severity::Warning),
        FailOn::Info => Some(Severity::Info),
        FailOn::Never => None,
    };
    let (read, failed) = (snapshot.proxies.len(), snapshot.failed.len());
    if args.exit_zero {
        Exit::Success
    } else if threshold.is_some_and(|threshold| audit.worst() >= Some(threshold)) {
        Exit::Findings
    } else if read * 100 < usize::from(args.min_coverage) * (read + failed) {
        Exit::Incomplete
    } else {
        Exit::Success
    }
}
