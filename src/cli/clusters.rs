//! `clusters`: proxies' clusters, as a table or as Envoy's own objects.

use std::collections::BTreeSet;

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::chosen::Chosen;
use super::console::Console;
use super::exit::Exit;
use super::failure::Failure;
use super::interrupt;
use super::kube_args::SourceArgs;
use crate::audit::{Severity, host, nearest};
use crate::collect::{self, ClusterObject};
use crate::decode::dump;
use crate::input::ArchiveLimits;
use crate::k8s;
use crate::model::{
    ClusterName, ClusterSet, ClusterSource, EnvoyCluster, MeshSnapshot, Proxy, ProxyId, ProxySnapshot, SnapshotBuilder,
    UnreadProxy, syn_retransmissions,
};
use crate::reach::{Direct, Tunnel};
use crate::report::Palette;
use crate::report::audit::{Marks, marks};
use crate::report::document;
use crate::report::escape::escape;
use crate::report::look::{count, failure_hint, file_hint, show_timeout};
use crate::report::table::{Layout, number, text};

/// Show a proxy's clusters: a table with the connect timeout in it, or Envoy's own objects
///
/// The objects have the shape of `istioctl proxy-config cluster -o json`, so a script can switch without changing.
/// Those of several proxies stand under the proxies' names.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kubectl meshaudit clusters web-7d4b9 -n shop
  kubectl meshaudit clusters deploy/web -n shop --direction outbound --port 443
  kubectl meshaudit clusters -l app=web -n shop
  kubectl meshaudit clusters web-7d4b9.shop --fqdn api.example.com -o json")]
pub(super) struct ClustersArgs {
    #[command(flatten)]
    pub(super) source: SourceArgs,
    /// Only clusters whose name has this host in it
    #[arg(long, value_name = "HOST", help_heading = "Filter")]
    fqdn: Option<String>,
    /// Only clusters of this port; 0 means any
    #[arg(long, value_name = "PORT", help_heading = "Filter")]
    port: Option<u16>,
    /// Only clusters of this direction: outbound, inbound or inbound-vip
    #[arg(long, value_name = "DIRECTION", help_heading = "Filter", hide_possible_values = true,
          value_parser = ["outbound", "inbound", "inbound-vip"])]
    direction: Option<String>,
    /// Only clusters whose name has this subset in it
    #[arg(long, value_name = "NAME", help_heading = "Filter")]
    subset: Option<String>,
    /// table, json, yaml or name (short is istioctl's word for table)
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
    Name,
}

pub(super) async fn run(args: &ClustersArgs, console: &Console) -> Result<Exit, Failure> {
    let mut taken = Taken::new(args, console);
    read(args, &mut taken).await?;
    if taken.proxies == 0 {
        let Some(first) = taken.unread.first() else {
            return Err(Failure::cannot_run("there is no dump in the input"));
        };
        return Err(Failure::cannot_run(format!("nothing could be read: {}: {}", first.id, first.message))
            .hint(if args.source.is_live() { failure_hint(first.cause) } else { file_hint(first.cause) }));
    }
    if taken.kept == 0 {
        return Err(taken.nothing_matches());
    }
    taken.finish()?;
    for failed in &taken.unread {
        console.warn(&format!("{} was not read ({}): {}", failed.id, failed.cause, failed.message));
    }
    Ok(if taken.unread.is_empty() { Exit::Success } else { Exit::Incomplete })
}

