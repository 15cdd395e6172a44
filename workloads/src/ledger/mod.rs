//! What was sent, what came back, and what became of the rest.
//!
//! **What it is for.** A run has two writers. The thread that publishes keeps a
//! [`SentLog`]: which messages were attempted, how each attempt ended, and which
//! *scopes* must receive a copy. A scope is whatever must receive exactly one: a
//! group, or one member of a population without a group. The threads that
//! consume keep [`SeenLog`]s, which check every payload, tell first copies from
//! further ones, and follow the order of each key. When the run is over,
//! [`Reconcile`] lays the two side by side and gives an [`Account`], in which
//! every expected copy is delivered, lost with a cause, lost without one, or
//! still under way.
//!
//! **What it never does.** It believes no broker that says "nobody had
//! subscribed" unless the driver saw the subscription missing at that moment. It
//! counts no unknown outcome as a loss. It keeps no message: only sets of
//! numbers, and one sequence for each scope and key.
//!
//! **Where to start reading.** [`Reconcile`] for the rules, `numbers.rs` for the
//! sets that hold a hundred million messages, `tests/` for the broken deliveries
//! that must be caught.

mod absence;
mod account;
mod floors;
mod numbers;
mod reconcile;
mod seen;
mod sent;
#[cfg(test)]
mod tests;

pub use account::{Account, Deliveries, Messages, ScopeAccount};
pub use reconcile::{Away, Drop, Duty, Forgotten, Outage, Reconcile, Replay};
pub use seen::{Delivered, Seen, SeenLog};
pub use sent::{Attempt, SentLog};
