//! The text as a tree in which every key and value knows where it was written.
//!
//! `--set` edits the tree, so a value keeps its place whether it came from the
//! file or from the command line.

use std::collections::BTreeMap;
use std::ops::Range;

use toml_edit::{Document, Item, Key, TableLike};

use super::error::{Origin, did_you_mean, shown};

/// Where something was written.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) origin: Origin,
    /// `None` for the root, and for what was not written anywhere.
    pub(super) span: Option<Range<usize>>,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) place: Place,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Text(String),
    Whole(i64),
    Number(f64),
    Flag(bool),
    Date,
    List(Vec<Node>),
    Table(Table),
}

/// Entries in the order in which they were written.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    entries: Vec<Entry>,
    index: BTreeMap<String, usize>,
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_place: Place,
    pub(super) node: Node,
}

/// What is wrong with a text or an assignment.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) message: String,
    pub(super) help: String,
    pub(super) span: Range<usize>,
}

impl Value {
    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Value::Text(_) => "a text",
            Value::Whole(_) => "a whole number",
            Value::Number(_) => "a number",
            Value::Flag(_) => "true or false",
            Value::Date => "a date or time of day",
            Value::List(_) => "a list",
            Value::Table(_) => "a table",
        }
    }
}

impl Table {
    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.index.get(key).map(|at| &self.entries[*at])
    }

    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.node)
    }

    fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.index.get(key).map(|at| &mut self.entries[*at].node)
    }

    /// Adds an entry, or replaces the one of that name.
    fn put(&mut self, entry: Entry) {
        match self.index.get(&entry.key) {
            Some(at) => self.entries[*at] = entry,
            None => {
                self.index.insert(entry.key.clone(), self.entries.len());
                self.entries.push(entry);
            }
        }
    }
}

/// Reads `text` as TOML.
pub(super) fn read(text: &str, origin: Origin) -> Result<Node, Problem> {
    let document = Document::parse(text).map_err(|error| {
        let message = error.message().lines().next().unwrap_or("");
        let help = if message.starts_with("duplicate key") {
            "keep one of the two; entries of a list begin with [[double brackets]]"
        } else if message.contains("must be quoted") {
            "put texts, durations and bytes in double quotes"
        } else {
            "`lab new FILE` writes a scenario to start from; FORMAT.md explains every key"
        };
        Problem {
            message: format!("this is not TOML: {}", shown(message)),
            help: help.to_owned(),
            span: error.span().unwrap_or(0..0),
        }
    })?;
    let place = Place { origin, span: None };
    Ok(Node { value: table(document.as_table(), origin), place })
}

fn table(table: &dyn TableLike, origin: Origin) -> Value {
    let mut out = Table::default();
    for (name, item) in table.iter() {
        let span = table.get_key_value(name).and_then(|(key, _)| Key::span(key));
        let key_place = Place { origin, span };
        if let Some(node) = node(item, &key_place, origin) {
            out.put(Entry { key: name.to_owned(), key_place, node });
        }
    }
    Value::Table(out)
}

fn node(item: &Item, key: &Place, origin: Origin) -> Option<Node> {
    let span = item.span().or_else(|| key.span.clone());
    let value = match item {
        Item::None => return None,
        Item::Table(inner) => table(inner, origin),
        Item::ArrayOfTables(tables) => Value::List(
            tables
                .iter()
                .map(|inner| Node {
                    value: table(inner, origin),
                    place: Place { origin, span: inner.span() },
                })
                .collect(),
        ),
        Item::Value(value) => return Some(value_node(value, span, origin)),
    };
    Some(Node { value, place: Place { origin, span } })
}

fn value_node(value: &toml_edit::Value, span: Option<Range<usize>>, origin: Origin) -> Node {
    use toml_edit::Value as Toml;
    let value = match value {
        Toml::String(text) => Value::Text(text.value().clone()),
        Toml::Integer(whole) => Value::Whole(*whole.value()),
        Toml::Float(number) => Value::Number(*number.value()),
        Toml::Boolean(flag) => Value::Flag(*flag.value()),
        Toml::Datetime(_) => Value::Date,
        Toml::Array(list) => {
            Value::List(list.iter().map(|inner| value_node(inner, inner.span(), origin)).collect())
        }
        Toml::InlineTable(inner) => table(inner, origin),
    };
    Node { value, place: Place { origin, span } }
}

/// A value that is written in a table of ours, such as a default.
pub(super) fn of_default(toml: &str, place: &Place) -> Node {
    let mut node = read(&format!("v = {toml}"), place.origin)
        .ok()
        .and_then(|root| match root.value {
            Value::Table(table) => table.entries.into_iter().next().map(|entry| entry.node),
            _ => None,
        })
        .expect("defaults are TOML: a test reads every one of them");
    node.place = place.clone();
    node
}

/// Carries out `argument`, a `path.to.key=value`.
pub(super) fn set(root: &mut Node, index: usize, argument: &str) -> Result<(), Problem> {
    let origin = Origin::Set(index);
    let all = 0..argument.len();
    let Some((path, value)) = argument.split_once('=') else {
        return Err(Problem {
            message: "this assigns nothing".to_owned(),
            help: "write path.to.key=value, such as populations.devices.count=1000".to_owned(),
            span: all,
        });
    };
    let value = assigned(value, path.len() + 1, origin)?;
    let mut steps: Vec<(&str, Range<usize>)> = Vec::new();
    let mut at = 0;
    for step in path.split('.') {
        let name = step.trim();
        if name.is_empty() {
            return Err(Problem {
                message: "the path has an empty part".to_owned(),
                help: "separate the parts with single dots, as in phases.1.duration".to_owned(),
                span: 0..path.len(),
            });
        }
        let start = at + step.len() - step.trim_start().len();
        steps.push((name, start..start + name.len()));
        at += step.len() + 1;
    }
    let Some(((last, last_span), parents)) = steps.split_last() else {
        return Ok(());
    };
    let mut node = root;
    let mut above = "";
    for (name, span) in parents {
        node = step_into(node, above, name, span, origin)?;
        above = name;
    }
    put(node, above, last, last_span, value, origin)
}

