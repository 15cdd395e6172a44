//! Whether two records may be compared, and what to say where they differ.

use thiserror::Error;

use super::Side;
use crate::clean;
use crate::record::{AckProves, Capacity, Host, Mode, Record, Trial};

/// Differences that somebody wants to look across.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    /// Another scenario, or the same with other values.
    pub scenario: bool,
    /// Another machine, for figures by the wall clock.
    pub host: bool,
    /// Other settings of a contender.
    pub settings: bool,
    /// Acknowledgements that prove something else.
    pub acks: bool,
}

/// Why two records are not compared at all; one line each.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CompareError {
    /// They ran different scenarios.
    #[error(
        "the scenarios differ: {a} against {b}; run the same one, or allow it with \
         `--allow scenario`"
    )]
    Scenario {
        /// Name and hash in the first record.
        a: String,
        /// The same in the second.
        b: String,
    },
    /// One has nothing in it.
    #[error("the {which} record has no trial and no capacity; run the scenario to its end")]
    Empty {
        /// `first` or `second`.
        which: &'static str,
    },
    /// No contender ran in the same mode in both.
    #[error(
        "nothing ran in both: the first has {a}; the second has {b}; figures of different \
         contenders or modes are not compared"
    )]
    NothingInCommon {
        /// Contenders and modes of the first record.
        a: String,
        /// Those of the second.
        b: String,
    },
    /// The metrics asked for are in neither.
    #[error("no figure is called `{0}` in these records; `--json` lists the names")]
    NoMetric(String),
}

/// Refuses records that have nothing to say about each other.
pub(super) fn comparable(a: &Record, b: &Record, allow: &Allow) -> Result<(), CompareError> {
    for (which, record) in [("first", a), ("second", b)] {
        if record.trials.is_empty() && record.capacity.is_empty() {
            return Err(CompareError::Empty { which });
        }
    }
    if a.scenario.hash != b.scenario.hash && !allow.scenario {
        let name = |record: &Record| {
            let hash: String = clean::line(&record.scenario.hash, 16);
            format!("`{}` ({hash})", clean::line(&record.scenario.name, 40))
        };
        return Err(CompareError::Scenario { a: name(a), b: name(b) });
    }
    let keys = |record: &Record| {
        let trials = record.trials.iter().map(|trial| (trial.contender.clone(), trial.mode));
        let rates = record.capacity.iter().map(|of| (of.contender.clone(), of.mode));
        let mut keys: Vec<(String, Mode)> = trials.chain(rates).collect();
        keys.sort();
        keys.dedup();
        keys
    };
    let (left, right) = (keys(a), keys(b));
    if !left.iter().any(|key| right.contains(key)) {
        let list = |keys: &[(String, Mode)]| {
            let names: Vec<String> = keys
                .iter()
                .take(6)
                .map(|(contender, mode)| format!("{} {mode}", clean::name(contender, 30)))
                .collect();
            names.join(", ")
        };
        return Err(CompareError::NothingInCommon { a: list(&left), b: list(&right) });
    }
    Ok(())
}

