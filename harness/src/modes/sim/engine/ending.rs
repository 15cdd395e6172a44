//! What a simulation hands over when it has ended.

use super::*;

impl<C: Contender> Sim<C> {
    pub(super) fn finish(mut self, interrupted: bool) -> (RawTrial, Option<Trace>) {
        let ended_ns = self.now.nanos_since(self.zero);
        let mut undrained = self.consumers.undrained();
        let mut undrained_numbers = Vec::new();
        let mut leftover = |cast: &Cast, client: u32, payload: &[u8]| {
            if let Some(identity) = Identity::read(payload) {
                for seat in &cast.seats_of_client[client as usize] {
                    undrained.push((cast.seats[*seat as usize].scope, identity.number));
                }
            }
        };
        while let Some((_, event)) = self.queue.pop() {
            match event {
                Event::Up { frame, .. } => frame.payloads(&mut |payload| {
                    undrained_numbers.extend(Identity::read(payload).map(|id| id.number));
                }),
                Event::Down { conn, frame, .. } => {
                    let client = self.conns[conn as usize].client;
                    frame.payloads(&mut |payload| leftover(&self.cast, client, payload));
                }
                _ => {}
            }
        }
        for conn in &self.conns {
            let Some(queues) = &conn.queues else { continue };
            let frames = queues
                .blocked
                .iter()
                .map(|(_, f)| f)
                .chain(queues.unread.iter().map(|(_, _, f)| f));
            for frame in frames {
                frame.payloads(&mut |payload| leftover(&self.cast, conn.client, payload));
            }
        }
        self.resources.node_cpu_s = self.node_cpu_ns / 1e9;
        self.resources.client_cpu_s = self.client_cpu_ns / 1e9;
        self.resources.node_memory_bytes = self.node.as_ref().map_or(0, Broker::memory_bytes);
        self.resources.disk_bytes = self.disk.written() - self.written_before;
        self.copies_dropped.append(&mut self.consumers.drops);
        let cut_ns = if interrupted { ended_ns } else { self.scenario.sending_ends_ns() };
        let handled = self.consumers.handled();
        let raw = RawTrial {
            sent: self.sender.finish(cut_ns),
            seen: self.consumers.seen,
            measured: self.consumers.meters.finish(),
            sampled: self.consumers.sampled,
            sent_at: self.sent_at,
            arrived_at: self.arrived_at,
            events: self.events,
            drops: self.drops,
            copies_dropped: self.copies_dropped,
            away: self.away.intervals(&self.cast, self.zero),
            undrained,
            undrained_numbers,
            transit_ns: self.transit_ns,
            resources: self.resources,
            faults: self.faults,
            setup: self.zero.since(Time::ZERO),
            ended_ns,
            trace_hash: Some(self.hash.finish()),
            sometimes: self.sometimes,
            wasted: self.wasted,
            crashes: self.crashes,
            handled,
            unsupported: self.unsupported,
            undeclared: self.not_declared,
            broken: self.broken,
            interrupted,
            calls: None,
            clients_cpu_s: [0.0; 2],
        };
        (raw, self.trace)
    }
}
