//! The wrappers of text lines: each function takes one off. The list of them stands in docs/logs.md.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::decode::timestamp::{self, TimeContext};
use crate::model::LoggedAt;

use super::csv;
use super::stream::{Piece, Stream};
use super::text::{is_date, shape};

/// Prefixes that are remembered at most.
const MAX_PREFIXES: usize = 4096;

/// A line without its outermost wrapper.
#[derive(Debug)]
pub(super) struct Peeled<'a> {
    pub(super) inner: Cow<'a, str>,
    pub(super) time: Option<LoggedAt>,
    pub(super) source: Option<&'a str>,
    pub(super) service: Option<&'a str>,
    pub(super) stream: Stream,
    pub(super) piece: Piece,
}

impl<'a> Peeled<'a> {
    fn inner(inner: &'a str) -> Self {
        Self::owned(Cow::Borrowed(inner))
    }

    fn owned(inner: Cow<'a, str>) -> Self {
        Self { inner, time: None, source: None, service: None, stream: Stream::Unknown, piece: Piece::Whole }
    }

    fn from(self, source: &'a str) -> Self {
        Self { source: Some(source), ..self }
    }
}

/// What lines before have shown of the wrappers of this input. A stack trace in the middle of stern's output looks
/// like nothing by itself: it is the prefix, seen before, that tells.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Prefixes up to the line inside.
    prefixes: HashSet<Box<str>>,
    /// The last number of a `grep -n`.
    numbered: Option<u64>,
    /// Whether a container runtime puts a time before each line.
    stamped: bool,
    /// The column at which the quoted field of a table without heading held a line.
    quoted: bool,
}

impl Known {
    fn learn(&mut self, prefix: &str) {
        if self.prefixes.len() < MAX_PREFIXES && !self.prefixes.contains(prefix) {
            self.prefixes.insert(prefix.into());
        }
    }

    fn has(&self, prefix: &str) -> bool {
        !self.prefixes.is_empty() && self.prefixes.contains(prefix)
    }
}

/// Takes one wrapper off; `None` when there is none that is known.
pub(super) fn peel<'a>(line: &'a str, known: &mut Known, context: &TimeContext) -> Option<Peeled<'a>> {
    let bytes = line.as_bytes();
    let peeled = match bytes.first()? {
        b'>' => quote(line),
        b' ' | b'\t' | b'|' => indented(line).or_else(|| cf(line, context)),
        b'*' | b'`' | b'_' | b'-' | b'+' => marks(line),
        b'<' => syslog(line, context),
        b'[' => bracketed(line, known),
        b'"' => None,
        _ if is_date(bytes) => dated(line, known, context),
        _ => grep(line, known)
            .or_else(|| compose(line, known))
            .or_else(|| journal(line, context))
            .or_else(|| stern(line, known)),
    };
    peeled.or_else(|| table_row(line, known)).or_else(|| pasted(line))
}

/// Whether a line begins as a record does: one of a proxy's layouts, a date, JSON.
fn is_known(text: &str) -> bool {
    let bare = text.trim_start_matches(['[', '(']);
    match text.strip_prefix('{') {
        // Formats of people's own have braces, too.
        Some(inside) => inside.trim_start().starts_with(['"', '}']),
        None => shape(text).is_some() || is_date(bare.as_bytes()),
    }
}

/// `> line`, as mail quotes.
fn quote(line: &str) -> Option<Peeled<'_>> {
    let inner = line.strip_prefix('>')?;
    matches!(inner.bytes().next(), None | Some(b' ' | b'>' | b'\t'))
        .then(|| Peeled::inner(inner.strip_prefix(' ').unwrap_or(inner)))
}

/// A record that was moved in, or stands in a table of Markdown.
fn indented(line: &str) -> Option<Peeled<'_>> {
    let inner = line.trim_start_matches([' ', '\t', '|']);
    let is_record = is_known(inner) || inner.starts_with("[pod/");
    is_record.then(|| Peeled::inner(inner.trim_end_matches(['|', ' '])))
}

