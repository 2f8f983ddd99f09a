//! `fix`: the change to make. It never writes to the cluster.

use std::collections::BTreeSet;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::console::Console;
use super::exit::Exit;
use super::failure::Failure;
use super::kube_args::{EvidenceArgs, SourceArgs, duration};
use super::policy::PolicyArgs;
use crate::audit::{self, Audit, Filter, Policy};
use crate::fix::{self, FixOptions, FixPlan, Step};
use crate::model::{MeshSnapshot, Scope, format_duration};
use crate::report::v1::fix::FixPlanJson;
use crate::report::{document, fix as report};

/// Print the change to make, for the way this mesh was installed, and what it would change; nothing is written
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kubectl meshaudit fix -A                           the whole mesh
  kubectl meshaudit fix -A --host api.example.com    only this host, with a DestinationRule
  kubectl meshaudit fix -A --set 15s                 another value than the recommended one
  kubectl meshaudit fix -A -o yaml > fix.yaml        a patch of each object, and the commands that use it
  kubectl meshaudit fix -A -o json > plan.json       then: kubectl meshaudit verify -A --plan plan.json
  kubectl meshaudit fix --from snapshot.tar.gz

Exit codes: 0 done, 2 usage, 3 some proxies could not be read, 4 could not run, or no cluster has the host.")]
pub(super) struct FixArgs {
    #[command(flatten)]
    pub(super) source: SourceArgs,
    #[command(flatten)]
    evidence: EvidenceArgs,
    #[command(flatten)]
    policy: PolicyArgs,
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
    /// With --host, change this object too, as a plan offers it: NAMESPACE/NAME; may be repeated
    #[arg(long, value_name = "OBJECT", requires = "host")]
    choose: Vec<String>,
    /// text, json or yaml
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t, hide_possible_values = true)]
    output: Format,
    /// Exit code 0 even if some proxies could not be read
    #[arg(long)]
    exit_zero: bool,
}

/// How a plan is written.
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
    let policy = args.policy.load(console, args.source.kube.until())?;
    let snapshot = args.source.collect(console, args.evidence.wanted()).await?;
    hosts_are_there(&snapshot, &args.plan.host)?;
    let audit = audit::audit(&snapshot, &Filter::default(), &policy);
    let PlanArgs { set, host, choose, .. } = &args.plan;
    let options = FixOptions { value: *set, hosts: host.clone(), chosen: choose.clone() };
    let plan = plan(&snapshot, &audit, &policy, &options)?;
    let scope = Scope { policy: args.policy.flag(), ..args.source.scope() };
    let look = console.look(true);
    console.print(&match args.plan.output {
        Format::Text => report::text(&snapshot, &plan, &scope, look),
        Format::Json => document::json(&FixPlanJson::new(&snapshot, &plan, &scope))?,
        Format::Yaml if snapshot.objects.len() > 1 => {
            return Err(Failure::usage("a file for kubectl is for one cluster, and several contexts were read")
                .hint("repeat it for each --context, or take the commands of -o text"));
        }
        Format::Yaml => report::files(&plan, &scope),
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

/// The plan, for an audit of everything.
pub(super) fn plan(
    snapshot: &MeshSnapshot,
    audit: &Audit,
    policy: &Policy,
    options: &FixOptions,
) -> Result<FixPlan, Failure> {
    let plan = fix::plan(snapshot, audit, &Filter::default(), policy, options);
    control_planes_take_it(snapshot, &plan)?;
    Ok(plan)
}

/// A host that no cluster has would give an empty plan, which looks like a healthy mesh.
fn hosts_are_there(snapshot: &MeshSnapshot, wanted: &[String]) -> Result<(), Failure> {
    /// How many names are offered.
    const NEAREST: usize = 3;
    let hosts: BTreeSet<&str> = snapshot
        .clusters
        .iter()
        .filter_map(|cluster| cluster.parts().map(|parts| parts.host))
        .filter(|host| !host.is_empty())
        .collect();
    for part in wanted {
        if hosts.iter().any(|host| host.contains(part.as_str())) {
            continue;
        }
        let mut nearest: Vec<(f64, &str)> =
            hosts.iter().map(|host| (strsim::jaro_winkler(part, host), *host)).collect();
        nearest.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
        let names: Vec<&str> = nearest.into_iter().take(NEAREST).map(|(_, host)| host).collect();
        let proxies = crate::report::look::count(snapshot.proxies.len(), "proxy", "proxies");
        let failure = Failure::cannot_run(format!("no cluster of the {proxies} has {part:?} in its host"));
        return Err(if names.is_empty() {
            failure
        } else {
            failure.hint(format!("the nearest: {}", names.join(", ")))
        });
    }
    Ok(())
}

/// A value that the control plane refuses would change nothing, and the plan would say that it does.
fn control_planes_take_it(snapshot: &MeshSnapshot, plan: &FixPlan) -> Result<(), Failure> {
    for step in &plan.steps {
        let Step::Mesh(step) = step else { continue };
        let planes = snapshot.objects.get(&step.context).map(|objects| objects.control_planes.as_slice());
        let plane = planes.into_iter().flatten().find(|plane| plane.revision == step.revision);
        let Some(plane) = plane.filter(|plane| step.after > longest_mesh_timeout(&plane.version)) else { continue };
        let longest = format_duration(longest_mesh_timeout(&plane.version));
        return Err(Failure::usage(format!(
            "the control plane of revision {} is Istio {}, which takes {longest} at most for meshConfig.connectTimeout",
            plane.revision, plane.version
        ))
        .hint(format!("--set {longest}, or a host of its own with --host")));
    }
    Ok(())
}

/// The longest `meshConfig.connectTimeout` that a version takes: 30 s up to 1.20.5 and 1.21.1, then 1 h
/// (`pkg/config/validation/agent/validation.go`, `ValidateConnectTimeout`).
fn longest_mesh_timeout(version: &str) -> Duration {
    let mut numbers = version.split('.').map(|number| {
        let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().unwrap_or(0)
    });
    let mut next = || numbers.next().unwrap_or(0);
    let short = match (next(), next(), next()) {
        (0, ..) => false,
        (1, 20, patch) => patch <= 5,
        (1, 21, patch) => patch <= 1,
        (major, minor, _) => (major, minor) < (1, 20),
    };
    Duration::from_secs(if short { 30 } else { 3600 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_differ_in_what_they_take() {
        for (version, seconds) in [
            ("1.20.5", 30),
            ("1.20.6", 3600),
            ("1.21.1", 30),
            ("1.21.2-distroless", 3600),
            ("1.19.9", 30),
            ("1.9.1", 30),
            ("1.22.0-alpha.0", 3600),
            ("", 3600),
        ] {
            assert_eq!(longest_mesh_timeout(version), Duration::from_secs(seconds), "{version}");
        }
    }
}
