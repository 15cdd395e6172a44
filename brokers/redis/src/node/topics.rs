//! Channels, patterns and sharded channels, and who is subscribed to them.
//!
//! A subscription is two entries that point at each other: one in the topic's
//! list of members, in which messages are delivered, and one in the connection's
//! list of links. Removal leaves a hole in both lists, so that order survives and
//! nothing has to move; a list is closed up when half of it is holes. To find out
//! whether a subscription exists, the shorter list is searched: with `S`
//! subscriptions in all, it has at most the square root of `S` live entries.

use rustc_hash::FxHashMap;

use super::conn::{Conn, Conns};
use super::patterns::PatternIndex;
use crate::frame::{Kind, Text};
use crate::glob;

/// Marks a hole.
const NOBODY: u32 = u32::MAX;
/// Lists shorter than this are not worth closing up.
const SHORT: usize = 8;

/// A connection's side of a subscription.
#[derive(Copy, Clone, Debug)]
pub(super) struct Link {
    /// The topic; [`NOBODY`] for a hole.
    topic: u32,
    /// The place among the topic's members.
    at: u32,
}

/// A topic's side of a subscription.
#[derive(Copy, Clone, Debug)]
pub(super) struct Member {
    /// The connection; [`NOBODY`] for a hole.
    conn: u32,
    /// The place among the connection's links.
    at: u32,
}

impl Member {
    /// The connection, unless this is a hole.
    #[inline]
    pub fn conn(self) -> Option<u32> {
        (self.conn != NOBODY).then_some(self.conn)
    }
}

/// A channel, pattern or sharded channel with at least one subscriber.
#[derive(Debug)]
pub(super) struct Topic {
    /// Its name.
    pub name: Text,
    /// Its namespace.
    pub kind: Kind,
    /// Members that are no holes; 0 for a slot that is free.
    pub live: u32,
    /// Later topics have higher numbers.
    pub order: u64,
    /// Subscribers, oldest first, with holes.
    pub members: Vec<Member>,
}

/// All topics.
#[derive(Debug, Default)]
pub(super) struct Topics {
    slots: Vec<Topic>,
    free: Vec<u32>,
    next_order: u64,
    channels: FxHashMap<Text, u32>,
    patterns: FxHashMap<Text, u32>,
    shards: FxHashMap<Text, u32>,
    index: PatternIndex,
}

impl Topics {
    fn names(&self, kind: Kind) -> &FxHashMap<Text, u32> {
        match kind {
            Kind::Channel => &self.channels,
            Kind::Pattern => &self.patterns,
            Kind::Shard => &self.shards,
        }
    }

