//! A connection between one client and the node.

use std::collections::VecDeque;
use std::time::Duration;

use broker_contract::{Broker, ConnId, Frame, LinkId, SeedStream, Time};

/// What every connection of an arena is like.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Time from one side to the other at least.
    pub latency: Duration,
    /// Time on top at most, drawn for every frame; a frame never overtakes
    /// another on its connection.
    pub jitter: Duration,
    /// Bytes that the transport holds between the node and a client: beyond
    /// them, frames wait at the node. A larger frame goes alone.
    pub transport_bytes: u64,
}

impl Default for Link {
    /// 50 us one way without jitter, and 64 KiB of transport.
    fn default() -> Self {
        Link {
            latency: Duration::from_micros(50),
            jitter: Duration::ZERO,
            transport_bytes: 64 << 10,
        }
    }
}

/// What waits at a client that does not read.
#[derive(Debug)]
pub(super) enum Unread<B: Broker> {
    Frame(B::Down),
    Closed,
}

/// One connection. Each side knows by itself whether it is open: a close takes
/// a latency to be noticed, and what arrives meanwhile is lost.
#[derive(Debug)]
pub(super) struct Conn<B: Broker> {
    pub(super) client: usize,
    pub(super) link: LinkId,
    /// The node's number for it, from acceptance until both sides have closed.
    pub(super) number: Option<ConnId>,
    pub(super) node_open: bool,
    pub(super) client_open: bool,
    pub(super) connected: bool,
    /// Sent by the node and not yet taken by the transport.
    pub(super) pending: VecDeque<B::Down>,
    /// The node closed, and the client learns it once `pending` has gone out.
    pub(super) closes_after_pending: bool,
    /// Bytes between the node and the client, read by nobody yet.
    pub(super) in_transport: u64,
    pub(super) unread: VecDeque<Unread<B>>,
    seed: SeedStream,
    draws: u64,
    up_last: Time,
    down_last: Time,
}

impl<B: Broker> Conn<B> {
    pub(super) fn new(client: usize, link: LinkId, seed: SeedStream) -> Self {
        Conn {
            client,
            link,
            number: None,
            node_open: false,
            client_open: true,
            connected: false,
            pending: VecDeque::new(),
            closes_after_pending: false,
            in_transport: 0,
            unread: VecDeque::new(),
            seed,
            draws: 0,
            up_last: Time::ZERO,
            down_last: Time::ZERO,
        }
    }

    /// When what leaves the client now arrives at the node.
    pub(super) fn up_arrival(&mut self, now: Time, link: Link) -> Time {
        self.up_last = self.up_last.max(now + link.latency + self.jitter(link));
        self.up_last
    }

    /// When what leaves the node now arrives at the client.
    pub(super) fn down_arrival(&mut self, now: Time, link: Link) -> Time {
        self.down_last = self.down_last.max(now + link.latency + self.jitter(link));
        self.down_last
    }

    /// The next frame that the transport has room for, with its length.
    pub(super) fn next_into_transport(&mut self, link: Link) -> Option<(B::Down, u64)> {
        let bytes = self.pending.front()?.wire_len() as u64;
        if self.in_transport > 0 && self.in_transport + bytes > link.transport_bytes {
            return None;
        }
        self.in_transport += bytes;
        self.pending.pop_front().map(|frame| (frame, bytes))
    }

    fn jitter(&mut self, link: Link) -> Duration {
        let most = u64::try_from(link.jitter.as_nanos()).unwrap_or(u64::MAX);
        if most == 0 {
            return Duration::ZERO;
        }
        self.draws += 1;
        Duration::from_nanos(self.seed.nth(self.draws).bits() % most.saturating_add(1))
    }
}
