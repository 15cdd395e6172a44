//! Settings as data: names, defaults and what they mean.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use crate::units;

/// What kind of value a setting takes.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum SettingKind {
    /// Bytes, such as `64MiB`.
    Bytes,
    /// A duration, such as `10s`.
    Duration,
    /// A whole number.
    Count,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A duration, or one of these words.
    DurationOr(&'static [&'static str]),
}

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingValue {
    /// Bytes.
    Bytes(u64),
    /// A duration.
    Duration(Duration),
    /// A whole number.
    Count(u64),
    /// Yes or no.
    Flag(bool),
    /// A word.
    Choice(String),
}

impl fmt::Display for SettingValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SettingValue::Bytes(bytes) => f.write_str(&units::format_bytes(*bytes)),
            SettingValue::Duration(duration) => f.write_str(&units::format_duration(*duration)),
            SettingValue::Count(count) => write!(f, "{count}"),
            SettingValue::Flag(flag) => write!(f, "{flag}"),
            SettingValue::Choice(choice) => f.write_str(choice),
        }
    }
}

/// One setting of a contender.
#[derive(Copy, Clone, Debug)]
pub struct SettingSpec {
    /// The original's name for it, in snake case.
    pub name: &'static str,
    /// What it takes.
    pub kind: SettingKind,
    /// The original's default, as text.
    pub default: &'static str,
    /// What it does, in one sentence.
    pub doc: &'static str,
}

/// Settings under one name.
#[derive(Copy, Clone, Debug)]
pub struct Preset {
    /// The name after the colon, as in `kafka:linger=0`.
    pub name: &'static str,
    /// What it is for.
    pub doc: &'static str,
    /// The settings it changes.
    pub values: &'static [(&'static str, &'static str)],
}

/// A setting with its value and whether somebody changed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its value.
    pub value: SettingValue,
    /// Whether it is the original's default.
    pub is_default: bool,
}

/// Why settings are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    /// No such setting.
    #[error("there is no setting `{name}`; there is {known}")]
    Unknown {
        /// The name given.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The value is not of the setting's kind.
    #[error("`{name}` takes {expected}, not `{value}`")]
    Value {
        /// The setting.
        name: String,
        /// The value given.
        value: String,
        /// What it takes.
        expected: String,
    },
    /// Values that contradict each other.
    #[error("{0}")]
    Contradiction(String),
}

impl SettingError {
    /// The setting that is at fault, where one is.
    pub fn setting(&self) -> Option<&str> {
        match self {
            SettingError::Unknown { name, .. } | SettingError::Value { name, .. } => Some(name),
            SettingError::Contradiction(_) => None,
        }
    }
}

/// All settings of a contender, resolved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    values: BTreeMap<&'static str, Setting>,
}

impl Settings {
    /// The defaults of `specs` with `changes` (name, value as text) on top; a
    /// later change wins.
    ///
    /// # Errors
    /// [`SettingError`] for an unknown name or a value of the wrong kind.
    pub fn resolve<'a>(
        specs: &[SettingSpec],
        changes: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Settings, SettingError> {
        let mut values = BTreeMap::new();
        for spec in specs {
            let value = spec.parse(spec.default)?;
            values.insert(spec.name, Setting { value, is_default: true });
        }
        for (name, text) in changes {
            let spec = specs.iter().find(|spec| spec.name == name).ok_or_else(|| {
                let known: Vec<_> = specs.iter().map(|spec| spec.name).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                SettingError::Unknown { name: name.to_owned(), known }
            })?;
            let value = spec.parse(text)?;
            let is_default = value == spec.parse(spec.default)?;
            values.insert(spec.name, Setting { value, is_default });
        }
        Ok(Settings { values })
    }

