//! Templates as pieces that are quick to write out and to compare.

use crate::scenario::model::{Field, FieldSource, Scenario, Stream, Template, TemplatePart};

use super::{DRAWN_MAX, Planned};

/// Digits to which a field's number is padded at most.
const WIDTH_MAX: usize = 64;

/// Where a number comes from.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// The member.
    Member,
    /// The member modulo this, which is at least 1.
    Spread(u32),
    /// [`Planned::drawn`] at this place.
    Drawn(u8),
}

impl Value {
    #[inline]
    pub(super) fn of(self, op: &Planned) -> u32 {
        match self {
            Value::Drawn(place) => op.drawn[usize::from(place) % DRAWN_MAX],
            Value::Member | Value::Spread(_) => self.of_member(op.member),
        }
    }

    /// The value for a member outside any message, where nothing is drawn.
    #[inline]
    pub(super) fn of_member(self, member: u32) -> u32 {
        match self {
            Value::Member => member,
            Value::Spread(count) => member % count,
            Value::Drawn(_) => 0,
        }
    }
}

/// A stretch of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// As it stands; prefixes of fields are part of it.
    Text(Box<str>),
    /// A number, zero-padded.
    Number { value: Value, width: usize },
}

/// A template, compiled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) pieces: Vec<Piece>,
}

impl Text {
    /// `place` says where the value of a drawn field is found.
    pub(super) fn new(template: &Template, place: impl Fn(&Field) -> u8) -> Text {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        for part in &template.parts {
            match part {
                TemplatePart::Literal(text) => literal.push_str(text),
                TemplatePart::Field(field) => {
                    literal.push_str(&field.prefix);
                    if !literal.is_empty() {
                        pieces.push(Piece::Text(std::mem::take(&mut literal).into()));
                    }
                    let value = match field.source {
                        FieldSource::Member => Value::Member,
                        FieldSource::Spread { count } => Value::Spread(count.max(1)),
                        FieldSource::Draw { .. } => Value::Drawn(place(field)),
                    };
                    pieces.push(Piece::Number { value, width: field.width.min(WIDTH_MAX) });
                }
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal.into()));
        }
        Text { pieces }
    }

    /// Writes the text behind what `out` holds.
    #[inline]
    pub(super) fn write(&self, out: &mut String, value: impl Fn(Value) -> u32) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Number { value: source, width } => push_number(out, value(*source), *width),
            }
        }
    }
}

/// `000` to `999`, so that digits are copied as text, three at a time.
const TRIPLES: &str = match std::str::from_utf8(&TRIPLE_BYTES) {
    Ok(text) => text,
    Err(_) => panic!("digits are text"),
};

const TRIPLE_BYTES: [u8; 3_000] = {
    let mut bytes = [0; 3_000];
    let mut number = 0;
    while number < 1_000 {
        bytes[3 * number] = b'0' + (number / 100) as u8;
        bytes[3 * number + 1] = b'0' + (number / 10 % 10) as u8;
        bytes[3 * number + 2] = b'0' + (number % 10) as u8;
        number += 1;
    }
    bytes
};

/// Writes `number` with at least `width` digits.
#[inline]
pub(super) fn push_number(out: &mut String, number: u32, width: usize) {
    let digits = number.checked_ilog10().unwrap_or(0) as usize + 1;
    let mut left = digits.max(width);
    while left > 12 {
        out.push('0');
        left -= 1;
    }
    // Divisors that are known when this is compiled, and pieces of known lengths:
    // a division and a call for each piece took three times as long.
    let number = number as usize;
    if left > 9 {
        push_piece(out, number / 1_000_000_000, left - 9);
        left = 9;
    }
    if left > 6 {
        push_piece(out, number / 1_000_000 % 1_000, left - 6);
        left = 6;
    }
    if left > 3 {
        push_piece(out, number / 1_000 % 1_000, left - 3);
        left = 3;
    }
    push_piece(out, number % 1_000, left);
}

