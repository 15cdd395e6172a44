//! The subscription index: who receives a message with this subject.
//!
//! Filters without wildcards are found by a hash of the whole subject; filters
//! with wildcards are in a trie, one level per token, with slots for `*`
//! and `>`. Subscriptions to the same filter share one entry; members of queue
//! groups are held apart, and a group has one number over all filters, because
//! its members on different filters take part in one draw.
//!
//! A subscription is also in a list of its connection's subscriptions and in a
//! table by connection and identifier. All of it is in arrays, so that a million
//! subscriptions cost no allocation each.
//!
//! **The result cache.** The original keeps one of 1,024 entries, keyed by the
//! literal subject, and with more live subjects than that it costs more than it
//! saves. A look-up here is one hash, one slot and one entry, so a cache saves
//! nothing while these lie in the processor's own caches. It pays for a hot set
//! among very many filters, whose slots and entries lie on as many pages as there
//! are hot subjects, and for the walk through the trie. So there is a
//! cache with a line of memory per entry, from [`CACHE_FROM`] filters on,
//! and it steps aside while it misses. `benches/index.rs` measures all of this.

mod cache;
mod members;
mod slab;
mod table;
mod text;
mod trie;

#[cfg(test)]
mod tests;

use rustc_hash::FxHashMap;

use self::cache::Cache;
use self::members::{GroupMembers, Members};
use self::slab::Slab;
use self::table::IdTable;
pub use self::table::NONE;
use self::text::{Text, fold, hash};
use self::trie::Trie;
use crate::subject;

/// Filters from which on results are cached.
pub const CACHE_FROM: usize = 512;

/// One subscription.
#[derive(Debug)]
pub struct Subscription {
    /// The client's number for it.
    pub sid: u64,
    /// Deliveries since SUB.
    pub delivered: u64,
    /// Deliveries after which it ends; [`u64::MAX`] for never.
    pub max: u64,
    /// The connection it belongs to.
    pub conn: u32,
    filter: u32,
    /// Its queue group, or [`NONE`].
    group: u32,
    /// Its place among the members.
    place: u32,
    /// Its neighbours in its connection's list.
    previous: u32,
    next: u32,
}

impl Default for Subscription {
    fn default() -> Self {
        Subscription {
            sid: 0,
            delivered: 0,
            max: u64::MAX,
            conn: NONE,
            filter: NONE,
            group: NONE,
            place: NONE,
            previous: NONE,
            next: NONE,
        }
    }
}

/// The subscriptions of one connection; the connection holds it.
#[derive(Debug)]
pub struct Owned {
    first: u32,
    /// How many there are.
    pub len: u32,
}

impl Default for Owned {
    fn default() -> Self {
        Owned { first: NONE, len: 0 }
    }
}

/// One filter with everybody who subscribed to it.
#[derive(Debug, Default)]
struct Filter {
    text: Text<30>,
    plain: Members,
    /// Boxed, because most filters have no group.
    #[expect(
        clippy::box_collection,
        reason = "a vector is three words, and most filters have none"
    )]
    groups: Option<Box<Vec<GroupMembers>>>,
}

impl Filter {
    fn heap_bytes(&self) -> usize {
        let groups = self.groups.as_ref().map_or(0, |groups| {
            let members: usize = groups.iter().map(|group| group.members.heap_bytes()).sum();
            size_of::<Vec<GroupMembers>>() + groups.capacity() * size_of::<GroupMembers>() + members
        });
        self.text.heap_bytes() + self.plain.heap_bytes() + groups
    }
}

/// A queue group's name and how many subscriptions carry it.
#[derive(Debug, Default)]
struct GroupName {
    name: Box<[u8]>,
    members: u32,
}

/// All subscriptions of a node.
#[derive(Debug, Default)]
pub struct Index {
    subscriptions: Slab<Subscription>,
    filters: Slab<Filter>,
    /// Filters without wildcards, by their text.
    literals: IdTable,
    /// Filters with wildcards, by their text.
    patterns: IdTable,
    trie: Trie,
    by_sid: IdTable,
    groups: Slab<GroupName>,
    group_numbers: FxHashMap<Box<[u8]>, u32>,
    cache: Cache,
    /// Filters added and taken out so far, which tells whether a cached result
    /// still holds. Subscriptions come and go without touching it.
    changes: u64,
}

