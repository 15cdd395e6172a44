//! What follows from the trials.

use serde::{Deserialize, Serialize};

use super::Mode;

/// The answer to the scenario's question.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The contender that fits best; `None` when none does or nothing decides.
    pub winner: Option<String>,
    /// The answer in one or two sentences, with its reason and its doubt.
    pub text: String,
    /// What would lead to another answer, a sentence each.
    pub would_change: Vec<String>,
    /// The exit code of the run.
    pub exit_code: u8,
    /// Each objective for each contender in each mode.
    pub objectives: Vec<ObjectiveResult>,
}

/// One objective, judged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ObjectiveResult {
    /// The contender, with its preset where one was asked for.
    pub contender: String,
    /// Which of its trials.
    pub mode: Mode,
    /// The subscription that it is about.
    pub subscription: String,
    /// The metric's name in scenarios, such as `p99_delivery`.
    pub metric: String,
    /// Microseconds for latencies, a share (0 to 1) for loss and duplicates, a
    /// count for order, messages per second for throughput.
    pub target: f64,
    /// In the target's unit; `None` where there is no figure.
    pub actual: Option<f64>,
    /// How it ended.
    pub outcome: Outcome,
    /// Added: why it is undecided or unsupported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How an objective ended.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It held.
    Met,
    /// It did not hold.
    Missed,
    /// The instrument's own error is too large to say, or there are too few samples.
    #[default]
    Undecided,
    /// The contender or the mode does not have what it is about.
    Unsupported,
}

impl Outcome {
    /// The name in records.
    pub const fn name(self) -> &'static str {
        match self {
            Outcome::Met => "met",
            Outcome::Missed => "missed",
            Outcome::Undecided => "undecided",
            Outcome::Unsupported => "unsupported",
        }
    }
}
