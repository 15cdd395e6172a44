//! PING, ECHO, HELLO, SELECT, CLIENT, QUIT and RESET.

use broker_contract::{CloseReason, Effects, Time};

use crate::frame::{ClientCommand, Proto, Reply, Text};
use crate::node::Redis;

/// The release whose behaviour this is; HELLO names it.
const VERSION: &str = "7.0.15";
/// Databases that SELECT accepts. The bus has no keys, and channels do not
/// belong to a database.
const DATABASES: i64 = 16;

const BAD_NAME: &str = "ERR Client names cannot contain spaces, newlines or special characters.";

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
        let state = self.conns.get(conn);
        let reply = if state.proto == Proto::Resp2 && state.has_subscriptions() {
            let text = text.map_or_else(|| Reply::bulk(""), Reply::Bulk);
            Reply::Array([Reply::bulk("pong"), text].into())
        } else {
            text.map_or(Reply::Simple("PONG"), Reply::Bulk)
        };
        self.reply(now, conn, reply, out);
    }

    pub(super) fn echo(&mut self, now: Time, conn: u32, text: Text, out: &mut Effects<Self>) {
        self.reply(now, conn, Reply::Bulk(text), out);
    }

    /// `HELLO [2|3 [AUTH user password] [SETNAME name]]`. Nothing changes unless
    /// all of it is right. There are no users yet but the default one, which has
    /// no password and therefore takes any.
    pub(super) fn hello(&mut self, now: Time, conn: u32, args: &[Text], out: &mut Effects<Self>) {
        match read_hello(args) {
            Err(text) => self.error(now, conn, &text, out),
            Ok((proto, name)) => {
                if let Some(name) = name {
                    self.set_name(conn, name);
                }
                let state = self.conns.get_mut(conn);
                let proto = proto.unwrap_or(state.proto);
                state.proto = proto;
                let id = state.id as i64;
                let entries = [
                    ("server", Reply::bulk("redis")),
                    ("version", Reply::bulk(VERSION)),
                    ("proto", Reply::Integer(proto.number())),
                    ("id", Reply::Integer(id)),
                    ("mode", Reply::bulk("standalone")),
                    ("role", Reply::bulk("master")),
                    ("modules", Reply::Array([].into())),
                ];
                let entries = entries.map(|(key, value)| (Reply::bulk(key), value));
                self.reply(now, conn, Reply::Map(proto, entries.into()), out);
            }
        }
    }

    pub(super) fn select(&mut self, now: Time, conn: u32, index: &[u8], out: &mut Effects<Self>) {
        match integer(index) {
            None => self.error(now, conn, "ERR value is not an integer or out of range", out),
            Some(0..DATABASES) => self.reply(now, conn, Reply::Simple("OK"), out),
            Some(_) => self.error(now, conn, "ERR DB index is out of range", out),
        }
    }

    pub(super) fn client(
        &mut self,
        now: Time,
        conn: u32,
        command: ClientCommand,
        out: &mut Effects<Self>,
    ) {
        let reply = match command {
            ClientCommand::SetName(name) if !is_name(&name) => Reply::Error(BAD_NAME.into()),
            ClientCommand::SetName(name) => {
                self.set_name(conn, &name);
                Reply::Simple("OK")
            }
            ClientCommand::GetName => match self.names.get(&conn) {
                Some(name) => Reply::bulk(name),
                None => Reply::Null(self.conns.get(conn).proto),
            },
            ClientCommand::Id => Reply::Integer(self.conns.get(conn).id as i64),
        };
        self.reply(now, conn, reply, out);
    }

    /// The answer still goes out; nothing after it does.
    pub(super) fn quit(&mut self, now: Time, conn: u32, out: &mut Effects<Self>) {
        self.reply(now, conn, Reply::Simple("OK"), out);
        self.close(conn, CloseReason::Requested, out);
    }

    /// Back to the state of a new connection; subscriptions end unconfirmed.
    pub(super) fn reset(&mut self, now: Time, conn: u32, out: &mut Effects<Self>) {
        self.topics.remove_all(&mut self.conns, conn);
        self.names.remove(&conn);
        self.conns.get_mut(conn).proto = Proto::Resp2;
        self.reply(now, conn, Reply::Simple("RESET"), out);
    }

    fn set_name(&mut self, conn: u32, name: &[u8]) {
        if name.is_empty() {
            self.names.remove(&conn);
        } else {
            self.names.insert(conn, name.into());
        }
    }
}

/// The version and the name that HELLO asks for, or the original's error.
fn read_hello(args: &[Text]) -> Result<(Option<Proto>, Option<&[u8]>), String> {
    let Some((version, mut options)) = args.split_first() else { return Ok((None, None)) };
    let proto = match integer(version) {
        None => return Err("ERR Protocol version is not an integer or out of range".to_owned()),
        Some(2) => Proto::Resp2,
        Some(3) => Proto::Resp3,
        Some(_) => return Err("NOPROTO unsupported protocol version".to_owned()),
    };
    let mut name = None;
    loop {
        let is = |option: &[u8], word: &str| option.eq_ignore_ascii_case(word.as_bytes());
        options = match options {
            [] => return Ok((Some(proto), name)),
            [option, user, _password, rest @ ..] if is(option, "AUTH") => {
                if **user != *b"default" {
                    let text = "WRONGPASS invalid username-password pair or user is disabled.";
                    return Err(text.to_owned());
                }
                rest
            }
            [option, given, rest @ ..] if is(option, "SETNAME") => {
                if !is_name(given) {
                    return Err(BAD_NAME.to_owned());
                }
                name = Some(&given[..]);
                rest
            }
            [option, ..] => {
                let option = String::from_utf8_lossy(option);
                return Err(format!("ERR Syntax error in HELLO option '{option}'"));
            }
        };
    }
}

/// Whether every byte is printable and no space.
fn is_name(name: &[u8]) -> bool {
    name.iter().all(u8::is_ascii_graphic)
}

/// A decimal integer as the original reads one: no sign but a minus, no leading
/// zeros, no spaces.
fn integer(text: &[u8]) -> Option<i64> {
    let value: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (value.to_string().as_bytes() == text).then_some(value)
}
