//! How a consumer that was there before carries on.
//!
//! A consumer that nobody else knows is made anew behind the last message that its
//! client has. Where the connection was lost in between, the server may have been
//! without power, and its stream may have lost its end and given the same numbers to
//! other messages since. The original's client does not see that when the stream has
//! grown past its position again, and passes over what was stored up to there; this
//! one compares the time of the message at its position with that of the message
//! that it had. Where they differ it carries on by time: whatever it has had was
//! stored no later than the last of it, and all else after the power was back.

use broker_contract::{Actions, Client, Note, Time};

use super::JetStreamClient;
use super::api::{self, Answer, ApiError, GetRequest, unix_nanos};
use super::calls::Purpose;
use super::state::{Stage, Timer};
use crate::Nats;
use crate::client::State;

impl JetStreamClient {
    /// Makes a consumer. One that was there before carries on where it was, and
    /// needs to know first how far its stream is: a stream that lost its end in a
    /// power loss counts on from an earlier number, and may have passed the position
    /// a second time since.
    pub(super) fn make(
        &mut self,
        now: Time,
        sid: u64,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        let Some(consumer) = self.js.consumers.get_mut(&sid) else { return };
        if consumer.stage != Stage::Absent || self.core.state() != State::Ready {
            return;
        }
        consumer.stage = Stage::Asked;
        if consumer.position.is_some() {
            let subject = format!("$JS.API.STREAM.INFO.{}", consumer.stream);
            self.call(now, Purpose::Info(sid), &subject, b"", out);
        } else {
            self.create(now, sid, out);
        }
    }

    /// Makes a consumer anew, under another name unless it is durable.
    pub(super) fn remake(
        &mut self,
        now: Time,
        sid: u64,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        self.js.drop_calls(|purpose| match purpose {
            Purpose::Info(of) | Purpose::Compare(of) | Purpose::Create(of) => *of == sid,
            _ => false,
        });
        let Some(consumer) = self.js.consumers.get_mut(&sid) else { return };
        let is_durable = self.js.subs.get(&consumer.sub).is_some_and(|sub| sub.durable.is_some());
        consumer.stage = Stage::Absent;
        consumer.consumer_seq = 0;
        if !is_durable && consumer.made {
            let subject = format!("$JS.API.CONSUMER.DELETE.{}.{}", consumer.stream, consumer.name);
            consumer.generation += 1;
            let generation = consumer.generation;
            let name = self.own_name(sid, generation);
            if let Some(consumer) = self.js.consumers.get_mut(&sid) {
                consumer.name = name;
                consumer.made = false;
            }
            self.core.unlisten(sid, out);
            self.core.forget(sid);
            self.listen(sid, out);
            if self.core.state() == State::Ready {
                self.call(now, Purpose::Delete, &subject, b"", out);
            }
        }
        self.make(now, sid, out);
    }

    /// The server said how far a stream is.
    pub(super) fn informed(
        &mut self,
        now: Time,
        sid: u64,
        answer: Answer,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        let Some(consumer) = self.js.consumers.get_mut(&sid) else { return };
        if answer.error.is_some() {
            // The stream may be made again.
            consumer.stage = Stage::Absent;
            self.retry(now, sid);
            return;
        }
        let Some(position) = consumer.position else { return self.create(now, sid, out) };
        if position > answer.state.last_seq {
            if consumer.stamp.is_none() {
                consumer.position = Some(answer.state.last_seq);
            }
            return self.displaced(now, sid, out);
        }
        // What is not there any more cannot be compared, and where nothing at or
        // before the position is left, nothing there was given anew either.
        if consumer.doubtful && consumer.stamp.is_some() && position >= answer.state.first_seq {
            let subject = format!("$JS.API.STREAM.MSG.GET.{}", consumer.stream);
            let body = api::body(&GetRequest { seq: position });
            return self.call(now, Purpose::Compare(sid), &subject, &body, out);
        }
        self.create(now, sid, out);
    }

    /// The server said which message is at a consumer's position.
    pub(super) fn compared(
        &mut self,
        now: Time,
        sid: u64,
        answer: Answer,
        out: &mut Actions<impl Client<Broker = Nats>>,
    ) {
        let Some(consumer) = self.js.consumers.get_mut(&sid) else { return };
        if answer.error.as_ref().is_some_and(ApiError::is_passing) {
            consumer.stage = Stage::Absent;
            return self.retry(now, sid);
        }
        let time = answer.message.and_then(|message| unix_nanos(&message.time));
        match (time, consumer.stamp) {
            (Some(time), Some(stamp)) if time <= stamp => {
                consumer.doubtful = false;
                self.create(now, sid, out);
            }
            (Some(_), _) => self.displaced(now, sid, out),
            // It was removed, or somebody else's that came to its number was: time
            // decides either way.
            (None, stamp) => {
                consumer.since = stamp;
                self.create(now, sid, out);
            }
        }
    }

    /// The number at which a consumer was is another message's by now, or will be.
    /// Numbers say nothing of what it has had then, but time does: whatever was
    /// stored after the last message that came has not come.
    fn displaced(&mut self, now: Time, sid: u64, out: &mut Actions<impl Client<Broker = Nats>>) {
        let Some(consumer) = self.js.consumers.get_mut(&sid) else { return };
        out.note(Note::Sometimes("a stream had lost its end"));
        consumer.since = consumer.stamp;
        self.create(now, sid, out);
    }

    pub(super) fn retry(&mut self, now: Time, sid: u64) {
        self.js.timers.insert((now + self.config.retry_wait, Timer::Retry(sid)));
    }
}
