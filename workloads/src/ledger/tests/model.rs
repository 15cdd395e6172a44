//! Random histories with anomalies put in on purpose, held against a model that
//! knows them one by one and tries every moment of every absence.

use std::collections::BTreeSet;

use broker_contract::Cause;
use proptest::prelude::*;

use super::*;

/// What happens to one expected copy.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Comes,
    ComesTwice,
    ComesAgainMarked,
    ComesLateMarked,
    Damaged,
    Vanishes,
    DroppedHere(Cause),
    DroppedForAll(Cause),
    UnderWay,
}

#[derive(Clone, Debug)]
struct Message {
    number: u32,
    key: u32,
    how: Option<Attempt>,
    /// For each scope: whether it is expected, and its fate.
    copies: Vec<(bool, Fate)>,
    /// A scope that gets it although it is not expected there.
    stray: Option<u32>,
}

#[derive(Clone, Debug)]
struct History {
    messages: Vec<Message>,
    seats: Vec<u32>,
    emulated: Vec<bool>,
    away: Vec<Away>,
    lagging: Vec<u32>,
    transit_ns: u64,
    duty: Duty,
    /// Adjacent deliveries that change places.
    swaps: BTreeSet<usize>,
    /// Whether further copies go through a log of another thread.
    two_threads: bool,
}

fn cause() -> impl Strategy<Value = Cause> {
    prop::sample::select(vec![
        Cause::NoSubscriber,
        Cause::SubscriberAway,
        Cause::SlowConsumer,
        Cause::ConnectionDropped,
        Cause::Retention,
        Cause::MaxDeliver,
    ])
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        8 => Just(Fate::Comes),
        1 => Just(Fate::ComesTwice),
        1 => Just(Fate::ComesAgainMarked),
        1 => Just(Fate::ComesLateMarked),
        1 => Just(Fate::Damaged),
        2 => Just(Fate::Vanishes),
        1 => cause().prop_map(Fate::DroppedHere),
        1 => cause().prop_map(Fate::DroppedForAll),
        1 => Just(Fate::UnderWay),
    ]
}

fn outcome() -> impl Strategy<Value = Option<Attempt>> {
    prop_oneof![
        5 => Just(Some(Attempt::Acked)),
        4 => Just(Some(Attempt::Sent)),
        1 => Just(Some(Attempt::Failed)),
        1 => Just(Some(Attempt::Unknown)),
        1 => Just(None),
    ]
}

fn history() -> impl Strategy<Value = History> {
    (1..4_usize, 1..80_usize).prop_flat_map(|(scopes, messages)| {
        let message = (
            // Gaps now and then reach into the next pages.
            prop_oneof![20 => 1..4_u32, 1 => 60_000..70_000_u32],
            0..4_u32,
            outcome(),
            prop::collection::vec((prop::bool::weighted(0.8), fate()), scopes),
            prop::option::weighted(0.1, 0..scopes as u32),
        );
        let messages = prop::collection::vec(message, messages).prop_map(|drawn| {
            let mut next = 0;
            drawn
                .into_iter()
                .map(|(gap, key, how, copies, stray)| {
                    next += gap;
                    Message { number: next, key, how, copies, stray }
                })
                .collect()
        });
        let away = (0..scopes as u32, 0..3_u32, 0..160_u64, 0..40_u64).prop_map(
            |(scope, seat, from_ns, len)| Away { scope, seat, from_ns, until_ns: from_ns + len },
        );
        (
            messages,
            prop::collection::vec((1..4_u32, any::<bool>()), scopes),
            prop::collection::vec(away, 0..12),
            prop::collection::vec(0..scopes as u32, 0..2),
            0..4_u64,
            prop::sample::select(vec![Duty::Fleeting, Duty::Waiting, Duty::Kept, Duty::Settled]),
            prop::collection::btree_set(0..100_usize, 0..4),
            any::<bool>(),
        )
            .prop_map(
                |(messages, seats, away, lagging, transit_ns, duty, swaps, two_threads)| {
                    let (seats, emulated): (Vec<u32>, Vec<bool>) = seats.into_iter().unzip();
                    let mut history = History {
                        messages,
                        seats,
                        emulated,
                        away,
                        lagging,
                        transit_ns,
                        duty,
                        swaps,
                        two_threads,
                    };
                    for away in &mut history.away {
                        away.seat %= history.seats[away.scope as usize];
                    }
                    history
                },
            )
    })
}

