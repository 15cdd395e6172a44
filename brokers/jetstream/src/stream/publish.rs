//! The way of a published message into the store.

use broker_contract::{Note, Time};

use super::Stream;
use super::commit::{self, Held};
use super::config::{Discard, Retention, StreamConfig};
use crate::agenda::Cx;
use crate::error::ApiError;
use crate::headers;
use crate::host::Published;

/// The longest subject that a record can carry; the control line ends far below.
const MAX_SUBJECT: usize = u16::MAX as usize;

/// What a publish came to.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
struct Stored {
    seq: u64,
    is_duplicate: bool,
}

/// What the headers of a message ask for.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
struct Wishes<'a> {
    id: Option<&'a [u8]>,
    rollup: Option<Rollup>,
}

/// Which older messages a message replaces.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Rollup {
    Subject,
    All,
}

impl Stream {
    /// Takes a message in and answers its publisher.
    pub fn publish(&mut self, cx: &mut Cx<'_>, message: &Published<'_>) {
        let stored = self.store_message(cx, message);
        if message.reply.is_empty() || self.config.no_ack {
            if self.commits_first(cx) {
                self.begin_commit(cx);
            }
            return self.see_to_syncs(cx);
        }
        match stored {
            Ok(Stored { seq, is_duplicate }) => {
                let mut body = Vec::with_capacity(64);
                write_ack(&mut body, &self.config.name, seq, is_duplicate);
                if self.commits_first(cx) {
                    let refusal = refusal(&self.config.name, &commit::sync_failed());
                    let held = Held { reply: message.reply.into(), body, refusal };
                    self.answer_when_durable(cx, held);
                } else {
                    cx.host.send(message.reply, message.reply, &[], &[], &body);
                }
            }
            Err(error) => {
                let body = refusal(&self.config.name, &error);
                cx.host.send(message.reply, message.reply, &[], &[], &body);
            }
        }
        self.see_to_syncs(cx);
    }

    fn store_message(
        &mut self,
        cx: &mut Cx<'_>,
        message: &Published<'_>,
    ) -> Result<Stored, ApiError> {
        let Published { subject, headers, payload, .. } = *message;
        if self.config.sealed {
            return Err(ApiError::new(400, 10109, "invalid operation on sealed stream"));
        }
        let size = headers.len() + payload.len();
        if StreamConfig::limit(self.config.max_msg_size).is_some_and(|most| size as u64 > most) {
            return Err(ApiError::new(400, 10054, "message size exceeds maximum allowed"));
        }
        if subject.len() > MAX_SUBJECT {
            return Err(ApiError::store_failed("the subject is too long to be stored"));
        }
        let wishes = if headers.is_empty() || !headers::has_control(headers) {
            Wishes::default()
        } else {
            match self.read_wishes(cx, subject, headers)? {
                Ok(wishes) => wishes,
                Err(duplicate) => return Ok(duplicate),
            }
        };
        if self.config.retention == Retention::Interest && !self.anybody_wants(subject) {
            let seq = self
                .store
                .skip(cx.host.disk())
                .map_err(|error| ApiError::store_failed(error.to_string()))?;
            return Ok(self.remember(cx, wishes, seq));
        }
        self.refuse_new(message)?;
        let appended = self
            .store
            .append(cx.host.disk(), cx.unix, subject, headers, payload)
            .map_err(|error| {
                cx.host.note(Note::Sometimes("publish refused, store failed"));
                ApiError::store_failed(error.to_string())
            })?;
        let stored = self.remember(cx, wishes, appended.seq);
        self.tell_consumers(subject);
        match wishes.rollup {
            Some(Rollup::Subject) => self.roll_up(cx, subject, appended.seq),
            Some(Rollup::All) => self.roll_up_all(cx, appended.seq),
            None => {}
        }
        self.keep_within_limits(cx, &appended);
        self.wake_consumers(cx);
        self.arm_age(cx);
        Ok(stored)
    }

    fn remember(&mut self, cx: &Cx<'_>, wishes: Wishes<'_>, seq: u64) -> Stored {
        if let Some(id) = wishes.id {
            self.dedup.remember(cx.unix, id, seq);
        }
        Stored { seq, is_duplicate: false }
    }

