//! The well-behaved clients of a soak: they publish, they listen, they come and go.

use std::net::SocketAddr;
use std::time::Instant;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::Seen;
use super::peer::{Peer, shown};

/// What is published to.
pub const NAME: &str = "good.news";
/// Listeners of each kind at once.
const OF_A_KIND: usize = 2;
/// Bytes of commands that one round publishes at most: little enough for one write,
/// and for the smallest limit of a listener.
const ROUND: usize = 48 << 10;
/// What payloads are made of.
const LETTERS: &[u8] = b"\r\n$*:0PING\0\xff";
/// What a subscriber of the bus may leave unread. The original's 32 MiB would make
/// each deaf stranger a matter of seconds.
const LIMIT: &[u8] = b"CONFIG SET client-output-buffer-limit \"pubsub 1mb 0 0\"\r\n";

/// How a client listens.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Ear {
    /// To a name.
    Exact,
    /// To a pattern.
    Pattern,
    /// To a name, with RESP3.
    Push,
    /// As one of a group that shares the messages.
    Group,
}

struct Listener {
    peer: Peer,
    ear: Ear,
}

/// What was published in one round.
pub struct Batch {
    payloads: Vec<Vec<u8>>,
    began: Instant,
}

/// All well-behaved clients of one server.
pub struct Company {
    protocol: &'static str,
    address: SocketAddr,
    publisher: Peer,
    listeners: Vec<Listener>,
    published: u64,
    /// What they have seen.
    pub seen: Seen,
}

impl Company {
    /// Everybody comes.
    ///
    /// # Errors
    /// Who was not served, and how.
    pub fn new(protocol: &'static str, address: SocketAddr) -> Result<Company, String> {
        let publisher = greeted(protocol, address)?;
        let mut company = Company {
            protocol,
            address,
            publisher,
            listeners: Vec::new(),
            published: 0,
            seen: Seen::default(),
        };
        if company.is_bus() {
            company.publisher.tell(LIMIT)?;
            company.publisher.expect(b"+OK\r\n")?;
        }
        let last = if company.is_bus() { Ear::Push } else { Ear::Group };
        for ear in [Ear::Exact, Ear::Pattern, last] {
            for _ in 0..OF_A_KIND {
                let listener = company.listener(ear)?;
                company.listeners.push(listener);
            }
        }
        Ok(company)
    }

    fn is_bus(&self) -> bool {
        self.protocol == "redis"
    }

    /// Connections that are open.
    pub fn connections(&self) -> u64 {
        self.listeners.len() as u64 + 1
    }

    /// Somebody whose subscription is in force.
    fn listener(&self, ear: Ear) -> Result<Listener, String> {
        let mut peer = greeted(self.protocol, self.address)?;
        if self.is_bus() {
            let mark = if ear == Ear::Push { '>' } else { '*' };
            let (verb, name) = match ear {
                Ear::Pattern => ("psubscribe", "good.*"),
                _ => ("subscribe", NAME),
            };
            if ear == Ear::Push {
                peer.tell(b"HELLO 3\r\nPING\r\n")?;
                while peer.line()? != "+PONG" {}
            }
            peer.tell(format!("{verb} {name}\r\n").as_bytes())?;
            let (verb_len, len) = (verb.len(), name.len());
            let said = format!("{mark}3\r\n${verb_len}\r\n{verb}\r\n${len}\r\n{name}\r\n:1\r\n");
            peer.expect(said.as_bytes())?;
        } else {
            peer.tell(match ear {
                Ear::Pattern => b"SUB good.* 1\r\nPING\r\n",
                Ear::Group => b"SUB good.news workers 1\r\nPING\r\n",
                _ => b"SUB good.news 1\r\nPING\r\n",
            })?;
            until_pong(&mut peer)?;
        }
        Ok(Listener { peer, ear })
    }