/// Markdown around a record: `**`, a list's mark, backticks; and a diff's marks.
fn marks(line: &str) -> Option<Peeled<'_>> {
    let inner = line.trim_start_matches(['*', '`', '_', '-', '+', ' ']);
    let inner = if inner.contains("**") { Cow::Owned(inner.replace("**", "")) } else { Cow::Borrowed(inner) };
    let inner = match inner {
        Cow::Borrowed(inner) => Cow::Borrowed(inner.trim_end_matches(['`', '_'])),
        Cow::Owned(inner) => Cow::Owned(inner.trim_end_matches(['`', '_']).to_owned()),
    };
    is_known(&inner).then_some(Peeled::owned(inner))
}

/// `**` and backticks in the middle of a line, quotes that a word processor made round, and HTML's entities.
fn pasted(line: &str) -> Option<Peeled<'_>> {
    // The first bytes of all that is looked for.
    memchr::memchr3(b'*', b'&', 0xe2, line.as_bytes())?;
    let has = |needle: &str| memchr::memmem::find(line.as_bytes(), needle.as_bytes()).is_some();
    let mut inner = Cow::Borrowed(line);
    if has("**") {
        inner = Cow::Owned(inner.replace("**", ""));
    }
    if has("&quot;") || has("&gt;") || has("&#") {
        let entities = [
            ("&quot;", "\""),
            ("&#34;", "\""),
            ("&#x22;", "\""),
            ("&#39;", "'"),
            ("&lt;", "<"),
            ("&gt;", ">"),
            ("&amp;", "&"),
        ];
        inner = Cow::Owned(entities.iter().fold(inner.into_owned(), |text, (from, to)| text.replace(from, to)));
    }
    if has("\u{201c}") || has("\u{201d}") {
        inner = Cow::Owned(inner.replace(['\u{201c}', '\u{201d}'], "\""));
    }
    let changed = matches!(&inner, Cow::Owned(own) if own != line);
    let indented = inner.trim_start();
    (changed && (is_known(indented) || indented.starts_with("[pod/")))
        .then(|| Peeled::owned(Cow::Owned(indented.to_owned())))
}

/// A row of a table without heading: the quoted field that holds a record, its quotes undone.
fn table_row<'a>(line: &'a str, known: &mut Known) -> Option<Peeled<'a>> {
    let first = memchr::memchr(b'"', line.as_bytes())?;
    let quoted = memchr::memmem::find(&line.as_bytes()[first..], b"\"\"").is_some();
    if !(quoted && (known.quoted || line.starts_with('"') || line.contains(",\""))) {
        return None;
    }
    let inner = csv::fields(line, b',')?.into_iter().find(|field| is_record(field))?;
    known.quoted = true;
    Some(Peeled::owned(Cow::Owned(inner)))
}

/// Whether a text is a record of a proxy, or JSON.
fn is_record(text: &str) -> bool {
    shape(text.trim_start()).is_some()
}

/// `[pod/NAME/CONTAINER] line` (`kubectl logs --prefix`), `[POD CONTAINER] line` and `[POD] line` (kubetail).
fn bracketed<'a>(line: &'a str, known: &mut Known) -> Option<Peeled<'a>> {
    let close = line.find(']')?;
    let (source, behind) = (&line[1..close], &line[close + 1..]);
    let inner = behind.strip_prefix(' ').unwrap_or(behind);
    if source.starts_with("pod/") && source.split('/').count() == 3 && !source.contains(' ') {
        return Some(Peeled::inner(inner).from(source));
    }
    let mut words = source.split(' ');
    let (pod, container) = (words.next()?, words.next());
    if words.next().is_some() || !is_name(pod) || !container.is_none_or(is_name) || !behind.starts_with(' ') {
        return None;
    }
    // A thread's name in brackets looks alike.
    let prefix = &line[..line.len() - inner.len()];
    let sure = is_record(inner) || (is_pod(pod) && is_known(inner)) || is_replica(pod);
    if sure {
        known.learn(prefix);
    }
    (sure || known.has(prefix)).then(|| Peeled::inner(inner).from(source))
}

/// A name that Kubernetes gives things: RFC 1123.
fn is_name(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.'))
        && text.as_bytes()[0].is_ascii_alphanumeric()
}

/// Whether letters are made up: they avoid vowels and 0, 1, 3 (apimachinery's rand package).
fn is_made_up(part: &str) -> bool {
    part.bytes().all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte))
}

