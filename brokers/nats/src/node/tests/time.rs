//! Pings, write deadlines and the lame duck.

use super::*;

const MINUTE: u64 = 60_000;

/// Everything sent to a connection is taken by its transport.
fn drain_all(rig: &mut Rig, conn: u32) {
    if let Some(pending) = rig.node.pending_bytes(ConnId(conn)) {
        rig.drain_bytes(conn, pending);
    }
}

#[test]
fn a_silent_connection_is_pinged_and_then_stale() {
    let mut rig = Rig::new(NatsConfig::default());
    rig.open(0);
    drain_all(&mut rig, 0);
    rig.advance(Time::from_millis(2 * MINUTE));
    assert_eq!(rig.take(0), [Down::Ping]);
    drain_all(&mut rig, 0);
    rig.up(0, Up::Pong);
    for minute in [4, 6] {
        rig.advance(Time::from_millis(minute * MINUTE - 1));
        assert!(rig.closed.is_empty());
        rig.advance(Time::from_millis(minute * MINUTE));
        drain_all(&mut rig, 0);
    }
    assert_eq!(rig.take(0), [Down::Ping, Down::Ping]);
    rig.advance(Time::from_millis(8 * MINUTE));
    assert_eq!(rig.take(0), [Down::error(ServerError::StaleConnection)]);
    assert_eq!(rig.closed, [(0, CloseReason::Stale)]);
}

#[test]
fn a_busy_connection_is_not_pinged() {
    let mut rig = Rig::new(NatsConfig::default());
    rig.open(0);
    drain_all(&mut rig, 0);
    for minute in 1..20 {
        rig.advance(Time::from_millis(minute * MINUTE));
        rig.publish(0, "a", "x");
    }
    assert_eq!(rig.take(0), []);
}

#[test]
fn a_number_that_is_used_again_has_its_own_pings() {
    let mut rig = Rig::new(NatsConfig::default());
    rig.open(1);
    rig.open(0);
    rig.advance(Time::from_millis(MINUTE / 60));
    rig.handle(Input::Closed { conn: ConnId(0) });
    rig.open(0);
    drain_all(&mut rig, 0);
    drain_all(&mut rig, 1);
    rig.advance(Time::from_millis(2 * MINUTE));
    assert_eq!((rig.take(0), rig.take(1)), (vec![], vec![Down::Ping]));
    rig.advance(Time::from_millis(2 * MINUTE + MINUTE / 60));
    assert_eq!(rig.take(0), [Down::Ping]);
}

#[test]
fn without_progress_a_connection_is_a_slow_consumer() {
    let mut rig = Rig::new(NatsConfig::default());
    rig.open(0);
    rig.open(1);
    drain_all(&mut rig, 0);
    drain_all(&mut rig, 1);
    rig.advance(Time::from_millis(20_000));
    assert!(rig.closed.is_empty(), "nothing is pending");
    rig.subscribe(1, "a", None, 1);
    rig.publish(0, "a", "x");
    rig.publish(0, "a", "x");
    rig.advance(Time::from_millis(29_000));
    rig.drain_bytes(1, 5);
    rig.advance(Time::from_millis(38_999));
    assert!(rig.closed.is_empty(), "it made progress at 29 s");
    rig.advance(Time::from_millis(39_000));
    assert_eq!(rig.closed, [(1, CloseReason::SlowConsumer)]);
}

#[test]
fn a_lame_duck_announces_and_closes_gradually() {
    let mut rig = Rig::new(NatsConfig::default());
    for conn in 0..12 {
        rig.open(conn);
        drain_all(&mut rig, conn);
    }
    rig.open_with(12, ConnectOptions { protocol: 0, ..usual() });
    drain_all(&mut rig, 12);
    rig.handle(Input::Drain);
    rig.advance(Time::from_millis(1));
    for conn in 0..12 {
        let sent = rig.take(conn);
        let [Down::Info(info)] = &sent[..] else { panic!("{sent:?}") };
        assert!(info.ldm);
        drain_all(&mut rig, conn);
    }
    assert_eq!(rig.take(12), [], "it reads INFO only at the start");
    // It takes no one in any more.
    rig.handle(Input::Opened { conn: ConnId(13), origin: Origin::default() });
    assert_eq!(rig.closed, [(13, CloseReason::Shutdown)]);
    rig.closed.clear();
    // It still serves.
    rig.subscribe(0, "a", None, 1);
    rig.publish(1, "a", "x");
    assert_eq!(rig.messages(0), ["1:a:x"]);
    drain_all(&mut rig, 0);

    rig.advance(Time::from_millis(9_999));
    assert!(rig.closed.is_empty());
    rig.advance(Time::from_millis(65_000));
    assert!((5..=8).contains(&rig.closed.len()), "{:?}", rig.closed);
    rig.advance(Time::from_millis(120_000));
    assert_eq!(rig.closed.len(), 13);
    assert_eq!(rig.node.connections(), 0);
    assert_eq!(rig.node.deadline(), None);
}

#[test]
fn many_connections_are_looked_at_in_batches() {
    let mut rig =
        Rig::new(NatsConfig { ping_interval: Duration::from_secs(5), ..NatsConfig::default() });
    for conn in 0..3_000 {
        rig.open(conn);
        drain_all(&mut rig, conn);
    }
    rig.now = Time::from_millis(5_000);
    rig.handle(Input::Tick);
    let pinged = |rig: &Rig| rig.sent.iter().filter(|sent| sent.contains(&Down::Ping)).count();
    assert_eq!(pinged(&rig), 1_024);
    assert_eq!(rig.node.deadline(), Some(Time::from_millis(5_000)));
    rig.advance(Time::from_millis(5_000));
    assert_eq!(pinged(&rig), 3_000);
}
