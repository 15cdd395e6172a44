//! Semantics cases against the wall clock: one node on a thread, its clients on
//! the caller's.
//!
//! **What it is for.** [`EmbeddedArena`] implements the testkit's [`Arena`] with
//! the parts of this mode: the clock is the wall clock, and the node is in a
//! [`Room`]. In the usual one, [`Threads`], batches go from thread to thread through
//! [`Handoff`](super::handoff::Handoff) and the node writes real files in a fresh
//! directory; wire mode brings one with sockets in it. The same cases that pass in
//! virtual time run here with real concurrency.
//!
//! **What it never does.** It does not guess: whether everything is done is asked
//! of the node's thread, which answers a mark once it has carried out all that
//! came before. Only timers are waited for by the clock, and only those that are
//! due soon. There is no network, and no transport that fills: what a client has
//! not read is pending at the node. A power loss cuts files back to what was synced.
//!
//! **Where to start reading.** [`EmbeddedArena::settle`], then `node` for the
//! other thread.

mod node;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use broker_contract::{
    Action, Actions, Client, ClientInput, ClientStart, Configured, Contender, CrashKind, Delivery,
    Frame, LinkId, NodeId, Op, Outcome, SeedStream, Support, Ticket, Time, Unsupported,
};
use broker_testkit::{Arena, ClientId};

pub use self::node::Threads;
pub(in crate::modes) use self::node::{Room, ToClients, ToNode};
use super::clock::Clock;
use crate::modes::sim::engine::BrokerOf;

/// Timers that are due within this time of the last movement are waited for
/// before an arena counts as settled.
const QUIET: Duration = Duration::from_millis(100);
/// An arena that never settles is left alone after this long.
const SETTLE_LIMIT: Duration = Duration::from_secs(10);
/// A node's thread that answers nothing for this long hangs.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// The shortest wait for a timer, so that a timer that is never met burns no core.
const NAP: Duration = Duration::from_millis(1);

/// The node's answer to a mark.
#[derive(Copy, Clone, Debug, Default)]
struct Echo {
    mark: u64,
    deadline: Option<Time>,
    syncs: u32,
}

/// One client's place.
struct Seat<K: Client> {
    name: String,
    client: Option<K>,
    links: BTreeMap<LinkId, u32>,
    reading: bool,
    cuts: u32,
    tickets: BTreeMap<Ticket, Option<Outcome>>,
    subscriptions: BTreeSet<Ticket>,
    deliveries: Vec<Delivery>,
}

/// The client's side of a connection.
struct Conn<C: Contender> {
    client: usize,
    link: LinkId,
    open: bool,
    connected: bool,
    unread: VecDeque<ToClients<BrokerOf<C>>>,
}

/// One node in a room, and clients that the caller's thread steps.
pub struct EmbeddedArena<C: Contender, R: Room<BrokerOf<C>> = Threads<C>> {
    config: <C::Client as Client>::Config,
    seed: SeedStream,
    clock: Clock,
    room: R,
    out: Vec<ToNode<BrokerOf<C>>>,
    conns: Vec<Conn<C>>,
    seats: Vec<Seat<C::Client>>,
    actions: Actions<C::Client>,
    tickets: u64,
    marks: u64,
    echo: Echo,
    /// Items given to the node so far, marks aside.
    given: u64,
    last_move: Time,
    fault: Option<String>,
}

impl<C: Contender> EmbeddedArena<C> {
    /// Boots a node over an empty directory. A refusal to boot is the arena's
    /// [`fault`](Arena::fault).
    ///
    /// # Errors
    /// Why there is no directory or no thread.
    pub fn new(configured: Configured<C>, seed: u64) -> Result<Self, String> {
        let (seed, clock) = (SeedStream::new(seed), Clock::start());
        let room = Threads::new(configured.node, seed.fork("node"), clock)?;
        Ok(EmbeddedArena::over(room, configured.client, seed, clock))
    }
}