/// A name as ReplicaSets and DaemonSets make for pods.
fn is_pod(text: &str) -> bool {
    is_name(text) && text.rsplit_once('-').is_some_and(|(_, last)| last.len() == 5 && is_made_up(last))
}

/// A name as ReplicaSets alone make for pods, with two parts that are made up: nothing else is written like that.
fn is_replica(text: &str) -> bool {
    let set = text.rsplit_once('-').and_then(|(set, _)| set.rsplit_once('-'));
    is_pod(text) && set.is_some_and(|(_, hash)| (6..=10).contains(&hash.len()) && is_made_up(hash))
}

/// Lines with a time before them that is not their own.
fn dated<'a>(line: &'a str, known: &mut Known, context: &TimeContext) -> Option<Peeled<'a>> {
    let (time, used) = timestamp::leading(line.as_bytes(), context)?;
    let stamp = &line[..used];
    let behind = line.get(used..)?;
    let rest = behind.strip_prefix([' ', '\t']).or_else(|| behind.strip_prefix(": "))?;
    let stamped = |inner: Peeled<'a>| Peeled { time: Some(time), ..inner };
    if let Some((stream, piece, inner)) = cri(rest) {
        known.stamped = true;
        return Some(stamped(Peeled { stream, piece, ..Peeled::inner(inner) }));
    }
    if let Some(peeled) = labelled(rest).or_else(|| heroku(rest)).or_else(|| cf_body(rest)).or_else(|| program(rest)) {
        return Some(stamped(peeled));
    }
    let fraction =
        stamp.split_once('.').map_or(0, |(_, fraction)| fraction.bytes().take_while(u8::is_ascii_digit).count());
    let is_runtime = stamp.as_bytes().get(10) == Some(&b'T') && time.zoned;
    if is_runtime && (fraction >= 7 || known.stamped || is_known(rest) || rest.starts_with("[pod/")) {
        known.stamped |= fraction >= 7 || is_date(rest.trim_start_matches(['[', '(']).as_bytes());
        return Some(stamped(Peeled::inner(rest)));
    }
    // `aws logs tail` has the stream's name between the time and the line.
    let (stream, inner) = rest.split_once(' ')?;
    let is_stream = stream.len() > 8 && (stream.contains('/') || is_pod(stream)) && is_record(inner);
    is_stream.then(|| stamped(Peeled::inner(inner).from(stream)))
}

/// Whether behind a time of 19 letters and its fraction stands a level or what else no wrapper puts there.
pub(super) fn is_plainly_dated(line: &str, known: &Known) -> bool {
    let bytes = line.as_bytes();
    if bytes.len() < 24 {
        return false;
    }
    let fraction = bytes[20..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let end = if matches!(bytes[19], b'.' | b',') { 20 + fraction } else { 19 };
    let Some(rest) = line.get(end..) else { return false };
    let (rest, runtime) = match rest.strip_prefix('Z') {
        Some(rest) => (rest, bytes[10] == b'T'),
        None => (rest, false),
    };
    let Some(rest) = rest.strip_prefix(' ') else { return false };
    // Of a runtime's time no more than the fraction tells.
    if runtime && (fraction >= 7 || known.stamped || is_known(rest) || rest.starts_with("[pod/")) {
        return false;
    }
    let begins = match rest.as_bytes() {
        [b'[' | b' ' | b'(', ..] => true,
        [b'-', after, ..] => !after.is_ascii_digit(),
        bytes => is_level(&rest[..bytes.iter().take_while(|byte| !matches!(byte, b' ' | b':')).count()]),
    };
    begins && cf_body(rest).is_none() && program(rest).is_none()
}

/// `stdout F line`: containerd and CRI-O. `P` marks a piece of a longer line.
fn cri(rest: &str) -> Option<(Stream, Piece, &str)> {
    let (stream, rest) = match rest.split_at_checked(7)? {
        ("stdout ", rest) => (Stream::Stdout, rest),
        ("stderr ", rest) => (Stream::Stderr, rest),
        _ => return None,
    };
    let (tag, inner) = rest.split_once(' ').unwrap_or((rest, ""));
    match tag.split(':').next()? {
        "P" => Some((stream, Piece::More, inner)),
        "F" => Some((stream, Piece::Last, inner)),
        _ => None,
    }
}

/// `{app="web", pod="web-1"} line`: logcli.
fn labelled(rest: &str) -> Option<Peeled<'_>> {
    let labels = rest.strip_prefix('{')?;
    let equals = labels.find("=\"")?;
    if !labels[..equals].bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return None;
    }
    let mut end = 0;
    let mut in_string = false;
    for (at, byte) in labels.bytes().enumerate() {
        match byte {
            b'"' if at == 0 || labels.as_bytes()[at - 1] != b'\\' => in_string = !in_string,
            b'}' if !in_string => {
                end = at;
                break;
            }
            _ => {}
        }
    }
    let inner = labels.get(end + 1..)?.trim_start_matches([' ', '\t']);
    let label = |name: &str| {
        labels[..end]
            .split(", ")
            .find_map(|label| label.trim().strip_prefix(name)?.strip_prefix("=\"")?.strip_suffix('"'))
    };
    let source = label("pod").or_else(|| label("instance")).or_else(|| label("filename"));
    let service = label("app").or_else(|| label("service_name")).or_else(|| label("container"));
    (end > 0).then(|| Peeled { source, service, ..Peeled::inner(inner) })
}

