//! The node's side of an arena: a thread of its own.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use broker_contract::{
    Boot, Broker, ConnId, Contender, CrashKind, DiskError, Effect, Effects, FileId, Input, NodeId,
    Origin, SeedStream, SyncToken, Time,
};

use super::super::clock::Clock;
use super::super::handoff::Handoff;
use crate::disk::{FileDisk, SyncThread};
use crate::modes::sim::engine::BrokerOf;

/// The longest wait without looking around.
const NAP: Duration = Duration::from_millis(500);

/// Where the node is, and the way to it and back.
pub trait Room<B: Broker> {
    /// Hands over what is for the node, in order.
    fn give(&mut self, batch: &mut Vec<ToNode<B>>);

    /// Takes what the node sent into `batch`, which is empty, waiting for up to
    /// `patience` when there is nothing.
    fn wait(&mut self, batch: &mut Vec<ToClients<B>>, patience: Duration);

    /// Whether the node's thread has ended without being asked to.
    fn is_dead(&self) -> bool;
}

/// From the clients to the node.
#[derive(Debug)]
pub enum ToNode<B: Broker> {
    /// A client connects.
    Opened { conn: u32 },
    /// A frame.
    Frame { conn: u32, frame: B::Up },
    /// The client's side closed.
    Closed { conn: u32 },
    /// The client has read this much.
    Drained { conn: u32, bytes: u64 },
    /// A sync that the node of this boot asked for has ended.
    Synced { boot: u64, token: SyncToken, result: Result<(), DiskError> },
    /// The node's process ends.
    Crash(CrashKind),
    /// The node boots, unless it runs.
    Boot,
    /// Answer with [`ToClients::Echo`] when everything before this is done.
    Mark(u64),
    /// The arena is over.
    Stop,
}

/// From the node to the clients.
#[derive(Debug)]
pub enum ToClients<B: Broker> {
    /// A connection was accepted.
    Connected { conn: u32 },
    /// A frame.
    Frame { conn: u32, frame: B::Down },
    /// The node closed or is not there. What was not read yet goes with it if
    /// `discard` is set.
    Closed { conn: u32, discard: bool },
    /// Everything before mark `mark` is done.
    Echo { mark: u64, deadline: Option<Time>, syncs: u32 },
    /// The node or a device broke the contract.
    Fault(String),
}

/// A node on a thread of this process, and the vectors that lead to it and back.
pub struct Threads<C: Contender> {
    to_node: Arc<Handoff<ToNode<BrokerOf<C>>>>,
    inbox: Arc<Handoff<ToClients<BrokerOf<C>>>>,
    thread: Option<JoinHandle<()>>,
}

impl<C: Contender> Threads<C> {
    /// A thread with a node that is not booted, over an empty directory.
    ///
    /// # Errors
    /// Why there is no directory or no thread.
    pub(super) fn new(
        config: <BrokerOf<C> as Broker>::Config,
        seed: SeedStream,
        clock: Clock,
    ) -> Result<Self, String> {
        let (to_node, inbox) = (Arc::new(Handoff::new()), Arc::new(Handoff::new()));
        let node = NodeThread::<C>::new(config, seed, clock, to_node.clone(), inbox.clone())
            .map_err(|error| error.to_string())?;
        let thread = std::thread::Builder::new()
            .name("node".to_owned())
            .spawn(move || node.run())
            .map_err(|error| format!("no thread for the node: {error}"))?;
        Ok(Threads { to_node, inbox, thread: Some(thread) })
    }
}

impl<C: Contender> Room<BrokerOf<C>> for Threads<C> {
    fn give(&mut self, batch: &mut Vec<ToNode<BrokerOf<C>>>) {
        self.to_node.give(batch);
    }

    fn wait(&mut self, batch: &mut Vec<ToClients<BrokerOf<C>>>, patience: Duration) {
        self.inbox.wait(batch, patience);
    }

