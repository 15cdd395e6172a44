//! What a contender claims, so that every claim can be tested.

use std::fmt;

use crate::Proof;

macro_rules! features {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $title:literal;)*) => {
        /// Something a workload may need of a broker.
        ///
        /// Each has semantics cases in the testkit: they pass where it is
        /// claimed, and it is refused where it is not.
        #[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Feature { $($(#[$doc])* $variant,)* }

        impl Feature {
            /// All of them, in the order in which reports list them.
            pub const ALL: &'static [Feature] = &[$(Feature::$variant,)*];

            /// The name in cases and records, such as `queue_groups`.
            pub const fn name(self) -> &'static str {
                match self { $(Feature::$variant => $name,)* }
            }

            /// The name for people, at most 28 characters.
            pub const fn title(self) -> &'static str {
                match self { $(Feature::$variant => $title,)* }
            }
        }
    };
}

features! {
    /// Publish to a channel, and every subscriber of it receives the message.
    Publish = "publish", "publish and subscribe";
    /// A `*` in a filter stands for exactly one token.
    TokenWildcard = "token_wildcard", "wildcard for one token (*)";
    /// A last `>` in a filter stands for one or more tokens.
    TailWildcard = "tail_wildcard", "wildcard for the rest (>)";
    /// Members of a group share the messages, one each.
    Groups = "groups", "groups share the work";
    /// A request finds a responder and the answer finds the requester.
    RequestReply = "request_reply", "request and reply";
    /// A request that nobody serves fails at once.
    NoResponders = "no_responders", "fails fast without responder";
    /// Name and value pairs travel with the message.
    Headers = "headers", "message headers";
    /// A subscription ends by itself after a number of deliveries.
    UnsubscribeAfter = "unsubscribe_after", "unsubscribe after N";
    /// Messages of one publisher on one channel arrive in the order sent.
    PublisherOrder = "publisher_order", "order per publisher, channel";
    /// The publisher learns that the broker has stored the message.
    PublishAck = "publish_ack", "publish acknowledgement";
    /// Messages outlive the moment: a later subscriber can read from the start.
    Replay = "replay", "replay from the start";
    /// A consumer acknowledges each message, and gets it again if it does not.
    Redelivery = "redelivery", "redelivery without ack";
    /// A restarted consumer carries on where it stopped.
    DurableConsumer = "durable_consumer", "durable consumer position";
    /// A retried publish is stored once.
    Deduplication = "deduplication", "duplicate publishes refused";
    /// A consumer asks for messages when it wants them.
    Pull = "pull", "pull (fetch) consumption";
    /// A consumer that reads too slowly is cut off rather than waited for.
    SlowConsumerCut = "slow_consumer_cut", "slow consumer disconnected";
    /// A client says goodbye and loses nothing that was on its way to it.
    Drain = "drain", "graceful drain";
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a contender says of a feature.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Claim {
    /// Its protocol has it.
    Native,
    /// Its client makes up for it, in this way.
    Emulated(&'static str),
    /// It does not have it, for this reason.
    Unsupported(&'static str),
}

impl Claim {
    /// Whether a workload can use it.
    pub const fn is_available(self) -> bool {
        !matches!(self, Claim::Unsupported(_))
    }
}

/// What a contender promises, in words that a report prints beside what was seen.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Promises {
    /// How often a message arrives.
    pub delivery: &'static str,
    /// What stays in order.
    pub order: &'static str,
    /// What happens to messages for a subscriber that is away.
    pub subscriber_away: &'static str,
    /// What happens to a subscriber that reads too slowly.
    pub slow_subscriber: &'static str,
    /// What a crash of the broker takes with it.
    pub crash: &'static str,
    /// Whether a message may be lost on its way without breaking the promise.
    pub at_most_once: bool,
}

/// Everything a contender claims.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its name on the command line.
    pub name: &'static str,
    /// Its name for people.
    pub title: &'static str,
    /// What it is, in one sentence.
    pub summary: &'static str,
    /// A claim for each of [`Feature::ALL`].
    pub claims: Vec<(Feature, Claim)>,
    /// What it promises.
    pub promises: Promises,
    /// What an acknowledgement proves with default settings.
    pub proof: Proof,
}

impl Profile {
    /// What it says of `feature`.
    pub fn claim(&self, feature: Feature) -> Claim {
        self.claims
            .iter()
            .find(|(claimed, _)| *claimed == feature)
            .map_or(Claim::Unsupported("not claimed"), |(_, claim)| *claim)
    }
}
