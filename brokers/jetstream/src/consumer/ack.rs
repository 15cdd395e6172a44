//! Acknowledgements: messages to the reply subject of a delivery.

use broker_contract::{ConnId, Note};
use serde::{Deserialize, Serialize};

use super::config::AckPolicy;
use super::{Consumer, Ground, nanos};
use crate::agenda::Cx;
use crate::digits;
use crate::journal::Event;

/// The parts of `$JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer
/// seq>.<time>.<pending>` that are needed.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct AckSubject<'a> {
    pub stream: &'a [u8],
    pub consumer: &'a [u8],
    pub delivered: u64,
    pub stream_seq: u64,
    pub consumer_seq: u64,
}

impl<'a> AckSubject<'a> {
    /// Reads what follows `$JS.ACK.`.
    #[inline]
    pub fn read(rest: &'a [u8]) -> Option<AckSubject<'a>> {
        let mut tokens = rest.split(|byte| *byte == b'.');
        let ack = AckSubject {
            stream: tokens.next()?,
            consumer: tokens.next()?,
            delivered: digits::read(tokens.next()?)?,
            stream_seq: digits::read(tokens.next()?)?,
            consumer_seq: digits::read(tokens.next()?)?,
        };
        Some(ack)
    }
}

/// What a client says of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict<'a> {
    /// It is done.
    Ack,
    /// It failed; deliver it again, after so many nanoseconds.
    Nak(u64),
    /// It takes longer.
    Working,
    /// It is not to come again, and why.
    Term(&'a str),
    /// It is done, and here is the next pull request.
    Next(&'a [u8]),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct NakBody {
    delay: i64,
}

impl<'a> Verdict<'a> {
    fn read(body: &'a [u8]) -> Option<Verdict<'a>> {
        let body = body.trim_ascii();
        if body.is_empty() || body == b"+ACK" || body == b"+OK" {
            return Some(Verdict::Ack);
        }
        let rest = |prefix: &[u8]| body.strip_prefix(prefix).map(<[u8]>::trim_ascii);
        if let Some(rest) = rest(b"-NAK") {
            let delay = if rest.is_empty() {
                0
            } else {
                serde_json::from_slice::<NakBody>(rest).map_or(0, |nak| nanos(nak.delay))
            };
            return Some(Verdict::Nak(delay));
        }
        if body == b"+WPI" {
            return Some(Verdict::Working);
        }
        if let Some(reason) = rest(b"+TERM") {
            return Some(Verdict::Term(std::str::from_utf8(reason).unwrap_or_default()));
        }
        rest(b"+NXT").map(Verdict::Next)
    }
}

impl Consumer {
    /// Takes an acknowledgement.
    pub fn acknowledge(
        &mut self,
        cx: &mut Cx<'_>,
        ground: &mut Ground<'_>,
        ack: &AckSubject<'_>,
        reply: &[u8],
        body: &[u8],
        conn: ConnId,
    ) {
        self.idle_since = cx.now;
        let was_full = self.needs_acks()
            && self.config.max_ack_pending > 0
            && self.pending.len() as u64 >= self.config.max_ack_pending.unsigned_abs();
        let mut is_asking = false;
        match Verdict::read(body) {
            Some(Verdict::Ack) => self.settle(cx, ground, ack.stream_seq),
            Some(Verdict::Nak(delay)) => self.nak(cx, ground, ack, delay),
            Some(Verdict::Working) => {
                let count = self.pending.get(&ack.stream_seq).map_or(1, |pending| pending.count);
                let due = cx.now.plus_nanos(self.ack_wait(count));
                if let Some(pending) = self.pending.get_mut(&ack.stream_seq) {
                    // One that is queued already goes out again all the same.
                    pending.due = due;
                    self.arm_ack(cx, due);
                }
            }
            Some(Verdict::Term(reason)) => self.terminate(cx, ground, ack, reason),
            Some(Verdict::Next(request)) => {
                self.settle(cx, ground, ack.stream_seq);
                is_asking = true;
                self.request(cx, ground, reply, request, conn);
            }
            // The original answers whatever it does not know, and does nothing.
            None => {}
        }
        if !reply.is_empty() && !is_asking {
            cx.host.send(reply, reply, &[], &[], &[]);
        }
        if was_full || !self.again.is_empty() {
            self.pump(cx, ground);
        }
    }

    /// A message, or all up to it, need no delivery any more.
    #[inline]
    fn settle(&mut self, cx: &mut Cx<'_>, ground: &mut Ground<'_>, seq: u64) {
        self.last_ack = Some(cx.unix);
        match self.config.ack_policy {
            AckPolicy::None => {}
            AckPolicy::Explicit => {
                // One that was given up waits in the stream for exactly this.
                if self.pending.remove(&seq).is_some() || self.given_up.remove(&seq) {
                    ground.write(cx, &Event::Settled { id: self.id, stream_seq: seq });
                    if !ground.keeps_settled {
                        ground.settled.push(seq);
                    }
                }
            }
            AckPolicy::All => {
                // Nothing behind the last delivery can have been meant.
                let seq = seq.min(self.delivered.stream);
                let rest = self.pending.split_off(&(seq + 1));
                let settled = std::mem::replace(&mut self.pending, rest);
                let rest = self.given_up.split_off(&(seq + 1));
                let given_up = std::mem::replace(&mut self.given_up, rest);
                if settled.is_empty() && given_up.is_empty() {
                    return;
                }
                ground.write(cx, &Event::SettledTo { id: self.id, stream_seq: seq });
                if !ground.keeps_settled {
                    ground.settled.extend(settled.into_keys());
                    ground.settled.extend(given_up);
                }
            }
        }
    }

    fn nak(&mut self, cx: &mut Cx<'_>, ground: &mut Ground<'_>, ack: &AckSubject<'_>, delay: u64) {
        #[derive(Serialize)]
        struct Body<'a> {
            stream: &'a str,
            consumer: &'a str,
            consumer_seq: u64,
            stream_seq: u64,
            deliveries: u64,
        }
        let seq = ack.stream_seq;
        let Some(pending) = self.pending.get_mut(&seq) else { return };
        let count = pending.count;
        if delay > 0 {
            let due = cx.now.plus_nanos(delay);
            pending.due = due;
            self.arm_ack(cx, due);
        } else if !pending.is_queued {
            pending.due = cx.now;
            if self.is_exhausted(count) {
                cx.host.note(Note::Sometimes("max deliver reached"));
                self.give_up(cx, ground, seq);
            } else if let Some(pending) = self.pending.get_mut(&seq) {
                pending.is_queued = true;
                self.again.push_back(seq);
            }
        }
        cx.host.note(Note::Sometimes("negatively acknowledged"));
        let (stream, consumer) = (ground.stream, &*self.name);
        let AckSubject { delivered, stream_seq, consumer_seq, .. } = *ack;
        let body = Body { stream, consumer, consumer_seq, stream_seq, deliveries: delivered };
        cx.advise(
            format!("$JS.EVENT.ADVISORY.CONSUMER.MSG_NAKED.{stream}.{consumer}"),
            "nak",
            &body,
        );
    }

    fn terminate(
        &mut self,
        cx: &mut Cx<'_>,
        ground: &mut Ground<'_>,
        ack: &AckSubject<'_>,
        reason: &str,
    ) {
        #[derive(Serialize)]
        struct Body<'a> {
            stream: &'a str,
            consumer: &'a str,
            consumer_seq: u64,
            stream_seq: u64,
            deliveries: u64,
            #[serde(skip_serializing_if = "str::is_empty")]
            reason: &'a str,
        }
        let seq = ack.stream_seq;
        if self.pending.remove(&seq).is_none() && !self.given_up.remove(&seq) {
            return;
        }
        ground.write(cx, &Event::Settled { id: self.id, stream_seq: seq });
        if !ground.keeps_settled {
            ground.settled.push(seq);
        }
        cx.host.note(Note::Sometimes("terminated"));
        let (stream, consumer) = (ground.stream, &*self.name);
        let AckSubject { delivered, stream_seq, consumer_seq, .. } = *ack;
        let body =
            Body { stream, consumer, consumer_seq, stream_seq, deliveries: delivered, reason };
        let subject = format!("$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.{stream}.{consumer}");
        cx.advise(subject, "terminated", &body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_and_verdicts_are_read() {
        let ack = AckSubject::read(b"S.C.2.17.18.1795560757913032664.4").expect("reads");
        assert_eq!((ack.stream, ack.consumer), (&b"S"[..], &b"C"[..]));
        assert_eq!((ack.delivered, ack.stream_seq, ack.consumer_seq), (2, 17, 18));
        assert_eq!(AckSubject::read(b"S.C.2.x.18.1.4"), None);
        assert_eq!(AckSubject::read(b"S"), None);
        for (body, verdict) in [
            ("", Some(Verdict::Ack)),
            ("+ACK", Some(Verdict::Ack)),
            ("-NAK", Some(Verdict::Nak(0))),
            ("-NAK {\"delay\": 5}", Some(Verdict::Nak(5))),
            ("-NAK nonsense", Some(Verdict::Nak(0))),
            ("+WPI", Some(Verdict::Working)),
            ("+TERM bad one", Some(Verdict::Term("bad one"))),
            ("+NXT 3", Some(Verdict::Next(b"3"))),
            ("bogus", None),
        ] {
            assert_eq!(Verdict::read(body.as_bytes()), verdict, "{body}");
        }
    }
}
