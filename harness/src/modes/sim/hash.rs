//! The trace hash.

/// A running hash over every event of a simulated run.
///
/// It is not cryptographic: it tells two runs apart that differ anywhere, at a
/// cost of a nanosecond or two an event.
#[derive(Copy, Clone, Debug)]
pub struct TraceHash(u64);

impl TraceHash {
    /// The hash of a run without events.
    pub fn new() -> TraceHash {
        TraceHash(0x51_7c_c1_b7_27_22_0a_95)
    }

    /// Adds an event: what kind, when, and two numbers that describe it.
    #[inline]
    pub fn add(&mut self, kind: u8, at_ns: u64, a: u64, b: u64) {
        let mixed = at_ns ^ a.rotate_left(24) ^ b.rotate_left(48) ^ u64::from(kind) << 56;
        self.0 = (self.0.rotate_left(5) ^ mixed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 29;
    }

    /// The hash so far.
    pub fn finish(self) -> u64 {
        self.0
    }
}
