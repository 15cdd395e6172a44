//! Every bit and every length of every file of a small log: what comes back is an
//! error, a cut that is reported, or what was written; and what a consumer reads is
//! what was written at that offset, or damage that it sees.

use super::*;

/// A log of several segments, and what it holds.
fn written(is_synced: bool) -> (MemoryDisk, Vec<Row>) {
    let config = small();
    let mut disk = MemoryDisk::new();
    let mut log = open(&mut disk, &config).expect("opens").log;
    for at in 0..14_i64 {
        let item = |part: i64| (Some(format!("k{part}")), Some(format!("v{at}")), 10 * at + part);
        append(&mut log, &mut disk, &[item(0), item(1), item(2)], Codec::None);
        if is_synced {
            sync_all(&mut log, &mut disk);
        }
    }
    if is_synced {
        log.checkpoint(&mut disk).expect("is written");
        sync_all(&mut log, &mut disk);
    }
    assert!(log.segment_count() > 2, "several segments");
    let rows = rows(&mut log, &mut disk, 0, 200);
    assert_eq!(rows.len(), 42);
    (disk, rows)
}

fn bytes_of(disk: &mut MemoryDisk, name: &str) -> Vec<u8> {
    let file = disk.open(name).expect("opens");
    read_all(disk, file).expect("reads")
}

fn with(disk: &MemoryDisk, name: &str, bytes: &[u8]) -> MemoryDisk {
    let mut disk = disk.clone();
    let file = disk.open(name).expect("opens");
    disk.truncate(file, 0).expect("cuts");
    disk.append(file, &[bytes]).expect("appends");
    disk
}

/// Boots from `disk`, reads everything as a consumer does, from each offset, and goes
/// on writing. Returns whether it was refused, or something taken away and reported.
fn examine(mut disk: MemoryDisk, before: &[Row], what: &str) -> bool {
    let opened = match open(&mut disk, &small()) {
        Err(BootError::Store { file, .. }) => {
            assert!(file.starts_with("t-0/"), "{what}: {file}");
            return true;
        }
        Err(error) => panic!("{what}: {error}"),
        Ok(opened) => opened,
    };
    let mut log = opened.log;
    let is_told = !opened.cuts.is_empty();
    let next = log.next();
    assert!(is_told || next == before.len() as i64, "{what}: silently at {next}");
    for max in [1, 300] {
        // One log for all reads, as a node has it, so that each begins somewhere else.
        for from in log.start()..next {
            let Ok(bytes) = log.read(&mut disk, from, max, i64::MAX) else { continue };
            let mut expected = from;
            for found in Batches::new(&bytes) {
                let (header, batch) = found.expect("only whole batches are read");
                if batch::check(batch).is_err() {
                    // So much a consumer sees.
                    break;
                }
                let records = batch::records(&header, batch).expect("decompresses");
                for record in Records::new(&header, &records) {
                    let record = record.expect("reads");
                    let offset = header.base_offset + i64::from(record.offset_delta);
                    if offset < expected {
                        continue;
                    }
                    assert_eq!(offset, expected, "{what}: a record is passed over from {from}");
                    let value = record.value.map(|value| &records[value]).expect("has a value");
                    let row = &before[usize::try_from(offset).expect("is no negative offset")];
                    assert_eq!(Some(value), row.3.as_deref().map(str::as_bytes), "{what}");
                    expected += 1;
                }
            }
        }
    }
    for stamp in [0, 55, 1_000] {
        let _ = log.find_time(&mut disk, stamp);
    }
    let is_sound = log.verify(&mut disk).is_ok();
    let item = (None, Some("after".to_owned()), 500);
    assert_eq!(append(&mut log, &mut disk, &[item], Codec::None), next, "{what}");
    log.checkpoint(&mut disk).expect("is written");
    sync_all(&mut log, &mut disk);
    if let Ok(again) = open(&mut disk, &small()) {
        assert_eq!((again.cuts, again.log.next()), (vec![], next + 1), "{what}: once is enough");
    } else {
        assert!(!is_sound, "{what}: what was sound boots again");
    }
    is_told
}

