//! The verdict in sentences.

use lab_reports::record::{AckProves, Durable, ObjectiveResult, Outcome};
use lab_workloads::scenario::model::Scenario;

use super::rank::Ranking;
use crate::trial::account::Accounted;

/// Who fits and why, a sentence for each that does not, what makes the contracts
/// unequal, and what was broken.
pub(super) fn text(
    scenario: &Scenario,
    labels: &[&str],
    fitting: &[&str],
    ranking: &Ranking,
    objectives: &[ObjectiveResult],
    trials: &[Accounted],
) -> String {
    let mut sentences = Vec::new();
    if scenario.objectives.is_empty() {
        sentences.push("The scenario states no objective, so nothing is judged.".to_owned());
    } else if fitting.is_empty() {
        sentences.push(none_fits(labels, objectives));
    } else {
        sentences.extend(some_fit(scenario, labels, fitting, ranking));
    }
    for label in labels.iter().filter(|label| !fitting.contains(label)) {
        sentences.extend(falls_short(label, objectives));
    }
    sentences.extend(unequal_contracts(labels, trials));
    for label in labels {
        let unexplained: u64 = trials
            .iter()
            .filter(|t| t.trial.contender == *label)
            .map(|t| t.trial.ledger.deliveries.lost_unexplained + t.trial.ledger.corrupt)
            .sum();
        if unexplained > 0 {
            sentences.push(format!(
                "{label} broke its promise: {unexplained} deliveries were lost without a cause \
                 or damaged."
            ));
        }
    }
    sentences.join(" ")
}

/// Who comes nearest where nobody meets everything.
fn none_fits(labels: &[&str], objectives: &[ObjectiveResult]) -> String {
    let mut text = "No contender meets every objective".to_owned();
    let short = |label: &str| unmet(label, objectives).len();
    let fewest = labels.iter().map(|label| short(label)).min().unwrap_or(0);
    let nearest: Vec<&str> =
        labels.iter().copied().filter(|label| short(label) == fewest).collect();
    if fewest > 0 && nearest.len() < labels.len() {
        let (comes, of_these) = if nearest.len() == 1 { ("comes", "") } else { ("come", " each") };
        let objectives = if fewest == 1 { "objective" } else { "objectives" };
        text.push_str(&format!(
            "; {} {comes} nearest, {fewest} {objectives} short{of_these}",
            and(&nearest)
        ));
    }
    text.push('.');
    text
}

fn some_fit(
    scenario: &Scenario,
    labels: &[&str],
    fitting: &[&str],
    ranking: &Ranking,
) -> Vec<String> {
    let meets = if scenario.objectives.len() == 1 { "the objective" } else { "every objective" };
    let mut sentences = Vec::new();
    match &ranking.winner {
        Some(winner) if fitting.len() > 1 => {
            let others: Vec<&str> =
                fitting.iter().copied().filter(|label| label != winner).collect();
            let does = if others.len() == 1 { "does" } else { "do" };
            sentences.push(format!("{winner} fits: it meets {meets}, as {does} {}.", and(&others)));
            sentences.push(format!("But {}.", ranking.because.join("; ")));
        }
        Some(winner) if labels.len() > 1 => {
            sentences.push(format!("{winner} fits: it meets {meets}, and no other does."));
        }
        Some(winner) => sentences.push(format!("{winner} fits: it meets {meets}.")),
        None => {
            sentences.push(format!("{} meet {meets}.", and(fitting)));
            if !ranking.because.is_empty() {
                sentences.push(format!("But {}.", ranking.because.join("; ")));
            }
            let all = ranking.left.len() == fitting.len();
            let who = if all { "them".to_owned() } else { and(&ranking.left) };
            sentences.push(format!("Nothing measured here tells {who} apart."));
        }
    }
    sentences
}

