//! Texts from strangers, made safe for a terminal or a spreadsheet.
//!
//! A record may come from anywhere. A title that moves the cursor, changes the
//! direction of writing or fills a screen must not reach one.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns that `text` takes on a terminal.
pub fn width(text: &str) -> usize {
    text.width()
}

/// `text` on one line, at most `max` columns wide.
///
/// Line breaks and tabs become spaces, runs of spaces become one. Control
/// characters, marks that change the direction of writing and characters
/// without a width of their own that hide things are left out. What is too long
/// ends in `…`.
pub fn line(text: &str, max: usize) -> String {
    let mut out = String::new();
    let mut columns = 0;
    let mut space = false;
    for c in text.chars() {
        if c.is_whitespace() {
            space = true;
            continue;
        }
        if is_hidden(c) {
            continue;
        }
        let pending = usize::from(space && !out.is_empty());
        let wide = c.width().unwrap_or(0);
        if columns + pending + wide > max {
            return cut(&out, max);
        }
        if pending == 1 {
            out.push(' ');
        }
        out.push(c);
        columns += pending + wide;
        space = false;
    }
    out
}

/// The first columns of `text`, with `…` for what was left out.
pub fn cut(text: &str, max: usize) -> String {
    let mut out = String::new();
    let mut columns = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if columns + wide + 1 > max {
            break;
        }
        out.push(c);
        columns += wide;
    }
    if max > 0 {
        out.push('…');
    }
    out
}

/// `text` in at most `max` columns, both ends kept, because names of contenders
/// differ at the end as well: `kafka:lin…ms=5`.
pub fn name(text: &str, max: usize) -> String {
    let text = line(text, 200);
    if width(&text) <= max {
        return text;
    }
    let tail_width = max.saturating_sub(1) / 2;
    let mut tail: Vec<char> = Vec::new();
    let mut columns = 0;
    for c in text.chars().rev() {
        columns += c.width().unwrap_or(0);
        if columns > tail_width {
            break;
        }
        tail.push(c);
    }
    let tail: String = tail.into_iter().rev().collect();
    let mut out = cut(&text, max.saturating_sub(width(&tail)));
    out.push_str(&tail);
    out
}

/// `text` broken into lines of at most `max` columns, at spaces where there are any.
pub fn wrap(text: &str, max: usize) -> Vec<String> {
    let max = max.max(1);
    let mut lines = Vec::new();
    let mut current = String::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let mut word = word.to_owned();
        loop {
            let gap = usize::from(!current.is_empty());
            if width(&current) + gap + width(&word) <= max {
                if gap == 1 {
                    current.push(' ');
                }
                current.push_str(&word);
                break;
            }
            if !current.is_empty() {
                lines.push(std::mem::take(&mut current));
                continue;
            }
            // A word wider than a line is cut where the line ends.
            let mut columns = 0;
            let at = word
                .char_indices()
                .find(|(at, c)| {
                    columns += c.width().unwrap_or(0);
                    *at > 0 && columns > max
                })
                .map_or(word.len(), |(at, _)| at);
            let rest = word.split_off(at);
            lines.push(std::mem::replace(&mut word, rest));
            if word.is_empty() {
                break;
            }
        }
    }
    if !current.is_empty() {
        lines.push(current);
    }
    lines
}

/// `text` with the same bytes at the same places, except that what [`line()`]
/// leaves out shows as `?` and a carriage return as a space. Line breaks and
/// tabs stay, so that places in the text keep their line and column.
pub fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => out.push(c),
            '\r' => out.push(' '),
            '\u{85}' | '\u{2028}' | '\u{2029}' => {
                out.extend(std::iter::repeat_n('?', c.len_utf8()));
            }
            c if is_hidden(c) => out.extend(std::iter::repeat_n('?', c.len_utf8())),
            c => out.push(c),
        }
    }
    out
}

/// Characters that show nothing, or change how others show.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}')
        // Marks pile up on the character before them, without limit.
        || (c.width() == Some(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nothing_that_moves_a_cursor_or_turns_the_text_around_passes() {
        assert_eq!(line("a\u{1b}[31mred\u{7}\u{202e}b\r\nc\t d", 80), "a[31mredb c d");
        assert_eq!(line("\u{200f}x\u{2066}y\u{9b}31m", 80), "xy31m");
    }

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        assert_eq!(line("abcdef", 6), "abcdef");
        assert_eq!(line("abcdefg", 6), "abcde…");
        assert_eq!(line("日本語", 5), "日本…");
        assert_eq!(name("kafka:linger_ms=5", 14), "kafka:l…r_ms=5");
    }

    #[test]
    fn masking_keeps_every_place() {
        let text = "a\u{1b}[1m\u{202e}b\r\n\tc";
        assert_eq!(masked(text), "a?[1m???b \n\tc");
        assert_eq!(masked(text).len(), text.len());
    }

    proptest! {
        #[test]
        fn a_line_keeps_its_width(text in "\\PC{0,60}|.{0,60}", max in 0_usize..40) {
            prop_assert!(width(&line(&text, max)) <= max);
            prop_assert!(width(&name(&text, max.max(3))) <= max.max(3));
            prop_assert!(!line(&text, max).chars().any(char::is_control));
        }

        #[test]
        fn wrapped_text_keeps_its_width_and_its_words(text in "[a-z日 ]{0,80}", max in 2_usize..30) {
            let lines = wrap(&text, max);
            for each in &lines {
                prop_assert!(width(each) <= max, "{each}");
            }
            let squeeze = |text: &str| text.replace(' ', "");
            prop_assert_eq!(squeeze(&lines.concat()), squeeze(&text));
        }
    }
}
