//! What an operating system gives a broker to store things with.

use std::any::Any;
use std::collections::BTreeMap;

/// A file that is open on a [`Disk`]; valid until it is deleted or the node crashes.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub u32);

/// How a node came to its end.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum CrashKind {
    /// The process was killed: what was written stays, synced or not.
    ProcessKill,
    /// The power went: what was synced stays, and perhaps a torn piece of the rest.
    PowerLoss,
}

/// Why a disk operation failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DiskError {
    /// There is no room left.
    #[error("the disk is full")]
    Full,
    /// There is no such file.
    #[error("there is no file {0:?}")]
    NotFound(String),
    /// The file identifier is not open.
    #[error("file {0:?} is not open")]
    NotOpen(FileId),
    /// The device or operating system said no.
    #[error("{0}")]
    Io(Box<DiskIo>),
}

/// What a device or operating system refused. Boxed in [`DiskError`], because a
/// result of a sync is an input, and every frame is as large as the largest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation} {file:?}: {reason}")]
pub struct DiskIo {
    /// What was attempted.
    pub operation: &'static str,
    /// On which file.
    pub file: String,
    /// The system's words.
    pub reason: String,
}

/// A directory of files, flat, with `/` allowed inside names.
///
/// `append`, `truncate`, `rename` and `delete` return at once, as with a page
/// cache. Durability comes from [`crate::Effects::sync`], whose completion is an
/// [`crate::Input::Synced`]. The appends of one batch of inputs may be gathered:
/// the driver calls [`Disk::flush`] before it releases that batch's effects, and
/// `read_at` sees appended bytes whether flushed or not.
pub trait Disk: Send + Any {
    /// Opens `name`, creating it empty when it is missing.
    fn open(&mut self, name: &str) -> Result<FileId, DiskError>;
    /// Appends `parts` one after the other; returns the offset of the first byte.
    fn append(&mut self, file: FileId, parts: &[&[u8]]) -> Result<u64, DiskError>;
    /// Reads up to `buf.len()` bytes at `offset`; returns how many there were.
    fn read_at(&mut self, file: FileId, offset: u64, buf: &mut [u8]) -> Result<usize, DiskError>;
    /// Bytes in the file.
    fn len(&mut self, file: FileId) -> Result<u64, DiskError>;
    /// Cuts the file to `len` bytes.
    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), DiskError>;
    /// Names that start with `prefix`, sorted.
    fn list(&mut self, prefix: &str) -> Result<Vec<String>, DiskError>;
    /// Renames a file, replacing the target as one step.
    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError>;
    /// Deletes a file. Its identifier is no longer open.
    fn delete(&mut self, name: &str) -> Result<(), DiskError>;
    /// Hands gathered appends to the operating system. A node whose flush fails
    /// is treated as crashed: none of that batch's effects are released, so
    /// nothing is acknowledged and then dropped.
    fn flush(&mut self) -> Result<(), DiskError>;
}

/// A disk in memory that remembers what was synced.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    names: BTreeMap<String, FileId>,
    files: BTreeMap<FileId, MemoryFile>,
    next: u32,
    capacity: Option<u64>,
    used: u64,
}

#[derive(Clone, Debug, Default)]
struct MemoryFile {
    name: String,
    bytes: Vec<u8>,
    synced: usize,
}

impl MemoryDisk {
    /// An empty disk without a limit.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty disk that refuses appends beyond `bytes`.
    pub fn with_capacity(bytes: u64) -> Self {
        MemoryDisk { capacity: Some(bytes), ..Self::default() }
    }

    /// Marks everything in `file` as synced; drivers call it when a sync completes.
    pub fn complete_sync(&mut self, file: FileId) {
        if let Some(file) = self.files.get_mut(&file) {
            file.synced = file.bytes.len();
        }
    }

    /// Marks the first `len` bytes of `file` as synced: a sync proves what was
    /// appended before it was asked for, and nothing that came while it ran.
    pub fn complete_sync_to(&mut self, file: FileId, len: u64) {
        if let Some(file) = self.files.get_mut(&file) {
            let len = usize::try_from(len).unwrap_or(usize::MAX).min(file.bytes.len());
            file.synced = file.synced.max(len);
        }
    }

    /// What is left for the next boot. A power loss keeps the synced part of
    /// each file and `torn(unsynced_bytes)` bytes of the rest.
    pub fn crash(&mut self, kind: CrashKind, mut torn: impl FnMut(usize) -> usize) {
        if kind == CrashKind::PowerLoss {
            for file in self.files.values_mut() {
                let unsynced = file.bytes.len() - file.synced.min(file.bytes.len());
                let kept = torn(unsynced).min(unsynced);
                let len = file.bytes.len() - unsynced + kept;
                self.used -= (file.bytes.len() - len) as u64;
                file.bytes.truncate(len);
                file.synced = len;
            }
        }
    }

    /// Bytes in all files.
    pub fn used(&self) -> u64 {
        self.used
    }

