//! What was sent, what came back, and why the rest did not.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The books of one trial.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// What publishers did.
    pub messages: Messages,
    /// What subscriptions were owed.
    pub deliveries: Deliveries,
    /// Deliveries of a message that the same subscriber or group had already.
    pub duplicates: u64,
    /// Duplicates that the protocol marks as such; not among `duplicates`.
    pub redelivered: u64,
    /// First deliveries out of the order of their key.
    pub reordered: u64,
    /// Deliveries with a wrong checksum, or never attempted.
    pub corrupt: u64,
    /// Explained losses by cause, such as `subscriber_away`.
    pub causes: BTreeMap<String, u64>,
    /// Added: deliveries of acknowledged messages that were lost, by cause,
    /// `unexplained` among them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub acked_lost: BTreeMap<String, u64>,
    /// Added: of the acknowledged messages that a crash destroyed, how many
    /// seconds before it the oldest was due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_lost_s: Option<f64>,
    /// Added: messages that were given up after their last delivery.
    #[serde(default)]
    pub given_up: u64,
}

/// What publishers did; `attempted = acked + failed + unknown + unacked`.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Messages {
    /// Publishes that were started.
    pub attempted: u64,
    /// The broker has confirmed them.
    pub acked: u64,
    /// They definitely did not happen.
    pub failed: u64,
    /// They may or may not have happened; never counted as lost.
    pub unknown: u64,
    /// Sent, and nothing more is ever heard of them.
    pub unacked: u64,
}

/// What subscriptions were owed;
/// `expected = delivered + lost_explained + lost_unexplained + undrained`.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deliveries {
    /// One per message and subscriber, or group, whose filter matches.
    pub expected: u64,
    /// Those that came, each counted once.
    pub delivered: u64,
    /// Those that did not come, and the promise allows it, with a cause.
    pub lost_explained: u64,
    /// Those that did not come, and nothing accounts for it.
    pub lost_unexplained: u64,
    /// Those still under way when time ran out.
    pub undrained: u64,
}

impl Messages {
    /// Whether every attempt has exactly one end.
    pub const fn is_balanced(&self) -> bool {
        self.attempted == self.acked + self.failed + self.unknown + self.unacked
    }
}

impl Deliveries {
    /// Whether every expected delivery has exactly one end.
    pub const fn is_balanced(&self) -> bool {
        self.expected
            == self.delivered + self.lost_explained + self.lost_unexplained + self.undrained
    }
}

/// The share of a [`Ledger`] that belongs to one subscription.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionLedger {
    /// What it was owed.
    pub deliveries: Deliveries,
    /// As in [`Ledger::duplicates`].
    pub duplicates: u64,
    /// As in [`Ledger::redelivered`].
    pub redelivered: u64,
    /// As in [`Ledger::reordered`].
    pub reordered: u64,
    /// As in [`Ledger::corrupt`].
    pub corrupt: u64,
    /// As in [`Ledger::causes`].
    pub causes: BTreeMap<String, u64>,
    /// Added: as in [`Ledger::acked_lost`].
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub acked_lost: BTreeMap<String, u64>,
    /// Added: messages whose processing never succeeded, poison left out.
    #[serde(default)]
    pub unprocessed: u64,
    /// Added: messages whose processing could not succeed.
    #[serde(default)]
    pub poison: u64,
    /// Added: why the contender does not serve this subscription, if so; it is
    /// owed nothing then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsupported: Option<String>,
}
