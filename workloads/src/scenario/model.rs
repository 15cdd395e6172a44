//! A scenario, resolved: every default filled in, every name looked up, every
//! fraction turned into a time.
//!
//! Times are nanoseconds since the run's zero (the end of set-up); rates are per
//! second; sizes are bytes of payload, the 32-byte identity included.

use std::collections::BTreeMap;
use std::time::Duration;

use broker_contract::{AckPolicy, CrashKind, Start};

/// A checked scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// The file's stem, such as `iot-50k`.
    pub name: String,
    /// One line.
    pub title: String,
    /// What the scenario asks, as a question.
    pub question: String,
    /// What a student takes home.
    pub lesson: String,
    /// The seed when the command line gives none; at most 2^53.
    pub seed: u64,
    /// In time order, without overlap; gaps are pauses.
    pub phases: Vec<Phase>,
    /// Named links; populations refer to them by index.
    pub links: Vec<Link>,
    /// In the order of the file; everything refers to them by index.
    pub populations: Vec<Population>,
    /// Logs that are written out; see [`Scenario::declarations`] for all.
    pub logs: Vec<Log>,
    /// In time order.
    pub faults: Vec<Fault>,
    /// Per-contender settings, by contender name.
    pub contenders: BTreeMap<String, ContenderOverrides>,
    /// What must hold for a contender to fit.
    pub objectives: Vec<Objective>,
    /// Dotted paths with values that differ from their documented defaults,
    /// such as `populations.devices.count = 1000`.
    pub non_defaults: Vec<String>,
    /// Hexadecimal hash over the resolved scenario; equal scenarios, equal hash.
    pub hash: String,
}

/// A stretch of the run.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// What it is for.
    pub kind: PhaseKind,
    /// Its beginning.
    pub start_ns: u64,
    /// Its end.
    pub end_ns: u64,
    /// Factor on every arrival rate at its beginning; 1 is the populations' own rate.
    pub rate_from: f64,
    /// The factor at its end; rates change linearly in between.
    pub rate_to: f64,
}

/// What a phase is for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum PhaseKind {
    /// Not measured: caches and connections warm up.
    WarmUp,
    /// Measured.
    Steady,
    /// Rates change linearly; not measured.
    Ramp,
    /// A higher rate; measured as part of the run, not of the steady window.
    Burst,
    /// Nothing is sent.
    Pause,
    /// Nothing is sent, and consumers finish; ends early when nothing is outstanding.
    Drain,
}

/// A network path between a population and the broker.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Its name in the scenario.
    pub name: String,
    /// There and back.
    pub round_trip: Duration,
    /// One-way delay varies by up to this much, uniformly, without reordering.
    pub jitter: Duration,
    /// Bits per second and direction of each connection; `None` for no limit.
    pub bandwidth_bps: Option<u64>,
}

/// Actors of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Population {
    /// Its name in the scenario; a subscription goes by this name.
    pub name: String,
    /// Members.
    pub count: u32,
    /// Index into [`Scenario::links`].
    pub link: usize,
    /// How members share connections.
    pub connections: Connections,
    /// What its members do.
    pub role: Role,
}

/// How the members of a population share connections.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Connections {
    /// Each member has a client of its own.
    PerMember,
    /// Members share this many clients, member `i` using client `i % n`.
    Shared(u32),
}

/// What members do.
#[derive(Clone, Debug, PartialEq)]
pub enum Role {
    /// Publishes.
    Publisher {
        /// What each member publishes; at least one.
        streams: Vec<Stream>,
    },
    /// Receives.
    Subscriber(Subscription),
    /// Asks, and waits for answers.
    Requester {
        /// What each member asks; at least one.
        streams: Vec<Stream>,
        /// How long it waits.
        timeout: Duration,
    },
    /// Answers.
    Responder {
        /// What it answers.
        subscription: Subscription,
        /// Payload bytes of an answer.
        reply_size: u32,
    },
}

/// What brokers that store keep messages in: a stream, or a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Its name.
    pub name: String,
    /// The channels that it takes, as filters without fields; at least one.
    pub filters: Vec<String>,
    /// Partitions, where there are any; `None` for the contender's default.
    pub partitions: Option<u32>,
}

