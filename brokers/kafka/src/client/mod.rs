//! A client of the log: a producer, consumers, and what requests need.
//!
//! Batching, retries, positions and group membership live here, because that is
//! where their latency comes from.
//!
//! - `metadata.rs` and `filter.rs`: topics, and what filters mean for them;
//! - `producer/`: records become batches, batches become requests;
//! - `consumer/`: fetches, positions, groups, and the emulation of redelivery;
//! - `requests.rs`: request and reply over a topic for answers;
//! - `admin.rs`: declarations;
//! - `conn.rs`: a connection and what is expected on it;
//! - `events.rs`: what happens on connections, and the goodbye.
//!
//! One connection serves the producer, the list of topics and declarations; each
//! subscription has one for its fetches and, where positions are committed, one
//! to its coordinator. A request that is parked therefore holds up nothing else.
//!
//! It never invents what the log lacks without saying so: emulations are named in
//! the answer to [`submit`](broker_contract::Client::submit).

mod admin;
mod config;
mod conn;
mod consumer;
mod errors;
mod events;
mod filter;
mod metadata;
mod producer;
mod requests;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use broker_contract::{
    AckPolicy, Actions, Client, ClientInput, ClientStart, Envelope, Failure, Feature, Flow,
    GroupSeat, LinkId, Op, Outcome, Publish, Start, Support, Ticket, Time, Unsupported, Want,
};

use self::admin::Admin;
pub use self::config::{Acks, Assignor, ClientConfig, Reset};
use self::conn::Conn;
use self::consumer::Consumer;
use self::consumer::chunk::{CHANNEL_HEADER, REPLY_HEADER};
pub(crate) use self::filter::Filter;
use self::metadata::Metadata;
use self::producer::{Producer, Record, Waiter};
use self::requests::{Requests, Waiting};
use crate::Kafka;

pub(crate) const FILTER_EMULATION: &str = "the topic is read whole, and the client filters";
pub(crate) const REDELIVERY_EMULATION: &str =
    "the client hands out again what is not settled, and commits no position past it";
pub(crate) const REQUEST_EMULATION: &str =
    "a topic for answers that every requester reads, and their address in a header";
pub(crate) const AFTER_EMULATION: &str = "the client counts";
pub(crate) const LAST_EMULATION: &str = "the last record of each partition";

pub(crate) const NO_ACKS: &str = "acks=0 asks for no acknowledgement";
pub(crate) const NO_DEDUPLICATION: &str = "the broker knows a batch that its producer retries, \
                                           and not a message that an application publishes twice";

/// One subscription and its connections.
#[derive(Debug)]
struct Slot {
    consumer: Consumer,
    fetch: Conn,
    coordinator: Conn,
}

/// A client of the log.
///
/// A device that publishes now and then has one, so what only consumers and
/// requesters need is apart.
#[derive(Debug)]
pub struct KafkaClient {
    config: Arc<ClientConfig>,
    start: ClientStart,
    name: Arc<str>,
    main: Conn,
    metadata: Metadata,
    producer: Option<Box<Producer>>,
    slots: Vec<Option<Box<Slot>>>,
    requests: Option<Box<Requests>>,
    admin: Admin,
    replies: Vec<Envelope>,
    is_stopping: bool,
}

const MAIN: LinkId = LinkId(0);

impl Client for KafkaClient {
    type Broker = Kafka;
    type Config = Arc<ClientConfig>;

    fn new(config: &Arc<ClientConfig>, start: ClientStart) -> Self {
        KafkaClient {
            config: Arc::clone(config),
            start,
            name: Arc::from("lab"),
            main: Conn::new(MAIN),
            metadata: Metadata::default(),
            producer: None,
            slots: Vec::new(),
            requests: None,
            admin: Admin::default(),
            replies: Vec::new(),
            is_stopping: false,
        }
    }

    fn connect(&mut self, now: Time, out: &mut Actions<Self>) {
        self.main.ask_for(now, out);
    }

