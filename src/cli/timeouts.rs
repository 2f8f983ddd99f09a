//! `timeouts`: the audit.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use super::baseline::Baseline;
use super::console::Console;
use super::convert::{OutputFileArgs, annotate, exported};
use super::exit::{Exit, FailOn};
use super::failure::Failure;
use super::kube_args::{EvidenceArgs, SourceArgs, duration};
use super::policy::PolicyArgs;
use crate::audit::delivery::plane_troubles;
use crate::audit::{self, Audit, Filter, Unmatched};
use crate::model::objects::{Coverage, ObjectKind};
use crate::model::{Direction, MeshSnapshot, Scope};
use crate::reach::push;
use crate::report::audit::{self as report, Detail};
use crate::report::look::{Look, count};
use crate::report::{document, export, v1, verify};

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
    pub(super) source: SourceArgs,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    evidence: EvidenceArgs,
    #[command(flatten)]
    policy: PolicyArgs,
    /// Report only what an earlier -o json does not have
    #[arg(long, value_name = "FILE", help_heading = "Policy")]
    baseline: Option<PathBuf>,
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
    /// table, wide, json, yaml, ndjson, sarif, junit, markdown, html, csv or prometheus
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t, hide_possible_values = true)]
    output: Format,
    #[command(flatten)]
    to: OutputFileArgs,
    /// Push the figures of -o prometheus to this Pushgateway too, as job kubectl-meshaudit
    #[arg(long, value_name = "URL")]
    push: Option<String>,
    /// What a row of the table is: cause (a value and what gives it) or cluster
    #[arg(long, value_name = "WHAT", value_enum, default_value_t, hide_possible_values = true)]
    by: By,
    /// Rows alone on stdout, without headings; the summary goes to stderr
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
    Sarif,
    Junit,
    Markdown,
    Html,
    Csv,
    Prometheus,
}

