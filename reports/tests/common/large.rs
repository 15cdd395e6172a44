//! A record of four contenders in two modes over ten minutes, each a caricature
//! of its kind: figures are invented, and only their shape is meant.

use std::collections::BTreeMap;

use lab_reports::record::*;

/// How one contender behaves.
struct Kind {
    name: &'static str,
    /// Mean microseconds of each stage in virtual time.
    stages: [f64; 5],
    /// How much slower the 99th is than the median.
    tail: f64,
    /// How much slower a second with a fault is.
    fault: f64,
    /// Lost in the fault.
    lost: u64,
    redelivered: u64,
    proves: AckProves,
    cpu_us: f64,
    disk_bytes: u64,
    capacity: f64,
}

const NOTHING: AckProves = AckProves { copies: 0, durable: Durable::None };
const CACHED: AckProves = AckProves { copies: 1, durable: Durable::PageCache };

const KINDS: [Kind; 4] = [
    Kind {
        name: "nats",
        stages: [0.1, 560.0, 2.4, 100.0, 4.0],
        tail: 1.2,
        fault: 1.05,
        lost: 12,
        redelivered: 0,
        proves: NOTHING,
        cpu_us: 2.1,
        disk_bytes: 0,
        capacity: 412_000.0,
    },
    Kind {
        name: "jetstream",
        stages: [0.1, 560.0, 61.0, 101.0, 9.0],
        tail: 1.9,
        fault: 6.0,
        lost: 0,
        redelivered: 310,
        proves: CACHED,
        cpu_us: 6.8,
        disk_bytes: 1_310_000_000,
        capacity: 118_000.0,
    },
    Kind {
        name: "redis",
        stages: [0.1, 561.0, 3.9, 100.0, 5.0],
        tail: 1.3,
        fault: 1.1,
        lost: 14_830,
        redelivered: 0,
        proves: NOTHING,
        cpu_us: 7.4,
        disk_bytes: 0,
        capacity: 141_000.0,
    },
    Kind {
        name: "kafka:linger=5ms",
        stages: [2_610.0, 575.0, 46.0, 102.0, 610.0],
        tail: 2.2,
        fault: 48.0,
        lost: 0,
        redelivered: 0,
        proves: CACHED,
        cpu_us: 1.3,
        disk_bytes: 900_000_000,
        capacity: 655_000.0,
    },
];

/// A small generator, so that the record is the same everywhere.
fn noise(seed: &mut u64) -> f64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 40) as f64 / f64::from(1 << 24)
}

const SECONDS: usize = 600;
const RATE: u64 = 10_000;

fn series(kind: &Kind, base: f64, seed: &mut u64) -> Vec<Point> {
    let mut backlog = 0_u64;
    (0..SECONDS)
        .map(|t| {
            let away = (300..312).contains(&t);
            let crash = (450..453).contains(&t);
            let slow = if away || crash { kind.fault } else { 1.0 };
            let p50 = base * (1.0 + 0.02 * noise(seed)) * slow.min(1.4);
            let p99 = base * kind.tail * (1.0 + 0.12 * noise(seed)) * slow;
            let lost = if away { kind.lost / 12 } else { 0 };
            backlog = if away && kind.fault > 5.0 { backlog + 2_400 } else { backlog / 4 };
            Point {
                t_s: t as f64,
                offered: RATE,
                sent: RATE,
                acked: if kind.proves.copies > 0 { RATE } else { 0 },
                delivered: RATE + (noise(seed) * 60.0) as u64 - lost.min(RATE),
                p50_us: Some(p50),
                p99_us: Some(p99),
                max_us: Some(p99 * 2.5),
                backlog: backlog + (noise(seed) * 12.0) as u64,
            }
        })
        .collect()
}

fn times(base: f64, tail: f64, count: u64, limited: &[&str]) -> Quantiles {
    let at = |nines: f64| base * (1.0 + (tail - 1.0) * (nines / 2.0).powf(2.0));
    let curve = (0..=42)
        .map(|tenth| {
            let nines = f64::from(tenth) / 10.0;
            CurvePoint { q: 1.0 - 10_f64.powf(-nines), us: at(nines) * 0.97 }
        })
        .collect();
    Quantiles {
        count,
        mean_us: Some(base * 1.04),
        p50_us: Some(at(0.301)),
        p90_us: Some(at(1.0)),
        p99_us: Some(at(2.0)),
        p999_us: Some(at(3.0)),
        max_us: Some(at(6.2)),
        limited: limited.iter().map(|name| (*name).to_owned()).collect(),
        hdr: None,
        curve,
    }
}

