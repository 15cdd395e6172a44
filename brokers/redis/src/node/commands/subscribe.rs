//! SUBSCRIBE, PSUBSCRIBE, SSUBSCRIBE and their opposites.

use broker_contract::{Effects, Time};

use crate::frame::{Change, Down, Kind, Text, Up};
use crate::node::Redis;

impl Redis {
    /// Each topic is confirmed, whether it is new or not.
    pub(super) fn subscribe(
        &mut self,
        now: Time,
        conn: u32,
        kind: Kind,
        topics: &[Text],
        out: &mut Effects<Self>,
    ) {
        if topics.is_empty() {
            // No words are ever read as this.
            if let Some(verb) = (Up::Subscribe { kind, topics: [].into() }).verb() {
                self.wrong_arity(now, conn, verb, out);
            }
            return;
        }
        if kind == Kind::Shard && self.executing.is_some() {
            // The other two kinds may; the original's own exception has one.
            let text = "ERR SSUBSCRIBE isn't allowed for a DENY BLOCKING client";
            self.error(now, conn, text, out);
            return;
        }
        for topic in topics {
            let class = self.conns.get(conn).class();
            self.topics.add(&mut self.conns, conn, kind, topic);
            self.changed_class(conn, class);
            self.confirm(now, conn, Change::Subscribe, kind, Some(topic.clone()), out);
            // Confirmations are output too, and may be what is too much.
            if !self.conns.is_open(conn) {
                return;
            }
        }
    }

    /// Without topics, all of that kind are ended, oldest first (the original
    /// takes them in the order of its hash table); with none to end, one
    /// confirmation says so with a null.
    pub(super) fn unsubscribe(
        &mut self,
        now: Time,
        conn: u32,
        kind: Kind,
        topics: &[Text],
        out: &mut Effects<Self>,
    ) {
        let all;
        let topics = if topics.is_empty() {
            all = self.topics.names_of(&self.conns, conn, kind);
            if all.is_empty() {
                self.confirm(now, conn, Change::Unsubscribe, kind, None, out);
                return;
            }
            &all[..]
        } else {
            topics
        };
        for topic in topics {
            let class = self.conns.get(conn).class();
            self.topics.remove(&mut self.conns, conn, kind, topic);
            self.changed_class(conn, class);
            self.confirm(now, conn, Change::Unsubscribe, kind, Some(topic.clone()), out);
            if !self.conns.is_open(conn) {
                return;
            }
        }
    }

    /// Other limits apply to subscribers: the time over the soft one starts anew.
    fn changed_class(&mut self, conn: u32, before: crate::node::conn::Class) {
        let state = self.conns.get_mut(conn);
        if state.class() != before {
            state.soft_since = Time::MAX;
        }
    }

    /// Confirmations are pushes: CLIENT REPLY OFF does not hold them back.
    fn confirm(
        &mut self,
        now: Time,
        conn: u32,
        change: Change,
        kind: Kind,
        topic: Option<Text>,
        out: &mut Effects<Self>,
    ) {
        let proto = self.conns.get(conn).proto;
        let count = self.count(conn, kind);
        self.send(now, conn, Down::Confirmed { proto, change, kind, topic, count }, out);
    }
}
