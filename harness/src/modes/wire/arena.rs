//! Semantics cases over TCP: the room that [`EmbeddedArena`] has, with a server
//! and sockets in it.
//!
//! **What it is for.** [`TcpRoom`] puts the node of an arena behind
//! [`crate::wire::server`], on a thread of its own, and each connection of its
//! clients on a socket of the loopback interface. The cases, the clients and what
//! steps them are those of embedded mode.
//!
//! **What it never does.** It does not guess whether everything is done: both
//! sides count bytes and connections, and a mark is answered when a turn of the
//! server has left them equal. Only where a connection broke, or a client does not
//! read, do some bytes never arrive; then a mark is answered when nothing has moved
//! for [`GRACE`]. The server keeps its files in memory, so a crash takes them: cases
//! in which something survives one belong to other modes.
//!
//! **Where to start reading.** [`TcpRoom::is_balanced`].

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use broker_contract::{
    Boot, Broker, Codec, Configured, Contender, Frame, NodeId, SeedStream, Time,
};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};

use crate::modes::embedded::arena::{EmbeddedArena, Room, ToClients, ToNode};
use crate::modes::embedded::clock::Clock;
use crate::modes::sim::engine::BrokerOf;
use crate::wire::link::{Got, Link};
use crate::wire::listen::Listener;
use crate::wire::metrics::Counts;
use crate::wire::outbox::Pool;
use crate::wire::server::{Handle, Server, Watcher};
use crate::wire::settings::{Limits, Place};
use crate::wire::stream::Stream;

/// Bytes that one read takes.
const READ: usize = 64 << 10;
/// What a client that does not read is sent before its socket is left alone.
const UNREAD: u64 = 64 << 10;
/// What the kernel may keep for a client that does not read, as far as the client
/// can say; the server's end keeps more.
const RECEIVE_BUFFER: usize = 16 << 10;
/// Where bytes can never arrive, nothing has moved for this long before all counts
/// as done.
const GRACE: Duration = Duration::from_millis(200);
/// The longest wait without looking at a mark again.
const NAP: Duration = Duration::from_millis(10);
/// The token of the server's word that it has had a turn.
const TURN: Token = Token(usize::MAX);

/// An arena over TCP: one node behind a server, and clients that the caller's
/// thread steps.
pub type TcpArena<C, K> = EmbeddedArena<C, TcpRoom<K>>;

/// An arena over TCP, with its node booted.
///
/// # Errors
/// Why there is no port or no thread.
pub fn tcp_arena<C: Contender, K: Codec<Broker = BrokerOf<C>>>(
    codec: K,
    configured: Configured<C>,
    seed: u64,
) -> Result<TcpArena<C, K>, String> {
    let (seed, clock) = (SeedStream::new(seed), Clock::start());
    let room = TcpRoom::new(codec, configured.node, seed.fork("node"), clock)
        .map_err(|error| error.to_string())?;
    Ok(EmbeddedArena::over(room, configured.client, seed, clock))
}

/// What a server had counted when its last turn was over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Turn {
    counts: Counts,
    deadline: Option<Time>,
}

/// Writes each turn down where the clients' thread finds it.
struct Diary {
    last: Arc<Mutex<Turn>>,
    waker: Arc<Waker>,
}

impl<B: Broker> Watcher<B> for Diary {
    fn turn(&mut self, node: &B, _: Time, counts: &Counts) {
        let turn = Turn { counts: counts.clone(), deadline: node.deadline() };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = turn;
        // A room that is gone needs no word.
        let _ = self.waker.wake();
    }
}

/// A server that runs.
#[derive(Debug)]
struct Running {
    handle: Handle,
    address: SocketAddr,
    thread: JoinHandle<io::Result<()>>,
}

/// The clients' end of a connection.
struct Line<D> {
    link: Link<D>,
    is_connected: bool,
    /// Bytes of frames that the client was given and has not read.
    unread: u64,
    /// Whether the client has closed it. What waits is written, then the server
    /// hears of the end, and answers with its own.
    is_closing: bool,
    has_ended: bool,
}

/// A server and the sockets that lead to it.
pub struct TcpRoom<K: Codec> {
    codec: K,
    config: <K::Broker as Broker>::Config,
    seed: SeedStream,
    boots: u64,
    clock: Clock,
    poll: Poll,
    events: Events,
    waker: Arc<Waker>,
    last: Arc<Mutex<Turn>>,
    server: Option<Running>,
    /// Where the first server listened, and where later ones do.
    port: u16,
    lines: BTreeMap<u32, Line<K::DownDecoder>>,
    pool: Pool,
    buf: Box<[u8]>,
    /// Connections made, bytes written and bytes read since the last boot.
    dialed: u64,
    sent: u64,
    received: u64,
    /// What was last seen of the server, and when anything last moved.
    seen: Turn,
    moved: Time,
    marks: Vec<u64>,
    kept: Vec<ToClients<K::Broker>>,
}

