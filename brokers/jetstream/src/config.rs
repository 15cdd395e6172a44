//! What the library is configured with.

use std::time::Duration;

/// When bytes become durable.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum SyncPolicy {
    /// Every so often. An acknowledgement proves the page cache and no more.
    Interval(Duration),
    /// Before each acknowledgement. Publishes that arrive while a sync runs share
    /// the next one.
    Always,
}

/// Settings of the server, with the original's defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JetStreamConfig {
    /// When bytes become durable (`sync_interval` of the original).
    pub sync: SyncPolicy,
    /// The wall clock, in nanoseconds since 1970, at the driver's time zero. A
    /// core knows no calendar, so a driver that has none leaves this at a fixed
    /// date.
    pub epoch_unix_ns: u64,
    /// Bytes of a store's block for streams with limits. Streams with interest or
    /// work-queue retention have blocks of half of it.
    pub block_size: u32,
}

impl Default for JetStreamConfig {
    fn default() -> Self {
        JetStreamConfig {
            sync: SyncPolicy::Interval(Duration::from_secs(120)),
            // 2026-01-01T00:00:00Z
            epoch_unix_ns: 1_767_225_600_000_000_000,
            block_size: 8 << 20,
        }
    }
}

impl JetStreamConfig {
    /// Whether the values can be worked with.
    ///
    /// # Errors
    /// A sentence that says which can not.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.sync == SyncPolicy::Interval(Duration::ZERO) {
            return Err("the sync interval is longer than zero; `always` syncs each message");
        }
        if !(4_096..=256 << 20).contains(&self.block_size) {
            return Err("a block of a store has 4 KiB to 256 MiB");
        }
        Ok(())
    }
}
