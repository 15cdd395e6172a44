//! The subjects of a stream, with what is known of each.

use std::hash::Hasher;

use hashbrown::HashTable;
use rustc_hash::FxHasher;

/// No subject.
pub(crate) const NONE: u32 = u32::MAX;

/// One subject with the messages it has.
#[derive(Debug)]
pub(crate) struct Subject {
    pub text: Box<[u8]>,
    /// A sequence that is not behind the first message's.
    pub first: u64,
    /// The sequence that was stored last; removed perhaps.
    pub last: u64,
    /// Messages.
    pub count: u64,
}

/// All subjects that have messages, numbered.
#[derive(Debug, Default)]
pub(crate) struct Subjects {
    list: Vec<Subject>,
    free: Vec<u32>,
    by_text: HashTable<u32>,
    given_anew: u64,
}

#[inline]
fn hash(text: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(text);
    hasher.finish()
}

impl Subjects {
    pub fn len(&self) -> usize {
        self.list.len() - self.free.len()
    }

    /// How often a number was given to another subject.
    pub fn given_anew(&self) -> u64 {
        self.given_anew
    }

    #[inline]
    pub fn find(&self, text: &[u8]) -> Option<u32> {
        self.by_text.find(hash(text), |id| *self.list[*id as usize].text == *text).copied()
    }

    #[inline]
    pub fn get(&self, id: u32) -> &Subject {
        &self.list[id as usize]
    }

    #[inline]
    pub fn get_mut(&mut self, id: u32) -> &mut Subject {
        &mut self.list[id as usize]
    }

    /// The number of `text`, which may be a new one.
    #[inline]
    pub fn find_or_add(&mut self, text: &[u8]) -> u32 {
        let hash_of_text = hash(text);
        if let Some(id) =
            self.by_text.find(hash_of_text, |id| *self.list[*id as usize].text == *text)
        {
            return *id;
        }
        let subject = Subject { text: text.into(), first: 0, last: 0, count: 0 };
        let id = match self.free.pop() {
            Some(id) => {
                self.given_anew += 1;
                self.list[id as usize] = subject;
                id
            }
            None => {
                self.list.push(subject);
                self.list.len() as u32 - 1
            }
        };
        let list = &self.list;
        self.by_text.insert_unique(hash_of_text, id, |id| hash(&list[*id as usize].text));
        id
    }

    /// Forgets a subject that has no message left.
    pub fn remove(&mut self, id: u32) {
        let text = std::mem::take(&mut self.list[id as usize].text);
        if let Ok(entry) = self.by_text.find_entry(hash(&text), |other| *other == id) {
            entry.remove();
        }
        self.list[id as usize].count = 0;
        self.free.push(id);
    }

    /// All subjects with messages, in an order of their own that repeats.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Subject)> {
        let numbered = self.list.iter().enumerate();
        numbered.filter(|(_, subject)| subject.count > 0).map(|(id, subject)| (id as u32, subject))
    }

    pub fn memory_bytes(&self) -> u64 {
        let texts: usize = self.list.iter().map(|subject| subject.text.len()).sum();
        let table = self.by_text.capacity() * (size_of::<u32>() + 1);
        let list = self.list.capacity() * size_of::<Subject>() + self.free.capacity() * 4;
        (texts + table + list) as u64
    }
}
