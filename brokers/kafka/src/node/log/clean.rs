//! Compaction: of each key only the last record stays.
//!
//! A [`Cleaner`] works through one log in steps. It first reads what no
//! compaction has seen yet (the dirty part, never the active segment) and notes
//! the last offset of each key. Then it copies the segments from the start to
//! the end of that part, leaving out every record whose key occurs again later.
//! Records keep their offsets, and a batch that loses nothing is copied byte for
//! byte. A copy replaces its segment by a rename, once it has been synced.
//!
//! A tombstone (a record without a value) stays until `delete.retention.ms`
//! after the first compaction that saw it; that moment is written into its batch.

use broker_contract::{Disk, DiskError, FileId};
use rustc_hash::FxHashMap;

use super::scan::{Found, Scan};
use super::segment::Segment;
use super::{Log, LogError, Removed, compacted_name, millis, snapshot_name};
use crate::frame::batch::{self, BatchHeader, BatchWriter, RecordView, Records};

/// Bytes of log that one step reads.
const STEP: u64 = 1 << 20;
/// What an entry of the map costs beside its key, estimated.
const ENTRY: usize = 48;

/// What a step has come to.
#[derive(Debug)]
pub enum Cleaned {
    /// There is more to do at once.
    More,
    /// This file must be synced before the next step.
    Sync(FileId),
    /// The log is clean.
    Done,
}

/// The compaction of one log, in progress.
#[derive(Debug)]
pub struct Cleaner {
    /// The last offset of each key in the dirty part.
    latest: FxHashMap<Box<[u8]>, i64>,
    latest_bytes: usize,
    budget: usize,
    /// Compaction has seen everything below this offset.
    up_to: i64,
    stage: Stage,
    now_ms: i64,
}

#[derive(Debug)]
enum Stage {
    /// Reading keys: the segment's base, and the position in it.
    Mapping { segment: i64, position: u64 },
    /// Copying a segment.
    Copying { segment: i64, position: u64, copy: FileId, wrote: bool, lost: bool },
    /// The copy of this segment is complete.
    Copied { segment: i64, is_empty: bool },
    /// Nothing left to do.
    Done,
}

impl Log {
    /// How much of the log compaction has not seen: dirty bytes over all bytes,
    /// the active segment left out. `None` when there is nothing to do.
    pub fn dirtiness(&self, now_ms: i64) -> Option<f64> {
        if !self.config.compact {
            return None;
        }
        let lag = millis(self.config.compaction_lag);
        let (mut dirty, mut clean) = (0_u64, 0_u64);
        for segment in self.sealed() {
            if segment.last < self.cleaned_to {
                clean += segment.size;
            } else if lag > 0 && segment.max_ms > now_ms.saturating_sub(lag) {
                break;
            } else {
                dirty += segment.size;
            }
        }
        let ratio = dirty as f64 / (dirty + clean).max(1) as f64;
        (dirty > 0 && ratio >= self.config.dirty_ratio).then_some(ratio)
    }

    /// Begins a compaction whose map of keys takes at most `budget` bytes.
    pub fn cleaner(&self, budget: usize, now_ms: i64) -> Cleaner {
        let first = self.segments.iter().find(|segment| segment.last >= self.cleaned_to);
        let stage = match first {
            Some(segment) => Stage::Mapping { segment: segment.base, position: 0 },
            None => Stage::Done,
        };
        let up_to = self.cleaned_to;
        let latest = FxHashMap::default();
        Cleaner { latest, latest_bytes: 0, budget, up_to, stage, now_ms }
    }

    /// The segment at or after `base` that compaction may touch.
    fn sealed_from(&self, base: i64) -> Option<&Segment> {
        self.sealed().iter().find(|segment| segment.base >= base)
    }

    /// The segments that compaction may touch: not the active one, and none that
    /// is not synced.
    fn sealed(&self) -> &[Segment] {
        let synced = self.segments.partition_point(|segment| segment.last < self.flushed);
        &self.segments[..synced.min(self.segments.len().saturating_sub(1))]
    }

