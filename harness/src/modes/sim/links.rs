//! The connections of a client by the client's own names for them.

use broker_contract::LinkId;

/// How many of them need no allocation.
const NEAR: usize = 2;

/// Connections in the order in which they were made.
///
/// Nearly every client has one or two, which lie in its place itself: in a list
/// of their own they were a cache miss for each frame sent, 5 % of all time with
/// 50,000 clients.
#[derive(Debug)]
pub struct Links {
    near: [(LinkId, u32); NEAR],
    near_len: u8,
    /// Those after the near ones; empty unless all near places are taken.
    far: Vec<(LinkId, u32)>,
}

impl Links {
    /// The connection that the client calls `link`.
    #[inline]
    pub fn get(&self, link: LinkId) -> Option<u32> {
        self.iter().find(|(name, _)| *name == link).map(|(_, conn)| conn)
    }

    /// All connections, oldest first.
    #[inline]
    pub fn conns(&self) -> impl Iterator<Item = u32> + '_ {
        self.iter().map(|(_, conn)| conn)
    }

    /// From now on `link` is the connection `conn`.
    pub fn set(&mut self, link: LinkId, conn: u32) {
        self.retain(|(name, _)| name != link);
        self.push((link, conn));
    }

    /// The connection `conn` is no more.
    pub fn forget(&mut self, conn: u32) {
        self.retain(|(_, other)| other != conn);
    }

    /// All connections are no more.
    pub fn clear(&mut self) {
        *self = Links::default();
    }

    #[inline]
    fn iter(&self) -> impl Iterator<Item = (LinkId, u32)> + '_ {
        self.near[..usize::from(self.near_len)].iter().chain(&self.far).copied()
    }

    fn push(&mut self, entry: (LinkId, u32)) {
        match self.near.get_mut(usize::from(self.near_len)) {
            Some(place) => {
                *place = entry;
                self.near_len += 1;
            }
            None => self.far.push(entry),
        }
    }

    fn retain(&mut self, keep: impl Fn((LinkId, u32)) -> bool) {
        let before = std::mem::take(self);
        for entry in before.iter().filter(|entry| keep(*entry)) {
            self.push(entry);
        }
    }
}

impl Default for Links {
    fn default() -> Self {
        Links { near: [(LinkId(0), 0); NEAR], near_len: 0, far: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_keep_their_order() {
        let mut links = Links::default();
        for conn in 0..5 {
            links.set(LinkId(conn as u16), conn);
        }
        links.forget(1);
        links.set(LinkId(0), 9);
        assert!(links.conns().eq([2, 3, 4, 9]));
        assert_eq!((links.get(LinkId(0)), links.get(LinkId(1))), (Some(9), None));
        links.clear();
        assert_eq!(links.conns().count(), 0);
    }
}
