//! Highest sustained rates, and latency against load.

use super::group::mode_label;
use super::page::{Page, Paint};
use super::spark::BARS;
use super::table::{Column, Table};
use super::{micros, rate};
use crate::clean;
use crate::record::{Capacity, CapacityPoint, Mode, Record};

/// Columns for the contender's name beside a curve.
const NAME: usize = 18;
/// Points of a curve that are drawn at most.
const POINTS: usize = 30;

pub(super) fn write(record: &Record, page: &mut Page) {
    if record.capacity.is_empty() {
        return;
    }
    page.heading("Highest sustained rate, within the objectives");
    let mut table = Table::new([
        Column::words("", "contender"),
        Column::figures("", "messages/s"),
        Column::figures("", "bracket"),
        Column::figures("p99", "there").called("p99 there"),
        Column::figures("", "knee at"),
        Column::words("", "limited by"),
    ]);
    let mut rows: Vec<&Capacity> = record.capacity.iter().collect();
    rows.sort_by_key(|row| row.mode);
    let mut mode: Option<Mode> = None;
    for row in &rows {
        if mode != Some(row.mode) {
            table.section(mode_label(row.mode));
            mode = Some(row.mode);
        }
        table.row(cells(row));
    }
    table.write(page);
    if rows.iter().any(|row| row.at_least) {
        let text = "at least: the generator or the search's own bounds ended it, not the broker";
        page.paragraph(Paint::Dim, ">= ", text);
    }
    page.paragraph(
        Paint::Dim,
        "bracket ",
        "from the rate up to which every run held, to the lowest from which on none did; knee: the highest \
         rate before p99 doubles",
    );
    curves(&rows, page);
    for row in &rows {
        for note in row.notes.iter().take(8) {
            let who = format!("{} {}: ", clean::name(&row.contender, 30), row.mode);
            page.paragraph(Paint::Plain, "- ", &format!("{who}{}", clean::line(note, 300)));
        }
    }
}

fn cells(row: &Capacity) -> Vec<String> {
    let least = if row.at_least { ">= " } else { "" };
    let there =
        row.curve.iter().filter(|point| point.met && point.rate_per_s <= row.rate_per_s * 1.001);
    let p99 = there.max_by(|a, b| a.rate_per_s.total_cmp(&b.rate_per_s)).and_then(|p| p.p99_us);
    let dash = || "-".to_owned();
    let found = row.rate_per_s > 0.0;
    vec![
        row.contender.clone(),
        if found { format!("{least}{}", rate(row.rate_per_s)) } else { "none".to_owned() },
        format!("{} to {}", rate(row.bracket[0]), rate(row.bracket[1])),
        p99.map_or_else(dash, micros),
        row.knee_per_s.map_or_else(dash, rate),
        clean::line(&row.limited_by, 16),
    ]
}

/// A bar for each step, rates increasing; after `|` the steps that did not hold.
fn curves(rows: &[&Capacity], page: &mut Page) {
    let drawable = |row: &&&Capacity| figures(row).next().is_some();
    if !rows.iter().any(|row| drawable(&row)) {
        return;
    }
    page.heading("p99 against load, step by step; after | the steps that did not hold");
    let mut mode: Option<Mode> = None;
    for row in rows.iter().filter(drawable) {
        if mode != Some(row.mode) {
            page.paragraph(Paint::Dim, "", mode_label(row.mode));
            mode = Some(row.mode);
        }
        let (low, high) = scale(rows, row.mode);
        let points: Vec<&CapacityPoint> = sorted(row);
        let split = points.iter().position(|p| !p.met).unwrap_or(points.len());
        let draw = |points: &[&CapacityPoint]| {
            points.iter().map(|p| bar(p.p99_us, low, high)).collect::<String>()
        };
        let first = points.first().map_or(0.0, |p| p.rate_per_s);
        let last = points.last().map_or(0.0, |p| p.rate_per_s);
        let name = clean::name(&row.contender, NAME);
        page.line(&[
            (Paint::Plain, &format!("  {name:<NAME$} ")),
            (Paint::Green, &draw(&points[..split])),
            (Paint::Dim, "|"),
            (Paint::Red, &draw(&points[split..])),
            (Paint::Dim, &format!("  {} to {}/s", rate(first), rate(last))),
        ]);
        let times = (figures(row).reduce(f64::min), figures(row).reduce(f64::max));
        if let (Some(low), Some(high)) = times {
            let blank = " ".repeat(NAME + 3);
            let text = format!("{blank}p99 {} to {}", micros(low), micros(high));
            page.line(&[(Paint::Dim, &text)]);
        }
    }
}

/// The points by rate; of too many, those nearest to the sustained rate.
fn sorted(row: &Capacity) -> Vec<&CapacityPoint> {
    let mut points: Vec<&CapacityPoint> = row.curve.iter().collect();
    let away = |point: &CapacityPoint| (point.rate_per_s - row.rate_per_s).abs();
    points.sort_by(|a, b| away(a).total_cmp(&away(b)));
    points.truncate(POINTS);
    points.sort_by(|a, b| a.rate_per_s.total_cmp(&b.rate_per_s));
    points
}

fn figures(row: &Capacity) -> impl Iterator<Item = f64> {
    row.curve.iter().filter_map(|p| p.p99_us).filter(|us| us.is_finite() && *us > 0.0)
}

fn scale(rows: &[&Capacity], mode: Mode) -> (f64, f64) {
    let all = || rows.iter().filter(|row| row.mode == mode).flat_map(|row| figures(row));
    (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max))
}

fn bar(us: Option<f64>, low: f64, high: f64) -> char {
    let Some(us) = us.filter(|us| us.is_finite() && *us > 0.0) else { return '·' };
    let spread = (high / low).ln();
    let share = if spread > 0.0 { (us / low).ln() / spread } else { 0.0 };
    BARS[(share * 7.0).round().clamp(0.0, 7.0) as usize]
}
