//! What the client costs: 100-byte records from `submit` at a producer to the
//! delivery at a consumer, through the node in memory, all on one core.
//!
//! Encoding, partitioning (murmur2 of the channel, 8 partitions), batching (16
//! KiB), the node's append and fetch, decoding at the consumer with its checksum,
//! and one delivery for each record are all in the figure. `elements` are records.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::Duration;

use broker_contract::{
    Action, Actions, Boot, Broker, Client, ClientInput, ClientStart, Configured, ConnId, Contender,
    Declaration, Disk, DiskError, Effect, Effects, FileId, Flow, Frame, Input, LinkId, NodeId, Op,
    Origin, Outcome, Publish, SeedStream, Settings, Start, Ticket, Time, Want,
};
use broker_kafka::{Kafka, KafkaClient, KafkaLog};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

/// Published between two looks at what has arrived.
const RECORDS: u64 = 20_000;
const ROUNDS: u64 = 5;
const PAYLOAD: [u8; 100] = [7; 100];

/// A disk whose memory is there before it is written to: what a fresh page costs
/// is the device's, and neither the client's nor the node's.
#[derive(Default)]
struct Warm {
    names: BTreeMap<String, FileId>,
    files: Vec<Vec<u8>>,
}

impl Warm {
    fn file(&mut self, file: FileId) -> Result<&mut Vec<u8>, DiskError> {
        self.files.get_mut(file.0 as usize).ok_or(DiskError::NotOpen(file))
    }
}

impl Disk for Warm {
    fn open(&mut self, name: &str) -> Result<FileId, DiskError> {
        if let Some(file) = self.names.get(name) {
            return Ok(*file);
        }
        let mut bytes = vec![0xff; if name.ends_with(".log") { 4 << 20 } else { 4096 }];
        bytes.clear();
        let file = FileId(self.files.len() as u32);
        self.files.push(bytes);
        self.names.insert(name.to_owned(), file);
        Ok(file)
    }

    fn append(&mut self, file: FileId, parts: &[&[u8]]) -> Result<u64, DiskError> {
        let bytes = self.file(file)?;
        let at = bytes.len() as u64;
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        Ok(at)
    }

    fn read_at(&mut self, file: FileId, offset: u64, buf: &mut [u8]) -> Result<usize, DiskError> {
        let bytes = self.file(file)?;
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn len(&mut self, file: FileId) -> Result<u64, DiskError> {
        self.file(file).map(|bytes| bytes.len() as u64)
    }

    fn truncate(&mut self, file: FileId, len: u64) -> Result<(), DiskError> {
        self.file(file).map(|bytes| bytes.truncate(len as usize))
    }

    fn list(&mut self, prefix: &str) -> Result<Vec<String>, DiskError> {
        Ok(self.names.keys().filter(|name| name.starts_with(prefix)).cloned().collect())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        let file = self.names.remove(from).ok_or(DiskError::NotFound(from.to_owned()))?;
        self.names.insert(to.to_owned(), file);
        Ok(())
    }

    fn delete(&mut self, name: &str) -> Result<(), DiskError> {
        self.names.remove(name).map(|_| ()).ok_or(DiskError::NotFound(name.to_owned()))
    }

    fn flush(&mut self) -> Result<(), DiskError> {
        Ok(())
    }
}

/// A node and two clients: the first publishes, the second consumes.
struct Bench {
    now: Time,
    node: Kafka,
    out: Effects<Kafka>,
    clients: Vec<KafkaClient>,
    actions: Actions<KafkaClient>,
    scratch: Vec<Vec<Action<KafkaClient>>>,
    conns: BTreeMap<(usize, LinkId), ConnId>,
    owners: Vec<(usize, LinkId)>,
    channels: Vec<String>,
    tickets: u64,
    acked: u64,
    delivered: u64,
}

impl Bench {
    fn new(changes: &[(&str, &str)]) -> Bench {
        let changes = changes.iter().copied();
        let settings = Settings::resolve(KafkaLog::settings(), changes).expect("known settings");
        let Configured { node, client, .. } = KafkaLog::configure(&settings).expect("they agree");
        let mut out = Effects::new(Box::new(Warm::default()));
        let seed = SeedStream::new(1);
        let boot = Boot { seed, node: NodeId(0), peers: vec![NodeId(0)] };
        let node = Kafka::boot(&node, boot, Time::ZERO, &mut out).expect("boots");
        let new = |id| KafkaClient::new(&client, ClientStart { id, seed: seed.nth(u64::from(id)) });
        let mut bench = Bench {
            now: Time::ZERO,
            node,
            out,
            clients: vec![new(0), new(1)],
            actions: Actions::new(),
            scratch: Vec::new(),
            conns: BTreeMap::new(),
            owners: Vec::new(),
            channels: (0..1_000).map(|n| format!("telemetry.eu.{n}.reading")).collect(),
            tickets: 0,
            acked: 0,
            delivered: 0,
        };
        let declaration = Declaration { name: "T", filters: &["telemetry.>"], partitions: Some(8) };
        bench.submit(0, &Op::Declare(declaration));
        bench.run(Duration::from_secs(1));
        let subscribe = Op::Subscribe {
            filter: "telemetry.*.*.reading",
            group: None,
            start: Start::New,
            flow: Flow::default(),
        };
        bench.submit(1, &subscribe);
        bench.run(Duration::from_secs(1));
        bench
    }

