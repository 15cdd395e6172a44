//! One node of the bus.
//!
//! It routes each published message to whoever is subscribed at that moment and
//! keeps nothing. A connection that does not read fast enough is cut at the
//! output buffer limit, without a word, as the original does it.
//!
//! - `conn.rs`: what is known of a connection, and how it is sent to;
//! - `topics.rs`: channels, patterns and sharded channels with their subscribers;
//!   `topic.rs` is one of them and `names.rs` the table that finds it;
//! - `patterns.rs`: which patterns a channel can match at all;
//! - `timers.rs`: soft limits and idle time;
//! - `commands/`: one file per command family. Start with `publish.rs`.
//!
//! It never looks into a payload, except to name a message that it dropped.

mod commands;
mod conn;
mod names;
mod patterns;
#[cfg(test)]
mod tests;
mod timers;
mod topic;
mod topics;

use std::collections::BTreeMap;
use std::time::Duration;

use broker_contract::{
    Boot, BootError, Broker, CloseReason, ConnId, Effects, Frame, FrameError, Input, NoPeer, Time,
};

use crate::frame::{Down, Kind, Reply, Up};
use conn::{Conn, Conns, Verdict};
use timers::Timers;
use topics::Topics;

/// Connections closed in one step of a drain.
const DRAIN_STEP: u32 = 1_024;

/// What a node is configured with. The defaults are the original's.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct RedisConfig {
    /// Connections at once; the next one is refused with an error.
    pub maxclients: u32,
    /// Idle time after which a connection without subscriptions is closed; zero
    /// for never.
    pub timeout: Duration,
    /// Bytes pending for a subscriber at which it is cut at once; 0 for no limit.
    pub pubsub_hard_bytes: u64,
    /// Bytes pending for a subscriber that it may not exceed for long; 0 for no
    /// limit.
    pub pubsub_soft_bytes: u64,
    /// How long it may.
    pub pubsub_soft: Duration,
}

impl Default for RedisConfig {
    fn default() -> Self {
        RedisConfig {
            maxclients: 10_000,
            timeout: Duration::ZERO,
            pubsub_hard_bytes: 32 << 20,
            pubsub_soft_bytes: 8 << 20,
            pubsub_soft: Duration::from_secs(60),
        }
    }
}

impl RedisConfig {
    /// The fewest pending bytes at which any limit has a say.
    #[inline]
    fn alert(&self) -> u64 {
        let or_never = |limit: u64| if limit == 0 { u64::MAX } else { limit };
        or_never(self.pubsub_hard_bytes).min(or_never(self.pubsub_soft_bytes))
    }
}

/// A node of the Redis bus.
#[derive(Debug)]
pub struct Redis {
    config: RedisConfig,
    conns: Conns,
    topics: Topics,
    timers: Timers,
    /// Names that connections gave themselves; few do.
    names: BTreeMap<u32, Box<[u8]>>,
    /// The next connection that a drain closes, once there is one.
    draining: Option<u32>,
    scratch: Scratch,
}

/// Lists that a publish fills and empties again, kept for their allocations.
#[derive(Debug, Default)]
struct Scratch {
    /// Patterns that match, in the order in which they came to be.
    matched: Vec<(u64, u32)>,
    /// Pushes to the publisher itself: they follow the reply.
    own: Vec<Down>,
    /// Subscribers that went over their limit.
    cut: Vec<u32>,
}

impl Broker for Redis {
    type Config = RedisConfig;
    type Up = Up;
    type Down = Down;
    type Peer = NoPeer;

    fn boot(
        config: &RedisConfig,
        _boot: Boot,
        _now: Time,
        _out: &mut Effects<Self>,
    ) -> Result<Self, BootError> {
        if config.maxclients == 0 {
            return Err(BootError::Config("maxclients is at least 1".to_owned()));
        }
        Ok(Redis {
            config: *config,
            conns: Conns::default(),
            topics: Topics::default(),
            timers: Timers::default(),
            names: BTreeMap::new(),
            draining: None,
            scratch: Scratch::default(),
        })
    }

    // What comes a million times a second is here, the rest in `rare`: the small
    // function is inlined into the driver's loop and the input is not moved.
    #[inline]
    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Effects<Self>) {
        match input {
            // Taken apart in one pattern, so that the body moves once.
            Input::Frame { conn, frame: Up::Publish { sharded, body } } => {
                let Some(state) = self.speaks(now, conn) else { return };
                if state.is_restricted() {
                    self.command(now, conn.0, Up::Publish { sharded, body }, out);
                } else {
                    self.publish(now, conn.0, sharded, body.by_fields(), out);
                }
            }
            Input::Frame { conn, frame } => {
                if self.speaks(now, conn).is_some() {
                    self.command(now, conn.0, frame, out);
                }
            }
            Input::Drained { conn, bytes } => {
                if let Some(state) = self.conns.open_mut(conn.0) {
                    state.drained(bytes, self.config.pubsub_soft_bytes);
                }
            }
            input => self.rare(now, input, out),
        }
    }

    fn deadline(&self) -> Option<Time> {
        match self.draining {
            // There is more to close at once; `Tick` may come at any time.
            Some(next) if next < self.conns.len() => Some(Time::ZERO),
            _ => self.timers.deadline(),
        }
    }

    fn memory_bytes(&self) -> u64 {
        let names: usize = self.names.values().map(|name| name.len() + 32).sum();
        self.conns.memory_bytes()
            + self.topics.memory_bytes()
            + self.timers.memory_bytes()
            + names as u64
    }
}

