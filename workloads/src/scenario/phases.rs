//! Phases, and how `--duration` and `--quick` fit them.

use std::time::Duration;

use super::error::ScenarioError;
use super::keys::PHASE;
use super::model::{Phase, PhaseKind};
use super::read::{Context, DURATION_MAX, Reader, join};
use super::text::Toml;
use super::{Options, Result};

/// Most phases of a run.
const PHASES_MAX: usize = 1_000;
/// Largest factor on the rates.
const FACTOR_MAX: f64 = 1e6;
/// Steady phases of a `--quick` run together.
pub(super) const QUICK_STEADY: Duration = Duration::from_secs(2);
/// Longest warm-up phase of a `--quick` run.
pub(super) const QUICK_WARM_UP: Duration = Duration::from_millis(500);
/// The drain of a scenario that names none.
const DRAIN: Duration = Duration::from_secs(1);

struct Written {
    kind: PhaseKind,
    gap_ns: u64,
    length_ns: u64,
    rate_from: f64,
    rate_to: f64,
}

/// The phases as they will run, and how long sending would have lasted as written.
pub(super) fn read(cx: &Context<'_>, top: &Reader<'_>) -> Result<(Vec<Phase>, u64)> {
    let spots = top.list("phases")?;
    if spots.is_empty() {
        return Err(top.missing("phases"));
    }
    let mut written: Vec<Written> = Vec::new();
    let mut end_ns = 0;
    for (index, spot) in spots.iter().enumerate() {
        if index >= PHASES_MAX {
            return Err(spot.error(format!("more than {PHASES_MAX} phases"), "join some of them"));
        }
        if written.last().is_some_and(|before| before.kind == PhaseKind::Drain) {
            return Err(spot.error(
                "nothing can follow a drain, which ends the run",
                "move the drain to the end; a `pause` sends nothing in the middle of a run",
            ));
        }
        let phase = one(Reader::open(spot.clone(), &PHASE)?, end_ns)?;
        end_ns += phase.gap_ns + phase.length_ns;
        if end_ns > nanos(DURATION_MAX) {
            return Err(spot.error("the run is longer than 30 days", "shorten the phases"));
        }
        written.push(phase);
    }
    if !written.iter().any(|phase| phase.kind == PhaseKind::Steady) {
        let place = &spots[0].node.place;
        return Err(cx.error(
            place,
            "no phase is steady, so nothing would be measured",
            "add one: [[phases]] kind = \"steady\", duration = \"10s\"",
        ));
    }
    let sending_ns = written
        .iter()
        .filter(|phase| phase.kind != PhaseKind::Drain)
        .map(|phase| phase.gap_ns + phase.length_ns)
        .sum();
    fit(&mut written, cx.options)?;
    let fitted: u64 = written.iter().map(|phase| phase.gap_ns + phase.length_ns).sum();
    if fitted > nanos(DURATION_MAX) {
        return Err(ScenarioError::whole(
            "with this `--duration` the run is longer than 30 days".to_owned(),
            "choose a shorter duration",
        ));
    }
    if written.last().is_none_or(|last| last.kind != PhaseKind::Drain) {
        written.push(Written {
            kind: PhaseKind::Drain,
            gap_ns: 0,
            length_ns: nanos(DRAIN),
            rate_from: 0.0,
            rate_to: 0.0,
        });
    }
    Ok((laid_out(cx, &written), sending_ns))
}

