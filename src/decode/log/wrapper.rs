//! What people's logs come wrapped in: each function takes one wrapper off.

use std::borrow::Cow;

use jiff::Timestamp;

use super::text::{is_date, shape, time};

/// A line without its outermost wrapper.
#[derive(Debug)]
pub(super) struct Peeled<'a> {
    pub(super) inner: Cow<'a, str>,
    pub(super) time: Option<Timestamp>,
    pub(super) source: Option<&'a str>,
    /// A CRI line that goes on (`P`), or ends a line that did (`F`).
    pub(super) piece: Piece,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    Whole,
    More,
    Last,
}

impl<'a> Peeled<'a> {
    fn inner(inner: &'a str) -> Option<Self> {
        Some(Self { inner: Cow::Borrowed(inner), time: None, source: None, piece: Piece::Whole })
    }
}

/// Takes one wrapper off; `None` when there is none that is known.
pub(super) fn peel(line: &str) -> Option<Peeled<'_>> {
    let bytes = line.as_bytes();
    match bytes.first()? {
        b'>' | b' ' | b'\t' | b'|' => Peeled::inner(line[1..].trim_start_matches([' ', '\t'])),
        b'*' | b'`' | b'_' => Peeled::inner(line.trim_start_matches(['*', '`', '_', ' '])).map(without_marks),
        0x1b => Some(Peeled { inner: Cow::Owned(without_colours(line)), ..Peeled::inner("")? }),
        b'[' => kubectl_prefix(line).or_else(|| marked(line)),
        _ if is_date(bytes) => cri(line).or_else(|| timestamped(line)).or_else(|| marked(line)),
        _ => grep(line)
            .or_else(|| compose(line))
            .or_else(|| journal(line))
            .or_else(|| stern(line))
            .or_else(|| marked(line)),
    }
}

fn without_marks(peeled: Peeled<'_>) -> Peeled<'_> {
    let inner = peeled.inner.replace("**", "");
    Peeled { inner: Cow::Owned(inner.trim_end_matches(['`', '_']).to_owned()), ..peeled }
}

/// `**` in the middle of a line, as it is pasted into an issue.
fn marked(line: &str) -> Option<Peeled<'_>> {
    memchr::memmem::find(line.as_bytes(), b"**")?;
    let inner = line.replace("**", "");
    (inner.len() < line.len() && shape(inner.trim_start()).is_some()).then_some(Peeled {
        inner: Cow::Owned(inner),
        time: None,
        source: None,
        piece: Piece::Whole,
    })
}

/// Terminal colours, as stern writes them.
fn without_colours(line: &str) -> String {
    let mut plain = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('\x1b') {
        plain.push_str(before);
        rest = after
            .strip_prefix('[')
            .map_or(after, |after| after.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';'));
        rest = rest.strip_prefix('m').unwrap_or(rest);
    }
    plain.push_str(rest);
    plain
}

/// `[pod/NAME/CONTAINER] line`: `kubectl logs --prefix`.
fn kubectl_prefix(line: &str) -> Option<Peeled<'_>> {
    let (source, inner) = line.strip_prefix('[')?.split_once("] ")?;
    if !source.contains('/') || source.contains(' ') {
        return None;
    }
    Some(Peeled { source: Some(source), ..Peeled::inner(inner)? })
}

/// `TIME stdout F line`: containerd and CRI-O. `P` marks a piece of a longer line.
fn cri(line: &str) -> Option<Peeled<'_>> {
    let (stamp, rest) = line.split_once(' ')?;
    let rest = rest.strip_prefix("stdout ").or_else(|| rest.strip_prefix("stderr "))?;
    let (tag, inner) = rest.split_once(' ').unwrap_or((rest, ""));
    let piece = match tag.split(':').next()? {
        "P" => Piece::More,
        "F" => Piece::Last,
        _ => return None,
    };
    Some(Peeled { time: time(stamp), piece, ..Peeled::inner(inner)? })
}

/// `TIME line`: `kubectl logs --timestamps`, `docker logs --timestamps`.
fn timestamped(line: &str) -> Option<Peeled<'_>> {
    let (stamp, inner) = line.split_once([' ', '\t'])?;
    Some(Peeled { time: Some(time(stamp)?), ..Peeled::inner(inner)? })
}

/// `12:line`, `FILE:12:line`, `12-line`: grep -n with and without context.
fn grep(line: &str) -> Option<Peeled<'_>> {
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    if digits > 0
        && digits < 12
        && let Some(inner) = line[digits..].strip_prefix([':', '-'])
    {
        return known(inner, None);
    }
    let (file, rest) = line.split_once(':')?;
    if file.contains(' ') || file.contains('\t') {
        return None;
    }
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let numbered = (digits > 0).then(|| rest[digits..].strip_prefix([':', '-'])).flatten();
    numbered.and_then(|inner| known(inner, Some(file))).or_else(|| known(rest, Some(file)))
}

/// Only where what is inside is known: these wrappers look like anything.
fn known<'a>(inner: &'a str, source: Option<&'a str>) -> Option<Peeled<'a>> {
    let trimmed = inner.trim_start();
    (shape(trimmed).is_some() || is_date(trimmed.as_bytes())).then_some(Peeled {
        inner: Cow::Borrowed(trimmed),
        time: None,
        source,
        piece: Piece::Whole,
    })
}

/// `SERVICE-1  | line`: docker compose.
fn compose(line: &str) -> Option<Peeled<'_>> {
    let (service, inner) = line.split_once(" | ").or_else(|| line.split_once("| "))?;
    let service = service.trim_end();
    (!service.is_empty() && !service.contains([' ', '\t', '"'])).then_some(())?;
    Some(Peeled { source: Some(service), ..Peeled::inner(inner)? })
}

/// `Nov 23 18:01:21 HOST PROGRAM[12]: line`: journald and syslog. Their times lack the year and are not used.
fn journal(line: &str) -> Option<Peeled<'_>> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    MONTHS.contains(&line.get(..3)?).then_some(())?;
    let (head, inner) = line.split_once(": ")?;
    let mut words = head.split_ascii_whitespace();
    let clock = words.nth(2)?;
    (clock.len() >= 8 && clock.as_bytes()[2] == b':' && words.count() <= 3).then_some(())?;
    Peeled::inner(inner)
}

/// `POD CONTAINER line`, `NAMESPACE POD › line`: stern.
fn stern(line: &str) -> Option<Peeled<'_>> {
    let mut from = 0;
    for _ in 0..3 {
        from += line[from..].find(' ')? + 1;
        let inner = line[from..].trim_start_matches(['›', ' ', '|']);
        if shape(inner).is_some() || is_date(inner.as_bytes()) {
            return Some(Peeled { source: Some(line[..from].trim_end()), ..Peeled::inner(inner)? });
        }
    }
    None
}
