//! From text to a record and back.

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::error::Category;

use super::{Record, SCHEMA};

/// Why a text is not a record, in one line that says where and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// There is nothing in it.
    #[error("the record is empty; run the scenario again")]
    Empty,
    /// It ends too early.
    #[error(
        "the record ends too early, at line {line}; it was cut short, so run the scenario again"
    )]
    Truncated {
        /// The last line there is, from 1.
        line: usize,
    },
    /// It is not JSON.
    #[error("line {line}, column {column}: this is not JSON; give the report.json of a run")]
    NotJson {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// It is JSON, and not a record.
    #[error(
        "this is JSON, but no record (it has no number `schema`); give the report.json of a run"
    )]
    NotARecord,
    /// It was written by another version.
    #[error("the record has schema {found}, and this lab reads schema {SCHEMA}; {}", remedy(*.found))]
    Schema {
        /// Its schema.
        found: u64,
    },
    /// A field is missing or wrong.
    #[error("line {line}, column {column}: {reason}; the record was changed or is damaged")]
    Field {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What is wrong.
        reason: String,
    },
    /// A figure is infinite or not a number, so that no record can hold it.
    #[error("the record cannot be written: {reason}")]
    Unwritable {
        /// Which.
        reason: String,
    },
}

fn remedy(found: u64) -> &'static str {
    if found > SCHEMA { "use a newer lab" } else { "run the scenario again" }
}

/// All that is read before the schema is known.
#[derive(Deserialize)]
struct Header {
    #[serde(default)]
    schema: Option<serde_json::Value>,
}

impl Record {
    /// Reads the text of a `report.json`.
    ///
    /// Fields that this version does not know are passed over.
    ///
    /// # Errors
    /// [`RecordError`], always one line.
    pub fn read(text: &str) -> Result<Record, RecordError> {
        // Editors on Windows put a byte-order mark in front; it means nothing.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        if text.trim().is_empty() {
            return Err(RecordError::Empty);
        }
        // A pass over the whole text tells a damaged file from a strange one.
        serde_json::from_str::<IgnoredAny>(text).map_err(|error| {
            // A number that is cut in two is bad syntax at the very end.
            let last = text.lines().last().unwrap_or_default();
            let at_end = error.line() == text.lines().count() && error.column() >= last.len();
            let opened = text.trim_start().starts_with('{');
            if at_end && opened && error.classify() == Category::Syntax {
                return RecordError::Truncated { line: error.line() };
            }
            from_json(&error)
        })?;
        let header: Header = serde_json::from_str(text).map_err(|_| RecordError::NotARecord)?;
        match header.schema.as_ref().and_then(serde_json::Value::as_u64) {
            None => return Err(RecordError::NotARecord),
            Some(SCHEMA) => {}
            Some(found) => return Err(RecordError::Schema { found }),
        }
        serde_json::from_str(text).map_err(|error| from_json(&error))
    }

    /// The text of a `report.json`, with a last line break.
    ///
    /// # Errors
    /// [`RecordError::Unwritable`] when a figure is infinite or not a number:
    /// JSON has no such numbers, and a reader would refuse the file.
    pub fn write(&self) -> Result<String, RecordError> {
        let unwritable = |reason: String| RecordError::Unwritable { reason };
        let mut text =
            serde_json::to_string_pretty(self).map_err(|error| unwritable(error.to_string()))?;
        text.push('\n');
        // What is written can be read: a figure that is not a number became
        // `null` above, and only reading it back shows it.
        serde_json::from_str::<Record>(&text).map_err(|error| {
            let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
            unwritable(format!("{} is no finite number", line.trim().trim_end_matches(',')))
        })?;
        Ok(text)
    }
}

fn from_json(error: &serde_json::Error) -> RecordError {
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        Category::Eof => RecordError::Truncated { line },
        Category::Syntax | Category::Io => RecordError::NotJson { line, column },
        Category::Data => {
            // The library appends the place, which is said in front already.
            let text = error.to_string();
            let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
            let reason: String = crate::clean::line(reason, 200);
            RecordError::Field { line, column, reason }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Trial;

    fn written() -> String {
        let record = Record { trials: vec![Trial::default()], ..Record::default() };
        record.write().expect("finite")
    }

    #[test]
    fn what_is_written_is_read_back() {
        let record = Record { trials: vec![Trial::default()], ..Record::default() };
        assert_eq!(Record::read(&written()), Ok(record));
    }

    #[test]
    fn every_truncation_is_refused_in_one_line() {
        let text = written();
        for cut in (0..text.trim_end().len()).step_by(3) {
            let error = Record::read(&text[..cut]).expect_err("cut short");
            assert!(!error.to_string().contains('\n'));
            assert!(matches!(error, RecordError::Empty | RecordError::Truncated { .. }), "{cut}");
        }
    }

    #[test]
    fn strangers_are_told_apart() {
        let says = |text: &str| Record::read(text).expect_err("refused").to_string();
        assert_eq!(says("  \n"), "the record is empty; run the scenario again");
        assert_eq!(
            says("title = \"x\""),
            "line 1, column 2: this is not JSON; give the report.json of a run"
        );
        for text in ["[]", "{}", "3", "null", r#"{"schema": "one"}"#] {
            assert_eq!(Record::read(text), Err(RecordError::NotARecord), "{text}");
        }
        assert_eq!(
            says(r#"{"schema": 2}"#),
            "the record has schema 2, and this lab reads schema 1; use a newer lab"
        );
        assert_eq!(
            says("{\"schema\": 1}"),
            "line 1, column 13: missing field `lab`; the record was changed or is damaged"
        );
    }

    #[test]
    fn unknown_fields_are_passed_over_and_added_ones_may_be_missing() {
        let text = written().replacen('{', "{ \"tomorrow\": [1, {}],", 1);
        assert!(Record::read(&text).is_ok());
        let mut value: serde_json::Value = serde_json::from_str(&written()).expect("JSON");
        let trial = value["trials"][0].as_object_mut().expect("an object");
        for added in ["setup_s", "anatomy_samples", "waste", "sometimes", "emulated"] {
            assert!(trial.remove(added).is_some(), "{added}");
        }
        assert!(Record::read(&value.to_string()).is_ok());
    }

    #[test]
    fn a_figure_that_is_no_number_is_named() {
        let trial = Trial { sent_per_s: f64::NAN, ..Trial::default() };
        let record = Record { trials: vec![trial], ..Record::default() };
        let error = record.write().expect_err("no number");
        assert_eq!(
            error.to_string(),
            "the record cannot be written: \"sent_per_s\": null is no finite number"
        );
    }
}
