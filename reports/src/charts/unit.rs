//! What figures count, and how people read them on an axis and in a sentence.

use crate::text::figures;

/// What a figure counts.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Microseconds.
    Micros,
    /// Seconds.
    Seconds,
    /// Events per second.
    Rate,
    /// Things.
    Count,
    /// A share of samples, from 0 to 1.
    Share,
}

impl Unit {
    /// The name that the page's script knows it by.
    pub const fn name(self) -> &'static str {
        match self {
            Unit::Micros => "us",
            Unit::Seconds => "s",
            Unit::Rate => "rate",
            Unit::Count => "count",
            Unit::Share => "share",
        }
    }

    /// `step`, or one where half a thing is none.
    pub fn whole(self, step: f64) -> f64 {
        if self == Unit::Count { step.max(1.0) } else { step }
    }

    /// With three digits and a unit.
    pub fn show(self, value: f64) -> String {
        match self {
            Unit::Micros => micros(value),
            Unit::Seconds => figures::seconds(value),
            Unit::Rate => format!("{}/s", figures::rate(value)),
            Unit::Count => figures::rate(value),
            // Every further nine is worth two digits.
            Unit::Share => {
                let power = if value < 0.99 {
                    3
                } else if value < 0.9999 {
                    5
                } else {
                    7
                };
                let whole = 10_f64.powi(power);
                super::scale::percentile((value * whole).round() / whole)
            }
        }
    }

    /// As short as a tick allows.
    pub fn tick(self, value: f64) -> String {
        match self {
            Unit::Micros => shortened(&micros(value)),
            Unit::Seconds if value >= 600.0 => {
                format!("{} min", shortened(&figures::rate(value / 60.0)))
            }
            Unit::Seconds => figures::seconds(value),
            Unit::Rate | Unit::Count => {
                if value >= 999_500.0 {
                    format!("{} M", shortened(&figures::rate(value / 1e6)))
                } else {
                    shortened(&figures::rate(value))
                }
            }
            Unit::Share => super::scale::percentile(value),
        }
    }
}

/// Microseconds with the sign that pages and pictures have room for: `612 µs`.
pub fn micros(value: f64) -> String {
    figures::micros(value).replace(" us", " µs")
}

/// A share as per cent, written out down to a millionth: `0.0002 %`.
pub fn part(value: f64) -> String {
    let percent = value.abs() * 100.0;
    if (1e-6..0.1).contains(&percent) {
        // One digit that matters: a second one would be noise at such a count.
        let decimals = (-percent.log10().floor()) as usize;
        format!("{:.decimals$} %", value * 100.0)
    } else {
        figures::share(value)
    }
}

/// `1.00 ms` as `1 ms`, `2.50 ms` as `2.5 ms`.
fn shortened(text: &str) -> String {
    let (number, unit) = text.split_once(' ').map_or((text, ""), |(n, u)| (n, u));
    let number = if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        number
    };
    if unit.is_empty() { number.to_owned() } else { format!("{number} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_part_is_written_out() {
        assert_eq!(part(0.0), "0 %");
        assert_eq!(part(0.000_002), "0.0002 %");
        assert_eq!(part(0.002_47), "0.25 %");
        assert_eq!(part(1e-12), "1.0e-10 %");
    }

    #[test]
    fn ticks_leave_out_what_says_nothing() {
        let cases = [
            (Unit::Micros, 1_000.0, "1 ms"),
            (Unit::Micros, 500.0, "500 µs"),
            (Unit::Micros, 0.5, "0.5 µs"),
            (Unit::Seconds, 30.0, "30 s"),
            (Unit::Seconds, 600.0, "10 min"),
            (Unit::Rate, 2_500_000.0, "2.5 M"),
            (Unit::Rate, 10_000.0, "10,000"),
            (Unit::Share, 0.999, "p99.9"),
        ];
        for (unit, value, expected) in cases {
            assert_eq!(unit.tick(value), expected);
        }
    }
}