    /// Puts a copy in the place of a segment, or takes the segment out if the copy
    /// is empty.
    fn replace(&mut self, disk: &mut dyn Disk, base: i64, is_empty: bool) -> Result<(), LogError> {
        let Some(at) = self.segments.iter().position(|segment| segment.base == base) else {
            return Ok(());
        };
        let old = &self.segments[at];
        let (name, last) = (old.name.clone(), old.last);
        // A snapshot that points into the segment no longer fits it.
        let (gone, kept): (Vec<i64>, Vec<i64>) =
            self.snapshots.iter().partition(|offset| **offset <= last);
        self.snapshots = kept;
        for offset in gone {
            disk.delete(&snapshot_name(&self.dir, offset))?;
        }
        for ending in ["index", "timeindex"] {
            disk.delete(&format!("{name}.{ending}"))?;
        }
        if last >= self.compacted_to {
            disk.open(&compacted_name(&self.dir, last + 1))?;
            if self.compacted_to > 0 {
                disk.delete(&compacted_name(&self.dir, self.compacted_to))?;
            }
            self.compacted_to = last + 1;
        }
        if is_empty && at > 0 {
            // The first segment stays, empty, because its name is where the log
            // starts.
            disk.delete(&format!("{name}.cleaned"))?;
            disk.delete(&format!("{name}.log"))?;
            self.segments.remove(at);
            return Ok(());
        }
        disk.rename(&format!("{name}.cleaned"), &format!("{name}.log"))?;
        let mut segment = Segment::open(disk, &self.dir, base)?;
        let len = disk.len(segment.file)?;
        let mut walk = Scan::new(segment.file, 0, len, false);
        while let Found::Batch { position, header, .. } = walk.next(disk)? {
            segment.saw(disk, &header, position, self.config.index_interval);
        }
        segment.last = last;
        self.segments[at] = segment;
        Ok(())
    }
}

impl Cleaner {
    /// Does a bounded piece of work on `log`. `gone` is called with the value of
    /// each record that is left out.
    ///
    /// # Errors
    /// [`LogError`] of the disk or for damaged batches; the log is as it was but
    /// for the segments that were replaced already.
    pub fn step(
        &mut self,
        log: &mut Log,
        disk: &mut dyn Disk,
        gone: &mut dyn FnMut(&[u8]),
    ) -> Result<Cleaned, LogError> {
        match &self.stage {
            Stage::Mapping { segment, position } => {
                let (segment, position) = (*segment, *position);
                self.map(log, disk, segment, position)?;
                Ok(Cleaned::More)
            }
            Stage::Copying { .. } => self.copy(log, disk, gone),
            Stage::Copied { segment, is_empty } => {
                let (segment, is_empty) = (*segment, *is_empty);
                log.replace(disk, segment, is_empty)?;
                self.begin_copy(log, disk, segment + 1)?;
                Ok(Cleaned::More)
            }
            Stage::Done => {
                log.cleaned_to = log.cleaned_to.max(self.up_to);
                Ok(Cleaned::Done)
            }
        }
    }

    /// Leaves nothing half done on the disk.
    ///
    /// # Errors
    /// [`DiskError`] of the disk.
    pub fn abandon(self, log: &Log, disk: &mut dyn Disk) -> Result<(), DiskError> {
        match self.stage {
            Stage::Copying { segment, .. } | Stage::Copied { segment, .. } => {
                disk.delete(&format!("{}.cleaned", super::segment::name(log.dir(), segment)))
            }
            Stage::Mapping { .. } | Stage::Done => Ok(()),
        }
    }

