//! `policy`: what is expected of a mesh, in a file; and the flag that names one.

pub(super) mod file;
mod init;

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::Zoned;

use super::console::Console;
use super::convert::OutputFileArgs;
use super::exit::Exit;
use super::failure::Failure;
use super::kube_args::SourceArgs;
use crate::audit::Policy;
use crate::audit::policy::unused;
use crate::input::{Until, open};
use crate::model::{Flag, MeshSnapshot};
use crate::report::look::count;

/// Write a policy from the mesh as it is, or check one
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kubectl meshaudit policy init -A > .meshaudit.yaml     the mesh as it is: what differs later is reported
  kubectl meshaudit policy check                         .meshaudit.yaml here
  kubectl meshaudit timeouts -A --policy ops/mesh.yaml   an audit by it

Exit codes: 0 done, 2 usage, or a mistake in the policy, 3 some proxies could not be read, 4 could not run.")]
pub(super) struct PolicyCommandArgs {
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
enum PolicyCommand {
    /// Write a policy by which the mesh as it is passes: what is wrong today is ignored for 90 days, what overrides the mesh is expected
    Init(Box<InitArgs>),
    /// Check a policy: mistakes, and what has run out
    Check(CheckArgs),
}

#[derive(Debug, Args)]
struct InitArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    to: OutputFileArgs,
}

#[derive(Debug, Args)]
struct CheckArgs {
    /// The policy; .meshaudit.yaml if not given, - is stdin
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// The same, as the other commands have it
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    policy: Option<PathBuf>,
}

/// Which policy an audit holds the mesh against.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Policy")]
pub(super) struct PolicyArgs {
    /// What is expected of the mesh; .meshaudit.yaml in the working directory, if there is one
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

/// The policy that counts where none is named.
const USUAL: &str = ".meshaudit.yaml";

/// The most that is read of a policy.
const MAX_POLICY: u64 = 1 << 20;

impl PolicyArgs {
    /// The policy, and a word on what has run out of it.
    pub(super) fn load(&self, console: &Console, until: Until) -> Result<Policy, Failure> {
        let file = match &self.policy {
            Some(file) => file.as_path(),
            None if Path::new(USUAL).is_file() => Path::new(USUAL),
            None => return Ok(Policy::default()),
        };
        let policy = load(file, until)?;
        mention_what_has_run_out(&policy, file, console);
        Ok(policy)
    }

    /// Says which parts of a policy mean nothing that was read.
    pub(super) fn mention_unused(&self, policy: &Policy, snapshot: &MeshSnapshot, console: &Console) {
        if self.policy.is_some() {
            unused(policy, snapshot).iter().for_each(|line| console.warn(&format!("policy: {line}")));
        }
    }

    /// The flag as it was given.
    pub(super) fn flag(&self) -> Option<Flag> {
        self.policy.as_ref().map(|file| Flag::new("--policy", file.to_string_lossy()))
    }
}

fn load(file: &Path, until: Until) -> Result<Policy, Failure> {
    let mut text = String::new();
    let read = open(file, until).and_then(|file| file.take(MAX_POLICY + 1).read_to_string(&mut text));
    let wrong = |what: String| {
        Failure::usage(format!("policy {}: {what}", file.display()))
            .hint("`kubectl meshaudit policy init` writes one to begin with")
    };
    read.map_err(|error| wrong(error.to_string()))?;
    if text.len() as u64 > MAX_POLICY {
        return Err(wrong(format!("larger than {} MiB", MAX_POLICY >> 20)));
    }
    let mut policy = file::parse(&text).map_err(|mistake| wrong(mistake.to_string()))?;
    policy.today = Some(Zoned::now().date());
    Ok(policy)
}

/// What has run out counts again, which would surprise without a word.
fn mention_what_has_run_out(policy: &Policy, file: &Path, console: &Console) -> usize {
    let Some(today) = policy.today else { return 0 };
    let mut found = 0;
    for (number, ignore) in (1..).zip(&policy.ignores).filter(|(_, ignore)| ignore.has_run_out(today)) {
        found += 1;
        let day = ignore.expires.map(|day| day.to_string()).unwrap_or_default();
        console.warn(&format!("policy {}: ignore {number} ran out on {day}, and counts no more", file.display()));
    }
    found
}

pub(super) async fn run(args: &PolicyCommandArgs, console: &Console) -> Result<Exit, Failure> {
    match &args.command {
        PolicyCommand::Init(args) => init::run(&args.source, &args.to, console).await,
        PolicyCommand::Check(args) => check(args, console),
    }
}

fn check(args: &CheckArgs, console: &Console) -> Result<Exit, Failure> {
    let file = args.file.as_deref().or(args.policy.as_deref()).unwrap_or(Path::new(USUAL));
    let policy = load(file, Until::ITS_END)?;
    let ran_out = mention_what_has_run_out(&policy, file, console);
    let ran_out = if ran_out == 0 { String::new() } else { format!(" ({ran_out} ran out)") };
    console.print(&format!(
        "{}: {}, {}{ran_out}, {}\n",
        crate::report::escape::escape(&file.to_string_lossy()),
        count(policy.expectations.len(), "expectation", "expectations"),
        count(policy.ignores.len(), "ignore", "ignores"),
        count(policy.severities.len(), "severity", "severities"),
    ))?;
    Ok(Exit::Success)
}
