//! Laying what was sent beside what was seen.

use broker_contract::Cause;

use super::absence::Absences;
use super::account::{Account, Messages, ScopeAccount};
use super::numbers::{PAGE, WORDS, Words};
use super::seen::SeenLog;
use super::sent::{Endings, SentLog};

/// A copy that somebody let go of, and why.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Drop {
    /// The message.
    pub number: u32,
    /// Whose copy; `None` for every scope's, as when the publisher's side lost it.
    pub scope: Option<u32>,
    /// Why.
    pub cause: Cause,
}

/// A time during which a member's subscription was not in force, on the run's
/// clock (zero is the end of set-up).
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Away {
    /// The scope it receives for.
    pub scope: u32,
    /// The member within its group; 0 without a group.
    pub seat: u32,
    /// From when the node no longer had the subscription.
    pub from_ns: u64,
    /// Until when it was confirmed again.
    pub until_ns: u64,
}

/// What a contender owes a scope for messages that it has acknowledged.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Duty {
    /// Nothing is kept: whoever is away, or loses a copy on the way, goes without.
    #[default]
    Fleeting,
    /// Messages wait for a subscription while it lasts, however far it lags; what
    /// it has not read when it ends is forgotten with it.
    Waiting,
    /// Messages are kept for a subscription that is away; what was on its way to
    /// a consumer may be lost, because the consumer acknowledges nothing.
    Kept,
    /// Each message comes again until the consumer acknowledges it: neither an
    /// absence nor a copy that was dropped on the way explains a loss.
    Settled,
}

/// A crash that may take acknowledged messages with it, because their
/// acknowledgement proved less than the crash destroys.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// When, on the run's clock.
    pub at_ns: u64,
    /// What was stored from this time on was not safe from it.
    pub lost_from_ns: u64,
    /// What happened.
    pub cause: Cause,
}

/// A durable position that an outage may have taken from a member that began
/// anew afterwards: nobody is left who knows where it was.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Forgotten {
    /// Whose position it was.
    pub scope: u32,
    /// When the member was back. What was sent until then may be passed over.
    pub until_ns: u64,
    /// What happened.
    pub cause: Cause,
}

/// The plan, drawn again.
///
/// Only asked about copies that went missing, and in ascending order of numbers,
/// so that an implementation can stream the plan. It may be asked several times
/// about one number, once for each scope.
pub trait Replay {
    /// When message `number` was intended.
    fn intended_ns(&mut self, number: u32) -> u64;

    /// Which seat of an emulated group takes message `number`; `None` when the
    /// broker shares the work, and for a scope without a group.
    fn owner(&mut self, scope: u32, number: u32) -> Option<u32>;
}

impl<R: Replay + ?Sized> Replay for &mut R {
    fn intended_ns(&mut self, number: u32) -> u64 {
        (**self).intended_ns(number)
    }

    fn owner(&mut self, scope: u32, number: u32) -> Option<u32> {
        (**self).owner(scope, number)
    }
}

