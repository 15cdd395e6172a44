//! What the offsets topic holds, in the original's own layout.
//!
//! | key | value |
//! |---|---|
//! | version 1: group, topic, partition | version 3: offset, leader epoch, metadata, commit time |
//! | version 2: group | version 3: protocol type, generation, protocol, leader, time, members |
//!
//! Numbers are big-endian, strings and byte strings have a length in front (2 and
//! 4 bytes), -1 stands for none. A record without a value takes its key away.

use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;

use super::{Committed, Group};

const OFFSET_KEY: i16 = 1;
const GROUP_KEY: i16 = 2;
const VALUE: i16 = 3;

/// A key of the offsets topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A committed position.
    Offset {
        /// The group.
        group: StrBytes,
        /// The topic.
        topic: StrBytes,
        /// The partition.
        partition: i32,
    },
    /// Members and generation of a group.
    Group(StrBytes),
}

/// A member as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMember {
    /// Its id.
    pub id: StrBytes,
    /// Its instance id, if it is static.
    pub instance: Option<StrBytes>,
    /// How its client calls itself.
    pub client_id: StrBytes,
    /// Where it came from.
    pub host: StrBytes,
    /// Milliseconds that it has to join again.
    pub rebalance_ms: i32,
    /// Milliseconds after which it is gone without a sign.
    pub session_ms: i32,
    /// What it wants.
    pub subscription: Bytes,
    /// What it has.
    pub assignment: Bytes,
}

/// A group as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredGroup {
    /// "consumer".
    pub protocol_type: StrBytes,
    /// The generation.
    pub generation: i32,
    /// The assignor.
    pub protocol: Option<StrBytes>,
    /// The leader's id.
    pub leader: Option<StrBytes>,
    /// When it was stored, in Unix milliseconds.
    pub changed_ms: i64,
    /// Its members by id.
    pub members: Vec<StoredMember>,
}

impl Key {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Key::Offset { group, topic, partition } => {
                out.extend_from_slice(&OFFSET_KEY.to_be_bytes());
                put_text(&mut out, Some(group));
                put_text(&mut out, Some(topic));
                out.extend_from_slice(&partition.to_be_bytes());
            }
            Key::Group(group) => {
                out.extend_from_slice(&GROUP_KEY.to_be_bytes());
                put_text(&mut out, Some(group));
            }
        }
        out
    }

    /// Reads a key; `None` for one that is not known.
    pub fn decode(bytes: &[u8]) -> Option<Key> {
        let mut rest = bytes;
        Some(match short(&mut rest)? {
            OFFSET_KEY => Key::Offset {
                group: text(&mut rest)??,
                topic: text(&mut rest)??,
                partition: int(&mut rest)?,
            },
            GROUP_KEY => Key::Group(text(&mut rest)??),
            _ => return None,
        })
    }
}

impl Committed {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&VALUE.to_be_bytes());
        out.extend_from_slice(&self.offset.to_be_bytes());
        out.extend_from_slice(&self.leader_epoch.to_be_bytes());
        put_text(&mut out, Some(&self.metadata));
        out.extend_from_slice(&self.at_ms.to_be_bytes());
        out
    }

    /// Reads a committed position; `None` for bytes that are none.
    pub fn decode(bytes: &[u8]) -> Option<Committed> {
        let mut rest = bytes;
        if short(&mut rest)? != VALUE {
            return None;
        }
        let (offset, leader_epoch) = (long(&mut rest)?, int(&mut rest)?);
        let metadata = text(&mut rest)??;
        Some(Committed { offset, leader_epoch, metadata, at_ms: long(&mut rest)? })
    }
}

