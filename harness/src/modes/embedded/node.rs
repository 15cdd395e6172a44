//! The node's thread.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use broker_contract::{
    Boot, Broker, Cause, ConnId, Contender, CrashKind, Effect, Effects, Frame, Identity, Input,
    NodeId, Note, Origin, Point, SeedStream, Time,
};
use lab_workloads::ledger::Drop;

use super::clock::{Clock, CpuMeter};
use super::handoff::Handoff;
use super::host::{ToClient, ToNode};
use super::{SENDERS, Shared};
use crate::disk::{FileDisk, SyncThread};
use crate::measure::sampled::Moments;
use crate::modes::sim::engine::BrokerOf;
use crate::trial::{Calls, NodeCrash};

/// Inputs handled before their effects are released: enough to gather writes,
/// few enough that the first of them does not wait long.
const CHUNK: usize = 128;
/// The longest wait without looking at the stop flag.
const NAP: Duration = Duration::from_millis(20);

/// What strikes the node or its disk.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(in crate::modes) enum Strike {
    /// The node ends, and this survives.
    Crash(CrashKind),
    /// No sync completes.
    Stall,
    /// The disk takes nothing more.
    Full,
}

/// A planned fault of the node or its disk.
#[derive(Copy, Clone, Debug)]
pub(in crate::modes) struct Planned {
    /// The fault's index in the scenario.
    pub index: usize,
    /// When, nanoseconds since the run's zero.
    pub at_ns: u64,
    /// When it is over, and a node that ended boots again.
    pub until_ns: u64,
    /// What.
    pub kind: Strike,
}

/// What the node's thread works with.
pub(in crate::modes) struct NodeThread<C: Contender> {
    pub(in crate::modes) config: <BrokerOf<C> as Broker>::Config,
    pub(in crate::modes) seed: SeedStream,
    pub(in crate::modes) clock: Clock,
    pub(in crate::modes) shared: Arc<Shared>,
    pub(in crate::modes) inbox: Arc<Handoff<ToNode<BrokerOf<C>>>>,
    pub(in crate::modes) to_clients: [Arc<Handoff<ToClient<BrokerOf<C>>>>; 2],
    pub(in crate::modes) step: u32,
    pub(in crate::modes) faults: Vec<Planned>,
}

/// What the node's thread leaves.
#[derive(Debug)]
pub(in crate::modes) struct NodeEnd<B: Broker> {
    /// When each connection ended at the node.
    pub closed: Vec<(Time, u32)>,
    /// Messages that went no further.
    pub drops: Vec<Drop>,
    /// Copies that went no further: (connection, number, cause).
    pub copies_dropped: Vec<(u32, u32, Cause)>,
    /// When sampled messages arrived, nanoseconds since zero.
    pub arrived_at: Moments,
    /// Longest time from intended to handled.
    pub transit_ns: u64,
    /// Messages that were still on their way to the node.
    pub undrained_numbers: Vec<u32>,
    /// Rare events.
    pub sometimes: BTreeMap<&'static str, u64>,
    /// Indices of faults that happened.
    pub faults: Vec<usize>,
    /// The crashes among them.
    pub crashes: Vec<NodeCrash>,
    /// CPU seconds since zero.
    pub cpu_s: f64,
    /// Heap bytes at the end.
    pub memory_bytes: u64,
    /// Bytes of frames in, since zero.
    pub bytes_in: u64,
    /// Bytes of frames out, since zero.
    pub bytes_out: u64,
    /// Bytes written to files.
    pub disk_bytes: u64,
    /// Syncs completed.
    pub syncs: u64,
    /// What it has asked of the system since zero, where it serves sockets.
    pub calls: Option<Calls>,
    /// Why the node does not run, if so.
    pub broken: Option<String>,
    marker: std::marker::PhantomData<fn(B)>,
}

impl<B: Broker> NodeEnd<B> {
    /// Nothing happened, for this reason.
    pub(in crate::modes) fn broken(reason: String) -> NodeEnd<B> {
        let mut end = NodeEnd::new(1);
        end.broken = Some(reason);
        end
    }