async fn read(args: &ClustersArgs, taken: &mut Taken<'_>) -> Result<(), Failure> {
    let source = &args.source;
    if !source.from.is_empty() {
        let chosen = Chosen::of(source.select.selection(&source.targets)?)?;
        let (mut proxies, unread) = collect::offline_objects(&source.from, &ArchiveLimits::default());
        let there: Vec<String> = proxies.iter().map(|(proxy, _)| proxy.id.to_string()).collect();
        proxies.retain(|(proxy, _)| chosen.as_ref().is_none_or(|chosen| chosen.means(proxy)));
        proxies.sort_by(|(a, _), (b, _)| a.id.cmp(&b.id));
        let may_mean = |id: &ProxyId| chosen.as_ref().is_none_or(|chosen| chosen.may_mean(id));
        let unread: Vec<UnreadProxy> = unread.into_iter().filter(|unread| may_mean(&unread.id)).collect();
        if proxies.is_empty() && unread.is_empty() && !there.is_empty() {
            return Err(Chosen::nothing(&there));
        }
        taken.several = proxies.len() + unread.len() > 1;
        taken.unread = unread;
        return proxies.into_iter().try_for_each(|(proxy, objects)| taken.take(proxy, objects));
    }
    if !source.admin_url.is_empty() {
        taken.several = source.admin_url.len() > 1;
        for url in &source.admin_url {
            let mut direct = Direct::new(url, source.limits()).map_err(|error| Failure::usage(error.to_string()))?;
            let id = ProxyId::new("", direct.name());
            let outcome = or_interrupted(&id, collect::read_objects(&mut direct, &id)).await;
            taken.outcome(Proxy::named(id), outcome)?;
        }
        return Ok(());
    }
    let select = &source.select;
    if source.targets.is_empty()
        && select.selector.is_none()
        && select.field_selector.is_none()
        && !select.all_namespaces
    {
        return Err(Failure::usage("which proxy? clusters needs a target, -l or -A")
            .hint("for example `kubectl meshaudit clusters deploy/web`; `timeouts` shows a whole namespace or mesh"));
    }
    let connection = interrupt::or_end(source.kube.connect()).await?;
    let selection = select.selection(&source.targets)?;
    let selecting = async { Ok(k8s::select(&connection, &selection, "").await?) };
    let mut found = interrupt::or_end(selecting).await?;
    if let ([], [first, ..]) = (found.proxies.as_slice(), found.skipped.as_slice()) {
        return Err(Failure::cannot_run(format!("{} is no proxy: {}", first.id, first.reason)).hint(format!(
            "`{}` lists the proxies and what was skipped",
            source.scope().whole_mesh().command("timeouts", ["-v"])
        )));
    }
    if found.proxies.is_empty() {
        return Err(Failure::cannot_run("no pods are selected").hint("has the workload been scaled to none?"));
    }
    found.proxies.sort_by(|a, b| a.id.cmp(&b.id));
    taken.several = found.proxies.len() > 1;
    for proxy in found.proxies {
        let mut tunnel =
            Tunnel::new(&connection, &proxy.id.namespace, &proxy.id.name, proxy.admin_port, source.limits());
        let outcome = or_interrupted(&proxy.id, collect::read_objects(&mut tunnel, &proxy.id)).await;
        taken.outcome(proxy, outcome)?;
    }
    Ok(())
}

/// What a proxy answers, unless somebody asks for the end: then it, and those after it, are not read.
async fn or_interrupted(
    id: &ProxyId,
    reading: impl Future<Output = Result<Vec<ClusterObject>, UnreadProxy>>,
) -> Result<Vec<ClusterObject>, UnreadProxy> {
    tokio::select! {
        biased;
        () = interrupt::ended() => Err(collect::interrupted(id.clone())),
        outcome = reading => outcome,
    }
}

/// What was read so far. Of Envoy's objects nothing is kept: they are written as they come, and for the table only
/// what is distinct is.
struct Taken<'a> {
    args: &'a ClustersArgs,
    console: &'a Console,
    /// Whether there may be more than one proxy.
    several: bool,
    proxies: usize,
    /// How many clusters the filter kept.
    kept: usize,
    warming: usize,
    /// How many proxies' clusters were written.
    written: usize,
    builder: SnapshotBuilder,
    /// The names of the clusters that were kept, for `-o name`.
    names: BTreeSet<String>,
    /// The names that were seen, for a filter that none has.
    hosts: BTreeSet<String>,
    unread: Vec<UnreadProxy>,
}

impl<'a> Taken<'a> {
    fn new(args: &'a ClustersArgs, console: &'a Console) -> Self {
        Self {
            args,
            console,
            several: false,
            proxies: 0,
            kept: 0,
            warming: 0,
            written: 0,
            builder: SnapshotBuilder::default(),
            names: BTreeSet::new(),
            hosts: BTreeSet::new(),
            unread: Vec::new(),
        }
    }

    fn outcome(&mut self, proxy: Proxy, outcome: Result<Vec<ClusterObject>, UnreadProxy>) -> Result<(), Failure> {
        match outcome {
            Ok(objects) => self.take(proxy, objects),
            Err(failed) => {
                self.unread.push(failed);
                Ok(())
            }
        }
    }

