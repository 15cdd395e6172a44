//! The client against a real node, with a link that keeps order and can break.

mod emulations;
mod links;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use broker_contract::{
    Action, Actions, Boot, Broker, Client, ClientInput, ClientStart, ConnId, Delivery, Effect,
    Effects, Flow, GroupSeat, Input, LinkId, MemoryDisk, NodeId, Note, Op, Origin, Outcome,
    Publish, SeedStream, Start, Support, Ticket, Time, Unsupported, Want,
};

use super::{ClientConfig, RedisClient};
use crate::frame::{Down, Proto, Up};
use crate::{Redis, RedisConfig};

/// What an application and a driver see of one client.
#[derive(Default)]
pub(super) struct Seen {
    pub outcomes: Vec<(u64, Outcome)>,
    pub deliveries: Vec<Delivery>,
    pub notes: Vec<Note>,
    pub commands: Vec<(LinkId, Up)>,
    pub closed: Vec<LinkId>,
}

pub(super) struct World {
    node: Redis,
    effects: Effects<Redis>,
    pub clients: Vec<RedisClient>,
    pub seen: Vec<Seen>,
    actions: Actions<RedisClient>,
    pub now: Time,
    /// Whether connections can be made.
    pub reachable: bool,
    /// Connections by number: the client and its link.
    conns: Vec<Option<(usize, LinkId)>>,
    events: VecDeque<Event>,
    config: Arc<ClientConfig>,
}

enum Event {
    Node(Input<Redis>),
    Client(usize, ClientInput<Redis>),
}

impl World {
    pub fn new(config: ClientConfig) -> World {
        World::with(config, RedisConfig::default())
    }

    pub fn with(config: ClientConfig, node: RedisConfig) -> World {
        let mut effects = Effects::new(Box::new(MemoryDisk::new()));
        let boot = Boot { seed: SeedStream::new(1), node: NodeId(0), peers: vec![NodeId(0)] };
        World {
            node: Redis::boot(&node, boot, Time::ZERO, &mut effects).expect("boots"),
            effects,
            clients: Vec::new(),
            seen: Vec::new(),
            actions: Actions::new(),
            now: Time::ZERO,
            reachable: true,
            conns: Vec::new(),
            events: VecDeque::new(),
            config: Arc::new(config),
        }
    }

    pub fn client(&mut self) -> usize {
        let id = self.clients.len();
        let start = ClientStart { id: id as u32, seed: SeedStream::new(id as u64) };
        self.clients.push(RedisClient::new(&self.config, start));
        self.seen.push(Seen::default());
        id
    }

    pub fn submit(
        &mut self,
        client: usize,
        ticket: u64,
        op: Op<'_>,
    ) -> Result<Support, Unsupported> {
        let (now, ticket) = (self.now, Ticket(ticket));
        let support = self.clients[client].submit(now, ticket, &op, &mut self.actions);
        self.act(client);
        support
    }

    pub fn publish(&mut self, client: usize, ticket: u64, channel: &str, payload: &[u8]) {
        let support = self.submit(client, ticket, Op::Publish(message(channel, payload)));
        assert_eq!(support, Ok(Support::Native));
    }

    pub fn subscribe(&mut self, client: usize, ticket: u64, filter: &str) {
        self.subscribe_as(client, ticket, filter, None);
    }

    pub fn subscribe_as(
        &mut self,
        client: usize,
        ticket: u64,
        filter: &str,
        seat: Option<(u32, u32)>,
    ) {
        let group = seat.map(|(seat, seats)| GroupSeat { name: "workers", seat, seats });
        let op = Op::Subscribe { filter, group, start: Start::New, flow: Flow::default() };
        self.submit(client, ticket, op).expect("is supported");
    }

    pub fn unsubscribe(
        &mut self,
        client: usize,
        ticket: u64,
        subscription: u64,
        after: Option<u64>,
    ) {
        let op = Op::Unsubscribe { subscription: Ticket(subscription), after };
        self.submit(client, ticket, op).expect("is supported");
    }

    pub fn request(&mut self, client: usize, ticket: u64, channel: &str, payload: &[u8]) {
        let timeout = Duration::from_secs(1);
        let op = Op::Request { publish: message(channel, payload), timeout };
        self.submit(client, ticket, op).expect("is supported");
    }

    pub fn shut_down(&mut self, client: usize) {
        self.events.push_back(Event::Client(client, ClientInput::Shutdown));
        self.settle();
    }

    /// Lets everything under way arrive.
    pub fn settle(&mut self) {
        while let Some(event) = self.events.pop_front() {
            match event {
                Event::Node(input) => {
                    self.node.handle(self.now, input, &mut self.effects);
                    let effects: Vec<_> = self.effects.drain().collect();
                    effects.into_iter().for_each(|effect| self.effect(effect));
                }
                Event::Client(client, input) => {
                    self.clients[client].handle(self.now, input, &mut self.actions);
                    self.act(client);
                }
            }
        }
    }

    /// Moves the time and wakes every client that wants it.
    pub fn advance(&mut self, millis: u64) {
        let until = self.now + Duration::from_millis(millis);
        loop {
            let due = (0..self.clients.len())
                .filter_map(|client| Some((self.clients[client].deadline()?, client)))
                .min()
                .filter(|(due, _)| *due <= until);
            let Some((due, client)) = due else { break };
            self.now = self.now.max(due);
            self.events.push_back(Event::Client(client, ClientInput::Tick));
            self.settle();
        }
        self.now = until;
    }

