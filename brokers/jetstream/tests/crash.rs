//! Stores that were cut, flipped, foreign, full: what comes back is a prefix of what
//! was written, or says what is missing.

mod common;

use broker_contract::{BootError, CrashKind, Disk, DiskError, MemoryDisk};
use broker_jetstream::{JetStreamConfig, SyncPolicy};
use common::{Rig, Sent, small_blocks};
use proptest::prelude::*;

/// A disk with the same files, but for what `change` does to one of them.
fn changed(disk: &mut MemoryDisk, name: &str, change: impl Fn(&mut Vec<u8>)) -> MemoryDisk {
    let mut copy = MemoryDisk::new();
    for file in disk.list("").expect("lists") {
        let id = disk.open(&file).expect("opens");
        let mut bytes = vec![0; disk.len(id).expect("is open") as usize];
        disk.read_at(id, 0, &mut bytes).expect("reads");
        if file == name {
            change(&mut bytes);
        }
        let id = copy.open(&file).expect("opens");
        copy.append(id, &[&bytes]).expect("appends");
    }
    copy
}

fn blocks(disk: &mut MemoryDisk) -> Vec<String> {
    let files = disk.list("jetstream/S/").expect("lists");
    files.into_iter().filter(|name| name.ends_with(".blk")).collect()
}

fn len(disk: &mut MemoryDisk, name: &str) -> usize {
    let id = disk.open(name).expect("opens");
    disk.len(id).expect("is open") as usize
}

/// A stream of `count` messages, `m1` and so on, in blocks of 4 KiB.
fn filled(count: u64) -> Rig {
    let mut rig = Rig::with(small_blocks());
    rig.stream("S", "\"subjects\":[\"s.>\"]");
    for number in 1..=count {
        let subject = format!("s.{}", number % 7);
        assert!(rig.publish(&subject, &format!("m{number}")).contains("\"seq\""));
    }
    rig
}

fn everything(rig: &mut Rig) -> Vec<(u64, String)> {
    rig.consumer("S", "reader", "\"mem_storage\":true");
    let got = rig.pull("S", "reader", "{\"batch\":100000,\"no_wait\":true}");
    let mut messages: Vec<(u64, String)> = got
        .iter()
        .filter(|sent| sent.is_delivery())
        .map(|sent| (sent.number(1), sent.text()))
        .collect();
    loop {
        rig.work();
        let more = rig.take("in.p");
        if more.is_empty() {
            break;
        }
        let more = more.iter().filter(|sent| sent.is_delivery());
        messages.extend(more.map(|sent| (sent.number(1), sent.text())));
    }
    rig.api("CONSUMER.DELETE.S.reader", "");
    messages
}

fn expected(range: impl Iterator<Item = u64>) -> Vec<(u64, String)> {
    range.map(|number| (number, format!("m{number}"))).collect()
}

#[test]
fn a_killed_process_loses_nothing() {
    let mut rig = filled(300);
    assert!(blocks(&mut rig.world.disk).len() > 2, "several blocks");
    rig.crash(CrashKind::ProcessKill, |_| 0);
    assert_eq!(everything(&mut rig), expected(1..=300));
    assert!(rig.publish("s.1", "m301").contains("\"seq\":301"));
    assert_eq!(everything(&mut rig), expected(1..=301));
}

#[test]
fn the_last_block_cut_at_any_byte_leaves_a_prefix() {
    let mut rig = filled(100);
    let names = blocks(&mut rig.world.disk);
    let last = names.last().expect("there is a block").clone();
    for cut in 0..len(&mut rig.world.disk, &last) {
        let disk = changed(&mut rig.world.disk, &last, |bytes| bytes.truncate(cut));
        let mut other = Rig::on(small_blocks(), disk).expect("boots");
        let messages = everything(&mut other);
        assert_eq!(messages, expected(1..=messages.len() as u64), "cut at {cut}");
        let next = messages.len() as u64 + 1;
        let ack = other.publish("s.1", &format!("m{next}"));
        assert!(ack.contains(&format!("\"seq\":{next}")), "cut at {cut}: {ack}");
        assert_eq!(everything(&mut other), expected(1..=next));
        other.reboot().expect("boots again");
        assert_eq!(everything(&mut other), expected(1..=next));
    }
}

