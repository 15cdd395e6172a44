//! A log of topics with one partition each, in Kafka's own frames. The requests
//! and responses are boxed: unboxed they would make every input as large as the
//! largest of them.

use std::collections::BTreeMap;
use std::time::Duration;

use broker_contract::{
    Actions, Boot, BootError, Broker, Client, ClientInput, ClientStart, Configured, ConnId,
    Contender, Delivery, DiskError, Durability, Effects, Envelope, Feature, FileId, Frame, Input,
    LinkId, NoPeer, NodeId, Op, Outcome, Profile, Proof, Range, SettingError, SettingKind,
    SettingSpec, Settings, Start, Support, Ticket, Time, Unsupported,
};
use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    FetchRequest, FetchResponse, ProduceRequest, ProduceResponse, TopicName,
};
use kafka_protocol::protocol::{Encodable, StrBytes};
use kafka_protocol::records::{
    Compression, Record, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};

use super::profile::profile;

const PROOF: Proof = Proof { copies: 1, durable: Durability::PageCache };
const PRODUCE_VERSION: i16 = 9;
const FETCH_VERSION: i16 = 12;
/// Length, api key, version, correlation, an empty client id and no tags.
const REQUEST_HEADER: usize = 4 + 2 + 2 + 4 + 2 + 1;
/// Length, correlation and no tags.
const RESPONSE_HEADER: usize = 4 + 4 + 1;

#[derive(Clone, Debug)]
pub enum Up {
    Produce { correlation: i32, request: Box<ProduceRequest> },
    Fetch { correlation: i32, request: Box<FetchRequest> },
}

#[derive(Clone, Debug)]
pub enum Down {
    Produced { correlation: i32, response: Box<ProduceResponse> },
    Fetched { correlation: i32, response: Box<FetchResponse> },
}

fn each_value(batches: Option<&Bytes>, visit: &mut dyn FnMut(&[u8])) {
    let mut bytes = batches.cloned().unwrap_or_default();
    for set in RecordBatchDecoder::decode_all(&mut bytes).unwrap_or_default() {
        for record in set.records {
            visit(record.value.as_deref().unwrap_or_default());
        }
    }
}

impl Frame for Up {
    fn wire_len(&self) -> usize {
        let body = match self {
            Up::Produce { request, .. } => request.compute_size(PRODUCE_VERSION),
            Up::Fetch { request, .. } => request.compute_size(FETCH_VERSION),
        };
        REQUEST_HEADER + body.expect("its own requests have a size")
    }

    fn payloads(&self, visit: &mut dyn FnMut(&[u8])) {
        if let Up::Produce { request, .. } = self {
            for partition in request.topic_data.iter().flat_map(|topic| &topic.partition_data) {
                each_value(partition.records.as_ref(), visit);
            }
        }
    }
}

impl Frame for Down {
    fn wire_len(&self) -> usize {
        let body = match self {
            Down::Produced { response, .. } => response.compute_size(PRODUCE_VERSION),
            Down::Fetched { response, .. } => response.compute_size(FETCH_VERSION),
        };
        RESPONSE_HEADER + body.expect("its own responses have a size")
    }

    fn payloads(&self, visit: &mut dyn FnMut(&[u8])) {
        if let Down::Fetched { response, .. } = self {
            for partition in response.responses.iter().flat_map(|topic| &topic.partitions) {
                each_value(partition.records.as_ref(), visit);
            }
        }
    }
}

/// Where a batch lies in its file.
#[derive(Copy, Clone, Debug)]
struct Batch {
    last_offset: i64,
    position: u64,
    len: u64,
}

#[derive(Debug)]
struct Topic {
    file: FileId,
    batches: Vec<Batch>,
    next_offset: i64,
    end: u64,
}

#[derive(Debug)]
struct Parked {
    conn: ConnId,
    correlation: i32,
    until: Time,
    request: Box<FetchRequest>,
}

#[derive(Debug)]
pub struct Log {
    topics: BTreeMap<StrBytes, Topic>,
    parked: Vec<Parked>,
    pub fetches_answered_empty: u64,
}

