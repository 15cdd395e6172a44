//! One block: a stretch of the log, in one file or in memory.

use broker_contract::{Disk, DiskError, FileId};

use super::record::{self, Flaw, Kind, Record};
use super::subjects::NONE;

/// Bytes in front of the records of a block in a file.
pub(crate) const FILE_HEAD: usize = 24;
const MAGIC: [u8; 8] = *b"labJSblk";
/// The version of the format that this code writes, and the only one it reads.
pub(crate) const VERSION: u32 = 1;
/// The bit of [`Entry::len`] that says that the message has headers.
const HAS_HEADERS: u32 = 1 << 31;

/// Where a message lies. This is all that is held of one in a file.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Entry {
    /// Offset in the block.
    offset: u32,
    /// Bytes of its record, with [`HAS_HEADERS`]; 0 when it was removed.
    len: u32,
    /// The number of its subject.
    pub subject: u32,
    /// How much greater the sequence of the next message on this subject is; 0
    /// when there is none yet.
    pub next: u32,
}

impl Entry {
    pub const DEAD: Entry = Entry { offset: 0, len: 0, subject: NONE, next: 0 };

    pub fn new(offset: u64, record: &Record<'_>, len: usize, subject: u32) -> Entry {
        let flag = if record.headers.is_empty() { 0 } else { HAS_HEADERS };
        Entry { offset: offset as u32, len: len as u32 | flag, subject, next: 0 }
    }

    #[inline]
    pub fn is_live(self) -> bool {
        self.len != 0
    }

    #[inline]
    pub fn record_len(self) -> usize {
        (self.len & !HAS_HEADERS) as usize
    }

    #[inline]
    pub fn offset(self) -> u64 {
        u64::from(self.offset)
    }

    pub fn has_headers(self) -> bool {
        self.len & HAS_HEADERS != 0
    }

    /// Removes the message. The rest stays, because the chain of the messages on
    /// its subject goes through it.
    pub fn kill(&mut self) {
        self.len = 0;
    }
}

/// What a file's head says.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileHead {
    pub first: u64,
}

/// Why a file is no block of ours.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeadFlaw {
    #[error("the file's head is cut off")]
    Short,
    #[error("this is not a block of a stream")]
    Foreign,
    #[error("it was written in format {0}, and this version reads format {VERSION}")]
    Version(u32),
    #[error("the checksum of the file's head is wrong")]
    Checksum,
}

impl FileHead {
    pub fn encode(self) -> [u8; FILE_HEAD] {
        let mut head = [0; FILE_HEAD];
        head[..8].copy_from_slice(&MAGIC);
        head[8..12].copy_from_slice(&VERSION.to_le_bytes());
        head[12..20].copy_from_slice(&self.first.to_le_bytes());
        let sum = crc32c::crc32c(&head[..20]);
        head[20..].copy_from_slice(&sum.to_le_bytes());
        head
    }

    pub fn read(bytes: &[u8]) -> Result<FileHead, HeadFlaw> {
        let seen = bytes.len().min(MAGIC.len());
        if bytes[..seen] != MAGIC[..seen] {
            return Err(HeadFlaw::Foreign);
        }
        let Some(head) = bytes.first_chunk::<FILE_HEAD>() else { return Err(HeadFlaw::Short) };
        let version = u32::from_le_bytes([head[8], head[9], head[10], head[11]]);
        if version != VERSION {
            return Err(HeadFlaw::Version(version));
        }
        let sum = u32::from_le_bytes([head[20], head[21], head[22], head[23]]);
        if sum != crc32c::crc32c(&head[..20]) {
            return Err(HeadFlaw::Checksum);
        }
        let mut first = [0; 8];
        first.copy_from_slice(&head[12..20]);
        Ok(FileHead { first: u64::from_le_bytes(first) })
    }
}

/// A block with the places of its messages.
#[derive(Debug)]
pub(crate) struct Block {
    /// Numbers the blocks of a stream, without gaps.
    pub index: u64,
    /// The sequence of the first entry.
    pub first: u64,
    /// Sequences in the block, also those whose entries were let go.
    pub count: u64,
    /// One for each sequence; none once all of its messages were removed.
    pub entries: Vec<Entry>,
    /// Messages that were not removed.
    pub live: u32,
    /// Bytes so far.
    pub len: u64,
    pub file: Option<FileId>,
    /// The block's bytes from `cached_from` on: all of them in memory, and of
    /// the block that a file is written from.
    pub cache: Vec<u8>,
    pub cached_from: u64,
}

