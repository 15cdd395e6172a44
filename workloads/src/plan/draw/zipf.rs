//! Zipf draws.

use rand::Rng;

use super::{below_u32, exp, ln, unit};

/// Up to this many ranks, a table answers in constant time.
const TABLE_MAX: u32 = 1 << 16;

/// Ranks from 0, where rank `k` has a weight of `(k + 1)` to the power of `-exponent`.
#[derive(Clone, Debug)]
pub struct Zipf(Method);

#[derive(Clone, Debug)]
enum Method {
    /// Walker's alias method: a uniform slot keeps its own rank with a
    /// probability of `keep` in 2^32, and otherwise gives its alias.
    Table(Vec<Slot>),
    /// Rejection-inversion (Hoermann and Derflinger, 1996), which needs no table.
    Rejection { ranks: f64, exponent: f64, low: f64, high: f64, sure: f64 },
}

#[derive(Copy, Clone, Debug)]
struct Slot {
    keep: u32,
    alias: u32,
}

impl Zipf {
    /// Over `ranks` ranks (at least 1) with an exponent of at least 0; another
    /// exponent, or one that is no number, counts as 0, which is uniform.
    pub fn new(ranks: u32, exponent: f64) -> Zipf {
        let ranks = ranks.max(1);
        let exponent = if exponent > 0.0 { exponent.min(100.0) } else { 0.0 };
        if ranks <= TABLE_MAX {
            return Zipf(Method::Table(table(ranks, exponent)));
        }
        let ranks = f64::from(ranks);
        Zipf(Method::Rejection {
            ranks,
            exponent,
            low: integral(1.5, exponent) - 1.0,
            high: integral(ranks + 0.5, exponent),
            sure: 2.0
                - inverse(integral(2.5, exponent) - exp(-exponent * ln(2.0)), exponent, ranks),
        })
    }

    /// A rank.
    #[inline]
    pub fn draw(&self, rng: &mut impl Rng) -> u32 {
        match &self.0 {
            Method::Table(slots) => {
                let slot = below_u32(rng, slots.len() as u32);
                let Slot { keep, alias } = slots[slot as usize];
                if rng.next_u32() <= keep { slot } else { alias }
            }
            Method::Rejection { ranks, exponent, low, high, sure } => loop {
                let area = high + unit(rng) * (low - high);
                let x = inverse(area, *exponent, *ranks);
                let rank = ((x + 0.5) as u64 as f64).clamp(1.0, *ranks);
                if rank - x <= *sure
                    || area >= integral(rank + 0.5, *exponent) - exp(-exponent * ln(rank))
                {
                    return rank as u32 - 1;
                }
            },
        }
    }
}

/// The area below `x` to the power of `-exponent` from 1 to `x`, for `x` of at least 1.
fn integral(x: f64, exponent: f64) -> f64 {
    let log = ln(x);
    let t = (1.0 - exponent) * log;
    // (x^(1-s) - 1) / (1-s), whose limit for s = 1 is ln x.
    if t.abs() < 1e-5 { log * (1.0 + t / 2.0 * (1.0 + t / 3.0)) } else { (exp(t) - 1.0) * log / t }
}

/// The `x`, at most `ranks + 1`, whose [`integral`] is `area`.
fn inverse(area: f64, exponent: f64, ranks: f64) -> f64 {
    let t = area * (1.0 - exponent);
    if t <= -1.0 {
        return ranks;
    }
    let log = if t.abs() < 1e-5 {
        area * (1.0 - t / 2.0 * (1.0 - t * 2.0 / 3.0))
    } else {
        area * ln(1.0 + t) / t
    };
    exp(log).min(ranks + 1.0)
}

/// Vose's construction of the alias table.
fn table(ranks: u32, exponent: f64) -> Vec<Slot> {
    let mut weights: Vec<f64> =
        (1..=ranks).map(|rank| exp(-exponent * ln(f64::from(rank)))).collect();
    let scale = f64::from(ranks) / weights.iter().sum::<f64>();
    weights.iter_mut().for_each(|weight| *weight *= scale);
    let mut slots: Vec<Slot> =
        (0..ranks).map(|rank| Slot { keep: u32::MAX, alias: rank }).collect();
    let mut small: Vec<u32> = Vec::new();
    let mut large: Vec<u32> = Vec::new();
    for rank in 0..ranks {
        if weights[rank as usize] < 1.0 { small.push(rank) } else { large.push(rank) }
    }
    while let (Some(less), Some(more)) = (small.pop(), large.last().copied()) {
        let weight = weights[less as usize];
        slots[less as usize] = Slot { keep: (weight * 4_294_967_295.0) as u32, alias: more };
        weights[more as usize] -= 1.0 - weight;
        if weights[more as usize] < 1.0 {
            large.pop();
            small.push(more);
        }
    }
    slots
}