    fn file(&mut self, id: FileId) -> Result<&mut MemoryFile, DiskError> {
        self.files.get_mut(&id).ok_or(DiskError::NotOpen(id))
    }
}

impl Disk for MemoryDisk {
    fn open(&mut self, name: &str) -> Result<FileId, DiskError> {
        if let Some(id) = self.names.get(name) {
            return Ok(*id);
        }
        let id = FileId(self.next);
        self.next += 1;
        self.names.insert(name.to_owned(), id);
        self.files.insert(id, MemoryFile { name: name.to_owned(), ..MemoryFile::default() });
        Ok(id)
    }

    fn append(&mut self, file: FileId, parts: &[&[u8]]) -> Result<u64, DiskError> {
        let more: u64 = parts.iter().map(|part| part.len() as u64).sum();
        if self.capacity.is_some_and(|capacity| self.used + more > capacity) {
            return Err(DiskError::Full);
        }
        let target = self.file(file)?;
        let offset = target.bytes.len() as u64;
        for part in parts {
            target.bytes.extend_from_slice(part);
        }
        self.used += more;
        Ok(offset)
    }

    fn read_at(&mut self, file: FileId, offset: u64, buf: &mut [u8]) -> Result<usize, DiskError> {
        let source = self.file(file)?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(source.bytes.len());
        let count = buf.len().min(source.bytes.len() - start);
        buf[..count].copy_from_slice(&source.bytes[start..start + count]);
        Ok(count)
    }

    fn len(&mut self, file: FileId) -> Result<u64, DiskError> {
        Ok(self.file(file)?.bytes.len() as u64)
    }

    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), DiskError> {
        let target = self.file(file)?;
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(target.bytes.len());
        let cut = (target.bytes.len() - len) as u64;
        target.bytes.truncate(len);
        target.synced = target.synced.min(len);
        self.used -= cut;
        Ok(())
    }

    fn list(&mut self, prefix: &str) -> Result<Vec<String>, DiskError> {
        Ok(self.names.keys().filter(|name| name.starts_with(prefix)).cloned().collect())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        let id = self.names.remove(from).ok_or_else(|| DiskError::NotFound(from.to_owned()))?;
        if let Some(old) = self.names.insert(to.to_owned(), id)
            && let Some(gone) = self.files.remove(&old)
        {
            self.used -= gone.bytes.len() as u64;
        }
        if let Some(file) = self.files.get_mut(&id) {
            file.name = to.to_owned();
        }
        Ok(())
    }

    fn delete(&mut self, name: &str) -> Result<(), DiskError> {
        let id = self.names.remove(name).ok_or_else(|| DiskError::NotFound(name.to_owned()))?;
        if let Some(gone) = self.files.remove(&id) {
            self.used -= gone.bytes.len() as u64;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_kill_keeps_what_was_written_and_a_power_loss_what_was_synced() {
        let mut disk = MemoryDisk::new();
        let file = disk.open("log").expect("opens");
        disk.append(file, &[b"synced"]).expect("appends");
        disk.complete_sync(file);
        disk.append(file, &[b" and", b" not"]).expect("appends");
        disk.crash(CrashKind::ProcessKill, |_| 0);
        assert_eq!(disk.len(file), Ok(14));
        disk.crash(CrashKind::PowerLoss, |unsynced| unsynced / 2);
        let mut buf = [0; 32];
        assert_eq!(disk.read_at(file, 0, &mut buf), Ok(10));
        assert_eq!(&buf[..10], b"synced and");
        assert_eq!(disk.used(), 10);
    }

    #[test]
    fn a_sync_proves_only_what_was_there_when_it_was_asked_for() {
        let mut disk = MemoryDisk::new();
        let file = disk.open("log").expect("opens");
        disk.append(file, &[b"before"]).expect("appends");
        let asked = disk.len(file).expect("has a length");
        disk.append(file, &[b" while it ran"]).expect("appends");
        disk.complete_sync_to(file, asked);
        disk.crash(CrashKind::PowerLoss, |_| 0);
        assert_eq!(disk.len(file), Ok(6));
    }

    #[test]
    fn a_full_disk_refuses_and_changes_nothing() {
        let mut disk = MemoryDisk::with_capacity(4);
        let file = disk.open("log").expect("opens");
        assert_eq!(disk.append(file, &[b"12345"]), Err(DiskError::Full));
        assert_eq!(disk.len(file), Ok(0));
        assert_eq!(disk.append(file, &[b"1234"]), Ok(0));
    }

    #[test]
    fn a_rename_replaces_its_target() {
        let mut disk = MemoryDisk::new();
        let new = disk.open("new").expect("opens");
        disk.append(new, &[b"n"]).expect("appends");
        let old = disk.open("old").expect("opens");
        disk.append(old, &[b"oo"]).expect("appends");
        disk.rename("new", "old").expect("renames");
        assert_eq!(disk.list(""), Ok(vec!["old".to_owned()]));
        assert_eq!(disk.used(), 1);
        assert_eq!(disk.len(old), Err(DiskError::NotOpen(old)));
        assert_eq!(disk.open("old"), Ok(new));
    }
}
