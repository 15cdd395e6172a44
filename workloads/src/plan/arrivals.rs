//! When the members of a population act, on work time.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;

use super::draw;
use crate::queue::EventQueue;
use crate::scenario::model::Arrival;

/// The arrivals of all members of one population for one stream, in order.
#[derive(Clone, Debug)]
pub(super) struct Arrivals {
    members: u32,
    rng: ChaCha8Rng,
    process: Process,
}

/// A moment on work time, in nanoseconds, and the member that acts.
pub(super) type Arrived = (u64, u32);

#[derive(Clone, Debug)]
enum Process {
    Periodic(Periodic),
    Poisson { clock: Clock },
    Bursty { clock: Clock, next: u64, length: u32, spacing: u64, active: EventQueue<(u32, u32)> },
    Never,
}

/// Every member at its own even spacing.
///
/// All members share the period, so the order of their nominal moments is the
/// same in every period: a sorted array and a place in it are the whole schedule,
/// 8 bytes a member. Only what jitter moves across its neighbours waits in a queue.
#[derive(Clone, Debug)]
struct Periodic {
    /// By first moment: the upper half is that moment's share of the period in
    /// 2^-32, the lower half the member.
    order: Vec<u64>,
    every: u64,
    jitter: u64,
    /// The place in `order` that comes next.
    place: usize,
    /// When the current period began.
    period: u64,
    jittered: EventQueue<u32>,
}

/// The moments of a Poisson process, kept as a float so that gaps far below a
/// nanosecond add up.
#[derive(Clone, Debug)]
struct Clock {
    now: f64,
    mean_gap: f64,
}

impl Clock {
    /// `rate_per_s` of all members together; `None` when it never strikes.
    fn new(rate_per_s: f64) -> Option<Clock> {
        (rate_per_s > 0.0).then(|| Clock { now: 0.0, mean_gap: 1e9 / rate_per_s })
    }

    #[inline]
    fn strike(&mut self, rng: &mut ChaCha8Rng) -> u64 {
        self.now += draw::exponential(rng) * self.mean_gap;
        self.now as u64
    }
}

impl Arrivals {
    pub(super) fn new(arrival: &Arrival, members: u32, mut rng: ChaCha8Rng) -> Arrivals {
        let process = match arrival {
            _ if members == 0 => Process::Never,
            Arrival::Periodic { every, jitter } => {
                Process::Periodic(Periodic::new(nanos(*every), nanos(*jitter), members, &mut rng))
            }
            Arrival::Poisson { rate_per_s } => Clock::new(rate_per_s * f64::from(members))
                .map_or(Process::Never, |clock| Process::Poisson { clock }),
            Arrival::Bursty { burst: 0, .. } => Process::Never,
            Arrival::Bursty { bursts_per_s, burst, spacing } => {
                match Clock::new(bursts_per_s * f64::from(members)) {
                    None => Process::Never,
                    Some(mut clock) => Process::Bursty {
                        next: clock.strike(&mut rng),
                        clock,
                        length: *burst,
                        spacing: nanos(*spacing),
                        active: EventQueue::new(),
                    },
                }
            }
        };
        Arrivals { members, rng, process }
    }

    /// The next arrival; there always is one unless nobody ever acts.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Arrived> {
        match &mut self.process {
            Process::Periodic(periodic) => Some(periodic.next(&mut self.rng)),
            Process::Poisson { clock } => {
                // The superposition of all members' processes is one process, in
                // which every member is as likely to be the one.
                let at = clock.strike(&mut self.rng);
                Some((at, draw::below_u32(&mut self.rng, self.members)))
            }
            Process::Bursty { clock, next, length, spacing, active } => {
                while active.peek_at().is_none_or(|at| at >= *next) {
                    active.push(*next, (draw::below_u32(&mut self.rng, self.members), *length));
                    *next = clock.strike(&mut self.rng);
                }
                let (at, (member, left)) = active.pop()?;
                if left > 1 {
                    active.push(at.saturating_add(*spacing), (member, left - 1));
                }
                Some((at, member))
            }
            Process::Never => None,
        }
    }
}

impl Periodic {
    fn new(every: u64, jitter: u64, members: u32, rng: &mut ChaCha8Rng) -> Periodic {
        let mut order: Vec<u64> = (0..members)
            .map(|member| u64::from(draw::below_u32(rng, u32::MAX)) << 32 | u64::from(member))
            .collect();
        order.sort_unstable();
        let every = every.max(1);
        Periodic {
            order,
            every,
            // More than a period either way would only make the queue longer.
            jitter: jitter.min(every),
            place: 0,
            period: 0,
            jittered: EventQueue::new(),
        }
    }

    /// The next nominal moment.
    #[inline]
    fn nominal(&self) -> u64 {
        let share = self.order[self.place] >> 32;
        let first = (u128::from(self.every) * u128::from(share)) >> 32;
        self.period.saturating_add(first as u64)
    }

    /// Takes the next nominal moment.
    #[inline]
    fn step(&mut self) -> Arrived {
        let at = self.nominal();
        let member = self.order[self.place] as u32;
        self.place += 1;
        if self.place == self.order.len() {
            self.place = 0;
            self.period = self.period.saturating_add(self.every);
        }
        (at, member)
    }

    #[inline]
    fn next(&mut self, rng: &mut ChaCha8Rng) -> Arrived {
        if self.jitter == 0 {
            return self.step();
        }
        loop {
            // What follows can be moved ahead of its nominal moment by the jitter,
            // so an earlier one is final. A member whose messages cross is not
            // seen to: messages are told apart by the order they are sent in.
            let settled = self.nominal().saturating_sub(self.jitter);
            if self.jittered.peek_at().is_some_and(|at| at <= settled)
                && let Some(arrived) = self.jittered.pop()
            {
                return arrived;
            }
            let (at, member) = self.step();
            let moved = at.saturating_add(draw::below(rng, 2 * self.jitter + 1));
            // Before zero there is nothing: such a moment is reflected there.
            self.jittered.push(moved.abs_diff(self.jitter), member);
        }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4).min(u64::MAX / 4)
}
