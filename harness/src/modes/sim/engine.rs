//! The event loop of the simulation.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use broker_contract::{
    Action, Actions, Boot, Broker, Client, ClientInput, ClientStart, CloseReason, Configured,
    ConnId, Contender, Effect, Effects, FileId, Frame, GroupSeat, Identity, Input, LinkId, NodeId,
    Note, Op, Origin, Outcome, Point, SeedStream, SyncToken, Time,
};
use lab_workloads::ledger::Drop;
use lab_workloads::plan::{Interest, Planned};
use lab_workloads::queue::EventQueue;
use lab_workloads::scenario::model::{PhaseKind, Scenario, Subscription};
use rand_chacha::ChaCha8Rng;

use super::costs::Costs;
use super::disk::SimDisk;
use super::hash::TraceHash;
use super::links::Links;
use super::tracing::{Actor, Trace};
use super::wire::{Conn, Path};
use crate::measure::sampled::Moments;
use crate::trial::away::{AwayLog, Change};
use crate::trial::cast::{Cast, TicketOf, follow_up_ticket, seat_ticket, ticket_of};
use crate::trial::consumers::{Consumers, Due, FollowUp};
use crate::trial::sender::Sender;
use crate::trial::{CopyDrop, RawTrial, Resources, Watch, drop_copies};

/// The broker of a contender.
pub type BrokerOf<C> = <<C as Contender>::Client as Client>::Broker;

/// Virtual time that set-up may take.
const SETUP_LIMIT: Duration = Duration::from_secs(60);

/// Steps between two looks at the watch, some twenty in a second: what it shows
/// takes a walk over a histogram, which was half a percent of all time at every
/// 4,096 steps.
const WATCH_STEPS: u64 = 65_536;

/// Something that happens at a moment.
#[derive(Debug)]
pub(super) enum Event<B: Broker> {
    /// A frame of so many bytes reaches the node. Its length is carried along,
    /// because frames work it out anew whenever they are asked.
    Up { conn: u32, bytes: u32, frame: B::Up },
    /// A frame reaches a client; `released` is when the node let it go.
    Down { conn: u32, bytes: u32, released: Time, frame: B::Down },
    /// A connection attempt reaches the node.
    Accept { conn: u32 },
    /// The client learns that its connection is there.
    Connected { conn: u32 },
    /// The client learns that its connection ended or never came.
    ClientClosed { conn: u32 },
    /// The node learns that its peer is gone.
    NodeClosed { conn: u32 },
    /// The node's deadline.
    NodeTick { at: Time },
    /// A client's deadline.
    ClientTick { client: u32, at: Time },
    /// An application has finished with a message, or takes the next.
    FollowUp(FollowUp),
    /// A sync has ended.
    Synced { token: SyncToken, file: FileId },
    /// A fault begins or ends.
    Fault { index: u32, begins: bool },
}

impl<B: Broker> Event<B> {
    /// Ticks and faults come by themselves; everything else is work under way.
    fn is_work(&self) -> bool {
        !matches!(self, Event::NodeTick { .. } | Event::ClientTick { .. } | Event::Fault { .. })
    }
}

/// A client's place: the client itself comes and goes with restarts.
#[derive(Debug)]
pub(super) struct Slot<C: Client> {
    pub client: Option<C>,
    pub incarnation: u32,
    pub busy_until: Time,
    pub wake: Time,
    pub links: Links,
}

