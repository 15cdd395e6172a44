//! Nodes and clients on threads of this process, against the wall clock.
//!
//! **What it is for.** [`run`] plays a scenario against one contender as fast as
//! real cores, a real scheduler and a real disk allow. Three threads take part:
//! the node, the senders (with the open-loop generator) and the receivers; they
//! exchange batches of frames through [`handoff`]. There is no network: what the
//! links of a scenario would add is listed as not applied.
//!
//! **What it never does.** It knows no broker, and it never sends early, skips,
//! or back-fills: what is late is late and is measured from its intended time.
//!
//! **Where to start reading.** [`run`], then [`node`], [`sending`] and
//! [`receiving`], one file per thread.

pub mod arena;
pub mod canary;
pub(in crate::modes) mod clock;
pub mod handoff;
pub(in crate::modes) mod host;
pub(in crate::modes) mod node;
mod receiving;
mod sending;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use broker_contract::{Client, Configured, Contender, SeedStream, Time};
use lab_workloads::plan::Interest;
use lab_workloads::scenario::model::{Fault, FaultKind, Scenario};

use crate::modes::sim::engine::{BrokerOf, expected_messages, sampling_step};
use crate::trial::cast::{Cast, Seat};
use crate::trial::consumers::Consumers;
use crate::trial::sender::Sender;
use crate::trial::terms::{self, Terms};
use crate::trial::{RawTrial, Resources, Watch, drop_copies};
use clock::Clock;
use handoff::Handoff;
use host::{Host, Inside, ToClient, ToNode, Way};
use node::NodeEnd;

/// Wall time that set-up may take.
const SETUP_LIMIT: Duration = Duration::from_secs(30);
/// How long nothing must move before set-up, or the drain, counts as over.
const QUIET: Duration = Duration::from_millis(40);
/// How long nobody must arrive, or nothing be missing, before set-up, or the
/// drain of what is kept, counts as over although something still moves.
const SETTLED: Duration = Duration::from_millis(300);

/// What the threads of a trial share.
#[derive(Debug, Default)]
pub(in crate::modes) struct Shared {
    /// The run's zero in nanoseconds on the driver's clock; 0 while setting up.
    zero_ns: AtomicU64,
    /// Set when the trial is over.
    stop: AtomicBool,
    /// Moves whenever a thread has done something.
    activity: AtomicU64,
    /// Subscriptions in force since set-up began.
    subscribed: AtomicU32,
    /// First deliveries so far.
    firsts: AtomicU64,
    /// 99th percentile of the current second, nanoseconds.
    p99_ns: AtomicU64,
    /// Whether messages wait in inboxes or operations are yet to come.
    receiving_busy: AtomicBool,
    /// Whether the generator has more to send.
    sending_busy: AtomicBool,
    /// Whether the scenario's logs are made, and everybody may start.
    declared: AtomicBool,
    /// How often the node has come back after a crash.
    reboots: AtomicU32,
    /// Copies that must arrive, of all that was submitted so far.
    expected: AtomicU64,
    /// Messages that failed and are to come again, and populations yet to join.
    unsettled: AtomicU64,
    /// Numbers connections over all threads.
    next_conn: AtomicU32,
    /// Connections over sockets that were asked for.
    pub(in crate::modes) asked: AtomicU32,
    /// Those that were dialled.
    pub(in crate::modes) dialled: AtomicU32,
    /// Those that the server has accepted, or that failed before.
    pub(in crate::modes) accepted: AtomicU32,
}

impl Shared {
    pub(in crate::modes) fn zero(&self) -> Option<Time> {
        match self.zero_ns.load(Ordering::Acquire) {
            0 => None,
            nanos => Some(Time::from_nanos(nanos)),
        }
    }

    pub(in crate::modes) fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    pub(in crate::modes) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// Connections over sockets that were asked for and are not there yet.
    pub(in crate::modes) fn connecting(&self) -> u32 {
        // In this order: what is accepted was asked for before.
        let accepted = self.accepted.load(Ordering::Acquire);
        self.asked.load(Ordering::Acquire).saturating_sub(accepted)
    }

