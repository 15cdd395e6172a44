//! One node of the bus.
//!
//! It routes each published message to whoever is subscribed at that moment and
//! keeps nothing. A connection that does not read fast enough is cut at the
//! output buffer limit, without a word, as the original does it.
//!
//! - `config.rs`: what it is told; CONFIG SET changes its own copy;
//! - `conn.rs`: what is known of a connection, and how it is sent to;
//! - `acl/`: users and what they may do;
//! - `topics.rs`: channels, patterns and sharded channels with their subscribers;
//!   `topic.rs` is one of them and `names.rs` the table that finds it;
//! - `patterns.rs`: which patterns a channel can match at all;
//! - `timers.rs`: soft limits and idle time; `stats.rs`: what INFO counts;
//!   `transaction.rs`: what MULTI began;
//! - `commands/`: one file per command family. Start with `publish.rs`.
//!
//! It never looks into a payload, except to name a message that it dropped.

mod acl;
mod commands;
mod config;
mod conn;
mod names;
mod patterns;
mod stats;
#[cfg(test)]
mod tests;
mod timers;
mod topic;
mod topics;
mod transaction;

use std::time::Duration;

use broker_contract::{
    Boot, BootError, Broker, CloseReason, ConnId, Effects, Frame, FrameError, Input, NoPeer, Note,
    Origin, Time,
};

use crate::frame::{Down, Kind, Reply, Up, Verb};
use acl::{DeniedLog, UserId, Users};
pub use config::{OutputLimit, RedisConfig};
use conn::{Conn, Conns, Verdict, gate};
use stats::Stats;
use timers::Timers;
use topics::Topics;

/// Connections closed in one step of a drain.
const DRAIN_STEP: u32 = 1_024;

/// A node of the Redis bus.
#[derive(Debug)]
pub struct Redis {
    config: RedisConfig,
    conns: Conns,
    topics: Topics,
    timers: Timers,
    users: Users,
    denied: DeniedLog,
    stats: Stats,
    /// When it booted.
    booted: Time,
    /// Whose transaction is being carried out, and how many commands it has.
    executing: Option<(u32, u32)>,
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
        now: Time,
        _out: &mut Effects<Self>,
    ) -> Result<Self, BootError> {
        if config.maxclients == 0 {
            return Err(BootError::Config("maxclients is at least 1".to_owned()));
        }
        let users = commands::boot_users(config).map_err(BootError::Config)?;
        Ok(Redis {
            config: config.clone(),
            conns: Conns::default(),
            topics: Topics::default(),
            timers: Timers::default(),
            users,
            denied: DeniedLog::default(),
            stats: Stats::new(),
            booted: now,
            executing: None,
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
                if state.is_plain() {
                    let verb = if sharded { Verb::SPublish } else { Verb::Publish };
                    state.last = Some(verb);
                    self.stats.called(verb);
                    self.publish(now, conn.0, sharded, body.by_fields(), out);
                } else {
                    self.command(now, conn.0, Up::Publish { sharded, body }, out);
                }
            }
            Input::Frame { conn, frame } => {
                if self.speaks(now, conn).is_some() {
                    self.command(now, conn.0, frame, out);
                }
            }
            Input::Drained { conn, bytes } => {
                if let Some(state) = self.conns.open_mut(conn.0) {
                    state.drained(bytes, &self.config);
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
        self.conns.memory_bytes()
            + self.topics.memory_bytes()
            + self.timers.memory_bytes()
            + self.users.memory_bytes()
    }
}

impl Redis {
    /// The connection that a command came from, if it is open.
    #[inline]
    fn speaks(&mut self, now: Time, conn: ConnId) -> Option<&mut Conn> {
        let state = self.conns.open_mut(conn.0)?;
        state.last_active = now;
        Some(state)
    }

    /// Every input that is not about a message.
    fn rare(&mut self, now: Time, input: Input<Self>, out: &mut Effects<Self>) {
        match input {
            Input::Frame { .. } | Input::Drained { .. } => {}
            Input::Opened { conn, origin } => self.opened(now, conn, origin, out),
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

    fn opened(&mut self, now: Time, conn: ConnId, origin: Origin, out: &mut Effects<Self>) {
        self.stats.connections += 1;
        if self.draining.is_some() {
            out.close(conn, CloseReason::Shutdown);
            return;
        }
        if self.conns.open_count() >= self.config.maxclients {
            self.stats.refused_connections += 1;
            let text = "ERR max number of clients reached";
            out.send(conn, Reply::Error(text.into()).into());
            out.close(conn, CloseReason::TooMany);
            return;
        }
        let id = self.conns.open(conn.0, now);
        let unproven = self.users.must_authenticate();
        let guarded = !self.users.get(UserId::DEFAULT).is_unlimited();
        let state = self.conns.get_mut(conn.0);
        state.set(gate::UNPROVEN, unproven);
        state.set(gate::GUARDED, guarded);
        if unproven {
            out.note(Note::Trust { conn, is_proven: false });
        }
        if origin.address.is_some() {
            state.extra().address = origin.address;
        }
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
                let state = self.conns.get(conn);
                let due = now + self.config.limit(state.class()).soft;
                self.timers.watch_soft(due, state.id, conn);
            }
            Verdict::Cut => self.close(conn, CloseReason::SlowConsumer, out),
        }
    }

    /// Answers the present command, unless its connection wants no answer.
    fn reply(&mut self, now: Time, conn: u32, reply: Reply, out: &mut Effects<Self>) {
        self.answer(now, conn, Down::Reply(reply), out);
    }

    fn answer(&mut self, now: Time, conn: u32, frame: Down, out: &mut Effects<Self>) {
        if self.conns.open_mut(conn).is_some_and(|state| !state.is(gate::SILENT)) {
            self.send(now, conn, frame, out);
        }
    }

    fn ok(&mut self, now: Time, conn: u32, out: &mut Effects<Self>) {
        self.reply(now, conn, Reply::Simple("OK"), out);
    }

    fn error(&mut self, now: Time, conn: u32, text: &str, out: &mut Effects<Self>) {
        self.stats.error(text);
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
        self.conns.close(conn);
    }

    fn tick(&mut self, now: Time, out: &mut Effects<Self>) {
        if self.draining.is_some() {
            self.drain_step(out);
        }
        while let Some((id, conn)) = self.timers.soft_due(now) {
            let Some(state) = self.conns.open_as(conn, id) else { continue };
            let limit = self.config.limit(state.class());
            // The mark may be younger than the timer: it has its own then.
            let over = state.soft_since != Time::MAX && state.soft_since + limit.soft <= now;
            if over && limit.soft_bytes > 0 {
                self.close(conn, CloseReason::SlowConsumer, out);
            }
        }
        while let Some((id, conn)) = self.timers.idle_due(now) {
            if self.config.timeout == Duration::ZERO {
                continue;
            }
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
