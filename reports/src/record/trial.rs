//! One contender, one mode, one repeat.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Latency, Ledger, SubscriptionLedger};

/// How a trial was run. Figures of different modes are never compared unlabelled.
#[derive(
    Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Virtual time, with modelled links, processors and disks.
    #[default]
    Sim,
    /// In the lab's own process, by the wall clock, with real files.
    Embedded,
    /// The same nodes behind TCP.
    Wire,
    /// Somebody else's broker.
    Real,
}

impl Mode {
    /// The name in records and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Sim => "sim",
            Mode::Embedded => "embedded",
            Mode::Wire => "wire",
            Mode::Real => "real",
        }
    }

    /// Whether its figures are a model's.
    pub const fn is_simulated(self) -> bool {
        matches!(self, Mode::Sim)
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One contender, one mode, one repeat.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// `nats`, `jetstream`, `redis`, `kafka`, or one with a preset or settings
    /// such as `kafka:linger=0`.
    pub contender: String,
    /// How it was run.
    pub mode: Mode,
    /// From 0.
    pub repeat: u32,
    /// Whether the generator sent at least 99 % of the plan.
    pub valid: bool,
    /// Why it is not valid.
    pub invalid_reason: Option<String>,
    /// Hexadecimal, for a simulated trial.
    pub trace_hash: Option<String>,
    /// Length of the steady phases together, by intended time.
    pub window_s: f64,
    /// Features of the scenario that this mode or contender does not have, a
    /// sentence each.
    pub not_applied: Vec<String>,
    /// All settings, by name.
    pub settings: BTreeMap<String, Setting>,
    /// What an acknowledgement proves.
    pub ack_proves: AckProves,
    /// Planned messages per second of the window.
    pub offered_per_s: f64,
    /// Submitted to the clients.
    pub sent_per_s: f64,
    /// Acknowledged.
    pub acked_per_s: f64,
    /// Delivered; every delivery counts, fan-out included.
    pub delivered_per_s: f64,
    /// Published: sent, and not failed.
    pub published_per_s: f64,
    /// Time to acknowledgement; `None` where nothing is acknowledged.
    pub publish: Option<Latency>,
    /// Time to delivery, over all subscriptions.
    pub delivery: Latency,
    /// Time to delivery, by subscription.
    pub by_subscription: BTreeMap<String, Latency>,
    /// The books.
    pub ledger: Ledger,
    /// The instrument's own error.
    pub generator: Generator,
    /// What it took.
    pub resources: Resources,
    /// Mean microseconds of the sampled deliveries, by stage ([`STAGES`]);
    /// empty where it cannot be seen.
    pub anatomy: BTreeMap<String, f64>,
    /// Second by second, from the first phase on.
    pub series: Vec<Point>,
    /// What went wrong on purpose.
    pub faults: Vec<Fault>,
    /// Added: seconds from the first connection to time zero.
    #[serde(default)]
    pub setup_s: Option<f64>,
    /// Added: deliveries that `anatomy` rests on.
    #[serde(default)]
    pub anatomy_samples: u64,
    /// Added: the mean time of those deliveries; the stages sum to it.
    #[serde(default)]
    pub anatomy_mean_us: Option<f64>,
    /// Added: the books of each subscription.
    #[serde(default)]
    pub ledger_by_subscription: BTreeMap<String, SubscriptionLedger>,
    /// Added: what the client makes up for, and how, a sentence each.
    #[serde(default)]
    pub emulated: Vec<String>,
    /// Added: what was received only to be thrown away.
    #[serde(default)]
    pub waste: Waste,
    /// Added: how often rare things happened, by name.
    #[serde(default)]
    pub sometimes: BTreeMap<String, u64>,
    /// Added: what a trial over TCP asked of the system; `None` in other modes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wire: Option<Wire>,
}

/// The stages of [`Trial::anatomy`], in the order of a message's way.
pub const STAGES: [&str; 5] =
    ["client_wait", "to_broker", "in_broker", "to_consumer", "consumer_wait"];

impl Trial {
    /// Whether the promise was broken: a loss without a cause, or damage.
    pub const fn broke_its_promise(&self) -> bool {
        self.ledger.deliveries.lost_unexplained > 0 || self.ledger.corrupt > 0
    }
}

/// A setting, resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// As text, with its unit.
    pub value: String,
    /// Whether it is the original's default.
    pub default: bool,
}

