//! Lines over two axes, with a name at the end of each instead of a legend.

use plotters::style::text_anchor::HPos;
use serde_json::{Value, json};

use super::Frame;
use super::canvas::{Brush, Type};
use super::palette::Tone;
use super::scale::{Axis, Kind};

/// How neighbouring points become one where there are too many.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Fold {
    /// The largest stands for all: a slow second must not vanish.
    Max,
    /// Their mean.
    Mean,
}

/// A line.
#[derive(Clone, Debug)]
pub(super) struct Series {
    /// The contender's number among those of the record; `None` for a line that
    /// is nobody's, such as the load.
    pub(super) who: Option<usize>,
    pub(super) name: String,
    pub(super) tone: Tone,
    /// By increasing x; a point without y ends the line until the next.
    pub(super) points: Vec<(f64, Option<f64>)>,
    /// From this point on the line is dashed: not to be relied on.
    pub(super) dashed_from: Option<usize>,
    /// A ring at the last point, such as the largest of all.
    pub(super) ring_at_end: bool,
    pub(super) fold: Fold,
}

/// A stretch of the x axis that is marked.
#[derive(Clone, Debug)]
pub(super) struct Band {
    pub(super) letter: char,
    pub(super) from: f64,
    pub(super) to: f64,
}

/// The chart.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) series: Vec<Series>,
    pub(super) bands: Vec<Band>,
    /// A level to stay below, with its name.
    pub(super) target: Option<(f64, String)>,
}

/// Points a line is drawn with at most, and rows of its table.
const WIDE_POINTS: usize = 400;
const NARROW_POINTS: usize = 150;
const ROWS: usize = 40;
/// Points of all lines together that go into a page's data.
const ALL_POINTS: usize = 2_400;
/// Between the names of two lines.
const NAME_GAP: f64 = 16.0;

impl Lines {
    /// The part of `frame` that has the lines in it.
    pub(super) fn plot(&self, frame: Frame, narrow: bool) -> Frame {
        let size = type_size(narrow);
        let style = Type::plain(size, Tone::Ink).bold();
        let names = self.series.iter().map(|s| style.width(&self.shown(s, narrow)));
        let room = names.fold(0.0, f64::max) + 16.0;
        let ticks = self.y.ticks(y_ticks(narrow));
        let labels = ticks.iter().map(|(_, label)| Type::plain(size - 1.0, Tone::Dim).width(label));
        Frame {
            left: frame.left + labels.fold(20.0, f64::max) + 12.0,
            top: frame.top + 30.0,
            right: frame.right - room.min((frame.right - frame.left) * 0.34),
            bottom: frame.bottom - 46.0,
        }
    }

    fn shown(&self, series: &Series, narrow: bool) -> String {
        crate::clean::name(&series.name, if narrow { 13 } else { 24 })
    }

    fn at(&self, plot: Frame, x: f64, y: f64) -> (f64, f64) {
        (
            plot.left + self.x.place(x) * (plot.right - plot.left),
            plot.bottom - self.y.place(y) * (plot.bottom - plot.top),
        )
    }

    pub(super) fn draw(&self, frame: Frame, narrow: bool, brush: &mut dyn Brush) {
        let plot = self.plot(frame, narrow);
        let size = type_size(narrow);
        self.bands(plot, size, brush);
        self.grid(frame, plot, narrow, brush);
        if let Some((level, name)) = &self.target {
            let (_, y) = self.at(plot, self.x.low, *level);
            brush.line(&[(plot.left, y), (plot.right, y)], Tone::Ink, 1.0, true);
            let style = Type::plain(size - 1.0, Tone::Ink);
            brush.text(name, (plot.left + 6.0, y - 9.0), style);
        }
        let most = if narrow { NARROW_POINTS } else { WIDE_POINTS };
        for series in &self.series {
            brush.open(series.who.unwrap_or(99), "series");
            self.line(series, plot, most, narrow, brush);
            brush.close();
        }
        self.names(plot, narrow, brush);
    }

