//! What went wrong on purpose, with a letter for each.

use super::cast::Cast;
use super::words::list;
use crate::clean;
use crate::record::Fault;
use crate::text::figures::seconds;
use crate::text::group::Group;

/// A fault as charts mark it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Marked {
    pub(crate) letter: char,
    pub(crate) kind: String,
    pub(crate) target: String,
    pub(crate) at_s: f64,
    pub(crate) until_s: f64,
}

/// The faults of `groups`, each once; at most 26.
pub(crate) fn of(groups: &[Group<'_>]) -> Vec<Marked> {
    let mut all: Vec<&Fault> = Vec::new();
    for fault in groups.iter().flat_map(|group| &group.shown().faults) {
        if all.len() < 26 && !all.iter().any(|other| same(other, fault)) {
            all.push(fault);
        }
    }
    all.iter()
        .zip('A'..='Z')
        .map(|(fault, letter)| Marked {
            letter,
            kind: clean::line(&fault.kind, 40).replace('-', " "),
            target: clean::line(&fault.target, 60),
            at_s: fault.at_s,
            until_s: fault.until_s,
        })
        .collect()
}

/// When something happened: ` during fault A (broker crash)`, or ` at 302 s`.
pub(crate) fn moment(faults: &[Marked], at_s: f64) -> String {
    // What begins in the second that is shown, or has just ended, is to blame.
    let blamed = faults.iter().find(|fault| at_s + 1.0 > fault.at_s && at_s <= fault.until_s + 1.0);
    match blamed {
        Some(fault) => format!(" during fault {} ({})", fault.letter, fault.kind),
        None => {
            // Clients take seconds to find a broker again.
            let just_over = |fault: &&Marked| at_s > fault.until_s && at_s <= fault.until_s + 3.0;
            match faults.iter().rfind(just_over) {
                Some(fault) => format!(" after fault {} ({})", fault.letter, fault.kind),
                None => format!(" at {}", seconds(at_s)),
            }
        }
    }
}

fn same(a: &Fault, b: &Fault) -> bool {
    a.kind == b.kind && a.target == b.target && a.at_s == b.at_s
}

/// A line about each: what, when, and whom it did not touch.
pub(crate) fn notes(groups: &[Group<'_>], cast: &Cast) -> Vec<String> {
    of(groups)
        .into_iter()
        .map(|fault| {
            let untouched: Vec<&str> = groups
                .iter()
                .filter(|group| {
                    group.shown().faults.iter().any(|other| {
                        other.at_s == fault.at_s
                            && clean::line(&other.target, 60) == fault.target
                            && !other.took_effect
                    })
                })
                .map(|group| cast.name(group.key))
                .collect();
            let of = if fault.kind.starts_with(&fault.target) || fault.target.is_empty() {
                String::new()
            } else {
                format!(" of {}", fault.target)
            };
            let mut text = format!(
                "{}: {}{of}, {} to {}",
                fault.letter,
                fault.kind,
                seconds(fault.at_s),
                seconds(fault.until_s)
            );
            if !untouched.is_empty() {
                text.push_str(&format!("; it had no effect on {}", list(&untouched)));
            }
            text
        })
        .collect()
}
