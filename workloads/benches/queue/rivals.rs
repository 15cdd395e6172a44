//! The designs that the event queue was chosen over.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use lab_workloads::queue::EventQueue;

/// What the hold model needs.
pub trait Queue<T>: Default {
    fn push(&mut self, at: u64, item: T);
    fn pop(&mut self) -> Option<(u64, T)>;
}

impl<T> Queue<T> for EventQueue<T> {
    fn push(&mut self, at: u64, item: T) {
        EventQueue::push(self, at, item);
    }

    fn pop(&mut self) -> Option<(u64, T)> {
        EventQueue::pop(self)
    }
}

/// The standard heap over (moment, number of the push).
pub struct Heap<T> {
    heap: BinaryHeap<Reverse<(u64, u64, T)>>,
    pushes: u64,
}

impl<T: Ord> Default for Heap<T> {
    fn default() -> Self {
        Heap { heap: BinaryHeap::new(), pushes: 0 }
    }
}

impl<T: Ord> Queue<T> for Heap<T> {
    fn push(&mut self, at: u64, item: T) {
        self.pushes += 1;
        self.heap.push(Reverse((at, self.pushes, item)));
    }

    fn pop(&mut self) -> Option<(u64, T)> {
        self.heap.pop().map(|Reverse((at, _, item))| (at, item))
    }
}

/// A radix heap: 65 buckets by the highest bit in which a moment differs from
/// the last one popped. It takes no moments before that one.
pub struct Radix<T> {
    buckets: Vec<Vec<(u64, T)>>,
    /// Bucket 0 turned around: all of one moment.
    now: Vec<(u64, T)>,
    last: u64,
    occupied: u64,
}

impl<T> Default for Radix<T> {
    fn default() -> Self {
        let buckets = (0..65).map(|_| Vec::new()).collect();
        Radix { buckets, now: Vec::new(), last: 0, occupied: 0 }
    }
}

impl<T> Queue<T> for Radix<T> {
    fn push(&mut self, at: u64, item: T) {
        let bucket = 64 - (at ^ self.last).leading_zeros() as usize;
        self.buckets[bucket].push((at, item));
        if bucket > 0 {
            self.occupied |= 1 << (bucket - 1);
        }
    }

    fn pop(&mut self) -> Option<(u64, T)> {
        if self.now.is_empty() {
            if self.buckets[0].is_empty() {
                if self.occupied == 0 {
                    return None;
                }
                let from = self.occupied.trailing_zeros() as usize + 1;
                self.occupied &= !(1 << (from - 1));
                let mut entries = std::mem::take(&mut self.buckets[from]);
                self.last = entries.iter().map(|entry| entry.0).min()?;
                for (at, item) in entries.drain(..) {
                    self.push(at, item);
                }
                self.buckets[from] = entries;
            }
            std::mem::swap(&mut self.now, &mut self.buckets[0]);
            self.now.reverse();
        }
        self.now.pop()
    }
}
