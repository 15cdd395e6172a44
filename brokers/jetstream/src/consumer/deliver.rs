//! The way of one message to a consumer's client.

use broker_contract::{Cause, Note};

use super::{Consumer, Ground, Pending, Position};
use crate::agenda::Cx;
use crate::digits;
use crate::headers;
use crate::journal::Event;
use crate::store::record::Record;
use crate::store::{Matcher, ReadError, Step};

/// Messages delivered in one piece of work; the rest follows.
const BATCH: u32 = 256;
/// Sequences looked at in one piece of work.
const SCAN: u64 = 65_536;

/// What became of one delivery.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Attempt {
    /// It went out.
    Sent,
    /// There was nothing to send after all, or nobody at that inbox.
    Dropped,
    /// It has to wait: for room, for its time.
    Held,
}

impl Consumer {
    /// Delivers as much as can be delivered now.
    #[inline]
    pub fn pump(&mut self, cx: &mut Cx<'_>, ground: &mut Ground<'_>) {
        if self.paused_until > cx.unix {
            return;
        }
        let before = self.delivered;
        let mut scan = SCAN;
        let mut budget = BATCH;
        while self.has_target(cx) {
            if budget == 0 {
                self.make_ready(cx);
                break;
            }
            budget -= 1;
            if let Some(seq) = self.next_again() {
                match self.attempt(cx, ground, seq, false) {
                    Attempt::Held => break,
                    Attempt::Sent => {
                        self.again.pop_front();
                    }
                    // It stays in the queue for the next request.
                    Attempt::Dropped => {}
                }
                continue;
            }
            if self.is_full() {
                self.end_no_wait(cx);
                break;
            }
            match self.next_new(ground, &mut scan) {
                Step::Found(seq) => {
                    if self.attempt(cx, ground, seq, true) == Attempt::Held {
                        break;
                    }
                }
                Step::End => {
                    self.end_no_wait(cx);
                    break;
                }
                Step::More(at) => {
                    self.cursor = at;
                    self.make_ready(cx);
                    break;
                }
            }
        }
        if !self.needs_acks() && before != self.delivered {
            let Position { stream, consumer } = self.delivered;
            let event = Event::Passed { id: self.id, stream_seq: stream, consumer_seq: consumer };
            ground.write(cx, &event);
        }
    }

    fn make_ready(&mut self, cx: &mut Cx<'_>) {
        if !self.is_ready {
            self.is_ready = true;
            cx.agenda.push_ready(cx.stream, self.place);
        }
    }

    /// Whether as many messages wait for acknowledgements as may.
    fn is_full(&self) -> bool {
        self.needs_acks()
            && self.config.max_ack_pending > 0
            && self.pending.len() as u64 >= self.config.max_ack_pending.unsigned_abs()
    }

    /// The next message to deliver again, which stays in the queue.
    fn next_again(&mut self) -> Option<u64> {
        while let Some(seq) = self.again.front() {
            if self.pending.get(seq).is_some_and(|pending| pending.is_queued) {
                return Some(*seq);
            }
            self.again.pop_front();
        }
        None
    }

    /// The next message that was never delivered.
    #[inline]
    fn next_new(&mut self, ground: &Ground<'_>, scan: &mut u64) -> Step {
        let store = &*ground.store;
        while let Some(seq) = self.lasts.front() {
            if store.has(*seq) {
                return Step::Found(*seq);
            }
            self.lasts.pop_front();
        }
        if self.ahead == 0 {
            return Step::End;
        }
        let budget = *scan;
        let step = match &self.matcher {
            Matcher::All => store.search(self.cursor, budget, |_| true),
            Matcher::Literal(text) => {
                let Some(id) = store.find_subject(text) else { return Step::End };
                let subject = store.subject(id);
                if subject.last < self.cursor {
                    return Step::End;
                }
                if subject.first >= self.cursor && store.has(subject.first) {
                    return Step::Found(subject.first);
                }
                // The last delivery was on this subject, so the chain goes on there.
                let previous = self.delivered.stream;
                if store.subject_of(previous) == Some(id)
                    && let Some(next) = store.next_of_subject(id, previous)
                    && next >= self.cursor
                {
                    return Step::Found(next);
                }
                store.search(self.cursor, budget, |other| other == id)
            }
            matcher @ Matcher::Filters(_) => {
                let known = &mut self.known;
                if self.known_at != store.numbers_given_anew() {
                    // Some numbers mean other subjects by now.
                    self.known_at = store.numbers_given_anew();
                    known.clear();
                }
                store.search(self.cursor, budget, |id| {
                    let at = id as usize;
                    if at >= known.len() {
                        known.resize(at + 1, 0);
                    }
                    if known[at] == 0 {
                        known[at] = 1 + u8::from(matcher.takes(&store.subject(id).text));
                    }
                    known[at] == 2
                })
            }
        };
        let reached = match step {
            Step::Found(at) | Step::More(at) => at,
            Step::End => store.state().last + 1,
        };
        *scan = budget.saturating_sub(reached.saturating_sub(self.cursor));
        if step == Step::End {
            // Nothing in between is looked at again.
            self.cursor = self.cursor.max(reached);
        }
        step
    }

