//! Elasticsearch and OpenSearch: the search API (`_search`, point in time, `composite` aggregations, `_field_caps`), which
//! both have but for the way a point in time is opened.

use std::sync::{Mutex, PoisonError};

use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::ask::{Ask, Condition, Wanted, Words};
use super::clauses::Clauses;
use super::record::Record;
use super::{Group, LogStore, PAGE, Page, StoreError};
use crate::reach::{Web, WebError, WebRequest};

const NAME: &str = "Elasticsearch";
/// Records of a sample.
const SAMPLE: usize = 200;
/// Buckets of one answer; `search.max_buckets` is 10,000 in the oldest, and 65,535 in others.
const BUCKETS: usize = 10_000;
/// So many records, and one in so many, may be transferred of a word that a token beside it was not looked for.
const RARE: u64 = 1_000;
/// Text fields that are searched at once: each word is a clause for each of them, and there may be 1,024.
const MAX_TEXTS: usize = 6;
/// How long a point in time is kept between two pages.
const KEEP: &str = "5m";

/// An Elasticsearch or OpenSearch cluster.
pub struct Elasticsearch<'c> {
    web: Web<'c>,
    /// The indices, data streams or aliases.
    index: String,
    known: Mutex<Known>,
}

/// What was learned of it.
#[derive(Debug, Clone, Default)]
struct Known {
    /// For each field the one that holds its exact value: itself, or `FIELD.keyword`.
    exact: Map<String, Value>,
    /// The fields with texts, and whether each is cut into words.
    texts: Vec<(String, bool)>,
    /// Why words cannot be searched for.
    unsearchable: Option<String>,
    /// Of the clauses that are looked up for words, in their order, which are rare, once they were counted.
    rare: Option<Vec<bool>>,
    /// The open point in time, and whether it is OpenSearch's.
    point: Option<(String, bool)>,
}

impl<'c> Elasticsearch<'c> {
    /// At this place. `query` is an index pattern, with a query string behind it or in place of it. The query string that
    /// it holds is the second value.
    #[must_use]
    pub fn new(web: Web<'c>, query: Option<&str>) -> (Self, Option<String>) {
        let query = query.unwrap_or_default().trim();
        let (first, rest) = query.split_once(char::is_whitespace).unwrap_or((query, ""));
        let is_index = !first.is_empty() && !first.contains([':', '"', '(', '/', '\\']);
        let (index, rest) = if is_index { (first, rest) } else { ("*,-.*", query) };
        let index = index.replace(['?', '#'], "");
        let rest = rest.trim().trim_start_matches("AND ").trim();
        let store = Self { web, index, known: Mutex::default() };
        (store, (!rest.is_empty()).then(|| rest.to_owned()))
    }

