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
    ConnId, Contender, CrashKind, Declaration, Effect, Effects, FileId, Frame, Identity, Input,
    LinkId, NodeId, Note, Op, Origin, Outcome, Point, SeedStream, SyncToken, Time, Unsupported,
};
use lab_workloads::ledger::Drop;
use lab_workloads::plan::{Interest, Planned};
use lab_workloads::queue::EventQueue;
use lab_workloads::scenario::model::{Fault, FaultKind, PhaseKind, Scenario};
use rand_chacha::ChaCha8Rng;

use super::costs::Costs;
use super::disk::SimDisk;
use super::hash::TraceHash;
use super::links::Links;
use super::tracing::{Actor, Storing, Trace, size};
use super::wire::{Conn, Path, TRANSPORT_BYTES};
use crate::measure::sampled::Moments;
use crate::trial::away::{AwayLog, Change};
use crate::trial::cast::{
    Cast, Seat, TicketOf, declaration_ticket, follow_up_ticket, seat_ticket, ticket_of,
};
use crate::trial::consumers::{Consumers, Due, FollowUp};
use crate::trial::sender::Sender;
use crate::trial::terms::{self, Terms, durable_name};
use crate::trial::{CopyDrop, NodeCrash, RawTrial, Resources, Watch, drop_copies, note_drop};

mod client;
mod ending;
mod follow;
mod inspect;
mod node;

use follow::client_actor;
pub use inspect::Inspected;
use inspect::Inspection;

/// The broker of a contender.
pub type BrokerOf<C> = <<C as Contender>::Client as Client>::Broker;

/// Virtual time that set-up may take.
const SETUP_LIMIT: Duration = Duration::from_secs(60);

/// Steps between two looks at the watch, some twenty in a second: what it shows
/// takes a walk over a histogram, which was half a percent of all time at every
/// 4,096 steps.
const WATCH_STEPS: u64 = 65_536;

/// Inputs whose appends one write gathers at most, as in embedded mode.
const GATHER_MOST: u32 = 127;

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
    /// The members of a population subscribe, later than the others.
    Join { population: u32 },
}

impl<B: Broker> Event<B> {
    /// Ticks and faults come by themselves; everything else is work under way.
    fn is_work(&self) -> bool {
        !matches!(
            self,
            Event::NodeTick { .. }
                | Event::ClientTick { .. }
                | Event::Fault { .. }
                | Event::Join { .. }
        )
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
    /// Whether it was told to go: what still comes proves no subscription.
    pub leaving: bool,
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
    /// What the contender makes of each population's subscription.
    pub(super) terms: Vec<Option<Terms>>,
    /// Declarations that are not answered yet.
    undeclared: u32,
    /// Whether the logs were made once: that making them again fails after a crash
    /// is a result, not a broken trial.
    is_declared: bool,
    /// Populations that have not subscribed yet.
    joins: u32,
    /// Whether what was sent and is not under way may still come.
    keeps: bool,
    /// Until when no sync completes.
    pub(super) stalled_until: Time,
    pub(super) disk_free: Time,
    /// Inputs whose appends joined the last write.
    gathered: u32,
    pub(super) crashes: Vec<NodeCrash>,
    pub(super) away: AwayLog,
    pub(super) is_away: Vec<bool>,
    /// When each seat last went away; what was let go before proves nothing since.
    pub(super) gone_at: Vec<Time>,
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
    unsupported: BTreeMap<usize, Unsupported>,
    not_declared: Option<Unsupported>,
    pub(super) broken: Option<String>,
    hash: TraceHash,
    pub(super) trace: Option<Trace>,
    /// What a search asks of the run besides; `None` outside of one.
    pub(super) inspection: Option<Box<Inspection>>,
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
        let terms = terms::terms::<C>(scenario);
        let consumers = Consumers::new(
            scenario.clone(),
            cast.clone(),
            terms.clone(),
            seed.fork("consumers"),
            step,
            costs.receive(),
        );
        let loses_power = |fault: &Fault| {
            matches!(fault.kind, FaultKind::BrokerCrash { how: CrashKind::PowerLoss })
        };
        let disk = SimDisk::new(scenario.faults.iter().any(loses_power));
        let slots = cast
            .client_population
            .iter()
            .map(|_| Slot {
                client: None,
                incarnation: 0,
                busy_until: Time::ZERO,
                wake: Time::MAX,
                links: Links::default(),
                leaving: false,
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
            gone_at: vec![Time::ZERO; cast.seats.len()],
            consumers,
            due: Vec::new(),
            follow_ups: 0,
            subscribed: 0,
            terms,
            undeclared: 0,
            is_declared: false,
            joins: 0,
            keeps: !C::profile().promises.at_most_once,
            stalled_until: Time::ZERO,
            disk_free: Time::ZERO,
            gathered: 0,
            crashes: Vec::new(),
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
            unsupported: BTreeMap::new(),
            not_declared: None,
            broken: None,
            hash: TraceHash::new(),
            trace,
            inspection: None,
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
        let interrupted = self.play(watch);
        self.finish(interrupted)
    }

    /// Runs everything; returns whether it was interrupted.
    fn play(&mut self, watch: &Watch) -> bool {
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
        self.plan_joins();
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
        interrupted
    }

    /// Whether nothing more can come: nothing is under way, and where messages are
    /// kept, nobody waits for one of them.
    fn is_finished(&self) -> bool {
        self.work == 0
            && self.joins == 0
            && (!self.keeps
                || (self.consumers.unsettled() == 0
                    && self.consumers.firsts >= self.sender.expected()))
            && self.inspection.as_ref().is_none_or(|_| self.is_settled())
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
                self.inspect("after a boot");
            }
            Err(error) => self.broken = Some(format!("the node did not boot: {error}")),
        }
    }

