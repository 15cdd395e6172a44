//! The node at the level of frames.

mod groups;
mod limits;
mod protocol;
mod routing;
mod time;

use std::time::Duration;

use broker_contract::{
    Boot, Broker, Cause, CloseReason, ConnId, Effect, Effects, Frame, FrameError, Input,
    MemoryDisk, NodeId, Note, Origin, SeedStream, Time,
};

use super::{Nats, NatsConfig};
use crate::frame::{ConnectOptions, Down, Message, ServerError, Up};

/// A node, and what it sent, gathered per connection by number.
struct Rig {
    node: Nats,
    out: Effects<Nats>,
    now: Time,
    sent: Vec<Vec<Down>>,
    closed: Vec<(u32, CloseReason)>,
    notes: Vec<Note>,
}

impl Rig {
    fn new(config: NatsConfig) -> Rig {
        let mut out = Effects::new(Box::new(MemoryDisk::new()));
        let boot = Boot { seed: SeedStream::new(1), node: NodeId(0), peers: vec![NodeId(0)] };
        let node = Nats::boot(&config, boot, Time::ZERO, &mut out).expect("boots");
        Rig { node, out, now: Time::ZERO, sent: Vec::new(), closed: Vec::new(), notes: Vec::new() }
    }

    fn handle(&mut self, input: Input<Nats>) {
        self.node.handle(self.now, input, &mut self.out);
        for effect in self.out.drain() {
            match effect {
                Effect::Send { conn, frame } => {
                    let at = conn.0 as usize;
                    if self.sent.len() <= at {
                        self.sent.resize_with(at + 1, Vec::new);
                    }
                    self.sent[at].push(frame);
                }
                Effect::Close { conn, reason } => self.closed.push((conn.0, reason)),
                Effect::Note(note) => self.notes.push(note),
                other => panic!("core NATS does not ask for {other:?}"),
            }
        }
    }

    /// Opens a connection and lets it say `connect`; takes what was sent so far.
    fn open_with(&mut self, conn: u32, connect: ConnectOptions) {
        self.handle(Input::Opened { conn: ConnId(conn), origin: Origin::default() });
        self.up(conn, Up::Connect(Box::new(connect)));
        self.take(conn);
    }

    /// Opens a connection like a usual client's.
    fn open(&mut self, conn: u32) {
        self.open_with(conn, usual());
    }

    fn up(&mut self, conn: u32, frame: Up) {
        self.handle(Input::Frame { conn: ConnId(conn), frame });
    }

    fn subscribe(&mut self, conn: u32, filter: &str, queue: Option<&str>, sid: u64) {
        self.up(conn, Up::subscribe(filter.as_bytes(), queue.map(str::as_bytes), sid));
    }

    fn publish(&mut self, conn: u32, subject: &str, payload: &str) {
        self.up(conn, publish(subject, payload));
    }

    /// What was sent to a connection since the last call.
    fn take(&mut self, conn: u32) -> Vec<Down> {
        self.sent.get_mut(conn as usize).map(std::mem::take).unwrap_or_default()
    }

    /// The deliveries among that, as `sid:subject:payload`, drained as a transport
    /// would.
    fn messages(&mut self, conn: u32) -> Vec<String> {
        let frames = self.take(conn);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        frames
            .iter()
            .filter_map(|frame| match frame {
                Down::Message { sid, message, .. } => {
                    Some(format!("{sid}:{}:{}", text(message.subject()), text(message.payload())))
                }
                _ => None,
            })
            .collect()
    }

    fn drain_bytes(&mut self, conn: u32, bytes: u64) {
        self.handle(Input::Drained { conn: ConnId(conn), bytes });
    }

    /// Lets the node tick until `until`.
    fn advance(&mut self, until: Time) {
        let mut ticks = 0;
        while let Some(due) = self.node.deadline().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.handle(Input::Tick);
            ticks += 1;
            assert!(ticks < 1_000_000, "a deadline is met by its tick");
        }
        self.now = until;
    }
}

fn usual() -> ConnectOptions {
    ConnectOptions {
        verbose: Some(false),
        pedantic: Some(false),
        headers: true,
        no_responders: true,
        protocol: 1,
        ..ConnectOptions::default()
    }
}

fn publish(subject: &str, payload: &str) -> Up {
    Up::Publish(Message::new(subject.as_bytes(), b"", b"", payload.as_bytes()))
}
