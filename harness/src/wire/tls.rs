//! TLS of a server: its certificate, and the bytes of one connection.
//!
//! A connection is a [`TlsStream`]: the session of rustls over a socket that never
//! blocks. What a peer sends is decrypted in place and copied once, into the
//! buffer that the loop reads all connections into; what goes out is encrypted
//! straight from the outbox's pieces. A stream takes at most one piece of 64 KiB
//! that the socket has not, so what the node hears of as taken is about what the
//! kernel has.

use std::fs;
use std::io::{self, IoSlice, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, ServerConnection};

/// The part of a read's buffer that takes what the socket has; what that decrypts
/// to goes in front of it, with what was left of a record.
const SEALED: usize = 16 << 10;
/// A record, and a little more.
const RECORD: usize = 17 << 10;

/// Where a server's certificate lies, all in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The certificate, and those between it and one that clients trust.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Who signs the certificates of clients, which are then asked for one.
    pub ca: Option<PathBuf>,
}

/// When a connection's TLS begins.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the first byte, as Redis has it.
    AtOnce,
    /// After what the node says first, as NATS has it with INFO.
    AfterGreeting,
}

/// A server's side of TLS, for all its connections.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ServerConfig>,
    start: Start,
}

/// Why there is no TLS: one line, which names the file.
#[derive(Debug, thiserror::Error)]
#[error("`{file}` {reason}")]
pub struct TlsError {
    file: String,
    reason: String,
}

fn wrong(path: &Path, reason: impl Into<String>) -> TlsError {
    let file = lab_reports::clean::line(&path.display().to_string(), 200);
    TlsError { file, reason: reason.into() }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| wrong(path, format!("cannot be read: {error}")))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<Vec<_>, pem::Error>>()
        .map_err(|error| wrong(path, format!("is no PEM file: {error}")))?;
    if found.is_empty() {
        return Err(wrong(path, "holds no certificate"));
    }
    Ok(found)
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`TlsError`]: a file is not there, holds something else, or the key is
    /// another certificate's.
    pub fn load(files: &Files, start: Start) -> Result<Tls, TlsError> {
        let chain = certificates(&files.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?).map_err(|error| {
            let reason = match error {
                pem::Error::NoItemsFound => "holds no private key".to_owned(),
                other => format!("is no PEM file: {other}"),
            };
            wrong(&files.key, reason)
        })?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(&files.cert, format!("cannot be used: {error}")))?;
        let builder = match &files.ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for root in certificates(path)? {
                    roots
                        .add(root)
                        .map_err(|error| wrong(path, format!("cannot be used: {error}")))?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                        .build()
                        .map_err(|error: VerifierBuilderError| {
                            wrong(path, format!("cannot be used: {error}"))
                        })?;
                builder.with_client_cert_verifier(verifier)
            }
        };
        let config = builder.with_single_cert(chain, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                wrong(&files.key, "is the key of another certificate")
            }
            other => wrong(&files.cert, format!("cannot be used: {other}")),
        })?;
        Ok(Tls { config: Arc::new(config), start })
    }

    /// A connection that was accepted.
    ///
    /// # Errors
    /// That rustls cannot begin a session.
    pub fn accept(&self, socket: TcpStream) -> io::Result<TlsStream> {
        let session = ServerConnection::new(self.config.clone()).map_err(io::Error::other)?;
        Ok(TlsStream {
            socket,
            session,
            is_plain: self.start == Start::AfterGreeting,
            has_ended: false,
            has_more: false,
            sealed: 0,
        })
    }
}

/// One connection with TLS.
#[derive(Debug)]
pub struct TlsStream {
    socket: TcpStream,
    session: ServerConnection,
    /// Before TLS begins.
    is_plain: bool,
    /// The peer will send no more.
    has_ended: bool,
    /// The last read left something.
    has_more: bool,
    /// Bytes that were taken and may not be the kernel's yet.
    sealed: usize,
}

impl TlsStream {
    /// The socket below.
    pub fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    /// The socket below, to look at.
    pub fn socket_ref(&self) -> &TcpStream {
        &self.socket
    }

    /// From here on everything is encrypted.
    pub fn begin(&mut self) {
        self.is_plain = false;
    }

    /// Whether what is written now goes out as it is.
    pub fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// Whether the two sides have not agreed on keys yet.
    pub fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// Whether the socket has not taken all that it should.
    pub fn wants_write(&self) -> bool {
        !self.is_plain && self.session.wants_write()
    }

    /// Whether the last read left something that no event of the socket tells of.
    pub fn has_more(&self) -> bool {
        self.has_more
    }

    /// Bytes that wait here, as far as they are known.
    pub fn held(&self) -> usize {
        self.sealed
    }

    /// Reads and decrypts what is there; 0 at the peer's end.
    ///
    /// # Errors
    /// `WouldBlock` when there is nothing, or what is wrong with the stream.
    pub fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.is_plain {
            return self.socket.read(buf);
        }
        self.has_more = false;
        let (opened, fresh) = buf.split_at_mut(buf.len().saturating_sub(SEALED));
        let mut done = self.decrypted(opened)?;
        loop {
            if self.has_ended {
                // The end is told of when everything before it has been.
                self.has_more = done > 0;
                return Ok(done);
            }
            if done > 0 && opened.len() - done < SEALED + RECORD {
                self.has_more = true;
                return Ok(done);
            }
            match self.socket.read(fresh) {
                Ok(0) => self.has_ended = true,
                Ok(len) => done += self.decrypt(&fresh[..len], &mut opened[done..])?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) if done > 0 => {
                    // An error shows again, and so does that nothing is there.
                    return Ok(done);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn decrypt(&mut self, mut sealed: &[u8], opened: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while !sealed.is_empty() {
            self.session.read_tls(&mut sealed)?;
            if let Err(error) = self.session.process_new_packets() {
                // The peer is told what it did wrong, if it still listens.
                let _ = self.flush();
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
            done += self.decrypted(&mut opened[done..])?;
        }
        Ok(done)
    }

    /// Takes what has been decrypted.
    fn decrypted(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        let mut reader = self.session.reader();
        while done < buf.len() {
            match reader.read(&mut buf[done..]) {
                Ok(0) => {
                    self.has_ended = true;
                    break;
                }
                Ok(len) => done += len,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// Encrypts and writes what fits.
    ///
    /// # Errors
    /// `WouldBlock` when nothing fits, or what is wrong with the stream.
    pub fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.is_plain {
            return self.socket.write_vectored(slices);
        }
        if !self.flush()? || self.session.is_handshaking() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = self.session.writer().write_vectored(slices)?;
        self.sealed = taken;
        self.flush()?;
        Ok(taken)
    }

    /// Writes what is encrypted already. Returns whether that is all gone.
    ///
    /// # Errors
    /// What is wrong with the stream.
    pub fn flush(&mut self) -> io::Result<bool> {
        while self.wants_write() {
            match self.session.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        self.sealed = 0;
        Ok(true)
    }

    /// Tells the peer that nothing more will be written, if it still listens.
    pub fn say_goodbye(&mut self) {
        if !self.is_plain {
            self.session.send_close_notify();
            let _ = self.flush();
        }
    }
}
