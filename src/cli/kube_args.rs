//! kubectl's flags, and the ones that say which proxies and how they are read.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use futures_util::future::join_all;

use super::chosen::Chosen;
use super::console::Console;
use super::failure::Failure;
use super::interrupt;
use super::leases;
use crate::collect::{self, CollectOptions, ObjectOptions, Progress, Selected};
use crate::input::{ArchiveLimits, Until};
use crate::k8s::{
    ApiError, ConnectOptions, Connection, Deadline, Overrides, PodSelection, Target, Token, connect, without_password,
};
use crate::model::{Flag, MeshSnapshot, ProxySnapshot, Scope, format_duration, parse_span};
use crate::reach::Limits;
use crate::report::look::{count, failure_hint, file_hint};
use crate::report::progress::Bar;

/// Reads a duration.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parse_span(text).map_err(|error| error.to_string())
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    pair.map(|(key, value)| (key.to_owned(), value.to_owned())).ok_or_else(|| "KEY=VALUE is wanted".to_owned())
}

/// Reads the time that a whole command has, which begins now: 0 means no end.
fn whole(text: &str) -> Result<Deadline, String> {
    duration(text).map(Deadline::after)
}

/// `0` means no deadline.
pub(super) fn deadline(duration: Duration) -> Duration {
    Deadline::after(duration).total()
}

/// Istio's own namespace, unless it is said to be another.
const DEFAULT_ISTIO_NAMESPACE: &str = "istio-system";

/// How long a single request may take, unless it is said.
const DEFAULT_REQUEST_TIMEOUT: &str = "15s";

/// How long a command that reads a cluster may take, unless it is said.
const USUAL_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Which cluster, and as whom.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Cluster")]
pub(super) struct KubeArgs {
    /// Path to the kubeconfig file
    #[arg(long, value_name = "FILE")]
    pub(super) kubeconfig: Option<PathBuf>,
    /// The kubeconfig context; repeat it to audit several clusters at once
    #[arg(long, value_name = "NAME")]
    pub(super) context: Vec<String>,
    /// The kubeconfig cluster
    #[arg(long, value_name = "NAME")]
    pub(super) cluster: Option<String>,
    /// The kubeconfig user
    #[arg(long, value_name = "NAME")]
    pub(super) user: Option<String>,
    /// User to impersonate
    #[arg(long = "as", value_name = "USER")]
    pub(super) impersonate: Option<String>,
    /// Group to impersonate; may be repeated
    #[arg(long = "as-group", value_name = "GROUP")]
    pub(super) impersonate_groups: Vec<String>,
    /// UID to impersonate
    #[arg(long = "as-uid", value_name = "UID")]
    pub(super) impersonate_uid: Option<String>,
    /// Extra of the user to impersonate; may be repeated
    #[arg(long = "as-user-extra", value_name = "KEY=VALUE", value_parser = key_value)]
    pub(super) impersonate_extra: Vec<(String, String)>,
    /// The API server's URL, in place of the kubeconfig's
    #[arg(short = 's', long, value_name = "URL")]
    pub(super) server: Option<String>,
    /// Bearer token for the API server
    #[arg(long, value_name = "TOKEN", value_parser = |token: &str| Ok::<_, std::convert::Infallible>(Token::from(token.to_owned())))]
    pub(super) token: Option<Token>,
    /// File with the certificates of the API server's authorities
    #[arg(long, value_name = "FILE")]
    pub(super) certificate_authority: Option<PathBuf>,
    /// File with a client certificate
    #[arg(long, value_name = "FILE")]
    pub(super) client_certificate: Option<PathBuf>,
    /// File with the client certificate's key
    #[arg(long, value_name = "FILE")]
    pub(super) client_key: Option<PathBuf>,
    /// The name that the API server's certificate is to have
    #[arg(long, value_name = "NAME")]
    pub(super) tls_server_name: Option<String>,
    /// Reach the API server through this proxy, in place of the kubeconfig's and the environment's
    #[arg(long, value_name = "URL")]
    pub(super) proxy_url: Option<String>,
    /// Do not check the API server's certificate: whoever is in between can read and change everything
    #[arg(long, conflicts_with = "certificate_authority")]
    pub(super) insecure_skip_tls_verify: bool,
    /// Do not ask for compressed answers
    #[arg(long)]
    pub(super) disable_compression: bool,
    /// Deadline of each single request, e.g. 15s; 0 means none
    #[arg(long, alias = "kubeclient-timeout", value_name = "DURATION", default_value = DEFAULT_REQUEST_TIMEOUT, value_parser = duration)]
    pub(super) request_timeout: Duration,
    /// How long the whole command may take; 0 means no end [default: 5m; files are read to their end]
    #[arg(long, value_name = "DURATION", value_parser = whole)]
    pub(super) timeout: Option<Deadline>,
    /// The same where it is not given.
    #[arg(skip = Deadline::after(USUAL_TIMEOUT))]
    pub(super) usual_timeout: Deadline,
    /// Istio's own namespace
    #[arg(short = 'i', long, alias = "istioNamespace", value_name = "NAMESPACE", default_value = DEFAULT_ISTIO_NAMESPACE)]
    pub(super) istio_namespace: String,
    /// Never let a credential plugin ask for anything
    #[arg(long)]
    pub(super) non_interactive: bool,
    /// Append a JSON line to FILE for each log level that is changed: who, where, from what, to what
    #[arg(long, value_name = "FILE")]
    pub(super) audit_log: Option<PathBuf>,
}

