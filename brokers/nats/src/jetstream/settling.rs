//! What applications say of deliveries, and how subscriptions and clients end.

use broker_contract::{
    AckPolicy, Actions, Client, Failure, Outcome, Settle, Support, Ticket, Time,
};

use super::JetStreamClient;
use super::api::nanos;
use super::calls::Purpose;
use super::contender::CLIENT_COUNTS;
use super::held::{Handle, Open};
use super::state::{Leaving, Timer};
use crate::Nats;
use crate::client::{LINK, State, refused};
use crate::frame::{Message, Up};

/// The mark behind which nothing comes to a client that goes.
pub(super) const GOODBYE: u64 = u64::MAX;

const SETTLED: &str = "this delivery is settled, or needs no acknowledgement";
const NOT_YET: Failure = Failure::GaveUp("unsubscribed before it was in force");
const LEFT: &str = "shut down before the acknowledgement";

impl JetStreamClient {
    pub(super) fn settle(
        &mut self,
        now: Time,
        ticket: Ticket,
        subscription: Ticket,
        token: u64,
        settle: Settle,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        let Some(handle) = self.js.held.handle(token, subscription) else {
            return out.outcome(ticket, Outcome::Failed(refused(SETTLED)));
        };
        let Handle { sid, delivered, message } = handle;
        let sub = self.js.subs.get(&subscription);
        let body: Vec<u8> = match settle {
            Settle::Ack => b"+ACK".to_vec(),
            Settle::Term => b"+TERM".to_vec(),
            Settle::Working => b"+WPI".to_vec(),
            Settle::Nak { delay } => {
                // The server's backoff is for messages that nobody settles; one
                // that is refused comes again at once unless it is told when.
                let waits = sub.map_or(&[][..], |sub| &sub.backoff);
                let nth = usize::try_from(delivered.saturating_sub(1)).unwrap_or(usize::MAX);
                match delay.or(waits.get(nth).or(waits.last()).copied()) {
                    Some(delay) => format!("-NAK {{\"delay\": {}}}", nanos(delay)).into_bytes(),
                    None => b"-NAK".to_vec(),
                }
            }
        };
        if settle == Settle::Working {
            self.js.held.worked_on(token, now);
        } else if let Settle::Nak { .. } = settle {
            let refused = self.js.held.refused(token);
            self.uncount(refused);
        } else if settle == Settle::Ack && sub.is_some_and(|sub| sub.ack == AckPolicy::All) {
            // Each is acknowledged by itself; the last one is the operation's.
            for (token, message) in self.js.held.before(token, sid) {
                self.close(token);
                if self.core.state() == State::Ready {
                    out.send(LINK, Up::Publish(Message::new(message.reply(), b"", b"", b"+ACK")));
                }
            }
            self.close(token);
        } else {
            self.close(token);
        }
        if settle == Settle::Ack && self.config.consumer.double_ack {
            let to = String::from_utf8_lossy(message.reply()).into_owned();
            self.call(now, Purpose::Confirm(ticket), &to, &body, out);
        } else {
            self.core.put(ticket, message.reply(), &[], &body, out);
        }
        self.top_up(sid, out);
        self.check_goodbye(now, out);
    }

    /// A message is settled.
    fn close(&mut self, token: u64) {
        let settled = self.js.held.settled(token);
        self.uncount(settled);
    }

    /// A delivery is not in the application's hands any more.
    fn uncount(&mut self, open: Option<Open>) {
        let Some(open) = open else { return };
        if let Some(consumer) = self.js.consumers.get_mut(&open.sid).filter(|_| open.counted) {
            consumer.unsettled = consumer.unsettled.saturating_sub(1);
        }
    }

