//! Requests under way, all answered through one inbox.

use std::collections::{BTreeMap, BTreeSet};

use broker_contract::{SeedStream, Ticket, Time};

/// A request that has no answer yet.
#[derive(Debug)]
struct Request {
    ticket: Ticket,
    deadline: Time,
    /// Whether it has left this client.
    sent: bool,
}

/// The open requests of a client.
#[derive(Debug)]
pub(super) struct Requests {
    /// `_INBOX.<id>.`, to which a request's own token is added.
    prefix: Box<str>,
    /// The subscription to all of them; 0 before the first request.
    pub sid: u64,
    open: BTreeMap<u64, Request>,
    due: BTreeSet<(Time, u64)>,
    last: u64,
}

impl Requests {
    /// An inbox that no other client has: named by 22 letters and digits, as in
    /// the original.
    pub fn new(seed: SeedStream, client: u32) -> Self {
        const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let inbox = seed.fork("inbox");
        let bits = u128::from(inbox.nth(0).bits()) << 64 | u128::from(inbox.nth(1).bits());
        // The client's number makes it unlike any other of the run for certain.
        let mut left = bits ^ u128::from(client) << 90;
        let mut prefix = String::from("_INBOX.");
        for _ in 0..22 {
            prefix.push(char::from(DIGITS[(left % 62) as usize]));
            left /= 62;
        }
        prefix.push('.');
        Requests {
            prefix: prefix.into(),
            sid: 0,
            open: BTreeMap::new(),
            due: BTreeSet::new(),
            last: 0,
        }
    }

    /// The filter that takes in all answers.
    pub fn filter(&self) -> String {
        format!("{}*", self.prefix)
    }

    /// The subject for the answer to one request.
    pub fn reply(&self, id: u64) -> String {
        format!("{}{id}", self.prefix)
    }

    /// The request that a subject answers.
    pub fn answered(&self, subject: &[u8]) -> Option<u64> {
        let token = subject.strip_prefix(self.prefix.as_bytes())?;
        std::str::from_utf8(token).ok()?.parse().ok()
    }

    /// Whether a subject of this inbox answers something of the library above,
    /// whose tokens begin with a letter.
    pub fn is_other(&self, subject: &[u8]) -> bool {
        let token = subject.strip_prefix(self.prefix.as_bytes());
        token.and_then(<[u8]>::first).is_some_and(u8::is_ascii_alphabetic)
    }

    /// `_INBOX.<id>.`
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Begins a request.
    pub fn open(&mut self, ticket: Ticket, deadline: Time) -> u64 {
        self.last += 1;
        self.open.insert(self.last, Request { ticket, deadline, sent: false });
        self.due.insert((deadline, self.last));
        self.last
    }

    /// Notes that a request leaves; `false` when it has ended before.
    pub fn leaves(&mut self, id: u64) -> bool {
        match self.open.get_mut(&id) {
            Some(request) => {
                request.sent = true;
                true
            }
            None => false,
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
        let request = self.open.remove(&id)?;
        Some(request.ticket)
    }

    /// Ends the requests that have left; their answers went with the connection.
    pub fn take_sent(&mut self) -> Vec<Ticket> {
        let ids: Vec<u64> =
            self.open.iter().filter(|(_, request)| request.sent).map(|(id, _)| *id).collect();
        ids.into_iter().filter_map(|id| self.close(id)).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub fn deadline(&self) -> Option<Time> {
        self.due.first().map(|(deadline, _)| *deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_find_their_request() {
        let mut requests = Requests::new(SeedStream::new(1), 7);
        let id = requests.open(Ticket(3), Time::from_millis(5));
        let reply = requests.reply(id);
        assert_eq!(requests.filter().len(), "_INBOX.".len() + 22 + 2);
        assert!(crate::subject::matches(requests.filter().as_bytes(), reply.as_bytes()));
        assert_eq!(requests.answered(reply.as_bytes()), Some(id));
        assert_eq!(requests.answered(b"_INBOX.other.1"), None);
        assert_eq!(requests.close(id), Some(Ticket(3)));
        assert_eq!(requests.close(id), None);
        assert_eq!(requests.deadline(), None);
    }

    #[test]
    fn inboxes_differ() {
        let of = |seed, client| Requests::new(SeedStream::new(seed), client).filter();
        assert_ne!(of(1, 0), of(1, 1));
        assert_ne!(of(1, 0), of(2, 0));
    }
}
