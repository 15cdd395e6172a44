//! A record as text for a terminal.
//!
//! **What it is for.** The comparison that `lab run` prints: the question, the
//! verdict, the tables, how latency went over time, the books, and what a
//! doubter asks next. 80 columns by default, and never wider than told.
//!
//! **What it never does.** It ranks nothing and judges nothing: that is in the
//! record. It writes no colour unless told to, and nothing from the record that
//! could move a cursor. Simulated and measured figures stand under headings of
//! their own.
//!
//! **Where to start reading.** [`render`], which is the order of the page.

mod capacity;
pub(crate) mod figures;
pub(crate) mod group;
mod ledger;
mod notes;
mod objectives;
pub(crate) mod page;
mod sockets;
mod spark;
mod table;
mod tables;

use crate::clean;
use crate::record::Record;

pub use figures::{bytes, count, micros, rate};
use group::Groups;
use page::{Page, Paint};
pub use table::{Align, Column, Table};

/// How to print.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Style {
    /// Whether to use colour.
    pub colour: bool,
    /// Columns; fewer than 20 are taken as 20.
    pub width: usize,
}

impl Default for Style {
    fn default() -> Self {
        Style { colour: false, width: 80 }
    }
}

/// The whole page, with a last line break.
pub fn render(record: &Record, style: Style) -> String {
    let mut page = Page::new(style);
    let groups = Groups::of(record);
    head(record, &mut page);
    // A record of a capacity search alone has no trials, and misses none.
    if !record.trials.is_empty() || record.capacity.is_empty() {
        tables::speed(record, &groups, &mut page);
    }
    tables::subscriptions(&groups, &mut page);
    tables::cost(&groups, &mut page);
    sockets::write(&groups, &mut page);
    capacity::write(record, &mut page);
    objectives::write(record, &mut page);
    spark::write(&groups, &mut page);
    ledger::write(&groups, &mut page);
    notes::write(record, &groups, &mut page);
    page.finish()
}

fn head(record: &Record, page: &mut Page) {
    let scenario = &record.scenario;
    let name = clean::line(&scenario.name, 60);
    let title = clean::line(&scenario.title, 240);
    let heading = match (name.is_empty(), title.is_empty()) {
        (true, _) => title,
        (false, true) => name,
        (false, false) => format!("{name}: {title}"),
    };
    page.paragraph(Paint::Bold, "", &heading);
    page.paragraph(Paint::Plain, "", &clean::line(&scenario.question, 400));
    page.gap();
    let verdict = clean::line(&record.verdict.text, 1_200);
    let verdict =
        if verdict.is_empty() { "there is none in this record".to_owned() } else { verdict };
    page.paragraph(Paint::Bold, "Verdict  ", &verdict);
    if record.partial {
        page.paragraph(
            Paint::Yellow,
            "Partial  ",
            "the run was interrupted, so that trials are missing or short; nothing here is final",
        );
    }
    page.gap();
}
