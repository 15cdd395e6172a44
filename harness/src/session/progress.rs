//! How far a run is, on standard error.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use lab_workloads::scenario::model::{PhaseKind, Scenario};

use crate::term;
use crate::trial::Watch;

/// Bars on a terminal, lines elsewhere.
#[derive(Debug)]
pub struct Progress {
    bars: Option<MultiProgress>,
}

/// The bar of one trial, or of one search.
#[derive(Debug)]
pub struct Bar {
    bar: Option<ProgressBar>,
    name: String,
    step: Mutex<String>,
    begun: std::time::Instant,
}

/// Columns for the name of what runs.
const NAME: usize = 22;

impl Progress {
    /// Progress on standard error.
    pub fn new() -> Progress {
        Progress { bars: std::io::stderr().is_terminal().then(MultiProgress::new) }
    }

    /// Begins a trial or a search.
    pub fn begin(&self, name: String) -> Bar {
        let name = lab_reports::clean::name(&name, NAME);
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new(1000));
            let style = ProgressStyle::with_template("{prefix:<22} {bar:16} {percent:>3} %  {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("=> ");
            bar.set_style(style);
            bar.set_prefix(name.clone());
            bar
        });
        Bar { bar, name, step: Mutex::default(), begun: std::time::Instant::now() }
    }
}

impl Bar {
    /// What of the search runs now, such as a rate; it stands before the phase.
    pub fn name_step(&self, step: String) {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = step;
    }

    /// Runs `work` and shows `watch` on the bar until it is done.
    pub fn beside<T: Send>(
        &self,
        watch: &Watch,
        scenario: &Scenario,
        work: impl FnOnce() -> T,
    ) -> T {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let follower = scope.spawn(|| self.follow(watch, scenario, &done));
            let out = work();
            done.store(true, Ordering::Release);
            follower.thread().unpark();
            out
        })
    }

    fn follow(&self, watch: &Watch, scenario: &Scenario, done: &AtomicBool) {
        let Some(bar) = &self.bar else { return };
        while !done.load(Ordering::Acquire) {
            let (permille, p99_ns, _) = watch.progress();
            bar.set_position(u64::from(permille));
            let step = self.step.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let gap = if step.is_empty() { "" } else { " " };
            let p99 = lab_reports::text::micros(p99_ns as f64 / 1e3);
            bar.set_message(format!("{step}{gap}{:<8} p99 {p99}", phase(scenario, permille)));
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }

    /// The trial or the search is over.
    pub fn end(self, summary: &str) {
        let line =
            format!("{:<22} {:>6.2} s  {summary}", self.name, self.begun.elapsed().as_secs_f64());
        match &self.bar {
            Some(bar) => {
                bar.finish_and_clear();
                bar.println(line);
            }
            None => term::note(&line),
        }
    }
}

/// The phase that a run is in when so many thousandths of it are done.
fn phase(scenario: &Scenario, permille: u32) -> &'static str {
    if permille == 0 {
        return "set-up";
    }
    let at_ns = scenario.ends_ns() / 1000 * u64::from(permille);
    let current = scenario.phases.iter().rfind(|phase| phase.start_ns <= at_ns);
    match current.map(|phase| phase.kind) {
        Some(PhaseKind::WarmUp) => "warm-up",
        Some(PhaseKind::Steady) => "steady",
        Some(PhaseKind::Ramp) => "ramp",
        Some(PhaseKind::Burst) => "burst",
        Some(PhaseKind::Pause) => "pause",
        Some(PhaseKind::Drain) => "drain",
        None => "set-up",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario_file::{Wanted, load};

    #[test]
    fn the_phase_follows_the_thousandths() {
        let scenario =
            load(&Wanted { scenario: "iot-50k", ..Wanted::default() }).expect("built in");
        let phases = [0, 1, 100, 880, 990].map(|permille| phase(&scenario, permille));
        assert_eq!(phases, ["set-up", "warm-up", "steady", "steady", "drain"]);
    }
}
