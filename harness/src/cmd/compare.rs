//! `lab compare`: two records, and what became better or worse.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use lab_reports::compare::{Allow, Comparison, Finding, Form, Options, compare};
use lab_reports::record::Record;

use crate::exit::{CliError, Exit};
use crate::{record_file, term};

const EXAMPLES: &str = "\
Examples:
  lab run iot-50k --mode sim --out before   # ... change something ...
  lab run iot-50k --mode sim --out after
  lab compare before after
      seed by seed: virtual time has no noise
  lab compare before after --gate --format junit > compare.xml
      for a CI server; exit code 3 when something is worse
  lab compare before after --metrics delivery,capacity --format md

By the wall clock, make 5 or more runs on each side (`lab run --repeats 5`): the
run is the replicate, and with 3 against 3 no rank test can reach p < 0.05.

With --gate: exit code 3 when a figure is worse, 4 when a contender and mode
cannot be compared, 5 when the second record broke a promise (a loss without a
cause, or damage). The higher one of these counts; without --gate it is 0.";

/// Arguments of `lab compare`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CompareCli {
    /// The reference: a report.json, or the folder that holds it
    a: PathBuf,
    /// What is judged against it
    b: PathBuf,
    /// text, md (for a pull request), html, junit (for a CI server) or json
    #[arg(long, value_name = "FORMAT", default_value = "text", conflicts_with = "json")]
    format: String,
    /// The same as --format json
    #[arg(long)]
    json: bool,
    /// Exit with 3 when something is worse, with 4 when something cannot be compared
    #[arg(long)]
    gate: bool,
    /// Only these figures, such as delivery_p99,capacity; --json lists the names
    #[arg(long, value_name = "NAME,..", value_delimiter = ',')]
    metrics: Vec<String>,
    /// Compare in spite of a difference that is otherwise a reason to refuse
    #[arg(long, value_name = "WHAT,..", value_delimiter = ',')]
    allow: Vec<AllowCli>,
    /// Changes below this count as none, such as 5% or 0.05
    #[arg(long, value_name = "SHARE", default_value = "5%", value_parser = share)]
    threshold: f64,
    /// A rank test below this probability counts
    #[arg(long, value_name = "P", default_value = "0.05", value_parser = probability)]
    alpha: f64,
}

/// A difference that may be looked across.
#[derive(Copy, Clone, Debug, PartialEq, Eq, ValueEnum)]
enum AllowCli {
    /// Another scenario, or other values in it
    Scenario,
    /// Another machine
    Host,
    /// Other settings of a contender
    Settings,
    /// Acknowledgements that prove something else
    Acks,
}

/// Compares the records on standard output.
///
/// # Errors
/// [`CliError::Usage`] when one is no record, or they cannot be compared.
pub fn run(args: &CompareCli) -> Result<Exit, CliError> {
    let form: Form = if args.json {
        Form::Json
    } else {
        args.format.parse().map_err(|error| CliError::Usage(format!("{error}")))?
    };
    let (a, b) = (record_file::read(&args.a)?, record_file::read(&args.b)?);
    let options = Options {
        alpha: args.alpha,
        threshold: args.threshold,
        allow: Allow {
            scenario: args.allow.contains(&AllowCli::Scenario),
            host: args.allow.contains(&AllowCli::Host),
            settings: args.allow.contains(&AllowCli::Settings),
            acks: args.allow.contains(&AllowCli::Acks),
        },
        metrics: args.metrics.iter().map(|name| name.trim().to_owned()).collect(),
    };
    let (name_a, name_b) = (args.a.to_string_lossy(), args.b.to_string_lossy());
    let comparison = compare((&name_a, &a), (&name_b, &b), &options)
        .map_err(|error| CliError::Usage(error.to_string()))?;
    let page = comparison
        .render(form, term::style())
        .map_err(|error| CliError::Failed(error.to_string()))?;
    term::print(&page)?;
    Ok(if args.gate { gate(&comparison, &b) } else { Exit::Done })
}

/// What a regression gate makes of it.
fn gate(comparison: &Comparison, b: &Record) -> Exit {
    let mut exit = Exit::Done;
    if comparison.found(Finding::Worse).next().is_some() {
        exit = exit.or(Exit::NoneFits);
    }
    if comparison.refused().next().is_some() || b.partial {
        exit = exit.or(Exit::Undecided);
    }
    if b.trials.iter().any(lab_reports::record::Trial::broke_its_promise) {
        exit = exit.or(Exit::Broken);
    }
    exit
}

fn share(text: &str) -> Result<f64, String> {
    let (number, scale) = match text.trim().strip_suffix('%') {
        Some(percent) => (percent.trim_end(), 100.0),
        None => (text.trim(), 1.0),
    };
    match number.parse::<f64>() {
        Ok(value) if (0.0..=10.0).contains(&(value / scale)) => Ok(value / scale),
        _ => Err("give a share, such as 5% or 0.05".to_owned()),
    }
}

fn probability(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(value) if value > 0.0 && value <= 0.5 => Ok(value),
        _ => Err("give a probability above 0 and up to 0.5, such as 0.05".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_probabilities_have_bounds() {
        assert_eq!(share("5%"), Ok(0.05));
        assert_eq!(share("0.02"), Ok(0.02));
        assert_eq!(share("0"), Ok(0.0));
        for text in ["", "%", "-1%", "five", "NaN", "1e9"] {
            assert!(share(text).is_err(), "{text}");
        }
        assert_eq!(probability("0.01"), Ok(0.01));
        for text in ["0", "1", "-0.1", "NaN"] {
            assert!(probability(text).is_err(), "{text}");
        }
    }
}
