//! The objectives one by one, with what each contender reached.

use std::collections::BTreeMap;

use super::figures::{count, micros, rate, share};
use super::page::{Page, Paint};
use crate::clean;
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
            value(&first.metric, Some(first.target)).replacen(".00 ", " ", 1),
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

/// The metric and which way it is judged.
fn phrase(metric: &str) -> String {
    match metric {
        "p50_delivery" => "median time to delivery at most".to_owned(),
        "p90_delivery" => "p90 time to delivery at most".to_owned(),
        "p99_delivery" => "p99 time to delivery at most".to_owned(),
        "p999_delivery" => "p99.9 time to delivery at most".to_owned(),
        "max_delivery" => "longest time to delivery at most".to_owned(),
        "loss" => "loss at most".to_owned(),
        "duplicates" => "duplicates at most".to_owned(),
        "order" => "deliveries out of order at most".to_owned(),
        "throughput" => "deliveries per second at least".to_owned(),
        other => format!("{}:", clean::line(other, 40)),
    }
}

fn value(metric: &str, value: Option<f64>) -> String {
    let Some(value) = value else { return "no figure".to_owned() };
    match metric {
        _ if metric.ends_with("_delivery") => micros(value),
        "loss" | "duplicates" => share(value),
        "order" if value >= 0.0 => count(value as u64),
        _ => rate(value),
    }
}