    fn take(&mut self, proxy: Proxy, mut objects: Vec<ClusterObject>) -> Result<(), Failure> {
        self.proxies += 1;
        if self.kept == 0 {
            self.hosts.extend(objects.iter().map(|(object, _)| host(name(object)).to_owned()));
        }
        objects.retain(|(object, _)| self.args.keeps(name(object)));
        self.kept += objects.len();
        objects.sort_by(|(a, _), (b, _)| sort_key(name(a)).cmp(&sort_key(name(b))));
        match self.args.output {
            Format::Table => return self.intern(proxy, &objects),
            Format::Name => {
                self.names.extend(objects.iter().map(|(object, _)| name(object).to_owned()));
                return Ok(());
            }
            Format::Json | Format::Yaml => {}
        }
        // istioctl's array: what is active and what is static. A warming cluster is not in it.
        let all = objects.len();
        objects.retain(|(_, source)| *source != ClusterSource::Warming);
        self.warming += all - objects.len();
        let objects: Vec<serde_json::Value> = objects.into_iter().map(|(object, _)| object).collect();
        if objects.is_empty() {
            return Ok(());
        }
        self.written += 1;
        let text = match self.args.output {
            Format::Yaml => document::yaml(&objects)?,
            _ => document::json(&objects)?,
        };
        let written = if self.several { self.under_its_name(&proxy.id, &text)? } else { text };
        self.console.print(&written)
    }

    /// One member of the object that holds the clusters of several proxies.
    fn under_its_name(&self, id: &ProxyId, text: &str) -> Result<String, Failure> {
        let key = document::json_line(&id.to_string())?;
        let key = key.trim_end();
        let indented = |by: &str| text.trim_end().replace('\n', &format!("\n{by}"));
        Ok(match self.args.output {
            // What cannot be written as a block is YAML's JSON form.
            Format::Yaml if text.starts_with(['[', '{']) => format!("{key}: {}\n", indented("  ")),
            Format::Yaml => format!("{key}:\n  {}\n", indented("  ")),
            _ => format!("{}    {key}: {}", if self.written > 1 { ",\n" } else { "{\n" }, indented("    ")),
        })
    }

