//! One end of one connection: a stream, a decoder, and what waits on either side.

use std::io;
use std::ops::ControlFlow;

use broker_contract::{Decoder, FrameError, Step};

use super::outbox::{Outbox, Pool};
use super::stream::Stream;
use super::tls::TlsStream;

/// One end of one connection.
#[derive(Debug)]
pub struct Link<D> {
    /// Where the bytes go and come from.
    pub stream: Stream,
    /// What waits to be written.
    pub out: Outbox,
    decoder: D,
    /// What was read and makes no whole frame yet; from `used` on.
    inbox: Vec<u8>,
    used: usize,
}

/// How a read ended.
#[derive(Debug)]
pub enum Got {
    /// This many bytes, and perhaps there are more.
    Bytes(usize),
    /// Nothing is there now.
    Nothing,
    /// The peer will send no more.
    End,
    /// The stream failed.
    Failed(io::Error),
}

/// How decoding ended.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// Everything that makes a frame has been handed over.
    All,
    /// There may be more; it was stopped.
    Stopped,
}

impl<D: Decoder> Link<D> {
    /// A link over `stream`, with nothing on it yet.
    pub fn new(stream: Stream, decoder: D) -> Link<D> {
        Link { stream, out: Outbox::default(), decoder, inbox: Vec::new(), used: 0 }
    }

    /// Reads once into `buf`.
    pub fn read(&mut self, buf: &mut [u8]) -> Got {
        loop {
            return match self.stream.read(buf) {
                Ok(0) => Got::End,
                Ok(bytes) => Got::Bytes(bytes),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => Got::Nothing,
                Err(error) => Got::Failed(error),
            };
        }
    }

    /// Hands over the frames in what was kept and in `fresh`, until `each` says
    /// that it is enough; then there may be more, and an empty `fresh` goes on.
    ///
    /// # Errors
    /// What is wrong with the bytes; it is the end of this link's input.
    pub fn decode(
        &mut self,
        fresh: &[u8],
        mut each: impl FnMut(D::Frame) -> ControlFlow<()>,
    ) -> Result<Decoded, FrameError> {
        if self.inbox.is_empty() {
            let (used, result) = run(&mut self.decoder, fresh, &mut each);
            if used < fresh.len() {
                self.inbox.extend_from_slice(&fresh[used..]);
            }
            return result;
        }
        self.inbox.extend_from_slice(fresh);
        let (used, result) = run(&mut self.decoder, &self.inbox[self.used..], &mut each);
        self.used += used;
        if self.used == self.inbox.len() {
            // A link that has said all it had to say holds no buffer.
            (self.inbox, self.used) = (Vec::new(), 0);
        } else if self.used > self.inbox.len() / 2 {
            self.inbox.drain(..self.used);
            self.used = 0;
        }
        result
    }

    /// Whether the peer has proved who it is: see [`Decoder::trust`].
    pub fn trust(&mut self, is_proven: bool) {
        self.decoder.trust(is_proven);
    }

    /// Bytes that are held for a frame that is not whole, and by TLS.
    pub fn held(&self) -> usize {
        self.inbox.capacity() + self.stream.tls().map_or(0, TlsStream::held)
    }

    /// Whether a part of a frame has come.
    pub fn is_partial(&self) -> bool {
        self.used < self.inbox.len()
    }

    /// Writes what waits, until it is gone or the stream takes no more. Returns
    /// how many bytes and writes that were.
    ///
    /// # Errors
    /// What is wrong with the stream.
    pub fn flush(&mut self, pool: &mut Pool) -> io::Result<(usize, u64)> {
        let (mut total, mut writes) = (0, 0);
        let Link { stream, out, .. } = self;
        while !out.is_empty() {
            let waiting = out.len();
            writes += 1;
            match out.write(pool, |slices| stream.write(slices)) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(taken) => {
                    total += taken;
                    // More pieces than one write takes are no full stream.
                    if taken < waiting && taken < (64 << 10) {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        if let Some(tls) = stream.tls_mut()
            && tls.wants_write()
        {
            writes += 1;
            tls.flush()?;
        }
        Ok((total, writes))
    }
}

fn run<D: Decoder>(
    decoder: &mut D,
    input: &[u8],
    each: &mut impl FnMut(D::Frame) -> ControlFlow<()>,
) -> (usize, Result<Decoded, FrameError>) {
    let mut at = 0;
    loop {
        match decoder.decode(&input[at..]) {
            Ok(Step::Frame { frame, used }) => {
                at += used;
                if each(frame).is_break() {
                    return (at, Ok(Decoded::Stopped));
                }
            }
            Ok(Step::More { used }) => return (at + used, Ok(Decoded::All)),
            Err(error) => return (at, Err(error)),
        }
    }
}
