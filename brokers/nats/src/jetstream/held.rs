//! Deliveries that are in the application's hands.
//!
//! Of each message the last delivery counts; those before it lapsed. An application
//! may still settle one of those, because the server takes an acknowledgement of any
//! delivery, so their reply subjects are kept for as long as the message is not
//! settled. They are kept apart: a handler that never settles would otherwise fill
//! what is looked through with each delivery.

use std::collections::BTreeMap;
use std::time::Duration;

use broker_contract::{Ticket, Time};

use crate::frame::Message;

/// The last delivery of a message that is not settled.
#[derive(Debug)]
pub(super) struct Open {
    pub sub: Ticket,
    pub sid: u64,
    pub stream_seq: u64,
    pub delivered: u64,
    /// Its reply subject is where it is settled.
    pub message: Message,
    /// When it came, or was last said to be worked on.
    pub at: Time,
    /// Whether it counts against the window.
    pub counted: bool,
    /// The deliveries before it, by token.
    pub before: Vec<u64>,
}

impl Open {
    /// When the server gives the message to somebody again, if it is neither
    /// settled nor said to be worked on.
    pub fn lapses(&self, ack_wait: Duration, backoff: &[Duration]) -> Time {
        let nth = usize::try_from(self.delivered.saturating_sub(1)).unwrap_or(usize::MAX);
        let wait = backoff.get(nth).or(backoff.last()).copied().unwrap_or(ack_wait);
        self.at + wait
    }
}

/// What is needed to settle a delivery.
#[derive(Debug)]
pub(super) struct Handle {
    pub sid: u64,
    pub delivered: u64,
    /// With the reply subject; without a body where another delivery has followed.
    pub message: Message,
}

/// A delivery that another one of the same message has followed.
#[derive(Debug)]
struct Lapsed {
    sub: Ticket,
    sid: u64,
    stream_seq: u64,
    delivered: u64,
    message: Message,
}

/// All deliveries that are not settled, by token.
#[derive(Debug, Default)]
pub(super) struct Held {
    open: BTreeMap<u64, Open>,
    /// The tokens of `open` by consumer and sequence.
    latest: BTreeMap<(u64, u64), u64>,
    lapsed: BTreeMap<u64, Lapsed>,
}

impl Held {
    /// A message was delivered. Returns whether a delivery before this one counted
    /// against the window, which it does no more.
    pub fn add(&mut self, token: u64, mut open: Open) -> bool {
        let mut counted = false;
        let place = (open.sid, open.stream_seq);
        if let Some(previous) = self.latest.insert(place, token)
            && let Some(earlier) = self.open.remove(&previous)
        {
            counted = earlier.counted;
            let Open { sub, sid, stream_seq, delivered, message, before, .. } = earlier;
            if open.delivered > 1 {
                open.before = before;
                open.before.push(previous);
                let message = Message::new(b"", message.reply(), b"", b"");
                let lapsed = Lapsed { sub, sid, stream_seq, delivered, message };
                self.lapsed.insert(previous, lapsed);
            } else {
                // It is the first delivery under a number that was another
                // message's, which the stream has lost.
                before.iter().for_each(|token| drop(self.lapsed.remove(token)));
            }
        }
        self.open.insert(token, open);
        counted
    }

    /// How to settle a delivery to this subscription, unless its message is settled.
    pub fn handle(&self, token: u64, of: Ticket) -> Option<Handle> {
        let handle = match self.open.get(&token) {
            Some(open) => {
                let Open { sub, sid, delivered, ref message, .. } = *open;
                (sub, Handle { sid, delivered, message: message.clone() })
            }
            None => {
                let Lapsed { sub, sid, delivered, ref message, .. } = *self.lapsed.get(&token)?;
                (sub, Handle { sid, delivered, message: message.clone() })
            }
        };
        (handle.0 == of).then_some(handle.1)
    }

    /// Somebody works on a message: the wait for its end begins again.
    pub fn worked_on(&mut self, token: u64, now: Time) {
        let token = self.last_of(token);
        if let Some(open) = self.open.get_mut(&token) {
            open.at = now;
        }
    }

