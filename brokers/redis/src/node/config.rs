//! What a node is configured with.

use std::time::Duration;

use super::conn::Class;

/// How much output may wait for a client.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct OutputLimit {
    /// Bytes pending at which a client is cut at once; 0 for no limit.
    pub hard_bytes: u64,
    /// Bytes pending that a client may not exceed for long; 0 for no limit.
    pub soft_bytes: u64,
    /// How long it may.
    pub soft: Duration,
}

/// What a node is configured with. The defaults are the original's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisConfig {
    /// Connections at once; the next one is refused with an error.
    pub maxclients: u32,
    /// Idle time after which a connection without subscriptions is closed; zero
    /// for never.
    pub timeout: Duration,
    /// Output limits of clients without subscriptions.
    pub normal: OutputLimit,
    /// Output limits of subscribers.
    pub pubsub: OutputLimit,
    /// Bytes of commands that a transaction may hold; a client with more is closed.
    pub query_buffer_bytes: u64,
    /// The default user's password; empty for none.
    pub requirepass: String,
    /// Users as ACL LIST prints them, with or without `user` in front:
    /// `alice on >secret &news.* +@pubsub`.
    pub users: Vec<String>,
    /// Entries that ACL LOG keeps.
    pub acllog_max_len: u64,
    /// Whether a new user may use every channel until its rules say otherwise.
    pub acl_all_channels: bool,
    /// The time since 1970 at which the run's clock started, for TIME and INFO;
    /// a node that is not told counts from its own start.
    pub epoch: Duration,
    /// The port that INFO and CONFIG GET name; 0 when there is none.
    pub port: u16,
}

impl Default for RedisConfig {
    fn default() -> Self {
        RedisConfig {
            maxclients: 10_000,
            timeout: Duration::ZERO,
            normal: OutputLimit::default(),
            pubsub: OutputLimit {
                hard_bytes: 32 << 20,
                soft_bytes: 8 << 20,
                soft: Duration::from_secs(60),
            },
            query_buffer_bytes: 1 << 30,
            requirepass: String::new(),
            users: Vec::new(),
            acllog_max_len: 128,
            acl_all_channels: false,
            epoch: Duration::ZERO,
            port: 0,
        }
    }
}

impl RedisConfig {
    /// The fewest pending bytes at which any limit has a say.
    #[inline]
    pub(super) fn alert(&self) -> u64 {
        let or_never = |limit: u64| if limit == 0 { u64::MAX } else { limit };
        let of = |limit: &OutputLimit| or_never(limit.hard_bytes).min(or_never(limit.soft_bytes));
        of(&self.normal).min(of(&self.pubsub))
    }

    /// The limits of a kind of clients.
    #[inline]
    pub(super) fn limit(&self, class: Class) -> &OutputLimit {
        match class {
            Class::Normal => &self.normal,
            Class::PubSub => &self.pubsub,
        }
    }
}
