//! From the command line's `SCENARIO` to a checked scenario.
//!
//! A scenario is a path or the name of one that is built in. What cannot be read
//! is refused in one line; a mistake in the text is shown with its line, a caret
//! and the remedy.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource, SourceCode,
};

use lab_workloads::scenario::model::Scenario;

use lab_workloads::scenario::{self, Known, Options, Origin};

use crate::contenders;
use crate::exit::CliError;

/// Scenario files are at most this long; a longer one is something else.
const MAX_BYTES: u64 = 1 << 20;

/// The text of a scenario and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScenarioText {
    /// The file's stem, or the built-in name.
    pub name: String,
    /// As messages call it: the path, or `iot-50k (built in)`.
    pub origin: String,
    /// The TOML.
    pub text: String,
}

/// Finds and reads `scenario`, a path or the name of a built-in one.
///
/// # Errors
/// [`CliError::Usage`], one line: there is no such file or name, it is a folder,
/// too long, not UTF-8, or cannot be read.
pub fn read(scenario: &str) -> Result<ScenarioText, CliError> {
    if let Some((name, text)) = built_in(scenario) {
        return Ok(ScenarioText {
            name: name.to_owned(),
            origin: format!("{name} (built in)"),
            text: text.to_owned(),
        });
    }
    let path = Path::new(scenario);
    let shown = lab_reports::clean::line(scenario, 200);
    let text = read_text(path, MAX_BYTES).map_err(|problem| {
        CliError::Usage(match problem {
            Unreadable::Missing => format!(
                "there is no scenario `{shown}`: no such file, and `lab list` shows the names \
                 that are built in"
            ),
            Unreadable::Folder => format!("`{shown}` is a folder; give the scenario file in it"),
            Unreadable::TooLong => {
                format!("`{shown}` is longer than 1 MiB, so it is no scenario; nothing was read")
            }
            Unreadable::NotUtf8(at) => {
                format!("`{shown}` is not UTF-8 (byte {at}); a scenario is a TOML text")
            }
            Unreadable::Other(error) => format!("`{shown}` cannot be read: {error}"),
        })
    })?;
    let stem =
        path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    Ok(ScenarioText { name: stem, origin: shown, text })
}

/// Why a text file was not read.
#[derive(Debug)]
pub enum Unreadable {
    /// There is none.
    Missing,
    /// It is a folder.
    Folder,
    /// It is longer than allowed.
    TooLong,
    /// It is no text, from this byte on.
    NotUtf8(usize),
    /// Anything else.
    Other(std::io::Error),
}

/// Reads a text of at most `max` bytes; never more than that is held.
///
/// # Errors
/// [`Unreadable`].
pub fn read_text(path: &Path, max: u64) -> Result<String, Unreadable> {
    let from_io = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => Unreadable::Missing,
        std::io::ErrorKind::IsADirectory => Unreadable::Folder,
        _ => Unreadable::Other(error),
    };
    let file = File::open(path).map_err(from_io)?;
    let metadata = file.metadata().map_err(from_io)?;
    if metadata.is_dir() {
        return Err(Unreadable::Folder);
    }
    if metadata.len() > max {
        return Err(Unreadable::TooLong);
    }
    // A device or a pipe has no length, so the limit holds while reading as well.
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes).map_err(from_io)?;
    if bytes.len() as u64 > max {
        return Err(Unreadable::TooLong);
    }
    String::from_utf8(bytes).map_err(|error| Unreadable::NotUtf8(error.utf8_error().valid_up_to()))
}

/// A mistake in the text of a scenario.
#[derive(Debug)]
pub struct Mistake {
    /// What is wrong, in one line.
    pub message: String,
    /// What to do about it.
    pub remedy: Option<String>,
    /// Where, in bytes of the text; `None` when it is no place in it.
    pub span: Option<Range<usize>>,
    /// What stands at the caret.
    pub label: String,
    source: NamedSource<String>,
    /// Lines shown around the one at fault.
    context: usize,
}