/// A sequence of messages that each member of a population sends.
#[derive(Clone, Debug, PartialEq)]
pub struct Stream {
    /// Its name in the scenario (`readings`); unique in its population.
    pub name: String,
    /// Where it publishes.
    pub channel: Template,
    /// When.
    pub arrival: Arrival,
    /// Payload bytes.
    pub size: Sizes,
    /// What stays in order and is hashed to a partition; `None`: the channel.
    pub key: Option<Template>,
}

/// A dotted path with fields, such as `telemetry.{region}.{device}.reading`.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// Literal text and fields, alternating in any order.
    pub parts: Vec<TemplatePart>,
    /// As written.
    pub text: String,
}

/// A piece of a [`Template`].
#[derive(Clone, Debug, PartialEq)]
pub enum TemplatePart {
    /// As it stands.
    Literal(String),
    /// A field's value.
    Field(Field),
}

/// A field of a template: `prefix` and a number, zero-padded to `width`.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Its name in braces.
    pub name: String,
    /// Where the number comes from.
    pub source: FieldSource,
    /// In front of the number.
    pub prefix: String,
    /// Digits at least.
    pub width: usize,
}

/// Where a field's number comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum FieldSource {
    /// The member's own number, from 0.
    Member,
    /// The member's number modulo `count`: members are spread evenly.
    Spread {
        /// Distinct values.
        count: u32,
    },
    /// Drawn for each message.
    Draw {
        /// Distinct values.
        count: u32,
        /// `None`: uniform; otherwise Zipf with this exponent, value 0 the most frequent.
        zipf_exponent: Option<f64>,
    },
}

/// When messages are due.
#[derive(Clone, Debug, PartialEq)]
pub enum Arrival {
    /// Each member at its own even spacing, from a random first moment.
    Periodic {
        /// Between two messages of a member.
        every: Duration,
        /// Each is moved by up to this much either way, uniformly.
        jitter: Duration,
    },
    /// Independent exponential gaps.
    Poisson {
        /// Per member.
        rate_per_s: f64,
    },
    /// Groups of messages, groups arriving by Poisson.
    Bursty {
        /// Groups per member.
        bursts_per_s: f64,
        /// Messages in a group.
        burst: u32,
        /// Between two messages of a group.
        spacing: Duration,
    },
}

/// How large payloads are, in bytes; every draw is at least 32.
#[derive(Clone, Debug, PartialEq)]
pub enum Sizes {
    /// Always this.
    Fixed(u32),
    /// Between the two, both included.
    Uniform {
        /// Smallest.
        min: u32,
        /// Largest.
        max: u32,
    },
    /// Log-normal, cut to the bounds.
    LogNormal {
        /// Half are smaller.
        median: u32,
        /// Standard deviation of the logarithm.
        sigma: f64,
        /// Smallest.
        min: u32,
        /// Largest.
        max: u32,
    },
    /// `min` times a Zipf rank, cut to `max`.
    Zipf {
        /// Smallest and most frequent.
        min: u32,
        /// Largest.
        max: u32,
        /// The exponent.
        exponent: f64,
    },
}

/// A spread of durations.
#[derive(Clone, Debug, PartialEq)]
pub enum Durations {
    /// Always this.
    Fixed(Duration),
    /// Between the two.
    Uniform {
        /// Shortest.
        min: Duration,
        /// Longest.
        max: Duration,
    },
    /// Exponential with this mean.
    Exponential {
        /// The mean.
        mean: Duration,
    },
    /// Log-normal.
    LogNormal {
        /// Half are shorter.
        median: Duration,
        /// Standard deviation of the logarithm.
        sigma: f64,
    },
}

