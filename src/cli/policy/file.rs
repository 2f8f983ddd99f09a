//! Reads a policy file. A mistake is told by its place, with what was meant perhaps, and with nothing of the file.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::civil::Date;

use crate::audit::policy::{Expectation, Ignore, Matcher};
use crate::audit::{Policy, Severity, rules};
use crate::decode::located::{Mistake, Node, Place, Value, read};
use crate::model::{Direction, parse_span};

type Read<T> = Result<T, Mistake>;

/// Reads a policy.
///
/// # Errors
/// At the first mistake.
pub(in crate::cli) fn parse(text: &str) -> Read<Policy> {
    let root = read(text)?;
    let mut policy = Policy::default();
    if root.value == Value::Null {
        return Ok(policy);
    }
    let mut top = Fields::of(&root, &["apiVersion", "kind", "thresholds", "severities", "expectations", "ignores"])?;
    for (key, wanted) in [("apiVersion", "meshaudit/v1"), ("kind", "Policy")] {
        if let Some(node) = top.take(key)
            && text_of(node)? != wanted
        {
            return Err(node.at.mistake(format!("`{wanted}` is expected here")));
        }
    }
    if let Some(node) = top.take("thresholds") {
        let mut of = Fields::of(node, &["tooShort", "thin", "tooLong"])?;
        for (key, to) in [
            ("tooShort", &mut policy.too_short),
            ("thin", &mut policy.thin),
            ("tooLong", &mut policy.max_connect_timeout),
        ] {
            if let Some(node) = of.take(key) {
                *to = duration(node)?;
            }
        }
        if policy.max_connect_timeout < policy.thin.max(policy.too_short) {
            return Err(node.at.mistake("`tooLong` is below `thin` or `tooShort`: no value would be right"));
        }
    }
    if let Some(node) = top.take("severities") {
        policy.severities = severities(node)?;
    }
    if let Some(node) = top.take("expectations") {
        policy.expectations = list(node)?.iter().map(expectation).collect::<Read<_>>()?;
    }
    if let Some(node) = top.take("ignores") {
        policy.ignores = list(node)?.iter().map(ignore).collect::<Read<_>>()?;
    }
    Ok(policy)
}

/// The fields of a mapping, all of them known.
struct Fields<'n> {
    at: Place,
    fields: &'n [(String, Place, Node)],
}

impl<'n> Fields<'n> {
    fn of(node: &'n Node, known: &[&str]) -> Read<Self> {
        let Value::Map(fields) = &node.value else {
            return Err(node.at.mistake(format!("keys are expected here: {}", known.join(", "))));
        };
        match fields.iter().find(|(key, ..)| !known.contains(&key.as_str())) {
            Some((key, at, _)) => Err(at.mistake(format!("there is no such key; {}", meant(key, known)))),
            None => Ok(Self { at: node.at, fields }),
        }
    }

    /// A field that is there and is not empty.
    fn take(&mut self, key: &str) -> Option<&'n Node> {
        self.fields
            .iter()
            .find(|(known, ..)| known == key)
            .map(|(.., node)| node)
            .filter(|node| node.value != Value::Null)
    }

    fn text(&mut self, key: &str) -> Read<Option<String>> {
        self.take(key).map(|node| text_of(node).map(str::to_owned)).transpose()
    }
}

/// What was meant: the nearest that is known, or all.
fn meant(wrong: &str, known: &[&str]) -> String {
    let likeness = |name: &&&str| (strsim::jaro_winkler(&wrong.to_lowercase(), &name.to_lowercase()) * 1000.0) as u32;
    match known.iter().max_by_key(likeness) {
        Some(nearest) if likeness(&nearest) > 800 => format!("did you mean `{nearest}`?"),
        _ => format!("there are: {}", known.join(", ")),
    }
}

fn text_of(node: &Node) -> Read<&str> {
    match &node.value {
        Value::Scalar(text) => Ok(text),
        _ => Err(node.at.mistake("a text is expected here")),
    }
}

fn list(node: &Node) -> Read<&[Node]> {
    match &node.value {
        Value::List(list) => Ok(list),
        _ => Err(node.at.mistake("a list is expected here: lines that begin with `- `")),
    }
}

fn duration(node: &Node) -> Read<Duration> {
    let value = parse_span(text_of(node)?).ok().filter(|value| !value.is_zero());
    value.ok_or_else(|| node.at.mistake("a duration is expected here, e.g. 10s or 250ms"))
}

