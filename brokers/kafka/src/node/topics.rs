//! The topics and partitions of a node.

use std::collections::{BTreeMap, VecDeque};

use broker_contract::{BootError, Disk};
use kafka_protocol::protocol::StrBytes;

use super::config::{KafkaConfig, LogConfig};
use super::journal::Entry;
use super::log::{Cut, Log};

/// The topic that keeps committed offsets and the state of groups.
pub const OFFSETS_TOPIC: &str = "__consumer_offsets";
/// More characters than this no topic's name has.
const NAME_MAX: usize = 249;
/// More partitions than this no topic has; the original has no limit but memory.
pub const PARTITIONS_MAX: u32 = 100_000;

/// A partition among all that the node ever had. Never used again, so that a
/// sync that ends late finds nobody else.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId(pub u32);

/// A topic.
#[derive(Debug)]
pub struct Topic {
    /// Its id, for metadata.
    pub id: [u8; 16],
    /// Its partitions in order.
    pub partitions: Vec<PartitionId>,
    /// Its own settings, by name.
    pub settings: BTreeMap<String, String>,
}

/// A request that waits until its batch is synced.
#[derive(Copy, Clone, Debug)]
pub struct Ack {
    /// The batch's first offset. Until it is synced, no consumer sees it.
    pub base: i64,
    /// The offset after its last record.
    pub up_to: i64,
    /// Bytes of the batch, which fetches learn of once it is synced.
    pub bytes: u64,
    /// The pending answer; `None` where nobody waits for one.
    pub pending: Option<u64>,
    /// Which topic and which partition of the answer it is about.
    pub slot: (u32, u32),
}

/// A partition.
#[derive(Debug)]
pub struct Partition {
    /// Its records.
    pub log: Log,
    /// Fetches that wait for records here, oldest first.
    pub waiters: Vec<u64>,
    /// What waits for syncs, by offset.
    pub acks: VecDeque<Ack>,
    /// Bytes that fetches have not been told of, because they are not synced.
    pub unseen_bytes: u64,
    /// A sync by `flush.ms` is due; its timer is set.
    pub has_flush_timer: bool,
}

impl Partition {
    /// The offset up to which consumers read. With one copy it is the end of the
    /// log, unless appends wait for their sync.
    pub fn high_watermark(&self) -> i64 {
        self.acks.front().map_or(self.log.next(), |ack| ack.base)
    }
}

/// What the logs of a topic's partitions are opened with.
#[derive(Copy, Clone, Debug)]
pub struct Opening<'a> {
    /// Their settings.
    pub config: &'a LogConfig,
    /// First offsets that were set by deleting records, by partition.
    pub starts: &'a BTreeMap<u32, i64>,
    /// The time in Unix milliseconds.
    pub now_ms: i64,
    /// The disk's files, sorted.
    pub listing: &'a [String],
}

/// All topics, by name, and all partitions, by id.
#[derive(Debug, Default)]
pub struct Topics {
    by_name: BTreeMap<StrBytes, Topic>,
    partitions: Vec<Option<Box<Partition>>>,
}

/// Whether `name` may be a topic's.
///
/// # Errors
/// A sentence in the original's words.
pub fn check_name(name: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() {
        return Err("Topic name is invalid: the empty string is not allowed".to_owned());
    }
    if name == "." || name == ".." {
        return Err("Topic name is invalid: '.' or '..' is not allowed".to_owned());
    }
    if name.len() > NAME_MAX {
        return Err(format!(
            "Topic name is invalid: the length of '{name}' is longer than the max allowed length {NAME_MAX}"
        ));
    }
    if !name.chars().all(legal) {
        return Err(format!(
            "Topic name is invalid: '{name}' contains one or more characters other than ASCII \
             alphanumerics, '.', '_' and '-'"
        ));
    }
    Ok(())
}

/// The settings of a topic: the node's, and its own on top.
///
/// # Errors
/// A sentence about the first of its own that is wrong.
pub fn settings_of<'a>(
    config: &KafkaConfig,
    name: &str,
    own: impl IntoIterator<Item = (&'a String, &'a String)>,
) -> Result<LogConfig, String> {
    let mut log = config.log.clone();
    if name == OFFSETS_TOPIC {
        (log.compact, log.delete) = (true, false);
        log.segment_bytes = config.groups.offsets_segment_bytes;
    }
    for (name, value) in own {
        log.set(name, value)?;
    }
    Ok(log)
}

impl Topics {
    /// The topic called `name`.
    pub fn get(&self, name: &str) -> Option<&Topic> {
        self.by_name.get(name.as_bytes())
    }

