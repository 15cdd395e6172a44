//! Carries out a run: from arguments to a record on disk and a page on screen.
//!
//! **What it is for.** Ordering the trials ([`trials`]), telling people how far
//! they are ([`progress`]), asking whether the simulated costs decide
//! ([`sensitivity`]), searching for capacity ([`capacity()`]), assembling the
//! record ([`host`] for the machine), writing the files ([`output`]) and following
//! one message ([`follow`]).
//!
//! **What it never does.** It measures and judges nothing by itself.
//!
//! **Where to start reading.** [`run`].

mod capacity;
mod follow;
mod host;
mod output;
mod progress;
mod sensitivity;
mod trials;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lab_reports::record::{Mode, Profile, Record, ScenarioInfo, Verdict};
use lab_reports::render::{Format, render};
use lab_workloads::scenario::model::Scenario;

use crate::cmd::run::RunArgs;
use crate::exit::{CliError, Exit};
use crate::measure::verdict;
use crate::{contenders, scenario_file, term};

pub use capacity::capacity;
pub use follow::trace;
pub use host::{machine, today};
pub use output::write_file;

/// Runs the scenario, writes the record and shows the comparison.
///
/// # Errors
/// [`CliError`] when the scenario or an argument is wrong, and when the result
/// cannot be written; it is still printed then.
pub fn run(args: &RunArgs) -> Result<Exit, CliError> {
    let scenario = Arc::new(scenario_file::load(&scenario_file::Wanted {
        scenario: &args.scenario,
        sets: &args.sets,
        seed: args.seed,
        duration: args.duration,
        quick: args.quick,
    })?);
    let prepared = trials::prepare(&scenario, &args.contenders)?;
    let not_played = trials::who_cannot_play(&prepared, &args.modes)?;
    let out = output::Folder::prepare(args.out.as_deref(), args.force, &scenario.name)?;
    let started_at = host::now();
    let interrupt = Arc::new(AtomicBool::new(false));
    on_interrupt(&interrupt);

    let accounted = trials::run_all(&scenario, &prepared, &args.modes, args.repeats, &interrupt);
    let mut verdict = verdict::judge(&scenario, &accounted, &args.require);
    let winner = verdict.winner.clone();
    verdict.would_change.extend(sensitivity::sentences(
        &scenario,
        &prepared,
        &accounted,
        winner.as_deref(),
        &interrupt,
    ));
    let rates = if !args.capacity.is_empty() && !interrupt.load(Ordering::Relaxed) {
        capacity::search_all(&scenario, &prepared, &args.capacity, args.quick, &interrupt)
    } else {
        Vec::new()
    };
    let interrupted = interrupt.load(Ordering::Relaxed);
    let (mut record, histograms) =
        assemble(args, &scenario, accounted, verdict, started_at, interrupted, &out);
    record.capacity = rates;
    record.not_played = not_played;
    let written = out.write(&record, &histograms, &scenario.to_toml());
    show(args, &record)?;
    match written {
        Ok(()) => {
            if let Some(folder) = out.shown() {
                term::note(&format!("The record is in {folder}"));
            }
        }
        Err(reason) => return Err(CliError::Failed(reason)),
    }
    Ok(exit_of(record.verdict.exit_code))
}

fn exit_of(code: u8) -> Exit {
    Exit::ALL.into_iter().find(|exit| exit.code() == code).unwrap_or_default()
}

/// The first Ctrl-C ends the run early and keeps what there is; the second ends
/// the program.
pub fn on_interrupt(interrupt: &Arc<AtomicBool>) {
    let flag = interrupt.clone();
    // A handler that cannot be set leaves the system's own: the run just ends.
    let _ = ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(i32::from(Exit::Interrupted.code()));
        }
        term::note("Interrupted: what there is so far is kept. Again to leave at once.");
    });
}

fn assemble(
    args: &RunArgs,
    scenario: &Scenario,
    accounted: Vec<crate::trial::account::Accounted>,
    mut verdict: Verdict,
    started_at: String,
    interrupted: bool,
    out: &output::Folder,
) -> (Record, Vec<output::NamedHistogram>) {
    if interrupted {
        verdict.exit_code = Exit::Interrupted.code();
    }
    let mut accounted = accounted;
    let histograms = out.name_histograms(&mut accounted);
    let trials = verdict::trials(accounted);
    let hashes: Vec<&str> = trials.iter().filter_map(|t| t.trace_hash.as_deref()).collect();
    let trace_hash = (!hashes.is_empty()).then(|| {
        let all = hashes.concat();
        format!(
            "{:08x}{:08x}",
            crc32c::crc32c(all.as_bytes()),
            crc32c::crc32c(all.bytes().rev().collect::<Vec<u8>>().as_slice(),)
        )
    });
    let costs =
        if args.modes.contains(&Mode::Sim) { trials::costs(&trials) } else { Default::default() };
    let record = Record {
        lab: host::lab(),
        host: host::host(),
        command: args.command.clone(),
        started_at,
        partial: interrupted,
        seed: scenario.seed,
        scenario: ScenarioInfo {
            name: scenario.name.clone(),
            title: scenario.title.clone(),
            question: scenario.question.clone(),
            hash: scenario.hash.clone(),
            non_defaults: scenario.non_defaults.clone(),
        },
        trace_hash,
        verdict,
        trials,
        costs,
        profiles: profiles(),
        ..Record::default()
    };
    (record, histograms)
}

/// What each contender is and promises, by its name in the table.
fn profiles() -> BTreeMap<String, Profile> {
    contenders::profiles()
        .into_iter()
        .map(|profile| {
            let promises = &profile.promises;
            let words = Profile {
                title: profile.title.to_owned(),
                summary: profile.summary.to_owned(),
                delivery: promises.delivery.to_owned(),
                order: promises.order.to_owned(),
                subscriber_away: promises.subscriber_away.to_owned(),
                slow_subscriber: promises.slow_subscriber.to_owned(),
                crash: promises.crash.to_owned(),
            };
            (profile.name.to_owned(), words)
        })
        .collect()
}

fn show(args: &RunArgs, record: &Record) -> Result<(), CliError> {
    if args.json {
        let text = record.write().map_err(|error| CliError::Failed(error.to_string()))?;
        return term::print(&text);
    }
    let text = render(record, Format::Text, term::style())
        .map_err(|error| CliError::Failed(error.to_string()))?;
    term::print(&text)
}