/// A line of a scenario is shown in whole up to this many bytes.
const LINE_MAX: usize = 160;

impl Mistake {
    /// A mistake in `text`.
    pub fn new(text: &ScenarioText, message: String, span: Option<Range<usize>>) -> Mistake {
        let (shown, span, context) = match span {
            None => (String::new(), None, 0),
            Some(span) => {
                let (shown, span, context) = excerpt(&text.text, span);
                (shown, Some(span), context)
            }
        };
        Mistake {
            message: lab_reports::clean::line(&message, 400),
            remedy: None,
            span,
            label: "here".to_owned(),
            source: NamedSource::new(&text.origin, shown),
            context,
        }
    }

    /// The mistake with its line, a caret and the remedy, as a page.
    /// `drawn` uses line-drawing characters, `coloured` colour.
    pub fn render(&self, drawn: bool, coloured: bool) -> String {
        let theme = match (drawn, coloured) {
            (true, true) => GraphicalTheme::unicode(),
            (true, false) => GraphicalTheme::unicode_nocolor(),
            (false, _) => GraphicalTheme::none(),
        };
        let mut out = String::new();
        let handler = GraphicalReportHandler::new_themed(theme)
            .with_width(80)
            .with_links(false)
            .with_context_lines(self.context);
        match handler.render_report(&mut out, self) {
            Ok(()) => out,
            Err(fmt::Error) => format!("{self}\n"),
        }
    }
}

/// The text to show for a mistake at `span`, the span in it, and how many lines
/// of context it bears.
///
/// A scenario is a stranger's file: nothing in it may move a cursor, and a line
/// of a megabyte is cut around the mistake. The line keeps its number.
fn excerpt(text: &str, span: Range<usize>) -> (String, Range<usize>, usize) {
    let text = lab_reports::clean::masked(text);
    let mut start = span.start.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let from = text[..start].rfind('\n').map_or(0, |at| at + 1);
    let until = text[start..].find('\n').map_or(text.len(), |at| start + at);
    // A caret underlines on one line; a longer span ends with its first line.
    let mut end = span.end.clamp(start, until);
    while !text.is_char_boundary(end) {
        end += 1;
    }
    let before = text[..from].lines().last().map_or(0, str::len);
    let after = text[until..].lines().nth(1).map_or(0, str::len);
    if [until - from, before, after].iter().all(|length| *length <= LINE_MAX) {
        return (text, start..end, 1);
    }
    let mut shown: String = "\n".repeat(text[..from].matches('\n').count());
    let mut left = start.saturating_sub(LINE_MAX / 4).max(from);
    while !text.is_char_boundary(left) {
        left -= 1;
    }
    let mut right = (left + LINE_MAX / 2).min(until).max(left);
    while !text.is_char_boundary(right) {
        right += 1;
    }
    let start = shown.len() + (start - left);
    let end = (shown.len() + end.min(right).saturating_sub(left)).max(start);
    shown.push_str(&text[left..right]);
    (shown, start..end, 0)
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Mistake {}

impl Diagnostic for Mistake {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.remedy.as_ref().map(|remedy| Box::new(remedy) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.span.as_ref().map(|_| &self.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.span.clone()?;
        let label = LabeledSpan::new_with_span(Some(self.label.clone()), span);
        Some(Box::new(std::iter::once(label)))
    }
}

fn built_in(name: &str) -> Option<(&'static str, &'static str)> {
    scenario::built_in().iter().find(|(built_in, _)| *built_in == name).copied()
}

/// A scenario, as the command line asks for it.
#[derive(Copy, Clone, Debug, Default)]
pub struct Wanted<'a> {
    /// A path, or the name of a built-in scenario.
    pub scenario: &'a str,
    /// Dotted paths and TOML values, in order; a later one wins.
    pub sets: &'a [(String, String)],
    /// Instead of the scenario's seed.
    pub seed: Option<u64>,
    /// Sum of the steady phases, instead of the scenario's.
    pub duration: Option<Duration>,
    /// A short run.
    pub quick: bool,
}

/// Finds, reads and checks a scenario.
///
/// # Errors
/// [`CliError::Usage`] when it cannot be read, [`CliError::Scenario`] when it
/// is wrong.
pub fn load(wanted: &Wanted<'_>) -> Result<Scenario, CliError> {
    let text = read(wanted.scenario)?;
    let sets: Vec<String> =
        wanted.sets.iter().map(|(path, value)| format!("{path}={value}")).collect();
    let options =
        Options { sets: &sets, duration: wanted.duration, seed: wanted.seed, quick: wanted.quick };
    parse(&text, &options)
}

fn parse(text: &ScenarioText, options: &Options<'_>) -> Result<Scenario, CliError> {
    let contenders = contenders::all_known();
    let known: Vec<Known<'_>> = contenders
        .iter()
        .map(|known| Known {
            name: known.profile.name,
            settings: known.settings,
            presets: known.presets,
        })
        .collect();
    scenario::parse(&text.name, &text.text, &known, options).map_err(|error| {
        // A mistake in a `--set` is shown in that argument, not in the file.
        let shown = ScenarioText {
            name: text.name.clone(),
            origin: match error.origin() {
                Origin::File => text.origin.clone(),
                Origin::Set(_) => "--set".to_owned(),
            },
            text: match error.origin() {
                Origin::File => text.text.clone(),
                Origin::Set(_) => error.text().to_string(),
            },
        };
        let mut mistake = Mistake::new(&shown, error.message().to_owned(), error.span());
        mistake.remedy = error.help().map(|help| lab_reports::clean::line(help, 400));
        CliError::Scenario(Box::new(mistake))
    })
}

/// A scenario that the binary carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuiltIn {
    /// What to call it on the command line.
    pub name: String,
    /// One line.
    pub title: String,
    /// What it asks.
    pub question: String,
    /// What a student takes home.
    pub lesson: String,
}

