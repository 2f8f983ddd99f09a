//! VictoriaLogs: LogsQL over `/select/logsql/query` (docs.victoriametrics.com/victorialogs/logsql, …/querying).
//!
//! Rows come in no order, so a stretch of time that holds a page at most is asked for and put in order here.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::ask::{Ask, Condition, Wanted};
use super::record::Record;
use super::slices::Slices;
use super::{Group, LogStore, PAGE, Page, StoreError};
use crate::reach::{Web, WebError, WebRequest};

const NAME: &str = "VictoriaLogs";
/// Where its API is.
const QUERY: &str = "/select/logsql/query";
/// A query that takes this long is about enough time to ask for at once.
const LONG: Duration = Duration::from_secs(4);
/// Records of a sample.
const SAMPLE: usize = 200;

/// A VictoriaLogs server, or a cluster's vlselect.
pub struct VictoriaLogs<'c> {
    web: Web<'c>,
    slices: Slices,
}

impl<'c> VictoriaLogs<'c> {
    /// At this place.
    #[must_use]
    pub fn new(web: Web<'c>) -> Self {
        Self { web, slices: Slices::default() }
    }

    async fn rows(&self, query: &str) -> Result<Vec<Map<String, Value>>, StoreError> {
        let body = self.web.bytes(&WebRequest::form(QUERY, &[("query", query)])).await.map_err(refused)?;
        let rows = body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        rows.map(|line| {
            serde_json::from_slice(line).map_err(|_| StoreError::Foreign {
                store: NAME,
                message: "a row of its answer is no JSON object".to_owned(),
            })
        })
        .collect()
    }
}

/// A question that it does not understand.
fn refused(error: WebError) -> StoreError {
    match error {
        WebError::Status { code: 400 | 422, text, .. } => StoreError::Refused { store: NAME, message: text },
        WebError::Status { code: 404, text, .. } => {
            StoreError::Foreign { store: NAME, message: format!("{QUERY} is not there ({text})") }
        }
        error => error.into(),
    }
}

/// Quotes a text: LogsQL's strings are Go's, and JSON's are among them.
fn quote(text: &str) -> String {
    Value::from(text).to_string()
}

fn condition(one: &Condition, text: &str) -> String {
    let list = |values: &[String]| values.iter().map(|value| quote(value)).collect::<Vec<_>>().join(",");
    match one {
        Condition::Is(field, values) => format!("{}:in({})", quote(field), list(values)),
        Condition::IsNot(field, values) => format!("!{}:in({})", quote(field), list(values)),
        Condition::Begins(field, values) => {
            let each = values.iter().map(|value| format!("{}:={}*", quote(field), quote(value)));
            format!("({})", each.collect::<Vec<_>>().join(" or "))
        }
        Condition::Workload(field, names) => {
            condition(&Condition::Begins(field.clone(), Condition::beginnings(names)), text)
        }
        Condition::Says(word) => format!("{text}:{}", quote(word)),
        Condition::Has(field) => format!("{}:*", quote(field)),
        Condition::HasNot(field) => format!("{}:\"\"", quote(field)),
        Condition::Any(all) => {
            format!("({})", all.iter().map(|one| condition(one, text)).collect::<Vec<_>>().join(" or "))
        }
        Condition::All(all) => {
            format!("({})", all.iter().map(|one| condition(one, text)).collect::<Vec<_>>().join(" "))
        }
    }
}

/// What selects records of this stretch.
fn filter(ask: &Ask, from: Timestamp, until: Timestamp) -> String {
    let mut parts = vec![format!("_time:[{from}, {until})")];
    parts.extend(ask.query.as_ref().map(|query| format!("({query})")));
    let text = text(ask);
    parts.extend(ask.conditions.iter().map(|one| condition(one, &text)));
    parts.join(" ")
}

/// What is searched for words: the text, or all fields.
fn text(ask: &Ask) -> String {
    if ask.fields.structured { "*".to_owned() } else { quote(&ask.fields.text) }
}

