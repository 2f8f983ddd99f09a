//! VictoriaLogs: LogsQL over `/select/logsql/query` (docs.victoriametrics.com/victorialogs/logsql, …/querying).
//!
//! Rows come in no order, so a stretch of time that holds a page at most is asked for and put in order here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::ask::{Ask, Condition, Span, Wanted, Words, quote as quote_regex};
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
/// The field that holds the text in lower case, while words are searched for.
pub(super) const LOWER: &str = "ma_lower";
/// An expression of so many plain words at most is searched for without the engine of expressions
/// (VictoriaMetrics' lib/regexutil, `maxOrValues`).
const MAX_PLAIN: usize = 100;
/// A query has 16 KiB at most (`-search.maxQueryLen`).
const MAX_QUERY: usize = 15 << 10;

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

    /// The counts of a stretch.
    async fn groups(&self, ask: &Ask, step: i64, from: Timestamp, until: Timestamp) -> Result<Vec<Group>, StoreError> {
        let names = ask.fields.groups();
        let by: String = names.iter().map(|name| format!("{}, ", quote(name))).collect();
        let query = format!(
            "{} | stats by ({by}_time:{step}s) count() ma_count, min(_time) ma_first, max(_time) ma_last",
            filter(ask, from, until)
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
    }

    /// The records of these stretches, in order, by as few queries as their length allows.
    async fn surroundings(&self, ask: &Ask, spans: &[Span]) -> Result<Vec<Record>, StoreError> {
        let mut found = Vec::new();
        let mut open = vec![spans];
        while let Some(some) = open.pop() {
            let ends = some.iter().map(|span| span.from).min().zip(some.iter().map(|span| span.until).max());
            let Some((from, until)) = ends else { continue };
            let (from, until) = (from.max(ask.since), until.min(ask.until));
            let query = format!("{}{}{}", filter(ask, from, until), around(ask, some), columns(ask));
            let may_be_less = some.len() > 1;
            let outcome = if query.len() > MAX_QUERY && may_be_less { None } else { Some(self.rows(&query).await) };
            match outcome {
                Some(Ok(rows)) => found.extend(records(rows)?),
                Some(Err(error)) if !(may_be_less && is_too_much(&error)) => return Err(error),
                _ => {
                    let (first, second) = some.split_at(some.len() / 2);
                    open.extend([second, first]);
                }
            }
        }
        found.sort_by_key(|record| (record.time, record.order));
        Ok(found)
    }
}

/// The edge of a step in the middle of a stretch, if there is one.
fn middle(from: Timestamp, until: Timestamp, step: i64) -> Option<Timestamp> {
    let half = from.as_second() + (until.as_second() - from.as_second()) / 2;
    let edge = Timestamp::from_second(half.div_euclid(step) * step).ok()?;
    (from < edge && edge < until).then_some(edge)
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
    let text = searched(ask);
    parts.extend(ask.conditions.iter().map(|one| condition(one, &text)));
    parts.join(" ")
}

/// The field that is searched for words; of structured records all are.
fn text(ask: &Ask) -> Option<&str> {
    Some(ask.fields.text.as_str()).filter(|text| !ask.fields.structured && !text.contains(['<', '>']))
}

/// The same, as a filter names it.
fn searched(ask: &Ask) -> String {
    text(ask).map_or_else(|| "*".to_owned(), quote)
}

/// The pipes that leave records with one of the words. An expression of many words in whatever case takes Go's engine
/// a third of a millisecond a record; the text in lower case, in which plain words are looked for, a hundredth of that.
/// It is wider than the words are: those that stand as they are written are found in any case.
pub(super) fn search(words: &Words, text: Option<&str>) -> String {
    // `<lc:FIELD>` takes one field, so that all are put into one first, as JSON.
    let (field, whole, pack) = match text {
        Some(text) => (text, quote(text), ""),
        None => (LOWER, "*".to_owned(), " | pack_json as ma_lower"),
    };
    let plain: BTreeSet<String> = words
        .any_case
        .iter()
        .chain(&words.exact)
        .map(|word| {
            let word = word.to_lowercase();
            // Quotes are escaped in JSON, and numbers stand in some.
            let end = if text.is_some() { None } else { word.find('"') };
            quote_regex(&word[..end.unwrap_or(word.len())])
        })
        .collect();
    let plain: Vec<String> = plain.into_iter().collect();
    let mut any: Vec<String> =
        plain.chunks(MAX_PLAIN).map(|some| format!("{LOWER}:~{}", quote(&some.join("|")))).collect();
    if !words.flags.is_empty() {
        let flags: Vec<String> = words.flags.iter().map(|flag| quote(flag)).collect();
        any.push(format!("{whole}:contains_any({})", flags.join(",")));
    }
    any.extend(words.patterns.iter().map(|pattern| format!("{whole}:~{}", quote(pattern))));
    let lower = quote(&format!("<lc:{field}>"));
    format!("{pack} | format {lower} as {LOWER} | filter ({})", any.join(" or "))
}

fn wanted(ask: &Ask, wanted: &Wanted) -> String {
    match wanted {
        Wanted::All => String::new(),
        Wanted::Words(words) => search(words, text(ask)),
        Wanted::Without(phrase) => format!(" !{}:{}", searched(ask), quote(phrase)),
        Wanted::Around(spans) => around(ask, spans),
    }
}

