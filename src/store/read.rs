//! Reading a store: look at a sample, count, and read what may matter.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::ask::{Ask, Condition, Span, Wanted};
use super::fields::{Fields, FieldsGiven, NAMESPACES};
use super::record::{Record, Source};
use super::{LogStore, PAGE, StoreError};

/// What belongs to a failure and has none of its words: the lines of its trace behind it, and what began the call before
/// it.
const BEFORE: SignedDuration = SignedDuration::from_secs(11);
const BEHIND: SignedDuration = SignedDuration::from_secs(1);
/// The longest stretch around failures that is asked for as one.
const LONGEST: SignedDuration = SignedDuration::from_mins(1);
/// Places in files that are remembered of one source, to know a record that was shipped again.
const MAX_PLACES: usize = 100_000;

/// How to read.
pub struct ReadOptions {
    /// Fields that the user names.
    pub given: FieldsGiven,
    /// Seconds of a step that is counted.
    pub step: i64,
    /// Moments that cut steps.
    pub marks: Vec<Timestamp>,
    /// What is transferred where there is more than a page.
    pub wanted: Wanted,
    /// How far a record's own time may be from the store's: so much more is read on both sides.
    pub slack: SignedDuration,
    /// Whether proxies' calls are counted where not all records are read.
    pub calls: bool,
}

/// Records that a store counted and that were not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Whose.
    pub source: Source,
    /// The stretch, in seconds since the epoch; it holds no mark in its inside.
    pub start: i64,
    /// Its end.
    pub end: i64,
    /// How many.
    pub count: u64,
    /// How many of them are calls to other workloads, of a proxy's.
    pub calls: u64,
    /// The first and the last.
    pub seen: Option<(Timestamp, Timestamp)>,
}

/// What was read.
#[derive(Debug, Default)]
pub struct Summary {
    /// Which field is what.
    pub fields: Fields,
    /// Whether all records were read.
    pub whole: bool,
    /// All records.
    pub total: u64,
    /// Records that were read.
    pub read: u64,
    /// What was counted only.
    pub counted: Vec<Counted>,
    /// How many sources there are.
    pub sources: usize,
    /// Whether they are of several namespaces.
    pub several_namespaces: bool,
    /// Records that were shipped twice, and counted once.
    pub shipped_twice: u64,
    /// Records like another one, of which it cannot be told whether they were shipped twice.
    pub doubtful: u64,
    /// Why reading ended before its end.
    pub broke_off: Option<StoreError>,
}

/// Takes what is read.
pub trait Reader {
    /// Which fields were found, how many records there are, and whether sources are of several namespaces.
    fn begin(&mut self, summary: &Summary);
    /// A line with its time before it, as `kubectl logs --timestamps` prints it, or with its stream as a runtime keeps it.
    fn line(&mut self, source: &Source, line: &[u8]);
    /// How far reading has come.
    fn progress(&mut self, at: Timestamp);
}

/// What else selects records, once their fields are known from a sample.
pub type Select<'a> = dyn Fn(&Fields, &[Record]) -> Result<Vec<Condition>, StoreError> + 'a;

/// Reads what the ask means. What a store answers only in part is in [`Ask::told`].
///
/// # Errors
/// Where nothing could be read. What broke off later is in the summary.
pub async fn read(
    store: &dyn LogStore,
    ask: &mut Ask,
    select: &Select<'_>,
    options: &ReadOptions,
    reader: &mut dyn Reader,
) -> Result<Summary, StoreError> {
    let outcome = reading(store, ask, select, options, reader).await;
    store.close().await;
    outcome
}

