//! The rows of the page's tables.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::charts::unit::{micros, part};
use crate::clean;
use crate::findings::cast::Cast;
use crate::findings::objectives::{self, Tally};
use crate::findings::words::{list, proof, provenance};
use crate::findings::{books, load, promises as kept, sockets};
use crate::record::{Mode, ObjectiveResult, Outcome, Quantile, Record};
use crate::text::figures::{bytes, count, rate, seconds, share};
use crate::text::group::{Group, Groups};

/// Stands where there is no figure.
const NONE: &str = "–";
/// More rows than this of a table are not printed; the record has them.
const ROWS: usize = 400;

/// The comparison of all contenders.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    modes: Vec<ModeRows>,
    has_capacity: bool,
    limited: bool,
    repeats: usize,
    /// Length of the steady parts together; empty where no trial says it.
    window: String,
}

#[derive(Debug, Serialize)]
struct ModeRows {
    simulated: bool,
    provenance: &'static str,
    text: &'static str,
    rows: Vec<Row>,
}

/// A contender in a mode.
#[derive(Debug, Serialize)]
struct Row {
    number: usize,
    colour: usize,
    name: String,
    winner: bool,
    judged: bool,
    invalid: bool,
    objectives: Vec<String>,
    class: &'static str,
    p50: Figure,
    p99: Figure,
    worst: Figure,
    samples: String,
    capacity: String,
    limited_by: String,
    lost: String,
    causes: Vec<(String, String)>,
    unexplained: bool,
    duplicates: String,
    redelivered: String,
    cpu: String,
    disk: String,
    syncs: String,
    proves: String,
}

/// A time, and whether the instrument dominates it.
#[derive(Debug, Serialize)]
struct Figure {
    text: String,
    limited: bool,
}

pub(super) fn comparison(record: &Record, groups: &Groups<'_>, cast: &Cast) -> Comparison {
    let modes: Vec<ModeRows> = groups
        .by_mode()
        .map(|(mode, groups)| ModeRows {
            simulated: mode.is_simulated(),
            provenance: provenance(mode),
            text: crate::findings::words::mode_sentence(mode),
            rows: groups.iter().take(ROWS).map(|group| row(record, group, cast)).collect(),
        })
        .collect();
    let window_s = record.trials.iter().map(|trial| trial.window_s).fold(0.0, f64::max);
    Comparison {
        limited: groups.0.iter().any(|g| Quantile::ALL.into_iter().any(|q| g.is_limited(q))),
        has_capacity: !record.capacity.is_empty(),
        repeats: groups.most_repeats(),
        window: if window_s > 0.0 { seconds(window_s) } else { String::new() },
        modes,
    }
}

fn time(group: &Group<'_>, quantile: Quantile) -> Figure {
    let value = group.median(|trial| trial.delivery.response.get(quantile));
    Figure {
        text: value.map_or_else(|| NONE.to_owned(), micros),
        limited: group.is_limited(quantile),
    }
}

fn row(record: &Record, group: &Group<'_>, cast: &Cast) -> Row {
    let who = cast.who(group.key);
    let tally = Tally::of(record, group.key, Some(group.mode));
    let class = if tally.missed + tally.unsupported > 0 {
        "bad"
    } else if tally.undecided > 0 {
        "open"
    } else if tally.met > 0 {
        "good"
    } else {
        ""
    };
    let explained = group.sum(|trial| trial.ledger.deliveries.lost_explained);
    let unexplained = group.sum(|trial| trial.ledger.deliveries.lost_unexplained);
    let expected = group.sum(|trial| trial.ledger.deliveries.expected);
    let lost = explained.saturating_add(unexplained);
    let mut causes: Vec<(String, String)> =
        books::causes(group).into_iter().map(|(cause, number)| (cause, count(number))).collect();
    causes.truncate(6);
    if unexplained > 0 {
        causes.insert(0, ("without a cause".to_owned(), count(unexplained)));
    }
    let capacity =
        record.capacity.iter().find(|of| of.contender == group.key && of.mode == group.mode);
    let disk = group.median(|trial| Some(trial.resources.disk_bytes as f64)).unwrap_or(0.0);
    let syncs = group.median(|trial| Some(trial.resources.syncs as f64)).unwrap_or(0.0);
    Row {
        number: who.number,
        colour: who.colour,
        name: who.name.clone(),
        winner: record.verdict.winner.as_deref() == Some(group.key),
        // It was chosen by what was judged, and not every mode is.
        judged: tally.all() > 0,
        invalid: group.trials.iter().any(|trial| !trial.valid),
        objectives: if tally.all() == 0 { vec![NONE.to_owned()] } else { tally.parts() },
        class,
        p50: time(group, Quantile::P50),
        p99: time(group, Quantile::P99),
        worst: time(group, Quantile::Max),
        samples: count(group.sum(|trial| trial.delivery.response.count)),
        capacity: capacity.map_or_else(|| NONE.to_owned(), load::figure),
        limited_by: capacity
            .map_or_else(String::new, |of| crate::findings::words::cause(&of.limited_by)),
        lost: if lost == 0 {
            "0".to_owned()
        } else {
            format!("{} ({})", count(lost), part(lost as f64 / expected.max(1) as f64))
        },
        causes,
        unexplained: unexplained > 0,
        duplicates: count(group.sum(|trial| trial.ledger.duplicates)),
        redelivered: match group.sum(|trial| trial.ledger.redelivered) {
            0 => String::new(),
            number => count(number),
        },
        cpu: group
            .median(|trial| trial.resources.cpu_us_per_message)
            .map_or_else(|| NONE.to_owned(), |us| format!("{} µs", rate(us))),
        disk: if disk > 0.0 { bytes(disk as u64) } else { "0".to_owned() },
        syncs: if syncs > 0.0 { count(syncs as u64) } else { String::new() },
        proves: proof(group.shown().ack_proves),
    }
}

