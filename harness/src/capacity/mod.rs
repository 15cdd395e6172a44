//! The highest rate that a contender sustains.
//!
//! **What it is for.** A step offers the scenario's load at some multiple of its
//! own rates, open loop, settles and holds ([`step`]). [`search`] goes up by
//! doubling until a step fails, closes in by bisection until the two sides are
//! 5 % apart, and repeats the edge with other seeds. [`curve`] sums the steps up
//! as latency against load, and says what was the limit ([`limit`]).
//!
//! **What it never does.** It runs nothing itself: whoever searches hands over a
//! function that runs one step. It stops by counting steps and messages, never
//! by a clock, so that a search in virtual time repeats.
//!
//! **What "sustained" means.** Every objective of the scenario holds except
//! throughput, which is what is being looked for; nothing is lost beyond what an
//! objective tolerates; no publish fails; and the backlog does not grow by more
//! than 2 % of the deliveries that were due while the rate was held. Deliveries
//! count with their fan-out.
//!
//! **Where to start reading.** [`search::search`], then [`step::judge`].

pub mod curve;
pub mod limit;
pub mod search;
pub mod step;

/// Two rates this close together bracket an edge.
pub const BRACKET: f64 = 0.05;
