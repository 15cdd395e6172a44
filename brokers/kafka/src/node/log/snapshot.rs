//! What a partition must know and its log alone would be slow to tell.
//!
//! A snapshot is written once everything below its offset has been synced. It
//! therefore says two things: up to here nothing needs to be checked again, and
//! this is what the producers and leader epochs were at that point. It is
//! written when a segment is full and when the node shuts down; a snapshot that
//! is damaged or cut short is not used, and an older one, or the log from its
//! start, takes its place.

use super::producers::{Appended, Producer, Producers};

const MAGIC: [u8; 4] = *b"KSNP";
const VERSION: u16 = 1;

/// The state of a partition at an offset.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Everything below this offset is synced and summarised here.
    pub offset: i64,
    /// The segment in which that offset lies.
    pub segment: i64,
    /// Its position there.
    pub position: u64,
    /// The first offset that compaction has not seen.
    pub cleaned_to: i64,
    /// Each leader epoch and the first offset appended in it.
    pub epochs: Vec<(i32, i64)>,
    /// The idempotent producers.
    pub producers: Producers,
}

impl Snapshot {
    /// The bytes of its file.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_be_bytes());
        out.extend_from_slice(&self.offset.to_be_bytes());
        out.extend_from_slice(&self.segment.to_be_bytes());
        out.extend_from_slice(&self.position.to_be_bytes());
        out.extend_from_slice(&self.cleaned_to.to_be_bytes());
        out.extend_from_slice(&(self.epochs.len() as u32).to_be_bytes());
        for (epoch, start) in &self.epochs {
            out.extend_from_slice(&epoch.to_be_bytes());
            out.extend_from_slice(&start.to_be_bytes());
        }
        out.extend_from_slice(&(self.producers.iter().len() as u32).to_be_bytes());
        for (id, producer) in self.producers.iter() {
            out.extend_from_slice(&id.to_be_bytes());
            out.extend_from_slice(&producer.epoch.to_be_bytes());
            out.push(producer.batches.len() as u8);
            for batch in &producer.batches {
                out.extend_from_slice(&batch.first_sequence.to_be_bytes());
                out.extend_from_slice(&batch.last_sequence.to_be_bytes());
                out.extend_from_slice(&batch.base_offset.to_be_bytes());
                out.extend_from_slice(&batch.last_offset.to_be_bytes());
                out.extend_from_slice(&batch.at_ms.to_be_bytes());
            }
        }
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_be_bytes());
        out
    }

    /// Reads a snapshot; `None` when the bytes are not a whole and sound one of
    /// a version that is known.
    pub fn decode(bytes: &[u8]) -> Option<Snapshot> {
        let (body, crc) = bytes.split_last_chunk::<4>()?;
        if crc32c::crc32c(body) != u32::from_be_bytes(*crc) {
            return None;
        }
        let mut rest = body;
        if take::<4>(&mut rest)? != MAGIC || u16::from_be_bytes(take(&mut rest)?) != VERSION {
            return None;
        }
        let mut snapshot = Snapshot {
            offset: long(&mut rest)?,
            segment: long(&mut rest)?,
            position: u64::from_be_bytes(take(&mut rest)?),
            cleaned_to: long(&mut rest)?,
            ..Snapshot::default()
        };
        for _ in 0..u32::from_be_bytes(take(&mut rest)?) {
            snapshot.epochs.push((int(&mut rest)?, long(&mut rest)?));
        }
        for _ in 0..u32::from_be_bytes(take(&mut rest)?) {
            let id = long(&mut rest)?;
            let mut producer =
                Producer { epoch: i16::from_be_bytes(take(&mut rest)?), ..Producer::default() };
            for _ in 0..take::<1>(&mut rest)?[0] {
                producer.batches.push_back(Appended {
                    first_sequence: int(&mut rest)?,
                    last_sequence: int(&mut rest)?,
                    base_offset: long(&mut rest)?,
                    last_offset: long(&mut rest)?,
                    at_ms: long(&mut rest)?,
                });
            }
            snapshot.producers.restore(id, producer);
        }
        rest.is_empty().then_some(snapshot)
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

fn int(rest: &mut &[u8]) -> Option<i32> {
    take(rest).map(i32::from_be_bytes)
}

fn long(rest: &mut &[u8]) -> Option<i64> {
    take(rest).map(i64::from_be_bytes)
}
