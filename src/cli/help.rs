//! What help shows and in which order: what a command does, examples, its own flags, exit codes. The flags that say
//! which cluster and as whom are the same for all; `-h` leaves them to `options`, as kubectl does.

use std::borrow::Cow;
use std::io::Write;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Command, ValueHint};

use super::console::Console;
use super::exit::{self, Exit};
use super::failure::Failure;
use super::kube_args::KubeArgs;
use super::{GlobalArgs, complete};
use crate::report::escape::harmless;
use crate::report::table;

/// Headings of flags that every command shares.
const SHARED: [&str; 1] = ["Cluster"];

/// Names of values that are files or directories.
const PATHS: [&str; 4] = ["PATH", "FILE", "DIR", "DIR|FILE.tar.gz"];

/// Examples first.
const TEMPLATE: &str = "{about-with-newline}\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

/// Where a command says more than its help.
const LAST: &str =
    "`kubectl meshaudit options` lists the flags that say which cluster, and as whom; `--help` says more.";

/// Puts every command's help into one order, and says of each flag what completes it.
pub(super) fn arrange(command: Command) -> Command {
    command.help_template(TEMPLATE).mut_subcommands(|command| {
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let (examples, rest) = match after.split_once("\n\n") {
            Some((examples, rest)) => (examples.to_owned(), format!("{rest}\n\n{LAST}")),
            None if after.is_empty() => (String::new(), LAST.to_owned()),
            None => (after, LAST.to_owned()),
        };
        let examples = unbroken(&examples);
        let name = command.get_name().to_owned();
        let shares = command.get_arguments().any(|arg| arg.get_help_heading().is_some_and(|of| SHARED.contains(&of)));
        let rest = if shares { rest } else { rest.trim_end_matches(LAST).trim_end().to_owned() };
        let command = if examples.is_empty() { command } else { command.before_help(examples) };
        command.help_template(TEMPLATE).after_help(rest).mut_args(|arg| {
            let shared = arg.get_help_heading().is_some_and(|heading| SHARED.contains(&heading));
            let path =
                arg.get_value_names().is_some_and(|names| names.iter().any(|name| PATHS.contains(&name.as_str())));
            let arg = if shared { arg.hide_short_help(true) } else { arg };
            let arg = if path { arg.value_hint(ValueHint::AnyPath) } else { arg };
            complete::values(&name, arg)
        })
    })
}

/// Examples that an 80-column terminal does not break: where one would not fit, what is said of each stands above it.
fn unbroken(examples: &str) -> String {
    const COLUMNS: usize = 80;
    if examples.lines().all(|line| table::width(line) <= COLUMNS) {
        return examples.to_owned();
    }
    let mut out = Vec::new();
    for line in examples.lines() {
        let text = line.trim_start();
        if text.len() == line.len() {
            out.push(line.to_owned());
            continue;
        }
        let (example, said) = text.split_once("   ").unwrap_or((text, ""));
        if !said.is_empty() {
            out.push(format!("  # {}", said.trim_start()));
        }
        out.push(format!("  {}", table::command(example, COLUMNS, 2)));
    }
    out.join("\n")
}

/// Prints what clap has to say instead of running a command: help, the version, an error. Nothing asked for is help
/// asked for.
pub(super) fn answer(mut error: clap::Error, name: &'static str) -> ExitCode {
    // Into a closed pipe is no failure.
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = super::command(name).print_help();
        return ExitCode::SUCCESS;
    }
    name_ours(&mut error);
    // What was typed may come from anywhere, such as a variable of a script.
    let text = error.render().to_string();
    let _ = match harmless(&text, false) {
        Cow::Borrowed(_) => error.print(),
        Cow::Owned(text) => std::io::stderr().write_all(text.as_bytes()),
    };
    ExitCode::from(if error.use_stderr() { exit::USAGE } else { 0 })
}

