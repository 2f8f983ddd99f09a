//! The command line: names, flags, dispatch. Flags only say what is wanted; the modules below do it.

mod baseline;
mod chosen;
mod clusters;
mod complete;
mod completion;
mod console;
mod convert;
mod debug_log;
mod diagnose;
mod diff;
mod exit;
mod explain;
mod failure;
mod fix;
mod given;
mod habits;
mod help;
mod incident;
mod interrupt;
mod kube_args;
mod leases;
mod moment;
mod policy;
mod resets;
mod serve;
mod snapshot;
mod stores;
mod timeouts;
mod verify;
mod version;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::model::Scope;
use crate::report::escape::escape;
use console::{ColorWhen, Console};
use exit::Exit;
use failure::{Failure, FailureKind};

/// Audits Envoy connect timeouts across an Istio mesh, and explains the connection resets they cause
#[derive(Debug, Parser)]
#[command(name = "kubectl-meshaudit", version = version::LONG, disable_help_subcommand = true, max_term_width = 100)]
#[command(before_help = "Something resets?  kubectl meshaudit diagnose -A --since 1h
Not yet?           kubectl meshaudit timeouts -A")]
struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct GlobalArgs {
    /// When to colour
    #[arg(
        long,
        value_name = "WHEN",
        global = true,
        value_enum,
        default_value_t,
        hide_possible_values = true,
        help = "When to colour: auto, always or never"
    )]
    color: ColorWhen,
    /// Only results and errors
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Say more; -vv shows each request
    #[arg(short, long, alias = "v", global = true, action = ArgAction::Count)]
    verbose: u8,
}

/// In the order in which an incident asks for them.
#[derive(Debug, Subcommand)]
enum Command {
    Resets(Box<resets::ResetsArgs>),
    #[command(name = "debug-log")]
    DebugLog(Box<debug_log::DebugLogArgs>),
    Diagnose(Box<diagnose::DiagnoseArgs>),
    Clusters(Box<clusters::ClustersArgs>),
    Timeouts(Box<timeouts::TimeoutsArgs>),
    Fix(Box<fix::FixArgs>),
    Verify(Box<verify::VerifyArgs>),
    Snapshot(Box<snapshot::SnapshotArgs>),
    Incident(Box<incident::IncidentArgs>),
    Diff(Box<diff::DiffArgs>),
    Convert(convert::ConvertArgs),
    Policy(policy::PolicyCommandArgs),
    Serve(Box<serve::ServeArgs>),
    Explain(explain::ExplainArgs),
    Version(Box<version::VersionArgs>),
    Completion(completion::CompletionArgs),
    Options(help::OptionsArgs),
    Help(help::HelpArgs),
    #[command(name = "__complete", hide = true)]
    Complete(complete::CompleteArgs),
    #[command(name = "__generate", hide = true)]
    Generate(completion::GenerateArgs),
}

impl Command {
    /// What the commands that this one prints need to mean the same cluster and the same proxies.
    fn scope(&self) -> Scope {
        match self {
            Self::Resets(args) => args.scope(),
            Self::DebugLog(args) => args.scope(),
            Self::Diagnose(args) => args.live.scope(),
            Self::Clusters(args) => args.source.scope(),
            Self::Timeouts(args) => args.source.scope(),
            Self::Fix(args) => args.source.scope(),
            Self::Verify(args) => args.source.scope(),
            Self::Snapshot(args) => args.source.scope(),
            Self::Incident(args) => args.scope(),
            Self::Serve(args) => args.source.scope(),
            Self::Version(args) => Scope { cluster: args.kube.flags(), ..Scope::default() },
            // Their printed commands carry their scope themselves.
            Self::Diff(_)
            | Self::Policy(_)
            | Self::Convert(_)
            | Self::Explain(_)
            | Self::Completion(_)
            | Self::Options(_)
            | Self::Help(_)
            | Self::Complete(_)
            | Self::Generate(_) => Scope::default(),
        }
    }
}

