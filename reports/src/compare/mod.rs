//! Two records: what became better, what became worse, and what nobody can say.
//!
//! **What it is for.** [`compare`] sets two records side by side, contender by
//! contender and mode by mode. Each figure is found *better*, *worse* or
//! *without evidence*, with the medians, an interval of the change and the
//! number of runs that it rests on. [`Comparison`] has a form for a terminal, a
//! pull request, a browser, a CI server and a program ([`Form`]).
//!
//! **What it never does.** It never lines up figures under different contracts:
//! where an acknowledgement proves something else, where settings, the machine
//! or the scenario differ, it says so and leaves them out, unless told that the
//! difference is what is being looked at ([`Allow`]). It reads no file.
//!
//! **How it judges.** Wall-clock runs have noise: a figure counts as changed when
//! the rank test says that chance would rarely order the runs like this
//! ([`stats::mann_whitney`]), the bootstrap interval of the change leaves out
//! zero, and the change is at least the threshold. Virtual time has none: with
//! the same scenario and seed, whatever differs is the program's doing, so runs
//! are compared seed by seed, and every seed must agree.
//!
//! **Where to start reading.** [`compare`], then `judge.rs` for one figure.

mod contract;
mod form;
mod html;
mod judge;
mod junit;
mod markdown;
mod metrics;
pub mod stats;
mod text;

use std::collections::BTreeSet;

use serde::Serialize;

use crate::record::{Mode, Record, Trial};

pub use contract::{Allow, CompareError};
pub use form::{Form, UnknownForm};
pub use metrics::Unit;

/// How to compare.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// A rank test below this probability counts.
    pub alpha: f64,
    /// Changes below this share do not count, whatever the test says.
    pub threshold: f64,
    /// Differences between the records that are no reason to refuse.
    pub allow: Allow,
    /// Names of metrics to compare; empty for all. A name also stands for those
    /// that begin with it and a dot or an underscore, such as `delivery`.
    pub metrics: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Options { alpha: 0.05, threshold: 0.05, allow: Allow::default(), metrics: Vec::new() }
    }
}

/// Two records, compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The older or reference record, and the one judged against it.
    pub sides: [Side; 2],
    /// Name of the scenario; clean.
    pub scenario: String,
    /// Its title; clean.
    pub title: String,
    /// [`Options::alpha`].
    pub alpha: f64,
    /// [`Options::threshold`].
    pub threshold: f64,
    /// What to bear in mind, a sentence each.
    pub warnings: Vec<String>,
    /// In the order of the first record.
    pub pairs: Vec<Pair>,
}

/// One of the two records.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Side {
    /// What the caller calls it, such as a path; clean.
    pub name: String,
    /// When its run began; clean.
    pub started_at: String,
    /// Version and revision of the lab; clean.
    pub lab: String,
    /// The machine; clean.
    pub host: String,
    /// Its seed.
    pub seed: u64,
}

/// One contender in one mode, on both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pair {
    /// As in the records; clean.
    pub contender: String,
    /// How both were run.
    pub mode: Mode,
    /// Valid runs on each side.
    pub runs: [usize; 2],
    /// Runs on each side that were left out, because they are not valid.
    pub invalid: [usize; 2],
    /// Whether runs were compared seed by seed.
    pub by_seed: bool,
    /// Whether every simulated run has the same trace on both sides.
    pub same_trace: bool,
    /// Why nothing is compared, if so.
    pub refused: Option<String>,
    /// One for each figure.
    pub rows: Vec<Row>,
}

/// One figure on both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// For programs, such as `delivery_p99`.
    pub metric: String,
    /// For people, such as `delivery p99`.
    pub title: String,
    /// What it is counted in.
    pub unit: Unit,
    /// Which way is better.
    pub higher_is_better: bool,
    /// Median over the runs of the first record; `None` where there is no figure.
    pub a: Option<f64>,
    /// The same of the second record.
    pub b: Option<f64>,
    /// Runs with this figure on each side.
    pub runs: [usize; 2],
    /// Relative change of the median (0.1: 10 % more); `None` from zero.
    pub change: Option<f64>,
    /// Where the change lies: a 95 % bootstrap interval over runs; seed by seed,
    /// the smallest and the largest change.
    pub interval: Option<[f64; 2]>,
    /// Two-sided p-value of the rank test; `None` seed by seed, and for brackets.
    pub p: Option<f64>,
    /// What follows.
    pub finding: Finding,
    /// Why, where the figures alone do not say it; empty otherwise.
    pub reason: String,
}

