//! A hash table of identifiers.

/// The identifier that stands for none.
pub const NONE: u32 = u32::MAX;

const EMPTY: Slot = Slot { tag: 0, id: NONE };
const LEAST: usize = 8;

#[derive(Copy, Clone, Debug)]
struct Slot {
    tag: u32,
    id: u32,
}

/// Finds identifiers by a 32-bit hash of their key; the keys themselves live with
/// what the identifiers name.
///
/// A slot is 8 bytes with the hash in it, so that a look-up touches one line of
/// memory here and one where the key is, and growing touches no key at all. Linear
/// probing; removal closes the gap, so nothing is left behind.
#[derive(Debug, Default)]
pub struct IdTable {
    slots: Vec<Slot>,
    len: usize,
}

impl IdTable {
    /// The identifier with this hash for which `is` holds.
    #[inline]
    pub fn find(&self, tag: u32, mut is: impl FnMut(u32) -> bool) -> Option<u32> {
        if self.slots.is_empty() {
            return None;
        }
        let mask = self.slots.len() - 1;
        let mut at = tag as usize & mask;
        loop {
            let slot = self.slots[at];
            if slot.id == NONE {
                return None;
            }
            if slot.tag == tag && is(slot.id) {
                return Some(slot.id);
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds an identifier that is not in yet.
    pub fn insert(&mut self, tag: u32, id: u32) {
        if (self.len + 1) * 4 > self.slots.len() * 3 {
            self.resize((self.slots.len() * 2).max(LEAST));
        }
        self.place(Slot { tag, id });
        self.len += 1;
    }

    /// Takes an identifier out. Returns whether it was in.
    pub fn remove(&mut self, tag: u32, id: u32) -> bool {
        if self.slots.is_empty() {
            return false;
        }
        let mask = self.slots.len() - 1;
        let mut gap = tag as usize & mask;
        while self.slots[gap].id != id || self.slots[gap].tag != tag {
            if self.slots[gap].id == NONE {
                return false;
            }
            gap = (gap + 1) & mask;
        }
        let mut next = (gap + 1) & mask;
        while self.slots[next].id != NONE {
            // A slot may move back into the gap unless that lies before its home.
            let home = self.slots[next].tag as usize & mask;
            if (next.wrapping_sub(home) & mask) >= (next.wrapping_sub(gap) & mask) {
                self.slots[gap] = self.slots[next];
                gap = next;
            }
            next = (next + 1) & mask;
        }
        self.slots[gap] = EMPTY;
        self.len -= 1;
        if self.len == 0 {
            self.slots = Vec::new();
        } else if self.slots.len() > LEAST && self.len * 8 < self.slots.len() {
            self.resize(self.slots.len() / 2);
        }
        true
    }

    fn place(&mut self, slot: Slot) {
        let mask = self.slots.len() - 1;
        let mut at = slot.tag as usize & mask;
        while self.slots[at].id != NONE {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
    }

    fn resize(&mut self, slots: usize) {
        let old = std::mem::replace(&mut self.slots, vec![EMPTY; slots]);
        for slot in old.into_iter().filter(|slot| slot.id != NONE) {
            self.place(slot);
        }
    }

    /// Heap bytes.
    pub fn memory_bytes(&self) -> u64 {
        (self.slots.capacity() * size_of::<Slot>()) as u64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Tags from a small range make every probe a collision.
        #[test]
        fn it_is_a_set_of_tagged_ids(steps in prop::collection::vec((0..12u32, 0..40u32, any::<bool>()), 0..300)) {
            let mut table = IdTable::default();
            let mut model = BTreeSet::new();
            for (tag, id, insert) in steps {
                if insert && !model.iter().any(|(_, known)| *known == id) {
                    table.insert(tag, id);
                    model.insert((tag, id));
                } else {
                    prop_assert_eq!(table.remove(tag, id), model.remove(&(tag, id)));
                }
                for tag in 0..12 {
                    for id in 0..40 {
                        let found = table.find(tag, |found| found == id).is_some();
                        prop_assert_eq!(found, model.contains(&(tag, id)));
                    }
                }
            }
            prop_assert_eq!(table.slots.is_empty(), model.is_empty());
        }
    }

    #[test]
    fn an_emptied_table_holds_nothing() {
        let mut table = IdTable::default();
        for id in 0..10_000_u32 {
            table.insert(id.wrapping_mul(0x9e37_79b9), id);
        }
        assert!(table.memory_bytes() <= 16_384 * 8);
        for id in 0..9_990_u32 {
            assert!(table.remove(id.wrapping_mul(0x9e37_79b9), id));
        }
        assert!(table.memory_bytes() <= 128 * 8);
        for id in 9_990..10_000_u32 {
            assert!(table.remove(id.wrapping_mul(0x9e37_79b9), id));
        }
        assert_eq!(table.memory_bytes(), 0);
    }
}
