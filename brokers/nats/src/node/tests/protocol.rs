//! The greeting, verbosity, and what is wrong with a frame.

use super::*;

#[test]
fn info_comes_at_once_and_again_after_the_first_ping() {
    let mut rig = Rig::new(NatsConfig::default());
    let origin = Origin { address: Some("10.0.0.7".into()), identity: None };
    rig.handle(Input::Opened { conn: ConnId(0), origin });
    let sent = rig.take(0);
    let [Down::Info(info)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(info.server.max_payload, 1 << 20);
    assert_eq!(info.client_ip.as_deref(), Some("10.0.0.7"));
    assert!(info.server.headers && !info.ldm && !info.connect_info);

    rig.up(0, Up::Connect(Box::new(usual())));
    assert_eq!(rig.take(0), []);
    rig.up(0, Up::Ping);
    let sent = rig.take(0);
    let [Down::Pong, Down::Info(info)] = &sent[..] else { panic!("{sent:?}") };
    assert!(info.connect_info);
    rig.up(0, Up::Ping);
    assert_eq!(rig.take(0), [Down::Pong]);

    // A client of protocol 0 reads INFO only at the start.
    rig.open_with(1, ConnectOptions { protocol: 0, ..usual() });
    rig.up(1, Up::Ping);
    assert_eq!(rig.take(1), [Down::Pong]);
}

#[test]
fn everything_is_confirmed_unless_connect_says_otherwise() {
    let mut rig = Rig::new(NatsConfig::default());
    rig.handle(Input::Opened { conn: ConnId(0), origin: Origin::default() });
    rig.take(0);
    // A publish is legal before CONNECT, and verbose is the default.
    rig.publish(0, "a", "x");
    assert_eq!(rig.take(0), [Down::Ok]);
    rig.up(0, Up::Connect(Box::default()));
    rig.subscribe(0, "b", None, 1);
    rig.publish(0, "a", "x");
    rig.up(0, Up::Unsubscribe { sid: 1, max: None });
    assert_eq!(rig.take(0), [Down::Ok, Down::Ok, Down::Ok, Down::Ok]);
    rig.up(0, Up::Ping);
    assert_eq!(rig.take(0), [Down::Pong]);
    // Echo is on by default as well, and the confirmation comes first.
    rig.subscribe(0, "a", None, 2);
    rig.take(0);
    rig.publish(0, "a", "x");
    let sent = rig.take(0);
    assert!(matches!(&sent[..], [Down::Ok, Down::Message { sid: 2, .. }]), "{sent:?}");
}

#[test]
fn a_pedantic_connection_is_told_and_served() {
    let mut rig = Rig::new(NatsConfig::default());
    rig.open_with(0, ConnectOptions { pedantic: Some(true), ..usual() });
    rig.open(1);
    rig.subscribe(1, "a.*", None, 1);
    rig.publish(0, "a.*", "x");
    assert_eq!(rig.take(0), [Down::error(ServerError::InvalidPublishSubject)]);
    assert_eq!(rig.messages(1), ["1:a.*:x"]);
    rig.publish(1, "a.*", "y");
    assert_eq!(rig.messages(1), ["1:a.*:y"]);
}

#[test]
fn an_invalid_filter_is_refused_and_the_connection_stays() {
    let mut rig = Rig::new(NatsConfig::default());
    rig.open(0);
    for filter in ["", "a..b", "a.>.b", "a."] {
        rig.subscribe(0, filter, None, 1);
        assert_eq!(rig.take(0), [Down::error(ServerError::InvalidSubject)], "{filter}");
    }
    assert_eq!((rig.node.subscriptions(), rig.node.connections()), (0, 1));
}

#[test]
fn a_duplicate_identifier_is_ignored() {
    let mut rig = Rig::new(NatsConfig::default());
    rig.open(0);
    rig.subscribe(0, "a", None, 1);
    rig.subscribe(0, "b", None, 1);
    rig.publish(0, "a", "x");
    rig.publish(0, "b", "y");
    assert_eq!(rig.messages(0), ["1:a:x"]);
}

#[test]
fn violations_are_answered_and_close() {
    let mut rig = Rig::new(NatsConfig { max_payload: 100, ..NatsConfig::default() });
    let long = format!("a.{}", "x".repeat(4_100));
    let headers = b"NATS/1.0\r\nA: b\r\n\r\n";
    let cases: Vec<(Input<Nats>, ServerError)> = vec![
        (frame(publish("a", &"x".repeat(101))), ServerError::MaxPayload),
        (
            frame(Up::Publish(Message::new(b"a", b"", headers, &[b'x'; 90]))),
            ServerError::MaxPayload,
        ),
        (frame(publish(&long, "")), ServerError::MaxControlLine),
        (frame(Up::subscribe(long.as_bytes(), None, 1)), ServerError::MaxControlLine),
        (
            Input::Malformed { conn: ConnId(0), error: FrameError("?".to_owned()) },
            ServerError::UnknownOperation,
        ),
        (
            frame(Up::Connect(Box::new(ConnectOptions { headers: false, ..usual() }))),
            ServerError::NoRespondersNeedHeaders,
        ),
        (
            frame(Up::Connect(Box::new(ConnectOptions { protocol: 2, ..usual() }))),
            ServerError::BadProtocol,
        ),
    ];
    for (input, error) in cases {
        rig.open(0);
        rig.handle(input);
        assert_eq!(rig.take(0), [Down::error(error.clone())]);
        let closed = std::mem::take(&mut rig.closed);
        let [(0, CloseReason::Protocol(text))] = closed[..] else { panic!("{closed:?}") };
        assert_eq!(text, error.text());
        assert_eq!(rig.node.connections(), 0);
        // What comes after the close is nobody's.
        rig.publish(0, "a", "x");
        assert_eq!(rig.take(0), []);
    }
    // At the limit, everything is well.
    rig.open(0);
    rig.publish(0, "a", &"x".repeat(100));
    assert!(rig.closed.is_empty());
}

fn frame(frame: Up) -> Input<Nats> {
    Input::Frame { conn: ConnId(0), frame }
}

#[test]
fn headers_need_a_connect_that_says_so() {
    let mut rig = Rig::new(NatsConfig::default());
    rig.open_with(0, ConnectOptions { headers: false, no_responders: false, ..usual() });
    rig.up(0, Up::Publish(Message::new(b"a", b"", b"NATS/1.0\r\n\r\n", b"x")));
    assert_eq!(rig.take(0), [Down::error(ServerError::HeadersNotSupported)]);
    assert_eq!(rig.closed.len(), 1);
}

/// Effects are moved and queued in the hottest loop of every driver.
#[test]
fn effects_are_small() {
    assert!(size_of::<Down>() <= 32);
    assert!(size_of::<Effect<Nats>>() <= 40);
}
