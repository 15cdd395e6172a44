//! Sequences one after the other, in 80 columns.

use super::{Lane, Sequence, Step};
use crate::clean;
use crate::text::Style;
use crate::text::micros;
use crate::text::page::{Page, Paint};

/// Columns in front of the first lifeline, for the time.
const MARGIN: usize = 11;
/// Columns from one lifeline to the next.
const COLUMN: usize = 20;
/// Where the last lifeline stands.
const LAST: usize = MARGIN + 3 * COLUMN;

/// The sequences as text; the width of `style` counts from 80 on.
pub fn text(sequences: &[Sequence], style: Style) -> String {
    let style = Style { width: style.width.max(80), ..style };
    let mut page = Page::new(style);
    for sequence in sequences {
        one(sequence, &mut page);
    }
    if sequences.len() > 1 {
        page.heading("From the moment it was due to the first consumer (virtual time)");
        for sequence in sequences {
            let name = clean::name(&sequence.contender, 40);
            let time = sequence.received_ns().map_or("it never came".to_owned(), shown);
            page.line(&[(Paint::Plain, &format!("  {name:<40} {time:>10}"))]);
        }
    }
    page.finish()
}

fn one(sequence: &Sequence, page: &mut Page) {
    page.gap();
    let title = format!(
        "{}: message {} on {} (virtual time)",
        clean::name(&sequence.contender, 30),
        sequence.message,
        clean::line(&sequence.channel, 200)
    );
    page.paragraph(Paint::Bold, "", &title);
    page.gap();
    let mut heads = " ".repeat(MARGIN);
    for lane in Lane::ALL {
        heads.push_str(&format!("{:<COLUMN$}", lane.title()));
    }
    page.line(&[(Paint::Bold, heads.trim_end())]);
    let (steps, left_out) = sequence.drawn();
    for step in &steps {
        page.line(&[
            (Paint::Dim, &format!("{:>9}  ", shown(step.leaves_ns))),
            (Paint::Plain, &arrow(step.from, step.to)),
        ]);
        label(step, page);
    }
    if left_out > 0 {
        let text = format!("{left_out} more consumers between these are left out");
        page.line(&[(Paint::Dim, &format!("{}{text}", " ".repeat(MARGIN)))]);
    }
    let end = match sequence.received_ns() {
        Some(at) => format!("{} from due to the first consumer; ", shown(at)),
        None => "no consumer received it; ".to_owned(),
    };
    page.gap();
    let text = format!("{end}the last step ends at {}", shown(sequence.end_ns()));
    page.line(&[(Paint::Plain, &format!("{}{text}", " ".repeat(MARGIN)))]);
}

/// What happens, below the arrow where it begins, or as far left as it must.
fn label(step: &Step, page: &mut Page) {
    let room = page.width() - MARGIN;
    let text = clean::line(&words(step), room);
    let lane = step.from.min(step.to) as usize;
    let at = (MARGIN + lane * COLUMN + 2).min(page.width().saturating_sub(clean::width(&text)));
    page.line(&[(Paint::Dim, &format!("{}{text}", " ".repeat(at)))]);
}

/// Who does what, and how long it is on the way.
pub(super) fn words(step: &Step) -> String {
    let who = clean::line(&step.who, 40);
    let gap = if who.is_empty() { "" } else { ": " };
    let mut text = format!("{who}{gap}{}", clean::line(&step.what, 80));
    if step.arrives_ns > step.leaves_ns {
        text.push_str(&format!(", {}", shown(step.arrives_ns - step.leaves_ns)));
    }
    text
}

pub(super) fn shown(nanos: u64) -> String {
    micros(nanos as f64 / 1e3)
}

/// Lifelines with an arrow from one to another, or a mark on one.
fn arrow(from: Lane, to: Lane) -> String {
    let mut line: Vec<char> = vec![' '; LAST - MARGIN + 1];
    for lane in Lane::ALL {
        line[lane as usize * COLUMN] = '|';
    }
    let (left, right) = (from.min(to) as usize * COLUMN, from.max(to) as usize * COLUMN);
    if from == to {
        line[left] = 'o';
    } else {
        line[left + 1..right].fill('-');
        if to > from {
            line[right - 1] = '>';
        } else {
            line[left + 1] = '<';
        }
    }
    line.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_point_where_they_go_and_fit() {
        assert_eq!(&arrow(Lane::Publisher, Lane::Node)[..=COLUMN], "|------------------>|");
        assert_eq!(&arrow(Lane::Disk, Lane::Node)[COLUMN..=2 * COLUMN], "|<------------------|");
        assert_eq!(&arrow(Lane::Node, Lane::Node)[COLUMN..=COLUMN], "o");
        assert!(MARGIN + arrow(Lane::Publisher, Lane::Consumer).len() <= 80);
    }
}
