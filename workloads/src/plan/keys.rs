//! Order keys: a dense number for each pair of a producer and a key value.

use rustc_hash::FxHashMap;

use super::Planned;
use super::texts::{Piece, Text, Value};

/// The largest range of numbers that a stream with drawn key fields gets whole;
/// where more values are possible, numbers are given out as values turn up.
const WHOLE_MAX: u64 = 1 << 24;

/// The numbers of all streams.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    /// For each stream of the scenario.
    streams: Vec<StreamKeys>,
    /// Numbers given to ranges.
    whole: u64,
    /// Numbers given one by one, by (range, place in it).
    single: FxHashMap<(u32, u64), u32>,
}

#[derive(Clone, Debug)]
struct StreamKeys {
    /// Streams of one population with the same template have the same range: a
    /// key value is one key for a producer, whatever stream it comes through.
    range: u32,
    /// The first number of the range; `None` when numbers are given one by one.
    base: Option<u32>,
    /// Values of one member.
    values: u64,
    /// The drawn places that make up a value, with the factor of each.
    places: Vec<(Value, u64)>,
}

impl Keys {
    pub(super) fn new() -> Keys {
        Keys { streams: Vec::new(), whole: 0, single: FxHashMap::default() }
    }

    /// Adds the streams of one population of `members`; `counts` are the distinct
    /// values of each stream's drawn places.
    pub(super) fn add_population<'a>(
        &mut self,
        members: u32,
        streams: impl Iterator<Item = (&'a Text, Vec<u32>)>,
    ) {
        let mut known: Vec<(&Text, Vec<u32>, usize)> = Vec::new();
        for (text, counts) in streams {
            let same = known.iter().find(|(other, drawn, _)| *other == text && *drawn == counts);
            if let Some((_, _, stream)) = same {
                let same = self.streams[*stream].clone();
                self.streams.push(same);
                continue;
            }
            let mut values = 1u64;
            let mut places: Vec<(Value, u64)> = Vec::new();
            for piece in &text.pieces {
                if let Piece::Number { value: value @ Value::Drawn(place), .. } = piece
                    && !places.iter().any(|(known, _)| known == value)
                {
                    places.push((*value, values));
                    let count = counts.get(usize::from(*place)).copied().unwrap_or(1);
                    values = values.saturating_mul(u64::from(count.max(1)));
                }
            }
            let size = values.saturating_mul(u64::from(members));
            let is_whole = values == 1 || size <= WHOLE_MAX;
            let base = u32::try_from(self.whole).ok().filter(|_| is_whole);
            if base.is_some() {
                self.whole += size;
            }
            known.push((text, counts, self.streams.len()));
            let range = self.streams.len() as u32;
            self.streams.push(StreamKeys { range, base, values, places });
        }
    }

    /// Numbers in use, or that may come into use without [`Keys::number`] growing them.
    pub(super) fn len(&self) -> u64 {
        self.whole + self.single.len() as u64
    }

    /// The number of the key of `op`, which belongs to `stream`.
    #[inline]
    pub(super) fn number(&mut self, stream: usize, op: &Planned) -> u32 {
        let keys = &self.streams[stream];
        let mut place = u64::from(op.member).wrapping_mul(keys.values);
        for (value, factor) in &keys.places {
            place = place.wrapping_add(u64::from(value.of(op)).wrapping_mul(*factor));
        }
        match keys.base {
            Some(base) => base.wrapping_add(place as u32),
            None => {
                let next = (self.whole + self.single.len() as u64) as u32;
                *self.single.entry((keys.range, place)).or_insert(next)
            }
        }
    }
}
