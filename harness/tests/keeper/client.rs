//! The other half of the small broker that stores, and its name.

use std::collections::BTreeMap;
use std::time::Duration;

use broker_contract::{
    AckPolicy, Actions, Claim, Client, ClientInput, ClientStart, Configured, Contender, Delivery,
    Durability, Envelope, Failure, Feature, LinkId, Lowering, NodeId, Op, Outcome, Preset, Profile,
    Promises, Proof, SettingError, SettingSpec, Settings, Settle, Start, Support, Ticket, Time,
    Unsupported,
};

use crate::node::{Config, Down, Flaw, Keeper, Subscribe, Up};

/// The wait before a client connects anew.
const RECONNECT: Duration = Duration::from_millis(20);
/// The wait for an acknowledgement where a subscription names none.
const WAIT: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct KeeperClient {
    proof: Proof,
    asked: bool,
    connected: bool,
    stopping: bool,
    reconnect_at: Option<Time>,
    /// What waits for a connection.
    held: Vec<Up>,
    /// Publishes and declarations that are not answered.
    open: BTreeMap<u64, bool>,
    subscriptions: BTreeMap<u64, Subscribe>,
}

impl KeeperClient {
    fn send(&mut self, frame: Up, out: &mut Actions<Self>) {
        if self.connected {
            out.send(LinkId(0), frame);
        } else {
            self.held.push(frame);
            self.connect(Time::ZERO, out);
        }
    }
}

impl Client for KeeperClient {
    type Broker = Keeper;
    type Config = Proof;

    fn new(proof: &Proof, _: ClientStart) -> Self {
        KeeperClient {
            proof: *proof,
            asked: false,
            connected: false,
            stopping: false,
            reconnect_at: None,
            held: Vec::new(),
            open: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
        }
    }

    fn connect(&mut self, _: Time, out: &mut Actions<Self>) {
        if !self.asked {
            self.asked = true;
            out.connect(LinkId(0), NodeId(0));
        }
    }

    fn submit(
        &mut self,
        _: Time,
        ticket: Ticket,
        op: &Op<'_>,
        out: &mut Actions<Self>,
    ) -> Result<Support, Unsupported> {
        match op {
            Op::Declare(_) => {
                self.open.insert(ticket.0, false);
                self.send(Up::Declare { ticket: ticket.0 }, out);
            }
            Op::Publish(publish) => {
                let channel = publish.channel.as_bytes();
                let message = Envelope::compose(channel, b"", b"", publish.payload);
                self.open.insert(ticket.0, true);
                self.send(Up::Publish { ticket: ticket.0, message }, out);
            }
            Op::Subscribe { filter, group, start, flow } => {
                let name = group.map(|group| group.name).or(flow.name);
                let subscribe = Subscribe {
                    ticket: ticket.0,
                    filter: (*filter).to_owned(),
                    durable: name.filter(|_| flow.durable).map(str::to_owned),
                    from_start: *start == Start::All,
                    acknowledges: flow.ack != AckPolicy::None,
                    wait: flow.ack_wait.unwrap_or(WAIT),
                    backoff: flow.backoff.to_vec(),
                    max_deliver: flow.max_deliver.unwrap_or(u32::MAX),
                };
                self.subscriptions.insert(ticket.0, subscribe.clone());
                if self.connected {
                    self.send(Up::Subscribe(Box::new(subscribe)), out);
                } else {
                    Client::connect(self, Time::ZERO, out);
                }
            }
            Op::Settle { subscription, token, settle } => {
                let (ticket, sequence) = (subscription.0, *token);
                // What an earlier connection delivered belongs to the node again.
                if self.connected {
                    match settle {
                        Settle::Ack => self.send(Up::Ack { ticket, sequence }, out),
                        Settle::Nak { delay } => {
                            let delay = delay.unwrap_or_default();
                            self.send(Up::Nak { ticket, sequence, delay }, out);
                        }
                        Settle::Term | Settle::Working => {}
                    }
                }
            }
            _ => return Err(Unsupported { feature: Feature::RequestReply, reason: "a test" }),
        }
        Ok(Support::Native)
    }

