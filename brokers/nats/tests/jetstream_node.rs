//! JetStream as a client sees it: native frames to a node that hosts it.

use broker_contract::{
    Boot, Broker, ConnId, CrashKind, Effect, Effects, Frame, Input, MemoryDisk, NodeId, Note,
    Origin, SeedStream, Time,
};
use broker_nats::frame::{ConnectOptions, Down, Message, Up, headers};
use broker_nats::{JetStreamConfig, Nats, NatsConfig, SyncPolicy};

/// A node with one connection, which subscribes to `in.>` as 1.
struct Rig {
    node: Nats,
    out: Effects<Nats>,
    now: Time,
    config: NatsConfig,
    sent: Vec<Message>,
    notes: Vec<Note>,
    syncs: usize,
    syncs_complete: bool,
    waiting: Vec<(broker_contract::FileId, broker_contract::SyncToken, u64)>,
}

fn config(sync: SyncPolicy) -> NatsConfig {
    let jetstream = JetStreamConfig { sync, ..JetStreamConfig::default() };
    NatsConfig { jetstream: Some(jetstream), ..NatsConfig::default() }
}

fn boot(config: &NatsConfig, now: Time, out: &mut Effects<Nats>) -> Nats {
    let boot = Boot { seed: SeedStream::new(1), node: NodeId(0), peers: vec![NodeId(0)] };
    Nats::boot(config, boot, now, out).expect("boots")
}

impl Rig {
    fn new(sync: SyncPolicy) -> Rig {
        let config = config(sync);
        let mut out = Effects::new(Box::new(MemoryDisk::new()));
        let node = boot(&config, Time::ZERO, &mut out);
        let mut rig = Rig {
            node,
            out,
            now: Time::from_millis(1),
            config,
            sent: Vec::new(),
            notes: Vec::new(),
            syncs: 0,
            syncs_complete: true,
            waiting: Vec::new(),
        };
        rig.connect();
        rig
    }

    fn connect(&mut self) {
        self.handle(Input::Opened { conn: ConnId(0), origin: Origin::default() });
        let connect = ConnectOptions {
            verbose: Some(false),
            pedantic: Some(false),
            headers: true,
            no_responders: true,
            protocol: 1,
            ..ConnectOptions::default()
        };
        self.up(Up::Connect(Box::new(connect)));
        self.up(Up::subscribe(b"in.>", None, 1));
        self.sent.clear();
    }

    fn up(&mut self, frame: Up) {
        self.handle(Input::Frame { conn: ConnId(0), frame });
    }

    fn handle(&mut self, input: Input<Nats>) {
        self.node.handle(self.now, input, &mut self.out);
        self.take();
    }

    fn take(&mut self) {
        let mut pending = Vec::new();
        let mut drained = 0;
        for effect in self.out.drain() {
            match effect {
                Effect::Send { frame, .. } => {
                    drained += frame.wire_len() as u64;
                    if let Down::Message { message, .. } = frame {
                        self.sent.push(message);
                    }
                }
                Effect::Sync { file, token } => pending.push((file, token)),
                Effect::Note(note) => self.notes.push(note),
                Effect::Close { reason, .. } => panic!("closed: {reason:?}"),
                Effect::Peer { .. } => unreachable!("there is one node"),
            }
        }
        for (file, token) in pending {
            self.syncs += 1;
            let len = self.out.disk().len(file).expect("is open");
            self.waiting.push((file, token, len));
        }
        if drained > 0 {
            self.handle(Input::Drained { conn: ConnId(0), bytes: drained });
        }
        if self.syncs_complete {
            self.complete_syncs();
        }
    }

    fn complete_syncs(&mut self) {
        for (file, token, len) in std::mem::take(&mut self.waiting) {
            let disk = self.out.disk_as::<MemoryDisk>().expect("is a memory disk");
            disk.complete_sync_to(file, len);
            self.handle(Input::Synced { token, result: Ok(()) });
        }
    }

    /// Publishes with a reply, and returns what came.
    fn request(&mut self, subject: &str, body: &str) -> Vec<String> {
        self.sent.clear();
        self.up(Up::Publish(Message::new(subject.as_bytes(), b"in.r", b"", body.as_bytes())));
        self.texts()
    }

    /// What was sent since the last request: `subject reply|status payload`.
    fn texts(&mut self) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        std::mem::take(&mut self.sent)
            .iter()
            .map(|message| {
                let middle = match headers::status(message.headers()) {
                    Some(status) => text(status),
                    None => text(message.reply()),
                };
                format!("{} {middle} {}", text(message.subject()), text(message.payload()))
            })
            .collect()
    }

    fn advance(&mut self, millis: u64) {
        let until = self.now + std::time::Duration::from_millis(millis);
        while let Some(due) = self.node.deadline().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.handle(Input::Tick);
        }
        self.now = until;
    }

    fn crash(&mut self, kind: CrashKind) {
        self.waiting.clear();
        self.out.clear();
        self.out
            .disk_as::<MemoryDisk>()
            .expect("is a memory disk")
            .crash(kind, |bytes| bytes / 2 + 1);
        self.node = boot(&self.config, self.now, &mut self.out);
        self.take();
        self.connect();
    }
}

const TWO_MINUTES: SyncPolicy = SyncPolicy::Interval(std::time::Duration::from_secs(120));