    /// Breaks every connection of a client; what is under way is lost.
    pub fn cut(&mut self, client: usize) {
        for at in 0..self.conns.len() {
            let Some((of, link)) = self.conns[at] else { continue };
            if of == client {
                self.conns[at] = None;
                self.events.push_back(Event::Node(Input::Closed { conn: ConnId(at as u32) }));
                self.events.push_back(Event::Client(client, ClientInput::Closed { link }));
            }
        }
        self.settle();
    }

    /// Hands a client a frame that the node did not send.
    pub fn inject(&mut self, client: usize, link: LinkId, frame: Down) {
        self.events.push_back(Event::Client(client, ClientInput::Frame { link, frame }));
        self.settle();
    }

    fn act(&mut self, client: usize) {
        let actions: Vec<_> = self.actions.drain().collect();
        for action in actions {
            let seen = &mut self.seen[client];
            match action {
                Action::Outcome { ticket, outcome } => seen.outcomes.push((ticket.0, outcome)),
                Action::Delivery(delivery) => seen.deliveries.push(delivery),
                Action::Note(note) => seen.notes.push(note),
                Action::Connect { link, .. } => {
                    let input = if self.reachable {
                        let conn = ConnId(self.conns.len() as u32);
                        self.conns.push(Some((client, link)));
                        let opened = Input::Opened { conn, origin: Origin::default() };
                        self.events.push_back(Event::Node(opened));
                        ClientInput::Connected { link }
                    } else {
                        ClientInput::Closed { link }
                    };
                    self.events.push_back(Event::Client(client, input));
                }
                Action::Send { link, frame } => {
                    seen.commands.push((link, frame.clone()));
                    if let Some(conn) = self.conn(client, link) {
                        self.events.push_back(Event::Node(Input::Frame { conn, frame }));
                    }
                }
                Action::Close { link } => {
                    seen.closed.push(link);
                    if let Some(conn) = self.conn(client, link) {
                        self.conns[conn.0 as usize] = None;
                        self.events.push_back(Event::Node(Input::Closed { conn }));
                    }
                }
            }
        }
    }

    fn effect(&mut self, effect: Effect<Redis>) {
        match effect {
            Effect::Send { conn, frame } => {
                if let Some((client, link)) = self.conns[conn.0 as usize] {
                    let input = ClientInput::Frame { link, frame };
                    self.events.push_back(Event::Client(client, input));
                }
            }
            Effect::Close { conn, .. } => {
                if let Some((client, link)) = self.conns[conn.0 as usize].take() {
                    self.events.push_back(Event::Client(client, ClientInput::Closed { link }));
                }
            }
            Effect::Peer { .. } | Effect::Sync { .. } | Effect::Note(_) => {}
        }
    }

    fn conn(&self, client: usize, link: LinkId) -> Option<ConnId> {
        let at = self.conns.iter().rposition(|conn| *conn == Some((client, link)))?;
        Some(ConnId(at as u32))
    }

    /// The outcomes since the last call, as text.
    pub fn outcomes(&mut self, client: usize) -> Vec<String> {
        let shown = |(ticket, outcome): (u64, Outcome)| match outcome {
            Outcome::Failed(failure) => format!("{ticket} failed: {failure}"),
            Outcome::Unknown(failure) => format!("{ticket} unknown: {failure}"),
            Outcome::Replied(answer) => {
                format!("{ticket} replied: {}", String::from_utf8_lossy(answer.payload()))
            }
            outcome => format!("{ticket} {outcome:?}"),
        };
        self.seen[client].outcomes.drain(..).map(shown).collect()
    }

    /// The deliveries since the last call: subscription, channel, payload.
    pub fn deliveries(&mut self, client: usize) -> Vec<String> {
        let shown = |delivery: Delivery| {
            let message = delivery.message;
            let (channel, payload) = (message.channel(), message.payload());
            format!(
                "{} {} {}",
                delivery.subscription.0,
                String::from_utf8_lossy(channel),
                String::from_utf8_lossy(payload)
            )
        };
        self.seen[client].deliveries.drain(..).map(shown).collect()
    }

    /// Messages thrown away since the last call.
    pub fn wasted(&mut self, client: usize) -> u32 {
        let wasted = |note| match note {
            Note::Wasted { messages, .. } => messages,
            _ => 0,
        };
        self.seen[client].notes.drain(..).map(wasted).sum()
    }

    /// Connections that a client has now.
    pub fn links(&self, client: usize) -> BTreeSet<LinkId> {
        let of = |conn: &Option<(usize, LinkId)>| conn.filter(|(of, _)| *of == client);
        self.conns.iter().filter_map(of).map(|(_, link)| link).collect()
    }
}

pub(super) fn message<'a>(channel: &'a str, payload: &'a [u8]) -> Publish<'a> {
    Publish { channel, key: None, headers: &[], payload, want: Want::Usual }
}

pub(super) fn resp3() -> ClientConfig {
    ClientConfig { proto: Proto::Resp3, ..ClientConfig::default() }
}

pub(super) const NONE: [&str; 0] = [];