/// A batch's last offset delta, from its header.
fn last_delta(batch: &[u8]) -> Option<i64> {
    let delta: [u8; 4] = batch.get(23..27)?.try_into().ok()?;
    Some(i64::from(i32::from_be_bytes(delta)))
}

impl Topic {
    fn open(name: &str, out: &mut Effects<Log>) -> Result<Topic, DiskError> {
        let file = out.disk().open(&format!("{name}.log"))?;
        let mut topic = Topic { file, batches: Vec::new(), next_offset: 0, end: 0 };
        let len = out.disk().len(file)?;
        let mut head = [0; 61];
        while out.disk().read_at(file, topic.end, &mut head)? == head.len() {
            let batch_len =
                12 + u64::from(u32::from_be_bytes([head[8], head[9], head[10], head[11]]));
            let Some(delta) = last_delta(&head) else { break };
            if topic.end + batch_len > len {
                break;
            }
            topic.note(delta, batch_len);
        }
        out.disk().truncate(file, topic.end)?;
        Ok(topic)
    }

    fn note(&mut self, last_delta: i64, len: u64) {
        let last_offset = self.next_offset + last_delta;
        self.batches.push(Batch { last_offset, position: self.end, len });
        self.next_offset = last_offset + 1;
        self.end += len;
    }

    /// Appends a batch as it came, but for its base offset: the checksum does
    /// not cover that, so the bytes are never copied or read.
    fn append(&mut self, batch: &Bytes, out: &mut Effects<Log>) -> Result<i64, DiskError> {
        let base = self.next_offset;
        let delta = last_delta(batch).unwrap_or(0);
        out.disk().append(self.file, &[&base.to_be_bytes(), &batch[8..]])?;
        self.note(delta, batch.len() as u64);
        Ok(base)
    }

    /// Whole batches from `offset` on, at most `max` bytes but at least one batch.
    fn span(&self, offset: i64, max: u64) -> (u64, u64) {
        let first = self.batches.partition_point(|batch| batch.last_offset < offset);
        let Some(start) = self.batches.get(first).map(|batch| batch.position) else {
            return (self.end, 0);
        };
        let mut len = 0;
        for batch in &self.batches[first..] {
            if len > 0 && len + batch.len > max {
                break;
            }
            len += batch.len;
        }
        (start, len)
    }
}

impl Log {
    pub fn parked(&self) -> usize {
        self.parked.len()
    }

    fn topic(&mut self, name: &StrBytes, out: &mut Effects<Self>) -> Option<&mut Topic> {
        if !self.topics.contains_key(name) {
            self.topics.insert(name.clone(), Topic::open(name, out).ok()?);
        }
        self.topics.get_mut(name)
    }

    fn produce(
        &mut self,
        now: Time,
        conn: ConnId,
        correlation: i32,
        request: &ProduceRequest,
        out: &mut Effects<Self>,
    ) {
        let mut responses = Vec::with_capacity(request.topic_data.len());
        for data in &request.topic_data {
            let mut partitions = Vec::with_capacity(data.partition_data.len());
            for partition in &data.partition_data {
                let batch = partition.records.as_ref().filter(|batch| batch.len() >= 61);
                let topic = self.topic(&data.name.0, out);
                let base =
                    topic.zip(batch).and_then(|(topic, batch)| topic.append(batch, out).ok());
                let response = PartitionProduceResponse::default().with_index(partition.index);
                partitions.push(match base {
                    Some(base) => response.with_base_offset(base),
                    None => response.with_error_code(56),
                });
            }
            let response = TopicProduceResponse::default().with_name(data.name.clone());
            responses.push(response.with_partition_responses(partitions));
        }
        let response = Box::new(ProduceResponse::default().with_responses(responses));
        out.send(conn, Down::Produced { correlation, response });
        self.wake(now, out);
    }

    /// Answers the fetches that have enough by now, or have waited long enough.
    fn wake(&mut self, now: Time, out: &mut Effects<Self>) {
        let mut at = 0;
        while at < self.parked.len() {
            if self.parked[at].until <= now || self.has_enough(&self.parked[at].request) {
                let parked = self.parked.remove(at);
                self.answer(&parked, out);
            } else {
                at += 1;
            }
        }
    }