    /// Makes the logs, connects everybody and waits until every subscription is in
    /// force.
    fn set_up(&mut self) {
        self.declare();
        let limit = self.now + SETUP_LIMIT;
        let mut wanted = 0;
        for client in 0..self.cast.operator {
            let population = self.cast.client_population[client as usize] as usize;
            if self.joins_ns(population) == 0 && self.is_supported(population) {
                self.start_client(client);
                wanted += self.cast.seats_of_client[client as usize].len() as u32;
            }
        }
        // What this contender's clients refuse on closer look is not waited for.
        wanted -= self.refused_seats();
        while self.broken.is_none() && (self.work > 0 || self.subscribed < wanted) {
            if self.now > limit || self.queue.peek_at().is_none() {
                break;
            }
            self.step();
        }
        if self.subscribed < wanted && self.broken.is_none() {
            self.broken = Some(format!(
                "{} of {wanted} subscriptions were in force after set-up",
                self.subscribed
            ));
        }
    }

    /// Makes the scenario's logs, where the contender keeps any.
    fn declare(&mut self) {
        let operator = self.cast.operator;
        let mut client = self.fresh_client();
        self.ask_for_logs(&mut client);
        if self.undeclared == 0 {
            return;
        }
        self.slots[operator as usize].client = Some(client);
        self.act(operator, self.now, self.now);
        let limit = self.now + SETUP_LIMIT;
        while self.broken.is_none() && self.undeclared > 0 && self.queue.peek_at().is_some() {
            if self.now > limit {
                break;
            }
            self.step();
        }
        if self.undeclared > 0 && self.broken.is_none() {
            let count = self.undeclared;
            self.broken = Some(format!("{count} declarations of logs were not answered"));
        }
        self.input(operator, self.now, ClientInput::Shutdown);
    }

    /// The operator makes the logs once more: what a crash took with it (a stream
    /// in memory, a topic that was not synced) would be missed by everybody else.
    /// Where they are still there, that changes nothing.
    pub(super) fn declare_again(&mut self) {
        if self.not_declared.is_some() || self.scenario.declarations().is_empty() {
            return;
        }
        let operator = self.cast.operator;
        self.make_room(operator);
        let mut client = self.fresh_client();
        self.is_declared = true;
        self.ask_for_logs(&mut client);
        self.slots[operator as usize].client = Some(client);
        self.act(operator, self.now, self.now);
    }

