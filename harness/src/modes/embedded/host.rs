//! Clients on a thread, and their connections to the node.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use broker_contract::{
    Action, Actions, Broker, Cause, Client, ClientInput, ClientStart, Contender, Delivery,
    DiskError, Frame, Identity, LinkId, Note, Outcome, Point, SeedStream, SyncToken, Ticket, Time,
};
use lab_workloads::ledger::Drop;
use lab_workloads::queue::EventQueue;

use super::Shared;
use super::clock::Clock;
use super::handoff::Handoff;
use crate::measure::sampled::Moments;
use crate::modes::sim::engine::BrokerOf;
use crate::trial::cast::Cast;
use crate::trial::{Calls, CopyDrop, drop_copies, note_drop};

/// From a client's thread to the node's.
#[derive(Debug)]
pub(in crate::modes) enum ToNode<B: Broker> {
    /// A client of `thread` connects.
    Opened { conn: u32, thread: u8 },
    /// A frame.
    Frame { conn: u32, frame: B::Up },
    /// The client closed, or died.
    Closed { conn: u32 },
    /// The client has read this much.
    Drained { conn: u32, bytes: u64 },
    /// A sync has ended.
    Synced { boot: u64, token: SyncToken, result: Result<(), DiskError> },
}

/// From the node's thread to a client's.
#[derive(Debug)]
pub(in crate::modes) enum ToClient<B: Broker> {
    /// A frame, and when the node let it go.
    Frame { conn: u32, released: Time, frame: B::Down },
    /// The node closed. What the client has not read yet is thrown away for
    /// this cause, if there is one.
    Closed { conn: u32, discard: Option<Cause> },
}

/// How a thread of clients reaches the node, and what it sends reaches them.
pub(in crate::modes) trait Way<B: Broker>: Send + std::fmt::Debug {
    /// Takes everything in `batch`, which is left empty.
    fn give(&mut self, batch: &mut Vec<ToNode<B>>);

    /// Takes what came into `batch`, which is empty, waiting for up to `timeout`
    /// when there is nothing. Returns whether there was anything.
    fn wait(&mut self, batch: &mut Vec<ToClient<B>>, timeout: Duration) -> bool;

    /// What it has asked of the system since the run's zero, if it does at all.
    fn calls(&self) -> Option<Calls> {
        None
    }

    /// When the trial is over: brings what was given to where it goes.
    fn conclude(&mut self) {}
}

/// The way between threads of one process.
#[derive(Debug)]
pub(in crate::modes) struct Inside<B: Broker> {
    pub to_node: Arc<Handoff<ToNode<B>>>,
    pub inbox: Arc<Handoff<ToClient<B>>>,
}

impl<B: Broker> Way<B> for Inside<B> {
    fn give(&mut self, batch: &mut Vec<ToNode<B>>) {
        self.to_node.give(batch);
    }

    fn wait(&mut self, batch: &mut Vec<ToClient<B>>, timeout: Duration) -> bool {
        self.inbox.wait(batch, timeout)
    }
}

/// Who hears of outcomes and deliveries.
pub(in crate::modes) trait Sink {
    /// An operation ended.
    fn outcome(&mut self, ticket: Ticket, outcome: &Outcome, now: Time);
    /// A message for the application.
    fn delivery(&mut self, delivery: Delivery, now: Time, released: Time);
    /// Whether the client has stopped reading.
    fn is_paused(&self, client: u32) -> bool;
}

#[derive(Debug)]
struct ConnState<B: Broker> {
    client: u32,
    incarnation: u32,
    link: LinkId,
    open: bool,
    read_bytes: u64,
    unread: VecDeque<ToClient<B>>,
}

#[derive(Debug)]
struct Slot<C: Client> {
    client: Option<C>,
    incarnation: u32,
    wake: Time,
    links: Vec<(LinkId, u32)>,
}

/// Counted notes of a thread's clients.
#[derive(Debug, Default)]
pub struct Notes {
    /// Rare events.
    pub sometimes: BTreeMap<&'static str, u64>,
    /// Messages and bytes thrown away.
    pub wasted: (u64, u64),
}

