//! `clusters`: one proxy's clusters, as a table or as Envoy's own objects.

use clap::{Args, ValueEnum};

use super::console::Console;
use super::exit::Exit;
use super::failure::Failure;
use super::kube_args::SourceArgs;
use crate::collect::{self, ClusterObject};
use crate::decode::dump;
use crate::input::ArchiveLimits;
use crate::k8s;
use crate::model::{ClusterName, ClusterSource, EnvoyCluster, ProxyId, UnreadProxy};
use crate::reach::{Direct, Tunnel};
use crate::report::document;
use crate::report::escape::escape;
use crate::report::look::{failure_hint, show_timeout};
use crate::report::table::{self, number, text};

/// Show a proxy's clusters: a table with the connect timeout in it, or Envoy's own objects
///
/// The objects have the shape of `istioctl proxy-config cluster -o json`, so a script can switch without changing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kubectl meshaudit clusters web-7d4b9 -n shop
  kubectl meshaudit clusters deploy/web -n shop --direction outbound --port 443
  kubectl meshaudit clusters web-7d4b9.shop --fqdn api.example.com -o json")]
pub(super) struct ClustersArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Only clusters whose name has this host in it
    #[arg(long, value_name = "HOST", help_heading = "Filter")]
    fqdn: Option<String>,
    /// Only clusters of this port
    #[arg(long, value_name = "PORT", help_heading = "Filter")]
    port: Option<u16>,
    /// Only clusters of this direction
    #[arg(long, value_name = "DIRECTION", help_heading = "Filter")]
    direction: Option<String>,
    /// Only clusters whose name has this subset in it
    #[arg(long, value_name = "NAME", help_heading = "Filter")]
    subset: Option<String>,
    /// table, json or yaml (short is istioctl's word for table)
    #[arg(
        short,
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t,
        hide_possible_values = true,
        help_heading = "Report"
    )]
    output: Format,
    /// No headings in tables
    #[arg(long, help_heading = "Report")]
    no_headers: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    #[default]
    #[value(alias = "short")]
    Table,
    Json,
    Yaml,
}

/// One proxy's clusters.
type Proxies = Vec<(ProxyId, Vec<ClusterObject>)>;

pub(super) async fn run(args: &ClustersArgs, console: &Console) -> Result<Exit, Failure> {
    let (mut proxies, unread) = read(args).await?;
    if proxies.is_empty() {
        let Some(first) = unread.first() else {
            return Err(Failure::cannot_run("there is no dump in the input"));
        };
        return Err(Failure::cannot_run(format!("nothing could be read: {}: {}", first.id, first.message))
            .hint(failure_hint(first.cause)));
    }
    proxies.sort_by(|(a, _), (b, _)| a.cmp(b));
    for (_, objects) in &mut proxies {
        objects.retain(|(object, _)| args.keeps(name(object)));
        objects.sort_by(|(a, _), (b, _)| sort_key(name(a)).cmp(&sort_key(name(b))));
    }
    match args.output {
        Format::Table => console.print(&table_of(&proxies, args, console)?)?,
        Format::Json => console.print(&document::json(&istioctl_array(proxies, console))?)?,
        Format::Yaml => console.print(&document::yaml(&istioctl_array(proxies, console))?)?,
    }
    for failed in &unread {
        console.warn(&format!("{} was not read ({}): {}", failed.id, failed.cause, failed.message));
    }
    Ok(if unread.is_empty() { Exit::Success } else { Exit::Incomplete })
}

async fn read(args: &ClustersArgs) -> Result<(Proxies, Vec<UnreadProxy>), Failure> {
    let source = &args.source;
    if !source.from.is_empty() {
        return Ok(collect::offline_objects(&source.from, &ArchiveLimits::default()));
    }
    let (mut proxies, mut unread) = (Vec::new(), Vec::new());
    let mut take = |id: ProxyId, outcome: Result<Vec<ClusterObject>, UnreadProxy>| match outcome {
        Ok(objects) => proxies.push((id, objects)),
        Err(failed) => unread.push(failed),
    };
    if !source.admin_url.is_empty() {
        for url in &source.admin_url {
            let mut direct = Direct::new(url, source.limits()).map_err(|error| Failure::usage(error.to_string()))?;
            let id = ProxyId::new("", direct.name());
            let outcome = collect::read_objects(&mut direct, &id).await;
            take(id, outcome);
        }
        return Ok((proxies, unread));
    }
    if source.targets.is_empty() {
        return Err(Failure::usage("which proxy? clusters needs a target")
            .hint("for example `kubectl meshaudit clusters deploy/web`; `timeouts` shows a whole namespace or mesh"));
    }
    let connection = source.kube.connect().await?;
    let found = k8s::select(&connection, &source.select.selection(&source.targets)?, "").await?;
    if let ([], [first, ..]) = (found.proxies.as_slice(), found.skipped.as_slice()) {
        return Err(Failure::cannot_run(format!("{} is no proxy: {}", first.id, first.reason))
            .hint("`kubectl meshaudit timeouts -A -v` lists the proxies and what was skipped"));
    }
    if found.proxies.is_empty() {
        return Err(Failure::cannot_run("no pods are selected").hint("has the workload been scaled to none?"));
    }
    for proxy in found.proxies {
        let mut tunnel =
            Tunnel::new(&connection, &proxy.id.namespace, &proxy.id.name, proxy.admin_port, source.limits());
        let outcome = collect::read_objects(&mut tunnel, &proxy.id).await;
        take(proxy.id, outcome);
    }
    Ok((proxies, unread))
}

