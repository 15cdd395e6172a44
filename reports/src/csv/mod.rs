//! Tables for a spreadsheet.
//!
//! **What it is for.** [`trials`] is `trials.csv`, a line for each trial;
//! [`series`] is `series.csv`, a line for each second of each trial. An empty
//! cell is a figure that could not be had.
//!
//! **What it never does.** It rounds nothing, and it lets no text through that a
//! spreadsheet would run as a formula.
//!
//! **Where to start reading.** The constants that head the tables.

use ::csv::Writer;

use crate::clean;
use crate::record::{Quantiles, Record, Trial};
use crate::render::RenderError;

const TRIALS: &[&str] = &[
    "contender",
    "mode",
    "repeat",
    "valid",
    "window_s",
    "offered_per_s",
    "sent_per_s",
    "published_per_s",
    "acked_per_s",
    "delivered_per_s",
    "response_count",
    "response_mean_us",
    "response_p50_us",
    "response_p90_us",
    "response_p99_us",
    "response_p999_us",
    "response_max_us",
    "service_count",
    "service_mean_us",
    "service_p50_us",
    "service_p90_us",
    "service_p99_us",
    "service_p999_us",
    "service_max_us",
    "response_limited",
    "attempted",
    "acked",
    "failed",
    "unknown",
    "unacked",
    "expected",
    "delivered",
    "lost_explained",
    "lost_unexplained",
    "undrained",
    "duplicates",
    "redelivered",
    "reordered",
    "corrupt",
    "causes",
    "lag_p99_us",
    "canary_p99_us",
    "unsent",
    "node_cpu_s",
    "client_cpu_s",
    "cpu_us_per_message",
    "node_memory_bytes",
    "bytes_in",
    "bytes_out",
    "disk_bytes",
    "syncs",
    "ack_copies",
    "ack_durable",
    "trace_hash",
];

const SERIES: &[&str] = &[
    "contender",
    "mode",
    "repeat",
    "t_s",
    "offered",
    "sent",
    "acked",
    "delivered",
    "p50_us",
    "p99_us",
    "max_us",
    "backlog",
];

/// `trials.csv`.
///
/// # Errors
/// [`RenderError::Table`] when the writer fails, which memory alone can make it.
pub fn trials(record: &Record) -> Result<String, RenderError> {
    let mut out = Writer::from_writer(Vec::new());
    out.write_record(TRIALS).map_err(table)?;
    for trial in &record.trials {
        out.write_record(trial_cells(trial)).map_err(table)?;
    }
    finish(out)
}

/// `series.csv`.
///
/// # Errors
/// As [`trials`].
pub fn series(record: &Record) -> Result<String, RenderError> {
    let mut out = Writer::from_writer(Vec::new());
    out.write_record(SERIES).map_err(table)?;
    for trial in &record.trials {
        let (contender, repeat) = (text(&trial.contender), trial.repeat.to_string());
        for point in &trial.series {
            let cells = [
                contender.clone(),
                trial.mode.name().to_owned(),
                repeat.clone(),
                point.t_s.to_string(),
                point.offered.to_string(),
                point.sent.to_string(),
                point.acked.to_string(),
                point.delivered.to_string(),
                number(point.p50_us),
                number(point.p99_us),
                number(point.max_us),
                point.backlog.to_string(),
            ];
            out.write_record(cells).map_err(table)?;
        }
    }
    finish(out)
}

fn trial_cells(trial: &Trial) -> Vec<String> {
    let (messages, deliveries) = (&trial.ledger.messages, &trial.ledger.deliveries);
    let ledger = &trial.ledger;
    let resources = &trial.resources;
    let causes: Vec<String> =
        ledger.causes.iter().map(|(cause, count)| format!("{cause}={count}")).collect();
    let mut cells = vec![
        text(&trial.contender),
        trial.mode.name().to_owned(),
        trial.repeat.to_string(),
        trial.valid.to_string(),
    ];
    cells.extend(
        [
            trial.window_s,
            trial.offered_per_s,
            trial.sent_per_s,
            trial.published_per_s,
            trial.acked_per_s,
            trial.delivered_per_s,
        ]
        .map(|value| value.to_string()),
    );
    cells.extend(quantiles(&trial.delivery.response));
    cells.extend(quantiles(&trial.delivery.service));
    cells.push(text(&trial.delivery.response.limited.join(" ")));
    cells.extend(
        [
            messages.attempted,
            messages.acked,
            messages.failed,
            messages.unknown,
            messages.unacked,
            deliveries.expected,
            deliveries.delivered,
            deliveries.lost_explained,
            deliveries.lost_unexplained,
            deliveries.undrained,
            ledger.duplicates,
            ledger.redelivered,
            ledger.reordered,
            ledger.corrupt,
        ]
        .map(|value| value.to_string()),
    );
    cells.push(text(&causes.join(" ")));
    cells.push(number(trial.generator.lag_p99_us));
    cells.push(number(trial.generator.canary_p99_us));
    cells.push(trial.generator.unsent.to_string());
    cells.push(number(resources.node_cpu_s));
    cells.push(number(resources.client_cpu_s));
    cells.push(number(resources.cpu_us_per_message));
    cells.push(resources.node_memory_bytes.map_or_else(String::new, |bytes| bytes.to_string()));
    cells.extend(
        [resources.bytes_in, resources.bytes_out, resources.disk_bytes, resources.syncs]
            .map(|value| value.to_string()),
    );
    cells.push(trial.ack_proves.copies.to_string());
    cells.push(trial.ack_proves.durable.name().to_owned());
    cells.push(text(trial.trace_hash.as_deref().unwrap_or_default()));
    cells
}

fn quantiles(of: &Quantiles) -> [String; 7] {
    let figures = [of.mean_us, of.p50_us, of.p90_us, of.p99_us, of.p999_us, of.max_us].map(number);
    let [mean, p50, p90, p99, p999, max] = figures;
    [of.count.to_string(), mean, p50, p90, p99, p999, max]
}

fn number(value: Option<f64>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// A text that no spreadsheet takes for a formula.
fn text(value: &str) -> String {
    let clean = clean::line(value, 1_000);
    if clean.starts_with(['=', '+', '-', '@']) { format!("'{clean}") } else { clean }
}

fn table(error: ::csv::Error) -> RenderError {
    RenderError::Table(error.to_string())
}

fn finish(out: Writer<Vec<u8>>) -> Result<String, RenderError> {
    let bytes = out.into_inner().map_err(|error| RenderError::Table(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| RenderError::Table(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_formula_is_only_text() {
        assert_eq!(text("=1+1"), "'=1+1");
        assert_eq!(text("\t@x"), "'@x");
        assert_eq!(text("kafka:linger=0"), "kafka:linger=0");
    }

    #[test]
    fn every_line_has_a_cell_for_each_heading() {
        assert_eq!(trial_cells(&Trial::default()).len(), TRIALS.len());
    }
}
