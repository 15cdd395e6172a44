//! The receiving half of a trial: what applications do with deliveries.
//!
//! Every seat (one subscription of one member) works on one message at a time.
//! The time it takes is modelled in all modes, never burned: on a machine with
//! two cores a worker that really spun would be measuring itself.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use broker_contract::{
    AckPolicy, Cause, Delivery, Envelope, IDENTITY_LEN, Identity, SeedStream, Settle, Time,
};
use lab_workloads::ledger::{Drop, Seen, SeenLog};
use lab_workloads::plan::draw;
use lab_workloads::scenario::model::{Durations, Role, Scenario};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rustc_hash::FxHashMap;

use super::cast::Cast;
use super::terms::Terms;
use super::{CopyDrop, Handled};
use crate::measure::anatomy::Downward;
use crate::measure::meters::Meters;

/// Something a seat does when it has finished with a message.
#[derive(Clone, Debug)]
pub enum FollowUp {
    /// Tell the broker what became of a delivery.
    Settle {
        /// The seat.
        seat: u32,
        /// Which delivery.
        token: u64,
        /// What became of it.
        settle: Settle,
        /// The seat's incarnation when this was planned; an older one is void.
        incarnation: u32,
    },
    /// Answer a request.
    Reply {
        /// The seat.
        seat: u32,
        /// Where the answer goes.
        to: Box<[u8]>,
        /// The answer.
        payload: Box<[u8]>,
        /// The seat's incarnation when this was planned; an older one is void.
        incarnation: u32,
    },
    /// Take the next message that waits.
    Take {
        /// The seat.
        seat: u32,
        /// The seat's incarnation when this was planned; an older one is void.
        incarnation: u32,
    },
}

/// A follow-up and when it is due, on the driver's clock.
pub type Due = (Time, FollowUp);

/// A delivery in a seat's inbox.
#[derive(Debug)]
struct Waiting {
    message: Envelope,
    token: u64,
    redelivered: bool,
    released_ns: u64,
    received_ns: u64,
}

#[derive(Debug)]
struct SeatState {
    population: u16,
    scope: u32,
    busy_until: Time,
    incarnation: u32,
    factor: f64,
    at_least: Duration,
    /// Messages that it holds before its client stops reading.
    inbox: usize,
    wake_planned: bool,
    waiting: VecDeque<Waiting>,
    rng: ChaCha8Rng,
}

/// A message whose processing has not succeeded so far.
#[derive(Copy, Clone, Debug)]
struct Failing {
    population: u16,
    /// Deliveries so far.
    deliveries: u32,
    is_poison: bool,
}

/// A sampled delivery's later half, joined with its earlier half at the end.
#[derive(Copy, Clone, Debug)]
pub struct SampledDelivery {
    /// The message.
    pub number: u32,
    /// When it was intended.
    pub intended_ns: u64,
    /// Whether its time is one of those that are judged.
    pub is_judged: bool,
    /// The rest of its way.
    pub down: Downward,
}

/// All seats, the seen half of the ledger, and the meters.
#[derive(Debug)]
pub struct Consumers {
    scenario: Arc<Scenario>,
    cast: Arc<Cast>,
    zero: Time,
    seats: Vec<SeatState>,
    /// By population.
    terms: Vec<Option<Terms>>,
    /// Decides, for each message by its number, whether it is poison.
    poison: SeedStream,
    /// Messages that were taken and have not been processed, by scope and number.
    failing: FxHashMap<(u32, u32), Failing>,
    /// Of these, those that are to come again.
    unsettled: u64,
    step: u32,
    overhead: Duration,
    /// The seen half of the ledger.
    pub seen: SeenLog,
    /// Delivery times.
    pub meters: Meters,
    /// Later halves of sampled deliveries.
    pub sampled: Vec<SampledDelivery>,
    /// First deliveries so far.
    pub firsts: u64,
    /// Messages that stopped with their consumer.
    pub drops: Vec<CopyDrop>,
}

