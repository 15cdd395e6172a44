//! Real files in a directory that goes with the value. Appends are gathered until
//! `flush`.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use broker_contract::{Disk, DiskError, DiskIo, FileId};

#[derive(Debug)]
struct Open {
    name: String,
    file: File,
    len: u64,
    gathered: Vec<u8>,
}

/// A directory of files.
#[derive(Debug)]
pub struct FileDisk {
    root: PathBuf,
    names: BTreeMap<String, FileId>,
    files: BTreeMap<FileId, Open>,
    next: u32,
}

impl FileDisk {
    pub fn fresh() -> FileDisk {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let root = std::env::temp_dir().join(format!("jetstream-bench-{process}-{number}"));
        fs::create_dir_all(&root).expect("a temporary directory can be made");
        FileDisk { root, names: BTreeMap::new(), files: BTreeMap::new(), next: 0 }
    }

    fn get(&mut self, file: FileId) -> Result<&mut Open, DiskError> {
        self.files.get_mut(&file).ok_or(DiskError::NotOpen(file))
    }
}

impl Drop for FileDisk {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

fn failed(operation: &'static str, file: &str) -> impl Fn(std::io::Error) -> DiskError {
    move |error| {
        let (file, reason) = (file.to_owned(), error.to_string());
        DiskError::Io(Box::new(DiskIo { operation, file, reason }))
    }
}

impl Open {
    fn write(&mut self) -> Result<(), DiskError> {
        self.file.write_all(&self.gathered).map_err(failed("append to", &self.name))?;
        self.gathered.clear();
        Ok(())
    }
}

impl Disk for FileDisk {
    fn open(&mut self, name: &str) -> Result<FileId, DiskError> {
        if let Some(id) = self.names.get(name) {
            return Ok(*id);
        }
        let path = self.root.join(name);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed("open", name))?;
        }
        let mut options = OpenOptions::new();
        let file = options.read(true).append(true).create(true);
        let file = file.open(&path).map_err(failed("open", name))?;
        let len = file.metadata().map_err(failed("open", name))?.len();
        let id = FileId(self.next);
        self.next += 1;
        self.names.insert(name.to_owned(), id);
        self.files.insert(id, Open { name: name.to_owned(), file, len, gathered: Vec::new() });
        Ok(id)
    }

    fn append(&mut self, file: FileId, parts: &[&[u8]]) -> Result<u64, DiskError> {
        let open = self.get(file)?;
        let offset = open.len;
        for part in parts {
            open.gathered.extend_from_slice(part);
            open.len += part.len() as u64;
        }
        Ok(offset)
    }

    fn read_at(&mut self, file: FileId, offset: u64, buf: &mut [u8]) -> Result<usize, DiskError> {
        let open = self.get(file)?;
        if offset + buf.len() as u64 > open.len - open.gathered.len() as u64 {
            open.write()?;
        }
        open.file.read_at(buf, offset).map_err(failed("read", &open.name))
    }

    fn len(&mut self, file: FileId) -> Result<u64, DiskError> {
        Ok(self.get(file)?.len)
    }

    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), DiskError> {
        let open = self.get(file)?;
        open.write()?;
        open.file.set_len(len).map_err(failed("truncate", &open.name))?;
        open.len = len;
        Ok(())
    }

    fn list(&mut self, prefix: &str) -> Result<Vec<String>, DiskError> {
        Ok(self.names.keys().filter(|name| name.starts_with(prefix)).cloned().collect())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        let moved = fs::rename(self.root.join(from), self.root.join(to));
        moved.map_err(failed("rename", from))?;
        if let Some(id) = self.names.remove(from) {
            self.names.insert(to.to_owned(), id);
        }
        Ok(())
    }

    fn delete(&mut self, name: &str) -> Result<(), DiskError> {
        fs::remove_file(self.root.join(name)).map_err(failed("delete", name))?;
        if let Some(id) = self.names.remove(name) {
            self.files.remove(&id);
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        self.files.values_mut().try_for_each(Open::write)
    }
}
