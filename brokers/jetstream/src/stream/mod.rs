//! One stream: its configuration, its store, its consumers.
//!
//! - `publish.rs`: the way of a published message into the store;
//! - `limits.rs`: what is removed, and when;
//! - `commit.rs`: answers that wait for a sync;
//! - `dedup.rs`: the duplicate window;
//! - `consumers.rs`: making, changing, waking and deleting its consumers;
//! - `boot.rs`: how it comes back from the disk;
//! - `check.rs`: whether all of it agrees.

mod boot;
mod check;
mod commit;
pub(crate) mod config;
mod consumers;
mod dedup;
mod interest;
mod limits;
mod publish;

use std::collections::BTreeMap;
use std::time::Duration;

use broker_contract::{DiskError, FileId, Note, Time};
use serde::{Deserialize, Serialize};

pub(crate) use self::boot::boot;
use self::commit::{Commit, Held, is_always};
use self::config::{Retention, Storage, StreamConfig};
pub(crate) use self::consumers::{ConsumerRecord, Intent};
use self::dedup::Dedup;
use self::interest::Interest;
use crate::agenda::{Cx, Purpose, STREAM};
use crate::config::{JetStreamConfig, SyncPolicy};
use crate::consumer::Consumer;
use crate::error::ApiError;
use crate::journal::{Event, Journal};
use crate::store::{Matcher, Store};

/// What the journal keeps of a stream.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct StreamRecord {
    pub config: StreamConfig,
    /// Nanoseconds since 1970.
    pub created: u64,
}

/// One stream.
#[derive(Debug)]
pub(crate) struct Stream {
    pub config: StreamConfig,
    /// Nanoseconds since 1970.
    pub created: u64,
    pub store: Store,
    journal: Option<Journal>,
    consumers: Vec<Option<Box<Consumer>>>,
    by_name: BTreeMap<Box<str>, u32>,
    interest: Interest,
    /// The places of the consumers that the present message came for.
    takers: Vec<u32>,
    next_consumer: u32,
    dedup: Dedup,
    commit: Commit,
    /// The last message that is durable, or was there at the last boot. Where
    /// acknowledgements wait for syncs, consumers wait as well: what a power loss
    /// takes back must not have been seen, because its sequence is given again.
    safe: u64,
    /// What [`Stream::safe`] is once the syncs that run have ended.
    covering: u64,
    /// The timer that is set, and what it may be for.
    timer: Option<Time>,
    age_at: Option<Time>,
    sync_at: Option<Time>,
    /// Whether removals by a limit are still to be done.
    is_over_limit: bool,
    /// A purge that goes on: its filter, and the sequences from and up to which it
    /// removes.
    purge: Option<(Matcher, u64, u64)>,
    /// Messages that a consumer settled during the present work.
    settled: Vec<u64>,
}

/// The folder of a stream's files.
pub(crate) fn folder(name: &str) -> String {
    format!("{ROOT}{name}/")
}

/// The folder of all streams' files.
pub(crate) const ROOT: &str = "jetstream/";

/// Bytes of a block for streams of this retention.
fn block_size(config: &JetStreamConfig, retention: Retention) -> u32 {
    if retention == Retention::Limits { config.block_size } else { config.block_size / 2 }
}

impl Stream {
    /// A new stream, of a complete configuration.
    ///
    /// # Errors
    /// Those of the disk; nothing is left of it then.
    pub fn create(cx: &mut Cx<'_>, config: StreamConfig) -> Result<Stream, DiskError> {
        let dir = folder(&config.name);
        let (mut store, mut journal) = match config.storage {
            Storage::Memory => (Store::in_memory(), None),
            Storage::File => {
                let size = block_size(cx.config, config.retention);
                let journal = Journal::create(cx.host.disk(), &dir)?;
                (Store::in_files(&dir, size), Some(journal))
            }
        };
        let record = StreamRecord { config, created: cx.unix };
        let mut written = Ok(());
        if let Some(journal) = &mut journal {
            let json = serde_json::to_vec(&record).unwrap_or_default();
            written = journal.append(cx.host.disk(), &Event::Stream(json));
        }
        if written.is_ok() && record.config.first_seq > 1 {
            written = store.skip_to(cx.host.disk(), record.config.first_seq - 1);
        }
        if let Err(error) = written {
            store.destroy(cx.host.disk());
            if let Some(journal) = &mut journal {
                journal.destroy(cx.host.disk());
            }
            return Err(error);
        }
        Ok(Stream::with(record, store, journal))
    }

