//! One node and its clients in a closed loop on one thread, each side timed by
//! itself.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use broker_contract::{
    Action, Actions, Boot, Broker, Client, ClientInput, ClientStart, Configured, ConnId, Contender,
    Declaration, Effect, Effects, Flow, Frame, Input, LinkId, MemoryDisk, NodeId, Op, Origin,
    Outcome, Publish, SeedStream, Start, Ticket, Time, Want,
};

use crate::modes::sim::engine::BrokerOf;

/// Virtual time between two rounds.
const ROUND: Duration = Duration::from_micros(10);
/// Rounds without anything to do, each of which goes to the next deadline,
/// before something that was waited for is given up.
const IDLE_ROUNDS: u32 = 20_000;
/// The channel that everything is published to.
const CHANNEL: &str = "bench.readings";

/// What was counted and timed. Counts are of the measured part only.
#[derive(Copy, Clone, Debug, Default, PartialEq)]
pub struct Timed {
    /// Messages published.
    pub messages: u64,
    /// Messages delivered.
    pub deliveries: u64,
    /// Frames to the node.
    pub frames_in: u64,
    /// Their bytes.
    pub bytes_in: u64,
    /// Frames from the node.
    pub frames_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// Of the frames to the node, those of the publisher that carry messages.
    pub publishes: u64,
    /// Nanoseconds in the node, its disk in memory included.
    pub node_ns: f64,
    /// Nanoseconds in the publisher.
    pub send_ns: f64,
    /// Nanoseconds in the subscribers.
    pub receive_ns: f64,
}

/// A connection: whose, and the client's name for it.
#[derive(Copy, Clone, Debug)]
struct Conn {
    client: usize,
    link: LinkId,
}

type Up<C> = <BrokerOf<C> as Broker>::Up;
type Down<C> = <BrokerOf<C> as Broker>::Down;

/// A node, a publisher (client 0) and subscribers.
pub struct Closed<C: Contender> {
    node: BrokerOf<C>,
    effects: Effects<BrokerOf<C>>,
    clients: Vec<C::Client>,
    actions: Actions<C::Client>,
    now: Time,
    conns: Vec<Conn>,
    to_node: VecDeque<(usize, Option<Up<C>>)>,
    opened: VecDeque<usize>,
    to_clients: VecDeque<(usize, Down<C>)>,
    drained: Vec<(usize, u64)>,
    synced: Vec<broker_contract::SyncToken>,
    ended: u64,
    refused: Option<String>,
    timed: Timed,
}

impl<C: Contender> Closed<C> {
    /// Boots a node, connects the publisher and `subscribers` subscribers, and
    /// waits until all subscriptions are in force.
    ///
    /// # Errors
    /// What did not work, in words.
    pub fn new(configured: &Configured<C>, subscribers: usize) -> Result<Closed<C>, String> {
        let seed = SeedStream::new(1);
        let mut effects = Effects::new(Box::new(MemoryDisk::new()));
        let boot = Boot { seed: seed.fork("node"), node: NodeId(0), peers: vec![NodeId(0)] };
        let node = BrokerOf::<C>::boot(&configured.node, boot, Time::ZERO, &mut effects)
            .map_err(|error| format!("the node does not boot: {error}"))?;
        let clients = (0..=subscribers as u32)
            .map(|id| {
                let start = ClientStart { id, seed: seed.fork("client").nth(u64::from(id)) };
                C::Client::new(&configured.client, start)
            })
            .collect();
        let mut closed = Closed {
            node,
            effects,
            clients,
            actions: Actions::new(),
            now: Time::from_millis(1),
            conns: Vec::new(),
            to_node: VecDeque::new(),
            opened: VecDeque::new(),
            to_clients: VecDeque::new(),
            drained: Vec::new(),
            synced: Vec::new(),
            ended: 0,
            refused: None,
            timed: Timed::default(),
        };
        closed.set_up()?;
        Ok(closed)
    }

