//! The producer: records become batches, batches become requests.
//!
//! - `partitioner.rs`: which partition takes a record;
//! - `accumulator.rs`: the queue of one partition;
//! - `answers.rs`: what becomes of batches that were sent.
//!
//! A record waits for its topic to be known, then for its batch to be full or to
//! have lingered, then for one of the requests under way to end. It ends exactly
//! once. Where the original blocks the caller because its memory is full, a
//! publish fails here, since an open loop cannot be made to wait.

mod accumulator;
mod answers;
pub(crate) mod partitioner;

use std::collections::VecDeque;
use std::sync::Arc;

use broker_contract::{Actions, Cause, Failure, Identity, Note, Outcome, SeedStream, Time};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{InitProducerIdRequest, ProduceRequest};

pub(super) use self::accumulator::{Batch, Entry, ProducerId, Queue, Waiter};
use self::partitioner::{Sticky, partition_of};
use super::conn::{Conn, Pending};
use super::filter::first_token;
use super::metadata::{Metadata, TopicId};
use super::{ClientConfig, KafkaClient};

/// A batch under way and the queue it belongs to.
#[derive(Debug)]
pub(super) struct Sending {
    queue: u32,
    batch: Batch,
}

/// A name and a value.
type Header = (Box<[u8]>, Box<[u8]>);

/// A record whose topic is not known yet.
#[derive(Debug)]
struct Held {
    channel: Box<str>,
    key: Option<Box<[u8]>>,
    headers: Vec<Header>,
    payload: Box<[u8]>,
    waiter: Waiter,
    since: Time,
    size: usize,
}

/// One partition as the producer knows it.
#[derive(Debug)]
struct Partition {
    topic: TopicId,
    index: i32,
    queue: Queue,
    is_active: bool,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Identification {
    None,
    Asked,
    Given(ProducerId),
}

/// A record as the application gives it.
#[derive(Copy, Clone, Debug)]
pub(super) struct Record<'a> {
    pub channel: &'a str,
    /// What decides the partition; the channel where there is none.
    pub key: Option<&'a [u8]>,
    /// Headers, the client's own first.
    pub headers: &'a [(&'a [u8], &'a [u8])],
    pub payload: &'a [u8],
    pub waiter: Waiter,
}

/// The producer of a client.
#[derive(Debug)]
pub(super) struct Producer {
    partitions: Vec<Partition>,
    /// By topic, the partition of each index.
    by_topic: Vec<Vec<u32>>,
    sticky: Vec<Sticky>,
    /// Partitions in which something waits, in the order in which it began to.
    active: VecDeque<u32>,
    held: VecDeque<Held>,
    seen_metadata: u64,
    /// Bytes that wait or are under way.
    bytes: usize,
    in_flight: usize,
    identification: Identification,
    identify_at: Option<Time>,
    next_due: Option<Time>,
    /// Failures to hand on, of requests that were never sent.
    pub failed_requests: Vec<(u64, Failure)>,
    /// Whether linger is over for good: the client is saying goodbye.
    pub is_flushing: bool,
}

/// What the producer works with.
pub(super) struct Cx<'a> {
    pub now: Time,
    pub config: &'a ClientConfig,
    pub metadata: &'a mut Metadata,
    pub conn: &'a mut Conn,
    pub name: &'a Arc<str>,
    pub seed: SeedStream,
    pub out: &'a mut Actions<KafkaClient>,
}

impl Producer {
    pub fn new() -> Producer {
        Producer {
            partitions: Vec::new(),
            by_topic: Vec::new(),
            sticky: Vec::new(),
            active: VecDeque::new(),
            held: VecDeque::new(),
            seen_metadata: 0,
            bytes: 0,
            in_flight: 0,
            identification: Identification::None,
            identify_at: None,
            next_due: None,
            failed_requests: Vec::new(),
            is_flushing: false,
        }
    }

