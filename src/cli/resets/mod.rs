//! `resets`: connection resets by service and time, and whether a change helped.

mod next;
mod stored;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::console::Console;
use super::exit::Exit;
use super::failure::Failure;
use super::kube_args::{KubeArgs, SelectArgs};
use super::moment::{BadMoment, Typed};
use super::stores::{StoreArgs, bytes_of, service_address};
use super::{interrupt, leases};
use crate::collect::resets::{count_files, count_pods, count_requests, expand};
use crate::decode::app_log::ReaderOptions;
use crate::decode::timestamp::TimeContext;
use crate::k8s::{log_sources, without_password};
use crate::model::Flag;
use crate::reach::{Limits, PrometheusAuth, PrometheusServer};
use crate::report::document;
use crate::report::resets::{ResetsReport, chart, csv, html, markdown, svg, table, uncounted, wide};
use crate::resets::{Buckets, By, Class, HOUR, Mark, Patterns, Question, Series, Sources, Tally, compare_marks};

/// Chart "connection reset" by day and service, from logs or Prometheus, and compare before and after a change
#[derive(Debug, Args)]
// No admin endpoint is asked.
#[command(mut_arg("admin_port", |arg| arg.hide(true)))]
#[command(after_help = "Examples:
  kubectl meshaudit resets --from /var/log/apps --mark '2020-07-08T20:00-07:00=connectTimeout 10s'
  kubectl meshaudit resets -n shop --since 24h --by hour
  kubectl meshaudit resets deploy/checkout -c istio-proxy --since 6h --by 10m
  kubectl meshaudit resets --elasticsearch https://logs.example.com:9200 --query 'app-*' -n shop --since 30d
  kubectl meshaudit resets --print-query splunk -n shop --since 30d
  kubectl meshaudit resets --prometheus-service istio-system/prometheus:9090 --since 30d -o html > resets.html

Exit codes: 0 done, 2 usage, 3 some input could not be read, 4 could not run.")]
pub(super) struct ResetsArgs {
    /// Pods and workloads: POD, POD.NAMESPACE, deploy/NAME, sts/NAME, ds/NAME, rs/NAME, job/NAME, svc/NAME, gateway/NAME
    #[arg(value_name = "TARGET", help_heading = None)]
    pub(super) targets: Vec<String>,

    /// Log files instead of pods, directories with them, or - for stdin; compressed ones too
    #[arg(long, value_name = "PATH", conflicts_with_all = ["targets", "namespace", "all_namespaces", "selector", "field_selector", "context"])]
    pub(super) from: Vec<PathBuf>,

    /// Read the log of this container; else of every one but the proxy (repeatable)
    #[arg(short = 'c', long, value_name = "NAME", conflicts_with = "from")]
    pub(super) container: Vec<String>,

    #[command(flatten)]
    pub(super) store: StoreArgs,
    /// Print the query to paste into a store that this machine may not reach: splunk, kql, esql, loki, victorialogs,
    /// cloudwatch, google, azure or datadog; its export is read with --from
    #[arg(
        long,
        value_name = "STORE",
        value_enum,
        hide_possible_values = true,
        help_heading = "Log store",
        conflicts_with = "from"
    )]
    pub(super) print_query: Option<stored::PrintQuery>,
    #[command(flatten)]
    pub(super) prometheus: PrometheusArgs,
    #[command(flatten)]
    pub(super) counting: CountingArgs,
    #[command(flatten)]
    pub(super) report: ReportArgs,
    #[command(flatten)]
    pub(super) select: SelectArgs,
    #[command(flatten)]
    pub(super) kube: KubeArgs,
}

