//! Typed access to the tree: keys of a table, and values with their units.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use broker_contract::units;

use super::error::{Origin, ScenarioError, did_you_mean, shown};
use super::keys::{Absent, TableKeys};
use super::model::Population;
use super::text::{Bandwidth, Bytes, Toml};
use super::tree::{self, Node, Place, Table, Value};
use super::{FORMAT_HELP, Known, Options, Result};

/// Longest name that an author may choose.
const NAME_MAX: usize = 64;
/// Most entries of a list of tables.
const LIST_MAX: usize = 1_000;
/// Smallest payload: the identity of a message.
const SIZE_MIN: u64 = broker_contract::IDENTITY_LEN as u64;
/// Largest payload.
const SIZE_MAX: u64 = 64 << 20;
/// Longest duration of anything.
pub(super) const DURATION_MAX: Duration = Duration::from_secs(30 * 86_400);

/// The tree, what it is checked against, and what was found so far.
#[derive(Debug)]
pub(super) struct Context<'a> {
    text: Arc<str>,
    sets: Vec<Arc<str>>,
    root: Node,
    pub(super) known: &'a [Known<'a>],
    pub(super) options: &'a Options<'a>,
    non_defaults: RefCell<Vec<String>>,
}

impl<'a> Context<'a> {
    pub(super) fn load(
        text: &str,
        known: &'a [Known<'a>],
        options: &'a Options<'a>,
    ) -> Result<Context<'a>> {
        let text: Arc<str> = Arc::from(text);
        let refuse = |problem: tree::Problem, origin, text: &Arc<str>| {
            let (help, span) = (Some(problem.help), Some(problem.span));
            Box::new(ScenarioError::new(problem.message, help, origin, text.clone(), span))
        };
        let mut root =
            tree::read(&text, Origin::File).map_err(|p| refuse(p, Origin::File, &text))?;
        let sets: Vec<Arc<str>> = options.sets.iter().map(|set| Arc::from(set.as_str())).collect();
        for (index, set) in sets.iter().enumerate() {
            tree::set(&mut root, index, set).map_err(|p| refuse(p, Origin::Set(index), set))?;
        }
        let non_defaults = RefCell::default();
        Ok(Context { text, sets, root, known, options, non_defaults })
    }

    /// The whole file as a table.
    pub(super) fn top(&self, keys: &'static TableKeys) -> Result<Reader<'_>> {
        Reader::open(Spot { cx: self, node: &self.root, path: String::new() }, keys)
    }

    /// The value at a dotted path, or the deepest that exists above it. For
    /// checks that look at the resolved scenario and still point at the text.
    pub(super) fn spot(&self, path: &str) -> Spot<'_> {
        let mut node = &self.root;
        let mut walked = String::new();
        for step in path.split('.') {
            let next = match &node.value {
                Value::Table(table) => table.get(step),
                Value::List(list) => step.parse().ok().and_then(|at: usize| list.get(at)),
                _ => None,
            };
            let Some(next) = next else { break };
            node = next;
            walked = join(&walked, step);
        }
        Spot { cx: self, node, path: walked }
    }

    pub(super) fn error(
        &self,
        place: &Place,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Box<ScenarioError> {
        let text = match place.origin {
            Origin::File => &self.text,
            Origin::Set(index) => self.sets.get(index).unwrap_or(&self.text),
        };
        Box::new(ScenarioError::new(
            message.into(),
            Some(help.into()),
            place.origin,
            text.clone(),
            place.span.clone(),
        ))
    }

    fn source(&self, place: &Place) -> &str {
        let text = match place.origin {
            Origin::File => &self.text,
            Origin::Set(index) => self.sets.get(index).unwrap_or(&self.text),
        };
        place.span.clone().and_then(|span| text.get(span)).unwrap_or("")
    }

    pub(super) fn note(&self, path: &str, value: &str) {
        self.non_defaults.borrow_mut().push(format!("{path} = {value}"));
    }

    /// Takes the differences from defaults noted so far.
    pub(super) fn take_notes(&self) -> Vec<String> {
        self.non_defaults.take()
    }

    /// Puts them back, in this order.
    pub(super) fn put_notes(&self, notes: Vec<String>) {
        self.non_defaults.borrow_mut().extend(notes);
    }
}

