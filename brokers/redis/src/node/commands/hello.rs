//! HELLO and AUTH.

use broker_contract::{Effects, Time};

use super::options::{integer, is, lossy};
use crate::frame::{Proto, Reply, Text, text};
use crate::node::Redis;
use crate::node::acl::UserId;
use crate::node::conn::gate;

/// The release whose behaviour this is; HELLO and INFO name it.
pub(super) const VERSION: &str = "7.0.15";

pub(super) const BAD_NAME: &str =
    "ERR Client names cannot contain spaces, newlines or special characters.";
const WRONGPASS: &str = "WRONGPASS invalid username-password pair or user is disabled.";
const NO_PASSWORD_SET: &str = "ERR AUTH <password> called without any password configured for the \
                               default user. Are you sure your configuration is correct?";
const HELLO_NOAUTH: &str = "NOAUTH HELLO must be called with the client already authenticated, \
                            otherwise the HELLO AUTH <user> <pass> option can be used to \
                            authenticate the client and select the RESP protocol version at the \
                            same time";

impl Redis {
    /// `HELLO [2|3 [AUTH user password] [SETNAME name]]`. The options take effect one
    /// after the other, so that those before a mistake stay; the version changes
    /// only when all of it is right.
    pub(super) fn hello(&mut self, now: Time, conn: u32, args: &[Text], out: &mut Effects<Self>) {
        let (asked, mut options) = match args.split_first() {
            None => (None, args),
            Some((version, options)) => match read_version(version) {
                Ok(proto) => (Some(proto), options),
                Err(text) => return self.error(now, conn, text, out),
            },
        };
        loop {
            options = match options {
                [] => break,
                [option, user, password, rest @ ..] if is(option, "AUTH") => {
                    if !self.prove(now, conn, "HELLO", user, password, out) {
                        return self.error(now, conn, WRONGPASS, out);
                    }
                    rest
                }
                [option, given, rest @ ..] if is(option, "SETNAME") => {
                    if !is_name(given) {
                        return self.error(now, conn, BAD_NAME, out);
                    }
                    self.set_name(conn, given);
                    rest
                }
                [option, ..] => {
                    let text = format!("ERR Syntax error in HELLO option '{}'", lossy(option));
                    return self.error(now, conn, &text, out);
                }
            };
        }
        if self.conns.get(conn).is(gate::UNPROVEN) && self.users.must_authenticate() {
            return self.error(now, conn, HELLO_NOAUTH, out);
        }
        let state = self.conns.get_mut(conn);
        let proto = asked.unwrap_or(state.proto);
        state.proto = proto;
        let entries = [
            ("server", Reply::bulk("redis")),
            ("version", Reply::bulk(VERSION)),
            ("proto", Reply::Integer(proto.number())),
            ("id", Reply::Integer(state.id as i64)),
            ("mode", Reply::bulk("standalone")),
            ("role", Reply::bulk("master")),
            ("modules", Reply::Array([].into())),
        ];
        let entries = entries.map(|(key, value)| (Reply::bulk(key), value));
        self.reply(now, conn, Reply::Map(proto, entries.into()), out);
    }

    /// `AUTH [user] password`.
    pub(super) fn auth(&mut self, now: Time, conn: u32, args: &[Text], out: &mut Effects<Self>) {
        let (user, password) = match args {
            [_] if self.users.get(UserId::DEFAULT).nopass => {
                return self.error(now, conn, NO_PASSWORD_SET, out);
            }
            [password] => (&b"default"[..], password),
            [user, password] => (&user[..], password),
            _ => return self.error(now, conn, super::connection::SYNTAX, out),
        };
        if self.prove(now, conn, "AUTH", user, password, out) {
            self.ok(now, conn, out);
        } else {
            self.error(now, conn, WRONGPASS, out);
        }
    }

    /// Makes a connection the user that it says it is, if the password is right.
    fn prove(
        &mut self,
        now: Time,
        conn: u32,
        command: &str,
        user: &[u8],
        password: &[u8],
        out: &mut Effects<Self>,
    ) -> bool {
        let Some(id) = self.users.authenticate(user, password) else {
            let context = if self.executing.is_some() { "multi" } else { "toplevel" };
            self.note_denied(now, conn, "auth", context, text(command), text(user));
            return false;
        };
        self.become_user(conn, id, true, out);
        true
    }

    pub(super) fn set_name(&mut self, conn: u32, name: &[u8]) {
        let state = self.conns.get_mut(conn);
        if !name.is_empty() || state.extra.is_some() {
            state.extra().name = name.into();
        }
    }
}

/// The version that HELLO asks for, or the original's error.
fn read_version(version: &[u8]) -> Result<Proto, &'static str> {
    match integer(version) {
        None => Err("ERR Protocol version is not an integer or out of range"),
        Some(2) => Ok(Proto::Resp2),
        Some(3) => Ok(Proto::Resp3),
        Some(_) => Err("NOPROTO unsupported protocol version"),
    }
}

/// Whether every byte is printable and no space.
pub(super) fn is_name(name: &[u8]) -> bool {
    name.iter().all(u8::is_ascii_graphic)
}
