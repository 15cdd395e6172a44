//! System calls and CPU time of each thread, where there were sockets.

use super::group::{Groups, mode_label};
use super::page::{Page, Paint};
use super::rate;
use super::table::{Column, Table};
use crate::findings::sockets;
use crate::text::figures::share;

/// Stands where there is no figure.
const NONE: &str = "-";

pub(super) fn write(groups: &Groups<'_>, page: &mut Page) {
    let mut table = Table::new([
        Column::words("", "contender"),
        Column::words("", "thread"),
        Column::figures("", "CPU"),
        Column::figures("", "reads").called("reads a message"),
        Column::figures("", "writes").called("writes a message"),
        Column::figures("", "waits").called("waits a message"),
        Column::figures("", "bytes in").called("bytes in a message"),
        Column::figures("", "out").called("bytes out a message"),
    ]);
    let mut any = false;
    for (mode, groups) in groups.by_mode() {
        let with_sockets: Vec<_> =
            groups.iter().filter(|group| group.shown().wire.is_some()).collect();
        if with_sockets.is_empty() {
            continue;
        }
        any = true;
        table.section(mode_label(mode));
        for group in with_sockets {
            for (at, thread) in sockets::threads(group).into_iter().enumerate() {
                let name = if at == 0 { group.contender.clone() } else { String::new() };
                let mut cells = vec![
                    (Paint::Plain, name),
                    (Paint::Plain, thread.name.to_owned()),
                    (Paint::Plain, thread.busy.map_or(NONE.to_owned(), share)),
                ];
                let figures = thread.a_message.into_iter();
                cells.extend(
                    figures.map(|value| (Paint::Plain, value.map_or(NONE.to_owned(), rate))),
                );
                table.painted(cells);
            }
        }
    }
    if !any {
        return;
    }
    page.heading("What each thread asked of the system for one message");
    table.write(page);
    page.paragraph(
        Paint::Dim,
        "* ",
        "CPU is a share of one core over the trial; the generator spins until a message is due, \
         which is most of its CPU and of its waits",
    );
}
