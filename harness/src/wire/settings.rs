//! What a server is told: where to listen, and what it may use of the machine.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A TCP port of an address; port 0 picks one.
    Tcp(IpAddr, u16),
    /// The same, for clients that speak TLS.
    Tls(IpAddr, u16),
    /// A Unix socket. A socket that nobody listens on is replaced.
    Unix(PathBuf),
}

impl Place {
    /// Whether only this machine can reach it.
    pub fn is_local(&self) -> bool {
        match self {
            Place::Tcp(address, _) | Place::Tls(address, _) => address.is_loopback(),
            Place::Unix(_) => true,
        }
    }
}

/// What a server may use of the machine, whatever the protocol says.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in the buffers of all connections together. Whoever makes them grow
    /// beyond it is closed.
    pub buffered_bytes: u64,
    /// Bytes that a node may store where its store is memory.
    pub stored_bytes: u64,
    /// How long a peer may take over one frame once it has begun; zero for ever.
    pub partial: Duration,
    /// How long a peer may take to agree on keys, where there is TLS.
    pub handshake: Duration,
    /// How long a peer that was told goodbye may take to read it.
    pub linger: Duration,
    /// How long a server that is asked to stop waits for its connections.
    pub drain: Duration,
    /// How long a server looks for more work before it sleeps, while the work of late
    /// came faster than that; zero for never. See [`super::spin`].
    pub spin: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            buffered_bytes: 4 << 30,
            stored_bytes: 4 << 30,
            partial: Duration::from_secs(60),
            handshake: Duration::from_secs(5),
            linger: Duration::from_secs(2),
            drain: Duration::from_secs(10),
            spin: Duration::ZERO,
        }
    }
}