impl Block {
    pub fn new(index: u64, first: u64, file: Option<FileId>, len: u64) -> Block {
        Block {
            index,
            first,
            count: 0,
            entries: Vec::new(),
            live: 0,
            len,
            file,
            cache: Vec::new(),
            cached_from: len,
        }
    }

    /// The sequence behind the last.
    #[inline]
    pub fn end(&self) -> u64 {
        self.first + self.count
    }

    #[inline]
    pub fn entry(&self, seq: u64) -> Entry {
        let at = seq.wrapping_sub(self.first) as usize;
        self.entries.get(at).copied().unwrap_or(Entry::DEAD)
    }

    #[inline]
    pub fn entry_mut(&mut self, seq: u64) -> Option<&mut Entry> {
        self.entries.get_mut(seq.wrapping_sub(self.first) as usize)
    }

    pub fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
        self.count += 1;
        self.live += u32::from(entry.is_live());
    }

    /// Lets the places go when nothing is left.
    pub fn let_go(&mut self) {
        self.entries = Vec::new();
        self.cache = Vec::new();
        self.cached_from = self.len;
    }

    /// The bytes of a record, if they are in memory.
    #[inline]
    pub fn cached(&self, offset: u64, len: usize) -> Option<&[u8]> {
        let start = usize::try_from(offset.checked_sub(self.cached_from)?).ok()?;
        self.cache.get(start..start + len)
    }

    pub fn memory_bytes(&self) -> u64 {
        (self.entries.capacity() * size_of::<Entry>() + self.cache.capacity()) as u64
    }
}

/// The name of a block's file.
pub(crate) fn file_name(dir: &str, index: u64) -> String {
    format!("{dir}{index:012}.blk")
}

/// The number in a block's file name, without its folder.
pub(crate) fn index_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".blk")?;
    (digits.len() == 12 && digits.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

/// The whole of a file.
pub(crate) fn read_file(disk: &mut dyn Disk, file: FileId) -> Result<Vec<u8>, DiskError> {
    let len = usize::try_from(disk.len(file)?).unwrap_or(usize::MAX);
    let mut bytes = vec![0; len];
    let mut done = 0;
    while done < len {
        let count = disk.read_at(file, done as u64, &mut bytes[done..])?;
        if count == 0 {
            bytes.truncate(done);
            break;
        }
        done += count;
    }
    Ok(bytes)
}

/// The next whole record at or behind `from` whose sequence can follow `after`:
/// where reading goes on behind damage.
pub(crate) fn resume(bytes: &[u8], from: usize, after: u64) -> Option<usize> {
    (from..bytes.len().saturating_sub(record::HEAD - 1)).find(|at| {
        let rest = &bytes[*at..];
        // The cheap conditions first: a checksum at each byte would take minutes.
        let plausible = (1..=4).contains(&rest[30])
            && rest[31] == 0
            && record::len(rest).is_some_and(|len| len >= record::HEAD && len <= rest.len());
        plausible && is_next(record::read(rest, true), after)
    })
}

fn is_next(read: Result<Record<'_>, Flaw>, after: u64) -> bool {
    read.is_ok_and(|record| record.kind != Kind::Message || record.seq > after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_what_it_is() {
        let head = FileHead { first: 17 }.encode();
        assert_eq!(FileHead::read(&head), Ok(FileHead { first: 17 }));
        for cut in 0..head.len() {
            assert_eq!(FileHead::read(&head[..cut]), Err(HeadFlaw::Short));
        }
        assert_eq!(FileHead::read(b"%PDF-1.7 and more of it...."), Err(HeadFlaw::Foreign));
        let mut newer = head;
        newer[8] = 2;
        assert_eq!(FileHead::read(&newer), Err(HeadFlaw::Version(2)));
        let mut flipped = head;
        flipped[13] ^= 1;
        assert_eq!(FileHead::read(&flipped), Err(HeadFlaw::Checksum));
    }

    #[test]
    fn names_carry_the_index() {
        let name = file_name("jetstream/S/", 17);
        assert_eq!(name, "jetstream/S/000000000017.blk");
        assert_eq!(index_of("000000000017.blk"), Some(17));
        for other in ["17.blk", "journal", "0000000000x7.blk", "000000000017.blk.new"] {
            assert_eq!(index_of(other), None, "{other}");
        }
    }

    #[test]
    fn an_entry_is_sixteen_bytes() {
        assert_eq!(size_of::<Entry>(), 16);
    }
}
