//! HELP of the commands that have subcommands.

use broker_contract::{Effects, Time};

use crate::frame::{Reply, Verb};
use crate::node::Redis;

impl Redis {
    /// Two lines for each subcommand, in words of our own.
    pub(super) fn help(&mut self, now: Time, conn: u32, verb: Verb, out: &mut Effects<Self>) {
        let subcommands = verb.parent().into_iter().flat_map(Verb::subcommands);
        let lines = subcommands.flat_map(|subcommand| {
            let own = subcommand.name().split_once('|').map_or("", |(_, own)| own);
            [own, subcommand.spec().summary]
        });
        let lines = std::iter::once("Subcommands, and what they do:").chain(lines);
        self.reply(now, conn, Reply::Array(lines.map(Reply::Simple).collect()), out);
    }
}
