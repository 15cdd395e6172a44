//! The contract's hardest guests: prototypes that show that it can carry them.

mod fanout;
mod jetstream;
mod kafka;
mod profile;

use std::time::Duration;

use broker_contract::{
    Action, Boot, Broker, ConnId, Contender, CrashKind, Delivery, Effect, Effects, Flow, Input,
    MemoryDisk, NodeId, Op, Origin, Outcome, Publish, SeedStream, Settings, Start, Time, Want,
};
use broker_testkit::{Arena, VirtualArena, VirtualOptions};

fn arena<C: Contender>(settings: &[(&str, &str)]) -> VirtualArena<C> {
    let settings = Settings::resolve(C::settings(), settings.iter().copied());
    let configured = C::configure(&settings.expect("the settings exist")).expect("they agree");
    VirtualArena::new(configured, VirtualOptions::default())
}

fn publish<'a>(channel: &'a str, payload: &'a [u8]) -> Op<'a> {
    Op::Publish(Publish { channel, key: None, headers: &[], payload, want: Want::Usual })
}

fn from_the_start(filter: &str) -> Op<'_> {
    let flow = Flow::default();
    Op::Subscribe { filter, group: None, start: Start::All, flow }
}

fn text(delivery: &Delivery) -> String {
    String::from_utf8_lossy(delivery.message.payload()).into_owned()
}

/// Publishes 500 records in bursts with `linger` and returns when the first of
/// them arrived at the consumer, counted from its publish.
fn kafka_round(linger: &str) -> Duration {
    let mut arena = arena::<kafka::Kafka>(&[("linger", linger), ("batch_size", "16KiB")]);
    let (producer, consumer) = (arena.open("producer"), arena.open("consumer"));
    arena.submit(consumer, &from_the_start("readings")).expect("it reads from the start");
    arena.settle();
    let began = arena.now();
    let mut tickets = Vec::new();
    for number in 0..500 {
        let payload = format!("record {number}");
        let op = publish("readings", payload.as_bytes());
        tickets.push(arena.submit(producer, &op).expect("it publishes").0);
        if number % 100 == 99 {
            arena.advance(Duration::from_millis(20));
        }
    }
    arena.settle();
    assert_eq!(arena.fault(), None);
    for ticket in tickets {
        let outcome = arena.outcome(producer, ticket);
        assert!(matches!(outcome, Some(Outcome::Acked(_))), "{outcome:?}");
    }
    let arrived = arena.take_timed_deliveries(consumer);
    let texts: Vec<_> = arrived.iter().map(|(_, delivery)| text(delivery)).collect();
    let expected: Vec<_> = (0..500).map(|number| format!("record {number}")).collect();
    assert_eq!(texts, expected);
    assert_eq!(arrived[0].1.message.channel(), b"readings");
    arrived[0].0.since(began)
}

#[test]
fn a_kafka_log_returns_every_record_and_linger_shows_in_the_delivery_time() {
    // Produce, append, parked fetch, answer: two links of 50 us each way.
    assert_eq!(kafka_round("0s"), Duration::from_micros(100));
    assert_eq!(kafka_round("5ms"), Duration::from_micros(5_100));
}

#[test]
fn a_parked_fetch_answers_empty_when_its_time_is_up() {
    let mut arena = arena::<kafka::Kafka>(&[("fetch_max_wait", "80ms")]);
    let consumer = arena.open("consumer");
    arena.submit(consumer, &from_the_start("readings")).expect("it reads from the start");
    arena.advance(Duration::from_millis(250));
    let node = arena.node().expect("it runs");
    // One fetch every 80 ms and a round trip: three have gone back, one is parked.
    assert_eq!((node.fetches_answered_empty, node.parked()), (3, 1));
    arena.kill(consumer);
    arena.advance(Duration::from_millis(1));
    assert_eq!(arena.node().expect("it runs").parked(), 0, "a closed connection waits for nothing");
}