/// The clients of one thread.
#[derive(Debug)]
pub(in crate::modes) struct Host<C: Contender> {
    thread: u8,
    config: <C::Client as Client>::Config,
    seed: SeedStream,
    cast: Arc<Cast>,
    shared: Arc<Shared>,
    clock: Clock,
    way: Box<dyn Way<BrokerOf<C>>>,
    slots: Vec<Slot<C::Client>>,
    conns: Vec<Option<Box<ConnState<BrokerOf<C>>>>>,
    actions: Actions<C::Client>,
    scratch: Vec<Vec<Action<C::Client>>>,
    connected: VecDeque<u32>,
    out: Vec<ToNode<BrokerOf<C>>>,
    read: Vec<u32>,
    ticks: EventQueue<(u32, Time)>,
    starts: u32,
    spare: Vec<ToClient<BrokerOf<C>>>,
    /// When sampled messages left their clients, nanoseconds since zero.
    pub sent_at: Moments,
    /// Messages that went no further on the publisher's side.
    pub drops: Vec<Drop>,
    /// Copies that went no further on a consumer's side.
    pub copies_dropped: Vec<CopyDrop>,
    /// Counted notes.
    pub notes: Notes,
}

impl<C: Contender> Host<C> {
    #[allow(clippy::too_many_arguments, reason = "the parts of a trial meet here, once")]
    pub(in crate::modes) fn new(
        thread: u8,
        config: <C::Client as Client>::Config,
        seed: SeedStream,
        cast: Arc<Cast>,
        shared: Arc<Shared>,
        clock: Clock,
        way: Box<dyn Way<BrokerOf<C>>>,
        step: u32,
    ) -> Host<C> {
        let slots = (0..cast.client_population.len())
            .map(|_| Slot { client: None, incarnation: 0, wake: Time::MAX, links: Vec::new() })
            .collect();
        Host {
            thread,
            config,
            seed,
            cast,
            shared,
            clock,
            way,
            slots,
            conns: Vec::new(),
            actions: Actions::new(),
            scratch: Vec::new(),
            connected: VecDeque::new(),
            out: Vec::new(),
            read: Vec::new(),
            ticks: EventQueue::new(),
            starts: 0,
            spare: Vec::new(),
            sent_at: Moments::new(step),
            drops: Vec::new(),
            copies_dropped: Vec::new(),
            notes: Notes::default(),
        }
    }

    /// Takes what came for the clients into `batch`, waiting for up to `timeout`.
    pub fn wait(&mut self, batch: &mut Vec<ToClient<BrokerOf<C>>>, timeout: Duration) -> bool {
        self.way.wait(batch, timeout)
    }

    /// The way to the node, once the trial is over.
    pub(in crate::modes) fn way(&mut self) -> &mut dyn Way<BrokerOf<C>> {
        &mut *self.way
    }

    /// What the way has asked of the system since the run's zero.
    pub(in crate::modes) fn calls(&self) -> Option<Calls> {
        self.way.calls()
    }

    /// A new client for a slot; nothing is connected yet.
    pub fn fresh(&mut self) -> C::Client {
        let id = self.starts * 2 + u32::from(self.thread);
        self.starts += 1;
        C::Client::new(&self.config, ClientStart { id, seed: self.seed.nth(u64::from(id)) })
    }

    /// Puts a client into its slot and lets `first` give it its first operations.
    pub fn start(
        &mut self,
        client: u32,
        sink: &mut impl Sink,
        first: impl FnOnce(&mut C::Client, Time, &mut Actions<C::Client>),
    ) {
        let mut fresh = self.fresh();
        let now = self.clock.now();
        first(&mut fresh, now, &mut self.actions);
        let slot = &mut self.slots[client as usize];
        slot.client = Some(fresh);
        slot.wake = Time::MAX;
        self.act(client, now, now, sink);
    }

    /// Lets `what` use a client; [`Host::settle`] carries out what follows. The
    /// two are apart so that `what` and the sink may use the same state in turn.
    pub fn submit(
        &mut self,
        client: u32,
        what: impl FnOnce(&mut C::Client, &mut Actions<C::Client>),
    ) {
        if let Some(state) = &mut self.slots[client as usize].client {
            what(state, &mut self.actions);
        }
    }

    /// Carries out what `client` wants done.
    pub fn settle(&mut self, client: u32, now: Time, sink: &mut impl Sink) {
        self.act(client, now, now, sink);
    }