    /// Whether nothing waits and nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.active.is_empty() && self.held.is_empty() && self.in_flight == 0
    }

    /// Whether it may send: it knows who it is, or need not.
    pub fn is_identified(&self, config: &ClientConfig) -> bool {
        !config.is_idempotent() || matches!(self.identification, Identification::Given(_))
    }

    /// Takes a record. It goes out at once if that filled a batch or nothing
    /// lingers.
    pub fn publish(&mut self, record: &Record<'_>, cx: &mut Cx<'_>) {
        let entry = entry_of(record, cx.now, cx.config);
        let size = entry.size();
        if size > cx.config.max_request_size {
            let failure = Failure::Refused("the record is larger than max_request_size".into());
            self.end(record.waiter, record.payload, Outcome::Failed(failure), cx.out);
        } else if self.bytes + size > cx.config.buffer_memory {
            let failure = Failure::GaveUp("buffer_memory is full");
            self.end(record.waiter, record.payload, Outcome::Failed(failure), cx.out);
        } else if let Some(topic) =
            cx.metadata.locate(record.channel).filter(|_| self.held.is_empty())
        {
            if self.append(topic, record.key, &entry, cx) {
                self.drain(cx);
            }
        } else {
            let headers =
                record.headers.iter().map(|(name, value)| ((*name).into(), (*value).into()));
            self.bytes += size;
            self.held.push_back(Held {
                channel: record.channel.into(),
                key: record.key.map(Into::into),
                headers: headers.collect(),
                payload: record.payload.into(),
                waiter: record.waiter,
                since: cx.now,
                size,
            });
            if cx.metadata.refreshes == 0 {
                cx.metadata.want();
            } else if cx.metadata.locate(record.channel).is_none() {
                cx.metadata.want_topic(first_token(record.channel));
            }
        }
    }

    /// Adds a record to its partition; whether something may go out now.
    fn append(
        &mut self,
        topic: TopicId,
        key: Option<&[u8]>,
        entry: &Entry<'_>,
        cx: &Cx<'_>,
    ) -> bool {
        let count = cx.metadata.topic(topic).epochs.len() as i32;
        let index = if cx.config.partitioner_ignore_keys {
            let at = topic as usize;
            if self.sticky.len() <= at {
                self.sticky.resize_with(at + 1, Sticky::default);
            }
            let seed = cx.seed.nth(u64::from(topic));
            self.sticky[at].partition(entry.size(), count, cx.config.batch_size, seed)
        } else {
            partition_of(key.unwrap_or(entry.key), count)
        };
        let queue = self.queue_of(topic, index);
        let partition = &mut self.partitions[queue as usize];
        let (filled, size) = partition.queue.push(cx.now, entry, cx.config.batch_size);
        self.bytes += size;
        if !std::mem::replace(&mut partition.is_active, true) {
            self.active.push_back(queue);
            let due = cx.now + cx.config.linger;
            self.next_due = Some(self.next_due.map_or(due, |next| next.min(due)));
        }
        filled || cx.config.linger.is_zero()
    }

    fn queue_of(&mut self, topic: TopicId, index: i32) -> u32 {
        let at = topic as usize;
        if self.by_topic.len() <= at {
            self.by_topic.resize_with(at + 1, Vec::new);
        }
        while self.by_topic[at].len() <= index as usize {
            let index = self.by_topic[at].len() as i32;
            self.by_topic[at].push(self.partitions.len() as u32);
            let queue = Queue::default();
            self.partitions.push(Partition { topic, index, queue, is_active: false });
        }
        self.by_topic[at][index as usize]
    }

    /// Does what can be done now: held records, the identity, batches that are
    /// due, what is too old.
    pub fn advance(&mut self, cx: &mut Cx<'_>) {
        self.look_at_held(cx);
        self.identify(cx);
        self.expire(cx);
        self.drain(cx);
    }

    /// Records whose topic has become known go to their partitions.
    fn look_at_held(&mut self, cx: &mut Cx<'_>) {
        if self.held.is_empty() {
            return;
        }
        if self.seen_metadata != cx.metadata.version {
            self.seen_metadata = cx.metadata.version;
            for held in std::mem::take(&mut self.held) {
                self.look_at(held, cx);
            }
        }
        let oldest = cx.now - cx.config.max_block;
        while cx.now >= Time::ZERO + cx.config.max_block
            && self.held.front().is_some_and(|held| held.since <= oldest)
            && let Some(held) = self.held.pop_front()
        {
            self.bytes -= held.size;
            let failure = Failure::GaveUp("the topic was not known within max_block");
            self.end(held.waiter, &held.payload, Outcome::Failed(failure), cx.out);
        }
    }

    fn look_at(&mut self, held: Held, cx: &mut Cx<'_>) {
        let first = first_token(&held.channel);
        if cx.metadata.refreshes == 0 {
            cx.metadata.want();
        } else if let Some(topic) = cx.metadata.locate(&held.channel) {
            let headers: Vec<_> =
                held.headers.iter().map(|(name, value)| (&**name, &**value)).collect();
            let record = Record {
                channel: &held.channel,
                key: held.key.as_deref(),
                headers: &headers,
                payload: &held.payload,
                waiter: held.waiter,
            };
            self.bytes -= held.size;
            self.append(topic, record.key, &entry_of(&record, cx.now, cx.config), cx);
            return;
        } else if let Some(why) = cx.metadata.refusal(first) {
            let failure = Failure::Refused(format!("topic `{first}`: {why}").into());
            self.bytes -= held.size;
            self.end(held.waiter, &held.payload, Outcome::Failed(failure), cx.out);
            return;
        } else {
            cx.metadata.want_topic(first);
        }
        self.held.push_back(held);
    }

    fn identify(&mut self, cx: &mut Cx<'_>) {
        let wants = cx.config.is_idempotent()
            && self.identification == Identification::None
            && !self.active.is_empty()
            && cx.conn.is_ready()
            && self.identify_at.is_none_or(|at| at <= cx.now);
        if !wants {
            return;
        }
        self.identify_at = None;
        self.identification = Identification::Asked;
        let request = InitProducerIdRequest::default()
            .with_transactional_id(None)
            .with_transaction_timeout_ms(i32::MAX)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
        let until = cx.now + cx.config.request_timeout;
        cx.conn.send(request.into(), Some(Pending::ProducerId), until, cx.name, cx.out);
    }

    /// Sends what is due, one batch of each partition to a request, as long as
    /// requests may be under way.
    fn drain(&mut self, cx: &mut Cx<'_>) {
        let producer = match (cx.config.is_idempotent(), self.identification) {
            (true, Identification::Given(producer)) => Some(producer),
            (true, _) => None,
            (false, _) => None,
        };
        let may_send = cx.conn.is_ready() && (producer.is_some() || !cx.config.is_idempotent());
        while may_send && self.in_flight < cx.config.max_in_flight_requests {
            let sending = self.gather(producer, cx);
            if sending.is_empty() {
                break;
            }
            self.send(sending, cx);
        }
        self.next_due = self.next(cx.config);
    }

    /// One batch of each partition that is due, and their bytes.
    fn gather(
        &mut self,
        producer: Option<ProducerId>,
        cx: &mut Cx<'_>,
    ) -> Vec<(Sending, bytes::Bytes)> {
        let mut sending = Vec::new();
        let mut room = cx.config.max_request_size;
        for _ in 0..self.active.len() {
            let Some(id) = self.active.pop_front() else { break };
            let partition = &mut self.partitions[id as usize];
            let due = partition.queue.due(cx.config.linger);
            let is_due = due.is_some_and(|due| due <= cx.now || self.is_flushing);
            if is_due && room > 0 {
                match partition.queue.take(cx.config.compression, producer) {
                    Some(Ok((batch, bytes))) => {
                        room = room.saturating_sub(bytes.len());
                        sending.push((Sending { queue: id, batch }, bytes));
                    }
                    Some(Err((batch, error))) => {
                        let failure = Failure::Refused(error.to_string().into());
                        self.end_batch(batch, &Outcome::Failed(failure), cx.out);
                    }
                    None => {}
                }
            }
            let partition = &mut self.partitions[id as usize];
            partition.is_active = !partition.queue.is_empty();
            if partition.is_active {
                self.active.push_back(id);
            }
        }
        sending
    }

    fn send(&mut self, sending: Vec<(Sending, bytes::Bytes)>, cx: &mut Cx<'_>) {
        let mut topics: Vec<(TopicId, Vec<PartitionProduceData>)> = Vec::new();
        let mut under_way = Vec::with_capacity(sending.len());
        for (mut sent, bytes) in sending {
            let partition = &self.partitions[sent.queue as usize];
            let data = PartitionProduceData::default()
                .with_index(partition.index)
                .with_records(Some(bytes));
            match topics.iter_mut().find(|(topic, _)| *topic == partition.topic) {
                Some((_, partitions)) => partitions.push(data),
                None => topics.push((partition.topic, vec![data])),
            }
            for waiter in &mut sent.batch.waiters {
                if let Waiter::Sent(ticket) = *waiter {
                    cx.out.outcome(ticket, Outcome::Sent);
                    *waiter = Waiter::Nobody;
                }
            }
            under_way.push(sent);
        }
        let topics = topics.into_iter().map(|(topic, partitions)| {
            TopicProduceData::default()
                .with_name(cx.metadata.topic(topic).name.clone())
                .with_partition_data(partitions)
        });
        let acks = cx.config.acks.wire();
        let timeout_ms = i32::try_from(cx.config.request_timeout.as_millis()).unwrap_or(i32::MAX);
        let request = ProduceRequest::default()
            .with_acks(acks)
            .with_timeout_ms(timeout_ms)
            .with_topic_data(topics.collect());
        let until = cx.now + cx.config.request_timeout;
        if acks == 0 {
            // No answer comes, so this is their end.
            cx.conn.send(request.into(), None, until, cx.name, cx.out);
            for sent in under_way {
                self.partitions[sent.queue as usize].queue.ended();
                self.bytes = self.bytes.saturating_sub(sent.batch.size);
            }
            return;
        }
        self.in_flight += 1;
        let pending = Pending::Produce(under_way);
        cx.conn.send(request.into(), Some(pending), until, cx.name, cx.out);
    }

    /// Ends every record of a batch.
    fn end_batch(&mut self, mut batch: Batch, outcome: &Outcome, out: &mut Actions<KafkaClient>) {
        self.bytes = self.bytes.saturating_sub(batch.size);
        if let Outcome::Acked(_) = outcome {
            for waiter in &batch.waiters {
                if let Waiter::Acked(ticket) = waiter {
                    out.outcome(*ticket, outcome.clone());
                }
            }
            return;
        }
        let mut ends = Vec::with_capacity(batch.waiters.len());
        batch.each(&mut |waiter, payload| ends.push((waiter, Identity::read(payload))));
        for (waiter, message) in ends {
            self.end_as(waiter, message, outcome.clone(), out);
        }
    }

    fn end(
        &mut self,
        waiter: Waiter,
        payload: &[u8],
        outcome: Outcome,
        out: &mut Actions<KafkaClient>,
    ) {
        self.end_as(waiter, Identity::read(payload), outcome, out);
    }

    fn end_as(
        &mut self,
        waiter: Waiter,
        message: Option<Identity>,
        outcome: Outcome,
        out: &mut Actions<KafkaClient>,
    ) {
        match (waiter, outcome) {
            (Waiter::Acked(ticket) | Waiter::Sent(ticket), outcome) => {
                out.outcome(ticket, outcome);
            }
            // Its operation ended when it was sent, so only a note can say it.
            (Waiter::Nobody, Outcome::Failed(failure)) => {
                let cause = match failure {
                    Failure::Refused(_) => Cause::Refused,
                    _ => Cause::ClientGaveUp,
                };
                out.note(Note::Dropped { cause, conn: None, message: message.map(Box::new) });
            }
            (Waiter::Nobody, _) => {}
            (Waiter::Request(id), Outcome::Failed(failure)) => {
                self.failed_requests.push((id, failure));
            }
            // It may have arrived, and then its answer comes.
            (Waiter::Request(_), _) => {}
        }
    }

    /// What was not delivered within its time is given up.
    fn expire(&mut self, cx: &mut Cx<'_>) {
        if cx.now < Time::ZERO + cx.config.delivery_timeout {
            return;
        }
        let oldest = cx.now - cx.config.delivery_timeout;
        let active: Vec<u32> = self.active.iter().copied().collect();
        for id in active {
            for batch in self.partitions[id as usize].queue.expire(oldest) {
                self.give_up(batch, "delivery_timeout", cx.out);
            }
        }
        self.active.retain(|id| {
            let partition = &mut self.partitions[*id as usize];
            partition.is_active = !partition.queue.is_empty();
            partition.is_active
        });
    }

    fn give_up(&mut self, batch: Batch, why: &'static str, out: &mut Actions<KafkaClient>) {
        let outcome = if batch.was_sent() {
            Outcome::Unknown(Failure::GaveUp(why))
        } else {
            Outcome::Failed(Failure::GaveUp(why))
        };
        self.end_batch(batch, &outcome, out);
    }

    /// When something is due next, apart from answers.
    fn next(&self, config: &ClientConfig) -> Option<Time> {
        let partitions = self.active.iter().map(|id| &self.partitions[*id as usize].queue);
        let mut next: Option<Time> = None;
        let can_send = self.in_flight < config.max_in_flight_requests;
        for queue in partitions {
            let due = queue.due(config.linger).filter(|_| can_send);
            let old = queue.oldest().map(|oldest| oldest + config.delivery_timeout);
            for at in [due, old].into_iter().flatten() {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        }
        next
    }

    /// When it needs a tick. While the connection is not there, nothing is due
    /// but what expires.
    pub fn deadline(&self, is_ready: bool, config: &ClientConfig) -> Option<Time> {
        let held = self.held.front().map(|held| held.since + config.max_block);
        let due = if is_ready && self.is_identified(config) {
            self.next_due
        } else {
            let oldest =
                self.active.iter().filter_map(|id| self.partitions[*id as usize].queue.oldest());
            oldest.min().map(|oldest| oldest + config.delivery_timeout)
        };
        let identify = self.identify_at.filter(|_| is_ready && !self.active.is_empty());
        [held, due, identify].into_iter().flatten().min()
    }
}

fn entry_of<'a>(record: &Record<'a>, now: Time, config: &ClientConfig) -> Entry<'a> {
    Entry {
        timestamp_ms: config.unix_ms(now),
        key: record.key.unwrap_or(record.channel.as_bytes()),
        headers: record.headers,
        payload: record.payload,
        waiter: record.waiter,
    }
}
