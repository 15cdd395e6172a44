//! Every operation that publishers and requesters intend, drawn lazily.
//!
//! **What it is for.** A [`Plan`] turns a scenario and a seed into messages with
//! their intended moments, in order, one at a time: it holds a few bytes for a
//! member and nothing for a message. [`Interest`] says who should receive each.
//!
//! **What it never does.** It sends nothing, knows no broker and never looks at
//! how a run is going: the plan is the same for every contender (an open loop).
//! It uses no function of the platform's mathematical library (see [`draw`]).
//!
//! **Where to start reading.** The iterator of [`Plan`], then `arrivals` for when
//! members act and `warp` for what phases make of that.

mod arrivals;
pub mod draw;
mod interest;
mod keys;
mod sizes;
mod texts;
mod warp;

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::sync::Arc;

use broker_contract::SeedStream;
use rand_chacha::ChaCha8Rng;

use crate::scenario::model::{FieldSource, Scenario};
use arrivals::Arrivals;
pub use interest::{Interest, filter_matches};
use keys::Keys;
use sizes::SizeDraw;
pub use texts::Texts;
use warp::Warp;

/// Drawn fields that a stream's channel and key may have between them.
pub const DRAWN_MAX: usize = 4;

/// How many messages are drawn at a time.
const AHEAD: usize = 32;

/// A message that the plan wants sent.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Its place in the plan, dense from 0.
    pub number: u32,
    /// When it is due, in nanoseconds since the run's zero.
    pub at_ns: u64,
    /// Index into [`Scenario::populations`].
    pub population: u16,
    /// Index into the streams of the population.
    pub stream: u16,
    /// The member that sends it.
    pub member: u32,
    /// The member among those of all sending populations, dense from 0 in the
    /// order of the file.
    pub producer: u32,
    /// The producer's own count, dense from 0.
    pub sequence: u32,
    /// The number of the pair of producer and key value, below [`Plan::keys`].
    pub key: u32,
    /// Payload bytes, the 32 of the identity included.
    pub size: u32,
    /// Values of the fields that are drawn for each message; 0 where there is none.
    pub drawn: [u32; DRAWN_MAX],
}

/// All messages that a scenario intends, in the order of their moments.
#[derive(Clone, Debug)]
pub struct Plan {
    texts: Arc<Texts>,
    streams: Vec<StreamPlan>,
    /// The next arrival of each stream that has one: work time, stream, member.
    heads: BinaryHeap<Reverse<(u64, u32, u32)>>,
    warp: Warp,
    /// Messages that are drawn and not yet asked for begin at `place`.
    ready: Vec<Planned>,
    place: usize,
    keys: Keys,
    /// For each producer, how many messages were drawn for it.
    sequences: Vec<u32>,
    number: u32,
}

#[derive(Clone, Debug)]
struct StreamPlan {
    population: u16,
    stream: u16,
    /// The producer that is the population's member 0.
    first_producer: u32,
    arrivals: Arrivals,
    /// For sizes and drawn fields.
    rng: ChaCha8Rng,
    sizes: SizeDraw,
    fields: Vec<FieldDraw>,
}

/// How a drawn field gets its value.
#[derive(Clone, Debug)]
enum FieldDraw {
    Uniform(u32),
    Zipf(draw::Zipf),
}

impl Plan {
    /// The plan of `scenario` under `seed`. Every stream of every population
    /// draws from streams of its own, forked by name, so that changing one does
    /// not move the others.
    pub fn new(scenario: &Scenario, seed: SeedStream) -> Plan {
        let texts = Arc::new(Texts::new(scenario));
        let mut keys = Keys::new();
        let mut streams = Vec::new();
        let mut producers = 0u32;
        let mut key_texts = texts.keys();
        for (population_index, population) in scenario.populations.iter().enumerate() {
            let seed = seed.fork(&population.name);
            let mut key_counts = Vec::new();
            for (stream_index, stream) in population.streams().iter().enumerate() {
                let seed = seed.fork(&stream.name);
                let drawn = texts::drawn_fields(stream);
                let mut fields = Vec::new();
                for field in drawn {
                    if let FieldSource::Draw { count, zipf_exponent } = field.source {
                        fields.push(match zipf_exponent {
                            Some(exponent) => FieldDraw::Zipf(draw::Zipf::new(count, exponent)),
                            None => FieldDraw::Uniform(count),
                        });
                    }
                }
                key_counts.push(texts::drawn_counts(stream));
                streams.push(StreamPlan {
                    population: population_index as u16,
                    stream: stream_index as u16,
                    first_producer: producers,
                    arrivals: Arrivals::new(
                        &stream.arrival,
                        population.count,
                        seed.fork("arrivals").rng(),
                    ),
                    rng: seed.fork("contents").rng(),
                    sizes: SizeDraw::new(&stream.size),
                    fields,
                });
            }
            if !key_counts.is_empty() {
                producers = producers.saturating_add(population.count);
            }
            keys.add_population(
                population.count,
                key_counts.into_iter().filter_map(|counts| Some((key_texts.next()?, counts))),
            );
        }
        drop(key_texts);
        let mut plan = Plan {
            texts,
            heads: BinaryHeap::with_capacity(streams.len()),
            streams,
            warp: Warp::new(&scenario.phases),
            ready: Vec::with_capacity(AHEAD),
            place: 0,
            keys,
            sequences: vec![0; producers as usize],
            number: 0,
        };
        for index in 0..plan.streams.len() {
            if let Some((work, member)) = plan.streams[index].arrivals.next() {
                plan.heads.push(Reverse((work, index as u32, member)));
            }
        }
        plan
    }

