//! Reads what a node sends, for a client.

use std::sync::Arc;

use broker_contract::{Decoder, FrameError, Step};

use super::{RespLimits, number};
use crate::frame::{Body, Change, Down, Kind, Proto, Reply, text};

/// Arrays within arrays before a reply counts as nonsense.
const DEPTH: usize = 16;
/// Bytes of a line, which holds a status, an error or a number.
const LINE: usize = 64 << 10;
/// Statuses that keep their type; another one is read as a text.
const STATUSES: &[&str] = &["OK", "PONG", "RESET", "QUEUED", "Background saving started"];

/// Reads replies and pushes, in either version of the protocol.
///
/// It first finds the end of a reply, a line or a bulk string at a time and
/// without building anything, so that what is incomplete costs nothing but the
/// bytes that have come; then it builds the frame in one pass.
#[derive(Debug)]
pub struct ReplyDecoder {
    limits: RespLimits,
    partial: Option<Box<Scan>>,
}

/// How far the end of a reply has been looked for.
#[derive(Debug, Default)]
struct Scan {
    at: usize,
    searched: usize,
    /// Where a bulk string that is not there yet ends.
    bulk_end: Option<usize>,
    /// Elements that are missing, the innermost array last.
    missing: [u64; DEPTH],
    depth: usize,
}

impl ReplyDecoder {
    pub(super) fn new(limits: RespLimits) -> ReplyDecoder {
        ReplyDecoder { limits, partial: None }
    }
}

impl Decoder for ReplyDecoder {
    type Frame = Down;

    fn decode(&mut self, input: &[u8]) -> Result<Step<Down>, FrameError> {
        let mut scan = self.partial.take().map_or_else(Scan::default, |kept| *kept);
        if !scan.run(input, &self.limits)? {
            if !input.is_empty() {
                self.partial = Some(Box::new(scan));
            }
            return Ok(Step::More { used: 0 });
        }
        let mut reader = Reader { rest: &input[..scan.at] };
        let frame = reader.frame()?;
        Ok(Step::Frame { frame, used: scan.at })
    }
}

impl Scan {
    /// Whether the end is there; `at` is then behind it.
    fn run(&mut self, input: &[u8], limits: &RespLimits) -> Result<bool, FrameError> {
        loop {
            if let Some(end) = self.bulk_end {
                if input.len() < end {
                    return Ok(false);
                }
                self.at = end;
                self.bulk_end = None;
            } else {
                let from = self.searched.max(self.at);
                let Some(end) = find_line_end(input, from) else {
                    self.searched = input.len().saturating_sub(1).max(self.at);
                    return if input.len() - self.at > LINE {
                        Err(error("a line that does not end"))
                    } else {
                        Ok(false)
                    };
                };
                let line = &input[self.at..end];
                self.at = end + 2;
                if self.open(line, limits)? {
                    continue;
                }
            }
            // An element ended, and perhaps the arrays around it.
            loop {
                let Some(inner) = self.depth.checked_sub(1) else { return Ok(true) };
                self.missing[inner] -= 1;
                if self.missing[inner] > 0 {
                    break;
                }
                self.depth = inner;
            }
        }
    }

    /// Reads a header. Returns whether the element goes on behind its line.
    fn open(&mut self, line: &[u8], limits: &RespLimits) -> Result<bool, FrameError> {
        let Some((mark, rest)) = line.split_first() else { return Err(error("an empty line")) };
        match mark {
            b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => Ok(false),
            b'$' | b'=' | b'!' => {
                let len = match number::read(rest) {
                    Some(-1) => return Ok(false),
                    Some(len) if (0..=i64::from(limits.bulk)).contains(&len) => len as usize,
                    _ => return Err(error("invalid bulk length")),
                };
                let end = self.at + len + 2;
                if end > limits.frame as usize {
                    return Err(error("a reply that is too long"));
                }
                self.bulk_end = Some(end);
                Ok(true)
            }
            b'*' | b'>' | b'~' | b'%' => {
                let count = match number::read(rest) {
                    Some(-1 | 0) => return Ok(false),
                    Some(count) if (1..=i64::from(i32::MAX)).contains(&count) => count as u64,
                    _ => return Err(error("invalid array length")),
                };
                let Some(place) = self.missing.get_mut(self.depth) else {
                    return Err(error("arrays too deep within each other"));
                };
                *place = if *mark == b'%' { count * 2 } else { count };
                self.depth += 1;
                Ok(true)
            }
            other => Err(error(&format!("a reply beginning with '{}'", other.escape_ascii()))),
        }
    }
}

/// Where the carriage return of the next line's end is.
fn find_line_end(input: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += input.get(at..)?.iter().position(|byte| *byte == b'\r')?;
        match input.get(at + 1) {
            Some(b'\n') => return Some(at),
            Some(_) => at += 1,
            None => return None,
        }
    }
}

