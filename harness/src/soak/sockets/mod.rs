//! A soak of the sockets: peers that break the rules, beside some that keep them.
//!
//! **What it is for.** [`soak`] opens the servers of `lab serve` in this process and
//! plays rounds against them. In each round strangers ([`crowd`]) send nonsense, half
//! a command, one byte at a time, or vanish, while a company of well-behaved clients
//! ([`company`]) comes and goes, publishes and listens. The company must be served,
//! hear everything once and in order, and nothing must be left of the strangers: no
//! connection, no byte in a buffer, no panic.
//!
//! **What it never does.** It judges no speed: the only times in it are patience,
//! after which a thing that must happen has not. What is said and done is a function
//! of the seed and the round; how it meets on the server is the machine's.
//!
//! **Where to start reading.** [`soak`], then [`crowd::Deed`]. [`report`] has the words.

mod company;
mod crowd;
mod peer;
pub mod report;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use broker_contract::SeedStream;
use broker_nats::SyncPolicy;

use self::company::Company;
use self::crowd::{Crowd, Deed};
use crate::wire::descriptors;
use crate::wire::metrics::{Counts, Ended};
use crate::wire::protocols::{Opened, PROTOCOLS, Protocol, Running, Wanted as Serving};
use crate::wire::settings::{Limits, Place};

/// How long anything may take that must happen. It is long because it decides
/// nothing but whether to go on waiting.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the servers give a peer for one command.
const PARTIAL: Duration = Duration::from_secs(1);
/// Rounds after which everybody but the company leaves, and the servers' books must
/// show it.
const QUIET_EVERY: u64 = 64;
/// Descriptors for both ends of the strangers that are kept at once.
const DESCRIPTORS: u64 = 4_096;
/// Ends of connections that a search should see.
const WANTED_ENDS: [Ended; 5] =
    [Ended::Peer, Ended::Broken, Ended::Protocol, Ended::SlowConsumer, Ended::Partial];

/// What a soak is to be.
#[derive(Copy, Clone, Debug)]
pub struct Wanted {
    /// Where everything that is drawn comes from.
    pub seed: u64,
    /// When to end, if time decides.
    pub duration: Option<Duration>,
    /// When to end, if rounds decide.
    pub rounds: Option<u64>,
}

/// A promise that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    /// In which round.
    pub round: u64,
    /// Which server.
    pub server: &'static str,
    /// What should have been and was not.
    pub what: String,
}

/// What was seen of one server.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Messages that the company published.
    pub messages: u64,
    /// Copies that the company heard.
    pub deliveries: u64,
    /// Clients of the company that left and were replaced.
    pub churned: u64,
    /// The longest that the company waited for the answers of a round.
    pub longest: Duration,
    /// What strangers did.
    pub deeds: BTreeMap<Deed, u64>,
    /// What the server had counted at the end.
    pub counts: Counts,
    /// What a search should see and this one has not.
    pub unreached: Vec<&'static str>,
}

/// What a soak has come to.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// Rounds that were played.
    pub rounds: u64,
    /// How long they took.
    pub took: Duration,
    /// By server.
    pub seen: BTreeMap<&'static str, Seen>,
    /// The promises that were broken; the first one ends the soak.
    pub breaches: Vec<Breach>,
    /// Whether it was ended early.
    pub interrupted: bool,
}

/// A server and everybody who talks to it.
struct Scene {
    running: Running,
    company: Company,
    crowd: Crowd,
}

/// Plays rounds against a server of each protocol; `progress` is told of each.
///
/// # Errors
/// Why a server could not be opened. What goes wrong after that is in the account.
pub fn soak(
    wanted: &Wanted,
    interrupt: &AtomicBool,
    progress: &dyn Fn(u64, Duration),
) -> Result<Account, String> {
    descriptors::raise(DESCRIPTORS);
    let mut account = Account::default();
    let mut scenes = Vec::new();
    for protocol in PROTOCOLS {
        let scene = open(protocol, wanted.seed);
        scenes.push(scene.map_err(|error| format!("{}: {error}", protocol.name))?);
    }
    let began = Instant::now();
    loop {
        let is_over = wanted.rounds.is_some_and(|rounds| account.rounds >= rounds)
            || wanted.duration.is_some_and(|duration| began.elapsed() >= duration);
        account.interrupted = interrupt.load(Ordering::Relaxed);
        if is_over || account.interrupted || !account.breaches.is_empty() {
            break;
        }
        let seed = SeedStream::new(wanted.seed).fork("sockets").nth(account.rounds);
        for scene in &mut scenes {
            let name = scene.running.name;
            if let Err(what) = scene.round(seed.fork(name), account.rounds) {
                account.breaches.push(Breach { round: account.rounds, server: name, what });
            }
        }
        account.rounds += 1;
        progress(account.rounds, began.elapsed());
    }
    for scene in scenes {
        scene.end(&mut account);
    }
    account.took = began.elapsed();
    Ok(account)
}

