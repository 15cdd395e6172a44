//! What every message carries so that the ledger can tell what became of it.

/// Bytes at the front of every payload that hold its [`Identity`].
pub const IDENTITY_LEN: usize = 32;

/// The first 32 bytes of a payload, little-endian:
///
/// | bytes | field |
/// |---|---|
/// | 0..4 | CRC-32C of all bytes from 4 on |
/// | 4..8 | `producer` |
/// | 8..12 | `sequence` |
/// | 12..16 | `number` |
/// | 16..20 | `key` |
/// | 20..28 | `intended_ns` |
/// | 28..32 | `lag_ns` |
///
/// The checksum comes first so that what it covers is one stretch: a checksum
/// over two stretches was measured to cost half as much again.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The publisher, dense over the whole scenario.
    pub producer: u32,
    /// The publisher's own count, dense from 0.
    pub sequence: u32,
    /// The operation's place in the plan, dense from 0 over all publishers.
    pub number: u32,
    /// The key whose order the ledger follows, dense over the scenario.
    pub key: u32,
    /// When the plan wanted it sent, in nanoseconds since the run's zero.
    pub intended_ns: u64,
    /// How much later than intended it was handed to the client, in
    /// nanoseconds, stopping at 4.29 s.
    pub lag_ns: u32,
}

/// Why a payload is not a message of this run.
#[derive(Copy, Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Corrupt {
    /// Shorter than an identity.
    #[error("the payload has {0} bytes, and an identity needs 32")]
    Short(usize),
    /// The bytes are not those that were sent.
    #[error("the payload's CRC-32C is {found:08x}, and its bytes give {computed:08x}")]
    Checksum {
        /// The checksum in the payload.
        found: u32,
        /// The checksum its bytes give.
        computed: u32,
    },
}

impl Identity {
    /// Writes the identity and the checksum over the whole payload.
    ///
    /// # Panics
    /// If `payload` is shorter than [`IDENTITY_LEN`]: the caller sizes payloads,
    /// and the scenario refuses smaller ones.
    pub fn stamp(&self, payload: &mut [u8]) {
        assert!(payload.len() >= IDENTITY_LEN, "a payload has room for its identity");
        payload[4..8].copy_from_slice(&self.producer.to_le_bytes());
        payload[8..12].copy_from_slice(&self.sequence.to_le_bytes());
        payload[12..16].copy_from_slice(&self.number.to_le_bytes());
        payload[16..20].copy_from_slice(&self.key.to_le_bytes());
        payload[20..28].copy_from_slice(&self.intended_ns.to_le_bytes());
        payload[28..32].copy_from_slice(&self.lag_ns.to_le_bytes());
        let crc = checksum(payload);
        payload[0..4].copy_from_slice(&crc.to_le_bytes());
    }

    /// Reads the identity without checking it; `None` when there is no room for
    /// one. For drivers and nodes that name a message in a note.
    pub fn read(payload: &[u8]) -> Option<Identity> {
        let head: &[u8; IDENTITY_LEN] = payload.first_chunk()?;
        let word =
            |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        Some(Identity {
            producer: word(4),
            sequence: word(8),
            number: word(12),
            key: word(16),
            intended_ns: u64::from(word(20)) | u64::from(word(24)) << 32,
            lag_ns: word(28),
        })
    }

    /// Reads the identity and checks every byte of the payload against it.
    ///
    /// # Errors
    /// [`Corrupt`] when the payload is too short or its checksum is wrong.
    pub fn verify(payload: &[u8]) -> Result<Identity, Corrupt> {
        let identity = Identity::read(payload).ok_or(Corrupt::Short(payload.len()))?;
        let found = u32::from_le_bytes([payload[0], payload[1], payload[2], payload[3]]);
        let computed = checksum(payload);
        if found == computed { Ok(identity) } else { Err(Corrupt::Checksum { found, computed }) }
    }
}

fn checksum(payload: &[u8]) -> u32 {
    crc32c::crc32c(&payload[4..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_stamped_payload_reads_back(
            producer: u32, sequence: u32, number: u32, key: u32,
            intended_ns: u64, lag_ns: u32, len in IDENTITY_LEN..400,
        ) {
            let identity = Identity { producer, sequence, number, key, intended_ns, lag_ns };
            let mut payload = vec![7; len];
            identity.stamp(&mut payload);
            prop_assert_eq!(Identity::verify(&payload), Ok(identity));
        }

        #[test]
        fn any_flipped_bit_is_found(len in IDENTITY_LEN..200, at: prop::sample::Index, bit in 0..8u8) {
            let identity = Identity {
                producer: 1, sequence: 2, number: 3, key: 4, intended_ns: 5, lag_ns: 6,
            };
            let mut payload = vec![0x5a; len];
            identity.stamp(&mut payload);
            payload[at.index(len)] ^= 1 << bit;
            let checked = Identity::verify(&payload);
            prop_assert!(matches!(checked, Err(Corrupt::Checksum { .. })), "{:?}", checked);
        }
    }

    #[test]
    fn a_short_payload_is_named() {
        assert_eq!(Identity::verify(&[0; 31]), Err(Corrupt::Short(31)));
        assert_eq!(Identity::read(&[0; 31]), None);
    }
}
