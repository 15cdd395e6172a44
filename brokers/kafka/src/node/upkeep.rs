//! What a node does when nobody asks: syncs by time, retention, compaction, and
//! its orderly end. All of it in bounded steps, one tick after the other.

use std::collections::{BTreeSet, VecDeque};

use broker_contract::{Cause, CloseReason, Effects, Identity, Note, Time};

use super::config::KafkaConfig;
use super::log::{Burial, Cleaned, Cleaner, Log, Removed, millis};
use super::topics::PartitionId;
use super::{CLEANER, Kafka};

/// Partitions that one step of retention or of the shutdown looks at.
const PARTITIONS_STEP: usize = 64;
/// Connections that one step of the shutdown closes.
const CONNS_STEP: usize = 256;

/// The compaction of one partition, under way.
#[derive(Debug)]
struct Cleaning {
    id: PartitionId,
    cleaner: Cleaner,
    /// It waits for a sync with this number.
    syncing: Option<u32>,
}

/// How far an orderly end has come.
#[derive(Debug)]
enum Draining {
    /// Partitions from here on are still to be synced and summarised.
    Logs(u32),
    /// Syncs are under way.
    Syncs,
    /// Connections are being closed.
    Conns,
    /// Nothing is left.
    Done,
}

/// Timers and work under way.
#[derive(Debug)]
pub struct Upkeep {
    retention_at: Time,
    /// Retention is at this partition, if it is at work.
    retaining: Option<u32>,
    cleaner_at: Time,
    cleaning: Option<Cleaning>,
    sync_number: u32,
    /// Logs in which compaction met damage. It leaves them alone.
    uncleanable: BTreeSet<PartitionId>,
    flushes: BTreeSet<(Time, PartitionId)>,
    burials: VecDeque<Burial>,
    draining: Option<Draining>,
}

impl Upkeep {
    /// The timers of a node that boots at `now`.
    pub fn new(config: &KafkaConfig, now: Time) -> Upkeep {
        Upkeep {
            retention_at: now + config.retention_check,
            retaining: None,
            cleaner_at: now + config.cleaner_backoff,
            cleaning: None,
            sync_number: 0,
            uncleanable: BTreeSet::new(),
            flushes: BTreeSet::new(),
            burials: VecDeque::new(),
            draining: None,
        }
    }

    /// When the next step is due.
    pub fn deadline(&self) -> Option<Time> {
        let cleans = self.cleaning.as_ref().is_some_and(|cleaning| cleaning.syncing.is_none());
        let drains = matches!(self.draining, Some(Draining::Logs(_) | Draining::Conns));
        if cleans || drains || self.retaining.is_some() || !self.burials.is_empty() {
            // There is more to do at once.
            return Some(Time::ZERO);
        }
        if self.draining.is_some() {
            return None;
        }
        let flush = self.flushes.first().map_or(Time::MAX, |(at, _)| *at);
        let clean = if self.cleaning.is_some() { Time::MAX } else { self.cleaner_at };
        Some(self.retention_at.min(clean).min(flush))
    }

    /// Syncs a log at this time, by its `flush.ms`.
    pub fn flush_at(&mut self, at: Time, id: PartitionId) {
        self.flushes.insert((at, id));
    }

    /// Accounts for segments that were taken out, and deletes them.
    pub fn bury(&mut self, removed: impl IntoIterator<Item = Removed>) {
        self.burials.extend(removed.into_iter().map(Burial::new));
    }

    /// Whether the node is ending.
    pub fn is_draining(&self) -> bool {
        self.draining.is_some()
    }
}

impl Kafka {
    pub(super) fn tick_upkeep(&mut self, now: Time, out: &mut Effects<Self>) {
        self.flush_due(now, out);
        self.bury_step(out);
        if self.upkeep.retaining.is_none() && self.upkeep.retention_at <= now {
            self.upkeep.retention_at = now + self.config.retention_check;
            self.upkeep.retaining = Some(0);
        }
        self.retention_step(now, out);
        if self.upkeep.cleaning.is_none() && self.upkeep.cleaner_at <= now {
            self.upkeep.cleaner_at = now + self.config.cleaner_backoff;
            self.begin_cleaning(now);
        }
        self.cleaning_step(now, out);
        self.drain_step(now, out);
    }

