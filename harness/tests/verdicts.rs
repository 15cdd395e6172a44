//! How objectives about what is kept are judged, and what the verdict says of
//! contracts that differ.

use std::collections::BTreeMap;

use lab::measure::meters::histogram;
use lab::measure::verdict::judge;
use lab::trial::account::Accounted;
use lab_reports::record::{
    AckProves, Deliveries, Durable, Mode, Outcome, SubscriptionLedger, Trial, Verdict,
};
use lab_workloads::scenario::model::Scenario;
use lab_workloads::scenario::{Options, parse};

fn scenario(metric: &str) -> Scenario {
    let text = format!(
        r#"
title = "Judged"

[[phases]]
kind = "steady"
duration = "10s"

[populations.shops]
role = "publisher"
streams.payments.channel = "payment"
streams.payments.arrival = {{ kind = "poisson", rate_per_s = 100 }}

[populations.ledger]
role = "subscriber"
filter = "payment"
start = "all"
ack = "explicit"

[[objectives]]
subscription = "ledger"
{metric}
"#
    );
    parse("judged", &text, &[], &Options::default()).unwrap_or_else(|error| panic!("{error:?}"))
}

fn ledger(edit: impl FnOnce(&mut SubscriptionLedger)) -> SubscriptionLedger {
    let deliveries = Deliveries { expected: 1_000, delivered: 1_000, ..Deliveries::default() };
    let mut ledger = SubscriptionLedger { deliveries, ..SubscriptionLedger::default() };
    edit(&mut ledger);
    ledger
}

fn accounted(contender: &str, proves: AckProves, ledger: SubscriptionLedger) -> Accounted {
    let trial = Trial {
        contender: contender.to_owned(),
        mode: Mode::Sim,
        valid: true,
        window_s: 10.0,
        ack_proves: proves,
        ledger_by_subscription: BTreeMap::from([("ledger".to_owned(), ledger)]),
        ..Trial::default()
    };
    Accounted {
        trial,
        by_subscription: BTreeMap::new(),
        publish: None,
        lag: histogram(),
        unsupported: BTreeMap::new(),
        interrupted: false,
    }
}

const NOTHING: AckProves = AckProves { copies: 0, durable: Durable::None };
const CACHED: AckProves = AckProves { copies: 1, durable: Durable::PageCache };
const SYNCED: AckProves = AckProves { copies: 1, durable: Durable::Synced };

fn outcomes(verdict: &Verdict) -> Vec<(&str, Outcome)> {
    verdict.objectives.iter().map(|it| (it.contender.as_str(), it.outcome)).collect()
}

#[test]
fn who_acknowledges_nothing_cannot_lose_what_was_acknowledged_and_is_not_praised_for_it() {
    let lost = |cause: &str| ledger(|it| it.acked_lost = BTreeMap::from([(cause.to_owned(), 3)]));
    let trials = [
        accounted("bus", NOTHING, ledger(|_| {})),
        accounted("careful", SYNCED, ledger(|_| {})),
        accounted("careless", CACHED, lost("power_loss")),
    ];
    let verdict = judge(&scenario("acked_loss = 0"), &trials, &[]);
    let expected =
        [("bus", Outcome::Unsupported), ("careful", Outcome::Met), ("careless", Outcome::Missed)];
    assert_eq!(outcomes(&verdict), expected);
    assert_eq!(verdict.winner.as_deref(), Some("careful"));
    insta::assert_snapshot!(verdict.text);
}

#[test]
fn what_was_not_served_is_unsupported_whatever_its_books_say() {
    let mut absent = accounted("bus", CACHED, ledger(|_| {}));
    absent.unsupported.insert("ledger".to_owned(), "nothing is kept".to_owned());
    let trials = [absent, accounted("log", CACHED, ledger(|_| {}))];
    let verdict = judge(&scenario("loss = 0.0"), &trials, &[]);
    assert_eq!(outcomes(&verdict), [("bus", Outcome::Unsupported), ("log", Outcome::Met)]);
    assert_eq!(verdict.objectives[0].reason.as_deref(), Some("nothing is kept"));
    assert!(!verdict.text.contains("contracts"), "both prove the same: {}", verdict.text);
}

