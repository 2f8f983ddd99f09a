//! `version`: ours, and those of the control planes and proxies.

use std::collections::BTreeMap;
use std::fmt::Write;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::console::Console;
use super::exit::Exit;
use super::failure::Failure;
use super::kube_args::{KubeArgs, SelectArgs};
use crate::collect::{ObjectOptions, read_istio_objects};
use crate::k8s::{Connection, select};
use crate::report::document;
use crate::report::escape::escape;

/// Print the version of this program, of the control planes and of the proxies
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kubectl meshaudit version
  kubectl meshaudit version --client       without asking a cluster
  kubectl meshaudit version -n shop -o json")]
pub(super) struct VersionArgs {
    /// Only this program's own
    #[arg(long)]
    client: bool,
    /// text, json or yaml
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t, hide_possible_values = true)]
    output: Format,
    #[command(flatten)]
    select: SelectArgs,
    #[command(flatten)]
    pub(super) kube: KubeArgs,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Format {
    #[default]
    Text,
    Json,
    Yaml,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    api_version: &'static str,
    kind: &'static str,
    tool: Tool,
    #[serde(skip_serializing_if = "Option::is_none")]
    control_planes: Option<Vec<Plane>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proxies: Option<Vec<Proxies>>,
}

#[derive(Debug, Serialize)]
struct Tool {
    name: &'static str,
    version: &'static str,
    commit: &'static str,
    date: &'static str,
}

#[derive(Debug, Serialize)]
struct Plane {
    revision: String,
    namespace: String,
    version: String,
}

#[derive(Debug, Serialize)]
struct Proxies {
    version: String,
    count: usize,
}

/// The version, and in a release the commit and its day.
pub(super) const LONG: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("MESHAUDIT_BUILD"), ")");

pub(super) async fn run(args: &VersionArgs, console: &Console) -> Result<Exit, Failure> {
    let tool = Tool {
        name: "kubectl-meshaudit",
        version: env!("CARGO_PKG_VERSION"),
        commit: env!("MESHAUDIT_COMMIT"),
        date: env!("MESHAUDIT_DATE"),
    };
    let mut versions =
        Versions { api_version: "meshaudit/v1", kind: "Version", tool, control_planes: None, proxies: None };
    let unread = if args.client { None } else { read(args, &mut versions).await.err() };
    match args.output {
        Format::Text => console.print(&text(&versions))?,
        Format::Json => console.print(&document::json(&versions)?)?,
        Format::Yaml => console.print(&document::yaml(&versions)?)?,
    }
    if let Some(failure) = unread {
        console.warn(&format!("the cluster's versions are not known: {}", failure.message));
        return Ok(Exit::Incomplete);
    }
    Ok(Exit::Success)
}

/// Asks the cluster; what it said before it failed stays.
async fn read(args: &VersionArgs, versions: &mut Versions) -> Result<(), Failure> {
    let connection = args.kube.connect().await?;
    versions.control_planes = Some(control_planes(&connection, args).await);
    let mut selection = args.select.selection(&[])?;
    selection.all_namespaces = args.select.namespace.is_none();
    let found = match select(&connection, &selection, "").await {
        Ok(found) => found,
        // Without a right to all namespaces, the context's own.
        Err(_) if selection.all_namespaces && !args.select.all_namespaces => {
            selection.all_namespaces = false;
            select(&connection, &selection, "").await?
        }
        Err(error) => return Err(error.into()),
    };
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for proxy in found.proxies {
        *counts.entry(proxy.istio_version).or_default() += 1;
    }
    versions.proxies = Some(counts.into_iter().map(|(version, count)| Proxies { version, count }).collect());
    Ok(())
}

async fn control_planes(connection: &Connection, args: &VersionArgs) -> Vec<Plane> {
    let options = ObjectOptions {
        istio_namespace: args.kube.istio_namespace.clone(),
        revisions: Default::default(),
        namespaces: Default::default(),
        ask_istiod: false,
        limits: args.kube.limits(),
    };
    let objects = read_istio_objects(connection, &options, &|_| {}).await;
    objects
        .control_planes
        .into_iter()
        .map(|plane| Plane { revision: plane.revision, namespace: plane.namespace, version: plane.version })
        .collect()
}

fn text(versions: &Versions) -> String {
    let unknown = |version: &str| if version.is_empty() { "unknown".to_owned() } else { escape(version).into_owned() };
    let mut out = format!("kubectl-meshaudit: {LONG}\n");
    for plane in versions.control_planes.iter().flatten() {
        let _ = writeln!(
            out,
            "control plane:     {}, revision {} in {}",
            unknown(&plane.version),
            escape(&plane.revision),
            escape(&plane.namespace)
        );
    }
    if versions.control_planes.as_ref().is_some_and(Vec::is_empty) {
        out.push_str("control plane:     none seen\n");
    }
    if let Some(proxies) = &versions.proxies {
        let list: Vec<String> = proxies.iter().map(|of| format!("{} ({})", unknown(&of.version), of.count)).collect();
        let list = if list.is_empty() { "none".to_owned() } else { list.join(", ") };
        let _ = writeln!(out, "proxies:           {list}");
    }
    out
}
