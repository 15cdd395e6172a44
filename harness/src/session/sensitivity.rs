//! Whether halving or doubling any simulated cost changes the winner.
//!
//! The costs are measured, and measured costs are off by some factor on another
//! machine. Delivery times grow with every cost, so all costs of a contender at
//! once move its figures at least as far as any one of them alone: only when
//! that changes the winner are they tried one by one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lab_reports::record::Mode;
use lab_workloads::scenario::model::Scenario;

use super::trials::{self, Prepared};
use crate::measure::verdict;
use crate::modes::sim::costs::Costs;
use crate::trial::account::Accounted;

/// The factors that are tried, and what they are called.
const FACTORS: [(f64, &str); 2] = [(0.5, "halving"), (2.0, "doubling")];

/// What would change the winner among the simulated costs, a sentence each; one
/// sentence that nothing would, if so; nothing where there is no winner to change
/// or nothing was simulated.
pub fn sentences(
    scenario: &Arc<Scenario>,
    prepared: &[Prepared],
    accounted: &[Accounted],
    winner: Option<&str>,
    interrupt: &Arc<AtomicBool>,
) -> Vec<String> {
    let simulated: Vec<&Accounted> =
        accounted.iter().filter(|it| it.trial.mode == Mode::Sim && it.trial.repeat == 0).collect();
    let Some(winner) = winner else { return Vec::new() };
    if simulated.len() < 2 || simulated.len() != prepared.len() {
        return Vec::new();
    }
    let of = |trials: Vec<Accounted>| verdict::judge(scenario, &trials, &[]).winner;
    let base = of(simulated.iter().map(|it| (*it).clone()).collect());
    if base.as_deref() != Some(winner) {
        return vec![format!(
            "what tells {winner} apart was measured on this machine: simulated costs do not decide"
        )];
    }
    let with = |changed: &Accounted| {
        let label = &changed.trial.contender;
        let replaced = simulated
            .iter()
            .map(|it| if it.trial.contender == *label { changed.clone() } else { (*it).clone() });
        of(replaced.collect())
    };
    let attempt = |part: Option<usize>, jobs: &[(usize, f64, &'static str)]| -> Vec<Changed> {
        let runs: Vec<(&Prepared, Costs)> = jobs
            .iter()
            .map(|(at, factor, _)| {
                let contender = &prepared[*at];
                (contender, Costs::of(contender.name()).scaled(part, *factor))
            })
            .collect();
        let done = trials::simulate_with(scenario, &runs, interrupt);
        jobs.iter()
            .zip(done)
            .filter_map(|((at, factor, what), run)| {
                let then = with(&run?);
                let job = (*at, *factor, *what);
                (then.as_deref() != Some(winner)).then_some(Changed { job, then })
            })
            .collect()
    };
    let all: Vec<(usize, f64, &'static str)> = (0..prepared.len())
        .flat_map(|at| FACTORS.iter().map(move |(factor, what)| (at, *factor, *what)))
        .collect();
    let suspects: Vec<(usize, f64, &'static str)> =
        attempt(None, &all).into_iter().map(|changed| changed.job).collect();
    let mut sentences = Vec::new();
    if !suspects.is_empty() {
        for (part, (name, _)) in Costs::of(prepared[0].name()).parts().iter().enumerate() {
            for Changed { job: (at, _, what), then } in attempt(Some(part), &suspects) {
                let label = prepared[at].label();
                let then = then.map_or("nobody".to_owned(), |then| then);
                sentences.push(format!(
                    "{what} the simulated cost \"{name}\" of {label}: {then} would win"
                ));
            }
        }
    }
    if interrupt.load(Ordering::Relaxed) {
        return Vec::new();
    }
    if sentences.is_empty() {
        sentences.push("halving or doubling any one simulated cost does not change it".to_owned());
    }
    sentences
}

/// A change of costs after which somebody else wins, or nobody.
struct Changed {
    job: (usize, f64, &'static str),
    then: Option<String>,
}
