//! The search against a broker that stores: nothing is found in an honest one,
//! and every flaw within some seeds.

use lab::contenders::ContenderSpec;
use lab::soak::attempt::{Extras, attempt_with};
use lab::soak::draft::Draft;
use lab::soak::draw::draw;
use lab::soak::judge::Violation;
use lab::soak::particulars;
use lab::soak::shrink::shrink;

use crate::client::Stored;
use crate::node::Flaw;

fn violations(draft: &Draft, flaw: Flaw, syncs: bool) -> Vec<Violation> {
    let draft = &for_keeper(draft.clone());
    // It has no costs of its own.
    let spec = ContenderSpec::plain("nats");
    let extras = Extras { twice: draft.seed.is_multiple_of(5), damages: 0 };
    attempt_with::<Stored>(draft, &spec, extras, &|_| Stored::with(flaw, syncs)).violations
}

/// The keeper shares work only among those who name one durable consumer.
fn for_keeper(mut draft: Draft) -> Draft {
    for receiver in draft.receivers.iter_mut().filter(|receiver| receiver.grouped) {
        receiver.keeping.durable = true;
        receiver.keeping.ack = "explicit";
    }
    draft
}

#[test]
fn nothing_is_found_in_an_honest_keeper() {
    let particulars = particulars::table();
    let mut failed = Vec::new();
    for seed in 0..400 {
        let draft = draw(seed, &particulars);
        let found = violations(&draft, Flaw::None, seed % 2 == 0);
        if !found.is_empty() {
            let kind = found[0].kind;
            let (small, _) = shrink(&draft, 200, |draft| {
                violations(draft, Flaw::None, seed % 2 == 0).iter().any(|it| it.kind == kind)
            });
            failed.push(format!("seed {seed}: {found:?}\n{}", small.to_toml()));
        }
    }
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn every_flaw_is_found() {
    let particulars = particulars::table();
    for flaw in [Flaw::ForgetsOnBoot, Flaw::AcksEarly, Flaw::NeverRedelivers] {
        let hit = (0..400).find_map(|seed| {
            let draft = draw(seed, &particulars);
            let kind = violations(&draft, flaw, false).first()?.kind;
            Some((seed, kind))
        });
        println!("{flaw:?}: {hit:?}");
        assert!(hit.is_some(), "{flaw:?} stays hidden");
    }
}