impl<C: Contender, R: Room<BrokerOf<C>>> EmbeddedArena<C, R> {
    /// Boots the node in `room`.
    pub(in crate::modes) fn over(
        room: R,
        config: <C::Client as Client>::Config,
        seed: SeedStream,
        clock: Clock,
    ) -> Self {
        let mut arena = EmbeddedArena {
            config,
            seed: seed.fork("client"),
            clock,
            room,
            out: Vec::new(),
            conns: Vec::new(),
            seats: Vec::new(),
            actions: Actions::new(),
            tickets: 0,
            marks: 0,
            echo: Echo::default(),
            given: 0,
            last_move: Time::ZERO,
            fault: None,
        };
        arena.out.push(ToNode::Boot);
        arena.barrier();
        arena
    }

    fn broken(&mut self, what: impl FnOnce() -> String) {
        if self.fault.is_none() {
            self.fault = Some(format!("at {}: {}", self.clock.now(), what()));
        }
    }

    fn seat(&mut self, client: ClientId) -> Option<&mut Seat<C::Client>> {
        self.seats.get_mut(client.0 as usize)
    }

    /// Hands over what is for the node.
    fn flush(&mut self) {
        if !self.out.is_empty() {
            self.given += self.out.len() as u64;
            self.last_move = self.clock.now();
            self.room.give(&mut self.out);
        }
    }

    /// Takes what the node sent, waiting for up to `patience` when there is
    /// nothing, and ticks the clients that are due.
    fn pump(&mut self, patience: Duration) {
        self.flush();
        let now = self.clock.now();
        let patience = self.next_tick().map_or(patience, |at| patience.min(at.since(now)));
        let mut batch = Vec::new();
        self.room.wait(&mut batch, patience);
        for item in batch {
            match item {
                ToClients::Echo { mark, deadline, syncs } => {
                    self.echo = Echo { mark, deadline, syncs };
                }
                ToClients::Fault(what) => {
                    self.fault.get_or_insert(what);
                }
                ToClients::Connected { conn }
                | ToClients::Frame { conn, .. }
                | ToClients::Closed { conn, .. } => self.arrive(conn, item),
            }
        }
        for index in 0..self.seats.len() {
            let now = self.clock.now();
            let due = self.seats[index].client.as_ref().and_then(Client::deadline);
            if due.is_some_and(|at| at <= now) {
                self.drive(index, |core, now, out| core.handle(now, ClientInput::Tick, out));
            }
        }
        self.flush();
    }

    /// When the next client wants a tick.
    fn next_tick(&self) -> Option<Time> {
        self.seats.iter().filter_map(|seat| seat.client.as_ref()?.deadline()).min()
    }

    /// Waits until the node has done everything that it was given so far, and
    /// the clients have taken what it had to say by then.
    fn barrier(&mut self) {
        self.flush();
        self.marks += 1;
        self.room.give(&mut vec![ToNode::Mark(self.marks)]);
        let limit = self.clock.now() + ANSWER_LIMIT;
        while self.echo.mark < self.marks && self.fault.is_none() {
            let is_dead = self.room.is_dead();
            if is_dead || self.clock.now() > limit {
                self.broken(|| {
                    let how = if is_dead { "panicked" } else { "hangs" };
                    format!("the node's thread {how}")
                });
                return;
            }
            self.pump(QUIET);
        }
    }

    /// Hands what came over a connection to its client, or keeps it until the
    /// client reads again.
    fn arrive(&mut self, conn: u32, item: ToClients<BrokerOf<C>>) {
        let state = &mut self.conns[conn as usize];
        if !state.open {
            return;
        }
        if let ToClients::Closed { discard: true, .. } = item {
            state.unread.clear();
        }
        if !self.seats[state.client].reading || !state.unread.is_empty() {
            state.unread.push_back(item);
        } else {
            self.read(conn, item);
        }
    }

