//! The arena in virtual time: one node, its clients, and links between them.
//!
//! **What it is for.** The quickest way to see a node and its clients work
//! together: an event queue, links with a latency that keep their order, a
//! transport that fills when a reader stops, a disk in memory whose syncs take a
//! set time, crashes. Equal times go by the order of planning, so the same seed
//! gives the same [`trace_hash`](VirtualArena::trace_hash).
//!
//! **What it never does.** It models no cost of computing and measures nothing:
//! a node answers in the instant in which it is asked.
//!
//! **Where to start reading.** `step` takes one event; `release` carries out
//! what the node wants, and `carry_out` what a client wants.

mod conn;
mod hash;
mod queue;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use broker_contract::{
    Action, Actions, Boot, Broker, Cause, Client, ClientInput, ClientStart, Configured, ConnId,
    Contender, CrashKind, Delivery, Effect, Effects, Frame, Identity, Input, LinkId, MemoryDisk,
    NodeId, Note, Op, Origin, Outcome, SeedStream, Support, Ticket, Time, Unsupported,
};

pub use self::conn::Link;
use self::conn::{Conn, Unread};
use self::hash::TraceHash;
use self::queue::{Event, Queue};
use crate::arena::{Arena, ClientId};

/// The broker of a contender.
pub type BrokerOf<C> = <<C as Contender>::Client as Client>::Broker;

/// Without traffic for this long, an arena is settled.
const QUIET: Duration = Duration::from_millis(100);
/// An arena that never settles is left alone after this long.
const SETTLE_LIMIT: Duration = Duration::from_secs(10);
/// More events than this in one instant are a loop between timers.
const INSTANT_LIMIT: u64 = 5_000_000;

/// How an arena in virtual time is made.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct VirtualOptions {
    /// The root of all its randomness.
    pub seed: u64,
    /// Every connection.
    pub link: Link,
    /// How long a sync takes.
    pub sync_time: Duration,
}

impl Default for VirtualOptions {
    /// Seed 1, the default [`Link`], and 1 ms for a sync.
    fn default() -> Self {
        VirtualOptions { seed: 1, link: Link::default(), sync_time: Duration::from_millis(1) }
    }
}

/// One client's place.
struct Seat<K: Client> {
    name: String,
    client: Option<K>,
    links: BTreeMap<LinkId, usize>,
    reading: bool,
    wake: Option<Time>,
    cuts: u32,
    tickets: BTreeMap<Ticket, Option<Outcome>>,
    subscriptions: BTreeSet<Ticket>,
    deliveries: Vec<(Time, Delivery)>,
}

/// One node and its clients in virtual time.
pub struct VirtualArena<C: Contender> {
    configured: Configured<C>,
    options: VirtualOptions,
    now: Time,
    queue: Queue<BrokerOf<C>>,
    node: Option<BrokerOf<C>>,
    boots: u64,
    node_wake: Option<Time>,
    effects: Effects<BrokerOf<C>>,
    effect_scratch: Vec<Effect<BrokerOf<C>>>,
    conns: Vec<Conn<BrokerOf<C>>>,
    /// Which connection each of the node's numbers stands for.
    numbers: Vec<Option<usize>>,
    seats: Vec<Seat<C::Client>>,
    actions: Actions<C::Client>,
    tickets: u64,
    notes: Vec<Note>,
    fault: Option<String>,
    hash: TraceHash,
    last_move: Time,
    in_this_instant: u64,
}

impl<C: Contender> VirtualArena<C> {
    /// Boots a node over an empty disk. A refusal to boot is the arena's
    /// [`fault`](Arena::fault).
    pub fn new(configured: Configured<C>, options: VirtualOptions) -> Self {
        let mut arena = VirtualArena {
            configured,
            options,
            now: Time::ZERO,
            queue: Queue::new(),
            node: None,
            boots: 0,
            node_wake: None,
            effects: Effects::new(Box::new(MemoryDisk::new())),
            effect_scratch: Vec::new(),
            conns: Vec::new(),
            numbers: Vec::new(),
            seats: Vec::new(),
            actions: Actions::new(),
            tickets: 0,
            notes: Vec::new(),
            fault: None,
            hash: TraceHash::new(),
            last_move: Time::ZERO,
            in_this_instant: 0,
        };
        arena.boot();
        arena
    }