/// What a contender does not meet, one result for each objective, in order.
pub(super) fn unmet<'a>(
    label: &str,
    objectives: &'a [ObjectiveResult],
) -> Vec<&'a ObjectiveResult> {
    let mut unmet: Vec<&ObjectiveResult> = Vec::new();
    for o in objectives.iter().filter(|o| o.contender == label && o.outcome != Outcome::Met) {
        if !unmet.iter().any(|it| it.subscription == o.subscription && it.metric == o.metric) {
            unmet.push(o);
        }
    }
    unmet
}

/// Everything that keeps one contender from fitting, in one sentence.
fn falls_short(label: &str, objectives: &[ObjectiveResult]) -> Option<String> {
    let unmet = unmet(label, objectives);
    let named = |o: &ObjectiveResult| {
        let figure = o.actual.map_or_else(String::new, |actual| {
            format!("{} against {}, ", shown(&o.metric, actual), shown(&o.metric, o.target))
        });
        format!("{} at `{}` ({figure}{})", o.metric.replace('_', " "), o.subscription, o.mode)
    };
    let of = |outcome: Outcome| -> Vec<String> {
        unmet.iter().filter(|o| o.outcome == outcome).map(|o| named(o)).collect()
    };
    let mut parts = Vec::new();
    for (verb, outcome) in [("misses", Outcome::Missed), ("leaves undecided", Outcome::Undecided)] {
        let all = of(outcome);
        if !all.is_empty() {
            parts.push(format!("{verb} {}", and(&all)));
        }
    }
    // Objectives that one reason keeps from being judged stand together.
    let mut reasons: Vec<(&str, &str, Vec<String>)> = Vec::new();
    for o in unmet.iter().filter(|o| o.outcome == Outcome::Unsupported) {
        let reason = o.reason.as_deref().unwrap_or("it does not have it");
        let at = format!("`{}`", o.subscription);
        match reasons.iter_mut().find(|it| (it.0, it.1) == (reason, o.metric.as_str())) {
            Some((.., all)) => all.push(at),
            None => reasons.push((reason, &o.metric, vec![at])),
        }
    }
    for (reason, metric, at) in &reasons {
        let metric = metric.replace('_', " ");
        parts.push(format!("cannot be judged by {metric} at {} ({reason})", and(at)));
    }
    (!parts.is_empty()).then(|| format!("{label} {}.", parts.join("; it ")))
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
    Some(format!("The contracts are not equal: an acknowledgement proves ({}).", each.join("; ")))
}

/// A figure of a metric for people.
pub(super) fn shown(metric: &str, value: f64) -> String {
    match metric {
        "loss" | "duplicates" | "unmarked" | "unprocessed" | "replay_complete" => percent(value),
        "order" | "acked_loss" => format!("{value:.0}"),
        "throughput" => format!("{value:.0}/s"),
        _ => time(value),
    }
}

/// A share as a percentage of three digits that tell.
pub(super) fn percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        0.0 => "0 %".to_owned(),
        _ if percent < 0.001 => "under 0.001 %".to_owned(),
        _ if percent < 1.0 => format!("{percent:.3} %"),
        100.0 => "100 %".to_owned(),
        // 99.9996 % is not rounded up to all of it.
        _ if percent > 99.0 && percent < 100.0 => {
            format!("{:.3} %", (percent * 1_000.0).floor() / 1_000.0)
        }
        _ => format!("{percent:.2} %"),
    }
}

/// A time, from microseconds, in the unit people would say.
pub(super) fn time(us: f64) -> String {
    if us >= 1_000_000.0 {
        format!("{:.2} s", us / 1_000_000.0)
    } else if us >= 1_000.0 {
        format!("{:.2} ms", us / 1_000.0)
    } else if us >= 10.0 {
        format!("{us:.0} us")
    } else {
        format!("{us:.2} us")
    }
}

/// "a", "a and b", "a, b and c".
pub(super) fn and(names: &[impl AsRef<str>]) -> String {
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    match names.as_slice() {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [many @ .., last] => format!("{} and {last}", many.join(", ")),
    }
}
