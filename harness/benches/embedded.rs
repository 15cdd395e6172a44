//! What embedded mode's own machinery carries.
//!
//! `closed_loop`: one publisher and one subscriber on this thread, the node on
//! another, batches of 128 frames handed over each way, at most eight batches
//! under way: deliveries a second on two cores.
//!
//! `generator`: plan, payload, ledger and client of one message on one core, with
//! the frames thrown away: what bounds the rate that one thread can offer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use broker_contract::{
    Action, Actions, Boot, Broker, Client, ClientInput, ClientStart, ConnId, Contender, Disk,
    Effect, Effects, Identity, Input, MemoryDisk, NodeId, Op, Origin, Publish, SeedStream,
    Settings, Start, Ticket, Time, Want,
};
use broker_nats::CoreNats;
use broker_redis::RedisPubSub;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use lab::modes::embedded::handoff::Handoff;
use lab::modes::sim::engine::BrokerOf;
use lab::trial::cast::Cast;
use lab::trial::sender::Sender;
use lab_workloads::plan::Interest;
use lab_workloads::scenario::{Options, parse};

const BATCH: usize = 128;
const WINDOW: usize = 8;

/// Two clients of a contender and their node, without threads or clocks.
struct Pair<C: Contender> {
    clients: [C::Client; 2],
    actions: Actions<C::Client>,
    delivered: u64,
}

enum Up<B: Broker> {
    Opened(u32),
    Frame(u32, B::Up),
    Drained(u32, u64),
    Stop,
}

type Down<C> = (u32, <BrokerOf<C> as Broker>::Down);

impl<C: Contender> Pair<C> {
    fn new(settings: &Settings) -> Self {
        let configured = C::configure(settings).expect("configures");
        let client = |id| {
            let start = ClientStart { id, seed: SeedStream::new(7).nth(u64::from(id)) };
            C::Client::new(&configured.client, start)
        };
        Pair { clients: [client(0), client(1)], actions: Actions::new(), delivered: 0 }
    }

    /// Carries out what client `index` wants; its connection is `index`.
    fn act(&mut self, index: u32, now: Time, out: &mut Vec<Up<BrokerOf<C>>>) {
        let mut connected = Vec::new();
        for action in self.actions.drain() {
            match action {
                Action::Connect { link, .. } => {
                    out.push(Up::Opened(index));
                    connected.push(link);
                }
                Action::Send { frame, .. } => out.push(Up::Frame(index, frame)),
                Action::Delivery(delivery) => {
                    debug_assert!(!delivery.message.payload().is_empty());
                    self.delivered += 1;
                }
                _ => {}
            }
        }
        for link in connected {
            self.clients[index as usize].handle(
                now,
                ClientInput::Connected { link },
                &mut self.actions,
            );
            self.act(index, now, out);
        }
    }

    fn take(&mut self, (conn, frame): Down<C>, now: Time, out: &mut Vec<Up<BrokerOf<C>>>) {
        let link = broker_contract::LinkId(0);
        let input = ClientInput::Frame { link, frame };
        self.clients[conn as usize].handle(now, input, &mut self.actions);
        self.act(conn, now, out);
    }
}

fn node<C: Contender>(
    config: <BrokerOf<C> as Broker>::Config,
    inbox: &Handoff<Up<BrokerOf<C>>>,
    outbox: &Handoff<Down<C>>,
) {
    let disk: Box<dyn Disk> = Box::new(MemoryDisk::new());
    let mut effects = Effects::<BrokerOf<C>>::new(disk);
    let boot = Boot { seed: SeedStream::new(1), node: NodeId(0), peers: vec![NodeId(0)] };
    let now = Time::ZERO;
    let mut node = BrokerOf::<C>::boot(&config, boot, now, &mut effects).expect("boots");
    let (mut batch, mut down) = (Vec::new(), Vec::new());
    loop {
        inbox.wait(&mut batch, Duration::from_millis(100));
        for item in batch.drain(..) {
            let input = match item {
                Up::Opened(conn) => Input::Opened { conn: ConnId(conn), origin: Origin::default() },
                Up::Frame(conn, frame) => Input::Frame { conn: ConnId(conn), frame },
                Up::Drained(conn, bytes) => Input::Drained { conn: ConnId(conn), bytes },
                Up::Stop => return,
            };
            node.handle(now, input, &mut effects);
        }
        for effect in effects.drain() {
            if let Effect::Send { conn, frame } = effect {
                down.push((conn.0, frame));
            }
        }
        outbox.give(&mut down);
    }
}

