//! All modes: with the canary, the smallest broker there is, and over TCP with
//! those that have a codec.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use broker_contract::{Client, Codec, Contender, CrashKind, SeedStream, Settings, Start};
use broker_redis::RedisPubSub;
use lab_reports::record::Mode;
use lab_workloads::scenario::model::{
    Arrival, Connections, Durations, Fault, FaultKind, Field, FieldSource, Link, Phase, PhaseKind,
    Population, Role, Scenario, Sizes, Stream, Subscription, Template, TemplatePart,
};

use super::embedded::canary::Canary;
use super::sim::costs::Costs;
use super::{embedded, sim, wire};
use crate::measure::meters::histogram;
use crate::trial::account::{Accounted, Label, account};
use crate::trial::{RawTrial, Watch};

fn literal(text: &str) -> Template {
    Template { parts: vec![TemplatePart::Literal(text.to_owned())], text: text.to_owned() }
}

/// Twenty devices at 50 messages/s each for a second and a half, one reader.
fn scenario(faults: Vec<Fault>) -> Arc<Scenario> {
    let device = Field {
        name: "device".to_owned(),
        source: FieldSource::Member,
        prefix: "d".to_owned(),
        width: 2,
    };
    let channel = Template {
        parts: vec![TemplatePart::Literal("t.".to_owned()), TemplatePart::Field(device)],
        text: "t.{device}".to_owned(),
    };
    let phase = |kind, start_ms: u64, end_ms: u64, rate: f64| Phase {
        kind,
        start_ns: start_ms * 1_000_000,
        end_ns: end_ms * 1_000_000,
        rate_from: rate,
        rate_to: rate,
    };
    Arc::new(Scenario {
        name: "tiny".to_owned(),
        title: "Tiny".to_owned(),
        question: "Does it run?".to_owned(),
        lesson: "It does.".to_owned(),
        seed: 1,
        phases: vec![
            phase(PhaseKind::WarmUp, 0, 200, 1.0),
            phase(PhaseKind::Steady, 200, 1_500, 1.0),
            phase(PhaseKind::Drain, 1_500, 2_500, 0.0),
        ],
        links: vec![Link {
            name: "lan".to_owned(),
            round_trip: Duration::from_millis(1),
            jitter: Duration::from_micros(100),
            bandwidth_bps: None,
        }],
        populations: vec![
            Population {
                name: "devices".to_owned(),
                count: 20,
                link: 0,
                connections: Connections::PerMember,
                role: Role::Publisher {
                    streams: vec![Stream {
                        name: "readings".to_owned(),
                        channel,
                        arrival: Arrival::Poisson { rate_per_s: 50.0 },
                        size: Sizes::Uniform { min: 64, max: 256 },
                        key: None,
                    }],
                },
            },
            Population {
                name: "reader".to_owned(),
                count: 1,
                link: 0,
                connections: Connections::PerMember,
                role: Role::Subscriber(Subscription {
                    filter: literal("t.*"),
                    group: None,
                    start: Start::New,
                    processing: Durations::Fixed(Duration::from_micros(200)),
                    failure_rate: 0.0,
                    nak_rate: 0.0,
                    nak_delay: None,
                    poison: 0.0,
                    ack_wait: None,
                    max_deliver: None,
                    backoff: Vec::new(),
                    joins_ns: 0,
                    ack: broker_contract::AckPolicy::None,
                    durable: false,
                    max_in_flight: None,
                    inbox: 1_000,
                }),
            },
        ],
        logs: Vec::new(),
        faults,
        contenders: BTreeMap::new(),
        objectives: Vec::new(),
        non_defaults: Vec::new(),
        hash: String::new(),
    })
}

fn costs() -> Costs {
    Costs {
        frame_in_ns: 1_000.0,
        byte_in_ns: 1.0,
        frame_out_ns: 500.0,
        byte_out_ns: 1.0,
        client_send_ns: 100.0,
        client_record_ns: 0.0,
        client_receive_ns: 100.0,
        append_ns: 0.0,
        append_byte_ns: 0.0,
        sync_ns: 0.0,
        spread: 0.0,
        date: String::new(),
        source: "made up".to_owned(),
    }
}

fn simulated(scenario: &Arc<Scenario>, seed: u64) -> RawTrial {
    let configured = Canary::configure(&Settings::default()).expect("configures");
    let seed = SeedStream::new(seed);
    sim::run::<Canary>(scenario, &configured, &costs(), seed, &Watch::default())
}

fn accounted(scenario: &Arc<Scenario>, raw: RawTrial, mode: Mode, seed: u64) -> Accounted {
    accounted_of::<Canary>(scenario, raw, mode, seed)
}

