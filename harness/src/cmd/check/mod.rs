//! `lab check`: what a scenario means, in words.
//!
//! **What it is for.** The resolved plan on one page: when, who, how often, over
//! which links, how each contender expresses each filter, what goes wrong, what
//! must hold, and everything that is not a default.
//!
//! **What it never does.** It starts no broker and draws no message; the numbers
//! of messages and deliveries are what the rates come to, marked *about*.
//!
//! **Where to start reading.** [`page`].

mod expect;
#[cfg(test)]
mod tests;
mod words;

use broker_contract::{Claim, Contender, Feature, SettingError};
use clap::Args;
use lab_reports::text::count;
use lab_workloads::scenario::model::{Population, Role, Scenario, Stream, Subscription};

use crate::contenders::{self, ContenderSpec, Visit};
use crate::exit::{CliError, Exit};
use crate::scenario_file::{self, Wanted};
use crate::term::{self, Sheet};
use crate::trial::terms::{Terms, terms};

const EXAMPLES: &str = "\
Examples:
  lab check iot-50k
  lab check mine.toml --set populations.devices.count=1000";

/// Arguments of `lab check`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CheckCli {
    /// A scenario file, or the name of a built-in one (see `lab list`)
    scenario: String,
    /// Change a key of the scenario; the value is TOML, and a later one wins
    #[arg(long = "set", value_name = "PATH=VALUE", value_parser = super::run::assignment)]
    sets: Vec<(String, String)>,
}

/// Prints the plan.
///
/// # Errors
/// [`CliError`] when the scenario is wrong, or asks for settings that a
/// contender does not have.
pub fn run(args: &CheckCli) -> Result<Exit, CliError> {
    let wanted = Wanted { scenario: &args.scenario, sets: &args.sets, ..Wanted::default() };
    let scenario = scenario_file::load(&wanted)?;
    term::print(&page(&scenario, term::style().width)?)?;
    Ok(Exit::Done)
}

/// The page, `width` columns wide.
///
/// # Errors
/// [`CliError::Usage`] for settings that a contender does not have.
pub fn page(scenario: &Scenario, width: usize) -> Result<String, CliError> {
    let mut sheet = Sheet::new(width);
    sheet.text("", &format!("{}: {}", scenario.name, scenario.title));
    sheet.text("", &scenario.question);
    phases(scenario, &mut sheet);
    senders(scenario, &mut sheet);
    receivers(scenario, &mut sheet);
    logs(scenario, &mut sheet);
    links(scenario, &mut sheet);
    faults(scenario, &mut sheet);
    objectives(scenario, &mut sheet);
    settings(scenario, &mut sheet)?;
    if !scenario.non_defaults.is_empty() {
        sheet.heading("Keys that are not at their documented default");
        for text in &scenario.non_defaults {
            sheet.text("  * ", &lab_reports::clean::line(text, 400));
        }
    }
    sheet.heading(&format!(
        "Seed {}, scenario hash {}. The scenario is sound.",
        scenario.seed, scenario.hash
    ));
    Ok(sheet.finish())
}

fn phases(scenario: &Scenario, sheet: &mut Sheet) {
    sheet.heading(&format!(
        "Phases ({} in all, {} measured)",
        words::nanos(scenario.ends_ns()),
        words::seconds(scenario.window_s())
    ));
    for phase in &scenario.phases {
        let from = words::nanos(phase.start_ns);
        let until = words::nanos(phase.end_ns);
        sheet.text(&format!("  {:<18} ", format!("{from} to {until}")), &words::phase(phase));
    }
}

