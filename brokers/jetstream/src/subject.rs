//! Subjects and filters: dot-separated tokens, and what takes in what.

/// The token that stands for one or more tokens, at the end only.
const TAIL: &[u8] = b">";
/// The token that stands for exactly one token.
const STAR: &[u8] = b"*";

fn tokens(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'.')
}

/// Whether a stream may listen to this filter, or a consumer filter by it.
pub(crate) fn is_valid_filter(filter: &[u8]) -> bool {
    let mut closed = false;
    for token in tokens(filter) {
        let spaced = token.iter().any(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c));
        if token.is_empty() || closed || spaced {
            return false;
        }
        closed = token == TAIL;
    }
    true
}

/// Whether one of the tokens is a wildcard.
pub(crate) fn has_wildcard(filter: &[u8]) -> bool {
    tokens(filter).any(|token| token == STAR || token == TAIL)
}

/// Whether `filter`, a valid one, takes in `subject`.
pub(crate) fn matches(filter: &[u8], subject: &[u8]) -> bool {
    let mut rest = tokens(subject);
    for token in tokens(filter) {
        match rest.next() {
            None | Some(b"") => return false,
            Some(first) if token == TAIL => {
                return !first.is_empty() && rest.all(|token| !token.is_empty());
            }
            Some(_) if token == STAR => {}
            Some(literal) if literal == token => {}
            Some(_) => return false,
        }
    }
    rest.next().is_none()
}

/// Whether there is a subject that both filters take in.
pub(crate) fn overlap(a: &[u8], b: &[u8]) -> bool {
    let (mut a, mut b) = (tokens(a), tokens(b));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return true,
            (Some(_), None) | (None, Some(_)) => return false,
            (Some(one), Some(other)) => {
                if one == TAIL || other == TAIL {
                    return true;
                }
                if one != STAR && other != STAR && one != other {
                    return false;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_take_in_what_they_stand_for() {
        for (filter, taken, left) in [
            ("a.*", &["a.b", "a.*"][..], &["a", "a.b.c", "a."][..]),
            ("a.>", &["a.b", "a.b.c"], &["a", "b.a", "a..b", "a."]),
            (">", &["a", "a.b"], &["", "a..b"]),
            ("a.b", &["a.b"], &["a", "a.b.c"]),
        ] {
            for subject in taken {
                assert!(matches(filter.as_bytes(), subject.as_bytes()), "{filter} {subject}");
            }
            for subject in left {
                assert!(!matches(filter.as_bytes(), subject.as_bytes()), "{filter} {subject}");
            }
        }
    }

    #[test]
    fn filters_overlap_when_a_subject_is_in_both() {
        for (a, b, expected) in [
            ("a.*", "a.b", true),
            ("a.*", "*.b", true),
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            ("a.b", "a.c", false),
            ("a.*", "a.b.c", false),
            (">", "x", true),
        ] {
            assert_eq!(overlap(a.as_bytes(), b.as_bytes()), expected, "{a} {b}");
            assert_eq!(overlap(b.as_bytes(), a.as_bytes()), expected, "{b} {a}");
        }
    }
}