    pub(super) fn unsubscribe(
        &mut self,
        now: Time,
        ticket: Ticket,
        subscription: Ticket,
        after: Option<u64>,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) -> Support {
        let Some(sub) = self.js.subs.get_mut(&subscription) else {
            self.core.unsubscribe(ticket, subscription, after, out);
            return Support::Native;
        };
        if let Some(after) = after.filter(|after| *after > sub.delivered) {
            sub.max = Some(after);
            out.outcome(ticket, Outcome::Done);
            return Support::Emulated(CLIENT_COUNTS);
        }
        let support =
            if after.is_some() { Support::Emulated(CLIENT_COUNTS) } else { Support::Native };
        if sub.ending.is_some() {
            out.outcome(ticket, Outcome::Done);
        } else if sub.confirmed && self.core.state() == State::Ready {
            // What the server has sent still comes.
            sub.ending = Some(ticket);
            for sid in sub.consumers.clone() {
                self.core.unlisten(sid, out);
            }
            self.core.mark(subscription.0, out);
        } else {
            self.fail_sub(now, subscription, NOT_YET, out);
            out.outcome(ticket, Outcome::Done);
        }
        support
    }

    /// Everything has come that was on its way when [`Self::unsubscribe`] or
    /// [`Self::shut_down`] set a mark.
    pub(super) fn flushed(
        &mut self,
        now: Time,
        mark: u64,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        if mark == GOODBYE {
            self.js.leaving = Leaving::Drained;
            return self.check_goodbye(now, out);
        }
        let ending = self.js.subs.get(&Ticket(mark)).and_then(|sub| sub.ending);
        if let Some(ticket) = ending {
            self.forget_sub(now, Ticket(mark), out);
            out.outcome(ticket, Outcome::Done);
        }
    }

    /// With the connection, what was ending has ended.
    pub(super) fn endings_lost(
        &mut self,
        now: Time,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        let ending = self.js.subs.values().filter(|sub| sub.ending.is_some());
        let ending: Vec<Ticket> = ending.map(|sub| sub.ticket).collect();
        for ticket in ending {
            let sub = self.forget_sub(now, ticket, out);
            if let Some(end) = sub.and_then(|sub| sub.ending) {
                out.outcome(end, Outcome::Done);
            }
        }
    }

    /// The client is told to go: it asks for nothing more, takes what is on its
    /// way, lets the application settle it, and waits for the acknowledgements of
    /// what it has published.
    pub(super) fn shut_down(&mut self, now: Time, out: &mut Actions<impl Client<Broker = Nats>>) {
        if self.js.leaving != Leaving::No {
            return;
        }
        self.js.leaving = Leaving::Told;
        match self.core.state() {
            State::Ready => self.drain(now, out),
            State::Connecting | State::Greeting => {
                self.js.timers.insert((now + self.config.drain_timeout, Timer::Leave));
                if self.js.publishes.is_empty() && self.js.subs.is_empty() {
                    self.leave(now, out);
                }
            }
            State::Idle | State::Waiting | State::Over => self.leave(now, out),
        }
    }

    pub(super) fn drain(&mut self, now: Time, out: &mut Actions<impl Client<Broker = Nats>>) {
        self.js.leaving = Leaving::Draining;
        self.js.timers.insert((now + self.config.drain_timeout, Timer::Leave));
        let sids: Vec<u64> = self.js.consumers.keys().copied().collect();
        for sid in sids {
            self.core.unlisten(sid, out);
        }
        self.core.mark(GOODBYE, out);
    }

    /// Goes once nothing is awaited any more.
    pub(super) fn check_goodbye(
        &mut self,
        now: Time,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        let js = &self.js;
        if js.leaving == Leaving::Drained
            && js.publishes.is_empty()
            && js.held.is_empty()
            && !js.calls.is_awaited()
        {
            self.leave(now, out);
        }
    }

    /// Goes, whatever is awaited.
    pub(super) fn leave(&mut self, now: Time, out: &mut Actions<impl Client<Broker = Nats>>) {
        self.over(now, LEFT, out);
        self.core.shut_down(out);
    }

    /// Ends everything: there is no connection any more, or none is wanted.
    pub(super) fn over(
        &mut self,
        now: Time,
        why: &'static str,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        let failure = Failure::GaveUp(why);
        self.publishes_over(why, &failure, out);
        let tickets: Vec<Ticket> = self.js.subs.keys().copied().collect();
        for ticket in tickets {
            let ending = self.js.subs.get(&ticket).and_then(|sub| sub.ending);
            self.fail_sub(now, ticket, failure.clone(), out);
            if let Some(ending) = ending {
                out.outcome(ending, Outcome::Done);
            }
        }
        self.calls_over(&failure, out);
        self.js.held.clear();
        self.js.timers.clear();
    }
}