fn senders(scenario: &Scenario, sheet: &mut Sheet) {
    sheet.heading("Who sends");
    let mut messages = 0.0;
    for population in &scenario.populations {
        let asks = match &population.role {
            Role::Publisher { .. } => String::new(),
            Role::Requester { timeout, .. } => {
                format!("; each waits up to {} for an answer", words::duration(*timeout))
            }
            Role::Subscriber(_) | Role::Responder { .. } => continue,
        };
        sheet.text("  ", &format!("{}{asks}", members(scenario, population)));
        for stream in population.streams() {
            let total = expect::messages(scenario, population, stream);
            messages += total;
            sheet.text("    ", &stream_text(population, stream, total));
        }
    }
    sheet.text("  ", &format!("About {} messages in all.", whole(messages)));
}

fn stream_text(population: &Population, stream: &Stream, total: f64) -> String {
    let key = stream.key.as_ref().map_or_else(String::new, |key| format!(", key {}", key.text));
    let rate = expect::rate_per_member(&stream.arrival) * f64::from(population.count);
    format!(
        "{}: to {}{key}; {} ({}/s in all); {}; about {} messages",
        stream.name,
        stream.channel.text,
        words::arrival(&stream.arrival),
        lab_reports::text::rate(rate),
        words::sizes(&stream.size),
        whole(total),
    )
}

fn receivers(scenario: &Scenario, sheet: &mut Sheet) {
    sheet.heading("Who receives, and how each contender expresses it");
    for (index, population) in scenario.populations.iter().enumerate() {
        let Some(subscription) = population.subscription() else { continue };
        let answers = match &population.role {
            Role::Responder { reply_size, .. } => format!("; answers with {reply_size} B"),
            _ => String::new(),
        };
        sheet.text("  ", &format!("{}{answers}", members(scenario, population)));
        let deliveries = expect::deliveries(scenario, population, subscription);
        sheet.text(
            "    ",
            &format!(
                "{}; {}; about {} deliveries",
                words::filter(subscription),
                words::handling(subscription),
                deliveries.map_or_else(|| "an unknown number of".to_owned(), whole),
            ),
        );
        lowered(scenario, index, subscription, sheet);
    }
}

/// What is stored in what, by contenders that store.
fn logs(scenario: &Scenario, sheet: &mut Sheet) {
    struct Keeps;
    impl Visit for Keeps {
        type Out = Option<&'static str>;
        fn visit<C: Contender>(self) -> Self::Out {
            match C::profile().claim(Feature::Replay) {
                Claim::Unsupported(reason) => Some(reason),
                Claim::Native | Claim::Emulated(_) => None,
            }
        }
    }
    let declared = scenario.declarations();
    if declared.is_empty() {
        return;
    }
    sheet.heading("What is stored in what, where anything is stored");
    for log in &declared {
        let partitions = log.partitions.map_or_else(String::new, words::partitions);
        sheet.text("  ", &format!("{}: {}{partitions}", log.name, log.filters.join(", ")));
        for name in contenders::names() {
            let own = scenario.contenders.get(*name).and_then(|it| it.partitions.get(&log.name));
            let text = match (contenders::with(name, Keeps).flatten(), own) {
                (Some(reason), _) => format!("nothing ({reason})"),
                (None, Some(own)) => format!("a log of its own{} *", words::partitions(*own)),
                (None, None) => "a log of its own".to_owned(),
            };
            sheet.text(&format!("      {name:<10} "), &text);
        }
    }
}

/// How each contender expresses the filter of the population's first member, and
/// what it does without.
fn lowered(scenario: &Scenario, index: usize, subscription: &Subscription, sheet: &mut Sheet) {
    struct Lower<'a>(&'a Scenario, usize, &'a str, bool);
    impl Visit for Lower<'_> {
        type Out = (broker_contract::Lowering, Option<Terms>);
        fn visit<C: Contender>(self) -> Self::Out {
            let terms = terms::<C>(self.0).into_iter().nth(self.1).flatten();
            (C::lower(self.2, self.3), terms)
        }
    }
    let filter = expect::rendered(&subscription.filter, 0);
    for name in contenders::names() {
        let visit = Lower(scenario, index, &filter, subscription.group.is_some());
        let Some((lowering, terms)) = contenders::with(name, visit) else { continue };
        let terms = terms.unwrap_or_default();
        if let Some(reason) = &terms.unsupported {
            sheet.text(&format!("      {name:<10} "), &format!("not served: {reason}"));
            continue;
        }
        let emulation = lowering
            .emulation
            .map_or_else(|| " (native)".to_owned(), |how| format!(" (emulated: {how})"));
        sheet.text(&format!("      {name:<10} "), &format!("{}{emulation}", lowering.native));
        for lack in &terms.lacks {
            let without = lack.split_once(": ").map_or(lack.as_str(), |(_, rest)| rest);
            sheet.text("                 ", &format!("without {without}"));
        }
    }
}

