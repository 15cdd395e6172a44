//! What storing, delivering and reopening cost, with the library alone in a world
//! that takes everything.

#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a benchmark measures by the wall clock, and its disk is a real one"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use broker_contract::{ConnId, Disk, FileId, MemoryDisk, Note, SeedStream, SyncToken, Time};
use broker_jetstream::{Host, JetStream, JetStreamConfig, Published, SyncPolicy};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

mod file_disk;

use file_disk::FileDisk;

const PAYLOAD: [u8; 128] = [7; 128];

/// A world that counts what is sent and keeps the last reply.
struct World<D> {
    disk: D,
    sent: u64,
    replies: Vec<Vec<u8>>,
    keeps_replies: bool,
    syncs: Vec<(FileId, SyncToken)>,
}

impl<D: Disk> Host for World<D> {
    fn disk(&mut self) -> &mut dyn Disk {
        &mut self.disk
    }

    fn send(&mut self, _: &[u8], _: &[u8], reply: &[u8], _: &[u8], payload: &[u8]) -> bool {
        self.sent += 1;
        if self.keeps_replies && !reply.is_empty() {
            self.replies.push(reply.to_vec());
        }
        black_box(payload);
        true
    }

    fn has_interest(&mut self, _: &[u8]) -> bool {
        true
    }

    fn sync(&mut self, file: FileId, token: SyncToken) {
        self.syncs.push((file, token));
    }

    fn note(&mut self, _: Note) {}
}

struct Rig<D> {
    server: JetStream,
    world: World<D>,
    now: Time,
}

fn boot<D: Disk>(sync: SyncPolicy, disk: D) -> Rig<D> {
    let config = JetStreamConfig { sync, ..JetStreamConfig::default() };
    let (sent, replies, syncs) = (0, Vec::new(), Vec::new());
    let mut world = World { disk, sent, replies, keeps_replies: false, syncs };
    let now = Time::from_millis(1);
    let server = JetStream::boot(&config, SeedStream::new(1), now, &mut world).expect("boots");
    Rig { server, world, now }
}

const INTERVAL: SyncPolicy = SyncPolicy::Interval(Duration::from_secs(120));

impl<D: Disk> Rig<D> {
    fn publish(&mut self, subject: &[u8], reply: &[u8], payload: &[u8]) {
        let (conn, headers) = (ConnId(0), &[][..]);
        let message = Published { conn, subject, reply, headers, payload };
        assert!(self.server.publish(self.now, &mut self.world, &message));
        self.now = self.now.plus_nanos(1_000);
    }

    fn api(&mut self, request: &str, body: &str) {
        self.publish(format!("$JS.API.{request}").as_bytes(), b"in.r", body.as_bytes());
        for (_, token) in std::mem::take(&mut self.world.syncs) {
            self.server.synced(self.now, &mut self.world, token, Ok(()));
        }
    }

    fn stream(&mut self, storage: &str) {
        let body = format!("{{\"name\":\"S\",\"subjects\":[\"s.>\"],\"storage\":\"{storage}\"}}");
        self.api("STREAM.CREATE.S", &body);
    }
}

fn subjects(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|at| format!("s.r{}.d{at}.reading", at % 40).into_bytes()).collect()
}

fn publishing(c: &mut Criterion) {
    let mut group = c.benchmark_group("publish");
    group.throughput(Throughput::Elements(1));
    let subjects = subjects(50_000);
    let mut bench = |name: &str, rig: &mut dyn FnMut(usize)| {
        let mut at = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                rig(at);
                at = (at + 1) % 50_000;
            });
        });
    };
    for (name, storage, limit) in [("memory", "memory", true), ("file, memory disk", "file", false)]
    {
        let mut rig = boot(INTERVAL, MemoryDisk::new());
        rig.stream(storage);
        if limit {
            // Memory stays within bounds, and the removal is part of the price.
            rig.api(
                "STREAM.UPDATE.S",
                "{\"name\":\"S\",\"subjects\":[\"s.>\"],\"storage\":\"memory\",\"max_msgs\":200000}",
            );
        }
        let mut published = 0_u32;
        bench(name, &mut |at| {
            rig.publish(&subjects[at], b"in.r", &PAYLOAD);
            published += 1;
            if !limit && published.is_multiple_of(1_000_000) {
                rig.api("STREAM.PURGE.S", "");
                while rig.server.deadline().is_some_and(|due| due <= rig.now) {
                    rig.server.tick(rig.now, &mut rig.world);
                }
            }
        });
    }
    let mut rig = boot(INTERVAL, FileDisk::fresh());
    rig.stream("file");
    let mut published = 0_u32;
    bench("file, real files, written every 128", &mut |at| {
        rig.publish(&subjects[at], b"in.r", &PAYLOAD);
        published += 1;
        if published.is_multiple_of(128) {
            rig.world.disk.flush().expect("writes");
        }
        if published.is_multiple_of(1_000_000) {
            rig.api("STREAM.PURGE.S", "");
            while rig.server.deadline().is_some_and(|due| due <= rig.now) {
                rig.server.tick(rig.now, &mut rig.world);
            }
        }
    });
    group.finish();
}

