//! What is kept of a stream besides its messages: its configuration, its consumers
//! and how far each has come.
//!
//! One file a stream, appended to, with a checksum a record. When it has grown to
//! several times what it says, a fresh one is written beside it, synced, and takes
//! its name; what happens meanwhile goes to both. So at no moment does a power
//! failure leave a stream without its configuration.
//!
//! ```text
//!  0  checksum u32    CRC-32C of everything behind it
//!  4  length u32      of the body
//!  8  kind u8
//!  9  body
//! ```

mod read;

use broker_contract::{Disk, DiskError, FileId};

pub(crate) use self::read::replay;

/// Bytes in front of the records of the file.
pub(crate) const FILE_HEAD: usize = 16;
const MAGIC: [u8; 8] = *b"labJSjnl";
pub(crate) const VERSION: u32 = 1;
/// Bytes in front of a record's body.
pub(crate) const HEAD: usize = 9;
/// A journal shorter than this is not written afresh.
const COMPACT_FROM: u64 = 1 << 20;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The stream's configuration, as JSON with its time of creation.
    Stream(Vec<u8>),
    /// A consumer's configuration, as JSON with its name and time of creation.
    Consumer { id: u32, json: Vec<u8> },
    /// A consumer was deleted.
    Removed { id: u32 },
    /// A message was delivered and waits for its acknowledgement.
    Delivered { id: u32, stream_seq: u64, consumer_seq: u64, count: u32 },
    /// A message needs no delivery any more.
    Settled { id: u32, stream_seq: u64 },
    /// Nor do all up to this one.
    SettledTo { id: u32, stream_seq: u64 },
    /// Everything up to here was delivered, and nothing waits for it.
    Passed { id: u32, stream_seq: u64, consumer_seq: u64 },
    /// The stream was deleted; its files follow.
    Deleted,
    /// A message was delivered as often as is allowed, and stays in the stream.
    GaveUp { id: u32, stream_seq: u64 },
}

fn put(out: &mut Vec<u8>, event: &Event) -> u8 {
    let ids = |out: &mut Vec<u8>, id: &u32, numbers: &[u64]| {
        out.extend_from_slice(&id.to_le_bytes());
        for number in numbers {
            out.extend_from_slice(&number.to_le_bytes());
        }
    };
    match event {
        Event::Stream(json) => {
            out.extend_from_slice(json);
            1
        }
        Event::Consumer { id, json } => {
            ids(out, id, &[]);
            out.extend_from_slice(json);
            2
        }
        Event::Removed { id } => {
            ids(out, id, &[]);
            3
        }
        Event::Delivered { id, stream_seq, consumer_seq, count } => {
            ids(out, id, &[*stream_seq, *consumer_seq, u64::from(*count)]);
            4
        }
        Event::Settled { id, stream_seq } => {
            ids(out, id, &[*stream_seq]);
            5
        }
        Event::SettledTo { id, stream_seq } => {
            ids(out, id, &[*stream_seq]);
            6
        }
        Event::Passed { id, stream_seq, consumer_seq } => {
            ids(out, id, &[*stream_seq, *consumer_seq]);
            7
        }
        Event::Deleted => 8,
        Event::GaveUp { id, stream_seq } => {
            ids(out, id, &[*stream_seq]);
            9
        }
    }
}

fn encode(out: &mut Vec<u8>, event: &Event) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD]);
    let kind = put(out, event);
    let len = (out.len() - start - HEAD) as u32;
    out[start + 4..start + 8].copy_from_slice(&len.to_le_bytes());
    out[start + 8] = kind;
    let sum = crc32c::crc32c(&out[start + 4..]);
    out[start..start + 4].copy_from_slice(&sum.to_le_bytes());
}