/// The simulation of one trial.
pub struct Sim<C: Contender> {
    pub(super) scenario: Arc<Scenario>,
    pub(super) cast: Arc<Cast>,
    pub(super) interest: Arc<Interest>,
    pub(super) configured: Configured<C>,
    costs: Costs,
    paths: Vec<Path>,
    pub(super) seed: SeedStream,
    net: ChaCha8Rng,
    pub(super) now: Time,
    pub(super) zero: Time,
    queue: EventQueue<Event<BrokerOf<C>>>,
    work: u64,
    pub(super) node: Option<BrokerOf<C>>,
    pub(super) boots: u64,
    pub(super) effects: Effects<BrokerOf<C>>,
    pub(super) disk: SimDisk,
    effect_scratch: Vec<Effect<BrokerOf<C>>>,
    /// Bytes of the frames among the effects.
    lengths: Vec<u32>,
    drained: VecDeque<(u32, u64)>,
    node_busy: Time,
    node_wake: Time,
    node_cpu_ns: f64,
    client_cpu_ns: f64,
    pub(super) slots: Vec<Slot<C::Client>>,
    /// Planned operations below this number have had their clients fetched.
    warm_until: u32,
    warming: Vec<u32>,
    starts: u32,
    pub(super) conns: Vec<Conn<BrokerOf<C>>>,
    actions: Actions<C::Client>,
    action_scratch: Vec<Vec<Action<C::Client>>>,
    pub(super) sender: Sender,
    pub(super) consumers: Consumers,
    due: Vec<Due>,
    follow_ups: u64,
    subscribed: u32,
    pub(super) away: AwayLog,
    pub(super) is_away: Vec<bool>,
    pub(super) drops: Vec<Drop>,
    pub(super) copies_dropped: Vec<CopyDrop>,
    sent_at: Moments,
    arrived_at: Moments,
    events: u64,
    transit_ns: u64,
    written_before: u64,
    resources: Resources,
    pub(super) faults: Vec<bool>,
    sometimes: BTreeMap<&'static str, u64>,
    wasted: (u64, u64),
    unsupported: Option<broker_contract::Unsupported>,
    pub(super) broken: Option<String>,
    hash: TraceHash,
    pub(super) trace: Option<Trace>,
}

impl<C: Contender> Sim<C> {
    /// A simulation that has not begun.
    pub fn new(
        scenario: &Arc<Scenario>,
        configured: &Configured<C>,
        costs: &Costs,
        seed: SeedStream,
        trace: Option<Trace>,
    ) -> Sim<C> {
        let interest = Arc::new(Interest::new(scenario));
        let overrides = scenario.contenders.get(C::NAME).cloned().unwrap_or_default();
        let cast = Arc::new(Cast::new(scenario, &overrides, &interest));
        let expected = expected_messages(scenario);
        let step = if trace.is_some() { 1 } else { sampling_step(expected) };
        let awaits = configured.proof.copies > 0;
        let sender =
            Sender::new(scenario, seed.fork("workload"), interest.clone(), cast.clone(), awaits);
        let consumers = Consumers::new(
            scenario.clone(),
            cast.clone(),
            seed.fork("consumers"),
            step,
            costs.receive(),
        );
        let disk = SimDisk::default();
        let slots = cast
            .client_population
            .iter()
            .map(|_| Slot {
                client: None,
                incarnation: 0,
                busy_until: Time::ZERO,
                wake: Time::MAX,
                links: Links::default(),
            })
            .collect();
        Sim {
            paths: scenario.links.iter().map(Path::new).collect(),
            net: seed.fork("network").rng(),
            now: Time::ZERO,
            zero: Time::ZERO,
            queue: EventQueue::new(),
            work: 0,
            node: None,
            boots: 0,
            effects: Effects::new(Box::new(disk.clone())),
            disk,
            effect_scratch: Vec::new(),
            lengths: Vec::new(),
            drained: VecDeque::new(),
            node_busy: Time::ZERO,
            node_wake: Time::MAX,
            node_cpu_ns: 0.0,
            client_cpu_ns: 0.0,
            slots,
            warm_until: 0,
            warming: Vec::new(),
            starts: 0,
            conns: Vec::new(),
            actions: Actions::new(),
            action_scratch: Vec::new(),
            sender,
            is_away: vec![true; cast.seats.len()],
            consumers,
            due: Vec::new(),
            follow_ups: 0,
            subscribed: 0,
            away: AwayLog::default(),
            drops: Vec::new(),
            copies_dropped: Vec::new(),
            sent_at: Moments::new(step),
            arrived_at: Moments::new(step),
            events: 0,
            transit_ns: 0,
            written_before: 0,
            resources: Resources::default(),
            faults: vec![false; scenario.faults.len()],
            sometimes: BTreeMap::new(),
            wasted: (0, 0),
            unsupported: None,
            broken: None,
            hash: TraceHash::new(),
            trace,
            scenario: scenario.clone(),
            cast,
            interest,
            configured: configured.clone(),
            costs: costs.clone(),
            seed,
        }
    }

