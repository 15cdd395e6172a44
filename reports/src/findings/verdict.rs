//! The story that the page opens with: the answer, its reason, its doubt.

use super::cast::{Cast, Who};
use super::objectives::{Tally, shortfalls};
use super::promises::{crash_losses, deliveries, profile, rests_on, unequal};
use super::words::{crash, list, provenance, sentence};
use crate::charts::unit::micros;
use crate::clean;
use crate::record::{Outcome, Quantile, Record};
use crate::text::group::{Group, Groups};

/// How a contender came out.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The record's winner.
    Winner,
    /// Meets every objective that was judged.
    Fits,
    /// Misses one, or does not have what one is about.
    Misses,
    /// Nothing is missed, and something is undecided; or nothing was judged.
    Open,
}

impl Standing {
    /// A class of the style sheet.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Standing::Winner => "winner",
            Standing::Fits => "fits",
            Standing::Misses => "misses",
            Standing::Open => "open",
        }
    }
}

/// A contender in a few sentences.
#[derive(Clone, Debug)]
pub(crate) struct Portrait {
    pub(crate) who: Who,
    /// What it is, where the record says so.
    pub(crate) title: String,
    pub(crate) summary: String,
    pub(crate) standing: Standing,
    /// In words.
    pub(crate) outcome: String,
    /// Why, a sentence each.
    pub(crate) because: Vec<String>,
    /// What a crash takes.
    pub(crate) crash: String,
}

/// `text` of a record with contenders by their names for people, and without
/// the marks of code.
pub(crate) fn readable(text: &str, cast: &Cast, max: usize) -> String {
    let text = clean::line(text, max)
        .replace('`', "")
        .replace("(sim)", "(simulated)")
        .replace(" us ", " µs ")
        .replace(" us)", " µs)");
    let words: Vec<String> = text
        .split(' ')
        .map(|word| {
            let open = word.len() - word.trim_start_matches('(').len();
            let core = word[open..].trim_end_matches(['.', ',', ';', ':', ')']);
            match cast.all().iter().find(|who| who.key == core) {
                Some(who) => {
                    format!("{}{}{}", &word[..open], who.name, &word[open + core.len()..])
                }
                None => word.to_owned(),
            }
        })
        .collect();
    words.join(" ")
}

/// The verdict's first sentence, and the rest of it without what keeps single
/// contenders from fitting: their portraits say that.
pub(crate) fn headline(record: &Record, cast: &Cast) -> (String, String) {
    let text = readable(&record.verdict.text, cast, 2_000);
    if text.is_empty() {
        return ("There is no verdict in this record.".to_owned(), String::new());
    }
    match text.split_once(". ") {
        Some((first, rest)) if first.chars().count() < 400 => {
            let rest: Vec<&str> =
                rest.split_inclusive(". ").filter(|text| !is_shortfall(text, cast)).collect();
            (format!("{first}."), rest.concat().trim_end().to_owned())
        }
        _ => (text, String::new()),
    }
}

fn is_shortfall(sentence: &str, cast: &Cast) -> bool {
    cast.all().iter().any(|who| {
        sentence.strip_prefix(who.name.as_str()).is_some_and(|rest| {
            [" misses ", " leaves undecided ", " cannot be judged "]
                .iter()
                .any(|verb| rest.starts_with(verb))
                // It says where, and against what.
                && rest.contains(" at ")
                && rest.contains('(')
        })
    })
}

/// Every contender, in the order in which they ran.
pub(crate) fn portraits(record: &Record, cast: &Cast) -> Vec<Portrait> {
    let groups = Groups::of(record);
    cast.all()
        .iter()
        .map(|who| {
            let mine: Vec<&Group<'_>> =
                groups.0.iter().filter(|group| group.key == who.key).collect();
            portrait(record, cast, who, &mine)
        })
        .collect()
}

