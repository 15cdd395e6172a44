//! Strangers: peers that break the rules, or keep them and behave badly.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Instant;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::PATIENCE;
use super::company::NAME;
use super::peer::{Peer, shown};

/// Strangers that are kept at once while they have not been closed.
const KEPT: usize = 300;
/// Bytes of one message to a deaf stranger, and how many it is sent at most: more
/// than any limit of a slow consumer and what the system's buffers take.
const LOUD: usize = 512 << 10;
const LOUD_TIMES: usize = 220;

macro_rules! deeds {
    ($($deed:ident: $name:literal, $help:literal;)*) => {
        /// What a stranger does.
        #[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Deed {
            $(#[doc = $help] $deed,)*
        }

        impl Deed {
            /// All there are.
            pub const ALL: &[Deed] = &[$(Deed::$deed,)*];

            /// The name in reports.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Deed::$deed => $name,)*
                }
            }
        }
    };
}

deeds! {
    Nonsense: "nonsense", "Random bytes, then the end of its half.";
    Malformed: "malformed", "What no command is: it is told so and closed.";
    Oversized: "oversized", "More than anybody may send: it is told so and closed.";
    Mutated: "mutated", "Commands with some bytes changed, lost, or said twice.";
    HalfSent: "half_sent", "Half a command and no more: it is closed in time.";
    Loris: "slow_loris", "A command byte by byte, each round one: it is closed in time.";
    HalfClosed: "half_closed", "It ends its half, and still gets its answers.";
    Vanished: "vanished", "It breaks the connection somewhere in its commands.";
    Silent: "silent", "It says nothing, for some rounds.";
    Hasty: "hasty", "Many connections that end as soon as they are there.";
    Deserter: "deserter", "It listens as others do, reads nothing, and vanishes.";
    Deaf: "deaf", "It sends itself more than it reads: it is closed at the limit.";
}

/// A stranger that is still there.
struct Kept {
    peer: Peer,
    deed: Deed,
    /// What it goes on to say, a byte a round.
    drips: Vec<u8>,
    /// In which round it leaves by itself; others must be closed by the server.
    leaves: Option<u64>,
    since: Instant,
}

/// All strangers at one server.
pub struct Crowd {
    protocol: &'static str,
    address: SocketAddr,
    kept: Vec<Kept>,
    deserters: u64,
    /// What they did, and how often.
    pub deeds: BTreeMap<Deed, u64>,
}

impl Crowd {
    /// Nobody yet.
    pub fn new(protocol: &'static str, address: SocketAddr) -> Crowd {
        Crowd { protocol, address, kept: Vec::new(), deserters: 0, deeds: BTreeMap::new() }
    }

    /// How many may listen to what is the company's, at most.
    pub fn deserters(&self) -> u64 {
        self.deserters
    }

    /// Up to three come and do something.
    ///
    /// # Errors
    /// What the server did not do that it must.
    pub fn come(&mut self, rng: &mut ChaCha8Rng, round: u64) -> Result<(), String> {
        for _ in 0..rng.random_range(0..=3) {
            let mut deed = Deed::ALL[rng.random_range(0..Deed::ALL.len())];
            // It costs as much as all the others together.
            if deed == Deed::Deaf && !rng.random_ratio(1, 4) {
                deed = Deed::Mutated;
            }
            self.act(deed, rng, round).map_err(|what| format!("{}: {what}", deed.name()))?;
            *self.deeds.entry(deed).or_default() += 1;
        }
        Ok(())
    }

