//! The log of one partition: segments, their indexes, and how they are kept.
//!
//! **What it is for.** Batches are appended at the end and read from any offset.
//! A log is cut into segments so that old records can go a file at a time. Once a
//! log has been opened, offsets only grow: compaction and retention remove
//! records, and the others keep their numbers.
//!
//! **What it never does.** It reads and writes through the [`Disk`] that it is
//! given, and it knows no connection: whoever waits for a sync or for records is
//! the node's business. It never looks into records unless compaction, a search
//! by time or a check asks for it.
//!
//! **Where to start reading.** [`Log::append`] and [`Log::read`], then
//! `open.rs` for what happens after a crash.

mod check;
mod clean;
mod index;
mod open;
mod producers;
mod scan;
mod segment;
mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use broker_contract::{Disk, DiskError, FileId};
use bytes::Bytes;

pub use clean::{Burial, Cleaned, Cleaner};
pub use index::read_all;
pub use open::{Cut, Opened};
pub use producers::{Appended, Producers, Verdict};
pub use scan::{Found, Scan};
use segment::Segment;
use snapshot::Snapshot;

use super::config::LogConfig;
use crate::frame::batch::BatchHeader;

/// Snapshots that are kept: should the last be damaged, the one before serves.
const SNAPSHOTS: usize = 2;

/// The folder of segments that have been taken out of their logs. What a boot
/// finds there it deletes.
pub const DELETED_FOLDER: &str = "deleted/";

/// Why a log cannot do what it is asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The disk's own reason.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The offset is not in the log.
    #[error("offset {offset} is not in {start}..={end}")]
    OutOfRange {
        /// The offset asked for.
        offset: i64,
        /// The first offset.
        start: i64,
        /// The offset after the last one.
        end: i64,
    },
    /// The bytes are not those that were written.
    #[error("{file} at byte {offset}: {reason}")]
    Corrupt {
        /// The file.
        file: String,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
}

/// A sync that is wanted or under way.
#[derive(Debug)]
struct Sync {
    /// Names it among the syncs of this log.
    number: u32,
    file: FileId,
    /// The offset after the last one that it proves.
    up_to: i64,
    is_asked: bool,
    is_done: bool,
    /// The snapshot that may be written once it and all before it are done.
    seal: Option<Box<Snapshot>>,
}

/// A segment that retention or deletion has taken out of a log. Its records are
/// gone for consumers; its file is deleted when they have been accounted for.
#[derive(Debug)]
pub struct Removed {
    /// The path that the file of its batches has been moved to.
    pub name: String,
    /// The batches.
    pub file: FileId,
    /// Bytes of batches.
    pub size: u64,
}

/// The log of one partition.
#[derive(Debug)]
pub struct Log {
    dir: String,
    /// Names it among all logs that the node ever had.
    number: u32,
    config: LogConfig,
    segments: Vec<Segment>,
    start: i64,
    next: i64,
    flushed: i64,
    producers: Producers,
    epochs: Vec<(i32, i64)>,
    syncs: VecDeque<Sync>,
    sync_number: u32,
    /// Offsets of the snapshots on the disk, ascending.
    snapshots: Vec<i64>,
    cleaned_to: i64,
    /// Compaction has replaced segments below this offset, so there offsets may
    /// have gaps. It is in the name of a file, which needs no sync.
    compacted_to: i64,
    failed: bool,
    appended_bytes: u64,
}

impl Log {
    /// Its folder.
    pub fn dir(&self) -> &str {
        &self.dir
    }

    /// Its settings.
    pub fn config(&self) -> &LogConfig {
        &self.config
    }

    /// Gives it other settings; a segment that is too old or too large by them
    /// ends with the next batch.
    pub fn set_config(&mut self, config: LogConfig) {
        self.config = config;
    }

    /// The first offset.
    pub fn start(&self) -> i64 {
        self.start
    }

    /// The offset that the next record will have.
    pub fn next(&self) -> i64 {
        self.next
    }

    /// The offset below which everything is synced.
    pub fn flushed(&self) -> i64 {
        self.flushed
    }

