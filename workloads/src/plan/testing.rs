//! Scenarios built by hand, for the tests and benches of the plan.

use std::collections::BTreeMap;
use std::time::Duration;

use broker_contract::{AckPolicy, Start};

use crate::scenario::model::{
    Arrival, Connections, Durations, Field, FieldSource, Link, Phase, PhaseKind, Population, Role,
    Scenario, Sizes, Stream, Subscription, Template, TemplatePart,
};

/// A second in nanoseconds.
pub const SECOND: u64 = 1_000_000_000;

/// A phase from and to these seconds.
pub fn phase(kind: PhaseKind, from_s: u64, to_s: u64, rate_from: f64, rate_to: f64) -> Phase {
    Phase { kind, start_ns: from_s * SECOND, end_ns: to_s * SECOND, rate_from, rate_to }
}

/// One steady phase of this many seconds.
pub fn steady(seconds: u64) -> Vec<Phase> {
    vec![phase(PhaseKind::Steady, 0, seconds, 1.0, 1.0)]
}

/// A scenario of these phases and populations, and defaults.
pub fn scenario(phases: Vec<Phase>, populations: Vec<Population>) -> Scenario {
    let link =
        Link { name: "lan".into(), round_trip: MILLI, jitter: Duration::ZERO, bandwidth_bps: None };
    Scenario {
        name: "test".into(),
        title: String::new(),
        question: String::new(),
        lesson: String::new(),
        seed: 1,
        phases,
        links: vec![link],
        populations,
        logs: Vec::new(),
        faults: Vec::new(),
        contenders: BTreeMap::new(),
        objectives: Vec::new(),
        non_defaults: Vec::new(),
        hash: String::new(),
    }
}

const MILLI: Duration = Duration::from_millis(1);

/// A field.
pub fn field(name: &str, source: FieldSource, prefix: &str, width: usize) -> Field {
    Field { name: name.into(), source, prefix: prefix.into(), width }
}

/// `text` with its `{name}`s replaced by those of `fields`.
pub fn template(text: &str, fields: &[Field]) -> Template {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').expect("a field ends");
        if !before.is_empty() {
            parts.push(TemplatePart::Literal(before.into()));
        }
        let field = fields.iter().find(|field| field.name == name).expect("a field of that name");
        parts.push(TemplatePart::Field(field.clone()));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(TemplatePart::Literal(rest.into()));
    }
    Template { parts, text: text.into() }
}

/// A stream of 128-byte messages without a key of its own.
pub fn stream(name: &str, channel: Template, arrival: Arrival) -> Stream {
    Stream { name: name.into(), channel, arrival, size: Sizes::Fixed(128), key: None }
}

/// Publishers.
pub fn publishers(name: &str, count: u32, streams: Vec<Stream>) -> Population {
    population(name, count, Role::Publisher { streams })
}

/// Subscribers.
pub fn subscribers(name: &str, count: u32, filter: Template, group: Option<&str>) -> Population {
    let subscription = Subscription {
        filter,
        group: group.map(str::to_owned),
        start: Start::New,
        processing: Durations::Fixed(Duration::ZERO),
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
        inbox: 1,
    };
    population(name, count, Role::Subscriber(subscription))
}

fn population(name: &str, count: u32, role: Role) -> Population {
    Population { name: name.into(), count, link: 0, connections: Connections::PerMember, role }
}

/// Devices that report every five seconds and raise rare alarms, a group that
/// takes all readings, a dashboard for one region, and one for all alarms.
pub fn telemetry(devices: u32, phases: Vec<Phase>) -> Scenario {
    let fields = [
        field("region", FieldSource::Spread { count: 40 }, "r", 2),
        field("device", FieldSource::Member, "d", 5),
    ];
    let readings = stream(
        "readings",
        template("telemetry.{region}.{device}.reading", &fields),
        Arrival::Periodic { every: Duration::from_secs(5), jitter: Duration::from_millis(250) },
    );
    let mut alarms = stream(
        "alarms",
        template("telemetry.{region}.{device}.alarm", &fields),
        Arrival::Poisson { rate_per_s: 0.0005 },
    );
    alarms.size = Sizes::LogNormal { median: 200, sigma: 0.5, min: 64, max: 4096 };
    let filter = |text: &str| template(text, &[]);
    scenario(
        phases,
        vec![
            publishers("devices", devices, vec![readings, alarms]),
            subscribers("ingest", 4, filter("telemetry.*.*.reading"), Some("ingest")),
            subscribers("dashboard", 1, filter("telemetry.r07.>"), None),
            subscribers("alarms", 1, filter("telemetry.*.*.alarm"), None),
        ],
    )
}
