//! Connections of a server: how they begin, what they may hold, how they end.

use broker_contract::{Broker, CloseReason, Codec, ConnId, Decoder, Input, Origin, Time};
use mio::{Interest, Token};

use super::{Server, Watcher};
use crate::wire::link::Link;
use crate::wire::metrics::Ended;
use crate::wire::stream::Stream;
use crate::wire::tls::TlsStream;

/// One connection.
#[derive(Debug)]
pub(super) struct Slot<D> {
    pub link: Link<D>,
    /// Tells it from others that had its number.
    opened: u64,
    /// Since when a frame of it is not whole.
    partial_since: Option<Time>,
    /// What it holds of such a frame, as counted by the server.
    held: usize,
    /// Whether the node has closed it: what waits is written, then it ends.
    is_closing: bool,
    /// Why it ends, once that is known.
    ended: Option<Ended>,
    /// Whether what it says is no longer listened to.
    pub is_deaf: bool,
    /// Whether the peer has ended its half: the end is to be read after all that
    /// came before it.
    pub is_ending: bool,
    /// Whether its last byte was written, and the peer was told so.
    has_ended: bool,
    /// Whether the node asks it, or has asked it, who it is.
    pub is_guarded: bool,
    pub is_dirty: bool,
    pub is_hot: bool,
}

impl<C: Codec, W: Watcher<C::Broker>> Server<C, W> {
    pub(super) fn open_slot(&mut self, mut stream: Stream, origin: Origin) {
        let conn = self.free.pop().unwrap_or(self.slots.len() as u32);
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self.poll.registry().register(&mut stream, Token(conn as usize), interest);
        if registered.is_err() || conn as usize >= super::LISTENERS / 2 {
            self.counts.accepts_failed_total += 1;
            self.free.push(conn);
            return;
        }
        let slot = Slot {
            link: Link::new(stream, self.codec.up_decoder()),
            opened: self.opened,
            partial_since: None,
            held: 0,
            is_closing: false,
            ended: None,
            is_deaf: false,
            is_ending: false,
            has_ended: false,
            is_guarded: false,
            is_dirty: false,
            is_hot: false,
        };
        self.opened += 1;
        match self.slots.get_mut(conn as usize) {
            Some(place) => *place = Some(slot),
            None => {
                // An eighth more instead of twice as much: there may be a million.
                if self.slots.len() == self.slots.capacity() {
                    self.slots.reserve_exact((self.slots.len() / 8).max(64));
                }
                self.slots.push(Some(slot));
            }
        }
        self.counts.accepted_total += 1;
        self.counts.connections += 1;
        let conn = ConnId(conn);
        self.watcher.opened(self.now, conn, &origin);
        self.node.handle(self.now, Input::Opened { conn, origin }, &mut self.effects);
        self.release();
        self.begin_tls(conn.0);
    }

    /// What the node says first goes out, in the open where the protocol wants
    /// that; then keys are agreed on.
    fn begin_tls(&mut self, conn: u32) {
        let Some(Some(slot)) = self.slots.get_mut(conn as usize) else { return };
        let Some(tls) = slot.link.stream.tls() else { return };
        // Whom the node refuses at once hears why, and needs no keys for it.
        if slot.is_closing {
            return;
        }
        let due = self.now + self.limits.handshake;
        let opened = slot.opened;
        if tls.is_plain() {
            self.write(conn);
            let Some(slot) = self.slot(conn) else { return };
            if !slot.link.out.is_empty() {
                // A new socket that takes no greeting is none to wait for.
                return self.cut(conn, Ended::Broken);
            }
            if let Some(tls) = slot.link.stream.tls_mut() {
                tls.begin();
            }
        }
        self.handshakes.push_back((due, conn, opened));
    }

    /// After a read of a connection with TLS: its answers wait to be written, and
    /// what waited for keys may go now.
    pub(super) fn answer_tls(&mut self, conn: u32) {
        let Some(Some(slot)) = self.slots.get_mut(conn as usize) else { return };
        let Some(tls) = slot.link.stream.tls() else { return };
        let has_answer = tls.wants_write() || !slot.link.out.is_empty();
        if has_answer && !std::mem::replace(&mut slot.is_dirty, true) {
            self.dirty.push(conn);
        }
    }

    /// After a read: what the connection holds now, and whether that is allowed.
    pub(super) fn weigh(&mut self, conn: u32) {
        let (now, partial) = (self.now, self.limits.partial);
        let Some(Some(slot)) = self.slots.get_mut(conn as usize) else { return };
        let held = slot.link.held();
        self.held = self.held + held as u64 - slot.held as u64;
        slot.held = held;
        if !slot.link.is_partial() {
            slot.partial_since = None;
        } else if slot.partial_since.is_none() && !partial.is_zero() {
            slot.partial_since = Some(now);
            self.partial.push_back((now + partial, conn, slot.opened));
        }
        if self.held + self.waiting > self.limits.buffered_bytes {
            self.cut(conn, Ended::Memory);
        }
    }

    /// A connection has proved who it is, or has to.
    pub(super) fn trust(&mut self, conn: u32, is_proven: bool) {
        let Some(slot) = self.slot(conn) else { return };
        slot.is_guarded = true;
        slot.link.trust(is_proven);
    }

    /// Ends a connection that uses too much of the machine.
    pub(super) fn cut(&mut self, conn: u32, why: Ended) {
        let Some(slot) = self.slot(conn) else { return };
        let was_open = !slot.is_closing;
        slot.ended.get_or_insert(why);
        self.remove(conn);
        if was_open {
            self.node.handle(self.now, Input::Closed { conn: ConnId(conn) }, &mut self.effects);
        }
    }

