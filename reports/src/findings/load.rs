//! What the search for capacity found.

use super::cast::Cast;
use super::words::{cause, list};
use crate::record::Capacity;
use crate::text::figures::rate;

/// `at least 120,000/s`, the rate alone, or that no rate was found.
pub(crate) fn figure(capacity: &Capacity) -> String {
    if capacity.rate_per_s <= 0.0 {
        return "none".to_owned();
    }
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

/// Rates closer than this share are one figure: the search brackets to 5 %.
const SAME: f64 = 0.05;

/// Title of the chart of latency against load: who carries most, and with what
/// limit; then who carries least, or nothing.
pub(crate) fn title(found: &[&Capacity], cast: &Cast) -> String {
    // A damaged record may hold rates that are none.
    let mut sorted: Vec<&Capacity> =
        found.iter().copied().filter(|of| of.rate_per_s.is_finite()).collect();
    sorted.sort_by(|a, b| b.rate_per_s.total_cmp(&a.rate_per_s));
    let (Some(most), Some(least)) = (sorted.first(), sorted.last()) else {
        return "Nobody was searched".to_owned();
    };
    let named = |rows: &[&&Capacity]| {
        list(&rows.iter().map(|of| cast.name(&of.contender)).collect::<Vec<_>>())
    };
    if most.rate_per_s <= 0.0 {
        return "No contender meets the objectives at any rate that was tried".to_owned();
    }
    let top: Vec<&&Capacity> =
        sorted.iter().filter(|of| of.rate_per_s >= most.rate_per_s * (1.0 - SAME)).collect();
    let carry = if top.len() == 1 { "carries" } else { "carry" };
    let limit = |rows: &[&&Capacity]| {
        let limit = cause(&rows[0].limited_by);
        let shared = rows.iter().all(|of| of.limited_by == rows[0].limited_by);
        if limit.is_empty() || !shared { String::new() } else { format!(" (limit: {limit})") }
    };
    let mut text =
        format!("{} {carry} {} within the objectives{}", named(&top), figure(most), limit(&top));
    let none: Vec<&&Capacity> = sorted.iter().filter(|of| of.rate_per_s <= 0.0).collect();
    // With four there is room for everybody; among more, the ends tell the story.
    let between = &sorted[top.len()..sorted.len() - none.len()];
    if between.len() <= 2 && (between.len() > 1 || !none.is_empty()) {
        for one in between {
            text.push_str(&format!("; {} {}{}", named(&[one]), figure(one), limit(&[one])));
        }
        if none.is_empty() {
            return text;
        }
    }
    if !none.is_empty() {
        let meets = if none.len() == 1 { "meets" } else { "meet" };
        text.push_str(&format!("; {} {meets} them at no rate", named(&none)));
    } else if top.len() < sorted.len() {
        let last = [least];
        text.push_str(&format!("; {} {}{}", named(&last), figure(least), limit(&last)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;

    fn says(rates: &[(&str, f64, &str)]) -> String {
        let record = Record {
            capacity: rates
                .iter()
                .map(|(contender, rate_per_s, limit)| Capacity {
                    contender: (*contender).to_owned(),
                    rate_per_s: *rate_per_s,
                    limited_by: (*limit).to_owned(),
                    ..Capacity::default()
                })
                .collect(),
            ..Record::default()
        };
        title(&record.capacity.iter().collect::<Vec<_>>(), &Cast::of(&record))
    }

    #[test]
    fn the_title_names_all_who_carry_most_and_who_carries_nothing() {
        assert_eq!(
            says(&[
                ("nats", 190_654.0, "client"),
                ("kafka", 0.0, "objective"),
                ("redis", 188_000.0, "client")
            ]),
            "NATS and Redis carry 190,654/s within the objectives (limit: client); Kafka meets \
             them at no rate"
        );
        assert_eq!(
            says(&[("nats", 90_000.0, "node CPU"), ("jetstream", 26_000.0, "disk")]),
            "NATS carries 90,000/s within the objectives (limit: node CPU); JetStream 26,000/s \
             (limit: disk)"
        );
        assert_eq!(
            says(&[
                ("nats", 0.0, "not supported"),
                ("jetstream", 4_000.0, "disk"),
                ("kafka", 9_514.0, "client")
            ]),
            "Kafka carries 9,514/s within the objectives (limit: client); JetStream 4,000/s \
             (limit: disk); NATS meets them at no rate"
        );
        assert_eq!(says(&[("nats", f64::NAN, "client")]), "Nobody was searched");
        assert_eq!(
            says(&[("kafka", 0.0, "objective")]),
            "No contender meets the objectives at any rate that was tried"
        );
    }
}