    /// Delivers one message to whoever is next.
    fn attempt(
        &mut self,
        cx: &mut Cx<'_>,
        ground: &mut Ground<'_>,
        seq: u64,
        is_new: bool,
    ) -> Attempt {
        if is_new && seq > ground.safe {
            return Attempt::Held;
        }
        let stream = ground.stream;
        let record = match ground.store.get(cx.host.disk(), seq) {
            Ok(Some(record)) => record,
            Ok(None) => {
                self.pass_over(cx, ground, seq, is_new);
                return Attempt::Dropped;
            }
            Err(error) => {
                self.cannot_read(cx, ground, seq, is_new, &error);
                return Attempt::Dropped;
            }
        };
        if is_new && self.is_original_replay() && seq <= self.until {
            if let Some((time, at)) = self.replayed {
                let due = at.plus_nanos(record.time.saturating_sub(time));
                if due > cx.now {
                    self.arm_later(cx, due);
                    return Attempt::Held;
                }
            }
            self.replayed = Some((record.time, cx.now));
        }
        let count = self.pending.get(&seq).map_or(0, |pending| pending.count) + 1;
        let position = Position { stream: seq, consumer: self.delivered.consumer + 1 };
        let ahead = self.ahead - u64::from(is_new);
        let mut reply = std::mem::take(&mut self.scratch);
        write_reply(&mut reply, (stream, &self.name), count, position, record.time, ahead);
        let attempt = self.send(cx, &record, &reply);
        self.scratch = reply;
        if attempt == Attempt::Sent {
            self.sent(cx, ground, seq, position.consumer, count, is_new);
        }
        attempt
    }

    /// Sends a message to the deliver subject or to the first request.
    #[inline]
    fn send(&mut self, cx: &mut Cx<'_>, record: &Record<'_>, reply: &[u8]) -> Attempt {
        let (mut block, mut payload) = (record.headers, record.payload);
        let extended;
        if self.config.headers_only {
            let mut size = Vec::new();
            digits::push(&mut size, payload.len() as u64);
            extended = headers::extended(block, &[("Nats-Msg-Size", &size)]);
            (block, payload) = (&extended, &[]);
        }
        let size = (record.subject.len() + reply.len() + block.len() + payload.len()) as u64;
        if self.push.is_some() {
            return if self.push_message(cx, record.subject, reply, block, payload, size) {
                Attempt::Sent
            } else {
                Attempt::Held
            };
        }
        let Some(request) = self.waiting.front() else { return Attempt::Held };
        if request.bytes_left.is_some_and(|left| left < size) {
            self.end_request(cx, "409 Message Size Exceeds MaxBytes");
            return Attempt::Dropped;
        }
        if !cx.host.send(&request.inbox, record.subject, reply, block, payload) {
            // The inbox went with its client.
            self.waiting.pop_front();
            return Attempt::Dropped;
        }
        self.count_delivery(cx, size);
        Attempt::Sent
    }

    /// Notes down that a message went out.
    #[inline]
    fn sent(
        &mut self,
        cx: &mut Cx<'_>,
        ground: &mut Ground<'_>,
        seq: u64,
        consumer_seq: u64,
        count: u32,
        is_new: bool,
    ) {
        self.delivered.consumer = consumer_seq;
        self.last_delivery = Some(cx.unix);
        self.idle_since = cx.now;
        if is_new {
            self.advance(seq);
        } else {
            cx.host.note(Note::Sometimes("redelivered"));
        }
        if !self.needs_acks() {
            if !ground.keeps_settled {
                ground.settled.push(seq);
            }
            return;
        }
        let due = cx.now.plus_nanos(self.ack_wait(count));
        let first = Pending { consumer_seq, due, count, is_queued: false };
        let pending = self.pending.entry(seq).or_insert(first);
        (pending.due, pending.count, pending.is_queued) = (due, count, false);
        self.arm_ack(cx, due);
        let event = Event::Delivered { id: self.id, stream_seq: seq, consumer_seq, count };
        ground.write(cx, &event);
    }

