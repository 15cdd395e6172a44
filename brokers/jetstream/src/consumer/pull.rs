//! Pull requests: an inbox that asks for so many messages.

use std::time::Duration;

use broker_contract::{ConnId, Time};
use serde::Deserialize;

use super::{Consumer, Ground, nanos};
use crate::agenda::Cx;
use crate::api;
use crate::headers;

/// A pull request that waits.
#[derive(Debug)]
pub(crate) struct Request {
    pub inbox: Box<[u8]>,
    /// Messages that it still wants.
    pub left: u64,
    /// Bytes that it still takes.
    pub bytes_left: Option<u64>,
    /// When it ends.
    expires: Option<Time>,
    /// Whether it ends when there is nothing more.
    no_wait: bool,
    heartbeat: Option<Duration>,
    /// When something was last sent to it.
    heard_at: Time,
    /// Messages that it had.
    delivered: u64,
}

/// The JSON of a pull request.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Body {
    batch: i64,
    expires: i64,
    no_wait: bool,
    max_bytes: i64,
    idle_heartbeat: i64,
}

impl Body {
    fn read(text: &[u8]) -> Result<Body, String> {
        let text = text.trim_ascii();
        let one = Body { batch: 1, ..Body::default() };
        if text.first() == Some(&b'{') {
            let mut body: Body =
                serde_json::from_slice(text).map_err(|error| api::json_error(text, &error))?;
            body.batch = body.batch.max(1);
            return Ok(body);
        }
        // Whatever is no number asks for one, as in the original.
        let number = std::str::from_utf8(text).ok().and_then(|text| text.parse::<i64>().ok());
        Ok(number.map_or(one, |batch| Body { batch: batch.max(1), ..Body::default() }))
    }
}

impl Consumer {
    /// Takes a pull request.
    pub fn request(
        &mut self,
        cx: &mut Cx<'_>,
        ground: &mut Ground<'_>,
        inbox: &[u8],
        body: &[u8],
        conn: ConnId,
    ) {
        if inbox.is_empty() {
            return;
        }
        let refuse = |cx: &mut Cx<'_>, text: &str| {
            cx.host.send(inbox, inbox, &[], &headers::status(text, &[]), &[]);
        };
        if self.push.is_some() {
            return refuse(cx, "409 Consumer is push based");
        }
        let body = match Body::read(body) {
            Ok(body) => body,
            Err(error) => return refuse(cx, &format!("400 Bad Request - {error}")),
        };
        if body.idle_heartbeat > 0 && body.idle_heartbeat > body.expires / 2 {
            return refuse(cx, "400 Bad Request - heartbeat value too large");
        }
        let config = &self.config;
        if config.max_batch > 0 && body.batch > config.max_batch {
            let text = format!("409 Exceeded MaxRequestBatch of {}", config.max_batch);
            return refuse(cx, &text);
        }
        if config.max_expires > 0 && body.expires > config.max_expires {
            let most = go_duration(nanos(config.max_expires));
            return refuse(cx, &format!("409 Exceeded MaxRequestExpires of {most}"));
        }
        if config.max_bytes > 0 && body.max_bytes > config.max_bytes {
            let text = format!("409 Exceeded MaxRequestMaxBytes of {}", config.max_bytes);
            return refuse(cx, &text);
        }
        self.conn = Some(conn);
        self.idle_since = cx.now;
        self.end_expired(cx);
        let most = usize::try_from(config_limit(self.config.max_waiting)).unwrap_or(usize::MAX);
        if self.waiting.len() >= most {
            // Requests go with their inbox, and that is only looked at here.
            self.waiting.retain(|request| cx.host.has_interest(&request.inbox));
        }
        if self.waiting.len() >= most {
            let ends_at_once = body.no_wait && body.expires <= 0;
            let text = if ends_at_once && self.ahead == 0 {
                "404 No Messages"
            } else {
                "409 Exceeded MaxWaiting"
            };
            return refuse(cx, text);
        }
        let expires = (body.expires > 0).then(|| cx.now.plus_nanos(nanos(body.expires)));
        let heartbeat =
            (body.idle_heartbeat > 0).then(|| Duration::from_nanos(nanos(body.idle_heartbeat)));
        let request = Request {
            inbox: inbox.into(),
            left: body.batch.unsigned_abs(),
            bytes_left: (body.max_bytes > 0).then(|| body.max_bytes.unsigned_abs()),
            expires,
            no_wait: body.no_wait,
            heartbeat,
            heard_at: cx.now,
            delivered: 0,
        };
        if let Some(at) = request.next_moment() {
            self.arm_pull(cx, at);
        }
        self.waiting.push_back(request);
        self.pump(cx, ground);
    }

    /// One message went to the first request, whose turn is over then.
    #[inline]
    pub(super) fn count_delivery(&mut self, cx: &Cx<'_>, size: u64) {
        let Some(mut request) = self.waiting.pop_front() else { return };
        request.left -= 1;
        request.delivered += 1;
        request.heard_at = cx.now;
        if let Some(left) = &mut request.bytes_left {
            *left = left.saturating_sub(size);
        }
        if request.left > 0 {
            self.waiting.push_back(request);
        }
    }

    /// Ends the first request with a status that says what it did not get.
    pub(super) fn end_request(&mut self, cx: &mut Cx<'_>, status: &str) {
        if let Some(request) = self.waiting.pop_front() {
            request.end(cx, status);
        }
    }

    /// Ends the requests that wait for nothing.
    pub(super) fn end_no_wait(&mut self, cx: &mut Cx<'_>) {
        if self.waiting.iter().any(Request::ends_without_messages) {
            self.waiting.retain(|request| {
                let ends = request.ends_without_messages();
                if ends {
                    let block = headers::status("404 No Messages", &[]);
                    cx.host.send(&request.inbox, &request.inbox, &[], &block, &[]);
                }
                !ends
            });
        }
    }

    /// Ends the requests whose time is over.
    pub(super) fn end_expired(&mut self, cx: &mut Cx<'_>) {
        let now = cx.now;
        if self.waiting.iter().any(|request| request.is_expired(now)) {
            self.waiting.retain(|request| {
                let is_over = request.is_expired(now);
                if is_over {
                    request.end(cx, "408 Request Timeout");
                }
                !is_over
            });
        }
    }

    /// Says to idle requests that the consumer is alive; returns when to look again.
    pub(super) fn beat_requests(&mut self, cx: &mut Cx<'_>) -> Option<Time> {
        let delivered = self.delivered;
        for request in &mut self.waiting {
            if request.heartbeat.is_some_and(|every| request.heard_at + every <= cx.now) {
                let fields = [
                    ("Nats-Last-Consumer", delivered.consumer),
                    ("Nats-Last-Stream", delivered.stream),
                ];
                let block = headers::status("100 Idle Heartbeat", &fields);
                request.heard_at = cx.now;
                cx.host.send(&request.inbox, &request.inbox, &[], &block, &[]);
            }
        }
        self.waiting.iter().filter_map(Request::next_moment).min()
    }

    /// Ends all requests, because the consumer is deleted.
    pub(super) fn end_all_requests(&mut self, cx: &mut Cx<'_>) {
        let block = headers::status("409 Consumer Deleted", &[]);
        for request in self.waiting.drain(..) {
            cx.host.send(&request.inbox, &request.inbox, &[], &block, &[]);
        }
    }

    /// Whether a request waits whose inbox somebody still listens to.
    pub(super) fn has_requests(&mut self, cx: &mut Cx<'_>) -> bool {
        self.waiting.retain(|request| cx.host.has_interest(&request.inbox));
        !self.waiting.is_empty()
    }
}

