//! What a gathered write and a sync of a real file take here.

use std::fs::File;
use std::io::{self, Write};
use std::time::Instant;

/// Bytes of a small gathered write, and of a large one.
const SMALL_BYTES: usize = 1 << 10;
const LARGE_BYTES: usize = 64 << 10;
const WRITES: usize = 500;
const SYNCS: usize = 60;

/// Nanoseconds of a gathered write to the page cache, and of a sync after one.
#[derive(Copy, Clone, Debug, PartialEq)]
pub struct DiskTimes {
    /// A write at the end of a file, whatever its length.
    pub append_ns: f64,
    /// Each byte of it.
    pub append_byte_ns: f64,
    /// `fdatasync` after a write of 1 KiB; the median.
    pub sync_ns: f64,
}

/// Times a file in a fresh directory below the system's temporary one.
///
/// # Errors
/// Whatever the operating system refuses.
pub fn measure() -> io::Result<DiskTimes> {
    let folder = tempfile::tempdir()?;
    let mut file = File::create(folder.path().join("log"))?;
    let block = vec![0x5a; LARGE_BYTES];
    let (mut small, mut large) = (Vec::with_capacity(WRITES), Vec::with_capacity(WRITES));
    for _ in 0..WRITES {
        for (bytes, times) in [(SMALL_BYTES, &mut small), (LARGE_BYTES, &mut large)] {
            let begun = Instant::now();
            file.write_all(&block[..bytes])?;
            times.push(begun.elapsed().as_nanos() as f64);
        }
    }
    let (small, large) = (median(&mut small), median(&mut large));
    let append_byte_ns = ((large - small) / (LARGE_BYTES - SMALL_BYTES) as f64).max(0.0);
    let append_ns = (small - append_byte_ns * SMALL_BYTES as f64).max(0.0);
    file.sync_data()?;
    let mut syncs = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        file.write_all(&block[..SMALL_BYTES])?;
        let begun = Instant::now();
        file.sync_data()?;
        syncs.push(begun.elapsed().as_nanos() as f64);
    }
    Ok(DiskTimes { append_ns, append_byte_ns, sync_ns: median(&mut syncs) })
}

/// The middle value; 0 without any.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