    fn known(&self) -> Known {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn exact(&self, field: &str) -> String {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.exact.get(field).and_then(Value::as_str).unwrap_or(field).to_owned()
    }

    async fn ask(&self, request: &WebRequest, ask: &Ask) -> Result<Value, StoreError> {
        let body = self.web.bytes(request).await.map_err(refused)?;
        let answer: Value = serde_json::from_slice(&body)
            .map_err(|_| StoreError::Foreign { store: NAME, message: "its answer is no JSON".to_owned() })?;
        if answer["timed_out"] == true {
            ask.told.incomplete(format!("{NAME} ran out of time and answered a part of the question only (timed_out)"));
        }
        let failed = answer["_shards"]["failed"].as_u64().unwrap_or(0);
        if failed > 0 {
            let reason = answer["_shards"]["failures"][0]["reason"]["reason"].as_str().unwrap_or("no reason is given");
            ask.told.incomplete(format!(
                "{failed} of {} shards did not answer: {}",
                answer["_shards"]["total"],
                crate::k8s::outside(reason)
            ));
        }
        Ok(answer)
    }

    /// A search at the open point in time, or at the indices as they are.
    async fn search(&self, mut body: Value, ask: &Ask) -> Result<Value, StoreError> {
        let point = self.known().point;
        let request = match &point {
            Some((id, _)) => {
                body["pit"] = json!({"id": id, "keep_alive": KEEP});
                WebRequest::json("/_search", &body)
            }
            None => WebRequest::json(format!("/{}/_search", self.index), &body)
                .with("ignore_unavailable", "true")
                .with("allow_no_indices", "true"),
        };
        let answer = self.ask(&request, ask).await?;
        if answer.get("hits").is_none() {
            return Err(StoreError::Foreign { store: NAME, message: "its answer has no hits".to_owned() });
        }
        if let (Some((_, is_open)), Some(id)) = (point, answer["pit_id"].as_str()) {
            self.known.lock().unwrap_or_else(PoisonError::into_inner).point = Some((id.to_owned(), is_open));
        }
        Ok(answer)
    }

    /// Opens a point in time, so that pages do not change while they are read.
    async fn open(&self, ask: &Ask) {
        if self.known().point.is_some() {
            return;
        }
        for (path, is_open, id) in [("_search/point_in_time", true, "pit_id"), ("_pit", false, "id")] {
            let request = WebRequest::json(format!("/{}/{path}", self.index), &json!({})).with("keep_alive", KEEP);
            let Ok(body) = self.web.bytes(&request).await else { continue };
            let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
            if let Some(id) = answer[id].as_str() {
                self.known.lock().unwrap_or_else(PoisonError::into_inner).point = Some((id.to_owned(), is_open));
                return;
            }
        }
        ask.told.remark(format!(
            "{NAME} opens no point in time for this user: what is written while the pages are read may be missed"
        ));
    }

    fn condition(&self, one: &Condition) -> Value {
        let terms = |field: &str, values: &[String]| {
            let present: Vec<&String> = values.iter().filter(|value| !value.is_empty()).collect();
            let mut should = vec![json!({"terms": {self.exact(field): present}})];
            if values.iter().any(String::is_empty) {
                should.push(json!({"bool": {"must_not": [{"exists": {"field": field}}]}}));
            }
            json!({"bool": {"should": should, "minimum_should_match": 1}})
        };
        let each = |all: &[Condition]| all.iter().map(|one| self.condition(one)).collect::<Vec<_>>();
        match one {
            Condition::Is(field, values) => terms(field, values),
            Condition::IsNot(field, values) => json!({"bool": {"must_not": [terms(field, values)]}}),
            Condition::Begins(field, values) => {
                let field = self.exact(field);
                let prefixes: Vec<Value> =
                    values.iter().map(|value| json!({"prefix": {field.as_str(): value}})).collect();
                json!({"bool": {"should": prefixes, "minimum_should_match": 1}})
            }
            Condition::Workload(field, names) => {
                self.condition(&Condition::Begins(field.clone(), Condition::beginnings(names)))
            }
            Condition::Says(word) => {
                let texts = self.known().texts;
                let phrases: Vec<Value> = texts.iter().map(|(field, in_words)| if *in_words {
                    json!({"match_phrase": {field.as_str(): word}})
                } else {
                    json!({"wildcard": {field.as_str(): {"value": format!("*{word}*"), "case_insensitive": true}}})
                }).collect();
                json!({"bool": {"should": phrases, "minimum_should_match": 1}})
            }
            Condition::Has(field) => json!({"exists": {"field": field}}),
            Condition::HasNot(field) => json!({"bool": {"must_not": [{"exists": {"field": field}}]}}),
            Condition::Any(all) => json!({"bool": {"should": each(all), "minimum_should_match": 1}}),
            Condition::All(all) => json!({"bool": {"filter": each(all)}}),
        }
    }

    /// A stretch of time. Dates are kept in milliseconds as a rule, so that it is a little wider.
    fn range(field: &str, from: Timestamp, until: Timestamp) -> Value {
        let end =
            until.as_nanosecond().div_euclid(1_000_000) + i128::from(until.as_nanosecond().rem_euclid(1_000_000) > 0);
        let end = i64::try_from(end).unwrap_or(i64::MAX);
        json!({"range": {field: {"gte": from.as_millisecond(), "lt": end, "format": "epoch_millis"}}})
    }

    fn query(&self, ask: &Ask, wanted: &Wanted, from: Timestamp, until: Timestamp) -> Value {
        let mut filter = vec![Self::range(&ask.fields.time, from, until)];
        filter.extend(ask.query.as_ref().map(|query| json!({"query_string": {"query": query}})));
        filter.extend(ask.conditions.iter().map(|one| self.condition(one)));
        match wanted {
            Wanted::All => {}
            Wanted::Words(words) => filter.push(self.words(words)),
            Wanted::Without(phrase) => {
                let phrases: Vec<Value> = self
                    .known()
                    .texts
                    .iter()
                    .map(|(field, _)| json!({"match_phrase": {field.as_str(): phrase}}))
                    .collect();
                filter.push(json!({"bool": {"must_not": phrases}}));
            }
            Wanted::Around(spans) => {
                let names = ask.fields.groups();
                let spans = spans.iter().map(|span| {
                    let of = names.iter().zip(&span.values);
                    let mut all: Vec<Value> = of
                        .map(|(field, value)| self.condition(&Condition::Is((*field).to_owned(), vec![value.clone()])))
                        .collect();
                    all.push(Self::range(&ask.fields.time, span.from, span.until));
                    json!({"bool": {"filter": all}})
                });
                filter.push(json!({"bool": {"should": spans.collect::<Vec<_>>(), "minimum_should_match": 1}}));
            }
        }
        json!({"bool": {"filter": filter}})
    }

    /// One of the words, by what is searched for in each text field: its tokens, or its whole value.
    fn words(&self, words: &Words) -> Value {
        let mut any = Vec::new();
        let known = self.known();
        let mut rare = known.rare.into_iter().flatten();
        for (field, in_words) in &known.texts {
            if *in_words {
                any.extend(Clauses::new(field, words).any(&mut rare));
            } else {
                let within = |word: &String, any_case: bool| {
                    let value = format!("*{}*", word.replace('\\', "\\\\").replace('*', "\\*").replace('?', "\\?"));
                    json!({"wildcard": {field.as_str(): {"value": value, "case_insensitive": any_case}}})
                };
                any.extend(words.any_case.iter().map(|word| within(word, true)));
                any.extend(words.exact.iter().chain(&words.flags).map(|word| within(word, false)));
            }
        }
        json!({"bool": {"should": any, "minimum_should_match": 1}})
    }

    /// Counts what is looked up for words, so that no more is asked for where that is rare: passes over all tokens take
    /// minutes where there are many.
    async fn weigh(&self, words: &Words, ask: &Ask) -> Result<(), StoreError> {
        let known = self.known();
        if known.rare.is_some() {
            return Ok(());
        }
        let in_words = known.texts.iter().filter(|(_, in_words)| *in_words);
        let each: Vec<Value> = in_words
            .flat_map(|(field, _)| Clauses::new(field, words).looked_up().cloned().collect::<Vec<_>>())
            .collect();
        let mut rare = Vec::new();
        if !each.is_empty() {
            let body = json!({
                "size": 0, "track_total_hits": true, "query": self.query(ask, &Wanted::All, ask.since, ask.until),
                "aggs": {"words": {"filters": {"filters": each}}},
            });
            let answer = self.search(body, ask).await?;
            let most = RARE.max(answer["hits"]["total"]["value"].as_u64().unwrap_or(0) / RARE);
            let counts = answer["aggregations"]["words"]["buckets"].as_array().into_iter().flatten();
            rare = counts.map(|bucket| bucket["doc_count"].as_u64().is_some_and(|count| count <= most)).collect();
        }
        self.known.lock().unwrap_or_else(PoisonError::into_inner).rare = Some(rare);
        Ok(())
    }

    /// The records of hits, in order of time. The time of the store's own sorting is the second value, in milliseconds.
    fn records(ask: &Ask, answer: Value) -> Vec<(Record, i64)> {
        let Some(Value::Array(hits)) = answer.get("hits").and_then(|hits| hits.get("hits")).cloned() else {
            return Vec::new();
        };
        let each = hits.into_iter().map(|mut hit| {
            let sorted = hit["sort"][0].as_i64().unwrap_or_default();
            // `date_nanos` sorts by nanoseconds.
            let sorted = if sorted.unsigned_abs() > 100_000_000_000_000 { sorted / 1_000_000 } else { sorted };
            let fields = match hit["_source"].take() {
                Value::Object(fields) => fields,
                _ => Map::new(),
            };
            let mut record =
                Record { time: Timestamp::UNIX_EPOCH, order: hit["sort"][1].as_u64().unwrap_or(0), fields };
            let by_store = Timestamp::from_millisecond(sorted).unwrap_or_default();
            // The source has the time as it was written, which is finer than what is sorted by.
            let own: Option<Timestamp> = record.text(&ask.fields.time).and_then(|time| time.parse().ok());
            record.time = own.filter(|own| own.as_millisecond() == sorted).unwrap_or(by_store);
            (record, sorted)
        });
        each.collect()
    }
}

/// An error of its own.
fn refused(error: WebError) -> StoreError {
    let WebError::Status { code: 400..=499, body, text, .. } = &error else { return error.into() };
    let answer: Value = serde_json::from_slice(body).unwrap_or_default();
    let cause = &answer["error"];
    let reason = cause["failed_shards"][0]["reason"]["reason"]
        .as_str()
        .or_else(|| cause["root_cause"][0]["reason"].as_str())
        .or_else(|| cause["reason"].as_str())
        .or_else(|| cause.as_str());
    match reason {
        Some(reason) => StoreError::Refused { store: NAME, message: crate::k8s::outside(reason) },
        None => StoreError::Foreign { store: NAME, message: text.clone() },
    }
}

impl LogStore for Elasticsearch<'_> {
    fn name(&self) -> &'static str {
        NAME
    }

    fn sample<'a>(&'a self, ask: &'a Ask, any: &'a [Condition]) -> BoxFuture<'a, Result<Vec<Record>, StoreError>> {
        Box::pin(async move {
            let time = if ask.fields.time.is_empty() { "@timestamp" } else { &ask.fields.time };
            let query =
                ask.query.as_ref().map_or(json!({"match_all": {}}), |query| json!({"query_string": {"query": query}}));
            // How a field is mapped is not known yet: a phrase is the whole of a keyword, and words in a row of a text.
            let phrases: Vec<Value> = any
                .iter()
                .filter_map(|one| match one {
                    Condition::Is(field, values) => Some((field, values.first()?)),
                    _ => None,
                })
                .map(|(field, value)| json!({"match_phrase": {field: value}}))
                .collect();
            let query = match phrases.is_empty() {
                true => query,
                false => json!({"bool": {"filter": [query], "should": phrases, "minimum_should_match": 1}}),
            };
            let body = json!({
                "size": SAMPLE, "query": query, "track_total_hits": false,
                "sort": [{time: {"order": "desc", "unmapped_type": "date"}}],
            });
            let answer = self.search(body, ask).await?;
            Ok(Self::records(ask, answer).into_iter().map(|(record, _)| record).collect())
        })
    }

    fn learn<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let fields = &ask.fields;
            let mut texts: Vec<String> =
                if fields.structured { fields.texts.clone() } else { vec![fields.text.clone()] };
            texts.retain(|text| !text.is_empty());
            let mut wanted: Vec<String> = texts.clone();
            wanted.extend(fields.groups().into_iter().map(str::to_owned));
            wanted.extend(ask.conditions.iter().flat_map(Condition::fields));
            wanted.push(fields.time.clone());
            wanted.sort();
            wanted.dedup();
            let list: Vec<String> = wanted.iter().flat_map(|name| [name.clone(), format!("{name}.keyword")]).collect();
            let request = WebRequest::get(format!("/{}/_field_caps", self.index))
                .with("fields", list.join(","))
                .with("ignore_unavailable", "true");
            let answer = self.ask(&request, ask).await?;
            let caps = &answer["fields"];
            let aggregatable = |name: &str| {
                caps[name]
                    .as_object()
                    .is_some_and(|types| !types.is_empty() && types.values().all(|one| one["aggregatable"] == true))
            };
            let mut known = self.known();
            for name in &wanted {
                let keyword = format!("{name}.keyword");
                let exact = [name.as_str(), keyword.as_str()].into_iter().find(|name| aggregatable(name));
                match exact {
                    Some(exact) => _ = known.exact.insert(name.clone(), exact.into()),
                    None if texts.contains(name) => {}
                    None if *name == fields.time => {
                        return Err(StoreError::Refused {
                            store: NAME,
                            message: format!(
                                "the field {name:?} is no time that it can sort by; --time-field names another"
                            ),
                        });
                    }
                    None => {
                        return Err(StoreError::Unselectable {
                            what: name.clone(),
                            why: "it is cut into words and has no .keyword beside it, so that values cannot be told apart".to_owned(),
                        });
                    }
                }
            }
            let is = |name: &str, kinds: &[&str]| {
                caps[name].as_object().is_some_and(|types| types.keys().any(|kind| kinds.contains(&kind.as_str())))
            };
            for name in texts {
                if is(&name, &["text", "match_only_text"]) {
                    known.texts.push((name, true));
                } else if is(&name, &["keyword", "wildcard", "constant_keyword", "version", "ip"]) {
                    known.texts.push((name, false));
                }
            }
            known.unsearchable = self.unsearchable(&known.texts, ask).await;
            *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
            Ok(())
        })
    }

    fn searches(&self, words: &Words) -> Result<(), String> {
        if !words.patterns.is_empty() {
            return Err("--pattern has no like in its search".to_owned());
        }
        self.known().unsearchable.map_or(Ok(()), Err)
    }

    fn count<'a>(&'a self, ask: &'a Ask, step: i64) -> BoxFuture<'a, Result<Vec<Group>, StoreError>> {
        Box::pin(async move {
            let names = ask.fields.groups();
            let (mut from, mut after, mut found) = (ask.since, Value::Null, Vec::new());
            let mut length = ask.since.duration_until(ask.until);
            while from < ask.until {
                // What a part does not hold is not gone through once more for each of its pages.
                let until = from.checked_add(length).map_or(ask.until, |until| until.min(ask.until));
                let mut body = self.counts(ask, step, (from, until));
                if !after.is_null() {
                    body["aggs"]["s"]["composite"]["after"] = after.take();
                }
                let answer = self.search(body, ask).await?;
                let part = &answer["aggregations"]["s"];
                let Some(buckets) = part["buckets"].as_array() else {
                    // No index matches.
                    return Ok(found);
                };
                let groups = buckets.iter().map(|bucket| group(bucket, names.len()));
                let last = buckets.last().filter(|_| buckets.len() >= BUCKETS);
                let Some(last) = last.and_then(|bucket| bucket["key"]["t"].as_i64()) else {
                    found.extend(groups);
                    from = until;
                    continue;
                };
                // The last step may go on in what was cut off.
                let edge = Timestamp::from_millisecond(last).unwrap_or(until);
                if edge > from {
                    found.extend(groups.filter(|group| group.start < edge.as_second()));
                    // Whole steps of whole seconds.
                    length = SignedDuration::from_secs(from.duration_until(edge).as_secs().max(step) / step * step * 2);
                    from = edge;
                } else {
                    // More containers than buckets.
                    found.extend(groups);
                    after = part["after_key"].clone();
                }
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
            self.open(ask).await;
            if let Wanted::Words(words) = wanted {
                self.weigh(words, ask).await?;
            }
            let query = self.query(ask, wanted, from, wanted.until(ask));
            // Of one time, in the order in which they were written.
            // An index of a pattern may have no record with this field, and none that is meant then.
            let time = json!({&ask.fields.time: {"order": "asc", "unmapped_type": "date"}});
            let sort = json!([time, {"_seq_no": "asc"}, {"_index": "asc"}]);
            let mut body = json!({"size": PAGE, "query": query, "sort": sort, "track_total_hits": false});
            let mut records: Vec<(Record, i64)> = Vec::new();
            loop {
                let answer = self.search(body.clone(), ask).await?;
                let last = answer["hits"]["hits"].as_array().and_then(|hits| Some(hits.last()?["sort"].clone()));
                let page = Self::records(ask, answer);
                let is_full = page.len() >= PAGE;
                records.extend(page);
                let ends = records.last().map(|(_, sorted)| *sorted);
                let Some(ends) = ends.filter(|_| is_full) else {
                    return Ok(Page { records: in_order(records), next: None });
                };
                // What shares the last moment may go on in the next page: it is read again, as a whole.
                let whole = records.partition_point(|(_, sorted)| *sorted < ends);
                if whole > 0 {
                    records.truncate(whole);
                    let next = Timestamp::from_millisecond(ends).unwrap_or(from);
                    return Ok(Page { records: in_order(records), next: Some(next) });
                }
                body["search_after"] = last.unwrap_or_default();
            }
        })
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let Some((id, is_open)) = self.known.lock().unwrap_or_else(PoisonError::into_inner).point.take() else {
                return;
            };
            let request = if is_open {
                WebRequest::delete("/_search/point_in_time", &json!({"pit_id": [id]}))
            } else {
                WebRequest::delete("/_pit", &json!({"id": id}))
            };
            // It ends by itself otherwise.
            let _ = self.web.bytes(&request).await;
        })
    }
}

