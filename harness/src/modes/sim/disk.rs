//! The simulated disk: memory that the simulation can crash.
//!
//! A killed process loses nothing that it wrote. When the power goes, each file
//! keeps what was synced and a torn piece of the rest, and the directory keeps a
//! part of its latest changes: as on a journalling file system, creations,
//! renames and deletions become durable in order, all of them with the next sync
//! of any file that is asked for afterwards, and of those after that a random
//! number, the oldest first. A file that is cut shorter is cut for good at once,
//! which is kinder than real devices are.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use broker_contract::{CrashKind, Disk, DiskError, FileId, MemoryDisk, Time};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Unsynced appends to a file within this time of each other are remembered as
/// one, by the time of the first.
const GRAIN_NS: u64 = 1_000_000;

/// A handle to a disk that the node writes through and the simulation crashes.
///
/// The lock is never contended: a simulation has one thread.
#[derive(Clone, Debug)]
pub struct SimDisk {
    shared: Arc<Mutex<State>>,
    /// Outside of the lock, because they are used at every input of the node.
    appended: Arc<AtomicU64>,
    now_ns: Arc<AtomicU64>,
}

#[derive(Debug)]
struct State {
    disk: MemoryDisk,
    written: u64,
    is_full: bool,
    /// Whether the power may go, so that changes have to be undone.
    loses_power: bool,
    /// Changes of the directory that no sync has made durable, oldest first.
    changes: VecDeque<Change>,
    /// Changes since the disk was made, and how many of them the syncs that were
    /// asked for cover, oldest sync first.
    changed: u64,
    asked: VecDeque<u64>,
    /// Of each file: (offset, time) of what was appended and not synced.
    unsynced: BTreeMap<FileId, VecDeque<(u64, Time)>>,
}

/// A change of the directory, and what it takes to undo it.
#[derive(Debug)]
enum Change {
    Created { name: String },
    Renamed { from: String, to: String, replaced: Option<Contents> },
    Deleted { name: String, contents: Contents },
}

/// What was in a file that is gone.
#[derive(Debug)]
struct Contents {
    bytes: Vec<u8>,
    unsynced: VecDeque<(u64, Time)>,
}

