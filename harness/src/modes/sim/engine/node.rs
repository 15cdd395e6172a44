//! The node's side: arrivals, its one core, and what it lets go.

use super::*;

impl<C: Contender> Sim<C> {
    pub(super) fn accept(&mut self, conn: u32) {
        let client_open = self.conns[conn as usize].client_open;
        if self.node.is_none() {
            let at = self.down_arrival(conn, self.now, 0);
            self.schedule(at, Event::ClientClosed { conn });
            return;
        }
        if !client_open {
            return;
        }
        self.conns[conn as usize].node_open = true;
        let at = self.down_arrival(conn, self.now, 0);
        self.schedule(at, Event::Connected { conn });
        let input = Input::Opened { conn: ConnId(conn), origin: Origin::default() };
        self.node_input(input, self.costs.frame_in_ns);
    }

    pub(in crate::modes::sim) fn down_arrival(&mut self, conn: u32, at: Time, bytes: u32) -> Time {
        let state = &mut self.conns[conn as usize];
        let path = self.paths[state.path as usize];
        path.arrival(at, bytes, &mut state.down_last, &mut state.down_free, &mut self.net)
    }

    pub(in crate::modes::sim) fn up_arrival(&mut self, conn: u32, at: Time, bytes: u32) -> Time {
        let state = &mut self.conns[conn as usize];
        let path = self.paths[state.path as usize];
        path.arrival(at, bytes, &mut state.up_last, &mut state.up_free, &mut self.net)
    }

    pub(super) fn arrive_up(&mut self, conn: u32, bytes: u32, frame: <BrokerOf<C> as Broker>::Up) {
        let state = &self.conns[conn as usize];
        if !state.node_open || self.node.is_none() {
            let cause = if self.node.is_none() {
                broker_contract::Cause::BrokerCrash
            } else {
                broker_contract::Cause::ConnectionDropped
            };
            let drops = &mut self.drops;
            frame.payloads(&mut |payload| {
                if let Some(identity) = Identity::read(payload) {
                    drops.push(Drop { number: identity.number, scope: None, cause });
                }
            });
            return;
        }
        self.resources.bytes_in += u64::from(bytes);
        let start = self.now.max(self.node_busy);
        let (start_ns, arrived_ns) =
            (start.nanos_since(self.zero), self.now.nanos_since(self.zero));
        let (transit, arrived) = (&mut self.transit_ns, &mut self.arrived_at);
        frame.payloads(&mut |payload| {
            if let Some(identity) = Identity::read(payload) {
                *transit = (*transit).max(start_ns.saturating_sub(identity.intended_ns));
                arrived.note(identity.number, arrived_ns);
            }
        });
        if let Some(trace) = &mut self.trace
            && trace.is_in(&frame).is_some()
        {
            if start > self.now {
                let what = "waits for the node's core".to_owned();
                trace.hop(self.now, start, Actor::Node, Actor::Node, what);
            }
            trace.storing = Storing::Taken(self.disk.written());
        }
        let input = Input::Frame { conn: ConnId(conn), frame };
        self.node_input(input, self.costs.take(bytes));
    }

    /// Hands `input` to the node when its core is free. Arrivals are taken in
    /// order, so a busy core is a later start, not another event.
    pub(in crate::modes::sim) fn node_input(&mut self, input: Input<BrokerOf<C>>, cost_ns: f64) {
        let start = self.now.max(self.node_busy);
        let Some(node) = &mut self.node else { return };
        self.disk.set_now(start);
        node.handle(start, input, &mut self.effects);
        self.release(start, cost_ns);
    }

