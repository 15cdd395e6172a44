//! What happens on the client's connections, and how it says goodbye.

use std::collections::VecDeque;
use std::sync::Arc;

use broker_contract::{Actions, Cause, Failure, LinkId, NodeId, Note, Outcome, Time};

use super::link::{Expect, State};
use super::requests::InboxState;
use super::{FIRST, Purpose, RedisClient, SECOND, trailer};
use crate::frame::{Body, Change, Down, Kind, Proto, Reply, Texts, Up, Verb, text, texts};

impl RedisClient {
    pub(super) fn frame(&mut self, now: Time, on: LinkId, frame: Down, out: &mut Actions<Self>) {
        if self.link(on).state != State::Ready {
            return;
        }
        match frame {
            Down::Message { body, .. } => self.message(Kind::Channel, None, &body, out),
            Down::PatternMessage { pattern, body, .. } => {
                self.message(Kind::Pattern, Some(&pattern), &body, out);
            }
            Down::Confirmed { change, .. } => self.confirmation(on, change, out),
            Down::Reply(reply) => self.reply(now, on, reply, out),
            // This client begins no transaction.
            Down::Answers(_) => {}
        }
    }

    fn message(
        &mut self,
        kind: Kind,
        pattern: Option<&[u8]>,
        body: &Body,
        out: &mut Actions<Self>,
    ) {
        let more = self.more();
        if more.requests.inbox_state != InboxState::Unused
            && kind == Kind::Channel
            && body.channel() == &*more.requests.inbox
        {
            let (payload, address) = trailer::split(body.payload());
            let answer = body.envelope(payload, address);
            let ticket = match trailer::parse(answer.reply()) {
                Some((_, id)) => more.requests.close(id),
                None => None,
            };
            match ticket {
                Some(ticket) => out.outcome(ticket, Outcome::Replied(answer)),
                // Too late, or a second answer.
                None => out.note(Note::Wasted { messages: 1, bytes: payload as u64 }),
            }
            return;
        }
        let name = pattern.unwrap_or(body.channel());
        for ended in more.subs.deliver(kind, name, body, out) {
            self.end(None, ended, out);
        }
    }

    fn confirmation(&mut self, on: LinkId, change: Change, out: &mut Actions<Self>) {
        // Whatever the frame says, it answers the oldest command.
        let expected = self.link(on).expected.pop_front();
        match (change, expected) {
            (Change::Subscribe, Some(Expect::Subscribed { kind, name, epoch })) => {
                let more = self.more();
                if epoch == 0 && name == more.requests.inbox {
                    more.requests.inbox_state = InboxState::Ready;
                    for (id, up) in more.requests.take_waiting() {
                        self.send_request(id, up, out);
                    }
                } else {
                    more.subs.confirmed(kind, &name, epoch, out);
                }
            }
            (Change::Unsubscribe, Some(Expect::Unsubscribed { ticket })) => {
                if let Some(ticket) = ticket {
                    out.outcome(ticket, Outcome::Done);
                }
            }
            (Change::Unsubscribe, Some(Expect::Farewell { kind, name })) => {
                self.more().subs.farewell(kind, &name);
            }
            // Nobody asked: a node that ends subscriptions by itself.
            (_, Some(expected)) => self.link(on).expected.push_front(expected),
            (_, None) => {}
        }
    }

    fn reply(&mut self, now: Time, on: LinkId, reply: Reply, out: &mut Actions<Self>) {
        let refusal = match &reply {
            Reply::Error(text) => Some(text),
            _ => None,
        };
        let Some(expected) = self.link(on).expected.pop_front() else {
            // An error that answers nothing: the node says why it will close.
            return;
        };
        match (expected, refusal) {
            (Expect::Published(message), Some(_)) => {
                let message = message.map(Box::new);
                out.note(Note::Dropped { cause: Cause::Refused, conn: None, message });
            }
            (Expect::Requested(id), refusal) => {
                let failure = match (refusal, &reply) {
                    (Some(text), _) => Failure::Refused(Box::from(&**text)),
                    (None, Reply::Integer(0)) => Failure::NoResponders,
                    // Somebody has it; the answer comes through the inbox.
                    _ => return,
                };
                if let Some(ticket) = self.more().requests.close(id) {
                    out.outcome(ticket, Outcome::Failed(failure));
                }
            }
            (Expect::Subscribed { kind, name, .. }, Some(text)) => {
                let text = Arc::clone(text);
                self.more().subs.refused(kind, &name, &text, out);
            }
            (Expect::Unsubscribed { ticket: Some(ticket) }, Some(text)) => {
                let failure = Failure::Refused(Box::from(&**text));
                out.outcome(ticket, Outcome::Failed(failure));
            }
            (Expect::Farewell { kind, name }, Some(_)) => self.more().subs.farewell(kind, &name),
            // It does not speak this version, or does not know this client.
            (Expect::Hello, Some(_)) => {
                out.close(on);
                self.lost(now, on, out);
            }
            (Expect::Quit, _) => {
                self.link(on).state = State::Over;
                out.close(on);
            }
            _ => {}
        }
    }

    pub(super) fn connected(&mut self, on: LinkId, out: &mut Actions<Self>) {
        if self.link(on).state != State::Connecting {
            return;
        }
        self.link(on).connected();
        let greeting = match (self.config.proto, &self.config.auth) {
            (Proto::Resp2, None) => None,
            (Proto::Resp2, Some((user, password))) => {
                let args = texts([user, password]);
                Some(Up::Call { verb: Verb::Auth, args })
            }
            (Proto::Resp3, None) => Some(Up::Hello(texts(["3"]))),
            (Proto::Resp3, Some((user, password))) => {
                Some(Up::Hello(texts(["3", "AUTH", user, password])))
            }
        };
        if let Some(greeting) = greeting {
            self.link(on).expect(Expect::Hello);
            out.send(on, greeting);
        }
        if self.more.is_some() && self.serves(on, Purpose::Subscriptions) {
            self.subscribe_again(on, out);
        }
        for held in self.link(on).take_held() {
            // Held commands are for this connection; they go out in order.
            self.put(held, out);
        }
    }

