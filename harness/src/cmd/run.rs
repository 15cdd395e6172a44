//! `lab run`: a scenario against the contenders.

use std::path::PathBuf;
use std::time::Duration;

use broker_contract::units;
use clap::Args;
use lab_reports::record::Mode;

use crate::contenders::{self, ContenderSpec};
use crate::exit::{CliError, Exit};
use crate::session;

const EXAMPLES: &str = "\
Examples:
  lab run iot-50k
      both contenders, in virtual time and embedded, then the comparison
  lab run iot-50k --mode sim --seed 7 --quick
      a short run in virtual time; the same seed gives the same trace hash
  lab run mine.toml --set populations.devices.count=1000 --duration 30s
      your own scenario, smaller and shorter
  lab run iot-50k --contenders nats --require nats --out results/today
      a gate: exit code 3 unless nats meets all objectives
  lab run iot-50k --json | jq .verdict";

/// Arguments that decide what is run; `run` and `trace` share them.
#[derive(Debug, Args)]
pub struct WhatCli {
    /// A scenario file, or the name of a built-in one (see `lab list`)
    pub scenario: String,
    /// Contenders, each with presets and settings after a colon if you like
    #[arg(long, value_name = "NAME[:SETTING=VALUE],..")]
    pub contenders: Vec<String>,
    /// Seed of everything random; the scenario's own by default
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=1 << 53))]
    pub seed: Option<u64>,
    /// Change a key of the scenario; the value is TOML, and a later one wins
    #[arg(long = "set", value_name = "PATH=VALUE", value_parser = assignment)]
    pub sets: Vec<(String, String)>,
}

/// Arguments of `lab run`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RunCli {
    #[command(flatten)]
    what: WhatCli,
    /// Modes: sim (virtual time), embedded (this process, wall clock), wire (the
    /// same over TCP)
    #[arg(long, value_name = "MODE,..", default_value = "sim,embedded")]
    mode: String,
    /// Sum of the steady phases, such as 30s or 10m
    #[arg(long, value_name = "D", value_parser = duration)]
    duration: Option<Duration>,
    /// A short run, for a first look; its tail quantiles rest on few samples
    #[arg(long, conflicts_with = "duration")]
    quick: bool,
    /// Runs of each contender in each mode, interleaved
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeats: u32,
    /// Then look for the highest rate that each contender sustains, in every mode
    /// of the run or in these (embedded takes minutes: 15 to 36 steps each)
    #[arg(long, value_name = "MODE,..", num_args = 0..=1, require_equals = true,
          default_missing_value = "")]
    capacity: Option<String>,
    /// A contender that must meet all objectives, or the exit code is 3
    #[arg(long, value_name = "NAME")]
    require: Vec<String>,
    /// Write report.json, tables and histograms to this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Write to --out even if it is not empty
    #[arg(long, requires = "out")]
    force: bool,
    /// Print the record on standard output, and nothing else
    #[arg(long)]
    json: bool,
}

/// A run, as the command line asks for it. Everything is checked that can be
/// checked without the scenario.
#[derive(Clone, Debug, PartialEq)]
pub struct RunArgs {
    /// A path, or the name of a built-in scenario.
    pub scenario: String,
    /// At least one, in the order given, none twice.
    pub modes: Vec<Mode>,
    /// At least one, none twice.
    pub contenders: Vec<ContenderSpec>,
    /// Instead of the scenario's; at most 2^53.
    pub seed: Option<u64>,
    /// Sum of the steady phases, instead of the scenario's.
    pub duration: Option<Duration>,
    /// Shorter than the scenario says.
    pub quick: bool,
    /// At least 1.
    pub repeats: u32,
    /// The modes of the run in which highest sustained rates are looked for, too.
    pub capacity: Vec<Mode>,
    /// Dotted paths and TOML values, in order; a later one wins.
    pub sets: Vec<(String, String)>,
    /// Labels of contenders that must meet all objectives; all of them run.
    pub require: Vec<String>,
    /// The folder to write to.
    pub out: Option<PathBuf>,
    /// Whether `out` may hold something already.
    pub force: bool,
    /// Whether standard output gets the record and nothing else.
    pub json: bool,
    /// The command line, as it would be typed again.
    pub command: String,
}

/// Runs the scenario.
///
/// # Errors
/// [`CliError`] when the arguments are wrong or the run could not be made.
pub fn run(args: RunCli) -> Result<Exit, CliError> {
    session::run(&resolve(args)?)
}

fn resolve(args: RunCli) -> Result<RunArgs, CliError> {
    let contenders = specs(&args.what.contenders)?;
    let require = labels(&args.require, &contenders)?;
    let modes = modes(&args.mode)?;
    let capacity = searched(args.capacity.as_deref(), &modes)?;
    Ok(RunArgs {
        scenario: args.what.scenario,
        modes,
        contenders,
        seed: args.what.seed,
        duration: args.duration,
        quick: args.quick,
        repeats: args.repeats,
        capacity,
        sets: args.what.sets,
        require,
        out: args.out,
        force: args.force,
        json: args.json,
        command: typed(std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned())),
    })
}

