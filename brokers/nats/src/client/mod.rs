//! A client of core NATS.
//!
//! It greets with CONNECT and PING and is ready at the PONG; a subscription is in
//! force once the PONG behind its SUB has come. When the connection is lost it
//! comes back by itself: it subscribes again, and publishes what it held
//! meanwhile. All requests share one inbox.
//!
//! - `state.rs`: what is kept, and how little of it a mere publisher needs;
//! - `ops.rs`: what an application asks for;
//! - `events.rs`: what happens on the connection;
//! - `requests.rs`: requests and their inbox;
//! - `upper.rs`: what a library on top of it needs, such as the JetStream client.
//!
//! A publish ends as [`Sent`](broker_contract::Outcome::Sent) when its frame is
//! handed to the connection: core NATS says no more of it. A subscription that is
//! being ended delivers until the server has confirmed its end, so that nothing
//! which the server sent is thrown away.

mod events;
mod ops;
mod requests;
mod state;
mod upper;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use broker_contract::{
    Actions, Client, ClientInput, ClientStart, LinkId, NodeId, Op, Outcome, Support, Ticket, Time,
    Unsupported,
};

pub(crate) use self::ops::{
    CLOSED, FULL, NO_ACK, NO_DEDUPLICATION, NO_DURABLE, NO_PULL, NO_REDELIVERY, NO_STORE, refused,
};
use self::state::More;
pub(crate) use self::state::State;
pub(crate) use self::upper::Event;
use crate::Nats;

/// The one connection.
pub(crate) const LINK: LinkId = LinkId(0);
/// The one server.
const SERVER: NodeId = NodeId(0);

/// What clients are configured with, with the original client's defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    /// Whether it receives its own messages.
    pub echo: bool,
    /// Whether a request that nobody hears fails at once.
    pub no_responders: bool,
    /// Time between two pings to the server.
    pub ping_interval: Duration,
    /// Pings without an answer after which it gives the connection up.
    pub ping_max: u32,
    /// Time between two attempts to connect; the first comes at once.
    pub reconnect_wait: Duration,
    /// Added to that, at random up to this much.
    pub reconnect_jitter: Duration,
    /// Attempts in a row before it gives up for good.
    pub max_reconnect: u64,
    /// Bytes of messages that it holds while it is not connected.
    pub reconnect_buffer: u64,
}

impl Default for ClientConfig {
    fn default() -> Self {
        ClientConfig {
            echo: true,
            no_responders: true,
            ping_interval: Duration::from_secs(120),
            ping_max: 2,
            reconnect_wait: Duration::from_secs(2),
            reconnect_jitter: Duration::from_millis(100),
            max_reconnect: 60,
            reconnect_buffer: 8 << 20,
        }
    }
}

/// A client of core NATS.
///
/// There may be a million of them that only publish: what others need is in a
/// box.
#[derive(Debug)]
pub struct NatsClient {
    config: Arc<ClientConfig>,
    start: ClientStart,
    /// When the next ping or the next attempt to connect is due.
    due: Time,
    /// The server's limit, which is known once it has said so.
    max_payload: u64,
    /// PINGs sent and PONGs received on this connection.
    pings: u32,
    pongs: u32,
    /// Pings sent by the clock since the last PONG.
    pings_out: u32,
    /// Attempts to connect since the last success.
    attempts: u32,
    state: State,
    stopping: bool,
    more: Option<Box<More>>,
}

impl Client for NatsClient {
    type Broker = Nats;
    type Config = Arc<ClientConfig>;

    fn new(config: &Arc<ClientConfig>, start: ClientStart) -> Self {
        NatsClient {
            config: Arc::clone(config),
            start,
            due: Time::MAX,
            max_payload: u64::MAX,
            pings: 0,
            pongs: 0,
            pings_out: 0,
            attempts: 0,
            state: State::Idle,
            stopping: false,
            more: None,
        }
    }

    fn connect(&mut self, _now: Time, out: &mut Actions<Self>) {
        self.begin(out);
    }

    fn submit(
        &mut self,
        now: Time,
        ticket: Ticket,
        op: &Op<'_>,
        out: &mut Actions<Self>,
    ) -> Result<Support, Unsupported> {
        if self.state == State::Idle {
            ops::check(op)?;
            self.begin(out);
        }
        match op {
            Op::Publish(publish) => self.publish(ticket, publish, out)?,
            Op::Request { publish, timeout } => {
                self.request(now, ticket, publish, *timeout, out)?;
            }
            Op::Reply { to, payload } => self.put(ticket, to, &[], payload, out),
            Op::Subscribe { filter, group, .. } => {
                ops::check(op)?;
                self.subscribe(ticket, filter, group.map(|seat| seat.name), out);
            }
            Op::Unsubscribe { subscription, after } => {
                self.unsubscribe(ticket, *subscription, *after, out);
            }
            Op::Declare(_) | Op::Fetch { .. } | Op::Settle { .. } => ops::check(op)?,
        }
        Ok(Support::Native)
    }

    fn handle(&mut self, now: Time, event: ClientInput<Nats>, out: &mut Actions<Self>) {
        self.drive(now, event, out);
    }

    fn deadline(&self) -> Option<Time> {
        let due = matches!(self.state, State::Ready | State::Waiting).then_some(self.due);
        let request = self.more.as_ref().and_then(|more| more.requests.deadline());
        match (due, request) {
            (Some(due), Some(request)) => Some(due.min(request)),
            (due, request) => due.or(request),
        }
    }
}

impl NatsClient {
    /// Asks for the connection, the first time.
    pub(crate) fn begin(&mut self, out: &mut Actions<impl Client<Broker = Nats>>) {
        if self.state == State::Idle && !self.stopping {
            self.state = State::Connecting;
            out.connect(LINK, SERVER);
        }
    }

    /// Takes one input, for whoever this client is or is a part of.
    #[inline]
    pub(crate) fn drive(
        &mut self,
        now: Time,
        event: ClientInput<Nats>,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        match event {
            ClientInput::Frame { link: LINK, frame } => self.frame(now, frame, out),
            ClientInput::Connected { link: LINK } => self.connected(),
            ClientInput::Closed { link: LINK } => self.lost(now, out),
            ClientInput::Malformed { link: LINK, .. } => self.abandon(now, out),
            ClientInput::Tick => self.tick(now, out),
            ClientInput::Shutdown => self.shut_down(out),
            // It has one connection.
            ClientInput::Frame { .. }
            | ClientInput::Connected { .. }
            | ClientInput::Closed { .. }
            | ClientInput::Malformed { .. } => {}
        }
    }

    fn more(&mut self) -> &mut More {
        let start = self.start;
        self.more.get_or_insert_with(|| Box::new(More::new(start.seed, start.id)))
    }

    fn failed(
        ticket: Ticket,
        failure: broker_contract::Failure,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        out.outcome(ticket, Outcome::Failed(failure));
    }
}
