//! Splunk: searches by `/services/search/v2/jobs/export`, which streams one JSON object a line
//! (docs.splunk.com, REST API Reference, Search endpoints).
//!
//! Events come youngest first, so a stretch of time that holds a page at most is asked for and put in order here.

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::ask::{Ask, Condition, Wanted, Words};
use super::record::Record;
use super::slices::Slices;
use super::tokens::{Part, parts};
use super::{Group, LogStore, PAGE, Page, StoreError};
use crate::reach::{Web, WebError, WebRequest};

const NAME: &str = "Splunk";
const EXPORT: &str = "/services/search/v2/jobs/export";
const SAMPLE: usize = 200;

/// A Splunk search head's management port.
pub struct Splunk<'c> {
    web: Web<'c>,
    slices: Slices,
}

impl<'c> Splunk<'c> {
    /// At this place.
    #[must_use]
    pub fn new(web: Web<'c>) -> Self {
        Self { web, slices: Slices::default() }
    }

    /// The rows of a search. What the indexers could not say is told.
    async fn rows(
        &self,
        search: &str,
        ask: &Ask,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Map<String, Value>>, StoreError> {
        let (earliest, latest) = (epoch(from), epoch(until));
        let form = [
            ("search", search),
            ("output_mode", "json"),
            ("preview", "false"),
            ("earliest_time", &earliest),
            ("latest_time", &latest),
            ("adhoc_search_level", "smart"),
        ];
        let body = self.web.bytes(&WebRequest::form(EXPORT, &form)).await.map_err(refused)?;
        let mut rows = Vec::new();
        for line in body.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty()) {
            let mut row: Value = serde_json::from_slice(line).map_err(|_| StoreError::Foreign {
                store: NAME,
                message: "a row of its answer is no JSON object".to_owned(),
            })?;
            for message in row["messages"].as_array().into_iter().flatten() {
                let text = crate::k8s::outside(message["text"].as_str().unwrap_or_default());
                match message["type"].as_str() {
                    Some("FATAL" | "ERROR") if rows.is_empty() => {
                        return Err(StoreError::Refused { store: NAME, message: text });
                    }
                    Some("FATAL" | "ERROR" | "WARN") => ask.told.incomplete(format!("{NAME} says: {text}")),
                    _ => {}
                }
            }
            if row["preview"] == true {
                continue;
            }
            if let Some(result) = row.get_mut("result").map(Value::take).and_then(|row| match row {
                Value::Object(fields) => Some(fields),
                _ => None,
            }) {
                rows.push(result);
            }
        }
        Ok(rows)
    }
}

/// Splunk's errors are JSON with messages.
fn refused(error: WebError) -> StoreError {
    let WebError::Status { code: 400..=499, body, text, .. } = &error else { return error.into() };
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    match answer["messages"][0]["text"].as_str() {
        Some(message) => StoreError::Refused { store: NAME, message: crate::k8s::outside(message) },
        None => StoreError::Foreign { store: NAME, message: text.clone() },
    }
}

/// Seconds with their fraction.
fn epoch(at: Timestamp) -> String {
    format!("{}.{:09}", at.as_nanosecond().div_euclid(1_000_000_000), at.as_nanosecond().rem_euclid(1_000_000_000))
}

fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn condition(one: &Condition) -> String {
    let any = |field: &str, values: &[String], end: &str| {
        let each = values.iter().map(|value| format!("{}={}", quote(field), quote(&format!("{value}{end}"))));
        format!("({})", each.collect::<Vec<_>>().join(" OR "))
    };
    match one {
        Condition::Is(field, values) => any(field, values, ""),
        Condition::IsNot(field, values) => format!("NOT {}", any(field, values, "")),
        Condition::Begins(field, values) => any(field, values, "*"),
        Condition::Workload(field, names) => any(field, &Condition::beginnings(names), "*"),
        Condition::Says(word) => quote(word),
        Condition::Has(field) => format!("{}=*", quote(field)),
        Condition::HasNot(field) => format!("NOT {}=*", quote(field)),
        Condition::Any(all) => format!("({})", all.iter().map(condition).collect::<Vec<_>>().join(" OR ")),
        Condition::All(all) => format!("({})", all.iter().map(condition).collect::<Vec<_>>().join(" ")),
    }
}

/// One of the words. Splunk cuts events into segments and knows no case: what is asked for is wider.
pub(super) fn any_of(words: &Words) -> String {
    let each = words.any_case.iter().chain(&words.exact).map(|word| {
        let parts: Vec<String> = parts(word).iter().map(Part::starred).collect();
        if parts.len() == 1 { parts[0].clone() } else { format!("({})", parts.join(" ")) }
    });
    let mut each: Vec<String> = each.filter(|part| part != "()").collect();
    each.extend(words.flags.iter().map(|flag| flag.to_lowercase()));
    each.dedup();
    format!("({})", each.join(" OR "))
}

