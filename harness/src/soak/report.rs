//! What a search has come to, for people and for programs.

use lab_reports::text::count;
use serde_json::{Value, json};

use super::search::{Account, Failure, Wanted};
use crate::term::Sheet;

/// Failures that are told with their scenario; the others in a line each.
const TOLD: usize = 8;

/// The account for people, `width` columns wide.
pub fn page(wanted: &Wanted, account: &Account, width: usize) -> String {
    let mut sheet = Sheet::new(width);
    let last = wanted.from + wanted.seeds.saturating_sub(1);
    sheet.text(
        "",
        &format!(
            "Seeds {} to {last}: {} of {} done, in virtual time.",
            wanted.from,
            count(account.seeds),
            count(wanted.seeds),
        ),
    );
    for (label, tally) in &account.tallies {
        sheet.heading(&format!(
            "{label}: {} runs, {} failed; {} messages, {} deliveries, {} events",
            count(tally.runs),
            count(tally.failed),
            count(tally.messages),
            count(tally.deliveries),
            count(tally.events),
        ));
        for (name, (all, runs)) in &tally.rare {
            let line = format!("{} times in {} runs", count(*all), count(*runs));
            sheet.text(&format!("  {name:<34} "), &line);
        }
        if tally.damaged.all() > 0 {
            let damaged = tally.damaged;
            let line = format!(
                "{}: {} refused with an error, {} repaired, {} found nothing amiss at boot",
                count(damaged.all()),
                count(damaged.refused),
                count(damaged.repaired),
                count(damaged.silent),
            );
            sheet.text("  damaged stores booted              ", &line);
        }
        for name in &tally.unreached {
            sheet.text("  NEVER REACHED                      ", name);
        }
    }
    for (at, failure) in account.failures.iter().enumerate() {
        sheet.heading(&format!("Failure {}: {}", at + 1, title(failure)));
        for violation in &failure.violations {
            sheet.text(&format!("  {:<10} ", violation.kind.name()), &violation.what);
        }
        sheet.text("  replay     ", &replay(failure));
    }
    let mut out = sheet.finish();
    for (at, failure) in told(account) {
        out.push_str(&format!("\n--- failure {}: {}\n", at + 1, title(failure)));
        if let Some(tried) = failure.shrunk_in {
            out.push_str(&format!("--- made smaller in {tried} tries; as a scenario:\n"));
        }
        out.push_str(&scenario_of(failure));
    }
    out.push_str(&format!("\n{}\n", verdict(account)));
    out
}

fn told(account: &Account) -> impl Iterator<Item = (usize, &Failure)> {
    account.failures.iter().enumerate().filter(|(_, f)| f.shrunk_in.is_some()).take(TOLD)
}

/// One line that says how it ended.
pub fn verdict(account: &Account) -> String {
    let runs: u64 = account.tallies.values().map(|tally| tally.runs).sum();
    let weak: usize = account.tallies.values().map(|tally| tally.unreached.len()).sum();
    let found = match account.failures.len() {
        0 => format!("No promise was seen broken in {} runs", count(runs)),
        1 => format!("A promise was broken in 1 of {} runs", count(runs)),
        some => format!("A promise was broken in {} of {} runs", count(some as u64), count(runs)),
    };
    let weak = match weak {
        0 => "every rare event was reached".to_owned(),
        1 => "1 rare event was never reached, so the search was weak".to_owned(),
        some => format!("{some} rare events were never reached, so the search was weak"),
    };
    let cut = if account.interrupted { "; it was interrupted" } else { "" };
    format!("{found}; {weak}{cut}. Trace {:016x}.", account.hash)
}

fn title(failure: &Failure) -> String {
    let kind = failure.violations.first().map_or("none", |violation| violation.kind.name());
    format!("{kind}, {}, seed {}", failure.contender, failure.seed)
}

/// The command that plays a failure again.
pub fn replay(failure: &Failure) -> String {
    format!("lab soak --seed {} --contenders {}", failure.seed, failure.contender)
}

/// The scenario of a failure.
pub fn scenario_of(failure: &Failure) -> String {
    failure.draft.to_toml()
}

/// The account for programs.
pub fn value(wanted: &Wanted, account: &Account) -> Value {
    let tallies: serde_json::Map<String, Value> = account
        .tallies
        .iter()
        .map(|(label, tally)| {
            let rare: serde_json::Map<String, Value> = tally
                .rare
                .iter()
                .map(|(name, (all, runs))| (name.clone(), json!({ "times": all, "runs": runs })))
                .collect();
            let row = json!({
                "runs": tally.runs,
                "failed": tally.failed,
                "messages": tally.messages,
                "deliveries": tally.deliveries,
                "events": tally.events,
                "rare": rare,
                "never_reached": tally.unreached,
                "damaged_stores": {
                    "refused": tally.damaged.refused,
                    "repaired": tally.damaged.repaired,
                    "silent": tally.damaged.silent,
                },
            });
            (label.clone(), row)
        })
        .collect();
    let failures: Vec<Value> = account
        .failures
        .iter()
        .map(|failure| {
            let violations: Vec<Value> = failure
                .violations
                .iter()
                .map(|violation| json!({ "kind": violation.kind.name(), "what": violation.what }))
                .collect();
            json!({
                "seed": failure.seed,
                "contender": failure.contender,
                "violations": violations,
                "replay": replay(failure),
                "shrunk_in": failure.shrunk_in,
                "scenario": scenario_of(failure),
            })
        })
        .collect();
    json!({
        "from": wanted.from,
        "seeds": account.seeds,
        "seeds_wanted": wanted.seeds,
        "interrupted": account.interrupted,
        "trace_hash": format!("{:016x}", account.hash),
        "contenders": tallies,
        "failures": failures,
        "verdict": verdict(account),
    })
}
