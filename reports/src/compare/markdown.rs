//! A comparison for a pull request.

use super::text::{p_value, runs};
use super::{Comparison, Finding, percent, range};
use crate::clean;
use crate::markup;
use crate::text::group::mode_label;

pub(super) fn render(comparison: &Comparison) -> String {
    let cell = |text: &str| markup::markdown(&clean::line(text, 400));
    let mut out = format!("### B against A: {}\n\n", cell(&comparison.scenario));
    out.push_str(&format!("**{}**\n\n", cell(&comparison.verdict())));
    for (letter, side) in ["A", "B"].into_iter().zip(&comparison.sides) {
        out.push_str(&format!(
            "- {letter}: {}; {}; {}; seed {}\n",
            cell(&side.name),
            cell(&side.started_at),
            cell(&side.lab),
            side.seed
        ));
    }
    for pair in &comparison.pairs {
        out.push_str(&format!("\n#### {}, {}\n\n", cell(&pair.contender), mode_label(pair.mode)));
        if let Some(reason) = &pair.refused {
            out.push_str(&format!("Not compared: {}.\n", cell(reason)));
            continue;
        }
        out.push_str(&format!("{}.\n\n", cell(&runs(pair))));
        if pair.same_trace && pair.rows.iter().all(|row| row.reason == "the same") {
            out.push_str("Every simulated run has the same trace in both.\n");
            continue;
        }
        let interval = if pair.by_seed { "over seeds" } else { "95 % interval" };
        out.push_str(&format!("| figure | A | B | change | {interval} | p | finding |\n"));
        out.push_str("|---|--:|--:|--:|--:|--:|---|\n");
        for row in &pair.rows {
            let figure = |value: Option<f64>| value.map_or("-".to_owned(), |v| row.unit.show(v));
            let mut finding = match row.finding {
                Finding::NoEvidence => row.finding.name().to_owned(),
                _ => format!("**{}**", row.finding.name()),
            };
            if !row.reason.is_empty() {
                finding.push_str(&format!(" ({})", cell(&row.reason)));
            }
            out.push_str(&format!(
                "| {} | {} | {} | {} | {} | {} | {finding} |\n",
                cell(&row.title),
                figure(row.a),
                figure(row.b),
                row.change.map_or("-".to_owned(), percent),
                range(row.interval),
                p_value(row).replace('<', "&lt;"),
            ));
        }
    }
    let remarks = comparison.remarks();
    if !remarks.is_empty() || !comparison.warnings.is_empty() {
        out.push('\n');
    }
    for text in &comparison.warnings {
        out.push_str(&format!("- **Note:** {}\n", cell(text)));
    }
    for text in &remarks {
        out.push_str(&format!("- {}\n", markup::markdown(text).replace("\\`", "`")));
    }
    out
}
