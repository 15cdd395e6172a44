//! The commands, one file per family.
//!
//! Start with [`Redis::command`]: it decides whether a command runs at all, in
//! the original's order (does it exist, has the client authenticated, may its
//! user do this, does the subscribed state allow it), puts it aside in a
//! transaction, or runs it.

mod acl;
mod client;
mod client_list;
mod command;
mod config;
mod connection;
mod hello;
mod help;
mod info;
mod options;
mod publish;
mod pubsub;
mod subscribe;
mod transaction;
mod unknown;

use broker_contract::{CloseReason, ConnId, Effects, Time};

use super::Redis;
use super::acl::{Refused, User};
use super::conn::gate;
use crate::frame::{Text, Up, Verb};

pub(super) use acl::boot_users;

const NOAUTH: &str = "NOAUTH Authentication required.";

impl Redis {
    /// Takes one command of an open connection. A PUBLISH that nothing stands in
    /// the way of does not come here, but straight from `handle`.
    #[inline(never)]
    pub(super) fn command(&mut self, now: Time, conn: u32, up: Up, out: &mut Effects<Self>) {
        self.take(now, conn, up, out);
        let Some(state) = self.conns.open_mut(conn) else { return };
        // A skip is for the one command after the one that asked for it.
        let next = state.is(gate::SKIP_NEXT);
        state.set(gate::SKIP_NEXT, false);
        state.set(gate::SKIP, next);
        if state.is(gate::CLOSING) {
            self.close(conn, CloseReason::Requested, out);
        }
    }

    fn take(&mut self, now: Time, conn: u32, up: Up, out: &mut Effects<Self>) {
        let verb = match (up.verb(), &up) {
            (Some(verb), _) => verb,
            (None, Up::Other { name, args }) => return self.unknown(now, conn, name, args, out),
            (None, _) => return,
        };
        self.conns.get_mut(conn).last = Some(verb);
        if verb == Verb::Quit {
            self.stats.called(verb);
            return self.quit(now, conn, out);
        }
        if let Some(why) = self.refusal(now, conn, verb, &up) {
            self.stats.rejected(verb);
            return self.refuse(now, conn, verb, &why, out);
        }
        let waits = self.conns.get(conn).is(gate::MULTI)
            && !matches!(
                verb,
                Verb::Multi | Verb::Exec | Verb::Discard | Verb::Watch | Verb::Reset
            );
        if waits {
            self.queue(now, conn, up, out);
        } else {
            self.run(now, conn, verb, up, out);
        }
    }

    /// Why a command that exists does not run, if it does not.
    fn refusal(&mut self, now: Time, conn: u32, verb: Verb, up: &Up) -> Option<String> {
        use crate::frame::verb::flag;
        let state = self.conns.get(conn);
        if state.is(gate::UNPROVEN) && self.users.must_authenticate() && !verb.has(flag::NO_AUTH) {
            return Some(NOAUTH.to_owned());
        }
        if state.is(gate::GUARDED)
            && let Err(refused) = self.users.get(state.user).check(verb, up)
        {
            let context = if state.is(gate::MULTI) { "multi" } else { "toplevel" };
            return Some(self.denied(now, conn, refused, context));
        }
        if state.is_restricted() && !verb.allowed_while_subscribed() {
            return Some(format!(
                "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / \
                 RESET are allowed in this context",
                verb.name()
            ));
        }
        None
    }

    /// Notes what a user may not do, and says so.
    pub(super) fn denied(
        &mut self,
        now: Time,
        conn: u32,
        refused: Refused,
        context: &'static str,
    ) -> String {
        let (reason, object, text) = match refused {
            Refused::Command(verb) => (
                "command",
                crate::frame::text(verb.name()),
                format!("NOPERM this user has no permissions to run the '{}' command", verb.name()),
            ),
            Refused::Channel(channel) => (
                "channel",
                channel,
                "NOPERM this user has no permissions to access one of the channels used as \
                 arguments"
                    .to_owned(),
            ),
            Refused::Key(key) => (
                "key",
                key,
                "NOPERM this user has no permissions to access one of the keys used as arguments"
                    .to_owned(),
            ),
        };
        let user = self.user(conn).name.clone();
        self.note_denied(now, conn, reason, context, object, user);
        text
    }

    /// Answers a command that does not run; a transaction that it was for will not
    /// run either.
    fn refuse(&mut self, now: Time, conn: u32, verb: Verb, why: &str, out: &mut Effects<Self>) {
        if verb == Verb::Exec {
            // An attempt to carry out a transaction ends it.
            self.discard_transaction(conn);
            let why = why.strip_prefix("ERR ").unwrap_or(why);
            let text = format!("EXECABORT Transaction discarded because of: {why}");
            self.error(now, conn, &text, out);
            return;
        }
        self.spoil_transaction(conn);
        self.error(now, conn, why, out);
    }

