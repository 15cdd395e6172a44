//! What one core routes: messages of 128 bytes through `handle`, with the one
//! allocation that each costs its publisher, and with the effects taken as a
//! driver takes them.

use std::hint::black_box;

use broker_contract::{
    Boot, Broker, ConnId, Effect, Effects, Frame, Input, MemoryDisk, NodeId, Origin, SeedStream,
    Time,
};
use broker_nats::frame::{ConnectOptions, Message, Up};
use broker_nats::{Nats, NatsConfig};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};

/// Inputs between two looks at the effects, as in a driver that works in batches.
const BATCH: usize = 128;
const PAYLOAD: [u8; 128] = [7; 128];

struct Rig {
    node: Nats,
    out: Effects<Nats>,
    list: Vec<Effect<Nats>>,
    now: u64,
    taken: Vec<u64>,
}

impl Rig {
    /// A node with `conns` connections that have said CONNECT.
    fn new(conns: u32) -> Rig {
        let mut out = Effects::new(Box::new(MemoryDisk::new()));
        let boot = Boot { seed: SeedStream::new(1), node: NodeId(0), peers: vec![NodeId(0)] };
        let config = NatsConfig { max_connections: u32::MAX, ..NatsConfig::default() };
        let node = Nats::boot(&config, boot, Time::ZERO, &mut out).expect("boots");
        let taken = vec![0; conns as usize];
        let mut rig = Rig { node, out, list: Vec::new(), now: 0, taken };
        for conn in 0..conns {
            rig.handle(Input::Opened { conn: ConnId(conn), origin: Origin::default() });
            let connect = ConnectOptions {
                verbose: Some(false),
                pedantic: Some(false),
                headers: true,
                protocol: 1,
                ..ConnectOptions::default()
            };
            rig.up(conn, Up::Connect(Box::new(connect)));
        }
        rig.take();
        rig
    }

    fn handle(&mut self, input: Input<Nats>) {
        self.node.handle(Time::from_nanos(self.now), input, &mut self.out);
    }

    fn up(&mut self, conn: u32, frame: Up) {
        self.handle(Input::Frame { conn: ConnId(conn), frame });
    }

    /// Takes the effects and reports what was sent as drained; returns how many
    /// frames there were.
    fn take(&mut self) -> usize {
        self.now += 10_000;
        self.out.swap(&mut self.list);
        let count = self.list.len();
        let mut touched = Vec::new();
        for effect in self.list.drain(..) {
            if let Effect::Send { conn, frame } = effect {
                let taken = &mut self.taken[conn.0 as usize];
                if *taken == 0 {
                    touched.push(conn);
                }
                *taken += frame.wire_len() as u64;
                black_box(&frame);
            }
        }
        for conn in touched {
            let bytes = std::mem::take(&mut self.taken[conn.0 as usize]);
            self.handle(Input::Drained { conn, bytes });
        }
        count
    }

    fn publish(&mut self, conn: u32, subject: &str) {
        self.up(conn, Up::Publish(Message::new(subject.as_bytes(), b"", b"", &PAYLOAD)));
    }
}

/// Publishes `subjects` round and round, and checks at the end that each message
/// had `each` deliveries.
fn bench(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    rig: &mut Rig,
    subjects: &[String],
    each: usize,
) {
    let (mut at, mut published, mut sent) = (0, 0, 0);
    group.throughput(Throughput::Elements(each as u64));
    group.bench_function(name, |b| {
        b.iter(|| {
            rig.publish(0, &subjects[at]);
            at = if at + 1 == subjects.len() { 0 } else { at + 1 };
            published += 1;
            if published % BATCH == 0 {
                sent += rig.take();
            }
        });
    });
    sent += rig.take();
    assert_eq!(sent, published * each, "everything was delivered");
}

fn route(c: &mut Criterion) {
    let mut group = c.benchmark_group("node");

    let mut rig = Rig::new(2);
    let subject = ["telemetry.eu.17.reading".to_owned()];
    rig.up(1, Up::subscribe(subject[0].as_bytes(), None, 1));
    rig.take();
    bench(&mut group, "one subject", &mut rig, &subject, 1);

    let subjects: Vec<String> =
        (0..50_000).map(|device| format!("telemetry.r{}.d{device}.reading", device % 40)).collect();

    // Each subject has its own subscription, spread over a thousand connections.
    let mut rig = Rig::new(1_000);
    for (number, subject) in subjects.iter().enumerate() {
        let number = number as u64;
        rig.up(number as u32 % 1_000, Up::subscribe(subject.as_bytes(), None, number + 1));
    }
    rig.take();
    bench(&mut group, "50000 subjects, literal", &mut rig, &subjects, 1);

    // The scenario's shape: a group of four, and a dashboard on one region in forty.
    let mut rig = Rig::new(6);
    for conn in 1..5 {
        rig.up(conn, Up::subscribe(b"telemetry.*.*.reading", Some(b"ingest"), 1));
    }
    rig.take();
    bench(&mut group, "50000 subjects, group of 4 by wildcard", &mut rig, &subjects, 1);

    let mut rig = Rig::new(11);
    for conn in 1..11 {
        rig.up(conn, Up::subscribe(subject[0].as_bytes(), None, 1));
    }
    rig.take();
    bench(&mut group, "fan-out 10", &mut rig, &subject, 10);
    group.finish();
}

criterion_group!(benches, route);
criterion_main!(benches);
