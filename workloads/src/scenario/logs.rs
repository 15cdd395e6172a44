//! Logs: what brokers that store keep messages in.

use std::collections::BTreeMap;

use super::Result;
use super::keys::LOG;
use super::model::{Log, Population, Role, Template, TemplatePart};
use super::read::{Context, Reader, Spot, join};
use super::template::{self, Purpose};
use super::text::Toml;
use super::tree::Value;
use crate::plan::filter_matches;

/// Most logs of a scenario, and filters of a log.
const MANY: usize = 256;
/// Most partitions of a log.
pub(super) const PARTITIONS_MAX: u32 = 10_000;
/// The log of channels that begin with a field.
const EVERYTHING: &str = "everything";

/// Reads `[logs]`.
pub(super) fn read(cx: &Context<'_>, top: &Reader<'_>) -> Result<Vec<Log>> {
    let mut logs: Vec<Log> = Vec::new();
    for (name, spot) in top.named("logs")? {
        if logs.len() >= MANY {
            return Err(spot.error(format!("more than {MANY} logs"), "join some of them"));
        }
        let reader = Reader::open(spot, &LOG)?;
        let filters = reader.need("filters", filters)?;
        for log in &logs {
            if let Some(filter) = filters.iter().find(|filter| log.filters.contains(filter)) {
                let place = reader.get("filters").unwrap_or_else(|| reader.spot().clone());
                return Err(place.error(
                    format!("`{filter}` is already a filter of the log `{}`", log.name),
                    "a channel is kept in one log: take it out of one of them",
                ));
            }
        }
        let partitions = reader.maybe("partitions", |spot| spot.count(1, PARTITIONS_MAX))?;
        let quoted: Vec<String> = filters.iter().map(Toml::toml).collect();
        cx.note(&join(&reader.spot().path, "filters"), &format!("[{}]", quoted.join(", ")));
        logs.push(Log { name: name.to_owned(), filters, partitions });
    }
    Ok(logs)
}

fn filters(spot: &Spot<'_>) -> Result<Vec<String>> {
    let Value::List(list) = &spot.node.value else {
        return Err(spot.wrong(
            &format!("a list of filters, not {}", spot.node.value.kind()),
            "write for example [\"payment.>\"]",
        ));
    };
    if list.is_empty() || list.len() > MANY {
        return Err(spot.wrong(&format!("1 to {MANY} filters"), "`>` stands for all that follows"));
    }
    list.iter()
        .map(|node| {
            let spot = Spot { cx: spot.cx, node, path: spot.path.clone() };
            let text = spot.text()?;
            template::parse(&text, Purpose::Filter, &BTreeMap::new()).map_err(|problem| {
                spot.error_within(problem.range, problem.message, problem.help)
            })?;
            Ok(text)
        })
        .collect()
}

/// The logs of a scenario: those that are written out, and one for each literal
/// prefix of what else is published. What is only asked is answered at once and
/// kept nowhere.
pub(super) fn declarations(written: &[Log], populations: &[Population]) -> Vec<Log> {
    let mut logs = written.to_vec();
    // Prefixes in order, so that one comes before those that it covers.
    let mut prefixes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for population in populations {
        let Role::Publisher { streams } = &population.role else { continue };
        for stream in streams {
            let (prefix, is_whole) = literal_prefix(&stream.channel);
            let filter = match (prefix.as_str(), is_whole) {
                (_, true) => prefix.clone(),
                ("", false) => ">".to_owned(),
                (_, false) => format!("{prefix}.>"),
            };
            let kept = written.iter().flat_map(|log| &log.filters).any(|of| covers(of, &filter));
            let filters = prefixes.entry(prefix).or_default();
            if !kept && !filters.contains(&filter) {
                filters.push(filter);
            }
        }
    }
    let mut defaults: Vec<Log> = Vec::new();
    for (prefix, filters) in prefixes {
        let is_new = |filter: &String| {
            !defaults.iter().flat_map(|log| &log.filters).any(|of| covers(of, filter))
        };
        let filters: Vec<String> = filters.into_iter().filter(is_new).collect();
        if !filters.is_empty() {
            let name =
                if prefix.is_empty() { EVERYTHING.to_owned() } else { prefix.replace('.', "-") };
            defaults.push(Log { name, filters, partitions: None });
        }
    }
    for mut log in defaults {
        while logs.iter().any(|other| other.name == log.name) {
            log.name.push('-');
        }
        logs.push(log);
    }
    logs
}

/// The tokens of a channel before its first field, and whether that is all of it.
fn literal_prefix(channel: &Template) -> (String, bool) {
    let mut literal = String::new();
    for part in &channel.parts {
        match part {
            TemplatePart::Literal(text) => literal.push_str(text),
            TemplatePart::Field(_) => {
                let end = literal.rfind('.').unwrap_or(0);
                literal.truncate(end);
                return (literal, false);
            }
        }
    }
    (literal, true)
}

/// Whether everything that `filter` takes is taken by `wider`.
fn covers(wider: &str, filter: &str) -> bool {
    // A `>` of the narrower one stands for at least one token, and any number of
    // further ones, which only another `>` takes.
    match filter.strip_suffix('>') {
        None => filter_matches(wider, filter),
        Some(rest) => {
            let one = format!("{rest}\u{1}");
            let two = format!("{one}.\u{1}");
            filter_matches(wider, &one) && filter_matches(wider, &two)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wider_filter_covers_a_narrower_one() {
        for (wider, filter) in
            [(">", "a.>"), ("a.>", "a.b.>"), ("a.>", "a.b"), ("a.*.>", "a.b.>"), ("a.*", "a.b")]
        {
            assert!(covers(wider, filter), "{wider} {filter}");
        }
        for (wider, filter) in [("a.>", "a"), ("a.*", "a.>"), ("a.b.>", "a.>"), ("a", "b")] {
            assert!(!covers(wider, filter), "{wider} {filter}");
        }
    }
}
