//! Control lines, and the payloads behind them.

use broker_contract::FrameError;

use super::{TextLimits, unknown, wrong};
use crate::frame::ServerError;

/// Bytes of a line whose argument is a JSON object.
const OBJECT: usize = 1 << 20;
/// Bytes of the longest verb and the line's end.
const AROUND: usize = 12;
/// Words behind a verb.
const WORDS: usize = 4;

/// How far a frame has been read. Positions count from the front of the input.
#[derive(Debug, Default)]
pub(super) struct Partial {
    /// Everything before it holds no end of a line.
    searched: usize,
    /// The payload that a line announced.
    pub body: Option<Announced>,
}

/// What a line says of the message behind it.
#[derive(Copy, Clone, Debug)]
pub(super) struct Announced {
    /// Where the payload begins.
    pub start: usize,
    /// Bytes of the header block.
    pub headers: usize,
    /// Bytes of header block and payload.
    pub total: usize,
}

impl Partial {
    /// The line at the front without its end, and where what follows begins.
    pub fn line<'a>(
        &mut self,
        input: &'a [u8],
        limits: &TextLimits,
    ) -> Result<Option<(&'a [u8], usize)>, FrameError> {
        let found = input[self.searched..].iter().position(|byte| *byte == b'\n');
        let len = found.map_or(input.len(), |at| self.searched + at);
        // CONNECT and INFO carry an object, which may be long.
        let has_object = matches!(input, [b'C' | b'c' | b'I' | b'i', ..]);
        let most = if has_object { OBJECT } else { limits.control_line as usize };
        if len > most + AROUND {
            return Err(wrong(&ServerError::MaxControlLine));
        }
        if found.is_none() {
            self.searched = input.len();
            return Ok(None);
        }
        let line = &input[..len];
        Ok(Some((line.strip_suffix(b"\r").unwrap_or(line), len + 1)))
    }

    /// Whether the payload and the line's end behind it are there.
    pub fn is_whole(&self, input: &[u8], body: Announced) -> Result<bool, FrameError> {
        let end = body.start + body.total;
        match input.get(end..end + 2) {
            None => Ok(false),
            Some(b"\r\n") => Ok(true),
            Some(_) => Err(unknown()),
        }
    }
}

/// The verb and what is behind it.
pub(super) fn verb(line: &[u8]) -> (&[u8], &[u8]) {
    let end = line.iter().position(|byte| is_blank(*byte)).unwrap_or(line.len());
    line.split_at(end)
}

/// The words of `rest`, at most four of them.
pub(super) fn words(rest: &[u8]) -> Result<([&[u8]; WORDS], usize), FrameError> {
    let mut words: [&[u8]; WORDS] = [&[]; WORDS];
    let mut count = 0;
    for word in rest.split(|byte| is_blank(*byte)).filter(|word| !word.is_empty()) {
        *words.get_mut(count).ok_or_else(unknown)? = word;
        count += 1;
    }
    Ok((words, count))
}

/// A carriage return in the middle of a line is one, too, as in the original: a line
/// must mean the same before its message has come and afterwards.
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r')
}

/// A decimal number without a sign.
pub(super) fn number(text: &[u8]) -> Result<u64, FrameError> {
    if text.is_empty() || text.len() > 20 {
        return Err(unknown());
    }
    text.iter().try_fold(0_u64, |value, digit| {
        let digit = if digit.is_ascii_digit() { digit - b'0' } else { return Err(unknown()) };
        value
            .checked_mul(10)
            .and_then(|value| value.checked_add(u64::from(digit)))
            .ok_or_else(unknown)
    })
}

/// The sizes that a line announces, checked against the limit before a single
/// byte of the payload is waited for.
pub(super) fn announced(
    start: usize,
    headers: &[u8],
    total: &[u8],
    limits: &TextLimits,
) -> Result<Announced, FrameError> {
    let (headers, total) = (number(headers)?, number(total)?);
    if total > u64::from(limits.payload) {
        return Err(wrong(&ServerError::MaxPayload));
    }
    if headers > total {
        return Err(unknown());
    }
    Ok(Announced { start, headers: headers as usize, total: total as usize })
}
