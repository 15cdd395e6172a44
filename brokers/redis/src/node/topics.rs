//! Channels, patterns and sharded channels, and who is subscribed to them.
//!
//! A subscription is two entries that point at each other: one in the topic's
//! list of members, in which messages are delivered, and one in the connection's
//! list of links. Removal leaves a hole in both lists, so that order survives and
//! nothing has to move; a list is closed up when half of it is holes. To find out
//! whether a subscription exists, the shorter list is searched: with `S`
//! subscriptions in all, it has at most the square root of `S` live entries.

use super::conn::{Conn, Conns};
use super::names::{self, NameTable};
use super::patterns::PatternIndex;
use super::topic::{Link, Member, Members, NOBODY, Name, Topic};
use crate::frame::{Kind, Text};
use crate::glob;

/// Lists shorter than this are not worth closing up.
const SHORT: usize = 8;

/// All topics.
#[derive(Debug, Default)]
pub(super) struct Topics {
    slots: Vec<Topic>,
    free: Vec<u32>,
    /// The next pattern comes after all others.
    next_order: u64,
    channels: NameTable,
    patterns: NameTable,
    shards: NameTable,
    index: PatternIndex,
}

impl Topics {
    #[inline]
    fn names(&self, kind: Kind) -> &NameTable {
        match kind {
            Kind::Channel => &self.channels,
            Kind::Pattern => &self.patterns,
            Kind::Shard => &self.shards,
        }
    }

    fn names_mut(&mut self, kind: Kind) -> &mut NameTable {
        match kind {
            Kind::Channel => &mut self.channels,
            Kind::Pattern => &mut self.patterns,
            Kind::Shard => &mut self.shards,
        }
    }

    /// The number of the topic called `name`, if anybody is subscribed to it.
    #[inline]
    pub fn find(&self, kind: Kind, name: &[u8]) -> Option<u32> {
        let is = |topic: u32| self.get(topic).name.bytes() == name;
        self.names(kind).find(names::hash(name), is)
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
        self.patterns.len() > 0
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
        self.index.candidates(channel, |order, number| {
            if glob::matches(self.get(number).name.bytes(), channel) {
                matched.push((order, number));
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
        topic.members.push(Member { conn, at: in_links });
        if state.links.capacity() == 0 {
            // Many connections stay at one subscription.
            state.links.reserve_exact(1);
        }
        state.links.push(Link { topic: number, at: in_members });
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
        topics.filter(|topic| topic.kind == kind).map(|topic| topic.name.text()).collect()
    }

    /// Where among the links of `conn` topic `number` is.
    fn locate(&self, conns: &Conns, conn: u32, number: u32) -> Option<u32> {
        let topic = self.get(number);
        let links = &conns.get(conn).links;
        if links.len() <= topic.members.len() {
            links.iter().position(|link| link.topic == number).map(|at| at as u32)
        } else {
            let members = topic.members.as_slice();
            members.iter().find(|member| member.conn == conn).map(|member| member.at)
        }
    }

    fn create(&mut self, kind: Kind, name: &Text) -> u32 {
        let topic =
            Topic { name: Name::new(kind, name), members: Members::default(), live: 0, kind };
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
        self.names_mut(kind).insert(names::hash(name), number);
        if kind == Kind::Pattern {
            self.next_order += 1;
            self.index.insert(name, self.next_order, number);
        }
        number
    }

    fn destroy(&mut self, number: u32) {
        let slot = &mut self.slots[number as usize];
        let kind = slot.kind;
        let free = Topic { name: Name::EMPTY, members: Members::default(), live: 0, kind };
        let name = std::mem::replace(slot, free).name;
        self.names_mut(kind).remove(names::hash(name.bytes()), number);
        if kind == Kind::Pattern {
            self.index.remove(name.bytes(), number);
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
        topic.members.as_mut_slice()[link.at as usize].conn = NOBODY;
        topic.live -= 1;
        if topic.live == 0 {
            self.destroy(link.topic);
            return;
        }
        topic.members.trim();
        if topic.members.len() > SHORT && topic.live as usize <= topic.members.len() / 2 {
            topic.members.close_up();
            for (at, member) in topic.members.as_slice().iter().enumerate() {
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
                let members = &mut self.slots[link.topic as usize].members;
                members.as_mut_slice()[link.at as usize].at = at as u32;
            }
        }
    }

    pub fn memory_bytes(&self) -> u64 {
        let outside: usize = self
            .slots
            .iter()
            .map(|slot| slot.name.memory_bytes() + slot.members.memory_bytes())
            .sum();
        let tables: u64 = [Kind::Channel, Kind::Pattern, Kind::Shard]
            .iter()
            .map(|kind| self.names(*kind).memory_bytes())
            .sum();
        let slots = self.slots.capacity() * size_of::<Topic>() + self.free.capacity() * 4;
        tables + (outside + slots) as u64 + self.index.memory_bytes()
    }
}
