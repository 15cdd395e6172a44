//! Plans: order, rates, keys, and that they repeat.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::testing::{
    SECOND, field, phase, publishers, scenario, steady, stream, telemetry, template,
};
use super::*;
use crate::scenario::model::{Arrival, Phase, PhaseKind, Sizes};

fn plan_of(scenario: &Scenario, seed: u64) -> Plan {
    Plan::new(scenario, SeedStream::new(seed))
}

/// One population with one stream on a channel of its member.
fn sending(arrival: Arrival, members: u32, phases: Vec<Phase>) -> Scenario {
    let own = [field("m", FieldSource::Member, "", 0)];
    scenario(
        phases,
        vec![publishers("p", members, vec![stream("s", template("a.{m}", &own), arrival)])],
    )
}

fn periodic(every_ms: u64, jitter_ms: u64) -> Arrival {
    Arrival::Periodic {
        every: Duration::from_millis(every_ms),
        jitter: Duration::from_millis(jitter_ms),
    }
}

/// FNV-1a over everything a plan says.
fn hash(plan: &mut Plan) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325u64;
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    };
    let mut text = String::new();
    while let Some(op) = plan.next() {
        add(&op.at_ns.to_le_bytes());
        for number in [op.number, op.producer, op.sequence, op.key, op.size] {
            add(&number.to_le_bytes());
        }
        plan.channel(&op, &mut text);
        add(text.as_bytes());
    }
    hash
}

/// A scenario that uses every kind of arrival, size, field and phase.
fn everything() -> Scenario {
    let phases = vec![
        phase(PhaseKind::WarmUp, 0, 2, 0.5, 0.5),
        phase(PhaseKind::Ramp, 2, 5, 0.5, 3.0),
        phase(PhaseKind::Pause, 5, 6, 0.0, 0.0),
        phase(PhaseKind::Burst, 7, 9, 1.7, 1.7),
        phase(PhaseKind::Drain, 9, 12, 1.0, 1.0),
    ];
    let mut scenario = telemetry(2_000, phases);
    let fields = [
        field("shop", FieldSource::Member, "s", 3),
        field("item", FieldSource::Draw { count: 500, zipf_exponent: Some(1.1) }, "", 0),
        field("till", FieldSource::Draw { count: 9, zipf_exponent: None }, "", 0),
    ];
    let mut sales = stream(
        "sales",
        template("sales.{shop}.{till}", &fields),
        Arrival::Bursty { bursts_per_s: 0.5, burst: 7, spacing: Duration::from_millis(3) },
    );
    sales.key = Some(template("{item}", &fields));
    sales.size = Sizes::Zipf { min: 64, max: 8_192, exponent: 1.2 };
    let mut stock = sales.clone();
    stock.name = "stock".into();
    stock.arrival = periodic(700, 300);
    stock.size = Sizes::Uniform { min: 40, max: 90 };
    scenario.populations.push(publishers("shops", 30, vec![sales, stock]));
    scenario
}

#[test]
fn the_plan_of_a_seed_never_changes() {
    // A new value here means that every published result changes with it: a
    // dependency or a platform draws differently, or somebody meant to.
    assert_eq!(format!("{:016x}", hash(&mut plan_of(&everything(), 42))), "037fa3242106bb9b");
}

#[test]
fn another_seed_is_another_plan() {
    let scenario = everything();
    let first = hash(&mut plan_of(&scenario, 1));
    assert_eq!(first, hash(&mut plan_of(&scenario, 1)));
    assert_ne!(first, hash(&mut plan_of(&scenario, 2)));
}

