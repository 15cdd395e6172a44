//! Where a delivery's time went, stage by stage, for sampled messages.

/// When a sampled message left its client, and when the node took it in, in
/// nanoseconds on the run's clock.
#[derive(Copy, Clone, Debug)]
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
    /// A sampled message was delivered for the first time.
    pub fn delivered(&mut self, intended_ns: u64, up: Upward, down: Downward) {
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
        let mut anatomy = Anatomy::default();
        anatomy.delivered(
            500,
            Upward { sent_ns: 1_000, arrived_ns: 3_000 },
            Downward { released_ns: 3_500, received_ns: 6_500, taken_ns: 10_500 },
        );
        assert_eq!(anatomy.means_us(), [0.5, 2.0, 0.5, 3.0, 4.0]);
        assert_eq!(anatomy.count(), 1);
    }

    #[test]
    fn clock_readings_that_cross_make_no_negative_stage() {
        let mut anatomy = Anatomy::default();
        anatomy.delivered(
            0,
            Upward { sent_ns: 2_000, arrived_ns: 1_000 },
            Downward { released_ns: 1_500, received_ns: 9_000, taken_ns: 8_000 },
        );
        assert_eq!(anatomy.means_us().iter().sum::<f64>(), 8.0);
    }
}
