//! The connections of a node.
//!
//! As in the original, a connection has one request in work: the next one waits
//! until the answer to the one before has been given and the transport has room
//! for more. Answers are therefore always in order, and a client that does not
//! read makes no answer grow.

use std::collections::VecDeque;

use broker_contract::ConnId;

use crate::frame::Up;

/// A connection, by number and by how many were opened before it: a number is
/// used again, and what waits for the former owner must not reach the new one.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConnRef {
    /// The driver's number.
    pub conn: ConnId,
    serial: u64,
}

/// What is answered, and in which version.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asker {
    /// Who asks.
    pub from: ConnRef,
    /// The request's own number.
    pub correlation: i32,
    /// The version of request and response.
    pub version: i16,
}

/// What becomes of a request that arrives.
#[derive(Debug)]
pub enum Arrival {
    /// It is worked on now.
    Work(Up),
    /// It waits for its turn, or its connection is gone.
    Kept,
    /// Too many wait already.
    TooMany,
}

/// One connection.
#[derive(Debug)]
struct Conn {
    serial: u64,
    host: String,
    /// A request is in work.
    is_busy: bool,
    /// Bytes sent and not yet taken by the transport.
    outstanding: u64,
    waiting: VecDeque<Up>,
}

/// All connections.
#[derive(Debug, Default)]
pub struct Conns {
    conns: Vec<Option<Conn>>,
    opened: u64,
    open: usize,
}

impl Conns {
    /// A connection was opened by `host`.
    pub fn open(&mut self, conn: ConnId, host: String) {
        let at = conn.0 as usize;
        if at >= self.conns.len() {
            self.conns.resize_with(at + 1, || None);
        }
        self.opened += 1;
        let (serial, waiting) = (self.opened, VecDeque::new());
        let state = Conn { serial, host, is_busy: false, outstanding: 0, waiting };
        if self.conns[at].replace(state).is_none() {
            self.open += 1;
        }
    }

    /// A connection has ended.
    pub fn close(&mut self, conn: ConnId) {
        if self.conns.get_mut(conn.0 as usize).and_then(Option::take).is_some() {
            self.open -= 1;
        }
    }

    fn get(&self, conn: ConnId) -> Option<&Conn> {
        self.conns.get(conn.0 as usize)?.as_ref()
    }

    fn get_mut(&mut self, conn: ConnId) -> Option<&mut Conn> {
        self.conns.get_mut(conn.0 as usize)?.as_mut()
    }

    /// A name for the open connection `conn` that no later one will have.
    pub fn reference(&self, conn: ConnId) -> Option<ConnRef> {
        self.get(conn).map(|state| ConnRef { conn, serial: state.serial })
    }

    /// Whether this very connection is still open.
    pub fn is_open(&self, of: ConnRef) -> bool {
        self.get(of.conn).is_some_and(|state| state.serial == of.serial)
    }

    /// From where a connection comes.
    pub fn host(&self, of: ConnRef) -> &str {
        self.get(of.conn).map_or("", |state| &state.host)
    }

    /// Takes a request that arrived. At most `most` are kept, and a request is
    /// worked on only while fewer than `room` bytes wait for the transport.
    pub fn arrive(&mut self, conn: ConnId, frame: Up, most: usize, room: u64) -> Arrival {
        let Some(state) = self.get_mut(conn) else { return Arrival::Kept };
        if !state.is_busy && state.waiting.is_empty() && state.outstanding < room {
            state.is_busy = true;
            return Arrival::Work(frame);
        }
        if state.waiting.len() >= most {
            return Arrival::TooMany;
        }
        state.waiting.push_back(frame);
        Arrival::Kept
    }

    /// The next request of a connection that may be worked on now.
    pub fn next(&mut self, conn: ConnId, room: u64) -> Option<Up> {
        let state = self.get_mut(conn)?;
        if state.is_busy || state.outstanding >= room {
            return None;
        }
        let frame = state.waiting.pop_front()?;
        state.is_busy = true;
        Some(frame)
    }

    /// The request in work has been answered, with `bytes`.
    pub fn answered(&mut self, conn: ConnId, bytes: u64) {
        if let Some(state) = self.get_mut(conn) {
            state.is_busy = false;
            state.outstanding += bytes;
        }
    }

    /// The transport took `bytes`.
    pub fn drained(&mut self, conn: ConnId, bytes: u64) {
        if let Some(state) = self.get_mut(conn) {
            state.outstanding = state.outstanding.saturating_sub(bytes);
        }
    }

    /// Whether requests wait on a connection.
    pub fn has_waiting(&self, conn: ConnId) -> bool {
        self.get(conn).is_some_and(|state| !state.waiting.is_empty())
    }

    /// How many are open.
    pub fn open_count(&self) -> usize {
        self.open
    }

    /// Some of the open connections, by number.
    pub fn some(&self, most: usize) -> Vec<ConnId> {
        let open = self.conns.iter().enumerate().filter(|(_, state)| state.is_some());
        open.map(|(at, _)| ConnId(at as u32)).take(most).collect()
    }

    /// Heap bytes, estimated.
    pub fn memory_bytes(&self) -> u64 {
        let waiting: usize =
            self.conns.iter().flatten().map(|state| state.waiting.capacity()).sum();
        (self.conns.capacity() * size_of::<Option<Conn>>() + waiting * size_of::<Up>()) as u64
    }
}
