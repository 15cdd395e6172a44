//! A message in one shared allocation.

use std::fmt;
use std::sync::Arc;

use broker_contract::{Envelope, Range};

use super::size::{CRLF, digits};

/// Bytes in front of the parts: three lengths, little-endian.
const PREFIX: usize = 12;
/// Messages up to this many bytes are put together on the stack.
const SMALL: usize = 256;
/// And these on a larger piece of it.
const MEDIUM: usize = 2_048;

/// Subject, reply subject, header block and payload behind one reference.
///
/// The buffer holds the lengths of the first three as 32-bit numbers, then the
/// four parts. A clone is a reference, so that a fan-out to any number of
/// subscribers holds the bytes once, and an [`Envelope`] lies over the same
/// buffer.
#[derive(Clone, PartialEq, Eq)]
pub struct Message(Arc<[u8]>);

impl Message {
    /// Copies the parts into one new allocation. `reply` is empty when no answer
    /// is expected, and `headers` is the whole block (`NATS/1.0\r\n` to the empty
    /// line) or empty.
    ///
    /// # Panics
    /// If the parts are longer than 4 GiB together; the control line and the
    /// largest payload are limited far below.
    pub fn new(subject: &[u8], reply: &[u8], headers: &[u8], payload: &[u8]) -> Message {
        let len = PREFIX + subject.len() + reply.len() + headers.len() + payload.len();
        assert!(u32::try_from(len).is_ok(), "a message is shorter than 4 GiB");
        let fill = |buf: &mut [u8]| {
            buf[0..4].copy_from_slice(&(subject.len() as u32).to_le_bytes());
            buf[4..8].copy_from_slice(&(reply.len() as u32).to_le_bytes());
            buf[8..12].copy_from_slice(&(headers.len() as u32).to_le_bytes());
            let mut rest = &mut buf[PREFIX..];
            for part in [subject, reply, headers, payload] {
                let (place, behind) = rest.split_at_mut(part.len());
                place.copy_from_slice(part);
                rest = behind;
            }
        };
        // An `Arc<[u8]>` takes one allocation only from a slice or from an
        // iterator of known length. Copying a small message twice is cheaper than
        // clearing the allocation byte by byte, which is what the iterator does.
        Message(if len <= SMALL {
            let mut stack = [0; SMALL];
            fill(&mut stack[..len]);
            Arc::from(&stack[..len])
        } else if len <= MEDIUM {
            let mut stack = [0; MEDIUM];
            fill(&mut stack[..len]);
            Arc::from(&stack[..len])
        } else {
            let mut buf: Arc<[u8]> = std::iter::repeat_n(0, len).collect();
            fill(Arc::get_mut(&mut buf).expect("a new allocation has one owner"));
            buf
        })
    }

    #[inline]
    fn word(&self, at: usize) -> usize {
        u32::from_le_bytes([self.0[at], self.0[at + 1], self.0[at + 2], self.0[at + 3]]) as usize
    }

    /// Where the four parts end.
    #[inline]
    fn ends(&self) -> [usize; 3] {
        let subject = PREFIX + self.word(0);
        let reply = subject + self.word(4);
        [subject, reply, reply + self.word(8)]
    }

    /// The subject.
    #[inline]
    pub fn subject(&self) -> &[u8] {
        &self.0[PREFIX..PREFIX + self.word(0)]
    }

    /// Where an answer goes; empty when none is expected.
    #[inline]
    pub fn reply(&self) -> &[u8] {
        let [subject, reply, _] = self.ends();
        &self.0[subject..reply]
    }

    /// The header block, raw; empty when there is none.
    #[inline]
    pub fn headers(&self) -> &[u8] {
        let [_, reply, headers] = self.ends();
        &self.0[reply..headers]
    }