async fn reading(
    store: &dyn LogStore,
    ask: &mut Ask,
    select: &Select<'_>,
    options: &ReadOptions,
    reader: &mut dyn Reader,
) -> Result<Summary, StoreError> {
    if let Some(time) = &options.given.time {
        ask.fields.time.clone_from(time);
    }
    let sample = sample(store, ask).await?;
    if sample.is_empty() {
        return Err(StoreError::Nothing { store: store.name(), what: nothing(ask) });
    }
    ask.fields = Fields::of(&sample, &options.given)?;
    ask.conditions = select(&ask.fields, &sample)?;
    store.learn(ask).await?;
    let mut counted = count(store, ask, options).await?;
    let total: u64 = counted.values().map(|counted| counted.count).sum();
    if total == 0 {
        return Err(StoreError::Nothing { store: store.name(), what: nothing(ask) });
    }
    narrow(ask, &counted, options.slack);
    let mut summary = Summary { fields: ask.fields.clone(), total, whole: total <= PAGE as u64, ..Summary::default() };
    let sources: HashSet<&Source> = counted.values().map(|counted| &counted.source).collect();
    summary.sources = sources.len();
    let namespaces: HashSet<&str> = sources.iter().map(|source| source.namespace.as_str()).collect();
    summary.several_namespaces = namespaces.len() > 1;
    let mut wanted = &options.wanted;
    if let Wanted::Words(words) = wanted
        && !summary.whole
        && let Err(why) = store.searches(words)
    {
        ask.told.remark(format!("All {total} records are read, since words cannot be searched for: {why}."));
        summary.whole = true;
    }
    if summary.whole {
        wanted = &Wanted::All;
    }
    if !matches!(wanted, Wanted::All) && options.calls && sources_of_proxies(&counted) {
        count_calls(store, ask, options, &mut counted).await?;
    }
    reader.begin(&summary);
    let mut feeding =
        Feeding { store, options, counted: &mut counted, states: HashMap::new(), summary: &mut summary, reader };
    if let Err(error) = pages(store, ask, wanted, &mut feeding).await {
        if feeding.summary.read == 0 {
            return Err(error);
        }
        feeding.summary.broke_off = Some(error);
    }
    summary.counted = counted.into_values().filter(|counted| counted.count > 0).collect();
    Ok(summary)
}

/// The container that Istio gives its proxies.
const PROXY: &str = "istio-proxy";
/// What stands in an access log line of a call that a workload made: the cluster's direction.
const OUTBOUND: &str = "outbound";

fn sources_of_proxies(counts: &Counts) -> bool {
    counts.values().any(|counted| counted.source.container == PROXY)
}

/// The calls of proxies among what was counted.
async fn count_calls(
    store: &dyn LogStore,
    ask: &mut Ask,
    options: &ReadOptions,
    counts: &mut Counts,
) -> Result<(), StoreError> {
    ask.conditions.push(Condition::Says(OUTBOUND));
    let calls = count(store, ask, options).await;
    ask.conditions.pop();
    for (key, calls) in calls? {
        if let Some(counted) = counts.get_mut(&key).filter(|counted| counted.source.container == PROXY) {
            counted.calls = calls.count.min(counted.count);
        }
    }
    Ok(())
}

/// Records of the namespace that is meant, or of all where no shipper's name for it finds any.
async fn sample(store: &dyn LogStore, ask: &Ask) -> Result<Vec<Record>, StoreError> {
    if let Some(namespace) = &ask.namespace {
        let each = NAMESPACES.map(|field| Condition::Is(field.to_owned(), vec![namespace.clone()]));
        match store.sample(ask, &each).await {
            Ok(sample) if sample.is_empty() => {}
            Err(StoreError::Refused { .. }) => {}
            sample => return sample,
        }
    }
    store.sample(ask, &[]).await
}

/// Of what there is nothing.
fn nothing(ask: &Ask) -> String {
    let query = ask.query.as_ref().map_or_else(String::new, |query| format!(" for {query}"));
    let namespace = match (&ask.namespace, &*ask.fields.namespace) {
        (Some(namespace), field) if !field.is_empty() => format!(" with {namespace:?} in {field}"),
        _ => String::new(),
    };
    format!("from {} to {}{query}{namespace}", ask.since, ask.until)
}

/// The counts by source, segment between marks, and step.
type Counts = BTreeMap<(Vec<String>, usize, i64), Counted>;

async fn count(store: &dyn LogStore, ask: &mut Ask, options: &ReadOptions) -> Result<Counts, StoreError> {
    let whole = (ask.since, ask.until);
    let inside = options.marks.iter().copied().filter(|mark| whole.0 < *mark && *mark < whole.1);
    let mut edges: Vec<Timestamp> = std::iter::once(whole.0).chain(inside).chain([whole.1]).collect();
    edges.dedup();
    let mut counts = Counts::new();
    for segment in edges.windows(2) {
        (ask.since, ask.until) = (segment[0], segment[1]);
        let of = options.marks.partition_point(|mark| *mark <= segment[0]);
        let groups = store.count(ask, options.step).await;
        (ask.since, ask.until) = whole;
        for group in groups? {
            let source = ask.fields.source(&group.values);
            let counted = Counted {
                source,
                start: group.start.max(segment[0].as_second()),
                end: (group.start + options.step).min(segment[1].as_second().max(group.start + 1)),
                count: group.count,
                calls: 0,
                seen: group.seen,
            };
            if is_meant(ask, &group.values) {
                counts.insert((group.values, of, group.start), counted);
            }
        }
    }
    Ok(counts)
}