    fn read(&mut self, conn: u32, item: ToClients<BrokerOf<C>>) {
        self.last_move = self.clock.now();
        let state = &mut self.conns[conn as usize];
        let (client, link) = (state.client, state.link);
        let input = match item {
            ToClients::Connected { .. } => {
                state.connected = true;
                ClientInput::Connected { link }
            }
            ToClients::Frame { frame, .. } => {
                let bytes = frame.wire_len() as u64;
                self.out.push(ToNode::Drained { conn, bytes });
                ClientInput::Frame { link, frame }
            }
            ToClients::Closed { .. } => {
                state.open = false;
                state.connected = false;
                self.seats[client].links.remove(&link);
                self.seats[client].cuts += 1;
                ClientInput::Closed { link }
            }
            ToClients::Echo { .. } | ToClients::Fault(_) => return,
        };
        self.drive(client, |core, now, out| core.handle(now, input, out));
    }

    /// Takes what a client's connections hold while it reads.
    fn read_on(&mut self, client: usize) {
        let conns: Vec<_> = self.seats[client].links.values().copied().collect();
        for conn in conns {
            while self.seats[client].reading
                && let Some(item) = self.conns[conn as usize].unread.pop_front()
            {
                self.read(conn, item);
            }
        }
    }

    /// Lets a client do something and carries out what it wants.
    fn drive<T>(
        &mut self,
        client: usize,
        act: impl FnOnce(&mut C::Client, Time, &mut Actions<C::Client>) -> T,
    ) -> Option<T> {
        let now = self.clock.now();
        let mut actions = std::mem::take(&mut self.actions);
        let result = self.seats[client].client.as_mut().map(|core| act(core, now, &mut actions));
        for action in actions.drain() {
            self.carry_out(client, action);
        }
        self.actions = actions;
        result
    }

    fn carry_out(&mut self, client: usize, action: Action<C::Client>) {
        let seat = &mut self.seats[client];
        match action {
            Action::Connect { link, to } => {
                if to != NodeId(0) || seat.links.contains_key(&link) {
                    let who = seat.name.clone();
                    self.broken(|| {
                        format!("client `{who}` connected {link:?} twice, or to {to:?}")
                    });
                    return;
                }
                let conn = self.conns.len() as u32;
                seat.links.insert(link, conn);
                self.conns.push(Conn {
                    client,
                    link,
                    open: true,
                    connected: false,
                    unread: VecDeque::new(),
                });
                self.out.push(ToNode::Opened { conn });
            }
            Action::Send { link, frame } => {
                let conn = seat.links.get(&link).copied();
                match conn.filter(|conn| self.conns[*conn as usize].connected) {
                    Some(conn) => self.out.push(ToNode::Frame { conn, frame }),
                    None => {
                        let who = seat.name.clone();
                        self.broken(|| {
                            format!("client `{who}` sent on {link:?}, not connected: {frame:?}")
                        });
                    }
                }
            }
            Action::Close { link } => match seat.links.remove(&link) {
                Some(conn) => self.hang_up(conn),
                None => {
                    let who = seat.name.clone();
                    self.broken(|| format!("client `{who}` closed {link:?}, which is not open"));
                }
            },
            Action::Outcome { ticket, outcome } => match seat.tickets.get_mut(&ticket) {
                Some(slot @ None) => *slot = Some(outcome),
                other => {
                    let known = if other.is_some() { "ended already" } else { "unknown" };
                    let who = seat.name.clone();
                    self.broken(|| {
                        format!("client `{who}` ended {ticket:?}, {known}: {outcome:?}")
                    });
                }
            },
            Action::Delivery(delivery) => {
                if seat.subscriptions.contains(&delivery.subscription) {
                    seat.deliveries.push(delivery);
                } else {
                    let who = seat.name.clone();
                    self.broken(|| {
                        format!(
                            "client `{who}` delivered through an unknown subscription: {delivery:?}"
                        )
                    });
                }
            }
            Action::Note(_) => {}
        }
    }