    /// Nothing has happened yet; every `step`-th message is sampled.
    pub(in crate::modes) fn new(step: u32) -> NodeEnd<B> {
        NodeEnd {
            closed: Vec::new(),
            drops: Vec::new(),
            copies_dropped: Vec::new(),
            arrived_at: Moments::new(step),
            transit_ns: 0,
            undrained_numbers: Vec::new(),
            sometimes: BTreeMap::new(),
            faults: Vec::new(),
            crashes: Vec::new(),
            cpu_s: 0.0,
            memory_bytes: 0,
            bytes_in: 0,
            bytes_out: 0,
            disk_bytes: 0,
            syncs: 0,
            calls: None,
            broken: None,
            marker: std::marker::PhantomData,
        }
    }

    /// Notes the messages in `items` as on their way to the node.
    pub(in crate::modes) fn under_way(&mut self, items: &[ToNode<B>]) {
        let numbers = &mut self.undrained_numbers;
        for item in items {
            if let ToNode::Frame { frame, .. } = item {
                frame.payloads(&mut |payload| {
                    numbers.extend(Identity::read(payload).map(|identity| identity.number));
                });
            }
        }
    }
}

struct Running<C: Contender> {
    thread: NodeThread<C>,
    node: Option<BrokerOf<C>>,
    boots: u64,
    effects: Effects<BrokerOf<C>>,
    scratch: Vec<Effect<BrokerOf<C>>>,
    disk: FileDisk,
    syncer: SyncThread,
    /// The thread of each open connection.
    owners: Vec<Option<u8>>,
    outboxes: [Vec<ToClient<BrokerOf<C>>>; 2],
    end: NodeEnd<BrokerOf<C>>,
    planned: Vec<(Planned, bool)>,
    cpu: CpuMeter,
}

impl<C: Contender> NodeThread<C> {
    /// Runs until the trial stops.
    pub fn run(self) -> NodeEnd<BrokerOf<C>> {
        let end = NodeEnd::new(self.step);
        let disk = match FileDisk::fresh() {
            Ok(disk) => disk,
            Err(error) => return NodeEnd { broken: Some(error.to_string()), ..end },
        };
        let syncer = syncer(&self.inbox, &disk, 0);
        let planned = self.faults.iter().map(|fault| (*fault, false)).collect();
        let running = Running {
            node: None,
            boots: 0,
            effects: Effects::new(Box::new(disk.clone())),
            scratch: Vec::new(),
            disk,
            syncer,
            owners: Vec::new(),
            outboxes: [Vec::new(), Vec::new()],
            end,
            planned,
            cpu: CpuMeter::default(),
            thread: self,
        };
        running.run()
    }
}

/// A thread that syncs for one boot of the node, and says for which.
fn syncer<B: Broker>(inbox: &Arc<Handoff<ToNode<B>>>, disk: &FileDisk, boot: u64) -> SyncThread {
    let way = inbox.clone();
    SyncThread::start(disk.clone(), move |token, result| {
        way.give(&mut vec![ToNode::Synced { boot, token, result }]);
    })
}

impl<C: Contender> Running<C> {
    fn run(mut self) -> NodeEnd<BrokerOf<C>> {
        self.boot();
        let mut batch = Vec::new();
        while !self.thread.shared.stopped() {
            let now = self.thread.clock.now();
            self.thread.inbox.wait(&mut batch, self.patience(now));
            if self.thread.shared.zero().is_some_and(|zero| zero <= self.thread.clock.now()) {
                self.cpu.zero();
            }
            self.faults();
            let mut items = batch.drain(..);
            loop {
                let now = self.thread.clock.now();
                let mut any = false;
                for item in items.by_ref().take(CHUNK) {
                    any = true;
                    self.take(item, now);
                }
                if let Some(node) = &mut self.node
                    && node.deadline().is_some_and(|at| at <= now)
                {
                    any = true;
                    node.handle(now, Input::Tick, &mut self.effects);
                }
                if !any {
                    break;
                }
                self.release();
            }
        }
        self.finish()
    }

    /// How long the thread may wait for the next batch.
    fn patience(&self, now: Time) -> Duration {
        let mut until = now + NAP;
        if let Some(at) = self.node.as_ref().and_then(Broker::deadline) {
            until = until.min(at);
        }
        if let Some(zero) = self.thread.shared.zero() {
            for (fault, begun) in &self.planned {
                let at = if *begun { fault.until_ns } else { fault.at_ns };
                until = until.min(zero.plus_nanos(at));
            }
        }
        until.since(now)
    }

