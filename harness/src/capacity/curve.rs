//! From the steps of a search to its row in the record.

use std::collections::BTreeMap;

use lab_reports::record::{Capacity, CapacityPoint, Mode};

use super::limit;
use super::search::Found;
use super::step::{Miss, Step};

/// Latency has left its unloaded level when it is this many times the lowest.
const KNEE: f64 = 2.0;

/// Shares of the highest sustained rate at which a curve should have a point.
pub const SHARES: [f64; 4] = [0.25, 0.5, 0.75, 0.9];

/// Factors that the curve still needs: none within 10 % was run.
pub fn missing(found: &Found, steps: &[Step]) -> Vec<f64> {
    let Some(sustained) = found.sustained else { return Vec::new() };
    SHARES
        .into_iter()
        .map(|share| sustained * share)
        .filter(|factor| !steps.iter().any(|step| (step.factor / factor - 1.0).abs() < 0.1))
        .collect()
}

/// The row of `contender`. Rates are `own` times a factor.
pub fn row(contender: &str, mode: Mode, own: f64, found: &Found, steps: &[Step]) -> Capacity {
    let curve = curve(steps);
    let light = steps
        .iter()
        .filter(|step| step.miss.is_none())
        .min_by(|a, b| a.factor.total_cmp(&b.factor));
    let missed = found.not_sustained.and_then(|factor| {
        steps.iter().rev().find(|step| step.factor == factor && step.miss.is_some())
    });
    let impossible = steps.iter().find_map(|step| match &step.miss {
        Some(Miss::Impossible(reason)) => Some(reason.clone()),
        _ => None,
    });
    let limit = limit::of(mode, light, missed);
    let rate = own * found.sustained.unwrap_or(0.0);
    let at_least = impossible.is_none() && limit.is_at_least() && found.sustained.is_some();
    // Where the edge was not met, the bracket is open; its upper end is then the
    // highest rate that was tried.
    let tried = steps.iter().map(|step| step.rate_per_s).fold(0.0, f64::max);
    let high = found.hopeless.map_or(tried, |factor| own * factor);
    let mut notes = Vec::new();
    if let Some(reason) = &impossible {
        notes.push(format!("not supported: {reason}"));
    } else if found.sustained.is_none() {
        notes.push(format!("no rate down to {:.0} a second was sustained", own_low(steps)));
    } else if !found.closed && !at_least {
        notes.push("the search ended before the bracket was closed to 5 %".to_owned());
    }
    if found.closed && found.hopeless != found.not_sustained {
        // Nothing disturbs virtual time: there, it is the seed that decides.
        let why = if mode == Mode::Sim { "its seeds decide" } else { "this machine is noisy" };
        notes.push(format!("steps held and failed by turns within the bracket: {why}"));
    }
    if let Some(miss) = missed.and_then(|step| step.miss.as_ref()).filter(|_| impossible.is_none())
    {
        notes.push(format!("beyond the edge: {}", words(miss)));
    }
    let doubts: Vec<&String> = steps.iter().filter_map(|step| step.doubt.as_ref()).collect();
    if let Some(first) = doubts.first() {
        notes.push(format!("in {} of {} runs of steps {first}", doubts.len(), steps.len()));
    }
    if found.edge.met < found.edge.runs {
        notes.push(format!(
            "{} of {} runs at the edge held; every run held up to {:.0} a second",
            found.edge.met,
            found.edge.runs,
            own * found.surely
        ));
    }
    Capacity {
        contender: contender.to_owned(),
        mode,
        rate_per_s: rate,
        bracket: [own * found.surely.min(found.sustained.unwrap_or(0.0)), high],
        limited_by: match (&impossible, found.sustained) {
            (Some(_), _) => "not supported".to_owned(),
            // Nothing was worn out: not even the slowest rate met the objectives.
            (None, None) => limit::Limit::Objective.name().to_owned(),
            _ => limit.name().to_owned(),
        },
        knee_per_s: knee(&curve),
        curve,
        at_least,
        edge_runs: [found.edge.met, found.edge.runs],
        notes,
    }
}

fn own_low(steps: &[Step]) -> f64 {
    steps.iter().map(|step| step.rate_per_s).fold(f64::INFINITY, f64::min)
}

fn words(miss: &Miss) -> String {
    match miss {
        Miss::Objective(what) | Miss::Count(what) => format!("{what} is missed"),
        Miss::Loss(what) => what.clone(),
        Miss::Backlog => "the backlog grows".to_owned(),
        Miss::Generator(why) => format!("the generator is the limit: {why}"),
        Miss::Impossible(why) => why.clone(),
    }
}

/// One point for each rate: of several runs, the one with the middle p99, and
/// whether most of them held.
fn curve(steps: &[Step]) -> Vec<CapacityPoint> {
    let mut by_rate: BTreeMap<u64, Vec<&Step>> = BTreeMap::new();
    for step in steps {
        by_rate.entry(step.factor.to_bits()).or_default().push(step);
    }
    by_rate
        .into_values()
        .filter_map(|mut runs| {
            let met = runs.iter().filter(|step| step.miss.is_none()).count();
            let met = met * 2 > runs.len();
            let time = |step: &Step| step.p99_us.unwrap_or(f64::INFINITY);
            runs.sort_by(|a, b| time(a).total_cmp(&time(b)));
            let middle = runs.get((runs.len() - 1) / 2)?;
            Some(CapacityPoint {
                rate_per_s: middle.rate_per_s,
                achieved_per_s: middle.achieved_per_s,
                p50_us: middle.p50_us,
                p99_us: middle.p99_us,
                met,
            })
        })
        .collect()
}

/// The highest rate before p99 leaves its unloaded level, which is the lowest of
/// the curve; `None` where it never does, or has no figure.
fn knee(curve: &[CapacityPoint]) -> Option<f64> {
    let level = curve.iter().filter_map(|point| point.p99_us).reduce(f64::min)?;
    let leaves =
        curve.iter().position(|point| point.p99_us.is_some_and(|p99| p99 > level * KNEE))?;
    curve.get(leaves.checked_sub(1)?).map(|point| point.rate_per_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(rate: f64, p99: Option<f64>) -> CapacityPoint {
        CapacityPoint { rate_per_s: rate, p99_us: p99, met: true, ..CapacityPoint::default() }
    }

    #[test]
    fn the_knee_is_where_latency_leaves_its_level() {
        let curve: Vec<CapacityPoint> =
            [(1.0, 100.0), (2.0, 90.0), (4.0, 110.0), (8.0, 170.0), (16.0, 400.0)]
                .map(|(rate, p99)| point(rate, Some(p99)))
                .into();
        assert_eq!(knee(&curve), Some(8.0));
        assert_eq!(knee(&curve[..4]), None, "no point is twice the lowest");
        assert_eq!(knee(&[]), None);
        assert_eq!(knee(&[point(1.0, None)]), None);
    }
}