fn file_head() -> [u8; FILE_HEAD] {
    let mut head = [0; FILE_HEAD];
    head[..8].copy_from_slice(&MAGIC);
    head[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let sum = crc32c::crc32c(&head[..12]);
    head[12..].copy_from_slice(&sum.to_le_bytes());
    head
}

/// The journal that takes the place of the present one once it is synced.
#[derive(Debug)]
struct Successor {
    file: FileId,
    len: u64,
    /// Whether an event could not be written since it was begun.
    is_behind: bool,
}

/// The journal of one stream.
#[derive(Debug)]
pub(crate) struct Journal {
    name: Box<str>,
    file: FileId,
    len: u64,
    /// Its length when it was fresh.
    fresh_len: u64,
    successor: Option<Successor>,
    /// Whether bytes were appended that no sync was asked for.
    is_dirty: bool,
    /// Whether an event could not be written, or was damaged, since it was fresh.
    is_behind: bool,
    scratch: Vec<u8>,
}

/// The journal's file in a stream's folder.
pub(crate) fn file_name(dir: &str) -> String {
    format!("{dir}journal")
}

/// Its successor's.
pub(crate) fn successor_name(dir: &str) -> String {
    format!("{dir}journal.new")
}

impl Journal {
    /// Begins the journal of a new stream.
    ///
    /// # Errors
    /// Those of the disk; no file is left then.
    pub fn create(disk: &mut dyn Disk, dir: &str) -> Result<Journal, DiskError> {
        let name = file_name(dir);
        let file = disk.open(&name)?;
        if let Err(error) = disk.append(file, &[&file_head()]) {
            let _ = disk.delete(&name);
            return Err(error);
        }
        Ok(Journal::with(name, file, FILE_HEAD as u64))
    }

    fn with(name: String, file: FileId, len: u64) -> Journal {
        Journal {
            name: name.into(),
            file,
            len,
            fresh_len: len,
            successor: None,
            is_dirty: true,
            is_behind: false,
            scratch: Vec::new(),
        }
    }

    /// Appends what happened.
    ///
    /// # Errors
    /// Those of the disk; nothing was appended then.
    pub fn append(&mut self, disk: &mut dyn Disk, event: &Event) -> Result<(), DiskError> {
        self.scratch.clear();
        encode(&mut self.scratch, event);
        if let Err(error) = disk.append(self.file, &[&self.scratch]) {
            let _ = disk.truncate(self.file, self.len);
            self.is_behind = true;
            if let Some(successor) = &mut self.successor {
                successor.is_behind = true;
            }
            return Err(error);
        }
        self.len += self.scratch.len() as u64;
        self.is_dirty = true;
        if let Some(successor) = &mut self.successor {
            match disk.append(successor.file, &[&self.scratch]) {
                Ok(_) => successor.len += self.scratch.len() as u64,
                Err(_) => self.abandon_successor(disk),
            }
        }
        Ok(())
    }

    fn abandon_successor(&mut self, disk: &mut dyn Disk) {
        self.successor = None;
        let _ = disk.delete(&format!("{}.new", self.name));
    }

    /// Bytes so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it holds less than it should: the disk refused an event, or damaged
    /// one.
    pub fn is_behind(&self) -> bool {
        self.is_behind
    }

    pub fn is_dirty(&self) -> bool {
        self.is_dirty
    }

    /// The file to sync now; what is appended from here on needs another.
    pub fn take_dirty(&mut self) -> Option<FileId> {
        std::mem::take(&mut self.is_dirty).then_some(self.file)
    }

    /// Whether it has grown so much that a fresh one is worth its sync.
    pub fn wants_successor(&self) -> bool {
        self.successor.is_none() && self.len > COMPACT_FROM && self.len > 4 * self.fresh_len
    }

    /// Writes a fresh journal with these events. Returns the file to sync;
    /// [`Journal::succeed`] follows when it is.
    pub fn begin_successor(
        &mut self,
        disk: &mut dyn Disk,
        events: impl Iterator<Item = Event>,
    ) -> Option<FileId> {
        let mut bytes = file_head().to_vec();
        for event in events {
            encode(&mut bytes, &event);
        }
        let name = format!("{}.new", self.name);
        let file = disk.open(&name).ok()?;
        self.successor = Some(Successor { file, len: bytes.len() as u64, is_behind: false });
        if disk.truncate(file, 0).is_err() || disk.append(file, &[&bytes]).is_err() {
            self.abandon_successor(disk);
            // Trying again with each append would fail each time.
            self.fresh_len = self.len;
            return None;
        }
        self.fresh_len = bytes.len() as u64;
        Some(file)
    }

    /// The fresh journal is durable: it takes the name.
    pub fn succeed(&mut self, disk: &mut dyn Disk, is_synced: bool) {
        let Some(successor) = self.successor.take() else { return };
        let new = format!("{}.new", self.name);
        if !is_synced || disk.rename(&new, &self.name).is_err() {
            let _ = disk.delete(&new);
            self.fresh_len = self.len;
            return;
        }
        self.file = successor.file;
        self.len = successor.len;
        self.is_behind = successor.is_behind;
        self.is_dirty = true;
    }

    /// Deletes it, as the last file of its stream.
    pub fn destroy(&mut self, disk: &mut dyn Disk) {
        if self.successor.is_some() {
            self.abandon_successor(disk);
        }
        let _ = disk.delete(&self.name);
    }

    pub fn memory_bytes(&self) -> u64 {
        self.scratch.capacity() as u64
    }
}