    /// Runs the trial to its end.
    pub fn run(mut self, watch: &Watch) -> (RawTrial, Option<Trace>) {
        self.boot();
        self.set_up();
        self.zero = self.now;
        self.sender.start_at(self.zero);
        self.consumers.start_at(self.zero);
        if let Some(trace) = &mut self.trace {
            trace.zero = self.zero;
        }
        self.node_cpu_ns = 0.0;
        self.client_cpu_ns = 0.0;
        self.resources = Resources::default();
        self.written_before = self.disk.written();
        self.transit_ns = 0;
        self.plan_faults();
        let sending_ends = self.zero.plus_nanos(self.scenario.sending_ends_ns());
        let ends = self.zero.plus_nanos(self.scenario.ends_ns());
        let mut interrupted = false;
        let mut steps = 0_u64;
        while self.broken.is_none() {
            steps += 1;
            if steps.is_multiple_of(WATCH_STEPS) {
                watch.at(
                    self.now.nanos_since(self.zero),
                    ends.nanos_since(self.zero),
                    self.consumers.meters.live_p99_ns(),
                    self.consumers.firsts,
                );
                if watch.interrupted() {
                    interrupted = true;
                    break;
                }
            }
            let planned = self.sender.next_at().filter(|at| *at < sending_ends);
            let queued = self.queue.peek_at().map(Time::from_nanos);
            match (planned, queued) {
                (Some(at), queued) if queued.is_none_or(|queued| at <= queued) => self.offer(at),
                (planned, Some(at)) => {
                    if at >= ends || (planned.is_none() && self.is_finished()) {
                        break;
                    }
                    self.step();
                }
                (_, None) => break,
            }
        }
        self.finish(interrupted)
    }

    /// Whether nothing that was sent is still under way.
    fn is_finished(&self) -> bool {
        self.work == 0
    }

    pub(super) fn boot(&mut self) {
        let boot = Boot {
            seed: self.seed.fork("node").nth(self.boots),
            node: NodeId(0),
            peers: vec![NodeId(0)],
        };
        self.boots += 1;
        match BrokerOf::<C>::boot(&self.configured.node, boot, self.now, &mut self.effects) {
            Ok(node) => {
                self.node = Some(node);
                self.release(self.now, 0.0);
            }
            Err(error) => self.broken = Some(format!("the node did not boot: {error}")),
        }
    }

    /// Connects everybody and waits until every subscription is in force.
    fn set_up(&mut self) {
        for client in 0..self.slots.len() as u32 {
            self.start_client(client);
        }
        let limit = self.now + SETUP_LIMIT;
        while self.broken.is_none() && self.work > 0 {
            if self.now > limit {
                break;
            }
            self.step();
        }
        if self.subscribed < self.cast.seats.len() as u32 && self.broken.is_none() {
            self.broken = Some(format!(
                "{} of {} subscriptions were in force after set-up",
                self.subscribed,
                self.cast.seats.len()
            ));
        }
    }

    /// Starts the client of a slot anew: it connects, and subscribes its seats.
    pub(super) fn start_client(&mut self, client: u32) {
        let start = ClientStart {
            id: self.starts,
            seed: self.seed.fork("client").nth(u64::from(self.starts)),
        };
        self.starts += 1;
        let mut fresh = C::Client::new(&self.configured.client, start);
        let cast = self.cast.clone();
        let seats = &cast.seats_of_client[client as usize];
        if seats.is_empty() {
            fresh.connect(self.now, &mut self.actions);
        }
        for seat in seats {
            self.subscribe(&mut fresh, *seat);
        }
        let slot = &mut self.slots[client as usize];
        slot.client = Some(fresh);
        slot.wake = Time::MAX;
        self.act(client, self.now, self.now);
    }

    fn subscribe(&mut self, client: &mut C::Client, seat: u32) {
        let place = self.cast.seats[seat as usize].clone();
        let population = &self.scenario.populations[place.population as usize];
        let Some(subscription) = population.subscription() else { return };
        let filter = self.interest.filter(place.population as usize, place.member);
        let op = subscribe_op(subscription, &filter, place.member, population.count);
        let ticket = seat_ticket(seat);
        if let Err(unsupported) = client.submit(self.now, ticket, &op, &mut self.actions) {
            self.broken = Some(format!("`{}` cannot subscribe: {unsupported}", population.name));
            self.unsupported.get_or_insert(unsupported);
        }
    }

