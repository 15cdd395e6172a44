//! A consumer's configuration: its JSON, its defaults, and what is refused.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::calendar;
use crate::error::ApiError;
use crate::stream::config::{
    Retention, StreamConfig, is_false, is_valid_name, is_zero, null_is_empty,
};
use crate::subject;

/// Where a consumer begins.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DeliverPolicy {
    #[default]
    All,
    Last,
    New,
    ByStartSequence,
    ByStartTime,
    LastPerSubject,
}

/// What an acknowledgement settles.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum AckPolicy {
    #[default]
    None,
    All,
    Explicit,
}

/// How fast old messages come.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ReplayPolicy {
    #[default]
    Instant,
    Original,
}

/// A consumer's configuration, durations in nanoseconds. The order of the fields is
/// that in which the original writes them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ConsumerConfig {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub durable_name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    pub deliver_policy: DeliverPolicy,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opt_start_seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opt_start_time: Option<String>,
    pub ack_policy: AckPolicy,
    #[serde(skip_serializing_if = "is_zero")]
    pub ack_wait: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub max_deliver: i64,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub backoff: Vec<i64>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub filter_subject: String,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub filter_subjects: Vec<String>,
    pub replay_policy: ReplayPolicy,
    #[serde(skip_serializing_if = "is_zero")]
    pub rate_limit_bps: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sample_freq: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub max_waiting: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub max_ack_pending: i64,
    #[serde(skip_serializing_if = "is_false")]
    pub flow_control: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub headers_only: bool,
    #[serde(skip_serializing_if = "is_zero")]
    pub max_batch: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub max_expires: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub max_bytes: i64,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub deliver_subject: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub deliver_group: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub idle_heartbeat: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub inactive_threshold: i64,
    pub num_replicas: i64,
    #[serde(skip_serializing_if = "is_false")]
    pub mem_storage: bool,
    #[serde(deserialize_with = "null_is_empty")]
    pub metadata: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pause_until: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_is_empty")]
    pub priority_groups: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub priority_policy: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub priority_timeout: i64,
    /// Old clients set it for ephemeral consumers; it says nothing.
    #[serde(skip_serializing)]
    pub direct: bool,
}

const ACK_WAIT: i64 = 30_000_000_000;
const MAX_ACK_PENDING: i64 = 1_000;
const MAX_WAITING: i64 = 512;
const INACTIVE_THRESHOLD: i64 = 5_000_000_000;
const LEAST_HEARTBEAT: i64 = 100_000_000;

fn refuse<T>(err_code: u16, text: impl Into<String>) -> Result<T, ApiError> {
    Err(ApiError::new(400, err_code, text))
}

impl ConsumerConfig {
    pub fn is_push(&self) -> bool {
        !self.deliver_subject.is_empty()
    }

    /// The filters, in whichever field they are.
    pub fn filters(&self) -> Vec<&str> {
        if self.filter_subject.is_empty() {
            self.filter_subjects.iter().map(String::as_str).collect()
        } else {
            vec![&self.filter_subject]
        }
    }

