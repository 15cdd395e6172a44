//! Opening a log: after a shutdown, after a crash at any byte, after damage.
//!
//! Below the newest sound snapshot everything was synced: there only the headers
//! behind each segment's last index entry are walked over, which also makes
//! missing indexes again. From the snapshot on every byte is checked. The first
//! batch there that is torn or is not what was written ends the log, as in the
//! original: it is cut there, later segments go, and the cut is reported. In
//! what was synced, a walk that breaks is no crash's doing: it is an error.

use std::collections::BTreeSet;

use broker_contract::{BootError, Disk, DiskError};

use super::index::read_all;
use super::scan::{Found, Scan};
use super::segment::{Segment, out_of_order};
use super::snapshot::Snapshot;
use super::{Log, compacted_name, follows, snapshot_name};
use crate::node::config::LogConfig;

/// Something that was taken away from a log to make it whole again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The file.
    pub file: String,
    /// From which byte on.
    pub offset: u64,
    /// How many bytes.
    pub bytes: u64,
    /// What was found there.
    pub reason: String,
    /// Whether it was the tail of a write that a crash had torn.
    pub is_torn: bool,
}

/// A log that was opened, and what that took.
#[derive(Debug)]
pub struct Opened {
    /// The log.
    pub log: Log,
    /// What was taken away.
    pub cuts: Vec<Cut>,
}

/// The part of a sorted listing that lies in the folder `dir`.
fn files_in<'a>(listing: &'a [String], dir: &str) -> &'a [String] {
    let is_before = |path: &String| {
        let part = &path.as_bytes()[..path.len().min(dir.len() + 1)];
        part < [dir.as_bytes(), b"/"].concat().as_slice()
    };
    let from = &listing[listing.partition_point(is_before)..];
    let is_in = |path: &String| path.strip_prefix(dir).is_some_and(|name| name.starts_with('/'));
    &from[..from.partition_point(is_in)]
}

/// Why a segment behind a cut goes.
const AFTER_A_CUT: &str = "it follows a segment that was cut";

/// What the folder holds, by the names of its files.
#[derive(Debug, Default)]
struct Files {
    segments: BTreeSet<i64>,
    snapshots: BTreeSet<i64>,
    /// Compaction has replaced segments below these offsets.
    compacted: BTreeSet<i64>,
}

impl Files {
    /// Sorts the files that are there, and deletes what a crash has left half done.
    fn sort(disk: &mut dyn Disk, paths: &[String], dir: &str) -> Result<Files, DiskError> {
        let mut files = Files::default();
        let mut indexes = Vec::new();
        for path in paths {
            let Some(name) = path.strip_prefix(dir).and_then(|name| name.strip_prefix('/')) else {
                continue;
            };
            let Some((stem, ending)) = name.split_once('.') else { continue };
            // A name of another form is somebody else's, or no offset.
            let is_offset = stem.len() == 20 && stem.bytes().all(|byte| byte.is_ascii_digit());
            let Some(offset) = is_offset.then(|| stem.parse().ok()).flatten() else { continue };
            match ending {
                "log" => drop(files.segments.insert(offset)),
                "compacted" => drop(files.compacted.insert(offset)),
                "snapshot" => drop(files.snapshots.insert(offset)),
                "index" | "timeindex" => indexes.push((offset, path)),
                "cleaned" => disk.delete(path)?,
                _ => {}
            }
        }
        for (offset, path) in indexes {
            if !files.segments.contains(&offset) {
                disk.delete(path)?;
            }
        }
        Ok(files)
    }
}

