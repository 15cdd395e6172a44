//! One segment: a file of batches and its indexes.

use broker_contract::{Disk, DiskError, FileId};
use bytes::Bytes;

use super::index::Index;
use super::scan::{Found, Scan, UNSOUND};
use super::{LogError, follows};
use crate::frame::batch::{self, BatchHeader, EPOCH_START, HEADER_LEN, Records};

/// A segment. Only the last one of a log is written to.
#[derive(Debug)]
pub struct Segment {
    /// The offset that names it: no record in it has a smaller one.
    pub base: i64,
    /// The path of its files without the ending.
    pub name: String,
    /// The batches.
    pub file: FileId,
    /// Bytes of batches.
    pub size: u64,
    /// The largest timestamp in it, or -1.
    pub max_ms: i64,
    /// The offset whose batch has that timestamp.
    max_offset: i64,
    /// The largest timestamp of its first batch that has one; its age counts from it.
    pub first_ms: Option<i64>,
    /// The last offset in it; one less than `base` while it is empty.
    pub last: i64,
    /// Its indexes.
    pub index: Index,
    /// Bytes since the last entry of the offset index.
    unindexed: u64,
    /// Where the last read ended: the next offset, and its position. Whoever
    /// follows the log asks for exactly that.
    hint: (i64, u64),
}

/// The name of the files of the segment at `base` in the folder `dir`.
pub fn name(dir: &str, base: i64) -> String {
    format!("{dir}/{base:020}")
}

impl Segment {
    /// Opens or creates the segment at `base` in `dir`, as if it were empty; what
    /// it holds is taken in with [`Segment::saw`].
    ///
    /// # Errors
    /// [`DiskError`] of the disk.
    pub fn open(disk: &mut dyn Disk, dir: &str, base: i64) -> Result<Segment, DiskError> {
        let name = name(dir, base);
        let file = disk.open(&format!("{name}.log"))?;
        let len = disk.len(file)?;
        let index = Index::open(disk, &name, len)?;
        Ok(Segment {
            base,
            name,
            file,
            size: 0,
            max_ms: -1,
            max_offset: base,
            first_ms: None,
            last: base - 1,
            index,
            unindexed: 0,
            hint: (base, 0),
        })
    }

    /// The path of its log.
    pub fn log_name(&self) -> String {
        format!("{}.log", self.name)
    }

    /// Appends a batch that will have `base_offset`; everything else in it stays
    /// as it is.
    ///
    /// # Errors
    /// [`DiskError`] of the disk; nothing was appended then.
    pub fn append(
        &mut self,
        disk: &mut dyn Disk,
        bytes: &[u8],
        header: &BatchHeader,
        interval: u64,
    ) -> Result<(), DiskError> {
        let mut front = [0; 16];
        front[..8].copy_from_slice(&header.base_offset.to_be_bytes());
        front[8..12].copy_from_slice(&header.length.to_be_bytes());
        front[EPOCH_START..].copy_from_slice(&header.leader_epoch.to_be_bytes());
        let position = self.size;
        disk.append(self.file, &[&front, bytes.get(front.len()..).unwrap_or_default()])?;
        self.saw(disk, header, position, interval);
        Ok(())
    }

    /// Takes in that a batch lies at `position`, which is the end so far.
    pub fn saw(&mut self, disk: &mut dyn Disk, header: &BatchHeader, position: u64, interval: u64) {
        self.size = position + header.size() as u64;
        self.last = header.last_offset();
        if header.max_timestamp >= 0 {
            self.first_ms.get_or_insert(header.max_timestamp);
        }
        if header.max_timestamp > self.max_ms {
            (self.max_ms, self.max_offset) = (header.max_timestamp, self.last);
        }
        let known = self.index.last().is_some_and(|entry| u64::from(entry.1) >= position);
        if self.unindexed > interval && !known {
            self.index.add_offset(disk, self.relative(self.last), position as u32);
            self.index.add_time(disk, self.max_ms, self.relative(self.max_offset));
            self.unindexed = 0;
        }
        self.unindexed += header.size() as u64;
    }