#[test]
fn a_stream_stores_and_a_pull_consumer_delivers() {
    let mut rig = Rig::new(TWO_MINUTES);
    let created = rig.request("$JS.API.STREAM.CREATE.S", r#"{"name":"S","subjects":["s.>"]}"#);
    assert!(created[0].contains("stream_create_response"), "{created:?}");
    assert_eq!(rig.request("s.1", "one"), [r#"in.r  {"stream":"S","seq":1}"#]);
    assert_eq!(rig.request("s.2", "two"), [r#"in.r  {"stream":"S","seq":2}"#]);
    let consumer = r#"{"stream_name":"S","config":{"durable_name":"C","ack_policy":"explicit"}}"#;
    let made = rig.request("$JS.API.CONSUMER.DURABLE.CREATE.S.C", consumer);
    assert!(made[0].contains(r#""num_pending":2"#), "{made:?}");
    let got = rig.request("$JS.API.CONSUMER.MSG.NEXT.S.C", "1");
    assert_eq!(got.len(), 1, "{got:?}");
    assert!(got[0].starts_with("s.1 $JS.ACK.S.C.1.1.1."), "{got:?}");
    assert!(got[0].ends_with(".1 one"), "{got:?}");
    let reply = got[0].split(' ').nth(1).expect("has a reply").to_owned();
    assert_eq!(rig.request(&reply, ""), ["in.r  "]);
    rig.request("$JS.API.CONSUMER.MSG.NEXT.S.C", "1");
    // Not acknowledged, so it comes again.
    rig.advance(30_001);
    let again = rig.request("$JS.API.CONSUMER.MSG.NEXT.S.C", "1");
    assert!(again[0].starts_with("s.2 $JS.ACK.S.C.2.2.3."), "{again:?}");
    assert!(rig.notes.contains(&Note::Sometimes("redelivered")));
    assert_eq!(rig.request("elsewhere", ""), ["in.r 503 "]);
    assert_eq!(rig.request("$JS.API.CONSUMER.MSG.NEXT.S.X", "1"), ["in.r 503 "]);
}

#[test]
fn push_begins_when_somebody_subscribes() {
    let mut rig = Rig::new(TWO_MINUTES);
    rig.request("$JS.API.STREAM.CREATE.S", r#"{"name":"S","subjects":["s"],"storage":"memory"}"#);
    rig.request("s", "early");
    let consumer = r#"{"stream_name":"S","config":{"deliver_subject":"push.here"}}"#;
    rig.request("$JS.API.CONSUMER.CREATE.S", consumer);
    rig.sent.clear();
    rig.up(Up::subscribe(b"push.here", None, 7));
    let got = rig.texts();
    assert_eq!(got.len(), 1, "{got:?}");
    assert!(got[0].starts_with("s $JS.ACK.S.") && got[0].ends_with(" early"), "{got:?}");
    rig.request("s", "late");
    rig.up(Up::Unsubscribe { sid: 7, max: None });
    rig.request("s", "away");
    rig.sent.clear();
    rig.up(Up::subscribe(b"push.*", None, 8));
    let got = rig.texts();
    assert_eq!(got.len(), 1, "{got:?}");
    assert!(got[0].ends_with(" away"), "{got:?}");
}

#[test]
fn a_killed_process_keeps_everything_and_the_power_what_was_synced() {
    let mut rig = Rig::new(TWO_MINUTES);
    rig.request("$JS.API.STREAM.CREATE.S", r#"{"name":"S","subjects":["s"]}"#);
    for number in 0..10 {
        rig.request("s", &number.to_string());
    }
    rig.crash(CrashKind::ProcessKill);
    assert_eq!(rig.request("s", "x"), [r#"in.r  {"stream":"S","seq":11}"#]);
    rig.advance(120_001);
    for number in 0..10 {
        rig.request("s", &number.to_string());
    }
    rig.crash(CrashKind::PowerLoss);
    let ack = rig.request("s", "y").remove(0);
    let seq: u64 =
        ack.trim_end_matches('}').rsplit(':').next().expect("a number").parse().expect("reads");
    assert!((12..21).contains(&seq), "lost a tail and nothing else: {ack}");
    assert!(rig.notes.contains(&Note::Sometimes("torn tail cut")), "{:?}", rig.notes);
}

#[test]
fn with_sync_always_nothing_is_acknowledged_before_it_is_durable() {
    let mut rig = Rig::new(SyncPolicy::Always);
    rig.request("$JS.API.STREAM.CREATE.S", r#"{"name":"S","subjects":["s"]}"#);
    rig.syncs_complete = false;
    let before = rig.syncs;
    for number in 0..100 {
        assert!(rig.request("s", &number.to_string()).is_empty(), "nothing is durable yet");
    }
    assert_eq!(rig.syncs, before + 1, "one sync runs");
    rig.complete_syncs();
    assert_eq!(rig.texts().len(), 1, "the first alone was appended when it began");
    assert_eq!(rig.syncs, before + 2, "the others share the next");
    rig.complete_syncs();
    assert_eq!(rig.texts().len(), 99);
    rig.request("s", "unsynced");
    rig.crash(CrashKind::PowerLoss);
    rig.syncs_complete = true;
    assert_eq!(rig.request("s", "x"), [r#"in.r  {"stream":"S","seq":101}"#]);
}
