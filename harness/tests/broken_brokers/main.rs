//! The instrument is tested with broken brokers: each does one thing wrong a few
//! times in a run, and the ledger must find every instance, call it by its name,
//! and find nothing else.

mod broker;
mod contender;

use std::sync::Arc;

use broker_contract::{Proof, SeedStream, Settings};
use broker_nats::CoreNats;
use lab::measure::meters::histogram;
use lab::modes::sim::costs::Costs;
use lab::modes::{embedded, sim};
use lab::trial::Watch;
use lab::trial::account::{Label, account};
use lab_reports::record::{Mode, Trial};
use lab_workloads::scenario::model::Scenario;
use lab_workloads::scenario::{Options, parse};

use broker::{DEED, Deed, Flaw};
use contender::BrokenContender;

/// Twenty publishers, 2,000 messages a second, and a reader for each half of them.
const SMALL: &str = r#"
title = "Two halves"

[[phases]]
kind = "warm-up"
duration = "100ms"

[[phases]]
kind = "steady"
duration = "700ms"

[[phases]]
kind = "drain"
duration = "10s"

[populations.north]
role = "publisher"
count = 10

[populations.north.fields.device]
source = "member"
prefix = "d"
width = 2

[populations.north.streams.readings]
channel = "north.{device}"
arrival = { kind = "poisson", rate_per_s = 100 }
size = { kind = "uniform", min = "64B", max = "256B" }

[populations.south]
role = "publisher"
count = 10

[populations.south.fields.device]
source = "member"
prefix = "d"
width = 2

[populations.south.streams.readings]
channel = "south.{device}"
arrival = { kind = "poisson", rate_per_s = 100 }
size = "96B"

[populations.north-reader]
role = "subscriber"
filter = "north.*"
processing = "10us"

[populations.south-reader]
role = "subscriber"
filter = "south.>"
processing = "10us"
"#;

/// A million deliveries, and a few thousand more, to one reader.
const MILLION: &str = r#"
title = "A million"

[[phases]]
kind = "steady"
duration = "5050ms"

[populations.devices]
role = "publisher"
count = 100

[populations.devices.streams.readings]
channel = "readings"
arrival = { kind = "periodic", every = "500us" }
size = "64B"

[populations.reader]
role = "subscriber"
filter = "readings"
processing = "1us"
inbox = 100_000
"#;

/// More than a machine can take, cut off at the moment at which sending ends.
const FLOOD: &str = r#"
title = "A flood"

[[phases]]
kind = "steady"
duration = "300ms"

[[phases]]
kind = "drain"
duration = "1ms"

[populations.devices]
role = "publisher"
count = 100

[populations.devices.streams.readings]
channel = "readings"
arrival = { kind = "poisson", rate_per_s = 10_000 }
size = "64B"

[populations.readers]
role = "subscriber"
count = 3
filter = "readings"
"#;

const SEED: SeedStream = SeedStream::new(11);

const FLAWS: [Deed; 7] = [
    Deed::Drop,
    Deed::Duplicate,
    Deed::Swap,
    Deed::Forget,
    Deed::Corrupt,
    Deed::Misdeliver,
    Deed::Swallow,
];

fn scenario(text: &str) -> Arc<Scenario> {
    Arc::new(parse("broken", text, &[], &Options::default()).unwrap_or_else(|e| panic!("{e:?}")))
}

/// Five wrong deeds in the first half of the small scenario.
fn a_few(deed: Deed) -> Flaw {
    Flaw { deed, every: 150, most: if deed == Deed::Forget { 1 } else { 5 } }
}

fn run(scenario: &Arc<Scenario>, mode: Mode, flaw: Flaw) -> Trial {
    type C = BrokenContender<CoreNats>;
    let configured = C::with(flaw);
    let watch = Watch::default();
    let raw = match mode {
        Mode::Sim => sim::run::<C>(scenario, &configured, &Costs::of("nats"), SEED, &watch),
        _ => embedded::run::<C>(scenario, &configured, SEED, &watch),
    };
    let canary = histogram();
    let label = Label {
        contender: "broken",
        mode,
        repeat: 0,
        settings: &Settings::default(),
        proof: Proof::NOTHING,
        seed: SEED,
        canary: (mode != Mode::Sim).then_some(&canary),
    };
    account::<C>(scenario, raw, &label).trial
}

/// Wrong deeds in a trial.
fn deeds(trial: &Trial) -> u64 {
    trial.sometimes.get(DEED).copied().unwrap_or(0)
}

