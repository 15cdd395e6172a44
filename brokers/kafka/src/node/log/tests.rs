//! The log against a naive model, and against crashes and damage at every byte.

mod damage;

use std::collections::BTreeMap;
use std::iter::empty;
use std::time::Duration;

use broker_contract::{BootError, CrashKind, Disk, MemoryDisk};
use proptest::prelude::*;

use super::*;
use crate::frame::Codec;
use crate::frame::batch::{self, BatchWriter, Batches, Records};

/// Offset, timestamp, key, value.
type Row = (i64, i64, Option<String>, Option<String>);

/// A key, a value or tombstone, and a timestamp.
type Item = (Option<String>, Option<String>, i64);

fn small() -> LogConfig {
    LogConfig { segment_bytes: 600, index_interval: 100, ..LogConfig::default() }
}

fn open(disk: &mut MemoryDisk, config: &LogConfig) -> Result<Opened, BootError> {
    open_from(disk, config, 0)
}

fn open_from(disk: &mut MemoryDisk, config: &LogConfig, start: i64) -> Result<Opened, BootError> {
    let listing = disk.list("")?;
    Log::open(disk, "t-0", 0, config.clone(), start, 0, &listing)
}

fn append(log: &mut Log, disk: &mut MemoryDisk, items: &[Item], codec: Codec) -> i64 {
    let mut writer = BatchWriter::new();
    for (key, value, at) in items {
        let (key, value) = (key.as_deref(), value.as_deref());
        writer.push(*at, key.map(str::as_bytes), value.map(str::as_bytes), empty());
    }
    let bytes = writer.finish(codec).expect("finishes");
    let header = batch::check(&bytes).expect("is sound");
    log.append(disk, &bytes, &header, 0, 0).expect("appends")
}

fn rows_of(bytes: &[u8]) -> Vec<Row> {
    let mut rows = Vec::new();
    for found in Batches::new(bytes) {
        let (header, bytes) = found.expect("whole batches");
        batch::check(bytes).expect("sound batches");
        let buf = batch::records(&header, bytes).expect("decompresses");
        let text = |range| String::from_utf8_lossy(&buf[range]).into_owned();
        for record in Records::new(&header, &buf) {
            let record = record.expect("reads");
            rows.push((
                header.base_offset + i64::from(record.offset_delta),
                header.base_timestamp + record.timestamp_delta,
                record.key.map(text),
                record.value.map(text),
            ));
        }
    }
    rows
}

/// All records from `from` on, read `max` bytes at a time.
fn rows(log: &mut Log, disk: &mut MemoryDisk, mut from: i64, max: usize) -> Vec<Row> {
    let mut all = Vec::new();
    loop {
        let bytes = log.read(disk, from, max, i64::MAX).expect("reads");
        let Some(last) = Batches::new(&bytes).map(|found| found.expect("whole").0).last() else {
            return all;
        };
        all.extend(rows_of(&bytes).into_iter().filter(|row| row.0 >= from));
        from = last.last_offset() + 1;
    }
}

/// Ends all syncs that the log wants.
fn sync_all(log: &mut Log, disk: &mut MemoryDisk) {
    while let Some((file, number)) = log.ask_sync() {
        disk.complete_sync(file);
        log.synced(disk, number, true).expect("is noted");
    }
}

/// Compacts until nothing is left to do.
fn compact(log: &mut Log, disk: &mut MemoryDisk, now_ms: i64) {
    let mut cleaner = log.cleaner(1 << 20, now_ms);
    loop {
        match cleaner.step(log, disk, &mut |_| {}).expect("cleans") {
            Cleaned::More => {}
            Cleaned::Sync(file) => disk.complete_sync(file),
            Cleaned::Done => return,
        }
    }
}

fn items() -> impl Strategy<Value = Vec<Item>> {
    let value = proptest::option::weighted(0.8, "[a-z]{0,20}");
    proptest::collection::vec((proptest::option::weighted(0.9, "[a-f]"), value, 0i64..1000), 1..6)
}

fn codec() -> impl Strategy<Value = Codec> {
    proptest::sample::select(vec![Codec::None, Codec::None, Codec::Lz4, Codec::Snappy])
}

