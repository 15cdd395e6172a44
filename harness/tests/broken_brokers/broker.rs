//! A node around an honest node, which does one thing wrong.

use std::collections::BTreeMap;

use broker_contract::{
    Boot, BootError, Broker, ConnId, Effect, Effects, Frame, Identity, Input, MemoryDisk, Note,
    Time,
};

/// The note that stands for each wrong deed, so that a test knows how many there were.
pub const DEED: &str = "a planted wrong deed";

/// What a broken node does wrong.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Nothing.
    None,
    /// A delivery is not sent.
    Drop,
    /// A delivery is sent twice.
    Duplicate,
    /// A delivery is sent after the next one of its key.
    Swap,
    /// A subscription ends, and nobody is told.
    Forget,
    /// A bit of a delivery's payload is flipped.
    Corrupt,
    /// A delivery goes to another subscriber.
    Misdeliver,
    /// A publish is ignored.
    Swallow,
}

/// What a broken node does wrong, and when.
#[derive(Copy, Clone, Debug)]
pub struct Flaw {
    /// What.
    pub deed: Deed,
    /// At every delivery (or publish) with a number that this divides.
    pub every: u64,
    /// How often at most.
    pub most: u64,
}

/// What a wrong deed needs to know of a broker's frames.
pub trait Tamper: Broker {
    /// The subscription that a frame asks for.
    fn subscribed(frame: &Self::Up) -> Option<u64>;
    /// The frame that ends a subscription.
    fn unsubscribe(sid: u64) -> Self::Up;
    /// A delivery with the payload that `edit` makes of its own, through `sid`
    /// if one is given.
    fn rewritten(frame: &Self::Down, sid: Option<u64>, edit: impl FnOnce(&mut [u8])) -> Self::Down;
    /// The subscription that a delivery came through.
    fn through(frame: &Self::Down) -> Option<u64>;
}

/// A node that passes everything on to an honest one, and edits what that one
/// releases. The honest node gets a disk of its own, so it must be one that
/// stores nothing.
#[derive(Debug)]
pub struct Broken<B: Broker> {
    honest: B,
    effects: Effects<B>,
    flaw: Flaw,
    seen: u64,
    done: u64,
    subscriptions: Vec<(ConnId, u64)>,
    /// Bytes that the transport has not taken yet, of each connection.
    pending: BTreeMap<ConnId, Pending>,
    /// A delivery that waits for the next one of its key.
    held: Option<(ConnId, u32, B::Down)>,
    forgets: Option<(ConnId, u64)>,
}

/// Bytes pending for a connection, which differ once a frame was edited.
#[derive(Copy, Clone, Debug, Default)]
struct Pending {
    /// Of what the honest node sent.
    honest: u64,
    /// Of what was sent in its place.
    edited: u64,
}

fn identity(frame: &impl Frame) -> Option<Identity> {
    let mut identity = None;
    frame.payloads(&mut |payload| identity = Identity::read(payload));
    identity
}

impl<B: Tamper> Broken<B> {
    /// Whether the moment for a wrong deed has come; counts it if so.
    fn is_time(&mut self, out: &mut Effects<Self>) -> bool {
        self.seen += 1;
        let is_time = self.seen.is_multiple_of(self.flaw.every) && self.done < self.flaw.most;
        if is_time {
            self.done += 1;
            out.note(Note::Sometimes(DEED));
        }
        is_time
    }

    fn send(&mut self, conn: ConnId, frame: B::Down, out: &mut Effects<Self>) {
        self.pending.entry(conn).or_default().edited += frame.wire_len() as u64;
        out.send(conn, frame);
    }

    /// How many of its own bytes the honest node may believe to be taken, now
    /// that the transport has taken `bytes`: all of them when nothing is left.
    fn drained(&mut self, conn: ConnId, bytes: u64) -> u64 {
        let pending = self.pending.entry(conn).or_default();
        pending.edited = pending.edited.saturating_sub(bytes);
        let honest = if pending.edited == 0 { pending.honest } else { pending.honest.min(bytes) };
        pending.honest -= honest;
        honest
    }

