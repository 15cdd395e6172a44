//! Checks that need the whole scenario: who reaches whom, and how much there is.

use std::collections::BTreeMap;

use super::Result;
use super::model::{
    FieldSource, Phase, PhaseKind, Population, Role, Scenario, Stream, TemplatePart,
};
use super::read::Context;
use super::spreads::rate_per_s;
use super::template::may_match;

/// Messages are numbered with 32 bits.
const MESSAGES_MAX: f64 = 4_294_967_295.0;
/// Pairs of a producer and a key value whose order the ledger follows.
const KEYS_MAX: f64 = (1u64 << 28) as f64;
/// Up to this many possible keys are all numbered ahead; of more, only those
/// that turn up.
const KEYS_AHEAD: f64 = (1u64 << 24) as f64;

/// Checks a scenario of which everything but the hash is there.
pub(super) fn check(cx: &Context<'_>, scenario: &Scenario) -> Result<()> {
    volume(cx, scenario)?;
    for population in &scenario.populations {
        reached(cx, scenario, population)?;
    }
    Ok(())
}

/// Seconds of a population's own rate that a phase amounts to.
fn work_s(phase: &Phase) -> f64 {
    let seconds = (phase.end_ns - phase.start_ns) as f64 / 1e9;
    (phase.rate_from + phase.rate_to) / 2.0 * seconds
}

fn volume(cx: &Context<'_>, scenario: &Scenario) -> Result<()> {
    let work: f64 = scenario.phases.iter().map(work_s).sum();
    let steady: f64 =
        scenario.phases.iter().filter(|phase| phase.kind == PhaseKind::Steady).map(work_s).sum();
    let streams = scenario
        .populations
        .iter()
        .flat_map(|population| population.streams().iter().map(move |stream| (population, stream)));
    let (mut rate, mut messages, mut keys) = (0.0, 0.0, 0.0);
    let mut largest: Option<(f64, String)> = None;
    // Streams of one population with the same key template share their keys.
    let mut counted: BTreeMap<(&str, &str), ()> = BTreeMap::new();
    for (population, stream) in streams {
        let stream_rate = f64::from(population.count) * rate_per_s(&stream.arrival);
        rate += stream_rate;
        messages += stream_rate * work;
        if largest.as_ref().is_none_or(|(most, _)| stream_rate > *most) {
            let path = format!("populations.{}.streams.{}", population.name, stream.name);
            largest = Some((stream_rate, path));
        }
        let template = stream.key.as_ref().unwrap_or(&stream.channel);
        if counted.insert((&population.name, &template.text), ()).is_none() {
            let possible = f64::from(population.count) * drawn_values(stream);
            let turn_up = if possible > KEYS_AHEAD { stream_rate * work } else { possible };
            keys += possible.min(turn_up);
        }
    }
    let Some((_, path)) = largest else {
        return Err(cx.spot("populations").error(
            "nobody sends anything",
            "add a population with role = \"publisher\" and a stream",
        ));
    };
    // Random arrivals vary: six standard deviations are never exceeded.
    if messages + 6.0 * messages.sqrt() > MESSAGES_MAX {
        return Err(cx.spot(&format!("{path}.arrival")).error(
            format!("the run would send about {messages:.0} messages"),
            format!("at most {MESSAGES_MAX:.0} have numbers: lower rates, counts or durations"),
        ));
    }
    if keys > KEYS_MAX {
        return Err(cx.spot(&path).error(
            format!("the run would follow the order of about {keys:.0} keys"),
            format!("at most {KEYS_MAX:.0} have numbers: fewer members, or fewer key values"),
        ));
    }
    if rate * steady < 1.0 {
        let seconds = scenario.window_s();
        return Err(cx.spot(&format!("{path}.arrival")).error(
            format!("less than one message is due in the {seconds} s of the steady phases"),
            "raise a rate or a count, or make the steady phases longer",
        ));
    }
    Ok(())
}

/// Distinct values that a stream's key can be drawn with, for one member.
fn drawn_values(stream: &Stream) -> f64 {
    let template = stream.key.as_ref().unwrap_or(&stream.channel);
    let mut drawn: BTreeMap<&str, u32> = BTreeMap::new();
    for part in &template.parts {
        if let TemplatePart::Field(field) = part
            && let FieldSource::Draw { count, .. } = field.source
        {
            drawn.insert(&field.name, count);
        }
    }
    drawn.values().map(|count| f64::from(*count)).product()
}

/// Whether anybody publishes what a population receives.
fn reached(cx: &Context<'_>, scenario: &Scenario, population: &Population) -> Result<()> {
    let Some(subscription) = population.subscription() else { return Ok(()) };
    let answers = matches!(population.role, Role::Responder { .. });
    let from = |asks_only: bool| {
        scenario
            .populations
            .iter()
            .filter(move |other| !asks_only || matches!(other.role, Role::Requester { .. }))
    };
    let matches = |other: &&Population| {
        other.streams().iter().any(|stream| may_match(&subscription.filter, &stream.channel))
    };
    if from(answers).any(|other| matches(&other)) {
        return Ok(());
    }
    let spot = cx.spot(&format!("populations.{}.filter", population.name));
    if answers && from(false).any(|other| matches(&other)) {
        return Err(spot.error(
            "nobody asks on the channels that this filter takes; they are only published to",
            "make the senders role = \"requester\", or this population a subscriber",
        ));
    }
    let mut channels: Vec<&str> = scenario
        .populations
        .iter()
        .flat_map(|other| other.streams())
        .map(|stream| stream.channel.text.as_str())
        .collect();
    let more = channels.len() > 4;
    channels.truncate(4);
    Err(spot.error(
        "nobody publishes to a channel that this filter takes",
        format!(
            "it is compared token by token with: {}{}",
            channels.join(", "),
            if more { ", ..." } else { "" }
        ),
    ))
}
