//! What a gathered write and a sync of a real file take here.

use std::fs::File;
use std::io::{self, Write};
use std::time::Instant;

/// Bytes of a gathered write: what a few small messages come to.
const WRITE_BYTES: usize = 1_024;
const WRITES: usize = 2_000;
const SYNCS: usize = 60;

/// Nanoseconds of a gathered write to the page cache, and of a sync after one.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct DiskTimes {
    /// A write of 1 KiB at the end of a file; the median.
    pub append_ns: f64,
    /// `fdatasync` after such a write; the median.
    pub sync_ns: f64,
}

/// Times a file in a fresh directory below the system's temporary one.
///
/// # Errors
/// Whatever the operating system refuses.
pub fn measure() -> io::Result<DiskTimes> {
    let folder = tempfile::tempdir()?;
    let mut file = File::create(folder.path().join("log"))?;
    let block = [0x5a; WRITE_BYTES];
    let mut writes = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let begun = Instant::now();
        file.write_all(&block)?;
        writes.push(begun.elapsed().as_nanos() as f64);
    }
    let mut syncs = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        file.write_all(&block)?;
        let begun = Instant::now();
        file.sync_data()?;
        syncs.push(begun.elapsed().as_nanos() as f64);
    }
    Ok(DiskTimes { append_ns: median(&mut writes), sync_ns: median(&mut syncs) })
}

/// The middle value; 0 without any.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
