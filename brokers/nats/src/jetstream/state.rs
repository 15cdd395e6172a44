//! What a client keeps of subscriptions, consumers and deliveries.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use broker_contract::{AckPolicy, Start, Ticket, Time};

use super::calls::Calls;
use super::held::Held;
use super::names::Place;
use super::publish::Publishes;

/// Everything beyond the connection.
#[derive(Debug, Default)]
pub(super) struct Js {
    pub publishes: Publishes,
    pub calls: Calls,
    pub subs: BTreeMap<Ticket, Sub>,
    /// By the number of the subscription to its inbox.
    pub consumers: BTreeMap<u64, Consumer>,
    pub held: Held,
    pub last_token: u64,
    pub timers: BTreeSet<(Time, Timer)>,
    /// Streams by filter, as the server has named them on this connection.
    pub streams: BTreeMap<Box<str>, Vec<Box<str>>>,
    /// Pulls under way for each fetch of the application.
    pub fetches: BTreeMap<Ticket, u32>,
    pub leaving: Leaving,
}

/// How far a client is that goes.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Leaving {
    /// It stays.
    #[default]
    No,
    /// It was told to go, and waits for its connection.
    Told,
    /// Nothing more is asked for; what is on its way still comes.
    Draining,
    /// It has come; acknowledgements are awaited.
    Drained,
}

/// What a moment is for.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The answer to a call is late.
    Call(u64),
    /// A subscription looks for its streams again.
    Look(Ticket),
    /// A consumer should have been heard of.
    Watch(u64),
    /// A delivery may be one that the server gives to somebody again.
    Lapse(u64),
    /// A consumer is made again, or asked again.
    Retry(u64),
    /// A client that goes has waited for long enough.
    Leave,
}

/// What an application subscribed to.
#[derive(Debug)]
pub(super) struct Sub {
    pub ticket: Ticket,
    pub filter: Box<str>,
    pub group: Option<Box<str>>,
    /// Whose position the server keeps; `None` for an ephemeral consumer.
    pub durable: Option<Box<str>>,
    /// Whether the application asked for that.
    pub kept: bool,
    pub start: Start,
    pub ack: AckPolicy,
    pub max_in_flight: Option<u32>,
    pub ack_wait: Option<Duration>,
    pub max_deliver: Option<u32>,
    pub backoff: Box<[Duration]>,
    /// How long it looks for a stream.
    pub until: Time,
    /// Its consumers, one a stream; empty until streams are known.
    pub consumers: Vec<u64>,
    pub confirmed: bool,
    pub delivered: u64,
    pub max: Option<u64>,
    /// The operation that ends it.
    pub ending: Option<Ticket>,
}

impl Sub {
    /// Whether only [`Fetch`](broker_contract::Op::Fetch) asks for messages.
    pub fn is_fetched(&self) -> bool {
        self.max_in_flight == Some(0)
    }

    /// Whether the server pushes to an ordered consumer of this subscription.
    pub fn is_ordered(&self) -> bool {
        self.durable.is_none() && self.ack == AckPolicy::None && !self.is_fetched()
    }

    /// Whether it asks for nothing that core NATS does not have.
    pub fn is_plain(&self) -> bool {
        let unacked = self.ack == AckPolicy::None && !self.is_fetched();
        unacked && self.start == Start::New && !self.kept
    }
}

/// How far a consumer is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// To be made, once there is a connection.
    Absent,
    /// Asked for.
    Asked,
    /// There.
    Running,
}

/// A consumer of one stream.
#[derive(Debug)]
pub(super) struct Consumer {
    pub sub: Ticket,
    pub stream: Box<str>,
    pub name: String,
    pub ordered: bool,
    /// How often it was made under a name of its own.
    pub generation: u32,
    pub stage: Stage,
    /// Whether the server has had it once.
    pub made: bool,
    /// The stream's sequence behind which a consumer made anew carries on.
    pub position: Option<u64>,
    /// When the message there was stored, in nanoseconds since 1970 by the server's
    /// clock; when the consumer was made if it is to have what is new and has had
    /// nothing.
    pub stamp: Option<u64>,
    /// Whether the connection was lost since the position was known to hold: a
    /// stream that lost its end with the power has given its numbers anew since.
    pub doubtful: bool,
    /// The position turned out to be another message's: the consumer is made anew
    /// from this time on.
    pub since: Option<u64>,
    /// Up to which sequence and time everything has come before the last time that
    /// the numbers were given anew.
    pub had: Option<(u64, u64)>,
    /// The last sequence of an ordered consumer.
    pub consumer_seq: u64,
    pub pulls: Pulls,
    /// Deliveries that count against the window.
    pub unsettled: u32,
    /// When the server was last heard of.
    pub heard: Time,
    /// Whether a moment is set at which that is looked at.
    pub watched: bool,
}

impl Consumer {
    /// A message came that is the last it has had.
    pub fn is_at(&mut self, place: &Place<'_>) {
        (self.position, self.stamp) = (Some(place.stream_seq), Some(place.stored_at));
        (self.doubtful, self.since) = (false, None);
    }
}

/// Requests for messages that stand at the server.
#[derive(Debug, Default)]
pub(super) struct Pulls {
    /// Messages that they still ask for, together.
    pub asked: u32,
    pub list: VecDeque<Pull>,
    pub last: u64,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Pull {
    pub number: u64,
    pub batch: u32,
    pub fetch: Option<Ticket>,
}

impl Pulls {
    pub fn add(&mut self, batch: u32, fetch: Option<Ticket>) -> u64 {
        self.last += 1;
        self.asked = self.asked.saturating_add(batch);
        self.list.push_back(Pull { number: self.last, batch, fetch });
        self.last
    }

    /// A message came. Returns the fetches that have ended with it.
    pub fn received(&mut self) -> Vec<Ticket> {
        self.asked = self.asked.saturating_sub(1);
        if self.asked == 0 { self.clear() } else { Vec::new() }
    }

    /// The server ended a pull with so many messages left, if it said so.
    /// Returns the fetches that have ended with it.
    pub fn ended(&mut self, number: u64, left: Option<u32>) -> Vec<Ticket> {
        let Some(at) = self.list.iter().position(|pull| pull.number == number) else {
            return Vec::new();
        };
        let Some(pull) = self.list.remove(at) else { return Vec::new() };
        self.asked = self.asked.saturating_sub(left.unwrap_or(pull.batch));
        let mut fetches: Vec<Ticket> = pull.fetch.into_iter().collect();
        if self.asked == 0 || self.list.is_empty() {
            fetches.extend(self.clear());
        }
        fetches
    }

    /// None of them stands any more.
    pub fn clear(&mut self) -> Vec<Ticket> {
        self.asked = 0;
        self.list.drain(..).filter_map(|pull| pull.fetch).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pulls_are_counted_together() {
        let mut pulls = Pulls::default();
        let first = pulls.add(5, None);
        let second = pulls.add(3, Some(Ticket(9)));
        assert_eq!(pulls.received(), []);
        // The server takes from whichever it likes; what it says counts.
        assert_eq!(pulls.ended(first, Some(5)), []);
        assert_eq!(pulls.asked, 2);
        assert_eq!(pulls.ended(first, Some(5)), []);
        assert_eq!(pulls.received(), []);
        assert_eq!(pulls.received(), [Ticket(9)]);
        assert_eq!(pulls.ended(second, None), []);
        let third = pulls.add(2, Some(Ticket(10)));
        assert_eq!(pulls.ended(third, None), [Ticket(10)]);
        assert_eq!((pulls.asked, pulls.list.len()), (0, 0));
    }
}
