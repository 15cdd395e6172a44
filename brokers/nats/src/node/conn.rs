//! One connection at the node.

use broker_contract::Time;

use crate::frame::ConnectOptions;
use crate::index::Owned;

/// What a node keeps of a connection: there may be a million of them.
#[derive(Debug)]
pub(super) struct Conn {
    /// Bytes sent that the transport has not taken.
    pub pending: u64,
    /// When bytes began to be pending, or when the transport last took some.
    pub progress: Time,
    /// When a frame last came.
    pub seen: Time,
    /// Tells this connection from others that had its number.
    pub opened: u64,
    pub owned: Owned,
    pub pings_out: u32,
    pub verbose: bool,
    pub pedantic: bool,
    pub echo: bool,
    pub headers: bool,
    pub no_responders: bool,
    /// Whether it reads INFO at any time.
    pub reads_info: bool,
    /// Whether the first PING has been answered.
    pub greeted: bool,
    /// Whether a write deadline is set for it.
    pub watched: bool,
    /// Whether it is to be closed as soon as the present message is routed.
    pub overflowing: bool,
}

impl Conn {
    /// A connection before its CONNECT, which has the defaults of one without
    /// any field.
    pub fn new(opened: u64, now: Time) -> Conn {
        Conn {
            pending: 0,
            progress: now,
            seen: now,
            opened,
            owned: Owned::default(),
            pings_out: 0,
            verbose: true,
            pedantic: true,
            echo: true,
            headers: false,
            no_responders: false,
            reads_info: false,
            greeted: false,
            watched: false,
            overflowing: false,
        }
    }

    /// Takes the options of a CONNECT over.
    pub fn apply(&mut self, options: &ConnectOptions) {
        self.verbose = options.verbose.unwrap_or(true);
        self.pedantic = options.pedantic.unwrap_or(true);
        self.echo = options.echo.unwrap_or(true);
        self.headers = options.headers;
        self.no_responders = options.no_responders;
        self.reads_info = options.protocol >= 1;
    }

    /// The transport took `bytes`.
    pub fn drained(&mut self, now: Time, bytes: u64) {
        debug_assert!(bytes <= self.pending, "the transport takes what was sent, no more");
        self.pending = self.pending.saturating_sub(bytes);
        self.progress = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A million idle devices have to fit, with their pings, in 120 bytes each.
    #[test]
    fn it_is_compact() {
        let ping = size_of::<super::super::timers::Due>();
        assert!(size_of::<Option<Conn>>() + ping <= 88, "{}", size_of::<Option<Conn>>() + ping);
    }
}
