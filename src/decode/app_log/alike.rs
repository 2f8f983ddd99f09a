//! Lines of JSON like those before them: a logger writes the same members in the same order, so most lines differ in a few
//! values alone. What stands between the values is compared, and of the values only those are taken that a record without
//! any of the words looked for needs. A line that differs in more is parsed.

use std::borrow::Cow;

use super::fields;
use super::names::{Meaning, meanings};
use super::{may_be_access_json, service_of};
use crate::decode::log::{Envelope, Inner, Json, Stream, decides_kind, is_line, is_proxy, may_be_proxy_line};
use crate::decode::timestamp::TimeContext;
use crate::model::{Call, LoggedAt};

/// Kinds of lines that are remembered of one input.
const MAX_KINDS: usize = 8;
/// Kinds that are learned at once, and for how many lines that were like one another one is: a log of many kinds, or whose
/// lines are all of their own, is parsed.
const LEARNED_AT_ONCE: u64 = 16;
const MET_FOR_ONE: u64 = 64;
/// Objects in objects that are looked into.
const MAX_DEPTH: usize = 16;

/// The kinds of lines that one input has shown.
#[derive(Default)]
pub(super) struct Kinds {
    /// The last used one first.
    kinds: Vec<Kind>,
    learned: u64,
    met: u64,
}

/// What lines of one kind have in common.
struct Kind {
    /// Their values, each with what stands before it.
    parts: Vec<Part>,
    /// What stands behind the last value.
    end: Box<[u8]>,
    time_is_text: bool,
    call_is_request: bool,
    source: Box<str>,
    service: Option<Box<str>>,
    stream: Stream,
}

struct Part {
    before: Box<[u8]>,
    text: bool,
    role: Role,
}

/// What a value is to a record without any of the words that are looked for.
#[derive(Clone, PartialEq)]
enum Role {
    /// Nothing.
    Free,
    /// Something that must stay as it was: the service, the pod.
    Fixed(Box<str>),
    Time,
    Message,
    Call,
    Target,
}

/// What was found in a line like one before it.
pub(super) struct Alike<'k, 'l> {
    pub(super) logged_at: LoggedAt,
    pub(super) message: &'l str,
    pub(super) call: Option<Call<'l>>,
    pub(super) target: Option<&'l str>,
    pub(super) source: &'k str,
    pub(super) service: Option<&'k str>,
    pub(super) stream: Stream,
}

impl Kinds {
    /// Reads a line like one before it; `None` where it is like none, and has to be parsed.
    pub(super) fn read<'k, 'l>(&'k mut self, line: &'l str, context: &TimeContext) -> Option<Alike<'k, 'l>> {
        let mut all = self.kinds.iter().enumerate();
        let (at, [time, message, call, target]) = all.find_map(|(at, kind)| Some((at, kind.values(line)?)))?;
        self.kinds[..=at].rotate_right(1);
        let kind = &self.kinds[0];
        let message = message?;
        // A message that is a line by itself makes its record an envelope; an empty value is none.
        if message.is_empty() || is_line(message) || call == Some("") || target == Some("") {
            return None;
        }
        if may_be_proxy_line(line, message) {
            return None;
        }
        let time = if kind.time_is_text { Json::Text(Cow::Borrowed(time?)) } else { Json::parse(time?).ok()? };
        let logged_at = fields::time(&time, context)?;
        self.met += 1;
        let call = call.map(|name| if kind.call_is_request { Call::Request(name) } else { Call::Thread(name) });
        let Kind { source, service, stream, .. } = kind;
        Some(Alike { logged_at, message, call, target, source, service: service.as_deref(), stream: *stream })
    }

    /// Learns the kind of a line that was parsed, where its names alone decide what it is.
    pub(super) fn learn(&mut self, line: &str, envelope: &Envelope<'_>, context: &TimeContext) {
        let Inner::Json(json, text) = envelope.inner else { return };
        if text != line || self.learned > LEARNED_AT_ONCE + self.met / MET_FOR_ONE {
            return;
        }
        self.learned += 1;
        if let Some(kind) = Kind::of(line, json, envelope, context) {
            self.kinds.truncate(MAX_KINDS - 1);
            self.kinds.insert(0, kind);
        }
    }
}