    /// A message that was ahead is behind now.
    fn advance(&mut self, seq: u64) {
        if self.lasts.front() == Some(&seq) {
            self.lasts.pop_front();
        } else {
            self.cursor = seq + 1;
        }
        self.delivered.stream = self.delivered.stream.max(seq);
        self.ahead = self.ahead.saturating_sub(1);
    }

    fn pass_over(&mut self, cx: &mut Cx<'_>, ground: &mut Ground<'_>, seq: u64, is_new: bool) {
        if is_new {
            self.advance(seq);
        } else if self.pending.remove(&seq).is_some() {
            ground.write(cx, &Event::Settled { id: self.id, stream_seq: seq });
        }
    }

    #[cold]
    fn cannot_read(
        &mut self,
        cx: &mut Cx<'_>,
        ground: &mut Ground<'_>,
        seq: u64,
        is_new: bool,
        error: &ReadError,
    ) {
        #[derive(serde::Serialize)]
        struct Body<'a> {
            stream: &'a str,
            consumer: &'a str,
            stream_seq: u64,
            reason: String,
        }
        cx.host.note(Note::Sometimes("damaged message passed over"));
        let (stream, consumer) = (ground.stream, &*self.name);
        let body = Body { stream, consumer, stream_seq: seq, reason: error.to_string() };
        cx.advise(format!("$JS.EVENT.ADVISORY.STREAM.DAMAGED.{stream}"), "damaged_message", &body);
        self.pass_over(cx, ground, seq, is_new);
    }

    /// The wait for an acknowledgement after the `count`-th delivery, in
    /// nanoseconds.
    pub(super) fn ack_wait(&self, count: u32) -> u64 {
        let step = (count as usize).saturating_sub(1);
        let wait = self.config.backoff.get(step).or(self.config.backoff.last());
        super::nanos(*wait.unwrap_or(&self.config.ack_wait))
    }

    /// Whether a message has had all the deliveries it may have.
    pub(super) fn is_exhausted(&self, count: u32) -> bool {
        self.config.max_deliver > 0 && u64::from(count) >= self.config.max_deliver.unsigned_abs()
    }

    /// Gives a message up: it was delivered as often as is allowed.
    pub(super) fn give_up(&mut self, cx: &mut Cx<'_>, ground: &mut Ground<'_>, seq: u64) {
        #[derive(serde::Serialize)]
        struct Body<'a> {
            stream: &'a str,
            consumer: &'a str,
            stream_seq: u64,
            deliveries: u32,
        }
        let Some(pending) = self.pending.remove(&seq) else { return };
        if !ground.keeps_settled {
            self.given_up.insert(seq);
        }
        if let Ok(Some(record)) = ground.store.get(cx.host.disk(), seq)
            && let Some(message) = broker_contract::Identity::read(record.payload)
        {
            let message = Some(Box::new(message));
            cx.host.note(Note::Dropped { cause: Cause::MaxDeliver, conn: self.conn, message });
        }
        ground.write(cx, &Event::GaveUp { id: self.id, stream_seq: seq });
        let (stream, consumer) = (ground.stream, &*self.name);
        let subject = format!("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{stream}.{consumer}");
        let body = Body { stream, consumer, stream_seq: seq, deliveries: pending.count };
        cx.advise(subject, "max_deliver", &body);
    }
}

/// `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>`
#[inline]
fn write_reply(
    out: &mut Vec<u8>,
    (stream, consumer): (&str, &str),
    count: u32,
    position: Position,
    time: u64,
    ahead: u64,
) {
    out.clear();
    out.extend_from_slice(b"$JS.ACK.");
    out.extend_from_slice(stream.as_bytes());
    out.push(b'.');
    out.extend_from_slice(consumer.as_bytes());
    for number in [u64::from(count), position.stream, position.consumer, time, ahead] {
        out.push(b'.');
        digits::push(out, number);
    }
}
