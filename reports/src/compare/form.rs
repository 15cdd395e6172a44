//! The forms that a comparison can take.

use std::str::FromStr;

use super::{Comparison, html, junit, markdown, text};
use crate::text::Style;

/// A form of a [`Comparison`].
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Form {
    /// For a terminal.
    Text,
    /// For a pull request.
    Markdown,
    /// A page for a browser, complete in itself.
    Html,
    /// JUnit XML: a test case for each figure.
    Junit,
    /// For a program.
    Json,
}

/// The name is of no form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no format `{0}`; there is text, md, html, junit, json")]
pub struct UnknownForm(String);

impl FromStr for Form {
    type Err = UnknownForm;

    fn from_str(name: &str) -> Result<Form, UnknownForm> {
        match name {
            "text" => Ok(Form::Text),
            "md" => Ok(Form::Markdown),
            "html" => Ok(Form::Html),
            "junit" => Ok(Form::Junit),
            "json" => Ok(Form::Json),
            _ => Err(UnknownForm(crate::clean::line(name, 40))),
        }
    }
}

impl Comparison {
    /// The comparison in `form`, with a last line break; `style` is for [`Form::Text`].
    ///
    /// # Errors
    /// The reason why there is no JSON of it, which only a figure that is no
    /// number could be; the comparison holds none.
    pub fn render(&self, form: Form, style: Style) -> Result<String, serde_json::Error> {
        Ok(match form {
            Form::Text => text::render(self, style),
            Form::Markdown => markdown::render(self),
            Form::Html => html::render(self),
            Form::Junit => junit::render(self),
            Form::Json => {
                let mut text = serde_json::to_string_pretty(self)?;
                text.push('\n');
                text
            }
        })
    }
}
