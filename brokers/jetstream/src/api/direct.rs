//! Direct get: messages as they are, with what JetStream knows in headers.

use broker_contract::Time;

use super::messages::GetRequest;
use crate::agenda::Cx;
use crate::calendar;
use crate::digits;
use crate::headers;
use crate::host::{Host, Published};
use crate::server::JetStream;
use crate::store::Matcher;
use crate::stream::Stream;

/// Messages in one answer.
const MOST: u64 = 1_024;

/// Where in a batch a message is.
#[derive(Copy, Clone, Debug)]
struct BatchPlace {
    pending: u64,
    /// The sequence sent before.
    last: u64,
}

fn decimal(number: u64) -> Vec<u8> {
    let mut text = Vec::new();
    digits::push(&mut text, number);
    text
}

impl Stream {
    /// Sends a message to whoever asked; returns its size, or `None` when it cannot
    /// be read.
    fn send_direct(
        &mut self,
        cx: &mut Cx<'_>,
        inbox: &[u8],
        seq: u64,
        no_headers: bool,
        place: Option<BatchPlace>,
    ) -> Option<u64> {
        let record = self.store.get(cx.host.disk(), seq).ok().flatten()?;
        let (seq, time) = (decimal(seq), calendar::rfc3339(record.time));
        let mut more: Vec<(&str, &[u8])> = vec![
            ("Nats-Stream", self.config.name.as_bytes()),
            ("Nats-Subject", record.subject),
            ("Nats-Sequence", &seq),
            ("Nats-Time-Stamp", time.as_bytes()),
        ];
        let (pending, last);
        if let Some(place) = place {
            (pending, last) = (decimal(place.pending), decimal(place.last));
            more.push(("Nats-Num-Pending", &pending));
            more.push(("Nats-Last-Sequence", &last));
        }
        let own = if no_headers { &[] } else { record.headers };
        let block = headers::extended(own, &more);
        cx.host.send(inbox, inbox, &[], &block, record.payload);
        Some((block.len() + record.payload.len()) as u64)
    }

    fn direct(&mut self, cx: &mut Cx<'_>, inbox: &[u8], request: &GetRequest) {
        let refuse = |cx: &mut Cx<'_>, text: &str| {
            cx.host.send(inbox, inbox, &[], &headers::status(text, &[]), &[]);
        };
        if !request.multi_last.is_empty() {
            return self.direct_lasts(cx, inbox, request);
        }
        let mut request = request.clone();
        if let Some(start) = &request.start_time {
            let Some(time) = calendar::unix_ns(start) else {
                return refuse(cx, "408 Malformed Request");
            };
            match self.store.seek_time(cx.host.disk(), time) {
                Ok(seq) => request.seq = seq,
                Err(_) => return refuse(cx, "404 Message Not Found"),
            }
        }
        if request.batch > 0 {
            return self.direct_batch(cx, inbox, &request);
        }
        let Some(found) = self.find_message(&request) else {
            return refuse(cx, "408 Empty Request");
        };
        let sent = found.and_then(|seq| self.send_direct(cx, inbox, seq, request.no_headers, None));
        if sent.is_none() {
            refuse(cx, "404 Message Not Found");
        }
    }

    fn direct_batch(&mut self, cx: &mut Cx<'_>, inbox: &[u8], request: &GetRequest) {
        let filters: &[String] = if request.next_by_subj.is_empty() {
            &[]
        } else {
            std::slice::from_ref(&request.next_by_subj)
        };
        let matcher = Matcher::new(filters);
        let mut at = request.seq.max(1);
        let mut pending = self.store.count(&matcher, at);
        let (mut last, mut bytes) = (0, 0);
        for _ in 0..request.batch.min(MOST) {
            let Some(seq) = self.next_matching(&matcher, at) else { break };
            if request.max_bytes > 0
                && last > 0
                && bytes + self.store.message_size(seq).unwrap_or(0) > request.max_bytes
            {
                break;
            }
            pending = pending.saturating_sub(1);
            let place = BatchPlace { pending, last };
            bytes += self.send_direct(cx, inbox, seq, request.no_headers, Some(place)).unwrap_or(0);
            (last, at) = (seq, seq + 1);
        }
        let block = if last == 0 {
            headers::status("404 Message Not Found", &[])
        } else {
            let fields = [("Nats-Num-Pending", pending), ("Nats-Last-Sequence", last)];
            headers::status("204 EOB", &fields)
        };
        cx.host.send(inbox, inbox, &[], &block, &[]);
    }

    fn direct_lasts(&mut self, cx: &mut Cx<'_>, inbox: &[u8], request: &GetRequest) {
        let mut up_to = if request.up_to_seq > 0 { request.up_to_seq } else { u64::MAX };
        if let Some(time) = request.up_to_time.as_deref().and_then(calendar::unix_ns)
            && let Ok(seq) = self.store.seek_time(cx.host.disk(), time)
        {
            up_to = up_to.min(seq.saturating_sub(1));
        }
        let matcher = Matcher::new(&request.multi_last);
        let mut found: Vec<u64> = self
            .store
            .subjects()
            .filter(|(_, subject)| matcher.takes(&subject.text))
            .filter_map(|(id, _)| self.store.last_of_subject(id, up_to))
            .collect();
        found.sort_unstable();
        if found.is_empty() {
            let block = headers::status("404 No Results", &[]);
            cx.host.send(inbox, inbox, &[], &block, &[]);
            return;
        }
        if found.len() as u64 > MOST {
            let block = headers::status("413 Too Many Results", &[]);
            cx.host.send(inbox, inbox, &[], &block, &[]);
            return;
        }
        let most = if request.batch > 0 { request.batch.min(MOST) } else { MOST };
        let mut pending = found.len() as u64;
        let mut last = 0;
        for seq in found.into_iter().take(usize::try_from(most).unwrap_or(usize::MAX)) {
            pending -= 1;
            let place = BatchPlace { pending, last };
            self.send_direct(cx, inbox, seq, request.no_headers, Some(place));
            last = seq;
        }
        let fields = [
            ("Nats-Num-Pending", pending),
            ("Nats-Last-Sequence", last),
            ("Nats-UpTo-Sequence", up_to.min(self.store.state().last)),
        ];
        cx.host.send(inbox, inbox, &[], &headers::status("204 EOB", &fields), &[]);
    }
}

impl JetStream {
    /// Takes a direct get. Only streams that allow it listen for it.
    pub(super) fn direct_get(
        &mut self,
        now: Time,
        host: &mut dyn Host,
        name: &str,
        subject: Option<&str>,
        message: &Published<'_>,
    ) -> bool {
        let Some(place) = self.find_stream(name.as_bytes()) else { return false };
        let taken = self.with_stream(now, host, place, |stream, cx| {
            if !stream.config.allow_direct {
                return false;
            }
            let refuse = |cx: &mut Cx<'_>, text: &str| {
                cx.host.send(message.reply, message.reply, &[], &headers::status(text, &[]), &[]);
            };
            if message.reply.is_empty() {
                return true;
            }
            let request = if let Some(subject) = subject {
                GetRequest { last_by_subj: subject.to_owned(), ..GetRequest::default() }
            } else if message.payload.is_empty() {
                refuse(cx, "408 Empty Request");
                return true;
            } else {
                match serde_json::from_slice(message.payload) {
                    Ok(request) => request,
                    Err(_) => {
                        refuse(cx, "408 Malformed Request");
                        return true;
                    }
                }
            };
            stream.direct(cx, message.reply, &request);
            true
        });
        taken.unwrap_or(false)
    }
}
