//! Settings of single contenders.

use std::collections::BTreeMap;

use super::error::{did_you_mean, shown};
use super::keys::CONTENDER;
use super::model::{ContenderOverrides, Log, Population};
use super::populations::connections;
use super::read::{Reader, Spot, join};
use super::text::Toml;
use super::tree::Value;
use super::{Known, Result};

/// Reads `[contenders]`.
pub(super) fn contenders(
    top: &Reader<'_>,
    populations: &[Population],
    logs: &[Log],
) -> Result<BTreeMap<String, ContenderOverrides>> {
    let Some(all) = top.get("contenders") else { return Ok(BTreeMap::new()) };
    let cx = all.cx;
    for entry in all.table()?.entries() {
        let known = cx.known.iter().any(|known| known.name == entry.key);
        if !known {
            let names = cx.known.iter().map(|known| known.name);
            return Err(cx.error(
                &entry.key_place,
                format!("there is no contender `{}`", shown(&entry.key)),
                did_you_mean(&entry.key, "contenders", names),
            ));
        }
    }
    let spots: BTreeMap<&str, Spot<'_>> = top.named("contenders")?.into_iter().collect();
    let mut out = BTreeMap::new();
    for (name, spot) in spots {
        let known = cx.known.iter().find(|known| known.name == name);
        out.insert(name.to_owned(), contender(spot, known, populations, logs)?);
    }
    Ok(out)
}

fn contender(
    spot: Spot<'_>,
    known: Option<&Known<'_>>,
    populations: &[Population],
    logs: &[Log],
) -> Result<ContenderOverrides> {
    let cx = spot.cx;
    let reader = Reader::open_wider(spot, &CONTENDER)?;
    let mut overrides = ContenderOverrides::default();
    if let Some(spot) = reader.get("preset") {
        overrides.presets = presets(&spot, known)?;
        if known.is_some() && !overrides.presets.is_empty() {
            cx.note(&spot.path, &list(&overrides.presets));
        }
    }
    if let Some(spot) = reader.get("connections") {
        for entry in spot.table()?.entries() {
            let Some(at) = populations.iter().position(|other| other.name == entry.key) else {
                let names = populations.iter().map(|population| population.name.as_str());
                return Err(cx.error(
                    &entry.key_place,
                    format!("there is no population `{}`", shown(&entry.key)),
                    did_you_mean(&entry.key, "populations", names),
                ));
            };
            let path = join(&spot.path, &entry.key);
            let value = Spot { cx, node: &entry.node, path };
            // A smaller run by `--set` need not lower every contender's connections;
            // members that are not there need none.
            overrides.connections.insert(at, connections(&value, None)?);
        }
        for (at, connections) in &overrides.connections {
            if known.is_some() && *connections != populations[*at].connections {
                cx.note(&join(&spot.path, &populations[*at].name), &connections.toml());
            }
        }
    }
    if let Some(spot) = reader.get("partitions") {
        let mut changed = std::collections::BTreeMap::new();
        for entry in spot.table()?.entries() {
            let Some(log) = logs.iter().find(|log| log.name == entry.key) else {
                let names = logs.iter().map(|log| log.name.as_str());
                return Err(cx.error(
                    &entry.key_place,
                    format!("there is no log `{}`", shown(&entry.key)),
                    did_you_mean(&entry.key, "logs", names),
                ));
            };
            let path = join(&spot.path, &entry.key);
            let count = Spot { cx, node: &entry.node, path: path.clone() };
            let count = count.count(1, super::logs::PARTITIONS_MAX)?;
            if log.partitions != Some(count) {
                changed.insert(path, count.toml());
            }
            overrides.partitions.insert(entry.key.clone(), count);
        }
        // By name, like everything in a table, and not in the order of the file.
        for (path, count) in changed.iter().filter(|_| known.is_some()) {
            cx.note(path, count);
        }
    }
    for entry in reader.table().entries() {
        if matches!(entry.key.as_str(), "preset" | "connections" | "partitions") {
            continue;
        }
        let path = join(&reader.spot().path, &entry.key);
        let value = Spot { cx, node: &entry.node, path };
        let text = setting_text(&value)?;
        if let Some(known) = known {
            let Some(spec) = known.settings.iter().find(|spec| spec.name == entry.key) else {
                let names = known.settings.iter().map(|spec| spec.name);
                return Err(cx.error(
                    &entry.key_place,
                    format!("`{}` has no setting `{}`", known.name, shown(&entry.key)),
                    did_you_mean(
                        &entry.key,
                        "it",
                        names.chain(["preset", "connections", "partitions"]),
                    ),
                ));
            };
            let parsed = spec.parse(&text).map_err(|error| {
                let message = shown_error(&error.to_string());
                value.error(
                    message,
                    format!("{}: its default is {}", spec.doc.trim_end_matches('.'), spec.default),
                )
            })?;
            if spec.parse(spec.default).is_ok_and(|default| default != parsed) {
                cx.note(&value.path, &setting_toml(&text));
            }
        }
        overrides.settings.push((entry.key.clone(), text));
    }
    Ok(overrides)
}

fn shown_error(message: &str) -> String {
    message.chars().filter(|c| !c.is_control()).take(200).collect()
}

fn presets(spot: &Spot<'_>, known: Option<&Known<'_>>) -> Result<Vec<String>> {
    let one = |spot: &Spot<'_>| -> Result<String> {
        let name = spot.name()?;
        if let Some(known) = known
            && !known.presets.iter().any(|preset| preset.name == name)
        {
            let names = known.presets.iter().map(|preset| preset.name);
            return Err(spot.error(
                format!("`{}` has no preset `{}`", known.name, shown(&name)),
                did_you_mean(&name, "presets", names),
            ));
        }
        Ok(name)
    };
    match &spot.node.value {
        Value::List(list) if list.len() > PRESETS_MAX => {
            Err(spot.wrong(&format!("at most {PRESETS_MAX} presets"), "name each once"))
        }
        Value::List(list) => list
            .iter()
            .enumerate()
            .map(|(at, node)| one(&Spot { cx: spot.cx, node, path: format!("{}.{at}", spot.path) }))
            .collect(),
        _ => Ok(vec![one(spot)?]),
    }
}

/// Longest text of a setting.
const SETTING_MAX: usize = 200;
/// Most presets of a contender.
const PRESETS_MAX: usize = 32;

/// A setting as the text that its contender reads.
fn setting_text(spot: &Spot<'_>) -> Result<String> {
    Ok(match &spot.node.value {
        Value::Text(text) if text.len() > SETTING_MAX => {
            return Err(spot.wrong(&format!("at most {SETTING_MAX} bytes"), "shorten it"));
        }
        Value::Text(text) => text.clone(),
        Value::Whole(whole) => whole.to_string(),
        Value::Flag(flag) => flag.to_string(),
        Value::Number(number) => number.toml(),
        Value::Date | Value::List(_) | Value::Table(_) => {
            return Err(spot.wrong(
                &format!("a text, a number, true or false, not {}", spot.node.value.kind()),
                "write a single value",
            ));
        }
    })
}

/// A setting's text as TOML: plain where that reads back as the same text.
pub(super) fn setting_toml(text: &str) -> String {
    let is_whole = text.parse::<i64>().is_ok_and(|whole| whole.to_string() == text);
    if is_whole || matches!(text, "true" | "false") { text.to_owned() } else { text.toml() }
}

/// Texts as a TOML array.
pub(super) fn list(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(Toml::toml).collect();
    format!("[{}]", quoted.join(", "))
}
