//! The JSON of the JetStream API, as far as a client speaks it.
//!
//! Durations are whole nanoseconds. What a client does not need in an answer is
//! left unread, because servers of other versions say more.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The error in an answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct ApiError {
    #[serde(default)]
    pub code: u16,
    #[serde(default)]
    pub err_code: u16,
    #[serde(default)]
    pub description: String,
}

impl ApiError {
    /// A consumer that is there already with something that cannot change.
    const CONSUMER_CREATE: u16 = 10_012;
    /// No such stream.
    const STREAM_NOT_FOUND: u16 = 10_059;

    /// The text for an application.
    pub fn text(&self) -> String {
        format!("{} (err_code {})", self.description, self.err_code)
    }

    pub fn is_conflict(&self) -> bool {
        self.err_code == Self::CONSUMER_CREATE
    }

    /// Whether what cannot be changed is where a consumer began.
    pub fn is_of_start(&self) -> bool {
        self.description.starts_with("deliver policy") || self.description.starts_with("start ")
    }

    pub fn is_stream_missing(&self) -> bool {
        self.err_code == Self::STREAM_NOT_FOUND
    }

    /// Whether the server may do it a little later.
    pub fn is_passing(&self) -> bool {
        self.code == 503
    }
}

/// An answer to anything, with what a client looks at.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Answer {
    #[serde(default)]
    pub error: Option<ApiError>,
    /// Of STREAM.NAMES, which leaves it out or says null when there is none.
    #[serde(default)]
    pub streams: Option<Vec<Box<str>>>,
    /// Of STREAM.INFO.
    #[serde(default)]
    pub state: StreamState,
    /// Of CONSUMER.CREATE.
    #[serde(default)]
    pub delivered: Delivered,
    /// Of CONSUMER.CREATE: what is settled without a gap.
    #[serde(default)]
    pub ack_floor: Delivered,
    /// Of STREAM.NAMES: how many there are in all.
    #[serde(default)]
    pub total: u64,
    /// Of CONSUMER.CREATE: when it was made, by the server's clock.
    #[serde(default)]
    pub created: Option<Box<str>>,
    /// Of STREAM.MSG.GET.
    #[serde(default)]
    pub message: Option<Stored>,
}

/// A message as STREAM.MSG.GET gives it, of which only its age is of interest.
#[derive(Debug, Deserialize)]
pub(super) struct Stored {
    /// When it was stored, by the server's clock.
    #[serde(default)]
    pub time: Box<str>,
}

/// What STREAM.INFO says of a stream.
#[derive(Debug, Default, Deserialize)]
pub(super) struct StreamState {
    #[serde(default)]
    pub first_seq: u64,
    #[serde(default)]
    pub last_seq: u64,
}

/// How far a consumer is.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Delivered {
    #[serde(default)]
    pub stream_seq: u64,
}

/// The answer to a publish.
#[derive(Debug, Deserialize)]
pub(super) struct PubAck {
    #[serde(default)]
    pub error: Option<ApiError>,
    #[serde(default)]
    pub seq: u64,
}

/// STREAM.NAMES of streams that take in what a filter takes in.
#[derive(Debug, Serialize)]
pub(super) struct NamesRequest<'a> {
    pub subject: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    pub offset: u64,
}

fn is_zero(offset: &u64) -> bool {
    *offset == 0
}

/// STREAM.CREATE. A limit of -1 is none.
#[derive(Debug, Serialize)]
pub(super) struct StreamConfig<'a> {
    pub name: &'a str,
    pub subjects: &'a [&'a str],
    pub retention: &'a str,
    pub max_consumers: i64,
    pub max_msgs: i64,
    pub max_bytes: i64,
    pub max_age: u64,
    pub max_msgs_per_subject: i64,
    pub max_msg_size: i64,
    pub discard: &'a str,
    pub storage: &'a str,
    pub num_replicas: u8,
    pub duplicate_window: u64,
}

/// CONSUMER.CREATE and CONSUMER.DURABLE.CREATE.
#[derive(Debug, Serialize)]
pub(super) struct ConsumerRequest<'a> {
    pub stream_name: &'a str,
    pub config: ConsumerConfig<'a>,
}

/// A consumer; what is left out is the server's default.
#[derive(Debug, Default, Serialize)]
pub(super) struct ConsumerConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub durable_name: Option<&'a str>,
    pub name: &'a str,
    pub deliver_policy: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opt_start_seq: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opt_start_time: Option<String>,
    pub ack_policy: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack_wait: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_deliver: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub backoff: Vec<u64>,
    pub filter_subject: &'a str,
    pub replay_policy: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_waiting: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_ack_pending: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deliver_subject: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub flow_control: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_heartbeat: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inactive_threshold: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mem_storage: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_replicas: Option<u8>,
}

/// STREAM.MSG.GET.
#[derive(Debug, Serialize)]
pub(super) struct GetRequest {
    pub seq: u64,
}

/// CONSUMER.MSG.NEXT.
#[derive(Debug, Serialize)]
pub(super) struct PullRequest {
    pub batch: u32,
    pub expires: u64,
    pub idle_heartbeat: u64,
}

/// The body of an API request.
pub(super) fn body(request: &impl Serialize) -> Vec<u8> {
    // Plain structures of numbers and text always have a form in JSON.
    serde_json::to_vec(request).unwrap_or_default()
}