    /// Reads the headers and checks what the publisher expects. The inner error is
    /// the message that is there already.
    fn read_wishes<'a>(
        &mut self,
        cx: &mut Cx<'_>,
        subject: &[u8],
        block: &'a [u8],
    ) -> Result<Result<Wishes<'a>, Stored>, ApiError> {
        let value = |name| headers::value(block, name);
        for (name, code, text) in [
            (headers::TTL, 10166, "per-message TTL is disabled"),
            (headers::INCREMENT, 10168, "message counters is disabled"),
            (headers::BATCH_ID, 10174, "atomic publish is disabled"),
            (headers::SCHEDULE, 10188, "message schedules is disabled"),
        ] {
            if value(name).is_some() {
                return Err(ApiError::new(400, code, text));
            }
        }
        if value(headers::EXPECTED_STREAM).is_some_and(|name| name != self.config.name.as_bytes()) {
            return Err(ApiError::new(400, 10060, "expected stream does not match"));
        }
        let id = value(headers::MSG_ID).filter(|id| !id.is_empty());
        if let Some(id) = id {
            let window = self.config.duplicate_window.unsigned_abs();
            if let Some(seq) = self.dedup.find(cx.unix, window, id) {
                cx.host.note(Note::Sometimes("duplicate refused"));
                return Ok(Err(Stored { seq, is_duplicate: true }));
            }
        }
        if let Some(text) = value(headers::EXPECTED_LAST_SUBJECT_SEQUENCE) {
            let last = self.last_on(subject);
            if number(text) != Some(last) {
                return Err(ApiError::wrong_last_sequence(last));
            }
        }
        if let Some(text) = value(headers::EXPECTED_LAST_SEQUENCE) {
            let last = self.store.state().last;
            if number(text) != Some(last) {
                return Err(ApiError::wrong_last_sequence(last));
            }
        }
        if let Some(expected) = value(headers::EXPECTED_LAST_MSG_ID)
            && expected != self.dedup.last()
        {
            let last = String::from_utf8_lossy(self.dedup.last()).into_owned();
            return Err(ApiError::new(400, 10070, format!("wrong last msg ID: {last}")));
        }
        let rollup = match value(headers::ROLLUP) {
            None => None,
            Some(_) if !self.config.allow_rollup_hdrs || self.config.deny_purge => {
                return Err(ApiError::new(500, 10111, "rollup not permitted"));
            }
            Some(b"sub") => Some(Rollup::Subject),
            Some(b"all") => Some(Rollup::All),
            Some(other) => {
                let other = String::from_utf8_lossy(other);
                let text = format!("rollup value invalid: {other:?}");
                return Err(ApiError::new(500, 10111, text));
            }
        };
        Ok(Ok(Wishes { id, rollup }))
    }

    /// The sequence of the last message on a subject; 0 when there is none.
    fn last_on(&self, subject: &[u8]) -> u64 {
        let id = self.store.find_subject(subject);
        id.and_then(|id| self.store.last_of_subject(id, u64::MAX)).unwrap_or(0)
    }

    /// Refuses a message that would go beyond a limit at which new messages give way.
    fn refuse_new(&self, message: &Published<'_>) -> Result<(), ApiError> {
        if self.config.discard != Discard::New {
            return Ok(());
        }
        let state = self.store.state();
        let per_subject = StreamConfig::limit(self.config.max_msgs_per_subject);
        // Bytes of the message that this one would push out of its subject.
        let mut replaced = None;
        if let Some(most) = per_subject
            && let Some(id) = self.store.find_subject(message.subject)
            && self.store.subject(id).count >= most
        {
            if self.config.discard_new_per_subject {
                return Err(ApiError::store_failed("maximum messages per subject exceeded"));
            }
            let first = self.store.first_of_subject(id);
            replaced = Some(first.and_then(|seq| self.store.message_size(seq)).unwrap_or(0));
        }
        if replaced.is_none()
            && StreamConfig::limit(self.config.max_msgs).is_some_and(|most| state.messages >= most)
        {
            return Err(ApiError::store_failed("maximum messages exceeded"));
        }
        let Published { subject, headers, payload, .. } = message;
        let size = self.store.size_of(subject.len(), headers.len(), payload.len());
        let is_over = StreamConfig::limit(self.config.max_bytes)
            .is_some_and(|most| state.bytes + size > most);
        if is_over && replaced.is_none_or(|freed| freed < size) {
            return Err(ApiError::store_failed("maximum bytes exceeded"));
        }
        Ok(())
    }

    /// Tells the consumers that a message came, before a limit takes it or another
    /// away: they count both.
    #[inline]
    fn tell_consumers(&mut self, subject: &[u8]) {
        self.interest.find(subject, &mut self.takers);
        for place in &self.takers {
            if let Some(consumer) = &mut self.consumers[*place as usize] {
                consumer.arrived(subject);
            }
        }
    }

    /// Lets those consumers deliver that a message came for.
    #[inline]
    fn wake_consumers(&mut self, cx: &mut Cx<'_>) {
        let takers = std::mem::take(&mut self.takers);
        for place in &takers {
            let Some(consumer) = &mut self.consumers[*place as usize] else { continue };
            if consumer.take_roused() {
                self.pump(cx, *place);
            }
        }
        self.takers = takers;
        self.retire_settled(cx);
    }

    /// When the age of the first message has to be looked at.
    pub(super) fn arm_age(&mut self, cx: &mut Cx<'_>) {
        if self.age_at.is_some() {
            return;
        }
        let Some(age) = StreamConfig::limit(self.config.max_age) else { return };
        let Ok(Some(first)) = self.store.first_time(cx.host.disk()) else { return };
        let left = first.saturating_add(age).saturating_sub(cx.unix);
        let at = cx.now.plus_nanos(left).max(Time::from_nanos(1));
        self.age_at = Some(at);
        self.arm(cx, at);
    }
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// `{"stream":"S","seq":1}`, written by hand because it is written for each message.
fn write_ack(out: &mut Vec<u8>, stream: &str, seq: u64, is_duplicate: bool) {
    out.extend_from_slice(b"{\"stream\":");
    write_name(out, stream);
    out.extend_from_slice(b",\"seq\":");
    crate::digits::push(out, seq);
    if is_duplicate {
        out.extend_from_slice(b",\"duplicate\": true");
    }
    out.push(b'}');
}

fn write_name(out: &mut Vec<u8>, name: &str) {
    let plain = |byte: u8| (b' '..0x7f).contains(&byte) && !matches!(byte, b'"' | b'\\');
    if name.bytes().all(plain) {
        out.push(b'"');
        out.extend_from_slice(name.as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(serde_json::Value::from(name).to_string().as_bytes());
    }
}

fn refusal(stream: &str, error: &ApiError) -> Vec<u8> {
    #[derive(serde::Serialize)]
    struct Refusal<'a> {
        error: &'a ApiError,
        stream: &'a str,
        seq: u64,
    }
    crate::api::json(&Refusal { error, stream, seq: 0 })
}