/// Everything that decides what became of a run's messages.
///
/// A copy is expected when its message was attempted for its scope and did not
/// definitely fail; with an unknown outcome, only if it came. Of an expected copy
/// that did not come, the first of these that applies decides:
///
/// 1. It is not owed, and not expected after all, if it was intended before a
///    late subscription to new messages came into force.
/// 2. An exact [`Drop`] of it explains it, by its cause. [`Cause::NoSubscriber`]
///    and [`Cause::SubscriberAway`] are what a broker also says that has forgotten
///    a subscription, so they explain only what rule 4 would. Of an acknowledged
///    message, the scope's [`Duty`] says which drops count: where it is settled,
///    only those that end a message for good ([`Cause::Retention`],
///    [`Cause::MaxDeliver`]); where it is kept, those of the scope's own copy, too.
/// 3. It is *undrained* if it is listed so, or its scope was cut off while it was
///    still being served.
/// 4. It is explained if its scope was away at some moment between the message's
///    intended time and the longest transit after it: the one seat of a scope
///    without a group; the owner's seat of an emulated group; all seats at one
///    common moment where the broker shares the work. Where messages wait for
///    as long as the subscription lasts, any absence after the intended time does.
///    Not so for an acknowledged message that the contender has to keep or to settle.
/// 5. It is explained if an [`Outage`] could have destroyed it: it was stored
///    before, and may have been stored when what it was stored on was not safe; or
///    one that destroyed anything cut its scope off, and it was under way before
///    the scope was back.
/// 6. It is explained if it was sent before a member of its scope was back whose
///    position is [`Forgotten`].
/// 7. It is lost, unexplained.
#[derive(Clone, Debug)]
pub struct Reconcile<'a, R> {
    /// What was sent.
    pub sent: &'a SentLog,
    /// What was seen, all logs merged.
    pub seen: &'a SeenLog,
    /// Copies let go of, in order of time; of several for one copy the last counts.
    pub drops: &'a [Drop],
    /// Absences, in any order.
    pub away: &'a [Away],
    /// Copies still under way when the run was cut off, as (scope, number).
    pub undrained: &'a [(u32, u32)],
    /// Scopes that were still being served when the run was cut off.
    pub lagging: &'a [u32],
    /// The longest time from a message's intended moment to the node's handling.
    pub transit_ns: u64,
    /// Members of each scope's group; 1 for a scope without.
    pub seats: &'a [u32],
    /// What the contender owes each scope; nothing where the list is too short.
    pub duties: &'a [Duty],
    /// Until when each scope was not subscribed yet, and is owed nothing; 0 where
    /// the list is too short.
    pub joined_ns: &'a [u64],
    /// Crashes that may take what was acknowledged.
    pub outages: &'a [Outage],
    /// Positions that such crashes may have taken.
    pub forgotten: &'a [Forgotten],
    /// The plan.
    pub replay: R,
}

impl<R: Replay> Reconcile<'_, R> {
    /// Decides what became of every copy.
    ///
    /// # Panics
    /// If the two logs are not over the same scopes.
    pub fn run(self) -> Account {
        assert_eq!(
            self.sent.scopes(),
            self.seen.scopes(),
            "the logs of one run have the same scopes"
        );
        let (sent, seen) = (self.sent, self.seen);
        let mut scopes: Vec<ScopeAccount> = (0..sent.scopes())
            .map(|scope| {
                let scope = seen.scope(scope);
                ScopeAccount {
                    duplicates: scope.duplicates,
                    redelivered: scope.redelivered,
                    reordered: scope.reordered,
                    corrupt: scope.corrupt,
                    ..ScopeAccount::default()
                }
            })
            .collect();
        let mut judge = Judge::new(self);
        let mut examples = Vec::new();
        let mut endings = Endings::new();
        let (mut expected, mut came) = ([0; WORDS], [0; WORDS]);
        for page in 0..sent.pages().max(seen.pages()) {
            // Scopes with something missing, and what.
            let mut missing: Vec<(u32, Box<Words>)> = Vec::new();
            sent.read_page(page, &mut endings);
            let plain = sent.is_plain(page);
            for (scope, account) in (0..).zip(&mut scopes) {
                let (wanted, found) = (sent.expected_numbers(scope), &seen.scope(scope).numbers);
                if plain && wanted.same_page(found, page) {
                    account.expected += wanted.page_len(page);
                    account.delivered += wanted.page_len(page);
                    continue;
                }
                wanted.read_page(page, &mut expected);
                found.read_page(page, &mut came);
                if let Some(words) = account.settle(&endings, &expected, &came) {
                    missing.push((scope, words));
                }
            }
            let mut here = Vec::new();
            for word in 0..WORDS {
                here.clear();
                here.extend(
                    missing
                        .iter()
                        .map(|(scope, words)| (*scope, words[word]))
                        .filter(|(_, word)| *word != 0),
                );
                let mut left = here.iter().fold(0, |all, (_, word)| all | word);
                while left != 0 {
                    let bit = left.trailing_zeros();
                    left &= left - 1;
                    let number = page as u32 * PAGE + word as u32 * 64 + bit;
                    let acked = endings.acked[word] >> bit & 1 == 1;
                    for (scope, _) in here.iter().filter(|(_, word)| word >> bit & 1 == 1) {
                        let verdict = judge.decide(number, *scope, acked);
                        scopes[*scope as usize].missed(verdict, acked);
                        if verdict == Verdict::Unexplained && examples.len() < Account::EXAMPLES {
                            examples.push((number, *scope));
                        }
                    }
                }
            }
        }
        let messages = Messages {
            attempted: sent.attempted(),
            acked: sent.acked(),
            failed: sent.failed(),
            unknown: sent.unknown(),
            unacked: sent.unacked(),
        };
        Account {
            unexplained_examples: examples,
            oldest_lost_ns: judge.oldest_lost_ns,
            ..Account::of(messages, scopes)
        }
    }
}

