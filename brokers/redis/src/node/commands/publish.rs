//! PUBLISH and SPUBLISH: the way of a message.

use broker_contract::{Cause, CloseReason, ConnId, Effects, IDENTITY_LEN, Time};

use crate::frame::{self, Body, Down, Kind, Proto, Reply, Text};
use crate::node::Redis;
use crate::node::conn::Verdict;

impl Redis {
    /// Exact subscribers first, then patterns in the order in which they came to
    /// be; who matches twice gets both and counts twice. The reply is the number
    /// of receivers, and pushes to the publisher itself follow it.
    #[inline]
    pub(super) fn publish(
        &mut self,
        now: Time,
        conn: u32,
        sharded: bool,
        body: Body,
        out: &mut Effects<Self>,
    ) {
        let kind = if sharded { Kind::Shard } else { Kind::Channel };
        let exact = self.topics.find(kind, body.channel());
        let mut receivers = 0;
        if sharded || !self.topics.has_patterns() {
            if let Some(topic) = exact {
                receivers = self.fan_out(now, conn, topic, Message { sharded, body }, out);
            } else if body.payload().len() >= IDENTITY_LEN {
                out.dropped(Cause::NoSubscriber, None, body.payload());
            }
        } else {
            if let Some(topic) = exact {
                let message = Message { sharded, body: body.clone() };
                receivers = self.fan_out(now, conn, topic, message, out);
            }
            receivers += self.publish_to_patterns(now, conn, &body, out);
            if receivers == 0 && body.payload().len() >= IDENTITY_LEN {
                out.dropped(Cause::NoSubscriber, None, body.payload());
            }
        }
        self.reply(now, conn, Reply::Integer(i64::from(receivers)), out);
        if !self.scratch.own.is_empty() {
            let mut own = std::mem::take(&mut self.scratch.own);
            own.drain(..).for_each(|push| self.send(now, conn, push, out));
            self.scratch.own = own;
        }
        while let Some(slow) = self.scratch.cut.pop() {
            self.close(slow, CloseReason::SlowConsumer, out);
        }
    }

    fn publish_to_patterns(
        &mut self,
        now: Time,
        conn: u32,
        body: &Body,
        out: &mut Effects<Self>,
    ) -> u32 {
        let mut matched = std::mem::take(&mut self.scratch.matched);
        self.topics.matching(body.channel(), &mut matched);
        let mut receivers = 0;
        for (_, topic) in &matched {
            let pattern = self.topics.get(*topic).name.clone();
            let push = PatternMessage { pattern, body: body.clone() };
            receivers += self.fan_out(now, conn, *topic, push, out);
        }
        self.scratch.matched = matched;
        receivers
    }

    /// Sends a push to every member of a topic and returns how many there are.
    ///
    /// Members that go over their limit are closed only once the message is done
    /// with: they count as receivers, and the lists stay as they are meanwhile.
    #[inline]
    fn fan_out(
        &mut self,
        now: Time,
        from: u32,
        topic: u32,
        push: impl Push,
        out: &mut Effects<Self>,
    ) -> u32 {
        let topic = self.topics.get(topic);
        // The length is the same in both versions of the protocol.
        let len = push.len();
        // The last member is never a hole. It gets the push itself and everybody
        // before it a clone: most channels have one subscriber.
        let last = topic.members.len().wrapping_sub(1);
        let mut push = Some(push);
        for (at, member) in topic.members.iter().enumerate() {
            let Some(conn) = member.conn() else { continue };
            let state = self.conns.get_mut(conn);
            let proto = state.proto;
            let this = if at == last { push.take() } else { push.clone() };
            let Some(this) = this else { break };
            if conn == from {
                self.scratch.own.push(this.frame(proto));
                continue;
            }
            match state.pend(len, now, &self.config) {
                Verdict::Fine => {}
                Verdict::SoftBegins => {
                    self.timers.watch_soft(now + self.config.pubsub_soft, state.id, conn);
                }
                Verdict::Cut => self.scratch.cut.push(conn),
            }
            out.send(ConnId(conn), this.frame(proto));
        }
        topic.live
    }
}

/// What a fan-out sends, apart from the protocol version of each receiver.
trait Push: Clone {
    fn len(&self) -> u64;
    fn frame(self, proto: Proto) -> Down;
}

#[derive(Clone)]
struct Message {
    sharded: bool,
    body: Body,
}

impl Push for Message {
    #[inline]
    fn len(&self) -> u64 {
        frame::message_len(self.sharded, &self.body) as u64
    }

    #[inline]
    fn frame(self, proto: Proto) -> Down {
        Down::Message { proto, sharded: self.sharded, body: self.body }
    }
}

#[derive(Clone)]
struct PatternMessage {
    pattern: Text,
    body: Body,
}

impl Push for PatternMessage {
    #[inline]
    fn len(&self) -> u64 {
        frame::pattern_message_len(&self.pattern, &self.body) as u64
    }

    #[inline]
    fn frame(self, proto: Proto) -> Down {
        Down::PatternMessage { proto, pattern: self.pattern, body: self.body }
    }
}
