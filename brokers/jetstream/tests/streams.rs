//! Streams: what is taken in, what is refused and how, and what goes.

mod common;

use broker_contract::{Cause, CrashKind, Identity, Note};
use common::{Rig, Sent};

#[test]
fn publishes_are_acknowledged_and_refused_as_in_the_original() {
    let mut rig = Rig::new();
    rig.stream("T", "\"subjects\":[\"t.>\"]");
    assert_eq!(rig.publish("t.a", "x0"), r#"{"stream":"T","seq":1}"#);
    let once = [("Nats-Msg-Id", "m1")];
    assert_eq!(rig.request_with("t.b", &once, "x"), r#"{"stream":"T","seq":2}"#);
    let duplicate = r#"{"stream":"T","seq":2,"duplicate": true}"#;
    assert_eq!(rig.request_with("t.b", &once, "x"), duplicate);
    assert!(rig.was_noted("duplicate refused"));
    let error = |code: u16, err_code: u16, text: &str| {
        format!(
            "{{\"error\":{{\"code\":{code},\"err_code\":{err_code},\"description\":\"{text}\"}},\
             \"stream\":\"T\",\"seq\":0}}"
        )
    };
    for (name, value, expected) in [
        ("Nats-Expected-Stream", "X", error(400, 10060, "expected stream does not match")),
        ("Nats-Expected-Last-Sequence", "1", error(400, 10071, "wrong last sequence: 2")),
        ("Nats-Expected-Last-Sequence", "abc", error(400, 10071, "wrong last sequence: 2")),
        ("Nats-Expected-Last-Msg-Id", "zz", error(400, 10070, "wrong last msg ID: m1")),
        ("Nats-Expected-Last-Subject-Sequence", "0", error(400, 10071, "wrong last sequence: 2")),
        ("Nats-Rollup", "sub", error(500, 10111, "rollup not permitted")),
        ("Nats-TTL", "1s", error(400, 10166, "per-message TTL is disabled")),
        ("Nats-Incr", "1", error(400, 10168, "message counters is disabled")),
    ] {
        assert_eq!(rig.request_with("t.b", &[(name, value)], "x"), expected, "{name}");
    }
    for (name, value) in [
        ("Nats-Expected-Stream", "T"),
        ("Nats-Expected-Last-Sequence", "3"),
        ("Nats-Expected-Last-Msg-Id", "m1"),
        ("Nats-Expected-Last-Subject-Sequence", "5"),
    ] {
        let answer = rig.request_with("t.b", &[(name, value)], "x");
        assert!(!answer.contains("error"), "{name}: {answer}");
    }
    let new = [("Nats-Expected-Last-Subject-Sequence", "0")];
    assert_eq!(rig.request_with("t.new", &new, "x"), r#"{"stream":"T","seq":7}"#);
    assert!(!rig.publish_with("nobody", "in.r", &[], b"x"), "the node answers 503");
}

#[test]
fn requests_are_answered_as_in_the_original() {
    let mut rig = Rig::new();
    rig.stream("T", "\"subjects\":[\"t.>\"]");
    for (request, body, code, text) in [
        (
            "STREAM.CREATE.T",
            r#"{"name":"T","subjects":["t.*"]}"#,
            10058,
            "stream name already in use with a different configuration",
        ),
        (
            "STREAM.CREATE.U",
            r#"{"name":"U","subjects":["t.a"]}"#,
            10065,
            "subjects overlap with an existing stream",
        ),
        (
            "STREAM.CREATE.U",
            r#"{"name":"X"}"#,
            10056,
            "stream name in subject does not match request",
        ),
        ("STREAM.CREATE.U", "", 10056, "stream name in subject does not match request"),
        (
            "STREAM.CREATE.U",
            "{bad",
            10025,
            "invalid JSON: invalid character 'b' looking for beginning of object key string at offset 2",
        ),
        (
            "STREAM.CREATE.U",
            r#"{"name":"U","sealed":true}"#,
            10052,
            "stream configuration for create can not be sealed",
        ),
        ("STREAM.UPDATE.ZZ", r#"{"name":"ZZ"}"#, 10059, "stream not found"),
        (
            "STREAM.UPDATE.T",
            r#"{"name":"T","subjects":["t.>"],"storage":"memory"}"#,
            10052,
            "stream configuration update can not change storage type",
        ),
        (
            "STREAM.UPDATE.T",
            r#"{"name":"T","subjects":["t.>"],"retention":"workqueue"}"#,
            10052,
            "stream configuration update can not change retention policy to/from workqueue",
        ),
        ("STREAM.INFO.NOPE", "", 10059, "stream not found"),
        ("STREAM.DELETE.NOPE", "", 10059, "stream not found"),
        ("STREAM.MSG.GET.T", r#"{"seq":400}"#, 10037, "no message found"),
        ("STREAM.MSG.GET.T", "{}", 10003, "bad request"),
        ("STREAM.MSG.GET.T", "", 10003, "bad request"),
        ("STREAM.MSG.DELETE.T", r#"{"seq":2}"#, 10043, "sequence 2 not found"),
        ("STREAM.PURGE.T", r#"{"seq":3,"keep":1}"#, 10003, "bad request"),
        (
            "CONSUMER.CREATE.NO.i",
            r#"{"stream_name":"NO","config":{"name":"i"}}"#,
            10059,
            "stream not found",
        ),
        (
            "CONSUMER.CREATE.T.i",
            r#"{"stream_name":"X","config":{"name":"i"}}"#,
            10056,
            "stream name in subject does not match request",
        ),
        (
            "CONSUMER.CREATE.T.d",
            r#"{"stream_name":"T","config":{"name":"d","durable_name":"d2"}}"#,
            10017,
            "consumer name in subject does not match durable name in request",
        ),
        (
            "CONSUMER.DURABLE.CREATE.T.d",
            r#"{"stream_name":"T","config":{}}"#,
            10018,
            "consumer expected to be durable but a durable name was not set",
        ),
        (
            "CONSUMER.CREATE.T",
            r#"{"stream_name":"T","config":{"durable_name":"d"}}"#,
            10020,
            "consumer expected to be ephemeral but a durable name was set in request",
        ),
        (
            "CONSUMER.CREATE.T.f.t.1",
            r#"{"stream_name":"T","config":{"name":"f","filter_subject":"t.2"}}"#,
            10131,
            "Consumer create request did not match filtered subject from create subject",
        ),
        (
            "CONSUMER.CREATE.T.c",
            r#"{"stream_name":"T","config":{"name":"c","ack_policy":"weird"}}"#,
            10025,
            r#"invalid JSON: can not unmarshal "\"weird\"""#,
        ),
        (
            "CONSUMER.CREATE.T.c",
            r#"{"stream_name":"T","config":{"name":"c","deliver_subject":"t.x"}}"#,
            10081,
            "consumer deliver subject forms a cycle",
        ),
        (
            "CONSUMER.CREATE.T.c",
            r#"{"stream_name":"T","config":{"name":"c","deliver_subject":"z.*"}}"#,
            10079,
            "consumer deliver subject has wildcards",
        ),
        (
            "CONSUMER.CREATE.T.c",
            r#"{"stream_name":"T","config":{"name":"c","deliver_subject":"z","flow_control":true}}"#,
            10108,
            "consumer with flow control also needs heartbeats",
        ),
        (
            "CONSUMER.CREATE.T.c",
            r#"{"stream_name":"T","config":{"name":"c","filter_subject":"a","filter_subjects":["b"]}}"#,
            10136,
            "consumer cannot have both FilterSubject and FilterSubjects specified",
        ),
        (
            "CONSUMER.CREATE.T.c",
            r#"{"stream_name":"T","config":{"name":"c","filter_subjects":["c.*","c.2"]}}"#,
            10138,
            "consumer subject filters cannot overlap",
        ),
        (
            "CONSUMER.CREATE.T.c",
            r#"{"stream_name":"T","config":{"name":"c","deliver_policy":"by_start_sequence"}}"#,
            10094,
            "consumer delivery policy is deliver by start sequence, but optional start sequence is not set",
        ),
        (
            "CONSUMER.CREATE.T.c",
            r#"{"stream_name":"T","config":{"name":"c","max_deliver":2,"backoff":[1,2,3]}}"#,
            10116,
            "max deliver is required to be > length of backoff values",
        ),
        (
            "CONSUMER.CREATE.T.c",
            r#"{"stream_name":"T","config":{"name":"c","idle_heartbeat":1000000000}}"#,
            10088,
            "consumer idle heartbeat requires a push based consumer",
        ),
        (
            "CONSUMER.CREATE.T.c",
            r#"{"stream_name":"T","config":{"name":"c","ack_policy":"explicit","ack_wait":-5}}"#,
            10183,
            "consumer ack wait needs to be positive",
        ),
        (
            "CONSUMER.CREATE.T.c",
            r#"{"stream_name":"T","config":{"name":"c"},"action":"update"}"#,
            10149,
            "consumer does not exist",
        ),
        ("CONSUMER.INFO.T.nope", "", 10014, "consumer not found"),
        ("CONSUMER.DELETE.T.nope", "", 10014, "consumer not found"),
        ("CONSUMER.NAMES.NO", "", 10059, "stream not found"),
    ] {
        let answer = rig.api_value(request, body);
        let error = &answer["error"];
        assert_eq!(error["err_code"], code, "{request} {body}: {answer}");
        assert_eq!(error["description"], text, "{request} {body}");
    }
    let same = rig.api("STREAM.CREATE.T", r#"{"name":"T","subjects":["t.>"]}"#);
    assert!(same.contains("\"did_create\":true"), "{same}");
    rig.consumer("T", "p", "\"durable_name\":\"p\",\"ack_policy\":\"explicit\"");
    let twice = r#"{"stream_name":"T","config":{"name":"p","durable_name":"p","ack_policy":"explicit","max_deliver":3},"action":"create"}"#;
    assert_eq!(rig.api_value("CONSUMER.CREATE.T.p", twice)["error"]["err_code"], 10148);
    let other =
        r#"{"stream_name":"T","config":{"name":"p","durable_name":"p","ack_policy":"none"}}"#;
    assert_eq!(
        rig.api_value("CONSUMER.CREATE.T.p", other)["error"]["description"],
        "ack policy can not be updated"
    );
    // Taken, and never answered, as in the original.
    assert_eq!(rig.api("BOGUS", ""), "");
    let names = rig.api("STREAM.NAMES", r#"{"subject":"zzz"}"#);
    assert!(names.ends_with(r#""total":0,"offset":0,"limit":1024,"streams":null}"#), "{names}");
    let none = rig.api("CONSUMER.LIST.T", r#"{"offset":100}"#);
    assert!(none.ends_with(r#""total":1,"offset":1,"limit":256,"consumers":[]}"#), "{none}");
}

/// As `nats-server` 2.15.1 wrote it, but for the times and the leader.
#[test]
fn the_state_is_told_as_in_the_original() {
    let mut rig = Rig::new();
    rig.stream("T", "\"subjects\":[\"t.>\"]");
    let empty = rig.api("STREAM.INFO.T", "");
    assert!(
        empty.contains(r#""state":{"messages":0,"bytes":0,"first_seq":0,"first_ts":"0001-01-01T00:00:00Z","last_seq":0,"last_ts":"0001-01-01T00:00:00Z","consumer_count":0}"#),
        "{empty}"
    );
    assert!(empty.contains(r#""subjects":["t.\u003e"],"#), "{empty}");
    for _ in 0..3 {
        rig.publish("t.a", "x0");
    }
    rig.request_with("t.b", &[("Nats-Msg-Id", "m1")], "hello");
    rig.request_with("t.c", &[("Nats-Expected-Last-Subject-Sequence", "0")], "hello");
    let info = rig.api_value("STREAM.INFO.T", r#"{"subjects_filter":">"}"#);
    assert_eq!(info["state"]["bytes"], 270, "{info}");
    assert_eq!(info["state"]["subjects"], serde_json::json!({"t.a": 3, "t.b": 1, "t.c": 1}));
    assert_eq!((&info["total"], &info["limit"]), (&3.into(), &100_000.into()));
    let got = rig.api_value("STREAM.MSG.GET.T", r#"{"seq":4}"#);
    assert_eq!(got["message"]["hdrs"], "TkFUUy8xLjANCk5hdHMtTXNnLUlkOiBtMQ0KDQo=");
    assert_eq!(got["message"]["data"], "aGVsbG8=");
    assert_eq!(rig.api_value("STREAM.MSG.GET.T", r#"{"last_by_subj":"t.>"}"#)["message"]["seq"], 5);
    let next = r#"{"next_by_subj":"t.b","seq":2}"#;
    assert_eq!(rig.api_value("STREAM.MSG.GET.T", next)["message"]["seq"], 4);
    assert!(rig.api("STREAM.MSG.DELETE.T", r#"{"seq":2}"#).contains("\"success\":true"));
    let info = rig.api_value("STREAM.INFO.T", r#"{"deleted_details":true}"#);
    assert_eq!(info["state"]["deleted"], serde_json::json!([2]));
    let purged = rig.api("STREAM.PURGE.T", r#"{"filter":"t.a"}"#);
    assert!(purged.ends_with(r#""success":true,"purged":2}"#), "{purged}");
    assert!(rig.api("STREAM.PURGE.T", r#"{"keep":1}"#).ends_with("\"purged\":1}"));
    assert_eq!(rig.state("T"), (1, 5, 5));
    rig.crash(CrashKind::ProcessKill, |_| 0);
    assert_eq!(rig.state("T"), (1, 5, 5));
}

#[test]
fn direct_get_answers_with_the_message() {
    let mut rig = Rig::new();
    rig.stream("D", "\"subjects\":[\"d.>\"],\"allow_direct\":true");
    rig.publish("d.a", "x0");
    rig.request_with("d.b", &[("K", "v")], "hdr");
    let get = |rig: &mut Rig, subject: &str, body: &str| -> Vec<Sent> {
        rig.publish_with(&format!("$JS.API.DIRECT.GET.{subject}"), "in.d", &[], body.as_bytes());
        rig.take("in.d")
    };
    let got = get(&mut rig, "D", r#"{"seq":2}"#).remove(0);
    assert!(got.headers.starts_with("NATS/1.0\r\nK: v\r\nNats-Stream: D\r\nNats-Subject: d.b\r\nNats-Sequence: 2\r\nNats-Time-Stamp: "), "{got:?}");
    assert_eq!(got.text(), "hdr");
    for (subject, body, status) in [
        ("D", "", "408 Empty Request"),
        ("D", "{}", "408 Empty Request"),
        ("D", "{bad", "408 Malformed Request"),
        ("D", r#"{"seq":9}"#, "404 Message Not Found"),
        ("D.d.z", "", "404 Message Not Found"),
        ("D", r#"{"multi_last":["z.*"]}"#, "404 No Results"),
    ] {
        assert_eq!(get(&mut rig, subject, body)[0].status(), Some(status), "{subject} {body}");
    }
    assert_eq!(get(&mut rig, "D.d.a", "")[0].text(), "x0");
    let batch = get(&mut rig, "D", r#"{"batch":3,"seq":1}"#);
    assert_eq!(batch.len(), 3);
    assert!(batch[0].headers.contains("Nats-Num-Pending: 1\r\nNats-Last-Sequence: 0\r\n"));
    assert_eq!(
        batch[2].headers,
        "NATS/1.0 204 EOB\r\nNats-Num-Pending: 0\r\nNats-Last-Sequence: 2\r\n\r\n"
    );
    let lasts = get(&mut rig, "D", r#"{"multi_last":["d.*"]}"#);
    assert!(lasts[2].headers.contains("Nats-UpTo-Sequence: 2"), "{lasts:?}");
    rig.stream("N", "");
    assert!(!rig.publish_with("$JS.API.DIRECT.GET.N", "in.d", &[], b"{\"seq\":1}"));
}

#[test]
fn new_messages_give_way_where_the_stream_says_so() {
    let mut rig = Rig::new();
    rig.stream("M", "\"max_msgs\":1,\"discard\":\"new\",\"max_msg_size\":4");
    rig.publish("M", "1");
    assert!(rig.publish("M", "2").contains("maximum messages exceeded"));
    assert!(rig.publish("M", "12345").contains("message size exceeds maximum allowed"));
    rig.stream("B", "\"max_bytes\":60,\"discard\":\"new\"");
    rig.publish("B", "1");
    assert!(rig.publish("B", "2").contains("maximum bytes exceeded"));
    let each = "\"subjects\":[\"e.*\"],\"max_msgs_per_subject\":1,\"discard\":\"new\",\
                \"discard_new_per_subject\":true";
    rig.stream("E", each);
    rig.publish("e.1", "1");
    assert!(rig.publish("e.1", "2").contains("maximum messages per subject exceeded"));
    assert!(rig.publish("e.2", "2").contains("\"seq\":2"));
}

#[test]
fn rollups_replace_what_came_before() {
    let mut rig = Rig::new();
    rig.stream("R", "\"subjects\":[\"r.>\"],\"allow_rollup_hdrs\":true");
    for subject in ["r.a", "r.b", "r.a"] {
        rig.publish(subject, "x");
    }
    rig.request_with("r.a", &[("Nats-Rollup", "sub")], "y");
    assert_eq!(rig.state("R"), (2, 2, 4));
    rig.request_with("r.a", &[("Nats-Rollup", "all")], "z");
    assert_eq!(rig.state("R"), (1, 5, 5));
    rig.crash(CrashKind::ProcessKill, |_| 0);
    assert_eq!(rig.state("R"), (1, 5, 5));
}

#[test]
fn age_removes_by_the_clock_and_names_what_nobody_saw() {
    let mut rig = Rig::new();
    rig.stream("A", "\"max_age\":1000000000");
    let mut payload = [0; 64];
    Identity { producer: 0, sequence: 0, number: 3, key: 0, intended_ns: 0, lag_ns: 0 }
        .stamp(&mut payload);
    rig.publish_with("A", "", &[], &payload);
    rig.advance(600);
    rig.publish("A", "second");
    rig.advance(399);
    assert_eq!(rig.state("A").0, 2);
    rig.advance(2);
    assert_eq!(rig.state("A"), (1, 2, 2));
    rig.advance(600);
    assert_eq!(rig.state("A"), (0, 3, 2));
    let dropped = |note: &Note| {
        matches!(note, Note::Dropped { cause: Cause::Retention, message: Some(message), .. }
            if message.number == 3)
    };
    assert_eq!(rig.world.notes.iter().filter(|note| dropped(note)).count(), 1);
}

#[test]
fn interest_keeps_what_somebody_wants() {
    let mut rig = Rig::new();
    rig.stream("I", "\"subjects\":[\"i.>\"],\"retention\":\"interest\"");
    assert_eq!(rig.publish("i.1", "nobody"), r#"{"stream":"I","seq":1}"#);
    assert_eq!(rig.state("I"), (0, 2, 1));
    for name in ["a", "b"] {
        rig.consumer(
            "I",
            name,
            &format!("\"durable_name\":\"{name}\",\"ack_policy\":\"explicit\""),
        );
    }
    rig.publish("i.1", "both");
    let one = rig.pull("I", "a", "1").remove(0);
    rig.acknowledge(&one, "");
    assert_eq!(rig.state("I").0, 1, "b still wants it");
    let two = rig.pull("I", "b", "1").remove(0);
    rig.acknowledge(&two, "");
    assert_eq!(rig.state("I"), (0, 3, 2));
    rig.publish("i.1", "left");
    let one = rig.pull("I", "a", "1").remove(0);
    rig.acknowledge(&one, "");
    rig.api("CONSUMER.DELETE.I.b", "");
    assert_eq!(rig.state("I").0, 0, "with its consumer goes the last interest");
    rig.crash(CrashKind::ProcessKill, |_| 0);
    assert_eq!(rig.state("I"), (0, 4, 3));
}

#[test]
fn a_work_queue_has_one_consumer_for_each_subject() {
    let mut rig = Rig::new();
    rig.stream("W", "\"subjects\":[\"w.>\"],\"retention\":\"workqueue\"");
    let refused = |rig: &mut Rig, name: &str, fields: &str| {
        let body = format!("{{\"stream_name\":\"W\",\"config\":{{\"name\":\"{name}\",{fields}}}}}");
        let answer = rig.api_value(&format!("CONSUMER.CREATE.W.{name}"), &body);
        answer["error"]["err_code"].as_u64()
    };
    assert_eq!(refused(&mut rig, "a", "\"ack_policy\":\"none\""), Some(10084));
    let new = "\"ack_policy\":\"explicit\",\"deliver_policy\":\"new\"";
    assert_eq!(refused(&mut rig, "a", new), Some(10101));
    let filtered = |filter| format!("\"ack_policy\":\"explicit\",\"filter_subject\":\"{filter}\"");
    assert_eq!(refused(&mut rig, "a", &filtered("w.1")), None);
    assert_eq!(refused(&mut rig, "b", &filtered("w.*")), Some(10100));
    assert_eq!(refused(&mut rig, "b", "\"ack_policy\":\"explicit\""), Some(10099));
    assert_eq!(refused(&mut rig, "c", &filtered("w.2")), None);
    for number in 1..=4 {
        rig.publish(&format!("w.{}", number % 2 + 1), &number.to_string());
    }
    let got = rig.pull("W", "a", "{\"batch\":5,\"no_wait\":true}");
    assert_eq!(got.len(), 3, "two and the end");
    rig.acknowledge(&got[1], "");
    assert_eq!(rig.state("W"), (3, 1, 4));
    rig.crash(CrashKind::ProcessKill, |_| 0);
    assert_eq!(rig.state("W"), (3, 1, 4));
}

#[test]
fn purging_much_is_done_in_pieces() {
    let mut rig = Rig::new();
    rig.checks = false;
    rig.stream("P", "\"subjects\":[\"p.>\"]");
    for number in 0..20_000 {
        rig.publish_with(&format!("p.{}", number % 10), "", &[], b"x");
    }
    assert!(rig.api("STREAM.PURGE.P", r#"{"filter":"p.3"}"#).ends_with("\"purged\":2000}"));
    assert!(rig.api("STREAM.PURGE.P", "").ends_with("\"purged\":18000}"));
    assert!(rig.state("P").0 > 0, "one input does a bounded amount of work");
    rig.work();
    assert_eq!(rig.state("P"), (0, 20_001, 20_000));
    rig.crash(CrashKind::ProcessKill, |_| 0);
    assert_eq!(rig.state("P"), (0, 20_001, 20_000));
}
