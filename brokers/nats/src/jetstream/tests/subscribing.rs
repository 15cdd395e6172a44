//! From a filter to consumers: streams that are found, made, missing or many.

use super::*;

#[test]
fn a_stream_is_declared_as_the_settings_have_it() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let declare = |name| {
        let filters = &["orders.>"];
        Op::Declare(broker_contract::Declaration { name, filters, partitions: Some(3) })
    };
    let ticket = rig.submit(&declare("orders.eu"));
    let request = rig.only();
    assert_eq!(text(request.subject()), "$JS.API.STREAM.CREATE.orders_eu");
    let body: Value = serde_json::from_slice(request.payload()).expect("JSON");
    assert_eq!(
        body,
        json!({
            "name": "orders_eu", "subjects": ["orders.>"], "retention": "limits",
            "max_consumers": -1, "max_msgs": -1, "max_bytes": -1, "max_age": 0,
            "max_msgs_per_subject": -1, "max_msg_size": -1, "discard": "old",
            "storage": "file", "num_replicas": 1, "duplicate_window": 120_000_000_000_u64,
        })
    );
    rig.answer(&request, b"", r#"{"did_create":true}"#);
    let second = rig.submit(&declare("other"));
    let request = rig.only();
    let error = json!({ "error": { "code": 400, "err_code": 10065,
        "description": "subjects overlap with an existing stream" } });
    rig.answer(&request, b"", &error.to_string());
    let refused = "failed: refused: subjects overlap with an existing stream (err_code 10065)";
    assert_eq!(rig.outcomes(), ends(&[(ticket, "done"), (second, refused)]));
}

#[test]
fn a_server_without_jetstream_says_so() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let declaration = broker_contract::Declaration { name: "s", filters: &["a"], partitions: None };
    let ticket = rig.submit(&Op::Declare(declaration));
    for _ in 0..3 {
        let request = rig.only();
        rig.answer_unheard(&request);
        rig.pass(Duration::from_millis(250));
    }
    assert_eq!(
        rig.outcomes(),
        ends(&[(ticket, "failed: refused: JetStream is not enabled at the server")])
    );
}

#[test]
fn who_acknowledges_nothing_has_an_ordered_consumer() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let ticket = rig.subscribe("a.*", None, Start::New, Flow::default());
    rig.name_streams(&["S"]);
    let listens = rig.sent.iter().find_map(|up| match up {
        Up::Subscribe(subscribe) => Some(text(&subscribe.subject)),
        _ => None,
    });
    let made = rig.make_consumer(7);
    assert_eq!(rig.outcomes(), ends(&[(ticket, "done")]));
    assert_eq!(made.subject, format!("$JS.API.CONSUMER.CREATE.S.{}", made.name));
    assert_eq!(made.config["deliver_subject"].as_str(), listens.as_deref());
    let mut config = made.config.clone();
    for own in ["name", "deliver_subject"] {
        config.as_object_mut().expect("an object").remove(own);
    }
    assert_eq!(
        config,
        json!({
            "deliver_policy": "new", "ack_policy": "none", "max_deliver": 1,
            "filter_subject": "a.*", "replay_policy": "instant", "flow_control": true,
            "idle_heartbeat": 5_000_000_000_u64, "inactive_threshold": 5_000_000_000_u64,
            "mem_storage": true, "num_replicas": 1,
        })
    );
}

#[test]
fn a_group_has_a_durable_consumer_that_is_the_same_for_each_member() {
    let wait = Duration::from_secs;
    let flow = Flow {
        ack_wait: Some(wait(10)),
        max_deliver: Some(2),
        backoff: &[wait(1), wait(2), wait(3)],
        ..EXPLICIT
    };
    let mut configs = Vec::new();
    for _ in 0..2 {
        let mut rig = Rig::new(JetStreamClientConfig::default());
        rig.subscribe("payment.*", Some("ledger"), Start::All, flow);
        rig.name_streams(&["S"]);
        let made = rig.make_consumer(0);
        let subject = "$JS.API.CONSUMER.DURABLE.CREATE.S.ledger--payment_-star";
        assert_eq!(made.subject, subject);
        let pull = rig.only();
        assert_eq!(
            pull_body(&pull),
            json!({ "batch": 500, "expires": 30_000_000_000_u64,
                "idle_heartbeat": 15_000_000_000_u64 })
        );
        configs.push(made.config);
    }
    assert_eq!(configs[0], configs[1]);
    assert_eq!(
        configs[0],
        json!({
            "durable_name": "ledger--payment_-star", "name": "ledger--payment_-star",
            "deliver_policy": "all", "ack_policy": "explicit",
            "ack_wait": 10_000_000_000_u64, "max_deliver": 2,
            // A wait that no delivery comes to would be refused.
            "backoff": [1_000_000_000, 2_000_000_000],
            "filter_subject": "payment.*", "replay_policy": "instant",
            "max_waiting": 512, "max_ack_pending": 1000,
        })
    );
}