fn accounted_of<C: Contender>(
    scenario: &Arc<Scenario>,
    raw: RawTrial,
    mode: Mode,
    seed: u64,
) -> Accounted {
    let settings = Settings::resolve(C::settings(), std::iter::empty::<(&str, &str)>())
        .expect("defaults are values");
    let canary = histogram();
    let label = Label {
        contender: C::NAME,
        mode,
        repeat: 0,
        settings: &settings,
        proof: broker_contract::Proof::NOTHING,
        seed: SeedStream::new(seed),
        canary: (mode != Mode::Sim).then_some(&canary),
    };
    account::<C>(scenario, raw, &label)
}

fn assert_kept(accounted: &Accounted) {
    let trial = &accounted.trial;
    assert!(trial.valid, "{:?}", trial.invalid_reason);
    let deliveries = &trial.ledger.deliveries;
    assert!(deliveries.expected > 1_000, "{deliveries:?}");
    assert!(trial.ledger.messages.is_balanced() && deliveries.is_balanced());
    assert_eq!(deliveries.lost_unexplained, 0, "{deliveries:?}");
    assert_eq!((trial.ledger.corrupt, trial.ledger.duplicates, trial.ledger.reordered), (0, 0, 0));
    let stages: f64 = trial.anatomy.values().sum();
    assert!((stages - trial.anatomy_mean_us.expect("sampled")).abs() < 0.01 * stages);
}

#[test]
fn a_simulated_run_keeps_its_books_and_repeats() {
    let scenario = scenario(Vec::new());
    let first = simulated(&scenario, 7);
    let (again, other) = (simulated(&scenario, 7), simulated(&scenario, 8));
    assert_eq!(first.trace_hash, again.trace_hash);
    assert_ne!(first.trace_hash, other.trace_hash);
    let accounted = accounted(&scenario, first, Mode::Sim, 7);
    // The stages are those of the deliveries whose times are judged, and no others.
    let trial = &accounted.trial;
    let (stages, mean) = (trial.anatomy_mean_us, trial.delivery.response.mean_us);
    let (stages, mean) = (stages.expect("sampled"), mean.expect("delivered"));
    assert!((stages - mean).abs() < 0.01 * mean, "{stages} and {mean}");
    assert_kept(&accounted);
    let deliveries = accounted.trial.ledger.deliveries;
    assert_eq!(deliveries.expected, deliveries.delivered);
    let response = &accounted.trial.delivery.response;
    let mean = response.mean_us.expect("delivered");
    // Two links of half a millisecond and at most their jitter; the node and the
    // reader's 200 us add a little.
    assert!((1_000.0..1_600.0).contains(&mean), "{mean}");
    let stages: f64 = accounted.trial.anatomy.values().sum();
    let links = accounted.trial.anatomy["to_broker"] + accounted.trial.anatomy["to_consumer"];
    assert!((1_000.0..1_200.0).contains(&links) && links < stages);
}

#[test]
fn a_killed_reader_leaves_a_hole_that_is_explained() {
    let fault = Fault {
        kind: FaultKind::SubscriberRestart { population: 1, first: 0, members: 1, graceful: false },
        at_ns: 500_000_000,
        until_ns: 700_000_000,
    };
    let scenario = scenario(vec![fault]);
    let accounted = accounted(&scenario, simulated(&scenario, 3), Mode::Sim, 3);
    assert_kept(&accounted);
    let deliveries = accounted.trial.ledger.deliveries;
    let lost = deliveries.lost_explained;
    assert!((150..260).contains(&lost), "about 200 ms at 1,000/s: {deliveries:?}");
    assert!(accounted.trial.faults[0].took_effect);
}

#[test]
fn what_a_client_refused_without_a_broker_is_no_backlog() {
    let crash = Fault {
        kind: FaultKind::BrokerCrash { how: CrashKind::ProcessKill },
        at_ns: 500_000_000,
        until_ns: 700_000_000,
    };
    let scenario = scenario(vec![crash]);
    let settings = Settings::resolve(RedisPubSub::settings(), std::iter::empty::<(&str, &str)>())
        .expect("defaults are values");
    let configured = RedisPubSub::configure(&settings).expect("defaults agree");
    let seed = SeedStream::new(3);
    let raw = sim::run::<RedisPubSub>(&scenario, &configured, &costs(), seed, &Watch::default());
    let trial = accounted_of::<RedisPubSub>(&scenario, raw, Mode::Sim, 3).trial;
    assert!(trial.ledger.messages.failed > 50, "{:?}", trial.ledger.messages);
    let last = trial.series.last().expect("seconds");
    assert_eq!(last.backlog, 0, "{:?}", trial.series);
}

