//! The node, frame by frame. Expected texts are what the original answered.

mod access;
mod administration;
mod anything;
mod clients;
mod limits;
mod model;
mod rules;
mod transactions;

use broker_contract::{
    Boot, Broker, CloseReason, ConnId, Effect, Effects, Input, MemoryDisk, NodeId, Note, Origin,
    SeedStream, Time,
};

use super::{Redis, RedisConfig};
use crate::frame::{Change, Down, Kind, Proto, Reply, Up};

/// A node with a driver that reads everything at once.
pub(super) struct Bed {
    pub node: Redis,
    /// Who has proved who they are, or has to, in order.
    pub trust: Vec<(u32, bool)>,
    pub out: Effects<Redis>,
    pub now: Time,
}

impl Bed {
    pub fn new(config: RedisConfig) -> Bed {
        let mut out = Effects::new(Box::new(MemoryDisk::new()));
        let boot = Boot { seed: SeedStream::new(1), node: NodeId(0), peers: vec![NodeId(0)] };
        let node = Redis::boot(&config, boot, Time::ZERO, &mut out).expect("boots");
        Bed { node, trust: Vec::new(), out, now: Time::ZERO }
    }

    /// With `conns` connections open.
    pub fn open(conns: u32) -> Bed {
        let mut bed = Bed::new(RedisConfig::default());
        for conn in 0..conns {
            assert_eq!(bed.connect(conn), [] as [String; 0]);
        }
        bed
    }

    pub fn input(&mut self, input: Input<Redis>) -> Vec<String> {
        self.node.handle(self.now, input, &mut self.out);
        let mut lines = Vec::new();
        for effect in self.out.drain() {
            match effect {
                Effect::Note(Note::Trust { conn, is_proven }) => {
                    self.trust.push((conn.0, is_proven));
                }
                effect => lines.push(shown(&effect)),
            }
        }
        lines
    }

    pub fn connect(&mut self, conn: u32) -> Vec<String> {
        self.input(Input::Opened { conn: ConnId(conn), origin: Origin::default() })
    }

    /// Sends a command and shows what it leads to, `conn< frame` a line.
    pub fn send(&mut self, conn: u32, up: Up) -> Vec<String> {
        self.input(Input::Frame { conn: ConnId(conn), frame: up })
    }

    /// The command as words, read as a codec reads it.
    pub fn run(&mut self, conn: u32, line: &str) -> Vec<String> {
        self.send(conn, parse(line))
    }

    pub fn hello3(&mut self, conn: u32) {
        assert_eq!(self.run(conn, "HELLO 3").len(), 1);
    }
}

/// Words as a codec reads them; `''` is an empty one.
pub(super) fn parse(line: &str) -> Up {
    let words: Vec<&str> =
        line.split(' ').map(|word| if word == "''" { "" } else { word }).collect();
    Up::from_args(&words).expect("there are words")
}

fn shown(effect: &Effect<Redis>) -> String {
    match effect {
        Effect::Send { conn, frame } => format!("{}< {}", conn.0, frame_shown(frame)),
        Effect::Close { conn, reason } => match reason {
            CloseReason::Protocol(text) => format!("{} closed: {text}", conn.0),
            reason => format!("{} closed: {reason:?}", conn.0),
        },
        Effect::Note(Note::Dropped { cause, message, .. }) => {
            let number = message.as_ref().map(|identity| identity.number);
            format!("dropped {}: {number:?}", cause.name())
        }
        other => format!("{other:?}"),
    }
}

fn frame_shown(frame: &Down) -> String {
    let mark = |proto: &Proto| if *proto == Proto::Resp3 { ">" } else { "" };
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match frame {
        Down::Message { proto, sharded, body } => format!(
            "{}{} {} {}",
            mark(proto),
            if *sharded { "smessage" } else { "message" },
            lossy(body.channel()),
            lossy(body.payload())
        ),
        Down::PatternMessage { proto, pattern, body } => format!(
            "{}pmessage {} {} {}",
            mark(proto),
            lossy(pattern),
            lossy(body.channel()),
            lossy(body.payload())
        ),
        Down::Confirmed { proto, change, kind, topic, count } => format!(
            "{}{} {} {count}",
            mark(proto),
            Down::confirmation_name(*change, *kind),
            topic.as_ref().map_or("(nil)".to_owned(), |topic| lossy(topic))
        ),
        Down::Reply(reply) => reply_shown(reply),
        Down::Answers(count) => format!("answers {count}"),
    }
}

fn reply_shown(reply: &Reply) -> String {
    let list = |replies: &[Reply]| {
        let shown: Vec<_> = replies.iter().map(reply_shown).collect();
        shown.join(" ")
    };
    match reply {
        Reply::Simple(text) => format!("+{text}"),
        Reply::Error(text) => format!("-{text}"),
        Reply::Integer(value) => format!(":{value}"),
        Reply::Bulk(bytes) => format!("'{}'", String::from_utf8_lossy(bytes)),
        Reply::Null(proto) => format!("(nil {})", proto.number()),
        Reply::Verbatim(_, bytes) | Reply::Double(_, bytes) => {
            format!("'{}'", String::from_utf8_lossy(bytes))
        }
        Reply::Array(elements) => format!("[{}]", list(elements)),
        Reply::Set(_, elements) => format!("<{}>", list(elements)),
        Reply::Map(proto, entries) => {
            let shown: Vec<_> = entries
                .iter()
                .map(|(key, value)| format!("{} {}", reply_shown(key), reply_shown(value)))
                .collect();
            format!("{{{} {}}}", proto.number(), shown.join(", "))
        }
    }
}

#[test]
fn effects_stay_small() {
    assert!(size_of::<Effect<Redis>>() <= 64, "{}", size_of::<Effect<Redis>>());
    assert_eq!(Down::confirmation_name(Change::Subscribe, Kind::Shard), "ssubscribe");
}
