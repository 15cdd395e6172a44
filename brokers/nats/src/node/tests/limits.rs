//! Pending bytes, slow consumers, and limits on numbers.

use proptest::prelude::*;

use super::*;

#[test]
fn a_slow_consumer_is_closed_and_others_are_served() {
    let mut rig =
        Rig::new(NatsConfig { max_pending: 2_000, max_payload: 1_000, ..NatsConfig::default() });
    for conn in 0..3 {
        rig.open(conn);
    }
    for (conn, pending) in [(1, 0), (2, 0)] {
        let had = rig.node.pending_bytes(ConnId(conn)).expect("open");
        rig.drain_bytes(conn, had - pending);
        rig.subscribe(conn, "a", None, 1);
    }
    let payload = "x".repeat(900);
    let message = Message::new(b"a", b"", b"", payload.as_bytes());
    let each = Down::message(1, false, message).wire_len() as u64;
    for _ in 0..2 {
        rig.publish(0, "a", &payload);
        rig.drain_bytes(2, each);
    }
    assert!(rig.closed.is_empty());
    assert_eq!(rig.node.pending_bytes(ConnId(1)), Some(2 * each));
    rig.publish(0, "a", &payload);
    assert_eq!(rig.closed, [(1, CloseReason::SlowConsumer)]);
    assert!(rig.notes.contains(&Note::Sometimes("slow consumer closed")));
    // The one over the limit was sent, so that the discard names it too.
    assert_eq!((rig.messages(1).len(), rig.messages(2).len()), (3, 3));
    rig.publish(0, "a", &payload);
    assert_eq!((rig.messages(1).len(), rig.messages(2).len()), (0, 1));
    assert_eq!(rig.node.subscriptions(), 1);
}

#[test]
fn a_connection_that_overflows_twice_in_one_message_is_closed_once() {
    let mut rig =
        Rig::new(NatsConfig { max_pending: 1_000, max_payload: 1_000, ..NatsConfig::default() });
    rig.open(0);
    rig.open(1);
    for sid in 1..10 {
        rig.subscribe(1, "a", None, sid);
    }
    rig.subscribe(1, "a", Some("q"), 10);
    // Its own last message may be the one that closes the publisher.
    rig.subscribe(0, "a", None, 1);
    rig.publish(0, "a", &"x".repeat(900));
    rig.closed.sort_by_key(|(conn, _)| *conn);
    assert_eq!(rig.closed, [(0, CloseReason::SlowConsumer), (1, CloseReason::SlowConsumer)]);
    assert_eq!((rig.node.subscriptions(), rig.node.connections()), (0, 0));
}

#[test]
fn connections_beyond_the_limit_are_refused() {
    let mut rig = Rig::new(NatsConfig { max_connections: 1, ..NatsConfig::default() });
    rig.open(0);
    rig.handle(Input::Opened { conn: ConnId(1), origin: Origin::default() });
    let sent = rig.take(1);
    let [Down::Info(_), Down::Error(error)] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(**error, ServerError::MaxConnections);
    assert_eq!(rig.closed, [(1, CloseReason::TooMany)]);
    rig.handle(Input::Closed { conn: ConnId(0) });
    rig.open(1);
    assert_eq!((rig.closed.len(), rig.node.connections()), (1, 1));
}

#[test]
fn subscriptions_beyond_the_limit_are_refused() {
    let mut rig = Rig::new(NatsConfig { max_subscriptions: 2, ..NatsConfig::default() });
    rig.open(0);
    for sid in 1..=3 {
        rig.subscribe(0, "a", None, sid);
    }
    assert_eq!(rig.take(0), [Down::error(ServerError::MaxSubscriptions)]);
    rig.up(0, Up::Unsubscribe { sid: 1, max: None });
    rig.subscribe(0, "a", None, 3);
    assert_eq!((rig.take(0).len(), rig.node.subscriptions()), (0, 2));
}

/// What a million devices cost: idle, and with one subscription each.
#[test]
fn idle_connections_are_compact() {
    let mut rig = Rig::new(NatsConfig { max_connections: u32::MAX, ..NatsConfig::default() });
    let count = 1 << 16;
    for conn in 0..count {
        rig.open(conn);
        let pending = rig.node.pending_bytes(ConnId(conn)).expect("open");
        rig.drain_bytes(conn, pending);
    }
    let idle = rig.node.memory_bytes() / u64::from(count);
    assert!(idle <= 120, "{idle} bytes without a subscription");
    for conn in 0..count {
        rig.subscribe(conn, &format!("cmd.r{}.d{conn}", conn % 40), None, 1);
    }
    let subscribed = rig.node.memory_bytes() / u64::from(count);
    assert!(subscribed <= 250, "{subscribed} bytes with a subscription");
    for conn in 0..count {
        rig.handle(Input::Closed { conn: ConnId(conn) });
    }
    let left = rig.node.memory_bytes();
    assert!(left < 1_000, "{left} bytes are left");
}

proptest! {
    /// Pending bytes are what was sent and not drained, whatever happens.
    #[test]
    fn pending_is_sent_less_drained(
        steps in prop::collection::vec((0..4u8, 0..200usize, any::<prop::sample::Index>()), 1..200)
    ) {
        let config = NatsConfig { max_pending: 4_000, max_payload: 1_000, ..NatsConfig::default() };
        let mut rig = Rig::new(config);
        rig.open(0);
        rig.open(1);
        rig.subscribe(1, "a", None, 1);
        let mut pending = rig.node.pending_bytes(ConnId(1)).unwrap_or(0);
        for (step, len, part) in steps {
            match step {
                0 | 1 => rig.publish(0, "a", &"x".repeat(len)),
                2 => rig.up(1, Up::Ping),
                _ => {
                    let bytes = part.index(pending as usize + 1) as u64;
                    rig.drain_bytes(1, bytes);
                    pending -= bytes;
                }
            }
            pending += rig.take(1).iter().map(|frame| frame.wire_len() as u64).sum::<u64>();
            match rig.node.pending_bytes(ConnId(1)) {
                Some(counted) => {
                    prop_assert_eq!(counted, pending);
                    prop_assert!(counted <= 4_000);
                }
                None => {
                    prop_assert!(pending > 4_000);
                    prop_assert_eq!(&rig.closed[..], &[(1, CloseReason::SlowConsumer)][..]);
                    return Ok(());
                }
            }
        }
    }
}
