//! What happens on the connection, and how a client goes.

use broker_contract::{Actions, Client, Delivery, Failure, Note, Outcome, Ticket, Time};

use super::state::{Flush, Held, Owner, State, Sub};
use super::upper::Event;
use super::{LINK, NatsClient, SERVER};
use crate::Nats;
use crate::frame::{ConnectOptions, Down, Info, Message, ServerError, Up, headers};

impl NatsClient {
    #[inline]
    pub(super) fn frame(
        &mut self,
        now: Time,
        frame: Down,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        if !matches!(self.state, State::Greeting | State::Ready) {
            return;
        }
        match frame {
            Down::Message { sid, plain, message, .. } => self.message(sid, plain, message, out),
            Down::Pong => self.pong(now, out),
            Down::Ping => out.send(LINK, Up::Pong),
            Down::Info(info) => self.info(&info, out),
            Down::Error(error) => self.error(&error),
            Down::Ok => {}
        }
    }

    #[inline]
    fn message(
        &mut self,
        sid: u64,
        plain: bool,
        message: Message,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        let Some(more) = &mut self.more else { return };
        let Some(sub) = more.subs.get_mut(&sid) else {
            return self.answer(sid, plain, message, out);
        };
        let Owner::Application(subscription) = sub.owner else {
            return more.tell(Event::Message { sid, message });
        };
        sub.delivered += 1;
        if sub.max.is_some_and(|max| sub.delivered >= max) {
            more.end(sid);
        }
        let message = message.into_envelope(plain);
        out.deliver(Delivery { subscription, token: 0, redelivered: false, message });
    }

    /// A message that is for no subscription: the answer to a request, or the
    /// last one that the server sent before it learnt of an end.
    fn answer(
        &mut self,
        sid: u64,
        plain: bool,
        message: Message,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        let more = self.more();
        let ours = sid == more.requests.sid;
        if ours && more.is_hosting() && more.requests.is_other(message.subject()) {
            return more.tell(Event::Answer { message });
        }
        let id = ours.then(|| more.requests.answered(message.subject()));
        let Some(ticket) = id.flatten().and_then(|id| more.requests.close(id)) else {
            // Too late, or a second answer.
            out.note(Note::Wasted { messages: 1, bytes: message.payload().len() as u64 });
            return;
        };
        let unheard = message.payload().is_empty()
            && headers::status(message.headers()) == Some(headers::STATUS_NO_RESPONDERS);
        if unheard {
            Self::failed(ticket, Failure::NoResponders, out);
        } else {
            out.outcome(ticket, Outcome::Replied(message.into_envelope(plain)));
        }
        self.say_goodbye(out);
    }

    fn info(&mut self, info: &Info, out: &mut Actions<impl Client<Broker = Nats>>) {
        self.max_payload = info.server.max_payload;
        if self.state != State::Greeting || self.pings > 0 {
            return;
        }
        out.send(
            LINK,
            Up::Connect(Box::new(ConnectOptions {
                verbose: Some(false),
                pedantic: Some(false),
                echo: Some(self.config.echo),
                headers: true,
                no_responders: self.config.no_responders,
                protocol: 1,
                lang: Some("rust".into()),
                version: Some(env!("CARGO_PKG_VERSION").into()),
                ..ConnectOptions::default()
            })),
        );
        self.ping(out);
    }

    fn pong(&mut self, now: Time, out: &mut Actions<impl Client<Broker = Nats>>) {
        self.pongs = self.pongs.wrapping_add(1);
        self.pings_out = 0;
        if self.state == State::Greeting {
            self.state = State::Ready;
            self.attempts = 0;
            self.due = now + self.config.ping_interval;
            self.ready(out);
            return;
        }
        loop {
            let pongs = self.pongs;
            let Some(more) = &mut self.more else { return };
            // Counts wrap, and what is outstanding is far below half their range.
            let confirmed = more
                .flushes
                .front()
                .is_some_and(|(number, _)| pongs.wrapping_sub(*number) < 1 << 31);
            if !confirmed {
                return;
            }
            let Some((_, flush)) = more.flushes.pop_front() else { return };
            self.confirmed(flush, out);
        }
    }