#[derive(Clone, Debug)]
enum Step {
    Append(Vec<Item>, Codec),
    Reopen,
    Checkpoint,
    Flush,
    DeleteTo(prop::sample::Index),
    FindTime(i64),
    Roll,
    Read(prop::sample::Index, usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (items(), codec()).prop_map(|(items, codec)| Step::Append(items, codec)),
        1 => Just(Step::Reopen),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Flush),
        1 => any::<prop::sample::Index>().prop_map(Step::DeleteTo),
        2 => (0i64..1000).prop_map(Step::FindTime),
        1 => Just(Step::Roll),
        3 => (any::<prop::sample::Index>(), 1usize..2000).prop_map(|(at, max)| Step::Read(at, max)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn the_log_is_what_a_list_is(steps in proptest::collection::vec(step(), 1..60)) {
        let config = small();
        let mut disk = MemoryDisk::new();
        let mut log = open(&mut disk, &config).expect("opens").log;
        let (mut model, mut start): (Vec<Row>, i64) = (Vec::new(), 0);
        for step in steps {
            let next = model.len() as i64;
            match step {
                Step::Append(items, codec) => {
                    prop_assert_eq!(append(&mut log, &mut disk, &items, codec), next);
                    for (at, (key, value, stamp)) in items.into_iter().enumerate() {
                        model.push((next + at as i64, stamp, key, value));
                    }
                }
                Step::Reopen => {
                    let opened = open_from(&mut disk, &config, start).expect("opens");
                    prop_assert_eq!(opened.cuts, vec![]);
                    log = opened.log;
                }
                Step::Checkpoint => {
                    log.checkpoint(&mut disk).expect("is written");
                    sync_all(&mut log, &mut disk);
                }
                Step::Flush => {
                    log.flush();
                    sync_all(&mut log, &mut disk);
                    prop_assert_eq!(log.flushed(), next);
                }
                Step::DeleteTo(at) => {
                    start = start.max(at.index(model.len() + 1) as i64);
                    log.delete_to(&mut disk, start).expect("deletes");
                }
                Step::FindTime(stamp) => {
                    let found = log.find_time(&mut disk, stamp).expect("searches");
                    let naive = model.iter().find(|row| row.0 >= start && row.1 >= stamp);
                    prop_assert_eq!(found, naive.map(|row| (row.0, row.1)));
                }
                Step::Roll => log.roll(&mut disk).expect("rolls"),
                Step::Read(at, max) => {
                    let from = at.index(model.len() + 1) as i64;
                    match log.read(&mut disk, from, max, i64::MAX) {
                        Ok(_) if from < start => prop_assert!(false, "reads what is deleted"),
                        Ok(bytes) => {
                            let whole = Batches::new(&bytes).all(|found| found.is_ok());
                            prop_assert!(whole);
                            let count = Batches::new(&bytes).count();
                            prop_assert!(bytes.len() <= max || count == 1);
                            let read: Vec<_> =
                                rows_of(&bytes).into_iter().filter(|row| row.0 >= from).collect();
                            prop_assert_eq!(&read[..], &model[from as usize..][..read.len()]);
                            prop_assert_eq!(read.is_empty(), from == next);
                        }
                        Err(LogError::OutOfRange { .. }) => prop_assert!(from < start),
                        Err(error) => prop_assert!(false, "{error}"),
                    }
                }
            }
            prop_assert_eq!((log.start(), log.next()), (start, model.len() as i64));
        }
        let read = rows(&mut log, &mut disk, start, 300);
        prop_assert_eq!(&read[..], &model[start as usize..]);
        log.verify(&mut disk).expect("is sound");
    }

    /// After a power loss at any point, with any part of what was not synced
    /// left, the log is a prefix that holds everything that was.
    #[test]
    fn a_power_loss_leaves_a_prefix_with_all_that_was_synced(
        batches in proptest::collection::vec((items(), codec(), 0..6u8), 1..40),
        torn in proptest::collection::vec(0usize..900, 64),
    ) {
        let config = small();
        let mut disk = MemoryDisk::new();
        let mut log = open(&mut disk, &config).expect("opens").log;
        let mut model: Vec<Row> = Vec::new();
        for (items, codec, then) in batches {
            let base = append(&mut log, &mut disk, &items, codec);
            for (at, (key, value, stamp)) in items.into_iter().enumerate() {
                model.push((base + at as i64, stamp, key, value));
            }
            match then {
                0 => log.flush(),
                1 => log.checkpoint(&mut disk).expect("is written"),
                _ => {}
            }
            if then < 2 {
                sync_all(&mut log, &mut disk);
            }
        }
        let flushed = log.flushed();
        let mut torn = torn.into_iter().cycle();
        disk.crash(CrashKind::PowerLoss, |unsynced| torn.next().unwrap_or(0).min(unsynced));
        let mut opened = open(&mut disk, &config).expect("opens");
        let read = rows(&mut opened.log, &mut disk, 0, 1000);
        prop_assert!(read.len() as i64 >= flushed, "{} of {flushed}", read.len());
        prop_assert_eq!(&read[..], &model[..read.len()]);
        prop_assert_eq!(opened.log.next(), read.len() as i64);
        // Once it is whole it stays whole, and goes on.
        let again = open(&mut disk, &config).expect("opens");
        prop_assert_eq!(again.cuts, vec![]);
        let mut log = again.log;
        let item = (None, Some("after".to_owned()), 5);
        let base = append(&mut log, &mut disk, &[item], Codec::None);
        prop_assert_eq!(base, read.len() as i64);
        log.verify(&mut disk).expect("is sound");
    }

    /// A flipped bit in a log file is cut back to, reported, or found by the
    /// check; it is never read as something else.
    #[test]
    fn a_flipped_bit_is_never_silent(
        batches in proptest::collection::vec((items(), codec()), 2..30),
        at: prop::sample::Index, bit in 0..8u8, synced: bool,
    ) {
        let config = small();
        let mut disk = MemoryDisk::new();
        let mut log = open(&mut disk, &config).expect("opens").log;
        for (items, codec) in &batches {
            append(&mut log, &mut disk, items, *codec);
        }
        let before = rows(&mut log, &mut disk, 0, 1000);
        if synced {
            log.checkpoint(&mut disk).expect("is written");
            sync_all(&mut log, &mut disk);
        }
        let names: Vec<_> =
            disk.list("t-0/").expect("lists").into_iter().filter(|n| n.ends_with(".log")).collect();
        let name = &names[at.index(names.len())];
        let file = disk.open(name).expect("opens");
        let mut bytes = read_all(&mut disk, file).expect("reads");
        prop_assume!(!bytes.is_empty());
        let byte = at.index(bytes.len());
        bytes[byte] ^= 1 << bit;
        disk.truncate(file, 0).expect("cuts");
        disk.append(file, &[&bytes]).expect("appends");
        match open(&mut disk, &config) {
            // What is wrong may only show where the next segment begins.
            Err(BootError::Store { file, .. }) => prop_assert!(names.contains(&file)),
            Err(error) => prop_assert!(false, "{error}"),
            Ok(mut opened) => {
                let is_cut = !opened.cuts.is_empty();
                let verified = opened.log.verify(&mut disk);
                if is_cut {
                    prop_assert_eq!(verified, Ok(()));
                    let after = rows(&mut opened.log, &mut disk, 0, 1000);
                    prop_assert_eq!(&after[..], &before[..after.len()]);
                } else if verified.is_ok() {
                    // The leader epoch is outside of the checksum.
                    prop_assert!(is_epoch(&bytes, byte), "byte {byte} of {name}");
                }
            }
        }
    }

    /// Compaction keeps, of each key, the last record, with its offset.
    #[test]
    fn compaction_keeps_the_last_of_each_key(
        batches in proptest::collection::vec((items(), codec(), 0..8u8), 2..40),
        reopen: bool,
    ) {
        let config = LogConfig {
            compact: true,
            delete: false,
            dirty_ratio: 0.0,
            delete_retention: Duration::from_millis(500),
            ..small()
        };
        let mut disk = MemoryDisk::new();
        let mut log = open(&mut disk, &config).expect("opens").log;
        let mut model: Vec<Row> = Vec::new();
        let mut now_ms = 0;
        for (items, codec, then) in batches {
            // A compacted topic takes no record without a key.
            let items: Vec<Item> = items
                .into_iter()
                .map(|(key, value, at)| (Some(key.unwrap_or_default()), value, at))
                .collect();
            let base = append(&mut log, &mut disk, &items, codec);
            for (at, (key, value, stamp)) in items.into_iter().enumerate() {
                model.push((base + at as i64, stamp, key, value));
            }
            sync_all(&mut log, &mut disk);
            if then == 0 {
                now_ms += 400;
                compact(&mut log, &mut disk, now_ms);
                if reopen {
                    let opened = open(&mut disk, &config).expect("opens");
                    prop_assert_eq!(opened.cuts, vec![]);
                    log = opened.log;
                }
            }
        }
        log.roll(&mut disk).expect("rolls");
        sync_all(&mut log, &mut disk);
        compact(&mut log, &mut disk, now_ms);
        let next = log.next();
        prop_assert_eq!(next, model.len() as i64);
        let read = rows(&mut log, &mut disk, 0, 500);
        // What is left is in the model, in order, at its offset.
        for row in &read {
            prop_assert_eq!(row, &model[row.0 as usize]);
        }
        prop_assert!(read.windows(2).all(|pair| pair[0].0 < pair[1].0));
        let mut last: BTreeMap<Option<String>, &Row> = BTreeMap::new();
        for row in &model {
            last.insert(row.2.clone(), row);
        }
        let kept: BTreeMap<i64, &Row> = read.iter().map(|row| (row.0, row)).collect();
        for row in last.values().filter(|row| row.3.is_some()) {
            prop_assert!(kept.contains_key(&row.0), "{row:?} is gone");
        }
        let superseded = |row: &&Row| last.get(&row.2).is_some_and(|latest| latest.0 > row.0);
        prop_assert_eq!(read.iter().find(superseded), None);
        log.verify(&mut disk).expect("is sound");
        // Tombstones go once their time has come.
        let later = now_ms + 10_000;
        append(&mut log, &mut disk, &[(Some("zz".into()), Some("x".into()), 0)], Codec::None);
        log.roll(&mut disk).expect("rolls");
        sync_all(&mut log, &mut disk);
        compact(&mut log, &mut disk, later);
        append(&mut log, &mut disk, &[(Some("zz".into()), Some("y".into()), 0)], Codec::None);
        log.roll(&mut disk).expect("rolls");
        sync_all(&mut log, &mut disk);
        compact(&mut log, &mut disk, later + 10_000);
        let read = rows(&mut log, &mut disk, 0, 500);
        prop_assert_eq!(read.iter().find(|row| row.3.is_none()), None);
    }

    /// A power loss in the middle of a compaction costs nothing.
    #[test]
    fn a_crash_during_compaction_loses_nothing(
        batches in proptest::collection::vec(items(), 4..30), stop in 0usize..40, torn in 0usize..500,
    ) {
        let config =
            LogConfig { compact: true, delete: false, dirty_ratio: 0.0, ..small() };
        let mut disk = MemoryDisk::new();
        let mut log = open(&mut disk, &config).expect("opens").log;
        let mut last: BTreeMap<String, Option<String>> = BTreeMap::new();
        for items in batches {
            let items: Vec<Item> = items
                .into_iter()
                .map(|(key, value, at)| (Some(key.unwrap_or_default()), value, at))
                .collect();
            append(&mut log, &mut disk, &items, Codec::None);
            for (key, value, _) in items {
                last.insert(key.unwrap_or_default(), value);
            }
        }
        log.flush();
        sync_all(&mut log, &mut disk);
        let mut cleaner = log.cleaner(1 << 20, 0);
        for _ in 0..stop {
            match cleaner.step(&mut log, &mut disk, &mut |_| {}).expect("cleans") {
                Cleaned::More => {}
                Cleaned::Sync(file) => disk.complete_sync(file),
                Cleaned::Done => break,
            }
        }
        disk.crash(CrashKind::PowerLoss, |unsynced| torn.min(unsynced));
        let mut opened = open(&mut disk, &config).expect("opens");
        let mut read: BTreeMap<String, Option<String>> = BTreeMap::new();
        for row in rows(&mut opened.log, &mut disk, 0, 700) {
            read.insert(row.2.unwrap_or_default(), row.3);
        }
        prop_assert_eq!(read, last);
    }
}

/// Whether byte `at` of a file of batches belongs to a leader epoch.
fn is_epoch(bytes: &[u8], at: usize) -> bool {
    let mut start = 0;
    while start + 12 <= bytes.len() {
        let length = &bytes[start + 8..start + 12];
        let length = length.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte));
        let within = at.wrapping_sub(start);
        if within < length + 12 {
            return (12..16).contains(&within);
        }
        start += length + 12;
    }
    false
}

