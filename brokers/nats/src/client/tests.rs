//! The client at the level of frames.

use std::sync::Arc;

use broker_contract::{
    AckPolicy, Action, Actions, Client, ClientInput, ClientStart, Envelope, Failure, Feature, Flow,
    Note, Op, Outcome, Publish, SeedStream, Settle, Start, Ticket, Time, Want,
};

use super::{ClientConfig, LINK, NatsClient};
use crate::frame::{Down, Info, Message, ServerError, ServerInfo, Up, headers};

/// A client and what it wanted done.
struct Rig {
    client: NatsClient,
    now: Time,
    sent: Vec<Up>,
    outcomes: Vec<(u64, Outcome)>,
    delivered: Vec<(u64, Envelope)>,
    notes: Vec<Note>,
    connects: usize,
    closes: usize,
    tickets: u64,
}

impl Rig {
    fn new(config: ClientConfig) -> Rig {
        let start = ClientStart { id: 1, seed: SeedStream::new(1) };
        Rig {
            client: NatsClient::new(&Arc::new(config), start),
            now: Time::ZERO,
            sent: Vec::new(),
            outcomes: Vec::new(),
            delivered: Vec::new(),
            notes: Vec::new(),
            connects: 0,
            closes: 0,
            tickets: 0,
        }
    }

    /// A client that has greeted.
    fn ready(config: ClientConfig) -> Rig {
        let mut rig = Rig::new(config);
        rig.act(|client, now, out| client.connect(now, out));
        rig.greet();
        rig.sent.clear();
        rig
    }

    fn act<R>(
        &mut self,
        act: impl FnOnce(&mut NatsClient, Time, &mut Actions<NatsClient>) -> R,
    ) -> R {
        let mut out = Actions::new();
        let result = act(&mut self.client, self.now, &mut out);
        for action in out.drain() {
            match action {
                Action::Connect { .. } => self.connects += 1,
                Action::Send { frame, .. } => self.sent.push(frame),
                Action::Close { .. } => self.closes += 1,
                Action::Outcome { ticket, outcome } => self.outcomes.push((ticket.0, outcome)),
                Action::Delivery(delivery) => {
                    self.delivered.push((delivery.subscription.0, delivery.message));
                }
                Action::Note(note) => self.notes.push(note),
            }
        }
        result
    }

    fn handle(&mut self, input: ClientInput<crate::Nats>) {
        self.act(|client, now, out| client.handle(now, input, out));
    }

    fn down(&mut self, frame: Down) {
        self.handle(ClientInput::Frame { link: LINK, frame });
    }

    fn greet(&mut self) {
        self.handle(ClientInput::Connected { link: LINK });
        self.down(info(1 << 20));
        self.down(Down::Pong);
    }

    fn lose(&mut self) {
        self.handle(ClientInput::Closed { link: LINK });
    }

    fn tick_at(&mut self, now: Time) {
        self.now = now;
        self.handle(ClientInput::Tick);
    }

    fn submit(&mut self, op: &Op<'_>) -> u64 {
        let ticket = self.tickets;
        self.tickets += 1;
        let support = self.act(|client, now, out| client.submit(now, Ticket(ticket), op, out));
        assert!(support.is_ok(), "{support:?}");
        ticket
    }

    fn publish(&mut self, channel: &str, payload: &[u8]) -> u64 {
        self.submit(&Op::Publish(message(channel, payload)))
    }

    fn subscribe(&mut self, filter: &str) -> u64 {
        self.submit(&Op::Subscribe {
            filter,
            group: None,
            start: Start::New,
            flow: Flow::default(),
        })
    }

    fn request(&mut self, channel: &str) -> u64 {
        let publish = message(channel, b"?");
        self.submit(&Op::Request { publish, timeout: std::time::Duration::from_secs(1) })
    }

