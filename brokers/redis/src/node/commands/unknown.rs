//! What is no command, or a command with a wrong number of arguments.

use broker_contract::{CloseReason, Effects, Time};

use super::options::is;
use crate::frame::{Mistake, Text, Verb, resolve};
use crate::node::Redis;

/// Bytes of the name, and of all arguments together, that an error repeats.
const SHOWN: usize = 128;

impl Redis {
    pub(super) fn unknown(
        &mut self,
        now: Time,
        conn: u32,
        name: &[u8],
        args: &[Text],
        out: &mut Effects<Self>,
    ) {
        // A web page that makes a browser talk to this port: nothing that it says
        // is carried out.
        if is(name, "post") || is(name, "host:") {
            self.close(conn, CloseReason::Protocol("HTTP is not spoken here"), out);
            return;
        }
        let (verb, text) = match resolve(name, args) {
            Err(Mistake::Arity(verb)) => (Some(verb), arity(verb)),
            Err(Mistake::Subcommand(parent)) => {
                let given = args.first().map_or(&b""[..], |arg| arg);
                let upper = parent.name().to_ascii_uppercase();
                let given = shown(given, SHOWN);
                (None, format!("ERR unknown subcommand '{given}'. Try {upper} HELP."))
            }
            Err(Mistake::Unknown) => (None, unknown_command(name, args)),
            // A message that is too long for a frame.
            Ok((verb, _)) => (Some(verb), arity(verb)),
        };
        self.conns.get_mut(conn).last = verb;
        if let Some(verb) = verb {
            self.stats.rejected(verb);
        }
        match verb {
            // An attempt to carry out a transaction ends it.
            Some(Verb::Exec) => self.refuse(now, conn, Verb::Exec, &text, out),
            _ => {
                self.spoil_transaction(conn);
                self.error(now, conn, &text, out);
            }
        }
    }

    pub(super) fn wrong_arity(
        &mut self,
        now: Time,
        conn: u32,
        verb: Verb,
        out: &mut Effects<Self>,
    ) {
        self.error(now, conn, &arity(verb), out);
    }

    /// A subcommand with options that it does not have.
    pub(super) fn wrong_options(
        &mut self,
        now: Time,
        conn: u32,
        verb: Verb,
        out: &mut Effects<Self>,
    ) {
        let name = verb.name().to_ascii_uppercase();
        let (command, own) = name.split_once('|').unwrap_or((&name, ""));
        let text = format!(
            "ERR unknown subcommand or wrong number of arguments for '{own}'. Try {command} HELP."
        );
        self.error(now, conn, &text, out);
    }
}

fn arity(verb: Verb) -> String {
    format!("ERR wrong number of arguments for '{}' command", verb.name())
}

fn unknown_command(name: &[u8], args: &[Text]) -> String {
    let mut list = String::new();
    for arg in args {
        if list.len() >= SHOWN {
            break;
        }
        list += &format!("'{}' ", shown(arg, SHOWN - list.len()));
    }
    format!("ERR unknown command '{}', with args beginning with: {list}", shown(name, SHOWN))
}

/// At most `max` bytes as text.
fn shown(bytes: &[u8], max: usize) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(max)]).into_owned()
}
