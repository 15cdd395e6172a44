//! The senders' thread: the open-loop generator and the clients that publish.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use broker_contract::{
    Actions, Client, ClientInput, Contender, Declaration, Delivery, Op, Outcome, Support, Ticket,
    Time, Unsupported,
};
use lab_workloads::scenario::model::Scenario;

use super::clock::{Clock, CpuMeter};
use super::host::{Host, Sink};
use crate::trial::cast::{TicketOf, declaration_ticket, ticket_of};
use crate::trial::sender::{Sender, SentHalf};

/// Overdue operations submitted before they are handed over.
const BURST: usize = 128;
/// The last stretch before an operation is due is spun: a sleep overshoots by
/// about this much.
const SPIN: Duration = Duration::from_micros(100);
/// The longest wait without looking at the stop flag.
const NAP: Duration = Duration::from_millis(10);

/// What the senders' thread works with.
pub(in crate::modes) struct SendingThread<C: Contender> {
    pub(in crate::modes) host: Host<C>,
    pub(in crate::modes) sender: Sender,
    pub(in crate::modes) sending_ends_ns: u64,
    pub(in crate::modes) scenario: Arc<Scenario>,
}

/// What it leaves.
#[derive(Debug)]
pub(in crate::modes) struct SendingEnd<C: Contender> {
    /// Its clients.
    pub host: Host<C>,
    /// The sending half.
    pub half: SentHalf,
    /// CPU seconds since zero.
    pub cpu_s: f64,
    /// Why logs were not declared, if so.
    pub undeclared: Option<Unsupported>,
    /// Why the trial says nothing, if so.
    pub broken: Option<String>,
}

/// Outcomes go to the sender; publishers get no deliveries.
struct Ends<'a>(&'a mut Sender);

/// The operator waits for the ends of its declarations.
#[derive(Debug, Default)]
struct Declared {
    /// Declarations that were answered.
    answered: u32,
    unsupported: Option<Unsupported>,
    /// The log that could not be made, and why.
    failed: Option<(u32, String)>,
}

impl Sink for Declared {
    fn outcome(&mut self, ticket: Ticket, outcome: &Outcome, _now: Time) {
        let TicketOf::Declaration(log) = ticket_of(ticket) else { return };
        self.answered += 1;
        if let Outcome::Failed(failure) | Outcome::Unknown(failure) = outcome {
            self.failed.get_or_insert((log, failure.to_string()));
        }
    }

    fn delivery(&mut self, _delivery: Delivery, _now: Time, _released: Time) {}

    fn is_paused(&self, _client: u32) -> bool {
        false
    }
}

impl Sink for Ends<'_> {
    fn outcome(&mut self, ticket: Ticket, outcome: &Outcome, now: Time) {
        if let TicketOf::Number(number) = ticket_of(ticket) {
            self.0.ended(number, outcome, now);
        }
    }

    fn delivery(&mut self, _delivery: Delivery, _now: Time, _released: Time) {}

    fn is_paused(&self, _client: u32) -> bool {
        false
    }
}

/// Asks for every log of the scenario.
fn ask_for_logs<C: Contender>(
    scenario: &Scenario,
    client: &mut C::Client,
    now: Time,
    out: &mut Actions<C::Client>,
    mut answered: impl FnMut(Result<Support, Unsupported>),
) {
    let partitions = scenario.contenders.get(C::NAME).map(|it| &it.partitions);
    for (index, log) in (0..).zip(scenario.declarations()) {
        let filters: Vec<&str> = log.filters.iter().map(String::as_str).collect();
        let own = partitions.and_then(|all| all.get(&log.name)).copied();
        let op = Op::Declare(Declaration {
            name: &log.name,
            filters: &filters,
            partitions: own.or(log.partitions),
        });
        answered(client.submit(now, declaration_ticket(index), &op, out));
    }
}

