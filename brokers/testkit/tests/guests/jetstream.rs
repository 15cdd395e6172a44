//! A stream that acknowledges only what is synced, with group commit: publishes
//! that arrive while a sync runs share the next one.

use broker_contract::{
    Actions, Boot, BootError, Broker, Client, ClientInput, ClientStart, Configured, ConnId,
    Contender, Durability, Effects, Envelope, Feature, FileId, Frame, Input, LinkId, NoPeer,
    NodeId, Op, Outcome, Profile, Proof, SettingError, SettingSpec, Settings, Support, SyncToken,
    Ticket, Time, Unsupported,
};

use super::profile::profile;

pub const PROOF: Proof = Proof { copies: 1, durable: Durability::Synced };

#[derive(Clone, Debug)]
pub struct Publish {
    pub ticket: u64,
    pub message: Envelope,
}

#[derive(Clone, Debug)]
pub struct Ack {
    pub ticket: u64,
}

impl Frame for Publish {
    fn wire_len(&self) -> usize {
        24 + self.message.channel().len() + self.message.payload().len()
    }

    fn payloads(&self, visit: &mut dyn FnMut(&[u8])) {
        visit(self.message.payload());
    }
}

impl Frame for Ack {
    fn wire_len(&self) -> usize {
        40
    }

    fn payloads(&self, _: &mut dyn FnMut(&[u8])) {}
}

/// An acknowledgement that waits for a sync. Connection numbers are used again,
/// so a connection that closes takes its acknowledgements with it.
#[derive(Debug)]
struct Waiting {
    conn: Option<ConnId>,
    ticket: u64,
}

#[derive(Debug)]
pub struct Stream {
    file: FileId,
    stored: u64,
    syncs: u64,
    /// Covered by the sync that runs now.
    covered: Vec<Waiting>,
    /// Appended since it began.
    next: Vec<Waiting>,
    is_syncing: bool,
}

impl Stream {
    pub fn stored(&self) -> u64 {
        self.stored
    }

    pub fn syncs(&self) -> u64 {
        self.syncs
    }

    fn begin_sync(&mut self, out: &mut Effects<Self>) {
        std::mem::swap(&mut self.covered, &mut self.next);
        self.is_syncing = true;
        self.syncs += 1;
        out.sync(self.file, SyncToken(self.syncs));
    }
}

impl Broker for Stream {
    type Config = ();
    type Up = Publish;
    type Down = Ack;
    type Peer = NoPeer;

    fn boot((): &(), _: Boot, _: Time, out: &mut Effects<Self>) -> Result<Self, BootError> {
        let disk = out.disk();
        let file = disk.open("stream")?;
        let (mut at, mut stored) = (0, 0);
        let mut head = [0; 4];
        while disk.read_at(file, at, &mut head)? == 4 {
            let end = at + 4 + u64::from(u32::from_le_bytes(head));
            if end > disk.len(file)? {
                break;
            }
            (at, stored) = (end, stored + 1);
        }
        // What is behind the last whole record was torn.
        disk.truncate(file, at)?;
        let (covered, next) = (Vec::new(), Vec::new());
        Ok(Stream { file, stored, syncs: 0, covered, next, is_syncing: false })
    }

    fn handle(&mut self, _: Time, input: Input<Self>, out: &mut Effects<Self>) {
        match input {
            Input::Frame { conn, frame } => {
                let payload = frame.message.payload();
                let len = (payload.len() as u32).to_le_bytes();
                if out.disk().append(self.file, &[&len, payload]).is_err() {
                    return;
                }
                self.stored += 1;
                self.next.push(Waiting { conn: Some(conn), ticket: frame.ticket });
                if !self.is_syncing {
                    self.begin_sync(out);
                }
            }
            Input::Synced { result, .. } => {
                self.is_syncing = false;
                for waiting in self.covered.drain(..) {
                    if let (Some(conn), Ok(())) = (waiting.conn, &result) {
                        out.send(conn, Ack { ticket: waiting.ticket });
                    }
                }
                if !self.next.is_empty() {
                    self.begin_sync(out);
                }
            }
            Input::Closed { conn } => {
                for waiting in self.covered.iter_mut().chain(&mut self.next) {
                    waiting.conn = waiting.conn.filter(|other| *other != conn);
                }
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        None
    }

    fn memory_bytes(&self) -> u64 {
        ((self.covered.capacity() + self.next.capacity()) * size_of::<Waiting>()) as u64
    }
}

#[derive(Debug)]
pub struct StreamClient {
    is_connected: bool,
}

impl Client for StreamClient {
    type Broker = Stream;
    type Config = ();

    fn new((): &(), _: ClientStart) -> Self {
        StreamClient { is_connected: false }
    }

    fn connect(&mut self, _: Time, out: &mut Actions<Self>) {
        out.connect(LinkId(0), NodeId(0));
    }

    fn submit(
        &mut self,
        _: Time,
        ticket: Ticket,
        op: &Op<'_>,
        out: &mut Actions<Self>,
    ) -> Result<Support, Unsupported> {
        let Op::Publish(publish) = op else {
            return Err(Unsupported { feature: Feature::Replay, reason: "a prototype" });
        };
        assert!(self.is_connected, "the prototype's tests connect first");
        let message = Envelope::compose(publish.channel.as_bytes(), b"", b"", publish.payload);
        out.send(LinkId(0), Publish { ticket: ticket.0, message });
        Ok(Support::Native)
    }

    fn handle(&mut self, _: Time, event: ClientInput<Stream>, out: &mut Actions<Self>) {
        match event {
            ClientInput::Connected { .. } => self.is_connected = true,
            ClientInput::Closed { .. } => self.is_connected = false,
            ClientInput::Frame { frame, .. } => {
                out.outcome(Ticket(frame.ticket), Outcome::Acked(PROOF));
            }
            _ => {}
        }
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

pub struct JetStream;

impl Contender for JetStream {
    type Client = StreamClient;
    const NAME: &'static str = "jetstream-prototype";

    fn profile() -> Profile {
        profile(Self::NAME, Durability::Synced)
    }

    fn settings() -> &'static [SettingSpec] {
        &[]
    }

    fn configure(_: &Settings) -> Result<Configured<Self>, SettingError> {
        Ok(Configured { node: (), client: (), proof: PROOF })
    }

    crate::prototype!();
}
