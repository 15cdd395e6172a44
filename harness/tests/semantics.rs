//! The semantics cases against the wall clock: on threads of this process, and over
//! TCP.
//!
//! Virtual time runs every case; this runs those that can be waited for, with
//! real concurrency and real files. A case is skipped when its `wait` steps take
//! longer than [`LONGEST`] together, and over TCP also when it asks for a fault that
//! a server cannot have.

#[path = "../../brokers/testkit/tests/common/mod.rs"]
mod common;

use std::sync::Arc;
use std::time::Duration;

use broker_contract::{Client, Codec, Configured, Contender, Feature, units};
use broker_nats::codec::NatsText;
use broker_redis::codec::Resp;
use broker_redis::frame::Proto;
use broker_testkit::cases::{CASE_FILES, Case, CaseSetup, parse_cases};
use broker_testkit::{all_cases, run_cases_in};
use common::*;
use lab::modes::embedded::arena::EmbeddedArena;
use lab::modes::wire::arena::tcp_arena;

/// More than this a case may not wait for.
const LONGEST: Duration = Duration::from_secs(10);

/// Every case that is skipped: a new one needs its name here.
const SKIPPED: &[&str] = &["a message comes again until it is acknowledged"];

/// The sum of a case's `wait` steps.
fn waits(case: &toml::Value) -> Duration {
    let steps = case["steps"].as_array().expect("a case has steps");
    steps
        .iter()
        .filter_map(|step| step.get("wait")?.as_str())
        .filter(|wait| *wait != "quiet")
        .map(|wait| units::parse_duration(wait).expect("a checked case"))
        .sum()
}

/// The cases to run, and the names of the others.
fn chosen() -> (Vec<Case>, Vec<String>) {
    let mut skipped = Vec::new();
    for (file, text) in CASE_FILES {
        let table: toml::Table = text.parse().expect("a checked file");
        for case in table["case"].as_array().expect("cases") {
            let waits = waits(case);
            if waits > LONGEST {
                let name = case["name"].as_str().expect("a case has a name");
                println!("skipped: `{name}` ({file}) waits for {waits:?}, more than {LONGEST:?}");
                skipped.push(name.to_owned());
            }
        }
    }
    let mut cases = all_cases().expect("the case files are right");
    cases.retain(|case| !skipped.contains(&case.name));
    (cases, skipped)
}

fn every_claim_holds<C: Contender>() {
    let (cases, _) = chosen();
    let report = run_cases_in::<C, _>(&cases, |setup: CaseSetup<'_, C>| {
        EmbeddedArena::new(setup.configured, setup.seed)
    });
    println!("{report}");
    report.assert_passed();
    assert_eq!(report.passed.len() + report.refused.len(), cases.len());
}

#[test]
fn only_cases_that_wait_for_long_are_skipped() {
    assert_eq!(chosen().1, SKIPPED);
}

#[test]
fn every_claim_of_core_nats_holds_on_threads() {
    every_claim_holds::<broker_nats::CoreNats>();
}

#[test]
fn every_claim_of_jetstream_holds_on_threads() {
    every_claim_holds::<broker_nats::JetStream>();
}

#[test]
fn every_claim_of_redis_pubsub_holds_on_threads() {
    every_claim_holds::<broker_redis::RedisPubSub>();
}

#[test]
fn every_claim_of_the_kafka_log_holds_on_threads() {
    every_claim_holds::<broker_kafka::KafkaLog>();
}

/// Why a case is left out over TCP.
const NO_POWER_LOSS: &str = "a running machine does not lose its power";
const IN_MEMORY: &str = "a server without a store directory keeps its files in memory";

/// Cases that are left out over TCP: a new one needs its name here.
const SKIPPED_OVER_TCP: &[(&str, &str)] =
    &[("what was acknowledged as synced survives a power loss", NO_POWER_LOSS)];
/// The same for contenders that store something.
const STORING_SKIPPED_OVER_TCP: &[(&str, &str)] = &[
    ("after a restart of the node, its clients are back by themselves", IN_MEMORY),
    ("a durable consumer outlives a crash of the node", IN_MEMORY),
    ("what is not acknowledged at a crash comes after it", IN_MEMORY),
    ("what was acknowledged survives a crash of the process", IN_MEMORY),
    ("what is stored can be read again after a crash of the process", IN_MEMORY),
];

