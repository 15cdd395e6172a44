//! Everything that the page's template needs, ready to print.

use serde::Serialize;

use super::tables::{self, Comparison, Judged, LedgerTable, Promised, SettingsTable};
use crate::charts::{self, ChartError, Figure, Form};
use crate::clean;
use crate::findings::cast::{Cast, Who};
use crate::findings::verdict::{self, Portrait};
use crate::findings::words::{mode_sentence, provenance};
use crate::record::{Mode, Record};
use crate::render::RenderError;
use crate::text::group::Groups;

/// Longest texts that the page takes from a record.
const TITLE: usize = 200;
const QUESTION: usize = 600;
const SENTENCE: usize = 400;

/// The page, as data.
#[derive(Debug, Serialize)]
pub(super) struct Sheet {
    name: String,
    title: String,
    question: String,
    partial: bool,
    headline: String,
    reasons: String,
    /// Sections that the page has, and their short names.
    contents: Vec<(&'static str, &'static str)>,
    contenders: Vec<Chip>,
    portraits: Vec<Card>,
    doubts: Vec<String>,
    modes: Vec<ModeNote>,
    comparison: Comparison,
    judged: Vec<Judged>,
    charts: Charts,
    /// JSON for the script, safe inside an element.
    data: String,
    ledgers: Vec<LedgerTable>,
    promises: Vec<Promised>,
    would_change: Vec<String>,
    remarks: Vec<tables::Remark>,
    sockets: Vec<tables::SocketRow>,
    costs: Vec<tables::CostTable>,
    scenario_settings: Vec<String>,
    settings: Vec<SettingsTable>,
    repeat: Repeat,
}

/// A contender in the bar at the top.
#[derive(Debug, Serialize)]
struct Chip {
    number: usize,
    name: String,
    colour: usize,
}

/// A contender in the verdict.
#[derive(Debug, Serialize)]
struct Card {
    number: usize,
    colour: usize,
    name: String,
    title: String,
    summary: String,
    class: &'static str,
    outcome: String,
    because: Vec<String>,
    crash: String,
}

#[derive(Debug, Serialize)]
struct ModeNote {
    word: &'static str,
    text: &'static str,
}

/// Charts by section.
#[derive(Debug, Default, Serialize)]
struct Charts {
    percentiles: Vec<Chart>,
    latency: Vec<Chart>,
    throughput: Vec<Chart>,
    backlog: Vec<Chart>,
    load: Vec<Chart>,
    anatomy: Vec<Chart>,
}

/// A chart with what stands around it.
#[derive(Debug, Serialize)]
struct Chart {
    id: String,
    simulated: bool,
    provenance: &'static str,
    title: String,
    notes: Vec<String>,
    wide: String,
    narrow: String,
    head: Vec<String>,
    rows: Vec<Vec<String>>,
}

