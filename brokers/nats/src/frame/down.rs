//! Frames from the server to a client.

use std::fmt;

use broker_contract::{Frame, Identity};

use super::size::{CRLF, digits};
use super::{Info, Message};

/// The text of a `-ERR`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerError {
    /// The parser found no operation it knows.
    UnknownOperation,
    /// Wrong credentials.
    AuthorizationViolation,
    /// No CONNECT in time.
    AuthenticationTimeout,
    /// Headers and payload are longer than allowed; the connection closes.
    MaxPayload,
    /// A line is longer than allowed; the connection closes.
    MaxControlLine,
    /// There are too many connections; this one closes.
    MaxConnections,
    /// The connection has too many subscriptions; this one was not made.
    MaxSubscriptions,
    /// A SUB with an invalid filter; it was not made.
    InvalidSubject,
    /// A pedantic connection published to an invalid subject.
    InvalidPublishSubject,
    /// Pings were not answered; the connection closes.
    StaleConnection,
    /// CONNECT asks for 503 answers without header support.
    NoRespondersNeedHeaders,
    /// HPUB without header support in CONNECT.
    HeadersNotSupported,
    /// CONNECT names a protocol level that is not there.
    BadProtocol,
    /// Anything else, as the server wrote it.
    Other(Box<str>),
}

impl ServerError {
    /// The text between the quotes.
    pub fn text(&self) -> &str {
        match self {
            ServerError::UnknownOperation => "Unknown Protocol Operation",
            ServerError::AuthorizationViolation => "Authorization Violation",
            ServerError::AuthenticationTimeout => "Authentication Timeout",
            ServerError::MaxPayload => "Maximum Payload Violation",
            ServerError::MaxControlLine => "maximum control line exceeded",
            ServerError::MaxConnections => "maximum connections exceeded",
            ServerError::MaxSubscriptions => "maximum subscriptions exceeded",
            ServerError::InvalidSubject => "Invalid Subject",
            ServerError::InvalidPublishSubject => "Invalid Publish Subject",
            ServerError::StaleConnection => "Stale Connection",
            ServerError::NoRespondersNeedHeaders => "no responders requires headers support",
            ServerError::HeadersNotSupported => "message headers not supported",
            ServerError::BadProtocol => "invalid client protocol",
            ServerError::Other(text) => text,
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// A frame to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Down {
    /// `INFO {json}`
    Info(Box<Info>),
    /// `MSG subject sid [reply] n`, or `HMSG subject sid [reply] hlen total`.
    Message {
        /// The client's number for the subscription.
        sid: u64,
        /// Whether the headers stay behind, because the client does not read
        /// them; then it is a MSG with the size of the payload alone.
        plain: bool,
        /// Bytes on the wire. Whoever routes the message knows them anyway, and
        /// counting them again for each delivery was a quarter of a fan-out's
        /// time; [`Down::message`] counts them.
        len: u32,
        /// The message.
        message: Message,
    },
    /// `PING`
    Ping,
    /// `PONG`
    Pong,
    /// `+OK`
    Ok,
    /// `-ERR 'text'`
    Error(Box<ServerError>),
}

impl Down {
    /// A delivery of `message` through the subscription `sid`.
    pub fn message(sid: u64, plain: bool, message: Message) -> Down {
        let len = (message.delivery_len(plain) + digits(sid)) as u32;
        Down::Message { sid, plain, len, message }
    }

    /// `-ERR` with this text.
    pub fn error(error: ServerError) -> Down {
        Down::Error(Box::new(error))
    }
}

impl Frame for Down {
    fn wire_len(&self) -> usize {
        match self {
            Down::Info(info) => info.wire_len(),
            Down::Message { len, .. } => *len as usize,
            Down::Ping | Down::Pong => 4 + CRLF,
            Down::Ok => 3 + CRLF,
            Down::Error(error) => 7 + error.text().len() + CRLF,
        }
    }

    fn payloads(&self, visit: &mut dyn FnMut(&[u8])) {
        if let Down::Message { message, .. } = self {
            // An inbox receives what the server answers as well as what applications
            // do, and only the payload tells one from the other.
            let payload = message.payload();
            if !message.subject().starts_with(b"_INBOX.") || Identity::verify(payload).is_ok() {
                visit(payload);
            }
        }
    }
}
