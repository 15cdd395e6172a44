//! A stream's configuration: its JSON, its defaults, and what is refused.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::ApiError;
use crate::subject;

/// When messages go.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Retention {
    /// By limits alone.
    #[default]
    Limits,
    /// When every consumer that wants them has acknowledged them.
    Interest,
    /// When the one consumer that they are for has acknowledged them.
    WorkQueue,
}

/// What gives way at a limit.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Discard {
    #[default]
    Old,
    New,
}

/// Where messages are.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Storage {
    #[default]
    File,
    Memory,
}

/// What consumers of the stream have when they say nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ConsumerLimits {
    #[serde(skip_serializing_if = "is_zero")]
    pub inactive_threshold: i64,
    #[serde(skip_serializing_if = "is_zero")]
    pub max_ack_pending: i64,
}

pub(crate) fn is_zero(value: &i64) -> bool {
    *value == 0
}

fn is_unset(value: &u64) -> bool {
    *value == 0
}

pub(crate) fn is_false(value: &bool) -> bool {
    !value
}

/// A stream's configuration, durations in nanoseconds. The order of the fields is
/// that in which the original writes them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StreamConfig {
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(deserialize_with = "null_is_empty")]
    pub subjects: Vec<String>,
    pub retention: Retention,
    pub max_consumers: i64,
    pub max_msgs: i64,
    pub max_bytes: i64,
    pub max_age: i64,
    pub max_msgs_per_subject: i64,
    pub max_msg_size: i64,
    pub discard: Discard,
    pub storage: Storage,
    pub num_replicas: i64,
    #[serde(skip_serializing_if = "is_false")]
    pub no_ack: bool,
    pub duplicate_window: i64,
    #[serde(skip_serializing_if = "Value::is_null")]
    placement: Value,
    #[serde(skip_serializing_if = "Value::is_null")]
    mirror: Value,
    #[serde(skip_serializing_if = "Value::is_null")]
    sources: Value,
    compression: Compression,
    #[serde(skip_serializing_if = "is_unset")]
    pub first_seq: u64,
    #[serde(skip_serializing_if = "Value::is_null")]
    subject_transform: Value,
    #[serde(skip_serializing_if = "Value::is_null")]
    republish: Value,
    pub allow_direct: bool,
    mirror_direct: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub discard_new_per_subject: bool,
    pub sealed: bool,
    pub deny_delete: bool,
    pub deny_purge: bool,
    pub allow_rollup_hdrs: bool,
    pub consumer_limits: ConsumerLimits,
    allow_msg_ttl: bool,
    #[serde(skip_serializing_if = "is_zero")]
    subject_delete_marker_ttl: i64,
    #[serde(skip_serializing_if = "is_false")]
    allow_msg_counter: bool,
    #[serde(skip_serializing_if = "is_false")]
    allow_atomic: bool,
    #[serde(skip_serializing_if = "is_false")]
    allow_msg_schedules: bool,
    #[serde(deserialize_with = "null_is_empty")]
    pub metadata: BTreeMap<String, String>,
}

/// Only the first is there.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Compression {
    #[default]
    None,
    S2,
}

/// Go writes `null` for an empty list.
pub(crate) fn null_is_empty<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

const WINDOW: i64 = 120_000_000_000;
const LEAST: i64 = 100_000_000;
/// Where a stream may begin at most. The original lets sequences run over and begin
/// at 0 again, which no consumer survives.
const LAST_FIRST_SEQ: u64 = 1 << 62;

/// Whether `name` can be a stream's or a consumer's.
pub(crate) fn is_valid_name(name: &str) -> bool {
    let forbidden = |c: char| c.is_whitespace() || matches!(c, '.' | '*' | '>' | '/' | '\\');
    !name.is_empty() && name.len() <= 255 && !name.contains(forbidden) && !name.contains('\0')
}

