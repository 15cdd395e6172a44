//! Texts from strangers, made safe for markup.

use crate::clean;

/// `text` for an element or an attribute of HTML, SVG or XML: on one line, at
/// most 400 columns, without control characters, and with the five characters
/// that mean something there written as entities.
pub fn attribute(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in clean::line(text, 400).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Not characters of XML 1.0.
            '\u{fffe}' | '\u{ffff}' => {}
            c => out.push(c),
        }
    }
    out
}

/// `text` for Markdown: what would begin markup, a table cell or a mention of
/// somebody is written so that it shows as itself.
pub fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '@' => out.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn markup_shows_as_itself() {
        assert_eq!(
            attribute("<b a='1'>\u{1b}&\n\"x\""),
            "&lt;b a=&#39;1&#39;&gt;&amp; &quot;x&quot;"
        );
        assert_eq!(markdown("a|b *c* <d> @e"), "a\\|b \\*c\\* &lt;d&gt; &#64;e");
    }

    proptest! {
        #[test]
        fn nothing_is_left_that_means_something(text in "(?s).{0,200}") {
            let safe = attribute(&text);
            prop_assert!(!safe.contains(['<', '>', '"', '\'']));
            prop_assert!(!safe.chars().any(char::is_control));
        }
    }
}