    /// The time in the arena.
    pub fn now(&self) -> Time {
        self.now
    }

    /// A hash over everything that happened so far: equal for equal seeds.
    pub fn trace_hash(&self) -> u64 {
        self.hash.value()
    }

    /// What node, clients and links noted, in order.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    /// The node, unless it crashed.
    pub fn node(&self) -> Option<&BrokerOf<C>> {
        self.node.as_ref()
    }

    /// As [`Arena::take_deliveries`], with the time of each.
    pub fn take_timed_deliveries(&mut self, client: ClientId) -> Vec<(Time, Delivery)> {
        self.seat(client).map(|seat| std::mem::take(&mut seat.deliveries)).unwrap_or_default()
    }

    /// Operations of living clients that have not ended, as (client, ticket).
    pub fn open_tickets(&self) -> Vec<(ClientId, Ticket)> {
        let living = self.seats.iter().enumerate().filter(|(_, seat)| seat.client.is_some());
        living
            .flat_map(|(index, seat)| {
                let open = seat.tickets.iter().filter(|(_, outcome)| outcome.is_none());
                open.map(move |(ticket, _)| (ClientId(index as u32), *ticket))
            })
            .collect()
    }

    fn seat(&mut self, client: ClientId) -> Option<&mut Seat<C::Client>> {
        self.seats.get_mut(client.0 as usize)
    }

    fn broken(&mut self, what: impl FnOnce() -> String) {
        if self.fault.is_none() {
            self.fault = Some(format!("at {}: {}", self.now, what()));
        }
    }

    fn boot(&mut self) {
        let boot = Boot {
            seed: SeedStream::new(self.options.seed).fork("node").nth(self.boots),
            node: NodeId(0),
            peers: vec![NodeId(0)],
        };
        self.boots += 1;
        match BrokerOf::<C>::boot(&self.configured.node, boot, self.now, &mut self.effects) {
            Ok(node) => {
                self.node = Some(node);
                self.release();
            }
            Err(error) => self.broken(|| format!("the node did not boot: {error}")),
        }
    }

    /// Takes the next event. Returns whether there was one at or before `until`.
    fn step(&mut self, until: Time) -> bool {
        if self.fault.is_some() || self.queue.next_at().is_none_or(|at| at > until) {
            return false;
        }
        let Some((at, event)) = self.queue.pop() else { return false };
        self.in_this_instant = if at > self.now { 0 } else { self.in_this_instant + 1 };
        self.now = self.now.max(at);
        if self.in_this_instant > INSTANT_LIMIT {
            self.broken(|| "time stands still: a deadline is never met by its tick".to_owned());
            return false;
        }
        if event.is_work() {
            self.last_move = self.now;
        }
        self.hash.number(self.now.as_nanos());
        match event {
            Event::Accept { conn } => self.accept(conn),
            Event::Connected { conn } => {
                self.trace(2, conn, 0);
                self.conns[conn].connected = true;
                let link = self.conns[conn].link;
                self.feed_client(conn, ClientInput::Connected { link });
            }
            Event::Up { conn, frame } => self.up(conn, frame),
            Event::Down { conn, frame } => {
                self.trace(4, conn, frame.wire_len() as u64);
                self.arrive(conn, Unread::Frame(frame));
            }
            Event::ClientClosed { conn } => {
                self.trace(5, conn, 0);
                self.arrive(conn, Unread::Closed);
            }
            Event::NodeClosed { conn } => {
                self.trace(6, conn, 0);
                if self.conns[conn].node_open {
                    self.conns[conn].node_open = false;
                    self.discard(conn, Cause::ConnectionDropped);
                    if let Some(number) = self.conns[conn].number {
                        self.feed_node(Input::Closed { conn: number });
                    }
                }
                self.retire(conn);
            }
            Event::Drained { conn, bytes } => {
                self.trace(7, conn, bytes);
                if let (true, Some(number)) = (self.conns[conn].node_open, self.conns[conn].number)
                {
                    self.feed_node(Input::Drained { conn: number, bytes });
                }
            }
            Event::Synced { boot, file, len, token } => {
                self.hash.number(len);
                if boot == self.boots && self.node.is_some() {
                    if let Some(disk) = self.effects.disk_as::<MemoryDisk>() {
                        disk.complete_sync_to(file, len);
                    }
                    self.feed_node(Input::Synced { token, result: Ok(()) });
                }
            }
            Event::NodeTick { boot, at } => {
                if boot == self.boots && self.node_wake == Some(at) {
                    self.node_wake = None;
                    self.feed_node(Input::Tick);
                }
            }
            Event::ClientTick { client, at } => {
                if self.seats[client].wake == Some(at) {
                    self.seats[client].wake = None;
                    self.drive(client, |core, now, out| core.handle(now, ClientInput::Tick, out));
                }
            }
        }
        true
    }

