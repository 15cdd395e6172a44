//! Whether a store agrees with itself and with what its disk holds. Nothing depends
//! on the answer; a search for broken promises asks.

use std::collections::BTreeMap;

use broker_contract::Disk;

use super::Store;
use super::block::{Block, Entry, FILE_HEAD, FileHead, read_file};
use super::record::{self, Kind};

/// What the entries of the blocks add up to.
#[derive(Debug, Default)]
struct Sums {
    messages: u64,
    bytes: u64,
    first: Option<u64>,
    /// By number: messages, the first and the last of them.
    subjects: BTreeMap<u32, (u64, u64, u64)>,
}

impl Store {
    /// Compares figures, index, subjects and bytes with each other.
    ///
    /// # Errors
    /// What does not agree.
    pub fn check(&self, disk: &mut dyn Disk) -> Result<(), String> {
        let mut sums = Sums::default();
        let mut end = 0;
        if !self.blocks.iter().map(|block| block.first).eq(self.firsts.iter().copied()) {
            return Err("the list of first sequences is not that of the blocks".to_owned());
        }
        for block in &self.blocks {
            if block.first < end {
                return Err(format!("block {} begins before its predecessor ends", block.index));
            }
            end = block.end();
            self.check_block(disk, block, &mut sums)
                .map_err(|what| format!("block {}: {what}", block.index))?;
        }
        let state = &self.state;
        if end > 0 && end != state.last + 1 {
            return Err(format!("blocks end before {end}, the stream at {}", state.last));
        }
        let first = sums.first.unwrap_or(state.last + 1);
        let counted = (sums.messages, sums.bytes, first);
        if counted != (state.messages, state.bytes, state.first) {
            return Err(format!(
                "messages, bytes and first sequence are {counted:?} in the index, {:?} in the state",
                (state.messages, state.bytes, state.first)
            ));
        }
        self.check_subjects(&sums)
    }

    fn check_block(
        &self,
        disk: &mut dyn Disk,
        block: &Block,
        sums: &mut Sums,
    ) -> Result<(), String> {
        if !block.entries.is_empty() && block.entries.len() as u64 != block.count {
            return Err(format!("{} entries of {}", block.entries.len(), block.count));
        }
        let live = block.entries.iter().filter(|entry| entry.is_live()).count();
        if live != block.live as usize {
            return Err(format!("{live} messages are live, {} are counted", block.live));
        }
        // All bytes of the block, as they are stored.
        let bytes = match block.file {
            None => block.cache.clone(),
            Some(file) => {
                let bytes = read_file(disk, file).map_err(|error| error.to_string())?;
                if let Err(flaw) = FileHead::read(&bytes) {
                    return Err(flaw.to_string());
                }
                let from = block.cached_from as usize;
                if bytes.len() as u64 != block.len
                    || (!block.cache.is_empty() && bytes.get(from..) != Some(&block.cache[..]))
                {
                    return Err(format!("{} bytes on disk are not those of memory", bytes.len()));
                }
                debug_assert!(bytes.len() >= FILE_HEAD, "the head was read");
                bytes
            }
        };
        for (seq, entry) in (block.first..).zip(&block.entries).filter(|(_, one)| one.is_live()) {
            self.check_entry(&bytes, seq, *entry, block.file.is_some())
                .map_err(|what| format!("message {seq}: {what}"))?;
            sums.messages += 1;
            sums.bytes += self.size_of_entry(*entry);
            sums.first = sums.first.or(Some(seq));
            let known = sums.subjects.entry(entry.subject).or_insert((0, seq, seq));
            *known = (known.0 + 1, known.1, seq);
        }
        Ok(())
    }

    fn check_entry(
        &self,
        bytes: &[u8],
        seq: u64,
        entry: Entry,
        in_file: bool,
    ) -> Result<(), String> {
        let start = entry.offset() as usize;
        let bytes = bytes.get(start..start + entry.record_len()).ok_or("it is beyond the end")?;
        let record = record::read(bytes, in_file).map_err(|flaw| flaw.to_string())?;
        let len = record::len(bytes);
        if record.kind != Kind::Message || record.seq != seq || len != Some(entry.record_len()) {
            return Err(format!("{:?} {} is in its place", record.kind, record.seq));
        }
        if self.subjects.find(record.subject) != Some(entry.subject) {
            return Err("its subject is another than the index says".to_owned());
        }
        Ok(())
    }

    fn check_subjects(&self, sums: &Sums) -> Result<(), String> {
        if self.subjects.len() != sums.subjects.len() {
            let counts = (self.subjects.len(), sums.subjects.len());
            return Err(format!("{} subjects are known, {} have messages", counts.0, counts.1));
        }
        for (id, (count, first, last)) in &sums.subjects {
            let known = self.subjects.get(*id);
            let fits = known.count == *count && known.first <= *first && known.last >= *last;
            if !fits {
                let text = String::from_utf8_lossy(&known.text);
                return Err(format!(
                    "subject {text} is known with {:?}, its messages are {:?}",
                    (known.count, known.first, known.last),
                    (count, first, last)
                ));
            }
            // The chain of a subject must lead through all of its messages.
            let start = if self.has(known.first) {
                Some(known.first)
            } else {
                self.next_of_subject(*id, known.first)
            };
            let chain = std::iter::successors(start, |seq| self.next_of_subject(*id, *seq)).count();
            if chain as u64 != *count || start != Some(*first) {
                return Err(format!(
                    "the chain of subject {} has {chain} messages of {count}",
                    String::from_utf8_lossy(&known.text)
                ));
            }
        }
        Ok(())
    }
}