/// Why one contender in one mode is not compared.
pub(super) fn refusal(
    a: &Record,
    b: &Record,
    trials: &[Vec<Trial>; 2],
    rates: &[Option<Capacity>; 2],
    mode: Mode,
    allow: &Allow,
) -> Option<String> {
    let there = |at: usize| !trials[at].is_empty() || rates[at].is_some();
    match (there(0), there(1)) {
        (true, false) => return Some("it ran in the first record alone".to_owned()),
        (false, true) => return Some("it ran in the second record alone".to_owned()),
        _ => {}
    }
    let only_rates = rates.iter().all(Option::is_some);
    for (which, trials) in ["first", "second"].into_iter().zip(trials) {
        if !trials.iter().any(|trial| trial.valid) && !only_rates {
            let reason = trials.first().and_then(|trial| trial.invalid_reason.as_deref());
            let reason = reason.map_or_else(String::new, |r| format!(" ({})", clean::line(r, 120)));
            return Some(format!("the {which} record has no valid run of it{reason}"));
        }
    }
    if !mode.is_simulated() && !allow.host {
        let (left, right) = (&a.host, &b.host);
        if (&left.cpu, left.cores) != (&right.cpu, right.cores) {
            return Some(format!(
                "the machines differ: {} against {}; allow it with `--allow host`",
                machine(left),
                machine(right)
            ));
        }
    }
    let (Some(left), Some(right)) = (trials[0].first(), trials[1].first()) else { return None };
    if left.ack_proves != right.ack_proves && !allow.acks {
        return Some(format!(
            "the contracts differ: an acknowledgement proves {} against {}; allow it with \
             `--allow acks`",
            proof(left.ack_proves),
            proof(right.ack_proves)
        ));
    }
    let differing = differing_settings(left, right);
    if !differing.is_empty() && !allow.settings {
        return Some(format!(
            "the settings differ: {}; allow it with `--allow settings`",
            differing.join(", ")
        ));
    }
    None
}

/// At most four settings that differ, with both values.
fn differing_settings(a: &Trial, b: &Trial) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> =
        a.settings.keys().chain(b.settings.keys()).collect();
    let value = |trial: &Trial, name: &String| {
        trial.settings.get(name).map_or("absent".to_owned(), |s| clean::line(&s.value, 30))
    };
    names
        .into_iter()
        .filter(|name| value(a, name) != value(b, name))
        .take(4)
        .map(|name| {
            format!("{} = {} against {}", clean::line(name, 40), value(a, name), value(b, name))
        })
        .collect()
}

/// What an acknowledgement proves, in words.
fn proof(proves: AckProves) -> String {
    match proves.copies {
        0 => "nothing".to_owned(),
        1 => format!("1 copy, {}", proves.durable.name()),
        copies => format!("{copies} copies, {}", proves.durable.name()),
    }
}

fn machine(host: &Host) -> String {
    format!("`{}`, {} cores", clean::line(&host.cpu, 60), host.cores)
}

/// A record's head.
pub(super) fn side(name: &str, record: &Record) -> Side {
    let mut lab = format!("lab {}", clean::line(&record.lab.version, 40));
    if let Some(commit) = record.lab.commit.as_ref().filter(|commit| !commit.is_empty()) {
        lab.push_str(&format!(", commit {}", clean::line(commit, 40)));
    }
    Side {
        name: clean::line(name, 200),
        started_at: clean::line(&record.started_at, 40),
        lab,
        host: format!("{}, {}", machine(&record.host), clean::line(&record.host.os, 60))
            .replace('`', ""),
        seed: record.seed,
    }
}

/// Differences that do not forbid a comparison, and still matter.
pub(super) fn warnings(a: &Record, b: &Record) -> Vec<String> {
    let mut out = Vec::new();
    for (which, record) in [("first", a), ("second", b)] {
        if record.partial {
            out.push(format!("the {which} record is partial: its run was interrupted"));
        }
    }
    if a.scenario.hash != b.scenario.hash {
        out.push("the scenarios differ: a change of a figure may be the scenario's".to_owned());
    }
    if a.seed != b.seed {
        out.push(format!(
            "the seeds differ ({} against {}): each side played another plan",
            a.seed, b.seed
        ));
    }
    let wall = |record: &Record| record.trials.iter().any(|trial| !trial.mode.is_simulated());
    if wall(a) && wall(b) && a.host != b.host {
        let what = if machine(&a.host) != machine(&b.host) {
            "the machines differ"
        } else {
            "the machines differ in memory or operating system"
        };
        out.push(what.to_owned());
    }
    let simulated = |record: &Record| record.trials.iter().any(|trial| trial.mode.is_simulated());
    if simulated(a) && simulated(b) && a.costs != b.costs {
        out.push(
            "the costs that the simulation charges differ, so a simulated change may be the \
             model's and not the broker's"
                .to_owned(),
        );
    }
    out
}
