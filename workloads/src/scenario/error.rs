//! What is wrong with a scenario, where, and what to do about it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Longer lines are not shown: whoever prints the error would print all of it.
const LINE_MAX: usize = 400;
/// Characters of a stranger's text that a message repeats.
const SHOWN_MAX: usize = 60;

/// Which text an error is about.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The scenario file.
    File,
    /// The `--set` argument with this index.
    Set(usize),
}

/// Why a scenario is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioError {
    message: String,
    span: Option<Range<usize>>,
    text: Arc<str>,
    help: Option<String>,
    origin: Origin,
    line: usize,
    column: usize,
}

impl ScenarioError {
    /// An error about `span` of `text`; the span is cut to its first line, and
    /// dropped where that line is too long to be shown.
    pub(super) fn new(
        message: String,
        help: Option<String>,
        origin: Origin,
        text: Arc<str>,
        span: Option<Range<usize>>,
    ) -> ScenarioError {
        let Some(span) = span else {
            return ScenarioError { message, span: None, text, help, origin, line: 0, column: 0 };
        };
        let mut start = span.start.min(text.len());
        while !text.is_char_boundary(start) {
            start -= 1;
        }
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let mut end = span.end.clamp(start, line_end);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let line = text[..line_start].matches('\n').count() + 1;
        let column = text[line_start..start].chars().count() + 1;
        let shown = (line_end - line_start <= LINE_MAX).then_some(start..end);
        ScenarioError { message, span: shown, text, help, origin, line, column }
    }

    /// An error about the whole, with nothing to point at.
    pub(super) fn whole(message: String, help: &str) -> Box<ScenarioError> {
        let help = Some(help.to_owned());
        Box::new(ScenarioError::new(message, help, Origin::File, Arc::from(""), None))
    }

    /// What is wrong, in one line.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Where, in bytes of [`ScenarioError::text`], within one line; `None` when
    /// there is nothing to point at.
    pub fn span(&self) -> Option<Range<usize>> {
        self.span.clone()
    }

    /// The text that the span belongs to: the file's, or the `--set` argument.
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }

    /// The remedy, in one line.
    pub fn help(&self) -> Option<&str> {
        self.help.as_deref()
    }

    /// Which text it is about.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The line in that text, from 1; 0 when the error has no place.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The character in that line, from 1; 0 when the error has no place.
    pub fn column(&self) -> usize {
        self.column
    }
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origin {
            Origin::Set(_) => write!(f, "--set {}: ", shown(&self.text))?,
            Origin::File if self.line > 0 => write!(f, "line {}: ", self.line)?,
            Origin::File => {}
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for ScenarioError {}

/// A stranger's text, fit for a line of a message: short, and without control
/// characters.
pub(super) fn shown(text: &str) -> String {
    let mut out: String =
        text.chars().take(SHOWN_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(SHOWN_MAX).is_some() {
        out.push_str("...");
    }
    out
}

/// "did you mean" for `word`, or else the list of what there is.
pub(super) fn did_you_mean<'a>(
    word: &str,
    what: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> String {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    if let Some(closest) = closest(word, &candidates) {
        return format!("did you mean `{closest}`?");
    }
    if candidates.is_empty() {
        return format!("there is no {what} here");
    }
    let listed: Vec<&str> = candidates.iter().copied().take(24).collect();
    let more = if candidates.len() > listed.len() { ", ..." } else { "" };
    format!("{what} can be: {}{more}", listed.join(", "))
}

fn closest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    // Names have at most 64 characters, and the table below is quadratic.
    if word.len() > 64 {
        return None;
    }
    let word = word.to_ascii_lowercase().replace('-', "_");
    let best = candidates
        .iter()
        .take(1_000)
        .map(|candidate| {
            (distance(&word, &candidate.to_ascii_lowercase().replace('-', "_")), *candidate)
        })
        .min_by_key(|(distance, _)| *distance)?;
    (best.0 <= (word.chars().count() / 3).max(1)).then_some(best.1)
}

/// Edits (insert, delete, replace, swap of neighbours) between two words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0usize; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replace = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replace.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_word_is_suggested_and_a_far_one_is_not() {
        let keys = ["count", "connections", "link"];
        assert_eq!(did_you_mean("cuont", "keys", keys), "did you mean `count`?");
        assert_eq!(did_you_mean("Link", "keys", keys), "did you mean `link`?");
        assert_eq!(did_you_mean("wombat", "keys", keys), "keys can be: count, connections, link");
    }

    #[test]
    fn a_span_is_cut_to_its_line_and_counted_in_characters() {
        let text: Arc<str> = Arc::from("a = 1\nü = 2\nb = 3");
        let start = text.find('2').expect("there");
        let error =
            ScenarioError::new("m".into(), None, Origin::File, text.clone(), Some(start..99));
        assert_eq!((error.line(), error.column()), (2, 5));
        assert_eq!(error.span(), Some(start..start + 1));
        assert_eq!(error.to_string(), "line 2: m");
    }

    #[test]
    fn a_line_too_long_to_show_keeps_its_number_only() {
        let text: Arc<str> = Arc::from(format!("a = 1\n{}", "x".repeat(5_000)));
        let error = ScenarioError::new("m".into(), None, Origin::File, text, Some(100..101));
        assert_eq!((error.line(), error.span()), (2, None));
    }
}