    fn trace(&mut self, kind: u64, conn: usize, detail: u64) {
        for number in [kind, conn as u64, detail] {
            self.hash.number(number);
        }
    }

    fn accept(&mut self, conn: usize) {
        self.trace(1, conn, 0);
        if !self.conns[conn].client_open {
            return;
        }
        let link = self.options.link;
        let answer = self.conns[conn].down_arrival(self.now, link);
        if self.node.is_none() {
            self.queue.push(answer, Event::ClientClosed { conn });
            return;
        }
        let free = self.numbers.iter().position(Option::is_none);
        let number = free.unwrap_or_else(|| {
            self.numbers.push(None);
            self.numbers.len() - 1
        });
        self.numbers[number] = Some(conn);
        let number = ConnId(number as u32);
        self.conns[conn].number = Some(number);
        self.conns[conn].node_open = true;
        self.queue.push(answer, Event::Connected { conn });
        self.feed_node(Input::Opened { conn: number, origin: Origin::default() });
    }

    fn up(&mut self, conn: usize, frame: <BrokerOf<C> as Broker>::Up) {
        self.trace(3, conn, frame.wire_len() as u64);
        let hash = &mut self.hash;
        frame.payloads(&mut |payload| hash.bytes(payload));
        match self.conns[conn].number {
            Some(number) if self.conns[conn].node_open => {
                self.feed_node(Input::Frame { conn: number, frame });
            }
            number => self.lost(Cause::ConnectionDropped, number, &frame),
        }
    }

    /// Hands what came over a connection to its client, or keeps it until the
    /// client reads again.
    fn arrive(&mut self, conn: usize, what: Unread<BrokerOf<C>>) {
        if !self.conns[conn].client_open {
            if let Unread::Frame(frame) = what {
                let number = self.conns[conn].number;
                self.lost(Cause::ConnectionDropped, number, &frame);
                self.leave_transport(conn, frame.wire_len() as u64);
            }
            return;
        }
        let client = self.conns[conn].client;
        if !self.seats[client].reading || !self.conns[conn].unread.is_empty() {
            self.conns[conn].unread.push_back(what);
            return;
        }
        self.read(conn, what);
    }

    fn read(&mut self, conn: usize, what: Unread<BrokerOf<C>>) {
        let (client, link) = (self.conns[conn].client, self.conns[conn].link);
        match what {
            Unread::Frame(frame) => {
                let hash = &mut self.hash;
                frame.payloads(&mut |payload| hash.bytes(payload));
                self.leave_transport(conn, frame.wire_len() as u64);
                self.feed_client(conn, ClientInput::Frame { link, frame });
            }
            Unread::Closed => {
                self.conns[conn].client_open = false;
                self.conns[conn].connected = false;
                self.retire(conn);
                self.seats[client].links.remove(&link);
                self.seats[client].cuts += 1;
                self.drive(client, |core, now, out| {
                    core.handle(now, ClientInput::Closed { link }, out);
                });
            }
        }
    }

    fn leave_transport(&mut self, conn: usize, bytes: u64) {
        self.conns[conn].in_transport -= bytes;
        self.pump(conn);
    }

    /// Moves frames from the node into the transport as long as there is room.
    fn pump(&mut self, conn: usize) {
        let (now, link) = (self.now, self.options.link);
        let connection = &mut self.conns[conn];
        while let Some((frame, bytes)) = connection.next_into_transport(link) {
            let at = connection.down_arrival(now, link);
            self.queue.push(at, Event::Down { conn, frame });
            if connection.node_open {
                self.queue.push(now, Event::Drained { conn, bytes });
            }
        }
        if connection.closes_after_pending && connection.pending.is_empty() {
            connection.closes_after_pending = false;
            let at = connection.down_arrival(now, link);
            self.queue.push(at, Event::ClientClosed { conn });
        }
    }

