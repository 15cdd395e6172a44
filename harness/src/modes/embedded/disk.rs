//! Real files in a fresh directory.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use broker_contract::{Disk, DiskError, DiskIo, FileId, SyncToken};
use tempfile::TempDir;

/// A directory of files behind the [`Disk`] interface. Appends are gathered and
/// written by `flush`, one write a file.
#[derive(Clone, Debug)]
pub struct FileDisk {
    shared: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    root: TempDir,
    names: BTreeMap<String, FileId>,
    files: BTreeMap<FileId, OpenFile>,
    dirty: Vec<FileId>,
    next: u32,
    written: u64,
}

#[derive(Debug)]
struct OpenFile {
    name: String,
    file: File,
    len: u64,
    gathered: Vec<u8>,
}

fn failed(operation: &'static str, name: &str, error: &io::Error) -> DiskError {
    if error.kind() == io::ErrorKind::StorageFull {
        return DiskError::Full;
    }
    let reason = error.to_string();
    DiskError::Io(Box::new(DiskIo { operation, file: name.to_owned(), reason }))
}

impl FileDisk {
    /// A disk in a new directory below the system's temporary one, removed with
    /// the last handle.
    ///
    /// # Errors
    /// [`DiskError::Io`] when the directory cannot be made.
    pub fn fresh() -> Result<FileDisk, DiskError> {
        let root = tempfile::Builder::new()
            .prefix("broker-lab-")
            .tempdir()
            .map_err(|error| failed("create", "a temporary directory", &error))?;
        let state = State {
            root,
            names: BTreeMap::new(),
            files: BTreeMap::new(),
            dirty: Vec::new(),
            next: 0,
            written: 0,
        };
        Ok(FileDisk { shared: Arc::new(Mutex::new(state)) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes appended so far.
    pub fn written(&self) -> u64 {
        self.state().written
    }

    /// The process that gathered them is gone, and so are appends that were not
    /// written yet.
    pub fn forget_unwritten(&self) {
        let mut state = self.state();
        state.dirty.clear();
        for file in state.files.values_mut() {
            file.len -= file.gathered.len() as u64;
            file.gathered.clear();
        }
    }
}

impl State {
    fn path(&self, name: &str) -> Result<PathBuf, DiskError> {
        let relative = Path::new(name);
        let plain = relative.components().all(|part| matches!(part, Component::Normal(_)));
        if !plain || name.is_empty() {
            return Err(DiskError::NotFound(name.to_owned()));
        }
        Ok(self.root.path().join(relative))
    }

    fn file(&mut self, id: FileId) -> Result<&mut OpenFile, DiskError> {
        self.files.get_mut(&id).ok_or(DiskError::NotOpen(id))
    }
}

impl OpenFile {
    fn write_gathered(&mut self) -> Result<(), DiskError> {
        if !self.gathered.is_empty() {
            self.file
                .write_all(&self.gathered)
                .map_err(|error| failed("append to", &self.name, &error))?;
            self.gathered.clear();
        }
        Ok(())
    }
}

impl Disk for FileDisk {
    fn open(&mut self, name: &str) -> Result<FileId, DiskError> {
        let mut state = self.state();
        if let Some(id) = state.names.get(name) {
            return Ok(*id);
        }
        let path = state.path(name)?;
        let wrong = |error: io::Error| failed("open", name, &error);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(wrong)?;
        }
        let file =
            OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(wrong)?;
        let len = file.metadata().map_err(wrong)?.len();
        let id = FileId(state.next);
        state.next += 1;
        state.names.insert(name.to_owned(), id);
        let open = OpenFile { name: name.to_owned(), file, len, gathered: Vec::new() };
        state.files.insert(id, open);
        Ok(id)
    }

    fn append(&mut self, file: FileId, parts: &[&[u8]]) -> Result<u64, DiskError> {
        let mut state = self.state();
        let open = state.file(file)?;
        let offset = open.len;
        let first = open.gathered.is_empty();
        for part in parts {
            open.gathered.extend_from_slice(part);
        }
        let more: u64 = parts.iter().map(|part| part.len() as u64).sum();
        open.len += more;
        state.written += more;
        if first && more > 0 {
            state.dirty.push(file);
        }
        Ok(offset)
    }

    fn read_at(&mut self, file: FileId, offset: u64, buf: &mut [u8]) -> Result<usize, DiskError> {
        let mut state = self.state();
        let open = state.file(file)?;
        let written = open.len - open.gathered.len() as u64;
        if offset + buf.len() as u64 > written {
            open.write_gathered()?;
        }
        let mut done = 0;
        while done < buf.len() {
            match open.file.read_at(&mut buf[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed("read", &open.name, &error)),
            }
        }
        Ok(done)
    }

    fn len(&mut self, file: FileId) -> Result<u64, DiskError> {
        Ok(self.state().file(file)?.len)
    }

    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), DiskError> {
        let mut state = self.state();
        let open = state.file(file)?;
        open.write_gathered()?;
        if len < open.len {
            open.file.set_len(len).map_err(|error| failed("truncate", &open.name, &error))?;
            open.len = len;
        }
        Ok(())
    }

    fn list(&mut self, prefix: &str) -> Result<Vec<String>, DiskError> {
        fn walk(folder: &Path, root: &Path, names: &mut Vec<String>) -> io::Result<()> {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    walk(&entry.path(), root, names)?;
                } else if let Ok(relative) = entry.path().strip_prefix(root) {
                    names.push(relative.to_string_lossy().into_owned());
                }
            }
            Ok(())
        }
        let state = self.state();
        let mut names = Vec::new();
        walk(state.root.path(), state.root.path(), &mut names)
            .map_err(|error| failed("list", prefix, &error))?;
        names.retain(|name| name.starts_with(prefix));
        names.sort();
        Ok(names)
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        let mut state = self.state();
        if let Some(id) = state.names.get(from).copied() {
            state.file(id)?.write_gathered()?;
        }
        let (source, target) = (state.path(from)?, state.path(to)?);
        fs::rename(source, target).map_err(|error| failed("rename", from, &error))?;
        if let Some(id) = state.names.remove(from) {
            if let Some(old) = state.names.insert(to.to_owned(), id) {
                state.files.remove(&old);
            }
            state.file(id)?.name = to.to_owned();
        }
        Ok(())
    }

    fn delete(&mut self, name: &str) -> Result<(), DiskError> {
        let mut state = self.state();
        let path = state.path(name)?;
        fs::remove_file(path).map_err(|error| failed("delete", name, &error))?;
        if let Some(id) = state.names.remove(name) {
            state.files.remove(&id);
            state.dirty.retain(|dirty| *dirty != id);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        let mut state = self.state();
        if state.dirty.is_empty() {
            return Ok(());
        }
        let dirty = std::mem::take(&mut state.dirty);
        for id in dirty {
            if let Some(open) = state.files.get_mut(&id) {
                open.write_gathered()?;
            }
        }
        Ok(())
    }
}