/// Writes the last `digits` of the three digits of `triple`.
#[inline]
fn push_piece(out: &mut String, triple: usize, digits: usize) {
    let end = 3 * triple + 3;
    match digits {
        1 => out.push_str(&TRIPLES[end - 1..end]),
        2 => out.push_str(&TRIPLES[end - 2..end]),
        _ => out.push_str(&TRIPLES[end - 3..end]),
    }
}

/// The texts of every stream: what is needed to name the channel and the key of a
/// planned message. It does not change while a plan is drawn, so it can be shared.
#[derive(Clone, Debug)]
pub struct Texts {
    streams: Vec<StreamTexts>,
    /// For each population, the place of its first stream in `streams`.
    first: Vec<u32>,
}

#[derive(Clone, Debug)]
struct StreamTexts {
    channel: Text,
    key: Option<Text>,
}

impl Texts {
    /// The texts of all streams of `scenario`.
    pub fn new(scenario: &Scenario) -> Texts {
        let mut texts = Texts { streams: Vec::new(), first: Vec::new() };
        for population in &scenario.populations {
            texts.first.push(texts.streams.len() as u32);
            for stream in population.streams() {
                let drawn = drawn_fields(stream);
                texts.streams.push(StreamTexts {
                    channel: Text::new(&stream.channel, |field| place_of(&drawn, field)),
                    key: stream
                        .key
                        .as_ref()
                        .map(|key| Text::new(key, |field| place_of(&drawn, field))),
                });
            }
        }
        texts
    }

    /// The place of the message's stream among the streams of all populations.
    #[inline]
    pub(super) fn stream_of(&self, op: &Planned) -> usize {
        self.first[usize::from(op.population)] as usize + usize::from(op.stream)
    }

    /// Writes the channel of `op` over `out`.
    #[inline]
    pub fn channel(&self, op: &Planned, out: &mut String) {
        out.clear();
        self.streams[self.stream_of(op)].channel.write(out, |value| value.of(op));
    }

    /// Writes the key of `op` over `out`, and says whether its stream has a key
    /// of its own; otherwise its key is its channel, and `out` is empty.
    #[inline]
    pub fn key_text(&self, op: &Planned, out: &mut String) -> bool {
        out.clear();
        match &self.streams[self.stream_of(op)].key {
            Some(key) => {
                key.write(out, |value| value.of(op));
                true
            }
            None => false,
        }
    }

    /// The channel of each stream, in order.
    pub(super) fn channels(&self) -> impl Iterator<Item = &Text> {
        self.streams.iter().map(|stream| &stream.channel)
    }

    /// What names the key of each stream, in order.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Text> {
        self.streams.iter().map(|stream| stream.key.as_ref().unwrap_or(&stream.channel))
    }
}

/// The fields that are drawn for each message of `stream`, each name once, in
/// the order in which channel and key mention them.
pub(super) fn drawn_fields(stream: &Stream) -> Vec<&Field> {
    let mut fields: Vec<&Field> = Vec::new();
    for part in stream.channel.parts.iter().chain(stream.key.iter().flat_map(|key| &key.parts)) {
        if let TemplatePart::Field(field) = part
            && matches!(field.source, FieldSource::Draw { .. })
            && !fields.iter().any(|known| known.name == field.name)
        {
            fields.push(field);
        }
    }
    fields.truncate(DRAWN_MAX);
    fields
}

/// Distinct values of each of [`drawn_fields`].
pub(super) fn drawn_counts(stream: &Stream) -> Vec<u32> {
    let count = |field: &&Field| match field.source {
        FieldSource::Draw { count, .. } => count.max(1),
        FieldSource::Member | FieldSource::Spread { .. } => 1,
    };
    drawn_fields(stream).iter().map(count).collect()
}

/// Where in [`Planned::drawn`] the value of `field` is. A scenario has no more
/// drawn fields than places; one that did would see its last ones share the first.
fn place_of(drawn: &[&Field], field: &Field) -> u8 {
    drawn.iter().position(|known| known.name == field.name).unwrap_or(0) as u8
}

#[cfg(test)]
mod tests;
