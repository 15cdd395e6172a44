//! The records of one partition that wait for their batch, and batches that wait
//! for their turn.
//!
//! The queue is the partition's order. A batch that comes back for another try
//! goes to the place that its sequence gives it, and while one that came back
//! waits, nothing that follows it is sent: with idempotence a retry therefore
//! never overtakes, and the broker never sees a gap.

use std::collections::VecDeque;

use broker_contract::{Ticket, Time};
use bytes::Bytes;

use crate::frame::batch::{BatchError, BatchWriter, CRC_START, add_sequence};
use crate::frame::{Codec, batch};

/// Who waits for the end of a record.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Waiter {
    /// A publish that ends with the acknowledgement.
    Acked(Ticket),
    /// A publish that ends when it is sent.
    Sent(Ticket),
    /// A publish that has ended when it was sent.
    Nobody,
    /// The request with this number: it ends with its answer, or with a failure.
    Request(u64),
}

/// An idempotent producer as one partition knows it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProducerId {
    /// Given by the broker.
    pub id: i64,
    /// Rises when the numbering starts again.
    pub epoch: i16,
}

#[derive(Debug)]
enum Body {
    Open(BatchWriter),
    Sealed(Bytes),
}

/// Records that travel together.
#[derive(Debug)]
pub(crate) struct Batch {
    body: Body,
    /// One for each record, in order.
    pub waiters: Vec<Waiter>,
    /// Bytes that it takes of the producer's memory.
    pub size: usize,
    /// When its first record was published.
    pub created: Time,
    /// How often it was sent.
    pub tries: u32,
    stamp: Option<(ProducerId, i32)>,
    is_full: bool,
}

impl Batch {
    /// An empty batch with room for as much as the one before it held.
    fn new(now: Time, (bytes, records): (usize, usize)) -> Batch {
        Batch {
            body: Body::Open(BatchWriter::with_capacity(bytes)),
            waiters: Vec::with_capacity(records),
            size: 0,
            created: now,
            tries: 0,
            stamp: None,
            is_full: false,
        }
    }

    /// Its bytes, compressed and stamped.
    fn seal(&mut self, codec: Codec) -> Result<Bytes, BatchError> {
        let (producer, sequence) = self.stamp.unwrap_or((ProducerId { id: -1, epoch: -1 }, -1));
        let sealed = match &mut self.body {
            Body::Open(writer) => {
                writer.producer(producer.id, producer.epoch, sequence);
                Bytes::from(writer.finish(codec)?)
            }
            Body::Sealed(bytes) => {
                let header = batch::BatchHeader::read(bytes)?;
                let stamped = (header.producer_id, header.producer_epoch, header.base_sequence);
                if stamped == (producer.id, producer.epoch, sequence) {
                    return Ok(bytes.clone());
                }
                // The numbering has started again since it was first sent.
                let mut copy = bytes.to_vec();
                copy[43..51].copy_from_slice(&producer.id.to_be_bytes());
                copy[51..53].copy_from_slice(&producer.epoch.to_be_bytes());
                copy[53..57].copy_from_slice(&sequence.to_be_bytes());
                let crc = crc32c::crc32c(&copy[CRC_START..]);
                copy[17..21].copy_from_slice(&crc.to_be_bytes());
                Bytes::from(copy)
            }
        };
        self.body = Body::Sealed(sealed.clone());
        Ok(sealed)
    }

    /// Calls `visit` with the payload of each record and who waits for it.
    pub fn each(&mut self, visit: &mut dyn FnMut(Waiter, &[u8])) {
        let Ok(bytes) = self.seal(Codec::None) else { return };
        let mut waiters = self.waiters.iter();
        batch::each_value(&bytes, &mut |payload| {
            if let Some(waiter) = waiters.next() {
                visit(*waiter, payload);
            }
        });
    }

    /// Whether the broker may have it.
    pub fn was_sent(&self) -> bool {
        self.tries > 0
    }
}

/// One record.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Entry<'a> {
    pub timestamp_ms: i64,
    pub key: &'a [u8],
    pub headers: &'a [(&'a [u8], &'a [u8])],
    pub payload: &'a [u8],
    pub waiter: Waiter,
}

