//! A byte stream to one peer: TCP, with or without TLS, or a Unix socket.

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};

use super::tls::TlsStream;

/// A connected stream that never blocks.
#[derive(Debug)]
pub enum Stream {
    /// Over the network.
    Tcp(TcpStream),
    /// On this machine.
    Unix(UnixStream),
    /// Over the network, encrypted.
    Tls(Box<TlsStream>),
}

impl Stream {
    /// Reads what is there.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there, or what is wrong with the stream.
    pub fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buf),
            Stream::Unix(stream) => stream.read(buf),
            Stream::Tls(stream) => stream.read(buf),
        }
    }

    /// Writes what fits.
    ///
    /// # Errors
    /// `WouldBlock` when nothing fits, or what is wrong with the stream.
    pub fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        // A single piece goes without the kernel's reading a list of them.
        match (self, slices) {
            (Stream::Tls(stream), slices) => stream.write(slices),
            (Stream::Tcp(stream), [one]) => stream.write(one),
            (Stream::Unix(stream), [one]) => stream.write(one),
            (Stream::Tcp(stream), many) => stream.write_vectored(many),
            (Stream::Unix(stream), many) => stream.write_vectored(many),
        }
    }

    /// Says that nothing more will be written.
    pub fn end(&self) {
        // A peer that is gone already needs no goodbye.
        let _ = match self {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
            Stream::Tls(stream) => stream.socket_ref().shutdown(Shutdown::Write),
        };
    }

    /// The same with the goodbye that TLS has, without which a peer cannot tell
    /// an end from a cut.
    pub fn finish(&mut self) {
        if let Stream::Tls(stream) = self {
            stream.say_goodbye();
        }
        self.end();
    }

    /// The TLS of it, where there is any.
    #[inline]
    pub fn tls(&self) -> Option<&TlsStream> {
        match self {
            Stream::Tls(stream) => Some(stream),
            Stream::Tcp(_) | Stream::Unix(_) => None,
        }
    }

    /// The same, to work on.
    #[inline]
    pub fn tls_mut(&mut self) -> Option<&mut TlsStream> {
        match self {
            Stream::Tls(stream) => Some(stream),
            Stream::Tcp(_) | Stream::Unix(_) => None,
        }
    }

    /// What keeps a connection from being established, if anything does.
    ///
    /// # Errors
    /// That the error itself cannot be asked for.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        match self {
            Stream::Tcp(stream) => stream.take_error(),
            Stream::Unix(stream) => stream.take_error(),
            Stream::Tls(stream) => stream.socket_ref().take_error(),
        }
    }
}

impl Source for Stream {
    fn register(&mut self, to: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.register(to, token, interest),
            Stream::Unix(stream) => stream.register(to, token, interest),
            Stream::Tls(stream) => stream.socket().register(to, token, interest),
        }
    }

    fn reregister(&mut self, to: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.reregister(to, token, interest),
            Stream::Unix(stream) => stream.reregister(to, token, interest),
            Stream::Tls(stream) => stream.socket().reregister(to, token, interest),
        }
    }

    fn deregister(&mut self, from: &Registry) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.deregister(from),
            Stream::Unix(stream) => stream.deregister(from),
            Stream::Tls(stream) => stream.socket().deregister(from),
        }
    }
}
