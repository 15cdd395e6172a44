//! The terminal: where results go, how wide it is, whether it shows colour.

use std::io::{self, IsTerminal, Write};

use lab_reports::clean;
use lab_reports::render::Style;

use crate::exit::CliError;

/// Pages are made for this many columns, and use fewer where there are fewer.
const COLUMNS: usize = 80;

/// Writes `text` to standard output and flushes it.
///
/// # Errors
/// [`CliError::ClosedPipe`] when the reader has gone, [`CliError::Failed`] when
/// the text could not be written.
pub fn print(text: &str) -> Result<(), CliError> {
    print_bytes(text.as_bytes())
}

/// The same for what is no text.
///
/// # Errors
/// As [`print()`].
pub fn print_bytes(bytes: &[u8]) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| CliError::from_stdout(&error))
}

/// Writes a line to standard error. Nobody is left to tell when that fails.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// How results are printed on standard output.
pub fn style() -> Style {
    let out = io::stdout();
    Style { colour: out.is_terminal() && colour_wanted(), width: columns(&out) }
}

/// Whether messages on standard error may be drawn and coloured.
pub fn fancy_errors() -> (bool, bool) {
    let terminal = io::stderr().is_terminal();
    (terminal, terminal && colour_wanted())
}

/// `NO_COLOR` (any value but the empty one) and `TERM=dumb` turn colour off.
fn colour_wanted() -> bool {
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    !no_color && !dumb
}

fn columns(out: &io::Stdout) -> usize {
    match rustix::termios::tcgetwinsize(out) {
        Ok(size) if size.ws_col > 0 => usize::from(size.ws_col).min(COLUMNS),
        _ => COLUMNS,
    }
}

/// A page of wrapped text that grows line by line.
#[derive(Clone, Debug)]
pub struct Sheet {
    out: String,
    width: usize,
}

impl Sheet {
    /// An empty page, `width` columns wide.
    pub fn new(width: usize) -> Sheet {
        Sheet { out: String::new(), width: width.max(20) }
    }

    /// Wrapped text; `lead` stands before the first line, its width before the others.
    pub fn text(&mut self, lead: &str, text: &str) {
        let indent = clean::width(lead).min(self.width / 2);
        let lead = clean::wrap(text, self.width - indent)
            .into_iter()
            .enumerate()
            .map(|(at, part)| {
                let before = if at == 0 { format!("{lead:<indent$}") } else { " ".repeat(indent) };
                format!("{}\n", format!("{before}{part}").trim_end())
            })
            .collect::<String>();
        self.out.push_str(&lead);
    }

    /// A heading, with a gap before it.
    pub fn heading(&mut self, text: &str) {
        self.gap();
        self.text("", text);
    }

    /// An empty line, unless there is one.
    pub fn gap(&mut self) {
        if !self.out.is_empty() && !self.out.ends_with("\n\n") {
            self.out.push('\n');
        }
    }

    /// Text that is laid out already.
    pub fn raw(&mut self, text: &str) {
        self.out.push_str(text);
    }

    /// The page.
    pub fn finish(self) -> String {
        self.out
    }
}
