//! The clients' end: connections over TCP, polled by the thread that owns them.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use broker_contract::{Broker, Codec, Frame};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};

use crate::modes::embedded::Shared;
use crate::modes::embedded::clock::Clock;
use crate::modes::embedded::host::{ToClient, ToNode, Way};
use crate::wire::link::{Got, Link};
use crate::wire::outbox::Pool;
use crate::wire::stream::Stream;

/// Bytes that one read takes.
const READ: usize = 64 << 10;
/// Bytes that a client which has stopped reading is sent before its socket is not
/// read any more: what a transport buffer would hold.
const UNREAD: u64 = 256 << 10;
/// Connections that leave from one address.
const A_SOURCE: u32 = 20_000;
/// How long the last bytes may take when a trial is over.
const LAST: Duration = Duration::from_secs(3);

/// Which address each connection left from.
#[derive(Debug, Default)]
pub(super) struct Ports(Mutex<BTreeMap<SocketAddr, u32>>);

impl Ports {
    fn note(&self, address: SocketAddr, conn: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(address, conn);
    }

    /// The connection that left from `address`; the last one, if there were several.
    pub(super) fn conn_of(&self, address: SocketAddr) -> Option<u32> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&address).copied()
    }
}

/// The connections of one thread of clients.
pub(super) struct TcpWay<K: Codec> {
    codec: K,
    address: SocketAddr,
    clock: Clock,
    ports: Arc<Ports>,
    shared: Arc<Shared>,
    /// Whether what comes at the very end is still of interest.
    receives: bool,
    poll: Poll,
    events: Events,
    links: Vec<Option<Box<Slot<K::DownDecoder>>>>,
    dirty: Vec<u32>,
    /// Connections that may have more to read.
    hot: Vec<u32>,
    pool: Pool,
    buf: Box<[u8]>,
    /// What came and was not taken yet.
    kept: Vec<ToClient<K::Broker>>,
}

struct Slot<D> {
    link: Link<D>,
    /// Bytes of frames that the client was given and has not read.
    unread: u64,
    is_dirty: bool,
    is_hot: bool,
    /// Whether the client has closed it: what waits is written, then it ends.
    is_closing: bool,
}

impl<K: Codec> TcpWay<K> {
    pub(super) fn new(
        codec: K,
        address: SocketAddr,
        clock: Clock,
        ports: Arc<Ports>,
        shared: Arc<Shared>,
        receives: bool,
    ) -> io::Result<TcpWay<K>> {
        Ok(TcpWay {
            codec,
            address,
            clock,
            ports,
            shared,
            receives,
            poll: Poll::new()?,
            events: Events::with_capacity(1_024),
            links: Vec::new(),
            dirty: Vec::new(),
            hot: Vec::new(),
            pool: Pool::default(),
            buf: vec![0; READ].into_boxed_slice(),
            kept: Vec::new(),
        })
    }

    fn open(&mut self, conn: u32) {
        let Ok(slot) = self.connect(conn) else {
            self.kept.push(ToClient::Closed { conn, discard: None });
            return;
        };
        let at = conn as usize;
        if self.links.len() <= at {
            self.links.resize_with(at + 1, || None);
        }
        self.links[at] = Some(Box::new(slot));
    }

