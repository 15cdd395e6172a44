//! Subjects and filters: dot-separated tokens, and what matches what.
//!
//! A filter may hold `*`, which stands for exactly one token, and end in `>`,
//! which stands for one or more. Either is special only as a whole token: `f*o`
//! is a literal. Length is bounded by the control line alone.

/// The byte between two tokens.
pub const SEPARATOR: u8 = b'.';
/// The token that stands for exactly one token.
pub const STAR: &[u8] = b"*";
/// The last token that stands for one or more tokens.
pub const TAIL: &[u8] = b">";

/// The tokens of a subject or filter, empty ones included.
pub fn tokens(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == SEPARATOR)
}

/// Whether a SUB with this filter is accepted: no empty token, no white space,
/// nothing behind `>`.
pub fn is_valid_filter(filter: &[u8]) -> bool {
    let mut closed = false;
    for token in tokens(filter) {
        if token.is_empty() || closed || token.iter().any(|byte| is_space(*byte)) {
            return false;
        }
        closed = token == TAIL;
    }
    true
}

/// Whether a pedantic server takes this subject in a PUB: a valid filter without
/// wildcards.
pub fn is_valid_literal(subject: &[u8]) -> bool {
    is_valid_filter(subject) && !has_wildcard(subject)
}

/// Whether `text` can stand in a PUB line at all. Anything else is for the
/// server to judge.
pub fn is_printable(text: &[u8]) -> bool {
    !text.is_empty() && !text.iter().any(|byte| is_space(*byte))
}

/// Whether one of the tokens is a wildcard.
pub fn has_wildcard(filter: &[u8]) -> bool {
    tokens(filter).any(|token| token == STAR || token == TAIL)
}

/// Whether `filter`, a valid one, takes in `subject`. A subject with an empty
/// token is taken in by none. Wildcards in the subject are tokens like others,
/// and only wildcards in the filter match them.
pub fn matches(filter: &[u8], subject: &[u8]) -> bool {
    if tokens(subject).any(<[u8]>::is_empty) {
        return false;
    }
    let mut rest = tokens(subject);
    for token in tokens(filter) {
        match rest.next() {
            None => return false,
            Some(_) if token == TAIL => return true,
            Some(_) if token == STAR => {}
            Some(literal) if literal == token => {}
            Some(_) => return false,
        }
    }
    rest.next().is_none()
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_valid_as_in_the_original() {
        for valid in ["a", "a.b", "*", ">", "a.*", "a.*.b", "a.>", "f*o", "a.b>", "*a.>b.c", "a.**"]
        {
            assert!(is_valid_filter(valid.as_bytes()), "{valid}");
        }
        for invalid in ["", ".", "a.", ".a", "a..b", ">.a", "a.>.b", "a b", "a.\tb", "a.>.>"] {
            assert!(!is_valid_filter(invalid.as_bytes()), "{invalid}");
        }
    }

    #[test]
    fn only_literals_may_be_published_to_pedantically() {
        for valid in ["a", "a.f*o", "a.>b"] {
            assert!(is_valid_literal(valid.as_bytes()), "{valid}");
        }
        for invalid in ["", "a.*", "*", "a.>", "a..b"] {
            assert!(!is_valid_literal(invalid.as_bytes()), "{invalid}");
        }
    }

    #[test]
    fn wildcards_take_in_what_they_stand_for() {
        let table: &[(&str, &[&str], &[&str])] = &[
            ("a.b", &["a.b"], &["a", "a.b.c", "a.c"]),
            ("a.*", &["a.b", "a.*", "a.>"], &["a", "a.b.c", "b.b", "a."]),
            ("*.b.*", &["a.b.c"], &["b.c", "a.b", "a.c.b"]),
            ("a.>", &["a.b", "a.b.c.d", "a.*"], &["a", "b.a", "a..b", "a."]),
            (">", &["a", "a.b", ">"], &["", "a..b", ".a"]),
            ("f*o", &["f*o"], &["foo", "fo"]),
            ("*.>", &["a.b", "a.b.c"], &["a"]),
        ];
        for (filter, taken, left) in table {
            for subject in *taken {
                assert!(matches(filter.as_bytes(), subject.as_bytes()), "{filter} takes {subject}");
            }
            for subject in *left {
                assert!(!matches(filter.as_bytes(), subject.as_bytes()), "{filter} has {subject}");
            }
        }
    }
}
