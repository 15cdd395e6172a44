//! How large payloads are.

use broker_contract::IDENTITY_LEN;
use rand_chacha::ChaCha8Rng;

use super::draw::{self, Zipf};
use crate::scenario::model::Sizes;

/// Ranks beyond this many are not told apart: they are all the largest size.
const RANKS_MAX: u32 = 1 << 24;

/// A [`Sizes`], ready to draw from.
#[derive(Clone, Debug)]
pub(super) enum SizeDraw {
    Fixed(u32),
    Uniform { min: u32, max: u32 },
    LogNormal { median: f64, sigma: f64, min: u32, max: u32 },
    Zipf { min: u32, max: u32, ranks: Zipf },
}

impl SizeDraw {
    pub(super) fn new(sizes: &Sizes) -> SizeDraw {
        match *sizes {
            Sizes::Fixed(size) => SizeDraw::Fixed(at_least_identity(size)),
            Sizes::Uniform { min, max } => {
                let min = at_least_identity(min);
                SizeDraw::Uniform { min, max: max.max(min) }
            }
            Sizes::LogNormal { median, sigma, min, max } => {
                let min = at_least_identity(min);
                SizeDraw::LogNormal { median: f64::from(median), sigma, min, max: max.max(min) }
            }
            Sizes::Zipf { min, max, exponent } => {
                let min = at_least_identity(min);
                let max = max.max(min);
                let ranks = max.div_ceil(min).min(RANKS_MAX);
                SizeDraw::Zipf { min, max, ranks: Zipf::new(ranks, exponent) }
            }
        }
    }

    #[inline]
    pub(super) fn draw(&self, rng: &mut ChaCha8Rng) -> u32 {
        match self {
            SizeDraw::Fixed(size) => *size,
            SizeDraw::Uniform { min, max } => {
                min + draw::below(rng, u64::from(max - min) + 1) as u32
            }
            SizeDraw::LogNormal { median, sigma, min, max } => {
                (draw::log_normal(rng, *median, *sigma) as u32).clamp(*min, *max)
            }
            SizeDraw::Zipf { min, max, ranks } => {
                min.saturating_mul(ranks.draw(rng).saturating_add(1)).min(*max)
            }
        }
    }
}

/// A payload has room for its identity.
fn at_least_identity(size: u32) -> u32 {
    size.max(IDENTITY_LEN as u32)
}
