//! Push: messages go to the deliver subject by themselves, with heartbeats and flow
//! control.

use broker_contract::Time;

use super::{Consumer, Ground, nanos};
use crate::agenda::Cx;
use crate::digits;
use crate::headers;
use crate::subject;

/// The most bytes under way before a client has to say that it took them.
const MOST: u64 = 32 << 20;
/// Flow control begins with this much and doubles with every answer.
pub(super) const FIRST_WINDOW: u64 = MOST / 16;

/// What push needs.
#[derive(Debug, Default)]
pub(super) struct Push {
    /// Whether somebody has subscribed to the deliver subject.
    pub is_active: bool,
    /// When something was last sent.
    pub sent_at: Time,
    /// When to look at the heartbeat.
    pub beat_at: Option<Time>,
    /// Bytes that may be under way.
    pub window: u64,
    /// Bytes sent since flow control was last answered.
    under_way: u64,
    /// The question that was not answered yet: its number, and the bytes it is about.
    question: Option<(u64, u64)>,
    questions: u64,
    /// When the rate limit lets the next message go.
    free_at: Time,
}

impl Consumer {
    /// Whether there is somebody to deliver to now.
    #[inline]
    pub(super) fn has_target(&mut self, cx: &mut Cx<'_>) -> bool {
        let Some(push) = &self.push else {
            while self.waiting.front().is_some_and(|request| request.is_expired(cx.now)) {
                self.end_request(cx, "408 Request Timeout");
            }
            return !self.waiting.is_empty();
        };
        if !push.is_active || (self.config.flow_control && push.under_way > push.window) {
            return false;
        }
        let free_at = push.free_at;
        if free_at > cx.now {
            self.arm_later(cx, free_at);
            return false;
        }
        true
    }

    /// Pushes one message. Returns whether somebody took it.
    pub(super) fn push_message(
        &mut self,
        cx: &mut Cx<'_>,
        subject: &[u8],
        reply: &[u8],
        block: &[u8],
        payload: &[u8],
        size: u64,
    ) -> bool {
        let to = self.config.deliver_subject.as_bytes();
        let Some(push) = &mut self.push else { return false };
        // What needs no acknowledgement still says where it comes from.
        if !cx.host.send(to, subject, reply, block, payload) {
            push.is_active = false;
            self.idle_since = cx.now;
            self.arm_idle(cx);
            return false;
        }
        push.sent_at = cx.now;
        if self.config.rate_limit_bps > 0 {
            let bits = u128::from(size) * 8 * 1_000_000_000;
            let wait = bits / u128::from(self.config.rate_limit_bps.unsigned_abs());
            push.free_at =
                push.free_at.max(cx.now).plus_nanos(u64::try_from(wait).unwrap_or(u64::MAX));
        }
        if self.config.flow_control {
            push.under_way += size;
            if push.question.is_none() && push.under_way > push.window / 2 {
                push.questions += 1;
                push.question = Some((push.questions, push.under_way));
                self.ask(cx);
            }
        }
        true
    }

    /// Where the client answers the present question of flow control.
    fn question_subject(&self, stream: u32) -> Vec<u8> {
        let mut out = b"$JS.FC.".to_vec();
        digits::push(&mut out, u64::from(stream));
        out.push(b'.');
        digits::push(&mut out, u64::from(self.place));
        out.push(b'.');
        let question = self.push.as_ref().and_then(|push| push.question);
        digits::push(&mut out, question.map_or(0, |(number, _)| number));
        out
    }

    fn ask(&self, cx: &mut Cx<'_>) {
        let reply = self.question_subject(cx.stream);
        let block = headers::status("100 FlowControl Request", &[]);
        let to = self.config.deliver_subject.as_bytes();
        cx.host.send(to, to, &reply, &block, &[]);
    }

    /// The client took what the question was about.
    pub fn answered(&mut self, cx: &mut Cx<'_>, ground: &mut Ground<'_>, number: u64) {
        let Some(push) = &mut self.push else { return };
        let Some((asked, bytes)) = push.question.filter(|(asked, _)| *asked == number) else {
            return;
        };
        debug_assert_eq!(asked, number);
        push.question = None;
        push.under_way = push.under_way.saturating_sub(bytes);
        push.window = (push.window * 2).min(MOST);
        self.pump(cx, ground);
    }

    /// Somebody subscribed. Returns whether that makes deliveries possible.
    pub fn gains_interest(&mut self, cx: &mut Cx<'_>, filter: &[u8]) -> bool {
        let Some(push) = &mut self.push else { return false };
        if push.is_active || !subject::matches(filter, self.config.deliver_subject.as_bytes()) {
            return false;
        }
        // A new client knows nothing of the old one's questions.
        *push = Push {
            is_active: true,
            sent_at: cx.now,
            beat_at: push.beat_at,
            window: FIRST_WINDOW,
            questions: push.questions,
            ..Push::default()
        };
        self.arm_heartbeat(cx);
        true
    }

    pub(super) fn arm_heartbeat(&mut self, cx: &mut Cx<'_>) {
        let every = nanos(self.config.idle_heartbeat);
        let Some(push) = &mut self.push else { return };
        if every == 0 || !push.is_active {
            return;
        }
        let at = push.sent_at.plus_nanos(every);
        push.beat_at = Some(at);
        self.arm(cx, at);
    }

    /// Says that it is alive when nothing was sent for a while.
    pub(super) fn beat(&mut self, cx: &mut Cx<'_>) {
        let every = nanos(self.config.idle_heartbeat);
        let Some(push) = &mut self.push else { return };
        if push.beat_at.is_none_or(|at| at > cx.now) {
            return;
        }
        push.beat_at = None;
        if !push.is_active {
            return;
        }
        if push.sent_at.plus_nanos(every) <= cx.now {
            let is_stalled = push.under_way > push.window;
            let fields = [
                ("Nats-Last-Consumer", self.delivered.consumer),
                ("Nats-Last-Stream", self.delivered.stream),
            ];
            let mut block = headers::status("100 Idle Heartbeat", &fields);
            if is_stalled {
                let question = self.question_subject(cx.stream);
                block = headers::extended(&block, &[("Nats-Consumer-Stalled", &question)]);
            }
            let to = self.config.deliver_subject.as_bytes();
            let is_heard = cx.host.send(to, to, &[], &block, &[]);
            let Some(push) = &mut self.push else { return };
            push.sent_at = cx.now;
            if !is_heard {
                push.is_active = false;
                self.idle_since = cx.now;
                self.arm_idle(cx);
            }
        }
        self.arm_heartbeat(cx);
    }
}
