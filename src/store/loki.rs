//! Loki: LogQL over its HTTP API (grafana.com/docs/loki/latest/reference/loki-http-api): `query_range` of streams, page by
//! time, and of `count_over_time`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::ask::{Ask, Condition, Wanted, quote as quote_regex};
use super::record::Record;
use super::{Group, LogStore, PAGE, Page, StoreError};
use crate::reach::{Web, WebError, WebRequest};

const NAME: &str = "Loki";
const RANGE: &str = "/loki/api/v1/query_range";
const INSTANT: &str = "/loki/api/v1/query";
/// Where the line of an entry is put among its labels.
const LINE: &str = "line";
const SAMPLE: usize = 200;
/// How much time one count asks for; more than 11,000 points, or 500 series, are refused.
const COUNTED: SignedDuration = SignedDuration::from_hours(24);

/// The last letters of names of pods.
const LETTERS: &str = "0123456789abcdefghijklmnopqrstuvwxyz";

/// A Loki server.
pub struct Loki<'c> {
    web: Web<'c>,
    known: Mutex<Known>,
}

/// Counts by the values of the grouping labels and the beginning of the step.
type Counts = BTreeMap<(Vec<String>, i64), u64>;

/// From which end entries come, and how many of them.
#[derive(Clone, Copy)]
struct Order {
    forward: bool,
    most: usize,
}

#[derive(Debug, Clone)]
struct Known {
    /// Labels of streams; what else entries have is structured metadata, and no matter of selectors.
    labels: Vec<String>,
    /// The most entries that the server gives at once (`max_entries_limit_per_query`).
    limit: usize,
    /// The longest time that one question may be of: 30 days and an hour unless the server says otherwise
    /// (`max_query_length`, 721h).
    longest: SignedDuration,
}

/// The longest time that is asked for at once at first, and at least.
const LONGEST: SignedDuration = SignedDuration::from_hours(24 * 30);
const SHORTEST: SignedDuration = SignedDuration::from_hours(1);

impl<'c> Loki<'c> {
    /// At this place.
    #[must_use]
    pub fn new(web: Web<'c>) -> Self {
        Self { web, known: Mutex::new(Known { labels: Vec::new(), limit: PAGE, longest: LONGEST }) }
    }

