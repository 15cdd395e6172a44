//! The arena in virtual time, with the honest bus in it.

use std::time::Duration;

use broker_contract::{ConnId, Contender, Flow, Op, Publish, Settings, Start, Ticket, Want};
use broker_testkit::{Arena, ClientId, Link, VirtualArena, VirtualOptions};
use proptest::prelude::*;

use super::*;

type Honest = VirtualArena<Bus<HONEST>>;

fn arena(seed: u64, jitter_us: u64, transport_bytes: u64) -> Honest {
    let settings = Settings::resolve(Bus::<HONEST>::settings(), []).expect("there are none");
    let configured = Bus::<HONEST>::configure(&settings).expect("nothing contradicts");
    let link = Link {
        latency: Duration::from_micros(100),
        jitter: Duration::from_micros(jitter_us),
        transport_bytes,
    };
    VirtualArena::new(configured, VirtualOptions { seed, link, ..VirtualOptions::default() })
}

fn subscribe(arena: &mut Honest, client: ClientId, filter: &str) -> Ticket {
    let op = Op::Subscribe { filter, group: None, start: Start::New, flow: Flow::default() };
    arena.submit(client, &op).expect("it subscribes").0
}

fn publish(arena: &mut Honest, client: ClientId, channel: &str, payload: &[u8]) {
    let publish = Publish { channel, key: None, headers: &[], payload, want: Want::Usual };
    arena.submit(client, &Op::Publish(publish)).expect("it publishes");
}

/// A publisher, two subscribers and 50 messages; the trace.
fn busy(seed: u64, jitter_us: u64) -> u64 {
    let mut arena = arena(seed, jitter_us, 64 << 10);
    let (publisher, one, two) = (arena.open("pub"), arena.open("one"), arena.open("two"));
    for client in [one, two] {
        subscribe(&mut arena, client, "a.*");
    }
    arena.settle();
    for number in 0..50_u8 {
        publish(&mut arena, publisher, "a.b", &[number; 40]);
        arena.advance(Duration::from_micros(30));
    }
    arena.settle();
    assert_eq!(arena.take_deliveries(one).len() + arena.take_deliveries(two).len(), 100);
    arena.trace_hash()
}

#[test]
fn the_same_seed_leaves_the_same_trace_and_another_seed_another() {
    assert_eq!(busy(1, 500), busy(1, 500));
    assert_ne!(busy(1, 500), busy(2, 500));
    assert_eq!(busy(1, 0), busy(2, 0), "without jitter nothing is drawn");
}

#[test]
fn a_number_is_used_again_once_both_sides_have_closed() {
    let mut arena = arena(1, 0, 64 << 10);
    let first = arena.open("first");
    arena.open("second");
    arena.settle();
    arena.kill(first);
    arena.open("third");
    arena.settle();
    assert_eq!(arena.fault(), None);
    let open: Vec<_> = arena.node().expect("it runs").connections().collect();
    assert_eq!(open, [ConnId(0), ConnId(1)], "the third has the first one's number");
}

#[test]
fn a_reader_that_stops_makes_bytes_wait_at_the_node() {
    let mut arena = arena(1, 0, 1_000);
    let (publisher, reader) = (arena.open("pub"), arena.open("sub"));
    subscribe(&mut arena, reader, "a");
    arena.settle();
    arena.set_reading(reader, false);
    for _ in 0..30 {
        publish(&mut arena, publisher, "a", &[0; 75]);
    }
    arena.settle();
    // 100 bytes a frame: ten in the transport, twenty at the node.
    assert_eq!(arena.node().expect("it runs").pending(), 2_000);
    assert_eq!(arena.take_deliveries(reader).len(), 0);
    arena.set_reading(reader, true);
    arena.settle();
    assert_eq!(arena.node().expect("it runs").pending(), 0);
    assert_eq!(arena.take_deliveries(reader).len(), 30);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever the sizes, the jitter, the transport and the pauses: messages
    /// arrive once and in order, and every byte is drained.
    #[test]
    fn a_link_keeps_order_and_drains_every_byte(
        seed: u64,
        jitter_us in 0..5_000_u64,
        transport in 1..5_000_u64,
        steps in prop::collection::vec((0..600_usize, 0..2_000_u64, any::<bool>()), 1..60),
    ) {
        let mut arena = arena(seed, jitter_us, transport);
        let (publisher, reader) = (arena.open("pub"), arena.open("sub"));
        subscribe(&mut arena, reader, "a");
        arena.settle();
        for (number, (len, pause_us, reading)) in steps.iter().enumerate() {
            let mut payload = vec![number as u8];
            payload.resize(1 + len, 0);
            publish(&mut arena, publisher, "a", &payload);
            arena.set_reading(reader, *reading);
            arena.advance(Duration::from_micros(*pause_us));
        }
        arena.set_reading(reader, true);
        arena.settle();
        prop_assert_eq!(arena.fault(), None);
        prop_assert_eq!(arena.node().expect("it runs").pending(), 0);
        let seen: Vec<_> = arena
            .take_deliveries(reader)
            .iter()
            .map(|delivery| (delivery.message.payload()[0], delivery.message.payload().len() - 1))
            .collect();
        let sent: Vec<_> =
            steps.iter().enumerate().map(|(number, (len, ..))| (number as u8, *len)).collect();
        prop_assert_eq!(seen, sent);
    }
}
