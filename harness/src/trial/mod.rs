//! One trial: one contender, one mode, one repeat.
//!
//! **What it is for.** The halves that every mode shares ([`sender`],
//! [`consumers`]), the cast that maps members to clients ([`cast`]), what a mode
//! hands over at the end ([`RawTrial`]), and the accounting that turns it into a
//! trial of the record ([`account`]).
//!
//! **What it never does.** It owns no clock and no loop: a mode drives it.
//!
//! **Where to start reading.** [`RawTrial`], then [`sender::Sender::submit`] and
//! [`consumers::Consumers::received`], the two ends of a message's way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use broker_contract::{Cause, CrashKind, Unsupported};
use lab_workloads::ledger::{Away, Drop, SeenLog};

use crate::measure::meters::Measured;
use crate::measure::sampled::Moments;
use cast::Cast;
use consumers::SampledDelivery;
use sender::SentHalf;

pub mod account;
pub mod away;
pub mod cast;
pub mod consumers;
pub mod sender;
mod series;
pub mod terms;

/// What a mode hands over when a trial has ended. Times are nanoseconds on the
/// run's clock, whose zero is the end of set-up.
#[derive(Debug)]
pub struct RawTrial {
    /// The sending half.
    pub sent: SentHalf,
    /// The seen half of the ledger.
    pub seen: SeenLog,
    /// Delivery times.
    pub measured: Measured,
    /// Later halves of sampled deliveries.
    pub sampled: Vec<SampledDelivery>,
    /// When sampled messages left their clients.
    pub sent_at: Moments,
    /// When sampled messages reached the node.
    pub arrived_at: Moments,
    /// What happened in virtual time: inputs of the loop; 0 in real time.
    pub events: u64,
    /// Messages that went no further on the publisher's side, and why.
    pub drops: Vec<Drop>,
    /// Copies that went no further on a consumer's side.
    pub copies_dropped: Vec<CopyDrop>,
    /// When subscriptions were not in force.
    pub away: Vec<Away>,
    /// Copies under way at the end, as (scope, number).
    pub undrained: Vec<(u32, u32)>,
    /// Messages under way to the node at the end; all their copies are undrained.
    pub undrained_numbers: Vec<u32>,
    /// Longest time from a message's intended time to the node's handling of it.
    pub transit_ns: u64,
    /// What it cost.
    pub resources: Resources,
    /// Faults by index in the scenario, and whether each took effect.
    pub faults: Vec<bool>,
    /// Time from boot to the run's zero.
    pub setup: Duration,
    /// When it ended.
    pub ended_ns: u64,
    /// Hash over every event, in virtual time.
    pub trace_hash: Option<u64>,
    /// Rare events, counted.
    pub sometimes: BTreeMap<&'static str, u64>,
    /// Messages and bytes received only to be thrown away.
    pub wasted: (u64, u64),
    /// Crashes of the node, in order of time.
    pub crashes: Vec<NodeCrash>,
    /// Per population, what consumers made of the messages.
    pub handled: Vec<Handled>,
    /// Populations with an operation that this contender turned out not to have,
    /// by index.
    pub unsupported: BTreeMap<usize, Unsupported>,
    /// Why logs were not declared, if so.
    pub undeclared: Option<Unsupported>,
    /// Why the trial says nothing, if so.
    pub broken: Option<String>,
    /// Whether somebody interrupted it.
    pub interrupted: bool,
    /// What the threads asked of the system, over TCP: the server's, the senders',
    /// the receivers'.
    pub calls: Option<[Calls; 3]>,
    /// CPU seconds of the senders' thread and of the receivers', where they are apart.
    pub clients_cpu_s: [f64; 2],
}

/// System calls on sockets, and what they moved.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Connections that are open.
    pub connections: u64,
    /// Calls that read.
    pub reads: u64,
    /// Calls that wrote.
    pub writes: u64,
    /// Calls that waited, or asked what is ready.
    pub polls: u64,
    /// Frames read.
    pub frames_in: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
}

