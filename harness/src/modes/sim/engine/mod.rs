//! The event loop of the simulation.
//!
//! **What it is for.** [`Sim`] holds a trial's whole state; [`Sim::run`] takes
//! planned operations and events in order of time until nothing is left.
//!
//! **What it never does.** It waits for nothing: every wait is a later event.
//!
//! **Where to start reading.** [`Sim::run`] and `step` here, then `node.rs` and
//! `client.rs` for the two sides of a connection.

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
use super::tracing::{Actor, Storing, Trace, size};
use super::wire::{Conn, Path, TRANSPORT_BYTES};
use crate::measure::sampled::Moments;
use crate::trial::away::{AwayLog, Change};
use crate::trial::cast::{Cast, TicketOf, follow_up_ticket, seat_ticket, ticket_of};
use crate::trial::consumers::{Consumers, Due, FollowUp};
use crate::trial::sender::Sender;
use crate::trial::{CopyDrop, RawTrial, Resources, Watch, drop_copies};

mod client;
mod ending;
mod follow;
mod node;

use follow::client_actor;

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
    Synced { boot: u64, token: SyncToken, file: FileId, len: u64 },
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
            Event::Synced { boot, .. } if boot != self.boots || self.node.is_none() => {
                self.hash.add(11, now_ns, u64::MAX, boot);
            }
            Event::Synced { token, file, len, .. } => {
                self.disk.complete_sync(file, len);
                self.trace_synced(token);
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
}

/// Bytes of a frame; one of more than 4 GiB does not exist in any protocol here.
fn length(frame: &impl Frame) -> u32 {
    u32::try_from(frame.wire_len()).unwrap_or(u32::MAX)
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
            ..broker_contract::Flow::default()
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
