//! Many seeds, several threads, one account.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use broker_contract::Contender;

use super::attempt::{Attempt, Extras, attempt};
use super::draft::Draft;
use super::draw::draw;
use super::judge::{Kind, Violation};
use super::particulars::{self, Particulars};
use super::shrink::shrink;
use super::store::Damaged;
use crate::contenders::{self, ContenderSpec, Visit};

/// What is to be searched.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The first seed.
    pub from: u64,
    /// How many.
    pub seeds: u64,
    /// Whom to try; none twice.
    pub contenders: Vec<ContenderSpec>,
    /// Threads; at least 1.
    pub jobs: usize,
    /// Every seed that this divides is run twice and its traces compared; 0: none.
    pub twice_every: u64,
    /// Pieces of damage done to the store of each run.
    pub damages: u32,
    /// Drafts tried at most to make a failing one smaller.
    pub budget: u32,
}

/// A run that broke a promise.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Its seed.
    pub seed: u64,
    /// The contender, as asked for.
    pub contender: String,
    /// What it broke, the gravest first; at least one.
    pub violations: Vec<Violation>,
    /// What was played: the smallest found that breaks the first of these.
    pub draft: Draft,
    /// Drafts tried to get there; `None` when nobody tried.
    pub shrunk_in: Option<u32>,
}

/// What a search of one contender has come to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Runs.
    pub runs: u64,
    /// Runs that broke a promise.
    pub failed: u64,
    /// Messages attempted.
    pub messages: u64,
    /// Copies delivered.
    pub deliveries: u64,
    /// Events of virtual time.
    pub events: u64,
    /// Rare events: how often, and in how many runs.
    pub rare: BTreeMap<String, (u64, u64)>,
    /// Rare events that it should have reached, and has not.
    pub unreached: Vec<String>,
    /// What became of damaged stores.
    pub damaged: Damaged,
}

/// What a search has come to.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// Seeds done.
    pub seeds: u64,
    /// By contender, as asked for.
    pub tallies: BTreeMap<String, Tally>,
    /// In order of seed, then of contender.
    pub failures: Vec<Failure>,
    /// A hash over the traces of all runs in order; the same search gives the same.
    pub hash: u64,
    /// Whether it ended before its time.
    pub interrupted: bool,
}

/// Failures of one contender and kind that are made smaller.
const SHRUNK_OF_A_KIND: usize = 1;

/// Plays a draft against the contender that a name decides.
struct Play<'a> {
    draft: &'a Draft,
    spec: &'a ContenderSpec,
    extras: Extras,
}

impl Visit for Play<'_> {
    type Out = Attempt;
    fn visit<C: Contender>(self) -> Attempt {
        attempt::<C>(self.draft, self.spec, self.extras)
    }
}

/// Plays `draft` against `spec`'s contender.
///
/// # Panics
/// If there is no such contender; specs are checked when they are read.
pub fn play(draft: &Draft, spec: &ContenderSpec, extras: Extras) -> Attempt {
    contenders::with(&spec.name, Play { draft, spec, extras }).expect("specs name contenders")
}

/// Searches; `done` is told after each seed how many are done and how many runs
/// have failed. Ends early when `interrupt` is set.
pub fn search(
    wanted: &Wanted,
    interrupt: &AtomicBool,
    done: &(dyn Fn(u64, u64) + Sync),
) -> Account {
    let particulars = particulars::table();
    let shared = Shared {
        wanted,
        particulars: &particulars,
        next: AtomicU64::new(0),
        finished: AtomicU64::new(0),
        failed: AtomicU64::new(0),
        shrunk: Mutex::default(),
        rows: Mutex::default(),
    };
    std::thread::scope(|scope| {
        for _ in 0..wanted.jobs.max(1) {
            scope.spawn(|| shared.work(interrupt, done));
        }
    });
    let interrupted = interrupt.load(Ordering::Relaxed);
    let rows = shared.rows.into_inner().unwrap_or_else(PoisonError::into_inner);
    Account { interrupted, ..sum_up(wanted, &particulars, rows) }
}