#[test]
fn the_journal_cut_at_any_byte_keeps_the_stream_or_was_never_acknowledged() {
    let mut rig = filled(10);
    rig.consumer("S", "C", "\"durable_name\":\"C\",\"ack_policy\":\"explicit\"");
    for delivery in rig.pull("S", "C", "5") {
        rig.acknowledge(&delivery, "");
    }
    let journal = "jetstream/S/journal";
    let whole = len(&mut rig.world.disk, journal);
    let mut with_stream = 0;
    for cut in 0..=whole {
        let disk = changed(&mut rig.world.disk, journal, |bytes| bytes.truncate(cut));
        let mut other = Rig::on(small_blocks(), disk).expect("boots");
        let names = other.api("STREAM.NAMES", "");
        if !names.contains("\"S\"") {
            assert_eq!(with_stream, 0, "once the stream was written down it stays");
            assert!(other.world.disk.list("jetstream/").expect("lists").is_empty());
            continue;
        }
        with_stream += 1;
        assert_eq!(everything(&mut other), expected(1..=10));
        if !other.api("CONSUMER.NAMES.S", "").contains("\"C\"") {
            continue;
        }
        // What was acknowledged and written down does not come again; the rest does.
        other.advance(31_000);
        let got = other.pull("S", "C", "{\"batch\":10,\"no_wait\":true}");
        let mut seqs: Vec<u64> =
            got.iter().filter(|sent| sent.is_delivery()).map(|sent| sent.number(1)).collect();
        seqs.sort_unstable();
        let first = *seqs.first().expect("some are left");
        assert!(first <= 6, "cut at {cut}: {seqs:?}");
        assert_eq!(seqs, (first..=10).collect::<Vec<_>>(), "cut at {cut}");
    }
    assert!(with_stream > 0);
}

