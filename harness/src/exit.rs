//! How the program ends: exit codes, and the errors that lead to them.

use std::io;
use std::process::ExitCode;

/// How a command ended. The order is the order of precedence: of two ends, the
/// greater is the one to report.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Nothing to report. That a contender misses an objective is a result.
    #[default]
    Done,
    /// The lab itself failed, or its output could not be written.
    Failed,
    /// The command line or the scenario is wrong.
    Usage,
    /// No contender, or not every required one, meets all objectives.
    NoneFits,
    /// A trial is invalid, or an objective is undecided.
    Undecided,
    /// A loss that nothing explains, or damage.
    Broken,
    /// Interrupted from the keyboard.
    Interrupted,
}

impl Exit {
    /// All of them, lowest precedence first.
    pub const ALL: [Exit; 7] = [
        Exit::Done,
        Exit::Failed,
        Exit::Usage,
        Exit::NoneFits,
        Exit::Undecided,
        Exit::Broken,
        Exit::Interrupted,
    ];

    /// The exit code.
    pub const fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::NoneFits => 3,
            Exit::Undecided => 4,
            Exit::Broken => 5,
            Exit::Interrupted => 130,
        }
    }

    /// The one of the two that takes precedence.
    #[must_use]
    pub fn or(self, other: Exit) -> Exit {
        self.max(other)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// Why a command did not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CliError {
    /// The command line is wrong, or names something that cannot be read.
    #[error("{0}")]
    Usage(String),
    /// The scenario is wrong.
    #[error("{0}")]
    Scenario(Box<crate::scenario_file::Mistake>),
    /// The result could not be written, or the lab itself failed.
    #[error("{0}")]
    Failed(String),
    /// Interrupted before there was anything to report.
    #[error("interrupted")]
    Interrupted,
    /// The reader of standard output has gone, which is no error.
    #[error("standard output was closed")]
    ClosedPipe,
}

impl CliError {
    /// The end that it leads to.
    pub const fn exit(&self) -> Exit {
        match self {
            CliError::Usage(_) | CliError::Scenario(_) => Exit::Usage,
            CliError::Failed(_) => Exit::Failed,
            CliError::Interrupted => Exit::Interrupted,
            CliError::ClosedPipe => Exit::Done,
        }
    }

    /// What a failed write to standard output means.
    pub fn from_stdout(error: &io::Error) -> CliError {
        if error.kind() == io::ErrorKind::BrokenPipe {
            CliError::ClosedPipe
        } else {
            CliError::Failed(format!("standard output cannot be written: {error}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_the_documented_ones_in_their_precedence() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4, 5, 130]);
        for pair in Exit::ALL.windows(2) {
            assert_eq!(pair[0].or(pair[1]), pair[1]);
            assert_eq!(pair[1].or(pair[0]), pair[1]);
        }
    }

    #[test]
    fn a_closed_pipe_is_no_error() {
        let closed = io::Error::from(io::ErrorKind::BrokenPipe);
        assert_eq!(CliError::from_stdout(&closed).exit(), Exit::Done);
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert_eq!(CliError::from_stdout(&full).exit(), Exit::Failed);
    }
}
