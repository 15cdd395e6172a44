//! Walking over the batches of a file, one after the other.

use broker_contract::{Disk, DiskError, FileId};

use crate::frame::batch::{self, BatchHeader, HEADER_LEN};

/// Bytes read at once where every byte is looked at.
const CHUNK: usize = 1 << 20;
/// What is wrong with a batch that claims offsets that no log can hold.
pub const UNSOUND: &str = "the batch's offsets are none that a log can hold";

/// What lies at a position of a log file.
#[derive(Debug)]
pub enum Found<'a> {
    /// A batch.
    Batch {
        /// Where it begins.
        position: u64,
        /// Its header.
        header: BatchHeader,
        /// All its bytes where the walk reads them, else none.
        bytes: &'a [u8],
    },
    /// Nothing more.
    End,
    /// A last batch that is not whole: its write was torn.
    Torn,
    /// What is no batch, or not the batch that was written.
    Corrupt(String),
}

/// A walk over the batches of one file.
#[derive(Debug)]
pub struct Scan {
    file: FileId,
    position: u64,
    end: u64,
    whole: bool,
    chunk: Vec<u8>,
    chunk_at: u64,
}

impl Scan {
    /// A walk over `from..end` of `file`. With `whole` every byte is read and
    /// checksums are checked, without only the headers are read.
    pub fn new(file: FileId, from: u64, end: u64, whole: bool) -> Scan {
        Scan { file, position: from, end, whole, chunk: Vec::new(), chunk_at: from }
    }

    /// Where the next batch begins.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// What comes next. After anything but a batch the walk stays where it is.
    ///
    /// # Errors
    /// [`DiskError`] of the disk.
    pub fn next(&mut self, disk: &mut dyn Disk) -> Result<Found<'_>, DiskError> {
        let left = self.end.saturating_sub(self.position);
        if left == 0 {
            return Ok(Found::End);
        }
        if left < HEADER_LEN as u64 {
            return Ok(Found::Torn);
        }
        let position = self.position;
        let head = self.ensure(disk, HEADER_LEN)?;
        if head.len() < HEADER_LEN {
            return Ok(Found::Torn);
        }
        let header = match BatchHeader::read(head) {
            Ok(header) => header,
            // A file may have grown before its bytes arrived: that, too, is torn.
            Err(_) if self.is_zero_to_the_end(disk)? => return Ok(Found::Torn),
            Err(error) => return Ok(Found::Corrupt(error.to_string())),
        };
        if !header.has_sound_offsets() {
            return Ok(Found::Corrupt(UNSOUND.to_owned()));
        }
        let size = header.size();
        if size as u64 > left {
            return Ok(Found::Torn);
        }
        if !self.whole {
            self.position += size as u64;
            return Ok(Found::Batch { position, header, bytes: &[] });
        }
        if let Err(error) = batch::check(self.ensure(disk, size)?) {
            return Ok(Found::Corrupt(error.to_string()));
        }
        self.position += size as u64;
        let at = (position - self.chunk_at) as usize;
        Ok(Found::Batch { position, header, bytes: &self.chunk[at..at + size] })
    }

    /// At least `len` bytes from the position on, as far as the file has them.
    fn ensure(&mut self, disk: &mut dyn Disk, len: usize) -> Result<&[u8], DiskError> {
        let at = (self.position - self.chunk_at) as usize;
        if at + len > self.chunk.len() {
            let left = usize::try_from(self.end - self.position).unwrap_or(usize::MAX);
            let take = if self.whole { len.max(CHUNK).min(left) } else { len };
            self.chunk.resize(take, 0);
            let read = disk.read_at(self.file, self.position, &mut self.chunk)?;
            self.chunk.truncate(read);
            self.chunk_at = self.position;
        }
        let at = (self.position - self.chunk_at) as usize;
        Ok(&self.chunk[at..self.chunk.len().min(at + len)])
    }

    fn is_zero_to_the_end(&mut self, disk: &mut dyn Disk) -> Result<bool, DiskError> {
        let mut buf = vec![0; 64 << 10];
        let mut at = self.position;
        while at < self.end {
            let want = buf.len().min((self.end - at) as usize);
            let read = disk.read_at(self.file, at, &mut buf[..want])?;
            if read == 0 || buf[..read].iter().any(|byte| *byte != 0) {
                return Ok(read == 0);
            }
            at += read as u64;
        }
        Ok(true)
    }
}