/// What an acknowledgement proves.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AckProves {
    /// Nodes that hold the message; 0 where nothing is acknowledged.
    pub copies: u32,
    /// Where each holds it.
    pub durable: Durable,
}

/// Where the bytes are when an acknowledgement is sent.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durable {
    /// Nowhere that survives the process.
    #[default]
    None,
    /// In the page cache: survives a killed process.
    PageCache,
    /// On the device: survives a power loss.
    Synced,
}

impl Durable {
    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Durable::None => "none",
            Durable::PageCache => "page_cache",
            Durable::Synced => "synced",
        }
    }
}

/// The instrument's own error.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    /// How late messages were submitted, median.
    pub lag_p50_us: Option<f64>,
    /// 99th percentile.
    pub lag_p99_us: Option<f64>,
    /// The latest.
    pub lag_max_us: Option<f64>,
    /// 99th percentile of the same plan against nothing at all; `None` in
    /// virtual time, where the instrument takes no time.
    pub canary_p99_us: Option<f64>,
    /// Planned messages that were not sent when time ran out.
    pub unsent: u64,
    /// Added: messages per second that the generator sends at most over as many
    /// connections as here, to a sink that reads and drops them; `None` where it
    /// was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_per_s: Option<f64>,
    /// Added: messages per second that the plan asks for when it asks for most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_per_s: Option<f64>,
}

/// What the threads of a trial over TCP asked of the system, from zero on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Wire {
    /// Seconds that the counters cover.
    pub over_s: f64,
    /// The thread that serves: sockets, codec and node.
    pub server: WireThread,
    /// The thread that generates the load, with the clients that publish.
    pub generator: WireThread,
    /// The thread of the clients that subscribe, and of the books.
    pub receivers: WireThread,
}

/// One thread of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WireThread {
    /// Processor time. The generator's holds the time that it spins.
    pub cpu_s: f64,
    /// Connections that were open when it began.
    pub connections: u64,
    /// System calls that read.
    pub reads: u64,
    /// System calls that wrote.
    pub writes: u64,
    /// System calls that waited, or asked what is ready.
    pub polls: u64,
    /// Frames read.
    pub frames_in: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
}

impl Wire {
    /// The threads, in the order of a message's way.
    pub fn threads(&self) -> [(&'static str, &WireThread); 3] {
        [("generator", &self.generator), ("server", &self.server), ("receivers", &self.receivers)]
    }
}

/// What a trial took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Resources {
    /// Processor time of all nodes.
    pub node_cpu_s: Option<f64>,
    /// Processor time of all clients.
    pub client_cpu_s: Option<f64>,
    /// The most that nodes held at once.
    pub node_memory_bytes: Option<u64>,
    /// Into nodes.
    pub bytes_in: u64,
    /// Out of nodes.
    pub bytes_out: u64,
    /// Written to disks.
    pub disk_bytes: u64,
    /// Syncs that were asked of disks.
    pub syncs: u64,
    /// Node time for one attempted message. Clients are left out, since on a
    /// wall clock they include a generator that spins.
    pub cpu_us_per_message: Option<f64>,
}

/// One second of a trial.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Its beginning.
    pub t_s: f64,
    /// Messages that were planned in it.
    pub offered: u64,
    /// Messages that were sent in it.
    pub sent: u64,
    /// Acknowledgements in it.
    pub acked: u64,
    /// Deliveries in it.
    pub delivered: u64,
    /// Delivery response times of the messages intended in it: median.
    pub p50_us: Option<f64>,
    /// 99th percentile; the largest where there are too few for a percentile.
    pub p99_us: Option<f64>,
    /// The largest.
    pub max_us: Option<f64>,
    /// Deliveries expected of what was sent and not yet seen, at its end.
    pub backlog: u64,
}

/// Something that went wrong on purpose.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Fault {
    /// Its name in scenarios, such as `subscriber-restart`.
    pub kind: String,
    /// What it befell.
    pub target: String,
    /// When it began.
    pub at_s: f64,
    /// When it ended.
    pub until_s: f64,
    /// Whether it did anything; one that did not tests nothing.
    pub took_effect: bool,
}

/// What was received only to be thrown away.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waste {
    /// Messages.
    pub messages: u64,
    /// Their payload bytes.
    pub bytes: u64,
}