impl Entry<'_> {
    /// Bytes that it takes of a batch, at most.
    pub fn size(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len() + 10);
        self.key.len() + self.payload.len() + headers.sum::<usize>() + 32
    }
}

/// The queue of one partition.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    batches: VecDeque<Batch>,
    /// Batches under way.
    in_flight: u32,
    next_sequence: i32,
    producer: Option<ProducerId>,
    /// Whether something came back while other batches were under way.
    is_recovering: bool,
    /// Whether the numbering starts again once nothing is under way.
    renumber: bool,
    retry_at: Option<Time>,
    /// Bytes and records of the last batch: the next is probably as large.
    usual: (usize, usize),
}

impl Queue {
    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Adds a record; whether a batch became full, and bytes of memory it took.
    pub fn push(&mut self, now: Time, entry: &Entry<'_>, batch_size: usize) -> (bool, usize) {
        let size = entry.size();
        let mut filled = false;
        let fits = self
            .batches
            .back()
            .is_some_and(|last| !last.is_full && last.tries == 0 && last.size + size <= batch_size);
        if !fits {
            if let Some(last) = self.batches.back_mut() {
                last.is_full = true;
                filled = true;
            }
            self.batches.push_back(Batch::new(now, self.usual));
        }
        let Some(last) = self.batches.back_mut() else { return (filled, 0) };
        if let Body::Open(writer) = &mut last.body {
            let headers = entry.headers.iter().copied();
            writer.push(entry.timestamp_ms, Some(entry.key), Some(entry.payload), headers);
        }
        last.waiters.push(entry.waiter);
        last.size += size;
        if last.size >= batch_size {
            last.is_full = true;
            filled = true;
        }
        (filled, size)
    }

    /// When its first batch is to go out, if it is not held back by one under
    /// way; `linger` after its first record at the latest.
    pub fn due(&self, linger: std::time::Duration) -> Option<Time> {
        let first = self.batches.front()?;
        if self.is_held() {
            return None;
        }
        if let Some(at) = self.retry_at.filter(|_| first.was_sent()) {
            return Some(at);
        }
        Some(if first.is_full { first.created } else { first.created + linger })
    }

    /// Whether something that came back, or a new numbering, waits for what is
    /// under way.
    fn is_held(&self) -> bool {
        self.in_flight > 0 && (self.is_recovering || self.renumber)
    }

    /// Takes the first batch to send it, with its bytes. `producer` is the
    /// identity that the broker gave this client, if it is idempotent.
    ///
    /// # Errors
    /// The batch, when it cannot be encoded.
    pub fn take(
        &mut self,
        codec: Codec,
        producer: Option<ProducerId>,
    ) -> Option<Result<(Batch, Bytes), (Batch, BatchError)>> {
        if self.is_held() {
            return None;
        }
        self.is_recovering = false;
        if self.renumber {
            self.start_again(producer);
        }
        let mut first = self.batches.pop_front()?;
        if let Body::Open(writer) = &first.body {
            // A little more: growing by one record too many copies the batch.
            let slack = |count: usize| count + count / 8;
            self.usual = (slack(writer.size()), slack(first.waiters.len()));
        }
        if let Some(given) = producer {
            let own = *self.producer.get_or_insert(given);
            if first.stamp.is_none() {
                first.stamp = Some((own, self.next_sequence));
                self.next_sequence = add_sequence(self.next_sequence, first.waiters.len() as i32);
            }
        }
        Some(match first.seal(codec) {
            Ok(bytes) => {
                first.tries += 1;
                self.in_flight += 1;
                Ok((first, bytes))
            }
            Err(error) => {
                self.renumber |= producer.is_some();
                Err((first, error))
            }
        })
    }

    /// Whether batches are under way.
    pub fn is_under_way(&self) -> bool {
        self.in_flight > 0
    }

    /// One batch under way has ended for good.
    pub fn ended(&mut self) {
        self.in_flight -= 1;
    }

