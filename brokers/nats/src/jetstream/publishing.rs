//! Publishing into streams.
//!
//! A publish carries a reply subject, and the server answers with where it stored
//! the message or with why it did not. A publish that no stream took is tried
//! again after a while, as it certainly was not stored. One whose answer does not
//! come is tried again only where the server can tell that it has it already,
//! or where the settings say so.

use broker_contract::{Actions, Client, Failure, Note, Outcome, Publish, Ticket, Time, Want};

use super::JetStreamClient;
use super::api::PubAck;
use super::config::Resend;
use super::publish::Phase;
use super::state::Leaving;
use crate::Nats;
use crate::client::{CLOSED, FULL, LINK, State, refused};
use crate::frame::{Message, Up, headers};

/// The header by which the server knows a message again.
const MSG_ID: &str = "Nats-Msg-Id";
const NO_STREAM: &str = "no stream takes this subject";

impl JetStreamClient {
    pub(super) fn publish(
        &mut self,
        now: Time,
        ticket: Ticket,
        publish: &Publish<'_>,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        let once = match publish.want {
            Want::StoredOnce(number) => Some(number.to_string()),
            Want::Usual | Want::Nothing | Want::Stored => None,
        };
        let block = match &once {
            None => headers::encode(publish.headers),
            Some(number) => {
                let own = std::iter::once((MSG_ID, number.as_str()));
                let pairs: Vec<_> = publish.headers.iter().copied().chain(own).collect();
                headers::encode(&pairs)
            }
        };
        let Some(block) = block else {
            return out.outcome(ticket, Outcome::Failed(refused("invalid headers")));
        };
        let channel = publish.channel.as_bytes();
        if publish.want == Want::Nothing {
            return self.core.put(ticket, channel, &block, publish.payload, out);
        }
        let unfit = self.core.fits(channel, block.len() + publish.payload.len()).err();
        let over = self.core.state() == State::Over || self.js.leaving != Leaving::No;
        let room = self.config.core.reconnect_buffer;
        let reply = format!("{}p{}", self.core.inbox(), self.js.publishes.next());
        let message = Message::new(channel, reply.as_bytes(), &block, publish.payload);
        let held = self.js.publishes.unsent_bytes.saturating_add(message.publish_len() as u64);
        let failure = unfit.or(over.then_some(CLOSED)).or((held > room).then_some(FULL));
        if let Some(failure) = failure {
            return out.outcome(ticket, Outcome::Failed(failure));
        }
        self.js.publishes.push(ticket, message, once.is_some());
        self.send_unsent(now, out);
    }

    /// Sends what was never sent, as far as the window goes.
    pub(super) fn send_unsent(&mut self, now: Time, out: &mut Actions<impl Client<Broker = Nats>>) {
        if self.core.state() != State::Ready {
            return;
        }
        let due = now + self.config.ack_timeout;
        while self.js.publishes.flying < self.config.max_async_pending {
            let Some(first) = self.js.publishes.first_unsent() else { return };
            // The server's limit was not known when the message was taken in.
            let len = first.message.total_len();
            let fits = self.core.fits(b"-", len);
            let id = first.id;
            let Some(message) = self.js.publishes.leaves(due) else { return };
            match fits {
                Ok(()) => out.send(LINK, Up::Publish(message)),
                Err(failure) => self.publish_ends(id, Outcome::Failed(failure), out),
            }
        }
    }

    fn publish_ends(
        &mut self,
        id: u64,
        outcome: Outcome,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        if let Some(ticket) = self.js.publishes.end(id) {
            out.outcome(ticket, outcome);
        }
    }

    /// The server answered a publish.
    pub(super) fn publish_answered(
        &mut self,
        now: Time,
        id: u64,
        message: &Message,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        let Some(pending) = self.js.publishes.get(id) else {
            // Its time was over, or it was sent twice.
            return out.note(Note::Wasted { messages: 1, bytes: message.payload().len() as u64 });
        };
        let unheard = message.payload().is_empty()
            && headers::status(message.headers()) == Some(headers::STATUS_NO_RESPONDERS);
        if unheard {
            if pending.attempts <= self.config.retry_attempts {
                let again = now + self.config.retry_wait;
                self.js.publishes.set(id, Phase::Later, again);
            } else {
                self.publish_ends(id, Outcome::Failed(refused(NO_STREAM)), out);
            }
            return;
        }
        let outcome = match serde_json::from_slice::<PubAck>(message.payload()) {
            Ok(PubAck { error: None, seq }) if seq > 0 => Outcome::Acked(self.config.proof),
            Ok(PubAck { error: Some(error), .. }) => Outcome::Failed(refused(&error.text())),
            // Somebody else answered, who is no stream.
            Ok(_) | Err(_) => Outcome::Unknown(refused("the answer is no acknowledgement")),
        };
        self.publish_ends(id, outcome, out);
        self.send_unsent(now, out);
    }

    fn may_resend(&self, once: bool, attempts: u8) -> bool {
        attempts <= self.config.retry_attempts
            && match self.config.resend {
                Resend::StoredOnce => once,
                Resend::Always => true,
                Resend::Never => false,
            }
    }

    /// Sends again what is due, or ends it.
    pub(super) fn publishes_due(
        &mut self,
        now: Time,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        for id in self.js.publishes.overdue(now) {
            let Some(pending) = self.js.publishes.get(id) else { continue };
            let (phase, once, attempts) = (pending.phase, pending.once, pending.attempts);
            if phase == Phase::Later || self.may_resend(once, attempts) {
                self.resend(now, id, out);
            } else {
                self.publish_ends(id, Outcome::Unknown(Failure::Timeout), out);
            }
        }
        self.send_unsent(now, out);
    }

    fn resend(&mut self, now: Time, id: u64, out: &mut Actions<impl Client<Broker = Nats>>) {
        let due = now + self.config.ack_timeout;
        if let Some(pending) = self.js.publishes.get(id) {
            pending.attempts = pending.attempts.saturating_add(1);
            out.send(LINK, Up::Publish(pending.message.clone()));
        }
        self.js.publishes.set(id, Phase::Flying, due);
    }

    /// The connection took the answers with it.
    pub(super) fn publishes_lost(&mut self, out: &mut Actions<impl Client<Broker = Nats>>) {
        for id in self.js.publishes.sent() {
            let Some(pending) = self.js.publishes.get(id) else { continue };
            let (phase, once, attempts) = (pending.phase, pending.once, pending.attempts);
            // What no stream took is certainly not stored.
            if phase != Phase::Flying || self.may_resend(once, attempts) {
                self.js.publishes.set(id, Phase::Again, Time::MAX);
            } else {
                self.publish_ends(id, Outcome::Unknown(Failure::ConnectionLost), out);
            }
        }
    }

    /// A new connection is there.
    pub(super) fn publishes_again(
        &mut self,
        now: Time,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        for id in self.js.publishes.sent() {
            self.resend(now, id, out);
        }
        self.send_unsent(now, out);
    }

    /// There will be no connection any more, or no time.
    pub(super) fn publishes_over(
        &mut self,
        why: &'static str,
        sent: &Failure,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        for id in self.js.publishes.sent() {
            self.publish_ends(id, Outcome::Unknown(sent.clone()), out);
        }
        for ticket in self.js.publishes.take_unsent() {
            out.outcome(ticket, Outcome::Failed(Failure::GaveUp(why)));
        }
    }
}
