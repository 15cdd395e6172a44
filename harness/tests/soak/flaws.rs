//! Any contender with one thing wrong, without knowing its protocol: what is
//! wrong is at the border to the application, to the disk, or to the driver.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

use broker_contract::{
    Action, Actions, Boot, BootError, Broker, Client, ClientInput, ClientStart, Configured,
    Contender, Delivery, Disk, Effect, Effects, Envelope, Identity, Input, Lowering, MemoryDisk,
    Op, Outcome, Preset, Profile, Proof, SettingError, SettingSpec, Settings, Settle, Support,
    Ticket, Time, Unsupported,
};
use lab::modes::sim::disk::SimDisk;

/// What is wrong.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Nothing.
    None,
    /// A delivery does not reach the application, and is acknowledged.
    Lose,
    /// A delivery reaches the application twice, unmarked.
    Repeat,
    /// A delivery comes after the next one of its key.
    Swap,
    /// A bit of a payload is flipped.
    Damage,
    /// A publish is reported as done, and was never sent.
    Pretend,
    /// The end of an operation is not reported.
    Mute,
    /// After some deliveries, nothing more reaches the application.
    Deaf,
    /// The node empties its disk when it boots.
    Amnesia,
    /// The node panics.
    Panic,
    /// The node's deadlines depend on something outside of the run.
    Wobble,
}

impl Deed {
    /// All that are wrong.
    pub const ALL: [Deed; 10] = [
        Deed::Lose,
        Deed::Repeat,
        Deed::Swap,
        Deed::Damage,
        Deed::Pretend,
        Deed::Mute,
        Deed::Deaf,
        Deed::Amnesia,
        Deed::Panic,
        Deed::Wobble,
    ];
}

/// Deeds are done at every so many-th occasion of one client or node.
const EVERY: u64 = 17;

/// Moves on with each look, in this run and the next: no run repeats.
static OUTSIDE: AtomicU64 = AtomicU64::new(0);

/// A node that is honest but for its deed.
#[derive(Debug)]
pub struct FlawedNode<B: Broker> {
    honest: B,
    effects: Effects<B>,
    deed: Deed,
    frames: u64,
    wobble: u64,
}

impl<B: Broker> FlawedNode<B> {
    fn release(&mut self, out: &mut Effects<Self>) {
        for effect in self.effects.drain() {
            match effect {
                Effect::Send { conn, frame } => out.send(conn, frame),
                Effect::Close { conn, reason } => out.close(conn, reason),
                Effect::Peer { to, msg } => out.peer(to, msg),
                Effect::Sync { file, token } => out.sync(file, token),
                Effect::Note(note) => out.note(note),
            }
        }
    }
}

/// The disk under `out`, as another handle to it; a copy where there is none to
/// be had.
fn share<B: Broker>(out: &mut Effects<B>) -> Box<dyn Disk> {
    if let Some(disk) = out.disk_as::<SimDisk>() {
        return Box::new(disk.clone());
    }
    Box::new(out.disk_as::<MemoryDisk>().cloned().unwrap_or_default())
}

impl<B: Broker> Broker for FlawedNode<B> {
    type Config = (B::Config, Deed);
    type Up = B::Up;
    type Down = B::Down;
    type Peer = B::Peer;

