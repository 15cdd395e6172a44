//! The log node: topics, partitions, groups, and everybody who waits.
//!
//! **What it is for.** It answers Kafka's requests as a broker of a cluster of
//! one does: it is the leader of every partition, the controller, and the
//! coordinator of every group.
//!
//! **What it never does.** It replicates nothing and runs no transactions. It
//! never looks into the batches that it is sent, unless a compacted topic needs
//! their keys: they go from the connection to the disk and back as they are.
//!
//! **How it waits.** A connection has one request in work ([`conns`]). A fetch
//! that finds too little parks (`fetch.rs`), a produce whose batch must be synced
//! first is pending (`acks.rs`), and so is everything that a change of topics
//! must be synced for. Both are woken by partition, never by looking at all.
//!
//! **Where to start reading.** [`Kafka::handle`] and `requests.rs`, then
//! `produce.rs` and `fetch.rs`; [`log`] is the partition's log and [`group`] the
//! group coordinator.

mod acks;
mod admin;
mod commits;
mod config;
mod configs;
mod conns;
mod fetch;
pub mod group;
mod groups;
mod invariants;
mod journal;
pub mod log;
mod metadata;
mod offsets;
mod produce;
mod requests;
#[cfg(test)]
mod tests;
mod topics;
mod upkeep;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use broker_contract::{
    Boot, BootError, Broker, CloseReason, ConnId, Disk, DiskError, Effects, Input, NoPeer, Note,
    SyncToken, Time,
};
use kafka_protocol::protocol::StrBytes;

use self::acks::Pending;
pub use self::config::{GroupConfig, KafkaConfig, LogConfig};
use self::conns::{Arrival, Asker, ConnRef, Conns};
use self::fetch::Parked;
use self::group::Coordinator;
use self::journal::{Entry, Journal};
use self::log::Cut;
pub use self::topics::OFFSETS_TOPIC;
use self::topics::{Opening, PartitionId, Topics, replay, settings_of};
use self::upkeep::Upkeep;
use crate::frame::{Down, Response, Up};

/// The one broker of the cluster.
const BROKER: i32 = 0;
/// Stands for the journal where a partition is named.
const JOURNAL: u32 = u32::MAX;
/// Stands for the compaction under way where a partition is named.
const CLEANER: u32 = u32::MAX - 1;

/// A node.
#[derive(Debug)]
pub struct Kafka {
    config: KafkaConfig,
    seed: broker_contract::SeedStream,
    conns: Conns,
    /// Connections that may have a next request to work on.
    ready: VecDeque<ConnId>,
    journal: Journal,
    /// Numbers of the journal's syncs: asked for, and done.
    journal_syncs: (u32, u32),
    /// Pending answers that need the journal's sync with this number.
    journal_acks: VecDeque<(u32, u64)>,
    topics: Topics,
    /// The leader epoch of all partitions: how often the store was booted before.
    epoch: i32,
    /// Whether the journal has this boot. On a full disk it has to wait, and
    /// nothing is appended until then: another boot would give the epoch again.
    has_noted_boot: bool,
    /// Producer ids: the next, and the first that is not in the journal.
    producer_ids: (i64, i64),
    pending: BTreeMap<u64, Pending>,
    parked: BTreeMap<u64, Parked>,
    parked_until: BTreeSet<(Time, u64)>,
    /// Which fetch a connection has parked.
    parked_of: BTreeMap<ConnRef, u64>,
    /// Numbers everything that waits.
    numbers: u64,
    groups: Coordinator,
    upkeep: Upkeep,
    cuts: Vec<Cut>,
}

impl Broker for Kafka {
    type Config = KafkaConfig;
    type Up = Up;
    type Down = Down;
    type Peer = NoPeer;

