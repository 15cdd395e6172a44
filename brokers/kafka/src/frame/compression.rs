//! The four codecs that a batch's records may be compressed with.
//!
//! Everything that is read here may come from a stranger, so decompression
//! takes a limit and stops there.

use std::borrow::Cow;
use std::io::{Read, Write};

/// A codec, with the number that it has in a batch's attributes.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// As they are.
    #[default]
    None = 0,
    /// RFC 1952.
    Gzip = 1,
    /// Snappy blocks in the framing that Kafka's Java client writes; bare blocks,
    /// as other clients write them, are read as well.
    Snappy = 2,
    /// The LZ4 frame format.
    Lz4 = 3,
    /// RFC 8878.
    Zstd = 4,
}

/// Why records could not be compressed or decompressed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompressionError {
    /// The codec's own complaint.
    #[error("{codec}: {reason}")]
    Codec {
        /// Which codec.
        codec: &'static str,
        /// Its words.
        reason: String,
    },
    /// More came out than was allowed.
    #[error("{codec}: the records are longer than {limit} bytes")]
    TooLong {
        /// Which codec.
        codec: &'static str,
        /// The limit.
        limit: usize,
    },
}

/// In front of a snappy stream of the Java client: a magic, its version and the
/// oldest version that reads it.
const SNAPPY_HEADER: [u8; 16] =
    [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];
/// The block size that the Java client uses.
const SNAPPY_BLOCK: usize = 32 << 10;
/// The level that the original uses unless told otherwise.
const ZSTD_LEVEL: i32 = 3;

impl Codec {
    /// The codec with this number in a batch's attributes.
    pub const fn from_bits(bits: i16) -> Option<Codec> {
        Some(match bits & 7 {
            0 => Codec::None,
            1 => Codec::Gzip,
            2 => Codec::Snappy,
            3 => Codec::Lz4,
            4 => Codec::Zstd,
            _ => return None,
        })
    }

    /// Its name in settings.
    pub const fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }

    /// Appends `plain`, compressed, to `out`.
    ///
    /// # Errors
    /// [`CompressionError`] in the codec's words.
    pub fn compress(self, plain: &[u8], out: &mut Vec<u8>) -> Result<(), CompressionError> {
        let wrong = |error: &dyn std::fmt::Display| self.wrong(error);
        match self {
            Codec::None => out.extend_from_slice(plain),
            Codec::Gzip => {
                let mut encoder =
                    flate2::write::GzEncoder::new(out, flate2::Compression::default());
                encoder.write_all(plain).map_err(|error| wrong(&error))?;
                encoder.finish().map_err(|error| wrong(&error))?;
            }
            Codec::Snappy => {
                out.extend_from_slice(&SNAPPY_HEADER);
                let mut encoder = snap::raw::Encoder::new();
                for block in plain.chunks(SNAPPY_BLOCK) {
                    let start = out.len();
                    out.resize(start + 4 + snap::raw::max_compress_len(block.len()), 0);
                    let len = encoder
                        .compress(block, &mut out[start + 4..])
                        .map_err(|error| wrong(&error))?;
                    out[start..start + 4].copy_from_slice(&(len as u32).to_be_bytes());
                    out.truncate(start + 4 + len);
                }
            }
            Codec::Lz4 => {
                let mut encoder = lz4_flex::frame::FrameEncoder::new(out);
                encoder.write_all(plain).map_err(|error| wrong(&error))?;
                encoder.finish().map_err(|error| wrong(&error))?;
            }
            Codec::Zstd => {
                zstd::stream::copy_encode(plain, out, ZSTD_LEVEL).map_err(|error| wrong(&error))?
            }
        }
        Ok(())
    }

    /// What `packed` holds: itself where there is no compression, else at most
    /// `limit` bytes.
    ///
    /// # Errors
    /// [`CompressionError`] for bytes that are not the codec's, or too many.
    pub fn decompress(
        self,
        packed: &[u8],
        limit: usize,
    ) -> Result<Cow<'_, [u8]>, CompressionError> {
        let plain = match self {
            Codec::None => return Ok(Cow::Borrowed(packed)),
            Codec::Gzip => self.read_all(flate2::read::MultiGzDecoder::new(packed), limit)?,
            Codec::Snappy => self.unsnap(packed, limit)?,
            Codec::Lz4 => self.read_all(lz4_flex::frame::FrameDecoder::new(packed), limit)?,
            Codec::Zstd => {
                let decoder = zstd::stream::read::Decoder::with_buffer(packed)
                    .map_err(|error| self.wrong(&error))?;
                self.read_all(decoder, limit)?
            }
        };
        Ok(Cow::Owned(plain))
    }

    fn read_all(self, reader: impl Read, limit: usize) -> Result<Vec<u8>, CompressionError> {
        let mut plain = Vec::new();
        reader
            .take(limit as u64 + 1)
            .read_to_end(&mut plain)
            .map_err(|error| self.wrong(&error))?;
        if plain.len() > limit { Err(self.too_long(limit)) } else { Ok(plain) }
    }

    fn unsnap(self, packed: &[u8], limit: usize) -> Result<Vec<u8>, CompressionError> {
        let mut plain = Vec::new();
        if !packed.starts_with(&SNAPPY_HEADER[..8]) {
            self.unsnap_block(packed, limit, &mut plain)?;
            return Ok(plain);
        }
        let mut rest = packed.get(SNAPPY_HEADER.len()..).unwrap_or_default();
        while let Some((len, tail)) = rest.split_first_chunk::<4>() {
            let len = u32::from_be_bytes(*len) as usize;
            let block = tail.get(..len).ok_or_else(|| self.wrong(&"a block is cut short"))?;
            self.unsnap_block(block, limit, &mut plain)?;
            rest = &tail[len..];
        }
        if rest.is_empty() { Ok(plain) } else { Err(self.wrong(&"a block's length is cut short")) }
    }

    fn unsnap_block(
        self,
        block: &[u8],
        limit: usize,
        plain: &mut Vec<u8>,
    ) -> Result<(), CompressionError> {
        let len = snap::raw::decompress_len(block).map_err(|error| self.wrong(&error))?;
        let start = plain.len();
        if len > limit.saturating_sub(start) {
            return Err(self.too_long(limit));
        }
        plain.resize(start + len, 0);
        snap::raw::Decoder::new()
            .decompress(block, &mut plain[start..])
            .map_err(|error| self.wrong(&error))?;
        Ok(())
    }

    fn wrong(self, error: &dyn std::fmt::Display) -> CompressionError {
        CompressionError::Codec { codec: self.name(), reason: error.to_string() }
    }

    fn too_long(self, limit: usize) -> CompressionError {
        CompressionError::TooLong { codec: self.name(), limit }
    }
}