#[test]
fn missing_and_damaged_indexes_are_made_again() {
    let config = small();
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, &config).expect("opens").log;
    for at in 0..100 {
        let item = (None, Some(format!("value {at}")), at);
        append(&mut log, &mut disk, &[item], Codec::None);
    }
    log.checkpoint(&mut disk).expect("is written");
    sync_all(&mut log, &mut disk);
    let before = rows(&mut log, &mut disk, 0, 200);
    let names = disk.list("t-0/").expect("lists");
    let indexes: Vec<_> = names.iter().filter(|name| name.ends_with("index")).collect();
    assert!(indexes.len() > 4);
    for (at, name) in indexes.iter().enumerate() {
        let file = disk.open(name).expect("opens");
        match at % 3 {
            0 => disk.delete(name).expect("deletes"),
            1 => disk.truncate(file, 5).expect("cuts"),
            _ => {
                disk.truncate(file, 0).expect("cuts");
                disk.append(file, &[&[0, 0, 0, 1, 0, 0, 0, 77, 9, 9, 9, 9]]).expect("appends");
            }
        }
    }
    let mut opened = open(&mut disk, &config).expect("opens");
    assert_eq!(opened.cuts, []);
    assert_eq!(rows(&mut opened.log, &mut disk, 0, 200), before);
    assert_eq!(opened.log.find_time(&mut disk, 55), Ok(Some((55, 55))));
}

