//! The two servers, each a process of its own.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a server may take to begin.
const START: Duration = Duration::from_secs(20);

/// The original's programs.
#[derive(Clone, Debug)]
pub struct Original {
    server: PathBuf,
    benchmark: PathBuf,
    /// What the server calls itself, such as `7.0.15`.
    pub version: String,
}

impl Original {
    /// Looks for both programs.
    ///
    /// # Errors
    /// One line that names what is missing, and the remedy.
    pub fn find(server: &Path, benchmark: &Path) -> Result<Original, String> {
        let said = |program: &Path| {
            Command::new(program).arg("--version").output().map_err(|error| {
                let shown = lab_reports::clean::line(&program.display().to_string(), 200);
                format!(
                    "`{shown}` cannot be run ({error}); install it (Debian: `apt-get install \
                     redis-server redis-tools`) or say where it is with `--redis-server` and \
                     `--redis-benchmark`"
                )
            })
        };
        let words = String::from_utf8_lossy(&said(server)?.stdout).into_owned();
        said(benchmark)?;
        let version = words.split_once("v=").and_then(|(_, rest)| rest.split(' ').next());
        Ok(Original {
            server: server.to_owned(),
            benchmark: benchmark.to_owned(),
            version: lab_reports::clean::line(version.unwrap_or("?"), 20),
        })
    }

    /// Requests per second, as the original's own benchmark counts them.
    pub(super) fn publish(&self, to: SocketAddr, load: Load<'_>) -> Result<f64, String> {
        let Load { requests, connections, pipeline, channel } = load;
        let out = Command::new(&self.benchmark)
            .args(["-p", &to.port().to_string(), "-n", &requests.to_string()])
            .args(["-c", &connections.to_string(), "-P", &pipeline.to_string()])
            .args(["-q", "PUBLISH", channel, "x"])
            .output()
            .map_err(|error| format!("redis-benchmark: {error}"))?;
        let said = String::from_utf8_lossy(&out.stdout).into_owned();
        let rate = said
            .rsplit_once(" requests per second")
            .and_then(|(before, _)| before.rsplit([' ', '\r', '\n']).next()?.parse::<f64>().ok());
        rate.ok_or_else(|| {
            let why = lab_reports::clean::line(&String::from_utf8_lossy(&out.stderr), 200);
            format!("redis-benchmark gave no rate: {why}")
        })
    }
}

/// What the original's benchmark is asked to send.
#[derive(Copy, Clone, Debug)]
pub(super) struct Load<'a> {
    pub requests: u64,
    pub connections: u32,
    pub pipeline: u32,
    pub channel: &'a str,
}

/// A server that runs until this is dropped.
#[derive(Debug)]
pub(super) struct Served {
    process: Child,
    /// Where it listens.
    pub address: SocketAddr,
    _folder: TempDir,
}

impl Served {
    /// Our own bus: this very program.
    pub(super) fn lab(maxclients: u32) -> Result<Served, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let ready = folder.path().join("ready");
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.args(["serve", "redis", "--port", "0", "--log-level", "error"]);
        command.args(["--maxclients", &maxclients.to_string()]).arg("--ready-file").arg(&ready);
        let mut process = quiet(command).map_err(|error| format!("`lab serve`: {error}"))?;
        let address = wait("`lab serve`", &mut process, || {
            let text = fs::read_to_string(&ready).ok()?;
            text.split_whitespace().nth(1)?.parse().ok()
        });
        kept(process, address, folder)
    }

    /// The original.
    pub(super) fn original(original: &Original, maxclients: u32) -> Result<Served, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let port = free_port().map_err(|error| error.to_string())?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut command = Command::new(&original.server);
        command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", ""]);
        command.args(["--daemonize", "no", "--maxclients", &maxclients.to_string(), "--dir"]);
        command.arg(folder.path());
        let mut process = quiet(command).map_err(|error| format!("redis-server: {error}"))?;
        let listens = || TcpStream::connect(address).ok().map(|_| address);
        let address = wait("redis-server", &mut process, listens);
        kept(process, address, folder)
    }

    /// Bytes of memory that it has now.
    pub(super) fn resident_bytes(&self) -> Result<u64, String> {
        let path = format!("/proc/{}/status", self.process.id());
        let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        let kib = kib.ok_or_else(|| "the system does not tell memory in use".to_owned())?;
        Ok(kib * 1_024)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself, and nothing of it is kept.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn kept(
    process: Child,
    address: Result<SocketAddr, String>,
    folder: TempDir,
) -> Result<Served, String> {
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    // Whatever went wrong, the process ends with this value.
    let served =
        Served { process, address: *address.as_ref().unwrap_or(&nowhere), _folder: folder };
    address.map(|_| served)
}

fn quiet(mut command: Command) -> io::Result<Child> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

fn wait(
    name: &str,
    process: &mut Child,
    mut ready: impl FnMut() -> Option<SocketAddr>,
) -> Result<SocketAddr, String> {
    let begun = Instant::now();
    while begun.elapsed() < START {
        if let Some(address) = ready() {
            return Ok(address);
        }
        if let Ok(Some(status)) = process.try_wait() {
            return Err(format!("{name} ended at once: {status}"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Err(format!("{name} did not listen within {START:?}"))
}

/// A port that nobody has at the moment.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}