    fn connect(&self, conn: u32) -> io::Result<Slot<K::DownDecoder>> {
        // The loopback interface connects at once; what is sent before the system
        // says so waits in the outbox.
        let mut stream = TcpStream::from_std(dial(self.address, conn)?);
        stream.set_nodelay(true)?;
        self.ports.note(stream.local_addr()?, conn);
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(conn as usize), interest)?;
        let link = Link::new(Stream::Tcp(stream), self.codec.down_decoder());
        Ok(Slot { link, unread: 0, is_dirty: false, is_hot: false, is_closing: false })
    }

    fn slot(&mut self, conn: u32) -> Option<&mut Slot<K::DownDecoder>> {
        self.links.get_mut(conn as usize)?.as_deref_mut()
    }

    fn flush(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for conn in dirty.drain(..) {
            let Self { links, pool, .. } = self;
            let Some(Some(slot)) = links.get_mut(conn as usize) else { continue };
            slot.is_dirty = false;
            match slot.link.flush(pool) {
                Ok(_) if slot.is_closing && slot.link.out.is_empty() => self.forget(conn),
                Ok(_) => {}
                // Not connected yet: the system says when it is.
                Err(error) if error.kind() == io::ErrorKind::NotConnected => {}
                Err(_) => self.fail(conn),
            }
        }
        self.dirty = dirty;
    }

    /// The connection is no more; the client hears of it unless it closed it.
    fn fail(&mut self, conn: u32) {
        let Some(slot) = self.slot(conn) else { return };
        if !slot.is_closing {
            self.kept.push(ToClient::Closed { conn, discard: None });
        }
        self.forget(conn);
    }

    fn forget(&mut self, conn: u32) {
        if let Some(mut slot) = self.links.get_mut(conn as usize).and_then(Option::take) {
            slot.link.out.clear(&mut self.pool);
        }
    }

    fn read(&mut self, conn: u32, ends: bool) {
        let Self { links, buf, kept, clock, .. } = self;
        let Some(Some(slot)) = links.get_mut(conn as usize) else { return };
        if slot.unread >= UNREAD && !slot.is_closing {
            // It goes on when the client has read.
            Self::warm(&mut self.hot, slot, conn);
            return;
        }
        match slot.link.read(buf) {
            Got::Nothing => {}
            Got::End | Got::Failed(_) => self.fail(conn),
            Got::Bytes(len) => {
                let released = clock.now();
                let (unread, is_closing) = (&mut slot.unread, slot.is_closing);
                let decoded = slot.link.decode(&buf[..len], |frame| {
                    if !is_closing {
                        *unread += frame.wire_len() as u64;
                        kept.push(ToClient::Frame { conn, released, frame });
                    }
                    ControlFlow::Continue(())
                });
                if decoded.is_err() {
                    self.fail(conn);
                } else if len == buf.len() || ends {
                    Self::warm(&mut self.hot, slot, conn);
                }
            }
        }
    }

    fn warm(hot: &mut Vec<u32>, slot: &mut Slot<K::DownDecoder>, conn: u32) {
        if !std::mem::replace(&mut slot.is_hot, true) {
            hot.push(conn);
        }
    }

    /// Waits for up to `timeout` and reads what came.
    fn turn(&mut self, timeout: Duration) -> io::Result<()> {
        let ready = self.hot.iter().any(|conn| {
            let slot = self.links.get(*conn as usize).and_then(Option::as_ref);
            slot.is_some_and(|slot| slot.unread < UNREAD || slot.is_closing)
        });
        if !timeout.is_zero() && !ready && self.kept.is_empty() {
            // The poller counts in milliseconds, the generator in microseconds.
            let timeout = Timespec {
                tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: i64::from(timeout.subsec_nanos()),
            };
            let registry = self.poll.registry();
            let mut fds = [PollFd::new(registry, PollFlags::IN)];
            match poll(&mut fds, Some(&timeout)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        let polled = self.poll.poll(&mut events, Some(Duration::ZERO));
        let mut hot = std::mem::take(&mut self.hot);
        for conn in hot.drain(..) {
            if let Some(slot) = self.slot(conn) {
                slot.is_hot = false;
            }
            self.read(conn, false);
        }
        if self.hot.is_empty() {
            self.hot = hot;
        }
        for event in &events {
            let conn = event.token().0 as u32;
            if event.is_writable()
                && let Some(slot) = self.slot(conn)
                && !slot.link.out.is_empty()
                && !std::mem::replace(&mut slot.is_dirty, true)
            {
                self.dirty.push(conn);
            }
            if event.is_readable() || event.is_error() {
                self.read(conn, event.is_read_closed());
            }
        }
        self.events = events;
        self.flush();
        match polled {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(error),
            _ => Ok(()),
        }
    }
}

/// Begins to connect to `to`, a port of 127.0.0.1. One source address has some
/// 28,000 ports, so connections spread over several.
fn dial(to: SocketAddr, conn: u32) -> io::Result<std::net::TcpStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    let from = [127, 0, 0, 1 + (conn / A_SOURCE % 200) as u8];
    bind(&socket, &SocketAddr::from((from, 0)))?;
    match connect(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(socket.into()),
        Err(error) => Err(error.into()),
    }
}

impl<K: Codec> Way<K::Broker> for TcpWay<K> {
    fn give(&mut self, batch: &mut Vec<ToNode<K::Broker>>) {
        for item in batch.drain(..) {
            match item {
                ToNode::Opened { conn, .. } => self.open(conn),
                ToNode::Frame { conn, frame } => {
                    let Self { links, pool, dirty, .. } = self;
                    let Some(Some(slot)) = links.get_mut(conn as usize) else { continue };
                    slot.link.out.lend(pool);
                    K::encode_up(&frame, &mut slot.link.out);
                    if !std::mem::replace(&mut slot.is_dirty, true) {
                        dirty.push(conn);
                    }
                }
                ToNode::Closed { conn } => {
                    let Self { links, dirty, .. } = self;
                    let Some(Some(slot)) = links.get_mut(conn as usize) else { continue };
                    slot.is_closing = true;
                    if !std::mem::replace(&mut slot.is_dirty, true) {
                        dirty.push(conn);
                    }
                }
                ToNode::Drained { conn, bytes } => {
                    if let Some(slot) = self.slot(conn) {
                        slot.unread = slot.unread.saturating_sub(bytes);
                    }
                }
                // A server's syncs are its own.
                ToNode::Synced { .. } => {}
            }
        }
        self.flush();
    }

    fn wait(&mut self, batch: &mut Vec<ToClient<K::Broker>>, timeout: Duration) -> bool {
        if let Err(error) = self.turn(timeout) {
            // Without the system's word on sockets no more will come.
            crate::term::note(&format!("lab: sockets cannot be waited for: {error}"));
            self.shared.stop();
        }
        std::mem::swap(batch, &mut self.kept);
        if !batch.is_empty() {
            self.shared.moved();
        }
        !batch.is_empty()
    }

    fn conclude(&mut self) {
        let ends = self.clock.now() + LAST;
        let mut told = false;
        while self.clock.now() < ends && self.turn(Duration::from_millis(5)).is_ok() {
            let mut open = self.links.iter().flatten();
            if open.all(|slot| slot.link.out.is_empty()) && !self.receives && !told {
                // The server reads to the end, then closes its side.
                told = true;
                self.links.iter().flatten().for_each(|slot| slot.link.stream.end());
            }
            if self.links.iter().flatten().next().is_none() {
                break;
            }
            for slot in self.links.iter_mut().flatten() {
                slot.unread = 0;
            }
        }
    }
}

impl<K: Codec> fmt::Debug for TcpWay<K>
where
    K::Broker: Broker,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpWay").field("address", &self.address).finish_non_exhaustive()
    }
}
