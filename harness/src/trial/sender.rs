//! The sending half of a trial: plan, payloads, submissions and their ends.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use broker_contract::{
    Actions, Client, Envelope, Failure, IDENTITY_LEN, Identity, Op, Outcome, Publish, SeedStream,
    Time, Unsupported, Want,
};
use hdrhistogram::Histogram;
use lab_workloads::ledger::{Attempt, SentLog};
use lab_workloads::plan::{Interest, Plan, Planned};
use lab_workloads::scenario::model::{Role, Scenario};
use rustc_hash::FxHashMap;

use super::cast::{Cast, number_ticket};
use super::series::joins;
use crate::measure::meters::{Pair, Window, histogram, record};

/// One second of sending.
#[derive(Copy, Clone, Debug, Default)]
pub struct SentSecond {
    /// Operations intended in it.
    pub offered: u64,
    /// Operations submitted in it.
    pub sent: u64,
    /// Acknowledgements (or answers) that came in it.
    pub acked: u64,
    /// Copies that are owed from it on: of what was intended in it, or earlier for
    /// those who join in it.
    pub expected: u64,
}

/// Draws the plan, stamps payloads, submits, and keeps the sent half of the ledger.
#[derive(Debug)]
pub struct Sender {
    plan: Plan,
    /// When each scope begins to be owed anything.
    joins_ns: Vec<u64>,
    interest: Arc<Interest>,
    cast: Arc<Cast>,
    window: Window,
    zero: Time,
    timeouts: Vec<Option<Duration>>,
    request_meters: Vec<Option<Pair>>,
    awaited: FxHashMap<u32, Awaited>,
    awaits: bool,
    sent: SentLog,
    tally: Tally,
    /// Copies that must arrive, of all that was submitted so far.
    owed: u64,
    channel: String,
    key: String,
    payload: Vec<u8>,
    filler: Vec<u8>,
}

/// An operation whose end is timed.
#[derive(Copy, Clone, Debug)]
struct Awaited {
    intended_ns: u64,
    submitted_ns: u64,
    population: u16,
}

/// Counts and histograms of the sending half.
#[derive(Debug)]
pub struct Tally {
    /// How late operations were submitted.
    pub lag: Histogram<u64>,
    /// Time to an acknowledgement, where there are any.
    pub publish: Pair,
    /// Per second, from the run's zero.
    pub seconds: Vec<SentSecond>,
    /// Operations intended in the measured window and submitted.
    pub sent_in_window: u64,
    /// Operations intended in the measured window and acknowledged.
    pub acked_in_window: u64,
    /// Operations intended in the measured window that definitely failed.
    pub failed_in_window: u64,
    /// Answers that were damaged.
    pub corrupt_answers: u64,
    /// Operations that the contender does not have, by population.
    pub unsupported: BTreeMap<usize, Unsupported>,
}

/// What the sending half holds at the end.
#[derive(Debug)]
pub struct SentHalf {
    /// The sent half of the ledger.
    pub log: SentLog,
    /// Counts and histograms.
    pub tally: Tally,
    /// Round trips per requesting population.
    pub requests: Vec<Option<Pair>>,
    /// Operations of the plan that were never submitted.
    pub unsent: u64,
    /// Those of them that belong to the measured window.
    pub unsent_in_window: u64,
}

