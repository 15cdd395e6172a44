//! What the search for capacity found.

use super::cast::Cast;
use super::words::{cause, list};
use crate::record::Capacity;
use crate::text::figures::rate;

/// `at least 120,000/s`, or the rate alone.
pub(crate) fn figure(capacity: &Capacity) -> String {
    let least = if capacity.at_least { "at least " } else { "" };
    format!("{least}{}/s", rate(capacity.rate_per_s))
}

/// Where the knees of the curves are, in a sentence; none where no curve has one.
pub(crate) fn knees(found: &[&Capacity], cast: &Cast) -> Option<String> {
    let knees: Vec<String> = found
        .iter()
        .filter_map(|of| {
            let knee = of.knee_per_s.filter(|knee| knee.is_finite() && *knee > 0.0)?;
            Some(format!("{} {}/s", cast.name(&of.contender), rate(knee)))
        })
        .collect();
    let text = "The knee, the highest rate before p99 doubles";
    (!knees.is_empty()).then(|| format!("{text}: {}.", list(&knees)))
}

/// Title of the chart of latency against load.
pub(crate) fn title(found: &[&Capacity], cast: &Cast) -> String {
    let mut sorted = found.to_vec();
    sorted.sort_by(|a, b| b.rate_per_s.total_cmp(&a.rate_per_s));
    let limit = |capacity: &Capacity| {
        let limit = cause(&capacity.limited_by);
        if limit.is_empty() { String::new() } else { format!(" (limit: {limit})") }
    };
    match sorted[..] {
        [] => "Nobody was searched".to_owned(),
        [one] => format!(
            "{} carries {} within the objectives{}",
            cast.name(&one.contender),
            figure(one),
            limit(one)
        ),
        [most, .., least] => format!(
            "Within the objectives, {} carries {}{}; {} {}{}",
            cast.name(&most.contender),
            figure(most),
            limit(most),
            cast.name(&least.contender),
            figure(least),
            limit(least)
        ),
    }
}
