//! JetStream: the client half, and the contender.
//!
//! **What it is for.** [`JetStreamClient`] publishes into streams and consumes
//! from them, over the connection of a core client and through the API subjects
//! and reply subjects of the original. What core NATS has (requests, answers,
//! plain publishes) it does on the same connection, since one server is both.
//!
//! **What it never does.** It keeps no state of a stream or a consumer that the
//! server does not have: what is acknowledged is the server's to know. It knows no
//! node; everything passes through frames.
//!
//! **Where to start reading.** `publishing.rs` for the way of a message into a
//! stream, `subscribing.rs` for how a filter becomes consumers, `resuming.rs` for how
//! they carry on after a loss, `consuming.rs` for what comes out of them, `settling.rs`
//! for acknowledgements and goodbyes.
//! `contender.rs` lists settings and claims.

mod api;
mod calls;
mod config;
mod consuming;
mod contender;
mod held;
mod names;
mod publish;
mod publishing;
mod resuming;
mod settling;
mod state;
mod subscribing;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use broker_contract::{
    Actions, Client, ClientInput, ClientStart, Op, Support, Ticket, Time, Unsupported,
};

pub use self::config::{ConsumerSettings, JetStreamClientConfig, Resend, StreamSettings};
pub use self::contender::JetStream;
use self::state::{Js, Leaving, Stage, Timer};
use self::subscribing::Wish;
use crate::Nats;
use crate::client::{Event, NatsClient, State};

/// A client of JetStream and of core NATS.
#[derive(Debug)]
pub struct JetStreamClient {
    config: Arc<JetStreamClientConfig>,
    core: NatsClient,
    // There may be a million publishers: what they do not use is empty and holds
    // no memory of its own.
    js: Box<Js>,
}

impl Client for JetStreamClient {
    type Broker = Nats;
    type Config = Arc<JetStreamClientConfig>;

    fn new(config: &Arc<JetStreamClientConfig>, start: ClientStart) -> Self {
        JetStreamClient {
            core: NatsClient::new(&config.core, start),
            config: Arc::clone(config),
            js: Box::default(),
        }
    }

    fn connect(&mut self, _now: Time, out: &mut Actions<Self>) {
        self.core.host(out);
        self.core.begin(out);
    }

    fn submit(
        &mut self,
        now: Time,
        ticket: Ticket,
        op: &Op<'_>,
        out: &mut Actions<Self>,
    ) -> Result<Support, Unsupported> {
        self.connect(now, out);
        match op {
            Op::Publish(publish) => self.publish(now, ticket, publish, out),
            Op::Request { publish, timeout } => {
                self.core.request(now, ticket, publish, *timeout, out)?;
            }
            Op::Reply { to, payload } => self.core.put(ticket, to, &[], payload, out),
            Op::Declare(declaration) => self.declare(now, ticket, declaration, out),
            Op::Subscribe { filter, group, start, flow } => {
                let wish = Wish { filter, group: *group, start: *start, flow: *flow };
                self.subscribe(now, ticket, &wish, out);
            }
            Op::Fetch { subscription, max } => self.fetch(now, ticket, *subscription, *max, out),
            Op::Settle { subscription, token, settle } => {
                self.settle(now, ticket, *subscription, *token, *settle, out);
            }
            Op::Unsubscribe { subscription, after } => {
                return Ok(self.unsubscribe(now, ticket, *subscription, *after, out));
            }
        }
        Ok(Support::Native)
    }

    fn handle(&mut self, now: Time, event: ClientInput<Nats>, out: &mut Actions<Self>) {
        match event {
            ClientInput::Shutdown => self.shut_down(now, out),
            ClientInput::Tick => {
                self.core.drive(now, ClientInput::Tick, out);
                self.events(now, out);
                self.tick(now, out);
            }
            event => self.core.drive(now, event, out),
        }
        self.events(now, out);
        if self.js.leaving == Leaving::Told && self.core.state() == State::Waiting {
            // The connection that it waited for was not made.
            self.leave(now, out);
        }
    }

