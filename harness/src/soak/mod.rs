//! A search for broken promises: random small scenarios with random faults, in
//! virtual time.
//!
//! **What it is for.** [`draw`] turns a seed into a [`draft::Draft`], which is a
//! scenario file in the making; [`attempt`] plays it against one contender;
//! [`judge`] says which promises were broken; [`shrink`] looks for a smaller
//! draft that breaks the same one; [`search`] does all of this over many seeds
//! on several threads and counts what was reached. [`store`] damages the files
//! that a run left behind and boots from them; `flaws` plants faults of known
//! kinds in honest contenders, so that the search itself is tested.
//!
//! [`sockets`] is another search: against the servers of `lab serve`, by the wall clock.
//!
//! **What it never does.** It reads no clock in a run and names no broker: what
//! is particular to one is data, in `contenders.toml`. It proves nothing; a
//! search that found nothing says how hard it looked.
//!
//! **Where to start reading.** [`search::search`], then [`attempt::attempt`].

pub mod attempt;
pub mod draft;
pub mod draw;
pub mod judge;
pub mod panics;
pub mod particulars;
pub mod report;
pub mod search;
pub mod shrink;
pub mod sockets;
pub mod store;
