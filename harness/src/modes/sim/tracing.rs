//! Following one message through virtual time.

use broker_contract::{Frame, Identity, Time};

/// Somebody a message passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The application that sends it: population and member.
    Publisher(String, u32),
    /// Its client.
    Client(String, u32),
    /// The broker's node.
    Node,
    /// A consumer: population and member.
    Consumer(String, u32),
}

/// One step of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// When, in nanoseconds on the run's clock.
    pub at_ns: u64,
    /// From whom.
    pub from: Actor,
    /// To whom; the same for a step that goes nowhere.
    pub to: Actor,
    /// What happened, in a few words.
    pub what: String,
}

/// The life of one message.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// The message's place in the plan.
    pub number: u32,
    /// Its channel.
    pub channel: String,
    /// In time order.
    pub steps: Vec<Step>,
    /// The run's zero on the driver's clock.
    pub(super) zero: Time,
}

impl Trace {
    /// A trace of message `number`, empty so far.
    pub fn new(number: u32) -> Trace {
        Trace { number, ..Trace::default() }
    }

    /// Whether `frame` carries the message.
    pub(super) fn is_in<F: Frame>(&self, frame: &F) -> bool {
        let mut found = false;
        frame.payloads(&mut |payload| {
            found |= Identity::read(payload).is_some_and(|id| id.number == self.number);
        });
        found
    }

    pub(super) fn step(&mut self, at: Time, from: Actor, to: Actor, what: String) {
        self.steps.push(Step { at_ns: at.nanos_since(self.zero), from, to, what });
    }
}
