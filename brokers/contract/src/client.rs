//! The other half of a broker: its client.

use std::fmt;

use crate::{
    Broker, Envelope, FrameError, NodeId, Note, Op, Outcome, SeedStream, Support, Ticket, Time,
    Unsupported,
};

/// One of a client's connections; the client numbers them.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u16);

/// What a client starts with.
#[derive(Copy, Clone, Debug)]
pub struct ClientStart {
    /// This client, dense over the run; a restarted client has a new number.
    pub id: u32,
    /// Its own random stream.
    pub seed: SeedStream,
}

/// What happens to a client.
#[derive(Debug)]
pub enum ClientInput<B: Broker> {
    /// A connection it asked for is there.
    Connected {
        /// Which.
        link: LinkId,
    },
    /// A frame arrived.
    Frame {
        /// On this connection.
        link: LinkId,
        /// The frame.
        frame: B::Down,
    },
    /// Bytes arrived that are no frame.
    Malformed {
        /// On this connection.
        link: LinkId,
        /// What the codec found.
        error: FrameError,
    },
    /// A connection ended, or could not be made.
    Closed {
        /// Which.
        link: LinkId,
    },
    /// The moment of [`Client::deadline`] has come.
    Tick,
    /// Finish what is under way, say goodbye as the protocol has it, close.
    Shutdown,
}

/// A message for the application.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The subscription it came through.
    pub subscription: Ticket,
    /// Names this delivery in [`Op::Settle`]; 0 where nothing is settled.
    pub token: u64,
    /// Whether the protocol marks it as delivered before.
    pub redelivered: bool,
    /// The message.
    pub message: Envelope,
}

/// One thing a client wants done, in order.
#[derive(Debug)]
pub enum Action<C: Client> {
    /// Make a connection; [`ClientInput::Connected`] or `Closed` follows.
    Connect {
        /// The client's name for it.
        link: LinkId,
        /// To this node.
        to: NodeId,
    },
    /// Send a frame.
    Send {
        /// On this connection.
        link: LinkId,
        /// The frame.
        frame: <C::Broker as Broker>::Up,
    },
    /// Close a connection, after what was sent on it. No `Closed` follows.
    Close {
        /// Which.
        link: LinkId,
    },
    /// An operation ended.
    Outcome {
        /// Which.
        ticket: Ticket,
        /// How.
        outcome: Outcome,
    },
    /// A message for the application.
    Delivery(Delivery),
    /// Tell the driver something.
    Note(Note),
}

/// The list of actions of a client, or of many that one driver steps in turn.
pub struct Actions<C: Client> {
    list: Vec<Action<C>>,
}

impl<C: Client> Actions<C> {
    /// An empty list.
    pub fn new() -> Self {
        Actions { list: Vec::new() }
    }

    /// Asks for a connection to `to`.
    pub fn connect(&mut self, link: LinkId, to: NodeId) {
        self.list.push(Action::Connect { link, to });
    }

    /// Sends `frame` on `link`.
    #[inline]
    pub fn send(&mut self, link: LinkId, frame: <C::Broker as Broker>::Up) {
        self.list.push(Action::Send { link, frame });
    }

    /// Closes `link`.
    pub fn close(&mut self, link: LinkId) {
        self.list.push(Action::Close { link });
    }

    /// Ends the operation `ticket`.
    #[inline]
    pub fn outcome(&mut self, ticket: Ticket, outcome: Outcome) {
        self.list.push(Action::Outcome { ticket, outcome });
    }

    /// Hands a message to the application.
    #[inline]
    pub fn deliver(&mut self, delivery: Delivery) {
        self.list.push(Action::Delivery(delivery));
    }

    /// Tells the driver something.
    pub fn note(&mut self, note: Note) {
        self.list.push(Action::Note(note));
    }

    /// Takes the actions gathered so far, oldest first, keeping the allocation.
    pub fn drain(&mut self) -> std::vec::Drain<'_, Action<C>> {
        self.list.drain(..)
    }

    /// Exchanges the gathered actions with `other`.
    pub fn swap(&mut self, other: &mut Vec<Action<C>>) {
        std::mem::swap(&mut self.list, other);
    }

    /// The actions gathered so far, oldest first.
    pub fn as_slice(&self) -> &[Action<C>] {
        &self.list
    }

    /// Whether nothing was gathered.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

impl<C: Client> Default for Actions<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Client> fmt::Debug for Actions<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.list).finish()
    }
}

/// A broker's client: batching, acknowledgement, retry, reconnection and group
/// membership live here, because that is where their latency comes from.
pub trait Client: Sized + Send + fmt::Debug + 'static {
    /// The broker it speaks to.
    type Broker: Broker;
    /// What it is configured with; shared by many clients.
    type Config: Clone + Send + Sync + fmt::Debug + 'static;

    /// A client that is not connected yet. It asks for its connections at its
    /// first [`submit`](Client::submit) or [`connect`](Client::connect).
    fn new(config: &Self::Config, start: ClientStart) -> Self;

    /// Connects ahead of the first operation.
    fn connect(&mut self, now: Time, out: &mut Actions<Self>);

    /// Starts an operation. Its end is an [`Action::Outcome`] with `ticket`,
    /// perhaps in `out` already.
    ///
    /// # Errors
    /// [`Unsupported`] when this contender does not have it; nothing was done
    /// and no outcome follows.
    fn submit(
        &mut self,
        now: Time,
        ticket: Ticket,
        op: &Op<'_>,
        out: &mut Actions<Self>,
    ) -> Result<Support, Unsupported>;

    /// Takes one input. `now` never goes backwards.
    fn handle(&mut self, now: Time, event: ClientInput<Self::Broker>, out: &mut Actions<Self>);

    /// When it next needs a [`ClientInput::Tick`], if ever.
    fn deadline(&self) -> Option<Time>;
}