/// A store's filter may be wider than what is meant: the values that it grouped by are looked at once more.
fn is_meant(ask: &Ask, values: &[String]) -> bool {
    let pairs = ask.fields.groups().into_iter().zip(values);
    let fields: Map<String, Value> = pairs.map(|(name, value)| (name.to_owned(), value.clone().into())).collect();
    let group = Record { time: Timestamp::UNIX_EPOCH, order: 0, fields };
    let names = ask.fields.groups();
    let told = |condition: &&Condition| {
        let fields = condition.fields();
        !fields.is_empty() && fields.iter().all(|field| names.contains(&field.as_str()))
    };
    ask.conditions.iter().filter(told).all(|condition| condition.holds(&group))
}

/// Nothing outside of what was counted is asked for.
fn narrow(ask: &mut Ask, counts: &Counts, slack: SignedDuration) {
    let first = counts.values().map(|counted| counted.start).min();
    let last = counts.values().map(|counted| counted.end).max();
    let at = |second: Option<i64>| second.and_then(|second| Timestamp::from_second(second).ok());
    if let (Some(first), Some(last)) = (at(first), at(last.map(|last| last + 1))) {
        ask.since = ask.since.max(first).checked_sub(slack).unwrap_or(ask.since);
        ask.until = ask.until.min(last).checked_add(slack).unwrap_or(ask.until);
    }
}

async fn pages(
    store: &dyn LogStore,
    ask: &Ask,
    wanted: &Wanted,
    feeding: &mut Feeding<'_, '_>,
) -> Result<(), StoreError> {
    let (mut from, mut around, mut asked) = (ask.since, matches!(wanted, Wanted::Words(_)), 0);
    loop {
        let mut page = store.page(ask, wanted, from).await?;
        page.records.retain(|record| is_wanted(ask, record));
        let spans = if around { spans(ask, &page.records) } else { Vec::new() };
        asked += spans.len();
        if around && asked > store.most_spans() {
            around = false;
            ask.told.remark(format!(
                "From {from} on {} is not asked for what stands around failures, which are too many: of traces over several records only those with the words are read, and delays are known where failures say them.",
                store.name()
            ));
        }
        if around {
            surroundings(store, ask, spans, feeding).await?;
        } else {
            feeding.take_all(ask, &page.records, |_| true);
        }
        let Some(next) = page.next else { return Ok(()) };
        from = next;
    }
}

fn is_wanted(ask: &Ask, record: &Record) -> bool {
    ask.conditions.iter().all(|condition| condition.holds(record))
}

/// The stretches around records, by source and time, none overlapping another.
fn spans(ask: &Ask, records: &[Record]) -> Vec<Span> {
    let mut by_source: BTreeMap<Vec<String>, Vec<Span>> = BTreeMap::new();
    for record in records {
        let values = ask.fields.values(record);
        let from = record.time.checked_sub(BEFORE).unwrap_or(record.time);
        let until = record.time.checked_add(BEHIND).unwrap_or(record.time);
        let spans = by_source.entry(values.clone()).or_default();
        match spans.last_mut() {
            Some(last) if last.until < from => spans.push(Span { values, from, until }),
            Some(last) if last.until >= until => {}
            // What follows one another without end is asked for piece by piece.
            Some(last) if last.from.duration_until(last.until) >= LONGEST => {
                let from = last.until;
                spans.push(Span { values, from, until });
            }
            Some(last) => last.until = until,
            None => spans.push(Span { values, from, until }),
        }
    }
    let mut spans: Vec<Span> = by_source.into_values().flatten().collect();
    spans.sort_by_key(|span| span.from);
    spans
}

/// Reads what lies in the stretches, some of them at a time: those of one source come in order.
async fn surroundings(
    store: &dyn LogStore,
    ask: &Ask,
    spans: Vec<Span>,
    feeding: &mut Feeding<'_, '_>,
) -> Result<(), StoreError> {
    for some in spans.chunks(store.spans_at_once().max(1)) {
        let wanted = Wanted::Around(some.to_vec());
        let mut from = some.first().map_or(ask.since, |span| span.from).max(ask.since);
        loop {
            let page = store.page(ask, &wanted, from).await?;
            // A store may know milliseconds only, so that two stretches seem to share one.
            feeding.take_all(ask, &page.records, |record| {
                let within = |span: &&Span| span.from <= record.time && record.time < span.until;
                some.iter().filter(within).any(|span| span.values == ask.fields.values(record))
            });
            let Some(next) = page.next else { break };
            from = next;
        }
    }
    for span in spans {
        let fed_until = &mut feeding.state(ask, span.values).fed_until;
        *fed_until = Some(fed_until.map_or(span.until, |until| until.max(span.until)));
    }
    Ok(())
}