    fn submit(
        &mut self,
        now: Time,
        ticket: Ticket,
        op: &Op<'_>,
        out: &mut Actions<Self>,
    ) -> Result<Support, Unsupported> {
        let support = self.supported(op)?;
        if self.is_stopping {
            out.outcome(ticket, Outcome::Failed(Failure::GaveUp("shutting down")));
            return Ok(support);
        }
        match op {
            Op::Publish(publish) => {
                let waits = self.config.acks != Acks::None && publish.want != Want::Nothing;
                let waiter = if waits { Waiter::Acked(ticket) } else { Waiter::Sent(ticket) };
                self.publish(now, publish, None, waiter, out);
                return Ok(support);
            }
            Op::Declare(declaration) => {
                if let Err(failure) = self.admin.declare(ticket, declaration) {
                    out.outcome(ticket, Outcome::Failed(failure));
                }
            }
            Op::Reply { to, payload } => self.answer(now, ticket, to, payload, out),
            Op::Request { publish, timeout } => {
                self.request(ticket, publish, now + *timeout, out);
            }
            Op::Subscribe { filter, group, start, flow } => {
                self.subscribe(ticket, filter, *group, *start, flow, out);
            }
            Op::Fetch { subscription, max } => {
                self.with_consumer(now, ticket, *subscription, out, |consumer, cx| {
                    consumer.pull(*max, cx);
                    Outcome::Done
                });
            }
            Op::Settle { subscription, token, settle } => {
                self.with_consumer(now, ticket, *subscription, out, |consumer, cx| {
                    consumer.settle(*token, *settle, cx)
                });
            }
            Op::Unsubscribe { subscription, after } => {
                self.with_consumer(now, ticket, *subscription, out, |consumer, cx| {
                    match after {
                        Some(after) => consumer.end_after(*after, cx),
                        None => {
                            consumer.leave(false);
                            consumer.advance(cx);
                        }
                    }
                    Outcome::Done
                });
            }
        }
        self.advance(now, out);
        Ok(support)
    }

    fn handle(&mut self, now: Time, event: ClientInput<Kafka>, out: &mut Actions<Self>) {
        match event {
            ClientInput::Frame { link, frame } => self.frame(now, link, frame, out),
            ClientInput::Connected { link } => self.connected(now, link, out),
            // Half a frame cannot be waited for: the connection is given up, and
            // the next one starts afresh.
            ClientInput::Malformed { link, .. } => self.give_up_on(now, link, out),
            ClientInput::Closed { link } => self.lost(now, link, out),
            ClientInput::Tick => self.tick(now, out),
            ClientInput::Shutdown => self.shut_down(),
        }
        self.advance(now, out);
    }

