//! `fix`: the change to make. It never writes to the cluster.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::console::Console;
use super::exit::Exit;
use super::failure::Failure;
use super::kube_args::{EvidenceArgs, SourceArgs, duration};
use crate::audit::{self, Filter, Policy};
use crate::fix::{self, FixOptions};
use crate::report::document;
use crate::report::fix as report;
use crate::report::look::Look;

/// Print the change to make, for the way this mesh was installed, and what it would change; nothing is written
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kubectl meshaudit fix -A                           the whole mesh
  kubectl meshaudit fix -A --host api.example.com    only this host, with a DestinationRule
  kubectl meshaudit fix -A --set 15s                 another value than the recommended one
  kubectl meshaudit fix -A -o yaml > fix.yaml        files for kubectl apply or a repository
  kubectl meshaudit fix -A -o json > plan.json       then: kubectl meshaudit verify -A --plan plan.json
  kubectl meshaudit fix --from snapshot.tar.gz

Exit codes: 0 done, 2 usage, 3 some proxies could not be read, 4 could not run.")]
pub(super) struct FixArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    evidence: EvidenceArgs,
    #[command(flatten)]
    plan: PlanArgs,
}

/// What to plan.
#[derive(Debug, Args)]
#[command(next_help_heading = "Plan")]
struct PlanArgs {
    /// Set this value, not the recommended one, e.g. 15s
    #[arg(long, value_name = "DURATION", value_parser = timeout)]
    set: Option<Duration>,
    /// Only hosts with this in their name, and no mesh-wide change; may be repeated
    #[arg(long, value_name = "TEXT")]
    host: Vec<String>,
    /// text, json or yaml
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t, hide_possible_values = true)]
    output: Format,
    /// Exit code 0 even if some proxies could not be read
    #[arg(long)]
    exit_zero: bool,
}

/// How a plan or a verification is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    #[default]
    Text,
    Json,
    Yaml,
}

/// A value that Istio accepts: 1 ms to 1 h, whole milliseconds (`pkg/config/validation/agent/validation.go`).
pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    const LONGEST: Duration = Duration::from_secs(3600);
    let value = duration(text)?;
    if value < Duration::from_millis(1) || value > LONGEST {
        return Err("Istio accepts 1ms to 1h".to_owned());
    }
    if value.subsec_nanos() % 1_000_000 != 0 {
        return Err("Istio accepts whole milliseconds".to_owned());
    }
    Ok(value)
}

pub(super) async fn run(args: &FixArgs, console: &Console) -> Result<Exit, Failure> {
    let snapshot = args.source.collect(console, args.evidence.wanted()).await?;
    let (filter, policy) = (Filter::default(), Policy::default());
    let audit = audit::audit(&snapshot, &filter, &policy);
    let options = FixOptions { value: args.plan.set, hosts: args.plan.host.clone() };
    let plan = fix::plan(&snapshot, &audit, &filter, &policy, &options);
    let look = Look { palette: console.out, columns: console.columns, headings: true, verbose: console.verbose > 0 };
    console.print(&match args.plan.output {
        Format::Text => report::text(&snapshot, &plan, look),
        Format::Json => document::json(&report::plan_json(&snapshot, &plan))?,
        Format::Yaml => report::files(&plan),
    })?;
    if snapshot.failed.is_empty() || args.plan.exit_zero {
        return Ok(Exit::Success);
    }
    console.warn(&format!(
        "{} could not be read; what they hold is not in this plan",
        crate::report::look::count(snapshot.failed.len(), "proxy", "proxies")
    ));
    Ok(Exit::Incomplete)
}