#[test]
fn a_log_survives_the_process_but_not_the_power() {
    for (kind, kept) in [(CrashKind::ProcessKill, true), (CrashKind::PowerLoss, false)] {
        let mut arena = arena::<kafka::Kafka>(&[("linger", "0s")]);
        let producer = arena.open("producer");
        arena.submit(producer, &publish("readings", b"acknowledged")).expect("it publishes");
        arena.settle();
        arena.crash(kind);
        arena.restart();
        let consumer = arena.open("consumer");
        arena.submit(consumer, &from_the_start("readings")).expect("it reads");
        arena.settle();
        assert_eq!(arena.fault(), None);
        assert_eq!(arena.take_deliveries(consumer).len() == 1, kept, "{kind:?}");
    }
}

#[test]
fn an_acknowledged_publish_survives_a_power_loss_at_any_moment() {
    for cut_us in (0..8_000).step_by(250) {
        let mut arena = arena::<jetstream::JetStream>(&[]);
        let publisher = arena.open("publisher");
        arena.settle();
        let mut tickets = Vec::new();
        for number in 0..40_u32 {
            let payload = number.to_le_bytes();
            tickets.push(arena.submit(publisher, &publish("s", &payload)).expect("it publishes").0);
            arena.advance(Duration::from_micros(100));
        }
        arena.advance(Duration::from_micros(cut_us));
        // A crash at any moment of the syncs: what is acknowledged by now counts.
        let acked = tickets
            .iter()
            .filter(|ticket| matches!(arena.outcome(publisher, **ticket), Some(Outcome::Acked(_))))
            .count();
        arena.crash(CrashKind::PowerLoss);
        arena.restart();
        let stored = arena.node().expect("it booted").stored();
        assert!(stored >= acked as u64, "{stored} of {acked} after {cut_us} us");
        assert_eq!(arena.fault(), None);
    }
}

#[test]
fn publishes_that_arrive_during_a_sync_share_the_next() {
    let mut arena = arena::<jetstream::JetStream>(&[]);
    let publisher = arena.open("publisher");
    arena.settle();
    for number in 0..100_u32 {
        arena.submit(publisher, &publish("s", &number.to_le_bytes())).expect("it publishes");
    }
    arena.settle();
    let node = arena.node().expect("it runs");
    assert_eq!((node.stored(), node.syncs()), (100, 2), "one sync for the first, one for the rest");
}

#[test]
fn a_fan_out_clones_references_to_one_buffer() {
    let mut out = Effects::new(Box::new(MemoryDisk::new()));
    let boot = Boot { seed: SeedStream::new(1), node: NodeId(0), peers: vec![NodeId(0)] };
    let mut node = fanout::Bus::boot(&(), boot, Time::ZERO, &mut out).expect("it boots");
    for conn in 0..1_000 {
        let conn = ConnId(conn);
        node.handle(Time::ZERO, Input::Opened { conn, origin: Origin::default() }, &mut out);
        node.handle(Time::ZERO, Input::Frame { conn, frame: fanout::Up::Subscribe }, &mut out);
    }
    let frame = fanout::Up::publish(b"news", &[7; 128]);
    node.handle(Time::ZERO, Input::Frame { conn: ConnId(0), frame }, &mut out);
    let mut places = std::collections::BTreeSet::new();
    for effect in out.as_slice() {
        let Effect::Send { frame: fanout::Down::Message(message), .. } = effect else {
            panic!("nothing but messages: {effect:?}");
        };
        places.insert(message.payload().as_ptr() as usize);
    }
    assert_eq!((out.as_slice().len(), places.len()), (1_000, 1));
}

#[test]
fn what_drivers_move_stays_small() {
    let sizes = [
        ("Input<kafka>", size_of::<Input<kafka::Log>>()),
        ("Effect<kafka>", size_of::<Effect<kafka::Log>>()),
        ("Input<jetstream>", size_of::<Input<jetstream::Stream>>()),
        ("Effect<jetstream>", size_of::<Effect<jetstream::Stream>>()),
        ("Input<fanout>", size_of::<Input<fanout::Bus>>()),
        ("Effect<fanout>", size_of::<Effect<fanout::Bus>>()),
        ("Action<kafka>", size_of::<Action<kafka::KafkaClient>>()),
    ];
    for (name, size) in sizes {
        assert!(size <= 80, "{name} has {size} bytes: {sizes:?}");
    }
}