    fn deadline(&self) -> Option<Time> {
        let is_ready = self.main.is_ready();
        let metadata = self.metadata.deadline(self.config.metadata_max_age);
        let producer = self.producer.as_ref();
        let mut next = [
            self.main.deadline(),
            metadata.filter(|_| is_ready && !self.is_stopping),
            producer.and_then(|producer| producer.deadline(is_ready, &self.config)),
            self.requests.as_ref().and_then(|requests| requests.deadline()),
        ]
        .into_iter()
        .flatten()
        .min();
        for slot in self.slots.iter().flatten() {
            let (has_fetch, has_coordinator) = (slot.fetch.is_ready(), slot.coordinator.is_ready());
            let deadlines = [
                slot.fetch.deadline(),
                slot.coordinator.deadline(),
                slot.consumer.deadline(has_fetch, has_coordinator),
            ];
            for at in deadlines.into_iter().flatten() {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        }
        next
    }
}

impl KafkaClient {
    /// How an operation is carried out, if it is.
    fn supported(&self, op: &Op<'_>) -> Result<Support, Unsupported> {
        let no = |feature, reason| Err(Unsupported { feature, reason });
        let emulated = |how| Ok(Support::Emulated(how));
        match op {
            Op::Publish(Publish { want: Want::StoredOnce(_), .. })
            | Op::Request { publish: Publish { want: Want::StoredOnce(_), .. }, .. } => {
                no(Feature::Deduplication, NO_DEDUPLICATION)
            }
            Op::Publish(publish) | Op::Request { publish, .. }
                if publish.want == Want::Stored && self.config.acks == Acks::None =>
            {
                no(Feature::PublishAck, NO_ACKS)
            }
            Op::Publish(_) | Op::Declare(_) | Op::Fetch { .. } => Ok(Support::Native),
            Op::Request { .. } | Op::Reply { .. } => emulated(REQUEST_EMULATION),
            Op::Subscribe { filter, flow, start, .. } => {
                let is_plain = Filter::parse(filter).is_some_and(|filter| filter.is_plain());
                if flow.ack == AckPolicy::Explicit {
                    emulated(REDELIVERY_EMULATION)
                } else if *start == Start::Last {
                    emulated(LAST_EMULATION)
                } else if !is_plain {
                    emulated(FILTER_EMULATION)
                } else {
                    Ok(Support::Native)
                }
            }
            Op::Settle { .. } => emulated(REDELIVERY_EMULATION),
            Op::Unsubscribe { after: None, .. } => Ok(Support::Native),
            Op::Unsubscribe { after: Some(_), .. } => emulated(AFTER_EMULATION),
        }
    }