    fn boot(
        (config, deed): &Self::Config,
        boot: Boot,
        now: Time,
        out: &mut Effects<Self>,
    ) -> Result<Self, BootError> {
        if *deed == Deed::Amnesia {
            for name in out.disk().list("")? {
                out.disk().delete(&name)?;
            }
        }
        let mut effects = Effects::new(share(out));
        let honest = B::boot(config, boot, now, &mut effects)?;
        let wobble = OUTSIDE.fetch_add(1, Ordering::Relaxed) % 1_000;
        let mut node = FlawedNode { honest, effects, deed: *deed, frames: 0, wobble };
        node.release(out);
        Ok(node)
    }

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Effects<Self>) {
        let input = match input {
            Input::Opened { conn, origin } => Input::Opened { conn, origin },
            Input::Frame { conn, frame } => {
                self.frames += 1;
                assert!(
                    self.deed != Deed::Panic || !self.frames.is_multiple_of(EVERY * 10),
                    "a panic that was planted"
                );
                Input::Frame { conn, frame }
            }
            Input::Malformed { conn, error } => Input::Malformed { conn, error },
            Input::Drained { conn, bytes } => Input::Drained { conn, bytes },
            Input::Closed { conn } => Input::Closed { conn },
            Input::Peer { from, msg } => Input::Peer { from, msg },
            Input::Synced { token, result } => Input::Synced { token, result },
            Input::Tick => {
                self.wobble = u64::MAX;
                Input::Tick
            }
            Input::Drain => Input::Drain,
        };
        self.honest.handle(now, input, &mut self.effects);
        self.release(out);
    }

    fn deadline(&self) -> Option<Time> {
        let honest = self.honest.deadline();
        if self.deed != Deed::Wobble || self.wobble == u64::MAX {
            return honest;
        }
        let early = Time::from_micros(1_000 + self.wobble);
        Some(honest.map_or(early, |honest| honest.min(early)))
    }

    fn memory_bytes(&self) -> u64 {
        self.honest.memory_bytes()
    }

    fn check_invariants(&self, disk: &mut dyn Disk) -> Result<(), String> {
        self.honest.check_invariants(disk)
    }
}

/// A client that is honest but for its deed.
#[derive(Debug)]
pub struct FlawedClient<K: Client> {
    honest: K,
    actions: Actions<K>,
    deed: Deed,
    proof: Proof,
    seen: u64,
    held: Option<(u32, Delivery)>,
}

impl<K: Client> FlawedClient<K> {
    /// Whether the moment for a deed has come.
    fn is_time(&mut self) -> bool {
        self.seen += 1;
        self.seen.is_multiple_of(EVERY)
    }

    fn pass_on(&mut self, now: Time, out: &mut Actions<Self>) {
        let mut list = Vec::new();
        self.actions.swap(&mut list);
        for action in list {
            match action {
                Action::Connect { link, to } => out.connect(link, to),
                Action::Send { link, frame } => out.send(link, frame),
                Action::Close { link } => out.close(link),
                Action::Outcome { ticket, outcome } => {
                    let of_publish = matches!(outcome, Outcome::Sent | Outcome::Acked(_));
                    if self.deed != Deed::Mute || !of_publish || !self.is_time() {
                        out.outcome(ticket, outcome);
                    }
                }
                Action::Delivery(delivery) => self.deliver(now, delivery, out),
                Action::Note(note) => out.note(note),
            }
        }
    }

    fn deliver(&mut self, now: Time, delivery: Delivery, out: &mut Actions<Self>) {
        let key = Identity::read(delivery.message.payload()).map(|identity| identity.key);
        if let Some((_, held)) = self.held.take_if(|(held, _)| Some(*held) == key) {
            out.deliver(delivery);
            return out.deliver(held);
        }
        let Some(key) = key else { return out.deliver(delivery) };
        let deed = self.deed;
        match deed {
            Deed::Lose if self.is_time() => self.swallow(now, delivery, out),
            Deed::Deaf => {
                self.seen += 1;
                if self.seen > EVERY {
                    return self.swallow(now, delivery, out);
                }
                out.deliver(delivery);
            }
            Deed::Repeat if self.is_time() => {
                out.deliver(delivery.clone());
                out.deliver(delivery);
            }
            Deed::Swap if self.held.is_none() && self.is_time() => {
                self.held = Some((key, delivery));
            }
            Deed::Damage if self.is_time() => {
                let message = &delivery.message;
                let mut payload = message.payload().to_vec();
                let at = self.seen as usize % payload.len();
                payload[at] ^= 4;
                let message = Envelope::compose(
                    message.channel(),
                    message.reply(),
                    message.headers(),
                    &payload,
                );
                out.deliver(Delivery { message, ..delivery });
            }
            _ => out.deliver(delivery),
        }
    }

