//! The messages of one stream.
//!
//! **What it is for.** A log of blocks, in memory or in files, with an index of
//! 16 bytes a message: append, read, remove, walk by subject, seek by time.
//!
//! **What it never does.** It knows no limits, no retention and no consumers.
//! It asks for no sync: it says which files have bytes that were not synced.
//!
//! **Where to start reading.** `record.rs` for the format, `block.rs` for a file,
//! then [`Store::append`]. `open.rs` reads a store back after any end.
//!
//! Removals that leave the front of the log alone are records of their own
//! (`Delete`), so that a log says in order what happened. A block's file goes when
//! all before it and itself hold no message any more; the places of a block
//! without messages are let go at once.

pub(crate) mod block;
mod check;
mod open;
mod read;
pub(crate) mod record;
mod subjects;
mod walk;
mod write;

use std::collections::VecDeque;

use broker_contract::{Disk, DiskError, FileId};

use self::block::{Block, Entry, file_name};
pub(crate) use self::open::OpenError;
pub(crate) use self::read::ReadError;
use self::read::Window;
use self::record::{HEAD, Kind, Record};
pub(crate) use self::subjects::Subject;
use self::subjects::Subjects;
pub(crate) use self::walk::{Matcher, Step};

/// Bytes of a block of a store in memory: small, because one message holds it.
const MEMORY_BLOCK: u32 = 1 << 20;

/// The last sequence that there can be, so that none is counted past the end.
pub(crate) const LAST_SEQ: u64 = i64::MAX as u64;
/// Sequences at most that one record passes over where there are messages: each has
/// a place in the index then.
const MOST_SKIPPED: u64 = 1 << 24;

/// Figures of a store.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    /// Sequence of the first message; one more than `last` when there is none.
    pub first: u64,
    /// The sequence given last.
    pub last: u64,
    pub messages: u64,
    /// Bytes as the original counts them.
    pub bytes: u64,
    /// Time of the message stored last, in nanoseconds since 1970.
    pub last_time: u64,
}

/// The store of one stream.
#[derive(Debug)]
pub(crate) struct Store {
    /// The folder with a slash behind it; `None` in memory.
    dir: Option<Box<str>>,
    block_size: u64,
    blocks: VecDeque<Block>,
    /// The first sequence of each block: what is searched, close together.
    firsts: VecDeque<u64>,
    next_index: u64,
    subjects: Subjects,
    state: State,
    window: Window,
    /// Files with bytes that no sync was asked for.
    unsynced: Vec<FileId>,
    /// Ranges of sequences that the store lost, first and last.
    lost: Vec<(u64, u64)>,
    /// Whether messages were removed from the front since the log last said where
    /// that is.
    is_front_untold: bool,
}

/// What an append did.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Appended {
    pub seq: u64,
    pub subject: u32,
}

impl Store {
    /// An empty store in memory.
    pub fn in_memory() -> Store {
        Store::new(None, u64::from(MEMORY_BLOCK))
    }

    /// An empty store in files below `dir`, a folder's name with a slash behind it.
    pub fn in_files(dir: &str, block_size: u32) -> Store {
        Store::new(Some(dir.into()), u64::from(block_size))
    }

    fn new(dir: Option<Box<str>>, block_size: u64) -> Store {
        Store {
            dir,
            block_size,
            blocks: VecDeque::new(),
            firsts: VecDeque::new(),
            next_index: 0,
            subjects: Subjects::default(),
            state: State { first: 1, ..State::default() },
            window: Window::default(),
            unsynced: Vec::new(),
            lost: Vec::new(),
            is_front_untold: false,
        }
    }

    #[inline]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Ranges of sequences that were lost to damage, first and last.
    pub fn lost(&self) -> &[(u64, u64)] {
        &self.lost
    }

    /// Takes the files that have bytes no sync was asked for.
    pub fn take_unsynced(&mut self) -> Vec<FileId> {
        std::mem::take(&mut self.unsynced)
    }

    pub fn has_unsynced(&self) -> bool {
        !self.unsynced.is_empty()
    }

    /// The subject's numbers and figures.
    #[inline]
    pub fn subject(&self, id: u32) -> &Subject {
        self.subjects.get(id)
    }

    #[inline]
    pub fn find_subject(&self, text: &[u8]) -> Option<u32> {
        self.subjects.find(text)
    }

    pub fn subjects(&self) -> impl Iterator<Item = (u32, &Subject)> {
        self.subjects.iter()
    }

    /// How often the number of a subject without messages was given to another.
    #[inline]
    pub fn numbers_given_anew(&self) -> u64 {
        self.subjects.given_anew()
    }

