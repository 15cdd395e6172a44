//! PUBSUB: what is subscribed to.

use broker_contract::{Effects, Time};

use crate::frame::{Kind, Reply, Text, Verb};
use crate::glob;
use crate::node::Redis;

impl Redis {
    pub(super) fn pubsub(
        &mut self,
        now: Time,
        conn: u32,
        verb: Verb,
        args: &[Text],
        out: &mut Effects<Self>,
    ) {
        let reply = match (verb, args) {
            (Verb::PubSubNumPat, _) => Reply::Integer(self.topics.count(Kind::Pattern) as i64),
            (Verb::PubSubNumSub, names) => self.subscriber_counts(Kind::Channel, names),
            (Verb::PubSubShardNumSub, names) => self.subscriber_counts(Kind::Shard, names),
            (Verb::PubSubChannels, [] | [_]) => self.active(Kind::Channel, args.first()),
            (Verb::PubSubShardChannels, [] | [_]) => self.active(Kind::Shard, args.first()),
            _ => return self.wrong_options(now, conn, verb, out),
        };
        self.reply(now, conn, reply, out);
    }

    fn active(&self, kind: Kind, pattern: Option<&Text>) -> Reply {
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
