//! `incident`: the write-up. It runs what the other commands run, once, and puts their documents together.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::builder::Resettable;
use clap::{Arg, Args, Id, ValueEnum};
use jiff::Timestamp;

use super::console::Console;
use super::convert::OutputFileArgs;
use super::diagnose::{self, DiagnoseArgs, LiveArgs};
use super::exit::{Exit, FailOn};
use super::failure::{Failure, FailureKind};
use super::fix;
use super::kube_args::{EvidenceArgs, SourceArgs};
use super::policy::PolicyArgs;
use super::resets::{ChartArgs, CountingArgs, PrometheusArgs, ReportArgs, ResetsArgs};
use super::stores::StoreArgs;
use super::verify::{ExpectArgs, nothing_is_known};
use crate::audit::{self, Filter, Policy};
use crate::decode::dump_forms::may_be_yaml;
use crate::fix::FixOptions;
use crate::fix::verify::verify;
use crate::input::{ArchiveLimits, Until, walk};
use crate::model::{FailureCause, Flag, MeshSnapshot, Scope};
use crate::report::escape::escape;
use crate::report::incident::{self as report, IncidentReport, Part, WriteError};
use crate::report::look::some;
use crate::report::v1::audit::{Tool, timeout_audit};
use crate::report::v1::fix::FixPlanJson;
use crate::report::{document, verify as verification};

/// Write up an incident: the resets, the failed connections and their cause, the timeouts, the change, and whether it helped
///
/// One report out of what `resets`, `diagnose`, `timeouts`, `fix` and `verify` find; each figure stands with the command
/// that gives it.
#[derive(Debug, Args)]
#[command(mut_args(beside_files))]
#[command(after_help = "Examples:
  kubectl meshaudit incident -n shop --since 24h
  kubectl meshaudit incident -A --mark '2020-07-08T20:00-07:00=connectTimeout 10s' -o html --output-file incident.html
  kubectl meshaudit incident -n shop --since 30d --victorialogs https://logs.example.com -o markdown
  kubectl meshaudit incident --from mesh.tar.gz --from /var/log/apps --from proxy.log.gz -o html > incident.html
  kubectl meshaudit incident --from mesh.tar.gz --since 30d --loki https://loki.example.com -o html > incident.html

Exit codes: 0 done, 2 usage, 3 some of it could not be read, 4 nothing could be read.")]
pub(super) struct IncidentArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// Count the resets in the log of this container; else of every one but the proxy (repeatable)
    #[arg(short = 'c', long, value_name = "NAME", help_heading = "Counting")]
    container: Vec<String>,
    #[command(flatten)]
    counting: CountingArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    prometheus: PrometheusArgs,
    #[command(flatten)]
    evidence: EvidenceArgs,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    expect: ExpectArgs,
    #[command(flatten)]
    write_up: WriteUpArgs,
}

/// Beside a snapshot, logs may come out of a store, and counts out of Prometheus: what `resets` and `diagnose` refuse
/// beside files, which are logs there.
fn beside_files(arg: Arg) -> Arg {
    let free = |arg: Arg| arg.conflicts_with(Resettable::<Id>::Reset);
    match arg.get_id().as_str() {
        "splunk"
        | "elasticsearch"
        | "loki"
        | "victorialogs"
        | "splunk_service"
        | "elasticsearch_service"
        | "loki_service"
        | "victorialogs_service"
        | "query"
        | "text_field"
        | "time_field" => free(arg),
        "prometheus" => free(arg).conflicts_with_all(["targets", "container", "prometheus_service"]),
        "prometheus_service" => free(arg).conflicts_with_all(["targets", "container"]),
        "from" => free(arg).conflicts_with("admin_url"),
        _ => arg,
    }
}

/// What comes out.
#[derive(Debug, Args)]
#[command(next_help_heading = "Report")]
struct WriteUpArgs {
    /// text, html (one page that needs nothing from anywhere), markdown, json or yaml
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t, hide_possible_values = true)]
    output: Format,
    #[command(flatten)]
    to: OutputFileArgs,
    /// What the write-up is called
    #[arg(long, value_name = "TEXT", default_value = "Connection resets: an incident")]
    title: String,
    #[command(flatten)]
    chart: ChartArgs,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    #[default]
    Text,
    Html,
    Markdown,
    Json,
    Yaml,
}

