//! Which promises a run broke.

use std::fmt;

use broker_contract::{Feature, Profile, Promises};
use lab_reports::record::{Durable, Trial};

use super::draft::{Draft, Keeping};

/// A kind of broken promise. The shrinker looks for a smaller draft that breaks
/// the same kind.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A core panicked.
    Panic,
    /// The draft is no sound scenario: a mistake of the search itself.
    Draft,
    /// The trial could not be carried out, such as a node that does not boot.
    Invalid,
    /// A message was lost, and nothing that the promise allows explains it.
    Lost,
    /// Something arrived that was never sent, or damaged.
    Corrupt,
    /// A message came twice, unmarked, where the promise or the calm forbids it.
    Duplicate,
    /// Messages of one key arrived out of order.
    Reordered,
    /// Something had not arrived or ended long after everything had healed.
    Stuck,
    /// An operation failed although nothing was wrong.
    Failed,
    /// The ledger's sums do not add up.
    Sums,
    /// A node's own invariant did not hold.
    Invariant,
    /// A store that a crash left behind did not boot, or a damaged one panicked.
    Store,
    /// The same seed gave another trace.
    Trace,
}

impl Kind {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Kind::Panic => "panic",
            Kind::Draft => "draft",
            Kind::Invalid => "invalid",
            Kind::Lost => "lost",
            Kind::Corrupt => "corrupt",
            Kind::Duplicate => "duplicate",
            Kind::Reordered => "reordered",
            Kind::Stuck => "stuck",
            Kind::Failed => "failed",
            Kind::Sums => "sums",
            Kind::Invariant => "invariant",
            Kind::Store => "store",
            Kind::Trace => "trace",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A broken promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Of which kind.
    pub kind: Kind,
    /// What was seen, in one line.
    pub what: String,
}

impl Violation {
    /// A violation of `kind`.
    pub fn new(kind: Kind, what: impl Into<String>) -> Violation {
        Violation { kind, what: what.into() }
    }
}

/// The promises that the trial of `draft` broke, the gravest first.
/// `never_ended` are operations that were submitted and have no outcome.
pub fn judge(
    draft: &Draft,
    profile: &Profile,
    trial: &Trial,
    never_ended: usize,
) -> Vec<Violation> {
    let promises = &profile.promises;
    let mut found = Vec::new();
    let mut add = |kind, what: String| found.push(Violation::new(kind, what));
    if let Some(reason) = &trial.invalid_reason {
        add(Kind::Invalid, reason.clone());
        return found;
    }
    let (messages, deliveries) = (&trial.ledger.messages, &trial.ledger.deliveries);
    // Of a store in memory a crash leaves nothing, consumers and their places
    // included; what came after it depends on who was back first.
    let left_nothing = trial.ack_proves.durable == Durable::None
        && draft.crashes()
        && profile.claim(Feature::Replay).is_available();
    if deliveries.lost_unexplained > 0 && !left_nothing {
        let (lost, of) = (deliveries.lost_unexplained, deliveries.expected);
        add(Kind::Lost, format!("{lost} of {of} copies lost without a cause"));
    }
    if trial.ledger.corrupt > 0 {
        add(Kind::Corrupt, format!("{} deliveries damaged or never sent", trial.ledger.corrupt));
    }
    if !messages.is_balanced() || !deliveries.is_balanced() {
        add(Kind::Sums, format!("{messages:?}, {deliveries:?}"));
    }
    for (name, ledger) in &trial.ledger_by_subscription {
        if ledger.duplicates > 0 && duplicates_forbidden(draft, promises, name) {
            add(Kind::Duplicate, format!("`{name}`: {} unmarked duplicates", ledger.duplicates));
        }
        // A producer without sequence numbers says so when it has to repeat a
        // batch whose successors are under way already.
        let overtaken = trial.sometimes.contains_key("overtaken by a retry's successor");
        if ledger.reordered > 0 && !overtaken && order_expected(draft, promises, name) {
            add(
                Kind::Reordered,
                format!("`{name}`: {} out of their key's order", ledger.reordered),
            );
        }
        let redelivers = profile.claim(Feature::Redelivery).is_available();
        if ledger.unprocessed > 0 && redelivers && must_succeed(draft, name) && !left_nothing {
            let what =
                format!("`{name}`: {} messages failed and never came again", ledger.unprocessed);
            add(Kind::Stuck, what);
        }
    }
    if deliveries.undrained > 0 {
        add(Kind::Stuck, format!("{} copies under way long after the heal", deliveries.undrained));
    }
    if never_ended > 0 {
        add(Kind::Stuck, format!("{never_ended} operations never ended"));
    }
    // A requester's time-out is an unknown end, and a responder that restarts or
    // works slowly brings it about.
    let calm = !draft.crashes()
        // What queues before a slow link may miss the time that an acknowledgement
        // may take.
        && draft.link.kbit_per_s.is_none()
        && !draft.fills_up()
        && draft.senders.iter().all(|sender| sender.asks_ms.is_none());
    let unended = messages.failed + messages.unknown;
    if calm && unended > 0 && never_ended == 0 {
        let (failed, unknown) = (messages.failed, messages.unknown);
        add(Kind::Failed, format!("{failed} publishes failed, {unknown} ended unknown"));
    }
    found
}

/// Whether an unmarked duplicate breaks a promise: always where at most one copy
/// is promised; elsewhere only while nobody crashes or comes and goes, which is
/// what a retry or a replay needs. Where members share work that they acknowledge,
/// a redelivery to one may be taken before the delivery that waits with another,
/// which then comes second and bears no mark.
fn duplicates_forbidden(draft: &Draft, promises: &Promises, name: &str) -> bool {
    let joins = draft.receivers.iter().any(|receiver| receiver.joins_percent.is_some());
    let overtakes = draft.receivers.iter().any(|receiver| {
        let acknowledges = !matches!(receiver.keeping.ack, "" | "none");
        receiver.name == name && receiver.grouped && receiver.count > 1 && acknowledges
    });
    let queues = draft.link.kbit_per_s.is_some();
    promises.at_most_once || !(queues || draft.crashes() || draft.restarts() || joins || overtakes)
}

/// Whether every message of a subscription must be processed in the end: each is
/// acknowledged by itself and tried without limit, and nothing takes the message
/// or the consumer's position away.
fn must_succeed(draft: &Draft, name: &str) -> bool {
    let keeps_trying = |keeping: &Keeping| {
        keeping.ack == "explicit"
            && keeping.max_deliver.is_none()
            && (keeping.durable || !(draft.crashes() || draft.restarts()))
    };
    !draft.loses_power()
        && draft.receivers.iter().any(|of| of.name == name && keeps_trying(&of.keeping))
}

/// Whether one key's messages must come in order: to members that do not share
/// them, and while no publish has to be repeated.
fn order_expected(draft: &Draft, promises: &Promises, name: &str) -> bool {
    let alone = draft.receivers.iter().any(|receiver| receiver.name == name && !receiver.grouped);
    alone && (promises.at_most_once || !draft.crashes())
}