/// What follows from a figure on both sides.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// The second record's is better.
    Better,
    /// The second record's is worse.
    Worse,
    /// Nothing here shows a difference that matters.
    NoEvidence,
}

impl Finding {
    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Finding::Better => "better",
            Finding::Worse => "worse",
            Finding::NoEvidence => "no evidence",
        }
    }
}

/// Sets `b` against `a`. The names are what the records are called in the
/// result, such as their paths.
///
/// # Errors
/// [`CompareError`], always one line, where nothing can be compared at all.
pub fn compare(
    a: (&str, &Record),
    b: (&str, &Record),
    options: &Options,
) -> Result<Comparison, CompareError> {
    contract::comparable(a.1, b.1, &options.allow)?;
    let mut keys: Vec<(&str, Mode)> = Vec::new();
    for record in [a.1, b.1] {
        let trials = record.trials.iter().map(|trial| (trial.contender.as_str(), trial.mode));
        let rates = record.capacity.iter().map(|of| (of.contender.as_str(), of.mode));
        for key in trials.chain(rates) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
    }
    keys.sort_by_key(|(_, mode)| *mode);
    let pairs: Vec<Pair> = keys
        .into_iter()
        .map(|(contender, mode)| pair(a.1, b.1, contender, mode, options))
        .collect();
    let known: BTreeSet<&str> =
        pairs.iter().flat_map(|pair| pair.rows.iter().map(|row| row.metric.as_str())).collect();
    if known.is_empty() && pairs.iter().all(|pair| pair.refused.is_none()) {
        return Err(CompareError::NoMetric(crate::clean::line(&options.metrics.join(", "), 80)));
    }
    Ok(Comparison {
        sides: [contract::side(a.0, a.1), contract::side(b.0, b.1)],
        scenario: crate::clean::line(&b.1.scenario.name, 60),
        title: crate::clean::line(&b.1.scenario.title, 240),
        alpha: options.alpha,
        threshold: options.threshold,
        warnings: contract::warnings(a.1, b.1),
        pairs,
    })
}

fn pair(a: &Record, b: &Record, contender: &str, mode: Mode, options: &Options) -> Pair {
    let of = |record: &'_ Record| -> Vec<Trial> {
        let mine = |trial: &&Trial| trial.contender == contender && trial.mode == mode;
        let mut mine: Vec<Trial> = record.trials.iter().filter(mine).cloned().collect();
        mine.sort_by_key(|trial| trial.repeat);
        mine
    };
    let both = [of(a), of(b)];
    let valid = both.each_ref().map(|all| all.iter().filter(|t| t.valid).collect::<Vec<&Trial>>());
    let repeats = |trials: &[&Trial]| trials.iter().map(|t| t.repeat).collect::<Vec<u32>>();
    let [left, right] = &valid;
    let by_seed = mode.is_simulated() && a.seed == b.seed && repeats(left) == repeats(right);
    let same_trace = by_seed
        && !left.is_empty()
        && left
            .iter()
            .zip(right)
            .all(|(a, b)| a.trace_hash.is_some() && a.trace_hash == b.trace_hash);
    let rate = |record: &'_ Record| {
        record.capacity.iter().find(|of| of.contender == contender && of.mode == mode).cloned()
    };
    let rates = [rate(a), rate(b)];
    let refused = contract::refusal(a, b, &both, &rates, mode, &options.allow);
    let mut pair = Pair {
        contender: crate::clean::line(contender, 60),
        mode,
        runs: valid.each_ref().map(Vec::len),
        invalid: [both[0].len() - left.len(), both[1].len() - right.len()],
        by_seed,
        same_trace,
        refused,
        rows: Vec::new(),
    };
    if pair.refused.is_some() {
        return pair;
    }
    let wanted = |name: &str| {
        options.metrics.is_empty()
            || options.metrics.iter().any(|wanted| {
                let rest = name.strip_prefix(wanted.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '_']))
            })
    };
    for metric in metrics::all(left.iter().chain(right).copied()) {
        if wanted(&metric.name) {
            let salt = format!("{contender}/{mode}/{}", metric.name);
            pair.rows.extend(judge::row(&metric, left, right, by_seed, &salt, options));
        }
    }
    if let [Some(from), Some(to)] = &rates
        && wanted("capacity")
    {
        pair.rows.push(judge::capacity(from, to, options));
    }
    pair
}

