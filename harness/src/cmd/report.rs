//! `lab report`: an earlier run's record, rendered again.

use std::path::{Path, PathBuf};

use clap::Args;
use lab_reports::record::Record;
use lab_reports::render::{self, Format, RenderError};

use crate::exit::{CliError, Exit};
use crate::session::write_file;
use crate::{record_file, term};

const EXAMPLES: &str = "\
Examples:
  lab report results/today                    the comparison, as it was printed
  lab report results/today --format html > today.html
  lab report results/today --format html,md,svg,png --out pages
  lab report results/today --format svg --chart latency-sim > latency.svg
  lab report results/today/report.json --format csv > trials.csv";

/// Arguments of `lab report`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ReportCli {
    /// A report.json, or the folder that holds it
    file: PathBuf,
    /// text, html, md, csv (trials), series-csv, svg, png, json; several with --out
    #[arg(long, value_name = "FORMAT,..", default_value = "text")]
    format: String,
    /// One chart for svg or png on standard output, such as latency-sim
    #[arg(long, value_name = "NAME", conflicts_with = "out")]
    chart: Option<String>,
    /// Write files to this folder instead of standard output
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Renders the record on standard output, or into a folder.
///
/// # Errors
/// [`CliError`] when it is no record, a format is not there, or a file cannot be
/// written.
pub fn run(args: &ReportCli) -> Result<Exit, CliError> {
    let formats = formats(&args.format)?;
    let record = record_file::read(&args.file)?;
    if let Some(folder) = &args.out {
        into_folder(&record, &formats, folder)?;
        return Ok(Exit::Done);
    }
    let [format] = formats[..] else {
        return Err(CliError::Usage(
            "several formats are several files; give a folder with --out".to_owned(),
        ));
    };
    if let Some(name) = &args.chart {
        let file = render::chart(&record, name, format).map_err(error)?;
        term::print_bytes(&file.bytes)?;
        return Ok(Exit::Done);
    }
    term::print(&render::render(&record, format, term::style()).map_err(error)?)?;
    Ok(Exit::Done)
}

fn formats(text: &str) -> Result<Vec<Format>, CliError> {
    let mut out: Vec<Format> = Vec::new();
    for name in text.split(',').map(str::trim) {
        let format: Format = name.parse().map_err(error)?;
        if !out.contains(&format) {
            out.push(format);
        }
    }
    Ok(out)
}

/// What is wrong with the question is a usage error; that a chart or a page
/// cannot be made is the lab's own failure.
fn error(error: RenderError) -> CliError {
    match error {
        RenderError::Chart(_) | RenderError::Page(_) | RenderError::Table(_) => {
            CliError::Failed(error.to_string())
        }
        _ => CliError::Usage(error.to_string()),
    }
}

fn into_folder(record: &Record, formats: &[Format], folder: &Path) -> Result<(), CliError> {
    let mut count = 0;
    for format in formats {
        for file in render::files(record, *format).map_err(error)? {
            write_file(folder, &file.name, &file.bytes).map_err(CliError::Failed)?;
            count += 1;
        }
    }
    let shown = lab_reports::clean::line(&folder.display().to_string(), 200);
    term::note(&format!("{count} files are in {shown}"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_listed_once_and_strangers_refused() {
        assert_eq!(formats("html, md,html").expect("known"), [Format::Html, Format::Markdown]);
        let refused = formats("html,pdf").expect_err("no such format");
        assert_eq!(refused.exit(), Exit::Usage);
        assert!(refused.to_string().starts_with("there is no format `pdf`"));
    }
}
