//! Anything in any order: requests with odd values, crashes at any moment, files
//! damaged anywhere. Nothing panics, the invariants hold after every input, and what
//! is owed comes.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use broker_contract::{BootError, CrashKind, Disk, MemoryDisk};
use common::{Rig, Sent, small_blocks};
use proptest::prelude::*;

/// A stream of any kind.
fn stream() -> impl Strategy<Value = String> {
    let retention = prop::sample::select(vec!["limits", "interest", "workqueue"]);
    let storage = prop::sample::select(vec!["file", "file", "file", "memory"]);
    let limit = prop::sample::select(vec![
        "",
        ",\"max_msgs\":7",
        ",\"max_bytes\":900",
        ",\"max_msgs_per_subject\":2",
        ",\"max_age\":20000000000",
        ",\"max_msgs\":5,\"discard\":\"new\"",
        ",\"max_msgs_per_subject\":2,\"max_msgs\":4",
    ]);
    (retention, storage, limit).prop_map(|(retention, storage, limit)| {
        format!(
            "\"subjects\":[\"s.*\"],\"retention\":\"{retention}\",\"storage\":\"{storage}\",\
             \"allow_rollup_hdrs\":true,\"allow_direct\":true{limit}"
        )
    })
}

#[derive(Clone, Debug)]
enum Step {
    Publish { subject: u8, size: usize },
    Once(u8),
    RollUp(u8),
    Consumer { name: u8, kind: usize },
    Remove(u8),
    Pull { name: u8, batch: u8 },
    Answer { pick: usize, verdict: usize },
    Purge { subject: u8, keep: u8 },
    Delete(u64),
    Subscribe,
    Unsubscribe,
    Wait(u64),
    Sync,
    Crash { is_power: bool, torn: usize },
}

const KINDS: [&str; 9] = [
    "\"ack_policy\":\"explicit\",\"max_deliver\":3",
    "\"ack_policy\":\"explicit\",\"filter_subject\":\"s.1\",\"max_ack_pending\":2",
    "\"ack_policy\":\"all\"",
    "\"ack_policy\":\"none\"",
    "\"ack_policy\":\"explicit\",\"deliver_policy\":\"last_per_subject\",\"filter_subject\":\"s.*\"",
    "\"ack_policy\":\"explicit\",\"filter_subjects\":[\"s.1\",\"s.2\"],\"backoff\":[1000000000,5000000000]",
    "\"ack_policy\":\"explicit\",\"deliver_subject\":\"d\",\"idle_heartbeat\":1000000000,\"flow_control\":true",
    "\"ack_policy\":\"none\",\"deliver_subject\":\"d\",\"replay_policy\":\"original\"",
    "\"ack_policy\":\"explicit\",\"deliver_policy\":\"new\",\"mem_storage\":true",
];

const VERDICTS: [&str; 7] =
    ["", "", "-NAK", "-NAK {\"delay\":3000000000}", "+WPI", "+TERM", "+NXT 2"];

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..4_u8, 0..120_usize).prop_map(|(subject, size)| Step::Publish { subject, size }),
        1 => (0..4_u8).prop_map(Step::Once),
        1 => (0..4_u8).prop_map(Step::RollUp),
        3 => (0..4_u8, 0..KINDS.len()).prop_map(|(name, kind)| Step::Consumer { name, kind }),
        1 => (0..4_u8).prop_map(Step::Remove),
        5 => (0..4_u8, 1..6_u8).prop_map(|(name, batch)| Step::Pull { name, batch }),
        6 => (any::<usize>(), 0..VERDICTS.len())
            .prop_map(|(pick, verdict)| Step::Answer { pick, verdict }),
        1 => (0..5_u8, 0..3_u8).prop_map(|(subject, keep)| Step::Purge { subject, keep }),
        1 => (1..40_u64).prop_map(Step::Delete),
        1 => Just(Step::Subscribe),
        1 => Just(Step::Unsubscribe),
        3 => (0..40_000_u64).prop_map(Step::Wait),
        1 => Just(Step::Sync),
        2 => (any::<bool>(), 0..3_000_usize)
            .prop_map(|(is_power, torn)| Step::Crash { is_power, torn }),
    ]
}