/// Request counts instead of logs.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Prometheus")]
pub(super) struct PrometheusArgs {
    /// Read Istio's request counts from Prometheus at this URL instead of logs
    #[arg(long, value_name = "URL", conflicts_with_all = ["targets", "from", "container", "prometheus_service"])]
    prometheus: Option<String>,
    /// The same, from a service in the cluster, through a port-forward
    #[arg(long, value_name = "NAMESPACE/NAME[:PORT]", conflicts_with_all = ["targets", "from", "container"])]
    prometheus_service: Option<String>,
    /// File with the bearer token that Prometheus wants
    #[arg(long, value_name = "FILE", conflicts_with = "prometheus_user")]
    prometheus_token_file: Option<PathBuf>,
    /// User for basic authentication; the password is in MESHAUDIT_PROMETHEUS_PASSWORD
    #[arg(long, value_name = "USER")]
    prometheus_user: Option<String>,
    /// File with the certificates (PEM) that sign Prometheus' own, beside the system's
    #[arg(long, value_name = "FILE")]
    prometheus_ca: Option<PathBuf>,
    /// The tenant of Mimir or Cortex: X-Scope-OrgID
    #[arg(long, value_name = "TENANT")]
    prometheus_tenant: Option<String>,
}

/// What counts.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Counting")]
pub(super) struct CountingArgs {
    /// Leave out what is older: a moment, a day, or a length of time before now such as 36h, 1d or 2w
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<String>,
    /// Leave out what is younger: a moment, a day, or a length of time before now
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Count only this service (repeatable)
    #[arg(long, value_name = "NAME")]
    service: Vec<String>,
    /// The JSON field that names the service, as a path with points
    #[arg(long, value_name = "FIELD")]
    service_field: Option<String>,
    /// Count only this class of resets (repeatable), e.g. connection-reset
    #[arg(long, value_name = "CLASS")]
    class: Vec<Class>,
    /// Count records that match this regular expression too (repeatable)
    #[arg(long, value_name = "REGEX")]
    pattern: Vec<String>,
    /// Time zone of log timestamps that name none
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    log_tz: String,
}

/// How it is shown.
#[derive(Debug, Args)]
#[command(next_help_heading = "Report")]
pub(super) struct ReportArgs {
    /// chart, table, wide, json, yaml, csv, markdown, svg or html
    #[arg(short, long, value_name = "FORMAT", value_enum, default_value_t, hide_possible_values = true)]
    output: Format,
    #[command(flatten)]
    pub(super) chart: ChartArgs,
    /// List, instead of the chart, the records that have words of a lost connection and were not counted
    #[arg(long, value_name = "WHAT", value_enum)]
    show: Option<Show>,
}

/// What the chart has.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Report")]
pub(super) struct ChartArgs {
    /// Length of the columns: day, hour, or a length that divides a day such as 10m
    #[arg(long, value_name = "LENGTH", default_value = "day")]
    by: By,
    /// Time zone of the days and hours, and of times given without one: an IANA name
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    tz: String,
    /// Show the services with the most resets, and sum up the others; 0 shows all
    #[arg(long, value_name = "N", default_value_t = 8)]
    top: usize,
    /// A moment at which something was changed: draws it, and compares before and after (repeatable); now and 23:55 are
    /// moments too
    #[arg(long, value_name = "TIME=LABEL")]
    mark: Vec<String>,
}

impl ReportArgs {
    /// Of a chart that another command shows.
    pub(super) fn of(chart: ChartArgs) -> Self {
        Self { output: Format::default(), chart, show: None }
    }
}

/// What to list in place of the chart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Show {
    /// What was seen and not counted.
    Uncounted,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    #[default]
    Chart,
    Table,
    Wide,
    Json,
    Yaml,
    Csv,
    Markdown,
    Svg,
    Html,
}

/// Counts, and reports.
pub(super) async fn run(args: &ResetsArgs, console: &Console) -> Result<Exit, Failure> {
    let now = Timestamp::now();
    let plan = args.plan(now)?;
    if let Some(store) = args.print_query {
        return args.print_query(store, &plan, console);
    }
    let report = args.count(&plan, console).await?;
    let format = args.report.output;
    for failed in &report.input.failed {
        console.warn(&crate::report::escape::escape(&failed.sentence()));
    }
    if matches!(format, Format::Chart | Format::Table | Format::Wide | Format::Csv | Format::Svg) {
        for note in &report.notes {
            console.note(&crate::report::escape::escape(note));
        }
    }
    console.print(&args.render(&report, console)?)?;
    Ok(if report.input.failed.is_empty() { Exit::Success } else { Exit::Incomplete })
}

