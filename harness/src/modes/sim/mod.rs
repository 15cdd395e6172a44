//! Virtual time: one thread, modelled links, CPUs and disks, no clock.
//!
//! **What it is for.** [`run`] plays a scenario against one contender as a
//! function of scenario, seed and version. Links delay and never reorder; the
//! node is one simulated core whose costs come from the benchmarks of the very
//! same code ([`costs`]); faults happen when the scenario says.
//!
//! **What it never does.** It reads no clock and draws nothing that the seed
//! does not give, so that the trace hash of a run repeats everywhere. It burns
//! no time of its own: a queue in front of a busy core is arithmetic.
//!
//! **Where to start reading.** [`engine::Sim`] and its `step`; [`wire`] for
//! connections and delays; [`faults`] for what goes wrong.

pub mod costs;
pub mod disk;
pub mod engine;
mod faults;
mod hash;
mod links;
pub mod tracing;
mod wire;

use std::sync::Arc;

use broker_contract::{Configured, Contender, SeedStream};
use lab_workloads::scenario::model::Scenario;

use crate::trial::{RawTrial, Watch};
use tracing::Trace;

/// Runs `scenario` once in virtual time.
pub fn run<C: Contender>(
    scenario: &Arc<Scenario>,
    configured: &Configured<C>,
    costs: &costs::Costs,
    seed: SeedStream,
    watch: &Watch,
) -> RawTrial {
    engine::Sim::<C>::new(scenario, configured, costs, seed, None).run(watch).0
}

/// Runs `scenario` once in virtual time, as [`run`] does, and asks the node about
/// its invariants at its boots and crashes and at the end. The run does not end
/// early while anything is missing.
pub fn run_inspected<C: Contender>(
    scenario: &Arc<Scenario>,
    configured: &Configured<C>,
    costs: &costs::Costs,
    seed: SeedStream,
) -> engine::Inspected {
    engine::Sim::<C>::new(scenario, configured, costs, seed, None).run_inspected()
}

/// Runs `scenario` once in virtual time and follows the message `number`.
pub fn run_traced<C: Contender>(
    scenario: &Arc<Scenario>,
    configured: &Configured<C>,
    costs: &costs::Costs,
    seed: SeedStream,
    number: u32,
) -> Trace {
    let trace = Trace::new(number);
    let (_, trace) = engine::Sim::<C>::new(scenario, configured, costs, seed, Some(trace))
        .run(&Watch::default());
    trace.unwrap_or_else(|| Trace::new(number))
}
