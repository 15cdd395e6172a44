//! From a name to the topic that has it.
//!
//! A table of eight bytes a topic, open addressing with linear probing: what a
//! publish reads of it is one cache line, and the next line that it reads is the
//! topic itself, which holds a short name and the first member. A general map
//! with shared names as its keys read three lines more. Over 50,000 channels each
//! is a miss: waiting for these two is still half of the time of a message, by
//! a sampling profile.

use std::hash::Hasher;

use rustc_hash::FxHasher;

/// Marks an entry that is free.
const FREE: u32 = u32::MAX;
/// Entries of the smallest table.
const SMALLEST: usize = 8;

/// The numbers of topics by the hashes of their names.
///
/// The table knows no names: whoever asks compares them.
#[derive(Debug, Default)]
pub(super) struct NameTable {
    /// A power of two of them, at most four fifths in use.
    entries: Vec<Entry>,
    len: usize,
}

#[derive(Copy, Clone, Debug)]
struct Entry {
    /// Where the entry would like to be, and what nearly always tells it from
    /// its neighbours without a look at the name.
    hash: u32,
    /// The topic; [`FREE`] if there is none.
    topic: u32,
}

const EMPTY: Entry = Entry { hash: 0, topic: FREE };

/// What a name is looked up with.
#[inline]
pub(super) fn hash(name: &[u8]) -> u32 {
    let mut hasher = FxHasher::default();
    hasher.write(name);
    // The hasher brings its best bits down to this end.
    hasher.finish() as u32
}

impl NameTable {
    /// Topics in the table.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The topic with this hash that `is` accepts.
    #[inline]
    pub fn find(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.entries.len().wrapping_sub(1);
        let mut at = hash as usize & mask;
        // Some entry is free, so this ends; without entries it does not begin.
        while let Some(entry) = self.entries.get(at) {
            if entry.topic == FREE {
                break;
            }
            if entry.hash == hash && is(entry.topic) {
                return Some(entry.topic);
            }
            at = (at + 1) & mask;
        }
        None
    }

    /// Adds a topic that is not in the table.
    pub fn insert(&mut self, hash: u32, topic: u32) {
        if (self.len + 1) * 5 > self.entries.len() * 4 {
            self.grow();
        }
        self.place(Entry { hash, topic });
        self.len += 1;
    }

    /// Removes a topic that was inserted with this hash.
    pub fn remove(&mut self, hash: u32, topic: u32) {
        let mask = self.entries.len().wrapping_sub(1);
        let mut hole = hash as usize & mask;
        loop {
            match self.entries.get(hole) {
                Some(entry) if entry.topic == topic => break,
                Some(entry) if entry.topic != FREE => hole = (hole + 1) & mask,
                _ => return,
            }
        }
        // Those behind move up, as far as none passes the place it would like.
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let entry = self.entries[at];
            if entry.topic == FREE {
                break;
            }
            let wish = entry.hash as usize & mask;
            if at.wrapping_sub(wish) & mask >= at.wrapping_sub(hole) & mask {
                self.entries[hole] = entry;
                hole = at;
            }
        }
        self.entries[hole] = EMPTY;
        self.len -= 1;
    }

    fn grow(&mut self) {
        let size = (self.entries.len() * 2).max(SMALLEST);
        let old = std::mem::replace(&mut self.entries, vec![EMPTY; size]);
        for entry in old {
            if entry.topic != FREE {
                self.place(entry);
            }
        }
    }

    fn place(&mut self, entry: Entry) {
        let mask = self.entries.len() - 1;
        let mut at = entry.hash as usize & mask;
        while self.entries[at].topic != FREE {
            at = (at + 1) & mask;
        }
        self.entries[at] = entry;
    }

    pub fn memory_bytes(&self) -> u64 {
        (self.entries.capacity() * size_of::<Entry>()) as u64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn similar_names_spread() {
        let mut table = NameTable::default();
        let names: Vec<String> = (0..50_000).map(|n| format!("telemetry.{n:05}.reading")).collect();
        for (topic, name) in names.iter().enumerate() {
            table.insert(hash(name.as_bytes()), topic as u32);
        }
        assert_eq!(table.len(), 50_000);
        assert_eq!(table.memory_bytes(), 8 << 16);
        let mask = table.entries.len() - 1;
        let way = |at: usize, entry: &Entry| at.wrapping_sub(entry.hash as usize) & mask;
        let used = table.entries.iter().enumerate().filter(|(_, entry)| entry.topic != FREE);
        let ways: usize = used.map(|(at, entry)| way(at, entry)).sum();
        // A random spread at this load leads to 1.6 steps on average.
        assert!(ways < 3 * table.len(), "{ways} steps");
    }

    proptest! {
        /// Few hashes, so that nearly everything collides.
        #[test]
        fn it_holds_what_a_map_holds(steps in prop::collection::vec((0..40_u32, any::<bool>()), 1..300)) {
            let hash_of = |topic: u32| if topic.is_multiple_of(2) { u32::MAX - topic / 8 } else { topic / 8 };
            let mut table = NameTable::default();
            let mut model = BTreeMap::new();
            for (topic, add) in steps {
                if add && model.insert(topic, ()).is_none() {
                    table.insert(hash_of(topic), topic);
                } else if !add {
                    table.remove(hash_of(topic), topic);
                    model.remove(&topic);
                }
                prop_assert_eq!(table.len(), model.len());
                for topic in 0..40 {
                    let found = table.find(hash_of(topic), |other| other == topic);
                    prop_assert_eq!(found.is_some(), model.contains_key(&topic));
                }
            }
        }
    }
}
