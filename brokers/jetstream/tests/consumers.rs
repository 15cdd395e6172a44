//! Consumers: what is delivered, when again, and what is said meanwhile.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use broker_contract::{Cause, CrashKind, Identity, Note};
use common::{Rig, Sent};
use proptest::prelude::*;

const EXPLICIT: &str = "\"durable_name\":\"C\",\"ack_policy\":\"explicit\"";

fn texts(sent: &[Sent]) -> Vec<String> {
    sent.iter().map(|one| one.status().map_or_else(|| one.text(), str::to_owned)).collect()
}

fn filled(count: u64) -> Rig {
    let mut rig = Rig::new();
    rig.stream("S", "\"subjects\":[\"s.>\"]");
    for number in 1..=count {
        rig.publish(&format!("s.{}", number % 2), &format!("m{number}"));
    }
    rig
}

#[test]
fn delivery_begins_where_the_policy_says() {
    let mut rig = filled(6);
    for (name, fields, expected) in [
        ("all", "", &["m1", "m2", "m3", "m4", "m5", "m6"][..]),
        ("last", "\"deliver_policy\":\"last\"", &["m6"]),
        ("odd", "\"deliver_policy\":\"last\",\"filter_subject\":\"s.1\"", &["m5"]),
        ("new", "\"deliver_policy\":\"new\"", &[]),
        ("seq", "\"deliver_policy\":\"by_start_sequence\",\"opt_start_seq\":5", &["m5", "m6"]),
        (
            "time",
            "\"deliver_policy\":\"by_start_time\",\"opt_start_time\":\"2036-01-01T00:00:00Z\"",
            &[],
        ),
        (
            "old",
            "\"deliver_policy\":\"by_start_time\",\"opt_start_time\":\"2020-01-01T00:00:00Z\"",
            &["m1", "m2", "m3", "m4", "m5", "m6"],
        ),
        (
            "lasts",
            "\"deliver_policy\":\"last_per_subject\",\"filter_subject\":\"s.*\"",
            &["m5", "m6"],
        ),
        ("literal", "\"filter_subject\":\"s.0\"", &["m2", "m4", "m6"]),
        ("two", "\"filter_subjects\":[\"s.0\",\"s.9\"]", &["m2", "m4", "m6"]),
    ] {
        rig.consumer("S", name, fields);
        let mut got = rig.pull("S", name, "{\"batch\":10,\"no_wait\":true}");
        assert_eq!(got.pop().expect("ends").status(), Some("404 No Messages"), "{name}");
        assert_eq!(texts(&got), expected, "{name}");
    }
    rig.publish("s.1", "m7");
    for name in ["all", "new", "lasts", "seq", "time"] {
        let got = rig.pull("S", name, "{\"batch\":1,\"no_wait\":true}");
        assert_eq!(texts(&got), ["m7"], "{name}");
    }
}