    /// Hands the next planned operation to its client.
    fn offer(&mut self, at: Time) {
        self.now = at.max(self.now);
        if self.sender.drawn().first().is_some_and(|op| op.number >= self.warm_until) {
            self.warm();
        }
        let Some(op) = self.sender.next() else { return };
        self.events += 1;
        self.hash.add(1, self.now.as_nanos(), u64::from(op.number), u64::from(op.key));
        let client = self.sender.client_of(&op);
        self.trace_offer(&op, client);
        let slot = &mut self.slots[client as usize];
        let Some(state) = &mut slot.client else { return };
        self.sender.submit(&op, self.now, state, &mut self.actions);
        self.act(client, self.now, self.now);
    }

    /// Reads what the operations that are drawn will need, before they need it.
    ///
    /// Among tens of thousands of clients in random order, each one's place and
    /// its connection is a cache miss, and an operation's misses depend on each
    /// other: half of all time in `act` was two such loads. In these short loops
    /// the processor waits for many at once.
    fn warm(&mut self) {
        let mut sum = 0;
        self.warming.clear();
        for op in self.sender.drawn() {
            let slot = &self.slots[self.sender.client_of(op) as usize];
            let due = slot.client.as_ref().and_then(Client::deadline).unwrap_or(slot.busy_until);
            sum ^= due.as_nanos() ^ slot.wake.as_nanos();
            self.warming.extend(slot.links.conns().next());
            self.warm_until = op.number + 1;
        }
        for conn in &self.warming {
            let state = &self.conns[*conn as usize];
            sum ^= state.up_last.as_nanos() ^ u64::from(state.client) ^ state.in_flight;
        }
        // Without a use the loads would be left out.
        std::hint::black_box(sum);
    }

    fn trace_offer(&mut self, op: &Planned, client: u32) {
        let Some(trace) = &mut self.trace else { return };
        if trace.number == op.number {
            let name = self.scenario.populations[op.population as usize].name.clone();
            let publisher = Actor::Publisher(name.clone(), op.member);
            let to = Actor::Client(name, client - self.cast.clients[op.population as usize].0);
            self.sender.channel_of(op, &mut trace.channel);
            let what = format!("publish {} ({} B)", trace.channel, op.size);
            trace.step(self.now, publisher, to, what);
        }
    }

    /// Takes the next event.
    fn step(&mut self) {
        let Some((at_ns, event)) = self.queue.pop() else { return };
        self.events += 1;
        self.now = Time::from_nanos(at_ns).max(self.now);
        if event.is_work() {
            self.work -= 1;
        }
        let now_ns = self.now.as_nanos();
        match event {
            Event::Up { conn, bytes, frame } => {
                self.hash.add(2, now_ns, u64::from(conn), u64::from(bytes));
                self.arrive_up(conn, bytes, frame);
            }
            Event::Down { conn, bytes, released, frame } => {
                self.hash.add(3, now_ns, u64::from(conn), u64::from(bytes));
                self.arrive_down(conn, released, bytes, frame);
            }
            Event::Accept { conn } => {
                self.hash.add(4, now_ns, u64::from(conn), 0);
                self.accept(conn);
            }
            Event::Connected { conn } => {
                self.hash.add(5, now_ns, u64::from(conn), 0);
                let link = self.conns[conn as usize].link;
                self.client_input(conn, self.now, ClientInput::Connected { link });
            }
            Event::ClientClosed { conn } => {
                self.hash.add(6, now_ns, u64::from(conn), 0);
                self.close_at_client(conn);
            }
            Event::NodeClosed { conn } => {
                self.hash.add(7, now_ns, u64::from(conn), 0);
                self.close_at_node(conn);
            }
            Event::NodeTick { at } => {
                if self.node_wake == at {
                    self.hash.add(8, now_ns, 0, 0);
                    self.node_wake = Time::MAX;
                    self.node_input(Input::Tick, 0.0);
                }
            }
            Event::ClientTick { client, at } => {
                if self.slots[client as usize].wake == at {
                    self.hash.add(9, now_ns, u64::from(client), 0);
                    self.slots[client as usize].wake = Time::MAX;
                    self.input(client, self.now, ClientInput::Tick);
                }
            }
            Event::FollowUp(follow_up) => {
                self.hash.add(10, now_ns, 0, 0);
                self.follow_up(follow_up);
            }
            Event::Synced { token, file } => {
                self.disk.complete_sync(file);
                self.hash.add(11, now_ns, token.0, 0);
                self.resources.syncs += 1;
                self.node_input(Input::Synced { token, result: Ok(()) }, 0.0);
            }
            Event::Fault { index, begins } => {
                self.hash.add(12, now_ns, u64::from(index), u64::from(begins));
                self.fault(index as usize, begins);
            }
        }
    }