impl Kind {
    /// The values of a line of this kind that mean something: its time, message, call and target.
    fn values<'l>(&self, line: &'l str) -> Option<[Option<&'l str>; 4]> {
        let bytes = line.as_bytes();
        let mut found = [None; 4];
        let mut at = 0;
        for part in &self.parts {
            let rest = bytes[at..].strip_prefix(&*part.before)?;
            let start = at + part.before.len();
            let (length, escaped) = if part.text { text_length(rest)? } else { (number_length(rest), false) };
            at = start + length;
            let place = match &part.role {
                Role::Free => continue,
                Role::Fixed(value) if value.as_bytes() == &rest[..length] => continue,
                Role::Fixed(_) => return None,
                Role::Time => 0,
                Role::Message => 1,
                Role::Call => 2,
                Role::Target => 3,
            };
            if escaped {
                return None;
            }
            found[place] = Some(&line[start..at]);
        }
        (bytes[at..] == *self.end).then_some(found)
    }

    /// The kind of a line, which is this record; `None` where more of it matters than a few values.
    fn of(line: &str, json: &Json<'_>, envelope: &Envelope<'_>, context: &TimeContext) -> Option<Self> {
        let mut walk = Walk { line, at: 0, from: 0, values: Vec::new() };
        walk.value("", "", false, 0)?;
        let Walk { from, values, .. } = walk;
        if may_be_access_json(json) || is_proxy(json) || json.get("scope").is_some() {
            return None;
        }
        let found = fields::fields(json, context, None);
        // The values of a meaning, the best name first.
        let of_meaning = |meaning: Meaning| {
            let mut ranked: Vec<(usize, usize)> = values
                .iter()
                .enumerate()
                .filter(|(_, value)| !value.listed)
                .filter_map(|(index, value)| Some((value.rank(meaning)?, index)))
                .collect();
            ranked.sort_unstable();
            ranked
        };
        let first_text = |ranked: &[(usize, usize)]| {
            ranked.iter().position(|(_, index)| values[*index].text && !values[*index].is_empty())
        };
        let mut roles: Vec<Option<Role>> = vec![None; values.len()];
        let fix = |roles: &mut Vec<Option<Role>>, before: &[(usize, usize)]| {
            for (_, index) in before {
                roles[*index] = Some(Role::Fixed(values[*index].raw(line).into()));
            }
        };
        let times = of_meaning(Meaning::Time);
        let time = times.iter().position(|(_, index)| values[*index].time(line, context).is_some())?;
        let time_is_text = values[times[time].1].text;
        let requests = of_meaning(Meaning::Request);
        let request = first_text(&requests);
        let call = if request.is_some() { requests } else { of_meaning(Meaning::Thread) };
        if request.is_none() {
            fix(&mut roles, &of_meaning(Meaning::Request));
        }
        let messages = of_meaning(Meaning::Message);
        let message = first_text(&messages)?;
        let targets = of_meaning(Meaning::Target);
        for (ranked, chosen, role) in [
            (&times, Some(time), Role::Time),
            (&messages, Some(message), Role::Message),
            (&call, first_text(&call), Role::Call),
            (&targets, first_text(&targets), Role::Target),
        ] {
            fix(&mut roles, &ranked[..chosen.unwrap_or(ranked.len())]);
            if let Some(chosen) = chosen {
                roles[ranked[chosen].1] = Some(role);
            }
        }
        let named = json.get("pid").is_some() && json.get("hostname").is_some();
        let mut parts = Vec::with_capacity(values.len());
        for (value, role) in values.iter().zip(roles) {
            let matters = decides_kind(value.top)
                || value.rank(Meaning::Service).is_some()
                || value.rank(Meaning::Trace).is_some()
                || (value.listed && value.means_something())
                || (named && value.path == "name");
            let role = match role {
                Some(Role::Message) => Role::Message,
                // What decides what the line is changes with each of them.
                Some(role) if !matches!(role, Role::Fixed(_)) && matters => return None,
                Some(role) => role,
                None if matters => Role::Fixed(value.raw(line).into()),
                None => Role::Free,
            };
            parts.push(Part { before: line.as_bytes()[value.from..value.start].into(), text: value.text, role });
        }
        let kind = Self {
            parts,
            end: line.as_bytes()[from..].into(),
            time_is_text,
            call_is_request: request.is_some(),
            source: envelope.source.into(),
            service: found.service.or_else(|| service_of(envelope)).map(Into::into),
            stream: envelope.stream,
        };
        // What was parsed is the same.
        let [_, message, call, target] = kind.values(line)?;
        let at = |logged: Option<LoggedAt>| logged.map(|logged| logged.at);
        let same = found.traces.is_empty()
            && at(found.logged_at) == at(values[times[time].1].time(line, context))
            && found.message == message
            && found.target == target
            && found.call.map(Call::name) == call;
        same.then_some(kind)
    }
}

