//! Every bit and every length of every file of a small stream: it boots with what was
//! written and says what is missing, or is refused with the file, the byte and the
//! reason.

mod common;

use broker_contract::{BootError, CrashKind, Disk, MemoryDisk};
use common::{Rig, Sent, small_blocks};

const JOURNAL: &str = "jetstream/S/journal";

fn files(disk: &mut MemoryDisk) -> Vec<String> {
    disk.list("").expect("lists")
}

fn bytes_of(disk: &mut MemoryDisk, name: &str) -> Vec<u8> {
    let file = disk.open(name).expect("opens");
    let mut bytes = vec![0; disk.len(file).expect("is open") as usize];
    disk.read_at(file, 0, &mut bytes).expect("reads");
    bytes
}

fn with(disk: &MemoryDisk, name: &str, bytes: &[u8]) -> MemoryDisk {
    let mut disk = disk.clone();
    let file = disk.open(name).expect("opens");
    disk.truncate(file, 0).expect("cuts");
    disk.append(file, &[bytes]).expect("appends");
    disk
}

/// A stream of two blocks and a bit, with removed messages and a consumer that is
/// somewhere in the middle; and what it holds.
fn written() -> (MemoryDisk, Vec<(u64, String)>) {
    let mut rig = Rig::with(small_blocks());
    rig.stream("S", "\"subjects\":[\"s.>\"]");
    rig.consumer("S", "C", "\"durable_name\":\"C\",\"ack_policy\":\"explicit\"");
    for number in 1..=12 {
        let body = format!("m{number}-{}", "x".repeat(700));
        assert!(rig.publish(&format!("s.{}", number % 3), &body).contains("\"seq\""));
    }
    for delivery in rig.pull("S", "C", "3") {
        rig.acknowledge(&delivery, "");
    }
    assert!(rig.api("STREAM.MSG.DELETE.S", "{\"seq\":5}").contains("true"));
    let blocks = files(&mut rig.world.disk).iter().filter(|name| name.ends_with(".blk")).count();
    assert!(blocks >= 3, "{blocks} blocks");
    let held = everything(&mut rig);
    assert_eq!(held.len(), 11);
    rig.crash(CrashKind::ProcessKill, |_| 0);
    (rig.world.disk.clone(), held)
}

fn everything(rig: &mut Rig) -> Vec<(u64, String)> {
    rig.consumer("S", "reader", "\"mem_storage\":true");
    let got = rig.pull("S", "reader", "{\"batch\":1000,\"no_wait\":true}");
    let got = got.iter().filter(|sent| sent.is_delivery());
    let messages = got.map(|sent| (sent.number(1), sent.text())).collect();
    rig.api("CONSUMER.DELETE.S.reader", "");
    messages
}

/// What became of a boot.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Refused(String),
    Gone,
    Told,
    Silent,
}

/// Boots from `disk`, reads and goes on.
fn examine(disk: MemoryDisk, before: &[(u64, String)], what: &str) -> Fate {
    let mut rig = match Rig::on(small_blocks(), disk) {
        Err(BootError::Store { file, reason, .. }) => {
            assert!(file.starts_with("jetstream/S/") && !reason.is_empty(), "{what}: {file}");
            return Fate::Refused(file);
        }
        Err(error) => panic!("{what}: {error}"),
        Ok(rig) => rig,
    };
    rig.check();
    if !rig.api("STREAM.NAMES", "").contains("\"S\"") {
        assert!(rig.was_noted("unfinished stream removed"), "{what}");
        return Fate::Gone;
    }
    let is_told = rig.was_noted("damaged store reported") || rig.was_noted("torn tail cut");
    let after = everything(&mut rig);
    // A removal that was damaged is undone; nothing else is there that was not.
    let is_known = |one: &&(u64, String)| one.0 == 5 || before.contains(one);
    assert_eq!(after.iter().find(|one| !is_known(one)), None, "{what}");
    let missing = before.iter().filter(|one| !after.contains(one)).count();
    assert!(is_told || missing == 0, "{what}: {missing} are missing silently");
    let (_, last, _) = rig.state("S");
    assert!(rig.publish("s.1", "after").contains("\"seq\""), "{what}");
    let deliveries: Vec<Sent> = rig.pull("S", "C", "{\"batch\":50,\"no_wait\":true}");
    deliveries.iter().filter(|sent| sent.is_delivery()).for_each(|sent| {
        rig.acknowledge(sent, "");
    });
    let state = rig.state("S");
    rig.crash(CrashKind::ProcessKill, |_| 0);
    assert_eq!(rig.state("S"), state, "{what}: it was {last} before");
    if is_told { Fate::Told } else { Fate::Silent }
}

