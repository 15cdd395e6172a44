//! Requests and their answers, which a log does not have.
//!
//! As the request-reply templates for Kafka do it: a question names in a header
//! where its answer goes, and the answer is an ordinary record there. All
//! requesters share one topic for answers, and each reads all of it from the
//! moment it first asks; what is for others is read in vain, and counted.

use std::collections::BTreeMap;

use broker_contract::{ClientStart, Envelope, Failure, Outcome, Ticket, Time};

use super::filter::REPLY_TOPIC;

/// A question under way.
#[derive(Debug)]
struct Question {
    ticket: Ticket,
    until: Time,
}

/// A question that waits for the inbox to be in force.
#[derive(Debug)]
pub(super) struct Waiting {
    pub id: u64,
    pub channel: Box<str>,
    pub key: Option<Box<[u8]>>,
    pub headers: Vec<(Box<str>, Box<str>)>,
    pub payload: Box<[u8]>,
}

/// What a client has asked.
#[derive(Debug)]
pub(super) struct Requests {
    /// The channel of its answers.
    pub inbox: Box<str>,
    /// The slot of the consumer that reads them.
    pub slot: u16,
    pub waiting: Vec<Waiting>,
    questions: BTreeMap<u64, Question>,
    last: u64,
}

impl Requests {
    pub fn new(start: &ClientStart, slot: u16) -> Requests {
        // A client that is started again must not take its predecessor's answers.
        let unique = start.seed.fork("inbox").bits();
        let inbox = format!("{REPLY_TOPIC}.{}-{unique:016x}", start.id).into();
        Requests { inbox, slot, waiting: Vec::new(), questions: BTreeMap::new(), last: 0 }
    }

    /// A new question's number.
    pub fn open(&mut self, ticket: Ticket, until: Time) -> u64 {
        self.last += 1;
        self.questions.insert(self.last, Question { ticket, until });
        self.last
    }

    /// Where the answer to a question goes.
    pub fn address(&self, id: u64) -> String {
        format!("{}#{id}", self.inbox)
    }

    /// An answer came: the operation that it ends; `None` when it is late, or
    /// the second one.
    pub fn answered(&mut self, answer: &Envelope) -> Option<Ticket> {
        let (_, id) = parse(answer.reply())?;
        self.questions.remove(&id).map(|question| question.ticket)
    }

    /// A question failed.
    pub fn failed(&mut self, id: u64) -> Option<Ticket> {
        self.questions.remove(&id).map(|question| question.ticket)
    }

    /// The next question whose time is up, and how it ends.
    pub fn overdue(&mut self, now: Time) -> Option<(Ticket, Outcome)> {
        let overdue = self.questions.iter().find(|(_, question)| question.until <= now);
        let id = *overdue?.0;
        self.waiting.retain(|waiting| waiting.id != id);
        let question = self.questions.remove(&id)?;
        Some((question.ticket, Outcome::Failed(Failure::Timeout)))
    }

    pub fn is_empty(&self) -> bool {
        self.questions.is_empty()
    }

    pub fn deadline(&self) -> Option<Time> {
        self.questions.values().map(|question| question.until).min()
    }
}

/// `inbox#id` as the inbox and the id.
pub(super) fn parse(address: &[u8]) -> Option<(&str, u64)> {
    let address = std::str::from_utf8(address).ok()?;
    let (inbox, id) = address.rsplit_once('#')?;
    Some((inbox, id.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use broker_contract::SeedStream;
    use std::time::Duration;

    #[test]
    fn an_answer_finds_its_question_once() {
        let start = ClientStart { id: 3, seed: SeedStream::new(1) };
        let mut requests = Requests::new(&start, 0);
        let id = requests.open(Ticket(9), Time::ZERO + Duration::from_secs(1));
        let address = requests.address(id);
        assert_eq!(parse(address.as_bytes()), Some((&*requests.inbox, id)));
        let answer = Envelope::compose(b"x", address.as_bytes(), b"", b"answer");
        assert_eq!(requests.answered(&answer), Some(Ticket(9)));
        assert_eq!(requests.answered(&answer), None);
        assert!(requests.is_empty() && requests.deadline().is_none());
        assert_eq!(parse(b"no address"), None);
    }
}