    fn deadline(&self) -> Option<Time> {
        let timer = self.js.timers.first().map(|(due, _)| *due);
        [self.core.deadline(), timer, self.js.publishes.deadline()].into_iter().flatten().min()
    }
}

impl JetStreamClient {
    /// Takes what the core client has for this one.
    #[inline]
    fn events(&mut self, now: Time, out: &mut Actions<Self>) {
        while let Some(event) = self.core.event() {
            match event {
                Event::Message { sid, message } => self.received(now, sid, message, out),
                Event::Answer { message } => {
                    let inbox = self.core.inbox().len();
                    let token = message.subject().get(inbox..).unwrap_or_default();
                    let number = |token: &[u8]| std::str::from_utf8(token).ok()?.parse().ok();
                    match token.split_first().map(|(kind, rest)| (kind, number(rest))) {
                        Some((b'p', Some(id))) => self.publish_answered(now, id, &message, out),
                        Some((b'a', Some(id))) => self.call_answered(now, id, &message, out),
                        _ => {}
                    }
                    self.check_goodbye(now, out);
                }
                Event::Ready => self.ready(now, out),
                Event::Lost => self.lost(now, out),
                Event::Over(why) => self.over(now, why, out),
                Event::Flushed(mark) => self.flushed(now, mark, out),
            }
        }
        self.core.trim();
    }

    /// A connection is there: what the last one took is asked for again.
    fn ready(&mut self, now: Time, out: &mut Actions<Self>) {
        self.call_again(now, out);
        let sids: Vec<u64> = self.js.consumers.keys().copied().collect();
        for sid in sids {
            let Some(consumer) = self.js.consumers.get_mut(&sid) else { continue };
            consumer.heard = now;
            if consumer.ordered && consumer.made {
                self.remake(now, sid, out);
            } else {
                self.make(now, sid, out);
                self.top_up(sid, out);
            }
        }
        self.publishes_again(now, out);
        if self.js.leaving == Leaving::Told {
            self.drain(now, out);
        }
    }

    fn lost(&mut self, now: Time, out: &mut Actions<Self>) {
        use calls::Purpose;
        self.js.streams.clear();
        self.js.drop_calls(|purpose| {
            matches!(
                purpose,
                Purpose::Info(_) | Purpose::Compare(_) | Purpose::Create(_) | Purpose::Delete
            )
        });
        self.endings_lost(now, out);
        let mut fetches = Vec::new();
        for consumer in self.js.consumers.values_mut() {
            // Requests stand as long as somebody listens to their inbox.
            fetches.extend(consumer.pulls.clear());
            consumer.doubtful = true;
            if consumer.ordered || consumer.stage == Stage::Asked {
                consumer.stage = Stage::Absent;
            }
        }
        self.fetches_end(fetches, out);
        self.publishes_lost(out);
        if self.js.leaving != Leaving::No {
            self.leave(now, out);
        }
    }

    fn tick(&mut self, now: Time, out: &mut Actions<Self>) {
        self.publishes_due(now, out);
        while let Some((due, timer)) = self.js.timers.first().copied() {
            if due > now {
                break;
            }
            self.js.timers.remove(&(due, timer));
            match timer {
                Timer::Call(id) => self.call_due(now, id, out),
                Timer::Look(ticket) => self.look(now, ticket, out),
                Timer::Watch(sid) => self.watch(now, sid, out),
                Timer::Lapse(sid) => self.lapsed(now, sid, out),
                Timer::Retry(sid) => {
                    let absent = self.js.consumers.get(&sid).map(|c| c.stage == Stage::Absent);
                    match absent {
                        Some(true) => self.remake(now, sid, out),
                        Some(false) => self.top_up(sid, out),
                        None => {}
                    }
                }
                Timer::Leave => self.leave(now, out),
            }
        }
        self.check_goodbye(now, out);
    }
}
