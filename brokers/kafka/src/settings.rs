//! The settings of the log, with the original's names and defaults.
//!
//! Producer, consumer and broker settings stand in one table, because a scenario
//! and the command line change them alike. `linger` and `flush` are short for
//! `linger.ms` and `flush.messages`.

use broker_contract::{
    Durability, Preset, Proof, SettingError, SettingKind, SettingSpec, Settings,
};

use crate::client::{Acks, Assignor, ClientConfig, Reset};
use crate::frame::Codec;
use crate::node::{GroupConfig, KafkaConfig, LogConfig};

const COUNT: SettingKind = SettingKind::Count;
const TIME: SettingKind = SettingKind::Duration;
const BYTES: SettingKind = SettingKind::Bytes;
const FLAG: SettingKind = SettingKind::Flag;

const fn spec(
    name: &'static str,
    kind: SettingKind,
    default: &'static str,
    doc: &'static str,
) -> SettingSpec {
    SettingSpec { name, kind, default, doc }
}

pub(crate) const SETTINGS: &[SettingSpec] = &[
    // The producer.
    spec("linger", TIME, "5ms", "How long a record waits for others to share its batch."),
    spec("batch_size", BYTES, "16KiB", "Bytes at which a batch takes no further record."),
    spec(
        "acks",
        SettingKind::Choice(&["all", "1", "0"]),
        "all",
        "Whose acknowledgement a publish waits for: all in-sync replicas', the leader's, nobody's.",
    ),
    spec(
        "compression",
        SettingKind::Choice(&["none", "gzip", "snappy", "lz4", "zstd"]),
        "none",
        "How the producer compresses batches; the broker keeps them as they come.",
    ),
    spec("buffer_memory", BYTES, "32MiB", "Bytes that may wait in a producer; more fail at once."),
    spec("max_in_flight_requests", COUNT, "5", "Produce requests without an answer at once."),
    spec(
        "max_request_size",
        BYTES,
        "1MiB",
        "Bytes of a produce request, and of a record, at most.",
    ),
    spec("delivery_timeout", TIME, "2m", "Time from a publish to its end, retries included."),
    spec("request_timeout", TIME, "30s", "Time to wait for an answer before reconnecting."),
    spec("retry_backoff", TIME, "100ms", "Wait before a request is tried again."),
    spec("max_block", TIME, "1m", "How long a publish waits for its topic to be known."),
    spec(
        "enable_idempotence",
        FLAG,
        "true",
        "Whether the broker stores a batch once however often it is retried; takes acks=all.",
    ),
    spec(
        "partitioner_ignore_keys",
        FLAG,
        "false",
        "Whether records fill one partition's batch after the other, whatever their keys.",
    ),
    // All clients.
    spec("metadata_max_age", TIME, "5m", "Age at which clients ask for the list of topics again."),
    spec("reconnect_backoff", TIME, "50ms", "Wait before the first attempt to reconnect; doubles."),
    spec("reconnect_backoff_max", TIME, "1s", "Longest wait between attempts to reconnect."),
    // The consumer.
    spec("fetch_min_bytes", BYTES, "1B", "Bytes that a fetch waits for."),
    spec("fetch_max_bytes", BYTES, "50MiB", "Bytes of a fetch's answer."),
    spec("fetch_max_wait", TIME, "500ms", "How long a fetch waits for its bytes."),
    spec("max_partition_fetch_bytes", BYTES, "1MiB", "Bytes of one partition in an answer."),
    spec(
        "max_poll_records",
        COUNT,
        "500",
        "Records that an application which acknowledges has in hand at once.",
    ),
    spec(
        "max_poll_interval",
        TIME,
        "5m",
        "Time that an application may take; what it does not acknowledge by then comes again.",
    ),
    spec(
        "auto_offset_reset",
        SettingKind::Choice(&["latest", "earliest"]),
        "latest",
        "Where a consumer goes on when the log no longer has its position; unlike the original's, \
         `latest` still reads what came since the subscription is in force.",
    ),
    spec("auto_commit_interval", TIME, "5s", "Time between commits where nobody acknowledges."),
    spec("commit_interval", TIME, "100ms", "Time from an acknowledgement to its commit, at most."),
    spec("commit_records", COUNT, "500", "Acknowledgements after which the position is committed."),
    spec(
        "partition_assignment_strategy",
        SettingKind::Choice(&["range", "cooperative-sticky"]),
        "range",
        "How a group divides partitions: range stops all members, cooperative-sticky what moves.",
    ),
    spec(
        "group_instance",
        FLAG,
        "false",
        "Whether members are static: one that returns in time takes its partitions again.",
    ),
    spec("session_timeout", TIME, "45s", "Time without heartbeat after which a member is dead."),
    spec("heartbeat_interval", TIME, "3s", "Time between a member's heartbeats."),
    // The broker.
    spec("num_partitions", COUNT, "1", "Partitions of a topic that nobody gave a number."),
    spec("auto_create_topics", FLAG, "true", "Whether a topic is made when it is first named."),
    spec(
        "flush",
        COUNT,
        "0",
        "Records after which a log is synced; 1 before each acknowledgement, 0 for never.",
    ),
    spec("flush_interval", TIME, "0", "Longest time without a sync; 0 leaves it to the system."),
    spec("max_message_bytes", BYTES, "1048588B", "The largest batch that a topic takes."),
    spec("segment_bytes", BYTES, "1GiB", "Size at which a log begins a new segment."),
    spec("segment_time", TIME, "7d", "Age at which a log begins a new segment."),
    spec("index_interval_bytes", BYTES, "4KiB", "Bytes of a log between two entries of its index."),
    spec("retention_time", TIME, "7d", "Age at which segments are deleted; 0 for never."),
    spec("retention_bytes", BYTES, "0", "Size of a partition at which old segments go; 0 for any."),
    spec("retention_check_interval", TIME, "5m", "Time between looks for segments to delete."),
    spec(
        "cleanup_policy",
        SettingKind::Choice(&["delete", "compact", "compact,delete"]),
        "delete",
        "What happens to old segments: they are deleted, or only the last record of a key stays.",
    ),
    spec(
        "group_initial_rebalance_delay",
        TIME,
        "3s",
        "How long a group that forms waits for more members.",
    ),
    spec("offsets_topic_num_partitions", COUNT, "50", "Partitions of the committed positions."),
];

