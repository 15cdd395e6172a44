//! A broker's node behind sockets, on one thread.
//!
//! A turn of the loop: wait; read from whoever has something to say and feed the
//! node; take new connections; tick; carry out what the node wants; write once for
//! each connection that has something to be told. `slots.rs` has the connections
//! and what happens to them, `release.rs` the node's effects, `store.rs` its files.

mod release;
mod room;
mod slots;
mod store;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use broker_contract::{
    Boot, Broker, Codec, ConnId, Effect, Effects, Input, MemoryDisk, Note, Origin, Time,
};
use mio::{Events, Poll, Token, Waker};

use self::room::Ear;
pub use self::room::{OpenError, Room};
use self::slots::Slot;
use self::store::Store;
use super::link::{Decoded, Got};
use super::listen::Listener;
use super::metrics::{Counts, Ended, Published};
use super::outbox::Pool;
use super::settings::{Limits, Place};
use super::spin::Spin;
use super::tls::TlsStream;

/// Bytes that one read takes.
const READ: usize = 64 << 10;
/// Effects after which they are carried out, although more input is there: a
/// burst of publishes to many subscribers must not pile up.
const RELEASE: usize = 4_096;
/// Connections that one turn accepts.
const ACCEPTS: usize = 256;
/// How long to leave a listener alone that fails for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Tokens of listeners count down from here, those of connections up from 0.
const LISTENERS: usize = usize::MAX - 1;
/// The token of whoever asks the server to stop.
const WAKER: usize = usize::MAX;
/// The longest wait, after which counters are published in any case.
const NAP: Duration = Duration::from_millis(500);

/// What somebody beside the server wants to know; a run that counts every message
/// for one.
pub trait Watcher<B: Broker>: Send {
    /// A connection was accepted.
    fn opened(&mut self, now: Time, conn: ConnId, origin: &Origin) {
        let _ = (now, conn, origin);
    }

    /// A frame is about to be handed to the node.
    fn frame(&mut self, now: Time, frame: &B::Up) {
        let _ = (now, frame);
    }

    /// The node has something to tell.
    fn note(&mut self, now: Time, note: &Note) {
        let _ = (now, note);
    }

    /// A turn is over.
    fn turn(&mut self, node: &B, now: Time, counts: &Counts) {
        let _ = (node, now, counts);
    }

    /// Why a connection ended; comes right before [`Watcher::closed`].
    fn ended(&mut self, now: Time, conn: ConnId, why: Ended) {
        let _ = (now, conn, why);
    }

    /// A connection ended, on whichever side.
    fn closed(&mut self, now: Time, conn: ConnId) {
        let _ = (now, conn);
    }
}

/// Nobody wants to know anything.
#[derive(Copy, Clone, Debug, Default)]
pub struct Unwatched;

impl<B: Broker> Watcher<B> for Unwatched {}

/// The way to a running server.
#[derive(Clone, Debug)]
pub struct Handle {
    waker: Arc<Waker>,
    asked: Arc<AtomicU8>,
    published: Arc<Published>,
}

impl Handle {
    /// Asks it to stop: gracefully the first time, at once the second.
    pub fn stop(&self) {
        self.asked.fetch_add(1, Ordering::AcqRel);
        // A server that has ended already cannot be woken, and need not be.
        let _ = self.waker.wake();
    }

    /// Its counters.
    pub fn published(&self) -> &Arc<Published> {
        &self.published
    }
}