#[test]
fn a_subscription_begins_where_it_should() {
    for (start, policy, sequence, time) in [
        (Start::Last, "last", Value::Null, Value::Null),
        (Start::Sequence(17), "by_start_sequence", json!(17), Value::Null),
        (
            Start::Time(Time::from_millis(1_500)),
            "by_start_time",
            Value::Null,
            json!("2026-01-01T00:00:01.500000000Z"),
        ),
    ] {
        let mut rig = Rig::new(JetStreamClientConfig::default());
        rig.subscribe("a", None, start, Flow::default());
        rig.name_streams(&["S"]);
        let config = rig.make_consumer(0).config;
        assert_eq!(config["deliver_policy"], policy);
        assert_eq!((&config["opt_start_seq"], &config["opt_start_time"]), (&sequence, &time));
    }
}

#[test]
fn a_filter_over_several_streams_has_a_consumer_on_each() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let ticket = rig.subscribe(">", None, Start::All, EXPLICIT);
    // Names come in pages.
    let request = rig.only();
    rig.answer(&request, b"", r#"{"total":2,"streams":["A"]}"#);
    let request = rig.only();
    assert_eq!(request.payload(), br#"{"subject":">","offset":1}"#);
    rig.answer(&request, b"", r#"{"total":2,"streams":["B"]}"#);
    let requests = rig.published();
    assert_eq!(requests.len(), 2);
    rig.answer(&requests[0], b"", "{}");
    assert_eq!(rig.outcomes(), []);
    rig.answer(&requests[1], b"", "{}");
    assert_eq!(rig.outcomes(), ends(&[(ticket, "done")]));
    // The next subscription knows the streams.
    rig.published();
    rig.subscribe(">", None, Start::All, EXPLICIT);
    let requests = rig.published();
    let subjects: Vec<String> = requests.iter().map(|request| text(request.subject())).collect();
    assert!(subjects.iter().all(|subject| subject.contains("CONSUMER.CREATE")), "{subjects:?}");
}

#[test]
fn without_a_stream_core_nats_serves_what_it_can() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let plain = rig.subscribe("svc", Some("workers"), Start::New, Flow::default());
    for _ in 0..5 {
        rig.name_streams(&[]);
        rig.pass(Duration::from_millis(250));
    }
    let sub = rig.sent.iter().find_map(|up| match up {
        Up::Subscribe(subscribe) => Some((text(&subscribe.subject), subscribe.queue.clone())),
        _ => None,
    });
    assert_eq!(sub, Some(("svc".to_owned(), Some((*b"workers").into()))));
    rig.down(Down::Pong);
    assert_eq!(rig.outcomes(), ends(&[(plain, "done")]));
    rig.down(Down::message(2, false, Message::new(b"svc", b"_INBOX.r", b"", b"q")));
    assert_eq!(rig.delivered[0].message.reply(), b"_INBOX.r");
    rig.sent.clear();
    let kept = rig.subscribe("svc", None, Start::All, Flow::default());
    for _ in 0..5 {
        rig.name_streams(&[]);
        rig.pass(Duration::from_millis(250));
    }
    assert_eq!(
        rig.outcomes(),
        ends(&[(kept, "failed: refused: no stream takes what the filter takes")])
    );
}

#[test]
fn a_stream_that_comes_a_little_later_is_found() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let ticket = rig.subscribe("a", None, Start::All, Flow::default());
    rig.name_streams(&[]);
    rig.pass(Duration::from_millis(250));
    rig.name_streams(&["S"]);
    rig.make_consumer(0);
    assert_eq!(rig.outcomes(), ends(&[(ticket, "done")]));
}

#[test]
fn a_durable_consumer_has_a_name() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let flow = Flow { durable: true, ..EXPLICIT };
    let nameless = rig.subscribe("a", None, Start::All, flow);
    assert_eq!(
        rig.outcomes(),
        ends(&[(nameless, "failed: refused: a durable consumer has a group or a name")])
    );
    rig.subscribe("a", None, Start::All, Flow { name: Some("desk 7"), ..flow });
    assert_eq!(rig.outcomes().len(), 1, "a name with a space is refused");
    rig.subscribe("a", None, Start::All, Flow { name: Some("desk-7"), ..flow });
    rig.name_streams(&["S"]);
    assert_eq!(rig.make_consumer(0).name, "desk-2d7--a");
}

#[test]
fn a_refused_consumer_fails_the_subscription() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let ticket = rig.subscribe("a", Some("g"), Start::All, EXPLICIT);
    rig.name_streams(&["S"]);
    let request = rig.only();
    let error = json!({ "error": { "code": 400, "err_code": 10012,
        "description": "ack policy can not be updated" } });
    rig.answer(&request, b"", &error.to_string());
    let refused = "failed: refused: ack policy can not be updated (err_code 10012)";
    assert_eq!(rig.outcomes(), ends(&[(ticket, refused)]));
}

#[test]
fn a_durable_that_began_elsewhere_is_taken_as_it_is() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let ticket = rig.subscribe("a", Some("g"), Start::All, EXPLICIT);
    rig.name_streams(&["S"]);
    let request = rig.only();
    let error = json!({ "error": { "code": 400, "err_code": 10012,
        "description": "deliver policy can not be updated" } });
    rig.answer(&request, b"", &error.to_string());
    assert_eq!(rig.outcomes(), ends(&[(ticket, "done")]));
}