/// The length of a string up to its closing quote, and whether there are escapes in it.
fn text_length(rest: &[u8]) -> Option<(usize, bool)> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', &rest[at..])?;
        if rest[at] == b'"' {
            return Some((at, memchr::memchr(b'\\', &rest[..at]).is_some()));
        }
        at += 2;
        if at > rest.len() {
            return None;
        }
    }
}

fn number_length(rest: &[u8]) -> usize {
    rest.iter().take_while(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E')).count()
}

/// A value of a line: a string without its quotes, or a number.
struct Value<'r> {
    /// Where what stands before it begins.
    from: usize,
    start: usize,
    end: usize,
    text: bool,
    /// The names that lead to it.
    path: String,
    top: &'r str,
    /// Whether it stands in a list.
    listed: bool,
}

impl Value<'_> {
    fn raw<'r>(&self, line: &'r str) -> &'r str {
        &line[self.start..self.end]
    }

    const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn rank(&self, meaning: Meaning) -> Option<usize> {
        meanings(&self.path).iter().find(|(own, _)| *own == meaning).map(|(_, rank)| *rank)
    }

    fn means_something(&self) -> bool {
        !meanings(&self.path).is_empty()
    }

    fn time(&self, line: &str, context: &TimeContext) -> Option<LoggedAt> {
        let raw = self.raw(line);
        let value = if self.text { Json::Text(Cow::Borrowed(raw)) } else { Json::parse(raw).ok()? };
        fields::time(&value, context)
    }
}

/// Goes through the values of a line of JSON.
struct Walk<'r> {
    line: &'r str,
    at: usize,
    from: usize,
    values: Vec<Value<'r>>,
}

impl<'r> Walk<'r> {
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.line.as_bytes();
        while bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn rest(&self) -> &'r [u8] {
        &self.line.as_bytes()[self.at..]
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn push(&mut self, length: usize, text: bool, path: &str, top: &'r str, listed: bool) {
        let (from, start, end) = (self.from, self.at, self.at + length);
        self.values.push(Value { from, start, end, text, path: path.to_owned(), top, listed });
        (self.at, self.from) = (end, end);
    }

    /// Goes through a value; `None` where its names are written in escapes, or it is too deep.
    fn value(&mut self, path: &str, top: &'r str, listed: bool, depth: usize) -> Option<()> {
        match self.peek()? {
            _ if depth > MAX_DEPTH => None,
            b'"' => {
                self.at += 1;
                let (length, _) = text_length(self.rest())?;
                self.push(length, true, path, top, listed);
                self.eat(b'"')
            }
            b'{' => {
                self.at += 1;
                while self.peek()? != b'}' {
                    self.eat(b'"')?;
                    let (length, escaped) = text_length(self.rest())?;
                    let name = &self.line[self.at..self.at + length];
                    self.at += length + 1;
                    self.eat(b':')?;
                    let inner = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                    let top = if depth == 0 { name } else { top };
                    (!escaped).then_some(())?;
                    self.value(&inner, top, listed, depth + 1)?;
                    let _more = self.eat(b',');
                }
                self.eat(b'}')
            }
            b'[' => {
                self.at += 1;
                while self.peek()? != b']' {
                    self.value(path, top, true, depth + 1)?;
                    let _more = self.eat(b',');
                }
                self.eat(b']')
            }
            b't' | b'f' | b'n' => {
                self.at += self.rest().iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
                Some(())
            }
            b'-' | b'0'..=b'9' => {
                self.push(number_length(self.rest()), false, path, top, listed);
                Some(())
            }
            _ => None,
        }
    }
}
