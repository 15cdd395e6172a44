//! `lab completions`: completions for a shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::exit::{CliError, Exit};
use crate::term;

const EXAMPLES: &str = "\
Examples:
  lab completions bash > ~/.local/share/bash-completion/completions/lab
  lab completions zsh > ~/.zfunc/_lab
  lab completions fish > ~/.config/fish/completions/lab.fish";

/// Arguments of `lab completions`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CompletionsCli {
    /// The shell
    shell: Shell,
}

/// Prints the completions.
///
/// # Errors
/// [`CliError`] when standard output cannot be written.
pub fn run(args: &CompletionsCli) -> Result<Exit, CliError> {
    // Written to memory first: the generator itself panics on a closed pipe.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "lab", &mut script);
    term::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