fn one(reader: Reader<'_>, before_ns: u64) -> Result<Written> {
    let factor = |key| reader.need(key, |spot| spot.number(0.0, FACTOR_MAX));
    let same = |rate: f64| (rate, rate);
    let (kind, (rate_from, rate_to)) = match reader.kind() {
        "warm-up" | "steady" | "burst" => {
            let rate = reader.or_default("rate", |spot| {
                spot.number(0.0, FACTOR_MAX)?;
                spot.positive(FACTOR_MAX).map_err(|_| {
                    spot.wrong("a factor above 0", "a phase of kind \"pause\" sends nothing")
                })
            })?;
            let kind = match reader.kind() {
                "warm-up" => PhaseKind::WarmUp,
                "steady" => PhaseKind::Steady,
                _ => PhaseKind::Burst,
            };
            (kind, same(rate))
        }
        "ramp" => {
            let (from, to) = (factor("from")?, factor("to")?);
            if from == 0.0 && to == 0.0 {
                return Err(reader.spot().error(
                    "a ramp from 0 to 0 sends nothing",
                    "a phase of kind \"pause\" sends nothing",
                ));
            }
            (PhaseKind::Ramp, (from, to))
        }
        "pause" => (PhaseKind::Pause, same(0.0)),
        _ => (PhaseKind::Drain, same(0.0)),
    };
    let length = reader.need("duration", |spot| spot.some_duration())?;
    let gap_ns = match reader.get("start") {
        None => 0,
        Some(spot) => {
            let start = spot.duration()?;
            nanos(start).checked_sub(before_ns).ok_or_else(|| {
                let end = Duration::from_nanos(before_ns).toml();
                spot.error(
                    format!("this phase starts before the one above it ends, at {end}"),
                    "leave `start` out to follow on, or start later to leave a pause",
                )
            })?
        }
    };
    Ok(Written { kind, gap_ns, length_ns: nanos(length), rate_from, rate_to })
}

/// Changes lengths as the command line asks. Rates stay as they are.
fn fit(phases: &mut [Written], options: &Options<'_>) -> Result<()> {
    let steady_ns: u64 = phases
        .iter()
        .filter(|phase| phase.kind == PhaseKind::Steady)
        .map(|phase| phase.length_ns)
        .sum();
    let wanted_ns = match options.duration {
        Some(duration) if duration.is_zero() || duration > DURATION_MAX => {
            return Err(ScenarioError::whole(
                "`--duration` takes a duration above zero and of at most 30 days".to_owned(),
                "it is the sum of the steady phases: --duration 30s",
            ));
        }
        Some(duration) => nanos(duration),
        None if options.quick => steady_ns.min(nanos(QUICK_STEADY)),
        None => return Ok(()),
    };
    let scaled = |length_ns: u64| {
        let exact = u128::from(length_ns) * u128::from(wanted_ns) / u128::from(steady_ns);
        // Whole microseconds read better; none of a phase's length matters below.
        let rounded = if exact >= 1_000_000 { exact / 1_000 * 1_000 } else { exact.max(1) };
        u64::try_from(rounded).unwrap_or(u64::MAX)
    };
    let mut left_ns = wanted_ns;
    let last = phases.iter().rposition(|phase| phase.kind == PhaseKind::Steady);
    for (index, phase) in phases.iter_mut().enumerate() {
        match phase.kind {
            // The last one takes what rounding left, so that the sum is exact.
            PhaseKind::Steady if Some(index) == last => phase.length_ns = left_ns.max(1),
            PhaseKind::Steady => {
                phase.length_ns = scaled(phase.length_ns);
                left_ns = left_ns.saturating_sub(phase.length_ns);
            }
            PhaseKind::WarmUp if options.quick => {
                phase.length_ns = phase.length_ns.min(nanos(QUICK_WARM_UP));
            }
            PhaseKind::Ramp | PhaseKind::Burst | PhaseKind::Pause if options.quick => {
                phase.length_ns = scaled(phase.length_ns).min(phase.length_ns);
            }
            _ => {}
        }
        if options.quick && phase.gap_ns > 0 {
            phase.gap_ns = scaled(phase.gap_ns).min(phase.gap_ns);
        }
    }
    Ok(())
}

fn laid_out(cx: &Context<'_>, written: &[Written]) -> Vec<Phase> {
    let mut at_ns = 0;
    let mut phases = Vec::with_capacity(written.len());
    for (index, phase) in written.iter().enumerate() {
        let start_ns = at_ns + phase.gap_ns;
        if phase.gap_ns > 0 {
            let path = join(&format!("phases.{index}"), "start");
            cx.note(&path, &Duration::from_nanos(start_ns).toml());
        }
        at_ns = start_ns + phase.length_ns;
        phases.push(Phase {
            kind: phase.kind,
            start_ns,
            end_ns: at_ns,
            rate_from: phase.rate_from,
            rate_to: phase.rate_to,
        });
    }
    phases
}

/// Whole nanoseconds; durations of a scenario are at most 30 days.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
