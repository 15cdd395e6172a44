//! JetStream as a node hosts it: publishes of 128 bytes through `handle` with their
//! acknowledgements, and messages pulled and acknowledged one by one.
//!
//! Every benchmark is a test as well: what is not acknowledged or does not come ends
//! it. What the library alone costs is in `brokers/jetstream/benches`.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a benchmark measures by the wall clock, and its disk is a real one"
)]

use broker_contract::{
    Boot, Broker, ConnId, Disk, Effect, Effects, Frame, Input, MemoryDisk, NodeId, Origin,
    SeedStream, Time,
};
use broker_nats::frame::{ConnectOptions, Down, Message, Up};
use broker_nats::{JetStreamConfig, Nats, NatsConfig};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

#[path = "../../jetstream/benches/file_disk/mod.rs"]
mod file_disk;

use file_disk::FileDisk;

/// Inputs between two looks at the effects, as in a driver that works in batches.
const BATCH: usize = 128;
const PAYLOAD: [u8; 128] = [7; 128];
/// Messages that a stream keeps: removing the oldest is part of a publish's price.
const KEPT: u32 = 200_000;
/// Messages that are pulled and acknowledged in one iteration.
const CONSUMED: usize = 20_000;

struct Rig {
    node: Nats,
    out: Effects<Nats>,
    list: Vec<Effect<Nats>>,
    now: u64,
    /// Messages that came to the one connection: acknowledgements have no reply.
    acknowledged: u64,
    deliveries: Vec<Message>,
}

impl Rig {
    /// A node with a stream `S` of `s.>` and one connection.
    fn new(disk: Box<dyn Disk>, storage: &str) -> Rig {
        let mut out = Effects::new(disk);
        let boot = Boot { seed: SeedStream::new(1), node: NodeId(0), peers: vec![NodeId(0)] };
        let jetstream = Some(JetStreamConfig::default());
        let config = NatsConfig { jetstream, ..NatsConfig::default() };
        let node = Nats::boot(&config, boot, Time::ZERO, &mut out).expect("boots");
        let (list, deliveries) = (Vec::new(), Vec::new());
        let mut rig = Rig { node, out, list, now: 0, acknowledged: 0, deliveries };
        rig.handle(Input::Opened { conn: ConnId(0), origin: Origin::default() });
        let connect = ConnectOptions {
            verbose: Some(false),
            pedantic: Some(false),
            headers: true,
            protocol: 1,
            ..ConnectOptions::default()
        };
        rig.up(Up::Connect(Box::new(connect)));
        rig.up(Up::subscribe(b"in.>", None, 1));
        let body = format!(
            "{{\"name\":\"S\",\"subjects\":[\"s.>\"],\"storage\":\"{storage}\",\"max_msgs\":{KEPT}}}"
        );
        rig.publish(b"$JS.API.STREAM.CREATE.S", b"in.r", body.as_bytes());
        rig.take();
        // The stream in files is acknowledged once its journal is synced.
        rig.take();
        assert_eq!(std::mem::take(&mut rig.acknowledged), 1, "the stream was made");
        rig
    }

    fn handle(&mut self, input: Input<Nats>) {
        self.node.handle(Time::from_nanos(self.now), input, &mut self.out);
    }

    fn up(&mut self, frame: Up) {
        self.handle(Input::Frame { conn: ConnId(0), frame });
    }

    fn publish(&mut self, subject: &[u8], reply: &[u8], payload: &[u8]) {
        self.up(Up::Publish(Message::new(subject, reply, b"", payload)));
    }

    /// Writes what was gathered, and takes the effects as a driver does.
    fn take(&mut self) {
        self.now += 10_000;
        self.out.disk().flush().expect("writes");
        let mut list = std::mem::take(&mut self.list);
        self.out.swap(&mut list);
        let mut bytes = 0;
        for effect in list.drain(..) {
            match effect {
                Effect::Send { frame, .. } => {
                    bytes += frame.wire_len() as u64;
                    match frame {
                        Down::Message { message, .. } if message.reply().is_empty() => {
                            self.acknowledged += 1;
                        }
                        Down::Message { message, .. } => self.deliveries.push(message),
                        _ => {}
                    }
                }
                Effect::Sync { token, .. } => self.handle(Input::Synced { token, result: Ok(()) }),
                _ => {}
            }
        }
        self.list = list;
        if bytes > 0 {
            self.handle(Input::Drained { conn: ConnId(0), bytes });
        }
    }
}

fn disk(is_real: bool) -> Box<dyn Disk> {
    if is_real { Box::new(FileDisk::fresh()) } else { Box::new(MemoryDisk::new()) }
}

fn publishing(c: &mut Criterion) {
    let mut group = c.benchmark_group("jetstream publish");
    group.throughput(Throughput::Elements(1));
    let subjects: Vec<String> =
        (0..50_000).map(|device| format!("s.r{}.d{device}.reading", device % 40)).collect();
    for (name, storage, is_real, count) in [
        ("memory, 1 subject", "memory", false, 1),
        ("memory, 50000 subjects", "memory", false, 50_000),
        ("real files, 1 subject", "file", true, 1),
        ("real files, 50000 subjects", "file", true, 50_000),
    ] {
        let mut rig = Rig::new(disk(is_real), storage);
        let (mut at, mut published) = (0, 0);
        group.bench_function(name, |b| {
            b.iter(|| {
                rig.publish(subjects[at].as_bytes(), b"in.r", &PAYLOAD);
                at = if at + 1 == count { 0 } else { at + 1 };
                published += 1;
                if published % BATCH == 0 {
                    rig.take();
                }
            });
        });
        rig.take();
        assert_eq!(rig.acknowledged, published as u64, "everything was acknowledged");
    }
    group.finish();
}

fn consuming(c: &mut Criterion) {
    let mut group = c.benchmark_group("jetstream consume");
    group.throughput(Throughput::Elements(CONSUMED as u64));
    for (name, storage, is_real) in
        [("explicit ack, memory", "memory", false), ("explicit ack, real files", "file", true)]
    {
        group.bench_function(name, |b| {
            b.iter_batched(
                || {
                    let mut rig = Rig::new(disk(is_real), storage);
                    for number in 0..CONSUMED {
                        let subject = format!("s.r{}.d{number}.reading", number % 40);
                        rig.publish(subject.as_bytes(), b"", &PAYLOAD);
                    }
                    let config = b"{\"stream_name\":\"S\",\"config\":{\"name\":\"C\",\
                                   \"durable_name\":\"C\",\"ack_policy\":\"explicit\"}}";
                    rig.publish(b"$JS.API.CONSUMER.CREATE.S.C", b"in.r", config);
                    rig.take();
                    rig
                },
                |mut rig| {
                    let mut done = 0;
                    while done < CONSUMED {
                        rig.publish(b"$JS.API.CONSUMER.MSG.NEXT.S.C", b"in.p", b"200");
                        rig.take();
                        let deliveries = std::mem::take(&mut rig.deliveries);
                        assert!(!deliveries.is_empty(), "more is there");
                        done += deliveries.len();
                        for delivery in deliveries {
                            rig.publish(delivery.reply(), b"", b"+ACK");
                        }
                        rig.take();
                    }
                    rig
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, publishing, consuming);
criterion_main!(benches);
