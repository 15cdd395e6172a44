//! What a doubter asks next: what was left out, what was changed, how to repeat it.

use std::collections::BTreeMap;

use super::figures::micros;
use super::group::{Group, Groups};
use super::page::{Page, Paint};
use crate::clean;
use crate::findings::sockets;
use crate::record::Record;

pub(super) fn write(record: &Record, groups: &Groups<'_>, page: &mut Page) {
    if !record.verdict.would_change.is_empty() {
        page.heading("What would change the verdict");
        for text in record.verdict.would_change.iter().take(20) {
            page.paragraph(Paint::Plain, "- ", &clean::line(text, 400));
        }
    }
    doubts(record, groups, page);
    settings(record, groups, page);
    repeat_it(record, page);
}

/// Who did not play, invalid trials, what was not applied, what was emulated, the
/// instrument.
fn doubts(record: &Record, groups: &Groups<'_>, page: &mut Page) {
    // The same remark on many trials is printed once, with all it applies to.
    let mut remarks: Vec<(Paint, String, Vec<String>)> = Vec::new();
    let mut remark = |paint: Paint, text: String, of: String| match remarks
        .iter_mut()
        .find(|(_, known, _)| *known == text)
    {
        Some((_, _, all)) if all.contains(&of) => {}
        Some((_, _, all)) => all.push(of),
        None => remarks.push((paint, text, vec![of])),
    };
    for left_out in record.not_played.iter().take(40) {
        let who = format!("{} {}", clean::line(&left_out.contender, 60), left_out.mode);
        let text = format!("not played: {}", clean::line(&left_out.reason, 200));
        remark(Paint::Yellow, text, who);
    }
    for group in &groups.0 {
        let who = format!("{} {}", group.contender, group.mode);
        for trial in &group.trials {
            if !trial.valid {
                let reason = trial.invalid_reason.as_deref().unwrap_or("no reason given");
                let text =
                    format!("(!) invalid, repeat {}: {}", trial.repeat, clean::line(reason, 300));
                remark(Paint::Yellow, text, who.clone());
            }
            for text in trial.not_applied.iter().take(40) {
                remark(
                    Paint::Plain,
                    format!("not applied: {}", clean::line(text, 300)),
                    who.clone(),
                );
            }
            for text in trial.emulated.iter().take(40) {
                remark(Paint::Plain, format!("emulated: {}", clean::line(text, 300)), who.clone());
            }
        }
        if let Some(text) = instrument(group) {
            remark(Paint::Plain, text, who.clone());
        }
        if let Some(generator) = sockets::generator(group) {
            let paint = if generator.is_bottleneck { Paint::Yellow } else { Paint::Plain };
            remark(paint, generator.text, who.clone());
        }
    }
    if remarks.is_empty() {
        return;
    }
    page.heading("To bear in mind");
    for (paint, text, of) in remarks.iter().take(60) {
        page.paragraph(*paint, "- ", &format!("{}: {text}", of.join(", ")));
    }
}

/// How late the generator itself was.
fn instrument(group: &Group<'_>) -> Option<String> {
    let canary = group.median(|trial| trial.generator.canary_p99_us)?;
    let lag = group.median(|trial| trial.generator.lag_p99_us)?;
    Some(format!(
        "the generator's own lag is {} at p99; with nothing in between it is {}",
        micros(lag),
        micros(canary)
    ))
}

fn settings(record: &Record, groups: &Groups<'_>, page: &mut Page) {
    let mut changed: Vec<String> =
        record.scenario.non_defaults.iter().take(60).map(|text| clean::line(text, 200)).collect();
    let mut of_contenders: BTreeMap<String, ()> = BTreeMap::new();
    for trial in groups.0.iter().flat_map(|group| &group.trials) {
        for (name, setting) in trial.settings.iter().filter(|(_, setting)| !setting.default) {
            let text = format!("{}: {name} = {}", trial.contender, setting.value);
            of_contenders.insert(clean::line(&text, 200), ());
        }
    }
    changed.extend(of_contenders.into_keys().take(60));
    if changed.is_empty() {
        return;
    }
    page.heading("Settings that are not defaults");
    for text in &changed {
        page.paragraph(Paint::Plain, "* ", text);
    }
}

fn repeat_it(record: &Record, page: &mut Page) {
    page.heading("To repeat it");
    page.paragraph(Paint::Plain, "  ", &clean::line(&record.command, 600));
    let mut text = format!("seed {}", record.seed);
    for (what, value) in [
        ("scenario", Some(&record.scenario.hash)),
        ("trace", record.trace_hash.as_ref()),
        ("commit", record.lab.commit.as_ref()),
    ] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            text.push_str(&format!(", {what} {}", clean::line(value, 64)));
        }
    }
    text.push_str(&format!(", lab {}", clean::line(&record.lab.version, 40)));
    page.paragraph(Paint::Dim, "  ", &text);
    let host = &record.host;
    let memory = host.memory_bytes as f64 / f64::from(1 << 30);
    let text = format!(
        "on {}, {} cores, {memory:.1} GiB, {}; {}",
        clean::line(&host.cpu, 80),
        host.cores,
        clean::line(&host.os, 80),
        clean::line(&record.started_at, 40),
    );
    page.paragraph(Paint::Dim, "  ", &text);
}
