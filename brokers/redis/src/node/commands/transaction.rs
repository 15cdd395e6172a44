//! MULTI, EXEC and DISCARD.

use broker_contract::{CloseReason, Effects, Frame as _, Time};

use crate::frame::{Down, Reply, Up};
use crate::node::Redis;
use crate::node::acl::Refused;
use crate::node::conn::gate;
use crate::node::transaction::Transaction;

impl Redis {
    pub(super) fn multi(&mut self, now: Time, conn: u32, out: &mut Effects<Self>) {
        let state = self.conns.get_mut(conn);
        if state.is(gate::MULTI) {
            self.error(now, conn, "ERR MULTI calls can not be nested", out);
            return;
        }
        state.set(gate::MULTI, true);
        self.ok(now, conn, out);
    }

    /// Keeps a command of a transaction.
    pub(super) fn queue(&mut self, now: Time, conn: u32, up: Up, out: &mut Effects<Self>) {
        let limit = self.config.query_buffer_bytes;
        let transaction = &mut self.conns.get_mut(conn).extra().transaction;
        if transaction.dirty {
            // It will not be carried out, so there is no sense in keeping more of it.
            self.reply(now, conn, Reply::Simple("QUEUED"), out);
            return;
        }
        if transaction.bytes + up.wire_len() as u64 > limit {
            // The original closes a client whose queries outgrow their buffer, too.
            self.close(conn, CloseReason::Protocol("a transaction is too long"), out);
            return;
        }
        transaction.push(up);
        self.reply(now, conn, Reply::Simple("QUEUED"), out);
    }

    pub(super) fn discard(&mut self, now: Time, conn: u32, out: &mut Effects<Self>) {
        if !self.conns.get(conn).is(gate::MULTI) {
            self.error(now, conn, "ERR DISCARD without MULTI", out);
            return;
        }
        self.discard_transaction(conn);
        self.ok(now, conn, out);
    }

    /// Carries out what was kept. Each answer is a frame of its own behind the
    /// header, so that pushes take their places between them; what the client
    /// publishes to itself follows the last.
    pub(super) fn exec(&mut self, now: Time, conn: u32, out: &mut Effects<Self>) {
        if !self.conns.get(conn).is(gate::MULTI) {
            self.error(now, conn, "ERR EXEC without MULTI", out);
            return;
        }
        let Transaction { commands, dirty, .. } = self.discard_transaction(conn);
        if dirty {
            let text = "EXECABORT Transaction discarded because of previous errors.";
            self.error(now, conn, text, out);
            return;
        }
        self.answer(now, conn, Down::Answers(commands.len() as u32), out);
        self.executing = Some((conn, commands.len() as u32));
        for up in commands {
            // An answer may have been one too many.
            if !self.conns.is_open(conn) {
                break;
            }
            self.execute(now, conn, up, out);
        }
        self.executing = None;
        self.conclude(now, conn, out);
    }

    fn execute(&mut self, now: Time, conn: u32, up: Up, out: &mut Effects<Self>) {
        let Some(verb) = up.verb() else { return };
        // What its user may do may have changed since.
        if self.conns.get(conn).is(gate::GUARDED)
            && let Err(refused) = self.user(conn).check(verb, &up)
        {
            let why = match refused {
                Refused::Command(_) => "no permission to execute the command or subcommand",
                Refused::Channel(_) => {
                    "no permission to access one of the channels used as arguments"
                }
                Refused::Key(_) => "no permission to touch the specified keys",
            };
            self.denied(now, conn, refused, "multi");
            let text = format!(
                "NOPERM ACLs rules changed between the moment the transaction was accumulated and \
                 the EXEC call. This command is no longer allowed for the following reason: {why}"
            );
            self.stats.rejected(verb);
            self.error(now, conn, &text, out);
            return;
        }
        self.run(now, conn, verb, up, out);
    }

    /// A command was refused, so that the transaction it was for will be, too.
    pub(super) fn spoil_transaction(&mut self, conn: u32) {
        if let Some(state) = self.conns.open_mut(conn)
            && state.is(gate::MULTI)
        {
            state.extra().transaction.dirty = true;
        }
    }

    /// Ends a transaction, if there is one, and returns what it held.
    pub(super) fn discard_transaction(&mut self, conn: u32) -> Transaction {
        let Some(state) = self.conns.open_mut(conn) else { return Transaction::default() };
        state.set(gate::MULTI, false);
        let extra = state.extra.as_mut();
        extra.map(|extra| std::mem::take(&mut extra.transaction)).unwrap_or_default()
    }
}