pub(super) async fn run(args: &IncidentArgs, console: &Console) -> Result<Exit, Failure> {
    let now = Timestamp::now();
    // What is wrong with the arguments is said before anything is read.
    let policy = args.policy.load(console, args.source.kube.until())?;
    let inputs = args.inputs(console)?;
    let counting = args.resets(&inputs);
    let question = counting.plan(now)?;
    let of_logs = args.diagnose(&inputs, question.since().map(|since| now.duration_since(since).unsigned_abs()));
    let mesh = args.mesh(&inputs, &policy, console).await?;
    let resets = if inputs.lack_counts() {
        Part::missing(counting.command(now), NO_LOGS.to_owned())
    } else {
        let outcome = counting.count(&question, console).await;
        part(counting.command(now), outcome, |report| report.input.failed.iter().map(|one| one.sentence()).collect())?
    };
    let diagnosis = if inputs.lack_logs() {
        Part::missing(of_logs.command(question.since()), NO_LOGS.to_owned())
    } else {
        let outcome = diagnose::diagnosis(&of_logs, console).await;
        let (outcome, unread) = match outcome {
            Ok((found, unread)) => (Ok(found), unread),
            Err(failure) => (Err(failure), Vec::new()),
        };
        part(of_logs.command(question.since()), outcome, |_| unread.clone())?
    };
    let Mesh { audit, plan, verification } = mesh;
    let first = [&audit.missing, &resets.missing, &diagnosis.missing].into_iter().flatten().next().cloned();
    if let (Some(why), None, None, None) = (first, &audit.document, &resets.document, &diagnosis.document) {
        return Err(Failure::cannot_run(format!("nothing could be read: {why}"))
            .hint("-A looks in all namespaces; --from reads snapshots and logs"));
    }
    let mut report = IncidentReport {
        api_version: "meshaudit/v1",
        kind: "Incident",
        tool: Tool::default(),
        title: args.write_up.title.clone(),
        written_at: now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        facts: Vec::new(),
        resets,
        diagnosis,
        audit,
        plan,
        verification,
    };
    report.facts = report::facts(&report);
    let text = match args.write_up.output {
        Format::Text => report::text(&report, console.look(true)),
        Format::Html => report::html(&report)?,
        Format::Markdown => report::markdown(&report)?,
        Format::Json => document::json(&report)?,
        Format::Yaml => document::yaml(&report)?,
    };
    args.write_up.to.put(&text, console)?;
    Ok(if is_whole(&report, &inputs) { Exit::Success } else { Exit::Incomplete })
}

/// Whether everything that was asked for was read. What no file was given of was not asked for.
fn is_whole(report: &IncidentReport, inputs: &Inputs) -> bool {
    let (resets, diagnosis) = (&report.resets, &report.diagnosis);
    let counts = inputs.lack_counts() || resets.document.is_some() && resets.unread.is_empty();
    let logs = inputs.lack_logs()
        || diagnosis.document.as_ref().is_some_and(|found| found.input.unexplained == 0) && diagnosis.unread.is_empty();
    let mesh =
        inputs.lack_mesh() || report.audit.document.as_ref().is_some_and(|audit| audit.coverage.failed.is_empty());
    counts && logs && mesh
}

const NO_LOGS: &str = "there is no log among the files";
const NO_MESH: &str = "there is no snapshot or dump among the files";

/// A part, or why there is none. Wrong usage ends the command.
fn part<T>(
    command: String,
    outcome: Result<T, Failure>,
    unread: impl FnOnce(&T) -> Vec<String>,
) -> Result<Part<T>, Failure> {
    match outcome {
        Ok(document) => {
            let unread = unread(&document);
            Ok(Part::of(command, document, unread))
        }
        Err(failure) if failure.kind == FailureKind::Usage => Err(failure),
        Err(failure) => {
            let hint = failure.next().map_or_else(String::new, |hint| format!(" ({hint})"));
            Ok(Part::missing(command, format!("{failure}{hint}")))
        }
    }
}

/// The parts that come out of the proxies' configuration.
struct Mesh {
    audit: Part<crate::report::v1::audit::TimeoutAudit>,
    plan: Part<FixPlanJson>,
    verification: Part<verification::VerificationJson>,
}

