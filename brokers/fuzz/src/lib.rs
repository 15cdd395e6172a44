//! Fuzz targets: whatever bytes come, nothing panics, nothing hangs, and nothing is
//! held that did not arrive.
//!
//! **What it is for.** [`codec`] feeds the decoders, cut in two places, and holds the
//! result to what must be true of it; [`node`] feeds whole nodes through their
//! codec, three connections at once; [`batches`] reads record batches; [`store`]
//! boots nodes from damaged files.
//!
//! **What it never does.** It is no part of the main workspace: it builds with
//! nightly, by `cargo fuzz`.
//!
//! **Where to start reading.** [`codec::redis_up`], then `corpus/` for the seeds.

pub mod batches;
pub mod codec;
pub mod node;
pub mod store;