    pub fn subject_count(&self) -> usize {
        self.subjects.len()
    }

    /// Bytes of a message as the original counts them.
    pub fn size_of(&self, subject: usize, headers: usize, payload: usize) -> u64 {
        let parts = (subject + headers + payload) as u64;
        match &self.dir {
            None => parts + 16,
            Some(_) => parts + 30 + if headers > 0 { 4 } else { 0 },
        }
    }

    fn size_of_entry(&self, entry: Entry) -> u64 {
        let parts = (entry.record_len() - HEAD) as u64;
        match &self.dir {
            None => parts + 16,
            Some(_) => parts + 30 + if entry.has_headers() { 4 } else { 0 },
        }
    }

    /// Stores a message under the next sequence.
    ///
    /// # Errors
    /// Those of the disk; nothing was stored then.
    pub fn append(
        &mut self,
        disk: &mut dyn Disk,
        time: u64,
        subject: &[u8],
        headers: &[u8],
        payload: &[u8],
    ) -> Result<Appended, DiskError> {
        let time = time.max(self.state.last_time);
        let seq = self.state.last + 1;
        let record = Record { kind: Kind::Message, seq, time, subject, headers, payload };
        let offset = self.write(disk, &record)?;
        Ok(self.index(&record, offset))
    }

    /// Takes a message that is in the log into the index.
    fn index(&mut self, record: &Record<'_>, offset: u64) -> Appended {
        let seq = record.seq;
        let subject = self.subjects.find_or_add(record.subject);
        let known = self.subjects.get_mut(subject);
        let previous = if known.count == 0 { 0 } else { known.last };
        if known.count == 0 {
            known.first = seq;
        }
        known.last = seq;
        known.count += 1;
        let len = HEAD + record.subject.len() + record.headers.len() + record.payload.len();
        let entry = Entry::new(offset, record, len, subject);
        if let Some(block) = self.blocks.back_mut() {
            block.push(entry);
        }
        if previous > 0
            && let Some(at) = self.position(previous)
            && let Some(entry) = self.blocks[at].entry_mut(previous)
        {
            entry.next = u32::try_from(seq - previous).unwrap_or(0);
        }
        if self.state.messages == 0 {
            self.state.first = seq;
        }
        self.state.messages += 1;
        self.state.bytes += self.size_of_entry(entry);
        self.state.last = seq;
        self.state.last_time = record.time;
        Appended { seq, subject }
    }

