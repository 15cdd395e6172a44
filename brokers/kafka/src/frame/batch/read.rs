//! Reading the records of a batch.

use std::borrow::Cow;
use std::ops::Range;

use super::{BatchError, BatchHeader, Batches, HEADER_LEN, MAX_DECOMPRESSED};

/// One record, as places in the buffer of its batch's records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordView {
    /// Its offset less the batch's base offset.
    pub offset_delta: i32,
    /// Its timestamp less the batch's base timestamp, in milliseconds.
    pub timestamp_delta: i64,
    /// Where the record lies from its key on: all of it that says nothing about
    /// its batch.
    pub body: Range<usize>,
    /// Where its key lies, if it has one.
    pub key: Option<Range<usize>>,
    /// Where its value lies; a record without one is a tombstone.
    pub value: Option<Range<usize>>,
    /// Where its headers lie, the count of them excluded.
    pub headers: Range<usize>,
    /// How many headers it has.
    pub header_count: u32,
}

/// The records of a batch, in order, read from its records' bytes (see
/// [`records`]). After an error it ends.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    buf: &'a [u8],
    at: usize,
    index: u32,
    count: u32,
}

impl<'a> Records<'a> {
    /// The records in `buf`, of which there are to be `header.count`.
    pub fn new(header: &BatchHeader, buf: &'a [u8]) -> Self {
        Records { buf, at: 0, index: 0, count: header.count.max(0) as u32 }
    }

    fn record(&mut self) -> Result<RecordView, &'static str> {
        let mut cursor = Cursor { buf: self.buf, at: self.at };
        let len = usize::try_from(cursor.int()?).map_err(|_| "its length is negative")?;
        let end = cursor.at.checked_add(len).filter(|end| *end <= self.buf.len());
        let end = end.ok_or("it is longer than the batch")?;
        cursor.buf = &self.buf[..end];
        cursor.at += usize::from(cursor.at < end); // Attributes, which nothing uses yet.
        let timestamp_delta = cursor.long()?;
        let offset_delta = cursor.int()?;
        let body = cursor.at..end;
        let key = cursor.bytes()?;
        let value = cursor.bytes()?;
        let header_count = u32::try_from(cursor.int()?).map_err(|_| "its headers are negative")?;
        let headers = cursor.at..end;
        self.at = end;
        Ok(RecordView { offset_delta, timestamp_delta, body, key, value, headers, header_count })
    }
}

impl Iterator for Records<'_> {
    type Item = Result<RecordView, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.index >= self.count {
            if self.at == self.buf.len() {
                return None;
            }
            self.at = self.buf.len();
            return Some(Err(BatchError::Contradiction("there is more than its records")));
        }
        let index = self.index;
        match self.record() {
            Ok(record) => {
                self.index += 1;
                Some(Ok(record))
            }
            Err(reason) => {
                (self.index, self.at) = (self.count, self.buf.len());
                Some(Err(BatchError::Record { index, reason }))
            }
        }
    }
}

/// The headers of a record, in order: name and value. It ends at the first that
/// cannot be read.
#[derive(Clone, Debug)]
pub struct Headers<'a> {
    cursor: Cursor<'a>,
    left: u32,
}

impl<'a> Headers<'a> {
    /// The headers of `record`, whose batch's records are `buf`.
    pub fn new(record: &RecordView, buf: &'a [u8]) -> Self {
        let buf = buf.get(..record.headers.end).unwrap_or_default();
        let cursor = Cursor { buf, at: record.headers.start.min(buf.len()) };
        Headers { cursor, left: record.header_count }
    }
}

impl<'a> Iterator for Headers<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let name = self.cursor.bytes().ok()??;
        let value = self.cursor.bytes().ok()?;
        let buf = self.cursor.buf;
        Some((&buf[name], value.map(|value| &buf[value])))
    }
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// A place in bytes that may end anywhere.
#[derive(Clone, Debug)]
struct Cursor<'a> {
    buf: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    /// A zig-zag varint of up to 64 bits.
    #[inline]
    fn long(&mut self) -> Result<i64, &'static str> {
        // Nearly all have one byte.
        if let Some(byte) = self.buf.get(self.at)
            && *byte < 0x80
        {
            self.at += 1;
            return Ok(unzigzag(u64::from(*byte)));
        }
        self.long_in_bytes()
    }

    fn long_in_bytes(&mut self) -> Result<i64, &'static str> {
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let byte = *self.buf.get(self.at).ok_or("it is cut short")?;
            self.at += 1;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(unzigzag(value));
            }
        }
        Err("a number has more than ten bytes")
    }

    /// A zig-zag varint of up to 32 bits.
    #[inline]
    fn int(&mut self) -> Result<i32, &'static str> {
        i32::try_from(self.long()?).map_err(|_| "a number has more than 32 bits")
    }

    /// A length and as many bytes; a negative length stands for none.
    #[inline]
    fn bytes(&mut self) -> Result<Option<Range<usize>>, &'static str> {
        let Ok(len) = usize::try_from(self.int()?) else { return Ok(None) };
        let start = self.at;
        let end = start.checked_add(len).filter(|end| *end <= self.buf.len());
        self.at = end.ok_or("a key, value or header is longer than the record")?;
        Ok(Some(start..self.at))
    }
}

/// The bytes of the records of the batch that is `batch`: its own where it is
/// not compressed, else new ones.
///
/// # Errors
/// [`BatchError`] when the codec is unknown or refuses.
pub fn records<'a>(header: &BatchHeader, batch: &'a [u8]) -> Result<Cow<'a, [u8]>, BatchError> {
    let packed = batch.get(HEADER_LEN..).unwrap_or_default();
    let codec = header.codec().ok_or(BatchError::Codec(header.attributes & 7))?;
    Ok(codec.decompress(packed, MAX_DECOMPRESSED)?)
}

/// Calls `visit` with the value of every record in the batches in `bytes`, as far
/// as they can be read; allocates only for compressed batches.
pub fn each_value(bytes: &[u8], visit: &mut dyn FnMut(&[u8])) {
    for (header, batch) in Batches::new(bytes).flatten() {
        let Ok(buf) = records(&header, batch) else { continue };
        if header.is_control() {
            continue;
        }
        for record in Records::new(&header, &buf).flatten() {
            if let Some(value) = record.value {
                visit(&buf[value]);
            }
        }
    }
}
