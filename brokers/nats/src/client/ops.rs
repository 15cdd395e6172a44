//! What an application asks of its client.

use std::time::Duration;

use broker_contract::{
    AckPolicy, Actions, Client, Failure, Feature, Op, Outcome, Publish, Start, Ticket, Time,
    Unsupported, Want,
};

use super::state::{Flush, Held, Owner, State, Sub};
use super::{LINK, NatsClient};
use crate::Nats;
use crate::frame::{Message, Up, headers};
use crate::subject;

pub(crate) const NO_ACK: &str = "the server acknowledges no publish";
pub(crate) const NO_STORE: &str = "nothing is stored, so there is nothing to read again";
pub(crate) const NO_REDELIVERY: &str = "a delivered message is forgotten, acknowledged or not";
pub(crate) const NO_DURABLE: &str = "the server forgets a subscriber that leaves";
pub(crate) const NO_DEDUPLICATION: &str = "the server remembers no message that it has seen";
pub(crate) const NO_PULL: &str = "messages are pushed when they are published";

pub(crate) const FULL: Failure = Failure::GaveUp("the reconnect buffer is full");
pub(crate) const CLOSED: Failure = Failure::GaveUp("the connection is closed");

pub(crate) fn refused(text: &str) -> Failure {
    Failure::Refused(text.into())
}

/// Whether core NATS has what the operation asks for.
pub(super) fn check(op: &Op<'_>) -> Result<(), Unsupported> {
    let unsupported = |feature, reason| Err(Unsupported { feature, reason });
    match op {
        Op::Publish(publish) | Op::Request { publish, .. } => check_want(publish),
        Op::Declare(_) => unsupported(Feature::Replay, NO_STORE),
        Op::Subscribe { start, flow, .. } => {
            if *start != Start::New {
                unsupported(Feature::Replay, NO_STORE)
            } else if flow.durable {
                unsupported(Feature::DurableConsumer, NO_DURABLE)
            } else if flow.ack != AckPolicy::None {
                unsupported(Feature::Redelivery, NO_REDELIVERY)
            } else {
                Ok(())
            }
        }
        Op::Fetch { .. } => unsupported(Feature::Pull, NO_PULL),
        Op::Settle { .. } => unsupported(Feature::Redelivery, NO_REDELIVERY),
        Op::Reply { .. } | Op::Unsubscribe { .. } => Ok(()),
    }
}

#[inline]
fn check_want(publish: &Publish<'_>) -> Result<(), Unsupported> {
    match publish.want {
        Want::Usual | Want::Nothing => Ok(()),
        Want::Stored => Err(Unsupported { feature: Feature::PublishAck, reason: NO_ACK }),
        Want::StoredOnce(_) => {
            Err(Unsupported { feature: Feature::Deduplication, reason: NO_DEDUPLICATION })
        }
    }
}

impl NatsClient {
    #[inline]
    pub(crate) fn publish(
        &mut self,
        ticket: Ticket,
        publish: &Publish<'_>,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) -> Result<(), Unsupported> {
        check_want(publish)?;
        let channel = publish.channel.as_bytes();
        if publish.headers.is_empty() {
            self.put(ticket, channel, &[], publish.payload, out);
        } else if let Some(block) = headers::encode(publish.headers) {
            self.put(ticket, channel, &block, publish.payload, out);
        } else {
            Self::failed(ticket, refused("invalid headers"), out);
        }
        Ok(())
    }

    /// Publishes without a reply subject.
    #[inline]
    pub(crate) fn put(
        &mut self,
        ticket: Ticket,
        channel: &[u8],
        block: &[u8],
        payload: &[u8],
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        if let Err(failure) = self.fits(channel, block.len() + payload.len()) {
            return Self::failed(ticket, failure, out);
        }
        let message = Message::new(channel, &[], block, payload);
        if self.state == State::Ready {
            out.send(LINK, Up::Publish(message));
            out.outcome(ticket, Outcome::Sent);
        } else {
            self.hold(Held::Publish { ticket, message }, out);
        }
    }

    /// Whether a message can be put on a line, and is not above the limit that
    /// the server has told.
    #[inline]
    pub(crate) fn fits(&self, channel: &[u8], len: usize) -> Result<(), Failure> {
        if !subject::is_printable(channel) {
            return Err(refused("Invalid Subject"));
        }
        if len as u64 > self.max_payload {
            return Err(refused("Maximum Payload Violation"));
        }
        Ok(())
    }

