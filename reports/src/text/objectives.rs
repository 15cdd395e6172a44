//! The objectives one by one, with what each contender reached.

use std::collections::BTreeMap;

use super::page::{Page, Paint};
use crate::clean;
use crate::findings::objectives::{phrase, target, value};
use crate::record::{Mode, ObjectiveResult, Outcome, Record};

pub(super) fn write(record: &Record, page: &mut Page) {
    let results = &record.verdict.objectives;
    if results.is_empty() {
        return;
    }
    page.heading("Objectives");
    // In the order of the record; targets are part of an objective's identity.
    let mut order: BTreeMap<(&str, &str, u64), usize> = BTreeMap::new();
    for result in results {
        let next = order.len();
        order.entry(key(result)).or_insert(next);
    }
    let mut sorted: Vec<&ObjectiveResult> = results.iter().collect();
    sorted.sort_by_key(|result| (order.get(&key(result)).copied(), result.mode));
    for objective in sorted.chunk_by(|a, b| key(a) == key(b)) {
        let first = objective[0];
        let text = format!(
            "{}: {} {}",
            clean::line(&first.subscription, 40),
            phrase(&first.metric),
            target(first),
        );
        page.paragraph(Paint::Plain, "", &text);
        for result in objective {
            one(result, page);
        }
    }
}

fn key(result: &ObjectiveResult) -> (&str, &str, u64) {
    (&result.subscription, &result.metric, result.target.to_bits())
}

fn one(result: &ObjectiveResult, page: &mut Page) {
    let paint = match result.outcome {
        Outcome::Met => Paint::Green,
        Outcome::Missed | Outcome::Unsupported => Paint::Red,
        Outcome::Undecided => Paint::Yellow,
    };
    let name = clean::name(&result.contender, 18);
    let blank = " ".repeat(18_usize.saturating_sub(clean::width(&name)));
    let mode = mode_word(result.mode);
    let lead = format!("  {name}{blank}  {mode:<9}  {:<11}  ", result.outcome.name());
    let mut text = value(&result.metric, result.actual);
    if let Some(reason) = &result.reason {
        text.push_str(&format!(" ({})", clean::line(reason, 200)));
    }
    if clean::width(&lead) * 2 > page.width() && page.width() < 72 {
        let text = format!("{name}, {mode}: {}, {text}", result.outcome.name());
        page.paragraph(paint, "  ", &text);
        return;
    }
    // The label alone is painted, so that the lines stay aligned and readable.
    let indent = clean::width(&lead);
    let parts = clean::wrap(&text, page.width().saturating_sub(indent).max(10));
    for (at, part) in parts.iter().enumerate() {
        let blank = " ".repeat(indent);
        let before = if at == 0 { &lead } else { &blank };
        page.line(&[(paint, before), (Paint::Plain, part)]);
    }
}

const fn mode_word(mode: Mode) -> &'static str {
    if mode.is_simulated() { "simulated" } else { mode.name() }
}