/// A node, its connections, and the loop that serves them.
pub struct Server<C: Codec, W> {
    codec: C,
    node: C::Broker,
    watcher: W,
    effects: Effects<C::Broker>,
    spare: Vec<Effect<C::Broker>>,
    scratch: Vec<u8>,
    limits: Limits,
    poll: Poll,
    ears: Vec<Ear>,
    accept_again: Option<Time>,
    slots: Vec<Option<Slot<C::UpDecoder>>>,
    free: Vec<u32>,
    /// Connections opened so far, which tells them apart.
    opened: u64,
    /// Connections with something to write.
    dirty: Vec<u32>,
    /// Connections that may have more to read.
    hot: Vec<u32>,
    /// Peers that were told goodbye, and when they have had enough time.
    lingering: VecDeque<(Time, u32, u64)>,
    /// Frames that are not whole, and when they should have been.
    partial: VecDeque<(Time, u32, u64)>,
    /// Peers that have not agreed on keys, and when they should have.
    handshakes: VecDeque<(Time, u32, u64)>,
    /// Bytes that connections hold of frames that are not whole.
    held: u64,
    /// Bytes that wait to be written.
    waiting: u64,
    store: Option<Store>,
    pool: Pool,
    buf: Box<[u8]>,
    start: Instant,
    now: Time,
    spin: Spin,
    counts: Counts,
    handle: Handle,
    drain_ends: Option<Time>,
}

impl<C: Codec, W: Watcher<C::Broker>> Server<C, W> {
    /// Listens at `places` and boots the node, as [`Server::open_in`] does, without
    /// TLS.
    ///
    /// # Errors
    /// [`OpenError`], in one line.
    pub fn open(
        codec: C,
        config: &<C::Broker as Broker>::Config,
        boot: Boot,
        places: &[Place],
        limits: Limits,
        start: Instant,
        watcher: W,
    ) -> Result<Server<C, W>, OpenError> {
        let room = Room::open(places, limits, None)?;
        Server::open_in(room, codec, config, boot, start, watcher)
    }