    fn deliver(&mut self, sid: u64, subject: &str, payload: &[u8]) {
        let message = Message::new(subject.as_bytes(), b"", b"", payload);
        self.down(Down::message(sid, false, message));
    }

    /// Outcomes since the last call, as (ticket, text).
    fn outcomes(&mut self) -> Vec<(u64, String)> {
        let name = |outcome| match outcome {
            Outcome::Replied(answer) => {
                format!("replied {}", String::from_utf8_lossy(answer.payload()))
            }
            Outcome::Sent => "sent".to_owned(),
            Outcome::Done => "done".to_owned(),
            Outcome::Failed(failure) => format!("failed: {failure}"),
            Outcome::Unknown(failure) => format!("unknown: {failure}"),
            other => format!("{other:?}"),
        };
        std::mem::take(&mut self.outcomes)
            .into_iter()
            .map(|(ticket, outcome)| (ticket, name(outcome)))
            .collect()
    }

    fn sent(&mut self) -> Vec<Up> {
        std::mem::take(&mut self.sent)
    }
}

fn message<'a>(channel: &'a str, payload: &'a [u8]) -> Publish<'a> {
    Publish { channel, key: None, headers: &[], payload, want: Want::Usual }
}

fn info(max_payload: u64) -> Down {
    Down::Info(Box::new(Info {
        server: Arc::new(ServerInfo { max_payload, headers: true, ..ServerInfo::default() }),
        client_id: 0,
        client_ip: None,
        ldm: false,
        connect_info: false,
    }))
}

fn ends(list: &[(u64, &str)]) -> Vec<(u64, String)> {
    list.iter().map(|(ticket, text)| (*ticket, (*text).to_owned())).collect()
}

#[test]
fn it_greets_before_it_publishes() {
    let mut rig = Rig::new(ClientConfig { echo: false, ..ClientConfig::default() });
    let ticket = rig.publish("a", b"x");
    assert_eq!((rig.connects, rig.sent().len(), rig.outcomes().len()), (1, 0, 0));
    rig.handle(ClientInput::Connected { link: LINK });
    rig.down(info(100));
    let sent = rig.sent();
    let [Up::Connect(options), Up::Ping] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(
        (options.verbose, options.pedantic, options.echo),
        (Some(false), Some(false), Some(false))
    );
    assert!(options.headers && options.no_responders && options.protocol == 1);
    rig.down(Down::Pong);
    assert!(matches!(&rig.sent()[..], [Up::Publish(message)] if message.payload() == b"x"));
    assert_eq!(rig.outcomes(), ends(&[(ticket, "sent")]));
    // The server's second INFO is no new greeting.
    rig.down(info(100));
    assert_eq!(rig.sent(), []);
    let ticket = rig.publish("a", &[0; 101]);
    assert_eq!(
        rig.outcomes(),
        ends(&[(ticket, "refused: Maximum Payload Violation")])
            .into_iter()
            .map(|(t, text)| (t, format!("failed: {text}")))
            .collect::<Vec<_>>()
    );
}

#[test]
fn what_cannot_be_said_is_refused() {
    let mut rig = Rig::ready(ClientConfig::default());
    rig.publish("a b", b"x");
    rig.publish("", b"x");
    rig.subscribe("a..b");
    let bad = Publish { headers: &[("a:b", "c")], ..message("a", b"x") };
    rig.submit(&Op::Publish(bad));
    rig.submit(&Op::Unsubscribe { subscription: Ticket(99), after: None });
    let outcomes = rig.outcomes();
    assert_eq!(outcomes.len(), 5);
    assert!(outcomes.iter().all(|(_, text)| text.starts_with("failed")), "{outcomes:?}");
    assert_eq!(rig.sent(), []);
}

