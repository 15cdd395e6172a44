//! `lab serve` as a process: what it survives, what it refuses, how it ends.

mod ending;
mod store;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a test waits for what must come.
const LONG: Duration = Duration::from_secs(60);

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lab"));
    command.arg("serve").args(args).stdin(Stdio::null());
    command
}

/// A server of its own.
struct Served {
    child: Option<Child>,
    folder: TempDir,
    ready: String,
}

impl Served {
    /// Starts one, and waits until it says where it listens.
    fn start(args: &[&str]) -> Served {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("ready");
        let shown = file.display().to_string();
        let args = [args, &["--port", "0", "--ready-file", &shown]].concat();
        let child = command(&args).stderr(Stdio::piped()).spawn().expect("the binary runs");
        let mut served = Served { child: Some(child), folder, ready: String::new() };
        let begun = Instant::now();
        while served.ready.is_empty() {
            if let Some(child) = &mut served.child
                && child.try_wait().expect("it can be asked").is_some()
            {
                panic!("it ended: {}", served.output().1);
            }
            assert!(begun.elapsed() < LONG, "it does not get ready");
            std::thread::sleep(Duration::from_millis(2));
            served.ready = fs::read_to_string(&file).unwrap_or_default();
        }
        served
    }

    /// Where `name` listens.
    fn address(&self, name: &str) -> &str {
        let line = self.ready.lines().find_map(|line| line.strip_prefix(name));
        line.expect("it is served").trim()
    }

    fn connect(&self, name: &str) -> TcpStream {
        let peer = TcpStream::connect(self.address(name)).expect("it listens");
        peer.set_read_timeout(Some(LONG)).expect("set");
        peer
    }

    fn pid(&self) -> rustix::process::Pid {
        let id = self.child.as_ref().expect("it runs").id();
        rustix::process::Pid::from_raw(id as i32).expect("no zero")
    }

    /// Asks it to stop.
    fn terminate(&self) {
        let signal = rustix::process::Signal::TERM;
        rustix::process::kill_process(self.pid(), signal).expect("it is ours");
    }

    /// Ends it without a word to it.
    fn kill(mut self) {
        let child = self.child.as_mut().expect("it runs");
        child.kill().expect("it is ours");
        child.wait().expect("it has ended");
    }

    /// Waits for its end: the status, and what it said on standard error.
    fn output(&mut self) -> (ExitStatus, String) {
        let child = self.child.take().expect("it runs");
        let Output { status, stderr, .. } = child.wait_with_output().expect("it ends");
        (status, String::from_utf8(stderr).expect("UTF-8"))
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Whoever has ended already needs no end.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn say(peer: &mut impl Write, text: &str) {
    peer.write_all(text.as_bytes()).expect("it is listened to");
}

/// Reads exactly `expected`.
fn expect(peer: &mut impl Read, expected: &str) {
    let mut got = vec![0; expected.len()];
    peer.read_exact(&mut got).expect("an answer comes");
    assert_eq!(String::from_utf8_lossy(&got), expected);
}