impl<K: Codec> TcpRoom<K> {
    fn new(
        codec: K,
        config: <K::Broker as Broker>::Config,
        seed: SeedStream,
        clock: Clock,
    ) -> io::Result<TcpRoom<K>> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), TURN)?);
        Ok(TcpRoom {
            codec,
            config,
            seed,
            boots: 0,
            clock,
            poll,
            events: Events::with_capacity(256),
            waker,
            last: Arc::default(),
            server: None,
            port: 0,
            lines: BTreeMap::new(),
            pool: Pool::default(),
            buf: vec![0; READ].into_boxed_slice(),
            dialed: 0,
            sent: 0,
            received: 0,
            seen: Turn::default(),
            moved: Time::ZERO,
            marks: Vec::new(),
            kept: Vec::new(),
        })
    }

    fn boot(&mut self) {
        if self.server.is_some() {
            return;
        }
        self.boots += 1;
        (self.dialed, self.sent, self.received) = (0, 0, 0);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Turn::default();
        match self.serve() {
            Ok(running) => {
                self.port = running.address.port();
                self.server = Some(running);
            }
            Err(error) => self.fault(format!("the node did not boot: {error}")),
        }
    }

    fn serve(&self) -> Result<Running, Box<dyn std::error::Error>> {
        let boot =
            Boot { seed: self.seed.nth(self.boots), node: NodeId(0), peers: vec![NodeId(0)] };
        let diary = Diary { last: self.last.clone(), waker: self.waker.clone() };
        let server = Server::open(
            self.codec.clone(),
            &self.config,
            boot,
            &[Place::Tcp([127, 0, 0, 1].into(), self.port)],
            Limits::default(),
            self.clock.started(),
            diary,
        )?;
        let address = server
            .listeners()
            .find_map(|listener| match listener {
                Listener::Tcp(_, address) => Some(*address),
                _ => None,
            })
            .ok_or("the server listens on no port")?;
        let handle = server.handle();
        let thread = std::thread::Builder::new()
            .name("node".to_owned())
            .spawn(move || server.run().map(|_| ()))?;
        Ok(Running { handle, address, thread })
    }

    /// The server ends where it stands, as a process does that is killed: its
    /// sockets close, and the system sends what it had taken.
    fn crash(&mut self) {
        let Some(Running { handle, thread, .. }) = self.server.take() else { return };
        handle.stop();
        handle.stop();
        match thread.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => self.fault(format!("the server failed: {error}")),
            Err(_) => self.fault("the node's thread panicked".to_owned()),
        }
    }

    fn fault(&mut self, what: String) {
        self.kept.push(ToClients::Fault(format!("at {}: {what}", self.clock.now())));
    }

    fn open(&mut self, conn: u32) {
        let dialed = self.server.as_ref().map(|server| server.address).and_then(|to| {
            // Nobody listens between a crash and the next boot, and the clients hear
            // of that as of any other end.
            self.dial(to, conn).ok()
        });
        match dialed {
            Some(line) => {
                self.dialed += 1;
                self.lines.insert(conn, line);
            }
            None => self.kept.push(ToClients::Closed { conn, discard: false }),
        }
    }

    fn dial(&self, to: SocketAddr, conn: u32) -> io::Result<Line<K::DownDecoder>> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
        sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER)?;
        match connect(&socket, &to) {
            Ok(()) | Err(rustix::io::Errno::INPROGRESS) => {}
            Err(error) => return Err(error.into()),
        }
        let mut stream = TcpStream::from_std(socket.into());
        stream.set_nodelay(true)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(conn as usize), interest)?;
        Ok(Line {
            link: Link::new(Stream::Tcp(stream), self.codec.down_decoder()),
            is_connected: false,
            unread: 0,
            is_closing: false,
            has_ended: false,
        })
    }

    fn flush(&mut self, conn: u32) {
        let Self { lines, pool, sent, .. } = self;
        let Some(line) = lines.get_mut(&conn).filter(|line| line.is_connected) else { return };
        match line.link.flush(pool) {
            Ok((bytes, _)) => {
                *sent += bytes as u64;
                let is_last = line.is_closing && line.link.out.is_empty();
                if is_last && !std::mem::replace(&mut line.has_ended, true) {
                    line.link.stream.end();
                }
            }
            Err(_) => self.fail(conn),
        }
    }

    /// The connection is no more; the client hears of it unless it closed it.
    fn fail(&mut self, conn: u32) {
        let Some(mut line) = self.lines.remove(&conn) else { return };
        line.link.out.clear(&mut self.pool);
        if !line.is_closing {
            self.kept.push(ToClients::Closed { conn, discard: false });
        }
    }

    /// Reads what is there, as far as the client keeps up.
    fn read(&mut self, conn: u32) {
        loop {
            let Self { lines, buf, kept, received, .. } = self;
            let Some(line) = lines.get_mut(&conn) else { return };
            if line.unread >= UNREAD && !line.is_closing {
                return;
            }
            match line.link.read(buf) {
                Got::Nothing => return,
                Got::End | Got::Failed(_) => return self.fail(conn),
                Got::Bytes(len) => {
                    *received += len as u64;
                    let Line { link, unread, is_closing, .. } = line;
                    let decoded = link.decode(&buf[..len], |frame| {
                        if !*is_closing {
                            *unread += frame.wire_len() as u64;
                            kept.push(ToClients::Frame { conn, frame });
                        }
                        ControlFlow::Continue(())
                    });
                    if let Err(error) = decoded {
                        self.fault(format!("the node's bytes are no frames: {error}"));
                        return self.fail(conn);
                    }
                }
            }
        }
    }

    fn writable(&mut self, conn: u32) {
        let Some(line) = self.lines.get_mut(&conn) else { return };
        if !line.is_connected {
            if !matches!(line.link.stream.take_error(), Ok(None)) {
                return self.fail(conn);
            }
            line.is_connected = true;
            if !line.is_closing {
                self.kept.push(ToClients::Connected { conn });
            }
        }
        self.flush(conn);
    }

    /// Waits for up to `timeout` and does what the sockets allow.
    fn turn(&mut self, timeout: Duration) {
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let before = (self.sent, self.received, self.lines.len());
        match self.poll.poll(&mut events, Some(timeout)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                self.fault(format!("sockets cannot be waited for: {error}"));
            }
            _ => {}
        }
        for event in &events {
            if event.token() == TURN {
                continue;
            }
            let conn = event.token().0 as u32;
            if event.is_writable() {
                self.writable(conn);
            }
            if event.is_readable() || event.is_error() {
                self.read(conn);
            }
        }
        self.events = events;
        let now = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // A server turns without being asked, too; only what it counts is movement.
        let counted = |turn: &Turn| {
            let counts = &turn.counts;
            (
                counts.accepted_total,
                counts.connections,
                counts.bytes_in_total,
                counts.bytes_out_total,
            )
        };
        let is_new = counted(&now) != counted(&self.seen);
        self.seen = now;
        if is_new || before != (self.sent, self.received, self.lines.len()) {
            self.moved = self.clock.now();
        }
    }

    /// Whether the server has read all that was sent and the clients all that it
    /// wrote, and neither has anything left to write.
    fn is_balanced(&self) -> bool {
        let (counts, lines) = (&self.seen.counts, self.lines.len() as u64);
        let said = self.lines.values().all(|line| line.is_connected && line.link.out.is_empty());
        said && (counts.bytes_in_total, counts.bytes_out_total) == (self.sent, self.received)
            && (counts.accepted_total, counts.connections) == (self.dialed, lines)
            && counts.buffered_bytes == 0
    }

    /// Answers marks, if all is done.
    fn echo(&mut self) {
        if self.marks.is_empty() {
            return;
        }
        if self.server.is_some() && !self.is_balanced() {
            if self.clock.now() < self.moved + GRACE {
                return;
            }
            // What has not arrived by now never will: from here on both sides count
            // alike again. What a client has not read may still come.
            let counts = &self.seen.counts;
            (self.dialed, self.sent) = (counts.accepted_total, counts.bytes_in_total);
            if self.lines.values().all(|line| line.unread < UNREAD) {
                self.received = counts.bytes_out_total;
            }
        }
        let deadline = self.seen.deadline.filter(|_| self.server.is_some());
        for mark in self.marks.drain(..) {
            self.kept.push(ToClients::Echo { mark, deadline, syncs: 0 });
        }
    }
}

