//! `explain`: the page of a rule, of a cause of `diagnose`, or of a reason of `verify`.

use clap::Args;

use super::console::Console;
use super::exit::Exit;
use super::failure::Failure;
use crate::audit::rules;
use crate::diagnose::Cause;
use crate::fix::verify::Reason;
use crate::report::diagnosis;

/// Print the page of a rule, of a cause that diagnose names, or of a reason that verify gives
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// A rule's code or name, e.g. MA001, a cause, e.g. connect_timeout, or a reason, e.g. not-connected; none lists them all
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

pub(super) fn run(args: &ExplainArgs, console: &Console) -> Result<Exit, Failure> {
    let Some(code) = &args.code else {
        console.print(&list(console))?;
        return Ok(Exit::Success);
    };
    if let Some(cause) = Cause::named(code) {
        console.print(&page(&diagnosis::page(cause), console))?;
        return Ok(Exit::Success);
    }
    if let Some((meaning, remedy)) = Reason::explained(code) {
        let text = format!("# {code}\n\nA reason of `verify`.\n\n## What it means\n{meaning}\n\n## Remedy\n{remedy}\n");
        console.print(&page(&text, console))?;
        return Ok(Exit::Success);
    }
    let Some(info) = rules::find(code) else {
        return Err(Failure::usage(format!("there is no rule, cause or reason {code:?}"))
            .hint("`kubectl meshaudit explain` lists them all"));
    };
    console.print(&page(info.page, console))?;
    Ok(Exit::Success)
}

/// All pages: rules, then causes of `diagnose`, then reasons of `verify`.
fn list(console: &Console) -> String {
    let heading = |text: &str| if console.columns.is_some() { console.out.strong(text) + "\n" } else { String::new() };
    let rules: String = rules::ALL
        .iter()
        .map(|rule| rule.info())
        .map(|info| format!("{}  {:<7}  {}\n", info.code, info.severity.as_str(), info.name))
        .collect();
    let causes: String = Cause::ALL
        .iter()
        .map(|cause| format!("{:<32} {}\n", cause.as_str(), diagnosis::severity(cause.severity())))
        .collect();
    let reasons: String = Reason::words().iter().map(|word| format!("{word}\n")).collect();
    format!(
        "{}{rules}\n{}{causes}\n{}{reasons}",
        heading("Rules"),
        heading("Causes that diagnose names"),
        heading("Reasons that verify gives")
    )
}

/// The page as it is, with its headings and examples standing out on a terminal.
fn page(text: &str, console: &Console) -> String {
    let mut out = String::new();
    let mut example = false;
    for line in text.lines() {
        if line.starts_with("```") {
            example = !example;
            if console.columns.is_some() {
                continue;
            }
        }
        let shown = match line.strip_prefix("## ").or_else(|| line.strip_prefix("# ")) {
            Some(heading) if !example && console.columns.is_some() => console.out.strong(heading),
            _ if example && console.columns.is_some() => format!("    {line}"),
            _ => match console.columns {
                Some(columns) => crate::report::table::wrap(line, columns.min(100), 0),
                None => line.to_owned(),
            },
        };
        out.push_str(&shown);
        out.push('\n');
    }
    out
}
