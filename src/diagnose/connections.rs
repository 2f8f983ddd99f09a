//! The connections a log speaks of, open and just closed, within a bound.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};
use jiff::Timestamp;

use super::event::{Evidence, Moment};

/// Names a connection: its log, the thread that owns it, and Envoy's id, which begins at 0 again in every process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ConnectionKey {
    pub(super) source: u32,
    pub(super) thread: u64,
    pub(super) id: u64,
}

/// How many moments of one connection are kept: enough for any failure; the middle of a long life is dropped.
const MAX_MOMENTS: usize = 24;

/// How long a closed connection is kept, for what is said of it later, in milliseconds of the log.
const CLOSED_KEPT_MS: i64 = 2_000;

/// Streams of one downstream connection whose cluster is remembered.
const MAX_STREAMS: usize = 32;

/// A stream of a downstream connection and where it goes.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    pub(super) id: u64,
    pub(super) cluster: Option<Arc<str>>,
    pub(super) request_id: Option<Arc<str>>,
    pub(super) headers: bool,
}

/// Which end of the proxy a connection is at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Side {
    #[default]
    Unknown,
    /// A client made it.
    Downstream,
    /// The proxy made it.
    Upstream,
}

/// What has been on a connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Use {
    /// Nothing that is known of.
    #[default]
    None,
    /// It was given something to carry, so it was connected.
    Used,
    /// It had served before, and was given something again.
    Reused,
}

/// How far a connection has come to its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Ending {
    #[default]
    Open,
    /// The peer closed its half.
    HalfClosed,
    /// It is closed, by the peer or by Envoy.
    Closed { by_peer: bool, half_closed: bool },
}

/// What was wrong with a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadResponse {
    /// It ended in the middle.
    Cut,
    /// It is not HTTP.
    Malformed,
}

/// What an upstream connection was given to carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Attachment {
    pub(super) at: Option<Timestamp>,
    pub(super) downstream: u64,
    pub(super) stream: Option<u64>,
}

/// One connection, downstream or upstream.
#[derive(Debug, Default)]
pub(super) struct Connection {
    generation: u64,
    pub(super) side: Side,
    pub(super) usage: Use,
    pub(super) ending: Ending,
    /// Whether the TCP proxy serves it, where that is known.
    pub(super) tcp: bool,
    /// Whether a line has named why it failed.
    pub(super) decided: bool,
    /// The peer: the upstream's address, or the client's.
    pub(super) address: Option<Arc<str>>,
    /// When `connecting to` was said: only of upstream connections.
    pub(super) started: Option<Timestamp>,
    /// The line that said so.
    pub(super) opening: Option<Evidence>,
    pub(super) connected: Option<Timestamp>,
    pub(super) cluster: Option<Arc<str>>,
    /// The other half: the downstream connection this one serves, or the upstream one that serves it.
    pub(super) other: Option<u64>,
    pub(super) stream: Option<u64>,
    pub(super) attached: Option<Attachment>,
    pub(super) attachments: u32,
    pub(super) bad_response: Option<BadResponse>,
    /// The HTTP/2 error that a stream on it ended with last.
    pub(super) stream_error: bool,
    pub(super) last_response: Option<Timestamp>,
    pub(super) streams: VecDeque<Stream>,
    pub(super) moments: Vec<Moment>,
}

impl Connection {
    pub(super) fn is_upstream(&self) -> bool {
        self.side == Side::Upstream
    }

    pub(super) fn is_used(&self) -> bool {
        self.usage > Use::None
    }

    pub(super) fn used(&mut self) {
        self.usage = self.usage.max(Use::Used);
    }

    pub(super) fn is_closed(&self) -> bool {
        matches!(self.ending, Ending::Closed { .. })
    }

    /// Whether the peer has closed it, or its half of it.
    pub(super) fn left_by_peer(&self) -> bool {
        matches!(self.ending, Ending::HalfClosed | Ending::Closed { half_closed: true, .. })
    }

    pub(super) fn note(&mut self, id: u64, time: Option<Timestamp>, line: u64, what: &str) {
        if self.moments.len() >= MAX_MOMENTS {
            self.moments.remove(MAX_MOMENTS / 2);
        }
        self.moments.push(Moment { time, line, connection: Some(id), what: clip(what, 200).into() });
    }