    /// Now and then somebody leaves, and another one comes.
    pub fn churn(&mut self, rng: &mut ChaCha8Rng) -> Result<(), String> {
        if !rng.random_ratio(1, 3) {
            return Ok(());
        }
        let at = rng.random_range(0..self.listeners.len());
        let ear = self.listeners[at].ear;
        let gone = self.listeners.swap_remove(at);
        let is_polite = rng.random_bool(0.5);
        self.part(gone, is_polite)?;
        let listener = self.listener(ear)?;
        self.listeners.push(listener);
        self.seen.churned += 1;
        Ok(())
    }

    /// A listener leaves: with a word, or like a client whose process ends. Only who
    /// says that it no longer listens knows that it counts no more.
    fn part(&self, listener: Listener, is_polite: bool) -> Result<(), String> {
        let Listener { mut peer, ear } = listener;
        if !self.is_bus() {
            peer.tell(b"UNSUB 1\r\nPING\r\n")?;
            until_pong(&mut peer)?;
        } else if ear == Ear::Push {
            peer.tell(b"UNSUBSCRIBE\r\n")?;
            peer.expect(b">3\r\n$11\r\nunsubscribe\r\n$9\r\ngood.news\r\n:0\r\n")?;
        } else {
            peer.tell(b"RESET\r\n")?;
            peer.expect(b"+RESET\r\n")?;
        }
        if is_polite {
            if self.is_bus() {
                peer.tell(b"QUIT\r\n")?;
                peer.expect(b"+OK\r\n")?;
            } else {
                peer.shut();
            }
            let rest = peer.rest("a well-behaved client that left")?;
            if !rest.is_empty() {
                return Err(format!("who had left was told {}", shown(&rest)));
            }
        }
        Ok(())
    }

    /// Publishes some messages, and reads no answer yet.
    pub fn publish(&mut self, rng: &mut ChaCha8Rng) -> Result<Batch, String> {
        let largest = if rng.random_ratio(1, 8) { 16 << 10 } else { 200 };
        let (mut payloads, mut bytes) = (Vec::new(), Vec::new());
        for _ in 0..rng.random_range(1..=60) {
            let mut payload = format!("{:010}", self.published).into_bytes();
            // Anything may be in it, so also what looks like a frame.
            let len = rng.random_range(0..=largest);
            payload.extend((0..len).map(|_| LETTERS[rng.random_range(0..LETTERS.len())]));
            let len = payload.len();
            if bytes.len() + len + 64 > ROUND {
                break;
            }
            if self.is_bus() {
                let head = format!("*3\r\n$7\r\nPUBLISH\r\n$9\r\n{NAME}\r\n${len}\r\n");
                bytes.extend_from_slice(head.as_bytes());
            } else {
                bytes.extend_from_slice(format!("PUB {NAME} {len}\r\n").as_bytes());
            }
            bytes.extend_from_slice(&payload);
            bytes.extend_from_slice(b"\r\n");
            payloads.push(payload);
            self.published += 1;
        }
        bytes.extend_from_slice(b"PING\r\n");
        let began = Instant::now();
        self.publisher.tell(&bytes)?;
        Ok(Batch { payloads, began })
    }

