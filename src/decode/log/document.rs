//! JSON documents over several lines: pretty-printed answers of log stores, lists with one object a line.

use std::borrow::Cow;
use std::mem;

use serde_json::Value;

use super::envelope_json::LISTS;
use super::grid;

/// The largest object that is put together.
const MAX_OBJECT: usize = 32 << 20;
/// The longest string that is put together of several lines.
const MAX_WRAPPED: usize = 16 << 10;
/// Lines that are kept in case this is no JSON after all.
const MAX_HELD: usize = 64 << 10;
/// Records of a line that is longer are not held until it is known to be JSON: as strings of their own, with the names of
/// a table's columns in each, they can be a hundred times the line.
const MAX_COLLECTED: usize = 64 << 10;

/// What becomes of a document with a line.
#[derive(Debug)]
pub(super) enum Taken {
    /// It goes on.
    Inside,
    /// It is at its end.
    Ended,
    /// This is no JSON: the lines so far, without the one that shows it.
    No(Vec<String>),
}

/// A document that is read line by line. Objects in its list are given one by one, so a list may have any length.
#[derive(Debug, Clone, Default)]
pub(super) struct Document {
    /// Braces and brackets that are open.
    open: Vec<u8>,
    /// How many of them are around the records: the list, and what is around the list.
    outside: usize,
    /// The record so far.
    text: String,
    too_large: bool,
    /// The last string, for the name of a list.
    last: String,
    /// The names of a row's members, of a table.
    columns: Vec<String>,
    /// The last byte that is no blank.
    before: u8,
    held: Vec<String>,
    held_bytes: usize,
    /// What a string that did not end on its line began with: the place that it was pasted into wrapped it.
    wrapped: String,
}

impl Document {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Takes a line, and gives its records (objects, or lists as rows of a list).
    pub(super) fn line(&mut self, line: &str, sink: &mut dyn FnMut(&str)) -> Taken {
        let joined = (!self.wrapped.is_empty()).then(|| mem::take(&mut self.wrapped) + line.trim_start());
        let text = joined.as_deref().unwrap_or(line);
        let (mut given, mut items) = (false, Vec::new());
        let scanned = if text.len() <= MAX_COLLECTED {
            self.scan(text, Some(&mut |item| items.push(item.to_owned())))
        } else {
            self.clone().scan(text, None).and_then(|_| {
                self.scan(
                    text,
                    Some(&mut |item| {
                        given = true;
                        sink(item);
                    }),
                )
            })
        };
        let Some(ended) = scanned else { return Taken::No(mem::take(&mut self.held)) };
        items.iter().for_each(|item| sink(item));
        if given || !items.is_empty() {
            self.held.clear();
            self.held_bytes = 0;
        } else if self.held_bytes < MAX_HELD {
            self.held_bytes += line.len();
            self.held.push(line.to_owned());
        }
        if ended { Taken::Ended } else { Taken::Inside }
    }

    /// The lines of what has no end.
    pub(super) fn abandon(&mut self) -> Vec<String> {
        mem::take(&mut self.held)
    }

