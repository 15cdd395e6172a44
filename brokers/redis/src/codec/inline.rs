//! Commands that people type into a connection: words on a line, with quotes.

/// The words of a line: separated by white space, `"..."` with escapes (`\n`,
/// `\r`, `\t`, `\b`, `\a`, `\xHH`, and any other byte as itself), `'...'` with `\'`
/// alone. `None` when quotes do not close or are not followed by white space.
pub(super) fn split(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line;
    loop {
        while let [first, behind @ ..] = rest
            && is_space(*first)
        {
            rest = behind;
        }
        if rest.is_empty() {
            return Some(words);
        }
        let (word, behind) = word(rest)?;
        words.push(word);
        rest = behind;
    }
}

/// The C library's `isspace`, and the NUL at which the original's lines end.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r' | 0)
}

fn word(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    loop {
        match rest {
            [] => return Some((word, rest)),
            [first, ..] if is_space(*first) => return Some((word, rest)),
            [b'"', behind @ ..] => return quoted(word, behind, double),
            [b'\'', behind @ ..] => return quoted(word, behind, single),
            [first, behind @ ..] => {
                word.push(*first);
                rest = behind;
            }
        }
    }
}

/// One byte of a quoted word and how many bytes it took; `None` for the end.
type Unquote = fn(&[u8]) -> Option<(u8, usize)>;

fn quoted(mut word: Vec<u8>, mut rest: &[u8], next: Unquote) -> Option<(Vec<u8>, &[u8])> {
    while let Some((byte, used)) = next(rest) {
        word.push(byte);
        rest = &rest[used..];
    }
    // The closing quote, then the end or white space.
    match rest {
        [_] => Some((word, &[])),
        [_, space, ..] if is_space(*space) => Some((word, &rest[1..])),
        _ => None,
    }
}

fn double(rest: &[u8]) -> Option<(u8, usize)> {
    match rest {
        [] | [b'"', ..] => None,
        [b'\\', b'x', high, low, ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
            Some((hex(*high) << 4 | hex(*low), 4))
        }
        [b'\\', escaped, ..] => {
            let byte = match escaped {
                b'n' => b'\n',
                b'r' => b'\r',
                b't' => b'\t',
                b'b' => 8,
                b'a' => 7,
                other => *other,
            };
            Some((byte, 2))
        }
        [byte, ..] => Some((*byte, 1)),
    }
}

fn single(rest: &[u8]) -> Option<(u8, usize)> {
    match rest {
        [] | [b'\'', ..] => None,
        [b'\\', b'\'', ..] => Some((b'\'', 2)),
        [byte, ..] => Some((*byte, 1)),
    }
}

fn hex(digit: u8) -> u8 {
    char::from(digit).to_digit(16).unwrap_or(0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_quotes_are_those_of_the_original() {
        let cases: &[(&str, Option<&[&[u8]]>)] = &[
            ("", Some(&[])),
            ("  \t ", Some(&[])),
            ("PING", Some(&[b"PING"])),
            (" publish  a b ", Some(&[b"publish", b"a", b"b"])),
            (r#"echo "a b\n\x41\q""#, Some(&[b"echo", b"a b\nAq"])),
            (r"echo 'a \' \n'", Some(&[b"echo", br"a ' \n"])),
            (r#"a"b""#, Some(&[b"ab"])),
            (r#"a "b"c"#, None),
            (r#"a "b"#, None),
            ("a 'b", None),
            (r#"a "b\"#, None),
            (r#""""#, Some(&[b""])),
        ];
        for (line, expected) in cases {
            let expected =
                expected.map(|words| words.iter().map(|word| word.to_vec()).collect::<Vec<_>>());
            assert_eq!(split(line.as_bytes()), expected, "{line}");
        }
    }
}
