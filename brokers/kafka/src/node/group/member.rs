//! A member of a group.

use std::time::Duration;

use broker_contract::Time;
use bytes::Bytes;
use kafka_protocol::protocol::StrBytes;

use crate::node::conns::Asker;

/// One member.
#[derive(Debug)]
pub struct Member {
    /// The name under which it comes back after a restart, if it is static.
    pub instance: Option<StrBytes>,
    /// How its client calls itself.
    pub client_id: StrBytes,
    /// Where it comes from.
    pub host: StrBytes,
    /// It is gone after this long without a sign.
    pub session: Duration,
    /// It may take this long to join again.
    pub rebalance: Duration,
    /// The assignors that it knows, best first, with its subscription for each.
    pub protocols: Vec<(StrBytes, Bytes)>,
    /// What it was assigned in this generation.
    pub assignment: Bytes,
    /// The request to join that waits for the generation to close.
    pub joins: Option<Asker>,
    /// The request for its assignment that waits for the leader's.
    pub syncs: Option<Asker>,
    /// It has asked for its assignment in this generation.
    pub has_synced: bool,
    expires: Time,
}

impl Member {
    /// A member that is neither joining nor has an assignment.
    pub fn new(
        instance: Option<StrBytes>,
        client_id: StrBytes,
        host: StrBytes,
        session: Duration,
        rebalance: Duration,
        protocols: Vec<(StrBytes, Bytes)>,
    ) -> Member {
        Member {
            instance,
            client_id,
            host,
            session,
            rebalance,
            protocols,
            assignment: Bytes::new(),
            joins: None,
            syncs: None,
            has_synced: false,
            expires: Time::ZERO,
        }
    }

    /// It has given a sign.
    pub fn is_alive(&mut self, now: Time) {
        self.expires = now + self.session;
    }

    /// When it will be gone; never while the coordinator owes it an answer.
    pub fn deadline(&self) -> Option<Time> {
        (self.joins.is_none() && self.syncs.is_none()).then_some(self.expires)
    }

    /// Whether it has been silent for too long.
    pub fn is_gone(&self, now: Time) -> bool {
        self.deadline().is_some_and(|expires| expires <= now)
    }

    /// Its subscription for this assignor.
    pub fn subscription(&self, protocol: &StrBytes) -> Bytes {
        let found = self.protocols.iter().find(|(name, _)| name == protocol);
        found.map(|(_, subscription)| subscription.clone()).unwrap_or_default()
    }

    /// Heap bytes, estimated.
    pub fn memory_bytes(&self) -> usize {
        let protocols: usize =
            self.protocols.iter().map(|(name, bytes)| name.len() + bytes.len() + 64).sum();
        size_of::<Member>() + protocols + self.assignment.len() + self.client_id.len()
    }
}