impl Calls {
    /// What has come since `before`; of connections, those that were open then.
    pub fn since(&self, before: &Calls) -> Calls {
        Calls {
            connections: before.connections,
            reads: self.reads - before.reads,
            writes: self.writes - before.writes,
            polls: self.polls - before.polls,
            frames_in: self.frames_in - before.frames_in,
            bytes_in: self.bytes_in - before.bytes_in,
            bytes_out: self.bytes_out - before.bytes_out,
        }
    }
}

/// A crash of the node, and what was not safe from it.
#[derive(Copy, Clone, Debug)]
pub struct NodeCrash {
    /// When.
    pub at_ns: u64,
    /// What survives.
    pub how: CrashKind,
    /// When the oldest bytes were appended that the disk lost; `u64::MAX` for none.
    pub lost_from_ns: u64,
}

/// What the consumers of a population made of their messages.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Handled {
    /// Messages whose processing never succeeded, poison left out.
    pub unprocessed: u64,
    /// Messages whose processing could not succeed.
    pub poison: u64,
}

/// A copy that went no further on its way to a member.
#[derive(Copy, Clone, Debug)]
pub struct CopyDrop {
    /// What happened, for the ledger; the scope is set.
    pub drop: Drop,
    /// The member of the group. Where clients share the work among themselves,
    /// only the loss of the owner's copy loses the message.
    pub member: u32,
}

/// What a trial cost, from the run's zero to its end.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    /// CPU seconds of the node.
    pub node_cpu_s: f64,
    /// CPU seconds of all clients, the generator included.
    pub client_cpu_s: f64,
    /// Heap bytes of the node at the end.
    pub node_memory_bytes: u64,
    /// Bytes of frames to the node.
    pub bytes_in: u64,
    /// Bytes of frames from the node.
    pub bytes_out: u64,
    /// Bytes written to the node's disk.
    pub disk_bytes: u64,
    /// Syncs completed.
    pub syncs: u64,
}

/// Keeps what a node or a client lets go of: a copy of `client`'s, or everybody's.
pub fn note_drop(
    cast: &Cast,
    client: Option<u32>,
    number: u32,
    cause: Cause,
    drops: &mut Vec<Drop>,
    copies: &mut Vec<CopyDrop>,
) {
    match client {
        Some(client) => drop_copies(cast, client, number, cause, drops, copies),
        None => drops.push(Drop { number, scope: None, cause }),
    }
}

/// Notes the loss of a client's copy for each of its seats. A client with more
/// than one subscription may be told of scopes that did not expect the message;
/// the ledger asks only about those that did.
pub fn drop_copies(
    cast: &Cast,
    client: u32,
    number: u32,
    cause: Cause,
    drops: &mut Vec<Drop>,
    copies: &mut Vec<CopyDrop>,
) {
    let seats = &cast.seats_of_client[client as usize];
    if seats.is_empty() {
        drops.push(Drop { number, scope: None, cause });
    }
    for seat in seats {
        let place = &cast.seats[*seat as usize];
        let drop = Drop { number, scope: Some(place.scope), cause };
        copies.push(CopyDrop { drop, member: place.member });
    }
}

/// What a running trial shows, and how it is told to stop.
#[derive(Debug, Default)]
pub struct Watch {
    interrupt: Arc<AtomicBool>,
    permille: AtomicU32,
    p99_ns: AtomicU64,
    delivered: AtomicU64,
}

impl Watch {
    /// A watch over a trial that ends early when `interrupt` is set.
    pub fn new(interrupt: Arc<AtomicBool>) -> Watch {
        Watch { interrupt, ..Watch::default() }
    }

    /// Whether somebody wants the trial to end.
    pub fn interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    /// Notes how far the trial is.
    pub fn at(&self, now_ns: u64, of_ns: u64, p99_ns: u64, delivered: u64) {
        let permille = now_ns.saturating_mul(1000) / of_ns.max(1);
        self.permille.store(permille.min(1000) as u32, Ordering::Relaxed);
        self.p99_ns.store(p99_ns, Ordering::Relaxed);
        self.delivered.store(delivered, Ordering::Relaxed);
    }

    /// Thousandths done, the current 99th percentile in nanoseconds, deliveries.
    pub fn progress(&self) -> (u32, u64, u64) {
        (
            self.permille.load(Ordering::Relaxed),
            self.p99_ns.load(Ordering::Relaxed),
            self.delivered.load(Ordering::Relaxed),
        )
    }
}