/// One of several words.
fn word<T: Copy>(node: &Node, words: &[(&str, T)]) -> Read<T> {
    let text = text_of(node)?;
    let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    found.ok_or_else(|| node.at.mistake(format!("there is no such word; {}", meant(text, &known))))
}

const SEVERITIES: [(&str, Severity); 3] =
    [("error", Severity::Error), ("warning", Severity::Warning), ("info", Severity::Info)];

fn severities(node: &Node) -> Read<BTreeMap<String, Option<Severity>>> {
    let Value::Map(fields) = &node.value else {
        return Err(node.at.mistake("rules with their severities are expected here, e.g. `MA002: info`"));
    };
    let words: Vec<(&str, Option<Severity>)> =
        SEVERITIES.iter().map(|(word, severity)| (*word, Some(*severity))).chain([("off", None)]).collect();
    fields.iter().map(|(key, at, value)| Ok((rule(key, *at)?, word(value, &words)?))).collect()
}

/// A rule's code, by its code or name.
fn rule(text: &str, at: Place) -> Read<String> {
    if let Some(info) = rules::find(text) {
        return Ok(info.code.to_owned());
    }
    let known: Vec<&str> = rules::ALL.iter().flat_map(|rule| [rule.info().code, rule.info().name]).collect();
    let meant = meant(text, &known);
    let meant = if meant.starts_with("did") { meant } else { "`kubectl meshaudit explain` lists them".to_owned() };
    Err(at.mistake(format!("there is no such rule; {meant}")))
}

fn matcher(of: &mut Fields<'_>) -> Read<Matcher> {
    let hosts = match of.take("host") {
        None => Vec::new(),
        Some(Node { value: Value::List(list), .. }) => {
            list.iter().map(|node| text_of(node).map(str::to_owned)).collect::<Read<_>>()?
        }
        Some(node) => vec![text_of(node)?.to_owned()],
    };
    let directions = [Direction::Outbound, Direction::Inbound, Direction::InboundVip].map(|one| (one.as_str(), one));
    Ok(Matcher {
        hosts,
        namespace: of.text("namespace")?,
        workload: of.text("workload")?,
        direction: of.take("direction").map(|node| word(node, &directions)).transpose()?,
    })
}

fn expectation(node: &Node) -> Read<Expectation> {
    let known = ["host", "namespace", "workload", "direction", "connectTimeout", "min", "max", "severity", "reason"];
    let mut of = Fields::of(node, &known)?;
    let exact = of.take("connectTimeout").map(duration).transpose()?;
    let (min, max) = (of.take("min"), of.take("max"));
    if let (Some(_), Some(bound)) = (exact, min.or(max)) {
        return Err(bound.at.mistake("`connectTimeout` is exact; `min` and `max` do not stand beside it"));
    }
    let (low, high) = (min.map(duration).transpose()?, max.map(duration).transpose()?);
    if exact.or(low).or(high).is_none() {
        return Err(of.at.mistake("`connectTimeout`, `min` or `max` is missing"));
    }
    if let (Some(low), Some(high), Some(node)) = (low, high, max)
        && high < low
    {
        return Err(node.at.mistake("`max` is below `min`"));
    }
    Ok(Expectation {
        of: matcher(&mut of)?,
        min: exact.or(low),
        max: exact.or(high),
        severity: of.take("severity").map_or(Ok(Severity::Error), |node| word(node, &SEVERITIES))?,
        reason: of.text("reason")?.unwrap_or_default(),
    })
}

fn ignore(node: &Node) -> Read<Ignore> {
    let mut of = Fields::of(node, &["rule", "host", "namespace", "workload", "direction", "reason", "expires"])?;
    let code = of.take("rule").map(|node| rule(text_of(node)?, node.at)).transpose()?;
    let expires = of.take("expires").map(|node| {
        let day = text_of(node)?.parse::<Date>();
        day.map_err(|_| node.at.mistake("a day is expected here, e.g. 2027-01-31"))
    });
    let matched = matcher(&mut of)?;
    if code.is_none() && matched == Matcher::default() {
        return Err(of
            .at
            .mistake("this would ignore everything; name a `rule`, a `host`, a `namespace` or a `workload`"));
    }
    let reason = of.text("reason")?.filter(|reason| !reason.trim().is_empty());
    Ok(Ignore {
        rule: code,
        of: matched,
        reason: reason.ok_or_else(|| of.at.mistake("`reason` is missing: why it may be ignored"))?,
        expires: expires.transpose()?,
    })
}
