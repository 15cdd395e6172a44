//! The state machine of a group under any order of events, and what is stored.

use std::collections::BTreeMap;

use broker_contract::ConnId;
use bytes::Bytes;
use proptest::prelude::*;

use super::records::{Key, StoredGroup};
use super::*;
use crate::node::conns::Conns;

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Somebody who asks; the number comes back in the answer.
fn asker(conns: &mut Conns, correlation: i32) -> Asker {
    conns.open(ConnId(0), String::new());
    let from = conns.reference(ConnId(0)).expect("is open");
    Asker { from, correlation, version: 9 }
}

#[derive(Copy, Clone, Debug)]
enum Event {
    /// A member without an id joins, static or not.
    Enter {
        client: usize,
        is_static: bool,
    },
    /// A client joins (again) with the id that it has.
    Join {
        client: usize,
        other: bool,
    },
    /// A client asks for its assignment, in the generation that it knows or an
    /// older one; a leader assigns.
    Sync {
        client: usize,
        stale: bool,
    },
    Heartbeat {
        client: usize,
        stale: bool,
    },
    Leave {
        client: usize,
    },
    /// A process ends without a word: its id is forgotten.
    Die {
        client: usize,
    },
    Advance {
        ms: u64,
    },
}

fn event() -> impl Strategy<Value = Event> {
    let client = || 0usize..5;
    prop_oneof![
        4 => (client(), proptest::bool::weighted(0.2))
            .prop_map(|(client, is_static)| Event::Enter { client, is_static }),
        5 => (client(), proptest::bool::weighted(0.1))
            .prop_map(|(client, other)| Event::Join { client, other }),
        6 => (client(), proptest::bool::weighted(0.1))
            .prop_map(|(client, stale)| Event::Sync { client, stale }),
        2 => (client(), any::<bool>()).prop_map(|(client, stale)| Event::Heartbeat { client, stale }),
        1 => client().prop_map(|client| Event::Leave { client }),
        1 => client().prop_map(|client| Event::Die { client }),
        3 => (0u64..5_000).prop_map(|ms| Event::Advance { ms }),
    ]
}