#[test]
fn what_core_nats_lacks_is_refused_with_a_reason() {
    let mut rig = Rig::ready(ClientConfig::default());
    let stored = |want| Op::Publish(Publish { want, ..message("a", b"") });
    let subscribe = |start, flow| Op::Subscribe { filter: "a", group: None, start, flow };
    let acked = Flow { ack: AckPolicy::Explicit, ..Flow::default() };
    let durable = Flow { durable: true, ..Flow::default() };
    let declaration = broker_contract::Declaration { name: "s", filters: &["a"], partitions: None };
    let settle = Op::Settle { subscription: Ticket(0), token: 1, settle: Settle::Ack };
    for (op, feature) in [
        (stored(Want::Stored), Feature::PublishAck),
        (stored(Want::StoredOnce(1)), Feature::Deduplication),
        (subscribe(Start::All, Flow::default()), Feature::Replay),
        (subscribe(Start::New, acked), Feature::Redelivery),
        (subscribe(Start::New, durable), Feature::DurableConsumer),
        (Op::Declare(declaration), Feature::Replay),
        (Op::Fetch { subscription: Ticket(0), max: 1 }, Feature::Pull),
        (settle, Feature::Redelivery),
    ] {
        let refused = rig.act(|client, now, out| client.submit(now, Ticket(7), &op, out));
        assert_eq!(refused.map_err(|error| error.feature), Err(feature), "{op:?}");
    }
    assert_eq!((rig.outcomes().len(), rig.sent().len()), (0, 0));
}

#[test]
fn a_subscription_is_in_force_at_its_pong() {
    let mut rig = Rig::ready(ClientConfig::default());
    let first = rig.subscribe("a.*");
    let second = rig.subscribe("b.*");
    let sub = |filter: &str, sid| Up::subscribe(filter.as_bytes(), None, sid);
    assert_eq!(rig.sent(), [sub("a.*", 1), Up::Ping, sub("b.*", 2), Up::Ping]);
    rig.deliver(1, "a.x", b"early");
    rig.down(Down::Pong);
    assert_eq!(rig.outcomes(), ends(&[(first, "done")]));
    rig.down(Down::error(ServerError::MaxSubscriptions));
    rig.down(Down::Pong);
    assert_eq!(
        rig.outcomes(),
        ends(&[(second, "failed: refused: maximum subscriptions exceeded")])
    );
    assert_eq!(rig.delivered.len(), 1);
    assert_eq!((rig.delivered[0].0, rig.delivered[0].1.payload()), (first, &b"early"[..]));
}

#[test]
fn an_ended_subscription_delivers_until_the_server_confirms() {
    let mut rig = Rig::ready(ClientConfig::default());
    let sub = rig.subscribe("a");
    rig.down(Down::Pong);
    let end = rig.submit(&Op::Unsubscribe { subscription: Ticket(sub), after: None });
    rig.deliver(1, "a", b"on its way");
    rig.down(Down::Pong);
    assert_eq!(rig.outcomes(), ends(&[(sub, "done"), (end, "done")]));
    assert_eq!(rig.delivered.len(), 1);
    let again = rig.submit(&Op::Unsubscribe { subscription: Ticket(sub), after: None });
    assert_eq!(rig.outcomes(), ends(&[(again, "failed: no such subscription")]));
}

#[test]
fn a_limit_outlives_a_reconnect() {
    let mut rig = Rig::ready(ClientConfig::default());
    let sub = rig.subscribe("a");
    rig.deliver(1, "a", b"1");
    rig.submit(&Op::Unsubscribe { subscription: Ticket(sub), after: Some(4) });
    rig.deliver(1, "a", b"2");
    assert!(rig.sent().contains(&Up::Unsubscribe { sid: 1, max: Some(4) }));
    rig.lose();
    rig.greet();
    assert!(rig.sent().contains(&Up::Unsubscribe { sid: 1, max: Some(2) }));
    rig.submit(&Op::Unsubscribe { subscription: Ticket(sub), after: Some(3) });
    assert!(rig.sent().contains(&Up::Unsubscribe { sid: 1, max: Some(1) }));
    for payload in [b"3", b"4"] {
        rig.deliver(1, "a", payload);
    }
    assert_eq!(rig.delivered.len(), 3);
    rig.down(Down::Pong);
    rig.down(Down::Pong);
    let outcomes = rig.outcomes();
    assert_eq!(outcomes.len(), 3);
    assert!(outcomes.iter().all(|(_, text)| text == "done"), "{outcomes:?}");
}

