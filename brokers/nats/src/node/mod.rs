//! The node: one server.
//!
//! - `route.rs`: the way of one published message, groups and their draw;
//! - `commands.rs`: CONNECT, SUB, UNSUB, PING, and what is wrong with a frame;
//! - `conn.rs`: what is kept of a connection, and its pending bytes;
//! - `hosting.rs`: JetStream, where the node hosts it;
//! - `upkeep.rs` and `timers.rs`: pings, write deadlines, the lame duck.
//!
//! A subscription belongs to a connection. Connection numbers come from drivers,
//! dense from 0, so the far end of their range is free for subscribers inside the
//! node, such as a library that it hosts.
//!
//! Closing a connection while a message is routed would change the lists that are
//! being walked, so it is noted down and done right after.

mod commands;
mod config;
mod conn;
mod hosting;
mod route;
mod timers;
mod upkeep;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use broker_contract::{
    Boot, BootError, Broker, CloseReason, ConnId, Disk, Effects, Frame, Input, NoPeer, Note,
    Origin, Time,
};
use broker_jetstream::JetStream;
use rand_chacha::ChaCha8Rng;

pub use self::config::NatsConfig;
use self::conn::Conn;
use self::route::Seat;
use self::timers::{LameDuck, Timers};
use crate::codec;
use crate::frame::{Down, Info, ServerError, ServerInfo, Up};
use crate::index::Index;

/// The version that the node tells its clients: they look at it to learn what
/// the server has.
const VERSION: &str = "2.15.0-lab";

/// One server of core NATS.
pub struct Nats {
    config: NatsConfig,
    server: Arc<ServerInfo>,
    conns: Vec<Option<Conn>>,
    /// Connections that are open now.
    open: u32,
    /// Connections so far, which numbers them.
    opened: u64,
    index: Index,
    draw: ChaCha8Rng,
    timers: Timers,
    lame_duck: Option<LameDuck>,
    /// Boxed, because most nodes host none and it is taken out for its work.
    jetstream: Option<Box<JetStream>>,
    scratch: Scratch,
}

/// Lists that are empty between inputs; kept for their memory.
#[derive(Debug, Default)]
struct Scratch {
    /// Filters that take in the subject.
    matched: Vec<u32>,
    /// Groups on these filters.
    seats: Vec<Seat>,
    /// Subscriptions that have had their last message.
    expired: Vec<u32>,
    /// Connections with too many bytes pending.
    overflowing: Vec<u32>,
    /// Connections that ended while JetStream was at work.
    ended: Vec<u32>,
}

impl std::fmt::Debug for Nats {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Nats")
            .field("open", &self.open)
            .field("subscriptions", &self.index.len())
            .field("lame_duck", &self.lame_duck.is_some())
            .finish_non_exhaustive()
    }
}

impl Broker for Nats {
    type Config = NatsConfig;
    type Up = Up;
    type Down = Down;
    type Peer = NoPeer;

    fn boot(
        config: &NatsConfig,
        boot: Boot,
        now: Time,
        out: &mut Effects<Self>,
    ) -> Result<Self, BootError> {
        config.check().map_err(|text| BootError::Config(text.to_owned()))?;
        let server = ServerInfo {
            server_id: format!("N{:016X}", boot.seed.fork("server id").bits()).into(),
            server_name: format!("lab-{}", boot.node.0).into(),
            version: VERSION.into(),
            proto: 1,
            host: config.host.clone(),
            port: config.port,
            tls_required: config.tls_required,
            tls_verify: config.tls_verify,
            headers: true,
            max_payload: config.max_payload,
            jetstream: config.jetstream.is_some(),
        };
        let mut node = Nats {
            config: config.clone(),
            server: Arc::new(server),
            conns: Vec::new(),
            open: 0,
            opened: 0,
            index: Index::default(),
            draw: boot.seed.fork("queue groups").rng(),
            timers: Timers::default(),
            lame_duck: None,
            jetstream: None,
            scratch: Scratch::default(),
        };
        node.boot_jetstream(boot.seed, now, out)?;
        Ok(node)
    }

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Effects<Self>) {
        match input {
            Input::Frame { conn: ConnId(number), frame } => self.frame(now, number, frame, out),
            Input::Drained { conn, bytes } => {
                if let Some(Some(conn)) = self.conns.get_mut(conn.0 as usize) {
                    conn.drained(now, bytes);
                }
            }
            Input::Opened { conn: ConnId(number), origin } => {
                self.opened(now, number, &origin, out);
            }
            Input::Closed { conn: ConnId(number) } => {
                self.forget(number);
            }
            Input::Malformed { conn: ConnId(number), error } => {
                let error = match codec::server_error(&error.0) {
                    // A codec's words that are none of the protocol's.
                    ServerError::Other(_) => ServerError::UnknownOperation,
                    known => known,
                };
                self.violation(now, number, error, out);
            }
            Input::Tick => self.tick(now, out),
            Input::Drain => self.begin_lame_duck(now),
            Input::Synced { token, result } => self.synced(now, token, result, out),
            // It has no peer.
            Input::Peer { msg, .. } => match msg {},
        }
    }

    fn deadline(&self) -> Option<Time> {
        let lame_duck = self.lame_duck.as_ref().and_then(|lame_duck| lame_duck.next);
        let jetstream = self.jetstream.as_ref().and_then(|jetstream| jetstream.deadline());
        let own = timers::earlier(self.timers.deadline(), lame_duck);
        timers::earlier(own, jetstream)
    }

    fn memory_bytes(&self) -> u64 {
        (self.conns.capacity() * size_of::<Option<Conn>>()) as u64
            + self.index.memory_bytes()
            + self.timers.memory_bytes()
            + self.jetstream.as_ref().map_or(0, |jetstream| jetstream.memory_bytes())
    }

    fn check_invariants(&self, disk: &mut dyn Disk) -> Result<(), String> {
        let open = self.conns.iter().flatten().count();
        if open != self.open as usize {
            return Err(format!("{open} connections are open, {} are counted", self.open));
        }
        match &self.jetstream {
            Some(jetstream) => jetstream.check_invariants(disk),
            None => Ok(()),
        }
    }
}

