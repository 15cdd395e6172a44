//! The sparse indexes of a segment: offset to position, timestamp to offset.
//!
//! As in the original, an entry of the offset index is the last offset of a
//! batch and the position where that batch begins, both relative to the segment
//! and of 4 bytes; an entry of the time index is the largest timestamp so far (8
//! bytes) and the offset that had it (4 bytes). The files hold nothing that the
//! log does not: what is missing or contradicts itself is made again.

use broker_contract::{Disk, DiskError, FileId};

/// Bytes of an entry of the offset index.
const OFFSET_ENTRY: usize = 8;
/// Bytes of an entry of the time index.
const TIME_ENTRY: usize = 12;

/// Both indexes, in memory and in their files.
#[derive(Debug)]
pub struct Index {
    offset_file: FileId,
    time_file: FileId,
    offsets: Vec<(u32, u32)>,
    times: Vec<(i64, u32)>,
}

impl Index {
    /// Opens the index files called `name` with `.index` and `.timeindex`, of a
    /// segment whose log has `size` bytes. What contradicts itself is cut off.
    ///
    /// # Errors
    /// [`DiskError`] of the disk.
    pub fn open(disk: &mut dyn Disk, name: &str, size: u64) -> Result<Index, DiskError> {
        let offset_file = disk.open(&format!("{name}.index"))?;
        let time_file = disk.open(&format!("{name}.timeindex"))?;
        let mut index = Index { offset_file, time_file, offsets: Vec::new(), times: Vec::new() };

        let bytes = read_all(disk, offset_file)?;
        for entry in bytes.chunks_exact(OFFSET_ENTRY) {
            let (offset, position) = (word(&entry[..4]), word(&entry[4..]));
            let ascends = index.offsets.last().is_none_or(|last| *last < (offset, position))
                && index.offsets.last().is_none_or(|last| last.1 < position);
            if !ascends || u64::from(position) >= size {
                break;
            }
            index.offsets.push((offset, position));
        }
        cut(disk, offset_file, index.offsets.len() * OFFSET_ENTRY, bytes.len())?;

        let bytes = read_all(disk, time_file)?;
        let last = index.offsets.last().map_or(0, |(offset, _)| *offset);
        for entry in bytes.chunks_exact(TIME_ENTRY) {
            let mut stamp = [0; 8];
            stamp.copy_from_slice(&entry[..8]);
            let (stamp, offset) = (i64::from_be_bytes(stamp), word(&entry[8..]));
            let ascends = index.times.last().is_none_or(|last| last.0 < stamp && last.1 < offset);
            if !ascends || offset > last {
                break;
            }
            index.times.push((stamp, offset));
        }
        cut(disk, time_file, index.times.len() * TIME_ENTRY, bytes.len())?;
        Ok(index)
    }

    /// Notes that the batch with this last offset begins at `position`.
    ///
    /// A full disk costs the entry in the file and nothing else: whoever opens
    /// the segment again makes it from the log.
    pub fn add_offset(&mut self, disk: &mut dyn Disk, offset: u32, position: u32) {
        self.offsets.push((offset, position));
        let mut entry = [0; OFFSET_ENTRY];
        entry[..4].copy_from_slice(&offset.to_be_bytes());
        entry[4..].copy_from_slice(&position.to_be_bytes());
        let _ = disk.append(self.offset_file, &[&entry]);
    }

    /// Notes the largest timestamp so far, unless it is no news.
    pub fn add_time(&mut self, disk: &mut dyn Disk, stamp: i64, offset: u32) {
        if self.times.last().is_some_and(|last| last.0 >= stamp || last.1 >= offset) {
            return;
        }
        self.times.push((stamp, offset));
        let mut entry = [0; TIME_ENTRY];
        entry[..8].copy_from_slice(&stamp.to_be_bytes());
        entry[8..].copy_from_slice(&offset.to_be_bytes());
        let _ = disk.append(self.time_file, &[&entry]);
    }

    /// Where to start looking for `offset`: the last offset and the position of a
    /// batch that does not lie behind it. `None` is the start of the segment.
    pub fn find(&self, offset: u32) -> Option<(u32, u32)> {
        let after = self.offsets.partition_point(|entry| entry.0 <= offset);
        after.checked_sub(1).map(|at| self.offsets[at])
    }

    /// As [`Index::find`], the position alone.
    pub fn position(&self, offset: u32) -> u64 {
        self.find(offset).map_or(0, |(_, position)| u64::from(position))
    }

    /// Where to start looking for the first record that is not older than `stamp`.
    pub fn position_of_time(&self, stamp: i64) -> u64 {
        let after = self.times.partition_point(|entry| entry.0 <= stamp);
        after.checked_sub(1).map_or(0, |at| self.position(self.times[at].1))
    }

    /// The entries of the offset index: last offset of a batch and its position,
    /// both relative to the segment.
    pub fn entries(&self) -> &[(u32, u32)] {
        &self.offsets
    }

    /// The last entry of the offset index.
    pub fn last(&self) -> Option<(u32, u32)> {
        self.offsets.last().copied()
    }

    /// The last entry of the time index.
    pub fn last_time(&self) -> Option<(i64, u32)> {
        self.times.last().copied()
    }

    /// Forgets every entry for positions from `size` on, and times that belong
    /// to them.
    ///
    /// # Errors
    /// [`DiskError`] of the disk.
    pub fn truncate(&mut self, disk: &mut dyn Disk, size: u64) -> Result<(), DiskError> {
        let had = (self.offsets.len(), self.times.len());
        self.offsets.retain(|entry| u64::from(entry.1) < size);
        let last = self.offsets.last().map_or(0, |entry| entry.0);
        self.times.retain(|entry| entry.1 <= last);
        if size == 0 {
            self.times.clear();
        }
        cut(disk, self.offset_file, self.offsets.len() * OFFSET_ENTRY, had.0 * OFFSET_ENTRY)?;
        cut(disk, self.time_file, self.times.len() * TIME_ENTRY, had.1 * TIME_ENTRY)
    }

    /// Whether one of the files has reached `limit` bytes.
    pub fn is_full(&self, limit: u64) -> bool {
        let longest = (self.offsets.len() * OFFSET_ENTRY).max(self.times.len() * TIME_ENTRY);
        longest as u64 + TIME_ENTRY as u64 > limit
    }

    /// Heap bytes.
    pub fn memory_bytes(&self) -> u64 {
        (self.offsets.capacity() * size_of::<(u32, u32)>()
            + self.times.capacity() * size_of::<(i64, u32)>()) as u64
    }
}

fn word(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte))
}

fn cut(disk: &mut dyn Disk, file: FileId, to: usize, from: usize) -> Result<(), DiskError> {
    if to < from { disk.truncate(file, to as u64) } else { Ok(()) }
}

/// The whole content of a small file.
///
/// # Errors
/// [`DiskError`] of the disk.
pub fn read_all(disk: &mut dyn Disk, file: FileId) -> Result<Vec<u8>, DiskError> {
    let len = disk.len(file)?;
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
    let read = disk.read_at(file, 0, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}
