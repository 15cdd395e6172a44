//! One partition at the consumer: where it reads, and what may be committed.

use std::collections::{BTreeSet, VecDeque};

use broker_contract::{Start, Time};

use super::chunk::Chunk;

/// How far a partition is settled.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// The offset behind the last record that was handed out or passed over.
    passed: i64,
    /// Handed out and not settled.
    open: BTreeSet<i64>,
}

impl Settled {
    /// Nothing before `offset` is of interest.
    pub fn at(offset: i64) -> Settled {
        Settled { passed: offset, open: BTreeSet::new() }
    }

    /// A record was handed out, or passed over because it is nobody's.
    pub fn pass(&mut self, offset: i64, is_open: bool) {
        self.passed = offset + 1;
        if is_open {
            self.open.insert(offset);
        }
    }

    /// Everything before `offset` was passed over, as far as that is not so yet.
    pub fn pass_to(&mut self, offset: i64) {
        self.passed = self.passed.max(offset);
    }

    /// A record is settled.
    pub fn settle(&mut self, offset: i64) {
        self.open.remove(&offset);
    }

    /// The offset below which everything is settled: what may be committed.
    pub fn position(&self) -> i64 {
        self.open.first().copied().unwrap_or(self.passed)
    }

    /// The offset behind what was handed out.
    pub fn passed(&self) -> i64 {
        self.passed
    }
}

/// One partition of a consumer.
#[derive(Debug, Default)]
pub(super) struct Partition {
    /// The next offset to fetch, once it is known.
    pub position: Option<i64>,
    /// The leader epoch of what was read last, or -1.
    pub epoch: i32,
    /// Batches whose records are not all handed out.
    pub chunks: VecDeque<Chunk>,
    pub settled: Settled,
    /// What was committed last, by this member, as far as the coordinator that
    /// answered is known to be there still.
    pub committed: Option<i64>,
    /// The committed offset was asked for, and there is none.
    pub has_no_commit: bool,
    /// Where the log ended when its first record since some time was looked for:
    /// that is where reading begins if there is none.
    pub end: Option<(i64, i32)>,
    /// Where it is to be read from, where that is not where the subscription is.
    pub from: Option<Start>,
    /// Whether the log may have been cut since it was read: the epoch tells.
    pub is_doubtful: bool,
    /// Nothing is asked of it before this time.
    pub retry_at: Option<Time>,
}

impl Partition {
    /// Reading goes on at `offset`.
    pub fn seek(&mut self, offset: i64, epoch: i32) {
        self.position = Some(offset);
        self.epoch = epoch;
        self.chunks.clear();
        self.settled = Settled::at(offset);
        self.is_doubtful = false;
    }

    /// Whether there is something to commit.
    pub fn is_dirty(&self) -> bool {
        self.position.is_some() && self.committed != Some(self.settled.position())
    }

    /// Whether something may be asked of it.
    pub fn is_due(&self, now: Time) -> bool {
        self.retry_at.is_none_or(|at| at <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_position_never_passes_what_is_not_settled(
            records in prop::collection::vec((any::<bool>(), 1..3i64), 1..60),
            settles in prop::collection::vec(any::<prop::sample::Index>(), 0..80),
        ) {
            let mut settled = Settled::at(0);
            let (mut offset, mut open, mut last) = (0, Vec::new(), 0);
            let mut records = records.into_iter();
            for settle in settles {
                if let Some((is_open, step)) = records.next() {
                    settled.pass(offset, is_open);
                    if is_open {
                        open.push(offset);
                    }
                    // Compaction leaves gaps.
                    offset += step;
                }
                if !open.is_empty() {
                    settled.settle(open.remove(settle.index(open.len())));
                }
                let position = settled.position();
                prop_assert!(open.iter().all(|offset| position <= *offset));
                prop_assert!(position >= last, "{} after {}", position, last);
                prop_assert!(!open.is_empty() || position == settled.passed());
                last = position;
            }
        }
    }
}
