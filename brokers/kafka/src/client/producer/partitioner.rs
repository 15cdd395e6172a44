//! Which partition takes a record.

use broker_contract::SeedStream;

/// The original's murmur2 over a key, with its seed.
pub(crate) fn murmur2(key: &[u8]) -> i32 {
    const M: u32 = 0x5bd1_e995;
    let mix = |word: u32| {
        let word = word.wrapping_mul(M);
        (word ^ (word >> 24)).wrapping_mul(M)
    };
    let mut hash = 0x9747_b28c_u32 ^ key.len() as u32;
    let (words, rest) = key.as_chunks::<4>();
    for word in words {
        hash = hash.wrapping_mul(M) ^ mix(u32::from_le_bytes(*word));
    }
    if !rest.is_empty() {
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        hash = (hash ^ u32::from_le_bytes(last)).wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    (hash ^ (hash >> 15)) as i32
}

/// The partition of a record with this key, of `partitions`, which is not 0.
pub(crate) fn partition_of(key: &[u8], partitions: i32) -> i32 {
    (murmur2(key) & i32::MAX) % partitions.max(1)
}

/// The sticky choice for records that go by no key: one partition until a batch's
/// worth of bytes has gone there, then another, so that batches fill.
#[derive(Debug, Default)]
pub(crate) struct Sticky {
    partition: i32,
    bytes: usize,
    draws: u64,
}

impl Sticky {
    /// The partition of a record of `len` bytes.
    pub fn partition(
        &mut self,
        len: usize,
        partitions: i32,
        batch_size: usize,
        seed: SeedStream,
    ) -> i32 {
        if self.draws == 0 || self.bytes >= batch_size || self.partition >= partitions {
            self.draws += 1;
            self.bytes = 0;
            let draw = seed.fork("sticky").nth(self.draws).bits();
            self.partition = (draw % partitions.max(1) as u64) as i32;
        }
        self.bytes += len;
        self.partition
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_original() {
        let known: [(&[u8], i32); 6] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            (b"abc", 479_470_107),
        ];
        for (key, hash) in known {
            assert_eq!(murmur2(key), hash, "{}", String::from_utf8_lossy(key));
        }
    }

    #[test]
    fn keys_share_the_partitions_evenly() {
        let mut taken = [0; 8];
        for device in 0..8_000 {
            taken[partition_of(format!("telemetry.eu.{device}").as_bytes(), 8) as usize] += 1;
        }
        assert!(taken.iter().all(|count| (800..1_200).contains(count)), "{taken:?}");
    }

    #[test]
    fn the_sticky_choice_stays_for_a_batch() {
        let mut sticky = Sticky::default();
        let seed = SeedStream::new(3);
        let choices: Vec<_> = (0..4_000).map(|_| sticky.partition(100, 6, 1_000, seed)).collect();
        let mut taken = [0; 6];
        for run in choices.chunks(10) {
            assert!(run.iter().all(|choice| *choice == run[0]), "{run:?}");
            taken[run[0] as usize] += 1;
        }
        assert!(taken.iter().all(|count| *count > 30), "{taken:?}");
    }
}
