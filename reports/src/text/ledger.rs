//! The books: what was sent, what came back, and why the rest did not.

use std::collections::{BTreeMap, BTreeSet};

use super::count;
use super::group::{Group, Groups, mode_label};
use super::page::{Page, Paint};
use crate::clean;
use crate::record::Trial;

pub(super) fn write(groups: &Groups<'_>, page: &mut Page) {
    if groups.0.is_empty() {
        return;
    }
    page.heading("The books");
    for (mode, groups) in groups.by_mode() {
        page.paragraph(Paint::Dim, "", mode_label(mode));
        for group in groups {
            one(group, page);
        }
    }
}

fn one(group: &Group<'_>, page: &mut Page) {
    let attempted = group.sum(|trial| trial.ledger.messages.attempted);
    let acked = group.sum(|trial| trial.ledger.messages.acked);
    let failed = group.sum(|trial| trial.ledger.messages.failed);
    let unknown = group.sum(|trial| trial.ledger.messages.unknown);
    let expected = group.sum(|trial| trial.ledger.deliveries.expected);
    let delivered = group.sum(|trial| trial.ledger.deliveries.delivered);
    let explained = group.sum(|trial| trial.ledger.deliveries.lost_explained);
    let unexplained = group.sum(|trial| trial.ledger.deliveries.lost_unexplained);
    let undrained = group.sum(|trial| trial.ledger.deliveries.undrained);

    let mut text = format!("{} messages sent", count(attempted));
    for (number, what) in [(acked, "acknowledged"), (failed, "failed"), (unknown, "unknown")] {
        if number > 0 {
            text.push_str(&format!(", {} {what}", count(number)));
        }
    }
    text.push_str(&format!(
        "; of {} expected deliveries {} came, {} lost with a cause{}, {} lost without one, {} still under way",
        count(expected),
        count(delivered),
        count(explained),
        causes(group),
        count(unexplained),
        count(undrained),
    ));
    let oddities: Vec<String> = [
        (group.sum(|trial| trial.ledger.duplicates), "duplicates"),
        (group.sum(|trial| trial.ledger.redelivered), "redelivered"),
        (group.sum(|trial| trial.ledger.reordered), "out of order"),
        (group.sum(|trial| trial.ledger.corrupt), "corrupt"),
    ]
    .into_iter()
    .filter(|(number, _)| *number > 0)
    .map(|(number, what)| format!("{} {what}", count(number)))
    .collect();
    if oddities.is_empty() {
        text.push_str("; no duplicate, none out of order, none corrupt");
    } else {
        text.push_str(&format!("; {}", oddities.join(", ")));
    }
    for extra in extras(group) {
        text.push_str(&format!("; {extra}"));
    }
    let name = clean::name(&group.contender, 18);
    let broken = group.trials.iter().any(|trial| trial.broke_its_promise());
    let paint = if broken { Paint::Red } else { Paint::Bold };
    page.paragraph(paint, &format!("  {name:<18} "), &text);
}

/// What only some trials have: lost acknowledged messages, messages given up or
/// never processed, subscriptions that were not served, waste.
fn extras(group: &Group<'_>) -> Vec<String> {
    let mut out = Vec::new();
    let acked = by_cause(group, |trial| &trial.ledger.acked_lost);
    if !acked.is_empty() {
        let oldest = group.trials.iter().filter_map(|trial| trial.ledger.oldest_lost_s);
        let oldest = oldest.fold(0.0, f64::max);
        let age = if oldest > 0.0 {
            format!(", the oldest due {oldest:.2} s before the crash")
        } else {
            String::new()
        };
        let acked = acked.trim().trim_matches(['(', ')']);
        out.push(format!("lost although acknowledged: {acked}{age}"));
    }
    let given_up = group.sum(|trial| trial.ledger.given_up);
    if given_up > 0 {
        out.push(format!("{} given up after their last delivery", count(given_up)));
    }
    let unprocessed = group
        .sum(|trial| trial.ledger_by_subscription.values().map(|ledger| ledger.unprocessed).sum());
    if unprocessed > 0 {
        out.push(format!("{} delivered and never processed", count(unprocessed)));
    }
    let unserved: BTreeSet<&str> = group
        .trials
        .iter()
        .flat_map(|trial| &trial.ledger_by_subscription)
        .filter(|(_, ledger)| ledger.unsupported.is_some())
        .map(|(name, _)| name.as_str())
        .collect();
    if !unserved.is_empty() {
        let names: Vec<String> = unserved.iter().take(8).map(|it| clean::name(it, 20)).collect();
        out.push(format!("not served: {}", names.join(", ")));
    }
    let (messages, bytes) =
        (group.sum(|trial| trial.waste.messages), group.sum(|trial| trial.waste.bytes));
    if messages > 0 {
        out.push(format!(
            "{} messages ({}) were read only to be thrown away",
            count(messages),
            super::bytes(bytes)
        ));
    }
    out
}

/// The causes of explained losses, the largest first.
fn causes(group: &Group<'_>) -> String {
    by_cause(group, |trial| &trial.ledger.causes)
}

/// Sums by cause in brackets, the largest first; empty when there are none.
fn by_cause<'a>(
    group: &'a Group<'_>,
    of: impl Fn(&'a Trial) -> &'a BTreeMap<String, u64>,
) -> String {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for (cause, number) in group.trials.iter().flat_map(|trial| of(trial)) {
        let sum = sums.entry(cause).or_default();
        *sum = sum.saturating_add(*number);
    }
    let mut sums: Vec<(&str, u64)> = sums.into_iter().filter(|(_, number)| *number > 0).collect();
    sums.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    if sums.is_empty() {
        return String::new();
    }
    let listed: Vec<String> = sums
        .iter()
        .take(12)
        .map(|(cause, number)| format!("{} {}", clean::line(cause, 40), count(*number)))
        .collect();
    format!(" ({})", listed.join(", "))
}