impl StoredGroup {
    /// What is stored of a group at this time.
    pub fn of(group: &Group, now_ms: i64) -> StoredGroup {
        let protocol = group.protocol.clone().unwrap_or_default();
        let millis =
            |time: std::time::Duration| i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
        let members = group.members.iter().map(|(id, member)| StoredMember {
            id: id.clone(),
            instance: member.instance.clone(),
            client_id: member.client_id.clone(),
            host: member.host.clone(),
            rebalance_ms: millis(member.rebalance),
            session_ms: millis(member.session),
            subscription: member.subscription(&protocol),
            assignment: member.assignment.clone(),
        });
        StoredGroup {
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            generation: group.generation,
            protocol: group.protocol.clone(),
            leader: group.leader.clone(),
            changed_ms: now_ms,
            members: members.collect(),
        }
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&VALUE.to_be_bytes());
        put_text(&mut out, Some(&self.protocol_type));
        out.extend_from_slice(&self.generation.to_be_bytes());
        put_text(&mut out, self.protocol.as_ref());
        put_text(&mut out, self.leader.as_ref());
        out.extend_from_slice(&self.changed_ms.to_be_bytes());
        out.extend_from_slice(&(self.members.len() as i32).to_be_bytes());
        for member in &self.members {
            put_text(&mut out, Some(&member.id));
            put_text(&mut out, member.instance.as_ref());
            put_text(&mut out, Some(&member.client_id));
            put_text(&mut out, Some(&member.host));
            out.extend_from_slice(&member.rebalance_ms.to_be_bytes());
            out.extend_from_slice(&member.session_ms.to_be_bytes());
            put_bytes(&mut out, &member.subscription);
            put_bytes(&mut out, &member.assignment);
        }
        out
    }

    /// Reads a stored group; `None` for bytes that are none.
    pub fn decode(bytes: &[u8]) -> Option<StoredGroup> {
        let mut rest = bytes;
        if short(&mut rest)? != VALUE {
            return None;
        }
        let protocol_type = text(&mut rest)??;
        let generation = int(&mut rest)?;
        let (protocol, leader) = (text(&mut rest)?, text(&mut rest)?);
        let changed_ms = long(&mut rest)?;
        let mut members = Vec::new();
        for _ in 0..int(&mut rest)? {
            members.push(StoredMember {
                id: text(&mut rest)??,
                instance: text(&mut rest)?,
                client_id: text(&mut rest)??,
                host: text(&mut rest)??,
                rebalance_ms: int(&mut rest)?,
                session_ms: int(&mut rest)?,
                subscription: bytes_of(&mut rest)?,
                assignment: bytes_of(&mut rest)?,
            });
        }
        Some(StoredGroup { protocol_type, generation, protocol, leader, changed_ms, members })
    }
}

fn put_text(out: &mut Vec<u8>, text: Option<&StrBytes>) {
    match text {
        // What comes in a request has a length of two bytes already.
        Some(text) => {
            let len = text.len().min(i16::MAX as usize);
            out.extend_from_slice(&(len as i16).to_be_bytes());
            out.extend_from_slice(&text.as_bytes()[..len]);
        }
        None => out.extend_from_slice(&(-1_i16).to_be_bytes()),
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as i32).to_be_bytes());
    out.extend_from_slice(bytes);
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

fn short(rest: &mut &[u8]) -> Option<i16> {
    take(rest).map(i16::from_be_bytes)
}

fn int(rest: &mut &[u8]) -> Option<i32> {
    take(rest).map(i32::from_be_bytes)
}

fn long(rest: &mut &[u8]) -> Option<i64> {
    take(rest).map(i64::from_be_bytes)
}

/// A text that may be none; `None` outside when it cannot be read.
fn text(rest: &mut &[u8]) -> Option<Option<StrBytes>> {
    let Ok(len) = usize::try_from(short(rest)?) else { return Some(None) };
    let (text, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    StrBytes::from_utf8(Bytes::copy_from_slice(text)).ok().map(Some)
}

fn bytes_of(rest: &mut &[u8]) -> Option<Bytes> {
    let len = usize::try_from(int(rest)?).ok()?;
    let (bytes, tail) = rest.split_at_checked(len)?;
    *rest = tail;
    Some(Bytes::copy_from_slice(bytes))
}
