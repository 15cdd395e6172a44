//! Finding messages: the next one that is there, by subject, by filter, by time.

use broker_contract::Disk;

use super::{ReadError, Store};
use crate::subject;

/// Which subjects are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Matcher {
    /// Every one.
    All,
    /// This one.
    Literal(Box<[u8]>),
    /// Those that one of these filters takes in.
    Filters(Box<[Box<[u8]>]>),
}

impl Matcher {
    /// The matcher of these filters; none is every subject.
    pub fn new<T: AsRef<str>>(filters: &[T]) -> Matcher {
        match filters {
            [] => Matcher::All,
            [one] if one.as_ref() == ">" => Matcher::All,
            [one] if !subject::has_wildcard(one.as_ref().as_bytes()) => {
                Matcher::Literal(one.as_ref().as_bytes().into())
            }
            more => {
                Matcher::Filters(more.iter().map(|one| one.as_ref().as_bytes().into()).collect())
            }
        }
    }

    pub fn takes(&self, text: &[u8]) -> bool {
        match self {
            Matcher::All => true,
            Matcher::Literal(literal) => **literal == *text,
            Matcher::Filters(filters) => {
                filters.iter().any(|filter| subject::matches(filter, text))
            }
        }
    }
}

/// The end of one stretch of a search.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// This message.
    Found(u64),
    /// There is none up to the end.
    End,
    /// The search goes on here.
    More(u64),
}

impl Store {
    /// The first message at or behind `seq` that is there.
    pub fn next_live(&self, seq: u64) -> Option<u64> {
        match self.search(seq, u64::MAX, |_| true) {
            Step::Found(seq) => Some(seq),
            Step::End | Step::More(_) => None,
        }
    }

    /// The first message at or behind `from` whose subject's number `wanted`
    /// accepts, looking at `budget` sequences at most.
    #[inline]
    pub fn search(&self, from: u64, mut budget: u64, mut wanted: impl FnMut(u32) -> bool) -> Step {
        let from = from.max(self.state.first);
        if from > self.state.last || self.state.messages == 0 {
            return Step::End;
        }
        let mut at = if self.firsts.get(1).is_some_and(|second| from < *second) {
            0
        } else {
            self.firsts.partition_point(|first| *first <= from).saturating_sub(1)
        };
        let mut seq = from;
        while let Some(block) = self.blocks.get(at) {
            seq = seq.max(block.first);
            if block.live > 0 {
                let skipped = (seq - block.first) as usize;
                for (place, entry) in block.entries.iter().enumerate().skip(skipped) {
                    if budget == 0 {
                        return Step::More(block.first + place as u64);
                    }
                    budget -= 1;
                    if entry.is_live() && wanted(entry.subject) {
                        return Step::Found(block.first + place as u64);
                    }
                }
            }
            seq = block.end();
            at += 1;
        }
        Step::End
    }

    /// The message that follows `seq` on the same subject. `seq` itself may have
    /// been removed.
    pub fn next_of_subject(&self, subject: u32, seq: u64) -> Option<u64> {
        let last = self.subjects.get(subject).last;
        let mut at = seq;
        while at < last {
            let entry = self.position(at).map(|place| self.blocks[place].entry(at));
            match entry {
                Some(entry) if entry.subject == subject && entry.next > 0 => {
                    at += u64::from(entry.next);
                    if self.has(at) {
                        return Some(at);
                    }
                }
                // The chain went through a block whose places were let go.
                _ => match self.search(at + 1, u64::MAX, |other| other == subject) {
                    Step::Found(found) => return Some(found),
                    Step::End | Step::More(_) => return None,
                },
            }
        }
        None
    }

    /// The first message on a subject.
    pub fn first_of_subject(&self, id: u32) -> Option<u64> {
        let first = self.subjects.get(id).first;
        if self.has(first) { Some(first) } else { self.next_of_subject(id, first) }
    }

    /// The last message that `matcher` takes in, at or before `up_to`.
    pub fn last_matching(&self, matcher: &Matcher, up_to: u64) -> Option<u64> {
        let ids: Vec<u32> = match matcher {
            Matcher::Literal(text) => self.find_subject(text).into_iter().collect(),
            Matcher::All if up_to >= self.state.last => return self.last_live(),
            _ => {
                let wanted = |(_, subject): &(u32, &super::Subject)| matcher.takes(&subject.text);
                self.subjects().filter(wanted).map(|(id, _)| id).collect()
            }
        };
        ids.into_iter().filter_map(|id| self.last_of_subject(id, up_to)).max()
    }

