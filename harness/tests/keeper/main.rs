//! Trials of a broker that stores: what it must keep through crashes, restarts
//! and failures, and that the ledger catches one that does not.

mod client;
mod node;
mod soak;

use std::sync::Arc;

use broker_contract::{Configured, Contender, Proof, SeedStream, Settings};
use broker_nats::CoreNats;
use lab::measure::meters::histogram;
use lab::modes::sim::costs::Costs;
use lab::modes::{embedded, sim};
use lab::trial::Watch;
use lab::trial::account::{Accounted, Label, account};
use lab_reports::record::{Mode, Trial};
use lab_workloads::scenario::model::Scenario;
use lab_workloads::scenario::{Known, Options, built_in, parse};

use client::Stored;
use node::Flaw;

/// Payments to a ledger that acknowledges and must not lose any, an auditor that
/// reads all of them at the end, and somebody who just looks on.
const PAYMENTS: &str = r#"
title = "Payments"

[[phases]]
kind = "steady"
duration = "1500ms"

[[phases]]
kind = "drain"
duration = "4s"

[populations.shops]
role = "publisher"
count = 10
fields.shop = {}
streams.payments.channel = "payment.{shop}"
streams.payments.arrival = { kind = "poisson", rate_per_s = 100 }

[populations.ledger]
role = "subscriber"
count = 2
filter = "payment.>"
group = "ledger"
processing = { kind = "exponential", mean = "1300us" }
ack = "explicit"
durable = true
failure_rate = 0.02
poison = 0.005
ack_wait = "800ms"
max_deliver = 5
backoff = ["400ms", "800ms"]

[populations.auditor]
role = "subscriber"
filter = "payment.>"
start = "all"
joins = 1.0

[populations.onlooker]
role = "subscriber"
filter = "payment.>"
"#;

const CRASH: &str = r#"
[[faults]]
kind = "broker-crash"
at = 0.4
for = 0.1
"#;

const RESTART: &str = r#"
[[faults]]
kind = "subscriber-restart"
population = "ledger"
members = 2
at = 0.6
for = 0.2
"#;

fn scenario(faults: &str) -> Arc<Scenario> {
    let text = format!("{PAYMENTS}{faults}");
    Arc::new(parse("keeper", &text, &[], &Options::default()).unwrap_or_else(|e| panic!("{e:?}")))
}

fn power_loss() -> String {
    CRASH.replace("at = 0.4", "how = \"power-loss\"\nat = 0.4")
}

fn costs() -> Costs {
    Costs { sync_ns: 2_000_000.0, ..Costs::of("nats") }
}

fn run_of<C: Contender>(
    scenario: &Arc<Scenario>,
    mode: Mode,
    configured: &Configured<C>,
    seed: u64,
) -> Accounted {
    let (seed, watch) = (SeedStream::new(seed), Watch::default());
    let raw = match mode {
        Mode::Sim => sim::run::<C>(scenario, configured, &costs(), seed, &watch),
        _ => embedded::run::<C>(scenario, configured, seed, &watch),
    };
    let canary = histogram();
    let label = Label {
        contender: C::NAME,
        mode,
        repeat: 0,
        settings: &Settings::default(),
        proof: configured.proof,
        seed,
        canary: (mode != Mode::Sim).then_some(&canary),
    };
    account::<C>(scenario, raw, &label)
}

fn run(scenario: &Arc<Scenario>, mode: Mode, flaw: Flaw, syncs: bool) -> Trial {
    run_of::<Stored>(scenario, mode, &Stored::with(flaw, syncs), 11).trial
}

fn lost(trial: &Trial) -> (u64, u64) {
    let deliveries = &trial.ledger.deliveries;
    assert!(trial.ledger.messages.is_balanced() && deliveries.is_balanced(), "{deliveries:?}");
    (deliveries.lost_explained, deliveries.lost_unexplained)
}

