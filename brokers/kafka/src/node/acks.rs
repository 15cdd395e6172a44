//! Answers that wait for syncs.
//!
//! A pending answer is complete but for its errors; it counts the syncs that it
//! still needs. A sync that fails puts an error where the answer speaks of what
//! was to be synced.

use broker_contract::{Effects, Note, Time};
use kafka_protocol::error::ResponseError;

use super::conns::Asker;
use super::topics::{Ack, PartitionId};
use super::{JOURNAL, Kafka};
use crate::frame::Response;

/// An answer that waits.
#[derive(Debug)]
pub struct Pending {
    to: Asker,
    response: Response,
    needs: u32,
}

impl Kafka {
    /// Gives an answer once `needs` more syncs have ended. `number` names it for
    /// them; with nothing to wait for it is given at once.
    pub(super) fn answer_after(
        &mut self,
        number: u64,
        needs: u32,
        to: Asker,
        response: impl Into<Response>,
        out: &mut Effects<Self>,
    ) {
        let response = response.into();
        if needs == 0 {
            self.answer(to, response, out);
        } else {
            self.pending.insert(number, Pending { to, response, needs });
        }
    }

    /// Gives an answer once the journal is synced, if it is not.
    pub(super) fn answer_after_journal(
        &mut self,
        to: Asker,
        response: impl Into<Response>,
        out: &mut Effects<Self>,
    ) {
        let number = self.number();
        let needs = u32::from(self.needs_journal(number));
        self.answer_after(number, needs, to, response, out);
    }

    /// Whether the journal has a sync outstanding; `number` is then told of it.
    pub(super) fn needs_journal(&mut self, number: u64) -> bool {
        let (asked, done) = self.journal_syncs;
        if asked != done {
            self.journal_acks.push_back((asked, number));
        }
        asked != done
    }

    /// Asks for a sync of the journal, to which something was appended.
    pub(super) fn sync_journal(&mut self, out: &mut Effects<Self>) {
        self.journal_syncs.0 += 1;
        out.sync(self.journal.file(), Self::token(JOURNAL, self.journal_syncs.0));
    }

    pub(super) fn journal_synced(
        &mut self,
        now: Time,
        number: u32,
        is_good: bool,
        out: &mut Effects<Self>,
    ) {
        // A later sync covers what an earlier one was to cover.
        self.journal_syncs.1 = self.journal_syncs.1.max(number);
        while let Some((asked, pending)) = self.journal_acks.front().copied() {
            if asked > self.journal_syncs.1 {
                break;
            }
            self.journal_acks.pop_front();
            self.settle(pending, None, is_good, out);
        }
        self.drained(now, out);
    }

    /// Notes that a batch in `id` needs a sync before it counts. A repeated batch
    /// waits beside the first one of it, and not behind what came since.
    pub(super) fn wait_for_flush(&mut self, id: PartitionId, ack: Ack) {
        if let Some(partition) = self.topics.partition(id) {
            let place = partition.acks.partition_point(|other| other.up_to <= ack.up_to);
            partition.acks.insert(place, ack);
        }
    }

    /// Asks for the syncs that a log wants.
    pub(super) fn ask_syncs(&mut self, id: PartitionId, out: &mut Effects<Self>) {
        let Some(partition) = self.topics.partition(id) else { return };
        while let Some((file, number)) = partition.log.ask_sync() {
            out.sync(file, Self::token(id.0, number));
        }
    }

    pub(super) fn log_synced(
        &mut self,
        now: Time,
        id: PartitionId,
        number: u32,
        is_good: bool,
        out: &mut Effects<Self>,
    ) {
        let Some(partition) = self.topics.partition(id) else { return };
        if partition.log.synced(out.disk(), number, is_good).is_err() {
            // The snapshot could not be written. The next boot checks more.
            out.note(Note::Sometimes("snapshot not written"));
        }
        if !is_good {
            out.note(Note::Sometimes("sync failed"));
        }
        let (failed, flushed) = (partition.log.has_failed(), partition.log.flushed());
        let mut woken = Vec::new();
        while partition.acks.front().is_some_and(|ack| failed || ack.up_to <= flushed) {
            woken.extend(partition.acks.pop_front());
        }
        let synced: u64 = woken.iter().map(|ack: &Ack| ack.bytes).sum();
        let seen = if partition.acks.is_empty() { u64::MAX } else { synced };
        let seen = seen.min(partition.unseen_bytes);
        partition.unseen_bytes -= seen;
        for ack in woken {
            if let Some(pending) = ack.pending {
                self.settle(pending, Some(ack.slot), !failed, out);
            }
        }
        self.ask_syncs(id, out);
        if seen > 0 || failed {
            self.wake(now, id, seen, out);
        }
        self.drained(now, out);
    }

    /// One of the syncs that an answer waits for has ended.
    pub(super) fn settle(
        &mut self,
        number: u64,
        slot: Option<(u32, u32)>,
        is_good: bool,
        out: &mut Effects<Self>,
    ) {
        let Some(pending) = self.pending.get_mut(&number) else { return };
        if !is_good {
            fail(&mut pending.response, slot);
        }
        pending.needs -= 1;
        if pending.needs == 0
            && let Some(Pending { to, response, .. }) = self.pending.remove(&number)
        {
            self.answer(to, response, out);
        }
    }
}

/// Puts a storage error where an answer speaks of the partition at `slot`, or of
/// anything.
fn fail(response: &mut Response, slot: Option<(u32, u32)>) {
    let code = ResponseError::KafkaStorageError.code();
    let is_it = |topic: usize, partition: usize| {
        slot.is_none_or(|slot| slot == (topic as u32, partition as u32))
    };
    match response {
        Response::Produce(response) => {
            for (topic, answer) in response.responses.iter_mut().enumerate() {
                for (at, partition) in answer.partition_responses.iter_mut().enumerate() {
                    if is_it(topic, at) {
                        (partition.error_code, partition.base_offset) = (code, -1);
                    }
                }
            }
        }
        Response::OffsetCommit(response) => {
            for (topic, answer) in response.topics.iter_mut().enumerate() {
                for (at, partition) in answer.partitions.iter_mut().enumerate() {
                    if is_it(topic, at) {
                        partition.error_code = code;
                    }
                }
            }
        }
        Response::Metadata(response) => {
            response.topics.iter_mut().for_each(|topic| topic.error_code = code);
        }
        Response::CreateTopics(response) => {
            response.topics.iter_mut().for_each(|topic| topic.error_code = code);
        }
        Response::DeleteTopics(response) => {
            response.responses.iter_mut().for_each(|topic| topic.error_code = code);
        }
        Response::CreatePartitions(response) => {
            response.results.iter_mut().for_each(|topic| topic.error_code = code);
        }
        Response::IncrementalAlterConfigs(response) => {
            response.responses.iter_mut().for_each(|resource| resource.error_code = code);
        }
        Response::DeleteRecords(response) => {
            let partitions = response.topics.iter_mut().flat_map(|topic| &mut topic.partitions);
            partitions.for_each(|partition| partition.error_code = code);
        }
        Response::InitProducerId(response) => {
            response.error_code = code;
            response.producer_id = (-1).into();
        }
        // The others wait for no sync.
        _ => {}
    }
}
