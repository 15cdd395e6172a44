//! The two tables: how fast, and at what price.

use super::group::{Group, Groups, mode_label};
use super::page::{Page, Paint};
use super::table::{Cell, Column, Table};
use super::{count, micros, rate};
use crate::clean;
use crate::record::{Durable, Outcome, Quantile, Record, Trial};

/// Stands where there is no figure.
const NONE: &str = "-";

pub(super) fn speed(record: &Record, groups: &Groups<'_>, page: &mut Page) {
    if groups.0.is_empty() {
        page.paragraph(Paint::Yellow, "", "There is no trial in this record.");
        return;
    }
    let mut table = Table::new([
        Column::words("", "contender"),
        Column::figures("", "met").called("objectives met"),
        Column::figures("objectives", "missed").called("objectives missed"),
        Column::figures("", "?").called("objectives undecided"),
        Column::figures("delivery", "p50").called("delivery p50"),
        Column::figures("", "p99").called("delivery p99"),
        Column::figures("", "max").called("delivery max"),
        Column::words("an ack", "proves").called("an ack proves"),
    ]);
    for (mode, groups) in groups.by_mode() {
        table.section(mode_label(mode));
        for group in groups {
            table.painted(speed_row(record, group));
        }
    }
    page.heading("Time to delivery, counted from the moment each message was due");
    table.write(page);
    legend(record, groups, page);
}

fn speed_row(record: &Record, group: &Group<'_>) -> Vec<Cell> {
    let judged = |outcome: Outcome| {
        record
            .verdict
            .objectives
            .iter()
            .filter(|result| {
                result.contender == group.key
                    && result.mode == group.mode
                    && result.outcome == outcome
            })
            .count() as u64
    };
    let missed = judged(Outcome::Missed) + judged(Outcome::Unsupported);
    let (met, undecided) = (judged(Outcome::Met), judged(Outcome::Undecided));
    let painted =
        |number: u64, paint: Paint| (if number > 0 { paint } else { Paint::Plain }, count(number));
    let mut cells = vec![
        name(group),
        painted(met, Paint::Green),
        painted(missed, Paint::Red),
        painted(undecided, Paint::Yellow),
    ];
    for quantile in [Quantile::P50, Quantile::P99, Quantile::Max] {
        let value = group.median(|trial| trial.delivery.response.get(quantile));
        cells.push(figure(value, group.is_limited(quantile)));
    }
    cells.push((Paint::Plain, proof(group)));
    cells
}

/// What an acknowledgement proves, in at most 16 columns.
fn proof(group: &Group<'_>) -> String {
    let proves = group.shown().ack_proves;
    match (proves.copies, proves.durable) {
        (0, _) => "nothing".to_owned(),
        (copies, Durable::None) => format!("{copies}x memory"),
        (copies, Durable::PageCache) => format!("{copies}x page cache"),
        (copies, Durable::Synced) => format!("{copies}x synced"),
    }
}

fn legend(record: &Record, groups: &Groups<'_>, page: &mut Page) {
    let quantiles = [Quantile::P50, Quantile::P99, Quantile::Max];
    let of =
        |group: &Group<'_>, quantile| group.median(|trial| trial.delivery.response.get(quantile));
    if groups.0.iter().any(|group| quantiles.iter().any(|q| group.is_limited(*q))) {
        page.paragraph(
            Paint::Dim,
            "~ ",
            "limited: the instrument's own lag is more than a tenth of it; printed, never ranked",
        );
    }
    if groups.0.iter().any(|group| quantiles.iter().any(|q| of(group, *q).is_none())) {
        page.paragraph(Paint::Dim, "- ", "too few samples for this quantile");
    }
    if record.verdict.objectives.iter().any(|result| result.outcome == Outcome::Undecided) {
        page.paragraph(Paint::Dim, "? ", "undecided: no figure good enough to judge by");
    }
    let repeats = groups.most_repeats();
    if repeats > 1 {
        let text =
            format!("up to {repeats} repeats: a figure is the median run's, losses are sums");
        page.paragraph(Paint::Dim, "* ", &text);
    }
}

/// Time to delivery of each subscription, where there is more than one.
pub(super) fn subscriptions(groups: &Groups<'_>, page: &mut Page) {
    if groups.0.iter().all(|group| group.shown().by_subscription.len() < 2) {
        return;
    }
    let mut table = Table::new([
        Column::words("", "contender"),
        Column::words("", "subscription"),
        Column::figures("", "deliveries"),
        Column::figures("", "p50"),
        Column::figures("", "p99"),
        Column::figures("", "max"),
    ]);
    for (mode, groups) in groups.by_mode() {
        table.section(mode_label(mode));
        for group in groups {
            for subscription in group.shown().by_subscription.keys().take(24) {
                let response = |trial: &'_ Trial| {
                    trial.by_subscription.get(subscription).map(|of| of.response.clone())
                };
                let mut cells = vec![
                    name(group),
                    (Paint::Plain, clean::name(subscription, 16)),
                    (Paint::Plain, count(group.sum(|t| response(t).map_or(0, |of| of.count)))),
                ];
                for quantile in [Quantile::P50, Quantile::P99, Quantile::Max] {
                    let limited =
                        |trial: &Trial| response(trial).is_some_and(|of| of.is_limited(quantile));
                    let limited = group.trials.iter().any(|trial| limited(trial));
                    let value = group.median(|trial| response(trial)?.get(quantile));
                    cells.push(figure(value, limited));
                }
                table.painted(cells);
            }
        }
    }
    page.heading("The same by subscription");
    table.write(page);
}

fn figure(value_us: Option<f64>, limited: bool) -> Cell {
    let mark = if limited { "~" } else { "" };
    let text = value_us.map_or_else(|| NONE.to_owned(), |us| format!("{mark}{}", micros(us)));
    (if limited { Paint::Dim } else { Paint::Plain }, text)
}

pub(super) fn cost(groups: &Groups<'_>, page: &mut Page) {
    if groups.0.is_empty() {
        return;
    }
    let mut table = Table::new([
        Column::words("", "contender"),
        Column::figures("", "delivered/s"),
        Column::figures("lost, with", "a cause").called("lost with a cause"),
        Column::figures("lost,", "unexplained").called("lost, unexplained"),
        Column::figures("", "duplicates"),
        Column::figures("CPU us", "a message").called("CPU us a message"),
    ]);
    for (mode, groups) in groups.by_mode() {
        table.section(mode_label(mode));
        for group in groups {
            let unexplained = group.sum(|trial| trial.ledger.deliveries.lost_unexplained);
            let alarm = if unexplained > 0 { Paint::Red } else { Paint::Plain };
            let plain = |text: String| (Paint::Plain, text);
            table.painted([
                name(group),
                plain(group.median(|t| Some(t.delivered_per_s)).map_or(NONE.to_owned(), rate)),
                plain(count(group.sum(|trial| trial.ledger.deliveries.lost_explained))),
                (alarm, count(unexplained)),
                plain(count(group.sum(|trial| trial.ledger.duplicates))),
                plain(
                    group
                        .median(|trial| trial.resources.cpu_us_per_message)
                        .map_or(NONE.to_owned(), rate),
                ),
            ]);
        }
    }
    page.heading("What came through, and at what price");
    table.write(page);
}

/// The contender, marked where a trial of its is not valid.
fn name(group: &Group<'_>) -> Cell {
    if group.trials.iter().all(|trial| trial.valid) {
        (Paint::Plain, group.contender.clone())
    } else {
        (Paint::Yellow, format!("{} (!)", group.contender))
    }
}
