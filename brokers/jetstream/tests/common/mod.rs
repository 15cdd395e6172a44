//! A host for the library: a list of subscriptions, a disk in memory, a clock that
//! the test moves.

#![expect(dead_code, reason = "each test file uses a part of it")]

use std::time::Duration;

use broker_contract::{
    BootError, ConnId, CrashKind, Disk, FileId, MemoryDisk, Note, SeedStream, SyncToken, Time,
};
use broker_jetstream::{Host, JetStream, JetStreamConfig, Published, SyncPolicy};

/// A message that the library sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub to: String,
    pub subject: String,
    pub reply: String,
    pub headers: String,
    pub payload: Vec<u8>,
}

impl Sent {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }

    /// The status line behind the version, if it is a status.
    pub fn status(&self) -> Option<&str> {
        self.headers.strip_prefix("NATS/1.0 ")?.split("\r\n").next()
    }

    /// A number of the acknowledgement's subject: 0 deliveries, 1 stream sequence,
    /// 2 consumer sequence, 3 time, 4 pending.
    pub fn number(&self, place: usize) -> u64 {
        let token = self.reply.split('.').nth(4 + place).expect("is a delivery");
        token.parse().expect("is a number")
    }

    pub fn is_delivery(&self) -> bool {
        self.reply.starts_with("$JS.ACK.")
    }
}

/// What the library sees of the world.
pub struct World {
    pub disk: MemoryDisk,
    pub subscribed: Vec<String>,
    pub sent: Vec<Sent>,
    pub notes: Vec<Note>,
    pub syncs: Vec<(FileId, SyncToken, u64)>,
}

fn takes(filter: &str, subject: &str) -> bool {
    let (mut filter, mut subject) = (filter.split('.'), subject.split('.'));
    loop {
        match (filter.next(), subject.next()) {
            (Some(">"), Some(_)) | (None, None) => return true,
            (Some(one), Some(other)) if one == "*" || one == other => {}
            _ => return false,
        }
    }
}

impl Host for World {
    fn disk(&mut self) -> &mut dyn Disk {
        &mut self.disk
    }

    fn send(
        &mut self,
        to: &[u8],
        subject: &[u8],
        reply: &[u8],
        headers: &[u8],
        payload: &[u8],
    ) -> bool {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if !self.subscribed.iter().any(|filter| takes(filter, &text(to))) {
            return false;
        }
        self.sent.push(Sent {
            to: text(to),
            subject: text(subject),
            reply: text(reply),
            headers: text(headers),
            payload: payload.to_vec(),
        });
        true
    }

    fn has_interest(&mut self, subject: &[u8]) -> bool {
        let subject = String::from_utf8_lossy(subject);
        self.subscribed.iter().any(|filter| takes(filter, &subject))
    }

    fn sync(&mut self, file: FileId, token: SyncToken) {
        let len = self.disk.len(file).expect("a file to sync is open");
        self.syncs.push((file, token, len));
    }

    fn note(&mut self, note: Note) {
        self.notes.push(note);
    }
}

/// The library in its world.
pub struct Rig {
    pub server: JetStream,
    pub world: World,
    pub now: Time,
    pub config: JetStreamConfig,
    /// Whether syncs end at once.
    pub completes_syncs: bool,
    /// Whether the invariants are looked at after every input. Off where a test
    /// makes more messages than that is worth.
    pub checks: bool,
}

pub fn small_blocks() -> JetStreamConfig {
    JetStreamConfig { block_size: 4_096, ..JetStreamConfig::default() }
}

impl Rig {
    pub fn new() -> Rig {
        Rig::with(JetStreamConfig::default())
    }

    pub fn always() -> Rig {
        Rig::with(JetStreamConfig { sync: SyncPolicy::Always, ..JetStreamConfig::default() })
    }

    pub fn with(config: JetStreamConfig) -> Rig {
        Rig::on(config, MemoryDisk::new()).expect("an empty disk boots")
    }

    /// Boots from a disk.
    pub fn on(config: JetStreamConfig, disk: MemoryDisk) -> Result<Rig, BootError> {
        let mut world = World {
            disk,
            subscribed: vec!["in.>".to_owned()],
            sent: Vec::new(),
            notes: Vec::new(),
            syncs: Vec::new(),
        };
        let now = Time::from_millis(1);
        let server = JetStream::boot(&config, SeedStream::new(1), now, &mut world)?;
        Ok(Rig { server, world, now, config, completes_syncs: true, checks: true })
    }

    pub fn publish_with(
        &mut self,
        subject: &str,
        reply: &str,
        headers: &[(&str, &str)],
        payload: &[u8],
    ) -> bool {
        let mut block = String::new();
        if !headers.is_empty() {
            block.push_str("NATS/1.0\r\n");
            for (name, value) in headers {
                block.push_str(&format!("{name}: {value}\r\n"));
            }
            block.push_str("\r\n");
        }
        let published = Published {
            conn: ConnId(0),
            subject: subject.as_bytes(),
            reply: reply.as_bytes(),
            headers: block.as_bytes(),
            payload,
        };
        let taken = self.server.publish(self.now, &mut self.world, &published);
        self.settle_syncs();
        if self.checks {
            self.check();
        }
        taken
    }

    /// Fails unless everything agrees.
    pub fn check(&mut self) {
        if let Err(what) = self.server.check_invariants(&mut self.world.disk) {
            panic!("{what}");
        }
    }

    pub fn settle_syncs(&mut self) {
        while self.completes_syncs && !self.world.syncs.is_empty() {
            for (file, token, len) in std::mem::take(&mut self.world.syncs) {
                self.world.disk.complete_sync_to(file, len);
                self.server.synced(self.now, &mut self.world, token, Ok(()));
            }
        }
    }

