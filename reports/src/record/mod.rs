//! The record: what a run leaves behind, field by field.
//!
//! **What it is for.** These structures are `report.json`, schema 1. Outside
//! programs rely on the names; adding a field is free, renaming or dropping one
//! takes a new [`SCHEMA`] number.
//!
//! **What it never does.** It computes no figure. Whoever fills it has measured
//! and judged already; a reader finds the same figures that the run printed.
//!
//! **Where to start reading.** [`Record`], then [`Trial`].
//!
//! Conventions: `_us` is microseconds, `_s` seconds, `_per_s` a rate over the
//! window, `_bytes` bytes. A figure that could not be had is `null`
//! ([`Option`]), never zero. Fields marked *added* are additions to the first
//! schema; a record without them is read with their defaults.

mod io;
mod latency;
mod ledger;
mod trial;
mod verdict;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use io::RecordError;
pub use latency::{CurvePoint, Latency, Quantile, Quantiles, micros};
pub use ledger::{Deliveries, Ledger, Messages, SubscriptionLedger};
pub use trial::{
    AckProves, Durable, Fault, Generator, Mode, Point, Resources, STAGES, Setting, Trial, Waste,
    Wire, WireThread,
};
pub use verdict::{ObjectiveResult, Outcome, Verdict};

/// The schema that this version writes and reads.
pub const SCHEMA: u64 = 1;

/// Everything that one `lab run` found out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// [`SCHEMA`].
    pub schema: u64,
    /// The program that wrote it.
    pub lab: Lab,
    /// The machine that it ran on.
    pub host: Host,
    /// The command line, as it would be typed again.
    pub command: String,
    /// When the run began: UTC, RFC 3339, such as `2026-01-31T12:00:00Z`.
    pub started_at: String,
    /// Whether the run was interrupted, so that trials are missing or short.
    pub partial: bool,
    /// The seed of everything random in it; at most 2^53.
    pub seed: u64,
    /// What was run.
    pub scenario: ScenarioInfo,
    /// Hexadecimal hash over the simulated trials in order; `None` without any.
    pub trace_hash: Option<String>,
    /// What follows from the trials.
    pub verdict: Verdict,
    /// In the order in which they ran.
    pub trials: Vec<Trial>,
    /// Highest sustained rates; empty unless they were looked for.
    #[serde(default)]
    pub capacity: Vec<Capacity>,
    /// Added: what the simulation charges for work, by contender.
    #[serde(default)]
    pub costs: BTreeMap<String, Vec<Cost>>,
    /// Added: what each contender is and promises, by contender.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub profiles: BTreeMap<String, Profile>,
    /// Added: contenders that were asked for and that a mode cannot play.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_played: Vec<NotPlayed>,
}

impl Default for Record {
    fn default() -> Self {
        Record {
            schema: SCHEMA,
            lab: Lab::default(),
            host: Host::default(),
            command: String::new(),
            started_at: String::new(),
            partial: false,
            seed: 0,
            scenario: ScenarioInfo::default(),
            trace_hash: None,
            verdict: Verdict::default(),
            trials: Vec::new(),
            capacity: Vec::new(),
            costs: BTreeMap::new(),
            profiles: BTreeMap::new(),
            not_played: Vec::new(),
        }
    }
}

/// A contender that a mode cannot play.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotPlayed {
    /// As it was asked for.
    pub contender: String,
    /// Where it is missing.
    pub mode: Mode,
    /// Why, such as `it has no codec yet`.
    pub reason: String,
}

/// The program that wrote a record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lab {
    /// Such as `0.1.0`.
    pub version: String,
    /// The source revision, where it was known when the program was built.
    pub commit: Option<String>,
}

/// The machine that a run ran on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The processor's own name.
    pub cpu: String,
    /// Logical processors that the program may use.
    pub cores: u32,
    /// Main memory.
    pub memory_bytes: u64,
    /// Kernel and version.
    pub os: String,
}

/// The scenario that was run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioInfo {
    /// The file's stem, such as `iot-50k`.
    pub name: String,
    /// One line.
    pub title: String,
    /// What it asks.
    pub question: String,
    /// Hexadecimal hash of the resolved scenario.
    pub hash: String,
    /// Dotted paths with values that differ from their documented defaults.
    pub non_defaults: Vec<String>,
}

/// What a contender is and promises, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Its name for people.
    pub title: String,
    /// What it is, in one sentence.
    pub summary: String,
    /// How often a message arrives.
    pub delivery: String,
    /// What stays in order.
    pub order: String,
    /// What happens to messages for a subscriber that is away.
    pub subscriber_away: String,
    /// What happens to a subscriber that reads too slowly.
    pub slow_subscriber: String,
    /// What a crash of the broker takes with it.
    pub crash: String,
}

/// What the simulation charges for one kind of work.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// What is charged for, such as `node, per frame in`.
    pub name: String,
    /// How much.
    pub value: f64,
    /// In this unit, such as `ns`.
    pub unit: String,
    /// Where the figure comes from.
    pub source: String,
    /// When it was taken, as `YYYY-MM-DD`.
    pub date: String,
    /// How far it varied, as a share of the value (0.1 is 10 %).
    pub spread: Option<f64>,
}

/// The highest rate that a contender sustained within the objectives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Capacity {
    /// The contender, with its preset where one was asked for.
    pub contender: String,
    /// How it was found out.
    pub mode: Mode,
    /// Offered messages per second.
    pub rate_per_s: f64,
    /// The rate up to which every run held, and the lowest from which on none did.
    pub bracket: [f64; 2],
    /// What stopped it: node CPU, disk, client, link, generator, machine (threads
    /// waited for a core) or search (its own bounds); objective where not even the
    /// slowest rate met the objectives; or not supported.
    pub limited_by: String,
    /// Latency against load, rates increasing.
    pub curve: Vec<CapacityPoint>,
    /// Added: whether something other than the broker ended the search (the
    /// generator, or the search's own bounds), so that the rate is a lower bound.
    #[serde(default)]
    pub at_least: bool,
    /// Added: the highest rate before latency leaves its unloaded level; `None`
    /// where the curve shows none.
    #[serde(default)]
    pub knee_per_s: Option<f64>,
    /// Added: runs at the edge that agreed, and runs at the edge.
    #[serde(default)]
    pub edge_runs: [u32; 2],
    /// Added: what to know about this figure, a sentence each.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// One step of a capacity search.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CapacityPoint {
    /// Offered messages per second.
    pub rate_per_s: f64,
    /// What came of it.
    pub achieved_per_s: f64,
    /// Median delivery response time.
    pub p50_us: Option<f64>,
    /// 99th percentile of it.
    pub p99_us: Option<f64>,
    /// Whether all objectives held.
    pub met: bool,
}