/// What one consumer of each name was given.
fn collect(rig: &mut Rig, open: &mut Vec<Sent>) {
    for inbox in ["in.p", "d"] {
        open.extend(rig.take(inbox).into_iter().filter(Sent::is_delivery));
    }
}

fn play(rig: &mut Rig, step: Step, open: &mut Vec<Sent>) {
    match step {
        Step::Publish { subject, size } => {
            rig.publish_with(&format!("s.{subject}"), "in.r", &[], &vec![b'x'; size]);
        }
        Step::Once(id) => {
            let header = [("Nats-Msg-Id", &*id.to_string())];
            rig.publish_with("s.0", "in.r", &header, b"once");
        }
        Step::RollUp(subject) => {
            let how = if subject == 3 { "all" } else { "sub" };
            rig.publish_with(&format!("s.{subject}"), "in.r", &[("Nats-Rollup", how)], b"up");
        }
        Step::Consumer { name, kind } => {
            let fields = KINDS[kind];
            let body = format!(
                "{{\"stream_name\":\"S\",\"config\":{{\"name\":\"c{name}\",\
                 \"durable_name\":\"c{name}\",{fields}}}}}"
            );
            rig.api(&format!("CONSUMER.CREATE.S.c{name}"), &body);
        }
        Step::Remove(name) => {
            rig.api(&format!("CONSUMER.DELETE.S.c{name}"), "");
        }
        Step::Pull { name, batch } => {
            let got = rig.pull(
                "S",
                &format!("c{name}"),
                &format!("{{\"batch\":{batch},\"expires\":9000000000}}"),
            );
            rig.world.sent.extend(got);
        }
        Step::Answer { pick, verdict } if !open.is_empty() => {
            let one = open.swap_remove(pick % open.len());
            rig.publish_with(&one.reply, "in.p", &[], VERDICTS[verdict].as_bytes());
        }
        Step::Answer { .. } => {}
        Step::Purge { subject, keep } => {
            let filter = if subject == 4 { String::new() } else { format!("s.{subject}") };
            let body = format!("{{\"filter\":\"{filter}\",\"keep\":{keep}}}");
            rig.api("STREAM.PURGE.S", &body);
        }
        Step::Delete(seq) => {
            rig.api("STREAM.MSG.DELETE.S", &format!("{{\"seq\":{seq}}}"));
        }
        Step::Subscribe => {
            if !rig.world.subscribed.iter().any(|filter| filter == "d") {
                rig.subscribe("d");
            }
        }
        Step::Unsubscribe => rig.unsubscribe("d"),
        Step::Wait(millis) => rig.advance(millis),
        Step::Sync => rig.advance(120_000),
        Step::Crash { is_power, torn } => {
            let kind = if is_power { CrashKind::PowerLoss } else { CrashKind::ProcessKill };
            rig.crash(kind, |unsynced| torn % (unsynced + 1));
        }
    }
}