    /// Carries out a command that is allowed.
    pub(super) fn run(
        &mut self,
        now: Time,
        conn: u32,
        verb: Verb,
        up: Up,
        out: &mut Effects<Self>,
    ) {
        self.stats.called(verb);
        let errors = self.stats.errors;
        match up {
            Up::Publish { sharded, body } => self.publish(now, conn, sharded, body, out),
            Up::Subscribe { kind, topics } => self.subscribe(now, conn, kind, &topics, out),
            Up::Unsubscribe { kind, topics } => self.unsubscribe(now, conn, kind, &topics, out),
            Up::Ping(text) => self.ping(now, conn, text, out),
            Up::Hello(args) => self.hello(now, conn, &args, out),
            Up::Quit => self.quit(now, conn, out),
            Up::Call { verb, args } => self.call(now, conn, verb, &args, out),
            Up::Other { .. } => {}
        }
        if self.stats.errors > errors {
            self.stats.failed(verb);
        }
    }

    fn call(&mut self, now: Time, conn: u32, verb: Verb, args: &[Text], out: &mut Effects<Self>) {
        use Verb as V;
        match verb {
            V::Echo | V::Select | V::Reset | V::Time | V::Watch | V::Unwatch => {
                self.connection(now, conn, verb, args, out);
            }
            V::FlushAll | V::FlushDb | V::FunctionFlush => {
                self.tolerated(now, conn, verb, args, out);
            }
            V::Auth => self.auth(now, conn, args, out),
            V::PubSubChannels
            | V::PubSubNumSub
            | V::PubSubNumPat
            | V::PubSubShardChannels
            | V::PubSubShardNumSub => self.pubsub(now, conn, verb, args, out),
            V::ClientGetName
            | V::ClientId
            | V::ClientInfo
            | V::ClientList
            | V::ClientNoEvict
            | V::ClientNoTouch
            | V::ClientReply
            | V::ClientSetInfo
            | V::ClientSetName => self.client(now, conn, verb, args, out),
            V::ClientKill => self.client_kill(now, conn, args, out),
            V::Info => self.info(now, conn, args, out),
            V::ConfigGet => self.config_get(now, conn, args, out),
            V::ConfigSet => self.config_set(now, conn, args, out),
            V::ConfigResetStat => {
                self.stats = super::stats::Stats::new();
                self.ok(now, conn, out);
            }
            V::ConfigRewrite => {
                self.error(now, conn, "ERR The server is running without a config file", out);
            }
            V::Command | V::CommandCount | V::CommandDocs | V::CommandInfo | V::CommandList => {
                self.commands(now, conn, verb, args, out);
            }
            V::Multi => self.multi(now, conn, out),
            V::Exec => self.exec(now, conn, out),
            V::Discard => self.discard(now, conn, out),
            V::AclCat
            | V::AclDelUser
            | V::AclDryRun
            | V::AclGenPass
            | V::AclGetUser
            | V::AclList
            | V::AclLoad
            | V::AclLog
            | V::AclSave
            | V::AclSetUser
            | V::AclUsers
            | V::AclWhoAmI => self.acl(now, conn, verb, args, out),
            V::PubSubHelp
            | V::ClientHelp
            | V::ConfigHelp
            | V::CommandHelp
            | V::FunctionHelp
            | V::AclHelp => self.help(now, conn, verb, out),
            // These have a frame of their own, or need a subcommand: no words are
            // ever read as such a call.
            V::Subscribe
            | V::Unsubscribe
            | V::PSubscribe
            | V::PUnsubscribe
            | V::SSubscribe
            | V::SUnsubscribe
            | V::Publish
            | V::SPublish
            | V::Ping
            | V::Hello
            | V::Quit
            | V::PubSub
            | V::Client
            | V::Config
            | V::Function
            | V::Acl => self.wrong_arity(now, conn, verb, out),
        }
    }

    /// Who a connection is.
    pub(super) fn user(&self, conn: u32) -> &User {
        self.users.get(self.conns.get(conn).user)
    }

    /// Ends a connection for its own or somebody else's command. The one whose
    /// command it is still gets its answer.
    fn kill(&mut self, killer: u32, conn: u32, out: &mut Effects<Self>) {
        if conn == killer {
            self.conns.get_mut(conn).set(gate::CLOSING, true);
        } else {
            self.forget(conn);
            out.close(ConnId(conn), CloseReason::Killed);
        }
    }
}
