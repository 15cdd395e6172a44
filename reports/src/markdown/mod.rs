//! A record as Markdown, for a pull request or a note: `report.md`.
//!
//! **What it is for.** The verdict, its reason and its doubt, the table, and a
//! sentence for each chart of the page.
//!
//! **What it never does.** It links to nothing, since it is pasted elsewhere; it
//! lets no text of a record be markup, a mention of somebody or a table's edge.
//!
//! **Where to start reading.** [`render`].

use crate::charts;
use crate::charts::unit::{micros, part};
use crate::clean;
use crate::findings::cast::Cast;
use crate::findings::objectives::Tally;
use crate::findings::words::{mode_sentence, proof, provenance};
use crate::findings::{books, load, verdict};
use crate::markup::markdown;
use crate::record::{Mode, Quantile, Record};
use crate::text::figures::{bytes, count, rate};
use crate::text::group::{Group, Groups};

/// The report, with a last line break.
pub fn render(record: &Record) -> String {
    let cast = Cast::of(record);
    let groups = Groups::of(record);
    let mut out = Out::default();
    head(record, &cast, &mut out);
    for (mode, groups) in groups.by_mode() {
        table(record, mode, groups, &cast, &mut out);
    }
    why(record, &cast, &mut out);
    shown(record, &groups, &cast, &mut out);
    doubts(record, &cast, &mut out);
    repeat(record, &mut out);
    out.finish()
}

/// Lines of Markdown; every text that comes in is escaped here.
#[derive(Debug, Default)]
struct Out(String);

impl Out {
    fn heading(&mut self, level: usize, text: &str) {
        self.0.push_str(&format!("\n{} {}\n\n", "#".repeat(level), markdown(text)));
    }

    fn paragraph(&mut self, text: &str) {
        self.0.push_str(&markdown(text));
        self.0.push_str("\n\n");
    }

    fn item(&mut self, bold: &str, text: &str) {
        if bold.is_empty() {
            self.0.push_str(&format!("- {}\n", markdown(text)));
        } else {
            self.0.push_str(&format!("- **{}**: {}\n", markdown(bold), markdown(text)));
        }
    }

    fn row(&mut self, cells: &[String]) {
        let cells: Vec<String> = cells.iter().map(|cell| markdown(cell)).collect();
        self.0.push_str(&format!("| {} |\n", cells.join(" | ")));
    }

    fn finish(self) -> String {
        format!("{}\n", self.0.trim())
    }
}

fn head(record: &Record, cast: &Cast, out: &mut Out) {
    let title = clean::line(&record.scenario.title, 200);
    let name = clean::line(&record.scenario.name, 80);
    out.heading(1, if title.is_empty() { &name } else { &title });
    let question = clean::line(&record.scenario.question, 600);
    if !question.is_empty() {
        out.paragraph(&question);
    }
    if record.partial {
        out.paragraph("This run was interrupted; nothing here is final.");
    }
    let (headline, reasons) = verdict::headline(record, cast);
    out.0.push_str(&format!("**{}**", markdown(&headline)));
    if !reasons.is_empty() {
        out.0.push(' ');
        out.0.push_str(&markdown(&reasons));
    }
    out.0.push_str("\n\n");
}

fn table(record: &Record, mode: Mode, groups: &[Group<'_>], cast: &Cast, out: &mut Out) {
    out.heading(2, &crate::findings::words::sentence(provenance(mode)));
    out.paragraph(mode_sentence(mode));
    let capacity = record.capacity.iter().any(|of| of.mode == mode);
    let mut head = vec!["contender", "objectives", "p50", "p99", "slowest"];
    if capacity {
        head.push("capacity");
    }
    head.extend(["lost", "duplicates", "CPU a message", "disk", "an ack proves"]);
    let head: Vec<String> = head.into_iter().map(str::to_owned).collect();
    out.row(&head);
    let sides: Vec<&str> = head.iter().enumerate().map(|(at, name)| side(at, name)).collect();
    out.0.push_str(&format!("|{}|\n", sides.join("|")));
    for group in groups.iter().take(100) {
        out.row(&row(record, group, cast, capacity));
    }
    out.0.push('\n');
}

fn side(at: usize, name: &str) -> &'static str {
    if at < 2 || name.starts_with("an ack") { "---" } else { "---:" }
}

