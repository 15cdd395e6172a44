//! Which patterns can match a channel at all.
//!
//! The original tries every pattern on every message. Here patterns are found by
//! what surely begins and ends every channel that they match: the literal bytes
//! before the first wildcard and after the last. For each length of prefix that
//! occurs, one look-up of the channel's beginning; in what that finds, for each
//! length of suffix, one look-up of its end. Ten thousand patterns such as
//! `user:17:*` or `metrics.*.17` therefore cost two look-ups, not ten thousand
//! matches; only patterns with both ends in common are tried one by one.

use rustc_hash::FxHashMap;

use crate::glob::{Anchors, anchors};

/// Patterns by their literal ends.
#[derive(Debug, Default)]
pub(super) struct PatternIndex {
    by_prefix: FxHashMap<Box<[u8]>, BySuffix>,
    lengths: Lengths,
}

/// The patterns of one prefix.
#[derive(Debug, Default)]
struct BySuffix {
    by_suffix: FxHashMap<Box<[u8]>, Vec<(u64, u32)>>,
    lengths: Lengths,
}

impl PatternIndex {
    /// Adds pattern number `topic`; later patterns have a higher `order`.
    pub fn insert(&mut self, pattern: &[u8], order: u64, topic: u32) {
        let Anchors { prefix, suffix } = anchors(pattern);
        let prefix_len = prefix.len();
        let group = self.by_prefix.entry(prefix.into()).or_insert_with(|| {
            self.lengths.add(prefix_len);
            BySuffix::default()
        });
        let suffix_len = suffix.len();
        let list = group.by_suffix.entry(suffix.into()).or_insert_with(|| {
            group.lengths.add(suffix_len);
            Vec::new()
        });
        list.push((order, topic));
    }

    /// Removes pattern number `topic`, which was inserted with this pattern.
    pub fn remove(&mut self, pattern: &[u8], topic: u32) {
        let Anchors { prefix, suffix } = anchors(pattern);
        let Some(group) = self.by_prefix.get_mut(&prefix[..]) else { return };
        let Some(list) = group.by_suffix.get_mut(&suffix[..]) else { return };
        if let Some(at) = list.iter().position(|(_, other)| *other == topic) {
            list.swap_remove(at);
        }
        if list.is_empty() {
            group.by_suffix.remove(&suffix[..]);
            group.lengths.remove(suffix.len());
        }
        if group.by_suffix.is_empty() {
            self.by_prefix.remove(&prefix[..]);
            self.lengths.remove(prefix.len());
        }
    }

    /// Calls `visit` with the order and the number of every pattern that has the
    /// right ends, in no particular order. Most of them match; whether they do is for the caller to find out.
    #[inline]
    pub fn candidates(&self, channel: &[u8], mut visit: impl FnMut(u64, u32)) {
        for prefix in self.lengths.up_to(channel.len()) {
            let Some(group) = self.by_prefix.get(&channel[..prefix]) else { continue };
            for suffix in group.lengths.up_to(channel.len()) {
                if let Some(list) = group.by_suffix.get(&channel[channel.len() - suffix..]) {
                    list.iter().for_each(|(order, topic)| visit(*order, *topic));
                }
            }
        }
    }

    pub fn memory_bytes(&self) -> u64 {
        let entry = size_of::<(Box<[u8]>, BySuffix)>() + 1;
        // Counting what the inner tables hold would take a walk through all of
        // them; a pattern costs about two short keys and a list of one.
        (self.by_prefix.capacity() * entry) as u64
    }
}

/// The lengths that occur, ascending, and how often each.
#[derive(Debug, Default)]
struct Lengths(Vec<(u32, u32)>);

impl Lengths {
    fn add(&mut self, len: usize) {
        let len = len as u32;
        match self.0.binary_search_by_key(&len, |(len, _)| *len) {
            Ok(at) => self.0[at].1 += 1,
            Err(at) => self.0.insert(at, (len, 1)),
        }
    }

    fn remove(&mut self, len: usize) {
        let len = len as u32;
        if let Ok(at) = self.0.binary_search_by_key(&len, |(len, _)| *len) {
            self.0[at].1 -= 1;
            if self.0[at].1 == 0 {
                self.0.remove(at);
            }
        }
    }

    #[inline]
    fn up_to(&self, max: usize) -> impl Iterator<Item = usize> {
        self.0.iter().map(|(len, _)| *len as usize).take_while(move |len| *len <= max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::glob::matches;
    use proptest::prelude::*;

    fn candidates(index: &PatternIndex, channel: &[u8]) -> Vec<u32> {
        let mut found = Vec::new();
        index.candidates(channel, |_, topic| found.push(topic));
        found.sort_unstable();
        found
    }

    #[test]
    fn patterns_that_share_one_end_are_told_apart_by_the_other() {
        let mut index = PatternIndex::default();
        for number in 0..10_000 {
            index.insert(format!("user:{number}:*").as_bytes(), 0, number);
            index.insert(format!("metrics.*.{number}").as_bytes(), 0, 10_000 + number);
        }
        assert_eq!(candidates(&index, b"user:1234:login"), [1_234]);
        // Every number that ends the channel is a candidate: 7, 77 and 777.
        assert_eq!(candidates(&index, b"metrics.cpu.777"), [10_777]);
        assert!(candidates(&index, b"other").is_empty());
    }

    proptest! {
        #[test]
        fn no_match_is_ever_missed(
            patterns in prop::collection::vec("[ab.]{0,3}[*?]{0,2}[ab.]{0,3}", 1..20),
            removed in prop::collection::vec(any::<prop::sample::Index>(), 0..5),
            channel in "[ab.]{1,8}",
        ) {
            let mut index = PatternIndex::default();
            for (number, pattern) in patterns.iter().enumerate() {
                index.insert(pattern.as_bytes(), 0, number as u32);
            }
            let removed: Vec<usize> = removed.iter().map(|at| at.index(patterns.len())).collect();
            for number in &removed {
                index.remove(patterns[*number].as_bytes(), *number as u32);
            }
            let found = candidates(&index, channel.as_bytes());
            for (number, pattern) in patterns.iter().enumerate() {
                let gone = removed.contains(&number);
                if matches(pattern.as_bytes(), channel.as_bytes()) && !gone {
                    prop_assert!(found.contains(&(number as u32)), "{} {}", pattern, channel);
                }
                prop_assert!(!gone || !found.contains(&(number as u32)));
            }
        }
    }
}
