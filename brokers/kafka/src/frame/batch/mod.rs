//! The record batch, format version 2.
//!
//! A batch is what a producer made of some records, and it stays that, byte for
//! byte, on the disk and at the consumer. Only its base offset and its leader
//! epoch are written by the node; they lie outside of what its checksum covers:
//!
//! | bytes | field | |
//! |---|---|---|
//! | 0..8 | base offset | written by the node |
//! | 8..12 | length | of all that follows |
//! | 12..16 | leader epoch | written by the node |
//! | 16 | magic | 2 |
//! | 17..21 | CRC-32C | of all that follows |
//! | 21..23 | attributes | bits 0-2 codec, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon |
//! | 23..27 | last offset delta | |
//! | 27..35, 35..43 | base and largest timestamp | Unix milliseconds |
//! | 43..51, 51..53, 53..57 | producer id, producer epoch, base sequence | -1 where not idempotent |
//! | 57..61 | records | |
//!
//! All numbers are big-endian; inside of records they are zig-zag varints.
//!
//! Start with [`BatchHeader`], then [`Records`] to read and [`BatchWriter`] to
//! write.

mod read;
mod write;

pub use read::{Headers, RecordView, Records, each_value, records};
pub use write::BatchWriter;

use super::compression::{Codec, CompressionError};

/// Bytes in front of a batch's records.
pub const HEADER_LEN: usize = 61;
/// Bytes in front of what a batch's length counts.
pub const LENGTH_END: usize = 12;
/// Where the checksum starts to cover.
pub const CRC_START: usize = 21;
/// Where the leader epoch begins.
pub const EPOCH_START: usize = 12;
/// The one magic that is known.
pub const MAGIC: i8 = 2;
/// Neither a client nor a node ever takes more out of one compressed batch.
pub const MAX_DECOMPRESSED: usize = 256 << 20;

const TIMESTAMP_TYPE: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;
const DELETE_HORIZON: i16 = 1 << 6;

/// Why bytes are not a record batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// There are fewer bytes than a batch needs.
    #[error("the batch is cut short: {have} of {need} bytes")]
    Short {
        /// Bytes there are.
        have: u64,
        /// Bytes there should be.
        need: u64,
    },
    /// A length that no batch has.
    #[error("the batch's length is {0}, and no batch is shorter than 49")]
    Length(i32),
    /// Another format.
    #[error("the batch's magic is {0}, and only 2 is known")]
    Magic(i8),
    /// The bytes are not those that were written.
    #[error("the batch's CRC-32C is {found:08x}, and its bytes give {computed:08x}")]
    Checksum {
        /// The checksum in the header.
        found: u32,
        /// The checksum of the bytes.
        computed: u32,
    },
    /// The header contradicts itself, or what follows it.
    #[error("the batch contradicts itself: {0}")]
    Contradiction(&'static str),
    /// A record that cannot be read.
    #[error("record {index} of the batch cannot be read: {reason}")]
    Record {
        /// Its place in the batch.
        index: u32,
        /// What is wrong.
        reason: &'static str,
    },
    /// The codec's number is unknown.
    #[error("the batch's codec is {0}, and only 0 to 4 are known")]
    Codec(i16),
    /// The records cannot be decompressed.
    #[error("the batch's records cannot be decompressed: {0}")]
    Compression(#[from] CompressionError),
}

/// The fields in front of a batch's records.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// The first record's offset.
    pub base_offset: i64,
    /// Bytes from the leader epoch to the end.
    pub length: i32,
    /// The epoch of the leader that appended it.
    pub leader_epoch: i32,
    /// CRC-32C of everything from the attributes on.
    pub crc: u32,
    /// Codec and flags.
    pub attributes: i16,
    /// The last record's offset less the base offset. Compaction removes records
    /// and leaves this as it was.
    pub last_offset_delta: i32,
    /// The first record's timestamp, or the delete horizon, in Unix milliseconds.
    pub base_timestamp: i64,
    /// The largest timestamp, in Unix milliseconds; -1 where there is none.
    pub max_timestamp: i64,
    /// The idempotent producer, or -1.
    pub producer_id: i64,
    /// Its epoch, or -1.
    pub producer_epoch: i16,
    /// The first record's sequence, or -1.
    pub base_sequence: i32,
    /// Records in the batch.
    pub count: i32,
}

/// The `N` bytes at `at`; the caller has checked that they exist.
fn at<const N: usize>(head: &[u8; HEADER_LEN], at: usize) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&head[at..at + N]);
    bytes
}