/// What a client knows of itself.
#[derive(Clone, Debug, Default)]
struct Client {
    id: StrBytes,
    instance: Option<StrBytes>,
    generation: i32,
    /// As the leader of its generation, it knows the members.
    members: Vec<StrBytes>,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Leaders hand out a partition for each member. In no generation does a
    /// partition have two owners, no member two assignments, and everybody who
    /// asks is answered once.
    #[test]
    fn a_partition_has_one_owner_in_each_generation(
        events in proptest::collection::vec(event(), 1..120),
    ) {
        let config = GroupConfig::default();
        let mut conns = Conns::default();
        let mut group = Group::default();
        let mut now = Time::ZERO;
        let mut clients = vec![Client::default(); 5];
        let mut asked: BTreeMap<i32, (usize, i32)> = BTreeMap::new();
        let mut owners: BTreeMap<(i32, Bytes), StrBytes> = BTreeMap::new();
        let mut has: BTreeMap<(i32, StrBytes), Bytes> = BTreeMap::new();
        let mut number = 0;
        for event in events {
            number += 1;
            let mut said = Said::default();
            let to = asker(&mut conns, number);
            let join = |client: &Client, other: bool| Join {
                to,
                member: client.id.clone(),
                new_id: text(&format!("member-{number}")),
                instance: client.instance.clone(),
                client_id: text("c"),
                host: text("/h"),
                session: Duration::from_secs(6),
                rebalance: Duration::from_secs(9),
                protocol_type: text("consumer"),
                protocols: vec![(text("range"), Bytes::from(vec![u8::from(other)]))],
                needs_id: true,
            };
            match event {
                Event::Enter { client, is_static } => {
                    let instance = is_static.then(|| text(&format!("static-{client}")));
                    clients[client] = Client { instance, ..Client::default() };
                    asked.insert(number, (client, 0));
                    group.join(now, &config, join(&clients[client], false), &mut said);
                }
                Event::Join { client, other } if !clients[client].id.is_empty() => {
                    asked.insert(number, (client, 0));
                    group.join(now, &config, join(&clients[client], other), &mut said);
                }
                Event::Sync { client, stale } if clients[client].generation > 0 => {
                    let Client { id, instance, generation, members } = clients[client].clone();
                    // Everybody gets one partition, by the leader's own count.
                    let assignments = members
                        .iter()
                        .enumerate()
                        .map(|(at, id)| (id.clone(), Bytes::from(vec![at as u8])))
                        .collect();
                    let generation = generation - i32::from(stale);
                    asked.insert(number, (client, generation));
                    let ask = Sync {
                        to, member: id, instance, generation,
                        protocol_type: None, protocol: None, assignments,
                    };
                    group.sync(now, ask, &mut said);
                }
                Event::Heartbeat { client, stale } => {
                    let state = &clients[client];
                    let generation = state.generation - i32::from(stale);
                    let speaker =
                        Speaker { member: &state.id, instance: state.instance.as_ref(), generation };
                    let beat = group.heartbeat(now, speaker);
                    if stale || state.id.is_empty() {
                        prop_assert!(beat.is_err(), "a stale generation is refused");
                    }
                }
                Event::Leave { client } => {
                    let state = std::mem::take(&mut clients[client]);
                    // Refused for one who is out already; nothing follows from it.
                    let _ = group.leave(now, &state.id, None, &mut said);
                }
                Event::Die { client } => clients[client] = Client::default(),
                Event::Advance { ms } => {
                    now = now.plus_nanos(ms * 1_000_000);
                    group.tick(now, &config, &mut said);
                    prop_assert!(group.deadline().is_none_or(|due| due > now));
                }
                Event::Join { .. } | Event::Sync { .. } => {}
            }
            for (to, response) in said.answers {
                let (client, generation) =
                    asked.remove(&to.correlation).expect("who is answered has asked");
                match response {
                    Response::JoinGroup(answer) => {
                        let state = &mut clients[client];
                        if answer.error_code == ResponseError::MemberIdRequired.code() {
                            state.id = answer.member_id.clone();
                        } else if answer.error_code == 0 {
                            state.id = answer.member_id.clone();
                            state.generation = answer.generation_id;
                            state.members =
                                answer.members.iter().map(|m| m.member_id.clone()).collect();
                        }
                    }
                    Response::SyncGroup(answer) if answer.error_code == 0 => {
                        let id = clients[client].id.clone();
                        let part = answer.assignment.clone();
                        if !part.is_empty() {
                            let before = has.insert((generation, id.clone()), part.clone());
                            prop_assert!(before.is_none_or(|before| before == part));
                            let owner = owners.insert((generation, part), id.clone());
                            // A static member that came back has a new id and
                            // the assignment of the old, which is fenced.
                            let is_static = clients[client].instance.is_some();
                            prop_assert!(
                                owner.as_ref().is_none_or(|owner| *owner == id || is_static),
                                "{owner:?} and {id:?} in generation {generation}"
                            );
                        }
                    }
                    _ => {}
                }
            }
            // The state says what is waited for.
            let waits = group.members.values().any(|member| member.joins.is_some());
            match group.state {
                State::Empty => prop_assert!(group.members.is_empty()),
                State::PreparingRebalance => prop_assert!(group.joining.is_some()),
                State::CompletingRebalance | State::Stable => {
                    prop_assert!(!waits && group.joining.is_none());
                    let leader = group.leader.as_ref().expect("has a leader");
                    prop_assert!(group.members.contains_key(leader));
                }
                State::Dead => prop_assert!(false),
            }
        }
    }

    #[test]
    fn stored_groups_and_offsets_are_read_back(
        generation: i32, at_ms: i64, offset: i64, partition: i32,
        names in proptest::collection::vec("[a-z]{0,30}", 4), bytes: Vec<u8>, instance: bool,
    ) {
        let member = records::StoredMember {
            id: text(&names[0]),
            instance: instance.then(|| text(&names[1])),
            client_id: text(&names[2]),
            host: text(&names[3]),
            rebalance_ms: 1,
            session_ms: 2,
            subscription: bytes.clone().into(),
            assignment: bytes.clone().into(),
        };
        let group = StoredGroup {
            protocol_type: text("consumer"),
            generation,
            protocol: instance.then(|| text("range")),
            leader: None,
            changed_ms: at_ms,
            members: vec![member.clone(), member],
        };
        prop_assert_eq!(StoredGroup::decode(&group.encode()), Some(group));
        let committed =
            Committed { offset, leader_epoch: generation, metadata: text(&names[0]), at_ms };
        prop_assert_eq!(Committed::decode(&committed.encode()), Some(committed));
        let key = Key::Offset { group: text(&names[0]), topic: text(&names[1]), partition };
        prop_assert_eq!(Key::decode(&key.encode()), Some(key));
        let key = Key::Group(text(&names[2]));
        prop_assert_eq!(Key::decode(&key.encode()), Some(key));
        // Nothing that is stored makes a node fall.
        let _ = (Key::decode(&bytes), Committed::decode(&bytes), StoredGroup::decode(&bytes));
    }
}