    fn confirmed(&mut self, flush: Flush, out: &mut Actions<impl Client<Broker = Nats>>) {
        match flush {
            Flush::Subscribed { sid, ticket } => {
                if let Some(sub) = self.more().subs.get_mut(&sid) {
                    sub.confirmed = true;
                }
                out.outcome(ticket, Outcome::Done);
            }
            Flush::Refused { ticket, text } => Self::failed(ticket, Failure::Refused(text), out),
            Flush::Unsubscribed { sid, ticket } => {
                self.more().end(sid);
                out.outcome(ticket, Outcome::Done);
            }
            Flush::Limited { ticket } => out.outcome(ticket, Outcome::Done),
            Flush::Upper(mark) => self.more().tell(Event::Flushed(mark)),
            Flush::Drained => {
                let more = self.more();
                more.subs.clear();
                more.sids.clear();
                self.say_goodbye(out);
            }
        }
    }

    /// Subscribes to everything there is, then sends what was held: a client that
    /// hears itself hears that too.
    fn ready(&mut self, out: &mut Actions<impl Client<Broker = Nats>>) {
        if self.more.is_none() {
            return self.drain_if_stopping(out);
        }
        let more = self.more();
        if more.requests.sid != 0 {
            let filter = more.requests.filter();
            out.send(LINK, Up::subscribe(filter.as_bytes(), None, more.requests.sid));
        }
        let mut unconfirmed = Vec::new();
        for (sid, sub) in &mut more.subs {
            for frame in sub.frames(*sid) {
                out.send(LINK, frame);
            }
            if let Owner::Application(ticket) = sub.owner
                && !sub.confirmed
            {
                unconfirmed.push(Flush::Subscribed { sid: *sid, ticket });
            }
        }
        if !unconfirmed.is_empty() {
            self.ping(out);
            let number = self.pings;
            self.more().flushes.extend(unconfirmed.into_iter().map(|flush| (number, flush)));
        }
        for held in self.more().take_held() {
            self.release(held, out);
        }
        self.more().tell(Event::Ready);
        self.drain_if_stopping(out);
    }

    fn release(&mut self, held: Held, out: &mut Actions<impl Client<Broker = Nats>>) {
        // The limit was not known when the message was taken in.
        if held.message().total_len() as u64 > self.max_payload {
            let failure = Failure::Refused("Maximum Payload Violation".into());
            return self.drop_held(held, failure, out);
        }
        match held {
            Held::Publish { ticket, message } => {
                out.send(LINK, Up::Publish(message));
                out.outcome(ticket, Outcome::Sent);
            }
            Held::Request { id, message } => {
                if self.more().requests.leaves(id) {
                    out.send(LINK, Up::Publish(message));
                }
            }
        }
    }

    /// An error that answers a SUB comes before the PONG behind it, and after the
    /// PONGs behind those before.
    fn error(&mut self, error: &ServerError) {
        let about_sub = match error {
            ServerError::InvalidSubject | ServerError::MaxSubscriptions => true,
            ServerError::Other(text) => text.starts_with("Permissions Violation for Subscription"),
            _ => false,
        };
        let Some(more) = &mut self.more else { return };
        if about_sub
            && let Some((_, flush)) = more.flushes.front_mut()
            && let Flush::Subscribed { sid, ticket } = *flush
        {
            *flush = Flush::Refused { ticket, text: error.text().into() };
            more.end(sid);
        }
    }

    pub(super) fn connected(&mut self) {
        if self.state == State::Connecting {
            self.state = State::Greeting;
            (self.pings, self.pongs, self.pings_out) = (0, 0, 0);
        }
    }

    /// Gives a connection up that is of no use any more.
    pub(super) fn abandon(&mut self, now: Time, out: &mut Actions<impl Client<Broker = Nats>>) {
        if matches!(self.state, State::Connecting | State::Greeting | State::Ready) {
            out.close(LINK);
            self.lost(now, out);
        }
    }

    pub(super) fn lost(&mut self, now: Time, out: &mut Actions<impl Client<Broker = Nats>>) {
        let was_ready = match self.state {
            State::Ready => true,
            State::Connecting | State::Greeting => false,
            State::Idle | State::Waiting | State::Over => return,
        };
        self.unanswered(out);
        if let Some(more) = &mut self.more
            && was_ready
        {
            more.tell(Event::Lost);
        }
        if self.stopping {
            return self.give_up("shut down while not connected", out);
        }
        if was_ready {
            self.state = State::Connecting;
            out.connect(LINK, SERVER);
            return;
        }
        self.attempts += 1;
        if u64::from(self.attempts) > self.config.max_reconnect {
            return self.give_up("no connection after many attempts", out);
        }
        let jitter = u64::try_from(self.config.reconnect_jitter.as_nanos()).unwrap_or(u64::MAX);
        let seed = self.start.seed.fork("reconnect").nth(now.as_nanos());
        let jitter = (u128::from(seed.bits()) * u128::from(jitter)) >> 64;
        self.state = State::Waiting;
        self.due = (now + self.config.reconnect_wait).plus_nanos(jitter as u64);
    }

