//! What `lab serve` is told, and what that asks of each server.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use broker_contract::units::{parse_bytes, parse_duration};
use broker_nats::SyncPolicy;
use clap::{Args, ValueEnum};

use crate::exit::CliError;
use crate::wire::protocols::{PROTOCOLS, Protocol, Wanted, reaches_beyond};
use crate::wire::settings::{Limits, Place};
use crate::wire::tls::{Files, Start};

const EXAMPLES: &str = "\
Examples:
  lab serve redis                      a Pub/Sub bus on 127.0.0.1:6379
  redis-cli -p 6379 SUBSCRIBE news     and a client of it
  lab serve all                        NATS on port 4222 as well
  lab serve redis --port 0 --ready-file addresses
      on a port that is free; the file appears when clients may come
  lab serve redis --unix /tmp/bus.sock --metrics-port 9100
      a Unix socket as well, /metrics and /healthz for a monitor
  lab serve nats --dir store --sync-interval always
      JetStream on real files, durable before it acknowledges
  lab serve redis --tls-cert server.pem --tls-key server.key
      TLS and nothing else; with --tls-port there is a port for each

Without --dir streams are kept in memory. SIGTERM and Ctrl-C end it gracefully, the
second one at once.";

/// Arguments of `lab serve`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ServeCli {
    /// Which broker: redis, nats, or all
    pub(super) broker: String,
    /// Address to listen on. Beyond this machine only with a password, certificates
    /// of clients, or --allow-unauthenticated
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(super) host: IpAddr,
    /// TCP port; 0 picks one that is free. By default the protocol's own
    #[arg(long, value_name = "PORT")]
    pub(super) port: Option<u16>,
    /// Listen on this Unix socket, too
    #[arg(long, value_name = "PATH")]
    pub(super) unix: Option<PathBuf>,
    /// Connections at once
    #[arg(long, value_name = "N", default_value_t = 10_000,
          value_parser = clap::value_parser!(u32).range(1..=4_000_000))]
    pub(super) maxclients: u32,
    /// Close connections without subscriptions after this idle time; 0s for never
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_duration)]
    pub(super) timeout: Duration,
    /// Close a connection that takes longer over one command; 0s for never
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    pub(super) partial_timeout: Duration,
    /// Bytes that the buffers of all connections may hold together
    #[arg(long, value_name = "SIZE", default_value = "4GiB", value_parser = parse_bytes)]
    pub(super) buffer_memory: u64,
    /// How long SIGTERM waits for connections to end
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    pub(super) drain: Duration,
    /// Look this long for more work before sleeping, while work comes that fast: it
    /// answers sooner and takes more CPU time. 0s for never
    #[arg(long, value_name = "TIME", default_value = "25us", value_parser = parse_duration)]
    pub(super) spin: Duration,
    /// Password of the default user
    #[arg(long, value_name = "PASSWORD", default_value = "", hide_default_value = true)]
    pub(super) requirepass: String,
    /// A user, as ACL LIST prints them: 'alice on >secret &news.* +@pubsub'
    #[arg(long, value_name = "RULES")]
    pub(super) user: Vec<String>,
    /// The server's certificate (PEM): its port speaks TLS, for NATS after INFO
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(super) tls_cert: Option<PathBuf>,
    /// The certificate's private key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(super) tls_key: Option<PathBuf>,
    /// Who signs the certificates of clients (PEM); they are then asked for one
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(super) tls_ca: Option<PathBuf>,
    /// Redis: TLS on this port, and `--port` without it; 0 picks one
    #[arg(long, value_name = "PORT", requires = "tls_cert")]
    pub(super) tls_port: Option<u16>,
    /// Close a connection that takes longer to agree on keys
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    pub(super) tls_timeout: Duration,
    /// NATS: keep streams in this directory, for one server at a time
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// NATS: how often streams are synced to the disk, or `always`: before each
    /// acknowledgement
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = parse_sync)]
    pub(super) sync_interval: SyncPolicy,
    /// NATS: bytes that streams may have where there is no --dir
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_bytes)]
    pub(super) store_memory: u64,
    /// Serve whoever comes, from wherever
    #[arg(long)]
    pub(super) allow_unauthenticated: bool,
    /// Write the addresses to this file once clients may come
    #[arg(long, value_name = "FILE")]
    pub(super) ready_file: Option<PathBuf>,
    /// Answer /metrics (Prometheus) and /healthz on this port; 0 picks one
    #[arg(long, value_name = "PORT")]
    pub(super) metrics_port: Option<u16>,
    /// The address of that port: whoever reaches it may ask
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(super) metrics_host: IpAddr,
    /// What to write on standard error
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub(super) log_level: LogLevel,
}

/// What is written on standard error.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(super) enum LogLevel {
    /// What goes wrong
    Error,
    /// Starts and stops, too
    Info,
    /// Connections, too
    Debug,
}