#[test]
fn a_damaged_snapshot_only_makes_the_next_boot_slower() {
    let config = small();
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, &config).expect("opens").log;
    for at in 0..50 {
        append(&mut log, &mut disk, &[(None, Some("x".repeat(50)), at)], Codec::None);
        sync_all(&mut log, &mut disk);
    }
    let names = disk.list("t-0/").expect("lists");
    let snapshots: Vec<_> = names.iter().filter(|name| name.ends_with("snapshot")).collect();
    assert_eq!(snapshots.len(), SNAPSHOTS);
    for name in snapshots {
        let file = disk.open(name).expect("opens");
        let len = disk.len(file).expect("has a length");
        disk.truncate(file, len / 2).expect("cuts");
    }
    let mut opened = open(&mut disk, &config).expect("opens");
    assert_eq!(opened.cuts, []);
    assert_eq!(rows(&mut opened.log, &mut disk, 0, 200).len(), 50);
}

#[test]
fn retention_takes_whole_segments_by_time_and_by_size() {
    let hour = Duration::from_secs(3_600);
    let config = LogConfig { retention: Some(hour), ..small() };
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, &config).expect("opens").log;
    for at in 0..40 {
        append(&mut log, &mut disk, &[(None, Some("x".repeat(80)), at * 60_000)], Codec::None);
    }
    let segments = log.segment_count();
    assert!(segments > 5);
    assert!(log.retain(&mut disk, 100_000_000).expect("retains").is_empty(), "none is synced");
    let segments = segments.max(log.segment_count());
    sync_all(&mut log, &mut disk);
    // Two hours after the first: what is older than an hour goes, a segment
    // at a time.
    let removed = log.retain(&mut disk, 7_200_000 - 3_000_000).expect("retains");
    assert!(!removed.is_empty() && removed.len() < segments);
    let start = log.start();
    let first = rows(&mut log, &mut disk, start, 500)[0].clone();
    assert!(first.1 <= 1_200_000, "the segment with the border stays: {first:?}");
    // Much later all is old; the log goes on at its next offset.
    let mut later = log.retain(&mut disk, 100_000_000).expect("retains");
    sync_all(&mut log, &mut disk);
    later.extend(log.retain(&mut disk, 100_000_000).expect("retains"));
    assert_eq!(removed.len() + later.len(), segments);
    assert_eq!((log.start(), log.next(), log.size()), (40, 40, 0));
    let opened = open(&mut disk, &config).expect("opens");
    assert_eq!((opened.log.start(), opened.log.next()), (40, 40));

    let config = LogConfig { retention: None, retention_bytes: Some(1_500), ..small() };
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, &config).expect("opens").log;
    for at in 0..40 {
        append(&mut log, &mut disk, &[(None, Some("x".repeat(80)), at)], Codec::None);
    }
    sync_all(&mut log, &mut disk);
    log.retain(&mut disk, 0).expect("retains");
    assert!((1_500..2_200).contains(&log.size()), "{}", log.size());
}