    fn with(record: StreamRecord, store: Store, journal: Option<Journal>) -> Stream {
        let safe = store.state().last;
        Stream {
            config: record.config,
            created: record.created,
            store,
            journal,
            consumers: Vec::new(),
            by_name: BTreeMap::new(),
            interest: Interest::default(),
            takers: Vec::new(),
            next_consumer: 0,
            dedup: Dedup::default(),
            commit: Commit::default(),
            safe,
            covering: safe,
            timer: None,
            age_at: None,
            sync_at: None,
            is_over_limit: false,
            purge: None,
            settled: Vec::new(),
        }
    }

    /// Takes a changed configuration over.
    ///
    /// # Errors
    /// [`ApiError`], when the change is not allowed or cannot be written down.
    pub fn update(&mut self, cx: &mut Cx<'_>, config: StreamConfig) -> Result<(), ApiError> {
        self.config.check_update(&config)?;
        let record = StreamRecord { config, created: self.created };
        if let Some(journal) = &mut self.journal {
            let json = serde_json::to_vec(&record).unwrap_or_default();
            journal
                .append(cx.host.disk(), &Event::Stream(json))
                .map_err(|error| ApiError::store_failed(error.to_string()))?;
            // What the old limits removed, looser ones must not bring back.
            self.store.note_first(cx.host.disk());
        }
        self.config = record.config;
        self.age_at = None;
        self.enforce_limits(cx);
        self.enforce_per_subject(cx);
        if self.config.retention != Retention::Limits {
            self.sweep_settled(cx);
        }
        self.arm_age(cx);
        self.see_to_syncs(cx);
        Ok(())
    }

    /// Deletes everything the stream has.
    pub fn destroy(&mut self, cx: &mut Cx<'_>) {
        let places: Vec<u32> = self.by_name.values().copied().collect();
        for place in places {
            self.delete_consumer(cx, place);
        }
        if let Some(at) = self.timer.take() {
            cx.agenda.cancel(at, cx.stream, STREAM);
        }
        if let Some(journal) = &mut self.journal {
            // If the end comes in between, the next boot goes on deleting.
            let _ = journal.append(cx.host.disk(), &Event::Deleted);
        }
        self.store.destroy(cx.host.disk());
        if let Some(journal) = &mut self.journal {
            journal.destroy(cx.host.disk());
        }
    }

    /// Answers `reply` once everything so far is durable, if it ever has to be.
    pub fn answer_when_durable(&mut self, cx: &mut Cx<'_>, held: Held) {
        if held.reply.is_empty() {
            return;
        }
        if self.journal.is_none() {
            cx.host.send(&held.reply, &held.reply, &[], &[], &held.body);
            return;
        }
        self.commit.hold(held);
        self.begin_commit(cx);
    }

    /// The same, for a result of the API.
    pub fn answer_api(&mut self, cx: &mut Cx<'_>, reply: &[u8], body: Vec<u8>, refusal: Vec<u8>) {
        self.answer_when_durable(cx, Held { reply: reply.into(), body, refusal });
    }

    fn begin_commit(&mut self, cx: &mut Cx<'_>) {
        if self.commit.is_running() {
            return;
        }
        self.covering = self.store.state().last;
        let files = self.take_dirty_files();
        self.commit.begin(cx, files);
        if !self.commit.is_running() {
            self.covered(cx);
        }
    }

    /// Whether messages have to be durable before anybody hears of them.
    fn commits_first(&self, cx: &Cx<'_>) -> bool {
        is_always(cx) && self.journal.is_some()
    }

    /// Everything up to [`Stream::covering`] has been synced, as far as it could be:
    /// when that fails, publishers are told, and consumers are not kept waiting.
    fn covered(&mut self, cx: &mut Cx<'_>) {
        if self.safe >= self.covering {
            return;
        }
        self.safe = self.covering;
        if self.commits_first(cx) {
            for place in 0..self.consumers.len() {
                if self.consumers[place].is_some() {
                    self.pump(cx, place as u32);
                }
            }
            self.retire_settled(cx);
        }
    }