fn parse_sync(text: &str) -> Result<SyncPolicy, String> {
    if text == "always" {
        return Ok(SyncPolicy::Always);
    }
    match parse_duration(text) {
        Ok(Duration::ZERO) => Err("it is longer than zero, or `always`".to_owned()),
        Ok(interval) => Ok(SyncPolicy::Interval(interval)),
        Err(error) => Err(format!("{error}, or `always`")),
    }
}

impl ServeCli {
    /// The servers that are asked for, each with what it is to be.
    pub(super) fn servers(&self) -> Result<Vec<(&'static Protocol, Wanted)>, CliError> {
        let protocols = protocols(&self.broker)?;
        if self.dir.is_some() && !protocols.iter().any(|protocol| protocol.keeps) {
            let text = format!("`{}` keeps nothing, so `--dir` has no use here", self.broker);
            return Err(CliError::Usage(text));
        }
        let count = protocols.len();
        protocols
            .into_iter()
            .map(|protocol| Ok((protocol, self.wanted(protocol, count)?)))
            .collect()
    }

    /// Where a server listens.
    fn places(&self, protocol: &Protocol, servers: usize) -> Result<Vec<Place>, CliError> {
        let shared = [
            ("--port", self.port.is_some_and(|port| port > 0)),
            ("--tls-port", self.tls_port.is_some_and(|port| port > 0)),
            ("--unix", self.unix.is_some()),
        ];
        if servers > 1
            && let Some((name, _)) = shared.iter().find(|(_, given)| *given)
        {
            let text = format!("`{name}` is for one broker: several cannot share it");
            return Err(CliError::Usage(text));
        }
        let port = self.port.unwrap_or(protocol.port);
        let greets = protocol.tls == Start::AfterGreeting;
        let mut places = Vec::new();
        match (&self.tls_cert, self.tls_port) {
            (None, _) => places.push(Place::Tcp(self.host, port)),
            (Some(_), None) => places.push(Place::Tls(self.host, port)),
            (Some(_), Some(_)) if greets => {
                return Err(CliError::Usage(format!(
                    "`{}` has TLS on the port that it has, so there is no `--tls-port`",
                    protocol.name
                )));
            }
            (Some(_), Some(secure)) => {
                places.push(Place::Tcp(self.host, port));
                places.push(Place::Tls(self.host, secure));
            }
        }
        if let Some(path) = &self.unix {
            if greets && self.tls_cert.is_some() {
                return Err(CliError::Usage(format!(
                    "`{}` tells every client that TLS follows, and there is none on `--unix`",
                    protocol.name
                )));
            }
            places.push(Place::Unix(path.clone()));
        }
        Ok(places)
    }

    fn wanted(&self, protocol: &Protocol, servers: usize) -> Result<Wanted, CliError> {
        let places = self.places(protocol, servers)?;
        if let Some(address) = reaches_beyond(&places, self.tls_ca.is_some())
            && (self.requirepass.is_empty() || !protocol.has_password)
            && !self.allow_unauthenticated
        {
            let password = if protocol.has_password { "`--requirepass`, " } else { "" };
            return Err(CliError::Usage(format!(
                "{address} can be reached from beyond this machine, and nobody would have to say \
                 who they are; give {password}`--tls-ca` for certificates of clients, or \
                 `--allow-unauthenticated` to do it all the same"
            )));
        }
        let seed = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos() as u64);
        let tls = self.tls_cert.clone().zip(self.tls_key.clone());
        Ok(Wanted {
            places,
            limits: Limits {
                buffered_bytes: self.buffer_memory,
                stored_bytes: self.store_memory,
                partial: self.partial_timeout,
                handshake: self.tls_timeout,
                drain: self.drain,
                spin: self.spin,
                ..Limits::default()
            },
            maxclients: self.maxclients,
            timeout: self.timeout,
            requirepass: self.requirepass.clone(),
            users: self.user.clone(),
            log_connections: self.log_level >= LogLevel::Debug,
            seed,
            tls: tls.map(|(cert, key)| Files { cert, key, ca: self.tls_ca.clone() }),
            dir: self.dir.clone(),
            sync: self.sync_interval,
        })
    }
}

fn protocols(name: &str) -> Result<Vec<&'static Protocol>, CliError> {
    if name == "all" {
        return Ok(PROTOCOLS.iter().collect());
    }
    if let Some(protocol) = Protocol::find(name) {
        return Ok(vec![protocol]);
    }
    let known: Vec<&str> = PROTOCOLS.iter().map(|protocol| protocol.name).collect();
    let known = known.join(", ");
    Err(CliError::Usage(match name {
        "kafka" | "jetstream" => {
            format!("`{name}` cannot be served yet: its codec is not there; there is {known}, all")
        }
        _ => {
            let name = lab_reports::clean::line(name, 60);
            format!("there is no broker `{name}` to serve; there is {known}, all")
        }
    }))
}