impl StreamConfig {
    /// Sets what was left out, as the original does, and checks the rest.
    ///
    /// # Errors
    /// [`ApiError`], with the original's code and text.
    pub fn complete(mut self) -> Result<StreamConfig, ApiError> {
        let refuse = |text: &str| Err(ApiError::stream_config(text));
        if !is_valid_name(&self.name) {
            return refuse("stream name is required and can not contain '.', '*', '>'");
        }
        match self.num_replicas {
            ..=-1 => return Err(ApiError::new(400, 10133, "replicas count cannot be negative")),
            0 | 1 => self.num_replicas = 1,
            2..=5 => return Err(ApiError::replicas()),
            _ => return refuse("maximum replicas is 5"),
        }
        self.check_supported()?;
        for limit in [
            &mut self.max_msgs,
            &mut self.max_bytes,
            &mut self.max_msgs_per_subject,
            &mut self.max_msg_size,
            &mut self.max_consumers,
        ] {
            if *limit <= 0 {
                *limit = -1;
            }
        }
        if self.max_age < 0 {
            return refuse("max age can not be negative");
        }
        if self.max_age > 0 && self.max_age < LEAST {
            return refuse("max age needs to be >= 100ms");
        }
        if self.duplicate_window < 0 {
            return refuse("duplicates window can not be negative");
        }
        if self.duplicate_window == 0 {
            self.duplicate_window =
                if self.max_age > 0 { WINDOW.min(self.max_age) } else { WINDOW };
        }
        if self.max_age > 0 && self.duplicate_window > self.max_age {
            return refuse("duplicates window can not be larger then max age");
        }
        if self.duplicate_window < LEAST {
            return refuse("duplicates window needs to be >= 100ms");
        }
        if self.first_seq > LAST_FIRST_SEQ {
            return refuse("first sequence is too large for this server");
        }
        if self.deny_purge && self.allow_rollup_hdrs {
            return refuse("roll-ups require the purge permission");
        }
        if self.discard_new_per_subject {
            if self.discard != Discard::New {
                return refuse("discard new per subject requires discard new policy to be set");
            }
            if self.max_msgs_per_subject <= 0 {
                return refuse("discard new per subject requires max msgs per subject > 0");
            }
        }
        if self.subjects.is_empty() {
            self.subjects.push(self.name.clone());
        }
        self.check_subjects()?;
        self.metadata.insert("_nats.level".to_owned(), "5".to_owned());
        self.metadata.insert("_nats.req.level".to_owned(), "0".to_owned());
        self.metadata.insert("_nats.ver".to_owned(), "2.15.1".to_owned());
        Ok(self)
    }

    fn check_supported(&self) -> Result<(), ApiError> {
        if !self.mirror.is_null() && !self.subjects.is_empty() {
            return Err(ApiError::new(400, 10034, "stream mirrors can not contain subjects"));
        }
        let set = |value: &Value| !value.is_null();
        for (is_set, name) in [
            (set(&self.mirror), "mirror"),
            (set(&self.sources), "sources"),
            (set(&self.subject_transform), "subject_transform"),
            (set(&self.republish), "republish"),
            (self.compression != Compression::None, "compression"),
            (self.allow_msg_ttl || self.subject_delete_marker_ttl > 0, "allow_msg_ttl"),
            (self.allow_msg_counter, "allow_msg_counter"),
            (self.allow_atomic, "allow_atomic"),
            (self.allow_msg_schedules, "allow_msg_schedules"),
        ] {
            if is_set {
                let text = format!("{name} is not supported by this server");
                return Err(ApiError::stream_config(text));
            }
        }
        Ok(())
    }

    fn check_subjects(&self) -> Result<(), ApiError> {
        let refuse = |text: String| Err(ApiError::stream_config(text));
        for (place, one) in self.subjects.iter().enumerate() {
            if !subject::is_valid_filter(one.as_bytes()) {
                return refuse("invalid subject".to_owned());
            }
            if !self.no_ack {
                if one == ">" {
                    return refuse("capturing all subjects requires no-ack to be true".to_owned());
                }
                for (prefix, api) in [
                    ("$JS.>", "jetstream api"),
                    ("$JSC.>", "jetstream api"),
                    ("$SYS.>", "system api"),
                ] {
                    // Events are published there, and may be kept.
                    let is_event =
                        one.starts_with("$JS.EVENT.") || one.starts_with("$SYS.ACCOUNT.");
                    if !is_event && subject::overlap(one.as_bytes(), prefix.as_bytes()) {
                        return refuse(format!(
                            "subjects that overlap with {api} require no-ack to be true"
                        ));
                    }
                }
            }
            for other in &self.subjects[place + 1..] {
                if subject::overlap(one.as_bytes(), other.as_bytes()) {
                    return refuse(format!("subject \"{one}\" overlaps with \"{other}\""));
                }
            }
        }
        Ok(())
    }