#[test]
fn who_joins_late_is_behind_from_then_on_and_not_before() {
    let mut scenario = Arc::unwrap_or_clone(scenario(Vec::new()));
    let Role::Subscriber(subscription) = &mut scenario.populations[1].role else {
        panic!("it reads");
    };
    subscription.joins_ns = 1_200_000_000;
    let scenario = Arc::new(scenario);
    let trial = accounted(&scenario, simulated(&scenario, 3), Mode::Sim, 3).trial;
    assert!(trial.ledger.deliveries.delivered > 100, "{:?}", trial.ledger.deliveries);
    let behind: Vec<u64> = trial.series.iter().map(|point| point.backlog).collect();
    assert!(behind.iter().all(|waiting| *waiting < 10), "{behind:?}");
}

#[test]
fn a_slow_reader_makes_its_messages_wait() {
    let fault = Fault {
        kind: FaultKind::SlowSubscriber {
            population: 1,
            first: 0,
            members: 1,
            factor: 10.0,
            at_least: Duration::ZERO,
        },
        at_ns: 500_000_000,
        until_ns: 800_000_000,
    };
    let scenario = scenario(vec![fault]);
    let accounted = accounted(&scenario, simulated(&scenario, 3), Mode::Sim, 3);
    assert_kept(&accounted);
    let p99 = accounted.trial.delivery.response.max_us.expect("delivered");
    assert!(p99 > 50_000.0, "2 ms of work every 1 ms piles up: {p99}");
    assert!(accounted.trial.anatomy["consumer_wait"] > 5_000.0);
}

#[test]
fn an_embedded_run_keeps_its_books() {
    let scenario = scenario(Vec::new());
    let configured = Canary::configure(&Settings::default()).expect("configures");
    let raw =
        embedded::run::<Canary>(&scenario, &configured, SeedStream::new(5), &Watch::default());
    let accounted = accounted(&scenario, raw, Mode::Embedded, 5);
    assert_kept(&accounted);
    let deliveries = accounted.trial.ledger.deliveries;
    assert_eq!(deliveries.expected, deliveries.delivered + deliveries.undrained);
    assert!(accounted.trial.generator.lag_max_us.is_some());
}

/// Plays it over TCP with every contender that has a codec.
struct OverTcp(Arc<Scenario>);

impl crate::contenders::VisitWired for OverTcp {
    type Out = Accounted;
    fn visit<C: Contender, K: Codec<Broker = <C::Client as Client>::Broker>>(
        self,
        codec: K,
    ) -> Accounted {
        let settings = Settings::resolve(C::settings(), std::iter::empty::<(&str, &str)>())
            .expect("defaults are values");
        let configured = C::configure(&settings).expect("defaults agree");
        let (seed, watch) = (SeedStream::new(5), Watch::default());
        let raw = wire::run::<C, K>(codec, &self.0, &configured, seed, &watch);
        accounted_of::<C>(&self.0, raw, Mode::Wire, 5)
    }
}

#[test]
fn a_run_over_tcp_keeps_its_books() {
    let mut played = 0;
    for name in crate::contenders::names() {
        let Some(accounted) = crate::contenders::with_codec(name, OverTcp(scenario(Vec::new())))
        else {
            continue;
        };
        played += 1;
        assert_kept(&accounted);
        let deliveries = accounted.trial.ledger.deliveries;
        assert_eq!(deliveries.expected, deliveries.delivered + deliveries.undrained, "{name}");
        assert!(accounted.trial.resources.bytes_in > 100_000, "real bytes: {name}");
    }
    assert!(played >= 2, "core NATS and the bus have codecs");
}

#[test]
fn a_subscriber_that_restarts_over_tcp_is_missed_by_name() {
    let restart = Fault {
        kind: FaultKind::SubscriberRestart { population: 1, first: 0, members: 1, graceful: false },
        at_ns: 500_000_000,
        until_ns: 700_000_000,
    };
    for name in ["nats", "redis"] {
        let scenario = scenario(vec![restart.clone()]);
        let accounted =
            crate::contenders::with_codec(name, OverTcp(scenario)).expect("it has a codec");
        let deliveries = &accounted.trial.ledger.deliveries;
        assert!(deliveries.lost_explained > 0, "{name}: {deliveries:?}");
        assert_eq!(deliveries.lost_unexplained, 0, "{name}: {deliveries:?}");
    }
}
