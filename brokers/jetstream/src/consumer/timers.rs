//! What the clock does to a consumer. It has one timer, at or before the first of
//! the moments that it waits for.

use broker_contract::{Note, Time};

use super::{Consumer, Ground, nanos};
use crate::agenda::Cx;

/// Looks at the messages that wait for acknowledgements are this far apart at least.
const ACK_STEP: u64 = 1_000_000;

impl Consumer {
    pub(super) fn arm(&mut self, cx: &mut Cx<'_>, at: Time) {
        if self.timer.is_none_or(|set| at < set) {
            if let Some(set) = self.timer.replace(at) {
                cx.agenda.cancel(set, cx.stream, self.place);
            }
            cx.agenda.set(at, cx.stream, self.place);
        }
    }

    pub(super) fn arm_ack(&mut self, cx: &mut Cx<'_>, at: Time) {
        if self.ack_at.is_none_or(|set| at < set) {
            self.ack_at = Some(at);
            self.arm(cx, at);
        }
    }

    pub(super) fn arm_pull(&mut self, cx: &mut Cx<'_>, at: Time) {
        if self.pull_at.is_none_or(|set| at < set) {
            self.pull_at = Some(at);
            self.arm(cx, at);
        }
    }

    /// A moment at which deliveries go on.
    pub(super) fn arm_later(&mut self, cx: &mut Cx<'_>, at: Time) {
        if self.later_at.is_none_or(|set| at < set) {
            self.later_at = Some(at);
            self.arm(cx, at);
        }
    }

    /// When to look at whether anybody is still interested.
    pub(super) fn arm_idle(&mut self, cx: &mut Cx<'_>) {
        let threshold = nanos(self.config.inactive_threshold);
        if threshold == 0 {
            self.idle_at = None;
            return;
        }
        // Push goes idle when its subscriber leaves, which nobody tells; so it is
        // looked at more often than the threshold, and counted from then on.
        let is_pushing = self.push.as_ref().is_some_and(|push| push.is_active);
        let at = if is_pushing {
            cx.now.plus_nanos((threshold / 4).max(1))
        } else {
            self.idle_since.plus_nanos(threshold)
        };
        self.idle_at = Some(at);
        self.arm(cx, at);
    }

    /// The timer came. Returns whether the consumer is to be deleted.
    pub fn tick(&mut self, cx: &mut Cx<'_>, ground: &mut Ground<'_>) -> bool {
        self.timer = None;
        if self.idle_at.is_some_and(|at| at <= cx.now) && self.is_over(cx) {
            return true;
        }
        if self.ack_at.is_some_and(|at| at <= cx.now) {
            self.queue_overdue(cx, ground);
        }
        if self.pull_at.is_some_and(|at| at <= cx.now) {
            self.pull_at = None;
            self.end_expired(cx);
            self.pull_at = self.beat_requests(cx);
        }
        if self.later_at.is_some_and(|at| at <= cx.now) {
            self.later_at = None;
            if self.paused_until > cx.unix {
                self.later_at = Some(cx.now.plus_nanos(self.paused_until - cx.unix));
            } else if self.paused_until > 0 {
                self.paused_until = 0;
                self.config.pause_until = None;
            }
        }
        self.pump(cx, ground);
        self.beat(cx);
        let beat = self.push.as_ref().and_then(|push| push.beat_at);
        let moments = [self.ack_at, self.pull_at, self.idle_at, self.later_at, beat];
        if let Some(at) = moments.into_iter().flatten().min() {
            self.arm(cx, at);
        }
        false
    }

    /// Whether nobody was interested for as long as is allowed.
    fn is_over(&mut self, cx: &mut Cx<'_>) -> bool {
        let threshold = nanos(self.config.inactive_threshold);
        let is_wanted = if self.push.is_some() {
            let to = self.config.deliver_subject.as_bytes();
            let is_active = cx.host.has_interest(to);
            if let Some(push) = &mut self.push {
                if push.is_active && !is_active {
                    self.idle_since = cx.now;
                }
                push.is_active = is_active;
            }
            is_active
        } else {
            self.has_requests(cx)
        };
        if is_wanted {
            self.idle_since = cx.now;
        }
        if !is_wanted && self.idle_since.plus_nanos(threshold) <= cx.now {
            return true;
        }
        self.arm_idle(cx);
        false
    }

    /// Queues what was not acknowledged in time, or gives it up.
    fn queue_overdue(&mut self, cx: &mut Cx<'_>, ground: &mut Ground<'_>) {
        let mut next: Option<Time> = None;
        let mut exhausted = Vec::new();
        for (seq, pending) in &mut self.pending {
            if pending.is_queued {
                continue;
            }
            if pending.due > cx.now {
                next = Some(next.map_or(pending.due, |at| at.min(pending.due)));
            } else if self.config.max_deliver > 0
                && u64::from(pending.count) >= self.config.max_deliver.unsigned_abs()
            {
                exhausted.push(*seq);
            } else {
                pending.is_queued = true;
                self.again.push_back(*seq);
            }
        }
        for seq in exhausted {
            cx.host.note(Note::Sometimes("max deliver reached"));
            self.give_up(cx, ground, seq);
        }
        self.ack_at = next.map(|at| at.max(cx.now.plus_nanos(ACK_STEP)));
    }

    /// It is deleted: its timer and its requests end.
    pub fn end(&mut self, cx: &mut Cx<'_>) {
        if let Some(at) = self.timer.take() {
            cx.agenda.cancel(at, cx.stream, self.place);
        }
        self.end_all_requests(cx);
        if let Some(push) = &self.push
            && push.is_active
            && self.config.idle_heartbeat > 0
        {
            let block = crate::headers::status("409 Consumer Deleted", &[]);
            let to = self.config.deliver_subject.as_bytes();
            cx.host.send(to, to, &[], &block, &[]);
        }
    }
}