    /// Keeps what a table shows.
    fn intern(&mut self, proxy: Proxy, objects: &[ClusterObject]) -> Result<(), Failure> {
        let mut clusters = ClusterSet::default();
        for (object, source) in objects {
            let cluster = dump::cluster(object, *source)
                .map_err(|message| Failure::cannot_run(format!("{}: {message}", proxy.id)))?;
            clusters.insert(self.builder.intern(cluster));
        }
        self.builder.read(ProxySnapshot { clusters, ..ProxySnapshot::named(proxy) });
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Failure> {
        match self.args.output {
            Format::Table => {
                let snapshot = std::mem::take(&mut self.builder).finish(Timestamp::now());
                return table(&snapshot, self.several, self.args, self.console);
            }
            Format::Name => {
                let lines = self.names.iter().map(|name| format!("{}\n", escape(name)));
                return self.console.print(&lines.collect::<String>());
            }
            Format::Json if self.several => self.console.print(if self.written > 0 { "\n}\n" } else { "{}\n" })?,
            Format::Json | Format::Yaml => {}
        }
        if self.warming > 0 {
            self.console.warn(&format!("{} warming clusters are left out, as istioctl does", self.warming));
        }
        Ok(())
    }

    fn nothing_matches(&self) -> Failure {
        let args = self.args;
        let filters = [
            args.fqdn.as_ref().map(|fqdn| format!("--fqdn {fqdn}")),
            args.port.map(|port| format!("--port {port}")),
            args.direction.as_ref().map(|direction| format!("--direction {direction}")),
            args.subset.as_ref().map(|subset| format!("--subset {subset}")),
        ];
        let filters: Vec<String> = filters.into_iter().flatten().collect();
        let proxies = count(self.proxies, "proxy", "proxies");
        let failure = Failure::cannot_run(format!("no cluster of {proxies} matches {}", filters.join(" ")));
        match &args.fqdn {
            Some(fqdn) => {
                let nearest = nearest(fqdn, self.hosts.iter().map(String::as_str));
                failure.hint(format!("the nearest hosts there are: {}", nearest.join(", ")))
            }
            None => failure.hint("without a filter it shows every cluster"),
        }
    }
}

fn name(object: &serde_json::Value) -> &str {
    object.get("name").and_then(serde_json::Value::as_str).unwrap_or_default()
}

impl ClustersArgs {
    /// istioctl's filters look for substrings of the name (`istioctl/pkg/writer/envoy/configdump/cluster.go`,
    /// `ClusterFilter.Verify`); port 0 is none.
    fn keeps(&self, name: &str) -> bool {
        let has = |part: &Option<String>| part.as_ref().is_none_or(|part| name.contains(part.as_str()));
        has(&self.fqdn)
            && has(&self.direction)
            && has(&self.subset)
            && self.port.filter(|port| *port != 0).is_none_or(|port| name.contains(&format!("|{port}|")))
    }
}

/// istioctl's order: by host, subset, port and direction (`cluster.go`, `retrieveSortedClusterSlice`).
fn sort_key(name: &str) -> (&str, &str, u16, &str) {
    match ClusterName::parse(name) {
        Some(parts) => (parts.host, parts.subset, parts.port, parts.direction.as_str()),
        None => (name, "", 0, ""),
    }
}

fn table(snapshot: &MeshSnapshot, several: bool, args: &ClustersArgs, console: &Console) -> Result<(), Failure> {
    let marks = marks(snapshot);
    let mut columns = if several { vec![text("PROXY")] } else { Vec::new() };
    columns.extend([
        text("SERVICE FQDN"),
        number("PORT"),
        text("SUBSET"),
        text("DIRECTION"),
        text("TYPE").optional(),
        number("TIMEOUT"),
        number("SYN").optional(),
        text("RULES"),
        text("DESTINATION RULE").optional(),
    ]);
    let with = |proxy: String, cells: &[String]| -> Vec<String> {
        let proxy = several.then_some(proxy);
        proxy.into_iter().chain(cells.iter().cloned()).collect()
    };
    let distinct: Vec<Vec<String>> =
        snapshot.clusters.iter().map(|cluster| cells(cluster, &marks, console.out)).collect();
    let names: Vec<String> =
        snapshot.proxies.iter().map(|read| escape(&read.proxy.id.to_string()).into_owned()).collect();
    let longest = names.iter().max_by_key(|name| name.len()).cloned().unwrap_or_default();
    let measured: Vec<Vec<String>> = distinct.iter().map(|cells| with(longest.clone(), cells)).collect();
    let layout = Layout::of(&columns, &measured, console.look(!args.no_headers));
    console.print(&layout.head())?;
    for (read, name) in snapshot.proxies.iter().zip(&names) {
        let mut held: Vec<u32> = read.clusters.iter().collect();
        held.sort_by_key(|&at| sort_key(&snapshot.clusters[at as usize].name));
        let mut rows = String::new();
        for at in held {
            layout.row(&mut rows, &with(name.clone(), &distinct[at as usize]));
        }
        console.print(&rows)?;
    }
    if marks.values().any(|(severity, _)| *severity == Severity::Error) {
        let next = args.source.scope().command("timeouts", [] as [&str; 0]);
        console.note(&format!("Where each value comes from, and what to do: {next}"));
    }
    Ok(())
}

/// istioctl's columns, the timeout, and what is wrong with it.
fn cells(cluster: &EnvoyCluster, marks: &Marks, palette: Palette) -> Vec<String> {
    let dash = || "-".to_owned();
    let shown = |text: &str| if text.is_empty() { dash() } else { escape(text).into_owned() };
    let parts = cluster.parts();
    let state = if cluster.source == ClusterSource::Warming { " (warming)" } else { "" };
    // istioctl names the rule as NAME.NAMESPACE.
    let rule = cluster.destination_rule_hint.as_deref().and_then(|rule| rule.split_once('/'));
    let mark = marks.get(&(cluster.name.to_string(), cluster.connect_timeout));
    let paint = |text: &str| match mark {
        Some((Severity::Error, _)) => palette.error(text),
        Some((Severity::Warning, _)) => palette.warning(text),
        _ => text.to_owned(),
    };
    vec![
        format!("{}{state}", shown(parts.map_or(&*cluster.name, |parts| parts.host))),
        parts.map_or_else(dash, |parts| parts.port.to_string()),
        parts.map_or_else(dash, |parts| shown(parts.subset)),
        parts.map_or_else(dash, |parts| parts.direction.to_string()),
        escape(&cluster.discovery_type).into_owned(),
        paint(&show_timeout(cluster.connect_timeout)),
        syn_retransmissions(cluster.effective_timeout()).to_string(),
        mark.map_or_else(dash, |(_, codes)| codes.join(",")),
        rule.map_or_else(dash, |(namespace, name)| format!("{}.{}", escape(name), escape(namespace))),
    ]
}
