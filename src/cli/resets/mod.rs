//! `resets`: connection resets by service and time, and whether a change helped.

mod inputs;
mod request_counts;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::decode::app_log::{ReaderOptions, TimeContext, parse_timestamp};
use crate::model::parse_duration;
use crate::report::resets::{Paint, ResetsReport, chart, csv, html, markdown, svg, table};
use crate::resets::{Buckets, By, Class, HOUR, Mark, Patterns, Question, Series, compare_marks};

/// How the report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ResetsOutput {
    /// A chart for the terminal, with what was found.
    Chart,
    /// Services by time.
    Table,
    /// The same, with every service.
    Wide,
    /// One object, `kind: Resets`.
    Json,
    /// The same as YAML.
    Yaml,
    /// One line for each service and time.
    Csv,
    /// For a ticket.
    Markdown,
    /// A picture.
    Svg,
    /// One page with the picture and the numbers.
    Html,
}

/// Counts lost connections by service and time, and compares before and after a change.
#[derive(Args, Clone, Debug)]
pub struct ResetsArgs {
    /// Log files, directories with them, or - for standard input; compressed ones too
    #[arg(long, value_name = "PATH")]
    pub from: Vec<PathBuf>,

    /// Length of the columns: day, hour, or a length that divides a day, such as 10m
    #[arg(long, default_value = "day", value_name = "LENGTH")]
    pub by: By,

    /// Time zone of the days and hours, as an IANA name
    #[arg(long, default_value = "UTC", value_name = "ZONE")]
    pub tz: String,

    /// Time zone of log timestamps that name none
    #[arg(long, default_value = "UTC", value_name = "ZONE")]
    pub log_tz: String,

    /// Leave out what is older: a moment, or a length of time before now, such as 36h or 30d
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,

    /// Leave out what is younger: a moment, or a length of time before now
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,

    /// Show the services with the most resets, and sum up the others; 0 shows all
    #[arg(long, default_value_t = 8, value_name = "N")]
    pub top: usize,

    /// Count only this service (repeatable)
    #[arg(long, value_name = "NAME")]
    pub service: Vec<String>,

    /// The JSON field that names the service, as a path with points
    #[arg(long, value_name = "FIELD")]
    pub service_field: Option<String>,

    /// Count only this class of resets (repeatable); docs/resets.md has the table
    #[arg(long, value_name = "CLASS")]
    pub class: Vec<Class>,

    /// Count records that match this regular expression too (repeatable)
    #[arg(long, value_name = "REGEX")]
    pub pattern: Vec<String>,

    /// A moment at which something was changed, with its name: draws it, and compares before and after (repeatable)
    #[arg(long, value_name = "TIME=LABEL")]
    pub mark: Vec<String>,
}

/// What is wrong with the arguments.
#[derive(Debug, thiserror::Error)]
pub enum ArgumentError {
    /// A zone that the database does not have.
    #[error("{0:?} is no time zone; use an IANA name such as Europe/Berlin, or UTC")]
    Zone(String),
    /// Neither a moment nor a length of time.
    #[error(
        "{text:?} is no time for {option}; use 2020-07-08, 2020-07-08T20:00-07:00, or a length before now such as 36h or 30d"
    )]
    Time {
        /// The option.
        option: &'static str,
        /// What was given.
        text: String,
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
struct Plan {
    question: Question,
    options: ReaderOptions,
    now: Timestamp,
}

impl ResetsArgs {
    fn plan(&self, now: Timestamp) -> Result<Plan, ArgumentError> {
        let zone = |name: &String| TimeZone::get(name).map_err(|_| ArgumentError::Zone(name.clone()));
        let (tz, log_tz) = (zone(&self.tz)?, zone(&self.log_tz)?);
        // What people type is in the zone that they look at.
        let typed = TimeContext { zone: tz.clone(), now };
        let time = |option, text: &Option<String>| text.as_ref().map(|text| moment(option, text, &typed)).transpose();
        let (since, until) = (time("--since", &self.since)?, time("--until", &self.until)?);
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            return Err(ArgumentError::Window { since, until });
        }
        let mut marks = self
            .mark
            .iter()
            .map(|mark| {
                let (at, label) = mark.split_once('=').unwrap_or((mark, ""));
                Ok(Mark { at: moment("--mark", at, &typed)?, label: label.trim().to_owned() })
            })
            .collect::<Result<Vec<_>, ArgumentError>>()?;
        marks.sort_by_key(|mark| mark.at);
        Ok(Plan {
            question: Question {
                patterns: Patterns::new(&self.class, &self.pattern)?,
                buckets: Buckets { by: self.by, zone: tz },
                marks,
                services: self.service.clone(),
                since,
                until,
            },
            options: ReaderOptions {
                time: TimeContext { zone: log_tz, now },
                service_field: self.service_field.clone(),
            },
            now,
        })
    }
}

/// A moment, a day, or a length of time before now.
fn moment(option: &'static str, text: &str, typed: &TimeContext) -> Result<Timestamp, ArgumentError> {
    let text = text.trim();
    let wrong = || ArgumentError::Time { option, text: text.to_owned() };
    if let Some(found) = parse_timestamp(text, typed) {
        return Ok(found.at);
    }
    if let Ok(day) = text.parse::<jiff::civil::Date>() {
        return Ok(day.to_zoned(typed.zone.clone()).map_err(|_| wrong())?.timestamp());
    }
    let length = match text.strip_suffix('d').map(str::parse::<i64>) {
        Some(Ok(days)) => {
            days.checked_mul(24).filter(|hours| (0..1_000_000).contains(hours)).map(SignedDuration::from_hours)
        }
        _ => parse_duration(text).ok().and_then(|length| SignedDuration::try_from(length).ok()),
    };
    typed.now.checked_sub(length.ok_or_else(wrong)?).map_err(|_| wrong())
}

/// temporary
pub fn run(
    args: &ResetsArgs,
    output: ResetsOutput,
    width: usize,
    colour: bool,
) -> Result<String, Box<dyn std::error::Error>> {
    let Plan { question, options, now } = args.plan(Timestamp::now())?;
    let inputs = inputs::expand(&args.from)?;
    let (tally, mut sources) = inputs::count(&inputs, &question, &options);
    sources.slot_seconds = HOUR;
    sources.log_zone = args.log_tz.clone();
    let comparisons = compare_marks(&tally, &question, sources.slot_seconds);
    let top = if output == ResetsOutput::Wide { 0 } else { args.top };
    let series = Series::build(&tally, &question, top, now)?;
    let report = ResetsReport::new(&tally, &question, &series, &comparisons, sources);
    Ok(match output {
        ResetsOutput::Chart => chart(&report, width, Paint { colour }),
        ResetsOutput::Table | ResetsOutput::Wide => table(&report, Some(width)),
        ResetsOutput::Json => crate::report::resets::json(&report)?,
        ResetsOutput::Yaml => String::new(),
        ResetsOutput::Csv => csv(&report)?,
        ResetsOutput::Markdown => markdown(&report),
        ResetsOutput::Svg => svg(&report)?,
        ResetsOutput::Html => html(&report)?,
    })
}
