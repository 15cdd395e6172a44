//! PUBLISH and SPUBLISH: the way of a message.

use broker_contract::{Cause, CloseReason, ConnId, Effects, IDENTITY_LEN, Time};

use crate::frame::{self, Body, Down, Kind, Proto, Reply, Text};
use crate::node::conn::{Conns, Verdict, gate};
use crate::node::timers::Timers;
use crate::node::{Redis, RedisConfig, Scratch};

impl Redis {
    /// Exact subscribers first, then patterns in the order in which they came to
    /// be; who matches twice gets both and counts twice. The reply is the number
    /// of receivers, and pushes to the publisher itself follow it.
    #[inline]
    pub(in crate::node) fn publish(
        &mut self,
        now: Time,
        conn: u32,
        sharded: bool,
        body: Body,
        out: &mut Effects<Self>,
    ) {
        let kind = if sharded { Kind::Shard } else { Kind::Channel };
        let exact = self.topics.find(kind, body.channel());
        let receivers = if sharded || !self.topics.has_patterns() {
            self.publish_exact(now, conn, sharded, exact, body, out)
        } else {
            self.publish_both(now, conn, exact, body, out)
        };
        // The publisher is still open: whoever is cut is closed behind the reply.
        let reply = Reply::Integer(i64::from(receivers));
        let state = self.conns.get_mut(conn);
        if !state.is(gate::SILENT) {
            let verdict = state.pend(reply.wire_len() as u64, now, &self.config);
            out.send_with(ConnId(conn), || Down::Reply(Reply::Integer(i64::from(receivers))));
            if verdict != Verdict::Fine {
                self.over(now, conn, verdict, out);
            }
        }
        let left_over = !self.scratch.own.is_empty() || !self.scratch.cut.is_empty();
        // In a transaction they follow its whole answer.
        if left_over && self.executing.is_none() {
            self.conclude(now, conn, out);
        }
    }

    /// To those who are subscribed to the channel, if anybody is.
    #[inline]
    fn publish_exact(
        &mut self,
        now: Time,
        conn: u32,
        sharded: bool,
        exact: Option<u32>,
        body: Body,
        out: &mut Effects<Self>,
    ) -> u32 {
        if let Some(topic) = exact {
            return self.fan_out(now, conn, topic, Message { sharded, body }, out);
        }
        if body.payload().len() >= IDENTITY_LEN {
            out.dropped(Cause::NoSubscriber, None, body.payload());
        }
        0
    }

    /// To those and to every pattern that matches.
    fn publish_both(
        &mut self,
        now: Time,
        conn: u32,
        exact: Option<u32>,
        body: Body,
        out: &mut Effects<Self>,
    ) -> u32 {
        let mut matched = std::mem::take(&mut self.scratch.matched);
        self.topics.matching(body.channel(), &mut matched);
        // The last pattern gets the body itself and everybody before it a clone.
        let receivers = match matched.split_last() {
            None => self.publish_exact(now, conn, false, exact, body, out),
            Some((last, before)) => {
                let mut receivers = 0;
                if let Some(topic) = exact {
                    let message = Message { sharded: false, body: body.clone() };
                    receivers += self.fan_out(now, conn, topic, message, out);
                }
                for (_, topic) in before {
                    receivers += self.publish_to_pattern(now, conn, *topic, body.clone(), out);
                }
                receivers + self.publish_to_pattern(now, conn, last.1, body, out)
            }
        };
        self.scratch.matched = matched;
        receivers
    }

    #[inline]
    fn publish_to_pattern(
        &mut self,
        now: Time,
        conn: u32,
        topic: u32,
        body: Body,
        out: &mut Effects<Self>,
    ) -> u32 {
        let pattern = self.topics.get(topic).name.text();
        self.fan_out(now, conn, topic, PatternMessage { pattern, body }, out)
    }

    /// Own pushes behind the reply, and an end for those who were cut.
    #[inline(never)]
    pub(super) fn conclude(&mut self, now: Time, conn: u32, out: &mut Effects<Self>) {
        let mut own = std::mem::take(&mut self.scratch.own);
        own.drain(..).for_each(|push| self.send(now, conn, push, out));
        self.scratch.own = own;
        while let Some(slow) = self.scratch.cut.pop() {
            self.close(slow, CloseReason::SlowConsumer, out);
        }
    }

    /// Sends a push to every member of a topic and returns how many there are.
    ///
    /// Members that go over their limit are closed only once the message is done
    /// with: they count as receivers, and the lists stay as they are meanwhile.
    #[inline]
    fn fan_out<P: Push>(
        &mut self,
        now: Time,
        from: u32,
        topic: u32,
        push: P,
        out: &mut Effects<Self>,
    ) -> u32 {
        let topic = self.topics.get(topic);
        // The length is the same in both versions of the protocol.
        let len = push.len();
        let mut delivery = Delivery {
            now,
            from,
            len,
            alert: self.config.alert(),
            config: &self.config,
            conns: &mut self.conns,
            timers: &mut self.timers,
            scratch: &mut self.scratch,
            out,
        };
        // The last member is never a hole. It gets the push itself and everybody
        // before it a clone: most channels have one subscriber.
        let Some((last, before)) = topic.members.as_slice().split_last() else { return 0 };
        for conn in before.iter().filter_map(|member| member.conn()) {
            delivery.to(conn, || push.clone());
        }
        delivery.to(last.conn, || push);
        topic.live
    }
}

/// The parts of the node that a delivery changes, while it reads the topics.
struct Delivery<'a> {
    now: Time,
    from: u32,
    len: u64,
    alert: u64,
    config: &'a RedisConfig,
    conns: &'a mut Conns,
    timers: &'a mut Timers,
    scratch: &'a mut Scratch,
    out: &'a mut Effects<Redis>,
}

impl Delivery<'_> {
    // Inlined, so that the push becomes a frame in its place among the effects.
    #[inline(always)]
    fn to<P: Push>(&mut self, conn: u32, push: impl FnOnce() -> P) {
        let state = self.conns.get_mut(conn);
        let proto = state.proto;
        if conn == self.from {
            self.scratch.own.push(push().frame(proto));
            return;
        }
        match state.pend_until(self.alert, self.len, self.now, self.config) {
            Verdict::Fine => {}
            Verdict::SoftBegins => {
                let due = self.now + self.config.limit(state.class()).soft;
                self.timers.watch_soft(due, state.id, conn);
            }
            Verdict::Cut => self.scratch.cut.push(conn),
        }
        self.out.send_with(ConnId(conn), || push().frame(proto));
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

    #[inline(always)]
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

    #[inline(always)]
    fn frame(self, proto: Proto) -> Down {
        Down::PatternMessage { proto, pattern: self.pattern, body: self.body }
    }
}