    fn boot(&mut self) {
        let boot = Boot {
            seed: self.thread.seed.nth(self.boots),
            node: NodeId(0),
            peers: vec![NodeId(0)],
        };
        self.boots += 1;
        self.syncer = syncer(&self.thread.inbox, &self.disk, self.boots);
        let now = self.thread.clock.now();
        match BrokerOf::<C>::boot(&self.thread.config, boot, now, &mut self.effects) {
            Ok(node) => {
                self.node = Some(node);
                self.release();
            }
            Err(error) => {
                self.end.broken.get_or_insert(format!("the node did not boot: {error}"));
                self.thread.shared.stop.store(true, Ordering::Release);
            }
        }
    }

    fn faults(&mut self) {
        let Some(zero) = self.thread.shared.zero() else { return };
        let now_ns = self.thread.clock.now().nanos_since(zero);
        let mut index = 0;
        while index < self.planned.len() {
            let (fault, begun) = self.planned[index];
            if !begun && now_ns >= fault.at_ns {
                self.planned[index].1 = true;
                self.end.faults.push(fault.index);
                match fault.kind {
                    Strike::Crash(how) => self.crash(how, now_ns),
                    Strike::Stall => self.disk.set_stalled(true),
                    Strike::Full => self.disk.set_full(true),
                }
            }
            if self.planned[index].1 && now_ns >= fault.until_ns {
                self.planned.remove(index);
                match fault.kind {
                    Strike::Crash(_) => {
                        self.boot();
                        self.thread.shared.reboots.fetch_add(1, Ordering::Release);
                    }
                    Strike::Stall => self.disk.set_stalled(false),
                    Strike::Full => self.disk.set_full(false),
                }
            } else {
                index += 1;
            }
        }
    }

    /// The node is dropped; its files stay. A power loss cannot be had on a
    /// running machine, so its files are cut back to what was synced, and the
    /// report says so.
    fn crash(&mut self, how: CrashKind, at_ns: u64) {
        self.node = None;
        self.effects.clear();
        match self.disk.crash(how) {
            Ok(lost_from) => self.end.crashes.push(NodeCrash {
                at_ns,
                how,
                lost_from_ns: lost_from.map_or(u64::MAX, |ago| {
                    at_ns.saturating_sub(u64::try_from(ago.as_nanos()).unwrap_or(u64::MAX))
                }),
            }),
            Err(error) => {
                self.end.broken.get_or_insert(format!("the power loss failed: {error}"));
            }
        }
        let now = self.thread.clock.now();
        for conn in 0..self.owners.len() {
            if let Some(owner) = self.owners[conn].take() {
                let conn = conn as u32;
                self.end.closed.push((now, conn));
                self.outboxes[usize::from(owner)].push(ToClient::Closed { conn, discard: None });
            }
        }
        self.hand_over();
    }

    fn owner(&self, conn: u32) -> Option<u8> {
        self.owners.get(conn as usize).copied().flatten()
    }

    fn take(&mut self, item: ToNode<BrokerOf<C>>, now: Time) {
        let input = match item {
            ToNode::Opened { conn, thread } => {
                if self.node.is_none() {
                    let closed = ToClient::Closed { conn, discard: None };
                    self.outboxes[usize::from(thread)].push(closed);
                    self.hand_over();
                    return;
                }
                if self.owners.len() <= conn as usize {
                    self.owners.resize(conn as usize + 1, None);
                }
                self.owners[conn as usize] = Some(thread);
                Input::Opened { conn: ConnId(conn), origin: Origin::default() }
            }
            ToNode::Frame { conn, frame } => {
                if self.owner(conn).is_none() {
                    let cause = match self.node {
                        Some(_) => Cause::ConnectionDropped,
                        None => Cause::BrokerCrash,
                    };
                    let drops = &mut self.end.drops;
                    frame.payloads(&mut |payload| {
                        if let Some(identity) = Identity::read(payload) {
                            drops.push(Drop { number: identity.number, scope: None, cause });
                        }
                    });
                    return;
                }
                self.arrived(&frame, now);
                Input::Frame { conn: ConnId(conn), frame }
            }
            ToNode::Closed { conn } => {
                if self.owner(conn).is_none() {
                    return;
                }
                self.owners[conn as usize] = None;
                self.end.closed.push((now, conn));
                Input::Closed { conn: ConnId(conn) }
            }
            ToNode::Drained { conn, bytes } => {
                if self.owner(conn).is_none() {
                    return;
                }
                Input::Drained { conn: ConnId(conn), bytes }
            }
            // A sync that an earlier boot asked for proves nothing to this one.
            ToNode::Synced { boot, .. } if boot != self.boots => return,
            ToNode::Synced { token, result, .. } => {
                self.end.syncs += 1;
                Input::Synced { token, result }
            }
        };
        if let Some(node) = &mut self.node {
            node.handle(now, input, &mut self.effects);
        }
    }