/// One objective with what each contender reached.
#[derive(Debug, Serialize)]
pub(super) struct Judged {
    subscription: String,
    text: String,
    results: Vec<JudgedBy>,
}

#[derive(Debug, Serialize)]
struct JudgedBy {
    number: usize,
    colour: usize,
    name: String,
    provenance: &'static str,
    outcome: &'static str,
    value: String,
    reason: String,
}

pub(super) fn judged(record: &Record, cast: &Cast) -> Vec<Judged> {
    type Key<'a> = (&'a str, &'a str, u64);
    fn key(result: &ObjectiveResult) -> Key<'_> {
        (&result.subscription, &result.metric, result.target.to_bits())
    }
    let mut order: BTreeMap<Key<'_>, usize> = BTreeMap::new();
    let mut out: Vec<Judged> = Vec::new();
    for result in record.verdict.objectives.iter().take(ROWS) {
        let at = *order.entry(key(result)).or_insert_with(|| {
            out.push(Judged {
                subscription: clean::line(&result.subscription, 60),
                text: format!(
                    "{} {}",
                    objectives::phrase(&result.metric),
                    objectives::target(result)
                ),
                results: Vec::new(),
            });
            out.len() - 1
        });
        let who = cast.who(&result.contender);
        out[at].results.push(JudgedBy {
            number: who.number,
            colour: who.colour,
            name: who.name.clone(),
            provenance: provenance(result.mode),
            outcome: result.outcome.name(),
            value: match (result.outcome, result.actual) {
                (Outcome::Unsupported, None) => NONE.to_owned(),
                _ => objectives::value(&result.metric, result.actual),
            },
            reason: result.reason.as_deref().map_or_else(String::new, |r| clean::line(r, 240)),
        });
    }
    out
}

/// The books of a mode.
#[derive(Debug, Serialize)]
pub(super) struct LedgerTable {
    simulated: bool,
    provenance: &'static str,
    title: String,
    rows: Vec<LedgerRow>,
}

#[derive(Debug, Serialize)]
struct LedgerRow {
    number: usize,
    colour: usize,
    name: String,
    /// Attempted, acked, failed, unknown, unacked.
    messages: [String; 5],
    /// Expected, delivered, lost with a cause, lost without, under way.
    deliveries: [String; 5],
    /// Duplicates, redelivered, out of order, corrupt.
    oddities: [String; 4],
    causes: Vec<(String, String)>,
    broken: bool,
}

pub(super) fn ledgers(groups: &Groups<'_>, cast: &Cast) -> Vec<LedgerTable> {
    groups
        .by_mode()
        .map(|(mode, groups)| LedgerTable {
            simulated: mode.is_simulated(),
            provenance: provenance(mode),
            title: books::title(groups, cast),
            rows: groups.iter().take(ROWS).map(|group| ledger_row(group, cast)).collect(),
        })
        .collect()
}

