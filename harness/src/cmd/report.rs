//! `lab report`: an earlier run's record, rendered again.

use std::path::PathBuf;

use clap::Args;
use lab_reports::render::{Format, render};

use crate::exit::{CliError, Exit};
use crate::{record_file, term};

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
    let record = record_file::read(&args.file)?;
    let page = render(&record, format, term::style())
        .map_err(|error| CliError::Usage(error.to_string()))?;
    term::print(&page)?;
    Ok(Exit::Done)
}
