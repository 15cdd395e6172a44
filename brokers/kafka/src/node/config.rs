//! What a node is configured with. Defaults are the original's.

use std::sync::Arc;
use std::time::Duration;

use broker_contract::BootError;

/// A day, in which the original counts.
const DAY: Duration = Duration::from_secs(86_400);

/// The configuration of a node. Each field names the original's key.
#[derive(Clone, Debug, PartialEq)]
pub struct KafkaConfig {
    /// `advertised.listeners`, the host that metadata names.
    pub host: Arc<str>,
    /// `advertised.listeners`, the port that metadata names.
    pub port: u16,
    /// Unix milliseconds at the driver's time zero. Records carry Unix
    /// milliseconds, and retention compares them with the node's time.
    pub epoch_ms: i64,
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `num.partitions`, for topics that say nothing about it.
    pub num_partitions: u32,
    /// What topics have unless they say otherwise.
    pub log: LogConfig,
    /// `log.retention.check.interval.ms`.
    pub retention_check: Duration,
    /// `log.cleaner.backoff.ms`: the pause when there is nothing to compact.
    pub cleaner_backoff: Duration,
    /// `log.cleaner.dedupe.buffer.size`, in bytes.
    pub cleaner_buffer: usize,
    /// `producer.id.expiration.ms`.
    pub producer_expiration: Duration,
    /// `socket.send.buffer.bytes`: a connection whose responses fill it has its
    /// next request wait.
    pub send_buffer: u64,
    /// Requests that may wait on one connection behind the one in work. The
    /// original stops reading the socket instead, which a core cannot.
    pub queued_requests: usize,
    /// Group coordination.
    pub groups: GroupConfig,
}

/// The settings of topics; most can be set for each topic.
#[derive(Clone, Debug, PartialEq)]
pub struct LogConfig {
    /// `segment.bytes`.
    pub segment_bytes: u64,
    /// `segment.ms`.
    pub segment_ms: Duration,
    /// `segment.index.bytes`: a full index ends the segment.
    pub index_bytes: u64,
    /// `index.interval.bytes`.
    pub index_interval: u64,
    /// `retention.ms`; `None` keeps for ever.
    pub retention: Option<Duration>,
    /// `retention.bytes`; `None` is without limit.
    pub retention_bytes: Option<u64>,
    /// `max.message.bytes`: the largest batch.
    pub max_message_bytes: u64,
    /// `flush.messages`: messages after which the log is synced, and the request
    /// that brought the last of them waits for it; `None` leaves it to the
    /// operating system.
    pub flush_messages: Option<u64>,
    /// `flush.ms`: the longest that a message stays without a sync.
    pub flush: Option<Duration>,
    /// `cleanup.policy` contains `delete`.
    pub delete: bool,
    /// `cleanup.policy` contains `compact`.
    pub compact: bool,
    /// `min.cleanable.dirty.ratio`.
    pub dirty_ratio: f64,
    /// `delete.retention.ms`: how long tombstones stay.
    pub delete_retention: Duration,
    /// `min.compaction.lag.ms`.
    pub compaction_lag: Duration,
    /// `message.timestamp.type` is `LogAppendTime`.
    pub append_time: bool,
}

/// The settings of group coordination and of committed offsets.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupConfig {
    /// `group.initial.rebalance.delay.ms`.
    pub initial_delay: Duration,
    /// `group.min.session.timeout.ms`.
    pub min_session: Duration,
    /// `group.max.session.timeout.ms`.
    pub max_session: Duration,
    /// `group.max.size`.
    pub max_size: usize,
    /// `offsets.topic.num.partitions`.
    pub offsets_partitions: u32,
    /// `offsets.topic.segment.bytes`.
    pub offsets_segment_bytes: u64,
    /// `offsets.retention.minutes`.
    pub offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_check: Duration,
    /// `offset.metadata.max.bytes`.
    pub metadata_bytes: usize,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        KafkaConfig {
            host: "localhost".into(),
            port: 9092,
            epoch_ms: 0,
            auto_create_topics: true,
            num_partitions: 1,
            log: LogConfig::default(),
            retention_check: Duration::from_secs(300),
            cleaner_backoff: Duration::from_secs(15),
            cleaner_buffer: 128 << 20,
            producer_expiration: DAY,
            send_buffer: 100 << 10,
            queued_requests: 4096,
            groups: GroupConfig::default(),
        }
    }
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig {
            segment_bytes: 1 << 30,
            segment_ms: DAY * 7,
            index_bytes: 10 << 20,
            index_interval: 4096,
            retention: Some(DAY * 7),
            retention_bytes: None,
            max_message_bytes: (1 << 20) + 12,
            flush_messages: None,
            flush: None,
            delete: true,
            compact: false,
            dirty_ratio: 0.5,
            delete_retention: DAY,
            compaction_lag: Duration::ZERO,
            append_time: false,
        }
    }
}