    fn set_up(&mut self) -> Result<(), String> {
        self.clients[0].connect(self.now, &mut self.actions);
        self.act(0);
        let log = Declaration { name: "bench", filters: &["bench.>"], partitions: None };
        if self.submit(0, Ticket(1), &Op::Declare(log)) {
            self.until("the log was not made", |closed| closed.ended >= 1)?;
        }
        let (before, subscribers) = (self.ended, self.clients.len() as u64 - 1);
        for client in 1..self.clients.len() {
            let flow = Flow::default();
            let op = Op::Subscribe { filter: CHANNEL, group: None, start: Start::New, flow };
            if !self.submit(client, Ticket(2), &op) {
                return Err("a plain subscription is refused".to_owned());
            }
        }
        self.until("not everybody could subscribe", |c| c.ended >= before + subscribers)?;
        match self.refused.take() {
            Some(reason) => Err(reason),
            None => Ok(()),
        }
    }

    /// Publishes `messages` payloads of `size` bytes, `batch` at once, and waits
    /// for each batch to arrive everywhere before the next.
    ///
    /// # Errors
    /// What did not work, in words.
    pub fn play(&mut self, messages: u64, size: usize, batch: u64) -> Result<Timed, String> {
        let payload = vec![0x5a; size];
        self.timed = Timed::default();
        let subscribers = self.clients.len() as u64 - 1;
        let mut sent = 0;
        while sent < messages {
            let ended = self.ended;
            let now = batch.min(messages - sent);
            let begun = Instant::now();
            for number in sent..sent + now {
                let publish = Publish {
                    channel: CHANNEL,
                    key: None,
                    headers: &[],
                    payload: &payload,
                    want: Want::Usual,
                };
                let (op, ticket) = (Op::Publish(publish), Ticket(1_000 + number));
                let submitted = self.clients[0].submit(self.now, ticket, &op, &mut self.actions);
                submitted.map_err(|refused| refused.to_string())?;
            }
            self.timed.send_ns += nanos(begun);
            self.act(0);
            sent += now;
            let due = sent * subscribers;
            self.until("not everything arrived", |closed| {
                closed.timed.deliveries >= due && closed.ended >= ended + now
            })?;
        }
        self.timed.messages = sent;
        match self.refused.take() {
            Some(reason) => Err(reason),
            None => Ok(self.timed),
        }
    }

    /// Whether `op` was taken.
    fn submit(&mut self, client: usize, ticket: Ticket, op: &Op<'_>) -> bool {
        let taken = self.clients[client].submit(self.now, ticket, op, &mut self.actions).is_ok();
        self.act(client);
        taken
    }

    /// Goes on until `done`; what nobody does anything about is given up.
    fn until(&mut self, otherwise: &str, done: impl Fn(&Self) -> bool) -> Result<(), String> {
        let mut idle = 0;
        while !done(self) {
            if self.round() {
                idle = 0;
                continue;
            }
            idle += 1;
            let clients = self.clients.iter().filter_map(Client::deadline).min();
            let next = [self.node.deadline(), clients].into_iter().flatten().min();
            match next {
                Some(at) if idle < IDLE_ROUNDS => self.now = self.now.max(at),
                _ => return Err(otherwise.to_owned()),
            }
        }
        Ok(())
    }

    /// Takes everything that is under way one step further; whether there was any.
    fn round(&mut self) -> bool {
        self.now += ROUND;
        let mut busy = false;
        while let Some(conn) = self.opened.pop_front() {
            busy = true;
            let Conn { client, link } = self.conns[conn];
            self.clients[client].handle(
                self.now,
                ClientInput::Connected { link },
                &mut self.actions,
            );
            self.act(client);
        }
        busy |= self.node_turn();
        busy |= self.clients_turn();
        busy
    }