fn portrait(record: &Record, cast: &Cast, who: &Who, mine: &[&Group<'_>]) -> Portrait {
    let tally = Tally::of(record, &who.key, None);
    let broke = mine.iter().any(|group| group.trials.iter().any(|trial| trial.broke_its_promise()));
    let wins = record.verdict.winner.as_deref() == Some(who.key.as_str());
    let standing = if wins {
        Standing::Winner
    } else if broke || tally.missed + tally.unsupported > 0 {
        Standing::Misses
    } else if tally.all() > 0 && tally.undecided == 0 {
        Standing::Fits
    } else {
        Standing::Open
    };
    let judged = tally.all();
    let outcome = match standing {
        Standing::Winner if judged > 0 => format!("fits: {}", tally.words()),
        Standing::Winner => "fits".to_owned(),
        Standing::Fits => format!("meets all: {}", tally.words()),
        Standing::Misses if broke => "broke its promise".to_owned(),
        Standing::Misses | Standing::Open => tally.words(),
    };
    let mut because = shortfalls(record, &who.key);
    because.truncate(6);
    if let Some(text) = chosen(record, cast, who, standing) {
        because.insert(0, text);
    }
    if let Some(text) = mine.first().map(|group| figures(group)) {
        because.push(text);
    }
    let profile = profile(record, &who.key);
    let words = |of: &dyn Fn(&crate::record::Profile) -> &str, max: usize| {
        profile.map_or_else(String::new, |profile| clean::line(of(profile), max))
    };
    let kept = mine.first().map_or("no trial shows it", |group| crash(group.shown().ack_proves));
    let mut crash = format!("{}.", sentence(kept));
    if let Some(seen) = mine.iter().find_map(|group| crashed(group)) {
        crash.push_str(&format!(" {seen}."));
    }
    Portrait {
        who: who.clone(),
        title: words(&|p| &p.title, 80),
        summary: words(&|p| &p.summary, 240),
        standing,
        outcome,
        because,
        crash,
    }
}

/// Why the winner was chosen, or why one that fits as well was not: what the
/// record's text says of the choice among those that fit.
fn chosen(record: &Record, cast: &Cast, who: &Who, standing: Standing) -> Option<String> {
    let winner = record.verdict.winner.as_deref()?;
    let (first, _) = headline(record, cast);
    let (_, why) = first.rsplit_once(", and ")?;
    let why = why.trim_end_matches('.');
    match standing {
        Standing::Winner => Some(format!("chosen because {why}")),
        Standing::Fits => {
            let winner = cast.name(winner);
            Some(format!("{} meets the same, but {winner} was chosen: {why}", who.name))
        }
        Standing::Misses | Standing::Open => None,
    }
}

/// What a crash took in a trial that had one.
fn crashed(group: &Group<'_>) -> Option<String> {
    let lost = crash_losses(group)?;
    let mode = provenance(group.mode);
    Some(match lost {
        0 => format!("The crash in this run took nothing ({mode})"),
        lost => format!("The crash in this run took {} ({mode})", deliveries(lost)),
    })
}

/// p50, p99 and what they rest on.
fn figures(group: &Group<'_>) -> String {
    let times = |quantile: Quantile| {
        group.median(|trial| trial.delivery.response.get(quantile)).map(|us| {
            let mark = if group.is_limited(quantile) { "about " } else { "" };
            format!("{mark}{}", micros(us))
        })
    };
    let mode = provenance(group.mode);
    match (times(Quantile::P50), times(Quantile::P99), times(Quantile::Max)) {
        (Some(p50), Some(p99), _) => {
            format!("half within {p50}, 99 of 100 within {p99} ({mode}, {})", rests_on(group))
        }
        (Some(p50), None, Some(max)) => format!(
            "half within {p50}, the slowest {max}; too few for a p99 ({mode}, {})",
            rests_on(group)
        ),
        _ => format!("hardly a delivery to time ({mode}, {})", rests_on(group)),
    }
}

/// What to doubt, a sentence each.
pub(crate) fn doubts(record: &Record, cast: &Cast) -> Vec<String> {
    let groups = Groups::of(record);
    let mut out = Vec::new();
    if record.partial {
        out.push(
            "The run was interrupted: trials are missing or short, and nothing here is final."
                .to_owned(),
        );
    }
    for group in &groups.0 {
        for trial in group.trials.iter().filter(|trial| !trial.valid).take(3) {
            let reason = trial.invalid_reason.as_deref().unwrap_or("no reason is given");
            out.push(format!(
                "A trial of {} is invalid ({}): {}.",
                cast.name(group.key),
                provenance(group.mode),
                clean::line(reason, 240).trim_end_matches('.')
            ));
        }
    }
    if record.trials.is_empty() {
        out.push("There is no trial in this record.".to_owned());
        return out;
    }
    limited(&groups, cast, &mut out);
    let undecided: Vec<&str> = cast
        .all()
        .iter()
        .filter(|who| {
            record
                .verdict
                .objectives
                .iter()
                .any(|o| o.contender == who.key && o.outcome == Outcome::Undecided)
        })
        .map(|who| who.name.as_str())
        .collect();
    if !undecided.is_empty() {
        out.push(format!(
            "Some objectives of {} are undecided: there is no figure good enough to judge by.",
            list(&undecided)
        ));
    }
    match groups.most_repeats() {
        1 => out.push(
            "Each trial ran once. A simulated figure depends on nothing but the seed; how far a \
             measured one would move in another run is not known; --repeats 5 would show it."
                .to_owned(),
        ),
        repeats => out.push(format!(
            "Up to {repeats} runs of each: a figure is that of the median run, losses are sums."
        )),
    }
    if groups.0.iter().any(|group| group.mode.is_simulated()) {
        out.push(
            "Simulated figures are a model's. They are exact for the model, and as good as its \
             costs, which are listed below with source and date."
                .to_owned(),
        );
    }
    out.extend(unequal(&groups.0, cast));
    out
}

/// Quantiles that the instrument dominates, by mode.
fn limited(groups: &Groups<'_>, cast: &Cast, out: &mut Vec<String>) {
    for (mode, groups) in groups.by_mode() {
        let mut by_quantiles: Vec<(Vec<&str>, Vec<&str>)> = Vec::new();
        for group in groups {
            let quantiles: Vec<&str> = Quantile::ALL
                .into_iter()
                .filter(|quantile| group.is_limited(*quantile))
                .map(|quantile| match quantile {
                    Quantile::P999 => "p99.9",
                    Quantile::Max => "the slowest",
                    other => other.name(),
                })
                .collect();
            if quantiles.is_empty() {
                continue;
            }
            let name = cast.name(group.key);
            match by_quantiles.iter_mut().find(|(known, _)| *known == quantiles) {
                Some((_, names)) => names.push(name),
                None => by_quantiles.push((quantiles, vec![name])),
            }
        }
        let parts: Vec<String> = by_quantiles
            .iter()
            .map(|(quantiles, names)| format!("{} of {}", list(quantiles), list(names)))
            .collect();
        if !parts.is_empty() {
            out.push(format!(
                "Limited among {} figures: {}. The measuring itself makes up more than a tenth of \
                 them, so they are shown with ~ and rank nobody.",
                provenance(mode),
                parts.join("; ")
            ));
        }
    }
}