impl Consumers {
    /// The consumers of `scenario`. Every `step`-th message is sampled for the
    /// anatomy; each delivery costs its client `overhead` besides the
    /// application's own time.
    pub fn new(
        scenario: Arc<Scenario>,
        cast: Arc<Cast>,
        terms: Vec<Option<Terms>>,
        seed: SeedStream,
        step: u32,
        overhead: Duration,
    ) -> Consumers {
        let seats = cast
            .seats
            .iter()
            .enumerate()
            .map(|(index, seat)| SeatState {
                population: seat.population,
                scope: seat.scope,
                busy_until: Time::ZERO,
                incarnation: 0,
                factor: 1.0,
                at_least: Duration::ZERO,
                inbox: scenario.populations[usize::from(seat.population)]
                    .subscription()
                    .map_or(usize::MAX, |subscription| subscription.inbox as usize),
                wake_planned: false,
                waiting: VecDeque::new(),
                rng: seed.nth(index as u64).rng(),
            })
            .collect();
        let scopes = cast.seats_per_scope.len() as u32;
        Consumers {
            meters: Meters::new(&scenario),
            scenario,
            cast,
            zero: Time::ZERO,
            seats,
            terms,
            poison: seed.fork("poison"),
            failing: FxHashMap::default(),
            unsettled: 0,
            step: step.max(1),
            overhead,
            seen: SeenLog::new(scopes),
            sampled: Vec::new(),
            firsts: 0,
            drops: Vec::new(),
        }
    }

    /// Sets the run's zero on the driver's clock.
    pub fn start_at(&mut self, zero: Time) {
        self.zero = zero;
    }

    /// A delivery reached the client of `seat`. `released` is when the node let
    /// it go. What follows from it is pushed to `due`.
    pub fn received(
        &mut self,
        seat: u32,
        now: Time,
        released: Time,
        delivery: Delivery,
        due: &mut Vec<Due>,
    ) {
        let waiting = Waiting {
            message: delivery.message,
            token: delivery.token,
            redelivered: delivery.redelivered,
            released_ns: released.nanos_since(self.zero),
            received_ns: now.nanos_since(self.zero),
        };
        let state = &mut self.seats[seat as usize];
        if state.waiting.is_empty() && state.busy_until <= now {
            self.take(seat, now, waiting, due);
        } else {
            state.waiting.push_back(waiting);
            self.plan_wake(seat, now, due);
        }
    }

    fn plan_wake(&mut self, seat: u32, now: Time, due: &mut Vec<Due>) {
        let state = &mut self.seats[seat as usize];
        if !state.wake_planned && !state.waiting.is_empty() {
            state.wake_planned = true;
            let incarnation = state.incarnation;
            due.push((state.busy_until.max(now), FollowUp::Take { seat, incarnation }));
        }
    }

    /// The moment of a [`FollowUp::Take`] has come. Returns whether it was
    /// still valid.
    pub fn wake(&mut self, seat: u32, incarnation: u32, now: Time, due: &mut Vec<Due>) -> bool {
        let state = &mut self.seats[seat as usize];
        if state.incarnation != incarnation {
            return false;
        }
        state.wake_planned = false;
        if state.busy_until <= now
            && let Some(waiting) = state.waiting.pop_front()
        {
            self.take(seat, now, waiting, due);
        }
        self.plan_wake(seat, now, due);
        true
    }

