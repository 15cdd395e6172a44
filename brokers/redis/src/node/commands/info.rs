//! INFO: what is known of the node, section by section.
//!
//! A figure that nobody measures here (processor time, a process's memory) is
//! left out rather than made up; the driver has its own metrics for those.

use std::fmt::Write as _;

use broker_contract::{Broker as _, Effects, Time};

use super::hello::VERSION;
use super::options::is;
use crate::frame::{Kind, Reply, Text};
use crate::node::Redis;

/// The sections in their order, and whether they are shown unless asked for.
const SECTIONS: &[(&str, bool)] = &[
    ("server", true),
    ("clients", true),
    ("memory", true),
    ("persistence", true),
    ("stats", true),
    ("replication", true),
    ("commandstats", false),
    ("errorstats", true),
    ("cluster", true),
    ("keyspace", true),
];

impl Redis {
    /// `INFO [section ...]`; `default`, `all` and `everything` are sections, too.
    pub(super) fn info(&mut self, now: Time, conn: u32, args: &[Text], out: &mut Effects<Self>) {
        let asked = |word: &str| args.iter().any(|arg| is(arg, word));
        let (all, default) =
            (asked("all") || asked("everything"), asked("default") || args.is_empty());
        let wanted = SECTIONS
            .iter()
            .filter(|(name, usual)| all || (default && *usual) || asked(name))
            .map(|(name, _)| self.section(now, name));
        let text = wanted.collect::<Vec<_>>().join("\r\n");
        let proto = self.conns.get(conn).proto;
        self.reply(now, conn, Reply::verbatim(proto, text), out);
    }

    fn section(&self, now: Time, name: &str) -> String {
        let (first, rest) = name.split_at(1);
        let mut text = format!("# {}{rest}\r\n", first.to_ascii_uppercase());
        let mut line = |key: &str, value: &dyn std::fmt::Display| {
            // Writing to a string does not fail.
            let _ = write!(text, "{key}:{value}\r\n");
        };
        match name {
            "server" => {
                let since_1970 = self.config.epoch + now.since(Time::ZERO);
                let uptime = now.since(self.booted).as_secs();
                line("redis_version", &VERSION);
                line("redis_mode", &"standalone");
                line("server_name", &env!("CARGO_PKG_NAME"));
                line("arch_bits", &usize::BITS);
                line("tcp_port", &self.config.port);
                line("server_time_usec", &since_1970.as_micros());
                line("uptime_in_seconds", &uptime);
                line("uptime_in_days", &(uptime / 86_400));
            }
            "clients" => {
                let subscribers =
                    self.conns.iter().filter(|(_, state)| state.has_subscriptions()).count();
                line("connected_clients", &self.conns.open_count());
                line("maxclients", &self.config.maxclients);
                line("blocked_clients", &0);
                line("tracking_clients", &0);
                line("pubsub_clients", &subscribers);
            }
            "memory" => {
                line("used_memory", &self.memory_bytes());
                line("maxmemory", &0);
                line("maxmemory_policy", &"noeviction");
            }
            "persistence" => {
                line("loading", &0);
                line("rdb_bgsave_in_progress", &0);
                line("aof_enabled", &0);
            }
            "stats" => {
                line("total_connections_received", &self.stats.connections);
                line("total_commands_processed", &self.stats.commands());
                line("rejected_connections", &self.stats.refused_connections);
                line("pubsub_channels", &self.topics.count(Kind::Channel));
                line("pubsub_patterns", &self.topics.count(Kind::Pattern));
                line("pubsubshard_channels", &self.topics.count(Kind::Shard));
                line("total_error_replies", &self.stats.errors);
            }
            "replication" => {
                line("role", &"master");
                line("connected_slaves", &0);
            }
            "commandstats" => {
                for (verb, calls) in self.stats.by_verb() {
                    line(
                        &format!("cmdstat_{}", verb.name()),
                        &format_args!(
                            "calls={},rejected_calls={},failed_calls={}",
                            calls.calls, calls.rejected, calls.failed
                        ),
                    );
                }
            }
            "errorstats" => {
                for (kind, count) in self.stats.by_error() {
                    line(&format!("errorstat_{kind}"), &format_args!("count={count}"));
                }
            }
            "cluster" => line("cluster_enabled", &0),
            // There are no keys.
            _ => {}
        }
        text
    }
}
