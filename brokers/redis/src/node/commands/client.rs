//! CLIENT, but for KILL and the lists.

use broker_contract::{Effects, Time};

use super::connection::SYNTAX;
use super::hello::{BAD_NAME, is_name};
use super::options::{is, lossy, on_off};
use crate::frame::{Reply, Text, Verb};
use crate::node::Redis;
use crate::node::conn::{gate, mark};

impl Redis {
    pub(super) fn client(
        &mut self,
        now: Time,
        conn: u32,
        verb: Verb,
        args: &[Text],
        out: &mut Effects<Self>,
    ) {
        let state = self.conns.get(conn);
        let reply = match (verb, args) {
            (Verb::ClientId, _) => Reply::Integer(state.id as i64),
            (Verb::ClientGetName, _) if state.name().is_empty() => Reply::Null(state.proto),
            (Verb::ClientGetName, _) => Reply::bulk(state.name()),
            (Verb::ClientSetName, [name]) if !is_name(name) => {
                return self.error(now, conn, BAD_NAME, out);
            }
            (Verb::ClientSetName, [name]) => {
                self.set_name(conn, name);
                Reply::Simple("OK")
            }
            (Verb::ClientInfo, _) => Reply::verbatim(state.proto, self.describe(now, conn) + "\n"),
            (Verb::ClientList, args) => return self.client_list(now, conn, args, out),
            (Verb::ClientReply, [how]) => return self.client_reply(now, conn, how, out),
            (Verb::ClientNoEvict, [how]) => {
                return self.client_mark(now, conn, mark::NO_EVICT, how, out);
            }
            (Verb::ClientNoTouch, [how]) => {
                return self.client_mark(now, conn, mark::NO_TOUCH, how, out);
            }
            (Verb::ClientSetInfo, [what, value]) => {
                return self.client_set_info(now, conn, what, value, out);
            }
            _ => return self.wrong_arity(now, conn, verb, out),
        };
        self.reply(now, conn, reply, out);
    }

    /// Pushes and confirmations come whatever is set here.
    fn client_reply(&mut self, now: Time, conn: u32, how: &Text, out: &mut Effects<Self>) {
        let state = self.conns.get_mut(conn);
        if is(how, "on") {
            state.set(gate::OFF | gate::SKIP | gate::SKIP_NEXT, false);
            self.ok(now, conn, out);
        } else if is(how, "off") {
            state.set(gate::OFF, true);
        } else if is(how, "skip") {
            let already_off = state.is(gate::OFF);
            state.set(gate::SKIP_NEXT, !already_off);
        } else {
            self.error(now, conn, SYNTAX, out);
        }
    }

    fn client_mark(&mut self, now: Time, conn: u32, mark: u8, how: &Text, out: &mut Effects<Self>) {
        let marks = &mut self.conns.get_mut(conn).marks;
        match on_off(how) {
            None => return self.error(now, conn, SYNTAX, out),
            Some(true) => *marks |= mark,
            Some(false) => *marks &= !mark,
        }
        self.ok(now, conn, out);
    }

    fn client_set_info(
        &mut self,
        now: Time,
        conn: u32,
        what: &Text,
        value: &Text,
        out: &mut Effects<Self>,
    ) {
        let name = is(what, "lib-name");
        if !name && !is(what, "lib-ver") {
            let text = format!("ERR Unrecognized option '{}'", lossy(what));
            return self.error(now, conn, &text, out);
        }
        if !is_name(value) {
            let text = format!(
                "ERR {} cannot contain spaces, newlines or special characters.",
                lossy(what)
            );
            return self.error(now, conn, &text, out);
        }
        let extra = self.conns.get_mut(conn).extra();
        let place = if name { &mut extra.lib_name } else { &mut extra.lib_version };
        *place = value[..].into();
        self.ok(now, conn, out);
    }
}
