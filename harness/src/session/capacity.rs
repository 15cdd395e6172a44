//! Searching for capacity: which searches, in which order, and how far they are.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hdrhistogram::Histogram;
use lab_reports::record::{Capacity, Mode, Record, ScenarioInfo, Verdict};
use lab_reports::render::{Format, render};
use lab_workloads::scenario::model::Scenario;

use super::progress::{Bar, Progress};
use super::trials::{self, Prepared, RunOne};
use super::{host, on_interrupt, output};
use crate::capacity::search::{Attempt, Rules, search};
use crate::capacity::step::{Shape, Step, judge, own_rate, scaled};
use crate::capacity::{BRACKET, curve};
use crate::cmd::capacity::CapacityArgs;
use crate::exit::{CliError, Exit};
use crate::trial::Watch;
use crate::{scenario_file, term};

/// Messages and deliveries that one step handles at most: some seconds of a core.
const STEP_WORK: f64 = 6e6;
/// The same of a whole search.
const SEARCH_WORK: u64 = 80_000_000;
/// Runs of steps that a search takes at most; most take half of it.
const MOST_RUNS: u32 = 32;
/// The lowest factor that is tried.
const FLOOR: f64 = 1.0 / 256.0;

/// Searches, writes the record and shows the rates.
///
/// # Errors
/// [`CliError`] when the scenario or an argument is wrong, and when the result
/// cannot be written; it is still printed then.
pub fn capacity(args: &CapacityArgs) -> Result<Exit, CliError> {
    let scenario = Arc::new(scenario_file::load(&scenario_file::Wanted {
        scenario: &args.scenario,
        sets: &args.sets,
        seed: args.seed,
        duration: None,
        quick: false,
    })?);
    let prepared = trials::prepare(&scenario, &args.contenders)?;
    let out = output::Folder::prepare(args.out.as_deref(), args.force, &scenario.name)?;
    let started_at = host::now();
    let interrupt = Arc::new(AtomicBool::new(false));
    on_interrupt(&interrupt);
    let rates = search_all(&scenario, &prepared, &args.modes, args.quick, &interrupt);
    let partial = interrupt.load(Ordering::Relaxed);
    let record = Record {
        lab: host::lab(),
        host: host::host(),
        command: args.command.clone(),
        started_at,
        partial,
        seed: scenario.seed,
        scenario: ScenarioInfo {
            name: scenario.name.clone(),
            title: scenario.title.clone(),
            question: scenario.question.clone(),
            hash: scenario.hash.clone(),
            non_defaults: scenario.non_defaults.clone(),
        },
        verdict: verdict(&rates, partial),
        capacity: rates,
        ..Record::default()
    };
    let written = out.write(&record, &[], &scenario.to_toml());
    if args.json {
        let text = record.write().map_err(|error| CliError::Failed(error.to_string()))?;
        term::print(&text)?;
    } else {
        let text = render(&record, Format::Text, term::style())
            .map_err(|error| CliError::Failed(error.to_string()))?;
        term::print(&text)?;
    }
    written.map_err(CliError::Failed)?;
    if let Some(folder) = out.shown() {
        term::note(&format!("The record is in {folder}"));
    }
    Ok(super::exit_of(record.verdict.exit_code))
}

/// The rates in a sentence for each mode. A capacity chooses no winner: the
/// scenario's own load does that.
fn verdict(rates: &[Capacity], partial: bool) -> Verdict {
    let mut text = String::new();
    for mode in [Mode::Sim, Mode::Embedded, Mode::Wire, Mode::Real] {
        let mut mine: Vec<&Capacity> = rates.iter().filter(|rate| rate.mode == mode).collect();
        mine.sort_by(|a, b| b.rate_per_s.total_cmp(&a.rate_per_s));
        let parts: Vec<String> = mine
            .iter()
            .map(|of| {
                if of.rate_per_s <= 0.0 {
                    return format!("{} no rate", of.contender);
                }
                let least = if of.at_least { "at least " } else { "" };
                let rate = lab_reports::text::rate(of.rate_per_s);
                format!("{} {least}{rate} messages/s ({})", of.contender, of.limited_by)
            })
            .collect();
        if !parts.is_empty() {
            let how = if mode.is_simulated() { "in virtual time" } else { mode.name() };
            let gap = if text.is_empty() { "" } else { " " };
            text.push_str(&format!("{gap}Sustained {how}: {}.", parts.join(", ")));
        }
    }
    let exit = if partial {
        Exit::Interrupted
    } else if rates.iter().all(|rate| rate.rate_per_s <= 0.0) {
        Exit::NoneFits
    } else {
        Exit::Done
    };
    Verdict { text, exit_code: exit.code(), ..Verdict::default() }
}

