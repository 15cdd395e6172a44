//! Which charts a record has material for.

use super::bars::{Bar, Bars};
use super::lines::{Band, Fold, Lines, Series};
use super::palette::Tone;
use super::scale::Axis;
use super::unit::Unit;
use super::{Drawing, Figure};
use crate::findings::cast::{Cast, Who};
use crate::findings::{anatomy, faults, load, objectives, speed, stream};
use crate::record::{Capacity, Mode, Point, Quantile, Record, STAGES};
use crate::text::group::{Group, Groups};

/// More contenders than this in one mode are not drawn: nobody could tell them
/// apart. The tables have all of them.
const MOST: usize = 12;

/// A second with less than this share of the busiest one's deliveries is a trickle.
const TRICKLE: f64 = 0.02;

/// Rates to one microsecond; what is not finite or below zero is no figure.
fn sound(value: Option<f64>) -> Option<f64> {
    value.filter(|v| v.is_finite() && *v >= 0.0 && *v < 1e15)
}

pub(super) fn figures(record: &Record, cast: &Cast) -> Vec<Figure> {
    let groups = Groups::of(record);
    let by_mode: Vec<(Mode, &[Group<'_>])> =
        groups.by_mode().map(|(mode, groups)| (mode, &groups[..groups.len().min(MOST)])).collect();
    let each = |of: &dyn Fn(Mode, &[Group<'_>]) -> Option<Figure>| -> Vec<Figure> {
        by_mode.iter().filter_map(|(mode, groups)| of(*mode, groups)).collect()
    };
    let mut out = each(&|mode, groups| percentiles(record, mode, groups, cast));
    out.extend(each(&|mode, groups| latency(record, mode, groups, cast)));
    out.extend(each(&|mode, groups| throughput(mode, groups, cast)));
    out.extend(each(&|mode, groups| backlog(mode, groups, cast)));
    for mode in [Mode::Sim, Mode::Embedded, Mode::Wire, Mode::Real] {
        out.extend(latency_against_load(record, mode, cast));
    }
    out.extend(each(&|mode, groups| stages(mode, groups, cast)));
    out
}

fn figure(id: &str, mode: Mode, topic: &'static str, title: String, drawing: Drawing) -> Figure {
    Figure { id: format!("{id}-{mode}"), mode, topic, title, notes: Vec::new(), drawing }
}

fn series(who: &Who, points: Vec<(f64, Option<f64>)>, fold: Fold) -> Option<Series> {
    points.iter().any(|(_, y)| y.is_some()).then(|| Series {
        who: Some(who.number),
        name: who.name.clone(),
        tone: Tone::Series(who.colour),
        points,
        dashed_from: None,
        ring_at_end: false,
        fold,
    })
}

fn ys(series: &[Series]) -> impl Iterator<Item = f64> {
    series.iter().flat_map(|series| series.points.iter().filter_map(|(_, y)| *y))
}

fn percentiles(record: &Record, mode: Mode, groups: &[Group<'_>], cast: &Cast) -> Option<Figure> {
    let mut all = Vec::new();
    for group in groups {
        let times = &group.shown().delivery.response;
        let mut points: Vec<(f64, Option<f64>)> = if times.curve.len() > 1 {
            times.curve.iter().map(|point| (point.q, sound(Some(point.us)))).collect()
        } else {
            Quantile::ALL
                .into_iter()
                .filter(|quantile| *quantile != Quantile::Max)
                .filter_map(|quantile| Some((quantile.share(), Some(sound(times.get(quantile))?))))
                .collect()
        };
        points.retain(|(q, y)| (0.0..1.0).contains(q) && y.is_some_and(|y| y > 0.0));
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let untrusted = Quantile::ALL.into_iter().find(|q| times.is_limited(*q));
        let from = untrusted.and_then(|limit| {
            // A limited median says that nothing here is the contender's alone.
            let share = if limit == Quantile::P50 { 0.0 } else { limit.share() };
            points.iter().position(|(q, _)| *q >= share - 1e-9)
        });
        let mut ring = false;
        if let (Some(max), true) = (sound(times.max_us).filter(|max| *max > 0.0), times.count > 1) {
            points.push((1.0 - 1.0 / times.count as f64, Some(max)));
            ring = true;
        }
        let last = points.len().saturating_sub(2);
        if let Some(mut line) = series(cast.who(group.key), points, Fold::Max) {
            line.ring_at_end = ring;
            line.dashed_from = from.or(ring.then_some(last));
            all.push(line);
        }
    }
    if all.is_empty() {
        return None;
    }
    let samples = groups.iter().map(|group| group.shown().delivery.response.count).max();
    let lines = Lines {
        x: Axis::nines("share of deliveries that were at least as fast", samples.unwrap_or(0)),
        y: Axis::log(Unit::Micros, "time to delivery (logarithmic)", ys(&all)),
        series: all,
        bands: Vec::new(),
        target: None,
    };
    let title = speed::percentiles(record, mode, groups, cast);
    let mut figure = figure(
        "percentiles",
        mode,
        "Percentiles of time to delivery",
        title,
        Drawing::Lines(lines),
    );
    figure.notes.push(
        "A ring is the slowest delivery of all. Dashed: a single sample, or figures that the \
         instrument's own lag dominates."
            .to_owned(),
    );
    Some(figure)
}

/// Where a figure of a whole second stands in it, so that what a fault causes does
/// not stand before the fault.
const MIDDLE: f64 = 0.5;

/// Where a figure of a second's end stands in it.
const END: f64 = 1.0;

/// A line for each group over the seconds of its trial, with each figure at `place`
/// in its second.
fn over_time(
    groups: &[Group<'_>],
    cast: &Cast,
    place: f64,
    fold: Fold,
    of: impl Fn(&Point) -> Option<f64>,
) -> Vec<Series> {
    groups
        .iter()
        .filter_map(|group| {
            let mut points: Vec<(f64, Option<f64>)> = group
                .shown()
                .series
                .iter()
                .filter(|point| (0.0..1e9).contains(&point.t_s))
                .map(|point| (point.t_s + place, sound(of(point))))
                .collect();
            points.sort_by(|a, b| a.0.total_cmp(&b.0));
            series(cast.who(group.key), points, fold)
        })
        .collect()
}

fn time_axis(groups: &[Group<'_>]) -> Axis {
    let ends = groups.iter().flat_map(|group| &group.shown().series).map(|point| point.t_s);
    let end = ends.filter(|t| (0.0..1e9).contains(t)).fold(0.0, f64::max) + END;
    Axis::exact(Unit::Seconds, "time since the first phase began", 0.0, end)
}

fn bands(groups: &[Group<'_>]) -> Vec<Band> {
    faults::of(groups)
        .iter()
        .map(|fault| Band { letter: fault.letter, from: fault.at_s, to: fault.until_s })
        .collect()
}

fn timed(groups: &[Group<'_>], y: Axis, series: Vec<Series>) -> Lines {
    Lines { x: time_axis(groups), y, series, bands: bands(groups), target: None }
}

/// The level that p99 must stay below, where there is one for all deliveries of
/// this mode: of several subscriptions each may have its own.
fn target(record: &Record, mode: Mode, groups: &[Group<'_>]) -> Option<(f64, String)> {
    if groups.iter().any(|group| group.shown().by_subscription.len() > 1) {
        return None;
    }
    let mut of = record
        .verdict
        .objectives
        .iter()
        .filter(|of| of.metric == "p99_delivery" && of.mode == mode);
    let first = of.next()?;
    let level = sound(Some(first.target)).filter(|level| *level > 0.0)?;
    let one = of.all(|other| other.target == first.target);
    one.then(|| (level, format!("target for p99: {}", objectives::target(first))))
}

fn latency(record: &Record, mode: Mode, groups: &[Group<'_>], cast: &Cast) -> Option<Figure> {
    let all =
        over_time(groups, cast, MIDDLE, Fold::Max, |point| point.p99_us.filter(|us| *us > 0.0));
    if all.is_empty() {
        return None;
    }
    let target = target(record, mode, groups);
    let levels = ys(&all).chain(target.iter().map(|(level, _)| *level));
    let y = Axis::log(Unit::Micros, "p99 of each second (logarithmic)", levels);
    let title = stream::latency(mode, groups, cast);
    let drawing = Drawing::Lines(Lines { target, ..timed(groups, y, all) });
    let mut figure = figure("latency", mode, "Latency over time", title, drawing);
    figure.notes = faults::notes(groups, cast);
    Some(figure)
}

fn throughput(mode: Mode, groups: &[Group<'_>], cast: &Cast) -> Option<Figure> {
    let mut all = over_time(groups, cast, MIDDLE, Fold::Mean, |point| Some(point.delivered as f64));
    if all.is_empty() {
        return None;
    }
    let mut offered =
        over_time(&groups[..1], cast, MIDDLE, Fold::Mean, |point| Some(point.offered as f64));
    // What trickles in while the run drains is no throughput: the chart would end
    // in a fall that no broker is the reason of. A backlog that comes late is kept.
    let last = |line: &Series, least: f64| {
        line.points.iter().rev().find(|(_, y)| y.is_some_and(|y| y > least)).map(|(x, _)| *x)
    };
    let busiest = ys(&all).fold(0.0, f64::max);
    let due = offered.first().and_then(|line| last(line, 0.0));
    let late = all.iter().filter_map(|line| last(line, busiest * TRICKLE)).reduce(f64::max);
    if let Some(end) = due.into_iter().chain(late).reduce(f64::max) {
        let lines = all.iter_mut().chain(&mut offered);
        lines.for_each(|line| line.points.retain(|(x, _)| *x <= end));
    }
    all.extend(offered.into_iter().map(|line| Series {
        who: None,
        name: "planned".to_owned(),
        tone: Tone::Dim,
        dashed_from: Some(0),
        ..line
    }));
    let y = Axis::linear(Unit::Rate, "deliveries in each second", ys(&all));
    let title = stream::throughput(groups, cast);
    let drawing = Drawing::Lines(timed(groups, y, all));
    let mut figure = figure("throughput", mode, "Throughput over time", title, drawing);
    figure.notes.push("Planned: messages due in each second; with several subscribers a message is delivered more than once.".to_owned());
    figure.notes.extend(faults::notes(groups, cast));
    Some(figure)
}

fn backlog(mode: Mode, groups: &[Group<'_>], cast: &Cast) -> Option<Figure> {
    let all = over_time(groups, cast, END, Fold::Max, |point| Some(point.backlog as f64));
    if all.is_empty() {
        return None;
    }
    let y = Axis::linear(Unit::Count, "deliveries under way at the end of each second", ys(&all));
    let title = stream::backlog(groups, cast);
    let drawing = Drawing::Lines(timed(groups, y, all));
    let mut figure = figure("backlog", mode, "Backlog over time", title, drawing);
    figure.notes = faults::notes(groups, cast);
    Some(figure)
}

fn latency_against_load(record: &Record, mode: Mode, cast: &Cast) -> Option<Figure> {
    let found: Vec<&Capacity> =
        record.capacity.iter().filter(|of| of.mode == mode).take(MOST).collect();
    let mut all = Vec::new();
    let mut dashed = false;
    for capacity in &found {
        let mut points: Vec<(f64, Option<f64>)> = capacity
            .curve
            .iter()
            .filter(|point| point.rate_per_s > 0.0 && point.rate_per_s < 1e12)
            .map(|point| (point.rate_per_s, sound(point.p99_us).filter(|us| *us > 0.0)))
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        // A rate that was tried twice stands once, with the slower of the two.
        points.dedup_by(|b, a| {
            let same = a.0 == b.0;
            if same {
                a.1 = a.1.max_by(b.1);
            }
            same
        });
        points.retain(|(_, y)| y.is_some());
        let sustained = points.iter().rposition(|(rate, _)| *rate <= capacity.rate_per_s * 1.000_1);
        let beyond = sustained.is_some_and(|last| last + 1 < points.len());
        if let Some(mut line) = series(cast.who(&capacity.contender), points, Fold::Max) {
            line.dashed_from = sustained.filter(|_| beyond).or((sustained.is_none()).then_some(0));
            dashed |= line.dashed_from.is_some();
            all.push(line);
        }
    }
    if all.is_empty() {
        return None;
    }
    let rates = all.iter().flat_map(|line| line.points.iter().map(|(x, _)| *x));
    let lines = Lines {
        x: Axis::log(Unit::Rate, "messages offered per second (logarithmic)", rates),
        y: Axis::log(Unit::Micros, "p99 time to delivery (logarithmic)", ys(&all)),
        series: all,
        bands: Vec::new(),
        target: None,
    };
    let title = load::title(&found, cast);
    let mut figure = figure("load", mode, "Latency against load", title, Drawing::Lines(lines));
    if dashed {
        figure.notes.push(
            "Dashed: beyond the capacity; an objective is missed or the backlog grows.".to_owned(),
        );
    }
    figure.notes.extend(load::knees(&found, cast));
    Some(figure)
}

/// The larger of two figures that may be missing.
trait MaxBy {
    fn max_by(self, other: Self) -> Self;
}

impl MaxBy for Option<f64> {
    fn max_by(self, other: Self) -> Self {
        match (self, other) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        }
    }
}

fn stages(mode: Mode, groups: &[Group<'_>], cast: &Cast) -> Option<Figure> {
    let bars: Vec<Bar> = groups
        .iter()
        .filter(|group| !group.shown().anatomy.is_empty())
        .map(|group| {
            let who = cast.who(group.key);
            let value =
                |stage: &&str| sound(group.shown().anatomy.get(*stage).copied()).unwrap_or(0.0);
            Bar {
                who: who.number,
                name: who.name.clone(),
                tone: Tone::Series(who.colour),
                values: STAGES.iter().map(value).collect(),
            }
        })
        .collect();
    if bars.is_empty() {
        return None;
    }
    let longest = bars.iter().map(|bar| bar.values.iter().sum::<f64>()).fold(0.0, f64::max);
    let axis = Axis::exact(Unit::Micros, "mean time of a sampled delivery", 0.0, longest);
    let parts = STAGES.into_iter().map(anatomy::stage).collect();
    let title = anatomy::title(groups, cast);
    let drawing = Drawing::Bars(Bars { parts, bars, axis });
    Some(figure("anatomy", mode, "Where the time goes", title, drawing))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Trial;
    use crate::text::group::Groups;

    #[test]
    fn the_end_of_a_second_stands_at_its_end_and_what_fills_it_in_its_middle() {
        let point = Point { t_s: 4.0, backlog: 3, delivered: 7, ..Point::default() };
        let trial = Trial { contender: "nats".to_owned(), series: vec![point], ..Trial::default() };
        let record = Record { trials: vec![trial], ..Record::default() };
        let (groups, cast) = (Groups::of(&record), Cast::of(&record));
        let at = |place, of: fn(&Point) -> Option<f64>| {
            over_time(&groups.0, &cast, place, Fold::Max, of)[0].points.clone()
        };
        assert_eq!(at(END, |point| Some(point.backlog as f64)), [(5.0, Some(3.0))]);
        assert_eq!(at(MIDDLE, |point| Some(point.delivered as f64)), [(4.5, Some(7.0))]);
        assert_eq!(time_axis(&groups.0).high, 5.0);
    }
}
