//! Real files, in a fresh directory or in one that stays.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use broker_contract::{CrashKind, Disk, DiskError, DiskIo, FileId, SyncToken};
use tempfile::TempDir;

/// A directory of files behind the [`Disk`] interface. Appends are gathered and
/// written by `flush`, one write a file.
#[derive(Clone, Debug)]
pub struct FileDisk {
    shared: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    root: Root,
    names: BTreeMap<String, FileId>,
    files: BTreeMap<FileId, OpenFile>,
    dirty: Vec<FileId>,
    next: u32,
    written: u64,
    /// Of files that an earlier process left: what was synced, and since when
    /// the rest has not been.
    left: BTreeMap<String, (u64, Option<Instant>)>,
    is_full: bool,
    is_stalled: bool,
    /// Folders in which names came or went since they were last synced.
    changed: BTreeSet<PathBuf>,
}

/// Where the files lie.
#[derive(Debug)]
enum Root {
    /// In a directory that goes when nobody needs it any more.
    Fresh(TempDir),
    /// In one that stays, with the lock that keeps other processes out.
    Kept(PathBuf, #[expect(dead_code, reason = "held, not used")] File),
}

impl Root {
    fn path(&self) -> &Path {
        match self {
            Root::Fresh(folder) => folder.path(),
            Root::Kept(path, _) => path,
        }
    }
}

/// Why a store's directory cannot be used: one line, which names it.
#[derive(Debug, thiserror::Error)]
#[error("the store `{folder}` {reason}")]
pub struct StoreError {
    folder: String,
    reason: String,
}

#[derive(Debug)]
struct OpenFile {
    name: String,
    file: File,
    len: u64,
    gathered: Vec<u8>,
    /// Bytes that were synced.
    synced: u64,
    /// When the oldest unsynced byte was appended, as far as syncs tell.
    unsynced_since: Option<Instant>,
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
        Ok(FileDisk::over(Root::Fresh(root)))
    }

