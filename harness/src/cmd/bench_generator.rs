//! `lab bench generator`: where the generator of wire mode stops being the instrument.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Args;
use lab_reports::text::rate;
use lab_workloads::scenario::{Options, parse};

use broker_contract::SeedStream;
use broker_contract::units::parse_duration;

use crate::exit::{CliError, Exit};
use crate::modes::wire::{Unlimited, generator_limit};
use crate::{session, term};

const EXAMPLES: &str = "\
A plan that no core can send is played over TCP as fast as it goes: plan, payload,
books, client and socket on one core, and on another a sink that reads, decodes and
drops. A trial that asks for more than four fifths of such a figure says so.

Examples:
  lab bench generator
  lab bench generator --connections 8000 --size 1024";

/// Arguments of `lab bench generator`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct GeneratorCli {
    /// Connections, each a publisher of its own
    #[arg(long, value_name = "N,..", value_delimiter = ',', default_value = "1,16,50,1000",
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    connections: Vec<u32>,
    /// Bytes of a payload
    #[arg(long, value_name = "BYTES", default_value_t = 128,
          value_parser = clap::value_parser!(u32).range(32..=1_048_576))]
    size: u32,
    /// How long each takes
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    time: Duration,
    /// Rounds of each
    #[arg(long, value_name = "N", default_value_t = 3,
          value_parser = clap::value_parser!(u16).range(1..=100))]
    rounds: u16,
}

/// Measures and prints a table.
///
/// # Errors
/// [`CliError`] where sockets cannot be had.
pub fn run(args: &GeneratorCli) -> Result<Exit, CliError> {
    if args.time < Duration::from_millis(100) || args.time > Duration::from_secs(60) {
        return Err(CliError::Usage("`--time` is from 100ms to 60s".to_owned()));
    }
    let interrupt = Arc::new(AtomicBool::new(false));
    session::on_interrupt(&interrupt);
    term::print(&format!(
        "{}; {}; payloads of {} bytes; best and worst of {} rounds\n\n\
         | connections | messages/s | writes a message | generator's core | sink's core |\n\
         |---|---|---|---|---|\n",
        session::machine(),
        session::today(),
        args.size,
        args.rounds
    ))?;
    for connections in &args.connections {
        let text = plan(*connections, args.size);
        let scenario = parse("generator", &text, &[], &Options::default())
            .map_err(|error| CliError::Failed(error.to_string()))?;
        let mut rounds: Vec<Unlimited> = Vec::new();
        for round in 0..args.rounds {
            let seed = SeedStream::new(7).nth(u64::from(round));
            let limit = generator_limit(&scenario, seed, args.time, &interrupt);
            rounds.push(limit.ok_or_else(|| {
                CliError::Failed(format!(
                    "{connections} connections: nothing was measured; were there descriptors for \
                     both ends (`ulimit -Hn`)?"
                ))
            })?);
        }
        rounds.sort_by(|a, b| b.messages_per_s.total_cmp(&a.messages_per_s));
        let (best, worst) = (rounds[0], rounds[rounds.len() - 1]);
        term::print(&format!(
            "| {connections} | {} (worst {}) | {:.3} | {:.0} % | {:.0} % |\n",
            rate(best.messages_per_s),
            rate(worst.messages_per_s),
            best.writes_a_message,
            best.busy[0] * 100.0,
            best.busy[1] * 100.0
        ))?;
    }
    Ok(Exit::Done)
}

fn plan(connections: u32, size: u32) -> String {
    format!(
        r#"
title = "As much as one core sends"
[[phases]]
kind = "steady"
duration = "10s"
[populations.devices]
role = "publisher"
count = {connections}
[populations.devices.fields.device]
source = "member"
[populations.devices.streams.readings]
channel = "bench.{{device}}"
arrival = {{ kind = "poisson", rate_per_s = 1.0 }}
size = "{size}B"
[populations.reader]
role = "subscriber"
filter = "bench.*"
"#
    )
}