    /// All settings by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Setting)> {
        self.values.iter().map(|(name, setting)| (*name, setting))
    }

    /// The bytes of setting `name`.
    ///
    /// # Panics
    /// If there is no such setting of that kind: the contender that asks wrote
    /// the table that [`Settings::resolve`] checked.
    pub fn bytes(&self, name: &str) -> u64 {
        match self.value(name) {
            SettingValue::Bytes(bytes) => *bytes,
            other => wrong_kind(name, other),
        }
    }

    /// The duration of setting `name`; panics as [`Settings::bytes`] does.
    pub fn duration(&self, name: &str) -> Duration {
        match self.value(name) {
            SettingValue::Duration(duration) => *duration,
            other => wrong_kind(name, other),
        }
    }

    /// The number of setting `name`; panics as [`Settings::bytes`] does.
    pub fn count(&self, name: &str) -> u64 {
        match self.value(name) {
            SettingValue::Count(count) => *count,
            other => wrong_kind(name, other),
        }
    }

    /// The flag of setting `name`; panics as [`Settings::bytes`] does.
    pub fn flag(&self, name: &str) -> bool {
        match self.value(name) {
            SettingValue::Flag(flag) => *flag,
            other => wrong_kind(name, other),
        }
    }

    /// The word of setting `name`; panics as [`Settings::bytes`] does.
    pub fn choice(&self, name: &str) -> &str {
        match self.value(name) {
            SettingValue::Choice(choice) => choice,
            other => wrong_kind(name, other),
        }
    }

    /// The duration of setting `name`, or the word that stands in its place as an
    /// error; panics as [`Settings::bytes`] does.
    pub fn duration_or_word(&self, name: &str) -> Result<Duration, &str> {
        match self.value(name) {
            SettingValue::Duration(duration) => Ok(*duration),
            SettingValue::Choice(word) => Err(word),
            other => wrong_kind(name, other),
        }
    }

    fn value(&self, name: &str) -> &SettingValue {
        &self.values.get(name).unwrap_or_else(|| panic!("setting `{name}` is in the table")).value
    }
}

fn wrong_kind(name: &str, value: &SettingValue) -> ! {
    panic!("setting `{name}` is of another kind: {value:?}")
}

impl SettingSpec {
    /// Reads `text` as a value of this setting.
    ///
    /// # Errors
    /// [`SettingError::Value`] that says what it takes.
    pub fn parse(&self, text: &str) -> Result<SettingValue, SettingError> {
        let wrong = |expected: String| SettingError::Value {
            name: self.name.to_owned(),
            value: text.to_owned(),
            expected,
        };
        match self.kind {
            SettingKind::Bytes => units::parse_bytes(text)
                .map(SettingValue::Bytes)
                .map_err(|_| wrong("bytes such as \"64MiB\"".to_owned())),
            SettingKind::Duration => units::parse_duration(text)
                .map(SettingValue::Duration)
                .map_err(|_| wrong("a duration such as \"10s\"".to_owned())),
            SettingKind::Count => text
                .replace('_', "")
                .parse()
                .map(SettingValue::Count)
                .map_err(|_| wrong("a whole number".to_owned())),
            SettingKind::Flag => {
                text.parse().map(SettingValue::Flag).map_err(|_| wrong("true or false".to_owned()))
            }
            SettingKind::Choice(words) if words.contains(&text) => {
                Ok(SettingValue::Choice(text.to_owned()))
            }
            SettingKind::Choice(words) => Err(wrong(format!("one of {}", words.join(", ")))),
            SettingKind::DurationOr(words) if words.contains(&text) => {
                Ok(SettingValue::Choice(text.to_owned()))
            }
            SettingKind::DurationOr(words) => units::parse_duration(text)
                .map(SettingValue::Duration)
                .map_err(|_| wrong(format!("a duration such as \"10s\", or {}", words.join(", ")))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_may_have_words_beside_it() {
        const SPECS: &[SettingSpec] = &[SettingSpec {
            name: "sync",
            kind: SettingKind::DurationOr(&["always"]),
            default: "2m",
            doc: "",
        }];
        let read = |text| Settings::resolve(SPECS, [("sync", text)]);
        let duration = read("10s").expect("a duration");
        assert_eq!(duration.duration_or_word("sync"), Ok(Duration::from_secs(10)));
        let word = read("always").expect("a word");
        assert_eq!(word.duration_or_word("sync"), Err("always"));
        assert!(read("2m").expect("the default").iter().all(|(_, setting)| setting.is_default));
        let wrong = read("never").expect_err("neither").to_string();
        assert_eq!(wrong, "`sync` takes a duration such as \"10s\", or always, not `never`");
    }
}
