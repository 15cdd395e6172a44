//! PING, ECHO, SELECT, TIME, QUIT and RESET, and what is accepted because a data
//! set that does not exist has nothing to lose by it.

use broker_contract::{CloseReason, ConnId, Effects, Note, Time};

use super::options::{integer, is};
use crate::frame::{Proto, Reply, Text, Verb};
use crate::node::Redis;
use crate::node::acl::UserId;
use crate::node::conn::gate;

/// Databases that SELECT accepts. The bus has no keys, and channels do not
/// belong to a database.
pub(super) const DATABASES: i64 = 16;

pub(super) const SYNTAX: &str = "ERR syntax error";
pub(super) const NOT_INTEGER: &str = "ERR value is not an integer or out of range";

impl Redis {
    /// In the RESP2 subscribed state the answer is an array, so that a client can
    /// tell it from a message.
    pub(super) fn ping(
        &mut self,
        now: Time,
        conn: u32,
        text: Option<Text>,
        out: &mut Effects<Self>,
    ) {
        let reply = if self.conns.get(conn).is_restricted() {
            let text = text.map_or_else(|| Reply::bulk(""), Reply::Bulk);
            Reply::Array([Reply::bulk("pong"), text].into())
        } else {
            text.map_or(Reply::Simple("PONG"), Reply::Bulk)
        };
        self.reply(now, conn, reply, out);
    }

    pub(super) fn connection(
        &mut self,
        now: Time,
        conn: u32,
        verb: Verb,
        args: &[Text],
        out: &mut Effects<Self>,
    ) {
        match (verb, args) {
            (Verb::Echo, [text]) => self.reply(now, conn, Reply::Bulk(text.clone()), out),
            (Verb::Select, [index]) => self.select(now, conn, index, out),
            (Verb::Reset, _) => self.reset(now, conn, out),
            (Verb::Time, _) => self.time(now, conn, out),
            // Keys that do not exist never change.
            (Verb::Watch, _) if self.conns.get(conn).is(gate::MULTI) => {
                self.error(now, conn, "ERR WATCH inside MULTI is not allowed", out);
            }
            (Verb::Watch | Verb::Unwatch, _) => self.ok(now, conn, out),
            _ => self.wrong_arity(now, conn, verb, out),
        }
    }

    fn select(&mut self, now: Time, conn: u32, index: &[u8], out: &mut Effects<Self>) {
        match integer(index) {
            None => self.error(now, conn, NOT_INTEGER, out),
            Some(index @ 0..DATABASES) => {
                self.conns.get_mut(conn).database = index as u8;
                self.ok(now, conn, out);
            }
            Some(_) => self.error(now, conn, "ERR DB index is out of range", out),
        }
    }

    fn time(&mut self, now: Time, conn: u32, out: &mut Effects<Self>) {
        let since_1970 = self.config.epoch + now.since(Time::ZERO);
        let parts = [
            Reply::bulk(since_1970.as_secs().to_string()),
            Reply::bulk(since_1970.subsec_micros().to_string()),
        ];
        self.reply(now, conn, Reply::Array(parts.into()), out);
    }

    /// What empties a data set.
    pub(super) fn tolerated(
        &mut self,
        now: Time,
        conn: u32,
        verb: Verb,
        args: &[Text],
        out: &mut Effects<Self>,
    ) {
        let known = |arg: &Text| is(arg, "sync") || is(arg, "async");
        match args {
            [] => self.ok(now, conn, out),
            [arg] if known(arg) => self.ok(now, conn, out),
            [_] if verb == Verb::FunctionFlush => {
                let text = "ERR FUNCTION FLUSH only supports SYNC|ASYNC option";
                self.error(now, conn, text, out);
            }
            _ if verb == Verb::FunctionFlush => self.wrong_options(now, conn, verb, out),
            _ => self.error(now, conn, SYNTAX, out),
        }
    }

    /// The answer still goes out; nothing after it does.
    pub(super) fn quit(&mut self, now: Time, conn: u32, out: &mut Effects<Self>) {
        self.ok(now, conn, out);
        self.close(conn, CloseReason::Requested, out);
    }

    /// Back to the state of a new connection; subscriptions end unconfirmed.
    fn reset(&mut self, now: Time, conn: u32, out: &mut Effects<Self>) {
        self.topics.remove_all(&mut self.conns, conn);
        self.discard_transaction(conn);
        let state = self.conns.get_mut(conn);
        if let Some(extra) = &mut state.extra {
            extra.name = Box::default();
        }
        state.proto = Proto::Resp2;
        state.database = 0;
        state.soft_since = Time::MAX;
        // A reply that was to be skipped is: even this command's.
        state.set(gate::OFF | gate::SKIP_NEXT, false);
        let proven = !self.users.must_authenticate();
        self.become_user(conn, UserId::DEFAULT, proven, out);
        self.reply(now, conn, Reply::Simple("RESET"), out);
    }

    /// A connection is somebody from now on.
    pub(super) fn become_user(
        &mut self,
        conn: u32,
        user: UserId,
        proven: bool,
        out: &mut Effects<Self>,
    ) {
        let guarded = !self.users.get(user).is_unlimited();
        let state = self.conns.get_mut(conn);
        state.user = user;
        if state.is(gate::UNPROVEN) == proven {
            out.note(Note::Trust { conn: ConnId(conn), is_proven: proven });
        }
        state.set(gate::UNPROVEN, !proven);
        state.set(gate::GUARDED, guarded);
    }
}