/// Takes and acknowledges everything; what is left then is owed to nobody.
fn drain(rig: &mut Rig) {
    for _ in 0..60 {
        let mut open = Vec::new();
        for name in 0..4 {
            let got = rig.pull("S", &format!("c{name}"), "{\"batch\":50,\"no_wait\":true}");
            rig.world.sent.extend(got);
        }
        collect(rig, &mut open);
        for one in open {
            rig.acknowledge(&one, "");
        }
        rig.advance(31_000);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(192) })]

    #[test]
    fn whatever_happens_everything_agrees_and_what_is_owed_comes(
        stream in stream(),
        steps in prop::collection::vec(step(), 1..90),
    ) {
        let mut rig = Rig::with(small_blocks());
        rig.stream("S", &stream);
        rig.completes_syncs = true;
        let mut open = Vec::new();
        for step in steps {
            play(&mut rig, step, &mut open);
            collect(&mut rig, &mut open);
        }
        if !rig.api("STREAM.NAMES", "").contains("\"S\"") {
            // It was in memory, or the power took it before it was synced.
            return Ok(());
        }
        if !rig.world.subscribed.iter().any(|filter| filter == "d") {
            rig.subscribe("d");
        }
        drain(&mut rig);
        let names = rig.api_value("CONSUMER.LIST.S", "");
        for consumer in names["consumers"].as_array().expect("is a list") {
            let is_original = consumer["config"]["replay_policy"] == "original";
            prop_assert!(is_original || consumer["num_pending"] == 0, "{}", consumer);
            prop_assert_eq!(&consumer["num_ack_pending"], 0, "{}", consumer);
        }
    }

    /// Any bytes of any files are overwritten, cut off, doubled or zeroed: the store
    /// boots, or says which file it refuses; and what boots works.
    #[test]
    fn damage_anywhere_boots_or_is_refused_by_name(
        steps in prop::collection::vec(step(), 10..60),
        wounds in prop::collection::vec((any::<usize>(), any::<usize>(), 0..6_u8, any::<u8>()), 1..5),
    ) {
        let mut rig = Rig::with(small_blocks());
        rig.stream("S", "\"subjects\":[\"s.*\"],\"allow_rollup_hdrs\":true");
        let mut open = Vec::new();
        for step in steps {
            if !matches!(step, Step::Crash { .. }) {
                play(&mut rig, step, &mut open);
                collect(&mut rig, &mut open);
            }
        }
        let mut files = files(&mut rig.world.disk);
        for (file, at, how, byte) in wounds {
            let count = files.len();
            let Some(bytes) = files.values_mut().nth(file % count) else { continue };
            if bytes.is_empty() {
                continue;
            }
            let at = at % bytes.len();
            match how {
                0 => bytes[at] ^= 1 << (byte % 8),
                1 => bytes[at] = byte,
                2 => bytes.truncate(at),
                3 => {
                    let end = bytes.len().min(at + usize::from(byte) * 16);
                    bytes[at..end].fill(0);
                }
                4 => {
                    let doubled = bytes[at..].to_vec();
                    bytes.extend_from_slice(&doubled);
                }
                _ => bytes.extend(std::iter::repeat_n(byte, at)),
            }
        }
        let mut disk = MemoryDisk::new();
        for (name, bytes) in &files {
            let file = disk.open(name).expect("opens");
            disk.append(file, &[bytes]).expect("appends");
        }
        match Rig::on(small_blocks(), disk) {
            Err(BootError::Store { file, .. }) => prop_assert!(files.contains_key(&file), "{}", file),
            Err(other) => prop_assert!(false, "{}", other),
            Ok(mut other) => {
                other.check();
                if other.api("STREAM.NAMES", "").contains("\"S\"") {
                    for number in 0..3 {
                        let answer = other.publish(&format!("s.{number}"), "after");
                        prop_assert!(answer.contains("\"seq\""), "{}", answer);
                    }
                    drain(&mut other);
                    let state = other.state("S");
                    other.crash(CrashKind::ProcessKill, |_| 0);
                    prop_assert_eq!(other.state("S"), state, "boots the same again");
                }
            }
        }
    }

    /// Requests of the right form with values that nobody would send.
    #[test]
    fn odd_values_are_answered(
        requests in prop::collection::vec((0..VERBS.len(), 0..FIELDS.len(), 0..ODD.len(), 0..FIELDS.len(), 0..ODD.len()), 1..40),
    ) {
        let mut rig = Rig::with(small_blocks());
        rig.stream("S", "\"subjects\":[\"s.*\"],\"allow_direct\":true");
        rig.consumer("S", "c", "\"durable_name\":\"c\",\"ack_policy\":\"explicit\"");
        for (verb, one, odd, two, other) in requests {
            rig.publish("s.1", "x");
            let fields = if one == two {
                format!("\"{}\":{}", FIELDS[one], ODD[odd])
            } else {
                format!("\"{}\":{},\"{}\":{}", FIELDS[one], ODD[odd], FIELDS[two], ODD[other])
            };
            let (subject, body) = match VERBS[verb] {
                "STREAM.CREATE" => ("STREAM.CREATE.T".to_owned(), format!("{{\"name\":\"T\",{fields}}}")),
                "STREAM.UPDATE" => (
                    "STREAM.UPDATE.S".to_owned(),
                    format!("{{\"name\":\"S\",\"subjects\":[\"s.*\"],{fields}}}"),
                ),
                "CONSUMER.CREATE" => (
                    "CONSUMER.CREATE.S.n".to_owned(),
                    format!("{{\"stream_name\":\"S\",\"config\":{{\"name\":\"n\",{fields}}}}}"),
                ),
                "CONSUMER.UPDATE" => (
                    "CONSUMER.CREATE.S.c".to_owned(),
                    format!(
                        "{{\"stream_name\":\"S\",\"config\":{{\"name\":\"c\",\
                         \"durable_name\":\"c\",\"ack_policy\":\"explicit\",{fields}}}}}"
                    ),
                ),
                plain => (plain.to_owned(), format!("{{{fields}}}")),
            };
            rig.publish_with(&format!("$JS.API.{subject}"), "in.p", &[], body.as_bytes());
            for sent in rig.take("in.p").into_iter().filter(Sent::is_delivery) {
                let reply = format!("$JS.ACK.S.c.{}.{}.9.9.9", ODD[odd], ODD[other]);
                rig.publish_with(&reply, "", &[], b"");
                let body = format!("-NAK {{\"delay\":{}}}", ODD[odd]);
                rig.publish_with(&sent.reply, "", &[], body.as_bytes());
            }
            rig.api("STREAM.INFO.S", &format!("{{{fields}}}"));
            rig.publish_with("T", "", &[], b"x");
            rig.world.sent.clear();
        }
        rig.work();
        rig.crash(CrashKind::ProcessKill, |_| 0);
    }
}

