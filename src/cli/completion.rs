//! `completion`: static scripts; and everything else that is generated from the definition of the command line.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use clap_complete::Shell;

use super::console::Console;
use super::exit::Exit;
use super::failure::Failure;
use crate::report::v1;

/// Print a completion script, or install kubectl's live completion
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  source <(kubectl-meshaudit completion bash)
  kubectl-meshaudit completion --install        kubectl_complete-meshaudit beside this binary")]
pub(super) struct CompletionArgs {
    /// bash, zsh, fish or powershell
    #[arg(value_name = "SHELL", required_unless_present = "install", hide_possible_values = true)]
    shell: Option<Shell>,
    /// Write kubectl_complete-meshaudit, which kubectl asks for live completion, into DIR (beside this binary, if not given)
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    install: Option<Option<PathBuf>>,
}

/// The companion that kubectl looks for on PATH.
const COMPANION: &str = include_str!("../../completions/kubectl_complete-meshaudit");
const COMPANION_NAME: &str = "kubectl_complete-meshaudit";

pub(super) fn run(args: &CompletionArgs, console: &Console) -> Result<Exit, Failure> {
    if let Some(directory) = &args.install {
        let directory = match directory {
            Some(directory) => directory.clone(),
            None => std::env::current_exe()
                .ok()
                .and_then(|path| Some(path.parent()?.to_path_buf()))
                .ok_or_else(|| Failure::cannot_run("cannot tell where this binary is; name a directory"))?,
        };
        let path = directory.join(COMPANION_NAME);
        install(&path).map_err(|error| {
            Failure::cannot_run(format!("cannot write {}: {error}", path.display()))
                .hint("name a directory on PATH that you may write to: completion --install DIR")
        })?;
        console.note(&format!("Wrote {}; kubectl finds it on PATH", path.display()));
        return Ok(Exit::Success);
    }
    if let Some(shell) = args.shell {
        console.print(&script(shell))?;
    }
    Ok(Exit::Success)
}

fn install(path: &std::path::Path) -> std::io::Result<()> {
    std::fs::write(path, COMPANION)?;
    crate::system::make_executable(path)
}

fn script(shell: Shell) -> String {
    let mut out = Vec::new();
    let name = "kubectl-meshaudit";
    clap_complete::generate(shell, &mut super::command(name), name, &mut out);
    let script = String::from_utf8_lossy(&out).into_owned();
    match shell {
        // clap_complete 4.6 writes the program's own hyphen in two ways, and its states and their names do not meet.
        Shell::Bash => script.replace("kubectl__subcmd__meshaudit", "kubectl__meshaudit"),
        _ => script,
    }
}

/// Print a generated file (for this project's own tests)
#[derive(Debug, Args)]
pub(super) struct GenerateArgs {
    /// Which
    #[arg(value_enum)]
    what: Generated,
    /// Which schema, or the command whose man page it is in place of the program's
    #[arg(value_name = "NAME", required_if_eq("what", "schema"))]
    name: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Generated {
    Man,
    Cli,
    /// The JSON Schema of a document, by its name under docs/schema.
    Schema,
}

pub(super) fn generate(args: &GenerateArgs, console: &Console) -> Result<Exit, Failure> {
    let text = match args.what {
        Generated::Man => man(args.name.as_deref())?,
        Generated::Cli => reference(),
        Generated::Schema => {
            let name = args.name.as_deref().unwrap_or_default();
            v1::schema(name).ok_or_else(|| Failure::usage(format!("there is no schema {name:?}")))??
        }
    };
    console.print(&text)?;
    Ok(Exit::Success)
}

/// The man page of the program or of one command.
fn man(of: Option<&str>) -> Result<String, Failure> {
    let mut all = super::command("kubectl-meshaudit").disable_help_flag(true);
    all.build();
    let command = match of {
        None => all,
        Some(name) => {
            let found = all.find_subcommand(name).cloned();
            let found = found.ok_or_else(|| Failure::usage(format!("there is no command {name:?}")))?;
            let (before, after) = (found.get_before_help().cloned(), found.get_after_help().cloned());
            // A man page has its examples behind its options.
            let rest = [before, after].into_iter().flatten().map(|text| text.to_string()).collect::<Vec<_>>();
            found.before_help("").after_help(rest.join("\n\n"))
        }
    };
    let mut out = Vec::new();
    clap_mangen::Man::new(command).render(&mut out)?;
    Ok(String::from_utf8_lossy(&out).into_owned())
}

/// The help of every command, for docs/cli.md.
fn reference() -> String {
    let mut command = super::command("kubectl meshaudit").term_width(100);
    command.build();
    let mut out =
        "# Command line\n\nGenerated from the program; `kubectl meshaudit COMMAND --help` says the same.\n".to_owned();
    let mut section = |heading: &str, command: &mut clap::Command| {
        let help: String =
            command.render_long_help().to_string().lines().map(|line| line.trim_end().to_owned() + "\n").collect();
        out.push_str(&format!("\n## {heading}\n\n```\n{}```\n", help));
    };
    section("kubectl meshaudit", &mut command);
    let names: Vec<String> =
        command.get_subcommands().filter(|sub| !sub.is_hide_set()).map(|sub| sub.get_name().to_owned()).collect();
    for name in names {
        if let Some(sub) = command.find_subcommand_mut(&name) {
            let mut sub = sub.clone();
            section(&format!("kubectl meshaudit {name}"), &mut sub);
        }
    }
    out
}