impl ScopeAccount {
    /// Counts what came of a page, and returns what is missing from it, if
    /// anything is.
    fn settle(&mut self, ended: &Endings, expected: &Words, came: &Words) -> Option<Box<Words>> {
        let mut missing: Option<Box<Words>> = None;
        let count = |word: u64| u64::from(word.count_ones());
        for word in 0..WORDS {
            if expected[word] | came[word] == 0 {
                continue;
            }
            let wanted = expected[word] & ended.attempted[word];
            let hoped = wanted & !ended.failed[word];
            let due = hoped & !ended.unknown[word];
            self.delivered += count(hoped & came[word]);
            self.expected += count(due | hoped & came[word]);
            self.recovered += count(wanted & ended.unknown[word] & came[word]);
            self.aborted_reads += count(wanted & ended.failed[word] & came[word]);
            let stray = count(came[word] & !wanted);
            self.misdelivered += stray;
            self.corrupt += stray;
            let absent = due & !came[word];
            if absent != 0 {
                missing.get_or_insert_with(|| Box::new([0; WORDS]))[word] = absent;
            }
        }
        missing
    }

    fn missed(&mut self, verdict: Verdict, acked: bool) {
        match verdict {
            Verdict::Explained(cause) => {
                self.lost_explained += 1;
                *self.causes.entry(cause.name()).or_default() += 1;
                // A message that was given up on after many attempts did come.
                if acked && cause != Cause::MaxDeliver {
                    *self.acked_lost.entry(cause.name()).or_default() += 1;
                }
            }
            Verdict::Undrained => self.undrained += 1,
            Verdict::NotOwed => self.expected -= 1,
            Verdict::Unexplained => {
                self.lost_unexplained += 1;
                if acked {
                    *self.acked_lost.entry(UNEXPLAINED).or_default() += 1;
                }
            }
        }
    }
}

/// What acknowledged messages are listed under that are lost without a cause.
const UNEXPLAINED: &str = "unexplained";

/// What became of an expected copy that did not come.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Explained(Cause),
    Undrained,
    NotOwed,
    Unexplained,
}

/// The evidence, sorted so that it can be asked.
struct Judge<R> {
    /// By number and scope, those of all scopes last; among equals in order of time.
    drops: Vec<Drop>,
    /// As (number, scope), ascending.
    undrained: Vec<(u32, u32)>,
    /// By scope.
    lagging: Vec<bool>,
    absences: Absences,
    transit_ns: u64,
    /// By scope.
    duties: Vec<Duty>,
    /// By scope.
    joined_ns: Vec<u64>,
    outages: Vec<Outage>,
    forgotten: Vec<Forgotten>,
    oldest_lost_ns: Option<u64>,
    replay: R,
}

impl<R: Replay> Judge<R> {
    fn new(case: Reconcile<'_, R>) -> Judge<R> {
        let scopes = case.sent.scopes();
        // Most that is let go of is a copy that nobody expected or that came
        // another way; only the rest is worth sorting.
        let is_missing = |scope: u32, number: u32| {
            scope < scopes && case.sent.is_expected(scope, number) && !case.seen.seen(scope, number)
        };
        let mut drops: Vec<Drop> = case
            .drops
            .iter()
            .filter(|drop| drop.scope.is_none_or(|scope| is_missing(scope, drop.number)))
            .copied()
            .collect();
        drops.sort_by_key(place);
        let mut undrained: Vec<(u32, u32)> = case
            .undrained
            .iter()
            .filter(|(scope, number)| is_missing(*scope, *number))
            .map(|(scope, number)| (*number, *scope))
            .collect();
        undrained.sort_unstable();
        let mut lagging = vec![false; scopes as usize];
        for scope in case.lagging {
            if let Some(lags) = lagging.get_mut(*scope as usize) {
                *lags = true;
            }
        }
        let mut duties = case.duties.to_vec();
        duties.resize(scopes as usize, Duty::default());
        let mut joined_ns = case.joined_ns.to_vec();
        joined_ns.resize(scopes as usize, 0);
        Judge {
            drops,
            undrained,
            lagging,
            absences: Absences::new(scopes, case.seats, case.away),
            transit_ns: case.transit_ns,
            duties,
            joined_ns,
            outages: case.outages.to_vec(),
            forgotten: case.forgotten.to_vec(),
            oldest_lost_ns: None,
            replay: case.replay,
        }
    }

