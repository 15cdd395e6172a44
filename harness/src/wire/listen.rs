//! Sockets that take connections.

use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use broker_contract::Origin;
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};

use super::settings::Place;
use super::stream::Stream;

/// Connections that may wait to be accepted; the system takes fewer if its own
/// limit is lower. One that comes when the queue is full is not refused: its first
/// packet is thrown away, and sent again a second later.
const BACKLOG: i32 = 4_096;

/// A socket that takes connections.
#[derive(Debug)]
pub enum Listener {
    /// On a port.
    Tcp(TcpListener, SocketAddr),
    /// On a path, which is removed with the listener.
    Unix(UnixListener, PathBuf),
}

/// Why a place cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{place} cannot be listened on: {reason}")]
pub struct ListenError {
    place: String,
    reason: String,
}

impl ListenError {
    /// TLS was asked for, and nothing to have it with was given.
    pub fn no_certificate(place: &Place) -> ListenError {
        let place = match place {
            Place::Tcp(address, port) | Place::Tls(address, port) => format!("{address}:{port}"),
            Place::Unix(path) => path.display().to_string(),
        };
        ListenError { place, reason: "there is no certificate for it".to_owned() }
    }
}

impl Listener {
    /// Listens on `place`.
    ///
    /// # Errors
    /// [`ListenError`] in one line: the port or path is taken, not ours to take,
    /// or not of this machine.
    pub fn open(place: &Place) -> Result<Listener, ListenError> {
        match place {
            Place::Tcp(address, port) | Place::Tls(address, port) => {
                let wanted = SocketAddr::new(*address, *port);
                let failed = |error: io::Error| {
                    let reason = match error.kind() {
                        io::ErrorKind::AddrInUse => "another process has it".to_owned(),
                        _ => error.to_string(),
                    };
                    ListenError { place: wanted.to_string(), reason }
                };
                let listener = TcpListener::bind(wanted).map_err(failed)?;
                rustix::net::listen(&listener, BACKLOG).map_err(|error| failed(error.into()))?;
                let got = listener.local_addr().map_err(failed)?;
                Ok(Listener::Tcp(listener, got))
            }
            Place::Unix(path) => {
                let shown = lab_reports::clean::line(&path.display().to_string(), 200);
                let failed = |reason: String| ListenError { place: format!("`{shown}`"), reason };
                free(path).map_err(failed)?;
                let listener =
                    UnixListener::bind(path).map_err(|error| failed(error.to_string()))?;
                Ok(Listener::Unix(listener, path.clone()))
            }
        }
    }

    /// Takes one connection that waits.
    ///
    /// # Errors
    /// `WouldBlock` when none does, or what is wrong.
    pub fn accept(&self) -> io::Result<(Stream, Origin)> {
        match self {
            Listener::Tcp(listener, _) => {
                let (stream, address) = listener.accept()?;
                // Whatever a turn has to say goes out in one write anyway.
                let _ = stream.set_nodelay(true);
                let address = Some(Arc::from(address.to_string()));
                Ok((Stream::Tcp(stream), Origin { address, identity: None }))
            }
            Listener::Unix(listener, path) => {
                let (stream, _) = listener.accept()?;
                let address = Some(Arc::from(format!("{}:0", path.display())));
                Ok((Stream::Unix(stream), Origin { address, identity: None }))
            }
        }
    }

    /// Tells `registry` to wake `token` for new connections.
    ///
    /// # Errors
    /// Those of the system.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Listener::Tcp(listener, _) => registry.register(listener, token, Interest::READABLE),
            Listener::Unix(listener, _) => registry.register(listener, token, Interest::READABLE),
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listener::Tcp(_, address) => write!(f, "{address}"),
            Listener::Unix(_, path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix(_, path) = self {
            let _ = fs::remove_file(path);
        }
    }
}

/// Removes a socket that a killed process left; refuses anything else.
fn free(path: &Path) -> Result<(), String> {
    let kind = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.to_string()),
        Ok(found) => found.file_type(),
    };
    if !kind.is_socket() {
        return Err("something that is no socket is there".to_owned());
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err("another process has it".to_owned());
    }
    fs::remove_file(path).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_place_is_refused_and_a_left_socket_is_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bus.sock");
        let place = Place::Unix(path.clone());
        let first = Listener::open(&place).expect("free");
        let refused = Listener::open(&place).expect_err("taken").to_string();
        assert!(refused.contains("another process has it"), "{refused}");
        drop(first);
        assert!(!path.exists(), "removed with its listener");
        // What a process leaves that was killed: a socket without a listener.
        drop(std::os::unix::net::UnixListener::bind(&path).expect("free"));
        assert!(path.exists());
        Listener::open(&place).expect("nobody listens");
        fs::write(&path, "precious").expect("written");
        assert!(Listener::open(&place).is_err(), "a file is not replaced");
        assert_eq!(fs::read(&path).expect("still there"), b"precious");

        let any = Place::Tcp([127, 0, 0, 1].into(), 0);
        let opened = Listener::open(&any).expect("free");
        let Listener::Tcp(_, address) = &opened else { unreachable!("a port was asked for") };
        assert_ne!(address.port(), 0);
        assert!(Listener::open(&Place::Tcp(address.ip(), address.port())).is_err());
    }
}
