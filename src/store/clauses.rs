//! Words as clauses of Elasticsearch's queries, for a field that its standard analyser cuts into tokens.
//!
//! A token whose beginning is known is looked up. One that may begin with anything takes a pass over all tokens there
//! are, tens of millions of a month of logs: those passes are few, since one expression stands for many words, and since
//! what stands beside such a token is mostly rare enough to be looked up alone.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::ask::{Words, quote};
use super::tokens::{Edge, Part, standard_parts};

/// A regular expression may have 1,000 letters (`index.max_regex_length`).
const MAX_REGEX: usize = 800;

/// The clauses for one field: one of them holds of every record with one of the words.
pub(super) struct Clauses {
    field: String,
    alone: Vec<Value>,
    /// Tokens that are looked up, in order, and what one of must stand beside them.
    pairs: Vec<(Value, Patterns)>,
}

impl Clauses {
    pub(super) fn new(field: &str, words: &Words) -> Self {
        let mut alone = Vec::new();
        let mut passes = Patterns::default();
        let mut pairs: BTreeMap<String, (Value, Patterns)> = BTreeMap::new();
        for word in words.any_case.iter().chain(&words.exact) {
            let parts = standard_parts(word);
            let (known, open): (Vec<&Part>, Vec<&Part>) = parts.iter().partition(|part| part.before == Edge::End);
            let looked_up = all(known.into_iter().map(|part| look_up(field, part)).collect());
            match (looked_up, open.first()) {
                (None, None) => {}
                (None, Some(part)) => passes.add(part),
                (Some(clause), None) => alone.push(clause),
                // One of them is enough: what is wider than the word is looked at again.
                (Some(clause), Some(part)) => {
                    pairs.entry(clause.to_string()).or_insert((clause, Patterns::default())).1.add(part);
                }
            }
        }
        alone.extend(passes.clauses(field));
        let flags: Vec<String> = words.flags.iter().map(|flag| flag.to_lowercase()).collect();
        if !flags.is_empty() {
            alone.push(json!({"terms": {field: flags}}));
        }
        Self { field: field.to_owned(), alone, pairs: pairs.into_values().collect() }
    }

    /// What is looked up beside tokens that are not, to be counted.
    pub(super) fn looked_up(&self) -> impl Iterator<Item = &Value> {
        self.pairs.iter().map(|(clause, _)| clause)
    }

    /// The clauses, where of those that are looked up, in their order, it is known whether they are rare.
    pub(super) fn any(self, rare: &mut dyn Iterator<Item = bool>) -> Vec<Value> {
        let mut any = self.alone;
        for (clause, beside) in self.pairs {
            if rare.next().unwrap_or(false) {
                any.push(clause);
            } else {
                let beside = beside.clauses(&self.field);
                any.push(json!({"bool": {"filter": [clause], "should": beside, "minimum_should_match": 1}}));
            }
        }
        any
    }
}

fn all(mut clauses: Vec<Value>) -> Option<Value> {
    match clauses.len() {
        0 => None,
        1 => clauses.pop(),
        _ => Some(json!({"bool": {"filter": clauses}})),
    }
}

fn look_up(field: &str, part: &Part) -> Value {
    let text = &part.text;
    if part.after == Edge::End { json!({"term": {field: text}}) } else { json!({"prefix": {field: text}}) }
}

/// Texts of tokens by what may stand before and behind them.
#[derive(Default)]
struct Patterns(BTreeMap<(&'static str, &'static str), BTreeSet<String>>);

impl Patterns {
    fn add(&mut self, part: &Part) {
        let before = match part.before {
            Edge::End => "",
            Edge::Sign => "(.*[^a-z0-9_])?",
            Edge::Open => ".*",
        };
        let after = match part.after {
            Edge::End => "",
            Edge::Sign => "([^a-z0-9_].*)?",
            Edge::Open => ".*",
        };
        self.0.entry((before, after)).or_default().insert(quote(&part.text));
    }

    /// As few expressions as their length allows.
    fn clauses(&self, field: &str) -> Vec<Value> {
        let mut found: Vec<String> = Vec::new();
        for ((before, after), texts) in &self.0 {
            let mut some = String::new();
            for text in texts {
                if some.len() + text.len() > MAX_REGEX {
                    found.push(format!("{before}({some}){after}"));
                    some.clear();
                }
                if !some.is_empty() {
                    some.push('|');
                }
                some.push_str(text);
            }
            found.push(format!("{before}({some}){after}"));
        }
        let mut joined: Vec<String> = Vec::new();
        for one in found {
            match joined.last_mut().filter(|last| last.len() + one.len() < MAX_REGEX) {
                Some(last) => *last = format!("{last}|{one}"),
                None => joined.push(one),
            }
        }
        joined.into_iter().map(|expression| json!({"regexp": {field: {"value": expression}}})).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str], rare: bool) -> Value {
        let any_case = words.iter().map(|word| (*word).to_owned()).collect();
        let words = Words { any_case, flags: vec!["UF".to_owned()], ..Words::default() };
        Value::Array(Clauses::new("log", &words).any(&mut std::iter::repeat(rare)))
    }

    #[test]
    fn tokens_that_may_begin_with_anything_share_their_passes() {
        assert_eq!(
            of(&["econnreset", "epipe", "remotehost", "eof:"], false),
            json!([
                {"regexp": {"log": {"value": ".*(eof)([^a-z0-9_].*)?|.*(econnreset|epipe|remotehost).*"}}},
                {"terms": {"log": ["uf"]}},
            ])
        );
        assert_eq!(
            of(&["connection reset", "was reset", "(104)"], false),
            json!([
                {"term": {"log": "104"}},
                {"terms": {"log": ["uf"]}},
                {"bool": {
                    "filter": [{"prefix": {"log": "reset"}}],
                    "should": [{"regexp": {"log": {"value": ".*(connection|was)"}}}],
                    "minimum_should_match": 1,
                }},
            ])
        );
    }

    #[test]
    fn what_is_rare_is_looked_up_alone() {
        assert_eq!(
            of(&["connection reset", "errno\": -104", "no more data"], true),
            json!([
                {"terms": {"log": ["uf"]}},
                {"bool": {"filter": [{"term": {"log": "more"}}, {"prefix": {"log": "data"}}]}},
                {"prefix": {"log": "104"}},
                {"prefix": {"log": "reset"}},
            ])
        );
    }
}
