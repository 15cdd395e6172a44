//! `lab serve`: a broker of the lab for anybody's clients.
//!
//! `args.rs` reads what it is told; here it opens everything, and only then serves.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;

use crate::exit::{CliError, Exit};
use crate::term;
use crate::wire::protocols::{Opened, Running};
use crate::wire::{descriptors, metrics};

use self::args::LogLevel;
pub use self::args::ServeCli;

mod args;

/// Descriptors that a server needs beside those of its connections.
const DESCRIPTORS: u64 = 64;

/// Serves until it is told to stop.
///
/// # Errors
/// [`CliError`] when something cannot be served; then nothing is.
pub fn run(args: &ServeCli) -> Result<Exit, CliError> {
    let servers = args.servers()?;
    raise_descriptors(args, servers.len() as u64);
    // The handler comes first: a signal during the start must not be lost.
    let (tell, told) = channel();
    let signals = tell.clone();
    let handler = move || {
        // Once the loop below is over there is nobody left to tell.
        let _ = signals.send(SIGNAL);
    };
    ctrlc::set_handler(handler)
        .map_err(|error| CliError::Failed(format!("signals cannot be handled: {error}")))?;
    let mut opened = Vec::new();
    for (protocol, wanted) in &servers {
        let server = protocol
            .open(wanted)
            .map_err(|error| CliError::Failed(format!("{}: {error}", protocol.name)))?;
        opened.push(server);
    }
    // Whoever reads of the addresses may connect: the system holds them until the
    // threads run, which is right after.
    announce(args, &opened)?;
    let mut running = Vec::new();
    for server in opened {
        let name = server.name;
        let server = server
            .start(tell.clone())
            .map_err(|error| CliError::Failed(format!("{name}: {error}")))?;
        running.push(server);
    }
    drop(tell);
    let (mut left, mut is_stopping) = (running.len(), false);
    while left > 0 {
        match told.recv() {
            Ok(SIGNAL) => {
                is_stopping = true;
                stop(&running);
            }
            Ok(_) => {
                left -= 1;
                // One that ended by itself failed, and takes the others along.
                if !std::mem::replace(&mut is_stopping, true) {
                    stop(&running);
                }
            }
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

/// Tells everybody who wants to know that clients may come.
fn announce(args: &ServeCli, opened: &[Opened]) -> Result<(), CliError> {
    let metrics = match args.metrics_port {
        None => None,
        Some(port) => {
            let servers = opened
                .iter()
                .map(|server| (server.name, Arc::clone(server.handle.published())))
                .collect();
            let address = metrics::serve(args.metrics_host, port, servers).map_err(|error| {
                CliError::Failed(format!("metrics: {}:{port}: {error}", args.metrics_host))
            })?;
            Some(address)
        }
    };
    if let Some(path) = &args.ready_file {
        let mut text = String::new();
        for server in opened {
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
        for server in opened {
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
