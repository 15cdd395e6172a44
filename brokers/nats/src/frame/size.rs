//! Lengths of what the text protocol writes.

/// Bytes of `\r\n`.
pub(crate) const CRLF: usize = 2;

/// Decimal digits of `number`.
#[inline]
pub(crate) fn digits(number: u64) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

/// A writer that only counts.
#[derive(Default)]
pub(crate) struct Counter(pub usize);

impl std::fmt::Write for Counter {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_those_of_the_decimal_text() {
        for number in [0, 1, 9, 10, 99, 100, 12_345, u64::from(u32::MAX), u64::MAX] {
            assert_eq!(digits(number), number.to_string().len(), "{number}");
        }
    }
}