impl Sender {
    /// A sender for `scenario`. `awaits` says whether this contender's publishes
    /// are acknowledged, and so worth timing.
    pub fn new(
        scenario: &Scenario,
        seed: SeedStream,
        interest: Arc<Interest>,
        cast: Arc<Cast>,
        awaits: bool,
    ) -> Sender {
        let timeouts = scenario
            .populations
            .iter()
            .map(|population| match &population.role {
                Role::Requester { timeout, .. } => Some(*timeout),
                _ => None,
            })
            .collect();
        // Real payloads do not compress to nothing, so the filler is noise.
        let mut filler = vec![0; 4096];
        let noise = seed.fork("filler");
        for (index, chunk) in filler.chunks_mut(8).enumerate() {
            chunk.copy_from_slice(&noise.nth(index as u64).bits().to_le_bytes());
        }
        Sender {
            plan: Plan::new(scenario, seed),
            sent: SentLog::new(interest.scopes()),
            joins_ns: joins(scenario, &interest),
            interest,
            cast,
            window: Window::new(scenario),
            zero: Time::ZERO,
            timeouts,
            request_meters: vec![None; scenario.populations.len()],
            awaited: FxHashMap::default(),
            awaits,
            tally: Tally {
                lag: histogram(),
                publish: Pair::new(),
                seconds: Vec::new(),
                sent_in_window: 0,
                acked_in_window: 0,
                failed_in_window: 0,
                corrupt_answers: 0,
                unsupported: BTreeMap::new(),
            },
            owed: 0,
            channel: String::new(),
            key: String::new(),
            payload: Vec::new(),
            filler,
        }
    }

    /// Sets the run's zero on the driver's clock, when set-up is over.
    pub fn start_at(&mut self, zero: Time) {
        self.zero = zero;
    }

    /// When the next operation is intended, on the driver's clock.
    #[inline]
    pub fn next_at(&mut self) -> Option<Time> {
        self.plan.peek_at().map(|at_ns| self.zero.plus_nanos(at_ns))
    }

    /// Operations that are drawn already and come next; perhaps none.
    pub fn drawn(&self) -> &[Planned] {
        self.plan.drawn()
    }

    /// Writes the channel of an operation.
    pub fn channel_of(&self, op: &Planned, out: &mut String) {
        self.plan.channel(op, out);
    }

    /// The client that acts for an operation.
    #[inline]
    pub fn client_of(&self, op: &Planned) -> u32 {
        self.cast.client_of(op.population as usize, op.member)
    }

    /// Submits `op` to its client.
    pub fn submit<C: Client>(
        &mut self,
        op: &Planned,
        now: Time,
        client: &mut C,
        out: &mut Actions<C>,
    ) {
        let now_ns = now.nanos_since(self.zero);
        let lag_ns = now_ns.saturating_sub(op.at_ns);
        self.fill(op, lag_ns);
        self.plan.channel(op, &mut self.channel);
        let keyed = self.plan.key_text(op, &mut self.key);

        self.sent.attempt(op.number);
        let (sent, mut expected) = (&mut self.sent, 0);
        let (seconds, joins_ns) = (&mut self.tally.seconds, &self.joins_ns);
        self.interest.expected(&self.plan, op, &mut |scope| {
            second(seconds, op.at_ns.max(joins_ns[scope as usize])).expected += 1;
            sent.expect(scope, op.number);
            expected += 1;
        });
        self.owed += expected;
        record(&mut self.tally.lag, lag_ns);
        second(&mut self.tally.seconds, op.at_ns).offered += 1;
        second(&mut self.tally.seconds, now_ns).sent += 1;
        if self.window.holds(op.at_ns) {
            self.tally.sent_in_window += 1;
        }

        let publish = Publish {
            channel: &self.channel,
            key: keyed.then_some(self.key.as_bytes()),
            headers: &[],
            payload: &self.payload,
            want: Want::Usual,
        };
        let timeout = self.timeouts[op.population as usize];
        let request = match timeout {
            Some(timeout) => Op::Request { publish, timeout },
            None => Op::Publish(publish),
        };
        if self.awaits || timeout.is_some() {
            let awaited =
                Awaited { intended_ns: op.at_ns, submitted_ns: now_ns, population: op.population };
            self.awaited.insert(op.number, awaited);
        }
        if let Err(unsupported) = client.submit(now, number_ticket(op.number), &request, out) {
            self.tally.unsupported.entry(op.population.into()).or_insert(unsupported);
            self.sent.outcome(op.number, Attempt::Failed);
            self.awaited.remove(&op.number);
        }
    }