    fn has_enough(&self, request: &FetchRequest) -> bool {
        let available: u64 = request
            .topics
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(move |partition| (topic, partition)))
            .map(|(topic, partition)| {
                let log = self.topics.get(&topic.topic.0);
                log.map_or(0, |log| log.span(partition.fetch_offset, u64::MAX).1)
            })
            .sum();
        available >= request.min_bytes.max(1) as u64
    }

    fn answer(&mut self, parked: &Parked, out: &mut Effects<Self>) {
        let mut responses = Vec::with_capacity(parked.request.topics.len());
        let mut is_empty = true;
        for topic in &parked.request.topics {
            let mut partitions = Vec::with_capacity(topic.partitions.len());
            for partition in &topic.partitions {
                let mut data = PartitionData::default().with_partition_index(partition.partition);
                if let Some(log) = self.topics.get(&topic.topic.0) {
                    let max = partition.partition_max_bytes.max(0) as u64;
                    let (start, len) = log.span(partition.fetch_offset, max);
                    let mut bytes = vec![0; len as usize];
                    let read = out.disk().read_at(log.file, start, &mut bytes);
                    bytes.truncate(read.unwrap_or(0));
                    is_empty &= bytes.is_empty();
                    data =
                        data.with_high_watermark(log.next_offset).with_records(Some(bytes.into()));
                }
                partitions.push(data);
            }
            let response = FetchableTopicResponse::default().with_topic(topic.topic.clone());
            responses.push(response.with_partitions(partitions));
        }
        self.fetches_answered_empty += u64::from(is_empty);
        let response = Box::new(FetchResponse::default().with_responses(responses));
        out.send(parked.conn, Down::Fetched { correlation: parked.correlation, response });
    }
}

impl Broker for Log {
    type Config = ();
    type Up = Up;
    type Down = Down;
    type Peer = NoPeer;

    fn boot((): &(), _: Boot, _: Time, _: &mut Effects<Self>) -> Result<Self, BootError> {
        Ok(Log { topics: BTreeMap::new(), parked: Vec::new(), fetches_answered_empty: 0 })
    }

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Effects<Self>) {
        match input {
            Input::Frame { conn, frame: Up::Produce { correlation, request } } => {
                self.produce(now, conn, correlation, &request, out);
            }
            Input::Frame { conn, frame: Up::Fetch { correlation, request } } => {
                for topic in &request.topics {
                    self.topic(&topic.topic.0, out);
                }
                let wait = Duration::from_millis(request.max_wait_ms.max(0) as u64);
                let parked = Parked { conn, correlation, until: now + wait, request };
                if wait.is_zero() || self.has_enough(&parked.request) {
                    self.answer(&parked, out);
                } else {
                    self.parked.push(parked);
                }
            }
            Input::Tick => self.wake(now, out),
            Input::Closed { conn } => self.parked.retain(|parked| parked.conn != conn),
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.parked.iter().map(|parked| parked.until).min()
    }

    fn memory_bytes(&self) -> u64 {
        let batches: usize = self.topics.values().map(|topic| topic.batches.capacity()).sum();
        (batches * size_of::<Batch>()) as u64
    }
}

#[derive(Clone, Debug)]
pub struct KafkaConfig {
    linger: Duration,
    batch_size: usize,
    fetch_max_wait: Duration,
}

/// Records that wait for their batch.
#[derive(Debug, Default)]
struct Accumulator {
    records: Vec<Record>,
    bytes: usize,
    tickets: Vec<Ticket>,
    due: Time,
}

#[derive(Debug)]
pub struct KafkaClient {
    config: KafkaConfig,
    is_connected: bool,
    correlation: i32,
    accumulators: BTreeMap<StrBytes, Accumulator>,
    produced: BTreeMap<i32, Vec<Ticket>>,
    /// The subscription, topic and next offset of each fetch under way.
    fetches: BTreeMap<i32, (Ticket, StrBytes, i64)>,
    subscriptions: Vec<(Ticket, StrBytes)>,
}

