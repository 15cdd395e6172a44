//! One socket of a client, read and written byte by byte.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Instant;

use super::PATIENCE;

/// Bytes that are shown of what came instead of something else.
const SHOWN: usize = 120;

/// A socket, and what was read from it and not used.
#[derive(Debug)]
pub struct Peer {
    socket: TcpStream,
    got: Vec<u8>,
}

impl Peer {
    /// Connects.
    ///
    /// # Errors
    /// Why not, in one line.
    pub fn connect(to: SocketAddr) -> Result<Peer, String> {
        let connected = TcpStream::connect_timeout(&to, PATIENCE).and_then(|socket| {
            socket.set_nodelay(true)?;
            socket.set_read_timeout(Some(PATIENCE))?;
            socket.set_write_timeout(Some(PATIENCE))?;
            Ok(socket)
        });
        match connected {
            Ok(socket) => Ok(Peer { socket, got: Vec::new() }),
            Err(error) => Err(format!("nobody can connect: {error}")),
        }
    }

    /// Writes all of it.
    pub fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// Writes all of it, which the server must take.
    pub fn tell(&mut self, bytes: &[u8]) -> Result<(), String> {
        self.say(bytes).map_err(|error| format!("a well-behaved client was not heard: {error}"))
    }

    /// Says that it will write no more.
    pub fn shut(&self) {
        // Where the server was faster with its own end, that is the end.
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    /// Breaks the connection: what is under way is lost, and the other side is told.
    pub fn reset(self) {
        let _ =
            rustix::net::sockopt::set_socket_linger(&self.socket, Some(std::time::Duration::ZERO));
    }

    /// Reads what is there into `got`; `false` at the end.
    fn fill(&mut self) -> io::Result<bool> {
        let mut buf = [0; 16 << 10];
        loop {
            match self.socket.read(&mut buf) {
                Ok(0) => return Ok(false),
                Ok(len) => {
                    self.got.extend_from_slice(&buf[..len]);
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn more(&mut self, wish: &str) -> Result<(), String> {
        match self.fill() {
            Ok(true) => Ok(()),
            Ok(false) => Err(format!("a well-behaved client waited for {wish} and was closed")),
            Err(error) => Err(format!("a well-behaved client waited for {wish}: {error}")),
        }
    }

    /// Reads exactly `expected`.
    ///
    /// # Errors
    /// What came instead.
    pub fn expect(&mut self, expected: &[u8]) -> Result<(), String> {
        let got = self.bytes(expected.len())?;
        if got == expected {
            return Ok(());
        }
        Err(format!("expected {}, got {}", shown(expected), shown(&got)))
    }

    /// The next `len` bytes.
    pub fn bytes(&mut self, len: usize) -> Result<Vec<u8>, String> {
        while self.got.len() < len {
            self.more(&format!("{len} bytes"))?;
        }
        Ok(self.got.drain(..len).collect())
    }

    /// The next line, without its end.
    pub fn line(&mut self) -> Result<String, String> {
        let mut looked = 0;
        loop {
            if let Some(at) = self.got[looked..].windows(2).position(|two| two == b"\r\n") {
                let mut line: Vec<u8> = self.got.drain(..looked + at + 2).collect();
                line.truncate(looked + at);
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            looked = self.got.len().saturating_sub(1);
            self.more("a line")?;
        }
    }

    /// Everything until the end, which must come; a broken connection is an end, too.
    ///
    /// # Errors
    /// That the end does not come.
    pub fn rest(mut self, why: &str) -> Result<Vec<u8>, String> {
        let began = Instant::now();
        loop {
            match self.fill() {
                Ok(false) => return Ok(self.got),
                Ok(true) if began.elapsed() < PATIENCE => {}
                Err(error) if !is_late(&error) => return Ok(self.got),
                _ => return Err(format!("{why} was not closed within {PATIENCE:?}")),
            }
        }
    }

    /// Whether the server has ended it. What came is forgotten.
    pub fn has_ended(&mut self) -> bool {
        if self.socket.set_nonblocking(true).is_err() {
            return true;
        }
        loop {
            self.got.clear();
            match self.fill() {
                Ok(true) => {}
                Ok(false) => return true,
                Err(error) => {
                    let _ = self.socket.set_nonblocking(false);
                    return !is_late(&error);
                }
            }
        }
    }
}

/// Whether it is nothing but the end of a time limit.
fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// Bytes for people: the beginning of them, in one line.
pub fn shown(bytes: &[u8]) -> String {
    let text = bytes[..bytes.len().min(SHOWN)].escape_ascii();
    let more = if bytes.len() > SHOWN { "..." } else { "" };
    format!("\"{text}\"{more} ({} bytes)", bytes.len())
}
