//! Axes: from a value to a place between 0 and 1, and where ticks stand.

use super::unit::Unit;

/// How values are spread over an axis.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Equal differences take equal room.
    Linear,
    /// Equal ratios take equal room.
    Log,
    /// A share q lies at -log10(1-q): every further nine takes equal room.
    Nines,
}

/// An axis with its range.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// How values are spread.
    pub kind: Kind,
    /// What they count.
    pub unit: Unit,
    /// What they are, for people.
    pub name: &'static str,
    /// The value at its beginning.
    pub low: f64,
    /// The value at its end; above `low`.
    pub high: f64,
}

impl Axis {
    /// From zero to a round value at or above the largest of `values`.
    pub fn linear(unit: Unit, name: &'static str, values: impl Iterator<Item = f64>) -> Axis {
        let high = largest(values).unwrap_or(1.0);
        let step = unit.whole(step(high * 1.02, 8.0));
        let high = (high / step).ceil().max(1.0) * step;
        Axis { kind: Kind::Linear, unit, name, low: 0.0, high }
    }

    /// Exactly from `low` to `high`.
    pub fn exact(unit: Unit, name: &'static str, low: f64, high: f64) -> Axis {
        let high = if high > low { high } else { low + 1.0 };
        Axis { kind: Kind::Linear, unit, name, low, high }
    }

    /// Around all positive `values`, at least half a decade wide.
    pub fn log(unit: Unit, name: &'static str, values: impl Iterator<Item = f64>) -> Axis {
        let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
        for value in values.filter(|v| v.is_finite() && *v > 0.0) {
            let value = value.clamp(1e-3, 1e13);
            low = low.min(value);
            high = high.max(value);
        }
        if high == 0.0 {
            (low, high) = (1.0, 10.0);
        }
        // The ends are steps of 1, 2, 5, and what is level has room on both sides.
        let (mut low, mut high) = (below(low * 0.95), above(high * 1.05));
        while high / low < 4.5 {
            low = below(low * 0.99);
            high = above(high * 1.01);
        }
        Axis { kind: Kind::Log, unit, name, low, high }
    }

    /// Shares from 0 to the last of so many `samples`.
    pub fn nines(name: &'static str, samples: u64) -> Axis {
        let nines = (samples.max(1_000) as f64).log10().ceil().min(9.0);
        Axis {
            kind: Kind::Nines,
            unit: Unit::Share,
            name,
            low: 0.0,
            high: 1.0 - 10_f64.powf(-nines),
        }
    }

    /// Where `value` lies, from 0 to 1; what is outside lies at the nearer end.
    pub fn place(&self, value: f64) -> f64 {
        let at = match self.kind {
            Kind::Linear => (value - self.low) / (self.high - self.low),
            Kind::Log => (value.max(1e-9) / self.low).ln() / (self.high / self.low).ln(),
            Kind::Nines => (1.0 - value).max(1e-12).log10() / (1.0 - self.high).log10(),
        };
        if at.is_nan() { 0.0 } else { at.clamp(0.0, 1.0) }
    }

    /// Ticks with their labels, at most about `most`.
    pub fn ticks(&self, most: usize) -> Vec<(f64, String)> {
        let most = most.max(2);
        match self.kind {
            Kind::Linear => {
                let step = self.unit.whole(step(self.high - self.low, most as f64));
                let first = (self.low / step).ceil();
                (0..=most * 2)
                    .map(|at| (first + at as f64) * step)
                    .take_while(|value| *value <= self.high + step * 1e-6)
                    .map(|value| (value, self.unit.tick(value)))
                    .collect()
            }
            Kind::Log => self.log_ticks(most),
            Kind::Nines => {
                let nines = -(1.0 - self.high).log10();
                let mut ticks = vec![(0.5, "p50".to_owned())];
                let whole = (1..=nines.floor() as i32).map(|nine| 1.0 - 10_f64.powi(-nine));
                ticks.extend(whole.map(|q| (q, percentile(q))));
                ticks
            }
        }
    }