    fn arrived(&mut self, frame: &<BrokerOf<C> as Broker>::Up, now: Time) {
        let Some(zero) = self.thread.shared.zero() else { return };
        self.end.bytes_in += frame.wire_len() as u64;
        let now_ns = now.nanos_since(zero);
        let end = &mut self.end;
        frame.payloads(&mut |payload| {
            if let Some(identity) = Identity::read(payload) {
                let transit = now_ns.saturating_sub(identity.intended_ns);
                end.transit_ns = end.transit_ns.max(transit);
                end.arrived_at.note(identity.number, now_ns);
            }
        });
    }

    /// Writes what the batch appended, then lets its effects go.
    fn release(&mut self) {
        if let Err(error) = self.effects.disk().flush() {
            self.end.broken.get_or_insert(format!("the node's disk failed: {error}"));
            self.effects.clear();
            return;
        }
        let released = self.thread.clock.now();
        let mut effects = std::mem::take(&mut self.scratch);
        self.effects.swap(&mut effects);
        for effect in effects.drain(..) {
            self.effect(effect, released);
        }
        self.scratch = effects;
        self.hand_over();
    }

    fn effect(&mut self, effect: Effect<BrokerOf<C>>, released: Time) {
        match effect {
            Effect::Send { conn, frame } => {
                let Some(owner) = self.owner(conn.0) else { return };
                self.end.bytes_out += frame.wire_len() as u64;
                let item = ToClient::Frame { conn: conn.0, released, frame };
                self.outboxes[usize::from(owner)].push(item);
            }
            Effect::Close { conn, reason } => {
                let Some(owner) = self.owner(conn.0) else { return };
                self.owners[conn.0 as usize] = None;
                self.end.closed.push((released, conn.0));
                let discard = reason.discards_pending().then(|| reason.cause());
                let item = ToClient::Closed { conn: conn.0, discard };
                self.outboxes[usize::from(owner)].push(item);
            }
            Effect::Peer { .. } => {}
            Effect::Sync { file, token } => self.syncer.sync(file, token),
            Effect::Note(note) => self.note(note, released),
        }
    }

    fn note(&mut self, note: Note, now: Time) {
        match note {
            Note::Dropped { cause, conn, message: Some(identity) } => match conn {
                Some(conn) => self.end.copies_dropped.push((conn.0, identity.number, cause)),
                None => {
                    self.end.drops.push(Drop { number: identity.number, scope: None, cause });
                }
            },
            Note::Passed { point: Point::Arrived, number } => {
                if let Some(zero) = self.thread.shared.zero() {
                    self.end.arrived_at.note(number, now.nanos_since(zero));
                }
            }
            Note::Sometimes(what) => *self.end.sometimes.entry(what).or_default() += 1,
            _ => {}
        }
    }

    fn hand_over(&mut self) {
        for (way, outbox) in self.thread.to_clients.iter().zip(&mut self.outboxes) {
            if !outbox.is_empty() {
                way.give(outbox);
                self.thread.shared.moved();
            }
        }
    }

    fn finish(mut self) -> NodeEnd<BrokerOf<C>> {
        self.end.cpu_s = self.cpu.used_s();
        self.end.memory_bytes = self.node.as_ref().map_or(0, Broker::memory_bytes);
        self.end.disk_bytes = self.disk.written();
        let mut rest = Vec::new();
        self.thread.inbox.take(&mut rest);
        self.end.under_way(&rest);
        debug_assert!(usize::from(SENDERS) < self.outboxes.len());
        self.end
    }
}