#[test]
fn requests_share_an_inbox() {
    let mut rig = Rig::ready(ClientConfig::default());
    let (one, two, three) = (rig.request("svc"), rig.request("svc"), rig.request("svc"));
    let sent = rig.sent();
    let [Up::Subscribe(inbox), Up::Publish(first), Up::Publish(second), Up::Publish(third)] =
        &sent[..]
    else {
        panic!("{sent:?}")
    };
    assert!(crate::subject::matches(&inbox.subject, first.reply()));
    let answer = |to: &Message, headers: &[u8], payload: &[u8]| {
        Down::message(1, false, Message::new(to.reply(), b"", headers, payload))
    };
    rig.down(answer(second, b"", b"two"));
    rig.down(answer(second, b"", b"two again"));
    assert_eq!(rig.notes, [Note::Wasted { messages: 1, bytes: 9 }]);
    rig.down(answer(third, &headers::no_responders(b"svc"), b""));
    assert_eq!(rig.outcomes(), ends(&[(two, "replied two"), (three, "failed: no responders")]));
    assert_eq!(rig.client.deadline(), Some(Time::from_millis(1_000)));
    rig.tick_at(Time::from_millis(1_000));
    assert_eq!(rig.outcomes(), ends(&[(one, "failed: timed out")]));
    rig.down(answer(first, b"", b"late"));
    assert_eq!(rig.outcomes(), []);
}

#[test]
fn it_comes_back_subscribes_again_and_sends_what_it_held() {
    let mut rig = Rig::ready(ClientConfig::default());
    let sub = rig.subscribe("a");
    let asked = rig.request("svc");
    rig.down(Down::Pong);
    rig.sent();
    assert_eq!(rig.outcomes(), ends(&[(sub, "done")]));
    rig.lose();
    assert_eq!(rig.connects, 2, "the first attempt comes at once");
    assert_eq!(rig.outcomes(), ends(&[(asked, "unknown: the connection was lost")]));
    let held = rig.publish("b", b"x");
    let late = rig.subscribe("c");
    // The next attempts wait.
    rig.lose();
    assert_eq!(rig.connects, 2);
    let due = rig.client.deadline().expect("it will try again");
    assert!((2_000..2_100).contains(&(due.as_nanos() / 1_000_000)), "{due}");
    rig.tick_at(due);
    assert_eq!((rig.connects, rig.outcomes().len()), (3, 0));
    rig.greet();
    let sent = rig.sent();
    let [
        Up::Connect(_),
        Up::Ping,
        Up::Subscribe(_),
        Up::Subscribe(a),
        Up::Subscribe(c),
        Up::Ping,
        Up::Publish(_),
    ] = &sent[..]
    else {
        panic!("{sent:?}")
    };
    assert_eq!((&*a.subject, &*c.subject), (&b"a"[..], &b"c"[..]));
    rig.down(Down::Pong);
    assert_eq!(rig.outcomes(), ends(&[(held, "sent"), (late, "done")]));
}

#[test]
fn what_does_not_fit_in_the_reconnect_buffer_is_given_up() {
    let mut rig = Rig::new(ClientConfig { reconnect_buffer: 100, ..ClientConfig::default() });
    rig.publish("a", &[0; 60]);
    let second = rig.publish("a", &[0; 60]);
    assert_eq!(
        rig.outcomes(),
        ends(&[(second, "failed: the client gave up: the reconnect buffer is full")])
    );
}

