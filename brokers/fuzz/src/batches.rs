//! Record batches, as produce requests bring them and segments hold them.

use broker_kafka::frame::batch::{Batches, Records, check, each_value, records};

/// Reads all batches in `data`; the checksum is made right first where the first
/// byte is odd, because random bytes never get beyond it.
pub fn batches(data: &[u8]) {
    let Some((mend, bytes)) = data.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if mend & 1 == 1 && bytes.len() > 21 {
        let sum = crc32c(&bytes[21..]);
        bytes[17..21].copy_from_slice(&sum.to_be_bytes());
    }
    for (header, batch) in Batches::new(&bytes).flatten() {
        assert_eq!(batch.len(), header.size());
        if check(batch).is_err() {
            continue;
        }
        let _ = (header.last_offset(), header.last_sequence(), header.delete_horizon());
        let Ok(buf) = records(&header, batch) else { continue };
        for record in Records::new(&header, &buf).flatten() {
            for range in [record.key, record.value].into_iter().flatten() {
                assert!(range.end <= buf.len() && range.start <= range.end);
            }
        }
    }
    let mut values = 0;
    each_value(&bytes, &mut |value| values += value.len());
}

/// The checksum of batches, bit by bit: inputs are small.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            (sum >> 1) ^ (if sum & 1 == 1 { 0x82F6_3B78 } else { 0 })
        })
    })
}
