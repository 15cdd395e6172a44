//! RESP: the bus's frames as bytes, in both directions and both versions.
//!
//! - `request.rs` reads what clients send: arrays of bulk strings, and lines that
//!   people type (`inline.rs`); which command it is, [`Up::from_args`] knows;
//! - `reply.rs` reads what a node sends, for a client;
//! - `encode.rs` writes both.
//!
//! A command is copied once, out of the input and into the allocation that its
//! subscribers share; a push to many subscribers is encoded once, and a large
//! payload is not copied for each of them. Nothing here touches a socket: see
//! [`broker_contract::Codec`]. Start with [`Resp`].

mod encode;
mod inline;
mod number;
mod reply;
mod request;
#[cfg(test)]
mod tests;

use broker_contract::{Codec, Sink};

use crate::Redis;
use crate::frame::{Down, Up};

pub use reply::ReplyDecoder;
pub use request::RequestDecoder;

/// What may come in, in bytes. The defaults are the original's.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct RespLimits {
    /// One argument of a command (`proto-max-bulk-len`), or one bulk string of a
    /// reply.
    pub bulk: u32,
    /// A whole command (`client-query-buffer-limit`) or reply.
    pub frame: u32,
}

impl Default for RespLimits {
    fn default() -> Self {
        RespLimits { bulk: 512 << 20, frame: 1 << 30 }
    }
}

/// The codec of the bus.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Resp {
    /// What it accepts.
    pub limits: RespLimits,
}

impl Codec for Resp {
    type Broker = Redis;
    type UpDecoder = RequestDecoder;
    type DownDecoder = ReplyDecoder;

    fn up_decoder(&self) -> RequestDecoder {
        RequestDecoder::new(self.limits)
    }

    fn down_decoder(&self) -> ReplyDecoder {
        ReplyDecoder::new(self.limits)
    }

    fn encode_up(frame: &Up, out: &mut impl Sink) {
        encode::up(frame, out);
    }

    #[inline]
    fn encode_down(frame: &Down, out: &mut impl Sink) {
        encode::down(frame, out);
    }

    #[inline]
    fn same_bytes(one: &Down, other: &Down) -> bool {
        match (one, other) {
            (
                Down::Message { proto, sharded, body },
                Down::Message { proto: proto_b, sharded: sharded_b, body: body_b },
            ) => proto == proto_b && sharded == sharded_b && body.is_same(body_b),
            (
                Down::PatternMessage { proto, pattern, body },
                Down::PatternMessage { proto: proto_b, pattern: pattern_b, body: body_b },
            ) => {
                proto == proto_b
                    && std::sync::Arc::ptr_eq(pattern, pattern_b)
                    && body.is_same(body_b)
            }
            _ => false,
        }
    }
}
