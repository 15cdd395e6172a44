//! Numbers as people read them: three digits that matter, and a unit.

/// Microseconds in the unit that fits, such as `612 us`, `1.21 ms`, `12.1 s`.
pub fn micros(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() || size >= 1e13 {
        return format!("{value:.1e} us");
    }
    // The next unit begins where rounding to three digits would reach it.
    if size < 999.5 {
        format!("{} us", digits(value))
    } else if size < 999_500.0 {
        format!("{} ms", digits(value / 1e3))
    } else {
        format!("{} s", digits(value / 1e6))
    }
}

/// A rate or another figure: whole and grouped from 100 on, such as `10,012`.
pub fn rate(value: f64) -> String {
    if !value.is_finite() || value.abs() >= 1e15 {
        return format!("{value:.1e}");
    }
    if value.abs() < 99.95 {
        return digits(value);
    }
    let sign = if value < 0.0 { "-" } else { "" };
    format!("{sign}{}", count(value.abs().round() as u64))
}

/// A count, grouped by thousands; from 10^10 on in millions and more.
pub fn count(value: u64) -> String {
    if value >= 10_000_000_000 {
        for (unit, size) in [("E", 1e18), ("P", 1e15), ("T", 1e12), ("G", 1e9)] {
            if value as f64 >= size {
                return format!("{}{unit}", digits(value as f64 / size));
            }
        }
    }
    let plain = value.to_string();
    let mut out = String::with_capacity(plain.len() + plain.len() / 3);
    for (at, c) in plain.chars().enumerate() {
        if at > 0 && (plain.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// Bytes in the unit that fits, such as `96 B`, `1.21 MB`, `12.1 GB`.
pub fn bytes(value: u64) -> String {
    let size = value as f64;
    match size {
        _ if size < 999.5 => format!("{value} B"),
        _ if size < 999_500.0 => format!("{} kB", digits(size / 1e3)),
        _ if size < 999_500_000.0 => format!("{} MB", digits(size / 1e6)),
        _ if size < 999_500_000_000.0 => format!("{} GB", digits(size / 1e9)),
        _ => format!("{} TB", digits(size / 1e12)),
    }
}

/// A share as per cent, with as many decimals as it takes to tell it from zero.
pub fn share(value: f64) -> String {
    let percent = value * 100.0;
    let size = percent.abs();
    if percent == 0.0 || size >= 0.1 {
        format!("{} %", digits(percent))
    } else if size >= 1e-5 {
        // Two digits that tell something.
        let decimals = (1.0 - size.log10().floor()) as usize;
        format!("{percent:.decimals$} %")
    } else {
        format!("{percent:.1e} %")
    }
}

/// Seconds, such as `75 s` or `0.5 s`.
pub fn seconds(value: f64) -> String {
    if value.abs() < 1e9 { format!("{} s", trimmed(&format!("{value:.1}"))) } else { rate(value) }
}

fn digits(value: f64) -> String {
    let size = value.abs();
    let text = if size < 9.995 {
        format!("{value:.2}")
    } else if size < 99.95 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    };
    if value == 0.0 { "0".to_owned() } else { text }
}

fn trimmed(text: &str) -> String {
    match text.split_once('.') {
        Some((whole, "0")) => whole.to_owned(),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_change_their_unit_where_rounding_would() {
        let cases = [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1.00 kB"),
            (999_600, "1.00 MB"),
            (12_340_000, "12.3 MB"),
            (u64::MAX, "18446744 TB"),
        ];
        for (value, text) in cases {
            assert_eq!(bytes(value), text);
        }
    }

    #[test]
    fn times_change_their_unit_where_rounding_would() {
        let cases = [
            (0.0, "0 us"),
            (0.5, "0.50 us"),
            (612.4, "612 us"),
            (999.4, "999 us"),
            (999.6, "1.00 ms"),
            (1_214.0, "1.21 ms"),
            (99_960.0, "100 ms"),
            (999_600.0, "1.00 s"),
            (12_100_000.0, "12.1 s"),
            (f64::INFINITY, "inf us"),
        ];
        for (value, expected) in cases {
            assert_eq!(micros(value), expected);
        }
    }

    #[test]
    fn counts_and_rates_are_grouped() {
        assert_eq!(count(0), "0");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(u64::MAX), "18.4E");
        assert_eq!(rate(10_012.4), "10,012");
        assert_eq!(rate(4.123), "4.12");
        assert_eq!(rate(-250.0), "-250");
        assert_eq!(rate(1e300), "1.0e300");
    }

    #[test]
    fn bytes_change_their_unit() {
        let cases = [(0, "0 B"), (612, "612 B"), (1_000, "1.00 kB"), (12_100_000_000, "12.1 GB")];
        for (value, expected) in cases {
            assert_eq!(bytes(value), expected);
        }
    }

    #[test]
    fn a_small_share_is_not_nothing() {
        assert_eq!(share(0.0), "0 %");
        assert_eq!(share(0.0123), "1.23 %");
        assert_eq!(share(0.000_59), "0.059 %");
        assert_eq!(share(0.000_001), "0.00010 %");
        assert_eq!(share(0.000_000_01), "1.0e-6 %");
        assert_eq!(seconds(75.0), "75 s");
        assert_eq!(seconds(0.5), "0.5 s");
    }
}
