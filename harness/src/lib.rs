//! The lab's binary as a library: the command line, and what stands behind it.
//!
//! **What it is for.** [`cli`] reads the command line, [`cmd`] has a file for
//! each verb, [`contenders`] is the static table of who competes, [`session`]
//! carries out a run: [`modes`] drive nodes and clients, [`trial`] holds what
//! every mode shares, [`measure`] turns events into figures and a verdict.
//! [`disk`] has the real files and [`wire`] the real sockets. [`soak`] searches random scenarios for broken promises; [`benching`] times the
//! cores for the costs that virtual time charges.
//!
//! **What it never does.** It implements no broker and judges no figure by
//! itself: cores are in `brokers/`, the books in `workloads/`, pages in `reports/`.
//!
//! **Where to start reading.** [`cli::main`], then [`cmd::run`], then [`session`].

pub mod benching;
pub mod capacity;
pub mod cli;
pub mod cmd;
pub mod contenders;
pub mod disk;
pub mod exit;
pub mod measure;
pub mod modes;
pub mod record_file;
pub mod scenario_file;
pub mod session;
pub mod soak;
pub mod term;
pub mod trial;
pub mod wire;
