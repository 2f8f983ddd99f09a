//! Sets one field in a YAML document and leaves every other byte of it as it is: comments, order, quotes, line ends.
//! JSON is YAML in flow style, and is edited as that.

use std::fmt::Write;
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, StructureStyle};
use serde_json::Value;

/// The text with the field set, and where the change is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edited {
    /// The whole text afterwards.
    pub text: String,
    /// The bytes of the old text that were replaced; empty where something was inserted.
    pub replaced: Range<usize>,
}

/// Sets the field at the end of `path`, made with what is missing on the way. A step of the path is a field's
/// spellings, the one that counts first: protobuf takes `connectTimeout` and `connect_timeout`.
///
/// `None` where no change in one place does it: the text is no mapping, the value stands behind an anchor that is
/// used elsewhere, or a block scalar holds it.
#[must_use]
pub fn set(text: &str, path: &[&[&str]], value: &str) -> Option<Edited> {
    let nodes = Nodes::read(text)?;
    let edited = match nodes.root() {
        // Nothing but comments: a first line of its own.
        None => append(text, path, value),
        Some(root) => nodes.set_in(root, path, value)?,
    };
    // Only what means what is meant, and changes nothing else, may be handed out.
    let before = read(text)?;
    let mut meant = before;
    put(&mut meant, path, value)?;
    (read(&edited.text)? == meant).then_some(edited)
}

/// A document as JSON; of a key that is there twice the last counts, as for Istio.
fn read(text: &str) -> Option<Value> {
    let options = serde_saphyr::options! { duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins };
    serde_saphyr::from_str_with_options::<Option<Value>>(text, options).ok().map(|value| value.unwrap_or(Value::Null))
}

fn put(at: &mut Value, path: &[&[&str]], value: &str) -> Option<()> {
    let Some((names, rest)) = path.split_first() else {
        *at = Value::String(value.to_owned());
        return Some(());
    };
    if at.is_null() {
        *at = Value::Object(serde_json::Map::new());
    }
    let fields = at.as_object_mut()?;
    let name = names.iter().find(|name| fields.contains_key(**name)).or(names.first())?;
    put(fields.entry((*name).to_owned()).or_insert(Value::Null), rest, value)
}

/// A document's nodes in the order of the text.
struct Nodes<'t> {
    text: &'t str,
    events: Vec<(Event<'t>, Range<usize>)>,
}

impl<'t> Nodes<'t> {
    /// `None` where the text is no YAML, or more than one document.
    fn read(text: &'t str) -> Option<Self> {
        let mut events = Vec::new();
        let mut documents = 0;
        for next in Parser::new_from_str(text) {
            let (event, span) = next.ok()?;
            match event {
                Event::DocumentStart(..) => documents += 1,
                Event::Scalar(..)
                | Event::Alias(_)
                | Event::SequenceStart(..)
                | Event::SequenceEnd
                | Event::MappingStart(..)
                | Event::MappingEnd => events.push((event, span.byte_range()?)),
                _ => {}
            }
        }
        (documents <= 1).then_some(Self { text, events })
    }

    fn root(&self) -> Option<usize> {
        (!self.events.is_empty()).then_some(0)
    }