fn around(ask: &Ask, spans: &[Span]) -> String {
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

/// The pipe that leaves the fields that are read.
fn columns(ask: &Ask) -> String {
    if text(ask).is_none() {
        return format!(" | delete {LOWER}, _stream, _stream_id");
    }
    let fields = &ask.fields;
    let mut names: BTreeSet<&str> = BTreeSet::from(["_time", &fields.text, &fields.stream]);
    names.extend(fields.groups());
    names.extend(fields.place.iter().flat_map(|(file, offset)| [file.as_str(), offset.as_str()]));
    let of_conditions: Vec<String> = ask.conditions.iter().flat_map(Condition::fields).collect();
    names.extend(of_conditions.iter().map(String::as_str));
    let names: Vec<String> = names.into_iter().filter(|name| !name.is_empty()).map(quote).collect();
    format!(" | fields {}", names.join(", "))
}

/// Less at once may help: it took longer than a query may (`-search.maxQueryDuration`), or than an answer may be awaited,
/// or there was too much of it.
fn is_too_much(error: &StoreError) -> bool {
    matches!(
        error,
        StoreError::Web(
            WebError::Status { code: 500..=599, .. }
                | WebError::Stalled(..)
                | WebError::Cut(..)
                | WebError::TooLarge(_)
        )
    )
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

    fn sample<'a>(&'a self, ask: &'a Ask, any: &'a [Condition]) -> BoxFuture<'a, Result<Vec<Record>, StoreError>> {
        Box::pin(async move {
            let mut query = filter(ask, ask.since, ask.until);
            if !any.is_empty() {
                query.push_str(&format!(" {}", condition(&Condition::Any(any.to_vec()), &searched(ask))));
            }
            query.push_str(&format!(" | limit {SAMPLE}"));
            records(self.rows(&query).await?)
        })
    }

    fn count<'a>(&'a self, ask: &'a Ask, step: i64) -> BoxFuture<'a, Result<Vec<Group>, StoreError>> {
        Box::pin(async move {
            let mut found = Vec::new();
            let mut open = vec![(ask.since, ask.until)];
            while let Some((from, until)) = open.pop() {
                match self.groups(ask, step, from, until).await {
                    Ok(groups) => found.extend(groups),
                    Err(error) => match middle(from, until, step).filter(|_| is_too_much(&error)) {
                        Some(middle) => open.extend([(middle, until), (from, middle)]),
                        None => return Err(error),
                    },
                }
            }
            Ok(found)
        })
    }

    fn page<'a>(&'a self, ask: &'a Ask, what: &'a Wanted, from: Timestamp) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(async move {
            if let Wanted::Around(spans) = what {
                return Ok(Page { records: self.surroundings(ask, spans).await?, next: None });
            }
            let (mut from, until) = (from, what.until(ask));
            let query = |from, end| format!("{}{}{}", filter(ask, from, end), wanted(ask, what), columns(ask));
            loop {
                let end = self.slices.end(from, until);
                let began = Instant::now();
                let mut rows = match self.rows(&format!("{} | limit {}", query(from, end), PAGE + 1)).await {
                    Err(error) if is_too_much(&error) && self.slices.halve() => continue,
                    outcome => outcome?,
                };
                if rows.len() > PAGE {
                    if self.slices.halve() {
                        continue;
                    }
                    rows = self.rows(&query(from, end)).await?;
                }
                match began.elapsed() {
                    took if took < LONG => self.slices.held(rows.len(), PAGE),
                    took if took > 2 * LONG => _ = self.slices.halve(),
                    _ => {}
                }
                if !rows.is_empty() || end >= until {
                    return Ok(Page { records: records(rows)?, next: (end < until).then_some(end) });
                }
                from = end;
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may panic")]
    use super::*;

    #[test]
    fn words_are_looked_for_in_lower_case() {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let words = Words {
            any_case: owned(&["connection reset", "errno\": -104", "(104)"]),
            exact: owned(&["Remotehost"]),
            flags: owned(&["UF"]),
            patterns: owned(&["lost \\d+"]),
        };
        assert_eq!(
            search(&words, Some("log")),
            r#" | format "<lc:log>" as ma_lower | filter (ma_lower:~"\\(104\\)|connection reset|errno\": -104|remotehost" or "log":contains_any("UF") or "log":~"lost \\d+")"#
        );
        assert_eq!(
            search(&words, None),
            r#" | pack_json as ma_lower | format "<lc:ma_lower>" as ma_lower | filter (ma_lower:~"\\(104\\)|connection reset|errno|remotehost" or *:contains_any("UF") or *:~"lost \\d+")"#
        );
        let many = Words { any_case: (0..250).map(|number| format!("word {number}.")).collect(), ..Words::default() };
        assert_eq!(search(&many, Some("log")).matches("ma_lower:~").count(), 3, "what has no engine is short");
    }

    #[test]
    fn stretches_are_halved_at_a_step() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let of = |from, until| middle(at(from), at(until), 3_600).map(|middle| middle.to_string());
        assert_eq!(of("2026-11-20T09:30:00Z", "2026-11-20T12:00:00Z").unwrap(), "2026-11-20T10:00:00Z");
        assert_eq!(of("2026-11-20T09:30:00Z", "2026-11-20T10:10:00Z"), None);
        assert_eq!(of("2026-11-20T09:00:00Z", "2026-11-20T10:00:00Z"), None);
    }
}
