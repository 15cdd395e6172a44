//! What latency, throughput and backlog did over time.

use super::cast::Cast;
use super::faults;
use super::words::list;
use crate::charts::unit::{micros, part};
use crate::record::{Mode, Point, Quantile};
use crate::text::figures::{count, rate};
use crate::text::group::Group;

/// A second counts as a rise from this many times the usual on.
const RISE: f64 = 3.0;

/// How one contender's p99 went.
struct Course<'a> {
    name: &'a str,
    usual: f64,
    peak: f64,
    at_s: f64,
}

/// Title of the chart of latency over time.
pub(crate) fn latency(mode: Mode, groups: &[Group<'_>], cast: &Cast) -> String {
    let limited = groups.iter().filter(|group| group.is_limited(Quantile::P99)).count();
    let mut courses: Vec<Course<'_>> = groups
        .iter()
        .filter_map(|group| course(cast.name(group.key), &group.shown().series))
        .collect();
    courses.sort_by(|a, b| (b.peak / b.usual).total_cmp(&(a.peak / a.usual)));
    let Some(most) = courses.first() else {
        return "There is no second with a p99".to_owned();
    };
    let caution = if limited > 0 && mode != Mode::Sim {
        "; this machine's own lag is part of these figures"
    } else {
        ""
    };
    if most.peak < most.usual * RISE {
        let low = courses.iter().map(|c| c.usual).fold(f64::INFINITY, f64::min);
        let high = courses.iter().map(|c| c.peak).fold(0.0, f64::max);
        let who = if courses.len() == 1 {
            format!("The p99 of {}", most.name)
        } else {
            "Everybody's p99".to_owned()
        };
        let at = if faults::of(groups).is_empty() { "" } else { ", faults or not" };
        return format!(
            "{who} stays between {} and {} from first to last second{at}{caution}",
            micros(low),
            micros(high)
        );
    }
    let mut out = format!(
        "The p99 of {} rises from {} to {}{}",
        most.name,
        micros(most.usual),
        micros(most.peak),
        faults::moment(&faults::of(groups), most.at_s),
    );
    let others = &courses[1..];
    let steady: Vec<&str> =
        others.iter().filter(|c| c.peak < c.usual * RISE).map(|c| c.name).collect();
    if let (true, Some(next)) = (steady.is_empty(), others.first()) {
        out.push_str(&format!("; that of {} reaches {}", next.name, micros(next.peak)));
    } else if !steady.is_empty() {
        let stay = if steady.len() == 1 { "stays" } else { "stay" };
        out.push_str(&format!("; {} {stay} level", list(&steady)));
    }
    out + caution
}

fn course<'a>(name: &'a str, series: &[Point]) -> Option<Course<'a>> {
    let mut values: Vec<(f64, f64)> = series
        .iter()
        .filter_map(|point| Some((point.p99_us?, point.t_s)))
        .filter(|(us, t)| us.is_finite() && *us > 0.0 && t.is_finite())
        .collect();
    let (peak, at_s) = values.iter().copied().max_by(|a, b| a.0.total_cmp(&b.0))?;
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let usual = values[(values.len() - 1) / 2].0;
    Some(Course { name, usual, peak, at_s })
}

/// Title of the chart of throughput over time.
pub(crate) fn throughput(groups: &[Group<'_>], cast: &Cast) -> String {
    let mut rates: Vec<(&str, f64)> = groups
        .iter()
        .filter_map(|group| {
            let per_s = group.median(|trial| Some(trial.delivered_per_s))?;
            Some((cast.name(group.key), per_s))
        })
        .collect();
    rates.sort_by(|a, b| b.1.total_cmp(&a.1));
    let offered = groups
        .iter()
        .filter_map(|group| group.median(|trial| Some(trial.offered_per_s)))
        .fold(0.0, f64::max);
    let load = format!("{} messages a second", rate(offered));
    let dip = dip(groups, cast);
    let all = match rates[..] {
        [] => format!("Nobody was asked for anything but {load}"),
        [(name, per_s)] => {
            format!("{name} delivers {} times a second at {load}", rate(per_s))
        }
        [(_, high), .., (_, low)] if high <= 0.0 || low >= high * 0.995 => {
            format!("At {load}, everybody delivers {} times a second", rate(high))
        }
        [(first, high), .., (last, low)] => format!(
            "At {load}, {last} delivers {} a second, {} less than {first}",
            rate(low),
            part(1.0 - low / high)
        ),
    };
    match dip {
        Some(dip) => format!("{all}; {dip}"),
        None => all,
    }
}

/// The deepest second of all: who, how deep, when. Only where the load was not
/// lower in that second, too.
fn dip(groups: &[Group<'_>], cast: &Cast) -> Option<String> {
    let marked = faults::of(groups);
    let dips = groups.iter().filter_map(|group| {
        let series = &group.shown().series;
        let mut usual: Vec<u64> = series.iter().map(|point| point.delivered).collect();
        usual.sort_unstable();
        let usual = usual.get(usual.len() / 2).copied()? as f64;
        // The first and the last seconds are those of starting and draining.
        let inner = series.get(2..series.len().saturating_sub(2))?;
        let low = inner.iter().min_by_key(|point| point.delivered)?;
        let offered = series.iter().map(|point| point.offered).max()? as f64;
        let loaded = low.offered as f64 > offered * 0.9;
        let depth = low.delivered as f64 / usual.max(1.0);
        (loaded && depth < 0.93).then(|| (depth, cast.name(group.key), low))
    });
    let (_, name, low) = dips.min_by(|a, b| a.0.total_cmp(&b.0))?;
    let when = faults::moment(&marked, low.t_s);
    Some(format!("{name} drops to {}{when}", rate(low.delivered as f64)))
}

/// Title of the chart of the backlog.
pub(crate) fn backlog(groups: &[Group<'_>], cast: &Cast) -> String {
    let mut peaks: Vec<(&str, u64, f64, u64)> = groups
        .iter()
        .filter_map(|group| {
            let series = &group.shown().series;
            let peak = series.iter().max_by_key(|point| point.backlog)?;
            let left = series.last().map_or(0, |point| point.backlog);
            Some((cast.name(group.key), peak.backlog, peak.t_s, left))
        })
        .collect();
    peaks.sort_by_key(|(_, peak, _, _)| std::cmp::Reverse(*peak));
    let Some((name, peak, at_s, left)) = peaks.first().copied() else {
        return "There is no backlog to show".to_owned();
    };
    let delivered = groups
        .iter()
        .filter_map(|group| group.median(|trial| Some(trial.delivered_per_s)))
        .fold(0.0, f64::max);
    if peak == 0 {
        return "Nobody falls behind: every second ends with nothing under way".to_owned();
    }
    if (peak as f64) < delivered * 0.02 || peak < 10 {
        return format!(
            "Nobody falls behind: no second ends with more than {} deliveries under way",
            count(peak)
        );
    }
    let mut out = format!(
        "{name} has {} deliveries waiting{}",
        count(peak),
        faults::moment(&faults::of(groups), at_s)
    );
    if left * 50 > peak {
        out.push_str(&format!(", and {} at the end", count(left)));
    } else {
        out.push_str(" and clears them");
    }
    if let Some((next, peak, _, _)) = peaks.get(1) {
        out.push_str(&format!("; {next} has up to {}", count(*peak)));
    }
    out
}
