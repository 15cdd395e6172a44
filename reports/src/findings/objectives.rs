//! Objectives in words.

use super::words::list;
use crate::clean;
use crate::record::{Mode, ObjectiveResult, Outcome, Record};
use crate::text::figures::{count, micros, rate, share};

/// The metric and which way it is judged.
pub(crate) fn phrase(metric: &str) -> String {
    let known = match metric {
        "p50_delivery" => "median time to delivery at most",
        "p90_delivery" => "p90 time to delivery at most",
        "p99_delivery" => "p99 time to delivery at most",
        "p999_delivery" => "p99.9 time to delivery at most",
        "max_delivery" => "longest time to delivery at most",
        "loss" => "loss at most",
        "acked_loss" => "acknowledged and yet lost at most",
        "duplicates" => "duplicates at most",
        "unmarked" => "duplicates not marked as such at most",
        "unprocessed" => "never processed at most",
        "replay_complete" => "replayed of what is kept at least",
        "order" => "deliveries out of order at most",
        "throughput" => "deliveries per second at least",
        other => return format!("{}:", clean::line(other, 40)),
    };
    known.to_owned()
}

/// What the metric counts, without which way it is judged.
pub(crate) fn subject(metric: &str) -> String {
    let phrase = phrase(metric);
    let short = phrase.strip_suffix(" at most").or_else(|| phrase.strip_suffix(" at least"));
    short.unwrap_or(&phrase).trim_end_matches(':').to_owned()
}

/// A figure in the metric's unit.
pub(crate) fn value(metric: &str, value: Option<f64>) -> String {
    let Some(value) = value else { return "no figure".to_owned() };
    match metric {
        _ if metric.ends_with("_delivery") => micros(value),
        "loss" | "duplicates" | "unmarked" | "unprocessed" | "replay_complete" => share(value),
        "order" | "acked_loss" if value >= 0.0 => count(value as u64),
        _ => rate(value),
    }
}

/// A target, without the decimals of a whole number.
pub(crate) fn target(result: &ObjectiveResult) -> String {
    value(&result.metric, Some(result.target)).replacen(".00 ", " ", 1).replacen(".0 ", " ", 1)
}

/// How many objectives of one contender ended how.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) met: u64,
    pub(crate) missed: u64,
    pub(crate) undecided: u64,
    pub(crate) unsupported: u64,
}

impl Tally {
    /// Those of `contender`, in `mode` or in all.
    pub(crate) fn of(record: &Record, contender: &str, mode: Option<Mode>) -> Tally {
        let mut tally = Tally::default();
        for result in &record.verdict.objectives {
            if result.contender != contender || mode.is_some_and(|mode| result.mode != mode) {
                continue;
            }
            match result.outcome {
                Outcome::Met => tally.met += 1,
                Outcome::Missed => tally.missed += 1,
                Outcome::Undecided => tally.undecided += 1,
                Outcome::Unsupported => tally.unsupported += 1,
            }
        }
        tally
    }

    /// How many were judged.
    pub(crate) const fn all(self) -> u64 {
        self.met + self.missed + self.undecided + self.unsupported
    }

    /// In a few words, such as `2 met, 1 missed`.
    pub(crate) fn words(self) -> String {
        let parts = self.parts();
        if parts.is_empty() { "none judged".to_owned() } else { parts.join(", ") }
    }

    /// The same, how each ended by itself.
    pub(crate) fn parts(self) -> Vec<String> {
        [
            (self.met, "met"),
            (self.missed, "missed"),
            (self.undecided, "undecided"),
            (self.unsupported, "unsupported"),
        ]
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, word)| format!("{number} {word}"))
        .collect()
    }
}

/// What one contender fell short of, a sentence each, each objective once.
pub(crate) fn shortfalls(record: &Record, contender: &str) -> Vec<String> {
    let mut seen: Vec<(&str, &str, Outcome)> = Vec::new();
    let mut out = Vec::new();
    // Subscriptions of one metric that one reason keeps from being judged.
    let mut unsupported: Vec<(&str, &str, Vec<String>)> = Vec::new();
    for result in &record.verdict.objectives {
        let key = (result.subscription.as_str(), result.metric.as_str(), result.outcome);
        if result.contender != contender || result.outcome == Outcome::Met || seen.contains(&key) {
            continue;
        }
        seen.push(key);
        if result.outcome != Outcome::Unsupported {
            out.push(shortfall(result));
            continue;
        }
        let reason = result.reason.as_deref().unwrap_or("not supported");
        let at = clean::line(&result.subscription, 40);
        match unsupported.iter_mut().find(|it| (it.0, it.1) == (&result.metric, reason)) {
            Some((.., all)) => all.push(at),
            None => unsupported.push((&result.metric, reason, vec![at])),
        }
    }
    for (metric, reason, at) in unsupported {
        let at: Vec<&str> = at.iter().map(String::as_str).collect();
        let (what, at, reason) = (subject(metric), list(&at), clean::line(reason, 200));
        out.push(format!("cannot be judged by {what} at {at}: {reason}"));
    }
    out
}

fn shortfall(result: &ObjectiveResult) -> String {
    let what = subject(&result.metric);
    let at = clean::line(&result.subscription, 40);
    let mode = super::words::provenance(result.mode);
    let reason = result.reason.as_deref().map(|reason| clean::line(reason, 200));
    match result.outcome {
        Outcome::Missed => format!(
            "misses {what} at {at}: {} where {} is the target ({mode})",
            value(&result.metric, result.actual),
            target(result),
        ),
        _ => format!(
            "leaves {what} at {at} undecided ({mode}): {}",
            reason.unwrap_or_else(|| "no figure good enough to judge by".to_owned())
        ),
    }
}