/// Serves a protocol as `lab serve` does, on a port that is free.
fn open(protocol: &Protocol, seed: u64) -> Result<Scene, String> {
    let serving = Serving {
        places: vec![Place::Tcp([127, 0, 0, 1].into(), 0)],
        limits: Limits {
            buffered_bytes: 256 << 20,
            stored_bytes: 64 << 20,
            partial: PARTIAL,
            drain: PATIENCE,
            ..Limits::default()
        },
        maxclients: 10_000,
        timeout: Duration::ZERO,
        requirepass: String::new(),
        users: Vec::new(),
        log_connections: false,
        seed,
        tls: None,
        dir: None,
        sync: SyncPolicy::Always,
    };
    let opened: Opened = protocol.open(&serving).map_err(|error| error.to_string())?;
    let address: SocketAddr = opened
        .addresses
        .first()
        .and_then(|address| address.parse().ok())
        .ok_or_else(|| "it listens on no port".to_owned())?;
    // Whether it ended by itself shows when it is joined.
    let (tell, _) = channel();
    let running = opened.start(tell).map_err(|error| error.to_string())?;
    let company = Company::new(protocol.name, address)?;
    Ok(Scene { running, company, crowd: Crowd::new(protocol.name, address) })
}

impl Scene {
    fn round(&mut self, seed: SeedStream, number: u64) -> Result<(), String> {
        let Scene { company, crowd, .. } = self;
        let mut draws = seed.fork("company").rng();
        let mut others = seed.fork("crowd").rng();
        company.churn(&mut draws)?;
        crowd.come(&mut others, number)?;
        let batch = company.publish(&mut draws)?;
        crowd.come(&mut others, number)?;
        company.hear(&batch, crowd.deserters())?;
        crowd.look(number)?;
        if (number + 1).is_multiple_of(QUIET_EVERY) {
            self.quiet()?;
        }
        Ok(())
    }

    /// The strangers leave, and the company is alone with the server.
    fn quiet(&mut self) -> Result<(), String> {
        self.crowd.leave()?;
        self.settles(self.company.connections())
    }

    /// Waits until the server's own books have this many connections, and nothing in
    /// buffers.
    fn settles(&self, connections: u64) -> Result<(), String> {
        let published = self.running.handle.published();
        let began = Instant::now();
        loop {
            let counts = published.read();
            if (counts.connections, counts.buffered_bytes) == (connections, 0) {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                return Err(format!(
                    "with {connections} connections open and nothing under way, its books have {} \
                     connections and {} bytes in buffers",
                    counts.connections, counts.buffered_bytes
                ));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Everybody leaves, the server stops, and its books must be closed.
    fn end(mut self, account: &mut Account) {
        let name = self.running.name;
        let mut broken = Vec::new();
        // After a breach there is nothing left to be told by the ends of the others.
        if account.breaches.is_empty()
            && let Err(what) = self.quiet().and_then(|()| {
                self.company.leave()?;
                self.settles(0)
            })
        {
            broken.push(what);
        }
        let Scene { running, company, crowd } = self;
        // Twice, which is at once: who is still there after a breach need not be waited for.
        running.handle.stop();
        running.handle.stop();
        let mut seen = company.seen;
        seen.deeds = crowd.deeds;
        match running.join() {
            Ok(counts) => seen.counts = counts,
            Err(why) => broken.push(why),
        }
        let ended: u64 = seen.counts.closed.iter().sum();
        if account.breaches.is_empty() && broken.is_empty() && ended != seen.counts.accepted_total {
            let accepted = seen.counts.accepted_total;
            broken.push(format!("of {accepted} connections {ended} ended for a reason"));
        }
        seen.unreached = Deed::ALL
            .iter()
            .filter(|deed| !seen.deeds.contains_key(deed))
            .map(|deed| deed.name())
            .chain(
                WANTED_ENDS.iter().filter(|why| seen.counts.ended_by(**why) == 0).map(|e| e.name()),
            )
            .collect();
        let round = account.rounds;
        account.breaches.extend(broken.into_iter().map(|what| Breach {
            round,
            server: name,
            what,
        }));
        account.seen.insert(name, seen);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_company_is_served_whatever_strangers_do() {
        let wanted = Wanted { seed: 1, duration: None, rounds: Some(2 * QUIET_EVERY) };
        let account = soak(&wanted, &AtomicBool::new(false), &|_, _| {}).expect("ports are free");
        assert_eq!(account.breaches, []);
        assert_eq!(account.rounds, 2 * QUIET_EVERY);
        for (name, seen) in &account.seen {
            assert_eq!(seen.unreached, [""; 0], "{name}");
            assert!(seen.deliveries > seen.messages && seen.churned > 0, "{name}: {seen:?}");
            assert_eq!((seen.counts.connections, seen.counts.buffered_bytes), (0, 0), "{name}");
        }
    }
}
