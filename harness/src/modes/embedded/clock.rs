//! The wall clock of a trial, and the CPU clock of a thread.

use std::time::Instant;

use broker_contract::Time;
use rustix::time::{ClockId, clock_gettime};

/// Monotonic time since a trial began.
#[derive(Copy, Clone, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Starts at zero, now.
    pub fn start() -> Clock {
        Clock(Instant::now())
    }

    /// Its zero.
    pub fn started(&self) -> Instant {
        self.0
    }

    /// The time now.
    #[inline]
    pub fn now(&self) -> Time {
        Time::from_nanos(self.0.elapsed().as_nanos() as u64)
    }
}

/// CPU seconds that the calling thread has used.
pub fn thread_cpu_s() -> f64 {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}

/// CPU seconds of the calling thread since the run's zero.
#[derive(Debug, Default)]
pub struct CpuMeter {
    at_zero: Option<f64>,
}

impl CpuMeter {
    /// The run's zero has come, if it had not before.
    pub fn zero(&mut self) {
        self.at_zero.get_or_insert_with(thread_cpu_s);
    }

    /// Seconds used since then.
    pub fn used_s(&self) -> f64 {
        self.at_zero.map_or(0.0, |before| thread_cpu_s() - before)
    }
}
