//! `--set`, `--duration`, `--seed` and `--quick`.

use std::time::Duration;

use super::super::model::{Connections, PhaseKind, Role, Scenario};
use super::{FULL, Options, SMALL, known, parse, with};

fn fitted(text: &str, options: &Options<'_>) -> Scenario {
    parse("test", text, &known(), options).expect("fits")
}

fn steady_ms(scenario: &Scenario) -> u64 {
    scenario
        .phases
        .iter()
        .filter(|phase| phase.kind == PhaseKind::Steady)
        .map(|phase| phase.end_ns - phase.start_ns)
        .sum::<u64>()
        / 1_000_000
}

#[test]
fn sets_address_tables_lists_and_new_keys_and_the_last_wins() {
    let scenario = with(
        FULL,
        &[
            "populations.devices.count=7",
            "populations.devices.count = 1000",
            "populations.devices.connections=\"per-member\"",
            "phases.2.duration=5s",
            "links.local.round_trip=\"3ms\"",
            "populations.workers.filter=edge.*.*.*",
            "contenders.nats.max_connections=10",
            "objectives.0={subscription=\"workers\", order=0}",
            "objectives.5={subscription=\"mirrors\", loss=0.5}",
        ],
    )
    .expect("sets");
    let devices = &scenario.populations[0];
    assert_eq!((devices.count, devices.connections), (1000, Connections::PerMember));
    assert_eq!(steady_ms(&scenario), 5_000);
    assert_eq!(scenario.links[1].round_trip, Duration::from_millis(3));
    assert_eq!(scenario.contenders["nats"].settings[0], ("max_connections".into(), "10".into()));
    assert_eq!(scenario.objectives.len(), 6);
    assert!(scenario.non_defaults.contains(&"populations.devices.count = 1000".to_owned()));
}

#[test]
fn partitions_are_noted_by_name_whatever_their_order_in_the_file() {
    let noted = |partitions: &str| {
        let text = FULL.replace("{ burst = 3, edge = 2 }", partitions);
        let notes = fitted(&text, &Options::default()).non_defaults;
        notes.into_iter().filter(|note| note.contains(".partitions.")).collect::<Vec<_>>()
    };
    let in_order = noted("{ burst = 3, edge = 2 }");
    assert_eq!(in_order.len(), 2);
    assert_eq!(in_order, noted("{ edge = 2, burst = 3 }"));
}

#[test]
fn a_duration_is_the_sum_of_the_steady_phases_and_moves_faults() {
    let text = SMALL.to_owned()
        + "[[phases]]\nkind = \"pause\"\nduration = \"1s\"\n\
           [[phases]]\nkind = \"steady\"\nduration = \"20s\"\n\
           [[faults]]\nkind = \"broker-crash\"\nat = 0.5\nfor = 0.25\n";
    let options = Options { duration: Some(Duration::from_secs(100)), ..Options::default() };
    let scenario = fitted(&text, &options);
    assert_eq!(steady_ms(&scenario), 100_000);
    assert_eq!(scenario.phases[0].end_ns, 33_333_333_000, "steady phases are scaled alike");
    let sending = scenario.sending_ends_ns();
    assert_eq!(sending, 101_000_000_000);
    assert_eq!(
        (scenario.faults[0].at_ns, scenario.faults[0].until_ns),
        (sending / 2, sending / 4 * 3)
    );
}

#[test]
fn a_fault_at_a_time_is_refused_when_the_run_is_too_short_for_it() {
    let text =
        SMALL.to_owned() + "[[faults]]\nkind = \"broker-crash\"\nat = \"8s\"\nfor = \"1s\"\n";
    let short = Options { duration: Some(Duration::from_secs(5)), ..Options::default() };
    let error = parse("test", &text, &known(), &short).expect_err("beyond the end");
    assert!(error.message().contains("sending ends at \"5s\""), "{error}");
    let quick = fitted(&text, &Options { quick: true, ..Options::default() });
    assert_eq!(quick.faults[0].at_ns, 1_600_000_000, "--quick moves it along");
}

#[test]
fn quick_is_shorter_at_the_same_rates() {
    let full = fitted(FULL, &Options::default());
    let quick = fitted(FULL, &Options { quick: true, ..Options::default() });
    assert_eq!(steady_ms(&quick), 2_000);
    assert_eq!(quick.phases[0].end_ns, 500_000_000, "warm-up");
    let without_moments = |scenario: &Scenario| {
        let mut populations = scenario.populations.clone();
        for population in &mut populations {
            if let Role::Subscriber(subscription) = &mut population.role {
                subscription.joins_ns = 0;
            }
        }
        populations
    };
    assert_eq!(without_moments(&quick), without_moments(&full));
    let joins_ns = |scenario: &Scenario| {
        scenario.populations[1].subscription().map(|subscription| subscription.joins_ns)
    };
    assert_eq!(joins_ns(&full), Some(full.sending_ends_ns() / 4));
    assert_eq!(joins_ns(&quick), Some(quick.sending_ends_ns() / 4), "a fraction moves along");
    let rates = |scenario: &Scenario| -> Vec<(f64, f64)> {
        scenario.phases.iter().map(|phase| (phase.rate_from, phase.rate_to)).collect()
    };
    assert_eq!(rates(&quick), rates(&full));
    assert_eq!(
        quick.ends_ns(),
        500_000_000 + 400_000_000 + 2_000_000_000 + 200_000_000 + 200_000_000 + 2_000_000_000
    );
}

#[test]
fn a_scenario_without_a_drain_gets_one() {
    let scenario = fitted(SMALL, &Options::default());
    let last = scenario.phases.last().expect("phases");
    assert_eq!((last.kind, last.end_ns - last.start_ns), (PhaseKind::Drain, 1_000_000_000));
    assert_eq!(scenario.sending_ends_ns(), 10_000_000_000);
}

#[test]
fn the_seed_is_not_part_of_the_hash_and_everything_else_is() {
    let plain = fitted(SMALL, &Options::default());
    let seeded = fitted(SMALL, &Options { seed: Some(7), ..Options::default() });
    assert_eq!((plain.seed, seeded.seed), (1, 7));
    assert_eq!(plain.hash, seeded.hash);
    assert_eq!(seeded.non_defaults[0], "seed = 7");
    for set in [
        "populations.ingest.count=2",
        "links.local.jitter=1us",
        "contenders.nats.max_connections=9",
    ] {
        assert_ne!(with(SMALL, &[set]).expect("sets").hash, plain.hash, "{set}");
    }
    assert_eq!(with(SMALL, &["title=Other"]).expect("sets").hash, plain.hash);
    assert_eq!(with(SMALL, &["populations.ingest.ack=none"]).expect("sets").hash, plain.hash);
}

#[test]
fn the_working_scenario_shrinks_to_a_single_device() {
    let (_, text) = super::super::built_in()[0];
    for count in [1, 5, 1_000] {
        let set = format!("populations.devices.count={count}");
        let scenario = with(text, &[&set]).expect("shrinks");
        assert_eq!(scenario.populations[0].count, count);
    }
}
