//! Which stream listens to a subject.

use rustc_hash::FxHashMap;

use crate::subject;

/// The subjects of all streams. They do not overlap, so that a subject has one
/// stream at most.
#[derive(Debug, Default)]
pub(crate) struct Routes {
    literals: FxHashMap<Box<[u8]>, u32>,
    /// Filters with wildcards, by stream and then in the stream's order.
    patterns: Vec<(Box<[u8]>, u32)>,
}

impl Routes {
    #[inline]
    pub fn find(&self, text: &[u8]) -> Option<u32> {
        if !self.literals.is_empty()
            && let Some(stream) = self.literals.get(text)
        {
            return Some(*stream);
        }
        let found = self.patterns.iter().find(|(filter, _)| subject::matches(filter, text));
        found.map(|(_, stream)| *stream)
    }

    pub fn add(&mut self, stream: u32, subjects: &[String]) {
        for one in subjects {
            let text: Box<[u8]> = one.as_bytes().into();
            if subject::has_wildcard(&text) {
                self.patterns.push((text, stream));
            } else {
                self.literals.insert(text, stream);
            }
        }
    }

    pub fn remove(&mut self, stream: u32) {
        self.literals.retain(|_, other| *other != stream);
        self.patterns.retain(|(_, other)| *other != stream);
    }

    pub fn is_empty(&self) -> bool {
        self.literals.is_empty() && self.patterns.is_empty()
    }

    /// Whether a stream other than `except` listens to a subject that `filter`
    /// takes in.
    pub fn overlaps(&self, filter: &[u8], except: Option<u32>) -> bool {
        let clashes =
            |text: &[u8], stream: u32| Some(stream) != except && subject::overlap(filter, text);
        // Whether there is one does not depend on the order in which they are asked.
        self.patterns.iter().any(|(text, stream)| clashes(text, *stream))
            || self.literals.iter().any(|(text, stream)| clashes(text, *stream))
    }

    pub fn memory_bytes(&self) -> u64 {
        ((self.literals.capacity() + self.patterns.capacity()) * 24) as u64
    }
}
