//! The application's filters in the terms of the bus.

use crate::frame::{Kind, Text, text};
use crate::glob;

/// What a filter becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lowered {
    /// A channel, or a pattern.
    pub kind: Kind,
    /// Its name, with what a pattern would misread escaped.
    pub name: Text,
}

/// A filter is a dotted path of non-empty tokens; `*` stands for one token, and a
/// last `>` for one or more. `None` when it is not such a path.
pub(crate) fn lower(filter: &str) -> Option<Lowered> {
    let tokens: Vec<&str> = filter.split('.').collect();
    let rest_is_last = !tokens[..tokens.len() - 1].contains(&">");
    if tokens.contains(&"") || !rest_is_last {
        return None;
    }
    if !tokens.iter().any(|token| matches!(*token, "*" | ">")) {
        return Some(Lowered { kind: Kind::Channel, name: text(filter) });
    }
    let mut pattern = Vec::with_capacity(filter.len());
    for (at, token) in tokens.iter().enumerate() {
        if at > 0 {
            pattern.push(b'.');
        }
        match *token {
            "*" | ">" => pattern.push(b'*'),
            literal => glob::escape(literal.as_bytes(), &mut pattern),
        }
    }
    Some(Lowered { kind: Kind::Pattern, name: text(pattern) })
}

/// Whether `channel` is really meant by `filter`. The `*` of a pattern crosses
/// dots and takes nothing at all, so a pattern lets more through than its filter.
pub(crate) fn accepts(filter: &str, channel: &[u8]) -> bool {
    let mut tokens = channel.split(|byte| *byte == b'.');
    let mut wanted = filter.split('.');
    loop {
        match (wanted.next(), tokens.next()) {
            (None, None) => return true,
            (Some(">"), Some(token)) => return !token.is_empty() && tokens.all(|t| !t.is_empty()),
            (Some("*"), Some(token)) if !token.is_empty() => {}
            (Some(literal), Some(token)) if literal.as_bytes() == token && literal != "*" => {}
            _ => return false,
        }
    }
}

/// Which of `seats` takes `channel` in an emulated group: FNV-1a of the channel,
/// spread by the finaliser of SplitMix64, modulo the seats. Every member computes
/// the same, so exactly one takes each message. 0 when there is only one seat.
pub(crate) fn seat_of(channel: &[u8], seats: u32) -> u32 {
    if seats <= 1 {
        return 0;
    }
    let mut hash = channel.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((hash ^ (hash >> 31)) % u64::from(seats)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn native(filter: &str) -> Option<(Kind, String)> {
        let lowered = lower(filter)?;
        Some((lowered.kind, String::from_utf8_lossy(&lowered.name).into_owned()))
    }

    #[test]
    fn filters_become_channels_and_patterns() {
        let pattern = |text: &str| Some((Kind::Pattern, text.to_owned()));
        assert_eq!(native("a.b"), Some((Kind::Channel, "a.b".to_owned())));
        assert_eq!(native("a[1].b?"), Some((Kind::Channel, "a[1].b?".to_owned())));
        assert_eq!(native("telemetry.*.*.reading"), pattern("telemetry.*.*.reading"));
        assert_eq!(native("a.>"), pattern("a.*"));
        assert_eq!(native(">"), pattern("*"));
        assert_eq!(native("a[1].x*y.*"), pattern("a\\[1\\].x\\*y.*"));
        for wrong in ["", ".", "a.", "a..b", "a.>.b", ">.a"] {
            assert_eq!(native(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_check_is_narrower_than_the_pattern() {
        assert!(accepts("a.*.c", b"a.b.c"));
        assert!(!accepts("a.*.c", b"a.b.b.c"));
        assert!(!accepts("a.*", b"a."));
        assert!(accepts("a.>", b"a.b.c"));
        assert!(!accepts("a.>", b"a"));
        assert!(!accepts("a.>", b"a."));
        assert!(accepts(">", b"a"));
        assert!(!accepts("a.b", b"a.b.c"));
        assert!(!accepts("a.b.c", b"a.b"));
    }

    #[test]
    fn seats_share_the_channels_evenly() {
        let mut taken = [0; 4];
        for device in 0..10_000 {
            let channel = format!("telemetry.eu.{device}.reading");
            taken[seat_of(channel.as_bytes(), 4) as usize] += 1;
        }
        assert!(taken.iter().all(|count| (2_300..2_700).contains(count)), "{taken:?}");
        assert_eq!(seat_of(b"a", 0), 0);
        // A record of yesterday is compared with a run of today: these may not move.
        assert_eq!(seat_of(b"telemetry.eu.17.reading", 4), 1);
    }

    proptest! {
        #[test]
        fn what_a_filter_accepts_its_pattern_lets_through(
            filter in "([ab*]|\\*|x\\*)(\\.([ab]|\\*)){0,3}(\\.>)?",
            channel in "[abx*](\\.[abx*]{1,2}){0,4}",
        ) {
            let lowered = lower(&filter).expect("a filter");
            if accepts(&filter, channel.as_bytes()) && lowered.kind == Kind::Pattern {
                prop_assert!(glob::matches(&lowered.name, channel.as_bytes()));
            }
        }
    }
}
