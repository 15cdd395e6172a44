//! Errors of the API, with the original's codes and texts.

use serde::Serialize;

/// What an API answers instead of a result, and a publish instead of a sequence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{description} ({err_code})")]
pub struct ApiError {
    /// Like the status of HTTP.
    pub code: u16,
    /// What exactly.
    pub err_code: u16,
    /// In words.
    pub description: String,
}

impl ApiError {
    pub(crate) fn new(code: u16, err_code: u16, description: impl Into<String>) -> ApiError {
        ApiError { code, err_code, description: description.into() }
    }

    pub(crate) fn bad_request() -> ApiError {
        ApiError::new(400, 10003, "bad request")
    }

    pub(crate) fn bad_json(text: &str) -> ApiError {
        ApiError::new(400, 10025, format!("invalid JSON: {text}"))
    }

    /// A time that cannot be read, in the words of Go's library for those that are
    /// no time at all.
    pub(crate) fn bad_time(text: &str) -> ApiError {
        const LAYOUT: &str = "2006-01-02T15:04:05Z07:00";
        ApiError::bad_json(&format!(
            "parsing time {text:?} as {LAYOUT:?}: cannot parse {text:?} as \"2006\""
        ))
    }

    pub(crate) fn stream_not_found() -> ApiError {
        ApiError::new(404, 10059, "stream not found")
    }

    pub(crate) fn consumer_not_found() -> ApiError {
        ApiError::new(404, 10014, "consumer not found")
    }

    pub(crate) fn stream_mismatch() -> ApiError {
        ApiError::new(400, 10056, "stream name in subject does not match request")
    }

    pub(crate) fn no_message() -> ApiError {
        ApiError::new(404, 10037, "no message found")
    }

    /// A stream's configuration is invalid.
    pub(crate) fn stream_config(description: impl Into<String>) -> ApiError {
        ApiError::new(500, 10052, description)
    }

    /// The store refused.
    pub(crate) fn store_failed(description: impl Into<String>) -> ApiError {
        ApiError::new(503, 10077, description)
    }

    pub(crate) fn wrong_last_sequence(last: u64) -> ApiError {
        ApiError::new(400, 10071, format!("wrong last sequence: {last}"))
    }

    pub(crate) fn replicas() -> ApiError {
        ApiError::new(500, 10074, "replicas > 1 not supported in non-clustered mode")
    }

    /// A consumer could not be made or changed.
    pub(crate) fn consumer_create(description: impl Into<String>) -> ApiError {
        ApiError::new(500, 10012, description)
    }
}