    fn boot(
        config: &KafkaConfig,
        boot: Boot,
        now: Time,
        out: &mut Effects<Self>,
    ) -> Result<Self, BootError> {
        config.check()?;
        let now_ms = unix_ms(config, now);
        let cluster = id_of(boot.seed.fork("cluster"));
        let opened = Journal::open(out.disk(), cluster)?;
        let mut cuts: Vec<Cut> = opened.cut.into_iter().collect();
        let state = replay(opened.entries);
        let listing = out.disk().list("")?;
        for name in listing.iter().filter(|name| name.starts_with(log::DELETED_FOLDER)) {
            out.disk().delete(name)?;
        }
        let mut topics = Topics::default();
        for (name, topic) in state.topics {
            let settings = settings_of(config, &name, &topic.settings).map_err(|reason| {
                BootError::Config(format!("the settings of topic {name} are refused: {reason}"))
            })?;
            let name = StrBytes::from_string(name);
            topics.insert(name.clone(), topic.id, topic.settings);
            let with =
                Opening { config: &settings, starts: &topic.starts, now_ms, listing: &listing };
            cuts.extend(topics.extend(out.disk(), &name, topic.partitions, &with)?);
        }
        let has_noted_boot = match opened.journal.append(out.disk(), &Entry::Booted) {
            Ok(()) => true,
            // Whoever wants to read must not wait for somebody to make room.
            Err(DiskError::Full) => false,
            Err(error) => return Err(error.into()),
        };
        for cut in &cuts {
            let what = if cut.is_torn { "torn tail cut" } else { "corrupt batch cut" };
            out.note(Note::Sometimes(what));
        }
        let mut node = Kafka {
            config: config.clone(),
            seed: boot.seed.nth(state.boots as u64),
            conns: Conns::default(),
            ready: VecDeque::new(),
            journal: opened.journal,
            journal_syncs: (0, 0),
            journal_acks: VecDeque::new(),
            topics,
            epoch: state.boots,
            has_noted_boot,
            producer_ids: (state.next_producer, state.next_producer),
            pending: BTreeMap::new(),
            parked: BTreeMap::new(),
            parked_until: BTreeSet::new(),
            parked_of: BTreeMap::new(),
            numbers: 0,
            groups: Coordinator::new(config.groups.clone()),
            upkeep: Upkeep::new(config, now),
            cuts,
        };
        node.sync_journal(out);
        node.load_groups(now, out)?;
        Ok(node)
    }

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Effects<Self>) {
        match input {
            Input::Frame { conn, frame } => self.arrived(now, conn, frame, out),
            Input::Drained { conn, bytes } => {
                self.conns.drained(conn, bytes);
                if self.conns.has_waiting(conn) {
                    self.ready.push_back(conn);
                }
            }
            Input::Opened { conn, origin } => {
                if self.upkeep.is_draining() {
                    out.close(conn, CloseReason::Shutdown);
                } else {
                    self.conns.open(conn, origin.address.as_deref().unwrap_or("").to_owned());
                }
            }
            Input::Closed { conn } => self.forget(conn),
            Input::Malformed { conn, .. } => {
                self.close(conn, CloseReason::Protocol("the frame could not be read"), out);
            }
            Input::Synced { token, result } => self.synced(now, token, result.is_ok(), out),
            Input::Tick => self.tick(now, out),
            Input::Drain => self.drain(now, out),
            Input::Peer { msg, .. } => match msg {},
        }
        // Whoever was answered may have sent the next request meanwhile.
        while let Some(conn) = self.ready.pop_front() {
            let room = self.config.send_buffer;
            if let Some(frame) = self.conns.next(conn, room) {
                self.work(now, conn, frame, out);
            }
        }
    }

    fn deadline(&self) -> Option<Time> {
        let parked = self.parked_until.first().map(|(until, _)| *until);
        [parked, self.groups.deadline(), self.upkeep.deadline()].into_iter().flatten().min()
    }

    fn check_invariants(&self, disk: &mut dyn Disk) -> Result<(), String> {
        self.check_all(disk)
    }

    fn memory_bytes(&self) -> u64 {
        let waiting = self.pending.len() * (size_of::<Pending>() + 64)
            + self.parked.len() * (size_of::<Parked>() + 256);
        self.conns.memory_bytes()
            + self.topics.memory_bytes()
            + self.groups.memory_bytes()
            + waiting as u64
    }
}

/// Unix milliseconds at `now`.
fn unix_ms(config: &KafkaConfig, now: Time) -> i64 {
    config.epoch_ms.saturating_add((now.as_nanos() / 1_000_000) as i64)
}

/// 16 bytes of a random stream, marked as a random UUID.
fn id_of(seed: broker_contract::SeedStream) -> [u8; 16] {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&seed.nth(0).bits().to_be_bytes());
    id[8..].copy_from_slice(&seed.nth(1).bits().to_be_bytes());
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    id
}

impl Kafka {
    /// What the last boot had to take away from the store to make it whole.
    pub fn cuts(&self) -> &[Cut] {
        &self.cuts
    }

