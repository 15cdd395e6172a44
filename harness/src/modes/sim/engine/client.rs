//! The clients' side: what they receive, want, and send.

use super::*;

impl<C: Contender> Sim<C> {
    pub(super) fn close_at_client(&mut self, conn: u32) {
        let state = &mut self.conns[conn as usize];
        if !state.client_open {
            return;
        }
        if state.queues.as_ref().is_some_and(|queues| !queues.unread.is_empty()) {
            // The end comes after what arrived before it.
            state.ends_unread = true;
            return;
        }
        state.client_open = false;
        let (client, link) = (state.client, state.link);
        self.slots[client as usize].links.forget(conn);
        self.input(client, self.now, ClientInput::Closed { link });
    }

    /// A frame reached a client's side of its connection.
    pub(super) fn arrive_down(
        &mut self,
        conn: u32,
        released: Time,
        bytes: u32,
        frame: <BrokerOf<C> as Broker>::Down,
    ) {
        let state = &mut self.conns[conn as usize];
        if !state.client_open {
            self.drop_down(conn, &frame, broker_contract::Cause::ConnectionDropped);
            return;
        }
        let waits = state.queues.as_ref().is_some_and(|queues| !queues.unread.is_empty());
        if waits || self.is_paused(conn) {
            self.conns[conn as usize].queues().unread.push_back((released, bytes, frame));
            return;
        }
        self.read(conn, released, bytes, frame);
    }

    /// Whether the client of `conn` has stopped reading, because an inbox is full.
    pub(super) fn is_paused(&self, conn: u32) -> bool {
        let client = self.conns[conn as usize].client as usize;
        self.cast.seats_of_client[client].iter().any(|seat| self.consumers.is_full(*seat))
    }

    /// The client reads a frame, which makes room in the transport.
    pub(super) fn read(
        &mut self,
        conn: u32,
        released: Time,
        bytes: u32,
        frame: <BrokerOf<C> as Broker>::Down,
    ) {
        let state = &mut self.conns[conn as usize];
        state.in_flight = state.in_flight.saturating_sub(u64::from(bytes));
        let link = state.link;
        if state.queues.is_some() {
            self.unblock(conn);
        }
        self.client_input(conn, released, ClientInput::Frame { link, frame });
    }

    pub(super) fn unblock(&mut self, conn: u32) {
        loop {
            let state = &mut self.conns[conn as usize];
            let Some(queues) = &mut state.queues else { break };
            let Some(bytes) = queues.blocked.front().map(|(bytes, _)| *bytes) else { break };
            let room =
                state.in_flight == 0 || state.in_flight + u64::from(bytes) <= TRANSPORT_BYTES;
            if !room || !state.node_open {
                break;
            }
            let Some((_, frame)) = queues.blocked.pop_front() else { break };
            self.put_down(conn, self.now, bytes, frame);
        }
        self.release(self.now.max(self.node_busy), 0.0);
    }

    /// Reads what waited while a client had stopped reading.
    pub(super) fn resume(&mut self, client: u32) {
        let conns: Vec<u32> = self.slots[client as usize].links.conns().collect();
        for conn in conns {
            while !self.is_paused(conn) {
                let state = &mut self.conns[conn as usize];
                let Some((released, bytes, frame)) =
                    state.queues.as_mut().and_then(|queues| queues.unread.pop_front())
                else {
                    break;
                };
                self.read(conn, released, bytes, frame);
            }
            let state = &self.conns[conn as usize];
            let is_read = state.queues.as_ref().is_none_or(|queues| queues.unread.is_empty());
            if state.ends_unread && is_read {
                self.close_at_client(conn);
            }
        }
    }

    pub(super) fn client_input(
        &mut self,
        conn: u32,
        released: Time,
        input: ClientInput<BrokerOf<C>>,
    ) {
        let state = &self.conns[conn as usize];
        if state.client_open && self.slots[state.client as usize].incarnation == state.incarnation {
            self.input(state.client, released, input);
        }
    }

