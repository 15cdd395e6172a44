//! One figure on both sides, and what follows.

use super::metrics::{Metric, Unit};
use super::stats::{bootstrap, change, least_p, mann_whitney, median};
use super::{Finding, Options, Row};
use crate::record::{Capacity, Trial};

/// A rate that was searched for on a wall clock is known no better than this.
const CAPACITY_NOISE: f64 = 0.10;

/// The figures of two sides with their medians.
struct Sides {
    values: [Vec<f64>; 2],
    medians: [Option<f64>; 2],
}

/// `None` where neither side has the figure, or both have nothing but zeros: no
/// row says "no duplicates, as before".
pub(super) fn row(
    metric: &Metric,
    a: &[&Trial],
    b: &[&Trial],
    by_seed: bool,
    salt: &str,
    options: &Options,
) -> Option<Row> {
    let values =
        [a, b].map(|side| side.iter().filter_map(|t| (metric.of)(t)).collect::<Vec<f64>>());
    let medians = values.each_ref().map(|side| median(side));
    let nothing = |side: &Vec<f64>| side.iter().all(|value| *value == 0.0);
    if values.iter().all(nothing) {
        return None;
    }
    let change = medians[0].zip(medians[1]).and_then(|(from, to)| change(from, to));
    let mut row = Row {
        metric: metric.name.clone(),
        title: metric.title.clone(),
        unit: metric.unit,
        higher_is_better: metric.higher_is_better,
        a: medians[0],
        b: medians[1],
        runs: values.each_ref().map(Vec::len),
        change,
        interval: None,
        p: None,
        finding: Finding::NoEvidence,
        reason: String::new(),
    };
    let sides = Sides { values, medians };
    if sides.values.iter().any(Vec::is_empty) {
        let which = if sides.values[0].is_empty() { "first" } else { "second" };
        row.reason = format!("no figure in the {which} record");
        return Some(row);
    }
    if by_seed {
        seed_by_seed(&mut row, &sides, options);
    } else {
        ranked(&mut row, &sides, salt, options);
    }
    if metric.single_counts {
        single(&mut row, &sides, by_seed);
    } else if a.iter().chain(b).any(|trial| (metric.limited)(trial)) {
        // Printed, never ranked.
        row.finding = Finding::NoEvidence;
        row.reason = "limited by the instrument's own lag".to_owned();
    }
    Some(row)
}

/// Better or worse, when the second side's is higher.
const fn when_higher(higher_is_better: bool) -> Finding {
    if higher_is_better { Finding::Better } else { Finding::Worse }
}

const fn when_lower(higher_is_better: bool) -> Finding {
    when_higher(!higher_is_better)
}

/// Runs of the same seed differ by what the program does differently.
fn seed_by_seed(row: &mut Row, sides: &Sides, options: &Options) {
    let pairs = || sides.values[0].iter().zip(&sides.values[1]);
    if pairs().all(|(a, b)| a == b) {
        row.reason = "the same".to_owned();
        return;
    }
    // From zero there is no relative change: anything is more than nothing.
    let changes: Vec<f64> = pairs()
        .map(|(a, b)| change(*a, *b).unwrap_or(if b > a { f64::INFINITY } else { 0.0 }))
        .collect();
    let low = changes.iter().copied().fold(f64::INFINITY, f64::min);
    let high = changes.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if low.is_finite() && high.is_finite() {
        row.interval = Some([low, high]);
    }
    if low >= options.threshold {
        row.finding = when_higher(row.higher_is_better);
    } else if high <= -options.threshold {
        row.finding = when_lower(row.higher_is_better);
    } else if low.abs().max(high.abs()) < options.threshold {
        row.reason = format!("under {:.3} %", options.threshold * 100.0).replace(".000", "");
    } else {
        row.reason = "the seeds disagree".to_owned();
    }
}

/// Runs with noise: three conditions must hold.
fn ranked(row: &mut Row, sides: &Sides, salt: &str, options: &Options) {
    let [a, b] = &sides.values;
    let p = mann_whitney(a, b);
    row.p = Some(p);
    row.interval = bootstrap(a, b, salt);
    if p >= options.alpha {
        row.reason = if least_p(a.len(), b.len()) >= options.alpha {
            format!("{} against {} runs are too few", a.len(), b.len())
        } else {
            String::new()
        };
        return;
    }
    let [Some(from), Some(to)] = sides.medians else { return };
    if row.interval.is_some_and(|[low, high]| low <= 0.0 && high >= 0.0) {
        row.reason = "the interval holds zero".to_owned();
    } else if row.change.is_some_and(|change| change.abs() < options.threshold) {
        row.reason = format!("under {:.3} %", options.threshold * 100.0).replace(".000", "");
    } else if to > from {
        row.finding = when_higher(row.higher_is_better);
    } else if to < from {
        row.finding = when_lower(row.higher_is_better);
    } else {
        row.reason = "the medians are the same".to_owned();
    }
}

/// A promise that was broken once was broken; one that was kept in a few noisy
/// runs may be broken in the next.
fn single(row: &mut Row, sides: &Sides, by_seed: bool) {
    let [a, b] = sides.values.each_ref().map(|side| side.iter().sum::<f64>());
    (row.a, row.b, row.change, row.interval, row.p) = (Some(a), Some(b), change(a, b), None, None);
    (row.finding, row.reason) = match (a > 0.0, b > 0.0) {
        (false, true) => (Finding::Worse, "one is enough".to_owned()),
        (true, false) if by_seed => (Finding::Better, String::new()),
        (true, false) => (Finding::NoEvidence, "none in so few runs proves little".to_owned()),
        _ => (Finding::NoEvidence, "on both sides".to_owned()),
    };
}

/// Highest sustained rates: their brackets say how well each is known.
pub(super) fn capacity(a: &Capacity, b: &Capacity, options: &Options) -> Row {
    let at_most = |of: &Capacity| if of.at_least { f64::INFINITY } else { of.bracket[1] };
    let least = change(at_most(a), b.bracket[0]).filter(|_| !a.at_least);
    let most = change(a.bracket[0], at_most(b)).filter(|_| !b.at_least);
    let needed = if a.mode.is_simulated() {
        options.threshold
    } else {
        options.threshold.max(CAPACITY_NOISE)
    };
    let by = change(a.rate_per_s, b.rate_per_s);
    let (finding, reason) =
        if least.is_some_and(|least| least > 0.0) && by.is_some_and(|by| by >= needed) {
            (Finding::Better, "")
        } else if most.is_some_and(|most| most < 0.0) && by.is_some_and(|by| by <= -needed) {
            (Finding::Worse, "")
        } else if a.at_least || b.at_least {
            (Finding::NoEvidence, "the generator was the limit")
        } else if least.is_some_and(|least| least > 0.0) || most.is_some_and(|most| most < 0.0) {
            (Finding::NoEvidence, "less than the search can tell")
        } else {
            (Finding::NoEvidence, "the brackets overlap")
        };
    Row {
        metric: "capacity".to_owned(),
        title: "capacity".to_owned(),
        unit: Unit::PerSecond,
        higher_is_better: true,
        a: Some(a.rate_per_s).filter(|rate| rate.is_finite()),
        b: Some(b.rate_per_s).filter(|rate| rate.is_finite()),
        runs: [1, 1],
        change: by,
        interval: least.zip(most).map(|(low, high)| [low, high]),
        p: None,
        finding,
        reason: reason.to_owned(),
    }
}
