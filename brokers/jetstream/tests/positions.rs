//! Where consumers begin, and that a restart does not move them.

mod common;

use broker_contract::{CrashKind, Disk, Note};
use common::{Rig, Sent};

fn texts(sent: &[Sent]) -> Vec<String> {
    sent.iter().filter(|one| one.is_delivery()).map(Sent::text).collect()
}

const ALL: &str = "{\"batch\":20,\"no_wait\":true}";

/// Six messages a second apart, `m1` at one millisecond after the new year.
fn by_the_second() -> Rig {
    let mut rig = Rig::new();
    rig.stream("S", "\"subjects\":[\"s.>\"]");
    for number in 1..=6 {
        rig.publish(&format!("s.{}", number % 2), &format!("m{number}"));
        rig.advance(1_000);
    }
    rig
}

#[test]
fn a_time_finds_the_first_message_not_older() {
    let mut rig = by_the_second();
    rig.api("STREAM.MSG.DELETE.S", "{\"seq\":4}");
    for (time, expected) in [
        ("2025-12-31T23:59:59Z", &["m1", "m2", "m3", "m5", "m6"][..]),
        ("2026-01-01T00:00:00.001Z", &["m1", "m2", "m3", "m5", "m6"]),
        ("2026-01-01T00:00:00.001000001Z", &["m2", "m3", "m5", "m6"]),
        ("2026-01-01T00:00:02.001Z", &["m3", "m5", "m6"]),
        ("2026-01-01T00:00:03.001Z", &["m5", "m6"]),
        ("2026-01-01T01:00:05.001+01:00", &["m6"]),
        ("2026-01-01T00:00:05.002Z", &[]),
    ] {
        for filter in ["", ",\"filter_subject\":\"s.1\""] {
            let fields = format!(
                "\"mem_storage\":true,\"deliver_policy\":\"by_start_time\",\
                 \"opt_start_time\":\"{time}\"{filter}"
            );
            rig.consumer("S", "T", &fields);
            let odd = |text: &&&str| filter.is_empty() || matches!(**text, "m1" | "m3" | "m5");
            let expected: Vec<&str> = expected.iter().filter(odd).copied().collect();
            assert_eq!(texts(&rig.pull("S", "T", ALL)), expected, "{time} {filter}");
            rig.api("CONSUMER.DELETE.S.T", "");
        }
    }
}

#[test]
fn the_last_of_each_subject_comes_once_although_the_node_restarts() {
    let mut rig = by_the_second();
    let fields = "\"durable_name\":\"L\",\"ack_policy\":\"explicit\",\
                  \"deliver_policy\":\"last_per_subject\",\"filter_subject\":\"s.>\"";
    rig.publish("s.9", "m7");
    rig.consumer("S", "L", fields);
    rig.publish("s.9", "m8");
    let first = rig.pull("S", "L", "1");
    assert_eq!(texts(&first), ["m5"]);
    rig.acknowledge(&first[0], "");
    rig.crash(CrashKind::ProcessKill, |_| 0);
    // `m7` was the last of its subject when the consumer was made; `m8` is new.
    assert_eq!(texts(&rig.pull("S", "L", ALL)), ["m6", "m7", "m8"]);
    rig.crash(CrashKind::ProcessKill, |_| 0);
    assert!(texts(&rig.pull("S", "L", ALL)).is_empty(), "they wait for their acknowledgements");
}

#[test]
fn positions_pauses_and_counts_outlive_a_restart() {
    let mut rig = by_the_second();
    let explicit = "\"ack_policy\":\"explicit\",\"max_deliver\":2";
    for (name, fields) in [
        ("none", "\"ack_policy\":\"none\""),
        ("explicit", explicit),
        ("start", "\"deliver_policy\":\"by_start_sequence\",\"opt_start_seq\":4"),
        ("new", "\"deliver_policy\":\"new\""),
        ("paused", "\"pause_until\":\"2026-01-01T00:01:00Z\""),
    ] {
        rig.consumer("S", name, &format!("\"durable_name\":\"{name}\",{fields}"));
    }
    assert_eq!(texts(&rig.pull("S", "none", "2")), ["m1", "m2"]);
    assert_eq!(texts(&rig.pull("S", "explicit", "2")), ["m1", "m2"]);
    assert_eq!(texts(&rig.pull("S", "start", "1")), ["m4"]);
    let infos = |rig: &mut Rig| -> Vec<serde_json::Value> {
        let mut infos = Vec::new();
        for name in ["none", "explicit", "start", "new", "paused"] {
            let mut info = rig.api_value(&format!("CONSUMER.INFO.S.{name}"), "");
            // When it was last active is not kept, as in the original.
            for part in ["delivered", "ack_floor"] {
                if let Some(part) = info[part].as_object_mut() {
                    part.remove("last_active");
                }
            }
            infos.push(info);
        }
        infos
    };
    let before = infos(&mut rig);
    rig.crash(CrashKind::ProcessKill, |_| 0);
    assert_eq!(infos(&mut rig), before);
    rig.publish("s.1", "m7");
    assert_eq!(texts(&rig.pull("S", "none", ALL)), ["m3", "m4", "m5", "m6", "m7"]);
    assert_eq!(texts(&rig.pull("S", "start", ALL)), ["m5", "m6", "m7"]);
    assert_eq!(texts(&rig.pull("S", "new", ALL)), ["m7"]);
    assert!(texts(&rig.pull("S", "paused", "{\"batch\":9,\"expires\":300000000000}")).is_empty());
    rig.advance(60_000);
    assert_eq!(rig.take("in.p").len(), 7, "the pause is over");
    let again = rig.pull("S", "explicit", "2");
    assert_eq!(texts(&again), ["m1", "m2"]);
    assert_eq!(again[0].number(0), 2, "the delivery before the restart counts");
}

