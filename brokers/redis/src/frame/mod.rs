//! The frames of the bus: commands up, replies and pushes down.
//!
//! They are the protocol's own commands and replies, read into types. A frame
//! knows its exact length in RESP; turning it into bytes is the work of
//! [`crate::codec`], which splits its input into words and hands them to
//! [`Up::from_args`], which takes any bytes. What it cannot place (an unknown
//! command, a known one with the wrong number of arguments) travels as
//! [`Up::Other`], and the node answers it with the original's error.
//!
//! Start with [`Body`], the one allocation that a message is, then [`Up`] and
//! [`Down`]; `verb.rs` and `verb_table.rs` are the table of commands.

mod body;
mod down;
mod parse;
mod reply;
mod size;
mod up;
pub mod verb;
mod verb_table;

use std::sync::Arc;

pub use body::Body;
pub use down::{Change, Down};
pub(crate) use down::{message_len, pattern_message_len};
pub use parse::{Mistake, resolve};
pub use reply::Reply;
pub use up::Up;
pub use verb::Verb;

/// A shared piece of a command or reply: any bytes.
pub type Text = Arc<[u8]>;

/// A list of arguments.
pub type Texts = Arc<[Text]>;

/// The version of the protocol that a connection speaks.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub enum Proto {
    /// RESP2: pushes are arrays, and a subscribed connection may do little else.
    #[default]
    Resp2,
    /// RESP3: pushes are marked, and a subscribed connection may do anything.
    Resp3,
}

impl Proto {
    /// 2 or 3.
    pub const fn number(self) -> i64 {
        match self {
            Proto::Resp2 => 2,
            Proto::Resp3 => 3,
        }
    }
}

/// The three namespaces of subscriptions.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Exact channels: SUBSCRIBE, PUBLISH.
    Channel,
    /// Glob patterns over those channels: PSUBSCRIBE.
    Pattern,
    /// Sharded channels: SSUBSCRIBE, SPUBLISH.
    Shard,
}

/// `text` as a shared argument.
pub fn text(text: impl AsRef<[u8]>) -> Text {
    Arc::from(text.as_ref())
}

/// `list` as shared arguments.
pub fn texts<T: AsRef<[u8]>>(list: impl IntoIterator<Item = T>) -> Texts {
    list.into_iter().map(text).collect()
}