    fn act(&mut self, deed: Deed, rng: &mut ChaCha8Rng, round: u64) -> Result<(), String> {
        let mut peer = Peer::connect(self.address)?;
        // Whether it is still listened to when it speaks is not for it to know.
        let mut kept = |peer, drips, leaves| {
            if self.kept.len() < KEPT {
                self.kept.push(Kept { peer, deed, drips, leaves, since: Instant::now() });
            }
        };
        let is_bus = self.protocol == "redis";
        match deed {
            Deed::Nonsense => {
                let len = rng.random_range(1..2_000);
                let bytes: Vec<u8> = (0..len).map(|_| rng.random_range(0..=255)).collect();
                let _ = peer.say(&bytes);
                peer.shut();
                peer.rest("who ended its half")?;
            }
            Deed::Malformed | Deed::Oversized => {
                let said = broken(is_bus, deed, rng);
                let _ = peer.say(&said);
                let rest = peer.rest(&format!("who said {}", shown(&said)))?;
                if !rest.windows(5).any(|five| five == b"-ERR ") {
                    return Err(format!("{} was answered with {}", shown(&said), shown(&rest)));
                }
            }
            Deed::Mutated => {
                let mut said = commands(is_bus, rng).concat();
                for _ in 0..rng.random_range(1..6) {
                    mutate(&mut said, rng);
                }
                let _ = peer.say(&said);
                peer.shut();
                peer.rest(&format!("who said {} and ended its half", said.escape_ascii()))?;
            }
            Deed::HalfSent => {
                let mut said = commands(is_bus, rng).concat();
                let last = publication(is_bus, rng);
                said.extend_from_slice(&last[..rng.random_range(1..last.len())]);
                let _ = peer.say(&said);
                kept(peer, Vec::new(), None);
            }
            Deed::Loris => {
                let mut drips = publication(is_bus, rng);
                // It does not get to the end.
                drips.truncate(drips.len() - 1);
                let _ = peer.say(&drips[..1]);
                drips.remove(0);
                drips.reverse();
                kept(peer, drips, None);
            }
            Deed::HalfClosed => {
                let times = rng.random_range(1..20);
                let (said, expected) = if is_bus {
                    ("PING\r\nECHO last\r\n", "+PONG\r\n$4\r\nlast\r\n")
                } else {
                    peer.line()?;
                    ("PING\r\n", "PONG\r\n")
                };
                peer.tell(said.repeat(times).as_bytes())?;
                peer.shut();
                let rest = peer.rest("who ended its half")?;
                if rest != expected.repeat(times).as_bytes() {
                    return Err(format!("{times} times {said:?} got {}", shown(&rest)));
                }
            }
            Deed::Vanished => {
                let said = commands(is_bus, rng).concat();
                let _ = peer.say(&said[..rng.random_range(0..=said.len())]);
                if rng.random_bool(0.5) {
                    peer.reset();
                }
            }
            Deed::Silent => kept(peer, Vec::new(), Some(round + rng.random_range(1..20))),
            Deed::Hasty => {
                for _ in 0..rng.random_range(1..40) {
                    let other = Peer::connect(self.address)?;
                    if rng.random_bool(0.5) {
                        other.reset();
                    }
                }
            }
            Deed::Deserter => {
                self.deserters += 1;
                let said = if is_bus {
                    format!("SUBSCRIBE {NAME}\r\n")
                } else {
                    format!("SUB {NAME} 1\r\n")
                };
                let _ = peer.say(said.as_bytes());
                kept(peer, Vec::new(), Some(round + rng.random_range(0..3)));
            }
            Deed::Deaf => deaf(is_bus, peer)?,
        }
        Ok(())
    }

    /// A round later: who drips does, who is done leaves, and whom the server had to
    /// close it has closed, or still has time for it.
    ///
    /// # Errors
    /// Whom it did not close.
    pub fn look(&mut self, round: u64) -> Result<(), String> {
        let mut late = None;
        self.kept.retain_mut(|kept| {
            if let Some(byte) = kept.drips.pop() {
                let _ = kept.peer.say(&[byte]);
            }
            if let Some(leaves) = kept.leaves {
                return leaves > round;
            }
            let is_there = !kept.peer.has_ended();
            if is_there && kept.since.elapsed() > PATIENCE {
                late = Some(kept.deed);
            }
            is_there
        });
        match late {
            Some(deed) => Err(format!("{} was not closed within {PATIENCE:?}", deed.name())),
            None => Ok(()),
        }
    }

    /// Everybody leaves; who must be closed waits for that.
    ///
    /// # Errors
    /// Whom the server did not close.
    pub fn leave(&mut self) -> Result<(), String> {
        for kept in std::mem::take(&mut self.kept) {
            if kept.leaves.is_none() {
                kept.peer.rest(kept.deed.name())?;
            } else {
                kept.peer.reset();
            }
        }
        self.deserters = 0;
        Ok(())
    }
}

/// It sends itself loud messages and reads none: it must be closed, with whatever the
/// system had taken by then. No other stranger listens to the name: several that do
/// not read would fill the buffers of all connections together, and then the room
/// closes whoever speaks next, also who did nothing.
fn deaf(is_bus: bool, mut peer: Peer) -> Result<(), String> {
    let (first, head) = if is_bus {
        let head = format!("*3\r\n$7\r\nPUBLISH\r\n$8\r\ndeaf.one\r\n${LOUD}\r\n");
        ("HELLO 3\r\nSUBSCRIBE deaf.one\r\n", head)
    } else {
        ("SUB deaf.one 1\r\n", format!("PUB deaf.one {LOUD}\r\n"))
    };
    let mut loud = head.into_bytes();
    loud.resize(loud.len() + LOUD, b'x');
    loud.extend_from_slice(b"\r\n");
    let _ = peer.say(first.as_bytes());
    for _ in 0..LOUD_TIMES {
        if peer.say(&loud).is_err() {
            break;
        }
    }
    peer.rest("who does not read").map(drop)
}

