//! YAML whose nodes know where they stand, for files that people write: a mistake is shown by its place, and with
//! nothing of the text around it.

use std::collections::HashSet;

use granit_parser::{Event, Parser, ScalarStyle};

/// A node and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Where it begins.
    pub at: Place,
    /// What it is.
    pub value: Value,
}

/// A place in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Nothing: no value, `~` or `null`.
    Null,
    /// A text, a number, a truth value.
    Scalar(String),
    /// A list.
    List(Vec<Node>),
    /// Keys, where they stand, and their values.
    Map(Vec<(String, Place, Node)>),
}

/// Why a text cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {}, column {}: {what}", at.line, at.column)]
pub struct Mistake {
    /// Where.
    pub at: Place,
    /// What is wrong, and what is meant perhaps; nothing of the text.
    pub what: String,
}

impl Place {
    /// A mistake here.
    #[must_use]
    pub fn mistake(self, what: impl Into<String>) -> Mistake {
        Mistake { at: self, what: what.into() }
    }
}

/// How deep nodes may lie in each other.
const DEEPEST: usize = 16;

/// Reads one document; an empty text is [`Value::Null`].
///
/// # Errors
/// When it is no YAML, several documents, too deep, or has aliases, which a file for people does not need.
pub fn read(text: &str) -> Result<Node, Mistake> {
    let mut events = Vec::new();
    let mut documents = 0;
    for next in Parser::new_from_str(text) {
        let (event, span) = next.map_err(|error| {
            let at = Place { line: error.marker().line().max(1), column: error.marker().col() + 1 };
            at.mistake("this is no YAML; look at the indentation, and put texts with `:` or `#` into quotes")
        })?;
        let at = Place { line: span.start.line(), column: span.start.col() + 1 };
        match event {
            Event::DocumentStart(..) => {
                documents += 1;
                if documents > 1 {
                    return Err(at.mistake("a second document begins here; one is wanted"));
                }
            }
            Event::Alias(_) => return Err(at.mistake("an alias; write the value out")),
            Event::Scalar(..)
            | Event::SequenceStart(..)
            | Event::SequenceEnd
            | Event::MappingStart(..)
            | Event::MappingEnd => events.push((event, at)),
            _ => {}
        }
    }
    let mut events = events.into_iter();
    match events.next() {
        None => Ok(Node { at: Place { line: 1, column: 1 }, value: Value::Null }),
        Some(first) => node(first, &mut events, 0),
    }
}

type Located<'t> = (Event<'t>, Place);

fn node<'t>(
    (event, at): Located<'t>,
    events: &mut impl Iterator<Item = Located<'t>>,
    depth: usize,
) -> Result<Node, Mistake> {
    if depth > DEEPEST {
        return Err(at.mistake("this lies too deep"));
    }
    let ended = || at.mistake("this ends too early");
    let value = match event {
        Event::Scalar(text, ScalarStyle::Plain, ..) if matches!(&*text, "" | "~" | "null") => Value::Null,
        Event::Scalar(text, ..) => Value::Scalar(text.into_owned()),
        Event::SequenceStart(..) => {
            let mut list = Vec::new();
            loop {
                match events.next().ok_or_else(ended)? {
                    (Event::SequenceEnd, _) => break,
                    next => list.push(node(next, events, depth + 1)?),
                }
            }
            Value::List(list)
        }
        Event::MappingStart(..) => {
            let mut fields: Vec<(String, Place, Node)> = Vec::new();
            let mut known = HashSet::new();
            loop {
                let (key, at) = match events.next().ok_or_else(ended)? {
                    (Event::MappingEnd, _) => break,
                    (Event::Scalar(key, ..), at) => (key.into_owned(), at),
                    (_, at) => return Err(at.mistake("a key is expected here")),
                };
                if !known.insert(key.clone()) {
                    return Err(at.mistake("this key stands here for the second time"));
                }
                let next = events.next().ok_or_else(ended)?;
                fields.push((key, at, node(next, events, depth + 1)?));
            }
            Value::Map(fields)
        }
        _ => return Err(at.mistake("this is not what should stand here")),
    };
    Ok(Node { at, value })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nodes_know_their_place() {
        let node = read("# first\na:\n  - b: 1\n    c: ~\n").expect("YAML");
        let Value::Map(fields) = node.value else { panic!() };
        assert_eq!((fields[0].0.as_str(), fields[0].1), ("a", Place { line: 2, column: 1 }));
        let Value::List(list) = &fields[0].2.value else { panic!() };
        let Value::Map(inner) = &list[0].value else { panic!() };
        assert_eq!((inner[1].1, &inner[1].2.value), (Place { line: 4, column: 5 }, &Value::Null));
    }

    #[test]
    fn mistakes_quote_nothing() {
        for (text, line) in [
            ("a: [s3cret", 1),
            ("a: 1\na: s3cret\n", 2),
            ("a: &x s3cret\nb: *x\n", 2),
            ("a: 1\n---\nb: s3cret\n", 2),
            ("a: s3cret: b\n", 1),
        ] {
            let mistake = read(text).expect_err("a mistake");
            assert!(mistake.at.line >= line && !mistake.to_string().contains("s3cret"), "{text}: {mistake}");
        }
        assert!(read(&"[".repeat(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn is_total(text in ".{0,80}") {
            let _ = read(&text);
        }
    }
}