    /// The last delivery of the message of which this is one.
    fn last_of(&self, token: u64) -> u64 {
        let lapsed = self.lapsed.get(&token);
        let last = lapsed.and_then(|lapsed| self.latest.get(&(lapsed.sid, lapsed.stream_seq)));
        last.copied().unwrap_or(token)
    }

    /// A delivery was refused: what others there are of its message stay.
    pub fn refused(&mut self, token: u64) -> Option<Open> {
        if self.lapsed.remove(&token).is_some() {
            return None;
        }
        self.settled(token)
    }

    /// A message was settled with one of its deliveries. Returns the last of them.
    pub fn settled(&mut self, token: u64) -> Option<Open> {
        let open = self.open.remove(&self.last_of(token))?;
        self.latest.remove(&(open.sid, open.stream_seq));
        open.before.iter().for_each(|token| drop(self.lapsed.remove(token)));
        Some(open)
    }

    /// The last deliveries of a consumer's messages.
    pub fn of(&self, sid: u64) -> impl Iterator<Item = &Open> {
        let tokens = self.latest.range((sid, 0)..=(sid, u64::MAX));
        tokens.filter_map(|(_, token)| self.open.get(token))
    }

    /// Those to a consumer before this one, with their tokens.
    pub fn before(&self, token: u64, sid: u64) -> Vec<(u64, Message)> {
        let before = self.open.range(..token).filter(|(_, open)| open.sid == sid);
        before.map(|(token, open)| (*token, open.message.clone())).collect()
    }

    /// Lets those of a consumer's deliveries count no more for which this holds.
    /// Returns how many that are.
    pub fn discount(&mut self, sid: u64, which: impl Fn(&Open) -> bool) -> u32 {
        let mut discounted = 0;
        for (_, token) in self.latest.range((sid, 0)..=(sid, u64::MAX)) {
            let Some(open) = self.open.get_mut(token) else { continue };
            if open.counted && which(open) {
                open.counted = false;
                discounted += 1;
            }
        }
        discounted
    }

    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub fn clear(&mut self) {
        *self = Held::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(stream_seq: u64, delivered: u64) -> Open {
        let reply = format!("$JS.ACK.S.C.{delivered}.{stream_seq}.1.0.0");
        let message = Message::new(b"a", reply.as_bytes(), b"", b"body");
        let (sub, sid, at) = (Ticket(1), 2, Time::ZERO);
        Open { sub, sid, stream_seq, delivered, message, at, counted: true, before: Vec::new() }
    }

    #[test]
    fn a_message_that_nobody_settles_is_held_once_and_may_be_settled_by_any_delivery() {
        let mut held = Held::default();
        for token in 1..=100 {
            assert_eq!(held.add(token, open(7, token)), token > 1, "one counts");
        }
        assert_eq!((held.open.len(), held.of(2).count(), held.of(3).count()), (1, 1, 0));
        assert!(held.handle(1, Ticket(9)).is_none(), "of another subscription");
        let handle = held.handle(1, Ticket(1)).expect("it can be settled");
        assert_eq!(handle.message.reply(), b"$JS.ACK.S.C.1.7.1.0.0");
        assert!(held.refused(2).is_none() && held.handle(2, Ticket(1)).is_none());
        held.worked_on(3, Time::from_millis(5));
        assert_eq!(held.of(2).map(|open| open.at).collect::<Vec<_>>(), [Time::from_millis(5)]);
        assert_eq!(held.settled(1).map(|open| open.delivered), Some(100));
        assert!(held.is_empty() && held.lapsed.is_empty() && held.latest.is_empty());
        assert!(held.handle(50, Ticket(1)).is_none(), "its message is settled");
    }

    #[test]
    fn a_number_that_is_given_anew_settles_nothing_of_what_it_was() {
        let mut held = Held::default();
        held.add(1, open(7, 1));
        held.add(2, open(7, 2));
        assert!(held.add(3, open(7, 1)), "the lost message's delivery counts no more");
        assert!(held.handle(1, Ticket(1)).is_none() && held.handle(2, Ticket(1)).is_none());
        assert!(held.lapsed.is_empty());
        assert_eq!(held.settled(3).map(|open| open.stream_seq), Some(7));
    }
}
