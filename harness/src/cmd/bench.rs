//! `lab bench`: what the cores cost on this machine.

use std::path::PathBuf;

use broker_contract::Contender;
use clap::{Args, Subcommand};

use super::bench_generator::GeneratorCli;
use super::bench_peers::PeersCli;
use super::run::specs;
use crate::benching::costs::{Effort, measure, to_toml};
use crate::benching::disk::{self, DiskTimes};
use crate::contenders::{self, Visit};
use crate::exit::{CliError, Exit};
use crate::modes::sim::costs::Costs;
use crate::{session, term};

const EXAMPLES: &str = "\
Examples:
  lab bench --costs
      the cost table of virtual time, measured here; about half a minute
  lab bench --costs --write costs.toml --contenders nats
      one row of it, to a file
  lab bench peers
      the bus beside redis-server on this machine; some five minutes
  lab bench generator
      where the generator of wire mode stops being the instrument

A debug build measures a debug build. Other benchmarks are cargo's; `lab bench`
without a flag lists them.";

const LISTED: &str = "\
lab bench --costs                 the cost table of virtual time, measured here
lab bench peers                   the bus beside redis-server, with the same clients
lab bench generator               messages per second from one core over sockets
cargo bench -p broker-nats        a node through `handle`, and its subscription index
cargo bench -p broker-redis       a node through `handle`
cargo bench -p broker-testkit     what the contract itself costs
cargo bench -p lab-workloads      plan, event queue, ledger
cargo bench -p lab                the simulation, the closed loop, the generator

BENCHMARKS.md records figures with command, machine and date.
";

const HEADER: &str = "\
# What the simulated CPUs charge, in nanoseconds of one core.
#
# Each contender's own node and clients ran in memory on one thread, each side
# timed by itself: 1, 4 and 10 subscribers, payloads of 64 B, 1 KiB and 4 KiB, 64
# messages at once and one at a time. The node's four figures are those
# non-negative ones that come closest to the times of all workloads together, by
# frames and bytes in and out; a client's are by frames, messages and deliveries.
# A disk's are writes of 1 and 64 KiB to the page cache and an fdatasync here.
# `spread` is half of the range over the repeats, relative to the median.
";

/// Arguments of `lab bench`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct BenchCli {
    #[command(subcommand)]
    what: Option<What>,
    /// Measure what virtual time charges, and print it as TOML
    #[arg(long)]
    costs: bool,
    /// Write the table to this file instead
    #[arg(long, value_name = "FILE", requires = "costs")]
    write: Option<PathBuf>,
    /// Contenders to measure; all of them by default
    #[arg(long, value_name = "NAME,..", requires = "costs")]
    contenders: Vec<String>,
    /// Repeats of each workload
    #[arg(long, value_name = "N", default_value_t = 7, requires = "costs",
          value_parser = clap::value_parser!(u16).range(2..=1000))]
    repeats: u16,
    /// Deliveries of each workload and repeat
    #[arg(long, value_name = "N", default_value_t = 40_000, requires = "costs",
          value_parser = clap::value_parser!(u64).range(100..=100_000_000))]
    deliveries: u64,
}

/// What has a verb of its own.
#[derive(Debug, Subcommand)]
enum What {
    /// The bus beside redis-server: the same clients, in turns
    Peers(PeersCli),
    /// How many messages per second the generator of wire mode can send
    Generator(GeneratorCli),
}

struct Measure<'a> {
    effort: Effort,
    disk: DiskTimes,
    date: &'a str,
    machine: &'a str,
}

impl Visit for Measure<'_> {
    type Out = Result<Costs, String>;
    fn visit<C: Contender>(self) -> Self::Out {
        measure::<C>(self.effort, self.disk, self.date, self.machine)
    }
}

/// Measures, or lists what can be measured.
///
/// # Errors
/// [`CliError`] when a contender cannot be measured or the table cannot be written.
pub fn run(args: &BenchCli) -> Result<Exit, CliError> {
    match &args.what {
        Some(What::Peers(args)) => return super::bench_peers::run(args),
        Some(What::Generator(args)) => return super::bench_generator::run(args),
        None => {}
    }
    if !args.costs {
        term::print(LISTED)?;
        return Ok(Exit::Done);
    }
    let specs = specs(&args.contenders)?;
    if let Some(spec) = specs.iter().find(|spec| spec.label != spec.name) {
        let text = format!("`{}`: costs are measured with default settings", spec.label);
        return Err(CliError::Usage(text));
    }
    let disk = disk::measure()
        .map_err(|error| CliError::Failed(format!("a temporary file cannot be timed: {error}")))?;
    let (date, machine) = (session::today(), session::machine());
    let machine = if cfg!(debug_assertions) { format!("{machine}, debug build") } else { machine };
    let effort = Effort { deliveries: args.deliveries, repeats: usize::from(args.repeats) };
    let mut table = HEADER.to_owned();
    for spec in &specs {
        term::note(&format!("measuring {}", spec.name));
        let measure = Measure { effort, disk, date: &date, machine: &machine };
        let costs = contenders::with(&spec.name, measure)
            .ok_or_else(|| CliError::Usage(format!("there is no contender `{}`", spec.name)))?
            .map_err(|reason| CliError::Failed(format!("`{}`: {reason}", spec.name)))?;
        table.push('\n');
        table.push_str(&to_toml(&spec.name, &costs));
    }
    match &args.write {
        None => term::print(&table)?,
        Some(path) => std::fs::write(path, &table).map_err(|error| {
            let shown = lab_reports::clean::line(&path.display().to_string(), 200);
            CliError::Failed(format!("`{shown}` cannot be written: {error}"))
        })?,
    }
    Ok(Exit::Done)
}