pub(super) fn join(path: &str, step: &str) -> String {
    if path.is_empty() { step.to_owned() } else { format!("{path}.{step}") }
}

/// A table with its keys checked.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    spot: Spot<'a>,
    table: &'a Table,
    keys: &'static TableKeys,
    kind: String,
}

impl<'a> Reader<'a> {
    /// Opens a table; where its keys come in kinds, the kind is read first.
    pub(super) fn open(spot: Spot<'a>, keys: &'static TableKeys) -> Result<Reader<'a>> {
        let table = spot.table()?;
        let kind = match keys.kind_key {
            None => String::new(),
            Some(name) => {
                let probe = Reader { spot: spot.clone(), table, keys, kind: String::new() };
                probe.kind_of(name)?
            }
        };
        let reader = Reader { spot, table, keys, kind };
        for entry in table.entries() {
            if keys.key(&entry.key, &reader.kind).is_none() {
                return Err(reader.unknown(&entry.key, &entry.key_place));
            }
        }
        Ok(reader)
    }

    /// Opens a table that takes more keys than the listed ones.
    pub(super) fn open_wider(spot: Spot<'a>, keys: &'static TableKeys) -> Result<Reader<'a>> {
        let table = spot.table()?;
        Ok(Reader { spot, table, keys, kind: String::new() })
    }

    fn kind_of(&self, name: &str) -> Result<String> {
        let Some(key) = self.keys.key(name, "") else { return Ok(String::new()) };
        match (self.get(name), key.absent) {
            (Some(spot), _) => {
                // The words that may stand here are those of the documentation.
                let takes = key.takes.replace(" or ", ", ");
                let words: Vec<&str> = takes.split(", ").collect();
                spot.word(&words)
            }
            (None, Absent::Default(toml)) => Ok(toml.trim_matches('"').to_owned()),
            (None, _) => Err(self.missing(name)),
        }
    }

    fn unknown(&self, key: &str, place: &Place) -> Box<ScenarioError> {
        let here = match (self.keys.kind_key, self.spot.path.is_empty()) {
            (Some(_), _) => format!("a {}", self.kind),
            (None, true) => "the top of a scenario".to_owned(),
            (None, false) => format!("`{}`", shown(&self.spot.path)),
        };
        let elsewhere = self.keys.keys.iter().filter(|known| known.name == key);
        let kinds: Vec<&str> = elsewhere.flat_map(|known| known.only).copied().collect();
        let help = if kinds.is_empty() {
            did_you_mean(key, "keys", self.keys.names(&self.kind))
        } else {
            let names: Vec<&str> = self.keys.names(&self.kind).collect();
            format!(
                "it belongs to: {}; a {} takes: {}",
                kinds.join(", "),
                self.kind,
                names.join(", ")
            )
        };
        self.spot.cx.error(place, format!("{here} has no key `{}`", shown(key)), help)
    }

    pub(super) fn missing(&self, key: &str) -> Box<ScenarioError> {
        let known = self.keys.key(key, &self.kind);
        let takes = known.map_or("", |key| key.takes);
        let doc = known.map_or("", |key| key.doc);
        let whose = if self.spot.path.is_empty() {
            "the scenario".to_owned()
        } else {
            format!("`{}`", shown(&self.spot.path))
        };
        let message = format!("{whose} needs the key `{key}`");
        self.spot.cx.error(&self.spot.node.place, message, format!("`{key}` takes {takes}: {doc}"))
    }

    /// The kind of the table, where there are kinds.
    pub(super) fn kind(&self) -> &str {
        &self.kind
    }

    pub(super) fn spot(&self) -> &Spot<'a> {
        &self.spot
    }

    pub(super) fn table(&self) -> &'a Table {
        self.table
    }

    /// The value of `key`, if it is written.
    pub(super) fn get(&self, key: &str) -> Option<Spot<'a>> {
        let node = self.table.get(key)?;
        Some(Spot { cx: self.spot.cx, node, path: join(&self.spot.path, key) })
    }

    /// The value of a key that cannot be left out.
    pub(super) fn need<T>(&self, key: &str, read: impl Fn(&Spot<'_>) -> Result<T>) -> Result<T> {
        read(&self.get(key).ok_or_else(|| self.missing(key))?)
    }

    /// The value of a key that means nothing when left out; noted as a
    /// difference from that when it is written.
    pub(super) fn maybe<T: Toml>(
        &self,
        key: &str,
        read: impl Fn(&Spot<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        let Some(spot) = self.get(key) else { return Ok(None) };
        let value = read(&spot)?;
        self.spot.cx.note(&spot.path, &value.toml());
        Ok(Some(value))
    }

    /// The value of a key with a documented default; noted when it differs.
    pub(super) fn or_default<T: Toml + PartialEq>(
        &self,
        key: &str,
        read: impl Fn(&Spot<'_>) -> Result<T>,
    ) -> Result<T> {
        let toml = match self.keys.key(key, &self.kind).map(|key| key.absent) {
            Some(Absent::Default(toml)) => toml,
            Some(_) | None => return self.need(key, read),
        };
        let node = tree::of_default(toml, &self.spot.node.place);
        let path = join(&self.spot.path, key);
        let default = read(&Spot { cx: self.spot.cx, node: &node, path })?;
        let Some(spot) = self.get(key) else { return Ok(default) };
        let value = read(&spot)?;
        if value != default {
            self.spot.cx.note(&spot.path, &value.toml());
        }
        Ok(value)
    }

    /// The tables of a list of tables; empty when it is not written.
    pub(super) fn list(&self, key: &str) -> Result<Vec<Spot<'a>>> {
        let Some(spot) = self.get(key) else { return Ok(Vec::new()) };
        let Value::List(list) = &spot.node.value else {
            return Err(spot.wrong(
                &format!("a list of tables, not {}", spot.node.value.kind()),
                &format!("begin each of them with [[{key}]]"),
            ));
        };
        Ok(list
            .iter()
            .enumerate()
            .map(|(at, node)| Spot { cx: spot.cx, node, path: format!("{}.{at}", spot.path) })
            .collect())
    }

    /// [`Reader::list`], of at most a thousand.
    pub(super) fn limited_list(&self, key: &str) -> Result<Vec<Spot<'a>>> {
        let spots = self.list(key)?;
        match spots.get(LIST_MAX) {
            Some(spot) => {
                Err(spot
                    .error(format!("more than {LIST_MAX} {key}"), "take out what is not needed"))
            }
            None => Ok(spots),
        }
    }

    /// The entries of a table whose keys are names that the author chose, in
    /// the order of the file; empty when it is not written.
    pub(super) fn named(&self, key: &str) -> Result<Vec<(&'a str, Spot<'a>)>> {
        let Some(spot) = self.get(key) else { return Ok(Vec::new()) };
        let mut out = Vec::new();
        for entry in spot.table()?.entries() {
            let fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            if entry.key.is_empty() || entry.key.len() > NAME_MAX || !entry.key.chars().all(fine) {
                return Err(spot.cx.error(
                    &entry.key_place,
                    format!("`{}` cannot be a name", shown(&entry.key)),
                    format!("a name has 1 to {NAME_MAX} letters, digits, `-` and `_`"),
                ));
            }
            let path = join(&spot.path, &entry.key);
            out.push((entry.key.as_str(), Spot { cx: spot.cx, node: &entry.node, path }));
        }
        Ok(out)
    }
}