#[test]
fn a_flipped_bit_is_found_and_told() {
    let mut rig = filled(100);
    let names = blocks(&mut rig.world.disk);
    let first = names.first().expect("there is a block").clone();
    let whole = len(&mut rig.world.disk, &first);
    for bit in (0..whole * 8).step_by(37) {
        let disk = changed(&mut rig.world.disk, &first, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        match Rig::on(small_blocks(), disk) {
            Ok(mut other) => {
                let messages = everything(&mut other);
                let lost = 100 - messages.len() as u64;
                assert!(lost > 0, "bit {bit} is in a record");
                let known = expected(1..=100);
                assert!(messages.iter().all(|message| known.contains(message)), "bit {bit}");
                let info = other.api_value("STREAM.INFO.S", "");
                if messages == expected(1..=99) {
                    // At the very end, damage looks like a write that a crash cut short.
                    assert!(other.was_noted("torn tail cut"), "bit {bit}");
                    assert_eq!(info["state"]["last_seq"], 99, "bit {bit}: {info}");
                    continue;
                }
                assert_eq!(info["state"]["lost"]["msgs"], lost, "bit {bit}: {info}");
                assert!(other.was_noted("damaged store reported"), "bit {bit}");
            }
            Err(BootError::Store { file, offset, reason }) => {
                assert_eq!((file.as_str(), offset), (first.as_str(), 0), "{reason}");
            }
            Err(other) => panic!("bit {bit}: {other}"),
        }
    }
}

#[test]
fn a_flipped_bit_in_the_journal_is_found_and_told() {
    let mut rig = filled(3);
    rig.consumer("S", "C", "\"durable_name\":\"C\",\"ack_policy\":\"explicit\"");
    let journal = "jetstream/S/journal";
    for bit in (0..len(&mut rig.world.disk, journal) * 8).step_by(11) {
        let disk = changed(&mut rig.world.disk, journal, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        match Rig::on(small_blocks(), disk) {
            Ok(mut other) => {
                let told =
                    other.was_noted("damaged store reported") || other.was_noted("torn tail cut");
                assert!(told, "bit {bit}");
                assert_eq!(everything(&mut other), expected(1..=3));
            }
            Err(BootError::Store { file, .. }) => assert_eq!(file, journal),
            Err(other) => panic!("bit {bit}: {other}"),
        }
    }
}

#[test]
fn foreign_and_newer_files_are_refused() {
    let mut rig = filled(3);
    let block = blocks(&mut rig.world.disk).remove(0);
    let refused = |disk| match Rig::on(small_blocks(), disk) {
        Err(BootError::Store { file, offset, reason }) => format!("{file} at {offset}: {reason}"),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was taken"),
    };
    let foreign = changed(&mut rig.world.disk, &block, |bytes| *bytes = b"%PDF-1.7".repeat(9));
    assert_eq!(
        refused(foreign),
        "jetstream/S/000000000000.blk at 0: this is not a block of a stream"
    );
    let newer = changed(&mut rig.world.disk, &block, |bytes| bytes[8] = 9);
    assert_eq!(
        refused(newer),
        "jetstream/S/000000000000.blk at 0: it was written in format 9, and this version reads format 1"
    );
    let journal = "jetstream/S/journal";
    let newer = changed(&mut rig.world.disk, journal, |bytes| bytes[8] = 7);
    assert_eq!(
        refused(newer),
        "jetstream/S/journal at 8: it was written in format 7, and this version reads format 1"
    );
    let foreign = changed(&mut rig.world.disk, journal, |bytes| *bytes = vec![b'x'; 99]);
    assert_eq!(refused(foreign), "jetstream/S/journal at 0: this is not the journal of a stream");
    let mut stray = changed(&mut rig.world.disk, "", |_| {});
    stray.open("jetstream/S/notes.txt").expect("opens");
    assert_eq!(
        refused(stray),
        "jetstream/S/notes.txt at 0: this file is not part of a stream; move it elsewhere"
    );
}

#[test]
fn a_full_disk_refuses_and_keeps_what_it_acknowledged() {
    let mut rig = Rig::on(small_blocks(), MemoryDisk::with_capacity(3_000)).expect("boots");
    rig.stream("S", "\"subjects\":[\"s.>\"]");
    let mut stored = 0;
    for number in 1..=100 {
        let answer = rig.publish("s.1", &format!("m{number}"));
        if answer.contains("\"error\"") {
            assert!(answer.contains("\"err_code\":10077"), "{answer}");
            assert!(answer.contains("the disk is full"), "{answer}");
            break;
        }
        stored = number;
    }
    assert!((10..100).contains(&stored), "{stored}");
    assert_eq!(rig.state("S").2, stored);
    rig.crash(CrashKind::ProcessKill, |_| 0);
    assert_eq!(everything(&mut rig), expected(1..=stored));
}

#[test]
fn a_failed_sync_is_not_acknowledged() {
    let mut rig = Rig::always();
    rig.stream("S", "");
    rig.completes_syncs = false;
    assert_eq!(rig.publish("S", "x"), "");
    let (_, token, _) = rig.world.syncs.pop().expect("a sync runs");
    rig.server.synced(rig.now, &mut rig.world, token, Err(DiskError::Full));
    let answer = rig.take("in.r").remove(0).text();
    assert!(answer.contains("10077"), "{answer}");
}

#[test]
fn where_publishers_wait_for_the_sync_consumers_wait_as_well() {
    for reply in ["in.r", ""] {
        let mut rig = Rig::always();
        rig.stream("S", "");
        rig.consumer("S", "C", "\"ack_policy\":\"explicit\"");
        rig.completes_syncs = false;
        rig.publish_with("S", reply, &[], b"x");
        assert!(rig.take("in.r").is_empty());
        assert!(rig.pull("S", "C", "").is_empty(), "a power loss could take it back");
        rig.completes_syncs = true;
        rig.settle_syncs();
        let come: Vec<String> = rig.take("in.p").iter().map(Sent::text).collect();
        assert_eq!(come, ["x"], "with reply `{reply}`");
    }
}

#[test]
fn a_deleted_stream_stays_deleted_wherever_the_process_ends() {
    let mut rig = filled(50);
    // The end comes after the deletion was written down, and before any file went.
    let before = changed(&mut rig.world.disk, "", |_| {});
    assert!(rig.api("STREAM.DELETE.S", "").contains("\"success\":true"));
    assert!(rig.world.disk.list("jetstream/").expect("lists").is_empty());
    let mut other = Rig::on(small_blocks(), before).expect("boots");
    assert_eq!(everything(&mut other), expected(1..=50));
    rig.reboot().expect("boots");
    rig.stream("S", "\"subjects\":[\"s.>\"]");
    assert_eq!(rig.state("S"), (0, 0, 0));
}

#[test]
fn the_duplicate_window_outlives_a_crash() {
    let mut rig = Rig::new();
    rig.stream("S", "");
    let id = [("Nats-Msg-Id", "once")];
    assert_eq!(rig.request_with("S", &id, "x"), r#"{"stream":"S","seq":1}"#);
    rig.crash(CrashKind::ProcessKill, |_| 0);
    let again = r#"{"stream":"S","seq":1,"duplicate": true}"#;
    assert_eq!(rig.request_with("S", &id, "x"), again);
    rig.advance(121_000);
    assert_eq!(rig.request_with("S", &id, "x"), r#"{"stream":"S","seq":2}"#);
}

#[test]
fn a_grown_journal_is_written_afresh_and_reads_back() {
    let mut rig = Rig::new();
    rig.checks = false;
    rig.stream("S", "");
    rig.consumer("S", "C", "\"durable_name\":\"C\",\"ack_policy\":\"explicit\"");
    for _ in 0..40_000 {
        rig.publish_with("S", "", &[], b"x");
        let got = rig.pull("S", "C", "1");
        rig.acknowledge(&got[0], "");
    }
    let journal = len(&mut rig.world.disk, "jetstream/S/journal");
    assert!(journal < 2 << 20, "{journal}");
    rig.crash(CrashKind::PowerLoss, |_| 0);
    let info = rig.api_value("CONSUMER.INFO.S.C", "");
    // The fresh journal was synced; the messages were not, and are gone. Their
    // sequences do not come again, or the consumer would pass over the new ones.
    let delivered = info["delivered"]["stream_seq"].as_u64().expect("is a number");
    assert!(delivered > 1_000, "{info}");
    assert_eq!(rig.state("S"), (0, delivered + 1, delivered));
    assert!(rig.was_noted("consumer ahead of its stream"));
    assert_eq!(rig.publish("S", "new"), format!("{{\"stream\":\"S\",\"seq\":{}}}", delivered + 1));
    rig.crash(CrashKind::ProcessKill, |_| 0);
    assert_eq!(rig.pull("S", "C", "1")[0].text(), "new");
    assert!(rig.world.disk.list("jetstream/S/journal").expect("lists").len() == 1);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    /// The power goes at any time: what was synced is there, and what is there is a
    /// prefix.
    #[test]
    fn a_power_failure_leaves_a_prefix_that_holds_what_was_synced(
        batches in prop::collection::vec((1..40_u64, any::<bool>()), 1..12),
        torn in prop::collection::vec(0..5_000_usize, 1..8),
    ) {
        let mut rig = Rig::with(small_blocks());
        rig.stream("S", "\"subjects\":[\"s.>\"]");
        let (mut written, mut synced) = (0, 0);
        for (count, syncs) in batches {
            for _ in 0..count {
                written += 1;
                rig.publish("s.1", &format!("m{written}"));
            }
            if syncs {
                rig.advance(120_000);
                synced = written;
            }
        }
        let mut draws = torn.iter().cycle();
        rig.crash(CrashKind::PowerLoss, |unsynced| *draws.next().expect("cycles") % (unsynced + 1));
        let messages = everything(&mut rig);
        let known = expected(1..=written);
        prop_assert!(messages.iter().all(|message| known.contains(message)));
        let kept = messages.iter().filter(|(seq, _)| *seq <= synced).count() as u64;
        prop_assert_eq!(kept, synced, "what was synced is there");
        // A block that lost its tail leaves a gap, which is told.
        let info = rig.api_value("STREAM.INFO.S", "");
        let last = info["state"]["last_seq"].as_u64().unwrap_or(0);
        let lost = info["state"]["lost"]["msgs"].as_u64().unwrap_or(0);
        prop_assert_eq!(messages.len() as u64 + lost, last);
    }

    /// With `always`, whatever was acknowledged is there after the power failed,
    /// whenever that was and however much of the rest the disk kept.
    #[test]
    fn what_was_acknowledged_after_its_sync_outlives_the_power(
        steps in prop::collection::vec(0..4_u8, 1..80),
        torn in prop::collection::vec(0..5_000_usize, 1..8),
    ) {
        let config = JetStreamConfig { sync: SyncPolicy::Always, ..small_blocks() };
        let mut rig = Rig::with(config);
        rig.stream("S", "\"subjects\":[\"s.>\"]");
        rig.completes_syncs = false;
        let (mut written, mut acknowledged) = (0_u64, 0);
        for step in steps {
            if step > 0 {
                written += 1;
                rig.publish_with("s.1", "in.r", &[], format!("m{written}").as_bytes());
            } else if !rig.world.syncs.is_empty() {
                let (file, token, len) = rig.world.syncs.remove(0);
                rig.world.disk.complete_sync_to(file, len);
                rig.server.synced(rig.now, &mut rig.world, token, Ok(()));
            }
            acknowledged += rig.take("in.r").len() as u64;
        }
        rig.completes_syncs = true;
        let mut draws = torn.iter().cycle();
        rig.crash(CrashKind::PowerLoss, |unsynced| *draws.next().expect("cycles") % (unsynced + 1));
        let messages = everything(&mut rig);
        prop_assert!(messages.len() as u64 >= acknowledged, "{} of {}", messages.len(), acknowledged);
        prop_assert_eq!(&messages[..acknowledged as usize], &expected(1..=acknowledged)[..]);
    }
}
