//! The pattern rules of PSUBSCRIBE.
//!
//! | in a pattern | stands for |
//! |---|---|
//! | `*` | any bytes, dots included, possibly none |
//! | `?` | one byte |
//! | `[abc]`, `[a-z]` | one of these bytes; a reversed range is swapped |
//! | `[^x]` | one byte that is not among these (`!` has no meaning) |
//! | `\x` | the byte `x`, inside brackets too; a last `\` stands for itself |
//!
//! Odd corners are the original's, on a platform whose `char` is signed: an
//! unclosed bracket ends with the pattern; `[]` matches nothing and `[^]`
//! anything; in `[a-]` the range runs from `a` to `]`; range ends compare as
//! signed bytes; an empty text is matched by the empty pattern only, not by `*`;
//! and a pattern with more than a thousand stars before its last matches nothing.

/// Stars, apart from a final one, after which the original gives up.
const STARS_MAX: u32 = 1_000;

/// Whether `pattern` matches the whole of `text`.
///
/// Takes at most `pattern.len() * text.len()` steps and no memory: when a star
/// has to take more, no earlier star can do better by taking more too, so only
/// the last one is ever tried again.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut p, mut t) = (0, 0);
    let mut last_star: Option<(usize, usize)> = None;
    let mut stars = 0;
    loop {
        if pattern.get(p) == Some(&b'*') {
            while pattern.get(p) == Some(&b'*') {
                p += 1;
            }
            if p == pattern.len() {
                return true;
            }
            stars += 1;
            if stars > STARS_MAX {
                return false;
            }
            last_star = Some((p, t));
        }
        if t == text.len() {
            // Whatever is left of the pattern needs a byte, and a longer star
            // would leave fewer.
            return p == pattern.len();
        }
        if let Some(next) = one(pattern, p, text[t]) {
            p = next;
            t += 1;
            continue;
        }
        let Some((after, from)) = last_star else { return false };
        last_star = Some((after, from + 1));
        (p, t) = (after, from + 1);
    }
}

/// The position after the element at `p`, if that element (which is no star)
/// matches `byte`.
fn one(pattern: &[u8], p: usize, byte: u8) -> Option<usize> {
    match pattern[p..] {
        [] => None,
        [b'?', ..] => Some(p + 1),
        [b'[', ..] => {
            let (hit, next) = class(pattern, p, byte);
            hit.then_some(next)
        }
        [b'\\', literal, ..] => (literal == byte).then_some(p + 2),
        [literal, ..] => (literal == byte).then_some(p + 1),
    }
}

/// Whether the bracket that opens at `p` takes `byte`, and where it ends.
fn class(pattern: &[u8], p: usize, byte: u8) -> (bool, usize) {
    let mut at = p + 1;
    let negated = pattern.get(at) == Some(&b'^');
    at += usize::from(negated);
    let mut hit = false;
    loop {
        match pattern[at..] {
            [b'\\', literal, ..] => {
                hit |= literal == byte;
                at += 2;
            }
            [b']', ..] => {
                at += 1;
                break;
            }
            [] => break,
            [low, b'-', high, ..] => {
                let (low, high, byte) = (low as i8, high as i8, byte as i8);
                hit |= low.min(high) <= byte && byte <= low.max(high);
                at += 3;
            }
            [literal, ..] => {
                hit |= literal == byte;
                at += 1;
            }
        }
    }
    (hit != negated, at)
}

/// What every text that a pattern matches begins and ends with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Anchors {
    /// The literal bytes before the first wildcard, escapes resolved.
    pub prefix: Vec<u8>,
    /// The literal bytes after the last wildcard; empty when there is none.
    pub suffix: Vec<u8>,
}

/// The literal ends of `pattern`, by which an index finds it.
pub fn anchors(pattern: &[u8]) -> Anchors {
    let mut anchors = Anchors::default();
    let mut wild = false;
    let mut p = 0;
    while p < pattern.len() {
        let literal = match pattern[p..] {
            [b'*' | b'?', ..] => {
                p += 1;
                None
            }
            [b'[', ..] => {
                p = class(pattern, p, 0).1;
                None
            }
            [b'\\', literal, ..] => {
                p += 2;
                Some(literal)
            }
            [literal, ..] => {
                p += 1;
                Some(literal)
            }
            [] => break,
        };
        match literal {
            None => {
                wild = true;
                anchors.suffix.clear();
            }
            Some(literal) if wild => anchors.suffix.push(literal),
            Some(literal) => anchors.prefix.push(literal),
        }
    }
    anchors
}

