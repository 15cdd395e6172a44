//! Tests of the scenario format as people meet it.

mod command_line;
mod format;
mod mistakes;
mod noise;
mod round_trip;

use broker_contract::{Preset, SettingKind, SettingSpec};

use super::error::ScenarioError;
use super::model::Scenario;
use super::{Known, Options, Origin, parse};

const REDIS: &[SettingSpec] = &[
    SettingSpec {
        name: "maxclients",
        kind: SettingKind::Count,
        default: "10000",
        doc: "Connections at once.",
    },
    SettingSpec {
        name: "client_output_buffer_limit_pubsub_hard",
        kind: SettingKind::Bytes,
        default: "32MiB",
        doc: "Bytes that may wait for one subscriber.",
    },
];

const REDIS_PRESETS: &[Preset] =
    &[Preset { name: "roomy", doc: "Larger buffers.", values: &[("maxclients", "20000")] }];

const NATS: &[SettingSpec] = &[SettingSpec {
    name: "max_connections",
    kind: SettingKind::Count,
    default: "65536",
    doc: "Connections at once.",
}];

const JETSTREAM: &[SettingSpec] = &[SettingSpec {
    name: "sync",
    kind: SettingKind::DurationOr(&["always"]),
    default: "2m",
    doc: "How often stores are synced.",
}];

const KAFKA: &[SettingSpec] = &[
    SettingSpec {
        name: "linger",
        kind: SettingKind::Duration,
        default: "0",
        doc: "How long a batch waits for more.",
    },
    SettingSpec {
        name: "acks",
        kind: SettingKind::Choice(&["all", "1", "0"]),
        default: "1",
        doc: "Who must have a batch before it is acknowledged.",
    },
    SettingSpec {
        name: "flush",
        kind: SettingKind::Count,
        default: "0",
        doc: "Records after which a log is synced.",
    },
    SettingSpec {
        name: "group_instance",
        kind: SettingKind::Flag,
        default: "false",
        doc: "Whether members keep their identity.",
    },
];

/// Contenders like the real ones, which this crate does not know.
fn known() -> [Known<'static>; 4] {
    [
        Known { name: "nats", settings: NATS, presets: &[] },
        Known { name: "jetstream", settings: JETSTREAM, presets: &[] },
        Known { name: "kafka", settings: KAFKA, presets: &[] },
        Known { name: "redis", settings: REDIS, presets: REDIS_PRESETS },
    ]
}

fn read(text: &str) -> Result<Scenario, Box<ScenarioError>> {
    parse("test", text, &known(), &Options::default())
}

fn with(text: &str, sets: &[&str]) -> Result<Scenario, Box<ScenarioError>> {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    parse("test", text, &known(), &Options { sets: &sets, ..Options::default() })
}

/// A scenario with one of everything.
const FULL: &str = r#"
title = "One of everything"
question = "Does it all work?"

[[phases]]
kind = "warm-up"
duration = "1s"

[[phases]]
kind = "ramp"
duration = "2s"
from = 1.0
to = 3.0

[[phases]]
kind = "steady"
duration = "10s"

[[phases]]
kind = "burst"
start = "14s"
duration = "1s"
rate = 5.0

[[phases]]
kind = "drain"
duration = "2s"

[links.far]
round_trip = "20ms"
jitter = "1ms"
bandwidth = "10Mbit/s"

[sites.north]
link = "far"

[populations.devices]
role = "publisher"
count = 100
site = "north"
connections = 4
fields.site = { source = "spread", count = 5, prefix = "s" }
fields.device = { width = 3 }
fields.topic = { source = "draw", count = 10, zipf_exponent = 1.1 }

[populations.devices.streams.readings]
channel = "edge.{site}.{device}.{topic}"
arrival = { kind = "periodic", every = "100ms", jitter = "10ms" }
size = { kind = "zipf", exponent = 1.2, min = "32B", max = "4KiB" }
key = "{device}/{topic}"

[populations.devices.streams.bursts]
channel = "burst.{device}"
arrival = { kind = "bursty", bursts_per_s = 0.5, burst = 10, spacing = "1ms" }

[populations.workers]
role = "subscriber"
count = 3
filter = "edge.>"
group = "workers"
processing = { kind = "exponential", mean = "50us" }
ack = "explicit"
failure_rate = 0.01
nak_rate = 0.02
nak_delay = "10ms"
durable = true
max_in_flight = 100
poison = 0.001
ack_wait = "1s"
max_deliver = 5
backoff = ["50ms", "500ms"]
start = "all"
joins = 0.25
inbox = 1000

[populations.mirrors]
role = "subscriber"
count = 5
filter = "edge.{site}.>"
fields.site = { source = "member", prefix = "s" }
processing = { kind = "log-normal", median = "20us", sigma = 0.5 }

[populations.askers]
role = "requester"
count = 2
timeout = "500ms"
streams.questions = { channel = "ask.price", arrival = { kind = "poisson", rate_per_s = 10 } }

[populations.answerers]
role = "responder"
filter = "ask.*"
reply_size = "256B"

[logs.edge]
filters = ["edge.>"]
partitions = 4

[[faults]]
kind = "disk-stall"
at = "2s"
for = "1s"

[[faults]]
kind = "disk-full"
at = "4s"
for = "1s"

[[faults]]
kind = "broker-crash"
how = "power-loss"
at = "9s"
for = "500ms"

[[faults]]
kind = "subscriber-restart"
population = "workers"
members = 2
at = 0.5
for = 0.1

[[faults]]
kind = "slow-subscriber"
population = "mirrors"
first = 1
factor = 10
at = 0.2
for = 0.2

[contenders.redis]
preset = "roomy"
maxclients = 60_000
client_output_buffer_limit_pubsub_hard = "64MiB"
connections = { devices = 2 }

[contenders.kafka]
linger = "5ms"
acks = "all"
connections = { devices = "per-member" }
partitions = { burst = 3, edge = 2 }

[[objectives]]
subscription = "workers"
p99_delivery = "50ms"

[[objectives]]
subscription = "workers"
loss = 0.001

[[objectives]]
subscription = "workers"
acked_loss = 0

[[objectives]]
subscription = "workers"
replay_complete = 1.0

[[objectives]]
subscription = "askers"
throughput = 15
"#;

/// The smallest scenario.
const SMALL: &str = r#"
title = "Small"

[[phases]]
kind = "steady"
duration = "10s"

[populations.devices]
role = "publisher"
count = 10
fields.device = {}
streams.readings.channel = "a.{device}"
streams.readings.arrival = { kind = "poisson", rate_per_s = 5 }

[populations.ingest]
role = "subscriber"
filter = "a.*"
"#;

/// The error as a terminal shows it: place, line, caret, remedy.
fn render(error: &ScenarioError) -> String {
    let mut out = format!("error: {}\n", error.message());
    if let Some(span) = error.span() {
        let text = error.text();
        let start = text[..span.start].rfind('\n').map_or(0, |at| at + 1);
        let line = text[start..].lines().next().unwrap_or("");
        let origin = match error.origin() {
            Origin::File => format!("{}:{}", error.line(), error.column()),
            Origin::Set(_) => "--set".to_owned(),
        };
        let carets = "^".repeat(text[span.clone()].chars().count().max(1));
        let indent = " ".repeat(error.column() - 1);
        out.push_str(&format!("  --> {origin}\n   | {line}\n   | {indent}{carets}\n"));
    }
    out.push_str(&format!("help: {}\n", error.help().unwrap_or("")));
    out
}