fn sid_tag(conn: u32, sid: u64) -> u32 {
    fold(sid, u64::from(conn) + 1)
}

impl Index {
    /// How many subscriptions there are.
    pub fn len(&self) -> usize {
        self.subscriptions.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The subscription of `conn` with this identifier.
    pub fn find(&self, conn: u32, sid: u64) -> Option<u32> {
        self.by_sid.find(sid_tag(conn, sid), |id| {
            let subscription = &self.subscriptions[id];
            subscription.conn == conn && subscription.sid == sid
        })
    }

    /// The subscription with this number.
    #[inline]
    pub fn get(&self, id: u32) -> &Subscription {
        &self.subscriptions[id]
    }

    /// The subscription with this number.
    #[inline]
    pub fn get_mut(&mut self, id: u32) -> &mut Subscription {
        &mut self.subscriptions[id]
    }

    /// The filter of a subscription.
    pub fn filter(&self, id: u32) -> &[u8] {
        self.filters[self.subscriptions[id].filter].text.as_bytes()
    }

    /// Adds a subscription to a valid filter. `sid` is new to the connection.
    pub fn insert(
        &mut self,
        conn: u32,
        owned: &mut Owned,
        sid: u64,
        filter: &[u8],
        queue: Option<&[u8]>,
    ) -> u32 {
        let filter = self.filter_for(filter);
        let group = queue.map_or(NONE, |name| self.group_for(name));
        let next = owned.first;
        let subscription =
            Subscription { sid, conn, filter, group, next, ..Subscription::default() };
        let id = self.subscriptions.insert(subscription);
        let entry = &mut self.filters[filter];
        let members = if group == NONE {
            &mut entry.plain
        } else {
            let groups = entry.groups.get_or_insert_default();
            let at = groups.iter().position(|members| members.group == group);
            let at = at.unwrap_or_else(|| {
                groups.push(GroupMembers { group, members: Members::Empty });
                groups.len() - 1
            });
            &mut groups[at].members
        };
        self.subscriptions[id].place = members.push(id);
        if next != NONE {
            self.subscriptions[next].previous = id;
        }
        owned.first = id;
        owned.len += 1;
        self.by_sid.insert(sid_tag(conn, sid), id);
        id
    }

    /// Takes a subscription out.
    pub fn remove(&mut self, id: u32, owned: &mut Owned) {
        let subscription = self.subscriptions.remove(id);
        let Subscription { conn, sid, filter, group, place, previous, next, .. } = subscription;
        self.by_sid.remove(sid_tag(conn, sid), id);
        if previous == NONE {
            owned.first = next;
        } else {
            self.subscriptions[previous].next = next;
        }
        if next != NONE {
            self.subscriptions[next].previous = previous;
        }
        owned.len -= 1;

        let entry = &mut self.filters[filter];
        let moved = if group == NONE {
            entry.plain.remove(place)
        } else {
            let mut moved = None;
            if let Some(groups) = &mut entry.groups
                && let Some(at) = groups.iter().position(|members| members.group == group)
            {
                moved = groups[at].members.remove(place);
                if groups[at].members.is_empty() {
                    groups.swap_remove(at);
                }
                if groups.is_empty() {
                    entry.groups = None;
                }
            }
            moved
        };
        let unused = entry.plain.is_empty() && entry.groups.is_none();
        if let Some(moved) = moved {
            self.subscriptions[moved].place = place;
        }
        if group != NONE {
            self.leave_group(group);
        }
        if unused {
            self.drop_filter(filter);
        }
    }

    /// Takes all subscriptions of a connection out.
    pub fn remove_all(&mut self, owned: &mut Owned) {
        while owned.first != NONE {
            self.remove(owned.first, owned);
        }
    }

    /// The number of the filter `text`, which is there already or is added.
    fn filter_for(&mut self, text: &[u8]) -> u32 {
        let pattern = subject::has_wildcard(text);
        let tag = fold(hash(text), 0);
        let table = if pattern { &mut self.patterns } else { &mut self.literals };
        let filters = &mut self.filters;
        if let Some(found) = table.find(tag, |id| filters[id].text.as_bytes() == text) {
            return found;
        }
        self.changes += 1;
        let id = filters.insert(Filter { text: Text::new(text), ..Filter::default() });
        table.insert(tag, id);
        if pattern {
            self.trie.insert(text, id);
        }
        id
    }

    fn drop_filter(&mut self, id: u32) {
        self.changes += 1;
        let filter = self.filters.remove(id);
        if self.filters.len() == 0 {
            self.cache = Cache::default();
        }
        let text = filter.text.as_bytes();
        let tag = fold(hash(text), 0);
        if !self.literals.remove(tag, id) {
            self.patterns.remove(tag, id);
            self.trie.remove(text);
        }
    }

    fn group_for(&mut self, name: &[u8]) -> u32 {
        let number = match self.group_numbers.get(name) {
            Some(number) => *number,
            None => {
                let group = GroupName { name: name.into(), members: 0 };
                let number = self.groups.insert(group);
                self.group_numbers.insert(name.into(), number);
                number
            }
        };
        self.groups[number].members += 1;
        number
    }

    fn leave_group(&mut self, number: u32) {
        self.groups[number].members -= 1;
        if self.groups[number].members == 0 {
            let group = self.groups.remove(number);
            self.group_numbers.remove(&group.name);
        }
    }

    /// Puts the numbers of the filters that take in `subject` into `found`.
    #[inline]
    pub fn matches(&mut self, subject: &[u8], found: &mut Vec<u32>) {
        found.clear();
        let tag = fold(hash(subject), 0);
        if self.filters.len() < CACHE_FROM || !self.cache.is_on() {
            return self.search(tag, subject, found);
        }
        if !self.cache.find(tag, self.changes, subject, found) {
            self.search(tag, subject, found);
            self.cache.insert(tag, self.changes, subject, found);
        }
    }

    #[inline]
    fn search(&mut self, tag: u32, subject: &[u8], found: &mut Vec<u32>) {
        let filters = &self.filters;
        found.extend(self.literals.find(tag, |id| filters[id].text.as_bytes() == subject));
        if !self.trie.is_empty() {
            self.trie.matches(subject, found);
        }
    }

    /// The filters to read and the subscriptions to change, at the same time.
    #[inline]
    pub fn parts(&mut self) -> (Filters<'_>, Subscriptions<'_>) {
        (Filters(&self.filters), Subscriptions(&mut self.subscriptions))
    }

    /// Heap bytes of its arrays and tables, estimated.
    pub fn memory_bytes(&self) -> u64 {
        let heap: usize = self.filters.iter().map(Filter::heap_bytes).sum();
        let names: usize = self.group_numbers.capacity() * (size_of::<(Box<[u8]>, u32)>() + 1);
        self.subscriptions.memory_bytes()
            + self.filters.memory_bytes()
            + self.literals.memory_bytes()
            + self.patterns.memory_bytes()
            + self.trie.memory_bytes()
            + self.by_sid.memory_bytes()
            + self.groups.memory_bytes()
            + self.cache.memory_bytes()
            + (heap + names) as u64
    }
}

/// Who subscribed to which filter.
#[derive(Copy, Clone, Debug)]
pub struct Filters<'a>(&'a Slab<Filter>);

impl<'a> Filters<'a> {
    /// The subscriptions of a filter that are in no group.
    #[inline]
    pub fn plain(self, filter: u32) -> &'a [u32] {
        self.0[filter].plain.as_slice()
    }

    /// The groups of a filter, as (group, members), in an order of their own.
    #[inline]
    pub fn groups(self, filter: u32) -> impl Iterator<Item = (u32, &'a [u32])> {
        let groups = self.0[filter].groups.iter().flat_map(|groups| groups.iter());
        groups.map(|group| (group.group, group.members.as_slice()))
    }
}

/// The subscriptions themselves.
#[derive(Debug)]
pub struct Subscriptions<'a>(&'a mut Slab<Subscription>);

impl Subscriptions<'_> {
    /// The subscription with this number.
    #[inline]
    pub fn get(&mut self, id: u32) -> &mut Subscription {
        &mut self.0[id]
    }
}