    /// A disk in `folder`, which is made if it is not there and stays. One process
    /// at a time has it, until the last handle goes; the system sees to it even if
    /// that process is killed.
    ///
    /// # Errors
    /// [`StoreError`]: another process has it, or it cannot be made.
    pub fn kept(folder: &Path) -> Result<FileDisk, StoreError> {
        let wrong = |reason: String| {
            let folder = lab_reports::clean::line(&folder.display().to_string(), 200);
            StoreError { folder, reason }
        };
        let refused = |error: io::Error| wrong(format!("cannot be used: {error}"));
        let new: Vec<&Path> = folder.ancestors().take_while(|above| !above.exists()).collect();
        fs::create_dir_all(folder).map_err(refused)?;
        for name in new.iter().rev() {
            // The name of a new folder lies in the one above it.
            let above = name.parent().filter(|above| !above.as_os_str().is_empty());
            let above = File::open(above.unwrap_or(Path::new("."))).map_err(refused)?;
            above.sync_all().map_err(refused)?;
        }
        // Beside the files and not among them: a node lists what is there.
        let mut name = folder.as_os_str().to_owned();
        name.push(".lock");
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(PathBuf::from(name))
            .map_err(refused)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(wrong("is in use by another process".to_owned()));
            }
            Err(TryLockError::Error(error)) => return Err(refused(error)),
        }
        Ok(FileDisk::over(Root::Kept(folder.to_owned(), lock)))
    }

    fn over(root: Root) -> FileDisk {
        let state = State {
            root,
            names: BTreeMap::new(),
            files: BTreeMap::new(),
            dirty: Vec::new(),
            next: 0,
            written: 0,
            left: BTreeMap::new(),
            is_full: false,
            is_stalled: false,
            changed: BTreeSet::new(),
        };
        FileDisk { shared: Arc::new(Mutex::new(state)) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes appended so far.
    pub fn written(&self) -> u64 {
        self.state().written
    }

    /// Whether appends are refused for want of room.
    pub fn set_full(&self, is_full: bool) {
        self.state().is_full = is_full;
    }

    /// Whether syncs wait until this is over.
    pub fn set_stalled(&self, is_stalled: bool) {
        self.state().is_stalled = is_stalled;
    }

    /// The process that wrote is gone: what it had gathered is lost, and the next
    /// one opens the files anew. After a power loss each file is cut back to what
    /// was synced; renames and deletions stay. Returns how long ago the oldest
    /// byte was appended that this took.
    ///
    /// # Errors
    /// [`DiskError::Io`] when a file cannot be cut.
    pub fn crash(&self, how: CrashKind) -> Result<Option<Duration>, DiskError> {
        let mut state = self.state();
        state.dirty.clear();
        state.names.clear();
        let mut oldest: Option<Duration> = None;
        for (_, open) in std::mem::take(&mut state.files) {
            let written = open.len - open.gathered.len() as u64;
            if how == CrashKind::PowerLoss && open.synced < written {
                open.file
                    .set_len(open.synced)
                    .map_err(|error| failed("truncate", &open.name, &error))?;
                oldest = oldest.max(open.unsynced_since.map(|since| since.elapsed()));
            }
            let since = open.unsynced_since.filter(|_| how == CrashKind::ProcessKill);
            state.left.insert(open.name, (open.synced, since));
        }
        Ok(oldest)
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

    /// A name came or went at `path`: the next sync makes that durable, too.
    fn changed(&mut self, path: &Path) {
        if let Some(folder) = path.parent() {
            self.changed.insert(folder.to_owned());
        }
    }

    /// The first `len` bytes of a file are durable; what was appended since is not.
    fn synced(&mut self, id: FileId, len: u64, asked: Instant) {
        if let Some(open) = self.files.get_mut(&id) {
            open.synced = open.synced.max(len.min(open.len));
            open.unsynced_since = (open.synced < open.len).then_some(asked);
        }
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
        if let Some(folder) = path.parent()
            && !folder.exists()
        {
            fs::create_dir_all(folder).map_err(wrong)?;
            // Each folder on the way may be new, and its name lies in the one above.
            let root = state.root.path().to_owned();
            for folder in folder.ancestors().take_while(|above| *above != root) {
                state.changed(folder);
            }
        }
        let is_new = !path.exists();
        let file =
            OpenOptions::new().read(true).append(true).create(true).open(&path).map_err(wrong)?;
        let len = file.metadata().map_err(wrong)?.len();
        let id = FileId(state.next);
        state.next += 1;
        state.names.insert(name.to_owned(), id);
        let (synced, unsynced_since) = state.left.remove(name).unwrap_or((0, None));
        let open = OpenFile {
            name: name.to_owned(),
            file,
            len,
            gathered: Vec::new(),
            synced: synced.min(len),
            unsynced_since,
        };
        state.files.insert(id, open);
        if is_new {
            state.changed(&path);
        }
        Ok(id)
    }

    fn append(&mut self, file: FileId, parts: &[&[u8]]) -> Result<u64, DiskError> {
        let mut state = self.state();
        if state.is_full {
            return Err(DiskError::Full);
        }
        let open = state.file(file)?;
        if open.unsynced_since.is_none() {
            open.unsynced_since = Some(Instant::now());
        }
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
            open.synced = open.synced.min(len);
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
        fs::rename(&source, &target).map_err(|error| failed("rename", from, &error))?;
        state.changed(&source);
        state.changed(&target);
        if let Some(left) = state.left.remove(from) {
            state.left.insert(to.to_owned(), left);
        }
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
        fs::remove_file(&path).map_err(|error| failed("delete", name, &error))?;
        state.changed(&path);
        state.left.remove(name);
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

/// A sync that was asked for.
#[derive(Debug)]
struct Request {
    id: FileId,
    /// The file, and the folders in which names have changed.
    handles: Result<(File, Vec<File>), DiskError>,
    /// Bytes that were in it.
    len: u64,
    asked: Instant,
    token: SyncToken,
}

/// Syncs files on a thread of its own, so that the node never waits for one.
#[derive(Debug)]
pub struct SyncThread {
    disk: FileDisk,
    requests: Sender<Request>,
}

/// How often a sync looks whether the disk still stalls.
const STALL_STEP: Duration = Duration::from_millis(1);

impl SyncThread {
    /// Starts the thread; it ends when this handle is dropped. `done` is called
    /// on it after each sync.
    pub fn start(
        disk: FileDisk,
        done: impl Fn(SyncToken, Result<(), DiskError>) + Send + 'static,
    ) -> SyncThread {
        let (requests, incoming) = channel::<Request>();
        let shared = disk.clone();
        std::thread::spawn(move || {
            for request in incoming {
                let synced = request.handles.and_then(|(file, folders)| {
                    let wrong = |error: io::Error| failed("sync", "a file", &error);
                    file.sync_data().map_err(wrong)?;
                    folders.iter().try_for_each(|folder| folder.sync_all().map_err(wrong))
                });
                while shared.state().is_stalled {
                    std::thread::sleep(STALL_STEP);
                }
                if synced.is_ok() {
                    shared.state().synced(request.id, request.len, request.asked);
                }
                done(request.token, synced);
            }
        });
        SyncThread { disk, requests }
    }

    /// Asks for a sync of what was appended to `file` so far.
    pub fn sync(&self, id: FileId, token: SyncToken) {
        let mut state = self.disk.state();
        let changed = std::mem::take(&mut state.changed);
        let mut len = 0;
        let handles = state.file(id).and_then(|open| {
            len = open.len - open.gathered.len() as u64;
            let wrong = |error: io::Error| failed("sync", &open.name, &error);
            let file = open.file.try_clone().map_err(wrong)?;
            let folders =
                changed.iter().map(File::open).collect::<io::Result<_>>().map_err(wrong)?;
            Ok((file, folders))
        });
        // The thread is gone only when the trial is over, and then nobody waits.
        let _ = self.requests.send(Request { id, handles, len, asked: Instant::now(), token });
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
        assert_eq!(disk.crash(CrashKind::ProcessKill), Ok(None));
        assert_eq!(disk.len(file), Err(DiskError::NotOpen(file)));
        let file = disk.open("stream/1.blk").expect("opens");
        assert_eq!(disk.len(file), Ok(11));
        assert_eq!(disk.list("stream/"), Ok(vec!["stream/1.blk".to_owned()]));
    }

    #[test]
    fn a_power_loss_leaves_what_was_synced() {
        let mut disk = FileDisk::fresh().expect("a directory");
        let file = disk.open("log").expect("opens");
        disk.append(file, &[b"synced"]).expect("appends");
        disk.flush().expect("writes");
        let (done, wait) = channel();
        let syncer = SyncThread::start(disk.clone(), move |token, result| {
            // Nobody listens only when the test has failed already.
            let _ = done.send((token, result));
        });
        syncer.sync(file, SyncToken(7));
        assert_eq!(wait.recv(), Ok((SyncToken(7), Ok(()))));
        disk.append(file, &[b" and not"]).expect("appends");
        disk.flush().expect("writes");
        assert!(disk.crash(CrashKind::PowerLoss).expect("cuts").is_some());
        let file = disk.open("log").expect("opens");
        assert_eq!(disk.len(file), Ok(6));
        assert_eq!(disk.crash(CrashKind::PowerLoss), Ok(None));
    }

    #[test]
    fn a_kept_directory_is_found_again_and_belongs_to_one() {
        let parent = tempfile::tempdir().expect("a directory");
        let folder = parent.path().join("store/nats");
        let mut disk = FileDisk::kept(&folder).expect("it is made");
        let refused = FileDisk::kept(&folder).expect_err("it is taken").to_string();
        assert!(refused.ends_with("is in use by another process"), "{refused}");
        let file = disk.open("streams/S/1.blk").expect("opens");
        disk.append(file, &[b"kept"]).expect("appends");
        disk.flush().expect("writes");
        drop(disk);
        let mut disk = FileDisk::kept(&folder).expect("nobody has it any more");
        assert_eq!(disk.list(""), Ok(vec!["streams/S/1.blk".to_owned()]));
        fs::write(parent.path().join("file"), "").expect("written");
        assert!(FileDisk::kept(&parent.path().join("file")).is_err(), "a file is no store");
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
