//! One record, many forms.

use std::fmt;
use std::str::FromStr;

use crate::charts::{self, ChartError, Figure};
use crate::record::{Record, RecordError};
use crate::{csv, html, markdown, text};

pub use crate::text::Style;

/// A form in which a record is rendered.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// For a terminal.
    Text,
    /// `trials.csv`: a line for each trial.
    Csv,
    /// `series.csv`: a line for each second of each trial.
    SeriesCsv,
    /// The record itself.
    Json,
    /// A page for a browser.
    Html,
    /// For a pull request.
    Markdown,
    /// Charts as vectors.
    Svg,
    /// Charts as pixels.
    Png,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 8] = [
        Format::Text,
        Format::Csv,
        Format::SeriesCsv,
        Format::Json,
        Format::Html,
        Format::Markdown,
        Format::Svg,
        Format::Png,
    ];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Format::Text => "text",
            Format::Csv => "csv",
            Format::SeriesCsv => "series-csv",
            Format::Json => "json",
            Format::Html => "html",
            Format::Markdown => "md",
            Format::Svg => "svg",
            Format::Png => "png",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Format {
    type Err = RenderError;

    fn from_str(name: &str) -> Result<Format, RenderError> {
        Format::ALL
            .into_iter()
            .find(|format| format.name() == name)
            .ok_or_else(|| RenderError::Unknown(crate::clean::line(name, 40)))
    }
}

/// Why a record was not rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// No such form.
    #[error("there is no format `{0}`; there is text, csv, series-csv, json, html, md, svg, png")]
    Unknown(String),
    /// One text was asked for, and the form is several files.
    #[error(
        "the format `{0}` is a file for each chart; give a folder with --out, or name one chart \
         with --chart"
    )]
    SeveralFiles(Format),
    /// A record has no such chart.
    #[error("there is no chart `{name}` in this record; there is {known}")]
    NoChart {
        /// As asked for.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// A chart could not be drawn.
    #[error(transparent)]
    Chart(#[from] ChartError),
    /// The page could not be filled in.
    #[error("the page cannot be written: {0}")]
    Page(String),
    /// The record holds what no file can.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The tables could not be written.
    #[error("the table cannot be written: {0}")]
    Table(String),
}

/// A file of a rendering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Relative to the folder of the report, such as `charts/latency-sim.svg`.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// `record` in `format`; `style` is for [`Format::Text`].
///
/// # Errors
/// [`RenderError`] when the form is several files, or the record cannot be written.
pub fn render(record: &Record, format: Format, style: Style) -> Result<String, RenderError> {
    match format {
        Format::Text => Ok(text::render(record, style)),
        Format::Csv => csv::trials(record),
        Format::SeriesCsv => csv::series(record),
        Format::Json => Ok(record.write()?),
        Format::Html => html::render(record),
        Format::Markdown => Ok(markdown::render(record)),
        Format::Svg | Format::Png => Err(RenderError::SeveralFiles(format)),
    }
}

/// `record` in `format`, as the files that a folder of a report has: one, or
/// one for each chart. `csv` is both of its tables.
///
/// # Errors
/// As [`render`], or [`RenderError::Chart`].
pub fn files(record: &Record, format: Format) -> Result<Vec<File>, RenderError> {
    let one = |name: &str, format: Format| -> Result<File, RenderError> {
        let style = Style { colour: false, width: 80 };
        Ok(File { name: name.to_owned(), bytes: render(record, format, style)?.into_bytes() })
    };
    match format {
        Format::Text => Ok(vec![one("report.txt", format)?]),
        Format::Csv => {
            Ok(vec![one("trials.csv", Format::Csv)?, one("series.csv", Format::SeriesCsv)?])
        }
        Format::SeriesCsv => Ok(vec![one("series.csv", format)?]),
        Format::Json => Ok(vec![one("report.json", format)?]),
        Format::Html => Ok(vec![one("report.html", format)?]),
        Format::Markdown => Ok(vec![one("report.md", format)?]),
        Format::Svg | Format::Png => {
            charts::figures(record).iter().map(|figure| chart_file(figure, format)).collect()
        }
    }
}

/// One chart of `record`, by its name.
///
/// # Errors
/// [`RenderError::NoChart`] when there is none; `format` other than `svg` and
/// `png` is [`RenderError::Unknown`].
pub fn chart(record: &Record, name: &str, format: Format) -> Result<File, RenderError> {
    if !matches!(format, Format::Svg | Format::Png) {
        return Err(RenderError::Unknown(format!("{format} of a chart")));
    }
    let figures = charts::figures(record);
    let Some(figure) = figures.iter().find(|figure| figure.id == name) else {
        let known: Vec<&str> = figures.iter().map(|figure| figure.id.as_str()).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        return Err(RenderError::NoChart { name: crate::clean::line(name, 60), known });
    };
    chart_file(figure, format)
}

fn chart_file(figure: &Figure, format: Format) -> Result<File, RenderError> {
    let bytes = match format {
        Format::Png => figure.png()?,
        _ => figure.svg()?.into_bytes(),
    };
    Ok(File { name: format!("charts/{}.{format}", figure.id), bytes })
}
