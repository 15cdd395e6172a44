//! One node of a broker.

use std::fmt;
use std::sync::Arc;

use crate::{Disk, DiskError, Effects, SeedStream, Time};

/// A connection at a node. The driver numbers connections densely from 0 and
/// may use a number again once the connection is closed on both sides, so a node
/// keeps its connections in an array.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u32);

/// A node of a cluster, dense from 0.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u16);

/// Names one sync request of one node.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SyncToken(pub u64);

/// The peer type of a broker that runs on one node only.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum NoPeer {}

/// A frame of a broker's native protocol.
pub trait Frame: Clone + Send + fmt::Debug + 'static {
    /// Bytes this frame takes on the wire, exactly, in the protocol version that
    /// its connection speaks.
    fn wire_len(&self) -> usize;

    /// Calls `visit` with each application payload inside, in order. Drivers use
    /// it to name the messages that a broken link takes with it.
    fn payloads(&self, visit: &mut dyn FnMut(&[u8]));
}

/// Bytes that no codec could read as a frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct FrameError(pub String);

/// Where a connection comes from.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// The peer's address as text, where there is one.
    pub address: Option<Arc<str>>,
    /// Who the transport proved it to be (a TLS certificate's name), if anybody.
    pub identity: Option<Arc<str>>,
}

/// What a node boots with. Its disk is in the [`Effects`] it is given.
#[derive(Clone, Debug)]
pub struct Boot {
    /// This node's own random stream.
    pub seed: SeedStream,
    /// This node.
    pub node: NodeId,
    /// All nodes of its cluster, itself included.
    pub peers: Vec<NodeId>,
}

/// Why a node did not boot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BootError {
    /// The configuration contradicts itself.
    #[error("the configuration is refused: {0}")]
    Config(String),
    /// The store cannot be read.
    #[error("the store cannot be read: {0}")]
    Disk(#[from] DiskError),
    /// The store is not one of ours, newer than this version, or damaged.
    #[error("{file} at byte {offset}: {reason}")]
    Store {
        /// The file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
}

/// What happens to a node.
#[derive(Debug)]
pub enum Input<B: Broker> {
    /// A connection was accepted.
    Opened {
        /// Its number.
        conn: ConnId,
        /// Where it comes from.
        origin: Origin,
    },
    /// A frame arrived, in the order its connection sent it.
    Frame {
        /// From this connection.
        conn: ConnId,
        /// The frame.
        frame: B::Up,
    },
    /// Bytes arrived that are no frame. The node answers as its protocol does,
    /// and usually closes.
    Malformed {
        /// From this connection.
        conn: ConnId,
        /// What the codec found.
        error: FrameError,
    },
    /// The transport took `bytes` of what was sent to `conn`. The sum of all
    /// `Drained` never exceeds the sum of the wire lengths sent; drivers may
    /// join several into one.
    Drained {
        /// The connection.
        conn: ConnId,
        /// Bytes taken since the last such input.
        bytes: u64,
    },
    /// The peer closed, or the transport failed. Comes once; never for a
    /// connection that the node closed itself.
    Closed {
        /// The connection.
        conn: ConnId,
    },
    /// A message of another node.
    Peer {
        /// Its sender.
        from: NodeId,
        /// The message.
        msg: B::Peer,
    },
    /// A sync that the node asked for has ended.
    Synced {
        /// Which.
        token: SyncToken,
        /// Whether the bytes are durable.
        result: Result<(), DiskError>,
    },
    /// The moment of [`Broker::deadline`] has come.
    Tick,
    /// Stop accepting work and let clients go gracefully.
    Drain,
}

/// One node: a pure state machine.
///
/// `handle` does bounded work; what remains, it continues at its
/// [`deadline`](Broker::deadline). The driver gathers the inputs of a batch,
/// flushes the disk once, and only then releases the effects.
pub trait Broker: Sized + Send + fmt::Debug + 'static {
    /// What it is configured with.
    type Config: Clone + Send + Sync + fmt::Debug + 'static;
    /// Frames from clients.
    type Up: Frame;
    /// Frames to clients.
    type Down: Frame;
    /// Messages between nodes; [`NoPeer`] for a broker of one node.
    type Peer: Send + fmt::Debug;

    /// Starts a node from what its disk holds.
    ///
    /// # Errors
    /// [`BootError`] when the configuration contradicts itself or the store is
    /// unreadable; the driver reports it and starts nothing.
    fn boot(
        config: &Self::Config,
        boot: Boot,
        now: Time,
        out: &mut Effects<Self>,
    ) -> Result<Self, BootError>;

    /// Takes one input. `now` never goes backwards.
    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Effects<Self>);

    /// When it next needs an [`Input::Tick`], if ever. Must be cheap: drivers
    /// ask after every batch.
    fn deadline(&self) -> Option<Time>;

    /// Heap bytes that it holds, estimated from the capacities of its own
    /// structures (messages in flight belong to the driver).
    fn memory_bytes(&self) -> u64;

    /// Whether what it holds in memory agrees with itself and with what its disk
    /// holds. A search asks now and then, between two inputs; nothing depends on
    /// the answer, so it may take its time. A node that keeps nothing has nothing
    /// to say.
    ///
    /// # Errors
    /// What is wrong, and where, in one line.
    fn check_invariants(&self, disk: &mut dyn Disk) -> Result<(), String> {
        let _ = disk;
        Ok(())
    }
}
