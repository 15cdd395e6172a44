//! What a consumer says of itself.

use serde::Serialize;

use super::config::ConsumerConfig;
use super::{Consumer, Position};
use crate::calendar;

/// A position with when it last moved.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct SequenceInfo {
    consumer_seq: u64,
    stream_seq: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_active: Option<String>,
}

impl SequenceInfo {
    fn new(position: Position, last_active: Option<u64>) -> SequenceInfo {
        SequenceInfo {
            consumer_seq: position.consumer,
            stream_seq: position.stream,
            last_active: last_active.map(calendar::rfc3339),
        }
    }
}

/// The JSON of a consumer's state. The order of the fields is the original's.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ConsumerInfo<'a> {
    stream_name: &'a str,
    name: &'a str,
    created: String,
    config: &'a ConsumerConfig,
    delivered: SequenceInfo,
    ack_floor: SequenceInfo,
    num_ack_pending: usize,
    num_redelivered: usize,
    num_waiting: usize,
    num_pending: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    push_bound: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    paused: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pause_remaining: Option<u64>,
    ts: String,
}

impl Consumer {
    /// Its state at this moment, in nanoseconds since 1970.
    pub fn info<'a>(&'a self, stream: &'a str, unix: u64) -> ConsumerInfo<'a> {
        let remaining = self.pause_remaining(unix);
        ConsumerInfo {
            stream_name: stream,
            name: &self.name,
            created: calendar::rfc3339(self.created),
            config: &self.config,
            delivered: SequenceInfo::new(self.delivered, self.last_delivery),
            ack_floor: SequenceInfo::new(self.ack_floor(), self.last_ack),
            num_ack_pending: self.pending.len(),
            num_redelivered: self.pending.values().filter(|pending| pending.count > 1).count(),
            num_waiting: self.waiting.len(),
            num_pending: self.ahead,
            push_bound: self.push.as_ref().filter(|push| push.is_active).map(|_| true),
            paused: remaining.map(|_| true),
            pause_remaining: remaining,
            ts: calendar::rfc3339(unix),
        }
    }

    /// Nanoseconds that it is still paused, if it is.
    pub fn pause_remaining(&self, unix: u64) -> Option<u64> {
        self.paused_until.checked_sub(unix).filter(|left| *left > 0)
    }

    /// The configuration with another end of its pause; `None` for none.
    pub fn config_paused(&self, until: Option<String>) -> ConsumerConfig {
        ConsumerConfig { pause_until: until, ..self.config.clone() }
    }
}