    /// The honest client believes that the application is done with it.
    fn swallow(&mut self, now: Time, delivery: Delivery, out: &mut Actions<Self>) {
        let Delivery { subscription, token, .. } = delivery;
        if token == 0 {
            return;
        }
        let op = Op::Settle { subscription, token, settle: Settle::Ack };
        // A ticket that the harness takes for that of a settlement.
        let ticket = Ticket(1 << 62);
        if self.honest.submit(now, ticket, &op, &mut self.actions).is_ok() {
            self.pass_on(now, out);
        }
    }
}

impl<K: Client> Client for FlawedClient<K> {
    type Broker = FlawedNode<K::Broker>;
    type Config = (K::Config, Deed, ProofOf);

    fn new((config, deed, proof): &Self::Config, start: ClientStart) -> Self {
        FlawedClient {
            honest: K::new(config, start),
            actions: Actions::new(),
            deed: *deed,
            proof: proof.0,
            seen: 0,
            held: None,
        }
    }

    fn connect(&mut self, now: Time, out: &mut Actions<Self>) {
        self.honest.connect(now, &mut self.actions);
        self.pass_on(now, out);
    }

    fn submit(
        &mut self,
        now: Time,
        ticket: Ticket,
        op: &Op<'_>,
        out: &mut Actions<Self>,
    ) -> Result<Support, Unsupported> {
        if self.deed == Deed::Pretend && matches!(op, Op::Publish(_)) && self.is_time() {
            let acknowledges = self.proof.copies > 0;
            let outcome = if acknowledges { Outcome::Acked(self.proof) } else { Outcome::Sent };
            out.outcome(ticket, outcome);
            return Ok(Support::Native);
        }
        let result = self.honest.submit(now, ticket, op, &mut self.actions);
        self.pass_on(now, out);
        result
    }

    fn handle(&mut self, now: Time, event: ClientInput<Self::Broker>, out: &mut Actions<Self>) {
        let event = match event {
            ClientInput::Connected { link } => ClientInput::Connected { link },
            ClientInput::Frame { link, frame } => ClientInput::Frame { link, frame },
            ClientInput::Malformed { link, error } => ClientInput::Malformed { link, error },
            ClientInput::Closed { link } => ClientInput::Closed { link },
            ClientInput::Tick => ClientInput::Tick,
            ClientInput::Shutdown => ClientInput::Shutdown,
        };
        self.honest.handle(now, event, &mut self.actions);
        self.pass_on(now, out);
    }

    fn deadline(&self) -> Option<Time> {
        self.honest.deadline()
    }
}

/// What the honest contender's acknowledgements prove.
#[derive(Copy, Clone, Debug)]
pub struct ProofOf(Proof);

/// The contender `C` with something wrong. It keeps its name, and so its costs.
pub struct Flawed<C>(PhantomData<fn() -> C>);

impl<C: Contender> Flawed<C> {
    /// The same configuration with this deed.
    pub fn with(mut configured: Configured<Self>, deed: Deed) -> Configured<Self> {
        configured.node.1 = deed;
        configured.client.1 = deed;
        configured
    }
}

impl<C: Contender> Contender for Flawed<C> {
    type Client = FlawedClient<C::Client>;
    const NAME: &'static str = C::NAME;

    fn profile() -> Profile {
        C::profile()
    }

    fn settings() -> &'static [SettingSpec] {
        C::settings()
    }

    fn presets() -> &'static [Preset] {
        C::presets()
    }

    fn configure(settings: &Settings) -> Result<Configured<Self>, SettingError> {
        let honest = C::configure(settings)?;
        Ok(Configured {
            node: (honest.node, Deed::None),
            client: (honest.client, Deed::None, ProofOf(honest.proof)),
            proof: honest.proof,
        })
    }

    fn lower(filter: &str, grouped: bool) -> Lowering {
        C::lower(filter, grouped)
    }

    fn seat_of(channel: &str, seats: u32) -> Option<u32> {
        C::seat_of(channel, seats)
    }
}
