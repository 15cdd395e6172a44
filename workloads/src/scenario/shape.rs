//! Whether a text could be a person's at all, before a parser takes pains with it.
//!
//! The TOML parser limits how deep brackets nest and how many parts a key has,
//! but both limits together allow trees that no stack of ours can walk.

/// Brackets and braces inside each other.
const DEPTH_MAX: usize = 32;
/// Dots on a line outside strings; a key has a few parts.
const DOTS_MAX: usize = 64;

/// What is wrong with the shape of `text`, with its line.
pub(super) fn check(text: &str) -> Result<(), String> {
    let bytes = text.as_bytes();
    let (mut at, mut line, mut dots, mut depth) = (0, 1, 0, 0usize);
    while let Some(byte) = bytes.get(at) {
        let mut length = 1;
        match byte {
            b'\n' => (line, dots) = (line + 1, 0),
            b'\t' | b'\r' => {}
            byte if byte.is_ascii_control() => return Err(control(line)),
            b'#' => length = until(&bytes[at..], b'\n'),
            b'"' | b'\'' => length = string(&bytes[at..]),
            b'.' => dots += 1,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if dots > DOTS_MAX {
            return Err(format!("line {line} has more than {DOTS_MAX} dots outside quotes"));
        }
        if depth > DEPTH_MAX {
            return Err(format!("on line {line}, more than {DEPTH_MAX} brackets are open"));
        }
        for inner in bytes[at..].iter().take(length).skip(1) {
            match inner {
                b'\n' => (line, dots) = (line + 1, 0),
                b'\t' | b'\r' => {}
                inner if inner.is_ascii_control() => return Err(control(line)),
                _ => {}
            }
        }
        at += length;
    }
    Ok(())
}

fn control(line: usize) -> String {
    format!("line {line} holds control characters, so this is no scenario")
}

fn until(bytes: &[u8], wanted: u8) -> usize {
    bytes.iter().position(|byte| *byte == wanted).unwrap_or(bytes.len())
}

/// The length of the string that `bytes` begin with. One that is not closed ends
/// where the TOML parser takes it to end: with its line, or with the text.
fn string(bytes: &[u8]) -> usize {
    let quote = bytes[0];
    let long = bytes.starts_with(&[quote; 3]);
    let mut at = if long { 3 } else { 1 };
    while let Some(byte) = bytes.get(at) {
        match *byte {
            b'\\' if quote == b'"' => {
                let escaped = matches!(bytes.get(at + 1), Some(b'\\' | b'"'));
                at += if escaped { 2 } else { 1 };
            }
            b'\n' if !long => return at,
            byte if byte == quote && !long => return at + 1,
            byte if byte == quote && bytes[at..].starts_with(&[quote; 3]) => {
                // Up to two quotes before the closing three belong to the text.
                let more = bytes[at + 3..].iter().take(2).take_while(|byte| **byte == quote);
                return at + 3 + more.count();
            }
            _ => at += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_and_comments_hide_what_is_in_them() {
        let dots = ".".repeat(100);
        for text in [
            format!("a = \"{dots}\""),
            format!("a = '{dots}'"),
            format!("a = \"\"\"\n{dots}\n\"\"\""),
            format!("a = '''{dots}'''"),
            format!("a = \"\\\"{dots}\""),
            format!("a = \"\"\"x\"\"\"\"\" # {dots}"),
            format!("# {dots}"),
        ] {
            assert_eq!(check(&text), Ok(()), "{text}");
        }
        for text in [
            format!("'\"'{dots}"),
            format!("\"\\\\\"{dots}"),
            format!("a = \"\n{dots}"),
            format!("\"\"\"\"\"\"{dots}"),
            "[".repeat(33),
            "{\"}\" = ".repeat(33),
            "a = \"\u{1}\"".to_owned(),
        ] {
            assert!(check(&text).is_err(), "{text}");
        }
    }
}
