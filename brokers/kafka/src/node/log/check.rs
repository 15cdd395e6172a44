//! Whether a log in memory is the log on its disk.
//!
//! This is for a search that asks after boots and crashes: it reads every byte,
//! and nothing that serves clients depends on it.

use broker_contract::Disk;

use super::segment::Segment;
use super::{Found, Log, Scan, follows};
use crate::frame::batch::BatchHeader;

/// What is done with each batch, by its header and its bytes.
type Visit<'a> = dyn FnMut(&BatchHeader, &[u8]) -> Result<(), String> + 'a;

impl Log {
    /// Checks segments against their files, the index against the batches, and
    /// the log's own offsets against each other. A log whose sync has failed is
    /// not looked at: what its disk holds is not known.
    ///
    /// # Errors
    /// What is wrong, and where, in one line.
    pub fn check(&self, disk: &mut dyn Disk) -> Result<(), String> {
        if self.failed {
            return Ok(());
        }
        self.walk(disk, &mut |_, _| Ok(()))?;
        let wrong = |what: String| Err(format!("{}: {what}", self.dir));
        let (start, flushed, next) = (self.start, self.flushed, self.next);
        if let Some(active) = self.segments.last()
            && active.last + 1 != next
        {
            return wrong(format!("the last segment ends at {}, the log at {next}", active.last));
        }
        if start > next || flushed > next {
            return wrong(format!("it starts at {start}, is synced to {flushed}, ends at {next}"));
        }
        if !self.epochs.is_sorted_by(|left, right| left.0 < right.0 && left.1 <= right.1) {
            return wrong(format!("its leader epochs do not ascend: {:?}", self.epochs));
        }
        Ok(())
    }

    /// Calls `visit` with each batch on the disk, and checks that memory agrees.
    ///
    /// # Errors
    /// What is wrong, and where, in one line; or what `visit` says.
    pub fn walk(&self, disk: &mut dyn Disk, visit: &mut Visit<'_>) -> Result<(), String> {
        let mut last = None;
        for segment in &self.segments {
            if last.is_some_and(|last| !follows(last, segment.base, self.compacted_to)) {
                return Err(format!("{}: it does not follow {last:?}", segment.log_name()));
            }
            segment.walk(disk, self.compacted_to, visit)?;
            last = Some(segment.last);
        }
        Ok(())
    }
}

impl Segment {
    fn walk(
        &self,
        disk: &mut dyn Disk,
        compacted_to: i64,
        visit: &mut Visit<'_>,
    ) -> Result<(), String> {
        let wrong = |what: String| format!("{}: {what}", self.log_name());
        let len = disk.len(self.file).map_err(|error| wrong(error.to_string()))?;
        if len != self.size {
            return Err(wrong(format!("the file has {len} bytes, and memory says {}", self.size)));
        }
        let mut walk = Scan::new(self.file, 0, len, true);
        let mut last = self.base - 1;
        let mut index = self.index.entries().iter().peekable();
        loop {
            match walk.next(disk).map_err(|error| wrong(error.to_string()))? {
                Found::Batch { position, header, bytes } => {
                    if !follows(last, header.base_offset, compacted_to) {
                        let base = header.base_offset;
                        return Err(wrong(format!("offset {base} comes after {last}")));
                    }
                    last = header.last_offset();
                    let entry = ((last - self.base) as u32, position as u32);
                    if index.peek().is_some_and(|next| next.1 <= entry.1)
                        && index.next() != Some(&entry)
                    {
                        return Err(wrong(format!("the index does not have {entry:?}")));
                    }
                    visit(&header, bytes)?;
                }
                Found::End => break,
                found => return Err(wrong(format!("behind offset {last}: {found:?}"))),
            }
        }
        if let Some(entry) = index.next() {
            return Err(wrong(format!("the index has {entry:?}, and no batch is there")));
        }
        if last != self.last && self.size > 0 {
            return Err(wrong(format!("it ends at {last}, and memory says {}", self.last)));
        }
        Ok(())
    }
}
