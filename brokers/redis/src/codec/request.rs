//! Reads what clients send.

use std::sync::Arc;

use broker_contract::{Decoder, FrameError, Step};

use super::{RespLimits, inline, number};
use crate::frame::{Body, Up, text, texts};

/// Bytes of a line before the original gives up on it.
const LINE: usize = 64 << 10;
/// Arguments of a command, and bytes of each, from a client that has not said who
/// it is and should.
const STRANGER: (u32, usize) = (10, 16 << 10);
/// Arguments that are kept without an allocation of their own.
const FEW: usize = 6;

/// Reads commands: arrays of bulk strings, and lines.
///
/// It keeps nothing between commands, so that an idle connection costs a pointer.
/// As in the original, the two bytes behind an argument are taken for a line's end
/// whatever they are.
#[derive(Debug)]
pub struct RequestDecoder {
    limits: RespLimits,
    is_stranger: bool,
    partial: Option<Box<Partial>>,
}

/// How far a command has been read. Positions count from the front of the input.
#[derive(Debug, Default)]
struct Partial {
    /// Everything before it has been understood.
    at: usize,
    /// Everything before it is known to hold no end of a line.
    searched: usize,
    /// Arguments that are missing; `None` before the array's header.
    missing: Option<u32>,
    /// Length of the argument at `at`, once its header has been read.
    bulk: Option<usize>,
    args: Args,
}

/// Where the arguments lie, in the input.
#[derive(Debug, Default)]
struct Args {
    few: [(u32, u32); FEW],
    len: usize,
    more: Vec<(u32, u32)>,
}

impl Args {
    fn push(&mut self, start: usize, len: usize) {
        // A command is shorter than `RespLimits::frame`, which is 32 bits wide.
        let span = (start as u32, (start + len) as u32);
        match self.few.get_mut(self.len) {
            Some(place) => *place = span,
            None => self.more.push(span),
        }
        self.len += 1;
    }

    fn iter<'a>(&'a self, input: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let few = &self.few[..self.len.min(FEW)];
        few.iter().chain(&self.more).map(|(start, end)| &input[*start as usize..*end as usize])
    }
}

/// What reading on came to.
enum Found {
    /// Not enough bytes.
    Missing,
    /// Nothing that anybody asked for: an empty line, an empty array.
    Nothing,
    /// An array of bulk strings, whole.
    Array,
    /// A line with these words.
    Words(Vec<Vec<u8>>),
}

impl RequestDecoder {
    pub(super) fn new(limits: RespLimits) -> RequestDecoder {
        RequestDecoder { limits, is_stranger: false, partial: None }
    }
}

impl Decoder for RequestDecoder {
    type Frame = Up;

    fn decode(&mut self, input: &[u8]) -> Result<Step<Up>, FrameError> {
        let mut start = 0;
        let mut state = self.partial.take().map_or_else(Partial::default, |kept| *kept);
        loop {
            let rest = &input[start..];
            let frame = match state.read(rest, &self.limits, self.is_stranger)? {
                Found::Missing => {
                    if !rest.is_empty() {
                        self.partial = Some(Box::new(state));
                    }
                    return Ok(Step::More { used: start });
                }
                Found::Nothing => {
                    start += state.at;
                    state = Partial::default();
                    continue;
                }
                Found::Array => state.command(rest),
                Found::Words(words) => command(&words),
            };
            return Ok(Step::Frame { frame, used: start + state.at });
        }
    }

    fn trust(&mut self, is_proven: bool) {
        self.is_stranger = !is_proven;
    }
}

impl Partial {
    fn read(
        &mut self,
        input: &[u8],
        limits: &RespLimits,
        is_stranger: bool,
    ) -> Result<Found, FrameError> {
        let missing = match (self.missing, input.first()) {
            (Some(missing), _) => missing,
            (None, None) => return Ok(Found::Missing),
            (None, Some(b'*')) => {
                let Some(line) = self.line(input, "too big mbulk count string")? else {
                    return Ok(Found::Missing);
                };
                let count = number::read(&line[1..])
                    .filter(|count| *count <= i64::from(i32::MAX))
                    .ok_or_else(|| error("invalid multibulk length"))?;
                if is_stranger && count > i64::from(STRANGER.0) {
                    return Err(error("unauthenticated multibulk length"));
                }
                if count <= 0 {
                    return Ok(Found::Nothing);
                }
                count as u32
            }
            (None, Some(_)) => return self.words(input),
        };
        self.missing = Some(missing);
        self.arguments(input, missing, limits, is_stranger)
    }

