//! Whatever clients send, in whatever order: the node answers and stays whole.

use broker_contract::{Broker as _, ConnId, Effect, FrameError, Input, Time};
use proptest::prelude::*;

use super::Bed;
use crate::frame::{Down, Kind, Up, Verb};
use crate::node::conn::gate;

const CONNS: u32 = 3;

#[derive(Clone, Debug)]
enum Step {
    Say(u32, Vec<Vec<u8>>),
    Reconnect(u32),
    Malformed(u32),
    Drained(u32, u64),
    Wait(u64),
}

/// Words that mean something to some command, and a few that mean nothing.
fn word() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "a",
        "b",
        "a*",
        "*",
        "3",
        "2",
        "1",
        "0",
        "-1",
        "on",
        "off",
        "skip",
        "yes",
        "no",
        "default",
        "alice",
        ">pw",
        "pw",
        "nopass",
        "+@all",
        "-@all",
        "+@pubsub",
        "-publish",
        "&a",
        "&*",
        "resetchannels",
        "reset",
        "AUTH",
        "SETNAME",
        "TYPE",
        "ID",
        "ADDR",
        "USER",
        "SKIPME",
        "pubsub",
        "normal",
        "timeout",
        "maxclients",
        "requirepass",
        "FILTERBY",
        "PATTERN",
        "ACLCAT",
        "client-output-buffer-limit",
        "pubsub 300 100 5",
        "normal 400 100 5",
        "all",
        "lib-name",
        "acllog-max-len",
        "acl-pubsub-default",
        "allchannels",
        "",
    ];
    prop_oneof![
        12 => prop::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let conn = 0..CONNS;
    let verb = prop::sample::select(Verb::all().collect::<Vec<_>>());
    let say =
        (conn.clone(), verb, prop::collection::vec(word(), 0..5)).prop_map(|(conn, verb, args)| {
            let name = verb.name().split('|').map(|word| word.as_bytes().to_vec());
            Step::Say(conn, name.chain(args).collect())
        });
    prop_oneof![
        20 => say,
        1 => conn.clone().prop_map(Step::Reconnect),
        1 => conn.clone().prop_map(Step::Malformed),
        2 => (conn, 0..500_u64).prop_map(|(conn, bytes)| Step::Drained(conn, bytes)),
        2 => (0..8_u64).prop_map(Step::Wait),
    ]
}

/// What must hold between any two inputs.
fn check(bed: &Bed) {
    let node = &bed.node;
    for (at, state) in node.conns.iter() {
        for kind in [Kind::Channel, Kind::Pattern, Kind::Shard] {
            let names = node.topics.names_of(&node.conns, at, kind);
            let count = match kind {
                Kind::Channel => state.channels,
                Kind::Pattern => state.patterns,
                Kind::Shard => state.shards,
            };
            assert_eq!(names.len(), count as usize);
        }
        let user = node.users.get(state.user);
        assert_eq!(state.is(gate::GUARDED), !user.is_unlimited());
        assert!(!state.is(gate::CLOSING | gate::SKIP_NEXT));
        let waiting = state.extra.as_ref().map_or(0, |extra| extra.transaction.commands.len());
        assert!(state.is(gate::MULTI) || waiting == 0);
    }
    assert!(node.scratch.own.is_empty() && node.scratch.cut.is_empty() && node.executing.is_none());
}

/// Every frame goes to an open connection; after a close nothing does.
fn take(bed: &mut Bed, open: &mut [bool], input: Input<crate::Redis>) -> Vec<(u32, Down)> {
    bed.node.handle(bed.now, input, &mut bed.out);
    let mut sent = Vec::new();
    for effect in bed.out.drain() {
        match effect {
            Effect::Send { conn, frame } => {
                assert!(open[conn.0 as usize], "a frame for a closed connection");
                sent.push((conn.0, frame));
            }
            Effect::Close { conn, .. } => {
                assert!(open[conn.0 as usize], "closed twice");
                open[conn.0 as usize] = false;
            }
            _ => {}
        }
    }
    sent
}

fn connect(bed: &mut Bed, open: &mut [bool], conn: u32) {
    open[conn as usize] = true;
    let origin = broker_contract::Origin::default();
    take(bed, open, Input::Opened { conn: ConnId(conn), origin });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn the_node_stays_whole(steps in prop::collection::vec(step(), 1..80)) {
        let mut bed = Bed::open(0);
        let mut open = [false; CONNS as usize];
        (0..CONNS).for_each(|conn| connect(&mut bed, &mut open, conn));
        for step in steps {
            match step {
                Step::Say(conn, words) if open[conn as usize] => {
                    let plain = bed.node.conns.get(conn).gates == 0;
                    let frame = Up::from_args(&words).expect("there are words");
                    let quiet = matches!(
                        frame.verb(),
                        Some(Verb::ClientReply)
                    ) || matches!(frame, Up::Other { .. });
                    let input = Input::Frame { conn: ConnId(conn), frame };
                    let sent = take(&mut bed, &mut open, input);
                    // Whoever is in no special state gets an answer to everything.
                    prop_assert!(!plain || quiet || sent.iter().any(|(to, _)| *to == conn));
                }
                Step::Say(..) => {}
                Step::Reconnect(conn) => {
                    if open[conn as usize] {
                        take(&mut bed, &mut open, Input::Closed { conn: ConnId(conn) });
                    }
                    connect(&mut bed, &mut open, conn);
                }
                Step::Malformed(conn) => {
                    let error = FrameError("invalid bulk length".to_owned());
                    take(&mut bed, &mut open, Input::Malformed { conn: ConnId(conn), error });
                }
                Step::Drained(conn, bytes) => {
                    take(&mut bed, &mut open, Input::Drained { conn: ConnId(conn), bytes });
                }
                Step::Wait(seconds) => {
                    bed.now = Time::from_millis(bed.now.as_nanos() / 1_000_000 + seconds * 1_000);
                    while bed.node.deadline().is_some_and(|due| due <= bed.now) {
                        take(&mut bed, &mut open, Input::Tick);
                    }
                }
            }
            check(&bed);
        }
    }
}
