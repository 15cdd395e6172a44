//! What a core tells its driver that no peer ever sees.

use crate::{ConnId, Identity};

/// Why a message did not reach somebody. Every loss has one.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// Nobody had subscribed when the broker routed it.
    NoSubscriber,
    /// The subscriber it was meant for was not subscribed at that moment.
    SubscriberAway,
    /// The broker closed a consumer that read too slowly, with this pending.
    SlowConsumer,
    /// The connection ended with this in flight.
    ConnectionDropped,
    /// The broker process ended with this in memory.
    BrokerCrash,
    /// The disk lost what had not been synced.
    PowerLoss,
    /// The client gave up on it: its own buffer was full or its retries ended.
    ClientGaveUp,
    /// A consumer stopped while it was working on this, and nothing redelivers.
    ConsumerStopped,
    /// A limit of the stream or log removed it.
    Retention,
    /// Delivered as often as the consumer allows, and never acknowledged.
    MaxDeliver,
    /// The broker refused it.
    Refused,
}

impl Cause {
    /// The name in records and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Cause::NoSubscriber => "no_subscriber",
            Cause::SubscriberAway => "subscriber_away",
            Cause::SlowConsumer => "slow_consumer",
            Cause::ConnectionDropped => "connection_dropped",
            Cause::BrokerCrash => "broker_crash",
            Cause::PowerLoss => "power_loss",
            Cause::ClientGaveUp => "client_gave_up",
            Cause::ConsumerStopped => "consumer_stopped",
            Cause::Retention => "retention",
            Cause::MaxDeliver => "max_deliver",
            Cause::Refused => "refused",
        }
    }
}

/// A place on a message's way, for its anatomy.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// The client put it on the link.
    Sent,
    /// The node took it in.
    Arrived,
    /// The node let it go towards a consumer.
    Released,
    /// The consumer's client received it.
    Received,
}

/// Something worth telling that is not a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// A message, or one copy of it, goes no further.
    Dropped {
        /// Why.
        cause: Cause,
        /// Whose copy, when it was one consumer's; `None` when it was everybody's.
        conn: Option<ConnId>,
        /// Which message; `None` when its payload carries no identity. Boxed,
        /// because a note is an effect, and every send is as large as the largest.
        message: Option<Box<Identity>>,
    },
    /// A message inside a batch passed a point. Nodes and clients that split or
    /// join messages say so for those whose number is a multiple of the
    /// sampling step; for all others the driver sees the frame itself.
    Passed {
        /// Where.
        point: Point,
        /// The message's place in the plan.
        number: u32,
    },
    /// Bytes were received only to be thrown away (a filter that the protocol
    /// could not express, a share of somebody else).
    Wasted {
        /// Messages thrown away.
        messages: u32,
        /// Their payload bytes.
        bytes: u64,
    },
    /// Whether a connection has proved who it is, where it has to: until then what
    /// it sends may be limited ([`Decoder::trust`](crate::Decoder::trust)). A node
    /// that asks for no proof never says this.
    Trust {
        /// The connection.
        conn: ConnId,
        /// Whether it has.
        is_proven: bool,
    },
    /// Something rare happened that a good search should reach sometimes.
    Sometimes(&'static str),
}