/// Searches for every contender in every mode. Says beforehand how long it takes
/// at most.
pub(super) fn search_all(
    scenario: &Arc<Scenario>,
    prepared: &[Prepared],
    modes: &[Mode],
    quick: bool,
    interrupt: &Arc<AtomicBool>,
) -> Vec<Capacity> {
    let own = own_rate(scenario);
    let progress = Progress::new();
    let mut all = Vec::new();
    for mode in modes {
        term::note(&announcement(*mode, prepared.len(), Shape::of(*mode, quick, own, 1.0)));
        let hunt = Hunt { scenario, own, mode: *mode, quick, interrupt, progress: &progress };
        if mode.is_simulated() {
            all.extend(hunt.side_by_side(prepared));
        } else {
            let canary = trials::canary(scenario, 0, interrupt);
            for contender in prepared.iter().filter(|it| it.plays(*mode)) {
                if !interrupt.load(Ordering::Relaxed) {
                    all.push(hunt.one(contender, Some(&canary)));
                }
            }
        }
    }
    all
}

fn announcement(mode: Mode, contenders: usize, shape: Shape) -> String {
    let most = u64::from(MOST_RUNS) + curve::SHARES.len() as u64;
    if mode.is_simulated() {
        return format!(
            "Capacity in virtual time: {contenders} searches of at most {most} steps and {} million \
             messages and deliveries each",
            SEARCH_WORK / 1_000_000
        );
    }
    // Set-up takes about a second, and a drain ends early.
    let seconds = (shape.total_s() + 1) * contenders as u64;
    format!(
        "Capacity {mode}: {contenders} searches of 15 to {most} steps of {} s each, {} to {} minutes",
        shape.total_s() + 1,
        (seconds * 15).div_ceil(60),
        (seconds * most).div_ceil(60),
    )
}

/// What every search of one mode shares.
struct Hunt<'a> {
    scenario: &'a Arc<Scenario>,
    own: f64,
    mode: Mode,
    quick: bool,
    interrupt: &'a Arc<AtomicBool>,
    progress: &'a Progress,
}

impl Hunt<'_> {
    /// Simulated searches share no state, so each takes a core.
    fn side_by_side(&self, prepared: &[Prepared]) -> Vec<Capacity> {
        let rows =
            trials::on_all_cores(prepared, self.interrupt, |contender| self.one(contender, None));
        rows.into_iter().flatten().collect()
    }

    fn one(&self, contender: &Prepared, canary: Option<&Histogram<u64>>) -> Capacity {
        let label = contender.label().to_owned();
        let bar = self.progress.begin(format!("{} {label}", self.mode));
        let mut steps: Vec<Step> = Vec::new();
        let rules = Rules {
            floor: FLOOR.max(1.0 / self.own.max(1.0)),
            bracket: BRACKET,
            runs: 3,
            confirm: !self.mode.is_simulated(),
            most_runs: MOST_RUNS,
        };
        let found = search(rules, &mut |factor, before| match self
            .step(contender, factor, before, canary, &bar, &mut steps)
        {
            None => Attempt::OutOfBounds,
            Some(true) => Attempt::Met,
            Some(false) => Attempt::Missed,
        });
        for factor in curve::missing(&found, &steps) {
            self.step(contender, factor, 0, canary, &bar, &mut steps);
        }
        let row = curve::row(&label, self.mode, self.own, &found, &steps);
        let least = if row.at_least { "at least " } else { "" };
        bar.end(&format!(
            "{least}{}/s, {}, {} steps",
            lab_reports::text::rate(row.rate_per_s),
            row.limited_by,
            steps.len()
        ));
        row
    }

    /// Runs one step; `None` where the search may not go.
    fn step(
        &self,
        contender: &Prepared,
        factor: f64,
        before: u32,
        canary: Option<&Histogram<u64>>,
        bar: &Bar,
        steps: &mut Vec<Step>,
    ) -> Option<bool> {
        let rate = self.own * factor;
        let copies = steps.last().map_or(1.0, |step| step.copies);
        let shape = Shape::of(self.mode, self.quick, rate, copies);
        let spent: u64 = steps.iter().map(|step| step.work).sum();
        let needed = rate * (1.0 + copies) * (shape.settle_s + shape.hold_s) as f64;
        let impossible =
            |step: &Step| matches!(step.miss, Some(crate::capacity::step::Miss::Impossible(_)));
        if needed > STEP_WORK
            || spent > SEARCH_WORK
            || self.interrupt.load(Ordering::Relaxed)
            || steps.iter().any(impossible)
        {
            return None;
        }
        bar.name_step(format!("{}/s", lab_reports::text::rate(rate)));
        let scenario = Arc::new(scaled(self.scenario, factor, shape));
        let watch = Watch::new(self.interrupt.clone());
        let run = bar.beside(&watch, &scenario, || {
            contender.run(RunOne {
                scenario: &scenario,
                prepared: contender,
                mode: self.mode,
                repeat: before,
                canary,
                costs: None,
                watch: &watch,
            })
        });
        if run.interrupted {
            return None;
        }
        let step = judge(&scenario, factor, rate, shape, &run);
        let met = step.miss.is_none();
        steps.push(step);
        Some(met)
    }
}
