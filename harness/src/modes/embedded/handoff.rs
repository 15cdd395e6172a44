//! Batches from thread to thread.
//!
//! A mutex around a vector, swapped whole: a batch of any size costs one lock on
//! each side and no allocation once warm. A ring buffer would save little, since
//! the messages inside a batch are already amortised, and would bound what must
//! not be bounded here: the node's pending limits are what stops a slow reader.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A queue of batches with one taker and any number of givers.
#[derive(Debug)]
pub struct Handoff<T> {
    state: Mutex<State<T>>,
    bell: Condvar,
}

#[derive(Debug)]
struct State<T> {
    items: Vec<T>,
    waiting: bool,
    rung: bool,
}

impl<T> Default for Handoff<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Handoff<T> {
    /// An empty queue.
    pub fn new() -> Self {
        Handoff {
            state: Mutex::new(State { items: Vec::new(), waiting: false, rung: false }),
            bell: Condvar::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives everything in `batch`, which is left empty with its allocation.
    pub fn give(&self, batch: &mut Vec<T>) {
        if batch.is_empty() {
            return;
        }
        let mut state = self.state();
        if state.items.is_empty() {
            std::mem::swap(&mut state.items, batch);
        } else {
            state.items.append(batch);
        }
        let wake = state.waiting;
        drop(state);
        if wake {
            self.bell.notify_one();
        }
    }

    /// Takes everything that was given into `batch`, which must be empty.
    /// Returns whether there was anything.
    pub fn take(&self, batch: &mut Vec<T>) -> bool {
        debug_assert!(batch.is_empty());
        let mut state = self.state();
        std::mem::swap(&mut state.items, batch);
        !batch.is_empty()
    }

    /// Takes what was given, waiting for up to `timeout` when there is nothing.
    pub fn wait(&self, batch: &mut Vec<T>, timeout: Duration) -> bool {
        debug_assert!(batch.is_empty());
        let mut state = self.state();
        if state.items.is_empty() && !state.rung && !timeout.is_zero() {
            state.waiting = true;
            let (after, _) = self
                .bell
                .wait_timeout_while(state, timeout, |state| state.items.is_empty() && !state.rung)
                .unwrap_or_else(PoisonError::into_inner);
            state = after;
            state.waiting = false;
        }
        state.rung = false;
        std::mem::swap(&mut state.items, batch);
        !batch.is_empty()
    }

    /// Wakes the taker although there is nothing to take.
    pub fn ring(&self) {
        self.state().rung = true;
        self.bell.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_given_is_taken_in_order() {
        let way = Handoff::new();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for start in (0..10_000).step_by(10) {
                    way.give(&mut (start..start + 10).collect());
                }
            });
            let (mut seen, mut batch) = (0, Vec::new());
            while seen < 10_000 {
                way.wait(&mut batch, Duration::from_secs(5));
                for item in batch.drain(..) {
                    assert_eq!(item, seen);
                    seen += 1;
                }
            }
        });
    }

    #[test]
    fn a_ring_wakes_an_empty_wait() {
        let way: Handoff<u8> = Handoff::new();
        way.ring();
        assert!(!way.wait(&mut Vec::new(), Duration::from_secs(60)));
    }
}