    /// Sets what was left out, as the original does, and checks the rest.
    ///
    /// # Errors
    /// [`ApiError`], with the original's code and text.
    pub fn complete(mut self, stream: &StreamConfig) -> Result<ConsumerConfig, ApiError> {
        if !self.name.is_empty() && !is_valid_name(&self.name) {
            return refuse(
                10131,
                "Consumer create request did not match filtered subject from create subject",
            );
        }
        if !self.durable_name.is_empty() && !is_valid_name(&self.durable_name) {
            return refuse(10103, "durable name can not contain '.', '*', '>'");
        }
        if self.num_replicas > 1 {
            return Err(ApiError::replicas());
        }
        self.check_push_or_pull()?;
        if self.ack_wait < 0 {
            return refuse(10183, "consumer ack wait needs to be positive");
        }
        if self.backoff.iter().any(|wait| *wait < 0) {
            return refuse(10184, "consumer backoff needs to be positive");
        }
        if !self.sample_freq.is_empty()
            && self.sample_freq.trim_end_matches('%').parse::<u8>().is_err()
        {
            return refuse(
                10095,
                format!(
                    "failed to parse consumer sampling configuration: strconv.Atoi: parsing \"{}\": invalid syntax",
                    self.sample_freq
                ),
            );
        }
        if !self.priority_groups.is_empty() || !self.priority_policy.is_empty() {
            return Err(ApiError::consumer_create(
                "priority groups are not supported by this server",
            ));
        }
        if let Some(until) = &self.pause_until
            && calendar::unix_ns(until).is_none()
        {
            return Err(ApiError::bad_time(until));
        }
        if self.max_deliver == 0 || self.max_deliver < -1 {
            self.max_deliver = -1;
        }
        if let Some(first) = self.backoff.first() {
            if self.max_deliver != -1 && self.backoff.len() as i64 > self.max_deliver {
                return refuse(10116, "max deliver is required to be > length of backoff values");
            }
            self.ack_wait = *first;
        }
        for unset in [
            &mut self.max_batch,
            &mut self.max_expires,
            &mut self.max_bytes,
            &mut self.inactive_threshold,
        ] {
            *unset = (*unset).max(0);
        }
        self.max_ack_pending = self.max_ack_pending.max(-1);
        if self.ack_policy != AckPolicy::None {
            if self.ack_wait == 0 {
                self.ack_wait = ACK_WAIT;
            }
            if self.max_ack_pending == 0 {
                let limit = stream.consumer_limits.max_ack_pending;
                self.max_ack_pending = if limit > 0 { limit } else { MAX_ACK_PENDING };
            }
        }
        if !self.is_push() && self.max_waiting <= 0 {
            self.max_waiting = MAX_WAITING;
        }
        if self.durable_name.is_empty() && self.inactive_threshold == 0 {
            let limit = stream.consumer_limits.inactive_threshold;
            self.inactive_threshold = if limit > 0 { limit } else { INACTIVE_THRESHOLD };
        }
        self.check_start()?;
        self.check_filters(stream)?;
        self.metadata.insert("_nats.level".to_owned(), "5".to_owned());
        let level = if self.pause_until.is_some() { "1" } else { "0" };
        self.metadata.insert("_nats.req.level".to_owned(), level.to_owned());
        self.metadata.insert("_nats.ver".to_owned(), "2.15.1".to_owned());
        Ok(self)
    }

    fn check_push_or_pull(&self) -> Result<(), ApiError> {
        if self.is_push() {
            if subject::has_wildcard(self.deliver_subject.as_bytes()) {
                return refuse(10079, "consumer deliver subject has wildcards");
            }
            if !subject::is_valid_filter(self.deliver_subject.as_bytes()) {
                return refuse(10112, "invalid push consumer deliver subject");
            }
            if self.max_waiting != 0 {
                return refuse(10080, "consumer in push mode can not set max waiting");
            }
            if self.idle_heartbeat != 0 && self.idle_heartbeat < LEAST_HEARTBEAT {
                return refuse(10083, "consumer idle heartbeat needs to be >= 100ms");
            }
            if self.flow_control && self.idle_heartbeat == 0 {
                return refuse(10108, "consumer with flow control also needs heartbeats");
            }
            return Ok(());
        }
        if self.rate_limit_bps > 0 {
            return refuse(10086, "consumer in pull mode can not have rate limit set");
        }
        if self.idle_heartbeat > 0 {
            return refuse(10088, "consumer idle heartbeat requires a push based consumer");
        }
        if self.flow_control {
            return refuse(10089, "consumer flow control requires a push based consumer");
        }
        Ok(())
    }