    /// Carries out what the node wants done, when it has paid for it.
    pub(super) fn release(&mut self, start: Time, cost_ns: f64) {
        let mut effects = std::mem::take(&mut self.effect_scratch);
        self.effects.swap(&mut effects);
        let mut cost = cost_ns;
        let appended = self.disk.take_appended();
        if appended > 0 {
            cost += self.costs.append_byte_ns * appended as f64;
            // What arrives at a busy node waits with others, and their appends reach
            // the disk in one write, as those of a batch do on a thread.
            let joins = start > self.now && self.gathered < GATHER_MOST;
            self.gathered = if joins { self.gathered + 1 } else { 0 };
            if !joins {
                cost += self.costs.append_ns;
            }
        }
        self.lengths.clear();
        for effect in &effects {
            if let Effect::Send { frame, .. } = effect {
                let bytes = length(frame);
                self.lengths.push(bytes);
                cost += self.costs.send(bytes);
            }
        }
        self.node_cpu_ns += cost;
        let finish = start.plus_nanos(cost as u64);
        self.node_busy = finish;
        if appended > 0 {
            self.trace_append(start, finish);
        }
        let mut sends = 0;
        for effect in effects.drain(..) {
            if let Effect::Send { conn, frame } = effect {
                let bytes = self.lengths[sends];
                sends += 1;
                self.send_down(conn.0, finish, bytes, frame);
            } else {
                self.effect(finish, effect);
            }
        }
        self.effect_scratch = effects;
        // What the transport took at once is told to the node at once; what that
        // leads to (rarely anything) costs nothing more.
        while let Some((conn, bytes)) = self.drained.pop_front() {
            let Some(node) = &mut self.node else { break };
            node.handle(finish, Input::Drained { conn: ConnId(conn), bytes }, &mut self.effects);
            if !self.effects.is_empty() {
                let mut more = Vec::new();
                self.effects.swap(&mut more);
                for effect in more {
                    self.effect(finish, effect);
                }
            }
        }
        self.plan_node_tick();
    }

    pub(super) fn plan_node_tick(&mut self) {
        let deadline = self.node.as_ref().and_then(Broker::deadline);
        if let Some(at) = deadline
            && at < self.node_wake
        {
            let at = at.max(self.now);
            self.node_wake = at;
            self.schedule(at, Event::NodeTick { at });
        }
    }

    pub(super) fn effect(&mut self, at: Time, effect: Effect<BrokerOf<C>>) {
        match effect {
            Effect::Send { conn, frame } => self.send_down(conn.0, at, length(&frame), frame),
            Effect::Close { conn, reason } => self.node_closes(conn.0, at, &reason),
            Effect::Peer { .. } => {}
            Effect::Sync { file, token } => self.sync(at, file, token),
            Effect::Note(note) => self.node_note(at, note),
        }
    }

    /// A sync proves what was appended before it was asked for, to the boot that
    /// asked. A device does one after the other.
    pub(super) fn sync(&mut self, at: Time, file: FileId, token: SyncToken) {
        let begins = at.max(self.disk_free).max(self.stalled_until);
        let done = begins.plus_nanos(self.costs.sync_ns as u64);
        self.disk_free = done;
        self.disk.sync_asked();
        let len = self.effects.disk().len(file).unwrap_or(0);
        self.trace_sync(at, done, token);
        self.schedule(done, Event::Synced { boot: self.boots, token, file, len });
    }

    pub(super) fn send_down(
        &mut self,
        conn: u32,
        at: Time,
        bytes: u32,
        frame: <BrokerOf<C> as Broker>::Down,
    ) {
        let state = &mut self.conns[conn as usize];
        if !state.node_open {
            return;
        }
        if state.is_blocked(bytes) {
            state.queues().blocked.push_back((bytes, frame));
            return;
        }
        self.put_down(conn, at, bytes, frame);
    }

    /// The transport takes a frame towards a client.
    pub(super) fn put_down(
        &mut self,
        conn: u32,
        at: Time,
        bytes: u32,
        frame: <BrokerOf<C> as Broker>::Down,
    ) {
        self.conns[conn as usize].in_flight += u64::from(bytes);
        self.drained.push_back((conn, u64::from(bytes)));
        self.resources.bytes_out += u64::from(bytes);
        let arrival = self.down_arrival(conn, at, bytes);
        if let Some(trace) = &mut self.trace
            && let Some(messages) = trace.is_in(&frame)
        {
            let to = client_actor(&self.scenario, &self.cast, self.conns[conn as usize].client);
            trace.hop(at, arrival, Actor::Node, to, format!("sends {}", size(bytes, messages)));
        }
        self.schedule(arrival, Event::Down { conn, bytes, released: at, frame });
    }

