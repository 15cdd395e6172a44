//! The Kafka-style log: a node and its client as pure state machines.
//!
//! **What it is for.** Topics are split into partitions; a partition is a log of
//! record batches that consumers read by offset, at their own pace, for as long
//! as retention keeps them. The node speaks Kafka's own requests and keeps
//! Kafka's own batches, so that what a batch costs, what a long poll costs and
//! what a group rebalance costs are seen for the reasons the original has.
//!
//! **What it never does.** It has one node: nothing is replicated, so an
//! acknowledgement proves one copy. Transactions and the newer group protocol
//! are neither claimed nor advertised.
//!
//! **Where to start reading.** [`frame`] for what travels and for the record
//! batch, then [`node`], then `client/mod.rs`; `contender.rs` and `settings.rs` for
//! claims and settings.

mod client;
mod contender;
pub mod frame;
pub mod node;
mod settings;

pub use client::{Acks, Assignor, ClientConfig, KafkaClient, Reset};
pub use contender::KafkaLog;
pub use node::{Kafka, KafkaConfig};