/// Flags of istioctl's that are not taken over (docs/istioctl.md), and what to write here.
const OF_ISTIOCTL: [(&str, &str); 4] = [
    ("-f", "istioctl's '-f FILE' is '--from FILE' here"),
    ("-c", "istioctl's '-c' is '--context' or '--kubeconfig' here"),
    ("-r", "istioctl's '--reset' is 'debug-log --off' here: each logger gets the level that it had"),
    ("--reset", "istioctl's '--reset' is 'debug-log --off' here: each logger gets the level that it had"),
];

/// Formats of kubectl's that are templates in languages of its own.
const TEMPLATES: [&str; 4] = ["jsonpath", "custom-columns", "go-template", "template"];

/// In place of the flag that looks alike, the one that does the same; and no flag or command that hardly looks alike.
fn name_ours(error: &mut clap::Error) {
    let word = |error: &clap::Error, kind| match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.clone()),
        Some(ContextValue::Strings(words)) => words.first().cloned(),
        _ => None,
    };
    let suggest = |error: &mut clap::Error, what: &'static str| {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![what.into()]));
    };
    if let Some(value) = word(error, ContextKind::InvalidValue)
        && word(error, ContextKind::InvalidArg).is_some_and(|flag| flag.starts_with("--output"))
        && TEMPLATES.iter().any(|template| value.starts_with(template))
    {
        error.remove(ContextKind::SuggestedValue);
        suggest(error, "kubectl's templates are not read here: '-o json' and jq do the same");
        return;
    }
    let of = [
        (ContextKind::InvalidArg, ContextKind::SuggestedArg),
        (ContextKind::InvalidSubcommand, ContextKind::SuggestedSubcommand),
    ];
    for (given, suggested) in of {
        let Some(given) = word(error, given) else { continue };
        if let Some((_, ours)) = OF_ISTIOCTL.iter().find(|(known, _)| *known == given) {
            error.remove(suggested);
            error.remove(ContextKind::Usage);
            suggest(error, ours);
        } else if word(error, suggested).is_some_and(|suggested| !looks_alike(&given, &suggested)) {
            error.remove(suggested);
            error.remove(ContextKind::Usage);
        }
    }
}

/// Whether one word may be the other with some letters wrong.
fn looks_alike(given: &str, meant: &str) -> bool {
    strsim::damerau_levenshtein(given, meant) * 3 <= meant.len().max(4)
}

/// Help of a command
#[derive(Debug, Args)]
pub(super) struct HelpArgs {
    /// The command; none lists them all
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

pub(super) fn run(args: &HelpArgs, name: &'static str, console: &Console) -> Result<Exit, Failure> {
    let words = [Some(name), args.command.as_deref(), Some("--help")];
    let help = match super::command(name).try_get_matches_from(words.into_iter().flatten()) {
        Err(help) if help.kind() == ErrorKind::DisplayHelp => help.render(),
        _ => {
            let wanted = args.command.as_deref().unwrap_or_default();
            return Err(Failure::usage(format!("there is no command {wanted:?}"))
                .hint(format!("`{name} help` lists the commands there are")));
        }
    };
    let text = if console.out.is_coloured() { help.ansi().to_string() } else { help.to_string() };
    console.print(&text)?;
    Ok(Exit::Success)
}

/// List the flags that every command takes: which cluster, as whom, and what is said
#[derive(Debug, Args)]
pub(super) struct OptionsArgs {}

pub(super) fn options(_: &OptionsArgs, name: &'static str, console: &Console) -> Result<Exit, Failure> {
    let command = KubeArgs::augment_args(GlobalArgs::augment_args(Command::new(name)))
        .disable_help_flag(true)
        .max_term_width(100)
        .help_template("Flags of every command that reads a cluster:\n\n{all-args}\n");
    let help = command.clone().render_help();
    let text = if console.out.is_coloured() { help.ansi().to_string() } else { help.to_string() };
    console.print(&text)?;
    Ok(Exit::Success)
}