    pub(super) fn node_closes(&mut self, conn: u32, at: Time, reason: &CloseReason) {
        let state = &mut self.conns[conn as usize];
        if !state.node_open {
            return;
        }
        state.node_open = false;
        let blocked = state.queues.as_mut().map(|queues| std::mem::take(&mut queues.blocked));
        for (bytes, frame) in blocked.into_iter().flatten() {
            if reason.discards_pending() {
                self.drop_down(conn, &frame, reason.cause());
            } else {
                let arrival = self.down_arrival(conn, at, bytes);
                self.schedule(arrival, Event::Down { conn, bytes, released: at, frame });
            }
        }
        self.gone(conn, at);
        let arrival = self.down_arrival(conn, at, 0);
        self.schedule(arrival, Event::ClientClosed { conn });
    }

    /// A copy on its way to a client goes no further.
    pub(in crate::modes::sim) fn drop_down(
        &mut self,
        conn: u32,
        frame: &<BrokerOf<C> as Broker>::Down,
        cause: broker_contract::Cause,
    ) {
        let client = self.conns[conn as usize].client;
        let (cast, drops, copies) = (&self.cast, &mut self.drops, &mut self.copies_dropped);
        frame.payloads(&mut |payload| {
            if let Some(identity) = Identity::read(payload) {
                drop_copies(cast, client, identity.number, cause, drops, copies);
            }
        });
    }

    /// The subscriptions on `conn` are no longer in force at the node.
    pub(in crate::modes::sim) fn gone(&mut self, conn: u32, at: Time) {
        let state = &self.conns[conn as usize];
        if self.slots[state.client as usize].incarnation != state.incarnation {
            // Somebody else sits there by now, on a connection of their own; the
            // gap between the two was noted when the first one stopped.
            return;
        }
        let client = state.client as usize;
        for index in 0..self.cast.seats_of_client[client].len() {
            let seat = self.cast.seats_of_client[client][index];
            self.left(seat, at);
        }
    }

    /// The subscription of `seat` is no longer in force.
    pub(in crate::modes::sim) fn left(&mut self, seat: u32, at: Time) {
        self.is_away[seat as usize] = true;
        self.gone_at[seat as usize] = at;
        self.away.note(at, seat, Change::Gone);
    }

    /// The subscription of `seat` was confirmed, or delivered something, at a
    /// moment when the node let `released` go. What was on its way when the
    /// subscription ended proves nothing, and neither does what comes to a client
    /// that is leaving.
    pub(super) fn back(&mut self, seat: u32, released: Time) {
        let client = self.cast.seats[seat as usize].client;
        if self.is_away[seat as usize]
            && released > self.gone_at[seat as usize]
            && !self.slots[client as usize].leaving
        {
            self.is_away[seat as usize] = false;
            self.away.note(self.now, seat, Change::Back);
        }
    }

    pub(super) fn node_note(&mut self, _at: Time, note: Note) {
        match note {
            Note::Dropped { cause, conn, message } => {
                let Some(identity) = message else { return };
                let client = conn.map(|conn| self.conns[conn.0 as usize].client);
                let (drops, copies) = (&mut self.drops, &mut self.copies_dropped);
                note_drop(&self.cast, client, identity.number, cause, drops, copies);
            }
            other => self.note(other),
        }
    }

    pub(super) fn note(&mut self, note: Note) {
        match note {
            Note::Passed { point, number } => {
                let at_ns = self.now.nanos_since(self.zero);
                match point {
                    Point::Sent => self.sent_at.note(number, at_ns),
                    Point::Arrived => self.arrived_at.note(number, at_ns),
                    Point::Released | Point::Received => {}
                }
            }
            Note::Wasted { messages, bytes } => {
                self.wasted.0 += u64::from(messages);
                self.wasted.1 += bytes;
            }
            Note::Sometimes(what) => *self.sometimes.entry(what).or_default() += 1,
            _ => {}
        }
    }

    pub(super) fn close_at_node(&mut self, conn: u32) {
        if !self.conns[conn as usize].node_open {
            return;
        }
        let at = self.now.max(self.node_busy);
        self.conns[conn as usize].node_open = false;
        let blocked = self.conns[conn as usize]
            .queues
            .as_mut()
            .map(|queues| std::mem::take(&mut queues.blocked));
        for (_, frame) in blocked.into_iter().flatten() {
            self.drop_down(conn, &frame, broker_contract::Cause::ConnectionDropped);
        }
        self.gone(conn, at);
        self.node_input(Input::Closed { conn: ConnId(conn) }, self.costs.frame_in_ns);
    }
}
