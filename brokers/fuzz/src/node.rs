//! Whole nodes behind their codec: what three connections say, in turn.

use broker_contract::{
    Boot, Broker, Codec, ConnId, Effect, Effects, Frame, Input, MemoryDisk, NodeId, Origin,
    SeedStream, Step, Time,
};
use broker_contract::{Contender, Decoder, Settings};
use broker_nats::codec::NatsText;
use broker_redis::codec::Resp;

const CONNECTIONS: usize = 3;

/// A bus.
pub fn redis(data: &[u8]) {
    let configured = configured::<broker_redis::RedisPubSub>();
    talk(&Resp::default(), &configured.node, data);
}

/// A NATS server with JetStream.
pub fn nats(data: &[u8]) {
    let configured = configured::<broker_nats::JetStream>();
    talk(&NatsText::default(), &configured.node, data);
}

pub(crate) fn configured<C: Contender>() -> broker_contract::Configured<C> {
    let settings = Settings::resolve(C::settings(), std::iter::empty::<(&str, &str)>())
        .expect("defaults are values");
    C::configure(&settings).expect("defaults agree")
}

/// The bytes are cut at each 0xFF; the byte behind it says which connection goes on,
/// or that it ends, or that time goes by.
fn talk<C: Codec>(codec: &C, config: &<C::Broker as Broker>::Config, data: &[u8]) {
    let mut effects = Effects::new(Box::new(MemoryDisk::with_capacity(8 << 20)));
    let boot = Boot { seed: SeedStream::new(1), node: NodeId(0), peers: vec![NodeId(0)] };
    let mut node =
        C::Broker::boot(config, boot, Time::ZERO, &mut effects).expect("an empty disk boots");
    let mut now = Time::ZERO;
    let mut conns: Vec<Option<(C::UpDecoder, Vec<u8>)>> = (0..CONNECTIONS).map(|_| None).collect();
    let mut at = 0;
    for (number, piece) in data.split(|byte| *byte == 0xFF).enumerate() {
        let (order, bytes) = match piece.split_first() {
            Some((order, bytes)) if number > 0 => (*order, bytes),
            _ => (0, piece),
        };
        at = (at + usize::from(order)) % CONNECTIONS;
        now = now + std::time::Duration::from_millis(u64::from(order >> 4));
        let conn = ConnId(at as u32);
        if order == 0x7F && conns[at].take().is_some() {
            node.handle(now, Input::Closed { conn }, &mut effects);
            release(&mut node, now, &mut effects, &mut conns);
            continue;
        }
        if conns[at].is_none() {
            conns[at] = Some((codec.up_decoder(), Vec::new()));
            node.handle(now, Input::Opened { conn, origin: Origin::default() }, &mut effects);
            release(&mut node, now, &mut effects, &mut conns);
        }
        if let Some((_, kept)) = &mut conns[at] {
            kept.extend_from_slice(bytes);
        }
        while let Some((decoder, kept)) = &mut conns[at] {
            match decoder.decode(kept) {
                Ok(Step::Frame { frame, used }) => {
                    kept.drain(..used);
                    node.handle(now, Input::Frame { conn, frame }, &mut effects);
                }
                Ok(Step::More { used }) => {
                    kept.drain(..used);
                    break;
                }
                Err(error) => {
                    node.handle(now, Input::Malformed { conn, error }, &mut effects);
                    release(&mut node, now, &mut effects, &mut conns);
                    if conns[at].take().is_some() {
                        node.handle(now, Input::Closed { conn }, &mut effects);
                    }
                }
            }
            release(&mut node, now, &mut effects, &mut conns);
        }
        if node.deadline().is_some_and(|due| due <= now) {
            node.handle(now, Input::Tick, &mut effects);
            release(&mut node, now, &mut effects, &mut conns);
        }
    }
    node.handle(now, Input::Drain, &mut effects);
}

/// Carries out what the node wants; whoever is sent something has read it at once.
fn release<B: Broker, D>(node: &mut B, now: Time, effects: &mut Effects<B>, conns: &mut [Option<D>])
where
    B::Down: Frame,
{
    for _ in 0..10_000 {
        let list: Vec<Effect<B>> = effects.drain().collect();
        if list.is_empty() {
            return;
        }
        for effect in list {
            match effect {
                Effect::Send { conn, frame } => {
                    assert!(conns[conn.0 as usize].is_some(), "{conn:?} is not open");
                    let bytes = frame.wire_len() as u64;
                    node.handle(now, Input::Drained { conn, bytes }, effects);
                }
                Effect::Close { conn, .. } => {
                    assert!(conns[conn.0 as usize].take().is_some(), "{conn:?} is not open");
                }
                Effect::Sync { file, token } => {
                    if let Some(disk) = effects.disk_as::<MemoryDisk>() {
                        disk.complete_sync(file);
                    }
                    node.handle(now, Input::Synced { token, result: Ok(()) }, effects);
                }
                Effect::Peer { .. } | Effect::Note(_) => {}
            }
        }
    }
    panic!("the node never stops");
}