    /// Gives the next sequence to nothing: a message that nobody wants.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn skip(&mut self, disk: &mut dyn Disk) -> Result<u64, DiskError> {
        let seq = self.state.last + 1;
        self.skip_to(disk, seq)?;
        Ok(seq)
    }

    /// Gives the sequences up to `last` to nothing.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn skip_to(&mut self, disk: &mut dyn Disk, last: u64) -> Result<(), DiskError> {
        while self.state.last < last {
            let seq = self.state.last + 1;
            let is_empty = self.state.messages == 0;
            let to = if is_empty { last } else { last.min(self.state.last + MOST_SKIPPED) };
            self.note_range(disk, Kind::Skip, seq, to)?;
            self.index_skip(to);
        }
        Ok(())
    }

    /// Gives the sequences up to `last` to messages that were lost. What a full disk
    /// does not let it write down is not given.
    pub fn lose_to(&mut self, disk: &mut dyn Disk, last: u64) {
        let first = self.state.last + 1;
        if first <= last && self.skip_to(disk, last).is_ok() {
            self.lost.push((first, last));
        }
    }

    fn index_skip(&mut self, last: u64) {
        if self.state.messages == 0 {
            self.state.last = last;
            self.forget_places();
        } else if let Some(block) = self.blocks.back_mut() {
            for _ in self.state.last..last {
                block.push(Entry::DEAD);
            }
            self.state.last = last;
        }
    }

    /// Removes a message. Returns whether it was there. `record` is whether the log
    /// has to say so, which it need not when a limit will remove it again.
    pub fn remove(&mut self, disk: &mut dyn Disk, seq: u64, record: bool) -> bool {
        if record && self.is_front_untold && self.has(seq) {
            // With this message gone, the limit would no longer be exceeded by what
            // it removed before, and a boot would bring that back.
            self.note_first(disk);
        }
        if !self.unlink(seq) {
            return false;
        }
        self.is_front_untold |= !record;
        if record {
            // A removal that could not be written is undone by a crash, and the
            // message comes again: at least once is kept.
            let _ = self.note_range(disk, Kind::Delete, seq, seq);
        }
        self.drop_front(disk);
        true
    }

    /// Says in the log that everything before `first` is gone.
    pub fn note_first(&mut self, disk: &mut dyn Disk) {
        let last = self.state.first - 1;
        self.is_front_untold = self.note_range(disk, Kind::First, 0, last).is_err();
    }

    /// Removes a message from the index. Returns whether it was there.
    fn unlink(&mut self, seq: u64) -> bool {
        let Some(at) = self.position(seq) else { return false };
        let block = &mut self.blocks[at];
        let entry = block.entry(seq);
        if !entry.is_live() {
            return false;
        }
        if let Some(place) = block.entry_mut(seq) {
            place.kill();
        }
        block.live -= 1;
        let is_active = at + 1 == self.blocks.len();
        let block = &mut self.blocks[at];
        let emptied = block.live == 0 && !is_active;
        self.state.messages -= 1;
        self.state.bytes -= self.size_of_entry(entry);
        let subject = entry.subject;
        let known = self.subjects.get_mut(subject);
        known.count -= 1;
        if known.count == 0 {
            self.subjects.remove(subject);
        } else if known.first == seq
            && let Some(next) = self.next_of_subject(subject, seq)
        {
            self.subjects.get_mut(subject).first = next;
        }
        if emptied {
            self.blocks[at].let_go();
        }
        if self.state.messages == 0 {
            self.state.first = self.state.last + 1;
        } else if seq == self.state.first {
            self.state.first = self.next_live(seq + 1).unwrap_or(self.state.last + 1);
        }
        true
    }

    /// Deletes the files of blocks at the front that hold no message.
    fn drop_front(&mut self, disk: &mut dyn Disk) {
        while self.blocks.len() > 1 && self.blocks[0].live == 0 {
            self.drop_block(disk);
        }
        if self.state.messages == 0 {
            self.forget_places();
        }
    }

    fn drop_block(&mut self, disk: &mut dyn Disk) {
        let Some(block) = self.blocks.pop_front() else { return };
        self.firsts.pop_front();
        if let (Some(dir), Some(file)) = (&self.dir, block.file) {
            self.unsynced.retain(|other| *other != file);
            // A file that stays is found by the next boot, which reads nothing
            // from it that was not removed.
            let _ = disk.delete(&file_name(dir, block.index));
        }
    }

    /// Without any message, the places of the removed ones serve nobody.
    fn forget_places(&mut self) {
        self.state.first = self.state.last + 1;
        if let Some(block) = self.blocks.back_mut() {
            block.entries.clear();
            block.count = 0;
            block.first = self.state.last + 1;
            if let Some(first) = self.firsts.back_mut() {
                *first = block.first;
            }
            if self.dir.is_none() {
                block.cache.clear();
                (block.len, block.cached_from) = (0, 0);
            }
        }
    }

    /// Deletes everything, files included. Whatever cannot be deleted stays.
    pub fn destroy(&mut self, disk: &mut dyn Disk) {
        while !self.blocks.is_empty() {
            self.drop_block(disk);
        }
        self.unsynced.clear();
    }

    /// The block that holds a sequence.
    #[inline]
    fn position(&self, seq: u64) -> Option<usize> {
        // Most of what is asked for is at one of the ends.
        let at = if seq >= *self.firsts.back()? {
            self.firsts.len() - 1
        } else if self.firsts.get(1).is_some_and(|second| seq < *second) {
            0
        } else {
            self.firsts.partition_point(|first| *first <= seq).checked_sub(1)?
        };
        let block = &self.blocks[at];
        (block.first <= seq && seq < block.end()).then_some(at)
    }

    /// Whether the message is there.
    #[inline]
    pub fn has(&self, seq: u64) -> bool {
        self.position(seq).is_some_and(|at| self.blocks[at].entry(seq).is_live())
    }

    /// The number of the message's subject, if the message is there.
    #[inline]
    pub fn subject_of(&self, seq: u64) -> Option<u32> {
        let entry = self.blocks[self.position(seq)?].entry(seq);
        entry.is_live().then_some(entry.subject)
    }

    /// Bytes of the message as the original counts them, if it is there.
    pub fn message_size(&self, seq: u64) -> Option<u64> {
        let entry = self.blocks[self.position(seq)?].entry(seq);
        entry.is_live().then(|| self.size_of_entry(entry))
    }

    /// Heap bytes.
    pub fn memory_bytes(&self) -> u64 {
        let blocks: u64 = self.blocks.iter().map(Block::memory_bytes).sum();
        blocks
            + (self.blocks.capacity() * (size_of::<Block>() + size_of::<u64>())) as u64
            + self.subjects.memory_bytes()
            + self.window.bytes.capacity() as u64
    }
}
