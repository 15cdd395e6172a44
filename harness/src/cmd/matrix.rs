//! `lab matrix`: what each contender has, and what it promises.

use std::collections::BTreeMap;

use broker_contract::{Claim, Feature, Profile, Proof};
use clap::Args;
use lab_reports::text::{Column, Table};

use crate::contenders;
use crate::exit::{CliError, Exit};
use crate::term::{self, Sheet};

const EXAMPLES: &str = "\
Examples:
  lab matrix
  lab matrix --json | jq '.contenders[] | {name, features}'";

/// Arguments of `lab matrix`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct MatrixCli {
    /// Print the matrix as JSON
    #[arg(long)]
    json: bool,
}

/// Prints the matrix.
///
/// # Errors
/// [`CliError`] when standard output cannot be written.
pub fn run(args: &MatrixCli) -> Result<Exit, CliError> {
    let profiles = contenders::profiles();
    let page = if args.json { json(&profiles) } else { page(&profiles, term::style()) };
    term::print(&page)?;
    Ok(Exit::Done)
}

fn page(profiles: &[Profile], style: lab_reports::render::Style) -> String {
    let mut sheet = Sheet::new(style.width);
    let columns = std::iter::once(Column::words("", "feature"))
        .chain(profiles.iter().map(|profile| Column::words("", profile.name)));
    let mut table = Table::new(columns.collect::<Vec<_>>());
    for feature in Feature::ALL {
        let cells = profiles.iter().map(|profile| word(profile.claim(*feature)).to_owned());
        table.row(std::iter::once(feature.title().to_owned()).chain(cells));
    }
    sheet.raw(&table.render(style));
    for profile in profiles {
        reasons(&mut sheet, profile);
    }
    for profile in profiles {
        promises(&mut sheet, profile);
    }
    sheet.finish()
}

const fn word(claim: Claim) -> &'static str {
    match claim {
        Claim::Native => "native",
        Claim::Emulated(_) => "emulated",
        Claim::Unsupported(_) => "no",
    }
}

/// Why a feature is not native, for each that is not.
fn reasons(sheet: &mut Sheet, profile: &Profile) {
    sheet.heading(&format!("{}: what is not native, and why", profile.name));
    // Features that are missing for the same reason share a line.
    let mut by_reason: Vec<(&str, &str, Vec<&str>)> = Vec::new();
    for feature in Feature::ALL {
        let claim = profile.claim(*feature);
        let (Claim::Emulated(reason) | Claim::Unsupported(reason)) = claim else { continue };
        match by_reason.iter_mut().find(|(kind, known, _)| *kind == word(claim) && *known == reason)
        {
            Some((_, _, features)) => features.push(feature.title()),
            None => by_reason.push((word(claim), reason, vec![feature.title()])),
        }
    }
    for (kind, reason, features) in by_reason {
        sheet.text(&format!("  {kind:<9} "), &format!("{}: {reason}", features.join("; ")));
    }
}

fn promises(sheet: &mut Sheet, profile: &Profile) {
    sheet.heading(&format!("{} ({}) promises", profile.name, profile.title));
    let promises = &profile.promises;
    for (what, text) in [
        ("delivery", promises.delivery),
        ("order", promises.order),
        ("subscriber away", promises.subscriber_away),
        ("slow subscriber", promises.slow_subscriber),
        ("broker crash", promises.crash),
    ] {
        sheet.text(&format!("  {what:<16} "), text);
    }
    sheet.text(&format!("  {:<16} ", "an ack proves"), &proof(profile.proof));
}

/// What an acknowledgement proves, in words.
pub(super) fn proof(proof: Proof) -> String {
    use broker_contract::Durability;
    match (proof.copies, proof.durable) {
        (0, _) => "nothing: publishes are not acknowledged".to_owned(),
        (copies, Durability::None) => format!("{copies} in memory, gone with the process"),
        (copies, Durability::PageCache) => {
            format!("{copies} in the page cache: survives a killed process, not a power loss")
        }
        (copies, Durability::Synced) => {
            format!("{copies} synced to a device: survives a power loss")
        }
    }
}

fn json(profiles: &[Profile]) -> String {
    let contenders: Vec<serde_json::Value> = profiles
        .iter()
        .map(|profile| {
            let features: BTreeMap<&str, serde_json::Value> = Feature::ALL
                .iter()
                .map(|feature| {
                    let claim = profile.claim(*feature);
                    let reason = match claim {
                        Claim::Native => None,
                        Claim::Emulated(reason) | Claim::Unsupported(reason) => Some(reason),
                    };
                    let support = if claim.is_available() { word(claim) } else { "unsupported" };
                    let value = serde_json::json!({ "support": support, "reason": reason });
                    (feature.name(), value)
                })
                .collect();
            let promises = &profile.promises;
            serde_json::json!({
                "name": profile.name,
                "title": profile.title,
                "summary": profile.summary,
                "features": features,
                "promises": {
                    "delivery": promises.delivery,
                    "order": promises.order,
                    "subscriber_away": promises.subscriber_away,
                    "slow_subscriber": promises.slow_subscriber,
                    "crash": promises.crash,
                    "at_most_once": promises.at_most_once,
                },
                "ack_proves": {
                    "copies": profile.proof.copies,
                    "durable": profile.proof.durable.name(),
                },
            })
        })
        .collect();
    let matrix = serde_json::json!({ "contenders": contenders });
    format!("{matrix:#}\n")
}
