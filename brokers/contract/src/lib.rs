//! The contract between a broker, its client, and whatever drives them.
//!
//! **What it is for.** A broker node ([`Broker`]) and a broker client
//! ([`Client`]) are state machines: they are handed the time and an input, and
//! they answer with effects. The same two values therefore run in virtual time,
//! on threads of this process, and behind sockets, and only the driver changes.
//! A [`Contender`] ties a client, its node, its settings and its [`Profile`]
//! (what it promises) together under a name.
//!
//! **What it never does.** Nothing here, and nothing that implements it, reads a
//! clock, starts a thread, opens a socket or a file, or draws from ambient
//! randomness. `brokers/clippy.toml` is the lint that proves it.
//!
//! **Where to start reading.** [`Broker`] and [`Input`] for the node's half,
//! [`Client`] and [`Op`] for the application's half, then [`Frame`] and
//! [`Envelope`] for what travels between them.

mod broker;
mod client;
mod codec;
mod contender;
mod disk;
mod effects;
mod envelope;
mod identity;
mod note;
mod op;
mod outcome;
mod profile;
mod seed;
mod settings;
mod time;
pub mod units;

pub use broker::{
    Boot, BootError, Broker, ConnId, Frame, FrameError, Input, NoPeer, NodeId, Origin, SyncToken,
};
pub use client::{Action, Actions, Client, ClientInput, ClientStart, Delivery, LinkId};
pub use codec::{Codec, Decoder, Sink, Step};
pub use contender::{Configured, Contender, Lowering};
pub use disk::{CrashKind, Disk, DiskError, DiskIo, FileId, MemoryDisk};
pub use effects::{CloseReason, Effect, Effects};
pub use envelope::{Envelope, Range};
pub use identity::{Corrupt, IDENTITY_LEN, Identity};
pub use note::{Cause, Note, Point};
pub use op::{AckPolicy, Declaration, Flow, GroupSeat, Op, Publish, Settle, Start, Ticket, Want};
pub use outcome::{Durability, Failure, Outcome, Proof, Support, Unsupported};
pub use profile::{Claim, Feature, Profile, Promises};
pub use seed::SeedStream;
pub use settings::{
    Preset, Setting, SettingError, SettingKind, SettingSpec, SettingValue, Settings,
};
pub use time::Time;