impl Comparison {
    /// Rows with this finding, with the pair that each is in.
    pub fn found(&self, finding: Finding) -> impl Iterator<Item = (&Pair, &Row)> {
        self.pairs
            .iter()
            .flat_map(|pair| pair.rows.iter().map(move |row| (pair, row)))
            .filter(move |(_, row)| row.finding == finding)
    }

    /// Pairs that could not be compared.
    pub fn refused(&self) -> impl Iterator<Item = &Pair> {
        self.pairs.iter().filter(|pair| pair.refused.is_some())
    }

    /// The outcome in a sentence or two.
    pub fn verdict(&self) -> String {
        let names = |finding: Finding| {
            let all: Vec<String> = self
                .found(finding)
                .map(|(pair, row)| {
                    let by = row.change.map_or_else(String::new, |c| format!(" {}", percent(c)));
                    format!("{} {} {}{by}", pair.contender, pair.mode, row.title)
                })
                .collect();
            match all.len() {
                0..=4 => all.join(", "),
                more => format!("{}, and {} more", all[..3].join(", "), more - 3),
            }
        };
        let figures = self.pairs.iter().map(|pair| pair.rows.len()).sum::<usize>();
        let (worse, better) =
            (self.found(Finding::Worse).count(), self.found(Finding::Better).count());
        let mut out = match (worse, better) {
            (0, 0) if figures == 0 => "Nothing could be compared.".to_owned(),
            (0, 0) => format!("No evidence of a difference in any of {figures} figures."),
            _ => format!("Of {figures} figures {worse} are worse and {better} better."),
        };
        if worse > 0 {
            out.push_str(&format!(" Worse: {}.", names(Finding::Worse)));
        }
        if better > 0 {
            out.push_str(&format!(" Better: {}.", names(Finding::Better)));
        }
        match self.refused().count() {
            0 => {}
            1 => out.push_str(" One contender and mode could not be compared."),
            more => out.push_str(&format!(" {more} contenders and modes could not be compared.")),
        }
        out
    }

    /// Why figures without evidence have none, and how far to trust the others;
    /// a sentence each.
    pub fn remarks(&self) -> Vec<String> {
        let mut out = Vec::new();
        let rank_tested =
            || self.pairs.iter().filter(|pair| !pair.by_seed && pair.refused.is_none());
        let mut small: BTreeSet<[usize; 2]> = BTreeSet::new();
        for pair in rank_tested().filter(|pair| pair.runs[0] > 0 && pair.runs[1] > 0) {
            if stats::least_p(pair.runs[0], pair.runs[1]) >= self.alpha {
                small.insert(pair.runs);
            }
        }
        for [n, m] in small {
            let least = stats::least_p(n, m);
            let remedy = stats::runs_needed(self.alpha).map_or_else(String::new, |runs| {
                format!("; {runs} against {runs} can (`lab run --repeats {runs}`)")
            });
            out.push(format!(
                "{n} against {m} runs cannot reach p < {}: the least possible is {least:.2}{remedy}.",
                self.alpha
            ));
        }
        let tests = rank_tested().flat_map(|pair| &pair.rows).filter(|row| row.p.is_some()).count();
        let by_chance = tests as f64 * self.alpha;
        if by_chance >= 0.5 {
            out.push(format!(
                "Of {tests} rank tests at p < {}, about {by_chance:.0} would fall below it by \
                 chance alone, before the interval and the threshold are asked.",
                self.alpha
            ));
        }
        if self.pairs.iter().any(|pair| pair.by_seed && pair.refused.is_none()) {
            out.push(
                "Simulated runs of the same scenario and seed have no noise, so they are compared \
                 seed by seed; the interval is the range over the seeds, and other seeds may differ."
                    .to_owned(),
            );
        }
        out
    }
}

/// A relative change for people, such as `+1.5 %` or `x12`.
pub fn percent(change: f64) -> String {
    if change >= 9.995 {
        return if change < 1e4 { format!("x{:.0}", change + 1.0) } else { "x10,000+".to_owned() };
    }
    let percent = change * 100.0;
    if percent.abs() < 0.05 {
        "0 %".to_owned()
    } else if percent.abs() < 9.95 {
        format!("{percent:+.1} %")
    } else {
        format!("{percent:+.0} %")
    }
}

/// An interval of relative changes for people, such as `-0.3 to +2.1 %`.
pub fn range(interval: Option<[f64; 2]>) -> String {
    let Some([low, high]) = interval else { return "-".to_owned() };
    let (low, high) = (percent(low), percent(high));
    match low.strip_suffix(" %") {
        Some(low) if high.ends_with('%') => format!("{low} to {high}"),
        _ => format!("{low} to {high}"),
    }
}