/// `app[web.1]: line`: heroku's Logplex.
fn heroku(rest: &str) -> Option<Peeled<'_>> {
    let dyno = rest.strip_prefix("app[").or_else(|| rest.strip_prefix("heroku["))?;
    let (dyno, inner) = dyno.split_once("]: ")?;
    let head = &rest[..rest.len() - inner.len() - 3];
    is_name(dyno).then(|| Peeled::inner(inner).from(head))
}

/// `[APP/PROC/WEB/0] OUT line`: Cloud Foundry.
fn cf_body(rest: &str) -> Option<Peeled<'_>> {
    let (source, behind) = rest.strip_prefix('[')?.split_once(']')?;
    let (stream, inner) = match behind.trim_start().split_at_checked(4)? {
        ("OUT ", inner) => (Stream::Stdout, inner),
        ("ERR ", inner) => (Stream::Stderr, inner),
        _ => return None,
    };
    let is_source =
        source.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"/_-.".contains(&byte));
    is_source.then(|| Peeled { stream, ..Peeled::inner(inner).from(source) })
}

/// `   TIME [APP/PROC/WEB/0] OUT line`.
fn cf<'a>(line: &'a str, context: &TimeContext) -> Option<Peeled<'a>> {
    let line = line.trim_start();
    let (time, used) = timestamp::leading(line.as_bytes(), context)?;
    Some(Peeled { time: Some(time), ..cf_body(line[used..].trim_start())? })
}

/// `HOST PROGRAM[12]: line`: what journald and syslog write behind their time.
fn program(rest: &str) -> Option<Peeled<'_>> {
    // Words are short, and most lines are none of these.
    let word = |text: &str| text.bytes().position(|byte| byte == b' ');
    let (host, behind) = rest.split_at(word(rest)?);
    let behind = &behind[1..];
    let (program, inner) = behind.split_at(word(behind).unwrap_or(behind.len()));
    let inner = inner.strip_prefix(' ').unwrap_or(inner);
    let (name, pid) = program.strip_suffix("]:").and_then(|program| program.split_once('['))?;
    let sure = !name.is_empty()
        && !name.contains('"')
        && !pid.is_empty()
        && pid.bytes().all(|byte| byte.is_ascii_digit())
        && !host.is_empty()
        && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_:".contains(&byte));
    let source_end = host.len() + 1 + name.len();
    sure.then(|| Peeled::inner(inner).from(&rest[..source_end]))
}

