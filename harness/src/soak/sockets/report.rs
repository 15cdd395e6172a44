//! What a soak of the sockets has come to, for people and for programs.

use lab_reports::text::count;
use serde_json::{Map, Value, json};

use super::{Account, Seen, Wanted};
use crate::term::Sheet;
use crate::wire::metrics::Ended;

/// The account for people, `width` columns wide.
pub fn page(wanted: &Wanted, account: &Account, width: usize) -> String {
    let mut sheet = Sheet::new(width);
    let rounds = count(account.rounds);
    let took = account.took.as_secs_f64();
    sheet.text("", &format!("Seed {}: {rounds} rounds over TCP in {took:.1} s.", wanted.seed));
    for (name, seen) in &account.seen {
        sheet.heading(&format!(
            "{name}: {} messages, {} deliveries to clients that came and went {} times",
            count(seen.messages),
            count(seen.deliveries),
            count(seen.churned),
        ));
        let longest = seen.longest.as_secs_f64() * 1e3;
        sheet.text("  the longest round   ", &format!("{longest:.1} ms"));
        let deeds = seen.deeds.iter().map(|(deed, times)| format!("{} {times}", deed.name()));
        sheet.text("  strangers           ", &deeds.collect::<Vec<_>>().join(", "));
        let ends: Vec<String> =
            ends(seen).map(|(why, times)| format!("{why} {}", count(times))).collect();
        let accepted = count(seen.counts.accepted_total);
        sheet.text("  connections         ", &format!("{accepted}, ended by: {}", ends.join(", ")));
        for name in &seen.unreached {
            sheet.text("  NEVER REACHED       ", name);
        }
    }
    for breach in &account.breaches {
        sheet.heading(&format!("Broken in round {}, {}", breach.round, breach.server));
        sheet.text("  what       ", &breach.what);
        sheet.text("  replay     ", &replay(wanted, account));
    }
    sheet.gap();
    sheet.text("", &verdict(account));
    sheet.finish()
}

/// Why connections ended, and how many.
fn ends(seen: &Seen) -> impl Iterator<Item = (&'static str, u64)> {
    let all = Ended::ALL.iter().map(|why| (why.name(), seen.counts.ended_by(*why)));
    all.filter(|(_, times)| *times > 0)
}

/// The command that says the same again. How it meets on the server may differ.
fn replay(wanted: &Wanted, account: &Account) -> String {
    format!("lab soak --sockets --seed {} --rounds {}", wanted.seed, account.rounds)
}

/// How many things that should be reached were not.
pub fn weak(account: &Account) -> usize {
    account.seen.values().map(|seen| seen.unreached.len()).sum()
}

fn verdict(account: &Account) -> String {
    let found = match account.breaches.len() {
        0 => "No promise was seen broken",
        _ => "A promise was broken",
    };
    let weak = match weak(account) {
        0 => "every kind of stranger and of end was reached".to_owned(),
        some => format!("{some} kinds of strangers or ends never came: the search was weak"),
    };
    let cut = if account.interrupted { "; it was interrupted" } else { "" };
    format!("{found}; {weak}{cut}.")
}

/// The account for programs.
pub fn value(wanted: &Wanted, account: &Account) -> Value {
    let servers: Map<String, Value> = account
        .seen
        .iter()
        .map(|(name, seen)| {
            let strangers: Map<String, Value> = seen
                .deeds
                .iter()
                .map(|(deed, times)| (deed.name().to_owned(), json!(times)))
                .collect();
            let ended: Map<String, Value> =
                ends(seen).map(|(why, times)| (why.to_owned(), json!(times))).collect();
            let row = json!({
                "messages": seen.messages,
                "deliveries": seen.deliveries,
                "churned": seen.churned,
                "longest_round_us": seen.longest.as_micros() as u64,
                "strangers": strangers,
                "accepted": seen.counts.accepted_total,
                "ended": ended,
                "connections_left": seen.counts.connections,
                "buffered_bytes_left": seen.counts.buffered_bytes,
                "never_reached": seen.unreached,
            });
            ((*name).to_owned(), row)
        })
        .collect();
    let breaches: Vec<Value> = account
        .breaches
        .iter()
        .map(|breach| json!({"round": breach.round, "server": breach.server, "what": breach.what}))
        .collect();
    json!({
        "seed": wanted.seed,
        "rounds": account.rounds,
        "took_s": account.took.as_secs_f64(),
        "interrupted": account.interrupted,
        "servers": servers,
        "broken": breaches,
        "replay": replay(wanted, account),
        "verdict": verdict(account),
    })
}
