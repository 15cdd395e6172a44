//! Semantics cases: what each feature means, as data, and the runner.
//!
//! **What it is for.** A case is a list of steps in a TOML file: clients
//! subscribe and publish, and the case says who receives what. The same case runs
//! against every contender in every mode. Where a contender's profile claims the
//! case's feature, native or emulated, the case must pass. Where it does not, a
//! step must be refused with a typed reason that names the feature.
//!
//! **What it never does.** A case knows no contender: it says what applications
//! intend, and the clients lower it. (Settings are the one exception: a case may
//! shrink a contender's limits so that they are reached quickly.)
//!
//! **Where to start reading.** `brokers/testkit/cases/publish.toml`, then
//! the steps in `model`, then `run`.

mod expand;
mod model;
mod parse;
mod report;
mod run;
mod seen;

use std::time::Duration;

use broker_contract::{Claim, Configured, Contender, Settings};

pub use self::model::{Case, Refusal};
pub use self::parse::{CaseError, parse_cases};
pub use self::report::{CaseFailure, CaseReport};
use self::run::{Held, Problem, run_case};
use crate::arena::Arena;
use crate::virtual_time::{Link, VirtualArena, VirtualOptions};

macro_rules! case_files {
    ($($name:literal,)*) => {
        /// The case files, as (name, text).
        pub const CASE_FILES: &[(&str, &str)] =
            &[$((concat!("cases/", $name), include_str!(concat!("../../cases/", $name))),)*];
    };
}

case_files! {
    "publish.toml",
    "wildcards.toml",
    "groups.toml",
    "requests.toml",
    "messages.toml",
    "order.toml",
    "unsubscribe.toml",
    "goodbye.toml",
    "slow_consumer.toml",
    "storage.toml",
    "consumers.toml",
}

/// All cases of the testkit.
///
/// # Errors
/// [`CaseError`] when a file is wrong; a test reads them all.
pub fn all_cases() -> Result<Vec<Case>, CaseError> {
    let mut cases = Vec::new();
    for (name, text) in CASE_FILES {
        cases.extend(parse_cases(name, text)?);
    }
    Ok(cases)
}

/// What an arena for one run of one case is made from.
#[derive(Debug)]
pub struct CaseSetup<'a, C: Contender> {
    /// The case.
    pub case: &'a Case,
    /// Node and client, with the case's settings.
    pub configured: Configured<C>,
    /// The seed to use where the mode is seeded.
    pub seed: u64,
}

/// Runs all cases against `C` in virtual time, each under several seeds, with a
/// short steady link and with longer links that jitter. One of the runs is
/// repeated, and must leave the same trace.
///
/// # Panics
/// When a case file of the testkit itself is wrong.
pub fn run_all_cases<C: Contender>() -> CaseReport {
    let cases = all_cases().unwrap_or_else(|error| panic!("{error}"));
    run_cases::<C>(&cases)
}

/// Runs `cases` as [`run_all_cases`] does.
pub fn run_cases<C: Contender>(cases: &[Case]) -> CaseReport {
    run_with::<C>(cases, |case, claim| {
        for (number, (latency_us, jitter_us)) in CONDITIONS.iter().enumerate() {
            let options = VirtualOptions {
                seed: number as u64 + 1,
                link: Link {
                    latency: Duration::from_micros(*latency_us),
                    jitter: Duration::from_micros(*jitter_us),
                    ..Link::default()
                },
                ..VirtualOptions::default()
            };
            let conditions = format!(
                "seed {}, latency {latency_us} to {} us",
                options.seed,
                latency_us + jitter_us
            );
            let once = || {
                let mut arena = VirtualArena::new(configure::<C>(case)?, options);
                let held = run_case(&mut arena, case, claim)?;
                Ok((held, arena.trace_hash()))
            };
            let at = |problem| (conditions.clone(), problem);
            let (held, hash) = once().map_err(at)?;
            let last = number + 1 == CONDITIONS.len();
            if last && once().map_err(at)?.1 != hash {
                return Err(at(Problem {
                    is_fault: false,
                    step: None,
                    expected: "the same trace from the same seed".to_owned(),
                    seen: "another one".to_owned(),
                }));
            }
            if last {
                return Ok(held);
            }
        }
        Ok(Held::Passed)
    })
}

/// Latency and jitter in microseconds; the place is the seed.
const CONDITIONS: &[(u64, u64)] = &[(50, 0), (200, 150), (1_000, 3_000)];

/// Runs `cases` against `C` in arenas of another mode, once each.
///
/// `build` makes an arena with a booted node; an error fails the case.
pub fn run_cases_in<C: Contender, A: Arena>(
    cases: &[Case],
    mut build: impl FnMut(CaseSetup<'_, C>) -> Result<A, String>,
) -> CaseReport {
    run_with::<C>(cases, |case, claim| {
        let seed = 1;
        let at = |problem| (format!("seed {seed}"), problem);
        let configured = configure::<C>(case).map_err(at)?;
        let mut arena = build(CaseSetup { case, configured, seed }).map_err(|error| {
            at(Problem {
                is_fault: false,
                step: None,
                expected: "an arena".to_owned(),
                seen: error,
            })
        })?;
        run_case(&mut arena, case, claim).map_err(at)
    })
}

fn configure<C: Contender>(case: &Case) -> Result<Configured<C>, Problem> {
    let changes = case
        .settings
        .iter()
        .filter(|(contender, _, _)| contender == C::NAME)
        .map(|(_, name, value)| (name.as_str(), value.as_str()));
    Settings::resolve(C::settings(), changes).and_then(|settings| C::configure(&settings)).map_err(
        |error| Problem {
            is_fault: false,
            step: None,
            expected: format!("settings that {} takes", C::NAME),
            seen: error.to_string(),
        },
    )
}

fn run_with<C: Contender>(
    cases: &[Case],
    mut run: impl FnMut(&Case, Claim) -> Result<Held, (String, Problem)>,
) -> CaseReport {
    let profile = C::profile();
    let mut report = CaseReport { contender: C::NAME.to_owned(), ..CaseReport::default() };
    for case in cases {
        match run(case, profile.claim(case.feature)) {
            Ok(Held::Passed) => report.passed.push(case.name.clone()),
            Ok(Held::Refused) => report.refused.push(case.name.clone()),
            Err((conditions, problem)) => report.failures.push(CaseFailure {
                case: case.name.clone(),
                place: case.place.clone(),
                feature: case.feature,
                step: problem.step.map(|step| (step + 1, case.steps[step].text.clone())),
                expected: problem.expected,
                seen: problem.seen,
                conditions,
            }),
        }
    }
    report
}
