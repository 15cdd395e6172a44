//! The subscriptions of one filter.

/// Subscriptions in no particular order; one needs no allocation.
#[derive(Debug, Default)]
pub enum Members {
    /// None.
    #[default]
    Empty,
    /// One, as in an inbox.
    One(u32),
    /// Any number.
    Many(Box<Many>),
}

/// More than one subscription. Apart, so that a filter stays small.
#[derive(Debug, Default)]
pub struct Many(Vec<u32>);

impl Members {
    /// Adds a subscription and returns its place.
    pub fn push(&mut self, id: u32) -> u32 {
        match self {
            Members::Empty => {
                *self = Members::One(id);
                0
            }
            Members::One(first) => {
                *self = Members::Many(Box::new(Many(vec![*first, id])));
                1
            }
            Members::Many(many) => {
                many.0.push(id);
                many.0.len() as u32 - 1
            }
        }
    }

    /// Takes the subscription at `place` out; returns the one that is there now.
    pub fn remove(&mut self, place: u32) -> Option<u32> {
        match self {
            Members::Empty | Members::One(_) => {
                *self = Members::Empty;
                None
            }
            Members::Many(many) => {
                many.0.swap_remove(place as usize);
                let moved = many.0.get(place as usize).copied();
                match many.0[..] {
                    [] => *self = Members::Empty,
                    [last] => *self = Members::One(last),
                    _ if many.0.len() * 4 < many.0.capacity() => {
                        let fit = many.0.len() * 2;
                        many.0.shrink_to(fit);
                    }
                    _ => {}
                }
                moved
            }
        }
    }

    /// All of them.
    #[inline]
    pub fn as_slice(&self) -> &[u32] {
        match self {
            Members::Empty => &[],
            Members::One(id) => std::slice::from_ref(id),
            Members::Many(many) => &many.0,
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        matches!(self, Members::Empty)
    }

    /// Heap bytes.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Members::Empty | Members::One(_) => 0,
            Members::Many(many) => size_of::<Many>() + many.0.capacity() * size_of::<u32>(),
        }
    }
}

/// The members of one queue group on one filter.
#[derive(Debug)]
pub struct GroupMembers {
    /// The group's number.
    pub group: u32,
    /// Its members with this filter.
    pub members: Members,
}
