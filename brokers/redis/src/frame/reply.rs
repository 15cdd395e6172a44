//! What answers a command.

use std::sync::Arc;

use super::size::{bulk, header, integer, line};
use super::{Proto, Text, text};

/// An answer to a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+OK`.
    Simple(&'static str),
    /// `-ERR ...`, without the dash.
    Error(Arc<str>),
    /// `:1`.
    Integer(i64),
    /// `$5 hello`.
    Bulk(Text),
    /// `$-1` in RESP2, `_` in RESP3.
    Null(Proto),
    /// `*N` and its elements.
    Array(Box<[Reply]>),
    /// `~N` and its elements in RESP3, an array in RESP2.
    Set(Proto, Box<[Reply]>),
    /// `%N` and its entries in RESP3, a flat array in RESP2.
    Map(Proto, Box<[(Reply, Reply)]>),
    /// `=N txt:...` in RESP3, a bulk string in RESP2: a text for people. The
    /// format's four bytes are not in it.
    Verbatim(Proto, Text),
    /// `,1.5` in RESP3, a bulk string in RESP2: a number as it is written.
    Double(Proto, Text),
}

impl Reply {
    /// A bulk string.
    pub fn bulk(bytes: impl AsRef<[u8]>) -> Reply {
        Reply::Bulk(text(bytes))
    }

    /// A text for people.
    pub fn verbatim(proto: Proto, bytes: impl AsRef<[u8]>) -> Reply {
        Reply::Verbatim(proto, text(bytes))
    }

    /// An error, without the dash in front.
    pub fn error(text: &str) -> Reply {
        Reply::Error(text.into())
    }

    // Nearly every reply is the number that answers a publish.
    #[inline]
    pub(crate) fn wire_len(&self) -> usize {
        if let Reply::Integer(value) = self { integer(*value) } else { self.other_wire_len() }
    }

    fn other_wire_len(&self) -> usize {
        match self {
            Reply::Simple(text) => line(text.len()),
            Reply::Error(text) => line(text.len()),
            Reply::Integer(value) => integer(*value),
            Reply::Bulk(bytes) => bulk(bytes.len()),
            Reply::Null(proto) => null(*proto),
            Reply::Verbatim(Proto::Resp3, bytes) => bulk(bytes.len() + "txt:".len()),
            Reply::Double(Proto::Resp3, digits) => line(digits.len()),
            Reply::Verbatim(Proto::Resp2, bytes) | Reply::Double(Proto::Resp2, bytes) => {
                bulk(bytes.len())
            }
            Reply::Array(elements) | Reply::Set(_, elements) => {
                header(elements.len()) + elements.iter().map(Reply::wire_len).sum::<usize>()
            }
            Reply::Map(proto, entries) => {
                let count = match proto {
                    Proto::Resp2 => entries.len() * 2,
                    Proto::Resp3 => entries.len(),
                };
                let pairs = entries.iter().map(|(key, value)| key.wire_len() + value.wire_len());
                header(count) + pairs.sum::<usize>()
            }
        }
    }
}

/// The length of a null.
pub(super) fn null(proto: Proto) -> usize {
    match proto {
        Proto::Resp2 => "$-1\r\n".len(),
        Proto::Resp3 => "_\r\n".len(),
    }
}
