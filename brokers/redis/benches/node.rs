//! What the node costs: 128-byte payloads through `handle`, one core, one
//! allocation a message (the publisher's), effects drained as a driver does.
//!
//! A message is made as a codec makes it, by one copy out of an input buffer
//! that is in the cache; numbers are written into that buffer digit by digit,
//! so that fifty thousand names cost the bench no look-up of its own.
//!
//! `elements` are messages, or deliveries where the name says `fan_out`.

use std::hint::black_box;
use std::sync::Arc;

use broker_contract::{
    Boot, Broker, ConnId, Effect, Effects, Frame, Input, MemoryDisk, NodeId, Origin, SeedStream,
    Time,
};
use broker_redis::{Body, Kind, Redis, RedisConfig, Up, frame, glob};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const PAYLOAD: [u8; 128] = [7; 128];
const PUBLISHER: ConnId = ConnId(0);
/// Publishes between two visits of the driver.
const BATCH: usize = 64;

/// A codec's input buffer: a channel and its payload.
struct Wire {
    bytes: Vec<u8>,
    channel: u32,
}

impl Wire {
    fn new(channel: &[u8]) -> Wire {
        Wire { bytes: [channel, &PAYLOAD].concat(), channel: channel.len() as u32 }
    }

    /// Writes `number` as decimal digits at `at`.
    #[inline]
    fn write(&mut self, at: std::ops::Range<usize>, mut number: u32) {
        for digit in self.bytes[at].iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
    }

    #[inline]
    fn body(&self) -> Body {
        let buf = Arc::from(black_box(&self.bytes[..]));
        Body::over(buf, self.channel, self.channel).expect("the channel is in the buffer")
    }
}

struct Bench {
    node: Redis,
    out: Effects<Redis>,
    drained: Vec<u64>,
    sent: u64,
}

impl Bench {
    fn new(conns: u32) -> Bench {
        let mut out = Effects::new(Box::new(MemoryDisk::new()));
        let boot = Boot { seed: SeedStream::new(1), node: NodeId(0), peers: vec![NodeId(0)] };
        let config = RedisConfig { maxclients: u32::MAX, ..RedisConfig::default() };
        let mut node = Redis::boot(&config, boot, Time::ZERO, &mut out).expect("boots");
        for conn in 0..conns {
            let input = Input::Opened { conn: ConnId(conn), origin: Origin::default() };
            node.handle(Time::ZERO, input, &mut out);
        }
        Bench { node, out, drained: vec![0; conns as usize], sent: 0 }
    }

    fn input(&mut self, conn: ConnId, frame: Up) {
        self.node.handle(Time::ZERO, Input::Frame { conn, frame }, &mut self.out);
    }

    fn subscribe(&mut self, conn: u32, kind: Kind, name: &str) {
        self.input(ConnId(conn), Up::subscribe(kind, frame::text(name)));
        self.drain();
    }

    #[inline]
    fn publish(&mut self, wire: &Wire) {
        self.input(PUBLISHER, Up::Publish { sharded: false, body: wire.body() });
    }

    /// What a driver does: look at every frame, count its bytes, drop it, and say
    /// so to the node, many frames at a time.
    fn drain(&mut self) {
        for effect in self.out.as_slice() {
            if let Effect::Send { conn, frame } = effect {
                self.sent += 1;
                self.drained[conn.0 as usize] += frame.wire_len() as u64;
                black_box(frame);
            }
        }
        self.out.clear();
        for (conn, bytes) in self.drained.iter_mut().enumerate() {
            if *bytes > 1 << 16 {
                let input = Input::Drained { conn: ConnId(conn as u32), bytes: *bytes };
                self.node.handle(Time::ZERO, input, &mut self.out);
                *bytes = 0;
            }
        }
    }
}

fn fan_out(c: &mut Criterion, name: &str, subscribers: u32) {
    let mut group = c.benchmark_group("node");
    let mut bench = Bench::new(subscribers + 1);
    let wire = Wire::new(b"telemetry.eu.17.reading");
    for conn in 1..=subscribers {
        bench.subscribe(conn, Kind::Channel, "telemetry.eu.17.reading");
    }
    let batch = (BATCH / subscribers as usize).max(8);
    group.throughput(Throughput::Elements(batch as u64 * u64::from(subscribers)));
    group.bench_function(name, |b| {
        b.iter(|| {
            let before = bench.sent;
            for _ in 0..batch {
                bench.publish(&wire);
            }
            bench.drain();
            // One delivery each, and one reply to every publish.
            assert_eq!(bench.sent - before, batch as u64 * u64::from(subscribers + 1));
        });
    });
    group.finish();
}

