//! The simulated disk: memory that the simulation can crash.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use broker_contract::{CrashKind, Disk, DiskError, FileId, MemoryDisk};

/// A handle to a disk that the node writes through and the simulation crashes.
///
/// The lock is never contended: a simulation has one thread.
#[derive(Clone, Debug, Default)]
pub struct SimDisk {
    shared: Arc<Mutex<State>>,
    /// Outside of the lock, because it is asked after every input of the node.
    dirty: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct State {
    disk: MemoryDisk,
    written: u64,
    batches: u64,
}

impl SimDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what a crash of this kind leaves; `torn` says how many of a
    /// file's unsynced bytes survive a power loss.
    pub fn crash(&self, kind: CrashKind, torn: impl FnMut(usize) -> usize) {
        self.state().disk.crash(kind, torn);
    }

    /// A sync of the first `len` bytes of `file` has ended.
    pub fn complete_sync(&self, file: FileId, len: u64) {
        self.state().disk.complete_sync_to(file, len);
    }

    /// A copy of what it holds, with what of it is synced.
    pub fn copy(&self) -> MemoryDisk {
        self.state().disk.clone()
    }

    /// Bytes appended so far.
    pub fn written(&self) -> u64 {
        self.state().written
    }

    /// Whether anything was appended since this was last asked: one gathered write.
    pub fn take_dirty(&self) -> bool {
        let dirty = self.dirty.load(Ordering::Relaxed);
        if dirty {
            self.dirty.store(false, Ordering::Relaxed);
        }
        dirty
    }
}

impl Disk for SimDisk {
    fn open(&mut self, name: &str) -> Result<FileId, DiskError> {
        self.state().disk.open(name)
    }

    fn append(&mut self, file: FileId, parts: &[&[u8]]) -> Result<u64, DiskError> {
        let mut state = self.state();
        let offset = state.disk.append(file, parts)?;
        state.written += parts.iter().map(|part| part.len() as u64).sum::<u64>();
        drop(state);
        self.dirty.store(true, Ordering::Relaxed);
        Ok(offset)
    }

    fn read_at(&mut self, file: FileId, offset: u64, buf: &mut [u8]) -> Result<usize, DiskError> {
        self.state().disk.read_at(file, offset, buf)
    }

    fn len(&mut self, file: FileId) -> Result<u64, DiskError> {
        self.state().disk.len(file)
    }

    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), DiskError> {
        self.state().disk.truncate(file, len)
    }

    fn list(&mut self, prefix: &str) -> Result<Vec<String>, DiskError> {
        self.state().disk.list(prefix)
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.state().disk.rename(from, to)
    }

    fn delete(&mut self, name: &str) -> Result<(), DiskError> {
        self.state().disk.delete(name)
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        let mut state = self.state();
        state.batches += 1;
        state.disk.flush()
    }
}