/// `Nov 23 18:01:21 HOST PROGRAM[12]: line`: journald and syslog (RFC 3164). The year is the one that fits.
fn journal<'a>(line: &'a str, context: &TimeContext) -> Option<Peeled<'a>> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    MONTHS.contains(&line.get(..3)?).then_some(())?;
    let bytes = line.as_bytes();
    // `Nov 23 18:01:21` or `Nov  3 18:01:21.123456`
    let clock = bytes.get(3) == Some(&b' ') && bytes.get(9) == Some(&b':') && bytes.get(12) == Some(&b':');
    if !clock {
        return None;
    }
    let end = 7 + line.get(7..)?.find(' ')?;
    let rest = &line[end + 1..];
    let time = timestamp::leading(bytes, context).map(|(time, _)| time);
    if let Some(peeled) = program(rest) {
        return Some(Peeled { time, ..peeled });
    }
    // A program without its number.
    let (head, inner) = rest.split_once(": ")?;
    let mut words = head.split(' ');
    let (_host, _program) = (words.next()?, words.next()?);
    words.next().is_none().then(|| Peeled { time, ..Peeled::inner(inner).from(head) })
}

/// `<14>` and what follows: syslog as it goes over the wire, RFC 3164 or 5424.
fn syslog<'a>(line: &'a str, context: &TimeContext) -> Option<Peeled<'a>> {
    let (priority, rest) = line.strip_prefix('<')?.split_once('>')?;
    if priority.is_empty() || priority.len() > 3 || !priority.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if let Some(rest) = rest.strip_prefix("1 ") {
        // VERSION TIME HOST PROGRAM PID ID STRUCTURED-DATA line
        let mut words = rest.splitn(6, ' ');
        let (time, host, program) = (words.next()?, words.next()?, words.next()?);
        let (_pid, _id, rest) = (words.next()?, words.next()?, words.next()?);
        let inner = match rest.strip_prefix('-') {
            Some(inner) => inner,
            None => &rest[structured(rest)?..],
        };
        let start = time.len() + 1;
        let source = &line[line.len() - line.split_once("1 ")?.1.len() + start..][..host.len() + 1 + program.len()];
        let inner = inner.strip_prefix(' ').unwrap_or(inner).trim_start_matches('\u{feff}');
        return Some(Peeled { time: moment(time, context), ..Peeled::inner(inner).from(source) });
    }
    journal(rest, context).or_else(|| Some(Peeled::inner(rest)))
}

/// The length of `[id name="value"]…`.
fn structured(rest: &str) -> Option<usize> {
    let bytes = rest.as_bytes();
    let mut at = 0;
    while bytes.get(at) == Some(&b'[') {
        let mut in_string = false;
        loop {
            at += 1;
            match bytes.get(at)? {
                b'"' if bytes[at - 1] != b'\\' => in_string = !in_string,
                b']' if !in_string => break,
                _ => {}
            }
        }
        at += 1;
    }
    (at > 0).then_some(at)
}

/// `12:line`, `12-line`, `FILE:12:line`, `FILE-12-line`, `FILE:line`: grep with and without numbers and context.
fn grep<'a>(line: &'a str, known: &mut Known) -> Option<Peeled<'a>> {
    let number = |text: &'a str| -> Option<(u64, &'a str)> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let inner = text[digits..].strip_prefix([':', '-'])?;
        (1..=9).contains(&digits).then(|| Some((text[..digits].parse().ok()?, inner))).flatten()
    };
    if let Some((line_number, inner)) = number(line) {
        let next = known.numbered.is_some_and(|last| line_number > last);
        if next || is_known(inner) || inner.starts_with("[pod/") {
            known.numbered = Some(line_number);
            return Some(Peeled::inner(inner));
        }
        return None;
    }
    let (file, rest) = line.split_once(':').filter(|(file, _)| is_file(file))?;
    let (inner, prefix) = match number(rest) {
        Some((_, inner)) => (inner, file),
        None => (rest, file),
    };
    let trimmed = inner.trim_start();
    if is_record(trimmed) || is_date(trimmed.trim_start_matches(['[', '(']).as_bytes()) {
        known.learn(prefix);
        return Some(Peeled::inner(trimmed).from(file));
    }
    known.has(prefix).then(|| Peeled::inner(inner).from(file))
}

fn is_file(text: &str) -> bool {
    !text.is_empty()
        && text.len() < 512
        && !text.contains([' ', '\t', '"', '=', '{'])
        && text.contains(['.', '/', '-', '_'])
        && !text.ends_with("Exception")
        && !text.ends_with("Error")
}