fn ledger_row(group: &Group<'_>, cast: &Cast) -> LedgerRow {
    let who = cast.who(group.key);
    let sum = |of: fn(&crate::record::Trial) -> u64| count(group.sum(of));
    LedgerRow {
        number: who.number,
        colour: who.colour,
        name: who.name.clone(),
        messages: [
            sum(|t| t.ledger.messages.attempted),
            sum(|t| t.ledger.messages.acked),
            sum(|t| t.ledger.messages.failed),
            sum(|t| t.ledger.messages.unknown),
            sum(|t| t.ledger.messages.unacked),
        ],
        deliveries: [
            sum(|t| t.ledger.deliveries.expected),
            sum(|t| t.ledger.deliveries.delivered),
            sum(|t| t.ledger.deliveries.lost_explained),
            sum(|t| t.ledger.deliveries.lost_unexplained),
            sum(|t| t.ledger.deliveries.undrained),
        ],
        oddities: [
            sum(|t| t.ledger.duplicates),
            sum(|t| t.ledger.redelivered),
            sum(|t| t.ledger.reordered),
            sum(|t| t.ledger.corrupt),
        ],
        causes: books::causes(group)
            .into_iter()
            .take(12)
            .map(|(cause, number)| (cause, count(number)))
            .collect(),
        broken: group.trials.iter().any(|trial| trial.broke_its_promise()),
    }
}

/// Promises of a contender beside what was observed in each mode.
#[derive(Debug, Serialize)]
pub(super) struct Promised {
    number: usize,
    colour: usize,
    name: String,
    modes: Vec<&'static str>,
    rows: Vec<PromiseRow>,
}

#[derive(Debug, Serialize)]
struct PromiseRow {
    topic: &'static str,
    promised: String,
    observed: Vec<Observed>,
}

#[derive(Debug, Serialize)]
struct Observed {
    provenance: &'static str,
    text: String,
    broken: bool,
}

pub(super) fn promises(record: &Record, groups: &Groups<'_>, cast: &Cast) -> Vec<Promised> {
    let mut out = Vec::new();
    for who in cast.all().iter().take(40) {
        let mut promised = Promised {
            number: who.number,
            colour: who.colour,
            name: who.name.clone(),
            modes: Vec::new(),
            rows: Vec::new(),
        };
        for group in groups.0.iter().filter(|group| group.key == who.key) {
            let mode = provenance(group.mode);
            promised.modes.push(mode);
            for (at, row) in kept::rows(record, group).into_iter().enumerate() {
                if promised.rows.len() <= at {
                    let (topic, promise) = (row.topic, row.promised);
                    promised.rows.push(PromiseRow {
                        topic,
                        promised: promise,
                        observed: Vec::new(),
                    });
                }
                let seen = Observed { provenance: mode, text: row.observed, broken: row.broken };
                promised.rows[at].observed.push(seen);
            }
        }
        if !promised.rows.is_empty() {
            out.push(promised);
        }
    }
    out
}

/// A remark, and whom it is about.
#[derive(Debug, Serialize)]
pub(super) struct Remark {
    who: String,
    text: String,
}

pub(super) fn remarks(record: &Record, groups: &Groups<'_>, cast: &Cast) -> Vec<Remark> {
    type Whom = Vec<(String, Vec<&'static str>)>;
    let mut all: Vec<(String, Whom)> = Vec::new();
    let mut add = |text: String, name: &str, mode: &'static str| {
        let at = all.iter().position(|(known, _)| *known == text).unwrap_or_else(|| {
            all.push((text, Whom::new()));
            all.len() - 1
        });
        let whom = &mut all[at].1;
        match whom.iter_mut().find(|(known, _)| known == name) {
            Some((_, modes)) if modes.contains(&mode) => {}
            Some((_, modes)) => modes.push(mode),
            None => whom.push((name.to_owned(), vec![mode])),
        }
    };
    for left_out in record.not_played.iter().take(40) {
        let name = clean::line(&left_out.contender, 60);
        let text = format!("not played: {}", clean::line(&left_out.reason, 200));
        add(text, &name, provenance(left_out.mode));
    }
    for group in &groups.0 {
        let (name, mode) = (cast.name(group.key), provenance(group.mode));
        for trial in &group.trials {
            for text in trial.not_applied.iter().take(40) {
                add(format!("not applied: {}", clean::line(text, 300)), name, mode);
            }
            for text in trial.emulated.iter().take(40) {
                add(format!("emulated: {}", clean::line(text, 300)), name, mode);
            }
            if trial.waste.messages > 0 {
                let text = format!(
                    "received only to be thrown away: {} messages, {}",
                    count(trial.waste.messages),
                    bytes(trial.waste.bytes)
                );
                add(text, name, mode);
            }
        }
        let lag = group.median(|trial| trial.generator.lag_p99_us);
        let canary = group.median(|trial| trial.generator.canary_p99_us);
        if let (Some(lag), Some(canary), false) = (lag, canary, group.mode == Mode::Sim) {
            let text = format!(
                "the generator was late by {} at p99; with nothing in between (the canary) a \
                 delivery takes {} at p99",
                micros(lag),
                micros(canary)
            );
            add(text, name, mode);
        }
        if let Some(generator) = sockets::generator(group) {
            add(generator.text, name, mode);
        }
    }
    all.into_iter().take(80).map(|(text, whom)| Remark { who: named(whom), text }).collect()
}

