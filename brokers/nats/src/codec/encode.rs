//! Writes frames.

use std::fmt;

use broker_contract::Sink;

use crate::frame::{Down, Message, Up};

/// Payloads from here on are offered to the sink by reference.
const LARGE: usize = 4 << 10;

pub(super) fn up(frame: &Up, out: &mut impl Sink) {
    match frame {
        Up::Connect(options) => {
            out.put(b"CONNECT ");
            // Neither a sink nor the object can fail.
            let _ = options.write_json(&mut Text(out));
        }
        Up::Publish(message) => {
            let headed = message.has_headers();
            out.put(if headed { b"HPUB " } else { b"PUB " });
            out.put(message.subject());
            reply(message, out);
            content(message, !headed, out);
        }
        Up::Subscribe(subscribe) => {
            out.put(b"SUB ");
            out.put(&subscribe.subject);
            if let Some(queue) = &subscribe.queue {
                out.put(b" ");
                out.put(queue);
            }
            number(subscribe.sid, out);
        }
        Up::Unsubscribe { sid, max } => {
            out.put(b"UNSUB");
            number(*sid, out);
            if let Some(max) = max {
                number(*max, out);
            }
        }
        Up::Ping => out.put(b"PING"),
        Up::Pong => out.put(b"PONG"),
    }
    out.put(b"\r\n");
}

#[inline]
pub(super) fn down(frame: &Down, out: &mut impl Sink) {
    match frame {
        Down::Message { sid, plain, message, .. } => {
            let plain = *plain || !message.has_headers();
            out.put(if plain { b"MSG " } else { b"HMSG " });
            out.put(message.subject());
            number(*sid, out);
            reply(message, out);
            content(message, plain, out);
        }
        Down::Info(info) => {
            out.put(b"INFO ");
            let _ = info.write_json(&mut Text(out));
        }
        Down::Ping => out.put(b"PING"),
        Down::Pong => out.put(b"PONG"),
        Down::Ok => out.put(b"+OK"),
        Down::Error(error) => {
            out.put(b"-ERR '");
            out.put(error.text().as_bytes());
            out.put(b"'");
        }
    }
    out.put(b"\r\n");
}

#[inline]
fn reply(message: &Message, out: &mut impl Sink) {
    if !message.reply().is_empty() {
        out.put(b" ");
        out.put(message.reply());
    }
}

/// The sizes, the line's end, and what they are the sizes of.
#[inline]
fn content(message: &Message, plain: bool, out: &mut impl Sink) {
    let payload = message.payload();
    if plain {
        number(payload.len() as u64, out);
        out.put(b"\r\n");
    } else {
        let headers = message.headers();
        number(headers.len() as u64, out);
        number((headers.len() + payload.len()) as u64, out);
        out.put(b"\r\n");
        out.put(headers);
    }
    if payload.len() < LARGE {
        out.put(payload);
    } else {
        let (buf, range) = message.shared_payload();
        out.share(buf, range);
    }
}

/// A blank and the number.
#[inline]
fn number(mut value: u64, out: &mut impl Sink) {
    let mut space = [0; 21];
    let mut at = space.len();
    loop {
        at -= 1;
        space[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    space[at - 1] = b' ';
    out.put(&space[at - 1..]);
}

/// Lets text be written into a sink.
struct Text<'a, S>(&'a mut S);

impl<S: Sink> fmt::Write for Text<'_, S> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.put(text.as_bytes());
        Ok(())
    }
}
