//! What is written down at the node's end of a trial over TCP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use broker_contract::{Broker, Cause, ConnId, Frame, Identity, Note, Origin, Point, Time};
use lab_workloads::ledger::Drop;

use super::dial::Ports;
use crate::modes::embedded::Shared;
use crate::modes::embedded::clock::CpuMeter;
use crate::modes::embedded::node::NodeEnd;
use crate::trial::Calls;
use crate::wire::metrics::Counts;
use crate::wire::server::Watcher;

/// Watches a server for the ledger.
#[derive(Debug)]
pub(super) struct Books<B: Broker> {
    shared: Arc<Shared>,
    end: NodeEnd<B>,
    /// For each number that a connection has at the node: the peer's address. The
    /// two ends number connections apart, and the address is what both know.
    peers: Vec<Option<SocketAddr>>,
    /// Connections that ended, by their address.
    closed: Vec<(Time, SocketAddr)>,
    /// Copies that went no further: address, number, cause.
    dropped: Vec<(SocketAddr, u32, Cause)>,
    cpu: CpuMeter,
    /// Counters when the run's zero came.
    at_zero: Option<Counts>,
    /// Counters when it was over.
    at_end: Option<Counts>,
}

fn calls(counts: &Counts) -> Calls {
    Calls {
        connections: counts.connections,
        reads: counts.reads_total,
        writes: counts.writes_total,
        polls: counts.polls_total,
        frames_in: counts.frames_in_total,
        bytes_in: counts.bytes_in_total,
        bytes_out: counts.bytes_out_total,
    }
}

impl<B: Broker> Books<B> {
    pub(super) fn new(shared: Arc<Shared>, step: u32) -> Books<B> {
        Books {
            shared,
            end: NodeEnd::new(step),
            peers: Vec::new(),
            closed: Vec::new(),
            dropped: Vec::new(),
            cpu: CpuMeter::default(),
            at_zero: None,
            at_end: None,
        }
    }

    /// What a node's thread leaves, with connections numbered as the clients do.
    pub(super) fn close(mut self, counts: &Counts, ports: &Ports) -> NodeEnd<B> {
        let zero = self.at_zero.unwrap_or_default();
        self.end.bytes_in = counts.bytes_in_total - zero.bytes_in_total;
        self.end.bytes_out = counts.bytes_out_total - zero.bytes_out_total;
        // Of goodbyes after the end nothing is counted.
        let (ended, zero) = (calls(self.at_end.as_ref().unwrap_or(counts)), calls(&zero));
        self.end.calls = Some(ended.since(&zero));
        self.end.closed = self
            .closed
            .iter()
            .filter_map(|(at, peer)| ports.conn_of(*peer).map(|conn| (*at, conn)))
            .collect();
        self.end.copies_dropped = self
            .dropped
            .iter()
            .filter_map(|(peer, number, cause)| {
                ports.conn_of(*peer).map(|conn| (conn, *number, *cause))
            })
            .collect();
        self.end
    }

    fn peer(&self, conn: ConnId) -> Option<SocketAddr> {
        self.peers.get(conn.0 as usize).copied().flatten()
    }
}

impl<B: Broker> Watcher<B> for Books<B> {
    fn opened(&mut self, _now: Time, conn: ConnId, origin: &Origin) {
        let at = conn.0 as usize;
        if self.peers.len() <= at {
            self.peers.resize(at + 1, None);
        }
        self.peers[at] = origin.address.as_deref().and_then(|address| address.parse().ok());
        self.shared.accepted.fetch_add(1, Ordering::Release);
    }

    fn frame(&mut self, now: Time, frame: &B::Up) {
        let Some(zero) = self.shared.zero() else { return };
        let now_ns = now.nanos_since(zero);
        let end = &mut self.end;
        frame.payloads(&mut |payload| {
            if let Some(identity) = Identity::read(payload) {
                let transit = now_ns.saturating_sub(identity.intended_ns);
                end.transit_ns = end.transit_ns.max(transit);
                end.arrived_at.note(identity.number, now_ns);
            }
        });
    }

    fn note(&mut self, now: Time, note: &Note) {
        match note {
            Note::Dropped { cause, conn, message: Some(identity) } => match conn {
                Some(conn) => {
                    let peer = self.peer(*conn);
                    self.dropped.extend(peer.map(|peer| (peer, identity.number, *cause)));
                }
                None => self.end.drops.push(Drop {
                    number: identity.number,
                    scope: None,
                    cause: *cause,
                }),
            },
            Note::Passed { point: Point::Arrived, number } => {
                if let Some(zero) = self.shared.zero() {
                    self.end.arrived_at.note(*number, now.nanos_since(zero));
                }
            }
            Note::Sometimes(what) => *self.end.sometimes.entry(what).or_default() += 1,
            _ => {}
        }
    }

    fn closed(&mut self, now: Time, conn: ConnId) {
        let peer = self.peer(conn);
        self.closed.extend(peer.map(|peer| (now, peer)));
        self.shared.moved();
    }

    fn turn(&mut self, node: &B, now: Time, counts: &Counts) {
        if self.shared.zero().is_some_and(|zero| zero <= now) {
            if self.at_zero.is_none() {
                self.at_zero = Some(counts.clone());
            }
            self.cpu.zero();
        }
        if self.shared.stopped() && self.at_end.is_none() {
            self.at_end = Some(counts.clone());
            self.end.cpu_s = self.cpu.used_s();
            self.end.memory_bytes = self.end.memory_bytes.max(node.memory_bytes());
        }
    }
}
