//! Following one message through virtual time.

use broker_contract::{Frame, Identity, SyncToken, Time};

/// Somebody a message passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// The application that sends it: population and member.
    Publisher(String, u32),
    /// Its client.
    Client(String, u32),
    /// The broker's node.
    Node,
    /// The node's disk.
    Disk,
    /// A consumer: population and member.
    Consumer(String, u32),
}

/// One step of a message.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// When it begins, in nanoseconds on the run's clock.
    pub at_ns: u64,
    /// When it ends, on the same clock.
    pub until_ns: u64,
    /// From whom.
    pub from: Actor,
    /// To whom; the same for a step that goes nowhere.
    pub to: Actor,
    /// What happened, in a few words.
    pub what: String,
}

/// Where the message is on its way to the disk.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Storing {
    /// The node does not have it, or does not write it.
    #[default]
    No,
    /// The node has it; what it writes next holds it. Bytes written before.
    Taken(u64),
    /// It is in the page cache.
    Written,
    /// This sync will prove it.
    Syncing(SyncToken),
    /// It survives a power loss.
    Synced,
}

/// The life of one message.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    /// The message's place in the plan.
    pub number: u32,
    /// Its channel.
    pub channel: String,
    /// In the order in which they were noted; sort by `at_ns` to show them.
    pub steps: Vec<Step>,
    /// The run's zero on the driver's clock.
    pub(super) zero: Time,
    /// Its way to the disk.
    pub(super) storing: Storing,
    /// Sampled deliveries that were looked at.
    pub(super) taken: usize,
}

impl Trace {
    /// A trace of message `number`, empty so far.
    pub fn new(number: u32) -> Trace {
        Trace { number, ..Trace::default() }
    }

    /// How many messages `frame` carries, if the message is among them. A batch
    /// shows every message in it, so that one inside is followed, too.
    pub(super) fn is_in<F: Frame>(&self, frame: &F) -> Option<u32> {
        let (mut found, mut all) = (false, 0);
        frame.payloads(&mut |payload| {
            if let Some(identity) = Identity::read(payload) {
                all += 1;
                found |= identity.number == self.number;
            }
        });
        found.then_some(all)
    }

    pub(super) fn step(&mut self, at: Time, from: Actor, to: Actor, what: String) {
        self.hop(at, at, from, to, what);
    }

    pub(super) fn hop(&mut self, at: Time, until: Time, from: Actor, to: Actor, what: String) {
        let (at_ns, until_ns) = (at.nanos_since(self.zero), until.nanos_since(self.zero));
        self.steps.push(Step { at_ns, until_ns, from, to, what });
    }
}

/// A frame's size, and how many messages share it.
pub(super) fn size(bytes: u32, messages: u32) -> String {
    if messages > 1 { format!("{bytes} B, a batch of {messages}") } else { format!("{bytes} B") }
}
