//! Channel and payload in one allocation.

use std::fmt;
use std::sync::Arc;

use broker_contract::{Envelope, Range};

/// Messages up to this length are put together on the stack.
const SMALL: usize = 256;
/// And these, on a larger piece of it.
const MEDIUM: usize = 2_048;

/// A published message: the channel and the payload in one shared buffer.
///
/// A clone is a reference, so that a fan-out to any number of subscribers holds
/// the bytes once. Other bytes may lie between the two parts, so that a codec can
/// take both out of its input in one copy.
#[derive(Clone)]
pub struct Body {
    buf: Arc<[u8]>,
    channel_end: u32,
    payload_start: u32,
}

impl Body {
    /// Copies both parts into one new allocation.
    ///
    /// # Panics
    /// If they are longer than 4 GiB together; a bulk string ends at 512 MiB.
    pub fn new(channel: &[u8], payload: &[u8]) -> Body {
        Body::from_parts(channel, payload, &[])
    }

    /// As [`Body::new`], with a payload that is given in two pieces.
    pub fn from_parts(channel: &[u8], payload: &[u8], more: &[u8]) -> Body {
        let len = channel.len() + payload.len() + more.len();
        assert!(u32::try_from(len).is_ok(), "a message is shorter than 4 GiB");
        let buf = if len <= SMALL {
            joined(&mut [0; SMALL][..len], channel, payload, more)
        } else if len <= MEDIUM {
            joined(&mut [0; MEDIUM][..len], channel, payload, more)
        } else {
            joined(&mut vec![0; len], channel, payload, more)
        };
        let split = channel.len() as u32;
        Body { buf, channel_end: split, payload_start: split }
    }

    /// A message over `buf`: the channel is its first `channel_end` bytes, the
    /// payload everything from `payload_start` on. `None` when these positions do
    /// not lie in the buffer in this order.
    #[inline]
    pub fn over(buf: Arc<[u8]>, channel_end: u32, payload_start: u32) -> Option<Body> {
        let fits = channel_end <= payload_start
            && payload_start as usize <= buf.len()
            && u32::try_from(buf.len()).is_ok();
        if !fits {
            return None;
        }
        Some(Body { buf, channel_end, payload_start })
    }

    /// The same message, moved field by field.
    ///
    /// A move in one piece loads 16 bytes at once, which waits for narrower stores
    /// that were made just before. A sampling profile put 4 % of a publish to one
    /// subscriber on that load; what avoiding it gains is within the noise.
    #[inline(always)]
    pub(crate) fn by_fields(self) -> Body {
        let Body { buf, channel_end, payload_start } = self;
        Body { buf, channel_end, payload_start }
    }

    /// The channel.
    #[inline]
    pub fn channel(&self) -> &[u8] {
        &self.buf[..self.channel_end as usize]
    }

    /// The payload.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        &self.buf[self.payload_start as usize..]
    }

    /// The payload as part of the shared allocation.
    #[inline]
    pub fn shared_payload(&self) -> (&Arc<[u8]>, std::ops::Range<usize>) {
        (&self.buf, self.payload_start as usize..self.buf.len())
    }

    /// Whether both are the same allocation, and so the same message.
    #[inline]
    pub fn is_same(&self, other: &Body) -> bool {
        Arc::ptr_eq(&self.buf, &other.buf)
            && self.channel_end == other.channel_end
            && self.payload_start == other.payload_start
    }

    /// The message for an application. Of the payload, the application sees the
    /// first `payload` bytes; the `reply` bytes behind them are the reply address.
    ///
    /// # Panics
    /// If the payload is shorter than both together.
    pub fn envelope(&self, payload: usize, reply: usize) -> Envelope {
        let range =
            |start: usize, len: usize| Range { start: start as u32, end: (start + len) as u32 };
        let start = self.payload_start as usize;
        Envelope::new(
            Arc::clone(&self.buf),
            range(0, self.channel_end as usize),
            range(start + payload, reply),
            Range::default(),
            range(start, payload),
        )
    }
}

/// One copy to put the parts side by side and one into the shared allocation:
/// for short messages cheaper than a second allocation.
fn joined(space: &mut [u8], channel: &[u8], payload: &[u8], more: &[u8]) -> Arc<[u8]> {
    let (head, tail) = space.split_at_mut(channel.len());
    head.copy_from_slice(channel);
    let (middle, end) = tail.split_at_mut(payload.len());
    middle.copy_from_slice(payload);
    end.copy_from_slice(more);
    Arc::from(&*space)
}

impl PartialEq for Body {
    fn eq(&self, other: &Body) -> bool {
        self.channel() == other.channel() && self.payload() == other.payload()
    }
}

impl Eq for Body {}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} B)", self.channel().escape_ascii(), self.payload().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back_whatever_the_length() {
        for len in [0, 1, 100, SMALL, SMALL + 1, MEDIUM, MEDIUM + 1, 100_000] {
            let payload: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let body = Body::from_parts(b"a.b", &payload, b"xyz");
            assert_eq!(body.channel(), b"a.b");
            assert_eq!(body.payload(), [&payload[..], b"xyz"].concat());
            let envelope = body.envelope(len, 2);
            assert_eq!(envelope.channel(), b"a.b");
            assert_eq!(envelope.payload(), payload);
            assert_eq!(envelope.reply(), b"xy");
        }
    }

    #[test]
    fn a_body_over_an_input_skips_what_lies_between() {
        let buf: Arc<[u8]> = Arc::from(&b"news\r\n$2\r\nhi"[..]);
        let body = Body::over(Arc::clone(&buf), 4, 10).expect("lies in the buffer");
        assert_eq!((body.channel(), body.payload()), (&b"news"[..], &b"hi"[..]));
        assert_eq!(body, Body::new(b"news", b"hi"));
        assert_eq!(Body::over(Arc::clone(&buf), 5, 4), None);
        assert_eq!(Body::over(buf, 4, 13), None);
    }
}
