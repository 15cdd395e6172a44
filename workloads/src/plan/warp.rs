//! Phases as a warp of time.
//!
//! Arrivals are drawn on *work time*, in which every population keeps its own
//! rate. A phase lets work time pass faster or slower than the run's time by its
//! rate factor, so that ramps and bursts change every arrival process alike, and
//! pauses are stretches in which no work time passes.

use crate::scenario::model::{Phase, PhaseKind};

/// Factors above this are cut to it; nothing a scenario can mean is beyond it.
const FACTOR_MAX: f64 = 1e6;

/// A phase in which work time passes.
#[derive(Copy, Clone, Debug)]
struct Stretch {
    start_ns: u64,
    end_ns: u64,
    /// Work time at its beginning and end.
    work_start: f64,
    work_end: f64,
    /// The factor at its beginning.
    factor: f64,
    /// Change of the factor per nanosecond.
    slope: f64,
}

/// The map from work time to the run's time, for moments that only go forward.
#[derive(Clone, Debug)]
pub(super) struct Warp {
    stretches: Vec<Stretch>,
    /// The stretch of the last moment mapped.
    at: usize,
    /// The last moment mapped.
    last_ns: u64,
}

impl Warp {
    pub(super) fn new(phases: &[Phase]) -> Warp {
        let mut stretches = Vec::new();
        let mut work = 0.0;
        for phase in phases {
            let sends = !matches!(phase.kind, PhaseKind::Pause | PhaseKind::Drain);
            let length = phase.end_ns.saturating_sub(phase.start_ns) as f64;
            let [from, to] = [phase.rate_from, phase.rate_to]
                .map(|factor| if factor > 0.0 { factor.min(FACTOR_MAX) } else { 0.0 });
            let passes = (from + to) / 2.0 * length;
            if sends && passes > 0.0 {
                stretches.push(Stretch {
                    start_ns: phase.start_ns,
                    end_ns: phase.end_ns,
                    work_start: work,
                    work_end: work + passes,
                    factor: from,
                    slope: (to - from) / length,
                });
                work += passes;
            }
        }
        Warp { stretches, at: 0, last_ns: 0 }
    }

    /// The run's time at `work`, which is not before the `work` of the last call;
    /// `None` when all phases have passed.
    #[inline]
    pub(super) fn run_time(&mut self, work: u64) -> Option<u64> {
        let work = work as f64;
        let mut stretch = self.stretches.get(self.at)?;
        while work >= stretch.work_end {
            self.at += 1;
            stretch = self.stretches.get(self.at)?;
        }
        let passed = stretch.passed(work - stretch.work_start) as u64;
        let at_ns = stretch.start_ns.saturating_add(passed).min(stretch.end_ns - 1);
        // The rounding of the square root must not put two moments out of order.
        self.last_ns = self.last_ns.max(at_ns);
        Some(self.last_ns)
    }
}

impl Stretch {
    /// The time in which `work` passes from the beginning of the stretch: the
    /// root of `slope / 2 * t^2 + factor * t = work`, in the form that does not
    /// cancel when the slope is small.
    #[inline]
    fn passed(&self, work: f64) -> f64 {
        if self.slope == 0.0 {
            return work / self.factor;
        }
        let square = (self.factor * self.factor + 2.0 * self.slope * work).max(0.0);
        let below = self.factor + square.sqrt();
        if below > 0.0 { 2.0 * work / below } else { 0.0 }
    }
}

#[cfg(test)]
mod tests;
