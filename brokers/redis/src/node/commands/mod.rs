//! The commands, one file per family.
//!
//! A family that is added later (access control, configuration, transactions)
//! brings a variant of [`Up`] and a file here; until then its commands arrive as
//! [`Up::Other`] and `unknown.rs` answers them as the original answers a command
//! that it does not have.

mod connection;
mod publish;
mod pubsub;
mod subscribe;
mod unknown;

use broker_contract::{Effects, Time};

use super::Redis;
use crate::frame::Up;

impl Redis {
    /// Carries out one command of an open connection. A PUBLISH that is allowed
    /// does not come this way, but straight from `handle`.
    #[inline(never)]
    pub(super) fn command(&mut self, now: Time, conn: u32, up: Up, out: &mut Effects<Self>) {
        let restricted = self.conns.get(conn).is_restricted();
        // A command that does not exist is refused as such, whatever the state.
        if restricted && !up.allowed_while_subscribed() && !matches!(up, Up::Other { .. }) {
            let text = format!(
                "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / \
                 RESET are allowed in this context",
                up.name()
            );
            self.error(now, conn, &text, out);
            return;
        }
        match up {
            Up::Publish { sharded, body } => self.publish(now, conn, sharded, body, out),
            Up::Subscribe { kind, topics } => self.subscribe(now, conn, kind, &topics, out),
            Up::Unsubscribe { kind, topics } => self.unsubscribe(now, conn, kind, &topics, out),
            Up::PubSub(query) => self.pubsub(now, conn, &query, out),
            Up::Ping(text) => self.ping(now, conn, text, out),
            Up::Echo(text) => self.echo(now, conn, text, out),
            Up::Hello(args) => self.hello(now, conn, &args, out),
            Up::Select(index) => self.select(now, conn, &index, out),
            Up::Client(command) => self.client(now, conn, command, out),
            Up::Quit => self.quit(now, conn, out),
            Up::Reset => self.reset(now, conn, out),
            Up::Other { name, args } => self.unknown(now, conn, &name, &args, out),
        }
    }
}