/// What a subscriber receives and does.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// A filter, in which fields of the member may appear
    /// (`edge.{site}.>`); `*` is one token and a last `>` one or more.
    pub filter: Template,
    /// Members of the population share the messages under this name.
    pub group: Option<String>,
    /// Where it begins.
    pub start: Start,
    /// Time spent on each message, one at a time per member.
    pub processing: Durations,
    /// Share of messages whose processing fails without an answer (0 to 1).
    pub failure_rate: f64,
    /// Share of messages that are refused with a nak (0 to 1).
    pub nak_rate: f64,
    /// Delay asked for with a nak.
    pub nak_delay: Option<Duration>,
    /// Share of messages whose processing always fails (0 to 1): the message
    /// decides, so that each further delivery of it fails too.
    pub poison: f64,
    /// Time without an acknowledgement after which a message comes again;
    /// `None`: the contender's default.
    pub ack_wait: Option<Duration>,
    /// Deliveries of one message at most; `None`: no limit.
    pub max_deliver: Option<u32>,
    /// Waits before the second, third, ... delivery; the last stands for all
    /// that follow. Empty: `ack_wait` each time.
    pub backoff: Vec<Duration>,
    /// When its members subscribe, since the run's zero; 0: before it.
    pub joins_ns: u64,
    /// When it acknowledges.
    pub ack: AckPolicy,
    /// Whether a restarted member carries on where it stopped.
    pub durable: bool,
    /// Unacknowledged messages allowed at once; `None`: the contender's default.
    pub max_in_flight: Option<u32>,
    /// Messages a member holds before it stops reading from its connection.
    pub inbox: u32,
}

/// Something that goes wrong on purpose.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// What.
    pub kind: FaultKind,
    /// When it begins.
    pub at_ns: u64,
    /// When it ends.
    pub until_ns: u64,
}

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum FaultKind {
    /// Members of a subscribing population stop, and start anew at the end.
    SubscriberRestart {
        /// Index into [`Scenario::populations`].
        population: usize,
        /// The first member concerned.
        first: u32,
        /// How many.
        members: u32,
        /// Whether it says goodbye first.
        graceful: bool,
    },
    /// Members take this many times as long for each message, and at least
    /// `at_least` each.
    SlowSubscriber {
        /// Index into [`Scenario::populations`].
        population: usize,
        /// The first member concerned.
        first: u32,
        /// How many.
        members: u32,
        /// Factor on the processing time.
        factor: f64,
        /// Floor of the processing time.
        at_least: Duration,
    },
    /// The broker's process ends, and boots from its disk at the fault's end.
    BrokerCrash {
        /// What survives.
        how: CrashKind,
    },
    /// No sync of the broker's disk completes before the fault's end.
    DiskStall,
    /// The broker's disk has no room for anything more until the fault's end.
    DiskFull,
}

impl FaultKind {
    /// The name in scenarios and records.
    pub const fn name(&self) -> &'static str {
        match self {
            FaultKind::SubscriberRestart { .. } => "subscriber-restart",
            FaultKind::SlowSubscriber { .. } => "slow-subscriber",
            FaultKind::BrokerCrash { .. } => "broker-crash",
            FaultKind::DiskStall => "disk-stall",
            FaultKind::DiskFull => "disk-full",
        }
    }
}

/// What a scenario changes for one contender.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContenderOverrides {
    /// Presets, in order.
    pub presets: Vec<String>,
    /// Setting names and values as text, in order; they come after the presets.
    pub settings: Vec<(String, String)>,
    /// Connections of populations (by index) for this contender alone.
    pub connections: BTreeMap<usize, Connections>,
    /// Partitions of logs (by name) for this contender alone.
    pub partitions: BTreeMap<String, u32>,
}

/// What must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Objective {
    /// Index into [`Scenario::populations`]; a subscriber, responder or requester.
    pub population: usize,
    /// What is judged.
    pub metric: Metric,
    /// Largest value allowed; smallest where [`Metric::wants_more`]. Microseconds
    /// for latencies, a share (0 to 1) for loss, duplicates, unmarked,
    /// unprocessed and replay, a count for order and acknowledged loss, messages
    /// per second for throughput.
    pub target: f64,
}

/// What an objective judges.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Median delivery response time.
    P50Delivery,
    /// 90th percentile of it.
    P90Delivery,
    /// 99th percentile of it.
    P99Delivery,
    /// 99.9th percentile of it.
    P999Delivery,
    /// The largest.
    MaxDelivery,
    /// Expected deliveries that did not come, as a share.
    Loss,
    /// Acknowledged messages that did not come.
    AckedLoss,
    /// Deliveries more than once, as a share of the expected.
    Duplicates,
    /// Deliveries more than once that nothing marks as such, as a share of the
    /// expected.
    Unmarked,
    /// Deliveries whose processing never succeeded, poison left out, as a share
    /// of the expected.
    Unprocessed,
    /// What a replay yields of what is kept, as a share.
    ReplayComplete,
    /// Deliveries out of their key's order.
    Order,
    /// Deliveries per second over the steady window.
    Throughput,
}

