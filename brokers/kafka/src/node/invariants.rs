//! What must be true of a node between two inputs, for a search that asks.

use std::collections::BTreeMap;

use broker_contract::Disk;
use kafka_protocol::protocol::StrBytes;

use super::Kafka;
use super::group::records::Key;
use super::group::{Committed, Group, State};
use super::topics::{OFFSETS_TOPIC, Partition};
use crate::frame::batch::{self, Records};

/// Committed positions by group, topic and partition.
type Positions = BTreeMap<(StrBytes, StrBytes, i32), Committed>;

impl Kafka {
    /// Logs against their files and indexes, high watermarks against logs, and
    /// groups against what the offsets topic says of them.
    ///
    /// # Errors
    /// What is wrong, and where, in one line.
    pub(super) fn check_all(&self, disk: &mut dyn Disk) -> Result<(), String> {
        for (_, partition) in self.topics.partitions() {
            partition.log.check(disk)?;
            check_partition(partition)?;
        }
        for (id, group) in self.groups.iter() {
            check_group(group).map_err(|what| format!("group {id}: {what}"))?;
        }
        self.check_positions(disk)
    }

    /// A position is appended before it counts, so reading the topic from its
    /// start gives what is in memory.
    fn check_positions(&self, disk: &mut dyn Disk) -> Result<(), String> {
        let Some(topic) = self.topics.get(OFFSETS_TOPIC) else { return Ok(()) };
        let mut stored = Positions::new();
        for id in &topic.partitions {
            let Some(partition) = self.topics.peek(*id) else { continue };
            if partition.log.has_failed() {
                return Ok(());
            }
            partition.log.walk(disk, &mut |header, bytes| {
                let text = |error: batch::BatchError| format!("{OFFSETS_TOPIC}: {error}");
                let records = batch::records(header, bytes).map_err(text)?;
                for record in Records::new(header, &records) {
                    let record = record.map_err(text)?;
                    let key = record.key.and_then(|key| Key::decode(&records[key]));
                    let Some(Key::Offset { group, topic, partition }) = key else { continue };
                    let at = (group, topic, partition);
                    match record.value.and_then(|value| Committed::decode(&records[value])) {
                        Some(committed) => drop(stored.insert(at, committed)),
                        None => drop(stored.remove(&at)),
                    }
                }
                Ok(())
            })?;
        }
        let mut held = Positions::new();
        for (id, group) in self.groups.iter() {
            let of_group = group.offsets.iter().map(|((topic, index), committed)| {
                ((id.clone(), topic.clone(), *index), committed.clone())
            });
            held.extend(of_group);
        }
        let is_same = |at| stored.get(at) == held.get(at);
        match stored.keys().chain(held.keys()).find(|at| !is_same(*at)) {
            Some(at) => Err(format!(
                "position of {at:?}: {:?} in memory, {:?} in the topic",
                held.get(at),
                stored.get(at)
            )),
            None => Ok(()),
        }
    }
}

fn check_partition(partition: &Partition) -> Result<(), String> {
    let (log, mark) = (&partition.log, partition.high_watermark());
    if log.has_failed() {
        return Ok(());
    }
    let dir = log.dir();
    if mark > log.next() {
        return Err(format!("{dir}: consumers read up to {mark}, and it ends at {}", log.next()));
    }
    if !partition.acks.iter().is_sorted_by_key(|ack| (ack.base, ack.up_to)) {
        return Err(format!("{dir}: what waits for syncs is out of order"));
    }
    match partition.acks.iter().find(|ack| ack.base >= ack.up_to || ack.up_to > log.next()) {
        Some(ack) => Err(format!("{dir}: {ack:?} waits, and the log ends at {}", log.next())),
        None => Ok(()),
    }
}

fn check_group(group: &Group) -> Result<(), String> {
    let count = group.members.len();
    match group.state {
        State::Empty | State::Dead if count > 0 => {
            return Err(format!("{} with {count} members", group.state.name()));
        }
        State::Stable if count == 0 => return Err("stable without members".to_owned()),
        _ => {}
    }
    if group.state == State::Stable
        && !group.leader.as_ref().is_some_and(|leader| group.members.contains_key(leader))
    {
        return Err(format!("its leader {:?} is no member", group.leader));
    }
    match group.instances().find(|(_, owner)| !group.members.contains_key(*owner)) {
        Some((instance, owner)) => Err(format!("{instance} is {owner}, who is no member")),
        None => Ok(()),
    }
}
