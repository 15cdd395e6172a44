//! JetStream: streams and consumers, as a library that a NATS node hosts.
//!
//! **What it is for.** [`JetStream`] keeps messages that are published to the
//! subjects of its streams and delivers them to consumers until they are
//! acknowledged. Everything about it goes through messages, as in the original:
//! requests to `$JS.API.>`, acknowledgements to `$JS.ACK.>`.
//!
//! **What it never does.** It knows no frames and no connections: the node hands it
//! each message that is published, and routes what it sends, through [`Host`]. It
//! reads no clock and opens no file but through the node's disk.
//!
//! **Where to start reading.** [`JetStream::publish`] for what comes in, `stream/`
//! for how a message is stored, `consumer/` for how it is delivered, `store/` for
//! the format of the files, `api/` for the requests.

mod agenda;
mod api;
mod calendar;
mod config;
mod consumer;
mod digits;
mod error;
mod headers;
mod host;
mod journal;
mod routes;
mod server;
mod store;
mod stream;
mod subject;

pub use config::{JetStreamConfig, SyncPolicy};
pub use error::ApiError;
pub use host::{Host, Published};
pub use server::JetStream;
