//! One topic in one cache line: its name, if it is short, and its members, if
//! there is one.

use crate::frame::{Kind, Text, text};

/// Marks a hole.
pub(super) const NOBODY: u32 = u32::MAX;
/// Names up to this length lie in the topic itself.
const SHORT_NAME: usize = 30;

/// A connection's side of a subscription.
#[derive(Copy, Clone, Debug)]
pub(super) struct Link {
    /// The topic; [`NOBODY`] for a hole.
    pub topic: u32,
    /// The place among the topic's members.
    pub at: u32,
}

/// A topic's side of a subscription.
#[derive(Copy, Clone, Debug)]
pub(super) struct Member {
    /// The connection; [`NOBODY`] for a hole.
    pub conn: u32,
    /// The place among the connection's links.
    pub at: u32,
}

impl Member {
    /// The connection, unless this is a hole.
    #[inline]
    pub fn conn(self) -> Option<u32> {
        (self.conn != NOBODY).then_some(self.conn)
    }
}

/// A channel, pattern or sharded channel with at least one subscriber.
///
/// Aligned, so that a publish to one of many channels with a subscriber each
/// misses the cache once here and not twice.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Topic {
    /// Its name.
    pub name: Name,
    /// Subscribers, oldest first, with holes.
    pub members: Members,
    /// Members that are no holes; 0 for a slot that is free.
    pub live: u32,
    /// Its namespace.
    pub kind: Kind,
}

/// What a topic is called.
#[derive(Debug)]
pub(super) enum Name {
    /// A short channel: its length and its bytes.
    Short(u8, [u8; SHORT_NAME]),
    /// A long one, or a pattern, which every push through it shares.
    Shared(Text),
}

impl Name {
    pub const EMPTY: Name = Name::Short(0, [0; SHORT_NAME]);

    pub fn new(kind: Kind, name: &Text) -> Name {
        if kind == Kind::Pattern || name.len() > SHORT_NAME {
            return Name::Shared(name.clone());
        }
        let mut bytes = [0; SHORT_NAME];
        bytes[..name.len()].copy_from_slice(name);
        Name::Short(name.len() as u8, bytes)
    }

    #[inline]
    pub fn bytes(&self) -> &[u8] {
        match self {
            Name::Short(len, bytes) => &bytes[..usize::from(*len)],
            Name::Shared(text) => text,
        }
    }

    /// The name for a frame.
    pub fn text(&self) -> Text {
        match self {
            Name::Short(..) => text(self.bytes()),
            Name::Shared(text) => text.clone(),
        }
    }

    /// Bytes outside the topic.
    pub fn memory_bytes(&self) -> usize {
        match self {
            Name::Short(..) => 0,
            Name::Shared(text) => text.len() + 16,
        }
    }
}

/// The subscribers of a topic. Most topics have one.
#[derive(Debug)]
pub(super) enum Members {
    One(Member),
    List(Vec<Member>),
}

impl Default for Members {
    fn default() -> Self {
        Members::List(Vec::new())
    }
}

impl Members {
    #[inline]
    pub fn as_slice(&self) -> &[Member] {
        match self {
            Members::One(member) => std::slice::from_ref(member),
            Members::List(list) => list,
        }
    }

    pub fn as_mut_slice(&mut self) -> &mut [Member] {
        match self {
            Members::One(member) => std::slice::from_mut(member),
            Members::List(list) => list,
        }
    }

    pub fn len(&self) -> usize {
        self.as_slice().len()
    }

    pub fn push(&mut self, member: Member) {
        match self {
            Members::One(first) => *self = Members::List(vec![*first, member]),
            Members::List(list) if list.capacity() == 0 => *self = Members::One(member),
            Members::List(list) => list.push(member),
        }
    }

    /// Takes holes off the end.
    pub fn trim(&mut self) {
        if let Members::List(list) = self {
            while list.last().is_some_and(|member| member.conn == NOBODY) {
                list.pop();
            }
        }
    }

    /// Takes all holes out; everybody behind one moves.
    pub fn close_up(&mut self) {
        if let Members::List(list) = self {
            list.retain(|member| member.conn != NOBODY);
            list.shrink_to(list.len() * 2);
        }
    }

    /// Bytes outside the topic.
    pub fn memory_bytes(&self) -> usize {
        match self {
            Members::One(_) => 0,
            Members::List(list) => list.capacity() * size_of::<Member>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_one_cache_line() {
        assert_eq!((size_of::<Topic>(), align_of::<Topic>()), (64, 64));
    }

    #[test]
    fn names_of_any_length_come_back() {
        for kind in [Kind::Channel, Kind::Pattern, Kind::Shard] {
            for len in [0, 1, SHORT_NAME, SHORT_NAME + 1, 1_000] {
                let given = text(vec![b'x'; len]);
                let name = Name::new(kind, &given);
                assert_eq!((name.bytes(), name.text()), (&given[..], given.clone()));
            }
        }
    }
}