    fn flush_due(&mut self, now: Time, out: &mut Effects<Self>) {
        while let Some((at, id)) = self.upkeep.flushes.first().copied() {
            if at > now {
                break;
            }
            self.upkeep.flushes.pop_first();
            if let Some(partition) = self.topics.partition(id) {
                partition.has_flush_timer = false;
                partition.log.flush();
                self.ask_syncs(id, out);
            }
        }
    }

    /// Notes the records of a piece of a segment that is gone, and deletes the
    /// file after the last.
    fn bury_step(&mut self, out: &mut Effects<Self>) {
        let Some(burial) = self.upkeep.burials.front_mut() else { return };
        let mut gone = Vec::new();
        let step = burial.step(out.disk(), &mut |value| {
            gone.extend(Identity::verify(value));
        });
        note_gone(gone, out);
        // A file that cannot be read or deleted is left to the next boot.
        if step.unwrap_or(true) {
            self.upkeep.burials.pop_front();
        }
    }

    fn retention_step(&mut self, now: Time, out: &mut Effects<Self>) {
        let Some(mut from) = self.upkeep.retaining else { return };
        let now_ms = self.now_ms(now);
        let expired_ms = now_ms.saturating_sub(millis(self.config.producer_expiration));
        for _ in 0..PARTITIONS_STEP {
            let Some(id) = self.topics.next_from(from) else {
                self.upkeep.retaining = None;
                return;
            };
            from = id.0 + 1;
            let Some(partition) = self.topics.partition(id) else { continue };
            partition.log.expire_producers(expired_ms);
            match partition.log.retain(out.disk(), now_ms) {
                Ok(removed) => self.upkeep.bury(removed),
                Err(_) => out.note(Note::Sometimes("retention failed")),
            }
            self.ask_syncs(id, out);
        }
        self.upkeep.retaining = Some(from);
    }

    /// Begins with the dirtiest log.
    fn begin_cleaning(&mut self, now: Time) {
        let now_ms = self.now_ms(now);
        let dirty = self.topics.partitions().filter_map(|(id, partition)| {
            let is_sound = !self.upkeep.uncleanable.contains(&id) && !partition.log.has_failed();
            let ratio = partition.log.dirtiness(now_ms).filter(|_| is_sound)?;
            Some((id, ratio))
        });
        let dirtiest = dirty.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
        if let Some((id, _)) = dirtiest
            && let Some(partition) = self.topics.peek(id)
        {
            let cleaner = partition.log.cleaner(self.config.cleaner_buffer, now_ms);
            self.upkeep.cleaning = Some(Cleaning { id, cleaner, syncing: None });
        }
    }

    fn cleaning_step(&mut self, now: Time, out: &mut Effects<Self>) {
        let Some(cleaning) = &mut self.upkeep.cleaning else { return };
        if cleaning.syncing.is_some() {
            return;
        }
        let id = cleaning.id;
        let Some(partition) = self.topics.partition(id) else {
            self.upkeep.cleaning = None;
            return;
        };
        let mut gone = Vec::new();
        let step = cleaning.cleaner.step(&mut partition.log, out.disk(), &mut |value| {
            gone.extend(Identity::verify(value));
        });
        note_gone(gone, out);
        match step {
            Ok(Cleaned::More) => {}
            Ok(Cleaned::Sync(file)) => {
                self.upkeep.sync_number = self.upkeep.sync_number.wrapping_add(1);
                let number = self.upkeep.sync_number;
                cleaning.syncing = Some(number);
                out.sync(file, Self::token(CLEANER, number));
            }
            Ok(Cleaned::Done) => {
                self.upkeep.cleaning = None;
                // There may be another one to clean; the pause is for idle times.
                self.upkeep.cleaner_at = now;
                self.begin_cleaning(now);
                if self.upkeep.cleaning.is_none() {
                    self.upkeep.cleaner_at = now + self.config.cleaner_backoff;
                }
            }
            Err(error) => {
                if matches!(error, super::log::LogError::Corrupt { .. }) {
                    self.upkeep.uncleanable.insert(id);
                    out.note(Note::Sometimes("corrupt batch read"));
                }
                self.abandon_cleaning(out);
            }
        }
    }

