//! `lab list`: the scenarios there are, and what each teaches.

use clap::Args;

use crate::contenders;
use crate::exit::{CliError, Exit};
use crate::scenario_file::{self, BuiltIn};
use crate::term::{self, Sheet};

const EXAMPLES: &str = "\
Examples:
  lab list
  lab list --json | jq -r '.scenarios[].name'";

/// Arguments of `lab list`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ListCli {
    /// Print the list as JSON
    #[arg(long)]
    json: bool,
}

/// Prints the list.
///
/// # Errors
/// [`CliError`] when standard output cannot be written.
pub fn run(args: &ListCli) -> Result<Exit, CliError> {
    let scenarios = scenario_file::all_built_in();
    let page = if args.json { json(&scenarios) } else { page(&scenarios, term::style().width) };
    term::print(&page)?;
    Ok(Exit::Done)
}

fn page(scenarios: &[BuiltIn], width: usize) -> String {
    let mut sheet = Sheet::new(width);
    sheet.text("", "Scenarios (lab run NAME, lab check NAME)");
    for scenario in scenarios {
        sheet.gap();
        sheet.text("  ", &format!("{}: {}", scenario.name, scenario.title));
        sheet.text("    ", &scenario.question);
        sheet.text("    ", &format!("Teaches: {}", scenario.lesson));
    }
    sheet.heading("Contenders");
    for known in contenders::all_known() {
        let profile = &known.profile;
        sheet.text(
            &format!("  {:<10} ", profile.name),
            &format!("{}. {}", profile.title, profile.summary),
        );
    }
    sheet.finish()
}

fn json(scenarios: &[BuiltIn]) -> String {
    let scenarios: Vec<serde_json::Value> = scenarios
        .iter()
        .map(|scenario| {
            serde_json::json!({
                "name": scenario.name,
                "title": scenario.title,
                "question": scenario.question,
                "lesson": scenario.lesson,
            })
        })
        .collect();
    let contenders: Vec<serde_json::Value> = contenders::all_known()
        .iter()
        .map(|known| {
            let (name, title) = (known.profile.name, known.profile.title);
            serde_json::json!({ "name": name, "title": title, "available": true })
        })
        .collect();
    let list = serde_json::json!({ "scenarios": scenarios, "contenders": contenders });
    format!("{list:#}\n")
}