/// Bytes that are no command, and those that are too much of one.
fn broken(is_bus: bool, deed: Deed, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let choices: &[&[u8]] = match (is_bus, deed) {
        (true, Deed::Malformed) => &[
            b"*a\r\n",
            b"*1\r\n:1\r\n",
            b"*1\r\n$-1\r\n",
            b"*2\r\n$4\r\nPING\r\n+OK\r\n",
            b"ping 'a\r\n",
            b"PING\r\n*1\r\n$x\r\n",
        ],
        (true, _) => &[b"*1\r\n$536870913\r\n", b"*2147483648\r\n", b"", b"*"],
        (false, Deed::Malformed) => &[
            b"NOTHING\r\n",
            b"PUB\r\n",
            b"PUB a -1\r\n",
            b"SUB\r\n",
            b"PUB a 1\r\nxy\r\n",
            b"HPUB a 5 2\r\nNATS/\r\n",
        ],
        (false, _) => &[b"PUB a 99999999\r\n", b"PUB ", b"SUB "],
    };
    let mut said = choices[rng.random_range(0..choices.len())].to_vec();
    // What has no end is a line that is too long.
    if !said.ends_with(b"\n") {
        said.resize(said.len() + 70_000, b'1');
    }
    said
}

/// One valid command with a payload.
fn publication(is_bus: bool, rng: &mut ChaCha8Rng) -> Vec<u8> {
    let len = pick(rng, &[1, 10, 100, 3_000, 20_000]);
    let mut said = if is_bus {
        format!("*3\r\n$7\r\nPUBLISH\r\n$5\r\nbad.a\r\n${len}\r\n").into_bytes()
    } else {
        format!("PUB bad.a {len}\r\n").into_bytes()
    };
    said.resize(said.len() + len, b'y');
    said.extend_from_slice(b"\r\n");
    said
}

/// Some valid commands.
fn commands(is_bus: bool, rng: &mut ChaCha8Rng) -> Vec<Vec<u8>> {
    let small: &[&str] = if is_bus {
        &[
            "PING\r\n",
            "*2\r\n$9\r\nSUBSCRIBE\r\n$5\r\nbad.a\r\n",
            "PSUBSCRIBE bad.*\r\n",
            "UNSUBSCRIBE\r\n",
            "HELLO 3 SETNAME stranger\r\n",
            "MULTI\r\n",
            "EXEC\r\n",
            "CLIENT LIST\r\n",
            "RESET\r\n",
            "SSUBSCRIBE bad.s\r\n",
        ]
    } else {
        &[
            "CONNECT {\"verbose\":true,\"pedantic\":true,\"headers\":true}\r\n",
            "PING\r\n",
            "PONG\r\n",
            "SUB bad.* 1\r\n",
            "SUB bad.a q 2\r\n",
            "UNSUB 1 3\r\n",
            "HPUB bad.a 14 15\r\nNATS/1.0\r\nA\r\n\r\nx\r\n",
            "PUB $JS.API.INFO bad.a 0\r\n\r\n",
        ]
    };
    let count = rng.random_range(1..12);
    (0..count)
        .map(|_| match rng.random_ratio(1, 3) {
            true => publication(is_bus, rng),
            false => small[rng.random_range(0..small.len())].as_bytes().to_vec(),
        })
        .collect()
}

/// Changes something.
fn mutate(said: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    let at = rng.random_range(0..said.len());
    match rng.random_range(0..5) {
        0 => said[at] ^= 1 << rng.random_range(0..8),
        1 => said[at] = pick(rng, &[b'\r', b'\n', b' ', b'*', b'$', b'-', b'9', 0, 255]),
        2 => {
            let to = (at + rng.random_range(1..30)).min(said.len());
            said.drain(at..to);
            if said.is_empty() {
                said.push(b'\n');
            }
        }
        3 => {
            let to = (at + rng.random_range(1..60)).min(said.len());
            let again = said[at..to].to_vec();
            said.splice(at..at, again);
        }
        _ => said.truncate(at.max(1)),
    }
}

fn pick<T: Copy>(rng: &mut ChaCha8Rng, choices: &[T]) -> T {
    choices[rng.random_range(0..choices.len())]
}
