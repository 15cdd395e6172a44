//! The other half of a broken contender: its honest client, and its name.

use std::marker::PhantomData;

use broker_contract::{
    Action, Actions, Client, ClientInput, ClientStart, Configured, Contender, Lowering, Op, Preset,
    Profile, SettingError, SettingSpec, Settings, Support, Ticket, Time, Unsupported,
};
use broker_nats::Nats;
use broker_nats::frame::{Down, Message, Up};

use crate::broker::{Broken, Deed, Flaw, Tamper};

impl Tamper for Nats {
    fn subscribed(frame: &Up) -> Option<u64> {
        match frame {
            Up::Subscribe(subscribe) => Some(subscribe.sid),
            _ => None,
        }
    }

    fn unsubscribe(sid: u64) -> Up {
        Up::Unsubscribe { sid, max: None }
    }

    fn rewritten(frame: &Down, to: Option<u64>, edit: impl FnOnce(&mut [u8])) -> Down {
        let Down::Message { sid, plain, message, .. } = frame else { return frame.clone() };
        let mut payload = message.payload().to_vec();
        edit(&mut payload);
        let message = Message::new(message.subject(), message.reply(), message.headers(), &payload);
        Down::message(to.unwrap_or(*sid), *plain, message)
    }

    fn through(frame: &Down) -> Option<u64> {
        match frame {
            Down::Message { sid, .. } => Some(*sid),
            _ => None,
        }
    }
}

/// A client as it is, speaking to a broken node.
#[derive(Debug)]
pub struct Through<K: Client> {
    honest: K,
    actions: Actions<K>,
}

impl<K: Client<Broker: Tamper>> Through<K> {
    fn pass_on(&mut self, out: &mut Actions<Self>) {
        for action in self.actions.drain() {
            match action {
                Action::Connect { link, to } => out.connect(link, to),
                Action::Send { link, frame } => out.send(link, frame),
                Action::Close { link } => out.close(link),
                Action::Outcome { ticket, outcome } => out.outcome(ticket, outcome),
                Action::Delivery(delivery) => out.deliver(delivery),
                Action::Note(note) => out.note(note),
            }
        }
    }
}

impl<K: Client<Broker: Tamper>> Client for Through<K> {
    type Broker = Broken<K::Broker>;
    type Config = K::Config;

    fn new(config: &Self::Config, start: ClientStart) -> Self {
        Through { honest: K::new(config, start), actions: Actions::new() }
    }

    fn connect(&mut self, now: Time, out: &mut Actions<Self>) {
        self.honest.connect(now, &mut self.actions);
        self.pass_on(out);
    }

    fn submit(
        &mut self,
        now: Time,
        ticket: Ticket,
        op: &Op<'_>,
        out: &mut Actions<Self>,
    ) -> Result<Support, Unsupported> {
        let result = self.honest.submit(now, ticket, op, &mut self.actions);
        self.pass_on(out);
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
        self.pass_on(out);
    }

    fn deadline(&self) -> Option<Time> {
        self.honest.deadline()
    }
}

/// The contender `C` with a broken node. It keeps its name, and so its costs.
pub struct BrokenContender<C>(PhantomData<fn() -> C>);

impl<C: Contender> BrokenContender<C>
where
    <C::Client as Client>::Broker: Tamper,
{
    /// The default configuration, with a flaw.
    pub fn with(flaw: Flaw) -> Configured<Self> {
        let settings = Settings::resolve(C::settings(), []).expect("the defaults read");
        let honest = C::configure(&settings).expect("the defaults agree");
        Configured { node: (honest.node, flaw), client: honest.client, proof: honest.proof }
    }
}

impl<C: Contender> Contender for BrokenContender<C>
where
    <C::Client as Client>::Broker: Tamper,
{
    type Client = Through<C::Client>;
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
        let flaw = Flaw { deed: Deed::None, every: 1, most: 0 };
        Ok(Configured { node: (honest.node, flaw), client: honest.client, proof: honest.proof })
    }

    fn lower(filter: &str, grouped: bool) -> Lowering {
        C::lower(filter, grouped)
    }

    fn seat_of(channel: &str, seats: u32) -> Option<u32> {
        C::seat_of(channel, seats)
    }
}