    /// The connection took these answers with it.
    fn unanswered(&mut self, out: &mut Actions<impl Client<Broker = Nats>>) {
        let Some(more) = &mut self.more else { return };
        for (_, flush) in std::mem::take(&mut more.flushes) {
            match flush {
                // It is made again on the next connection, unless it has had all
                // its messages.
                Flush::Subscribed { sid, .. } if more.subs.contains_key(&sid) => {}
                Flush::Subscribed { ticket, .. } => out.outcome(ticket, Outcome::Done),
                Flush::Refused { ticket, text } => {
                    Self::failed(ticket, Failure::Refused(text), out);
                }
                // With the connection, the subscription has ended too.
                Flush::Unsubscribed { sid, ticket } => {
                    more.end(sid);
                    out.outcome(ticket, Outcome::Done);
                }
                Flush::Limited { ticket } => out.outcome(ticket, Outcome::Done),
                // The one above learns that the connection is lost.
                Flush::Upper(_) | Flush::Drained => {}
            }
        }
        for ticket in more.requests.take_sent() {
            out.outcome(ticket, Outcome::Unknown(Failure::ConnectionLost));
        }
    }

    /// Ends everything that still waits for a connection.
    fn give_up(&mut self, why: &'static str, out: &mut Actions<impl Client<Broker = Nats>>) {
        self.state = State::Over;
        if self.more.is_none() {
            return;
        }
        self.more().tell(Event::Over(why));
        for held in self.more().take_held() {
            self.drop_held(held, Failure::GaveUp(why), out);
        }
        let more = self.more();
        more.sids.clear();
        let subs: Vec<Sub> = std::mem::take(&mut more.subs).into_values().collect();
        let unconfirmed = subs.iter().filter(|sub| !sub.confirmed);
        let tickets: Vec<Ticket> = unconfirmed.filter_map(|sub| sub.owner.ticket()).collect();
        for ticket in tickets {
            Self::failed(ticket, Failure::GaveUp(why), out);
        }
    }

    pub(super) fn tick(&mut self, now: Time, out: &mut Actions<impl Client<Broker = Nats>>) {
        if let Some(more) = &mut self.more {
            while let Some(ticket) = more.requests.overdue(now) {
                Self::failed(ticket, Failure::Timeout, out);
            }
        }
        match self.state {
            State::Waiting if self.due <= now => {
                self.state = State::Connecting;
                out.connect(LINK, SERVER);
            }
            State::Ready if self.due <= now => {
                if self.pings_out >= self.config.ping_max {
                    return self.abandon(now, out);
                }
                self.pings_out += 1;
                self.due = now + self.config.ping_interval;
                self.ping(out);
            }
            _ => {}
        }
        self.say_goodbye(out);
    }

    pub(crate) fn shut_down(&mut self, out: &mut Actions<impl Client<Broker = Nats>>) {
        if std::mem::replace(&mut self.stopping, true) {
            return;
        }
        match self.state {
            State::Idle => self.state = State::Over,
            State::Ready => self.drain(out),
            State::Waiting => self.give_up("shut down while not connected", out),
            State::Connecting | State::Greeting => {
                let waits = self
                    .more
                    .as_ref()
                    .is_some_and(|more| !more.held.is_empty() || !more.subs.is_empty());
                if !waits {
                    out.close(LINK);
                    self.state = State::Over;
                }
            }
            State::Over => {}
        }
    }

    fn drain_if_stopping(&mut self, out: &mut Actions<impl Client<Broker = Nats>>) {
        if self.stopping {
            self.drain(out);
        }
    }

    /// Ends all subscriptions at the server; what is on its way still arrives, and
    /// the PONG comes behind it. The inbox stays for answers that are awaited.
    fn drain(&mut self, out: &mut Actions<impl Client<Broker = Nats>>) {
        for sid in self.more().subs.keys() {
            out.send(LINK, Up::Unsubscribe { sid: *sid, max: None });
        }
        self.flush(Flush::Drained, out);
    }

    /// Closes once nothing is awaited any more.
    fn say_goodbye(&mut self, out: &mut Actions<impl Client<Broker = Nats>>) {
        if !self.stopping || self.state != State::Ready {
            return;
        }
        let idle = self
            .more
            .as_ref()
            .is_none_or(|more| more.requests.is_empty() && more.flushes.is_empty());
        if idle {
            out.close(LINK);
            self.state = State::Over;
        }
    }
}
