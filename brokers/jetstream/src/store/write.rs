//! Appending records, and beginning new blocks.

use broker_contract::{Disk, DiskError};

use super::Store;
use super::block::{Block, FILE_HEAD, FileHead, file_name};
use super::record::{self, HEAD, Kind, Record};

impl Store {
    /// Says something of a range of sequences in the log; memory has none.
    ///
    /// # Errors
    /// Those of the disk; nothing was written then.
    pub(super) fn note_range(
        &mut self,
        disk: &mut dyn Disk,
        kind: Kind,
        first: u64,
        last: u64,
    ) -> Result<(), DiskError> {
        if self.dir.is_none() {
            // Memory needs a block all the same, for the index.
            return self.make_room(disk, 0);
        }
        let (subject, headers, payload) = (&[][..], &[][..], &[][..]);
        let record = Record { kind, seq: first, time: last, subject, headers, payload };
        self.write(disk, &record).map(|_| ())
    }

    /// Writes a record at the end of the log; returns its offset in its block.
    ///
    /// # Errors
    /// Those of the disk; nothing was written then.
    #[inline]
    pub(super) fn write(
        &mut self,
        disk: &mut dyn Disk,
        record: &Record<'_>,
    ) -> Result<u64, DiskError> {
        let len = HEAD + record.subject.len() + record.headers.len() + record.payload.len();
        self.make_room(disk, len as u64)?;
        let in_file = self.dir.is_some();
        let head = record::head(record, in_file);
        let parts = [&head[..], record.subject, record.headers, record.payload];
        let Some(block) = self.blocks.back_mut() else { return Ok(0) };
        let offset = block.len;
        if let Some(file) = block.file {
            if let Err(error) = disk.append(file, &parts) {
                // Whatever part of it was written would be taken for damage.
                let _ = disk.truncate(file, offset);
                return Err(error);
            }
            if self.unsynced.last() != Some(&file) {
                self.unsynced.push(file);
            }
        }
        for part in parts {
            block.cache.extend_from_slice(part);
        }
        block.len += len as u64;
        Ok(offset)
    }

    /// Begins a new block when `more` bytes do not fit in the last.
    #[inline]
    fn make_room(&mut self, disk: &mut dyn Disk, more: u64) -> Result<(), DiskError> {
        if let Some(block) = self.blocks.back()
            && (block.len + more <= self.block_size || block.len <= FILE_HEAD as u64)
        {
            return Ok(());
        }
        self.begin_block(disk)
    }

    #[cold]
    fn begin_block(&mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        let first = self.state.last + 1;
        let mut file = None;
        if let Some(dir) = &self.dir {
            let name = file_name(dir, self.next_index);
            let id = disk.open(&name)?;
            if let Err(error) = disk.append(id, &[&FileHead { first }.encode()]) {
                let _ = disk.delete(&name);
                return Err(error);
            }
            file = Some(id);
            self.unsynced.push(id);
        }
        if let Some(sealed) = self.blocks.back_mut() {
            if self.dir.is_some() {
                sealed.cache = Vec::new();
                sealed.cached_from = sealed.len;
            }
            sealed.entries.shrink_to_fit();
            if sealed.live == 0 {
                sealed.let_go();
            }
        }
        let len = if file.is_some() { FILE_HEAD as u64 } else { 0 };
        self.firsts.push_back(first);
        self.blocks.push_back(Block::new(self.next_index, first, file, len));
        self.next_index += 1;
        self.drop_front(disk);
        Ok(())
    }
}