/// Appends `literal` to `pattern` so that it stands for itself.
pub fn escape(literal: &[u8], pattern: &mut Vec<u8>) {
    for &byte in literal {
        if matches!(byte, b'*' | b'?' | b'[' | b']' | b'^' | b'\\') {
            pattern.push(b'\\');
        }
        pattern.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cases_as_the_original_answers_them() {
        let cases: &[(&[u8], &[u8], bool)] = &[
            (b"news.*", b"news.art.figurative", true),
            (b"news.*", b"news.", true),
            (b"news.*", b"news", false),
            (b"h?llo", b"hello", true),
            (b"h?llo", b"hllo", false),
            (b"h[ae]llo", b"hallo", true),
            (b"h[ae]llo", b"hillo", false),
            (b"h[^e]llo", b"hallo", true),
            (b"h[^e]llo", b"hello", false),
            (b"h[a-b]llo", b"hbllo", true),
            (b"[z-a]", b"c", true),
            (b"[!a]", b"b", false),
            (b"[!a]", b"!", true),
            (b"\\*", b"*", true),
            (b"\\*", b"x", false),
            (b"a\\", b"a\\", true),
            (b"[\\]]", b"]", true),
            (b"[abc", b"c", true),
            (b"[", b"[", false),
            (b"[^", b"x", true),
            (b"[]", b"x", false),
            (b"[^]", b"x", true),
            (b"[a-]", b"]", true),
            (b"[a-]", b"a", true),
            (b"a[", b"a", false),
            (b"[a\\", b"\\", true),
            (b"[a-c-e]", b"-", true),
            (b"[a-c-e]", b"d", false),
            (b"[\\a-c]", b"b", false),
            (b"[a-\xff]", b"b", false),
            (b"[a-\xff]", b"\x10", true),
            (b"**a", b"a", true),
            (b"*?*?*?*", b"abc", true),
            (b"*?*?*?*", b"ab", false),
            (b"a*b*c", b"aXbXbXc", true),
            (b"a*b*c", b"aXbXbX", false),
            (b"*", b"", false),
            (b"", b"", true),
            (b"", b"a", false),
        ];
        for (pattern, text, expected) in cases {
            let shown = (String::from_utf8_lossy(pattern), String::from_utf8_lossy(text));
            assert_eq!(matches(pattern, text), *expected, "{shown:?}");
        }
    }

    #[test]
    fn stars_without_end_are_refused_and_never_slow() {
        let many = |stars: usize| "*a".repeat(stars);
        assert!(matches(many(1_000).as_bytes(), "a".repeat(1_000).as_bytes()));
        assert!(!matches(many(1_001).as_bytes(), "a".repeat(1_001).as_bytes()));
        // Exponential for a naive matcher; here about a million steps.
        let pattern = "*a".repeat(500) + "b";
        assert!(!matches(pattern.as_bytes(), "a".repeat(2_000).as_bytes()));
    }

    /// The rules once more, recursive and without any bound on time.
    fn oracle(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|taken| oracle(rest, &text[taken..])),
            ([b'?', rest @ ..], [_, text @ ..]) => oracle(rest, text),
            ([b'\\', literal, rest @ ..], [byte, text @ ..]) => {
                literal == byte && oracle(rest, text)
            }
            ([b'[', ..], [byte, text @ ..]) => {
                let close = pattern.iter().position(|byte| *byte == b']').expect("closed");
                let inside = &pattern[1..close];
                let (negated, inside) =
                    inside.strip_prefix(b"^").map_or((false, inside), |rest| (true, rest));
                let hit = match inside {
                    [low, b'-', high] => (low.min(high)..=low.max(high)).contains(&byte),
                    bytes => bytes.contains(byte),
                };
                hit != negated && oracle(&pattern[close + 1..], text)
            }
            ([literal, rest @ ..], [byte, text @ ..]) => literal == byte && oracle(rest, text),
            _ => false,
        }
    }

    fn pattern() -> impl Strategy<Value = String> {
        let element = prop_oneof![
            4 => "[a-c.]",
            3 => Just("*".to_owned()),
            1 => Just("?".to_owned()),
            1 => "\\[\\^?[a-c]{1,3}\\]",
            1 => "\\[\\^?[a-c]-[a-c]\\]",
            1 => Just("\\*".to_owned()),
            1 => Just("\\a".to_owned()),
        ];
        prop::collection::vec(element, 0..8).prop_map(|elements| elements.concat())
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_rules(pattern in pattern(), text in "[a-c.*]{1,9}") {
            let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(matches(pattern, text), oracle(pattern, text));
        }

        #[test]
        fn any_bytes_are_a_pattern(
            pattern in prop::collection::vec(any::<u8>(), 0..40),
            text in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let anchors = anchors(&pattern);
            if matches(&pattern, &text) {
                prop_assert!(text.starts_with(&anchors.prefix));
                prop_assert!(text.ends_with(&anchors.suffix));
            }
        }

        #[test]
        fn a_matched_text_has_the_anchors(pattern in pattern(), text in "[a-c.*]{1,9}") {
            let anchors = anchors(pattern.as_bytes());
            if matches(pattern.as_bytes(), text.as_bytes()) {
                prop_assert!(text.as_bytes().starts_with(&anchors.prefix), "{:?}", anchors);
                prop_assert!(text.as_bytes().ends_with(&anchors.suffix), "{:?}", anchors);
            }
        }

        #[test]
        fn an_escaped_text_matches_itself_only(
            text in prop::collection::vec(any::<u8>(), 1..20),
            other in prop::collection::vec(any::<u8>(), 1..20),
        ) {
            let mut pattern = Vec::new();
            escape(&text, &mut pattern);
            prop_assert!(matches(&pattern, &text));
            prop_assert_eq!(matches(&pattern, &other), text == other);
            let found = anchors(&pattern);
            prop_assert_eq!(found, Anchors { prefix: text, suffix: Vec::new() });
        }
    }
}
