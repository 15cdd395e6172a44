//! What a node wants done.

use std::any::Any;
use std::fmt;

use crate::{Broker, Cause, ConnId, Disk, FileId, Identity, NodeId, Note, SyncToken};

/// Why a node closes a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The client asked for it (QUIT, a drained connection).
    Requested,
    /// More bytes were pending than allowed.
    SlowConsumer,
    /// The client broke the protocol; the text was sent to it where the protocol has one.
    Protocol(&'static str),
    /// The client did not answer pings, or was idle for too long.
    Stale,
    /// A limit on connections was reached.
    TooMany,
    /// The client may not connect.
    Unauthorized,
    /// The node is shutting down.
    Shutdown,
    /// Another client or an operator killed it.
    Killed,
}

impl CloseReason {
    /// Whether frames that were sent and not yet drained are thrown away
    /// (`true`), or still go out before the connection ends.
    pub fn discards_pending(&self) -> bool {
        matches!(self, CloseReason::SlowConsumer | CloseReason::Stale | CloseReason::Killed)
    }

    /// The cause of the loss of what was discarded.
    pub fn cause(&self) -> Cause {
        match self {
            CloseReason::SlowConsumer => Cause::SlowConsumer,
            _ => Cause::ConnectionDropped,
        }
    }
}

/// One thing a node wants done, in order.
#[derive(Debug)]
pub enum Effect<B: Broker> {
    /// Send a frame.
    Send {
        /// To this connection.
        conn: ConnId,
        /// The frame.
        frame: B::Down,
    },
    /// Close a connection. The node has already forgotten it.
    Close {
        /// The connection.
        conn: ConnId,
        /// Why.
        reason: CloseReason,
    },
    /// Send a message to another node.
    Peer {
        /// To this node.
        to: NodeId,
        /// The message.
        msg: B::Peer,
    },
    /// Make what was appended to `file` so far durable, then say so.
    Sync {
        /// The file.
        file: FileId,
        /// Comes back in [`crate::Input::Synced`].
        token: SyncToken,
    },
    /// Tell the driver something.
    Note(Note),
}

/// The list of effects of a batch of inputs, and the disk they are stored on.
///
/// The driver owns it and keeps it across batches, so that a steady state
/// allocates nothing, and across a crash, so that the next boot finds the disk.
pub struct Effects<B: Broker> {
    list: Vec<Effect<B>>,
    disk: Box<dyn Disk>,
}

impl<B: Broker> Effects<B> {
    /// An empty list over `disk`.
    pub fn new(disk: Box<dyn Disk>) -> Self {
        Effects { list: Vec::new(), disk }
    }

    /// Sends `frame` to `conn`.
    #[inline]
    pub fn send(&mut self, conn: ConnId, frame: B::Down) {
        self.list.push(Effect::Send { conn, frame });
    }

    /// As [`Effects::send`], for a path that is hot: room is made first, and the
    /// frame is then written where it stays. [`Effects::send`] builds it on the
    /// stack and copies it twice, and a wide load from what narrow stores have
    /// only just written waits for them (by a sampling profile, three tenths of
    /// a fan-out to ten).
    #[inline(always)]
    pub fn send_with(&mut self, conn: ConnId, frame: impl FnOnce() -> B::Down) {
        self.list.extend(std::iter::once_with(|| Effect::Send { conn, frame: frame() }));
    }

    /// Closes `conn`; the caller forgets it at once, and no `Closed` input follows.
    pub fn close(&mut self, conn: ConnId, reason: CloseReason) {
        self.list.push(Effect::Close { conn, reason });
    }

    /// Sends `msg` to the node `to`.
    pub fn peer(&mut self, to: NodeId, msg: B::Peer) {
        self.list.push(Effect::Peer { to, msg });
    }

    /// Asks for a sync of `file`; [`crate::Input::Synced`] with `token` follows.
    pub fn sync(&mut self, file: FileId, token: SyncToken) {
        self.list.push(Effect::Sync { file, token });
    }

    /// Tells the driver something.
    pub fn note(&mut self, note: Note) {
        self.list.push(Effect::Note(note));
    }

    /// Notes that the message with this payload goes no further, and why;
    /// `conn` names the consumer when only its copy is lost.
    pub fn dropped(&mut self, cause: Cause, conn: Option<ConnId>, payload: &[u8]) {
        let message = Identity::read(payload).map(Box::new);
        self.note(Note::Dropped { cause, conn, message });
    }

    /// The node's disk.
    pub fn disk(&mut self) -> &mut dyn Disk {
        &mut *self.disk
    }

    /// The node's disk as the type that the driver made it of, so that it can
    /// crash it and complete its syncs; `None` when it is of another type.
    pub fn disk_as<D: Disk>(&mut self) -> Option<&mut D> {
        let disk: &mut dyn Any = &mut *self.disk;
        disk.downcast_mut()
    }

    /// Takes the effects gathered so far, oldest first, keeping the allocation.
    pub fn drain(&mut self) -> std::vec::Drain<'_, Effect<B>> {
        self.list.drain(..)
    }

    /// Exchanges the gathered effects with `other`, so that a driver can work on
    /// one list while the node fills the other.
    pub fn swap(&mut self, other: &mut Vec<Effect<B>>) {
        std::mem::swap(&mut self.list, other);
    }

    /// The effects gathered so far, oldest first.
    pub fn as_slice(&self) -> &[Effect<B>] {
        &self.list
    }

    /// Whether nothing was gathered.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Forgets what was gathered: the node crashed before it was released.
    pub fn clear(&mut self) {
        self.list.clear();
    }
}

impl<B: Broker> fmt::Debug for Effects<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Effects").field("list", &self.list).finish_non_exhaustive()
    }
}
