//! The documents that stand one after another in a file: dumps appended to each other, `jq -c`'s lines, lists of dumps,
//! with separators or headings between them or with nothing.

use std::io::{BufRead, Read};

use super::fetch::{MAX_ELEMENT, ReadError, TakeElement};
use super::file_error::FileError;
use crate::decode::dump::{DumpDecoder, DumpError};
use crate::decode::dump_forms::{self, MAX_DOCUMENT, OneDump};
use crate::decode::{END, ElementError, Shape};
use crate::input::{InputError, ahead};
use crate::k8s::outside_bytes;
use crate::model::ClusterSource;

/// What a file has turned out to hold.
pub(super) enum Decoded {
    /// One proxy's dump, whose elements have been given.
    One(Shape),
    /// Dumps in another form, of which no element was given.
    Others(Vec<OneDump>),
}

/// Takes one document, and the pod that the line above it names.
type TakeDocument<'a> = dyn FnMut(Option<(&str, &str)>, &mut dyn BufRead) -> Result<(), FileError> + Send + 'a;

/// What separates JSON documents: white space, RFC 7464's record separator, and the bytes of a mark of UTF-8, which
/// appending files puts into their middle.
fn separates(byte: u8) -> bool {
    byte.is_ascii_whitespace() || b"\x1e\xef\xbb\xbf".contains(&byte)
}

/// What a heading between two documents begins with.
const HEADING: [char; 3] = ['-', '#', '='];

/// Whether a line stands above a document: `---`, `# web-1.shop`, `=== web-1.shop ===`, or a pod's name alone.
fn is_heading(line: &[u8]) -> bool {
    (line.starts_with(b"--") && !line.starts_with(b"-----BEGIN"))
        || line.starts_with(b"#")
        || line.starts_with(b"==")
        || (!line.trim_ascii().contains(&b' ') && named(line).is_some())
}

/// What a line is that stands outside of all documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    /// What a terminal, Markdown or a person put around a dump.
    Said,
    /// Somebody could not get what should stand here.
    Failure,
    /// A piece of a dump whose beginning is not there.
    Piece,
}

/// What lines begin with that have words of failures and are none: a warning of kubectl's, how a command ended whose
/// output is there, and what `curl -v` tells of its attempts.
const NO_FAILURE: [&[u8]; 5] = [b"Unable to use a TTY", b"command terminated with exit code ", b"* ", b"< ", b"> "];

/// What people type to get a dump, or to leave where they got it.
const TYPED: [&str; 4] = ["kubectl ", "istioctl ", "curl ", "exit"];

/// Words of those who could not get a dump: kubectl, curl, istioctl, Envoy itself.
const FAILED: [&str; 17] = [
    "error",
    "fail",
    "refused",
    "forbidden",
    "denied",
    "unauthorized",
    "not found",
    "notfound",
    "timed out",
    "timeout",
    "unable",
    "unavailable",
    "cannot",
    "couldn't",
    "unreachable",
    "no such",
    "no healthy upstream",
];

/// What a line outside of all documents is; of an HTTP answer's head (`in_head`) every field is said beside. Whatever
/// may be a dump that was cut, or one that is missing, is not passed over.
fn beside(line: &[u8], in_head: bool) -> Beside {
    let line = line.trim_ascii();
    let has = |word: &str| memchr::memmem::find(line, word.as_bytes()).is_some();
    let is_field = || {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        name.len() < line.len() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    };
    // A prompt with what was typed behind it.
    let is_typed = || ["$ ", "# ", "% ", "> "].iter().any(|sign| has(sign)) && TYPED.iter().any(|word| has(word));
    // What begins as JSON does is no prose, whatever it says.
    let begins_json = match line.first() {
        // A prompt, or what a log puts before its lines; and what `curl -v` says of bytes.
        Some(b'[') => !(line.get(1).is_some_and(u8::is_ascii_alphanumeric) && has("]")),
        Some(b'{') => !line.starts_with(b"{ ["),
        first => matches!(first, Some(b'"' | b'}' | b']' | b',')),
    };
    if begins_json {
        return Beside::Piece;
    }
    if (in_head && is_field()) || is_typed() {
        return Beside::Said;
    }
    // YAML's, too.
    let ends_open = line.ends_with(b"{") || line.ends_with(b"[");
    if ends_open || has("onnectTimeout") || has("onnect_timeout") || line.starts_with(b"configs:") {
        return Beside::Piece;
    }
    let lower = String::from_utf8_lossy(line).to_ascii_lowercase();
    let fails = FAILED.iter().any(|word| lower.contains(word));
    if fails && !NO_FAILURE.iter().any(|beginning| line.starts_with(beginning)) {
        Beside::Failure
    } else {
        Beside::Said
    }
}