    /// Frees the node's number once both sides have closed.
    fn retire(&mut self, conn: usize) {
        let connection = &mut self.conns[conn];
        if !connection.node_open
            && !connection.client_open
            && let Some(number) = connection.number.take()
        {
            self.numbers[number.0 as usize] = None;
        }
    }

    /// Throws away what waits at the node.
    fn discard(&mut self, conn: usize, cause: Cause) {
        let number = self.conns[conn].number;
        for frame in std::mem::take(&mut self.conns[conn].pending) {
            self.lost(cause, number, &frame);
        }
    }

    fn lost<F: Frame>(&mut self, cause: Cause, conn: Option<ConnId>, frame: &F) {
        let notes = &mut self.notes;
        frame.payloads(&mut |payload| {
            let message = Identity::read(payload).map(Box::new);
            notes.push(Note::Dropped { cause, conn, message });
        });
    }

    fn feed_node(&mut self, input: Input<BrokerOf<C>>) {
        if let Some(node) = &mut self.node {
            node.handle(self.now, input, &mut self.effects);
            self.release();
        }
    }

    /// Flushes the disk, then carries out what the node wants.
    fn release(&mut self) {
        if let Err(error) = self.effects.disk().flush() {
            self.effects.clear();
            self.broken(|| format!("the disk did not flush: {error}"));
            return;
        }
        let mut effects = std::mem::take(&mut self.effect_scratch);
        self.effects.swap(&mut effects);
        for effect in effects.drain(..) {
            self.effect(effect);
        }
        self.effect_scratch = effects;
        let deadline = self.node.as_ref().and_then(Broker::deadline);
        if deadline != self.node_wake {
            self.node_wake = deadline;
            if let Some(at) = deadline {
                self.queue.push(at.max(self.now), Event::NodeTick { boot: self.boots, at });
            }
        }
    }

    fn effect(&mut self, effect: Effect<BrokerOf<C>>) {
        let open = |arena: &Self, number: ConnId| {
            let conn = arena.numbers.get(number.0 as usize).copied().flatten();
            conn.filter(|conn| arena.conns[*conn].node_open)
        };
        match effect {
            Effect::Send { conn: number, frame } => match open(self, number) {
                Some(conn) => {
                    self.last_move = self.now;
                    self.conns[conn].pending.push_back(frame);
                    self.pump(conn);
                }
                None => self.broken(|| {
                    format!("the node sent on {number:?}, which is not open: {frame:?}")
                }),
            },
            Effect::Close { conn: number, reason } => match open(self, number) {
                Some(conn) => {
                    self.last_move = self.now;
                    if reason.discards_pending() {
                        self.discard(conn, reason.cause());
                    }
                    self.conns[conn].node_open = false;
                    self.conns[conn].closes_after_pending = true;
                    self.pump(conn);
                    self.retire(conn);
                }
                None => self.broken(|| {
                    format!("the node closed {number:?}, which is not open: {reason:?}")
                }),
            },
            Effect::Peer { to, .. } => {
                self.broken(|| format!("the node sent to {to:?}, and it is alone"));
            }
            Effect::Sync { file, token } => match self.effects.disk().len(file) {
                Ok(len) => {
                    let boot = self.boots;
                    let at = self.now + self.options.sync_time;
                    self.queue.push(at, Event::Synced { boot, file, len, token });
                }
                Err(error) => self.broken(|| format!("the node synced {file:?}: {error}")),
            },
            Effect::Note(note) => self.notes.push(note),
        }
    }

    fn feed_client(&mut self, conn: usize, input: ClientInput<BrokerOf<C>>) {
        if self.conns[conn].client_open {
            let client = self.conns[conn].client;
            self.drive(client, |core, now, out| core.handle(now, input, out));
        }
    }