#[derive(Debug, Serialize)]
struct Repeat {
    command: String,
    facts: Vec<(&'static str, String)>,
}

impl Chart {
    fn of(figure: &Figure) -> Result<Chart, ChartError> {
        let (head, rows) = figure.table();
        Ok(Chart {
            id: figure.id.clone(),
            simulated: figure.mode.is_simulated(),
            provenance: provenance(figure.mode),
            title: figure.title.clone(),
            notes: figure.notes.clone(),
            wide: figure.inline(Form::Wide)?,
            narrow: figure.inline(Form::Narrow)?,
            head,
            rows,
        })
    }
}

/// Fills the sheet.
pub(super) fn fill(record: &Record) -> Result<Sheet, RenderError> {
    let cast = Cast::of(record);
    let groups = Groups::of(record);
    let figures = charts::figures(record);
    let mut charts = Charts::default();
    let mut data = serde_json::Map::new();
    for figure in &figures {
        data.insert(figure.id.clone(), figure.data());
        let chart = Chart::of(figure)?;
        match figure.id.split('-').next().unwrap_or_default() {
            "percentiles" => charts.percentiles.push(chart),
            "latency" => charts.latency.push(chart),
            "throughput" => charts.throughput.push(chart),
            "backlog" => charts.backlog.push(chart),
            "load" => charts.load.push(chart),
            _ => charts.anatomy.push(chart),
        }
    }
    let (headline, reasons) = verdict::headline(record, &cast);
    let scenario = &record.scenario;
    let sentences = |texts: &[String], most: usize| -> Vec<String> {
        texts.iter().take(most).map(|text| clean::line(text, SENTENCE)).collect()
    };
    let title = clean::line(&scenario.title, TITLE);
    let name = clean::line(&scenario.name, 80);
    let ledgers = tables::ledgers(&groups, &cast);
    let contents = [
        ("verdict", "Verdict", true),
        ("comparison", "Comparison", true),
        ("percentiles", "Percentiles", !charts.percentiles.is_empty()),
        ("latency", "Latency", !charts.latency.is_empty()),
        ("throughput", "Throughput", !charts.throughput.is_empty()),
        ("load", "Load", true),
        ("anatomy", "Anatomy", !charts.anatomy.is_empty()),
        ("ledger", "Ledger", !ledgers.is_empty()),
        ("promises", "Promises", !ledgers.is_empty()),
        ("change", "What if", true),
        ("method", "Method", true),
        ("settings", "Settings", true),
        ("repeat", "Repeat it", true),
    ];
    let mut modes: Vec<Mode> = groups.0.iter().map(|group| group.mode).collect();
    modes.dedup();
    Ok(Sheet {
        title: if title.is_empty() { name.clone() } else { title },
        name,
        question: clean::line(&scenario.question, QUESTION),
        partial: record.partial,
        headline,
        reasons,
        contents: contents.into_iter().filter(|of| of.2).map(|of| (of.0, of.1)).collect(),
        contenders: cast.all().iter().map(chip).collect(),
        portraits: verdict::portraits(record, &cast).into_iter().map(card).collect(),
        doubts: verdict::doubts(record, &cast),
        modes: modes
            .into_iter()
            .map(|mode| ModeNote { word: provenance(mode), text: mode_sentence(mode) })
            .collect(),
        comparison: tables::comparison(record, &groups, &cast),
        judged: tables::judged(record, &cast),
        charts,
        data: serde_json::Value::Object(data).to_string().replace('<', "\\u003c"),
        ledgers,
        promises: tables::promises(record, &groups, &cast),
        would_change: record
            .verdict
            .would_change
            .iter()
            .take(20)
            .map(|text| verdict::readable(text, &cast, SENTENCE))
            .collect(),
        remarks: tables::remarks(record, &groups, &cast),
        sockets: tables::sockets(&groups, &cast),
        costs: tables::costs(record, &cast),
        scenario_settings: sentences(&scenario.non_defaults, 200),
        settings: tables::settings(record, &cast),
        repeat: repeat(record),
    })
}

fn chip(who: &Who) -> Chip {
    Chip { number: who.number, name: who.name.clone(), colour: who.colour }
}

fn card(portrait: Portrait) -> Card {
    Card {
        number: portrait.who.number,
        colour: portrait.who.colour,
        name: portrait.who.name,
        title: portrait.title,
        summary: portrait.summary,
        class: portrait.standing.class(),
        outcome: portrait.outcome,
        because: portrait.because,
        crash: portrait.crash,
    }
}

fn repeat(record: &Record) -> Repeat {
    let host = &record.host;
    let memory = host.memory_bytes as f64 / f64::from(1 << 30);
    let mut facts = vec![
        ("seed", record.seed.to_string()),
        ("scenario", clean::line(&record.scenario.hash, 80)),
        ("trace", clean::line(record.trace_hash.as_deref().unwrap_or_default(), 80)),
        ("lab", clean::line(&record.lab.version, 40)),
        ("commit", clean::line(record.lab.commit.as_deref().unwrap_or_default(), 80)),
        ("begun", clean::line(&record.started_at, 40)),
        (
            "machine",
            format!(
                "{}, {} cores, {memory:.1} GiB, {}",
                clean::line(&host.cpu, 100),
                host.cores,
                clean::line(&host.os, 100)
            ),
        ),
    ];
    facts.retain(|(_, text)| !text.is_empty());
    Repeat { command: clean::line(&record.command, 1_000), facts }
}
