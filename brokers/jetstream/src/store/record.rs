//! One record of a block, as bytes.
//!
//! ```text
//!  0  checksum u32      CRC-32C of everything behind it
//!  4  length u32        of the whole record
//!  8  sequence u64
//! 16  time u64          nanoseconds since 1970; the end of a range for others than messages
//! 24  header block u32  its length
//! 28  subject u16       its length
//! 30  kind u8
//! 31  reserved u8       zero
//! 32  subject, header block, payload
//! ```
//! All numbers are little-endian.

/// Bytes in front of the parts.
pub(crate) const HEAD: usize = 32;

/// What a record says.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A message was stored.
    Message = 1,
    /// The messages of a range of sequences were removed.
    Delete = 2,
    /// Everything before the end of the range was removed.
    First = 3,
    /// The sequences of a range were given to nothing.
    Skip = 4,
}

impl Kind {
    fn read(byte: u8) -> Option<Kind> {
        [Kind::Message, Kind::Delete, Kind::First, Kind::Skip]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }
}

/// A record that was read.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record<'a> {
    pub kind: Kind,
    /// Its sequence, or the first of a range.
    pub seq: u64,
    /// Its time, or the last sequence of a range.
    pub time: u64,
    pub subject: &'a [u8],
    pub headers: &'a [u8],
    pub payload: &'a [u8],
}

/// Why bytes are no record.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Flaw {
    /// They end before the record does.
    #[error("the record is cut off")]
    Short,
    /// The lengths contradict each other.
    #[error("the record's lengths contradict each other")]
    Length,
    /// The checksum is not that of the bytes.
    #[error("the checksum is wrong")]
    Checksum,
    /// There is no such kind.
    #[error("the record is of an unknown kind")]
    Kind,
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// The bytes in front of the parts. `sum` is false for a store in memory, which
/// nothing but this process can damage.
#[inline]
pub(crate) fn head(record: &Record<'_>, sum: bool) -> [u8; HEAD] {
    let len = HEAD + record.subject.len() + record.headers.len() + record.payload.len();
    let mut head = [0; HEAD];
    head[4..8].copy_from_slice(&(len as u32).to_le_bytes());
    head[8..16].copy_from_slice(&record.seq.to_le_bytes());
    head[16..24].copy_from_slice(&record.time.to_le_bytes());
    head[24..28].copy_from_slice(&(record.headers.len() as u32).to_le_bytes());
    head[28..30].copy_from_slice(&(record.subject.len() as u16).to_le_bytes());
    head[30] = record.kind as u8;
    if sum {
        let mut crc = crc32c::crc32c(&head[4..]);
        for part in [record.subject, record.headers, record.payload] {
            crc = crc32c::crc32c_append(crc, part);
        }
        head[0..4].copy_from_slice(&crc.to_le_bytes());
    }
    head
}

/// Bytes of the record that `bytes` begin with, if its head is there.
pub(crate) fn len(bytes: &[u8]) -> Option<usize> {
    (bytes.len() >= HEAD).then(|| u32_at(bytes, 4) as usize)
}

/// Reads the record that `bytes` begin with.
#[inline]
pub(crate) fn read(bytes: &[u8], check: bool) -> Result<Record<'_>, Flaw> {
    let len = len(bytes).ok_or(Flaw::Short)?;
    if len < HEAD {
        return Err(Flaw::Length);
    }
    let bytes = bytes.get(..len).ok_or(Flaw::Short)?;
    if check && crc32c::crc32c(&bytes[4..]) != u32_at(bytes, 0) {
        return Err(Flaw::Checksum);
    }
    let headers = u32_at(bytes, 24) as usize;
    let subject = usize::from(u16::from_le_bytes([bytes[28], bytes[29]]));
    let payload = HEAD + subject + headers;
    if payload > len || bytes[31] != 0 {
        return Err(Flaw::Length);
    }
    Ok(Record {
        kind: Kind::read(bytes[30]).ok_or(Flaw::Kind)?,
        seq: u64_at(bytes, 8),
        time: u64_at(bytes, 16),
        subject: &bytes[HEAD..HEAD + subject],
        headers: &bytes[HEAD + subject..payload],
        payload: &bytes[payload..],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(record: &Record<'_>) -> Vec<u8> {
        [&head(record, true)[..], record.subject, record.headers, record.payload].concat()
    }

    #[test]
    fn records_come_back() {
        let record = Record {
            kind: Kind::Message,
            seq: 17,
            time: 1 << 60,
            subject: b"a.b",
            headers: b"NATS/1.0\r\n\r\n",
            payload: b"payload",
        };
        let mut bytes = encoded(&record);
        assert_eq!(read(&bytes, true), Ok(record));
        bytes.extend_from_slice(b"behind");
        assert_eq!(read(&bytes, true), Ok(record));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_seen() {
        let (kind, headers) = (Kind::Message, &b""[..]);
        let record = Record { kind, seq: 1, time: 2, subject: b"a", headers, payload: b"xyz" };
        let bytes = encoded(&record);
        for cut in 0..bytes.len() {
            assert_eq!(read(&bytes[..cut], true), Err(Flaw::Short), "{cut}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&flipped, true).is_err(), "bit {bit}");
        }
    }
}
