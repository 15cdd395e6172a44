//! What the percentiles show.

use super::cast::Cast;
use super::words::{list, longer};
use crate::charts::unit::micros;
use crate::record::{Mode, Quantile, Record};
use crate::text::group::Group;

/// Differences below this share are not told apart.
pub(crate) const CLEAR: f64 = 0.05;

/// Title of the chart of percentiles.
pub(crate) fn percentiles(
    _record: &Record,
    mode: Mode,
    groups: &[Group<'_>],
    cast: &Cast,
) -> String {
    let p99 = |group: &Group<'_>| {
        group.median(|trial| trial.delivery.response.p99_us).filter(|us| *us > 0.0)
    };
    let mut sound: Vec<(&str, f64)> = Vec::new();
    let mut limited: Vec<&str> = Vec::new();
    let mut short: Vec<&str> = Vec::new();
    for group in groups {
        let name = cast.name(group.key);
        match p99(group) {
            None => short.push(name),
            Some(_) if group.is_limited(Quantile::P99) => limited.push(name),
            Some(us) => sound.push((name, us)),
        }
    }
    sound.sort_by(|a, b| a.1.total_cmp(&b.1));
    let mut out = match sound[..] {
        [] if !limited.is_empty() => {
            return format!(
                "This machine's own lag makes up more than a tenth of p99, so these {} curves rank \
                 nobody",
                super::words::provenance(mode)
            );
        }
        [] => return few(groups, cast),
        [(name, us)] => format!("{name} delivers 99 of 100 messages within {}", micros(us)),
        [(fast, low), .., (slow, high)] if high > low * (1.0 + CLEAR) => {
            let near: Vec<&str> = sound
                .iter()
                .filter(|(_, us)| *us <= low * (1.0 + CLEAR))
                .map(|(name, _)| *name)
                .collect();
            let (who, verb) = if near.len() > 1 {
                (list(&near), "deliver")
            } else {
                (fast.to_owned(), "delivers")
            };
            format!(
                "{who} {verb} 99 of 100 messages within {}; {slow} takes {}, {}",
                micros(low),
                longer(high / low),
                micros(high)
            )
        }
        [(_, _), .., (_, high)] => {
            let who = match sound.as_slice() {
                [(one, _), (other, _)] => format!("Both {one} and {other}"),
                all => format!("All {}", all.len()),
            };
            format!(
                "{who} deliver 99 of 100 messages within {}: p99 tells nobody apart",
                micros(high)
            )
        }
    };
    if !limited.is_empty() {
        let be = if limited.len() == 1 { "is" } else { "are" };
        out.push_str(&format!("; {} {be} within this machine's own lag", list(&limited)));
    }
    if !short.is_empty() {
        let have = if short.len() == 1 { "has" } else { "have" };
        out.push_str(&format!("; {} {have} too few samples for p99", list(&short)));
    }
    out
}

/// Without a p99, the slowest delivery is what there is.
fn few(groups: &[Group<'_>], cast: &Cast) -> String {
    let slowest: Vec<String> = groups
        .iter()
        .filter_map(|group| {
            let max = group.median(|trial| trial.delivery.response.max_us)?;
            Some(format!("{} {}", cast.name(group.key), micros(max)))
        })
        .collect();
    if slowest.is_empty() {
        "Nothing was delivered, so there is no time to show".to_owned()
    } else {
        format!("Too few deliveries for a p99; the slowest took {}", list(&slowest))
    }
}
