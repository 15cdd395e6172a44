//! The page of a scenario by hand.

use std::collections::BTreeMap;
use std::time::Duration;

use broker_contract::{AckPolicy, CrashKind, Start};
use lab_workloads::scenario::model::*;

const SECOND: u64 = 1_000_000_000;

fn literal(text: &str) -> TemplatePart {
    TemplatePart::Literal(text.to_owned())
}

fn field(name: &str, source: FieldSource) -> TemplatePart {
    let prefix = name[..1].to_owned();
    TemplatePart::Field(Field { name: name.to_owned(), source, prefix, width: 2 })
}

fn template(text: &str, parts: Vec<TemplatePart>) -> Template {
    Template { parts, text: text.to_owned() }
}

fn subscription(filter: &str, group: Option<&str>) -> Subscription {
    Subscription {
        filter: template(filter, vec![literal(filter)]),
        group: group.map(str::to_owned),
        start: Start::New,
        processing: Durations::Exponential { mean: Duration::from_micros(200) },
        failure_rate: 0.0,
        nak_rate: 0.0,
        nak_delay: None,
        poison: 0.0,
        ack_wait: None,
        max_deliver: None,
        backoff: Vec::new(),
        joins_ns: 0,
        ack: AckPolicy::None,
        durable: false,
        max_in_flight: None,
        inbox: 100,
    }
}

fn population(name: &str, count: u32, connections: Connections, role: Role) -> Population {
    Population { name: name.to_owned(), count, link: 0, connections, role }
}

fn phase(kind: PhaseKind, from_s: u64, until_s: u64, rate: f64) -> Phase {
    Phase {
        kind,
        start_ns: from_s * SECOND,
        end_ns: until_s * SECOND,
        rate_from: rate,
        rate_to: rate,
    }
}

fn fault(kind: FaultKind) -> Fault {
    Fault { kind, at_ns: 30 * SECOND, until_ns: 33 * SECOND }
}

fn scenario() -> Scenario {
    let channel = vec![
        literal("telemetry."),
        field("region", FieldSource::Spread { count: 40 }),
        literal("."),
        field("device", FieldSource::Member),
        literal(".reading"),
    ];
    let stream = Stream {
        name: "readings".to_owned(),
        channel: template("telemetry.{region}.{device}.reading", channel),
        arrival: Arrival::Periodic {
            every: Duration::from_secs(5),
            jitter: Duration::from_millis(500),
        },
        size: Sizes::Fixed(128),
        key: None,
    };
    Scenario {
        name: "mine".to_owned(),
        title: "devices report".to_owned(),
        question: "Who is fast enough?".to_owned(),
        lesson: "A lesson.".to_owned(),
        seed: 7,
        phases: vec![
            phase(PhaseKind::WarmUp, 0, 10, 1.0),
            phase(PhaseKind::Steady, 10, 70, 1.0),
            Phase { rate_to: 3.0, ..phase(PhaseKind::Ramp, 70, 80, 1.0) },
            phase(PhaseKind::Drain, 80, 90, 0.0),
        ],
        links: vec![Link {
            name: "edge".to_owned(),
            round_trip: Duration::from_millis(2),
            jitter: Duration::from_micros(100),
            bandwidth_bps: Some(100_000_000),
        }],
        populations: vec![
            population(
                "devices",
                50_000,
                Connections::PerMember,
                Role::Publisher { streams: vec![stream] },
            ),
            population(
                "ingest",
                4,
                Connections::PerMember,
                Role::Subscriber(subscription("telemetry.>", Some("ingest"))),
            ),
            population(
                "dashboard",
                2,
                Connections::Shared(1),
                Role::Subscriber(subscription("telemetry.r07.*.reading", None)),
            ),
        ],
        logs: Vec::new(),
        faults: vec![
            fault(FaultKind::SubscriberRestart {
                population: 1,
                first: 0,
                members: 1,
                graceful: false,
            }),
            fault(FaultKind::BrokerCrash { how: CrashKind::PowerLoss }),
        ],
        contenders: BTreeMap::new(),
        objectives: vec![
            Objective { population: 1, metric: Metric::P99Delivery, target: 2_000.0 },
            Objective { population: 2, metric: Metric::Loss, target: 0.001 },
        ],
        non_defaults: vec!["populations.devices.count = 50000".to_owned()],
        hash: "91be00aa".to_owned(),
    }
}

#[test]
fn the_plan_in_words() {
    let page = super::page(&scenario(), 80).expect("settings are defaults");
    for line in page.lines() {
        assert!(lab_reports::clean::width(line) <= 80, "{line}");
    }
    // What the contenders add has tests of its own.
    let own: Vec<&str> = page.split("\nContenders and their settings").collect();
    let lowered = crate::contenders::names();
    let plan: String = own[0]
        .lines()
        .filter(|line| !lowered.iter().any(|name| line.trim_start().starts_with(name)))
        .filter(|line| line.len() - line.trim_start().len() != 17)
        .map(|line| format!("{line}\n"))
        .collect();
    insta::assert_snapshot!(plan);
}

#[test]
fn every_contender_lowers_every_filter_and_log() {
    let page = super::page(&scenario(), 80).expect("settings are defaults");
    for name in crate::contenders::names() {
        let lines = page.lines().filter(|line| line.starts_with(&format!("      {name} ")));
        assert_eq!(lines.count(), 3, "{name}: one for each filter, and one for the log");
    }
}

#[test]
fn a_setting_that_a_contender_does_not_have_is_refused() {
    let mut scenario = scenario();
    let name = crate::contenders::names()[0];
    let overrides = ContenderOverrides {
        settings: vec![("nosuch".to_owned(), "1".to_owned())],
        ..ContenderOverrides::default()
    };
    scenario.contenders.insert(name.to_owned(), overrides);
    let error = super::page(&scenario, 80).expect_err("refused").to_string();
    assert!(error.contains("`nosuch`") && !error.contains('\n'), "{error}");
}