    /// The clients that only send, in order.
    pub fn senders(&self) -> Vec<u32> {
        (0..self.cast.operator).filter(|client| !self.cast.receives(*client)).collect()
    }

    /// The client that makes the logs.
    pub fn operator(&self) -> u32 {
        self.cast.operator
    }

    /// The clients that subscribe, in order.
    pub fn receivers(&self) -> Vec<u32> {
        (0..self.slots.len() as u32).filter(|client| self.cast.receives(*client)).collect()
    }

    /// The clock of the trial.
    pub(in crate::modes) fn clock(&self) -> Clock {
        self.clock
    }

    /// What the threads share.
    pub(in crate::modes) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// The run's zero, once it is known.
    pub fn zero(&self) -> Option<Time> {
        self.shared.zero()
    }

    /// Whether the trial is over.
    pub fn stopped(&self) -> bool {
        self.shared.stopped()
    }

    /// Says whether the generator has more to send.
    pub fn set_sending_busy(&self, busy: bool) {
        self.shared.sending_busy.store(busy, Ordering::Relaxed);
    }

    /// An empty batch to take items into.
    pub fn spare(&mut self) -> Vec<ToClient<BrokerOf<C>>> {
        std::mem::take(&mut self.spare)
    }

    /// Keeps the allocation of an empty batch for the next time.
    pub fn keep(&mut self, batch: Vec<ToClient<BrokerOf<C>>>) {
        debug_assert!(batch.is_empty());
        self.spare = batch;
    }

    /// Takes one item that the node sent.
    pub fn take(&mut self, item: ToClient<BrokerOf<C>>, now: Time, sink: &mut impl Sink) {
        let conn = match &item {
            ToClient::Frame { conn, .. } | ToClient::Closed { conn, .. } => *conn,
        };
        let Some(Some(state)) = self.conns.get_mut(conn as usize) else { return };
        if !state.open {
            if let ToClient::Frame { frame, .. } = item {
                self.lose(conn, &frame, Cause::ConnectionDropped);
            }
            return;
        }
        if let ToClient::Closed { discard: Some(cause), .. } = item {
            let unread = std::mem::take(&mut state.unread);
            for waiting in unread {
                if let ToClient::Frame { frame, .. } = waiting {
                    self.lose(conn, &frame, cause);
                }
            }
        } else if !state.unread.is_empty() || sink.is_paused(state.client) {
            state.unread.push_back(item);
            return;
        }
        self.consume(item, now, sink);
    }

    fn consume(&mut self, item: ToClient<BrokerOf<C>>, now: Time, sink: &mut impl Sink) {
        match item {
            ToClient::Frame { conn, released, frame } => {
                let Some(Some(state)) = self.conns.get_mut(conn as usize) else { return };
                if state.read_bytes == 0 {
                    self.read.push(conn);
                }
                state.read_bytes += frame.wire_len() as u64;
                let (client, link) = (state.client, state.link);
                self.input(client, now, released, ClientInput::Frame { link, frame }, sink);
            }
            ToClient::Closed { conn, .. } => {
                let Some(Some(state)) = self.conns.get_mut(conn as usize) else { return };
                state.open = false;
                let (client, link) = (state.client, state.link);
                self.slots[client as usize].links.retain(|(_, other)| *other != conn);
                self.input(client, now, now, ClientInput::Closed { link }, sink);
            }
        }
    }

    /// Reads what waited while `client` had stopped reading.
    pub fn resume(&mut self, client: u32, now: Time, sink: &mut impl Sink) {
        let conns: Vec<u32> = self.slots[client as usize].links.iter().map(|(_, c)| *c).collect();
        for conn in conns {
            while !sink.is_paused(client) {
                let Some(Some(state)) = self.conns.get_mut(conn as usize) else { break };
                let Some(item) = state.unread.pop_front() else { break };
                self.consume(item, now, sink);
            }
        }
    }

    fn lose(&mut self, conn: u32, frame: &<BrokerOf<C> as Broker>::Down, cause: Cause) {
        let Some(client) = self.client_of(conn) else { return };
        let (cast, drops, copies) = (&self.cast, &mut self.drops, &mut self.copies_dropped);
        frame.payloads(&mut |payload| {
            if let Some(identity) = Identity::read(payload) {
                drop_copies(cast, client, identity.number, cause, drops, copies);
            }
        });
    }

