//! `lab serve`: a broker of the lab for anybody's clients.

use std::fs;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, SystemTime};

use broker_contract::units::{parse_bytes, parse_duration};
use clap::{Args, ValueEnum};

use crate::exit::{CliError, Exit};
use crate::term;
use crate::wire::protocols::{PROTOCOLS, Protocol, Running, Wanted, reaches_beyond};
use crate::wire::settings::{Limits, Place};
use crate::wire::{descriptors, metrics};

const EXAMPLES: &str = "\
Examples:
  lab serve redis                      a Pub/Sub bus on 127.0.0.1:6379
  redis-cli -p 6379 SUBSCRIBE news     and a client of it
  lab serve all                        NATS on port 4222 as well
  lab serve redis --port 0 --ready-file addresses
      on a port that is free; the file appears when clients may come
  lab serve redis --unix /tmp/bus.sock --metrics-port 9100
      a Unix socket as well, /metrics and /healthz for a monitor

Nothing is kept on disk. SIGTERM and Ctrl-C end it gracefully, the second one at
once.";

/// Descriptors that a server needs beside those of its connections.
const DESCRIPTORS: u64 = 64;

/// Arguments of `lab serve`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ServeCli {
    /// Which broker: redis, nats, or all
    broker: String,
    /// Address to listen on. Beyond this machine only with a password or
    /// --allow-unauthenticated
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    host: IpAddr,
    /// TCP port; 0 picks one that is free. By default the protocol's own
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Listen on this Unix socket, too
    #[arg(long, value_name = "PATH")]
    unix: Option<PathBuf>,
    /// Connections at once
    #[arg(long, value_name = "N", default_value_t = 10_000,
          value_parser = clap::value_parser!(u32).range(1..=4_000_000))]
    maxclients: u32,
    /// Close connections without subscriptions after this idle time; 0s for never
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_duration)]
    timeout: Duration,
    /// Close a connection that takes longer over one command; 0s for never
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    partial_timeout: Duration,
    /// Bytes that the buffers of all connections may hold together
    #[arg(long, value_name = "SIZE", default_value = "4GiB", value_parser = parse_bytes)]
    buffer_memory: u64,
    /// How long SIGTERM waits for connections to end
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    drain: Duration,
    /// Look this long for more work before sleeping, while work comes that fast: it
    /// answers sooner and takes more CPU time. 0s for never
    #[arg(long, value_name = "TIME", default_value = "25us", value_parser = parse_duration)]
    spin: Duration,
    /// Password of the default user
    #[arg(long, value_name = "PASSWORD", default_value = "", hide_default_value = true)]
    requirepass: String,
    /// A user, as ACL LIST prints them: 'alice on >secret &news.* +@pubsub'
    #[arg(long, value_name = "RULES")]
    user: Vec<String>,
    /// Serve whoever comes, from wherever
    #[arg(long)]
    allow_unauthenticated: bool,
    /// Write the addresses to this file once clients may come
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    /// Answer /metrics (Prometheus) and /healthz on this port; 0 picks one
    #[arg(long, value_name = "PORT")]
    metrics_port: Option<u16>,
    /// What to write on standard error
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: LogLevel,
}

/// What is written on standard error.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
enum LogLevel {
    /// What goes wrong
    Error,
    /// Starts and stops, too
    Info,
    /// Connections, too
    Debug,
}

/// Serves until it is told to stop.
///
/// # Errors
/// [`CliError`] when something cannot be served; then nothing is.
pub fn run(args: &ServeCli) -> Result<Exit, CliError> {
    let protocols = protocols(&args.broker)?;
    let (tell, told) = channel();
    let wanted = |protocol: &Protocol| wanted(args, protocol, protocols.len(), &tell);
    raise_descriptors(args, protocols.len() as u64);
    // The handler comes first: a signal during the start must not be lost.
    let signals = tell.clone();
    let handler = move || {
        // Once the loop below is over there is nobody left to tell.
        let _ = signals.send(SIGNAL);
    };
    ctrlc::set_handler(handler)
        .map_err(|error| CliError::Failed(format!("signals cannot be handled: {error}")))?;
    let mut running: Vec<Running> = Vec::new();
    let opened = open_all(&protocols, wanted, &mut running).and_then(|()| announce(args, &running));
    if let Err(error) = opened {
        stop(&running);
        running.into_iter().for_each(|server| drop(server.join()));
        return Err(error);
    }
    drop(tell);
    let mut left = running.len();
    while left > 0 {
        match told.recv() {
            Ok(SIGNAL) => stop(&running),
            Ok(_) => left -= 1,
            Err(_) => break,
        }
    }
    if let Some(path) = &args.ready_file {
        let _ = fs::remove_file(path);
    }
    let mut exit = Exit::Done;
    for server in running {
        let name = server.name;
        match server.join() {
            Ok(counts) if args.log_level >= LogLevel::Info => term::note(&format!(
                "{name}: stopped; {} connections, {} frames in, {} out",
                counts.accepted_total, counts.frames_in_total, counts.frames_out_total
            )),
            Ok(_) => {}
            Err(reason) => {
                term::note(&format!("lab: {name}: {reason}"));
                exit = exit.or(Exit::Failed);
            }
        }
    }
    Ok(exit)
}

