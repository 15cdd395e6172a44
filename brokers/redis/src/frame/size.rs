//! How many bytes a piece of RESP takes.

/// Decimal digits of `number`.
#[inline]
const fn digits(number: usize) -> usize {
    // Nearly every length on the bus is below a thousand.
    match number {
        0..10 => 1,
        10..100 => 2,
        100..1_000 => 3,
        _ => number.ilog10() as usize + 1,
    }
}

/// `*N\r\n`, and the same for `>`, `%` and `$`.
#[inline]
pub(super) const fn header(count: usize) -> usize {
    1 + digits(count) + 2
}

/// `$N\r\n...\r\n` around `len` bytes.
#[inline]
pub(super) const fn bulk(len: usize) -> usize {
    header(len) + len + 2
}

/// `:N\r\n`.
#[inline]
pub(super) const fn integer(value: i64) -> usize {
    1 + (value < 0) as usize + digits(value.unsigned_abs() as usize) + 2
}

/// `+...\r\n` and `-...\r\n` around `len` bytes.
#[inline]
pub(super) const fn line(len: usize) -> usize {
    1 + len + 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_the_text() {
        for number in [0, 1, 9, 10, 99, 100, 999, 1_000, 9_999, 10_000, 123_456] {
            assert_eq!(header(number), format!("*{number}\r\n").len());
            assert_eq!(integer(number as i64), format!(":{number}\r\n").len());
            assert_eq!(integer(-(number as i64)), format!(":{}\r\n", -(number as i64)).len());
        }
        assert_eq!(bulk(7), "$7\r\nmessage\r\n".len());
        assert_eq!(bulk(0), "$0\r\n\r\n".len());
        assert_eq!(line(2), "+OK\r\n".len());
    }
}