    /// The client behind a connection of this thread.
    pub fn client_of(&self, conn: u32) -> Option<u32> {
        match self.conns.get(conn as usize) {
            Some(Some(state)) => Some(state.client),
            _ => None,
        }
    }

    /// The seats behind a connection.
    pub fn seats_of_conn(&self, conn: u32) -> Vec<u32> {
        self.client_of(conn)
            .map_or_else(Vec::new, |client| self.cast.seats_of_client[client as usize].clone())
    }

    /// Copies that are still in this thread's hands, as (scope, number).
    pub fn unread(&self) -> Vec<(u32, u32)> {
        let mut all = Vec::new();
        for state in self.conns.iter().flatten() {
            for item in &state.unread {
                self.still_under_way(item, &mut all);
            }
        }
        all
    }

    /// Adds the copies in `item` to `all`, as (scope, number).
    pub fn still_under_way(&self, item: &ToClient<BrokerOf<C>>, all: &mut Vec<(u32, u32)>) {
        let ToClient::Frame { conn, frame, .. } = item else { return };
        let seats = self.seats_of_conn(*conn);
        frame.payloads(&mut |payload| {
            let Some(identity) = Identity::read(payload) else { return };
            for seat in &seats {
                all.push((self.cast.seats[*seat as usize].scope, identity.number));
            }
        });
    }

    /// The process of `client` is killed.
    pub fn kill(&mut self, client: u32) {
        let links = std::mem::take(&mut self.slots[client as usize].links);
        for (_, conn) in links {
            self.hang_up(conn);
        }
        let slot = &mut self.slots[client as usize];
        slot.client = None;
        slot.incarnation += 1;
    }

    /// Whether a client sits in the slot.
    pub fn is_running(&self, client: u32) -> bool {
        self.slots[client as usize].client.is_some()
    }

    /// Hands an input to a client.
    pub fn input(
        &mut self,
        client: u32,
        now: Time,
        released: Time,
        input: ClientInput<BrokerOf<C>>,
        sink: &mut impl Sink,
    ) {
        let Some(state) = &mut self.slots[client as usize].client else { return };
        state.handle(now, input, &mut self.actions);
        self.act(client, now, released, sink);
    }

    /// Ticks every client whose moment has come.
    pub fn tick(&mut self, now: Time, sink: &mut impl Sink) {
        while self.ticks.peek_at().is_some_and(|at| at <= now.as_nanos()) {
            let Some((_, (client, at))) = self.ticks.pop() else { break };
            if self.slots[client as usize].wake == at {
                self.slots[client as usize].wake = Time::MAX;
                self.input(client, now, now, ClientInput::Tick, sink);
            }
        }
    }

    /// When the next client wants a tick.
    pub fn next_tick(&mut self) -> Option<Time> {
        self.ticks.peek_at().map(Time::from_nanos)
    }

    fn act(&mut self, client: u32, now: Time, released: Time, sink: &mut impl Sink) {
        self.carry_out(client, now, released, sink);
        // A connection inside the process is there at once; its client learns of
        // it after it has finished what it was doing.
        while let Some(conn) = self.connected.pop_front() {
            let Some(Some(state)) = self.conns.get(conn as usize) else { continue };
            let (client, link) = (state.client, state.link);
            if !state.open || state.incarnation != self.slots[client as usize].incarnation {
                continue;
            }
            if let Some(target) = &mut self.slots[client as usize].client {
                target.handle(now, ClientInput::Connected { link }, &mut self.actions);
                self.carry_out(client, now, now, sink);
            }
        }
    }

    fn carry_out(&mut self, client: u32, now: Time, released: Time, sink: &mut impl Sink) {
        if !self.actions.is_empty() {
            let mut actions = self.scratch.pop().unwrap_or_default();
            self.actions.swap(&mut actions);
            for action in actions.drain(..) {
                self.action(client, now, released, action, sink);
            }
            self.scratch.push(actions);
        }
        let slot = &mut self.slots[client as usize];
        if let Some(at) = slot.client.as_ref().and_then(Client::deadline)
            && at < slot.wake
        {
            slot.wake = at;
            self.ticks.push(at.as_nanos(), (client, at));
        }
    }

