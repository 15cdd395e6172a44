//! How clients reach the server: from which address, and how many at a time.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use mio::net::TcpStream;
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{
    AddressFamily, SocketFlags, SocketType, bind, connect, getsockname, socket_with,
};

use crate::modes::embedded::Shared;

/// Connections that leave from one address, each from a port of its own.
///
/// The system could pick the ports, but it has 28,000 for an address, passes over
/// those of connections that ended within the last minute, and takes ten
/// milliseconds over each when few are left: some trials of 8,000 connections one
/// after the other were enough for that.
const A_SOURCE: u32 = 20_000;
/// The first of these ports.
const FIRST_PORT: u32 = 10_000;
/// How often another port is tried, so many further on, where somebody listens on
/// the first.
const TRIES: u32 = 2;
/// Source addresses that are used, from 127.0.0.1 on.
const SOURCES: u32 = 200;
/// Connections that may wait for the server to accept them. Beyond a listener's
/// queue (128 at least) the system throws a connection's first packet away, and a
/// second passes before it is sent again: late deliveries that no broker has caused.
const UNDER_WAY: u32 = 100;

/// Which address each connection left from.
#[derive(Debug, Default)]
pub(super) struct Ports(Mutex<BTreeMap<SocketAddr, u32>>);

impl Ports {
    pub(super) fn note(&self, address: SocketAddr, conn: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(address, conn);
    }

    /// The connection that left from `address`; the last one, if there were several.
    pub(super) fn conn_of(&self, address: SocketAddr) -> Option<u32> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&address).copied()
    }
}

/// Connections that were asked for and wait until it is their turn.
#[derive(Debug, Default)]
pub(super) struct Queue(VecDeque<u32>);

impl Queue {
    /// Someone wants `conn`.
    pub(super) fn ask(&mut self, conn: u32, shared: &Shared) {
        shared.asked.fetch_add(1, Ordering::AcqRel);
        self.0.push_back(conn);
    }

    /// Whether nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next connection that may be dialled now.
    pub(super) fn next(&mut self, shared: &Shared) -> Option<u32> {
        let accepted = shared.accepted.load(Ordering::Acquire);
        if shared.dialled.load(Ordering::Acquire).saturating_sub(accepted) >= UNDER_WAY {
            return None;
        }
        let conn = self.0.pop_front()?;
        shared.dialled.fetch_add(1, Ordering::AcqRel);
        Some(conn)
    }
}

/// A socket that is not connected yet.
pub(super) fn socket() -> io::Result<TcpStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    Ok(TcpStream::from_std(socket.into()))
}

/// Connects `socket` to `to`, a port of 127.0.0.1, or begins to where it does not
/// block, from the address and port that are the turn of `conn`. Returns these.
pub(crate) fn dial(socket: impl AsFd, to: SocketAddr, conn: u32) -> io::Result<SocketAddr> {
    let from = [127, 0, 0, 1 + (conn / A_SOURCE % SOURCES) as u8];
    let port = |attempt: u32| (FIRST_PORT + attempt * A_SOURCE + conn % A_SOURCE) as u16;
    // A connection of an earlier trial may have ended on it; it led elsewhere.
    let socket = socket.as_fd();
    set_socket_reuseaddr(socket, true)?;
    for port in (0..TRIES).map(port).chain([0]) {
        match bind(socket, &SocketAddr::from((from, port))) {
            Ok(()) => break,
            Err(Errno::ADDRINUSE) if port != 0 => {}
            Err(error) => return Err(error.into()),
        }
    }
    match connect(socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => {
            SocketAddr::try_from(getsockname(socket)?).map_err(io::Error::from)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn connections_spread_over_source_addresses() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let to = listener.local_addr().expect("bound");
        for (conn, last) in [(0, 1), (A_SOURCE - 1, 1), (A_SOURCE, 2), (49_999, 3)] {
            let socket = socket().expect("descriptors are free");
            let leaves = dial(&socket, to, conn).expect("127.0.0.0/8 is this machine");
            let (_, from) = listener.accept().expect("it was dialled");
            assert_eq!(from, leaves);
            assert_eq!(from.ip(), std::net::IpAddr::from([127, 0, 0, last]), "{conn}");
        }
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_passed_over() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
        let to = listener.local_addr().expect("bound");
        // Whether it is free or another program's, the connection leaves from elsewhere.
        let conn = 12_345;
        let _taken = TcpListener::bind(("127.0.0.1", (FIRST_PORT + conn) as u16));
        let socket = socket().expect("descriptors are free");
        let from = dial(&socket, to, conn).expect("another port is tried");
        assert_ne!(u32::from(from.port()), FIRST_PORT + conn);
    }

    #[test]
    fn no_more_are_dialled_than_the_server_has_accepted_and_some() {
        let (mut queue, shared) = (Queue::default(), Shared::default());
        (0..UNDER_WAY + 100).for_each(|conn| queue.ask(conn, &shared));
        let all = |queue: &mut Queue| std::iter::from_fn(|| queue.next(&shared)).count();
        assert_eq!(all(&mut queue), UNDER_WAY as usize);
        assert_eq!(shared.connecting(), UNDER_WAY + 100);
        shared.accepted.fetch_add(30, Ordering::AcqRel);
        assert_eq!(queue.next(&shared), Some(UNDER_WAY), "in order");
        assert_eq!(all(&mut queue), 29);
        shared.accepted.fetch_add(UNDER_WAY + 70, Ordering::AcqRel);
        assert_eq!((all(&mut queue), queue.is_empty(), shared.connecting()), (70, true, 0));
    }
}
