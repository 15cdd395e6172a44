//! Following one message, and drawing its way.

use std::sync::Arc;

use broker_contract::{Contender, SeedStream};
use lab_workloads::scenario::model::Scenario;

use super::trials::{Prepared, prepare_one};
use crate::cmd::trace::TraceArgs;
use crate::contenders::{self, Visit};
use crate::exit::{CliError, Exit};
use crate::modes::sim;
use crate::modes::sim::costs::Costs;
use crate::modes::sim::tracing::{Actor, Trace};
use crate::{scenario_file, term};

/// Follows a message through every contender in virtual time.
///
/// # Errors
/// [`CliError`] when an argument is wrong, or the plan has no such message.
pub fn trace(args: &TraceArgs) -> Result<Exit, CliError> {
    let scenario = Arc::new(scenario_file::load(&scenario_file::Wanted {
        scenario: &args.scenario,
        sets: &args.sets,
        seed: args.seed,
        duration: None,
        quick: false,
    })?);
    let mut out = String::new();
    for spec in &args.contenders {
        let prepared = prepare_one(&scenario, spec)?;
        let visit = Follow { scenario: &scenario, prepared: &prepared, number: args.message };
        let trace =
            contenders::with(&spec.name, visit).expect("a prepared contender is in the table");
        if trace.steps.is_empty() {
            return Err(CliError::Usage(format!(
                "the plan of `{}` has no message {}; with this seed it ends before",
                scenario.name, args.message
            )));
        }
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&draw(&spec.label, &trace));
    }
    term::print(&out)?;
    Ok(Exit::Done)
}

struct Follow<'a> {
    scenario: &'a Arc<Scenario>,
    prepared: &'a Prepared,
    number: u32,
}

impl Visit for Follow<'_> {
    type Out = Trace;
    fn visit<C: Contender>(self) -> Trace {
        let configured = C::configure(self.prepared.settings())
            .expect("settings that were prepared configure again");
        let seed = SeedStream::new(self.scenario.seed);
        sim::run_traced::<C>(self.scenario, &configured, &Costs::of(C::NAME), seed, self.number)
    }
}

/// Columns between two lifelines.
const COLUMN: usize = 17;
/// Columns in front of the first lifeline, for the time.
const MARGIN: usize = 12;

/// The message's way as a sequence diagram of at most 80 columns.
fn draw(contender: &str, trace: &Trace) -> String {
    let mut out =
        format!("{contender}: message {} on {} (virtual time)\n\n", trace.number, trace.channel);
    let begin = trace.steps.iter().map(|step| step.at_ns).min().unwrap_or(0);
    let heads = ["publisher", "client", "node", "client", "consumer"];
    out.push_str(&" ".repeat(MARGIN));
    for head in heads.iter().take(4) {
        out.push_str(&format!("{head:<COLUMN$}"));
    }
    out.push_str(heads[4]);
    out.push('\n');
    let mut steps = trace.steps.clone();
    steps.sort_by_key(|step| step.at_ns);
    for step in &steps {
        let upward = is_upward(trace, &step.from, &step.to);
        let (from, to) = (lane(&step.from, upward), lane(&step.to, upward));
        let time = format!("{:>9.1} us", (step.at_ns - begin) as f64 / 1e3);
        out.push_str(&format!("{time:<MARGIN$}{}\n", arrow(from, to)));
        let who = who(&step.to, &step.from);
        let text =
            if who.is_empty() { step.what.clone() } else { format!("{}: {}", who, step.what) };
        out.push_str(&format!("{}{text}\n", " ".repeat(MARGIN)));
    }
    let end = steps.last().map_or(begin, |step| step.at_ns);
    out.push_str(&format!(
        "\n{}{:.1} us from the intended moment to the last step\n",
        " ".repeat(MARGIN),
        (end - begin) as f64 / 1e3
    ));
    out
}

/// Whether a step belongs to the publishing side.
fn is_upward(trace: &Trace, from: &Actor, to: &Actor) -> bool {
    let publisher = trace.steps.iter().find_map(|step| match &step.from {
        Actor::Publisher(name, _) => Some(name.clone()),
        _ => None,
    });
    let is_publishers = |actor: &Actor| match (actor, &publisher) {
        (Actor::Publisher(..), _) => true,
        (Actor::Client(name, _), Some(publisher)) => name == publisher,
        _ => false,
    };
    is_publishers(from) || is_publishers(to)
}

fn lane(actor: &Actor, upward: bool) -> usize {
    match actor {
        Actor::Publisher(..) => 0,
        Actor::Client(..) if upward => 1,
        Actor::Node => 2,
        Actor::Client(..) => 3,
        Actor::Consumer(..) => 4,
    }
}

fn who(to: &Actor, from: &Actor) -> String {
    let name = |actor: &Actor| match actor {
        Actor::Publisher(name, member)
        | Actor::Client(name, member)
        | Actor::Consumer(name, member) => format!("{name}[{member}]"),
        Actor::Node => String::new(),
    };
    let to = name(to);
    if to.is_empty() { name(from) } else { to }
}

/// Lifelines with an arrow from one to another, or a mark on one.
fn arrow(from: usize, to: usize) -> String {
    let width = 4 * COLUMN + 1;
    let mut line: Vec<char> = vec![' '; width];
    for lane in 0..5 {
        line[lane * COLUMN] = '|';
    }
    let (left, right) = (from.min(to) * COLUMN, from.max(to) * COLUMN);
    if from == to {
        line[left] = 'o';
    } else {
        for cell in &mut line[left + 1..right] {
            *cell = '-';
        }
        if to > from {
            line[right - 1] = '>';
        } else {
            line[left + 1] = '<';
        }
    }
    line.into_iter().collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrows_point_where_they_go_and_fit() {
        assert_eq!(&arrow(0, 1)[..18], "|--------------->|");
        assert_eq!(&arrow(2, 1)[COLUMN..COLUMN * 2 + 1], "|<---------------|");
        assert_eq!(&arrow(1, 1)[COLUMN..=COLUMN], "o");
        assert!(MARGIN + arrow(0, 4).len() <= 81);
    }
}
