//! One message as one immutable, shared allocation.

use std::sync::Arc;

/// A half-open range of bytes inside an [`Envelope`]'s buffer.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Range {
    /// Bytes in the range.
    pub const fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether the range holds no byte.
    pub const fn is_empty(self) -> bool {
        self.start == self.end
    }

    fn of(self, buf: &[u8]) -> &[u8] {
        &buf[self.start as usize..self.end as usize]
    }
}

/// A received message: one shared buffer and where its parts lie.
///
/// Cloning it clones a reference. The buffer may hold more than one message
/// (a decompressed batch, say); each envelope names its own parts.
#[derive(Clone, Debug)]
pub struct Envelope {
    buf: Arc<[u8]>,
    channel: Range,
    reply: Range,
    headers: Range,
    payload: Range,
}

impl Envelope {
    /// An envelope over `buf`.
    ///
    /// `channel` is the subject, channel or topic in UTF-8; `reply` is empty
    /// when no answer is expected; `headers` is the protocol's own header block,
    /// empty when there is none.
    ///
    /// # Panics
    /// If a range does not lie in `buf`; the cores compute them.
    pub fn new(
        buf: Arc<[u8]>,
        channel: Range,
        reply: Range,
        headers: Range,
        payload: Range,
    ) -> Self {
        for range in [channel, reply, headers, payload] {
            assert!(
                range.start <= range.end && range.end as usize <= buf.len(),
                "range {range:?} lies in a buffer of {} bytes",
                buf.len()
            );
        }
        Envelope { buf, channel, reply, headers, payload }
    }

    /// Copies the parts into one new buffer.
    pub fn compose(channel: &[u8], reply: &[u8], headers: &[u8], payload: &[u8]) -> Self {
        let mut buf =
            Vec::with_capacity(channel.len() + reply.len() + headers.len() + payload.len());
        let mut put = |bytes: &[u8]| {
            let start = buf.len() as u32;
            buf.extend_from_slice(bytes);
            Range { start, end: buf.len() as u32 }
        };
        let (channel, reply, headers, payload) =
            (put(channel), put(reply), put(headers), put(payload));
        Envelope { buf: buf.into(), channel, reply, headers, payload }
    }

    /// The channel, subject or topic, as bytes (UTF-8 where the protocol says so).
    pub fn channel(&self) -> &[u8] {
        self.channel.of(&self.buf)
    }

    /// Where an answer goes; empty when none is expected.
    pub fn reply(&self) -> &[u8] {
        self.reply.of(&self.buf)
    }

    /// The protocol's header block, raw; empty when there is none.
    pub fn headers(&self) -> &[u8] {
        self.headers.of(&self.buf)
    }

    /// The application's bytes, [`crate::Identity`] first.
    pub fn payload(&self) -> &[u8] {
        self.payload.of(&self.buf)
    }
}