#[test]
fn a_replay_is_complete_when_it_yields_all_that_is_kept() {
    let removed = |kept: u64, came: u64| {
        ledger(|it| {
            it.deliveries.delivered = came;
            it.deliveries.lost_explained = 1_000 - kept;
            it.deliveries.lost_unexplained = kept - came;
            it.causes = BTreeMap::from([("retention".to_owned(), 1_000 - kept)]);
        })
    };
    let trials = [
        accounted("whole", CACHED, removed(600, 600)),
        accounted("holed", CACHED, removed(600, 599)),
    ];
    let verdict = judge(&scenario("replay_complete = 1.0"), &trials, &[]);
    assert_eq!(outcomes(&verdict), [("whole", Outcome::Met), ("holed", Outcome::Missed)]);
}

#[test]
fn redeliveries_that_are_marked_are_duplicates_and_not_unmarked() {
    let again = |duplicates, redelivered| {
        ledger(|it| {
            it.duplicates = duplicates;
            it.redelivered = redelivered;
        })
    };
    let trials =
        || [accounted("marks", CACHED, again(0, 20)), accounted("rewinds", CACHED, again(20, 0))];
    let verdict = judge(&scenario("duplicates = 0.01"), &trials(), &[]);
    assert_eq!(outcomes(&verdict), [("marks", Outcome::Missed), ("rewinds", Outcome::Missed)]);
    let verdict = judge(&scenario("unmarked = 0.01"), &trials(), &[]);
    assert_eq!(outcomes(&verdict), [("marks", Outcome::Met), ("rewinds", Outcome::Missed)]);
    let unprocessed = |count| ledger(|it| it.unprocessed = count);
    let trials =
        [accounted("retries", CACHED, unprocessed(0)), accounted("drops", CACHED, unprocessed(9))];
    let verdict = judge(&scenario("unprocessed = 0.001"), &trials, &[]);
    assert_eq!(outcomes(&verdict), [("retries", Outcome::Met), ("drops", Outcome::Missed)]);
}

/// Books of `expected` copies of which `lost` were lost with a cause.
fn lost(lost: u64, expected: u64) -> SubscriptionLedger {
    ledger(|it| {
        it.deliveries.expected = expected;
        it.deliveries.lost_explained = lost;
        it.deliveries.delivered = expected - lost;
    })
}

/// One trial with a CPU time a message.
fn costing(contender: &str, cpu_us: f64, ledger: SubscriptionLedger) -> Accounted {
    let mut it = accounted(contender, NOTHING, ledger);
    it.trial.ledger.deliveries =
        it.trial.ledger_by_subscription.values().next().expect("one").deliveries;
    it.trial.resources.cpu_us_per_message = Some(cpu_us);
    it
}

#[test]
fn one_copy_of_a_hundred_thousand_decides_nothing_and_two_percent_do() {
    let trials = [
        costing("cheap", 0.1, lost(1, 100_000)),
        costing("dear", 1.2, lost(0, 100_000)),
        costing("leaky", 0.1, lost(2_000, 100_000)),
    ];
    let verdict = judge(&scenario("loss = 0.05"), &trials, &[]);
    assert_eq!(verdict.winner.as_deref(), Some("cheap"));
    insta::assert_snapshot!(verdict.text);
}

#[test]
fn who_is_set_aside_is_named_where_the_rest_cannot_be_told_apart() {
    let trials = [
        costing("one", 0.10, lost(0, 100_000)),
        costing("two", 0.11, lost(0, 100_000)),
        costing("leaky", 0.05, lost(2_000, 100_000)),
    ];
    let verdict = judge(&scenario("loss = 0.05"), &trials, &[]);
    assert_eq!(verdict.winner, None);
    insta::assert_snapshot!(verdict.text);
}

#[test]
fn where_nobody_fits_the_nearest_is_named() {
    let trials = [
        costing("near", 0.1, lost(10, 1_000)),
        costing(
            "far",
            0.1,
            ledger(|it| {
                it.deliveries.expected = 1_000;
                it.deliveries.lost_explained = 900;
                it.reordered = 7;
            }),
        ),
    ];
    let verdict = judge(
        &scenario("loss = 0.0\n[[objectives]]\nsubscription = \"ledger\"\norder = 0"),
        &trials,
        &[],
    );
    assert_eq!(verdict.winner, None);
    let change = "a target of 1.00 % or more for loss at `ledger` (it is 0 %): near would fit";
    assert_eq!(verdict.would_change, [change]);
    insta::assert_snapshot!(verdict.text);
}