impl IncidentArgs {
    /// What printed commands need to mean the same mesh.
    pub(super) fn scope(&self) -> Scope {
        let source = self.source.kube.istio_flags();
        if self.source.is_live() {
            self.source.scope()
        } else {
            Scope { selection: vec![Flag::switch("-A")], source, cluster: self.source.kube.flags(), ..Scope::default() }
        }
    }

    /// The files by what is in them, held against the other places that logs are to come from.
    fn inputs(&self, console: &Console) -> Result<Inputs, Failure> {
        let from = &self.source.from;
        let (store, prometheus) = (self.store.is_given(), self.prometheus.is_given());
        if !from.is_empty() && !store && !self.container.is_empty() {
            return Err(Failure::usage("-c names containers of pods or of a log store, and --from reads files"));
        }
        let in_cluster = self.store.is_in_cluster() || self.prometheus.is_in_cluster();
        if !from.is_empty() && !in_cluster && !self.source.kube.context.is_empty() {
            return Err(Failure::usage("--context is for a cluster, and --from reads files")
                .hint("with a log store in a cluster, as --loki-service, both have a meaning"));
        }
        let mut inputs = Inputs { store, prometheus, ..Inputs::of(from, self.source.kube.until())? };
        if store && !inputs.logs.is_empty() {
            let files = escape(&some(std::mem::take(&mut inputs.logs), 5)).into_owned();
            console.note(&format!("The logs in {files} are not read: the log store's are."));
        }
        Ok(inputs)
    }

    /// `resets`, as it is asked here.
    fn resets(&self, inputs: &Inputs) -> ResetsArgs {
        ResetsArgs {
            targets: self.source.targets.clone(),
            from: inputs.logs.iter().filter(|_| !inputs.prometheus).map(PathBuf::from).collect(),
            container: self.container.clone(),
            store: self.store.clone(),
            print_query: None,
            prometheus: self.prometheus.clone(),
            counting: self.counting.clone(),
            report: ReportArgs::of(self.write_up.chart.clone()),
            select: self.source.select.clone(),
            kube: self.source.kube.clone(),
        }
    }

    /// `diagnose`, as it is asked here.
    fn diagnose(&self, inputs: &Inputs, since: Option<Duration>) -> DiagnoseArgs {
        DiagnoseArgs {
            live: LiveArgs {
                targets: self.source.targets.clone(),
                follow: false,
                since: since.map(|since| Duration::from_secs(since.as_secs())),
                tail: None,
                previous: false,
                select: self.source.select.clone(),
                kube: self.source.kube.clone(),
            },
            store: self.store.clone(),
            from: inputs.logs.clone(),
            config_dump: inputs.mesh.clone(),
            output: diagnose::Format::default(),
            to: OutputFileArgs::default(),
            no_headers: false,
            fail_on: FailOn::Never,
            exit_zero: true,
        }
    }

    /// Reads the proxies' configuration once, audits it, plans the change, and tells who has it.
    async fn mesh(&self, inputs: &Inputs, policy: &Policy, console: &Console) -> Result<Mesh, Failure> {
        let expectation = self.expect.expectation(self.source.kube.until())?;
        let mut source = SourceArgs { from: inputs.mesh.clone(), ..self.source.clone() };
        if !source.is_live() {
            // It is the log store's.
            source.kube.context.clear();
        }
        let scope = Scope { policy: self.policy.flag(), ..source.scope() };
        let command = |name: &str, words: Vec<String>| scope.command(name, words);
        let (audits, plans, verifies) =
            (command("timeouts", Vec::new()), command("fix", Vec::new()), command("verify", self.expect.flags()));
        let started = Instant::now();
        let outcome = if inputs.lack_mesh() {
            Err(Failure::cannot_run(NO_MESH))
        } else {
            source.collect(console, self.evidence.wanted()).await
        };
        let snapshot = match part(audits.clone(), outcome, |_| Vec::new())? {
            Part { document: Some(snapshot), .. } => inputs.without_logs(snapshot),
            Part { missing, .. } => {
                let why = missing.unwrap_or_default();
                return Ok(Mesh {
                    audit: Part::missing(audits, why.clone()),
                    plan: Part::missing(plans, why.clone()),
                    verification: Part::missing(verifies, why),
                });
            }
        };
        let found = audit::audit(&snapshot, &Filter::default(), policy);
        let plan = fix::plan(&snapshot, &found, policy, &FixOptions::default());
        let plan = plan.map(|plan| FixPlanJson::new(&snapshot, &plan, &scope));
        let verified = verify(&snapshot, &expectation);
        let verified = match nothing_is_known(&snapshot, &verified) {
            Some(failure) => Err(failure),
            None => {
                let expected = self.expect.describe(&snapshot);
                Ok(verification::verification_json(&snapshot, &verified, &expected, Duration::ZERO))
            }
        };
        Ok(Mesh {
            audit: Part::of(audits, timeout_audit(&snapshot, &found, started.elapsed()), Vec::new()),
            plan: part(plans, plan, |_| Vec::new())?,
            verification: part(verifies, verified, |_| Vec::new())?,
        })
    }
}