    /// The application takes a message and begins to work on it.
    fn take(&mut self, seat: u32, now: Time, waiting: Waiting, due: &mut Vec<Due>) {
        let now_ns = now.nanos_since(self.zero);
        let state = &mut self.seats[seat as usize];
        let payload = waiting.message.payload();
        let population = state.population as usize;
        let seen = self.seen.deliver(state.scope, payload, waiting.redelivered);
        match seen {
            Seen::First(identity) => {
                self.firsts += 1;
                let Identity { intended_ns, lag_ns, .. } = identity;
                let is_judged = self.meters.delivered(population, intended_ns, lag_ns, now_ns);
                if self.step == 1 || identity.number.is_multiple_of(self.step) {
                    let down = Downward {
                        released_ns: waiting.released_ns,
                        received_ns: waiting.received_ns,
                        taken_ns: now_ns,
                    };
                    self.sampled.push(SampledDelivery {
                        number: identity.number,
                        intended_ns,
                        is_judged,
                        down,
                    });
                }
            }
            Seen::Duplicate(_) | Seen::Redelivered(_) | Seen::Corrupt => {}
        }
        let scenario = &self.scenario.populations[population];
        let Some(subscription) = scenario.subscription() else { return };
        let work = duration(&subscription.processing, &mut state.rng);
        let work = if state.factor == 1.0 { work } else { work.mul_f64(state.factor) };
        state.busy_until = now + work.max(state.at_least) + self.overhead;
        let finished = state.busy_until;
        let incarnation = state.incarnation;
        if let Role::Responder { reply_size, .. } = &scenario.role
            && !waiting.message.reply().is_empty()
        {
            let answer = answer(payload, *reply_size);
            let to = waiting.message.reply().into();
            due.push((finished, FollowUp::Reply { seat, to, payload: answer, incarnation }));
        }
        if subscription.ack == AckPolicy::None {
            return;
        }
        let (scope, nak_delay, poison) = (state.scope, subscription.nak_delay, subscription.poison);
        let fails = chance(subscription.failure_rate, &mut state.rng);
        let refuses = chance(subscription.nak_rate, &mut state.rng);
        let number = seen.delivered().map(|delivered| delivered.identity.number);
        let is_poison = number.is_some_and(|number| self.is_poison(poison, number));
        let succeeds = !fails && !refuses && !is_poison;
        // A further copy of what has succeeded already changes nothing.
        let is_first = matches!(seen, Seen::First(_));
        if let Some(number) = number
            && (is_first || self.failing.contains_key(&(scope, number)))
        {
            self.processed(scope, number, population, succeeds, is_poison);
        }
        if self.redelivers(population) && !fails && !is_poison {
            let settle = if refuses { Settle::Nak { delay: nak_delay } } else { Settle::Ack };
            let token = waiting.token;
            due.push((finished, FollowUp::Settle { seat, token, settle, incarnation }));
        }
    }

    /// Whether the processing of message `number` fails at every delivery.
    fn is_poison(&self, share: f64, number: u32) -> bool {
        // The message decides, and not a generator that moves on, so that each
        // delivery, to whichever member, ends alike.
        let draw = self.poison.nth(u64::from(number)).bits() >> 11;
        share > 0.0 && (draw as f64) < share * (1_u64 << 53) as f64
    }

    fn redelivers(&self, population: usize) -> bool {
        self.terms[population].as_ref().is_some_and(Terms::redelivers)
    }

    /// Keeps the books of what was processed.
    fn processed(
        &mut self,
        scope: u32,
        number: u32,
        population: usize,
        succeeds: bool,
        is_poison: bool,
    ) {
        let before = self.failing.get(&(scope, number)).copied();
        let was_open = before.is_some_and(|before| self.comes_again(before));
        let after = (!succeeds).then(|| Failing {
            population: population as u16,
            deliveries: before.map_or(0, |before| before.deliveries) + 1,
            is_poison,
        });
        let is_open = after.is_some_and(|after| self.comes_again(after));
        match after {
            Some(after) => {
                self.failing.insert((scope, number), after);
            }
            None => {
                self.failing.remove(&(scope, number));
            }
        }
        self.unsettled = self.unsettled - u64::from(was_open) + u64::from(is_open);
    }

    /// Whether a message that failed is still to be delivered again.
    fn comes_again(&self, failing: Failing) -> bool {
        let population = usize::from(failing.population);
        let most = self.scenario.populations[population]
            .subscription()
            .and_then(|subscription| subscription.max_deliver);
        self.redelivers(population) && most.is_none_or(|most| failing.deliveries < most)
    }

    /// Messages that failed and are still to come again.
    pub fn unsettled(&self) -> u64 {
        self.unsettled
    }

