//! Reading the arguments of commands.

use crate::frame::Text;

/// Whether an argument is a word, whatever its case.
pub(super) fn is(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}

/// A decimal integer as the original reads one: no sign but a minus, no leading
/// zeros, no spaces.
pub(super) fn integer(text: &[u8]) -> Option<i64> {
    let value: i64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    (value.to_string().as_bytes() == text).then_some(value)
}

/// An argument as text for an error.
pub(super) fn lossy(arg: &[u8]) -> String {
    const SHOWN: usize = 128;
    String::from_utf8_lossy(&arg[..arg.len().min(SHOWN)]).into_owned()
}

/// `on` or `off`.
pub(super) fn on_off(arg: &Text) -> Option<bool> {
    match () {
        () if is(arg, "on") => Some(true),
        () if is(arg, "off") => Some(false),
        () => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_read_strictly() {
        assert_eq!(integer(b"0"), Some(0));
        assert_eq!(integer(b"-12"), Some(-12));
        assert_eq!(integer(b"9223372036854775807"), Some(i64::MAX));
        for bad in ["", "01", "+1", " 1", "1 ", "-0", "1.0", "9223372036854775808", "x"] {
            assert_eq!(integer(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
