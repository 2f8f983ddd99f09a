//! Cuts a config dump, or another document with one long list, into its elements while it arrives, so that none is
//! ever held as a whole.

use memchr::memchr2;

/// Why bytes are no list of elements.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ElementError {
    /// Not JSON at all; says what it looks like.
    #[error("it is not JSON{0}")]
    NotJson(&'static str),
    /// JSON, but neither an object nor an array of objects.
    #[error("byte {offset}: {found:?} where {expected} should be")]
    Unexpected {
        /// Bytes before it.
        offset: u64,
        /// What stands there.
        found: char,
        /// What could.
        expected: &'static str,
    },
    /// The end came too early.
    #[error("it ends early, after {0} bytes")]
    Truncated(u64),
    /// One element is larger than the limit, in bytes.
    #[error("one element is larger than {0} bytes")]
    TooLarge(usize),
}

/// What should be where another document begins.
pub const END: &str = "the end";

/// What the input turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Envoy's `/config_dump`: an object with `configs`.
    ConfigDump,
    /// An array of objects, as `istioctl proxy-config cluster -o json` prints.
    Array,
    /// An empty object: what Envoy answers for a resource of which it has none.
    EmptyObject,
    /// An object without `configs`: not a dump.
    OtherObject,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before anything.
    Start,
    /// In the outer object, before a key or its end.
    Key,
    /// In a key.
    InKey { escaped: bool },
    /// After a key, before the colon or the value.
    Value { colon: bool },
    /// In a value of the outer object, or of a section, that is passed over.
    Skip,
    /// In an element that is passed over.
    Pass,
    /// In the array, before an element or its end.
    Array,
    /// In an element of which it is not told yet what is done with it.
    Opening,
    /// In an element.
    Element,
    /// After the outermost value.
    Done,
}

/// A push parser for `{"configs": [{…}, …]}` and `[{…}, …]`. It looks only at strings and brackets; whether an
/// element is sound JSON is for whoever decodes it to say.
#[derive(Debug)]
pub struct Elements {
    state: State,
    shape: Option<Shape>,
    /// Nesting inside the value that is being kept or passed over.
    depth: u32,
    in_string: bool,
    escaped: bool,
    key: Vec<u8>,
    element: Vec<u8>,
    offset: u64,
    limit: usize,
    /// The outer object's key whose value is the list.
    list: &'static str,
    /// The outer object's keys whose values are kept, with what has come of them.
    kept: Vec<(&'static str, Vec<u8>)>,
    /// Which of them is under way.
    keeping: Option<usize>,
    /// Whether the list is a map, whose values are the elements: Envoy up to 1.8.
    in_map: bool,
    /// Whether this is inside of an element whose own lists are cut.
    in_section: bool,
}

/// What is done with an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    /// It is taken as a whole.
    Element,
    /// It is an object with lists of elements.
    Section,
    /// It is passed over.
    Nothing,
    /// More bytes tell.
    Untold,
}

/// Within so many bytes an element says its type, if it does so first.
const MAX_OPENING: usize = 1024;

/// No list of a section has a longer name.
const MAX_SECTION_KEY: usize = 32;

/// The most bytes of a value that is kept beside the list.
const MAX_KEPT: usize = 64 << 10;

/// Takes the elements of a list as they come.
pub(super) trait TakeElements<E> {
    /// How many of these bytes, the first of which begins an element, are whole elements that are known to the byte, or
    /// were taken now, with what stands between and behind them. They are not looked at, and not given again.
    fn known(&mut self, bytes: &[u8]) -> usize;

    /// What is done with the element that these bytes begin. What is no [`Opening::Element`] is told behind its type, as
    /// the first of its members.
    fn opens(&mut self, bytes: &[u8]) -> Opening {
        let _ = bytes;
        Opening::Element
    }

    /// Whether the list of this name, in a section, holds elements.
    fn lists(&mut self, name: &[u8]) -> bool {
        let _ = name;
        false
    }

    /// Takes one element.
    fn element(&mut self, element: &[u8]) -> Result<(), E>;
}

impl<E, F: FnMut(&[u8]) -> Result<(), E>> TakeElements<E> for F {
    fn known(&mut self, _: &[u8]) -> usize {
        0
    }

