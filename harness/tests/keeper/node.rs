//! A small honest broker that stores: one log, durable consumers, and redelivery
//! until an acknowledgement. With a flaw it does one thing wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use broker_contract::{
    Boot, BootError, Broker, Cause, ConnId, Effects, Envelope, FileId, Frame, Input, NoPeer,
    SyncToken, Time,
};
use lab_workloads::plan::filter_matches;

/// What a node does wrong.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing.
    None,
    /// At its second boot it forgets the last messages that it stored.
    ForgetsOnBoot,
    /// It acknowledges at once, and writes what has gathered a moment later.
    AcksEarly,
    /// What is not acknowledged is not delivered again.
    NeverRedelivers,
}

#[derive(Copy, Clone, Debug)]
pub struct Config {
    pub flaw: Flaw,
    /// Whether an acknowledgement waits for a sync.
    pub syncs: bool,
}

#[derive(Clone, Debug)]
pub struct Subscribe {
    pub ticket: u64,
    pub filter: String,
    /// The durable consumer, shared by all who name it; a passing one without.
    pub durable: Option<String>,
    pub from_start: bool,
    pub acknowledges: bool,
    pub wait: Duration,
    pub backoff: Vec<Duration>,
    pub max_deliver: u32,
}

#[derive(Clone, Debug)]
pub enum Up {
    Declare { ticket: u64 },
    Publish { ticket: u64, message: Envelope },
    Subscribe(Box<Subscribe>),
    Ack { ticket: u64, sequence: u64 },
    Nak { ticket: u64, sequence: u64, delay: Duration },
}

#[derive(Clone, Debug)]
pub enum Down {
    Done { ticket: u64 },
    Refused { ticket: u64 },
    Message { ticket: u64, sequence: u64, again: bool, message: Envelope },
}

fn visit(message: &Envelope, visit: &mut dyn FnMut(&[u8])) {
    visit(message.payload());
}

impl Frame for Up {
    fn wire_len(&self) -> usize {
        match self {
            Up::Publish { message, .. } => 24 + message.channel().len() + message.payload().len(),
            Up::Subscribe(subscribe) => 64 + subscribe.filter.len(),
            Up::Declare { .. } | Up::Ack { .. } | Up::Nak { .. } => 24,
        }
    }

    fn payloads(&self, each: &mut dyn FnMut(&[u8])) {
        if let Up::Publish { message, .. } = self {
            visit(message, each);
        }
    }
}

impl Frame for Down {
    fn wire_len(&self) -> usize {
        match self {
            Down::Message { message, .. } => 32 + message.channel().len() + message.payload().len(),
            Down::Done { .. } | Down::Refused { .. } => 16,
        }
    }

    fn payloads(&self, each: &mut dyn FnMut(&[u8])) {
        if let Down::Message { message, .. } = self {
            visit(message, each);
        }
    }
}

/// A message that was delivered and not acknowledged.
#[derive(Clone, Debug)]
struct Pending {
    due: Time,
    deliveries: u32,
    to: Option<(ConnId, u64)>,
}

#[derive(Debug)]
struct Consumer {
    terms: Subscribe,
    members: Vec<(ConnId, u64)>,
    turn: usize,
    /// The next message that was never delivered.
    next: u64,
    pending: BTreeMap<u64, Pending>,
    settled: BTreeSet<u64>,
}

/// Messages that a consumer may have in hand.
const WINDOW: usize = 500;
/// How long gathered writes of the flawed node wait.
const LINGER: Duration = Duration::from_millis(100);
/// The sync of a consumer's beginning, which nobody waits for.
const OF_A_CONSUMER: SyncToken = SyncToken(0);
/// Messages that the forgetful node forgets.
const FORGOTTEN: usize = 5;

#[derive(Debug)]
pub struct Keeper {
    config: Config,
    log: FileId,
    settled: FileId,
    messages: Vec<Envelope>,
    consumers: BTreeMap<String, Consumer>,
    /// Acknowledgements that wait for a sync: those it covers, and later ones.
    covered: Vec<(ConnId, u64)>,
    later: Vec<(ConnId, u64)>,
    syncing: bool,
    tokens: u64,
    gathered: Vec<Vec<u8>>,
    write_at: Option<Time>,
}

