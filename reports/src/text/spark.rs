//! Latency over time, a line of small bars for each contender.

use super::figures::{micros, seconds};
use super::group::{Group, Groups, mode_label};
use super::page::{Page, Paint};
use crate::clean;
use crate::record::{Fault, Point};

pub(super) const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Columns for the contender's name.
const NAME: usize = 18;
/// Columns for the range at the right.
const RANGE: usize = 22;

pub(super) fn write(groups: &Groups<'_>, page: &mut Page) {
    let drawable = |group: &Group<'_>| group.shown().series.iter().any(|p| p.p99_us.is_some());
    if !groups.0.iter().any(drawable) {
        return;
    }
    page.heading("p99 of each second, over time (one logarithmic scale in each mode)");
    for (mode, groups) in groups.by_mode() {
        let Some((low, high)) = scale(groups) else { continue };
        page.paragraph(Paint::Dim, "", mode_label(mode));
        let end = groups
            .iter()
            .flat_map(|group| &group.shown().series)
            .map(|point| point.t_s + 1.0)
            .filter(|t| t.is_finite())
            .fold(1.0, f64::max);
        let bars = page.width().saturating_sub(NAME + RANGE + 5).clamp(4, 60);
        for group in groups {
            let line = sparkline(&group.shown().series, end, bars, low, high);
            let name = clean::name(&group.contender, NAME);
            page.line(&[
                (Paint::Plain, &format!("  {name:<NAME$} ")),
                (Paint::Plain, &line),
                (Paint::Dim, &format!("  {}", range(&group.shown().series))),
            ]);
        }
        faults(groups, end, bars, page);
    }
}

/// The smallest and the largest p99 of a second in a mode.
fn scale(groups: &[Group<'_>]) -> Option<(f64, f64)> {
    let values = || groups.iter().flat_map(|group| figures(&group.shown().series));
    let low = values().reduce(f64::min)?;
    let high = values().reduce(f64::max)?;
    Some((low, high))
}

fn figures(series: &[Point]) -> impl Iterator<Item = f64> {
    series.iter().filter_map(|point| point.p99_us).filter(|us| us.is_finite() && *us > 0.0)
}

fn range(series: &[Point]) -> String {
    match (figures(series).reduce(f64::min), figures(series).reduce(f64::max)) {
        (Some(low), Some(high)) => format!("{} to {}", micros(low), micros(high)),
        _ => String::new(),
    }
}

/// One bar for each stretch of time: the worst second in it. A stretch without
/// a figure is blank.
fn sparkline(series: &[Point], end: f64, bars: usize, low: f64, high: f64) -> String {
    let mut worst: Vec<Option<f64>> = vec![None; bars];
    for point in series {
        let Some(us) = point.p99_us.filter(|us| us.is_finite() && *us > 0.0) else { continue };
        let first = place(point.t_s, end, bars);
        // With fewer seconds than bars, a second takes all bars up to the next.
        let last = place(point.t_s + 1.0, end, bars).max(first + 1).min(bars);
        for bar in &mut worst[first..last] {
            *bar = Some(bar.map_or(us, |so_far: f64| so_far.max(us)));
        }
    }
    let spread = (high / low).ln();
    worst
        .into_iter()
        .map(|us| match us {
            None => ' ',
            Some(us) if spread > 0.0 => {
                let height = ((us / low).ln() / spread * 7.0).round().clamp(0.0, 7.0);
                BARS[height as usize]
            }
            Some(_) => BARS[0],
        })
        .collect()
}

/// Which bar the moment `t_s` falls into.
fn place(t_s: f64, end: f64, bars: usize) -> usize {
    let at = (t_s / end * bars as f64).floor();
    if at.is_nan() || at < 0.0 { 0 } else { (at as usize).min(bars - 1) }
}

/// A line of marks under the bars, and what each stands for.
fn faults(groups: &[Group<'_>], end: f64, bars: usize, page: &mut Page) {
    let mut all: Vec<&Fault> = Vec::new();
    for fault in groups.iter().flat_map(|group| &group.shown().faults) {
        let known = |other: &&Fault| {
            other.kind == fault.kind && other.target == fault.target && other.at_s == fault.at_s
        };
        if !all.iter().any(known) && all.len() < 26 {
            all.push(fault);
        }
    }
    if all.is_empty() {
        return;
    }
    let mut marks = vec![' '; bars];
    for (at, fault) in all.iter().enumerate() {
        let (first, last) = (place(fault.at_s, end, bars), place(fault.until_s, end, bars));
        for mark in &mut marks[first..=last.max(first)] {
            if *mark == ' ' {
                *mark = '-';
            }
        }
        marks[first] = letter(at);
    }
    let marks: String = marks.into_iter().collect();
    page.line(&[(Paint::Plain, &format!("  {:<NAME$} ", "faults")), (Paint::Yellow, &marks)]);
    for (at, fault) in all.iter().enumerate() {
        let untouched: Vec<&str> = groups
            .iter()
            .filter(|group| {
                group.shown().faults.iter().any(|other| {
                    other.kind == fault.kind && other.at_s == fault.at_s && !other.took_effect
                })
            })
            .map(|group| group.contender.as_str())
            .collect();
        let mut text = format!(
            "{}, {}, {} to {}",
            clean::line(&fault.kind, 40),
            clean::line(&fault.target, 60),
            seconds(fault.at_s),
            seconds(fault.until_s),
        );
        if !untouched.is_empty() {
            text.push_str(&format!("; it had no effect on {}", untouched.join(", ")));
        }
        page.paragraph(Paint::Plain, &format!("  {} ", letter(at)), &text);
    }
}

fn letter(at: usize) -> char {
    char::from(b'A' + (at % 26) as u8)
}