    fn fill(&mut self, op: &Planned, lag_ns: u64) {
        let size = (op.size as usize).max(IDENTITY_LEN);
        if self.filler.len() < size {
            let once = self.filler.clone();
            while self.filler.len() < size {
                self.filler.extend_from_slice(&once);
            }
        }
        self.payload.clear();
        self.payload.extend_from_slice(&self.filler[..size]);
        let identity = Identity {
            producer: op.producer,
            sequence: op.sequence,
            number: op.number,
            key: op.key,
            intended_ns: op.at_ns,
            lag_ns: u32::try_from(lag_ns).unwrap_or(u32::MAX),
        };
        identity.stamp(&mut self.payload);
    }

    /// Notes how the operation `number` ended.
    pub fn ended(&mut self, number: u32, outcome: &Outcome, now: Time) {
        let now_ns = now.nanos_since(self.zero);
        let how = match outcome {
            Outcome::Sent => {
                self.sent.outcome(number, Attempt::Sent);
                return;
            }
            Outcome::Acked(_) | Outcome::Replied(_) | Outcome::Done => Attempt::Acked,
            Outcome::Failed(Failure::Timeout) | Outcome::Unknown(_) => Attempt::Unknown,
            Outcome::Failed(_) => Attempt::Failed,
            _ => Attempt::Unknown,
        };
        self.sent.outcome(number, how);
        let Some(awaited) = self.awaited.remove(&number) else { return };
        let measured = self.window.holds(awaited.intended_ns);
        match how {
            Attempt::Acked => {
                second(&mut self.tally.seconds, now_ns).acked += 1;
                let response = now_ns.saturating_sub(awaited.intended_ns);
                let service = now_ns.saturating_sub(awaited.submitted_ns);
                if measured {
                    self.tally.acked_in_window += 1;
                }
                if let Outcome::Replied(answer) = outcome {
                    self.answered(awaited.population, answer, response, service, measured);
                } else if measured {
                    record(&mut self.tally.publish.response, response);
                    record(&mut self.tally.publish.service, service);
                }
            }
            Attempt::Failed if measured => self.tally.failed_in_window += 1,
            _ => {}
        }
    }

    fn answered(
        &mut self,
        population: u16,
        answer: &Envelope,
        response_ns: u64,
        service_ns: u64,
        measured: bool,
    ) {
        if Identity::verify(answer.payload()).is_err() {
            self.tally.corrupt_answers += 1;
        }
        if measured {
            let pair = self.request_meters[population as usize].get_or_insert_default();
            record(&mut pair.response, response_ns);
            record(&mut pair.service, service_ns);
        }
    }

    /// Operations that have been submitted and have not ended, of those whose end
    /// is worth waiting for.
    pub fn open(&self) -> usize {
        self.awaited.len()
    }

    /// Copies that must arrive, of all that was submitted so far.
    pub fn expected(&self) -> u64 {
        self.owed
    }

    /// Ends the sending half. What the plan still holds up to `until_ns` was
    /// intended and never submitted; it is counted.
    pub fn finish(mut self, until_ns: u64) -> SentHalf {
        let (mut unsent, mut unsent_in_window) = (0, 0);
        for op in self.plan.by_ref() {
            if op.at_ns >= until_ns {
                break;
            }
            unsent += 1;
            second(&mut self.tally.seconds, op.at_ns).offered += 1;
            if self.window.holds(op.at_ns) {
                unsent_in_window += 1;
            }
        }
        SentHalf {
            log: self.sent,
            tally: self.tally,
            requests: self.request_meters,
            unsent,
            unsent_in_window,
        }
    }
}

/// The operations of the plan, each taken once.
impl Iterator for Sender {
    type Item = Planned;

    #[inline]
    fn next(&mut self) -> Option<Planned> {
        self.plan.next()
    }
}

/// The row of the second that holds `at_ns`.
fn second(rows: &mut Vec<SentSecond>, at_ns: u64) -> &mut SentSecond {
    let index = (at_ns / 1_000_000_000) as usize;
    if rows.len() <= index {
        rows.resize(index + 1, SentSecond::default());
    }
    &mut rows[index]
}
