//! The consuming half of the ledger.

use broker_contract::Identity;

use super::floors::Floors;
use super::numbers::Numbers;

/// What a delivery was.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The scope's first copy of this message.
    First(Identity),
    /// A further copy, and nothing in the protocol said so.
    Duplicate(Identity),
    /// A further copy that the protocol marked as such.
    Redelivered(Identity),
    /// Not a message, or not as it was sent.
    Corrupt,
}

/// A delivery that is a message, as histograms want it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// Which.
    pub identity: Identity,
    /// Whether it was its scope's first copy.
    pub first: bool,
}

impl Seen {
    /// The message, unless it was corrupt.
    pub fn delivered(self) -> Option<Delivered> {
        match self {
            Seen::First(identity) => Some(Delivered { identity, first: true }),
            Seen::Duplicate(identity) | Seen::Redelivered(identity) => {
                Some(Delivered { identity, first: false })
            }
            Seen::Corrupt => None,
        }
    }
}

/// What consumers saw. Each consuming thread writes its own; they are merged
/// when the run is over.
#[derive(Clone, Debug, Default)]
pub struct SeenLog {
    scopes: Vec<Scope>,
}

/// What one scope saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    pub numbers: Numbers,
    /// Those whose first copy came marked as a redelivery: a merge needs them to
    /// know whether the protocol said that the copy was a further one.
    marked: Numbers,
    floors: Floors,
    pub duplicates: u64,
    pub redelivered: u64,
    pub reordered: u64,
    pub corrupt: u64,
}

impl SeenLog {
    /// An empty log over `scopes` scopes.
    pub fn new(scopes: u32) -> Self {
        SeenLog { scopes: vec![Scope::default(); scopes as usize] }
    }

    /// How many scopes there are.
    pub fn scopes(&self) -> u32 {
        self.scopes.len() as u32
    }

    /// A payload reached a member of `scope`; `redelivered` is what the protocol
    /// says of it. Every byte is checked before anything is believed.
    ///
    /// # Panics
    /// If there is no such scope.
    #[inline]
    pub fn deliver(&mut self, scope: u32, payload: &[u8], redelivered: bool) -> Seen {
        let scope = &mut self.scopes[scope as usize];
        match Identity::verify(payload) {
            Ok(identity) => scope.record(identity, redelivered),
            Err(_) => {
                scope.corrupt += 1;
                Seen::Corrupt
            }
        }
    }

    /// As [`SeenLog::deliver`], of a message whose payload was checked elsewhere.
    ///
    /// # Panics
    /// If there is no such scope.
    #[inline]
    pub fn record(&mut self, scope: u32, identity: Identity, redelivered: bool) -> Seen {
        self.scopes[scope as usize].record(identity, redelivered)
    }

    /// Takes over what another thread saw. Copies of one message in both logs
    /// are further copies, redelivered if either was marked. The order between
    /// the two cannot be known, so a merge finds nothing reordered.
    ///
    /// # Panics
    /// If the two are not over the same scopes.
    pub fn merge(&mut self, other: SeenLog) {
        assert_eq!(self.scopes(), other.scopes(), "the logs of one run have the same scopes");
        for (ours, theirs) in self.scopes.iter_mut().zip(other.scopes) {
            ours.merge(theirs);
        }
    }

    /// Whether `scope` saw message `number`.
    pub fn seen(&self, scope: u32, number: u32) -> bool {
        self.scopes[scope as usize].numbers.contains(number)
    }

    /// Different messages that `scope` saw.
    pub fn firsts(&self, scope: u32) -> u64 {
        self.scopes[scope as usize].numbers.len()
    }

    /// Different messages that scopes saw, summed over all scopes.
    pub fn firsts_in_all(&self) -> u64 {
        self.scopes.iter().map(|scope| scope.numbers.len()).sum()
    }

    /// Bytes on the heap.
    pub fn heap_bytes(&self) -> usize {
        let scopes: usize = self
            .scopes
            .iter()
            .map(|scope| {
                scope.numbers.heap_bytes() + scope.marked.heap_bytes() + scope.floors.heap_bytes()
            })
            .sum();
        self.scopes.capacity() * size_of::<Scope>() + scopes
    }

    pub(super) fn scope(&self, scope: u32) -> &Scope {
        &self.scopes[scope as usize]
    }

    /// One more than the last page that may hold something seen.
    pub(super) fn pages(&self) -> usize {
        self.scopes.iter().map(|scope| scope.numbers.pages()).max().unwrap_or(0)
    }
}

impl Scope {
    #[inline]
    fn record(&mut self, identity: Identity, redelivered: bool) -> Seen {
        match (self.numbers.insert(identity.number), redelivered) {
            (true, false) => {
                let in_order = self.floors.pass(identity.key, identity.sequence);
                self.reordered += u64::from(!in_order);
                Seen::First(identity)
            }
            (true, true) => {
                // The earlier copy went missing. A redelivery is late by its
                // nature, so it says nothing about order.
                self.marked.insert(identity.number);
                Seen::First(identity)
            }
            (false, false) => {
                self.duplicates += 1;
                Seen::Duplicate(identity)
            }
            (false, true) => {
                self.redelivered += 1;
                Seen::Redelivered(identity)
            }
        }
    }

    fn merge(&mut self, other: Scope) {
        self.duplicates += other.duplicates;
        self.redelivered += other.redelivered;
        self.reordered += other.reordered;
        self.corrupt += other.corrupt;
        self.floors.merge(other.floors);

        // Of two copies one is the first; it is the unmarked one, if there is one.
        let (mut marked, mut further_and_marked) = (Numbers::default(), 0);
        for number in self.marked.iter() {
            let in_both = other.numbers.contains(number);
            further_and_marked += u64::from(in_both);
            if !in_both || other.marked.contains(number) {
                marked.insert(number);
            }
        }
        for number in other.marked.iter() {
            let in_both = self.numbers.contains(number);
            further_and_marked += u64::from(in_both && !self.marked.contains(number));
            if !in_both {
                marked.insert(number);
            }
        }
        self.marked = marked;
        let further = self.numbers.merge(other.numbers);
        self.redelivered += further_and_marked;
        self.duplicates += further - further_and_marked;
    }
}