/// Encodes records as one batch.
pub fn batch(records: &[Record]) -> Bytes {
    let mut bytes = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut bytes, records, &options).expect("records of one producer");
    bytes.freeze()
}

/// A record with this place in its batch.
pub fn record(offset: i64, value: &[u8]) -> Record {
    Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 0,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: TimestampType::Creation,
        offset,
        sequence: offset as i32,
        timestamp: 0,
        key: None,
        value: Some(Bytes::copy_from_slice(value)),
        headers: Default::default(),
    }
}

/// A produce request with acks=1.
pub fn produce_request(topic: &StrBytes, batch: Bytes) -> Box<ProduceRequest> {
    let partition = PartitionProduceData::default().with_records(Some(batch));
    let topic = TopicProduceData::default()
        .with_name(TopicName(topic.clone()))
        .with_partition_data(vec![partition]);
    Box::new(ProduceRequest::default().with_acks(1).with_topic_data(vec![topic]))
}

/// A fetch that waits for one byte.
pub fn fetch_request(topic: &StrBytes, offset: i64, wait: Duration) -> Box<FetchRequest> {
    let partition =
        FetchPartition::default().with_fetch_offset(offset).with_partition_max_bytes(1 << 20);
    let topic =
        FetchTopic::default().with_topic(TopicName(topic.clone())).with_partitions(vec![partition]);
    let wait = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
    let request = FetchRequest::default().with_max_wait_ms(wait).with_min_bytes(1);
    Box::new(request.with_topics(vec![topic]))
}

impl KafkaClient {
    fn next_correlation(&mut self) -> i32 {
        self.correlation = self.correlation.wrapping_add(1);
        self.correlation
    }

    fn flush_due(&mut self, now: Time, out: &mut Actions<Self>) {
        let full = |config: &KafkaConfig, waiting: &Accumulator| {
            waiting.due <= now || waiting.bytes >= config.batch_size
        };
        let due: Vec<_> = self
            .accumulators
            .iter()
            .filter(|(_, waiting)| full(&self.config, waiting))
            .map(|(topic, _)| topic.clone())
            .collect();
        let is_connected = self.is_connected;
        for topic in due.into_iter().filter(|_| is_connected) {
            if let Some(waiting) = self.accumulators.remove(&topic) {
                let correlation = self.next_correlation();
                self.produced.insert(correlation, waiting.tickets);
                let request = produce_request(&topic, batch(&waiting.records));
                out.send(LinkId(0), Up::Produce { correlation, request });
            }
        }
    }

    fn fetch(&mut self, ticket: Ticket, topic: StrBytes, offset: i64, out: &mut Actions<Self>) {
        let correlation = self.next_correlation();
        let request = fetch_request(&topic, offset, self.config.fetch_max_wait);
        self.fetches.insert(correlation, (ticket, topic, offset));
        out.send(LinkId(0), Up::Fetch { correlation, request });
    }

    fn fetched(&mut self, correlation: i32, response: &FetchResponse, out: &mut Actions<Self>) {
        let Some((ticket, topic, mut offset)) = self.fetches.remove(&correlation) else { return };
        for data in response.responses.iter().flat_map(|topic| &topic.partitions) {
            let Some(batches) = data.records.as_ref() else { continue };
            // One buffer for all messages of the answer, with the topic in front,
            // because every envelope names its channel in its own buffer.
            let buffer: std::sync::Arc<[u8]> = [topic.as_bytes(), batches].concat().into();
            let channel = Range { start: 0, end: topic.len() as u32 };
            let none = Range { start: 0, end: 0 };
            let place = batches.as_ptr() as usize;
            let mut rest = batches.clone();
            for set in RecordBatchDecoder::decode_all(&mut rest).unwrap_or_default() {
                for record in set.records {
                    offset = record.offset + 1;
                    let value = record.value.unwrap_or_default();
                    let start = (topic.len() + (value.as_ptr() as usize - place)) as u32;
                    let payload = Range { start, end: start + value.len() as u32 };
                    let message = Envelope::new(buffer.clone(), channel, none, none, payload);
                    out.deliver(Delivery {
                        subscription: ticket,
                        token: record.offset as u64,
                        redelivered: false,
                        message,
                    });
                }
            }
        }
        self.fetch(ticket, topic, offset, out);
    }
}

