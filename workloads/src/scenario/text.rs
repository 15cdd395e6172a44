//! Values as TOML, exactly: what is written here reads back as the same value.

use std::time::Duration;

use broker_contract::units::format_bytes;
use broker_contract::{AckPolicy, Start};

use super::model::{Arrival, Connections, Durations, Sizes};

/// A value that has one spelling in TOML.
pub(super) trait Toml {
    fn toml(&self) -> String;
}

impl Toml for u32 {
    fn toml(&self) -> String {
        self.to_string()
    }
}

impl Toml for u64 {
    fn toml(&self) -> String {
        self.to_string()
    }
}

impl Toml for usize {
    fn toml(&self) -> String {
        self.to_string()
    }
}

impl Toml for bool {
    fn toml(&self) -> String {
        self.to_string()
    }
}

impl Toml for f64 {
    /// The shortest digits that read back as the same number.
    fn toml(&self) -> String {
        format!("{self:?}")
    }
}

impl Toml for str {
    fn toml(&self) -> String {
        let mut out = String::with_capacity(self.len() + 2);
        out.push('"');
        for c in self.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
                c => out.push(c),
            }
        }
        out.push('"');
        out
    }
}

/// A text for people: on one line if it is short, else over several, with no
/// more than about 160 characters on each.
pub(super) fn prose(text: &str) -> String {
    if text.chars().count() <= 90 && !text.contains('\n') {
        return text.toml();
    }
    let mut out = String::from("\"\"\"\n");
    let mut column = 0;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\n' => {
                out.push('\n');
                column = 0;
                continue;
            }
            '"' | '\\' => out.extend(['\\', c]),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
        column += 1;
        // A backslash at the end of a line takes the line break out of the text,
        // and all white space after it.
        let can_break = chars.peek().is_some_and(|next| !next.is_whitespace());
        if can_break && ((column >= 80 && c == ' ') || column >= 160) {
            out.push_str("\\\n");
            column = 0;
        }
    }
    out.push_str("\"\"\"");
    out
}

impl Toml for String {
    fn toml(&self) -> String {
        self.as_str().toml()
    }
}

impl Toml for Duration {
    fn toml(&self) -> String {
        format!("\"{}\"", duration(*self))
    }
}

impl Toml for Vec<Duration> {
    fn toml(&self) -> String {
        let all: Vec<String> = self.iter().map(Toml::toml).collect();
        format!("[{}]", all.join(", "))
    }
}

/// A number of bytes, which TOML shows as text with a unit.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Bytes(pub(super) u32);

impl Toml for Bytes {
    fn toml(&self) -> String {
        format!("\"{}\"", format_bytes(u64::from(self.0)))
    }
}

/// Bits per second; `None` for no limit.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Bandwidth(pub(super) Option<u64>);

impl Toml for Bandwidth {
    fn toml(&self) -> String {
        let Some(bits) = self.0 else { return "\"unlimited\"".to_owned() };
        for (unit, size) in [("Gbit/s", 1_000_000_000), ("Mbit/s", 1_000_000)] {
            if bits.is_multiple_of(size) {
                return format!("\"{}{unit}\"", bits / size);
            }
        }
        format!("\"{}kbit/s\"", decimal(u128::from(bits), 1_000))
    }
}

impl Toml for Connections {
    fn toml(&self) -> String {
        match self {
            Connections::PerMember => "\"per-member\"".to_owned(),
            Connections::Shared(count) => count.to_string(),
        }
    }
}

impl Toml for AckPolicy {
    fn toml(&self) -> String {
        match self {
            AckPolicy::None => "\"none\"",
            AckPolicy::Explicit => "\"explicit\"",
            AckPolicy::All => "\"all\"",
        }
        .to_owned()
    }
}

impl Toml for Start {
    fn toml(&self) -> String {
        match self {
            Start::New => "\"new\"".to_owned(),
            Start::All => "\"all\"".to_owned(),
            Start::Last => "\"last\"".to_owned(),
            Start::Sequence(sequence) => format!("{{ sequence = {sequence} }}"),
            Start::Time(time) => {
                format!("{{ time = {} }}", Duration::from_nanos(time.as_nanos()).toml())
            }
        }
    }
}