/// What the ledger found: unexplained losses, duplicates, reordered, corrupt.
fn found(trial: &Trial) -> [u64; 4] {
    let ledger = &trial.ledger;
    assert!(ledger.messages.is_balanced() && ledger.deliveries.is_balanced(), "{ledger:?}");
    [ledger.deliveries.lost_unexplained, ledger.duplicates, ledger.reordered, ledger.corrupt]
}

/// Whether the ledger names every wrong deed as what it is, and nothing else.
fn is_caught(deed: Deed, trial: &Trial) -> bool {
    let (count, found) = (deeds(trial), found(trial));
    count > 0
        && match deed {
            Deed::None => false,
            Deed::Drop | Deed::Swallow => found == [count, 0, 0, 0],
            Deed::Duplicate => found == [0, count, 0, 0],
            Deed::Swap => found == [0, 0, count, 0],
            // How much is lost depends on when the subscription is forgotten.
            Deed::Forget => found[0] > 100 && found[1..] == [0, 0, 0],
            // The right copy did not come, and a wrong one did.
            Deed::Corrupt | Deed::Misdeliver => found == [count, 0, 0, count],
        }
}

fn assert_clean(trial: &Trial) {
    let deliveries = &trial.ledger.deliveries;
    assert!(trial.valid || trial.mode != Mode::Sim, "{:?}", trial.invalid_reason);
    assert!(deliveries.expected > 1_000, "{deliveries:?}");
    assert_eq!(found(trial), [0; 4], "{:?}", trial.ledger);
    assert_eq!(deliveries.lost_explained, 0, "{:?}", trial.ledger);
}

#[test]
fn an_honest_node_in_the_wrapper_is_clean() {
    let small = scenario(SMALL);
    for mode in [Mode::Sim, Mode::Embedded] {
        let trial = run(&small, mode, Flaw { deed: Deed::None, every: 1, most: 0 });
        assert_clean(&trial);
        assert_eq!(deeds(&trial), 0);
    }
}

#[test]
fn every_broken_broker_is_caught_in_every_mode() {
    let small = scenario(SMALL);
    let (mut caught, mut all, mut missed) = (0, 0, Vec::new());
    println!("deed        mode      planted  lost  duplicates  reordered  corrupt");
    for deed in FLAWS {
        for mode in [Mode::Sim, Mode::Embedded] {
            let trial = run(&small, mode, a_few(deed));
            let [lost, duplicates, reordered, corrupt] = found(&trial);
            println!(
                "{:<11} {:<9} {:>7} {lost:>5} {duplicates:>11} {reordered:>10} {corrupt:>8}",
                format!("{deed:?}"),
                format!("{mode:?}"),
                deeds(&trial),
            );
            all += 1;
            if is_caught(deed, &trial) {
                caught += 1;
            } else {
                missed.push(format!("{deed:?} in {mode:?}: {:?}", trial.ledger));
            }
        }
    }
    println!("kill rate: {caught} of {all}, {:.0} %", 100.0 * f64::from(caught) / f64::from(all));
    assert!(missed.is_empty(), "not caught, or called something else:\n{}", missed.join("\n"));
}

#[test]
fn one_loss_in_a_million_is_caught() {
    let flaw = Flaw { deed: Deed::Drop, every: 1_000_000, most: 1 };
    let trial = run(&scenario(MILLION), Mode::Sim, flaw);
    let deliveries = &trial.ledger.deliveries;
    println!(
        "{} of {} deliveries lost without a cause",
        deliveries.lost_unexplained, deliveries.expected
    );
    assert!(deliveries.expected > 1_000_000, "{deliveries:?}");
    assert!(is_caught(Deed::Drop, &trial), "{:?}", trial.ledger);
}

/// What is under way when a run is cut off is undrained, wherever it is: on a
/// thread that has not stopped yet, too.
#[test]
fn a_flood_that_is_cut_off_loses_nothing_without_a_cause() {
    let flood = scenario(FLOOD);
    for _ in 0..5 {
        let trial = run(&flood, Mode::Embedded, Flaw { deed: Deed::None, every: 1, most: 0 });
        let deliveries = &trial.ledger.deliveries;
        println!("{} of {} deliveries under way", deliveries.undrained, deliveries.expected);
        assert_eq!(found(&trial), [0; 4], "{:?}", trial.ledger);
    }
}
