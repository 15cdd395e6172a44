//! Verbs that are planned and not there yet.

use std::ffi::OsString;

use clap::Args;

use crate::exit::{CliError, Exit};

/// Whatever is said to a verb that is not there yet.
#[derive(Debug, Args)]
pub struct LaterCli {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<OsString>,
}

/// Says so in one line.
///
/// # Errors
/// Always [`CliError::Usage`].
pub fn refuse(verb: &str) -> Result<Exit, CliError> {
    Err(CliError::Usage(format!(
        "`lab {verb}` is not there yet; `lab --help` lists the verbs that are"
    )))
}