/// The most documents of one file: twice the proxies of a large mesh. Each costs some 8 KiB until its plan is made.
const MAX_DOCUMENTS: usize = 20_000;

/// How many lines may stand before, between or behind documents: with more, it is some other text, such as a log.
const MAX_BESIDE: usize = 1_000;

/// How much of a line is looked at.
const MAX_LINE: usize = 400;

/// Lets `one` read each of the documents that stand one after another in a file.
pub(super) fn each_document(reader: &mut dyn BufRead, one: &mut TakeDocument<'_>) -> Result<(), FileError> {
    ahead(reader, |reader| {
        let (mut count, mut in_list) = (0, false);
        let mut line: Option<Vec<u8>> = None;
        let (mut pod, mut in_head) = (None, false);
        // What was said beside the documents: the first line of all, and the first failure.
        let (mut said, mut failure, mut lines) = (None, None, 0);
        loop {
            let chunk = reader.fill_buf().map_err(InputError::from)?;
            if let Some(mut begun) = line.take() {
                let end = memchr::memchr(b'\n', chunk).unwrap_or(chunk.len());
                let used = end.min(MAX_LINE - begun.len());
                let over = used < chunk.len() || chunk.is_empty();
                begun.extend_from_slice(&chunk[..used]);
                reader.consume(used);
                if !over && begun.len() < MAX_LINE {
                    line = Some(begun);
                    continue;
                }
                lines += 1;
                match beside(&begun, in_head) {
                    Beside::Piece => {
                        count += 1;
                        one(None, &mut begun.as_slice().chain(&mut *reader))?;
                        continue;
                    }
                    Beside::Failure => failure = failure.or_else(|| Some(begun.clone())),
                    Beside::Said => {}
                }
                skip_line(reader)?;
                if is_heading(&begun) {
                    pod = named(&begun).or(pod);
                }
                in_head |= begun.starts_with(b"HTTP/");
                let first = said.get_or_insert(begun);
                if lines > MAX_BESIDE {
                    return one(None, &mut first.as_slice());
                }
                continue;
            }
            let Some(&next) = chunk.first() else {
                return match (count, failure) {
                    (0, _) => one(None, &mut said.unwrap_or_default().as_slice()),
                    (_, Some(line)) => Err(FileError::Beside(outside_bytes(&line))),
                    _ => Ok(()),
                };
            };
            let consumed = match next {
                _ if separates(next) => chunk.iter().take_while(|byte| separates(**byte)).count(),
                b',' if in_list => 1,
                b']' if in_list => {
                    in_list = false;
                    1
                }
                b'[' if !in_list && lists_dumps(chunk) => {
                    in_list = true;
                    1
                }
                _ if !b"{[".contains(&next) || beside(first_line(chunk), false) != Beside::Piece => {
                    line = Some(Vec::new());
                    0
                }
                _ => {
                    (count, lines, in_head) = (count + 1, 0, false);
                    if count > MAX_DOCUMENTS {
                        return Err(InputError::Entries(MAX_DOCUMENTS).into());
                    }
                    let of: Option<(String, String)> = pod.take();
                    one(of.as_ref().map(|(namespace, name)| (namespace.as_str(), name.as_str())), reader)?;
                    0
                }
            };
            reader.consume(consumed);
        }
    })
}

/// The first line of these bytes, or as much as is looked at.
fn first_line(bytes: &[u8]) -> &[u8] {
    let looked_at = &bytes[..bytes.len().min(MAX_LINE)];
    memchr::memchr(b'\n', looked_at).map_or(looked_at, |end| &looked_at[..end])
}

/// Passes over what is left of a line.
fn skip_line(reader: &mut dyn BufRead) -> Result<(), InputError> {
    loop {
        let chunk = reader.fill_buf()?;
        let (used, over) = match memchr::memchr(b'\n', chunk) {
            Some(end) => (end, true),
            None => (chunk.len(), chunk.is_empty()),
        };
        reader.consume(used);
        if over {
            return Ok(());
        }
    }
}

/// The namespace and the pod that a heading names, as `POD.NAMESPACE` (istioctl's form) or `NAMESPACE/POD`.
fn named(line: &[u8]) -> Option<(String, String)> {
    let line = std::str::from_utf8(line).ok()?;
    let is_sign = |sign: char| sign.is_whitespace() || "#=-:,\"'()[]<>".contains(sign);
    let pods = line.split(char::is_whitespace).map(|word| word.trim_matches(is_sign)).filter_map(|word| {
        let (namespace, pod) = match word.split_once('/') {
            Some((namespace, pod)) => (namespace, pod),
            None => word.rsplit_once('.').map(|(pod, namespace)| (namespace, pod))?,
        };
        let is_label = |text: &str| text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        // Pods of a workload end with a part of letters and digits: `reviews-7d4b9c-x2x4v`, `web-0`.
        let is_pod = pod.contains('-') && pod.split('.').all(|part| !part.is_empty() && is_label(part));
        (is_pod && !namespace.is_empty() && is_label(namespace)).then(|| (namespace.to_owned(), pod.to_owned()))
    });
    let found: Vec<_> = pods.collect();
    <[_; 1]>::try_from(found).ok().map(|[only]| only)
}

