//! A fetched batch whose records are handed out one by one.
//!
//! All uncompressed batches of one answer share one buffer; a compressed batch is
//! decompressed once into a buffer of its own. A record is then an envelope over
//! the buffer: no bytes are copied for it.

use std::ops::Range as Bytes;
use std::sync::Arc;

use broker_contract::{Envelope, Range};

use crate::frame::Codec;
use crate::frame::batch::{
    BatchError, BatchHeader, Batches, HEADER_LEN, Headers, RecordView, Records, check, records,
};

/// The header that carries the channel where the record's key is another.
pub(crate) const CHANNEL_HEADER: &str = "lab-channel";
/// The header that carries where an answer goes.
pub(crate) const REPLY_HEADER: &str = "lab-reply";

/// The rest of a fetched batch.
#[derive(Debug)]
pub(crate) struct Chunk {
    buf: Arc<[u8]>,
    header: BatchHeader,
    /// Records that are left, in the buffer.
    rest: Bytes<usize>,
}

/// A record, opened.
#[derive(Debug)]
pub(crate) struct Opened {
    /// Its offset.
    pub offset: i64,
    /// The message.
    pub message: Envelope,
}

/// What a fetch brought of one partition.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// Batches with records from the position on.
    pub chunks: Vec<Chunk>,
    /// The offset to go on with.
    pub next: i64,
    /// The leader epoch of the last batch.
    pub epoch: i32,
    /// A batch that is not what was written; it is where `next` is.
    pub error: Option<BatchError>,
}

const UNSOUND: BatchError = BatchError::Contradiction("its offsets are none that a log has");

/// Reads the batches of one partition's answer. A last batch that is cut short is
/// left for the next fetch.
pub(crate) fn read(bytes: &[u8], position: i64) -> Fetched {
    let mut fetched = Fetched { chunks: Vec::new(), next: position, epoch: -1, error: None };
    let mut shared: Option<Arc<[u8]>> = None;
    let start = bytes.as_ptr() as usize;
    for batch in Batches::new(bytes) {
        let checked = batch.and_then(|(_, batch)| {
            let header = check(batch)?;
            // The base offset is not in the checksum.
            if header.has_sound_offsets() { Ok((header, batch)) } else { Err(UNSOUND) }
        });
        let (header, batch) = match checked {
            Ok(checked) => checked,
            Err(BatchError::Short { .. }) => break,
            Err(error) => {
                fetched.error = Some(error);
                break;
            }
        };
        fetched.epoch = header.leader_epoch;
        if header.last_offset() < position {
            continue;
        }
        fetched.next = header.last_offset() + 1;
        if header.is_control() {
            continue;
        }
        if header.codec() == Some(Codec::None) {
            let buf = shared.get_or_insert_with(|| Arc::from(bytes));
            let at = batch.as_ptr() as usize - start;
            let rest = at + HEADER_LEN..at + batch.len();
            fetched.chunks.push(Chunk { buf: Arc::clone(buf), header, rest });
            continue;
        }
        match records(&header, batch) {
            Ok(plain) => {
                let rest = 0..plain.len();
                fetched.chunks.push(Chunk { buf: plain.into(), header, rest });
            }
            Err(error) => {
                fetched.next = header.base_offset.max(position);
                fetched.error = Some(error);
                break;
            }
        }
    }
    fetched
}

impl Chunk {
    /// Hands out records from `position` on, as long as `take` wants more;
    /// whether any are left. A record that cannot be read ends the batch.
    pub fn hand_out(
        &mut self,
        topic: &str,
        position: i64,
        mut take: impl FnMut(Opened) -> bool,
    ) -> bool {
        let base = self.rest.start;
        let buf = Arc::clone(&self.buf);
        let slice = &buf[self.rest.clone()];
        for record in Records::new(&self.header, slice) {
            let Ok(record) = record else { break };
            self.header.count -= 1;
            self.rest.start = base + record.body.end;
            let offset = self.header.base_offset + i64::from(record.offset_delta);
            if offset < position {
                continue;
            }
            let message = open(&buf, slice, base, &record, topic);
            if !take(Opened { offset, message }) {
                return self.header.count > 0;
            }
        }
        false
    }
}

fn range(of: &Bytes<usize>, base: usize) -> Range {
    Range { start: (base + of.start) as u32, end: (base + of.end) as u32 }
}