    /// Whether a change from `self` to `new`, which is complete, is allowed.
    ///
    /// # Errors
    /// [`ApiError`], with the original's code and text.
    pub fn check_update(&self, new: &StreamConfig) -> Result<(), ApiError> {
        let refuse = |text: &str| {
            Err(ApiError::stream_config(format!("stream configuration update {text}")))
        };
        if self.sealed && !new.sealed {
            return refuse("can not unseal a sealed stream");
        }
        if self.storage != new.storage {
            return refuse("can not change storage type");
        }
        let is_queue = |config: &StreamConfig| config.retention == Retention::WorkQueue;
        if is_queue(self) != is_queue(new) {
            return refuse("can not change retention policy to/from workqueue");
        }
        if self.deny_delete && !new.deny_delete {
            return refuse("can not cancel deny message deletes");
        }
        if self.deny_purge && !new.deny_purge {
            return refuse("can not cancel deny purge");
        }
        Ok(())
    }

    /// A limit that is set.
    pub fn limit(value: i64) -> Option<u64> {
        u64::try_from(value).ok().filter(|value| *value > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(json: &str) -> Result<StreamConfig, ApiError> {
        serde_json::from_str::<StreamConfig>(json).expect("reads").complete()
    }

    /// Pairs observed at nats-server 2.15.1.
    #[test]
    fn mistakes_have_the_originals_codes_and_texts() {
        for (json, code, text) in [
            (r#"{"name":"U","subjects":["a..b"]}"#, 10052, "invalid subject"),
            (r#"{"name":"U","subjects":["a","a"]}"#, 10052, "subject \"a\" overlaps with \"a\""),
            (
                r#"{"name":"U","subjects":[">"]}"#,
                10052,
                "capturing all subjects requires no-ack to be true",
            ),
            (
                r#"{"name":"U","subjects":["$JS.>"]}"#,
                10052,
                "subjects that overlap with jetstream api require no-ack to be true",
            ),
            (
                r#"{"name":"U","num_replicas":3}"#,
                10074,
                "replicas > 1 not supported in non-clustered mode",
            ),
            (r#"{"name":"U","num_replicas":-1}"#, 10133, "replicas count cannot be negative"),
            (r#"{"name":"U","num_replicas":6}"#, 10052, "maximum replicas is 5"),
            (r#"{"name":"U","max_age":10}"#, 10052, "max age needs to be >= 100ms"),
            (r#"{"name":"U","max_age":-1}"#, 10052, "max age can not be negative"),
            (
                r#"{"name":"U","max_age":1000000000,"duplicate_window":2000000000}"#,
                10052,
                "duplicates window can not be larger then max age",
            ),
            (
                r#"{"name":"U","duplicate_window":10}"#,
                10052,
                "duplicates window needs to be >= 100ms",
            ),
            (
                r#"{"name":"U","discard_new_per_subject":true}"#,
                10052,
                "discard new per subject requires discard new policy to be set",
            ),
            (
                r#"{"name":"U","discard":"new","discard_new_per_subject":true}"#,
                10052,
                "discard new per subject requires max msgs per subject > 0",
            ),
            (
                r#"{"name":"U","subjects":["u"],"mirror":{"name":"T"}}"#,
                10034,
                "stream mirrors can not contain subjects",
            ),
            (
                r#"{"name":"D","allow_rollup_hdrs":true,"deny_purge":true}"#,
                10052,
                "roll-ups require the purge permission",
            ),
        ] {
            let error = config(json).expect_err(json);
            assert_eq!((error.err_code, error.description.as_str()), (code, text), "{json}");
        }
    }

    #[test]
    fn defaults_are_the_originals() {
        let config = config(r#"{"name":"T","subjects":["t.>"]}"#).expect("is valid");
        let json = serde_json::to_string(&config).expect("writes");
        assert_eq!(
            json,
            r#"{"name":"T","subjects":["t.>"],"retention":"limits","max_consumers":-1,"max_msgs":-1,"max_bytes":-1,"max_age":0,"max_msgs_per_subject":-1,"max_msg_size":-1,"discard":"old","storage":"file","num_replicas":1,"duplicate_window":120000000000,"compression":"none","allow_direct":false,"mirror_direct":false,"sealed":false,"deny_delete":false,"deny_purge":false,"allow_rollup_hdrs":false,"consumer_limits":{},"allow_msg_ttl":false,"metadata":{"_nats.level":"5","_nats.req.level":"0","_nats.ver":"2.15.1"}}"#
        );
    }
}
