//! The ways of running the same nodes and clients.
//!
//! **What it is for.** [`sim`] runs them in virtual time with modelled links,
//! CPUs and disks; [`embedded`] runs them on threads of this process against the
//! wall clock and real files; [`wire`] puts the node behind TCP. All fill the same [`crate::trial::RawTrial`].
//!
//! **What it never does.** No mode knows a broker: each is generic over
//! [`broker_contract::Contender`], and no broker knows a mode.
//!
//! **Where to start reading.** [`sim`].

pub mod embedded;
pub mod sim;
#[cfg(test)]
mod tests;
pub mod wire;
