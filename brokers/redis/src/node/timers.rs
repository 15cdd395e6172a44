//! Soft limits and idle time.
//!
//! Both wait the same time for every connection, so timers that are set now fall
//! due after those set before. A timer is never removed: when it falls due, the
//! node looks whether it still means anything, and the connection's own number
//! tells whether it is still the same connection.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use broker_contract::Time;

#[derive(Debug, Default)]
pub(super) struct Timers {
    /// In the order in which they were set, which is the order in time.
    soft: VecDeque<(Time, u64, u32)>,
    /// One for each connection while there is an idle timeout, else empty.
    idle: BinaryHeap<Reverse<(Time, u64, u32)>>,
}

impl Timers {
    /// Connection `conn` with number `id` is looked at, at `due`, for its soft limit.
    pub fn watch_soft(&mut self, due: Time, id: u64, conn: u32) {
        self.soft.push_back((due, id, conn));
    }

    /// And here for its idle time.
    pub fn watch_idle(&mut self, due: Time, id: u64, conn: u32) {
        self.idle.push(Reverse((due, id, conn)));
    }

    pub fn soft_due(&mut self, now: Time) -> Option<(u64, u32)> {
        let (due, id, conn) = *self.soft.front()?;
        (due <= now).then(|| {
            self.soft.pop_front();
            (id, conn)
        })
    }

    pub fn idle_due(&mut self, now: Time) -> Option<(u64, u32)> {
        let Reverse((due, id, conn)) = *self.idle.peek()?;
        (due <= now).then(|| {
            self.idle.pop();
            (id, conn)
        })
    }

    pub fn deadline(&self) -> Option<Time> {
        let soft = self.soft.front().map(|(due, ..)| *due);
        let idle = self.idle.peek().map(|Reverse((due, ..))| *due);
        match (soft, idle) {
            (Some(soft), Some(idle)) => Some(soft.min(idle)),
            (one, other) => one.or(other),
        }
    }

    pub fn memory_bytes(&self) -> u64 {
        let entries = self.soft.capacity() + self.idle.capacity();
        (entries * size_of::<(Time, u64, u32)>()) as u64
    }
}
