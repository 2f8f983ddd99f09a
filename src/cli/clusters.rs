//! `clusters`: proxies' clusters, as a table or as Envoy's own objects.

use std::collections::BTreeSet;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use super::chosen::Chosen;
use super::console::Console;
use super::exit::Exit;
use super::failure::Failure;
use super::interrupt;
use super::kube_args::SourceArgs;
use super::leases;
use crate::audit::{Severity, host, nearest};
use crate::collect::{self, ClusterObject, OneByOne, ReadObjects};
use crate::decode::dump;
use crate::k8s;
use crate::model::{
    ClusterName, ClusterSet, ClusterSource, EnvoyCluster, MeshSnapshot, Proxy, ProxyId, ProxySnapshot, SnapshotBuilder,
    UnreadProxy, syn_retransmissions,
};
use crate::reach::Direct;
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
    #[arg(long, visible_alias = "host", value_name = "HOST", help_heading = "Filter")]
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
    read(args, console, &mut taken).await?;
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

async fn read(args: &ClustersArgs, console: &Console, taken: &mut Taken<'_>) -> Result<(), Failure> {
    let source = &args.source;
    if !source.from.is_empty() {
        let chosen = Chosen::of(source.select.selection(&source.targets)?)?;
        let mut there = Vec::new();
        let unread = collect::offline_objects(&source.from, &source.archives(), &mut |proxy, objects| {
            there.push(proxy.id.to_string());
            if chosen.as_ref().is_none_or(|chosen| chosen.means(&proxy)) { taken.offer(proxy, objects) } else { Ok(()) }
        })?;
        let may_mean = |id: &ProxyId| chosen.as_ref().is_none_or(|chosen| chosen.may_mean(id));
        taken.unread = unread.into_iter().filter(|unread| may_mean(&unread.id)).collect();
        taken.take_last()?;
        if taken.proxies == 0 && taken.unread.is_empty() && !there.is_empty() {
            return Err(Chosen::nothing(&there));
        }
        return Ok(());
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
    leases::see(&connection, source.limits(), console).await;
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
    let mut pending: BTreeSet<ProxyId> = found.proxies.iter().map(|proxy| proxy.id.clone()).collect();
    let concurrency = usize::from(source.concurrency);
    let mut reading = OneByOne::new(Arc::new(connection), found.proxies, source.limits(), concurrency);
    loop {
        let next = tokio::select! {
            biased;
            () = interrupt::ended() => break,
            next = reading.next() => next,
        };
        let Some((proxy, outcome)) = next else { break };
        pending.remove(&proxy.id);
        taken.outcome(proxy, outcome)?;
    }
    taken.unread.extend(pending.into_iter().map(collect::interrupted));
    taken.unread.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(())
}

/// What a proxy answers, unless somebody asks for the end: then it, and those after it, are not read.
async fn or_interrupted(id: &ProxyId, reading: impl Future<Output = ReadObjects>) -> ReadObjects {
    tokio::select! {
        biased;
        () = interrupt::ended() => Err(collect::interrupted(id.clone())),
        outcome = reading => outcome,
    }
}

/// How many bytes are written at once.
const PIECE: usize = 256 << 10;

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
    /// The first proxy, while it may be the only one.
    first: Option<(Proxy, Vec<ClusterObject>)>,
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
            first: None,
            hosts: BTreeSet::new(),
            unread: Vec::new(),
        }
    }

    fn outcome(&mut self, proxy: Proxy, outcome: ReadObjects) -> Result<(), Failure> {
        match outcome {
            Ok(objects) => {
                tracing::debug!("{}: {} clusters read", proxy.id, objects.len());
                self.take(proxy, objects)
            }
            Err(failed) => {
                self.unread.push(failed);
                Ok(())
            }
        }
    }

    /// Takes a proxy of which nobody knows yet whether it is the only one.
    fn offer(&mut self, proxy: Proxy, objects: Vec<ClusterObject>) -> Result<(), Failure> {
        if self.proxies == 0 && self.first.is_none() {
            self.first = Some((proxy, objects));
            return Ok(());
        }
        self.several = true;
        self.take_last()?;
        self.take(proxy, objects)
    }

    /// Takes the one that was held back.
    fn take_last(&mut self) -> Result<(), Failure> {
        let Some((proxy, objects)) = self.first.take() else { return Ok(()) };
        self.several |= !self.unread.is_empty();
        self.take(proxy, objects)
    }

    fn take(&mut self, proxy: Proxy, mut objects: Vec<ClusterObject>) -> Result<(), Failure> {
        self.proxies += 1;
        if self.kept == 0 {
            self.hosts.extend(objects.iter().map(|object| host(&object.name).to_owned()));
        }
        objects.retain(|object| self.args.keeps(&object.name));
        self.kept += objects.len();
        objects.sort_by(|a, b| sort_key(&a.name).cmp(&sort_key(&b.name)));
        match self.args.output {
            Format::Table => return self.intern(proxy, &objects),
            Format::Name => {
                self.names.extend(objects.into_iter().map(|object| object.name.to_string()));
                return Ok(());
            }
            Format::Json | Format::Yaml => {}
        }
        // istioctl's array: what is active and what is static. A warming cluster is not in it.
        let all = objects.len();
        objects.retain(|object| object.source != ClusterSource::Warming);
        self.warming += all - objects.len();
        if objects.is_empty() {
            return Ok(());
        }
        self.written += 1;
        let name = if self.several { Some(document::json_line(&proxy.id.to_string())?) } else { None };
        let name = name.as_deref().map(str::trim_end);
        match self.args.output {
            Format::Yaml => self.write_yaml(name, &objects),
            _ => self.write_json(name, &objects),
        }
    }

    /// Writes an array piece by piece: of one proxy, or as a member of the object that holds those of several.
    fn write_json(&self, name: Option<&str>, objects: &[ClusterObject]) -> Result<(), Failure> {
        let (begin, by, depth, end) = match name {
            Some(name) => {
                let before = if self.written > 1 { ",\n" } else { "{\n" };
                (format!("{before}    {name}: ["), "\n        ", 2, "\n    ]")
            }
            None => ("[".to_owned(), "\n    ", 1, "\n]\n"),
        };
        let mut text = begin;
        for (index, object) in objects.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            text.push_str(by);
            text.push_str(&document::json_at(object, depth)?);
            if text.len() > PIECE {
                self.console.print(&text)?;
                text.clear();
            }
        }
        text.push_str(end);
        self.console.print(&text)
    }

    fn write_yaml(&self, name: Option<&str>, objects: &[ClusterObject]) -> Result<(), Failure> {
        let text = document::yaml(&objects)?;
        let Some(name) = name else { return self.console.print(&text) };
        let indented = text.trim_end().replace('\n', "\n  ");
        // What cannot be written as a block is YAML's JSON form.
        let between = if text.starts_with(['[', '{']) { " " } else { "\n  " };
        self.console.print(&format!("{name}:{between}{indented}\n"))
    }

    /// Keeps what a table shows.
    fn intern(&mut self, proxy: Proxy, objects: &[ClusterObject]) -> Result<(), Failure> {
        let mut clusters = ClusterSet::default();
        for object in objects {
            let cluster = dump::cluster(&object.value(), object.source)
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

/// The table. Where there is no room for whole names, each proxy's clusters stand below its name, under hosts as people
/// speak of them.
fn table(snapshot: &MeshSnapshot, several: bool, args: &ClustersArgs, console: &Console) -> Result<(), Failure> {
    let marks = marks(snapshot);
    let look = console.look(!args.no_headers);
    let names: Vec<String> =
        snapshot.proxies.iter().map(|read| escape(&read.proxy.id.to_string()).into_owned()).collect();
    let longest = names.iter().max_by_key(|name| name.len()).cloned().unwrap_or_default();
    let mut distinct: Vec<Vec<String>> = snapshot
        .clusters
        .iter()
        .map(|cluster| [vec![longest.clone()], cells(cluster, &marks, console.out)].concat())
        .collect();
    let columns = [
        text("PROXY"),
        text("SERVICE FQDN"),
        number("PORT"),
        text("SUBSET"),
        text("DIRECTION"),
        text("TYPE").optional(),
        number("TIMEOUT"),
        number("SYN").optional(),
        text("RULES"),
        text("DESTINATION RULE").optional(),
    ];
    let without = |rows: &[Vec<String>]| -> Vec<Vec<String>> { rows.iter().map(|row| row[1..].to_vec()).collect() };
    let below = several && !args.no_headers && Layout::of(&columns, &distinct, look).is_cut();
    let beside = several && !below;
    let columns = if beside { &columns[..] } else { &columns[1..] };
    if !beside {
        distinct = without(&distinct);
        if Layout::of(columns, &distinct, look).is_cut() {
            distinct.iter_mut().for_each(|row| row[0] = short_host(&row[0]).to_owned());
        }
    }
    let layout = Layout::of(columns, &distinct, look);
    console.print(&layout.head())?;
    for (read, name) in snapshot.proxies.iter().zip(&names) {
        let mut held: Vec<u32> = read.clusters.iter().collect();
        held.sort_by_key(|&at| sort_key(&snapshot.clusters[at as usize].name));
        let mut rows = String::new();
        if below {
            rows = format!("{}\n", console.out.strong(name));
        }
        for at in held {
            let row = &mut distinct[at as usize];
            if beside {
                row[0].clone_from(name);
            }
            layout.row(&mut rows, row);
            if rows.len() > PIECE {
                console.print(&rows)?;
                rows.clear();
            }
        }
        console.print(&rows)?;
    }
    if marks.values().any(|(severity, _)| *severity == Severity::Error) {
        let next = args.source.scope().command("timeouts", [] as [&str; 0]);
        console.note(&format!("Where each value comes from, and what to do: {next}"));
    }
    Ok(())
}

/// `cart.shop` of `cart.shop.svc.cluster.local`.
fn short_host(host: &str) -> &str {
    host.split_once(".svc.").map_or(host, |(service, _)| service)
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
