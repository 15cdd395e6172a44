//! Times of many messages, summed up.

use serde::{Deserialize, Serialize};

/// The same events, timed from two beginnings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// From the intended time: what a user of the system waits.
    pub response: Quantiles,
    /// From the moment the operation was submitted to the client.
    pub service: Quantiles,
}

/// A distribution of times.
///
/// A quantile q needs 100/(1-q) samples; with fewer it is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// Samples.
    pub count: u64,
    /// Their mean; `None` without samples.
    pub mean_us: Option<f64>,
    /// Median.
    pub p50_us: Option<f64>,
    /// 90th percentile.
    pub p90_us: Option<f64>,
    /// 99th percentile.
    pub p99_us: Option<f64>,
    /// 99.9th percentile.
    pub p999_us: Option<f64>,
    /// The largest; `None` without samples.
    pub max_us: Option<f64>,
    /// Names of quantiles ([`Quantile::name`]) that the instrument's own lag
    /// dominates: printed, never ranked.
    pub limited: Vec<String>,
    /// The whole distribution: a file in `histograms/` beside the record, or
    /// `None` where it was not kept.
    pub hdr: Option<String>,
    /// Added: points of the distribution for a picture, times increasing; empty
    /// where none were kept, and never beyond what the samples carry.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curve: Vec<CurvePoint>,
}

/// A point of a distribution.
#[derive(Copy, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// The share of samples at or below `us`, from 0 to below 1.
    pub q: f64,
    /// Microseconds.
    pub us: f64,
}

/// One of the quantiles of [`Quantiles`].
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quantile {
    /// Median.
    P50,
    /// 90th percentile.
    P90,
    /// 99th percentile.
    P99,
    /// 99.9th percentile.
    P999,
    /// The largest.
    Max,
}

impl Quantile {
    /// All of them, smallest first.
    pub const ALL: [Quantile; 5] =
        [Quantile::P50, Quantile::P90, Quantile::P99, Quantile::P999, Quantile::Max];

    /// The name in `limited`.
    pub const fn name(self) -> &'static str {
        match self {
            Quantile::P50 => "p50",
            Quantile::P90 => "p90",
            Quantile::P99 => "p99",
            Quantile::P999 => "p999",
            Quantile::Max => "max",
        }
    }

    /// The share of samples at or below it.
    pub const fn share(self) -> f64 {
        match self {
            Quantile::P50 => 0.5,
            Quantile::P90 => 0.9,
            Quantile::P99 => 0.99,
            Quantile::P999 => 0.999,
            Quantile::Max => 1.0,
        }
    }

    /// Samples without which it is not printed: 100/(1-q), and one for the largest.
    pub const fn samples_needed(self) -> u64 {
        match self {
            Quantile::P50 => 200,
            Quantile::P90 => 1_000,
            Quantile::P99 => 10_000,
            Quantile::P999 => 100_000,
            Quantile::Max => 1,
        }
    }
}

impl Quantiles {
    /// The value of `quantile` in microseconds.
    pub const fn get(&self, quantile: Quantile) -> Option<f64> {
        match quantile {
            Quantile::P50 => self.p50_us,
            Quantile::P90 => self.p90_us,
            Quantile::P99 => self.p99_us,
            Quantile::P999 => self.p999_us,
            Quantile::Max => self.max_us,
        }
    }

    /// Sets `quantile` to a value in microseconds.
    pub const fn set(&mut self, quantile: Quantile, value_us: Option<f64>) {
        match quantile {
            Quantile::P50 => self.p50_us = value_us,
            Quantile::P90 => self.p90_us = value_us,
            Quantile::P99 => self.p99_us = value_us,
            Quantile::P999 => self.p999_us = value_us,
            Quantile::Max => self.max_us = value_us,
        }
    }

    /// Whether the instrument's own lag dominates `quantile`.
    pub fn is_limited(&self, quantile: Quantile) -> bool {
        self.limited.iter().any(|name| name == quantile.name())
    }
}

/// Nanoseconds as microseconds; at most three decimals in JSON up to 2^53 ns.
pub fn micros(nanos: u64) -> f64 {
    nanos as f64 / 1_000.0
}