    /// Everybody hears all of it, once and in order; a group shares it. `others` may
    /// listen, too, and count as receivers.
    pub fn hear(&mut self, batch: &Batch, others: u64) -> Result<(), String> {
        let count = batch.payloads.len() as u64;
        if self.is_bus() {
            let least = self.listeners.len() as u64;
            for _ in &batch.payloads {
                let line = self.publisher.line()?;
                let heard = line.strip_prefix(':').and_then(|digits| digits.parse::<u64>().ok());
                if !heard.is_some_and(|heard| (least..=least + others).contains(&heard)) {
                    return Err(format!("of {least} listeners a publisher was told `{line}`"));
                }
            }
            self.publisher.expect(b"+PONG\r\n")?;
            for Listener { peer, ear } in &mut self.listeners {
                for payload in &batch.payloads {
                    peer.expect(&bus_frame(*ear, payload))?;
                }
                self.seen.deliveries += count;
            }
        } else {
            until_pong(&mut self.publisher)?;
            let mut shared = Vec::new();
            for Listener { peer, ear } in &mut self.listeners {
                // What was published before this is in front of the answer.
                peer.tell(b"PING\r\n")?;
                let mut heard = until_pong(peer)?;
                self.seen.deliveries += heard.len() as u64;
                if *ear == Ear::Group {
                    shared.append(&mut heard);
                } else {
                    all_heard(&batch.payloads, &heard)?;
                }
            }
            // Payloads begin with their numbers.
            shared.sort_unstable();
            all_heard(&batch.payloads, &shared).map_err(|what| format!("in a group: {what}"))?;
        }
        self.seen.messages += count;
        self.seen.longest = self.seen.longest.max(batch.began.elapsed());
        Ok(())
    }

    /// Everybody leaves.
    pub fn leave(&mut self) -> Result<(), String> {
        for listener in std::mem::take(&mut self.listeners) {
            self.part(listener, true)?;
        }
        self.publisher.shut();
        Ok(())
    }
}

/// A client that the server knows.
fn greeted(protocol: &str, address: SocketAddr) -> Result<Peer, String> {
    let mut peer = Peer::connect(address)?;
    if protocol != "redis" {
        let info = peer.line()?;
        if !info.starts_with("INFO {") {
            return Err(format!("a client was greeted with {}", shown(info.as_bytes())));
        }
        peer.tell(b"CONNECT {\"verbose\":false}\r\nPING\r\n")?;
        until_pong(&mut peer)?;
    }
    Ok(peer)
}

/// NATS: the payloads that come before the answer to a PING.
fn until_pong(peer: &mut Peer) -> Result<Vec<Vec<u8>>, String> {
    let mut payloads = Vec::new();
    loop {
        let line = peer.line()?;
        match line.as_str() {
            "PONG" => return Ok(payloads),
            // The server wants to know, too.
            "PING" => peer.tell(b"PONG\r\n")?,
            _ => {
                let len = line
                    .strip_prefix("MSG good.news 1 ")
                    .and_then(|len| len.parse::<usize>().ok())
                    .ok_or_else(|| format!("a client was told {}", shown(line.as_bytes())))?;
                payloads.push(peer.bytes(len)?);
                peer.expect(b"\r\n")?;
            }
        }
    }
}

fn all_heard(expected: &[Vec<u8>], heard: &[Vec<u8>]) -> Result<(), String> {
    if expected == heard {
        return Ok(());
    }
    let at = expected.iter().zip(heard).take_while(|(one, other)| one == other).count();
    let show = |all: &[Vec<u8>]| all.get(at).map_or("nothing".to_owned(), |bytes| shown(bytes));
    Err(format!(
        "of {} messages {} were heard, and number {} is {} instead of {}",
        expected.len(),
        heard.len(),
        at + 1,
        show(heard),
        show(expected)
    ))
}

/// What a listener of the bus is sent for a message.
fn bus_frame(ear: Ear, payload: &[u8]) -> Vec<u8> {
    let (len, payload_len) = (NAME.len(), payload.len());
    let head = match ear {
        Ear::Pattern => format!("*4\r\n$8\r\npmessage\r\n$6\r\ngood.*\r\n${len}\r\n{NAME}\r\n"),
        Ear::Push => format!(">3\r\n$7\r\nmessage\r\n${len}\r\n{NAME}\r\n"),
        _ => format!("*3\r\n$7\r\nmessage\r\n${len}\r\n{NAME}\r\n"),
    };
    let mut frame = format!("{head}${payload_len}\r\n").into_bytes();
    frame.extend_from_slice(payload);
    frame.extend_from_slice(b"\r\n");
    frame
}
