//! What the node wants done.

use broker_contract::{Broker, Codec, Effect, Frame, Note};

use super::{Server, Watcher};
use crate::wire::metrics::Ended;

/// Frames up to this length are encoded once for all that receive them, and
/// copied; the payload of a longer one is shared instead.
const COPIED: usize = 4 << 10;

impl<C: Codec, W: Watcher<C::Broker>> Server<C, W> {
    /// Carries out what the node has asked for so far, once what it appended is
    /// the system's.
    pub(super) fn release(&mut self) {
        if self.store.is_some() && !self.write_store() {
            return;
        }
        while !self.effects.is_empty() {
            let mut list = std::mem::take(&mut self.spare);
            self.effects.swap(&mut list);
            self.carry_out(&list);
            // All at once, and after the last byte was written where it goes.
            list.clear();
            self.spare = list;
        }
    }

    fn carry_out(&mut self, list: &[Effect<C::Broker>]) {
        // Whether `scratch` holds the bytes of the frame at hand.
        let mut encoded = false;
        for (at, effect) in list.iter().enumerate() {
            match effect {
                Effect::Send { conn, frame } => {
                    let next = list.get(at + 1);
                    let goes_on = matches!(next, Some(Effect::Send { frame: next, .. })
                        if C::same_bytes(frame, next));
                    if goes_on && !encoded && frame.wire_len() <= COPIED {
                        self.scratch.clear();
                        C::encode_down(frame, &mut self.scratch);
                        encoded = true;
                    }
                    self.send(conn.0, frame, encoded);
                    encoded &= goes_on;
                }
                Effect::Close { conn, reason } => self.close(conn.0, reason),
                Effect::Note(note) => {
                    match note {
                        Note::Dropped { cause, .. } => self.counts.dropped(*cause),
                        Note::Trust { conn, is_proven } => self.trust(conn.0, *is_proven),
                        _ => {}
                    }
                    self.watcher.note(self.now, note);
                }
                Effect::Sync { file, token } => self.sync(*file, *token),
                // A server is a node without others.
                Effect::Peer { .. } => {}
            }
        }
    }

    #[inline]
    fn send(&mut self, conn: u32, frame: &<C::Broker as Broker>::Down, encoded: bool) {
        let Self { slots, pool, scratch, dirty, counts, .. } = self;
        let Some(Some(slot)) = slots.get_mut(conn as usize) else { return };
        if !slot.takes_frames() {
            return;
        }
        counts.frames_out_total += 1;
        let out = &mut slot.link.out;
        out.lend(pool);
        let before = out.len();
        if encoded {
            broker_contract::Sink::put(out, scratch);
        } else {
            C::encode_down(frame, out);
        }
        self.waiting += (out.len() - before) as u64;
        if !std::mem::replace(&mut slot.is_dirty, true) {
            dirty.push(conn);
        }
        if self.waiting + self.held > self.limits.buffered_bytes {
            self.cut(conn, Ended::Memory);
        }
    }
}
