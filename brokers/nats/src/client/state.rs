//! What a client keeps of its connection, and what only some clients need.

use std::collections::{BTreeMap, VecDeque};

use broker_contract::{SeedStream, Ticket};

use super::requests::Requests;
use super::upper::Event;
use crate::frame::{Message, Up};

/// How far the connection is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Never asked for.
    Idle,
    /// Asked for.
    Connecting,
    /// There, before the PONG that ends the greeting.
    Greeting,
    /// In use.
    Ready,
    /// Lost; to be asked for again at a moment.
    Waiting,
    /// Closed for good.
    Over,
}

/// Who receives what comes through a subscription.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// The application.
    Application(Ticket),
    /// The library above (see `upper.rs`).
    Upper,
}

impl Owner {
    pub fn ticket(self) -> Option<Ticket> {
        match self {
            Owner::Application(ticket) => Some(ticket),
            Owner::Upper => None,
        }
    }
}

/// A subscription.
#[derive(Debug)]
pub(super) struct Sub {
    pub owner: Owner,
    pub filter: Box<str>,
    pub queue: Option<Box<str>>,
    pub delivered: u64,
    /// Deliveries before the present connection: the server counts from its SUB.
    pub counted: u64,
    /// Deliveries after which it ends.
    pub max: Option<u64>,
    /// Whether the server has confirmed it once.
    pub confirmed: bool,
}

impl Sub {
    /// SUB, and UNSUB with the deliveries that are left, for a new connection.
    pub fn frames(&mut self, sid: u64) -> impl Iterator<Item = Up> + use<> {
        self.counted = self.delivered;
        let queue = self.queue.as_deref().map(str::as_bytes);
        let subscribe = Up::subscribe(self.filter.as_bytes(), queue, sid);
        let left = self.max.map(|max| max.saturating_sub(self.delivered));
        let limit = left.map(|left| Up::Unsubscribe { sid, max: Some(left) });
        std::iter::once(subscribe).chain(limit)
    }
}

/// What a PONG confirms.
#[derive(Debug)]
pub(crate) enum Flush {
    /// A subscription is in force.
    Subscribed { sid: u64, ticket: Ticket },
    /// It was refused with this text.
    Refused { ticket: Ticket, text: Box<str> },
    /// A subscription has ended, and nothing of it is on its way any more.
    Unsubscribed { sid: u64, ticket: Ticket },
    /// A limit is in force.
    Limited { ticket: Ticket },
    /// Something that the library above has marked.
    Upper(u64),
    /// Everything that was on its way has arrived; the client may go.
    Drained,
}

/// A message that waits for a connection.
#[derive(Debug)]
pub(super) enum Held {
    /// A publish.
    Publish { ticket: Ticket, message: Message },
    /// A request.
    Request { id: u64, message: Message },
}

impl Held {
    pub fn message(&self) -> &Message {
        match self {
            Held::Publish { message, .. } | Held::Request { message, .. } => message,
        }
    }
}

/// What a client needs that does not only publish over a good connection.
#[derive(Debug)]
pub(super) struct More {
    pub subs: BTreeMap<u64, Sub>,
    pub sids: BTreeMap<Ticket, u64>,
    pub last_sid: u64,
    /// What is confirmed by which PING, counted over the connection.
    pub flushes: VecDeque<(u32, Flush)>,
    pub requests: Requests,
    pub held: VecDeque<Held>,
    pub held_bytes: u64,
    /// What the library above has not taken yet; `None` where there is none.
    pub upper: Option<VecDeque<Event>>,
}

impl More {
    pub fn new(seed: SeedStream, client: u32) -> More {
        More {
            subs: BTreeMap::new(),
            sids: BTreeMap::new(),
            last_sid: 0,
            flushes: VecDeque::new(),
            requests: Requests::new(seed, client),
            held: VecDeque::new(),
            held_bytes: 0,
            upper: None,
        }
    }

    pub fn next_sid(&mut self) -> u64 {
        self.last_sid += 1;
        self.last_sid
    }

    /// Forgets a subscription.
    pub fn end(&mut self, sid: u64) -> Option<Sub> {
        let sub = self.subs.remove(&sid)?;
        if let Owner::Application(ticket) = sub.owner {
            self.sids.remove(&ticket);
        }
        Some(sub)
    }

    pub fn is_hosting(&self) -> bool {
        self.upper.is_some()
    }

    /// Tells the library above, if there is one.
    pub fn tell(&mut self, event: Event) {
        if let Some(upper) = &mut self.upper {
            upper.push_back(event);
        }
    }

    pub fn take_held(&mut self) -> VecDeque<Held> {
        self.held_bytes = 0;
        std::mem::take(&mut self.held)
    }
}
