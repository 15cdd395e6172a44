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
mod clock;
mod disk;
pub mod handoff;
mod host;
mod node;
mod receiving;
mod sending;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use broker_contract::{Broker, Client, Configured, Contender, SeedStream, Time};
use lab_workloads::plan::Interest;
use lab_workloads::scenario::model::{FaultKind, Scenario};

use crate::modes::sim::engine::{BrokerOf, expected_messages, sampling_step};
use crate::trial::cast::Cast;
use crate::trial::consumers::Consumers;
use crate::trial::sender::Sender;
use crate::trial::{RawTrial, Resources, Watch, drop_copies};
use clock::Clock;
use handoff::Handoff;
use host::{Host, ToClient, ToNode};

/// Wall time that set-up may take.
const SETUP_LIMIT: Duration = Duration::from_secs(30);
/// How long nothing must move before set-up, or the drain, counts as over.
const QUIET: Duration = Duration::from_millis(40);

/// What the threads of a trial share.
#[derive(Debug, Default)]
struct Shared {
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
    /// Numbers connections over all threads.
    next_conn: AtomicU32,
}

impl Shared {
    fn zero(&self) -> Option<Time> {
        match self.zero_ns.load(Ordering::Acquire) {
            0 => None,
            nanos => Some(Time::from_nanos(nanos)),
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    fn moved(&self) {
        self.activity.fetch_add(1, Ordering::Relaxed);
    }
}

/// The ways between the threads of a trial.
#[derive(Debug)]
struct Ways<B: Broker> {
    to_node: Arc<Handoff<ToNode<B>>>,
    to_clients: [Arc<Handoff<ToClient<B>>>; 2],
}

/// Index of the senders' thread in [`Ways::to_clients`].
const SENDERS: u8 = 0;
/// Index of the receivers' thread.
const RECEIVERS: u8 = 1;

/// Runs `scenario` once against the wall clock, with the node's files in a
/// fresh directory that is removed afterwards.
pub fn run<C: Contender>(
    scenario: &Arc<Scenario>,
    configured: &Configured<C>,
    seed: SeedStream,
    watch: &Watch,
) -> RawTrial {
    let interest = Arc::new(Interest::new(scenario));
    let overrides = scenario.contenders.get(C::NAME).cloned().unwrap_or_default();
    let cast = Arc::new(Cast::new(scenario, &overrides, &interest));
    let step = sampling_step(expected_messages(scenario));
    let shared = Arc::new(Shared::default());
    let clock = Clock::start();
    let ways = Ways::<BrokerOf<C>> {
        to_node: Arc::new(Handoff::new()),
        to_clients: [Arc::new(Handoff::new()), Arc::new(Handoff::new())],
    };

    let node = node::NodeThread::<C> {
        config: configured.node.clone(),
        seed: seed.fork("node"),
        clock,
        shared: shared.clone(),
        inbox: ways.to_node.clone(),
        to_clients: ways.to_clients.clone(),
        step,
        faults: crashes(scenario),
    };
    let host = |thread: u8| {
        Host::<C>::new(
            thread,
            configured.client.clone(),
            seed.fork(if thread == SENDERS { "senders" } else { "receivers" }),
            cast.clone(),
            shared.clone(),
            clock,
            ways.to_node.clone(),
            ways.to_clients[usize::from(thread)].clone(),
            step,
        )
    };
    let sending = sending::SendingThread {
        host: host(SENDERS),
        sender: Sender::new(
            scenario,
            seed.fork("workload"),
            interest.clone(),
            cast.clone(),
            configured.proof.copies > 0,
        ),
        sending_ends_ns: scenario.sending_ends_ns(),
    };
    let receiving = receiving::ReceivingThread {
        host: host(RECEIVERS),
        consumers: Consumers::new(
            scenario.clone(),
            cast.clone(),
            seed.fork("consumers"),
            step,
            Duration::ZERO,
        ),
        scenario: scenario.clone(),
        interest,
    };

    let (mut interrupted, mut broken) = (false, None);
    let (mut node_end, sent_end, mut seen_end) = std::thread::scope(|scope| {
        let spawn = |name: &str| std::thread::Builder::new().name(name.to_owned());
        let node = spawn("node")
            .spawn_scoped(scope, move || node.run())
            .expect("the system starts a thread");
        let sending = spawn("senders")
            .spawn_scoped(scope, move || sending.run())
            .expect("the system starts a thread");
        let receiving = spawn("receivers")
            .spawn_scoped(scope, move || receiving.run())
            .expect("the system starts a thread");
        match set_up(&shared, clock, cast.seats.len() as u32) {
            Ok(zero) => interrupted = supervise(scenario, &shared, clock, zero, watch),
            Err(reason) => broken = Some(reason),
        }
        shared.stop.store(true, Ordering::Release);
        ways.to_node.ring();
        ways.to_clients.iter().for_each(|way| way.ring());
        (
            node.join().expect("the node's thread does not panic"),
            sending.join().expect("the senders' thread does not panic"),
            receiving.join().expect("the receivers' thread does not panic"),
        )
    });
    // The threads stop one after another: what one of them let go of when its
    // taker had stopped already is still under way.
    let mut late = Vec::new();
    ways.to_node.take(&mut late);
    node_end.under_way(&late);
    let mut late = Vec::new();
    ways.to_clients[usize::from(RECEIVERS)].take(&mut late);
    for item in &late {
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

/// The broker crashes of a scenario: (begin, end, what survives, fault index).
fn crashes(scenario: &Scenario) -> Vec<node::Crash> {
    let crash = |(index, fault): (usize, &lab_workloads::scenario::model::Fault)| match fault.kind {
        FaultKind::BrokerCrash { how } => {
            Some(node::Crash { index, at_ns: fault.at_ns, until_ns: fault.until_ns, how })
        }
        _ => None,
    };
    scenario.faults.iter().enumerate().filter_map(crash).collect()
}

/// Waits until every subscription is in force and nothing moves; sets the zero.
fn set_up(shared: &Shared, clock: Clock, seats: u32) -> Result<Time, String> {
    let mut last = (u64::MAX, clock.now());
    loop {
        std::thread::sleep(Duration::from_millis(2));
        let now = clock.now();
        let activity = shared.activity.load(Ordering::Relaxed);
        if activity != last.0 {
            last = (activity, now);
        }
        let subscribed = shared.subscribed.load(Ordering::Relaxed);
        if subscribed >= seats && now.since(last.1) >= QUIET {
            let zero = now + Duration::from_millis(10);
            shared.zero_ns.store(zero.as_nanos(), Ordering::Release);
            return Ok(zero);
        }
        if now.since(Time::ZERO) > SETUP_LIMIT {
            return Err(format!(
                "{subscribed} of {seats} subscriptions were in force after {SETUP_LIMIT:?}"
            ));
        }
    }
}

/// Watches the trial until it is over. Returns whether it was interrupted.
fn supervise(
    scenario: &Scenario,
    shared: &Shared,
    clock: Clock,
    zero: Time,
    watch: &Watch,
) -> bool {
    let sending_ends = zero.plus_nanos(scenario.sending_ends_ns());
    let ends = zero.plus_nanos(scenario.ends_ns());
    let mut last = (u64::MAX, clock.now());
    loop {
        std::thread::sleep(Duration::from_millis(5));
        let now = clock.now();
        watch.at(
            now.nanos_since(zero),
            ends.nanos_since(zero),
            shared.p99_ns.load(Ordering::Relaxed),
            shared.firsts.load(Ordering::Relaxed),
        );
        if watch.interrupted() {
            return true;
        }
        if now >= ends {
            return false;
        }
        let activity = shared.activity.load(Ordering::Relaxed);
        if activity != last.0 {
            last = (activity, now);
        }
        let busy = shared.receiving_busy.load(Ordering::Relaxed)
            || shared.sending_busy.load(Ordering::Relaxed);
        if now > sending_ends && !busy && now.since(last.1) >= QUIET {
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
    let broken = broken.or(node.broken).or(receiving.broken);
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
        unsupported: receiving.unsupported.or(sending.unsupported),
        broken,
        interrupted,
    }
}
