//! Points in time as the protocol writes them.

use jiff::Timestamp;

/// What the original writes for a time that is not set.
pub(crate) const ZERO: &str = "0001-01-01T00:00:00Z";

/// RFC 3339 of nanoseconds since 1970.
pub(crate) fn rfc3339(unix_ns: u64) -> String {
    match Timestamp::from_nanosecond(i128::from(unix_ns)) {
        Ok(stamp) => stamp.to_string(),
        // Beyond the year 9999.
        Err(_) => Timestamp::MAX.to_string(),
    }
}

/// Nanoseconds since 1970; a time before that is 0. `None` when `text` is no
/// RFC 3339.
pub(crate) fn unix_ns(text: &str) -> Option<u64> {
    let stamp: Timestamp = text.parse().ok()?;
    Some(u64::try_from(stamp.as_nanosecond()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        let text = "2026-11-24T22:52:35.557347203Z";
        assert_eq!(unix_ns(text).map(rfc3339).as_deref(), Some(text));
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(unix_ns(ZERO), Some(0));
        assert_eq!(unix_ns("2036-01-01T02:00:00+02:00"), unix_ns("2036-01-01T00:00:00Z"));
        assert_eq!(unix_ns("yesterday"), None);
    }
}