/// Whole nanoseconds, stopping at 292 years, beyond which the server's signed
/// numbers do not reach.
pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).min(i64::MAX as u64)
}

/// A moment as RFC 3339 has it.
pub(super) fn rfc3339(unix_nanos: u64) -> String {
    let (seconds, nanos) = (unix_nanos / 1_000_000_000, unix_nanos % 1_000_000_000);
    let (days, of_day) = (seconds / 86_400, seconds % 86_400);
    // Civil date from days since 1970-03-01 shifted to a 400-year era that
    // begins in March, so that the leap day comes last.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
}

/// Nanoseconds since 1970 of a moment as a server writes it: in UTC, with as many
/// digits of a second as it takes. `None` for anything else.
pub(super) fn unix_nanos(text: &str) -> Option<u64> {
    let (seconds, fraction) = text.strip_suffix('Z')?.split_at_checked(19)?;
    let fraction = match fraction.strip_prefix('.') {
        Some(digits) if (1..=9).contains(&digits.len()) => digits,
        None if fraction.is_empty() => "0",
        _ => return None,
    };
    let digits = |text: &str| -> Option<u64> {
        text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
    };
    let field = |from: usize, to: usize| digits(seconds.get(from..to)?);
    let between: Vec<u8> = [4, 7, 10, 13, 16].map(|at| seconds.as_bytes()[at]).into();
    if between != b"--T::" {
        return None;
    }
    let (year, month, day) = (field(0, 4)?, field(5, 7)?, field(8, 10)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // The other way round than in [`rfc3339`].
    let shifted = year - u64::from(month <= 2);
    let (era, year_of_era) = (shifted / 400, shifted % 400);
    let month_from_march = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    let days = (era * 146_097 + of_era).checked_sub(719_468)?;
    let of_day = field(11, 13)? * 3_600 + field(14, 16)? * 60 + field(17, 19)?;
    let nanos = digits(fraction)? * 10_u64.pow(9 - fraction.len() as u32);
    (days * 86_400 + of_day).checked_mul(1_000_000_000)?.checked_add(nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_servers_write_them() {
        for nanos in [
            0,
            1_500_000_000,
            951_782_399 * 1_000_000_000,
            951_868_800 * 1_000_000_000,
            1_795_563_459_684_424_300,
            4_107_542_400 * 1_000_000_000,
        ] {
            assert_eq!(unix_nanos(&rfc3339(nanos)), Some(nanos));
        }
        assert_eq!(unix_nanos("1970-01-01T00:00:01.5Z"), Some(1_500_000_000));
        assert_eq!(unix_nanos("1970-01-01T00:01:00Z"), Some(60_000_000_000));
        for other in [
            "",
            "Z",
            "1970-01-01",
            "1970-01-01T00:00:01.Z",
            "1970-01-01T00:00:01.0000000001Z",
            "1970-01-01T00:00:01+02:00",
            "1970-13-01T00:00:01Z",
            "1970-01-01 00:00:01Z",
            "+970-01-01T00:00:01Z",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
            "197\u{e9}-01-01T00:00:01Z",
        ] {
            assert_eq!(unix_nanos(other), None, "{other}");
        }
    }

    #[test]
    fn moments_are_civil_dates() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(rfc3339(1_500_000_000), "1970-01-01T00:00:01.500000000Z");
        assert_eq!(rfc3339(951_782_399 * 1_000_000_000), "2000-02-28T23:59:59.000000000Z");
        assert_eq!(rfc3339(951_868_800 * 1_000_000_000), "2000-03-01T00:00:00.000000000Z");
        assert_eq!(rfc3339(1_795_563_459_684_424_300), "2026-11-24T23:37:39.684424300Z");
        assert_eq!(rfc3339(4_107_542_400 * 1_000_000_000), "2100-03-01T00:00:00.000000000Z");
    }

    #[test]
    fn answers_of_a_real_server_are_read() {
        // As nats-server 2.15.1 writes them.
        let names = br#"{"type":"io.nats.jetstream.api.v1.stream_names_response","total":0,"offset":0,"limit":1024,"streams":null}"#;
        let names: Answer = serde_json::from_slice(names).expect("reads");
        assert_eq!((names.streams, names.total), (None, 0));
        let error = br#"{"type":"io.nats.jetstream.api.v1.stream_create_response","error":{"code":400,"err_code":10058,"description":"stream name already in use with a different configuration"}}"#;
        let error: Answer = serde_json::from_slice(error).expect("reads");
        assert_eq!(
            error.error.expect("is one").text(),
            "stream name already in use with a different configuration (err_code 10058)"
        );
        let consumer = br#"{"name":"D","delivered":{"consumer_seq":0,"stream_seq":5},"ack_floor":{"consumer_seq":0,"stream_seq":0},"num_pending":5}"#;
        let consumer: Answer = serde_json::from_slice(consumer).expect("reads");
        assert_eq!(consumer.delivered.stream_seq, 5);
        let ack: PubAck =
            serde_json::from_slice(br#"{"stream":"A","seq":5,"duplicate":true}"#).expect("reads");
        assert!(ack.error.is_none() && ack.seq == 5);
    }
}