    /// A batch under way comes back, to be sent again from `at` on.
    pub fn came_back(&mut self, batch: Batch, at: Time) {
        self.in_flight -= 1;
        let place = match batch.stamp {
            // Sequences wrap, but what is queued at once is far less than half.
            Some((_, sequence)) => self.batches.iter().position(|other| match other.stamp {
                Some((_, behind)) => {
                    behind.wrapping_sub(sequence) as u32 & i32::MAX as u32 <= i32::MAX as u32 / 2
                }
                None => true,
            }),
            None => self.batches.iter().position(|other| !other.was_sent()),
        };
        self.batches.insert(place.unwrap_or(self.batches.len()), batch);
        self.is_recovering = true;
        self.retry_at = Some(at);
    }

    /// Starts the numbering again, in the next epoch, once nothing is under way:
    /// the broker's log and this queue no longer agree on what comes next.
    pub fn renumber(&mut self) {
        self.renumber = true;
    }

    /// Whether batches that were sent before are still under way or waiting.
    pub fn has_earlier(&self, batch: &Batch) -> bool {
        self.in_flight > 1
            || self.batches.iter().any(|other| {
                other.was_sent()
                    && matches!(
                        (other.stamp, batch.stamp),
                        (Some((_, first)), Some((_, second))) if first < second
                    )
            })
    }

    fn start_again(&mut self, given: Option<ProducerId>) {
        self.renumber = false;
        self.next_sequence = 0;
        for batch in &mut self.batches {
            batch.stamp = None;
        }
        self.producer = match (self.producer, given) {
            (Some(own), Some(given)) if own.id == given.id => {
                // Beyond the last epoch there is only what the broker says.
                let next = own.epoch.max(given.epoch).checked_add(1);
                Some(next.map_or(given, |epoch| ProducerId { id: own.id, epoch }))
            }
            (_, given) => given,
        };
    }

    /// Takes the batches that are older than `oldest`.
    pub fn expire(&mut self, oldest: Time) -> Vec<Batch> {
        let mut expired = Vec::new();
        while self.batches.front().is_some_and(|first| first.created <= oldest) {
            expired.extend(self.batches.pop_front());
        }
        // A number that was given and never arrives would leave a gap.
        self.renumber |= expired.iter().any(|batch| batch.stamp.is_some());
        expired
    }

