//! How objectives are judged, and what follows for the choice.
//!
//! An objective on a delivery time rests on the scenario's network. Where the
//! run has a mode that applies it (virtual time), delivery times are judged
//! there and only there; loss, duplicates, order and throughput are judged in
//! every mode.

use broker_contract::Cause;
use hdrhistogram::Histogram;
use lab_reports::record::{
    AckProves, Durable, Mode, ObjectiveResult, Outcome, Quantile, Trial, Verdict, micros,
};
use lab_workloads::scenario::model::{Metric, Objective, Scenario};

use super::meters::histogram;
use crate::exit::Exit;
use crate::trial::account::Accounted;

/// Differences below this share are not told apart.
const CLEAR: f64 = 0.05;

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
    let winner = ranking.as_ref().map(|ranking| ranking.winner.clone());
    let exit = exit(scenario, trials, &objectives, &fitting, require);
    Verdict {
        text: text(scenario, &labels, &fitting, ranking.as_ref(), &objectives, trials),
        would_change: would_change(scenario, winner.as_deref(), &objectives),
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

struct Ranking {
    winner: String,
    by: String,
}

/// Chooses among those that meet everything: by delivery time where it is judged
/// and not limited, then by loss, then by CPU time, each only where the
/// difference is clear.
fn rank(scenario: &Scenario, trials: &[Accounted], fitting: &[&str]) -> Option<Ranking> {
    if let [only] = fitting {
        return Some(Ranking {
            winner: (*only).to_owned(),
            by: "it is the only one that meets every objective".to_owned(),
        });
    }
    if fitting.is_empty() {
        return None;
    }
    let latency = scenario.objectives.iter().find(|objective| objective.metric.is_latency());
    if let Some(objective) = latency {
        let name = &scenario.populations[objective.population].name;
        let value = |label: &str| {
            let mine: Vec<&Accounted> = trials
                .iter()
                .filter(|t| t.trial.contender == label && t.trial.mode == Mode::Sim)
                .collect();
            let all = merged(name, &mine);
            let quantile = quantile_of(objective.metric);
            (all.len() >= quantile.samples_needed())
                .then(|| micros(all.value_at_quantile(quantile.share())))
        };
        if let Some(winner) = clear_lowest(fitting, value) {
            let by = format!("its delivery time at `{name}` is clearly the lowest");
            return Some(Ranking { winner, by });
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
    if let Some(winner) = clear_lowest(fitting, loss) {
        return Some(Ranking { winner, by: "it loses clearly less".to_owned() });
    }
    let cpu = |label: &str| {
        let mine: Vec<f64> = trials
            .iter()
            .filter(|t| t.trial.contender == label && t.trial.mode != Mode::Sim)
            .filter_map(|t| t.trial.resources.cpu_us_per_message)
            .collect();
        (!mine.is_empty()).then(|| mine.iter().sum::<f64>() / mine.len() as f64)
    };
    let winner = clear_lowest(fitting, cpu)?;
    Some(Ranking { winner, by: "it takes clearly less CPU time a message".to_owned() })
}

/// The label with the lowest value, if every other is higher by more than [`CLEAR`].
fn clear_lowest(labels: &[&str], value: impl Fn(&str) -> Option<f64>) -> Option<String> {
    let mut values: Vec<(f64, &str)> = Vec::new();
    for label in labels {
        values.push((value(label)?, label));
    }
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (lowest, next) = (values.first()?, values.get(1)?);
    (next.0 > lowest.0 * (1.0 + CLEAR) && next.0 > 0.0).then(|| lowest.1.to_owned())
}

fn text(
    scenario: &Scenario,
    labels: &[&str],
    fitting: &[&str],
    ranking: Option<&Ranking>,
    objectives: &[ObjectiveResult],
    trials: &[Accounted],
) -> String {
    let mut out = String::new();
    if scenario.objectives.is_empty() {
        out.push_str("The scenario states no objective, so nothing is judged.");
    } else if let Some(ranking) = ranking {
        let count = scenario.objectives.len();
        let objectives = if count == 1 { "the objective" } else { "all objectives" };
        out.push_str(&format!("{} fits: it meets {objectives}", ranking.winner));
        if fitting.len() > 1 {
            let others: Vec<&str> =
                fitting.iter().copied().filter(|label| *label != ranking.winner).collect();
            out.push_str(&format!(", as does {}, and {}.", others.join(" and "), ranking.by));
        } else if labels.len() > 1 {
            out.push_str(", and no other does.");
        } else {
            out.push('.');
        }
    } else if fitting.is_empty() {
        out.push_str("No contender meets every objective.");
    } else {
        out.push_str(&format!(
            "{} meet every objective, and nothing measured here tells them apart.",
            fitting.join(" and ")
        ));
    }
    for label in labels.iter().filter(|label| !fitting.contains(label)) {
        let mut seen: Vec<(&str, &str)> = Vec::new();
        for o in objectives.iter().filter(|o| o.contender == *label && o.outcome != Outcome::Met) {
            if seen.contains(&(&o.subscription, &o.metric)) {
                continue;
            }
            seen.push((&o.subscription, &o.metric));
            if o.outcome == Outcome::Unsupported {
                let reason = o.reason.as_deref().unwrap_or("it does not have it");
                out.push_str(&format!(
                    " {label} has nothing to judge {} at `{}` by: {reason}.",
                    o.metric.replace('_', " "),
                    o.subscription,
                ));
                continue;
            }
            let verb = match o.outcome {
                Outcome::Missed => "misses",
                _ => "leaves undecided",
            };
            let figure = o.actual.map_or_else(String::new, |actual| {
                format!(": {} against {}", shown(&o.metric, actual), shown(&o.metric, o.target))
            });
            out.push_str(&format!(
                " {label} {verb} {} at `{}`{figure} ({}).",
                o.metric.replace('_', " "),
                o.subscription,
                o.mode
            ));
        }
    }
    if let Some(unequal) = unequal_contracts(labels, trials) {
        out.push_str(&unequal);
    }
    for label in labels {
        let unexplained: u64 = trials
            .iter()
            .filter(|t| t.trial.contender == *label)
            .map(|t| t.trial.ledger.deliveries.lost_unexplained + t.trial.ledger.corrupt)
            .sum();
        if unexplained > 0 {
            out.push_str(&format!(
                " {label} broke its promise: {unexplained} deliveries were lost without a cause \
                 or damaged."
            ));
        }
    }
    out
}

/// What acknowledgements prove, where contenders do not all promise the same.
fn unequal_contracts(labels: &[&str], trials: &[Accounted]) -> Option<String> {
    let mut proofs: Vec<(AckProves, Vec<&str>)> = Vec::new();
    for label in labels {
        let Some(of) = trials.iter().find(|t| t.trial.contender == *label) else { continue };
        match proofs.iter_mut().find(|(proof, _)| *proof == of.trial.ack_proves) {
            Some((_, all)) => all.push(label),
            None => proofs.push((of.trial.ack_proves, vec![label])),
        }
    }
    if proofs.len() < 2 {
        return None;
    }
    let each: Vec<String> = proofs
        .iter()
        .map(|(proof, labels)| {
            let copies = if proof.copies == 1 { "copy" } else { "copies" };
            let where_to = match (proof.copies, proof.durable) {
                (0, _) => return format!("{}: nothing", labels.join(", ")),
                (_, Durable::None) => "in memory",
                (_, Durable::PageCache) => "in the page cache",
                (_, Durable::Synced) => "synced to the disk",
            };
            format!("{}: {} {copies} {where_to}", labels.join(", "), proof.copies)
        })
        .collect();
    Some(format!(" The contracts are not equal: an acknowledgement proves ({}).", each.join("; ")))
}

/// A figure of a metric for people.
fn shown(metric: &str, value: f64) -> String {
    match metric {
        "loss" | "duplicates" | "unmarked" | "unprocessed" | "replay_complete" => {
            format!("{:.3} %", value * 100.0)
        }
        "order" | "acked_loss" => format!("{value:.0}"),
        "throughput" => format!("{value:.0}/s"),
        _ if value >= 1_000.0 => format!("{:.2} ms", value / 1_000.0),
        _ => format!("{value:.0} us"),
    }
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
