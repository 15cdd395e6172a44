//! Stacked bars: one for each contender, in the order of a message's way.

use plotters::style::text_anchor::HPos;
use serde_json::{Value, json};

use super::Frame;
use super::canvas::{Brush, Type};
use super::palette::Tone;
use super::scale::Axis;
use super::unit::micros;

/// A bar.
#[derive(Clone, Debug)]
pub(super) struct Bar {
    pub(super) who: usize,
    pub(super) name: String,
    pub(super) tone: Tone,
    /// Microseconds of each part, in the order of [`Bars::parts`].
    pub(super) values: Vec<f64>,
}

/// The chart.
#[derive(Clone, Debug)]
pub(super) struct Bars {
    /// Names of the parts.
    pub(super) parts: Vec<&'static str>,
    pub(super) bars: Vec<Bar>,
    /// From zero to the longest bar.
    pub(super) axis: Axis,
}

/// How opaque each part is: neighbours differ, and so do first and last.
const ALPHAS: [f64; 5] = [0.95, 0.34, 0.68, 0.2, 0.5];

const LEGEND: f64 = 34.0;
const ROW: f64 = 46.0;
const FOOT: f64 = 46.0;

impl Bars {
    pub(super) fn height(&self, narrow: bool) -> f64 {
        let legend = if narrow { LEGEND + 2.0 * 18.0 } else { LEGEND };
        legend + self.bars.len() as f64 * ROW + FOOT
    }

    pub(super) fn draw(&self, frame: Frame, narrow: bool, brush: &mut dyn Brush) {
        let size = if narrow { 12.0 } else { 13.5 };
        let dim = Type::plain(size - 1.0, Tone::Dim);
        let top = frame.top + self.legend(frame, narrow, brush);
        let bottom = top + self.bars.len() as f64 * ROW;
        let name = Type::plain(size, Tone::Ink).bold();
        let limit = if narrow { 11 } else { 22 };
        let shown = |bar: &Bar| crate::clean::name(&bar.name, limit);
        let names = self.bars.iter().map(|bar| name.width(&shown(bar)));
        let left = frame.left + names.fold(30.0, f64::max) + 10.0;
        let total = Type::plain(size, Tone::Ink).bold();
        let totals = self.bars.iter().map(|bar| total.width(&micros(bar.values.iter().sum())));
        let right = frame.right - totals.fold(40.0, f64::max) - 10.0;
        let x = |value: f64| left + self.axis.place(value) * (right - left);
        for (value, label) in self.axis.ticks(if narrow { 3 } else { 6 }) {
            brush.line(&[(x(value), top), (x(value), bottom)], Tone::Grid, 1.0, false);
            brush.text(&label, (x(value), bottom + 13.0), dim.at(HPos::Center));
        }
        brush.text(
            self.axis.name,
            (f64::midpoint(left, right), bottom + 33.0),
            dim.at(HPos::Center),
        );
        for (row, bar) in self.bars.iter().enumerate() {
            let y = top + row as f64 * ROW + 7.0;
            brush.open(bar.who, "series");
            let style = Type { tone: bar.tone, ..name };
            brush.text(&shown(bar), (left - 10.0, y + ROW / 2.0 - 7.0), style.at(HPos::Right));
            let mut from = 0.0;
            for (part, value) in bar.values.iter().enumerate() {
                let (a, b) = (x(from), x(from + value));
                from += value;
                if b - a < 0.25 {
                    continue;
                }
                // A hair of paper tells parts apart, also in print.
                let end = if b - a > 3.0 { b - 1.0 } else { b };
                let alpha = ALPHAS[part % ALPHAS.len()];
                // What is see-through must not show the grid.
                brush.rect((a, y), (end, y + ROW - 14.0), Tone::Paper, 1.0);
                brush.rect((a, y), (end, y + ROW - 14.0), bar.tone, alpha);
                let tone = if alpha > 0.6 { Tone::Paper } else { Tone::Ink };
                let style = Type::plain(size - 1.0, tone).at(HPos::Center);
                let long = format!("{} {}", self.parts[part], micros(*value));
                let short = (part + 1).to_string();
                let fit = [long, short].into_iter().find(|t| style.width(t) + 6.0 < end - a);
                if let Some(text) = fit {
                    brush.text(&text, (f64::midpoint(a, end), y + ROW / 2.0 - 7.0), style);
                }
            }
            brush.text(&micros(from), (x(from) + 8.0, y + ROW / 2.0 - 7.0), total);
            brush.close();
        }
    }

    /// What is which; returns its height.
    fn legend(&self, frame: Frame, narrow: bool, brush: &mut dyn Brush) -> f64 {
        let style = Type::plain(if narrow { 11.5 } else { 12.5 }, Tone::Dim);
        let (mut x, mut y) = (frame.left, frame.top + 9.0);
        for (at, part) in self.parts.iter().enumerate() {
            let text = format!("{} {part}", at + 1);
            let width = style.width(&text) + 34.0;
            if x + width > frame.right + 14.0 && x > frame.left {
                x = frame.left;
                y += 18.0;
            }
            brush.rect((x, y - 6.0), (x + 14.0, y + 6.0), Tone::Dim, ALPHAS[at % ALPHAS.len()]);
            brush.text(&text, (x + 20.0, y), style);
            x += width;
        }
        if narrow { LEGEND + 2.0 * 18.0 } else { LEGEND }
    }

    pub(super) fn description(&self) -> String {
        let bars: Vec<String> = self
            .bars
            .iter()
            .map(|bar| {
                let parts: Vec<String> = self
                    .parts
                    .iter()
                    .zip(&bar.values)
                    .map(|(part, value)| format!("{part} {}", micros(*value)))
                    .collect();
                format!("{}: {}", bar.name, parts.join(", "))
            })
            .collect();
        format!("A bar each: {}.", bars.join("; "))
    }

    pub(super) fn data(&self) -> Value {
        let bars: Vec<Value> = self
            .bars
            .iter()
            .map(|bar| {
                let parts: Vec<Value> = self
                    .parts
                    .iter()
                    .zip(&bar.values)
                    .map(|(part, value)| json!([part, micros(*value)]))
                    .collect();
                json!({ "c": bar.who, "n": bar.name, "t": bar.tone.name(), "parts": parts,
                        "total": micros(bar.values.iter().sum()) })
            })
            .collect();
        json!({ "kind": "bars", "bars": bars })
    }

    pub(super) fn table(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let mut head = vec!["contender".to_owned()];
        head.extend(self.parts.iter().map(|part| (*part).to_owned()));
        head.push("together".to_owned());
        let rows = self
            .bars
            .iter()
            .map(|bar| {
                let mut row = vec![bar.name.clone()];
                row.extend(bar.values.iter().map(|value| micros(*value)));
                row.push(micros(bar.values.iter().sum()));
                row
            })
            .collect();
        (head, rows)
    }
}