fn files(disk: &mut MemoryDisk) -> BTreeMap<String, Vec<u8>> {
    let names: BTreeSet<String> = disk.list("").expect("lists").into_iter().collect();
    let mut read = |name: &String| {
        let id = disk.open(name).expect("opens");
        let mut bytes = vec![0; disk.len(id).expect("is open") as usize];
        disk.read_at(id, 0, &mut bytes).expect("reads");
        bytes
    };
    names.iter().map(|name| (name.clone(), read(name))).collect()
}

const VERBS: [&str; 10] = [
    "STREAM.CREATE",
    "STREAM.UPDATE",
    "CONSUMER.CREATE",
    "CONSUMER.UPDATE",
    "CONSUMER.MSG.NEXT.S.c",
    "STREAM.MSG.GET.S",
    "STREAM.MSG.DELETE.S",
    "STREAM.PURGE.S",
    "DIRECT.GET.S",
    "CONSUMER.PAUSE.S.c",
];

const FIELDS: [&str; 34] = [
    "seq",
    "keep",
    "filter",
    "batch",
    "expires",
    "max_bytes",
    "idle_heartbeat",
    "no_wait",
    "first_seq",
    "max_msgs",
    "max_age",
    "duplicate_window",
    "max_msgs_per_subject",
    "max_msg_size",
    "ack_wait",
    "max_deliver",
    "backoff",
    "opt_start_seq",
    "opt_start_time",
    "max_ack_pending",
    "max_waiting",
    "inactive_threshold",
    "pause_until",
    "rate_limit_bps",
    "deliver_subject",
    "filter_subject",
    "filter_subjects",
    "next_by_subj",
    "last_by_subj",
    "multi_last",
    "up_to_seq",
    "start_time",
    "offset",
    "subjects_filter",
];

const ODD: [&str; 16] = [
    "0",
    "1",
    "-1",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "4611686018427387904",
    "\"\"",
    "\"a..b\"",
    "\">\"",
    "\"s.*\"",
    "[\"s.1\",\"\"]",
    "[9223372036854775807,1]",
    "\"9999-12-31T23:59:59.999999999Z\"",
    "\"0001-01-01T00:00:00Z\"",
    "true",
];
