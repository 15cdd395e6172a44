//! What every part of the library works with: the moment, the host, and the lists
//! of what is to be done later.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use broker_contract::{FileId, SeedStream, SyncToken, Time};
use serde::Serialize;

use crate::calendar;
use crate::config::JetStreamConfig;
use crate::host::Host;

/// The place of a stream's own timer among those of its consumers.
pub(crate) const STREAM: u32 = u32::MAX;

/// What a sync was asked for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A group of acknowledgements, or the interval.
    Commit,
    /// A fresh journal.
    Successor,
}

/// An event that the library publishes about itself.
#[derive(Debug)]
pub(crate) struct Advisory {
    pub subject: String,
    pub json: Vec<u8>,
}

/// What is to be done later, of all streams.
#[derive(Debug)]
pub(crate) struct Agenda {
    /// Moments, with the stream and its consumer or [`STREAM`].
    timers: BTreeSet<(Time, u32, u32)>,
    /// Consumers that go on at once.
    ready: VecDeque<(u32, u32)>,
    syncs: BTreeMap<u64, (u32, Purpose)>,
    next_token: u64,
    pub advisories: Vec<Advisory>,
    names: SeedStream,
    drawn: u64,
}

impl Agenda {
    pub fn new(names: SeedStream) -> Agenda {
        Agenda {
            timers: BTreeSet::new(),
            ready: VecDeque::new(),
            syncs: BTreeMap::new(),
            next_token: 0,
            advisories: Vec::new(),
            names,
            drawn: 0,
        }
    }

    /// A new name of `len` letters and digits.
    pub fn draw_name(&mut self, len: usize) -> String {
        const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
        let mut name = String::with_capacity(len);
        while name.len() < len {
            let mut bits = self.names.nth(self.drawn).bits();
            self.drawn += 1;
            // Ten digits of base 62 are in 64 bits with something to spare.
            for _ in 0..10.min(len - name.len()) {
                name.push(char::from(DIGITS[(bits % 62) as usize]));
                bits /= 62;
            }
        }
        name
    }

    /// Sets a timer; returns what to hand back to [`Agenda::cancel`].
    pub fn set(&mut self, at: Time, stream: u32, place: u32) {
        self.timers.insert((at, stream, place));
    }

    pub fn cancel(&mut self, at: Time, stream: u32, place: u32) {
        self.timers.remove(&(at, stream, place));
    }

    /// Whether this timer is set.
    pub fn has(&self, at: Time, stream: u32, place: u32) -> bool {
        self.timers.contains(&(at, stream, place))
    }

    /// Takes the next timer that is due.
    pub fn take_due(&mut self, now: Time) -> Option<(Time, u32, u32)> {
        let first = *self.timers.first()?;
        (first.0 <= now && self.timers.remove(&first)).then_some(first)
    }

    pub fn push_ready(&mut self, stream: u32, consumer: u32) {
        self.ready.push_back((stream, consumer));
    }

    pub fn take_ready(&mut self) -> Option<(u32, u32)> {
        self.ready.pop_front()
    }

    pub fn ready_len(&self) -> usize {
        self.ready.len()
    }

    pub fn deadline(&self) -> Option<Time> {
        if self.ready.is_empty() {
            self.timers.first().map(|timer| timer.0)
        } else {
            Some(Time::ZERO)
        }
    }

    pub fn take_sync(&mut self, token: SyncToken) -> Option<(u32, Purpose)> {
        self.syncs.remove(&token.0)
    }

    /// The stream at this place is gone; another may come to it.
    pub fn forget_syncs(&mut self, stream: u32) {
        self.syncs.retain(|_, (place, _)| *place != stream);
        self.ready.retain(|(place, _)| *place != stream);
    }

    pub fn memory_bytes(&self) -> u64 {
        (self.timers.len() * 2 * size_of::<(Time, u32, u32)>()
            + self.ready.capacity() * size_of::<(u32, u32)>()) as u64
    }
}

/// The moment and the surroundings of a piece of work on one stream.
pub(crate) struct Cx<'a> {
    pub host: &'a mut dyn Host,
    pub now: Time,
    /// The wall clock, in nanoseconds since 1970.
    pub unix: u64,
    pub config: &'a JetStreamConfig,
    pub agenda: &'a mut Agenda,
    /// The stream that is worked on.
    pub stream: u32,
}

impl Cx<'_> {
    /// Asks for a sync of `file`.
    pub fn sync(&mut self, file: FileId, purpose: Purpose) {
        let token = self.agenda.next_token;
        self.agenda.next_token += 1;
        self.agenda.syncs.insert(token, (self.stream, purpose));
        self.host.sync(file, SyncToken(token));
    }

    /// Publishes an event once the present work is done.
    pub fn advise(&mut self, subject: String, kind: &str, body: &impl Serialize) {
        #[derive(Serialize)]
        struct Event<'a, T> {
            #[serde(rename = "type")]
            kind: String,
            id: &'a str,
            timestamp: String,
            #[serde(flatten)]
            body: &'a T,
        }
        let id = self.agenda.draw_name(22);
        let kind = format!("io.nats.jetstream.advisory.v1.{kind}");
        let event = Event { kind, id: &id, timestamp: calendar::rfc3339(self.unix), body };
        if let Ok(json) = serde_json::to_vec(&event) {
            self.agenda.advisories.push(Advisory { subject, json });
        }
    }
}
