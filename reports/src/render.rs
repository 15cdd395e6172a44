//! One record, many forms.

use std::fmt;
use std::str::FromStr;

use crate::record::{Record, RecordError};
use crate::{csv, text};

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
    #[error("there is no format `{0}`; there is text, csv, series-csv, json")]
    Unknown(String),
    /// A form that is planned.
    #[error("the format `{0}` is not there yet; there is text, csv, series-csv, json")]
    NotThereYet(Format),
    /// The record holds what no file can.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The tables could not be written.
    #[error("the table cannot be written: {0}")]
    Table(String),
}

/// `record` in `format`; `style` is for [`Format::Text`].
///
/// # Errors
/// [`RenderError`] when the form is not there yet, or the record cannot be written.
pub fn render(record: &Record, format: Format, style: Style) -> Result<String, RenderError> {
    match format {
        Format::Text => Ok(text::render(record, style)),
        Format::Csv => csv::trials(record),
        Format::SeriesCsv => csv::series(record),
        Format::Json => Ok(record.write()?),
        Format::Html | Format::Markdown | Format::Svg | Format::Png => {
            Err(RenderError::NotThereYet(format))
        }
    }
}