    fn element(&mut self, element: &[u8]) -> Result<(), E> {
        self(element)
    }
}

/// How many of these bytes may stand between two elements.
pub(crate) fn between(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| **byte == b',' || byte.is_ascii_whitespace()).count()
}

/// Where the first of both is. Most names are short, and looked through before a search over many bytes has begun.
fn quote_or_backslash(bytes: &[u8]) -> Option<usize> {
    let short = bytes.len().min(24);
    let mut at = 0;
    while at < short {
        if matches!(bytes[at], b'"' | b'\\') {
            return Some(at);
        }
        at += 1;
    }
    memchr2(b'"', b'\\', &bytes[short..]).map(|at| short + at)
}

/// The bytes of JSON that begin or end something.
const STRUCTURAL: [bool; 256] = {
    let mut table = [false; 256];
    let (mut at, bytes) = (0, b"\"{}[],");
    while at < bytes.len() {
        table[bytes[at] as usize] = true;
        at += 1;
    }
    table
};

impl Elements {
    /// A parser that refuses elements of more than `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            state: State::Start,
            shape: None,
            depth: 0,
            in_string: false,
            escaped: false,
            key: Vec::new(),
            element: Vec::new(),
            offset: 0,
            limit,
            list: "configs",
            kept: Vec::new(),
            keeping: None,
            in_map: false,
            in_section: false,
        }
    }

    /// The same for an object whose list goes by another name.
    #[must_use]
    pub fn of(list: &'static str, limit: usize) -> Self {
        Self { list, ..Self::new(limit) }
    }

    /// Keeps the values of these keys of the outer object as well.
    #[must_use]
    pub fn keeping(self, keys: &[&'static str]) -> Self {
        Self { kept: keys.iter().map(|key| (*key, Vec::new())).collect(), ..self }
    }

    /// A value that was kept, as JSON; empty where the object has had none so far.
    #[must_use]
    pub fn kept(&self, key: &str) -> &[u8] {
        self.kept.iter().find(|(own, _)| *own == key).map_or(&[], |(_, value)| value)
    }

    /// Takes the next bytes and gives each element that they complete to `each`.
    pub fn feed<E: From<ElementError>>(
        &mut self,
        chunk: &[u8],
        mut each: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.feed_to(chunk, &mut each)
    }

    /// The same for one who knows some elements by their bytes.
    pub(super) fn feed_to<E: From<ElementError>>(
        &mut self,
        chunk: &[u8],
        take: &mut impl TakeElements<E>,
    ) -> Result<(), E> {
        let mut rest = chunk;
        while let Some((&byte, after)) = rest.split_first() {
            match self.state {
                State::Element | State::Skip | State::Pass => {
                    let (used, complete) = self.nested(rest);
                    let (inside, after) = rest.split_at(used);
                    if self.state == State::Element {
                        if self.element.len() + used > self.limit {
                            return Err(ElementError::TooLarge(self.limit).into());
                        }
                        if complete && self.element.is_empty() {
                            take.element(inside)?;
                        } else {
                            self.element.extend_from_slice(inside);
                            if complete {
                                take.element(&self.element)?;
                                self.element.clear();
                            }
                        }
                    }
                    if let Some(index) = self.keeping {
                        let value = &mut self.kept[index].1;
                        if value.len() + used > MAX_KEPT {
                            return Err(ElementError::TooLarge(MAX_KEPT).into());
                        }
                        value.extend_from_slice(inside);
                    }
                    if complete {
                        self.keeping = None;
                        let in_list = self.state == State::Pass || (self.state == State::Element && !self.in_map);
                        self.state = if in_list { State::Array } else { State::Key };
                    }
                    self.offset += used as u64;
                    rest = after;
                    continue;
                }
                State::Opening => {
                    self.element.push(byte);
                    self.opened(take)?;
                }
                State::InKey { escaped } => {
                    self.state = match byte {
                        b'"' if !escaped => State::Value { colon: false },
                        b'\\' if !escaped => State::InKey { escaped: true },
                        _ => State::InKey { escaped: false },
                    };
                    // Of a key that is longer than all that matter, its beginning is enough to know it is another.
                    let longest = self.kept.iter().map(|(key, _)| key.len()).fold(self.list.len(), usize::max);
                    let longest = if self.in_section { MAX_SECTION_KEY } else { longest };
                    if matches!(self.state, State::InKey { .. }) && self.key.len() <= longest {
                        self.key.push(byte);
                    }
                }
                State::Start if rest.starts_with(b"\xEF\xBB\xBF") => {
                    self.offset += 3;
                    rest = &rest[3..];
                    continue;
                }
                _ if byte.is_ascii_whitespace() => {}
                State::Start => match byte {
                    b'{' => {
                        self.state = State::Key;
                        self.shape = Some(Shape::EmptyObject);
                    }
                    b'[' => {
                        self.state = State::Array;
                        self.shape = Some(Shape::Array);
                    }
                    _ => return Err(ElementError::NotJson(looks_like(rest)).into()),
                },
                State::Key => match byte {
                    b'"' => {
                        self.key.clear();
                        self.state = State::InKey { escaped: false };
                        if self.shape == Some(Shape::EmptyObject) {
                            self.shape = Some(Shape::OtherObject);
                        }
                    }
                    b',' => {}
                    b'}' if self.in_map => self.in_map = false,
                    b'}' if self.in_section => {
                        self.in_section = false;
                        self.state = State::Array;
                    }
                    b'}' => self.state = State::Done,
                    _ => return Err(self.unexpected(rest, "a key")),
                },
                State::Value { colon: false } if byte == b':' => self.state = State::Value { colon: true },
                State::Value { colon: true } if self.in_section => {
                    let lists = byte == b'[' && take.lists(&self.key);
                    self.state = if lists { State::Array } else { State::Skip };
                    if !lists {
                        continue;
                    }
                }
                State::Value { colon: true } if self.in_map && byte == b'{' => {
                    self.state = State::Element;
                    continue;
                }
                State::Value { colon: true } if byte == b'{' && self.key == self.list.as_bytes() && !self.in_map => {
                    self.shape = Some(Shape::ConfigDump);
                    self.in_map = true;
                    self.state = State::Key;
                }
                State::Value { colon: true } if byte == b'[' && self.key == self.list.as_bytes() && !self.in_map => {
                    self.shape = Some(Shape::ConfigDump);
                    self.state = State::Array;
                }
                State::Value { colon: true } => {
                    self.keeping = self.kept.iter().position(|(key, _)| key.as_bytes() == self.key);
                    if let Some(index) = self.keeping {
                        self.kept[index].1.clear();
                    }
                    self.state = State::Skip;
                    continue;
                }
                State::Value { colon: false } => return Err(self.unexpected(rest, "a colon")),
                State::Array => match byte {
                    b'{' => {
                        let opening = if self.in_section { Opening::Element } else { take.opens(rest) };
                        let used = match opening {
                            Opening::Element => take.known(rest),
                            Opening::Section => 1,
                            Opening::Nothing | Opening::Untold => 0,
                        };
                        match opening {
                            Opening::Element if used > 0 => {}
                            Opening::Element => self.state = State::Element,
                            Opening::Section => self.enter_section(),
                            Opening::Nothing => self.state = State::Pass,
                            Opening::Untold => self.state = State::Opening,
                        }
                        self.offset += used as u64;
                        rest = &rest[used..];
                        continue;
                    }
                    b',' => {}
                    b']' if self.in_section => self.state = State::Key,
                    b']' if self.shape == Some(Shape::Array) => self.state = State::Done,
                    b']' => self.state = State::Key,
                    _ => return Err(self.unexpected(rest, "an object")),
                },
                State::Done => return Err(self.unexpected(rest, END)),
            }
            self.offset += 1;
            rest = after;
        }
        Ok(())
    }

    fn enter_section(&mut self) {
        self.in_section = true;
        self.state = State::Key;
    }

    /// Goes on with an element as soon as its first bytes tell what is done with it.
    fn opened<E: From<ElementError>>(&mut self, take: &mut impl TakeElements<E>) -> Result<(), E> {
        let opening = match take.opens(&self.element) {
            Opening::Untold if self.element.len() >= MAX_OPENING => Opening::Element,
            opening => opening,
        };
        match opening {
            Opening::Untold => {}
            Opening::Section => {
                self.element.clear();
                self.enter_section();
            }
            Opening::Nothing => {
                self.element.clear();
                (self.state, self.depth) = (State::Pass, 1);
            }
            Opening::Element => {
                let begun = std::mem::take(&mut self.element);
                self.state = State::Element;
                match self.nested(&begun) {
                    (_, true) => {
                        self.state = State::Array;
                        take.element(&begun)?;
                    }
                    (_, false) => self.element = begun,
                }
            }
        }
        Ok(())
    }

    /// Says what the input was, once all of it has been fed.
    pub fn finish(self) -> Result<Shape, ElementError> {
        match (self.state, self.shape) {
            (State::Done, Some(shape)) => Ok(shape),
            _ => Err(ElementError::Truncated(self.offset)),
        }
    }

    /// What the input has turned out to be so far.
    #[must_use]
    pub fn shape(&self) -> Option<Shape> {
        self.shape
    }

    /// How many bytes of `bytes` belong to the value that is under way, and whether it ends there. A scalar of the
    /// outer object ends before the comma or brace that follows it.
    fn nested(&mut self, bytes: &[u8]) -> (usize, bool) {
        let mut at = 0;
        while at < bytes.len() {
            if self.in_string {
                if self.escaped {
                    self.escaped = false;
                    at += 1;
                    continue;
                }
                match quote_or_backslash(&bytes[at..]) {
                    None => return (bytes.len(), false),
                    Some(skip) => {
                        at += skip;
                        if bytes[at] == b'"' {
                            self.in_string = false;
                        } else {
                            self.escaped = true;
                        }
                        at += 1;
                        if !self.in_string && self.depth == 0 {
                            return (at, true);
                        }
                    }
                }
                continue;
            }
            // Most of a printed document is indentation, names and numbers.
            let byte = bytes[at];
            at += 1;
            if !STRUCTURAL[usize::from(byte)] {
                continue;
            }
            match byte {
                b'"' => self.in_string = true,
                b'{' | b'[' => self.depth += 1,
                b',' | b'}' | b']' if self.depth == 0 => return (at - 1, true),
                b'}' | b']' => {
                    self.depth -= 1;
                    if self.depth == 0 {
                        return (at, true);
                    }
                }
                _ => {}
            }
        }
        (bytes.len(), false)
    }

    fn unexpected<E: From<ElementError>>(&self, rest: &[u8], expected: &'static str) -> E {
        let found = String::from_utf8_lossy(&rest[..rest.len().min(4)]).chars().next().unwrap_or(' ');
        ElementError::Unexpected { offset: self.offset, found, expected }.into()
    }
}

