//! The Kafka-style log: its node as a pure state machine.
//!
//! **What it is for.** Topics are split into partitions; a partition is a log of
//! record batches that consumers read by offset, at their own pace, for as long
//! as retention keeps them. The node speaks Kafka's own requests and keeps
//! Kafka's own batches, so that what a batch costs, what a long poll costs and
//! what a group rebalance costs are seen for the reasons the original has.
//!
//! **What it never does.** It has one node: nothing is replicated, so an
//! acknowledgement proves one copy. It has no client half yet, so the lab does
//! not run it as a contender. Transactions and the newer group protocol
//! are neither claimed nor advertised.
//!
//! **Where to start reading.** [`frame`] for what travels and for the record
//! batch, then [`node`].

pub mod frame;
pub mod node;

pub use node::{Kafka, KafkaConfig};