    fn ask_for_logs(&mut self, client: &mut C::Client) {
        let overrides = self.scenario.contenders.get(C::NAME);
        for (index, log) in (0..).zip(self.scenario.declarations()) {
            let filters: Vec<&str> = log.filters.iter().map(String::as_str).collect();
            let partitions = overrides.and_then(|it| it.partitions.get(&log.name)).copied();
            let op = Op::Declare(Declaration {
                name: &log.name,
                filters: &filters,
                partitions: partitions.or(log.partitions),
            });
            match client.submit(self.now, declaration_ticket(index), &op, &mut self.actions) {
                Ok(_) => self.undeclared += 1,
                Err(unsupported) => {
                    self.not_declared.get_or_insert(unsupported);
                }
            }
        }
    }

    pub(super) fn joins_ns(&self, population: usize) -> u64 {
        self.scenario.populations[population].subscription().map_or(0, |it| it.joins_ns)
    }

    pub(super) fn is_supported(&self, population: usize) -> bool {
        self.terms[population].as_ref().is_none_or(|terms| terms.unsupported.is_none())
    }

    /// Seats of populations whose subscription a client refused when it was asked.
    fn refused_seats(&self) -> u32 {
        let is_refused =
            |seat: &&Seat| self.unsupported.contains_key(&usize::from(seat.population));
        let is_early = |seat: &&Seat| self.joins_ns(usize::from(seat.population)) == 0;
        self.cast.seats.iter().filter(is_refused).filter(is_early).count() as u32
    }

    fn fresh_client(&mut self) -> C::Client {
        let start = ClientStart {
            id: self.starts,
            seed: self.seed.fork("client").nth(u64::from(self.starts)),
        };
        self.starts += 1;
        C::Client::new(&self.configured.client, start)
    }

    /// Starts the client of a slot anew: it connects, and subscribes its seats.
    pub(super) fn start_client(&mut self, client: u32) {
        let mut fresh = self.fresh_client();
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
        let index = usize::from(place.population);
        let population = &self.scenario.populations[index];
        let (Some(subscription), Some(terms)) = (population.subscription(), &self.terms[index])
        else {
            return;
        };
        let filter = self.interest.filter(index, place.member);
        let name = durable_name(population, place.member);
        let op = terms.subscribe(subscription, &filter, &name, place.member, population.count);
        if let Err(unsupported) = client.submit(self.now, seat_ticket(seat), &op, &mut self.actions)
        {
            self.unsupported.entry(index).or_insert(unsupported);
        }
    }

    /// The members of a population subscribe.
    fn join(&mut self, population: usize) {
        self.joins -= 1;
        let (first, count) = self.cast.clients[population];
        for client in first..first + count {
            self.start_client(client);
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
            Event::Synced { boot, token, file, len } if self.now < self.stalled_until => {
                // The device does nothing for a while, and this sync waits it out.
                self.hash.add(14, now_ns, token.0, 0);
                let at = self.stalled_until.plus_nanos(self.costs.sync_ns as u64);
                self.schedule(at, Event::Synced { boot, token, file, len });
            }
            Event::Synced { token, file, len, .. } => {
                self.disk.complete_sync(file, len);
                self.trace_synced(token);
                self.hash.add(11, now_ns, token.0, 0);
                self.resources.syncs += 1;
                self.node_input(Input::Synced { token, result: Ok(()) }, 0.0);
            }
            Event::Join { population } => {
                self.hash.add(13, now_ns, u64::from(population), 0);
                self.join(population as usize);
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

    fn plan_joins(&mut self) {
        for population in 0..self.scenario.populations.len() {
            let joins_ns = self.joins_ns(population);
            if joins_ns > 0 && self.is_supported(population) {
                self.joins += 1;
                let first = self.cast.first_seat[population];
                for seat in first..first + self.scenario.populations[population].count {
                    self.away.note(self.zero, seat, Change::Gone);
                }
                let at = self.zero.plus_nanos(joins_ns);
                self.queue.push(at.as_nanos(), Event::Join { population: population as u32 });
            }
        }
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
