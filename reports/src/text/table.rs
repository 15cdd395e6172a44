//! A table that knows when it does not fit.

use super::Style;
use super::page::{Page, Paint};
use crate::clean;

/// On which side of a column its cells stand.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Figures.
    Right,
}

/// A column: two lines of heading (the upper may be empty) and a side.
#[derive(Copy, Clone, Debug)]
pub struct Column {
    /// Over the heading; empty for none.
    pub over: &'static str,
    /// The heading.
    pub heading: &'static str,
    /// The heading where it stands alone, in a list.
    pub title: &'static str,
    /// Where cells stand.
    pub align: Align,
}

impl Column {
    /// A column of words.
    pub const fn words(over: &'static str, heading: &'static str) -> Column {
        Column { over, heading, title: heading, align: Align::Left }
    }

    /// A column of figures.
    pub const fn figures(over: &'static str, heading: &'static str) -> Column {
        Column { over, heading, title: heading, align: Align::Right }
    }

    /// The same column, called `title` where its heading stands alone.
    #[must_use]
    pub const fn called(self, title: &'static str) -> Column {
        Column { title, ..self }
    }
}

/// A cell: text, and how it is painted.
pub(crate) type Cell = (Paint, String);

#[derive(Debug)]
enum Row {
    /// A heading of its own for the rows below it.
    Section(String),
    Cells(Vec<Cell>),
}

/// Rows under columns; the first column is the name of the row.
///
/// Where the columns do not fit side by side, each row becomes a list.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Row>,
}

/// A cell takes this many columns at most.
const CELL_MAX: usize = 28;

impl Table {
    /// An empty table.
    pub fn new(columns: impl Into<Vec<Column>>) -> Table {
        Table { columns: columns.into(), rows: Vec::new() }
    }

    /// Starts a section.
    pub fn section(&mut self, title: impl Into<String>) {
        self.rows.push(Row::Section(clean::line(&title.into(), 200)));
    }

    /// Adds a row; missing cells are empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.painted(cells.into_iter().map(|text| (Paint::Plain, text)));
    }

    pub(crate) fn painted(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let mut cells: Vec<Cell> = cells
            .into_iter()
            .take(self.columns.len())
            .map(|(paint, text)| (paint, clean::name(&text, CELL_MAX)))
            .collect();
        cells.resize(self.columns.len(), (Paint::Plain, String::new()));
        self.rows.push(Row::Cells(cells));
    }

    /// The table by itself, as text.
    pub fn render(&self, style: Style) -> String {
        let mut page = Page::new(style);
        self.write(&mut page);
        page.finish()
    }

    pub(crate) fn write(&self, page: &mut Page) {
        let widths = self.widths();
        let indent = self.indent();
        let needed = widths.iter().map(|width| width + 2).sum::<usize>() - 2;
        // The name gives way first, down to what still tells names apart.
        let over = needed.saturating_sub(page.width());
        let name = widths[0].saturating_sub(over);
        if over > 0 && name < (14 + indent).min(widths[0]) {
            return self.write_lists(page);
        }
        let mut widths = widths;
        widths[0] = name;
        if self.columns.iter().any(|column| !column.over.is_empty()) {
            self.write_head(page, &widths, |column| column.over);
        }
        self.write_head(page, &widths, |column| column.heading);
        for row in &self.rows {
            match row {
                Row::Section(title) => page.paragraph(Paint::Dim, "", title),
                Row::Cells(cells) => {
                    let mut pieces = Vec::with_capacity(cells.len());
                    for (at, (paint, text)) in cells.iter().enumerate() {
                        let text = if at == 0 {
                            format!(
                                "{}{}",
                                " ".repeat(indent),
                                clean::name(text, widths[0] - indent)
                            )
                        } else {
                            text.clone()
                        };
                        pieces.push((*paint, self.padded(at, &text, widths[at])));
                    }
                    write_pieces(page, &pieces);
                }
            }
        }
    }

    fn indent(&self) -> usize {
        if self.rows.iter().any(|row| matches!(row, Row::Section(_))) { 2 } else { 0 }
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<usize> = self
            .columns
            .iter()
            .map(|column| clean::width(column.over).max(clean::width(column.heading)))
            .collect();
        for row in &self.rows {
            if let Row::Cells(cells) = row {
                for (at, (_, text)) in cells.iter().enumerate() {
                    let indent = if at == 0 { self.indent() } else { 0 };
                    widths[at] = widths[at].max(clean::width(text) + indent);
                }
            }
        }
        widths
    }

    fn write_head(&self, page: &mut Page, widths: &[usize], of: impl Fn(&Column) -> &'static str) {
        let pieces: Vec<Cell> = self
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| (Paint::Bold, self.padded(at, of(column), widths[at])))
            .collect();
        write_pieces(page, &pieces);
    }

    fn padded(&self, at: usize, text: &str, width: usize) -> String {
        let blank = " ".repeat(width.saturating_sub(clean::width(text)));
        let gap = if at == 0 { "" } else { "  " };
        match self.columns[at].align {
            Align::Left => format!("{gap}{text}{blank}"),
            Align::Right => format!("{gap}{blank}{text}"),
        }
    }

    /// One line for each cell, for a terminal too narrow for columns.
    fn write_lists(&self, page: &mut Page) {
        for row in &self.rows {
            match row {
                Row::Section(title) => page.paragraph(Paint::Dim, "", title),
                Row::Cells(cells) => {
                    for (at, ((paint, text), column)) in cells.iter().zip(&self.columns).enumerate()
                    {
                        if at == 0 {
                            page.paragraph(Paint::Bold, "  ", text);
                        } else if !text.is_empty() {
                            page.paragraph(*paint, "    ", &format!("{}: {text}", column.title));
                        }
                    }
                }
            }
        }
    }
}

fn write_pieces(page: &mut Page, pieces: &[Cell]) {
    let borrowed: Vec<(Paint, &str)> =
        pieces.iter().map(|(paint, text)| (*paint, text.as_str())).collect();
    page.line(&borrowed);
}