    /// When the next message is due; `None` when all have been drawn.
    #[inline]
    pub fn peek_at(&mut self) -> Option<u64> {
        if self.place == self.ready.len() {
            self.draw_ahead();
        }
        self.ready.get(self.place).map(|op| op.at_ns)
    }

    /// The messages that come next, as far as they are drawn already; perhaps
    /// none. For those who can make use of a look ahead.
    #[inline]
    pub fn drawn(&self) -> &[Planned] {
        self.ready.get(self.place..).unwrap_or_default()
    }

    /// Writes the channel of `op` over `out`; it allocates only when `out` is too short.
    #[inline]
    pub fn channel(&self, op: &Planned, out: &mut String) {
        self.texts.channel(op, out);
    }

    /// Writes the key of `op` over `out`, and says whether its stream has a key
    /// of its own; otherwise its key is its channel, and `out` is empty.
    #[inline]
    pub fn key_text(&self, op: &Planned, out: &mut String) -> bool {
        self.texts.key_text(op, out)
    }

    /// What [`Plan::channel`] and [`Plan::key_text`] need, to be shared with
    /// those who only read what was planned.
    pub fn texts(&self) -> &Arc<Texts> {
        &self.texts
    }

    /// Members of all sending populations.
    pub fn producers(&self) -> u32 {
        self.sequences.len() as u32
    }

    /// Every [`Planned::key`] drawn so far is below this. It is fixed from the
    /// start unless a stream's drawn key fields have more than 2^24 possible
    /// values over its members: such keys are numbered as they turn up.
    pub fn keys(&self) -> u64 {
        self.keys.len()
    }
}

impl Iterator for Plan {
    type Item = Planned;

    /// The next message. A plan ends at the end of the last phase that sends, or
    /// after 2^32 - 1 messages, whichever comes first.
    #[inline]
    fn next(&mut self) -> Option<Planned> {
        if self.place == self.ready.len() {
            self.draw_ahead();
        }
        let op = self.ready.get(self.place).copied()?;
        self.place += 1;
        Some(op)
    }
}

impl Plan {
    /// Draws the next few messages.
    fn draw_ahead(&mut self) {
        self.ready.clear();
        self.place = 0;
        while self.ready.len() < AHEAD
            && let Some(op) = self.draw_one()
        {
            self.ready.push(op);
        }
        // With a million producers each of these is a cache miss: done message by
        // message, this load alone had two thirds of the profile's samples in
        // `next`. In a short loop the processor waits for several at once.
        for op in &mut self.ready {
            let sequence = &mut self.sequences[op.producer as usize];
            op.sequence = *sequence;
            *sequence = sequence.wrapping_add(1);
        }
    }

    /// Draws a message, apart from its sequence.
    #[inline]
    fn draw_one(&mut self) -> Option<Planned> {
        let number = self.number;
        let mut head = self.heads.peek_mut()?;
        let Reverse((work, index, member)) = *head;
        let at_ns = self.warp.run_time(work)?;
        if number == u32::MAX {
            return None;
        }
        let stream = &mut self.streams[index as usize];
        match stream.arrivals.next() {
            Some((work, next)) => {
                *head = Reverse((work, index, next));
                drop(head);
            }
            None => {
                PeekMut::pop(head);
            }
        }
        self.number += 1;
        let mut op = Planned {
            number,
            at_ns,
            population: stream.population,
            stream: stream.stream,
            member,
            producer: stream.first_producer + member,
            sequence: 0,
            key: 0,
            size: stream.sizes.draw(&mut stream.rng),
            drawn: [0; DRAWN_MAX],
        };
        for (value, field) in op.drawn.iter_mut().zip(&stream.fields) {
            *value = match field {
                FieldDraw::Uniform(count) => draw::below_u32(&mut stream.rng, *count),
                FieldDraw::Zipf(zipf) => zipf.draw(&mut stream.rng),
            };
        }
        op.key = self.keys.number(index as usize, &op);
        Some(op)
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