    fn handle(&mut self, now: Time, event: ClientInput<Keeper>, out: &mut Actions<Self>) {
        match event {
            ClientInput::Connected { .. } => {
                self.connected = true;
                for subscribe in self.subscriptions.values() {
                    out.send(LinkId(0), Up::Subscribe(Box::new(subscribe.clone())));
                }
                for frame in std::mem::take(&mut self.held) {
                    out.send(LinkId(0), frame);
                }
            }
            ClientInput::Closed { .. } => {
                let was_connected = std::mem::replace(&mut self.connected, false);
                if was_connected {
                    // What was sent and not answered may or may not be stored.
                    let held: Vec<u64> = self.held.iter().filter_map(ticket_of).collect();
                    for ticket in std::mem::take(&mut self.open).into_keys() {
                        if held.contains(&ticket) {
                            self.open.insert(ticket, true);
                        } else {
                            let lost = Outcome::Unknown(Failure::ConnectionLost);
                            out.outcome(Ticket(ticket), lost);
                        }
                    }
                }
                self.reconnect_at = (!self.stopping).then(|| now + RECONNECT);
            }
            ClientInput::Tick => {
                if self.reconnect_at.is_some_and(|at| at <= now) {
                    self.reconnect_at = None;
                    out.connect(LinkId(0), NodeId(0));
                }
            }
            ClientInput::Frame { frame, .. } => match frame {
                Down::Done { ticket } => {
                    let outcome = match self.open.remove(&ticket) {
                        Some(true) => Outcome::Acked(self.proof),
                        _ => Outcome::Done,
                    };
                    out.outcome(Ticket(ticket), outcome);
                }
                Down::Refused { ticket } => {
                    self.open.remove(&ticket);
                    let refused = Failure::Refused("no room".into());
                    out.outcome(Ticket(ticket), Outcome::Failed(refused));
                }
                Down::Message { ticket, sequence, again, message } => out.deliver(Delivery {
                    subscription: Ticket(ticket),
                    token: sequence,
                    redelivered: again,
                    message,
                }),
            },
            ClientInput::Shutdown => {
                self.stopping = true;
                if self.connected {
                    self.connected = false;
                    out.close(LinkId(0));
                }
            }
            ClientInput::Malformed { .. } => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        self.reconnect_at
    }
}

fn ticket_of(frame: &Up) -> Option<u64> {
    match frame {
        Up::Publish { ticket, .. } | Up::Declare { ticket } => Some(*ticket),
        _ => None,
    }
}

/// The small broker that stores, as a contender.
pub struct Stored;

impl Stored {
    /// What it is configured with.
    pub fn with(flaw: Flaw, syncs: bool) -> Configured<Self> {
        let durable = if syncs { Durability::Synced } else { Durability::PageCache };
        let proof = Proof { copies: 1, durable };
        Configured { node: Config { flaw, syncs }, client: proof, proof }
    }
}

impl Contender for Stored {
    type Client = KeeperClient;
    const NAME: &'static str = "keeper";

    fn profile() -> Profile {
        let claim = |feature: &Feature| match feature {
            Feature::RequestReply | Feature::NoResponders | Feature::Headers => {
                Claim::Unsupported("a test")
            }
            _ => Claim::Native,
        };
        Profile {
            name: Self::NAME,
            title: "a small broker that stores",
            summary: "It keeps everything.",
            claims: Feature::ALL.iter().map(|feature| (*feature, claim(feature))).collect(),
            promises: Promises {
                delivery: "at least once",
                order: "as stored",
                subscriber_away: "kept",
                slow_subscriber: "waits",
                crash: "nothing that was acknowledged",
                at_most_once: false,
            },
            proof: Proof { copies: 1, durable: Durability::PageCache },
        }
    }

    fn settings() -> &'static [SettingSpec] {
        &[]
    }

    fn presets() -> &'static [Preset] {
        &[]
    }

    fn configure(_: &Settings) -> Result<Configured<Self>, SettingError> {
        Ok(Stored::with(Flaw::None, false))
    }

    fn lower(filter: &str, _: bool) -> Lowering {
        Lowering { native: filter.to_owned(), emulation: None }
    }

    fn seat_of(_: &str, _: u32) -> Option<u32> {
        None
    }
}
