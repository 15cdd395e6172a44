//! How a stream comes back from the disk.

use std::collections::BTreeMap;

use broker_contract::{BootError, Note};

use super::consumers::ConsumerRecord;
use super::{Stream, StreamRecord, block_size, folder};
use crate::agenda::Cx;
use crate::consumer::Consumer;
use crate::headers;
use crate::journal::{self, Event, Journal};
use crate::store::{OpenError, Store, block};

/// No power failure takes more messages than this from a stream that keeps some:
/// they would need more memory than there is.
const MOST_AHEAD: u64 = 1 << 28;

fn refused(error: OpenError) -> BootError {
    match error {
        OpenError::Disk(error) => BootError::Disk(error),
        OpenError::File { file, offset, reason } => BootError::Store { file, offset, reason },
    }
}

/// Opens the stream of this name; `None` when it was never acknowledged to exist,
/// or was deleted.
///
/// # Errors
/// [`BootError`], when its store is foreign, newer, or damaged beyond reading.
pub(crate) fn boot(cx: &mut Cx<'_>, name: &str) -> Result<Option<Stream>, BootError> {
    let dir = folder(name);
    let disk = cx.host.disk();
    let names = disk.list(&dir)?;
    if !names.contains(&journal::file_name(&dir)) {
        // It is the first file of a stream to come and the last to go, so that no
        // crash leaves messages without it.
        for block in names.iter().filter(|name| name.ends_with(".blk")) {
            let file = disk.open(block)?;
            if disk.len(file)? > block::FILE_HEAD as u64 {
                let reason = format!(
                    "it is missing, and there are messages in {block:?}: put it back from a \
                     copy, or move the folder elsewhere"
                );
                return Err(BootError::Store { file: journal::file_name(&dir), offset: 0, reason });
            }
        }
    }
    if names.contains(&journal::successor_name(&dir)) {
        // It had not taken the name, so the old one is still whole.
        disk.delete(&journal::successor_name(&dir))?;
    }
    for file in &names {
        let inner = file.strip_prefix(&*dir).unwrap_or(file);
        let is_known =
            inner == "journal" || inner == "journal.new" || block::index_of(inner).is_some();
        if !is_known {
            let reason = "this file is not part of a stream; move it elsewhere".to_owned();
            return Err(BootError::Store { file: file.clone(), offset: 0, reason });
        }
    }
    let replay = journal::replay(disk, &dir).map_err(refused)?;
    let is_deleted = replay.as_ref().is_some_and(|replay| replay.events.contains(&Event::Deleted));
    let Some(replay) = replay.filter(|_| !is_deleted) else {
        for file in names.iter().filter(|file| !file.ends_with("/journal.new")) {
            disk.delete(file)?;
        }
        if !names.contains(&journal::file_name(&dir)) {
            // Reading it has made it.
            disk.delete(&journal::file_name(&dir))?;
        }
        cx.host.note(Note::Sometimes("unfinished stream removed"));
        return Ok(None);
    };
    let record = configuration(&dir, &replay.events)?;
    if record.config.name != name {
        let reason = format!("it belongs to the stream {:?}", record.config.name);
        return Err(BootError::Store { file: journal::file_name(&dir), offset: 0, reason });
    }
    let size = block_size(cx.config, record.config.retention);
    let since = cx.unix.saturating_sub(record.config.duplicate_window.unsigned_abs());
    let mut dedup = super::Dedup::default();
    let (store, found) = Store::open(cx.host.disk(), &dir, size, &mut |message| {
        if message.time > since
            && let Some(id) = headers::value(message.headers, headers::MSG_ID)
        {
            dedup.remember(message.time, id, message.seq);
        }
    })
    .map_err(refused)?;
    if found.cut > 0 || found.headless > 0 || replay.cut > 0 {
        cx.host.note(Note::Sometimes("torn tail cut"));
    }
    if !found.damage.is_empty() || !replay.damage.is_empty() || !store.lost().is_empty() {
        cx.host.note(Note::Sometimes("damaged store reported"));
    }
    let mut stream = Stream::with(record, store, Some(replay.journal));
    stream.dedup = dedup;
    stream.restore_consumers(&replay.events);
    let state = stream.store.state();
    let ahead = stream.reached().saturating_sub(state.last);
    if ahead > MOST_AHEAD && state.messages > 0 {
        let reason = format!("a consumer is {ahead} messages ahead of its stream");
        return Err(BootError::Store { file: journal::file_name(&dir), offset: 0, reason });
    }
    Ok(Some(stream))
}

