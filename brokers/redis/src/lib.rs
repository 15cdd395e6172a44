//! The Redis Pub/Sub bus: a node and a client as pure state machines.
//!
//! **What it is for.** [`Redis`] is one node that carries the bus commands of
//! Redis (channels, patterns, sharded channels, both protocol versions, output
//! buffer limits); [`RedisClient`] is what an application's client library does
//! on the other end, with the emulations that the protocol needs for groups and
//! request-reply; [`RedisPubSub`] ties both together as a contender.
//!
//! **What it never does.** It keeps no keys and stores nothing: a message is
//! routed to whoever is subscribed at that moment, or dropped with a cause. It
//! reads no clock and touches no socket; encoding [`Up`] and [`Down`] to bytes is
//! the work of [`codec`], for which the frames carry their exact wire length.
//!
//! **Where to start reading.** `frame/` for what travels, `node/mod.rs` for the
//! node and `node/commands/` for one file per command family, `client/mod.rs`
//! for the client, `contender.rs` for settings and claims. [`glob`] holds the
//! pattern rules. Where the behaviour was looked up, it is that of 7.0, except
//! that a connection's push from its own PUBLISH follows the reply, as it has
//! since 7.2.

mod client;
pub mod codec;
mod contender;
pub mod frame;
pub mod glob;
mod node;

pub use client::{ClientConfig, RedisClient};
pub use contender::RedisPubSub;
pub use frame::{Body, Change, Down, Kind, Proto, Reply, Text, Texts, Up, Verb};
pub use node::{OutputLimit, Redis, RedisConfig};
