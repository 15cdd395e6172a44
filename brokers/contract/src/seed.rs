//! Randomness that repeats.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// A seed from which independent streams are split by name.
///
/// Every concern (network, disk, a node, a client, the workload, the schedule,
/// the faults) draws from its own stream, so that changing how one draws does
/// not move the others. ChaCha is used because its output is pinned across
/// versions and platforms.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct SeedStream(u64);

impl SeedStream {
    /// The root of all streams of a run.
    pub const fn new(seed: u64) -> SeedStream {
        SeedStream(seed)
    }

    /// The stream called `name` below this one.
    pub fn fork(self, name: &str) -> SeedStream {
        let mut hash = self.0 ^ 0x9e37_79b9_7f4a_7c15;
        for byte in name.bytes() {
            hash = mix(hash ^ u64::from(byte));
        }
        SeedStream(mix(hash))
    }

    /// The `index`-th stream below this one.
    pub const fn nth(self, index: u64) -> SeedStream {
        SeedStream(mix(self.0 ^ mix(index.wrapping_add(0x9e37_79b9_7f4a_7c15))))
    }

    /// 64 bits that name this stream; for cheap one-off draws.
    pub const fn bits(self) -> u64 {
        mix(self.0)
    }

    /// A generator for this stream.
    pub fn rng(self) -> ChaCha8Rng {
        ChaCha8Rng::seed_from_u64(self.0)
    }
}

/// The finaliser of SplitMix64: a bijection that spreads every input bit.
const fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