#[test]
fn what_was_acknowledged_survives_a_killed_broker_and_a_restarted_consumer() {
    let scenario = scenario(&format!("{CRASH}{RESTART}"));
    for mode in [Mode::Sim, Mode::Embedded] {
        let trial = run(&scenario, mode, Flaw::None, false);
        assert!(trial.valid || mode != Mode::Sim, "{:?}", trial.invalid_reason);
        let (ledger, books) = (&trial.ledger, &trial.ledger_by_subscription);
        assert_eq!(lost(&trial).1, 0, "{mode}: {ledger:?}");
        assert!(ledger.messages.acked > 1_000, "{ledger:?}");
        assert!(ledger.acked_lost.is_empty() || books["ledger"].acked_lost.is_empty());
        let of_ledger = &books["ledger"];
        assert_eq!(of_ledger.deliveries.delivered, of_ledger.deliveries.expected, "{mode}");
        assert_eq!(of_ledger.unprocessed, 0, "{mode}: every failure was retried until it passed");
        assert!(of_ledger.poison > 0 && ledger.given_up >= of_ledger.poison, "{mode}");
        assert!(of_ledger.redelivered > of_ledger.poison * 3, "{mode}: {of_ledger:?}");
        let of_auditor = &books["auditor"];
        assert_eq!(of_auditor.deliveries.delivered, of_auditor.deliveries.expected, "{mode}");
        assert!(trial.faults.iter().all(|fault| fault.took_effect), "{mode}");
        assert_eq!(trial.not_applied.len(), usize::from(mode == Mode::Embedded), "{mode}");
        assert!(trial.resources.disk_bytes > 100_000, "{mode}");
        // What the auditor catches up on took no time to deliver.
        assert!(!trial.by_subscription.contains_key("auditor"), "{mode}");
    }
}

#[test]
fn a_power_loss_takes_what_was_not_synced_and_nothing_else() {
    let scenario = scenario(&power_loss());
    for mode in [Mode::Sim, Mode::Embedded] {
        let trial = run(&scenario, mode, Flaw::None, false);
        assert_eq!(lost(&trial).1, 0, "{mode}: {:?}", trial.ledger);
        let by_power = trial.ledger.acked_lost.get("power_loss").copied().unwrap_or(0);
        assert!(by_power > 0, "{mode}: {:?}", trial.ledger);
        let oldest = trial.ledger.oldest_lost_s.expect("something was lost");
        assert!(oldest > 0.0 && oldest < 1.5, "{mode}: {oldest}");
        let trial = run(&scenario, mode, Flaw::None, true);
        assert_eq!(lost(&trial).1, 0, "{mode}, synced: {:?}", trial.ledger);
        assert_eq!(trial.ledger_by_subscription["ledger"].acked_lost.len(), 0, "{mode}, synced");
        assert_eq!(trial.ledger_by_subscription["auditor"].acked_lost.len(), 0, "{mode}, synced");
        assert!(trial.resources.syncs > 10, "{mode}");
    }
}

#[test]
fn a_storing_broker_that_breaks_its_promise_is_caught() {
    let crashed = scenario(CRASH);
    let quiet = scenario("");
    for (flaw, scenario) in [
        (Flaw::ForgetsOnBoot, &crashed),
        (Flaw::AcksEarly, &crashed),
        (Flaw::NeverRedelivers, &scenario(RESTART)),
    ] {
        for mode in [Mode::Sim, Mode::Embedded] {
            let trial = run(scenario, mode, flaw, false);
            let (_, unexplained) = lost(&trial);
            println!("{flaw:?} in {mode}: {unexplained} lost without a cause");
            assert!(unexplained > 0 && trial.broke_its_promise(), "{flaw:?} in {mode}");
        }
    }
    // Without a crash there is nothing that these two do wrong.
    for flaw in [Flaw::ForgetsOnBoot, Flaw::AcksEarly] {
        assert_eq!(lost(&run(&quiet, Mode::Sim, flaw, false)), (0, 0), "{flaw:?}");
    }
    // And what is never delivered again after a failure is never processed.
    let books = run(&quiet, Mode::Sim, Flaw::NeverRedelivers, false).ledger_by_subscription;
    assert!(books["ledger"].unprocessed > 10, "{books:?}");
}

#[test]
fn a_full_disk_refuses_and_a_stalled_one_delays() {
    let fault =
        |kind: &str| scenario(&format!("\n[[faults]]\nkind = \"{kind}\"\nat = 0.4\nfor = 0.2\n"));
    for mode in [Mode::Sim, Mode::Embedded] {
        let trial = run(&fault("disk-full"), mode, Flaw::None, true);
        assert!(trial.ledger.messages.failed > 100, "{mode}: {:?}", trial.ledger.messages);
        assert_eq!(lost(&trial), (0, 0), "{mode}");
        let trial = run(&fault("disk-stall"), mode, Flaw::None, true);
        assert_eq!((trial.ledger.messages.failed, lost(&trial)), (0, (0, 0)), "{mode}");
        let slowest = trial.publish.and_then(|publish| publish.response.max_us).unwrap_or(0.0);
        assert!(slowest > 200_000.0, "{mode}: an acknowledgement waited {slowest} us at most");
    }
}