fn row(record: &Record, group: &Group<'_>, cast: &Cast, capacity: bool) -> Vec<String> {
    let time = |quantile: Quantile| {
        let mark = if group.is_limited(quantile) { "~" } else { "" };
        group
            .median(|trial| trial.delivery.response.get(quantile))
            .map_or_else(|| "–".to_owned(), |us| format!("{mark}{}", micros(us)))
    };
    let mut name = cast.name(group.key).to_owned();
    if group.trials.iter().any(|trial| !trial.valid) {
        name.push_str(" (invalid trial)");
    }
    let mut cells = vec![
        name,
        Tally::of(record, group.key, Some(group.mode)).words(),
        time(Quantile::P50),
        time(Quantile::P99),
        time(Quantile::Max),
    ];
    if capacity {
        let found =
            record.capacity.iter().find(|of| of.contender == group.key && of.mode == group.mode);
        cells.push(found.map_or_else(|| "–".to_owned(), load::figure));
    }
    let lost = group
        .sum(|t| t.ledger.deliveries.lost_explained)
        .saturating_add(group.sum(|t| t.ledger.deliveries.lost_unexplained));
    let expected = group.sum(|t| t.ledger.deliveries.expected).max(1);
    let disk = group.median(|trial| Some(trial.resources.disk_bytes as f64)).unwrap_or(0.0);
    cells.extend([
        if lost == 0 {
            "0".to_owned()
        } else {
            format!("{} ({})", count(lost), part(lost as f64 / expected as f64))
        },
        count(group.sum(|t| t.ledger.duplicates)),
        group
            .median(|trial| trial.resources.cpu_us_per_message)
            .map_or_else(|| "–".to_owned(), |us| format!("{} µs", rate(us))),
        if disk > 0.0 { bytes(disk as u64) } else { "0".to_owned() },
        proof(group.shown().ack_proves),
    ]);
    cells
}

fn why(record: &Record, cast: &Cast, out: &mut Out) {
    out.heading(2, "Each contender");
    for one in verdict::portraits(record, cast).iter().take(40) {
        let because = one.because.join("; ");
        out.item(&one.who.name, &format!("{}. {because}. In a crash: {}", one.outcome, one.crash));
    }
}

fn shown(record: &Record, groups: &Groups<'_>, cast: &Cast, out: &mut Out) {
    let figures = charts::figures(record);
    if figures.is_empty() && groups.0.is_empty() {
        return;
    }
    out.heading(2, "What the charts show");
    for figure in &figures {
        out.item(&format!("{} ({})", figure.topic, provenance(figure.mode)), &figure.title);
    }
    for (mode, groups) in groups.by_mode() {
        out.item(&format!("Ledger ({})", provenance(mode)), &books::title(groups, cast));
    }
}

fn doubts(record: &Record, cast: &Cast, out: &mut Out) {
    out.heading(2, "How sure, and what would change it");
    for text in verdict::doubts(record, cast) {
        out.item("", &text);
    }
    for text in record.verdict.would_change.iter().take(20) {
        out.item("Would change it", &verdict::readable(text, cast, 400));
    }
}

fn repeat(record: &Record, out: &mut Out) {
    out.heading(2, "To repeat it");
    // A fence longer than any run of backticks in the command cannot be closed by it.
    let command = clean::line(&record.command, 1_000);
    let longest = command.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    out.0.push_str(&format!("{fence}\n{command}\n{fence}\n\n"));
    let mut facts = format!("seed {}", record.seed);
    for (what, value) in [
        ("scenario", Some(&record.scenario.hash)),
        ("trace", record.trace_hash.as_ref()),
        ("commit", record.lab.commit.as_ref()),
    ] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            facts.push_str(&format!(", {what} {}", clean::line(value, 64)));
        }
    }
    facts.push_str(&format!(", lab {}", clean::line(&record.lab.version, 40)));
    let host = &record.host;
    facts.push_str(&format!(
        "; {}, {} cores, {}",
        clean::line(&host.cpu, 80),
        host.cores,
        clean::line(&host.os, 80)
    ));
    out.paragraph(&facts);
}
