//! Live completion through kubectl: `kubectl_complete-meshaudit` hands over the plugin's words, and gets lines of
//! `value<TAB>description` and a directive (kubernetes PR #105867).

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use clap::{Arg, Args, FromArgMatches, Parser, ValueHint};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use super::console::Console;
use super::exit::Exit;
use super::failure::Failure;
use super::kube_args::KubeArgs;
use crate::audit::rules;
use crate::diagnose::Cause;
use crate::fix::verify::Reason;
use crate::k8s::{Deadline, NamesOf, WorkloadKind, connect, kubeconfig_contexts};
use crate::report::escape::is_hostile;
use crate::resets::Class;

/// Complete a command line (for kubectl)
#[derive(Debug, Args)]
pub(super) struct CompleteArgs {
    /// The plugin's words so far; the last one, which may be empty, is to be completed
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

/// A shell that waits longer than this for its completion has lost its user.
const DEADLINE: Duration = Duration::from_millis(500);

/// kubectl's directive: do not offer files.
const NO_FILES: &str = ":4\n";

/// kubectl's directive: offer what the shell itself would, which is files.
const FILES: &str = ":0\n";

pub(super) fn run(args: &CompleteArgs, console: &Console) -> Result<Exit, Failure> {
    let mut words: Vec<OsString> = vec!["kubectl-meshaudit".into()];
    words.extend(args.words.iter().cloned());
    if args.words.is_empty() {
        words.push(OsString::new());
    }
    let index = words.len() - 1;
    let flags = words[index].to_string_lossy().starts_with('-');
    let mut command = super::command("kubectl meshaudit");
    command.build();
    if wants_path(&command, &words) {
        console.print(FILES)?;
        return Ok(Exit::Success);
    }
    let candidates = clap_complete::engine::complete(&mut command, words, index, None).unwrap_or_default();
    let mut out = String::new();
    for candidate in candidates {
        let value = candidate.get_value().to_string_lossy();
        // With nothing typed, flags would bury the names.
        if candidate.is_hide_set() || (value.starts_with('-') && !flags) || value.chars().any(is_hostile) {
            continue;
        }
        out.push_str(&value);
        if let Some(help) = candidate.get_help() {
            let help = help.to_string();
            out.push('\t');
            out.push_str(help.lines().next().unwrap_or_default());
        }
        out.push('\n');
    }
    console.print(&(out + NO_FILES))?;
    Ok(Exit::Success)
}

/// Whether the last word is, or belongs to, a flag whose value is a file or directory.
fn wants_path(command: &clap::Command, words: &[OsString]) -> bool {
    let [before @ .., last] = words else { return false };
    let last = last.to_string_lossy();
    let (flag, glued) = match last.split_once('=') {
        Some((flag, _)) => (flag.to_owned(), true),
        None => (before.last().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default(), false),
    };
    if !flag.starts_with('-') || (!glued && last.starts_with('-') && last.len() > 1) {
        return false;
    }
    let named = before.iter().find_map(|word| command.find_subcommand(word.to_str()?));
    let is_flag = |arg: &&Arg| {
        arg.get_long().is_some_and(|long| flag.strip_prefix("--") == Some(long))
            || arg.get_short().is_some_and(|short| flag.strip_prefix('-') == Some(short.to_string().as_str()))
    };
    named
        .unwrap_or(command)
        .get_arguments()
        .find(is_flag)
        .is_some_and(|arg| arg.get_action().takes_values() && arg.get_value_hint() == ValueHint::AnyPath)
}

/// Adds what completes an argument of a command. Arguments that several commands share have one name everywhere.
pub(super) fn values(command: &str, arg: Arg) -> Arg {
    match (command, arg.get_id().as_str()) {
        ("explain", "code") => arg.add(ArgValueCompleter::new(|current: &OsStr| {
            let typed = current.to_string_lossy();
            let pages = rules::ALL.iter().map(|rule| rule.info());
            let rules = pages
                .filter(|info| info.code.starts_with(&typed.to_uppercase()))
                .map(|info| CompletionCandidate::new(info.code).help(Some(info.name.into())));
            let others = Cause::ALL.iter().map(|cause| cause.as_str()).chain(Reason::words().iter().copied());
            rules.chain(others.filter(|word| word.starts_with(&*typed)).map(CompletionCandidate::new)).collect()
        })),
        ("resets", "tz" | "log_tz") => arg.add(ArgValueCompleter::new(|current: &OsStr| {
            candidates(current, jiff::tz::db().available().map(|name| name.as_str().to_owned()).collect())
        })),
        ("resets", "class") => arg.add(ArgValueCompleter::new(|current: &OsStr| {
            candidates(current, Class::ALL.map(|class| class.name().to_owned()).to_vec())
        })),
        ("resets", "by") => arg.add(ArgValueCompleter::new(|current: &OsStr| {
            candidates(current, ["hour", "day", "week", "10m", "30m"].map(str::to_owned).to_vec())
        })),
        ("debug-log", "level") => arg.add(ArgValueCompleter::new(|current: &OsStr| {
            let levels = ["trace", "debug", "info", "warning", "error", "critical", "off"];
            let current = current.to_string_lossy();
            // istioctl's syntax: LEVEL, or LOGGER:LEVEL, several with commas between them.
            let head = current.rfind([',', ':']).map_or("", |at| &current[..=at]);
            let all = levels.iter().map(|level| format!("{head}{level}"));
            all.filter(|value| value.starts_with(&*current)).map(CompletionCandidate::new).collect()
        })),
        ("help", "command") => arg.add(ArgValueCompleter::new(|current: &OsStr| {
            let command = super::command("kubectl meshaudit");
            let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
            candidates(current, shown.map(|command| command.get_name().to_owned()).collect())
        })),
        (_, "context") => arg.add(contexts()),
        (_, "namespace" | "istio_namespace") => arg.add(namespaces()),
        (_, "targets") => arg.add(targets()),
        _ => arg,
    }
}

/// Completes `--context`.
fn contexts() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let words = Words::typed();
        let contexts = kubeconfig_contexts(&words.kube.options(None)).unwrap_or_default();
        candidates(current, contexts)
    })
}

