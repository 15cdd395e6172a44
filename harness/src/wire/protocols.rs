//! The protocols that the lab serves: a broker, its codec, and its own settings.

use std::net::IpAddr;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use broker_contract::{Boot, Broker, Codec, ConnId, NodeId, Origin, SeedStream, Time};
use broker_nats::NatsConfig;
use broker_nats::codec::{NatsText, TextLimits};
use broker_redis::RedisConfig;
use broker_redis::codec::Resp;

use super::metrics::Counts;
use super::server::{Handle, OpenError, Server, Watcher};
use super::settings::{Limits, Place};
use crate::term;

/// A protocol that can be served.
#[derive(Copy, Clone, Debug)]
pub struct Protocol {
    /// Its name on the command line.
    pub name: &'static str,
    /// The port that its clients expect.
    pub port: u16,
    /// Whether a client can be asked for a password.
    pub has_password: bool,
    start: fn(&Wanted) -> Result<Running, OpenError>,
}

/// All that can be served.
pub const PROTOCOLS: &[Protocol] = &[
    Protocol { name: "redis", port: 6379, has_password: true, start: redis },
    Protocol { name: "nats", port: 4222, has_password: false, start: nats },
];

/// What a server is asked to be.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Where to listen.
    pub places: Vec<Place>,
    /// What it may use of the machine.
    pub limits: Limits,
    /// Connections at once.
    pub maxclients: u32,
    /// Idle time after which a connection is closed, where the protocol has that;
    /// zero for never.
    pub timeout: Duration,
    /// The default user's password; empty for none.
    pub requirepass: String,
    /// Users and what they may, as the protocol writes that.
    pub users: Vec<String>,
    /// Whether connections are written down one by one.
    pub log_connections: bool,
    /// Where the server's randomness comes from.
    pub seed: u64,
    /// Is told the name of a server that has ended.
    pub ended: Sender<&'static str>,
}

/// A server on a thread of its own.
#[derive(Debug)]
pub struct Running {
    /// Its protocol.
    pub name: &'static str,
    /// The way to it.
    pub handle: Handle,
    /// Where it listens, in the order of the places.
    pub addresses: Vec<String>,
    thread: JoinHandle<Result<Counts, String>>,
}

impl Running {
    /// Waits until it has ended.
    ///
    /// # Errors
    /// Why it ended by itself.
    pub fn join(self) -> Result<Counts, String> {
        self.thread.join().unwrap_or_else(|_| Err("its thread panicked".to_owned()))
    }
}

impl Protocol {
    /// The protocol called `name`.
    pub fn find(name: &str) -> Option<&'static Protocol> {
        PROTOCOLS.iter().find(|protocol| protocol.name == name)
    }

    /// Starts a server.
    ///
    /// # Errors
    /// [`OpenError`] in one line; then nothing was started.
    pub fn start(&self, wanted: &Wanted) -> Result<Running, OpenError> {
        (self.start)(wanted)
    }
}

fn redis(wanted: &Wanted) -> Result<Running, OpenError> {
    let port = wanted.places.iter().find_map(|place| match place {
        Place::Tcp(_, port) => Some(*port),
        Place::Unix(_) => None,
    });
    let config = RedisConfig {
        maxclients: wanted.maxclients,
        timeout: wanted.timeout,
        requirepass: wanted.requirepass.clone(),
        users: wanted.users.clone(),
        epoch: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default(),
        port: port.unwrap_or(0),
        ..RedisConfig::default()
    };
    start("redis", Resp::default(), &config, wanted)
}

fn nats(wanted: &Wanted) -> Result<Running, OpenError> {
    let config = NatsConfig { max_connections: wanted.maxclients, ..NatsConfig::default() };
    start("nats", NatsText { limits: TextLimits::of(&config) }, &config, wanted)
}

fn start<C: Codec>(
    name: &'static str,
    codec: C,
    config: &<C::Broker as Broker>::Config,
    wanted: &Wanted,
) -> Result<Running, OpenError> {
    let boot = Boot {
        seed: SeedStream::new(wanted.seed).fork(name),
        node: NodeId(0),
        peers: vec![NodeId(0)],
    };
    let log = Log { name, is_on: wanted.log_connections };
    let (places, limits) = (&wanted.places[..], wanted.limits);
    let server = Server::open(codec, config, boot, places, limits, Instant::now(), log)?;
    let handle = server.handle();
    let addresses = server.listeners().map(ToString::to_string).collect();
    let ended = wanted.ended.clone();
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        let end = server.run();
        // Nobody waits any more when the process is ending anyway.
        let _ = ended.send(name);
        end.map(|(counts, _)| counts).map_err(|error| error.to_string())
    })?;
    Ok(Running { name, handle, addresses, thread })
}

/// Whether clients beyond this machine could reach any of the places.
pub fn reaches_beyond(places: &[Place]) -> Option<IpAddr> {
    places.iter().find_map(|place| match place {
        Place::Tcp(address, _) if !place.is_local() => Some(*address),
        _ => None,
    })
}

/// Writes down connections as they come and go.
#[derive(Debug)]
struct Log {
    name: &'static str,
    is_on: bool,
}

impl<B: Broker> Watcher<B> for Log {
    fn opened(&mut self, now: Time, conn: ConnId, origin: &Origin) {
        if self.is_on {
            let from = origin.address.as_deref().unwrap_or("somewhere");
            term::note(&format!("{}: {now}: connection {} from {from}", self.name, conn.0));
        }
    }

    fn closed(&mut self, now: Time, conn: ConnId) {
        if self.is_on {
            term::note(&format!("{}: {now}: connection {} ended", self.name, conn.0));
        }
    }
}
