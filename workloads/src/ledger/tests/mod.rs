//! The ledger as a whole: its rules one by one, the broken deliveries that it
//! must catch, random histories against a naive model, and its size.

mod broken;
mod model;
mod rules;
mod scale;

use broker_contract::Identity;

use super::*;

/// A run whose message `n` is intended at `n * spacing_ns`.
struct Run {
    sent: SentLog,
    seen: SeenLog,
    drops: Vec<Drop>,
    away: Vec<Away>,
    undrained: Vec<(u32, u32)>,
    lagging: Vec<u32>,
    transit_ns: u64,
    seats: Vec<u32>,
    duty: Duty,
    joined_ns: Vec<u64>,
    outages: Vec<Outage>,
    forgotten: Vec<Forgotten>,
    spacing_ns: u64,
    /// Of each scope: whether a group is emulated, its seat `n % seats` taking message `n`.
    emulated: Vec<bool>,
}

impl Run {
    fn new(scopes: u32) -> Run {
        Run {
            sent: SentLog::new(scopes),
            seen: SeenLog::new(scopes),
            drops: Vec::new(),
            away: Vec::new(),
            undrained: Vec::new(),
            lagging: Vec::new(),
            transit_ns: 0,
            seats: vec![1; scopes as usize],
            duty: Duty::Fleeting,
            joined_ns: Vec::new(),
            outages: Vec::new(),
            forgotten: Vec::new(),
            spacing_ns: 1,
            emulated: vec![false; scopes as usize],
        }
    }

    /// Attempts a message for all scopes.
    fn send(&mut self, number: u32, how: Attempt) {
        self.sent.attempt(number);
        for scope in 0..self.sent.scopes() {
            self.sent.expect(scope, number);
        }
        self.sent.outcome(number, how);
    }

    fn deliver(&mut self, scope: u32, identity: Identity, redelivered: bool) -> Seen {
        let mut payload = [0x33; 48];
        identity.stamp(&mut payload);
        self.seen.deliver(scope, &payload, redelivered)
    }

    fn account(&self) -> Account {
        let duties = vec![self.duty; self.sent.scopes() as usize];
        Reconcile {
            sent: &self.sent,
            seen: &self.seen,
            drops: &self.drops,
            away: &self.away,
            undrained: &self.undrained,
            lagging: &self.lagging,
            transit_ns: self.transit_ns,
            seats: &self.seats,
            duties: &duties,
            joined_ns: &self.joined_ns,
            outages: &self.outages,
            forgotten: &self.forgotten,
            replay: Streamed { run: self, last: 0 },
        }
        .run()
    }
}

/// A plan that can only be drawn forwards.
struct Streamed<'a> {
    run: &'a Run,
    last: u32,
}

impl Replay for Streamed<'_> {
    fn intended_ns(&mut self, number: u32) -> u64 {
        assert!(number >= self.last, "asked about {number} after {}", self.last);
        self.last = number;
        u64::from(number) * self.run.spacing_ns
    }

    fn owner(&mut self, scope: u32, number: u32) -> Option<u32> {
        assert!(number >= self.last, "asked about {number} after {}", self.last);
        self.last = number;
        let scope = scope as usize;
        self.run.emulated[scope].then(|| number % self.run.seats[scope])
    }
}

/// The message of a plan with `keys` publishers that take turns.
fn identity(number: u32, keys: u32) -> Identity {
    Identity {
        producer: number % keys,
        sequence: number / keys,
        number,
        key: number % keys,
        intended_ns: u64::from(number),
        lag_ns: 0,
    }
}