/// The message in a record: its channel is in a header, or is its key. A record
/// of another kind of producer has the topic for its channel.
fn open(buf: &Arc<[u8]>, slice: &[u8], base: usize, record: &RecordView, topic: &str) -> Envelope {
    let none = Range::default();
    let payload = record.value.as_ref().map_or(none, |value| range(value, base));
    let headers = range(&record.headers, base);
    let key = record.key.as_ref().map(|key| range(key, base));
    let (mut channel, mut reply) = (None, none);
    if record.header_count > 0 {
        let place = slice.as_ptr() as usize;
        for (name, value) in Headers::new(record, slice) {
            let Some(value) = value else { break };
            let start = base + (value.as_ptr() as usize - place);
            let value = Range { start: start as u32, end: (start + value.len()) as u32 };
            match name {
                _ if name == CHANNEL_HEADER.as_bytes() && channel.is_none() => {
                    channel = Some(value)
                }
                _ if name == REPLY_HEADER.as_bytes() && reply.is_empty() => reply = value,
                // The client's own headers come first.
                _ => break,
            }
        }
    }
    let is_below = |key: &Range| {
        let key = &buf[key.start as usize..key.end as usize];
        let rest = key.strip_prefix(topic.as_bytes());
        rest.is_some_and(|rest| rest.is_empty() || rest[0] == b'.')
    };
    match channel.or(key.filter(is_below)) {
        Some(channel) => Envelope::new(Arc::clone(buf), channel, reply, headers, payload),
        None => {
            let part = |of: Range| &buf[of.start as usize..of.end as usize];
            Envelope::compose(topic.as_bytes(), part(reply), part(headers), part(payload))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::batch::BatchWriter;

    fn batch(base: i64, codec: Codec, keys: &[&str]) -> Vec<u8> {
        let mut writer = BatchWriter::new();
        writer.placed(base, 4);
        for key in keys {
            let value = format!("value of {key}");
            writer.push(0, Some(key.as_bytes()), Some(value.as_bytes()), [].into_iter());
        }
        writer.finish(codec).expect("it encodes")
    }

    fn all(fetched: &mut Fetched, position: i64) -> Vec<(i64, String)> {
        let mut seen = Vec::new();
        for chunk in &mut fetched.chunks {
            let left = chunk.hand_out("t", position, |opened| {
                let channel = String::from_utf8_lossy(opened.message.channel()).into_owned();
                assert_eq!(opened.message.payload(), format!("value of {channel}").as_bytes());
                seen.push((opened.offset, channel));
                true
            });
            assert!(!left);
        }
        seen
    }

    #[test]
    fn batches_of_every_codec_are_read_from_the_position_on() {
        for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let mut bytes = batch(10, codec, &["t.a", "t.b", "t.c"]);
            bytes.extend(batch(13, codec, &["t.d"]));
            bytes.extend(&batch(14, codec, &["t.e"])[..70]);
            let mut fetched = read(&bytes, 11);
            assert_eq!((fetched.next, fetched.epoch), (14, 4), "{codec:?}");
            assert_eq!(fetched.error, None);
            let seen = all(&mut fetched, 11);
            assert_eq!(seen, [(11, "t.b".into()), (12, "t.c".into()), (13, "t.d".into())]);
        }
    }

    #[test]
    fn records_are_handed_out_one_by_one() {
        let mut fetched = read(&batch(0, Codec::None, &["t.a", "t.b", "t"]), 0);
        let chunk = &mut fetched.chunks[0];
        let mut seen = Vec::new();
        for expected_left in [true, true, false] {
            let left = chunk.hand_out("t", 0, |opened| {
                seen.push(opened.offset);
                false
            });
            assert_eq!(left, expected_left);
        }
        assert_eq!(seen, [0, 1, 2]);
    }

    #[test]
    fn a_flipped_bit_is_found() {
        let mut bytes = batch(0, Codec::None, &["t.a"]);
        bytes.extend(batch(1, Codec::None, &["t.b"]));
        let last = bytes.len() - 3;
        bytes[last] ^= 1;
        let fetched = read(&bytes, 0);
        assert!(matches!(fetched.error, Some(BatchError::Checksum { .. })));
        assert_eq!((fetched.next, fetched.chunks.len()), (1, 1));
    }

    #[test]
    fn offsets_that_no_log_has_are_damage() {
        // They are not in the checksum, which is therefore right.
        for base in [i64::MAX, i64::MAX - 1, -1, i64::MIN] {
            let mut bytes = batch(0, Codec::None, &["t.a", "t.b"]);
            bytes[..8].copy_from_slice(&base.to_be_bytes());
            let fetched = read(&bytes, 0);
            assert!(matches!(fetched.error, Some(BatchError::Contradiction(_))), "{base}");
            assert_eq!((fetched.next, fetched.chunks.len()), (0, 0));
        }
    }

    #[test]
    fn headers_carry_the_channel_and_foreign_records_have_their_topic_for_it() {
        let mut writer = BatchWriter::new();
        let own: [(&[u8], &[u8]); 3] =
            [(b"lab-channel", b"t.x.y"), (b"lab-reply", b"here#1"), (b"Unit", b"kelvin")];
        writer.push(0, Some(b"account 7"), Some(b"v"), own.into_iter());
        writer.push(0, Some(b"stranger"), Some(b"w"), own[2..].iter().copied());
        writer.push(0, None, None, [].into_iter());
        let mut fetched = read(&writer.finish(Codec::None).expect("encodes"), 0);
        let mut seen = Vec::new();
        fetched.chunks[0].hand_out("t", 0, |opened| {
            seen.push(opened.message);
            true
        });
        assert_eq!(seen[0].channel(), b"t.x.y");
        assert_eq!(seen[0].reply(), b"here#1");
        assert!(seen[0].headers().windows(6).any(|window| window == b"kelvin"));
        assert_eq!((seen[1].channel(), seen[1].payload()), (&b"t"[..], &b"w"[..]));
        assert!(seen[1].reply().is_empty());
        assert_eq!((seen[2].channel(), seen[2].payload()), (&b"t"[..], &b""[..]));
    }
}