    fn bands(&self, plot: Frame, size: f64, brush: &mut dyn Brush) {
        let mut last = f64::NEG_INFINITY;
        for band in &self.bands {
            let (from, _) = self.at(plot, band.from, self.y.low);
            let (to, _) = self.at(plot, band.to, self.y.low);
            let to = to.max(from + 2.0);
            brush.rect((from, plot.top), (to, plot.bottom), Tone::Fault, 0.13);
            let middle = f64::midpoint(from, to).max(last + size);
            let style = Type::plain(size - 1.0, Tone::Fault).bold().at(HPos::Center);
            brush.text(&band.letter.to_string(), (middle, plot.top - 9.0), style);
            last = middle;
        }
    }

    fn grid(&self, frame: Frame, plot: Frame, narrow: bool, brush: &mut dyn Brush) {
        let size = type_size(narrow);
        let dim = Type::plain(size - 1.0, Tone::Dim);
        for (value, label) in self.y.ticks(y_ticks(narrow)) {
            let (_, y) = self.at(plot, self.x.low, value);
            brush.line(&[(plot.left, y), (plot.right, y)], Tone::Grid, 1.0, false);
            brush.text(&label, (plot.left - 8.0, y), dim.at(HPos::Right));
        }
        let mut last = f64::NEG_INFINITY;
        let ticks = self.x.ticks(if narrow { 4 } else { 8 });
        let count = ticks.len();
        for (at, (value, label)) in ticks.into_iter().enumerate() {
            let (x, _) = self.at(plot, value, self.y.low);
            let half = dim.width(&label) / 2.0;
            // Labels that would touch the one before them are left out.
            let anchor =
                if at + 1 == count && x + half > frame.right { HPos::Right } else { HPos::Center };
            let from = match anchor {
                HPos::Left => x,
                HPos::Center => x - half,
                HPos::Right => x - 2.0 * half,
            };
            brush.line(&[(x, plot.bottom), (x, plot.bottom + 4.0)], Tone::Dim, 1.0, false);
            if from > last + 6.0 {
                brush.text(&label, (x, plot.bottom + 15.0), dim.at(anchor));
                last = from + 2.0 * half;
            }
        }
        brush.line(&[(plot.left, plot.bottom), (plot.right, plot.bottom)], Tone::Dim, 1.0, false);
        let middle = f64::midpoint(plot.left, plot.right);
        brush.text(self.x.name, (middle, plot.bottom + 34.0), dim.at(HPos::Center));
        brush.text(self.y.name, (frame.left, frame.top + 8.0), dim);
    }

    fn line(&self, series: &Series, plot: Frame, most: usize, narrow: bool, brush: &mut dyn Brush) {
        let width = if series.who.is_none() {
            1.25
        } else if narrow {
            1.75
        } else {
            2.0
        };
        let points = folded(&series.points, most, series.fold);
        let mut piece: Vec<(f64, f64)> = Vec::new();
        let mut dashed = false;
        for (at, (x, y)) in points.iter().enumerate() {
            let turns = series.dashed_from == Some(at);
            match y {
                Some(y) => {
                    let place = self.at(plot, *x, *y);
                    if turns {
                        piece.push(place);
                        stroke(&piece, series.tone, width, dashed, brush);
                        piece.clear();
                        dashed = true;
                    }
                    piece.push(place);
                }
                None => {
                    stroke(&piece, series.tone, width, dashed, brush);
                    piece.clear();
                }
            }
        }
        stroke(&piece, series.tone, width, dashed, brush);
        if let (true, Some((x, Some(y)))) = (series.ring_at_end, points.last()) {
            brush.ring(self.at(plot, *x, *y), 4.5, series.tone);
        }
    }

