//! One draft against one contender.

use std::collections::BTreeMap;
use std::sync::Arc;

use broker_contract::{Configured, Contender, SeedStream};
use lab_reports::record::{Mode, Trial};
use lab_workloads::scenario::Scenario;

use super::draft::Draft;
use super::judge::{Kind, Violation, judge};
use super::store::{self, Damaged};
use super::{panics, particulars};
use crate::contenders::ContenderSpec;
use crate::modes::sim;
use crate::modes::sim::costs::Costs;
use crate::modes::sim::engine::Inspected;
use crate::trial::account::{Label, account};

/// What is done besides running the draft once.
#[derive(Copy, Clone, Debug, Default)]
pub struct Extras {
    /// Runs it a second time, and compares the traces.
    pub twice: bool,
    /// Damages what it left on disk so many times, and boots from that.
    pub damages: u32,
}

/// What came of a draft.
#[derive(Clone, Debug, Default)]
pub struct Attempt {
    /// Broken promises, the gravest first; empty if all were kept.
    pub violations: Vec<Violation>,
    /// The hash over every event.
    pub trace_hash: u64,
    /// Messages attempted.
    pub messages: u64,
    /// Copies delivered.
    pub deliveries: u64,
    /// Events of virtual time.
    pub events: u64,
    /// Bytes that the node wrote to its disk.
    pub stored_bytes: u64,
    /// Rare events by name.
    pub rare: BTreeMap<String, u64>,
    /// What became of damaged stores.
    pub damaged: Damaged,
}

/// Plays the draft against `C`. `spec` holds presets and settings of the command line.
pub fn attempt<C: Contender>(draft: &Draft, spec: &ContenderSpec, extras: Extras) -> Attempt {
    attempt_with::<C>(draft, spec, extras, &|configured| configured)
}

/// As [`attempt`], with a configuration that `change` has had its way with.
pub fn attempt_with<C: Contender>(
    draft: &Draft,
    spec: &ContenderSpec,
    extras: Extras,
    change: &dyn Fn(Configured<C>) -> Configured<C>,
) -> Attempt {
    let played = panics::caught(|| play::<C>(draft, spec, extras, change));
    played.unwrap_or_else(|panic| Attempt {
        violations: vec![Violation::new(Kind::Panic, panic)],
        ..Attempt::default()
    })
}

fn play<C: Contender>(
    draft: &Draft,
    spec: &ContenderSpec,
    extras: Extras,
    change: &dyn Fn(Configured<C>) -> Configured<C>,
) -> Attempt {
    let invalid = |what: String| Attempt {
        violations: vec![Violation::new(Kind::Invalid, what)],
        ..Attempt::default()
    };
    let scenario = match draft.to_scenario() {
        Ok(scenario) => Arc::new(scenario),
        Err(error) => {
            let violation = Violation::new(Kind::Draft, error.to_string());
            return Attempt { violations: vec![violation], ..Attempt::default() };
        }
    };
    let overrides = scenario.contenders.get(C::NAME).cloned().unwrap_or_default();
    let settings = match spec.resolve::<C>(&overrides.presets, &overrides.settings) {
        Ok(settings) => settings,
        Err(error) => return invalid(error.to_string()),
    };
    let configured = match C::configure(&settings) {
        Ok(configured) => change(configured),
        Err(error) => return invalid(error.to_string()),
    };
    let seed = SeedStream::new(scenario.seed);
    let costs = Costs::of(&spec.name);
    let run = || sim::run_inspected::<C>(&scenario, &configured, &costs, seed);
    let Inspected { raw, complaints, never_ended, disk } = run();
    let trace_hash = raw.trace_hash.unwrap_or_default();
    let events = raw.events;
    let label = Label {
        contender: C::NAME,
        mode: Mode::Sim,
        repeat: 0,
        settings: &settings,
        proof: configured.proof,
        seed,
        canary: None,
    };
    let trial = account::<C>(&scenario, raw, &label).trial;
    let mut violations = judge(draft, &C::profile(), &trial, never_ended);
    violations.extend(complaints.into_iter().map(|what| Violation::new(Kind::Invariant, what)));
    if extras.twice {
        let again = run().raw.trace_hash.unwrap_or_default();
        if again != trace_hash {
            let what = format!("the first run's trace was {trace_hash:016x}, then {again:016x}");
            violations.push(Violation::new(Kind::Trace, what));
        }
    }
    let mut damaged = Damaged::default();
    let stores = store::try_boots::<C>(&configured, &disk, seed, extras.damages, &mut damaged);
    violations.extend(stores.err().map(|what| Violation::new(Kind::Store, what)));
    Attempt {
        violations,
        trace_hash,
        messages: trial.ledger.messages.attempted,
        deliveries: trial.ledger.deliveries.delivered,
        events,
        stored_bytes: trial.resources.disk_bytes,
        rare: rare(&scenario, trial),
        damaged,
    }
}

/// Rare events: those that cores note, and those that the ledger sees.
fn rare(scenario: &Scenario, trial: Trial) -> BTreeMap<String, u64> {
    let mut rare = trial.sometimes;
    let mut add = |name: &str, count: u64| {
        if count > 0 {
            *rare.entry(name.to_owned()).or_default() += count;
        }
    };
    add(particulars::REDELIVERED, trial.ledger.redelivered);
    add("replayed unmarked", trial.ledger.duplicates);
    for (cause, count) in &trial.ledger.causes {
        add(&format!("lost: {cause}"), *count);
    }
    for (fault, of) in trial.faults.iter().zip(&scenario.faults) {
        if fault.took_effect {
            add(&format!("fault: {}", of.kind.name()), 1);
        }
    }
    rare
}
