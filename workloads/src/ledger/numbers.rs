//! A set of message numbers that costs what it holds.
//!
//! Numbers are dense over a run, and most sets are nearly all of them (what one
//! group saw) or nearly none (what failed). The set is cut into pages of 65,536
//! numbers, and each page takes the cheapest of three forms: a sorted list of
//! its low halves, a bitmap of 8 KiB, or nothing at all when it is full. A scope
//! that has seen everything so far therefore costs one page, the one in which
//! its messages arrive, and a scope that sees one message in 500 costs two bytes
//! for each. The idea of the three forms is that of Roaring bitmaps.

use std::fmt;
use std::mem::size_of;

/// Words of a page's bitmap.
pub(super) const WORDS: usize = 1024;

/// Numbers in a page.
pub(super) const PAGE: u32 = 1 << 16;

/// From this many on, a list would be larger than a bitmap.
const DENSE_FROM: usize = 4096;

/// A page as a bitmap, number `64 * w + b` of the page being bit `b` of word `w`.
pub(super) type Words = [u64; WORDS];

/// A set of numbers.
#[derive(Clone, Default)]
pub(super) struct Numbers {
    pages: Vec<Page>,
    len: u64,
}

/// The form of a page follows from how many it holds, so that equal pages are
/// equal values.
#[derive(Clone, PartialEq, Eq)]
enum Page {
    /// Fewer than [`DENSE_FROM`], ascending.
    Sparse(Vec<u16>),
    /// Between the two others.
    Dense(Box<Dense>),
    /// All of them.
    Full,
}

#[derive(Clone, PartialEq, Eq)]
struct Dense {
    words: Words,
    count: u32,
}

impl Numbers {
    /// Adds a number; `false` if it was there already.
    #[inline]
    pub fn insert(&mut self, number: u32) -> bool {
        let (page, low) = split(number);
        if page >= self.pages.len() {
            self.pages.resize_with(page + 1, Page::default);
        }
        let fresh = self.pages[page].insert(low);
        self.len += u64::from(fresh);
        fresh
    }

    /// Whether it holds a number.
    #[inline]
    pub fn contains(&self, number: u32) -> bool {
        let (page, low) = split(number);
        self.pages.get(page).is_some_and(|page| page.contains(low))
    }

    /// How many it holds.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// One more than the last page that may hold something.
    pub fn pages(&self) -> usize {
        self.pages.len()
    }

    /// How many numbers a page holds.
    pub fn page_len(&self, page: usize) -> u64 {
        self.pages.get(page).map_or(0, |page| page.len() as u64)
    }

    /// Whether a page holds the same numbers here and there.
    pub fn same_page(&self, other: &Numbers, page: usize) -> bool {
        match (self.pages.get(page), other.pages.get(page)) {
            (Some(ours), Some(theirs)) => ours == theirs,
            (Some(only), None) | (None, Some(only)) => only.len() == 0,
            (None, None) => true,
        }
    }

    /// Writes a page as a bitmap.
    pub fn read_page(&self, page: usize, into: &mut Words) {
        match self.pages.get(page) {
            Some(page) => page.read(into),
            None => into.fill(0),
        }
    }

    /// Takes over another set's numbers; returns how many were in both.
    pub fn merge(&mut self, other: Numbers) -> u64 {
        if self.pages.len() < other.pages.len() {
            self.pages.resize_with(other.pages.len(), Page::default);
        }
        let apart = self.len + other.len;
        for (ours, theirs) in self.pages.iter_mut().zip(other.pages) {
            let before = ours.len() as u64;
            ours.merge(theirs);
            self.len = self.len - before + ours.len() as u64;
        }
        apart - self.len
    }

    /// Its numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let mut words = [0; WORDS];
        self.pages.iter().enumerate().filter(|(_, page)| page.len() > 0).flat_map(
            move |(at, page)| {
                page.read(&mut words);
                let base = at as u32 * PAGE;
                let set: Vec<u32> = (0..PAGE)
                    .filter(|low| words[*low as usize / 64] >> (low % 64) & 1 == 1)
                    .map(|low| base + low)
                    .collect();
                set
            },
        )
    }

    /// Bytes it has asked the allocator for.
    pub fn heap_bytes(&self) -> usize {
        let pages: usize = self.pages.iter().map(Page::heap_bytes).sum();
        self.pages.capacity() * size_of::<Page>() + pages
    }
}

impl fmt::Debug for Numbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Numbers({} in {} pages)", self.len, self.pages.len())
    }
}

impl Page {
    #[inline]
    fn insert(&mut self, low: u16) -> bool {
        match self {
            Page::Full => false,
            Page::Dense(dense) => {
                let word = &mut dense.words[usize::from(low >> 6)];
                let bit = 1 << (low & 63);
                if *word & bit != 0 {
                    return false;
                }
                *word |= bit;
                dense.count += 1;
                if dense.count == PAGE {
                    *self = Page::Full;
                }
                true
            }
            Page::Sparse(list) => {
                // Messages arrive nearly in order, so the end is the usual place.
                match list.last() {
                    Some(last) if *last >= low => match list.binary_search(&low) {
                        Ok(_) => return false,
                        Err(at) => list.insert(at, low),
                    },
                    _ => list.push(low),
                }
                if list.len() == DENSE_FROM {
                    let mut words = [0; WORDS];
                    self.read(&mut words);
                    *self = Page::of(&words);
                }
                true
            }
        }
    }

