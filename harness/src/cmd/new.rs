//! `lab new`: a scenario to start from.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use clap::Args;

use crate::exit::{CliError, Exit};
use crate::{scenario_file, term};

const EXAMPLES: &str = "\
Examples:
  lab new mine.toml && lab check mine.toml && lab run mine.toml --quick";

/// Arguments of `lab new`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct NewCli {
    /// The file to write; one that exists is left alone
    file: PathBuf,
}

/// Writes the file.
///
/// # Errors
/// [`CliError::Failed`] when it exists already or cannot be written.
pub fn run(args: &NewCli) -> Result<Exit, CliError> {
    let shown = lab_reports::clean::line(&args.file.to_string_lossy(), 200);
    // `create_new` decides and creates in one step, so that nothing is ever overwritten.
    let mut file =
        OpenOptions::new().write(true).create_new(true).open(&args.file).map_err(|error| {
            CliError::Failed(if error.kind() == ErrorKind::AlreadyExists {
                format!("`{shown}` exists already and is left alone; choose another name")
            } else {
                format!("`{shown}` cannot be written: {error}")
            })
        })?;
    file.write_all(scenario_file::template().as_bytes())
        .map_err(|error| CliError::Failed(format!("`{shown}` cannot be written: {error}")))?;
    term::note(&format!("wrote {shown}; `lab check {shown}` says what it means"));
    Ok(Exit::Done)
}