/// Runs one command line.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let name = display_name(args.first().map_or(OsStr::new(""), OsString::as_os_str), std::env::var_os("_").as_deref());
    let mut definition = grammar(name);
    definition.build();
    let args = habits::in_claps_terms(args, &definition);
    let matches = definition.try_get_matches_from(&args).or_else(|_| command(name).try_get_matches_from(&args));
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => return help::answer(error, name),
    };
    let console = Console::new(cli.global.color, cli.global.quiet, cli.global.verbose, cli.command.scope());
    trace(cli.global.verbose);
    let outcome = match cli.command {
        Command::Timeouts(args) => block_on(timeouts::run(&args, &console)),
        Command::Clusters(args) => block_on(clusters::run(&args, &console)),
        Command::Diagnose(args) => block_on(diagnose::run(&args, &console)),
        Command::Resets(args) => block_on(resets::run(&args, &console)),
        Command::Fix(args) => block_on(fix::run(&args, &console)),
        Command::Verify(args) => block_on(verify::run(&args, &console)),
        Command::Snapshot(args) => block_on(snapshot::run(&args, &console)),
        Command::Serve(args) => block_on(serve::run(&args, &console)),
        Command::Incident(args) => block_on(incident::run(&args, &console)),
        Command::DebugLog(args) => block_on(debug_log::run(&args, &console)),
        Command::Diff(args) => block_on(diff::run(&args, &console)),
        Command::Convert(args) => convert::run(&args, &console),
        Command::Policy(args) => block_on(policy::run(&args, &console)),
        Command::Explain(args) => explain::run(&args, &console),
        Command::Version(args) => block_on(version::run(&args, &console)),
        Command::Completion(args) => completion::run(&args, &console),
        Command::Options(args) => help::options(&args, name, &console),
        Command::Help(args) => help::run(&args, name, &console),
        Command::Complete(args) => complete::run(&args, &console),
        Command::Generate(args) => completion::generate(&args, &console),
    };
    match outcome {
        // What was read was shown; that it is not all is what the code says.
        Ok(_) if interrupt::happened() => ExitCode::from(Exit::Interrupted.code()),
        Err(failure) if interrupt::happened() && failure.kind != FailureKind::ClosedPipe => {
            console.fail(&failure);
            ExitCode::from(Exit::Interrupted.code())
        }
        Ok(exit) => ExitCode::from(exit.code()),
        Err(failure) => match failure.kind {
            FailureKind::ClosedPipe => ExitCode::SUCCESS,
            FailureKind::Usage => {
                console.fail(&failure);
                ExitCode::from(exit::USAGE)
            }
            FailureKind::CannotRun => {
                console.fail(&failure);
                ExitCode::from(exit::CANNOT_RUN)
            }
        },
    }
}

/// What a command line may be. A flag given twice counts as given last, as kubectl has it.
fn grammar(name: &'static str) -> clap::Command {
    Cli::command().bin_name(name).args_override_self(true)
}

/// The same with its help in order, which takes as long again and is seldom asked for.
fn command(name: &'static str) -> clap::Command {
    help::arrange(grammar(name))
}

/// The name to show in help. kubectl runs the plugin by its whole path and leaves the shell's `_`, which names
/// kubectl, in the environment; a user types the plugin's own name.
fn display_name(program: &OsStr, underscore: Option<&OsStr>) -> &'static str {
    let file = |path: &OsStr| Path::new(path).file_stem().map(OsStr::to_os_string);
    let typed = underscore.and_then(file);
    let by_name = Path::new(program).components().count() == 1;
    match typed.as_deref().and_then(OsStr::to_str) {
        Some("kubectl") => "kubectl meshaudit",
        Some("kubectl-meshaudit") => "kubectl-meshaudit",
        _ if by_name => "kubectl-meshaudit",
        _ => "kubectl meshaudit",
    }
}

fn block_on(work: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::cannot_run(format!("cannot start: {error}")))?;
    let outcome = runtime.block_on(work);
    // Tunnels that hang are not waited for.
    runtime.shutdown_background();
    outcome
}

/// Shows each request with `-vv`, one line each. The libraries' own events are left out: they say nothing of what was
/// asked, and kube's show whole answers that it cannot decode.
fn trace(verbose: u8) {
    if verbose < 2 {
        return;
    }
    let filter = tracing_subscriber::EnvFilter::new("off,meshaudit=debug");
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Requests).with_ansi(false);
    let _ = lines.without_time().with_level(false).with_target(false).try_init();
}

/// Where lines of `-vv` go, each of which comes as a whole.
struct Requests;

impl std::io::Write for Requests {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let text = escape(text.strip_suffix('\n').unwrap_or(&text));
        std::io::stderr().write_all(format!("{text}\n").as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        command("kubectl meshaudit").debug_assert();
    }

    #[test]
    fn help_shows_the_name_that_was_typed() {
        let name =
            |program: &str, underscore: Option<&str>| display_name(OsStr::new(program), underscore.map(OsStr::new));
        assert_eq!(name("/usr/local/bin/kubectl-meshaudit", Some("/usr/bin/kubectl")), "kubectl meshaudit");
        assert_eq!(name("kubectl-meshaudit", Some("/usr/local/bin/kubectl-meshaudit")), "kubectl-meshaudit");
        assert_eq!(name("kubectl-meshaudit", None), "kubectl-meshaudit");
        assert_eq!(name("/opt/krew/bin/kubectl-meshaudit", None), "kubectl meshaudit");
    }
}
