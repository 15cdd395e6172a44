//! Questions about offsets, and producer ids.

use broker_contract::Effects;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderEpochResponse, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::{
    InitProducerIdRequest, InitProducerIdResponse, ListOffsetsRequest, OffsetForLeaderEpochRequest,
};

use super::Kafka;
use super::conns::Asker;
use super::journal::Entry;
use super::log::LogError;
use super::topics::PartitionId;

/// Asks for the offset after the last record.
const LATEST: i64 = -1;
/// Asks for the first offset.
const EARLIEST: i64 = -2;
/// Asks for the record with the largest timestamp.
const MAX_TIMESTAMP: i64 = -3;
/// Producer ids that one entry of the journal reserves, as in the original.
const ID_BLOCK: i64 = 1000;

/// The answer to one question: timestamp, offset, leader epoch.
type Position = (i64, i64, i32);

impl Kafka {
    pub(super) fn list_offsets(
        &mut self,
        to: Asker,
        request: &ListOffsetsRequest,
        out: &mut Effects<Self>,
    ) {
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for wanted in &topic.partitions {
                let id = self.topics.find(&topic.name.0, wanted.partition_index);
                let found = match (id, self.epoch_error(wanted.current_leader_epoch)) {
                    (None, _) => Err(ResponseError::UnknownTopicOrPartition),
                    (_, Some(error)) => Err(error),
                    (Some(id), None) => self.position(id, wanted.timestamp, out),
                };
                let answer = ListOffsetsPartitionResponse::default()
                    .with_partition_index(wanted.partition_index);
                // The struct's fields below version 4 know no leader epoch.
                let with_epoch = |epoch| if to.version >= 4 { epoch } else { -1 };
                partitions.push(match found {
                    Ok((at, offset, epoch)) => answer
                        .with_timestamp(at)
                        .with_offset(offset)
                        .with_leader_epoch(with_epoch(epoch)),
                    Err(error) => answer.with_error_code(error.code()),
                });
            }
            let answer = ListOffsetsTopicResponse::default().with_name(topic.name.clone());
            topics.push(answer.with_partitions(partitions));
        }
        self.answer(to, ListOffsetsResponse::default().with_topics(topics), out);
    }

    fn position(
        &mut self,
        id: PartitionId,
        stamp: i64,
        out: &mut Effects<Self>,
    ) -> Result<Position, ResponseError> {
        let epoch = self.lasting_epoch();
        let partition = self.topics.partition(id);
        let partition = partition.ok_or(ResponseError::UnknownTopicOrPartition)?;
        let limit = partition.high_watermark();
        let log = &mut partition.log;
        let found = match stamp {
            LATEST => return Ok((-1, limit, epoch)),
            EARLIEST => {
                let start = log.start();
                return Ok((-1, start, log.epoch_of(start).unwrap_or(epoch)));
            }
            MAX_TIMESTAMP => log.max_time(),
            0.. => log.find_time(out.disk(), stamp).map_err(|error| match error {
                LogError::Corrupt { .. } => ResponseError::CorruptMessage,
                _ => ResponseError::KafkaStorageError,
            })?,
            _ => return Err(ResponseError::InvalidRequest),
        };
        Ok(match found.filter(|(offset, _)| *offset < limit) {
            Some((offset, at)) => (at, offset, log.epoch_of(offset).unwrap_or(epoch)),
            None => (-1, -1, -1),
        })
    }

    pub(super) fn leader_epochs(
        &mut self,
        to: Asker,
        request: &OffsetForLeaderEpochRequest,
        out: &mut Effects<Self>,
    ) {
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in &request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for wanted in &topic.partitions {
                let answer = EpochEndOffset::default().with_partition(wanted.partition);
                let id = self.topics.find(&topic.topic.0, wanted.partition);
                let error = match id.and_then(|id| self.topics.peek(id)) {
                    None => Some(ResponseError::UnknownTopicOrPartition),
                    Some(_) => self.epoch_error(wanted.current_leader_epoch),
                };
                partitions.push(match error {
                    Some(error) => answer
                        .with_error_code(error.code())
                        .with_leader_epoch(-1)
                        .with_end_offset(-1),
                    None => {
                        let (epoch, end) = self.end_of_epoch(id, wanted.leader_epoch);
                        answer.with_leader_epoch(epoch).with_end_offset(end)
                    }
                });
            }
            let answer = OffsetForLeaderTopicResult::default().with_topic(topic.topic.clone());
            topics.push(answer.with_partitions(partitions));
        }
        self.answer(to, OffsetForLeaderEpochResponse::default().with_topics(topics), out);
    }

    /// The epoch at or before `epoch`, and where it ended; -1 and -1 for one that
    /// is yet to come.
    fn end_of_epoch(&self, id: Option<PartitionId>, epoch: i32) -> (i32, i64) {
        let Some(partition) = id.and_then(|id| self.topics.peek(id)) else { return (-1, -1) };
        if epoch == self.epoch {
            // The present epoch ends where the log does, records or not.
            return (epoch, partition.log.next());
        }
        if epoch > self.epoch {
            return (-1, -1);
        }
        partition.log.end_of_epoch(epoch)
    }

    pub(super) fn init_producer_id(
        &mut self,
        to: Asker,
        request: &InitProducerIdRequest,
        out: &mut Effects<Self>,
    ) {
        let refused = |error: ResponseError| {
            let response = InitProducerIdResponse::default().with_error_code(error.code());
            response.with_producer_id((-1).into()).with_producer_epoch(-1)
        };
        if request.transactional_id.is_some() {
            self.answer(to, refused(ResponseError::InvalidRequest), out);
            return;
        }
        // Without a transaction an epoch is never raised: a producer that asks
        // again is a new one, as in the original.
        let (next, reserved) = self.producer_ids;
        if next >= reserved {
            let entry = Entry::ProducerIds { next: reserved + ID_BLOCK };
            if self.journal.append(out.disk(), &entry).is_err() {
                self.answer(to, refused(ResponseError::KafkaStorageError), out);
                return;
            }
            self.producer_ids.1 = reserved + ID_BLOCK;
            self.sync_journal(out);
        }
        self.producer_ids.0 += 1;
        let response = InitProducerIdResponse::default().with_producer_id(next.into());
        // An id that a power loss makes free again could be given out twice.
        self.answer_after_journal(to, response.with_producer_epoch(0), out);
    }
}
