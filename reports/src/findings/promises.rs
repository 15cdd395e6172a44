//! What was promised beside what was observed.

use super::cast::Cast;
use super::words::{self, plural};
use crate::charts::unit::part;
use crate::clean;
use crate::record::{Profile, Record};
use crate::text::count;
use crate::text::group::Group;

/// One promise of one contender in one mode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) topic: &'static str,
    pub(crate) promised: String,
    pub(crate) observed: String,
    /// Whether what was observed breaks it.
    pub(crate) broken: bool,
}

/// What a contender's profile says; empty where the record has none.
pub(crate) fn profile<'a>(record: &'a Record, key: &str) -> Option<&'a Profile> {
    let base = key.split(':').next().unwrap_or_default();
    record.profiles.get(key).or_else(|| record.profiles.get(base))
}

/// The promises of a group's contender, and what its trials show of each.
pub(crate) fn rows(record: &Record, group: &Group<'_>) -> Vec<Row> {
    let unknown = "not stated in this record".to_owned();
    let says = |of: &dyn Fn(&Profile) -> &str| {
        let text = profile(record, group.key).map(|profile| clean::line(of(profile), 240));
        text.filter(|text| !text.is_empty()).unwrap_or_else(|| unknown.clone())
    };
    let ledger = |of: &dyn Fn(&crate::record::Trial) -> u64| group.sum(of);
    let expected = ledger(&|t| t.ledger.deliveries.expected);
    let unexplained = ledger(&|t| t.ledger.deliveries.lost_unexplained);
    let explained = ledger(&|t| t.ledger.deliveries.lost_explained);
    let corrupt = ledger(&|t| t.ledger.corrupt);
    let duplicates = ledger(&|t| t.ledger.duplicates);
    let redelivered = ledger(&|t| t.ledger.redelivered);
    let reordered = ledger(&|t| t.ledger.reordered);
    let acked = ledger(&|t| t.ledger.messages.acked);
    let acked_lost: u64 = group
        .trials
        .iter()
        .flat_map(|trial| trial.ledger.acked_lost.values())
        .fold(0, |sum, lost| sum.saturating_add(*lost));
    let lost = if explained + unexplained == 0 {
        format!("all {} owed deliveries came", count(expected))
    } else {
        format!(
            "{} of {} owed deliveries lost ({}), {} without a cause",
            count(explained.saturating_add(unexplained)),
            count(expected),
            part((explained as f64 + unexplained as f64) / (expected.max(1) as f64)),
            none_or(unexplained)
        )
    };
    let twice = match (duplicates, redelivered) {
        (0, 0) => "none came twice".to_owned(),
        (d, 0) => format!("{} came twice", count(d)),
        (d, r) => {
            format!("{} came twice unmarked, {} marked as redelivered", none_or(d), count(r))
        }
    };
    let damaged = if corrupt > 0 { format!("; {} damaged", count(corrupt)) } else { String::new() };
    let ack = if acked == 0 {
        "nothing was acknowledged".to_owned()
    } else {
        format!("{} of {} acknowledged were lost", none_or(acked_lost), count(acked))
    };
    let order = if reordered == 0 {
        "none out of the order of its key".to_owned()
    } else {
        format!("{} out of the order of their key", count(reordered))
    };
    let away = ledger(&|t| t.ledger.causes.get("subscriber_away").copied().unwrap_or(0));
    let away = if group.shown().faults.iter().any(|fault| fault.kind.contains("subscriber")) {
        match away {
            0 => "a subscriber was away, and nothing was lost for it".to_owned(),
            lost => format!("{} lost while a subscriber was away", deliveries(lost)),
        }
    } else {
        "no subscriber went away in this run".to_owned()
    };
    let crash = match crash_losses(group) {
        None => "no broker crashed in this run".to_owned(),
        Some(0) => "the broker crashed, and nothing was lost by it".to_owned(),
        Some(lost) => format!("{} lost with the crash", deliveries(lost)),
    };
    vec![
        Row {
            topic: "delivery",
            promised: says(&|p| &p.delivery),
            observed: format!("{lost}; {twice}{damaged}"),
            broken: unexplained > 0 || corrupt > 0,
        },
        Row { topic: "order", promised: says(&|p| &p.order), observed: order, broken: false },
        Row {
            topic: "an acknowledgement proves",
            promised: words::proof(group.shown().ack_proves),
            observed: ack,
            broken: false,
        },
        Row {
            topic: "subscriber away",
            promised: says(&|p| &p.subscriber_away),
            observed: away,
            broken: false,
        },
        Row {
            topic: "broker crash",
            promised: says(&|p| &p.crash),
            observed: crash,
            broken: false,
        },
    ]
}

/// Deliveries that a crash of the broker took; `None` where none crashed.
pub(crate) fn crash_losses(group: &Group<'_>) -> Option<u64> {
    let faults = &group.shown().faults;
    faults.iter().any(|fault| fault.kind.contains("broker") && fault.took_effect).then(|| {
        group.sum(|trial| {
            let causes = trial.ledger.causes.iter();
            causes
                .filter(|(cause, _)| cause.contains("crash") || cause.contains("power"))
                .fold(0, |sum: u64, (_, number)| sum.saturating_add(*number))
        })
    })
}

fn none_or(number: u64) -> String {
    if number == 0 { "none".to_owned() } else { count(number) }
}

pub(crate) fn deliveries(number: u64) -> String {
    if number == 1 { "1 delivery".to_owned() } else { format!("{} deliveries", count(number)) }
}

/// Whether contenders' acknowledgements prove different things, in a sentence.
pub(crate) fn unequal(groups: &[Group<'_>], cast: &Cast) -> Option<String> {
    let mut proofs: Vec<(String, Vec<&str>)> = Vec::new();
    for group in groups {
        let proof = words::proof(group.shown().ack_proves);
        let name = cast.name(group.key);
        match proofs.iter_mut().find(|(known, _)| *known == proof) {
            Some((_, names)) if names.contains(&name) => {}
            Some((_, names)) => names.push(name),
            None => proofs.push((proof, vec![name])),
        }
    }
    if proofs.len() < 2 {
        return None;
    }
    let parts: Vec<String> = proofs
        .iter()
        .map(|(proof, names)| format!("{} for {}", proof, words::list(names)))
        .collect();
    Some(format!(
        "The contracts are unequal: an acknowledgement proves {}. Whoever promises more does more \
         for each message, and the figures stand side by side with that in mind.",
        parts.join("; ")
    ))
}

/// `10,132 deliveries in 1 run`.
pub(crate) fn rests_on(group: &Group<'_>) -> String {
    let samples = group.sum(|trial| trial.delivery.response.count);
    format!("{} in {}", deliveries(samples), plural(group.trials.len() as u64, "run"))
}
