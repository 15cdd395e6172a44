//! A comparison as JUnit XML, which CI servers read: a suite for each contender
//! and mode, a case for each figure. A figure that is worse is a failure; what
//! could not be compared is skipped and says why.

use super::text::{p_value, runs};
use super::{Comparison, Finding, Pair, Row, percent, range};
use crate::markup::attribute;

pub(super) fn render(comparison: &Comparison) -> String {
    let suites: String = comparison.pairs.iter().map(|pair| suite(comparison, pair)).collect();
    let cases: usize = comparison.pairs.iter().map(|pair| pair.rows.len().max(1)).sum();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"{}\" tests=\"{cases}\" \
         failures=\"{}\">\n{suites}</testsuites>\n",
        attribute(&format!("lab compare {}", comparison.scenario)),
        comparison.found(Finding::Worse).count(),
    )
}

fn suite(comparison: &Comparison, pair: &Pair) -> String {
    let name = attribute(&format!("{} {}", pair.contender, pair.mode));
    let skipped = pair.rows.iter().filter(|row| is_skipped(row)).count()
        + usize::from(pair.refused.is_some() || pair.rows.is_empty());
    let failures = pair.rows.iter().filter(|row| row.finding == Finding::Worse).count();
    let mut out = format!(
        "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{failures}\" errors=\"0\" \
         skipped=\"{skipped}\">\n",
        pair.rows.len().max(1),
    );
    if let Some(reason) = &pair.refused {
        out.push_str(&format!(
            "    <testcase classname=\"{name}\" name=\"comparison\"><skipped message=\"{}\"/>\
             </testcase>\n",
            attribute(reason)
        ));
    } else if pair.rows.is_empty() {
        out.push_str(&format!(
            "    <testcase classname=\"{name}\" name=\"comparison\"><skipped message=\"no \
             figure\"/></testcase>\n",
        ));
    }
    for row in &pair.rows {
        out.push_str(&case(comparison, pair, row, &name));
    }
    out.push_str("  </testsuite>\n");
    out
}

fn is_skipped(row: &Row) -> bool {
    row.a.is_none() || row.b.is_none()
}

fn case(comparison: &Comparison, pair: &Pair, row: &Row, suite: &str) -> String {
    let show = |value: Option<f64>| value.map_or("-".to_owned(), |value| row.unit.show(value));
    let change = row.change.map_or("-".to_owned(), percent);
    let mut summary = format!("{} to {} ({change})", show(row.a), show(row.b));
    if !row.reason.is_empty() {
        summary.push_str(&format!("; {}", row.reason));
    }
    let details = format!(
        "{}: {}\nA: {}\nB: {}\nchange {change}, interval {}, p {}\n{}",
        row.finding.name(),
        summary,
        comparison.sides[0].name,
        comparison.sides[1].name,
        range(row.interval),
        p_value(row),
        runs(pair),
    );
    let body = if is_skipped(row) {
        format!("<skipped message=\"{}\"/>", attribute(&row.reason))
    } else if row.finding == Finding::Worse {
        format!(
            "<failure type=\"worse\" message=\"{}\">{}</failure>",
            attribute(&format!("{} is worse: {summary}", row.title)),
            details.lines().map(attribute).collect::<Vec<String>>().join("\n")
        )
    } else {
        format!(
            "<system-out>{}</system-out>",
            attribute(&format!("{}: {summary}", row.finding.name()))
        )
    };
    format!(
        "    <testcase classname=\"{suite}\" name=\"{}\">{body}</testcase>\n",
        attribute(&row.metric)
    )
}
