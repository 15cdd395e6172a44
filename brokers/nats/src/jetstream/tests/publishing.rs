//! Publishing: acknowledgements, refusals, the window, and what is sent again.

use super::*;
use crate::jetstream::Resend;

const ACK: &str = r#"{"stream":"S","seq":1}"#;

#[test]
fn a_publish_is_acknowledged_with_what_that_proves() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let ticket = rig.publish("a.b", Want::Usual);
    let request = rig.only();
    assert_eq!((request.subject(), request.payload()), (&b"a.b"[..], &b"x"[..]));
    assert!(request.headers().is_empty() && rig.outcomes().is_empty());
    rig.answer(&request, b"", ACK);
    assert_eq!(rig.outcomes(), ends(&[(ticket, "acked")]));
    // A second answer is nobody's.
    rig.answer(&request, b"", ACK);
    assert_eq!(rig.outcomes(), []);
    assert_eq!(rig.notes.len(), 1);
}

#[test]
fn a_publish_that_wants_nothing_has_no_reply_subject() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let ticket = rig.publish("a.b", Want::Nothing);
    assert!(rig.only().reply().is_empty());
    assert_eq!(rig.outcomes(), ends(&[(ticket, "sent")]));
}

#[test]
fn a_refusal_says_why() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let ticket = rig.publish("a.b", Want::Stored);
    let request = rig.only();
    let error = json!({ "error": {
        "code": 503, "err_code": 10077, "description": "maximum messages exceeded",
    }, "stream": "S", "seq": 0 });
    rig.answer(&request, b"", &error.to_string());
    assert_eq!(
        rig.outcomes(),
        ends(&[(ticket, "failed: refused: maximum messages exceeded (err_code 10077)")])
    );
    // Somebody who is no stream answers.
    let ticket = rig.publish("a.b", Want::Stored);
    let request = rig.only();
    rig.answer(&request, b"", "hello");
    assert_eq!(
        rig.outcomes(),
        ends(&[(ticket, "unknown: refused: the answer is no acknowledgement")])
    );
}

#[test]
fn what_no_stream_takes_is_tried_again_and_then_refused() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let ticket = rig.publish("a.b", Want::Usual);
    for _ in 0..3 {
        let request = rig.only();
        rig.answer_unheard(&request);
        rig.pass(Duration::from_millis(249));
        assert!(rig.published().is_empty());
        rig.pass(Duration::from_millis(1));
    }
    assert_eq!(rig.outcomes(), ends(&[(ticket, "failed: refused: no stream takes this subject")]));
}

#[test]
fn an_answer_that_does_not_come_leaves_it_unknown() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let ticket = rig.publish("a.b", Want::Usual);
    rig.pass(Duration::from_millis(4_999));
    assert_eq!(rig.outcomes(), []);
    rig.pass(Duration::from_millis(1));
    assert_eq!(rig.outcomes(), ends(&[(ticket, "unknown: timed out")]));
    let ticket = rig.publish("a.b", Want::Usual);
    rig.lose();
    assert_eq!(rig.outcomes(), ends(&[(ticket, "unknown: the connection was lost")]));
}

#[test]
fn what_the_server_knows_again_is_sent_again() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    let ticket = rig.publish("a.b", Want::StoredOnce(17));
    let first = rig.only();
    assert_eq!(headers::pairs(first.headers()).collect::<Vec<_>>(), [("Nats-Msg-Id", "17")]);
    rig.pass(Duration::from_secs(5));
    assert_eq!(rig.only(), first);
    rig.lose();
    assert_eq!(rig.outcomes(), []);
    rig.greet();
    let again = rig.published();
    assert_eq!(again, [first]);
    rig.answer(&again[0], b"", r#"{"stream":"S","seq":1,"duplicate":true}"#);
    assert_eq!(rig.outcomes(), ends(&[(ticket, "acked")]));
    // It gives up in the end.
    let ticket = rig.publish("a.b", Want::StoredOnce(18));
    rig.pass(Duration::from_secs(15));
    assert_eq!(rig.published().len(), 3);
    assert_eq!(rig.outcomes(), ends(&[(ticket, "unknown: timed out")]));
}

#[test]
fn a_setting_says_what_is_sent_again() {
    for (resend, sent) in [(Resend::Always, 3), (Resend::Never, 1), (Resend::StoredOnce, 1)] {
        let mut rig = Rig::new(JetStreamClientConfig { resend, ..Default::default() });
        let ticket = rig.publish("a.b", Want::Usual);
        rig.pass(Duration::from_secs(60));
        assert_eq!(rig.published().len(), sent, "{resend:?}");
        assert_eq!(rig.outcomes(), ends(&[(ticket, "unknown: timed out")]));
    }
}

#[test]
fn what_is_beyond_the_window_waits_in_order() {
    let config = JetStreamClientConfig { max_async_pending: 2, ..Default::default() };
    let mut rig = Rig::new(config);
    let tickets: Vec<u64> = (0..4).map(|_| rig.publish("a.b", Want::Usual)).collect();
    let sent = rig.published();
    assert_eq!(sent.len(), 2);
    rig.answer(&sent[1], b"", ACK);
    let third = rig.only();
    rig.answer(&third, b"", ACK);
    let fourth = rig.only();
    for request in [&sent[0], &fourth] {
        rig.answer(request, b"", ACK);
    }
    let order = [tickets[1], tickets[2], tickets[0], tickets[3]];
    assert_eq!(rig.outcomes(), ends(&order.map(|ticket| (ticket, "acked"))));
    assert!(rig.published().is_empty());
}

#[test]
fn what_waits_for_a_connection_is_bounded() {
    let core = Arc::new(crate::ClientConfig { reconnect_buffer: 100, ..Default::default() });
    let mut rig = Rig::new(JetStreamClientConfig { core, ..Default::default() });
    rig.lose();
    let tickets: Vec<u64> = (0..3).map(|_| rig.publish("a.b", Want::Usual)).collect();
    assert_eq!(
        rig.outcomes(),
        ends(&[(tickets[2], "failed: the client gave up: the reconnect buffer is full")])
    );
    rig.greet();
    assert_eq!(rig.published().len(), 2);
}

#[test]
fn what_cannot_be_said_is_refused() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    rig.publish("a b", Want::Usual);
    let publish = Publish {
        channel: "a",
        key: None,
        headers: &[("a:b", "c")],
        payload: b"",
        want: Want::StoredOnce(1),
    };
    rig.submit(&Op::Publish(publish));
    rig.submit(&Op::Publish(Publish { headers: &[], payload: &[0; 1 << 20], ..publish }));
    let outcomes = rig.outcomes();
    assert_eq!(outcomes.len(), 3);
    assert!(outcomes.iter().all(|(_, text)| text.starts_with("failed: refused")), "{outcomes:?}");
    assert!(rig.sent.is_empty());
}

#[test]
fn an_idle_publisher_is_small() {
    let mut rig = Rig::new(JetStreamClientConfig::default());
    for _ in 0..100 {
        rig.publish("a.b", Want::Usual);
        let request = rig.only();
        rig.answer(&request, b"", ACK);
    }
    let bytes = size_of::<JetStreamClient>() + size_of::<crate::jetstream::state::Js>();
    assert!(bytes <= 640, "{bytes}");
    assert_eq!(rig.outcomes().len(), 100);
}