#[test]
fn a_plan_is_in_order_and_dense() {
    let scenario = everything();
    let mut plan = plan_of(&scenario, 3);
    let (mut number, mut last) = (0, 0);
    let mut sequences = vec![0; plan.producers() as usize];
    let mut key_values = BTreeMap::new();
    let mut text = String::new();
    assert_eq!(plan.producers(), 2_030);
    // 2,000 for each of two streams of devices; 500 items of each of 30 shops.
    assert_eq!(plan.keys(), 2 * 2_000 + 30 * 500);
    while let Some(at) = plan.peek_at() {
        let op = plan.next().expect("a moment has a message");
        assert_eq!((op.at_ns, op.number), (at, number));
        assert!(op.at_ns >= last);
        assert_eq!(op.sequence, sequences[op.producer as usize]);
        sequences[op.producer as usize] += 1;
        number += 1;
        last = at;
        if !plan.key_text(&op, &mut text) {
            plan.channel(&op, &mut text);
        }
        assert!(u64::from(op.key) < plan.keys());
        let value = (op.producer, text.clone());
        assert_eq!(*key_values.entry(op.key).or_insert_with(|| value.clone()), value);
    }
    assert_eq!(plan.next(), None);
    // 9.65 s of work time: 400 readings/s, 105 sales/s and 43 stock messages/s.
    assert!((5_000..5_600).contains(&number) && last < 9 * SECOND, "{number} until {last}");
    // Two keys never have one value: the map the other way round is as large.
    let values: std::collections::BTreeSet<_> = key_values.values().collect();
    assert_eq!(values.len(), key_values.len());
}

#[test]
fn a_new_stream_does_not_move_the_others() {
    let before = everything();
    let mut after = before.clone();
    let extra = stream("extra", template("x", &[]), Arrival::Poisson { rate_per_s: 3.0 });
    after.populations.insert(0, publishers("new", 10, vec![extra]));
    let of_devices = |scenario: &Scenario, population: u16| -> Vec<(u64, u32, u32)> {
        plan_of(scenario, 4)
            .filter(|op| op.population == population)
            .map(|op| (op.at_ns, op.member, op.size))
            .collect()
    };
    assert_eq!(of_devices(&before, 0), of_devices(&after, 1));
}

#[test]
fn large_key_ranges_are_numbered_as_they_come() {
    let draw = FieldSource::Draw { count: u32::MAX, zipf_exponent: None };
    let mut many = stream("s", template("a", &[]), Arrival::Poisson { rate_per_s: 100.0 });
    many.key = Some(template("{order}", &[field("order", draw, "", 0)]));
    let mut plan = plan_of(&scenario(steady(1), vec![publishers("p", 10, vec![many])]), 5);
    let mut seen = 0;
    while let Some(op) = plan.next() {
        seen = seen.max(op.key + 1);
        assert!(u64::from(seen) <= plan.keys());
    }
    assert_eq!(plan.keys(), u64::from(seen));
    assert!(seen > 800);
}

#[test]
fn each_member_keeps_its_own_spacing() {
    let every = 100_000_000;
    let mut last: BTreeMap<u32, u64> = BTreeMap::new();
    for op in plan_of(&sending(periodic(100, 0), 50, steady(10)), 6) {
        if let Some(last) = last.insert(op.member, op.at_ns) {
            assert_eq!(op.at_ns - last, every);
        } else {
            assert!(op.at_ns < every);
        }
    }
    assert_eq!(last.len(), 50);
}

#[test]
fn jitter_moves_each_message_by_no_more_than_it_may() {
    for jitter in [1, 20, 49, 100] {
        let quiet = sending(periodic(100, 0), 40, steady(10));
        let moved = sending(periodic(100, jitter), 40, steady(10));
        let by_member = |scenario: &Scenario| {
            let mut moments: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
            for op in plan_of(scenario, 7) {
                moments.entry(op.member).or_default().push(op.at_ns);
            }
            moments
        };
        let (quiet, moved) = (by_member(&quiet), by_member(&moved));
        let mut distances = Vec::new();
        for (member, moments) in quiet {
            for (nominal, actual) in moments.iter().zip(&moved[&member]) {
                distances.push(nominal.abs_diff(*actual) as f64 / 1e6);
            }
        }
        let largest = distances.iter().copied().fold(0.0, f64::max);
        // Where moments of a member cross, they are matched in order, which
        // never makes the largest distance larger.
        assert!(largest <= jitter as f64 && largest > 0.95 * jitter as f64, "{largest}");
        if jitter < 50 {
            let mean = distances.iter().sum::<f64>() / distances.len() as f64;
            assert!((mean / jitter as f64 - 0.5).abs() < 0.02, "{mean}");
        }
    }
}