    fn abandon_cleaning(&mut self, out: &mut Effects<Self>) {
        if let Some(Cleaning { id, cleaner, .. }) = self.upkeep.cleaning.take()
            && let Some(partition) = self.topics.peek(id)
            && cleaner.abandon(&partition.log, out.disk()).is_err()
        {
            out.note(Note::Sometimes("a copy of compaction was left behind"));
        }
    }

    /// A partition is being deleted; its compaction ends.
    pub(super) fn forget_cleaning(&mut self, id: PartitionId, log: &Log, out: &mut Effects<Self>) {
        if let Some(Cleaning { cleaner, .. }) =
            self.upkeep.cleaning.take_if(|cleaning| cleaning.id == id)
            && cleaner.abandon(log, out.disk()).is_err()
        {
            out.note(Note::Sometimes("a copy of compaction was left behind"));
        }
    }

    pub(super) fn cleaner_synced(&mut self, number: u32, is_good: bool, out: &mut Effects<Self>) {
        let Some(cleaning) = &mut self.upkeep.cleaning else { return };
        if cleaning.syncing != Some(number) {
            return;
        }
        cleaning.syncing = None;
        if !is_good {
            // The copy may not be whole; the segment stays as it is.
            self.abandon_cleaning(out);
        }
    }

    /// Begins an orderly end: who waits is answered, logs are synced, and what
    /// the next boot needs to know is written.
    pub(super) fn drain(&mut self, now: Time, out: &mut Effects<Self>) {
        if self.upkeep.draining.is_some() {
            return;
        }
        self.upkeep.draining = Some(Draining::Logs(0));
        self.abandon_cleaning(out);
        while let Some((_, number)) = self.parked_until.first().copied() {
            self.answer_parked(now, number, out);
        }
        self.drain_step(now, out);
    }

    fn drain_step(&mut self, now: Time, out: &mut Effects<Self>) {
        match self.upkeep.draining {
            Some(Draining::Logs(mut from)) => {
                for _ in 0..PARTITIONS_STEP {
                    let Some(id) = self.topics.next_from(from) else {
                        self.upkeep.draining = Some(Draining::Syncs);
                        return self.drained(now, out);
                    };
                    from = id.0 + 1;
                    if let Some(partition) = self.topics.partition(id)
                        && partition.log.checkpoint(out.disk()).is_err()
                    {
                        out.note(Note::Sometimes("snapshot not written"));
                    }
                    self.ask_syncs(id, out);
                }
                self.upkeep.draining = Some(Draining::Logs(from));
            }
            Some(Draining::Conns) => {
                let conns = self.conns.some(CONNS_STEP);
                for conn in &conns {
                    self.close(*conn, CloseReason::Shutdown, out);
                }
                if self.conns.open_count() == 0 {
                    self.upkeep.draining = Some(Draining::Done);
                }
            }
            Some(Draining::Syncs | Draining::Done) | None => {}
        }
    }

    /// A sync has ended; if it was the last of an orderly end, connections go.
    pub(super) fn drained(&mut self, _now: Time, out: &mut Effects<Self>) {
        if matches!(self.upkeep.draining, Some(Draining::Syncs))
            && self.pending.is_empty()
            && self.journal_syncs.0 == self.journal_syncs.1
            && !self.topics.partitions().any(|(_, partition)| partition.log.is_syncing())
        {
            self.upkeep.draining = Some(Draining::Conns);
            out.note(Note::Sometimes("clean shutdown"));
        }
    }
}

/// Notes messages that retention or compaction has removed. Values that are no
/// messages of the lab, such as those of the offsets topic, have been left out.
fn note_gone(gone: Vec<Identity>, out: &mut Effects<Kafka>) {
    for identity in gone {
        let (cause, message) = (Cause::Retention, Some(Box::new(identity)));
        out.note(Note::Dropped { cause, conn: None, message });
    }
}