/// Builds a frame from bytes in which an end was found.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn line(&mut self) -> Result<(u8, &'a [u8]), FrameError> {
        let end = find_line_end(self.rest, 0).ok_or_else(|| error("a line that does not end"))?;
        let line = &self.rest[..end];
        self.rest = &self.rest[end + 2..];
        line.split_first().map(|(mark, rest)| (*mark, rest)).ok_or_else(|| error("an empty line"))
    }

    fn bulk(&mut self, len: usize) -> Result<&'a [u8], FrameError> {
        let too_short = || error("a bulk string that does not end");
        let bytes = self.rest.get(..len).ok_or_else(too_short)?;
        self.rest = self.rest.get(len + 2..).ok_or_else(too_short)?;
        Ok(bytes)
    }

    fn frame(&mut self) -> Result<Down, FrameError> {
        let whole = self.rest;
        if let [b'*' | b'>', ..] = whole
            && let Some(push) = self.push()?
        {
            return Ok(push);
        }
        self.rest = whole;
        Ok(Down::Reply(self.reply()?))
    }

    /// A message or a confirmation; `None` when it is another array.
    fn push(&mut self) -> Result<Option<Down>, FrameError> {
        let (mark, count) = self.line()?;
        let proto = if mark == b'>' { Proto::Resp3 } else { Proto::Resp2 };
        let Some(name) = self.text()? else { return Ok(None) };
        let confirmed = |change, kind| Some((change, kind));
        let confirmed = match (name, count) {
            (b"message" | b"smessage", b"3") => {
                let sharded = name.len() == 8;
                return Ok(self.body()?.map(|body| Down::Message { proto, sharded, body }));
            }
            (b"pmessage", b"4") => {
                let Some(pattern) = self.text()? else { return Ok(None) };
                let pattern = text(pattern);
                return Ok(self.body()?.map(|body| Down::PatternMessage { proto, pattern, body }));
            }
            (b"subscribe", b"3") => confirmed(Change::Subscribe, Kind::Channel),
            (b"psubscribe", b"3") => confirmed(Change::Subscribe, Kind::Pattern),
            (b"ssubscribe", b"3") => confirmed(Change::Subscribe, Kind::Shard),
            (b"unsubscribe", b"3") => confirmed(Change::Unsubscribe, Kind::Channel),
            (b"punsubscribe", b"3") => confirmed(Change::Unsubscribe, Kind::Pattern),
            (b"sunsubscribe", b"3") => confirmed(Change::Unsubscribe, Kind::Shard),
            _ => None,
        };
        let Some((change, kind)) = confirmed else { return Ok(None) };
        let topic = match self.reply()? {
            Reply::Bulk(topic) => Some(topic),
            Reply::Null(_) => None,
            _ => return Ok(None),
        };
        let Reply::Integer(count) = self.reply()? else { return Ok(None) };
        let Ok(count) = u32::try_from(count) else { return Ok(None) };
        Ok(Some(Down::Confirmed { proto, change, kind, topic, count }))
    }

    /// The bulk string that comes next; `None` when something else does.
    fn text(&mut self) -> Result<Option<&'a [u8]>, FrameError> {
        if !self.rest.starts_with(b"$") {
            return Ok(None);
        }
        let (_, len) = self.line()?;
        match number::read(len).and_then(|len| usize::try_from(len).ok()) {
            Some(len) => self.bulk(len).map(Some),
            None => Ok(None),
        }
    }

    /// Channel and payload, in one copy.
    fn body(&mut self) -> Result<Option<Body>, FrameError> {
        let before = self.rest;
        let Some(channel) = self.text()? else { return Ok(None) };
        let Some(payload) = self.text()? else { return Ok(None) };
        // Both lie behind each other in the input, up to the last line's end.
        let behind = before.len() - self.rest.len() - 2;
        let payload_start = behind - payload.len();
        let digits = before.iter().position(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let buf: Arc<[u8]> = Arc::from(&before[digits..behind]);
        Ok(Body::over(buf, channel.len() as u32, (payload_start - digits) as u32))
    }

    fn reply(&mut self) -> Result<Reply, FrameError> {
        let (mark, line) = self.line()?;
        Ok(match mark {
            b'+' => match STATUSES.iter().find(|status| status.as_bytes() == line) {
                Some(status) => Reply::Simple(status),
                None => Reply::Bulk(text(line)),
            },
            b'-' => Reply::Error(String::from_utf8_lossy(line).into()),
            b':' => {
                Reply::Integer(number::read(line).ok_or_else(|| error("an integer that is none"))?)
            }
            b'_' => Reply::Null(Proto::Resp3),
            b'$' | b'=' | b'!' => match number::read(line) {
                Some(len) if len >= 0 => {
                    let bytes = self.bulk(len as usize)?;
                    match bytes.strip_prefix(b"txt:") {
                        Some(bytes) if mark == b'=' => Reply::verbatim(Proto::Resp3, bytes),
                        _ => Reply::bulk(bytes),
                    }
                }
                _ => Reply::Null(Proto::Resp2),
            },
            b'*' | b'>' | b'~' => match number::read(line) {
                Some(count) if count >= 0 => {
                    let elements = (0..count).map(|_| self.reply()).collect::<Result<_, _>>()?;
                    match mark {
                        b'~' => Reply::Set(Proto::Resp3, elements),
                        _ => Reply::Array(elements),
                    }
                }
                _ => Reply::Null(Proto::Resp2),
            },
            b'%' => {
                let count = number::read(line).unwrap_or(0);
                let entries = (0..count).map(|_| Ok((self.reply()?, self.reply()?)));
                Reply::Map(Proto::Resp3, entries.collect::<Result<_, FrameError>>()?)
            }
            b',' => Reply::Double(Proto::Resp3, text(line)),
            // A boolean or a large number: no command of the bus has one.
            _ => Reply::Bulk(text(line)),
        })
    }
}

fn error(text: &str) -> FrameError {
    FrameError(text.to_owned())
}