    /// Hands a message to the producer. The channel always travels: as the key,
    /// or in a header where the application has a key of its own.
    fn publish(
        &mut self,
        now: Time,
        publish: &Publish<'_>,
        address: Option<&[u8]>,
        waiter: Waiter,
        out: &mut Actions<Self>,
    ) {
        let channel = publish.channel.as_bytes();
        let own_key = publish.key.filter(|key| *key != channel);
        let mut headers: Vec<(&[u8], &[u8])> = Vec::new();
        let carries = |name: &str| publish.headers.iter().any(|(known, _)| *known == name);
        if own_key.is_some() || carries(CHANNEL_HEADER) {
            headers.push((CHANNEL_HEADER.as_bytes(), channel));
        }
        if let Some(address) = address {
            headers.push((REPLY_HEADER.as_bytes(), address));
        }
        let given = publish.headers.iter();
        headers.extend(given.map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        let record = Record {
            channel: publish.channel,
            key: own_key,
            headers: &headers,
            payload: publish.payload,
            waiter,
        };
        self.main.ask_for(now, out);
        let producer = self.producer.get_or_insert_with(|| Box::new(Producer::new()));
        let mut cx = producer::Cx {
            now,
            config: &self.config,
            metadata: &mut self.metadata,
            conn: &mut self.main,
            name: &self.name,
            seed: self.start.seed,
            out,
        };
        producer.publish(&record, &mut cx);
        if !producer.is_identified(&self.config) || self.metadata.is_busy() {
            self.advance_main(now, out);
        }
    }

    fn request(
        &mut self,
        ticket: Ticket,
        publish: &Publish<'_>,
        until: Time,
        out: &mut Actions<Self>,
    ) {
        if self.requests.is_none() {
            let mut requests = Requests::new(&self.start, 0);
            match self.inbox(&requests.inbox) {
                Ok(slot) => requests.slot = slot,
                Err(failure) => {
                    out.outcome(ticket, Outcome::Failed(failure));
                    return;
                }
            }
            self.requests = Some(Box::new(requests));
        }
        let Some(requests) = &mut self.requests else { return };
        let id = requests.open(ticket, until);
        let headers = publish.headers.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        requests.waiting.push(Waiting {
            id,
            channel: publish.channel.into(),
            key: publish.key.map(Into::into),
            headers: headers.collect(),
            payload: publish.payload.into(),
        });
    }

    /// A consumer for the answers to this client's requests.
    fn inbox(&mut self, channel: &str) -> Result<u16, Failure> {
        let filter = Filter::parse(channel).ok_or(Failure::GaveUp("the inbox has no channel"))?;
        let consumer = Consumer::new(
            Ticket(u64::MAX),
            filter,
            None,
            Start::New,
            &Flow::default(),
            &self.config,
            &mut self.metadata,
        )?;
        self.place(consumer.into_inbox())
    }

    fn answer(
        &mut self,
        now: Time,
        ticket: Ticket,
        to: &[u8],
        payload: &[u8],
        out: &mut Actions<Self>,
    ) {
        let Some((inbox, _)) = requests::parse(to) else {
            let why = "the reply address is none of this log";
            out.outcome(ticket, Outcome::Failed(Failure::Refused(why.into())));
            return;
        };
        let publish =
            Publish { channel: inbox, key: None, headers: &[], payload, want: Want::Usual };
        let waits = self.config.acks != Acks::None;
        let waiter = if waits { Waiter::Acked(ticket) } else { Waiter::Sent(ticket) };
        self.publish(now, &publish, Some(to), waiter, out);
    }

    fn subscribe(
        &mut self,
        ticket: Ticket,
        filter: &str,
        group: Option<GroupSeat<'_>>,
        start: Start,
        flow: &Flow<'_>,
        out: &mut Actions<Self>,
    ) {
        let consumer = Filter::parse(filter)
            .ok_or(Failure::Refused("the filter is no path of dotted tokens".into()))
            .and_then(|filter| {
                let metadata = &mut self.metadata;
                Consumer::new(ticket, filter, group, start, flow, &self.config, metadata)
            })
            .and_then(|consumer| self.place(consumer));
        if let Err(failure) = consumer {
            out.outcome(ticket, Outcome::Failed(failure));
        }
    }

    /// Gives a consumer a slot, and so its connections.
    fn place(&mut self, consumer: Consumer) -> Result<u16, Failure> {
        let free = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        let link = |which: usize| u16::try_from(1 + 2 * free + which).ok().map(LinkId);
        let (Some(fetch), Some(coordinator), Ok(slot)) = (link(0), link(1), u16::try_from(free))
        else {
            return Err(Failure::GaveUp("a client has at most 32,767 subscriptions"));
        };
        let (fetch, coordinator) = (Conn::new(fetch), Conn::new(coordinator));
        if free == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[free] = Some(Box::new(Slot { consumer, fetch, coordinator }));
        Ok(slot)
    }

    fn with_consumer(
        &mut self,
        now: Time,
        ticket: Ticket,
        subscription: Ticket,
        out: &mut Actions<Self>,
        act: impl FnOnce(&mut Consumer, &mut consumer::Cx<'_>) -> Outcome,
    ) {
        let found = self.slots.iter().position(|slot| {
            slot.as_ref().is_some_and(|slot| slot.consumer.ticket == subscription)
        });
        let outcome = match found {
            Some(slot) => self.step(now, slot as u16, out, act),
            None => None,
        };
        let outcome = outcome.unwrap_or(Outcome::Failed(Failure::NoSubscription));
        out.outcome(ticket, outcome);
    }

    /// Lets a consumer do something.
    fn step<R>(
        &mut self,
        now: Time,
        slot: u16,
        out: &mut Actions<Self>,
        act: impl FnOnce(&mut Consumer, &mut consumer::Cx<'_>) -> R,
    ) -> Option<R> {
        let Slot { consumer, fetch, coordinator } =
            self.slots.get_mut(usize::from(slot))?.as_deref_mut()?;
        let mut cx = consumer::Cx {
            now,
            slot,
            config: &self.config,
            metadata: &mut self.metadata,
            fetch,
            coordinator,
            name: &self.name,
            out,
            replies: &mut self.replies,
        };
        Some(act(consumer, &mut cx))
    }
}