    fn submit(&mut self, client: usize, op: &Op<'_>) {
        self.tickets += 1;
        let (now, ticket) = (self.now, Ticket(self.tickets));
        self.clients[client].submit(now, ticket, op, &mut self.actions).expect("supported");
        self.carry_out(client);
    }

    fn feed(&mut self, client: usize, input: ClientInput<Kafka>) {
        self.clients[client].handle(self.now, input, &mut self.actions);
        self.carry_out(client);
    }

    /// Carries out what a client wants, as a driver does.
    fn carry_out(&mut self, client: usize) {
        if self.actions.is_empty() {
            return;
        }
        let mut actions = self.scratch.pop().unwrap_or_default();
        self.actions.swap(&mut actions);
        for action in actions.drain(..) {
            match action {
                Action::Connect { link, .. } => {
                    let conn = ConnId(self.owners.len() as u32);
                    self.owners.push((client, link));
                    self.conns.insert((client, link), conn);
                    let input = Input::Opened { conn, origin: Origin::default() };
                    self.node.handle(self.now, input, &mut self.out);
                    self.feed(client, ClientInput::Connected { link });
                }
                Action::Send { link, frame } => {
                    black_box(frame.wire_len());
                    let conn = self.conns[&(client, link)];
                    self.node.handle(self.now, Input::Frame { conn, frame }, &mut self.out);
                }
                Action::Outcome { outcome: Outcome::Acked(_), .. } => self.acked += 1,
                Action::Delivery(delivery) => {
                    black_box(delivery.message.payload());
                    self.delivered += 1;
                }
                _ => {}
            }
        }
        self.scratch.push(actions);
    }

    /// Carries out what the node wants; whether there was anything.
    fn release(&mut self) -> bool {
        let mut effects = Vec::new();
        self.out.swap(&mut effects);
        let is_busy = !effects.is_empty();
        for effect in effects {
            match effect {
                Effect::Send { conn, frame } => {
                    let (client, link) = self.owners[conn.0 as usize];
                    let input = Input::Drained { conn, bytes: frame.wire_len() as u64 };
                    self.node.handle(self.now, input, &mut self.out);
                    self.feed(client, ClientInput::Frame { link, frame });
                }
                // The node's own journal; records are not synced by default.
                Effect::Sync { token, .. } => {
                    let input = Input::Synced { token, result: Ok(()) };
                    self.node.handle(self.now, input, &mut self.out);
                }
                _ => {}
            }
        }
        is_busy
    }

    /// Lets time go by.
    fn run(&mut self, by: Duration) {
        let until = self.now + by;
        loop {
            while self.release() {}
            let clients = self.clients.iter().map(Client::deadline);
            let next = clients.chain([self.node.deadline()]).flatten().min();
            let Some(at) = next.filter(|at| *at <= until) else { break };
            self.now = self.now.max(at);
            if self.node.deadline().is_some_and(|at| at <= self.now) {
                self.node.handle(self.now, Input::Tick, &mut self.out);
            }
            for client in 0..self.clients.len() {
                if self.clients[client].deadline().is_some_and(|at| at <= self.now) {
                    self.feed(client, ClientInput::Tick);
                }
            }
        }
        self.now = until;
    }

    fn round(&mut self) {
        let (acked, delivered) = (self.acked + RECORDS, self.delivered + RECORDS);
        for number in 0..RECORDS {
            let at = (number * 7) as usize % self.channels.len();
            let channel = std::mem::take(&mut self.channels[at]);
            let publish = Publish {
                channel: &channel,
                key: None,
                headers: &[],
                payload: &PAYLOAD,
                want: Want::Usual,
            };
            self.submit(0, &Op::Publish(publish));
            self.channels[at] = channel;
            // A driver looks at the node now and then.
            if number.is_multiple_of(256) {
                self.release();
            }
        }
        self.run(Duration::from_millis(20));
        assert_eq!((self.acked, self.delivered), (acked, delivered), "nothing is lost");
    }
}

fn through(c: &mut Criterion, name: &str, changes: &[(&str, &str)]) {
    let mut group = c.benchmark_group("client");
    group.throughput(Throughput::Elements(RECORDS * ROUNDS));
    // A fresh log each time: one that never ends would measure retention as well.
    let warm = || {
        let mut bench = Bench::new(changes);
        bench.round();
        bench
    };
    let run = |bench: &mut Bench| (0..ROUNDS).for_each(|_| bench.round());
    group.bench_function(name, |b| b.iter_batched_ref(warm, run, BatchSize::PerIteration));
    group.finish();
}

fn all(c: &mut Criterion) {
    through(c, "publish_to_delivery", &[]);
    through(c, "publish_to_delivery_lz4", &[("compression", "lz4")]);
}

criterion_group!(benches, all);
criterion_main!(benches);