    /// Boots the node in a room; nothing is accepted before [`Server::run`].
    /// `start` is the zero of the node's time.
    ///
    /// # Errors
    /// [`OpenError`], in one line.
    pub fn open_in(
        room: Room,
        codec: C,
        config: &<C::Broker as Broker>::Config,
        boot: Boot,
        start: Instant,
        watcher: W,
    ) -> Result<Server<C, W>, OpenError> {
        let Room { listeners, limits, disk } = room;
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), Token(WAKER))?);
        let store = disk.as_ref().map(|disk| Store::new(disk.clone(), waker.clone()));
        let mut effects = Effects::new(match disk {
            Some(disk) => Box::new(disk),
            None => Box::new(MemoryDisk::with_capacity(limits.stored_bytes)),
        });
        let now = Time::from_nanos(start.elapsed().as_nanos() as u64);
        let node = C::Broker::boot(config, boot, now, &mut effects)?;
        let mut ears = Vec::new();
        for (mut listener, tls) in listeners {
            listener.register(poll.registry(), Token(LISTENERS - ears.len()))?;
            ears.push(Ear { listener, tls, is_ready: true });
        }
        let handle = Handle {
            waker,
            asked: Arc::new(AtomicU8::new(0)),
            published: Arc::new(Published::default()),
        };
        Ok(Server {
            codec,
            node,
            watcher,
            effects,
            spare: Vec::new(),
            scratch: Vec::new(),
            limits,
            poll,
            ears,
            accept_again: None,
            slots: Vec::new(),
            free: Vec::new(),
            opened: 0,
            dirty: Vec::new(),
            hot: Vec::new(),
            lingering: VecDeque::new(),
            partial: VecDeque::new(),
            handshakes: VecDeque::new(),
            held: 0,
            waiting: 0,
            store,
            pool: Pool::default(),
            buf: vec![0; READ].into_boxed_slice(),
            start,
            now,
            spin: Spin::new(limits.spin),
            counts: Counts::default(),
            handle,
            drain_ends: None,
        })
    }

    /// The way to it, for other threads.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Where it listens.
    pub fn listeners(&self) -> impl Iterator<Item = &Listener> {
        self.ears.iter().map(|ear| &ear.listener)
    }

    /// Serves until it is asked to stop and has done so. Returns what it counted,
    /// and its watcher.
    ///
    /// # Errors
    /// That the system no longer tells what happens on sockets, or that the store
    /// failed: then nothing is said of what came last, and the next boot finds
    /// what is on the disk.
    pub fn run(mut self) -> io::Result<(Counts, W)> {
        let mut events = Events::with_capacity(1_024);
        self.release();
        self.handle.published.set_ready(true);
        loop {
            match self.wait(&mut events) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            self.now = Time::from_nanos(self.start.elapsed().as_nanos() as u64);
            let mut hot = std::mem::take(&mut self.hot);
            for conn in hot.drain(..) {
                if let Some(slot) = self.slot(conn) {
                    slot.is_hot = false;
                }
                self.readable(conn, false);
            }
            if self.hot.is_empty() {
                self.hot = hot;
            }
            for event in &events {
                match event.token().0 {
                    WAKER => {}
                    token if token > LISTENERS - self.ears.len() => {
                        self.ears[LISTENERS - token].is_ready = true;
                    }
                    token if token < self.slots.len() => {
                        let conn = token as u32;
                        if event.is_writable() {
                            self.writable(conn);
                        }
                        if event.is_readable() || event.is_error() {
                            self.readable(conn, event.is_read_closed());
                        }
                    }
                    _ => {}
                }
            }
            self.synced();
            self.accept();
            if self.node.deadline().is_some_and(|due| due <= self.now) {
                self.node.handle(self.now, Input::Tick, &mut self.effects);
                self.release();
            }
            self.expire();
            self.flush();
            self.publish();
            if let Some(failed) = self.store.as_mut().and_then(Store::failed) {
                self.handle.published.set_ready(false);
                return Err(io::Error::other(failed));
            }
            if self.is_over() {
                self.handle.published.set_ready(false);
                return Ok((self.counts, self.watcher));
            }
        }
    }

    /// Waits until somebody has something to say, or it is time for something else.
    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let patience = self.patience();
        let looks_until = if patience > self.limits.spin { self.spin.begin() } else { None };
        if let Some(until) = looks_until {
            loop {
                self.counts.polls_total += 1;
                self.poll.poll(events, Some(Duration::ZERO))?;
                let now = Instant::now();
                if !events.is_empty() {
                    self.spin.end(now);
                    return Ok(());
                }
                if now >= until {
                    break;
                }
                // Whoever would send may need this very processor to do it.
                std::thread::yield_now();
            }
        }
        self.counts.polls_total += 1;
        self.poll.poll(events, Some(patience))?;
        if !self.limits.spin.is_zero() && !events.is_empty() {
            self.spin.end(Instant::now());
        }
        Ok(())
    }

    /// How long the next wait may be.
    fn patience(&self) -> Duration {
        if !self.hot.is_empty() || !self.dirty.is_empty() {
            return Duration::ZERO;
        }
        let may_accept = self.accept_again.is_none();
        if may_accept && self.ears.iter().any(|ear| ear.is_ready) {
            return Duration::ZERO;
        }
        let first = |queue: &VecDeque<(Time, u32, u64)>| queue.front().map(|(at, ..)| *at);
        let dues = [
            self.node.deadline(),
            self.accept_again,
            first(&self.lingering),
            first(&self.partial),
            first(&self.handshakes),
            self.drain_ends,
        ];
        let next = dues.into_iter().flatten().min();
        let now = Time::from_nanos(self.start.elapsed().as_nanos() as u64);
        next.map_or(NAP, |due| due.since(now).min(NAP))
    }

    fn slot(&mut self, conn: u32) -> Option<&mut Slot<C::UpDecoder>> {
        self.slots.get_mut(conn as usize)?.as_mut()
    }

    /// A connection has something to say, or its end.
    fn readable(&mut self, conn: u32, ends: bool) {
        let Some(Some(slot)) = self.slots.get_mut(conn as usize) else { return };
        self.counts.reads_total += 1;
        // The system says it once, however many reads are left until the end.
        slot.is_ending |= ends;
        match slot.link.read(&mut self.buf) {
            Got::Nothing => {}
            Got::End => self.gone(conn, true),
            Got::Failed(_) => self.gone(conn, false),
            Got::Bytes(len) => {
                self.counts.bytes_in_total += len as u64;
                if !slot.is_deaf {
                    self.feed(conn, len);
                }
                // A short read says that nothing more was there, except the end.
                let is_full = len == self.buf.len();
                if let Some(slot) = self.slot(conn)
                    && (is_full
                        || slot.is_ending
                        || slot.link.stream.tls().is_some_and(TlsStream::has_more))
                    && !std::mem::replace(&mut slot.is_hot, true)
                {
                    self.hot.push(conn);
                }
            }
        }
        self.answer_tls(conn);
    }

    /// Hands what was read to the node, frame by frame.
    fn feed(&mut self, conn: u32, len: usize) {
        let mut fresh = len;
        loop {
            let Self { slots, buf, node, effects, watcher, counts, now, .. } = self;
            let Some(Some(slot)) = slots.get_mut(conn as usize) else { return };
            if slot.is_deaf {
                break;
            }
            let is_guarded = slot.is_guarded;
            let result = slot.link.decode(&buf[..fresh], |frame| {
                counts.frames_in_total += 1;
                watcher.frame(*now, &frame);
                let before = effects.as_slice().len();
                node.handle(*now, Input::Frame { conn: ConnId(conn), frame }, effects);
                let after = effects.as_slice();
                // Who it is now decides how the next frame is read.
                let is_other = is_guarded
                    && after[before..]
                        .iter()
                        .any(|effect| matches!(effect, Effect::Note(Note::Trust { .. })));
                if after.len() < RELEASE && !is_other {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            });
            fresh = 0;
            match result {
                Ok(Decoded::All) => break,
                Ok(Decoded::Stopped) => self.release(),
                Err(error) => {
                    slot.is_deaf = true;
                    counts.malformed_total += 1;
                    let conn = ConnId(conn);
                    node.handle(*now, Input::Malformed { conn, error }, effects);
                    break;
                }
            }
        }
        self.release();
        self.weigh(conn);
    }

    /// Takes connections that wait.
    fn accept(&mut self) {
        if self.accept_again.is_some_and(|at| at > self.now) {
            return;
        }
        self.accept_again = None;
        for at in 0..self.ears.len() {
            for _ in 0..ACCEPTS {
                if !self.ears[at].is_ready {
                    break;
                }
                match self.ears[at].accept() {
                    Ok((stream, origin)) => self.open_slot(stream, origin),
                    Err(error) => match error.kind() {
                        io::ErrorKind::WouldBlock => self.ears[at].is_ready = false,
                        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                        _ => {
                            self.counts.accepts_failed_total += 1;
                            self.accept_again = Some(self.now + ACCEPT_PAUSE);
                            break;
                        }
                    },
                }
            }
        }
    }

    fn publish(&mut self) {
        self.counts.buffered_bytes = self.held + self.waiting;
        self.handle.published.publish(&self.counts);
        self.watcher.turn(&self.node, self.now, &self.counts);
    }

    /// Begins to stop when it is asked to. Returns whether it is done.
    fn is_over(&mut self) -> bool {
        match self.handle.asked.load(Ordering::Acquire) {
            0 => return false,
            1 => {}
            _ => return true,
        }
        if self.drain_ends.is_none() {
            self.handle.published.set_ready(false);
            self.drain_ends = Some(self.now + self.limits.drain);
            self.ears.clear();
            self.node.handle(self.now, Input::Drain, &mut self.effects);
            self.release();
            self.flush();
        }
        self.counts.connections == 0 || self.drain_ends.is_some_and(|end| end <= self.now)
    }
}