    fn names_mut(&mut self, kind: Kind) -> &mut FxHashMap<Text, u32> {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::Shard => &mut self.shards,
        }
    }

    /// The number of the topic called `name`, if anybody is subscribed to it.
    #[inline]
    pub fn find(&self, kind: Kind, name: &[u8]) -> Option<u32> {
        self.names(kind).get(name).copied()
    }

    /// A topic by its number.
    #[inline]
    pub fn get(&self, topic: u32) -> &Topic {
        &self.slots[topic as usize]
    }

    /// Distinct topics of one kind.
    pub fn count(&self, kind: Kind) -> usize {
        self.names(kind).len()
    }

    /// Whether anybody is subscribed to a pattern.
    #[inline]
    pub fn has_patterns(&self) -> bool {
        !self.patterns.is_empty()
    }

    /// Subscribers of one topic.
    pub fn subscribers(&self, kind: Kind, name: &[u8]) -> u32 {
        self.find(kind, name).map_or(0, |topic| self.get(topic).live)
    }

    /// Topics of one kind, in an order that repeats.
    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Topic> {
        self.slots.iter().filter(move |topic| topic.kind == kind && topic.live > 0)
    }

    /// Fills `matched` with the patterns that match `channel`, oldest first.
    #[inline]
    pub fn matching(&self, channel: &[u8], matched: &mut Vec<(u64, u32)>) {
        matched.clear();
        self.index.candidates(channel, |number| {
            let topic = self.get(number);
            if glob::matches(&topic.name, channel) {
                matched.push((topic.order, number));
            }
        });
        matched.sort_unstable();
    }

    /// Subscribes an open connection; `false` if it was subscribed already.
    pub fn add(&mut self, conns: &mut Conns, conn: u32, kind: Kind, name: &Text) -> bool {
        let number = match self.find(kind, name) {
            Some(number) if self.locate(conns, conn, number).is_some() => return false,
            Some(number) => number,
            None => self.create(kind, name),
        };
        let topic = &mut self.slots[number as usize];
        let state = conns.get_mut(conn);
        let (in_links, in_members) = (state.links.len() as u32, topic.members.len() as u32);
        push(&mut topic.members, Member { conn, at: in_links });
        push(&mut state.links, Link { topic: number, at: in_members });
        topic.live += 1;
        *state.count_mut(kind) += 1;
        true
    }

    /// Ends a subscription; `false` if there was none.
    pub fn remove(&mut self, conns: &mut Conns, conn: u32, kind: Kind, name: &[u8]) -> bool {
        let Some(number) = self.find(kind, name) else { return false };
        let Some(link_at) = self.locate(conns, conn, number) else { return false };
        self.unlink(conns, conn, link_at);
        true
    }

    /// Ends every subscription of a connection.
    pub fn remove_all(&mut self, conns: &mut Conns, conn: u32) {
        let state = conns.get_mut(conn);
        let links = std::mem::take(&mut state.links);
        (state.channels, state.patterns, state.shards) = (0, 0, 0);
        for link in links.into_iter().filter(|link| link.topic != NOBODY) {
            self.leave(conns, link);
        }
    }

    /// The names that a connection is subscribed to in one namespace, oldest first.
    pub fn names_of(&self, conns: &Conns, conn: u32, kind: Kind) -> Vec<Text> {
        let links = conns.get(conn).links.iter().filter(|link| link.topic != NOBODY);
        let topics = links.map(|link| self.get(link.topic));
        topics.filter(|topic| topic.kind == kind).map(|topic| topic.name.clone()).collect()
    }

    /// Where among the links of `conn` topic `number` is.
    fn locate(&self, conns: &Conns, conn: u32, number: u32) -> Option<u32> {
        let topic = self.get(number);
        let links = &conns.get(conn).links;
        if links.len() <= topic.members.len() {
            links.iter().position(|link| link.topic == number).map(|at| at as u32)
        } else {
            topic.members.iter().find(|member| member.conn == conn).map(|member| member.at)
        }
    }

    fn create(&mut self, kind: Kind, name: &Text) -> u32 {
        self.next_order += 1;
        let topic = Topic {
            name: name.clone(),
            kind,
            live: 0,
            order: self.next_order,
            members: Vec::new(),
        };
        let number = match self.free.pop() {
            Some(number) => {
                self.slots[number as usize] = topic;
                number
            }
            None => {
                self.slots.push(topic);
                self.slots.len() as u32 - 1
            }
        };
        self.names_mut(kind).insert(name.clone(), number);
        if kind == Kind::Pattern {
            self.index.insert(name, number);
        }
        number
    }

    fn destroy(&mut self, number: u32) {
        let slot = &mut self.slots[number as usize];
        let (kind, name) = (slot.kind, slot.name.clone());
        slot.members = Vec::new();
        self.names_mut(kind).remove(&name);
        if kind == Kind::Pattern {
            self.index.remove(&name, number);
        }
        self.free.push(number);
    }

    /// Ends the subscription at `link_at` of `conn`.
    fn unlink(&mut self, conns: &mut Conns, conn: u32, link_at: u32) {
        let state = conns.get_mut(conn);
        let link = state.links[link_at as usize];
        state.links[link_at as usize].topic = NOBODY;
        *state.count_mut(self.slots[link.topic as usize].kind) -= 1;
        self.close_up_links(state);
        self.leave(conns, link);
    }

    /// Takes the topic's half of a subscription out.
    fn leave(&mut self, conns: &mut Conns, link: Link) {
        let topic = &mut self.slots[link.topic as usize];
        topic.members[link.at as usize].conn = NOBODY;
        topic.live -= 1;
        if topic.live == 0 {
            self.destroy(link.topic);
            return;
        }
        while topic.members.last().is_some_and(|member| member.conn == NOBODY) {
            topic.members.pop();
        }
        if topic.members.len() > SHORT && topic.live as usize <= topic.members.len() / 2 {
            topic.members.retain(|member| member.conn != NOBODY);
            topic.members.shrink_to(topic.members.len() * 2);
            for (at, member) in topic.members.iter().enumerate() {
                conns.get_mut(member.conn).links[member.at as usize].at = at as u32;
            }
        }
    }

    fn close_up_links(&mut self, state: &mut Conn) {
        while state.links.last().is_some_and(|link| link.topic == NOBODY) {
            state.links.pop();
        }
        if state.links.is_empty() {
            state.links = Vec::new();
        }
        if state.links.len() > SHORT && state.subscriptions() as usize <= state.links.len() / 2 {
            state.links.retain(|link| link.topic != NOBODY);
            state.links.shrink_to(state.links.len() * 2);
            for (at, link) in state.links.iter().enumerate() {
                self.slots[link.topic as usize].members[link.at as usize].at = at as u32;
            }
        }
    }

    pub fn memory_bytes(&self) -> u64 {
        let lists: usize = self.slots.iter().map(|topic| topic.members.capacity()).sum();
        let names: usize = self.slots.iter().map(|topic| topic.name.len() + 16).sum();
        let tables: usize = [Kind::Channel, Kind::Pattern, Kind::Shard]
            .iter()
            .map(|kind| self.names(*kind).capacity() * (size_of::<(Text, u32)>() + 1))
            .sum();
        let slots = self.slots.capacity() * size_of::<Topic>() + self.free.capacity() * 4;
        (lists * size_of::<Member>() + names + tables + slots) as u64 + self.index.memory_bytes()
    }
}

/// Pushes onto a list that often stays at one entry.
fn push<T>(list: &mut Vec<T>, entry: T) {
    if list.capacity() == 0 {
        list.reserve_exact(1);
    }
    list.push(entry);
}
