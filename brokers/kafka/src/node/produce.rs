//! Produce: batches in, offsets out.

use broker_contract::{Cause, CloseReason, Effects, Time};
use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::messages::produce_response::{
    PartitionProduceResponse, ProduceResponse, TopicProduceResponse,
};

use super::Kafka;
use super::conns::Asker;
use super::log::Verdict;
use super::topics::{Ack, OFFSETS_TOPIC, PartitionId};
use crate::frame::Codec;
use crate::frame::batch::{self, BatchError, BatchHeader, CRC_START, Records};

/// The first version of produce requests that may carry zstd.
const ZSTD_SINCE: i16 = 7;
/// The attribute that says that timestamps are the node's.
const APPEND_TIME: u8 = 1 << 3;

/// What came of a batch.
struct Stored {
    base: i64,
    bytes: u64,
    append_ms: i64,
    /// It must be synced before it is acknowledged: up to this offset.
    sync_to: Option<i64>,
}

impl Kafka {
    pub(super) fn produce(
        &mut self,
        now: Time,
        to: Asker,
        request: ProduceRequest,
        out: &mut Effects<Self>,
    ) {
        let number = self.number();
        let acks = request.acks;
        let pending = (acks != 0).then_some(number);
        let mut needs = 0;
        let mut first_error = None;
        let mut responses = Vec::with_capacity(request.topic_data.len());
        for (at_topic, data) in request.topic_data.into_iter().enumerate() {
            let mut partitions = Vec::with_capacity(data.partition_data.len());
            for (at, partition) in data.partition_data.into_iter().enumerate() {
                let mut answer = PartitionProduceResponse::default().with_index(partition.index);
                let id = self.topics.find(&data.name.0, partition.index);
                let stored = if !(-1..=1).contains(&acks) {
                    Err(ResponseError::InvalidRequiredAcks)
                } else if request.transactional_id.is_some() {
                    Err(ResponseError::InvalidRequest)
                } else if data.name.0.as_bytes() == OFFSETS_TOPIC.as_bytes() {
                    Err(ResponseError::InvalidTopicException)
                } else {
                    id.ok_or(ResponseError::UnknownTopicOrPartition).and_then(|id| {
                        let records = partition.records.unwrap_or_default();
                        let stored = self.store(now, id, &records, to.version, out);
                        if stored.is_err() && acks == 0 {
                            // Nobody else says what became of these.
                            batch::each_value(&records, &mut |value| {
                                out.dropped(Cause::Refused, None, value);
                            });
                        }
                        stored.map(|stored| (id, stored))
                    })
                };
                match stored {
                    Ok((id, stored)) => {
                        answer.base_offset = stored.base;
                        answer.log_append_time_ms = stored.append_ms;
                        if let Some(partition) = self.topics.peek(id) {
                            answer.log_start_offset = partition.log.start();
                        }
                        if let Some(up_to) = stored.sync_to {
                            let slot = (at_topic as u32, at as u32);
                            let Stored { base, bytes, .. } = stored;
                            self.wait_for_flush(id, Ack { base, up_to, bytes, pending, slot });
                            needs += u32::from(pending.is_some());
                        }
                    }
                    Err(error) => {
                        (answer.error_code, answer.base_offset) = (error.code(), -1);
                        answer.log_append_time_ms = -1;
                        answer.log_start_offset = -1;
                        first_error.get_or_insert(error);
                    }
                }
                partitions.push(answer);
            }
            let answer = TopicProduceResponse::default().with_name(data.name);
            responses.push(answer.with_partition_responses(partitions));
        }
        if acks == 0 {
            // Nobody is told, so the end of the connection has to say it.
            match first_error {
                Some(_) => {
                    let reason =
                        CloseReason::Protocol("a batch without acknowledgement is refused");
                    self.close(to.from.conn, reason, out);
                }
                None => self.pass(to),
            }
            return;
        }
        if needs > 0 && self.needs_journal(number) {
            needs += 1;
        }
        self.answer_after(
            number,
            needs,
            to,
            ProduceResponse::default().with_responses(responses),
            out,
        );
    }

