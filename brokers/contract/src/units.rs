//! Durations, bytes and rates as people write them.
//!
//! A value in a scenario always carries its unit (`"5ms"`, `"64MiB"`,
//! `"100Mbit/s"`); these functions read and write them.

use std::time::Duration;

/// Why a text is not a quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// There is no number in front.
    #[error("`{0}` does not start with a number")]
    Number(String),
    /// The unit is missing or unknown.
    #[error("`{text}` needs a unit: one of {known}")]
    Unit {
        /// What was given.
        text: String,
        /// The units there are.
        known: &'static str,
    },
    /// The value is too large for 64 bits.
    #[error("`{0}` is too large")]
    TooLarge(String),
}

const DURATIONS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
];

const BYTES: &[(&str, u64)] = &[
    ("B", 1),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

const BANDWIDTHS: &[(&str, u64)] = &[
    ("kbit/s", 1_000),
    ("Mbit/s", 1_000_000),
    ("Gbit/s", 1_000_000_000),
    ("kbit", 1_000),
    ("Mbit", 1_000_000),
    ("Gbit", 1_000_000_000),
];

/// Reads `"250us"`, `"1.5s"`, `"2m"`; `0` needs no unit.
///
/// # Errors
/// [`UnitError`] naming what is missing.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    quantity(text, DURATIONS, "ns, us, ms, s, m, h, d").map(Duration::from_nanos)
}

/// Reads `"512B"`, `"64MiB"`, `"1.5MB"`; `0` needs no unit.
///
/// # Errors
/// [`UnitError`] naming what is missing.
pub fn parse_bytes(text: &str) -> Result<u64, UnitError> {
    quantity(text, BYTES, "B, kB, MB, GB, KiB, MiB, GiB")
}

/// Reads `"100Mbit/s"`; the result is in bits per second.
///
/// # Errors
/// [`UnitError`] naming what is missing.
pub fn parse_bandwidth(text: &str) -> Result<u64, UnitError> {
    quantity(text, BANDWIDTHS, "kbit/s, Mbit/s, Gbit/s")
}

/// Writes a duration in the largest unit that needs at most three decimals.
pub fn format_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    for (unit, size) in [("d", 86_400_000_000_000), ("h", 3_600_000_000_000), ("m", 60_000_000_000)]
    {
        if nanos >= size && nanos.is_multiple_of(size) {
            return format!("{}{unit}", nanos / size);
        }
    }
    for (unit, size) in [("s", 1_000_000_000_u128), ("ms", 1_000_000), ("us", 1_000)] {
        if nanos >= size {
            return format!("{}{unit}", trimmed(nanos as f64 / size as f64));
        }
    }
    if nanos == 0 { "0s".to_owned() } else { format!("{nanos}ns") }
}

/// Writes bytes in the largest binary unit that divides them, else in bytes.
pub fn format_bytes(bytes: u64) -> String {
    for (unit, size) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10_u64)] {
        if bytes >= size && bytes.is_multiple_of(size) {
            return format!("{}{unit}", bytes / size);
        }
    }
    format!("{bytes}B")
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn quantity(text: &str, units: &[(&str, u64)], known: &'static str) -> Result<u64, UnitError> {
    let text = text.trim();
    let split =
        text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_')).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number = number.replace('_', "");
    let unit = unit.trim();
    let (whole, fraction) = number.split_once('.').unwrap_or((&number, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return Err(UnitError::Number(text.to_owned()));
    }
    let scale = match units.iter().find(|(name, _)| *name == unit) {
        Some((_, scale)) => *scale,
        None if unit.is_empty() && number.bytes().all(|byte| byte == b'0' || byte == b'.') => 1,
        None => return Err(UnitError::Unit { text: text.to_owned(), known }),
    };
    let too_large = || UnitError::TooLarge(text.to_owned());
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().map_err(|_| too_large())? };
    // Integer arithmetic keeps the same text the same value on every platform.
    let mut value = u128::from(whole) * u128::from(scale);
    let mut place = u128::from(scale);
    for digit in fraction.bytes() {
        place /= 10;
        value += u128::from(digit - b'0') * place;
    }
    u64::try_from(value).map_err(|_| too_large())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_as_written() {
        assert_eq!(parse_duration("250us"), Ok(Duration::from_micros(250)));
        assert_eq!(parse_duration("1.5 s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
        assert_eq!(parse_bytes("64MiB"), Ok(64 << 20));
        assert_eq!(parse_bytes("1_000B"), Ok(1000));
        assert_eq!(parse_bandwidth("100Mbit/s"), Ok(100_000_000));
    }

    #[test]
    fn wrong_quantities_say_what_is_missing() {
        assert!(matches!(parse_duration("5"), Err(UnitError::Unit { .. })));
        assert!(matches!(parse_duration("-5ms"), Err(UnitError::Number(_))));
        assert!(matches!(parse_duration("5 parsecs"), Err(UnitError::Unit { .. })));
        assert!(matches!(parse_duration("1.2.3s"), Err(UnitError::Number(_))));
        assert!(matches!(parse_bytes("99999999999999GiB"), Err(UnitError::TooLarge(_))));
    }

    #[test]
    fn quantities_write_and_read_back() {
        for text in ["250us", "1.5s", "2m", "90s", "7d", "1ns", "0s", "2.5ms"] {
            let duration = parse_duration(text).expect("reads");
            assert_eq!(parse_duration(&format_duration(duration)), Ok(duration), "{text}");
        }
        assert_eq!(format_duration(Duration::from_micros(2500)), "2.5ms");
        assert_eq!(format_bytes(64 << 20), "64MiB");
        assert_eq!(format_bytes(1500), "1500B");
    }
}