    /// Skips to the last batch that the indexes know, so that only what lies
    /// behind it needs to be walked over. Does nothing when the indexes do not
    /// fit the log; they are then made again.
    ///
    /// # Errors
    /// [`DiskError`] of the disk.
    pub fn skip_indexed(&mut self, disk: &mut dyn Disk, end: u64) -> Result<(), DiskError> {
        let first = self.header_at(disk, 0)?;
        while let Some((offset, position)) = self.index.last() {
            let position = u64::from(position);
            if position < end
                && let Some(header) = self.header_at(disk, position)?
                && self.relative(header.last_offset()) == offset
                && position + header.size() as u64 <= end
            {
                let (max_ms, max_offset) = self.index.last_time().unwrap_or((-1, 0));
                (self.max_ms, self.max_offset) = (max_ms, self.base + i64::from(max_offset));
                self.first_ms = first.map(|first| first.max_timestamp).filter(|first| *first >= 0);
                self.size = position;
                self.last = header.base_offset - 1;
                return Ok(());
            }
            // An entry that lies was written by a damaged disk; with it goes the
            // trust in all the others.
            self.index.truncate(disk, if position < end { 0 } else { end })?;
        }
        Ok(())
    }

    /// The header at `position`, if there is one.
    fn header_at(
        &mut self,
        disk: &mut dyn Disk,
        position: u64,
    ) -> Result<Option<BatchHeader>, DiskError> {
        let mut head = [0; HEADER_LEN];
        let read = disk.read_at(self.file, position, &mut head)?;
        Ok((read == HEADER_LEN).then(|| BatchHeader::read(&head).ok()).flatten())
    }

    fn relative(&self, offset: i64) -> u32 {
        u32::try_from(offset.saturating_sub(self.base)).unwrap_or(u32::MAX)
    }

    /// Cuts everything from `size` on.
    ///
    /// # Errors
    /// [`DiskError`] of the disk.
    pub fn truncate(&mut self, disk: &mut dyn Disk, size: u64) -> Result<(), DiskError> {
        disk.truncate(self.file, size)?;
        self.index.truncate(disk, size)?;
        self.hint = (self.base, 0);
        Ok(())
    }

    /// Where a batch that holds `from` or a later offset is looked for, and what
    /// must lie there.
    fn start(&self, from: i64) -> (u64, Expected) {
        if self.hint.0 == from {
            return (self.hint.1, Expected::After(from - 1));
        }
        match self.index.find(self.relative(from)) {
            Some((last, position)) => {
                (u64::from(position), Expected::Ending(self.base + i64::from(last)))
            }
            None => self.front(),
        }
    }

    /// The start of the segment.
    fn front(&self) -> (u64, Expected) {
        (0, Expected::After(self.base - 1))
    }

    /// Whole batches from the one on that holds `from`, or the next that there
    /// is, at most `max` bytes but at least one batch, and none from `limit` on.
    /// The bytes are copied once, from the disk. Empty when there is no batch. Of
    /// the log it takes the index interval and how far it is compacted.
    ///
    /// # Errors
    /// [`LogError`] of the disk, or for bytes that are no batches.
    pub fn read(
        &mut self,
        disk: &mut dyn Disk,
        from: i64,
        max: usize,
        limit: i64,
        of_log: (u64, i64),
    ) -> Result<Bytes, LogError> {
        let start = self.start(from);
        match self.read_at(disk, start, from, max, limit, of_log) {
            // An index has no checksum: one that a disk has changed misleads, and
            // the batches themselves say where they are.
            Err(LogError::Corrupt { .. }) if matches!(start.1, Expected::Ending(_)) => {
                self.read_at(disk, self.front(), from, max, limit, of_log)
            }
            read => read,
        }
    }

