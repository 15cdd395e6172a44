//! Requests to the JetStream API, and what their answers are for.

use std::collections::BTreeMap;

use broker_contract::{Actions, Client, Failure, Outcome, Ticket, Time};

use super::JetStreamClient;
use super::api::{Answer, ApiError};
use super::state::{Js, Timer};
use crate::Nats;
use crate::client::{LINK, State, refused};
use crate::frame::{Message, Up, headers};

/// Attempts at a call whose end an application waits for.
const ATTEMPTS: u32 = 3;

/// What an answer is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A stream was declared.
    Declare(Ticket),
    /// The streams of a subscription are asked for; these are known.
    Names { sub: Ticket, known: Vec<Box<str>> },
    /// How far a stream is, before a consumer is made again.
    Info(u64),
    /// Which message is where a consumer was, before it is made again.
    Compare(u64),
    /// A consumer is made.
    Create(u64),
    /// A consumer is of no use any more.
    Delete,
    /// An acknowledgement is to be confirmed.
    Confirm(Ticket),
}

/// A request without an answer.
#[derive(Debug)]
pub(super) struct Call {
    purpose: Purpose,
    message: Message,
    due: Time,
    attempts: u32,
}

/// The requests of a client without an answer, by number.
#[derive(Debug, Default)]
pub(super) struct Calls {
    list: BTreeMap<u64, Call>,
    last: u64,
}

impl Calls {
    /// Whether the application waits for one.
    pub fn is_awaited(&self) -> bool {
        let awaited =
            |call: &Call| matches!(call.purpose, Purpose::Declare(_) | Purpose::Confirm(_));
        self.list.values().any(awaited)
    }
}

impl Js {
    /// Takes a call out, with its timer.
    fn take_call(&mut self, id: u64) -> Option<Call> {
        let call = self.calls.list.remove(&id)?;
        self.timers.remove(&(call.due, Timer::Call(id)));
        Some(call)
    }

    /// Forgets the calls for which this holds.
    pub fn drop_calls(&mut self, which: impl Fn(&Purpose) -> bool) {
        let ids: Vec<u64> = self
            .calls
            .list
            .iter()
            .filter(|(_, call)| which(&call.purpose))
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            self.take_call(id);
        }
    }
}

impl JetStreamClient {
    /// Asks the API. Without a connection, it asks once there is one.
    pub(super) fn call(
        &mut self,
        now: Time,
        purpose: Purpose,
        subject: &str,
        body: &[u8],
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        let id = self.js.calls.last + 1;
        self.js.calls.last = id;
        let reply = format!("{}a{id}", self.core.inbox());
        let message = Message::new(subject.as_bytes(), reply.as_bytes(), b"", body);
        let due = now + self.config.api_timeout;
        if self.core.state() == State::Ready {
            out.send(LINK, Up::Publish(message.clone()));
        }
        self.js.timers.insert((due, Timer::Call(id)));
        self.js.calls.list.insert(id, Call { purpose, message, due, attempts: 1 });
    }

    /// Asks everything again on a new connection.
    pub(super) fn call_again(&mut self, now: Time, out: &mut Actions<impl Client<Broker = Nats>>) {
        let ids: Vec<u64> = self.js.calls.list.keys().copied().collect();
        for id in ids {
            self.repeat_call(now, id, out);
        }
    }

    fn repeat_call(&mut self, now: Time, id: u64, out: &mut Actions<impl Client<Broker = Nats>>) {
        let Some(mut call) = self.js.take_call(id) else { return };
        call.due = now + self.config.api_timeout;
        if self.core.state() == State::Ready {
            out.send(LINK, Up::Publish(call.message.clone()));
        }
        self.js.timers.insert((call.due, Timer::Call(id)));
        self.js.calls.list.insert(id, call);
    }

    /// An answer is late, or the API is not there yet.
    pub(super) fn call_due(
        &mut self,
        now: Time,
        id: u64,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        let ready = self.core.state() == State::Ready;
        let Some(call) = self.js.calls.list.get_mut(&id) else { return };
        if ready {
            call.attempts += 1;
        }
        let ticket = match call.purpose {
            Purpose::Declare(ticket) | Purpose::Confirm(ticket) => Some(ticket),
            Purpose::Delete => {
                self.js.take_call(id);
                return;
            }
            _ => None,
        };
        match ticket {
            Some(ticket) if call.attempts > ATTEMPTS => {
                self.js.take_call(id);
                out.outcome(ticket, Outcome::Unknown(Failure::Timeout));
            }
            _ => self.repeat_call(now, id, out),
        }
    }

    /// An answer to a call came.
    pub(super) fn call_answered(
        &mut self,
        now: Time,
        id: u64,
        message: &Message,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        let Some(call) = self.js.calls.list.get(&id) else { return };
        let unheard = message.payload().is_empty()
            && headers::status(message.headers()) == Some(headers::STATUS_NO_RESPONDERS);
        let confirms = matches!(call.purpose, Purpose::Confirm(_));
        if unheard && !confirms && call.purpose != Purpose::Delete {
            return self.call_unheard(now, id, out);
        }
        let Some(call) = self.js.take_call(id) else { return };
        if let Purpose::Confirm(ticket) = call.purpose {
            let outcome = if unheard {
                Outcome::Failed(refused("the consumer is gone"))
            } else {
                Outcome::Done
            };
            return out.outcome(ticket, outcome);
        }
        let answer = serde_json::from_slice(message.payload()).unwrap_or_else(|_| Answer {
            error: Some(ApiError {
                code: 0,
                err_code: 0,
                description: "the server's answer is no JSON that a client knows".to_owned(),
            }),
            ..Answer::default()
        });
        match call.purpose {
            Purpose::Declare(ticket) => out.outcome(
                ticket,
                match answer.error {
                    None => Outcome::Done,
                    Some(error) => Outcome::Failed(refused(&error.text())),
                },
            ),
            Purpose::Names { sub, known } => self.named(now, sub, known, answer, out),
            Purpose::Info(sid) => self.informed(now, sid, answer, out),
            Purpose::Compare(sid) => self.compared(now, sid, answer, out),
            Purpose::Create(sid) => self.created(now, sid, answer, out),
            Purpose::Delete | Purpose::Confirm(_) => {}
        }
    }

    /// There is no JetStream at the server, or not yet.
    fn call_unheard(&mut self, now: Time, id: u64, out: &mut Actions<impl Client<Broker = Nats>>) {
        let Some(mut call) = self.js.take_call(id) else { return };
        let unheard = "JetStream is not enabled at the server";
        match call.purpose {
            Purpose::Declare(ticket) if call.attempts >= ATTEMPTS => {
                out.outcome(ticket, Outcome::Failed(refused(unheard)));
            }
            Purpose::Names { sub, .. } if call.attempts >= ATTEMPTS => {
                self.fail_sub(now, sub, refused(unheard), out);
            }
            _ => {
                call.due = now + self.config.retry_wait;
                self.js.timers.insert((call.due, Timer::Call(id)));
                self.js.calls.list.insert(id, call);
            }
        }
    }

    /// Ends the calls that an application waits for: there is no connection any
    /// more.
    pub(super) fn calls_over(
        &mut self,
        failure: &Failure,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        let ids: Vec<u64> = self.js.calls.list.keys().copied().collect();
        for id in ids {
            let Some(call) = self.js.take_call(id) else { continue };
            if let Purpose::Declare(ticket) | Purpose::Confirm(ticket) = call.purpose {
                out.outcome(ticket, Outcome::Unknown(failure.clone()));
            }
        }
    }
}