fn all_files(disk: &mut MemoryDisk) -> Vec<String> {
    disk.list("t-0/").expect("lists")
}

#[test]
fn every_flipped_bit_is_an_error_a_cut_or_seen_by_the_reader() {
    for is_synced in [false, true] {
        let (mut disk, rows) = written(is_synced);
        let mut told = 0;
        for name in all_files(&mut disk) {
            let bytes = bytes_of(&mut disk, &name);
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let what = format!("bit {bit} of {name}, synced {is_synced}");
                told += u32::from(examine(with(&disk, &name, &flipped), &rows, &what));
            }
        }
        assert!(told > 100, "{told}");
    }
}

#[test]
fn every_cut_is_an_error_or_reported() {
    for is_synced in [false, true] {
        let (mut disk, rows) = written(is_synced);
        for name in all_files(&mut disk) {
            let bytes = bytes_of(&mut disk, &name);
            for len in 0..bytes.len() {
                let what = format!("{name} cut at {len}, synced {is_synced}");
                let mut cut = with(&disk, &name, &bytes[..len]);
                let is_last = all_files(&mut cut).iter().rfind(|other| other.ends_with(".log"))
                    == Some(&name);
                if is_last && !is_synced {
                    // Between two batches nothing shows that there was a third.
                    let whole = Batches::new(&bytes[..len]).all(|found| found.is_ok());
                    let kept = rows_of(if whole { &bytes[..len] } else { &[] }).len();
                    let lost = rows_of(&bytes).len() - kept;
                    let rows = if whole { &rows[..rows.len() - lost] } else { &rows[..] };
                    examine(cut, rows, &what);
                } else {
                    examine(cut, &rows, &what);
                }
            }
        }
    }
}

#[test]
fn a_missing_file_is_an_error_reported_or_made_again() {
    let (mut disk, rows) = written(true);
    let names = all_files(&mut disk);
    let logs: Vec<&String> = names.iter().filter(|name| name.ends_with(".log")).collect();
    // Retention removes the first as well, so that this says nothing.
    for name in names.iter().filter(|name| name != &logs[0]) {
        let mut without = disk.clone();
        without.delete(name).expect("deletes");
        let is_told = examine(without, &rows, &format!("without {name}"));
        assert_eq!(is_told, name.ends_with(".log"), "{name}");
    }
    let last = logs[logs.len() - 1];
    let mut without = disk.clone();
    without.delete(last).expect("deletes");
    let cuts = open(&mut without, &small()).expect("opens").cuts;
    let reason = &cuts.last().expect("is reported").reason;
    assert!(reason.starts_with("everything below offset 42 was synced, and the log ends at"));
}

#[test]
fn files_of_others_are_left_alone() {
    let (disk, rows) = written(true);
    for name in ["notes.txt", "5.log", "-0000000000000000001.log", "99999999999999999999.log"] {
        let mut beside = with(&disk, &format!("t-0/{name}"), b"something else");
        assert!(!examine(beside.clone(), &rows, name));
        let before = all_files(&mut beside);
        open(&mut beside, &small()).expect("opens");
        assert_eq!(all_files(&mut beside), before, "{name}");
    }
}

#[test]
fn a_newer_snapshot_is_not_used() {
    let (mut disk, rows) = written(true);
    let names = all_files(&mut disk);
    let name = names.iter().rfind(|name| name.ends_with("snapshot")).expect("there is one");
    let mut bytes = bytes_of(&mut disk, name);
    bytes[5] = 9;
    let end = bytes.len() - 4;
    let crc = crc32c::crc32c(&bytes[..end]);
    bytes[end..].copy_from_slice(&crc.to_be_bytes());
    assert!(!examine(with(&disk, name, &bytes), &rows, "a newer snapshot"));
}
