//! The `lab` binary; everything is in the library beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    lab::cli::main()
}
