//! Numbers as RESP writes them.

use broker_contract::Sink;

/// A decimal integer as the original reads one: no sign but a minus, no leading
/// zeros, no spaces.
pub(super) fn read(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] => return (!negative).then_some(0),
        [b'1'..=b'9', ..] => {}
        _ => return None,
    }
    // Counted downwards, because the smallest number has no positive.
    let mut value: i64 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_sub(i64::from(digit - b'0'))?;
    }
    if negative { Some(value) } else { value.checked_neg() }
}

/// Writes `*N\r\n`, and the same for every other mark.
#[inline]
pub(super) fn header(mark: u8, value: u64, out: &mut impl Sink) {
    let mut space = [0; 24];
    let start = put_line(&mut space, value);
    space[start - 1] = mark;
    out.put(&space[start - 1..]);
}

/// Writes `:N\r\n`.
#[inline]
pub(super) fn integer(value: i64, out: &mut impl Sink) {
    let mut space = [0; 24];
    let mut start = put_line(&mut space, value.unsigned_abs());
    if value < 0 {
        start -= 1;
        space[start] = b'-';
    }
    space[start - 1] = b':';
    out.put(&space[start - 1..]);
}

/// The number and the line's end at the end of `space`; returns where it starts.
/// Twenty digits and two bytes leave two free in front.
#[inline]
fn put_line(space: &mut [u8; 24], mut value: u64) -> usize {
    space[22] = b'\r';
    space[23] = b'\n';
    let mut at = 22;
    loop {
        at -= 1;
        space[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            return at;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back() {
        for value in [0, 1, -1, 9, 10, 1_234, i64::MAX, i64::MIN, i64::MIN + 1] {
            assert_eq!(read(value.to_string().as_bytes()), Some(value));
            let mut line = Vec::new();
            integer(value, &mut line);
            assert_eq!(line, format!(":{value}\r\n").into_bytes());
        }
        let mut line = Vec::new();
        header(b'$', u64::MAX, &mut line);
        assert_eq!(line, format!("${}\r\n", u64::MAX).into_bytes());
    }

    #[test]
    fn what_the_original_does_not_read_is_no_number() {
        for text in ["", "-", "+1", "01", "-0", " 1", "1 ", "9223372036854775808", "1a", "--1"] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
    }
}
