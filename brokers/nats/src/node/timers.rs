//! When connections are looked at, with a million of them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use broker_contract::Time;

/// A moment at which to look at a connection.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Due {
    pub at: Time,
    pub conn: u32,
    /// The low bits of the count that tells which connection had the number.
    opened: u32,
}

impl Due {
    fn new(at: Time, conn: u32, opened: u64) -> Due {
        Due { at, conn, opened: opened as u32 }
    }

    /// Whether it is about the connection that was opened as this one.
    pub fn is_for(&self, opened: u64) -> bool {
        self.opened == opened as u32
    }
}

/// The moments of all connections. Entries of connections that are gone stay
/// until they are due, and are ignored then.
#[derive(Debug, Default)]
pub(super) struct Timers {
    /// All wait the same interval, so they come due in the order in which they
    /// were set.
    pings: VecDeque<Due>,
    /// At most one per connection. A deadline moves with every byte taken, which
    /// is looked up when the entry comes due rather than kept up to date.
    writes: BinaryHeap<Reverse<Due>>,
}

impl Timers {
    pub fn ping(&mut self, at: Time, conn: u32, opened: u64) {
        self.pings.push_back(Due::new(at, conn, opened));
    }

    pub fn write(&mut self, at: Time, conn: u32, opened: u64) {
        self.writes.push(Reverse(Due::new(at, conn, opened)));
    }

    pub fn next_ping(&mut self, now: Time) -> Option<Due> {
        if self.pings.front()?.at > now {
            return None;
        }
        self.pings.pop_front()
    }

    pub fn next_write(&mut self, now: Time) -> Option<Due> {
        let Reverse(due) = self.writes.peek()?;
        if due.at > now {
            return None;
        }
        let due = self.writes.pop().map(|Reverse(due)| due);
        if self.writes.len() * 8 < self.writes.capacity() {
            // Everybody has something pending when a million connect at once, and
            // hardly anybody does after that.
            self.writes.shrink_to(self.writes.len() * 2);
        }
        due
    }

    pub fn deadline(&self) -> Option<Time> {
        let ping = self.pings.front().map(|due| due.at);
        let write = self.writes.peek().map(|Reverse(due)| due.at);
        earlier(ping, write)
    }

    /// Gives memory back when no connection is left.
    pub fn clear(&mut self) {
        *self = Timers::default();
    }

    pub fn memory_bytes(&self) -> u64 {
        ((self.pings.capacity() + self.writes.capacity()) * size_of::<Due>()) as u64
    }
}

/// The earlier of two moments that may not come.
pub(super) fn earlier(a: Option<Time>, b: Option<Time>) -> Option<Time> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// The announcement that the node goes, and the gradual close.
#[derive(Debug)]
pub(super) struct LameDuck {
    /// The next connection number to tell, or to close.
    pub cursor: usize,
    /// Whether everybody has been told.
    pub announced: bool,
    /// When to go on.
    pub next: Option<Time>,
    /// When closing begins, and how long it takes.
    pub closing_at: Time,
    pub span: Duration,
    /// Connections to close at a time, and the time between.
    pub batch: usize,
    pub pause: Duration,
}