    /// What was made of the messages, per population.
    pub fn handled(&self) -> Vec<Handled> {
        let mut handled = vec![Handled::default(); self.scenario.populations.len()];
        for failing in self.failing.values() {
            let of = &mut handled[usize::from(failing.population)];
            if failing.is_poison {
                of.poison += 1;
            } else {
                of.unprocessed += 1;
            }
        }
        handled
    }

    /// Whether `incarnation` of a seat is the one that sits there now.
    pub fn is_current(&self, seat: u32, incarnation: u32) -> bool {
        self.seats[seat as usize].incarnation == incarnation
    }

    /// Whether the application at `seat` is busy with another message.
    pub fn is_working(&self, seat: u32, now: Time) -> bool {
        let state = &self.seats[seat as usize];
        !state.waiting.is_empty() || state.busy_until > now
    }

    /// Whether a seat holds as much as it will, so that its client stops reading.
    pub fn is_full(&self, seat: u32) -> bool {
        let state = &self.seats[seat as usize];
        state.waiting.len() >= state.inbox
    }

    /// Messages that wait in all inboxes.
    pub fn backlog(&self) -> usize {
        self.seats.iter().map(|state| state.waiting.len()).sum()
    }

    /// Whether any seat has messages waiting.
    pub fn is_idle(&self) -> bool {
        self.seats.iter().all(|state| state.waiting.is_empty())
    }

    /// The member of `seat` stops. What waited in its inbox is gone; where the
    /// broker keeps unacknowledged messages, it comes again.
    pub fn stopped(&mut self, seat: u32) {
        let member = self.cast.seats[seat as usize].member;
        let state = &mut self.seats[seat as usize];
        state.incarnation += 1;
        state.wake_planned = false;
        state.busy_until = Time::ZERO;
        for waiting in state.waiting.drain(..) {
            if let Some(identity) = Identity::read(waiting.message.payload()) {
                let drop = Drop {
                    number: identity.number,
                    scope: Some(state.scope),
                    cause: Cause::ConsumerStopped,
                };
                self.drops.push(CopyDrop { drop, member });
            }
        }
    }

    /// Slows a seat down by `factor`, and to at least `at_least` a message;
    /// 1 and zero restore it.
    pub fn pace(&mut self, seat: u32, factor: f64, at_least: Duration) {
        let state = &mut self.seats[seat as usize];
        state.factor = factor;
        state.at_least = at_least;
    }

    /// What waits in inboxes at the end, as (scope, number).
    pub fn undrained(&self) -> Vec<(u32, u32)> {
        self.seats
            .iter()
            .flat_map(|state| {
                state.waiting.iter().filter_map(|waiting| {
                    let identity = Identity::read(waiting.message.payload())?;
                    Some((state.scope, identity.number))
                })
            })
            .collect()
    }

    /// The cast these consumers belong to.
    pub fn cast(&self) -> &Cast {
        &self.cast
    }
}

/// An answer: the question's identity over `size` bytes.
fn answer(question: &[u8], size: u32) -> Box<[u8]> {
    let mut payload = vec![0x2e; (size as usize).max(IDENTITY_LEN)];
    if let Some(identity) = Identity::read(question) {
        identity.stamp(&mut payload);
    }
    payload.into()
}

fn chance(share: f64, rng: &mut ChaCha8Rng) -> bool {
    share > 0.0 && rng.random::<f64>() < share
}

/// Draws a duration. The functions are the plan's own, which give the same
/// value on every platform.
pub fn duration(spread: &Durations, rng: &mut ChaCha8Rng) -> Duration {
    let scaled = |duration: &Duration, factor: f64| {
        Duration::from_nanos((duration.as_nanos() as f64 * factor) as u64)
    };
    match spread {
        Durations::Fixed(fixed) => *fixed,
        Durations::Uniform { min, max } => {
            let (min, max) = (min.as_nanos() as u64, max.as_nanos() as u64);
            Duration::from_nanos(rng.random_range(min..=max.max(min)))
        }
        Durations::Exponential { mean } => scaled(mean, draw::exponential(rng)),
        Durations::LogNormal { median, sigma } => {
            scaled(median, draw::log_normal(rng, 1.0, *sigma))
        }
    }
}
