//! `convert`: an earlier `-o json` in another format.

use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use super::console::Console;
use super::exit::Exit;
use super::failure::Failure;
use super::given;
use crate::input::Until;
use crate::report::export::{self, ConvertError, Results};
use crate::system::Output;

/// Write an earlier -o json of timeouts, diagnose or verify in another format
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kubectl meshaudit timeouts -A -o json > audit.json
  kubectl meshaudit convert audit.json -o html --output-file audit.html
  kubectl meshaudit convert audit.json -o sarif > audit.sarif

Exit codes: 0 done, 2 usage, 4 it is no such document.")]
pub(super) struct ConvertArgs {
    /// The document; - is stdin
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// sarif, junit, markdown, html, csv or prometheus
    #[arg(short, long, value_name = "FORMAT", value_parser = format(), hide_possible_values = true)]
    output: export::Format,
    #[command(flatten)]
    to: OutputFileArgs,
}

/// The format of a name.
fn format() -> impl TypedValueParser<Value = export::Format> {
    let names = export::Format::ALL.map(export::Format::as_str);
    let named = |name: String| export::Format::ALL.into_iter().find(|format| format.as_str() == name);
    PossibleValuesParser::new(names).try_map(move |name| named(name).ok_or("no such format"))
}

/// Where a report goes.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct OutputFileArgs {
    /// Write the report into FILE, not to stdout
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    output_file: Option<PathBuf>,
}

impl OutputFileArgs {
    /// Writes a report to where it is wanted. A file is complete or not there: it is written beside its place first. What is
    /// there and is no file, as `/dev/stdout`, is written into.
    pub(super) fn put(&self, text: &str, console: &Console) -> Result<(), Failure> {
        self.put_with(|out| Ok(out.write_all(text.as_bytes())?), console)
    }

    /// The same for one that is written piece by piece.
    pub(super) fn put_with(
        &self,
        write: impl FnOnce(&mut dyn Write) -> Result<(), Failure>,
        console: &Console,
    ) -> Result<(), Failure> {
        let Some(file) = &self.output_file else { return console.print_with(write) };
        let cannot = |error: std::io::Error| {
            Failure::cannot_run(format!("cannot write {}: {error}", file.display())).hint("is the directory writable?")
        };
        let mut out = BufWriter::new(Output::to(file).map_err(cannot)?);
        write(&mut out)?;
        let written = out.into_inner().map_err(|error| cannot(error.into_error()))?;
        written.keep().map_err(cannot)?;
        console.note(&format!("Wrote {}", file.display()));
        Ok(())
    }
}

/// A document in another format.
pub(super) fn exported(document: &impl serde::Serialize, format: export::Format) -> Result<String, Failure> {
    let results = Results::of(serde_json::to_value(document)?)?;
    Ok(export::write(&results, format)?)
}

/// Beside a report in a step of GitHub Actions: annotations of its findings, for people who look at the run.
pub(super) fn annotate<T: serde::Serialize>(document: impl FnOnce() -> T, console: &Console) -> Result<(), Failure> {
    if std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true") {
        console.say(export::annotations(&Results::of(serde_json::to_value(document())?)?).trim_end());
    }
    Ok(())
}

pub(super) fn run(args: &ConvertArgs, console: &Console) -> Result<Exit, Failure> {
    let document = given::document(&args.file, Until::ITS_END)
        .map_err(|error| Failure::cannot_run(format!("cannot read {}: {error}", args.file.display())))?;
    let results = Results::read(document)?;
    args.to.put(&export::write(&results, args.output)?, console)?;
    Ok(Exit::Success)
}

impl From<ConvertError> for Failure {
    fn from(error: ConvertError) -> Self {
        Self::cannot_run(error.to_string())
    }
}
