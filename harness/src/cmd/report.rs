//! `lab report`: an earlier run's record, rendered again.

use std::path::PathBuf;

use clap::Args;
use lab_reports::record::Record;
use lab_reports::render::{Format, render};

use crate::exit::{CliError, Exit};
use crate::scenario_file::{Unreadable, read_text};
use crate::term;

/// Records are at most this long: four contenders in four modes over a day of
/// seconds stay far below it.
const MAX_BYTES: u64 = 256 << 20;

const EXAMPLES: &str = "\
Examples:
  lab report results/today                    the comparison, as it was printed
  lab report results/today/report.json --format csv > trials.csv
  lab report results/today --format series-csv > series.csv";

/// Arguments of `lab report`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ReportCli {
    /// A report.json, or the folder that holds it
    file: PathBuf,
    /// text, csv (trials), series-csv or json; html, md, svg and png come later
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: String,
}

/// Renders the record on standard output.
///
/// # Errors
/// [`CliError`] when it is no record, or the format is not there.
pub fn run(args: &ReportCli) -> Result<Exit, CliError> {
    let format: Format =
        args.format.parse().map_err(|error| CliError::Usage(format!("{error}")))?;
    let path = if args.file.is_dir() { args.file.join("report.json") } else { args.file.clone() };
    let shown = lab_reports::clean::line(&path.to_string_lossy(), 200);
    let text = read_text(&path, MAX_BYTES).map_err(|problem| {
        CliError::Usage(match problem {
            Unreadable::Missing if args.file.is_dir() => {
                format!("there is no report.json in this folder: `{shown}`")
            }
            Unreadable::Missing => format!("there is no file `{shown}`"),
            Unreadable::Folder => format!("`{shown}` is a folder; give the report.json of a run"),
            Unreadable::TooLong => format!("`{shown}` is longer than 256 MiB, so it is no record"),
            Unreadable::NotUtf8(at) => format!("`{shown}` is not UTF-8 (byte {at}), so no record"),
            Unreadable::Other(error) => format!("`{shown}` cannot be read: {error}"),
        })
    })?;
    let record =
        Record::read(&text).map_err(|error| CliError::Usage(format!("{shown}: {error}")))?;
    let page = render(&record, format, term::style())
        .map_err(|error| CliError::Usage(error.to_string()))?;
    term::print(&page)?;
    Ok(Exit::Done)
}
