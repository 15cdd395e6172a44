//! What the cores cost on this machine, by timing the very cores.
//!
//! **What it is for.** [`costs::measure`] plays a few small workloads against a
//! contender's own node and clients in memory ([`closed::Closed`]), times them by
//! side, and solves for the rows that virtual time charges
//! ([`Costs`](crate::modes::sim::costs::Costs)); [`disk::measure`] times a
//! gathered write and a sync of a real file.
//!
//! **What it never does.** It names no contender and models no network. It runs
//! on one thread, so what it times is work, not waiting.
//!
//! **Where to start reading.** [`costs::measure`].

pub mod closed;
pub mod costs;
pub mod disk;
pub mod solve;