    /// Goes through a line; whether the document ended, or `None` where this is no JSON.
    fn scan(&mut self, line: &str, mut sink: Option<&mut dyn FnMut(&str)>) -> Option<bool> {
        let bytes = line.as_bytes();
        let (mut at, mut from) = (0, 0);
        while at < bytes.len() {
            let byte = bytes[at];
            match byte {
                b'"' => {
                    let Some(end) = string_end(bytes, at) else {
                        if bytes.len() - at > MAX_WRAPPED {
                            return None;
                        }
                        if self.open.len() > self.outside {
                            self.keep(&line[from..at]);
                        }
                        self.wrapped.push_str(&line[at..]);
                        return Some(false);
                    };
                    self.last.clear();
                    self.last.push_str(line.get(at + 1..end).filter(|text| text.len() < 64).unwrap_or_default());
                    at = end;
                }
                b'{' | b'[' => {
                    let is_list = byte == b'[' && self.begins_list(&line[from..at]);
                    if self.begins_item(byte) {
                        self.text.clear();
                        self.too_large = false;
                        from = at;
                    }
                    self.open.push(byte);
                    if is_list {
                        self.outside = self.open.len();
                        self.text.clear();
                    }
                }
                b'}' | b']' => {
                    let opened = self.open.pop()?;
                    if (opened == b'{') != (byte == b'}') {
                        return None;
                    }
                    if self.open.len() < self.outside {
                        self.outside = self.open.len();
                    } else if self.begins_item(opened) {
                        self.keep(&line[from..=at]);
                        from = at + 1;
                        let text = mem::take(&mut self.text);
                        if !mem::take(&mut self.too_large)
                            && let Some(sink) = &mut sink
                        {
                            sink(&self.named(&text));
                        }
                    }
                    if self.open.is_empty() {
                        // What stands behind the end of a document is nothing that a log has.
                        return Some(true);
                    }
                }
                b' ' | b'\t' | b',' | b':' | b'0'..=b'9' | b'-' | b'+' | b'.' | b'E' | b'a'..=b'z' => {
                    let word = line[at..].bytes().take_while(u8::is_ascii_alphabetic).count();
                    if word > 1 && !matches!(&line[at..at + word], "true" | "false" | "null") {
                        return None;
                    }
                    at += word.saturating_sub(1);
                }
                _ => return None,
            }
            if !byte.is_ascii_whitespace() {
                self.before = byte;
            }
            at += 1;
        }
        if self.open.len() > self.outside {
            self.keep(&line[from..]);
            self.keep("\n");
        }
        Some(false)
    }

    /// Whether the bracket behind `part` of the line opens the list that holds the records.
    fn begins_list(&mut self, part: &str) -> bool {
        let before = self.text.len() + part.len();
        match self.open.as_slice() {
            [] => true,
            [.., b'{'] => {
                let inside = self.before == b':'
                    && self.open[self.outside.min(self.open.len())..].iter().all(|open| *open == b'{')
                    && before < MAX_HELD;
                let (is_list, of_rows) = (LISTS.contains(&self.last.as_str()), grid::holds_rows(&self.last));
                if !inside || !(is_list || of_rows) {
                    return false;
                }
                let columns = if of_rows { grid::names_before(&format!("{}{part}", self.text)) } else { Vec::new() };
                let begins = is_list || !columns.is_empty();
                if begins {
                    self.columns = columns;
                }
                begins
            }
            _ => false,
        }
    }

    /// The row of a table as an object; anything else as it is.
    fn named<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.columns.is_empty() {
            return Cow::Borrowed(text);
        }
        match serde_json::from_str::<Vec<Value>>(text) {
            Ok(row) if row.len() == self.columns.len() => {
                let pairs = self.columns.iter().cloned().zip(row).filter(|(_, value)| !value.is_null());
                Cow::Owned(Value::Object(pairs.collect()).to_string())
            }
            _ => Cow::Borrowed(text),
        }
    }

    /// Whether what opens (or opened) here is a record: an object or a row in the list, or an object with nothing around
    /// it. What stands beside the list, such as a store's statistics, is none.
    fn begins_item(&self, byte: u8) -> bool {
        self.open.len() == self.outside && (self.open.last() == Some(&b'[') || (self.open.is_empty() && byte == b'{'))
    }

    fn keep(&mut self, part: &str) {
        if self.text.len() + part.len() > MAX_OBJECT {
            self.too_large = true;
        } else {
            self.text.push_str(part);
        }
    }
}

