//! Values under small numbers.

use std::ops::{Index, IndexMut};

/// Values in one array, numbered; a number is used again once it is free.
#[derive(Debug)]
pub struct Slab<T> {
    items: Vec<T>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Slab { items: Vec::new(), free: Vec::new() }
    }
}

impl<T: Default> Slab<T> {
    /// Adds a value and returns its number.
    ///
    /// # Panics
    /// At 2^32 - 1 values: long before that, memory has run out.
    pub fn insert(&mut self, item: T) -> u32 {
        if let Some(id) = self.free.pop() {
            self.items[id as usize] = item;
            return id;
        }
        let id = u32::try_from(self.items.len()).ok().filter(|id| *id != super::table::NONE);
        let id = id.expect("memory runs out long before the numbers do");
        self.items.push(item);
        id
    }

    /// Takes a value out. When none is left, the memory goes too.
    pub fn remove(&mut self, id: u32) -> T {
        let item = std::mem::take(&mut self.items[id as usize]);
        self.free.push(id);
        if self.free.len() == self.items.len() {
            *self = Slab::default();
        }
        item
    }

    /// All values, and defaults where there is none.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.items.iter()
    }

    /// Values in it.
    pub fn len(&self) -> usize {
        self.items.len() - self.free.len()
    }

    /// Heap bytes of the arrays, but not of what values own.
    pub fn memory_bytes(&self) -> u64 {
        (self.items.capacity() * size_of::<T>() + self.free.capacity() * size_of::<u32>()) as u64
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;
    #[inline]
    fn index(&self, id: u32) -> &T {
        &self.items[id as usize]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    #[inline]
    fn index_mut(&mut self, id: u32) -> &mut T {
        &mut self.items[id as usize]
    }
}
