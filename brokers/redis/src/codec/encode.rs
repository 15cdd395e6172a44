//! Writes frames.

use broker_contract::Sink;

use super::number;
use crate::frame::{Body, Down, Proto, Reply, Up};

/// Payloads from here on are offered to the sink by reference.
const LARGE: usize = 4 << 10;

pub(super) fn up(frame: &Up, out: &mut impl Sink) {
    if let Up::Publish { sharded, body } = frame {
        out.put(if *sharded { b"*3\r\n$8\r\nspublish\r\n" } else { b"*3\r\n$7\r\npublish\r\n" });
        message(body, out);
        return;
    }
    let words = frame.words();
    number::header(b'*', words.len() as u64, out);
    words.iter().for_each(|word| bulk(word, out));
}

#[inline]
pub(super) fn down(frame: &Down, out: &mut impl Sink) {
    match frame {
        Down::Reply(Reply::Integer(value)) => number::integer(*value, out),
        Down::Message { proto, sharded, body } => {
            out.put(match (proto, sharded) {
                (Proto::Resp2, false) => b"*3\r\n$7\r\nmessage\r\n",
                (Proto::Resp3, false) => b">3\r\n$7\r\nmessage\r\n",
                (Proto::Resp2, true) => b"*3\r\n$8\r\nsmessage\r\n",
                (Proto::Resp3, true) => b">3\r\n$8\r\nsmessage\r\n",
            });
            message(body, out);
        }
        Down::PatternMessage { proto, pattern, body } => {
            out.put(match proto {
                Proto::Resp2 => b"*4\r\n$8\r\npmessage\r\n",
                Proto::Resp3 => b">4\r\n$8\r\npmessage\r\n",
            });
            bulk(pattern, out);
            message(body, out);
        }
        Down::Confirmed { proto, change, kind, topic, count } => {
            out.put(match proto {
                Proto::Resp2 => b"*3\r\n",
                Proto::Resp3 => b">3\r\n",
            });
            bulk(Down::confirmation_name(*change, *kind).as_bytes(), out);
            match topic {
                Some(topic) => bulk(topic, out),
                None => null(*proto, out),
            }
            number::integer(i64::from(*count), out);
        }
        Down::Reply(answer) => reply(answer, out),
        Down::Answers(count) => number::header(b'*', u64::from(*count), out),
    }
}

fn reply(reply: &Reply, out: &mut impl Sink) {
    match reply {
        Reply::Simple(text) => line(b'+', text.as_bytes(), out),
        Reply::Error(text) => line(b'-', text.as_bytes(), out),
        Reply::Integer(value) => number::integer(*value, out),
        Reply::Bulk(bytes) => bulk(bytes, out),
        Reply::Null(proto) => null(*proto, out),
        Reply::Verbatim(Proto::Resp3, bytes) => {
            number::header(b'=', bytes.len() as u64 + 4, out);
            out.put(b"txt:");
            out.put(bytes);
            out.put(b"\r\n");
        }
        Reply::Double(Proto::Resp3, digits) => line(b',', digits, out),
        Reply::Verbatim(Proto::Resp2, bytes) | Reply::Double(Proto::Resp2, bytes) => {
            bulk(bytes, out);
        }
        Reply::Array(elements) | Reply::Set(_, elements) => {
            let is_set = matches!(reply, Reply::Set(Proto::Resp3, _));
            number::header(if is_set { b'~' } else { b'*' }, elements.len() as u64, out);
            elements.iter().for_each(|element| self::reply(element, out));
        }
        Reply::Map(proto, entries) => {
            match proto {
                Proto::Resp2 => number::header(b'*', entries.len() as u64 * 2, out),
                Proto::Resp3 => number::header(b'%', entries.len() as u64, out),
            }
            for (key, value) in entries {
                self::reply(key, out);
                self::reply(value, out);
            }
        }
    }
}

/// Channel and payload as two bulk strings.
#[inline]
fn message(body: &Body, out: &mut impl Sink) {
    bulk(body.channel(), out);
    let payload = body.payload();
    number::header(b'$', payload.len() as u64, out);
    if payload.len() < LARGE {
        out.put(payload);
    } else {
        let (buf, range) = body.shared_payload();
        out.share(buf, range);
    }
    out.put(b"\r\n");
}

#[inline]
fn bulk(bytes: &[u8], out: &mut impl Sink) {
    number::header(b'$', bytes.len() as u64, out);
    out.put(bytes);
    out.put(b"\r\n");
}

fn line(mark: u8, text: &[u8], out: &mut impl Sink) {
    out.put(&[mark]);
    out.put(text);
    out.put(b"\r\n");
}

fn null(proto: Proto, out: &mut impl Sink) {
    out.put(match proto {
        Proto::Resp2 => b"$-1\r\n",
        Proto::Resp3 => b"_\r\n",
    });
}