/// `A and B (embedded)`, or each with its own modes where they differ.
fn named(whom: Vec<(String, Vec<&'static str>)>) -> String {
    let first = whom.first().map(|(_, modes)| modes.clone()).unwrap_or_default();
    if whom.iter().all(|(_, modes)| *modes == first) {
        let names: Vec<String> = whom.into_iter().map(|(name, _)| name).collect();
        return format!("{} ({})", list(&names), list(&first));
    }
    let each: Vec<String> =
        whom.into_iter().map(|(name, modes)| format!("{name} ({})", list(&modes))).collect();
    list(&each)
}

/// What one thread of a contender asked of the system.
#[derive(Debug, Serialize)]
pub(super) struct SocketRow {
    number: usize,
    colour: usize,
    name: String,
    thread: &'static str,
    /// CPU; calls that read, wrote, waited, and bytes in and out, per message.
    cells: Vec<String>,
}

pub(super) fn sockets(groups: &Groups<'_>, cast: &Cast) -> Vec<SocketRow> {
    let rows = groups.0.iter().flat_map(|group| {
        let who = cast.who(group.key);
        sockets::threads(group).into_iter().map(|thread| {
            let busy = thread.busy.map_or_else(|| NONE.to_owned(), share);
            let figures = thread.a_message.into_iter();
            let figures = figures.map(|value| value.map_or_else(|| NONE.to_owned(), rate));
            SocketRow {
                number: who.number,
                colour: who.colour,
                name: who.name.clone(),
                thread: thread.name,
                cells: std::iter::once(busy).chain(figures).collect(),
            }
        })
    });
    rows.take(ROWS).collect()
}

/// What the simulation charges a contender for.
#[derive(Debug, Serialize)]
pub(super) struct CostTable {
    name: String,
    rows: Vec<[String; 5]>,
}

pub(super) fn costs(record: &Record, cast: &Cast) -> Vec<CostTable> {
    record
        .costs
        .iter()
        .take(16)
        .map(|(key, costs)| CostTable {
            name: match cast.name(key) {
                "?" => clean::line(key, 48),
                name => name.to_owned(),
            },
            rows: costs
                .iter()
                .take(60)
                .map(|cost| {
                    [
                        clean::line(&cost.name, 80),
                        format!("{} {}", rate(cost.value), clean::line(&cost.unit, 12)),
                        cost.spread.map_or_else(
                            || NONE.to_owned(),
                            |spread| format!("± {}", part(spread)),
                        ),
                        clean::line(&cost.source, 160),
                        clean::line(&cost.date, 20),
                    ]
                })
                .collect(),
        })
        .collect()
}

/// All settings of a contender.
#[derive(Debug, Serialize)]
pub(super) struct SettingsTable {
    number: usize,
    colour: usize,
    name: String,
    changed: usize,
    /// Name, value, whether it is the original's default.
    rows: Vec<(String, String, bool)>,
}

pub(super) fn settings(record: &Record, cast: &Cast) -> Vec<SettingsTable> {
    cast.all()
        .iter()
        .filter_map(|who| {
            let trial = record.trials.iter().find(|trial| trial.contender == who.key)?;
            let mut rows: Vec<(String, String, bool)> = trial
                .settings
                .iter()
                .take(ROWS)
                .map(|(name, setting)| {
                    (clean::line(name, 60), clean::line(&setting.value, 120), setting.default)
                })
                .collect();
            // What somebody changed comes first.
            rows.sort_by_key(|(_, _, default)| *default);
            Some(SettingsTable {
                number: who.number,
                colour: who.colour,
                name: who.name.clone(),
                changed: rows.iter().filter(|(_, _, default)| !default).count(),
                rows,
            })
        })
        .collect()
}