fn put(
    node: &mut Node,
    above: &str,
    last: &str,
    span: &Range<usize>,
    value: Node,
    origin: Origin,
) -> Result<(), Problem> {
    match &mut node.value {
        Value::Table(table) => {
            let key_place = Place { origin, span: Some(span.clone()) };
            table.put(Entry { key: last.to_owned(), key_place, node: value });
            Ok(())
        }
        Value::List(list) => {
            let length = list.len();
            match position(last, length + 1) {
                Some(at) if at < length => list[at] = value,
                Some(_) => list.push(value),
                None => return Err(no_index(above, last, length, span)),
            }
            Ok(())
        }
        other => Err(no_table(above, other.kind(), span)),
    }
}

fn step_into<'a>(
    node: &'a mut Node,
    above: &str,
    name: &str,
    span: &Range<usize>,
    origin: Origin,
) -> Result<&'a mut Node, Problem> {
    let kind = node.value.kind();
    match &mut node.value {
        Value::Table(table) => {
            if table.get(name).is_none() {
                // A wrong name would silently make a second population; only
                // tables whose names the format itself gives come into being.
                let named = matches!(above, "populations" | "streams" | "sites")
                    || (above == "links" && name != "local");
                if named {
                    let names = table.entries.iter().map(|entry| entry.key.as_str());
                    return Err(Problem {
                        message: format!("there is no `{}` in `{above}`", shown(name)),
                        help: did_you_mean(name, above, names),
                        span: span.clone(),
                    });
                }
                let place = Place { origin, span: Some(span.clone()) };
                let node = Node { value: Value::Table(Table::default()), place: place.clone() };
                table.put(Entry { key: name.to_owned(), key_place: place, node });
            }
            table.get_mut(name).ok_or_else(|| no_table(above, kind, span))
        }
        Value::List(list) => {
            let length = list.len();
            match position(name, length) {
                Some(at) => Ok(&mut list[at]),
                None => Err(no_index(above, name, length, span)),
            }
        }
        other => Err(no_table(above, other.kind(), span)),
    }
}

fn position(text: &str, length: usize) -> Option<usize> {
    text.parse().ok().filter(|at| *at < length)
}

fn no_index(above: &str, name: &str, length: usize, span: &Range<usize>) -> Problem {
    let help = match length {
        0 => format!("`{above}` is empty"),
        _ => format!("`{above}` has {length}, counted from 0 to {}", length - 1),
    };
    let message = format!("`{above}` is a list and has no `{}`", shown(name));
    Problem { message, help, span: span.clone() }
}

fn no_table(above: &str, kind: &str, span: &Range<usize>) -> Problem {
    Problem {
        message: format!("`{}` is {kind}, so nothing is inside it", shown(above)),
        help: format!("set `{}` as a whole", shown(above)),
        span: span.clone(),
    }
}

/// Reads the right side of an assignment, whose first byte is at `offset`.
fn assigned(value: &str, offset: usize, origin: Origin) -> Result<Node, Problem> {
    const PREFIX: &str = "v = ";
    let span = offset..offset + value.len();
    let moved = |span: Range<usize>| {
        let shift = |at: usize| (at + offset).saturating_sub(PREFIX.len()).max(offset);
        shift(span.start)..shift(span.end)
    };
    match read(&format!("{PREFIX}{value}"), origin) {
        Ok(Node { value: Value::Table(table), .. }) if table.entries.len() == 1 => {
            let entry = table.entries.into_iter().next();
            let mut node = entry.map(|entry| entry.node).ok_or_else(|| Problem {
                message: "this assigns nothing".to_owned(),
                help: "write a TOML value after the equals sign".to_owned(),
                span,
            })?;
            shift_places(&mut node, &moved);
            Ok(node)
        }
        // `5s` and `telemetry.*.reading` have only one meaning, so the quotes,
        // which a shell would take away, may be left out.
        _ if is_bare(value.trim()) => Ok(Node {
            value: Value::Text(value.trim().to_owned()),
            place: Place { origin, span: Some(span) },
        }),
        Ok(_) => Err(Problem {
            message: "one argument assigns one value".to_owned(),
            help: "give each value a --set of its own".to_owned(),
            span,
        }),
        Err(problem) => Err(Problem {
            message: problem.message,
            help: "write a TOML value: 5, 0.5, true, \"text\", [1, 2] or { key = 1 }".to_owned(),
            span: moved(problem.span),
        }),
    }
}

fn is_bare(value: &str) -> bool {
    !value.is_empty()
        && value.chars().all(|c| c.is_alphanumeric() || "._/*>{}-+%:".contains(c))
        && !value.starts_with('{')
}

fn shift_places(node: &mut Node, moved: &impl Fn(Range<usize>) -> Range<usize>) {
    node.place.span = node.place.span.take().map(moved);
    match &mut node.value {
        Value::List(list) => list.iter_mut().for_each(|inner| shift_places(inner, moved)),
        Value::Table(table) => {
            for entry in &mut table.entries {
                entry.key_place.span = entry.key_place.span.take().map(moved);
                shift_places(&mut entry.node, moved);
            }
        }
        _ => {}
    }
}