pub(crate) const PRESETS: &[Preset] = &[
    Preset {
        name: "durable",
        doc: "Each acknowledgement waits for the device, as a single node must to survive a power \
              loss.",
        values: &[("flush", "1"), ("acks", "all")],
    },
    Preset {
        name: "throughput",
        doc: "Large batches that wait longer, compressed.",
        values: &[("linger", "20ms"), ("batch_size", "128KiB"), ("compression", "lz4")],
    },
    Preset { name: "low-latency", doc: "No record waits for another.", values: &[("linger", "0")] },
];

/// The client's half of the table.
///
/// # Errors
/// [`SettingError::Contradiction`] for values that do not go together.
pub(crate) fn client(settings: &Settings) -> Result<ClientConfig, SettingError> {
    let acks = match settings.choice("acks") {
        "0" => Acks::None,
        "1" => Acks::Leader,
        _ => Acks::All,
    };
    let durable = match settings.count("flush") {
        1 => Durability::Synced,
        _ => Durability::PageCache,
    };
    let proof = match acks {
        Acks::None => Proof::NOTHING,
        Acks::Leader | Acks::All => Proof { copies: 1, durable },
    };
    let config = ClientConfig {
        epoch_ms: 0,
        acks,
        linger: settings.duration("linger"),
        batch_size: size(settings, "batch_size")?,
        max_in_flight_requests: count(settings, "max_in_flight_requests")? as usize,
        buffer_memory: size(settings, "buffer_memory")?,
        compression: codec(settings.choice("compression")),
        max_request_size: size(settings, "max_request_size")?,
        delivery_timeout: settings.duration("delivery_timeout"),
        request_timeout: settings.duration("request_timeout"),
        retry_backoff: settings.duration("retry_backoff"),
        max_block: settings.duration("max_block"),
        enable_idempotence: settings.flag("enable_idempotence"),
        partitioner_ignore_keys: settings.flag("partitioner_ignore_keys"),
        metadata_max_age: settings.duration("metadata_max_age"),
        reconnect_backoff: settings.duration("reconnect_backoff"),
        reconnect_backoff_max: settings.duration("reconnect_backoff_max"),
        fetch_min_bytes: size(settings, "fetch_min_bytes")? as i32,
        fetch_max_bytes: size(settings, "fetch_max_bytes")? as i32,
        fetch_max_wait: settings.duration("fetch_max_wait"),
        max_partition_fetch_bytes: size(settings, "max_partition_fetch_bytes")? as i32,
        max_poll_records: count(settings, "max_poll_records")?,
        max_poll_interval: settings.duration("max_poll_interval"),
        auto_offset_reset: match settings.choice("auto_offset_reset") {
            "earliest" => Reset::Earliest,
            _ => Reset::Latest,
        },
        auto_commit_interval: settings.duration("auto_commit_interval"),
        commit_interval: settings.duration("commit_interval"),
        commit_records: count(settings, "commit_records")?,
        partition_assignment_strategy: match settings.choice("partition_assignment_strategy") {
            "range" => Assignor::Range,
            _ => Assignor::CooperativeSticky,
        },
        group_instance: settings.flag("group_instance"),
        session_timeout: settings.duration("session_timeout"),
        heartbeat_interval: settings.duration("heartbeat_interval"),
        proof,
    };
    let needs = [
        (
            config.reconnect_backoff <= config.reconnect_backoff_max,
            "reconnect_backoff is longer than reconnect_backoff_max",
        ),
        (
            config.delivery_timeout >= config.linger + config.request_timeout,
            "delivery_timeout is shorter than linger and request_timeout together",
        ),
        (
            config.heartbeat_interval < config.session_timeout,
            "heartbeat_interval is not shorter than session_timeout",
        ),
        (!config.heartbeat_interval.is_zero(), "heartbeat_interval is zero"),
        (
            !config.retry_backoff.is_zero(),
            "retry_backoff is zero, and a retry would follow at once without end",
        ),
    ];
    match needs.iter().find(|(holds, _)| !holds) {
        Some((_, why)) => Err(SettingError::Contradiction((*why).to_owned())),
        None => Ok(config),
    }
}