/// `SERVICE-1  | line` (docker compose, `docker service logs`), `0|name  | line` (PM2).
fn compose<'a>(line: &'a str, known: &mut Known) -> Option<Peeled<'a>> {
    let bar = line.find("| ").or_else(|| line.ends_with('|').then(|| line.len() - 1))?;
    let pm2 = line.as_bytes()[0].is_ascii_digit() && line[..bar].bytes().all(|byte| byte.is_ascii_digit());
    let bar = if pm2 { bar + 1 + line[bar + 1..].find("| ")? } else { bar };
    let head = &line[..bar];
    let padded = head.ends_with(' ');
    let service = head.trim_end();
    // PM2 itself writes `PM2 | `, with its number `0|name`.
    let name = service.split_once('|').map_or(service, |(_, name)| name);
    let inner = line.get(bar + 2..).unwrap_or("");
    let is_service = !name.is_empty()
        && name.len() < 128
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte))
        && !is_level(name);
    if !is_service {
        return None;
    }
    let numbered =
        name.rsplit_once(['-', '_', '.']).is_some_and(|(_, last)| last.bytes().all(|byte| byte.is_ascii_digit()));
    let sure = (padded && (numbered || is_known(inner) || name.contains('@'))) || is_known(inner) || service != name;
    if sure {
        known.learn(service);
    }
    (sure || known.has(service)).then(|| Peeled::inner(inner).from(service))
}

fn is_level(text: &str) -> bool {
    matches!(text.len(), 4..=8)
        && ["trace", "debug", "info", "warn", "warning", "error", "fatal", "severe", "critical", "notice", "panic"]
            .iter()
            .any(|level| level.eq_ignore_ascii_case(text))
}

/// `POD CONTAINER line`, `NAMESPACE POD CONTAINER line`, `NAMESPACE POD › line`: stern.
fn stern<'a>(line: &'a str, known: &mut Known) -> Option<Peeled<'a>> {
    let mut from = 0;
    let mut named = false;
    // Whether the word before is a pod for sure: then this one is its container, whatever the line looks like.
    let mut of_replica = false;
    for _ in 0..3 {
        let blank = line[from..].find(' ')?;
        let word = line[from..from + blank].trim_end_matches('›');
        if !word.is_empty() && (!is_name(word) || is_level(word)) {
            return None;
        }
        named |= word.contains('-');
        from += blank + 1;
        let inner = line[from..].trim_start_matches("› ").trim_start_matches("| ");
        let prefix = line[..from].trim_end();
        if known.has(prefix) {
            return Some(Peeled::inner(inner).from(prefix));
        }
        if (named && is_known(inner)) || (of_replica && !word.is_empty()) {
            known.learn(prefix);
            return Some(Peeled::inner(inner).from(prefix));
        }
        of_replica |= is_replica(word);
    }
    None
}

/// A line without the frame that k9s and terminals draw at its ends, and without blanks at its end.
pub(super) fn unframed(text: &str) -> &str {
    if !is_framed(text) {
        return text;
    }
    text.trim_end_matches([' ', '\u{2502}', '\u{2503}', '\u{2551}'])
        .trim_start_matches(['\u{2502}', '\u{2503}', '\u{2551}'])
}

/// Whether there is one.
pub(super) fn is_framed(text: &str) -> bool {
    let frame = |bytes: &[u8]| {
        bytes.starts_with(b"\xe2\x94\x82") || bytes.starts_with(b"\xe2\x94\x83") || bytes.starts_with(b"\xe2\x95\x91")
    };
    // The last bytes of these, and a blank behind them.
    if !matches!(text.as_bytes().last(), Some(b' ' | 0x82 | 0x83 | 0x91)) {
        return frame(text.as_bytes());
    }
    let end = text.trim_end_matches(' ').as_bytes();
    frame(text.as_bytes()) || end.len().checked_sub(3).is_some_and(|at| frame(&end[at..]))
}

/// A time by itself.
pub(super) fn moment(text: &str, context: &TimeContext) -> Option<LoggedAt> {
    timestamp::whole(text, context)
}

/// A time by itself, or a number since 1970.
pub(super) fn moment_of(text: &str, context: &TimeContext) -> Option<LoggedAt> {
    timestamp::epoch(text).or_else(|| timestamp::whole(text, context))
}
