//! Both servers and the connections to them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::script::Step;

/// How long a server may take over anything.
const LONG: Duration = Duration::from_secs(20);

/// The original and the lab, side by side.
pub struct Pair([Side; 2]);

/// What starts a server at a port.
type Start = Box<dyn Fn() -> (Child, SocketAddr)>;

/// One server, its connections, and one more that asks whether it is done.
pub struct Side {
    start: Start,
    child: Child,
    address: SocketAddr,
    control: TcpStream,
    conns: Vec<Option<TcpStream>>,
    ids: Vec<u64>,
}

impl Pair {
    /// Starts both.
    pub fn start(redis_server: &str) -> Pair {
        let redis_server = redis_server.to_owned();
        let theirs = move || {
            // The port may be taken by somebody else before the server has it; then
            // it ends, and the next one is tried.
            for _ in 0..10 {
                let free = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
                let address = free.local_addr().expect("it has an address");
                drop(free);
                let port = address.port().to_string();
                let mut child = Command::new(&redis_server)
                    .args(["--port", &port, "--bind", "127.0.0.1"])
                    .args(["--save", "", "--appendonly", "no", "--dir", "/"])
                    .stdout(Stdio::null())
                    .stderr(Stdio::null())
                    .spawn()
                    .expect("LAB_REDIS_SERVER is a program");
                let since = Instant::now();
                while since.elapsed() < LONG {
                    if TcpStream::connect(address).is_ok() {
                        return (child, address);
                    }
                    if child.try_wait().expect("it is a child").is_some() {
                        break;
                    }
                    std::thread::sleep(Duration::from_millis(10));
                }
                let _ = child.kill();
                let _ = child.wait();
            }
            panic!("redis-server does not start");
        };
        let ours = || {
            let folder = tempfile::tempdir().expect("a folder");
            let ready = folder.path().join("ready");
            let mut child = Command::new(env!("CARGO_BIN_EXE_lab"))
                .args(["serve", "redis", "--port", "0", "--ready-file"])
                .arg(&ready)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the lab's binary");
            let since = Instant::now();
            while since.elapsed() < LONG {
                let text = std::fs::read_to_string(&ready).unwrap_or_default();
                if let Some(address) = text.trim_end().strip_prefix("redis ") {
                    return (child, address.parse().expect("an address"));
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            let _ = child.kill();
            let _ = child.wait();
            panic!("the lab does not start");
        };
        Pair([Side::new(Box::new(theirs)), Side::new(Box::new(ours))])
    }

    /// Both, the original first.
    pub fn sides(&mut self) -> &mut [Side; 2] {
        &mut self.0
    }

    /// Ends all connections and puts users and settings back; a server on which
    /// that fails starts again.
    pub fn reset(&mut self) {
        for side in &mut self.0 {
            side.reset();
        }
    }
}

impl Side {
    fn new(start: Start) -> Side {
        let (child, address) = start();
        // So that the number of a connection is none that counts something.
        for _ in 0..100 {
            drop(connect(address));
        }
        let control = connect(address);
        Side { start, child, address, control, conns: Vec::new(), ids: Vec::new() }
    }

    fn reset(&mut self) {
        self.conns.clear();
        self.ids.clear();
        const COMMANDS: &[&str] = &[
            "ACL SETUSER default reset on nopass allkeys allchannels allcommands",
            "ACL DELUSER u1 u2",
            "ACL LOG RESET",
            "CONFIG RESETSTAT",
            "CONFIG SET maxclients 10000 timeout 0 acl-pubsub-default resetchannels",
            "CONFIG SET acllog-max-len 128",
            "CONFIG SET client-output-buffer-limit \"pubsub 32mb 8mb 60\"",
        ];
        let done = COMMANDS.iter().all(|command| {
            let answer = self.ask(command);
            answer == "+OK" || answer.starts_with(':')
        });
        if !done {
            let start = std::mem::replace(&mut self.start, Box::new(|| unreachable!()));
            *self = Side::new(start);
        }
    }

    /// Opens `count` connections, in order, and asks each for its number.
    pub fn begin(&mut self, count: usize) {
        for _ in 0..count {
            let mut conn = connect(self.address);
            conn.write_all(b"CLIENT ID\r\n").expect("it listens");
            let line = line(&mut conn).expect("it answers");
            self.ids.push(line[1..].parse().expect("a number"));
            self.conns.push(Some(conn));
        }
        self.settle();
    }

    /// Says what `step` says, and returns what each connection heard of it; `<end>` is
    /// the end.
    pub fn step(&mut self, step: &Step) -> Vec<Vec<u8>> {
        let bytes = step.bytes(&self.ids);
        if let Some(conn) = &mut self.conns[step.conn] {
            conn.set_nonblocking(false).expect("a socket");
            // A server that has closed does not listen; that is heard below.
            let _ = conn.write_all(&bytes);
        }
        self.settle();
        self.conns.iter_mut().map(hear).collect()
    }

    /// The numbers that the server gave to the connections.
    pub fn ids(&self) -> &[u64] {
        &self.ids
    }

    /// Ends a connection.
    pub fn end(&mut self, conn: usize) {
        self.conns[conn] = None;
        self.settle();
    }

    /// Waits until the server has done all that was asked of it. It has one thread,
    /// and writes what a round of its loop came to before the next one reads: when
    /// a second question is answered that was asked after the first one's answer,
    /// the round in which the first was read is over.
    fn settle(&mut self) {
        for _ in 0..2 {
            self.ask("PING");
        }
    }

    /// One line of answer, whatever it says; over a new connection, if a script has
    /// ended the old one.
    fn ask(&mut self, command: &str) -> String {
        for _ in 0..3 {
            let asked = self.control.write_all(format!("{command}\r\n").as_bytes());
            if asked.is_ok()
                && let Some(line) = line(&mut self.control)
            {
                return line;
            }
            self.control = connect(self.address);
        }
        "gone".to_owned()
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let conn = TcpStream::connect(address).expect("it listens");
    conn.set_nodelay(true).expect("a socket");
    conn.set_read_timeout(Some(LONG)).expect("a socket");
    conn
}

fn line(conn: &mut TcpStream) -> Option<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\r\n") {
        if conn.read(&mut byte).ok()? == 0 {
            return None;
        }
        line.push(byte[0]);
    }
    Some(String::from_utf8_lossy(&line[..line.len() - 2]).into_owned())
}

/// All that is there now.
fn hear(conn: &mut Option<TcpStream>) -> Vec<u8> {
    let mut heard = Vec::new();
    let mut has_ended = false;
    if let Some(conn) = conn {
        conn.set_nonblocking(true).expect("a socket");
        let mut buf = [0; 16 << 10];
        loop {
            match conn.read(&mut buf) {
                Ok(0) => has_ended = true,
                Ok(len) => {
                    heard.extend_from_slice(&buf[..len]);
                    continue;
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => has_ended = true,
            }
            break;
        }
    }
    if has_ended {
        *conn = None;
        heard.extend_from_slice(b"<end>");
    }
    heard
}
