//! What the contract costs its hardest guests, through `handle`.

#[path = "../tests/guests/fanout.rs"]
mod fanout;
#[allow(dead_code, reason = "the bench uses the node alone")]
#[path = "../tests/guests/jetstream.rs"]
mod jetstream;
#[allow(dead_code, reason = "the bench uses the node alone")]
#[path = "../tests/guests/kafka.rs"]
mod kafka;
#[allow(dead_code, reason = "the bench uses the node alone")]
#[path = "../tests/guests/profile.rs"]
mod profile;

use std::hint::black_box;
use std::time::Duration;

use broker_contract::{
    Action, Boot, Broker, ConnId, Effect, Effects, Envelope, Input, MemoryDisk, NodeId, Origin,
    SeedStream, SyncToken, Time,
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kafka_protocol::protocol::StrBytes;

fn booted<B: Broker<Config = ()>>() -> (B, Effects<B>) {
    let mut out = Effects::new(Box::new(MemoryDisk::new()));
    let boot = Boot { seed: SeedStream::new(1), node: NodeId(0), peers: vec![NodeId(0)] };
    let node = B::boot(&(), boot, Time::ZERO, &mut out).expect("it boots");
    (node, out)
}

/// Cuts the file back now and then, so that the bench does not fill the memory.
fn forget<B: Broker>(out: &mut Effects<B>, name: &str) {
    let disk = out.disk();
    let file = disk.open(name).expect("it exists");
    disk.truncate(file, 0).expect("it is open");
}

fn kafka(c: &mut Criterion) {
    const RECORDS: i64 = 100;
    let topic = StrBytes::from_static_str("readings");
    let records: Vec<_> = (0..RECORDS).map(|n| kafka::record(n, &[7; 128])).collect();
    let batch = kafka::batch(&records);
    let conn = ConnId(0);

    let mut group = c.benchmark_group("kafka");
    group.throughput(Throughput::Elements(RECORDS as u64));
    group.bench_function("produce 100 x 128 B", |b| {
        let (mut node, mut out) = booted::<kafka::Log>();
        let mut rounds = 0_u32;
        b.iter(|| {
            let request = kafka::produce_request(&topic, batch.clone());
            let frame = kafka::Up::Produce { correlation: 1, request };
            node.handle(Time::ZERO, Input::Frame { conn, frame }, &mut out);
            black_box(out.drain().count());
            rounds += 1;
            if rounds.is_multiple_of(4096) {
                (node, out) = booted();
            }
        });
    });
    let (mut node, mut out) = booted::<kafka::Log>();
    let request = kafka::produce_request(&topic, batch.clone());
    let frame = kafka::Up::Produce { correlation: 1, request };
    node.handle(Time::ZERO, Input::Frame { conn, frame }, &mut out);
    out.clear();
    group.bench_function("fetch 100 x 128 B", |b| {
        b.iter(|| {
            let request = kafka::fetch_request(&topic, 0, Duration::ZERO);
            let frame = kafka::Up::Fetch { correlation: 1, request };
            node.handle(Time::ZERO, Input::Frame { conn, frame }, &mut out);
            black_box(out.drain().count());
        });
    });
    group.bench_function("encode a batch of 100 x 128 B", |b| {
        b.iter(|| black_box(kafka::batch(&records)));
    });
    group.bench_function("wire length of a produce", |b| {
        use broker_contract::Frame;
        let request = kafka::produce_request(&topic, batch.clone());
        let frame = kafka::Up::Produce { correlation: 1, request };
        b.iter(|| black_box(frame.wire_len()));
    });
    group.finish();
}

fn jetstream(c: &mut Criterion) {
    const PUBLISHES: u64 = 64;
    let message = Envelope::compose(b"orders.1", b"", b"", &[7; 128]);
    let conn = ConnId(0);
    let mut group = c.benchmark_group("jetstream");
    group.throughput(Throughput::Elements(PUBLISHES));
    group.bench_function("publish, sync and ack, 64 to a sync", |b| {
        let (mut node, mut out) = booted::<jetstream::Stream>();
        let mut rounds = 0_u32;
        b.iter(|| {
            for ticket in 0..PUBLISHES {
                let frame = jetstream::Publish { ticket, message: message.clone() };
                node.handle(Time::ZERO, Input::Frame { conn, frame }, &mut out);
            }
            // The first has a sync to itself, the others share the second.
            for _ in 0..2 {
                let input = Input::Synced { token: SyncToken(0), result: Ok(()) };
                node.handle(Time::ZERO, input, &mut out);
            }
            black_box(out.drain().count());
            rounds += 1;
            if rounds.is_multiple_of(1024) {
                forget(&mut out, "stream");
            }
        });
    });
    group.finish();
}

fn fanout(c: &mut Criterion) {
    let mut group = c.benchmark_group("fan-out");
    for subscribers in [10, 1_000] {
        let (mut node, mut out) = booted::<fanout::Bus>();
        for conn in (0..subscribers).map(ConnId) {
            node.handle(Time::ZERO, Input::Opened { conn, origin: Origin::default() }, &mut out);
            node.handle(Time::ZERO, Input::Frame { conn, frame: fanout::Up::Subscribe }, &mut out);
        }
        group.throughput(Throughput::Elements(u64::from(subscribers)));
        group.bench_function(format!("128 B to {subscribers}"), |b| {
            b.iter_batched(
                || fanout::Up::publish(b"news", &[7; 128]),
                |frame| {
                    let input = Input::Frame { conn: ConnId(0), frame };
                    node.handle(Time::ZERO, input, &mut out);
                    black_box(out.drain().count());
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn sizes(_: &mut Criterion) {
    for (name, size) in [
        ("Input<kafka>", size_of::<Input<kafka::Log>>()),
        ("Effect<kafka>", size_of::<Effect<kafka::Log>>()),
        ("Action<kafka>", size_of::<Action<kafka::KafkaClient>>()),
        ("Input<jetstream>", size_of::<Input<jetstream::Stream>>()),
        ("Effect<jetstream>", size_of::<Effect<jetstream::Stream>>()),
        ("Input<fan-out>", size_of::<Input<fanout::Bus>>()),
        ("Effect<fan-out>", size_of::<Effect<fanout::Bus>>()),
        ("Envelope", size_of::<Envelope>()),
        ("ProduceRequest", size_of::<kafka_protocol::messages::ProduceRequest>()),
        ("FetchRequest", size_of::<kafka_protocol::messages::FetchRequest>()),
    ] {
        println!("size of {name}: {size} B");
    }
}

criterion_group!(benches, sizes, kafka, jetstream, fanout);
criterion_main!(benches);
