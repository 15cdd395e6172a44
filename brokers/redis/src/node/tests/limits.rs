//! Output buffers, idle time, numbers of connections, shutting down.

use std::time::Duration;

use broker_contract::{Broker, ConnId, Input, Time};

use super::{Bed, RedisConfig};
use crate::frame::Up;

const SECOND: u64 = 1_000_000_000;

fn at(seconds: u64) -> Time {
    Time::from_nanos(seconds * SECOND)
}

/// Limits of 1,000 and 400 bytes for 60 s; a message is a little over 100 bytes.
fn tight() -> Bed {
    let mut config = RedisConfig::default();
    (config.pubsub.hard_bytes, config.pubsub.soft_bytes) = (1_000, 400);
    let mut bed = Bed::new(config);
    bed.connect(0);
    bed.connect(1);
    bed
}

fn publish(bed: &mut Bed) -> Vec<String> {
    let mut effects = bed.send(0, Up::publish(b"a", &[b'x'; 70]));
    effects.retain(|effect| !effect.contains("message"));
    effects
}

fn drained(bed: &mut Bed, bytes: u64) {
    let effects = bed.input(Input::Drained { conn: ConnId(1), bytes });
    assert_eq!(effects, [] as [&str; 0]);
}

#[test]
fn a_subscriber_at_the_hard_limit_is_cut_without_a_word() {
    let mut bed = tight();
    bed.run(1, "SUBSCRIBE a");
    // A confirmation of 32 bytes, then messages of 102.
    for _ in 0..9 {
        assert_eq!(publish(&mut bed), ["0< :1"]);
    }
    assert_eq!(publish(&mut bed), ["0< :1", "1 closed: SlowConsumer"]);
    assert_eq!(publish(&mut bed).last().map(String::as_str), Some("0< :0"));
}

#[test]
fn a_subscriber_that_reads_is_not_cut() {
    let mut bed = tight();
    bed.run(1, "SUBSCRIBE a");
    for _ in 0..100 {
        assert_eq!(publish(&mut bed), ["0< :1"]);
        drained(&mut bed, 102);
    }
    assert_eq!(bed.node.deadline(), None);
}

#[test]
fn the_soft_limit_waits_its_time() {
    let mut bed = tight();
    bed.run(1, "SUBSCRIBE a");
    bed.now = at(10);
    for _ in 0..5 {
        publish(&mut bed);
    }
    assert_eq!(bed.node.deadline(), Some(at(70)));
    // It catches up, and goes over again later: the time starts anew.
    bed.now = at(30);
    drained(&mut bed, 400);
    bed.now = at(40);
    for _ in 0..4 {
        assert_eq!(publish(&mut bed), ["0< :1"]);
    }
    bed.now = at(70);
    assert_eq!(bed.input(Input::Tick), [] as [&str; 0]);
    assert_eq!(bed.node.deadline(), Some(at(100)));
    bed.now = at(100);
    assert_eq!(bed.input(Input::Tick), ["1 closed: SlowConsumer"]);
    assert_eq!(bed.node.deadline(), None);
}

#[test]
fn limits_are_for_subscribers_only() {
    let mut bed = tight();
    for _ in 0..200 {
        assert_eq!(bed.run(1, "PING"), ["1< +PONG"]);
    }
    // A subscriber that unsubscribes under the soft limit is an ordinary client.
    bed.connect(2);
    bed.run(2, "SUBSCRIBE a");
    for _ in 0..5 {
        bed.send(0, Up::publish(b"a", &[b'x'; 70]));
    }
    bed.run(2, "UNSUBSCRIBE");
    bed.now = at(60);
    assert_eq!(bed.input(Input::Tick), [] as [&str; 0]);
}

#[test]
fn confirmations_count_as_output() {
    let mut bed = tight();
    let effects = bed.run(1, &format!("SUBSCRIBE{}", " channel".repeat(100)));
    assert_eq!(effects.last().map(String::as_str), Some("1 closed: SlowConsumer"));
    assert!(effects.len() < 40, "{}", effects.len());
}

#[test]
fn a_publisher_that_is_cut_by_its_own_messages_gets_its_reply() {
    let mut bed = tight();
    bed.hello3(1);
    bed.run(1, "SUBSCRIBE a");
    bed.run(1, "PSUBSCRIBE a");
    bed.run(1, "PSUBSCRIBE *");
    let effects = bed.send(1, Up::publish(b"a", &[b'x'; 900]));
    assert_eq!(effects[0], "1< :3");
    assert_eq!(effects.last().map(String::as_str), Some("1 closed: SlowConsumer"));
    assert_eq!(effects.len(), 3, "nothing is sent to it once it is closed");
}

#[test]
fn zero_is_no_limit() {
    let mut config = RedisConfig::default();
    (config.pubsub.hard_bytes, config.pubsub.soft_bytes) = (0, 0);
    let mut bed = Bed::new(config);
    bed.connect(0);
    bed.connect(1);
    bed.run(1, "SUBSCRIBE a");
    for _ in 0..100 {
        bed.send(0, Up::publish(b"a", &[0; 1 << 20]));
    }
    assert_eq!(publish(&mut bed), ["0< :1"]);
    assert_eq!(bed.node.deadline(), None);
}

#[test]
fn one_connection_too_many_is_told_so() {
    let mut bed = Bed::new(RedisConfig { maxclients: 2, ..RedisConfig::default() });
    bed.connect(0);
    bed.connect(1);
    let refused = ["2< -ERR max number of clients reached", "2 closed: TooMany"];
    assert_eq!(bed.connect(2), refused);
    assert_eq!(bed.run(2, "PING"), [] as [&str; 0]);
    bed.input(Input::Closed { conn: ConnId(0) });
    assert_eq!(bed.connect(2), [] as [&str; 0]);
    assert_eq!(bed.connect(0)[1], "0 closed: TooMany");
}

#[test]
fn idle_connections_are_closed_and_subscribers_are_not() {
    let timeout = Duration::from_secs(10);
    let mut bed = Bed::new(RedisConfig { timeout, ..RedisConfig::default() });
    for conn in 0..3 {
        bed.connect(conn);
    }
    bed.run(1, "SUBSCRIBE a");
    bed.now = at(5);
    bed.run(2, "PING");
    assert_eq!(bed.node.deadline(), Some(at(10)));
    bed.now = at(10);
    assert_eq!(bed.input(Input::Tick), ["0 closed: Stale"]);
    assert_eq!(bed.node.deadline(), Some(at(15)));
    bed.now = at(15);
    assert_eq!(bed.input(Input::Tick), ["2 closed: Stale"]);
    bed.now = at(16);
    bed.run(1, "UNSUBSCRIBE");
    bed.now = at(20);
    assert_eq!(bed.input(Input::Tick), [] as [&str; 0]);
    bed.now = at(26);
    assert_eq!(bed.input(Input::Tick), ["1 closed: Stale"]);
    assert_eq!(bed.node.deadline(), None);
}

#[test]
fn a_drain_closes_everybody_in_steps_and_lets_nobody_in() {
    let mut bed = Bed::new(RedisConfig { maxclients: 5_000, ..RedisConfig::default() });
    for conn in 0..2_500 {
        bed.connect(conn);
    }
    let mut closed = bed.input(Input::Drain).len();
    assert!(closed < 2_500, "one step is bounded");
    while bed.node.deadline().is_some() {
        closed += bed.input(Input::Tick).len();
    }
    assert_eq!(closed, 2_500);
    assert_eq!(bed.connect(0), ["0 closed: Shutdown"]);
}