impl<K: Codec> Room<K::Broker> for TcpRoom<K> {
    fn give(&mut self, batch: &mut Vec<ToNode<K::Broker>>) {
        for item in batch.drain(..) {
            match item {
                ToNode::Opened { conn } => self.open(conn),
                ToNode::Frame { conn, frame } => {
                    if let Some(line) = self.lines.get_mut(&conn) {
                        line.link.out.lend(&mut self.pool);
                        K::encode_up(&frame, &mut line.link.out);
                    }
                    self.flush(conn);
                }
                ToNode::Closed { conn } => {
                    if let Some(line) = self.lines.get_mut(&conn) {
                        line.is_closing = true;
                    }
                    self.flush(conn);
                    self.read(conn);
                }
                ToNode::Drained { conn, bytes } => {
                    let Some(line) = self.lines.get_mut(&conn) else { continue };
                    line.unread = line.unread.saturating_sub(bytes);
                    self.read(conn);
                }
                ToNode::Crash(_) | ToNode::Stop => self.crash(),
                ToNode::Boot => self.boot(),
                ToNode::Mark(mark) => {
                    self.moved = self.clock.now();
                    self.marks.push(mark);
                }
                // A server's syncs are its own.
                ToNode::Synced { .. } => {}
            }
        }
    }

    fn wait(&mut self, batch: &mut Vec<ToClients<K::Broker>>, patience: Duration) {
        let until = self.clock.now() + patience;
        let mut timeout = Duration::ZERO;
        loop {
            self.turn(timeout);
            // Whatever came may be answered with more, so it is handed over first.
            if self.kept.is_empty() {
                self.echo();
            }
            let left = until.since(self.clock.now());
            if !self.kept.is_empty() || left.is_zero() {
                break;
            }
            timeout = left.min(NAP);
        }
        batch.append(&mut self.kept);
    }

    fn is_dead(&self) -> bool {
        self.server.as_ref().is_some_and(|server| server.thread.is_finished())
    }
}
