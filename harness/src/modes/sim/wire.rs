//! Connections and delays of the simulated network.

use std::collections::VecDeque;

use broker_contract::{Broker, LinkId, Time};
use lab_workloads::scenario::model::Link;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Bytes that a connection's buffers and the network hold towards a client
/// before the node's sends begin to pend: a send and a receive buffer of usual size.
pub const TRANSPORT_BYTES: u64 = 256 * 1024;

/// A link as the simulation needs it.
#[derive(Copy, Clone, Debug)]
pub struct Path {
    one_way_ns: u64,
    jitter_ns: u64,
    bits_per_s: Option<u64>,
}

impl Path {
    /// The path of a scenario's link.
    pub fn new(link: &Link) -> Path {
        Path {
            one_way_ns: link.round_trip.as_nanos() as u64 / 2,
            jitter_ns: link.jitter.as_nanos() as u64,
            bits_per_s: link.bandwidth_bps,
        }
    }

    /// When `bytes` that leave at `at` arrive. `last` is the previous arrival in
    /// this direction and `free` when its sender's interface is free again;
    /// both move on. TCP delivers in order, so a late packet holds up the rest.
    pub fn arrival(
        &self,
        at: Time,
        bytes: u32,
        last: &mut Time,
        free: &mut Time,
        rng: &mut ChaCha8Rng,
    ) -> Time {
        let mut left = at;
        if let Some(bits_per_s) = self.bits_per_s {
            let nanos = u128::from(bytes) * 8 * 1_000_000_000 / u128::from(bits_per_s.max(1));
            left = left.max(*free).plus_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
            *free = left;
        }
        let jitter_ns = if self.jitter_ns == 0 { 0 } else { rng.random_range(0..=self.jitter_ns) };
        let arrival = left.plus_nanos(self.one_way_ns + jitter_ns).max(*last);
        *last = arrival;
        arrival
    }
}

/// A connection between a client and the node.
#[derive(Debug)]
pub struct Conn<B: Broker> {
    /// The client.
    pub client: u32,
    /// The incarnation of the client; a restarted member is another.
    pub incarnation: u32,
    /// The client's name for the connection.
    pub link: LinkId,
    /// Index of its path.
    pub path: u16,
    /// Whether the node has it open.
    pub node_open: bool,
    /// Whether the client has it open.
    pub client_open: bool,
    /// Whether its end has arrived behind frames that the client has not read.
    pub ends_unread: bool,
    /// Last arrival at the node.
    pub up_last: Time,
    /// Last arrival at the client.
    pub down_last: Time,
    /// When the client's interface is free.
    pub up_free: Time,
    /// When the node's interface is free.
    pub down_free: Time,
    /// Bytes sent to the client and not yet read by it.
    pub in_flight: u64,
    /// What waits; boxed, because most connections never have anything waiting.
    pub queues: Option<Box<Queues<B>>>,
}

/// What waits on a connection.
#[derive(Debug)]
pub struct Queues<B: Broker> {
    /// Sent by the node, and not yet taken by the transport: (bytes, frame).
    pub blocked: VecDeque<(u32, B::Down)>,
    /// Arrived, and not yet read by the client: (released, bytes, frame).
    pub unread: VecDeque<(Time, u32, B::Down)>,
}

impl<B: Broker> Conn<B> {
    /// A connection that nobody has open yet.
    pub fn new(client: u32, incarnation: u32, link: LinkId, path: u16) -> Conn<B> {
        Conn {
            client,
            incarnation,
            link,
            path,
            node_open: false,
            client_open: true,
            ends_unread: false,
            up_last: Time::ZERO,
            down_last: Time::ZERO,
            up_free: Time::ZERO,
            down_free: Time::ZERO,
            in_flight: 0,
            queues: None,
        }
    }

    /// What waits, made on first use.
    pub fn queues(&mut self) -> &mut Queues<B> {
        self.queues.get_or_insert_with(|| {
            Box::new(Queues { blocked: VecDeque::new(), unread: VecDeque::new() })
        })
    }

    /// Whether sends must queue behind others, or the transport is full.
    pub fn is_blocked(&self, bytes: u32) -> bool {
        self.queues.as_ref().is_some_and(|queues| !queues.blocked.is_empty())
            || (self.in_flight > 0 && self.in_flight + u64::from(bytes) > TRANSPORT_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use broker_contract::SeedStream;
    use std::time::Duration;

    fn path(bandwidth_bps: Option<u64>) -> Path {
        Path::new(&Link {
            name: "test".to_owned(),
            round_trip: Duration::from_millis(2),
            jitter: Duration::from_micros(500),
            bandwidth_bps,
        })
    }

    #[test]
    fn jitter_never_reorders() {
        let mut rng = SeedStream::new(1).rng();
        let (mut last, mut free) = (Time::ZERO, Time::ZERO);
        let mut before = Time::ZERO;
        for micros in 0..2_000 {
            let sent = Time::from_micros(micros);
            let arrival = path(None).arrival(sent, 100, &mut last, &mut free, &mut rng);
            assert!(arrival >= before && arrival.nanos_since(sent) >= 1_000_000);
            assert!(arrival.nanos_since(sent) <= 1_500_000 + 500_000);
            before = arrival;
        }
    }

    #[test]
    fn bandwidth_spaces_packets_out() {
        let mut rng = SeedStream::new(1).rng();
        let (mut last, mut free) = (Time::ZERO, Time::ZERO);
        let path = path(Some(8_000_000));
        // A thousand bytes at 8 Mbit/s take 1 ms each.
        for _ in 0..10 {
            path.arrival(Time::ZERO, 1_000, &mut last, &mut free, &mut rng);
        }
        assert_eq!(free, Time::from_millis(10));
        assert!(last >= Time::from_millis(11));
    }
}
