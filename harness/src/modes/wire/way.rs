//! The clients' end: connections over TCP, polled by the thread that owns them.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use broker_contract::{Broker, Codec, Frame};
use mio::{Events, Interest, Poll, Token};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::dial::{self, Ports, Queue};
use crate::modes::embedded::Shared;
use crate::modes::embedded::clock::Clock;
use crate::modes::embedded::host::{ToClient, ToNode, Way};
use crate::trial::Calls;
use crate::wire::link::{Got, Link};
use crate::wire::outbox::Pool;
use crate::wire::stream::Stream;

/// Bytes that one read takes.
const READ: usize = 64 << 10;
/// Bytes that a client which has stopped reading is sent before its socket is not
/// read any more: what a transport buffer would hold.
const UNREAD: u64 = 256 << 10;
/// How long to wait before it is looked again whether the server has accepted.
const DIAL: Duration = Duration::from_millis(1);
/// How long the last bytes may take when a trial is over.
const LAST: Duration = Duration::from_secs(3);

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
    /// Connections that wait for their turn to be dialled.
    queue: Queue,
    dirty: Vec<u32>,
    /// Connections that may have more to read.
    hot: Vec<u32>,
    pool: Pool,
    buf: Box<[u8]>,
    /// What was asked of the system.
    asked: Calls,
    /// The same when the run's zero came.
    at_zero: Option<Calls>,
    /// The same when it was over.
    at_end: Option<Calls>,
    /// What came and was not taken yet.
    kept: Vec<ToClient<K::Broker>>,
}

struct Slot<D> {
    link: Link<D>,
    /// Bytes of frames that the client was given and has not read.
    unread: u64,
    /// Whether the socket has been told where to connect.
    is_dialled: bool,
    /// Whether the system has said that it is connected.
    is_up: bool,
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
            queue: Queue::default(),
            dirty: Vec::new(),
            hot: Vec::new(),
            pool: Pool::default(),
            buf: vec![0; READ].into_boxed_slice(),
            asked: Calls::default(),
            at_zero: None,
            at_end: None,
            kept: Vec::new(),
        })
    }

    fn open(&mut self, conn: u32) {
        let Ok(stream) = dial::socket().and_then(|stream| {
            stream.set_nodelay(true)?;
            Ok(stream)
        }) else {
            self.kept.push(ToClient::Closed { conn, discard: None });
            return;
        };
        let at = conn as usize;
        if self.links.len() <= at {
            self.links.resize_with(at + 1, || None);
        }
        self.links[at] = Some(Box::new(Slot {
            link: Link::new(Stream::Tcp(stream), self.codec.down_decoder()),
            unread: 0,
            is_dialled: false,
            is_up: false,
            is_dirty: false,
            is_hot: false,
            is_closing: false,
        }));
        self.queue.ask(conn, &self.shared);
    }

    /// Dials those whose turn has come.
    fn dial(&mut self) {
        while let Some(conn) = self.queue.next(&self.shared) {
            let Self { links, poll, ports, address, .. } = self;
            let Some(Some(slot)) = links.get_mut(conn as usize) else {
                // Whoever asked has left meanwhile.
                self.shared.accepted.fetch_add(1, Ordering::AcqRel);
                continue;
            };
            let dialled = match &slot.link.stream {
                Stream::Tcp(stream) => dial::dial(stream, *address, conn),
                Stream::Unix(_) | Stream::Tls(_) => Err(io::ErrorKind::Unsupported.into()),
            };
            slot.is_dialled = true;
            // What was given meanwhile is written when the system says that it may be.
            let interest = Interest::READABLE | Interest::WRITABLE;
            let registered = dialled.and_then(|from| {
                ports.note(from, conn);
                poll.registry().register(&mut slot.link.stream, Token(conn as usize), interest)
            });
            if registered.is_err() {
                self.fail(conn);
            }
        }
    }

    /// The system has a word on a connection. Returns whether it is there.
    fn arrive(&mut self, conn: u32) -> bool {
        let Some(slot) = self.slot(conn) else { return false };
        if slot.is_up {
            return true;
        }
        match slot.link.stream.take_error() {
            Ok(None) => slot.is_up = true,
            _ => self.fail(conn),
        }
        self.slot(conn).is_some()
    }

    fn slot(&mut self, conn: u32) -> Option<&mut Slot<K::DownDecoder>> {
        self.links.get_mut(conn as usize)?.as_deref_mut()
    }

    fn flush(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for conn in dirty.drain(..) {
            let Self { links, pool, asked, .. } = self;
            let Some(Some(slot)) = links.get_mut(conn as usize) else { continue };
            slot.is_dirty = false;
            if !slot.is_up {
                // The system says when it is connected, and then it is written.
                continue;
            }
            let Ok((bytes, writes)) = slot.link.flush(pool) else {
                self.fail(conn);
                continue;
            };
            asked.writes += writes;
            asked.bytes_out += bytes as u64;
            if slot.is_closing && slot.link.out.is_empty() {
                self.forget(conn);
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
        let Some(mut slot) = self.links.get_mut(conn as usize).and_then(Option::take) else {
            return;
        };
        slot.link.out.clear(&mut self.pool);
        if slot.is_dialled && !slot.is_up {
            // Nobody waits any more for the server to accept it.
            self.shared.accepted.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn read(&mut self, conn: u32, ends: bool) {
        let Self { links, buf, kept, clock, asked, .. } = self;
        let Some(Some(slot)) = links.get_mut(conn as usize) else { return };
        if slot.unread >= UNREAD && !slot.is_closing {
            // It goes on when the client has read.
            Self::warm(&mut self.hot, slot, conn);
            return;
        }
        asked.reads += 1;
        match slot.link.read(buf) {
            Got::Nothing => {}
            Got::End | Got::Failed(_) => self.fail(conn),
            Got::Bytes(len) => {
                asked.bytes_in += len as u64;
                let released = clock.now();
                let (unread, is_closing) = (&mut slot.unread, slot.is_closing);
                let decoded = slot.link.decode(&buf[..len], |frame| {
                    asked.frames_in += 1;
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
    fn turn(&mut self, mut timeout: Duration) -> io::Result<()> {
        self.dial();
        if self.at_zero.is_none() && self.shared.zero().is_some() {
            let connections = self.links.iter().flatten().count() as u64;
            self.at_zero = Some(Calls { connections, ..self.asked });
        }
        if !self.queue.is_empty() {
            timeout = timeout.min(DIAL);
        }
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
            self.asked.polls += 1;
            let registry = self.poll.registry();
            let mut fds = [PollFd::new(registry, PollFlags::IN)];
            match poll(&mut fds, Some(&timeout)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let mut events = std::mem::replace(&mut self.events, Events::with_capacity(0));
        self.asked.polls += 1;
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
            if !self.arrive(conn) {
                continue;
            }
            if event.is_writable()
                && let Some(slot) = self.slot(conn)
                && (!slot.link.out.is_empty() || slot.is_closing)
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
                    // One that is not up yet is closed when it is.
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

    fn calls(&self) -> Option<Calls> {
        let ended = self.at_end.unwrap_or(self.asked);
        Some(ended.since(&self.at_zero.unwrap_or_default()))
    }

    fn conclude(&mut self) {
        self.at_end = Some(self.asked);
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
