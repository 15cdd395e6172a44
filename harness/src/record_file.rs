//! Reading the record of an earlier run from a path that somebody typed.

use std::path::Path;

use lab_reports::record::Record;

use crate::exit::CliError;
use crate::scenario_file::{Unreadable, read_text};

/// Records are at most this long: four contenders in four modes over a day of
/// seconds stay far below it.
const MAX_BYTES: u64 = 256 << 20;

/// Reads a `report.json`, or the one in a folder.
///
/// # Errors
/// [`CliError::Usage`], one line that names the file and says what it is instead.
pub fn read(file: &Path) -> Result<Record, CliError> {
    let path = if file.is_dir() { file.join("report.json") } else { file.to_owned() };
    let shown = lab_reports::clean::line(&path.to_string_lossy(), 200);
    let text = read_text(&path, MAX_BYTES).map_err(|problem| {
        CliError::Usage(match problem {
            Unreadable::Missing if file.is_dir() => {
                format!("there is no report.json in this folder: `{shown}`")
            }
            Unreadable::Missing => format!("there is no file `{shown}`"),
            Unreadable::Folder => format!("`{shown}` is a folder; give the report.json of a run"),
            Unreadable::TooLong => format!("`{shown}` is longer than 256 MiB, so it is no record"),
            Unreadable::NotUtf8(at) => format!("`{shown}` is not UTF-8 (byte {at}), so no record"),
            Unreadable::Other(error) => format!("`{shown}` cannot be read: {error}"),
        })
    })?;
    Record::read(&text).map_err(|error| CliError::Usage(format!("{shown}: {error}")))
}