    /// One command per topic: an error then refuses that topic and no other.
    fn subscribe_again(&mut self, on: LinkId, out: &mut Actions<Self>) {
        let more = self.more();
        let mut names: Vec<_> = Vec::new();
        for (kind, name) in more.subs.names() {
            let epoch = more.subs.renew(kind, &name);
            names.push((kind, name, epoch));
        }
        if more.requests.inbox_state != InboxState::Unused {
            names.push((Kind::Channel, more.requests.inbox.clone(), 0));
        }
        for (kind, name, epoch) in names {
            self.link(on).expect(Expect::Subscribed { kind, name: name.clone(), epoch });
            out.send(on, Up::subscribe(kind, name));
        }
    }

    pub(super) fn lost(&mut self, now: Time, on: LinkId, out: &mut Actions<Self>) {
        if !matches!(self.link(on).state, State::Connecting | State::Ready) {
            return;
        }
        let (config, seed) = (Arc::clone(&self.config), self.start.seed.nth(u64::from(on.0)));
        let expected = self.link(on).lost(now, &config, seed);
        self.unanswered(expected, out);
        if self.more.is_some() && self.serves(on, Purpose::Subscriptions) {
            let more = self.more();
            more.subs.lost();
            if more.requests.inbox_state == InboxState::Ready {
                more.requests.inbox_state = InboxState::Pending;
            }
        }
        for held in self.link(on).overflow(&config) {
            self.give_up(held, "not connected", out);
        }
    }

    /// The connection took these answers with it. Publishes have ended as sent,
    /// and what was still on the link is named by whoever carries it.
    fn unanswered(&mut self, expected: VecDeque<Expect>, out: &mut Actions<Self>) {
        for expect in expected {
            match expect {
                Expect::Requested(id) => {
                    if let Some(ticket) = self.more().requests.close(id) {
                        out.outcome(ticket, Outcome::Unknown(Failure::ConnectionLost));
                    }
                }
                // With the connection, the subscription has ended too.
                Expect::Unsubscribed { ticket: Some(ticket) } => out.outcome(ticket, Outcome::Done),
                Expect::Farewell { kind, name } => self.more().subs.farewell(kind, &name),
                _ => {}
            }
        }
    }

    pub(super) fn tick(&mut self, now: Time, out: &mut Actions<Self>) {
        for on in [FIRST, SECOND] {
            if on == SECOND && self.more.is_none() {
                break;
            }
            if self.link(on).deadline().is_some_and(|due| due <= now) {
                self.link(on).state = State::Connecting;
                out.connect(on, NodeId(0));
            }
        }
        let Some(more) = &mut self.more else { return };
        while let Some(ticket) = more.requests.overdue(now) {
            out.outcome(ticket, Outcome::Failed(Failure::Timeout));
        }
    }

    /// Ends what the node knows of this client's subscriptions; what is on its
    /// way meanwhile is still delivered.
    pub(super) fn shut_down(&mut self, _now: Time, out: &mut Actions<Self>) {
        if std::mem::replace(&mut self.stopping, true) || self.more.is_none() {
            return;
        }
        let on = self.link_for(Purpose::Subscriptions);
        if self.link(on).state != State::Ready {
            self.more().subs.abandon(out);
            return;
        }
        let names = self.more().subs.names();
        for kind in [Kind::Channel, Kind::Pattern] {
            let topics: Texts =
                names.iter().filter(|(of, _)| *of == kind).map(|(_, name)| text(name)).collect();
            if topics.is_empty() {
                continue;
            }
            for name in topics.iter() {
                self.link(on).expect(Expect::Farewell { kind, name: name.clone() });
            }
            out.send(on, Up::Unsubscribe { kind, topics });
        }
    }

    /// Closes what has nothing left to do. Called after everything that happens
    /// to a client that is stopping.
    pub(super) fn say_goodbye(&mut self, out: &mut Actions<Self>) {
        let requests_left = self.more.as_ref().is_some_and(|more| !more.requests.is_empty());
        for on in [FIRST, SECOND] {
            if on == SECOND && self.more.is_none() {
                break;
            }
            let link = self.link(on);
            match link.state {
                State::Idle => link.state = State::Over,
                State::Over => {}
                // What is held goes out when the connection is there.
                State::Connecting if link.held.is_empty() && !requests_left => {
                    link.state = State::Over;
                    out.close(on);
                }
                State::Connecting => {}
                State::Ready if link.expected.is_empty() && !requests_left => {
                    link.expect(Expect::Quit);
                    out.send(on, Up::Quit);
                }
                State::Ready => {}
                State::Waiting(_) => {
                    link.state = State::Over;
                    for held in link.take_held() {
                        self.give_up(held, "shut down while not connected", out);
                    }
                    if self.more.is_some() && self.serves(on, Purpose::Subscriptions) {
                        self.more().subs.abandon(out);
                    }
                    self.drop_requests(out);
                }
            }
        }
    }

    /// Without one of its connections, a request is not answered.
    fn drop_requests(&mut self, out: &mut Actions<Self>) {
        let Some(more) = &mut self.more else { return };
        for (ticket, sent) in more.requests.drain() {
            let failure = Failure::ConnectionLost;
            let outcome = if sent { Outcome::Unknown(failure) } else { Outcome::Failed(failure) };
            out.outcome(ticket, outcome);
        }
    }
}
