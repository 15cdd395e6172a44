//! Requests under way.

use std::collections::{BTreeMap, BTreeSet};

use broker_contract::{ClientStart, Ticket, Time};

use crate::frame::{Text, Up, text};

/// How far the inbox is.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum InboxState {
    /// Not wanted yet.
    #[default]
    Unused,
    /// Wanted, and not in force on the present connection.
    Pending,
    /// In force.
    Ready,
}

/// A request that has no answer yet.
#[derive(Debug)]
struct Request {
    ticket: Ticket,
    deadline: Time,
    /// Whether it has left this client.
    sent: bool,
}

/// All requests of a client, and the channel on which their answers come.
#[derive(Debug)]
pub(super) struct Requests {
    /// The channel for answers, this client's alone.
    pub inbox: Text,
    pub inbox_state: InboxState,
    open: BTreeMap<u64, Request>,
    due: BTreeSet<(Time, u64)>,
    /// Requests that wait for the inbox.
    waiting: Vec<(u64, Up)>,
    last_id: u64,
}

impl Requests {
    /// The inbox is named by the client's number and by its seed, so that clients
    /// of several processes do not share one.
    pub fn new(start: ClientStart) -> Self {
        let mark = start.seed.fork("inbox").bits();
        Requests {
            inbox: text(format!("_inbox.{}.{mark:016x}", start.id)),
            inbox_state: InboxState::Unused,
            open: BTreeMap::new(),
            due: BTreeSet::new(),
            waiting: Vec::new(),
            last_id: 0,
        }
    }

    /// Begins a request.
    pub fn open(&mut self, ticket: Ticket, deadline: Time) -> u64 {
        self.last_id += 1;
        self.open.insert(self.last_id, Request { ticket, deadline, sent: false });
        self.due.insert((deadline, self.last_id));
        self.last_id
    }

    /// Keeps the command of a request until the inbox is in force.
    pub fn wait(&mut self, id: u64, up: Up) {
        self.waiting.push((id, up));
    }

    /// Takes the commands that waited, of requests that are still open.
    pub fn take_waiting(&mut self) -> Vec<(u64, Up)> {
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.retain(|(id, _)| self.open.contains_key(id));
        waiting
    }

    /// A request has left this client.
    pub fn sent(&mut self, id: u64) {
        if let Some(request) = self.open.get_mut(&id) {
            request.sent = true;
        }
    }

    /// Ends a request; `None` when it has ended before.
    pub fn close(&mut self, id: u64) -> Option<Ticket> {
        let request = self.open.remove(&id)?;
        self.due.remove(&(request.deadline, id));
        Some(request.ticket)
    }

    /// Takes a request whose time is over.
    pub fn overdue(&mut self, now: Time) -> Option<Ticket> {
        let (deadline, id) = *self.due.first()?;
        if deadline > now {
            return None;
        }
        self.due.pop_first();
        self.open.remove(&id).map(|request| request.ticket)
    }

    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub fn deadline(&self) -> Option<Time> {
        self.due.first().map(|(deadline, _)| *deadline)
    }

    /// Takes all of them, and whether each has left this client.
    pub fn drain(&mut self) -> Vec<(Ticket, bool)> {
        self.due.clear();
        self.waiting.clear();
        let open = std::mem::take(&mut self.open);
        open.into_values().map(|request| (request.ticket, request.sent)).collect()
    }
}
