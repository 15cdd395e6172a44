//! `lab capacity`: the highest rate that each contender sustains.

use std::path::PathBuf;

use clap::Args;
use lab_reports::record::Mode;

use super::run::{WhatCli, modes, specs, typed};
use crate::contenders::ContenderSpec;
use crate::exit::{CliError, Exit};
use crate::session;

const EXAMPLES: &str = "\
Examples:
  lab capacity iot-50k --mode sim
      the same seed gives the same rates everywhere
  lab capacity iot-50k --quick --contenders nats,redis
      shorter steps, for a first look
  lab capacity mine.toml --mode embedded --out results/capacity

A step plays the scenario without its faults at a multiple of its own rates: 1 s
to settle, 2 s and more to hold. The rate doubles until a step fails, and is
then closed in to 5 %; the edge is repeated with other seeds. Sustained means:
every objective but throughput holds, nothing is lost beyond what an objective
tolerates, and the backlog does not grow. Where the generator was the limit and
not the broker, the rate is marked `at least`.";

/// Arguments of `lab capacity`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CapacityCli {
    #[command(flatten)]
    what: WhatCli,
    /// Modes: sim (virtual time), embedded (this process, wall clock)
    #[arg(long, value_name = "MODE,..", default_value = "sim,embedded")]
    mode: String,
    /// Shorter steps, for a first look; their tail quantiles rest on few samples
    #[arg(long)]
    quick: bool,
    /// Write the record to this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write to --out even if it is not empty
    #[arg(long, requires = "out")]
    force: bool,
    /// Print the record on standard output, and nothing else
    #[arg(long)]
    json: bool,
}

/// A search for capacity, as the command line asks for it.
#[derive(Clone, Debug, PartialEq)]
pub struct CapacityArgs {
    /// A path, or the name of a built-in scenario.
    pub scenario: String,
    /// At least one, in the order given, none twice.
    pub modes: Vec<Mode>,
    /// At least one, none twice.
    pub contenders: Vec<ContenderSpec>,
    /// Instead of the scenario's; at most 2^53.
    pub seed: Option<u64>,
    /// Dotted paths and TOML values, in order; a later one wins.
    pub sets: Vec<(String, String)>,
    /// Whether steps are shorter.
    pub quick: bool,
    /// The folder to write to.
    pub out: Option<PathBuf>,
    /// Whether `out` may hold something already.
    pub force: bool,
    /// Whether standard output gets the record and nothing else.
    pub json: bool,
    /// The command line, as it would be typed again.
    pub command: String,
}

/// Searches.
///
/// # Errors
/// [`CliError`] when the arguments are wrong or the search could not be made.
pub fn run(args: CapacityCli) -> Result<Exit, CliError> {
    session::capacity(&CapacityArgs {
        contenders: specs(&args.what.contenders)?,
        modes: modes(&args.mode)?,
        scenario: args.what.scenario,
        seed: args.what.seed,
        sets: args.what.sets,
        quick: args.quick,
        out: args.out,
        force: args.force,
        json: args.json,
        command: typed(std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned())),
    })
}