impl DiagnoseArgs {
    /// The command that gives this diagnosis again, from the same moment on.
    fn command(&self, since: Option<Timestamp>) -> String {
        let mut words = Vec::new();
        if let Some(since) = since.filter(|_| self.from.is_empty()) {
            words.extend(["--since".to_owned(), since.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()]);
        }
        let dumps = self.config_dump.iter().map(|path| Flag::new("--config-dump", path));
        let logs = self.from.iter().map(|path| Flag::new("--from", path));
        let source: Vec<Flag> =
            logs.chain(dumps).chain(self.store.flags()).chain(self.live.kube.istio_flags()).collect();
        let selection = if self.from.is_empty() { self.live.select.flags() } else { Vec::new() };
        Scope { source, selection, ..self.live.scope() }.command("diagnose", words)
    }
}

/// Files by what is in them: a directory, or an archive, may be both.
#[derive(Debug, Default)]
struct Inputs {
    given: bool,
    mesh: Vec<String>,
    logs: Vec<String>,
    /// Whether logs come out of a store.
    store: bool,
    /// Whether counts come out of Prometheus.
    prometheus: bool,
}

impl Inputs {
    /// Looks at the beginning of each file.
    fn of(from: &[String], until: Until) -> Result<Self, Failure> {
        let mut found = Self { given: !from.is_empty(), ..Self::default() };
        for input in from {
            if input == "-" {
                return Err(Failure::usage("incident reads its files more than once, which stdin can't be")
                    .hint("save it, and name the file with --from"));
            }
            let (mut dumps, mut logs) = (false, false);
            let mut look = |_: &str, entry: Result<crate::input::Entry<'_>, _>| {
                if let Ok(entry) = entry
                    && !entry.hidden
                {
                    let is_dump = entry.reader.fill_buf().is_ok_and(holds_configuration);
                    dumps |= is_dump;
                    logs |= !is_dump;
                }
            };
            walk(input, &ArchiveLimits { until, ..ArchiveLimits::PROXY_LOGS }, &mut look)
                .map_err(|error| Failure::cannot_run(format!("{input}: {error}")))?;
            if dumps {
                found.mesh.push(input.clone());
            }
            if logs {
                found.logs.push(input.clone());
            }
        }
        Ok(found)
    }

    fn lack_logs(&self) -> bool {
        self.given && self.logs.is_empty() && !self.store
    }

    fn lack_counts(&self) -> bool {
        self.lack_logs() && !self.prometheus
    }

    fn lack_mesh(&self) -> bool {
        self.given && self.mesh.is_empty()
    }

    /// A log that lies beside dumps was not meant to be one.
    fn without_logs(&self, mut snapshot: MeshSnapshot) -> MeshSnapshot {
        if self.given {
            snapshot.failed.retain(|unread| unread.cause != FailureCause::NotEnvoy || !unread.id.namespace.is_empty());
        }
        snapshot
    }
}

/// Whether a file holds proxies' configuration, as JSON or YAML.
fn holds_configuration(beginning: &[u8]) -> bool {
    let has = |key: &str| memchr::memmem::find(beginning, key.as_bytes()).is_some();
    diagnose::is_dump(beginning)
        || may_be_yaml(beginning) && ["configs:", "lusters:", "onnectTimeout:", "onnect_timeout:"].into_iter().any(has)
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        Self::cannot_run(error.to_string())
    }
}
