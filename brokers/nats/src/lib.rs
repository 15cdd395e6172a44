//! NATS: the node, the client, and the client of JetStream, as pure state machines.
//!
//! **What it is for.** [`Nats`] is one server of the NATS protocol: subjects,
//! queue groups, request and reply, slow consumers. [`NatsClient`] is what an
//! application links against, and [`CoreNats`] ties them together with their
//! settings and promises. [`JetStreamClient`] and [`JetStream`] do the same for
//! streams and consumers, on the same server.
//!
//! **What it never does.** Core NATS stores nothing and acknowledges nothing, and
//! the server routes to no other server. No code here reads a clock or a socket;
//! bytes become [`frame`]s in [`codec`].
//!
//! **Where to start reading.** [`frame`] for what travels, `node/route.rs` for
//! the way of one message, `index/` for how it finds its subscribers, `client/`
//! for the other half, and `jetstream/` for what stands on top of it.

mod client;
pub mod codec;
mod contender;
pub mod frame;
pub mod index;
mod jetstream;
mod node;
pub mod subject;

pub use broker_jetstream::{JetStreamConfig, SyncPolicy};
pub use client::{ClientConfig, NatsClient};
pub use contender::CoreNats;
pub use jetstream::{
    ConsumerSettings, JetStream, JetStreamClient, JetStreamClientConfig, Resend, StreamSettings,
};
pub use node::{Nats, NatsConfig};
