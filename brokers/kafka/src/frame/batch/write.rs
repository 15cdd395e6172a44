//! Writing a batch, record by record.

use super::{
    BatchError, CRC_START, Codec, DELETE_HORIZON, HEADER_LEN, LENGTH_END, MAGIC, TIMESTAMP_TYPE,
};

/// Gathers records into one batch.
///
/// The first record sets the base timestamp. Offsets within the batch are given
/// in order by [`push`](BatchWriter::push), or by the caller with
/// [`push_at`](BatchWriter::push_at) where compaction has left gaps.
#[derive(Clone, Debug)]
pub struct BatchWriter {
    buf: Vec<u8>,
    count: i32,
    next_delta: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    producer: (i64, i16, i32),
    base_offset: i64,
    leader_epoch: i32,
    attributes: i16,
    last_delta: Option<i32>,
}

impl Default for BatchWriter {
    fn default() -> Self {
        BatchWriter::new()
    }
}

impl BatchWriter {
    /// An empty batch of no idempotent producer.
    pub fn new() -> Self {
        BatchWriter::over(vec![0; HEADER_LEN])
    }

    /// An empty batch in `buf`, which holds room for a header and nothing else.
    fn over(buf: Vec<u8>) -> Self {
        BatchWriter {
            buf,
            count: 0,
            next_delta: 0,
            base_timestamp: -1,
            max_timestamp: -1,
            producer: (-1, -1, -1),
            base_offset: 0,
            leader_epoch: -1,
            attributes: 0,
            last_delta: None,
        }
    }

    /// An empty batch with room for `bytes`, header included.
    pub fn with_capacity(bytes: usize) -> Self {
        let mut buf = Vec::with_capacity(bytes.max(HEADER_LEN));
        buf.resize(HEADER_LEN, 0);
        BatchWriter::over(buf)
    }

    /// Sets the idempotent producer, its epoch and the first record's sequence.
    pub fn producer(&mut self, id: i64, epoch: i16, base_sequence: i32) -> &mut Self {
        self.producer = (id, epoch, base_sequence);
        self
    }

    /// Sets the first record's offset and the leader epoch; both are 0 and -1
    /// in a batch that a producer sends.
    pub fn placed(&mut self, base_offset: i64, leader_epoch: i32) -> &mut Self {
        (self.base_offset, self.leader_epoch) = (base_offset, leader_epoch);
        self
    }

    /// Says that the timestamps are the node's.
    pub fn append_time(&mut self) -> &mut Self {
        self.attributes |= TIMESTAMP_TYPE;
        self
    }

    /// Sets the base timestamp and the moment from which tombstones go (they
    /// share a field), before the first record.
    pub fn delete_horizon(&mut self, at_ms: i64) -> &mut Self {
        self.attributes |= DELETE_HORIZON;
        self.base_timestamp = at_ms;
        self
    }

    /// Keeps this last offset delta, whatever the records' own are.
    pub fn last_offset_delta(&mut self, delta: i32) -> &mut Self {
        self.last_delta = Some(delta);
        self
    }

    /// Records so far.
    pub fn count(&self) -> i32 {
        self.count
    }

    /// Bytes so far, uncompressed, header included.
    pub fn size(&self) -> usize {
        self.buf.len()
    }

