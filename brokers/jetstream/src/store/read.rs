//! Reading one message, from memory or through a window onto its block.

use broker_contract::{Disk, DiskError};

use super::Store;
use super::record::{self, Record};

/// Bytes read at once from a block that is not in memory.
pub(super) const WINDOW: usize = 256 << 10;
/// Why a message could not be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("{0}")]
    Disk(#[from] DiskError),
    /// Its bytes are no longer those that were written.
    #[error("message {seq} is damaged in block {block} at byte {offset}")]
    Damaged { seq: u64, block: u64, offset: u64 },
}

/// A piece of a block that was read.
#[derive(Debug, Default)]
pub(super) struct Window {
    pub block: u64,
    pub start: u64,
    pub bytes: Vec<u8>,
}

impl Store {
    /// Reads a message; `None` when it is not there.
    ///
    /// # Errors
    /// [`ReadError`], when the disk fails or the bytes are damaged.
    pub fn get(&mut self, disk: &mut dyn Disk, seq: u64) -> Result<Option<Record<'_>>, ReadError> {
        let Some(at) = self.position(seq) else { return Ok(None) };
        let block = &self.blocks[at];
        let entry = block.entry(seq);
        if !entry.is_live() {
            return Ok(None);
        }
        let (offset, len) = (entry.offset(), entry.record_len());
        let damaged = ReadError::Damaged { seq, block: block.index, offset };
        if let Some(bytes) = block.cached(offset, len) {
            return match record::read(bytes, false) {
                Ok(record) => Ok(Some(record)),
                Err(_) => Err(damaged),
            };
        }
        let Some(file) = block.file else { return Err(damaged) };
        let window = &mut self.window;
        let end = window.start + window.bytes.len() as u64;
        let holds = window.block == block.index
            && offset >= window.start
            && offset + len as u64 <= end
            && !window.bytes.is_empty();
        if !holds {
            window.bytes.resize(len.max(WINDOW), 0);
            (window.block, window.start) = (block.index, offset);
            let mut done = 0;
            while done < window.bytes.len() {
                let count = disk.read_at(file, offset + done as u64, &mut window.bytes[done..])?;
                if count == 0 {
                    break;
                }
                done += count;
            }
            window.bytes.truncate(done);
        }
        let start = (offset - window.start) as usize;
        match window.bytes.get(start..start + len).map(|bytes| record::read(bytes, true)) {
            Some(Ok(record)) if record.seq == seq => Ok(Some(record)),
            _ => Err(damaged),
        }
    }
}