impl BatchHeader {
    /// Reads the header at the front of `bytes`. Neither the checksum nor that
    /// the whole batch is there is checked.
    ///
    /// # Errors
    /// [`BatchError`] when there is no header of format version 2.
    pub fn read(bytes: &[u8]) -> Result<BatchHeader, BatchError> {
        let Some(head) = bytes.first_chunk::<HEADER_LEN>() else {
            return Err(BatchError::Short { have: bytes.len() as u64, need: HEADER_LEN as u64 });
        };
        let magic = head[16] as i8;
        if magic != MAGIC {
            return Err(BatchError::Magic(magic));
        }
        let length = i32::from_be_bytes(at(head, 8));
        if length < (HEADER_LEN - LENGTH_END) as i32 {
            return Err(BatchError::Length(length));
        }
        Ok(BatchHeader {
            base_offset: i64::from_be_bytes(at(head, 0)),
            length,
            leader_epoch: i32::from_be_bytes(at(head, EPOCH_START)),
            crc: u32::from_be_bytes(at(head, 17)),
            attributes: i16::from_be_bytes(at(head, 21)),
            last_offset_delta: i32::from_be_bytes(at(head, 23)),
            base_timestamp: i64::from_be_bytes(at(head, 27)),
            max_timestamp: i64::from_be_bytes(at(head, 35)),
            producer_id: i64::from_be_bytes(at(head, 43)),
            producer_epoch: i16::from_be_bytes(at(head, 51)),
            base_sequence: i32::from_be_bytes(at(head, 53)),
            count: i32::from_be_bytes(at(head, 57)),
        })
    }

    /// Bytes of the whole batch.
    pub fn size(&self) -> usize {
        LENGTH_END + self.length.max(0) as usize
    }

    /// The last offset that the batch covers.
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    /// Whether its offsets are some that a log can hold. They guard what the checksum
    /// does not, where it was not checked.
    pub fn has_sound_offsets(&self) -> bool {
        self.base_offset >= 0
            && self.last_offset_delta >= 0
            && self.base_offset <= i64::MAX - i64::from(i32::MAX)
    }

    /// How its records are compressed; `None` for an unknown codec.
    pub fn codec(&self) -> Option<Codec> {
        Codec::from_bits(self.attributes)
    }

    /// Whether timestamps are the node's (`LogAppendTime`) and not the client's.
    pub fn is_append_time(&self) -> bool {
        self.attributes & TIMESTAMP_TYPE != 0
    }

    /// Whether it belongs to a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Whether it holds the marks of transactions, and no application's records.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// The moment from which compaction removes its tombstones, once that is set.
    pub fn delete_horizon(&self) -> Option<i64> {
        (self.attributes & DELETE_HORIZON != 0).then_some(self.base_timestamp)
    }

    /// The last record's sequence; sequences wrap after 2^31 - 1.
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return self.base_sequence;
        }
        add_sequence(self.base_sequence, self.last_offset_delta)
    }
}

/// `sequence` advanced by `by`, wrapping to 0 after 2^31 - 1.
pub fn add_sequence(sequence: i32, by: i32) -> i32 {
    let sum = i64::from(sequence) + i64::from(by);
    (sum & i64::from(i32::MAX)) as i32
}

/// Checks the checksum of the batch that is `batch`, whole and alone.
///
/// # Errors
/// [`BatchError`] when it has no header, is not as long as that says, or its
/// bytes are not those that were written.
pub fn check(batch: &[u8]) -> Result<BatchHeader, BatchError> {
    let header = BatchHeader::read(batch)?;
    let need = header.size();
    if batch.len() != need {
        return Err(BatchError::Short { have: batch.len() as u64, need: need as u64 });
    }
    let computed = crc32c::crc32c(&batch[CRC_START..]);
    if computed != header.crc {
        return Err(BatchError::Checksum { found: header.crc, computed });
    }
    Ok(header)
}

/// The batches that lie one after the other in a produce request, a fetch
/// response or a segment. A last batch that is cut short is an error.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    rest: &'a [u8],
}

impl<'a> Batches<'a> {
    /// The batches in `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Batches { rest: bytes }
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = Result<(BatchHeader, &'a [u8]), BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let rest = std::mem::take(&mut self.rest);
        let header = match BatchHeader::read(rest) {
            Ok(header) => header,
            Err(error) => return Some(Err(error)),
        };
        let Some((batch, rest)) = rest.split_at_checked(header.size()) else {
            let (have, need) = (rest.len() as u64, header.size() as u64);
            return Some(Err(BatchError::Short { have, need }));
        };
        self.rest = rest;
        Some(Ok((header, batch)))
    }
}