impl Log {
    /// Opens the log in the folder `dir`; it is empty when there is none. `number`
    /// is one that no other log of the node has had, and `listing` names the files
    /// of the disk, sorted: one listing serves all logs.
    ///
    /// # Errors
    /// [`BootError::Store`] for damage in what had been synced, with file and
    /// position; [`BootError::Disk`] of the disk.
    pub fn open(
        disk: &mut dyn Disk,
        dir: &str,
        number: u32,
        config: LogConfig,
        start: i64,
        now_ms: i64,
        listing: &[String],
    ) -> Result<Opened, BootError> {
        let files = Files::sort(disk, files_in(listing, dir), dir)?;
        let compacted_to = files.compacted.last().copied().unwrap_or(0);
        for offset in files.compacted.range(..compacted_to) {
            disk.delete(&compacted_name(dir, *offset))?;
        }
        let Known { snapshot: known, sound, claimed } = newest_snapshot(disk, dir, &files)?;
        let mut log = Log {
            dir: dir.to_owned(),
            number,
            config,
            segments: Vec::with_capacity(files.segments.len()),
            start: 0,
            next: known.offset,
            flushed: known.offset,
            producers: known.producers.clone(),
            epochs: known.epochs.clone(),
            syncs: Default::default(),
            sync_number: 0,
            snapshots: sound,
            cleaned_to: known.cleaned_to,
            compacted_to,
            failed: false,
            appended_bytes: 0,
        };
        let mut cuts = Vec::new();
        let mut rest = files.segments.iter().copied();
        while let Some(base) = rest.next() {
            let last = log.segments.last().map_or(-1, |before| before.last);
            let mut segment = Segment::open(disk, dir, base)?;
            let len = disk.len(segment.file)?;
            if base <= last && base < compacted_to && log.is_last_sound(disk) {
                // Compaction had joined it into the one before and was
                // interrupted before it deleted it.
                delete_segment(disk, &segment)?;
                continue;
            }
            let synced = match base.cmp(&known.segment) {
                std::cmp::Ordering::Less => len,
                std::cmp::Ordering::Equal => known.position.min(len),
                std::cmp::Ordering::Greater => 0,
            };
            if !log.segments.is_empty() && !follows(last, base, compacted_to) {
                // The end of the segment before is gone, and it was a whole batch.
                if base <= known.segment {
                    return Err(damaged(&segment, 0, out_of_order(last, base)));
                }
                cuts.push(log.drop_later(disk, base, out_of_order(last, base))?);
                for base in rest {
                    cuts.push(log.drop_later(disk, base, AFTER_A_CUT.to_owned())?);
                }
                break;
            }
            log.walk_synced(disk, &mut segment, synced)?;
            if base == known.segment
                && synced == known.position
                && segment.last.saturating_add(1) != known.offset
            {
                // No checksum was asked, and behind the last batch nothing else shows
                // how far it reaches.
                let reason =
                    format!("it was synced up to offset {}, and ends elsewhere", known.offset);
                return Err(damaged(&segment, segment.size, reason));
            }
            let cut = log.walk_unsynced(disk, &mut segment, synced, len, now_ms)?;
            log.segments.push(segment);
            if let Some(cut) = cut {
                cuts.push(cut);
                for base in rest {
                    cuts.push(log.drop_later(disk, base, AFTER_A_CUT.to_owned())?);
                }
                break;
            }
        }
        if let Some(active) = log.segments.last() {
            log.next = active.last + 1;
        }
        if claimed > log.next {
            // A file is missing, or was damaged where it had been synced and the
            // snapshot went with the segment that it names.
            let (file, next) = (snapshot_name(dir, claimed), log.next);
            let reason =
                format!("everything below offset {claimed} was synced, and the log ends at {next}");
            cuts.push(Cut { file, offset: 0, bytes: 0, reason, is_torn: false });
        }
        log.forget_beyond_the_end(disk)?;
        log.start = log.segments.first().map_or(0, |first| first.base).max(start).min(log.next);
        Ok(Opened { log, cuts })
    }

    /// Whether every byte of the last segment so far is what was written, so that
    /// what its batches claim may be believed.
    fn is_last_sound(&self, disk: &mut dyn Disk) -> bool {
        let follows = |last, base| follows(last, base, self.compacted_to);
        self.segments.last().is_some_and(|last| last.verify(disk, follows).is_ok())
    }

    /// Deletes a segment that lies behind a cut.
    fn drop_later(&self, disk: &mut dyn Disk, base: i64, reason: String) -> Result<Cut, DiskError> {
        let later = Segment::open(disk, &self.dir, base)?;
        let (file, bytes) = (later.log_name(), disk.len(later.file)?);
        delete_segment(disk, &later)?;
        Ok(Cut { file, offset: 0, bytes, reason, is_torn: true })
    }

