//! Trials of one contender in one mode, taken together.

use std::collections::BTreeMap;

use crate::clean;
use crate::record::{Mode, Quantile, Record, Trial};

/// All repeats of one contender in one mode.
#[derive(Debug)]
pub(crate) struct Group<'a> {
    /// Clean, and short enough for a line.
    pub(crate) contender: String,
    /// As in the record.
    pub(crate) key: &'a str,
    pub(crate) mode: Mode,
    /// In the order of their repeats; at least one.
    pub(crate) trials: Vec<&'a Trial>,
}

/// Groups by mode, and in a mode in the order in which contenders first ran.
#[derive(Debug)]
pub(crate) struct Groups<'a>(pub(crate) Vec<Group<'a>>);

impl<'a> Groups<'a> {
    pub(crate) fn of(record: &'a Record) -> Groups<'a> {
        let mut first_seen: BTreeMap<&str, usize> = BTreeMap::new();
        for trial in &record.trials {
            let next = first_seen.len();
            first_seen.entry(&trial.contender).or_insert(next);
        }
        let mut by_key: BTreeMap<(Mode, usize), Group<'a>> = BTreeMap::new();
        for trial in &record.trials {
            let seat = first_seen.get(trial.contender.as_str()).copied().unwrap_or_default();
            by_key
                .entry((trial.mode, seat))
                .or_insert_with(|| Group {
                    contender: clean::line(&trial.contender, 60),
                    key: &trial.contender,
                    mode: trial.mode,
                    trials: Vec::new(),
                })
                .trials
                .push(trial);
        }
        let mut groups: Vec<Group<'a>> = by_key.into_values().collect();
        for group in &mut groups {
            group.trials.sort_by_key(|trial| trial.repeat);
        }
        Groups(groups)
    }

    /// The groups of each mode that there is.
    pub(crate) fn by_mode(&self) -> impl Iterator<Item = (Mode, &[Group<'a>])> {
        self.0.chunk_by(|a, b| a.mode == b.mode).map(|groups| (groups[0].mode, groups))
    }

    pub(crate) fn most_repeats(&self) -> usize {
        self.0.iter().map(|group| group.trials.len()).max().unwrap_or(0)
    }
}

impl Group<'_> {
    /// The trials that figures come from: the valid ones, or all where none is.
    fn counted(&self) -> Vec<&Trial> {
        let valid: Vec<&Trial> = self.trials.iter().copied().filter(|trial| trial.valid).collect();
        if valid.is_empty() { self.trials.clone() } else { valid }
    }

    /// The median over repeats of a figure; one that a run really had.
    pub(crate) fn median(&self, of: impl Fn(&Trial) -> Option<f64>) -> Option<f64> {
        let mut values: Vec<f64> =
            self.counted().into_iter().filter_map(of).filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len().saturating_sub(1) / 2).copied()
    }

    /// The sum over all repeats; an invalid trial's losses are losses too.
    pub(crate) fn sum(&self, of: impl Fn(&Trial) -> u64) -> u64 {
        self.trials.iter().fold(0, |sum, trial| sum.saturating_add(of(trial)))
    }

    /// Whether the instrument's lag dominates this quantile in any repeat.
    pub(crate) fn is_limited(&self, quantile: Quantile) -> bool {
        self.counted().iter().any(|trial| trial.delivery.response.is_limited(quantile))
    }

    /// The trial that stands for the others in a picture: the first that counts.
    pub(crate) fn shown(&self) -> &Trial {
        self.trials.iter().copied().find(|trial| trial.valid).unwrap_or(self.trials[0])
    }
}

/// What a mode's figures are.
pub(crate) const fn mode_label(mode: Mode) -> &'static str {
    match mode {
        Mode::Sim => "sim: simulated, in virtual time with modelled links and processors",
        Mode::Embedded => "embedded: measured on this machine, in one process, without links",
        Mode::Wire => "wire: measured on this machine, the same nodes behind TCP",
        Mode::Real => "real: measured against a broker of its own makers",
    }
}
