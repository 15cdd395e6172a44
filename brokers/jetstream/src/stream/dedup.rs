//! The duplicate window: message identifiers of the last while.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::FxHashMap;

/// Identifiers with the sequences under which they were stored.
#[derive(Debug, Default)]
pub(crate) struct Dedup {
    known: FxHashMap<Arc<[u8]>, u64>,
    /// With their times, in nanoseconds since 1970, and in the order of these.
    order: VecDeque<(u64, Arc<[u8]>, u64)>,
}

impl Dedup {
    /// The sequence under which `id` was stored within `window` nanoseconds.
    pub fn find(&mut self, unix: u64, window: u64, id: &[u8]) -> Option<u64> {
        self.forget(unix, window);
        self.known.get(id).copied()
    }

    pub fn remember(&mut self, unix: u64, id: &[u8], seq: u64) {
        let id: Arc<[u8]> = id.into();
        self.known.insert(Arc::clone(&id), seq);
        self.order.push_back((unix, id, seq));
    }

    /// The identifier that was stored last.
    pub fn last(&self) -> &[u8] {
        self.order.back().map_or(&[], |(_, id, _)| id)
    }

    fn forget(&mut self, unix: u64, window: u64) {
        while let Some((at, ..)) = self.order.front()
            && at.saturating_add(window) <= unix
        {
            // The same identifier may have come again since.
            if let Some((_, id, seq)) = self.order.pop_front()
                && self.known.get(&id) == Some(&seq)
            {
                self.known.remove(&id);
            }
        }
    }

    pub fn memory_bytes(&self) -> u64 {
        let ids: usize = self.order.iter().map(|(_, id, _)| id.len() + 16).sum();
        let lists = self.order.capacity() * 32 + self.known.capacity() * 25;
        (ids + lists) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_known_for_the_window() {
        let mut dedup = Dedup::default();
        dedup.remember(100, b"a", 1);
        dedup.remember(150, b"b", 2);
        assert_eq!(dedup.find(199, 100, b"a"), Some(1));
        assert_eq!(dedup.find(200, 100, b"a"), None);
        assert_eq!(dedup.find(200, 100, b"b"), Some(2));
        assert_eq!(dedup.last(), b"b");
    }
}
