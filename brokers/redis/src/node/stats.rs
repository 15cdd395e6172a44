//! What INFO counts.

use std::collections::BTreeMap;

use crate::frame::Verb;

/// Kinds of errors that are told apart; more would let a client fill memory.
const KINDS_MAX: usize = 128;

/// How often a command was given.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Calls {
    /// It ran.
    pub calls: u64,
    /// It was refused before it ran.
    pub rejected: u64,
    /// It ran and answered with an error.
    pub failed: u64,
}

/// Counters since the start, or since CONFIG RESETSTAT.
#[derive(Debug)]
pub(super) struct Stats {
    pub connections: u64,
    pub refused_connections: u64,
    pub errors: u64,
    by_verb: [Calls; Verb::COUNT],
    by_error: BTreeMap<Box<str>, u64>,
}

impl Stats {
    pub fn new() -> Stats {
        Stats {
            connections: 0,
            refused_connections: 0,
            errors: 0,
            by_verb: [Calls::default(); Verb::COUNT],
            by_error: BTreeMap::new(),
        }
    }

    /// A command runs.
    #[inline]
    pub fn called(&mut self, verb: Verb) {
        self.by_verb[verb as usize].calls += 1;
    }

    pub fn rejected(&mut self, verb: Verb) {
        self.by_verb[verb as usize].rejected += 1;
    }

    pub fn failed(&mut self, verb: Verb) {
        self.by_verb[verb as usize].failed += 1;
    }

    /// An error is answered; its first word is its kind.
    pub fn error(&mut self, text: &str) {
        self.errors += 1;
        let kind = text.split(' ').next().unwrap_or_default();
        if let Some(count) = self.by_error.get_mut(kind) {
            *count += 1;
        } else if self.by_error.len() < KINDS_MAX {
            self.by_error.insert(kind.into(), 1);
        }
    }

    /// Commands that ran.
    pub fn commands(&self) -> u64 {
        self.by_verb.iter().map(|calls| calls.calls).sum()
    }

    /// Commands that were given at least once.
    pub fn by_verb(&self) -> impl Iterator<Item = (Verb, Calls)> {
        let all = Verb::all().map(|verb| (verb, self.by_verb[verb as usize]));
        all.filter(|(_, calls)| calls.calls + calls.rejected > 0)
    }

    /// Errors by their first word.
    pub fn by_error(&self) -> impl Iterator<Item = (&str, u64)> {
        self.by_error.iter().map(|(kind, count)| (&**kind, *count))
    }
}