    /// A name at the right end of each line, moved apart where lines meet.
    fn names(&self, plot: Frame, narrow: bool, brush: &mut dyn Brush) {
        let mut places: Vec<(f64, f64, &Series)> = self
            .series
            .iter()
            .filter_map(|series| {
                let (x, y) = series.points.iter().rev().find_map(|(x, y)| Some((*x, (*y)?)))?;
                let (x, y) = self.at(plot, x, y);
                Some((x, y, series))
            })
            .collect();
        places.sort_by(|a, b| a.1.total_cmp(&b.1));
        let wanted: Vec<f64> = places.iter().map(|(_, y, _)| *y).collect();
        let settled = apart(&wanted, NAME_GAP, plot.top, plot.bottom - 4.0);
        for ((x, y, series), moved) in places.into_iter().zip(settled) {
            brush.open(series.who.unwrap_or(99), "name");
            let start = plot.right + 10.0;
            // A hair from the line to its name, where they are not side by side.
            if x < plot.right - 30.0 {
                let turn = (start - 8.0, moved);
                brush.line(&[(x + 7.0, y), turn, (start - 3.0, moved)], Tone::Grid, 1.0, false);
            } else if (moved - y).abs() > 3.0 {
                brush.line(&[(x + 2.0, y), (start - 2.0, moved)], series.tone, 0.75, false);
            }
            let style = Type::plain(type_size(narrow), series.tone);
            let style = if series.who.is_some() { style.bold() } else { style };
            brush.text(&self.shown(series, narrow), (start, moved), style);
            brush.close();
        }
    }

    pub(super) fn description(&self) -> String {
        let names: Vec<&str> = self.series.iter().map(|series| series.name.as_str()).collect();
        format!("{} by {}, a line each for {}.", self.y.name, self.x.name, names.join(", "))
    }

    pub(super) fn data(&self) -> Value {
        let axis = |axis: &Axis| {
            let kind = match axis.kind {
                Kind::Linear => "lin",
                Kind::Log => "log",
                Kind::Nines => "nines",
            };
            json!({ "kind": kind, "unit": axis.unit.name(), "low": axis.low, "high": axis.high })
        };
        let most = (ALL_POINTS / self.series.len().max(1)).clamp(20, WIDE_POINTS);
        let series: Vec<Value> = self
            .series
            .iter()
            .map(|series| {
                let points: Vec<Value> = folded(&series.points, most, series.fold)
                    .into_iter()
                    .filter_map(|(x, y)| Some(json!([rounded(x, 7), rounded(y?, 4)])))
                    .collect();
                json!({
                    "c": series.who.unwrap_or(99),
                    "n": series.name,
                    "t": series.tone.name(),
                    "p": points,
                })
            })
            .collect();
        json!({ "kind": "lines", "x": axis(&self.x), "y": axis(&self.y), "series": series })
    }

    pub(super) fn table(&self) -> (Vec<String>, Vec<Vec<String>>) {
        let mut head = vec![self.x.name.to_owned()];
        head.extend(self.series.iter().map(|series| series.name.clone()));
        let columns: Vec<Vec<(f64, Option<f64>)>> =
            self.series.iter().map(|series| folded(&series.points, ROWS, series.fold)).collect();
        let mut xs: Vec<f64> = columns.iter().flatten().map(|(x, _)| *x).collect();
        xs.sort_by(f64::total_cmp);
        xs.dedup();
        let step = xs.len().div_ceil(ROWS).max(1);
        let rows = xs
            .into_iter()
            .step_by(step)
            .map(|x| {
                let mut row = vec![self.x.unit.show(x)];
                row.extend(columns.iter().map(|points| {
                    let y = points.iter().find(|(at, _)| *at == x).and_then(|(_, y)| *y);
                    y.map_or_else(String::new, |y| self.y.unit.show(y))
                }));
                row
            })
            .collect();
        (head, rows)
    }
}

const fn type_size(narrow: bool) -> f64 {
    if narrow { 12.0 } else { 13.5 }
}

const fn y_ticks(narrow: bool) -> usize {
    if narrow { 6 } else { 8 }
}

fn stroke(points: &[(f64, f64)], tone: Tone, width: f64, dashed: bool, brush: &mut dyn Brush) {
    match points {
        [] => {}
        [(x, y)] => brush.line(&[(x - 1.0, *y), (x + 1.0, *y)], tone, width, false),
        _ => brush.line(points, tone, width, dashed),
    }
}