fn wanted(ask: &Ask, wanted: &Wanted) -> String {
    let field = text(ask);
    match wanted {
        Wanted::All => String::new(),
        Wanted::Words(words) => format!(" {field}:~{}", quote(&words.regex())),
        Wanted::Without(phrase) => format!(" !{field}:{}", quote(phrase)),
        Wanted::Around(spans) => {
            let mut by_source: BTreeMap<&[String], Vec<String>> = BTreeMap::new();
            for span in spans {
                let times = by_source.entry(&span.values).or_default();
                times.push(format!("_time:[{}, {})", span.from, span.until));
            }
            let each = by_source.into_iter().map(|(values, times)| {
                let of = ask.fields.groups().into_iter().zip(values);
                let parts = of.map(|(field, value)| format!("{}:={}", quote(field), quote(value)));
                format!("({} ({}))", parts.collect::<Vec<_>>().join(" "), times.join(" or "))
            });
            format!(" ({})", each.collect::<Vec<_>>().join(" or "))
        }
    }
}

fn time(row: &Map<String, Value>, name: &str) -> Option<Timestamp> {
    row.get(name)?.as_str()?.parse().ok()
}

fn records(rows: Vec<Map<String, Value>>) -> Result<Vec<Record>, StoreError> {
    let foreign = || StoreError::Foreign { store: NAME, message: "a row has no _time".to_owned() };
    let each = rows.into_iter().enumerate().map(|(order, fields)| {
        let time = time(&fields, "_time").ok_or_else(foreign)?;
        Ok(Record { time, order: order as u64, fields })
    });
    let mut records = each.collect::<Result<Vec<_>, StoreError>>()?;
    records.sort_by_key(|record| (record.time, record.order));
    Ok(records)
}

impl LogStore for VictoriaLogs<'_> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn sample<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<Vec<Record>, StoreError>> {
        Box::pin(async move {
            let query = format!("{} | limit {SAMPLE}", filter(ask, ask.since, ask.until));
            records(self.rows(&query).await?)
        })
    }

    fn spans_at_once(&self) -> usize {
        // A query has 16 KiB at most (`-search.maxQueryLen`).
        50
    }

    fn count<'a>(&'a self, ask: &'a Ask, step: i64) -> BoxFuture<'a, Result<Vec<Group>, StoreError>> {
        Box::pin(async move {
            let names = ask.fields.groups();
            let by: String = names.iter().map(|name| format!("{}, ", quote(name))).collect();
            let query = format!(
                "{} | stats by ({by}_time:{step}s) count() ma_count, min(_time) ma_first, max(_time) ma_last",
                filter(ask, ask.since, ask.until)
            );
            let foreign = || StoreError::Foreign { store: NAME, message: "a count has no number".to_owned() };
            let each = self.rows(&query).await?.into_iter().map(|row| {
                let text = |name: &str| row.get(name).and_then(Value::as_str);
                let count: u64 = text("ma_count").and_then(|count| count.parse().ok()).ok_or_else(foreign)?;
                Ok(Group {
                    values: names.iter().map(|name| text(name).unwrap_or_default().to_owned()).collect(),
                    start: time(&row, "_time").ok_or_else(foreign)?.as_second(),
                    count,
                    seen: time(&row, "ma_first").zip(time(&row, "ma_last")),
                })
            });
            each.filter(|group| group.as_ref().map_or(true, |group| group.count > 0)).collect()
        })
    }

    fn page<'a>(&'a self, ask: &'a Ask, what: &'a Wanted, from: Timestamp) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(async move {
            let (mut from, until) = (from, what.until(ask));
            if let Wanted::Around(_) = what {
                let query = format!("{}{}", filter(ask, from, until), wanted(ask, what));
                return Ok(Page { records: records(self.rows(&query).await?)?, next: None });
            }
            loop {
                let end = self.slices.end(from, until);
                let query = format!("{}{} | limit {}", filter(ask, from, end), wanted(ask, what), PAGE + 1);
                let began = Instant::now();
                let mut rows = match self.rows(&query).await {
                    // Longer than a query may take (`-search.maxQueryDuration`), or than an answer may be awaited.
                    Err(StoreError::Web(
                        WebError::Status { code: 500..=599, .. } | WebError::Stalled(..) | WebError::Cut(..),
                    )) if self.slices.halve() => continue,
                    outcome => outcome?,
                };
                if rows.len() > PAGE {
                    if self.slices.halve() {
                        continue;
                    }
                    rows = self.rows(&format!("{}{}", filter(ask, from, end), wanted(ask, what))).await?;
                }
                if began.elapsed() < LONG {
                    self.slices.held(rows.len(), PAGE);
                }
                if !rows.is_empty() || end >= until {
                    return Ok(Page { records: records(rows)?, next: (end < until).then_some(end) });
                }
                from = end;
            }
        })
    }
}
