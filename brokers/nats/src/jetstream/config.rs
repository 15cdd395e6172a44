//! What JetStream clients are configured with.

use std::sync::Arc;
use std::time::Duration;

use broker_contract::{Durability, Proof};

use crate::client::ClientConfig;

/// When a publish is sent again whose acknowledgement did not come.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Resend {
    /// When it carries a number by which the server knows it again.
    StoredOnce,
    /// Always: it may then be stored twice.
    Always,
    /// Never: whether it was stored stays unknown.
    Never,
}

/// The streams that a client declares; a limit of 0 is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSettings {
    /// `file` or `memory`.
    pub storage: Box<str>,
    /// `limits`, `interest` or `workqueue`.
    pub retention: Box<str>,
    /// `old` or `new`.
    pub discard: Box<str>,
    /// Messages.
    pub max_msgs: u64,
    /// Bytes.
    pub max_bytes: u64,
    /// Age of a message.
    pub max_age: Duration,
    /// Messages of one subject.
    pub max_msgs_per_subject: u64,
    /// Bytes of one message.
    pub max_msg_size: u64,
    /// Consumers.
    pub max_consumers: u64,
    /// How long the server remembers what was published with a number.
    pub duplicate_window: Duration,
}

impl Default for StreamSettings {
    fn default() -> Self {
        StreamSettings {
            storage: "file".into(),
            retention: "limits".into(),
            discard: "old".into(),
            max_msgs: 0,
            max_bytes: 0,
            max_age: Duration::ZERO,
            max_msgs_per_subject: 0,
            max_msg_size: 0,
            max_consumers: 0,
            duplicate_window: Duration::from_secs(120),
        }
    }
}

/// The consumers that a client makes, unless a subscription says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerSettings {
    /// Time without an acknowledgement after which a message comes again.
    pub ack_wait: Duration,
    /// Deliveries of one message; 0 for no limit.
    pub max_deliver: u64,
    /// Unacknowledged messages of a consumer, over all who share it.
    pub max_ack_pending: u64,
    /// Pull requests that may wait at a consumer.
    pub max_waiting: u64,
    /// Time without interest after which an ephemeral consumer goes.
    pub inactive_threshold: Duration,
    /// Messages that a client asks for at once.
    pub pull_max_messages: u32,
    /// How long such a request stands.
    pub pull_expiry: Duration,
    /// How often the server says that it still stands.
    pub pull_heartbeat: Duration,
    /// How often an ordered consumer says that there is nothing new.
    pub idle_heartbeat: Duration,
    /// Whether an application's acknowledgement waits for the server's answer.
    pub double_ack: bool,
}

impl Default for ConsumerSettings {
    fn default() -> Self {
        ConsumerSettings {
            ack_wait: Duration::from_secs(30),
            max_deliver: 0,
            max_ack_pending: 1_000,
            max_waiting: 512,
            inactive_threshold: Duration::from_secs(5),
            pull_max_messages: 500,
            pull_expiry: Duration::from_secs(30),
            pull_heartbeat: Duration::from_secs(15),
            idle_heartbeat: Duration::from_secs(5),
            double_ack: false,
        }
    }
}

/// What JetStream clients are configured with, with the original's defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JetStreamClientConfig {
    /// The connection.
    pub core: Arc<ClientConfig>,
    /// Streams that it declares.
    pub stream: StreamSettings,
    /// Consumers that it makes.
    pub consumer: ConsumerSettings,
    /// Publishes without an acknowledgement at once; the rest waits.
    pub max_async_pending: usize,
    /// How long an acknowledgement may take.
    pub ack_timeout: Duration,
    /// When a publish without one is sent again.
    pub resend: Resend,
    /// How often at most.
    pub retry_attempts: u8,
    /// Wait before a publish is sent again that no stream took.
    pub retry_wait: Duration,
    /// How long an answer of the API may take.
    pub api_timeout: Duration,
    /// How long a subscription looks for a stream that takes its filter.
    pub stream_wait: Duration,
    /// How long a client that goes waits for acknowledgements of both kinds.
    pub drain_timeout: Duration,
    /// What an acknowledged publish proves.
    pub proof: Proof,
    /// The server's clock at the run's zero, in nanoseconds since 1970.
    pub epoch_unix_ns: u64,
}

impl Default for JetStreamClientConfig {
    fn default() -> Self {
        JetStreamClientConfig {
            core: Arc::new(ClientConfig::default()),
            stream: StreamSettings::default(),
            consumer: ConsumerSettings::default(),
            max_async_pending: 4_000,
            ack_timeout: Duration::from_secs(5),
            resend: Resend::StoredOnce,
            retry_attempts: 2,
            retry_wait: Duration::from_millis(250),
            api_timeout: Duration::from_secs(5),
            stream_wait: Duration::from_secs(1),
            drain_timeout: Duration::from_secs(30),
            proof: Proof { copies: 1, durable: Durability::PageCache },
            epoch_unix_ns: 1_767_225_600_000_000_000,
        }
    }
}
