//! `lab trace`: the life of one message.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::run::{WhatCli, specs};
use crate::contenders::ContenderSpec;
use crate::exit::{CliError, Exit};
use crate::session;

const EXAMPLES: &str = "\
Examples:
  lab trace iot-50k --message 1000
      the thousandth message of the plan, in every contender
  lab trace iot-50k --message 1000 --contenders nats --seed 7
  lab trace iot-50k --message 1000 --format svg --out message.svg
      the contenders side by side, for the board";

/// Arguments of `lab trace`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TraceCli {
    #[command(flatten)]
    what: WhatCli,
    /// Its place in the plan, from 0
    #[arg(long, value_name = "N")]
    message: u32,
    /// How to draw it
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: TraceForm,
    /// Write it to this file instead of standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// How a message's way is drawn.
#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
pub enum TraceForm {
    /// One contender after the other, in 80 columns
    Text,
    /// Side by side, as a vector picture
    Svg,
}

/// A trace, as the command line asks for it.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceArgs {
    /// A path, or the name of a built-in scenario.
    pub scenario: String,
    /// The message's place in the plan, from 0.
    pub message: u32,
    /// At least one, none twice.
    pub contenders: Vec<ContenderSpec>,
    /// Instead of the scenario's; at most 2^53.
    pub seed: Option<u64>,
    /// Dotted paths and TOML values, in order; a later one wins.
    pub sets: Vec<(String, String)>,
    /// How it is drawn.
    pub form: TraceForm,
    /// The file to write to, instead of standard output.
    pub out: Option<PathBuf>,
}

/// Follows the message.
///
/// # Errors
/// [`CliError`] when the arguments are wrong or there is no such message.
pub fn run(args: TraceCli) -> Result<Exit, CliError> {
    session::trace(&TraceArgs {
        contenders: specs(&args.what.contenders)?,
        scenario: args.what.scenario,
        message: args.message,
        seed: args.what.seed,
        sets: args.what.sets,
        form: args.format,
        out: args.out,
    })
}
