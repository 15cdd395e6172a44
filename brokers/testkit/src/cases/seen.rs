//! Compares what clients received with what a step expects.

use std::collections::BTreeMap;

use broker_contract::{Delivery, Ticket};

use super::model::{Checks, Order};

/// What a payload is padded with.
pub(super) const PADDING: u8 = b'.';
/// Longer lists are cut in messages.
const SHOWN: usize = 12;

/// (expected, seen) of something that does not fit.
type Misfit = (String, String);

/// What one client has received.
#[derive(Default)]
pub(super) struct Received {
    all: Vec<Delivery>,
    rest: Vec<Delivery>,
}

impl Received {
    pub(super) fn extend(&mut self, deliveries: Vec<Delivery>) {
        self.all.extend(deliveries.iter().cloned());
        self.rest.extend(deliveries);
    }

    /// Deliveries that no step has accounted for.
    pub(super) fn rest(&self) -> &[Delivery] {
        &self.rest
    }

    pub(super) fn count(&self, via: Option<Ticket>) -> usize {
        self.rest.iter().filter(|delivery| came(delivery, via)).count()
    }

    pub(super) fn take(&mut self, via: Option<Ticket>) -> Vec<Delivery> {
        let (taken, rest) =
            std::mem::take(&mut self.rest).into_iter().partition(|delivery| came(delivery, via));
        self.rest = rest;
        taken
    }

    /// The first delivery ever with this payload.
    pub(super) fn find(&self, payload: &str) -> Option<&Delivery> {
        self.all.iter().find(|delivery| text(delivery.message.payload()) == payload)
    }

    /// The last delivery ever with this payload.
    pub(super) fn find_last(&self, payload: &str) -> Option<&Delivery> {
        self.all.iter().rev().find(|delivery| text(delivery.message.payload()) == payload)
    }
}

fn came(delivery: &Delivery, via: Option<Ticket>) -> bool {
    via.is_none_or(|ticket| delivery.subscription == ticket)
}

/// A payload as text, without its padding.
pub(super) fn text(payload: &[u8]) -> String {
    let end = payload.iter().rposition(|byte| *byte != PADDING).map_or(0, |last| last + 1);
    String::from_utf8_lossy(&payload[..end]).into_owned()
}

/// Deliveries for people.
pub(super) fn list(deliveries: &[Delivery]) -> String {
    let texts: Vec<_> =
        deliveries.iter().map(|delivery| text(delivery.message.payload())).collect();
    quoted(&texts)
}