fn record(head: &[u8], body: &[u8]) -> Vec<u8> {
    let mut bytes = ((head.len() as u32) << 16 | body.len() as u32).to_le_bytes().to_vec();
    bytes.extend_from_slice(head);
    bytes.extend_from_slice(body);
    let crc = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

/// Head and body of a record.
type Record = (Vec<u8>, Vec<u8>);

/// Reads the whole records of a file and cuts off what is torn behind them.
fn records(file: FileId, out: &mut Effects<Keeper>) -> Result<Vec<Record>, BootError> {
    let len = out.disk().len(file)? as usize;
    let mut bytes = vec![0; len];
    out.disk().read_at(file, 0, &mut bytes)?;
    let (mut at, mut all) = (0, Vec::new());
    while let Some(lengths) = bytes.get(at..at + 4) {
        let lengths = u32::from_le_bytes([lengths[0], lengths[1], lengths[2], lengths[3]]);
        let (head, body) = ((lengths >> 16) as usize, (lengths & 0xffff) as usize);
        let end = at + 4 + head + body;
        let Some(crc) = bytes.get(end..end + 4) else { break };
        if crc != crc32c::crc32c(&bytes[at..end]).to_le_bytes() {
            break;
        }
        all.push((bytes[at + 4..at + 4 + head].to_vec(), bytes[at + 4 + head..end].to_vec()));
        at = end + 4;
    }
    out.disk().truncate(file, at as u64)?;
    Ok(all)
}

impl Keeper {
    fn publish(
        &mut self,
        now: Time,
        conn: ConnId,
        ticket: u64,
        message: Envelope,
        out: &mut Effects<Self>,
    ) {
        let bytes = record(message.channel(), message.payload());
        if self.config.flaw == Flaw::AcksEarly {
            self.gathered.push(bytes);
            self.write_at.get_or_insert(now + LINGER);
        } else if out.disk().append(self.log, &[&bytes]).is_err() {
            out.send(conn, Down::Refused { ticket });
            return;
        }
        self.messages.push(message);
        if self.config.syncs {
            self.later.push((conn, ticket));
            self.sync(out);
        } else {
            out.send(conn, Down::Done { ticket });
        }
    }

    fn sync(&mut self, out: &mut Effects<Self>) {
        if !self.syncing && !self.later.is_empty() {
            self.covered = std::mem::take(&mut self.later);
            self.syncing = true;
            self.tokens += 1;
            out.sync(self.log, SyncToken(self.tokens));
        }
    }

    fn subscribe(&mut self, conn: ConnId, terms: Subscribe, out: &mut Effects<Self>) {
        let name =
            terms.durable.clone().unwrap_or_else(|| format!("passing {} {}", conn.0, terms.ticket));
        let ticket = terms.ticket;
        let end = self.messages.len() as u64;
        let consumer = self.consumers.entry(name).or_insert_with(|| Consumer {
            next: if terms.from_start { 0 } else { end },
            terms,
            members: Vec::new(),
            turn: 0,
            pending: BTreeMap::new(),
            settled: BTreeSet::new(),
        });
        if consumer.members.is_empty() && consumer.terms.durable.is_some() {
            // So that the next boot knows it and where it begins.
            let kept = record(name_of(consumer).as_bytes(), &consumer.next.to_le_bytes());
            // A full disk forgets the consumer at the next boot, which then begins anew.
            let _ = out.disk().append(self.settled, &[&kept]);
            out.sync(self.settled, OF_A_CONSUMER);
        }
        consumer.members.push((conn, ticket));
        out.send(conn, Down::Done { ticket });
    }

    fn consumer_of(&mut self, conn: ConnId, ticket: u64) -> Option<&mut Consumer> {
        self.consumers.values_mut().find(|it| it.members.contains(&(conn, ticket)))
    }

    fn settle(&mut self, conn: ConnId, ticket: u64, sequence: u64, out: &mut Effects<Self>) {
        let file = self.settled;
        let Some(consumer) = self.consumer_of(conn, ticket) else { return };
        if consumer.pending.remove(&sequence).is_some() && consumer.terms.durable.is_some() {
            consumer.settled.insert(sequence);
            let kept =
                record(format!("{}!", name_of(consumer)).as_bytes(), &sequence.to_le_bytes());
            // Without room the acknowledgement is forgotten, and the message comes again.
            let _ = out.disk().append(file, &[&kept]);
        }
    }

    fn closed(&mut self, now: Time, conn: ConnId) {
        self.covered.retain(|(other, _)| *other != conn);
        self.later.retain(|(other, _)| *other != conn);
        for consumer in self.consumers.values_mut() {
            consumer.members.retain(|(other, _)| *other != conn);
            for pending in consumer.pending.values_mut() {
                if pending.to.is_some_and(|(other, _)| other == conn) {
                    pending.to = None;
                    pending.due = now;
                }
            }
        }
        self.consumers.retain(|_, it| it.terms.durable.is_some() || !it.members.is_empty());
    }

    /// Delivers what is due: first what failed, then what is new.
    fn deliver(&mut self, now: Time, out: &mut Effects<Self>) {
        for consumer in self.consumers.values_mut() {
            if consumer.members.is_empty() {
                continue;
            }
            let redelivers = self.config.flaw != Flaw::NeverRedelivers;
            let due: Vec<u64> = consumer
                .pending
                .iter()
                .filter(|(_, pending)| redelivers && pending.due <= now)
                .map(|(sequence, _)| *sequence)
                .collect();
            for sequence in due {
                let deliveries = consumer.pending[&sequence].deliveries;
                if deliveries >= consumer.terms.max_deliver {
                    consumer.pending.remove(&sequence);
                    let payload = self.messages[sequence as usize].payload();
                    out.dropped(Cause::MaxDeliver, Some(consumer.members[0].0), payload);
                } else {
                    consumer.send(now, sequence, deliveries + 1, &self.messages, out);
                }
            }
            while consumer.pending.len() < WINDOW && consumer.next < self.messages.len() as u64 {
                let sequence = consumer.next;
                consumer.next += 1;
                let channel = self.messages[sequence as usize].channel();
                let is_wanted = std::str::from_utf8(channel)
                    .is_ok_and(|channel| filter_matches(&consumer.terms.filter, channel));
                if is_wanted && !consumer.settled.contains(&sequence) {
                    consumer.send(now, sequence, 1, &self.messages, out);
                }
            }
        }
    }
}

fn name_of(consumer: &Consumer) -> String {
    consumer.terms.durable.clone().unwrap_or_default()
}

impl Consumer {
    fn send(
        &mut self,
        now: Time,
        sequence: u64,
        deliveries: u32,
        messages: &[Envelope],
        out: &mut Effects<Keeper>,
    ) {
        self.turn += 1;
        let (conn, ticket) = self.members[self.turn % self.members.len()];
        let message = messages[sequence as usize].clone();
        out.send(conn, Down::Message { ticket, sequence, again: deliveries > 1, message });
        if self.terms.acknowledges {
            let waits = &self.terms.backoff;
            let wait = waits.get(deliveries as usize - 1).or(waits.last());
            let due = now + *wait.unwrap_or(&self.terms.wait);
            self.pending.insert(sequence, Pending { due, deliveries, to: Some((conn, ticket)) });
        }
    }
}

impl Broker for Keeper {
    type Config = Config;
    type Up = Up;
    type Down = Down;
    type Peer = NoPeer;

    fn boot(config: &Config, _: Boot, _: Time, out: &mut Effects<Self>) -> Result<Self, BootError> {
        let log = out.disk().open("log")?;
        let settled = out.disk().open("settled")?;
        let mut messages: Vec<Envelope> = records(log, out)?
            .into_iter()
            .map(|(channel, payload)| Envelope::compose(&channel, b"", b"", &payload))
            .collect();
        if config.flaw == Flaw::ForgetsOnBoot {
            messages.truncate(messages.len().saturating_sub(FORGOTTEN));
        }
        let mut consumers: BTreeMap<String, Consumer> = BTreeMap::new();
        for (head, body) in records(settled, out)? {
            let name = String::from_utf8_lossy(&head).into_owned();
            let number = u64::from_le_bytes(body.try_into().unwrap_or_default());
            if let Some(name) = name.strip_suffix('!') {
                if let Some(consumer) = consumers.get_mut(name) {
                    consumer.settled.insert(number);
                }
            } else {
                let terms = Subscribe {
                    ticket: 0,
                    filter: String::new(),
                    durable: Some(name.clone()),
                    from_start: true,
                    acknowledges: true,
                    wait: Duration::ZERO,
                    backoff: Vec::new(),
                    max_deliver: u32::MAX,
                };
                consumers.entry(name).or_insert_with(|| Consumer {
                    terms,
                    members: Vec::new(),
                    turn: 0,
                    next: number,
                    pending: BTreeMap::new(),
                    settled: BTreeSet::new(),
                });
            }
        }
        // A power loss may leave more of one file than of the other. Positions behind
        // the log's end belong to messages that are gone, and will be used again.
        let end = messages.len() as u64;
        for consumer in consumers.values_mut() {
            consumer.settled.split_off(&end);
            consumer.next = consumer.next.min(end);
        }
        Ok(Keeper {
            config: *config,
            log,
            settled,
            messages,
            consumers,
            covered: Vec::new(),
            later: Vec::new(),
            syncing: false,
            tokens: 0,
            gathered: Vec::new(),
            write_at: None,
        })
    }

    fn handle(&mut self, now: Time, input: Input<Self>, out: &mut Effects<Self>) {
        match input {
            Input::Frame { conn, frame } => match frame {
                Up::Declare { ticket } => out.send(conn, Down::Done { ticket }),
                Up::Publish { ticket, message } => self.publish(now, conn, ticket, message, out),
                Up::Subscribe(terms) => {
                    let name = terms.durable.clone();
                    // What a boot remembered of a durable is its position only.
                    if let Some(known) = name.and_then(|name| self.consumers.get_mut(&name)) {
                        known.terms = Subscribe::clone(&terms);
                    }
                    self.subscribe(conn, *terms, out);
                }
                Up::Ack { ticket, sequence } => self.settle(conn, ticket, sequence, out),
                Up::Nak { ticket, sequence, delay } => {
                    if let Some(consumer) = self.consumer_of(conn, ticket)
                        && let Some(pending) = consumer.pending.get_mut(&sequence)
                    {
                        pending.due = now + delay;
                    }
                }
            },
            Input::Synced { token: OF_A_CONSUMER, .. } => {}
            Input::Synced { result, .. } => {
                self.syncing = false;
                for (conn, ticket) in std::mem::take(&mut self.covered) {
                    let done = result.is_ok();
                    out.send(
                        conn,
                        if done { Down::Done { ticket } } else { Down::Refused { ticket } },
                    );
                }
                self.sync(out);
            }
            Input::Closed { conn } => self.closed(now, conn),
            Input::Tick if self.write_at.is_some_and(|at| at <= now) => {
                self.write_at = None;
                for bytes in std::mem::take(&mut self.gathered) {
                    // The flaw is that nobody hears of a failure any more.
                    let _ = out.disk().append(self.log, &[&bytes]);
                }
            }
            _ => {}
        }
        self.deliver(now, out);
    }

    fn deadline(&self) -> Option<Time> {
        let redelivers = self.config.flaw != Flaw::NeverRedelivers;
        let pending = self
            .consumers
            .values()
            .filter(|consumer| redelivers && !consumer.members.is_empty())
            .flat_map(|consumer| consumer.pending.values().map(|pending| pending.due));
        pending.chain(self.write_at).min()
    }

    fn memory_bytes(&self) -> u64 {
        (self.messages.capacity() * size_of::<Envelope>()) as u64
    }
}
