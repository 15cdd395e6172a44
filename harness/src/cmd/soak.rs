//! `lab soak`: random small scenarios with random faults, in virtual time; and peers
//! that break the rules of real sockets.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use broker_contract::units::parse_duration;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::run::specs;
use crate::exit::{CliError, Exit};
use crate::soak::search::{Account, Wanted, search};
use crate::soak::{report, sockets};
use crate::{session, term};

const EXAMPLES: &str = "\
Examples:
  lab soak --seeds 2000
      two thousand seeds over all contenders
  lab soak --seed 417 --contenders nats
      one seed again, as a failure's report names it
  lab soak --seeds 500 --out found
      writes the scenario of each failure to a folder; `lab run` plays it
  lab soak --sockets --duration 10m
      peers that break the rules at the servers of `lab serve`, over TCP

Exit codes: 0 no promise was seen broken, and every rare event was reached;
4 no promise was seen broken, but the search was weak: a rare event that it
should reach never came (more seeds help); 5 a promise was broken.";

/// Arguments of `lab soak`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct SoakCli {
    /// Seeds to search
    #[arg(long, value_name = "N", default_value_t = 200, conflicts_with = "seed",
          value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    seeds: u64,
    /// The first seed
    #[arg(long, value_name = "S", default_value_t = 0, conflicts_with = "seed",
          value_parser = clap::value_parser!(u64).range(0..=1 << 52))]
    from: u64,
    /// Play this seed alone, twice
    #[arg(long, value_name = "S", value_parser = clap::value_parser!(u64).range(0..=1 << 52))]
    seed: Option<u64>,
    /// Contenders, each with presets and settings after a colon if you like
    #[arg(long, value_name = "NAME[:SETTING=VALUE],..")]
    contenders: Vec<String>,
    /// Threads; all cores by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Every so many-th seed is run twice and its traces compared; 0: none
    #[arg(long, value_name = "K", default_value_t = 10)]
    twice_every: u64,
    /// Pieces of damage done to the store of each run, each booted from
    #[arg(long, value_name = "N", default_value_t = 2,
          value_parser = clap::value_parser!(u32).range(0..=10_000))]
    damages: u32,
    /// Scenarios tried to make a failing one smaller; 0: it stays as it is
    #[arg(long, value_name = "N", default_value_t = 300)]
    shrink: u32,
    /// Write the scenario of each failure to this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Search the servers of `lab serve` instead: malformed, half-sent, slow and
    /// vanishing peers over TCP, beside clients that must be served and lose nothing
    #[arg(long, conflicts_with_all = ["seeds", "from", "contenders", "jobs", "twice_every",
          "damages", "shrink", "out"])]
    sockets: bool,
    /// With --sockets: when to end; 60s unless there are --rounds
    #[arg(long, value_name = "TIME", requires = "sockets", value_parser = parse_duration)]
    duration: Option<Duration>,
    /// With --sockets: rounds to play
    #[arg(long, value_name = "N", requires = "sockets",
          value_parser = clap::value_parser!(u64).range(1..))]
    rounds: Option<u64>,
    /// Print the account as JSON on standard output, and nothing else
    #[arg(long)]
    json: bool,
}

/// Searches.
///
/// # Errors
/// [`CliError`] when the arguments are wrong or a result cannot be written.
pub fn run(args: &SoakCli) -> Result<Exit, CliError> {
    if args.sockets {
        return run_sockets(args);
    }
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let wanted = Wanted {
        from: args.seed.unwrap_or(args.from),
        seeds: if args.seed.is_some() { 1 } else { args.seeds },
        contenders: specs(&args.contenders)?,
        jobs: args.jobs.map_or(cores, usize::from),
        twice_every: if args.seed.is_some() { 1 } else { args.twice_every },
        damages: args.damages,
        budget: args.shrink,
    };
    if let Some(folder) = &args.out {
        std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
    }
    let interrupt = Arc::new(AtomicBool::new(false));
    session::on_interrupt(&interrupt);
    let bar = bar(wanted.seeds);
    let mut account = search(&wanted, &interrupt, &|done, failed| {
        if let Some(bar) = &bar {
            bar.set_position(done);
            bar.set_message(format!("{failed} failed"));
        }
    });
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    if args.seed.is_some() {
        // One seed reaches what it reaches.
        account.tallies.values_mut().for_each(|tally| tally.unreached.clear());
    }
    if let Some(folder) = &args.out {
        write(folder, &account)?;
    }
    if args.json {
        print_json(&report::value(&wanted, &account))?;
    } else {
        term::print(&report::page(&wanted, &account, term::style().width))?;
    }
    Ok(exit_of(&account))
}

fn run_sockets(args: &SoakCli) -> Result<Exit, CliError> {
    let wanted = sockets::Wanted {
        seed: args.seed.unwrap_or(0),
        duration: args.duration.or((args.rounds.is_none()).then_some(Duration::from_secs(60))),
        rounds: args.rounds,
    };
    let interrupt = Arc::new(AtomicBool::new(false));
    session::on_interrupt(&interrupt);
    let bar = std::io::stderr().is_terminal().then(ProgressBar::new_spinner);
    let account = sockets::soak(&wanted, &interrupt, &|rounds, took| {
        if let Some(bar) = &bar {
            bar.set_message(format!("soak of the sockets: {rounds} rounds, {} s", took.as_secs()));
            bar.tick();
        }
    })
    .map_err(CliError::Failed)?;
    if let Some(bar) = &bar {
        bar.finish_and_clear();
    }
    if args.json {
        print_json(&sockets::report::value(&wanted, &account))?;
    } else {
        term::print(&sockets::report::page(&wanted, &account, term::style().width))?;
    }
    let is_weak = sockets::report::weak(&account) > 0;
    let mut exit = if is_weak { Exit::Undecided } else { Exit::Done };
    if !account.breaches.is_empty() {
        exit = exit.or(Exit::Broken);
    }
    Ok(if account.interrupted { exit.or(Exit::Interrupted) } else { exit })
}

fn print_json(value: &serde_json::Value) -> Result<(), CliError> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| CliError::Failed(error.to_string()))?;
    term::print(&format!("{text}\n"))
}

fn exit_of(account: &Account) -> Exit {
    let weak = account.tallies.values().any(|tally| !tally.unreached.is_empty());
    let mut exit = if weak { Exit::Undecided } else { Exit::Done };
    if !account.failures.is_empty() {
        exit = exit.or(Exit::Broken);
    }
    if account.interrupted { exit.or(Exit::Interrupted) } else { exit }
}

fn bar(seeds: u64) -> Option<ProgressBar> {
    std::io::stderr().is_terminal().then(|| {
        let style =
            ProgressStyle::with_template("soak {bar:24} {pos}/{len} seeds, {eta} left  {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> ");
        ProgressBar::new(seeds).with_style(style)
    })
}

fn write(folder: &std::path::Path, account: &Account) -> Result<(), CliError> {
    for failure in &account.failures {
        let contender: String = failure
            .contender
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        let path = folder.join(format!("soak-{}-{contender}.toml", failure.seed));
        std::fs::write(&path, report::scenario_of(failure))
            .map_err(|error| unwritable(&path, &error))?;
    }
    Ok(())
}

fn unwritable(path: &std::path::Path, error: &std::io::Error) -> CliError {
    let shown = lab_reports::clean::line(&path.display().to_string(), 200);
    CliError::Failed(format!("`{shown}` cannot be written: {error}"))
}
