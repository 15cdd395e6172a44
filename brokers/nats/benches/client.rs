//! What a client costs its application: messages of 128 bytes through `submit`
//! and `handle`, with the frames that a server would answer already made.
//!
//! The figures are the clients' share of `costs.toml`.

use std::hint::black_box;
use std::sync::Arc;

use broker_contract::{
    AckPolicy, Action, Actions, Client, ClientInput, ClientStart, Flow, GroupSeat, LinkId, Op,
    Publish, SeedStream, Settle, Start, Ticket, Time, Want,
};
use broker_nats::frame::{Down, Info, Message, ServerInfo, Up};
use broker_nats::{ClientConfig, JetStreamClient, JetStreamClientConfig, Nats, NatsClient};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const LINK: LinkId = LinkId(0);
const PAYLOAD: [u8; 128] = [7; 128];
/// Operations between two looks at the actions.
const BATCH: u64 = 128;

struct Rig<C: Client<Broker = Nats>> {
    client: C,
    out: Actions<C>,
    list: Vec<Action<C>>,
    tickets: u64,
}

impl<C: Client<Broker = Nats>> Rig<C> {
    /// A client that has greeted.
    fn new(config: &C::Config) -> Self {
        let start = ClientStart { id: 1, seed: SeedStream::new(1) };
        let (client, out) = (C::new(config, start), Actions::new());
        let mut rig = Rig { client, out, list: Vec::new(), tickets: 0 };
        rig.client.connect(Time::ZERO, &mut rig.out);
        rig.handle(ClientInput::Connected { link: LINK });
        let server = ServerInfo { max_payload: 1 << 20, headers: true, ..ServerInfo::default() };
        rig.down(Down::Info(Box::new(Info {
            server: Arc::new(server),
            client_id: 0,
            client_ip: None,
            ldm: false,
            connect_info: false,
        })));
        rig.down(Down::Pong);
        rig.take();
        rig
    }

    fn handle(&mut self, input: ClientInput<Nats>) {
        self.client.handle(Time::ZERO, input, &mut self.out);
    }

    fn down(&mut self, frame: Down) {
        self.handle(ClientInput::Frame { link: LINK, frame });
    }

    fn submit(&mut self, op: &Op<'_>) {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        self.client.submit(Time::ZERO, ticket, op, &mut self.out).expect("it is supported");
    }

    fn publish(&mut self) {
        let publish = Publish {
            channel: "telemetry.eu.17.reading",
            key: None,
            headers: &[],
            payload: &PAYLOAD,
            want: Want::Usual,
        };
        self.submit(&Op::Publish(publish));
    }

    /// Takes the actions; returns how many there were, and what was published.
    fn take(&mut self) -> (usize, Vec<Message>) {
        self.out.swap(&mut self.list);
        let count = self.list.len();
        let published = self.list.drain(..).filter_map(|action| match action {
            Action::Send { frame: Up::Publish(message), .. } => Some(message),
            _ => None,
        });
        let published = published.collect();
        (count, published)
    }

    /// Takes the actions as a driver does; returns how many there were.
    fn drop_actions(&mut self) -> usize {
        self.out.swap(&mut self.list);
        let count = self.list.len();
        self.list.clear();
        count
    }
}

fn js_rig() -> Rig<JetStreamClient> {
    let mut config = JetStreamClientConfig { max_async_pending: 1 << 20, ..Default::default() };
    config.consumer.pull_max_messages = 1 << 30;
    Rig::new(&Arc::new(config))
}

/// A subscription in force; returns the consumer's name.
fn consume(rig: &mut Rig<JetStreamClient>, ack: AckPolicy) -> String {
    rig.submit(&Op::Subscribe {
        filter: "telemetry.>",
        group: (ack != AckPolicy::None).then_some(GroupSeat { name: "g", seat: 0, seats: 1 }),
        start: Start::All,
        flow: Flow { ack, ..Flow::default() },
    });
    let mut answer = |body: &str| {
        let (_, mut published) = rig.take();
        let request = published.pop().expect("a request");
        let message = Message::new(request.reply(), b"", b"", body.as_bytes());
        rig.down(Down::message(1, false, message));
        String::from_utf8_lossy(request.subject()).rsplit('.').next().unwrap_or("").to_owned()
    };
    answer(r#"{"total":1,"streams":["S"]}"#);
    let name = answer("{}");
    rig.drop_actions();
    name
}

fn delivery(name: &str, seq: u64) -> Down {
    let reply = format!("$JS.ACK.S.{name}.1.{seq}.{seq}.1795563459684424300.0");
    let message = Message::new(b"telemetry.eu.17.reading", reply.as_bytes(), b"", &PAYLOAD);
    Down::message(2, false, message)
}

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("client");
    group.throughput(Throughput::Elements(BATCH));
    group.bench_function("core publish", |bencher| {
        let mut rig = Rig::<NatsClient>::new(&Arc::new(ClientConfig::default()));
        bencher.iter(|| {
            for _ in 0..BATCH {
                rig.publish();
            }
            assert_eq!(black_box(rig.drop_actions()), 2 * BATCH as usize);
        });
    });
    group.bench_function("jetstream publish and acknowledgement", |bencher| {
        let mut rig = js_rig();
        bencher.iter(|| {
            for _ in 0..BATCH {
                rig.publish();
            }
            let (_, published) = rig.take();
            for request in published {
                let ack = br#"{"stream":"S","seq":12345678}"#;
                rig.down(Down::message(1, false, Message::new(request.reply(), b"", b"", ack)));
            }
            assert_eq!(black_box(rig.drop_actions()), BATCH as usize);
        });
    });
    for (name, ack) in [
        ("jetstream delivery, ordered", AckPolicy::None),
        ("jetstream delivery and acknowledgement, pulled", AckPolicy::Explicit),
    ] {
        group.bench_function(name, |bencher| {
            let mut rig = js_rig();
            let consumer = consume(&mut rig, ack);
            let subscription = Ticket(1);
            let (mut seq, mut token) = (0, 0);
            bencher.iter(|| {
                for _ in 0..BATCH {
                    seq += 1;
                    rig.down(delivery(&consumer, seq));
                }
                if ack == AckPolicy::None {
                    assert_eq!(black_box(rig.drop_actions()), BATCH as usize);
                    return;
                }
                for _ in 0..BATCH {
                    token += 1;
                    rig.submit(&Op::Settle { subscription, token, settle: Settle::Ack });
                }
                assert_eq!(black_box(rig.drop_actions()), 3 * BATCH as usize);
            });
        });
    }
    group.finish();
}

criterion_group!(all, benches);
criterion_main!(all);