    /// Appends a client's records to a partition, if they are what they must be.
    fn store(
        &mut self,
        now: Time,
        id: PartitionId,
        records: &Bytes,
        version: i16,
        out: &mut Effects<Self>,
    ) -> Result<Stored, ResponseError> {
        let Some(partition) = self.topics.peek(id) else {
            return Err(ResponseError::UnknownTopicOrPartition);
        };
        let config = partition.log.config();
        let header = checked(records, version, config.max_message_bytes, config.compact)?;
        match partition.log.producers().judge(&header) {
            Verdict::Refuse(error) => Err(error),
            Verdict::Append if config.append_time => {
                let append_ms = self.now_ms(now);
                let (header, stamped) = stamp(&header, records, append_ms);
                let base = self.append(now, id, &stamped, &header, out)?;
                Ok(Stored { append_ms, ..self.stored(id, base, &header, out) })
            }
            Verdict::Append => {
                let base = self.append(now, id, records, &header, out)?;
                Ok(self.stored(id, base, &header, out))
            }
            Verdict::Duplicate(first) => {
                out.note(broker_contract::Note::Sometimes("duplicate refused"));
                let flushes = config.flush_messages == Some(1);
                let up_to = first.last_offset + 1;
                let sync_to = (flushes && partition.log.flushed() < up_to).then_some(up_to);
                Ok(Stored { base: first.base_offset, bytes: 0, append_ms: -1, sync_to })
            }
        }
    }

    /// What an append has come to, and the syncs that it asks for.
    fn stored(
        &mut self,
        id: PartitionId,
        base: i64,
        header: &BatchHeader,
        out: &mut Effects<Self>,
    ) -> Stored {
        let bytes = header.size() as u64;
        let mut stored = Stored { base, bytes, append_ms: -1, sync_to: None };
        if let Some(partition) = self.topics.partition(id)
            && partition.log.must_flush()
        {
            partition.log.flush();
            stored.sync_to = Some(partition.log.next());
        }
        self.ask_syncs(id, out);
        stored
    }

    /// Appends a batch and wakes who waits for it, unless it must be synced
    /// before anybody may see it.
    pub(super) fn append(
        &mut self,
        now: Time,
        id: PartitionId,
        bytes: &[u8],
        header: &BatchHeader,
        out: &mut Effects<Self>,
    ) -> Result<i64, ResponseError> {
        self.note_boot(out).map_err(|_| ResponseError::KafkaStorageError)?;
        let (epoch, now_ms) = (self.epoch, self.now_ms(now));
        let Some(partition) = self.topics.partition(id) else {
            return Err(ResponseError::UnknownTopicOrPartition);
        };
        if partition.log.has_failed() {
            return Err(ResponseError::KafkaStorageError);
        }
        let base = partition
            .log
            .append(out.disk(), bytes, header, epoch, now_ms)
            .map_err(|_| ResponseError::KafkaStorageError)?;
        if let Some(flush) = partition.log.config().flush
            && !partition.has_flush_timer
        {
            partition.has_flush_timer = true;
            self.upkeep.flush_at(now + flush, id);
        }
        partition.unseen_bytes += bytes.len() as u64;
        if partition.acks.is_empty() && !partition.log.must_flush() {
            let bytes = std::mem::take(&mut partition.unseen_bytes);
            self.wake(now, id, bytes, out);
        }
        Ok(base)
    }
}

/// The header of the one batch that `records` must be.
fn checked(
    records: &[u8],
    version: i16,
    max: u64,
    needs_keys: bool,
) -> Result<BatchHeader, ResponseError> {
    let header = BatchHeader::read(records).map_err(|error| match error {
        BatchError::Magic(_) => ResponseError::InvalidRecord,
        _ => ResponseError::CorruptMessage,
    })?;
    if header.size() < records.len() {
        // From version 3 on, a request has one batch for each partition.
        return Err(ResponseError::InvalidRecord);
    }
    if records.len() as u64 > max {
        return Err(ResponseError::MessageTooLarge);
    }
    batch::check(records).map_err(|_| ResponseError::CorruptMessage)?;
    let is_counted = header.count > 0 && header.last_offset_delta == header.count - 1;
    if !is_counted || header.is_control() {
        return Err(ResponseError::InvalidRecord);
    }
    if header.is_transactional() {
        return Err(ResponseError::InvalidTxnState);
    }
    match header.codec() {
        None => return Err(ResponseError::UnsupportedCompressionType),
        Some(Codec::Zstd) if version < ZSTD_SINCE => {
            return Err(ResponseError::UnsupportedCompressionType);
        }
        Some(_) => {}
    }
    if needs_keys {
        let plain = batch::records(&header, records).map_err(|_| ResponseError::CorruptMessage)?;
        for record in Records::new(&header, &plain) {
            let record = record.map_err(|_| ResponseError::CorruptMessage)?;
            if record.key.is_none() {
                return Err(ResponseError::InvalidRecord);
            }
        }
    }
    Ok(header)
}

/// A copy of the batch with the node's time on it.
fn stamp(header: &BatchHeader, records: &[u8], now_ms: i64) -> (BatchHeader, Vec<u8>) {
    let mut bytes = records.to_vec();
    bytes[22] |= APPEND_TIME;
    bytes[35..43].copy_from_slice(&now_ms.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[CRC_START..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    let attributes = header.attributes | i16::from(APPEND_TIME);
    (BatchHeader { attributes, max_timestamp: now_ms, crc, ..*header }, bytes)
}
