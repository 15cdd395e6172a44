//! Following one message, and drawing its way.

use std::sync::Arc;

use broker_contract::{Contender, SeedStream};
use lab_workloads::scenario::model::Scenario;

use super::trials::{Prepared, prepare_one};
use crate::cmd::trace::{TraceArgs, TraceForm};
use crate::contenders::{self, Visit};
use crate::exit::{CliError, Exit};
use crate::modes::sim;
use crate::modes::sim::costs::Costs;
use crate::modes::sim::tracing::{Actor, Trace};
use crate::{scenario_file, term};
use lab_reports::sequence::{self, Lane, Sequence, Step};

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
    let mut sequences = Vec::new();
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
        sequences.push(sequence(&spec.label, &trace));
    }
    let picture = match args.form {
        TraceForm::Text => sequence::text(&sequences, term::style()),
        TraceForm::Svg => sequence::svg(&sequences),
    };
    match &args.out {
        None => term::print(&picture)?,
        Some(file) => std::fs::write(file, &picture).map_err(|error| {
            let shown = lab_reports::clean::line(&file.display().to_string(), 200);
            CliError::Failed(format!("`{shown}` cannot be written: {error}"))
        })?,
    }
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

/// From the driver's actors to the lanes of a picture. A client is drawn as part
/// of the application that it serves.
fn sequence(contender: &str, trace: &Trace) -> Sequence {
    let begin = trace.steps.iter().map(|step| step.at_ns).min().unwrap_or(0);
    let publisher = trace.steps.iter().find_map(|step| match &step.from {
        Actor::Publisher(name, _) => Some(name.as_str()),
        _ => None,
    });
    let lane = |actor: &Actor| match actor {
        Actor::Publisher(..) => Lane::Publisher,
        Actor::Client(name, _) if Some(name.as_str()) == publisher => Lane::Publisher,
        Actor::Node => Lane::Node,
        Actor::Disk => Lane::Disk,
        Actor::Client(..) | Actor::Consumer(..) => Lane::Consumer,
    };
    let steps = trace
        .steps
        .iter()
        .map(|step| Step {
            from: lane(&step.from),
            to: lane(&step.to),
            leaves_ns: step.at_ns - begin,
            arrives_ns: step.until_ns.saturating_sub(begin),
            who: who(&step.to).or_else(|| who(&step.from)).unwrap_or_default(),
            what: step.what.clone(),
        })
        .collect();
    Sequence {
        contender: contender.to_owned(),
        message: trace.number,
        channel: trace.channel.clone(),
        steps,
    }
}

fn who(actor: &Actor) -> Option<String> {
    match actor {
        Actor::Publisher(name, member)
        | Actor::Client(name, member)
        | Actor::Consumer(name, member) => Some(format!("{name}[{member}]")),
        Actor::Node | Actor::Disk => None,
    }
}