    /// Appends a record at the next offset; a record without a value is a
    /// tombstone. `timestamp` is in Unix milliseconds.
    pub fn push<'a>(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + Clone,
    ) {
        let delta = self.next_delta;
        let timestamp_delta = self.stamp(timestamp);
        let sized = |bytes: Option<&[u8]>| match bytes {
            Some(bytes) => varint_len(bytes.len() as i64) + bytes.len(),
            None => 1,
        };
        let mut len = 1 + varint_len(timestamp_delta) + varint_len(i64::from(delta));
        len += sized(key) + sized(value) + varint_len(headers.len() as i64);
        for (name, value) in headers.clone() {
            len += sized(Some(name)) + sized(Some(value));
        }
        self.buf.reserve(len + 5);
        put_varint(&mut self.buf, len as i64);
        self.buf.push(0);
        put_varint(&mut self.buf, timestamp_delta);
        put_varint(&mut self.buf, i64::from(delta));
        put_bytes(&mut self.buf, key);
        put_bytes(&mut self.buf, value);
        put_varint(&mut self.buf, headers.len() as i64);
        for (name, value) in headers {
            put_bytes(&mut self.buf, Some(name));
            put_bytes(&mut self.buf, Some(value));
        }
        self.took(delta);
    }

    /// Appends a record that another batch held, at `delta`, which must be
    /// larger than the last one's. `rest` is the record from its key on.
    pub fn push_at(&mut self, timestamp: i64, delta: i32, rest: &[u8]) {
        let timestamp_delta = self.stamp(timestamp);
        let len = 1 + varint_len(timestamp_delta) + varint_len(i64::from(delta)) + rest.len();
        put_varint(&mut self.buf, len as i64);
        self.buf.push(0);
        put_varint(&mut self.buf, timestamp_delta);
        put_varint(&mut self.buf, i64::from(delta));
        self.buf.extend_from_slice(rest);
        self.took(delta);
    }

    /// The batch, its records compressed with `codec`. The writer is then empty,
    /// without producer, and keeps its buffer's capacity.
    ///
    /// # Errors
    /// [`BatchError`] when the codec refuses or the batch is longer than 2 GiB.
    pub fn finish(&mut self, codec: Codec) -> Result<Vec<u8>, BatchError> {
        let mut batch = if codec == Codec::None {
            std::mem::take(&mut self.buf)
        } else {
            let mut batch = Vec::with_capacity(HEADER_LEN + self.buf.len() / 2);
            batch.resize(HEADER_LEN, 0);
            codec.compress(&self.buf[HEADER_LEN..], &mut batch)?;
            batch
        };
        let length = i32::try_from(batch.len() - LENGTH_END)
            .map_err(|_| BatchError::Contradiction("it is longer than 2 GiB"))?;
        let last_delta = self.last_delta.unwrap_or(self.next_delta - 1);
        let (producer_id, producer_epoch, base_sequence) = self.producer;
        batch[0..8].copy_from_slice(&self.base_offset.to_be_bytes());
        batch[8..12].copy_from_slice(&length.to_be_bytes());
        batch[12..16].copy_from_slice(&self.leader_epoch.to_be_bytes());
        batch[16] = MAGIC as u8;
        batch[21..23].copy_from_slice(&(self.attributes | codec as i16).to_be_bytes());
        batch[23..27].copy_from_slice(&last_delta.to_be_bytes());
        batch[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        batch[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        batch[43..51].copy_from_slice(&producer_id.to_be_bytes());
        batch[51..53].copy_from_slice(&producer_epoch.to_be_bytes());
        batch[53..57].copy_from_slice(&base_sequence.to_be_bytes());
        batch[57..61].copy_from_slice(&self.count.to_be_bytes());
        let crc = crc32c::crc32c(&batch[CRC_START..]);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        let mut buf = std::mem::take(&mut self.buf);
        buf.clear();
        buf.resize(HEADER_LEN, 0);
        *self = BatchWriter::over(buf);
        Ok(batch)
    }

    fn stamp(&mut self, timestamp: i64) -> i64 {
        if self.count == 0 && self.attributes & DELETE_HORIZON == 0 {
            self.base_timestamp = timestamp;
        }
        self.max_timestamp = self.max_timestamp.max(timestamp);
        timestamp.wrapping_sub(self.base_timestamp)
    }

    fn took(&mut self, delta: i32) {
        self.count += 1;
        self.next_delta = delta + 1;
    }
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Bytes of a zig-zag varint.
fn varint_len(value: i64) -> usize {
    (64 - (zigzag(value) | 1).leading_zeros() as usize).div_ceil(7)
}

#[inline]
fn put_varint(buf: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        buf.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    buf.push(rest as u8);
}

fn put_bytes(buf: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            put_varint(buf, bytes.len() as i64);
            buf.extend_from_slice(bytes);
        }
        None => buf.push(1),
    }
}
