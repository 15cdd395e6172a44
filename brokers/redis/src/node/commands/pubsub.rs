//! PUBSUB: what is subscribed to.

use broker_contract::{Effects, Time};

use crate::frame::{Kind, PubSub, Reply, Text};
use crate::glob;
use crate::node::Redis;

const HELP: &[&str] = &[
    "PUBSUB <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "CHANNELS [<pattern>]",
    "    Return the currently active channels matching a <pattern> (default: '*').",
    "NUMPAT",
    "    Return number of subscriptions to patterns.",
    "NUMSUB [<channel> ...]",
    "    Return the number of subscribers for the specified channels, excluding",
    "    pattern subscriptions(default: no channels).",
    "SHARDCHANNELS [<pattern>]",
    "    Return the currently active shard level channels matching a <pattern> (default: '*').",
    "SHARDNUMSUB [<shardchannel> ...]",
    "    Return the number of subscribers for the specified shard level channel(s)",
    "HELP",
    "    Prints this help.",
];

impl Redis {
    pub(super) fn pubsub(&mut self, now: Time, conn: u32, query: &PubSub, out: &mut Effects<Self>) {
        let reply = match query {
            PubSub::Channels(pattern) => self.active(Kind::Channel, pattern.as_deref()),
            PubSub::ShardChannels(pattern) => self.active(Kind::Shard, pattern.as_deref()),
            PubSub::NumSub(names) => self.subscriber_counts(Kind::Channel, names),
            PubSub::ShardNumSub(names) => self.subscriber_counts(Kind::Shard, names),
            PubSub::NumPat => Reply::Integer(self.topics.count(Kind::Pattern) as i64),
            PubSub::Help => Reply::Array(HELP.iter().map(|text| Reply::Simple(text)).collect()),
        };
        self.reply(now, conn, reply, out);
    }

    fn active(&self, kind: Kind, pattern: Option<&[u8]>) -> Reply {
        let topics = self.topics.of_kind(kind);
        let wanted = topics.filter(|topic| {
            pattern.is_none_or(|pattern| glob::matches(pattern, topic.name.bytes()))
        });
        Reply::Array(wanted.map(|topic| Reply::Bulk(topic.name.text())).collect())
    }

    fn subscriber_counts(&self, kind: Kind, names: &[Text]) -> Reply {
        let pairs = names.iter().flat_map(|name| {
            let count = self.topics.subscribers(kind, name);
            [Reply::Bulk(name.clone()), Reply::Integer(i64::from(count))]
        });
        Reply::Array(pairs.collect())
    }
}