/// What the threads of a search share.
struct Shared<'a> {
    wanted: &'a Wanted,
    particulars: &'a BTreeMap<String, Particulars>,
    next: AtomicU64,
    finished: AtomicU64,
    failed: AtomicU64,
    /// Kinds of failures that were made smaller already.
    shrunk: Mutex<BTreeMap<(String, Kind), usize>>,
    /// By seed: a row for each contender, in the order asked for.
    rows: Mutex<BTreeMap<u64, Vec<Row>>>,
}

type Row = (Attempt, Option<Failure>);

impl Shared<'_> {
    fn work(&self, interrupt: &AtomicBool, done: &(dyn Fn(u64, u64) + Sync)) {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            if index >= self.wanted.seeds || interrupt.load(Ordering::Relaxed) {
                break;
            }
            let seed = self.wanted.from + index;
            let draft = draw(seed, self.particulars);
            let every = self.wanted.twice_every;
            let extras = Extras {
                twice: every > 0 && seed.is_multiple_of(every),
                damages: self.wanted.damages,
            };
            let rows: Vec<Row> = self
                .wanted
                .contenders
                .iter()
                .map(|spec| {
                    let attempt = play(&draft, spec, extras);
                    let failure = self.failure(&draft, spec, extras, &attempt);
                    (attempt, failure)
                })
                .collect();
            let failed = rows.iter().filter(|(_, failure)| failure.is_some()).count() as u64;
            let failed = self.failed.fetch_add(failed, Ordering::Relaxed) + failed;
            self.rows.lock().unwrap_or_else(PoisonError::into_inner).insert(seed, rows);
            done(self.finished.fetch_add(1, Ordering::Relaxed) + 1, failed);
        }
    }

    /// The failure that an attempt shows, if it does, as small as the budget allows.
    fn failure(
        &self,
        draft: &Draft,
        spec: &ContenderSpec,
        extras: Extras,
        attempt: &Attempt,
    ) -> Option<Failure> {
        let first = attempt.violations.first()?;
        let mut failure = Failure {
            seed: draft.seed,
            contender: spec.label.clone(),
            violations: attempt.violations.clone(),
            draft: draft.clone(),
            shrunk_in: None,
        };
        if self.wanted.budget > 0 && self.is_worth_shrinking(spec, first.kind) {
            let (small, tried) = shrink(draft, self.wanted.budget, |draft| {
                let again = play(draft, spec, extras);
                again.violations.iter().any(|violation| violation.kind == first.kind)
            });
            failure.draft = small;
            failure.shrunk_in = Some(tried);
        }
        Some(failure)
    }

    fn is_worth_shrinking(&self, spec: &ContenderSpec, kind: Kind) -> bool {
        let mut shrunk = self.shrunk.lock().unwrap_or_else(PoisonError::into_inner);
        let count = shrunk.entry((spec.label.clone(), kind)).or_default();
        *count += 1;
        *count <= SHRUNK_OF_A_KIND
    }
}

fn sum_up(
    wanted: &Wanted,
    particulars: &BTreeMap<String, Particulars>,
    rows: BTreeMap<u64, Vec<Row>>,
) -> Account {
    let mut account = Account { seeds: rows.len() as u64, ..Account::default() };
    for spec in &wanted.contenders {
        account.tallies.insert(spec.label.clone(), Tally::default());
    }
    for row in rows.into_values() {
        for (spec, (attempt, failure)) in wanted.contenders.iter().zip(row) {
            account.hash = (account.hash.rotate_left(5) ^ attempt.trace_hash)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let tally = account.tallies.entry(spec.label.clone()).or_default();
            tally.runs += 1;
            tally.failed += u64::from(failure.is_some());
            tally.messages += attempt.messages;
            tally.deliveries += attempt.deliveries;
            tally.events += attempt.events;
            tally.damaged.add(attempt.damaged);
            for (name, count) in attempt.rare {
                let (all, runs) = tally.rare.entry(name).or_default();
                *all += count;
                *runs += 1;
            }
            account.failures.extend(failure);
        }
    }
    for spec in &wanted.contenders {
        let tally = account.tallies.entry(spec.label.clone()).or_default();
        let expected: BTreeSet<&String> =
            particulars.get(&spec.name).into_iter().flat_map(|of| &of.rare).collect();
        tally.unreached =
            expected.into_iter().filter(|name| !tally.rare.contains_key(*name)).cloned().collect();
    }
    account
}
