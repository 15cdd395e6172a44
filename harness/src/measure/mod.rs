//! Measuring: histograms, seconds, anatomy, and what they say.
//!
//! **What it is for.** Turning deliveries, outcomes and clock readings into the
//! figures of a record, and figures into a verdict.
//!
//! **What it never does.** It drives no broker and knows no mode beyond its name.
//!
//! **Where to start reading.** [`meters`] for what is recorded per delivery,
//! [`verdict`] for how objectives are judged.

pub mod anatomy;
pub mod meters;
pub mod quantiles;
pub mod sampled;
pub mod verdict;