#[test]
fn who_keeps_nothing_does_without_and_says_so() {
    let configured =
        CoreNats::configure(&Settings::resolve(CoreNats::settings(), []).expect("reads"))
            .expect("configures");
    assert_eq!(configured.proof, Proof::NOTHING);
    for mode in [Mode::Sim, Mode::Embedded] {
        let accounted = run_of::<CoreNats>(&scenario(RESTART), mode, &configured, 3);
        let trial = accounted.trial;
        assert_eq!(lost(&trial).1, 0, "{mode}: {:?}", trial.ledger);
        let said = trial.not_applied.join("\n");
        for what in ["logs (payment)", "ledger: acknowledgement", "ledger: durable", "auditor: not"]
        {
            assert!(said.contains(what), "{mode}: {what} in\n{said}");
        }
        assert!(accounted.unsupported.contains_key("auditor"), "{mode}");
        let books = &trial.ledger_by_subscription;
        assert_eq!(books["auditor"].deliveries.expected, 0, "{mode}: it is owed nothing");
        assert!(books["auditor"].unsupported.is_some(), "{mode}");
        assert!(books["ledger"].causes.contains_key("subscriber_away"), "{mode}: {books:?}");
        assert!(books["ledger"].unprocessed > 10, "{mode}: nothing is retried");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let scenario = scenario(&format!("{}{RESTART}", power_loss()));
    let hash = |seed| {
        let trial = run_of::<Stored>(&scenario, Mode::Sim, &Stored::with(Flaw::None, false), seed);
        trial.trial.trace_hash
    };
    assert_eq!(hash(5), hash(5));
    assert_ne!(hash(5), hash(6));
}

/// The scenario that the lab carries for this, against a broker that keeps what it
/// acknowledges.
#[test]
fn the_payments_that_come_with_the_lab_lose_nothing_that_was_acknowledged() {
    let text = built_in().iter().find(|(name, _)| *name == "payments").expect("it is there").1;
    let contenders = lab::contenders::all_known();
    let known: Vec<Known<'_>> = contenders
        .iter()
        .map(|it| Known { name: it.profile.name, settings: it.settings, presets: it.presets })
        .collect();
    let parsed = |sets: &[String]| {
        let options = Options { sets, ..Options::default() };
        Arc::new(parse("payments", text, &known, &options).unwrap_or_else(|e| panic!("{e:?}")))
    };
    let trial = run(&parsed(&[]), Mode::Sim, Flaw::None, true);
    let books = &trial.ledger_by_subscription;
    assert_eq!(lost(&trial).1, 0, "{:?}", trial.ledger);
    for name in ["ledger", "notify", "auditor"] {
        let of = &books[name];
        assert_eq!(of.acked_lost.len(), 0, "{name}: {of:?}");
        assert_eq!(of.deliveries.delivered, of.deliveries.expected, "{name}: {of:?}");
    }
    assert_eq!(books["ledger"].unprocessed, 0);
    assert!(books["ledger"].poison > 0 && trial.ledger.given_up > 0, "{:?}", trial.ledger);
    assert!(trial.faults.iter().all(|fault| fault.took_effect));
    let p99 = trial.by_subscription["ledger"].response.p99_us;
    assert!(p99.is_some(), "enough deliveries for the percentile that is judged");

    let power = parsed(&["faults.1.how=power-loss".to_owned()]);
    let unsynced = run(&power, Mode::Sim, Flaw::None, false);
    assert_eq!(lost(&unsynced).1, 0, "{:?}", unsynced.ledger);
    assert!(unsynced.ledger.acked_lost["power_loss"] > 0);
    let synced = run(&power, Mode::Sim, Flaw::None, true);
    assert_eq!(lost(&synced).1, 0, "{:?}", synced.ledger);
    assert_eq!(synced.ledger.acked_lost.len(), 0, "{:?}", synced.ledger);
}
