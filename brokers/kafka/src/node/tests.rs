//! The node through its requests, on a disk in memory.

mod admin;
mod crash;
mod fetch;
mod groups;
mod invariants;
mod produce;
mod versions;

use std::collections::VecDeque;
use std::iter::empty;
use std::time::Duration;

use broker_contract::{
    Boot, BootError, Broker, Cause, CloseReason, ConnId, CrashKind, Disk, DiskError, Effect,
    Effects, FileId, Input, MemoryDisk, NodeId, Note, Origin, SeedStream, SyncToken, Time,
};
use bytes::Bytes;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::PartitionData;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::PartitionProduceResponse;
use kafka_protocol::messages::{
    CreateTopicsRequest, FetchRequest, ListOffsetsRequest, OffsetForLeaderEpochRequest,
    ProduceRequest, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use super::{Kafka, KafkaConfig};
use crate::frame::batch::{BatchWriter, Batches, Records, records};
use crate::frame::{Codec, Down, Request, Response, Up};

/// A node on a disk in memory, and everything that it has said.
struct Stand {
    config: KafkaConfig,
    node: Option<Kafka>,
    out: Effects<Kafka>,
    now: Time,
    conns: u32,
    correlation: i32,
    sent: VecDeque<(ConnId, Down)>,
    closed: Vec<(ConnId, CloseReason)>,
    notes: Vec<Note>,
    /// Syncs that have not ended, with the length that each covers.
    syncs: VecDeque<(FileId, SyncToken, u64)>,
    /// Syncs end as soon as they are asked for.
    syncs_at_once: bool,
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

/// A batch of records with these values, without keys.
fn batch(values: &[&str]) -> Bytes {
    stamped(values, 0)
}

fn stamped(values: &[&str], at_ms: i64) -> Bytes {
    let mut writer = BatchWriter::new();
    for value in values {
        writer.push(at_ms, None, Some(value.as_bytes()), empty());
    }
    writer.finish(Codec::None).expect("finishes").into()
}

/// A batch of an idempotent producer.
fn sequenced(values: &[&str], producer: i64, epoch: i16, sequence: i32) -> Bytes {
    let mut writer = BatchWriter::new();
    writer.producer(producer, epoch, sequence);
    for value in values {
        writer.push(0, None, Some(value.as_bytes()), empty());
    }
    writer.finish(Codec::None).expect("finishes").into()
}

/// A batch of keys and values; a missing value is a tombstone.
fn keyed(records: &[(&str, Option<&str>)], at_ms: i64) -> Bytes {
    let mut writer = BatchWriter::new();
    for (key, value) in records {
        writer.push(at_ms, Some(key.as_bytes()), value.map(str::as_bytes), empty());
    }
    writer.finish(Codec::None).expect("finishes").into()
}

fn produce_request(topic: &str, partition: i32, batch: Bytes, acks: i16) -> ProduceRequest {
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(batch));
    let data =
        TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(vec![data]);
    ProduceRequest::default().with_acks(acks).with_topic_data(vec![data])
}

fn fetch_request(topic: &str, partition: i32, offset: i64) -> FetchRequest {
    let wanted = FetchPartition::default()
        .with_partition(partition)
        .with_fetch_offset(offset)
        .with_current_leader_epoch(-1)
        .with_partition_max_bytes(1 << 20);
    let wanted = FetchTopic::default().with_topic(topic_name(topic)).with_partitions(vec![wanted]);
    FetchRequest::default()
        .with_max_wait_ms(0)
        .with_min_bytes(1)
        .with_max_bytes(50 << 20)
        .with_topics(vec![wanted])
}

/// The offsets and values of the records in `bytes`.
fn values(bytes: &[u8]) -> Vec<(i64, String)> {
    let mut values = Vec::new();
    for found in Batches::new(bytes) {
        let (header, batch) = found.expect("whole batches");
        let buf = records(&header, batch).expect("decompresses");
        for record in Records::new(&header, &buf) {
            let record = record.expect("reads");
            let value = record
                .value
                .map_or("-".to_owned(), |value| String::from_utf8_lossy(&buf[value]).into_owned());
            values.push((header.base_offset + i64::from(record.offset_delta), value));
        }
    }
    values
}

impl Stand {
    fn new(config: KafkaConfig) -> Stand {
        Stand::on(MemoryDisk::new(), config).expect("boots")
    }

    fn plain() -> Stand {
        Stand::new(KafkaConfig::default())
    }

    fn on(disk: MemoryDisk, config: KafkaConfig) -> Result<Stand, BootError> {
        let mut stand = Stand {
            config,
            node: None,
            out: Effects::new(Box::new(disk)),
            now: Time::from_millis(1),
            conns: 0,
            correlation: 0,
            sent: VecDeque::new(),
            closed: Vec::new(),
            notes: Vec::new(),
            syncs: VecDeque::new(),
            syncs_at_once: true,
        };
        stand.boot()?;
        Ok(stand)
    }

    fn boot(&mut self) -> Result<(), BootError> {
        let boot = Boot { seed: SeedStream::new(1), node: NodeId(0), peers: vec![NodeId(0)] };
        self.node = Some(Kafka::boot(&self.config, boot, self.now, &mut self.out)?);
        self.release();
        Ok(())
    }

    fn disk(&mut self) -> &mut MemoryDisk {
        self.out.disk_as::<MemoryDisk>().expect("is in memory")
    }

    fn node(&mut self) -> &mut Kafka {
        self.node.as_mut().expect("runs")
    }

    /// Takes what the node wants done.
    fn release(&mut self) {
        loop {
            let effects: Vec<_> = self.out.drain().collect();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                match effect {
                    Effect::Send { conn, frame } => self.sent.push_back((conn, frame)),
                    Effect::Close { conn, reason } => self.closed.push((conn, reason)),
                    Effect::Sync { file, token } => {
                        let len = self.out.disk().len(file).unwrap_or(0);
                        self.syncs.push_back((file, token, len));
                    }
                    Effect::Note(note) => self.notes.push(note),
                    Effect::Peer { msg, .. } => match msg {},
                }
            }
            if self.syncs_at_once {
                self.end_syncs(Ok(()));
            }
        }
    }

    /// Ends all syncs that run.
    fn end_syncs(&mut self, result: Result<(), DiskError>) {
        while let Some((file, token, len)) = self.syncs.pop_front() {
            if result.is_ok() {
                self.disk().complete_sync_to(file, len);
            }
            if self.node.is_some() {
                let result = result.clone();
                self.input(Input::Synced { token, result });
            }
        }
    }

    fn input(&mut self, input: Input<Kafka>) {
        let now = self.now;
        let node = self.node.as_mut().expect("runs");
        node.handle(now, input, &mut self.out);
        self.release();
    }

    fn open(&mut self) -> ConnId {
        let conn = ConnId(self.conns);
        self.conns += 1;
        self.input(Input::Opened { conn, origin: Origin::default() });
        conn
    }

    fn send(&mut self, conn: ConnId, version: i16, request: impl Into<Request>) -> i32 {
        self.correlation += 1;
        let correlation = self.correlation;
        let client_id = Some("test".into());
        let frame = Up { correlation, version, client_id, request: request.into() };
        self.input(Input::Frame { conn, frame });
        correlation
    }

    /// The next answer on `conn`, if there is one. The transport takes it.
    fn answer(&mut self, conn: ConnId) -> Option<Down> {
        let at = self.sent.iter().position(|(to, _)| *to == conn)?;
        let (_, frame) = self.sent.remove(at)?;
        let bytes = broker_contract::Frame::wire_len(&frame) as u64;
        self.input(Input::Drained { conn, bytes });
        Some(frame)
    }

    fn ask(&mut self, conn: ConnId, version: i16, request: impl Into<Request>) -> Response {
        let correlation = self.send(conn, version, request);
        let frame = self.answer(conn).expect("an answer");
        assert_eq!(frame.correlation, correlation);
        frame.response
    }

    /// Lets time go by, with every tick that is due.
    fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        for _ in 0..1_000_000 {
            let due = self.node().deadline().map(|due| due.max(self.now));
            match due.filter(|due| *due <= until) {
                Some(due) => {
                    self.now = due;
                    self.input(Input::Tick);
                }
                None => {
                    self.now = until;
                    return;
                }
            }
        }
        panic!("the node never comes to rest");
    }

    fn create(&mut self, name: &str, partitions: i32, settings: &[(&str, &str)]) {
        let conn = self.open();
        let setting = |(name, value): &(&str, &str)| {
            CreatableTopicConfig::default().with_name(text(name)).with_value(Some(text(value)))
        };
        let topic = CreatableTopic::default()
            .with_name(topic_name(name))
            .with_num_partitions(partitions)
            .with_replication_factor(1)
            .with_configs(settings.iter().map(setting).collect());
        let request = CreateTopicsRequest::default().with_topics(vec![topic]);
        let Response::CreateTopics(response) = self.ask(conn, 7, request) else {
            panic!("another answer")
        };
        assert_eq!(response.topics[0].error_code, 0, "{:?}", response.topics[0].error_message);
    }

    fn produce(&mut self, topic: &str, batch: Bytes) -> PartitionProduceResponse {
        let conn = self.open();
        let Response::Produce(response) = self.ask(conn, 9, produce_request(topic, 0, batch, -1))
        else {
            panic!("another answer")
        };
        response.responses[0].partition_responses[0].clone()
    }

    fn fetch(&mut self, topic: &str, offset: i64) -> PartitionData {
        let conn = self.open();
        let Response::Fetch(response) = self.ask(conn, 12, fetch_request(topic, 0, offset)) else {
            panic!("another answer")
        };
        response.responses[0].partitions[0].clone()
    }

    /// Every record of partition 0 from `offset` on.
    fn read(&mut self, topic: &str, mut offset: i64) -> Vec<(i64, String)> {
        let mut all = Vec::new();
        loop {
            let data = self.fetch(topic, offset);
            assert_eq!(data.error_code, 0);
            let bytes = data.records.unwrap_or_default();
            let Some(last) = Batches::new(&bytes).map(|b| b.expect("whole").0.last_offset()).last()
            else {
                return all;
            };
            all.extend(values(&bytes).into_iter().filter(|(at, _)| *at >= offset));
            offset = last + 1;
        }
    }

    fn list_offset(&mut self, topic: &str, stamp: i64) -> (i64, i64) {
        let conn = self.open();
        let wanted =
            ListOffsetsPartition::default().with_timestamp(stamp).with_current_leader_epoch(-1);
        let wanted =
            ListOffsetsTopic::default().with_name(topic_name(topic)).with_partitions(vec![wanted]);
        let request = ListOffsetsRequest::default().with_topics(vec![wanted]);
        let Response::ListOffsets(response) = self.ask(conn, 7, request) else {
            panic!("another answer")
        };
        let found = &response.topics[0].partitions[0];
        assert_eq!(found.error_code, 0);
        (found.offset, found.timestamp)
    }

    /// Leaves no room for a single byte.
    fn fill_disk(&mut self) {
        let disk = self.disk();
        let file = disk.open("other/filler").expect("opens");
        while disk.append(file, &[&[0]]).is_ok() {}
    }

    fn make_room(&mut self) {
        self.disk().delete("other/filler").expect("deletes");
    }

    /// The leader epoch of the end of partition 0.
    fn list_epoch(&mut self, topic: &str) -> i32 {
        let conn = self.open();
        let wanted =
            ListOffsetsPartition::default().with_timestamp(-1).with_current_leader_epoch(-1);
        let wanted =
            ListOffsetsTopic::default().with_name(topic_name(topic)).with_partitions(vec![wanted]);
        let request = ListOffsetsRequest::default().with_topics(vec![wanted]);
        let Response::ListOffsets(response) = self.ask(conn, 7, request) else {
            panic!("another answer")
        };
        response.topics[0].partitions[0].leader_epoch
    }

    /// Where an epoch of partition 0 ended: the epoch found, and the offset.
    fn end_of_epoch(&mut self, topic: &str, epoch: i32) -> (i32, i64) {
        let conn = self.open();
        let wanted = OffsetForLeaderPartition::default()
            .with_current_leader_epoch(-1)
            .with_leader_epoch(epoch);
        let wanted = OffsetForLeaderTopic::default()
            .with_topic(topic_name(topic))
            .with_partitions(vec![wanted]);
        let request = OffsetForLeaderEpochRequest::default().with_topics(vec![wanted]);
        let Response::OffsetForLeaderEpoch(response) = self.ask(conn, 4, request) else {
            panic!("another answer")
        };
        let found = &response.topics[0].partitions[0];
        (found.leader_epoch, found.end_offset)
    }

    fn crash(&mut self, kind: CrashKind, torn: impl FnMut(usize) -> usize) {
        self.node = None;
        self.sent.clear();
        self.syncs.clear();
        self.out.clear();
        self.disk().crash(kind, torn);
    }

    fn saw(&self, what: &'static str) -> bool {
        self.notes.contains(&Note::Sometimes(what))
    }

    fn dropped(&self, why: Cause) -> usize {
        let is_it = |note: &&Note| matches!(note, Note::Dropped { cause, .. } if *cause == why);
        self.notes.iter().filter(is_it).count()
    }
}