impl KubeArgs {
    /// What the flags say of one context.
    pub(super) fn options(&self, context: Option<&String>) -> ConnectOptions {
        ConnectOptions {
            kubeconfig: self.kubeconfig.clone(),
            kubeconfig_list: None,
            context: context.cloned(),
            cluster: self.cluster.clone(),
            user: self.user.clone(),
            impersonate: self.impersonate.clone(),
            impersonate_groups: self.impersonate_groups.clone(),
            impersonate_uid: self.impersonate_uid.clone(),
            impersonate_extra: self.impersonate_extra.clone(),
            overrides: Overrides {
                server: self.server.clone(),
                token: self.token.clone(),
                certificate_authority: self.certificate_authority.clone(),
                client_certificate: self.client_certificate.clone(),
                client_key: self.client_key.clone(),
                tls_server_name: self.tls_server_name.clone(),
                proxy_url: self.proxy_url.clone(),
                insecure_skip_tls_verify: self.insecure_skip_tls_verify,
                disable_compression: self.disable_compression,
            },
            request_timeout: deadline(self.request_timeout),
            deadline: self.deadline(),
            non_interactive: self.non_interactive,
            audit_log: self.audit_log.clone().filter(|path| !path.as_os_str().is_empty()),
        }
    }

    /// What leads another command to the same cluster, as the same user.
    pub(super) fn flags(&self) -> Vec<Flag> {
        let mut flags = Vec::new();
        let mut option = |name: &str, value: Option<&String>| {
            flags.extend(value.filter(|value| !value.is_empty()).map(|value| Flag::new(name, value)));
        };
        option("--kubeconfig", self.kubeconfig.as_ref().map(|path| path.to_string_lossy().into_owned()).as_ref());
        self.context.iter().for_each(|context| option("--context", Some(context)));
        option("--cluster", self.cluster.as_ref());
        option("--user", self.user.as_ref());
        option("--as", self.impersonate.as_ref());
        self.impersonate_groups.iter().for_each(|group| option("--as-group", Some(group)));
        option("--as-uid", self.impersonate_uid.as_ref());
        let extra = self.impersonate_extra.iter().map(|(key, value)| format!("{key}={value}"));
        extra.for_each(|pair| option("--as-user-extra", Some(&pair)));
        option("--server", self.server.as_deref().map(without_password).as_ref());
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
        option("--certificate-authority", path(&self.certificate_authority).as_ref());
        option("--client-certificate", path(&self.client_certificate).as_ref());
        option("--client-key", path(&self.client_key).as_ref());
        option("--tls-server-name", self.tls_server_name.as_ref());
        option("--proxy-url", self.proxy_url.as_deref().map(without_password).as_ref());
        // What is printed may be kept where others read it: the token itself is for the reader to fill in.
        option("--token", self.token.as_ref().map(|_| "$TOKEN".to_owned()).as_ref());
        option("--audit-log", path(&self.audit_log).as_ref());
        let patience = Some(self.request_timeout).filter(|given| format_duration(*given) != DEFAULT_REQUEST_TIMEOUT);
        flags.extend(patience.map(|given| Flag::new("--request-timeout", format_duration(given))));
        flags.extend(self.insecure_skip_tls_verify.then(|| Flag::switch("--insecure-skip-tls-verify")));
        flags
    }

