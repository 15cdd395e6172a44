//! How operations end, and what an acknowledgement proves.

/// Where the bytes are when an acknowledgement is sent.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Durability {
    /// Nowhere that survives the process.
    None,
    /// In the operating system's page cache: survives a killed process.
    PageCache,
    /// On the device: survives a power loss.
    Synced,
}

impl Durability {
    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Durability::None => "none",
            Durability::PageCache => "page_cache",
            Durability::Synced => "synced",
        }
    }
}

/// What an acknowledgement proves.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Proof {
    /// Nodes that hold the message; 0 where nothing is acknowledged.
    pub copies: u8,
    /// Where each holds it.
    pub durable: Durability,
}

impl Proof {
    /// The proof of a contender that acknowledges nothing.
    pub const NOTHING: Proof = Proof { copies: 0, durable: Durability::None };
}

/// How a contender carries out an operation.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Support {
    /// Its protocol has it.
    Native,
    /// The client makes up for what the protocol lacks, in this way.
    Emulated(&'static str),
}

/// An operation that a contender does not have. A result, not a fault.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{feature} is not supported: {reason}")]
pub struct Unsupported {
    /// What was asked for.
    pub feature: crate::Feature,
    /// Why it cannot be.
    pub reason: &'static str,
}

/// Why an operation did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// The broker said no.
    #[error("refused: {0}")]
    Refused(Box<str>),
    /// A request found nobody to answer.
    #[error("no responders")]
    NoResponders,
    /// No answer came in time.
    #[error("timed out")]
    Timeout,
    /// The connection ended before the answer came.
    #[error("the connection was lost")]
    ConnectionLost,
    /// The client's own buffer was full, or its retries ended.
    #[error("the client gave up: {0}")]
    GaveUp(&'static str),
    /// Nothing is known under this subscription.
    #[error("no such subscription")]
    NoSubscription,
}

/// The end of an operation. Each ticket gets one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// A publish was put on its way, and nothing more will be heard of it.
    Sent,
    /// A publish was acknowledged.
    Acked(Proof),
    /// A request was answered.
    Replied(crate::Envelope),
    /// The broker has confirmed the operation (a subscription is in force, a
    /// stream exists, a subscription has ended, a settlement arrived).
    Done,
    /// It definitely did not happen.
    Failed(Failure),
    /// It may or may not have happened. Never counted as lost.
    Unknown(Failure),
}