    fn take_dirty_files(&mut self) -> Vec<FileId> {
        let mut files = self.store.take_unsynced();
        files.extend(self.journal.as_mut().and_then(Journal::take_dirty));
        files
    }

    /// A sync that was asked for this stream has ended.
    pub fn synced(&mut self, cx: &mut Cx<'_>, purpose: Purpose, result: Result<(), DiskError>) {
        let is_durable = result.is_ok();
        if !is_durable {
            cx.host.note(Note::Sometimes("sync failed"));
        }
        match purpose {
            Purpose::Successor => {
                if let Some(journal) = &mut self.journal {
                    journal.succeed(cx.host.disk(), is_durable);
                }
            }
            Purpose::Commit => {
                if self.commit.synced(cx, is_durable) {
                    self.covered(cx);
                    let has_more = self.commits_first(cx) && self.store.state().last > self.safe;
                    if self.commit.has_next() || has_more {
                        self.begin_commit(cx);
                    }
                }
            }
        }
        self.see_to_syncs(cx);
    }

    /// Sees to it that what was written is synced some time, and that the journal
    /// does not grow for ever.
    fn see_to_syncs(&mut self, cx: &mut Cx<'_>) {
        let Some(journal) = &self.journal else { return };
        let (is_dirty, wants_successor) = (journal.is_dirty(), journal.wants_successor());
        if self.sync_at.is_none() && (is_dirty || self.store.has_unsynced()) {
            let after = match cx.config.sync {
                SyncPolicy::Interval(interval) => interval,
                // Messages do not wait for it; only the positions of consumers do.
                SyncPolicy::Always => Duration::from_secs(1),
            };
            self.sync_at = Some(cx.now + after);
            self.arm(cx, cx.now + after);
        }
        if wants_successor {
            self.renew_journal(cx);
        }
    }

    fn renew_journal(&mut self, cx: &mut Cx<'_>) {
        let record = StreamRecord { config: self.config.clone(), created: self.created };
        let json = serde_json::to_vec(&record).unwrap_or_default();
        let consumers = self.consumers.iter().flatten().filter(|consumer| consumer.is_kept());
        let events = consumers.flat_map(|consumer| consumer.events());
        let events = std::iter::once(Event::Stream(json)).chain(events);
        let Some(journal) = &mut self.journal else { return };
        if let Some(file) = journal.begin_successor(cx.host.disk(), events) {
            cx.sync(file, Purpose::Successor);
        }
    }

    fn arm(&mut self, cx: &mut Cx<'_>, at: Time) {
        if self.timer.is_none_or(|set| at < set) {
            if let Some(set) = self.timer.replace(at) {
                cx.agenda.cancel(set, cx.stream, STREAM);
            }
            cx.agenda.set(at, cx.stream, STREAM);
        }
    }

    /// The stream's timer came.
    pub fn tick(&mut self, cx: &mut Cx<'_>) {
        self.timer = None;
        if self.sync_at.is_some_and(|at| at <= cx.now) {
            self.sync_at = None;
            if self.commit.is_running() {
                self.see_to_syncs(cx);
            } else {
                self.begin_commit(cx);
            }
        }
        if self.age_at.is_some_and(|at| at <= cx.now) {
            self.age_at = None;
            self.expire(cx);
        }
        if self.is_over_limit {
            self.enforce_limits(cx);
        }
        self.go_on_purging(cx);
        for at in [self.sync_at, self.age_at].into_iter().flatten() {
            self.arm(cx, at);
        }
    }

    pub fn memory_bytes(&self) -> u64 {
        let consumers: u64 =
            self.consumers.iter().flatten().map(|consumer| consumer.memory_bytes()).sum();
        self.store.memory_bytes()
            + consumers
            + self.interest.memory_bytes()
            + self.dedup.memory_bytes()
            + self.commit.memory_bytes()
            + self.journal.as_ref().map_or(0, Journal::memory_bytes)
    }
}
