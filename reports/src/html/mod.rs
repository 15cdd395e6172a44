//! A record as one page for a browser: `report.html`.
//!
//! **What it is for.** Whoever has to choose reads from top to bottom: the
//! question, the verdict, the table, the pictures, the books, and how to repeat
//! it. The style sheet, the script and the charts are in the file.
//!
//! **What it never does.** It loads nothing from anywhere, and a policy in its
//! head forbids it to. It shows no text of a record that was not cleaned, cut to
//! a length and escaped. It says nothing that [`crate::findings`] or the record
//! does not say.
//!
//! **Where to start reading.** `page.html`, the template, from top to bottom;
//! [`render`] fills it from `sheet.rs` (figures) and `tables.rs` (rows).

mod sheet;
mod tables;

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment};
use serde::Serialize;

use crate::charts::{SHAPES, palette};
use crate::record::Record;
use crate::render::RenderError;

const TEMPLATE: &str = include_str!("page.html");
const CONCEPTS: &str = include_str!("concepts.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// The page.
///
/// # Errors
/// [`RenderError::Page`] when a chart or the template fails.
pub fn render(record: &Record) -> Result<String, RenderError> {
    let sheet = sheet::fill(record)?;
    let problem = |error: minijinja::Error| RenderError::Page(format!("{error:#}"));
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_filter("nb", bound);
    environment.add_template("concepts.html", CONCEPTS).map_err(problem)?;
    environment.add_template("page.html", TEMPLATE).map_err(problem)?;
    let style = format!(
        ":root{{{}}}@media (prefers-color-scheme:dark){{:root{{{}}}}}\
         @media print{{:root{{{}}}}}{}{SHAPES}\n{STYLE}",
        palette::variables(false),
        palette::variables(true),
        palette::variables(false),
        palette::rules() + &palette::grounds(),
    );
    let template = environment.get_template("page.html").map_err(problem)?;
    template.render(Serde(Page { style, script: SCRIPT, sheet })).map_err(problem)
}

/// Keeps a figure and its unit on one line.
fn bound(text: String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(at) = rest.find(' ') {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        out.push_str(before);
        let unit = after.split([' ', ',', ';', ')', '.']).next().unwrap_or_default();
        let figure = before.ends_with(|c: char| c.is_ascii_digit());
        let units = ["µs", "us", "ms", "s", "%", "min", "MB", "GB", "kB", "ns"];
        out.push(if figure && units.contains(&unit) { '\u{a0}' } else { ' ' });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// What the template is given.
#[derive(Serialize)]
struct Page {
    style: String,
    script: &'static str,
    #[serde(flatten)]
    sheet: sheet::Sheet,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_keeps_its_unit() {
        assert_eq!(bound("within 800 µs; 11 times".to_owned()), "within 800\u{a0}µs; 11 times");
        assert_eq!(bound("p99 is 2 ms.".to_owned()), "p99 is 2\u{a0}ms.");
    }
}