    fn log_ticks(&self, most: usize) -> Vec<(f64, String)> {
        let from = self.low.log10().floor() as i32;
        let to = self.high.log10().ceil() as i32;
        let all = |steps: &[f64], every: i32| -> Vec<f64> {
            (from..=to)
                .filter(|decade| decade.rem_euclid(every) == 0)
                .flat_map(|decade| steps.iter().map(move |step| step * 10_f64.powi(decade)))
                .filter(|v| *v >= self.low * 0.999 && *v <= self.high * 1.001)
                .collect()
        };
        let choices: [(&[f64], i32); 5] =
            [(&[1.0, 2.0, 5.0], 1), (&[1.0, 3.0], 1), (&[1.0], 1), (&[1.0], 2), (&[1.0], 3)];
        let values = choices
            .into_iter()
            .map(|(steps, every)| all(steps, every))
            .find(|values| values.len() <= most)
            .unwrap_or_else(|| vec![self.low, self.high]);
        values.into_iter().map(|value| (value, self.unit.tick(value))).collect()
    }
}

/// `p99.9` for 0.999.
pub fn percentile(q: f64) -> String {
    let text = format!("{:.6}", q * 100.0);
    format!("p{}", text.trim_end_matches('0').trim_end_matches('.'))
}

fn largest(values: impl Iterator<Item = f64>) -> Option<f64> {
    values.filter(|v| v.is_finite() && *v > 0.0 && *v < 1e18).reduce(f64::max)
}

/// 1, 2 or 5 times a power of ten, so that about `parts` of them fill `range`.
fn step(range: f64, parts: f64) -> f64 {
    let rough = (range / parts).max(1e-9);
    above(rough)
}

/// The smallest of 1, 2, 5, 10, ... at or above `value`.
fn above(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let part = value / power;
    let nice = [1.0, 2.0, 5.0, 10.0].into_iter().find(|nice| part <= nice * 1.000_001);
    nice.unwrap_or(10.0) * power
}

/// The largest of 1, 2, 5, 10, ... at or below `value`.
fn below(value: f64) -> f64 {
    let power = 10_f64.powf(value.log10().floor());
    let part = value / power;
    let nice = [10.0, 5.0, 2.0, 1.0].into_iter().find(|nice| part >= nice * 0.999_999);
    nice.unwrap_or(1.0) * power
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ticks_are_round() {
        let axis = Axis::linear(Unit::Rate, "", [9_870.0].into_iter());
        let labels: Vec<String> = axis.ticks(5).into_iter().map(|(_, label)| label).collect();
        assert_eq!(labels, ["0", "2,000", "4,000", "6,000", "8,000", "10,000"]);
        let axis = Axis::log(Unit::Micros, "", [640.0, 58_000.0].into_iter());
        let labels: Vec<String> = axis.ticks(8).into_iter().map(|(_, label)| label).collect();
        assert_eq!(labels, ["500 µs", "1 ms", "2 ms", "5 ms", "10 ms", "20 ms", "50 ms", "100 ms"]);
        let axis = Axis::nines("", 250_000);
        let labels: Vec<String> = axis.ticks(8).into_iter().map(|(_, label)| label).collect();
        assert_eq!(labels, ["p50", "p90", "p99", "p99.9", "p99.99", "p99.999"]);
    }

    proptest! {
        #[test]
        fn every_value_has_a_place_and_every_tick_lies_on_the_axis(
            values in proptest::collection::vec(proptest::num::f64::ANY, 1..6), most in 0_usize..12,
        ) {
            for axis in [
                Axis::linear(Unit::Rate, "", values.iter().copied()),
                Axis::log(Unit::Micros, "", values.iter().copied()),
            ] {
                prop_assert!(axis.high > axis.low, "{:?}", axis);
                for value in &values {
                    prop_assert!((0.0..=1.0).contains(&axis.place(*value)));
                }
                let ticks = axis.ticks(most);
                prop_assert!(ticks.len() <= 2 * most.max(2) + 1);
                for pair in ticks.windows(2) {
                    prop_assert!(pair[0].0 < pair[1].0);
                }
            }
        }
    }
}