fn trial(kind: &Kind, mode: Mode, seed: &mut u64) -> Trial {
    let sim = mode == Mode::Sim;
    let shrink = if sim { 1.0 } else { 0.09 };
    let base: f64 = kind.stages.iter().sum::<f64>() * shrink;
    let limited: &[&str] = if sim { &[] } else { &["p99", "p999", "max"] };
    let expected = RATE * SECONDS as u64;
    let response = times(base, kind.tail, expected - kind.lost, limited);
    let latency = Latency { service: response.clone(), response };
    let acked = if kind.proves.copies > 0 { expected } else { 0 };
    let fault = |kind: &str, target: &str, at_s: f64, until_s: f64| Fault {
        kind: kind.to_owned(),
        target: target.to_owned(),
        at_s,
        until_s,
        took_effect: true,
    };
    let setting = |value: &str, default: bool| Setting { value: value.to_owned(), default };
    Trial {
        contender: kind.name.to_owned(),
        mode,
        valid: true,
        trace_hash: sim.then(|| "5f3a90c1d2e4b687".to_owned()),
        window_s: SECONDS as f64,
        not_applied: if sim {
            Vec::new()
        } else {
            vec!["links (field, services): frames pass from thread to thread at once".to_owned()]
        },
        settings: BTreeMap::from([
            ("max_payload".to_owned(), setting("1MiB", true)),
            ("max_pending".to_owned(), setting("64MiB", true)),
            ("linger".to_owned(), setting("5ms", !kind.name.starts_with("kafka"))),
            ("ping_interval".to_owned(), setting("2m", true)),
        ]),
        ack_proves: kind.proves,
        offered_per_s: RATE as f64,
        sent_per_s: RATE as f64,
        acked_per_s: acked as f64 / SECONDS as f64,
        delivered_per_s: (expected - kind.lost) as f64 / SECONDS as f64,
        published_per_s: RATE as f64,
        publish: (acked > 0).then(|| latency.clone()),
        by_subscription: BTreeMap::from([("ingest".to_owned(), latency.clone())]),
        delivery: latency,
        ledger: Ledger {
            messages: Messages {
                attempted: expected,
                acked,
                unacked: expected - acked,
                ..Messages::default()
            },
            deliveries: Deliveries {
                expected,
                delivered: expected - kind.lost,
                lost_explained: kind.lost,
                ..Deliveries::default()
            },
            redelivered: kind.redelivered,
            causes: if kind.lost > 0 {
                BTreeMap::from([
                    ("subscriber_away".to_owned(), kind.lost - 2),
                    ("connection_dropped".to_owned(), 2),
                ])
            } else {
                BTreeMap::new()
            },
            ..Ledger::default()
        },
        generator: Generator {
            lag_p50_us: Some(0.6),
            lag_p99_us: (!sim).then_some(210.0),
            lag_max_us: (!sim).then_some(5_900.0),
            canary_p99_us: (!sim).then_some(240.5),
            unsent: 0,
            ..Generator::default()
        },
        resources: Resources {
            node_cpu_s: Some(kind.cpu_us * expected as f64 / 1e6),
            client_cpu_s: Some(20.0),
            node_memory_bytes: Some(80_000_000),
            bytes_in: expected * 180,
            bytes_out: expected * 190,
            disk_bytes: kind.disk_bytes,
            syncs: if kind.disk_bytes > 0 { 5 } else { 0 },
            cpu_us_per_message: Some(kind.cpu_us),
        },
        anatomy: STAGES
            .iter()
            .zip(kind.stages)
            .map(|(stage, us)| ((*stage).to_owned(), us * shrink))
            .collect(),
        anatomy_samples: 60_000,
        series: series(kind, base, seed),
        faults: vec![
            fault("subscriber-restart", "ingest[0]", 300.0, 312.0),
            fault("broker-crash", "broker", 450.0, 453.0),
        ],
        emulated: if kind.name == "redis" {
            vec!["groups share the work: client-side sharding over a full copy".to_owned()]
        } else {
            Vec::new()
        },
        waste: Waste { messages: if kind.name == "redis" { 18_000_000 } else { 0 }, bytes: 0 },
        ..Trial::default()
    }
}

fn capacity(kind: &Kind, mode: Mode) -> Capacity {
    let base: f64 = kind.stages.iter().sum();
    let curve = (0..12)
        .map(|step| {
            let rate_per_s = 10_000.0 * 1.5_f64.powi(step);
            let load = rate_per_s / kind.capacity;
            CapacityPoint {
                rate_per_s,
                achieved_per_s: rate_per_s.min(kind.capacity * 1.05),
                p50_us: Some(base),
                p99_us: Some(base * kind.tail * (1.0 + (load.powi(4) * 8.0).min(400.0))),
                met: load <= 1.0,
            }
        })
        .filter(|point| point.rate_per_s < kind.capacity * 1.6)
        .collect();
    Capacity {
        contender: kind.name.to_owned(),
        mode,
        rate_per_s: kind.capacity,
        bracket: [kind.capacity * 0.98, kind.capacity * 1.03],
        limited_by: if kind.capacity > 600_000.0 { "generator" } else { "node CPU" }.to_owned(),
        curve,
        at_least: kind.capacity > 600_000.0,
        ..Capacity::default()
    }
}