    /// Takes in a segment's synced part from its indexes, and by its headers
    /// where the indexes end.
    fn walk_synced(
        &mut self,
        disk: &mut dyn Disk,
        segment: &mut Segment,
        synced: u64,
    ) -> Result<(), BootError> {
        segment.skip_indexed(disk, synced)?;
        let mut walk = Scan::new(segment.file, segment.size, synced, false);
        loop {
            let reason = match walk.next(disk)? {
                Found::Batch { position, header, .. }
                    if follows(segment.last, header.base_offset, self.compacted_to) =>
                {
                    segment.saw(disk, &header, position, self.config.index_interval);
                    continue;
                }
                Found::Batch { position, header, .. } => {
                    let reason = out_of_order(segment.last, header.base_offset);
                    return Err(damaged(segment, position, reason));
                }
                Found::End => return Ok(()),
                Found::Torn => "a synced batch is not whole".to_owned(),
                Found::Corrupt(reason) => reason,
            };
            return Err(damaged(segment, walk.position(), reason));
        }
    }

    /// Takes in the rest of a segment, checking every byte, and cuts it where it
    /// stops being a log.
    fn walk_unsynced(
        &mut self,
        disk: &mut dyn Disk,
        segment: &mut Segment,
        from: u64,
        len: u64,
        now_ms: i64,
    ) -> Result<Option<Cut>, DiskError> {
        if from < len {
            // Index entries may be ahead of a log that a power loss has cut.
            segment.index.truncate(disk, from)?;
        }
        let mut walk = Scan::new(segment.file, from, len, true);
        let (reason, is_torn) = loop {
            match walk.next(disk)? {
                Found::Batch { position, header, .. }
                    if follows(segment.last, header.base_offset, self.compacted_to) =>
                {
                    segment.saw(disk, &header, position, self.config.index_interval);
                    self.took(&header, now_ms.max(header.max_timestamp));
                }
                Found::Batch { header, .. } => {
                    break (out_of_order(segment.last, header.base_offset), false);
                }
                Found::End => return Ok(None),
                Found::Torn => break ("a batch is not whole".to_owned(), true),
                Found::Corrupt(reason) => break (reason, false),
            }
        };
        let offset = segment.size;
        segment.truncate(disk, offset)?;
        let file = segment.log_name();
        Ok(Some(Cut { file, offset, bytes: len - offset, reason, is_torn }))
    }

    /// Snapshots, epochs and compaction's position that the log no longer reaches.
    fn forget_beyond_the_end(&mut self, disk: &mut dyn Disk) -> Result<(), DiskError> {
        while let Some(last) = self.snapshots.pop_if(|last| *last > self.next) {
            disk.delete(&snapshot_name(&self.dir, last))?;
        }
        while self.epochs.pop_if(|last| last.1 >= self.next && self.next > 0).is_some() {}
        self.cleaned_to = self.cleaned_to.min(self.next);
        self.flushed = self.flushed.min(self.next);
        Ok(())
    }
}

fn damaged(segment: &Segment, offset: u64, reason: String) -> BootError {
    BootError::Store { file: segment.log_name(), offset, reason }
}

/// What the snapshots say.
struct Known {
    /// The newest sound one that fits the segments that there are, or an empty one.
    snapshot: Snapshot,
    /// The offsets of all that are sound and fit.
    sound: Vec<i64>,
    /// The largest offset of which a sound one says that all below it was synced.
    claimed: i64,
}

/// Reads the snapshots. Those that are not sound, or do not fit, are deleted.
fn newest_snapshot(disk: &mut dyn Disk, dir: &str, files: &Files) -> Result<Known, DiskError> {
    let (mut newest, mut sound, mut claimed) = (Snapshot::default(), Vec::new(), 0);
    newest.segment = i64::MIN;
    for offset in &files.snapshots {
        let path = snapshot_name(dir, *offset);
        let file = disk.open(&path)?;
        let bytes = read_all(disk, file)?;
        let snapshot = Snapshot::decode(&bytes).filter(|snapshot| snapshot.offset == *offset);
        claimed = snapshot.as_ref().map_or(claimed, |snapshot| claimed.max(snapshot.offset));
        let fits = |snapshot: &Snapshot| files.segments.contains(&snapshot.segment);
        match snapshot.filter(fits) {
            Some(snapshot) => {
                sound.push(*offset);
                newest = snapshot;
            }
            None => disk.delete(&path)?,
        }
    }
    Ok(Known { snapshot: newest, sound, claimed })
}

fn delete_segment(disk: &mut dyn Disk, segment: &Segment) -> Result<(), DiskError> {
    disk.delete(&segment.log_name())?;
    disk.delete(&format!("{}.index", segment.name))?;
    disk.delete(&format!("{}.timeindex", segment.name))
}