fn many_channels(c: &mut Criterion) {
    const CHANNELS: u32 = 50_000;
    let mut group = c.benchmark_group("node");
    // A hundred subscribers with 500 channels each.
    let mut bench = Bench::new(101);
    let mut wire = Wire::new(b"telemetry.00.00000.reading");
    let name = |wire: &mut Wire, number: u32| {
        wire.write(10..12, number % 40);
        wire.write(13..18, number);
    };
    for number in 0..CHANNELS {
        name(&mut wire, number);
        let input = Up::subscribe(Kind::Channel, frame::text(wire.body().channel()));
        bench.input(ConnId(1 + number % 100), input);
        bench.drain();
    }
    group.throughput(Throughput::Elements(BATCH as u64));
    let mut at = 0;
    group.bench_function("50k_channels", |b| {
        b.iter(|| {
            let before = bench.sent;
            for _ in 0..BATCH {
                // A stride that is coprime to the count visits all of them.
                at = (at + 25_717) % CHANNELS;
                name(&mut wire, at);
                bench.publish(&wire);
            }
            bench.drain();
            assert_eq!(bench.sent - before, 2 * BATCH as u64);
        });
    });
    group.finish();
}

/// Ten thousand patterns of which one matches, the way the original does it:
/// every one is tried on every message.
fn linear_scan(c: &mut Criterion, name: &str, patterns: &[String], channel: &[u8]) {
    let mut group = c.benchmark_group("node");
    group.throughput(Throughput::Elements(1));
    group.bench_function(name, |b| {
        b.iter(|| {
            let channel = black_box(channel);
            let matching =
                patterns.iter().filter(|pattern| glob::matches(pattern.as_bytes(), channel));
            assert_eq!(matching.count(), 1);
        });
    });
    group.finish();
}

/// Ten thousand patterns of which one matches, through the node.
fn many_patterns(c: &mut Criterion, name: &str, patterns: &[String], channel: &[u8]) {
    let mut group = c.benchmark_group("node");
    let mut bench = Bench::new(2);
    for pattern in patterns {
        bench.subscribe(1, Kind::Pattern, pattern);
    }
    let wire = Wire::new(channel);
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function(name, |b| {
        b.iter(|| {
            let before = bench.sent;
            for _ in 0..BATCH {
                bench.publish(&wire);
            }
            bench.drain();
            assert_eq!(bench.sent - before, 2 * BATCH as u64);
        });
    });
    group.finish();
}

fn patterns(c: &mut Criterion) {
    let made = |pattern: fn(u32) -> String| (0..10_000).map(pattern).collect::<Vec<_>>();
    // Each has a prefix of its own.
    let own = made(|number| format!("user:{number}:*"));
    linear_scan(c, "10k_patterns_1_match_linear_scan", &own, b"user:4321:login");
    many_patterns(c, "10k_patterns_1_match", &own, b"user:4321:login");
    // All share a prefix, and the other end tells them apart.
    let shared = made(|number| format!("metrics.*.host{number}"));
    linear_scan(c, "10k_patterns_shared_prefix_linear_scan", &shared, b"metrics.cpu.host4321");
    many_patterns(c, "10k_patterns_shared_prefix", &shared, b"metrics.cpu.host4321");
    let mut group = c.benchmark_group("node");

    // The scenario's dashboard: one pattern, every device.
    let mut bench = Bench::new(2);
    bench.subscribe(1, Kind::Pattern, "telemetry.17.*.reading");
    let wire = Wire::new(b"telemetry.17.4711.reading");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function("1_pattern_1_match", |b| {
        b.iter(|| {
            for _ in 0..BATCH {
                bench.publish(&wire);
            }
            bench.drain();
        });
    });
    group.finish();
}

fn all(c: &mut Criterion) {
    fan_out(c, "one_channel", 1);
    many_channels(c);
    fan_out(c, "fan_out_10", 10);
    fan_out(c, "fan_out_1000", 1_000);
    patterns(c);
}

criterion_group!(benches, all);
criterion_main!(benches);
