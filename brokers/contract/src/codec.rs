//! What a protocol brings to real sockets: bytes from frames, frames from bytes.
//!
//! A codec is as pure as a core: it is handed bytes and hands back frames, or the
//! other way round. Sockets, buffers, limits on memory and time belong to whoever
//! drives it, and are the same for every protocol.

use std::ops::Range;
use std::sync::Arc;

use crate::{Broker, FrameError};

/// Where encoded bytes go, in order.
pub trait Sink {
    /// Appends a copy of `bytes`.
    fn put(&mut self, bytes: &[u8]);

    /// Appends `range` of a message's shared buffer. A sink may keep a reference
    /// instead of a copy, which is how a large payload goes to many subscribers
    /// without being copied for each of them.
    ///
    /// # Panics
    /// If the range does not lie in the buffer.
    fn share(&mut self, buf: &Arc<[u8]>, range: Range<usize>) {
        self.put(&buf[range]);
    }
}

impl Sink for Vec<u8> {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// What a decoder found at the front of its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<F> {
    /// A frame; it and what may lie in front of it took `used` bytes.
    Frame {
        /// The frame.
        frame: F,
        /// Bytes that the caller drops from the front.
        used: usize,
    },
    /// No whole frame yet. The first `used` bytes are of no more use; the rest
    /// is the beginning of a frame, and comes again with more behind it.
    More {
        /// Bytes that the caller drops from the front.
        used: usize,
    },
}

/// Reads the frames of one direction of one connection.
///
/// Every byte is hostile: whatever comes, a decoder answers with a frame, a wish
/// for more or an error, holds memory in proportion to what has arrived (never
/// to what was announced), and looks at no byte more than a few times, however
/// small the pieces are in which the bytes come.
pub trait Decoder: Send + 'static {
    /// What it reads.
    type Frame;

    /// Reads on from the front of `input`: everything that has arrived and was
    /// not reported as used. After [`Step::More`] it is called with the same
    /// bytes and more behind them; it remembers how far it has looked.
    ///
    /// # Errors
    /// What is wrong with the bytes. It is the last call: nothing that follows
    /// on this connection can be trusted.
    fn decode(&mut self, input: &[u8]) -> Result<Step<Self::Frame>, FrameError>;

    /// Whether the peer has proved who it is, from the next frame on. Strangers may
    /// be held to smaller frames, where the protocol says so.
    fn trust(&mut self, is_proven: bool) {
        let _ = is_proven;
    }
}

/// A protocol's bytes.
///
/// The value itself holds the limits that the protocol sets for what may come in.
/// What [`Codec::encode_up`] and [`Codec::encode_down`] write is exactly
/// [`Frame::wire_len`](crate::Frame::wire_len) bytes long.
pub trait Codec: Clone + Send + Sync + 'static {
    /// Whose frames these are.
    type Broker: Broker;
    /// Reads what clients send.
    type UpDecoder: Decoder<Frame = <Self::Broker as Broker>::Up>;
    /// Reads what a node sends.
    type DownDecoder: Decoder<Frame = <Self::Broker as Broker>::Down>;

    /// A decoder for a node's end of a new connection.
    fn up_decoder(&self) -> Self::UpDecoder;

    /// A decoder for a client's end of a new connection.
    fn down_decoder(&self) -> Self::DownDecoder;

    /// Writes a client's frame.
    fn encode_up(frame: &<Self::Broker as Broker>::Up, out: &mut impl Sink);

    /// Writes a node's frame.
    fn encode_down(frame: &<Self::Broker as Broker>::Down, out: &mut impl Sink);

    /// Whether the two frames surely have the same bytes, so that a fan-out is
    /// encoded once. Must be cheap: comparing references, never contents.
    fn same_bytes(
        one: &<Self::Broker as Broker>::Down,
        other: &<Self::Broker as Broker>::Down,
    ) -> bool {
        let _ = (one, other);
        false
    }
}
