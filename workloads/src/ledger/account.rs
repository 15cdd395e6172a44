//! What the ledger says when a run is over.

use std::collections::BTreeMap;

/// Where every message went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Attempts by how they ended.
    pub messages: Messages,
    /// Expected copies by what became of them, over all scopes.
    pub deliveries: Deliveries,
    /// Further copies that nothing in the protocol marked.
    pub duplicates: u64,
    /// Further copies that the protocol marked.
    pub redelivered: u64,
    /// First copies that came after a later message of their key.
    pub reordered: u64,
    /// Deliveries with a wrong checksum, and [`Account::misdelivered`].
    pub corrupt: u64,
    /// First copies that nobody sent, or that were not for this scope.
    pub misdelivered: u64,
    /// Copies of messages with an unknown outcome that came: legal.
    pub recovered: u64,
    /// Copies of messages that had definitely failed, and came.
    pub aborted_reads: u64,
    /// Explained losses by cause; the sum is [`Deliveries::lost_explained`].
    pub causes: BTreeMap<&'static str, u64>,
    /// Acknowledged messages that were lost, by cause; `unexplained` among them,
    /// and without those that were given up on after their last delivery.
    pub acked_lost: BTreeMap<&'static str, u64>,
    /// Of the acknowledged messages that a crash destroyed: how long before it
    /// the oldest was intended.
    pub oldest_lost_ns: Option<u64>,
    /// The same for each scope.
    pub scopes: Vec<ScopeAccount>,
    /// The first unexplained losses, as (number, scope); at most
    /// [`Account::EXAMPLES`].
    pub unexplained_examples: Vec<(u32, u32)>,
}

/// Attempts by how they ended:
/// `attempted = acked + failed + unknown + unacked`.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Messages {
    /// Handed to a client.
    pub attempted: u64,
    /// Acknowledged.
    pub acked: u64,
    /// Definitely failed.
    pub failed: u64,
    /// Nobody can tell.
    pub unknown: u64,
    /// Sent, and nothing to be heard.
    pub unacked: u64,
}

/// Expected copies by what became of them:
/// `expected = delivered + lost_explained + lost_unexplained + undrained`.
///
/// A copy of a failed message is not expected, and one of an unknown outcome
/// only if it came.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// Copies that had to come.
    pub expected: u64,
    /// Came.
    pub delivered: u64,
    /// Did not come, for a reason that the contender's promise allows.
    pub lost_explained: u64,
    /// Did not come, for no known reason.
    pub lost_unexplained: u64,
    /// Were still under way when the run was cut off.
    pub undrained: u64,
}

/// What became of one scope's copies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeAccount {
    /// Copies that had to come.
    pub expected: u64,
    /// Came.
    pub delivered: u64,
    /// Did not come, for a reason that the contender's promise allows.
    pub lost_explained: u64,
    /// Did not come, for no known reason.
    pub lost_unexplained: u64,
    /// Were still under way when the run was cut off.
    pub undrained: u64,
    /// Further copies that nothing in the protocol marked.
    pub duplicates: u64,
    /// Further copies that the protocol marked.
    pub redelivered: u64,
    /// First copies that came after a later message of their key.
    pub reordered: u64,
    /// Deliveries with a wrong checksum, and [`ScopeAccount::misdelivered`].
    pub corrupt: u64,
    /// First copies that nobody sent, or that were not for this scope.
    pub misdelivered: u64,
    /// Copies of messages with an unknown outcome that came.
    pub recovered: u64,
    /// Copies of messages that had definitely failed, and came.
    pub aborted_reads: u64,
    /// Explained losses by cause.
    pub causes: BTreeMap<&'static str, u64>,
    /// As in [`Account::acked_lost`].
    pub acked_lost: BTreeMap<&'static str, u64>,
}

impl Account {
    /// How many unexplained losses are named.
    pub const EXAMPLES: usize = 10;

    /// Whether nothing happened that no promise allows: no unexplained loss, no
    /// corruption, and no message that had failed and came.
    pub fn is_sound(&self) -> bool {
        self.deliveries.lost_unexplained == 0 && self.corrupt == 0 && self.aborted_reads == 0
    }

    /// Adds up the scopes, and holds the result against its invariants.
    pub(super) fn of(messages: Messages, scopes: Vec<ScopeAccount>) -> Account {
        let mut account = Account { messages, ..Account::default() };
        for scope in &scopes {
            account.deliveries.expected += scope.expected;
            account.deliveries.delivered += scope.delivered;
            account.deliveries.lost_explained += scope.lost_explained;
            account.deliveries.lost_unexplained += scope.lost_unexplained;
            account.deliveries.undrained += scope.undrained;
            account.duplicates += scope.duplicates;
            account.redelivered += scope.redelivered;
            account.reordered += scope.reordered;
            account.corrupt += scope.corrupt;
            account.misdelivered += scope.misdelivered;
            account.recovered += scope.recovered;
            account.aborted_reads += scope.aborted_reads;
            for (cause, count) in &scope.causes {
                *account.causes.entry(cause).or_default() += count;
            }
            for (cause, count) in &scope.acked_lost {
                *account.acked_lost.entry(cause).or_default() += count;
            }
        }
        account.scopes = scopes;
        account.assert_balanced();
        account
    }

    fn assert_balanced(&self) {
        let Messages { attempted, acked, failed, unknown, unacked } = self.messages;
        assert_eq!(attempted, acked + failed + unknown + unacked, "attempts by outcome");
        let Deliveries { expected, delivered, lost_explained, lost_unexplained, undrained } =
            self.deliveries;
        assert_eq!(
            expected,
            delivered + lost_explained + lost_unexplained + undrained,
            "expected copies by fate",
        );
        assert_eq!(lost_explained, self.causes.values().sum::<u64>(), "explained losses by cause");
    }
}
