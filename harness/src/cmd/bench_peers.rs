//! `lab bench peers`: the bus beside the original.

use std::path::PathBuf;

use clap::Args;
use lab_reports::text::rate;
use serde::Serialize;

use crate::benching::peers::{Effort, Original, Row, compare};
use crate::exit::{CliError, Exit};
use crate::wire::descriptors;
use crate::{session, term};

/// Descriptors beside those of connections.
const DESCRIPTORS: u64 = 2_100;

const EXAMPLES: &str = "\
Examples:
  lab bench peers
      every case, three rounds each
  lab bench peers --only PUBLISH --rounds 7
      some of them, more often
  lab bench peers --quick --json
      a tenth of the load, one round, for programs

Both servers and the clients share this machine, so compare columns and nothing else.
A ratio above 1 favours the lab, whichever way the unit points.";

/// Arguments of `lab bench peers`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct PeersCli {
    /// Rounds of each case
    #[arg(long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
    /// Connections that are held idle
    #[arg(long, value_name = "N", default_value_t = 5_000,
          value_parser = clap::value_parser!(u32).range(100..=1_000_000))]
    connections: u32,
    /// Only cases whose name contains this
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    only: String,
    /// A tenth of the load, and one round
    #[arg(long, conflicts_with = "rounds")]
    quick: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The original
    #[arg(long, value_name = "PATH", default_value = "redis-server")]
    redis_server: PathBuf,
    /// Its own benchmark
    #[arg(long, value_name = "PATH", default_value = "redis-benchmark")]
    redis_benchmark: PathBuf,
}

#[derive(Serialize)]
struct Printed<'a> {
    machine: String,
    date: String,
    redis_server: &'a str,
    rounds: usize,
    rows: &'a [Row],
}

/// Measures and prints a table.
///
/// # Errors
/// [`CliError`] where the original is missing, or a server does not do its part.
pub fn run(args: &PeersCli) -> Result<Exit, CliError> {
    let original =
        Original::find(&args.redis_server, &args.redis_benchmark).map_err(CliError::Usage)?;
    let needed = u64::from(args.connections) + DESCRIPTORS;
    let got = descriptors::raise(needed);
    if got < needed {
        return Err(CliError::Usage(format!(
            "{} idle connections need {needed} descriptors at each end and this process may have \
             {got}; raise the limit (`ulimit -Hn`) or lower `--connections`",
            args.connections
        )));
    }
    let effort = Effort {
        rounds: if args.quick { 1 } else { usize::from(args.rounds) },
        connections: args.connections,
        shorter: if args.quick { 10 } else { 1 },
    };
    if cfg!(debug_assertions) {
        term::note("lab: this is a debug build, which measures a debug build");
    }
    let (machine, date) = (session::machine(), session::today());
    if !args.json {
        term::print(&format!(
            "redis-server {}; {machine}; {date}; medians of {} rounds, and the range of ratios\n\n\
             | | lab | redis-server | ratio | goal |\n|---|---|---|---|---|\n",
            original.version, effort.rounds
        ))?;
    }
    let mut printed = Ok(());
    let rows = compare(&original, effort, &args.only, |row| {
        if !args.json && printed.is_ok() {
            printed = term::print(&line(row));
        }
    })
    .map_err(CliError::Failed)?;
    printed?;
    if args.json {
        let (redis_server, rounds) = (&original.version[..], effort.rounds);
        let all = Printed { machine, date, redis_server, rounds, rows: &rows };
        let text = serde_json::to_string_pretty(&all)
            .map_err(|error| CliError::Failed(error.to_string()))?;
        term::print(&format!("{text}\n"))?;
    }
    Ok(Exit::Done)
}

fn line(row: &Row) -> String {
    let [low, high] = row.ratio_range;
    format!(
        "| {}, {} | {} | {} | {:.2} ({low:.2} to {high:.2}) | {} |\n",
        row.name,
        row.unit,
        rate(row.lab.median),
        rate(row.redis_server.median),
        row.ratio,
        row.goal
    )
}