fn config_limit(value: i64) -> u64 {
    if value > 0 { value.unsigned_abs() } else { u64::MAX }
}

impl Request {
    pub fn is_expired(&self, now: Time) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }

    /// One that may also wait does so until it had its first message.
    fn ends_without_messages(&self) -> bool {
        self.no_wait && (self.expires.is_none() || self.delivered > 0)
    }

    fn next_moment(&self) -> Option<Time> {
        let beat = self.heartbeat.map(|every| self.heard_at + every);
        match (self.expires, beat) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    fn end(&self, cx: &mut Cx<'_>, status: &str) {
        let fields = [
            ("Nats-Pending-Messages", self.left),
            ("Nats-Pending-Bytes", self.bytes_left.unwrap_or(0)),
        ];
        let block = headers::status(status, &fields);
        cx.host.send(&self.inbox, &self.inbox, &[], &block, &[]);
    }
}

/// A duration as Go writes it.
fn go_duration(nanos: u64) -> String {
    let seconds = nanos / 1_000_000_000;
    let rest = nanos % 1_000_000_000;
    if seconds == 0 {
        return match nanos {
            0 => "0s".to_owned(),
            1..1_000 => format!("{nanos}ns"),
            1_000..1_000_000 => format!("{}µs", decimal(nanos, 1_000)),
            _ => format!("{}ms", decimal(nanos, 1_000_000)),
        };
    }
    let (hours, minutes) = (seconds / 3_600, seconds / 60 % 60);
    let tail = format!("{}s", decimal(seconds % 60 * 1_000_000_000 + rest, 1_000_000_000));
    match (hours, minutes) {
        (0, 0) => tail,
        (0, minutes) => format!("{minutes}m{tail}"),
        (hours, minutes) => format!("{hours}h{minutes}m{tail}"),
    }
}

fn decimal(value: u64, unit: u64) -> String {
    let width = unit.ilog10() as usize;
    let text = format!("{}.{:0width$}", value / unit, value % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_read_as_in_the_original() {
        for (text, batch) in [("", 1), ("2", 2), ("-1", 1), ("abc", 1), ("{\"batch\":7}", 7)] {
            assert_eq!(Body::read(text.as_bytes()).expect(text).batch, batch, "{text}");
        }
        let error = Body::read(b"{bad").expect_err("is refused");
        assert_eq!(
            error,
            "invalid character 'b' looking for beginning of object key string at offset 2"
        );
    }

    #[test]
    fn durations_are_written_as_go_writes_them() {
        for (nanos, text) in [
            (5_000_000_000, "5s"),
            (1_500_000_000, "1.5s"),
            (60_000_000_000, "1m0s"),
            (3_661_000_000_000, "1h1m1s"),
            (300_000_000, "300ms"),
            (1_500, "1.5µs"),
            (0, "0s"),
        ] {
            assert_eq!(go_duration(nanos), text);
        }
    }
}