/// A message published, delivered to a standing pull request, and acknowledged.
fn consuming(c: &mut Criterion) {
    let mut group = c.benchmark_group("consume");
    group.throughput(Throughput::Elements(10_000));
    for storage in ["memory", "file"] {
        group.bench_function(format!("explicit ack, {storage}"), |b| {
            b.iter_batched(
                || {
                    let mut rig = boot(INTERVAL, MemoryDisk::new());
                    rig.stream(storage);
                    for subject in subjects(10_000) {
                        rig.publish(&subject, b"", &PAYLOAD);
                    }
                    rig.api(
                        "CONSUMER.CREATE.S.C",
                        "{\"stream_name\":\"S\",\"config\":{\"name\":\"C\",\"durable_name\":\"C\",\"ack_policy\":\"explicit\"}}",
                    );
                    rig.world.keeps_replies = true;
                    rig
                },
                |mut rig| {
                    let mut done = 0;
                    while done < 10_000 {
                        rig.publish(b"$JS.API.CONSUMER.MSG.NEXT.S.C", b"in.p", b"200");
                        for reply in std::mem::take(&mut rig.world.replies) {
                            rig.publish(&reply, b"", b"+ACK");
                            done += 1;
                        }
                    }
                    rig
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// Acknowledged publishes a second when each waits for its sync, which takes a
/// millisecond here: one publisher, and a hundred in flight.
fn group_commit() {
    let rate = |in_flight: usize| {
        let mut rig = boot(SyncPolicy::Always, MemoryDisk::new());
        rig.stream("file");
        rig.world.sent = 0;
        let begin = rig.now;
        for _ in 0..in_flight {
            rig.publish(b"s.1", b"in.r", &PAYLOAD);
        }
        while rig.world.sent < 10_000 {
            let (_, token) = rig.world.syncs.remove(0);
            rig.now = rig.now.plus_nanos(1_000_000);
            let before = rig.world.sent;
            rig.server.synced(rig.now, &mut rig.world, token, Ok(()));
            for _ in before..rig.world.sent {
                rig.publish(b"s.1", b"in.r", &PAYLOAD);
            }
        }
        rig.world.sent as f64 / (rig.now.nanos_since(begin) as f64 / 1e9)
    };
    let (one, hundred) = (rate(1), rate(100));
    println!(
        "sync always, a sync takes 1 ms: {one:.0} publishes/s with 1 in flight, {hundred:.0} with \
         100: {:.0} times",
        hundred / one
    );
    assert!(hundred / one >= 20.0, "group commit");
}

/// Ten million messages written to real files, and opened again.
fn reopening() {
    let count = 10_000_000_u32;
    let subjects = subjects(1_000);
    let mut rig = boot(INTERVAL, FileDisk::fresh());
    rig.stream("file");
    let begin = Instant::now();
    for number in 0..count {
        rig.publish(&subjects[number as usize % 1_000], b"", &[7; 32]);
        if number.is_multiple_of(128) {
            rig.world.disk.flush().expect("writes");
        }
    }
    rig.world.disk.flush().expect("writes");
    let written = begin.elapsed();
    let disk = rig.world.disk;
    drop(rig.server);
    let begin = Instant::now();
    let again = boot(INTERVAL, disk);
    let opened = begin.elapsed();
    println!(
        "{count} messages of 32 B: written in {written:.2?}, reopened in {opened:.2?}, {} bytes of \
         memory each",
        again.server.memory_bytes() / u64::from(count)
    );
}

/// A million subjects with one message each.
fn many_subjects() {
    let mut rig = boot(INTERVAL, MemoryDisk::new());
    rig.stream("file");
    for number in 0..1_000_000_u32 {
        let subject = format!("s.region{}.device{number}.reading", number % 40);
        rig.publish(subject.as_bytes(), b"", &[7; 32]);
    }
    println!("1,000,000 subjects: {} bytes each", rig.server.memory_bytes() / 1_000_000);
}

/// What a publish costs beside consumers of other subjects.
fn beside_others() {
    let count = 100_000_u32;
    for others in [1, 100, 10_000] {
        let mut rig = boot(INTERVAL, MemoryDisk::new());
        rig.stream("memory");
        for number in 0..others {
            let filter = format!("\"filter_subject\":\"s.device{number}.*\"");
            let config = format!("{{\"durable_name\":\"c{number}\",{filter}}}");
            let body = format!("{{\"stream_name\":\"S\",\"config\":{config}}}");
            rig.api(&format!("CONSUMER.DURABLE.CREATE.S.c{number}"), &body);
        }
        let begin = Instant::now();
        for _ in 0..count {
            rig.publish(b"s.region1.reading", b"in.r", &PAYLOAD);
        }
        let each = begin.elapsed() / count;
        println!("a publish beside {others} consumers of other subjects: {each:?}");
    }
}

fn figures(_: &mut Criterion) {
    beside_others();
    group_commit();
    many_subjects();
    if std::env::var_os("REOPEN").is_some() {
        reopening();
    }
}

criterion_group!(benches, publishing, consuming, figures);
criterion_main!(benches);
