//! Reading a store back, whatever happened to it.
//!
//! A block's records are read in order. At the first one that is none, reading
//! goes on with the next whole record of the block; the sequences between are
//! *lost* and reported. When no whole record follows in the last block, that is the
//! torn tail of a crash and is cut off. A block in the middle that ends too early
//! lost its tail with a power failure: the next block's head says where it goes on.

use broker_contract::{Disk, DiskError};

use super::block::{
    Block, Entry, FILE_HEAD, FileHead, HeadFlaw, file_name, index_of, read_file, resume,
};
use super::read::WINDOW;
use super::record::{self, HEAD, Kind, Record};
use super::{LAST_SEQ, MOST_SKIPPED, Store};

/// Bytes of a file at most: an entry has 31 bits for a length.
const MOST: u64 = 1 << 31;

/// Why a store is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("{0}")]
    Disk(#[from] DiskError),
    /// A file that is none of ours, or newer.
    #[error("{file} at byte {offset}: {reason}")]
    File { file: String, offset: u64, reason: String },
}

/// What was found on the way.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// Bytes of a torn tail that were cut off.
    pub cut: u64,
    /// Files at the end that had not even a head.
    pub headless: u64,
    /// Places that were damaged: file, byte.
    pub damage: Vec<(String, u64)>,
}

impl Store {
    /// Opens the store below `dir`. `visit` sees each message in order.
    ///
    /// # Errors
    /// [`OpenError`], when a file is foreign or newer, or the disk fails.
    pub fn open(
        disk: &mut dyn Disk,
        dir: &str,
        block_size: u32,
        visit: &mut dyn FnMut(&Record<'_>),
    ) -> Result<(Store, Found), OpenError> {
        let mut store = Store::in_files(dir, block_size);
        let mut found = Found::default();
        let mut indexes: Vec<u64> =
            disk.list(dir)?.iter().filter_map(|name| index_of(name.strip_prefix(dir)?)).collect();
        indexes.sort_unstable();
        for (place, index) in indexes.iter().enumerate() {
            let is_last = place + 1 == indexes.len();
            store.open_block(disk, dir, *index, is_last, visit, &mut found)?;
        }
        if let Some(last) = indexes.last() {
            store.next_index = store.next_index.max(last + 1);
        }
        store.drop_front(disk);
        store.window.bytes.shrink_to(WINDOW);
        Ok((store, found))
    }

    fn open_block(
        &mut self,
        disk: &mut dyn Disk,
        dir: &str,
        index: u64,
        is_last: bool,
        visit: &mut dyn FnMut(&Record<'_>),
        found: &mut Found,
    ) -> Result<(), OpenError> {
        let name = file_name(dir, index);
        let file = disk.open(&name)?;
        if disk.len(file)? > MOST {
            let reason = "it is longer than a block can be".to_owned();
            return Err(OpenError::File { file: name, offset: MOST, reason });
        }
        let bytes = read_file(disk, file)?;
        let first = match FileHead::read(&bytes) {
            Ok(head) => head.first,
            // The crash came before the head of a new file was written. The file
            // held nothing, but with a block behind it that is the power's doing.
            Err(HeadFlaw::Short) => {
                found.cut += bytes.len() as u64;
                found.headless += 1;
                if !bytes.is_empty() || !is_last {
                    found.damage.push((name.clone(), 0));
                }
                disk.delete(&name)?;
                return Ok(());
            }
            Err(flaw) => {
                return Err(OpenError::File { file: name, offset: 0, reason: flaw.to_string() });
            }
        };
        if first > LAST_SEQ {
            let reason = "it begins with a message that no stream can have".to_owned();
            return Err(OpenError::File { file: name, offset: 12, reason });
        }
        if self.blocks.is_empty() {
            // What came before was removed with its block.
            self.state.last = self.state.last.max(first.saturating_sub(1));
            self.state.first = self.state.last + 1;
        }
        let mut block = Block::new(index, first, Some(file), bytes.len() as u64);
        if first > self.state.last + 1 {
            self.lost.push((self.state.last + 1, first - 1));
            self.state.last = first - 1;
            if self.state.messages == 0 {
                self.state.first = first;
            }
        }
        // A head may claim an earlier first sequence than what a damaged block
        // before it reached; sequences only ever grow.
        block.first = self.state.last + 1;
        self.firsts.push_back(block.first);
        self.blocks.push_back(block);
        self.next_index = index + 1;

        let mut at = FILE_HEAD;
        while at < bytes.len() {
            match record::read(&bytes[at..], true) {
                Ok(record) if self.accept(&record, at as u64, visit) => {
                    at += HEAD + record.subject.len() + record.headers.len() + record.payload.len();
                }
                _ => match resume(&bytes, at + 1, self.state.last) {
                    Some(next) => {
                        found.damage.push((name.clone(), at as u64));
                        at = next;
                    }
                    None => break,
                },
            }
        }
        if at < bytes.len() {
            found.cut += (bytes.len() - at) as u64;
            if !is_last {
                found.damage.push((name.clone(), at as u64));
            }
            disk.truncate(file, at as u64)?;
        }
        if let Some(block) = self.blocks.back_mut() {
            block.len = at as u64;
            block.cached_from = at as u64;
            if !is_last && block.live == 0 {
                block.let_go();
            }
        }
        Ok(())
    }

    /// Takes a record of the log into the index. Returns whether it can be one.
    fn accept(
        &mut self,
        record: &Record<'_>,
        offset: u64,
        visit: &mut dyn FnMut(&Record<'_>),
    ) -> bool {
        match record.kind {
            Kind::Message => {
                if record.subject.is_empty() || !self.follows(record.seq) {
                    return false;
                }
                self.index(record, offset);
                visit(record);
            }
            Kind::Skip => {
                let most = match self.state.messages {
                    0 => LAST_SEQ,
                    _ => record.seq.saturating_add(MOST_SKIPPED),
                };
                let is_range = record.time >= record.seq && record.time <= most.min(LAST_SEQ);
                if !is_range || record.time <= self.state.last || !self.follows(record.seq) {
                    return false;
                }
                self.index_skip(record.time);
            }
            Kind::Delete => self.unlink_range(record.seq, record.time),
            Kind::First => self.unlink_range(0, record.time),
        }
        true
    }

    fn unlink_range(&mut self, first: u64, last: u64) {
        let mut seq = first.max(self.state.first);
        while seq <= last.min(self.state.last) {
            let Some(next) = self.next_live(seq) else { return };
            if next > last {
                return;
            }
            self.unlink(next);
            seq = next + 1;
        }
    }

    /// Whether a record with this sequence can come next. What is missing in front
    /// of it was damaged, and is noted down as lost.
    fn follows(&mut self, seq: u64) -> bool {
        let last = self.state.last;
        // More than a block can hold is no damage that a block can have.
        if seq <= last || seq > LAST_SEQ || seq - last > MOST_SKIPPED {
            return false;
        }
        if seq > last + 1 {
            self.lost.push((last + 1, seq - 1));
            if let Some(block) = self.blocks.back_mut() {
                for _ in last + 1..seq {
                    block.push(Entry::DEAD);
                }
            }
            self.state.last = seq - 1;
            if self.state.messages == 0 {
                self.state.first = seq;
            }
        }
        true
    }
}
