//! What a client is configured with.

use std::time::Duration;

use broker_contract::{Durability, Proof, Time};

use crate::frame::Codec;

/// Whose acknowledgement a produce request asks for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Acks {
    /// Nobody's: there is no response.
    None,
    /// The leader's.
    Leader,
    /// That of all in-sync replicas; here that is the leader alone.
    All,
}

impl Acks {
    /// The number in a produce request.
    pub fn wire(self) -> i16 {
        match self {
            Acks::None => 0,
            Acks::Leader => 1,
            Acks::All => -1,
        }
    }
}

/// Where a consumer goes on when the log no longer has its position.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Reset {
    /// At the end of the log.
    Latest,
    /// At its start.
    Earliest,
}

/// How the leader of a group divides the partitions.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Assignor {
    /// Each topic by itself, in contiguous ranges; a rebalance stops everybody.
    Range,
    /// As few moves as balance allows; only what moves stops.
    CooperativeSticky,
}

impl Assignor {
    /// The protocol's name in the group.
    pub fn name(self) -> &'static str {
        match self {
            Assignor::Range => "range",
            Assignor::CooperativeSticky => "cooperative-sticky",
        }
    }
}

/// What a client is configured with; one value serves many clients. The fields
/// go by the original's names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConfig {
    /// Unix milliseconds at the driver's time zero, by which records are stamped.
    pub epoch_ms: i64,
    /// Whose acknowledgement a publish waits for.
    pub acks: Acks,
    /// How long a record waits for others to share its batch.
    pub linger: Duration,
    /// Bytes, uncompressed, at which a batch takes no further record.
    pub batch_size: usize,
    /// Produce requests without an answer at once.
    pub max_in_flight_requests: usize,
    /// Bytes of records that may wait or be under way at once.
    pub buffer_memory: usize,
    /// How batches are compressed.
    pub compression: Codec,
    /// Bytes of a produce request, and so of a record, at most.
    pub max_request_size: usize,
    /// Time from a publish to its end, retries included.
    pub delivery_timeout: Duration,
    /// Time to wait for an answer before the connection is given up.
    pub request_timeout: Duration,
    /// Wait before a retry.
    pub retry_backoff: Duration,
    /// How long a publish waits for its topic to be known.
    pub max_block: Duration,
    /// Whether the producer numbers its batches, so that the broker stores a
    /// retried one once. Takes `acks` of all.
    pub enable_idempotence: bool,
    /// Whether records go to partitions without regard for their keys.
    pub partitioner_ignore_keys: bool,
    /// Age at which the list of topics is asked for again.
    pub metadata_max_age: Duration,
    /// The wait before the first attempt to reconnect; it doubles.
    pub reconnect_backoff: Duration,
    /// The longest wait.
    pub reconnect_backoff_max: Duration,
    /// Bytes that a fetch waits for.
    pub fetch_min_bytes: i32,
    /// Bytes of a fetch's answer, give or take a batch.
    pub fetch_max_bytes: i32,
    /// How long a fetch waits for them.
    pub fetch_max_wait: Duration,
    /// Bytes of a partition in a fetch's answer, give or take a batch.
    pub max_partition_fetch_bytes: i32,
    /// Records that an application that acknowledges has in hand at once, unless
    /// its subscription says otherwise.
    pub max_poll_records: u32,
    /// Time that an application may take for what it was handed.
    pub max_poll_interval: Duration,
    /// Where to go on when the log no longer has a position.
    pub auto_offset_reset: Reset,
    /// Time between commits of a position that nobody acknowledges.
    pub auto_commit_interval: Duration,
    /// Longest time from an acknowledgement to the commit of its position.
    pub commit_interval: Duration,
    /// Acknowledgements after which the position is committed at once.
    pub commit_records: u32,
    /// How the group divides the partitions.
    pub partition_assignment_strategy: Assignor,
    /// Whether members of groups are static: a restarted one takes its partitions
    /// again without a rebalance.
    pub group_instance: bool,
    /// Time without a heartbeat after which a member is taken for dead.
    pub session_timeout: Duration,
    /// Time between heartbeats.
    pub heartbeat_interval: Duration,
    /// What an acknowledgement proves.
    pub proof: Proof,
}

impl Default for ClientConfig {
    fn default() -> Self {
        ClientConfig {
            epoch_ms: 0,
            acks: Acks::All,
            linger: Duration::from_millis(5),
            batch_size: 16 << 10,
            max_in_flight_requests: 5,
            buffer_memory: 32 << 20,
            compression: Codec::None,
            max_request_size: 1 << 20,
            delivery_timeout: Duration::from_secs(120),
            request_timeout: Duration::from_secs(30),
            retry_backoff: Duration::from_millis(100),
            max_block: Duration::from_secs(60),
            enable_idempotence: true,
            partitioner_ignore_keys: false,
            metadata_max_age: Duration::from_secs(300),
            reconnect_backoff: Duration::from_millis(50),
            reconnect_backoff_max: Duration::from_secs(1),
            fetch_min_bytes: 1,
            fetch_max_bytes: 50 << 20,
            fetch_max_wait: Duration::from_millis(500),
            max_partition_fetch_bytes: 1 << 20,
            max_poll_records: 500,
            max_poll_interval: Duration::from_secs(300),
            auto_offset_reset: Reset::Latest,
            auto_commit_interval: Duration::from_secs(5),
            commit_interval: Duration::from_millis(100),
            commit_records: 500,
            partition_assignment_strategy: Assignor::Range,
            group_instance: false,
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(3),
            proof: Proof { copies: 1, durable: Durability::PageCache },
        }
    }
}

impl ClientConfig {
    /// Unix milliseconds at a time of the driver's.
    pub(super) fn unix_ms(&self, time: Time) -> i64 {
        self.epoch_ms.saturating_add((time.as_nanos() / 1_000_000) as i64)
    }

    /// Whether the producer is idempotent: without the acknowledgement of all,
    /// the default is overruled, as in the original.
    pub(super) fn is_idempotent(&self) -> bool {
        self.enable_idempotence && self.acks == Acks::All
    }
}