    pub(super) fn schedule(&mut self, at: Time, event: Event<BrokerOf<C>>) {
        if event.is_work() {
            self.work += 1;
        }
        self.queue.push(at.as_nanos(), event);
    }

    fn accept(&mut self, conn: u32) {
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

    pub(super) fn down_arrival(&mut self, conn: u32, at: Time, bytes: u32) -> Time {
        let state = &mut self.conns[conn as usize];
        let path = self.paths[state.path as usize];
        path.arrival(at, bytes, &mut state.down_last, &mut state.down_free, &mut self.net)
    }

    pub(super) fn up_arrival(&mut self, conn: u32, at: Time, bytes: u32) -> Time {
        let state = &mut self.conns[conn as usize];
        let path = self.paths[state.path as usize];
        path.arrival(at, bytes, &mut state.up_last, &mut state.up_free, &mut self.net)
    }

    fn arrive_up(&mut self, conn: u32, bytes: u32, frame: <BrokerOf<C> as Broker>::Up) {
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
            && trace.is_in(&frame)
        {
            let from = client_actor(&self.scenario, &self.cast, self.conns[conn as usize].client);
            trace.step(self.now, from, Actor::Node, format!("arrives ({bytes} B)"));
        }
        let input = Input::Frame { conn: ConnId(conn), frame };
        self.node_input(input, self.costs.take(bytes));
    }

    /// Hands `input` to the node when its core is free. Arrivals are taken in
    /// order, so a busy core is a later start, not another event.
    pub(super) fn node_input(&mut self, input: Input<BrokerOf<C>>, cost_ns: f64) {
        let start = self.now.max(self.node_busy);
        let Some(node) = &mut self.node else { return };
        node.handle(start, input, &mut self.effects);
        self.release(start, cost_ns);
    }

    /// Carries out what the node wants done, when it has paid for it.
    fn release(&mut self, start: Time, cost_ns: f64) {
        let mut effects = std::mem::take(&mut self.effect_scratch);
        self.effects.swap(&mut effects);
        let mut cost = cost_ns;
        if self.disk.take_dirty() {
            cost += self.costs.append_ns;
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

    fn plan_node_tick(&mut self) {
        let deadline = self.node.as_ref().and_then(Broker::deadline);
        if let Some(at) = deadline
            && at < self.node_wake
        {
            let at = at.max(self.now);
            self.node_wake = at;
            self.schedule(at, Event::NodeTick { at });
        }
    }

    fn effect(&mut self, at: Time, effect: Effect<BrokerOf<C>>) {
        match effect {
            Effect::Send { conn, frame } => self.send_down(conn.0, at, length(&frame), frame),
            Effect::Close { conn, reason } => self.node_closes(conn.0, at, &reason),
            Effect::Peer { .. } => {}
            Effect::Sync { file, token } => self.sync(at, file, token),
            Effect::Note(note) => self.node_note(at, note),
        }
    }

    fn sync(&mut self, at: Time, file: FileId, token: SyncToken) {
        let done = at.plus_nanos(self.costs.sync_ns as u64);
        self.schedule(done, Event::Synced { token, file });
    }

    fn send_down(&mut self, conn: u32, at: Time, bytes: u32, frame: <BrokerOf<C> as Broker>::Down) {
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
    fn put_down(&mut self, conn: u32, at: Time, bytes: u32, frame: <BrokerOf<C> as Broker>::Down) {
        self.conns[conn as usize].in_flight += u64::from(bytes);
        self.drained.push_back((conn, u64::from(bytes)));
        self.resources.bytes_out += u64::from(bytes);
        if let Some(trace) = &mut self.trace
            && trace.is_in(&frame)
        {
            let to = client_actor(&self.scenario, &self.cast, self.conns[conn as usize].client);
            trace.step(at, Actor::Node, to, format!("sends ({bytes} B)"));
        }
        let arrival = self.down_arrival(conn, at, bytes);
        self.schedule(arrival, Event::Down { conn, bytes, released: at, frame });
    }

    fn node_closes(&mut self, conn: u32, at: Time, reason: &CloseReason) {
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
    pub(super) fn drop_down(
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
    pub(super) fn gone(&mut self, conn: u32, at: Time) {
        let state = &self.conns[conn as usize];
        if self.slots[state.client as usize].incarnation != state.incarnation {
            // Somebody else sits there by now, on a connection of their own; the
            // gap between the two was noted when the first one stopped.
            return;
        }
        let client = state.client as usize;
        for index in 0..self.cast.seats_of_client[client].len() {
            let seat = self.cast.seats_of_client[client][index];
            self.is_away[seat as usize] = true;
            self.away.note(at, seat, Change::Gone);
        }
    }

    fn back(&mut self, seat: u32) {
        if self.is_away[seat as usize] {
            self.is_away[seat as usize] = false;
            self.away.note(self.now, seat, Change::Back);
        }
    }

    fn node_note(&mut self, _at: Time, note: Note) {
        match note {
            Note::Dropped { cause, conn, message } => {
                let Some(identity) = message else { return };
                match conn {
                    None => {
                        self.drops.push(Drop { number: identity.number, scope: None, cause });
                    }
                    Some(conn) => {
                        let client = self.conns[conn.0 as usize].client;
                        let (drops, copies) = (&mut self.drops, &mut self.copies_dropped);
                        drop_copies(&self.cast, client, identity.number, cause, drops, copies);
                    }
                }
            }
            other => self.note(other),
        }
    }

    fn note(&mut self, note: Note) {
        match note {
            Note::Dropped { cause, message: Some(identity), .. } => {
                self.drops.push(Drop { number: identity.number, scope: None, cause });
            }
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

    fn close_at_node(&mut self, conn: u32) {
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

    fn close_at_client(&mut self, conn: u32) {
        let state = &mut self.conns[conn as usize];
        if !state.client_open {
            return;
        }
        state.client_open = false;
        let (client, link) = (state.client, state.link);
        self.slots[client as usize].links.forget(conn);
        self.input(client, self.now, ClientInput::Closed { link });
    }

    /// A frame reached a client's side of its connection.
    fn arrive_down(
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
    fn is_paused(&self, conn: u32) -> bool {
        let client = self.conns[conn as usize].client as usize;
        self.cast.seats_of_client[client].iter().any(|seat| self.consumers.is_full(*seat))
    }

    /// The client reads a frame, which makes room in the transport.
    fn read(
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

    fn unblock(&mut self, conn: u32) {
        loop {
            let state = &mut self.conns[conn as usize];
            let Some(queues) = &mut state.queues else { break };
            let Some(bytes) = queues.blocked.front().map(|(bytes, _)| *bytes) else { break };
            let room = state.in_flight == 0
                || state.in_flight + u64::from(bytes) <= super::wire::TRANSPORT_BYTES;
            if !room || !state.node_open {
                break;
            }
            let Some((_, frame)) = queues.blocked.pop_front() else { break };
            self.put_down(conn, self.now, bytes, frame);
        }
        self.release(self.now.max(self.node_busy), 0.0);
    }

    /// Reads what waited while a client had stopped reading.
    fn resume(&mut self, client: u32) {
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
        }
    }

    fn client_input(&mut self, conn: u32, released: Time, input: ClientInput<BrokerOf<C>>) {
        let state = &self.conns[conn as usize];
        if state.client_open && self.slots[state.client as usize].incarnation == state.incarnation {
            self.input(state.client, released, input);
        }
    }

    pub(super) fn input(&mut self, client: u32, released: Time, input: ClientInput<BrokerOf<C>>) {
        let Some(state) = &mut self.slots[client as usize].client else { return };
        state.handle(self.now, input, &mut self.actions);
        self.act(client, self.now, released);
    }

    /// Carries out what a client wants done.
    fn act(&mut self, client: u32, now: Time, released: Time) {
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

    fn action(&mut self, client: u32, now: Time, released: Time, action: Action<C::Client>) {
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
                    self.trace_outcome(number, client, &outcome);
                }
                TicketOf::Seat(seat) => match outcome {
                    Outcome::Done => {
                        self.subscribed += 1;
                        self.back(seat);
                    }
                    Outcome::Failed(failure) | Outcome::Unknown(failure) => {
                        let population = self.cast.seats[seat as usize].population as usize;
                        let name = &self.scenario.populations[population].name;
                        self.broken = Some(format!("`{name}` could not subscribe: {failure}"));
                    }
                    _ => {}
                },
                TicketOf::FollowUp => {}
            },
            Action::Delivery(delivery) => {
                if let TicketOf::Seat(seat) = ticket_of(delivery.subscription) {
                    self.back(seat);
                    self.trace_delivery(seat, &delivery);
                    self.client_cpu_ns += self.costs.client_receive_ns;
                    let mut due = std::mem::take(&mut self.due);
                    self.consumers.received(seat, now, released, delivery, &mut due);
                    self.plan_due(&mut due);
                    self.due = due;
                }
            }
            Action::Note(note) => self.note(note),
        }
    }

    fn trace_outcome(&mut self, number: u32, client: u32, outcome: &Outcome) {
        let Some(trace) = &mut self.trace else { return };
        if trace.number != number {
            return;
        }
        let at = client_actor(&self.scenario, &self.cast, client);
        let what = match outcome {
            Outcome::Sent => "sent; nothing more will be heard".to_owned(),
            Outcome::Acked(proof) => {
                format!("acknowledged: {} copy, {}", proof.copies, proof.durable.name())
            }
            Outcome::Replied(_) => "answered".to_owned(),
            Outcome::Done => "done".to_owned(),
            Outcome::Failed(failure) => format!("failed: {failure}"),
            Outcome::Unknown(failure) => format!("outcome unknown: {failure}"),
            _ => "ended".to_owned(),
        };
        trace.step(self.now, at.clone(), at, what);
    }

    fn trace_delivery(&mut self, seat: u32, delivery: &broker_contract::Delivery) {
        let Some(trace) = &mut self.trace else { return };
        let number = Identity::read(delivery.message.payload()).map(|identity| identity.number);
        if number == Some(trace.number) {
            let place = &self.cast.seats[seat as usize];
            let name = self.scenario.populations[place.population as usize].name.clone();
            let from = client_actor(&self.scenario, &self.cast, place.client);
            let to = Actor::Consumer(name, place.member);
            trace.step(self.now, from, to, "delivered".to_owned());
        }
    }

    fn plan_due(&mut self, due: &mut Vec<Due>) {
        for (at, follow_up) in due.drain(..) {
            self.schedule(at.max(self.now), Event::FollowUp(follow_up));
        }
    }

    fn link(&self, client: u32, link: LinkId) -> Option<u32> {
        self.slots[client as usize].links.get(link)
    }

    /// The client closes a connection after what it sent on it.
    pub(super) fn hang_up(&mut self, conn: u32) {
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

    fn send_up(&mut self, client: u32, link: LinkId, frame: <BrokerOf<C> as Broker>::Up) {
        let Some(conn) = self.link(client, link) else { return };
        let slot = &mut self.slots[client as usize];
        let sent = self.now.max(slot.busy_until).plus_nanos(self.costs.client_send_ns as u64);
        slot.busy_until = sent;
        self.client_cpu_ns += self.costs.client_send_ns;
        let sent_ns = sent.nanos_since(self.zero);
        let sent_at = &mut self.sent_at;
        frame.payloads(&mut |payload| {
            if let Some(identity) = Identity::read(payload) {
                sent_at.note(identity.number, sent_ns);
            }
        });
        let bytes = length(&frame);
        if let Some(trace) = &mut self.trace
            && trace.is_in(&frame)
        {
            let from = client_actor(&self.scenario, &self.cast, client);
            trace.step(sent, from, Actor::Node, format!("sends ({bytes} B)"));
        }
        let at = self.up_arrival(conn, sent, bytes);
        self.schedule(at, Event::Up { conn, bytes, frame });
    }

    fn follow_up(&mut self, follow_up: FollowUp) {
        match follow_up {
            FollowUp::Take { seat, incarnation } => {
                let mut due = std::mem::take(&mut self.due);
                let valid = self.consumers.wake(seat, incarnation, self.now, &mut due);
                self.plan_due(&mut due);
                self.due = due;
                if valid {
                    self.resume(self.cast.seats[seat as usize].client);
                }
            }
            FollowUp::Settle { seat, token, settle } => {
                let subscription = seat_ticket(seat);
                let op = Op::Settle { subscription, token, settle };
                self.submit_follow_up(seat, &op);
            }
            FollowUp::Reply { seat, to, payload } => {
                self.submit_follow_up(seat, &Op::Reply { to: &to, payload: &payload });
            }
        }
    }

    fn submit_follow_up(&mut self, seat: u32, op: &Op<'_>) {
        let client = self.cast.seats[seat as usize].client;
        let ticket = follow_up_ticket(&mut self.follow_ups);
        let Some(state) = &mut self.slots[client as usize].client else { return };
        if let Err(unsupported) = state.submit(self.now, ticket, op, &mut self.actions) {
            self.unsupported.get_or_insert(unsupported);
        }
        self.act(client, self.now, self.now);
    }

    fn plan_faults(&mut self) {
        for index in 0..self.scenario.faults.len() {
            let fault = &self.scenario.faults[index];
            let (at, until) =
                (self.zero.plus_nanos(fault.at_ns), self.zero.plus_nanos(fault.until_ns));
            let index = index as u32;
            self.queue.push(at.as_nanos(), Event::Fault { index, begins: true });
            self.queue.push(until.as_nanos(), Event::Fault { index, begins: false });
        }
    }

    fn finish(mut self, interrupted: bool) -> (RawTrial, Option<Trace>) {
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
            unsupported: self.unsupported,
            broken: self.broken,
            interrupted,
        };
        (raw, self.trace)
    }
}

/// Bytes of a frame; one of more than 4 GiB does not exist in any protocol here.
fn length(frame: &impl Frame) -> u32 {
    u32::try_from(frame.wire_len()).unwrap_or(u32::MAX)
}

fn client_actor(scenario: &Scenario, cast: &Cast, client: u32) -> Actor {
    let population = cast.client_population[client as usize] as usize;
    let name = scenario.populations[population].name.clone();
    Actor::Client(name, client - cast.clients[population].0)
}

/// The operation that subscribes a member.
pub fn subscribe_op<'a>(
    subscription: &'a Subscription,
    filter: &'a str,
    member: u32,
    members: u32,
) -> Op<'a> {
    Op::Subscribe {
        filter,
        group: subscription.group.as_deref().map(|name| GroupSeat {
            name,
            seat: member,
            seats: members,
        }),
        start: subscription.start,
        flow: broker_contract::Flow {
            ack: subscription.ack,
            max_in_flight: subscription.max_in_flight,
            durable: subscription.durable,
        },
    }
}

/// Messages that a scenario is expected to send, from its rates; only to choose
/// a sampling step, so an estimate is enough.
pub fn expected_messages(scenario: &Scenario) -> u64 {
    use lab_workloads::scenario::model::Arrival;
    let work_s: f64 = scenario
        .phases
        .iter()
        .filter(|phase| !matches!(phase.kind, PhaseKind::Pause | PhaseKind::Drain))
        .map(|phase| {
            (phase.end_ns - phase.start_ns) as f64 / 1e9 * (phase.rate_from + phase.rate_to) / 2.0
        })
        .sum();
    let rate: f64 = scenario
        .populations
        .iter()
        .flat_map(|population| {
            population.streams().iter().map(|stream| {
                f64::from(population.count)
                    * match &stream.arrival {
                        Arrival::Periodic { every, .. } => 1.0 / every.as_secs_f64().max(1e-9),
                        Arrival::Poisson { rate_per_s } => *rate_per_s,
                        Arrival::Bursty { bursts_per_s, burst, .. } => {
                            bursts_per_s * f64::from(*burst)
                        }
                    }
            })
        })
        .sum();
    (work_s * rate) as u64
}

/// Every message up to 200,000 of them, one in so many beyond.
pub fn sampling_step(expected: u64) -> u32 {
    u32::try_from(expected.div_ceil(200_000).max(1)).unwrap_or(u32::MAX)
}
