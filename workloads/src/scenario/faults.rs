//! Faults: what goes wrong on purpose, and when.

use std::time::Duration;

use broker_contract::CrashKind;

use super::Result;
use super::keys::FAULT;
use super::model::{Fault, FaultKind, Population};
use super::phases::nanos;
use super::populations::Sending;
use super::read::{Context, Reader, Spot};
use super::text::Toml;
use super::tree::Value;

/// A moment or a length of the run.
#[derive(Copy, Clone, Debug)]
pub(super) enum Stretch {
    Share(f64),
    Lasting(Duration),
}

impl Stretch {
    pub(super) fn read(spot: &Spot<'_>) -> Result<Stretch> {
        if matches!(spot.node.value, Value::Text(_)) {
            return Ok(Stretch::Lasting(spot.duration()?));
        }
        match spot.number(0.0, 1.0) {
            Ok(share) => Ok(Stretch::Share(share)),
            Err(_) => Err(spot.wrong(
                "a fraction from 0 to 1, or a duration in quotes",
                "0.5 is the middle of the part of the run in which messages are sent",
            )),
        }
    }

    /// In nanoseconds, of a run that sends for `sending_ns`; `written_ns` is how
    /// long it would have, had `--quick` not shortened it.
    pub(super) fn nanos(self, sending_ns: u64, written_ns: u64) -> u64 {
        match self {
            Stretch::Share(share) => (share * sending_ns as f64).round() as u64,
            Stretch::Lasting(duration) if written_ns == sending_ns => nanos(duration),
            Stretch::Lasting(duration) => {
                let scaled = u128::from(nanos(duration)) * u128::from(sending_ns)
                    / u128::from(written_ns.max(1));
                u64::try_from(scaled).unwrap_or(u64::MAX)
            }
        }
    }
}

/// Reads `[[faults]]`, which strike while messages are sent.
pub(super) fn faults(
    cx: &Context<'_>,
    top: &Reader<'_>,
    populations: &[Population],
    sending: Sending,
) -> Result<Vec<Fault>> {
    let Sending { ns: sending_ns, written_ns } = sending;
    let before = cx.take_notes();
    let mut read: Vec<(Fault, Spot<'_>, Vec<String>)> = Vec::new();
    for (index, spot) in top.limited_list("faults")?.into_iter().enumerate() {
        let reader = Reader::open(spot.clone(), &FAULT)?;
        let kind = fault_kind(&reader, populations)?;
        let at_ns = reader.need("at", Stretch::read)?.nanos(sending_ns, written_ns);
        let for_ns = reader.need("for", Stretch::read)?.nanos(sending_ns, written_ns);
        let end = Duration::from_nanos(sending_ns).toml();
        let place = |key| reader.get(key).unwrap_or_else(|| spot.clone());
        if at_ns >= sending_ns {
            return Err(place("at").error(
                format!("the fault begins when nothing is sent any more: sending ends at {end}"),
                "place it earlier, as a fraction such as 0.5",
            ));
        }
        if for_ns == 0 {
            return Err(place("for").error("the fault has no length", "write for example 0.1"));
        }
        let mut until_ns = at_ns.saturating_add(for_ns);
        if until_ns == sending_ns + 1 {
            // Two fractions that add up to 1 were both rounded up.
            until_ns = sending_ns;
        }
        if until_ns > sending_ns {
            return Err(place("for").error(
                format!(
                    "the fault lasts until {}, beyond the end of sending at {end}",
                    Duration::from_nanos(until_ns).toml()
                ),
                "shorten it or begin it earlier: `at` and `for` together are at most 1",
            ));
        }
        let prefix = format!("faults.{index}.");
        let notes = cx.take_notes();
        let notes = notes.iter().map(|note| note.replacen(&prefix, "", 1)).collect();
        read.push((Fault { kind, at_ns, until_ns }, spot, notes));
    }
    read.sort_by_key(|(fault, ..)| fault.at_ns);
    for (index, (fault, spot, _)) in read.iter().enumerate() {
        let clash = read[..index].iter().find(|(other, ..)| {
            other.until_ns > fault.at_ns && strike_the_same(&other.kind, &fault.kind)
        });
        if clash.is_some() {
            return Err(spot.error(
                format!("this {} strikes what another one has struck already", fault.kind.name()),
                "let one end before the other begins, or choose other members",
            ));
        }
    }
    // Noted in time order, which is the order that the resolved scenario has.
    let mut notes = before;
    for (index, (_, _, mine)) in read.iter().enumerate() {
        notes.extend(mine.iter().map(|note| format!("faults.{index}.{note}")));
    }
    cx.put_notes(notes);
    Ok(read.into_iter().map(|(fault, ..)| fault).collect())
}

fn strike_the_same(a: &FaultKind, b: &FaultKind) -> bool {
    use FaultKind::{BrokerCrash, DiskFull, DiskStall, SlowSubscriber, SubscriberRestart};
    let members = |kind: &FaultKind| match *kind {
        SubscriberRestart { population, first, members, .. }
        | SlowSubscriber { population, first, members, .. } => Some((population, first, members)),
        BrokerCrash { .. } | DiskStall | DiskFull => None,
    };
    if a.name() != b.name() {
        return false;
    }
    match (members(a), members(b)) {
        (Some((population, first, count)), Some((other, from, number))) => {
            population == other && first < from + number && from < first + count
        }
        _ => true,
    }
}

fn fault_kind(reader: &Reader<'_>, populations: &[Population]) -> Result<FaultKind> {
    if reader.kind() == "broker-crash" {
        let how = reader.or_default("how", |spot| spot.word(&["process-kill", "power-loss"]))?;
        let how = if how == "power-loss" { CrashKind::PowerLoss } else { CrashKind::ProcessKill };
        return Ok(FaultKind::BrokerCrash { how });
    }
    match reader.kind() {
        "disk-stall" => return Ok(FaultKind::DiskStall),
        "disk-full" => return Ok(FaultKind::DiskFull),
        _ => {}
    }
    let population = reader.need("population", |spot| {
        let at = spot.population(populations)?;
        if populations[at].subscription().is_none() {
            return Err(spot.error(
                format!(
                    "`{}` receives nothing, so this fault cannot strike it",
                    populations[at].name
                ),
                "name a population of subscribers or responders",
            ));
        }
        Ok(at)
    })?;
    let count = populations[population].count;
    let last = format!("`{}` has members 0 to {}", populations[population].name, count - 1);
    let first = reader.or_default("first", |spot| {
        let first = spot.count(0, u32::MAX)?;
        if first >= count {
            return Err(spot.error(format!("there is no member {first}"), last.clone()));
        }
        Ok(first)
    })?;
    let members = reader.or_default("members", |spot| {
        let members = spot.count(1, u32::MAX)?;
        if members > count - first {
            return Err(spot.error(
                format!("there are no {members} members from member {first} on"),
                last.clone(),
            ));
        }
        Ok(members)
    })?;
    if reader.kind() == "subscriber-restart" {
        let how = reader.or_default("how", |spot| spot.word(&["killed", "graceful"]))?;
        let graceful = how == "graceful";
        return Ok(FaultKind::SubscriberRestart { population, first, members, graceful });
    }
    let factor = reader.or_default("factor", |spot| spot.number(1.0, 1e9))?;
    let at_least = reader.or_default("at_least", |spot| spot.duration())?;
    if factor == 1.0 && at_least.is_zero() {
        return Err(reader.spot().error(
            "this fault slows nothing down",
            "give a `factor` above 1, an `at_least` above zero, or both",
        ));
    }
    Ok(FaultKind::SlowSubscriber { population, first, members, factor, at_least })
}
