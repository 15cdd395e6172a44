//! How far each key has come: the smallest sequence that is still in order.

use std::mem::size_of;

/// Keys in a page.
const PAGE: usize = 4096;

/// From this many on, a page is an array. An array holds as much as 2,730
/// entries of a list, but a list of a thousand is slow enough to search.
const DENSE_FROM: usize = 1024;

/// The smallest sequence that each key may bring next. A key that has brought
/// nothing stands at 0, and costs nothing while its neighbours are as quiet.
#[derive(Clone, Debug, Default)]
pub(super) struct Floors {
    pages: Vec<Page>,
}

#[derive(Clone, Debug)]
enum Page {
    /// Keys in ascending order, and the floor of each.
    Sparse { keys: Vec<u16>, floors: Vec<u32> },
    /// A floor for each key.
    Dense(Box<[u32; PAGE]>),
}

impl Floors {
    /// A key brings a sequence; `false` if a later one of it came before.
    #[inline]
    pub fn pass(&mut self, key: u32, sequence: u32) -> bool {
        let floor = self.floor(key);
        let in_order = sequence >= *floor;
        if in_order {
            *floor = sequence.saturating_add(1);
        }
        in_order
    }

    #[inline]
    fn floor(&mut self, key: u32) -> &mut u32 {
        let (page, low) = (key as usize / PAGE, key as usize % PAGE);
        if page >= self.pages.len() {
            self.pages.resize_with(page + 1, Page::default);
        }
        self.pages[page].floor(low as u16)
    }

    /// Takes over what another log saw: each key stands where it came furthest.
    pub fn merge(&mut self, other: Floors) {
        for (at, page) in other.pages.into_iter().enumerate() {
            let base = (at * PAGE) as u32;
            page.each(|low, theirs| {
                let ours = self.floor(base + low);
                *ours = theirs.max(*ours);
            });
        }
    }

    /// Bytes it has asked the allocator for.
    pub fn heap_bytes(&self) -> usize {
        let pages: usize = self.pages.iter().map(Page::heap_bytes).sum();
        self.pages.capacity() * size_of::<Page>() + pages
    }
}

impl Page {
    #[inline]
    fn floor(&mut self, low: u16) -> &mut u32 {
        if let Page::Sparse { keys, floors } = self
            && keys.len() == DENSE_FROM
        {
            let mut dense = Box::new([0; PAGE]);
            for (key, floor) in keys.iter().zip(floors) {
                dense[usize::from(*key)] = *floor;
            }
            *self = Page::Dense(dense);
        }
        match self {
            Page::Dense(floors) => &mut floors[usize::from(low)],
            Page::Sparse { keys, floors } => {
                let at = match keys.binary_search(&low) {
                    Ok(at) => at,
                    Err(at) => {
                        keys.insert(at, low);
                        floors.insert(at, 0);
                        at
                    }
                };
                &mut floors[at]
            }
        }
    }

    fn each(&self, mut visit: impl FnMut(u32, u32)) {
        match self {
            Page::Sparse { keys, floors } => {
                for (key, floor) in keys.iter().zip(floors) {
                    visit(u32::from(*key), *floor);
                }
            }
            Page::Dense(floors) => {
                for (low, floor) in floors.iter().enumerate().filter(|(_, floor)| **floor > 0) {
                    visit(low as u32, *floor);
                }
            }
        }
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Page::Sparse { keys, floors } => {
                keys.capacity() * size_of::<u16>() + floors.capacity() * size_of::<u32>()
            }
            Page::Dense(_) => size_of::<[u32; PAGE]>(),
        }
    }
}

impl Default for Page {
    fn default() -> Self {
        Page::Sparse { keys: Vec::new(), floors: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn brought() -> impl Strategy<Value = Vec<(u32, u32)>> {
        // Two pages of keys, few enough draws for lists and enough for arrays.
        prop::collection::vec((0..6_000_u32, 0..20_u32), 0..8_000)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(30))]

        #[test]
        fn it_is_a_map_of_the_furthest(left in brought(), right in brought()) {
            let (mut a, mut b, mut model) = (Floors::default(), Floors::default(), BTreeMap::new());
            for (key, sequence) in &left {
                let last: &mut i64 = model.entry(*key).or_insert(-1);
                prop_assert_eq!(a.pass(*key, *sequence), i64::from(*sequence) > *last);
                *last = i64::from(*sequence).max(*last);
            }
            for (key, sequence) in &right {
                b.pass(*key, *sequence);
                let last = model.entry(*key).or_insert(-1);
                *last = i64::from(*sequence).max(*last);
            }
            a.merge(b);
            for key in 0..6_100 {
                let last = model.get(&key).copied().unwrap_or(-1);
                prop_assert_eq!(i64::from(*a.floor(key)), last + 1, "key {}", key);
            }
        }
    }

    #[test]
    fn the_ends_of_the_range_are_in_order() {
        let mut floors = Floors::default();
        assert!(floors.pass(u32::MAX, 0));
        assert!(floors.pass(u32::MAX, u32::MAX));
        assert!(!floors.pass(u32::MAX, 5));
    }

    #[test]
    fn few_keys_far_apart_cost_little() {
        let mut floors = Floors::default();
        for key in (0..50_000).step_by(40) {
            floors.pass(key, 3);
        }
        assert!(floors.heap_bytes() < 16_000, "{}", floors.heap_bytes());
    }
}