impl Redis {
    /// The connection that a command came from, if it is open.
    #[inline]
    fn speaks(&mut self, now: Time, conn: ConnId) -> Option<&Conn> {
        let state = self.conns.open_mut(conn.0)?;
        if self.config.timeout > Duration::ZERO {
            state.last_active = now;
        }
        Some(state)
    }

    /// Every input that is not about a message.
    fn rare(&mut self, now: Time, input: Input<Self>, out: &mut Effects<Self>) {
        match input {
            Input::Frame { .. } | Input::Drained { .. } => {}
            Input::Opened { conn, .. } => self.opened(now, conn, out),
            Input::Closed { conn } => {
                if self.conns.is_open(conn.0) {
                    self.forget(conn.0);
                }
            }
            Input::Malformed { conn, error } => self.malformed(now, conn, &error, out),
            Input::Tick => self.tick(now, out),
            Input::Drain => {
                self.draining.get_or_insert(0);
                self.drain_step(out);
            }
            Input::Peer { msg, .. } => match msg {},
            // Nothing is ever synced, so nothing answers.
            Input::Synced { .. } => {}
        }
    }

    fn opened(&mut self, now: Time, conn: ConnId, out: &mut Effects<Self>) {
        if self.draining.is_some() {
            out.close(conn, CloseReason::Shutdown);
            return;
        }
        if self.conns.open_count() >= self.config.maxclients {
            let text = "ERR max number of clients reached";
            out.send(conn, Reply::Error(text.into()).into());
            out.close(conn, CloseReason::TooMany);
            return;
        }
        let id = self.conns.open(conn.0, now);
        if self.config.timeout > Duration::ZERO {
            self.timers.watch_idle(now + self.config.timeout, id, conn.0);
        }
    }

    fn malformed(&mut self, now: Time, conn: ConnId, error: &FrameError, out: &mut Effects<Self>) {
        if self.conns.is_open(conn.0) {
            self.error(now, conn.0, &format!("ERR Protocol error: {error}"), out);
            self.close(conn.0, CloseReason::Protocol("Protocol error"), out);
        }
    }

    /// Sends one frame and cuts the connection if that is too much for it.
    fn send(&mut self, now: Time, conn: u32, frame: Down, out: &mut Effects<Self>) {
        // A command may close its connection and then still answer (a limit
        // reached half way through a list of pushes); nobody reads that.
        let Some(state) = self.conns.open_mut(conn) else { return };
        let verdict = state.pend(frame.wire_len() as u64, now, &self.config);
        out.send(ConnId(conn), frame);
        self.over(now, conn, verdict, out);
    }

    /// Does what the verdict on a frame asks for.
    fn over(&mut self, now: Time, conn: u32, verdict: Verdict, out: &mut Effects<Self>) {
        match verdict {
            Verdict::Fine => {}
            Verdict::SoftBegins => {
                let id = self.conns.get(conn).id;
                self.timers.watch_soft(now + self.config.pubsub_soft, id, conn);
            }
            Verdict::Cut => self.close(conn, CloseReason::SlowConsumer, out),
        }
    }

    fn reply(&mut self, now: Time, conn: u32, reply: Reply, out: &mut Effects<Self>) {
        self.send(now, conn, Down::Reply(reply), out);
    }

    fn error(&mut self, now: Time, conn: u32, text: &str, out: &mut Effects<Self>) {
        // An error is a line, whatever it repeats of a command.
        let text = text.replace(['\r', '\n'], " ");
        self.reply(now, conn, Reply::Error(text.into()), out);
    }

    fn close(&mut self, conn: u32, reason: CloseReason, out: &mut Effects<Self>) {
        if self.conns.is_open(conn) {
            self.forget(conn);
            out.close(ConnId(conn), reason);
        }
    }

    /// Removes everything that is known of an open connection.
    fn forget(&mut self, conn: u32) {
        self.topics.remove_all(&mut self.conns, conn);
        self.names.remove(&conn);
        self.conns.close(conn);
    }

    fn tick(&mut self, now: Time, out: &mut Effects<Self>) {
        if self.draining.is_some() {
            self.drain_step(out);
        }
        while let Some((id, conn)) = self.timers.soft_due(now) {
            let over = self.conns.open_as(conn, id).is_some_and(|state| {
                // The mark may be younger than the timer: it has its own then.
                state.has_subscriptions()
                    && state.soft_since.is_some_and(|since| since + self.config.pubsub_soft <= now)
            });
            if over {
                self.close(conn, CloseReason::SlowConsumer, out);
            }
        }
        while let Some((id, conn)) = self.timers.idle_due(now) {
            let Some(state) = self.conns.open_as(conn, id) else { continue };
            let due = state.last_active + self.config.timeout;
            if state.has_subscriptions() {
                // A subscriber may be silent for ever; it is looked at again.
                self.timers.watch_idle(now + self.config.timeout, id, conn);
            } else if due > now {
                self.timers.watch_idle(due, id, conn);
            } else {
                self.close(conn, CloseReason::Stale, out);
            }
        }
    }

    /// Closes some of the connections of a node that is shutting down.
    fn drain_step(&mut self, out: &mut Effects<Self>) {
        let Some(from) = self.draining else { return };
        let to = from.saturating_add(DRAIN_STEP).min(self.conns.len());
        for conn in from..to {
            self.close(conn, CloseReason::Shutdown, out);
        }
        self.draining = Some(to);
    }

    /// Channels plus patterns of a connection, or its sharded channels.
    fn count(&self, conn: u32, kind: Kind) -> u32 {
        let state = self.conns.get(conn);
        match kind {
            Kind::Channel | Kind::Pattern => state.channels + state.patterns,
            Kind::Shard => state.shards,
        }
    }
}