    /// Checks every byte of every partition.
    ///
    /// # Errors
    /// [`log::LogError`] for the first thing that is wrong.
    pub fn verify(&mut self, out: &mut Effects<Self>) -> Result<(), log::LogError> {
        let mut from = 0;
        while let Some(id) = self.topics.next_from(from) {
            if let Some(partition) = self.topics.partition(id) {
                partition.log.verify(out.disk())?;
            }
            from = id.0 + 1;
        }
        Ok(())
    }

    /// How many fetches are parked.
    pub fn parked(&self) -> usize {
        self.parked.len()
    }

    fn now_ms(&self, now: Time) -> i64 {
        unix_ms(&self.config, now)
    }

    /// Makes up for a boot that the journal had no room for.
    ///
    /// # Errors
    /// [`DiskError`] of the disk; nothing may be appended then.
    fn note_boot(&mut self, out: &mut Effects<Self>) -> Result<(), DiskError> {
        if !self.has_noted_boot {
            self.journal.append(out.disk(), &Entry::Booted)?;
            self.has_noted_boot = true;
            self.sync_journal(out);
        }
        Ok(())
    }

    /// The newest epoch that no later boot gives again: that of a position at the
    /// end of a log.
    fn lasting_epoch(&self) -> i32 {
        self.epoch - i32::from(!self.has_noted_boot)
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn arrived(&mut self, now: Time, conn: ConnId, frame: Up, out: &mut Effects<Self>) {
        let (most, room) = (self.config.queued_requests, self.config.send_buffer);
        match self.conns.arrive(conn, frame, most, room) {
            Arrival::Work(frame) => self.work(now, conn, frame, out),
            Arrival::Kept => {}
            Arrival::TooMany => {
                let reason = CloseReason::Protocol("too many requests are waiting");
                self.close(conn, reason, out);
            }
        }
    }

    /// Answers a request, unless its connection is gone.
    fn answer(&mut self, to: Asker, response: impl Into<Response>, out: &mut Effects<Self>) {
        if !self.conns.is_open(to.from) {
            return;
        }
        let conn = to.from.conn;
        let Asker { correlation, version, .. } = to;
        let frame = Down { correlation, version, response: response.into() };
        // An answer that does not fit the version that was asked for is a mistake of
        // this node, and no reason to bring it down: whoever asked is told by the end
        // of the connection, as by the original.
        let Ok(len) = frame.checked_len() else {
            self.close(conn, CloseReason::Protocol("the answer does not fit the version"), out);
            return;
        };
        self.conns.answered(conn, len as u64);
        out.send(conn, frame);
        if self.conns.has_waiting(conn) {
            self.ready.push_back(conn);
        }
    }

    /// Goes on to the next request without an answer: that is what a produce
    /// request without acknowledgement gets.
    fn pass(&mut self, to: Asker) {
        let conn = to.from.conn;
        self.conns.answered(conn, 0);
        if self.conns.has_waiting(conn) {
            self.ready.push_back(conn);
        }
    }

    fn close(&mut self, conn: ConnId, reason: CloseReason, out: &mut Effects<Self>) {
        if self.conns.reference(conn).is_some() {
            self.forget(conn);
            out.close(conn, reason);
        }
    }

    /// Removes a connection and what it has parked. What is pending for it is
    /// left to end by itself: its answer finds nobody.
    fn forget(&mut self, conn: ConnId) {
        if let Some(of) = self.conns.reference(conn) {
            if let Some(number) = self.parked_of.remove(&of) {
                self.unpark(number);
            }
            self.conns.close(conn);
        }
    }

    fn token(of: u32, number: u32) -> SyncToken {
        SyncToken(u64::from(of) << 32 | u64::from(number))
    }

    fn synced(&mut self, now: Time, token: SyncToken, is_good: bool, out: &mut Effects<Self>) {
        let (of, number) = ((token.0 >> 32) as u32, token.0 as u32);
        match of {
            JOURNAL => self.journal_synced(now, number, is_good, out),
            CLEANER => self.cleaner_synced(number, is_good, out),
            id => self.log_synced(now, PartitionId(id), number, is_good, out),
        }
    }

    fn tick(&mut self, now: Time, out: &mut Effects<Self>) {
        while let Some((until, number)) = self.parked_until.first().copied() {
            if until > now {
                break;
            }
            self.answer_parked(now, number, out);
        }
        self.tick_groups(now, out);
        self.tick_upkeep(now, out);
    }
}