/// What is wrong with the arguments.
#[derive(Debug, thiserror::Error)]
enum ArgumentError {
    /// A zone that the database does not have.
    #[error("{0:?} is no time zone; use an IANA name such as Europe/Berlin, or UTC")]
    Zone(String),
    /// Neither a moment nor a length of time.
    #[error("{option}: {source}")]
    Time {
        /// The option.
        option: &'static str,
        /// What is wrong with it.
        source: BadMoment,
    },
    /// The window is empty.
    #[error("--since {since} is not before --until {until}")]
    Window {
        /// Resolved.
        since: Timestamp,
        /// Resolved.
        until: Timestamp,
    },
    /// A pattern.
    #[error(transparent)]
    Pattern(#[from] crate::resets::PatternError),
}

/// What to count and how to read, from the arguments.
pub(super) struct Plan {
    question: Question,
    options: ReaderOptions,
    now: Timestamp,
}

impl Plan {
    /// The earliest moment that counts.
    pub(super) fn since(&self) -> Option<Timestamp> {
        self.question.since
    }
}

impl ResetsArgs {
    /// What is to be counted; what is wrong with the arguments is said before anything is read.
    pub(super) fn plan(&self, now: Timestamp) -> Result<Plan, Failure> {
        self.question(now).map_err(|error| Failure::usage(error.to_string()))
    }

    /// Counts.
    pub(super) async fn count(&self, plan: &Plan, console: &Console) -> Result<ResetsReport, Failure> {
        let (tally, mut sources) = self.read(plan, console).await?;
        self.check(&tally, &sources)?;
        sources.log_zone.clone_from(&self.counting.log_tz);
        sources.show_uncounted = self.shows_uncounted();
        let read_until = self.is_live().then_some(plan.now).filter(|_| plan.question.until.is_none());
        let comparisons = compare_marks(&tally, &plan.question, sources.slot_seconds, read_until);
        let top = if self.report.output == Format::Wide { 0 } else { self.report.chart.top };
        let series = Series::build(&tally, &plan.question, top, plan.now)
            .map_err(|error| Failure::cannot_run(error.to_string()))?;
        let mut report = ResetsReport::new(&tally, &plan.question, &series, &comparisons, &sources);
        report.next = self.next_steps(&report, &tally, plan.now);
        if let Some(delay) = report.delay.as_mut().filter(|delay| delay.points_at().is_some()) {
            delay.next = report.next.first().map(|step| step.command.clone());
        }
        Ok(report)
    }

    fn question(&self, now: Timestamp) -> Result<Plan, ArgumentError> {
        let zone = |name: &String| TimeZone::get(name).map_err(|_| ArgumentError::Zone(name.clone()));
        let (tz, log_tz) = (zone(&self.report.chart.tz)?, zone(&self.counting.log_tz)?);
        // What people type is in the zone that they look at.
        let typed = Typed::new(tz.clone(), now);
        let moment = |option, text: &str| typed.moment(text).map_err(|source| ArgumentError::Time { option, source });
        let time = |option, text: &Option<String>| text.as_ref().map(|text| moment(option, text)).transpose();
        let (since, until) = (time("--since", &self.counting.since)?, time("--until", &self.counting.until)?);
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            return Err(ArgumentError::Window { since, until });
        }
        let mut marks = self
            .report
            .chart
            .mark
            .iter()
            .map(|mark| {
                let (at, label) = mark.split_once('=').unwrap_or((mark, ""));
                Ok(Mark { at: moment("--mark", at)?, label: label.trim().to_owned() })
            })
            .collect::<Result<Vec<_>, ArgumentError>>()?;
        marks.sort_by_key(|mark| mark.at);
        Ok(Plan {
            question: Question {
                patterns: Patterns::new(&self.counting.class, &self.counting.pattern)?,
                buckets: Buckets { by: self.report.chart.by, zone: tz },
                marks,
                services: self.counting.service.clone(),
                since,
                until,
            },
            options: ReaderOptions {
                time: TimeContext::new(log_tz, now),
                service_field: self.counting.service_field.clone(),
            },
            now,
        })
    }
}

impl ResetsArgs {
    const fn shows_uncounted(&self) -> bool {
        matches!(self.report.show, Some(Show::Uncounted))
    }

