//! The documents that stand one after another in a file: dumps appended to each other, `jq -c`'s lines, lists of dumps,
//! with separators or headings between them or with nothing.

use std::io::{BufRead, Read};

use super::fetch::{MAX_ELEMENT, ReadError, TakeElement};
use super::file_error::FileError;
use crate::decode::dump::{DumpDecoder, DumpError};
use crate::decode::dump_forms::{self, MAX_DOCUMENT, OneDump};
use crate::decode::{END, ElementError, Shape};
use crate::input::{InputError, ahead};
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

/// What kubectl, curl, a shell and Markdown put around a dump that was copied from a terminal, or kept together with what
/// was said beside it, by what such a line begins with.
const BESIDE: [&[u8]; 10] = [
    b"Defaulted container ",
    b"Defaulting container name to ",
    b"Use 'kubectl describe ",
    b"Unable to use a TTY",
    b"command terminated with exit code ",
    b"```",
    b"$ ",
    b"HTTP/",
    // curl's table of progress.
    b"% Total",
    b"Dload",
];

/// What people type to get a dump, or to leave where they got it.
const TYPED: [&[u8]; 4] = [b"kubectl ", b"istioctl ", b"curl ", b"exit"];

/// Whether a line stands beside dumps and is none; of an HTTP answer's head (`in_head`) every field is.
fn is_beside(line: &[u8], in_head: bool) -> bool {
    let line = line.trim_ascii();
    let has = |word: &[u8]| memchr::memmem::find(line, word).is_some();
    let is_field = || {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        name.len() < line.len() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
    };
    // A prompt with what was typed behind it.
    let is_typed =
        || [b"$ ", b"# ", b"% ", b"> "].iter().any(|prompt| has(*prompt)) && TYPED.iter().any(|word| has(word));
    let is_progress = || has(b" ") && line.iter().all(|byte| byte.is_ascii_digit() || b" .:-kMG\r".contains(byte));
    BESIDE.iter().any(|beginning| line.starts_with(beginning)) || (in_head && is_field()) || is_typed() || is_progress()
}

/// The most documents of one file: twice the proxies of a large mesh. Each costs some 8 KiB until its plan is made.
const MAX_DOCUMENTS: usize = 20_000;

/// How much of a line is looked at.
const MAX_LINE: usize = 400;

/// Lets `one` read each of the documents that stand one after another in a file.
pub(super) fn each_document(reader: &mut dyn BufRead, one: &mut TakeDocument<'_>) -> Result<(), FileError> {
    ahead(reader, |reader| {
        let (mut count, mut in_list) = (0, false);
        let mut line: Option<Vec<u8>> = None;
        let (mut pod, mut in_head) = (None, false);
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
                } else if is_heading(&begun) {
                    pod = named(&begun).or(pod);
                    skip_line(reader)?;
                } else if is_beside(&begun, in_head) {
                    in_head |= begun.starts_with(b"HTTP/");
                    skip_line(reader)?;
                } else {
                    count += 1;
                    one(None, &mut begun.as_slice().chain(&mut *reader))?;
                }
                continue;
            }
            let Some(&next) = chunk.first() else {
                return if count == 0 { one(None, reader) } else { Ok(()) };
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
                _ if !b"{[".contains(&next) => {
                    line = Some(Vec::new());
                    0
                }
                _ => {
                    (count, in_head) = (count + 1, false);
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
    HEADING.contains(&found) || found.is_ascii_alphanumeric() || matches!(found, '`' | '$' | '%')
}

/// The dumps of an object in another form.
fn others(kept: Option<Vec<u8>>) -> Result<Decoded, FileError> {
    let dumps = kept.and_then(|kept| dump_forms::of_object(&kept));
    dumps.map(Decoded::Others).ok_or_else(|| ReadError::Dump(DumpError::NotADump).into())
}
