//! JetStream on this node: what is published goes to it as well, and what it sends
//! is routed.
//!
//! The library is taken out of the node while it works, because it works on the
//! node. Connections that end meanwhile are told to it right after.

use broker_contract::{
    BootError, ConnId, Disk, DiskError, Effects, FileId, Note, SeedStream, SyncToken, Time,
};
use broker_jetstream::{Host, JetStream, Published};

use super::Nats;
use crate::frame::Message;

/// The sender of what the library sends: no connection.
const LIBRARY: u32 = u32::MAX;

/// The node as the library sees it.
struct Hosting<'a> {
    node: &'a mut Nats,
    now: Time,
    out: &'a mut Effects<Nats>,
}

impl Host for Hosting<'_> {
    fn disk(&mut self) -> &mut dyn Disk {
        self.out.disk()
    }

    fn send(
        &mut self,
        to: &[u8],
        subject: &[u8],
        reply: &[u8],
        headers: &[u8],
        payload: &[u8],
    ) -> bool {
        let node = &mut *self.node;
        node.index.matches(to, &mut node.scratch.matched);
        if node.scratch.matched.is_empty() {
            return false;
        }
        let message = Message::new(subject, reply, headers, payload);
        node.route_matched(self.now, LIBRARY, message, self.out).is_none()
    }

    fn has_interest(&mut self, subject: &[u8]) -> bool {
        let node = &mut *self.node;
        node.index.matches(subject, &mut node.scratch.matched);
        !node.scratch.matched.is_empty()
    }

    fn sync(&mut self, file: FileId, token: SyncToken) {
        self.out.sync(file, token);
    }

    fn note(&mut self, note: Note) {
        self.out.note(note);
    }
}

impl Nats {
    pub(super) fn boot_jetstream(
        &mut self,
        seed: SeedStream,
        now: Time,
        out: &mut Effects<Self>,
    ) -> Result<(), BootError> {
        let Some(config) = self.config.jetstream.clone() else { return Ok(()) };
        let mut host = Hosting { node: self, now, out };
        let jetstream = JetStream::boot(&config, seed.fork("jetstream"), now, &mut host)?;
        self.jetstream = Some(Box::new(jetstream));
        Ok(())
    }

    /// Lets the library work on the node.
    #[inline]
    fn with_jetstream<T>(
        &mut self,
        now: Time,
        out: &mut Effects<Self>,
        work: impl FnOnce(&mut JetStream, &mut Hosting<'_>) -> T,
    ) -> Option<T> {
        let mut jetstream = self.jetstream.take()?;
        let result = work(&mut jetstream, &mut Hosting { node: self, now, out });
        for number in self.scratch.ended.drain(..) {
            jetstream.closed(ConnId(number));
        }
        self.jetstream = Some(jetstream);
        Some(result)
    }

    /// The way of a message on a node with JetStream.
    pub(super) fn publish_hosted(
        &mut self,
        now: Time,
        number: u32,
        message: Message,
        out: &mut Effects<Self>,
    ) {
        let unheard = self.route(now, number, message.clone(), out);
        let is_taken = self.with_jetstream(now, out, |jetstream, host| {
            let published = Published {
                conn: ConnId(number),
                subject: message.subject(),
                reply: message.reply(),
                headers: message.headers(),
                payload: message.payload(),
            };
            jetstream.publish(now, host, &published)
        });
        if is_taken != Some(true)
            && let Some(message) = unheard
        {
            self.nobody_heard(now, number, &message, out);
        }
    }

    /// Somebody subscribed: a push consumer may have waited for that.
    pub(super) fn interest_gained(&mut self, now: Time, filter: &[u8], out: &mut Effects<Self>) {
        self.with_jetstream(now, out, |jetstream, host| jetstream.subscribed(now, host, filter));
    }

    /// A connection ended, and its number may be used again.
    pub(super) fn connection_ended(&mut self, number: u32) {
        match &mut self.jetstream {
            Some(jetstream) => jetstream.closed(ConnId(number)),
            None if self.config.jetstream.is_some() => self.scratch.ended.push(number),
            None => {}
        }
    }

    pub(super) fn synced(
        &mut self,
        now: Time,
        token: SyncToken,
        result: Result<(), DiskError>,
        out: &mut Effects<Self>,
    ) {
        self.with_jetstream(now, out, |jetstream, host| {
            jetstream.synced(now, host, token, result);
        });
    }

    pub(super) fn tick_jetstream(&mut self, now: Time, out: &mut Effects<Self>) {
        let is_due = self
            .jetstream
            .as_ref()
            .and_then(|jetstream| jetstream.deadline())
            .is_some_and(|due| due <= now);
        if is_due {
            self.with_jetstream(now, out, |jetstream, host| jetstream.tick(now, host));
        }
    }
}
