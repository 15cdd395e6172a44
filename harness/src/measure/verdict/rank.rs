//! The choice among contenders that meet everything.

use lab_reports::record::{Mode, micros};
use lab_workloads::scenario::model::Scenario;

use super::{merged, quantile_of, words};
use crate::trial::account::Accounted;

/// Differences below this share are not told apart.
const CLEAR: f64 = 0.05;
/// CPU time of threads is measured on a machine that does other things as well.
const CLEAR_CPU: f64 = 0.2;
/// Losses that differ by less than one copy in ten thousand are not told apart:
/// one copy that was under way when a worker died is chance, not character.
const LOSS_FLOOR: f64 = 1e-4;
/// Nobody chooses a broker by less than this many microseconds of delivery time.
const LATENCY_FLOOR_US: f64 = 10.0;

/// Who is chosen, and by what those who meet the objectives as well fall behind.
pub(super) struct Ranking {
    /// The only one left, if one is.
    pub(super) winner: Option<String>,
    /// Those that nothing tells apart at the end: the winner alone, or several.
    pub(super) left: Vec<String>,
    /// A clause for each criterion that set somebody aside, in order.
    pub(super) because: Vec<String>,
}

/// Sets aside, one criterion after the other, whoever is clearly behind the best
/// of those that are left: by delivery time where it is judged, then by loss, then
/// by CPU time a message (measured, or modelled where nothing was measured).
pub(super) fn rank(scenario: &Scenario, trials: &[Accounted], fitting: &[&str]) -> Ranking {
    let mut left: Vec<&str> = fitting.to_vec();
    let mut because = Vec::new();
    let latency = scenario.objectives.iter().find(|objective| objective.metric.is_latency());
    if let Some(objective) = latency {
        let name = &scenario.populations[objective.population].name;
        let quantile = quantile_of(objective.metric);
        let value = |label: &str| {
            let mine: Vec<&Accounted> = trials
                .iter()
                .filter(|t| t.trial.contender == label && t.trial.mode == Mode::Sim)
                .collect();
            let all = merged(name, &mine);
            (all.len() >= quantile.samples_needed())
                .then(|| micros(all.value_at_quantile(quantile.share())))
        };
        let clear = |lowest: f64| (lowest * (1.0 + CLEAR)).max(lowest + LATENCY_FLOOR_US);
        if let Some(behind) = set_aside(&mut left, value, clear, words::time) {
            let what = format!("longer {} at `{name}`", quantile.name());
            because.push(behind.clause(["has a", "have a"], &what));
        }
    }
    let loss = |label: &str| {
        let (mut lost, mut expected) = (0, 0);
        for t in trials.iter().filter(|t| t.trial.contender == label) {
            let deliveries = &t.trial.ledger.deliveries;
            lost += deliveries.lost_explained + deliveries.lost_unexplained;
            expected += deliveries.expected;
        }
        Some(lost as f64 / (expected.max(1)) as f64)
    };
    let clear = |lowest: f64| (lowest * (1.0 + CLEAR)).max(lowest + LOSS_FLOOR);
    if let Some(behind) = set_aside(&mut left, loss, clear, words::percent) {
        because.push(behind.clause(["loses", "lose"], "more"));
    }
    let measured = trials.iter().any(|t| t.trial.mode != Mode::Sim);
    let cpu = |label: &str| {
        let mine: Vec<f64> = trials
            .iter()
            .filter(|t| t.trial.contender == label && (t.trial.mode != Mode::Sim) == measured)
            .filter_map(|t| t.trial.resources.cpu_us_per_message)
            .collect();
        (!mine.is_empty()).then(|| mine.iter().sum::<f64>() / mine.len() as f64)
    };
    let clear = |lowest: f64| lowest * (1.0 + CLEAR_CPU);
    if let Some(behind) = set_aside(&mut left, cpu, clear, words::time) {
        let how = if measured { "" } else { " by the cost model" };
        let what = format!("more CPU time a message{how}");
        because.push(behind.clause(["takes", "take"], &what));
    }
    Ranking {
        winner: match left.as_slice() {
            [only] => Some((*only).to_owned()),
            _ => None,
        },
        left: left.into_iter().map(str::to_owned).collect(),
        because,
    }
}

/// Those who were set aside by one criterion, in words.
struct Behind {
    labels: Vec<String>,
    values: Vec<String>,
    best: String,
}

impl Behind {
    /// "redis loses more (2.00 % against 0 %)", with the verb for one and for several.
    fn clause(&self, verb: [&str; 2], what: &str) -> String {
        let verb = verb[usize::from(self.labels.len() > 1)];
        format!(
            "{} {verb} {what} ({} against {})",
            words::and(&self.labels),
            words::and(&self.values),
            self.best
        )
    }
}

/// Takes out whoever has a value above `clear` of the lowest. Nothing where
/// somebody has no value to compare, or nobody is clearly behind.
fn set_aside(
    left: &mut Vec<&str>,
    value: impl Fn(&str) -> Option<f64>,
    clear: impl Fn(f64) -> f64,
    shown: impl Fn(f64) -> String,
) -> Option<Behind> {
    if left.len() < 2 {
        return None;
    }
    let values: Vec<f64> = left.iter().map(|label| value(label)).collect::<Option<_>>()?;
    let lowest = values.iter().copied().min_by(f64::total_cmp)?;
    let mut staying = Vec::new();
    let mut behind = Behind { labels: Vec::new(), values: Vec::new(), best: shown(lowest) };
    for (label, value) in left.iter().zip(&values) {
        if *value > clear(lowest) {
            behind.labels.push((*label).to_owned());
            behind.values.push(shown(*value));
        } else {
            staying.push(*label);
        }
    }
    if behind.labels.is_empty() {
        return None;
    }
    *left = staying;
    Some(behind)
}