    /// The payload, without headers.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        &self.0[self.ends()[2]..]
    }

    /// The payload as part of the shared allocation.
    #[inline]
    pub fn shared_payload(&self) -> (&Arc<[u8]>, std::ops::Range<usize>) {
        (&self.0, self.ends()[2]..self.0.len())
    }

    /// Whether both are the same allocation, and so the same message.
    #[inline]
    pub fn is_same(&self, other: &Message) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Bytes that count against the largest payload: headers and payload.
    #[inline]
    pub fn total_len(&self) -> usize {
        self.0.len() - PREFIX - self.word(0) - self.word(4)
    }

    /// The message for an application, over the same buffer. `plain` leaves the
    /// headers out, as a delivery to a client without header support does.
    pub fn into_envelope(self, plain: bool) -> Envelope {
        let [subject, reply, headers] = self.ends();
        let range = |start: usize, end: usize| Range { start: start as u32, end: end as u32 };
        let end = self.0.len();
        let block = if plain { Range::default() } else { range(reply, headers) };
        Envelope::new(
            self.0,
            range(PREFIX, subject),
            range(subject, reply),
            block,
            range(headers, end),
        )
    }

    /// As [`Message::into_envelope`] with headers, for a reply subject that is not
    /// the application's to answer to.
    pub fn into_envelope_without_reply(self) -> Envelope {
        let [subject, reply, headers] = self.ends();
        let range = |start: usize, end: usize| Range { start: start as u32, end: end as u32 };
        let end = self.0.len();
        Envelope::new(
            self.0,
            range(PREFIX, subject),
            Range::default(),
            range(reply, headers),
            range(headers, end),
        )
    }

    /// The lengths of subject with reply and the blanks in front of them, and of
    /// the numbers with what they count.
    #[inline]
    fn lengths(&self, plain: bool) -> (usize, usize) {
        let [subject, reply, headers] = self.ends();
        let names = 1 + (subject - PREFIX) + if reply > subject { 1 + reply - subject } else { 0 };
        let payload = self.0.len() - headers;
        let block = headers - reply;
        let counted = if block == 0 || plain {
            1 + digits(payload as u64) + CRLF + payload + CRLF
        } else {
            let total = block + payload;
            2 + digits(block as u64) + digits(total as u64) + CRLF + total + CRLF
        };
        (names, counted)
    }

    /// Whether the line is HPUB or HMSG rather than PUB or MSG.
    #[inline]
    pub fn has_headers(&self) -> bool {
        self.word(8) > 0
    }

    /// Bytes of `PUB` or `HPUB` with this message.
    pub fn publish_len(&self) -> usize {
        let (names, counted) = self.lengths(false);
        3 + usize::from(self.has_headers()) + names + counted
    }

    /// Bytes of the line in front of the payload of `PUB` or `HPUB`, without the
    /// verb and without the line's end: what the control line limits.
    pub fn control_len(&self) -> usize {
        let (names, counted) = self.lengths(false);
        names + counted - self.total_len() - 2 * CRLF
    }

    /// Bytes of `MSG` or `HMSG` with this message, but for the digits of the
    /// subscription's identifier, so that a fan-out computes it once.
    #[inline]
    pub fn delivery_len(&self, plain: bool) -> usize {
        let (names, counted) = self.lengths(plain);
        3 + usize::from(self.has_headers() && !plain) + names + 1 + counted
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.subject().escape_ascii())?;
        if !self.reply().is_empty() {
            write!(f, " reply {}", self.reply().escape_ascii())?;
        }
        if self.has_headers() {
            write!(f, " headers {:?}", self.headers().escape_ascii().to_string())?;
        }
        write!(f, " ({} B)", self.payload().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_back_whatever_the_length() {
        for len in [0, 1, 100, 200, SMALL, MEDIUM, MEDIUM + 1, 100_000] {
            let payload: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let message = Message::new(b"a.b", b"re", b"NATS/1.0\r\n\r\n", &payload);
            assert_eq!(message.subject(), b"a.b");
            assert_eq!(message.reply(), b"re");
            assert_eq!(message.headers(), b"NATS/1.0\r\n\r\n");
            assert_eq!(message.payload(), payload);
            assert_eq!(message.total_len(), len + 12);
            let envelope = message.clone().into_envelope(false);
            assert_eq!(envelope.payload().as_ptr(), message.payload().as_ptr(), "not copied");
            assert_eq!(envelope.channel(), b"a.b");
            assert_eq!(envelope.reply(), b"re");
            assert_eq!(envelope.headers(), message.headers());
            assert!(message.into_envelope(true).headers().is_empty());
        }
    }
}