    /// Whether a sync has failed. What the disk holds since then is not known,
    /// so nothing more is appended or read until the next boot.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Bytes of all segments.
    pub fn size(&self) -> u64 {
        self.segments.iter().map(|segment| segment.size).sum()
    }

    /// All bytes that were ever appended since it was opened.
    pub fn appended_bytes(&self) -> u64 {
        self.appended_bytes
    }

    /// How many segments it has.
    pub fn segment_count(&self) -> usize {
        self.segments.len()
    }

    /// What is known of idempotent producers.
    pub fn producers(&self) -> &Producers {
        &self.producers
    }

    /// Forgets producers that have been silent since `before_ms`.
    pub fn expire_producers(&mut self, before_ms: i64) {
        self.producers.expire(before_ms);
    }

    /// Appends a batch whose header has been checked, at the next offset and
    /// under `epoch`; returns its base offset. Nothing but these two fields of
    /// it is changed.
    ///
    /// # Errors
    /// [`DiskError`] of the disk; the log is then as it was.
    pub fn append(
        &mut self,
        disk: &mut dyn Disk,
        batch: &[u8],
        header: &BatchHeader,
        epoch: i32,
        now_ms: i64,
    ) -> Result<i64, DiskError> {
        let placed = BatchHeader { base_offset: self.next, leader_epoch: epoch, ..*header };
        self.make_room(disk, &placed, now_ms)?;
        let interval = self.config.index_interval;
        let active = self.segments.last_mut().expect("`make_room` leaves an active segment");
        active.append(disk, batch, &placed, interval)?;
        self.took(&placed, now_ms);
        self.appended_bytes += batch.len() as u64;
        Ok(placed.base_offset)
    }

    /// Notes that a batch is in the log now.
    fn took(&mut self, header: &BatchHeader, now_ms: i64) {
        if self.epochs.last().is_none_or(|last| last.0 < header.leader_epoch) {
            self.epochs.push((header.leader_epoch, header.base_offset));
        }
        self.producers.appended(header, header.base_offset, now_ms);
        self.next = header.last_offset() + 1;
    }

    /// Ends the active segment if the batch does not fit into it.
    fn make_room(
        &mut self,
        disk: &mut dyn Disk,
        header: &BatchHeader,
        now_ms: i64,
    ) -> Result<(), DiskError> {
        let fits = self.segments.last().is_some_and(|active| {
            let fills = active.size + header.size() as u64 > self.config.segment_bytes;
            let reach = header.last_offset() - active.base > i64::from(i32::MAX);
            let full = active.index.is_full(self.config.index_bytes);
            active.size == 0 || !(fills || reach || full || self.is_old(active, now_ms))
        });
        if fits { Ok(()) } else { self.roll(disk) }
    }

    fn is_old(&self, active: &Segment, now_ms: i64) -> bool {
        let age = active.first_ms.map_or(0, |first| now_ms.saturating_sub(first));
        age > millis(self.config.segment_ms)
    }

    /// Ends the active segment and begins another one. The old one is synced, as
    /// in the original, so that a later boot need not check it.
    ///
    /// # Errors
    /// [`DiskError`] of the disk.
    pub fn roll(&mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        if self.segments.last().is_some_and(|active| active.base == self.next) {
            // It is empty, and the next one would have its name.
            return Ok(());
        }
        let segment = Segment::open(disk, &self.dir, self.next)?;
        if let Some(old) = self.segments.last() {
            let file = old.file;
            let seal = self.snapshot(segment.base, 0);
            self.want_sync(file, Some(Box::new(seal)));
        }
        self.segments.push(segment);
        Ok(())
    }

    fn snapshot(&self, segment: i64, position: u64) -> Snapshot {
        Snapshot {
            offset: self.next,
            segment,
            position,
            cleaned_to: self.cleaned_to,
            epochs: self.epochs.clone(),
            producers: self.producers.clone(),
        }
    }