impl Format {
    /// The format of others that it is, if it is one.
    fn export(self) -> Option<export::Format> {
        match self {
            Self::Sarif => Some(export::Format::Sarif),
            Self::Junit => Some(export::Format::Junit),
            Self::Markdown => Some(export::Format::Markdown),
            Self::Html => Some(export::Format::Html),
            Self::Csv => Some(export::Format::Csv),
            Self::Prometheus => Some(export::Format::Prometheus),
            Self::Table | Self::Wide | Self::Json | Self::Yaml | Self::Ndjson => None,
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum By {
    #[default]
    Cause,
    Cluster,
}

pub(super) async fn run(args: &TimeoutsArgs, console: &Console) -> Result<Exit, Failure> {
    let started = Instant::now();
    let until = args.source.kube.until();
    let policy = args.policy.load(console, until)?;
    let baseline = args.baseline.as_deref().map(|file| Baseline::load(file, until)).transpose()?;
    let (snapshot, failure) = args.source.collect_whatever(console, args.evidence.wanted()).await?;
    let filter = args.filter.filter();
    if let Some(failure) = failure {
        if matches!(args.report.output, Format::Json | Format::Yaml | Format::Ndjson) {
            let audit = audit::audit(&snapshot, &filter, &policy);
            show(args, &snapshot, &audit, started.elapsed(), console)?;
        }
        return Err(failure);
    }
    if let Some(unmatched) = filter.unmatched(&snapshot) {
        return Err(nothing_matches(&unmatched, &snapshot));
    }
    let mut audit = audit::audit(&snapshot, &filter, &policy);
    args.policy.mention_unused(&policy, &snapshot, console);
    if let Some(baseline) = &baseline {
        baseline.leave_out_what_is_known(&snapshot, &mut audit)?;
    }
    if args.explain_origin {
        console.print(&explain(args, &snapshot, &audit, console)?)?;
    } else {
        show(args, &snapshot, &audit, started.elapsed(), console)?;
    }
    annotate(|| v1::audit::timeout_audit(&snapshot, &audit, started.elapsed()), console)?;
    if let Some(url) = &args.report.push {
        let metrics =
            exported(&v1::audit::timeout_audit(&snapshot, &audit, started.elapsed()), export::Format::Prometheus)?;
        push(url, "kubectl-meshaudit", metrics, args.source.limits().request_timeout).await.map_err(|error| {
            Failure::cannot_run(format!("the figures were not pushed: {error}"))
                .hint("--push takes the address of a Pushgateway: http://HOST:9091")
        })?;
    }
    if args.source.is_live() {
        unread_objects(&snapshot, console);
    }
    let exit = exit(&args.report, &snapshot, &audit);
    // The process ends here, and has nobody wait for it to take a large mesh apart.
    std::mem::forget((snapshot, audit));
    Ok(exit)
}

/// A filter that no cluster passes: a typo must not look like a mesh that is well.
pub(super) fn nothing_matches(unmatched: &Unmatched, snapshot: &MeshSnapshot) -> Failure {
    let proxies = count(snapshot.proxies.len(), "proxy", "proxies");
    let unread = match snapshot.failed.len() {
        0 => String::new(),
        failed => format!(" ({} could not be read)", count(failed, "other", "others")),
    };
    let failure = Failure::cannot_run(format!("no cluster of {proxies}{unread} {}", unmatched.asked));
    match unmatched.nearest.as_slice() {
        [] => failure.hint("`--all-clusters` shows every cluster there is"),
        nearest => failure.hint(format!("the nearest there is: {}", nearest.join(", "))),
    }
}

fn explain(args: &TimeoutsArgs, snapshot: &MeshSnapshot, audit: &Audit, console: &Console) -> Result<String, Failure> {
    let document = || v1::explanation::explanation(snapshot, audit);
    Ok(match args.report.output {
        Format::Json => document::json(&document())?,
        Format::Yaml => document::yaml(&document())?,
        Format::Ndjson => v1::explanation::lines(&document())?,
        Format::Table | Format::Wide => report::explain(snapshot, audit, look(args, console)),
        _ => {
            return Err(Failure::usage(
                "--explain-origin is for people and programs: table, wide, json, yaml or ndjson",
            ));
        }
    })
}

fn show(
    args: &TimeoutsArgs,
    snapshot: &MeshSnapshot,
    audit: &Audit,
    took: Duration,
    console: &Console,
) -> Result<(), Failure> {
    let document = || v1::audit::timeout_audit(snapshot, audit, took);
    let put = |text: &str| args.report.to.put(text, console);
    if let Some(format) = args.report.output.export() {
        return put(&exported(&document(), format)?);
    }
    match args.report.output {
        Format::Json => args.report.to.put_with(|out| Ok(v1::audit::write_json(snapshot, audit, took, out)?), console),
        Format::Yaml => put(&document::yaml(&document())?),
        Format::Ndjson => args.report.to.put_with(|out| Ok(v1::audit::write_lines(&document(), out)?), console),
        _ => {
            let (rows, summary) = tables(args, snapshot, audit, console);
            if console.quiet {
                put(&rows)
            } else if args.report.no_headers {
                // Rows alone are data; the rest is for whoever looks on.
                put(&rows)?;
                console.note(summary.trim_end());
                Ok(())
            } else {
                let gap = if rows.is_empty() { "" } else { "\n" };
                put(&format!("{rows}{gap}{summary}"))
            }
        }
    }
}

/// The rows and the summary. On a terminal that they would not fit into whole, only what was seen to fail is said in
/// words.
fn tables(args: &TimeoutsArgs, snapshot: &MeshSnapshot, audit: &Audit, console: &Console) -> (String, String) {
    let (look, scope, everything) =
        (look(args, console), Scope { policy: args.policy.flag(), ..args.source.scope() }, args.filter.all_clusters);
    let at = |detail: Detail| {
        let rows = match (args.report.output, args.report.by) {
            (Format::Wide, _) => report::wide(snapshot, audit, look, everything),
            (_, By::Cluster) => report::rows(snapshot, audit, look, everything),
            (_, By::Cause) => report::causes(snapshot, audit, look, detail, everything),
        };
        // What keeps a control plane from delivering stands first: no value is to be trusted before that is mended.
        let planes =
            if look.headings { verify::control_planes(&plane_troubles(snapshot), look) } else { String::new() };
        (planes + &rows, report::summary(snapshot, audit, look, &scope, detail))
    };
    if look.verbose {
        return at(Detail::All);
    }
    let whole = at(Detail::Found);
    // One line is left between rows and summary, and one for the prompt.
    let lines = whole.0.lines().count() + whole.1.lines().count() + 2;
    if console.rows.is_none_or(|rows| lines <= rows) { whole } else { at(Detail::Observed) }
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
    console.look(!args.report.no_headers)
}

fn exit(args: &ReportArgs, snapshot: &MeshSnapshot, audit: &Audit) -> Exit {
    let threshold = args.fail_on.severity();
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
