//! The verbs of the command line, a file each.
//!
//! **What it is for.** Each file has the arguments of its verb with their help
//! and examples, and a `run` that turns them into work done elsewhere.
//!
//! **What it never does.** A verb measures nothing and knows no broker; results
//! go to standard output, everything else to standard error.
//!
//! **Where to start reading.** [`run`], the verb that the others serve.

pub mod bench;
pub mod bench_generator;
pub mod bench_peers;
pub mod capacity;
pub mod check;
pub mod compare;
pub mod completions;
pub mod list;
pub mod matrix;
pub mod new;
pub mod report;
pub mod run;
pub mod serve;
pub mod soak;
pub mod trace;