    pub(in crate::modes::sim) fn input(
        &mut self,
        client: u32,
        released: Time,
        input: ClientInput<BrokerOf<C>>,
    ) {
        let Some(state) = &mut self.slots[client as usize].client else { return };
        state.handle(self.now, input, &mut self.actions);
        self.act(client, self.now, released);
    }

    /// Carries out what a client wants done.
    pub(super) fn act(&mut self, client: u32, now: Time, released: Time) {
        if !self.actions.is_empty() {
            let mut actions = self.action_scratch.pop().unwrap_or_default();
            self.actions.swap(&mut actions);
            for action in actions.drain(..) {
                self.action(client, now, released, action);
            }
            self.action_scratch.push(actions);
        }
        let slot = &mut self.slots[client as usize];
        if let Some(at) = slot.client.as_ref().and_then(Client::deadline)
            && at < slot.wake
        {
            let at = at.max(self.now);
            slot.wake = at;
            self.schedule(at, Event::ClientTick { client, at });
        }
    }

    pub(super) fn action(
        &mut self,
        client: u32,
        now: Time,
        released: Time,
        action: Action<C::Client>,
    ) {
        match action {
            Action::Connect { link, .. } => {
                let slot = &mut self.slots[client as usize];
                let conn = self.conns.len() as u32;
                let population = self.cast.client_population[client as usize] as usize;
                let path = self.scenario.populations[population].link as u16;
                slot.links.set(link, conn);
                self.conns.push(Conn::new(client, slot.incarnation, link, path));
                let at = self.up_arrival(conn, now, 0);
                self.schedule(at, Event::Accept { conn });
            }
            Action::Send { link, frame } => self.send_up(client, link, frame),
            Action::Close { link } => {
                if let Some(conn) = self.link(client, link) {
                    self.hang_up(conn);
                }
            }
            Action::Outcome { ticket, outcome } => match ticket_of(ticket) {
                TicketOf::Number(number) => {
                    self.sender.ended(number, &outcome, now);
                    self.trace_outcome(number, client, released, &outcome);
                }
                TicketOf::Seat(seat) => match outcome {
                    Outcome::Done => {
                        self.subscribed += 1;
                        self.back(seat, released);
                    }
                    // Who leaves before the answer comes does not need it.
                    Outcome::Failed(_) | Outcome::Unknown(_)
                        if self.slots[client as usize].leaving => {}
                    Outcome::Failed(failure) | Outcome::Unknown(failure) => {
                        let population = self.cast.seats[seat as usize].population as usize;
                        let name = &self.scenario.populations[population].name;
                        self.broken = Some(format!("`{name}` could not subscribe: {failure}"));
                    }
                    _ => {}
                },
                TicketOf::Declaration(log) => self.declared(log, &outcome),
                TicketOf::FollowUp => {}
            },
            Action::Delivery(delivery) => {
                if let TicketOf::Seat(seat) = ticket_of(delivery.subscription) {
                    self.back(seat, released);
                    self.trace_delivery(seat, &delivery);
                    self.client_cpu_ns += self.costs.client_receive_ns;
                    let mut due = std::mem::take(&mut self.due);
                    self.consumers.received(seat, now, released, delivery, &mut due);
                    self.trace_taken(seat);
                    self.plan_due(&mut due);
                    self.due = due;
                }
            }
            Action::Note(Note::Dropped { cause, message: Some(identity), .. }) => {
                let (drops, copies) = (&mut self.drops, &mut self.copies_dropped);
                note_drop(&self.cast, Some(client), identity.number, cause, drops, copies);
            }
            Action::Note(note) => self.note(note),
        }
    }

    /// A declaration was answered.
    fn declared(&mut self, log: u32, outcome: &Outcome) {
        self.undeclared = self.undeclared.saturating_sub(1);
        if self.is_declared {
            return;
        }
        if let Outcome::Failed(failure) | Outcome::Unknown(failure) = outcome {
            let logs = self.scenario.declarations();
            let name = logs.get(log as usize).map_or("?", |log| log.name.as_str());
            self.broken = Some(format!("the log `{name}` could not be made: {failure}"));
        }
    }