impl Nats {
    /// Connections that are open.
    pub fn connections(&self) -> u32 {
        self.open
    }

    /// Subscriptions of all connections.
    pub fn subscriptions(&self) -> usize {
        self.index.len()
    }

    /// Bytes sent to a connection and not taken by its transport; `None` when it
    /// is not open.
    pub fn pending_bytes(&self, conn: ConnId) -> Option<u64> {
        self.conns.get(conn.0 as usize)?.as_ref().map(|conn| conn.pending)
    }

    fn conn(&mut self, number: u32) -> Option<&mut Conn> {
        self.conns.get_mut(number as usize)?.as_mut()
    }

    fn opened(&mut self, now: Time, number: u32, origin: &Origin, out: &mut Effects<Self>) {
        let at = number as usize;
        if at >= self.conns.len() {
            self.conns.resize_with(at + 1, || None);
        }
        let opened = self.opened;
        self.opened += 1;
        if let Some(mut replaced) = self.conns[at].replace(Conn::new(opened, now)) {
            // The driver used the number of an open connection again.
            self.index.remove_all(&mut replaced.owned);
            self.connection_ended(number);
        } else {
            self.open += 1;
        }
        if self.lame_duck.is_some() {
            self.close(number, CloseReason::Shutdown, out);
            return;
        }
        let info = self.info(opened, origin.address.clone());
        if !self.send(now, number, info, out) {
            return;
        }
        if self.open > self.config.max_connections {
            if self.send(now, number, Down::error(ServerError::MaxConnections), out) {
                self.close(number, CloseReason::TooMany, out);
            }
            return;
        }
        self.timers.ping(now + self.config.ping_interval, number, opened);
    }

    fn info(&self, client_id: u64, client_ip: Option<Arc<str>>) -> Down {
        Down::Info(Box::new(Info {
            server: Arc::clone(&self.server),
            client_id,
            client_ip,
            ldm: self.lame_duck.is_some(),
            connect_info: false,
        }))
    }

    /// Sends a frame that is no routed message. Returns whether the connection is
    /// still there.
    fn send(&mut self, now: Time, number: u32, frame: Down, out: &mut Effects<Self>) -> bool {
        let Some(Some(conn)) = self.conns.get_mut(number as usize) else { return false };
        let len = frame.wire_len() as u64;
        out.send(ConnId(number), frame);
        let fits = route::pend(conn, number, now, len, &self.config, &mut self.timers);
        if !fits {
            self.close(number, CloseReason::SlowConsumer, out);
        }
        fits
    }

    /// Sends the error and closes.
    fn violation(&mut self, now: Time, number: u32, error: ServerError, out: &mut Effects<Self>) {
        let text = match error {
            ServerError::MaxPayload => "Maximum Payload Violation",
            ServerError::MaxControlLine => "maximum control line exceeded",
            ServerError::NoRespondersNeedHeaders => "no responders requires headers support",
            ServerError::HeadersNotSupported => "message headers not supported",
            ServerError::BadProtocol => "invalid client protocol",
            _ => "Unknown Protocol Operation",
        };
        if self.send(now, number, Down::error(error), out) {
            self.close(number, CloseReason::Protocol(text), out);
        }
    }

    /// Closes a connection and forgets it.
    fn close(&mut self, number: u32, reason: CloseReason, out: &mut Effects<Self>) {
        if !self.forget(number) {
            return;
        }
        match reason {
            CloseReason::SlowConsumer => out.note(Note::Sometimes("slow consumer closed")),
            CloseReason::Stale => out.note(Note::Sometimes("stale connection closed")),
            _ => {}
        }
        out.close(ConnId(number), reason);
    }

    /// Removes all that is kept of a connection. Returns whether it was open.
    fn forget(&mut self, number: u32) -> bool {
        let Some(mut conn) = self.conns.get_mut(number as usize).and_then(Option::take) else {
            return false;
        };
        self.index.remove_all(&mut conn.owned);
        self.connection_ended(number);
        self.open -= 1;
        if self.open == 0 {
            self.conns = Vec::new();
            self.timers.clear();
        }
        true
    }
}