    /// What is Istio's, where it is not what is taken by default.
    pub(super) fn istio_flags(&self) -> Vec<Flag> {
        let usual = self.istio_namespace == DEFAULT_ISTIO_NAMESPACE;
        if usual { Vec::new() } else { vec![Flag::new("--istio-namespace", &self.istio_namespace)] }
    }

    /// A client for the chosen context; where several are named, for the first.
    pub(super) async fn connect(&self) -> Result<Connection, Failure> {
        Ok(connect(&self.options(self.context.first())).await?)
    }

    /// A client for each context, and what the contexts say of which there is none. That none can be had is a failure.
    pub(super) async fn connect_all(
        &self,
        deadline: Deadline,
    ) -> Result<(Vec<Connection>, Vec<(String, ApiError)>), Failure> {
        let options = |context| ConnectOptions { deadline, ..self.options(context) };
        if self.context.is_empty() {
            return Ok((vec![connect(&options(None)).await?], Vec::new()));
        }
        let (mut connections, mut lost): (Vec<Connection>, Vec<(String, ApiError)>) = Default::default();
        for context in &self.context {
            let known = connections.iter().any(|known| known.context == *context);
            if known || lost.iter().any(|(known, _)| known == context) {
                continue;
            }
            match connect(&options(Some(context))).await {
                Ok(connection) => connections.push(connection),
                Err(error) => lost.push((context.clone(), error)),
            }
        }
        match lost.first() {
            Some(_) if connections.is_empty() => Err(lost.swap_remove(0).1.into()),
            _ => Ok((connections, lost)),
        }
    }

    /// Limits on each read.
    pub(super) fn limits(&self) -> Limits {
        let request_timeout = deadline(self.request_timeout);
        Limits { request_timeout, max_body: Limits::MAX_BODY, deadline: self.deadline() }
    }

    /// The end of the command's time.
    pub(super) fn deadline(&self) -> Deadline {
        self.timeout.unwrap_or(self.usual_timeout)
    }

    /// The same time once more from now on, for a command that reads again and again.
    pub(super) fn begin_again(&mut self) {
        self.timeout = self.timeout.map(|timeout| Deadline::after(timeout.total()));
        self.usual_timeout = Deadline::after(USUAL_TIMEOUT);
    }

    /// When the reading of files ends: a large one may well take longer than it is usual for a cluster.
    pub(super) fn until(&self) -> Until {
        interrupt::until(self.timeout)
    }
}

/// Which pods.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Selection")]
pub(super) struct SelectArgs {
    /// The namespace; the context's, if not given
    #[arg(short = 'n', long, value_name = "NAME")]
    pub(super) namespace: Option<String>,
    /// All namespaces, whatever -n says
    #[arg(short = 'A', long)]
    pub(super) all_namespaces: bool,
    /// Label selector, e.g. app=web,tier!=test
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub(super) selector: Option<String>,
    /// Field selector, e.g. spec.nodeName=node-1
    #[arg(long, value_name = "SELECTOR")]
    pub(super) field_selector: Option<String>,
    /// Only proxies of this control plane revision
    #[arg(long, value_name = "NAME")]
    pub(super) revision: Option<String>,
    /// The admin port of every proxy, in place of what the pods say
    #[arg(long, alias = "proxy-admin-port", value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) admin_port: Option<u16>,
}

impl SelectArgs {
    /// What selects the same proxies in another command.
    pub(super) fn flags(&self) -> Vec<Flag> {
        let mut flags = Vec::new();
        if self.all_namespaces {
            flags.push(Flag::switch("-A"));
        }
        let namespace = if self.all_namespaces { &None } else { &self.namespace };
        let given = [
            ("-n", namespace),
            ("-l", &self.selector),
            ("--field-selector", &self.field_selector),
            ("--revision", &self.revision),
        ];
        for (name, value) in given {
            flags.extend(value.as_ref().filter(|value| !value.is_empty()).map(|value| Flag::new(name, value)));
        }
        flags.extend(self.admin_port.map(|port| Flag::new("--admin-port", port.to_string())));
        flags
    }

