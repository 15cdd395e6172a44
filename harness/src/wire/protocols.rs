//! The protocols that the lab serves: a broker, its codec, and its own settings.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use broker_contract::{Boot, Broker, Codec, ConnId, NodeId, Origin, SeedStream, Time};
use broker_nats::codec::{NatsText, TextLimits};
use broker_nats::{JetStreamConfig, NatsConfig, SyncPolicy};
use broker_redis::RedisConfig;
use broker_redis::codec::Resp;

use super::listen::Listener;
use super::metrics::{Counts, Ended};
use super::server::{Handle, OpenError, Room, Server, Watcher};
use super::settings::{Limits, Place};
use super::tls::{Files, Start, Tls};
use crate::disk::FileDisk;
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
    /// Whether it keeps anything.
    pub keeps: bool,
    /// When TLS begins on a connection.
    pub tls: Start,
    open: fn(&Protocol, &Wanted) -> Result<Opened, OpenError>,
}

/// All that can be served.
pub const PROTOCOLS: &[Protocol] = &[
    Protocol {
        name: "redis",
        port: 6379,
        has_password: true,
        keeps: false,
        tls: Start::AtOnce,
        open: redis,
    },
    Protocol {
        name: "nats",
        port: 4222,
        has_password: false,
        keeps: true,
        tls: Start::AfterGreeting,
        open: nats,
    },
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
    /// The certificate, where a place speaks TLS.
    pub tls: Option<Files>,
    /// Where a protocol that keeps something has a folder of its own; memory,
    /// where there is none.
    pub dir: Option<PathBuf>,
    /// When what is kept becomes durable.
    pub sync: SyncPolicy,
}

/// A server that listens and answers nobody yet.
pub struct Opened {
    /// Its protocol.
    pub name: &'static str,
    /// The way to it.
    pub handle: Handle,
    /// Where it listens, in the order of the places.
    pub addresses: Vec<String>,
    run: Box<dyn FnOnce() -> Result<Counts, String> + Send>,
}

impl fmt::Debug for Opened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Opened {
    /// Serves on a thread of its own; `ended` is told the name of the server when
    /// it has ended.
    ///
    /// # Errors
    /// That there can be no more threads.
    pub fn start(self, ended: Sender<&'static str>) -> io::Result<Running> {
        let Opened { name, handle, addresses: _, run } = self;
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let end = run();
            // Nobody waits any more when the process is ending anyway.
            let _ = ended.send(name);
            end
        })?;
        Ok(Running { name, handle, thread })
    }
}

/// A server on a thread of its own.
#[derive(Debug)]
pub struct Running {
    /// Its protocol.
    pub name: &'static str,
    /// The way to it.
    pub handle: Handle,
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

    /// Listens, and boots the node from its store.
    ///
    /// # Errors
    /// [`OpenError`] in one line; then nothing was begun.
    pub fn open(&self, wanted: &Wanted) -> Result<Opened, OpenError> {
        (self.open)(self, wanted)
    }

    /// Everything that can be refused before a node is asked.
    fn room(&self, wanted: &Wanted) -> Result<Room, OpenError> {
        let tls = wanted.tls.as_ref().map(|files| Tls::load(files, self.tls)).transpose()?;
        let dir = wanted.dir.as_ref().filter(|_| self.keeps);
        let disk = dir.map(|dir| FileDisk::kept(&dir.join(self.name))).transpose()?;
        let room = Room::open(&wanted.places, wanted.limits, tls.as_ref())?;
        Ok(Room { disk, ..room })
    }
}

/// The first port that is listened on; it may have been picked only now.
fn port_of(room: &Room) -> u16 {
    let ports = room.listeners.iter().filter_map(|(listener, _)| match listener {
        Listener::Tcp(_, address) => Some(address.port()),
        Listener::Unix(..) => None,
    });
    ports.into_iter().next().unwrap_or(0)
}

/// The time since 1970.
fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

