//! Core NATS: the node and the client as pure state machines.
//!
//! **What it is for.** [`Nats`] is one server of the NATS protocol without
//! persistence: subjects, queue groups, request and reply, slow consumers.
//! [`NatsClient`] is what an application links against. [`CoreNats`] ties them
//! together with their settings and promises.
//!
//! **What it never does.** It stores nothing, acknowledges nothing, and routes
//! to no other server. No code here reads a clock or a socket; bytes become
//! [`frame`]s elsewhere.
//!
//! **Where to start reading.** [`frame`] for what travels, `node/route.rs` for
//! the way of one message, `index/` for how it finds its subscribers, and
//! `client/` for the other half.

mod client;
mod contender;
pub mod frame;
pub mod index;
mod node;
pub mod subject;

pub use client::{ClientConfig, NatsClient};
pub use contender::CoreNats;
pub use node::{Nats, NatsConfig};