#[test]
fn pull_requests_end_as_in_the_original() {
    let mut rig = filled(0);
    rig.consumer("S", "C", EXPLICIT);
    let end = |rig: &mut Rig, body: &str, millis: u64| {
        let mut got = rig.pull("S", "C", body);
        rig.advance(millis);
        got.extend(rig.take("in.p"));
        texts(&got)
    };
    assert_eq!(end(&mut rig, "{\"no_wait\":true}", 0), ["404 No Messages"]);
    assert_eq!(end(&mut rig, "{\"expires\":300000000}", 300), ["408 Request Timeout"]);
    assert_eq!(
        end(&mut rig, "{\"expires\":1000000000,\"idle_heartbeat\":900000000}", 0),
        ["400 Bad Request - heartbeat value too large"]
    );
    assert_eq!(
        end(&mut rig, "{\"expires\":1000000000,\"idle_heartbeat\":300000000}", 1_000),
        ["100 Idle Heartbeat", "100 Idle Heartbeat", "100 Idle Heartbeat", "408 Request Timeout"]
    );
    assert!(end(&mut rig, "{bad", 0)[0].starts_with("400 Bad Request - invalid character 'b'"));
    // One that may wait does so for its first message, and for no second.
    let body = "{\"batch\":2,\"expires\":300000000,\"no_wait\":true}";
    assert!(rig.pull("S", "C", body).is_empty());
    rig.publish("s.1", "m1");
    assert_eq!(texts(&rig.take("in.p")), ["m1", "404 No Messages"]);
    rig.publish("s.1", "a longer message");
    let got = rig.pull("S", "C", "{\"batch\":3,\"max_bytes\":30}");
    assert_eq!(texts(&got), ["409 Message Size Exceeds MaxBytes"]);
    assert!(got[0].headers.contains("Nats-Pending-Messages: 3\r\nNats-Pending-Bytes: 30"));
    // Requests take turns.
    for number in 0..4 {
        rig.publish("s.1", &number.to_string());
    }
    rig.consumer("S", "turns", "\"deliver_policy\":\"new\"");
    for inbox in ["in.a", "in.b"] {
        rig.publish_with("$JS.API.CONSUMER.MSG.NEXT.S.turns", inbox, &[], b"2");
    }
    for number in 0..4 {
        rig.publish("s.1", &number.to_string());
    }
    assert_eq!(texts(&rig.take("in.a")), ["0", "2"]);
    assert_eq!(texts(&rig.take("in.b")), ["1", "3"]);
    rig.publish_with("$JS.API.CONSUMER.MSG.NEXT.S.turns", "in.a", &[], b"2");
    rig.api("CONSUMER.DELETE.S.turns", "");
    assert_eq!(texts(&rig.take("in.a")), ["409 Consumer Deleted"]);
}

#[test]
fn limits_of_requests_are_kept() {
    let mut rig = filled(0);
    let limits = "\"max_waiting\":1,\"max_batch\":2,\"max_expires\":5000000000,\"max_bytes\":1000";
    rig.consumer("S", "C", limits);
    for (body, expected) in [
        ("{\"batch\":3}", "409 Exceeded MaxRequestBatch of 2"),
        ("{\"expires\":30000000000}", "409 Exceeded MaxRequestExpires of 5s"),
        ("{\"max_bytes\":10000}", "409 Exceeded MaxRequestMaxBytes of 1000"),
    ] {
        assert_eq!(texts(&rig.pull("S", "C", body)), [expected]);
    }
    assert!(rig.pull("S", "C", "{\"expires\":3000000000}").is_empty());
    assert_eq!(texts(&rig.pull("S", "C", "{\"expires\":3000000000}")), ["409 Exceeded MaxWaiting"]);
    rig.consumer("S", "push", "\"deliver_subject\":\"d\"");
    assert_eq!(texts(&rig.pull("S", "push", "1")), ["409 Consumer is push based"]);
    assert!(!rig.publish_with("$JS.API.CONSUMER.MSG.NEXT.S.none", "in.p", &[], b"1"));
}

#[test]
fn naks_terms_and_working_do_what_they_say() {
    let mut rig = filled(3);
    rig.consumer("S", "C", EXPLICIT);
    let got = rig.pull("S", "C", "3");
    rig.acknowledge(&got[0], "-NAK {\"delay\": 60000000000}");
    rig.acknowledge(&got[1], "+TERM cannot be read");
    assert!(rig.pull("S", "C", "{\"batch\":9,\"expires\":200000000000}").is_empty());
    rig.advance(20_000);
    rig.acknowledge(&got[2], "+WPI");
    rig.advance(20_000);
    assert_eq!(texts(&rig.take("in.p")), [""; 0], "m3 was said to be worked on");
    rig.advance(10_001);
    assert_eq!(texts(&rig.take("in.p")), ["m3"], "30 s after +WPI");
    rig.advance(10_000);
    let again = rig.take("in.p");
    assert_eq!(texts(&again), ["m1"], "60 s after -NAK, though the ack wait is shorter");
    assert_eq!((again[0].number(0), again[0].number(2)), (2, 5));
    rig.acknowledge(&again[0], "-NAK");
    let again = rig.take("in.p");
    assert_eq!(texts(&again), ["m1"], "at once");
    rig.acknowledge(&again[0], "+NXT {\"no_wait\":true}");
    assert!(rig.was_noted("terminated") && rig.was_noted("negatively acknowledged"));
    let info = rig.api_value("CONSUMER.INFO.S.C", "");
    assert_eq!(info["num_ack_pending"], 1, "m3: {info}");
}