fn closed_loop<C: Contender>(messages: u64) -> Duration {
    use broker_contract::Frame;
    let settings = Settings::resolve(C::settings(), []).expect("defaults resolve");
    let config = C::configure(&settings).expect("configures").node;
    let (up, down) = (Arc::new(Handoff::new()), Arc::new(Handoff::<Down<C>>::new()));
    let mut pair = Pair::<C>::new(&settings);
    let now = Time::ZERO;
    std::thread::scope(|scope| {
        let (inbox, outbox) = (up.clone(), down.clone());
        scope.spawn(move || node::<C>(config, &inbox, &outbox));
        let (mut out, mut batch) = (Vec::new(), Vec::new());
        let subscribe = Op::Subscribe {
            filter: "bench.>",
            group: None,
            start: Start::New,
            flow: Default::default(),
        };
        pair.clients[0]
            .submit(now, Ticket(1 << 60), &subscribe, &mut pair.actions)
            .expect("subscribes");
        pair.act(0, now, &mut out);
        pair.clients[1].connect(now, &mut pair.actions);
        pair.act(1, now, &mut out);
        // Both handshakes settle before the clock starts.
        let settle = Instant::now();
        while settle.elapsed() < Duration::from_millis(50) {
            up.give(&mut out);
            down.wait(&mut batch, Duration::from_millis(5));
            for item in batch.drain(..) {
                pair.take(item, now, &mut out);
            }
        }
        let mut payload = vec![0x2e; 128];
        Identity { producer: 0, sequence: 0, number: 0, key: 0, intended_ns: 0, lag_ns: 0 }
            .stamp(&mut payload);
        let (mut sent, mut drained) = (0_u64, 0_u64);
        let begun = Instant::now();
        while pair.delivered < messages {
            while sent < messages && sent - pair.delivered < (BATCH * WINDOW) as u64 {
                for _ in 0..BATCH.min((messages - sent) as usize) {
                    let publish = Publish {
                        channel: "bench.one",
                        key: None,
                        headers: &[],
                        payload: &payload,
                        want: Want::Usual,
                    };
                    let op = Op::Publish(publish);
                    pair.clients[1]
                        .submit(now, Ticket(sent), &op, &mut pair.actions)
                        .expect("publishes");
                    pair.act(1, now, &mut out);
                    sent += 1;
                }
                up.give(&mut out);
            }
            down.wait(&mut batch, Duration::from_millis(5));
            for item in batch.drain(..) {
                if item.0 == 0 {
                    drained += item.1.wire_len() as u64;
                }
                pair.take(item, now, &mut out);
            }
            if drained > 0 {
                out.push(Up::Drained(0, std::mem::take(&mut drained)));
            }
        }
        let took = begun.elapsed();
        out.push(Up::Stop);
        up.give(&mut out);
        assert_eq!(pair.delivered, messages, "a wrong count voids the time");
        took
    })
}

const OFFERED: &str = r#"
title = "As much as one core offers"
[[phases]]
kind = "steady"
duration = "1000s"
[populations.devices]
role = "publisher"
count = 1000
[populations.devices.fields.device]
source = "member"
[populations.devices.streams.readings]
channel = "bench.{device}"
arrival = { kind = "poisson", rate_per_s = 500.0 }
size = "128B"
[populations.reader]
role = "subscriber"
filter = "bench.*"
"#;

fn generator<C: Contender>(messages: u64) -> Duration {
    let scenario = parse("offered", OFFERED, &[], &Options::default()).expect("parses");
    let interest = Arc::new(Interest::new(&scenario));
    let cast = Arc::new(Cast::new(&scenario, &Default::default(), &interest));
    let seed = SeedStream::new(3);
    let mut sender = Sender::new(&scenario, seed, interest, cast, false);
    let settings = Settings::resolve(C::settings(), []).expect("defaults resolve");
    let mut pair = Pair::<C>::new(&settings);
    let (mut out, now) = (Vec::new(), Time::ZERO);
    pair.clients[1].connect(now, &mut pair.actions);
    pair.act(1, now, &mut out);
    let begun = Instant::now();
    for _ in 0..messages {
        let op = sender.next().expect("the plan is long enough");
        let now = Time::from_nanos(op.at_ns);
        sender.submit(&op, now, &mut pair.clients[1], &mut pair.actions);
        for action in pair.actions.drain() {
            if let Action::Outcome { ticket, outcome } = action {
                sender.ended(ticket.0 as u32, &outcome, now);
            }
        }
    }
    begun.elapsed()
}

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("closed_loop_128B_batches_of_128");
    group.throughput(Throughput::Elements(1)).sample_size(10);
    group.bench_function("nats", |b| {
        b.iter_custom(|n| {
            closed_loop::<CoreNats>(n.max(10_000)).mul_f64(n as f64 / n.max(10_000) as f64)
        })
    });
    group.bench_function("redis", |b| {
        b.iter_custom(|n| {
            closed_loop::<RedisPubSub>(n.max(10_000)).mul_f64(n as f64 / n.max(10_000) as f64)
        })
    });
    group.finish();
    let mut group = criterion.benchmark_group("generator_one_core");
    group.throughput(Throughput::Elements(1)).sample_size(10);
    group.bench_function("nats", |b| b.iter_custom(generator::<CoreNats>));
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