    fn read_at(
        &mut self,
        disk: &mut dyn Disk,
        (mut position, mut expected): (u64, Expected),
        from: i64,
        max: usize,
        limit: i64,
        (interval, compacted_to): (u64, i64),
    ) -> Result<Bytes, LogError> {
        let mut want = max.max(HEADER_LEN);
        if position != self.hint.1 || from != self.hint.0 {
            // The batch lies at most an index interval further on.
            want = want.saturating_add(interval as usize);
        }
        loop {
            let left = usize::try_from(self.size - position).unwrap_or(usize::MAX);
            let mut buf = vec![0; want.min(left)];
            let read = disk.read_at(self.file, position, &mut buf)?;
            buf.truncate(read);
            let within = Within { from, max, limit, compacted_to };
            let span = self.span(&buf, position, &mut expected, within)?;
            match span {
                Span::Batches { start, end, next } => {
                    self.hint = (next, position + end as u64);
                    buf.truncate(end);
                    return Ok(Bytes::from(buf).slice(start..));
                }
                Span::Nothing => return Ok(Bytes::new()),
                Span::Further { by } if by > 0 && position + (by as u64) < self.size => {
                    position += by as u64;
                    want = max.max(HEADER_LEN);
                }
                Span::Further { by } => {
                    position += by as u64;
                    // Of a compacted segment the end may be gone. Elsewhere a length
                    // that lies leads past a batch, and to go on behind it would pass
                    // over records without a word.
                    let may_end = from > self.last || self.last < compacted_to;
                    if position == self.size && may_end {
                        return Ok(Bytes::new());
                    }
                    let reason = format!("no batch leads to offset {from}, which was written");
                    return Err(self.corrupt(position, reason));
                }
                Span::First { at, size } => {
                    // The first batch is longer than what was asked for; it is
                    // returned all the same, or the consumer would never pass it.
                    position += at as u64;
                    want = size;
                }
            }
        }
    }

    /// Which batches of `buf`, read at `position`, are to be returned. `expected` is
    /// what must lie there, and then what must lie behind what was looked at.
    fn span(
        &self,
        buf: &[u8],
        position: u64,
        expected: &mut Expected,
        within: Within,
    ) -> Result<Span, LogError> {
        let Within { from, max, limit, compacted_to } = within;
        let (mut at, mut start, mut next) = (0, None, from);
        while at + HEADER_LEN <= buf.len() {
            let header = BatchHeader::read(&buf[at..])
                .map_err(|error| self.corrupt(position + at as u64, error.to_string()))?;
            if !header.has_sound_offsets() {
                return Err(self.corrupt(position + at as u64, UNSOUND.to_owned()));
            }
            // The consumer checks the checksum, which leaves the base offset out.
            let wrong = match *expected {
                Expected::After(last) => (!follows(last, header.base_offset, compacted_to))
                    .then(|| out_of_order(last, header.base_offset)),
                Expected::Ending(last) => (header.last_offset() != last)
                    .then(|| "it is not the batch that the index has there".to_owned()),
            };
            if let Some(reason) = wrong {
                return Err(self.corrupt(position + at as u64, reason));
            }
            let size = header.size();
            if (position + at as u64).saturating_add(size as u64) > self.size {
                let reason = "the batch is longer than its segment".to_owned();
                return Err(self.corrupt(position + at as u64, reason));
            }
            if header.base_offset >= limit {
                break;
            }
            let begin = match start {
                None if header.last_offset() < from => {
                    at += size;
                    *expected = Expected::After(header.last_offset());
                    continue;
                }
                None if at + size > buf.len() => return Ok(Span::First { at, size }),
                None => *start.insert(at),
                Some(begin) if at + size > buf.len() || at + size - begin > max => break,
                Some(begin) => begin,
            };
            debug_assert!(begin <= at, "batches are walked in order");
            at += size;
            next = header.last_offset() + 1;
            *expected = Expected::After(header.last_offset());
        }
        Ok(match start {
            Some(start) => Span::Batches { start, end: at, next },
            None if at + HEADER_LEN <= buf.len() => Span::Nothing,
            None => Span::Further { by: at },
        })
    }