    /// As [`Topics::get`], to change its settings.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Topic> {
        self.by_name.get_mut(name.as_bytes())
    }

    /// All topics by name.
    pub fn iter(&self) -> impl Iterator<Item = (&StrBytes, &Topic)> {
        self.by_name.iter()
    }

    /// The topic with this id.
    pub fn name_of(&self, id: &[u8; 16]) -> Option<&StrBytes> {
        self.by_name.iter().find(|(_, topic)| topic.id == *id).map(|(name, _)| name)
    }

    /// The id of a topic's partition.
    pub fn find(&self, topic: &str, index: i32) -> Option<PartitionId> {
        let index = usize::try_from(index).ok()?;
        self.get(topic)?.partitions.get(index).copied()
    }

    /// A partition, unless it is gone.
    pub fn partition(&mut self, id: PartitionId) -> Option<&mut Partition> {
        self.partitions.get_mut(id.0 as usize)?.as_deref_mut()
    }

    /// As [`Topics::partition`], to look at.
    pub fn peek(&self, id: PartitionId) -> Option<&Partition> {
        self.partitions.get(id.0 as usize)?.as_deref()
    }

    /// The first partition that exists at `id` or after it.
    pub fn next_from(&self, id: u32) -> Option<PartitionId> {
        let rest = self.partitions.get(id as usize..)?;
        rest.iter().position(Option::is_some).map(|at| PartitionId(id + at as u32))
    }

    /// All partitions that exist.
    pub fn partitions(&self) -> impl Iterator<Item = (PartitionId, &Partition)> {
        let all = self.partitions.iter().enumerate();
        all.filter_map(|(at, slot)| Some((PartitionId(at as u32), slot.as_deref()?)))
    }

    /// Adds partitions to a topic, up to `count`, and opens their logs.
    ///
    /// # Errors
    /// [`BootError`] when a log cannot be opened; what was added until then stays.
    pub fn extend(
        &mut self,
        disk: &mut dyn Disk,
        name: &StrBytes,
        count: u32,
        with: &Opening<'_>,
    ) -> Result<Vec<Cut>, BootError> {
        let mut cuts = Vec::new();
        let have =
            self.by_name.get(name.as_bytes()).map_or(0, |topic| topic.partitions.len() as u32);
        for index in have..count {
            let dir = format!("{name}-{index}");
            let start = with.starts.get(&index).copied().unwrap_or(0);
            let (config, now_ms, listing) = (with.config.clone(), with.now_ms, with.listing);
            let id = PartitionId(self.partitions.len() as u32);
            let opened = Log::open(disk, &dir, id.0, config, start, now_ms, listing)?;
            cuts.extend(opened.cuts);
            self.partitions.push(Some(Box::new(Partition {
                log: opened.log,
                waiters: Vec::new(),
                acks: VecDeque::new(),
                unseen_bytes: 0,
                has_flush_timer: false,
            })));
            if let Some(topic) = self.by_name.get_mut(name.as_bytes()) {
                topic.partitions.push(id);
            }
        }
        Ok(cuts)
    }

    /// Adds a topic without partitions.
    pub fn insert(&mut self, name: StrBytes, id: [u8; 16], settings: BTreeMap<String, String>) {
        self.by_name.insert(name, Topic { id, partitions: Vec::new(), settings });
    }

    /// Takes a topic out, and returns its partitions.
    pub fn remove(&mut self, name: &str) -> Vec<(PartitionId, Box<Partition>)> {
        let Some(topic) = self.by_name.remove(name.as_bytes()) else { return Vec::new() };
        let take = |id: PartitionId| Some((id, self.partitions.get_mut(id.0 as usize)?.take()?));
        topic.partitions.into_iter().filter_map(take).collect()
    }

    /// Heap bytes, estimated.
    pub fn memory_bytes(&self) -> u64 {
        let partitions: u64 = self
            .partitions()
            .map(|(_, partition)| {
                partition.log.memory_bytes()
                    + size_of::<Partition>() as u64
                    + (partition.waiters.capacity() * size_of::<u64>()) as u64
                    + (partition.acks.capacity() * size_of::<Ack>()) as u64
            })
            .sum();
        let topics: usize = self
            .by_name
            .iter()
            .map(|(name, topic)| name.len() + 128 + topic.partitions.capacity() * 4)
            .sum();
        partitions + topics as u64
    }
}

/// The present state that a journal's entries give.
#[derive(Debug, Default)]
pub struct Replayed {
    /// Topics by name: id, partitions, own settings, first offsets.
    pub topics: BTreeMap<String, ReplayedTopic>,
    /// Boots so far.
    pub boots: i32,
    /// The first producer id that is free.
    pub next_producer: i64,
}

/// A topic in [`Replayed`].
#[derive(Debug, Default)]
pub struct ReplayedTopic {
    /// Its id.
    pub id: [u8; 16],
    /// How many partitions.
    pub partitions: u32,
    /// Its own settings.
    pub settings: BTreeMap<String, String>,
    /// First offsets that were set by deleting records.
    pub starts: BTreeMap<u32, i64>,
}

/// Plays a journal's entries from the start.
pub fn replay(entries: Vec<Entry>) -> Replayed {
    let mut state = Replayed::default();
    for entry in entries {
        match entry {
            Entry::Booted => state.boots += 1,
            Entry::Created { topic, id, partitions, settings } => {
                let settings = settings.into_iter().collect();
                let new = ReplayedTopic { id, partitions, settings, starts: BTreeMap::new() };
                state.topics.insert(topic, new);
            }
            Entry::Deleted { topic } => drop(state.topics.remove(&topic)),
            Entry::Extended { topic, partitions } => {
                if let Some(topic) = state.topics.get_mut(&topic) {
                    topic.partitions = partitions;
                }
            }
            Entry::Set { topic, name, value } => {
                let Some(topic) = state.topics.get_mut(&topic) else { continue };
                match value {
                    Some(value) => drop(topic.settings.insert(name, value)),
                    None => drop(topic.settings.remove(&name)),
                }
            }
            Entry::Started { topic, partition, offset } => {
                if let Some(topic) = state.topics.get_mut(&topic) {
                    topic.starts.insert(partition, offset);
                }
            }
            Entry::ProducerIds { next } => state.next_producer = next,
        }
    }
    state
}