impl Default for GroupConfig {
    fn default() -> Self {
        GroupConfig {
            initial_delay: Duration::from_secs(3),
            min_session: Duration::from_secs(6),
            max_session: Duration::from_secs(1_800),
            max_size: i32::MAX as usize,
            offsets_partitions: 50,
            offsets_segment_bytes: 100 << 20,
            offsets_retention: DAY * 7,
            offsets_check: Duration::from_secs(600),
            metadata_bytes: 4096,
        }
    }
}

impl KafkaConfig {
    /// Whether the settings agree with each other.
    ///
    /// # Errors
    /// [`BootError::Config`] with the setting at fault.
    pub fn check(&self) -> Result<(), BootError> {
        let wrong = |text: &str| Err(BootError::Config(text.to_owned()));
        if self.num_partitions == 0 || self.groups.offsets_partitions == 0 {
            return wrong("num.partitions and offsets.topic.num.partitions are at least 1");
        }
        if self.groups.min_session > self.groups.max_session {
            return wrong("group.min.session.timeout.ms is at most group.max.session.timeout.ms");
        }
        self.log.check().map_err(BootError::Config)
    }
}

/// A key of a topic, in the original's spelling.
struct Key {
    name: &'static str,
    get: fn(&LogConfig) -> String,
    set: fn(&mut LogConfig, &str) -> Option<()>,
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}

/// A duration in milliseconds; the largest that the original takes is 2^63 - 1.
fn to_duration(text: &str) -> Option<Duration> {
    text.parse::<i64>().ok().and_then(|ms| u64::try_from(ms).ok()).map(Duration::from_millis)
}

/// A number of which -1, or the largest 64-bit one, stands for no limit.
fn unlimited<T>(text: &str, read: impl Fn(&str) -> Option<T>) -> Option<Option<T>> {
    if text == "-1" || text == "9223372036854775807" { Some(None) } else { read(text).map(Some) }
}

const KEYS: &[Key] = &[
    Key {
        name: "cleanup.policy",
        get: |log| match (log.compact, log.delete) {
            (true, true) => "compact,delete".to_owned(),
            (true, false) => "compact".to_owned(),
            (false, _) => "delete".to_owned(),
        },
        set: |log, text| {
            let words: Vec<_> = text.split(',').map(str::trim).collect();
            if words.iter().any(|word| !matches!(*word, "compact" | "delete")) {
                return None;
            }
            (log.compact, log.delete) = (words.contains(&"compact"), words.contains(&"delete"));
            Some(())
        },
    },
    Key {
        name: "delete.retention.ms",
        get: |log| millis(log.delete_retention),
        set: |log, text| to_duration(text).map(|value| log.delete_retention = value),
    },
    Key {
        name: "flush.messages",
        get: |log| log.flush_messages.map_or("9223372036854775807".into(), |n| n.to_string()),
        set: |log, text| {
            let value = unlimited(text, |text| text.parse().ok().filter(|n| *n > 0))?;
            log.flush_messages = value;
            Some(())
        },
    },
    Key {
        name: "flush.ms",
        get: |log| log.flush.map_or("9223372036854775807".into(), millis),
        set: |log, text| unlimited(text, to_duration).map(|value| log.flush = value),
    },
    Key {
        name: "index.interval.bytes",
        get: |log| log.index_interval.to_string(),
        set: |log, text| text.parse().ok().map(|value| log.index_interval = value),
    },
    Key {
        name: "max.message.bytes",
        get: |log| log.max_message_bytes.to_string(),
        set: |log, text| text.parse().ok().map(|value| log.max_message_bytes = value),
    },
    Key {
        name: "message.timestamp.type",
        get: |log| if log.append_time { "LogAppendTime" } else { "CreateTime" }.to_owned(),
        set: |log, text| {
            log.append_time = match text {
                "LogAppendTime" => true,
                "CreateTime" => false,
                _ => return None,
            };
            Some(())
        },
    },
    Key {
        name: "min.cleanable.dirty.ratio",
        get: |log| log.dirty_ratio.to_string(),
        set: |log, text| {
            let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio))?;
            log.dirty_ratio = ratio;
            Some(())
        },
    },
    Key {
        name: "min.compaction.lag.ms",
        get: |log| millis(log.compaction_lag),
        set: |log, text| to_duration(text).map(|value| log.compaction_lag = value),
    },
    Key {
        name: "retention.bytes",
        get: |log| log.retention_bytes.map_or("-1".into(), |bytes| bytes.to_string()),
        set: |log, text| {
            let value = unlimited(text, |text| text.parse().ok())?;
            log.retention_bytes = value;
            Some(())
        },
    },
    Key {
        name: "retention.ms",
        get: |log| log.retention.map_or("-1".into(), millis),
        set: |log, text| unlimited(text, to_duration).map(|value| log.retention = value),
    },
    Key {
        name: "segment.bytes",
        get: |log| log.segment_bytes.to_string(),
        set: |log, text| text.parse().ok().map(|value| log.segment_bytes = value),
    },
    Key {
        name: "segment.index.bytes",
        get: |log| log.index_bytes.to_string(),
        set: |log, text| text.parse().ok().map(|value| log.index_bytes = value),
    },
    Key {
        name: "segment.ms",
        get: |log| millis(log.segment_ms),
        set: |log, text| to_duration(text).map(|value| log.segment_ms = value),
    },
];