    fn arguments(
        &mut self,
        input: &[u8],
        mut missing: u32,
        limits: &RespLimits,
        is_stranger: bool,
    ) -> Result<Found, FrameError> {
        while missing > 0 {
            let len = match self.bulk {
                Some(len) => len,
                None => {
                    let start = self.at;
                    let Some(line) = self.line(input, "too big bulk count string")? else {
                        return Ok(Found::Missing);
                    };
                    let [b'$', digits @ ..] = line else {
                        // The mark is looked at only once its line is there.
                        let got = char::from(*input.get(start).unwrap_or(&b'\r'));
                        return Err(error(&format!("expected '$', got '{got}'")));
                    };
                    let len = number::read(digits)
                        .and_then(|len| usize::try_from(len).ok())
                        .filter(|len| *len <= limits.bulk as usize)
                        .ok_or_else(|| error("invalid bulk length"))?;
                    if is_stranger && len > STRANGER.1 {
                        return Err(error("unauthenticated bulk length"));
                    }
                    if self.at + len + 2 > limits.frame as usize {
                        return Err(error("too big query"));
                    }
                    self.bulk = Some(len);
                    len
                }
            };
            if input.len() < self.at + len + 2 {
                return Ok(Found::Missing);
            }
            self.args.push(self.at, len);
            self.at += len + 2;
            self.bulk = None;
            missing -= 1;
            self.missing = Some(missing);
        }
        Ok(Found::Array)
    }

    /// The line at `at` without its end, which is a carriage return and a byte
    /// that the original does not look at.
    fn line<'a>(
        &mut self,
        input: &'a [u8],
        too_long: &'static str,
    ) -> Result<Option<&'a [u8]>, FrameError> {
        let from = self.searched.max(self.at);
        let Some(found) = input[from..].iter().position(|byte| *byte == b'\r') else {
            self.searched = input.len();
            if input.len() - self.at > LINE {
                return Err(error(too_long));
            }
            return Ok(None);
        };
        let end = from + found;
        if end + 1 >= input.len() {
            self.searched = end;
            return Ok(None);
        }
        let line = &input[self.at..end];
        self.at = end + 2;
        Ok(Some(line))
    }

    fn words(&mut self, input: &[u8]) -> Result<Found, FrameError> {
        let from = self.searched;
        let Some(found) = input[from..].iter().position(|byte| *byte == b'\n') else {
            self.searched = input.len();
            if input.len() > LINE {
                return Err(error("too big inline request"));
            }
            return Ok(Found::Missing);
        };
        let line = &input[..from + found];
        self.at = from + found + 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let words = inline::split(line).ok_or_else(|| error("unbalanced quotes in request"))?;
        Ok(if words.is_empty() { Found::Nothing } else { Found::Words(words) })
    }

    /// The command that the arguments are. A message is copied once, channel and
    /// payload with the header that lies between them.
    #[inline]
    fn command(&self, input: &[u8]) -> Up {
        if self.args.len == 3 {
            let [name, channel, payload, ..] = self.args.few;
            let name = &input[name.0 as usize..name.1 as usize];
            let sharded = name.len() == 8;
            let is_publish = if sharded {
                name.eq_ignore_ascii_case(b"spublish")
            } else {
                name.len() == 7 && name.eq_ignore_ascii_case(b"publish")
            };
            if is_publish {
                let buf: Arc<[u8]> = Arc::from(&input[channel.0 as usize..payload.1 as usize]);
                let split = (channel.1 - channel.0, payload.0 - channel.0);
                if let Some(body) = Body::over(buf, split.0, split.1) {
                    return Up::Publish { sharded, body };
                }
            }
        }
        let mut space: [&[u8]; FEW] = [&[]; FEW];
        if self.args.len <= FEW {
            for (place, arg) in space.iter_mut().zip(self.args.iter(input)) {
                *place = arg;
            }
            return command(&space[..self.args.len]);
        }
        command(&self.args.iter(input).collect::<Vec<_>>())
    }
}

/// What the words are; there is at least one.
fn command<A: AsRef<[u8]>>(words: &[A]) -> Up {
    Up::from_args(words).unwrap_or_else(|| Up::Other { name: text(""), args: texts::<&str>([]) })
}

fn error(text: &str) -> FrameError {
    FrameError(text.to_owned())
}