/// Syncs files on a thread of its own, so that the node never waits for one.
#[derive(Debug)]
pub struct SyncThread {
    disk: FileDisk,
    requests: Sender<(Result<File, DiskError>, SyncToken)>,
}

impl SyncThread {
    /// Starts the thread; it ends when this handle is dropped. `done` is called
    /// on it after each sync.
    pub fn start(
        disk: FileDisk,
        done: impl Fn(SyncToken, Result<(), DiskError>) + Send + 'static,
    ) -> SyncThread {
        let (requests, incoming) = channel::<(Result<File, DiskError>, SyncToken)>();
        std::thread::spawn(move || {
            for (file, token) in incoming {
                let synced = file.and_then(|file| {
                    file.sync_data().map_err(|error| failed("sync", "a file", &error))
                });
                done(token, synced);
            }
        });
        SyncThread { disk, requests }
    }

    /// Asks for a sync of what was appended to `file` so far.
    pub fn sync(&self, file: FileId, token: SyncToken) {
        let mut state = self.disk.state();
        let handle = state.file(file).and_then(|open| {
            open.file.try_clone().map_err(|error| failed("sync", &open.name, &error))
        });
        // The thread is gone only when the trial is over, and then nobody waits.
        let _ = self.requests.send((handle, token));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appends_are_read_back_before_and_after_they_are_written() {
        let mut disk = FileDisk::fresh().expect("a directory");
        let file = disk.open("stream/1.blk").expect("opens");
        assert_eq!(disk.append(file, &[b"one", b"two"]), Ok(0));
        assert_eq!(disk.append(file, &[b"three"]), Ok(6));
        let mut buf = [0; 16];
        assert_eq!(disk.read_at(file, 3, &mut buf), Ok(8));
        assert_eq!(&buf[..8], b"twothree");
        disk.append(file, &[b"lost"]).expect("appends");
        disk.forget_unwritten();
        disk.flush().expect("writes");
        assert_eq!(disk.len(file), Ok(11));
        assert_eq!(disk.list("stream/"), Ok(vec!["stream/1.blk".to_owned()]));
    }

    #[test]
    fn names_stay_inside_the_directory() {
        let mut disk = FileDisk::fresh().expect("a directory");
        for name in ["../x", "/etc/x", "", "a/../../x"] {
            assert!(matches!(disk.open(name), Err(DiskError::NotFound(_))), "{name}");
        }
    }

    #[test]
    fn renames_replace_and_deletes_remove() {
        let mut disk = FileDisk::fresh().expect("a directory");
        let new = disk.open("new").expect("opens");
        disk.append(new, &[b"n"]).expect("appends");
        disk.open("old").expect("opens");
        disk.rename("new", "old").expect("renames");
        assert_eq!(disk.list(""), Ok(vec!["old".to_owned()]));
        assert_eq!(disk.len(new), Ok(1));
        disk.delete("old").expect("deletes");
        assert_eq!(disk.list(""), Ok(Vec::new()));
        assert_eq!(disk.len(new), Err(DiskError::NotOpen(new)));
    }
}