#[test]
fn an_acknowledgement_that_asks_is_answered() {
    let mut rig = filled(2);
    rig.consumer("S", "C", EXPLICIT);
    let got = rig.pull("S", "C", "1").remove(0);
    for body in ["+WPI", "", "+ACK", "bogus"] {
        rig.publish_with(&got.reply, "in.ack", &[], body.as_bytes());
        let answers = rig.take("in.ack");
        assert_eq!(answers.len(), 1, "{body}");
        assert!(answers[0].payload.is_empty() && answers[0].headers.is_empty());
    }
    let unknown = "$JS.ACK.S.nobody.1.1.1.1.1";
    assert!(!rig.publish_with(unknown, "in.ack", &[], b""));
}

#[test]
fn a_poison_message_ends_at_max_deliver_and_backs_off_before() {
    let mut rig = Rig::new();
    rig.stream("S", "");
    let identity =
        Identity { producer: 1, sequence: 2, number: 7, key: 3, intended_ns: 4, lag_ns: 5 };
    let mut payload = [0; 64];
    identity.stamp(&mut payload);
    rig.publish_with("S", "", &[], &payload);
    let backoff = "\"max_deliver\":4,\"backoff\":[1000000000,2000000000]";
    rig.consumer("S", "C", &format!("{EXPLICIT},{backoff}"));
    rig.subscribe("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>");
    rig.pull("S", "C", "{\"batch\":9,\"expires\":60000000000}");
    let mut times = Vec::new();
    for _ in 0..80 {
        rig.advance(100);
        times.extend(rig.take("in.p").iter().map(|_| rig.now));
    }
    let seconds: Vec<u64> = times.iter().map(|time| time.as_nanos() / 1_000_000_000).collect();
    assert_eq!(seconds, [1, 3, 5], "after 1 s, then 2 s each");
    let drops: Vec<&Note> = rig
        .world
        .notes
        .iter()
        .filter(|note| matches!(note, Note::Dropped { cause: Cause::MaxDeliver, .. }))
        .collect();
    assert_eq!(drops.len(), 1, "told once: {drops:?}");
    let told = rig.take("$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.S.C");
    assert_eq!(told.len(), 1);
    assert!(told[0].text().contains("\"stream_seq\":1,\"deliveries\":4"), "{}", told[0].text());
    assert_eq!(rig.state("S").0, 1, "it stays in the stream");
}

#[test]
fn max_ack_pending_holds_deliveries_back() {
    let mut rig = filled(5);
    rig.consumer("S", "C", &format!("{EXPLICIT},\"max_ack_pending\":2"));
    let got = rig.pull("S", "C", "{\"batch\":5,\"expires\":60000000000}");
    assert_eq!(texts(&got), ["m1", "m2"]);
    rig.acknowledge(&got[1], "");
    let more = rig.take("in.p");
    assert_eq!(texts(&more), ["m3"]);
    assert_eq!(texts(&rig.pull("S", "C", "{\"no_wait\":true}")), ["404 No Messages"]);
}

#[test]
fn acknowledging_all_settles_what_came_before() {
    let mut rig = filled(5);
    rig.consumer("S", "C", "\"durable_name\":\"C\",\"ack_policy\":\"all\"");
    let got = rig.pull("S", "C", "4");
    rig.acknowledge(&got[2], "");
    let info = rig.api_value("CONSUMER.INFO.S.C", "");
    assert_eq!(info["ack_floor"]["stream_seq"], 3);
    assert_eq!(info["num_ack_pending"], 1);
    rig.crash(CrashKind::ProcessKill, |_| 0);
    rig.advance(31_000);
    let got = rig.pull("S", "C", "{\"batch\":9,\"no_wait\":true}");
    assert_eq!(texts(&got), ["m4", "m5", "404 No Messages"]);
}

