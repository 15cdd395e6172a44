//! From histograms to the quantiles of a record.

use hdrhistogram::Histogram;
use lab_reports::record::{CurvePoint, Latency, Quantile, Quantiles, micros};

use super::meters::Pair;

/// What the instrument itself adds: how late it submitted, and what the same
/// generator and threads measure with nothing in between.
#[derive(Copy, Clone, Debug)]
pub struct Instrument<'a> {
    /// Schedule lag of this trial.
    pub lag: &'a Histogram<u64>,
    /// Response times of the canary.
    pub canary: &'a Histogram<u64>,
}

impl Instrument<'_> {
    fn at(&self, quantile: Quantile) -> u64 {
        let of = |histogram: &Histogram<u64>| match quantile {
            Quantile::Max => histogram.max(),
            _ => histogram.value_at_quantile(quantile.share()),
        };
        of(self.lag).max(of(self.canary))
    }
}

/// The quantiles of a histogram of nanoseconds. A quantile without enough
/// samples is left out; one of which the instrument makes up more than a tenth
/// is marked limited. `instrument` is `None` in virtual time, where the
/// instrument takes no time.
pub fn quantiles(histogram: &Histogram<u64>, instrument: Option<Instrument<'_>>) -> Quantiles {
    let mut out = Quantiles { count: histogram.len(), ..Quantiles::default() };
    if histogram.is_empty() {
        return out;
    }
    out.mean_us = Some(histogram.mean() / 1e3);
    for quantile in Quantile::ALL {
        if histogram.len() < quantile.samples_needed() {
            continue;
        }
        let value = match quantile {
            Quantile::Max => histogram.max(),
            _ => histogram.value_at_quantile(quantile.share()),
        };
        out.set(quantile, Some(micros(value)));
        if instrument.is_some_and(|instrument| instrument.at(quantile) > value / 10) {
            out.limited.push(quantile.name().to_owned());
        }
    }
    out
}

/// Points of a distribution for a picture: ten for each further nine, as far as
/// the samples carry a quantile.
pub fn curve(histogram: &Histogram<u64>) -> Vec<CurvePoint> {
    let mut points = Vec::new();
    for tenth in 0..=60 {
        let left = 10_f64.powf(-f64::from(tenth) / 10.0);
        if histogram.is_empty() || (histogram.len() as f64) < 100.0 / left {
            break;
        }
        let us = micros(histogram.value_at_quantile(1.0 - left));
        points.push(CurvePoint { q: 1.0 - left, us });
    }
    points
}

/// Response and service quantiles of the same events.
pub fn latency(pair: &Pair, instrument: Option<Instrument<'_>>) -> Latency {
    Latency {
        response: quantiles(&pair.response, instrument),
        service: quantiles(&pair.service, instrument),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::meters::{histogram, record};

    fn filled(count: u64, nanos: u64) -> Histogram<u64> {
        let mut out = histogram();
        for _ in 0..count {
            record(&mut out, nanos);
        }
        out
    }

    #[test]
    fn a_quantile_needs_its_samples() {
        let few = quantiles(&filled(9_999, 1_000_000), None);
        assert_eq!((few.count, few.p99_us), (9_999, None));
        assert!(few.p90_us.is_some() && few.max_us.is_some());
        let enough = quantiles(&filled(10_000, 1_000_000), None);
        assert!(enough.p99_us.is_some() && enough.p999_us.is_none());
        assert_eq!(quantiles(&histogram(), None), Quantiles::default());
    }

    #[test]
    fn a_quantile_that_the_instrument_dominates_is_limited() {
        let value = filled(10_000, 1_000_000);
        let (quiet, noisy) = (filled(100, 90_000), filled(100, 110_000));
        let marked = |lag: &Histogram<u64>, canary: &Histogram<u64>| {
            quantiles(&value, Some(Instrument { lag, canary })).limited
        };
        assert!(marked(&quiet, &quiet).is_empty());
        assert_eq!(marked(&noisy, &quiet), ["p50", "p90", "p99", "max"]);
        assert_eq!(marked(&quiet, &noisy), ["p50", "p90", "p99", "max"]);
    }
}
