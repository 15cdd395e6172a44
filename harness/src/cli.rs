//! The command line: verbs, help, and how errors are shown.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::cmd::{
    bench, capacity, check, compare, completions, list, matrix, new, report, run, serve, soak,
    trace,
};
use crate::exit::{CliError, Exit};
use crate::term;

const EXAMPLES: &str = "\
Examples:
  lab list                          scenarios, and what each teaches
  lab run iot-50k                   run one in virtual time and embedded
  lab run mine.toml --mode sim      run your own, in virtual time only
  lab check mine.toml               what a scenario means, in words
  lab compare before after          what became better or worse
  lab matrix                        what each contender has, and promises
  lab soak --seeds 200              random scenarios and faults, in search of
                                    broken promises
  lab serve redis                   a broker for anybody's clients

Exit codes: 0 done; 1 internal or output error; 2 usage or scenario error;
3 no contender meets all objectives; 4 a trial is invalid or an objective
undecided; 5 unexplained loss or corruption; 130 interrupted.";

/// Which broker fits this workload, and why? Runs one scenario against several
/// brokers under the same plan, the same clock and the same ledger.
#[derive(Debug, Parser)]
#[command(name = "lab", version, after_help = EXAMPLES, max_term_width = 80)]
#[command(disable_help_subcommand = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a scenario and compare the contenders
    Run(run::RunCli),
    /// Find the highest rate that each contender sustains
    Capacity(capacity::CapacityCli),
    /// Check a scenario and print what it means
    Check(check::CheckCli),
    /// List the built-in scenarios and what each teaches
    List(list::ListCli),
    /// Write a commented scenario to start from
    New(new::NewCli),
    /// Print what each contender has and promises
    Matrix(matrix::MatrixCli),
    /// Render the record of an earlier run again
    Report(report::ReportCli),
    /// Follow one message through the contenders in virtual time
    Trace(trace::TraceCli),
    /// Compare two records: better, worse, or no evidence
    Compare(compare::CompareCli),
    /// Measure what the cores cost on this machine
    Bench(bench::BenchCli),
    /// Search random scenarios with random faults for broken promises
    Soak(soak::SoakCli),
    /// Print completions for a shell
    Completions(completions::CompletionsCli),
    /// Serve a broker of the lab to anybody's clients
    Serve(serve::ServeCli),
}

/// Reads the command line, does what it says, and shows what went wrong.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help on a closed pipe is not an error either, so a failed print is let go.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    match dispatch(cli.verb) {
        Ok(exit) => exit.into(),
        Err(error) => {
            show(&error);
            error.exit().into()
        }
    }
}

fn dispatch(verb: Verb) -> Result<Exit, CliError> {
    match verb {
        Verb::Run(args) => run::run(args),
        Verb::Check(args) => check::run(&args),
        Verb::List(args) => list::run(&args),
        Verb::New(args) => new::run(&args),
        Verb::Matrix(args) => matrix::run(&args),
        Verb::Report(args) => report::run(&args),
        Verb::Trace(args) => trace::run(args),
        Verb::Completions(args) => completions::run(&args),
        Verb::Capacity(args) => capacity::run(args),
        Verb::Compare(args) => compare::run(&args),
        Verb::Bench(args) => bench::run(&args),
        Verb::Soak(args) => soak::run(&args),
        Verb::Serve(args) => serve::run(&args),
    }
}

/// Shows an error on standard error.
fn show(error: &CliError) {
    match error {
        CliError::ClosedPipe => {}
        CliError::Scenario(mistake) => {
            let (drawn, coloured) = term::fancy_errors();
            term::note(mistake.render(drawn, coloured).trim_end());
        }
        other => term::note(&format!("lab: {other}")),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
