//! Soft limits and idle time.
//!
//! A timer is never removed: when it falls due, the node looks whether it still
//! means anything, and the connection's own number tells whether it is still the
//! same connection.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use broker_contract::Time;

/// When, which number, and where.
type Due = Reverse<(Time, u64, u32)>;

#[derive(Debug, Default)]
pub(super) struct Timers {
    soft: BinaryHeap<Due>,
    /// One for each connection while there is an idle timeout, else empty.
    idle: BinaryHeap<Due>,
}

impl Timers {
    /// Connection `conn` with number `id` is looked at, at `due`, for its soft limit.
    pub fn watch_soft(&mut self, due: Time, id: u64, conn: u32) {
        self.soft.push(Reverse((due, id, conn)));
    }

    /// And here for its idle time.
    pub fn watch_idle(&mut self, due: Time, id: u64, conn: u32) {
        self.idle.push(Reverse((due, id, conn)));
    }

    /// Nobody is looked at for idle time any more.
    pub fn forget_idle(&mut self) {
        self.idle.clear();
    }

    pub fn soft_due(&mut self, now: Time) -> Option<(u64, u32)> {
        due(&mut self.soft, now)
    }

    pub fn idle_due(&mut self, now: Time) -> Option<(u64, u32)> {
        due(&mut self.idle, now)
    }

    pub fn deadline(&self) -> Option<Time> {
        let first = |heap: &BinaryHeap<Due>| heap.peek().map(|Reverse((due, ..))| *due);
        match (first(&self.soft), first(&self.idle)) {
            (Some(soft), Some(idle)) => Some(soft.min(idle)),
            (one, other) => one.or(other),
        }
    }

    pub fn memory_bytes(&self) -> u64 {
        let entries = self.soft.capacity() + self.idle.capacity();
        (entries * size_of::<Due>()) as u64
    }
}

/// Takes the first that is due.
fn due(heap: &mut BinaryHeap<Due>, now: Time) -> Option<(u64, u32)> {
    let Reverse((due, id, conn)) = *heap.peek()?;
    (due <= now).then(|| {
        heap.pop();
        (id, conn)
    })
}