#[test]
fn it_gives_up_after_many_attempts() {
    let mut rig = Rig::new(ClientConfig { max_reconnect: 3, ..ClientConfig::default() });
    let (publish, sub, request) = (rig.publish("a", b"x"), rig.subscribe("a"), rig.request("svc"));
    let mut requested = Vec::new();
    for _ in 0..3 {
        rig.lose();
        while rig.client.deadline().is_some_and(|due| due <= Time::from_millis(1_000)) {
            rig.tick_at(Time::from_millis(1_000));
            requested.extend(rig.outcomes());
        }
        let due = rig.client.deadline().expect("it will try again");
        rig.tick_at(due);
    }
    assert_eq!(requested, ends(&[(request, "failed: timed out")]));
    rig.lose();
    let outcomes = rig.outcomes();
    assert_eq!(outcomes.iter().map(|(ticket, _)| *ticket).collect::<Vec<_>>(), [publish, sub]);
    assert!(outcomes.iter().all(|(_, text)| text.contains("gave up")), "{outcomes:?}");
    assert_eq!(rig.client.deadline(), None);
    let after = rig.publish("a", b"x");
    assert_eq!(
        rig.outcomes(),
        ends(&[(after, "failed: the client gave up: the connection is closed")])
    );
}

#[test]
fn it_pings_and_gives_a_silent_connection_up() {
    let mut rig = Rig::ready(ClientConfig::default());
    for minute in [2, 4] {
        assert_eq!(rig.client.deadline(), Some(Time::from_millis(minute * 60_000)));
        rig.tick_at(Time::from_millis(minute * 60_000));
        assert_eq!(rig.sent(), [Up::Ping]);
    }
    rig.tick_at(Time::from_millis(6 * 60_000));
    assert_eq!((rig.closes, rig.connects), (1, 2));
    rig.greet();
    rig.sent();
    rig.down(Down::Ping);
    assert_eq!(rig.sent(), [Up::Pong]);
}

#[test]
fn it_drains_before_it_goes() {
    let mut rig = Rig::ready(ClientConfig::default());
    let sub = rig.subscribe("a");
    rig.down(Down::Pong);
    let asked = rig.request("svc");
    rig.sent();
    rig.handle(ClientInput::Shutdown);
    assert_eq!(rig.sent(), [Up::Unsubscribe { sid: 1, max: None }, Up::Ping]);
    rig.deliver(1, "a", b"on its way");
    rig.down(Down::Pong);
    assert_eq!((rig.delivered.len(), rig.closes), (1, 0), "a request is still open");
    rig.tick_at(Time::from_millis(1_000));
    assert_eq!(rig.closes, 1);
    assert_eq!(rig.outcomes(), ends(&[(sub, "done"), (asked, "failed: timed out")]));
    rig.handle(ClientInput::Shutdown);
    rig.lose();
    assert_eq!((rig.closes, rig.connects, rig.client.deadline()), (1, 1, None));
}

#[test]
fn it_goes_at_once_when_nothing_is_under_way() {
    let mut rig = Rig::new(ClientConfig::default());
    rig.act(|client, now, out| client.connect(now, out));
    rig.handle(ClientInput::Shutdown);
    assert_eq!(rig.closes, 1);
    // With something held, it connects first.
    let mut rig = Rig::new(ClientConfig::default());
    let held = rig.publish("a", b"x");
    rig.handle(ClientInput::Shutdown);
    rig.greet();
    rig.down(Down::Pong);
    assert_eq!((rig.outcomes(), rig.closes), (ends(&[(held, "sent")]), 1));
}

/// A million publishers have to fit.
#[test]
fn a_publisher_is_compact() {
    let rig = Rig::ready(ClientConfig::default());
    assert!(rig.client.more.is_none());
    assert!(size_of::<NatsClient>() <= 128, "{}", size_of::<NatsClient>());
}

#[test]
fn a_failure_is_small() {
    assert!(size_of::<Failure>() <= 24);
}
