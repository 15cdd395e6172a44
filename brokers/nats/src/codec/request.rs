//! Reads what clients send.

use broker_contract::{Decoder, FrameError, Step};

use super::line::{self, Partial, announced, number};
use super::{TextLimits, json, unknown};
use crate::frame::{Message, Up};

/// Reads operations. It keeps nothing between them, so that an idle connection
/// costs a pointer.
#[derive(Debug)]
pub struct RequestDecoder {
    limits: TextLimits,
    partial: Option<Box<Partial>>,
}

impl RequestDecoder {
    pub(super) fn new(limits: TextLimits) -> RequestDecoder {
        RequestDecoder { limits, partial: None }
    }
}

impl Decoder for RequestDecoder {
    type Frame = Up;

    fn decode(&mut self, input: &[u8]) -> Result<Step<Up>, FrameError> {
        let mut partial = self.partial.take().map_or_else(Partial::default, |kept| *kept);
        if let Some(step) = read(&mut partial, input, &self.limits)? {
            return Ok(step);
        }
        if !input.is_empty() {
            self.partial = Some(Box::new(partial));
        }
        Ok(Step::More { used: 0 })
    }
}

fn read(
    partial: &mut Partial,
    input: &[u8],
    limits: &TextLimits,
) -> Result<Option<Step<Up>>, FrameError> {
    let body = match partial.body {
        Some(body) => body,
        None => {
            let Some((line, used)) = partial.line(input, limits)? else { return Ok(None) };
            match operation(line, used, limits)? {
                Operation::Whole(frame) => return Ok(Some(Step::Frame { frame, used })),
                Operation::Publish(body) => body,
            }
        }
    };
    partial.body = Some(body);
    if !partial.is_whole(input, body)? {
        return Ok(None);
    }
    // The names are short: reading them again costs less than keeping them.
    let (_, rest) = line::verb(&input[..body.start]);
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let (words, count) = line::words(&rest[..end])?;
    let numbers = if is_headed(&input[..body.start]) { 2 } else { 1 };
    let reply: &[u8] = if count > 1 + numbers { words[1] } else { b"" };
    let content = &input[body.start..body.start + body.total];
    let (headers, payload) = content.split_at(body.headers);
    let frame = Up::Publish(Message::new(words[0], reply, headers, payload));
    Ok(Some(Step::Frame { frame, used: body.start + body.total + 2 }))
}

fn is_headed(line: &[u8]) -> bool {
    matches!(line, [b'H' | b'h', ..])
}

enum Operation {
    Whole(Up),
    Publish(line::Announced),
}

fn operation(line: &[u8], used: usize, limits: &TextLimits) -> Result<Operation, FrameError> {
    let (verb, rest) = line::verb(line);
    let mut lower = [0; 8];
    let lower = lower.get_mut(..verb.len()).ok_or_else(unknown)?;
    lower.copy_from_slice(verb);
    lower.make_ascii_lowercase();
    if lower == b"connect" {
        return Ok(Operation::Whole(Up::Connect(Box::new(json::connect(rest)?))));
    }
    let (words, count) = line::words(rest)?;
    let [one, two, three, four] = words;
    Ok(match (&*lower, count) {
        (b"pub", 2) => Operation::Publish(announced(used, b"0", two, limits)?),
        (b"pub", 3) => Operation::Publish(announced(used, b"0", three, limits)?),
        (b"hpub", 3) => Operation::Publish(announced(used, two, three, limits)?),
        (b"hpub", 4) => Operation::Publish(announced(used, three, four, limits)?),
        (b"sub", 2) => Operation::Whole(Up::subscribe(one, None, number(two)?)),
        (b"sub", 3) => Operation::Whole(Up::subscribe(one, Some(two), number(three)?)),
        (b"unsub", 1) => Operation::Whole(Up::Unsubscribe { sid: number(one)?, max: None }),
        (b"unsub", 2) => {
            Operation::Whole(Up::Unsubscribe { sid: number(one)?, max: Some(number(two)?) })
        }
        (b"ping", _) => Operation::Whole(Up::Ping),
        (b"pong", _) => Operation::Whole(Up::Pong),
        _ => return Err(unknown()),
    })
}
