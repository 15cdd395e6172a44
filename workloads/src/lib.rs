//! What is offered to a broker, and what must come back.
//!
//! **What it is for.** A [`scenario::Scenario`] is a TOML file, parsed and
//! checked. A [`plan::Plan`] draws from it, lazily and from one seed, every
//! operation that publishers intend. A [`ledger`] keeps what was sent and what
//! came back, and says what was lost, doubled, reordered or damaged, and why.
//! [`queue::EventQueue`] is the event queue that the plan and the simulation share.
//!
//! **What it never does.** It knows no broker by name, reads no clock, opens no
//! file (the harness hands it text) and draws from no ambient randomness.
//!
//! **Where to start reading.** [`scenario::model`] for the shape of a scenario,
//! then [`plan`], then [`ledger`].

pub mod ledger;
pub mod plan;
pub mod queue;
pub mod scenario;
