//! What JSON costs once it is decoded. A byte of it can cost ten: `[],` is three bytes and a value of 32. What comes
//! from outside is weighed before, or counted while it is decoded, so that no input of a bearable size becomes an
//! unbearable one.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead, Read};
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// What a bracket, a comma or a colon stands for in memory, in bytes: about half of an entry of a map, and as much as
/// a value.
const TOKEN: usize = 28;

/// Weighs JSON as it comes: its bytes, and what its structure costs besides.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weight {
    bytes: usize,
    in_string: bool,
    escaped: bool,
}

impl Weight {
    /// Takes the next bytes.
    pub fn add(&mut self, json: &[u8]) {
        self.bytes = self.bytes.saturating_add(json.len());
        let mut rest = json;
        while !rest.is_empty() {
            if self.escaped {
                self.escaped = false;
                rest = &rest[1..];
            } else if self.in_string {
                let Some(at) = memchr::memchr2(b'"', b'\\', rest) else { return };
                (self.in_string, self.escaped) = (rest[at] == b'\\', rest[at] == b'\\');
                rest = &rest[at + 1..];
            } else {
                match rest[0] {
                    b'"' => self.in_string = true,
                    b'{' | b'[' | b',' | b':' => self.bytes = self.bytes.saturating_add(TOKEN),
                    _ => {}
                }
                rest = &rest[1..];
            }
        }
    }

    /// About how many bytes it is once it is decoded.
    #[must_use]
    pub fn bytes(self) -> usize {
        self.bytes
    }
}

/// About how many bytes a document is once it is decoded.
#[must_use]
pub fn weigh(json: &[u8]) -> usize {
    let mut weight = Weight::default();
    weight.add(json);
    weight.bytes()
}

/// The same of a Kubernetes object, without who changed what of it when (`metadata.managedFields`), which is the larger
/// part of many and of which next to nothing is kept.
#[must_use]
pub fn weigh_object(json: &[u8]) -> usize {
    const FIELD: &[u8] = b"\"managedFields\":";
    match memchr::memmem::find(json, FIELD) {
        Some(at) => {
            let after = &json[at + FIELD.len()..];
            weigh(&json[..at]) + weigh(&after[value_length(after)..])
        }
        None => weigh(json),
    }
}

/// How long the array or object is that JSON begins with.
fn value_length(json: &[u8]) -> usize {
    let (mut depth, mut in_string, mut escaped) = (0_u32, false, false);
    for (at, byte) in json.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => {}
        }
    }
    json.len()
}

/// Refuses a document that weighs too much while it is read.
#[derive(Debug)]
pub struct Weighed<R> {
    inner: R,
    weight: Weight,
    most: usize,
}

impl<R> Weighed<R> {
    /// `most` is in bytes, as [`weigh`] counts them.
    pub fn new(inner: R, most: usize) -> Self {
        Self { inner, weight: Weight::default(), most }
    }

    fn check(&self) -> io::Result<()> {
        if self.weight.bytes() > self.most { Err(io::Error::other(TooHeavy(self.most))) } else { Ok(()) }
    }
}

/// A document that weighs more than the bound, in bytes.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("it is larger than what is read of one document ({} MiB in memory)", .0 >> 20)]
pub struct TooHeavy(pub usize);

impl<R: Read> Read for Weighed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.weight.add(&buffer[..read]);
        self.check()?;
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Weighed<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        if let Ok(buffer) = self.inner.fill_buf() {
            self.weight.add(&buffer[..amount.min(buffer.len())]);
        }
        self.inner.consume(amount);
    }
}

/// A list of at most `MOST` elements: for `deserialize_with`.
pub fn list<'de, const MOST: usize, T, D>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    struct Bounded<T, const MOST: usize>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Bounded<T, MOST> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a list of at most {MOST} elements")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut found = Vec::new();
            while let Some(element) = list.next_element()? {
                if found.len() == MOST {
                    return Err(A::Error::custom(format_args!("a list of more than {MOST} elements")));
                }
                found.push(element);
            }
            Ok(found)
        }

        // Protobuf's JSON takes `null` for an empty list.
        fn visit_unit<E>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }
    }
    deserializer.deserialize_any(Bounded::<T, MOST>(PhantomData))
}

/// A map of at most `MOST` texts: for `deserialize_with`.
pub fn texts<'de, const MOST: usize, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    struct Bounded<const MOST: usize>;
    impl<'de, const MOST: usize> Visitor<'de> for Bounded<MOST> {
        type Value = BTreeMap<String, String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "a map of at most {MOST} texts")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = BTreeMap::new();
            while let Some((key, value)) = map.next_entry()? {
                if found.len() == MOST {
                    return Err(A::Error::custom(format_args!("a map of more than {MOST} entries")));
                }
                found.insert(key, value);
            }
            Ok(found)
        }
    }
    deserializer.deserialize_map(Bounded::<MOST>)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weighs_structure_and_not_text() {
        assert_eq!(weigh(b"{}"), 2 + TOKEN);
        assert_eq!(weigh(br#""[[[[,,,,\"[[""#), 14);
        assert_eq!(weigh(br#"{"a":[1,2]}"#), 11 + 4 * TOKEN);
        let text = br#"{"a\\":"x\"y","b":[{},{}]}"#;
        for size in 1..text.len() {
            let mut weight = Weight::default();
            text.chunks(size).for_each(|chunk| weight.add(chunk));
            assert_eq!(weight.bytes(), weigh(text), "{size}");
        }
    }

    #[test]
    fn leaves_out_who_changed_what() {
        let with = br#"{"metadata":{"managedFields":[{"a":"]"},{"b":{}}],"name":"x"}}"#;
        let without = br#"{"metadata":{,"name":"x"}}"#;
        assert_eq!(weigh_object(with), weigh(without));
        assert_eq!(weigh_object(br#"{"managedFields":["#), weigh(b"{"));
    }

    #[test]
    fn refuses_what_is_too_heavy_while_it_comes() {
        let text = format!("[{}0]", "[],".repeat(1000));
        let read = |most| serde_json::from_reader::<_, serde_json::Value>(Weighed::new(text.as_bytes(), most));
        assert!(read(1 << 20).is_ok());
        assert!(read(1 << 14).expect_err("refused").is_io());
        let mut buffered = Weighed::new(text.as_bytes(), 1 << 20);
        let mut out = String::new();
        while let Ok(buffer) = buffered.fill_buf() {
            let length = buffer.len().min(7);
            if length == 0 {
                break;
            }
            out.push_str(std::str::from_utf8(&buffer[..length]).expect("ASCII"));
            buffered.consume(length);
        }
        assert_eq!((out.as_str(), buffered.weight.bytes()), (text.as_str(), weigh(text.as_bytes())));
    }

    #[test]
    fn counts_while_it_decodes() {
        #[derive(Debug, Deserialize)]
        struct Document {
            #[serde(default, deserialize_with = "list::<2, _, _>")]
            list: Vec<u8>,
            #[serde(default, deserialize_with = "texts::<1, _>")]
            texts: BTreeMap<String, String>,
        }
        let read = |text| serde_json::from_str::<Document>(text);
        let sound = read(r#"{"list": [1, 2], "texts": {"a": "b"}}"#).expect("sound");
        assert_eq!((sound.list.len(), sound.texts.len()), (2, 1));
        assert!(read("{}").is_ok() && read(r#"{"list": null}"#).is_ok());
        assert!(read(r#"{"list": [1, 2, 3]}"#).is_err());
        assert!(read(r#"{"texts": {"a": "b", "c": "d"}}"#).is_err());
    }
}