    /// Publishes without headers; returns the answer.
    pub fn publish(&mut self, subject: &str, payload: &str) -> String {
        self.request_with(subject, &[], payload)
    }

    /// Publishes with a reply and returns the one answer.
    pub fn request_with(
        &mut self,
        subject: &str,
        headers: &[(&str, &str)],
        payload: &str,
    ) -> String {
        let before = self.world.sent.len();
        assert!(self.publish_with(subject, "in.r", headers, payload.as_bytes()), "{subject}");
        let answers: Vec<Sent> = self.world.sent.drain(before..).collect();
        let mut own = answers.iter().filter(|sent| sent.to == "in.r");
        let text = own.next().map(Sent::text).unwrap_or_default();
        self.world.sent.extend(answers.into_iter().filter(|sent| sent.to != "in.r"));
        text
    }

    /// A request to the API.
    pub fn api(&mut self, request: &str, body: &str) -> String {
        self.request_with(&format!("$JS.API.{request}"), &[], body)
    }

    /// The same, as a value.
    pub fn api_value(&mut self, request: &str, body: &str) -> serde_json::Value {
        serde_json::from_str(&self.api(request, body)).expect("an answer is JSON")
    }

    /// Makes a stream of this configuration, and fails if it is refused.
    pub fn stream(&mut self, name: &str, fields: &str) {
        let comma = if fields.is_empty() { "" } else { "," };
        let body = format!("{{\"name\":\"{name}\"{comma}{fields}}}");
        let answer = self.api(&format!("STREAM.CREATE.{name}"), &body);
        assert!(!answer.contains("\"error\""), "{answer}");
    }

    /// Makes a consumer of this configuration, and fails if it is refused.
    pub fn consumer(&mut self, stream: &str, name: &str, fields: &str) {
        let comma = if fields.is_empty() { "" } else { "," };
        let body = format!(
            "{{\"stream_name\":\"{stream}\",\"config\":{{\"name\":\"{name}\"{comma}{fields}}}}}"
        );
        let answer = self.api(&format!("CONSUMER.CREATE.{stream}.{name}"), &body);
        assert!(!answer.contains("\"error\""), "{answer}");
    }

    /// A pull request to the inbox `in.p`; returns what came to it.
    pub fn pull(&mut self, stream: &str, name: &str, body: &str) -> Vec<Sent> {
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}");
        self.publish_with(&subject, "in.p", &[], body.as_bytes());
        self.take("in.p")
    }

    /// What was sent to `to` so far.
    pub fn take(&mut self, to: &str) -> Vec<Sent> {
        let (taken, rest) =
            std::mem::take(&mut self.world.sent).into_iter().partition(|sent| sent.to == to);
        self.world.sent = rest;
        taken
    }

    pub fn acknowledge(&mut self, delivery: &Sent, body: &str) {
        self.publish_with(&delivery.reply, "", &[], body.as_bytes());
    }

    pub fn subscribe(&mut self, filter: &str) {
        self.world.subscribed.push(filter.to_owned());
        self.server.subscribed(self.now, &mut self.world, filter.as_bytes());
        self.settle_syncs();
    }

    pub fn unsubscribe(&mut self, filter: &str) {
        self.world.subscribed.retain(|one| one != filter);
    }

    /// Lets time pass.
    pub fn advance(&mut self, millis: u64) {
        let until = self.now + Duration::from_millis(millis);
        let mut ticks = 0;
        while let Some(due) = self.server.deadline().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.server.tick(self.now, &mut self.world);
            self.settle_syncs();
            ticks += 1;
            assert!(ticks < 1_000_000, "a deadline is met by its tick");
        }
        self.now = until;
        if self.checks {
            self.check();
        }
    }

    /// Does what is due at once.
    pub fn work(&mut self) {
        self.advance(0);
    }

    /// Ends the process or the power, and boots from what is left.
    pub fn crash(&mut self, kind: CrashKind, torn: impl FnMut(usize) -> usize) {
        let mut disk = std::mem::take(&mut self.world.disk);
        disk.crash(kind, torn);
        self.world.disk = disk;
        self.reboot().expect("boots after a crash");
    }

    /// Boots again from the disk as it is.
    pub fn reboot(&mut self) -> Result<(), BootError> {
        self.world.syncs.clear();
        self.world.sent.clear();
        self.server = JetStream::boot(&self.config, SeedStream::new(1), self.now, &mut self.world)?;
        self.settle_syncs();
        if self.checks {
            self.check();
        }
        Ok(())
    }

    pub fn was_noted(&self, what: &'static str) -> bool {
        self.world.notes.contains(&Note::Sometimes(what))
    }

    /// The state of a stream: messages, first and last sequence.
    pub fn state(&mut self, stream: &str) -> (u64, u64, u64) {
        let info = self.api_value(&format!("STREAM.INFO.{stream}"), "");
        let state = |name: &str| info["state"][name].as_u64().expect("is there");
        (state("messages"), state("first_seq"), state("last_seq"))
    }

    /// The payload stored under a sequence.
    pub fn stored(&mut self, stream: &str, seq: u64) -> Option<String> {
        let request = format!("CONSUMER.CREATE.{stream}.peek");
        let body = format!(
            "{{\"stream_name\":\"{stream}\",\"config\":{{\"name\":\"peek\",\"mem_storage\":true,\
             \"deliver_policy\":\"by_start_sequence\",\"opt_start_seq\":{seq}}}}}"
        );
        self.api(&request, &body);
        let got = self.pull(stream, "peek", "{\"batch\":1,\"no_wait\":true}");
        self.api(&format!("CONSUMER.DELETE.{stream}.peek"), "");
        let first = got.into_iter().find(Sent::is_delivery)?;
        (first.number(1) == seq).then(|| first.text())
    }
}