    fn action(
        &mut self,
        client: u32,
        now: Time,
        released: Time,
        action: Action<C::Client>,
        sink: &mut impl Sink,
    ) {
        match action {
            Action::Connect { link, .. } => self.open(client, link),
            Action::Send { link, frame } => {
                let links = &self.slots[client as usize].links;
                let Some((_, conn)) = links.iter().find(|(name, _)| *name == link) else { return };
                let conn = *conn;
                self.stamp(&frame, now);
                self.out.push(ToNode::Frame { conn, frame });
            }
            Action::Close { link } => {
                let links = &self.slots[client as usize].links;
                if let Some((_, conn)) = links.iter().find(|(name, _)| *name == link) {
                    let conn = *conn;
                    self.slots[client as usize].links.retain(|(name, _)| *name != link);
                    self.hang_up(conn);
                }
            }
            Action::Outcome { ticket, outcome } => sink.outcome(ticket, &outcome, now),
            Action::Delivery(delivery) => sink.delivery(delivery, now, released),
            Action::Note(Note::Dropped { cause, message: Some(identity), .. }) => {
                let (drops, copies) = (&mut self.drops, &mut self.copies_dropped);
                note_drop(&self.cast, Some(client), identity.number, cause, drops, copies);
            }
            Action::Note(note) => self.note(note, now),
        }
    }

    fn stamp(&mut self, frame: &<BrokerOf<C> as Broker>::Up, now: Time) {
        let Some(zero) = self.shared.zero() else { return };
        let sent_at = &mut self.sent_at;
        frame.payloads(&mut |payload| {
            if let Some(identity) = Identity::read(payload) {
                sent_at.note(identity.number, now.nanos_since(zero));
            }
        });
    }

    fn note(&mut self, note: Note, now: Time) {
        match note {
            Note::Passed { point: Point::Sent, number } => {
                if let Some(zero) = self.shared.zero() {
                    self.sent_at.note(number, now.nanos_since(zero));
                }
            }
            Note::Wasted { messages, bytes } => {
                self.notes.wasted.0 += u64::from(messages);
                self.notes.wasted.1 += bytes;
            }
            Note::Sometimes(what) => *self.notes.sometimes.entry(what).or_default() += 1,
            _ => {}
        }
    }

    fn open(&mut self, client: u32, link: LinkId) {
        let conn = self.shared.next_conn.fetch_add(1, Ordering::Relaxed);
        if self.conns.len() <= conn as usize {
            self.conns.resize_with(conn as usize + 1, || None);
        }
        let slot = &mut self.slots[client as usize];
        slot.links.retain(|(other, _)| *other != link);
        slot.links.push((link, conn));
        self.conns[conn as usize] = Some(Box::new(ConnState {
            client,
            incarnation: slot.incarnation,
            link,
            open: true,
            read_bytes: 0,
            unread: VecDeque::new(),
        }));
        self.out.push(ToNode::Opened { conn, thread: self.thread });
        self.connected.push_back(conn);
    }

    fn hang_up(&mut self, conn: u32) {
        let Some(Some(state)) = self.conns.get_mut(conn as usize) else { return };
        if !state.open {
            return;
        }
        state.open = false;
        let unread = std::mem::take(&mut state.unread);
        for item in unread {
            if let ToClient::Frame { frame, .. } = item {
                self.lose(conn, &frame, Cause::ConnectionDropped);
            }
        }
        self.out.push(ToNode::Closed { conn });
    }

    /// Hands over what was sent and read since the last time.
    pub fn flush(&mut self) {
        for conn in self.read.drain(..) {
            if let Some(Some(state)) = self.conns.get_mut(conn as usize) {
                let bytes = std::mem::take(&mut state.read_bytes);
                if state.open {
                    self.out.push(ToNode::Drained { conn, bytes });
                }
            }
        }
        if !self.out.is_empty() {
            self.way.give(&mut self.out);
            self.shared.moved();
        }
    }

    /// Frames waiting to be handed over.
    pub fn pending(&self) -> usize {
        self.out.len()
    }
}
