//! A record by hand: two contenders in two modes, with everything that can go
//! wrong in it somewhere. Not every test needs every one of them.

#![allow(dead_code)]

pub mod large;

use std::collections::BTreeMap;

use lab_reports::record::*;

fn quantiles(count: u64, figures: [Option<f64>; 5], limited: &[&str]) -> Quantiles {
    let mut quantiles = Quantiles { count, ..Quantiles::default() };
    for (quantile, value) in Quantile::ALL.into_iter().zip(figures) {
        quantiles.set(quantile, value);
    }
    quantiles.mean_us = figures[0].map(|p50| p50 * 1.2);
    quantiles.limited = limited.iter().map(|name| (*name).to_owned()).collect();
    quantiles
}

fn series(base_us: f64, hole: std::ops::Range<usize>) -> Vec<Point> {
    (0..60)
        .map(|second| {
            let slow = if hole.contains(&second) { 20.0 } else { 1.0 };
            let figure = |factor: f64| (second != 0).then_some(base_us * factor * slow);
            Point {
                t_s: second as f64,
                offered: 10_000,
                sent: 10_000,
                acked: 0,
                delivered: 9_990,
                p50_us: figure(1.0),
                p99_us: figure(2.0),
                max_us: figure(5.0),
                backlog: if hole.contains(&second) { 1_200 } else { 7 },
            }
        })
        .collect()
}

fn trial(contender: &str, mode: Mode, base_us: f64) -> Trial {
    let sim = mode == Mode::Sim;
    let limited: &[&str] = if sim { &[] } else { &["p99", "p999", "max"] };
    let figures = [1.0, 1.5, 2.0, 20.0, 41.3].map(|factor| Some(base_us * factor));
    let response = quantiles(599_400, figures, limited);
    let delivery = Latency { service: response.clone(), response };
    Trial {
        contender: contender.to_owned(),
        mode,
        valid: true,
        trace_hash: sim.then(|| "5f3a90c1d2e4b687".to_owned()),
        window_s: 60.0,
        not_applied: if sim {
            Vec::new()
        } else {
            vec!["links: no round trip, jitter or bandwidth is added".to_owned()]
        },
        settings: BTreeMap::from([
            ("echo".to_owned(), Setting { value: "true".to_owned(), default: true }),
            ("max_pending".to_owned(), Setting { value: "32MiB".to_owned(), default: sim }),
        ]),
        offered_per_s: 10_000.0,
        sent_per_s: 10_000.0,
        delivered_per_s: 9_990.0,
        published_per_s: 10_000.0,
        by_subscription: BTreeMap::from([
            ("ingest".to_owned(), delivery.clone()),
            ("dashboard".to_owned(), delivery.clone()),
        ]),
        delivery,
        ledger: Ledger {
            messages: Messages { attempted: 600_000, unacked: 600_000, ..Messages::default() },
            deliveries: Deliveries {
                expected: 600_000,
                delivered: 599_400,
                lost_explained: 600,
                ..Deliveries::default()
            },
            causes: BTreeMap::from([
                ("connection_dropped".to_owned(), 12),
                ("subscriber_away".to_owned(), 588),
            ]),
            ..Ledger::default()
        },
        generator: Generator {
            lag_p50_us: Some(2.0),
            lag_p99_us: (!sim).then_some(310.0),
            lag_max_us: Some(900.0),
            canary_p99_us: (!sim).then_some(290.5),
            unsent: 0,
            ..Generator::default()
        },
        resources: Resources {
            node_cpu_s: Some(1.2),
            client_cpu_s: Some(2.4),
            node_memory_bytes: Some(12_000_000),
            bytes_in: 90_000_000,
            bytes_out: 89_910_000,
            cpu_us_per_message: Some(6.0),
            ..Resources::default()
        },
        anatomy: STAGES.iter().map(|stage| ((*stage).to_owned(), base_us / 5.0)).collect(),
        series: series(base_us, 30..34),
        faults: vec![Fault {
            kind: "subscriber-restart".to_owned(),
            target: "ingest, member 0".to_owned(),
            at_s: 30.0,
            until_s: 34.0,
            took_effect: true,
        }],
        ..Trial::default()
    }
}

fn objective(
    contender: &str,
    mode: Mode,
    actual: Option<f64>,
    outcome: Outcome,
) -> ObjectiveResult {
    ObjectiveResult {
        contender: contender.to_owned(),
        mode,
        subscription: "ingest".to_owned(),
        metric: "p99_delivery".to_owned(),
        target: 2_000.0,
        actual,
        outcome,
        reason: (outcome == Outcome::Undecided)
            .then(|| "the instrument's lag is a third of it".to_owned()),
    }
}