#[test]
fn push_waits_for_a_subscriber_beats_and_controls_the_flow() {
    let mut rig = Rig::new();
    rig.stream("S", "\"subjects\":[\"s.>\"]");
    let fields = "\"deliver_subject\":\"d\",\"idle_heartbeat\":200000000,\"flow_control\":true";
    rig.consumer("S", "P", fields);
    rig.publish("s.1", "m1");
    assert!(rig.take("d").is_empty());
    rig.subscribe("d");
    let got = rig.take("d");
    assert_eq!(texts(&got), ["m1"]);
    rig.advance(450);
    let beats = rig.take("d");
    assert_eq!(texts(&beats), ["100 Idle Heartbeat", "100 Idle Heartbeat"]);
    assert!(beats[0].headers.contains("Nats-Last-Consumer: 1\r\nNats-Last-Stream: 1"));
    // Two mebibytes may be under way before the client says that it took them.
    let large = vec![b'x'; 500_000];
    for _ in 0..10 {
        rig.publish_with("s.1", "", &[], &large);
    }
    let got = rig.take("d");
    let questions: Vec<&Sent> =
        got.iter().filter(|sent| sent.status() == Some("100 FlowControl Request")).collect();
    assert_eq!(questions.len(), 1);
    let delivered = got.iter().filter(|sent| sent.is_delivery()).count();
    assert_eq!(delivered, 5, "stalled");
    rig.advance(200);
    let beats = rig.take("d");
    assert!(beats[0].headers.contains("Nats-Consumer-Stalled: $JS.FC."), "{beats:?}");
    rig.publish_with(&questions[0].reply, "", &[], b"");
    let more = rig.take("d").iter().filter(|sent| sent.is_delivery()).count();
    assert!(more > 0, "it goes on");
}

#[test]
fn ephemeral_consumers_go_when_nobody_is_interested() {
    let mut rig = filled(0);
    rig.consumer("S", "pull", "");
    rig.subscribe("d");
    rig.consumer("S", "push", "\"deliver_subject\":\"d\"");
    rig.consumer("S", "kept", "\"durable_name\":\"kept\"");
    rig.advance(4_900);
    rig.pull("S", "pull", "{\"expires\":30000000000}");
    rig.advance(20_000);
    assert!(rig.api("CONSUMER.NAMES.S", "").contains("[\"kept\",\"pull\",\"push\"]"));
    rig.unsubscribe("d");
    rig.advance(6_500);
    assert!(rig.api("CONSUMER.NAMES.S", "").contains("[\"kept\",\"pull\"]"));
    rig.advance(20_000);
    assert!(rig.api("CONSUMER.NAMES.S", "").contains("[\"kept\"]"));
}

#[test]
fn a_pause_holds_deliveries_until_it_ends() {
    let mut rig = filled(1);
    rig.consumer("S", "C", EXPLICIT);
    let until = "2026-01-01T00:00:10Z";
    let answer = rig.api("CONSUMER.PAUSE.S.C", &format!("{{\"pause_until\":\"{until}\"}}"));
    assert!(answer.contains("\"paused\":true"), "{answer}");
    assert!(rig.pull("S", "C", "{\"expires\":60000000000}").is_empty());
    rig.advance(9_000);
    assert!(rig.take("in.p").is_empty());
    rig.advance(1_100);
    assert_eq!(texts(&rig.take("in.p")), ["m1"]);
    assert!(!rig.api("CONSUMER.INFO.S.C", "").contains("paused"));
}

#[test]
fn replay_at_the_original_pace() {
    let mut rig = Rig::new();
    rig.stream("S", "");
    for _ in 0..3 {
        rig.publish("S", "x");
        rig.advance(1_000);
    }
    rig.subscribe("d");
    rig.consumer("S", "R", "\"deliver_subject\":\"d\",\"replay_policy\":\"original\"");
    let mut counts = vec![rig.take("d").len()];
    for _ in 0..4 {
        rig.advance(500);
        counts.push(rig.take("d").len());
    }
    assert_eq!(counts, [1, 0, 1, 0, 1]);
}

#[test]
fn headers_alone_carry_the_size() {
    let mut rig = filled(1);
    rig.consumer("S", "H", "\"headers_only\":true");
    let got = rig.pull("S", "H", "1").remove(0);
    assert!(got.payload.is_empty());
    assert_eq!(got.headers, "NATS/1.0\r\nNats-Msg-Size: 2\r\n\r\n");
}

