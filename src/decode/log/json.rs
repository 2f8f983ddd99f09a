//! A JSON value that borrows from its line: log lines are many, and most of their strings are never looked at.

use std::borrow::Cow;
use std::fmt;

use serde::Serialize;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq, Serializer};

/// A JSON value that borrows its strings where they have no escapes. Members keep their order.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "JSON's own kinds")]
pub enum Json<'a> {
    Null,
    Bool(bool),
    /// A number, and itself as a whole number where it is one.
    Number(f64, Option<u64>),
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl<'a> Json<'a> {
    /// Parses a whole text.
    ///
    /// # Errors
    /// Where it is no JSON; [`serde_json::Error::is_eof`] where it only is not complete.
    pub fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// A member, by its name or by a path of names (`a.b`); a key that has the dots in it is found too.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&Self> {
        let Self::Object(fields) = self else { return None };
        if let Some((_, value)) = fields.iter().find(|(key, _)| is(key, path)) {
            return Some(value);
        }
        // Asked for dozens of names a record: no search that has to be set up.
        let mut dots = path.bytes().enumerate().filter(|(_, byte)| *byte == b'.');
        dots.find_map(|(dot, _)| {
            let (_, inner) = fields.iter().find(|(key, _)| is(key, &path[..dot]))?;
            inner.get(&path[dot + 1..])
        })
    }

    /// Its text, where it is one that is not empty. OpenTelemetry's protobuf JSON wraps values.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) if !text.is_empty() => Some(text),
            Self::Object(_) => self.get("stringValue").and_then(Self::text),
            // Elasticsearch's `fields` are lists.
            Self::List(items) => match &items[..] {
                [Self::Text(text)] if !text.is_empty() => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    /// The first of these members that is a text.
    #[must_use]
    pub fn text_of(&self, paths: &[&str]) -> Option<&str> {
        paths.iter().find_map(|path| self.get(path).and_then(Self::text))
    }

    /// A text, or a number as one.
    #[must_use]
    pub fn scalar(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Number(_, Some(whole)) => Some(Cow::Owned(whole.to_string())),
            Self::Number(number, None) => Some(Cow::Owned(number.to_string())),
            _ => None,
        }
    }

    /// The members of an object; none of anything else.
    #[must_use]
    pub fn members(&self) -> &[(Cow<'a, str>, Json<'a>)] {
        match self {
            Self::Object(members) => members,
            _ => &[],
        }
    }

    /// The values of a list; none of anything else.
    #[must_use]
    pub fn items(&self) -> &[Json<'a>] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }
}

/// Whether a member has this name: mostly the length tells that it has not.
fn is(key: &str, name: &str) -> bool {
    key.len() == name.len() && key.as_bytes().first() == name.as_bytes().first() && key == name
}

impl<'de: 'a, 'a> Deserialize<'de> for Json<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Json<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("JSON")
            }
            fn visit_unit<E>(self) -> Result<Json<'de>, E> {
                Ok(Json::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
                Ok(Json::Bool(value))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Json<'de>, E> {
                Ok(Json::Number(number as f64, Some(number)))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Json<'de>, E> {
                Ok(Json::Number(number as f64, None))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Json<'de>, E> {
                Ok(Json::Number(number, None))
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
                Ok(Json::Text(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Json<'de>, E> {
                Ok(Json::Text(Cow::Owned(text.to_owned())))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json<'de>, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = seq.next_element()? {
                    list.push(item);
                }
                Ok(Json::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'de>, A::Error> {
                // As many as the allocator keeps at hand: a kibibyte.
                let mut fields = Vec::with_capacity(16);
                while let Some(Key(key)) = map.next_key()? {
                    fields.push((key, map.next_value()?));
                }
                Ok(Json::Object(fields))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Number(_, Some(whole)) => serializer.serialize_u64(*whole),
            Self::Number(number, None) => serializer.serialize_f64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                items.iter().try_for_each(|item| list.serialize_element(item))?;
                list.end()
            }
            Self::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                members.iter().try_for_each(|(key, value)| map.serialize_entry(key, value))?;
                map.end()
            }
        }
    }
}

/// An object's key, borrowed where it has no escapes.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(text)))
            }
            fn visit_str<E>(self, text: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// The text without the commas that stand before a closing brace or bracket: what people cut out of a list by hand.
/// `None` where there are none.
#[must_use]
pub(super) fn without_trailing_commas(text: &str) -> Option<String> {
    let mut kept = String::with_capacity(text.len());
    let (mut from, mut in_string, mut escaped) = (0, false, false);
    let mut comma = None;
    for (at, byte) in text.bytes().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => (in_string, comma) = (true, None),
            b',' => comma = Some(at),
            b'}' | b']' => {
                if let Some(comma) = comma.take() {
                    kept.push_str(&text[from..comma]);
                    from = comma + 1;
                }
            }
            b' ' | b'\t' | b'\n' | b'\r' => {}
            _ => comma = None,
        }
    }
    if let Some(comma) = comma {
        kept.push_str(&text[from..comma]);
        from = comma + 1;
    }
    (from > 0).then(|| {
        kept.push_str(&text[from..]);
        kept
    })
}