/// The contenders asked for, or all there are.
pub(super) fn specs(given: &[String]) -> Result<Vec<ContenderSpec>, CliError> {
    if given.is_empty() {
        return Ok(contenders::names().iter().map(|name| ContenderSpec::plain(name)).collect());
    }
    contenders::parse_specs(&given.join(",")).map_err(CliError::Usage)
}

/// Required names must be among the contenders that run.
fn labels(required: &[String], specs: &[ContenderSpec]) -> Result<Vec<String>, CliError> {
    let mut labels: Vec<String> = Vec::new();
    for name in required.iter().flat_map(|names| names.split(',')).map(str::trim) {
        let matching: Vec<&ContenderSpec> =
            specs.iter().filter(|spec| spec.label == name || spec.name == name).collect();
        if matching.is_empty() {
            let running: Vec<&str> = specs.iter().map(|spec| spec.label.as_str()).collect();
            return Err(CliError::Usage(format!(
                "`--require {name}`: that contender does not run; those that do are {}",
                running.join(", ")
            )));
        }
        for spec in matching {
            if !labels.contains(&spec.label) {
                labels.push(spec.label.clone());
            }
        }
    }
    Ok(labels)
}

/// The modes in which capacity is looked for: those named, which the run must
/// have, or all of the run's.
fn searched(text: Option<&str>, of_the_run: &[Mode]) -> Result<Vec<Mode>, CliError> {
    let Some(text) = text else { return Ok(Vec::new()) };
    if text.is_empty() {
        return Ok(of_the_run.to_vec());
    }
    let searched = modes(text)?;
    match searched.iter().find(|mode| !of_the_run.contains(mode)) {
        Some(mode) => Err(CliError::Usage(format!(
            "--capacity={mode}: the run does not play the mode {mode}; add it to --mode"
        ))),
        None => Ok(searched),
    }
}

/// The modes asked for, none twice.
pub(super) fn modes(text: &str) -> Result<Vec<Mode>, CliError> {
    let mut modes = Vec::new();
    for name in text.split(',').map(str::trim) {
        let mode = match name {
            "sim" => Mode::Sim,
            "embedded" => Mode::Embedded,
            "wire" => Mode::Wire,
            "real" => {
                return Err(CliError::Usage(format!(
                    "the mode `{name}` is not there yet; there is sim, embedded, wire"
                )));
            }
            _ => {
                let name = lab_reports::clean::line(name, 40);
                return Err(CliError::Usage(format!(
                    "there is no mode `{name}`; there is sim, embedded, wire"
                )));
            }
        };
        if !modes.contains(&mode) {
            modes.push(mode);
        }
    }
    Ok(modes)
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration = units::parse_duration(text).map_err(|error| error.to_string())?;
    if duration.is_zero() {
        return Err("a run takes longer than nothing, such as 30s".to_owned());
    }
    Ok(duration)
}

pub(super) fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((path, value)) if !path.trim().is_empty() && !value.trim().is_empty() => {
            Ok((path.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err("write path.to.key=value, such as populations.devices.count=1000".to_owned()),
    }
}

/// The command line with quotes where a shell needs them.
pub(super) fn typed(args: impl Iterator<Item = String>) -> String {
    let plain = |arg: &str| {
        !arg.is_empty()
            && arg.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=,:+@%".contains(c))
    };
    let mut out = "lab".to_owned();
    for arg in args {
        out.push(' ');
        if plain(&arg) {
            out.push_str(&arg);
        } else {
            out.push_str(&format!("'{}'", arg.replace('\'', r"'\''")));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_named_once_and_what_is_not_there_is_said() {
        assert_eq!(modes("sim,embedded,sim").expect("known"), [Mode::Sim, Mode::Embedded]);
        let says = |text: &str| modes(text).expect_err("refused").to_string();
        assert_eq!(says("real"), "the mode `real` is not there yet; there is sim, embedded, wire");
        assert_eq!(says("dream"), "there is no mode `dream`; there is sim, embedded, wire");
    }

    #[test]
    fn capacity_is_looked_for_where_the_run_plays() {
        let both = [Mode::Sim, Mode::Embedded];
        assert_eq!(searched(None, &both).expect("none"), []);
        assert_eq!(searched(Some(""), &both).expect("all"), both);
        assert_eq!(searched(Some("sim"), &both).expect("one"), [Mode::Sim]);
        assert_eq!(
            searched(Some("wire"), &both).expect_err("refused").to_string(),
            "--capacity=wire: the run does not play the mode wire; add it to --mode"
        );
    }

    #[test]
    fn assignments_need_both_sides() {
        assert_eq!(
            assignment("a.b = {x = 1}"),
            Ok(("a.b".to_owned(), "{x = 1}".to_owned())),
            "the first equals sign divides"
        );
        for text in ["a.b", "=1", "a=", ""] {
            assert!(assignment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_command_can_be_typed_again() {
        let args = ["run", "my file.toml", "--set", "title=\"it's\""];
        assert_eq!(
            typed(args.map(str::to_owned).into_iter()),
            r#"lab run 'my file.toml' --set 'title="it'\''s"'"#
        );
    }
}
