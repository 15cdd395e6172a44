//! The warp against its integral.

use proptest::prelude::*;

use super::super::testing::{SECOND, phase};
use super::*;

/// Work time passed at `at_ns`, by the trapezoid under the factors.
fn work_at(phases: &[Phase], at_ns: u64) -> f64 {
    let mut work = 0.0;
    for phase in phases {
        let passed = at_ns.clamp(phase.start_ns, phase.end_ns) - phase.start_ns;
        let share = passed as f64 / (phase.end_ns - phase.start_ns) as f64;
        let now = phase.rate_from + (phase.rate_to - phase.rate_from) * share;
        if !matches!(phase.kind, PhaseKind::Pause | PhaseKind::Drain) {
            work += (phase.rate_from + now) / 2.0 * passed as f64;
        }
    }
    work
}

fn any_phases() -> impl Strategy<Value = Vec<Phase>> {
    let factor = || prop_oneof![Just(0.0), Just(1.0), 0.001f64..50.0];
    let kind = prop_oneof![
        3 => Just(PhaseKind::Steady),
        3 => Just(PhaseKind::Ramp),
        1 => Just(PhaseKind::Pause),
    ];
    prop::collection::vec((kind, 0u64..5, 1u64..20, factor(), factor()), 1..6).prop_map(|all| {
        let mut start = 0;
        let mut phases = Vec::new();
        for (kind, gap, length, from, to) in all {
            start += gap;
            let to = if kind == PhaseKind::Ramp { to } else { from };
            phases.push(phase(kind, start, start + length, from, to));
            start += length;
        }
        phases
    })
}

proptest! {
    #[test]
    fn it_inverts_the_integral(phases in any_phases(), mut shares in prop::collection::vec(0.0f64..1.0, 50)) {
        let end = phases.last().map_or(0, |phase| phase.end_ns);
        let total = work_at(&phases, end);
        shares.sort_by(f64::total_cmp);
        let mut warp = Warp::new(&phases);
        let mut last = 0;
        for share in shares {
            let work = (share * total) as u64;
            let Some(at) = warp.run_time(work) else {
                prop_assert!(work as f64 >= total * (1.0 - 1e-12));
                continue;
            };
            prop_assert!(at >= last);
            last = at;
            let inside = phases.iter().any(|phase| {
                !matches!(phase.kind, PhaseKind::Pause | PhaseKind::Drain)
                    && (phase.start_ns..phase.end_ns).contains(&at)
            });
            prop_assert!(inside, "{at} is in no phase that sends");
            // The moment is rounded down to a nanosecond.
            let (low, high) = (work_at(&phases, at), work_at(&phases, at + 2));
            let slack = 1.0 + total * 1e-12;
            prop_assert!(low <= work as f64 + slack && high + slack >= work as f64, "{low} {work} {high}");
        }
        prop_assert_eq!(warp.run_time(total as u64 + 1), None);
    }
}

#[test]
fn one_is_the_identity() {
    let mut warp = Warp::new(&[phase(PhaseKind::Steady, 2, 5, 1.0, 1.0)]);
    for work in [0, 1, 17, SECOND, 3 * SECOND - 1] {
        assert_eq!(warp.run_time(work), Some(2 * SECOND + work));
    }
    assert_eq!(warp.run_time(3 * SECOND), None);
}

#[test]
fn impossible_factors_send_nothing() {
    for factor in [f64::NAN, -1.0, f64::NEG_INFINITY, 0.0] {
        assert_eq!(Warp::new(&[phase(PhaseKind::Steady, 0, 5, factor, factor)]).run_time(0), None);
    }
    assert_eq!(Warp::new(&[]).run_time(0), None);
}