    /// What the flags and the targets select.
    pub(super) fn selection(&self, targets: &[String]) -> Result<PodSelection, Failure> {
        if self.all_namespaces && !targets.is_empty() {
            return Err(Failure::usage("a target and --all-namespaces exclude each other")
                .hint("name the target's namespace with -n, or as NAME.NAMESPACE"));
        }
        if let [kind, name, ..] = targets
            && format!("{kind}/{name}").parse::<Target>().is_ok_and(|target| target.kind.is_some())
        {
            return Err(Failure::usage(format!("a target is one word; did you mean {kind}/{name}?"))
                .hint("a target is POD, POD.NAMESPACE, or KIND/NAME such as deploy/web"));
        }
        Ok(PodSelection {
            targets: targets.iter().map(|target| target.parse::<Target>()).collect::<Result<_, _>>()?,
            namespace: self.namespace.clone(),
            all_namespaces: self.all_namespaces,
            labels: self.selector.clone(),
            fields: self.field_selector.clone(),
            revision: self.revision.clone(),
            admin_port: self.admin_port,
        })
    }
}

/// What is read beside clusters.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wanted {
    /// Logger levels.
    pub(super) loggers: bool,
    /// Istio's objects.
    pub(super) objects: bool,
    /// Connection counters.
    pub(super) evidence: bool,
    /// How long to wait between two readings of them; `None` for one reading.
    pub(super) watch_for: Option<Duration>,
}

/// Whether connection counters are read.
#[derive(Debug, Clone, Copy, Args)]
#[command(next_help_heading = "Evidence")]
pub(super) struct EvidenceArgs {
    /// Do not read the proxies' connection counters (of a large mesh a sample is read)
    #[arg(long, conflicts_with = "watch_for")]
    no_evidence: bool,
    /// Read the counters twice, this long apart, and count what happened in between
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    watch_for: Option<Duration>,
}

impl EvidenceArgs {
    /// Everything that an audit looks at.
    pub(super) fn wanted(self) -> Wanted {
        Wanted { loggers: true, objects: true, evidence: !self.no_evidence, watch_for: self.watch_for }
    }
}

/// Where proxies are read from, and how.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Reading")]
pub(super) struct SourceArgs {
    /// Pods and workloads: POD, POD.NAMESPACE, deploy/NAME, sts/NAME, ds/NAME, rs/NAME, job/NAME, svc/NAME, gateway/NAME
    #[arg(value_name = "TARGET", help_heading = None)]
    pub(super) targets: Vec<String>,
    /// Read files instead of a cluster: config dumps, istioctl's output, bug-report archives, snapshots; - is stdin
    #[arg(long, alias = "file", value_name = "PATH", conflicts_with_all = ["context", "admin_url"])]
    pub(super) from: Vec<String>,
    /// Read the admin endpoint at this URL instead of a cluster's
    #[arg(long, value_name = "URL", conflicts_with_all = ["targets", "namespace", "all_namespaces", "selector", "field_selector", "context"])]
    pub(super) admin_url: Vec<String>,
    /// The most proxies read at once
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(super) concurrency: u16,
    #[command(flatten)]
    pub(super) select: SelectArgs,
    #[command(flatten)]
    pub(super) kube: KubeArgs,
}

impl SourceArgs {
    /// Limits on each read.
    pub(super) fn limits(&self) -> Limits {
        self.kube.limits()
    }

    /// Limits on what files may unfold into, and on the time that reading them takes.
    pub(super) fn archives(&self) -> ArchiveLimits {
        ArchiveLimits { until: self.kube.until(), ..ArchiveLimits::default() }
    }

    /// Reads everything that was selected; that nothing could be read is a failure.
    pub(super) async fn collect(&self, console: &Console, wanted: Wanted) -> Result<MeshSnapshot, Failure> {
        match self.collect_whatever(console, wanted).await? {
            (snapshot, None) => Ok(snapshot),
            (_, Some(failure)) => Err(failure),
        }
    }

    /// The same, with the failure beside the snapshot: a document says of each proxy why it was not read, also where
    /// none was.
    pub(super) async fn collect_whatever(
        &self,
        console: &Console,
        wanted: Wanted,
    ) -> Result<(MeshSnapshot, Option<Failure>), Failure> {
        let snapshot = self.read_twice(console, wanted).await?;
        let failure = match (snapshot.proxies.is_empty(), snapshot.failed.is_empty()) {
            (false, _) => None,
            (true, false) => Some(self.nothing_read(&snapshot)),
            (true, true) => return Err(self.nothing_selected(&snapshot)),
        };
        Ok((snapshot, failure))
    }

