//! A semantics case, read and checked.

use std::time::Duration;

use broker_contract::{AckPolicy, CrashKind, Feature, Settle, Start};

/// A case: steps that prove one feature.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// What it shows, as a sentence without a full stop.
    pub name: String,
    /// The file it comes from and its line there, such as `cases/drain.toml:3`.
    pub place: String,
    /// The feature it proves.
    pub feature: Feature,
    /// Other features whose refusal takes this one with it: a contender that
    /// refuses every request has no request that fails fast.
    pub refused_with: Vec<Feature>,
    /// How a contender that lacks the feature shows it.
    pub refusal: Refusal,
    /// Settings per contender, as (contender, name, value).
    pub settings: Vec<(String, String, String)>,
    /// Clients that are opened before the first step, in order.
    pub clients: Vec<String>,
    /// The steps.
    pub(super) steps: Vec<Step>,
}

/// How a contender that lacks a feature shows it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// An operation is refused with a typed reason.
    Typed,
    /// No operation asks for it; the case must then fail.
    Absent,
}

/// One step of a case.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    /// As it stands in the file.
    pub(super) text: String,
    /// The client that acts, or that is looked at; empty where there is none.
    pub(super) by: String,
    /// The name under which later steps know the operation.
    pub(super) label: Option<String>,
    /// How long to wait for what is expected.
    pub(super) within: Duration,
    /// What to do.
    pub(super) verb: Verb,
}

/// What a step does. Channels, filters and payloads are those of [`broker_contract::Op`].
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verb {
    /// Opens a client while the case runs; one of the same name is forgotten.
    Open,
    /// Makes a stream or topic.
    Declare { name: String, filters: Vec<String>, partitions: Option<u32> },
    /// Subscribes, and waits until it is in force.
    Subscribe { filter: String, group: Option<Group>, start: Start, flow: Pace },
    /// Publishes each payload, and waits for the outcomes unless it has a label.
    Publish { channel: String, message: Message, payloads: Vec<String>, want: WantText },
    /// Publishes a request.
    Request { channel: String, message: Message, payload: String, timeout: Duration },
    /// Answers a request that was received before.
    Reply { payload: String, to: String },
    /// Ends a subscription.
    Unsubscribe { label: String, after: Option<u64> },
    /// Asks for messages of a pulled subscription.
    Fetch { label: String, max: u32 },
    /// Says what became of a delivery.
    Settle { settle: Settle, of: String },
    /// The client receives this and nothing else.
    Expect { runs: Vec<Vec<String>>, order: Order, via: Option<String>, checks: Checks },
    /// The clients receive each of this once between them, and nothing else.
    Share { payloads: Vec<String>, among: Vec<String>, everybody: bool },
    /// The operation ends in this way.
    Outcome { label: String, is: Ending, answer: Option<String> },
    /// The node has cut the client's connection.
    Cut,
    /// What these clients have received does not matter.
    Forget { clients: Vec<String> },
    /// The client says goodbye.
    Shutdown,
    /// The client's process ends.
    Kill,
    /// The client stops reading.
    Pause,
    /// The client reads again.
    Resume,
    /// The node ends.
    Crash(CrashKind),
    /// The node boots again.
    Restart,
    /// Time goes by; `None` waits for quiet.
    Wait(Option<Duration>),
}

/// A seat in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    /// The group.
    pub(super) name: String,
    /// The seat, from 0.
    pub(super) seat: u32,
    /// Seats in all.
    pub(super) seats: u32,
}

/// How a subscription is paced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pace {
    /// When messages are acknowledged.
    pub(super) ack: AckPolicy,
    /// Unacknowledged messages at once.
    pub(super) max_in_flight: Option<u32>,
    /// Whether a restarted consumer carries on.
    pub(super) durable: bool,
    /// Time without an acknowledgement after which a message comes again.
    pub(super) ack_wait: Option<Duration>,
    /// Deliveries of one message at most.
    pub(super) max_deliver: Option<u32>,
    /// Waits before a message comes again.
    pub(super) backoff: Vec<Duration>,
}

/// What a published message has besides its payload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    /// Name and value pairs.
    pub(super) headers: Vec<(String, String)>,
    /// The key.
    pub(super) key: Option<String>,
    /// Payloads are padded with dots to this many bytes.
    pub(super) size: usize,
}

/// What a publisher waits for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum WantText {
    /// What is usual.
    Usual,
    /// Nothing.
    Nothing,
    /// The acknowledgement.
    Stored,
    /// The acknowledgement of a publish with this number.
    StoredOnce(u64),
}

/// In which order messages are expected.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Exactly as written.
    Exact,
    /// Each entry's range in its own order; ranges may interleave.
    Each,
    /// Any.
    Any,
}

/// What is looked at besides payloads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Checks {
    /// The channel of each message; one channel stands for all.
    pub(super) channels: Vec<String>,
    /// Every message carries these.
    pub(super) headers: Vec<(String, String)>,
    /// Every message is marked as delivered before, or not.
    pub(super) redelivered: Option<bool>,
}

/// How an operation is expected to end.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// `Done`.
    Done,
    /// `Sent`.
    Sent,
    /// `Acked`.
    Acked,
    /// `Sent` or `Acked`.
    Accepted,
    /// `Replied`.
    Replied,
    /// `Failed`, however.
    Failed,
    /// `Failed`, because nobody answers.
    NoResponders,
    /// `Failed`, because no answer came in time.
    Timeout,
    /// `Unknown`.
    Unknown,
}

impl Ending {
    pub(super) const NAMES: &'static [(&'static str, Ending)] = &[
        ("done", Ending::Done),
        ("sent", Ending::Sent),
        ("acked", Ending::Acked),
        ("accepted", Ending::Accepted),
        ("replied", Ending::Replied),
        ("failed", Ending::Failed),
        ("failed no_responders", Ending::NoResponders),
        ("failed timeout", Ending::Timeout),
        ("unknown", Ending::Unknown),
    ];
}