    fn check_start(&self) -> Result<(), ApiError> {
        let policy = match self.deliver_policy {
            DeliverPolicy::All => "all",
            DeliverPolicy::Last => "last",
            DeliverPolicy::New => "new",
            DeliverPolicy::LastPerSubject => "last per subject",
            DeliverPolicy::ByStartSequence => {
                if self.opt_start_seq.unwrap_or(0) == 0 {
                    return refuse(
                        10094,
                        "consumer delivery policy is deliver by start sequence, but optional start sequence is not set",
                    );
                }
                if self.opt_start_time.is_some() {
                    return refuse(
                        10094,
                        "consumer delivery policy is deliver by start sequence, but optional start time is also set",
                    );
                }
                return Ok(());
            }
            DeliverPolicy::ByStartTime => {
                let Some(start) = &self.opt_start_time else {
                    return refuse(
                        10094,
                        "consumer delivery policy is deliver by start time, but optional start time is not set",
                    );
                };
                if self.opt_start_seq.unwrap_or(0) != 0 {
                    return refuse(
                        10094,
                        "consumer delivery policy is deliver by start time, but optional start sequence is also set",
                    );
                }
                if calendar::unix_ns(start).is_none() {
                    return Err(ApiError::bad_time(start));
                }
                return Ok(());
            }
        };
        for (is_set, what) in [
            (self.opt_start_seq.unwrap_or(0) != 0, "sequence"),
            (self.opt_start_time.is_some(), "time"),
        ] {
            if is_set {
                return refuse(
                    10094,
                    format!(
                        "consumer delivery policy is deliver {policy}, but optional start {what} is also set"
                    ),
                );
            }
        }
        let is_filtered = !self.filter_subject.is_empty() || !self.filter_subjects.is_empty();
        if self.deliver_policy == DeliverPolicy::LastPerSubject && !is_filtered {
            return refuse(
                10094,
                "consumer delivery policy is deliver last per subject, but optional filter subject is not set",
            );
        }
        Ok(())
    }

    fn check_filters(&self, stream: &StreamConfig) -> Result<(), ApiError> {
        if !self.filter_subject.is_empty() && !self.filter_subjects.is_empty() {
            return refuse(
                10136,
                "consumer cannot have both FilterSubject and FilterSubjects specified",
            );
        }
        for (place, filter) in self.filter_subjects.iter().enumerate() {
            if filter.is_empty() {
                return refuse(10139, "consumer filter in FilterSubjects cannot be empty");
            }
            let others = &self.filter_subjects[place + 1..];
            if others.iter().any(|other| subject::overlap(filter.as_bytes(), other.as_bytes())) {
                return refuse(10138, "consumer subject filters cannot overlap");
            }
        }
        for filter in self.filters() {
            if !subject::is_valid_filter(filter.as_bytes()) {
                return Err(ApiError::stream_config("invalid subject"));
            }
        }
        if self.is_push() {
            let cycle = stream
                .subjects
                .iter()
                .any(|one| subject::matches(one.as_bytes(), self.deliver_subject.as_bytes()));
            if cycle {
                return refuse(10081, "consumer deliver subject forms a cycle");
            }
        }
        if stream.retention == Retention::WorkQueue {
            if self.ack_policy != AckPolicy::Explicit {
                let text = if self.is_push() {
                    return refuse(10098, "workqueue stream requires explicit ack");
                } else {
                    "consumer in pull mode requires explicit ack policy on workqueue stream"
                };
                return refuse(10084, text);
            }
            if self.deliver_policy != DeliverPolicy::All {
                return refuse(10101, "consumer must be deliver all on workqueue stream");
            }
        }
        Ok(())
    }

    /// Whether a change from `self` to `new`, which is complete, is allowed.
    ///
    /// # Errors
    /// [`ApiError`], with the original's code and text.
    pub fn check_update(&self, new: &ConsumerConfig) -> Result<(), ApiError> {
        let fixed = [
            (self.deliver_policy != new.deliver_policy, "deliver policy"),
            (self.opt_start_seq != new.opt_start_seq, "start sequence"),
            (self.opt_start_time != new.opt_start_time, "start time"),
            (self.ack_policy != new.ack_policy, "ack policy"),
            (self.replay_policy != new.replay_policy, "replay policy"),
            (self.idle_heartbeat != new.idle_heartbeat, "heart beats"),
            (self.flow_control != new.flow_control, "flow control"),
        ];
        for (changed, what) in fixed {
            if changed {
                let verb = if what == "heart beats" { "can not" } else { "can not be" };
                return Err(ApiError::consumer_create(format!("{what} {verb} updated")));
            }
        }
        if self.is_push() != new.is_push() {
            return Err(ApiError::consumer_create(if new.is_push() {
                "can not update pull consumer to push based"
            } else {
                "can not update push consumer to pull based"
            }));
        }
        if !self.is_push() && self.max_waiting != new.max_waiting {
            return Err(ApiError::consumer_create("max waiting can not be updated"));
        }
        Ok(())
    }
}
