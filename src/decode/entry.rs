//! What an entry of a config dump (`StaticCluster`, `DynamicCluster`; `envoy/admin/v3/config_dump_shared.proto`) says of
//! its update, and not of its cluster: `version_info` in front and `last_updated` at the end. They differ from proxy to
//! proxy where the cluster is the same.

/// The longest version, type or time that is looked for, in bytes.
const MAX_TEXT: usize = 256;
/// How far from an element's end its `last_updated` begins at most.
const MAX_TAIL: usize = 160;

/// An element without what differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stem<'a> {
    /// Up to the version's text; empty where there is none in front.
    pub(crate) before: &'a [u8],
    /// The version's text.
    pub(crate) version: Option<&'a str>,
    /// From its closing quote on, up to the comma before `last_updated`, or to the end.
    pub(crate) behind: &'a [u8],
    /// Whether `last_updated` was cut off.
    pub(crate) timed: bool,
}

impl<'a> Stem<'a> {
    pub(crate) fn of(element: &'a [u8]) -> Self {
        let (before, version, rest) =
            match before_version(element).and_then(|at| version(&element[at..]).map(|of| (at, of))) {
                Some((at, version)) => (&element[..at], Some(version), &element[at + version.len()..]),
                None => (&[][..], None, element),
            };
        let from = rest.len().saturating_sub(MAX_TAIL);
        let comma = (from..rest.len()).find(|at| rest[*at] == b',' && tail(&rest[*at..]) == Some(rest.len() - at));
        let behind = comma.map_or(rest, |comma| rest[..comma].trim_ascii_end());
        Self { before, version, behind, timed: comma.is_some() }
    }
}

/// The version that begins here and ends before a quote, if it has no escapes.
pub(crate) fn version(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(Cursor { bytes, at: 0, is_short: false }.up_to_quote()?).ok()
}

/// How many bytes at the beginning are `, "last_updated": "…"}`.
pub(crate) fn tail(bytes: &[u8]) -> Option<usize> {
    let mut cursor = Cursor { bytes, at: 0, is_short: false };
    cursor.byte(b',')?;
    cursor.key(&[b"\"last_updated\"", b"\"lastUpdated\""])?;
    cursor.text()?;
    cursor.byte(b'}')?;
    Some(cursor.at)
}

/// Where the text of `version_info` begins, if it comes first, or behind `@type`.
fn before_version(element: &[u8]) -> Option<usize> {
    let mut cursor = Cursor { bytes: element, at: 0, is_short: false };
    cursor.byte(b'{')?;
    if cursor.key(&[b"\"@type\""]).is_some() {
        cursor.text()?;
        cursor.byte(b',')?;
    }
    cursor.key(&[b"\"version_info\"", b"\"versionInfo\""])?;
    cursor.byte(b'"')?;
    Some(cursor.at)
}

/// The type that an element says first (`@type`), without the part before its last dot; `Ok(None)` where it says something
/// else first.
pub(crate) fn type_name(element: &[u8]) -> Result<Option<&str>, TooShort> {
    let mut cursor = Cursor { bytes: element, at: 0, is_short: false };
    match cursor.type_url() {
        Some(url) => Ok(std::str::from_utf8(url).ok().and_then(|url| url.rsplit(['.', '/']).next())),
        None if cursor.is_short => Err(TooShort),
        None => Ok(None),
    }
}

/// The bytes end before it can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooShort;

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Whether what was looked for may stand behind the last byte.
    is_short: bool,
}

impl<'a> Cursor<'a> {
    /// Passes over the beginning of an object, up to its type, and gives that.
    fn type_url(&mut self) -> Option<&'a [u8]> {
        self.byte(b'{')?;
        self.key(&[b"\"@type\""])?;
        self.text()
    }

    /// Passes over blanks and this byte.
    fn byte(&mut self, byte: u8) -> Option<()> {
        self.blanks();
        self.is_short = self.at == self.bytes.len();
        (self.bytes.get(self.at) == Some(&byte)).then(|| self.at += 1)
    }

    fn blanks(&mut self) {
        self.at += self.bytes[self.at..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    }

    /// Passes over one of these keys, and the colon behind it.
    fn key(&mut self, keys: &[&[u8]]) -> Option<()> {
        self.blanks();
        let rest = &self.bytes[self.at..];
        self.is_short = keys.iter().any(|key| rest.len() < key.len() && key.starts_with(rest));
        let key = keys.iter().find(|key| rest.starts_with(key))?;
        self.at += key.len();
        self.byte(b':')
    }

    /// Passes over a text without escapes, and gives what is between its quotes.
    fn text(&mut self) -> Option<&'a [u8]> {
        self.byte(b'"')?;
        self.up_to_quote()
    }

    /// The same behind its opening quote.
    fn up_to_quote(&mut self) -> Option<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let end = memchr::memchr2(b'"', b'\\', &rest[..rest.len().min(MAX_TEXT)]);
        self.is_short = end.is_none() && rest.len() < MAX_TEXT;
        let end = end?;
        self.at += end + 1;
        (rest[end] == b'"').then(|| &rest[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_are_cut_off() {
        let of = |element: &'static str| {
            let Stem { before, version, behind, timed } = Stem::of(element.as_bytes());
            let text = |bytes| std::str::from_utf8(bytes).expect("text");
            (text(before), version, text(behind), timed)
        };
        for (element, expected) in [
            (
                r#"{"version_info": "v1", "cluster": {"name": "a"}, "last_updated": "2026-11-23T18:00:00.123Z"}"#,
                (r#"{"version_info": ""#, Some("v1"), r#"", "cluster": {"name": "a"}"#, true),
            ),
            (
                "{\n \"@type\": \"x.DynamicCluster\",\n \"versionInfo\": \"v1\",\n \"cluster\": {}\n , \"lastUpdated\" : \"t\"\n}",
                (
                    "{\n \"@type\": \"x.DynamicCluster\",\n \"versionInfo\": \"",
                    Some("v1"),
                    "\",\n \"cluster\": {}",
                    true,
                ),
            ),
            (r#"{"cluster": {"name": "a"}, "last_updated": "t"}"#, ("", None, r#"{"cluster": {"name": "a"}"#, true)),
            (r#"{"name": "a"}"#, ("", None, r#"{"name": "a"}"#, false)),
            (r#"{"version_info": "a\"b"}"#, ("", None, r#"{"version_info": "a\"b"}"#, false)),
            (
                r#"{"cluster": {"version_info": "v"}, "x": 1}"#,
                ("", None, r#"{"cluster": {"version_info": "v"}, "x": 1}"#, false),
            ),
            (r#"{"a": ", \"last_updated\": \"t\"}"}"#, ("", None, r#"{"a": ", \"last_updated\": \"t\"}"}"#, false)),
        ] {
            assert_eq!(of(element), expected, "{element}");
        }
        let typed = br#" {"@type" : "type.googleapis.com/envoy.admin.v3.ClustersConfigDump", "x"#;
        let told = typed.iter().position(|byte| *byte == b',').expect("a comma");
        for end in 0..typed.len() {
            let expected = if end < told { Err(TooShort) } else { Ok(Some("ClustersConfigDump")) };
            assert_eq!(type_name(&typed[..end]), expected, "{end}");
        }
        assert_eq!(type_name(br#"{"n"#), Ok(None));
        assert_eq!(type_name(br#"{}"#), Ok(None));
        assert_eq!(type_name(br#"{"@type": 3"#), Ok(None));
    }
}