    /// A moment as the arguments mean it, if it is one.
    fn typed_moment(&self, text: &str, now: Timestamp) -> Option<Timestamp> {
        let zone = TimeZone::get(&self.report.chart.tz).ok()?;
        Typed::new(zone, now).moment(text).ok()
    }

    /// That there was something to count: an empty or a foreign input is no clean one, and neither is a service that
    /// nobody has.
    fn check(&self, tally: &Tally, sources: &Sources) -> Result<(), Failure> {
        if let ([(name, why), ..], 0) = (sources.failed.as_slice(), sources.count) {
            return Err(Failure::cannot_run(format!("nothing could be read: {name}: {why}")));
        }
        let reading = &tally.reading;
        if !self.from.is_empty() {
            if reading.records == 0 {
                return Err(Failure::cannot_run("the input is empty: there is no line in it"));
            }
            let is_foreign = reading.without_timestamp == reading.records
                && reading.resets_without_timestamp == 0
                && tally.uncounted.is_empty();
            if is_foreign {
                let rest = sources.failed.first().map(|(name, why)| format!("; {name}: {why}")).unwrap_or_default();
                return Err(Failure::cannot_run(format!(
                    "none of the {} records in the input has a timestamp or tells of a lost connection{rest}",
                    reading.records
                ))
                .hint("--from takes applications' logs and proxies' access logs"));
            }
        }
        if !self.counting.service.is_empty() && tally.services.is_empty() && !tally.others.is_empty() {
            let there = crate::report::look::some(tally.others.iter().cloned(), 20);
            return Err(Failure::cannot_run(format!("no service is named {}", self.counting.service.join(" or ")))
                .hint(format!("there are: {}", crate::report::escape::escape(&there))));
        }
        Ok(())
    }

    fn render(&self, report: &ResetsReport, console: &Console) -> Result<String, Failure> {
        let drawn = |outcome: Result<String, crate::report::resets::DrawError>| {
            outcome.map_err(|error| Failure::cannot_run(error.to_string()))
        };
        let columns = console.columns.unwrap_or(80);
        Ok(match self.report.output {
            Format::Chart | Format::Table | Format::Wide if self.shows_uncounted() => {
                uncounted(report, console.columns.unwrap_or(usize::MAX))
            }
            Format::Chart => chart(report, columns, console.out),
            Format::Table => table(report, console.columns),
            Format::Wide => wide(report, console.columns),
            Format::Json => document::json(report)?,
            Format::Yaml => document::yaml(report)?,
            Format::Csv => csv(report).map_err(|error| Failure::cannot_run(error.to_string()))?,
            Format::Markdown => markdown(report),
            Format::Svg => drawn(svg(report))?,
            Format::Html => drawn(html(report))?,
        })
    }

    async fn read(&self, plan: &Plan, console: &Console) -> Result<(Tally, Sources), Failure> {
        if self.store.is_given() {
            return self.stored(plan, console).await;
        }
        if let Some(url) = &self.prometheus.prometheus {
            let server = PrometheusServer::at(url, self.prometheus.auth(self.kube.limits())?, self.kube.limits())
                .map_err(|error| Failure::usage(chain(&error)))?;
            return self.counts(&server, plan, console).await;
        }
        if let Some(service) = &self.prometheus.prometheus_service {
            let (namespace, name, port) = service_address(service)?;
            let connection = self.kube.connect().await?;
            let (pod, port) = connection.service_backend(namespace, name, port).await?;
            let pod = (namespace, pod.as_str(), port);
            let server = PrometheusServer::in_pod(
                &connection,
                pod,
                self.prometheus.auth(self.kube.limits())?,
                self.kube.limits(),
            );
            return self.counts(&server, plan, console).await;
        }
        if self.from.is_empty() {
            return self.live(plan, console).await;
        }
        let inputs = expand(&self.from).map_err(|error| {
            Failure::cannot_run(chain(&error)).hint("--from takes log files, directories with them, or - for stdin")
        })?;
        if inputs.is_empty() {
            return Err(Failure::cannot_run("there are no files in the input"));
        }
        let until = self.kube.until();
        // Reading is work for all cores; the runtime has nothing else to do.
        Ok(tokio::task::block_in_place(|| count_files(&inputs, until, &plan.question, &plan.options)))
    }