/// The configuration that was written last.
fn configuration(dir: &str, events: &[Event]) -> Result<StreamRecord, BootError> {
    let json = events.iter().rev().find_map(|event| match event {
        Event::Stream(json) => Some(json),
        _ => None,
    });
    let refuse = |reason: String| BootError::Store {
        file: journal::file_name(dir),
        offset: journal::FILE_HEAD as u64,
        reason,
    };
    let json = json.ok_or_else(|| refuse("it holds no configuration".to_owned()))?;
    serde_json::from_slice(json)
        .map_err(|error| refuse(format!("the configuration cannot be read: {error}")))
}

impl Stream {
    /// The consumers that the journal's events tell of, by their numbers there, and
    /// the number after the last that was ever given.
    pub(super) fn read_consumers(events: &[Event]) -> (BTreeMap<u32, Consumer>, u32) {
        let mut consumers: BTreeMap<u32, Consumer> = BTreeMap::new();
        let mut next = 0;
        for event in events {
            match event {
                Event::Consumer { id, json } => {
                    next = next.max(id.saturating_add(1));
                    let Ok(record) = serde_json::from_slice::<ConsumerRecord>(json) else {
                        continue;
                    };
                    match consumers.get_mut(id) {
                        Some(known) => known.restore_config(record),
                        None => {
                            let consumer = Consumer::new(*id, record, true);
                            consumers.insert(*id, consumer);
                        }
                    }
                }
                Event::Removed { id } => {
                    consumers.remove(id);
                }
                Event::Delivered { id, .. }
                | Event::Settled { id, .. }
                | Event::SettledTo { id, .. }
                | Event::Passed { id, .. }
                | Event::GaveUp { id, .. } => {
                    if let Some(consumer) = consumers.get_mut(id) {
                        consumer.restore(event);
                    }
                }
                Event::Stream(_) | Event::Deleted => {}
            }
        }
        (consumers, next)
    }

    fn restore_consumers(&mut self, events: &[Event]) {
        let (consumers, next) = Self::read_consumers(events);
        self.next_consumer = next;
        for (_, consumer) in consumers {
            self.seat(consumer);
        }
    }

    /// How far the furthest consumer is.
    fn reached(&self) -> u64 {
        let consumers = self.consumers.iter().flatten();
        consumers.map(|consumer| consumer.delivered_to()).max().unwrap_or(0)
    }

    /// The power may have taken messages that were delivered already. Their sequences
    /// are not given again: a consumer would take another message for one that it
    /// has had.
    fn catch_up_with_consumers(&mut self, cx: &mut Cx<'_>) {
        let reached = self.reached();
        if reached > self.store.state().last {
            cx.host.note(Note::Sometimes("consumer ahead of its stream"));
            self.store.lose_to(cx.host.disk(), reached);
        }
    }

    /// What is done once the stream has its number: limits, timers, deliveries.
    pub fn start(&mut self, cx: &mut Cx<'_>) {
        self.catch_up_with_consumers(cx);
        let places: Vec<u32> = self.by_name.values().copied().collect();
        for place in &places {
            self.with_consumer(cx, *place, |consumer, cx, ground| {
                consumer.restored(cx, ground);
                consumer.start(cx);
            });
        }
        if self.journal.as_ref().is_some_and(Journal::is_behind) {
            // So that damage is told once, and not at every boot.
            self.renew_journal(cx);
        }
        // What was removed from the front is not in the log, so that it goes first: a
        // limit per subject would otherwise make room for it.
        self.enforce_limits(cx);
        self.enforce_per_subject(cx);
        self.sweep_settled(cx);
        self.expire(cx);
        self.arm_age(cx);
        for place in places {
            self.pump(cx, place);
        }
        self.after_work(cx);
    }
}