/// A whole run.
pub fn sample() -> Record {
    let mut redis = trial("redis", Mode::Embedded, 71.0);
    redis.valid = false;
    redis.invalid_reason = Some("the generator sent 97.1 % of the plan".to_owned());
    redis.ledger.deliveries.delivered = 599_398;
    redis.ledger.deliveries.lost_unexplained = 2;
    redis.ledger.duplicates = 3;
    redis.faults[0].took_effect = false;
    Record {
        lab: Lab { version: "0.1.0".to_owned(), commit: Some("e506db3".to_owned()) },
        host: Host {
            cpu: "A processor".to_owned(),
            cores: 2,
            memory_bytes: 8 << 30,
            os: "Linux 6.1".to_owned(),
        },
        command: "lab run iot-50k --seed 7 --set populations.devices.count=1000".to_owned(),
        started_at: "2026-01-31T12:00:00Z".to_owned(),
        seed: 7,
        scenario: ScenarioInfo {
            name: "iot-50k".to_owned(),
            title: "50,000 devices report to four workers".to_owned(),
            question: "Which broker hands readings over within 2 ms, and what does a restart lose?"
                .to_owned(),
            hash: "91be00aa".to_owned(),
            non_defaults: vec!["populations.devices.count = 1000".to_owned()],
        },
        trace_hash: Some("77aa01".to_owned()),
        verdict: Verdict {
            winner: Some("nats".to_owned()),
            text: "nats fits: its p99 is 1.22 ms in virtual time where 2 ms are allowed. redis \
                   misses the objective; the embedded figures decide nothing, because this \
                   machine's own lag is a third of them."
                .to_owned(),
            would_change: vec!["an objective of 3 ms: redis would meet it too".to_owned()],
            exit_code: 5,
            objectives: vec![
                objective("nats", Mode::Sim, Some(1_224.0), Outcome::Met),
                objective("nats", Mode::Embedded, Some(96.0), Outcome::Undecided),
                objective("redis", Mode::Sim, Some(2_840.0), Outcome::Missed),
                objective("redis", Mode::Embedded, None, Outcome::Undecided),
            ],
        },
        trials: vec![
            trial("nats", Mode::Sim, 612.0),
            trial("nats", Mode::Embedded, 48.0),
            trial("redis", Mode::Sim, 1_420.0),
            redis,
        ],
        ..Record::default()
    }
}

/// The run of one contender in one mode.
pub fn single() -> Record {
    let mut record = sample();
    record.trials.truncate(1);
    record.verdict.objectives.truncate(1);
    record
}

/// An interrupted run with hardly a figure in it.
pub fn nulls() -> Record {
    let mut record = sample();
    record.partial = true;
    record.trace_hash = None;
    record.verdict = Verdict { text: "nothing was decided".to_owned(), ..Verdict::default() };
    record.trials.truncate(1);
    let trial = &mut record.trials[0];
    trial.delivery = Latency {
        response: quantiles(40, [None, None, None, None, Some(933.0)], &[]),
        service: quantiles(0, [None; 5], &[]),
    };
    trial.by_subscription.clear();
    trial.publish = None;
    trial.generator = Generator::default();
    trial.resources = Resources::default();
    trial.series.clear();
    trial.anatomy.clear();
    trial.faults.clear();
    record
}

/// A record whose every text is out to do harm.
pub fn hostile() -> Record {
    let mut record = sample();
    let evil = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{202e}<script>alert(1)</script>\r\n";
    record.scenario.title = format!("{evil}{}", "long ".repeat(2_000));
    record.scenario.question = "\u{200f}\u{9b}31m\u{0}why?\u{2028}because".to_owned();
    record.scenario.name = evil.to_owned();
    record.command = format!("{evil}; rm -rf /");
    record.verdict.text = "x".repeat(10_000);
    record.host.cpu = evil.repeat(30);
    record.trials.truncate(2);
    for trial in &mut record.trials {
        trial.contender = format!("=cmd(){evil}");
        trial.delivered_per_s = 1e300;
        trial.delivery.response.max_us = Some(f64::MAX);
        trial.not_applied = vec![evil.to_owned()];
        trial.ledger.causes = BTreeMap::from([(evil.to_owned(), u64::MAX)]);
        trial.ledger.deliveries.expected = u64::MAX;
        trial.faults[0].kind = evil.to_owned();
        trial.faults[0].at_s = -1e300;
        trial.faults[0].until_s = 1e300;
        trial.series[3].t_s = -5e9;
        trial.series[4].p99_us = Some(-3.0);
    }
    record
}
