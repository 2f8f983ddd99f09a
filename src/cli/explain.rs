//! `explain`: the page of a rule, or of a cause of `diagnose`.

use clap::Args;

use super::console::Console;
use super::exit::Exit;
use super::failure::Failure;
use crate::audit::rules;
use crate::diagnose::Cause;
use crate::report::diagnosis;

/// Print the page of a rule, or of a cause that diagnose names
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// A rule's code or name, e.g. MA001, or a cause, e.g. connect_timeout; none lists them all
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

pub(super) fn run(args: &ExplainArgs, console: &Console) -> Result<Exit, Failure> {
    let Some(code) = &args.code else {
        let list: String = rules::ALL
            .iter()
            .map(|rule| rule.info())
            .map(|info| format!("{}  {:<8} {}\n", info.code, info.severity, info.name))
            .collect();
        let causes: String = Cause::ALL
            .iter()
            .map(|cause| format!("{:<32} {}\n", cause.as_str(), diagnosis::severity(cause.severity())))
            .collect();
        console.print(&format!("{list}\n{causes}"))?;
        return Ok(Exit::Success);
    };
    if let Some(cause) = Cause::named(code) {
        console.print(&page(&diagnosis::page(cause), console))?;
        return Ok(Exit::Success);
    }
    let Some(info) = rules::find(code) else {
        return Err(Failure::usage(format!("there is no rule {code:?}"))
            .hint("`kubectl meshaudit explain` lists the rules there are"));
    };
    console.print(&page(info.page, console))?;
    Ok(Exit::Success)
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