/// What was given of one source.
struct State {
    source: Source,
    /// All before this was given.
    fed_until: Option<Timestamp>,
    /// The texts of the last moment.
    at: Timestamp,
    texts: Vec<u64>,
    places: HashSet<u64>,
}

struct Feeding<'f, 'r> {
    store: &'f dyn LogStore,
    options: &'f ReadOptions,
    counted: &'f mut Counts,
    states: HashMap<Vec<String>, State>,
    summary: &'f mut Summary,
    reader: &'r mut dyn Reader,
}

impl Feeding<'_, '_> {
    fn state(&mut self, ask: &Ask, values: Vec<String>) -> &mut State {
        let source = ask.fields.source(&values);
        self.states.entry(values).or_insert_with(|| State {
            source,
            fed_until: None,
            at: Timestamp::MIN,
            texts: Vec::new(),
            places: HashSet::new(),
        })
    }

    /// Takes those records that are meant, in order of time.
    fn take_all(&mut self, ask: &Ask, records: &[Record], meant: impl Fn(&Record) -> bool) {
        if let Some(last) = records.last() {
            self.reader.progress(last.time);
        }
        for record in records.iter().filter(|record| is_wanted(ask, record) && meant(record)) {
            self.take(ask, record);
        }
    }

    fn take(&mut self, ask: &Ask, record: &Record) {
        let values = ask.fields.values(record);
        let text = text_of(&ask.fields, record);
        let state = self.state(ask, values.clone());
        if state.fed_until.is_some_and(|until| record.time < until) {
            return;
        }
        let again = state.again(&ask.fields, record, &text);
        let source = state.source.clone();
        self.summary.read += 1;
        // What was read is not counted once more, a copy of it neither.
        let segment = self.options.marks.partition_point(|mark| *mark <= record.time);
        let start = self.store.step_of(record.time, self.options.step);
        if let Some(counted) = self.counted.get_mut(&(values, segment, start)) {
            counted.count = counted.count.saturating_sub(1);
            if counted.calls > 0 && text.contains(OUTBOUND) {
                counted.calls -= 1;
            }
        }
        match again {
            Again::No => {}
            Again::Copy => {
                self.summary.shipped_twice += 1;
                return;
            }
            Again::Like => self.summary.doubtful += 1,
        }
        let stream = record.text(&ask.fields.stream).filter(|stream| matches!(*stream, "stdout" | "stderr"));
        let head = stream.map_or_else(String::new, |stream| format!("{stream} F "));
        // As a kubelet prints it.
        let head = format!("{:.9} {head}", record.time);
        for line in text.trim_end_matches(['\n', '\r']).split('\n') {
            self.reader.line(&source, format!("{head}{}", line.trim_end_matches('\r')).as_bytes());
        }
    }
}

/// Whether a record was there before.
enum Again {
    No,
    Copy,
    Like,
}

impl State {
    /// The same place in the same file is the same record; so is the same text of the same container at the same moment,
    /// if moments are finer than milliseconds: a runtime gives each line its own.
    fn again(&mut self, fields: &Fields, record: &Record, text: &str) -> Again {
        if let Some((file, offset)) = &fields.place
            && let (Some(file), Some(offset)) = (record.get(file), record.get(offset))
        {
            if self.places.len() >= MAX_PLACES {
                self.places.clear();
            }
            let is_new = self.places.insert(hash(&(file.to_string(), offset.to_string())));
            return if is_new { Again::No } else { Again::Copy };
        }
        if self.at != record.time {
            self.at = record.time;
            self.texts.clear();
        }
        let text = hash(&(text, record.text(&fields.stream)));
        if !self.texts.contains(&text) {
            self.texts.push(text);
            return Again::No;
        }
        if record.time.subsec_nanosecond() % 1_000_000 != 0 { Again::Copy } else { Again::Like }
    }
}

fn hash(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// What the program wrote: its line, or the object whose members the shipper took apart.
fn text_of(fields: &Fields, record: &Record) -> String {
    let line = record.text(&fields.text);
    if fields.structured {
        let own = fields.own(record);
        if own.keys().any(|name| *name != fields.text) || line.is_none() {
            let mut own = own;
            // VictoriaLogs' name for the message.
            if let Some(message) = own.remove("_msg") {
                own.insert("message".to_owned(), message);
            }
            return Value::Object(own).to_string();
        }
    }
    line.unwrap_or_default().to_owned()
}
