//! How objectives are judged, and what follows for the choice.
//!
//! An objective on a delivery time rests on the scenario's network. Where the
//! run has a mode that applies it (virtual time), delivery times are judged
//! there and only there; loss, duplicates, order and throughput are judged in
//! every mode. [`mod@rank`] chooses among those that meet everything, and [`words`]
//! says it in sentences.

use broker_contract::Cause;
use hdrhistogram::Histogram;
use lab_reports::record::{Mode, ObjectiveResult, Outcome, Quantile, Trial, Verdict, micros};
use lab_workloads::scenario::model::{Metric, Objective, Scenario};

use super::meters::histogram;
use crate::exit::Exit;
use crate::trial::account::Accounted;

mod rank;
mod words;

use rank::rank;
use words::{shown, text};

/// Judges every contender by every objective.
pub fn judge(scenario: &Scenario, trials: &[Accounted], require: &[String]) -> Verdict {
    let mut labels: Vec<&str> = Vec::new();
    let mut modes: Vec<Mode> = Vec::new();
    for Accounted { trial, .. } in trials {
        if !labels.contains(&trial.contender.as_str()) {
            labels.push(&trial.contender);
        }
        if !modes.contains(&trial.mode) {
            modes.push(trial.mode);
        }
    }
    let network_applies = modes.contains(&Mode::Sim);
    let mut objectives = Vec::new();
    for label in &labels {
        for mode in &modes {
            let mine: Vec<&Accounted> = trials
                .iter()
                .filter(|t| t.trial.contender == *label && t.trial.mode == *mode)
                .collect();
            if mine.is_empty() {
                continue;
            }
            for objective in &scenario.objectives {
                if objective.metric.is_latency() && network_applies && *mode != Mode::Sim {
                    continue;
                }
                objectives.push(result(scenario, objective, label, *mode, &mine));
            }
        }
    }
    let fits = |label: &str| {
        let mut mine = objectives.iter().filter(|o| o.contender == label).peekable();
        let judged = mine.peek().is_some();
        judged && mine.all(|objective| objective.outcome == Outcome::Met)
    };
    let broken = |label: &str| {
        trials.iter().any(|t| t.trial.contender == label && t.trial.broke_its_promise())
    };
    let fitting: Vec<&str> =
        labels.iter().copied().filter(|label| fits(label) && !broken(label)).collect();
    let ranking = rank(scenario, trials, &fitting);
    let winner = ranking.winner.clone();
    let exit = exit(scenario, trials, &objectives, &fitting, require);
    Verdict {
        text: text(scenario, &labels, &fitting, &ranking, &objectives, trials),
        would_change: if fitting.is_empty() {
            would_fit(&labels, &objectives)
        } else {
            would_change(scenario, winner.as_deref(), &objectives)
        },
        winner,
        exit_code: exit.code(),
        objectives,
    }
}

fn exit(
    scenario: &Scenario,
    trials: &[Accounted],
    objectives: &[ObjectiveResult],
    fitting: &[&str],
    require: &[String],
) -> Exit {
    let mut exit = Exit::Done;
    if trials.iter().any(|t| t.trial.broke_its_promise()) {
        exit = exit.or(Exit::Broken);
    }
    let undecided = objectives.iter().any(|o| o.outcome == Outcome::Undecided);
    if undecided || trials.iter().any(|t| !t.trial.valid) {
        exit = exit.or(Exit::Undecided);
    }
    let none_fits = !scenario.objectives.is_empty() && fitting.is_empty();
    let required = require.iter().all(|label| fitting.contains(&label.as_str()));
    if none_fits || !required {
        exit = exit.or(Exit::NoneFits);
    }
    exit
}

/// One objective of one contender in one mode, over all repeats.
fn result(
    scenario: &Scenario,
    objective: &Objective,
    label: &str,
    mode: Mode,
    mine: &[&Accounted],
) -> ObjectiveResult {
    let subscription = scenario.populations[objective.population].name.clone();
    let unsupported = mine.iter().find_map(|t| t.unsupported.get(&subscription));
    let acknowledges = mine.iter().all(|t| t.trial.ack_proves.copies > 0);
    let (actual, outcome, reason) = if let Some(reason) = unsupported {
        (None, Outcome::Unsupported, Some(reason.clone()))
    } else if objective.metric == Metric::AckedLoss && !acknowledges {
        (None, Outcome::Unsupported, Some("publishes are not acknowledged".to_owned()))
    } else if let Some(reason) = mine.iter().find_map(|t| t.trial.invalid_reason.clone()) {
        (None, Outcome::Undecided, Some(format!("a trial is invalid: {reason}")))
    } else if objective.metric.is_latency() {
        latency(objective, &subscription, mine)
    } else {
        let actual = counted(objective.metric, &subscription, mine);
        let met = if objective.metric.wants_more() {
            actual >= objective.target
        } else {
            actual <= objective.target
        };
        (Some(actual), if met { Outcome::Met } else { Outcome::Missed }, None)
    };
    ObjectiveResult {
        contender: label.to_owned(),
        mode,
        subscription,
        metric: objective.metric.name().to_owned(),
        target: objective.target,
        actual,
        outcome,
        reason,
    }
}

fn quantile_of(metric: Metric) -> Quantile {
    match metric {
        Metric::P50Delivery => Quantile::P50,
        Metric::P90Delivery => Quantile::P90,
        Metric::P99Delivery => Quantile::P99,
        Metric::P999Delivery => Quantile::P999,
        _ => Quantile::Max,
    }
}