    pub(in crate::modes) fn moved(&self) {
        self.activity.fetch_add(1, Ordering::Relaxed);
    }
}

/// What is the same for everybody who takes part in a trial.
pub(in crate::modes) struct Backdrop<'a, C: Contender> {
    pub scenario: &'a Arc<Scenario>,
    pub configured: &'a Configured<C>,
    /// The node's random stream.
    pub seed: SeedStream,
    pub clock: Clock,
    pub shared: Arc<Shared>,
    /// Every so many messages one is sampled.
    pub step: u32,
    /// Clients that take part.
    pub clients: usize,
}

/// What stands at the other end of the clients.
pub(in crate::modes) struct Backing<C: Contender> {
    /// The ways of the senders' and of the receivers' thread.
    pub ways: [Box<dyn Way<BrokerOf<C>>>; 2],
    /// What the node's thread does.
    pub node: Box<dyn FnOnce() -> NodeEnd<BrokerOf<C>> + Send>,
    /// Tells the node that nobody will send any more.
    pub end: Box<dyn Fn()>,
    /// What was let go of when its taker had stopped already.
    pub late: Box<dyn FnOnce() -> Late<BrokerOf<C>>>,
}

/// Items on their way to the node, and to the receivers.
pub(in crate::modes) type Late<B> = (Vec<ToNode<B>>, Vec<ToClient<B>>);

/// Index of the senders' thread in `Ways::to_clients`.
pub(in crate::modes) const SENDERS: u8 = 0;
/// Index of the receivers' thread.
pub(in crate::modes) const RECEIVERS: u8 = 1;

/// Runs `scenario` once against the wall clock, with the node's files in a
/// fresh directory that is removed afterwards.
pub fn run<C: Contender>(
    scenario: &Arc<Scenario>,
    configured: &Configured<C>,
    seed: SeedStream,
    watch: &Watch,
) -> RawTrial {
    play(scenario, configured, seed, watch, |backdrop| Ok(inside(backdrop)))
}

/// A node on a thread of this process, and ways that are queues.
fn inside<C: Contender>(backdrop: &Backdrop<'_, C>) -> Backing<C> {
    let to_node = Arc::new(Handoff::new());
    let to_clients = [Arc::new(Handoff::new()), Arc::new(Handoff::new())];
    let node = node::NodeThread::<C> {
        config: backdrop.configured.node.clone(),
        seed: backdrop.seed,
        clock: backdrop.clock,
        shared: backdrop.shared.clone(),
        inbox: to_node.clone(),
        to_clients: to_clients.clone(),
        step: backdrop.step,
        faults: of_the_node(backdrop.scenario),
    };
    let way = |inbox: &Arc<Handoff<ToClient<BrokerOf<C>>>>| -> Box<dyn Way<BrokerOf<C>>> {
        Box::new(Inside { to_node: to_node.clone(), inbox: inbox.clone() })
    };
    let ways = [way(&to_clients[0]), way(&to_clients[1])];
    let (bell, bells) = (to_node.clone(), to_clients.clone());
    let end = move || {
        bell.ring();
        bells.iter().for_each(|way| way.ring());
    };
    let late = move || {
        let (mut node, mut receivers) = (Vec::new(), Vec::new());
        to_node.take(&mut node);
        to_clients[usize::from(RECEIVERS)].take(&mut receivers);
        (node, receivers)
    };
    Backing { ways, node: Box::new(move || node.run()), end: Box::new(end), late: Box::new(late) }
}

