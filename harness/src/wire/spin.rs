//! When a server looks again before it sleeps.
//!
//! To fall asleep and to be woken costs both ends of a connection some microseconds,
//! and more on a virtual processor that halts: with 50 clients that each wait for
//! their answer, a server slept once for every four requests. So while work comes
//! quickly, it looks for a moment longer. Where work comes slowly that would burn a
//! core for nothing, and it sleeps at once.

use std::time::{Duration, Instant};

/// Of how many waits the mean is about.
const MEMORY: u32 = 8;

/// Decides how to wait.
#[derive(Debug)]
pub(super) struct Spin {
    limit: Duration,
    /// Mean time from the end of a turn to more work.
    mean: Duration,
    since: Instant,
}

impl Spin {
    /// Looks for up to `limit`; never on a machine with a single processor, where
    /// nobody can send meanwhile.
    pub(super) fn new(limit: Duration) -> Spin {
        let alone = std::thread::available_parallelism().is_ok_and(|cores| cores.get() == 1);
        let limit = if alone { Duration::ZERO } else { limit };
        Spin { limit, mean: limit * 2, since: Instant::now() }
    }

    /// A turn is over. Returns until when to look without sleeping, if at all.
    pub(super) fn begin(&mut self) -> Option<Instant> {
        if self.limit.is_zero() {
            return None;
        }
        self.since = Instant::now();
        (self.mean < self.limit).then(|| self.since + self.limit)
    }

    /// There is work again, at `now`.
    pub(super) fn end(&mut self, now: Instant) {
        // One long silence must not take many turns to be forgotten.
        let waited = now.saturating_duration_since(self.since).min(self.limit * 4);
        self.mean = (self.mean * (MEMORY - 1) + waited) / MEMORY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One wait of this many microseconds; whether it was looked for.
    fn wait(spin: &mut Spin, us: u64) -> bool {
        let looks = spin.begin().is_some();
        let since = spin.since;
        spin.end(since + Duration::from_micros(us));
        looks
    }

    #[test]
    fn it_looks_while_work_comes_quickly_and_sleeps_otherwise() {
        let limit = Duration::from_micros(25);
        let mut spin = Spin { limit, mean: limit * 2, since: Instant::now() };
        assert!(!wait(&mut spin, 5), "at first it sleeps");
        (0..20).for_each(|_| _ = wait(&mut spin, 5));
        assert!(wait(&mut spin, 1_000_000), "after many short waits it looks");
        (0..8).for_each(|_| _ = wait(&mut spin, 5));
        assert!(wait(&mut spin, 5), "one long silence is forgotten");
        (0..20).for_each(|_| _ = wait(&mut spin, 100));
        assert!(!wait(&mut spin, 100), "long waits are slept through");
        let mut never = Spin { limit: Duration::ZERO, mean: Duration::ZERO, since: Instant::now() };
        assert!(!wait(&mut never, 1));
    }
}
