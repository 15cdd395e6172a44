//! Scenario files: their shape, their parser and their checks.
//!
//! **What it is for.** Turning the text of a TOML file into a checked
//! [`model::Scenario`], or into one error that names the line and the remedy.
//!
//! **What it never does.** It opens no file and knows no broker: the names and
//! settings of contenders are handed to it.
//!
//! **Where to start reading.** [`model`] for the result; `scenarios/FORMAT.md`
//! for what people write, and [`keys`] for the same as data; then [`parse()`].

mod built_in;
mod check;
mod contenders;
mod error;
mod faults;
pub mod keys;
mod logs;
pub mod model;
mod objectives;
mod parse;
mod phases;
mod populations;
mod read;
mod shape;
mod spreads;
mod template;
mod text;
mod tree;
mod write;

#[cfg(test)]
mod tests;

use std::time::Duration;

use broker_contract::{Preset, SettingSpec};

pub use built_in::{built_in, template_text};
pub use error::{Origin, ScenarioError};
pub use model::Scenario;
pub use parse::{parse, parse_bytes};

/// What every refusal of something that is no scenario advises.
const FORMAT_HELP: &str = "a scenario is a TOML text; `lab new FILE` writes one to start from";

/// A scenario, or why there is none. The error is boxed because it is large,
/// and seldom.
pub type Result<T = Scenario> = std::result::Result<T, Box<ScenarioError>>;

/// A contender that exists, as far as scenarios can change it.
#[derive(Copy, Clone, Debug)]
pub struct Known<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its settings.
    pub settings: &'a [SettingSpec],
    /// Its presets.
    pub presets: &'a [Preset],
}

/// What the command line changes.
#[derive(Copy, Clone, Debug, Default)]
pub struct Options<'a> {
    /// Assignments such as `populations.devices.count=1000`; a later one wins.
    /// The value is TOML; a plain word or quantity needs no quotes.
    pub sets: &'a [String],
    /// The sum of the steady phases, which are scaled to it.
    pub duration: Option<Duration>,
    /// Instead of the scenario's own.
    pub seed: Option<u64>,
    /// Steady phases of at most 2 s together and warm-ups of at most 500 ms
    /// each; ramps, bursts and pauses shrink with the steady phases. Rates stay.
    pub quick: bool,
}