    fn known(&self) -> Known {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn ask(&self, request: &WebRequest, ask: &Ask) -> Result<Value, StoreError> {
        let body = self.web.bytes(request).await.map_err(refused)?;
        let answer: Value = serde_json::from_slice(&body)
            .map_err(|_| StoreError::Foreign { store: NAME, message: "its answer is no JSON".to_owned() })?;
        if answer["status"] != "success" {
            return Err(StoreError::Foreign { store: NAME, message: "its answer has no status of Loki's".to_owned() });
        }
        for place in [&answer["warnings"], &answer["data"]["warnings"]] {
            for warning in place.as_array().into_iter().flatten().filter_map(Value::as_str) {
                ask.told.incomplete(format!("{NAME} warns: {}", crate::k8s::outside(warning)));
            }
        }
        Ok(answer)
    }

    /// Whether a question was refused for its length, and may be asked of a shorter time.
    fn shortens(&self, refused: &StoreError) -> bool {
        let StoreError::Refused { message, .. } = refused else { return false };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let may = message.contains("time range exceeds") && known.longest > SHORTEST;
        if may {
            known.longest = (known.longest / 2).max(SHORTEST);
        }
        may
    }

    /// The names of streams' labels, of the newest streams. What is none of them is looked for in entries.
    async fn labels(&self, ask: &Ask) -> Result<(), StoreError> {
        if !self.known().labels.is_empty() {
            return Ok(());
        }
        let answer = loop {
            let start = ask.until.checked_sub(self.known().longest).unwrap_or(ask.since).max(ask.since);
            let request =
                WebRequest::get("/loki/api/v1/labels").with("start", nanos(start)).with("end", nanos(ask.until));
            match self.ask(&request, ask).await {
                Err(error) if self.shortens(&error) => {}
                outcome => break outcome?,
            }
        };
        let names = answer["data"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
        self.known.lock().unwrap_or_else(PoisonError::into_inner).labels = names.collect();
        Ok(())
    }

    /// `{…} | …`: the selector with what can stand in it, and the rest behind.
    fn query(&self, ask: &Ask, of_source: &[Condition], more: &str) -> String {
        let labels = self.known().labels;
        let conditions: Vec<&Condition> = ask.conditions.iter().chain(of_source).collect();
        let given = ask.query.as_deref().unwrap_or_default().trim();
        let (selector, pipeline) = split(given);
        let mut inside: Vec<String> = Vec::new();
        if !selector.trim().is_empty() {
            inside.push(selector.trim().trim_end_matches(',').to_owned());
        }
        let mut behind = String::new();
        for one in &conditions {
            match matcher(one) {
                Some(text) if one.fields().iter().all(|field| labels.contains(field)) => inside.push(text),
                None if matches!(one, Condition::Says(_)) => {
                    let Condition::Says(word) = one else { continue };
                    behind.push_str(&format!(" |= {}", quote(word)));
                }
                _ => behind.push_str(&format!(" | {}", label_filter(one))),
            }
        }
        // A selector has to ask for something that is there.
        let asks = selector.contains('=') || conditions.iter().any(|one| matches!(one, Condition::Is(..)));
        if !asks || inside.is_empty() {
            let usual = ["namespace", "service_name", "app", "job", "container", "pod"];
            let label = usual.iter().find(|name| labels.iter().any(|label| label == *name)).copied();
            let label = label.or(labels.iter().map(String::as_str).find(|name| !name.starts_with("__")));
            inside.push(format!("{}=~\".+\"", label.unwrap_or("job")));
        }
        format!(
            "{{{}}}{}{more}{behind}",
            inside.join(","),
            if pipeline.is_empty() { String::new() } else { format!(" {pipeline}") }
        )
    }

    /// The first or the last entries of a time, as many as are wanted or the server gives at once: their number is the
    /// other value. What lies beyond the longest time of a question is asked for piece by piece.
    async fn entries(
        &self,
        query: &str,
        ask: &Ask,
        (mut from, mut until): (Timestamp, Timestamp),
        order: Order,
    ) -> Result<(Vec<Record>, usize), StoreError> {
        let mut found: Vec<Record> = Vec::new();
        loop {
            let longest = self.known().longest;
            let (start, end) = if order.forward {
                (from, from.checked_add(longest).map_or(until, |end| end.min(until)))
            } else {
                (until.checked_sub(longest).map_or(from, |start| start.max(from)), until)
            };
            let most = order.most.saturating_sub(found.len());
            let (records, limit) = match self.some(query, ask, (start, end), Order { most, ..order }).await {
                Err(error) if self.shortens(&error) => continue,
                outcome => outcome?,
            };
            let is_full = records.len() >= limit;
            found.extend(records);
            if is_full || (start, end) == (from, until) {
                found.sort_by_key(|record| (record.time, record.order));
                return Ok((found, limit));
            }
            if order.forward { from = end } else { until = start }
        }
    }

    async fn some(
        &self,
        query: &str,
        ask: &Ask,
        (from, until): (Timestamp, Timestamp),
        Order { forward, most }: Order,
    ) -> Result<(Vec<Record>, usize), StoreError> {
        loop {
            let limit = self.known().limit.min(most);
            let request = WebRequest::get(RANGE)
                .with("query", query)
                .with("start", nanos(from))
                .with("end", nanos(until))
                .with("limit", limit.to_string())
                .with("direction", if forward { "forward" } else { "backward" });
            match self.ask(&request, ask).await {
                Ok(answer) => return Ok((records(&answer), limit)),
                // "max entries limit per query exceeded, limit > max_entries_limit_per_query (5000 > 1000)"
                Err(StoreError::Refused { message, .. }) if message.contains("max entries limit") && limit > 100 => {
                    let named = message.rsplit_once("> ").and_then(|(_, rest)| {
                        rest.split(|letter: char| !letter.is_ascii_digit()).next()?.parse::<usize>().ok()
                    });
                    let lower = named.filter(|named| *named > 0 && *named < limit).unwrap_or(limit / 2);
                    self.known.lock().unwrap_or_else(PoisonError::into_inner).limit = lower;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Counts what is selected by source and step.
    async fn count_into(&self, counts: &mut Counts, ask: &Ask, step: i64, selected: &str) -> Result<(), StoreError> {
        let step_of = |at: Timestamp| at.as_second().div_euclid(step) * step;
        let at = |second: i64| Timestamp::from_second(second).unwrap_or_default();
        // Whole steps are counted many at once; what lies before the first and behind the last, each by itself.
        let (since, until) = (step_of(ask.since), step_of(ask.until));
        let first = if at(since) == ask.since { since } else { since + step };
        if since < first {
            self.count_part(counts, ask, (ask.since, ask.until.min(at(first))), since, selected).await?;
        }
        self.count_steps(counts, ask, step, (first, until), selected).await?;
        if first <= until && at(until) < ask.until {
            self.count_part(counts, ask, (at(until), ask.until), until, selected).await?;
        }
        Ok(())
    }

    /// Counts each step between two of their beginnings. Where it refuses a stretch as too much, a shorter one is asked
    /// for.
    async fn count_steps(
        &self,
        counts: &mut Counts,
        ask: &Ask,
        step: i64,
        (mut from, last): (i64, i64),
        selected: &str,
    ) -> Result<(), StoreError> {
        let names = ask.fields.groups();
        // Times that are no multiple of the step would be moved to one (pkg/querier/queryrange/splitters.go,
        // alignStartEnd).
        let query = counting(&names, selected, &format!("{step}s"));
        let mut length = COUNTED.as_secs().max(step) / step * step;
        while from < last {
            let to = (from + length).min(last);
            let request = WebRequest::get(RANGE)
                .with("query", query.as_str())
                .with("start", format!("{}000000000", from + step))
                .with("end", format!("{to}000000000"))
                .with("step", step.to_string());
            let answer = match self.ask(&request, ask).await {
                Err(StoreError::Refused { message, .. })
                    if length > step && ["maximum", "limit", "exceeded"].iter().any(|word| message.contains(word)) =>
                {
                    length = (length / 2).max(step) / step * step;
                    continue;
                }
                outcome => outcome?,
            };
            for (values, points) in series(&answer, &names) {
                for (at, count) in points["values"].as_array().into_iter().flatten().filter_map(point) {
                    // Where it splits a query, the moment between two parts may be evaluated by both.
                    if from < at && at <= to && count > 0 {
                        counts.insert((values.clone(), at - step), count);
                    }
                }
            }
            from = to;
        }
        Ok(())
    }

    /// Counts a part of the step that begins at `step`.
    async fn count_part(
        &self,
        counts: &mut Counts,
        ask: &Ask,
        (from, to): (Timestamp, Timestamp),
        step: i64,
        selected: &str,
    ) -> Result<(), StoreError> {
        // It knows ranges of whole milliseconds.
        let (from, to) = (from.as_millisecond(), to.as_millisecond());
        if from >= to {
            return Ok(());
        }
        let names = ask.fields.groups();
        let request = WebRequest::get(INSTANT)
            .with("query", counting(&names, selected, &format!("{}ms", to - from)))
            .with("time", format!("{to}000000"));
        let answer = self.ask(&request, ask).await?;
        for (values, points) in series(&answer, &names) {
            if let Some((_, count)) = point(&points["value"]).filter(|(_, count)| *count > 0) {
                counts.insert((values, step), count);
            }
        }
        Ok(())
    }

    /// What is counted says nothing of when in a step it was: the first and the last entry say how much of theirs has any.
    async fn see_ends(&self, ask: &Ask, step: i64, groups: &mut [Group]) -> Result<(), StoreError> {
        let query = self.query(ask, &[], "");
        let mut ends = [ask.since, ask.until];
        for (end, forward) in ends.iter_mut().zip([true, false]) {
            let one = Order { forward, most: 1 };
            let (records, _) = self.entries(&query, ask, (ask.since, ask.until), one).await?;
            *end = records.first().map_or(*end, |record| record.time);
        }
        for group in groups {
            let edge = |second| Timestamp::from_second(second).unwrap_or_default();
            let (start, end) = (edge(group.start), edge(group.start + step));
            if start < ends[0] || ends[1] < end {
                group.seen = Some((start.max(ends[0]), end.min(ends[1])));
            }
        }
        Ok(())
    }
}

/// Loki says what is wrong as plain text.
fn refused(error: WebError) -> StoreError {
    match error {
        WebError::Status { code: 400 | 422 | 500, text, .. } => StoreError::Refused { store: NAME, message: text },
        WebError::Status { code: 404, text, .. } => {
            StoreError::Foreign { store: NAME, message: format!("{RANGE} is not there ({text})") }
        }
        error => error.into(),
    }
}

/// What an evaluation counts: what is younger than a range before it and no younger than itself. With an offset, it counts
/// the range from its first moment on. It is the least that there is: of less than a millisecond's, Loki 3.7 counts nothing.
fn counting(names: &[&str], selected: &str, range: &str) -> String {
    format!("sum by ({}) (count_over_time({selected}[{range}] offset 1ms))", names.join(","))
}

/// The series of an answer, each with its values of these labels.
fn series<'a>(answer: &'a Value, names: &'a [&str]) -> impl Iterator<Item = (Vec<String>, &'a Value)> {
    answer["data"]["result"].as_array().into_iter().flatten().map(|series| {
        let label = |name: &&str| series["metric"][*name].as_str().unwrap_or_default().to_owned();
        (names.iter().map(label).collect(), series)
    })
}

/// A point of a series: its second, and its count.
fn point(value: &Value) -> Option<(i64, u64)> {
    let count = value[1].as_str()?.parse::<f64>().ok()?;
    Some((value[0].as_f64()?.round() as i64, count as u64))
}

fn nanos(at: Timestamp) -> String {
    at.as_nanosecond().to_string()
}

/// The inside of a selector and the pipeline behind it.
fn split(query: &str) -> (&str, &str) {
    let Some(rest) = query.strip_prefix('{') else { return ("", query) };
    let (mut quoted, mut escaped) = (None, false);
    for (at, letter) in rest.char_indices() {
        match (quoted, letter) {
            (Some(_), '\\') if !escaped => {
                escaped = true;
                continue;
            }
            (Some(quote), _) if letter == quote && !escaped => quoted = None,
            (None, '"' | '`') => quoted = Some(letter),
            (None, '}') => return (&rest[..at], rest[at + 1..].trim()),
            _ => {}
        }
        escaped = false;
    }
    (rest, "")
}

/// LogQL's strings are Go's.
fn quote(text: &str) -> String {
    Value::from(text).to_string()
}

fn alternatives(values: &[String], end: &str) -> String {
    quote(&values.iter().map(|value| format!("{}{end}", quote_regex(value))).collect::<Vec<_>>().join("|"))
}

fn matcher(one: &Condition) -> Option<String> {
    Some(match one {
        Condition::Is(field, values) if values.len() == 1 => format!("{field}={}", quote(&values[0])),
        Condition::Is(field, values) => format!("{field}=~{}", alternatives(values, "")),
        Condition::IsNot(field, values) => format!("{field}!~{}", alternatives(values, "")),
        Condition::Begins(field, values) => format!("{field}=~{}", alternatives(values, ".*")),
        Condition::Has(field) => format!("{field}=~\".+\""),
        Condition::HasNot(field) => format!("{field}=\"\""),
        Condition::Workload(field, names) => format!("{field}=~{}", alternatives(&Condition::beginnings(names), ".*")),
        Condition::Any(_) | Condition::All(_) | Condition::Says(_) => return None,
    })
}

fn label_filter(one: &Condition) -> String {
    match one {
        Condition::Any(all) => format!("({})", all.iter().map(label_filter).collect::<Vec<_>>().join(" or ")),
        Condition::All(all) => format!("({})", all.iter().map(label_filter).collect::<Vec<_>>().join(" and ")),
        other => matcher(other).unwrap_or_default(),
    }
}

/// What the records of a stretch's source have.
fn of_source(ask: &Ask, wanted: &Wanted) -> Vec<Condition> {
    let Wanted::Around(spans) = wanted else { return Vec::new() };
    let of = |(field, value): (&str, &String)| match value.as_str() {
        "" => Condition::HasNot(field.to_owned()),
        _ => Condition::Is(field.to_owned(), vec![value.clone()]),
    };
    spans.first().map_or_else(Vec::new, |span| ask.fields.groups().into_iter().zip(&span.values).map(of).collect())
}

fn line_filter(wanted: &Wanted) -> String {
    match wanted {
        Wanted::All | Wanted::Around(_) => String::new(),
        Wanted::Words(words) => format!(" |~ {}", quote(&words.regex())),
        Wanted::Without(phrase) => format!(" != {}", quote(phrase)),
    }
}

fn records(answer: &Value) -> Vec<Record> {
    let mut records = Vec::new();
    for stream in answer["data"]["result"].as_array().into_iter().flatten() {
        let labels = stream["stream"].as_object().cloned().unwrap_or_default();
        for (order, value) in stream["values"].as_array().into_iter().flatten().enumerate() {
            let time = value[0].as_str().and_then(|time| time.parse::<i128>().ok());
            let Some(time) = time.and_then(|time| Timestamp::from_nanosecond(time).ok()) else { continue };
            let mut fields: Map<String, Value> = labels.clone();
            // Structured metadata stands beside the line in newer versions.
            if let Some(Value::Object(more)) = value.get(2) {
                let more = more.get("structuredMetadata").and_then(Value::as_object).unwrap_or(more);
                fields.extend(more.clone());
            }
            fields.insert(LINE.to_owned(), value[1].clone());
            records.push(Record { time, order: order as u64, fields });
        }
    }
    records.sort_by_key(|record| (record.time, record.order));
    records
}

impl LogStore for Loki<'_> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn sample<'a>(&'a self, ask: &'a Ask, any: &'a [Condition]) -> BoxFuture<'a, Result<Vec<Record>, StoreError>> {
        Box::pin(async move {
            self.labels(ask).await?;
            let newest = Order { forward: false, most: SAMPLE };
            let labels = self.known().labels;
            let is_known = |one: &&Condition| one.fields().iter().all(|field| labels.contains(field));
            // Streams have one label for it; where it is none, its records have fields of their own.
            let one: Vec<Condition> = any.iter().find(is_known).cloned().into_iter().collect();
            Ok(self.entries(&self.query(ask, &one, ""), ask, (ask.since, ask.until), newest).await?.0)
        })
    }

    fn step_of(&self, time: Timestamp, step: i64) -> i64 {
        // What is younger than the last whole millisecond of a step is counted with the next one.
        let counted = time.checked_add(SignedDuration::from_nanos(999_999)).unwrap_or(time);
        counted.as_second().div_euclid(step) * step
    }

    fn spans_at_once(&self) -> usize {
        // LogQL has one range of time a query.
        1
    }

    fn most_spans(&self) -> usize {
        // So many queries.
        1_000
    }

    fn count<'a>(&'a self, ask: &'a Ask, step: i64) -> BoxFuture<'a, Result<Vec<Group>, StoreError>> {
        Box::pin(async move {
            let selected = self.query(ask, &[], "");
            let mut counts = Counts::new();
            match self.count_into(&mut counts, ask, step, &selected).await {
                // More pods than it counts at once: by the last letter of their names, which is drawn by lot for most.
                Err(StoreError::Refused { message, .. })
                    if message.contains("series") && self.known().labels.contains(&ask.fields.pod) =>
                {
                    let pod = &ask.fields.pod;
                    let each = LETTERS.chars().map(|letter| format!("{pod}=~\".*{letter}\""));
                    for part in each.chain([format!("{pod}!~\".*[{LETTERS}]\"")]) {
                        let selected = selected.replacen('{', &format!("{{{part},"), 1);
                        self.count_into(&mut counts, ask, step, &selected).await?;
                    }
                }
                outcome => outcome?,
            }
            let each = counts.into_iter();
            let mut found: Vec<Group> =
                each.map(|((values, start), count)| Group { values, start, count, seen: None }).collect();
            if !found.is_empty() {
                self.see_ends(ask, step, &mut found).await?;
            }
            Ok(found)
        })
    }

    fn page<'a>(
        &'a self,
        ask: &'a Ask,
        wanted: &'a Wanted,
        from: Timestamp,
    ) -> BoxFuture<'a, Result<Page, StoreError>> {
        Box::pin(async move {
            let query = self.query(ask, &of_source(ask, wanted), &line_filter(wanted));
            let all = Order { forward: true, most: usize::MAX };
            let (mut records, limit) = self.entries(&query, ask, (from, wanted.until(ask)), all).await?;
            let Some(last) = records.last().map(|record| record.time).filter(|_| records.len() >= limit) else {
                return Ok(Page { records, next: None });
            };
            let whole = records.partition_point(|record| record.time < last);
            if whole > 0 {
                records.truncate(whole);
                return Ok(Page { records, next: Some(last) });
            }
            ask.told
                .incomplete(format!("{NAME} has more than {limit} entries of {last}, and gives no more of one moment"));
            let next = last.checked_add(SignedDuration::from_nanos(1)).ok();
            Ok(Page { records, next })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_cut_from_their_pipelines() {
        assert_eq!(split(r#"{namespace="shop"}"#), (r#"namespace="shop""#, ""));
        assert_eq!(split(r#"{a="}\"",b=`}`} |= "x""#), (r#"a="}\"",b=`}`"#, r#"|= "x""#));
        assert_eq!(split(""), ("", ""));
    }
}