/// Whether this is the beginning of an array of dumps, as `jq -s` makes one of whole dumps or of istioctl's arrays.
fn lists_dumps(beginning: &[u8]) -> bool {
    let Some(rest) = beginning.trim_ascii_start().strip_prefix(b"[") else { return false };
    let rest = rest.trim_ascii_start();
    rest.starts_with(b"[")
        || rest.strip_prefix(b"{").is_some_and(|object| object.trim_ascii_start().starts_with(b"\"configs\""))
}

/// Feeds a document to a decoder, up to the next one. An object is kept for as long as it may still be a dump in another
/// form.
pub(super) fn decode(reader: &mut dyn BufRead, each: &mut TakeElement<'_>) -> Result<Decoded, FileError> {
    let new = || (DumpDecoder::new(MAX_ELEMENT, ClusterSource::Active), Some(Vec::new()));
    let (mut decoder, mut kept) = new();
    let (mut fed, mut parts) = (0, false);
    let mut ended = None;
    loop {
        let chunk = match reader.fill_buf().map_err(InputError::from) {
            // What is whole by then counts; whoever reads on is told again.
            Err(error @ InputError::Ended(_)) => {
                ended = Some(error);
                break;
            }
            chunk => chunk?,
        };
        if chunk.is_empty() {
            break;
        }
        let (used, next) = match decoder.feed(chunk, each) {
            Ok(()) => (chunk.len(), None),
            Err(DumpError::Elements(ElementError::Unexpected { offset, found, expected: END })) if begins(found) => {
                (usize::try_from(offset - fed).unwrap_or(chunk.len()), Some(found))
            }
            Err(error) => return Err(ReadError::from(error).into()),
        };
        kept = kept.filter(|kept: &Vec<u8>| {
            kept.len() + used <= MAX_DOCUMENT && !matches!(decoder.shape(), Some(Shape::ConfigDump | Shape::Array))
        });
        if let Some(kept) = &mut kept {
            kept.extend_from_slice(&chunk[..used]);
        }
        fed += used as u64;
        reader.consume(used);
        let Some(next) = next else { continue };
        match decoder.shape() {
            Some(Shape::EmptyObject) => ((decoder, kept), fed) = (new(), 0),
            Some(Shape::OtherObject) => match kept.take() {
                // What a line stands behind is a dump of its own.
                Some(first) if !begins_line(next) && dump_forms::is_part(&first) => {
                    // All that follows are elements of one list, which nobody has put into brackets.
                    ((decoder, _), parts) = (new(), true);
                    let list = [b"[", first.as_slice()].concat();
                    decoder.feed(&list, each).map_err(ReadError::from)?;
                    fed = list.len() as u64;
                }
                first => return others(first),
            },
            shape => return Ok(Decoded::One(shape.unwrap_or(Shape::Array))),
        }
    }
    if parts {
        decoder.feed(b"]", each).map_err(ReadError::from)?;
    }
    let decoded = match decoder.finish() {
        Ok(shape) => Ok(Decoded::One(shape)),
        Err(DumpError::NotADump) => others(kept),
        Err(error) => Err(ReadError::from(error).into()),
    };
    match ended {
        Some(ended) if decoded.is_err() => Err(ended.into()),
        _ => decoded,
    }
}

/// Whether what stands behind a document may be the next one, or what separates them.
fn begins(found: char) -> bool {
    matches!(found, '{' | '[' | ',' | ']' | '\u{1e}' | '\u{feff}') || begins_line(found)
}

/// Whether a line between documents may begin so; what it is shows when all of it is there.
fn begins_line(found: char) -> bool {
    HEADING.contains(&found)
        || found.is_ascii_alphanumeric()
        || matches!(found, '`' | '$' | '%' | '*' | '<' | '>' | '\'')
}

/// The dumps of an object in another form.
fn others(kept: Option<Vec<u8>>) -> Result<Decoded, FileError> {
    let kept = kept.unwrap_or_default();
    dump_forms::of_object(&kept).map(Decoded::Others).ok_or_else(|| {
        let error = if dump_forms::is_bootstrap(&kept) { DumpError::Bootstrap } else { DumpError::NotADump };
        ReadError::Dump(error).into()
    })
}
