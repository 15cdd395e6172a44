//! What holds for every codec, whatever its protocol.
//!
//! A codec's own tests draw frames and bytes of its protocol and say what comes out;
//! here is what they all do with them: feed a decoder in pieces, and write frames
//! while their lengths are checked.

use broker_contract::{Broker, Codec, Decoder, Frame, FrameError, Step};

/// Feeds `bytes` in pieces that end at `cuts` (each taken modulo the length) and
/// returns the frames, and the error that ended it, if one did.
///
/// # Panics
/// If the decoder uses bytes that have not come, or a frame without using any.
pub fn decode<D: Decoder>(
    mut decoder: D,
    bytes: &[u8],
    cuts: &[usize],
) -> (Vec<D::Frame>, Option<FrameError>) {
    let mut frames = Vec::new();
    let mut start = 0;
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    for end in ends {
        loop {
            match decoder.decode(&bytes[start..end]) {
                Ok(Step::Frame { frame, used }) => {
                    assert!(used > 0 && start + used <= end, "a frame takes what is there");
                    frames.push(frame);
                    start += used;
                }
                Ok(Step::More { used }) => {
                    assert!(start + used <= end, "only what is there is used");
                    start += used;
                    break;
                }
                Err(error) => return (frames, Some(error)),
            }
        }
    }
    (frames, None)
}

/// What clients write for `frames`.
///
/// # Panics
/// If a frame is not as long as it says.
pub fn written_up<C: Codec>(frames: &[<C::Broker as Broker>::Up]) -> Vec<u8> {
    written(frames, |frame, out| C::encode_up(frame, out))
}

/// What a node writes for `frames`.
///
/// # Panics
/// If a frame is not as long as it says.
pub fn written_down<C: Codec>(frames: &[<C::Broker as Broker>::Down]) -> Vec<u8> {
    written(frames, |frame, out| C::encode_down(frame, out))
}

fn written<F: Frame>(frames: &[F], encode: impl Fn(&F, &mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    for frame in frames {
        let before = bytes.len();
        encode(frame, &mut bytes);
        assert_eq!(bytes.len() - before, frame.wire_len(), "{frame:?}");
    }
    bytes
}
