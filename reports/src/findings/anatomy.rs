//! Where the time of a delivery goes.

use super::cast::Cast;
use crate::charts::unit::micros;
use crate::charts::unit::part;
use crate::record::{Quantile, STAGES};
use crate::text::group::Group;

/// A stage in two or three words.
pub(crate) fn stage(name: &'static str) -> &'static str {
    match name {
        "client_wait" => "client waits",
        "to_broker" => "to the broker",
        "in_broker" => "in the broker",
        "to_consumer" => "to the consumer",
        "consumer_wait" => "consumer waits",
        other => other,
    }
}

/// What happens in a stage, as a verb and after it.
fn spends(name: &str, us: f64) -> String {
    let time = micros(us);
    match name {
        "client_wait" => format!("waits {time} in the client before it sends"),
        "to_broker" => format!("spends {time} on the way to the broker"),
        "in_broker" => format!("spends {time} in the broker"),
        "to_consumer" => format!("spends {time} on the way to the consumer"),
        _ => format!("waits {time} for the consumer"),
    }
}

/// The same where it takes next to nothing.
fn skips(name: &str, us: f64) -> String {
    match name {
        "client_wait" => "sends at once".to_owned(),
        "in_broker" => format!("is through the broker in {}", micros(us)),
        "consumer_wait" => "finds its consumer ready".to_owned(),
        _ => format!("takes {} for it", micros(us)),
    }
}

/// Title of the chart of stages.
pub(crate) fn title(groups: &[Group<'_>], cast: &Cast) -> String {
    let bars: Vec<(&str, [f64; 5])> = groups
        .iter()
        .filter(|group| !group.shown().anatomy.is_empty())
        .map(|group| {
            let anatomy = &group.shown().anatomy;
            let value = |stage: &str| {
                anatomy.get(stage).copied().filter(|us| us.is_finite() && *us > 0.0).unwrap_or(0.0)
            };
            (cast.name(group.key), STAGES.map(value))
        })
        .collect();
    let measured = groups.iter().any(|group| group.is_limited(Quantile::P50));
    let caution = if measured { "; this machine's own lag is part of it" } else { "" };
    let total = |values: &[f64; 5]| values.iter().sum::<f64>();
    let shortest = bars.iter().map(|(_, values)| total(values)).fold(f64::INFINITY, f64::min);
    // The stage in which contenders differ most, if that matters for the whole.
    let widest = (0..STAGES.len())
        .filter_map(|at| {
            let low = bars.iter().min_by(|a, b| a.1[at].total_cmp(&b.1[at]))?;
            let high = bars.iter().max_by(|a, b| a.1[at].total_cmp(&b.1[at]))?;
            Some((at, low, high, high.1[at] - low.1[at]))
        })
        .max_by(|a, b| a.3.total_cmp(&b.3));
    if let Some((at, low, high, spread)) = widest
        && spread > shortest * 0.15
    {
        let (name, least, most) = (STAGES[at], low.1[at], high.1[at]);
        let rest = if least < most / 20.0 { skips(name, least) } else { spends(name, least) };
        return format!("{} {}; {} {rest}{caution}", high.0, spends(name, most), low.0);
    }
    // Otherwise the stage that takes most of everybody's time is the lesson.
    let sums: Vec<f64> =
        (0..STAGES.len()).map(|at| bars.iter().map(|(_, values)| values[at]).sum()).collect();
    let all: f64 = sums.iter().sum();
    let largest = (0..STAGES.len()).max_by(|a, b| sums[*a].total_cmp(&sums[*b]));
    match largest {
        Some(at) if all > 0.0 => {
            let part = part((sums[at] / all * 100.0).round() / 100.0);
            let what = match STAGES[at] {
                "client_wait" => "Waiting in the client",
                "to_broker" => "The way to the broker",
                "in_broker" => "The broker",
                "to_consumer" => "The way to the consumer",
                _ => "Waiting for the consumer",
            };
            let broker = bars.iter().map(|(_, values)| values[2]).fold(0.0, f64::max);
            let rest = if STAGES[at] == "in_broker" {
                String::new()
            } else {
                format!("; no broker adds more than {}", micros(broker))
            };
            format!("{what} takes {part} of the time{rest}{caution}")
        }
        _ => "No stage took any time".to_owned(),
    }
}