fn latency(
    objective: &Objective,
    subscription: &str,
    mine: &[&Accounted],
) -> (Option<f64>, Outcome, Option<String>) {
    let quantile = quantile_of(objective.metric);
    let all = merged(subscription, mine);
    if all.is_empty() {
        return (None, Outcome::Undecided, Some("nothing was delivered".to_owned()));
    }
    if all.len() < quantile.samples_needed() {
        // Every quantile is at most the maximum, so a maximum within the target decides.
        let max = micros(all.max());
        let reason = format!(
            "{} samples, and {} needs {}",
            all.len(),
            quantile.name(),
            quantile.samples_needed()
        );
        return if max <= objective.target {
            (None, Outcome::Met, Some(format!("{reason}; the largest of all is within the target")))
        } else {
            (None, Outcome::Undecided, Some(reason))
        };
    }
    let value = match quantile {
        Quantile::Max => micros(all.max()),
        _ => micros(all.value_at_quantile(quantile.share())),
    };
    let limited = mine.iter().any(|t| {
        t.trial
            .by_subscription
            .get(subscription)
            .is_some_and(|latency| latency.response.is_limited(quantile))
    });
    if limited {
        let reason = "the instrument's own lag is more than a tenth of it".to_owned();
        return (Some(value), Outcome::Undecided, Some(reason));
    }
    let outcome = if value <= objective.target { Outcome::Met } else { Outcome::Missed };
    (Some(value), outcome, None)
}

fn merged(subscription: &str, mine: &[&Accounted]) -> Histogram<u64> {
    let mut all = histogram();
    for accounted in mine {
        if let Some(pair) = accounted.by_subscription.get(subscription) {
            all.add(&pair.response).expect("one configuration");
        }
    }
    all
}

fn counted(metric: Metric, subscription: &str, mine: &[&Accounted]) -> f64 {
    let ledgers = || mine.iter().filter_map(|t| t.trial.ledger_by_subscription.get(subscription));
    let sum = |of: &dyn Fn(&lab_reports::record::SubscriptionLedger) -> u64| {
        ledgers().map(of).sum::<u64>() as f64
    };
    let expected = sum(&|l| l.deliveries.expected).max(1.0);
    match metric {
        Metric::Loss => {
            sum(&|l| l.deliveries.lost_explained + l.deliveries.lost_unexplained) / expected
        }
        Metric::AckedLoss => sum(&|l| l.acked_lost.values().sum()),
        Metric::Duplicates => sum(&|l| l.duplicates + l.redelivered) / expected,
        Metric::Unmarked => sum(&|l| l.duplicates) / expected,
        Metric::Unprocessed => sum(&|l| l.unprocessed) / expected,
        Metric::ReplayComplete => {
            let removed = |l: &lab_reports::record::SubscriptionLedger| {
                l.causes.get(Cause::Retention.name()).copied().unwrap_or(0)
            };
            let kept = sum(&|l| l.deliveries.expected - removed(l));
            if kept > 0.0 { sum(&|l| l.deliveries.delivered) / kept } else { 0.0 }
        }
        Metric::Order => sum(&|l| l.reordered),
        _ => {
            let window: f64 = mine.iter().map(|t| t.trial.window_s).sum();
            let delivered: u64 = mine
                .iter()
                .filter_map(|t| t.trial.by_subscription.get(subscription))
                .map(|latency| latency.response.count)
                .sum();
            if window > 0.0 { delivered as f64 / window } else { 0.0 }
        }
    }
}

/// What would let somebody fit where nobody does: the one objective that each of
/// the nearest misses.
fn would_fit(labels: &[&str], objectives: &[ObjectiveResult]) -> Vec<String> {
    let mut out = Vec::new();
    for label in labels {
        let [missed] = words::unmet(label, objectives)[..] else { continue };
        if missed.outcome != Outcome::Missed {
            continue;
        }
        let of_it = |o: &&ObjectiveResult| {
            o.contender == *label
                && (&o.subscription, &o.metric) == (&missed.subscription, &missed.metric)
        };
        let wants_more =
            Metric::ALL.iter().any(|metric| metric.name() == missed.metric && metric.wants_more());
        let worst = objectives
            .iter()
            .filter(of_it)
            .filter_map(|o| o.actual)
            .reduce(|a, b| if wants_more { a.min(b) } else { a.max(b) });
        let Some(worst) = worst else { continue };
        let side = if wants_more { "less" } else { "more" };
        out.push(format!(
            "a target of {} or {side} for {} at `{}` (it is {}): {label} would fit",
            shown(&missed.metric, worst),
            missed.metric.replace('_', " "),
            missed.subscription,
            shown(&missed.metric, missed.target),
        ));
    }
    out
}

/// How far the winner is from missing each objective.
fn would_change(
    scenario: &Scenario,
    winner: Option<&str>,
    objectives: &[ObjectiveResult],
) -> Vec<String> {
    let Some(winner) = winner else { return Vec::new() };
    let mut out = Vec::new();
    for objective in &scenario.objectives {
        let name = &scenario.populations[objective.population].name;
        let metric = objective.metric.name();
        let worst = objectives
            .iter()
            .filter(|o| o.contender == winner && o.subscription == *name && o.metric == metric)
            .filter_map(|o| o.actual)
            .reduce(|a, b| if objective.metric.wants_more() { a.min(b) } else { a.max(b) });
        let Some(actual) = worst else { continue };
        let side = if objective.metric.wants_more() { "above" } else { "below" };
        out.push(format!(
            "a target for {} at `{name}` {side} {} (it is {})",
            metric.replace('_', " "),
            shown(metric, actual),
            shown(metric, objective.target)
        ));
    }
    out
}

/// The trials of a record without their histograms.
pub fn trials(accounted: Vec<Accounted>) -> Vec<Trial> {
    accounted.into_iter().map(|accounted| accounted.trial).collect()
}
