//! Messages and statuses that consumers send, and the requests that keep them
//! coming.
//!
//! An **ordered** consumer is pushed to. Its deliveries are numbered without a
//! gap; where one is missing, or nothing is heard for two heartbeats, the client
//! makes the consumer anew behind the last message that it has. All others are
//! **pulled**: the client keeps requests standing for as many messages as may be
//! in flight, and asks again when half of them have come.

use broker_contract::{AckPolicy, Actions, Client, Delivery, Note, Outcome, Ticket, Time};

use super::JetStreamClient;
use super::api::{self, PullRequest, nanos};
use super::held::Open;
use super::names;
use super::state::{Leaving, Stage, Timer};
use crate::Nats;
use crate::client::{LINK, State};
use crate::frame::{Message, Up, headers};
use crate::subject;

/// The value of a header that is a number.
fn number<T: std::str::FromStr>(block: &[u8], name: &str) -> Option<T> {
    headers::pairs(block).find(|(header, _)| *header == name)?.1.parse().ok()
}

fn wasted(message: &Message, out: &mut Actions<impl Client<Broker = Nats>>) {
    out.note(Note::Wasted { messages: 1, bytes: message.payload().len() as u64 });
}

impl JetStreamClient {
    /// Something came to the inbox of a consumer.
    #[inline]
    pub(super) fn received(
        &mut self,
        now: Time,
        sid: u64,
        message: Message,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        let Some(consumer) = self.js.consumers.get_mut(&sid) else {
            return wasted(&message, out);
        };
        let Some(place) = names::place(message.reply()) else {
            return self.status(now, sid, &message, out);
        };
        let Some(sub) = self.js.subs.get_mut(&consumer.sub) else { return wasted(&message, out) };
        if place.consumer != consumer.name.as_bytes() {
            // Of a consumer that was given up.
            return wasted(&message, out);
        }
        consumer.heard = now;
        let mut fetches = Vec::new();
        if consumer.ordered {
            if place.consumer_seq != consumer.consumer_seq + 1 {
                wasted(&message, out);
                if consumer.stage == Stage::Running {
                    out.note(Note::Sometimes("an ordered consumer found a gap"));
                    self.remake(now, sid, out);
                }
                return;
            }
            consumer.consumer_seq = place.consumer_seq;
            consumer.is_at(&place);
            let had = consumer.had;
            if had.is_some_and(|(seq, time)| place.stream_seq <= seq && place.stored_at <= time) {
                return wasted(&message, out);
            }
        } else {
            fetches = consumer.pulls.received();
            if sub.durable.is_none() && consumer.position < Some(place.stream_seq) {
                consumer.is_at(&place);
            }
        }
        if sub.max.is_some_and(|max| sub.delivered >= max) {
            return wasted(&message, out);
        }
        sub.delivered += 1;
        let is_last = sub.max == Some(sub.delivered);
        let subscription = sub.ticket;
        let mut token = 0;
        if sub.ack != AckPolicy::None {
            self.js.last_token += 1;
            token = self.js.last_token;
            consumer.unsettled += 1;
            let open = Open {
                sub: subscription,
                sid,
                stream_seq: place.stream_seq,
                delivered: place.delivered,
                message: message.clone(),
                at: now,
                counted: true,
                before: Vec::new(),
            };
            if self.js.held.add(token, open) {
                // The delivery before does not count any more.
                consumer.unsettled = consumer.unsettled.saturating_sub(1);
            }
        }
        let redelivered = place.delivered > 1;
        // The reply subject is the consumer's own: an application that answered to
        // it would settle the message.
        let message = message.into_envelope_without_reply();
        out.deliver(Delivery { subscription, token, redelivered, message });
        self.fetches_end(fetches, out);
        if is_last {
            self.forget_sub(now, subscription, out);
        } else {
            self.top_up(sid, out);
        }
    }