    /// When its oldest batch was made.
    pub fn oldest(&self) -> Option<Time> {
        self.batches.front().map(|first| first.created)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::batch::{BatchHeader, check};
    use proptest::prelude::*;
    use std::time::Duration;

    const GIVEN: ProducerId = ProducerId { id: 7, epoch: 0 };

    fn push(queue: &mut Queue, number: u64, batch_size: usize) {
        let payload = number.to_be_bytes();
        let waiter = Waiter::Acked(Ticket(number));
        let entry = Entry { timestamp_ms: 1, key: b"k", headers: &[], payload: &payload, waiter };
        queue.push(Time::ZERO, &entry, batch_size);
    }

    fn payloads(bytes: &[u8]) -> Vec<u64> {
        let mut numbers = Vec::new();
        batch::each_value(bytes, &mut |value| {
            numbers.push(u64::from_be_bytes(value.try_into().expect("eight bytes")));
        });
        numbers
    }

    #[test]
    fn a_broker_that_gives_the_last_epoch_is_believed() {
        let mut queue = Queue { producer: Some(GIVEN), ..Queue::default() };
        let last = ProducerId { epoch: i16::MAX, ..GIVEN };
        queue.start_again(Some(last));
        assert_eq!(queue.producer, Some(last), "there is no epoch behind it");
        queue.producer = Some(GIVEN);
        queue.start_again(Some(GIVEN));
        assert_eq!(queue.producer, Some(ProducerId { epoch: 1, ..GIVEN }));
    }

    #[derive(Clone, Debug)]
    enum Step {
        Push,
        Take,
        /// The oldest under way is stored, or refused for now.
        Answer(bool),
        /// All under way come back, and this many of them were stored.
        Lose(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        prop::collection::vec(
            prop_oneof![
                4 => Just(Step::Push),
                3 => Just(Step::Take),
                3 => any::<bool>().prop_map(Step::Answer),
                1 => (0..5usize).prop_map(Step::Lose),
            ],
            1..200,
        )
    }

    /// The broker's half of idempotence: the next sequence, in which epoch.
    #[derive(Default)]
    struct Log {
        stored: Vec<u64>,
        next: (i16, i32),
    }

    impl Log {
        /// Whether it stores the batch, or has it already.
        fn offer(&mut self, bytes: &[u8]) -> bool {
            let header = check(bytes).expect("a whole batch");
            if header.producer_epoch > self.next.0 {
                self.next = (header.producer_epoch, 0);
            }
            if header.base_sequence == self.next.1 {
                self.next.1 += header.count;
                self.stored.extend(payloads(bytes));
                return true;
            }
            header.base_sequence < self.next.1
        }
    }

    proptest! {
        #[test]
        fn a_partition_keeps_its_order_and_stores_each_record_once(
            steps in steps(), batch_size in 40..400usize,
        ) {
            let (mut queue, mut log, mut number) = (Queue::default(), Log::default(), 0);
            let mut under_way: VecDeque<(Batch, Bytes)> = VecDeque::new();
            let mut ended = 0;
            let at_the_end = std::iter::repeat_n([Step::Take, Step::Answer(true)], 1_000).flatten();
            for step in steps.into_iter().chain(at_the_end) {
                match step {
                    Step::Push => {
                        push(&mut queue, number, batch_size);
                        number += 1;
                    }
                    Step::Take if under_way.len() < 5 => {
                        if let Some(taken) = queue.take(Codec::None, Some(GIVEN)) {
                            under_way.push_back(taken.expect("it encodes"));
                        }
                    }
                    Step::Take => {}
                    Step::Answer(accepts) => {
                        if let Some((batch, bytes)) = under_way.pop_front() {
                            if accepts && log.offer(&bytes) {
                                ended += batch.waiters.len();
                                queue.ended();
                            } else {
                                queue.came_back(batch, Time::ZERO);
                            }
                        }
                    }
                    Step::Lose(stored) => {
                        for (place, (batch, bytes)) in under_way.drain(..).enumerate() {
                            if place < stored {
                                log.offer(&bytes);
                            }
                            queue.came_back(batch, Time::ZERO);
                        }
                    }
                }
            }
            prop_assert_eq!(log.stored, (0..number).collect::<Vec<_>>());
            prop_assert_eq!(ended as u64, number);
        }
    }

    #[test]
    fn a_batch_goes_when_it_is_full_or_has_lingered() {
        let mut queue = Queue::default();
        let linger = Duration::from_millis(5);
        assert_eq!(queue.due(linger), None);
        push(&mut queue, 0, 200);
        assert_eq!(queue.due(linger), Some(Time::from_millis(5)));
        while queue.batches.len() == 1 {
            push(&mut queue, 1, 200);
        }
        assert_eq!(queue.due(linger), Some(Time::ZERO));
    }

    #[test]
    fn a_new_numbering_waits_for_what_is_under_way_and_begins_at_zero() {
        let mut queue = Queue::default();
        for number in 0..3 {
            push(&mut queue, number, 1);
        }
        let take = |queue: &mut Queue| queue.take(Codec::Zstd, Some(GIVEN));
        let (first, _) = take(&mut queue).expect("there").expect("encodes");
        let (second, bytes) = take(&mut queue).expect("there").expect("encodes");
        assert_eq!(BatchHeader::read(&bytes).map(|header| header.base_sequence), Ok(1));
        queue.renumber();
        queue.came_back(second, Time::ZERO);
        assert!(take(&mut queue).is_none(), "one is under way");
        queue.came_back(first, Time::ZERO);
        for sequence in 0..3 {
            let (_, bytes) = take(&mut queue).expect("there").expect("encodes");
            let header = check(&bytes).expect("stamped again");
            assert_eq!((header.base_sequence, header.producer_epoch), (sequence, 1));
        }
    }
}
