//! What applications intend: the union of what brokers offer, not the intersection.

use std::time::Duration;

use crate::Time;

/// Names one operation of one client; the driver chooses it.
///
/// Outcomes carry the ticket of their operation, and deliveries the ticket of
/// their subscription.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// What a publisher waits for.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Want {
    /// Whatever this contender's publish normally gives.
    #[default]
    Usual,
    /// Nothing: the operation ends when the message is on its way.
    Nothing,
    /// The broker's acknowledgement; refused as
    /// [`PublishAck`](crate::Feature::PublishAck) where there is none.
    Stored,
    /// The broker's acknowledgement, and that it stores the message once however
    /// often it is published with this number; refused as
    /// [`Deduplication`](crate::Feature::Deduplication) where it cannot tell.
    StoredOnce(u64),
}

/// A message to publish.
#[derive(Copy, Clone, Debug)]
pub struct Publish<'a> {
    /// A dotted path of non-empty tokens, such as `telemetry.eu.17.reading`.
    pub channel: &'a str,
    /// What must stay in order, and goes to one partition where there are any;
    /// without one the channel is the key.
    pub key: Option<&'a [u8]>,
    /// Name and value pairs; refused where the protocol has no headers.
    pub headers: &'a [(&'a str, &'a str)],
    /// The bytes.
    pub payload: &'a [u8],
    /// What to wait for.
    pub want: Want,
}

/// A seat in a group of consumers that share the work.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct GroupSeat<'a> {
    /// The group.
    pub name: &'a str,
    /// This member, from 0; contenders with real groups ignore it.
    pub seat: u32,
    /// Members in all; contenders with real groups ignore it.
    pub seats: u32,
}

/// Where a subscription begins.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// With what is published from now on.
    #[default]
    New,
    /// With the oldest message that is kept.
    All,
    /// With the newest message that is kept.
    Last,
    /// With this sequence or offset.
    Sequence(u64),
    /// With the first message stored at or after this time.
    Time(Time),
}

/// When a consumer tells the broker that it is done with a message.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum AckPolicy {
    /// Never.
    #[default]
    None,
    /// Each message by itself.
    Explicit,
    /// One message stands for all before it.
    All,
}

/// How a subscription is paced, and what happens to what its consumer does not
/// acknowledge.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Flow<'a> {
    /// When messages are acknowledged.
    pub ack: AckPolicy,
    /// Unacknowledged messages allowed at once; `None` for the contender's default.
    pub max_in_flight: Option<u32>,
    /// Whether a restarted consumer carries on where the last one stopped.
    pub durable: bool,
    /// What a durable consumer is called where it has no group: the same each
    /// time the same member starts, and no other member's. A group goes by its
    /// own name.
    pub name: Option<&'a str>,
    /// Time without an acknowledgement after which a message comes again;
    /// `None` for the contender's default.
    pub ack_wait: Option<Duration>,
    /// Deliveries of one message at most, the first included; `None` for no limit.
    /// What reaches it goes no further, with [`crate::Cause::MaxDeliver`].
    pub max_deliver: Option<u32>,
    /// Waits before the second, third, ... delivery of a message that was not
    /// acknowledged or was refused without a delay of its own; the last one
    /// stands for all that follow. Empty: `ack_wait` each time.
    pub backoff: &'a [Duration],
}

/// What a consumer says of a message.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Settle {
    /// Done.
    Ack,
    /// Not done: deliver it again, after this long.
    Nak {
        /// Time to wait first.
        delay: Option<Duration>,
    },
    /// Never deliver it again.
    Term,
    /// Still working: start its timer again.
    Working,
}

/// A stream or topic that must exist before the run.
#[derive(Copy, Clone, Debug)]
pub struct Declaration<'a> {
    /// Its name.
    pub name: &'a str,
    /// The channels it takes, as filters.
    pub filters: &'a [&'a str],
    /// Partitions, where there are any; `None` for the contender's default.
    pub partitions: Option<u32>,
}

/// An operation of an application on its client.
#[derive(Copy, Clone, Debug)]
pub enum Op<'a> {
    /// Make a stream or topic.
    Declare(Declaration<'a>),
    /// Publish a message.
    Publish(Publish<'a>),
    /// Publish a message and wait for one answer.
    Request {
        /// The question.
        publish: Publish<'a>,
        /// How long to wait.
        timeout: Duration,
    },
    /// Answer a request; `to` is [`crate::Envelope::reply`] of the question.
    Reply {
        /// Where the answer goes.
        to: &'a [u8],
        /// The answer.
        payload: &'a [u8],
    },
    /// Receive what matches. The ticket names the subscription from then on.
    Subscribe {
        /// A dotted path in which `*` stands for one token and a last `>` for
        /// one or more.
        filter: &'a str,
        /// The group to share with, if any.
        group: Option<GroupSeat<'a>>,
        /// Where to begin.
        start: Start,
        /// How it is paced.
        flow: Flow<'a>,
    },
    /// Ask for up to `max` messages of a subscription that is pulled.
    Fetch {
        /// The subscription.
        subscription: Ticket,
        /// Messages at most.
        max: u32,
    },
    /// Say what became of a delivery; `token` is [`crate::Delivery::token`].
    Settle {
        /// The subscription.
        subscription: Ticket,
        /// Which delivery.
        token: u64,
        /// What became of it.
        settle: Settle,
    },
    /// Stop receiving: at once, or after `after` deliveries in all.
    Unsubscribe {
        /// The subscription.
        subscription: Ticket,
        /// Deliveries since the subscription began.
        after: Option<u64>,
    },
}