/// Where a string that begins here ends; `None` where it does not end on its line, which no JSON string may.
fn string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(text: &str) -> Vec<String> {
        let mut document = Document::new();
        let mut found = Vec::new();
        for line in text.lines() {
            let taken = document.line(line, &mut |item| found.push(item.split_whitespace().collect()));
            if let Taken::No(lines) = taken {
                return vec![format!("no: {}", lines.len())];
            }
        }
        found
    }

    #[test]
    fn a_long_line_gives_what_short_ones_do() {
        let long = format!("[{}]", vec![r#"{"a":"[1]"}"#; MAX_COLLECTED / 8].join(","));
        let found = items(&long);
        assert_eq!((found.len(), found[0].as_str()), (MAX_COLLECTED / 8, r#"{"a":"[1]"}"#));
        assert_eq!(items(&long.replace("},{", "},\n{")), found);
        assert_eq!(items(&format!("{long}x")), found, "behind the end");
        let broken = long.strip_suffix(']').map(|open| format!("{open}, INFO: a log")).unwrap_or_default();
        assert_eq!(items(&broken), ["no: 0"], "nothing is given of what is no JSON");
        let table = format!(
            r#"{{"columns":[{{"name":"@timestamp"}},{{"name":"message"}}],"values":[{}]}}"#,
            vec![r#"["1","b"]"#; MAX_COLLECTED / 8].join(",")
        );
        let rows = items(&table);
        assert_eq!((rows.len(), rows[0].as_str()), (MAX_COLLECTED / 8, r#"{"@timestamp":"1","message":"b"}"#));
    }

    #[test]
    fn records_stand_in_lists_wherever_those_are() {
        let expected = [r#"{"a":"[1]"}"#, r#"{"b":[{"x":1}]}"#];
        for text in [
            "[\n {\"a\": \"[1]\"},\n {\"b\": [\n {\"x\": 1}\n]}\n]",
            "{\n \"events\": [\n {\n \"a\": \"[1]\"\n},\n {\"b\": [{\"x\": 1}]}\n],\n\"more\": [1]}",
            "{ \"data\": {\n \"resultType\": \"streams\", \"result\": [\n {\"a\": \"[1]\"}, {\"b\": [{\"x\": 1}]}\n]}}",
            "[{\"a\": \"[1]\"},\n{\"b\": [{\"x\": 1}]}]",
        ] {
            assert_eq!(items(text), expected, "{text}");
        }
    }

    #[test]
    fn rows_are_records_and_what_stands_beside_the_list_is_none() {
        let expected = [r#"[{"field":"a","value":"[1]"},{"field":"b"}]"#, "[]", r#"["c"]"#];
        for text in [
            "{\n\"results\": [\n[\n{\"field\": \"a\", \"value\": \"[1]\"},\n{\"field\": \"b\"}\n],\n[],\n[\n\"c\"\n]\n],\n\"statistics\": {\n\"recordsMatched\": 2.0\n},\n\"more\": [\n{}\n]\n}",
            "[\n[{\"field\": \"a\", \"value\": \"[1]\"}, {\"field\": \"b\"}], [], [\"c\"]\n]",
        ] {
            assert_eq!(items(text), expected, "{text}");
        }
    }

    #[test]
    fn rows_of_a_table_have_the_names_of_its_columns() {
        let expected = [r#"{"@timestamp":"1","message":"[a]"}"#, r#"{"message":"b","tags":["x","y"]}"#];
        for text in [
            r#"{"took":3,"columns":[{"name":"@timestamp","type":"date"},{"name":"message","type":"text"},{"name":"tags","type":"keyword"}],"values":[["1","[a]",null],[null,"b",["x","y"]]]}"#,
            "{\n\"is_partial\": false,\n\"columns\": [\n{\"name\": \"@timestamp\"},\n{\"name\": \"message\"},{\"name\": \"tags\"}\n],\n\"values\": [\n[\n\"1\",\n\"[a]\",\nnull\n],\n[null, \"b\", [\"x\", \"y\"]]\n]\n}",
        ] {
            assert_eq!(items(text), expected, "{text}");
        }
        assert_eq!(items(r#"{"values":[["1","a"]]}"#), [r#"{"values":[["1","a"]]}"#], "no table");
    }

    #[test]
    fn what_is_no_json_is_given_back() {
        assert_eq!(items("{\nINFO: a log\n}"), ["no: 1"]);
        // A string that does not end on its line was wrapped, until it is too long.
        assert!(items("{\n \"a\": \"wr\napped\"}")[0].contains("wrapped"));
        assert_eq!(items("{\n \"a\": \"never ends\n"), Vec::<String>::new());
        assert_eq!(items("[\n}"), ["no: 1"]);
    }
}