    pub(crate) fn request(
        &mut self,
        now: Time,
        ticket: Ticket,
        publish: &Publish<'_>,
        timeout: Duration,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) -> Result<(), Unsupported> {
        check_want(publish)?;
        let channel = publish.channel.as_bytes();
        let Some(block) = headers::encode(publish.headers) else {
            Self::failed(ticket, refused("invalid headers"), out);
            return Ok(());
        };
        if let Err(failure) = self.fits(channel, block.len() + publish.payload.len()) {
            Self::failed(ticket, failure, out);
            return Ok(());
        }
        let ready = self.state == State::Ready;
        self.open_inbox(out);
        let more = self.more();
        let id = more.requests.open(ticket, now + timeout);
        let reply = more.requests.reply(id);
        let message = Message::new(channel, reply.as_bytes(), &block, publish.payload);
        if ready {
            more.requests.leaves(id);
            out.send(LINK, Up::Publish(message));
        } else {
            self.hold(Held::Request { id, message }, out);
        }
        Ok(())
    }

    /// Keeps a message until there is a connection, if there is room and hope.
    #[cold]
    fn hold(&mut self, held: Held, out: &mut Actions<impl Client<Broker = Nats>>) {
        if self.state == State::Over {
            return self.drop_held(held, CLOSED, out);
        }
        let room = self.config.reconnect_buffer;
        let len = held.message().publish_len() as u64;
        let more = self.more();
        if more.held_bytes + len > room {
            return self.drop_held(held, FULL, out);
        }
        more.held_bytes += len;
        more.held.push_back(held);
    }

    pub(super) fn drop_held(
        &mut self,
        held: Held,
        failure: Failure,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        let ticket = match held {
            Held::Publish { ticket, .. } => Some(ticket),
            Held::Request { id, .. } => self.more().requests.close(id),
        };
        if let Some(ticket) = ticket {
            Self::failed(ticket, failure, out);
        }
    }

    pub(crate) fn subscribe(
        &mut self,
        ticket: Ticket,
        filter: &str,
        queue: Option<&str>,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        let printable = queue.is_none_or(|queue| subject::is_printable(queue.as_bytes()));
        if !subject::is_valid_filter(filter.as_bytes()) || !printable {
            return Self::failed(ticket, refused("Invalid Subject"), out);
        }
        if self.stopping || self.state == State::Over {
            return Self::failed(ticket, CLOSED, out);
        }
        let ready = self.state == State::Ready;
        let more = self.more();
        let sid = more.next_sid();
        let mut sub = Sub {
            owner: Owner::Application(ticket),
            filter: filter.into(),
            queue: queue.map(Into::into),
            delivered: 0,
            counted: 0,
            max: None,
            confirmed: false,
        };
        if ready {
            for frame in sub.frames(sid) {
                out.send(LINK, frame);
            }
        }
        more.subs.insert(sid, sub);
        more.sids.insert(ticket, sid);
        if ready {
            self.flush(Flush::Subscribed { sid, ticket }, out);
        }
    }

    pub(crate) fn unsubscribe(
        &mut self,
        ticket: Ticket,
        subscription: Ticket,
        after: Option<u64>,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        let ready = self.state == State::Ready;
        let sid = self.more.as_ref().and_then(|more| more.sids.get(&subscription).copied());
        let more = self.more();
        let Some((sid, sub)) = sid.and_then(|sid| Some((sid, more.subs.get_mut(&sid)?))) else {
            return Self::failed(ticket, Failure::NoSubscription, out);
        };
        match after.filter(|after| *after > sub.delivered) {
            Some(after) => {
                sub.max = Some(after);
                if ready {
                    out.send(LINK, Up::Unsubscribe { sid, max: Some(after - sub.counted) });
                    self.flush(Flush::Limited { ticket }, out);
                } else {
                    // It goes out behind the SUB.
                    out.outcome(ticket, Outcome::Done);
                }
            }
            None if ready => {
                out.send(LINK, Up::Unsubscribe { sid, max: None });
                self.flush(Flush::Unsubscribed { sid, ticket }, out);
            }
            None => {
                let sub = more.end(sid).filter(|sub| !sub.confirmed);
                if let Some(ticket) = sub.and_then(|sub| sub.owner.ticket()) {
                    let failure = Failure::GaveUp("unsubscribed before it was in force");
                    Self::failed(ticket, failure, out);
                }
                out.outcome(ticket, Outcome::Done);
            }
        }
    }

    /// Sends a PING whose PONG confirms everything before it.
    pub(crate) fn flush(&mut self, flush: Flush, out: &mut Actions<impl Client<Broker = Nats>>) {
        self.ping(out);
        let number = self.pings;
        self.more().flushes.push_back((number, flush));
    }

    pub(super) fn ping(&mut self, out: &mut Actions<impl Client<Broker = Nats>>) {
        self.pings = self.pings.wrapping_add(1);
        out.send(LINK, Up::Ping);
    }
}