/// The cases for TCP. The kernel keeps megabytes for a reader that stops where the
/// other modes keep kilobytes, so the flood of the slow reader and the limits that
/// it must break are 64 times larger.
fn chosen_for_tcp(stores: bool) -> Vec<Case> {
    let skipped = chosen().1;
    let mut cases = Vec::new();
    for (file, text) in CASE_FILES {
        let text = match *file {
            "cases/slow_consumer.toml" => {
                text.replace("size = 4096", "size = 262144").replace("\"64KiB\"", "\"4MiB\"")
            }
            _ => (*text).to_owned(),
        };
        cases.extend(parse_cases(file, &text).expect("as right as the original"));
    }
    cases.retain(|case| !skipped.contains(&case.name));
    let storing = if stores { STORING_SKIPPED_OVER_TCP } else { &[] };
    for (name, reason) in SKIPPED_OVER_TCP.iter().chain(storing) {
        let before = cases.len();
        cases.retain(|case| case.name != *name);
        assert_eq!(cases.len(), before - 1, "there is no case `{name}`");
        println!("skipped over TCP: `{name}`: {reason}");
    }
    cases
}

fn every_claim_holds_over_tcp<C: Contender, K>(codec: &K)
where
    K: Codec<Broker = <C::Client as Client>::Broker>,
{
    every_claim_holds_over_tcp_with::<C, K>(codec, |_| {});
}

/// The same with clients or a node that are told something more.
fn every_claim_holds_over_tcp_with<C: Contender, K>(codec: &K, more: fn(&mut Configured<C>))
where
    K: Codec<Broker = <C::Client as Client>::Broker>,
{
    let stores = C::profile().claim(Feature::PublishAck).is_available();
    let cases = chosen_for_tcp(stores);
    let report = run_cases_in::<C, _>(&cases, |mut setup: CaseSetup<'_, C>| {
        more(&mut setup.configured);
        tcp_arena::<C, K>(codec.clone(), setup.configured, setup.seed)
    });
    println!("{report}");
    report.assert_passed();
    assert_eq!(report.passed.len() + report.refused.len(), cases.len());
}

#[test]
fn every_claim_of_core_nats_holds_over_tcp() {
    every_claim_holds_over_tcp::<broker_nats::CoreNats, _>(&NatsText::default());
}

#[test]
fn every_claim_of_jetstream_holds_over_tcp() {
    every_claim_holds_over_tcp::<broker_nats::JetStream, _>(&NatsText::default());
}

#[test]
fn every_claim_of_redis_pubsub_holds_over_tcp() {
    every_claim_holds_over_tcp::<broker_redis::RedisPubSub, _>(&Resp::default());
}

#[test]
fn every_claim_of_redis_pubsub_holds_over_tcp_with_resp3() {
    every_claim_holds_over_tcp_with::<broker_redis::RedisPubSub, _>(
        &Resp::default(),
        |configured| {
            Arc::make_mut(&mut configured.client).proto = Proto::Resp3;
        },
    );
}

/// The arena itself: what the testkit's broken buses do wrong is seen here too.
fn is_caught<C: Contender>(feature: Feature, what: &str) {
    let (mut cases, _) = chosen();
    cases.retain(|case| case.feature == feature);
    let report = run_cases_in::<C, _>(&cases, |setup: CaseSetup<'_, C>| {
        EmbeddedArena::new(setup.configured, setup.seed)
    });
    let text = report.to_string();
    assert!(!report.is_passed() && text.contains(what), "nothing says {what:?}:\n{text}");
}

macro_rules! broken {
    ($($test:ident: $flaw:ident, $feature:ident, $what:literal;)*) => {
        $(#[test]
        fn $test() {
            is_caught::<Bus<$flaw>>(Feature::$feature, $what);
        })*
    };
}

broken! {
    a_bus_that_drops_is_caught: DROPS, PublisherOrder, "missing \"m";
    a_bus_that_duplicates_is_caught: DUPLICATES, PublisherOrder, "too much \"m";
    // Its last delivery waits for a next one, and that shows as well.
    a_bus_that_swaps_is_caught: SWAPS, PublisherOrder, "missing \"";
    a_frame_on_a_closed_connection_is_caught: SENDS_AFTER_CLOSE, Publish, "which is not open";
    an_operation_that_ends_twice_is_caught: ENDS_TWICE, Headers, "ended already";
    a_drain_that_loses_is_caught: DRAINS_NOTHING, Drain, "missing \"m";
    a_bus_that_never_cuts_is_caught: NEVER_CUTS, SlowConsumerCut, "it is connected";
}
