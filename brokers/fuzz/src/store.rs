//! Nodes that boot from damaged files: they boot, perhaps cut back, or refuse with
//! their error.

use std::sync::OnceLock;
use std::time::Duration;

use broker_contract::{
    Action, Actions, Boot, Broker, Client, ClientInput, ClientStart, ConnId, Contender,
    Declaration, Disk, Effect, Effects, Input, LinkId, MemoryDisk, NodeId, Op, Origin, Publish,
    SeedStream, Ticket, Time, Want,
};

use crate::node::configured;

/// Bytes of a file that is not made longer any more.
const LONGEST: usize = 64 << 10;

/// A store of JetStream.
pub fn jetstream(data: &[u8]) {
    static STORE: OnceLock<MemoryDisk> = OnceLock::new();
    boot::<broker_nats::JetStream>(STORE.get_or_init(written::<broker_nats::JetStream>), data);
}

/// A store of the log.
pub fn kafka(data: &[u8]) {
    static STORE: OnceLock<MemoryDisk> = OnceLock::new();
    boot::<broker_kafka::KafkaLog>(STORE.get_or_init(written::<broker_kafka::KafkaLog>), data);
}

/// Damages a copy of `store` as `data` says, and boots from it. Each five bytes are a
/// file, a place in it, what to do there, and a byte. A first byte of 0xFF gives
/// the rest of `data` to the file that the second byte names.
fn boot<C: Contender>(store: &MemoryDisk, data: &[u8]) {
    let mut disk = store.clone();
    let names = disk.list("").expect("memory does not fail");
    assert!(!names.is_empty(), "something was stored");
    if let [0xFF, file, bytes @ ..] = data {
        replace(&mut disk, &names[usize::from(*file) % names.len()], bytes);
    } else {
        for change in data.chunks_exact(5).take(64) {
            damage(&mut disk, &names, change);
        }
    }
    let mut effects = Effects::new(Box::new(disk));
    let boot = Boot { seed: SeedStream::new(2), node: NodeId(0), peers: vec![NodeId(0)] };
    let config = configured::<C>().node;
    let node = <C::Client as Client>::Broker::boot(&config, boot, Time::ZERO, &mut effects);
    let Ok(mut node) = node else { return };
    for input in [Input::Tick, Input::Drain] {
        node.handle(Time::from_millis(1), input, &mut effects);
    }
}

fn contents(disk: &mut MemoryDisk, name: &str) -> Vec<u8> {
    let file = disk.open(name).expect("memory does not fail");
    let mut bytes = vec![0; disk.len(file).expect("it is open") as usize];
    disk.read_at(file, 0, &mut bytes).expect("it is open");
    bytes
}

fn replace(disk: &mut MemoryDisk, name: &str, bytes: &[u8]) {
    let file = disk.open(name).expect("memory does not fail");
    disk.truncate(file, 0).expect("it is open");
    disk.append(file, &[bytes]).expect("it is open");
}

fn damage(disk: &mut MemoryDisk, names: &[String], change: &[u8]) {
    let name = &names[usize::from(change[0]) % names.len()];
    let mut bytes = contents(disk, name);
    let place = usize::from(u16::from_be_bytes([change[1], change[2]]));
    let at = if bytes.is_empty() { 0 } else { place % bytes.len() };
    match change[3] % 6 {
        0 if !bytes.is_empty() => bytes[at] = change[4],
        1 if !bytes.is_empty() => bytes[at] ^= 1 << (change[4] % 8),
        2 => bytes.truncate(at),
        3 => drop(bytes.splice(at..at, std::iter::repeat_n(change[4], 8))),
        4 if bytes.len() < LONGEST => {
            let twice = bytes[at..].to_vec();
            bytes.extend_from_slice(&twice);
        }
        _ => {
            let end = bytes.len().min(at + usize::from(change[4]));
            bytes.drain(at..end);
        }
    }
    replace(disk, name, &bytes);
}

/// What a node keeps after a client has made a log and published to it.
fn written<C: Contender>() -> MemoryDisk {
    let configured = configured::<C>();
    let mut effects = Effects::new(Box::new(MemoryDisk::new()));
    let boot = Boot { seed: SeedStream::new(1), node: NodeId(0), peers: vec![NodeId(0)] };
    let mut node =
        <C::Client as Client>::Broker::boot(&configured.node, boot, Time::ZERO, &mut effects)
            .expect("an empty disk boots");
    let start = ClientStart { id: 0, seed: SeedStream::new(3) };
    let mut client = C::Client::new(&configured.client, start);
    let mut actions = Actions::new();
    let mut now = Time::ZERO;
    client.connect(now, &mut actions);
    let mut open: Vec<LinkId> = Vec::new();
    for step in 0..400_u64 {
        if step == 20 {
            let filters = ["orders", "orders.>"];
            let log = Declaration { name: "orders", filters: &filters, partitions: Some(2) };
            client.submit(now, Ticket(0), &Op::Declare(log), &mut actions).expect("it stores");
        }
        if (100..140).contains(&step) {
            let publish = Publish {
                channel: "orders.new",
                key: None,
                headers: &[],
                payload: &[b'x'; 40],
                want: Want::Stored,
            };
            client
                .submit(now, Ticket(step), &Op::Publish(publish), &mut actions)
                .expect("it stores");
        }
        for _ in 0..1_000 {
            if actions.is_empty() && effects.is_empty() {
                break;
            }
            for action in actions.drain().collect::<Vec<_>>() {
                match action {
                    Action::Connect { link, .. } => {
                        let conn = ConnId(open.len() as u32);
                        open.push(link);
                        let opened = Input::Opened { conn, origin: Origin::default() };
                        node.handle(now, opened, &mut effects);
                        client.handle(now, ClientInput::Connected { link }, &mut actions);
                    }
                    Action::Send { link, frame } => {
                        let at = open.iter().rposition(|known| *known == link).expect("open");
                        let conn = ConnId(at as u32);
                        node.handle(now, Input::Frame { conn, frame }, &mut effects);
                    }
                    _ => {}
                }
            }
            for effect in effects.drain().collect::<Vec<_>>() {
                match effect {
                    Effect::Send { conn, frame } => {
                        let link = open[conn.0 as usize];
                        client.handle(now, ClientInput::Frame { link, frame }, &mut actions);
                    }
                    Effect::Sync { file, token } => {
                        let disk = effects.disk_as::<MemoryDisk>().expect("it is memory");
                        disk.complete_sync(file);
                        node.handle(now, Input::Synced { token, result: Ok(()) }, &mut effects);
                    }
                    _ => {}
                }
            }
        }
        now = now + Duration::from_millis(20);
        if client.deadline().is_some_and(|due| due <= now) {
            client.handle(now, ClientInput::Tick, &mut actions);
        }
        if node.deadline().is_some_and(|due| due <= now) {
            node.handle(now, Input::Tick, &mut effects);
        }
    }
    effects.disk_as::<MemoryDisk>().expect("it is memory").clone()
}
