//! Fetch: batches out, at once or as soon as there are enough.

use std::time::Duration;

use broker_contract::{Effects, Note, Time};
use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::FetchRequest;
use kafka_protocol::messages::fetch_request::FetchPartition;
use kafka_protocol::messages::fetch_response::{
    FetchResponse, FetchableTopicResponse, PartitionData,
};

use super::Kafka;
use super::conns::Asker;
use super::log::LogError;
use super::topics::PartitionId;

/// A fetch that waits for records.
#[derive(Debug)]
pub struct Parked {
    to: Asker,
    until: Time,
    request: FetchRequest,
    /// Bytes that were there when it parked and that have come since.
    have: u64,
    need: u64,
}

/// What a fetch would return now.
struct Answer {
    response: FetchResponse,
    bytes: u64,
    has_error: bool,
}

impl Kafka {
    pub(super) fn fetch(
        &mut self,
        now: Time,
        to: Asker,
        request: FetchRequest,
        out: &mut Effects<Self>,
    ) {
        if request.session_id != 0 {
            // Sessions are never handed out, so nobody can have one.
            let code = ResponseError::FetchSessionIdNotFound.code();
            self.answer(to, FetchResponse::default().with_error_code(code), out);
            return;
        }
        let answer = self.read_all(&request, out);
        let need = request.min_bytes.max(0) as u64;
        let wait = request.max_wait_ms.max(0) as u64;
        if wait == 0 || answer.bytes >= need || answer.has_error || request.topics.is_empty() {
            self.answer(to, answer.response, out);
            return;
        }
        let number = self.number();
        let until = now + Duration::from_millis(wait);
        for id in self.asked_for(&request) {
            if let Some(partition) = self.topics.partition(id) {
                partition.waiters.push(number);
            }
        }
        self.parked_until.insert((until, number));
        self.parked_of.insert(to.from, number);
        let have = answer.bytes;
        self.parked.insert(number, Parked { to, until, request, have, need });
    }