    /// Whole batches from `from` on: at least one, then at most `max` bytes, and
    /// none from `limit` on; empty at the end of the log.
    ///
    /// # Errors
    /// [`LogError`] when the offset is not in the log, of the disk, or for bytes
    /// that are no batches.
    pub fn read(
        &mut self,
        disk: &mut dyn Disk,
        from: i64,
        max: usize,
        limit: i64,
    ) -> Result<Bytes, LogError> {
        if from < self.start || from > self.next {
            let (start, end) = (self.start, self.next);
            return Err(LogError::OutOfRange { offset: from, start, end });
        }
        let interval = self.config.index_interval;
        if from < limit {
            // Compaction may have left nothing of a segment's end, or gaps
            // between segments; the next records are then in a later one.
            let first = self.segments.partition_point(|segment| segment.last < from);
            for segment in &mut self.segments[first..] {
                let from = from.max(segment.base);
                let bytes = segment.read(disk, from, max, limit, (interval, self.compacted_to))?;
                if !bytes.is_empty() {
                    return Ok(bytes);
                }
            }
        }
        Ok(Bytes::new())
    }

    /// The first record that is not older than `stamp` in Unix milliseconds: its
    /// offset and timestamp.
    ///
    /// # Errors
    /// [`LogError`] of the disk, or for bytes that are no batches.
    pub fn find_time(
        &mut self,
        disk: &mut dyn Disk,
        stamp: i64,
    ) -> Result<Option<(i64, i64)>, LogError> {
        for segment in self.segments.iter_mut().filter(|segment| segment.max_ms >= stamp) {
            if let Some(found) = segment.find_time(disk, stamp, self.start)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// The largest timestamp in the log, with its offset.
    pub fn max_time(&self) -> Option<(i64, i64)> {
        let newest = self.segments.iter().filter(|segment| segment.max_ms >= 0);
        let newest = newest.max_by_key(|segment| (segment.max_ms, -segment.base))?;
        Some((newest.max_offset(), newest.max_ms))
    }

    /// The largest leader epoch with records that is not newer than `epoch`, and
    /// the offset after the last one appended in it. Where nothing is left of so
    /// old an epoch, it ended where the log of the next one begins: that is how a
    /// consumer learns that all it has read is gone.
    pub fn end_of_epoch(&self, epoch: i32) -> (i32, i64) {
        let after = self.epochs.partition_point(|entry| entry.0 <= epoch);
        let found = after.checked_sub(1).map_or(epoch, |at| self.epochs[at].0);
        (found, self.epochs.get(after).map_or(self.next, |entry| entry.1))
    }

    /// The epoch in which `offset` was appended.
    pub fn epoch_of(&self, offset: i64) -> Option<i32> {
        let after = self.epochs.partition_point(|entry| entry.1 <= offset);
        after.checked_sub(1).map(|at| self.epochs[at].0)
    }

    // ---- syncs ----

    /// Whether the messages since the last sync that was asked for are as many
    /// as `flush.messages` allows.
    pub fn must_flush(&self) -> bool {
        let asked = self.syncs.back().map_or(self.flushed, |sync| sync.up_to);
        let unflushed = (self.next - asked.max(self.flushed)) as u64;
        self.config.flush_messages.is_some_and(|limit| unflushed >= limit)
    }

    /// Wants everything that was appended so far to be synced. While a sync of
    /// the same file runs, the next one waits for it and covers everything that
    /// has come meanwhile: that is group commit.
    pub fn flush(&mut self) {
        if let Some(active) = self.segments.last()
            && self.next > self.syncs.back().map_or(self.flushed, |sync| sync.up_to)
        {
            let file = active.file;
            self.want_sync(file, None);
        }
    }

    /// Wants a snapshot of now, so that the next boot has nothing to check.
    /// Without anything to sync it is written at once.
    ///
    /// # Errors
    /// [`DiskError`] of the disk.
    pub fn checkpoint(&mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        let Some(active) = self.segments.last() else { return Ok(()) };
        let (file, seal) = (active.file, self.snapshot(active.base, active.size));
        if self.flushed == self.next && self.syncs.is_empty() {
            return self.write_snapshot(disk, &seal);
        }
        self.want_sync(file, Some(Box::new(seal)));
        Ok(())
    }

    fn want_sync(&mut self, file: FileId, seal: Option<Box<Snapshot>>) {
        let up_to = self.next;
        // One that has not been asked for yet covers this as well.
        if let Some(last) = self.syncs.back_mut()
            && !last.is_asked
            && last.file == file
        {
            last.up_to = up_to;
            last.seal = seal.or(last.seal.take());
            return;
        }
        self.sync_number = self.sync_number.wrapping_add(1);
        let (number, is_asked, is_done) = (self.sync_number, false, false);
        self.syncs.push_back(Sync { number, file, up_to, is_asked, is_done, seal });
    }

    /// The next sync that the node is to ask for: the file, and a number that
    /// comes back in [`Log::synced`]. At most one runs for each file.
    pub fn ask_sync(&mut self) -> Option<(FileId, u32)> {
        let mut running = None;
        for sync in self.syncs.iter_mut().filter(|sync| !sync.is_done) {
            if sync.is_asked {
                running = Some(sync.file);
            } else if running != Some(sync.file) {
                sync.is_asked = true;
                // What was appended until now is covered, too, in its file.
                return Some((sync.file, sync.number));
            }
        }
        None
    }

    /// A sync has ended. Returns whether [`Log::flushed`] has grown.
    ///
    /// # Errors
    /// [`DiskError`] when the snapshot that it permits cannot be written; the
    /// sync counts all the same.
    pub fn synced(
        &mut self,
        disk: &mut dyn Disk,
        number: u32,
        is_good: bool,
    ) -> Result<bool, DiskError> {
        if !is_good {
            self.failed = true;
            self.syncs.clear();
            return Ok(true);
        }
        if let Some(sync) = self.syncs.iter_mut().find(|sync| sync.number == number) {
            sync.is_done = true;
        }
        let before = self.flushed;
        let mut written = Ok(());
        while self.syncs.front().is_some_and(|sync| sync.is_done) {
            let Some(sync) = self.syncs.pop_front() else { break };
            self.flushed = self.flushed.max(sync.up_to);
            if let Some(seal) = sync.seal {
                written = self.write_snapshot(disk, &seal);
            }
        }
        written.map(|()| self.flushed > before)
    }

    /// Whether a sync is wanted or under way.
    pub fn is_syncing(&self) -> bool {
        !self.syncs.is_empty()
    }

    fn write_snapshot(&mut self, disk: &mut dyn Disk, seal: &Snapshot) -> Result<(), DiskError> {
        if self.snapshots.last() == Some(&seal.offset) {
            // The same state has been written before, but perhaps of another
            // segment; a file is never appended to twice.
            self.snapshots.pop();
            disk.delete(&snapshot_name(&self.dir, seal.offset))?;
        }
        let file = disk.open(&snapshot_name(&self.dir, seal.offset))?;
        disk.append(file, &[&seal.encode()])?;
        self.snapshots.push(seal.offset);
        while self.snapshots.len() > SNAPSHOTS {
            let old = self.snapshots.remove(0);
            disk.delete(&snapshot_name(&self.dir, old))?;
        }
        Ok(())
    }

    // ---- what goes ----

    /// Takes out the segments that retention no longer keeps, by time and by size,
    /// and those that lie before the start. A segment stays until it is synced,
    /// which [`Log::ask_sync`] then asks for.
    ///
    /// # Errors
    /// [`DiskError`] of the disk.
    pub fn retain(&mut self, disk: &mut dyn Disk, now_ms: i64) -> Result<Vec<Removed>, DiskError> {
        let mut removed = self.remove_before_start(disk)?;
        let oldest = self.config.retention.map(|keep| now_ms.saturating_sub(millis(keep)));
        while let Some(first) = self.segments.first()
            && self.config.delete
        {
            let by_time = oldest.is_some_and(|oldest| (0..oldest).contains(&first.max_ms));
            let rest = self.size() - first.size;
            let by_size = self.segments.len() > 1
                && self.config.retention_bytes.is_some_and(|bytes| rest >= bytes);
            if !(by_time || by_size) {
                break;
            }
            if self.segments.len() == 1 {
                // The next offset lives in the name of the active segment.
                self.roll(disk)?;
            }
            if !self.may_remove_first() {
                break;
            }
            removed.push(self.remove_first(disk)?);
        }
        Ok(removed)
    }

    /// Moves the start to `offset`, and takes out the segments that lie before it.
    ///
    /// # Errors
    /// [`LogError`] of the disk, or when the offset is not in the log.
    pub fn delete_to(
        &mut self,
        disk: &mut dyn Disk,
        offset: i64,
    ) -> Result<Vec<Removed>, LogError> {
        if offset > self.next || offset < 0 {
            let (start, end) = (self.start, self.next);
            return Err(LogError::OutOfRange { offset, start, end });
        }
        self.start = self.start.max(offset);
        Ok(self.remove_before_start(disk)?)
    }

    fn remove_before_start(&mut self, disk: &mut dyn Disk) -> Result<Vec<Removed>, DiskError> {
        let mut removed = Vec::new();
        while self.segments.get(1).is_some_and(|second| second.base <= self.start)
            && self.may_remove_first()
        {
            removed.push(self.remove_first(disk)?);
        }
        Ok(removed)
    }

    /// Whether nobody waits for a sync of the first segment, which is not the
    /// active one.
    fn may_remove_first(&self) -> bool {
        self.segments.len() > 1 && self.segments[0].last < self.flushed
    }

    fn remove_first(&mut self, disk: &mut dyn Disk) -> Result<Removed, DiskError> {
        let gone = self.remove(disk, &self.segments[0])?;
        self.segments.remove(0);
        self.start = self.start.max(self.segments.first().map_or(self.next, |first| first.base));
        Ok(gone)
    }

    fn remove(&self, disk: &mut dyn Disk, segment: &Segment) -> Result<Removed, DiskError> {
        let name = format!("{DELETED_FOLDER}{:010}-{:020}", self.number, segment.base);
        // A disk that has folders makes them for a file that is opened.
        disk.open(&name)?;
        disk.rename(&segment.log_name(), &name)?;
        disk.delete(&format!("{}.index", segment.name))?;
        disk.delete(&format!("{}.timeindex", segment.name))?;
        Ok(Removed { name, file: segment.file, size: segment.size })
    }

    /// Takes out everything: the topic is deleted.
    ///
    /// # Errors
    /// [`DiskError`] of the disk.
    pub fn delete(&mut self, disk: &mut dyn Disk) -> Result<Vec<Removed>, DiskError> {
        for offset in std::mem::take(&mut self.snapshots) {
            disk.delete(&snapshot_name(&self.dir, offset))?;
        }
        if self.compacted_to > 0 {
            disk.delete(&compacted_name(&self.dir, self.compacted_to))?;
        }
        self.segments.iter().map(|segment| self.remove(disk, segment)).collect()
    }

    /// Checks every byte of every segment.
    ///
    /// # Errors
    /// [`LogError`] for the first thing that is wrong: the file, where, and what.
    pub fn verify(&mut self, disk: &mut dyn Disk) -> Result<(), LogError> {
        for segment in &self.segments {
            segment.verify(disk, |last, base| follows(last, base, self.compacted_to))?;
        }
        Ok(())
    }

    /// Heap bytes, estimated.
    pub fn memory_bytes(&self) -> u64 {
        let segments: u64 = self
            .segments
            .iter()
            .map(|segment| segment.index.memory_bytes() + segment.name.capacity() as u64)
            .sum();
        segments
            + (self.segments.capacity() * size_of::<Segment>()) as u64
            + self.producers.memory_bytes()
    }
}

/// Whether a batch or segment that begins at `base` may come after offset `last`:
/// it is the next one, or what lies between was taken by compaction. The base
/// offset is not in a batch's checksum, so this is what guards it.
fn follows(last: i64, base: i64, compacted_to: i64) -> bool {
    base == last + 1 || (base > last && base <= compacted_to)
}

fn compacted_name(dir: &str, offset: i64) -> String {
    format!("{dir}/{offset:020}.compacted")
}

fn snapshot_name(dir: &str, offset: i64) -> String {
    format!("{dir}/{offset:020}.snapshot")
}

/// A duration in whole milliseconds, stopping at the largest.
pub fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