impl Toml for Arrival {
    fn toml(&self) -> String {
        match self {
            Arrival::Periodic { every, jitter } => format!(
                "{{ kind = \"periodic\", every = {}, jitter = {} }}",
                every.toml(),
                jitter.toml()
            ),
            Arrival::Poisson { rate_per_s } => {
                format!("{{ kind = \"poisson\", rate_per_s = {} }}", rate_per_s.toml())
            }
            Arrival::Bursty { bursts_per_s, burst, spacing } => format!(
                "{{ kind = \"bursty\", bursts_per_s = {}, burst = {burst}, spacing = {} }}",
                bursts_per_s.toml(),
                spacing.toml()
            ),
        }
    }
}

impl Toml for Sizes {
    fn toml(&self) -> String {
        let bytes = |size: &u32| Bytes(*size).toml();
        match self {
            Sizes::Fixed(size) => bytes(size),
            Sizes::Uniform { min, max } => {
                format!("{{ kind = \"uniform\", min = {}, max = {} }}", bytes(min), bytes(max))
            }
            Sizes::LogNormal { median, sigma, min, max } => format!(
                "{{ kind = \"log-normal\", median = {}, sigma = {}, min = {}, max = {} }}",
                bytes(median),
                sigma.toml(),
                bytes(min),
                bytes(max)
            ),
            Sizes::Zipf { min, max, exponent } => format!(
                "{{ kind = \"zipf\", exponent = {}, min = {}, max = {} }}",
                exponent.toml(),
                bytes(min),
                bytes(max)
            ),
        }
    }
}

impl Toml for Durations {
    fn toml(&self) -> String {
        match self {
            Durations::Fixed(fixed) => fixed.toml(),
            Durations::Uniform { min, max } => {
                format!("{{ kind = \"uniform\", min = {}, max = {} }}", min.toml(), max.toml())
            }
            Durations::Exponential { mean } => {
                format!("{{ kind = \"exponential\", mean = {} }}", mean.toml())
            }
            Durations::LogNormal { median, sigma } => format!(
                "{{ kind = \"log-normal\", median = {}, sigma = {} }}",
                median.toml(),
                sigma.toml()
            ),
        }
    }
}

/// A duration in the largest unit in which it has at most three decimals, with
/// not a nanosecond lost.
pub(super) fn duration(duration: Duration) -> String {
    const UNITS: &[(&str, u128)] = &[("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)];
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    for (unit, size) in UNITS {
        if nanos >= *size && (nanos * 1_000).is_multiple_of(*size) {
            return format!("{}{unit}", decimal(nanos, *size));
        }
    }
    format!("{nanos}ns")
}

/// `value / size` with up to three decimals, cut; callers see to it that
/// nothing is cut off.
fn decimal(value: u128, size: u128) -> String {
    let thousandths = value * 1_000 / size;
    let text = format!("{}.{:03}", thousandths / 1_000, thousandths % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use broker_contract::units::{parse_bandwidth, parse_duration};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn durations_read_back(nanos in 0..10_000_000_000_000u64, cut in 0..10u32) {
            let wanted = Duration::from_nanos(nanos / 10u64.pow(cut) * 10u64.pow(cut));
            prop_assert_eq!(parse_duration(&duration(wanted)), Ok(wanted));
        }

        #[test]
        fn bandwidths_read_back(bits in 1..100_000_000_000u64, cut in 0..10u32) {
            let bits = (bits / 10u64.pow(cut) * 10u64.pow(cut)).max(1);
            let text = Bandwidth(Some(bits)).toml();
            prop_assert_eq!(parse_bandwidth(text.trim_matches('"')), Ok(bits));
        }
    }

    proptest! {
        #[test]
        fn prose_reads_back(text in "([a-z. \"\\\\\n\té]|[.]{50}){0,60}") {
            let document = format!("v = {}", prose(&text));
            let table: toml::Table = document.parse().expect("it is TOML");
            prop_assert_eq!(table["v"].as_str(), Some(text.as_str()));
            let longest = document.lines().map(|line| line.trim_end().len()).max();
            prop_assert!(longest.is_none_or(|longest| longest < 1_000), "{:?}", longest);
        }
    }

    #[test]
    fn durations_are_written_as_people_would() {
        for text in ["250us", "1.5s", "90s", "2.5ms", "1ns", "0s", "1000.001us"] {
            let read = parse_duration(text).expect("reads");
            assert_eq!(duration(read), text);
        }
    }
}
