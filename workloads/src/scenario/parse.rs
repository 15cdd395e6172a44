//! From text to a checked scenario.

use super::error::ScenarioError;
use super::keys::TOP;
use super::model::{PhaseKind, Scenario};
use super::populations::Sending;
use super::read::Context;
use super::{
    FORMAT_HELP, Known, Options, Result, check, contenders, faults, logs, objectives, phases,
    populations, shape,
};

/// Longest text of a scenario.
const TEXT_MAX: usize = 1 << 20;
/// Largest seed: integers up to here are exact in JSON.
const SEED_MAX: u64 = 1 << 53;

/// Reads and checks the bytes of a scenario file, as [`parse()`] does.
///
/// # Errors
/// As [`parse()`]; and when the bytes are no UTF-8.
pub fn parse_bytes(
    name: &str,
    bytes: &[u8],
    known: &[Known<'_>],
    options: &Options<'_>,
) -> Result<Scenario> {
    if bytes.len() > TEXT_MAX {
        return Err(too_long());
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => parse(name, text, known, options),
        Err(error) => Err(ScenarioError::whole(
            format!("byte {} is not UTF-8, so this is no scenario", error.valid_up_to()),
            FORMAT_HELP,
        )),
    }
}

/// Reads and checks the text of a scenario called `name`, for the contenders
/// that exist and with the changes of the command line.
///
/// # Errors
/// The first mistake found, with its place and the remedy.
pub fn parse(
    name: &str,
    text: &str,
    known: &[Known<'_>],
    options: &Options<'_>,
) -> Result<Scenario> {
    plausible(text)?;
    for set in options.sets {
        plausible(set)?;
    }
    let cx = Context::load(text, known, options)?;
    let top = cx.top(&TOP)?;
    let title = top.need("title", |spot| spot.prose(120, false))?;
    let prose = |key: &str, max| match top.get(key) {
        Some(spot) => spot.prose(max, true),
        None => Ok(String::new()),
    };
    let (question, lesson) = (prose("question", 1_000)?, prose("lesson", 5_000)?);
    let seed = top.or_default("seed", |spot| spot.whole(0, SEED_MAX))?;
    let seed = match options.seed {
        None => seed,
        Some(seed) if seed <= SEED_MAX => seed,
        Some(seed) => {
            return Err(ScenarioError::whole(
                format!("`--seed` takes a whole number up to {SEED_MAX}, not {seed}"),
                "choose a smaller one",
            ));
        }
    };
    let (phases, written_ns) = phases::read(&cx, &top)?;
    let sends = phases.iter().filter(|phase| phase.kind != PhaseKind::Drain);
    let ns = sends.map(|phase| phase.end_ns).max().unwrap_or(0);
    // Times count from the beginning, so only `--quick` moves them.
    let sending = Sending { ns, written_ns: if options.quick { written_ns } else { ns } };
    let (links, populations) = populations::read(&cx, &top, sending)?;
    let logs = logs::read(&cx, &top)?;
    let declared = logs::declarations(&logs, &populations);
    let faults = faults::faults(&cx, &top, &populations, sending)?;
    let contenders = contenders::contenders(&top, &populations, &declared)?;
    let objectives = objectives::objectives(&top, &populations)?;
    let mut scenario = Scenario {
        name: name.to_owned(),
        title,
        question,
        lesson,
        seed,
        phases,
        links,
        populations,
        logs,
        faults,
        contenders,
        objectives,
        non_defaults: Vec::new(),
        hash: String::new(),
    };
    check::check(&cx, &scenario)?;
    scenario.non_defaults = cx.take_notes();
    // The seed's note was made before the command line had its say.
    let was_noted = scenario.non_defaults.first().is_some_and(|note| note.starts_with("seed = "));
    if was_noted {
        scenario.non_defaults.remove(0);
    }
    if seed != 1 {
        scenario.non_defaults.insert(0, format!("seed = {seed}"));
    }
    scenario.hash = scenario.computed_hash();
    Ok(scenario)
}

/// Refuses what is no text of a person before a parser takes pains with it.
fn plausible(text: &str) -> Result<()> {
    if text.len() > TEXT_MAX {
        return Err(too_long());
    }
    shape::check(text).map_err(|message| ScenarioError::whole(message, FORMAT_HELP))
}

fn too_long() -> Box<ScenarioError> {
    ScenarioError::whole("this is longer than 1 MiB, so it is no scenario".to_owned(), FORMAT_HELP)
}