    async fn live(&self, plan: &Plan, console: &Console) -> Result<(Tally, Sources), Failure> {
        let selection = self.select.selection(&self.targets)?;
        let (mut tally, mut sources) = (Tally::default(), Sources { slot_seconds: HOUR, ..Sources::default() });
        let (connections, lost) = self.kube.connect_all(self.kube.deadline()).await?;
        let lost = lost.iter().map(|(context, error)| (format!("context {context}"), error.to_string()));
        sources.failed.extend(lost);
        for connection in connections {
            leases::see(&connection, self.kube.limits(), console).await;
            let containers = log_sources(&connection, &selection, &self.container).await?;
            if containers.is_empty() {
                continue;
            }
            let (counted, read) = count_pods(&connection, &containers, &plan.question, &plan.options).await;
            tally.merge(counted);
            sources.count += read.count;
            sources.failed.extend(read.failed);
        }
        if sources.count == 0 && sources.failed.is_empty() {
            return Err(Failure::cannot_run("no container is selected that has a log")
                .hint("-A looks in all namespaces; -n names one; -c names a container; --from reads files"));
        }
        Ok((tally, sources))
    }

    async fn counts(
        &self,
        server: &PrometheusServer<'_>,
        plan: &Plan,
        console: &Console,
    ) -> Result<(Tally, Sources), Failure> {
        let namespace = self.select.namespace.as_deref().filter(|name| !name.is_empty() && !self.select.all_namespaces);
        let counted = count_requests(server, &plan.question, namespace, plan.now)
            .await
            .map_err(|error| Failure::cannot_run(chain(&error)).hint(error.hint()))?;
        for remark in &counted.remarks {
            console.note(&crate::report::escape::escape(remark));
        }
        let failed = counted.lacking.into_iter().map(|why| ("Prometheus".to_owned(), why)).collect();
        Ok((counted.tally, Sources { count: 1, slot_seconds: counted.step, failed, ..Sources::default() }))
    }
}

impl PrometheusArgs {
    /// Whether Prometheus is to be read.
    pub(super) fn is_given(&self) -> bool {
        self.prometheus.is_some() || self.is_in_cluster()
    }

    /// Whether it is in the cluster.
    pub(super) fn is_in_cluster(&self) -> bool {
        self.prometheus_service.is_some()
    }

    /// The flags as they were given, without credentials.
    fn flags(&self) -> Vec<Flag> {
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
        let given = [
            ("--prometheus", self.prometheus.as_deref().map(without_password)),
            ("--prometheus-service", self.prometheus_service.clone()),
            ("--prometheus-token-file", path(&self.prometheus_token_file)),
            ("--prometheus-user", self.prometheus_user.clone()),
            ("--prometheus-ca", path(&self.prometheus_ca)),
            ("--prometheus-tenant", self.prometheus_tenant.clone()),
        ];
        given.into_iter().filter_map(|(name, value)| Some(Flag::new(name, value?))).collect()
    }

    fn auth(&self, limits: Limits) -> Result<PrometheusAuth, Failure> {
        let until = interrupt::until(Some(limits.deadline));
        let read = |path: &PathBuf| bytes_of(path, until);
        let token = self.prometheus_token_file.as_ref().map(read).transpose()?;
        let password = || {
            std::env::var("MESHAUDIT_PROMETHEUS_PASSWORD").map_err(|_| {
                Failure::usage("--prometheus-user needs a password").hint("set MESHAUDIT_PROMETHEUS_PASSWORD")
            })
        };
        Ok(PrometheusAuth {
            bearer_token: token.map(|token| String::from_utf8_lossy(&token).trim().to_owned()),
            basic: self
                .prometheus_user
                .as_ref()
                .map(|user| Ok::<_, Failure>((user.clone(), password()?)))
                .transpose()?,
            ca: self.prometheus_ca.as_ref().map(read).transpose()?,
            tenant: self.prometheus_tenant.clone(),
        })
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}