    /// Notes the keys of a piece of a segment.
    fn map(
        &mut self,
        log: &Log,
        disk: &mut dyn Disk,
        base: i64,
        from: u64,
    ) -> Result<(), LogError> {
        let Some(segment) = log.sealed_from(base) else {
            return self.begin_copy(log, disk, i64::MIN);
        };
        let from = if segment.base == base { from } else { 0 };
        let mut walk = Scan::new(segment.file, from, segment.size, true);
        while walk.position() < from + STEP {
            match walk.next(disk)? {
                Found::Batch { position, header, bytes } => {
                    let wrong =
                        |error: batch::BatchError| segment.corrupt(position, error.to_string());
                    let records = batch::records(&header, bytes).map_err(wrong)?;
                    for record in Records::new(&header, &records) {
                        let record = record.map_err(wrong)?;
                        let Some(key) = record.key else { continue };
                        let offset = header.base_offset + i64::from(record.offset_delta);
                        self.note(&records[key], offset);
                    }
                    self.up_to = header.last_offset() + 1;
                    if self.latest_bytes > self.budget {
                        return self.begin_copy(log, disk, i64::MIN);
                    }
                }
                Found::End => {
                    self.up_to = self.up_to.max(segment.last + 1);
                    self.stage = Stage::Mapping { segment: segment.base + 1, position: 0 };
                    return Ok(());
                }
                Found::Torn => {
                    return Err(segment.corrupt(walk.position(), "it is cut short".to_owned()));
                }
                Found::Corrupt(reason) => return Err(segment.corrupt(walk.position(), reason)),
            }
        }
        self.stage = Stage::Mapping { segment: segment.base, position: walk.position() };
        Ok(())
    }

    fn note(&mut self, key: &[u8], offset: i64) {
        match self.latest.get_mut(key) {
            Some(latest) => *latest = offset,
            None => {
                self.latest_bytes += key.len() + ENTRY;
                self.latest.insert(key.into(), offset);
            }
        }
    }

    /// Begins to copy the first sealed segment from `base` on that has something
    /// below `up_to`.
    fn begin_copy(&mut self, log: &Log, disk: &mut dyn Disk, base: i64) -> Result<(), LogError> {
        let segment = log.sealed_from(base).filter(|segment| segment.base < self.up_to);
        self.stage = match segment {
            None => Stage::Done,
            Some(segment) => {
                let copy = disk.open(&format!("{}.cleaned", segment.name))?;
                disk.truncate(copy, 0)?;
                let (segment, position) = (segment.base, 0);
                Stage::Copying { segment, position, copy, wrote: false, lost: false }
            }
        };
        Ok(())
    }

    fn copy(
        &mut self,
        log: &Log,
        disk: &mut dyn Disk,
        gone: &mut dyn FnMut(&[u8]),
    ) -> Result<Cleaned, LogError> {
        let Stage::Copying { segment: base, position: from, copy, mut wrote, mut lost } =
            self.stage
        else {
            return Ok(Cleaned::More);
        };
        let Some(segment) = log.sealed_from(base).filter(|segment| segment.base == base) else {
            // Retention has taken the segment meanwhile.
            disk.delete(&format!("{}.cleaned", super::segment::name(log.dir(), base)))?;
            self.begin_copy(log, disk, base + 1)?;
            return Ok(Cleaned::More);
        };
        let horizon = self.now_ms.saturating_add(millis(log.config.delete_retention));
        let mut walk = Scan::new(segment.file, from, segment.size, true);
        let is_end = loop {
            if walk.position() >= from + STEP {
                break false;
            }
            let (position, header, bytes) = match walk.next(disk)? {
                Found::Batch { position, header, bytes } => (position, header, bytes.to_vec()),
                Found::End => break true,
                Found::Torn => {
                    return Err(segment.corrupt(walk.position(), "it is cut short".to_owned()));
                }
                Found::Corrupt(reason) => return Err(segment.corrupt(walk.position(), reason)),
            };
            let kept = self
                .keep(&header, &bytes, horizon, gone)
                .map_err(|error| segment.corrupt(position, error.to_string()))?;
            match kept {
                Kept::All => {
                    disk.append(copy, &[&bytes])?;
                    wrote = true;
                }
                Kept::Some(batch) => {
                    disk.append(copy, &[&batch])?;
                    (wrote, lost) = (true, true);
                }
                Kept::Nothing => lost = true,
            }
        };
        let segment = base;
        if !is_end {
            let position = walk.position();
            self.stage = Stage::Copying { segment, position, copy, wrote, lost };
            return Ok(Cleaned::More);
        }
        if !lost {
            // Nothing has changed, so the segment stays what it is.
            disk.delete(&format!("{}.cleaned", super::segment::name(log.dir(), base)))?;
            self.begin_copy(log, disk, base + 1)?;
            return Ok(Cleaned::More);
        }
        self.stage = Stage::Copied { segment, is_empty: !wrote };
        Ok(Cleaned::Sync(copy))
    }