    /// The position after a node and all that is in it.
    fn after(&self, node: usize) -> usize {
        let mut depth = 0usize;
        for (at, (event, _)) in self.events.iter().enumerate().skip(node) {
            match event {
                Event::SequenceStart(..) | Event::MappingStart(..) => depth += 1,
                Event::SequenceEnd | Event::MappingEnd => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 {
                return at + 1;
            }
        }
        self.events.len()
    }

    /// The fields of a mapping: positions of the key and of the value.
    fn fields(&self, mapping: usize) -> Vec<(usize, usize)> {
        let mut fields = Vec::new();
        let mut at = mapping + 1;
        while self.events.get(at).is_some_and(|(event, _)| !matches!(event, Event::MappingEnd)) {
            let value = self.after(at);
            fields.push((at, value));
            at = self.after(value);
        }
        fields
    }

    fn scalar(&self, node: usize) -> Option<&str> {
        match self.events.get(node)? {
            (Event::Scalar(value, ..), _) => Some(value),
            _ => None,
        }
    }

    fn set_in(&self, node: usize, path: &[&[&str]], value: &str) -> Option<Edited> {
        let (event, range) = self.events.get(node)?;
        let Some((names, rest)) = path.split_first() else {
            return self.set_value(node, value);
        };
        match event {
            Event::MappingStart(style, ..) => {
                let fields = self.fields(node);
                // The spelling that counts; of a key that is there twice, the last.
                let found = names.iter().find_map(|name| {
                    fields.iter().rev().find(|(key, _)| self.scalar(*key).is_some_and(|known| known == *name))
                });
                match (found, style) {
                    (Some(&(key, value_at)), _) if self.is_missing(value_at) => self.set_missing(key, rest, value),
                    (Some(&(_, value_at)), _) => self.set_in(value_at, rest, value),
                    (None, StructureStyle::Flow) => {
                        let at = range.start + 1;
                        self.text.get(range.start..at).filter(|brace| *brace == "{")?;
                        let more = if fields.is_empty() { "" } else { ", " };
                        Some(self.put(at..at, &format!("{}{more}", flow(path, value))))
                    }
                    (None, StructureStyle::Block) => self.insert_before(fields.first()?.0, path, value),
                }
            }
            Event::Scalar(known, ScalarStyle::Plain, ..) if matches!(&**known, "~" | "null") => {
                Some(self.put(range.clone(), &format!("{{{}}}", flow(path, value))))
            }
            _ => None,
        }
    }

    /// Another value in the place of a scalar, in the quotes that it has.
    fn set_value(&self, node: usize, value: &str) -> Option<Edited> {
        let (event, range) = self.events.get(node)?;
        match event {
            Event::Scalar(_, style, anchor, _) => {
                let used = |(event, _): &(Event<'_>, Range<usize>)| matches!(event, Event::Alias(id) if id == anchor);
                if *anchor != 0 && self.events.iter().any(used) {
                    return None;
                }
                match style {
                    ScalarStyle::Plain => Some(self.put(range.clone(), value)),
                    ScalarStyle::SingleQuoted => Some(self.put(range.clone(), &format!("'{value}'"))),
                    ScalarStyle::DoubleQuoted => Some(self.put(range.clone(), &format!("\"{value}\""))),
                    _ => None,
                }
            }
            Event::Alias(_) => Some(self.put(range.clone(), value)),
            _ => None,
        }
    }

    /// Whether a field has no value at all: `connectTimeout:`.
    fn is_missing(&self, node: usize) -> bool {
        matches!(self.events.get(node), Some((Event::Scalar(value, ScalarStyle::Plain, ..), range)) if value.is_empty() || range.is_empty())
    }

    /// A value for a field that has none, behind the colon.
    fn set_missing(&self, key: usize, path: &[&[&str]], value: &str) -> Option<Edited> {
        let end = self.events.get(key)?.1.end;
        let blank = self.text[end..].find(':')?;
        self.text[end..end + blank].trim().is_empty().then_some(())?;
        let at = end + blank + 1;
        let new = if path.is_empty() { value.to_owned() } else { format!("{{{}}}", flow(path, value)) };
        Some(self.put(at..at, &format!(" {new}")))
    }

    /// Lines of their own before a block mapping's first key, as far in as that is.
    fn insert_before(&self, key: usize, path: &[&[&str]], value: &str) -> Option<Edited> {
        let (_, range) = self.events.get(key)?;
        let line = self.text[..range.start].rfind('\n').map_or(0, |at| at + 1);
        let indent = &self.text[line..range.start];
        if !indent.bytes().all(|byte| byte == b' ') {
            return None;
        }
        Some(self.put(line..line, &block(path, value, indent, line_end(self.text))))
    }

    fn put(&self, range: Range<usize>, new: &str) -> Edited {
        let text = format!("{}{new}{}", &self.text[..range.start], &self.text[range.end..]);
        Edited { text, replaced: range }
    }
}

fn append(text: &str, path: &[&[&str]], value: &str) -> Edited {
    let end = line_end(text);
    let apart = if text.is_empty() || text.ends_with('\n') { "" } else { end };
    let text_after = format!("{text}{apart}{}", block(path, value, "", end));
    Edited { text: text_after, replaced: text.len()..text.len() }
}

fn line_end(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

/// `a:\n  b: value\n`.
fn block(path: &[&[&str]], value: &str, indent: &str, end: &str) -> String {
    let mut text = String::new();
    for (depth, names) in path.iter().enumerate() {
        let value = if depth + 1 == path.len() { format!(" {value}") } else { String::new() };
        let _ = write!(text, "{indent}{:1$}{name}:{value}{end}", "", depth * 2, name = names[0]);
    }
    text
}

/// `"a": {"b": "value"}`, which is JSON too.
fn flow(path: &[&[&str]], value: &str) -> String {
    let mut names = path.iter().rev().map(|names| names[0]);
    let last = names.next().unwrap_or_default();
    names.fold(format!("\"{last}\": \"{value}\""), |inner, name| format!("\"{name}\": {{{inner}}}"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TIMEOUT: &[&[&str]] = &[&["connectTimeout", "connect_timeout"]];
    const POOL: &[&[&str]] = &[
        &["defaultTrafficPolicy", "default_traffic_policy"],
        &["connectionPool", "connection_pool"],
        &["tcp"],
        &["connectTimeout", "connect_timeout"],
    ];

    fn timeout(text: &str) -> Option<String> {
        set(text, TIMEOUT, "10s").map(|edited| edited.text)
    }

    #[test]
    fn changes_a_value_and_nothing_else() {
        for (before, after) in [
            ("connectTimeout: 1s\n", "connectTimeout: 10s\n"),
            ("connectTimeout: 1s  # since the migration", "connectTimeout: 10s  # since the migration"),
            ("# ours\nconnectTimeout: '1s'\na: b\n", "# ours\nconnectTimeout: '10s'\na: b\n"),
            ("a: b\r\nconnectTimeout:   \"1s\"\r\n", "a: b\r\nconnectTimeout:   \"10s\"\r\n"),
            ("connect_timeout: 1s\n", "connect_timeout: 10s\n"),
            ("connect_timeout: 3s\nconnectTimeout: 1s\n", "connect_timeout: 3s\nconnectTimeout: 10s\n"),
            ("connectTimeout: 3s\nconnectTimeout: 1s\n", "connectTimeout: 3s\nconnectTimeout: 10s\n"),
            ("connectTimeout:\na: b\n", "connectTimeout: 10s\na: b\n"),
            ("connectTimeout: ~\n", "connectTimeout: 10s\n"),
            ("connectTimeout: &t 1s\n", "connectTimeout: &t 10s\n"),
            ("t: &t 1s\nconnectTimeout: *t\n", "t: &t 1s\nconnectTimeout: 10s\n"),
            ("{\"connectTimeout\": \"1s\", \"a\": 1}", "{\"connectTimeout\": \"10s\", \"a\": 1}"),
            ("--- # first\nconnectTimeout: 1s\n...\n", "--- # first\nconnectTimeout: 10s\n...\n"),
            (
                "# a\u{e4}\u{1f600}\nx: \u{e4}\nconnectTimeout: 1s # \u{e4}\n",
                "# a\u{e4}\u{1f600}\nx: \u{e4}\nconnectTimeout: 10s # \u{e4}\n",
            ),
            (
                "defaultConfig:\n  connectTimeout: 9s\nconnectTimeout: 1s\n",
                "defaultConfig:\n  connectTimeout: 9s\nconnectTimeout: 10s\n",
            ),
        ] {
            assert_eq!(timeout(before).as_deref(), Some(after), "{before:?}");
        }
    }

    #[test]
    fn makes_what_is_missing() {
        for (before, after) in [
            ("", "connectTimeout: 10s\n"),
            ("# only a comment", "# only a comment\nconnectTimeout: 10s\n"),
            ("a: b", "connectTimeout: 10s\na: b"),
            ("# head\n\na: b\n", "# head\n\nconnectTimeout: 10s\na: b\n"),
            ("---\na: b\n", "---\nconnectTimeout: 10s\na: b\n"),
            ("a: b\r\n", "connectTimeout: 10s\r\na: b\r\n"),
            ("  a: b\n  c: d\n", "  connectTimeout: 10s\n  a: b\n  c: d\n"),
            ("{}", "{\"connectTimeout\": \"10s\"}"),
            ("{\"a\": 1}", "{\"connectTimeout\": \"10s\", \"a\": 1}"),
            ("{a: b}\n", "{\"connectTimeout\": \"10s\", a: b}\n"),
        ] {
            assert_eq!(timeout(before).as_deref(), Some(after), "{before:?}");
        }
    }

    #[test]
    fn reaches_into_the_default_traffic_policy() {
        let pool = |text: &str| set(text, POOL, "10s").map(|edited| edited.text);
        for (before, after) in [
            (
                "defaultTrafficPolicy:\n  connectionPool:\n    http: {maxRetries: 3}\n",
                "defaultTrafficPolicy:\n  connectionPool:\n    tcp:\n      connectTimeout: 10s\n    http: {maxRetries: 3}\n",
            ),
            (
                "defaultTrafficPolicy: {connectionPool: {tcp: {connectTimeout: 3s}}}",
                "defaultTrafficPolicy: {connectionPool: {tcp: {connectTimeout: 10s}}}",
            ),
            (
                "{\"default_traffic_policy\": {\"connection_pool\": {\"http\": {}}}}",
                "{\"default_traffic_policy\": {\"connection_pool\": {\"tcp\": {\"connectTimeout\": \"10s\"}, \"http\": {}}}}",
            ),
            (
                "defaultTrafficPolicy:\na: b\n",
                "defaultTrafficPolicy: {\"connectionPool\": {\"tcp\": {\"connectTimeout\": \"10s\"}}}\na: b\n",
            ),
        ] {
            assert_eq!(pool(before).as_deref(), Some(after), "{before:?}");
        }
    }

    #[test]
    fn gives_up_where_one_place_is_not_enough() {
        for text in [
            "connectTimeout: &t 1s\nother: *t\n",
            "connectTimeout: |\n  1s\n",
            "- a\n",
            "a: [",
            "plain",
            "a: b\n---\nc: d\n",
            "connectTimeout: {a: b}\n",
        ] {
            assert_eq!(timeout(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn is_total(text in ".{0,60}") {
            let _ = timeout(&text);
        }

        /// Whatever stands around it, only the replaced bytes differ.
        #[test]
        fn changes_one_place(
            lines in prop::collection::vec("(# [a-z ]{0,9}|[a-c]: [a-z0-9]{1,5}( # [a-z]{1,5})?|d:\n  e: [0-9]{1,3}|connectTimeout: [0-9]s( # x)?|)", 0..8),
        ) {
            let text = lines.join("\n");
            if let Some(edited) = set(&text, TIMEOUT, "10s") {
                prop_assert!(edited.text.starts_with(&text[..edited.replaced.start]));
                prop_assert!(edited.text.ends_with(&text[edited.replaced.end..]));
                let again = set(&edited.text, TIMEOUT, "10s").unwrap();
                prop_assert_eq!(again.text, edited.text);
            }
        }
    }
}