#[test]
fn poisson_has_its_rate_and_its_variance() {
    let scenario = sending(Arrival::Poisson { rate_per_s: 2.0 }, 100, steady(200));
    let mut per_second = vec![0.0f64; 200];
    let mut per_member = vec![0u32; 100];
    for op in plan_of(&scenario, 8) {
        per_second[(op.at_ns / SECOND) as usize] += 1.0;
        per_member[op.member as usize] += 1;
    }
    let mean = per_second.iter().sum::<f64>() / 200.0;
    let variance = per_second.iter().map(|n| (n - mean).powi(2)).sum::<f64>() / 199.0;
    // Four standard deviations each: of the mean 1.0, of the variance 20.
    assert!((mean - 200.0).abs() < 4.0, "{mean}");
    assert!((variance - 200.0).abs() < 80.0, "{variance}");
    assert!(per_member.iter().all(|count| (300..500).contains(count)), "{per_member:?}");
}

#[test]
fn bursts_belong_to_one_member_and_keep_their_spacing() {
    let spacing = Duration::from_millis(2);
    let arrival = Arrival::Bursty { bursts_per_s: 0.02, burst: 5, spacing };
    let mut of_member: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    let mut count = 0;
    for op in plan_of(&sending(arrival, 1_000, steady(100)), 9) {
        of_member.entry(op.member).or_default().push(op.at_ns);
        count += 1;
    }
    // 2,000 bursts of five, give or take four times 45.
    assert!((9_100..10_900).contains(&count), "{count}");
    let mut in_step = 0;
    for moments in of_member.values() {
        in_step += moments.windows(2).filter(|pair| pair[1] - pair[0] == 2_000_000).count();
    }
    // Four gaps of each burst, but for the few that meet another of their member.
    assert!(in_step * 10 > count * 7, "{in_step} of {count}");
}

#[test]
fn a_ramp_offers_the_integral_of_its_rate() {
    let phases = vec![
        phase(PhaseKind::Steady, 0, 10, 1.0, 1.0),
        phase(PhaseKind::Ramp, 10, 30, 1.0, 5.0),
        phase(PhaseKind::Pause, 30, 40, 1.0, 1.0),
        phase(PhaseKind::Steady, 40, 50, 5.0, 5.0),
    ];
    for arrival in [periodic(1_000, 100), Arrival::Poisson { rate_per_s: 1.0 }] {
        let slack = if matches!(arrival, Arrival::Periodic { .. }) { 250.0 } else { 900.0 };
        let mut counts = [0.0; 50];
        for op in plan_of(&sending(arrival, 1_000, phases.clone()), 10) {
            counts[(op.at_ns / SECOND) as usize] += 1.0;
        }
        let sum = |range: std::ops::Range<usize>| counts[range].iter().sum::<f64>();
        // 1,000/s rising to 5,000/s over 20 s: 60,000, of which the first half 20,000.
        for (range, wanted) in [
            (0..10, 10_000.0),
            (10..20, 20_000.0),
            (20..30, 40_000.0),
            (30..40, 0.0),
            (40..50, 50_000.0),
        ] {
            let offered = sum(range.clone());
            assert!((offered - wanted).abs() <= slack, "{range:?} {offered}");
        }
    }
}

#[test]
fn nobody_and_nothing_make_an_empty_plan() {
    for scenario in [
        scenario(steady(1), Vec::new()),
        sending(Arrival::Poisson { rate_per_s: 0.0 }, 5, steady(1)),
        sending(Arrival::Poisson { rate_per_s: 5.0 }, 0, steady(1)),
        sending(periodic(100, 10), 5, Vec::new()),
        sending(
            Arrival::Bursty { bursts_per_s: 9.0, burst: 0, spacing: Duration::ZERO },
            5,
            steady(1),
        ),
    ] {
        let mut plan = plan_of(&scenario, 1);
        assert_eq!(plan.peek_at(), None);
        assert_eq!(plan.next(), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn sizes_stay_in_their_bounds(min in 0u32..5_000, more in 0u32..100_000, shape in 0.0f64..4.0, seed in 0u64..) {
        let max = min + more;
        let mut rng = SeedStream::new(seed).rng();
        for sizes in [
            Sizes::Fixed(min),
            Sizes::Uniform { min, max },
            Sizes::LogNormal { median: min + more / 2, sigma: shape, min, max },
            Sizes::Zipf { min, max, exponent: shape },
        ] {
            let draw = SizeDraw::new(&sizes);
            for _ in 0..50 {
                let size = draw.draw(&mut rng);
                prop_assert!(size >= min.max(32) && size <= max.max(32), "{sizes:?} gave {size}");
            }
        }
    }
}