    pub(super) fn stream_mut(&mut self, id: u64) -> &mut Stream {
        let at = self.streams.iter().position(|stream| stream.id == id).unwrap_or_else(|| {
            if self.streams.len() >= MAX_STREAMS {
                self.streams.pop_front();
            }
            self.streams.push_back(Stream { id, cluster: None, request_id: None, headers: false });
            self.streams.len() - 1
        });
        &mut self.streams[at]
    }

    pub(super) fn stream(&self, id: Option<u64>) -> Option<&Stream> {
        let id = id?;
        self.streams.iter().find(|stream| stream.id == id)
    }
}

/// Cuts a text at a character's boundary.
pub(super) fn clip(text: &str, length: usize) -> &str {
    &text[..text.floor_char_boundary(length)]
}

/// All connections, at most `limit` of them.
#[derive(Debug)]
pub(super) struct Connections {
    table: HashMap<ConnectionKey, Connection>,
    order: VecDeque<(ConnectionKey, u64)>,
    closed: VecDeque<(ConnectionKey, u64, Option<Timestamp>)>,
    generation: u64,
    limit: usize,
    /// Open connections that were forgotten because there were too many.
    pub(super) dropped: u64,
}

impl Connections {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            table: HashMap::new(),
            order: VecDeque::new(),
            closed: VecDeque::new(),
            generation: 0,
            limit: limit.max(1),
            dropped: 0,
        }
    }

    pub(super) fn get(&self, key: ConnectionKey) -> Option<&Connection> {
        self.table.get(&key)
    }

    pub(super) fn get_mut(&mut self, key: ConnectionKey) -> Option<&mut Connection> {
        self.table.get_mut(&key)
    }

    /// A new connection of this name; one that had it before is another, of an earlier process.
    pub(super) fn start(&mut self, key: ConnectionKey) -> &mut Connection {
        self.table.remove(&key);
        self.entry(key)
    }

    /// The connection of this name, new if it was not spoken of yet.
    pub(super) fn entry(&mut self, key: ConnectionKey) -> &mut Connection {
        if self.table.len() >= self.limit && !self.table.contains_key(&key) {
            self.make_room();
        }
        match self.table.entry(key) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                self.generation += 1;
                self.order.push_back((key, self.generation));
                entry.insert(Connection { generation: self.generation, ..Connection::default() })
            }
        }
    }

    pub(super) fn close(&mut self, key: ConnectionKey, time: Option<Timestamp>, by_peer: bool) {
        if let Some(connection) = self.table.get_mut(&key)
            && !connection.is_closed()
        {
            connection.ending = Ending::Closed { by_peer, half_closed: connection.ending == Ending::HalfClosed };
            self.closed.push_back((key, connection.generation, time));
        }
    }

    /// Forgets what was closed some time ago.
    pub(super) fn tidy(&mut self, now: impl Fn(u32) -> Option<Timestamp>) {
        while let Some(&(key, generation, time)) = self.closed.front() {
            let old = match (time, now(key.source)) {
                (Some(time), Some(now)) => (now.as_millisecond() - time.as_millisecond()).abs() > CLOSED_KEPT_MS,
                _ => false,
            };
            if !old && self.closed.len() <= 4096 {
                break;
            }
            self.closed.pop_front();
            self.remove(key, generation);
        }
        if self.order.len() > 2 * self.table.len() + 4096 {
            let table = &self.table;
            self.order.retain(|(key, generation)| table.get(key).is_some_and(|own| own.generation == *generation));
        }
    }

    fn remove(&mut self, key: ConnectionKey, generation: u64) -> bool {
        let same = self.table.get(&key).is_some_and(|connection| connection.generation == generation);
        if same {
            self.table.remove(&key);
        }
        same
    }

    fn make_room(&mut self) {
        while self.table.len() >= self.limit {
            let Some((key, generation)) = self.order.pop_front() else { break };
            let open = self.table.get(&key).is_some_and(|connection| !connection.is_closed());
            if self.remove(key, generation) && open {
                self.dropped += 1;
            }
        }
    }

    /// Forgets every connection of a log whose proxy started anew.
    pub(super) fn forget(&mut self, source: u32) {
        self.table.retain(|key, _| key.source != source);
    }
}
