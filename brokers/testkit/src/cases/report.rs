//! What became of a contender's cases.

use std::fmt;

use broker_contract::Feature;

/// A case that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CaseFailure {
    /// The case.
    pub case: String,
    /// Its file and line.
    pub place: String,
    /// The feature it proves.
    pub feature: Feature,
    /// The step, counted from 1, and its text; `None` for the case as a whole.
    pub step: Option<(usize, String)>,
    /// What should have been.
    pub expected: String,
    /// What was.
    pub seen: String,
    /// Under which conditions, such as `seed 1, latency 50us`.
    pub conditions: String,
}

impl fmt::Display for CaseFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "case `{}` ({}), {}", self.case, self.feature, self.place)?;
        writeln!(f, "    with {}", self.conditions)?;
        if let Some((number, text)) = &self.step {
            writeln!(f, "    step {number}: {text}")?;
        }
        writeln!(f, "    expected: {}", self.expected)?;
        write!(f, "    seen:     {}", self.seen)
    }
}

/// What became of a contender's cases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaseReport {
    /// The contender.
    pub contender: String,
    /// Cases that passed because the feature works, under all conditions.
    pub passed: Vec<String>,
    /// Cases that passed because the feature is not claimed and is refused.
    pub refused: Vec<String>,
    /// Cases that did not hold; each once, under the first conditions that show it.
    pub failures: Vec<CaseFailure>,
}

impl CaseReport {
    /// Whether every case held.
    pub fn is_passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// Fails the calling test unless every case held.
    ///
    /// # Panics
    /// With the whole report when a case did not hold.
    pub fn assert_passed(&self) {
        assert!(self.is_passed(), "\n{self}");
    }
}

impl fmt::Display for CaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = self.passed.len() + self.refused.len() + self.failures.len();
        writeln!(
            f,
            "{}: {} of {all} semantics cases failed; {} passed, {} are refused as claimed",
            self.contender,
            self.failures.len(),
            self.passed.len(),
            self.refused.len()
        )?;
        for failure in &self.failures {
            writeln!(f, "\n{failure}")?;
        }
        Ok(())
    }
}
