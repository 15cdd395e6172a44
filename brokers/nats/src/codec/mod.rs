//! The NATS client protocol: frames as text, in both directions.
//!
//! - `line.rs` finds control lines and splits them into words;
//! - `request.rs` reads what clients send, `reply.rs` what a server sends;
//! - `json.rs` reads the objects of CONNECT and INFO;
//! - `encode.rs` writes both.
//!
//! A message is copied once, out of the input and into the allocation that its
//! subscribers share. Nothing here touches a socket: see
//! [`broker_contract::Codec`]. Start with [`NatsText`].

mod encode;
mod json;
mod line;
mod reply;
mod request;
#[cfg(test)]
mod tests;

use broker_contract::{Codec, FrameError, Sink};

use crate::frame::{Down, ServerError, Up};
use crate::{Nats, NatsConfig};

pub use reply::ReplyDecoder;
pub use request::RequestDecoder;

/// What may come in, in bytes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct TextLimits {
    /// The arguments of a control line.
    pub control_line: u32,
    /// Headers and payload of one message.
    pub payload: u32,
}

impl Default for TextLimits {
    fn default() -> Self {
        TextLimits::of(&NatsConfig::default())
    }
}

impl TextLimits {
    /// Those of a server with this configuration.
    pub fn of(config: &NatsConfig) -> TextLimits {
        let narrow = |limit: u64| u32::try_from(limit).unwrap_or(u32::MAX).min(1 << 30);
        TextLimits {
            control_line: narrow(config.max_control_line),
            payload: narrow(config.max_payload),
        }
    }
}

/// The codec of the NATS client protocol.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct NatsText {
    /// What it accepts.
    pub limits: TextLimits,
}

impl Codec for NatsText {
    type Broker = Nats;
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
                Down::Message { sid, plain, message, .. },
                Down::Message { sid: sid_b, plain: plain_b, message: message_b, .. },
            ) => sid == sid_b && plain == plain_b && message.is_same(message_b),
            _ => false,
        }
    }
}

/// The error that `text` stands for, as a decoder or a server wrote it.
pub(crate) fn server_error(text: &str) -> ServerError {
    let known = [
        ServerError::UnknownOperation,
        ServerError::AuthorizationViolation,
        ServerError::AuthenticationTimeout,
        ServerError::MaxPayload,
        ServerError::MaxControlLine,
        ServerError::MaxConnections,
        ServerError::MaxSubscriptions,
        ServerError::InvalidSubject,
        ServerError::InvalidPublishSubject,
        ServerError::StaleConnection,
        ServerError::NoRespondersNeedHeaders,
        ServerError::HeadersNotSupported,
        ServerError::BadProtocol,
    ];
    let found = known.into_iter().find(|error| error.text() == text);
    found.unwrap_or_else(|| ServerError::Other(text.into()))
}

/// What is wrong with bytes, in the words of the protocol.
fn wrong(error: &ServerError) -> FrameError {
    FrameError(error.text().to_owned())
}

fn unknown() -> FrameError {
    wrong(&ServerError::UnknownOperation)
}
