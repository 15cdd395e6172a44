//! Which consumers may take in a subject, without asking each of them.
//!
//! Consumers are listed by what their filters begin with, up to the first wildcard. A
//! subject can only be taken in by those that are listed under one of its own
//! beginnings, of which it has one for each token, so that a message costs nothing for
//! consumers of other devices, however many there are. A filter that begins with a
//! wildcard is listed under the empty beginning, and asked about each message.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use crate::subject;

/// Consumers by the beginnings of their filters.
#[derive(Debug, Default)]
pub(super) struct Interest {
    by_beginning: FxHashMap<Box<[u8]>, Vec<u32>>,
    /// Consumers that took in other subjects before: what they still wait for may be
    /// on any subject.
    changed: BTreeSet<u32>,
}

/// What every subject begins with that `filter` takes in: the filter itself, or its
/// tokens before the first wildcard with the dot behind them.
fn beginning(filter: &[u8]) -> &[u8] {
    let mut end = 0;
    for token in filter.split(|byte| *byte == b'.') {
        if subject::has_wildcard(token) {
            return &filter[..end];
        }
        end += token.len() + 1;
    }
    filter
}

impl Interest {
    /// Lists the consumer at a place. Without a filter it takes in everything.
    pub fn add(&mut self, place: u32, filters: &[&str], has_changed: bool) {
        for filter in if filters.is_empty() { &[">"] } else { filters } {
            let places = self.by_beginning.entry(beginning(filter.as_bytes()).into()).or_default();
            if let Err(at) = places.binary_search(&place) {
                places.insert(at, place);
            }
        }
        if has_changed {
            self.changed.insert(place);
        }
    }

    /// Takes it from the list. `filters` are those that it was listed with.
    pub fn remove(&mut self, place: u32, filters: &[&str]) {
        for filter in if filters.is_empty() { &[">"] } else { filters } {
            let beginning = beginning(filter.as_bytes());
            let Some(places) = self.by_beginning.get_mut(beginning) else { continue };
            places.retain(|other| *other != place);
            if places.is_empty() {
                self.by_beginning.remove(beginning);
            }
        }
        self.changed.remove(&place);
    }

    /// The places, ascending, of all consumers that may take `subject` in, and perhaps
    /// of some that do not.
    pub fn find(&self, subject: &[u8], places: &mut Vec<u32>) {
        places.clear();
        let mut listed = 0;
        let mut look = |beginning: &[u8]| {
            if let Some(found) = self.by_beginning.get(beginning) {
                places.extend_from_slice(found);
                listed += 1;
            }
        };
        look(b"");
        for (at, byte) in subject.iter().enumerate() {
            if *byte == b'.' {
                look(&subject[..=at]);
            }
        }
        if !subject.ends_with(b".") {
            look(subject);
        }
        if listed > 1 {
            places.sort_unstable();
            places.dedup();
        }
    }

    /// As [`Interest::find`], with those who may still wait for a message there.
    pub fn find_waiting(&self, subject: &[u8], places: &mut Vec<u32>) {
        self.find(subject, places);
        if !self.changed.is_empty() {
            places.extend(&self.changed);
            places.sort_unstable();
            places.dedup();
        }
    }

    /// Heap bytes, estimated.
    pub fn memory_bytes(&self) -> u64 {
        let lists = self.by_beginning.iter().map(|(text, places)| {
            text.len() + places.capacity() * size_of::<u32>() + size_of::<(Box<[u8]>, Vec<u32>)>()
        });
        lists.sum::<usize>() as u64
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(interest: &Interest, subject: &str) -> Vec<u32> {
        let mut places = vec![99];
        interest.find(subject.as_bytes(), &mut places);
        places
    }

    #[test]
    fn filters_begin_with_what_is_before_a_wildcard() {
        for (filter, begins) in [
            ("a.b", "a.b"),
            ("a.*", "a."),
            ("a.b.>", "a.b."),
            ("*.b", ""),
            (">", ""),
            ("a.*b", "a.*b"),
        ] {
            assert_eq!(beginning(filter.as_bytes()), begins.as_bytes(), "{filter}");
        }
    }

    #[test]
    fn a_subject_finds_its_consumers_and_none_of_other_devices() {
        let mut interest = Interest::default();
        for device in 0..10_000 {
            interest.add(device, &[&format!("dev.{device}.>")], false);
        }
        interest.add(10_000, &[], false);
        interest.add(10_001, &["dev.7.temp", "dev.8.temp"], true);
        assert_eq!(found(&interest, "dev.7.temp"), [7, 10_000, 10_001]);
        assert_eq!(found(&interest, "dev.9.temp"), [9, 10_000]);
        let mut places = Vec::new();
        interest.find_waiting(b"dev.9.temp", &mut places);
        assert_eq!(places, [9, 10_000, 10_001], "it may wait for something of before");
        interest.remove(10_001, &["dev.7.temp", "dev.8.temp"]);
        interest.remove(10_000, &[]);
        assert_eq!(found(&interest, "dev.7.temp"), [7]);
        for device in 0..10_000 {
            interest.remove(device, &[&format!("dev.{device}.>")]);
        }
        assert!(interest.by_beginning.is_empty() && interest.changed.is_empty());
    }

    proptest! {
        #[test]
        fn whoever_takes_a_subject_in_is_found(
            filters in prop::collection::vec("[ab*](\\.[ab*]){0,3}(\\.>)?", 1..20),
            subject in "[ab](\\.[ab]){0,4}",
        ) {
            let mut interest = Interest::default();
            for (place, filter) in (0..).zip(&filters) {
                interest.add(place, &[filter], false);
            }
            let found = found(&interest, &subject);
            prop_assert!(found.is_sorted_by(|one, other| one < other));
            for (place, filter) in (0..).zip(&filters) {
                if subject::matches(filter.as_bytes(), subject.as_bytes()) {
                    prop_assert!(found.contains(&place), "{} of {}", filter, subject);
                }
            }
        }
    }
}