/// What a signal sends, where servers send their name.
const SIGNAL: &str = "";

fn stop(running: &[Running]) {
    running.iter().for_each(|server| server.handle.stop());
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

fn wanted(
    args: &ServeCli,
    protocol: &Protocol,
    servers: usize,
    tell: &Sender<&'static str>,
) -> Result<Wanted, CliError> {
    let port = match args.port {
        Some(port) if port > 0 && servers > 1 => {
            let text = "`--port` is for one broker: several cannot share it".to_owned();
            return Err(CliError::Usage(text));
        }
        given => given.unwrap_or(protocol.port),
    };
    let mut places = vec![Place::Tcp(args.host, port)];
    if let Some(path) = &args.unix {
        if servers > 1 {
            let text = "`--unix` is for one broker: several cannot share it".to_owned();
            return Err(CliError::Usage(text));
        }
        places.push(Place::Unix(path.clone()));
    }
    if let Some(address) = reaches_beyond(&places)
        && (args.requirepass.is_empty() || !protocol.has_password)
        && !args.allow_unauthenticated
    {
        let password = if protocol.has_password { "`--requirepass`, or " } else { "" };
        return Err(CliError::Usage(format!(
            "{address} can be reached from beyond this machine, and nobody would have to say who \
             they are; give {password}`--allow-unauthenticated` to do it all the same"
        )));
    }
    let seed = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as u64);
    Ok(Wanted {
        places,
        limits: Limits {
            buffered_bytes: args.buffer_memory,
            partial: args.partial_timeout,
            drain: args.drain,
            spin: args.spin,
            ..Limits::default()
        },
        maxclients: args.maxclients,
        timeout: args.timeout,
        requirepass: args.requirepass.clone(),
        users: args.user.clone(),
        log_connections: args.log_level >= LogLevel::Debug,
        seed,
        ended: tell.clone(),
    })
}

fn open_all(
    protocols: &[&'static Protocol],
    wanted: impl Fn(&Protocol) -> Result<Wanted, CliError>,
    running: &mut Vec<Running>,
) -> Result<(), CliError> {
    for protocol in protocols {
        let server = protocol
            .start(&wanted(protocol)?)
            .map_err(|error| CliError::Failed(format!("{}: {error}", protocol.name)))?;
        running.push(server);
    }
    Ok(())
}

/// Tells everybody who wants to know that clients may come.
fn announce(args: &ServeCli, running: &[Running]) -> Result<(), CliError> {
    let metrics = match args.metrics_port {
        None => None,
        Some(port) => {
            let servers = running
                .iter()
                .map(|server| (server.name, Arc::clone(server.handle.published())))
                .collect();
            let address = metrics::serve(args.host, port, servers).map_err(|error| {
                CliError::Failed(format!("metrics: {}:{port}: {error}", args.host))
            })?;
            Some(address)
        }
    };
    if let Some(path) = &args.ready_file {
        let mut text = String::new();
        for server in running {
            for address in &server.addresses {
                text.push_str(&format!("{} {address}\n", server.name));
            }
        }
        if let Some(address) = metrics {
            text.push_str(&format!("metrics {address}\n"));
        }
        write_whole(path, &text).map_err(|error| {
            let shown = lab_reports::clean::line(&path.display().to_string(), 200);
            CliError::Failed(format!("`{shown}` cannot be written: {error}"))
        })?;
    }
    if args.log_level >= LogLevel::Info {
        for server in running {
            let at = lab_reports::clean::line(&server.addresses.join(" and "), 300);
            term::note(&format!("{}: listening on {at}", server.name));
        }
        if let Some(address) = metrics {
            term::note(&format!("metrics: http://{address}/metrics and /healthz"));
        }
    }
    Ok(())
}

/// Whoever waits for the file never sees half of it.
fn write_whole(path: &Path, text: &str) -> std::io::Result<()> {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let mut file = tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

/// Lets this process open as many files as it may, and says so when that is not
/// enough for the connections that were asked for.
fn raise_descriptors(args: &ServeCli, servers: u64) {
    let needed = u64::from(args.maxclients) * servers + DESCRIPTORS;
    let got = descriptors::raise(needed);
    if got < needed {
        term::note(&format!(
            "lab: this process may open {got} files, so about {} of {} connections; `ulimit -Hn` \
             is what to raise",
            got.saturating_sub(DESCRIPTORS),
            u64::from(args.maxclients) * servers
        ));
    }
}