/// The first consumer's position was synced and its messages were not: nothing that
/// is published later may be passed over.
#[test]
fn a_consumer_that_knows_more_than_its_stream_misses_nothing_new() {
    let mut rig = Rig::new();
    rig.stream("S", "");
    rig.consumer("S", "C", "\"durable_name\":\"C\",\"ack_policy\":\"explicit\"");
    for number in 1..=9 {
        rig.publish("S", &format!("m{number}"));
    }
    for delivery in rig.pull("S", "C", "9") {
        rig.acknowledge(&delivery, "");
    }
    let journal = rig.world.disk.open("jetstream/S/journal").expect("is there");
    rig.world.disk.complete_sync(journal);
    rig.crash(CrashKind::PowerLoss, |_| 0);
    assert!(rig.was_noted("consumer ahead of its stream"));
    let info = rig.api_value("STREAM.INFO.S", "");
    assert_eq!(info["state"]["lost"]["ranges"], serde_json::json!([[1, 9]]), "{info}");
    for number in 10..=15 {
        rig.publish("S", &format!("m{number}"));
    }
    rig.crash(CrashKind::ProcessKill, |_| 0);
    let got = texts(&rig.pull("S", "C", ALL));
    assert_eq!(got, ["m10", "m11", "m12", "m13", "m14", "m15"]);
}

#[test]
fn flow_control_ends_with_its_client() {
    let mut rig = Rig::new();
    rig.stream("S", "");
    let fields = "\"deliver_subject\":\"d\",\"idle_heartbeat\":500000000,\"flow_control\":true";
    rig.consumer("S", "P", fields);
    rig.subscribe("d");
    for _ in 0..20 {
        rig.publish_with("S", "", &[], &vec![b'x'; 400_000]);
    }
    let stalled = rig.take("d");
    assert!(stalled.iter().filter(|sent| sent.is_delivery()).count() < 20);
    // The client goes without an answer; the next one owes none.
    rig.unsubscribe("d");
    rig.advance(2_000);
    rig.subscribe("d");
    let asked: Vec<Sent> =
        rig.take("d").into_iter().filter(|sent| sent.reply.starts_with("$JS.FC.")).collect();
    assert_eq!(asked.len(), 1, "a question of its own");
    assert_ne!(
        asked[0].reply,
        stalled.iter().find(|sent| !sent.is_delivery()).expect("asked").reply
    );
    rig.publish_with(&asked[0].reply, "", &[], b"");
    let rest = rig.take("d").iter().filter(|sent| sent.is_delivery()).count();
    assert!(rest > 0, "it goes on");
}

#[test]
fn the_invariants_see_what_is_wrong() {
    let mut rig = by_the_second();
    rig.checks = false;
    rig.consumer("S", "C", "\"durable_name\":\"C\",\"ack_policy\":\"explicit\"");
    let healthy = rig.world.disk.clone();
    let complain = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut disk = healthy.clone();
        let file = disk.open(name).expect("is there");
        let mut bytes = vec![0; disk.len(file).expect("is open") as usize];
        disk.read_at(file, 0, &mut bytes).expect("reads");
        change(&mut bytes);
        disk.truncate(file, 0).expect("cuts");
        disk.append(file, &[&bytes]).expect("appends");
        rig.server.check_invariants(&mut disk).expect_err("is wrong")
    };
    let block = "jetstream/S/000000000000.blk";
    let what = complain(block, &|bytes| bytes[60] ^= 1);
    assert!(what.starts_with("stream S: block 0: "), "{what}");
    complain(block, &|bytes| bytes.truncate(100));
    complain(block, &|bytes| bytes[3] ^= 4);
    complain("jetstream/S/journal", &|bytes| {
        let end = bytes.len() - 1;
        bytes.truncate(end);
    });
    assert_eq!(rig.server.check_invariants(&mut healthy.clone()), Ok(()));
    assert!(!rig.world.notes.iter().any(|note| matches!(note, Note::Dropped { .. })));
}