    /// The first record from `from` on that is not older than `stamp`: its offset
    /// and timestamp.
    ///
    /// # Errors
    /// [`LogError`] of the disk, or for bytes that are no batches.
    pub fn find_time(
        &mut self,
        disk: &mut dyn Disk,
        stamp: i64,
        from: i64,
    ) -> Result<Option<(i64, i64)>, LogError> {
        let from = from.max(self.base);
        let begin =
            self.index.position_of_time(stamp).max(self.index.position(self.relative(from)));
        let mut walk = Scan::new(self.file, begin, self.size, false);
        loop {
            match walk.next(disk)? {
                Found::Batch { header, .. }
                    if header.max_timestamp < stamp || header.last_offset() < from => {}
                Found::Batch { position, header, .. } => {
                    let mut bytes = vec![0; header.size()];
                    let read = disk.read_at(self.file, position, &mut bytes)?;
                    let wrong =
                        |error: batch::BatchError| self.corrupt(position, error.to_string());
                    batch::check(&bytes[..read]).map_err(wrong)?;
                    if header.is_append_time() {
                        return Ok(Some((header.base_offset.max(from), header.max_timestamp)));
                    }
                    let records = batch::records(&header, &bytes).map_err(wrong)?;
                    for record in Records::new(&header, &records) {
                        let record = record.map_err(wrong)?;
                        let at = header.base_timestamp.saturating_add(record.timestamp_delta);
                        let offset = header.base_offset + i64::from(record.offset_delta);
                        if at >= stamp && offset >= from {
                            return Ok(Some((offset, at)));
                        }
                    }
                }
                Found::End => return Ok(None),
                Found::Torn => {
                    let reason = "the last batch is not whole".to_owned();
                    return Err(self.corrupt(walk.position(), reason));
                }
                Found::Corrupt(reason) => return Err(self.corrupt(walk.position(), reason)),
            }
        }
    }

    /// The offset of the record with the largest timestamp, as the original
    /// answers it: the last one of its batch.
    pub fn max_offset(&self) -> i64 {
        self.max_offset
    }

    /// An error about what lies at `position`.
    pub fn corrupt(&self, position: u64, reason: String) -> LogError {
        LogError::Corrupt { file: self.log_name(), offset: position, reason }
    }

    /// Checks every byte, and that each batch may follow the one before: `follows`
    /// is asked with the last offset and the base offset.
    ///
    /// # Errors
    /// [`LogError`] of the disk, or for the first batch that is not what was
    /// written.
    pub fn verify(
        &self,
        disk: &mut dyn Disk,
        follows: impl Fn(i64, i64) -> bool,
    ) -> Result<(), LogError> {
        let mut walk = Scan::new(self.file, 0, self.size, true);
        let mut last = self.base - 1;
        loop {
            let reason = match walk.next(disk)? {
                Found::Batch { position, header, .. } => {
                    if !follows(last, header.base_offset) {
                        return Err(self.corrupt(position, out_of_order(last, header.base_offset)));
                    }
                    last = header.last_offset();
                    continue;
                }
                Found::End => return Ok(()),
                Found::Torn => "the last batch is not whole".to_owned(),
                Found::Corrupt(reason) => reason,
            };
            return Err(self.corrupt(walk.position(), reason));
        }
    }
}

/// What is wrong with a batch that does not follow the one before.
pub fn out_of_order(last: i64, base: i64) -> String {
    format!("the batch begins at offset {base}, and the one before ends at {last}")
}

/// What must lie where a read begins.
#[derive(Copy, Clone, Debug)]
enum Expected {
    /// A batch that may follow this offset.
    After(i64),
    /// The batch that ends with this offset.
    Ending(i64),
}

/// What is asked for.
#[derive(Copy, Clone, Debug)]
struct Within {
    from: i64,
    max: usize,
    limit: i64,
    compacted_to: i64,
}

/// What a buffer holds of what is asked for.
enum Span {
    /// These bytes of the buffer, and the offset after them.
    Batches { start: usize, end: usize, next: i64 },
    /// Nothing that may be returned.
    Nothing,
    /// What is asked for lies behind the buffer: this many bytes can be skipped.
    Further { by: usize },
    /// The first batch begins here, and is longer than the buffer.
    First { at: usize, size: usize },
}