    /// A message without a place is a status.
    #[cold]
    fn status(
        &mut self,
        now: Time,
        sid: u64,
        message: &Message,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        let Some(consumer) = self.js.consumers.get_mut(&sid) else { return };
        let block = message.headers();
        let Some(status) = headers::status(block) else { return wasted(message, out) };
        let last = subject::tokens(message.subject()).last().unwrap_or_default();
        let last: u64 = std::str::from_utf8(last).ok().and_then(|n| n.parse().ok()).unwrap_or(0);
        if consumer.ordered && last != u64::from(consumer.generation) {
            // Of a consumer that was given up.
            return;
        }
        consumer.heard = now;
        if status == b"100" {
            // The server waits for an answer before it sends more.
            let stalled = headers::pairs(block).find(|(name, _)| *name == "Nats-Consumer-Stalled");
            let asks = stalled.map(|(_, to)| to.as_bytes()).unwrap_or(message.reply());
            if !asks.is_empty() && self.core.state() == State::Ready {
                out.send(LINK, Up::Publish(Message::new(asks, b"", b"", b"")));
            }
            let sent: Option<u64> = number(block, "Nats-Last-Consumer");
            let missed = sent.is_some_and(|sent| sent > consumer.consumer_seq);
            if consumer.ordered && consumer.stage == Stage::Running && missed {
                out.note(Note::Sometimes("an ordered consumer found a gap"));
                self.remake(now, sid, out);
            }
            return;
        }
        let gone = status == headers::STATUS_NO_RESPONDERS
            || block.windows(16).any(|text| text.eq_ignore_ascii_case(b"consumer deleted"));
        if consumer.ordered {
            if gone {
                self.remake(now, sid, out);
            }
            return;
        }
        let left = number(block, "Nats-Pending-Messages");
        let fetches = consumer.pulls.ended(last, left);
        self.fetches_end(fetches, out);
        if gone {
            let consumer = self.js.consumers.get_mut(&sid);
            if let Some(consumer) = consumer.filter(|consumer| consumer.stage == Stage::Running) {
                consumer.stage = Stage::Absent;
                self.retry(now, sid);
            }
        } else if matches!(status, b"404" | b"408") {
            self.top_up(sid, out);
        } else {
            // Too many wait, or the like: asking at once would not help.
            self.retry(now, sid);
        }
    }

    /// Asks for more when few messages are asked for.
    #[inline]
    pub(super) fn top_up(&mut self, sid: u64, out: &mut Actions<impl Client<Broker = Nats>>) {
        let Some(consumer) = self.js.consumers.get(&sid) else { return };
        let stays = self.js.leaving == Leaving::No && self.core.state() == State::Ready;
        if consumer.ordered || consumer.stage != Stage::Running || !stays {
            return;
        }
        let Some(sub) = self.js.subs.get(&consumer.sub) else { return };
        if sub.is_fetched() || sub.ending.is_some() {
            return;
        }
        let most = self.config.consumer.pull_max_messages;
        let asked = consumer.pulls.asked;
        let (window, held) = match sub.max_in_flight {
            // The rest is in the application's hands.
            Some(max) => {
                let share = u32::try_from(sub.consumers.len()).unwrap_or(u32::MAX).max(1);
                let unsettled = if sub.ack == AckPolicy::None { 0 } else { consumer.unsettled };
                ((max / share).max(1), unsettled)
            }
            None => (most, 0),
        };
        if asked > most / 2 {
            return;
        }
        if asked + held > window / 2 {
            if asked == 0 {
                self.await_lapse(sid);
            }
            return;
        }
        let mut batch = (window - asked - held).min(most - asked);
        if let Some(max) = sub.max {
            let left = max.saturating_sub(sub.delivered);
            let left = u32::try_from(left).unwrap_or(u32::MAX);
            batch = batch.min(left.saturating_sub(consumer.pulls.asked));
        }
        if batch > 0 {
            self.pull(sid, batch, None, out);
        }
    }

    fn pull(
        &mut self,
        sid: u64,
        batch: u32,
        fetch: Option<Ticket>,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        let inbox = self.core.inbox().to_owned();
        let Some(consumer) = self.js.consumers.get_mut(&sid) else { return };
        let number = consumer.pulls.add(batch, fetch);
        let settings = &self.config.consumer;
        let body = api::body(&PullRequest {
            batch,
            expires: nanos(settings.pull_expiry),
            idle_heartbeat: nanos(settings.pull_heartbeat),
        });
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", consumer.stream, consumer.name);
        let reply = format!("{inbox}d.{sid}.{number}");
        let message = Message::new(subject.as_bytes(), reply.as_bytes(), b"", &body);
        out.send(LINK, Up::Publish(message));
    }

