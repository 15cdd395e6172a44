//! Bytes on their way to one peer.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::sync::Arc;

use broker_contract::Sink;

/// Bytes that are copied together before a new piece begins.
const PIECE: usize = 64 << 10;
/// Payloads from here on are kept by reference.
const SHARE: usize = 4 << 10;
/// Pieces that one gathered write takes.
const GATHERED: usize = 64;
/// Empty buffers that are kept for the next connection that needs one.
const KEPT: usize = 256;

/// Buffers that connections borrow while they have something to send, so that a
/// silent one holds none.
#[derive(Debug, Default)]
pub struct Pool(Vec<Vec<u8>>);

impl Pool {
    fn take(&mut self) -> Vec<u8> {
        self.0.pop().unwrap_or_default()
    }

    fn give(&mut self, mut buf: Vec<u8>) {
        if self.0.len() < KEPT && buf.capacity() > 0 && buf.capacity() <= 2 * PIECE {
            buf.clear();
            self.0.push(buf);
        }
    }
}

#[derive(Debug)]
enum Piece {
    Copied(Vec<u8>),
    Shared(Arc<[u8]>, Range<usize>),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Piece::Copied(bytes) => bytes,
            Piece::Shared(buf, range) => &buf[range.clone()],
        }
    }
}

/// What waits to be written to one peer, in order.
#[derive(Debug, Default)]
pub struct Outbox {
    /// Whole pieces, oldest first; in front of `last`.
    pieces: VecDeque<Piece>,
    last: Vec<u8>,
    /// Bytes of the first piece that were written already.
    written: usize,
    len: usize,
}

impl Outbox {
    /// Bytes that wait.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Makes it ready to take bytes.
    #[inline]
    pub fn lend(&mut self, pool: &mut Pool) {
        if self.last.capacity() == 0 {
            self.last = pool.take();
        }
    }

    /// Throws away what waits.
    pub fn clear(&mut self, pool: &mut Pool) {
        for piece in self.pieces.drain(..) {
            if let Piece::Copied(buf) = piece {
                pool.give(buf);
            }
        }
        pool.give(std::mem::take(&mut self.last));
        self.pieces = VecDeque::new();
        (self.written, self.len) = (0, 0);
    }

    /// Hands everything that waits, or as much as fits, to one call of `write`,
    /// and forgets what that took. Returns how many bytes it took.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn write(
        &mut self,
        pool: &mut Pool,
        write: impl FnOnce(&[IoSlice<'_>]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let taken = if self.pieces.is_empty() {
            write(&[IoSlice::new(&self.last[self.written..])])?
        } else {
            let mut slices = [IoSlice::new(&[]); GATHERED];
            let pieces = self.pieces.iter().map(Piece::bytes).chain([&self.last[..]]);
            let mut count = 0;
            for (place, bytes) in slices.iter_mut().zip(pieces) {
                let skip = if count == 0 { self.written } else { 0 };
                *place = IoSlice::new(&bytes[skip..]);
                count += 1;
            }
            write(&slices[..count])?
        };
        self.forget(taken.min(self.len), pool);
        Ok(taken)
    }

    fn forget(&mut self, taken: usize, pool: &mut Pool) {
        self.len -= taken;
        self.written += taken;
        while let Some(first) = self.pieces.front() {
            let len = first.bytes().len();
            if self.written < len {
                return;
            }
            self.written -= len;
            if let Some(Piece::Copied(buf)) = self.pieces.pop_front() {
                pool.give(buf);
            }
        }
        if self.len == 0 {
            pool.give(std::mem::take(&mut self.last));
            self.pieces = VecDeque::new();
            self.written = 0;
        }
    }

    fn close_piece(&mut self) {
        if !self.last.is_empty() {
            self.pieces.push_back(Piece::Copied(std::mem::take(&mut self.last)));
        }
    }
}

impl Sink for Outbox {
    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        if self.last.len() >= PIECE {
            self.close_piece();
        }
        self.last.extend_from_slice(bytes);
        self.len += bytes.len();
    }

    fn share(&mut self, buf: &Arc<[u8]>, range: Range<usize>) {
        if range.len() < SHARE {
            self.put(&buf[range]);
            return;
        }
        self.close_piece();
        self.len += range.len();
        self.pieces.push_back(Piece::Shared(Arc::clone(buf), range));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is put in, copied or shared, comes out in order however
        /// little each write takes.
        #[test]
        fn bytes_come_out_as_they_went_in(
            steps in prop::collection::vec(
                (prop_oneof![0..300_usize, 4_000..9_000_usize, 60_000..90_000_usize],
                 any::<bool>(), 0..70_000_usize),
                1..40,
            ),
        ) {
            let (mut out, mut pool) = (Outbox::default(), Pool::default());
            let (mut put, mut got) = (Vec::new(), Vec::new());
            let take = |out: &mut Outbox, pool: &mut Pool, got: &mut Vec<u8>, most: usize| {
                out.write(pool, |slices| {
                    let mut left = most;
                    for slice in slices {
                        let now = slice.len().min(left);
                        got.extend_from_slice(&slice[..now]);
                        left -= now;
                    }
                    Ok(most - left)
                })
            };
            for (at, (len, shared, most)) in steps.into_iter().enumerate() {
                out.lend(&mut pool);
                let bytes: Arc<[u8]> = (0..len).map(|byte| (byte + at) as u8).collect();
                if shared {
                    out.share(&bytes, 0..len);
                } else {
                    out.put(&bytes);
                }
                put.extend_from_slice(&bytes);
                take(&mut out, &mut pool, &mut got, most).expect("nothing fails");
                prop_assert_eq!(out.len(), put.len() - got.len());
            }
            while !out.is_empty() {
                take(&mut out, &mut pool, &mut got, 10_000).expect("nothing fails");
            }
            prop_assert!(put == got, "the bytes are the same");
            prop_assert_eq!(out.last.capacity(), 0, "an empty outbox holds no buffer");
        }
    }
}
