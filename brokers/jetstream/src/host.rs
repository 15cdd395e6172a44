//! What the library asks of the node that hosts it.

use broker_contract::{ConnId, Disk, FileId, Note, SyncToken};

/// The node around the library: it routes, and it has the disk.
pub trait Host {
    /// The node's disk.
    fn disk(&mut self) -> &mut dyn Disk;

    /// Sends a message to everybody who subscribed to `to`. They see it under
    /// `subject`, which differs from `to` where a message of a stream goes to an
    /// inbox. Returns whether anybody took it.
    fn send(
        &mut self,
        to: &[u8],
        subject: &[u8],
        reply: &[u8],
        headers: &[u8],
        payload: &[u8],
    ) -> bool;

    /// Whether anybody subscribed to something that takes in `subject`.
    fn has_interest(&mut self, subject: &[u8]) -> bool;

    /// Asks for a sync; [`crate::JetStream::synced`] with `token` follows.
    fn sync(&mut self, file: FileId, token: SyncToken);

    /// Tells the driver something.
    fn note(&mut self, note: Note);
}

/// A message that a client published.
#[derive(Copy, Clone, Debug)]
pub struct Published<'a> {
    /// The connection it came from.
    pub conn: ConnId,
    /// Its subject.
    pub subject: &'a [u8],
    /// Where an answer goes; empty when none is expected.
    pub reply: &'a [u8],
    /// The whole header block, or empty.
    pub headers: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
}
