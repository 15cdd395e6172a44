//! A comparison in 80 columns.

use super::{Comparison, Finding, Pair, Row, percent, range};
use crate::text::group::mode_label;
use crate::text::page::{Page, Paint};
use crate::text::{Column, Style, Table};

pub(super) fn render(comparison: &Comparison, style: Style) -> String {
    let mut page = Page::new(style);
    head(comparison, &mut page);
    for pair in &comparison.pairs {
        one(pair, &mut page);
    }
    let remarks = comparison.remarks();
    if !remarks.is_empty() || !comparison.warnings.is_empty() {
        page.heading("To bear in mind");
    }
    for warning in &comparison.warnings {
        page.paragraph(Paint::Yellow, "! ", warning);
    }
    for remark in &remarks {
        page.paragraph(Paint::Plain, "- ", remark);
    }
    page.paragraph(
        Paint::Dim,
        "- ",
        &format!(
            "worse and better: p < {} in the Mann-Whitney test, a 95 % bootstrap interval \
             without zero, and a change of at least {}",
            comparison.alpha,
            percent(comparison.threshold).trim_start_matches('+'),
        ),
    );
    page.finish()
}

fn head(comparison: &Comparison, page: &mut Page) {
    let title = match (comparison.scenario.is_empty(), comparison.title.is_empty()) {
        (false, false) => format!("{}: {}", comparison.scenario, comparison.title),
        _ => format!("{}{}", comparison.scenario, comparison.title),
    };
    page.paragraph(Paint::Bold, "", &title);
    for (letter, side) in ["A  ", "B  "].into_iter().zip(&comparison.sides) {
        let text = format!("{}; {}; {}; seed {}", side.name, side.started_at, side.lab, side.seed);
        page.paragraph(Paint::Plain, letter, &text);
    }
    page.gap();
    let paint = if comparison.found(Finding::Worse).next().is_some() {
        Paint::Red
    } else if comparison.found(Finding::Better).next().is_some() {
        Paint::Green
    } else {
        Paint::Bold
    };
    page.paragraph(paint, "B against A  ", &comparison.verdict());
}

fn one(pair: &Pair, page: &mut Page) {
    page.heading(&format!("{}, {}", pair.contender, mode_label(pair.mode)));
    if let Some(reason) = &pair.refused {
        page.paragraph(Paint::Yellow, "not compared: ", reason);
        return;
    }
    page.paragraph(Paint::Dim, "", &runs(pair));
    if pair.same_trace && pair.rows.iter().all(|row| row.reason == "the same") {
        let text = "every simulated run has the same trace in both, so every figure is the same";
        page.paragraph(Paint::Plain, "", text);
        return;
    }
    let mut table = Table::new([
        Column::words("", "figure"),
        Column::figures("", "A"),
        Column::figures("", "B"),
        Column::figures("", "change"),
        Column::figures("", if pair.by_seed { "over seeds" } else { "95 % interval" }),
        Column::figures("", "p"),
        Column::words("", "finding"),
    ]);
    for row in &pair.rows {
        let finding = match row.finding {
            Finding::Better => Paint::Green,
            Finding::Worse => Paint::Red,
            Finding::NoEvidence => Paint::Dim,
        };
        let plain = |text: String| (Paint::Plain, text);
        table.painted([
            plain(row.title.clone()),
            plain(figure(row, row.a)),
            plain(figure(row, row.b)),
            plain(row.change.map_or("-".to_owned(), percent)),
            plain(range(row.interval)),
            plain(p_value(row)),
            (finding, row.finding.name().to_owned()),
        ]);
    }
    table.write(page);
    reasons(pair, page);
}

/// How many runs stand against how many.
pub(super) fn runs(pair: &Pair) -> String {
    let [n, m] = pair.runs;
    if n == 0 && m == 0 {
        return "searched rates, one search on each side".to_owned();
    }
    let mut text = if pair.by_seed {
        format!("{n} {} on each side, compared seed by seed", if n == 1 { "run" } else { "runs" })
    } else {
        format!("{n} against {m} runs")
    };
    for (which, number) in ["first", "second"].into_iter().zip(pair.invalid) {
        if number > 0 {
            text.push_str(&format!("; {number} of the {which} left out as invalid"));
        }
    }
    text
}

/// Why rows are without evidence, those with the same reason together.
fn reasons(pair: &Pair, page: &mut Page) {
    let mut all: Vec<(&str, Vec<&str>)> = Vec::new();
    for row in pair.rows.iter().filter(|row| !row.reason.is_empty() && row.reason != "the same") {
        match all.iter_mut().find(|(reason, _)| *reason == row.reason) {
            Some((_, titles)) => titles.push(&row.title),
            None => all.push((&row.reason, vec![&row.title])),
        }
    }
    for (reason, titles) in all {
        let of = if titles.len() == pair.rows.len() && titles.len() > 1 {
            "all".to_owned()
        } else {
            titles.join(", ")
        };
        page.paragraph(Paint::Dim, "  ", &format!("{of}: {reason}"));
    }
}

fn figure(row: &Row, value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| row.unit.show(value))
}

/// The p-value, with as many decimals as matter.
pub(super) fn p_value(row: &Row) -> String {
    match row.p {
        None => "-".to_owned(),
        Some(p) if p < 0.001 => "<.001".to_owned(),
        Some(p) if p < 0.1 => format!("{p:.3}").trim_start_matches('0').to_owned(),
        Some(p) => format!("{p:.2}"),
    }
}