    /// What stays of a batch.
    fn keep(
        &self,
        header: &BatchHeader,
        bytes: &[u8],
        horizon: i64,
        gone: &mut dyn FnMut(&[u8]),
    ) -> Result<Kept, batch::BatchError> {
        let records = batch::records(header, bytes)?;
        let past_horizon = header.delete_horizon().is_some_and(|at| at <= self.now_ms);
        let mut stay: Vec<RecordView> =
            Vec::with_capacity((header.count.max(0) as usize).min(records.len()));
        let mut has_tombstone = false;
        for record in Records::new(header, &records) {
            let record = record?;
            let offset = header.base_offset + i64::from(record.offset_delta);
            let superseded = match &record.key {
                Some(key) => {
                    self.latest.get(&records[key.clone()]).is_some_and(|latest| *latest > offset)
                }
                // A compacted log takes no record without a key; one that was
                // there before the topic became compacted goes.
                None => offset < self.up_to,
            };
            let expired = record.value.is_none() && past_horizon;
            if superseded || expired {
                if let Some(value) = record.value {
                    gone(&records[value]);
                }
                continue;
            }
            has_tombstone |= record.value.is_none();
            stay.push(record);
        }
        if stay.is_empty() {
            return Ok(Kept::Nothing);
        }
        let stamps = has_tombstone && header.delete_horizon().is_none();
        if stay.len() == header.count.max(0) as usize && !stamps {
            return Ok(Kept::All);
        }
        let mut writer = BatchWriter::new();
        writer
            .placed(header.base_offset, header.leader_epoch)
            .producer(header.producer_id, header.producer_epoch, header.base_sequence)
            .last_offset_delta(header.last_offset_delta);
        if has_tombstone {
            writer.delete_horizon(header.delete_horizon().unwrap_or(horizon));
        }
        if header.is_append_time() {
            writer.append_time();
        }
        for record in &stay {
            let timestamp = header.base_timestamp.saturating_add(record.timestamp_delta);
            writer.push_at(timestamp, record.offset_delta, &records[record.body.clone()]);
        }
        let codec = header.codec().ok_or(batch::BatchError::Codec(header.attributes & 7))?;
        writer.finish(codec).map(Kept::Some)
    }
}

/// What stays of a batch.
enum Kept {
    /// It stays as it is.
    All,
    /// This batch takes its place.
    Some(Vec<u8>),
    /// Nothing.
    Nothing,
}

/// The values in a segment that retention has taken out, a piece at a time.
#[derive(Debug)]
pub struct Burial {
    removed: Removed,
    position: u64,
}

impl Burial {
    /// Of this segment.
    pub fn new(removed: Removed) -> Burial {
        Burial { removed, position: 0 }
    }

    /// Calls `gone` with the values of a piece of the segment; deletes the file
    /// and returns `true` when there are no more.
    ///
    /// # Errors
    /// [`DiskError`] of the disk.
    pub fn step(
        &mut self,
        disk: &mut dyn Disk,
        gone: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, DiskError> {
        let until = self.position + STEP;
        let mut walk = Scan::new(self.removed.file, self.position, self.removed.size, true);
        while walk.position() < until {
            let Found::Batch { bytes, .. } = walk.next(disk)? else {
                disk.delete(&self.removed.name)?;
                return Ok(true);
            };
            batch::each_value(bytes, gone);
        }
        self.position = walk.position();
        Ok(false)
    }
}
