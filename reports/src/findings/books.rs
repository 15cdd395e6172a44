//! What the ledger shows.

use std::collections::BTreeMap;

use super::cast::Cast;
use super::words::{cause, list};
use crate::charts::unit::part;
use crate::text::count;
use crate::text::group::Group;

/// The causes of explained losses of a group with their numbers, largest first.
pub(crate) fn causes(group: &Group<'_>) -> Vec<(String, u64)> {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for (cause, number) in group.trials.iter().flat_map(|trial| &trial.ledger.causes) {
        let sum = sums.entry(cause).or_default();
        *sum = sum.saturating_add(*number);
    }
    let mut sums: Vec<(&str, u64)> = sums.into_iter().filter(|(_, number)| *number > 0).collect();
    sums.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    sums.into_iter().map(|(name, number)| (cause(name), number)).collect()
}

/// The heading of the ledger in one mode.
pub(crate) fn title(groups: &[Group<'_>], cast: &Cast) -> String {
    let lost = |group: &Group<'_>| group.sum(|trial| trial.ledger.deliveries.lost_explained);
    let broken: Vec<&str> = groups
        .iter()
        .filter(|group| group.trials.iter().any(|trial| trial.broke_its_promise()))
        .map(|group| cast.name(group.key))
        .collect();
    if !broken.is_empty() {
        let have = if broken.len() == 1 { "has" } else { "have" };
        return format!(
            "{} {have} losses that nothing explains, or damaged messages",
            list(&broken)
        );
    }
    let none: Vec<&str> =
        groups.iter().filter(|group| lost(group) == 0).map(|group| cast.name(group.key)).collect();
    let mut losers: Vec<(&str, u64, &Group<'_>)> = groups
        .iter()
        .filter(|group| lost(group) > 0)
        .map(|group| (cast.name(group.key), lost(group), group))
        .collect();
    losers.sort_by_key(|(_, lost, _)| std::cmp::Reverse(*lost));
    let parts: Vec<String> = losers
        .iter()
        .take(3)
        .map(|(name, lost, group)| {
            let expected = group.sum(|trial| trial.ledger.deliveries.expected).max(1);
            let why = causes(group).first().map_or_else(String::new, |(why, number)| {
                let most = if *number < *lost { "mostly " } else { "" };
                format!(", {most}{why}")
            });
            let part = part(*lost as f64 / expected as f64);
            format!("{name} loses {} deliveries ({part}{why})", count(*lost))
        })
        .collect();
    match (parts.is_empty(), none.len()) {
        (true, _) => "Every delivery that was owed came".to_owned(),
        (false, 0) => list(&parts),
        (false, 1) => format!("{}; {} loses none", list(&parts), list(&none)),
        (false, _) => format!("{}; {} lose none", list(&parts), list(&none)),
    }
}