    /// Lets a client do something and carries out what it wants.
    fn drive<R>(
        &mut self,
        client: usize,
        act: impl FnOnce(&mut C::Client, Time, &mut Actions<C::Client>) -> R,
    ) -> Option<R> {
        let mut actions = std::mem::take(&mut self.actions);
        let core = self.seats[client].client.as_mut();
        let result = core.map(|core| act(core, self.now, &mut actions));
        for action in actions.drain() {
            self.carry_out(client, action);
        }
        self.actions = actions;
        let deadline = self.seats[client].client.as_ref().and_then(Client::deadline);
        if deadline != self.seats[client].wake {
            self.seats[client].wake = deadline;
            if let Some(at) = deadline {
                self.queue.push(at.max(self.now), Event::ClientTick { client, at });
            }
        }
        result
    }

    fn carry_out(&mut self, client: usize, action: Action<C::Client>) {
        let link = self.options.link;
        match action {
            Action::Connect { link: name, to } => {
                self.last_move = self.now;
                if to != NodeId(0) || self.seats[client].links.contains_key(&name) {
                    let who = self.seats[client].name.clone();
                    self.broken(|| {
                        format!("client `{who}` connected {name:?} twice, or to {to:?}")
                    });
                    return;
                }
                let index = self.conns.len();
                let seed = SeedStream::new(self.options.seed).fork("link").nth(index as u64);
                let mut conn = Conn::new(client, name, seed);
                let at = conn.up_arrival(self.now, link);
                self.conns.push(conn);
                self.seats[client].links.insert(name, index);
                self.queue.push(at, Event::Accept { conn: index });
            }
            Action::Send { link: name, frame } => {
                let conn = self.seats[client].links.get(&name).copied();
                match conn.filter(|conn| self.conns[*conn].connected) {
                    Some(conn) => {
                        self.last_move = self.now;
                        let at = self.conns[conn].up_arrival(self.now, link);
                        self.queue.push(at, Event::Up { conn, frame });
                    }
                    None => {
                        let who = self.seats[client].name.clone();
                        self.broken(|| {
                            format!("client `{who}` sent on {name:?}, not connected: {frame:?}")
                        });
                    }
                }
            }
            Action::Close { link: name } => match self.seats[client].links.remove(&name) {
                Some(conn) => {
                    self.last_move = self.now;
                    self.hang_up(conn);
                }
                None => {
                    let who = self.seats[client].name.clone();
                    self.broken(|| format!("client `{who}` closed {name:?}, which is not open"));
                }
            },
            Action::Outcome { ticket, outcome } => {
                let seat = &mut self.seats[client];
                match seat.tickets.get_mut(&ticket) {
                    Some(slot @ None) => *slot = Some(outcome),
                    other => {
                        let known = if other.is_some() { "ended already" } else { "unknown" };
                        let who = seat.name.clone();
                        self.broken(|| {
                            format!("client `{who}` ended {ticket:?}, {known}: {outcome:?}")
                        });
                    }
                }
            }
            Action::Delivery(delivery) => {
                let seat = &mut self.seats[client];
                if seat.subscriptions.contains(&delivery.subscription) {
                    seat.deliveries.push((self.now, delivery));
                } else {
                    let who = seat.name.clone();
                    self.broken(|| {
                        format!(
                            "client `{who}` delivered through an unknown subscription: {delivery:?}"
                        )
                    });
                }
            }
            Action::Note(note) => self.notes.push(note),
        }
    }

    /// The client's side of a connection ends; the node learns it a latency later.
    fn hang_up(&mut self, conn: usize) {
        let (now, link) = (self.now, self.options.link);
        let connection = &mut self.conns[conn];
        connection.client_open = false;
        connection.connected = false;
        let at = connection.up_arrival(now, link);
        self.queue.push(at, Event::NodeClosed { conn });
        for unread in std::mem::take(&mut self.conns[conn].unread) {
            self.arrive(conn, unread);
        }
        self.retire(conn);
    }

    /// Takes what a client's connections hold while it reads.
    fn read_on(&mut self, client: usize) {
        let conns: Vec<_> = self.seats[client].links.values().copied().collect();
        for conn in conns {
            while self.seats[client].reading
                && let Some(unread) = self.conns[conn].unread.pop_front()
            {
                self.last_move = self.now;
                self.read(conn, unread);
            }
        }
    }
}

