//! Where a delivery's time went, stage by stage, for sampled messages.

use rustc_hash::FxHashMap;

/// When a sampled message left its client, and when the node took it in, in
/// nanoseconds on the run's clock.
#[derive(Copy, Clone, Debug, Default)]
pub struct Upward {
    /// Put on the link.
    pub sent_ns: u64,
    /// Taken from the link at the node, its waiting for the node's turn not included.
    pub arrived_ns: u64,
}

/// The stages of a delivery, in order.
pub const STAGES: [&str; 5] =
    ["client_wait", "to_broker", "in_broker", "to_consumer", "consumer_wait"];

/// Sums of the stages over sampled deliveries.
#[derive(Debug, Default)]
pub struct Anatomy {
    step: u32,
    upward: FxHashMap<u32, Upward>,
    sums_ns: [u128; 5],
    samples: u64,
}

/// The later part of a delivery's way, in nanoseconds on the run's clock.
#[derive(Copy, Clone, Debug)]
pub struct Downward {
    /// The node let it go.
    pub released_ns: u64,
    /// The consumer's client received it.
    pub received_ns: u64,
    /// The application took it.
    pub taken_ns: u64,
}

impl Anatomy {
    /// Samples every message whose number is a multiple of `step` (at least 1).
    pub fn new(step: u32) -> Anatomy {
        Anatomy { step: step.max(1), ..Anatomy::default() }
    }

    /// Samples about 200,000 of `expected` messages, all of them when there are fewer.
    pub fn for_messages(expected: u64) -> Anatomy {
        Anatomy::new(u32::try_from(expected.div_ceil(200_000)).unwrap_or(u32::MAX))
    }

    /// Whether the message with this number is sampled.
    #[inline]
    pub fn samples(&self, number: u32) -> bool {
        self.step == 1 || number.is_multiple_of(self.step)
    }

    /// The sampling step.
    pub fn step(&self) -> u32 {
        self.step
    }

    /// A sampled message left its client; a retry keeps the first moment.
    pub fn sent(&mut self, number: u32, at_ns: u64) {
        self.upward.entry(number).or_insert(Upward { sent_ns: at_ns, arrived_ns: at_ns });
    }

    /// A sampled message reached the node; a retry keeps the first moment.
    pub fn arrived(&mut self, number: u32, at_ns: u64) {
        let upward = self.upward.entry(number).or_default();
        if upward.arrived_ns <= upward.sent_ns {
            upward.arrived_ns = at_ns.max(upward.sent_ns);
        }
    }

    /// A sampled message was delivered for the first time.
    pub fn delivered(&mut self, number: u32, intended_ns: u64, down: Downward) {
        let Some(up) = self.upward.get(&number) else { return };
        // Each stage starts where the one before ended, so that they always sum
        // to the whole, also when two threads' clock readings interleave.
        let points = [
            intended_ns,
            up.sent_ns,
            up.arrived_ns,
            down.released_ns,
            down.received_ns,
            down.taken_ns,
        ];
        let mut before = points[0];
        for (sum, point) in self.sums_ns.iter_mut().zip(&points[1..]) {
            let point = (*point).clamp(before, down.taken_ns.max(before));
            *sum += u128::from(point - before);
            before = point;
        }
        self.samples += 1;
    }

    /// Takes the upward halves that another thread noted.
    pub fn absorb(&mut self, sent: &FxHashMap<u32, u64>, arrived: &FxHashMap<u32, u64>) {
        for (number, at_ns) in sent {
            self.sent(*number, *at_ns);
            if let Some(arrived_ns) = arrived.get(number) {
                self.arrived(*number, *arrived_ns);
            }
        }
    }

    /// Deliveries sampled.
    pub fn count(&self) -> u64 {
        self.samples
    }

    /// Mean of each stage in microseconds, in the order of [`STAGES`].
    pub fn means_us(&self) -> [f64; 5] {
        self.sums_ns
            .map(|sum| if self.samples == 0 { 0.0 } else { sum as f64 / self.samples as f64 / 1e3 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stages_sum_to_the_whole() {
        let mut anatomy = Anatomy::new(2);
        assert!(anatomy.samples(4) && !anatomy.samples(5));
        anatomy.sent(4, 1_000);
        anatomy.arrived(4, 3_000);
        anatomy.delivered(
            4,
            500,
            Downward { released_ns: 3_500, received_ns: 6_500, taken_ns: 10_500 },
        );
        assert_eq!(anatomy.means_us(), [0.5, 2.0, 0.5, 3.0, 4.0]);
        assert_eq!(anatomy.count(), 1);
    }

    #[test]
    fn clock_readings_that_cross_make_no_negative_stage() {
        let mut anatomy = Anatomy::new(1);
        anatomy.sent(0, 2_000);
        anatomy.arrived(0, 1_000);
        anatomy.delivered(
            0,
            0,
            Downward { released_ns: 1_500, received_ns: 9_000, taken_ns: 8_000 },
        );
        assert_eq!(anatomy.means_us().iter().sum::<f64>(), 8.0);
    }
}
