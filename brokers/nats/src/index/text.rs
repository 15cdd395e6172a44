//! Short texts without an allocation, and their hash.

use std::hash::Hasher;

use rustc_hash::FxHasher;

/// Bytes of which up to `N` are held inline.
#[derive(Clone, Debug)]
pub enum Text<const N: usize> {
    /// Up to `N` bytes.
    Short {
        /// How many.
        len: u8,
        /// They, and zeros behind them.
        bytes: [u8; N],
    },
    /// More.
    Long(Box<[u8]>),
}

impl<const N: usize> Text<N> {
    /// A copy of `text`.
    pub fn new(text: &[u8]) -> Self {
        match u8::try_from(text.len()) {
            Ok(len) if text.len() <= N => {
                let mut bytes = [0; N];
                bytes[..text.len()].copy_from_slice(text);
                Text::Short { len, bytes }
            }
            _ => Text::Long(text.into()),
        }
    }

    /// The bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Text::Short { len, bytes } => &bytes[..usize::from(*len)],
            Text::Long(bytes) => bytes,
        }
    }

    /// Heap bytes.
    pub fn heap_bytes(&self) -> usize {
        match self {
            Text::Short { .. } => 0,
            Text::Long(bytes) => bytes.len(),
        }
    }
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Text::new(&[])
    }
}

/// A hash of bytes, the same on every machine.
#[inline]
pub fn hash(bytes: &[u8]) -> u64 {
    let mut hasher = FxHasher::default();
    hasher.write(bytes);
    hasher.finish()
}

/// 32 well-mixed bits of a hash and a salt.
#[inline]
pub fn fold(hash: u64, salt: u64) -> u32 {
    let product = u128::from(hash ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        * u128::from(0xa24b_aed4_963e_e407_u64);
    let mixed = product as u64 ^ (product >> 64) as u64;
    (mixed ^ (mixed >> 32)) as u32
}
