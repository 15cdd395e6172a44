//! The event queue that the plan and the simulation share.
//!
//! **What it is for.** Items wait here for their moment; they come back in the
//! order of time, and in the order of pushing where times are equal.
//!
//! **What it never does.** It reads no clock and draws nothing: the order of what
//! comes out is a function of what went in.
//!
//! **Where to start reading.** [`EventQueue`]: a short sorted run and a small heap
//! hold what is near; a wheel of buckets, each level 64 times as wide as the one
//! below, holds the rest unsorted.
//!
//! **Why this design.** Two were prototyped and measured in the hold model against
//! the standard binary heap, with 16-byte items (`benches/queue`, which keeps the
//! rivals) and waits that are exponential with a mean of a second. Nanoseconds for
//! a pop and a push, from one run on a busy machine, so only their proportions count:
//!
//! | pending | this | radix heap | binary heap |
//! |---|---|---|---|
//! | 1,000 | 58 | 75 | 69 |
//! | 50,000 | 77 | 91 | 169 |
//! | 1,000,000 | 89 | 113 | 969 |
//!
//! The radix heap moves an entry once for each bit by which its wait exceeds the
//! distance between events, this queue once for each six bits; and it takes no
//! moment before the last one popped, which a driver needs that looks ahead.

mod wheel;

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use wheel::{Entry, Wheel};

/// A bucket of at most this many entries is sorted as it is; a larger one is
/// first spread over the level below.
const RUN_MAX: usize = 64;

/// The heap of near entries is thinned out when it grows past this.
const FRESH_MAX: usize = 512;

/// Items in the order of their times, equal times in the order of pushing.
///
/// An entry is moved once for each level that it descends, in streams that the
/// processor prefetches, and compared only within a run of at most 64:
/// unlike in a binary heap, no push or pop walks over memory in proportion to
/// the logarithm of what is pending.
#[derive(Clone, Debug)]
pub struct EventQueue<T> {
    /// The nearest entries, latest first: the next to come is at the end.
    run: Vec<Entry<T>>,
    /// Entries pushed since the run was loaded that belong before `near_last`.
    fresh: BinaryHeap<Fresh<T>>,
    /// The size of `fresh` at which it is next thinned out.
    fresh_max: usize,
    /// Entries up to this moment, included, belong to `run` or `fresh`.
    near_last: u64,
    /// Numbers the entries of `fresh`.
    pushes: u64,
    wheel: Wheel<T>,
    len: usize,
}

/// An entry of the heap, ordered backwards because the standard heap gives the
/// greatest first.
#[derive(Clone, Debug)]
struct Fresh<T> {
    at_ns: u64,
    push: u64,
    item: T,
}

impl<T> PartialEq for Fresh<T> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<T> Eq for Fresh<T> {}

impl<T> PartialOrd for Fresh<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Fresh<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at_ns, other.push).cmp(&(self.at_ns, self.push))
    }
}

impl<T> EventQueue<T> {
    /// An empty queue.
    pub fn new() -> Self {
        EventQueue {
            run: Vec::new(),
            fresh: BinaryHeap::new(),
            fresh_max: FRESH_MAX,
            near_last: 0,
            pushes: 0,
            wheel: Wheel::new(),
            len: 0,
        }
    }

    /// Items waiting.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Lets `item` wait until `at_ns`. A moment that has passed is allowed: the
    /// item then comes before everything that is due later than it.
    #[inline]
    pub fn push(&mut self, at_ns: u64, item: T) {
        self.len += 1;
        if at_ns > self.near_last {
            self.wheel.push(Entry { at_ns, item });
        } else {
            self.push_near(at_ns, item);
        }
    }

    /// The moment of the next item.
    #[inline]
    pub fn peek_at(&mut self) -> Option<u64> {
        if self.run.is_empty() && self.fresh.is_empty() {
            self.load();
        }
        match (self.run.last(), self.fresh.peek()) {
            (Some(run), Some(fresh)) => Some(run.at_ns.min(fresh.at_ns)),
            (Some(run), None) => Some(run.at_ns),
            (None, Some(fresh)) => Some(fresh.at_ns),
            (None, None) => None,
        }
    }

    /// Takes the next item with its moment.
    #[inline]
    pub fn pop(&mut self) -> Option<(u64, T)> {
        if self.run.is_empty() && self.fresh.is_empty() {
            self.load();
        }
        // On a tie the run goes first: it was in the wheel before anything was fresh.
        let from_run = match (self.run.last(), self.fresh.peek()) {
            (Some(run), Some(fresh)) => run.at_ns <= fresh.at_ns,
            (run, _) => run.is_some(),
        };
        let (at_ns, item) = if from_run {
            let entry = self.run.pop()?;
            (entry.at_ns, entry.item)
        } else {
            let entry = self.fresh.pop()?;
            (entry.at_ns, entry.item)
        };
        self.len -= 1;
        Some((at_ns, item))
    }

    fn push_near(&mut self, at_ns: u64, item: T) {
        self.pushes += 1;
        self.fresh.push(Fresh { at_ns, push: self.pushes, item });
        if self.fresh.len() >= self.fresh_max {
            self.thin_out();
        }
    }

    /// Fills the run from the earliest bucket.
    fn load(&mut self) {
        self.fresh_max = FRESH_MAX;
        if let Some(near_last) = self.wheel.take_earliest(RUN_MAX, &mut self.run) {
            self.near_last = near_last;
        }
    }

    /// Gives the later half of the near entries back to the wheel, so that a
    /// bucket that was sparse when it was loaded and has filled up since does not
    /// turn the queue into one large heap.
    fn thin_out(&mut self) {
        let mut fresh = std::mem::take(&mut self.fresh).into_vec();
        fresh.sort_unstable_by_key(|entry| (entry.at_ns, entry.push));
        let first = fresh[0].at_ns;
        let middle = fresh[fresh.len() / 2].at_ns;
        // Entries of one moment stay together, or their order would be lost.
        let cut = if middle > first {
            middle
        } else {
            let after = fresh.partition_point(|entry| entry.at_ns == first);
            fresh.get(after).map_or(first.saturating_add(1), |entry| entry.at_ns)
        };
        if cut > first && cut > self.wheel.floor() {
            // The run's entries are older than the heap's, so they go back first.
            let kept = self.run.partition_point(|entry| entry.at_ns >= cut);
            for entry in self.run.drain(..kept).rev() {
                self.wheel.push(entry);
            }
            let split = fresh.partition_point(|entry| entry.at_ns < cut);
            for entry in fresh.drain(split..) {
                self.wheel.push(Entry { at_ns: entry.at_ns, item: entry.item });
            }
            self.near_last = cut - 1;
        }
        // Where nothing could be given back, the next attempt waits for twice as many.
        self.fresh_max = FRESH_MAX.max(fresh.len() * 2);
        // Ascending by (moment, push) is already a heap, so this does not reorder.
        self.fresh = BinaryHeap::from(fresh);
    }
}

impl<T> Default for EventQueue<T> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