impl Metric {
    /// All of them.
    pub const ALL: &'static [Metric] = &[
        Metric::P50Delivery,
        Metric::P90Delivery,
        Metric::P99Delivery,
        Metric::P999Delivery,
        Metric::MaxDelivery,
        Metric::Loss,
        Metric::AckedLoss,
        Metric::Duplicates,
        Metric::Unmarked,
        Metric::Unprocessed,
        Metric::ReplayComplete,
        Metric::Order,
        Metric::Throughput,
    ];

    /// The name in scenarios and records.
    pub const fn name(self) -> &'static str {
        match self {
            Metric::P50Delivery => "p50_delivery",
            Metric::P90Delivery => "p90_delivery",
            Metric::P99Delivery => "p99_delivery",
            Metric::P999Delivery => "p999_delivery",
            Metric::MaxDelivery => "max_delivery",
            Metric::Loss => "loss",
            Metric::AckedLoss => "acked_loss",
            Metric::Duplicates => "duplicates",
            Metric::Unmarked => "unmarked",
            Metric::Unprocessed => "unprocessed",
            Metric::ReplayComplete => "replay_complete",
            Metric::Order => "order",
            Metric::Throughput => "throughput",
        }
    }

    /// Whether a larger value is better.
    pub const fn wants_more(self) -> bool {
        matches!(self, Metric::Throughput | Metric::ReplayComplete)
    }

    /// Whether it is a delivery time, and so rests on the network that a mode applies.
    pub const fn is_latency(self) -> bool {
        matches!(
            self,
            Metric::P50Delivery
                | Metric::P90Delivery
                | Metric::P99Delivery
                | Metric::P999Delivery
                | Metric::MaxDelivery
        )
    }
}

impl Population {
    /// What it subscribes to, if it does.
    pub fn subscription(&self) -> Option<&Subscription> {
        match &self.role {
            Role::Subscriber(subscription) | Role::Responder { subscription, .. } => {
                Some(subscription)
            }
            Role::Publisher { .. } | Role::Requester { .. } => None,
        }
    }

    /// What it sends, if it does.
    pub fn streams(&self) -> &[Stream] {
        match &self.role {
            Role::Publisher { streams } | Role::Requester { streams, .. } => streams,
            Role::Subscriber(_) | Role::Responder { .. } => &[],
        }
    }
}

impl Subscription {
    /// Whether it makes no sense without a store to read from.
    pub fn replays(&self) -> bool {
        self.start != Start::New
    }
}

impl Scenario {
    /// The logs that brokers which store are told to make before the run: those
    /// that are written out, and one for each distinct literal prefix of what
    /// else is published.
    pub fn declarations(&self) -> Vec<Log> {
        super::logs::declarations(&self.logs, &self.populations)
    }

    /// Whether anything of the scenario rests on messages being stored.
    pub fn needs_store(&self) -> bool {
        !self.logs.is_empty()
            || self.populations.iter().filter_map(Population::subscription).any(|subscription| {
                subscription.durable
                    || subscription.replays()
                    || subscription.ack != AckPolicy::None
            })
    }

    /// When the last phase that sends has ended.
    pub fn sending_ends_ns(&self) -> u64 {
        self.phases
            .iter()
            .filter(|phase| phase.kind != PhaseKind::Drain)
            .map(|phase| phase.end_ns)
            .max()
            .unwrap_or(0)
    }

    /// When the last phase has ended.
    pub fn ends_ns(&self) -> u64 {
        self.phases.iter().map(|phase| phase.end_ns).max().unwrap_or(0)
    }

    /// Whether a message intended at `at_ns` belongs to the measured window.
    pub fn is_steady(&self, at_ns: u64) -> bool {
        self.phases.iter().any(|phase| {
            phase.kind == PhaseKind::Steady && (phase.start_ns..phase.end_ns).contains(&at_ns)
        })
    }

    /// Seconds of all steady phases together.
    pub fn window_s(&self) -> f64 {
        let nanos: u64 = self
            .phases
            .iter()
            .filter(|phase| phase.kind == PhaseKind::Steady)
            .map(|phase| phase.end_ns - phase.start_ns)
            .sum();
        nanos as f64 / 1e9
    }
}
