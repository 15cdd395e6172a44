//! What the cores cost on this machine, by timing the very cores.
//!
//! **What it is for.** [`costs::measure`] plays a few small workloads against a
//! contender's own node and clients in memory ([`closed::Closed`]), times them by
//! side, and solves for the rows that virtual time charges
//! ([`Costs`](crate::modes::sim::costs::Costs)); [`disk::measure`] times a
//! gathered write and a sync of a real file. [`peers::compare`] puts our bus beside
//! the original, both as processes of their own.
//!
//! **What it never does.** It models no network. What times the cores names no
//! contender and runs on one thread, so that it times work, not waiting.
//!
//! **Where to start reading.** [`costs::measure`]; [`peers`] stands by itself.

pub mod closed;
pub mod costs;
pub mod disk;
pub mod peers;
pub mod solve;