impl Client for KafkaClient {
    type Broker = Log;
    type Config = KafkaConfig;

    fn new(config: &KafkaConfig, _: ClientStart) -> Self {
        KafkaClient {
            config: config.clone(),
            is_connected: false,
            correlation: 0,
            accumulators: BTreeMap::new(),
            produced: BTreeMap::new(),
            fetches: BTreeMap::new(),
            subscriptions: Vec::new(),
        }
    }

    fn connect(&mut self, _: Time, out: &mut Actions<Self>) {
        out.connect(LinkId(0), NodeId(0));
    }

    fn submit(
        &mut self,
        now: Time,
        ticket: Ticket,
        op: &Op<'_>,
        out: &mut Actions<Self>,
    ) -> Result<Support, Unsupported> {
        match op {
            Op::Publish(publish) => {
                let topic = StrBytes::from_string(publish.channel.to_owned());
                let linger = self.config.linger;
                let waiting = self.accumulators.entry(topic).or_default();
                if waiting.records.is_empty() {
                    waiting.due = now + linger;
                }
                waiting.bytes += publish.payload.len() + 8;
                waiting.records.push(record(waiting.records.len() as i64, publish.payload));
                waiting.tickets.push(ticket);
                self.flush_due(now, out);
            }
            Op::Subscribe { filter, start: Start::All, .. } => {
                let topic = StrBytes::from_string((*filter).to_owned());
                if self.is_connected {
                    self.fetch(ticket, topic.clone(), 0, out);
                }
                self.subscriptions.push((ticket, topic));
                out.outcome(ticket, Outcome::Done);
            }
            _ => {
                return Err(Unsupported { feature: Feature::Pull, reason: "a prototype" });
            }
        }
        Ok(Support::Native)
    }

    fn handle(&mut self, now: Time, event: ClientInput<Log>, out: &mut Actions<Self>) {
        match event {
            ClientInput::Connected { .. } => {
                self.is_connected = true;
                for (ticket, topic) in self.subscriptions.clone() {
                    self.fetch(ticket, topic, 0, out);
                }
                self.flush_due(now, out);
            }
            ClientInput::Frame { frame: Down::Produced { correlation, .. }, .. } => {
                for ticket in self.produced.remove(&correlation).unwrap_or_default() {
                    out.outcome(ticket, Outcome::Acked(PROOF));
                }
            }
            ClientInput::Frame { frame: Down::Fetched { correlation, response }, .. } => {
                self.fetched(correlation, &response, out);
            }
            ClientInput::Tick => self.flush_due(now, out),
            ClientInput::Closed { .. } => self.is_connected = false,
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        let due = self.accumulators.values().map(|waiting| waiting.due).min();
        due.filter(|_| self.is_connected)
    }
}

pub struct Kafka;

impl Contender for Kafka {
    type Client = KafkaClient;
    const NAME: &'static str = "kafka-prototype";

    fn profile() -> Profile {
        profile(Self::NAME, Durability::PageCache)
    }

    fn settings() -> &'static [SettingSpec] {
        &[
            SettingSpec {
                name: "linger",
                kind: SettingKind::Duration,
                default: "5ms",
                doc: "How long a record waits for others.",
            },
            SettingSpec {
                name: "batch_size",
                kind: SettingKind::Bytes,
                default: "16KiB",
                doc: "A batch of this size waits no longer.",
            },
            SettingSpec {
                name: "fetch_max_wait",
                kind: SettingKind::Duration,
                default: "500ms",
                doc: "How long a fetch is parked.",
            },
        ]
    }

    fn configure(settings: &Settings) -> Result<Configured<Self>, SettingError> {
        let client = KafkaConfig {
            linger: settings.duration("linger"),
            batch_size: settings.bytes("batch_size") as usize,
            fetch_max_wait: settings.duration("fetch_max_wait"),
        };
        Ok(Configured { node: (), client, proof: PROOF })
    }

    crate::prototype!();
}