    /// The peer has ended the connection, or it failed.
    pub(super) fn gone(&mut self, conn: u32, politely: bool) {
        let Some(slot) = self.slot(conn) else { return };
        if !slot.is_closing {
            slot.ended = Some(if politely { Ended::Peer } else { Ended::Broken });
            self.node.handle(self.now, Input::Closed { conn: ConnId(conn) }, &mut self.effects);
            self.release();
        }
        let Self { slots, pool, .. } = self;
        if politely && let Some(Some(slot)) = slots.get_mut(conn as usize) {
            // It may have closed only its own half and still want its answers;
            // what it does not take at once, it does not get.
            let _ = slot.link.flush(pool);
            slot.link.stream.finish();
        }
        self.remove(conn);
    }

    /// The node closes a connection.
    pub(super) fn close(&mut self, conn: u32, reason: &CloseReason) {
        let ends = self.now + self.limits.linger;
        let Some(Some(slot)) = self.slots.get_mut(conn as usize) else { return };
        slot.ended = Some(reason.into());
        slot.is_deaf = true;
        slot.is_closing = true;
        if reason.discards_pending() {
            self.remove(conn);
            return;
        }
        self.lingering.push_back((ends, conn, slot.opened));
        if !std::mem::replace(&mut slot.is_dirty, true) {
            self.dirty.push(conn);
        }
    }

    /// Forgets a connection; its socket closes.
    pub(super) fn remove(&mut self, conn: u32) {
        let Some(mut slot) = self.slots.get_mut(conn as usize).and_then(Option::take) else {
            return;
        };
        if slot.link.stream.tls().is_some_and(TlsStream::is_handshaking) {
            self.counts.handshakes_failed_total += 1;
        }
        self.held -= slot.held as u64;
        self.waiting -= slot.link.out.len() as u64;
        slot.link.out.clear(&mut self.pool);
        self.counts.connections -= 1;
        self.free.push(conn);
        let why = slot.ended.unwrap_or(Ended::Broken);
        self.counts.ended(why);
        self.watcher.ended(self.now, ConnId(conn), why);
        self.watcher.closed(self.now, ConnId(conn));
    }

    /// There is room to write again.
    pub(super) fn writable(&mut self, conn: u32) {
        let Some(Some(slot)) = self.slots.get_mut(conn as usize) else { return };
        let waits =
            !slot.link.out.is_empty() || slot.link.stream.tls().is_some_and(TlsStream::wants_write);
        if waits && !std::mem::replace(&mut slot.is_dirty, true) {
            self.dirty.push(conn);
        }
    }

    /// Writes for each connection that has something to be told, and says to the
    /// node what was taken.
    pub(super) fn flush(&mut self) {
        // What the node sends because there is room again goes with it; should
        // that go on, the next turn continues.
        for _ in 0..2 {
            if self.dirty.is_empty() {
                return;
            }
            let mut dirty = std::mem::take(&mut self.dirty);
            for conn in dirty.drain(..) {
                self.write(conn);
            }
            if self.dirty.is_empty() {
                self.dirty = dirty;
            }
            self.release();
        }
    }

    fn write(&mut self, conn: u32) {
        let Self { slots, pool, counts, node, now, effects, .. } = self;
        let Some(Some(slot)) = slots.get_mut(conn as usize) else { return };
        slot.is_dirty = false;
        let Ok((taken, writes)) = slot.link.flush(pool) else {
            self.gone(conn, false);
            return;
        };
        counts.writes_total += writes;
        counts.bytes_out_total += taken as u64;
        self.waiting -= taken as u64;
        let is_secure = slot.link.stream.tls().is_some();
        if slot.is_closing {
            if slot.link.out.is_empty() && !std::mem::replace(&mut slot.has_ended, true) {
                slot.link.stream.finish();
            }
        } else if taken > 0 {
            let drained = Input::Drained { conn: ConnId(conn), bytes: taken as u64 };
            node.handle(*now, drained, effects);
        }
        if is_secure {
            self.weigh(conn);
        }
    }

    /// Ends connections whose time is over.
    pub(super) fn expire(&mut self) {
        let now = self.now;
        let due = |queue: &mut std::collections::VecDeque<(Time, u32, u64)>| {
            let is_due = queue.front().is_some_and(|(at, ..)| *at <= now);
            is_due.then(|| queue.pop_front()).flatten()
        };
        while let Some((_, conn, opened)) = due(&mut self.lingering) {
            if self.slot(conn).is_some_and(|slot| slot.opened == opened) {
                self.remove(conn);
            }
        }
        while let Some((_, conn, opened)) = due(&mut self.handshakes) {
            let is_late = |slot: &&mut Slot<C::UpDecoder>| {
                slot.opened == opened
                    && slot.link.stream.tls().is_some_and(TlsStream::is_handshaking)
            };
            if self.slot(conn).filter(is_late).is_some() {
                self.cut(conn, Ended::Handshake);
                self.release();
            }
        }
        let limit = self.limits.partial;
        while let Some((at, conn, opened)) = due(&mut self.partial) {
            let since = self
                .slot(conn)
                .filter(|slot| slot.opened == opened)
                .and_then(|slot| slot.partial_since);
            if since.is_some_and(|since| since + limit == at) {
                self.cut(conn, Ended::Partial);
                self.release();
            }
        }
    }
}

impl<D: Decoder> Slot<D> {
    /// Whether the node still knows it.
    pub(super) fn takes_frames(&self) -> bool {
        !self.is_closing
    }
}