#[test]
fn every_flipped_bit_is_told_or_refused() {
    let (mut disk, before) = written();
    for name in files(&mut disk) {
        let bytes = bytes_of(&mut disk, &name);
        for bit in 0..bytes.len() * 8 {
            // Of a body all bits are alike; seven of its bytes stand for all.
            if bytes[bit / 8] == b'x' && !(bit / 8).is_multiple_of(101) {
                continue;
            }
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let what = format!("bit {bit} of {name}");
            let fate = examine(with(&disk, &name, &flipped), &before, &what);
            assert!(matches!(fate, Fate::Told | Fate::Refused(_)), "{what}: {fate:?}");
        }
    }
}

#[test]
fn every_cut_is_told_or_leaves_whole_records() {
    let (mut disk, before) = written();
    for name in files(&mut disk) {
        let bytes = bytes_of(&mut disk, &name);
        let is_last = files(&mut disk).iter().rfind(|other| other.ends_with(".blk")) == Some(&name);
        for len in 0..bytes.len() {
            if len > 0 && bytes[len] == b'x' && bytes[len - 1] == b'x' && !len.is_multiple_of(101) {
                continue;
            }
            let cut = with(&disk, &name, &bytes[..len]);
            // At the end of the log nothing shows that there was another record.
            let rest = if is_last { whole(&bytes[..len], &before) } else { before.clone() };
            examine(cut, &rest, &format!("{name} cut at {len}"));
        }
    }
}

/// Of the messages, those that the last block holds whole, and all before it.
fn whole(block: &[u8], all: &[(u64, String)]) -> Vec<(u64, String)> {
    let Some(first) = block.get(12..20) else { return all.to_vec() };
    let first = u64::from_le_bytes(first.try_into().expect("eight bytes"));
    let (mut at, mut end) = (24, first);
    while let Some(head) = block.get(at..at + 32) {
        let len = u32::from_le_bytes(head[4..8].try_into().expect("four bytes")) as usize;
        if at + len > block.len() {
            break;
        }
        end += u64::from(head[30] == 1);
        at += len;
    }
    if at == block.len() {
        all.iter().filter(|(seq, _)| *seq < end).cloned().collect()
    } else {
        all.to_vec()
    }
}

#[test]
fn a_missing_or_empty_file_is_told_or_refused() {
    let (mut disk, before) = written();
    let names = files(&mut disk);
    let blocks: Vec<&String> = names.iter().filter(|name| name.ends_with(".blk")).collect();
    for name in &names {
        let mut without = disk.clone();
        without.delete(name).expect("deletes");
        let what = format!("without {name}");
        if name == JOURNAL {
            assert_eq!(examine(without, &before, &what), Fate::Refused(JOURNAL.to_owned()));
        } else if name != blocks[0] && name != blocks[blocks.len() - 1] {
            // Limits take blocks from the front, and power those that were begun last.
            assert_eq!(examine(without, &before, &what), Fate::Told, "{what}");
        }
        let fate = examine(with(&disk, name, b""), &before, &format!("{name} is empty"));
        let expected = if name == JOURNAL { Fate::Gone } else { Fate::Told };
        assert_eq!(fate, expected, "{name} is empty");
    }
}

#[test]
fn a_stream_without_its_journal_keeps_its_messages() {
    let (mut disk, _) = written();
    disk.delete(JOURNAL).expect("deletes");
    let before = files(&mut disk);
    let Err(BootError::Store { file, offset, reason }) = Rig::on(small_blocks(), disk.clone())
    else {
        panic!("it is refused")
    };
    assert_eq!((file.as_str(), offset), (JOURNAL, 0));
    assert!(reason.starts_with("it is missing, and there are messages in"), "{reason}");
    assert_eq!(files(&mut disk), before);
}