    fn node_turn(&mut self) -> bool {
        let due = self.node.deadline().is_some_and(|at| at <= self.now);
        if self.to_node.is_empty() && self.drained.is_empty() && self.synced.is_empty() && !due {
            return false;
        }
        let mut inputs = Vec::with_capacity(self.to_node.len());
        for (conn, frame) in self.to_node.drain(..) {
            let conn_id = ConnId(conn as u32);
            inputs.push(match frame {
                None => Input::Opened { conn: conn_id, origin: Origin::default() },
                Some(frame) => {
                    self.timed.frames_in += 1;
                    self.timed.bytes_in += frame.wire_len() as u64;
                    Input::Frame { conn: conn_id, frame }
                }
            });
        }
        for (conn, bytes) in self.drained.drain(..) {
            inputs.push(Input::Drained { conn: ConnId(conn as u32), bytes });
        }
        for token in self.synced.drain(..) {
            inputs.push(Input::Synced { token, result: Ok(()) });
        }
        if due {
            inputs.push(Input::Tick);
        }
        let begun = Instant::now();
        for input in inputs {
            self.node.handle(self.now, input, &mut self.effects);
        }
        let flushed = self.effects.disk().flush();
        self.timed.node_ns += nanos(begun);
        if let Err(error) = flushed {
            self.refused.get_or_insert_with(|| error.to_string());
        }
        let mut effects = Vec::new();
        self.effects.swap(&mut effects);
        for effect in effects {
            match effect {
                Effect::Send { conn, frame } => {
                    let bytes = frame.wire_len() as u64;
                    self.timed.frames_out += 1;
                    self.timed.bytes_out += bytes;
                    self.drained.push((conn.0 as usize, bytes));
                    self.to_clients.push_back((conn.0 as usize, frame));
                }
                Effect::Sync { file, token } => {
                    if let Some(disk) = self.effects.disk_as::<MemoryDisk>() {
                        disk.complete_sync(file);
                    }
                    self.synced.push(token);
                }
                Effect::Close { reason, .. } => {
                    self.refused.get_or_insert_with(|| format!("the node closed: {reason:?}"));
                }
                Effect::Peer { .. } | Effect::Note(_) => {}
            }
        }
        true
    }

    fn clients_turn(&mut self) -> bool {
        let mut busy = false;
        let mut frames: Vec<VecDeque<(LinkId, Down<C>)>> = Vec::new();
        frames.resize_with(self.clients.len(), VecDeque::new);
        for (conn, frame) in self.to_clients.drain(..) {
            let Conn { client, link } = self.conns[conn];
            frames[client].push_back((link, frame));
        }
        for (client, frames) in frames.into_iter().enumerate() {
            let due = self.clients[client].deadline().is_some_and(|at| at <= self.now);
            if frames.is_empty() && !due {
                continue;
            }
            busy = true;
            let begun = Instant::now();
            for (link, frame) in frames {
                let input = ClientInput::Frame { link, frame };
                self.clients[client].handle(self.now, input, &mut self.actions);
            }
            if due {
                self.clients[client].handle(self.now, ClientInput::Tick, &mut self.actions);
            }
            let took = nanos(begun);
            if client == 0 {
                self.timed.send_ns += took;
            } else {
                self.timed.receive_ns += took;
            }
            self.act(client);
        }
        busy
    }

    /// Carries out what a client wants done.
    fn act(&mut self, client: usize) {
        let mut actions = Vec::new();
        self.actions.swap(&mut actions);
        for action in actions {
            match action {
                Action::Connect { link, .. } => {
                    let conn = self.conns.len();
                    self.conns.push(Conn { client, link });
                    self.to_node.push_back((conn, None));
                    self.opened.push_back(conn);
                }
                Action::Send { link, frame } => {
                    let find = |conn: &Conn| conn.client == client && conn.link == link;
                    let Some(conn) = self.conns.iter().rposition(find) else { continue };
                    if client == 0 {
                        let mut carries = false;
                        frame.payloads(&mut |_| carries = true);
                        self.timed.publishes += u64::from(carries);
                    }
                    self.to_node.push_back((conn, Some(frame)));
                }
                Action::Close { .. } => {}
                Action::Outcome { outcome, .. } => {
                    self.ended += 1;
                    if let Outcome::Failed(failure) | Outcome::Unknown(failure) = outcome {
                        self.refused.get_or_insert_with(|| failure.to_string());
                    }
                }
                Action::Delivery(_) => self.timed.deliveries += 1,
                Action::Note(_) => {}
            }
        }
    }
}

fn nanos(begun: Instant) -> f64 {
    begun.elapsed().as_nanos() as f64
}