    fn deliver(&mut self, conn: ConnId, sid: u64, frame: B::Down, out: &mut Effects<Self>) {
        let Some(Identity { key, .. }) = identity(&frame) else {
            return self.send(conn, frame, out);
        };
        if let Some((_, _, held)) = self.held.take_if(|held| (held.0, held.1) == (conn, key)) {
            self.send(conn, frame, out);
            return self.send(conn, held, out);
        }
        if matches!(self.flaw.deed, Deed::None | Deed::Swallow) || !self.is_time(out) {
            return self.send(conn, frame, out);
        }
        match self.flaw.deed {
            Deed::Drop | Deed::None | Deed::Swallow => {}
            Deed::Duplicate => {
                self.send(conn, frame.clone(), out);
                self.send(conn, frame, out);
            }
            Deed::Swap => self.held = Some((conn, key, frame)),
            Deed::Forget => {
                self.forgets = Some((conn, sid));
                self.send(conn, frame, out);
            }
            Deed::Corrupt => {
                let at = self.done as usize * 7;
                let flip = |payload: &mut [u8]| payload[at % payload.len()] ^= 1;
                self.send(conn, B::rewritten(&frame, None, flip), out);
            }
            Deed::Misdeliver => {
                let other = self.subscriptions.iter().find(|(other, _)| *other != conn);
                let (other, sid) = *other.expect("the scenario has two subscribers");
                self.send(other, B::rewritten(&frame, Some(sid), |_| {}), out);
            }
        }
    }

    fn forget(&mut self, conn: ConnId) {
        self.subscriptions.retain(|(other, _)| *other != conn);
        self.held.take_if(|held| held.0 == conn);
        self.pending.remove(&conn);
    }

    /// Passes on what the honest node wants, edited.
    fn release(&mut self, out: &mut Effects<Self>) {
        let mut effects = Vec::new();
        self.effects.swap(&mut effects);
        for effect in effects {
            match effect {
                Effect::Send { conn, frame } => {
                    self.pending.entry(conn).or_default().honest += frame.wire_len() as u64;
                    match B::through(&frame) {
                        Some(sid) => self.deliver(conn, sid, frame, out),
                        None => self.send(conn, frame, out),
                    }
                }
                Effect::Close { conn, reason } => {
                    self.forget(conn);
                    out.close(conn, reason);
                }
                Effect::Peer { to, msg } => out.peer(to, msg),
                Effect::Sync { .. } => panic!("a node that stores nothing syncs nothing"),
                Effect::Note(note) => out.note(note),
            }
        }
    }
}

impl<B: Tamper> Broker for Broken<B> {
    type Config = (B::Config, Flaw);
    type Up = B::Up;
    type Down = B::Down;
    type Peer = B::Peer;

    fn boot(
        (config, flaw): &Self::Config,
        boot: Boot,
        now: Time,
        out: &mut Effects<Self>,
    ) -> Result<Self, BootError> {
        let mut effects = Effects::new(Box::new(MemoryDisk::new()));
        let mut broken = Broken {
            honest: B::boot(config, boot, now, &mut effects)?,
            effects,
            flaw: *flaw,
            seen: 0,
            done: 0,
            subscriptions: Vec::new(),
            pending: BTreeMap::new(),
            held: None,
            forgets: None,
        };
        broken.release(out);
        Ok(broken)
    }

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Effects<Self>) {
        let input = match input {
            Input::Opened { conn, origin } => Input::Opened { conn, origin },
            Input::Frame { conn, frame } => {
                if let Some(sid) = B::subscribed(&frame) {
                    self.subscriptions.push((conn, sid));
                }
                let is_publish = identity(&frame).is_some();
                if self.flaw.deed == Deed::Swallow && is_publish && self.is_time(out) {
                    return;
                }
                Input::Frame { conn, frame }
            }
            Input::Malformed { conn, error } => Input::Malformed { conn, error },
            Input::Drained { conn, bytes } => {
                Input::Drained { conn, bytes: self.drained(conn, bytes) }
            }
            Input::Closed { conn } => {
                self.forget(conn);
                Input::Closed { conn }
            }
            Input::Peer { from, msg } => Input::Peer { from, msg },
            Input::Synced { token, result } => Input::Synced { token, result },
            Input::Tick => Input::Tick,
            Input::Drain => Input::Drain,
        };
        self.honest.handle(now, input, &mut self.effects);
        self.release(out);
        // The honest node then says of every message that nobody had subscribed.
        if let Some((conn, sid)) = self.forgets.take() {
            let frame = B::unsubscribe(sid);
            self.honest.handle(now, Input::Frame { conn, frame }, &mut self.effects);
            self.release(out);
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.honest.deadline()
    }

    fn memory_bytes(&self) -> u64 {
        self.honest.memory_bytes()
    }
}