fn objective(kind: &Kind, metric: &str, target: f64, actual: f64) -> ObjectiveResult {
    ObjectiveResult {
        contender: kind.name.to_owned(),
        mode: Mode::Sim,
        subscription: "ingest".to_owned(),
        metric: metric.to_owned(),
        target,
        actual: Some(actual),
        outcome: if actual <= target { Outcome::Met } else { Outcome::Missed },
        reason: None,
    }
}

/// The record.
pub fn record() -> Record {
    let mut seed = 7;
    let mut trials = Vec::new();
    for mode in [Mode::Sim, Mode::Embedded] {
        trials.extend(KINDS.iter().map(|kind| trial(kind, mode, &mut seed)));
    }
    let mut objectives = Vec::new();
    for (kind, trial) in KINDS.iter().zip(&trials) {
        let p99 = trial.delivery.response.p99_us.unwrap_or(0.0);
        objectives.push(objective(kind, "p99_delivery", 2_000.0, p99));
        let lost = kind.lost as f64 / (RATE as f64 * SECONDS as f64);
        objectives.push(objective(kind, "loss", 0.001, lost));
    }
    let profile = |title: &str, summary: &str, delivery: &str, away: &str, crash: &str| Profile {
        title: title.to_owned(),
        summary: summary.to_owned(),
        delivery: delivery.to_owned(),
        order: "per publisher, in the order in which it published".to_owned(),
        subscriber_away: away.to_owned(),
        slow_subscriber: "is disconnected at its pending limit".to_owned(),
        crash: crash.to_owned(),
    };
    Record {
        lab: Lab { version: "0.1.0".to_owned(), commit: Some("e506db3".to_owned()) },
        host: Host {
            cpu: "A processor".to_owned(),
            cores: 2,
            memory_bytes: 8 << 30,
            os: "Linux 6.1".to_owned(),
        },
        command: "lab run iot-50k --duration 10m --contenders nats,jetstream,redis,kafka:linger=5ms"
            .to_owned(),
        started_at: "2026-01-31T12:00:00Z".to_owned(),
        seed: 50_000,
        scenario: ScenarioInfo {
            name: "iot-50k".to_owned(),
            title: "Telemetry from 50,000 devices".to_owned(),
            question: "Can four workers keep up with 10,000 readings a second from 50,000 \
                       devices, and still have each reading within 2 ms, when one of them dies in \
                       the middle?"
                .to_owned(),
            hash: "91be00aa5fc3b1d2".to_owned(),
            non_defaults: vec!["phases[1].duration = 10m".to_owned()],
        },
        trace_hash: Some("77aa015fc3b1d291".to_owned()),
        verdict: Verdict {
            winner: Some("nats".to_owned()),
            text: "nats fits: it meets all objectives, as does jetstream, and its delivery time \
                   at `ingest` is clearly the lowest. redis misses loss at `ingest`: 0.247 % \
                   against 0.100 % (sim). kafka:linger=5ms misses p99 delivery at `ingest`: 8.67 ms \
                   against 2.00 ms (sim)."
                .to_owned(),
            would_change: vec![
                "a target for p99 delivery at `ingest` below 800 us (it is 2.00 ms)".to_owned(),
                "halving or doubling any one simulated cost does not change it".to_owned(),
            ],
            exit_code: 0,
            objectives,
        },
        trials,
        capacity: KINDS.iter().map(|kind| capacity(kind, Mode::Sim)).collect(),
        costs: BTreeMap::from([(
            "nats".to_owned(),
            vec![Cost {
                name: "node, per frame in".to_owned(),
                value: 310.0,
                unit: "ns".to_owned(),
                source: "the benchmarks of the same cores".to_owned(),
                date: "2026-01-30".to_owned(),
                spread: Some(0.1),
            }],
        )]),
        profiles: BTreeMap::from([
            (
                "nats".to_owned(),
                profile(
                    "core NATS",
                    "Messages go to whoever is subscribed at that moment, and nothing is kept.",
                    "at most once",
                    "misses what is published meanwhile; in a group, others take it",
                    "everything in flight, and nothing else, because nothing is kept",
                ),
            ),
            (
                "jetstream".to_owned(),
                profile(
                    "NATS JetStream",
                    "Streams keep messages, and consumers acknowledge each.",
                    "at least once",
                    "finds everything when it is back",
                    "what was not yet synced, if the power fails",
                ),
            ),
            (
                "redis".to_owned(),
                profile(
                    "Redis Pub/Sub",
                    "Every subscriber of a channel receives a copy, and nothing is kept.",
                    "at most once",
                    "misses what is published meanwhile",
                    "everything in flight",
                ),
            ),
            (
                "kafka".to_owned(),
                profile(
                    "a Kafka-style log",
                    "Partitions of an append-only log that consumers read at their own pace.",
                    "at least once",
                    "carries on from its last committed offset",
                    "what was not yet synced, if the power fails",
                ),
            ),
        ]),
        ..Record::default()
    }
}