/// At most `most` points; each stands for a stretch of neighbours and lies at
/// the first of them.
fn folded(points: &[(f64, Option<f64>)], most: usize, fold: Fold) -> Vec<(f64, Option<f64>)> {
    if points.len() <= most {
        return points.to_vec();
    }
    points
        .chunks(points.len().div_ceil(most))
        .map(|chunk| {
            let values = chunk.iter().filter_map(|(_, y)| *y);
            let y = match fold {
                Fold::Max => values.reduce(f64::max),
                Fold::Mean => {
                    let (sum, count) = values.fold((0.0, 0_u32), |(s, c), y| (s + y, c + 1));
                    (count > 0).then(|| sum / f64::from(count))
                }
            };
            (chunk[0].0, y)
        })
        .collect()
}

/// `wanted`, ascending, moved so that neighbours are `gap` apart and all lie
/// between `top` and `bottom` where there is room.
fn apart(wanted: &[f64], gap: f64, top: f64, bottom: f64) -> Vec<f64> {
    let gap = gap.min((bottom - top) / wanted.len().saturating_sub(1).max(1) as f64);
    // Names that would touch move as one block around the mean of their wishes.
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    for want in wanted {
        blocks.push((*want, 1));
        while let [.., (before, many), (this, few)] = blocks[..] {
            let touch = (many + few) as f64 * gap / 2.0;
            if this - before >= touch {
                break;
            }
            let all = many + few;
            let mean = (before * many as f64 + this * few as f64) / all as f64;
            blocks.truncate(blocks.len() - 2);
            blocks.push((mean, all));
        }
    }
    let mut out = Vec::with_capacity(wanted.len());
    for (middle, many) in blocks {
        let first = middle - gap * (many as f64 - 1.0) / 2.0;
        out.extend((0..many).map(|at| first + at as f64 * gap));
    }
    // The ends push inwards.
    let mut least = top;
    for place in &mut out {
        *place = place.max(least);
        least = *place + gap;
    }
    let mut greatest = bottom;
    for place in out.iter_mut().rev() {
        *place = place.min(greatest);
        greatest = *place - gap;
    }
    out
}

/// `value` with so many digits that matter.
fn rounded(value: f64, digits: i32) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let power = digits - 1 - value.abs().log10().floor() as i32;
    // Text keeps what multiplication would blur.
    if (0..=15).contains(&power) {
        format!("{value:.*}", power as usize).parse().unwrap_or(value)
    } else {
        let unit = 10_f64.powi(-power);
        (value / unit).round() * unit
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_slow_second_survives_folding() {
        let points: Vec<(f64, Option<f64>)> =
            (0..1_000).map(|t| (f64::from(t), Some(if t == 777 { 90.0 } else { 1.0 }))).collect();
        let few = folded(&points, 100, Fold::Max);
        assert_eq!(few.len(), 100);
        assert_eq!(few.iter().filter(|(_, y)| *y == Some(90.0)).count(), 1);
        assert_eq!(few[77], (770.0, Some(90.0)));
    }

    #[test]
    fn figures_are_rounded_to_what_matters() {
        assert_eq!(rounded(1_234.567, 4), 1_235.0);
        assert_eq!(rounded(0.001_234_56, 4), 0.001_235);
        assert_eq!(rounded(123_456_789.0, 4), 123_500_000.0);
    }

    proptest! {
        #[test]
        fn names_keep_their_distance_and_stay_inside(
            mut wanted in proptest::collection::vec(-50.0..400.0_f64, 1..12),
        ) {
            wanted.sort_by(f64::total_cmp);
            let places = apart(&wanted, 16.0, 0.0, 300.0);
            for pair in places.windows(2) {
                prop_assert!(pair[1] - pair[0] >= 16.0 - 1e-6);
            }
            for place in places {
                prop_assert!((-1e-6..=300.0 + 1e-6).contains(&place));
            }
        }
    }
}