/// A bucket of a `composite` aggregation.
fn group(bucket: &Value, fields: usize) -> Group {
    let moment = |value: &Value| {
        let number = value["value"].as_f64()?;
        let millis = if number.abs() > 1e14 { number / 1e6 } else { number };
        Timestamp::from_millisecond(millis as i64).ok()
    };
    let value = |index: usize| match &bucket["key"][format!("f{index}")] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    Group {
        values: (0..fields).map(value).collect(),
        start: bucket["key"]["t"].as_i64().unwrap_or_default().div_euclid(1000),
        count: bucket["doc_count"].as_u64().unwrap_or(0),
        seen: moment(&bucket["a"]).zip(moment(&bucket["z"])),
    }
}

fn in_order(records: Vec<(Record, i64)>) -> Vec<Record> {
    let mut records: Vec<Record> = records.into_iter().map(|(record, _)| record).collect();
    records.sort_by_key(|record| (record.time, record.order));
    records
}

impl Elasticsearch<'_> {
    /// Asks for the counts of a stretch, in order of time.
    fn counts(&self, ask: &Ask, step: i64, (from, until): (Timestamp, Timestamp)) -> Value {
        let time = &ask.fields.time;
        let mut sources = vec![json!({"t": {"date_histogram": {"field": time, "fixed_interval": format!("{step}s")}}})];
        sources.extend(ask.fields.groups().iter().enumerate().map(|(index, name)| {
            json!({format!("f{index}"): {"terms": {"field": self.exact(name), "missing_bucket": true}}})
        }));
        json!({
            "size": 0, "track_total_hits": false, "query": self.query(ask, &Wanted::All, from, until),
            "aggs": {"s": {
                "composite": {"size": BUCKETS, "sources": sources},
                "aggs": {"a": {"min": {"field": time}}, "z": {"max": {"field": time}}},
            }},
        })
    }

    /// Why these fields cannot be searched for words so that nothing is missed.
    async fn unsearchable(&self, texts: &[(String, bool)], ask: &Ask) -> Option<String> {
        if texts.is_empty() {
            return Some("no field of them is indexed as text".to_owned());
        }
        if texts.len() > MAX_TEXTS {
            return Some(format!("the records have {} fields of text", texts.len()));
        }
        let names: Vec<&str> = texts.iter().map(|(name, _)| name.as_str()).collect();
        let request = WebRequest::get(format!("/{}/_mapping/field/{}", self.index, names.join(",")));
        let Ok(mappings) = self.ask(&request, ask).await else {
            return Some("this user may not see how their text is indexed (_mapping)".to_owned());
        };
        let each = mappings.as_object().into_iter().flat_map(|indices| indices.values());
        for field in each.flat_map(|index| index["mappings"].as_object().into_iter().flatten()) {
            let mapping = field.1["mapping"].as_object().and_then(|inner| inner.values().next()).cloned();
            let mapping = mapping.unwrap_or_default();
            let analyzer = mapping["analyzer"].as_str();
            if analyzer.is_some_and(|analyzer| !matches!(analyzer, "standard" | "default")) {
                return Some(format!("the field {} has an analyser of its own", field.0));
            }
            if mapping["index"] == false || mapping.get("ignore_above").is_some() {
                return Some(format!("the field {} is not indexed whole", field.0));
            }
        }
        let request = WebRequest::get(format!("/{}/_settings/index.analysis.analyzer.default*", self.index));
        match self.ask(&request, ask).await {
            Ok(settings) if settings.to_string().contains("\"analysis\"") => {
                Some("their index has a default analyser of its own".to_owned())
            }
            Ok(_) => None,
            Err(_) => Some("this user may not see how their text is indexed (_settings)".to_owned()),
        }
    }
}