    pub(super) fn plan_due(&mut self, due: &mut Vec<Due>) {
        for (at, follow_up) in due.drain(..) {
            self.schedule(at.max(self.now), Event::FollowUp(follow_up));
        }
    }

    pub(super) fn link(&self, client: u32, link: LinkId) -> Option<u32> {
        self.slots[client as usize].links.get(link)
    }

    /// The client closes a connection after what it sent on it.
    pub(in crate::modes::sim) fn hang_up(&mut self, conn: u32) {
        let state = &mut self.conns[conn as usize];
        state.client_open = false;
        let client = state.client;
        let unread = state.queues.as_mut().map(|queues| std::mem::take(&mut queues.unread));
        for (_, _, frame) in unread.into_iter().flatten() {
            self.drop_down(conn, &frame, broker_contract::Cause::ConnectionDropped);
        }
        self.slots[client as usize].links.forget(conn);
        let at = self.up_arrival(conn, self.now, 0);
        self.schedule(at, Event::NodeClosed { conn });
    }

    pub(super) fn send_up(
        &mut self,
        client: u32,
        link: LinkId,
        frame: <BrokerOf<C> as Broker>::Up,
    ) {
        let Some(conn) = self.link(client, link) else { return };
        let mut messages = 0;
        if self.costs.client_record_ns > 0.0 {
            frame.payloads(&mut |_| messages += 1);
        }
        let cost_ns = self.costs.client_send(messages);
        let slot = &mut self.slots[client as usize];
        let sent = self.now.max(slot.busy_until).plus_nanos(cost_ns as u64);
        slot.busy_until = sent;
        self.client_cpu_ns += cost_ns;
        let sent_ns = sent.nanos_since(self.zero);
        let sent_at = &mut self.sent_at;
        frame.payloads(&mut |payload| {
            if let Some(identity) = Identity::read(payload) {
                sent_at.note(identity.number, sent_ns);
            }
        });
        let bytes = length(&frame);
        let at = self.up_arrival(conn, sent, bytes);
        if let Some(trace) = &mut self.trace
            && let Some(messages) = trace.is_in(&frame)
        {
            let from = client_actor(&self.scenario, &self.cast, client);
            trace.hop(sent, at, from, Actor::Node, format!("sends {}", size(bytes, messages)));
        }
        self.schedule(at, Event::Up { conn, bytes, frame });
    }

    pub(super) fn follow_up(&mut self, follow_up: FollowUp) {
        match follow_up {
            FollowUp::Take { seat, incarnation } => {
                let mut due = std::mem::take(&mut self.due);
                let valid = self.consumers.wake(seat, incarnation, self.now, &mut due);
                self.trace_taken(seat);
                self.plan_due(&mut due);
                self.due = due;
                if valid {
                    self.resume(self.cast.seats[seat as usize].client);
                }
            }
            FollowUp::Settle { seat, incarnation, .. }
            | FollowUp::Reply { seat, incarnation, .. }
                if !self.consumers.is_current(seat, incarnation) => {}
            FollowUp::Settle { seat, token, settle, .. } => {
                let subscription = seat_ticket(seat);
                let op = Op::Settle { subscription, token, settle };
                self.submit_follow_up(seat, &op);
            }
            FollowUp::Reply { seat, to, payload, .. } => {
                self.submit_follow_up(seat, &Op::Reply { to: &to, payload: &payload });
            }
        }
    }

    pub(super) fn submit_follow_up(&mut self, seat: u32, op: &Op<'_>) {
        let client = self.cast.seats[seat as usize].client;
        let ticket = follow_up_ticket(&mut self.follow_ups);
        let Some(state) = &mut self.slots[client as usize].client else { return };
        if let Err(unsupported) = state.submit(self.now, ticket, op, &mut self.actions) {
            let population = self.cast.seats[seat as usize].population;
            self.unsupported.entry(population.into()).or_insert(unsupported);
        }
        self.act(client, self.now, self.now);
    }
}
