//! Who receives what, and how subscriptions end.

use super::*;

#[test]
fn wildcards_and_literals_receive() {
    let mut rig = Rig::new(NatsConfig::default());
    for conn in 0..2 {
        rig.open(conn);
    }
    for (sid, filter) in ["a.b", "a.*", "a.>", ">", "*", "*.b", "a.c"].into_iter().enumerate() {
        rig.subscribe(1, filter, None, sid as u64 + 1);
    }
    rig.publish(0, "a.b", "x");
    let mut received = rig.messages(1);
    received.sort();
    assert_eq!(received, ["1:a.b:x", "2:a.b:x", "3:a.b:x", "4:a.b:x", "6:a.b:x"]);
}

#[test]
fn echo_can_be_turned_off() {
    let mut rig = Rig::new(NatsConfig::default());
    rig.open_with(0, ConnectOptions { echo: Some(false), ..usual() });
    rig.open(1);
    rig.subscribe(0, "a", None, 1);
    rig.subscribe(1, "a", None, 1);
    rig.publish(0, "a", "mine");
    rig.publish(1, "a", "yours");
    assert_eq!(rig.messages(0), ["1:a:yours"]);
    assert_eq!(rig.messages(1), ["1:a:mine", "1:a:yours"]);
}

#[test]
fn a_limit_counts_from_the_subscription() {
    let mut rig = Rig::new(NatsConfig::default());
    rig.open(0);
    rig.subscribe(0, "a", None, 1);
    rig.publish(0, "a", "1");
    rig.publish(0, "a", "2");
    rig.up(0, Up::Unsubscribe { sid: 1, max: Some(3) });
    for payload in ["3", "4"] {
        rig.publish(0, "a", payload);
    }
    assert_eq!(rig.messages(0), ["1:a:1", "1:a:2", "1:a:3"]);
    assert_eq!(rig.node.subscriptions(), 0);

    // A limit that is reached already ends it at once.
    rig.subscribe(0, "a", None, 2);
    rig.publish(0, "a", "1");
    rig.up(0, Up::Unsubscribe { sid: 2, max: Some(1) });
    assert_eq!(rig.node.subscriptions(), 0);
    rig.up(0, Up::Unsubscribe { sid: 99, max: None });
    assert!(rig.closed.is_empty());
}

#[test]
fn an_unsubscribed_and_a_closed_connection_receive_nothing() {
    let mut rig = Rig::new(NatsConfig::default());
    for conn in 0..3 {
        rig.open(conn);
        rig.subscribe(conn, "a.>", None, 1);
    }
    rig.up(1, Up::Unsubscribe { sid: 1, max: None });
    rig.handle(Input::Closed { conn: ConnId(2) });
    rig.publish(0, "a.b", "x");
    assert_eq!(rig.messages(0), ["1:a.b:x"]);
    assert_eq!((rig.messages(1).len(), rig.messages(2).len()), (0, 0));
    assert_eq!((rig.node.subscriptions(), rig.node.connections()), (1, 2));
}

#[test]
fn headers_stay_behind_for_clients_that_do_not_read_them() {
    let mut rig = Rig::new(NatsConfig::default());
    rig.open(0);
    rig.open_with(1, ConnectOptions { headers: false, no_responders: false, ..usual() });
    rig.subscribe(0, "a", None, 1);
    rig.subscribe(1, "a", None, 1);
    let message = Message::new(b"a", b"", b"NATS/1.0\r\nA: b\r\n\r\n", b"payload");
    rig.up(0, Up::Publish(message));
    let pending = rig.node.pending_bytes(ConnId(1)).expect("open");
    let (full, plain) = (rig.take(0), rig.take(1));
    assert_eq!(full[0].wire_len(), "HMSG a 1 18 25\r\n".len() + 25 + 2);
    assert_eq!(plain[0].wire_len(), "MSG a 1 7\r\n".len() + 7 + 2);
    assert!(pending >= plain[0].wire_len() as u64);
    let Down::Message { message, plain, .. } = plain[0].clone() else { panic!("a message") };
    assert!(message.into_envelope(plain).headers().is_empty());
}

#[test]
fn a_request_that_nobody_hears_is_answered_with_503() {
    let mut rig = Rig::new(NatsConfig::default());
    rig.open(0);
    rig.subscribe(0, "_INBOX.abc.*", None, 7);
    let request = || Up::Publish(Message::new(b"service", b"_INBOX.abc.1", b"", b"?"));
    rig.up(0, request());
    let sent = rig.take(0);
    let [Down::Message { sid: 7, plain: false, message, .. }] = &sent[..] else {
        panic!("{sent:?}")
    };
    assert_eq!(message.subject(), b"_INBOX.abc.1");
    assert_eq!(message.headers(), b"NATS/1.0 503\r\nNats-Subject: service\r\n\r\n");
    assert!(message.payload().is_empty() && message.reply().is_empty());

    // Not for a client that does not ask for it.
    rig.open_with(1, ConnectOptions { no_responders: false, ..usual() });
    rig.subscribe(1, "_INBOX.abc.*", None, 7);
    rig.up(1, request());
    assert_eq!(rig.take(1), []);
    // And not when somebody hears it.
    rig.subscribe(1, "service", None, 8);
    rig.up(0, request());
    assert_eq!(rig.take(0), []);
    assert_eq!(rig.messages(1), ["8:service:?"]);
}

#[test]
fn what_reaches_nobody_is_named() {
    let mut rig = Rig::new(NatsConfig::default());
    rig.open(0);
    rig.publish(0, "a", "too short for an identity");
    assert_eq!(rig.notes, []);
    rig.publish(0, "a", &"x".repeat(40));
    let [Note::Dropped { cause: Cause::NoSubscriber, conn: None, message: Some(_) }] =
        &rig.notes[..]
    else {
        panic!("{:?}", rig.notes)
    };
}