fn redis(protocol: &Protocol, wanted: &Wanted) -> Result<Opened, OpenError> {
    let room = protocol.room(wanted)?;
    let config = RedisConfig {
        maxclients: wanted.maxclients,
        timeout: wanted.timeout,
        requirepass: wanted.requirepass.clone(),
        users: wanted.users.clone(),
        epoch: since_1970(),
        port: port_of(&room),
        ..RedisConfig::default()
    };
    open(protocol, room, Resp::default(), &config, wanted)
}

fn nats(protocol: &Protocol, wanted: &Wanted) -> Result<Opened, OpenError> {
    let room = protocol.room(wanted)?;
    let mut config = NatsConfig {
        max_connections: wanted.maxclients,
        port: port_of(&room),
        tls_required: wanted.tls.is_some(),
        tls_verify: wanted.tls.as_ref().is_some_and(|files| files.ca.is_some()),
        jetstream: Some(JetStreamConfig {
            sync: wanted.sync,
            epoch_unix_ns: u64::try_from(since_1970().as_nanos()).unwrap_or(u64::MAX),
            ..JetStreamConfig::default()
        }),
        ..NatsConfig::default()
    };
    if let Some(Place::Tcp(host, _) | Place::Tls(host, _)) = wanted.places.first() {
        config.host = host.to_string().into();
    }
    // Everybody is gone by the time that a stop may take.
    let drain = wanted.limits.drain;
    if !drain.is_zero() {
        config.lame_duck_grace_period = drain / 5;
        config.lame_duck_duration = drain * 4 / 5;
    }
    open(protocol, room, NatsText { limits: TextLimits::of(&config) }, &config, wanted)
}

fn open<C: Codec>(
    protocol: &Protocol,
    room: Room,
    codec: C,
    config: &<C::Broker as Broker>::Config,
    wanted: &Wanted,
) -> Result<Opened, OpenError> {
    let name = protocol.name;
    let boot = Boot {
        seed: SeedStream::new(wanted.seed).fork(name),
        node: NodeId(0),
        peers: vec![NodeId(0)],
    };
    let shown = |(listener, tls): &(Listener, Option<Tls>)| match tls {
        Some(_) => format!("tls:{listener}"),
        None => listener.to_string(),
    };
    let addresses = room.listeners.iter().map(shown).collect();
    let log = Log { name, is_on: wanted.log_connections };
    let server = Server::open_in(room, codec, config, boot, Instant::now(), log)?;
    let handle = server.handle();
    let run = move || match server.run() {
        Ok((counts, _)) => Ok(counts),
        Err(error) => Err(error.to_string()),
    };
    Ok(Opened { name, handle, addresses, run: Box::new(run) })
}

/// The first address at which clients beyond this machine are served without
/// having shown who they are, if there is any. With `certificates` they show one
/// wherever they speak TLS.
pub fn reaches_beyond(places: &[Place], certificates: bool) -> Option<IpAddr> {
    places.iter().find_map(|place| match place {
        Place::Tls(..) if certificates => None,
        Place::Tcp(address, _) | Place::Tls(address, _) if !place.is_local() => Some(*address),
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

    fn ended(&mut self, now: Time, conn: ConnId, why: Ended) {
        if self.is_on {
            let why = why.name();
            term::note(&format!("{}: {now}: connection {} ended: {why}", self.name, conn.0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_says_who_comes_and_an_open_port_does_not() {
        let (here, beyond) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0]));
        let (open, secure) = (Place::Tcp(beyond, 1), Place::Tls(beyond, 2));
        let local = [Place::Tcp(here, 1), Place::Tls(here, 2), Place::Unix("x".into())];
        assert_eq!(reaches_beyond(&local, false), None);
        assert_eq!(reaches_beyond(std::slice::from_ref(&open), true), Some(beyond));
        assert_eq!(reaches_beyond(std::slice::from_ref(&secure), false), Some(beyond));
        assert_eq!(reaches_beyond(std::slice::from_ref(&secure), true), None);
        assert_eq!(reaches_beyond(&[secure, open], true), Some(beyond));
    }
}