    /// The partitions that a fetch names, as far as they exist.
    fn asked_for(&self, request: &FetchRequest) -> Vec<PartitionId> {
        let named = request.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|partition| (&topic.topic.0, partition.partition))
        });
        named.filter_map(|(topic, partition)| self.topics.find(topic, partition)).collect()
    }

    /// Takes a parked fetch out of everything that knows of it.
    pub(super) fn unpark(&mut self, number: u64) -> Option<(Asker, FetchRequest)> {
        let parked = self.parked.remove(&number)?;
        self.parked_until.remove(&(parked.until, number));
        self.parked_of.remove(&parked.to.from);
        for id in self.asked_for(&parked.request) {
            if let Some(partition) = self.topics.partition(id) {
                partition.waiters.retain(|waiter| *waiter != number);
            }
        }
        Some((parked.to, parked.request))
    }

    /// Answers a parked fetch with what there is.
    pub(super) fn answer_parked(&mut self, _now: Time, number: u64, out: &mut Effects<Self>) {
        if let Some((to, request)) = self.unpark(number) {
            let answer = self.read_all(&request, out);
            self.answer(to, answer.response, out);
        }
    }

    /// Tells those who wait for a partition that `bytes` more can be read there.
    pub(super) fn wake(&mut self, now: Time, id: PartitionId, bytes: u64, out: &mut Effects<Self>) {
        let Some(partition) = self.topics.partition(id) else { return };
        if partition.waiters.is_empty() {
            return;
        }
        let failed = partition.log.has_failed();
        let waiters = std::mem::take(&mut partition.waiters);
        let mut still = Vec::new();
        let mut enough = Vec::new();
        for number in waiters {
            let Some(parked) = self.parked.get_mut(&number) else { continue };
            parked.have += bytes;
            if parked.have >= parked.need || failed { &mut enough } else { &mut still }
                .push(number);
        }
        if let Some(partition) = self.topics.partition(id) {
            // The list keeps its room for those who come back.
            partition.waiters = still;
        }
        for number in enough {
            self.answer_parked(now, number, out);
        }
    }

    /// Reads for each partition of a fetch, up to the limits. The first batch is
    /// returned even when it is over them.
    fn read_all(&mut self, request: &FetchRequest, out: &mut Effects<Self>) -> Answer {
        let mut left = usize::try_from(request.max_bytes).unwrap_or(0);
        let (mut bytes, mut has_error) = (0_u64, false);
        let mut responses = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for wanted in &topic.partitions {
                let id = self.topics.find(&topic.topic.0, wanted.partition);
                let (data, is_error) = match id {
                    Some(id) => self.read_one(id, wanted, left, bytes == 0, out),
                    None => (refused(wanted, ResponseError::UnknownTopicOrPartition), true),
                };
                let len = data.records.as_ref().map_or(0, Bytes::len);
                bytes += len as u64;
                left = left.saturating_sub(len);
                has_error |= is_error;
                partitions.push(data);
            }
            let answer = FetchableTopicResponse::default().with_topic(topic.topic.clone());
            responses.push(answer.with_partitions(partitions));
        }
        let response = FetchResponse::default().with_responses(responses);
        Answer { response, bytes, has_error }
    }

    fn read_one(
        &mut self,
        id: PartitionId,
        wanted: &FetchPartition,
        left: usize,
        is_first: bool,
        out: &mut Effects<Self>,
    ) -> (PartitionData, bool) {
        if let Some(error) = self.epoch_error(wanted.current_leader_epoch) {
            return (refused(wanted, error), true);
        }
        let Some(partition) = self.topics.partition(id) else {
            return (refused(wanted, ResponseError::UnknownTopicOrPartition), true);
        };
        if partition.log.has_failed() {
            return (refused(wanted, ResponseError::KafkaStorageError), true);
        }
        let limit = partition.high_watermark();
        let max = usize::try_from(wanted.partition_max_bytes).unwrap_or(0).min(left);
        let read = if max == 0 && !is_first {
            Ok(Bytes::new())
        } else {
            partition.log.read(out.disk(), wanted.fetch_offset, max, limit)
        };
        let mut data = PartitionData::default()
            .with_partition_index(wanted.partition)
            .with_high_watermark(limit)
            .with_last_stable_offset(limit)
            .with_log_start_offset(partition.log.start())
            .with_aborted_transactions(None);
        let error = match read {
            // Only the first batch of a whole answer may be over the limit.
            Ok(bytes) if bytes.len() > max && !is_first => None,
            Ok(bytes) => {
                data.records = Some(bytes);
                None
            }
            Err(LogError::OutOfRange { .. }) => Some(ResponseError::OffsetOutOfRange),
            Err(LogError::Corrupt { .. }) => {
                out.note(Note::Sometimes("corrupt batch read"));
                Some(ResponseError::CorruptMessage)
            }
            Err(LogError::Disk(_)) => Some(ResponseError::KafkaStorageError),
        };
        match error {
            Some(error) => {
                let start = partition.log.start();
                let data =
                    refused(wanted, error).with_high_watermark(limit).with_log_start_offset(start);
                (data, true)
            }
            None => (data, false),
        }
    }

    /// What is wrong with the leader epoch that a client knows; -1 is none.
    pub(super) fn epoch_error(&self, known: i32) -> Option<ResponseError> {
        match known {
            ..0 => None,
            known if known < self.epoch => Some(ResponseError::FencedLeaderEpoch),
            known if known > self.epoch => Some(ResponseError::UnknownLeaderEpoch),
            _ => None,
        }
    }
}

fn refused(wanted: &FetchPartition, error: ResponseError) -> PartitionData {
    PartitionData::default()
        .with_partition_index(wanted.partition)
        .with_error_code(error.code())
        .with_high_watermark(-1)
        .with_aborted_transactions(None)
}