fn quoted(texts: &[String]) -> String {
    if texts.is_empty() {
        return "nothing".to_owned();
    }
    let shown: Vec<_> = texts.iter().take(SHOWN).map(|text| format!("{text:?}")).collect();
    let more =
        if texts.len() > SHOWN { format!(" ... ({} in all)", texts.len()) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

/// Checks payloads, their order, and that none was cut short.
pub(super) fn check_run(
    who: &str,
    deliveries: &[Delivery],
    runs: &[Vec<String>],
    order: Order,
    sizes: &BTreeMap<String, usize>,
) -> Result<(), Misfit> {
    let texts: Vec<_> =
        deliveries.iter().map(|delivery| text(delivery.message.payload())).collect();
    let wanted = runs.concat();
    let fits = match order {
        Order::Exact => texts == wanted,
        Order::Any => sorted(&texts) == sorted(&wanted),
        Order::Each => {
            sorted(&texts) == sorted(&wanted)
                && runs.iter().all(|run| {
                    let own: Vec<_> = texts.iter().filter(|text| run.contains(text)).collect();
                    own.into_iter().eq(run)
                })
        }
    };
    if !fits {
        let how = match order {
            Order::Exact => "in this order",
            Order::Each => "each range in its order",
            Order::Any => "in any order",
        };
        let difference = difference(&wanted, &texts);
        return Err((
            format!("`{who}` receives {}, {how}", quoted(&wanted)),
            format!("{}{difference}", quoted(&texts)),
        ));
    }
    for (delivery, text) in deliveries.iter().zip(&texts) {
        let len = delivery.message.payload().len();
        if let Some(size) = sizes.get(text)
            && *size != len
        {
            return Err((format!("{text:?} with {size} bytes"), format!("{len} bytes")));
        }
    }
    Ok(())
}

/// Checks that each payload went to one of the clients, once.
pub(super) fn check_shares(
    shares: &[(&str, Vec<Delivery>)],
    payloads: &[String],
    everybody: bool,
) -> Result<(), Misfit> {
    let texts: Vec<_> = shares
        .iter()
        .flat_map(|(_, deliveries)| deliveries)
        .map(|delivery| text(delivery.message.payload()))
        .collect();
    let counts: Vec<_> =
        shares.iter().map(|(name, deliveries)| format!("{name}: {}", deliveries.len())).collect();
    let counts = counts.join(", ");
    if sorted(&texts) != sorted(payloads) {
        return Err((
            format!("each of {} once among all", quoted(payloads)),
            format!("{counts}{}", difference(payloads, &texts)),
        ));
    }
    if everybody && shares.iter().any(|(_, deliveries)| deliveries.is_empty()) {
        return Err(("that every member takes a share".to_owned(), counts));
    }
    Ok(())
}

/// Checks channels, headers and redelivery marks.
pub(super) fn check_messages(deliveries: &[Delivery], checks: &Checks) -> Result<(), Misfit> {
    for (index, delivery) in deliveries.iter().enumerate() {
        let channel = String::from_utf8_lossy(delivery.message.channel());
        let wanted = checks.channels.get(index).or(checks.channels.first());
        if let Some(wanted) = wanted
            && *wanted != channel
        {
            return Err((format!("message {} on {wanted}", index + 1), format!("on {channel}")));
        }
        for (name, value) in &checks.headers {
            if !carries(delivery.message.headers(), name, value) {
                return Err((
                    format!("header {name}: {value}"),
                    format!("{:?}", String::from_utf8_lossy(delivery.message.headers())),
                ));
            }
        }
        if checks.redelivered.is_some_and(|wanted| wanted != delivery.redelivered) {
            return Err((
                format!("redelivered: {:?}", checks.redelivered),
                format!("{}", delivery.redelivered),
            ));
        }
    }
    Ok(())
}

/// Whether a raw header block names `name` and has `value` after it; how the two
/// are set apart is each protocol's own.
fn carries(block: &[u8], name: &str, value: &str) -> bool {
    let find = |haystack: &[u8], needle: &[u8]| {
        haystack.windows(needle.len().max(1)).position(|window| window == needle)
    };
    find(block, name.as_bytes())
        .is_some_and(|at| find(&block[at + name.len()..], value.as_bytes()).is_some())
}

fn sorted(texts: &[String]) -> Vec<&String> {
    let mut sorted: Vec<_> = texts.iter().collect();
    sorted.sort();
    sorted
}

/// What is missing, what came too often and where the order breaks, for people.
fn difference(wanted: &[String], texts: &[String]) -> String {
    let mut counts: BTreeMap<&String, i64> = BTreeMap::new();
    for text in wanted {
        *counts.entry(text).or_default() += 1;
    }
    for text in texts {
        *counts.entry(text).or_default() -= 1;
    }
    let missing: Vec<_> =
        counts.iter().filter(|(_, n)| **n > 0).map(|(text, _)| (*text).clone()).collect();
    let extra: Vec<_> =
        counts.iter().filter(|(_, n)| **n < 0).map(|(text, _)| (*text).clone()).collect();
    let mut parts = String::new();
    if !missing.is_empty() {
        parts.push_str(&format!("; missing {}", quoted(&missing)));
    }
    if !extra.is_empty() {
        parts.push_str(&format!("; too much {}", quoted(&extra)));
    }
    if parts.is_empty()
        && let Some(at) = wanted.iter().zip(texts).position(|(wanted, text)| wanted != text)
    {
        parts = format!("; place {} has {:?} instead of {:?}", at + 1, texts[at], wanted[at]);
    }
    parts
}