    /// The last message on a subject, at or before `up_to`.
    pub fn last_of_subject(&self, id: u32, up_to: u64) -> Option<u64> {
        let subject = self.subjects.get(id);
        if subject.last <= up_to && self.has(subject.last) {
            return Some(subject.last);
        }
        let mut found = None;
        let mut at = subject.first;
        if !self.has(at) {
            at = self.next_of_subject(id, at)?;
        }
        while at <= up_to {
            found = Some(at);
            match self.next_of_subject(id, at) {
                Some(next) => at = next,
                None => break,
            }
        }
        found
    }

    fn last_live(&self) -> Option<u64> {
        let block = self.blocks.iter().rev().find(|block| block.live > 0)?;
        let at = block.entries.iter().rposition(|entry| entry.is_live())?;
        Some(block.first + at as u64)
    }

    /// How many messages at or behind `from` the matcher takes in.
    pub fn count(&self, matcher: &Matcher, from: u64) -> u64 {
        let all = from <= self.state.first;
        match matcher {
            Matcher::All if all => self.state.messages,
            Matcher::Literal(text) if all => {
                self.find_subject(text).map_or(0, |id| self.subjects.get(id).count)
            }
            Matcher::Filters(_) if all => {
                let taken = self.subjects().filter(|(_, subject)| matcher.takes(&subject.text));
                taken.map(|(_, subject)| subject.count).sum()
            }
            _ => {
                let mut wanted: Vec<bool> = Vec::new();
                for (id, subject) in self.subjects() {
                    if wanted.len() <= id as usize {
                        wanted.resize(id as usize + 1, false);
                    }
                    wanted[id as usize] = matcher.takes(&subject.text);
                }
                let mut count = 0;
                for block in self.blocks.iter().filter(|block| block.end() > from) {
                    let skipped = from.saturating_sub(block.first) as usize;
                    let entries = block.entries.iter().skip(skipped);
                    let taken = entries.filter(|entry| {
                        entry.is_live() && wanted.get(entry.subject as usize) == Some(&true)
                    });
                    count += taken.count() as u64;
                }
                count
            }
        }
    }

    /// The first message that was stored at `time` or later, in nanoseconds since
    /// 1970; one behind the last when there is none.
    ///
    /// # Errors
    /// [`ReadError`], when one of the messages looked at cannot be read.
    pub fn seek_time(&mut self, disk: &mut dyn Disk, time: u64) -> Result<u64, ReadError> {
        let (mut low, mut high) = (self.state.first, self.state.last + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            let Some(seq) = self.next_live(middle).filter(|seq| *seq < high) else {
                high = middle;
                continue;
            };
            let stored = self.get(disk, seq)?.map_or(0, |record| record.time);
            if stored >= time {
                high = middle;
            } else {
                low = seq + 1;
            }
        }
        Ok(self.next_live(low).unwrap_or(self.state.last + 1))
    }

    /// The time of the first message, in nanoseconds since 1970.
    ///
    /// # Errors
    /// [`ReadError`], when it cannot be read.
    pub fn first_time(&mut self, disk: &mut dyn Disk) -> Result<Option<u64>, ReadError> {
        let first = self.state.first;
        Ok(self.get(disk, first)?.map(|record| record.time))
    }

    /// How many sequences between the first and the last have no message.
    pub fn deleted(&self) -> u64 {
        if self.state.messages == 0 {
            return 0;
        }
        self.state.last + 1 - self.state.first - self.state.messages
    }

    /// Those sequences, up to `limit` of them.
    pub fn deleted_list(&self, limit: usize) -> Vec<u64> {
        let mut list = Vec::new();
        let mut seq = self.state.first;
        while list.len() < limit && seq < self.state.last {
            let next = self.next_live(seq + 1).unwrap_or(self.state.last + 1);
            list.extend((seq + 1..next).take(limit - list.len()));
            seq = next;
        }
        list
    }
}