impl<C: Contender> Arena for VirtualArena<C> {
    fn open(&mut self, name: &str) -> ClientId {
        let index = self.seats.len();
        let seed = SeedStream::new(self.options.seed).fork("client").nth(index as u64);
        let start = ClientStart { id: index as u32, seed };
        self.seats.push(Seat {
            name: name.to_owned(),
            client: Some(C::Client::new(&self.configured.client, start)),
            links: BTreeMap::new(),
            reading: true,
            wake: None,
            cuts: 0,
            tickets: BTreeMap::new(),
            subscriptions: BTreeSet::new(),
            deliveries: Vec::new(),
        });
        self.drive(index, |core, now, out| core.connect(now, out));
        ClientId(index as u32)
    }

    fn submit(&mut self, client: ClientId, op: &Op<'_>) -> Result<(Ticket, Support), Unsupported> {
        let index = client.0 as usize;
        let ticket = Ticket(self.tickets);
        self.tickets += 1;
        let Some(seat) = self.seats.get_mut(index) else {
            self.broken(|| format!("{client:?} was never opened"));
            return Ok((ticket, Support::Native));
        };
        seat.tickets.insert(ticket, None);
        if matches!(op, Op::Subscribe { .. }) {
            seat.subscriptions.insert(ticket);
        }
        match self.drive(index, |core, now, out| core.submit(now, ticket, op, out)) {
            Some(Ok(support)) => Ok((ticket, support)),
            Some(Err(unsupported)) => {
                let seat = &mut self.seats[index];
                seat.subscriptions.remove(&ticket);
                if let Some(Some(outcome)) = seat.tickets.remove(&ticket) {
                    self.broken(|| format!("{ticket:?} was refused and ended: {outcome:?}"));
                }
                Err(unsupported)
            }
            None => {
                self.broken(|| format!("{client:?} was killed, and is asked for an operation"));
                Ok((ticket, Support::Native))
            }
        }
    }

    fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        while self.step(until) {}
        self.now = self.now.max(until);
    }

    fn settle(&mut self) {
        let limit = self.now + SETTLE_LIMIT;
        self.last_move = self.now;
        loop {
            let until =
                if self.queue.has_work() { limit } else { limit.min(self.last_move + QUIET) };
            if !self.step(until) {
                break;
            }
        }
    }

    fn take_deliveries(&mut self, client: ClientId) -> Vec<Delivery> {
        self.take_timed_deliveries(client).into_iter().map(|(_, delivery)| delivery).collect()
    }

    fn outcome(&mut self, client: ClientId, ticket: Ticket) -> Option<Outcome> {
        self.seat(client)?.tickets.get(&ticket)?.clone()
    }

    fn shutdown(&mut self, client: ClientId) {
        let index = client.0 as usize;
        if index < self.seats.len() {
            self.drive(index, |core, now, out| core.handle(now, ClientInput::Shutdown, out));
        }
    }

    fn kill(&mut self, client: ClientId) {
        let Some(seat) = self.seat(client) else { return };
        seat.client = None;
        seat.wake = None;
        for conn in std::mem::take(&mut seat.links).into_values() {
            self.hang_up(conn);
        }
    }

    fn set_reading(&mut self, client: ClientId, reading: bool) {
        let Some(seat) = self.seat(client) else { return };
        seat.reading = reading;
        self.read_on(client.0 as usize);
    }

    fn crash(&mut self, kind: CrashKind) {
        if self.node.take().is_none() {
            return;
        }
        self.node_wake = None;
        self.effects.clear();
        let torn = SeedStream::new(self.options.seed).fork("torn").nth(self.boots);
        let mut draws = 0;
        if let Some(disk) = self.effects.disk_as::<MemoryDisk>() {
            disk.crash(kind, |unsynced| {
                draws += 1;
                (torn.nth(draws).bits() % (unsynced as u64 + 1)) as usize
            });
        }
        for conn in 0..self.conns.len() {
            if self.conns[conn].node_open {
                self.conns[conn].node_open = false;
                self.discard(conn, Cause::BrokerCrash);
                self.conns[conn].closes_after_pending = true;
                self.pump(conn);
                self.retire(conn);
            }
        }
    }

    fn restart(&mut self) {
        if self.node.is_none() {
            self.boot();
        }
    }

    fn cuts(&mut self, client: ClientId) -> u32 {
        self.seat(client).map_or(0, |seat| seat.cuts)
    }

    fn fault(&mut self) -> Option<String> {
        self.fault.clone()
    }
}