/// What an input is instead, by its beginning. That itself is not shown: it may be the wrong file, with a key in it.
pub(crate) fn looks_like(bytes: &[u8]) -> &'static str {
    let bytes = &bytes[..bytes.len().min(400)];
    let begins = |with: &[u8]| bytes.get(..with.len()).is_some_and(|own| own.eq_ignore_ascii_case(with));
    match bytes {
        _ if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") => ": it is UTF-16, save it as UTF-8",
        _ if begins(b"<!doctype html") || begins(b"<html") => ": it is a page of HTML",
        [b'<', ..] => ": it is HTML or XML",
        _ if begins(b"-----BEGIN ") => ": it is a key or a certificate",
        _ if begins(b"apiVersion:") || begins(b"---") || begins(b"kind:") => ": it is YAML",
        _ if begins(b"SSH-") => ": it is what an SSH server says",
        _ if begins(b"HTTP/") => ": it is a whole HTTP answer, with its headers",
        [b'"', ..] | [b'0'..=b'9' | b'-', ..] => " that holds a list: it is one text or number",
        _ if begins(b"null") || begins(b"true") || begins(b"false") => " that holds a list: it is one word",
        _ if bytes.iter().any(|byte| matches!(byte, 0..=8 | 14..=26 | 28..=31)) => ": it is not even text",
        _ => ": it is some other text",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn split(input: &[u8], chunk: usize) -> Result<(Shape, Vec<String>), ElementError> {
        let mut elements = Elements::new(1 << 20);
        let mut found = Vec::new();
        for part in input.chunks(chunk.max(1)) {
            elements.feed::<ElementError>(part, |element| {
                found.push(String::from_utf8_lossy(element).into_owned());
                Ok(())
            })?;
        }
        elements.finish().map(|shape| (shape, found))
    }

    #[test]
    fn cuts_dumps_and_arrays() {
        let dump = br#" {"other": {"configs": [{"no": 1}]}, "n": 1, "s": "]}", "configs": [ {"a": "}\"]"} , {"b": [{}]}], "z": null }  "#;
        let array = br#"[{"name": "x"}, {"name": "y"}]"#;
        for chunk in [1, 2, 3, 7, 1000] {
            assert_eq!(
                split(dump, chunk),
                Ok((Shape::ConfigDump, vec![r#"{"a": "}\"]"}"#.to_owned(), r#"{"b": [{}]}"#.to_owned()])),
                "{chunk}"
            );
            assert_eq!(
                split(array, chunk),
                Ok((Shape::Array, vec![r#"{"name": "x"}"#.to_owned(), r#"{"name": "y"}"#.to_owned()]))
            );
            let map = br#"{"n": {"configs": {}}, "configs": {"a": {"x": 1}, "n": 5, "b": {"configs": {}}}, "z": []}"#;
            let values = vec![r#"{"x": 1}"#.to_owned(), r#"{"configs": {}}"#.to_owned()];
            assert_eq!(split(map, chunk), Ok((Shape::ConfigDump, values)), "{chunk}");
            assert_eq!(split(b"{}", chunk), Ok((Shape::EmptyObject, vec![])));
            assert_eq!(split(b"\xEF\xBB\xBF[]", 1000), Ok((Shape::Array, vec![])));
            assert_eq!(split(br#"{"kind": "List"}"#, chunk), Ok((Shape::OtherObject, vec![])));
        }
    }

    #[test]
    fn keeps_what_stands_beside_the_list() {
        let list = br#"{"kind": "PodList", "items": [{"kind": "x"}], "metadata": {"continue": "a}b"}, "kinds": 1}"#;
        for chunk in [1, 5, 1000] {
            let mut elements = Elements::of("items", 100).keeping(&["kind", "metadata"]);
            let mut count = 0;
            for part in list.chunks(chunk) {
                elements
                    .feed::<ElementError>(part, |_| {
                        count += 1;
                        Ok(())
                    })
                    .expect("a list");
            }
            assert_eq!((count, elements.kept("kind")), (1, &b"\"PodList\""[..]));
            assert_eq!(elements.kept("metadata"), br#"{"continue": "a}b"}"#);
        }
        let mut elements = Elements::of("items", 100).keeping(&["metadata"]);
        let long = format!(r#"{{"metadata": "{}""#, "x".repeat(MAX_KEPT));
        assert_eq!(elements.feed::<ElementError>(long.as_bytes(), |_| Ok(())), Err(ElementError::TooLarge(MAX_KEPT)));
    }

    #[test]
    fn says_what_is_wrong() {
        assert_eq!(split(b"<html>", 10), Err(ElementError::NotJson(": it is a page of HTML")));
        assert!(matches!(split(br#"{"configs": [{"a": 1}, "#, 4), Err(ElementError::Truncated(_))));
        assert!(matches!(split(b"[1]", 4), Err(ElementError::Unexpected { offset: 1, found: '1', .. })));
        assert!(matches!(split(b"{} x", 4), Err(ElementError::Unexpected { offset: 3, found: 'x', .. })));
        assert_eq!(split(b"", 4), Err(ElementError::Truncated(0)));
        let mut small = Elements::new(8);
        let fed = small.feed::<ElementError>(br#"[{"name": "longer than that"}]"#, |_| Ok(()));
        assert_eq!(fed, Err(ElementError::TooLarge(8)));
    }

    proptest! {
        #[test]
        fn is_total(input: Vec<u8>, chunk in 1usize..9) {
            let _ = split(&input, chunk);
        }

        #[test]
        fn does_not_depend_on_where_chunks_end(input in r#"[\[\]{}",:\\ a1]{0,60}"#, chunk in 1usize..9) {
            prop_assert_eq!(split(input.as_bytes(), chunk).ok(), split(input.as_bytes(), 1000).ok());
        }
    }
}