impl History {
    /// What the model says of a copy that did not come.
    fn excuse(&self, message: &Message, scope: usize, fate: Fate) -> Option<&'static str> {
        let acked = message.how == Some(Attempt::Acked);
        let from = u64::from(message.number);
        let gone = |seat: u32, at: u64| {
            self.away.iter().any(|away| {
                away.scope as usize == scope
                    && away.seat == seat
                    && away.from_ns <= at
                    && at <= away.until_ns
            })
        };
        let kept = matches!(self.duty, Duty::Kept | Duty::Settled);
        let duty = if kept && !acked { Duty::Fleeting } else { self.duty };
        // No absence in the model ends later than this.
        let wait_ns = if duty == Duty::Waiting { 1_000 } else { self.transit_ns };
        let is_owed = matches!(duty, Duty::Kept | Duty::Settled);
        let away = !is_owed
            && (from..=from + wait_ns).any(|at| {
                if self.emulated[scope] {
                    gone(message.number % self.seats[scope], at)
                } else {
                    (0..self.seats[scope]).all(|seat| gone(seat, at))
                }
            });
        let ends_it = |cause: Cause| matches!(cause, Cause::Retention | Cause::MaxDeliver);
        let believed =
            |cause: Cause| away || !matches!(cause, Cause::NoSubscriber | Cause::SubscriberAway);
        // Its own drop first, then the last of those for all.
        let own = match fate {
            Fate::DroppedHere(cause)
                if ends_it(cause) || (duty != Duty::Settled && believed(cause)) =>
            {
                Some(cause)
            }
            _ => None,
        };
        let for_all = || {
            message.copies.iter().rev().find_map(|(expected, fate)| match fate {
                Fate::DroppedForAll(cause)
                    if *expected && (ends_it(*cause) || (!is_owed && believed(*cause))) =>
                {
                    Some(*cause)
                }
                _ => None,
            })
        };
        if let Some(cause) = own.or_else(for_all) {
            return Some(cause.name());
        }
        if fate == Fate::UnderWay || self.lagging.contains(&(scope as u32)) {
            return Some("undrained");
        }
        away.then_some("subscriber_away")
    }
}

/// A copy on its way to a consumer.
#[derive(Clone, Copy, Debug)]
struct Copy {
    scope: u32,
    identity: Identity,
    redelivered: bool,
    damaged: bool,
    further: bool,
}

/// Plays a history into the logs; returns the copies in the order delivered.
fn play(history: &History) -> (Run, Vec<Copy>) {
    let mut run = Run::new(history.seats.len() as u32);
    run.seats.clone_from(&history.seats);
    run.emulated.clone_from(&history.emulated);
    run.away.clone_from(&history.away);
    run.lagging.clone_from(&history.lagging);
    run.transit_ns = history.transit_ns;
    run.duty = history.duty;
    let mut copies = Vec::new();
    let mut sequences = [0; 4];
    for message in &history.messages {
        let number = message.number;
        let sequence = sequences[message.key as usize];
        sequences[message.key as usize] += 1;
        let key = message.key;
        let identity = Identity { producer: 0, sequence, number, key, intended_ns: 0, lag_ns: 0 };
        run.sent.attempt(number);
        for (scope, (expected, fate)) in (0..).zip(&message.copies) {
            let copy = Copy { scope, identity, redelivered: false, damaged: false, further: false };
            if !expected {
                if message.stray == Some(scope) {
                    copies.push(copy);
                }
                continue;
            }
            run.sent.expect(scope, number);
            match *fate {
                Fate::Comes => copies.push(copy),
                Fate::ComesTwice => copies.extend([copy, Copy { further: true, ..copy }]),
                Fate::ComesAgainMarked => {
                    copies.extend([copy, Copy { redelivered: true, further: true, ..copy }]);
                }
                Fate::ComesLateMarked => copies.push(Copy { redelivered: true, ..copy }),
                Fate::Damaged => copies.push(Copy { damaged: true, ..copy }),
                Fate::Vanishes => {}
                Fate::DroppedHere(cause) => {
                    run.drops.push(Drop { number, scope: Some(scope), cause });
                }
                Fate::DroppedForAll(cause) => run.drops.push(Drop { number, scope: None, cause }),
                Fate::UnderWay => run.undrained.push((scope, number)),
            }
        }
        if let Some(how) = message.how {
            run.sent.outcome(number, how);
        }
    }
    for at in &history.swaps {
        // A further copy stays behind its first, or it would be the first.
        if let Some([left, right]) = copies.get_mut(*at..at + 2)
            && !left.further
            && !right.further
        {
            std::mem::swap(left, right);
        }
    }
    let mut other = SeenLog::new(run.sent.scopes());
    for copy in &copies {
        let mut payload = [9; 50];
        copy.identity.stamp(&mut payload);
        if copy.damaged {
            payload[copy.identity.number as usize % 50] ^= 0x40;
        }
        let log = if history.two_threads && copy.further { &mut other } else { &mut run.seen };
        log.deliver(copy.scope, &payload, copy.redelivered);
    }
    run.seen.merge(other);
    (run, copies)
}

