//! Publishes on their way to an acknowledgement.

use std::collections::VecDeque;

use broker_contract::{Ticket, Time};

use crate::frame::Message;

/// How far a publish is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Not sent, for want of a connection or of room in the window.
    Unsent,
    /// Sent; its deadline is that of the acknowledgement.
    Flying,
    /// No stream took it; its deadline is the next attempt's.
    Later,
    /// The connection took its acknowledgement; it is sent again on the next.
    Again,
    /// Ended; the place stays until those before it have ended.
    Done,
}

/// A publish without an acknowledgement.
#[derive(Debug)]
pub(super) struct Pending {
    pub id: u64,
    pub ticket: Ticket,
    pub message: Message,
    pub phase: Phase,
    /// Whether the server knows it again when it comes twice.
    pub once: bool,
    /// How often it was sent.
    pub attempts: u8,
    pub deadline: Time,
}

/// The publishes of a client without an acknowledgement, oldest first.
///
/// An idle publisher holds a few places and no more.
#[derive(Debug)]
pub(super) struct Publishes {
    list: VecDeque<Pending>,
    last: u64,
    /// Those that were sent and have not ended.
    pub flying: usize,
    /// Those that were never sent; they are the youngest.
    pub unsent: usize,
    pub unsent_bytes: u64,
    /// No deadline is earlier.
    due: Time,
}

impl Default for Publishes {
    fn default() -> Self {
        Publishes {
            list: VecDeque::new(),
            last: 0,
            flying: 0,
            unsent: 0,
            unsent_bytes: 0,
            due: Time::MAX,
        }
    }
}

impl Publishes {
    /// The number that the next publish has.
    pub fn next(&self) -> u64 {
        self.last + 1
    }

    /// Takes a publish in whose message carries [`Publishes::next`].
    pub fn push(&mut self, ticket: Ticket, message: Message, once: bool) {
        self.last += 1;
        self.unsent += 1;
        self.unsent_bytes += message.publish_len() as u64;
        self.list.push_back(Pending {
            id: self.last,
            ticket,
            message,
            phase: Phase::Unsent,
            once,
            attempts: 0,
            deadline: Time::MAX,
        });
    }

    /// The oldest that was never sent.
    pub fn first_unsent(&mut self) -> Option<&mut Pending> {
        let at = self.list.len().checked_sub(self.unsent)?;
        self.list.get_mut(at)
    }

    /// Notes that the oldest unsent one leaves; its acknowledgement is due then.
    pub fn leaves(&mut self, due: Time) -> Option<Message> {
        let at = self.list.len().checked_sub(self.unsent)?;
        let pending = self.list.get_mut(at)?;
        self.unsent -= 1;
        self.unsent_bytes -= pending.message.publish_len() as u64;
        self.flying += 1;
        self.due = self.due.min(due);
        pending.phase = Phase::Flying;
        pending.attempts = 1;
        pending.deadline = due;
        Some(pending.message.clone())
    }

    /// The one with this number, unless it has ended.
    pub fn get(&mut self, id: u64) -> Option<&mut Pending> {
        let at = self.list.binary_search_by_key(&id, |pending| pending.id).ok()?;
        self.list.get_mut(at).filter(|pending| pending.phase != Phase::Done)
    }

    /// Sets what is next for one that was sent.
    pub fn set(&mut self, id: u64, phase: Phase, deadline: Time) {
        if let Some(pending) = self.get(id) {
            pending.phase = phase;
            pending.deadline = deadline;
            self.due = self.due.min(deadline);
        }
    }

    /// Ends one that was sent; `None` when it has ended before.
    pub fn end(&mut self, id: u64) -> Option<Ticket> {
        let pending = self.get(id).filter(|pending| pending.phase != Phase::Unsent)?;
        pending.phase = Phase::Done;
        let ticket = pending.ticket;
        self.flying -= 1;
        while self.list.front().is_some_and(|pending| pending.phase == Phase::Done) {
            self.list.pop_front();
        }
        if self.list.is_empty() && self.list.capacity() > 64 {
            self.list.shrink_to(4);
        }
        Some(ticket)
    }