/// All of them, in the order in which they are listed.
pub fn all_built_in() -> Vec<BuiltIn> {
    scenario::built_in()
        .iter()
        .filter_map(|(name, text)| {
            let text = ScenarioText {
                name: (*name).to_owned(),
                origin: (*name).to_owned(),
                text: (*text).to_owned(),
            };
            // What ships with the lab parses: a test runs each of them.
            let scenario = parse(&text, &Options::default()).ok()?;
            Some(BuiltIn {
                name: scenario.name,
                title: scenario.title,
                question: scenario.question,
                lesson: scenario.lesson,
            })
        })
        .collect()
}

/// A commented scenario to start from.
pub fn template() -> &'static str {
    scenario::template_text()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str, span: Range<usize>) -> String {
        let text = ScenarioText {
            name: "mine".to_owned(),
            origin: "mine.toml".to_owned(),
            text: text.to_owned(),
        };
        let mut mistake = Mistake::new(&text, "unknown key `tilte`".to_owned(), Some(span));
        mistake.remedy = Some("did you mean `title`?".to_owned());
        mistake.render(false, false)
    }

    #[test]
    fn a_mistake_shows_its_line_a_caret_and_the_remedy() {
        insta::assert_snapshot!(page("seed = 1\ntilte = \"x\"\n\n[links]\n", 9..14));
    }

    #[test]
    fn a_hostile_line_is_cut_and_masked() {
        let text = format!("a = 1\n{}\u{1b}[2J\u{202e}{}", "x".repeat(90_000), "y".repeat(90_000));
        let shown = page(&text, 90_006..90_007);
        assert!(shown.len() < 1_000, "{shown}");
        assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'));
        assert!(shown.contains("mine.toml:2:"), "{shown}");
    }

    proptest::proptest! {
        #[test]
        fn every_span_of_every_text_can_be_shown(
            text in "(?s).{0,300}",
            start in 0_usize..400,
            length in 0_usize..400,
        ) {
            let shown = page(&text, start..start + length);
            proptest::prop_assert!(shown.contains("unknown key"), "{}", shown);
        }
    }
}
