//! Lines that keep a width, with colour where it is wanted.

use super::Style;
use crate::clean;

/// How a piece of text is painted, where colour is wanted at all.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Paint {
    #[default]
    Plain,
    Bold,
    Dim,
    Green,
    Red,
    Yellow,
}

impl Paint {
    const fn code(self) -> &'static str {
        match self {
            Paint::Plain => "0",
            Paint::Bold => "1",
            Paint::Dim => "2",
            Paint::Green => "32",
            Paint::Red => "31",
            Paint::Yellow => "33",
        }
    }
}

/// A page that grows line by line. Every text that comes in is clean already.
#[derive(Debug)]
pub(crate) struct Page {
    out: String,
    colour: bool,
    width: usize,
}

impl Page {
    pub(crate) fn new(style: Style) -> Page {
        Page { out: String::new(), colour: style.colour, width: style.width.max(20) }
    }

    pub(crate) const fn width(&self) -> usize {
        self.width
    }

    /// One line made of pieces, cut at the width.
    pub(crate) fn line(&mut self, pieces: &[(Paint, &str)]) {
        let mut left = self.width;
        let start = self.out.len();
        for (paint, text) in pieces {
            let shown = if clean::width(text) <= left {
                (*text).to_owned()
            } else {
                clean::cut(text, left)
            };
            left -= clean::width(&shown).min(left);
            if self.colour && *paint != Paint::Plain && !shown.trim().is_empty() {
                self.out.push_str(&format!("\u{1b}[{}m{shown}\u{1b}[0m", paint.code()));
            } else {
                self.out.push_str(&shown);
            }
        }
        let kept = self.out.trim_end_matches(' ').len().max(start);
        self.out.truncate(kept);
        self.out.push('\n');
    }

    /// Wrapped text; `lead` stands before the first line and its width before
    /// the others. An empty text prints nothing.
    pub(crate) fn paragraph(&mut self, paint: Paint, lead: &str, text: &str) {
        let indent = clean::width(lead).min(self.width / 2);
        let lead =
            if indent < clean::width(lead) { clean::cut(lead, indent) } else { lead.to_owned() };
        let blank = " ".repeat(indent);
        for (at, part) in clean::wrap(text, self.width - indent).iter().enumerate() {
            let before = if at == 0 { &lead } else { &blank };
            // A lead that is a label is painted; the text after it stays readable.
            if lead.trim().is_empty() {
                self.line(&[(Paint::Plain, before), (paint, part)]);
            } else {
                self.line(&[(paint, before), (Paint::Plain, part)]);
            }
        }
    }

    /// A heading, with a gap before it.
    pub(crate) fn heading(&mut self, text: &str) {
        self.gap();
        self.paragraph(Paint::Bold, "", text);
    }

    /// One empty line, unless there is one.
    pub(crate) fn gap(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }

    pub(crate) fn finish(mut self) -> String {
        let kept = self.out.trim_end().len();
        self.out.truncate(kept);
        self.out.push('\n');
        self.out
    }
}