/// Plays `scenario` against whatever `back` puts at the other end of the clients.
/// A reason instead of it is why the trial says nothing.
pub(in crate::modes) fn play<C: Contender>(
    scenario: &Arc<Scenario>,
    configured: &Configured<C>,
    seed: SeedStream,
    watch: &Watch,
    back: impl FnOnce(&Backdrop<'_, C>) -> Result<Backing<C>, String>,
) -> RawTrial {
    let interest = Arc::new(Interest::new(scenario));
    let overrides = scenario.contenders.get(C::NAME).cloned().unwrap_or_default();
    let cast = Arc::new(Cast::new(scenario, &overrides, &interest));
    let step = sampling_step(expected_messages(scenario));
    let terms = terms::terms::<C>(scenario);
    let seats = early_seats(scenario, &cast, &terms);
    let keeps = !C::profile().promises.at_most_once;
    let shared = Arc::new(Shared::default());
    let clock = Clock::start();
    let backdrop = Backdrop {
        scenario,
        configured,
        seed: seed.fork("node"),
        clock,
        shared: shared.clone(),
        step,
        clients: cast.client_population.len(),
    };
    let backing = back(&backdrop).unwrap_or_else(|reason| {
        let broken = NodeEnd::broken(reason);
        shared.stop.store(true, Ordering::Release);
        Backing { node: Box::new(move || broken), ..inside(&backdrop) }
    });
    let Backing { ways: [to_send, to_receive], node, end, late } = backing;
    let host = |thread: u8, way| {
        Host::<C>::new(
            thread,
            configured.client.clone(),
            seed.fork(if thread == SENDERS { "senders" } else { "receivers" }),
            cast.clone(),
            shared.clone(),
            clock,
            way,
            step,
        )
    };
    let sending = sending::SendingThread {
        host: host(SENDERS, to_send),
        sender: Sender::new(
            scenario,
            seed.fork("workload"),
            interest.clone(),
            cast.clone(),
            configured.proof.copies > 0,
        ),
        sending_ends_ns: scenario.sending_ends_ns(),
        scenario: scenario.clone(),
    };
    let receiving = receiving::ReceivingThread {
        host: host(RECEIVERS, to_receive),
        consumers: Consumers::new(
            scenario.clone(),
            cast.clone(),
            terms.clone(),
            seed.fork("consumers"),
            step,
            Duration::ZERO,
        ),
        terms: terms.clone(),
        scenario: scenario.clone(),
        interest,
    };

    let (mut interrupted, mut broken) = (false, None);
    let (mut node_end, sent_end, mut seen_end) = std::thread::scope(|scope| {
        let spawn = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let node = spawn("node").spawn_scoped(scope, node).expect("the system starts a thread");
        let sending = spawn("senders")
            .spawn_scoped(scope, move || sending.run())
            .expect("the system starts a thread");
        let receiving = spawn("receivers")
            .spawn_scoped(scope, move || receiving.run())
            .expect("the system starts a thread");
        match set_up(&shared, clock, seats) {
            Ok(zero) => interrupted = supervise(scenario, &shared, keeps, clock, zero, watch),
            Err(reason) => broken = Some(reason),
        }
        shared.stop.store(true, Ordering::Release);
        let sending = sending.join().expect("the senders' thread does not panic");
        end();
        let receiving = receiving.join().expect("the receivers' thread does not panic");
        (node.join().expect("the node's thread does not panic"), sending, receiving)
    });
    // The threads stop one after another: what one of them let go of when its
    // taker had stopped already is still under way.
    let (to_node, to_receivers) = late();
    node_end.under_way(&to_node);
    for item in &to_receivers {
        seen_end.host.still_under_way(item, &mut seen_end.undrained);
    }
    assemble::<C>(
        scenario,
        &cast,
        &shared,
        clock,
        interrupted,
        broken,
        (node_end, sent_end, seen_end),
    )
}

/// The faults of a scenario that strike the node or its disk.
fn of_the_node(scenario: &Scenario) -> Vec<node::Planned> {
    let planned = |(index, fault): (usize, &Fault)| {
        let kind = match fault.kind {
            FaultKind::BrokerCrash { how } => node::Strike::Crash(how),
            FaultKind::DiskStall => node::Strike::Stall,
            FaultKind::DiskFull => node::Strike::Full,
            FaultKind::SubscriberRestart { .. } | FaultKind::SlowSubscriber { .. } => return None,
        };
        Some(node::Planned { index, at_ns: fault.at_ns, until_ns: fault.until_ns, kind })
    };
    scenario.faults.iter().enumerate().filter_map(planned).collect()
}

/// Subscriptions that are to be in force before anything is sent.
fn early_seats(scenario: &Scenario, cast: &Cast, terms: &[Option<Terms>]) -> u32 {
    let is_early = |seat: &&Seat| {
        let population = usize::from(seat.population);
        let joins_ns = scenario.populations[population].subscription().map_or(0, |it| it.joins_ns);
        let is_served = terms[population].as_ref().is_some_and(|it| it.unsupported.is_none());
        joins_ns == 0 && is_served
    };
    cast.seats.iter().filter(is_early).count() as u32
}

/// Waits until everybody is connected, every subscription is in force and nothing
/// moves; sets the zero.
///
/// Clients that poll never leave a node in peace, so after [`SETTLED`] without a
/// new connection or subscription nobody is waited for any more.
fn set_up(shared: &Shared, clock: Clock, seats: u32) -> Result<Time, String> {
    let mut last = (u64::MAX, clock.now());
    let mut arrived = ((u32::MAX, u32::MAX, u32::MAX), clock.now());
    loop {
        std::thread::sleep(Duration::from_millis(2));
        let now = clock.now();
        let activity = shared.activity.load(Ordering::Relaxed);
        if activity != last.0 {
            last = (activity, now);
        }
        let subscribed = shared.subscribed.load(Ordering::Relaxed);
        let connecting = shared.connecting();
        let arrivals = (subscribed, shared.next_conn.load(Ordering::Relaxed), connecting);
        if arrivals != arrived.0 {
            arrived = (arrivals, now);
        }
        let is_quiet = now.since(last.1) >= QUIET || now.since(arrived.1) >= SETTLED;
        let is_there = subscribed >= seats && connecting == 0;
        if shared.declared.load(Ordering::Acquire) && is_there && is_quiet {
            let zero = now + Duration::from_millis(10);
            shared.zero_ns.store(zero.as_nanos(), Ordering::Release);
            return Ok(zero);
        }
        if shared.stopped() {
            return Err("a thread gave up".to_owned());
        }
        if now.since(Time::ZERO) > SETUP_LIMIT {
            return Err(format!(
                "{subscribed} of {seats} subscriptions were in force and {connecting} connections \
                 were not there after {SETUP_LIMIT:?}"
            ));
        }
    }
}

/// Watches the trial until it is over. Returns whether it was interrupted. Where
/// messages are kept, it is over when all have come; elsewhere, when nothing moves.
fn supervise(
    scenario: &Scenario,
    shared: &Shared,
    keeps: bool,
    clock: Clock,
    zero: Time,
    watch: &Watch,
) -> bool {
    let sending_ends = zero.plus_nanos(scenario.sending_ends_ns());
    let ends = zero.plus_nanos(scenario.ends_ns());
    let mut last = (u64::MAX, clock.now());
    let mut complete_since: Option<Time> = None;
    loop {
        std::thread::sleep(Duration::from_millis(5));
        let now = clock.now();
        let firsts = shared.firsts.load(Ordering::Relaxed);
        watch.at(
            now.nanos_since(zero),
            ends.nanos_since(zero),
            shared.p99_ns.load(Ordering::Relaxed),
            firsts,
        );
        if watch.interrupted() {
            return true;
        }
        if now >= ends || shared.stopped() {
            return false;
        }
        let activity = shared.activity.load(Ordering::Relaxed);
        if activity != last.0 {
            last = (activity, now);
        }
        let sends = now <= sending_ends || shared.sending_busy.load(Ordering::Relaxed);
        let is_quiet = !shared.receiving_busy.load(Ordering::Relaxed) && now.since(last.1) >= QUIET;
        let is_complete = !sends
            && shared.unsettled.load(Ordering::Relaxed) == 0
            && firsts >= shared.expected.load(Ordering::Relaxed);
        complete_since = is_complete.then(|| complete_since.unwrap_or(now));
        let is_over = if keeps {
            complete_since.is_some_and(|since| now.since(since) >= SETTLED)
        } else {
            !sends && is_quiet
        };
        if is_over {
            return false;
        }
    }
}

#[allow(clippy::too_many_arguments, reason = "the ends of three threads meet here, once")]
fn assemble<C: Contender>(
    scenario: &Scenario,
    cast: &Cast,
    shared: &Shared,
    clock: Clock,
    interrupted: bool,
    broken: Option<String>,
    ends: (
        node::NodeEnd<<C::Client as Client>::Broker>,
        sending::SendingEnd<C>,
        receiving::ReceivingEnd<C>,
    ),
) -> RawTrial {
    let (node, sending, mut receiving) = ends;
    let zero = shared.zero().unwrap_or_else(|| clock.now());
    let ended_ns = clock.now().nanos_since(zero);
    let mut away = std::mem::take(&mut receiving.away);
    for (at, conn) in &node.closed {
        for seat in receiving.host.seats_of_conn(*conn) {
            away.note(*at, seat, crate::trial::away::Change::Gone);
        }
    }
    let mut drops = node.drops;
    let sending_host = sending.host;
    let of_the_clients = sending_host.calls().zip(receiving.host.calls());
    let calls = node.calls.zip(of_the_clients).map(|(node, (send, see))| [node, send, see]);
    let mut copies_dropped = Vec::new();
    for (conn, number, cause) in node.copies_dropped {
        let client = receiving.host.client_of(conn).or_else(|| sending_host.client_of(conn));
        if let Some(client) = client {
            drop_copies(cast, client, number, cause, &mut drops, &mut copies_dropped);
        }
    }
    drops.extend(sending_host.drops);
    drops.append(&mut receiving.host.drops);
    copies_dropped.extend(sending_host.copies_dropped);
    copies_dropped.append(&mut receiving.host.copies_dropped);
    copies_dropped.append(&mut receiving.consumers.drops);

    let mut undrained = receiving.consumers.undrained();
    undrained.extend(receiving.undrained);
    let mut sometimes = node.sometimes;
    let mut wasted = (0, 0);
    for note in [&sending_host.notes, &receiving.host.notes] {
        for (what, count) in &note.sometimes {
            *sometimes.entry(what).or_default() += count;
        }
        wasted.0 += note.wasted.0;
        wasted.1 += note.wasted.1;
    }
    let mut faults = vec![false; scenario.faults.len()];
    for index in node.faults.iter().chain(&receiving.faults) {
        faults[*index] = true;
    }
    let broken = node.broken.or(sending.broken).or(receiving.broken).or(broken);
    let handled = receiving.consumers.handled();
    RawTrial {
        sent: sending.half,
        seen: receiving.consumers.seen,
        measured: receiving.consumers.meters.finish(),
        sampled: receiving.consumers.sampled,
        sent_at: sending_host.sent_at,
        arrived_at: node.arrived_at,
        events: 0,
        drops,
        copies_dropped,
        away: away.intervals(cast, zero),
        undrained,
        undrained_numbers: node.undrained_numbers,
        transit_ns: node.transit_ns,
        resources: Resources {
            node_cpu_s: node.cpu_s,
            client_cpu_s: sending.cpu_s + receiving.cpu_s,
            node_memory_bytes: node.memory_bytes,
            bytes_in: node.bytes_in,
            bytes_out: node.bytes_out,
            disk_bytes: node.disk_bytes,
            syncs: node.syncs,
        },
        faults,
        setup: zero.since(Time::ZERO),
        ended_ns,
        trace_hash: None,
        sometimes,
        wasted,
        crashes: node.crashes,
        handled,
        unsupported: receiving.unsupported,
        undeclared: sending.undeclared,
        broken,
        interrupted,
        calls,
        clients_cpu_s: [sending.cpu_s, receiving.cpu_s],
    }
}