impl LogConfig {
    /// Sets the key `name` as the original spells it.
    ///
    /// # Errors
    /// A sentence in the original's words.
    pub fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        let key = KEYS.iter().find(|key| key.name == name);
        let key = key.ok_or_else(|| format!("Unknown topic config name: {name}"))?;
        let mut changed = self.clone();
        (key.set)(&mut changed, value)
            .ok_or_else(|| format!("Invalid value {value} for configuration {name}"))?;
        changed.check()?;
        *self = changed;
        Ok(())
    }

    /// All keys and their values, by name.
    pub fn entries(&self) -> impl Iterator<Item = (&'static str, String)> {
        KEYS.iter().map(|key| (key.name, (key.get)(self)))
    }

    /// Whether the settings agree with each other.
    ///
    /// # Errors
    /// A sentence that names the setting at fault.
    pub fn check(&self) -> Result<(), String> {
        // Positions in a segment have 31 bits in the original's indexes.
        if !(14..=i32::MAX as u64).contains(&self.segment_bytes) {
            return Err("segment.bytes lies between 14 and 2147483647".to_owned());
        }
        if self.max_message_bytes > i32::MAX as u64 {
            return Err("max.message.bytes is at most 2147483647".to_owned());
        }
        if self.segment_ms.is_zero() {
            return Err("segment.ms is at least 1".to_owned());
        }
        if self.index_bytes < 12 {
            return Err("segment.index.bytes holds at least one entry of 12 bytes".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_reads_back_what_it_writes() {
        let log = LogConfig::default();
        let mut again = LogConfig { segment_bytes: 99, compact: true, ..LogConfig::default() };
        for (name, value) in log.entries() {
            again.set(name, &value).expect("takes its own value");
        }
        assert_eq!(again, log);
    }

    #[test]
    fn wrong_keys_and_values_are_named() {
        let mut log = LogConfig::default();
        let unknown = log.set("retention", "1").expect_err("is unknown");
        assert_eq!(unknown, "Unknown topic config name: retention");
        for (name, value) in [("cleanup.policy", "shred"), ("segment.bytes", "1e9")] {
            let wrong = log.set(name, value).expect_err("is wrong");
            assert_eq!(wrong, format!("Invalid value {value} for configuration {name}"));
        }
        let small = log.set("segment.bytes", "3").expect_err("is too small");
        assert_eq!(small, "segment.bytes lies between 14 and 2147483647");
        assert_eq!(log, LogConfig::default());
    }

    #[test]
    fn minus_one_is_without_limit() {
        let mut log = LogConfig::default();
        log.set("retention.ms", "-1").expect("is taken");
        log.set("retention.bytes", "1000").expect("is taken");
        assert_eq!((log.retention, log.retention_bytes), (None, Some(1000)));
    }
}
