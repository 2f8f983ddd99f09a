//! `serve`: audits again and again, and shows the last one over HTTP.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use clap::Args;
use http::StatusCode;
use tokio::net::TcpListener;

use super::console::Console;
use super::convert::exported;
use super::debug_log::{Suspending, listen};
use super::exit::Exit;
use super::failure::Failure;
use super::kube_args::{EvidenceArgs, SourceArgs, duration};
use super::policy::PolicyArgs;
use crate::audit::{self, Filter, Severity};
use crate::model::{FailureCause, format_duration};
use crate::reach::{Page, answer_pages};
use crate::report::export;
use crate::report::look::{count, file_hint};
use crate::report::v1::audit::timeout_audit;

/// Audit at intervals, and show the last audit over HTTP: /metrics, /healthz, and the report as a page
#[derive(Debug, Args)]
// One proxy after the other: an audit that nobody waits for should not be felt.
#[command(mut_arg("concurrency", |arg| arg.default_value("1")))]
#[command(after_help = "Examples:
  kubectl meshaudit serve -A               at http://127.0.0.1:9464/
  kubectl meshaudit serve -A --listen 0.0.0.0:9464 --interval 15m

Exit codes: 2 usage, 4 could not listen, 130 or 143 when it was ended.")]
pub(super) struct ServeArgs {
    #[command(flatten)]
    pub(super) source: SourceArgs,
    #[command(flatten)]
    evidence: EvidenceArgs,
    #[command(flatten)]
    policy: PolicyArgs,
    #[command(flatten)]
    how: HowArgs,
}

/// Where it listens, and how often it audits.
#[derive(Debug, Args)]
#[command(next_help_heading = "Serving")]
struct HowArgs {
    /// Address and port to listen at; what it shows names pods and hosts, and asks for no password
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9464")]
    listen: SocketAddr,
    /// From the beginning of an audit to the next one's, at least 10s
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = interval)]
    interval: Duration,
}

fn interval(text: &str) -> Result<Duration, String> {
    const LEAST: Duration = Duration::from_secs(10);
    let interval = duration(text)?;
    if interval < LEAST { Err(format!("at least {}", format_duration(LEAST))) } else { Ok(interval) }
}

/// What is shown.
struct Shown {
    /// The last audit that could be made: its metrics and its page.
    metrics: String,
    page: Option<String>,
    done: u64,
    failed: u64,
    /// Why the last one could not be made.
    failure: Option<String>,
    /// When the last one ended, or this began.
    ended: Instant,
    /// How long may pass until then.
    patience: Duration,
}

pub(super) async fn run(args: &ServeArgs, console: &Console) -> Result<Exit, Failure> {
    // A mistake in the policy is said at once.
    args.policy.load(console, args.source.kube.until())?;
    // So is a path with nothing at it, before anyone waits for what can't come.
    for path in args.source.from.iter().filter(|path| *path != "-") {
        std::fs::metadata(path).map_err(|error| {
            Failure::cannot_run(format!("cannot read {path}: {error}")).hint(file_hint(FailureCause::Unreachable))
        })?;
    }
    let at = args.how.listen;
    let listener = TcpListener::bind(at).await.map_err(|error| {
        Failure::cannot_run(format!("cannot listen at {at}: {error}")).hint("--listen names another address")
    })?;
    let at = listener.local_addr().unwrap_or(at);
    console.note(&format!("Listening at http://{at}/ (/metrics, /healthz)"));
    let (mut stop, signal) = listen(*console, ["Ending."; 3], Suspending::Suspends)?;
    let shown = Arc::new(Mutex::new(Shown {
        metrics: String::new(),
        page: None,
        done: 0,
        failed: 0,
        failure: None,
        ended: Instant::now(),
        patience: args.how.interval * 2 + args.source.kube.deadline().total(),
    }));
    let pages = Arc::clone(&shown);
    let serving = tokio::spawn(answer_pages(
        listener,
        Arc::new(move |path: &str| pages.lock().unwrap_or_else(PoisonError::into_inner).page(path)),
    ));
    loop {
        let began = Instant::now();
        let outcome = tokio::select! {
            outcome = once(args, console) => outcome,
            () = stop.reached(1) => break,
        };
        shown.lock().unwrap_or_else(PoisonError::into_inner).take(outcome, console);
        tokio::select! {
            () = tokio::time::sleep(args.how.interval.saturating_sub(began.elapsed())) => {}
            () = stop.reached(1) => break,
        }
    }
    serving.abort();
    Ok(signal.get().copied().unwrap_or(Exit::Interrupted))
}

/// One audit: its metrics, its page, and what it came to.
async fn once(args: &ServeArgs, console: &Console) -> Result<(String, String, String), Failure> {
    let started = Instant::now();
    let policy = args.policy.load(console, args.source.kube.until())?;
    let mut source = args.source.clone();
    // Each audit has the time that a command has.
    source.kube.begin_again();
    let (snapshot, failure) = source.collect_whatever(console, args.evidence.wanted()).await?;
    let found = audit::audit(&snapshot, &Filter::default(), &policy);
    let document = timeout_audit(&snapshot, &found, started.elapsed());
    let summary = format!(
        "Audited {} of {} in {:.1} s: {}{}",
        snapshot.proxies.len(),
        count(snapshot.proxies.len() + snapshot.failed.len(), "proxy", "proxies"),
        started.elapsed().as_secs_f64(),
        count(found.count(Severity::Error), "error", "errors"),
        failure.map_or_else(String::new, |failure| format!(" ({failure})")),
    );
    Ok((exported(&document, export::Format::Prometheus)?, exported(&document, export::Format::Html)?, summary))
}

impl Shown {
    fn take(&mut self, outcome: Result<(String, String, String), Failure>, console: &Console) {
        self.ended = Instant::now();
        match outcome {
            Ok((metrics, page, summary)) => {
                (self.metrics, self.page, self.failure) = (metrics, Some(page), None);
                self.done += 1;
                console.note(&summary);
            }
            Err(failure) => {
                console.warn(&format!("no audit: {failure}"));
                self.failure = Some(failure.to_string());
                self.failed += 1;
            }
        }
    }

    fn page(&self, path: &str) -> Page {
        const TEXT: &str = "text/plain; charset=utf-8";
        let page = |status, content_type, body: String| Page { status, content_type, body: body.into() };
        let late = self.ended.elapsed() > self.patience;
        match path {
            "/" => match &self.page {
                Some(html) => page(StatusCode::OK, "text/html; charset=utf-8", html.clone()),
                None => {
                    let why = self.failure.as_deref().unwrap_or("the first is not done yet");
                    page(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("there is no audit: {why}\n"))
                }
            },
            "/metrics" => {
                let own = export::serving(self.done, self.failed, self.failure.is_none() && self.done > 0);
                page(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", self.metrics.clone() + &own)
            }
            // That the mesh cannot be read is no reason to restart this.
            "/healthz" if late => {
                let since = self.ended.elapsed().as_secs();
                page(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("no audit has ended for {since} s\n"))
            }
            "/healthz" => page(StatusCode::OK, TEXT, "ok\n".to_owned()),
            _ => page(StatusCode::NOT_FOUND, TEXT, "there are /, /metrics and /healthz\n".to_owned()),
        }
    }
}