#[test]
fn a_file_of_others_is_refused() {
    let (disk, before) = written();
    for name in ["notes.txt", "1.blk", "000000000001.blk.bak", "sub/journal"] {
        let name = format!("jetstream/S/{name}");
        let fate = examine(with(&disk, &name, b"something else"), &before, &name);
        assert_eq!(fate, Fate::Refused(name));
    }
}

/// A record of a block, with the checksum that belongs to it.
fn record(kind: u8, seq: u64, time: u64) -> Vec<u8> {
    let mut bytes = vec![0; 33];
    bytes[4..8].copy_from_slice(&33_u32.to_le_bytes());
    bytes[8..16].copy_from_slice(&seq.to_le_bytes());
    bytes[16..24].copy_from_slice(&time.to_le_bytes());
    bytes[28] = 1;
    bytes[30] = kind;
    bytes[32] = b's';
    let sum = crc32c::crc32c(&bytes[4..]);
    bytes[..4].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// An event of a journal, with the checksum that belongs to it.
fn event(kind: u8, numbers: &[u64]) -> Vec<u8> {
    let mut body = 0_u32.to_le_bytes().to_vec();
    numbers.iter().for_each(|number| body.extend_from_slice(&number.to_le_bytes()));
    let mut bytes = vec![0; 4];
    bytes.extend_from_slice(&(body.len() as u32).to_le_bytes());
    bytes.push(kind);
    bytes.extend_from_slice(&body);
    let sum = crc32c::crc32c(&bytes[4..]);
    bytes[..4].copy_from_slice(&sum.to_le_bytes());
    bytes
}

#[test]
fn sound_checksums_over_absurd_numbers_do_no_harm() {
    let (mut disk, before) = written();
    let odd = [0, 1, 13, 14, 1 << 18, 1 << 40, 1 << 62, (1 << 63) + 1, u64::MAX - 1, u64::MAX];
    let names = files(&mut disk);
    let last = names.iter().rfind(|name| name.ends_with(".blk")).expect("there is one");
    let (block, journal) = (bytes_of(&mut disk, last), bytes_of(&mut disk, JOURNAL));
    for one in odd {
        for other in odd {
            for kind in 1..=5 {
                let with_record = [&block[..], &record(kind, one, other)].concat();
                // What such a record says may be that messages are gone.
                let what = format!("a record {kind} of {one} and {other}");
                let _ = boots(with(&disk, last, &with_record), &what);
            }
            for kind in 4..=9 {
                let with_event = [&journal[..], &event(kind, &[one, other, one])].concat();
                let what = format!("an event {kind} of {one} and {other}");
                let _ = boots(with(&disk, JOURNAL, &with_event), &what);
            }
        }
        let mut head = block.clone();
        head[12..20].copy_from_slice(&one.to_le_bytes());
        let sum = crc32c::crc32c(&head[..20]);
        head[20..24].copy_from_slice(&sum.to_le_bytes());
        let _ = boots(with(&disk, last, &head), &format!("a block from {one} on"));
    }
    assert_eq!(examine(disk, &before, "undamaged"), Fate::Silent);
}

/// Boots and works a little, if it is not refused.
fn boots(disk: MemoryDisk, what: &str) -> bool {
    match Rig::on(small_blocks(), disk) {
        Err(BootError::Store { .. }) => false,
        Err(error) => panic!("{what}: {error}"),
        Ok(mut rig) => {
            rig.check();
            if rig.api("STREAM.NAMES", "").contains("\"S\"") {
                rig.publish("s.1", "after");
                let got = rig.pull("S", "C", "{\"batch\":50,\"no_wait\":true}");
                got.iter().filter(|sent| sent.is_delivery()).for_each(|sent| {
                    rig.acknowledge(sent, "");
                });
                rig.advance(31_000);
                rig.crash(CrashKind::ProcessKill, |_| 0);
            }
            true
        }
    }
}