    fn decide(&mut self, number: u32, scope: u32, acked: bool) -> Verdict {
        let owed = self.duties[scope as usize];
        let duty = if acked || owed == Duty::Waiting { owed } else { Duty::Fleeting };
        let joined_ns = self.joined_ns[scope as usize];
        let asks = joined_ns > 0 || self.absences.any(scope) || !self.outages.is_empty();
        let intended_ns = if asks { self.replay.intended_ns(number) } else { 0 };
        if intended_ns < joined_ns {
            return Verdict::NotOwed;
        }
        let was_away = match duty {
            Duty::Fleeting => self.was_away(number, scope, intended_ns, self.transit_ns),
            Duty::Waiting => self.was_away(number, scope, intended_ns, u64::MAX),
            Duty::Kept | Duty::Settled => false,
        };
        let of_scope = self.drops_of(number, Some(scope)).iter().rev();
        let of_all = self.drops_of(number, None).iter().rev();
        for drop in of_scope.chain(of_all) {
            let counts = match (drop.cause, duty) {
                (Cause::Retention | Cause::MaxDeliver, _) => true,
                (_, Duty::Settled) => false,
                (Cause::NoSubscriber | Cause::SubscriberAway, _) => was_away,
                (_, Duty::Kept) => drop.scope.is_some(),
                (_, Duty::Fleeting | Duty::Waiting) => true,
            };
            if counts {
                return Verdict::Explained(drop.cause);
            }
        }
        if self.lagging[scope as usize] || self.undrained.binary_search(&(number, scope)).is_ok() {
            return Verdict::Undrained;
        }
        if was_away {
            return Verdict::Explained(Cause::SubscriberAway);
        }
        let latest_ns = intended_ns.saturating_add(self.transit_ns);
        let seat = self.absences.any(scope).then(|| self.replay.owner(scope, number)).flatten();
        let outage = self.outages.iter().find(|outage| {
            let was_stored = intended_ns <= outage.at_ns && latest_ns >= outage.lost_from_ns;
            // What takes messages takes subscriptions and positions as well: who was
            // cut off by it finds the place where it was only if that was safe.
            was_stored
                || outage.lost_from_ns <= outage.at_ns
                    && self.absences.any(scope)
                    && self.absences.span(
                        scope,
                        seat,
                        (outage.at_ns, outage.at_ns.saturating_add(self.transit_ns)),
                        (intended_ns, latest_ns),
                    )
        });
        match outage {
            Some(outage) => {
                if acked && intended_ns <= outage.at_ns {
                    let age_ns = outage.at_ns - intended_ns;
                    self.oldest_lost_ns = self.oldest_lost_ns.max(Some(age_ns));
                }
                Verdict::Explained(outage.cause)
            }
            None => {
                let mut lost = self.forgotten.iter();
                let lost = lost.find(|lost| lost.scope == scope && intended_ns <= lost.until_ns);
                lost.map_or(Verdict::Unexplained, |lost| Verdict::Explained(lost.cause))
            }
        }
    }

    /// Whether the scope was away within `wait_ns` of the intended time.
    fn was_away(&mut self, number: u32, scope: u32, intended_ns: u64, wait_ns: u64) -> bool {
        if !self.absences.any(scope) {
            return false;
        }
        let seat = self.replay.owner(scope, number);
        let until_ns = intended_ns.saturating_add(wait_ns);
        self.absences.touch(scope, seat, (intended_ns, until_ns))
    }

    fn drops_of(&self, number: u32, scope: Option<u32>) -> &[Drop] {
        let wanted = (number, scope.is_none(), scope);
        let from = self.drops.partition_point(|drop| place(drop) < wanted);
        let len = self.drops[from..].partition_point(|drop| place(drop) == wanted);
        &self.drops[from..from + len]
    }
}

fn place(drop: &Drop) -> (u32, bool, Option<u32>) {
    (drop.number, drop.scope.is_none(), drop.scope)
}