fn members(scenario: &Scenario, population: &Population) -> String {
    let link = scenario.links.get(population.link).map_or("none", |link| link.name.as_str());
    let plural = if population.count == 1 { "member" } else { "members" };
    format!(
        "{}: {} {plural} over link {link}, {}",
        population.name,
        count(u64::from(population.count)),
        words::connections(population.connections),
    )
}

fn links(scenario: &Scenario, sheet: &mut Sheet) {
    sheet.heading("Links (in virtual time; embedded has none)");
    for link in &scenario.links {
        sheet.text(&format!("  {:<10} ", link.name), &words::link(link));
    }
}

fn faults(scenario: &Scenario, sheet: &mut Sheet) {
    if scenario.faults.is_empty() {
        return;
    }
    sheet.heading("What goes wrong");
    for fault in &scenario.faults {
        let span = format!("{} to {}", words::nanos(fault.at_ns), words::nanos(fault.until_ns));
        sheet.text(&format!("  {span:<18} "), &words::fault(scenario, &fault.kind));
    }
}

fn objectives(scenario: &Scenario, sheet: &mut Sheet) {
    sheet.heading("What must hold");
    if scenario.objectives.is_empty() {
        sheet.text("  ", "Nothing: there is no objective, so every contender fits.");
    }
    for objective in &scenario.objectives {
        let name = scenario
            .populations
            .get(objective.population)
            .map_or("?", |population| population.name.as_str());
        sheet.text(&format!("  {name:<10} "), &words::objective(objective));
    }
}

fn settings(scenario: &Scenario, sheet: &mut Sheet) -> Result<(), CliError> {
    struct Resolve<'a>(&'a ContenderSpec, &'a [String], &'a [(String, String)]);
    impl Visit for Resolve<'_> {
        type Out = Result<Vec<String>, SettingError>;
        fn visit<C: Contender>(self) -> Self::Out {
            let settings = self.0.resolve::<C>(self.1, self.2)?;
            C::configure(&settings)?;
            Ok(settings
                .iter()
                .map(|(name, setting)| {
                    let mark = if setting.is_default { "" } else { " *" };
                    format!("{name} {}{mark}", setting.value)
                })
                .collect())
        }
    }
    sheet.heading("Contenders and their settings (* is not the original's default)");
    for name in contenders::names() {
        let overrides = scenario.contenders.get(*name).cloned().unwrap_or_default();
        let spec = ContenderSpec::plain(name);
        let visit = Resolve(&spec, &overrides.presets, &overrides.settings);
        let Some(resolved) = contenders::with(name, visit) else { continue };
        let settings = resolved.map_err(|error| {
            CliError::Usage(format!("the scenario's settings for `{name}`: {error}"))
        })?;
        let settings = if settings.is_empty() { vec!["none".to_owned()] } else { settings };
        sheet.text(&format!("  {name:<10} "), &settings.join(", "));
        for (at, connections) in &overrides.connections {
            if let Some(population) = scenario.populations.get(*at) {
                let text = format!("{}: {} *", population.name, words::connections(*connections));
                sheet.text("             ", &text);
            }
        }
    }
    Ok(())
}

fn whole(value: f64) -> String {
    lab_reports::text::rate(value.round())
}