    fn is_dead(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

impl<C: Contender> Drop for Threads<C> {
    fn drop(&mut self) {
        self.to_node.give(&mut vec![ToNode::Stop]);
        if let Some(thread) = self.thread.take() {
            // A panic of the node was an arena's fault already.
            let _ = thread.join();
        }
    }
}

/// What the node's thread works with.
struct NodeThread<C: Contender> {
    config: <BrokerOf<C> as Broker>::Config,
    seed: SeedStream,
    clock: Clock,
    inbox: Arc<Handoff<ToNode<BrokerOf<C>>>>,
    way: Arc<Handoff<ToClients<BrokerOf<C>>>>,
    disk: FileDisk,
    syncer: SyncThread,
    /// Syncs of this boot that have not ended.
    syncs: u32,
    boots: u64,
    node: Option<BrokerOf<C>>,
    open: BTreeSet<u32>,
    effects: Effects<BrokerOf<C>>,
    outbox: Vec<ToClients<BrokerOf<C>>>,
    marks: Vec<u64>,
}

impl<C: Contender> NodeThread<C> {
    /// A node that is not booted, over an empty directory.
    fn new(
        config: <BrokerOf<C> as Broker>::Config,
        seed: SeedStream,
        clock: Clock,
        inbox: Arc<Handoff<ToNode<BrokerOf<C>>>>,
        way: Arc<Handoff<ToClients<BrokerOf<C>>>>,
    ) -> Result<Self, DiskError> {
        let disk = FileDisk::fresh()?;
        Ok(NodeThread {
            config,
            seed,
            clock,
            syncer: syncer::<C>(&disk, &inbox, 0),
            inbox,
            way,
            effects: Effects::new(Box::new(disk.clone())),
            disk,
            syncs: 0,
            boots: 0,
            node: None,
            open: BTreeSet::new(),
            outbox: Vec::new(),
            marks: Vec::new(),
        })
    }

    /// Runs until it is told to stop.
    fn run(mut self) {
        let mut batch = Vec::new();
        loop {
            let now = self.clock.now();
            let deadline = self.node.as_ref().and_then(Broker::deadline);
            let patience = deadline.map_or(NAP, |at| at.since(now).min(NAP));
            self.inbox.wait(&mut batch, patience);
            for item in batch.drain(..) {
                match item {
                    ToNode::Stop => return,
                    ToNode::Crash(kind) => self.crash(kind),
                    ToNode::Boot => self.boot(),
                    ToNode::Mark(mark) => self.marks.push(mark),
                    item => self.take(item),
                }
            }
            let now = self.clock.now();
            if let Some(node) = &mut self.node
                && node.deadline().is_some_and(|at| at <= now)
            {
                node.handle(now, Input::Tick, &mut self.effects);
            }
            self.release();
            let deadline = self.node.as_ref().and_then(Broker::deadline);
            for mark in self.marks.drain(..) {
                self.outbox.push(ToClients::Echo { mark, deadline, syncs: self.syncs });
            }
            self.way.give(&mut self.outbox);
        }
    }

    fn boot(&mut self) {
        if self.node.is_some() {
            return;
        }
        self.boots += 1;
        self.syncs = 0;
        // An answer to what an earlier boot asked for must not pass for one of
        // this boot's own.
        self.syncer = syncer::<C>(&self.disk, &self.inbox, self.boots);
        let boot =
            Boot { seed: self.seed.nth(self.boots), node: NodeId(0), peers: vec![NodeId(0)] };
        match BrokerOf::<C>::boot(&self.config, boot, self.clock.now(), &mut self.effects) {
            Ok(node) => {
                self.node = Some(node);
                self.release();
            }
            Err(error) => self.fault(format!("the node did not boot: {error}")),
        }
    }

    /// The node is dropped, and with it what it had not written. A running
    /// machine cannot be made to lose its power, so its files are cut back to what
    /// was synced.
    fn crash(&mut self, kind: CrashKind) {
        if self.node.is_none() {
            return;
        }
        // What came before the crash was answered before the crash.
        self.release();
        self.node = None;
        self.syncs = 0;
        if let Err(error) = self.disk.crash(kind) {
            self.fault(format!("the power loss failed: {error}"));
        }
        for conn in std::mem::take(&mut self.open) {
            self.outbox.push(ToClients::Closed { conn, discard: false });
        }
    }

    fn take(&mut self, item: ToNode<BrokerOf<C>>) {
        let is_open = |conn: &u32| self.open.contains(conn);
        let input = match item {
            ToNode::Opened { conn } if self.node.is_none() => {
                self.outbox.push(ToClients::Closed { conn, discard: false });
                return;
            }
            ToNode::Opened { conn } => {
                self.open.insert(conn);
                self.outbox.push(ToClients::Connected { conn });
                Input::Opened { conn: ConnId(conn), origin: Origin::default() }
            }
            ToNode::Frame { conn, frame } if is_open(&conn) => {
                Input::Frame { conn: ConnId(conn), frame }
            }
            ToNode::Drained { conn, bytes } if is_open(&conn) => {
                Input::Drained { conn: ConnId(conn), bytes }
            }
            ToNode::Closed { conn } if self.open.remove(&conn) => {
                Input::Closed { conn: ConnId(conn) }
            }
            ToNode::Synced { boot, token, result } if boot == self.boots && self.node.is_some() => {
                self.syncs = self.syncs.saturating_sub(1);
                Input::Synced { token, result }
            }
            _ => return,
        };
        if let Some(node) = &mut self.node {
            node.handle(self.clock.now(), input, &mut self.effects);
            // One input at a time, so that an effect on a connection that a
            // later input closes is told from one on a closed connection.
            self.release();
        }
    }

    /// Writes what was appended, then lets the effects go.
    fn release(&mut self) {
        if let Err(error) = self.effects.disk().flush() {
            self.effects.clear();
            return self.fault(format!("the disk did not flush: {error}"));
        }
        let mut effects = Vec::new();
        self.effects.swap(&mut effects);
        for effect in effects {
            self.effect(effect);
        }
    }

    fn effect(&mut self, effect: Effect<BrokerOf<C>>) {
        match effect {
            Effect::Send { conn, frame } if self.open.contains(&conn.0) => {
                self.outbox.push(ToClients::Frame { conn: conn.0, frame });
            }
            Effect::Send { conn, frame } => {
                self.fault(format!("the node sent on {conn:?}, which is not open: {frame:?}"));
            }
            Effect::Close { conn, reason } => {
                if self.open.remove(&conn.0) {
                    let discard = reason.discards_pending();
                    self.outbox.push(ToClients::Closed { conn: conn.0, discard });
                } else {
                    self.fault(format!("the node closed {conn:?}, which is not open: {reason:?}"));
                }
            }
            Effect::Peer { to, .. } => {
                self.fault(format!("the node sent to {to:?}, and it is alone"));
            }
            Effect::Sync { file, token } => self.sync(file, token),
            Effect::Note(_) => {}
        }
    }

    fn sync(&mut self, file: FileId, token: SyncToken) {
        match self.effects.disk().len(file) {
            Ok(_) => {
                self.syncs += 1;
                self.syncer.sync(file, token);
            }
            Err(error) => self.fault(format!("the node synced {file:?}: {error}")),
        }
    }

    fn fault(&mut self, what: String) {
        self.outbox.push(ToClients::Fault(format!("at {}: {what}", self.clock.now())));
    }
}

/// A thread that syncs for the node of one boot.
fn syncer<C: Contender>(
    disk: &FileDisk,
    inbox: &Arc<Handoff<ToNode<BrokerOf<C>>>>,
    boot: u64,
) -> SyncThread {
    let way = inbox.clone();
    SyncThread::start(disk.clone(), move |token, result| {
        way.give(&mut vec![ToNode::Synced { boot, token, result }]);
    })
}