    /// The client's side of a connection ends, and what it had not read is lost.
    fn hang_up(&mut self, conn: u32) {
        let state = &mut self.conns[conn as usize];
        state.open = false;
        state.connected = false;
        state.unread.clear();
        self.out.push(ToNode::Closed { conn });
    }
}

impl<C: Contender, R: Room<BrokerOf<C>>> Arena for EmbeddedArena<C, R> {
    fn open(&mut self, name: &str) -> ClientId {
        let index = self.seats.len();
        let start = ClientStart { id: index as u32, seed: self.seed.nth(index as u64) };
        self.seats.push(Seat {
            name: name.to_owned(),
            client: Some(C::Client::new(&self.config, start)),
            links: BTreeMap::new(),
            reading: true,
            cuts: 0,
            tickets: BTreeMap::new(),
            subscriptions: BTreeSet::new(),
            deliveries: Vec::new(),
        });
        self.drive(index, |core, now, out| core.connect(now, out));
        self.flush();
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
        let result = self.drive(index, |core, now, out| core.submit(now, ticket, op, out));
        self.flush();
        match result {
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

    /// Really waits for that long, and then for what became due in that time.
    fn advance(&mut self, by: Duration) {
        let until = self.clock.now() + by;
        while self.fault.is_none() {
            let left = until.since(self.clock.now());
            if left.is_zero() {
                break;
            }
            self.pump(left);
        }
        self.barrier();
    }

    fn settle(&mut self) {
        let limit = self.clock.now() + SETTLE_LIMIT;
        self.last_move = self.clock.now();
        while self.fault.is_none() && self.clock.now() < limit {
            let given = self.given;
            self.barrier();
            if self.given != given {
                continue;
            }
            if self.echo.syncs > 0 {
                self.pump(NAP);
                continue;
            }
            // Nothing is under way. Only a timer can set something going.
            let next = [self.echo.deadline, self.next_tick()].into_iter().flatten().min();
            match next.filter(|at| *at < self.last_move + QUIET) {
                Some(at) => self.pump(at.since(self.clock.now()).max(NAP)),
                None => return,
            }
        }
    }

    fn take_deliveries(&mut self, client: ClientId) -> Vec<Delivery> {
        self.seat(client).map(|seat| std::mem::take(&mut seat.deliveries)).unwrap_or_default()
    }

    fn outcome(&mut self, client: ClientId, ticket: Ticket) -> Option<Outcome> {
        self.seat(client)?.tickets.get(&ticket)?.clone()
    }

    fn shutdown(&mut self, client: ClientId) {
        let index = client.0 as usize;
        if index < self.seats.len() {
            self.drive(index, |core, now, out| core.handle(now, ClientInput::Shutdown, out));
            self.flush();
        }
    }

    fn kill(&mut self, client: ClientId) {
        let Some(seat) = self.seat(client) else { return };
        seat.client = None;
        for conn in std::mem::take(&mut seat.links).into_values() {
            self.hang_up(conn);
        }
        self.flush();
    }

    fn set_reading(&mut self, client: ClientId, reading: bool) {
        let Some(seat) = self.seat(client) else { return };
        seat.reading = reading;
        self.read_on(client.0 as usize);
        self.flush();
    }

    fn crash(&mut self, kind: CrashKind) {
        self.out.push(ToNode::Crash(kind));
        self.barrier();
    }

    fn restart(&mut self) {
        self.out.push(ToNode::Boot);
        self.barrier();
    }

    fn cuts(&mut self, client: ClientId) -> u32 {
        self.seat(client).map_or(0, |seat| seat.cuts)
    }

    fn fault(&mut self) -> Option<String> {
        self.fault.clone()
    }
}

impl<C: Contender, R: Room<BrokerOf<C>>> Drop for EmbeddedArena<C, R> {
    fn drop(&mut self) {
        self.room.give(&mut vec![ToNode::Stop]);
    }
}
