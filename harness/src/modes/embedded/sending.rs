//! The senders' thread: the open-loop generator and the clients that publish.

use std::time::Duration;

use broker_contract::{Contender, Delivery, Outcome, Ticket, Time, Unsupported};

use super::clock::{Clock, CpuMeter};
use super::host::{Host, Sink};
use crate::trial::cast::{TicketOf, ticket_of};
use crate::trial::sender::{Sender, SentHalf};

/// Overdue operations submitted before they are handed over.
const BURST: usize = 128;
/// The last stretch before an operation is due is spun: a sleep overshoots by
/// about this much.
const SPIN: Duration = Duration::from_micros(100);
/// The longest wait without looking at the stop flag.
const NAP: Duration = Duration::from_millis(10);

/// What the senders' thread works with.
pub(super) struct SendingThread<C: Contender> {
    pub(super) host: Host<C>,
    pub(super) sender: Sender,
    pub(super) sending_ends_ns: u64,
}

/// What it leaves.
#[derive(Debug)]
pub(super) struct SendingEnd<C: Contender> {
    /// Its clients.
    pub host: Host<C>,
    /// The sending half.
    pub half: SentHalf,
    /// CPU seconds since zero.
    pub cpu_s: f64,
    /// An operation that the contender does not have.
    pub unsupported: Option<Unsupported>,
}

/// Outcomes go to the sender; publishers get no deliveries.
struct Ends<'a>(&'a mut Sender);

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

impl<C: Contender> SendingThread<C> {
    /// Runs until the trial stops.
    pub fn run(mut self) -> SendingEnd<C> {
        let clock = self.host.clock();
        self.set_up();
        let mut cpu = CpuMeter::default();
        let zero = self.wait_for_zero(clock);
        cpu.zero();
        self.sender.start_at(zero);
        let ends = zero.plus_nanos(self.sending_ends_ns);
        while !self.host.stopped() {
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
        let cpu_s = cpu.used_s();
        let cut =
            if clock.now() < ends { clock.now().nanos_since(zero) } else { self.sending_ends_ns };
        let half = self.sender.finish(cut);
        let unsupported = half.tally.unsupported;
        SendingEnd { host: self.host, half, cpu_s, unsupported }
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
        count == BURST
    }

    /// Takes what came for the clients, waiting for up to `patience`.
    fn pump(&mut self, clock: Clock, patience: Duration) {
        let mut batch = self.host.spare();
        let inbox = self.host.inbox().clone();
        inbox.wait(&mut batch, patience);
        let mut sink = Ends(&mut self.sender);
        for item in batch.drain(..) {
            self.host.take(item, clock.now(), &mut sink);
        }
        self.host.keep(batch);
        self.host.tick(clock.now(), &mut sink);
        self.host.flush();
    }
}