/// Completes `--namespace`.
fn namespaces() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| candidates(current, Words::typed().names(&[(NamesOf::Namespaces, "")])))
}

/// Completes targets: pods, and workloads with their kind.
fn targets() -> ArgValueCompleter {
    const KINDS: [(&str, WorkloadKind); 7] = [
        ("deploy/", WorkloadKind::Deployment),
        ("sts/", WorkloadKind::StatefulSet),
        ("ds/", WorkloadKind::DaemonSet),
        ("rs/", WorkloadKind::ReplicaSet),
        ("job/", WorkloadKind::Job),
        ("svc/", WorkloadKind::Service),
        ("gateway/", WorkloadKind::Gateway),
    ];
    ArgValueCompleter::new(|current: &OsStr| {
        let text = current.to_string_lossy();
        let wanted: Vec<(NamesOf, &'static str)> = match text.split_once('/') {
            Some(("pod" | "po" | "pods", _)) => vec![(NamesOf::Pods, "pod/")],
            Some(_) => KINDS
                .iter()
                .filter(|(prefix, _)| text.starts_with(prefix))
                .map(|(prefix, kind)| (NamesOf::Workloads(*kind), *prefix))
                .collect(),
            // The kinds that people name most; the others once their kind has been typed.
            None => std::iter::once((NamesOf::Pods, ""))
                .chain(KINDS[..3].iter().map(|(prefix, kind)| (NamesOf::Workloads(*kind), *prefix)))
                .collect(),
        };
        candidates(current, Words::typed().names(&wanted))
    })
}

fn candidates(current: &OsStr, values: Vec<String>) -> Vec<CompletionCandidate> {
    let current = current.to_string_lossy();
    values.into_iter().filter(|value| value.starts_with(&*current)).map(CompletionCandidate::new).collect()
}

/// The words around the one that is completed. A completer sees only its own, and which cluster and namespace are
/// meant stands in the others.
struct Words {
    kube: KubeArgs,
    namespace: Option<String>,
}

#[derive(Debug, Parser)]
struct Around {
    #[command(flatten)]
    kube: KubeArgs,
    #[arg(short = 'n', long)]
    namespace: Option<String>,
}

impl Words {
    /// Reads this process's own arguments, and passes over what it does not know.
    fn typed() -> Self {
        let mut known = vec![OsString::from("kubectl-meshaudit")];
        let mut words = std::env::args_os().skip(2);
        while let Some(word) = words.next() {
            let text = word.to_string_lossy().into_owned();
            let flag = text.split('=').next().unwrap_or_default();
            let taken =
                ["--context", "--kubeconfig", "--cluster", "--user", "--as", "--namespace", "-n"].contains(&flag);
            if !taken {
                continue;
            }
            let value = if text.contains('=') { None } else { words.next() };
            if text.contains('=') {
                known.push(word);
            } else if let Some(value) = value.filter(|value| !value.is_empty()) {
                known.extend([word, value]);
            }
        }
        let matches = <Around as clap::CommandFactory>::command().ignore_errors(true).get_matches_from(known);
        let around = Around::from_arg_matches(&matches).unwrap_or_else(|_| Around::parse_from(["kubectl-meshaudit"]));
        Self {
            kube: KubeArgs {
                non_interactive: true,
                request_timeout: DEADLINE,
                timeout: Some(Deadline::after(DEADLINE)),
                ..around.kube
            },
            namespace: around.namespace,
        }
    }

    /// Names from the API server; none where it does not answer in time.
    fn names(&self, wanted: &[(NamesOf, &'static str)]) -> Vec<String> {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
            return Vec::new();
        };
        let listing = async {
            let connection = connect(&self.kube.options(self.kube.context.first())).await.ok()?;
            let namespace = self.namespace.as_deref().unwrap_or(&connection.namespace);
            let connection = &connection;
            let lists = wanted.iter().map(|&(of, prefix)| async move {
                let names = connection.names(of, namespace).await.unwrap_or_default();
                names.into_iter().map(|name| format!("{prefix}{name}")).collect::<Vec<_>>()
            });
            Some(futures_util::future::join_all(lists).await.concat())
        };
        let names = runtime.block_on(async { tokio::time::timeout(DEADLINE, listing).await.ok().flatten() });
        runtime.shutdown_background();
        names.unwrap_or_default()
    }
}