fn name(object: &serde_json::Value) -> &str {
    object.get("name").and_then(serde_json::Value::as_str).unwrap_or_default()
}

impl ClustersArgs {
    /// istioctl's filters look for substrings of the name (`istioctl/pkg/writer/envoy/configdump/cluster.go`,
    /// `ClusterFilter.Verify`).
    fn keeps(&self, name: &str) -> bool {
        let has = |part: &Option<String>| part.as_ref().is_none_or(|part| name.contains(part.as_str()));
        has(&self.fqdn)
            && has(&self.direction)
            && has(&self.subset)
            && self.port.is_none_or(|port| name.contains(&format!("|{port}|")))
    }
}

/// istioctl's order: by host, subset, port and direction (`cluster.go`, `retrieveSortedClusterSlice`).
fn sort_key(name: &str) -> (&str, &str, u16, &str) {
    match ClusterName::parse(name) {
        Some(parts) => (parts.host, parts.subset, parts.port, parts.direction.as_str()),
        None => (name, "", 0, ""),
    }
}

/// istioctl's array: what is active and what is static. A warming cluster is not in it.
fn istioctl_array(proxies: Proxies, console: &Console) -> Vec<serde_json::Value> {
    if proxies.len() > 1 {
        console.warn(&format!("{} proxies in one array; name a single pod to keep them apart", proxies.len()));
    }
    let objects = proxies.into_iter().flat_map(|(_, objects)| objects);
    let (warming, present): (Vec<_>, Vec<_>) = objects.partition(|(_, source)| *source == ClusterSource::Warming);
    if !warming.is_empty() {
        console.warn(&format!("{} warming clusters are left out, as istioctl does", warming.len()));
    }
    present.into_iter().map(|(object, _)| object).collect()
}

fn table_of(proxies: &Proxies, args: &ClustersArgs, console: &Console) -> Result<String, Failure> {
    let several = proxies.len() > 1;
    let mut rows = Vec::new();
    for (id, objects) in proxies {
        for (object, source) in objects {
            let cluster =
                dump::cluster(object, *source).map_err(|message| Failure::cannot_run(format!("{id}: {message}")))?;
            let mut row = if several { vec![escape(&id.to_string()).into_owned()] } else { Vec::new() };
            row.extend(cells(&cluster));
            rows.push(row);
        }
    }
    if rows.is_empty() {
        console.warn("no cluster matches");
        return Ok(String::new());
    }
    let mut columns = if several { vec![text("PROXY")] } else { Vec::new() };
    columns.extend([
        text("SERVICE FQDN"),
        number("PORT"),
        text("SUBSET"),
        text("DIRECTION"),
        text("TYPE"),
        number("TIMEOUT"),
        text("DESTINATION RULE"),
    ]);
    Ok(table::render(&columns, rows, !args.no_headers))
}

/// istioctl's columns, and the timeout.
fn cells(cluster: &EnvoyCluster) -> Vec<String> {
    let dash = || "-".to_owned();
    let shown = |text: &str| if text.is_empty() { dash() } else { escape(text).into_owned() };
    let parts = cluster.parts();
    let state = if cluster.source == ClusterSource::Warming { " (warming)" } else { "" };
    // istioctl names the rule as NAME.NAMESPACE.
    let rule = cluster.destination_rule_hint.as_deref().and_then(|rule| rule.split_once('/'));
    vec![
        format!("{}{state}", shown(parts.map_or(&*cluster.name, |parts| parts.host))),
        parts.map_or_else(dash, |parts| parts.port.to_string()),
        parts.map_or_else(dash, |parts| shown(parts.subset)),
        parts.map_or_else(dash, |parts| parts.direction.to_string()),
        escape(&cluster.discovery_type).into_owned(),
        show_timeout(cluster.connect_timeout),
        rule.map_or_else(String::new, |(namespace, name)| format!("{}.{}", escape(name), escape(namespace))),
    ]
}