/// A value, where it was written, and its dotted path.
#[derive(Clone, Debug)]
pub(super) struct Spot<'a> {
    pub(super) cx: &'a Context<'a>,
    pub(super) node: &'a Node,
    pub(super) path: String,
}

impl<'a> Spot<'a> {
    /// The last part of the path.
    pub(super) fn key(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or("")
    }

    pub(super) fn error(
        &self,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Box<ScenarioError> {
        self.cx.error(&self.node.place, message, help)
    }

    /// An error about a part of a text: the range is within its value, which is
    /// found in the source where the text is written without escapes.
    pub(super) fn error_within(
        &self,
        range: std::ops::Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Box<ScenarioError> {
        let mut place = self.node.place.clone();
        if let (Value::Text(text), Some(span)) = (&self.node.value, &mut place.span) {
            let source = self.cx.source(&self.node.place);
            let quote = source.len().saturating_sub(text.len()) / 2;
            if source.get(quote..quote + text.len()) == Some(text.as_str()) && range.end > 0 {
                let start = span.start + quote;
                *span = start + range.start..start + range.end;
            }
        }
        self.cx.error(&place, message, help)
    }

    /// `count` takes ..., for values of the wrong type or out of range.
    pub(super) fn wrong(&self, takes: &str, help: &str) -> Box<ScenarioError> {
        self.error(format!("`{}` takes {takes}", shown(self.key())), help)
    }

    fn not(&self, takes: &str, help: &str) -> Box<ScenarioError> {
        self.wrong(&format!("{takes}, not {}", self.node.value.kind()), help)
    }

    pub(super) fn table(&self) -> Result<&'a Table> {
        match &self.node.value {
            Value::Table(table) => Ok(table),
            _ => Err(self.not("a table", "write it as { key = value } or under a [header]")),
        }
    }

    pub(super) fn text(&self) -> Result<String> {
        match &self.node.value {
            Value::Text(text) => Ok(text.clone()),
            _ => Err(self.not("a text", "put it in double quotes")),
        }
    }

    /// One of `words`.
    pub(super) fn word(&self, words: &[&str]) -> Result<String> {
        let Value::Text(text) = &self.node.value else {
            return Err(self.not("a word in quotes", &format!("one of: {}", words.join(", "))));
        };
        if words.contains(&text.as_str()) {
            return Ok(text.clone());
        }
        Err(self.error(
            format!("`{}` cannot be `{}`", shown(self.key()), shown(text)),
            did_you_mean(text, "it", words.iter().copied()),
        ))
    }

    pub(super) fn flag(&self) -> Result<bool> {
        match self.node.value {
            Value::Flag(flag) => Ok(flag),
            _ => Err(self.not("true or false", "write it without quotes")),
        }
    }

    /// A whole number from `min` to `max`.
    pub(super) fn whole(&self, min: u64, max: u64) -> Result<u64> {
        let Value::Whole(whole) = self.node.value else {
            return Err(self.not("a whole number", "write digits, without quotes or a point"));
        };
        match u64::try_from(whole) {
            Ok(value) if (min..=max).contains(&value) => Ok(value),
            Ok(value) if value > max => {
                Err(self.wrong(&format!("at most {max}, not {whole}"), "choose a smaller number"))
            }
            _ => Err(self.wrong(
                &format!("a whole number of at least {min}, not {whole}"),
                if whole < 0 { "it cannot be negative" } else { "choose a larger number" },
            )),
        }
    }

    /// A whole number from `min` to `max`.
    pub(super) fn count(&self, min: u32, max: u32) -> Result<u32> {
        let whole = self.whole(u64::from(min), u64::from(max))?;
        // `whole` is at most `max`, so nothing is cut.
        Ok(whole as u32)
    }

    /// A finite number from `min` to `max`.
    pub(super) fn number(&self, min: f64, max: f64) -> Result<f64> {
        let number = match self.node.value {
            Value::Number(number) => number,
            Value::Whole(whole) => whole as f64,
            _ => return Err(self.not("a number", "write it without quotes")),
        };
        // Not a number compares with nothing, so it fails here too.
        if number >= min && number <= max {
            // A negative zero is a zero.
            return Ok(number + 0.0);
        }
        let (range, help) = if number.is_nan() || number.is_infinite() {
            (format!("a finite number, not {number}"), "write it in digits")
        } else if number > max {
            (format!("at most {max}, not {number}"), "choose a smaller number")
        } else if number < 0.0 {
            (format!("at least {min}, not {number}"), "it cannot be negative")
        } else {
            (format!("at least {min}, not {number}"), "choose a larger number")
        };
        Err(self.wrong(&range, help))
    }

    /// A finite number above zero.
    pub(super) fn positive(&self, max: f64) -> Result<f64> {
        let number = self.number(0.0, max)?;
        if number > 0.0 {
            return Ok(number);
        }
        Err(self.wrong("a number above 0", "leave the table out if nothing is meant to happen"))
    }

    /// A share, 0 to 1.
    pub(super) fn share(&self) -> Result<f64> {
        match self.number(0.0, 1.0) {
            Err(_) if matches!(self.node.value, Value::Whole(_) | Value::Number(_)) => {
                Err(self.wrong("a share from 0 to 1", "write one per cent as 0.01"))
            }
            other => other,
        }
    }

    pub(super) fn duration(&self) -> Result<Duration> {
        let help = "write a number and a unit: \"250us\", \"5ms\", \"1.5s\", \"2m\"";
        let text = match &self.node.value {
            Value::Text(text) => text,
            Value::Whole(number) => {
                return Err(self.wrong(
                    "a duration with its unit",
                    &format!("write \"{number}ms\" or \"{number}s\""),
                ));
            }
            _ => return Err(self.not("a duration in quotes", help)),
        };
        if text.trim_start().starts_with('-') {
            return Err(self.wrong("a duration, which cannot be negative", help));
        }
        let duration = units::parse_duration(text)
            .map_err(|_| self.wrong(&format!("a duration, not `{}`", shown(text)), help))?;
        if duration > DURATION_MAX {
            return Err(self.wrong("at most 30 days", help));
        }
        Ok(duration)
    }

    /// A duration that is not zero.
    pub(super) fn some_duration(&self) -> Result<Duration> {
        let duration = self.duration()?;
        if duration.is_zero() {
            return Err(self.wrong("a duration above zero", "write for example \"10ms\""));
        }
        Ok(duration)
    }

    /// The size of a payload.
    pub(super) fn size(&self) -> Result<Bytes> {
        let help = "write a number and a unit: \"128B\", \"1KiB\", \"64KiB\"";
        let text = match &self.node.value {
            Value::Text(text) => text,
            Value::Whole(number) => {
                let help = format!("write \"{number}B\"");
                return Err(self.wrong("bytes with their unit", &help));
            }
            _ => return Err(self.not("bytes in quotes", help)),
        };
        let bytes = units::parse_bytes(text)
            .map_err(|_| self.wrong(&format!("bytes, not `{}`", shown(text)), help))?;
        match u32::try_from(bytes) {
            Ok(size) if (SIZE_MIN..=SIZE_MAX).contains(&bytes) => Ok(Bytes(size)),
            _ if bytes < SIZE_MIN => Err(self.error(
                format!("a payload of {bytes} bytes has no room for a message's identity"),
                "the identity takes 32 bytes, so write at least \"32B\"",
            )),
            _ => Err(self.wrong("at most 64MiB", "brokers refuse payloads of this size")),
        }
    }

    pub(super) fn bandwidth(&self) -> Result<Bandwidth> {
        let help = "write for example \"100Mbit/s\", or \"unlimited\"";
        let Value::Text(text) = &self.node.value else {
            return Err(self.not("bits per second in quotes", help));
        };
        if text == "unlimited" {
            return Ok(Bandwidth(None));
        }
        match units::parse_bandwidth(text) {
            Ok(bits) if bits > 0 => Ok(Bandwidth(Some(bits))),
            _ => Err(self.wrong(&format!("bits per second, not `{}`", shown(text)), help)),
        }
    }

    /// A text of at most `max` characters without control characters, except
    /// for line breaks where `lines` allows them.
    pub(super) fn prose(&self, max: usize, lines: bool) -> Result<String> {
        let text = self.text()?;
        if text.chars().count() > max {
            return Err(self.wrong(&format!("at most {max} characters"), "say it more briefly"));
        }
        if text.contains(|c: char| c.is_control() && !(lines && matches!(c, '\n' | '\t'))) {
            let help = if lines { FORMAT_HELP } else { "write it on one line" };
            return Err(self.wrong("a text without control characters", help));
        }
        Ok(text)
    }

    /// A short name, such as a group's.
    pub(super) fn name(&self) -> Result<String> {
        let text = self.text()?;
        let fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if text.is_empty() || text.len() > NAME_MAX || !text.chars().all(fine) {
            return Err(self.wrong(
                &format!("a name of 1 to {NAME_MAX} letters, digits, `-` and `_`"),
                "shorten it, or replace what is something else",
            ));
        }
        Ok(text)
    }

    /// The index of the population that this text names.
    pub(super) fn population(&self, populations: &[Population]) -> Result<usize> {
        let text = self.text()?;
        populations.iter().position(|population| population.name == text).ok_or_else(|| {
            let names = populations.iter().map(|population| population.name.as_str());
            self.error(
                format!("there is no population `{}`", shown(&text)),
                did_you_mean(&text, "populations", names),
            )
        })
    }
}