    /// The numbers of those that were sent and have not ended, oldest first.
    pub fn sent(&self) -> Vec<u64> {
        let sent = |pending: &&Pending| !matches!(pending.phase, Phase::Done | Phase::Unsent);
        self.list.iter().filter(sent).map(|pending| pending.id).collect()
    }

    /// The numbers of those whose time has come, oldest first.
    pub fn overdue(&mut self, now: Time) -> Vec<u64> {
        if self.due > now {
            return Vec::new();
        }
        let timed = |pending: &&Pending| matches!(pending.phase, Phase::Flying | Phase::Later);
        let overdue = self.list.iter().filter(timed).filter(|pending| pending.deadline <= now);
        let overdue: Vec<u64> = overdue.map(|pending| pending.id).collect();
        let later = self.list.iter().filter(timed).filter(|pending| pending.deadline > now);
        self.due = later.map(|pending| pending.deadline).min().unwrap_or(Time::MAX);
        overdue
    }

    /// When the next is due, or something that has ended since was.
    pub fn deadline(&self) -> Option<Time> {
        (self.flying > 0 && self.due < Time::MAX).then_some(self.due)
    }

    /// Ends all that were never sent.
    pub fn take_unsent(&mut self) -> Vec<Ticket> {
        let at = self.list.len().saturating_sub(self.unsent);
        (self.unsent, self.unsent_bytes) = (0, 0);
        self.list.drain(at..).map(|pending| pending.ticket).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.flying == 0 && self.unsent == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        Message::new(b"a", b"", b"", b"x")
    }

    #[test]
    fn places_go_when_those_before_them_have_gone() {
        let mut publishes = Publishes::default();
        for ticket in 1..=4 {
            publishes.push(Ticket(ticket), message(), false);
        }
        for at in 1..=3 {
            assert!(publishes.leaves(Time::from_millis(at)).is_some());
        }
        assert_eq!((publishes.flying, publishes.unsent), (3, 1));
        assert_eq!(publishes.end(4), None, "it was not sent");
        assert_eq!(publishes.end(2), Some(Ticket(2)));
        assert_eq!(publishes.end(2), None);
        assert_eq!(publishes.list.len(), 4);
        assert_eq!(publishes.end(1), Some(Ticket(1)));
        assert_eq!(publishes.list.len(), 2);
        assert_eq!(publishes.sent(), [3]);
        assert_eq!(publishes.first_unsent().map(|pending| pending.id), Some(4));
        assert_eq!(publishes.take_unsent(), [Ticket(4)]);
        assert_eq!(publishes.unsent_bytes, 0);
        assert_eq!(publishes.end(3), Some(Ticket(3)));
        assert!(publishes.is_empty() && publishes.deadline().is_none());
    }

    #[test]
    fn deadlines_are_found_in_any_order() {
        let mut publishes = Publishes::default();
        for ticket in 1..=3 {
            publishes.push(Ticket(ticket), message(), false);
            publishes.leaves(Time::from_millis(10 + ticket));
        }
        publishes.set(1, Phase::Later, Time::from_millis(50));
        assert!(publishes.overdue(Time::from_millis(5)).is_empty());
        assert_eq!(publishes.overdue(Time::from_millis(12)), [2]);
        publishes.end(2);
        assert_eq!(publishes.deadline(), Some(Time::from_millis(13)));
        publishes.end(3);
        assert!(publishes.overdue(Time::from_millis(13)).is_empty());
        assert_eq!(publishes.deadline(), Some(Time::from_millis(50)));
        assert_eq!(publishes.overdue(Time::from_millis(50)), [1]);
        assert_eq!(publishes.deadline(), None);
    }

    #[test]
    fn an_idle_publisher_is_small() {
        let mut publishes = Publishes::default();
        for _ in 0..10 {
            publishes.push(Ticket(1), message(), false);
            publishes.leaves(Time::ZERO);
            publishes.end(publishes.last);
        }
        let bytes = publishes.list.capacity() * size_of::<Pending>();
        assert!(bytes <= 4 * 64, "{bytes}");
    }
}