#[test]
fn a_million_messages_to_a_slow_reader_are_bounded_work() {
    let mut rig = Rig::new();
    rig.checks = false;
    rig.stream("S", "\"subjects\":[\"s.>\"],\"storage\":\"memory\"");
    for number in 0..20_000 {
        rig.publish_with(&format!("s.{}", number % 100), "", &[], b"x");
    }
    rig.consumer("S", "C", "");
    let first = rig.pull("S", "C", "{\"batch\":20000,\"no_wait\":true}").len();
    assert!(first <= 256, "one input does a bounded amount of work: {first}");
    let mut all = first;
    let mut ticks = 0;
    while all < 20_000 && ticks < 1_000 {
        rig.server.tick(rig.now, &mut rig.world);
        all += rig.take("in.p").len();
        ticks += 1;
    }
    assert_eq!(all, 20_000, "all of them");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    /// Every message is acknowledged, terminated, or comes again until it has had
    /// its deliveries, whatever happens in between; and what was acknowledged never
    /// comes again.
    #[test]
    fn every_message_is_settled_or_comes_again(
        steps in prop::collection::vec((0..9_u8, 0..16_usize), 1..120),
        max_deliver in 2..5_i64,
        is_queue in any::<bool>(),
    ) {
        let mut rig = Rig::new();
        let retention = if is_queue { ",\"retention\":\"workqueue\"" } else { "" };
        rig.stream("S", &format!("\"subjects\":[\"s.>\"]{retention}"));
        let limits = format!("\"max_deliver\":{max_deliver},\"max_ack_pending\":8");
        rig.consumer("S", "C", &format!("{EXPLICIT},{limits}"));
        let (mut published, mut open) = (0_u64, Vec::<Sent>::new());
        let mut settled = BTreeSet::new();
        let mut counts: BTreeMap<u64, u64> = BTreeMap::new();
        let mut take = |rig: &mut Rig, open: &mut Vec<Sent>, settled: &BTreeSet<u64>| {
            for sent in rig.take("in.p").into_iter().filter(Sent::is_delivery) {
                let seq = sent.number(1);
                assert!(!settled.contains(&seq), "{seq} was settled");
                let count = counts.entry(seq).or_default();
                *count += 1;
                assert_eq!(sent.number(0), *count, "counts its deliveries");
                assert!(*count <= max_deliver as u64);
                open.push(sent);
            }
        };
        for (step, pick) in steps {
            match step {
                0 | 1 => {
                    published += 1;
                    rig.publish("s.1", &format!("m{published}"));
                }
                2 => {
                    let got = rig.pull("S", "C", "{\"batch\":3,\"expires\":5000000000}");
                    rig.world.sent.extend(got);
                }
                3 | 4 if !open.is_empty() => {
                    let one = open.swap_remove(pick % open.len());
                    settled.insert(one.number(1));
                    rig.acknowledge(&one, if step == 3 { "" } else { "+TERM" });
                }
                5 if !open.is_empty() => {
                    let one = open.swap_remove(pick % open.len());
                    rig.acknowledge(&one, "-NAK");
                }
                6 => rig.advance(31_000),
                7 => rig.advance(700),
                8 if pick == 0 => {
                    rig.crash(CrashKind::ProcessKill, |_| 0);
                    open.clear();
                }
                _ => {}
            }
            take(&mut rig, &mut open, &settled);
        }
        // Everything is acknowledged from here on, so it ends.
        for _ in 0..200 {
            let got = rig.pull("S", "C", "{\"batch\":8,\"no_wait\":true}");
            rig.world.sent.extend(got);
            take(&mut rig, &mut open, &settled);
            for one in open.drain(..) {
                settled.insert(one.number(1));
                rig.acknowledge(&one, "");
            }
            rig.advance(31_000);
        }
        for seq in 1..=published {
            let had = counts.get(&seq).copied().unwrap_or(0);
            prop_assert!(
                settled.contains(&seq) || had == max_deliver as u64,
                "{} had {} deliveries and was never settled", seq, had
            );
        }
        if is_queue {
            let exhausted = (1..=published).filter(|seq| !settled.contains(seq)).count() as u64;
            prop_assert_eq!(rig.state("S").0, exhausted, "what was settled is gone");
        }
    }
}