fn search(ask: &Ask, wanted: &Wanted) -> String {
    let given = ask.query.as_deref().unwrap_or_default().trim();
    let given = given.strip_prefix("search ").unwrap_or(given);
    let mut parts = vec!["search".to_owned()];
    parts.push(if given.is_empty() { "index=*".to_owned() } else { format!("({given})") });
    parts.extend(ask.conditions.iter().map(condition));
    match wanted {
        Wanted::All => {}
        Wanted::Words(words) => parts.push(any_of(words)),
        Wanted::Without(phrase) => parts.push(format!("NOT {}", quote(phrase))),
        Wanted::Around(spans) => {
            let each = spans.iter().map(|span| {
                let of = ask.fields.groups().into_iter().zip(&span.values).filter(|(_, value)| !value.is_empty());
                let mut all: Vec<String> =
                    of.map(|(field, value)| format!("{}={}", quote(field), quote(value))).collect();
                all.push(format!("_time>={} _time<{}", epoch(span.from), epoch(span.until)));
                format!("({})", all.join(" "))
            });
            parts.push(format!("({})", each.collect::<Vec<_>>().join(" OR ")));
        }
    }
    parts.join(" ")
}

/// `_time` as Splunk prints it: RFC 3339 with an offset, or seconds.
fn moment(value: Option<&Value>) -> Option<Timestamp> {
    let text = value?.as_str()?;
    if let Ok(seconds) = text.parse::<f64>() {
        return Timestamp::from_microsecond((seconds * 1e6).round() as i64).ok();
    }
    text.parse().ok()
}

fn records(rows: Vec<Map<String, Value>>) -> Result<Vec<Record>, StoreError> {
    let foreign = || StoreError::Foreign { store: NAME, message: "an event has no _time".to_owned() };
    let count = rows.len() as u64;
    let each = rows.into_iter().enumerate().map(|(index, fields)| {
        // Of one moment, the youngest comes first.
        Ok(Record { time: moment(fields.get("_time")).ok_or_else(foreign)?, order: count - index as u64, fields })
    });
    let mut records = each.collect::<Result<Vec<_>, StoreError>>()?;
    records.sort_by_key(|record| (record.time, record.order));
    Ok(records)
}

impl LogStore for Splunk<'_> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn sample<'a>(&'a self, ask: &'a Ask, any: &'a [Condition]) -> BoxFuture<'a, Result<Vec<Record>, StoreError>> {
        Box::pin(async move {
            let mut search = search(ask, &Wanted::All);
            if !any.is_empty() {
                search.push_str(&format!(" {}", condition(&Condition::Any(any.to_vec()))));
            }
            search.push_str(&format!(" | head {SAMPLE} | fields *"));
            records(self.rows(&search, ask, ask.since, ask.until).await?)
        })
    }

    fn searches(&self, words: &Words) -> Result<(), String> {
        if words.patterns.is_empty() { Ok(()) } else { Err("--pattern has no like in its search".to_owned()) }
    }

    fn spans_at_once(&self) -> usize {
        100
    }

    fn count<'a>(&'a self, ask: &'a Ask, step: i64) -> BoxFuture<'a, Result<Vec<Group>, StoreError>> {
        Box::pin(async move {
            let names = ask.fields.groups();
            let quoted: String = names.iter().map(|name| format!(" {}", quote(name))).collect();
            let fill = if names.is_empty() { String::new() } else { format!(" | fillnull value=\"\"{quoted}") };
            let search = format!(
                "{} | eval ma_start=floor(_time/{step})*{step}{fill} \
                 | stats count as ma_count min(_time) as ma_first max(_time) as ma_last by ma_start{quoted}",
                search(ask, &Wanted::All)
            );
            let foreign = || StoreError::Foreign { store: NAME, message: "a count has no number".to_owned() };
            let each = self.rows(&search, ask, ask.since, ask.until).await?.into_iter().map(|row| {
                let text = |name: &str| row.get(name).and_then(Value::as_str);
                let number = |name: &str| text(name).and_then(|text| text.parse::<f64>().ok()).ok_or_else(foreign);
                Ok(Group {
                    values: names.iter().map(|name| text(name).unwrap_or_default().to_owned()).collect(),
                    start: number("ma_start")? as i64,
                    count: number("ma_count")? as u64,
                    seen: moment(row.get("ma_first")).zip(moment(row.get("ma_last"))),
                })
            });
            each.collect()
        })
    }

    fn page<'a>(
        &'a self,
        ask: &'a Ask,
        wanted: &'a Wanted,
        from: Timestamp,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(async move {
            let (mut from, until) = (from, wanted.until(ask));
            let names: String = ask.fields.groups().iter().map(|name| format!(", {}", quote(name))).collect();
            let stream =
                if ask.fields.stream.is_empty() { String::new() } else { format!(", {}", quote(&ask.fields.stream)) };
            let text = if ask.fields.text == "_raw" { String::new() } else { format!(", {}", quote(&ask.fields.text)) };
            let kept = format!("| fields _time, _raw{names}{stream}{text}");
            if let Wanted::Around(_) = wanted {
                let rows = self.rows(&format!("{} {kept}", search(ask, wanted)), ask, from, until).await?;
                return Ok(Page { records: records(rows)?, next: None });
            }
            loop {
                let end = self.slices.end(from, until);
                let limited = format!("{} | head {} {kept}", search(ask, wanted), PAGE + 1);
                let mut rows = self.rows(&limited, ask, from, end).await?;
                if rows.len() > PAGE {
                    if self.slices.halve() {
                        continue;
                    }
                    rows = self.rows(&format!("{} {kept}", search(ask, wanted)), ask, from, end).await?;
                }
                self.slices.held(rows.len(), PAGE);
                if !rows.is_empty() || end >= until {
                    return Ok(Page { records: records(rows)?, next: (end < until).then_some(end) });
                }
                from = end;
            }
        })
    }
}
