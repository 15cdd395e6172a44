//! How a stream comes back from the disk.

use std::collections::BTreeMap;

use broker_contract::{BootError, Note};

use super::consumers::ConsumerRecord;
use super::{Stream, StreamRecord, block_size, folder};
use crate::agenda::Cx;
use crate::consumer::Consumer;
use crate::headers;
use crate::journal::{self, Event};
use crate::store::{OpenError, Store, block};

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
        if message.time >= since
            && let Some(id) = headers::value(message.headers, headers::MSG_ID)
        {
            dedup.remember(message.time, id, message.seq);
        }
    })
    .map_err(refused)?;
    if found.cut > 0 || replay.cut > 0 {
        cx.host.note(Note::Sometimes("torn tail cut"));
    }
    if !found.damage.is_empty() || !replay.damage.is_empty() || !store.lost().is_empty() {
        cx.host.note(Note::Sometimes("damaged store reported"));
    }
    let mut stream = Stream::with(record, store, Some(replay.journal));
    stream.dedup = dedup;
    stream.restore_consumers(&replay.events);
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
    fn restore_consumers(&mut self, events: &[Event]) {
        let mut consumers: BTreeMap<u32, Consumer> = BTreeMap::new();
        for event in events {
            match event {
                Event::Consumer { id, json } => {
                    self.next_consumer = self.next_consumer.max(id + 1);
                    let Ok(record) = serde_json::from_slice::<ConsumerRecord>(json) else {
                        continue;
                    };
                    match consumers.get_mut(id) {
                        Some(known) => known.restore_config(record.config),
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
        for (_, consumer) in consumers {
            self.seat(consumer);
        }
    }

    /// What is done once the stream has its number: limits, timers, deliveries.
    pub fn start(&mut self, cx: &mut Cx<'_>) {
        let places: Vec<u32> = self.by_name.values().copied().collect();
        for place in &places {
            self.with_consumer(cx, *place, |consumer, cx, ground| {
                consumer.restored(cx, ground.store);
                consumer.start(cx);
            });
        }
        self.enforce_per_subject(cx);
        self.enforce_limits(cx);
        self.sweep_settled(cx);
        self.expire(cx);
        self.arm_age(cx);
        for place in places {
            self.pump(cx, place);
        }
        self.after_work(cx);
    }
}