impl<C: Contender> SendingThread<C> {
    /// Runs until the trial stops.
    pub fn run(mut self) -> SendingEnd<C> {
        let clock = self.host.clock();
        let declared = self.declare(clock);
        let broken = declared.failed.map(|(log, reason)| {
            let logs = self.scenario.declarations();
            let name = logs.get(log as usize).map_or("?", |log| log.name.as_str());
            format!("the log `{name}` could not be made: {reason}")
        });
        if broken.is_some() {
            self.host.shared().stop.store(true, Ordering::Release);
        } else {
            self.host.shared().declared.store(true, Ordering::Release);
        }
        self.set_up();
        let mut cpu = CpuMeter::default();
        let zero = self.wait_for_zero(clock);
        cpu.zero();
        self.sender.start_at(zero);
        let ends = zero.plus_nanos(self.sending_ends_ns);
        let mut reboots = 0;
        while !self.host.stopped() {
            let happened = self.host.shared().reboots.load(Ordering::Acquire);
            if happened != reboots && declared.unsupported.is_none() {
                reboots = happened;
                self.declare_again();
            }
            let full = self.offer(clock, ends);
            self.pump(clock, Duration::ZERO);
            if full {
                continue;
            }
            let now = clock.now();
            let next = self.sender.next_at().filter(|at| *at < ends);
            self.host.set_sending_busy(next.is_some());
            let mut until = next.unwrap_or(now + NAP);
            if let Some(tick) = self.host.next_tick() {
                until = until.min(tick);
            }
            let gap = until.since(now).min(NAP);
            if gap > SPIN {
                self.pump(clock, gap - SPIN);
            } else {
                // Spinning politely: on two cores the node or the receivers may have
                // been woken on this very core, and a spinner that does not yield
                // makes them wait out its time slice. That was 5 ms at p99.
                std::thread::yield_now();
            }
        }
        self.host.flush();
        self.host.way().conclude();
        let cpu_s = cpu.used_s();
        let cut =
            if clock.now() < ends { clock.now().nanos_since(zero) } else { self.sending_ends_ns };
        let half = self.sender.finish(cut);
        SendingEnd { host: self.host, half, cpu_s, undeclared: declared.unsupported, broken }
    }

    /// Makes the scenario's logs, where the contender keeps any.
    fn declare(&mut self, clock: Clock) -> Declared {
        let mut declared = Declared::default();
        let operator = self.host.operator();
        let scenario = self.scenario.clone();
        let (mut asked, mut unsupported) = (0, None);
        self.host.start(operator, &mut declared, |fresh, now, out| {
            ask_for_logs::<C>(&scenario, fresh, now, out, |answer| match answer {
                Ok(_) => asked += 1,
                Err(reason) => {
                    unsupported.get_or_insert(reason);
                }
            });
        });
        declared.unsupported = unsupported;
        while declared.answered < asked && declared.failed.is_none() && !self.host.stopped() {
            let mut batch = self.host.spare();
            self.host.wait(&mut batch, Duration::from_millis(2));
            for item in batch.drain(..) {
                self.host.take(item, clock.now(), &mut declared);
            }
            self.host.keep(batch);
            self.host.tick(clock.now(), &mut declared);
            self.host.flush();
        }
        let now = clock.now();
        self.host.input(operator, now, now, ClientInput::Shutdown, &mut declared);
        self.host.flush();
        declared
    }

    /// The operator makes the logs once more: what a crash took with it (a stream
    /// in memory, a topic that was not synced) would be missed by everybody else.
    /// Where they are still there, that changes nothing.
    fn declare_again(&mut self) {
        let operator = self.host.operator();
        let scenario = self.scenario.clone();
        self.host.kill(operator);
        self.host.start(operator, &mut Ends(&mut self.sender), |fresh, now, out| {
            ask_for_logs::<C>(&scenario, fresh, now, out, |_| {});
        });
    }

    /// Connects every client that only sends.
    fn set_up(&mut self) {
        for client in self.host.senders() {
            let mut sink = Ends(&mut self.sender);
            self.host.start(client, &mut sink, |fresh, now, out| {
                broker_contract::Client::connect(fresh, now, out);
            });
            if self.host.pending() >= BURST {
                self.host.flush();
            }
        }
        self.host.flush();
    }

    fn wait_for_zero(&mut self, clock: Clock) -> Time {
        loop {
            if let Some(zero) = self.host.zero() {
                return zero;
            }
            if self.host.stopped() {
                return clock.now();
            }
            self.pump(clock, Duration::from_millis(2));
        }
    }

    /// Submits what is due. Returns whether more may be due already.
    fn offer(&mut self, clock: Clock, ends: Time) -> bool {
        let mut count = 0;
        while count < BURST {
            let now = clock.now();
            if self.sender.next_at().is_none_or(|at| at > now || at >= ends) {
                break;
            }
            let Some(op) = self.sender.next() else { break };
            let client = self.sender.client_of(&op);
            let sender = &mut self.sender;
            self.host.submit(client, |state, out| sender.submit(&op, now, state, out));
            let mut sink = Ends(&mut self.sender);
            self.host.settle(client, now, &mut sink);
            count += 1;
        }
        self.host.flush();
        self.host.shared().expected.store(self.sender.expected(), Ordering::Relaxed);
        count == BURST
    }

    /// Takes what came for the clients, waiting for up to `patience`.
    fn pump(&mut self, clock: Clock, patience: Duration) {
        let mut batch = self.host.spare();
        self.host.wait(&mut batch, patience);
        let mut sink = Ends(&mut self.sender);
        for item in batch.drain(..) {
            self.host.take(item, clock.now(), &mut sink);
        }
        self.host.keep(batch);
        self.host.tick(clock.now(), &mut sink);
        self.host.flush();
    }
}
