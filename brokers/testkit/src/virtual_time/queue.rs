//! What will happen, by time and then by the order in which it was planned.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use broker_contract::{Broker, FileId, SyncToken, Time};

/// One thing that happens. `conn` is a connection's place in the arena's list,
/// never used again, and not the number by which the node knows it.
#[derive(Debug)]
pub(super) enum Event<B: Broker> {
    /// A connection attempt reaches the node.
    Accept { conn: usize },
    /// The client learns that its connection is there.
    Connected { conn: usize },
    /// A frame reaches the node.
    Up { conn: usize, frame: B::Up },
    /// A frame reaches the client's side.
    Down { conn: usize, frame: B::Down },
    /// The client learns that its connection ended.
    ClientClosed { conn: usize },
    /// The node learns that its connection ended.
    NodeClosed { conn: usize },
    /// The transport took bytes from the node.
    Drained { conn: usize, bytes: u64 },
    /// A sync has ended.
    Synced { boot: u64, file: FileId, len: u64, token: SyncToken },
    /// The node's deadline.
    NodeTick { boot: u64, at: Time },
    /// A client's deadline.
    ClientTick { client: usize, at: Time },
}

impl<B: Broker> Event<B> {
    /// Timers come by themselves; everything else is work under way.
    pub(super) fn is_work(&self) -> bool {
        !matches!(self, Event::NodeTick { .. } | Event::ClientTick { .. })
    }
}

struct Entry<B: Broker> {
    at: Time,
    sequence: u64,
    event: Event<B>,
}

impl<B: Broker> Ord for Entry<B> {
    // The heap hands out its greatest entry, and the earliest is wanted.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.sequence).cmp(&(self.at, self.sequence))
    }
}

impl<B: Broker> PartialOrd for Entry<B> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<B: Broker> PartialEq for Entry<B> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<B: Broker> Eq for Entry<B> {}

/// The queue of events.
pub(super) struct Queue<B: Broker> {
    heap: BinaryHeap<Entry<B>>,
    sequence: u64,
    work: u64,
}

impl<B: Broker> Queue<B> {
    pub(super) fn new() -> Self {
        Queue { heap: BinaryHeap::new(), sequence: 0, work: 0 }
    }

    pub(super) fn push(&mut self, at: Time, event: Event<B>) {
        self.work += u64::from(event.is_work());
        self.heap.push(Entry { at, sequence: self.sequence, event });
        self.sequence += 1;
    }

    pub(super) fn next_at(&self) -> Option<Time> {
        self.heap.peek().map(|entry| entry.at)
    }

    pub(super) fn pop(&mut self) -> Option<(Time, Event<B>)> {
        let entry = self.heap.pop()?;
        self.work -= u64::from(entry.event.is_work());
        Some((entry.at, entry.event))
    }

    /// Whether anything but timers is under way.
    pub(super) fn has_work(&self) -> bool {
        self.work > 0
    }
}