fn codec(name: &str) -> Codec {
    match name {
        "gzip" => Codec::Gzip,
        "snappy" => Codec::Snappy,
        "lz4" => Codec::Lz4,
        "zstd" => Codec::Zstd,
        _ => Codec::None,
    }
}

/// Bytes that the protocol can say: 1 to 2 GiB less one.
fn size(settings: &Settings, name: &str) -> Result<usize, SettingError> {
    let bytes = settings.bytes(name);
    match i32::try_from(bytes) {
        Ok(bytes) if bytes > 0 => Ok(bytes as usize),
        _ => {
            let text = format!("`{name}` is between 1 and {} bytes, not {bytes}", i32::MAX);
            Err(SettingError::Contradiction(text))
        }
    }
}

/// A number from 1 on that the protocol can say.
fn count(settings: &Settings, name: &str) -> Result<u32, SettingError> {
    let count = settings.count(name);
    match i32::try_from(count) {
        Ok(count) if count > 0 => Ok(count as u32),
        _ => {
            let text = format!("`{name}` is between 1 and {}, not {count}", i32::MAX);
            Err(SettingError::Contradiction(text))
        }
    }
}

/// The node's half of the table.
///
/// # Errors
/// [`SettingError::Contradiction`] for values that do not go together.
pub(crate) fn node(settings: &Settings) -> Result<KafkaConfig, SettingError> {
    let unless_zero = |value: u64| (value > 0).then_some(value);
    let time = |name: &str| Some(settings.duration(name)).filter(|time| !time.is_zero());
    let cleanup = settings.choice("cleanup_policy");
    let log = LogConfig {
        segment_bytes: settings.bytes("segment_bytes"),
        segment_ms: settings.duration("segment_time"),
        index_interval: settings.bytes("index_interval_bytes"),
        retention: time("retention_time"),
        retention_bytes: unless_zero(settings.bytes("retention_bytes")),
        max_message_bytes: settings.bytes("max_message_bytes"),
        flush_messages: unless_zero(settings.count("flush")),
        flush: time("flush_interval"),
        delete: cleanup.contains("delete"),
        compact: cleanup.contains("compact"),
        ..LogConfig::default()
    };
    let groups = GroupConfig {
        initial_delay: settings.duration("group_initial_rebalance_delay"),
        offsets_partitions: count(settings, "offsets_topic_num_partitions")?,
        ..GroupConfig::default()
    };
    let config = KafkaConfig {
        auto_create_topics: settings.flag("auto_create_topics"),
        num_partitions: count(settings, "num_partitions")?,
        retention_check: settings.duration("retention_check_interval"),
        log,
        groups,
        ..KafkaConfig::default()
    };
    match config.check() {
        Ok(()) => Ok(config),
        Err(error) => Err(SettingError::Contradiction(error.to_string())),
    }
}