impl SimDisk {
    /// An empty disk. Only one that `loses_power` remembers how to undo changes.
    pub fn new(loses_power: bool) -> SimDisk {
        let state = State {
            disk: MemoryDisk::new(),
            written: 0,
            is_full: false,
            loses_power,
            changes: VecDeque::new(),
            changed: 0,
            asked: VecDeque::new(),
            unsynced: BTreeMap::new(),
        };
        SimDisk {
            shared: Arc::new(Mutex::new(state)),
            appended: Arc::default(),
            now_ns: Arc::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time at which what follows is written.
    pub fn set_now(&self, now: Time) {
        self.now_ns.store(now.as_nanos(), Ordering::Relaxed);
    }

    fn now(&self) -> Time {
        Time::from_nanos(self.now_ns.load(Ordering::Relaxed))
    }

    /// Whether appends are refused for want of room.
    pub fn set_full(&self, is_full: bool) {
        self.state().is_full = is_full;
    }

    /// Keeps what a crash of this kind leaves, and returns when the oldest byte
    /// that it took was appended.
    pub fn crash(&self, kind: CrashKind, chance: &mut ChaCha8Rng) -> Option<Time> {
        match kind {
            CrashKind::ProcessKill => None,
            CrashKind::PowerLoss => self.state().lose_power(chance),
        }
    }

    /// A sync was asked for: it covers the changes of the directory so far.
    pub fn sync_asked(&self) {
        let mut state = self.state();
        let changed = state.changed;
        state.asked.push_back(changed);
    }

    /// The oldest sync that was asked for has ended, of the first `len` bytes of
    /// `file`.
    pub fn complete_sync(&self, file: FileId, len: u64) {
        self.state().complete_sync(file, len);
    }

    /// A copy of what it holds, with what of it is synced.
    pub fn copy(&self) -> MemoryDisk {
        self.state().disk.clone()
    }

    /// Bytes appended so far.
    pub fn written(&self) -> u64 {
        self.state().written
    }

    /// Bytes appended since this was last asked.
    pub fn take_appended(&self) -> u64 {
        let appended = self.appended.load(Ordering::Relaxed);
        if appended > 0 {
            self.appended.store(0, Ordering::Relaxed);
        }
        appended
    }
}

impl State {
    fn changed(&mut self, change: Change) {
        if self.loses_power {
            self.changed += 1;
            self.changes.push_back(change);
        }
    }

    fn complete_sync(&mut self, file: FileId, len: u64) {
        self.disk.complete_sync_to(file, len);
        if let Some(unsynced) = self.unsynced.get_mut(&file) {
            // An entry covers what was appended up to the next one.
            while unsynced.get(1).is_some_and(|(from, _)| *from <= len) {
                unsynced.pop_front();
            }
            if self.disk.len(file).is_ok_and(|all| all <= len) {
                unsynced.clear();
            } else if let Some((from, _)) = unsynced.front_mut() {
                *from = (*from).max(len);
            }
        }
        if let Some(covered) = self.asked.pop_front() {
            let first = self.changed - self.changes.len() as u64;
            let durable = covered.saturating_sub(first) as usize;
            self.changes.drain(..durable.min(self.changes.len()));
        }
    }

    fn lose_power(&mut self, chance: &mut ChaCha8Rng) -> Option<Time> {
        let kept = chance.random_range(0..=self.changes.len());
        while self.changes.len() > kept {
            let Some(change) = self.changes.pop_back() else { break };
            self.undo(change);
        }
        self.changes.clear();
        self.asked.clear();
        let lengths: Vec<Option<u64>> =
            self.unsynced.keys().map(|file| self.disk.len(*file).ok()).collect();
        self.disk.crash(CrashKind::PowerLoss, |unsynced| chance.random_range(0..=unsynced));
        let mut oldest: Option<Time> = None;
        for ((file, lost), before) in std::mem::take(&mut self.unsynced).into_iter().zip(lengths) {
            let kept = self.disk.len(file).ok();
            if kept.is_some() && kept == before {
                continue;
            }
            let kept = kept.unwrap_or(0);
            // What was appended last before the cut may have been torn itself.
            let after = lost.partition_point(|(from, _)| *from <= kept);
            if let Some((_, at)) = lost.get(after.saturating_sub(1)) {
                oldest = Some(oldest.map_or(*at, |oldest: Time| oldest.min(*at)));
            }
        }
        oldest
    }

    /// Takes back a change that the power loss undid. The disk in memory cannot
    /// refuse any of this: the names were there a moment ago.
    fn undo(&mut self, change: Change) {
        match change {
            Change::Created { name } => {
                if let Ok(file) = self.disk.open(&name) {
                    // What was in it is lost whole; its time stays known.
                    let lost = self.unsynced.remove(&file);
                    let deleted = self.disk.delete(&name).is_ok();
                    if let (Some(lost), true) = (lost, deleted) {
                        self.unsynced.insert(file, lost);
                    }
                }
            }
            Change::Renamed { from, to, replaced } => {
                if self.disk.rename(&to, &from).is_ok()
                    && let Some(contents) = replaced
                {
                    self.restore(&to, contents);
                }
            }
            Change::Deleted { name, contents } => self.restore(&name, contents),
        }
    }

    fn restore(&mut self, name: &str, contents: Contents) {
        let Ok(file) = self.disk.open(name) else { return };
        let synced =
            contents.unsynced.front().map_or(contents.bytes.len() as u64, |(from, _)| *from);
        if self.disk.append(file, &[&contents.bytes]).is_ok() {
            self.disk.complete_sync_to(file, synced);
            self.unsynced.insert(file, contents.unsynced);
        }
    }

    /// What is in a file that is about to go, if it may have to come back.
    fn contents(&mut self, name: &str) -> Option<Contents> {
        let exists = self.disk.list(name).is_ok_and(|names| names.iter().any(|it| it == name));
        if !self.loses_power || !exists {
            return None;
        }
        let file = self.disk.open(name).ok()?;
        let mut bytes = vec![0; self.disk.len(file).ok()? as usize];
        let read = self.disk.read_at(file, 0, &mut bytes).ok()?;
        bytes.truncate(read);
        Some(Contents { bytes, unsynced: self.unsynced.remove(&file).unwrap_or_default() })
    }
}

impl Disk for SimDisk {
    fn open(&mut self, name: &str) -> Result<FileId, DiskError> {
        let mut state = self.state();
        let is_new = state.loses_power && !state.disk.list(name)?.iter().any(|there| there == name);
        let file = state.disk.open(name)?;
        if is_new {
            state.changed(Change::Created { name: name.to_owned() });
        }
        Ok(file)
    }

    fn append(&mut self, file: FileId, parts: &[&[u8]]) -> Result<u64, DiskError> {
        let now = self.now();
        let mut state = self.state();
        let bytes = parts.iter().map(|part| part.len() as u64).sum::<u64>();
        if state.is_full && bytes > 0 {
            return Err(DiskError::Full);
        }
        let offset = state.disk.append(file, parts)?;
        state.written += bytes;
        if state.loses_power {
            let unsynced = state.unsynced.entry(file).or_default();
            if unsynced.back().is_none_or(|(_, at)| now.nanos_since(*at) >= GRAIN_NS) {
                unsynced.push_back((offset, now));
            }
        }
        drop(state);
        self.appended.fetch_add(bytes, Ordering::Relaxed);
        Ok(offset)
    }

    fn read_at(&mut self, file: FileId, offset: u64, buf: &mut [u8]) -> Result<usize, DiskError> {
        self.state().disk.read_at(file, offset, buf)
    }

    fn len(&mut self, file: FileId) -> Result<u64, DiskError> {
        self.state().disk.len(file)
    }

    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), DiskError> {
        let mut state = self.state();
        state.disk.truncate(file, len)?;
        if let Some(unsynced) = state.unsynced.get_mut(&file) {
            unsynced.retain(|(from, _)| *from < len);
        }
        Ok(())
    }

    fn list(&mut self, prefix: &str) -> Result<Vec<String>, DiskError> {
        self.state().disk.list(prefix)
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        let mut state = self.state();
        let replaced = if from == to { None } else { state.contents(to) };
        state.disk.rename(from, to)?;
        state.changed(Change::Renamed { from: from.to_owned(), to: to.to_owned(), replaced });
        Ok(())
    }

    fn delete(&mut self, name: &str) -> Result<(), DiskError> {
        let mut state = self.state();
        let contents = state.contents(name);
        state.disk.delete(name)?;
        if let Some(contents) = contents {
            state.changed(Change::Deleted { name: name.to_owned(), contents });
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        self.state().disk.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use broker_contract::SeedStream;

    fn at(ms: u64) -> Time {
        Time::from_millis(ms)
    }

    fn read(disk: &mut SimDisk, name: &str) -> Vec<u8> {
        let file = disk.open(name).expect("opens");
        let mut bytes = vec![0; disk.len(file).expect("open") as usize];
        disk.read_at(file, 0, &mut bytes).expect("reads");
        bytes
    }

    #[test]
    fn a_power_loss_tells_when_the_oldest_lost_byte_was_written() {
        let mut disk = SimDisk::new(true);
        let file = disk.open("log").expect("opens");
        disk.append(file, &[b"synced"]).expect("appends");
        disk.sync_asked();
        disk.complete_sync(file, 6);
        for ms in [10, 20, 30] {
            disk.set_now(at(ms));
            disk.append(file, &[b"0123456789"]).expect("appends");
        }
        for seed in 0..20 {
            let mut copy = SimDisk::new(true);
            let other = copy.open("log").expect("opens");
            copy.append(other, &[b"synced"]).expect("appends");
            copy.sync_asked();
            copy.complete_sync(other, 6);
            for ms in [10, 20, 30] {
                copy.set_now(at(ms));
                copy.append(other, &[b"0123456789"]).expect("appends");
            }
            let mut chance = SeedStream::new(seed).rng();
            let lost =
                copy.crash(CrashKind::PowerLoss, &mut chance).expect("something was unsynced");
            let kept = copy.len(other).expect("open");
            assert!((6..=36).contains(&kept), "{kept}");
            assert!(lost >= at(10) && lost <= at(30));
            assert!(kept < 16 || lost >= at(20), "the first is whole: {kept} {lost:?}");
        }
        let mut chance = SeedStream::new(1).rng();
        assert_eq!(disk.crash(CrashKind::ProcessKill, &mut chance), None);
        assert_eq!(disk.len(file), Ok(36));
    }

    #[test]
    fn what_the_directory_forgets_is_a_suffix_of_its_changes_since_the_last_sync() {
        let mut outcomes = std::collections::BTreeSet::new();
        for seed in 0..40 {
            let mut disk = SimDisk::new(true);
            let old = disk.open("state").expect("opens");
            disk.append(old, &[b"old"]).expect("appends");
            disk.sync_asked();
            disk.complete_sync(old, 3);
            let new = disk.open("state.new").expect("opens");
            disk.append(new, &[b"new"]).expect("appends");
            disk.sync_asked();
            disk.complete_sync(new, 3);
            disk.rename("state.new", "state").expect("renames");
            disk.delete("state").expect("deletes");
            disk.crash(CrashKind::PowerLoss, &mut SeedStream::new(seed).rng());
            let names = disk.list("").expect("lists");
            let state = names.contains(&"state".to_owned()).then(|| read(&mut disk, "state"));
            outcomes.insert((names.join(","), state));
        }
        let expected = [
            (String::new(), None),
            ("state".to_owned(), Some(b"new".to_vec())),
            ("state,state.new".to_owned(), Some(b"old".to_vec())),
        ];
        assert!(outcomes.iter().eq(expected.iter()), "{outcomes:?}");
    }

    #[test]
    fn a_full_disk_refuses_and_changes_nothing() {
        let mut disk = SimDisk::new(false);
        let file = disk.open("log").expect("opens");
        disk.set_full(true);
        assert_eq!(disk.append(file, &[b"x"]), Err(DiskError::Full));
        disk.set_full(false);
        assert_eq!(disk.append(file, &[b"x"]), Ok(0));
    }
}