/// First deliveries that came after a later one of their key in their scope.
fn overtaken(copies: &[Copy]) -> u64 {
    let counts = |copy: &&Copy| !copy.damaged && !copy.redelivered && !copy.further;
    let mut found = 0;
    for (at, copy) in copies.iter().enumerate().filter(|(_, copy)| counts(copy)) {
        let late = copies[..at].iter().filter(counts).any(|earlier| {
            earlier.scope == copy.scope
                && earlier.identity.key == copy.identity.key
                && earlier.identity.sequence > copy.identity.sequence
        });
        found += u64::from(late);
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_anomaly_put_in_is_found_and_none_is_invented(history in history()) {
        let (run, copies) = play(&history);
        let account = run.account();

        let mut model = Account::default();
        for message in &history.messages {
            model.messages.attempted += 1;
            match message.how {
                Some(Attempt::Acked) => model.messages.acked += 1,
                Some(Attempt::Failed) => model.messages.failed += 1,
                Some(Attempt::Sent) => model.messages.unacked += 1,
                Some(Attempt::Unknown) | None => model.messages.unknown += 1,
            }
            for (scope, (expected, fate)) in message.copies.iter().enumerate() {
                if !expected {
                    let stray = message.stray == Some(scope as u32);
                    model.misdelivered += u64::from(stray);
                    model.corrupt += u64::from(stray);
                    continue;
                }
                let came = match fate {
                    Fate::Comes | Fate::ComesLateMarked => true,
                    Fate::ComesTwice => {
                        model.duplicates += 1;
                        true
                    }
                    Fate::ComesAgainMarked => {
                        model.redelivered += 1;
                        true
                    }
                    Fate::Damaged => {
                        model.corrupt += 1;
                        false
                    }
                    _ => false,
                };
                match (message.how, came) {
                    (Some(Attempt::Failed), came) => model.aborted_reads += u64::from(came),
                    (None | Some(Attempt::Unknown), came) => {
                        model.recovered += u64::from(came);
                        model.deliveries.expected += u64::from(came);
                        model.deliveries.delivered += u64::from(came);
                    }
                    (_, true) => {
                        model.deliveries.expected += 1;
                        model.deliveries.delivered += 1;
                    }
                    (_, false) => {
                        model.deliveries.expected += 1;
                        match history.excuse(message, scope, *fate) {
                            Some("undrained") => model.deliveries.undrained += 1,
                            Some(cause) => {
                                model.deliveries.lost_explained += 1;
                                *model.causes.entry(cause).or_default() += 1;
                                if message.how == Some(Attempt::Acked) && cause != "max_deliver" {
                                    *model.acked_lost.entry(cause).or_default() += 1;
                                }
                            }
                            None => {
                                model.deliveries.lost_unexplained += 1;
                                if message.how == Some(Attempt::Acked) {
                                    *model.acked_lost.entry("unexplained").or_default() += 1;
                                }
                                model.unexplained_examples.push((message.number, scope as u32));
                            }
                        }
                    }
                }
            }
        }
        model.reordered = overtaken(&copies);
        model.unexplained_examples.truncate(Account::EXAMPLES);
        model.scopes.clone_from(&account.scopes);
        prop_assert_eq!(&account, &model);
        let lost: u64 = account.scopes.iter().map(|scope| scope.lost_unexplained).sum();
        prop_assert_eq!(lost, account.deliveries.lost_unexplained);
    }
}
