//! Reads what a server sends, for a client.

use broker_contract::{Decoder, FrameError, Step};

use super::line::{self, Partial, announced, number};
use super::{TextLimits, json, server_error, unknown};
use crate::frame::{Down, Message};

/// Messages that a server may send are not for its clients to limit: a client
/// takes what a server of any configuration could have accepted.
const PAYLOAD: u32 = 1 << 30;

/// Reads what a server says.
#[derive(Debug)]
pub struct ReplyDecoder {
    limits: TextLimits,
    partial: Option<Box<Partial>>,
}

impl ReplyDecoder {
    pub(super) fn new(limits: TextLimits) -> ReplyDecoder {
        // A delivery's line is that of its publish and a subscription's number.
        let control_line = limits.control_line.saturating_add(32);
        ReplyDecoder { limits: TextLimits { control_line, payload: PAYLOAD }, partial: None }
    }
}

impl Decoder for ReplyDecoder {
    type Frame = Down;

    fn decode(&mut self, input: &[u8]) -> Result<Step<Down>, FrameError> {
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
) -> Result<Option<Step<Down>>, FrameError> {
    let body = match partial.body {
        Some(body) => body,
        None => {
            let Some((line, used)) = partial.line(input, limits)? else { return Ok(None) };
            match said(line, used, limits)? {
                Said::Whole(frame) => return Ok(Some(Step::Frame { frame, used })),
                Said::Message(body) => body,
            }
        }
    };
    partial.body = Some(body);
    if !partial.is_whole(input, body)? {
        return Ok(None);
    }
    let head = &input[..body.start];
    let (_, rest) = line::verb(head);
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let ([subject, sid, reply, ..], count) = parts(&rest[..end])?;
    let numbers = if matches!(head, [b'H' | b'h', ..]) { 2 } else { 1 };
    let reply = if count > 2 + numbers { reply } else { b"" };
    let content = &input[body.start..body.start + body.total];
    let (headers, payload) = content.split_at(body.headers);
    let message = Message::new(subject, reply, headers, payload);
    let frame = Down::message(number(sid)?, false, message);
    Ok(Some(Step::Frame { frame, used: body.start + body.total + 2 }))
}

enum Said {
    Whole(Down),
    Message(line::Announced),
}

/// The words of a delivery: there may be five, of which the third may be the
/// reply subject.
fn parts(rest: &[u8]) -> Result<([&[u8]; 5], usize), FrameError> {
    let mut words: [&[u8]; 5] = [&[]; 5];
    let mut count = 0;
    for word in rest.split(|byte| line::is_blank(*byte)).filter(|word| !word.is_empty()) {
        *words.get_mut(count).ok_or_else(unknown)? = word;
        count += 1;
    }
    Ok((words, count))
}

fn said(line: &[u8], used: usize, limits: &TextLimits) -> Result<Said, FrameError> {
    let (verb, rest) = line::verb(line);
    let mut lower = [0; 8];
    let lower = lower.get_mut(..verb.len()).ok_or_else(unknown)?;
    lower.copy_from_slice(verb);
    lower.make_ascii_lowercase();
    Ok(match &*lower {
        b"info" => Said::Whole(Down::Info(Box::new(json::info(rest)?))),
        b"ping" => Said::Whole(Down::Ping),
        b"pong" => Said::Whole(Down::Pong),
        b"+ok" => Said::Whole(Down::Ok),
        b"-err" => {
            let text = String::from_utf8_lossy(rest);
            let text = text.trim_matches([' ', '\t']);
            let text = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\''));
            Said::Whole(Down::error(server_error(text.ok_or_else(unknown)?)))
        }
        b"msg" | b"hmsg" => {
            let ([_, sid, three, four, five], count) = parts(rest)?;
            number(sid)?;
            Said::Message(match (&*lower, count) {
                (b"msg", 3) => announced(used, b"0", three, limits)?,
                (b"msg", 4) => announced(used, b"0", four, limits)?,
                (b"hmsg", 4) => announced(used, three, four, limits)?,
                (b"hmsg", 5) => announced(used, four, five, limits)?,
                _ => return Err(unknown()),
            })
        }
        _ => return Err(unknown()),
    })
}