#[test]
fn a_clean_log_needs_no_check_and_an_epoch_is_remembered() {
    let config = small();
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, &config).expect("opens").log;
    for epoch in [0, 0, 2, 2, 5] {
        let mut writer = BatchWriter::new();
        writer.push(0, None, Some(b"value"), empty());
        let bytes = writer.finish(Codec::None).expect("finishes");
        let header = batch::check(&bytes).expect("is sound");
        log.append(&mut disk, &bytes, &header, epoch, 0).expect("appends");
    }
    let ends = |log: &Log| (0..7).map(|epoch| log.end_of_epoch(epoch)).collect::<Vec<_>>();
    let expected = [(0, 2), (0, 2), (2, 4), (2, 4), (2, 4), (5, 5), (5, 5)];
    assert_eq!(ends(&log), expected);
    log.checkpoint(&mut disk).expect("is written");
    sync_all(&mut log, &mut disk);
    // Damage below the checkpoint that no header shows is not looked for.
    let file = disk.open("t-0/00000000000000000000.log").expect("opens");
    let mut bytes = read_all(&mut disk, file).expect("reads");
    *bytes.last_mut().expect("has bytes") ^= 1;
    disk.truncate(file, 0).expect("cuts");
    disk.append(file, &[&bytes]).expect("appends");
    let mut opened = open(&mut disk, &config).expect("opens");
    assert_eq!(opened.cuts, []);
    assert_eq!(ends(&opened.log), expected);
    let error = opened.log.verify(&mut disk).expect_err("is damaged").to_string();
    assert!(
        error.starts_with("t-0/00000000000000000000.log at byte 292: the batch's CRC-32C is"),
        "{error}"
    );
}

#[test]
fn a_segment_behind_a_lost_batch_goes_as_well() {
    let config = small();
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, &config).expect("opens").log;
    for at in 0..12 {
        append(&mut log, &mut disk, &[(None, Some("x".repeat(80)), at)], Codec::None);
    }
    let names = disk.list("t-0/").expect("lists");
    let logs: Vec<_> = names.iter().filter(|name| name.ends_with(".log")).collect();
    assert!(logs.len() > 2);
    let size = log.read(&mut disk, 0, 1, i64::MAX).expect("reads").len() as u64;
    // A power loss takes a whole batch of the first segment, and nothing else.
    let file = disk.open(logs[0]).expect("opens");
    let len = disk.len(file).expect("has a length");
    disk.truncate(file, len - size).expect("cuts");
    let mut opened = open(&mut disk, &config).expect("opens");
    assert_eq!(opened.cuts.len(), logs.len() - 1);
    let kept = len / size - 1;
    assert_eq!(
        opened.cuts[0].reason,
        format!("the batch begins at offset {}, and the one before ends at {}", kept + 1, kept - 1)
    );
    assert_eq!(rows(&mut opened.log, &mut disk, 0, 1000).len() as u64, kept);
}