    /// The application asks for messages; it ends when they have come, or when
    /// the server has no more time for it.
    pub(super) fn fetch(
        &mut self,
        now: Time,
        ticket: Ticket,
        subscription: Ticket,
        max: u32,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        let running: Vec<u64> = self.js.subs.get(&subscription).map_or_else(Vec::new, |sub| {
            let running =
                |sid: &&u64| self.js.consumers.get(*sid).is_some_and(|c| c.stage == Stage::Running);
            sub.consumers.iter().filter(running).copied().collect()
        });
        if running.is_empty() || max == 0 || self.core.state() != State::Ready {
            // There is nothing to ask; the application asks again.
            return out.outcome(ticket, Outcome::Done);
        }
        let consumers = u32::try_from(running.len()).unwrap_or(u32::MAX);
        self.js.fetches.insert(ticket, consumers);
        for sid in running {
            if let Some(consumer) = self.js.consumers.get_mut(&sid) {
                consumer.heard = now;
            }
            self.pull(sid, max.div_ceil(consumers), Some(ticket), out);
        }
    }

    /// Pulls of these fetches have ended.
    pub(super) fn fetches_end(
        &mut self,
        fetches: Vec<Ticket>,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        for ticket in fetches {
            let Some(left) = self.js.fetches.get_mut(&ticket) else { continue };
            *left -= 1;
            if *left == 0 {
                self.js.fetches.remove(&ticket);
                out.outcome(ticket, Outcome::Done);
            }
        }
    }

    /// Looks whether a consumer is still heard of.
    pub(super) fn watch(
        &mut self,
        now: Time,
        sid: u64,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        let patience = self.heartbeat(sid) * 2;
        let Some(consumer) = self.js.consumers.get_mut(&sid) else { return };
        consumer.watched = false;
        if consumer.stage != Stage::Running {
            // It is watched again once it is there.
            return;
        }
        let quiet = consumer.heard + patience <= now;
        if quiet && consumer.ordered {
            out.note(Note::Sometimes("an ordered consumer was not heard of"));
            return self.remake(now, sid, out);
        }
        if quiet {
            let fetches = consumer.pulls.clear();
            consumer.heard = now;
            self.fetches_end(fetches, out);
        }
        self.lapse(now, sid);
        self.top_up(sid, out);
        if let Some(consumer) = self.js.consumers.get_mut(&sid) {
            consumer.watched = true;
            let again = (consumer.heard + patience).max(now.plus_nanos(1));
            self.js.timers.insert((again, Timer::Watch(sid)));
        }
    }

    /// Deliveries that the server gives to somebody by now do not hold this
    /// client's window.
    fn lapse(&mut self, now: Time, sid: u64) {
        let Some(consumer) = self.js.consumers.get_mut(&sid) else { return };
        let Some(sub) = self.js.subs.get(&consumer.sub) else { return };
        let wait = sub.ack_wait.unwrap_or(self.config.consumer.ack_wait);
        let lapsed = self.js.held.discount(sid, |open| open.lapses(wait, &sub.backoff) <= now);
        consumer.unsettled = consumer.unsettled.saturating_sub(lapsed);
    }

    /// Nothing is asked for, and what the application holds fills the window. What
    /// it never settles comes again only to who asks for it, so the next moment at
    /// which a delivery lapses is one to ask at.
    fn await_lapse(&mut self, sid: u64) {
        let Some(consumer) = self.js.consumers.get(&sid) else { return };
        let Some(sub) = self.js.subs.get(&consumer.sub) else { return };
        let wait = sub.ack_wait.unwrap_or(self.config.consumer.ack_wait);
        let held = self.js.held.of(sid).filter(|open| open.counted);
        if let Some(at) = held.map(|open| open.lapses(wait, &sub.backoff)).min() {
            self.js.timers.insert((at, Timer::Lapse(sid)));
        }
    }

    /// A delivery may have lapsed.
    pub(super) fn lapsed(
        &mut self,
        now: Time,
        sid: u64,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        self.lapse(now, sid);
        self.top_up(sid, out);
    }
}