    #[inline]
    fn contains(&self, low: u16) -> bool {
        match self {
            Page::Full => true,
            Page::Dense(dense) => dense.words[usize::from(low >> 6)] >> (low & 63) & 1 == 1,
            Page::Sparse(list) => list.binary_search(&low).is_ok(),
        }
    }

    fn len(&self) -> u32 {
        match self {
            Page::Full => PAGE,
            Page::Dense(dense) => dense.count,
            Page::Sparse(list) => list.len() as u32,
        }
    }

    fn read(&self, into: &mut Words) {
        match self {
            Page::Full => into.fill(u64::MAX),
            Page::Dense(dense) => *into = dense.words,
            Page::Sparse(list) => {
                into.fill(0);
                for low in list {
                    into[usize::from(low >> 6)] |= 1 << (low & 63);
                }
            }
        }
    }

    /// The page that holds what the bitmap holds, in its proper form.
    fn of(words: &Words) -> Page {
        let count = words.iter().map(|word| word.count_ones()).sum();
        if count == PAGE {
            Page::Full
        } else if count as usize >= DENSE_FROM {
            Page::Dense(Box::new(Dense { words: *words, count }))
        } else {
            let lows = (0..=u16::MAX)
                .filter(|low| words[usize::from(low >> 6)] >> (low & 63) & 1 == 1)
                .collect();
            Page::Sparse(lows)
        }
    }

    fn merge(&mut self, other: Page) {
        if self.len() == 0 || other == Page::Full {
            *self = other;
            return;
        }
        if let Page::Sparse(list) = &other {
            for low in list {
                self.insert(*low);
            }
            return;
        }
        let (mut ours, mut theirs) = ([0; WORDS], [0; WORDS]);
        self.read(&mut ours);
        other.read(&mut theirs);
        for (ours, theirs) in ours.iter_mut().zip(&theirs) {
            *ours |= theirs;
        }
        *self = Page::of(&ours);
    }

    fn heap_bytes(&self) -> usize {
        match self {
            Page::Full => 0,
            Page::Dense(_) => size_of::<Dense>(),
            Page::Sparse(list) => list.capacity() * size_of::<u16>(),
        }
    }
}

impl Default for Page {
    fn default() -> Self {
        Page::Sparse(Vec::new())
    }
}

#[inline]
fn split(number: u32) -> (usize, u16) {
    ((number >> 16) as usize, number as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn of(numbers: impl IntoIterator<Item = u32>) -> Numbers {
        let mut set = Numbers::default();
        for number in numbers {
            set.insert(number);
        }
        set
    }

    /// Stretches of numbers with a stride, so that all three forms appear.
    fn stretches() -> impl Strategy<Value = Vec<u32>> {
        let stretch =
            (0..200_000_u32, 0..70_000_u32, prop_oneof![Just(1_u32), 1..40_u32], any::<bool>())
                .prop_map(|(start, len, step, backwards)| {
                    let mut numbers: Vec<u32> =
                        (start..start + len).step_by(step as usize).collect();
                    if backwards && len < 9_000 {
                        numbers.reverse();
                    }
                    numbers
                });
        prop::collection::vec(stretch, 1..4).prop_map(|stretches| stretches.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn it_holds_what_was_put_in(numbers in stretches()) {
            let mut set = Numbers::default();
            let mut model = BTreeSet::new();
            for number in &numbers {
                prop_assert_eq!(set.insert(*number), model.insert(*number));
            }
            prop_assert_eq!(set.len(), model.len() as u64);
            prop_assert!(set.iter().eq(model.iter().copied()));
            prop_assert!((0..set.pages()).map(|page| set.page_len(page)).sum::<u64>() == set.len());
            for number in numbers.iter().take(100).flat_map(|number| [*number, number + 1]) {
                prop_assert_eq!(set.contains(number), model.contains(&number));
            }
        }

        #[test]
        fn a_merge_is_a_union(left in stretches(), right in stretches()) {
            let (a, b): (BTreeSet<u32>, BTreeSet<u32>) =
                (left.iter().copied().collect(), right.iter().copied().collect());
            let mut merged = of(left);
            let both = merged.merge(of(right));
            prop_assert_eq!(both, a.intersection(&b).count() as u64);
            prop_assert!(merged.iter().eq(a.union(&b).copied()));
            // However it came about, the same set has the same pages.
            let afresh = of(a.union(&b).copied());
            for page in 0..merged.pages().max(afresh.pages()) {
                prop_assert!(merged.same_page(&afresh, page));
            }
        }
    }

    #[test]
    fn a_full_page_costs_nothing() {
        let mut set = of(0..PAGE - 1);
        assert_eq!(set.heap_bytes() - 4 * size_of::<Page>(), size_of::<Dense>());
        set.insert(PAGE - 1);
        assert_eq!(set.heap_bytes(), 4 * size_of::<Page>());
        assert!(!set.insert(7));
        assert_eq!(set.len(), u64::from(PAGE));
    }

    #[test]
    fn the_largest_number_has_a_place() {
        let set = of([u32::MAX, 0]);
        assert!(set.contains(u32::MAX) && set.contains(0) && !set.contains(u32::MAX - 1));
    }
}
