//! The search is tested with contenders that have one thing wrong: it must find
//! each within some seeds, and must find nothing in honest ones.

mod flaws;

use std::sync::atomic::AtomicBool;

use broker_contract::Contender;
use lab::contenders::{self, ContenderSpec, Visit};
use lab::soak::attempt::{Attempt, Extras, attempt_with};
use lab::soak::draft::Draft;
use lab::soak::draw::draw;
use lab::soak::particulars;
use lab::soak::search::{Account, Wanted, play, search};
use lab::soak::shrink::shrink;

use flaws::{Deed, Flawed};

/// Seeds that a flaw may stay hidden for.
const SEEDS: u64 = 60;

/// Plays a draft against the contender `name` with something wrong.
struct PlayFlawed<'a>(&'a Draft, &'a ContenderSpec, Deed);

impl Visit for PlayFlawed<'_> {
    type Out = Attempt;
    fn visit<C: Contender>(self) -> Attempt {
        let extras = Extras { twice: self.2 == Deed::Wobble, damages: 0 };
        let flaw = |configured| Flawed::<C>::with(configured, self.2);
        attempt_with::<Flawed<C>>(self.0, self.1, extras, &flaw)
    }
}

fn play_flawed(draft: &Draft, name: &str, deed: Deed) -> Attempt {
    let spec = ContenderSpec::plain(name);
    contenders::with(name, PlayFlawed(draft, &spec, deed)).expect("it is in the table")
}

fn wanted(seeds: u64, jobs: usize) -> Wanted {
    let names = contenders::names();
    Wanted {
        from: 0,
        seeds,
        contenders: names.iter().map(|name| ContenderSpec::plain(name)).collect(),
        jobs,
        twice_every: 7,
        damages: 1,
        budget: 0,
    }
}

fn honest(seeds: u64, jobs: usize) -> Account {
    search(&wanted(seeds, jobs), &AtomicBool::new(false), &|_, _| {})
}

#[test]
fn every_flaw_is_found_and_nothing_in_honest_contenders() {
    let particulars = particulars::table();
    let (mut found, mut all, mut missed) = (0, 0, Vec::new());
    println!("contender   flaw      found at seed  as");
    for name in contenders::names() {
        for deed in Deed::ALL {
            let mut stored = false;
            let hit = (0..SEEDS).find_map(|seed| {
                let attempt = play_flawed(&draw(seed, &particulars), name, deed);
                stored |= attempt.stored_bytes > 0;
                Some((seed, attempt.violations.first()?.kind))
            });
            // Who stores nothing forgets nothing.
            if deed == Deed::Amnesia && !stored {
                continue;
            }
            all += 1;
            match hit {
                Some((seed, kind)) => {
                    found += 1;
                    println!("{name:<11} {:<9} {seed:>13}  {kind}", format!("{deed:?}"));
                }
                None => missed.push(format!("{deed:?} in {name}")),
            }
        }
    }
    println!("kill rate: {found} of {all}");
    assert!(missed.is_empty(), "not found in {SEEDS} seeds: {missed:?}");
}

#[test]
fn an_honest_contender_in_the_wrapper_runs_the_same_trace() {
    let particulars = particulars::table();
    for name in contenders::names() {
        for seed in 0..20 {
            let draft = draw(seed, &particulars);
            let wrapped = play_flawed(&draft, name, Deed::None);
            let plain = play(&draft, &ContenderSpec::plain(name), Extras::default());
            assert_eq!(wrapped.trace_hash, plain.trace_hash, "{name}, seed {seed}");
        }
    }
}

#[test]
fn a_search_gives_the_same_account_on_any_number_of_threads() {
    let (one, three) = (honest(24, 1), honest(24, 3));
    assert_eq!(one.hash, three.hash);
    assert_eq!(one.seeds, 24);
    for (label, tally) in &one.tallies {
        assert_eq!(tally.rare, three.tallies[label].rare, "{label}");
        assert!(tally.deliveries > 1_000, "{label}: {tally:?}");
    }
}

#[test]
fn a_failure_is_made_smaller_and_stays_one() {
    let particulars = particulars::table();
    let name = contenders::names()[0];
    let fails = |draft: &Draft| !play_flawed(draft, name, Deed::Lose).violations.is_empty();
    let draft = (0..SEEDS)
        .map(|seed| draw(seed, &particulars))
        .find(|draft| !draft.strikes.is_empty() && draft.receivers.len() > 1 && fails(draft))
        .expect("one fails");
    let (small, tried) = shrink(&draft, 300, fails);
    println!("{tried} tries\n{}", small.to_toml());
    assert!(fails(&small) && small.strikes.is_empty() && small.receivers.len() == 1);
    assert!(small.to_toml().len() < draft.to_toml().len());
}
