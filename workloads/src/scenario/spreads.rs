//! Arrivals, and spreads of sizes and durations.

use std::time::Duration;

use super::Result;
use super::keys::{ARRIVAL, PROCESSING, SIZE};
use super::model::{Arrival, Durations, Sizes};
use super::read::{Reader, Spot};
use super::text::Toml;

/// Highest rate of a single member.
const RATE_MAX: f64 = 1e9;
/// Largest standard deviation of a logarithm.
const SIGMA_MAX: f64 = 10.0;
/// Largest exponent.
const EXPONENT_MAX: f64 = 10.0;

pub(super) fn arrival(spot: &Spot<'_>) -> Result<Arrival> {
    let reader = Reader::open(spot.clone(), &ARRIVAL)?;
    let rate = |key| {
        reader.need(key, |spot| {
            spot.number(0.0, RATE_MAX)?;
            spot.positive(RATE_MAX)
                .map_err(|_| spot.wrong("a rate above 0", "take out a stream that sends nothing"))
        })
    };
    match reader.kind() {
        "periodic" => {
            let every = reader.need("every", |spot| spot.some_duration())?;
            let jitter = reader.or_default("jitter", |spot| {
                let jitter = spot.duration()?;
                if jitter > every / 2 {
                    return Err(spot.error(
                        format!("a jitter of {} could swap two messages", jitter.toml()),
                        format!("keep it within half of `every`, {}", (every / 2).toml()),
                    ));
                }
                Ok(jitter)
            })?;
            Ok(Arrival::Periodic { every, jitter })
        }
        "poisson" => Ok(Arrival::Poisson { rate_per_s: rate("rate_per_s")? }),
        _ => Ok(Arrival::Bursty {
            bursts_per_s: rate("bursts_per_s")?,
            burst: reader.need("burst", |spot| spot.count(1, 1 << 20))?,
            spacing: reader.or_default("spacing", |spot| spot.duration())?,
        }),
    }
}

/// Messages per second of one member, on average.
pub(super) fn rate_per_s(arrival: &Arrival) -> f64 {
    match arrival {
        Arrival::Periodic { every, .. } => 1.0 / every.as_secs_f64(),
        Arrival::Poisson { rate_per_s } => *rate_per_s,
        Arrival::Bursty { bursts_per_s, burst, .. } => bursts_per_s * f64::from(*burst),
    }
}

pub(super) fn sizes(spot: &Spot<'_>) -> Result<Sizes> {
    if spot.table().is_err() {
        return Ok(Sizes::Fixed(spot.size()?.0));
    }
    let reader = Reader::open(spot.clone(), &SIZE)?;
    let size = |key| reader.need(key, |spot| Ok(spot.size()?.0));
    let (min, max) = (size("min")?, size("max")?);
    ordered(&reader, min, max)?;
    match reader.kind() {
        "uniform" => Ok(Sizes::Uniform { min, max }),
        "log-normal" => {
            let median = size("median")?;
            if let (false, Some(spot)) = ((min..=max).contains(&median), reader.get("median")) {
                return Err(spot.error(
                    "the median lies outside `min` to `max`",
                    "every size would be cut to one bound: widen the bounds",
                ));
            }
            let sigma = reader.need("sigma", |spot| spot.number(0.0, SIGMA_MAX))?;
            Ok(Sizes::LogNormal { median, sigma, min, max })
        }
        _ => {
            let exponent = reader.need("exponent", |spot| spot.positive(EXPONENT_MAX))?;
            Ok(Sizes::Zipf { min, max, exponent })
        }
    }
}

pub(super) fn durations(spot: &Spot<'_>) -> Result<Durations> {
    if spot.table().is_err() {
        return Ok(Durations::Fixed(spot.duration()?));
    }
    let reader = Reader::open(spot.clone(), &PROCESSING)?;
    let duration =
        |key| reader.need(key, |spot: &Spot<'_>| -> Result<Duration> { spot.duration() });
    match reader.kind() {
        "uniform" => {
            let (min, max) = (duration("min")?, duration("max")?);
            ordered(&reader, min, max)?;
            Ok(Durations::Uniform { min, max })
        }
        "exponential" => Ok(Durations::Exponential { mean: duration("mean")? }),
        _ => Ok(Durations::LogNormal {
            median: duration("median")?,
            sigma: reader.need("sigma", |spot| spot.number(0.0, SIGMA_MAX))?,
        }),
    }
}

fn ordered<T: PartialOrd>(reader: &Reader<'_>, min: T, max: T) -> Result<()> {
    match reader.get("min") {
        Some(spot) if min > max => {
            Err(spot.error("`min` is larger than `max`", "exchange the two"))
        }
        _ => Ok(()),
    }
}
