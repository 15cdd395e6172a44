//! Buckets of unsorted entries, level above level.

/// Bits of a moment that one level resolves.
const BITS: u32 = 6;
/// Buckets of a level.
const SLOTS: usize = 1 << BITS;
/// Levels that 64 bits need.
const LEVELS: usize = 64usize.div_ceil(BITS as usize);
/// Emptied buckets whose memory is kept for the next one that fills.
const SPARE_MAX: usize = 16;

/// An item and its moment.
#[derive(Clone, Debug)]
pub(super) struct Entry<T> {
    pub(super) at_ns: u64,
    pub(super) item: T,
}

/// Entries later than `floor`, by the highest digit (of 6 bits) in which they
/// differ from it.
///
/// All entries of one moment are in one bucket in the order of pushing: the
/// bucket depends on the moment and on the digits of `floor` above its own, and
/// those do not change while the bucket holds anything.
#[derive(Clone, Debug)]
pub(super) struct Wheel<T> {
    /// `levels * SLOTS` buckets.
    buckets: Vec<Vec<Entry<T>>>,
    /// For each level, which of its buckets hold something.
    occupied: [u64; LEVELS],
    /// Which levels hold something.
    levels: u16,
    /// Every entry is later than this.
    floor: u64,
    /// Emptied buckets.
    spare: Vec<Vec<Entry<T>>>,
}

impl<T> Wheel<T> {
    pub(super) fn new() -> Self {
        Wheel {
            buckets: (0..LEVELS * SLOTS).map(|_| Vec::new()).collect(),
            occupied: [0; LEVELS],
            levels: 0,
            floor: 0,
            spare: Vec::new(),
        }
    }

    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    /// Takes an entry; its moment is later than `floor`.
    #[inline]
    pub(super) fn push(&mut self, entry: Entry<T>) {
        debug_assert!(entry.at_ns > self.floor, "near entries do not come here");
        let level = ((63 - ((entry.at_ns ^ self.floor) | 1).leading_zeros()) / BITS) as usize;
        self.put(level, entry);
    }

    #[inline]
    fn put(&mut self, level: usize, entry: Entry<T>) {
        let slot = (entry.at_ns >> (level as u32 * BITS)) as usize % SLOTS;
        let bucket = &mut self.buckets[level * SLOTS + slot];
        if bucket.capacity() == 0
            && let Some(spare) = self.spare.pop()
        {
            *bucket = spare;
        }
        bucket.push(entry);
        self.occupied[level] |= 1 << slot;
        self.levels |= 1 << level;
    }

    /// Moves the earliest entries into `run` (which is empty), latest first, and
    /// returns the last moment that belongs with them; `None` when there is none.
    pub(super) fn take_earliest(&mut self, run_max: usize, run: &mut Vec<Entry<T>>) -> Option<u64> {
        loop {
            if self.levels == 0 {
                return None;
            }
            let level = self.levels.trailing_zeros() as usize;
            let slot = self.occupied[level].trailing_zeros() as usize;
            self.occupied[level] &= !(1 << slot);
            if self.occupied[level] == 0 {
                self.levels &= !(1 << level);
            }
            let mut bucket = std::mem::take(&mut self.buckets[level * SLOTS + slot]);
            let shift = level as u32 * BITS;
            // The digits of the bucket, and all lower ones zero.
            let start = bucket[0].at_ns >> shift << shift;
            let last = start | ((1u64 << shift) - 1);
            self.floor = start;
            if level == 0 || bucket.len() <= run_max {
                // Stable, so that entries of one moment keep their order; then
                // turned around, because the run is taken from its end.
                if level > 0 {
                    bucket.sort_by_key(|entry| entry.at_ns);
                }
                bucket.reverse();
                self.recycle(std::mem::replace(run, bucket));
                return Some(last);
            }
            for entry in bucket.drain(..) {
                let level = ((63 - ((entry.at_ns ^ start) | 1).leading_zeros()) / BITS) as usize;
                self.put(level, entry);
            }
            self.recycle(bucket);
        }
    }

    /// Keeps the memory of an emptied bucket, within reason.
    fn recycle(&mut self, bucket: Vec<Entry<T>>) {
        if bucket.capacity() > 0 && self.spare.len() < SPARE_MAX {
            self.spare.push(bucket);
        }
    }
}
