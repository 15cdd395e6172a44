//! Frames from a client to the server.

use broker_contract::Frame;

use super::size::{CRLF, digits};
use super::{ConnectOptions, Message};

/// SUB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscribe {
    /// The filter, as the client wrote it.
    pub subject: Box<[u8]>,
    /// The queue group, if any.
    pub queue: Option<Box<[u8]>>,
    /// The client's number for the subscription.
    pub sid: u64,
}

/// A frame from a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Up {
    /// `CONNECT {json}`
    Connect(Box<ConnectOptions>),
    /// `PUB subject [reply] n`, or `HPUB subject [reply] hlen total` with headers.
    Publish(Message),
    /// `SUB subject [queue] sid`
    Subscribe(Box<Subscribe>),
    /// `UNSUB sid [max]`
    Unsubscribe {
        /// Which subscription.
        sid: u64,
        /// End it after this many deliveries since SUB; 0 and `None` for at once.
        max: Option<u64>,
    },
    /// `PING`
    Ping,
    /// `PONG`
    Pong,
}

impl Up {
    /// SUB with these parts.
    pub fn subscribe(subject: &[u8], queue: Option<&[u8]>, sid: u64) -> Up {
        Up::Subscribe(Box::new(Subscribe {
            subject: subject.into(),
            queue: queue.map(Into::into),
            sid,
        }))
    }

    /// Bytes of the arguments of the control line, which the server limits.
    pub fn control_len(&self) -> usize {
        match self {
            Up::Connect(_) | Up::Ping | Up::Pong => 0,
            Up::Publish(message) => message.control_len(),
            Up::Subscribe(subscribe) => {
                let queue = subscribe.queue.as_ref().map_or(0, |queue| 1 + queue.len());
                1 + subscribe.subject.len() + queue + 1 + digits(subscribe.sid)
            }
            Up::Unsubscribe { sid, max } => 1 + digits(*sid) + max.map_or(0, |max| 1 + digits(max)),
        }
    }
}

impl Frame for Up {
    fn wire_len(&self) -> usize {
        match self {
            Up::Connect(options) => options.wire_len(),
            Up::Publish(message) => message.publish_len(),
            Up::Subscribe(_) => 3 + self.control_len() + CRLF,
            Up::Unsubscribe { .. } => 5 + self.control_len() + CRLF,
            Up::Ping | Up::Pong => 4 + CRLF,
        }
    }

    fn payloads(&self, visit: &mut dyn FnMut(&[u8])) {
        // What is said to the server itself is no application's payload.
        if let Up::Publish(message) = self
            && !message.subject().starts_with(b"$JS.")
        {
            visit(message.payload());
        }
    }
}
