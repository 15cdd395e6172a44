//! What a partition knows of its idempotent producers.

use std::collections::{BTreeMap, VecDeque};

use kafka_protocol::error::ResponseError;

use crate::frame::batch::{BatchHeader, add_sequence};

/// Batches that are remembered for each producer, as in the original.
const REMEMBERED: usize = 5;

/// A batch that was appended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The sequence of its first record.
    pub first_sequence: i32,
    /// The sequence of its last record.
    pub last_sequence: i32,
    /// The offset of its first record.
    pub base_offset: i64,
    /// The offset of its last record.
    pub last_offset: i64,
    /// When, in Unix milliseconds.
    pub at_ms: i64,
}

/// A producer's epoch and its last batches, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Producer {
    /// The epoch.
    pub epoch: i16,
    /// At least one batch, at most five.
    pub batches: VecDeque<Appended>,
}

/// All producers of a partition, by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Producers {
    known: BTreeMap<i64, Producer>,
}

/// What is to be done with a batch.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Append it.
    Append,
    /// It is in the log already, at these offsets.
    Duplicate(Appended),
    /// Refuse it.
    Refuse(ResponseError),
}

impl Producers {
    /// Judges a batch by its producer, epoch and sequences.
    pub fn judge(&self, header: &BatchHeader) -> Verdict {
        if header.producer_id < 0 {
            return Verdict::Append;
        }
        if header.base_sequence < 0 || header.producer_epoch < 0 {
            return Verdict::Refuse(ResponseError::InvalidRecord);
        }
        let Some(producer) = self.known.get(&header.producer_id) else {
            // Its state may have expired, so any sequence is taken.
            return Verdict::Append;
        };
        if header.producer_epoch < producer.epoch {
            return Verdict::Refuse(ResponseError::InvalidProducerEpoch);
        }
        if header.producer_epoch > producer.epoch {
            return match header.base_sequence {
                0 => Verdict::Append,
                _ => Verdict::Refuse(ResponseError::OutOfOrderSequenceNumber),
            };
        }
        let (first, last) = (header.base_sequence, header.last_sequence());
        let same = |batch: &&Appended| (batch.first_sequence, batch.last_sequence) == (first, last);
        if let Some(batch) = producer.batches.iter().find(same) {
            return Verdict::Duplicate(*batch);
        }
        match producer.batches.back() {
            Some(batch) if add_sequence(batch.last_sequence, 1) != first => {
                Verdict::Refuse(ResponseError::OutOfOrderSequenceNumber)
            }
            _ => Verdict::Append,
        }
    }

    /// Remembers a batch that was appended at `base_offset`.
    pub fn appended(&mut self, header: &BatchHeader, base_offset: i64, at_ms: i64) {
        if header.producer_id < 0 {
            return;
        }
        let producer = self.known.entry(header.producer_id).or_default();
        if producer.epoch != header.producer_epoch {
            producer.epoch = header.producer_epoch;
            producer.batches.clear();
        }
        if producer.batches.len() == REMEMBERED {
            producer.batches.pop_front();
        }
        producer.batches.push_back(Appended {
            first_sequence: header.base_sequence,
            last_sequence: header.last_sequence(),
            base_offset,
            last_offset: base_offset + i64::from(header.last_offset_delta),
            at_ms,
        });
    }

    /// Forgets producers whose last batch is older than `before_ms`.
    pub fn expire(&mut self, before_ms: i64) {
        self.known.retain(|_, producer| {
            producer.batches.back().is_some_and(|batch| batch.at_ms >= before_ms)
        });
    }

    /// All producers, by id.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (i64, &Producer)> {
        self.known.iter().map(|(id, producer)| (*id, producer))
    }

    /// Puts a producer back, from a snapshot.
    pub fn restore(&mut self, id: i64, producer: Producer) {
        self.known.insert(id, producer);
    }

    /// Heap bytes, estimated.
    pub fn memory_bytes(&self) -> u64 {
        (self.known.len() * (REMEMBERED * size_of::<Appended>() + 64)) as u64
    }
}