    async fn read_twice(&self, console: &Console, wanted: Wanted) -> Result<MeshSnapshot, Failure> {
        let earlier = self.read(console, wanted, self.limits().deadline).await?;
        let (Some(pause), true) = (wanted.watch_for, self.is_live()) else { return Ok(earlier) };
        console.note(&format!("Counting connection attempts for {}", format_duration(pause)));
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = interrupt::ended() => return Ok(earlier),
        }
        let mut snapshot = self.read(console, wanted, self.limits().deadline.later_by(pause)).await?;
        snapshot.evidence_since(&earlier);
        Ok(snapshot)
    }

    /// What a printed command needs to mean the same proxies.
    pub(super) fn scope(&self) -> Scope {
        let from = self.from.iter().map(|path| Flag::new("--from", path));
        let urls = self.admin_url.iter().map(|url| Flag::new("--admin-url", url));
        Scope {
            targets: self.targets.clone(),
            selection: self.select.flags(),
            cluster: self.kube.flags(),
            source: from.chain(urls).chain(self.kube.istio_flags()).collect(),
            policy: None,
        }
    }

    /// Whether a cluster or an endpoint is read, and not files.
    pub(super) fn is_live(&self) -> bool {
        self.from.is_empty()
    }

    async fn read(&self, console: &Console, wanted: Wanted, deadline: Deadline) -> Result<MeshSnapshot, Failure> {
        if !self.from.is_empty() {
            let chosen = Chosen::of(self.select.selection(&self.targets)?)?;
            let snapshot = collect::offline(&self.from, &self.archives());
            return match chosen {
                Some(chosen) => chosen.apply(snapshot),
                None => Ok(snapshot),
            };
        }
        let options = CollectOptions {
            limits: Limits { deadline, ..self.limits() },
            concurrency: usize::from(self.concurrency),
            loggers: wanted.loggers,
            evidence: wanted.evidence,
        };
        let bar = Bar::new(console.shows_progress(), "reading proxies");
        let progress = |event: Progress| match event {
            Progress::Selected(names) => bar.expect(names),
            Progress::Done(name) => bar.done(&name),
        };
        let stop = interrupt::listen();
        if !self.admin_url.is_empty() {
            return Ok(collect::direct(&self.admin_url, &options, &progress, stop).await?);
        }
        let selection = self.select.selection(&self.targets)?;
        let (connections, lost) = interrupt::or_end(self.kube.connect_all(deadline)).await?;
        for connection in &connections {
            leases::see(connection, self.limits(), console).await;
        }
        let several = connections.len() + lost.len() > 1;
        let selecting = async { Ok(collect::select_proxies(&connections, &selection, several).await?) };
        let mut selected = interrupt::or_end(selecting).await?;
        for (context, error) in &lost {
            selected.lose(context, error);
        }
        // A proxy that hangs takes none of istiod's time, and istiod none of a proxy's.
        let objects = self.object_options(&connections, several, &selected, wanted);
        let objects = join_all(objects.iter().map(|(connection, context, options)| async {
            let mut stop = stop.clone();
            tokio::select! {
                objects = collect::read_istio_objects(connection, options, &progress) => Some((context.clone(), objects)),
                () = stop.reached(1) => None,
            }
        }));
        let sample = selected.sample();
        let reading = collect::live(selected, &options, &progress, stop.clone());
        let (snapshot, objects) = tokio::join!(reading, objects);
        let mut snapshot = snapshot?;
        snapshot.objects.extend(objects.into_iter().flatten());
        if interrupt::happened() {
            let (read, all) = (snapshot.proxies.len(), snapshot.proxies.len() + snapshot.failed.len());
            drop(bar);
            console.note(&format!("Interrupted: {read} of {} were read", count(all, "proxy", "proxies")));
        }
        let left_out = |read: &&ProxySnapshot| !sample.reads(&read.proxy.id, read.clusters.len());
        let left_out = snapshot.proxies.iter().filter(left_out).count();
        if wanted.evidence && left_out > 0 {
            console.note(&format!(
                "Connection counters were read from {} of {}, with as many workloads among them as can be: they are much to read. A target, -l or -n reads those of up to 100 proxies",
                snapshot.proxies.len() - left_out,
                count(snapshot.proxies.len(), "proxy", "proxies")
            ));
        }
        leases::note(&mut snapshot);
        Ok(snapshot)
    }

    /// What is to be read of each cluster's objects, beside the proxies that were selected in it.
    fn object_options<'a>(
        &self,
        connections: &'a [Connection],
        several: bool,
        selected: &Selected,
        wanted: Wanted,
    ) -> Vec<(&'a Connection, String, ObjectOptions)> {
        let of = |connection: &'a Connection| {
            let context = if several { connection.context.as_str() } else { "" };
            let proxies = || selected.proxies().filter(|proxy| proxy.id.context == context);
            let options = ObjectOptions {
                istio_namespace: self.kube.istio_namespace.clone(),
                revisions: proxies().map(|proxy| proxy.revision.clone()).filter(|name| !name.is_empty()).collect(),
                namespaces: proxies().map(|proxy| proxy.id.namespace.clone()).collect(),
                ask_istiod: true,
                limits: Limits { deadline: connection.deadline(), ..self.limits() },
            };
            (connection, context.to_owned(), options)
        };
        if wanted.objects { connections.iter().map(of).collect() } else { Vec::new() }
    }

    /// Nothing was read, and why, of each.
    fn nothing_read(&self, snapshot: &MeshSnapshot) -> Failure {
        let named = snapshot.failed.iter().take(NAMED).map(|failed| format!("{}: {}", failed.id, failed.message));
        let mut lines: Vec<String> = named.collect();
        let more = snapshot.failed.len().saturating_sub(NAMED);
        if more > 0 {
            lines.push(format!("and {more} more, which -o json names"));
        }
        let hint = if self.is_live() { failure_hint } else { file_hint };
        let failure = match lines.as_slice() {
            [only] => Failure::cannot_run(format!("nothing could be read: {only}")),
            _ => Failure::cannot_run("nothing could be read:").with_details(lines),
        }
        .passing(true);
        match snapshot.failed.first() {
            // Whoever ended it knows what to do.
            Some(failed) if !interrupt::happened() => failure.hint(hint(failed.cause)),
            _ => failure,
        }
    }

    /// An empty selection, with what stood in the way.
    fn nothing_selected(&self, snapshot: &MeshSnapshot) -> Failure {
        if !self.from.is_empty() {
            return Failure::cannot_run("there is no dump in the input")
                .hint("`--from` reads config dumps and snapshots");
        }
        let scope = match (&self.select.namespace, self.select.all_namespaces) {
            (_, true) => " in any namespace".to_owned(),
            (Some(namespace), _) => format!(" in namespace {namespace:?}"),
            (None, false) if self.targets.is_empty() => " in the context's namespace".to_owned(),
            (None, false) => String::new(),
        };
        if let Some(revision) = self.select.revision.as_ref().filter(|revision| !revision.is_empty()) {
            return Failure::cannot_run(format!("no proxy{scope} is of revision {revision:?}"))
                .hint("`kubectl meshaudit version` names the revisions there are; -A looks in all namespaces");
        }
        match snapshot.skipped.as_slice() {
            [] => Failure::cannot_run(format!("no pods are selected{scope}"))
                .hint("-A looks in all namespaces; -n names another one; is the selector right?"),
            [first, rest @ ..] => {
                let others = if rest.is_empty() { String::new() } else { format!(" (and {} more)", rest.len()) };
                Failure::cannot_run(format!("no proxy among the pods{scope}: {}: {}{others}", first.id, first.reason))
                    .hint("-A looks in all namespaces; -n names another one")
            }
        }
    }
}

/// How many proxies that were not read are named when none was.
const NAMED: usize = 50;

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Command {
        #[command(flatten)]
        kube: KubeArgs,
    }

    #[test]
    fn printed_flags_have_no_secret() {
        for password in ["SECRET", "a?SECRET", "a#SECRET", "a/SECRET", "a@SECRET", "SECRET@b/SECRET?SECRET#SECRET"] {
            let url = format!("http://me:{password}@10.0.0.1:3128");
            for flag in ["--proxy-url", "--server"] {
                let command = Command::try_parse_from(["x", flag, &url, "--token", "SECRET"]).expect("flags");
                let printed = format!("{:?}", command.kube.flags());
                assert!(printed.contains(flag) && !printed.contains("SECRET"), "{printed}");
            }
        }
    }
}
