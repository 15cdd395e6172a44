//! The canary: a broker with nothing in it.
//!
//! It takes the same threads, hand-offs, generator, clients' plumbing and meters
//! as any contender, and in between it does one thing: it passes each publish to
//! the first subscriber. What it measures is the instrument's own floor.

use broker_contract::{
    Actions, Boot, BootError, Broker, Claim, Client, ClientInput, ClientStart, Configured, ConnId,
    Contender, Delivery, Effects, Envelope, Feature, Frame, Input, LinkId, Lowering, NoPeer,
    NodeId, Op, Outcome, Preset, Profile, Promises, Proof, SettingError, SettingSpec, Settings,
    Support, Ticket, Time, Unsupported,
};

/// Bytes of a frame beside the payload.
const HEAD: usize = 13;

/// A frame to the null node.
#[derive(Clone, Debug)]
pub enum Up {
    /// Deliver to me, under this ticket.
    Subscribe(Ticket),
    /// Pass this on.
    Publish(Envelope),
}

/// A frame from the null node.
#[derive(Clone, Debug)]
pub enum Down {
    /// The subscription is in force.
    Subscribed(Ticket),
    /// A message.
    Message(Ticket, Envelope),
}

impl Frame for Up {
    fn wire_len(&self) -> usize {
        match self {
            Up::Subscribe(_) => HEAD,
            Up::Publish(message) => HEAD + message.payload().len(),
        }
    }

    fn payloads(&self, visit: &mut dyn FnMut(&[u8])) {
        if let Up::Publish(message) = self {
            visit(message.payload());
        }
    }
}

impl Frame for Down {
    fn wire_len(&self) -> usize {
        match self {
            Down::Subscribed(_) => HEAD,
            Down::Message(_, message) => HEAD + message.payload().len(),
        }
    }

    fn payloads(&self, visit: &mut dyn FnMut(&[u8])) {
        if let Down::Message(_, message) = self {
            visit(message.payload());
        }
    }
}

/// What the null node does with a publish.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct NullConfig {
    /// Whether it drops what comes instead of passing it on.
    pub is_sink: bool,
}

/// The null node.
#[derive(Debug)]
pub struct NullNode {
    is_sink: bool,
    first: Option<(ConnId, Ticket)>,
}

impl Broker for NullNode {
    type Config = NullConfig;
    type Up = Up;
    type Down = Down;
    type Peer = NoPeer;

    fn boot(
        config: &NullConfig,
        _: Boot,
        _: Time,
        _: &mut Effects<Self>,
    ) -> Result<Self, BootError> {
        Ok(NullNode { is_sink: config.is_sink, first: None })
    }

    fn handle(&mut self, _: Time, input: Input<Self>, out: &mut Effects<Self>) {
        match input {
            Input::Frame { conn, frame: Up::Subscribe(ticket) } => {
                self.first.get_or_insert((conn, ticket));
                out.send(conn, Down::Subscribed(ticket));
            }
            Input::Frame { frame: Up::Publish(message), .. } => {
                if let Some((conn, ticket)) = self.first.filter(|_| !self.is_sink) {
                    out.send(conn, Down::Message(ticket, message));
                }
            }
            Input::Closed { conn } if self.first.is_some_and(|(first, _)| first == conn) => {
                self.first = None;
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        None
    }

    fn memory_bytes(&self) -> u64 {
        0
    }
}

/// The null client.
#[derive(Debug)]
pub struct NullClient {
    connected: bool,
    asked: bool,
    waiting: Vec<Up>,
}

const LINK: LinkId = LinkId(0);

impl NullClient {
    fn send(&mut self, frame: Up, out: &mut Actions<Self>) {
        if self.connected {
            out.send(LINK, frame);
        } else {
            self.waiting.push(frame);
        }
    }
}

impl Client for NullClient {
    type Broker = NullNode;
    type Config = ();

    fn new(_: &(), _: ClientStart) -> Self {
        NullClient { connected: false, asked: false, waiting: Vec::new() }
    }

    fn connect(&mut self, _: Time, out: &mut Actions<Self>) {
        if !self.asked {
            self.asked = true;
            out.connect(LINK, NodeId(0));
        }
    }

    fn submit(
        &mut self,
        now: Time,
        ticket: Ticket,
        op: &Op<'_>,
        out: &mut Actions<Self>,
    ) -> Result<Support, Unsupported> {
        self.connect(now, out);
        match op {
            Op::Publish(publish) | Op::Request { publish, .. } => {
                let message =
                    Envelope::compose(publish.channel.as_bytes(), b"", b"", publish.payload);
                self.send(Up::Publish(message), out);
                out.outcome(ticket, Outcome::Sent);
            }
            Op::Subscribe { .. } => self.send(Up::Subscribe(ticket), out),
            _ => out.outcome(ticket, Outcome::Done),
        }
        Ok(Support::Native)
    }

    fn handle(&mut self, _: Time, event: ClientInput<NullNode>, out: &mut Actions<Self>) {
        match event {
            ClientInput::Connected { .. } => {
                self.connected = true;
                for frame in std::mem::take(&mut self.waiting) {
                    out.send(LINK, frame);
                }
            }
            ClientInput::Frame { frame: Down::Subscribed(ticket), .. } => {
                out.outcome(ticket, Outcome::Done);
            }
            ClientInput::Frame { frame: Down::Message(subscription, message), .. } => {
                out.deliver(Delivery { subscription, token: 0, redelivered: false, message });
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

/// The null contender. It takes part in no comparison.
#[derive(Debug)]
pub struct Canary;

impl Contender for Canary {
    type Client = NullClient;
    const NAME: &'static str = "canary";

    fn profile() -> Profile {
        Profile {
            name: Self::NAME,
            title: "canary",
            summary: "A broker with nothing in it.",
            claims: Feature::ALL
                .iter()
                .map(|feature| (*feature, Claim::Unsupported("it is an instrument, not a broker")))
                .collect(),
            promises: Promises {
                delivery: "none",
                order: "none",
                subscriber_away: "none",
                slow_subscriber: "none",
                crash: "none",
                at_most_once: true,
            },
            proof: Proof::NOTHING,
        }
    }

    fn settings() -> &'static [SettingSpec] {
        &[]
    }

    fn presets() -> &'static [Preset] {
        &[]
    }

    fn configure(_: &Settings) -> Result<Configured<Self>, SettingError> {
        Ok(Configured { node: NullConfig::default(), client: (), proof: Proof::NOTHING })
    }

    fn lower(filter: &str, _: bool) -> Lowering {
        Lowering { native: filter.to_owned(), emulation: None }
    }

    fn seat_of(_: &str, _: u32) -> Option<u32> {
        None
    }
}
